//! What the session asks of its shell, and what the shell may answer.

use bytes::Bytes;
use thiserror::Error;

use crate::credentials::Credentials;

/// What the shell has to do next. [`Session::next_action`](crate::Session::next_action) gives it.
#[derive(Debug)]
pub enum Action {
    /// Send these octets: all responses that are ready, at most [`SEND_MAX`](crate::SEND_MAX).
    Send(Bytes),
    /// Check the password, lock the maildrop and measure its messages (RFC 1939 §4); then call
    /// [`Session::logged_in`](crate::Session::logged_in).
    Login(Credentials),
    /// Name the unique-id of every message, deleted ones too; then call
    /// [`Session::uids`](crate::Session::uids). Asked at most once a session.
    Uids,
    /// Send a message, or say why not; then call
    /// [`Session::transmitted`](crate::Session::transmitted).
    Transmit(Transmit),
    /// Remove these messages (rising indices into the maildrop; none is possible) for good and let
    /// go of the maildrop: the UPDATE state of RFC 1939 §6; then call [`Session::removed`](crate::Session::removed).
    Remove(Vec<usize>),
    /// Negotiate TLS; then call [`Session::tls_started`](crate::Session::tls_started), or close
    /// the connection if that fails.
    StartTls,
    /// Close the connection and let go of the maildrop. Nothing follows.
    Close,
}

/// A message to send.
///
/// Open the message first: while that fails, the client can still be told `-ERR`. Then send
/// `opening`, and the message through [`Encoder`](crate::encode::Encoder); both fit one buffer, so
/// a small message is one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Which message: an index into the sizes that the maildrop was made of, from 0.
    pub index: usize,
    /// For TOP, how many lines of the body; `None` for RETR, which sends all.
    pub body_lines: Option<u64>,
    /// Whether the client takes UTF-8 in headers (RFC 6856 §2.1).
    pub utf8: bool,
    /// The line `+OK …` that goes before the message.
    pub opening: Bytes,
}

/// Why nobody was logged in. The words for the client stand in `responses.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LoginFailure {
    /// No such user, or the password is wrong: which of the two is not told.
    #[error("wrong user name or password")]
    Credentials,
    /// The password is right, but the account may not log in.
    #[error("the account is suspended")]
    Suspended,
    /// Another session holds the maildrop.
    #[error("the maildrop is in use")]
    InUse,
    /// Passing trouble: try again later.
    #[error("the login cannot be checked now")]
    Unavailable,
    /// The maildrop is missing or damaged: somebody has to mend it.
    #[error("the maildrop cannot be opened")]
    Maildrop,
}

/// Why a message was not sent, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotTransmitted {
    /// It is no longer there, or cannot be opened. Nothing was sent.
    #[error("the message cannot be opened")]
    Gone,
    /// Passing trouble: try again later. Nothing was sent.
    #[error("the message cannot be read now")]
    Unavailable,
    /// It has UTF-8 in its header and the client did not ask for that. Nothing was sent.
    #[error("the message needs UTF-8 mode")]
    NeedsUtf8,
    /// Something was sent, but not all. Only closing the connection tells the client so.
    #[error("the message broke off")]
    BrokenOff,
}

/// What was asked for is not to be had now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not available now")]
pub struct Unavailable;

/// Some of the messages to remove are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("some deleted messages were not removed")]
pub struct NotRemoved;
