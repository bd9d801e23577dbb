//! Mail programs that set themselves up: what they ask, and what they are told. All of it is what everybody may
//! know. Nothing is looked up: who has an account here cannot be told from the answers.
//!
//! | file | for |
//! |---|---|
//! | `servers.rs` | all: which servers, ports and names |
//! | `autoconfig.rs` | Thunderbird and its kin |
//! | `autodiscover.rs` | Outlook |
//! | `mobileconfig.rs` | iPhone, iPad and Mac |

mod autoconfig;
mod autodiscover;
mod mobileconfig;
mod servers;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::routes::Routes;
use crate::trouble::Trouble;

pub(crate) use servers::{Security, Server, Servers};

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.with(autoconfig::routes).with(autodiscover::routes).with(mobileconfig::routes)
}

/// A file for programs.
fn xml(template: &impl askama::Template, kind: &'static str) -> Response {
    match template.render() {
        Ok(text) => {
            let mut response = text.into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            response
        }
        Err(error) => {
            tracing::error!(%error, "a template does not render");
            Trouble::Unavailable.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// Reads a text by a parser that is not ours, and says what it found: `tag=text`, depth first.
    pub(super) fn parsed(text: &str) -> Vec<String> {
        const PROGRAM: &str = "import sys, xml.etree.ElementTree as tree\n\
            for element in tree.fromstring(sys.stdin.buffer.read()).iter():\n\
            \x20   print(element.tag.split('}')[-1] + '=' + repr((element.text or '').strip()))";
        let mut python = Command::new("python3");
        python.args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut python = python.spawn().unwrap();
        python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success(), "no XML: {text}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}
