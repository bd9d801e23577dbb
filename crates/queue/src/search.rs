//! Looking through the queue, some messages at a time, while mail flows.

use std::ops::Bound;
use std::sync::Arc;

use envelope::{Envelope, Filter, QueueId, Walk};

use crate::index::{Entry, Index};
use crate::lock;
use crate::message::{RecipientState, Summary};
use crate::queue::Queue;
use crate::reading;
use crate::segment::FrameError;
use crate::shared::Shared;
use crate::sieve::{Sieve, is_waiting};
use crate::snapshot::Snapshot;
use crate::storage::Storage;

/// How many messages are looked at while arrivals and deliveries wait for the index: for a few tens of
/// microseconds.
const STRIDE: usize = 128;
/// How many are looked at for one page, at most.
const LOOKED_AT_MAX: usize = 4096;
/// How many are found for one page, and a stride more at most.
const FOUND_MAX: usize = 512;

/// How much is to be known of each message that is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// What memory knows. The disk is read for what the filter asks alone.
    Index,
    /// Its envelope and its account too.
    Head,
    /// And what was replied for each recipient.
    Replies,
}

/// A message that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its line of the list.
    pub summary: Summary,
    /// From whom, to whom; `None` if nobody asked for it, or the log cannot be read there.
    pub envelope: Option<Arc<Envelope>>,
    /// Where each recipient stands, by the numbers of the envelope; without replies if nobody asked.
    pub recipients: Vec<RecipientState>,
    /// The numbers of those that wait, those in flight among them, and are meant.
    pub picked: Vec<u32>,
}

/// Some of the messages that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order of their names. There may be none though more are to come.
    pub found: Vec<Found>,
    /// Where the walk ends: give it along to go on from the middle of a page.
    pub until: Option<QueueId>,
    /// Where to go on; `None` at the end.
    pub rest: Option<Walk>,
}

impl<S: Storage> Queue<S> {
    /// The next messages that are meant, of those that the walk has still to pass. Reads the disk: a
    /// message's head, and its replies, never a body; so it is not for threads on which mail waits.
    pub fn search(&self, filter: &Filter, walk: Walk, detail: Detail) -> Page {
        let sieve = Sieve::new(filter);
        let detail = match () {
            () if sieve.needs_replies() => detail.max(Detail::Replies),
            () if sieve.needs_head() => detail.max(Detail::Head),
            () => detail,
        };
        let until = walk.until.or_else(|| lock(&self.shared().index).last());
        let (mut after, mut found, mut looked_at) = (walk.after, Vec::new(), 0);
        while looked_at < LOOKED_AT_MAX && found.len() < FOUND_MAX {
            let stride = stride(&lock(&self.shared().index), filter, &sieve, after, until);
            let Stride { snapshots, seen, last } = stride;
            found.extend(snapshots.into_iter().filter_map(|snapshot| self.examine(&sieve, snapshot, detail)));
            after = last.or(after);
            looked_at += seen;
            if seen < STRIDE {
                return Page { found, until, rest: None };
            }
        }
        Page { found, until, rest: Some(Walk { after, until }) }
    }

    /// What is to be known of a message, if it is meant.
    fn examine(&self, sieve: &Sieve<'_>, mut snapshot: Snapshot, detail: Detail) -> Option<Found> {
        loop {
            let place = snapshot.place;
            match examine(self.shared(), sieve, &snapshot, detail) {
                Ok(found) => return found,
                // It may have moved while it was read, or have been retired.
                Err(_) => {
                    let index = lock(&self.shared().index);
                    snapshot = Snapshot::of(index.get(place.id)?, &index.hot);
                }
            }
            if snapshot.place == place {
                // What cannot be read is shown, but nobody can say that it is meant.
                return (!sieve.needs_head()).then(|| bare(&snapshot));
            }
        }
    }
}

/// What of the index was passed at once.
struct Stride {
    /// Of messages that may be meant.
    snapshots: Vec<Snapshot>,
    /// How many were looked at.
    seen: usize,
    /// The last of them.
    last: Option<QueueId>,
}

fn stride(
    index: &Index,
    filter: &Filter,
    sieve: &Sieve<'_>,
    after: Option<QueueId>,
    until: Option<QueueId>,
) -> Stride {
    let mut stride = Stride { snapshots: Vec::new(), seen: 0, last: None };
    let mut pass = |id: QueueId, entry: Option<&Entry>| {
        (stride.seen, stride.last) = (stride.seen + 1, Some(id));
        if let Some(entry) = entry.filter(|entry| sieve.lets_entry_through(entry)) {
            stride.snapshots.push(Snapshot::of(entry, &index.hot));
        }
    };
    let within = |id: QueueId| until.is_some_and(|until| id <= until);
    if filter.ids.is_empty() {
        let entries = index.iter(after).take_while(|entry| within(entry.id));
        entries.take(STRIDE).for_each(|entry| pass(entry.id, Some(entry)));
    } else {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let named = filter.ids.range((from, Bound::Unbounded)).take_while(|id| within(**id));
        named.take(STRIDE).for_each(|id| pass(*id, index.get(*id)));
    }
    stride
}

fn examine<S: Storage>(
    shared: &Shared<S>,
    sieve: &Sieve<'_>,
    snapshot: &Snapshot,
    detail: Detail,
) -> Result<Option<Found>, FrameError> {
    if detail == Detail::Index {
        return Ok(Some(bare(snapshot)));
    }
    // Replies are on the disk alone, and only after an attempt.
    let tried = snapshot.recipients.iter().any(|slot| slot.attempts > 0);
    let (envelope, provenance, on_disk) = match &snapshot.hot {
        _ if detail == Detail::Replies && tried => {
            let (head, on_disk) = reading::head_and_states(shared, snapshot.place)?;
            (Arc::new(head.envelope), Arc::new(head.provenance), on_disk)
        }
        Some(hot) => (Arc::clone(&hot.envelope), Arc::clone(&hot.provenance), Vec::new()),
        None => {
            let head = reading::head(shared, snapshot.place)?;
            (Arc::new(head.envelope), Arc::new(head.provenance), Vec::new())
        }
    };
    if !sieve.lets_sender_through(&envelope, &provenance) {
        return Ok(None);
    }
    let recipients = snapshot.states(on_disk);
    let picked = sieve.pick(&envelope, &recipients);
    // A message that waits for nobody is about to leave.
    if picked.is_empty() {
        return Ok(None);
    }
    let summary = snapshot.summary().with_head(&envelope, &provenance);
    Ok(Some(Found { summary, envelope: Some(envelope), recipients, picked }))
}

/// What memory alone knows of a message.
fn bare(snapshot: &Snapshot) -> Found {
    let recipients = snapshot.states(Vec::new());
    let picked = recipients.iter().zip(0..).filter(|(state, _)| is_waiting(state)).map(|(_, n)| n).collect();
    Found { summary: snapshot.summary(), envelope: None, recipients, picked }
}
