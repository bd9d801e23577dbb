//! What operators do, by a token of the scope `operate`. One-time links and second factors are not for tokens.
//!
//! | file | what it does |
//! |---|---|
//! | `accounts.rs`, `domains.rs`, `plans.rs` | the directory |
//! | `dns.rs` | what is to stand in the DNS |
//! | `queue.rs` | mail that waits |
//! | `house.rs` | counts, traffic, relay windows, search, where a mail is, changes |

pub(crate) mod accounts;
pub(crate) mod dns;
pub(crate) mod domains;
pub(crate) mod house;
pub(crate) mod plans;
pub(crate) mod queue;

use crate::routes::Routes;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .with(house::routes)
        .with(accounts::routes)
        .with(domains::routes)
        .with(dns::routes)
        .with(plans::routes)
        .with(queue::routes)
}
