//! A message as it is handed in and handed out, and what becomes of its recipients.

use std::sync::Arc;

use bytes::Bytes;
use envelope::{AccountName, Envelope, Provenance, QueueId, ReversePath};
use serde::{Deserialize, Serialize};

use crate::blob::SealedBlob;
use crate::note::Slot;

/// The most octets of a peer's reply that are kept; the rest is cut off.
pub const REPLY_MAX: usize = 256;

/// The largest body that belongs in the log, in octets: a larger one goes by
/// [`Queue::blob`](crate::Queue::blob).
pub const INLINE_MAX: usize = 256 << 10;

/// A message to be taken in.
#[derive(Debug)]
pub struct NewMessage {
    /// Its name. A name that the queue holds, or has retired of late, is the same message again.
    pub id: QueueId,
    /// From whom, to whom.
    pub envelope: Envelope,
    /// Where it comes from.
    pub provenance: Provenance,
    /// When it came, in microseconds since 1970.
    pub arrival: u64,
    /// Its mail data.
    pub body: Body,
}

/// The mail data of a message to be taken in.
#[derive(Debug)]
pub enum Body {
    /// Up to about [`INLINE_MAX`] octets, in pieces as they came. They are written from where
    /// they lie and kept for the first attempt, so they should not pin much larger buffers.
    Inline(Vec<Bytes>),
    /// More than that.
    Blob(SealedBlob),
}

/// A message to be delivered. `F` is the storage's file.
#[derive(Debug)]
pub struct Message<F> {
    /// Its name.
    pub id: QueueId,
    /// From whom, to whom.
    pub envelope: Arc<Envelope>,
    /// Where it comes from.
    pub provenance: Arc<Provenance>,
    /// When it came, in microseconds since 1970.
    pub arrival: u64,
    /// Its mail data.
    pub body: StoredBody<F>,
    /// What became of each recipient so far, by the numbers of the envelope.
    pub recipients: Vec<RecipientState>,
}

/// The mail data of a message in the queue.
#[derive(Debug)]
pub enum StoredBody<F> {
    /// In memory, in pieces.
    Memory(Vec<Bytes>),
    /// In a file of its own: all of it.
    File {
        /// Open to read.
        file: F,
        /// Octets.
        length: u64,
    },
}

/// What became of one recipient so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientState {
    /// Where it stands.
    pub status: RecipientStatus,
    /// How often it was tried; counting stops at 65,535.
    pub attempts: u16,
    /// Whether the sender was told here that the message takes long.
    pub delay_told: bool,
    /// What was said at the last attempt, at most [`REPLY_MAX`] octets.
    pub last_reply: Box<str>,
}

/// Where one recipient stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientStatus {
    /// To be tried when its time has come.
    Waiting {
        /// In seconds since 1970.
        next_attempt: u32,
    },
    /// Delivered.
    Delivered,
    /// Failed for good.
    Failed,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientOutcome {
    /// Delivered, durably.
    Delivered {
        /// What the peer said.
        reply: String,
    },
    /// It never will be.
    Failed {
        /// What the peer said, or why.
        reply: String,
    },
    /// Not now.
    Deferred {
        /// When to try again, in seconds since 1970; [`next_attempt`](crate::schedule::next_attempt)
        /// knows.
        until: u64,
        /// What the peer said, or why.
        reply: String,
        /// The sender is told that the message takes long, by one of the messages recorded with this.
        delay_told: bool,
    },
}

/// Recipients whose time has come. They are in flight until
/// [`Queue::record`](crate::Queue::record) or [`Queue::release`](crate::Queue::release).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The message.
    pub id: QueueId,
    /// Their numbers in the envelope.
    pub recipients: Vec<u32>,
}

/// A message of the queue in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub id: QueueId,
    /// When it came, in seconds since 1970.
    pub arrival: u64,
    /// Its mail data in octets.
    pub size: u64,
    /// Where bounces go; `None` if the log cannot be read there.
    pub reverse_path: Option<ReversePath>,
    /// Whose limits it counted against; `None` for nobody's, or if the log cannot be read there.
    pub account: Option<AccountName>,
    /// Recipients still to be served, those in flight among them.
    pub waiting: u32,
    /// Of these, in flight.
    pub in_flight: u32,
    /// Recipients delivered or failed.
    pub done: u32,
    /// Whether an operator holds it.
    pub held: bool,
    /// When it is tried next if it is not held, in seconds since 1970; `None` while all that is left is
    /// in flight.
    pub next_attempt: Option<u64>,
}

