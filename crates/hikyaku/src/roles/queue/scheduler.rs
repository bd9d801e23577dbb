//! Takes messages whose time has come out of the queue, has them tried, and records what came of it.

use std::collections::HashSet;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use envelope::QueueId;
use link::Client;
use link::services::local::Local;
use queue::{Due, Message, RecipientOutcome};
use tokio::sync::{Notify, Semaphore, watch};
use tracing::{error, info};

use super::attempt::Attempt;
use super::families::shared::SharedFamilies;
use super::notices::Notices;
use super::settled::{Forwarded, Record};
use super::{Ids, Queue};
use crate::control::Settings;
use crate::roles::known_addresses::KnownAddresses;
use crate::roles::unix_now;

/// After a fault of our own, a recipient is tried again this much later, in seconds.
pub const OWN_FAULT_PAUSE: u64 = 30;
/// A message that came so few seconds ago is still in memory.
const FRESH: u64 = 2;
/// Messages that are looked for at a time.
const BATCH: usize = 64;

/// Takes what is due out of the queue and sees to it.
pub struct Scheduler {
    pub queue: Queue,
    pub addresses: KnownAddresses,
    pub local: Client<Local>,
    pub settings: ArcSwap<Settings>,
    pub notices: Notices,
    pub families: SharedFamilies,
    pub ids: Ids,
    due: Arc<Notify>,
    /// Messages that were tried though their record does not say so.
    unrecorded: Mutex<HashSet<QueueId>>,
    /// A message that was here before may have been tried before.
    started: u64,
}

impl Scheduler {
    /// A scheduler for this queue; `ids` are for what follows from its messages.
    pub fn new(
        queue: Queue,
        addresses: KnownAddresses,
        local: Client<Local>,
        settings: Settings,
        notices: Notices,
        ids: Ids,
    ) -> Arc<Scheduler> {
        let due = Arc::new(Notify::new());
        let waker = Arc::clone(&due);
        queue.set_waker(Box::new(move || waker.notify_one()));
        Arc::new(Scheduler {
            queue,
            addresses,
            local,
            settings: ArcSwap::from_pointee(settings),
            notices,
            families: SharedFamilies::default(),
            ids,
            due,
            unrecorded: Mutex::default(),
            started: unix_now(),
        })
    }

    /// Goes by these settings from now on.
    pub fn reload(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Works until told to stop, and then finishes what is in hand.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let concurrency = self.settings.load().queue.local_concurrency;
        let places = Arc::new(Semaphore::new(concurrency));
        loop {
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            let Ok(place) = place else { break };
            let mut free = vec![place];
            while free.len() < BATCH
                && let Ok(more) = Arc::clone(&places).try_acquire_owned()
            {
                free.push(more);
            }
            let due = self.queue.due(unix_now(), free.len());
            if due.is_empty() {
                drop(free);
                let pause =
                    self.queue.next_due().map_or(3600, |at| at.saturating_sub(unix_now()).clamp(1, 3600));
                tokio::select! {
                    () = self.due.notified() => {}
                    () = tokio::time::sleep(Duration::from_secs(pause)) => {}
                    _ = stopping.wait_for(|stop| *stop) => break,
                }
                continue;
            }
            for (due, place) in due.into_iter().zip(free) {
                let scheduler = Arc::clone(&self);
                tokio::spawn(async move {
                    scheduler.attempt(due).await;
                    drop(place);
                });
            }
        }
        // Every place free means that nothing is in hand.
        let everything = u32::try_from(concurrency).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(Duration::from_secs(10), places.acquire_many(everything)).await;
    }

    /// Tries the recipients of one message that are due.
    async fn attempt(self: Arc<Self>, due: Due) {
        let mut in_flight =
            InFlight { queue: self.queue.clone(), id: due.id, recipients: due.recipients.clone() };
        let message = match self.load(&due).await {
            Ok(message) => message,
            Err(problem) => {
                // Nothing is given up for a fault of our own disk: it stays, and is tried again.
                error!(event = "queue_unreadable", queue_id = %due.id, problem);
                let again = unix_now() + OWN_FAULT_PAUSE;
                let deferred = due.recipients.into_iter().map(|number| {
                    (number, RecipientOutcome::Deferred { until: again, reply: problem.clone() })
                });
                self.record(due.id, Record { outcomes: deferred.collect(), ..Record::default() });
                return in_flight.settled();
            }
        };
        let records = Attempt::new(&self, &message).run(&due.recipients).await;
        for record in records {
            self.record(due.id, record);
        }
        in_flight.settled();
    }

    /// Whether an earlier attempt may have put this message somewhere already.
    pub fn may_have_been_tried(&self, message: &Message<File>) -> bool {
        message.recipients.iter().any(|state| state.attempts > 0)
            || message.arrival / 1_000_000 <= self.started
            || self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner).contains(&message.id)
    }

    async fn load(&self, due: &Due) -> Result<Message<File>, String> {
        // What has just arrived is in memory, and the usual case; the rest is read from the disk,
        // which others must not wait for.
        if unix_now().saturating_sub(due.id.unix_seconds()) <= FRESH {
            return self.queue.load(due.id).map_err(|error| error.to_string());
        }
        let (queue, id) = (self.queue.clone(), due.id);
        match tokio::task::spawn_blocking(move || queue.load(id)).await {
            Ok(loaded) => loaded.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Records what came of an attempt. If that fails, the recipients are tried again later, and a
    /// repeat replaces its own file: nothing is lost.
    fn record(self: &Arc<Self>, id: QueueId, record: Record) {
        let Record { outcomes, new, forwarded } = record;
        let numbers: Vec<u32> = outcomes.iter().map(|(number, _)| *number).collect();
        let (queue, runtime) = (self.queue.clone(), tokio::runtime::Handle::current());
        let scheduler = Arc::clone(self);
        self.queue.record(id, outcomes, new, move |recorded| {
            let mut unrecorded = scheduler.unrecorded.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(problem) = recorded {
                error!(event = "outcome_not_recorded", queue_id = %id, %problem);
                unrecorded.insert(id);
                runtime.spawn(async move {
                    tokio::time::sleep(Duration::from_secs(OWN_FAULT_PAUSE)).await;
                    queue.release(id, &numbers);
                });
            } else {
                unrecorded.remove(&id);
                for Forwarded { admission, by, lines } in forwarded {
                    admission.made();
                    for line in lines {
                        info!(
                            event = "forwarded", queue_id = %id, by = %by, to = line.to,
                            r#as = line.reverse_path, new_id = %line.id
                        );
                    }
                }
            }
        });
    }
}

/// Recipients of whom nothing has been recorded yet. Dropped so, by a fault of ours, they are due
/// again: nobody is forgotten in flight.
struct InFlight {
    queue: Queue,
    id: QueueId,
    recipients: Vec<u32>,
}

impl InFlight {
    fn settled(&mut self) {
        self.recipients.clear();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.recipients.is_empty() {
            self.queue.release(self.id, &self.recipients);
        }
    }
}
