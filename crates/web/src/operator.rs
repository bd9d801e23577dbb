//! The operators' pages: the whole house, and to rule it.
//!
//! | file | what it shows |
//! |---|---|
//! | `overview.rs` | the house at a glance, and what is amiss |
//! | `search.rs` | whatever has a text in it |
//! | `accounts.rs`, `account/` | customers |
//! | `domains.rs`, `plans.rs` | what is served here, and what accounts may |
//! | `queue.rs`, `queue/` | mail that waits |
//! | `traffic.rs` | what came and went |
//! | `health.rs` | certificate, name servers, version |
//! | `audit.rs`, `trace.rs` | what was changed, and what became of a message |
//!
//! What cannot be undone is done on a page of its own, which says what it means (`confirm.rs`), and after the
//! operator proved anew who he is.

mod account;
mod accounts;
mod allowances;
mod audit;
mod confirm;
mod domains;
#[cfg(test)]
mod every_page;
mod health;
mod overview;
mod plans;
pub(crate) mod queue;
mod search;
mod trace;
mod traffic;

use crate::figures::Clock;
use crate::routes::Routes;
use crate::visitor::Visitor;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .with(overview::routes)
        .with(search::routes)
        .with(accounts::routes)
        .with(account::routes)
        .with(domains::routes)
        .with(plans::routes)
        .with(queue::routes)
        .with(traffic::routes)
        .with(health::routes)
        .with(audit::routes)
        .with(trace::routes)
}

/// The parts of these pages, and the keys of their names.
const PARTS: [(&str, &str); 9] = [
    ("/operator", "operator-part-overview"),
    ("/operator/queue", "operator-part-queue"),
    ("/operator/mail", "operator-part-mail"),
    ("/operator/traffic", "operator-part-traffic"),
    ("/operator/accounts", "operator-part-accounts"),
    ("/operator/domains", "operator-part-domains"),
    ("/operator/plans", "operator-part-plans"),
    ("/operator/health", "operator-part-health"),
    ("/operator/audit", "operator-part-audit"),
];

/// The parts, and which of them a page at this path belongs to.
pub(crate) fn parts(path: &str) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    let path = path.split('?').next().unwrap_or_default();
    // The form of a new thing belongs to the list of what there is.
    let path = path.replace("/operator/new-", "/operator/");
    PARTS.into_iter().map(move |(part, key)| {
        let rest = path.strip_prefix(part);
        let plural = rest.is_none() && part.strip_suffix('s') == Some(&path);
        let below = rest.is_some_and(|rest| rest.is_empty() || part != "/operator" && rest.starts_with('/'));
        (part, key, below || plural)
    })
}

/// The clock by which this visitor's page shows times.
fn clock(visitor: &Visitor) -> Clock {
    Clock::at(visitor.house.site().zone, visitor.words)
}

/// A text as part of a query.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_belongs_to_one_part() {
        for (path, part) in [
            ("/operator", "/operator"),
            ("/operator?done=saved", "/operator"),
            ("/operator/accounts/abc/state?state=active", "/operator/accounts"),
            ("/operator/new-account", "/operator/accounts"),
            ("/operator/new-domain", "/operator/domains"),
            ("/operator/new-plan", "/operator/plans"),
            ("/operator/queue/act?act=hold", "/operator/queue"),
            ("/operator/mail/2fzqd", "/operator/mail"),
        ] {
            let here: Vec<_> = parts(path).filter(|(.., here)| *here).map(|(part, ..)| part).collect();
            assert_eq!(here, [part], "{path}");
        }
    }
}
