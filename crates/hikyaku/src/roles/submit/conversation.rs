//! One connection of a program: a message, or a question. One request is answered before the next is read,
//! so that a caller makes us hold one piece of his message and no more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use link::services::queue;
use link::services::submit::{ComposedEnvelope, PIECE_MAX, REQUEST_MAX, Request, Response, Submit};
use link::{Parcel, Responder, Turns};
use sendmail::intake::HEADER_MAX;
use sendmail::{Job, Refusal};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::arriving::{Arriving, show};
use super::caller::Caller;
use super::{House, noted};
use crate::control::Settings;
use crate::roles::connections::Program;

/// A connection, from its first request to its end.
pub async fn converse(house: Arc<House>, program: Program) -> std::io::Result<()> {
    let Program { stream, peer: uid, settings, stopping } = program;
    let turns = Turns::new(stream, REQUEST_MAX);
    let idle = Duration::from_secs(settings.limits.idle);
    let caller = Caller::of(&house, uid).await;
    let mut conversation = Conversation { house: &house, settings: &settings, turns, idle, stopping, uid };
    conversation.hold(&caller).await
}

struct Conversation<'a> {
    house: &'a House,
    settings: &'a Settings,
    turns: Turns<Submit>,
    idle: Duration,
    stopping: watch::Receiver<bool>,
    uid: u32,
}

/// What a caller asked, and the means to answer.
type Turn = (Parcel<Request>, Responder<Submit>);

impl Conversation<'_> {
    async fn hold(&mut self, caller: &Result<Caller, Refusal>) -> std::io::Result<()> {
        while let Some((Parcel { value, raw, .. }, responder)) = self.rest().await? {
            let caller = match caller {
                Ok(caller) => caller,
                Err(refusal) => {
                    self.refuse(None, refusal.clone(), responder);
                    continue;
                }
            };
            match value {
                Request::Take { job, whole } => self.take(caller, job, (raw, whole), responder).await?,
                Request::Refused(refusal) => {
                    self.house.notes.note(noted::refused(self.uid, Some(caller), &refusal));
                    responder.send(Response::GoOn);
                }
                Request::More { .. } => {
                    let refusal = Refusal::Fault("more of a message came than was asked for".into());
                    self.refuse(Some(caller), refusal, responder);
                }
                Request::TakeLeft { .. } => {
                    let refusal = Refusal::NotAllowed("this is asked by a fellow role alone".into());
                    self.refuse(Some(caller), refusal, responder);
                }
                Request::Compose(_) if raw.len() as u64 > HEADER_MAX => {
                    self.refuse(Some(caller), Refusal::HeaderTooLarge(HEADER_MAX), responder);
                }
                Request::Compose(job) => match show(self.house, self.settings, caller, &job, &raw).await {
                    Ok((head, envelopes)) => {
                        let envelopes = envelopes.iter().map(|envelope| ComposedEnvelope {
                            reverse_path: envelope.reverse_path().clone(),
                            recipients: envelope.recipients().iter().map(|to| to.address().clone()).collect(),
                        });
                        let composed = Response::Composed(envelopes.collect());
                        responder.send(Parcel::with_raw(composed, head));
                    }
                    Err(refusal) => self.refuse(Some(caller), refusal, responder),
                },
                // All users who are no customer's share it.
                Request::Waiting(_) if *caller.account() == directory::anonymous() => {
                    let sentence = format!("user id {} belongs to no customer, and has no list", self.uid);
                    responder.send(Response::Refused(Refusal::NotAllowed(sentence)));
                }
                Request::Waiting(walk) => {
                    let question = queue::Request::Waiting { of: caller.user.grant.clone(), walk };
                    let answer = self.house.queue.call_until_answered(question, Bytes::new()).await;
                    responder.send(match answer.map(|answer| answer.value) {
                        Ok(queue::Response::Waiting { messages, more }) => {
                            Response::Waiting { messages, more }
                        }
                        _ => Response::Refused(Refusal::ServerAway("its queue is away".into())),
                    });
                }
            }
        }
        Ok(())
    }

    /// Takes a message, piece by piece; refused, it is not heard to its end.
    async fn take(
        &mut self,
        caller: &Caller,
        job: Job,
        (mut raw, mut whole): (Bytes, bool),
        mut responder: Responder<Submit>,
    ) -> std::io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(self.settings.limits.message_time_max);
        let id = self.house.next_id();
        let mut arriving = match Arriving::new(self.house, self.settings, caller, job, id) {
            Ok(arriving) => arriving,
            Err(refusal) => {
                self.refuse(Some(caller), refusal, responder);
                return Ok(());
            }
        };
        let outcome = loop {
            if raw.len() > PIECE_MAX {
                break Err(Refusal::Fault("a piece of the message is too large".into()));
            }
            if let Err(refusal) = arriving.feed(&raw).await {
                break Err(refusal);
            }
            if whole {
                break arriving.finish().await;
            }
            responder.send(Response::GoOn);
            let by = deadline.min(Instant::now() + self.idle);
            match timeout_at(by, self.turns.next()).await {
                Ok(Ok(Some((Parcel { value: Request::More { whole: last }, raw: more, .. }, next)))) => {
                    (raw, whole, responder) = (more, last, next);
                }
                Ok(Ok(Some((_, next)))) => {
                    responder = next;
                    break Err(Refusal::Fault("the message was not at its end".into()));
                }
                Ok(Ok(None)) => {
                    info!(event = "vanished", service = "submit", uid = self.uid, in_message = true);
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    info!(event = "timed_out", service = "submit", uid = self.uid, in_message = true);
                    return Ok(());
                }
            }
        };
        match outcome {
            Ok(id) => responder.send(Response::Accepted(id)),
            Err(refusal) => self.refuse(Some(caller), refusal, responder),
        }
        Ok(())
    }

    fn refuse(&self, caller: Option<&Caller>, refusal: Refusal, responder: Responder<Submit>) {
        self.house.notes.note(noted::refused(self.uid, caller, &refusal));
        responder.send(Response::Refused(refusal));
    }

    /// The next request, when no message is under way.
    async fn rest(&mut self) -> std::io::Result<Option<Turn>> {
        tokio::select! {
            turn = self.turns.next() => turn,
            () = tokio::time::sleep(self.idle) => Ok(None),
            _ = self.stopping.wait_for(|stop| *stop) => Ok(None),
        }
    }
}
