//! The calling side of a service.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::frame::{Frame, FrameError, Kind, Parcel};
use crate::{Service, wire};

/// How long a role may take over an answer: longer than a slow disk, so that only one that hangs
/// is given up.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// Why a call has no answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// The role did not come (back) in time.
    #[error("the {0} role does not answer")]
    Absent(&'static str),
    /// The role went away while it had the call in hand: it may have acted on it or not.
    #[error("the {0} role went away during a call")]
    Lost(&'static str),
    /// The role has the call and is silent: it may act on it yet.
    #[error("the {0} role has not answered in time")]
    Late(&'static str),
    /// The role has no answer to this call.
    #[error("the {0} role failed at a call")]
    Failed(&'static str),
    /// What was asked or answered does not travel.
    #[error("a call to the {0} role: {1}")]
    Frame(&'static str, #[source] FrameError),
}

/// Calls to one service. Clones share the connection, which the supervisor may replace.
pub struct Client<S: Service> {
    current: Arc<watch::Sender<Option<Arc<Connection>>>>,
    patience: Duration,
    answers_within: Duration,
    heard: Arc<Heard<S>>,
    service: PhantomData<fn() -> S>,
}

/// What to do with an event; `None` stands for a connection that began anew, so that events may
/// have been missed.
type Heard<S> = dyn Fn(Option<<S as Service>::Event>) + Send + Sync;

impl<S: Service> Clone for Client<S> {
    fn clone(&self) -> Self {
        Client {
            current: Arc::clone(&self.current),
            patience: self.patience,
            answers_within: self.answers_within,
            heard: Arc::clone(&self.heard),
            service: PhantomData,
        }
    }
}

struct Connection {
    outbox: wire::Outbox,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Frame>>,
    ended: bool,
}

impl<S: Service> Client<S> {
    /// A client that is not connected yet. A call waits up to `patience` for a connection.
    pub fn new(patience: Duration) -> Client<S> {
        Client::listening(patience, |_| {})
    }

    /// A client that also hears the service's events; see [`Service::Event`]. `heard` is called
    /// with `None` when a connection begins: what was said before it is not known.
    pub fn listening(
        patience: Duration,
        heard: impl Fn(Option<S::Event>) + Send + Sync + 'static,
    ) -> Client<S> {
        let current = Arc::new(watch::Sender::new(None));
        let answers_within = ANSWERS_WITHIN;
        Client { current, patience, answers_within, heard: Arc::new(heard), service: PhantomData }
    }

    /// The same, but it waits for an answer no longer than this.
    pub fn answers_within(self, answers_within: Duration) -> Client<S> {
        Client { answers_within, ..self }
    }

    /// Uses this socket from now on. Calls under way on the last one end as [`CallError::Lost`].
    /// `broken` is called if it ends while it is in use, whatever the reason; not if it is replaced.
    ///
    /// # Errors
    /// If the socket cannot be watched.
    pub fn attach(&self, stream: StdStream, broken: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let (mut inbox, outbox) = wire::open(stream)?;
        let connection = Arc::new(Connection { outbox, calls: Mutex::default() });
        if let Some(old) = self.current.send_replace(Some(Arc::clone(&connection))) {
            old.outbox.close();
        }
        (self.heard)(None);
        let heard = Arc::clone(&self.heard);
        let current = Arc::clone(&self.current);
        tokio::spawn(async move {
            loop {
                match inbox.next().await {
                    Ok(Some(frame)) if frame.kind == Kind::Event => match frame.open::<S::Event>() {
                        Ok(event) => heard(Some(event.value)),
                        Err(error) => {
                            tracing::warn!(service = S::NAME, %error, "an event was not understood")
                        }
                    },
                    Ok(Some(frame)) => connection.answered(frame),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(service = S::NAME, %error, "the connection to a role broke");
                        break;
                    }
                }
            }
            connection.end();
            let was_in_use = current.send_if_modified(|now| {
                let mine = now.as_ref().is_some_and(|now| Arc::ptr_eq(now, &connection));
                if mine {
                    *now = None;
                }
                mine
            });
            if was_in_use {
                broken();
            }
        });
        Ok(())
    }

    /// Asks once.
    ///
    /// # Errors
    /// See [`CallError`]; after [`CallError::Lost`] the request may have been acted on.
    pub async fn call(
        &self,
        request: impl Into<Parcel<S::Request>>,
    ) -> Result<Parcel<S::Response>, CallError> {
        let connection = self.connected(Instant::now() + self.patience).await?;
        connection.call::<S>(request.into(), self.answers_within).await
    }

    /// Asks, and asks again if the role goes away meanwhile, until `patience` is over. For
    /// requests that do no harm twice.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_until_answered(
        &self,
        request: S::Request,
        raw: Bytes,
    ) -> Result<Parcel<S::Response>, CallError>
    where
        S::Request: Clone,
    {
        let deadline = Instant::now() + self.patience;
        loop {
            let connection = self.connected(deadline).await?;
            let parcel = Parcel::with_raw(request.clone(), raw.clone());
            match connection.call::<S>(parcel, self.answers_within).await {
                Err(CallError::Lost(_)) if Instant::now() < deadline => {}
                answer => return answer,
            }
        }
    }

    /// Waits until a connection is there.
    async fn connected(&self, deadline: Instant) -> Result<Arc<Connection>, CallError> {
        if let Some(connection) = self.current.borrow().as_ref() {
            return Ok(Arc::clone(connection));
        }
        let mut changes = self.current.subscribe();
        let arrived = timeout_at(deadline, changes.wait_for(Option::is_some)).await;
        match arrived {
            Ok(Ok(connection)) => connection.as_ref().map(Arc::clone).ok_or(CallError::Absent(S::NAME)),
            _ => Err(CallError::Absent(S::NAME)),
        }
    }
}

impl Connection {
    async fn call<S: Service>(
        &self,
        request: Parcel<S::Request>,
        within: Duration,
    ) -> Result<Parcel<S::Response>, CallError> {
        let (sender, receiver) = oneshot::channel();
        let call = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            if calls.ended {
                return Err(CallError::Lost(S::NAME));
            }
            calls.last += 1;
            let call = calls.last;
            calls.waiting.insert(call, sender);
            call
        };
        let forget = Forget { connection: self, call };
        self.outbox.push(Kind::Request, call, request).map_err(|error| CallError::Frame(S::NAME, error))?;
        let frame = tokio::time::timeout(within, receiver)
            .await
            .map_err(|_| CallError::Late(S::NAME))?
            .map_err(|_| CallError::Lost(S::NAME))?;
        std::mem::forget(forget);
        match frame.kind {
            Kind::Response => frame.open().map_err(|error| CallError::Frame(S::NAME, error)),
            _ => Err(CallError::Failed(S::NAME)),
        }
    }

    fn answered(&self, frame: Frame) {
        let waiting = self.calls.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&frame.call);
        if let Some(waiting) = waiting {
            // Whoever asked may have gone: then nobody misses the answer.
            let _ = waiting.send(frame);
        }
    }

    fn end(&self) {
        self.outbox.close();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.ended = true;
        calls.waiting.clear();
    }
}

/// Takes a call off the list if its caller stops waiting.
struct Forget<'a> {
    connection: &'a Connection,
    call: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.connection.calls.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&self.call);
    }
}
