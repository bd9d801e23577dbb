//! What operators ask of the queue, and order.

use std::sync::Arc;
use std::time::Duration;

use directory::Actor;
use link::grant::{GrantKey, OperatorGrant};
use link::services::queue::Response;
use link::services::queue::operators::{Answer, Question};
use link::services::remote;
use link::{Parcel, Responder};
use tracing::{info, warn};

use super::scheduler::Scheduler;
use super::{Service, look, rule, tally};
use crate::roles::unix_now;

/// How long `remote` may take to say how it does, or what the DNS says.
const REMOTE_PATIENCE: Duration = Duration::from_secs(10);

/// Answers an operator without being waited for.
pub fn answer(scheduler: &Arc<Scheduler>, question: Question, by: Actor, responder: Responder<Service>) {
    let scheduler = Arc::clone(scheduler);
    tokio::spawn(async move { responder.send(answer_to(scheduler, question, by).await) });
}

/// Answers an operator who comes by the page, if the directory's grant is good for what he asks.
pub fn answer_by_grant(
    scheduler: &Arc<Scheduler>,
    key: &GrantKey,
    (grant, question): (OperatorGrant, Question),
    responder: Responder<Service>,
) {
    let acts = matches!(question, Question::Act { .. } | Question::Resume(_));
    match grant.redeem(key, unix_now()) {
        Ok((account, may_act)) if may_act || !acts => {
            answer(scheduler, question, Actor::Account(account.clone()), responder);
        }
        Ok((account, _)) => {
            warn!(event = "refused", what = "grant", %account, "leave to look is no leave to act");
        }
        Err(problem) => warn!(event = "refused", what = "grant", %problem),
    }
}

async fn answer_to(scheduler: Arc<Scheduler>, question: Question, by: Actor) -> Parcel<Response> {
    let queue = scheduler.queue.clone();
    let answer = match question {
        Question::Find { filter, walk } => blocking(move || look::find(&queue, &filter, walk)).await,
        Question::Show(id) => blocking(move || look::show(&queue, id)).await,
        Question::Stats => look::stats(&queue),
        Question::Count { by, filter, walk } => {
            blocking(move || tally::count(&queue, by, &filter, walk)).await
        }
        Question::Read(id) => {
            info!(event = "read", queue_id = %id, %by, "an operator reads a message");
            let read = tokio::task::spawn_blocking(move || look::read(&queue, id)).await;
            return read.unwrap_or_else(|_| said(fault()));
        }
        Question::Act { act, filter, walk } => rule::act(&scheduler, act, filter, walk, &by).await,
        Question::Destinations => match ask_remote(&scheduler, remote::Request::Health).await {
            Some(remote::Response::Health(destinations)) => Answer::Destinations(destinations),
            _ => remote_is_silent(),
        },
        Question::Resume(destination) => {
            info!(event = "resumed", destination, %by, "an operator has a destination tried again");
            match ask_remote(&scheduler, remote::Request::Resume(destination)).await {
                Some(remote::Response::Done) => Answer::Done,
                _ => remote_is_silent(),
            }
        }
        Question::LookUp(questions) => {
            match ask_remote(&scheduler, remote::Request::LookUp(questions)).await {
                Some(remote::Response::LookedUp(answers)) => Answer::LookedUp(answers),
                _ => remote_is_silent(),
            }
        }
    };
    said(answer)
}

/// What reads the disk, away from the thread on which mail waits.
pub async fn blocking(work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| fault())
}

async fn ask_remote(scheduler: &Scheduler, request: remote::Request) -> Option<remote::Response> {
    let asked = scheduler.remote.call(Parcel::from(request));
    let answer = tokio::time::timeout(REMOTE_PATIENCE, asked).await.ok()?;
    answer.ok().map(|answer| answer.value)
}

fn remote_is_silent() -> Answer {
    Answer::Unavailable(
        "the role that sends mail to other hosts does not answer; the log says why, and it is started again"
            .into(),
    )
}

fn fault() -> Answer {
    Answer::Unavailable("the queue failed by a fault of ours; the log says more".into())
}

fn said(answer: Answer) -> Parcel<Response> {
    Parcel::from(Response::Operator(answer))
}
