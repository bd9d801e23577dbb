//! The housekeeper: a thread for what nobody should wait for.
//!
//! It prepares the next segment while the head fills, recycles segments that are free, removes
//! blobs of retired messages, and reads the living messages of the oldest segment for the
//! committer to write anew when most of the log is dead.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::blob::BlobName;
use crate::books::Freed;
use crate::frame::SegmentNumber;
use crate::inbox::{Item, Relocation};
use crate::lock;
use crate::note::{MessageNote, Note};
use crate::reading::{self, Place};
use crate::scan::scan;
use crate::segment::{FrameError, Segment, file_name, header_block};
use crate::shared::Shared;
use crate::storage::{Folder, Storage};
use crate::{quarantine, record::MessageHead};

/// Segments that are kept ready.
const READY: usize = 1;
/// Free segment files that are kept for later; what is more is removed.
const SPARES_MAX: usize = 2;
/// How much of a segment is handed to the committer at a time, in octets.
const STRIDE: usize = 1 << 20;

/// What there is to do.
pub(crate) struct Chores<F> {
    list: Mutex<List<F>>,
    work: Condvar,
    done: Condvar,
}

struct List<F> {
    ready: VecDeque<Arc<Segment<F>>>,
    freed: VecDeque<Freed>,
    blobs: Vec<BlobName>,
    compact: bool,
    /// The committer has no segment and waits for one.
    wanted: bool,
    /// Attempts to prepare a segment that failed, and the last one's reason.
    failures: u64,
    failure: Option<io::ErrorKind>,
    closed: bool,
}

impl<F> Chores<F> {
    pub fn new() -> Chores<F> {
        let list = List {
            ready: VecDeque::new(),
            freed: VecDeque::new(),
            blobs: Vec::new(),
            compact: false,
            wanted: false,
            failures: 0,
            failure: None,
            closed: false,
        };
        Chores { list: Mutex::new(list), work: Condvar::new(), done: Condvar::new() }
    }

