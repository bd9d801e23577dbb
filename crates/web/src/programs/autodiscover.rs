//! Outlook: Autodiscover, the plain XML form ([MS-OXDSCLI] §2.2.4).

use askama::Template;
use axum::response::Response;
use bytes::Bytes;

use super::servers::{Security, Servers, account_of};
use crate::house::Site;
use crate::routes::{Routes, Who};
use crate::visitor::Visitor;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::MailProgram, "/autodiscover/autodiscover.xml", discover)
        .post(Who::MailProgram, "/autodiscover/autodiscover.xml", discover)
        // So Outlook writes it.
        .get(Who::MailProgram, "/Autodiscover/Autodiscover.xml", discover)
        .post(Who::MailProgram, "/Autodiscover/Autodiscover.xml", discover)
}

#[derive(Template)]
#[template(path = "programs/autodiscover.xml")]
struct Discovered {
    /// None: the program logs in by the address.
    login: Option<String>,
    servers: Servers,
}

impl Discovered {
    fn of(site: &Site, request: &[u8]) -> Discovered {
        let login = asked_for(request).and_then(|address| account_of(address, &site.domain));
        Discovered { login: login.map(|account| account.to_string()), servers: Servers::of(site) }
    }

    fn encryption(&self, security: &Security) -> &'static str {
        match security {
            Security::Tls => "SSL",
            Security::Upgraded => "TLS",
        }
    }
}

/// The address in a request. It is written plainly: no address of ours needs an escape in XML, and what does is
/// no address of ours.
fn asked_for(request: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(request).ok()?;
    let (_, rest) = text.split_once("<EMailAddress>")?;
    Some(rest.split_once("</EMailAddress>")?.0)
}

async fn discover(visitor: Visitor, request: Bytes) -> Response {
    super::xml(&Discovered::of(&visitor.house.site(), &request), "text/xml; charset=utf-8")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::page_check::{HOSTILE, site};
    use crate::programs::tests::parsed;

    #[test]
    fn outlook_is_told_servers_and_name() {
        let request = b"<Autodiscover><Request><EMailAddress>foo@abc.pobox.example</EMailAddress></Request></Autodiscover>";
        let found = parsed(&Discovered::of(&site(), request).render().unwrap());
        for told in
            ["Type='POP3'", "Port='995'", "Encryption='SSL'", "Type='SMTP'", "Port='465'", "LoginName='abc'"]
        {
            assert!(found.iter().any(|line| line == told), "{told} in {found:?}");
        }
    }

    #[test]
    fn what_is_no_request_is_answered_without_a_name() {
        let hostile = format!("<EMailAddress>{HOSTILE}</EMailAddress>");
        for request in [&b""[..], b"\xff<EMailAddress>", hostile.as_bytes()] {
            let found = parsed(&Discovered::of(&site(), request).render().unwrap());
            assert!(!found.iter().any(|line| line.starts_with("LoginName")), "{found:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_a_request_or_none(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            asked_for(&octets);
        }
    }
}
