//! Mail to other hosts: where it goes, in which order hosts are tried, and what came of it.
//!
//! | file | what it knows |
//! |---|---|
//! | [`routes`] | what the operator says of the way to a domain, as qmail's `smtproutes` |
//! | [`dns`] | the questions that are asked of the DNS, and a resolver that asks them |
//! | [`mx`] | which hosts take mail for a domain, in which order (RFC 5321 §5.1) |
//! | [`tls`] | how TLS is started with them |
//! | [`body`] | mail data in memory or in a file |
//! | [`connection`] | one connection: what [`smtp::client::Session`] asks, done |
//! | `pool` | connections that wait for another message |
//! | `peers` | hosts that are down, and what others cannot cope with |
//! | [`destinations`] | how many messages may be on their way to a domain, and when none |
//! | [`delivery`] | all of that together: a message to the recipients of one domain |
//! | [`outcome`] | what became of each recipient, and why |
//!
//! A role has one [`Remote`] and calls [`Remote::deliver`] from as many tasks as it likes.
//!
//! No file is opened here, so a role without file access can do all of this: name servers come as a
//! list, certificates of authorities as a parameter, sockets from a [`Connector`].
#![forbid(unsafe_code)]

pub mod body;
pub mod connection;
pub mod delivery;
pub mod destinations;
pub mod dns;
pub mod mx;
pub mod outcome;
pub mod routes;
pub mod tls;

mod peers;
mod pool;

pub use body::Body;
pub use connection::{Connector, Direct};
pub use delivery::{Message, Remote, Settings};
pub use destinations::{Health, Pace};
pub use dns::{Dns, DnsError, Memory, Resolver};
pub use mx::{Hosts, MailHost, OwnAddresses, Unroutable};
pub use outcome::{Diagnosis, Outcome};
pub use routes::{NextHop, Route, Routes, TlsPolicy};
pub use tls::Tls;
