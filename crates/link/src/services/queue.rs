//! `queue`: take this message; and what operators ask and order.

pub mod operators;

use envelope::{Address, Envelope, Language, LimitReached, QueueId, Walk};
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::grant::{OperatorGrant, RelayGrant};
use crate::services::submit::Waiting;

/// The largest body that travels in one frame, in octets. A larger one goes by
/// [`Request::Begin`], [`Request::Append`] and [`Request::AcceptBlob`].
pub const INLINE_MAX: usize = 64 << 10;

/// The service of the role `queue`.
pub struct Queue;

impl Service for Queue {
    const NAME: &'static str = "queue";
    type Request = Request;
    type Response = Response;
    type Event = ();
}

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Accept this message; its mail data is the raw part. Said twice, it is kept once.
    Accept(Arrival),
    /// A body that is too large for one frame begins.
    Begin(QueueId),
    /// More of that body, in the raw part. The answer asks for the next piece.
    Append(QueueId),
    /// That body is complete: accept the message.
    AcceptBlob(Arrival),
    /// Forget that body.
    Discard(QueueId),
    /// The next of an account's own messages that wait.
    Waiting {
        /// Whose.
        of: RelayGrant,
        /// How far this has come.
        walk: Walk,
    },
    /// Write to an account's owner that a message of one of its programs was not sent, or several, which he was
    /// not told when he left them.
    NotSent {
        /// Whose.
        of: RelayGrant,
        /// When it was left, in seconds since 1970.
        left: u64,
        /// Why, and what to do about it.
        sentences: [String; 2],
        /// How many others were not sent either.
        others: u64,
    },
    /// An operator's, never a role's.
    Operator(operators::Question),
    /// An operator's who comes by the page.
    AsOperator(OperatorGrant, operators::Question),
    /// Ask the owner of a destination by mail whether he wants what an account forwards to him. Answered
    /// [`Response::Accepted`] or [`Response::NotAccepted`].
    AskConsent {
        /// Who forwards.
        of: RelayGrant,
        /// Of which address.
        address: String,
        /// Who is asked.
        destination: Address,
        /// The page's link by which he answers: an `https:` or `http:` address, at most 500 octets of visible ASCII.
        link: String,
        /// In which language (both stand in it; this one first).
        language: Language,
    },
}

/// A message that somebody hands in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arrival {
    /// Its name.
    pub id: QueueId,
    /// From whom, to whom.
    pub envelope: Envelope,
    /// When it came, in microseconds since 1970.
    pub arrived: u64,
    /// Leave for recipients that are not ours.
    pub relay: Option<RelayGrant>,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Response {
    /// It is on disk: it is ours now.
    Accepted(QueueId),
    /// It is not.
    NotAccepted(NotAccepted),
    /// The next piece may come.
    GoOn,
    /// Messages that wait, and how far the walk has come; done where `more` is none.
    Waiting {
        /// These.
        messages: Vec<Waiting>,
        /// What to ask next.
        more: Option<Walk>,
    },
    /// For an operator.
    Operator(operators::Answer),
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotAccepted {
    /// No room.
    StorageFull,
    /// The disk failed, or the queue is stopping.
    TryLater,
    /// A recipient is not ours, and no grant came along.
    Forbidden,
    /// Its sender may not send any more: he was suspended just now.
    SenderDenied,
    /// It is larger than its sender's plan allows, in octets.
    TooLarge(u64),
    /// Its sender has sent as much as he may for now.
    LimitReached(LimitReached),
}
