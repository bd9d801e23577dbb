//! Role `queue`, user `hikyaku-queue`. Hears `smtp`, which hands mail in, and operators, who look.
//! Calls `directory` (where does this lead?) and `local`. Touches the spool, and no network.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use envelope::{Destination, QueueId, ReversePath};
use link::grant::GrantKey;
use link::services::queue::{
    Arrival, Details, NotAccepted, Queue as Service, RecipientDetails, RecipientState, Request, Response,
    Stats, Summary,
};
use link::{Client, Parcel, Responder, serve};
use queue::{Accepted, BlobWriter, Body, Files, NewMessage, RecipientStatus, SealedBlob};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::known_addresses::KnownAddresses;
use super::queue_scheduler::{Queue, Scheduler};
use super::{Caller, Orders, PATIENCE, Told, ended, hear_operators, unix_now};
use crate::config::Limits;
use crate::control::{Role, Settings, Start};

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let settings = start.settings;
    let queue = open(&settings)?;
    let addresses = KnownAddresses::new();
    let intake = Intake {
        queue: queue.clone(),
        addresses: addresses.clone(),
        grant_key: start.grant_key.context("the queue role was given no key for grants")?,
        most: settings.limits.clone(),
    };
    let local = Client::new(PATIENCE);
    let (stop, stopping) = watch::channel(false);
    let scheduler = Scheduler::new(queue.clone(), addresses.clone(), local.clone(), settings, start.source);
    let scheduling = tokio::spawn(Arc::clone(&scheduler).run(stopping));
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Call(called @ Role::Directory, stream) => addresses.attach(stream, orders.mend(called))?,
            Told::Call(called @ Role::Local, stream) => local.attach(stream, orders.mend(called))?,
            Told::Answer(role, stream) => {
                tokio::spawn(answer_caller(intake.clone(), stream, Caller::Role(role)));
            }
            Told::HearOperators(listener) => {
                let intake = intake.clone();
                tokio::spawn(hear_operators(listener, move |stream, _uid| {
                    tokio::spawn(answer_caller(intake.clone(), stream, Caller::Operator));
                }));
            }
            Told::Reload(settings) => scheduler.reload(*settings),
            Told::Stop => break,
            _ => {}
        }
    }
    stop.send_replace(true);
    scheduling.await?;
    tokio::task::spawn_blocking(move || queue.close()).await?;
    Ok(())
}

