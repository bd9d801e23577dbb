//! The client's side of one connection, without the connection.
//!
//! As the server's, a [`Session`] is a state machine: octets come in, [`Action`]s go out, time is an
//! argument. It carries one message after the other:
//!
//! ```text
//! loop {
//!     while let Some(action) = session.next_action(now) {
//!         match action {
//!             Action::Send(octets)       => write them,
//!             Action::StartTls           => shake hands, then session.tls_started(),
//!             Action::Ready              => session.send(a transaction) or .quit(),
//!             Action::Data               => session.data(a piece) for each, then .end_of_data(),
//!             Action::Settled(settled)   => what became of each recipient; Ready again if it says so,
//!             Action::Report(step, reply) => one line in the log, if anybody wants it,
//!             Action::Failed(reason)     => no message can be sent here,
//!             Action::Close              => done,
//!         }
//!     }
//!     read until session.deadline(), then session.receive(..), .end_of_input() or .timed_out()
//! }
//! ```
//!
//! Mail data are never copied: dots are doubled by cutting the data into slices that overlap.
//!
//! A reply counts only if its command went out before: what a server says unasked ends the session,
//! and what it says between its 220 to STARTTLS and the handshake too (RFC 3207 §6, reply injection).

pub mod extensions;
pub mod login;
pub mod outcome;
pub mod reply;
pub mod settings;
pub mod transaction;

mod action;
mod dots;
mod session;

pub use action::{Action, Step};
pub use extensions::Extensions;
pub use login::Login;
pub use outcome::{Breakage, Cause, Outcome, Reason, Retry, Settled};
pub use reply::{Reply, ReplyError};
pub use session::Session;
pub use settings::{Settings, StartTls, Timeouts};
pub use transaction::{Recipient, Transaction};
