//! The handle: what the rest of the house sees of the queue.

use std::fmt;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use envelope::QueueId;

use crate::blob::BlobWriter;
use crate::committer::{Accepted, Committer};
use crate::error::{LoadError, NotAccepted, OpenError, opening};
use crate::files::Files;
use crate::frame::HEADER;
use crate::housekeeper::Housekeeper;
use crate::inbox::{Arriving, Done, Item};
use crate::index::HotMessage;
use crate::lock;
use crate::log::Log;
use crate::message::{
    Details, Due, Message, NewMessage, RecipientOutcome, RecipientState, Stats, StoredBody,
};
use crate::note::Slot;
use crate::quarantine;
use crate::reading;
use crate::record::BodyPlace;
use crate::recovery::{self, Recovery};
use crate::segment::FrameError;
use crate::settings::Settings;
use crate::shared::{Counts, Shared};
use crate::snapshot::Snapshot;
use crate::storage::Storage;

/// The queue. Clones are the same queue; when the last is dropped it is closed.
///
/// Callbacks run on the committer's thread, or on the caller's if the answer is known at once.
/// They must be short, and must not wait for the queue.
pub struct Queue<S: Storage = Files> {
    handle: Arc<Handle<S>>,
}

struct Handle<S: Storage> {
    shared: Arc<Shared<S>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<S: Storage> Queue<S> {
    /// Opens the queue in a spool, and says what was found there.
    ///
    /// # Errors
    /// If a setting is out of range, or the disk fails.
    pub fn open(storage: S, settings: Settings) -> Result<(Queue<S>, Recovery), OpenError> {
        settings.check()?;
        let found = recovery::open(&storage, &settings)?;
        let storage = Arc::new(storage);
        let log = Log::new(Arc::clone(&storage), found.last_batch, found.abandoned);
        let shared = Arc::new(Shared::new(storage, settings, found.index, found.books));
        let committer = Committer::new(Arc::clone(&shared), log);
        let housekeeper = Housekeeper::new(Arc::clone(&shared), found.spares, found.next);
        // Made first, so that what has started is ended if the second thread cannot start.
        let handle = Handle { shared, threads: Mutex::default() };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(run).map_err(opening("starting a thread"))
        };
        lock(&handle.threads).push(spawn("queue-commit", Box::new(move || committer.run()))?);
        lock(&handle.threads).push(spawn("queue-keep", Box::new(move || housekeeper.run()))?);
        Ok((Queue { handle: Arc::new(handle) }, found.recovery))
    }

    /// Takes a message in. `done` hears [`Accepted`] once the message is durable and
    /// [`Queue::due`] sees it.
    ///
    /// A message that the queue holds, or has retired of late, is accepted again and kept once.
    pub fn accept(
        &self,
        message: NewMessage,
        done: impl FnOnce(Result<Accepted, NotAccepted>) + Send + 'static,
    ) {
        let message = match Arriving::new(message, &self.shared().settings) {
            Ok(message) => message,
            Err(why) => return done(Err(why)),
        };
        self.hand_over(Item::Accept { message, done: Box::new(done) });
    }

    /// Whether the queue holds a message of this name, or has retired it of late: then it was
    /// accepted, whoever heard of it.
    pub fn knows(&self, id: QueueId) -> bool {
        lock(&self.shared().index).knows(id)
    }

    /// Whether the sender of a message was told that it takes long, at an attempt for any of its recipients.
    pub fn delay_told(&self, id: QueueId) -> bool {
        let index = lock(&self.shared().index);
        index.get(id).is_some_and(|entry| entry.recipients.iter().any(|slot| slot.delay_told))
    }

    /// Whether there is room for new mail. Bodies that are arriving should ask from time to time:
    /// they were begun when there was.
    pub fn has_room(&self) -> bool {
        !self.shared().is_low_on_space()
    }

    /// Begins the body of a message that is too large for the log
    /// ([`INLINE_MAX`](crate::INLINE_MAX)).
    ///
    /// # Errors
    /// If the disk is full, nearly full, or fails.
    pub fn blob(&self, id: QueueId) -> Result<BlobWriter<S>, NotAccepted> {
        if !self.has_room() {
            return Err(NotAccepted::StorageFull);
        }
        BlobWriter::create(&self.shared().storage, id)
    }

