//! Mail for other hosts: it waits for a place in the lane of its destination, and is then handed to
//! `remote`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use envelope::{AccountName, Host};
use tokio::sync::Notify;

use super::attempt::Attempt;
use super::lanes::Lanes;
use super::scheduler::{InFlight, Scheduler};

/// How long `remote` may take over one message: several hosts that are each as slow as they may be
/// (RFC 5321 §4.5.3.2).
pub const PATIENCE: Duration = Duration::from_secs(2 * 3600);

/// A destination that takes longer over a message gets fewer at a time.
const QUICK: Duration = Duration::from_secs(10);

/// Strangers' mail, and our own, has no owner.
type Owner = Option<AccountName>;

/// What waits, and what is on its way.
pub struct Outward {
    lanes: Mutex<Waiting>,
    changed: Notify,
}

struct Waiting {
    lanes: Lanes<Owner, Host, InFlight>,
    on_their_way: usize,
    stopping: bool,
}

impl Outward {
    /// So many messages are on their way at once, and so many of them to one destination.
    pub fn new((most, to_one): (usize, usize)) -> Outward {
        let waiting = Waiting { lanes: Lanes::new(most, to_one), on_their_way: 0, stopping: false };
        Outward { lanes: Mutex::new(waiting), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of what waits, and waits for what is on its way.
    pub async fn stop(&self) {
        // Outside of the lock, as each of these is given back to the queue.
        let waiting = {
            let mut inner = self.lock();
            inner.stopping = true;
            inner.lanes.drain()
        };
        drop(waiting);
        loop {
            let changed = self.changed.notified();
            if self.lock().on_their_way == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Scheduler {
    /// Sends recipients of one message at one domain on their way as soon as there is a place.
    pub fn send_out(self: &Arc<Self>, owner: Owner, to: Host, what: InFlight) {
        {
            let mut inner = self.outward.lock();
            if inner.stopping {
                drop(inner);
                return drop(what);
            }
            inner.lanes.push(owner, to, what);
        }
        self.fill_places();
    }

    fn fill_places(self: &Arc<Self>) {
        loop {
            let next = {
                let mut inner = self.outward.lock();
                let next = inner.lanes.next();
                inner.on_their_way += usize::from(next.is_some());
                next
            };
            let Some((to, what)) = next else { return };
            let scheduler = Arc::clone(self);
            tokio::spawn(async move {
                // Given back however this ends.
                let place = Place { scheduler: &scheduler, to: &to, since: Instant::now() };
                scheduler.carry(&to, what).await;
                drop(place);
            });
        }
    }

    async fn carry(self: &Arc<Self>, to: &Host, mut what: InFlight) {
        let id = what.id();
        // An operator held or removed it while it waited for its place.
        if !self.queue.may_be_tried(id) {
            return;
        }
        if let Some(message) = self.load_or_defer(&mut what).await {
            let records = Attempt::new(self, &message).carry(to, what.recipients()).await;
            for record in records {
                self.record(id, record);
            }
            what.settled();
        }
    }
}

/// A place that is taken.
struct Place<'a> {
    scheduler: &'a Arc<Scheduler>,
    to: &'a Host,
    since: Instant,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let outward = &self.scheduler.outward;
        {
            let mut inner = outward.lock();
            inner.lanes.done(self.to, self.since.elapsed() < QUICK);
            inner.on_their_way -= 1;
        }
        outward.changed.notify_waiters();
        self.scheduler.fill_places();
    }
}
