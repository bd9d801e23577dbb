//! The committer: the one thread that writes the log, and the only maker of [`Accepted`].
//!
//! It takes all that is waiting, writes it with one vectored write, makes it durable with one
//! fdatasync, and tells everybody. While it waits for the disk the next batch gathers by itself,
//! so nothing is delayed on purpose.
//!
//! Outcomes alone do not wait for the disk: they are written within a few milliseconds, so a
//! killed process loses none, and are made durable by the next batch that somebody waits for, or
//! after a second. A power cut in between costs a second attempt at what was delivered, which
//! replaces its own file in a Maildir. What is done with a message that is *retired* (its blob
//! removed, its segment freed) waits until that is durable.

mod gather;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use envelope::QueueId;

use self::gather::Batch;
use crate::blob::BlobName;
use crate::error::NotAccepted;
use crate::frame::{Location, SegmentNumber};
use crate::inbox::{ArrivingBody, Item, tell};
use crate::index::Retiring;
use crate::lock;
use crate::log::Log;
use crate::message::RecipientState;
use crate::note::{Note, Slot};
use crate::shared::Shared;
use crate::storage::Storage;

/// How long what was written may wait to be durable when nobody asks for it.
const SETTLE: Duration = Duration::from_secs(1);
/// How long to wait before trying again to get a segment when there was none.
const RETRY: Duration = Duration::from_secs(1);

/// Proof that a message and its envelope survive a power cut from now on.
///
/// Only the committer makes one, after the sync, so nobody answers 250 (RFC 5321 §6.1) for a
/// message that is only in memory.
#[must_use = "the message is ours now: tell the client"]
#[derive(Debug)]
pub struct Accepted {
    id: QueueId,
}

impl Accepted {
    /// The message.
    pub fn id(&self) -> QueueId {
        self.id
    }
}

pub(crate) struct Committer<S: Storage> {
    shared: Arc<Shared<S>>,
    log: Log<S>,
    /// What was taken from the inbox and not yet written.
    backlog: VecDeque<Item>,
    /// What was written and is not yet durable, in order.
    unsettled: Vec<Unsettled>,
    /// When the first of it was written.
    unsettled_since: Option<Instant>,
    /// Blobs of messages that were refused after the log may have named them.
    condemned: Vec<BlobName>,
    /// When to try again, and why not now.
    stopped: Option<(Instant, NotAccepted)>,
}

enum Unsettled {
    Outcome { id: QueueId, changes: Vec<(u32, RecipientState)>, previous: Option<Location>, chain: u8 },
    Retire(Retiring),
    Hold(QueueId),
}

impl<S: Storage> Committer<S> {
    pub fn new(shared: Arc<Shared<S>>, log: Log<S>) -> Committer<S> {
        Committer {
            shared,
            log,
            backlog: VecDeque::new(),
            unsettled: Vec::new(),
            unsettled_since: None,
            condemned: Vec::new(),
            stopped: None,
        }
    }

    /// Commits until the queue is closed and everything is written.
    pub fn run(mut self) {
        // However this thread ends, nobody may wait for it afterwards.
        let _closing = Closing(Arc::clone(&self.shared));
        loop {
            let until = self.next_turn();
            let taken = self.shared.inbox.take(until);
            self.backlog.extend(taken.items);
            self.commit();
            if taken.closed && (self.backlog.is_empty() || self.stopped.is_some()) {
                break;
            }
        }
        if self.settle_all().and_then(|()| self.log.seal()).is_err() {
            tracing::warn!("the log could not be closed; the next start reads it whole");
        }
        for item in std::mem::take(&mut self.backlog) {
            item.refuse(NotAccepted::Closed);
        }
    }

    /// When to go on even if nobody asks.
    fn next_turn(&self) -> Option<Instant> {
        let settle = self.unsettled_since.map(|since| since + SETTLE);
        match self.stopped {
            Some((again, _)) => (!self.backlog.is_empty()).then_some(again),
            None if !self.backlog.is_empty() => Some(Instant::now()),
            None => settle,
        }
    }

    fn commit(&mut self) {
        if !self.log_is_open() {
            return self.refuse_waiting();
        }
        let mut batch = self.gather();
        let sync = batch.urgent || self.unsettled_since.is_some_and(|since| since.elapsed() >= SETTLE);
        match self.write(&mut batch, sync) {
            Ok(segment) => self.succeed(batch, segment, sync),
            Err(error) => self.fail(batch, &error),
        }
        self.keep_books();
    }

