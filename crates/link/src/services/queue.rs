//! `queue`: take this message, and what lies there.

use envelope::{AccountName, Envelope, LimitReached, QueueId, ReversePath};
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::grant::RelayGrant;

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
    /// Messages in the order of their ids, from the first after `after`, at most `limit`.
    List {
        /// The last id already seen.
        after: Option<QueueId>,
        /// How many.
        limit: u32,
    },
    /// All about one message.
    Show(QueueId),
    /// Counts.
    Stats,
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
    /// Some messages.
    Listed(Vec<Summary>),
    /// One message; `None` if it is not in the queue.
    Shown(Option<Box<Details>>),
    /// Counts.
    Stats(Stats),
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

/// A waiting message in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Its name.
    pub id: QueueId,
    /// When it came, in seconds since 1970.
    pub arrived: u64,
    /// Its size in octets.
    pub size: u64,
    /// Where bounces go.
    pub reverse_path: ReversePath,
    /// The customer who sent it; `None` for a stranger's message and for one of our own.
    pub account: Option<AccountName>,
    /// How many recipients are still to be served.
    pub waiting: u32,
    /// How many are done, delivered or bounced.
    pub done: u32,
    /// When it is tried next, in seconds since 1970; `None` while it is being tried.
    pub next_attempt: Option<u64>,
}

/// A waiting message in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The line of the list.
    pub summary: Summary,
    /// Each recipient.
    pub recipients: Vec<RecipientDetails>,
}

/// One recipient of a waiting message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientDetails {
    /// The address.
    pub address: String,
    /// What became of it.
    pub state: RecipientState,
    /// How often it was tried.
    pub attempts: u32,
    /// What was said at the last attempt.
    pub last_reply: String,
}

/// What became of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecipientState {
    /// Still to be tried.
    Waiting,
    /// Delivered.
    Delivered,
    /// Failed for good.
    Failed,
}

/// Counts of the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Messages.
    pub messages: u64,
    /// Of these, being tried now.
    pub in_flight: u64,
    /// Octets of living messages.
    pub octets: u64,
    /// When the oldest came, in seconds since 1970.
    pub oldest: Option<u64>,
    /// Segments of the log on disk.
    pub segments: u64,
    /// Accepted since the role started.
    pub accepted: u64,
    /// Deliveries since the role started.
    pub delivered: u64,
    /// Recipients that failed for good since the role started.
    pub failed: u64,
    /// Attempts that were put off since the role started.
    pub deferred: u64,
}
