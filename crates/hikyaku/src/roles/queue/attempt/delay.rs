//! What tells a sender that his message takes long.

use envelope::ReversePath;
use message::{Action, Status};
use queue::{RecipientOutcome, RecipientState, RecipientStatus};

use super::{Attempt, status_in};
use crate::roles::queue::notices::{RecipientReport, Said};
use crate::roles::queue::scheduler::Scheduler;

impl Attempt<'_> {
    /// Whether a sender may be told that the message takes long.
    pub(super) fn takes_long(&self, now: u64) -> bool {
        let warning = self.scheduler.settings.load().queue.delay_warning;
        let due = (self.message.arrival / 1_000_000).saturating_add(warning);
        warning > 0 && now >= due && self.has_sender()
    }

    /// Whether the sender wants to be told so of a recipient. A customer is told of what he sent himself.
    pub(super) fn wants_delay(&self, number: u32) -> bool {
        let provenance = &self.message.provenance;
        let customers_own = provenance.account.is_some() && provenance.lineage.is_none();
        self.wishes(number).wants_delay(customers_own)
    }

    pub(super) fn delay(
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
    pub(super) fn tell_of_delay(&mut self) {
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
}
