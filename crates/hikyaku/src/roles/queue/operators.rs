//! What operators ask of the queue, and order.

use std::sync::Arc;
use std::time::Duration;

use link::services::queue::Response;
use link::services::queue::operators::{Answer, Question};
use link::services::remote;
use link::{Parcel, Responder};
use tracing::info;

use super::scheduler::Scheduler;
use super::{Service, look, rule, tally};

/// How long `remote` may take to say how it does.
const REMOTE_PATIENCE: Duration = Duration::from_secs(10);

/// Answers an operator, whose user id is `by`, without being waited for.
pub fn answer(scheduler: &Arc<Scheduler>, question: Question, by: u32, responder: Responder<Service>) {
    let scheduler = Arc::clone(scheduler);
    tokio::spawn(async move { responder.send(answer_to(scheduler, question, by).await) });
}

async fn answer_to(scheduler: Arc<Scheduler>, question: Question, by: u32) -> Parcel<Response> {
    let queue = scheduler.queue.clone();
    let answer = match question {
        Question::Find { filter, walk } => blocking(move || look::find(&queue, &filter, walk)).await,
        Question::Show(id) => blocking(move || look::show(&queue, id)).await,
        Question::Stats => look::stats(&queue),
        Question::Count { by, filter, walk } => {
            blocking(move || tally::count(&queue, by, &filter, walk)).await
        }
        Question::Read(id) => {
            info!(event = "read", queue_id = %id, by, "an operator reads a message");
            let read = tokio::task::spawn_blocking(move || look::read(&queue, id)).await;
            return read.unwrap_or_else(|_| said(fault()));
        }
        Question::Act { act, filter, walk } => rule::act(&scheduler, act, filter, walk, by).await,
        Question::Destinations => match ask_remote(&scheduler, remote::Request::Health).await {
            Some(remote::Response::Health(destinations)) => Answer::Destinations(destinations),
            _ => remote_is_silent(),
        },
        Question::Resume(destination) => {
            info!(event = "resumed", destination, by, "an operator has a destination tried again");
            match ask_remote(&scheduler, remote::Request::Resume(destination)).await {
                Some(remote::Response::Done) => Answer::Done,
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
