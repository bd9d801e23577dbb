//! What stands round every page.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use time::UtcOffset;

use crate::shown;
use crate::trouble::Trouble;
use crate::visitor::Visitor;
use crate::words::Words;

/// What stands round a page: title, navigation, language, and what forms need.
pub(crate) struct Frame {
    /// The texts in the visitor's language.
    pub(crate) words: Words,
    /// The key of the page's title.
    pub(crate) title: &'static str,
    /// The provider's domain.
    pub(crate) domain: String,
    /// This host's name.
    pub(crate) hostname: String,
    /// The zone in which times are shown.
    pub(crate) zone: UtcOffset,
    /// The visitor's account and what he may, if he has signed in.
    pub(crate) account: Option<Account>,
    /// What each form carries.
    pub(crate) csrf: String,
    /// The path and query of this page.
    pub(crate) path: String,
    /// A text that tells what was just done, by its key.
    pub(crate) done: Option<String>,
}

/// Who has signed in.
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) operates: bool,
    /// He must set up the second factor before all else.
    pub(crate) enrols: bool,
}

/// The parts of a member's pages, and the keys of their names.
const PARTS: &[(&str, &str)] = &[
    ("/", "frame-overview"),
    ("/addresses", "frame-addresses"),
    ("/mail", "frame-mail"),
    ("/absence", "frame-absence"),
    ("/account", "frame-account"),
];
/// The part that operators have besides.
const OPERATOR: (&str, &str) = ("/operator", "frame-operator");

/// What may be told as done: `?done=saved` shows the text `done-saved`.
const DONE: &[&str] = &[
    "saved",
    "signed-out",
    "asked",
    "not-asked",
    "address-on",
    "address-off",
    "address-removed",
    "password-set",
    "revoked",
    "session-ended",
    "windows-closed",
    "second-factor-removed",
    "account-added",
    "removed",
    "resumed",
];

impl Frame {
    /// The frame of a page for this visitor.
    pub(crate) fn of(visitor: &Visitor, title: &'static str) -> Frame {
        let query = visitor.path.split_once('?').map_or("", |(_, query)| query);
        let done = crate::form::field(query.as_bytes(), "done").filter(|done| DONE.contains(&done.as_str()));
        let account = visitor.standing.as_ref().map(|standing| Account {
            name: standing.account.to_string(),
            operates: standing.operates,
            enrols: standing.must_enrol,
        });
        let site = visitor.house.site();
        Frame {
            words: visitor.words,
            title,
            domain: site.domain.to_string(),
            hostname: site.hostname.to_string(),
            zone: site.zone,
            account,
            csrf: visitor.csrf(),
            path: visitor.path.clone(),
            done: done.map(|done| visitor.words.say(&format!("done-{done}")).into_owned()),
        }
    }

    /// What this visitor finds in the navigation: paths, and the keys of their names.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let operates = self.account.as_ref().is_some_and(|account| account.operates);
        PARTS.iter().copied().chain(operates.then_some(OPERATOR))
    }

    /// Whether this page belongs to that part of the navigation.
    pub(crate) fn is_at(&self, part: &str) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        match path.strip_prefix(part) {
            Some(rest) => rest.is_empty() || (part != "/" && rest.starts_with('/')),
            // It is set up under a path of its own, and found under the settings.
            None => part == "/account" && path.starts_with("/second-factor"),
        }
    }

    /// This page, without telling again what was done.
    pub(crate) fn here(&self) -> String {
        let Some((path, query)) = self.path.split_once('?') else { return self.path.clone() };
        let query: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("done=")).collect();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
    }

    /// A moment, in seconds since 1970, as people read it.
    pub(crate) fn moment(&self, seconds: &u64) -> String {
        shown::moment(*seconds, self.zone, self.words)
    }

    /// A moment, in seconds since 1970, as programs read it.
    pub(crate) fn datetime(&self, seconds: &u64) -> String {
        shown::datetime(*seconds, self.zone)
    }
}

/// A page.
pub(crate) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let mut response = html.into_response();
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, html);
            response
        }
        Err(error) => {
            tracing::error!(%error, "a template does not render");
            Trouble::Unavailable.into_response()
        }
    }
}

/// A form once more, with what was typed and why it is not done.
pub(crate) fn again(template: &impl Template, status: StatusCode) -> Response {
    let mut response = page(template);
    if response.status().is_success() {
        *response.status_mut() = status;
    }
    response
}

/// Where to go on, after a form was done (RFC 9110 §15.4.4). Only paths of ours.
pub(crate) fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let value = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, value);
    response
}

/// A path that a visitor brought to go on to, if it is one of ours.
pub(crate) fn ours(then: &str) -> &str {
    let own = then.starts_with('/')
        && !then.starts_with("//")
        && !then.starts_with("/\\")
        && then.len() <= 1000
        && then.bytes().all(|octet| octet.is_ascii_graphic());
    if own { then } else { "/" }
}

#[cfg(test)]
mod tests {
    use envelope::Language;

    use crate::page_check::frame;

    #[test]
    fn a_page_is_at_one_part_of_the_navigation() {
        for (path, expected) in [
            ("/?done=saved", Some("/")),
            ("/mail?days=3", Some("/mail")),
            ("/account/password", Some("/account")),
            ("/second-factor", Some("/account")),
            ("/operator/queue", Some("/operator")),
            ("/mailbox", None),
            ("/sheet", None),
        ] {
            let frame = frame(Language::Ja, "", path);
            let at: Vec<_> = frame.parts().map(|(part, _)| part).filter(|part| frame.is_at(part)).collect();
            assert_eq!(at, Vec::from_iter(expected), "{path}");
        }
    }

    #[test]
    fn what_was_done_is_told_once() {
        for (path, here) in [
            ("/a", "/a"),
            ("/a?done=saved", "/a"),
            ("/a?x=1&done=saved&y=2", "/a?x=1&y=2"),
            ("/a?x=1", "/a?x=1"),
        ] {
            assert_eq!(frame(Language::En, "", path).here(), here);
        }
    }
}
