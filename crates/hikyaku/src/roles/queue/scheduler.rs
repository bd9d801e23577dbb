//! Takes messages whose time has come out of the queue, has them tried, and records what came of it.

use std::collections::HashSet;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use envelope::QueueId;
use envelope::event::Event;
use link::Client;
use link::services::local::Local;
use link::services::remote::Remote;
use queue::{Due, Message, RecipientOutcome};
use tokio::sync::{Notify, Semaphore, watch};
use tracing::{error, info};

use super::attempt::Attempt;
use super::auto_replies::AutoReplies;
use super::delays::Delays;
use super::families::shared::SharedFamilies;
use super::noted;
use super::notices::Notices;
use super::outward::Outward;
use super::settled::{Forwarded, Record, Settled, parts, reports};
use super::{Ids, Queue};
use crate::control::Settings;
use crate::roles::event_notes::EventNotes;
use crate::roles::known_addresses::KnownAddresses;
use crate::roles::unix_now;

/// After a fault of our own, a recipient is tried again this much later, in seconds.
pub const OWN_FAULT_PAUSE: u64 = 30;
/// A message that came so few seconds ago is still in memory.
const FRESH: u64 = 2;
/// Messages that are looked for at a time.
const BATCH: usize = 64;
/// How long what is in hand may take to be finished when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Whom the queue calls.
pub struct Callees {
    pub addresses: KnownAddresses,
    pub local: Client<Local>,
    pub remote: Client<Remote>,
    pub notes: EventNotes,
}

