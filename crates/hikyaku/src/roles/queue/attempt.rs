//! One message being tried: routed, handed to `local`, and what follows from what came of it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use envelope::event::{Delivery, Event, Peer, What, Words};
use envelope::{AccountName, Address, Destination, Envelope, Host, RecipientWishes, Refusal, ReversePath};
use link::services::local::{Deliver, Delivered, Done, Forward, LocalRecipient, Outcome, Request, Response};
use link::services::remote;
use link::{CallError, Parcel};
use message::{Action, Status};
use queue::schedule::{self, Channel};
use queue::{Message, NewMessage, RecipientOutcome, RecipientState, RecipientStatus, StoredBody};
use tracing::{info, warn};

use super::families::shared::Reservation;
use super::families::{Copy, Member};
use super::forwards;
use super::noted;
use super::notices::{RecipientReport, Said};
use super::scheduler::{OWN_FAULT_PAUSE, Scheduler};
use super::settled::{Forwarded, ForwardedLine, Record, Settled};
use crate::control::Settings;
use crate::roles::{unix_micros, unix_now};

/// Recipients that are handed to `local` at a time.
const RECIPIENTS_AT_A_TIME: usize = 500;
/// Octets of their instructions, so that with a message they fit a frame.
const ORDERS_AT_A_TIME: usize = 2 << 20;

/// One message being tried.
pub struct Attempt<'a> {
    scheduler: &'a Arc<Scheduler>,
    message: &'a Message<File>,
    /// None as long as it is the only one of its family, and cannot bring a mailbox a second copy.
    member: Option<Member>,
    settled: Vec<Settled>,
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

/// A recipient that `local` has in hand.
struct Handed {
    account: AccountName,
    has_it: bool,
    reservation: Option<Reservation>,
}

impl<'a> Attempt<'a> {
    pub fn new(scheduler: &'a Arc<Scheduler>, message: &'a Message<File>) -> Attempt<'a> {
        let alone = message.provenance.lineage.is_none() && message.envelope.recipients().len() == 1;
        let member = (!alone).then(|| scheduler.families.join(message));
        Attempt { scheduler, message, member, settled: Vec::new(), events: Vec::new(), began: Instant::now() }
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

    /// Delivers to mailboxes; gives what is to be recorded, each record in a commit of its own.
    pub async fn deliver_here(mut self, mut here: Vec<LocalRecipient>) -> Vec<Record> {
        while !here.is_empty() {
            // What is settled from here on is not missed.
            let settled = self.scheduler.families.settled();
            let (round, handed) = self.next_round(&mut here);
            if round.is_empty() {
                settled.await;
            } else {
                self.deliver(round, handed).await;
            }
        }
        self.leave();
        self.records().await
    }

    /// Has `remote` carry the message to recipients at one domain; gives what is to be recorded.
    pub async fn carry(mut self, to: &Host, numbers: &[u32]) -> Vec<Record> {
        match self.call_remote(to, numbers).await {
            Ok(outcomes) if outcomes.len() == numbers.len() => {
                for (&number, outcome) in numbers.iter().zip(outcomes) {
                    self.carried(number, outcome);
                }
            }
            Ok(_) => {
                for &number in numbers {
                    self.own_fault(number, "the remote role said nothing of this recipient".into());
                }
            }
            Err(error) => {
                let until = match error {
                    // It is started again; nobody was asked, or it died meanwhile.
                    CallError::Absent(_) | CallError::Lost(_) => unix_now() + OWN_FAULT_PAUSE,
                    // It may have sent the message all the same: not so soon again.
                    _ => {
                        schedule::next_attempt(Channel::Remote, self.message.arrival / 1_000_000, unix_now())
                    }
                };
                for &number in numbers {
                    self.own_fault_until(number, error.to_string(), until);
                }
            }
        }
        self.leave();
        self.records().await
    }