    /// Hands out at most `max` messages that are due at `now` (seconds since 1970), the longest
    /// due first. Their recipients are in flight until they are recorded or released.
    pub fn due(&self, now: u64, max: usize) -> Vec<Due> {
        lock(&self.shared().index).due(now, max)
    }

    /// When [`Queue::due`] has something again, in seconds since 1970; it may have less by then.
    pub fn next_due(&self) -> Option<u64> {
        lock(&self.shared().index).next_due()
    }

    /// Sets what is called when messages became due: new ones, or released ones. It must be short.
    pub fn set_waker(&self, waker: Box<dyn Fn() + Send + Sync>) {
        self.shared().set_waker(Arc::from(waker));
    }

    /// The message, to be delivered. A message that came lately is in memory, else it is read from
    /// the disk.
    ///
    /// # Errors
    /// If the queue does not hold it, or it cannot be read.
    pub fn load(&self, id: QueueId) -> Result<Message<S::File>, LoadError> {
        self.reading(id, |shared, found| {
            if let Some(mut hot) = found.hot.take() {
                let body = match found.blob {
                    Some(copy) => reading::blob_body(shared, id, copy, found.size)?,
                    None => StoredBody::Memory(std::mem::take(&mut hot.body)),
                };
                // Replies are on the disk alone, and only after an attempt.
                let tried = found.recipients.iter().any(|slot| slot.attempts > 0);
                let on_disk =
                    if tried { reading::head_and_states(shared, found.place)?.1 } else { Vec::new() };
                let HotMessage { envelope, provenance, arrival, .. } = hot;
                let recipients = found.states(on_disk);
                return Ok(Message { id, envelope, provenance, arrival, body, recipients });
            }
            let (head, inline) = reading::whole(shared, found.place)?;
            let recipients = found.states(reading::states(shared, found.place, &head)?);
            let body = match head.body {
                BodyPlace::Inline { .. } => StoredBody::Memory(vec![inline]),
                BodyPlace::Blob { length, copy } => reading::blob_body(shared, id, copy, length)?,
            };
            let (envelope, provenance) = (Arc::new(head.envelope), Arc::new(head.provenance));
            Ok(Message { id, envelope, provenance, arrival: head.arrival, body, recipients })
        })
    }

    /// Records what came of attempts, by recipient number, and takes in the messages that follow
    /// from them (bounces, forwards): all or none. When no recipient is left the message is retired.
    ///
    /// Without new messages this is known at once and written within a few milliseconds; `done`
    /// hears of it when it is written, so that it survives this process. A power cut within the
    /// next second may undo it, and the recipients are then due again. Should the disk fail, it is
    /// written as soon as it works again.
    ///
    /// With new messages, `done` hears of it when everything is durable. After an error nothing is
    /// changed, and the recipients are still in flight: record again, or release them. A full disk
    /// that refuses mail still takes these, as long as it can.
    pub fn record(
        &self,
        id: QueueId,
        outcomes: Vec<(u32, RecipientOutcome)>,
        and_new: Vec<NewMessage>,
        done: impl FnOnce(Result<(), NotAccepted>) + Send + 'static,
    ) {
        let shared = self.shared();
        let tally = Tally::of(&outcomes);
        let done: Done = Box::new(done);
        let new = and_new.into_iter().map(|message| Arriving::new(message, &shared.settings));
        let new: Vec<Arriving> = match new.collect() {
            Ok(new) => new,
            Err(why) => return done(Err(why)),
        };
        if new.is_empty() {
            tally.count(&shared.counts);
            self.record_lazily(id, outcomes, done);
            return;
        }
        let payloads: u64 = new.iter().map(|message| message.note.frame_size()).sum();
        if payloads > self.together_bytes_max() as u64 {
            return done(Err(NotAccepted::TooLarge));
        }
        let counting = Arc::clone(shared);
        let done: Done = Box::new(move |result| {
            if result.is_ok() {
                tally.count(&counting.counts);
            }
            done(result);
        });
        self.hand_over(Item::Record { id, outcomes, new, done });
    }

    /// The most octets that [`Queue::record`] takes in together: of each new message its inline body
    /// and its head, which is its addresses and its provenance.
    pub fn together_bytes_max(&self) -> usize {
        self.shared().settings.payload_max() + HEADER
    }

