//! What becomes of messages whose time has come: routed, handed to `local`, their outcomes
//! recorded, their failures reported to who sent them.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use envelope::{Address, Destination, Envelope, QueueId, QueueIds, Refusal, ReversePath};
use link::services::local::{Deliver, Local, LocalRecipient, Outcome, Request, Response};
use link::{CallError, Client, Parcel};
use message::Status;
use queue::schedule::{self, Channel};
use queue::{Due, Message, NewMessage, RecipientOutcome, StoredBody};
use tokio::sync::{Notify, Semaphore, watch};
use tracing::{error, info, warn};

use super::bounces::{Failure, Notices};
use super::known_addresses::KnownAddresses;
use super::{unix_micros, unix_now};
use crate::control::Settings;

/// The queue, on the disk of this machine.
pub type Queue = queue::Queue<queue::Files>;

/// After a fault of our own, a recipient is tried again this much later, in seconds.
const OWN_FAULT_PAUSE: u64 = 30;
/// A message that came so few seconds ago is still in memory.
const FRESH: u64 = 2;
/// Recipients that are handed to `local` at a time.
const RECIPIENTS_AT_A_TIME: usize = 500;
/// Messages that are looked for at a time.
const BATCH: usize = 64;

/// Takes what is due out of the queue and sees to it.
pub struct Scheduler {
    queue: Queue,
    addresses: KnownAddresses,
    local: Client<Local>,
    settings: ArcSwap<Settings>,
    notices: Notices,
    ids: Mutex<QueueIds>,
    due: Arc<Notify>,
    /// Messages that were tried though their record does not say so.
    unrecorded: Mutex<HashSet<QueueId>>,
    /// A message that was here before may have been tried before.
    started: u64,
}

