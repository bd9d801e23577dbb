//! What there is to do for the housekeeper, and the segments that it has ready.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex};

use crate::blob::BlobName;
use crate::books::Freed;
use crate::lock;
use crate::segment::Segment;

/// Segments that are kept ready.
const READY: usize = 1;

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

    /// The next thing to do; waits for one.
    ///
    /// `spares` says whether there is a free segment file, `recycling` whether freeing goes on:
    /// after a failure it waits until there is something new to do.
    pub fn next(&self, spares: bool, mut recycling: bool) -> Chore {
        let mut list = lock(&self.list);
        loop {
            // What became free may be all that a full disk has to offer: it goes first then.
            let short = list.ready.len() < READY && (list.failure.is_none() || list.wanted);
            if recycling
                && (!short || !spares)
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
            list = self.work.wait(list).unwrap_or_else(|poisoned| poisoned.into_inner());
            recycling = true;
        }
    }

    /// Hands in a segment that is ready, or why there is none.
    pub fn prepared(&self, prepared: io::Result<Segment<F>>) {
        let mut list = lock(&self.list);
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
        self.done.notify_all();
    }

    /// Puts back what could not be recycled now.
    pub fn put_back(&self, freed: Freed) {
        lock(&self.list).freed.push_front(freed);
    }

    /// Ends the housekeeper after what it is doing.
    pub fn close(&self) {
        lock(&self.list).closed = true;
        self.work.notify_one();
        self.done.notify_all();
    }
}

/// One thing to do.
pub(crate) enum Chore {
    Prepare,
    Recycle(Freed),
    RemoveBlobs(Vec<BlobName>),
    Compact,
    Leave,
}
