//! What became of each recipient, and why.

use std::fmt;

use message::Status;
use thiserror::Error;

use super::action::Step;
use super::reply::{Reply, ReplyError};

/// The end of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What became of each recipient, in the transaction's order.
    pub outcomes: Vec<Outcome>,
    /// Whether another message can be sent on this connection.
    pub reusable: bool,
    /// Whether the server announced DSN: then it was told what the sender wishes for reports, and writes them
    /// (RFC 3461 §5.2.2).
    pub dsn: bool,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server has taken the message for him, and said this.
    Delivered {
        /// To the end of the message.
        reply: Reply,
    },
    /// He will never get it this way.
    Failed(Reason),
    /// Not now.
    Deferred {
        /// Why.
        reason: Reason,
        /// When and where it may be tried again.
        retry: Retry,
    },
}

/// When and where a message that was deferred may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Later.
    Later,
    /// At another host of the same domain, at once.
    NextHost,
    /// In another transaction on the same connection, at once: the server takes only so many
    /// recipients in one (RFC 5321 §4.5.3.1.10).
    NextTransaction,
}

/// Why something was not done: a status code for reports (RFC 3463), and what happened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{cause}")]
pub struct Reason {
    /// Of class 5 in [`Outcome::Failed`], of class 4 elsewhere.
    pub status: Status,
    /// What happened.
    pub cause: Cause,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Cause {
    /// The server said no, or not now, or what makes no sense at this step.
    #[error("the server answered to {step}: {reply}")]
    Refused {
        /// To what.
        step: Step,
        /// Its words.
        reply: Reply,
    },
    /// The conversation broke.
    #[error("{breakage} ({step})")]
    Broken {
        /// Where.
        step: Step,
        /// How.
        breakage: Breakage,
    },
    /// TLS is required and not offered, or refused.
    #[error("the server does not offer TLS, which is required for it")]
    TlsNotOffered,
    /// The login may be sent under TLS only.
    #[error("the login for this server may only be sent under TLS, and there is none")]
    LoginWithoutTls,
    /// We have a login, and the server offers neither PLAIN nor LOGIN.
    #[error("the server offers no way to log in that we know (PLAIN or LOGIN)")]
    NoWayToLogIn,
    /// An address or the header needs SMTPUTF8 (RFC 6531).
    #[error("the server does not support internationalized addresses (SMTPUTF8), which the message needs")]
    NeedsSmtpUtf8,
    /// The message is larger than the server takes (RFC 1870 §6.1).
    #[error("the message has {size} octets and the server takes no more than {size_max}")]
    TooLarge {
        /// Its octets.
        size: u64,
        /// The most that the server takes.
        size_max: u64,
    },
}

/// How a conversation broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Breakage {
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server was silent for too long.
    #[error("the server did not answer in time")]
    TimedOut,
    /// What the server said is no reply.
    #[error("the server's answer cannot be understood: {0}")]
    Reply(#[from] ReplyError),
    /// The server said something unasked.
    #[error("the server answered before it was asked")]
    Unasked,
    /// Something came between the reply to STARTTLS and the handshake: somebody on the line may have
    /// put it there (RFC 3207 §6).
    #[error("something was put on the line before TLS was started")]
    Injection,
    /// The mail data could not be read to their end by us.
    #[error("the message could not be read to its end here")]
    Unreadable,
}

impl Outcome {
    /// Why not, unless it was delivered.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Outcome::Delivered { .. } => None,
            Outcome::Failed(reason) | Outcome::Deferred { reason, .. } => Some(reason),
        }
    }

    /// What the server said, if that is what decided.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Outcome::Delivered { reply } => Some(reply),
            Outcome::Failed(reason) | Outcome::Deferred { reason, .. } => reason.reply(),
        }
    }

    /// Whether the server may have the message though it did not say so: another attempt may make a
    /// duplicate, and none would risk losing it.
    pub fn is_possibly_delivered(&self) -> bool {
        self.reason().is_some_and(Reason::is_possibly_delivered)
    }

    /// What a refusal means: 5xx never, all else not now.
    pub(super) fn refused(step: Step, reply: Reply, retry: Retry) -> Outcome {
        if reply.class() == 5 {
            return Outcome::Failed(Reason::refused(5, step, reply));
        }
        Outcome::Deferred { reason: Reason::refused(4, step, reply), retry }
    }
}

impl Reason {
    /// A reply that decided, as a reason of this class.
    pub(super) fn refused(class: u8, step: Step, reply: Reply) -> Reason {
        let own = reply.status().filter(|status| status.class() == class);
        let status = own.unwrap_or(match step {
            // The server's answers to these have no meaning for a recipient: delivery protocol status.
            Step::Rcpt(_) | Step::Mail | Step::Message | Step::Body if matches!(reply.class(), 4 | 5) => {
                Status::new(class, 0, 0)
            }
            _ => Status::new(class, 5, 0),
        });
        Reason { status, cause: Cause::Refused { step, reply } }
    }

    pub(super) fn broken(step: Step, breakage: Breakage) -> Reason {
        let status = match breakage {
            Breakage::Closed | Breakage::TimedOut => Status::new(4, 4, 2),
            Breakage::Reply(_) | Breakage::Unasked => Status::new(4, 5, 0),
            Breakage::Injection => Status::new(4, 7, 0),
            Breakage::Unreadable => Status::new(4, 3, 0),
        };
        Reason { status, cause: Cause::Broken { step, breakage } }
    }

    /// What the server said, if that is what decided.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.cause {
            Cause::Refused { reply, .. } => Some(reply),
            _ => None,
        }
    }

    /// As [`Outcome::is_possibly_delivered`].
    pub fn is_possibly_delivered(&self) -> bool {
        matches!(self.cause, Cause::Broken { step: Step::Message, .. })
    }
}

impl fmt::Display for Outcome {
    /// In a sentence, as for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Delivered { reply } => write!(f, "delivered: {reply}"),
            Outcome::Failed(reason) => write!(f, "failed: {reason}"),
            Outcome::Deferred { reason, .. } if reason.is_possibly_delivered() => {
                write!(f, "deferred, possibly delivered: {reason}")
            }
            Outcome::Deferred { reason, .. } => write!(f, "deferred: {reason}"),
        }
    }
}
