//! What carries a message to `remote`, and what it comes back with.

use std::os::fd::OwnedFd;

use bytes::Bytes;
use envelope::Host;
use envelope::event::{Delivery, Peer, Words};
use link::services::remote;
use link::{CallError, Parcel};
use message::{Action, Status};
use queue::schedule::{self, Channel};
use queue::{RecipientOutcome, StoredBody};
use tracing::{info, warn};

use super::{Attempt, NOT_NOW, joined};
use crate::roles::queue::notices::Said;
use crate::roles::queue::scheduler::OWN_FAULT_PAUSE;
use crate::roles::queue::settled::{Record, Settled};
use crate::roles::unix_now;

impl Attempt<'_> {
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

    fn carried_to(&self, number: u32) -> Option<remote::Recipient> {
        let (address, wishes) = (self.address(number)?.clone(), self.wishes(number).clone());
        Some(remote::Recipient { address, wishes })
    }
}

/// What another host said, for a report.
fn said(peer: Option<remote::Peer>, reply: Option<String>) -> Option<Said> {
    peer.map(|peer| Said { host: peer.host, address: peer.address, reply })
}
