//! The API for programs, under [`BELOW`]: the same service calls as the pages', with the same permissions. A program
//! brings a token that its owner made on the page; cookies do not count here.
//!
//! What is sent and answered are types of their own (`snake_case`, times by RFC 3339), never those that travel between
//! roles: so these may change, and programs go on. A change says which version of a thing it changes (`If-Match`),
//! so nobody's change is lost; what cannot be done is told by RFC 9457 (`trouble.rs`). Nothing here counts requests:
//! the role has no state, and what costs something has its limits where it is done (failed logins, mails that ask for
//! consent, accounts' sending).
//!
//! | file | what it does |
//! |---|---|
//! | `exchange.rs` | how requests are read and answers written |
//! | `condition.rs` | `ETag`, `If-Match`, `If-None-Match` |
//! | `moment.rs` | times |
//! | `account.rs`, `addresses.rs`, `mail.rs`, `absence.rs` | a member's own things |
//! | `life.rs` | what happened to a message |
//! | `operator/` | what operators do |
//! | `page.rs` | the description, for programs and for people |
//! | `document.rs` | writes the description for programs, in a test |

mod absence;
mod account;
mod addresses;
mod condition;
#[cfg(test)]
mod document;
mod exchange;
mod life;
mod mail;
mod moment;
mod operator;
mod page;

use crate::routes::Routes;

pub(crate) use exchange::takes_json;

/// Below what all paths of the API are.
pub(crate) const BELOW: &str = "/api/v1/";

/// Whether a path (and query) is the API's, where known or not.
pub(crate) fn is_below(path: &str) -> bool {
    path.starts_with(BELOW)
}

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .with(page::routes)
        .with(account::routes)
        .with(addresses::routes)
        .with(mail::routes)
        .with(absence::routes)
        .with(operator::routes)
}
