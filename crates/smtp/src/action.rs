//! What a session asks of its shell.

use bytes::Bytes;
use envelope::{AccountName, Address, Envelope, LimitReached, QueueId, Recipient, ReversePath, Sender};

use crate::credentials::{AuthenticationFailure, Credentials};
use crate::reply::Reply;
use crate::sasl::Mechanism;

/// Something for the shell to do. Those that say so want an answer, and the session does nothing
/// else until it has one.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send these octets: one or more replies.
    Send(Bytes),
    /// See whether the password is right, then call [`Session::authenticated`].
    ///
    /// [`Session::authenticated`]: crate::Session::authenticated
    Authenticate(Credentials),
    /// Look up with which salt this client's password is hashed, or make one up if there is no such
    /// name, then call [`Session::scram_salt`].
    ///
    /// [`Session::scram_salt`]: crate::Session::scram_salt
    ScramSalt {
        /// Whom the client says to be: neither folded nor checked.
        name: String,
    },
    /// See whether this proves that the client knows the password (RFC 5802 §3), then call
    /// [`Session::scram_proved`].
    ///
    /// [`Session::scram_proved`]: crate::Session::scram_proved
    ScramProof {
        /// Whom the client says to be, as before.
        name: String,
        /// `AuthMessage`.
        auth_message: String,
        /// `ClientProof`.
        proof: [u8; 32],
    },
    /// Ask whether a customer may send as this, then call [`Session::sender_judged`]. The null
    /// reverse-path is nobody's, and to be allowed: receipts have it.
    ///
    /// [`Session::sender_judged`]: crate::Session::sender_judged
    JudgeSender {
        /// What MAIL said.
        reverse_path: ReversePath,
        /// The customer, who said so by AUTH.
        sender: Sender,
    },
    /// Ask whether the client may send to this address, then call [`Session::judged`]. Where there is
    /// no sender yet, a relay window of the client's address may give one.
    ///
    /// [`Session::judged`]: crate::Session::judged
    Judge {
        /// What RCPT said.
        recipient: Address,
        /// What MAIL said: it tells which of several windows is meant.
        reverse_path: ReversePath,
        /// The size in octets that MAIL announced (RFC 1870 §6.1), to see whether there is room for it; 0
        /// where it announced none.
        size: u64,
        /// The customer whose message it is, if that is known already.
        sender: Option<Sender>,
    },
    /// A message for this envelope begins: give it a name, then call [`Session::opened`].
    ///
    /// [`Session::opened`]: crate::Session::opened
    Open {
        /// Its sender and recipients.
        envelope: Envelope,
        /// The customer whose message it is; `None` for a stranger's.
        sender: Option<Sender>,
    },
    /// A customer's message has neither a From field nor a reverse-path: say which address it is to
    /// bear, with [`Session::own_address`].
    ///
    /// [`Session::own_address`]: crate::Session::own_address
    OwnAddress(Sender),
    /// Ask whether a customer may write as each of these, then call [`Session::authors_judged`]. Once
    /// for each message of a customer that has a readable header.
    ///
    /// [`Session::authors_judged`]: crate::Session::authors_judged
    JudgeAuthors {
        /// The addresses in its From and Sender fields, in the one that we add where it has none,
        /// and whatever else a mail program might take for its author. Never empty.
        authors: Vec<Address>,
        /// The customer.
        sender: Sender,
    },
    /// More of the message, dots undone, line ends as CRLF. The first piece is its Received field,
    /// and that may be followed by fields that a customer's message lacks.
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

/// A recipient that was agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The recipient.
    pub recipient: Recipient,
    /// The customer whose relay window the client came through. From then on the transaction is his,
    /// and his alone. `Some` for a recipient of our own as well, so that his mail is held to the
    /// sender rule and completed wherever it goes.
    pub sender: Option<Sender>,
}

/// Why the queue did not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAccepted {
    /// There is no room.
    StorageFull,
    /// The disk failed, or the queue is away.
    TryLater,
    /// Its sender may not send any more: he was suspended just now.
    SenderDenied,
    /// It is larger than its sender's plan allows.
    TooLarge,
    /// Its sender has sent as much as he may for now.
    LimitReached(LimitReached),
}

/// Something that deserves a line in the log. None has content of a message in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A message is ours now.
    Accepted {
        /// Its name.
        id: QueueId,
        /// Its size in octets as it came, without the fields that we added.
        size: u64,
        /// The customer whose it is; `None` for a stranger's.
        account: Option<AccountName>,
    },
    /// A client showed who it is.
    LoggedIn {
        /// Who.
        sender: Sender,
        /// How.
        mechanism: Mechanism,
    },
    /// A client did not show who it is.
    LoginRefused {
        /// Whom it said to be, as it wrote it, if it came to that; without control characters.
        name: Option<String>,
        /// How it tried.
        mechanism: Mechanism,
        /// Why not.
        failure: AuthenticationFailure,
    },
    /// The client failed to show who it is so often that it was sent away.
    TooManyLoginFailures,
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
    /// The customer whose message it would have been, if it was one's.
    pub account: Option<AccountName>,
    /// What the client was told.
    pub reply: Reply,
}
