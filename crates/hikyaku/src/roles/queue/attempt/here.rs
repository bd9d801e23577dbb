//! What hands a message to `local`, and what follows from what came of it.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use envelope::event::Delivery;
use envelope::{AccountName, Address};
use link::services::local::{Deliver, Delivered, Done, Forward, LocalRecipient, Outcome, Request, Response};
use link::{CallError, Parcel};
use message::{Action, Status};
use queue::schedule::Channel;
use queue::{NewMessage, RecipientOutcome, StoredBody};
use tracing::{info, warn};

use super::{Attempt, joined, status_in};
use crate::roles::queue::auto_replies::Arrived;
use crate::roles::queue::families::Copy;
use crate::roles::queue::families::shared::Reservation;
use crate::roles::queue::forwards;
use crate::roles::queue::notices::RecipientReport;
use crate::roles::queue::scheduler::Scheduler;
use crate::roles::queue::settled::{Forwarded, ForwardedLine, Record, Settled};

/// Recipients that are handed to `local` at a time.
const RECIPIENTS_AT_A_TIME: usize = 500;
/// Octets of their instructions, so that with a message they fit a frame.
const ORDERS_AT_A_TIME: usize = 2 << 20;

/// A recipient that `local` has in hand.
struct Handed {
    account: AccountName,
    has_it: bool,
    reservation: Option<Reservation>,
}

impl Attempt<'_> {
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
        if in_mailbox && self.away.contains(&number) {
            self.answer(number, &by, &account);
        }
    }

    /// Has the sender answered, as the mailbox's owner is away.
    fn answer(&self, number: u32, by: &Address, account: &AccountName) {
        let original = self.wishes(number).original.as_ref();
        if let Some(arrived) = Arrived::new(self.message, account, by, original) {
            self.scheduler.auto_replies.consider(arrived);
        }
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

    fn log_forward_failed(&self, by: &Address, to: &str, reason: &str) {
        warn!(event = "forward_failed", queue_id = %self.message.id, %by, to, reason);
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
