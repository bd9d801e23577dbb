//! For tests: frames without a server, and what holds for every page.

use std::collections::HashSet;

use askama::Template;
use envelope::Language;
use link::services::directory::visits::Standing;
use time::UtcOffset;

use crate::frame::{Account, Frame};
use crate::house::Site;
use crate::words::Words;

/// A text that would break out of any place where it is not escaped.
pub(crate) const HOSTILE: &str = "\"><script>alert(1)</script><b onclick='x'>&amp;{{ 7*7 }}\u{202e}';--";

/// Both languages.
pub(crate) const LANGUAGES: [Language; 2] = [Language::Ja, Language::En];

/// The frame of a member's page.
pub(crate) fn frame(language: Language, title: &'static str, path: &str) -> Frame {
    Frame {
        words: Words(language),
        title,
        domain: "pobox.example".into(),
        hostname: "mail.pobox.example".into(),
        zone: UtcOffset::from_hms(9, 0, 0).unwrap(),
        account: Some(Account { name: "abc".into(), operates: true, enrols: false }),
        csrf: "csrf-token".into(),
        path: path.into(),
        done: None,
    }
}

/// The frame of a page for somebody who has not signed in.
pub(crate) fn guest(language: Language, title: &'static str, path: &str) -> Frame {
    Frame { account: None, ..frame(language, title, path) }
}

/// A member who has proved nothing anew.
pub(crate) fn standing() -> Standing {
    Standing {
        account: "abc".parse().unwrap(),
        address: "abc@pobox.example".parse().unwrap(),
        sub_domain: Some("abc.pobox.example".parse().unwrap()),
        language: Language::Ja,
        operates: false,
        operator: false,
        second_factor: false,
        must_enrol: false,
        fresh_until: 0,
        scope: None,
    }
}

/// A site with all its ports.
pub(crate) fn site() -> Site {
    Site {
        hostname: "mail.pobox.example".parse().unwrap(),
        domain: "pobox.example".parse().unwrap(),
        url: "https://mail.pobox.example/".into(),
        trusted_proxies: Vec::new(),
        pop_window_minutes: 30,
        submission: Some(587),
        submissions: Some(465),
        smtp: Some(25),
        pop3: Some(110),
        pop3s: Some(995),
        trace_days: 14,
        message_size_max: 50_000_000,
        zone: UtcOffset::UTC,
        certificate: None,
    }
}

/// Renders a page and checks what holds for every page: small, well-formed, nothing of a visitor's in it as
/// markup, each form with its token, each label with its field.
pub(crate) fn checked(page: &impl Template) -> String {
    let html = page.render().unwrap();
    assert!(html.len() < 60 << 10, "{} octets", html.len());
    for wrong in ["<script>alert", "<b onclick", "style=\"", "onclick=\"", "javascript:"] {
        assert!(!html.contains(wrong), "{wrong} in {html}");
    }
    let mut open: Vec<&str> = Vec::new();
    let (mut ids, mut wanted) = (HashSet::new(), Vec::new());
    let mut rest = html.as_str();
    while let Some((_, tail)) = rest.split_once('<') {
        let end = tail.find('>').unwrap_or_else(|| panic!("a tag without an end: {tail:.60}"));
        let tag = &tail[..end];
        rest = &tail[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        assert!(!tag.contains('<'), "a tag in a tag: <{tag}>");
        assert!(tag.matches('"').count().is_multiple_of(2), "quotes: <{tag}>");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes what is not open, before {rest:.60}");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        assert!(!name.is_empty(), "<{tag}>");
        if let Some(id) = attribute(tag, "id") {
            assert!(ids.insert(id), "two have the id {id}");
        }
        for reference in ["for", "aria-describedby", "aria-labelledby"] {
            wanted.extend(attribute(tag, reference).into_iter().flat_map(str::split_whitespace));
        }
        if name == "form" && attribute(tag, "method") == Some("post") {
            let form = rest.split("</form>").next().unwrap_or_default();
            assert!(form.contains("name=\"csrf\" value=\"csrf-token\""), "a form without its token: {tag}");
        }
        if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "still open: {open:?}");
    for id in wanted {
        assert!(ids.contains(id), "nothing has the id {id}");
    }
    html
}

const VOID: &[&str] = &["area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"];

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    value.split('"').next()
}

#[test]
fn the_check_finds_what_is_wrong() {
    #[derive(Template)]
    #[template(source = "{{ html|safe }}", ext = "html")]
    struct Raw<'a> {
        html: &'a str,
    }
    checked(&Raw { html: "<!doctype html><p class=\"a\">x<br></p>" });
    for wrong in [
        "<p><b>x</p></b>",
        "<p>x",
        "<p class=\"a>x</p>",
        "<label for=\"nothing\">x</label>",
        "<i id=\"a\"></i><i id=\"a\"></i>",
        "<form method=\"post\"></form>",
        "<p style=\"x\"></p>",
    ] {
        assert!(std::panic::catch_unwind(|| checked(&Raw { html: wrong })).is_err(), "{wrong}");
    }
}
