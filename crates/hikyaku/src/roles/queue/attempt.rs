//! One message being tried: where its recipients lead, and what is recorded of them.

mod carry;
mod delay;
mod here;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use envelope::event::{Delivery, Event, What, Words};
use envelope::{Address, Destination, Envelope, Host, RecipientWishes, Refusal, ReversePath};
use link::services::local::LocalRecipient;
use message::{Action, Status};
use queue::schedule::{self, Channel};
use queue::{Message, RecipientOutcome, RecipientState, RecipientStatus};
use tracing::warn;

use super::families::Member;
use super::noted;
use super::notices::{RecipientReport, Said};
use super::scheduler::{OWN_FAULT_PAUSE, Scheduler};
use super::settled::{Record, Settled};
use crate::control::Settings;
use crate::roles::{unix_micros, unix_now};

/// One message being tried.
pub struct Attempt<'a> {
    scheduler: &'a Arc<Scheduler>,
    message: &'a Message<File>,
    /// None as long as it is the only one of its family, and cannot bring a mailbox a second copy.
    member: Option<Member>,
    settled: Vec<Settled>,
    /// Recipients whose mailbox is that of somebody who is away: nearly always none.
    away: Vec<u32>,
    /// What happened, for the record of events.
    events: Vec<Event>,
    began: Instant,
}

/// Where the recipients of a message lead.
pub struct Routed {
    /// To addresses of ours.
    pub here: Vec<LocalRecipient>,
    /// To other hosts, by their numbers.
    pub away: BTreeMap<Host, Vec<u32>>,
}