impl Scheduler {
    /// A scheduler for this queue; `source` is for the ids of the reports that it writes.
    pub fn new(
        queue: Queue,
        addresses: KnownAddresses,
        local: Client<Local>,
        settings: Settings,
        source: u16,
    ) -> Arc<Scheduler> {
        let due = Arc::new(Notify::new());
        let waker = Arc::clone(&due);
        queue.set_waker(Box::new(move || waker.notify_one()));
        Arc::new(Scheduler {
            queue,
            notices: Notices::new(addresses.clone()),
            addresses,
            local,
            settings: ArcSwap::from_pointee(settings),
            ids: Mutex::new(QueueIds::new(source)),
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
                self.record(due.id, deferred.collect(), Vec::new());
                return in_flight.settled();
            }
        };
        let mut attempt =
            Attempt { scheduler: &self, message: &message, outcomes: Vec::new(), failures: Vec::new() };
        let mut here = attempt.route(&due.recipients).await;
        while !here.is_empty() {
            let rest = here.split_off(here.len().min(RECIPIENTS_AT_A_TIME));
            attempt.deliver(here).await;
            here = rest;
        }
        attempt.record().await;
        in_flight.settled();
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
    fn record(
        self: &Arc<Self>,
        id: QueueId,
        outcomes: Vec<(u32, RecipientOutcome)>,
        reports: Vec<NewMessage>,
    ) {
        let numbers: Vec<u32> = outcomes.iter().map(|(number, _)| *number).collect();
        let (queue, runtime) = (self.queue.clone(), tokio::runtime::Handle::current());
        let scheduler = Arc::clone(self);
        self.queue.record(id, outcomes, reports, move |recorded| {
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

/// One message being tried.
struct Attempt<'a> {
    scheduler: &'a Arc<Scheduler>,
    message: &'a Message<File>,
    outcomes: Vec<(u32, RecipientOutcome)>,
    failures: Vec<Failure>,
}

impl Attempt<'_> {
    /// Asks where each recipient leads; settles those that lead nowhere we can deliver to.
    async fn route(&mut self, numbers: &[u32]) -> Vec<LocalRecipient> {
        let mut here = Vec::with_capacity(numbers.len());
        let mut silent = None;
        for &number in numbers {
            let Some(address) = self.address(number).cloned() else { continue };
            // Once it was waited for in vain is enough.
            if let Some(refusal) = silent {
                self.own_fault(number, Refusal::to_string(&refusal));
                continue;
            }
            match self.scheduler.addresses.resolve(&address).await {
                Ok(Destination::Local(local)) => {
                    here.push(LocalRecipient { number, address, local, orders: None, has_it: false });
                }
                Ok(Destination::NoSuchMailbox) => {
                    let reason = "Sorry, no mailbox here by that name. (#5.1.1)";
                    self.failed(number, Status::new(5, 1, 1), reason.into());
                }
                Ok(Destination::Elsewhere | Destination::Relayed) => self.deferred(
                    number,
                    Channel::Remote,
                    "This version does not deliver to other hosts yet. (#4.4.1)".into(),
                ),
                Err(refusal) => {
                    silent = Some(refusal);
                    self.own_fault(number, refusal.to_string());
                }
            }
        }
        here
    }

    /// Hands the message to `local`, for all its mailboxes at once.
    async fn deliver(&mut self, recipients: Vec<LocalRecipient>) {
        if recipients.is_empty() {
            return;
        }
        let numbers: Vec<u32> = recipients.iter().map(|recipient| recipient.number).collect();
        match self.call_local(recipients).await {
            Ok(delivered) => {
                for one in delivered {
                    match one.outcome {
                        Outcome::Delivered(_) => {
                            self.log("delivered", one.number, "");
                            let reply = "delivered to the mailbox".into();
                            self.outcomes.push((one.number, RecipientOutcome::Delivered { reply }));
                        }
                        Outcome::Failed { status, reason } => {
                            let status = status.parse().unwrap_or(Status::FAILURE);
                            self.failed(one.number, status, reason);
                        }
                        Outcome::Deferred { reason } => self.deferred(one.number, Channel::Local, reason),
                    }
                }
                // Whatever `local` left out is tried again: no recipient is forgotten.
                for number in numbers {
                    if !self.outcomes.iter().any(|(settled, _)| *settled == number) {
                        self.own_fault(number, "the local role said nothing of this recipient".into());
                    }
                }
            }
            Err(problem) => {
                for number in numbers {
                    self.own_fault(number, problem.clone());
                }
            }
        }
    }

    async fn call_local(
        &self,
        recipients: Vec<LocalRecipient>,
    ) -> Result<Vec<link::services::local::Delivered>, String> {
        let message = self.message;
        let arrived = message.arrival / 1_000_000;
        let tried = message.recipients.iter().any(|state| state.attempts > 0)
            || self.scheduler.unrecorded.lock().unwrap_or_else(PoisonError::into_inner).contains(&message.id);
        let mut deliver = Deliver {
            id: message.id,
            arrived,
            reverse_path: message.envelope.reverse_path().clone(),
            recipients,
            repeat: tried || arrived <= self.scheduler.started,
            file_size: None,
        };
        // Once more if `local` dies in the middle: a repeated delivery replaces its own file.
        for _ in 0..3 {
            let mut parcel = Parcel::from(Request::Deliver(deliver.clone()));
            match &message.body {
                StoredBody::Memory(pieces) => parcel.raw = joined(pieces),
                StoredBody::File { file, length } => {
                    let file = file.try_clone().map_err(|error| error.to_string())?;
                    parcel.fds.push(OwnedFd::from(file));
                    parcel.value = Request::Deliver(Deliver { file_size: Some(*length), ..deliver.clone() });
                }
            }
            match self.scheduler.local.call(parcel).await {
                Ok(answer) => {
                    return match answer.value {
                        Response::Delivered(delivered) => Ok(delivered),
                        _ => Err("the local role answered something else".into()),
                    };
                }
                Err(CallError::Lost(_)) => deliver.repeat = true,
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("the local role died three times during this delivery".into())
    }

    /// Records what happened, and in the same batch the report to the sender.
    async fn record(mut self) {
        let scheduler = self.scheduler;
        let mut reports = Vec::new();
        if !self.failures.is_empty() {
            let failures = std::mem::take(&mut self.failures);
            let id = scheduler.ids.lock().unwrap_or_else(PoisonError::into_inner).next(unix_micros());
            let settings = scheduler.settings.load_full();
            let report: Option<NewMessage> =
                scheduler.notices.report(&settings, self.message, &failures, id).await;
            reports.extend(report);
        }
        scheduler.record(self.message.id, self.outcomes, reports);
    }

    fn address(&self, number: u32) -> Option<&Address> {
        self.message.envelope.recipients().get(number as usize).map(|recipient| recipient.address())
    }

    fn failed(&mut self, number: u32, status: Status, reason: String) {
        self.log("failed", number, &reason);
        if let Some(address) = self.address(number).cloned() {
            self.failures.push(Failure { address, status, reason: reason.clone() });
        }
        self.outcomes.push((number, RecipientOutcome::Failed { reply: reason }));
    }

    /// Puts a recipient off, or gives it up if the message has been here too long.
    fn deferred(&mut self, number: u32, channel: Channel, reason: String) {
        let (now, arrival) = (unix_now(), self.message.arrival / 1_000_000);
        if schedule::is_last_attempt(
            lifetime(&self.scheduler.settings.load(), &self.message.envelope),
            arrival,
            now,
        ) {
            let reason =
                format!("{reason}\nI'm not going to try again; this message has been in the queue too long.");
            return self.failed(number, Status::new(5, 4, 7), reason);
        }
        self.log("deferred", number, &reason);
        let until = schedule::next_attempt(channel, arrival, now);
        self.outcomes.push((number, RecipientOutcome::Deferred { until, reply: reason }));
    }

    /// Something of ours failed, which is never the message's fault.
    fn own_fault(&mut self, number: u32, reason: String) {
        self.log("deferred", number, &reason);
        let until = unix_now() + OWN_FAULT_PAUSE;
        self.outcomes.push((number, RecipientOutcome::Deferred { until, reply: reason }));
    }

    fn log(&self, event: &str, number: u32, reason: &str) {
        let queue_id = self.message.id;
        let to = self.address(number).map(ToString::to_string).unwrap_or_default();
        let delay_ms = unix_micros().saturating_sub(self.message.arrival) / 1000;
        match event {
            "delivered" => info!(event, %queue_id, to, delay_ms),
            _ => warn!(event, %queue_id, to, delay_ms, reason),
        }
    }
}

fn lifetime(settings: &Settings, envelope: &Envelope) -> u64 {
    match envelope.reverse_path() {
        ReversePath::Null => settings.queue.bounce_lifetime,
        ReversePath::Address(_) => settings.queue.lifetime,
    }
}

/// The body in one piece, which it usually is.
fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [one] => one.clone(),
        pieces => pieces.concat().into(),
    }
}