    /// A prepared segment; waits for one if need be.
    ///
    /// # Errors
    /// If none can be made now.
    pub fn take_fresh(&self) -> io::Result<Arc<Segment<F>>> {
        let mut list = lock(&self.list);
        let failures = list.failures;
        loop {
            if let Some(segment) = list.ready.pop_front() {
                list.wanted = false;
                list.failure = None;
                self.work.notify_one();
                return Ok(segment);
            }
            if list.closed || list.failures != failures {
                list.wanted = false;
                return Err(list.failure.unwrap_or(io::ErrorKind::Other).into());
            }
            list.wanted = true;
            self.work.notify_one();
            list = self.done.wait(list).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    pub fn recycle(&self, freed: Vec<Freed>) {
        if !freed.is_empty() {
            lock(&self.list).freed.extend(freed);
            self.work.notify_one();
        }
    }

    pub fn remove_blobs(&self, blobs: Vec<BlobName>) {
        if !blobs.is_empty() {
            lock(&self.list).blobs.extend(blobs);
            self.work.notify_one();
        }
    }

    pub fn compact(&self) {
        let mut list = lock(&self.list);
        if !list.compact {
            list.compact = true;
            self.work.notify_one();
        }
    }

    /// Ends the housekeeper after what it is doing.
    pub fn close(&self) {
        lock(&self.list).closed = true;
        self.work.notify_one();
        self.done.notify_all();
    }
}

struct Moving<F> {
    segment: Arc<Segment<F>>,
    notes: std::vec::IntoIter<MessageNote>,
}

enum Chore {
    Prepare,
    Recycle(Freed),
    RemoveBlobs(Vec<BlobName>),
    Compact,
    Leave,
}

pub(crate) struct Housekeeper<S: Storage> {
    shared: Arc<Shared<S>>,
    /// Names of free segment files.
    spares: Vec<String>,
    next: SegmentNumber,
    /// Names of files that a failure has left behind.
    leftovers: Vec<String>,
    /// Whether freeing goes on: it must keep its order, so after a failure it waits.
    recycling: bool,
    /// What is left to move of the oldest segment.
    moving: Option<Moving<S::File>>,
    /// Whether the committer has some of it in hand.
    in_hand: Arc<AtomicBool>,
    /// An oldest segment that cannot be compacted, for something in it does not read.
    stuck: Option<SegmentNumber>,
}

impl<S: Storage> Housekeeper<S> {
    /// `spares` are free segment files, `next` the first segment number never used.
    pub fn new(shared: Arc<Shared<S>>, spares: Vec<String>, next: SegmentNumber) -> Housekeeper<S> {
        let in_hand = Arc::default();
        Housekeeper {
            shared,
            spares,
            next,
            leftovers: Vec::new(),
            recycling: true,
            moving: None,
            in_hand,
            stuck: None,
        }
    }

    /// Works until the queue is closed.
    pub fn run(mut self) {
        let _closing = Closing(Arc::clone(&self.shared));
        loop {
            match self.next_chore() {
                Chore::Prepare => self.prepare_one(),
                Chore::Recycle(freed) => self.recycle(freed),
                Chore::RemoveBlobs(blobs) => self.remove_blobs(&blobs),
                Chore::Compact => self.compact(),
                Chore::Leave => break,
            }
        }
    }

    fn next_chore(&mut self) -> Chore {
        let shared = Arc::clone(&self.shared);
        let mut list = lock(&shared.chores.list);
        loop {
            // What became free may be all that a full disk has to offer: it goes first then.
            let short = list.ready.len() < READY && (list.failure.is_none() || list.wanted);
            let spare_needed = short && self.spares.is_empty();
            if (spare_needed || !short)
                && self.recycling
                && let Some(freed) = list.freed.pop_front()
            {
                return Chore::Recycle(freed);
            }
            if short && (list.wanted || !list.closed) {
                return Chore::Prepare;
            }
            if !list.blobs.is_empty() {
                return Chore::RemoveBlobs(std::mem::take(&mut list.blobs));
            }
            if list.closed {
                return Chore::Leave;
            }
            if std::mem::take(&mut list.compact) {
                return Chore::Compact;
            }
            list = shared.chores.work.wait(list).unwrap_or_else(|poisoned| poisoned.into_inner());
            self.recycling = true;
        }
    }

    fn prepare_one(&mut self) {
        let prepared = self.prepare();
        let mut list: MutexGuard<'_, _> = lock(&self.shared.chores.list);
        match prepared {
            Ok(segment) => {
                list.ready.push_back(Arc::new(segment));
                list.failure = None;
            }
            Err(error) => {
                if list.failure.is_none() {
                    tracing::error!(%error, "the next segment of the log could not be prepared");
                }
                list.failures += 1;
                list.failure = Some(error.kind());
                list.wanted = false;
            }
        }
        self.shared.chores.done.notify_all();
    }

    /// Makes a segment ready: all of it on disk, its header durable, its name durable.
    fn prepare(&mut self) -> io::Result<Segment<S::File>> {
        self.clear_away()?;
        let number = self.next;
        self.next = number.checked_add(1).ok_or(io::ErrorKind::QuotaExceeded)?;
        let (spare, fresh) = match self.spares.pop() {
            Some(spare) => (spare, false),
            None => (spare_name(number), true),
        };
        let name = file_name(number);
        let prepared = self.make_ready(number, &spare, fresh, &name);
        if prepared.is_err() {
            self.leftovers.extend([spare, name]);
            // At once if it can be: it takes room that a full disk needs.
            let _ = self.clear_away();
        }
        prepared
    }

    fn make_ready(
        &self,
        number: SegmentNumber,
        spare: &str,
        fresh: bool,
        name: &str,
    ) -> io::Result<Segment<S::File>> {
        let storage = &*self.shared.storage;
        let size = self.shared.settings.segment_size;
        let file = if fresh {
            let file = storage.create(Folder::Log, spare)?;
            storage.allocate(&file, u64::from(size))?;
            file
        } else {
            storage.open(Folder::Log, spare)?
        };
        storage.write_at(&file, 0, &mut [IoSlice::new(&header_block(number))])?;
        storage.sync_all(&file)?;
        storage.rename(Folder::Log, spare, name)?;
        storage.sync_directory(Folder::Log)?;
        Ok(Segment { number, file, size })
    }

    /// Removes, durably, what a failure has left behind. No segment is made ready before: one that
    /// was never used, between two that were, would look like damage.
    fn clear_away(&mut self) -> io::Result<()> {
        if self.leftovers.is_empty() {
            return Ok(());
        }
        let storage = &*self.shared.storage;
        for name in &self.leftovers {
            match storage.remove(Folder::Log, name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        storage.sync_directory(Folder::Log)?;
        self.leftovers.clear();
        Ok(())
    }

    /// Keeps the file of a free segment for later, or removes it. That is durable before the next
    /// one: what retired a message stands in a later segment, which must not be gone while the
    /// message is back.
    fn recycle(&mut self, freed: Freed) {
        let storage = &*self.shared.storage;
        let name = file_name(freed.number);
        let keep = !freed.suspect && self.spares.len() < SPARES_MAX && self.fits(freed.number);
        let done = if keep {
            storage.rename(Folder::Log, &name, &spare_name(freed.number))
        } else {
            storage.remove(Folder::Log, &name)
        };
        // A second attempt finds the name gone, and has to make that durable still.
        let done = match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        match done.and_then(|()| storage.sync_directory(Folder::Log)) {
            Ok(()) if keep => self.spares.push(spare_name(freed.number)),
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(segment = freed.number, %error, "a free segment could not be recycled");
                self.recycling = false;
                lock(&self.shared.chores.list).freed.push_front(freed);
            }
        }
    }

    fn fits(&self, number: SegmentNumber) -> bool {
        let segment = Segment::open(&*self.shared.storage, number);
        segment.is_ok_and(|segment| segment.size == self.shared.settings.segment_size)
    }

    fn remove_blobs(&self, blobs: &[BlobName]) {
        for blob in blobs {
            if let Err(error) = self.shared.storage.remove(Folder::Blobs, &blob.to_string()) {
                tracing::warn!(%blob, %error, "a blob could not be removed; the next start will");
            }
        }
    }

    /// Has the next living messages of the oldest segment written anew. Does not wait for it: the
    /// committer may be waiting for the next segment.
    fn compact(&mut self) {
        if self.in_hand.load(Ordering::Acquire) {
            return;
        }
        if let Err(number) = self.move_stride() {
            tracing::error!(segment = number, "a segment cannot be compacted: something in it does not read");
            (self.stuck, self.moving) = (Some(number), None);
        }
    }

    /// # Errors
    /// The segment, if something in it does not read.
    fn move_stride(&mut self) -> Result<(), SegmentNumber> {
        let mut moving = match self.moving.take() {
            Some(moving) => moving,
            None => {
                let Some(segment) = self.worth_moving() else { return Ok(()) };
                let notes = self.notes_of(&segment).map_err(|_| segment.number)?.into_iter();
                Moving { segment, notes }
            }
        };
        let mut handed = 0;
        while handed < STRIDE {
            let Some(note) = moving.notes.next() else { break };
            handed += self.move_message(&moving.segment, &note).map_err(|_| moving.segment.number)?;
        }
        if handed > 0 {
            self.moving = Some(moving);
            self.go_on_after_commit();
        }
        Ok(())
    }

    /// The oldest segment, if the log is mostly dead and it can be read.
    fn worth_moving(&self) -> Option<Arc<Segment<S::File>>> {
        let books = lock(&self.shared.books);
        let oldest = books.oldest().filter(|_| books.is_mostly_dead())?;
        (self.stuck != Some(oldest.number)).then_some(oldest)
    }

    fn notes_of(&self, segment: &Segment<S::File>) -> io::Result<Vec<MessageNote>> {
        let storage = &*self.shared.storage;
        let notes = match segment.footer(storage)? {
            Some(footer) => footer.notes,
            None => {
                let octets = segment.read(storage, 0, segment.size as usize)?;
                scan(segment.number, &octets, octets.len(), true).notes
            }
        };
        let message = |note| if let Note::Message(message) = note { Some(message) } else { None };
        Ok(notes.into_iter().filter_map(message).collect())
    }

    /// Hands a message to the committer if it still lives in this segment; gives its octets.
    fn move_message(&self, segment: &Segment<S::File>, note: &MessageNote) -> Result<usize, FrameError> {
        let here =
            |place: &Place| place.message.segment == segment.number && place.message.offset == note.offset;
        let place = lock(&self.shared.index).get(note.id).map(Place::from);
        let Some(place) = place.filter(here) else { return Ok(0) };
        let moved = reading::whole(&self.shared, place).and_then(|(head, body)| {
            let recipients = reading::states(&self.shared, place, &head)?;
            Ok((MessageHead { recipients, ..head }, body))
        });
        let (head, body) = match moved {
            Ok(moved) => moved,
            // It may have been retired while it was read.
            Err(_) if lock(&self.shared.index).get(note.id).map(Place::from) != Some(place) => return Ok(0),
            Err(error) => {
                let end = note.offset.saturating_add(note.frame_size() as u32);
                if let Ok(copy) = quarantine::keep(&*self.shared.storage, segment, note.offset, end) {
                    tracing::error!(queue_id = %note.id, copy, "a message in the queue is damaged");
                }
                return Err(error);
            }
        };
        let mut octets = Vec::new();
        head.write(&mut octets);
        let payload = octets.len() + body.len();
        let note = MessageNote::new(&head, payload as u32);
        let relocation =
            Relocation { note, message: place.message, outcome: place.outcome, head: octets, body };
        // A closed queue moves nothing any more.
        let _ = self.shared.inbox.push(Item::Relocate(relocation));
        Ok(payload)
    }

    fn go_on_after_commit(&self) {
        self.in_hand.store(true, Ordering::Release);
        let (in_hand, shared) = (Arc::clone(&self.in_hand), Arc::downgrade(&self.shared));
        let done = Box::new(move |_| {
            in_hand.store(false, Ordering::Release);
            if let Some(shared) = shared.upgrade() {
                shared.chores.compact();
            }
        });
        if self.shared.inbox.push(Item::Flush { done }).is_err() {
            self.in_hand.store(false, Ordering::Release);
        }
    }
}

/// The name of a free segment file that had this number, or will have.
fn spare_name(number: SegmentNumber) -> String {
    format!("{:016x}.spare", number.get())
}

/// Lets nobody wait for a housekeeper that is gone.
struct Closing<S: Storage>(Arc<Shared<S>>);

impl<S: Storage> Drop for Closing<S> {
    fn drop(&mut self) {
        self.0.chores.close();
    }
}