    /// Writes the batch, beginning a fresh segment if the head has no room. Gives the segment;
    /// `None` if there was nothing to write.
    fn write(&mut self, batch: &mut Batch, sync: bool) -> io::Result<Option<SegmentNumber>> {
        let mut segment = None;
        if !batch.frames.is_empty() {
            if !self.log.has_room(&batch.frames) {
                self.log.seal()?;
                self.settle();
                self.begin_segment()?;
            }
            segment = Some(self.log.append(&mut batch.frames)?);
        }
        if sync {
            self.log.sync()?;
            self.shared.counts.syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(segment)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let segment = self.shared.chores.take_fresh()?;
        lock(&self.shared.books).open(Arc::clone(&segment));
        self.log.begin(segment)
    }

    /// Makes sure that there is a segment to write to, if that can be.
    fn log_is_open(&mut self) -> bool {
        if self.log.head().is_some() {
            return true;
        }
        if self.stopped.is_some_and(|(again, _)| Instant::now() < again) {
            return false;
        }
        match self.begin_segment() {
            Ok(()) => {
                if self.stopped.take().is_some() {
                    tracing::info!("the queue accepts mail again");
                }
                true
            }
            Err(error) => {
                self.mark_suspects();
                tracing::error!(%error, "the log has no segment to write to: no mail is accepted");
                self.stopped = Some((Instant::now() + RETRY, NotAccepted::from(&error)));
                false
            }
        }
    }

    /// Segments in which something failed are not used again, once they are free.
    fn mark_suspects(&mut self) {
        let mut books = lock(&self.shared.books);
        for abandoned in self.log.abandoned() {
            books.suspect(abandoned.segment);
        }
    }

    /// Refuses what can be refused while there is no segment; outcomes wait.
    fn refuse_waiting(&mut self) {
        let why = self.stopped.map_or(NotAccepted::Failed, |(_, why)| why);
        let (refused, kept) = std::mem::take(&mut self.backlog).into_iter().partition(Item::is_urgent);
        self.backlog = kept;
        let refused: VecDeque<Item> = refused;
        for item in refused {
            item.refuse(why);
        }
    }

    fn succeed(&mut self, mut batch: Batch, segment: Option<SegmentNumber>, synced: bool) {
        let shared = Arc::clone(&self.shared);
        let mut retired = std::mem::take(&mut batch.retired);
        if let Some(segment) = segment {
            let mut index = lock(&shared.index);
            let mut books = lock(&shared.books);
            for relocated in &batch.relocated {
                let Some(Note::Message(note)) = batch.frames.note(relocated.frame) else { continue };
                // It may have been retired since, and its retirement names the old place.
                if index.get(note.id).is_some_and(|entry| entry.message == relocated.message) {
                    index.put(note, segment);
                    books.subtract(relocated.message.segment, relocated.frame_size);
                    books.add(segment, note.frame_size());
                }
            }
            for arrived in &mut batch.arrived {
                let body = batch.frames.take_body(arrived.frame);
                let Some(Note::Message(note)) = batch.frames.note(arrived.frame) else { continue };
                index.put(note, segment);
                books.add(segment, note.frame_size());
                index.hot.insert(note.id, arrived.hot(note, body));
            }
            for written in &batch.outcomes {
                if let Some(Note::Outcome(note)) = batch.frames.note(written.frame) {
                    let location = Location { segment, offset: note.offset };
                    index.set_outcome(written.id, Some(location), written.builds_on + 1);
                }
            }
            for recorded in &batch.recorded {
                if let Some((frame, builds_on)) = recorded.outcome
                    && let Some(Note::Outcome(note)) = batch.frames.note(frame)
                {
                    let location = Location { segment, offset: note.offset };
                    index.set_outcome(recorded.id, Some(location), builds_on + 1);
                }
                let changes = recorded.changes.iter().map(|(n, state)| (*n, Slot::from(state)));
                if let Some(retiring) = index.change(recorded.id, changes) {
                    if recorded.outcome.is_none() {
                        retired.push(retiring);
                    } else {
                        // Another recipient was done meanwhile.
                        self.backlog.push_front(Item::Retire { retiring, done: Vec::new() });
                    }
                }
            }
        }
        self.unsettled.extend(batch.outcomes.iter_mut().map(|written| Unsettled::Outcome {
            id: written.id,
            changes: std::mem::take(&mut written.changes),
            previous: written.previous,
            chain: written.chain,
        }));
        self.unsettled.extend(retired.into_iter().map(Unsettled::Retire));
        self.unsettled.extend(batch.held.drain(..).map(Unsettled::Hold));
        if synced {
            self.settle();
        } else if !self.unsettled.is_empty() {
            self.unsettled_since.get_or_insert_with(Instant::now);
        }
        shared.counts.accepted.fetch_add(batch.arrived.len() as u64, Ordering::Relaxed);
        if !batch.arrived.is_empty() {
            shared.wake();
        }
        self.tell(batch, Ok(()));
    }

    /// The segment was given up: what was refused is told so, what was only outcomes is written
    /// again.
    fn fail(&mut self, mut batch: Batch, error: &io::Error) {
        tracing::error!(%error, "a commit failed; its segment of the log is given up");
        self.mark_suspects();
        let mut again = VecDeque::new();
        {
            let mut index = lock(&self.shared.index);
            for unsettled in self.unsettled.iter().rev() {
                if let Unsettled::Outcome { id, previous, chain, .. } = unsettled {
                    index.set_outcome(*id, *previous, *chain);
                }
            }
        }
        for unsettled in self.unsettled.drain(..) {
            again.push_back(match unsettled {
                Unsettled::Outcome { id, changes, .. } => Item::Outcome { id, changes, done: Vec::new() },
                Unsettled::Retire(retiring) => Item::Retire { retiring, done: Vec::new() },
                Unsettled::Hold(id) => Item::Hold { id },
            });
        }
        self.unsettled_since = None;
        for written in batch.outcomes.drain(..) {
            again.push_back(Item::Outcome { id: written.id, changes: written.changes, done: written.done });
        }
        for retiring in batch.retired.drain(..) {
            again.push_back(Item::Retire { retiring, done: Vec::new() });
        }
        again.extend(batch.held.drain(..).map(|id| Item::Hold { id }));
        again.append(&mut self.backlog);
        self.backlog = again;
        // The log may name these bodies until it says that the segment does not count.
        for arrived in &mut batch.arrived {
            if let ArrivingBody::Blob(blob) =
                std::mem::replace(&mut arrived.body, ArrivingBody::Inline(vec![]))
            {
                self.condemned.push(blob.keep());
            }
        }
        if !self.condemned.is_empty() {
            self.unsettled_since = Some(Instant::now());
        }
        // Before anybody hears of the failure: a message that was refused must not come back.
        self.log_is_open();
        self.tell(batch, Err(NotAccepted::from(error)));
    }

    /// Tells everybody who waits for this batch.
    fn tell(&mut self, batch: Batch, result: Result<(), NotAccepted>) {
        for (id, done) in batch.known {
            tell(|| done(Ok(Accepted { id })));
        }
        for (why, done) in batch.refused {
            tell(|| done(Err(why)));
        }
        for arrived in batch.arrived {
            if let (Ok(()), ArrivingBody::Blob(blob)) = (result, arrived.body) {
                blob.keep();
            }
            for done in arrived.done {
                tell(|| done(result.map(|()| Accepted { id: arrived.id })));
            }
        }
        let outcomes = batch.outcomes.into_iter().flat_map(|written| written.done);
        let recorded = batch.recorded.into_iter().map(|recorded| recorded.done);
        for done in outcomes.chain(recorded).chain(batch.told) {
            tell(|| done(result));
        }
    }

    /// Everything that was written is durable now.
    fn settle(&mut self) {
        self.unsettled_since = None;
        let mut blobs = std::mem::take(&mut self.condemned);
        if !self.unsettled.is_empty() {
            let mut books = lock(&self.shared.books);
            for unsettled in self.unsettled.drain(..) {
                if let Unsettled::Retire(retiring) = unsettled {
                    books.retire(&retiring);
                    blobs.extend(retiring.blob.map(|copy| BlobName { id: retiring.id, copy }));
                }
            }
        }
        self.shared.chores.remove_blobs(blobs);
    }

    fn settle_all(&mut self) -> io::Result<()> {
        if self.unsettled_since.is_some() && self.log.head().is_some() {
            self.log.sync()?;
            self.settle();
        }
        Ok(())
    }

    /// Frees segments, and has the oldest compacted if little of the log lives.
    fn keep_books(&mut self) {
        let (freed, mostly_dead) = {
            let mut books = lock(&self.shared.books);
            (books.free(self.log.head()), books.is_mostly_dead())
        };
        self.shared.chores.recycle(freed);
        if mostly_dead {
            self.shared.chores.compact();
        }
    }
}

/// Closes the queue when the committer ends.
struct Closing<S: Storage>(Arc<Shared<S>>);

impl<S: Storage> Drop for Closing<S> {
    fn drop(&mut self) {
        self.0.inbox.close();
        for item in self.0.inbox.take(None).items {
            item.refuse(NotAccepted::Closed);
        }
        self.0.chores.close();
    }
}