    fn record_lazily(&self, id: QueueId, outcomes: Vec<(u32, RecipientOutcome)>, done: Done) {
        // Memory and the log must hear of outcomes in the same order, so the index is held until
        // the item is in.
        let mut index = lock(&self.shared().index);
        let before = |number: u32| index.get(id)?.recipients.slots().get(number as usize).copied();
        let changes: Vec<(u32, RecipientState)> = outcomes
            .into_iter()
            .filter_map(|(number, outcome)| Some((number, outcome.into_state(before(number)?))))
            .collect();
        if changes.is_empty() {
            drop(index);
            return done(Ok(()));
        }
        let slots = changes.iter().map(|(number, state)| (*number, Slot::from(state)));
        let item = match index.change(id, slots) {
            Some(retiring) => Item::Retire { retiring, done: vec![done] },
            None => Item::Outcome { id, changes, done: vec![done] },
        };
        let handed_over = self.shared().inbox.push(item);
        drop(index);
        if let Err(item) = handed_over {
            item.refuse(NotAccepted::Closed);
        }
    }

    /// Lets recipients that are in flight be due again at the time they had.
    pub fn release(&self, id: QueueId, recipients: &[u32]) {
        lock(&self.shared().index).release(id, recipients);
        self.shared().wake();
    }

    /// Lets everything in flight be due again: those who had it in hand are gone.
    pub fn release_all(&self) {
        lock(&self.shared().index).release_all();
        self.shared().wake();
    }

    /// Drops a message from the queue, because an operator says so; `done` hears of it when that
    /// is durable. A message that is not there is dropped already.
    pub fn remove(&self, id: QueueId, done: impl FnOnce(Result<(), NotAccepted>) + Send + 'static) {
        let mut index = lock(&self.shared().index);
        if let Some(retiring) = index.remove(id) {
            // A closed queue says so below.
            let _ = self.shared().inbox.push(Item::Retire { retiring, done: Vec::new() });
        }
        drop(index);
        self.hand_over(Item::Flush { done: Box::new(done) });
    }

    /// Keeps a message back until it is let go, or lets it go on at the times it had, because an operator
    /// says so; gives whether that is a change. [`Queue::flush`] makes it durable.
    ///
    /// What is in flight lands as it does. Its age goes on counting.
    pub fn set_held(&self, id: QueueId, held: bool) -> bool {
        let mut index = lock(&self.shared().index);
        let changed = index.set_held(id, held);
        if changed {
            // A closed queue says so when it is flushed.
            let _ = self.shared().inbox.push(Item::Hold { id });
        }
        drop(index);
        if changed && !held {
            self.shared().wake();
        }
        changed
    }

    /// Whether a message is there and nobody holds it: it may be tried.
    pub fn may_be_tried(&self, id: QueueId) -> bool {
        lock(&self.shared().index).get(id).is_some_and(|entry| !entry.held)
    }

    /// Lets what waits of a message be due at `now`, in seconds since 1970, because an operator says so;
    /// gives whether anything waits. Not if it is held. A restart forgets it.
    pub fn hurry(&self, id: QueueId, now: u64) -> bool {
        let waits = lock(&self.shared().index).hurry(id, now);
        if waits {
            self.shared().wake();
        }
        waits
    }

    /// Takes those of a message's recipients in hand that wait, due or not, held or not; gives their
    /// numbers. They are in flight until they are recorded or released.
    pub fn take(&self, id: QueueId, recipients: &[u32]) -> Vec<u32> {
        lock(&self.shared().index).take(id, recipients)
    }

    /// All about one message.
    ///
    /// # Errors
    /// If the queue does not hold it, or it cannot be read.
    pub fn show(&self, id: QueueId) -> Result<Details, LoadError> {
        self.reading(id, |shared, found| {
            let (head, on_disk) = reading::head_and_states(shared, found.place)?;
            let recipients = found.states(on_disk);
            let summary = found.summary().with_head(&head.envelope, &head.provenance);
            let (envelope, provenance) = (Arc::new(head.envelope), Arc::new(head.provenance));
            Ok(Details { summary, envelope, provenance, recipients })
        })
    }

