//! SMTP (RFC 5321): commands, replies, the server session and the [`client`] session, without sockets.
//!
//! A [`Session`] is the whole of a server's side of one connection, but for the connection: octets
//! and verdicts go in, [`Action`]s come out, and time is an argument. What reads and writes, asks
//! the directory and fills the queue is a thin shell around it:
//!
//! ```text
//! loop {
//!     while let Some(action) = session.next_action(now, wall) {
//!         match action {
//!             Action::Send(octets)      => write them,
//!             Action::Authenticate(who) => session.authenticated(is the password right?),
//!             Action::ScramSalt { .. }  => session.scram_salt(the salt of this name, a nonce),
//!             Action::ScramProof { .. } => session.scram_proved(is the proof right?),
//!             Action::JudgeSender { .. } => session.sender_judged(may the customer send as this?),
//!             Action::Judge { .. }      => session.judged(may this client send there?),
//!             Action::Open { .. }       => session.opened(a name for the message),
//!             Action::OwnAddress(whose) => session.own_address(the customer's address),
//!             Action::JudgeAuthors { .. } => session.authors_judged(may the customer write as these?),
//!             Action::Append(data)      => more of the message,
//!             Action::Commit            => session.committed(is it durable?),
//!             Action::Discard           => forget the message,
//!             Action::StartTls          => shake hands, then session.tls_started(..),
//!             Action::Log(event)        => one line in the log,
//!             Action::Close             => done,
//!         }
//!     }
//!     read until session.deadline(), then session.receive(..), .end_of_input() or .timed_out()
//! }
//! ```
//!
//! A message is ended by CRLF `.` CRLF and by nothing else, and one with a CR or LF that stands
//! alone is refused: so no two servers can see different messages in it (SMTP smuggling).
//!
//! What strangers send passes as it is, under our Received field. A message with a
//! [`Sender`](envelope::Sender), because its client said who it is by AUTH or checked its mail a short
//! while ago, is a submission (RFC 6409): its header is held until it is known who its authors are,
//! and it gets the Date, Message-ID and From that it lacks.
#![forbid(unsafe_code)]

pub mod action;
pub mod client;
pub mod command;
pub mod credentials;
pub mod data;
pub mod extensions;
pub mod replies;
pub mod reply;
pub mod sasl;
pub mod settings;

mod command_lines;
mod draft;
mod session;
mod submission;

pub use action::{Action, Event, Judged, NotAccepted, Refused};
pub use credentials::{AuthenticationFailure, Credentials, ScramSalt, ServerSignature};
pub use draft::Fault;
pub use reply::Reply;
pub use sasl::Mechanism;
pub use session::Session;
pub use settings::{Mode, Peer, Settings, TlsInfo};
