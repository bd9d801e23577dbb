//! What waits for the committer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use envelope::{Envelope, Provenance, QueueId};

use crate::blob::{BlobName, SealedBlob};
use crate::committer::Accepted;
use crate::error::NotAccepted;
use crate::frame::Location;
use crate::index::Retiring;
use crate::lock;
use crate::message::{Body, NewMessage, RecipientOutcome, RecipientState};
use crate::note::MessageNote;
use crate::record::{BodyPlace, MessageHead};
use crate::settings::Settings;

/// How long an outcome waits for company before it is written.
const LAZY: Duration = Duration::from_millis(10);

pub(crate) type AcceptDone = Box<dyn FnOnce(Result<Accepted, NotAccepted>) + Send>;
pub(crate) type Done = Box<dyn FnOnce(Result<(), NotAccepted>) + Send>;

/// One thing to be written, or to be told.
pub(crate) enum Item {
    /// A message from outside.
    Accept { message: Arriving, done: AcceptDone },
    /// What became of recipients, together with new messages or not at all. Memory changes when
    /// it is durable.
    Record { id: QueueId, outcomes: Vec<(u32, RecipientOutcome)>, new: Vec<Arriving>, done: Done },
    /// What became of recipients. Memory knows already; the disk may take a moment.
    Outcome { id: QueueId, changes: Vec<(u32, RecipientState)>, done: Vec<Done> },
    /// A message is done. Memory knows already; the disk may take a moment.
    Retire { retiring: Retiring, done: Vec<Done> },
    /// A message is held, or no longer. Memory knows already which; the disk may take a moment.
    Hold { id: QueueId },
    /// A living message is to stand at the head of the log.
    Relocate(Relocation),
    /// To be told when everything before is durable.
    Flush { done: Done },
}

impl Item {
    /// Whether somebody waits for the disk.
    pub fn is_urgent(&self) -> bool {
        !matches!(self, Item::Outcome { .. } | Item::Retire { .. } | Item::Hold { .. })
    }

    /// Refuses it, or lets go of it if nobody waits. Calls callers' code: hold no lock.
    pub fn refuse(self, why: NotAccepted) {
        match self {
            Item::Accept { done, .. } => tell(|| done(Err(why))),
            Item::Record { done, .. } | Item::Flush { done } => tell(|| done(Err(why))),
            Item::Outcome { done, .. } | Item::Retire { done, .. } => {
                done.into_iter().for_each(|done| tell(|| done(Err(why))));
            }
            Item::Hold { .. } | Item::Relocate(_) => {}
        }
    }
}

/// Calls back. A caller's panic is the caller's: mail goes on.
pub(crate) fn tell(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!("a callback of the queue panicked");
    }
}

/// A message on its way into the log, its head encoded.
pub(crate) struct Arriving {
    pub note: MessageNote,
    pub envelope: Arc<Envelope>,
    pub provenance: Arc<Provenance>,
    /// Microseconds since 1970.
    pub arrival: u64,
    pub head: Vec<u8>,
    pub body: ArrivingBody,
}

pub(crate) enum ArrivingBody {
    Inline(Vec<Bytes>),
    Blob(SealedBlob),
}

/// A message on its way to the head of the log.
pub(crate) struct Relocation {
    pub note: MessageNote,
    /// Where it was, and its last outcome: it moves only if both are still so.
    pub message: Location,
    pub outcome: Option<Location>,
    pub head: Vec<u8>,
    pub body: Bytes,
}

impl Arriving {
    pub fn new(message: NewMessage, settings: &Settings) -> Result<Arriving, NotAccepted> {
        let NewMessage { id, envelope, provenance, arrival, body } = message;
        if envelope.recipients().len() > settings.recipients_max() {
            return Err(NotAccepted::TooLarge);
        }
        let (body, place) = match body {
            Body::Inline(pieces) => {
                let length = pieces.iter().map(|piece| piece.len() as u64).sum();
                (ArrivingBody::Inline(pieces), BodyPlace::Inline { length })
            }
            Body::Blob(blob) => {
                let BlobName { id: owner, copy } = blob.name;
                if owner != id {
                    tracing::error!(queue_id = %id, blob = %owner, "a body was handed in with another message");
                    return Err(NotAccepted::Failed);
                }
                let length = blob.length();
                (ArrivingBody::Blob(blob), BodyPlace::Blob { length, copy })
            }
        };
        let head = MessageHead { id, envelope, provenance, arrival, body: place, recipients: Vec::new() };
        let mut octets = Vec::with_capacity(256);
        head.write(&mut octets);
        let inline = match place {
            BodyPlace::Inline { length } => length,
            BodyPlace::Blob { .. } => 0,
        };
        let payload = octets.len() as u64 + inline;
        if payload > settings.payload_max() as u64 {
            return Err(NotAccepted::TooLarge);
        }
        let note = MessageNote::new(&head, payload as u32);
        let (envelope, provenance) = (Arc::new(head.envelope), Arc::new(head.provenance));
        Ok(Arriving { note, envelope, provenance, arrival, head: octets, body })
    }
}

/// A queue of items with one reader.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    woken: Condvar,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    urgent: bool,
    /// When the first item came.
    since: Option<Instant>,
    asleep: bool,
    closed: bool,
}

/// What the reader was given.
pub(crate) struct Taken {
    pub items: VecDeque<Item>,
    pub closed: bool,
}

impl Inbox {
    pub fn new() -> Inbox {
        Inbox { waiting: Mutex::default(), woken: Condvar::new() }
    }

    /// Adds an item.
    ///
    /// # Errors
    /// The item, if the queue is closed: it has to be refused.
    pub fn push(&self, item: Item) -> Result<(), Box<Item>> {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err(Box::new(item));
        }
        let urgent = item.is_urgent();
        waiting.items.push_back(item);
        waiting.urgent |= urgent;
        let first = waiting.since.is_none();
        if first {
            waiting.since = Some(Instant::now());
        }
        if waiting.asleep && (urgent || first) {
            self.woken.notify_one();
        }
        Ok(())
    }

    /// Takes all that is waiting, as soon as somebody waits for it, or the oldest has waited long
    /// enough, or `until` has come.
    pub fn take(&self, until: Option<Instant>) -> Taken {
        let mut waiting = lock(&self.waiting);
        loop {
            let due = waiting.since.map(|since| since + LAZY).into_iter().chain(until).min();
            let now = Instant::now();
            if waiting.urgent || waiting.closed || due.is_some_and(|due| due <= now) {
                break;
            }
            waiting.asleep = true;
            waiting = match due {
                None => self.woken.wait(waiting).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(due) => {
                    let waited = self.woken.wait_timeout(waiting, due - now);
                    waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
                }
            };
            waiting.asleep = false;
        }
        waiting.urgent = false;
        waiting.since = None;
        Taken { items: std::mem::take(&mut waiting.items), closed: waiting.closed }
    }

    /// Takes nothing in any more; what is in is still read.
    pub fn close(&self) {
        lock(&self.waiting).closed = true;
        self.woken.notify_one();
    }
}
