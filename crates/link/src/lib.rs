//! Frames and typed calls between the roles.
//!
//! Roles are processes that do not trust one another. They meet over Unix stream sockets that the
//! supervisor makes and hands to both ends; when a role dies, its peers get a new socket
//! ([`Client::attach`]) and go on. What travels is one enum per service ([`services`]), mail data
//! beside it as raw octets, and descriptors where a peer may read a file but not open one.
//!
//! | file | |
//! |---|---|
//! | `frame.rs` | the octets of a frame, its version and its limit |
//! | `wire.rs` | frames in and out of a socket, with descriptors |
//! | `client.rs` | calls, many at a time over one socket |
//! | `server.rs` | answers, from whatever thread has them |
//! | `blocking.rs` | one call at a time, for the command line |
//! | `grant.rs` | proof that the directory let somebody in |
#![forbid(unsafe_code)]

pub mod blocking;
pub mod client;
pub mod frame;
pub mod grant;
pub mod server;
pub mod services;
pub mod wire;

pub use client::{CallError, Client};
pub use frame::{Frame, FrameError, Kind, Parcel};
pub use server::{Broadcast, Events, Responder, Turns, serve};

/// What one role offers to others: the types that travel.
pub trait Service: Send + Sync + 'static {
    /// The service's name in log lines.
    const NAME: &'static str;
    /// What a caller asks.
    type Request: serde::Serialize + serde::de::DeserializeOwned + Send + 'static;
    /// What it is answered.
    type Response: serde::Serialize + serde::de::DeserializeOwned + Send + 'static;
    /// What the service says unasked, to all that are connected.
    type Event: serde::Serialize + serde::de::DeserializeOwned + Send + 'static;
}
