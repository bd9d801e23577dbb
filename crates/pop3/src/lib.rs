//! POP3 (RFC 1939): commands, responses and the session, without sockets, files or a clock.
//!
//! A shell owns the connection and the maildrop; [`Session`] decides. Octets go in by
//! [`Session::receive`]; [`Session::next_action`] says what to do: [`Action::Send`] these octets,
//! check this [`Action::Login`], [`Action::Transmit`] that message. Where an action asks something,
//! the shell answers with the method that the action names, and the dialogue goes on.
//!
//! ```text
//!  octets ─▶ lines ─▶ command ─▶ dialogue (authorization, transaction) ─▶ responses ─▶ Send
//!                                    │      ▲
//!                            Login … ▼      │ logged_in …            message ─▶ encode ─▶ client
//!                                     shell
//! ```
//!
//! Besides RFC 1939: CAPA, RESP-CODES and PIPELINING (RFC 2449), STLS (RFC 2595), AUTH-RESP-CODE
//! (RFC 3206), AUTH PLAIN (RFC 5034, RFC 4616), UTF8 and LANG (RFC 6856; English and Japanese).
//! APOP is left out: it needs passwords in clear on the server.
#![forbid(unsafe_code)]

pub mod encode;

mod action;
mod authorization;
mod capabilities;
mod command;
mod credentials;
mod dialogue;
mod language;
mod lines;
mod maildrop;
mod output;
mod plain;
mod responses;
mod session;
mod settings;
mod transaction;
mod uids;

pub use action::{Action, LoginFailure, NotRemoved, NotTransmitted, Transmit, Unavailable};
pub use credentials::Credentials;
pub use lines::LINE_MAX;
pub use maildrop::Maildrop;
pub use session::{SEND_MAX, Session};
pub use settings::{Channel, Settings};
pub use uids::{NotAUid, Uids};
