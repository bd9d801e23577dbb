//! Whatever has a text in it: accounts, domains, addresses, and a message by its name.

use askama::Template;
use axum::response::Response;
use envelope::QueueId;
use link::services::directory::visits::{Found, Operate, Visit};

use super::encoded;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/search", search)
}

#[derive(Template)]
#[template(path = "operator/search.html")]
struct Results {
    frame: Frame,
    text: String,
    rows: Vec<Row>,
    /// For the link to what became of mail from there and to there.
    encoded: String,
}

/// Something that was found.
struct Row {
    what: String,
    /// What sort of thing it is.
    kind: String,
    href: String,
}

async fn search(operator: Operator) -> Result<Response, Trouble> {
    let query = operator.query();
    let text: String = query.text("q").chars().take(320).collect();
    // Whoever has a message's name wants to know what became of it; an account may be called so, too.
    let id = text.parse::<QueueId>().ok();
    let mut rows: Vec<Row> = id.into_iter().map(|id| message(&operator, id)).collect();
    if !text.is_empty() {
        let Visit::Found(found) = operator.operate(Operate::Find(text.clone())).await? else {
            return Err(Trouble::Unavailable);
        };
        rows.extend(found.into_iter().map(|found| row(&operator, found)));
    }
    Ok(frame::page(&Results {
        frame: Frame::of(&operator, "search-title"),
        rows,
        encoded: encoded(&text),
        text,
    }))
}

fn message(operator: &Operator, id: QueueId) -> Row {
    Row {
        what: id.to_string(),
        kind: operator.words.say("search-message").into_owned(),
        href: format!("/operator/mail/{id}"),
    }
}

fn row(operator: &Operator, found: Found) -> Row {
    let words = operator.words;
    match found {
        Found::Account(name) => Row {
            href: format!("/operator/accounts/{name}"),
            what: name.to_string(),
            kind: words.say("search-account").into_owned(),
        },
        Found::Domain(domain) => Row {
            href: format!("/operator/domains/{}", domain.to_ascii()),
            what: domain.to_string(),
            kind: words.say("search-domain").into_owned(),
        },
        Found::Address { account, address } => Row {
            href: format!("/operator/accounts/{account}"),
            kind: words.with("search-address", "account", account.to_string()).into_owned(),
            what: address,
        },
        Found::LeadsTo { address, account } => Row {
            href: format!("/operator/accounts/{account}"),
            what: address.to_string(),
            kind: words.with("search-leads-to", "account", account.to_string()).into_owned(),
        },
    }
}
