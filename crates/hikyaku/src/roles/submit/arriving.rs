//! A message on its way in. Of one whose connection ends before it is whole, nothing is queued.

use bytes::Bytes;
use envelope::{Envelope, QueueId};
use link::services::queue::NotAccepted;
use message::LocalReceived;
use sendmail::intake::HEADER_MAX;
use sendmail::{Intake, Job, Refusal};
use tracing::warn;

use super::caller::Caller;
use super::composing::{Composed, check, compose};
use super::{House, noted};
use crate::control::Settings;
use crate::roles::draft::{Draft, Taken};
use crate::roles::unix_micros;

/// A message with so many fields of its way in the header, or more, is looping.
const HOPS_MAX: u32 = 100;
/// The most octets of a message that goes with several envelopes: it is held until it is whole, as it
/// becomes as many messages.
pub const HELD_MAX: u64 = 4 << 20;

/// A message of one caller.
pub struct Arriving<'a> {
    house: &'a House,
    settings: &'a Settings,
    caller: &'a Caller,
    job: Job,
    id: QueueId,
    began: u64,
    intake: Intake,
    stage: Stage,
}

enum Stage {
    /// Its header is not whole yet.
    Header,
    /// It goes to the queue as it comes.
    Draft(Box<Draft>),
    /// It is held, for several envelopes.
    Held { envelopes: Vec<Envelope>, octets: Vec<u8> },
}

impl<'a> Arriving<'a> {
    /// Begins a message with this name.
    ///
    /// # Errors
    /// If it is for too many, so far.
    pub fn new(
        house: &'a House,
        settings: &'a Settings,
        caller: &'a Caller,
        job: Job,
        id: QueueId,
    ) -> Result<Arriving<'a>, Refusal> {
        check(&job, settings)?;
        let intake = Intake::new(HEADER_MAX, settings.limits.message_size_max);
        Ok(Arriving { house, settings, caller, job, id, began: unix_micros(), intake, stage: Stage::Header })
    }

    /// Takes more of the message.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn feed(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        let mut body = Vec::with_capacity(octets.len() + octets.len() / 16);
        self.intake.feed(octets, &mut body)?;
        self.pass(body).await
    }

    /// The message is whole: hands it over. Gives its name, or that of the first of several.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn finish(mut self) -> Result<QueueId, Refusal> {
        self.complete().await?;
        self.commit().await
    }

    /// The message is whole: judges what is left of it to judge. [`Arriving::commit`] comes next.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn complete(&mut self) -> Result<(), Refusal> {
        let mut body = Vec::new();
        self.intake.finish(&mut body)?;
        self.pass(body).await
    }

    /// Hands a complete message over; as [`Arriving::finish`].
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn commit(mut self) -> Result<QueueId, Refusal> {
        match std::mem::replace(&mut self.stage, Stage::Header) {
            Stage::Draft(draft) => {
                let taken = draft.commit().await.map_err(|why| self.refusal(why))?;
                self.note(taken);
            }
            Stage::Held { envelopes, octets } => self.send_each(envelopes, &octets).await?,
            Stage::Header => return Err(Refusal::Fault("the message ended in its header".into())),
        }
        Ok(self.id)
    }

    /// Passes on what came, and what stands before it.
    async fn pass(&mut self, body: Vec<u8>) -> Result<(), Refusal> {
        if let Some(header) = self.intake.header() {
            self.compose(&header).await?;
        }
        match &mut self.stage {
            Stage::Header => {}
            Stage::Draft(draft) => draft.append(&body).await,
            Stage::Held { octets, .. } => {
                if (octets.len() + body.len()) as u64 > HELD_MAX {
                    return Err(Refusal::TooLarge(HELD_MAX));
                }
                octets.extend_from_slice(&body);
            }
        }
        Ok(())
    }

    async fn compose(&mut self, header: &[u8]) -> Result<(), Refusal> {
        if self.intake.hops() >= HOPS_MAX {
            return Err(Refusal::TooManyHops);
        }
        let (message, size) = ((&self.job, header), self.intake.size());
        let composed = compose(self.house, self.settings, self.caller, message, size, self.id).await?;
        let Composed { head, mut envelopes, notes } = composed;
        noted::changed(self.caller, self.id, &notes);
        self.stage = match envelopes.pop() {
            Some(only) if envelopes.is_empty() => {
                let mut draft = self.draft(self.id, only).await;
                draft.append(&head).await;
                Stage::Draft(Box::new(draft))
            }
            last => {
                envelopes.extend(last);
                Stage::Held { envelopes, octets: head }
            }
        };
        Ok(())
    }

    /// A message for this envelope, which begins with our trace field.
    async fn draft(&self, id: QueueId, envelope: Envelope) -> Draft {
        let received = LocalReceived {
            host: &self.settings.hostname,
            command: self.job.face.name(),
            uid: self.caller.uid,
            id,
            at: self.house.wall_clock(),
        };
        let grant = Some(self.caller.user.grant.clone());
        let mut draft = Draft::new(self.house.queue.clone(), id, envelope, self.began, grant);
        draft.append(received.to_string().as_bytes()).await;
        draft
    }

    /// Hands over a message for each envelope. Those that went before one fails have gone.
    async fn send_each(&self, envelopes: Vec<Envelope>, octets: &[u8]) -> Result<(), Refusal> {
        let all = envelopes.len();
        for (sent, envelope) in envelopes.into_iter().enumerate() {
            let id = if sent == 0 { self.id } else { self.house.next_id() };
            let mut draft = self.draft(id, envelope).await;
            draft.append(octets).await;
            match draft.commit().await {
                Ok(taken) => self.note(taken),
                Err(why) if sent == 0 => return Err(self.refusal(why)),
                Err(why) => {
                    let why = self.refusal(why);
                    warn!(event = "partly_accepted", queue_id = %self.id, uid = self.caller.uid, sent, all, %why);
                    return Err(Refusal::Fault(format!(
                        "{sent} of {all} messages, one for each recipient, were sent and the others were not: {why}"
                    )));
                }
            }
        }
        Ok(())
    }

    fn note(&self, taken: Taken) {
        self.house.notes.note(noted::accepted(self.caller, &self.job, taken));
    }

    fn refusal(&self, why: NotAccepted) -> Refusal {
        match why {
            NotAccepted::StorageFull => Refusal::StorageFull,
            NotAccepted::TryLater => Refusal::ServerAway("its queue does not take the message now".into()),
            NotAccepted::SenderDenied => self.caller.suspended(),
            NotAccepted::TooLarge(most) => Refusal::TooLarge(most),
            NotAccepted::LimitReached(reached) => {
                Refusal::LimitReached { account: self.caller.account().to_string(), reached }
            }
            // It is in the queue's log.
            NotAccepted::Forbidden => Refusal::Fault("the queue does not believe who sends".into()),
        }
    }
}

/// What would be made of this header, with LF at the line ends. Nothing is queued.
pub async fn show(
    house: &House,
    settings: &Settings,
    caller: &Caller,
    job: &Job,
    header: &[u8],
) -> Result<(Bytes, Vec<Envelope>), Refusal> {
    check(job, settings)?;
    let mut intake = Intake::new(HEADER_MAX, HEADER_MAX);
    intake.feed(header, &mut Vec::new())?;
    intake.finish(&mut Vec::new())?;
    let header = intake.header().unwrap_or_default();
    let composed = compose(house, settings, caller, (job, &header), 0, house.next_id()).await?;
    let mut head = composed.head;
    head.retain(|octet| *octet != b'\r');
    Ok((head.into(), composed.envelopes))
}
