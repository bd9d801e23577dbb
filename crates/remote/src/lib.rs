//! Mail to other hosts: where it goes, in which order hosts are tried, and what came of it.
//!
//! | file | what it knows |
//! |---|---|
//! | [`routes`] | what the operator says of the way to a domain, as qmail's `smtproutes` |
//! | [`dns`] | the questions that are asked of the DNS, and a resolver that asks them |
//! | [`mx`] | which hosts take mail for a domain, in which order (RFC 5321 §5.1) |
//!
//! No file is opened here, so a role without file access can do all of this: name servers come as a
//! list, certificates of authorities as a parameter, sockets from a [`Connector`].
#![forbid(unsafe_code)]

pub mod dns;
pub mod mx;
pub mod routes;

pub use dns::{Dns, DnsError, Resolver};
pub use mx::{Hosts, MailHost, OwnAddresses, Unroutable};
pub use routes::{NextHop, Route, Routes, TlsPolicy};
