//! What a session asks of its shell.

use bytes::Bytes;
use envelope::{Address, Envelope, QueueId, ReversePath};

use crate::reply::Reply;

/// Something for the shell to do. Those that say so want an answer, and the session does nothing
/// else until it has one.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send these octets: one or more replies.
    Send(Bytes),
    /// Ask whether the client may send to this address, then call [`Session::judged`].
    ///
    /// [`Session::judged`]: crate::Session::judged
    Judge(Address),
    /// A message for this envelope begins: give it a name, then call [`Session::opened`].
    ///
    /// [`Session::opened`]: crate::Session::opened
    Open(Envelope),
    /// More of the message, dots undone, line ends as CRLF. The first piece is its Received field.
    Append(Bytes),
    /// The message is complete: make it durable, then call [`Session::committed`].
    ///
    /// [`Session::committed`]: crate::Session::committed
    Commit,
    /// The message is refused, or its client is gone: forget it.
    Discard,
    /// Start TLS as the server, then call [`Session::tls_started`], or drop the connection if it
    /// fails. What the client had sent before is gone.
    ///
    /// [`Session::tls_started`]: crate::Session::tls_started
    StartTls,
    /// Something that deserves a line in the log.
    Log(Event),
    /// Close the connection. Nothing follows.
    Close,
}

/// Why the queue did not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAccepted {
    /// There is no room.
    StorageFull,
    /// The disk failed, or the queue is away.
    TryLater,
}

/// Something that deserves a line in the log. None has content of a message in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A message is ours now.
    Accepted {
        /// Its name.
        id: QueueId,
        /// Its size in octets as it came, without our Received field.
        size: u64,
    },
    /// A sender, a recipient or a message was refused.
    Refused(Refused),
    /// The client made too many errors, and was sent away.
    TooManyErrors,
    /// The client was silent for too long, or its message took too long, and was sent away.
    TimedOut {
        /// Whether it was in the middle of a message.
        in_message: bool,
    },
    /// The client went away without QUIT.
    Vanished {
        /// Whether it was in the middle of a message.
        in_message: bool,
    },
    /// Input stood behind STARTTLS in clear text: somebody may be injecting commands (RFC 3207 §6).
    InputAfterStartTls,
}

/// A sender, a recipient or a message that was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The sender.
    pub reverse_path: Option<ReversePath>,
    /// The recipient, if it was this one.
    pub recipient: Option<Address>,
    /// The message, if it had begun.
    pub id: Option<QueueId>,
    /// What the client was told.
    pub reply: Reply,
}
