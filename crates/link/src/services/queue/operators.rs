//! What operators ask of the queue, and order.
//!
//! Whatever may concern many messages goes by pages, so that mail flows meanwhile: each answer says where
//! to go on.

use envelope::dns::{DnsAnswer, DnsQuestion};
use envelope::{AccountName, Address, Filter, QueueId, ReversePath, Walk};
use serde::{Deserialize, Serialize};

use crate::services::remote::Destination;

/// What is asked or ordered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Question {
    /// The next messages that are meant.
    Find {
        /// Which are meant.
        filter: Filter,
        /// How far this has come.
        walk: Walk,
    },
    /// All about one message.
    Show(QueueId),
    /// Its mail data.
    Read(QueueId),
    /// Counts.
    Stats,
    /// Counts of the next messages that are meant, in groups.
    Count {
        /// What makes a group.
        by: Trait,
        /// Which are meant.
        filter: Filter,
        /// How far this has come.
        walk: Walk,
    },
    /// Do this with the next messages that are meant.
    Act {
        /// What.
        act: Act,
        /// With which.
        filter: Filter,
        /// How far this has come.
        walk: Walk,
    },
    /// How do the destinations of mail for other hosts do?
    Destinations,
    /// Try a destination again that is being left alone.
    Resume(String),
    /// What does the DNS say now? At most [`envelope::dns::QUESTIONS_MAX`] questions; those beyond are not asked.
    LookUp(Vec<DnsQuestion>),
}

/// What is done with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Whatever waits of them is due now.
    Retry,
    /// They are not tried until they are released.
    Hold,
    /// They go on, at the times they had.
    Release,
    /// The recipients that wait and are meant fail now, and the sender is told.
    Bounce,
    /// They are dropped, and nobody is told.
    Remove,
}

/// By what messages, and the recipients that they wait for, are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trait {
    /// The recipient's domain.
    Domain,
    /// The reverse-path.
    Sender,
    /// The customer who sent it.
    Account,
    /// What the last attempt said, without what differs from one message to the next.
    Reason,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    /// Some messages. There may be none though more are to come.
    Found {
        /// In the order of their names.
        messages: Vec<Summary>,
        /// Where to go on.
        progress: Progress,
    },
    /// One message; `None` if it is not in the queue.
    Shown(Option<Box<Details>>),
    /// The mail data are the raw part, or, if this is their size in octets, a descriptor that came along.
    Text {
        /// Octets of the file.
        file_size: Option<u64>,
    },
    /// Counts.
    Stats(Stats),
    /// Counts of some messages. A group may come again on a later page.
    Counted {
        /// Each that is not empty.
        groups: Vec<Group>,
        /// Where to go on.
        progress: Progress,
    },
    /// It was done with some messages.
    Acted {
        /// With these; so they stood before.
        touched: Vec<Summary>,
        /// Others that are meant, with which there was nothing to do: held already, say.
        untouched: u64,
        /// How many of all these are being tried at this moment, wholly or in part.
        in_hand: u64,
        /// Where to go on.
        progress: Progress,
    },
    /// Destinations in use or in trouble.
    Destinations(Vec<Destination>),
    /// As ordered.
    Done,
    /// What the DNS says to each question, in their order.
    LookedUp(Vec<DnsAnswer>),
    /// It cannot be done now: a sentence that says why.
    Unavailable(String),
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The last message that the walk will pass; the next walk may be made to end there too.
    pub until: Option<QueueId>,
    /// From where; `None` at the end.
    pub rest: Option<Walk>,
}

/// How many recipients a [`Summary`] names.
pub const NAMED_MAX: usize = 3;

/// A waiting message in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Its name.
    pub id: QueueId,
    /// When it came, in seconds since 1970.
    pub arrived: u64,
    /// Its size in octets.
    pub size: u64,
    /// Where bounces go; `None` if the log is damaged there.
    pub reverse_path: Option<ReversePath>,
    /// The customer who sent it; `None` for a stranger's message and for one of our own.
    pub account: Option<AccountName>,
    /// The first of the recipients that it waits for and that are meant, at most [`NAMED_MAX`].
    pub to: Vec<Address>,
    /// How many recipients are still to be served.
    pub waiting: u32,
    /// How many of them are being tried at this moment.
    pub in_hand: u32,
    /// How many are done, delivered or bounced.
    pub done: u32,
    /// Whether an operator holds it.
    pub held: bool,
    /// When it is tried next if it is not held, in seconds since 1970; `None` while all that is left is
    /// being tried.
    pub next_attempt: Option<u64>,
}

/// A waiting message in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The line of the list.
    pub summary: Summary,
    /// The message from outside that it was forwarded from.
    pub forwarded_from: Option<QueueId>,
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
    /// When it is tried next, in seconds since 1970; `None` if it is done.
    pub next_attempt: Option<u64>,
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

/// Messages that have something in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What; `None` where there is nothing, such as an account.
    pub name: Option<String>,
    /// How many.
    pub messages: u64,
    /// For how many recipients they wait.
    pub recipients: u64,
}

/// Counts of the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Messages.
    pub messages: u64,
    /// Of these, being tried now.
    pub in_flight: u64,
    /// Of these, held by an operator.
    pub held: u64,
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
