//! An operator looks at what lies in the queue.

use envelope::{Filter, ReversePath, Walk};
use link::services::queue::{Details, RecipientDetails, RecipientState, Request, Response, Stats, Summary};
use queue::{Detail, RecipientStatus};

use super::Queue;

/// The answer to an operator's question. Waits for the disk.
pub fn look(queue: &Queue, request: Request) -> Response {
    match request {
        Request::List { after, limit } => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(10_000);
            let page = queue.search(&Filter::default(), Walk { after, until: None }, Detail::Head);
            Response::Listed(page.found.into_iter().map(|found| summary(found.summary)).take(limit).collect())
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
        account: found.account,
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
