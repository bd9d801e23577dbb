//! Delivery to servers that behave badly, over real sockets on loopback, by names from a real name
//! server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod dns;
mod manners;
mod name_server;
mod peer;
mod tls;
mod world;
