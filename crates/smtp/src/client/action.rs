//! What a session asks of its shell.

use std::fmt;

use bytes::Bytes;

use super::outcome::{Reason, Settled};
use super::reply::Reply;

/// Something for the shell to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write these octets. Those of several actions in a row may go out in one write, and should.
    Send(Bytes),
    /// Start TLS on the connection, then call [`Session::tls_started`]; if it fails, close.
    ///
    /// [`Session::tls_started`]: super::Session::tls_started
    StartTls,
    /// The server is greeted: call [`Session::send`] or [`Session::quit`], at any time.
    ///
    /// [`Session::send`]: super::Session::send
    /// [`Session::quit`]: super::Session::quit
    Ready,
    /// The server wants the mail data: give them with [`Session::data`] and [`Session::end_of_data`].
    ///
    /// [`Session::data`]: super::Session::data
    /// [`Session::end_of_data`]: super::Session::end_of_data
    Data,
    /// The transaction has ended. The session is ready for another one if it says so.
    Settled(Settled),
    /// The server said this; nothing is to be done.
    Report(Step, Reply),
    /// The session ends without a transaction under way: nothing can be sent here now.
    Failed(Reason),
    /// Close the connection. Nothing follows.
    Close,
}

/// What the server was asked when it answered, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The connection was made.
    Greeting,
    /// EHLO.
    Ehlo,
    /// HELO, after EHLO was refused.
    Helo,
    /// STARTTLS.
    StartTls,
    /// AUTH, or a response within it.
    Auth,
    /// RSET.
    Rset,
    /// MAIL.
    Mail,
    /// RCPT, for the recipient with this number.
    Rcpt(usize),
    /// DATA.
    Data,
    /// The mail data are on their way; their end was not sent.
    Body,
    /// The end of the mail data was sent: from here on the server may have the message.
    Message,
    /// QUIT.
    Quit,
    /// Nothing: the connection was idle.
    Idle,
}

impl fmt::Display for Step {
    /// The command as people know it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Greeting => "greeting",
            Step::Ehlo => "EHLO",
            Step::Helo => "HELO",
            Step::StartTls => "STARTTLS",
            Step::Auth => "AUTH",
            Step::Rset => "RSET",
            Step::Mail => "MAIL",
            Step::Rcpt(_) => "RCPT",
            Step::Data => "DATA",
            Step::Body => "message",
            Step::Message => "end of message",
            Step::Quit => "QUIT",
            Step::Idle => "idle",
        })
    }
}