fn open(settings: &Settings) -> anyhow::Result<Queue> {
    let spool = &settings.paths.spool;
    let files = Files::open(spool)?;
    let limits = queue::Settings {
        segment_size: settings.queue.segment_size,
        free_space_min: settings.queue.reserve,
        ..queue::Settings::default()
    };
    let (queue, recovery) = Queue::open(files, limits)
        .with_context(|| format!("cannot open the queue in {}", spool.display()))?;
    info!(event = "queue_opened", messages = queue.stats().messages, ?recovery, "the queue is open");
    Ok(queue)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bodies that are arriving from one caller.
type Arriving = Arc<Mutex<HashMap<QueueId, BlobWriter<Files>>>>;

/// What stands between callers and the queue.
#[derive(Clone)]
struct Intake {
    queue: Queue,
    addresses: KnownAddresses,
    grant_key: GrantKey,
    /// Bounds what one caller can make us hold, whatever it says.
    most: Limits,
}

impl Intake {
    /// Whether a message may be taken for its recipients: for ours from anybody, for others with a
    /// grant of the directory's. So even a taken-over `smtp` is no open relay. `None` if the
    /// directory must be asked.
    fn verdict(&self, arrival: &Arrival) -> Option<Result<(), NotAccepted>> {
        if let Some(grant) = &arrival.relay {
            return Some(match grant.redeem(&self.grant_key, unix_now()) {
                Ok(_) => Ok(()),
                Err(problem) => {
                    warn!(event = "refused", what = "grant", queue_id = %arrival.id, %problem);
                    Err(NotAccepted::Forbidden)
                }
            });
        }
        for recipient in arrival.envelope.recipients() {
            if self.addresses.is_elsewhere(recipient.address())? {
                return Some(Err(without_grant(arrival)));
            }
        }
        Some(Ok(()))
    }

    /// The verdict on a message without a grant, by asking the directory.
    async fn verdict_of_directory(&self, arrival: &Arrival) -> Result<(), NotAccepted> {
        for recipient in arrival.envelope.recipients() {
            match self.addresses.resolve(recipient.address()).await {
                Ok(Destination::Elsewhere) => return Err(without_grant(arrival)),
                Ok(_) => {}
                Err(_) => return Err(NotAccepted::TryLater),
            }
        }
        Ok(())
    }

    /// Goes on with `then` if the message may be taken, else answers why not.
    fn judge(
        &self,
        arrival: Arrival,
        responder: Responder<Service>,
        then: impl FnOnce(Arrival, Responder<Service>) + Send + 'static,
    ) {
        let settle = |verdict, arrival, responder: Responder<Service>| match verdict {
            Ok(()) => then(arrival, responder),
            Err(why) => responder.send(Response::NotAccepted(why)),
        };
        match self.verdict(&arrival) {
            Some(verdict) => settle(verdict, arrival, responder),
            None => {
                let intake = self.clone();
                tokio::spawn(async move {
                    let verdict = intake.verdict_of_directory(&arrival).await;
                    settle(verdict, arrival, responder);
                });
            }
        }
    }
}

fn without_grant(arrival: &Arrival) -> NotAccepted {
    warn!(event = "refused", what = "relay", queue_id = %arrival.id, "no grant came along");
    NotAccepted::Forbidden
}

async fn answer_caller(intake: Intake, stream: UnixStream, caller: Caller) {
    let arriving = Arriving::default();
    let outcome = serve::<Service>(
        stream,
        |_| {},
        |request, responder| match (caller, &request.value) {
            (Caller::Role(_), Request::List { .. } | Request::Show(_) | Request::Stats)
            | (
                Caller::Operator,
                Request::Accept(_)
                | Request::Begin(_)
                | Request::Append(_)
                | Request::AcceptBlob(_)
                | Request::Discard(_),
            ) => {
                warn!(event = "refused", what = "call", ?caller, "a caller asked what it may not");
            }
            (Caller::Role(_), _) => take_in(&intake, &arriving, request, responder),
            (Caller::Operator, _) => {
                let queue = intake.queue.clone();
                tokio::task::spawn_blocking(move || responder.send(look(&queue, request.value)));
            }
        },
    )
    .await;
    ended::<Service>(caller, outcome);
}

/// Mail comes in. The answer to an acceptance is given by the committer, after the sync.
fn take_in(intake: &Intake, arriving: &Arriving, request: Parcel<Request>, responder: Responder<Service>) {
    let Intake { queue, most, .. } = intake;
    let Parcel { value, raw, .. } = request;
    match value {
        Request::Accept(arrival) => {
            // The frame's octets share a buffer with those of other frames; a copy of its own lets
            // that buffer go while the message waits.
            let body = Body::Inline(vec![Bytes::copy_from_slice(&raw)]);
            let queue = queue.clone();
            intake.judge(arrival, responder, move |arrival, responder| {
                accept(&queue, arrival, body, responder);
            });
        }
        Request::Begin(_) if lock(arriving).len() >= most.connections_max => {
            responder.send(Response::NotAccepted(NotAccepted::TryLater));
        }
        Request::Begin(id) => match queue.blob(id) {
            Ok(writer) => {
                lock(arriving).insert(id, writer);
                responder.send(Response::GoOn);
            }
            Err(problem) => responder.send(not_accepted(&problem)),
        },
        Request::Append(id) if !queue.has_room() => {
            // What is there of it goes with its writer.
            drop(lock(arriving).remove(&id));
            responder.send(Response::NotAccepted(NotAccepted::StorageFull));
        }
        Request::Append(id) => {
            let writer = lock(arriving).remove(&id);
            // The session counts as well; what it lets through and its trace field are a little more.
            let fits = |writer: &BlobWriter<Files>| writer.length() < most.message_size_max + (1 << 20);
            let Some(mut writer) = writer.filter(fits) else {
                return responder.send(Response::NotAccepted(NotAccepted::TryLater));
            };
            let arriving = Arc::clone(arriving);
            tokio::task::spawn_blocking(move || match writer.append(&raw) {
                Ok(()) => {
                    lock(&arriving).insert(id, writer);
                    responder.send(Response::GoOn);
                }
                Err(problem) => responder.send(not_accepted(&problem)),
            });
        }
        Request::AcceptBlob(arrival) => {
            let writer = lock(arriving).remove(&arrival.id);
            let queue = queue.clone();
            intake.judge(arrival, responder, move |arrival, responder| {
                tokio::task::spawn_blocking(move || accept_blob(&queue, writer, arrival, responder));
            });
        }
        Request::Discard(id) => {
            drop(lock(arriving).remove(&id));
            responder.send(Response::GoOn);
        }
        Request::List { .. } | Request::Show(_) | Request::Stats => {}
    }
}

fn accept_blob(
    queue: &Queue,
    writer: Option<BlobWriter<Files>>,
    arrival: Arrival,
    responder: Responder<Service>,
) {
    let Some(writer) = writer else {
        // Asked again after this role died in between: either it was accepted then, or its body is gone.
        let known = queue.knows(arrival.id);
        return responder.send(if known {
            Response::Accepted(arrival.id)
        } else {
            Response::NotAccepted(NotAccepted::TryLater)
        });
    };
    let sealed: Result<SealedBlob, _> = writer.finish();
    match sealed {
        Ok(blob) => accept(queue, arrival, Body::Blob(blob), responder),
        Err(problem) => responder.send(not_accepted(&problem)),
    }
}

fn accept(queue: &Queue, arrival: Arrival, body: Body, responder: Responder<Service>) {
    let Arrival { id, envelope, arrived, .. } = arrival;
    queue.accept(NewMessage { id, envelope, arrival: arrived, body }, move |outcome| {
        responder.send(match outcome {
            Ok(accepted) => said(accepted),
            Err(problem) => not_accepted(&problem),
        });
    });
}

/// The only place where an acceptance becomes an answer.
fn said(accepted: Accepted) -> Response {
    Response::Accepted(accepted.id())
}

fn not_accepted(problem: &queue::NotAccepted) -> Response {
    error!(event = "not_accepted", %problem);
    Response::NotAccepted(match problem {
        queue::NotAccepted::StorageFull => NotAccepted::StorageFull,
        _ => NotAccepted::TryLater,
    })
}

/// An operator looks.
fn look(queue: &Queue, request: Request) -> Response {
    match request {
        Request::List { after, limit } => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(10_000);
            Response::Listed(queue.list(after, limit).into_iter().map(summary).collect())
        }
        Request::Show(id) => {
            // Replies are read from the log, where those of a moment ago may not stand yet. Should the
            // disk fail, what is there is shown.
            let _ = queue.flush();
            Response::Shown(queue.show(id).ok().map(|found| Box::new(details(found))))
        }
        _ => {
            let stats = queue.stats();
            Response::Stats(Stats {
                messages: stats.messages,
                in_flight: stats.in_flight,
                octets: stats.bytes,
                oldest: stats.oldest,
                segments: stats.segments,
                accepted: stats.accepted,
                delivered: stats.delivered,
                failed: stats.failed,
                deferred: stats.deferred,
            })
        }
    }
}

fn summary(found: queue::Summary) -> Summary {
    Summary {
        id: found.id,
        arrived: found.arrival,
        size: found.size,
        reverse_path: found.reverse_path.unwrap_or(ReversePath::Null),
        waiting: found.waiting,
        done: found.done,
        next_attempt: found.next_attempt,
    }
}

fn details(found: queue::Details) -> Details {
    let recipients = found
        .envelope
        .recipients()
        .iter()
        .zip(&found.recipients)
        .map(|(recipient, state)| RecipientDetails {
            address: recipient.to_string(),
            state: match state.status {
                RecipientStatus::Waiting { .. } => RecipientState::Waiting,
                RecipientStatus::Delivered => RecipientState::Delivered,
                RecipientStatus::Failed => RecipientState::Failed,
            },
            attempts: u32::from(state.attempts),
            last_reply: state.last_reply.to_string(),
        })
        .collect();
    Details { summary: summary(found.summary), recipients }
}
