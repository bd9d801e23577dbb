//! What the handle, the committer and the housekeeper share.
//!
//! Locks are taken in the order in which the fields stand, and none is held while the disk is
//! written. The one read under a lock is that of a long chain of outcomes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::books::Books;
use crate::chores::Chores;
use crate::inbox::Inbox;
use crate::index::Index;
use crate::lock;
use crate::message::Stats;
use crate::settings::Settings;
use crate::storage::Storage;

type Waker = Arc<dyn Fn() + Send + Sync>;

pub(crate) struct Shared<S: Storage> {
    pub storage: Arc<S>,
    pub settings: Settings,
    pub index: Mutex<Index>,
    pub books: Mutex<Books<S::File>>,
    pub inbox: Inbox,
    pub chores: Chores<S::File>,
    pub counts: Counts,
    space: Mutex<Space>,
    waker: Mutex<Option<Waker>>,
}

/// How often the free space is looked at while somebody asks.
const LOOK_AT_SPACE: Duration = Duration::from_millis(500);

/// What was last seen of the free space.
#[derive(Default)]
struct Space {
    low: bool,
    looked_at: Option<Instant>,
}

/// Counts since the queue was opened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub accepted: AtomicU64,
    pub delivered: AtomicU64,
    pub failed: AtomicU64,
    pub deferred: AtomicU64,
    pub syncs: AtomicU64,
}

impl<S: Storage> Shared<S> {
    pub fn new(storage: Arc<S>, settings: Settings, index: Index, books: Books<S::File>) -> Shared<S> {
        Shared {
            storage,
            settings,
            index: Mutex::new(index),
            books: Mutex::new(books),
            inbox: Inbox::new(),
            chores: Chores::new(),
            counts: Counts::default(),
            space: Mutex::default(),
            waker: Mutex::new(None),
        }
    }

    pub fn set_waker(&self, waker: Waker) {
        *lock(&self.waker) = Some(waker);
    }

    /// Whether the disk is so full that new mail is refused. Asks the disk now and then.
    pub fn is_low_on_space(&self) -> bool {
        let mut space = lock(&self.space);
        if space.looked_at.is_none_or(|then| then.elapsed() >= LOOK_AT_SPACE) {
            // A disk that does not say how full it is will say so when it is.
            let free = self.storage.free_space().unwrap_or(u64::MAX);
            let low = free < self.settings.free_space_min;
            if low != space.low {
                tracing::warn!(low, free_bytes = free, "free space for the queue");
            }
            *space = Space { low, looked_at: Some(Instant::now()) };
        }
        space.low
    }

    /// Says that something became due.
    pub fn wake(&self) {
        let waker = lock(&self.waker).clone();
        if let Some(waker) = waker {
            waker();
        }
    }
}

impl Counts {
    pub fn add(count: &AtomicU64, more: u64) {
        count.fetch_add(more, Ordering::Relaxed);
    }

    pub fn fill(&self, stats: &mut Stats) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        stats.accepted = read(&self.accepted);
        stats.delivered = read(&self.delivered);
        stats.failed = read(&self.failed);
        stats.deferred = read(&self.deferred);
        stats.syncs = read(&self.syncs);
    }
}
