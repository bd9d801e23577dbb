//! SMTP (RFC 5321): commands, replies and the server session, without sockets.
//!
//! A [`Session`] is the whole of a server's side of one connection, but for the connection: octets
//! and verdicts go in, [`Action`]s come out, and time is an argument. What reads and writes, asks
//! the directory and fills the queue is a thin shell around it:
//!
//! ```text
//! loop {
//!     while let Some(action) = session.next_action(now, wall) {
//!         match action {
//!             Action::Send(octets)     => write them,
//!             Action::Judge(address)   => session.judged(may this client send there?),
//!             Action::Open(envelope)   => session.opened(a name for the message),
//!             Action::Append(data)     => more of the message,
//!             Action::Commit           => session.committed(is it durable?),
//!             Action::Discard          => forget the message,
//!             Action::StartTls         => shake hands, then session.tls_started(..),
//!             Action::Log(event)       => one line in the log,
//!             Action::Close            => done,
//!         }
//!     }
//!     read until session.deadline(), then session.receive(..), .end_of_input() or .timed_out()
//! }
//! ```
//!
//! A message is ended by CRLF `.` CRLF and by nothing else, and one with a CR or LF that stands
//! alone is refused: so no two servers can see different messages in it (SMTP smuggling).
#![forbid(unsafe_code)]

pub mod action;
pub mod command;
pub mod data;
pub mod extensions;
pub mod replies;
pub mod reply;
pub mod settings;

mod command_lines;
mod draft;
mod session;

pub use action::{Action, Event, NotAccepted, Refused};
pub use draft::Fault;
pub use reply::Reply;
pub use session::Session;
pub use settings::{Mode, Peer, Settings, TlsInfo};