    /// Counts.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let mut stats = {
            let index = lock(&shared.index);
            Stats {
                messages: index.len() as u64,
                in_flight: index.in_flight(),
                held: index.held(),
                bytes: index.bytes(),
                oldest: index.iter(None).next().map(|entry| u64::from(entry.arrival)),
                hot_bytes: index.hot.bytes() as u64,
                ..Stats::default()
            }
        };
        let books = lock(&shared.books);
        (stats.segments, stats.live_bytes) = (books.segments(), books.live_bytes());
        shared.counts.fill(&mut stats);
        stats
    }

    /// Waits until everything recorded and accepted so far is durable. Not from a callback.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn flush(&self) -> Result<(), NotAccepted> {
        let (told, wait) = mpsc::channel();
        let done = Box::new(move |result| {
            let _ = told.send(result);
        });
        self.hand_over(Item::Flush { done });
        wait.recv().unwrap_or(Err(NotAccepted::Closed))
    }

    /// Takes nothing in any more, writes what is in, and closes the log so that the next start
    /// reads little. Waits for that. Not from a callback.
    pub fn close(&self) {
        self.handle.close();
    }

    fn hand_over(&self, item: Item) {
        if let Err(item) = self.shared().inbox.push(item) {
            item.refuse(NotAccepted::Closed);
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<S>> {
        &self.handle.shared
    }

    /// Reads something of a message, again if it moved in the meantime.
    fn reading<T>(
        &self,
        id: QueueId,
        mut read: impl FnMut(&Shared<S>, &mut Snapshot) -> Result<T, FrameError>,
    ) -> Result<T, LoadError> {
        let snapshot = || {
            let index = lock(&self.shared().index);
            index.get(id).map(|entry| Snapshot::of(entry, &index.hot)).ok_or(LoadError::NotFound(id))
        };
        let mut found = snapshot()?;
        loop {
            let place = found.place;
            let error = match read(self.shared(), &mut found) {
                Ok(read) => return Ok(read),
                Err(error) => error,
            };
            found = snapshot()?;
            if found.place == place {
                return Err(self.unreadable(&found, error));
            }
        }
    }

    fn unreadable(&self, found: &Snapshot, error: FrameError) -> LoadError {
        let id = found.place.id;
        let source = match error {
            FrameError::Io(source) => source,
            FrameError::Damaged => {
                let location = found.place.message;
                let end = location.offset.saturating_add(HEADER as u32 + found.place.length);
                let segment = lock(&self.shared().books).get(location.segment);
                if let Some(segment) = segment
                    && let Ok(copy) =
                        quarantine::keep(&*self.shared().storage, &segment, location.offset, end)
                {
                    tracing::error!(queue_id = %id, copy, "a message in the queue is damaged");
                }
                return LoadError::Damaged(id);
            }
        };
        LoadError::Io { id, source }
    }
}

impl<S: Storage> Clone for Queue<S> {
    fn clone(&self) -> Queue<S> {
        Queue { handle: Arc::clone(&self.handle) }
    }
}

impl<S: Storage> fmt::Debug for Queue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("stats", &self.stats()).finish()
    }
}

impl<S: Storage> Handle<S> {
    fn close(&self) {
        self.shared.inbox.close();
        let threads = std::mem::take(&mut *lock(&self.threads));
        // The last handle may be dropped in a callback, and a thread cannot wait for itself.
        if threads.iter().any(|thread| thread.thread().id() == thread::current().id()) {
            return;
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl<S: Storage> Drop for Handle<S> {
    fn drop(&mut self) {
        self.close();
    }
}

/// How many recipients came out how.
#[derive(Clone, Copy, Default)]
struct Tally {
    delivered: u64,
    failed: u64,
    deferred: u64,
}

impl Tally {
    fn of(outcomes: &[(u32, RecipientOutcome)]) -> Tally {
        let mut tally = Tally::default();
        for (_, outcome) in outcomes {
            match outcome {
                RecipientOutcome::Delivered { .. } => tally.delivered += 1,
                RecipientOutcome::Failed { .. } => tally.failed += 1,
                RecipientOutcome::Deferred { .. } => tally.deferred += 1,
            }
        }
        tally
    }

    fn count(self, counts: &Counts) {
        Counts::add(&counts.delivered, self.delivered);
        Counts::add(&counts.failed, self.failed);
        Counts::add(&counts.deferred, self.deferred);
    }
}
