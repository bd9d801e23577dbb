//! What the shell answers.

use std::time::Instant;

use envelope::{Client, QueueId, Refusal};

use super::{Carrier, Hello, Session, State};
use crate::action::{Action, Event, Judged, NotAccepted, Refused};
use crate::replies;
use crate::settings::TlsInfo;

/// An answer that nobody asked for changes nothing.
impl Session {
    /// Who the client is, as far as it has shown by AUTH.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Answers [`Action::JudgeSender`].
    pub fn sender_judged(&mut self, verdict: Result<(), Refusal>) {
        let transaction = match std::mem::take(&mut self.state) {
            State::JudgingSender(transaction) => transaction,
            state => return self.state = state,
        };
        match verdict {
            Ok(()) => {
                self.state = State::Transaction(transaction);
                self.reply(&replies::sender_ok());
            }
            Err(refusal) => {
                self.refuse(Refused {
                    reverse_path: Some(transaction.reverse_path),
                    recipient: None,
                    id: None,
                    account: transaction.sender.map(|sender| sender.account),
                    reply: replies::refused(refusal),
                });
            }
        }
    }

    /// Answers [`Action::Judge`]. A transaction has one sender: a recipient that comes with another
    /// is refused.
    pub fn judged(&mut self, verdict: Result<Judged, Refusal>) {
        let (mut transaction, address, wishes) = match std::mem::take(&mut self.state) {
            State::Judging(transaction, address, wishes) => (transaction, address, wishes),
            state => return self.state = state,
        };
        let verdict = verdict.and_then(|Judged { recipient, sender }| {
            match (&transaction.sender, sender) {
                (Some(known), Some(other)) if known.account != other.account => {
                    return Err(Refusal::SenderDenied);
                }
                (None, Some(sender)) => transaction.sender = Some(sender),
                _ => {}
            }
            Ok(recipient)
        });
        match verdict {
            Ok(recipient) => {
                transaction.add(recipient, wishes);
                self.reply(&replies::recipient_ok());
            }
            Err(refusal) => {
                self.refuse(Refused {
                    reverse_path: Some(transaction.reverse_path.clone()),
                    recipient: Some(address),
                    id: None,
                    account: transaction.sender.as_ref().map(|sender| sender.account.clone()),
                    reply: replies::refused(refusal),
                });
            }
        }
        self.state = State::Transaction(transaction);
    }

    /// Answers [`Action::Open`]: the message's name, or why none can be taken now. In the latter
    /// case the transaction is over, as it is with qmail.
    pub fn opened(&mut self, name: Result<QueueId, NotAccepted>, now: Instant) {
        let (trace, carrier) = match std::mem::take(&mut self.state) {
            State::Opening(trace, carrier) => (trace, carrier),
            state => return self.state = state,
        };
        let why = match name {
            Ok(id) => return self.state = State::Opened(trace, carrier, id),
            Err(why) => why,
        };
        let refused = Refused {
            reverse_path: Some(trace.reverse_path),
            recipient: None,
            id: None,
            account: trace.sender.map(|sender| sender.account),
            reply: replies::not_accepted(why),
        };
        match carrier {
            Carrier::Data => {
                self.refuse(refused);
            }
            Carrier::Bdat(chunk) => self.refuse_chunk(chunk.size, refused, now),
        }
    }

    /// Answers [`Action::Commit`]. Say `Ok` only when the message survives a power cut: the client
    /// forgets it then (RFC 5321 §6.1).
    pub fn committed(&mut self, outcome: Result<QueueId, NotAccepted>) {
        let draft = match std::mem::take(&mut self.state) {
            State::Committing(draft) => draft,
            state => return self.state = state,
        };
        match outcome {
            Ok(id) => {
                self.reply(&replies::accepted(id));
                let event = Event::Accepted { id, size: draft.size(), account: draft.account() };
                self.actions.push_back(Action::Log(event));
            }
            Err(why) => {
                self.refuse(Refused {
                    account: draft.account(),
                    reverse_path: Some(draft.reverse_path),
                    recipient: None,
                    id: Some(draft.id),
                    reply: replies::not_accepted(why),
                });
            }
        }
    }

    /// Answers [`Action::StartTls`]: the session begins anew, under TLS and without a greeting
    /// (RFC 3207 §4.2): who it was authenticated as is forgotten with the rest.
    pub fn tls_started(&mut self, tls: TlsInfo, now: Instant) {
        if let State::Handshake = self.state {
            self.tls = Some(tls);
            self.client = Client::Stranger;
            self.hello = Hello::None;
            self.silence_ends = now + self.settings.idle;
            self.state = State::Idle;
        }
    }
}