/// Takes what is due out of the queue and sees to it.
pub struct Scheduler {
    pub queue: Queue,
    pub addresses: KnownAddresses,
    pub local: Client<Local>,
    pub remote: Client<Remote>,
    pub notes: EventNotes,
    pub outward: Outward,
    pub settings: ArcSwap<Settings>,
    pub notices: Notices,
    pub auto_replies: AutoReplies,
    pub families: SharedFamilies,
    pub delays: Delays,
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
        callees: Callees,
        settings: Settings,
        notices: Notices,
        ids: Ids,
    ) -> Arc<Scheduler> {
        let Callees { addresses, local, remote, notes } = callees;
        let due = Arc::new(Notify::new());
        let waker = Arc::clone(&due);
        queue.set_waker(Box::new(move || waker.notify_one()));
        let auto_replies = AutoReplies::new(queue.clone(), addresses.clone(), notices.clone(), notes.clone());
        Arc::new(Scheduler {
            queue,
            addresses,
            local,
            remote,
            notes,
            outward: Outward::new(settings.remote_concurrency),
            settings: ArcSwap::from_pointee(settings),
            notices,
            auto_replies,
            families: SharedFamilies::default(),
            delays: Delays::default(),
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
        let in_hand = async {
            let _ = tokio::join!(places.acquire_many(everything), self.outward.stop());
            self.auto_replies.finish().await;
        };
        let _ = tokio::time::timeout(STOP_PATIENCE, in_hand).await;
    }

    /// Tries the recipients of one message that are due.
    async fn attempt(self: Arc<Self>, due: Due) {
        let mut here = InFlight::new(self.queue.clone(), due.id, due.recipients);
        let Some(message) = self.load_or_defer(&mut here).await else { return };
        let mut attempt = Attempt::new(&self, &message);
        let routed = attempt.route(&here.recipients).await;
        for (to, numbers) in routed.away {
            let away = here.split_off(&numbers);
            self.send_out(message.provenance.account.clone(), to, away);
        }
        for record in attempt.deliver_here(routed.here).await {
            self.record(due.id, record);
        }
        here.settled();
    }

    /// The message of these recipients. None if it cannot be read: then they are tried again later.
    pub async fn load_or_defer(self: &Arc<Self>, what: &mut InFlight) -> Option<Message<File>> {
        match self.load(what.id).await {
            Ok(message) => Some(message),
            Err(problem) => {
                // Nothing is given up for a fault of our own disk.
                error!(event = "queue_unreadable", queue_id = %what.id, problem);
                let until = unix_now() + OWN_FAULT_PAUSE;
                let deferred = |number: &u32| {
                    let reply = problem.clone();
                    (*number, RecipientOutcome::Deferred { until, reply, delay_told: false })
                };
                let outcomes = what.recipients.iter().map(deferred).collect();
                self.record(what.id, Record { outcomes, ..Record::default() });
                what.settled();
                None
            }
        }
    }

    /// Whether an earlier attempt may have put this message somewhere already.
    pub fn may_have_been_tried(&self, message: &Message<File>) -> bool {
        message.recipients.iter().any(|state| state.attempts > 0)
            || message.arrival / 1_000_000 <= self.started
            || self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner).contains(&message.id)
    }

    /// The message, read where nobody waits for the disk.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn load(&self, id: QueueId) -> Result<Message<File>, String> {
        // What has just arrived is in memory, and the usual case; the rest is read from the disk,
        // which others must not wait for.
        if unix_now().saturating_sub(id.unix_seconds()) <= FRESH {
            return self.queue.load(id).map_err(|error| error.to_string());
        }
        let queue = self.queue.clone();
        match tokio::task::spawn_blocking(move || queue.load(id)).await {
            Ok(loaded) => loaded.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What is to be recorded of recipients that are settled: with each outcome the messages that follow from it,
    /// reports among them. Each record is for a commit of its own; the first has the events.
    pub async fn records(
        &self,
        message: &Message<File>,
        settled: Vec<Settled>,
        mut events: Vec<Event>,
    ) -> Vec<Record> {
        let double_bounces = self.settings.load().queue.double_bounces;
        let mut records = Vec::with_capacity(1);
        // The other half is for what a report has besides the reasons.
        for mut part in parts(settled, self.queue.together_bytes_max() / 2) {
            let mut written = Vec::new();
            for ((reverse_path, occasion), reports) in reports(&mut part) {
                let about = (&reverse_path, occasion);
                if let Some(report) = self.notices.report(message, about, &reports, double_bounces).await {
                    events.extend(noted::reported(message.id, &report, about));
                    written.push(report);
                }
            }
            let events = std::mem::take(&mut events);
            records.push(Record { events, ..Record::of(part, written) });
        }
        records
    }

    /// Records what came of an attempt. If that fails, the recipients are tried again later, and a
    /// repeat replaces its own file: nothing is lost.
    pub fn record(self: &Arc<Self>, id: QueueId, record: Record) {
        let Record { outcomes, new, forwarded, telling, events } = record;
        let events = noted::with_new(id, events, &new, &forwarded);
        let numbers: Vec<u32> = outcomes.iter().map(|(number, _)| *number).collect();
        let (queue, runtime) = (self.queue.clone(), tokio::runtime::Handle::current());
        let scheduler = Arc::clone(self);
        self.queue.record(id, outcomes, new, move |recorded| {
            // From here on the queue knows.
            drop(telling);
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
                events.into_iter().for_each(|event| scheduler.notes.note(event));
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
pub struct InFlight {
    queue: Queue,
    id: QueueId,
    recipients: Vec<u32>,
}

impl InFlight {
    /// Recipients that somebody took in hand.
    pub fn new(queue: Queue, id: QueueId, recipients: Vec<u32>) -> InFlight {
        InFlight { queue, id, recipients }
    }

    /// The message.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Their numbers in the envelope.
    pub fn recipients(&self) -> &[u32] {
        &self.recipients
    }

    /// These go their own way.
    fn split_off(&mut self, numbers: &[u32]) -> InFlight {
        self.recipients.retain(|number| !numbers.contains(number));
        InFlight { queue: self.queue.clone(), id: self.id, recipients: numbers.to_vec() }
    }

    /// All of them were recorded.
    pub fn settled(&mut self) {
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