impl<'a> Attempt<'a> {
    pub fn new(scheduler: &'a Arc<Scheduler>, message: &'a Message<File>) -> Attempt<'a> {
        let alone = message.provenance.lineage.is_none() && message.envelope.recipients().len() == 1;
        let member = (!alone).then(|| scheduler.families.join(message));
        let (settled, away, events) = (Vec::new(), Vec::new(), Vec::new());
        Attempt { scheduler, message, member, settled, away, events, began: Instant::now() }
    }

    /// Asks where each recipient leads; settles those that lead nowhere.
    pub async fn route(&mut self, numbers: &[u32]) -> Routed {
        let mut routed = Routed { here: Vec::with_capacity(numbers.len()), away: BTreeMap::new() };
        let mut silent = None;
        for &number in numbers {
            let Some(address) = self.address(number).cloned() else { continue };
            // Once it was waited for in vain is enough.
            if let Some(refusal) = silent {
                self.own_fault(number, Refusal::to_string(&refusal));
                continue;
            }
            let route = match self.scheduler.addresses.route(&address).await {
                Ok(route) => route,
                Err(refusal) => {
                    silent = Some(refusal);
                    self.own_fault(number, refusal.to_string());
                    continue;
                }
            };
            match &route.leads_to {
                Destination::Local(local) => {
                    let (local, orders) = (local.clone(), route.orders.clone());
                    if route.away.is_some_and(|away| away.is_at(unix_now())) {
                        self.away.push(number);
                    }
                    routed.here.push(LocalRecipient { number, address, local, orders, has_it: false });
                }
                Destination::NoSuchMailbox => {
                    let reason = "Sorry, no mailbox here by that name. (#5.1.1)";
                    self.failed(number, Status::new(5, 1, 1), reason.into(), None);
                }
                Destination::Elsewhere | Destination::Relayed => {
                    routed.away.entry(address.host).or_default().push(number);
                }
            }
        }
        routed
    }

    /// A message that is served and has no family need not be remembered.
    fn leave(&self) {
        let Some(member) = self.member else { return };
        let waited = |state: &&RecipientState| matches!(state.status, RecipientStatus::Waiting { .. });
        let served = |settled: &&Settled| !matches!(settled.outcome, RecipientOutcome::Deferred { .. });
        if self.message.recipients.iter().filter(waited).count() == self.settled.iter().filter(served).count()
        {
            self.scheduler.families.leave(member);
        }
    }

    /// What is to be recorded: outcomes, and with each the messages that follow from it.
    async fn records(mut self) -> Vec<Record> {
        self.tell_of_delay();
        self.scheduler.records(self.message, self.settled, self.events).await
    }

    fn address(&self, number: u32) -> Option<&Address> {
        self.message.envelope.recipients().get(number as usize).map(|recipient| recipient.address())
    }

    fn wishes(&self, number: u32) -> &RecipientWishes {
        self.message.envelope.wishes_for(number as usize)
    }

    /// A report on a recipient to the message's reverse-path.
    fn report(
        &self,
        number: u32,
        action: Action,
        status: Status,
        reason: String,
        said: Option<Said>,
    ) -> Option<(ReversePath, RecipientReport)> {
        let report = RecipientReport::new(self.address(number)?.clone(), action, status, reason);
        let original = self.wishes(number).original.clone();
        Some((self.message.envelope.reverse_path().clone(), RecipientReport { original, said, ..report }))
    }

    /// A report of success, if the sender asked for it. Where there is none, nobody is told.
    fn success(
        &self,
        number: u32,
        action: Action,
        said: Option<Said>,
    ) -> Option<(ReversePath, RecipientReport)> {
        let told = self.wishes(number).wants_success() && self.has_sender();
        told.then(|| self.report(number, action, Status::SUCCESS, String::new(), said)).flatten()
    }

    fn has_sender(&self) -> bool {
        self.message.envelope.reverse_path().address().is_some()
    }

    fn failed(&mut self, number: u32, status: Status, reason: String, said: Option<Said>) {
        self.log("failed", number, &reason);
        if let Some(address) = self.address(number).cloned() {
            self.note_failed(&address, status, &reason, said.as_ref());
        }
        let mut settled = Settled::plain(number, RecipientOutcome::Failed { reply: reason.clone() });
        if self.wishes(number).wants_failure() {
            settled.reports.extend(self.report(number, Action::Failed, status, reason, said));
        }
        self.settled.push(settled);
    }

    /// Puts a recipient off, or gives it up if the message has been here too long.
    fn deferred(
        &mut self,
        number: u32,
        channel: Channel,
        status: Status,
        reason: String,
        said: Option<Said>,
    ) {
        let (now, arrival) = (unix_now(), self.message.arrival / 1_000_000);
        // Who holds it means to let it go some day.
        let held = !self.scheduler.queue.may_be_tried(self.message.id);
        if schedule::is_last_attempt(self.lifetime(), arrival, now) && !held {
            let reason =
                format!("{reason}\nI'm not going to try again; this message has been in the queue too long.");
            return self.failed(number, Status::new(5, 4, 7), reason, said);
        }
        self.log("deferred", number, &reason);
        let until = schedule::next_attempt(channel, arrival, now);
        self.note_deferred(number, &reason, said.as_ref(), until);
        let mut settled = Settled::plain(number, put_off(until, reason.clone()));
        if self.takes_long(now) && self.wants_delay(number) {
            settled.reports.extend(self.delay(number, status, reason, said));
        }
        self.settled.push(settled);
    }

    /// How long the message is tried, in seconds.
    fn lifetime(&self) -> u64 {
        lifetime(&self.scheduler.settings.load(), &self.message.envelope)
    }

    /// Something of ours failed, which is never the message's fault.
    fn own_fault(&mut self, number: u32, reason: String) {
        self.own_fault_until(number, reason, unix_now() + OWN_FAULT_PAUSE);
    }

    fn own_fault_until(&mut self, number: u32, reason: String, until: u64) {
        self.log("deferred", number, &reason);
        self.note_deferred(number, &reason, None, until);
        self.settled.push(Settled::plain(number, put_off(until, reason)));
    }

    fn note(&mut self, what: What) {
        self.events.push(noted::event(self.message.id, what));
    }

    fn note_delivered(&mut self, number: u32, to: Delivery) {
        let took_ms = u32::try_from(self.began.elapsed().as_millis()).unwrap_or(u32::MAX);
        if let Some(recipient) = self.address(number).cloned() {
            self.note(What::Delivered { recipient, to, took_ms });
        }
    }

    fn note_failed(&mut self, recipient: &Address, status: Status, reason: &str, said: Option<&Said>) {
        let (peer, reply) = noted::in_their_words(said, reason);
        let (recipient, status) = (recipient.clone(), Words::new(&status.to_string()));
        self.note(What::Failed { recipient, status, peer, reply });
    }

    /// `until` is in seconds since 1970.
    fn note_deferred(&mut self, number: u32, reason: &str, said: Option<&Said>, until: u64) {
        let (peer, reply) = noted::in_their_words(said, reason);
        if let Some(recipient) = self.address(number).cloned() {
            self.note(What::Deferred { recipient, peer, reply, until: until.saturating_mul(1_000_000) });
        }
    }

    fn log(&self, event: &str, number: u32, reason: &str) {
        let queue_id = self.message.id;
        let to = self.address(number).map(ToString::to_string).unwrap_or_default();
        warn!(event, %queue_id, to, delay_ms = self.delay_ms(), reason);
    }

    fn delay_ms(&self) -> u64 {
        unix_micros().saturating_sub(self.message.arrival) / 1000
    }
}

/// Not now, and no more is known.
const NOT_NOW: Status = Status::new(4, 0, 0);

/// The status code that stands in a reason as `(#4.2.2)`, as qmail puts it.
fn status_in(reason: &str) -> Status {
    let code = reason.rsplit_once("(#").and_then(|(_, rest)| rest.split_once(')'));
    code.and_then(|(code, _)| code.parse().ok())
        .filter(|status: &Status| status.class() == 4)
        .unwrap_or(NOT_NOW)
}

fn put_off(until: u64, reply: String) -> RecipientOutcome {
    RecipientOutcome::Deferred { until, reply, delay_told: false }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_may_name_its_status() {
        for (reason, status) in [
            ("Mailbox full. (#4.2.2)", "4.2.2"),
            ("Busy (#4.4.5) still", "4.4.5"),
            ("No. (#5.1.1)", "4.0.0"),
            ("(#", "4.0.0"),
            ("", "4.0.0"),
        ] {
            assert_eq!(status_in(reason).to_string(), status, "{reason}");
        }
    }
}
