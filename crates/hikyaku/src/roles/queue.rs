//! Role `queue`, user `hikyaku-queue`. Hears `smtp` and `submit`, which hand mail in, and operators, who look: by
//! the command line, or by `web` with a grant of the directory.
//! Calls `directory` (where does this lead?), `local` and `remote`. Touches the spool, and no network.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use directory::Actor;
use envelope::{QueueId, QueueIds};
use link::services::queue::{Queue as Service, Request};
use link::{Client, serve};
use queue::Files;
use time::UtcOffset;
use tokio::sync::watch;
use tracing::{info, warn};

use self::intake::{Arriving, Intake};
use self::notices::Notices;
use self::scheduler::{Callees, Scheduler};
use super::event_notes::EventNotes;
use super::known_addresses::KnownAddresses;
use super::{Caller, Orders, PATIENCE, Told, ended, hear_operators, unix_micros};
use crate::control::{Role, Settings, Start};

mod attempt;
mod auto_replies;
mod delays;
mod families;
mod forwards;
mod intake;
mod lanes;
mod look;
mod noted;
mod notices;
mod operators;
mod outward;
mod rule;
mod scheduler;
mod settled;
mod tally;

/// The queue, on the disk of this machine.
type Queue = queue::Queue<Files>;

/// Names for the messages that this role makes. Clones make different ones.
#[derive(Clone)]
struct Ids(Arc<Mutex<QueueIds>>);

impl Ids {
    fn next(&self) -> QueueId {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next(unix_micros())
    }
}

pub async fn run(mut orders: Orders, start: Start, zone: UtcOffset) -> anyhow::Result<()> {
    let settings = start.settings;
    let queue = open(&settings)?;
    let addresses = KnownAddresses::new();
    let notes = EventNotes::new(addresses.client(), settings.log.trace_days);
    tokio::spawn(notes.clone().run());
    let ids = Ids(Arc::new(Mutex::new(QueueIds::new(start.source))));
    let (host, domain) = (settings.hostname.clone(), settings.domain.clone());
    let notices = Notices::new(addresses.clone(), ids.clone(), host, domain, zone);
    let intake = Intake {
        queue: queue.clone(),
        addresses: addresses.clone(),
        notices: notices.clone(),
        notes: notes.clone(),
        grant_key: start.grant_key.context("the queue role was given no key for grants")?,
        most: settings.limits.clone(),
    };
    let local = Client::new(PATIENCE).answers_within(super::local::answers_within(&settings.delivery));
    let remote = Client::new(PATIENCE).answers_within(outward::PATIENCE);
    let (stop, stopping) = watch::channel(false);
    let callees = Callees {
        addresses: addresses.clone(),
        local: local.clone(),
        remote: remote.clone(),
        notes: notes.clone(),
    };
    let scheduler = Scheduler::new(queue.clone(), callees, settings, notices, ids);
    let scheduling = tokio::spawn(Arc::clone(&scheduler).run(stopping));
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Call(called @ Role::Directory, stream) => addresses.attach(stream, orders.mend(called))?,
            Told::Call(called @ Role::Local, stream) => local.attach(stream, orders.mend(called))?,
            Told::Call(called @ Role::Remote, stream) => remote.attach(stream, orders.mend(called))?,
            Told::Answer(Role::Web, stream) => {
                tokio::spawn(answer_web(Arc::clone(&scheduler), intake.clone(), stream));
            }
            Told::Answer(role, stream) => {
                tokio::spawn(answer_role(intake.clone(), stream, role));
            }
            Told::HearOperators(listener) => {
                let scheduler = Arc::clone(&scheduler);
                tokio::spawn(hear_operators(listener, move |stream, uid| {
                    tokio::spawn(answer_operator(Arc::clone(&scheduler), stream, uid));
                }));
            }
            Told::Reload(settings) => scheduler.reload(*settings),
            Told::Stop => break,
            _ => {}
        }
    }
    stop.send_replace(true);
    scheduling.await?;
    // What was recorded last is told of then.
    let closed = tokio::task::spawn_blocking(move || queue.close()).await;
    notes.finish().await;
    closed?;
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

async fn answer_role(intake: Intake, stream: UnixStream, role: Role) {
    let (arriving, caller) = (Arriving::default(), Caller::Role(role));
    let outcome = serve::<Service>(
        stream,
        |_| {},
        |request, responder| match &request.value {
            Request::Operator(_) | Request::AsOperator(..) | Request::AskConsent { .. } => refused(caller),
            // `smtp`, which hears strangers, has nothing to ask of this.
            Request::Waiting { .. } | Request::NotSent { .. } if role != Role::Submit => refused(caller),
            _ => intake::take_in(&intake, &arriving, request, responder),
        },
    )
    .await;
    ended::<Service>(caller, outcome);
}

/// `web` brings operators, whom the directory knows, and asks those whom members forward to: nothing else.
async fn answer_web(scheduler: Arc<Scheduler>, intake: Intake, stream: UnixStream) {
    let (arriving, caller) = (Arriving::default(), Caller::Role(Role::Web));
    let outcome = serve::<Service>(
        stream,
        |_| {},
        |mut request, responder| match request.value {
            Request::AsOperator(grant, question) => {
                operators::answer_by_grant(&scheduler, &intake.grant_key, (grant, question), responder);
            }
            asked @ Request::AskConsent { .. } => {
                request.value = asked;
                intake::take_in(&intake, &arriving, request, responder);
            }
            _ => refused(caller),
        },
    )
    .await;
    ended::<Service>(caller, outcome);
}

async fn answer_operator(scheduler: Arc<Scheduler>, stream: UnixStream, uid: u32) {
    let outcome = serve::<Service>(
        stream,
        |_| {},
        |request, responder| match request.value {
            Request::Operator(question) => {
                operators::answer(&scheduler, question, Actor::LocalUser(uid), responder)
            }
            _ => refused(Caller::Operator),
        },
    )
    .await;
    ended::<Service>(Caller::Operator, outcome);
}

fn refused(caller: Caller) {
    warn!(event = "refused", what = "call", ?caller, "a caller asked what it may not");
}

#[cfg(test)]
mod tests;
