//! A filter at work: what it says of a message by what is known of it so far, the cheapest first.

use envelope::{Envelope, Filter, Provenance};

use crate::index::Entry;
use crate::message::{RecipientState, RecipientStatus};

/// A filter, made ready.
pub(crate) struct Sieve<'a> {
    filter: &'a Filter,
    /// The part of a reply that is looked for, in lower case.
    reason: Option<String>,
}

impl<'a> Sieve<'a> {
    pub fn new(filter: &'a Filter) -> Sieve<'a> {
        Sieve { filter, reason: filter.reason.as_ref().map(|reason| reason.to_lowercase()) }
    }

    /// Whether it asks for what only the message's head says.
    pub fn needs_head(&self) -> bool {
        self.filter.sender.is_some() || self.filter.account.is_some() || self.filter.picks_recipients()
    }

    /// Whether it asks for what was replied.
    pub fn needs_replies(&self) -> bool {
        self.reason.is_some()
    }

    /// Whether a message may be meant, as far as memory knows.
    pub fn lets_entry_through(&self, entry: &Entry) -> bool {
        let Filter { arrived_by, larger_than, held, .. } = self.filter;
        arrived_by.is_none_or(|then| u64::from(entry.arrival) <= then)
            && larger_than.is_none_or(|octets| entry.size > octets)
            && (!held || entry.held)
    }

    /// Whether a message may be meant, by its sender.
    pub fn lets_sender_through(&self, envelope: &Envelope, provenance: &Provenance) -> bool {
        let Filter { sender, account, .. } = self.filter;
        sender.as_ref().is_none_or(|pattern| pattern.is_reverse_path(envelope.reverse_path()))
            && account.as_ref().is_none_or(|account| provenance.account.as_ref() == Some(account))
    }

    /// Those recipients that wait and are meant, by their numbers.
    pub fn pick(&self, envelope: &Envelope, states: &[RecipientState]) -> Vec<u32> {
        let recipients = envelope.recipients().iter().zip(states).zip(0..);
        let meant = recipients.filter(|((recipient, state), _)| {
            is_waiting(state)
                && self.filter.picks(recipient.address())
                && self.reason.as_ref().is_none_or(|part| state.last_reply.to_lowercase().contains(part))
        });
        meant.map(|(_, number)| number).collect()
    }
}

/// Whether a recipient is still to be served.
pub(crate) fn is_waiting(state: &RecipientState) -> bool {
    matches!(state.status, RecipientStatus::Waiting { .. })
}
