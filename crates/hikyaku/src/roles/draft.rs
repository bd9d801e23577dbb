//! A message on its way from a session to the queue.
//!
//! A small one is held back and travels whole, in one call; a larger one leaves in pieces as it
//! arrives, so that a session never holds more than [`INLINE_MAX`] octets.

use bytes::{Bytes, BytesMut};
use envelope::event::Words;
use envelope::{AccountName, Address, Envelope, QueueId, ReversePath};
use link::grant::RelayGrant;
use link::services::queue::{Arrival, INLINE_MAX, NotAccepted, Queue, Request, Response};
use link::{CallError, Client, Parcel};
use tracing::warn;

use super::event_notes::message_id;

/// A message that is not yet accepted. Dropped, it is forgotten.
pub struct Draft {
    queue: Client<Queue>,
    arrival: Option<Arrival>,
    held: BytesMut,
    /// Octets so far.
    size: u64,
    /// Pieces have gone to the queue.
    begun: bool,
    /// If they have: what stands in the first.
    message_id: Option<Words>,
    /// A piece was refused; the client is told at the end.
    broken: Option<NotAccepted>,
}

/// A message that the queue took.
pub struct Taken {
    /// Its name.
    pub id: QueueId,
    /// From whom.
    pub reverse_path: ReversePath,
    /// To whom.
    pub recipients: Vec<Address>,
    /// When it began, in microseconds since 1970.
    pub arrived: u64,
    /// The customer who sent it.
    pub account: Option<AccountName>,
    /// Octets.
    pub size: u64,
    /// Its Message-ID, where it is near the top.
    pub message_id: Option<Words>,
}

impl Draft {
    /// Begins a message.
    ///
    /// `relay` is what entitles the sender to recipients that are not ours.
    pub fn new(
        queue: Client<Queue>,
        id: QueueId,
        envelope: Envelope,
        arrived_micros: u64,
        relay: Option<RelayGrant>,
    ) -> Draft {
        let arrival = Some(Arrival { id, envelope, arrived: arrived_micros, relay });
        Draft { queue, arrival, held: BytesMut::new(), size: 0, begun: false, message_id: None, broken: None }
    }

    /// Takes more mail data. If the queue refuses a piece, the rest is read and dropped, and
    /// [`Draft::commit`] says why.
    pub async fn append(&mut self, octets: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        self.held.extend_from_slice(octets);
        self.size += octets.len() as u64;
        while self.held.len() > INLINE_MAX && self.broken.is_none() {
            let piece = self.held.split_to(INLINE_MAX).freeze();
            if let Err(problem) = self.send(piece).await {
                self.held.clear();
                self.broken = Some(problem);
            }
        }
    }

    async fn send(&mut self, piece: Bytes) -> Result<(), NotAccepted> {
        let Some(Arrival { id, .. }) = self.arrival else { return Ok(()) };
        if !self.begun {
            self.expect_go_on(Request::Begin(id), Bytes::new()).await?;
            self.begun = true;
            self.message_id = message_id(&piece);
        }
        self.expect_go_on(Request::Append(id), piece).await
    }

    async fn expect_go_on(&self, request: Request, raw: Bytes) -> Result<(), NotAccepted> {
        match self.queue.call(Parcel::with_raw(request, raw)).await.map(|answer| answer.value) {
            Ok(Response::GoOn) => Ok(()),
            answer => Err(refusal(answer)),
        }
    }

    /// Hands the message over. Only after `Ok` is it the queue's, and on disk.
    ///
    /// Should the queue die meanwhile, it is asked again when it is back: it knows messages by
    /// their ids, so one that it had already accepted is not taken twice.
    ///
    /// # Errors
    /// Why the queue did not take it.
    pub async fn commit(mut self) -> Result<Taken, NotAccepted> {
        if let Some(problem) = self.broken {
            return Err(problem);
        }
        if self.begun && !self.held.is_empty() {
            let rest = self.held.split().freeze();
            self.send(rest).await?;
        }
        let Some(arrival) = self.arrival.take() else { return Err(NotAccepted::TryLater) };
        let (id, arrived, size) = (arrival.id, arrival.arrived, self.size);
        let reverse_path = arrival.envelope.reverse_path().clone();
        let recipients = arrival.envelope.recipients().iter().map(|to| to.address().clone()).collect();
        let account = arrival.relay.as_ref().map(|grant| grant.sender().account.clone());
        let (request, raw) = if self.begun {
            (Request::AcceptBlob(arrival), Bytes::new())
        } else {
            (Request::Accept(arrival), self.held.split().freeze())
        };
        match self.queue.call_until_answered(request, raw.clone()).await.map(|answer| answer.value) {
            Ok(Response::Accepted(accepted)) if accepted == id => {
                let message_id = self.message_id.take().or_else(|| message_id(&raw));
                Ok(Taken { id, reverse_path, recipients, arrived, account, size, message_id })
            }
            answer => Err(refusal(answer)),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let (true, Some(arrival)) = (self.begun, &self.arrival) {
            let (queue, id) = (self.queue.clone(), arrival.id);
            tokio::spawn(async move {
                // A queue that died has forgotten it anyway.
                let _ = queue.call(Request::Discard(id)).await;
            });
        }
    }
}

fn refusal(answer: Result<Response, CallError>) -> NotAccepted {
    match answer {
        Ok(Response::NotAccepted(why)) => why,
        Ok(_) => NotAccepted::TryLater,
        Err(error) => {
            warn!(event = "queue_unavailable", %error);
            NotAccepted::TryLater
        }
    }
}
