//! What to enter in a mail program, on one sheet of paper.

use askama::Template;
use axum::response::Response;
use link::services::directory::visits::{Own, Visit};

use crate::frame::{self, Frame};
use crate::house::Site;
use crate::programs::{Security, Server, Servers};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;
use crate::words::Words;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/sheet", sheet)
}

#[derive(Template)]
#[template(path = "member/sheet.html")]
struct Sheet {
    frame: Frame,
    account: String,
    address: String,
    sub_domain: Option<String>,
    host: String,
    incoming: Vec<Port>,
    outgoing: Vec<Port>,
    /// After a mailbox check, sending needs no password for so many minutes; none: it always does.
    pop_minutes: Option<u32>,
    /// For programs that know neither TLS nor a password when they send.
    plain: Option<Plain>,
}

/// What old programs are told, as sentences.
struct Plain {
    who: String,
    servers: String,
}

/// A port, and how it is secured, in words.
struct Port {
    number: u16,
    security: String,
}

impl Port {
    fn of(words: Words, server: Server) -> Port {
        let key = match server.security {
            Security::Tls => "sheet-tls",
            Security::Upgraded => "sheet-starttls",
        };
        Port { number: server.port, security: words.say(key).into_owned() }
    }
}

impl Sheet {
    fn of(frame: Frame, site: &Site, account: &str, address: &str, pop_before_smtp: bool) -> Sheet {
        let (words, servers) = (frame.words, Servers::of(site));
        let ports =
            |servers: Vec<Server>| servers.into_iter().map(|server| Port::of(words, server)).collect();
        let port = site.smtp.or(site.submission).filter(|_| pop_before_smtp);
        let plain = port.map(|port| Plain {
            who: words
                .with2("sheet-postpet-1", ("address", address.to_owned()), ("account", account.to_owned()))
                .into_owned(),
            servers: words
                .with2("sheet-postpet-2", ("host", servers.host.clone()), ("port", port.to_string()))
                .into_owned(),
        });
        Sheet {
            account: account.to_owned(),
            address: address.to_owned(),
            sub_domain: None,
            host: servers.host.clone(),
            incoming: ports(servers.incoming),
            outgoing: ports(servers.outgoing),
            pop_minutes: pop_before_smtp.then_some(site.pop_window_minutes),
            plain,
            frame,
        }
    }
}

async fn sheet(member: Member) -> Result<Response, Trouble> {
    let Visit::Facts(facts) = member.own(Own::Facts).await? else { return Err(Trouble::Unavailable) };
    let frame = Frame::of(&member, "sheet-title");
    let standing = member.standing();
    let (account, address) = (standing.account.as_str(), standing.address.to_string());
    let sheet = Sheet::of(frame, &member.house.site(), account, &address, facts.allowances.pop_before_smtp);
    let sub_domain = standing.sub_domain.as_ref().map(ToString::to_string);
    Ok(frame::page(&Sheet { sub_domain, ..sheet }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{LANGUAGES, checked, frame, site};

    #[test]
    fn the_sheet_has_what_programs_ask_for() {
        for language in LANGUAGES {
            let frame = frame(language, "sheet-title", "/sheet");
            let sheet = Sheet::of(frame, &site(), "abc", "abc@pobox.example", true);
            let html = checked(&Sheet { sub_domain: Some("abc.pobox.example".into()), ..sheet });
            for told in [
                "mail.pobox.example",
                "995",
                "465",
                "587",
                "110",
                "25",
                "30",
                "PostPet",
                "Outlook",
                "Thunderbird",
                "iPhone",
            ] {
                assert!(html.contains(told), "{told}");
            }
        }
    }

    #[test]
    fn what_a_site_has_not_is_not_told() {
        for language in LANGUAGES {
            let frame = frame(language, "sheet-title", "/sheet");
            let site = Site { submission: None, smtp: None, pop3: None, ..site() };
            let html = checked(&Sheet::of(frame, &site, "abc", "abc@pobox.example", false));
            assert!(!html.contains("587") && !html.contains("PostPet"));
        }
    }
}