    async fn call_remote(&self, to: &Host, numbers: &[u32]) -> Result<Vec<remote::Outcome>, CallError> {
        let message = self.message;
        let mut deliver = remote::Deliver {
            id: message.id,
            reverse_path: message.envelope.reverse_path().clone(),
            to: to.clone(),
            recipients: numbers.iter().filter_map(|number| self.carried_to(*number)).collect(),
            body: message.envelope.body(),
            smtputf8: message.envelope.smtputf8(),
            wishes: message.envelope.wishes().clone(),
            file_size: None,
        };
        let (mut raw, mut fds) = (Bytes::new(), Vec::new());
        match &message.body {
            StoredBody::Memory(pieces) => raw = joined(pieces),
            StoredBody::File { file, length } => {
                fds.push(OwnedFd::from(file.try_clone().map_err(|_| CallError::Failed("remote"))?));
                deliver.file_size = Some(*length);
            }
        }
        let parcel = Parcel { value: remote::Request::Deliver(deliver), raw, fds };
        match self.scheduler.remote.call(parcel).await.map(|answer| answer.value) {
            Ok(remote::Response::Tried(outcomes)) => Ok(outcomes),
            Ok(_) => Err(CallError::Failed("remote")),
            // Not asked again at once: it may have sent the message before it died.
            Err(error) => Err(error),
        }
    }

    /// What another host, or the way to it, made of a recipient.
    fn carried(&mut self, number: u32, outcome: remote::Outcome) {
        match outcome {
            remote::Outcome::Delivered { peer, reply, under_tls, dsn } => {
                let to = self.address(number).map(ToString::to_string).unwrap_or_default();
                info!(
                    event = "delivered", queue_id = %self.message.id, to, disposition = "remote",
                    host = peer.host, address = %peer.address, tls = under_tls, reply,
                    delay_ms = self.delay_ms()
                );
                let host = Peer { host: Words::new(&peer.host), address: peer.address, tls: Some(under_tls) };
                self.note_delivered(number, Delivery::Host { peer: host, reply: Words::new(&reply) });
                let kept = format!("{} [{}]: {reply}", peer.host, peer.address);
                let mut settled = Settled::plain(number, RecipientOutcome::Delivered { reply: kept });
                if !dsn {
                    // A host that announced DSN was asked for the report (RFC 3461 §5.2.2).
                    let said = Said { host: peer.host, address: peer.address, reply: Some(reply) };
                    settled.reports.extend(self.success(number, Action::Relayed, Some(said)));
                }
                self.settled.push(settled);
            }
            remote::Outcome::Failed(diagnosis) => {
                let status = diagnosis.status.parse().unwrap_or(Status::FAILURE);
                self.failed(number, status, diagnosis.text, said(diagnosis.peer, diagnosis.reply));
            }
            remote::Outcome::Deferred(diagnosis) => {
                if diagnosis.possibly_delivered {
                    let to = self.address(number).map(ToString::to_string).unwrap_or_default();
                    warn!(event = "possible_duplicate", queue_id = %self.message.id, to);
                }
                let status = diagnosis.status.parse().unwrap_or(NOT_NOW);
                let said = said(diagnosis.peer, diagnosis.reply);
                self.deferred(number, Channel::Remote, status, diagnosis.text, said);
            }
        }
    }

    /// Takes those recipients that can be handed to `local` now. One whose mailbox another copy is
    /// about to reach waits until it is known whether it did.
    fn next_round(&self, here: &mut Vec<LocalRecipient>) -> (Vec<LocalRecipient>, HashMap<u32, Handed>) {
        let mut round = Vec::with_capacity(here.len().min(RECIPIENTS_AT_A_TIME));
        let mut handed = HashMap::with_capacity(round.capacity());
        let (mut later, mut octets) = (Vec::new(), 0);
        for mut recipient in here.drain(..) {
            octets += recipient.orders.as_ref().map_or(0, |orders| orders.text.len());
            let full = round.len() == RECIPIENTS_AT_A_TIME || octets > ORDERS_AT_A_TIME;
            if full && !round.is_empty() {
                later.push(recipient);
                continue;
            }
            let account = recipient.local.mailbox.account.clone();
            let reservation = match self.member {
                None => None,
                Some(member) => match self.scheduler.families.reserve(member, &account) {
                    (Copy::Wanted, reservation) => reservation,
                    (Copy::Had, _) => {
                        recipient.has_it = true;
                        None
                    }
                    (Copy::Underway, _) => {
                        later.push(recipient);
                        continue;
                    }
                },
            };
            handed.insert(recipient.number, Handed { account, has_it: recipient.has_it, reservation });
            round.push(recipient);
        }
        *here = later;
        (round, handed)
    }