/// A message of the queue in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The line of the list.
    pub summary: Summary,
    /// From whom, to whom.
    pub envelope: Arc<Envelope>,
    /// Where it comes from.
    pub provenance: Arc<Provenance>,
    /// What became of each recipient so far, by the numbers of the envelope.
    pub recipients: Vec<RecipientState>,
}

/// Counts of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Messages in the queue.
    pub messages: u64,
    /// Of these, with a recipient in flight.
    pub in_flight: u64,
    /// Of these, held by an operator.
    pub held: u64,
    /// Octets of their mail data.
    pub bytes: u64,
    /// When the one with the lowest id came, in seconds since 1970.
    pub oldest: Option<u64>,
    /// Segments of the log that are in use.
    pub segments: u64,
    /// Octets in these that living messages take.
    pub live_bytes: u64,
    /// Octets of mail data kept in memory.
    pub hot_bytes: u64,
    /// Messages accepted since the queue was opened.
    pub accepted: u64,
    /// Recipients delivered since the queue was opened.
    pub delivered: u64,
    /// Recipients that failed for good since the queue was opened.
    pub failed: u64,
    /// Attempts deferred since the queue was opened.
    pub deferred: u64,
    /// Commits made durable since the queue was opened.
    pub syncs: u64,
}

impl Summary {
    /// With what stands in the message's head.
    pub(crate) fn with_head(self, envelope: &Envelope, provenance: &Provenance) -> Summary {
        Summary {
            reverse_path: Some(envelope.reverse_path().clone()),
            account: provenance.account.clone(),
            ..self
        }
    }
}

impl RecipientState {
    /// One that was never tried and is due at once.
    pub(crate) fn fresh(arrival: u32) -> RecipientState {
        RecipientState {
            status: RecipientStatus::Waiting { next_attempt: arrival },
            attempts: 0,
            delay_told: false,
            last_reply: Box::default(),
        }
    }
}

impl RecipientOutcome {
    /// The state after an attempt with this outcome, where it was `before`.
    pub(crate) fn into_state(self, before: Slot) -> RecipientState {
        let mut delay_told = before.delay_told;
        let (status, reply) = match self {
            RecipientOutcome::Delivered { reply } => (RecipientStatus::Delivered, reply),
            RecipientOutcome::Failed { reply } => (RecipientStatus::Failed, reply),
            RecipientOutcome::Deferred { until, reply, delay_told: told } => {
                delay_told |= told;
                (RecipientStatus::Waiting { next_attempt: seconds(until) }, reply)
            }
        };
        let attempts = before.attempts.saturating_add(1);
        RecipientState { status, attempts, delay_told, last_reply: cut(reply) }
    }
}

/// Seconds since 1970 as the index keeps them: good until 2106, and later is never.
pub(crate) fn seconds(unix_seconds: u64) -> u32 {
    u32::try_from(unix_seconds).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

/// The first [`REPLY_MAX`] octets of a reply, not within a character.
fn cut(mut reply: String) -> Box<str> {
    reply.truncate(reply.floor_char_boundary(REPLY_MAX));
    reply.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reply_is_cut_between_characters() {
        assert_eq!(&*cut("ok".into()), "ok");
        let long = "é".repeat(REPLY_MAX);
        assert_eq!(cut(format!("a{long}")).len(), REPLY_MAX - 1);
    }

    #[test]
    fn attempts_are_counted_without_wrapping() {
        let deferred =
            RecipientOutcome::Deferred { until: u64::MAX, reply: "later".into(), delay_told: false };
        let state = deferred.into_state(Slot { attempts: u16::MAX, ..Slot::fresh(0) });
        assert_eq!(state.attempts, u16::MAX);
        assert_eq!(state.status, RecipientStatus::Waiting { next_attempt: u32::MAX - 1 });
    }
    #[test]
    fn that_the_sender_was_told_is_not_forgotten() {
        let deferred = |delay_told| RecipientOutcome::Deferred { until: 9, reply: String::new(), delay_told };
        let told = Slot::from(&deferred(true).into_state(Slot::fresh(0)));
        assert!(told.delay_told && deferred(false).into_state(told).delay_told);
        assert!(RecipientOutcome::Delivered { reply: String::new() }.into_state(told).delay_told);
        assert!(!deferred(false).into_state(Slot::fresh(0)).delay_told);
    }
}
