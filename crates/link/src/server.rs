//! The answering side of a service.

use std::marker::PhantomData;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;

use crate::frame::{Kind, Parcel};
use crate::{Service, wire};

/// Answers one call, from whatever thread has the answer. Dropped without one, the caller learns
/// that the call failed rather than wait for ever.
pub struct Responder<S: Service> {
    outbox: wire::Outbox,
    call: u64,
    answered: bool,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> Responder<S> {
    /// Sends the answer.
    pub fn send(mut self, response: impl Into<Parcel<S::Response>>) {
        self.answered = match self.outbox.push(Kind::Response, self.call, response.into()) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(service = S::NAME, %error, "an answer does not travel");
                false
            }
        };
    }
}

impl<S: Service> Drop for Responder<S> {
    fn drop(&mut self) {
        if !self.answered {
            // An empty value always encodes.
            let _ = self.outbox.push(Kind::Failure, self.call, Parcel::from(()));
        }
    }
}

/// How long a peer who is no fellow role may take over one request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Requests of a peer who is no fellow role, one after the other: whatever it sends ahead waits in its
/// socket, not in our memory, and it may send no descriptors.
pub struct Turns<S: Service> {
    inbox: wire::Inbox,
    outbox: wire::Outbox,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> Turns<S> {
    /// Hears this peer. It has to end a request of no more than `request_max` octets within 30 seconds of its
    /// first octet.
    pub fn new(stream: UnixStream, request_max: usize) -> Turns<S> {
        let (mut inbox, outbox) = wire::over(stream);
        inbox.bound(request_max, REQUEST_TIME_MAX);
        Turns { inbox, outbox, service: PhantomData }
    }

    /// Its next request, and the means to answer it; `None` when it has no more. Ask for the next one when
    /// this one is answered.
    ///
    /// # Errors
    /// If the socket fails, or the peer sends what is no request, or takes too long over it. Such a peer is
    /// answered by a failure of our own version, from which it can tell whether it speaks another.
    pub async fn next(&mut self) -> std::io::Result<Option<(Parcel<S::Request>, Responder<S>)>> {
        // Whoever asks and does not read the answers is asked nothing more of.
        self.outbox.room().await;
        let frame = match self.inbox.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(error) => {
                // An empty value always encodes.
                let _ = self.outbox.push(Kind::Failure, 0, Parcel::from(()));
                return Err(error);
            }
        };
        let outbox = self.outbox.clone();
        let responder = Responder { outbox, call: frame.call, answered: false, service: PhantomData };
        Ok(Some((frame.open().map_err(std::io::Error::other)?, responder)))
    }
}

impl<S: Service> Drop for Turns<S> {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// Speaks to one connected peer unasked.
pub struct Events<S: Service> {
    outbox: wire::Outbox,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> Events<S> {
    /// Sends an event.
    pub fn send(&self, event: S::Event) {
        if let Err(error) = self.outbox.push(Kind::Event, 0, Parcel::from(event)) {
            tracing::error!(service = S::NAME, %error, "an event does not travel");
        }
    }
}

/// Speaks to all connected peers unasked. Clones share the list.
pub struct Broadcast<S: Service>(Arc<Mutex<Vec<Events<S>>>>);

impl<S: Service> Default for Broadcast<S> {
    fn default() -> Self {
        Broadcast(Arc::default())
    }
}

impl<S: Service> Clone for Broadcast<S> {
    fn clone(&self) -> Self {
        Broadcast(Arc::clone(&self.0))
    }
}

impl<S: Service> Broadcast<S>
where
    S::Event: Clone,
{
    /// One more peer hears what is said from now on.
    pub fn add(&self, events: Events<S>) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|peer| !peer.outbox.is_closed());
        peers.push(events);
    }

    /// Says it to all that are still connected.
    pub fn send(&self, event: &S::Event) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|peer| !peer.outbox.is_closed());
        for peer in peers.iter() {
            peer.send(event.clone());
        }
    }
}

/// Serves one peer until it goes: `handler` gets each request with the means to answer it, and
/// must not block. `connected` gets the means to speak unasked.
///
/// # Errors
/// If the socket fails, or the peer sends what is no request.
pub async fn serve<S: Service>(
    stream: StdStream,
    connected: impl FnOnce(Events<S>),
    mut handler: impl FnMut(Parcel<S::Request>, Responder<S>),
) -> std::io::Result<()> {
    let (mut inbox, outbox) = wire::open(stream)?;
    connected(Events { outbox: outbox.clone(), service: PhantomData });
    let served = async {
        loop {
            // Whoever asks and does not read the answers is asked nothing more of.
            outbox.room().await;
            let Some(frame) = inbox.next().await? else { break };
            let responder =
                Responder { outbox: outbox.clone(), call: frame.call, answered: false, service: PhantomData };
            let request = frame.open::<S::Request>().map_err(std::io::Error::other)?;
            handler(request, responder);
        }
        Ok(())
    }
    .await;
    outbox.close();
    served
}