    /// Hands the message to `local`, for all these recipients at once.
    async fn deliver(&mut self, recipients: Vec<LocalRecipient>, mut handed: HashMap<u32, Handed>) {
        let problem = match self.call_local(recipients).await {
            Ok(delivered) => {
                for Delivered { number, outcome } in delivered {
                    let Some(recipient) = handed.remove(&number) else { continue };
                    match outcome {
                        Outcome::Delivered(done) => self.delivered(number, recipient, done).await,
                        Outcome::Failed { status, reason } => {
                            let status = status.parse().unwrap_or(Status::FAILURE);
                            self.failed(number, status, reason, None);
                        }
                        Outcome::Deferred { reason } => {
                            let status = status_in(&reason);
                            self.deferred(number, Channel::Local, status, reason, None);
                        }
                    }
                }
                "the local role said nothing of this recipient".into()
            }
            Err(problem) => problem,
        };
        // Whatever `local` left out is tried again: no recipient is forgotten.
        let mut left: Vec<u32> = handed.into_keys().collect();
        left.sort_unstable();
        for number in left {
            self.own_fault(number, problem.clone());
        }
    }

    async fn call_local(&self, recipients: Vec<LocalRecipient>) -> Result<Vec<Delivered>, String> {
        let message = self.message;
        let mut deliver = Deliver {
            id: message.id,
            arrived: message.arrival / 1_000_000,
            reverse_path: message.envelope.reverse_path().clone(),
            recipients,
            repeat: self.scheduler.may_have_been_tried(message),
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

    /// All that the owner wanted is done; what he wants sent on follows.
    async fn delivered(&mut self, number: u32, recipient: Handed, done: Done) {
        let Some(by) = self.address(number).cloned() else { return };
        let Handed { account, has_it, reservation } = recipient;
        let Done { in_mailbox, in_file, by_program, forwards, undeliverable, warn } = done;
        if let Some(reservation) = reservation {
            reservation.settle(in_mailbox);
        }
        let disposition = Disposition::of(in_mailbox, has_it, !forwards.is_empty());
        let to = match disposition {
            Disposition::Mailbox | Disposition::HadIt => Some(Delivery::Mailbox(account.clone())),
            _ if in_file => Some(Delivery::File),
            _ if by_program => Some(Delivery::Program),
            Disposition::Forwarded => None,
            Disposition::NotKept => Some(Delivery::Discarded),
        };
        let mut success = Some(Action::Delivered);
        let mut settled =
            Settled::plain(number, RecipientOutcome::Delivered { reply: disposition.reply().into() });
        if !forwards.is_empty() {
            if self.member.is_none() {
                let member = self.scheduler.families.join(self.message);
                if in_mailbox {
                    self.scheduler.families.got_in(member, &account);
                }
                self.member = Some(member);
            }
            let kept = in_mailbox || has_it;
            success = match self.forward(&by, forwards, kept, &mut settled).await {
                Ok(success) => success,
                // A second attempt replaces the copy in the mailbox.
                Err(problem) => return self.own_fault(number, problem),
            };
        }
        if let Some(action) = success {
            settled.reports.extend(self.success(number, action, None));
        }
        let reverse_path = self.message.envelope.reverse_path();
        for (text, why) in undeliverable {
            let reason = format!("It could not be forwarded to {text:?}: {why}");
            self.log_forward_failed(&by, &text, &reason);
            self.note_failed(&by, Status::new(5, 1, 3), &reason, None);
            let wishes = self.wishes(number);
            if wishes.wants_failure() {
                let mut report =
                    RecipientReport::new(by.clone(), Action::Failed, Status::new(5, 1, 3), reason);
                report.original = wishes.original.clone();
                settled.reports.push((reverse_path.clone(), report));
            }
        }
        if let Some(percent) = warn {
            settled.new.extend(self.scheduler.notices.mailbox_filling(&account, percent).await);
        }
        let queue_id = self.message.id;
        info!(event = "delivered", %queue_id, to = %by, disposition = disposition.name(), delay_ms = self.delay_ms());
        if let Some(to) = to {
            self.note_delivered(number, to);
        }
        self.settled.push(settled);
    }

    /// Makes the new messages for what `by` forwards; gives what its sender is told of it, if he wants to know
    /// of success, or nothing where whoever gets the forward will tell him.
    async fn forward(
        &mut self,
        by: &Address,
        forwards: Vec<Forward>,
        kept: bool,
        settled: &mut Settled,
    ) -> Result<Option<Action>, String> {
        let Some(member) = self.member else { return Ok(Some(Action::Delivered)) };
        let Scheduler { queue, ids, families, settings, .. } = &**self.scheduler;
        let copies_max = settings.load().delivery.fan_out_max;
        let (admitted, admission) = families.admit(member, self.message, forwards, copies_max);
        let success = self.success_of(&admitted.forwards, kept);
        let wishes = self.wishes(settled.number);
        let wishes = if success.is_none() { wishes.clone() } else { wishes.without_success() };
        let (forwards, lineage) = (admitted.forwards, &admitted.lineage);
        let mut new = forwards::messages(queue, ids, self.message, by, forwards, lineage, &wishes).await?;
        // What does not fit one commit would never be committed.
        let (mut octets, most) = (0, queue.together_bytes_max() / 2);
        let fitting = new.iter().take_while(|message| {
            octets += forwards::weight(message);
            octets <= most
        });
        let left_over = new.split_off(fitting.count());
        let left_over = left_over.iter().flat_map(|message| {
            let to = message.envelope.recipients().iter();
            to.map(|to| (message.envelope.reverse_path().clone(), to.address().clone()))
        });
        let beyond: Vec<_> = admitted.beyond.into_iter().chain(left_over).collect();
        let line = |message: &NewMessage| {
            let (to, reverse_path) = forwards::described(message);
            ForwardedLine { id: message.id, to, reverse_path }
        };
        let lines = new.iter().map(line).collect();
        settled.new.extend(new);
        settled.forwarded = Some(Forwarded { admission, by: by.clone(), lines });
        for (reverse_path, address) in beyond {
            let reason = "Sorry, this message has been forwarded to too many addresses already. (#5.4.6)";
            self.log_forward_failed(by, &address.to_string(), reason);
            self.note_failed(&address, Status::new(5, 4, 6), reason, None);
            let own = reverse_path == *self.message.envelope.reverse_path();
            if !own || wishes.wants_failure() {
                let report =
                    RecipientReport::new(address, Action::Failed, Status::new(5, 4, 6), reason.into());
                settled.reports.push((reverse_path, report));
            }
        }
        Ok(success)
    }

    /// What becomes of an address by these forwards (RFC 3461 §5.2.7). One that does nothing but lead on to
    /// one other passes the wish for a report on; one that leads on to several does not; what goes to a list
    /// is delivered when the list has it.
    fn success_of(&self, forwards: &[Forward], kept: bool) -> Option<Action> {
        let reverse_path = self.message.envelope.reverse_path();
        let aliases = forwards.iter().filter(|forward| forward.reverse_path == *reverse_path);
        let count: usize = aliases.map(|forward| forward.to.len()).sum();
        match (kept, count) {
            (true, _) | (false, 0) => Some(Action::Delivered),
            (false, 1) if forwards.len() == 1 => None,
            (false, _) => Some(Action::Expanded),
        }
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

    fn carried_to(&self, number: u32) -> Option<remote::Recipient> {
        let (address, wishes) = (self.address(number)?.clone(), self.wishes(number).clone());
        Some(remote::Recipient { address, wishes })
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

    /// Whether a sender may be told that the message takes long.
    fn takes_long(&self, now: u64) -> bool {
        let warning = self.scheduler.settings.load().queue.delay_warning;
        let due = (self.message.arrival / 1_000_000).saturating_add(warning);
        warning > 0 && now >= due && self.has_sender()
    }

    /// Whether the sender wants to be told so of a recipient. A customer is told of what he sent himself.
    fn wants_delay(&self, number: u32) -> bool {
        let provenance = &self.message.provenance;
        let customers_own = provenance.account.is_some() && provenance.lineage.is_none();
        self.wishes(number).wants_delay(customers_own)
    }

    fn delay(
        &self,
        number: u32,
        status: Status,
        reason: String,
        said: Option<Said>,
    ) -> Option<(ReversePath, RecipientReport)> {
        let (reverse_path, report) = self.report(number, Action::Delayed, status, reason, said)?;
        let until = (self.message.arrival / 1_000_000).saturating_add(self.lifetime());
        Some((reverse_path, RecipientReport { will_retry_until: Some(until), ..report }))
    }

    /// Has the sender told that the message takes long, if that was found: once, and of all that wait.
    fn tell_of_delay(&mut self) {
        let is_delay = |(_, report): &(ReversePath, RecipientReport)| report.action == Action::Delayed;
        let Some(first) = self.settled.iter().position(|one| one.reports.iter().any(is_delay)) else {
            return;
        };
        let Scheduler { queue, delays, .. } = &**self.scheduler;
        // Leave comes first: whoever had it before has made the queue know by then.
        let telling = delays.tell(self.message.id).filter(|_| !queue.delay_told(self.message.id));
        if telling.is_none() {
            return self.settled.iter_mut().for_each(|one| one.reports.retain(|report| !is_delay(report)));
        }
        let others = self.others_that_wait();
        let first = &mut self.settled[first];
        first.reports.extend(others);
        first.telling = telling;
        if let RecipientOutcome::Deferred { delay_told, .. } = &mut first.outcome {
            *delay_told = true;
        }
    }

    /// Recipients who were tried before and are not in this attempt, as other attempts left them.
    fn others_that_wait(&self) -> Vec<(ReversePath, RecipientReport)> {
        let waits = |number: u32, state: &RecipientState| {
            let waiting = matches!(state.status, RecipientStatus::Waiting { .. }) && state.attempts > 0;
            waiting && self.wants_delay(number) && self.settled.iter().all(|one| one.number != number)
        };
        let states = (0..).zip(&self.message.recipients).filter(|(number, state)| waits(*number, state));
        let report = |(number, state): (u32, &RecipientState)| {
            let (reverse_path, report) =
                self.delay(number, status_in(&state.last_reply), state.last_reply.to_string(), None)?;
            Some((reverse_path, RecipientReport { tried_now: false, ..report }))
        };
        states.filter_map(report).collect()
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

    fn log_forward_failed(&self, by: &Address, to: &str, reason: &str) {
        warn!(event = "forward_failed", queue_id = %self.message.id, %by, to, reason);
    }

    fn delay_ms(&self) -> u64 {
        unix_micros().saturating_sub(self.message.arrival) / 1000
    }
}

/// What became of a message that an address took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disposition {
    /// It lies in the mailbox.
    Mailbox,
    /// The mailbox had it already, from another member of its family.
    HadIt,
    /// It is forwarded, and not kept.
    Forwarded,
    /// The mailbox's owner keeps no copy.
    NotKept,
}

impl Disposition {
    fn of(in_mailbox: bool, has_it: bool, forwarded: bool) -> Disposition {
        match (in_mailbox, forwarded, has_it) {
            (true, _, false) => Disposition::Mailbox,
            (_, true, _) => Disposition::Forwarded,
            (_, false, true) => Disposition::HadIt,
            (false, false, false) => Disposition::NotKept,
        }
    }

    /// In the log.
    fn name(self) -> &'static str {
        match self {
            Disposition::Mailbox => "mailbox",
            Disposition::HadIt => "had-it",
            Disposition::Forwarded => "forwarded",
            Disposition::NotKept => "not-kept",
        }
    }

    /// What the queue shows.
    fn reply(self) -> &'static str {
        match self {
            Disposition::Mailbox => "delivered to the mailbox",
            Disposition::HadIt => "the mailbox had it already",
            Disposition::Forwarded => "forwarded",
            Disposition::NotKept => "done as its instructions say, which keep no copy in the mailbox",
        }
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

/// What another host said, for a report.
fn said(peer: Option<remote::Peer>, reply: Option<String>) -> Option<Said> {
    peer.map(|peer| Said { host: peer.host, address: peer.address, reply })
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
