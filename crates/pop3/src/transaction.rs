//! The TRANSACTION state (RFC 1939 §5): messages are counted, listed, sent and marked.

use crate::action::{Action, NotTransmitted, Transmit, Unavailable};
use crate::command::{Number, Transaction};
use crate::dialogue::{Dialogue, Doing, Listing, State};
use crate::responses::{Negative, Positive};
use crate::uids::Uids;

impl Dialogue {
    /// Obeys a command of this state.
    pub(crate) fn transact(&mut self, command: Transaction) -> Result<(), Negative> {
        let State::Transaction { maildrop, doing } = &mut self.state else {
            return Err(Negative::AuthorizationFirst);
        };
        let (messages, octets) = (maildrop.messages(), maildrop.octets());
        match command {
            Transaction::Stat => self.output.ok(Positive::DropListing { messages, octets }),
            Transaction::List(None) => {
                self.output.ok(Positive::Maildrop { messages, octets });
                *doing = Doing::Listing { of: Listing::Sizes, next: 0 };
            }
            Transaction::List(Some(number)) => {
                let octets = maildrop.size(maildrop.find(number)?);
                self.output.ok(Positive::ScanListing { number, octets });
            }
            Transaction::Uidl(None) => self.list_uids(None),
            Transaction::Uidl(Some(number)) => {
                let index = maildrop.find(number)?;
                self.list_uids(Some(index));
            }
            Transaction::Retr(number) => {
                let index = maildrop.find(number)?;
                let octets = maildrop.size(index);
                self.transmit(index, None, Positive::Message { octets });
            }
            Transaction::Top { number, body_lines } => {
                let index = maildrop.find(number)?;
                self.transmit(index, Some(body_lines), Positive::Top);
            }
            Transaction::Dele(number) => {
                maildrop.delete(maildrop.find(number)?);
                self.output.ok(Positive::Deleted { number });
            }
            Transaction::Rset => {
                maildrop.reset();
                let (messages, octets) = (maildrop.messages(), maildrop.octets());
                self.output.ok(Positive::Maildrop { messages, octets });
            }
            Transaction::Noop => self.output.ok(Positive::Nothing),
        }
        Ok(())
    }

    /// Writes on at a listing while the output is shorter than `full` octets. Says whether there
    /// was one to write at.
    pub(crate) fn list_on(&mut self, full: usize) -> bool {
        let State::Transaction { maildrop, doing } = &mut self.state else { return false };
        let Doing::Listing { of, next } = doing else { return false };
        while *next < maildrop.len() {
            if self.output.len() >= full {
                return true;
            }
            if !maildrop.is_deleted(*next) {
                match of {
                    Listing::Sizes => self.output.numbers(number(*next), maildrop.size(*next)),
                    Listing::Uids => {
                        let uid = maildrop.uids().and_then(|uids| uids.get(*next));
                        self.output.listing(number(*next), uid.unwrap_or_default());
                    }
                }
            }
            *next += 1;
        }
        self.output.end();
        *doing = Doing::Commands;
        true
    }

    /// The unique-ids are known, or not to be had.
    pub(crate) fn uids(&mut self, result: Result<Uids, Unavailable>) {
        let State::Transaction { maildrop, doing } = &mut self.state else { return };
        let Doing::Naming { only } = *doing else { return };
        *doing = Doing::Commands;
        match result {
            Ok(uids) if uids.len() == maildrop.len() => {
                maildrop.name(uids);
                self.list_uids(only);
            }
            // Fewer or more than there are messages would name the wrong ones.
            Ok(_) | Err(Unavailable) => self.output.err(Negative::Unavailable),
        }
    }

    /// The message was sent with its final dot, or not.
    pub(crate) fn transmitted(&mut self, result: Result<(), NotTransmitted>) {
        let State::Transaction { doing, .. } = &mut self.state else { return };
        if !matches!(doing, Doing::Transmitting) {
            return;
        }
        *doing = Doing::Commands;
        if let Err(failure) = result {
            match failure.response() {
                Some(negative) => self.output.err(negative),
                None => self.close(),
            }
        }
    }

    /// Answers UIDL for one message or all, or asks the shell first.
    fn list_uids(&mut self, only: Option<usize>) {
        let State::Transaction { maildrop, doing } = &mut self.state else { return };
        let Some(uids) = maildrop.uids() else {
            *doing = Doing::Naming { only };
            self.pending = Some(Action::Uids);
            return;
        };
        match only {
            Some(index) => {
                let uid = uids.get(index).unwrap_or_default();
                self.output.ok(Positive::UniqueId { number: number(index), uid });
            }
            None => {
                self.output.ok(Positive::UniqueIds);
                *doing = Doing::Listing { of: Listing::Uids, next: 0 };
            }
        }
    }

    /// Has the shell send a message, after this response.
    fn transmit(&mut self, index: usize, body_lines: Option<u64>, opening: Positive<'_>) {
        let State::Transaction { doing, .. } = &mut self.state else { return };
        *doing = Doing::Transmitting;
        let opening = self.output.opening(opening);
        self.pending = Some(Action::Transmit(Transmit { index, body_lines, utf8: self.utf8, opening }));
    }
}

/// The number by which the client knows the message with this index.
fn number(index: usize) -> Number {
    index as Number + 1
}
