//! An operator looks at what lies in the queue. All of it may wait for the disk, but for the counts.

use std::os::fd::OwnedFd;

use bytes::Bytes;
use envelope::event::Words;
use envelope::{AccountName, Address, Filter, QueueId, ReversePath, Walk};
use link::Parcel;
use link::services::queue::Response;
use link::services::queue::operators::{
    Answer, Details, NAMED_MAX, Progress, RecipientDetails, RecipientState, Stats, Summary,
};
use link::services::submit::Waiting;
use queue::{Detail, Found, LoadError, Page, RecipientStatus, StoredBody};

use super::Queue;

/// The next messages that are meant.
pub fn find(queue: &Queue, filter: &Filter, walk: Walk) -> Answer {
    settle_replies(queue, filter, walk);
    let page = queue.search(filter, walk, Detail::Head);
    let progress = progress(&page);
    let messages = page.found.into_iter().map(summary).collect();
    Answer::Found { messages, progress }
}

/// All about one message.
pub fn show(queue: &Queue, id: QueueId) -> Answer {
    // Should the disk fail, what is there is shown.
    let _ = queue.flush();
    match queue.show(id) {
        Ok(found) => Answer::Shown(Some(Box::new(details(found)))),
        Err(LoadError::NotFound(_)) => Answer::Shown(None),
        Err(problem) => unreadable(&problem),
    }
}

/// Its mail data: beside the answer, or as a file that the operator may read.
pub fn read(queue: &Queue, id: QueueId) -> Parcel<Response> {
    let (mut file_size, mut raw, mut fds) = (None, Bytes::new(), Vec::new());
    let answer = match queue.load(id) {
        Ok(message) => {
            match message.body {
                StoredBody::Memory(pieces) => raw = pieces.concat().into(),
                StoredBody::File { file, length } => {
                    file_size = Some(length);
                    fds.push(OwnedFd::from(file));
                }
            }
            Answer::Text { file_size }
        }
        Err(LoadError::NotFound(_)) => Answer::Shown(None),
        Err(problem) => unreadable(&problem),
    };
    Parcel { value: Response::Operator(answer), raw, fds }
}

/// So many octets of addresses and replies make a page of [`waiting`], with that of one message more.
const WAITING_PAGE: usize = 256 << 10;
/// The most recipients of one message that such a page names.
const WAITING_RECIPIENTS: usize = 1000;

/// The next messages of one account, for its owner.
pub fn waiting(queue: &Queue, account: AccountName, walk: Walk) -> Response {
    let _ = queue.flush();
    let filter = Filter { account: Some(account), ..Filter::default() };
    let page = queue.search(&filter, walk, Detail::Replies);
    let (mut messages, mut octets, mut more) = (Vec::new(), 0, page.rest);
    for found in page.found {
        let (id, until) = (found.summary.id, page.until);
        let message = waiting_message(found);
        octets += message.recipients.iter().map(|(to, reply)| weight(to, reply.as_deref())).sum::<usize>();
        messages.push(message);
        if octets > WAITING_PAGE {
            more = Some(Walk { after: Some(id), until });
            break;
        }
    }
    Response::Waiting { messages, more }
}

fn waiting_message(found: Found) -> Waiting {
    let Found { summary, envelope, recipients, .. } = found;
    let addresses = envelope.iter().flat_map(|envelope| envelope.recipients());
    let of_each = addresses.zip(&recipients);
    let still = of_each.filter(|(_, state)| matches!(state.status, RecipientStatus::Waiting { .. }));
    Waiting {
        id: summary.id,
        arrived: summary.arrival,
        size: summary.size,
        reverse_path: summary.reverse_path.unwrap_or(ReversePath::Null),
        recipients: still
            .take(WAITING_RECIPIENTS)
            .map(|(to, state)| {
                let reply = Some(Words::new(&state.last_reply).to_string());
                (to.address().clone(), reply.filter(|reply| !reply.is_empty()))
            })
            .collect(),
        settled: summary.done as usize,
    }
}

/// Octets of a recipient, rather too many.
fn weight(to: &Address, reply: Option<&str>) -> usize {
    to.to_string().len() + reply.map_or(0, str::len) + 8
}

/// Counts.
pub fn stats(queue: &Queue) -> Answer {
    let stats = queue.stats();
    Answer::Stats(Stats {
        messages: stats.messages,
        in_flight: stats.in_flight,
        held: stats.held,
        octets: stats.bytes,
        oldest: stats.oldest,
        segments: stats.segments,
        accepted: stats.accepted,
        delivered: stats.delivered,
        failed: stats.failed,
        deferred: stats.deferred,
    })
}

/// Replies are read from the log, where those of a moment ago may not stand yet when a walk begins.
/// Should the disk fail, what is there is found.
pub fn settle_replies(queue: &Queue, filter: &Filter, walk: Walk) {
    if filter.reason.is_some() && walk.after.is_none() {
        let _ = queue.flush();
    }
}

/// Where to go on after a page.
pub fn progress(page: &Page) -> Progress {
    Progress { until: page.until, rest: page.rest }
}

/// A line of the list.
pub fn summary(found: Found) -> Summary {
    let recipients = found.envelope.as_ref().map_or(&[][..], |envelope| envelope.recipients());
    let to = found.picked.iter().filter_map(|number| recipients.get(*number as usize));
    let to = to.take(NAMED_MAX).map(|recipient| recipient.address().clone()).collect();
    line(found.summary, to)
}

fn line(found: queue::Summary, to: Vec<Address>) -> Summary {
    Summary {
        id: found.id,
        arrived: found.arrival,
        size: found.size,
        reverse_path: found.reverse_path,
        account: found.account,
        to,
        waiting: found.waiting,
        in_hand: found.in_flight,
        done: found.done,
        held: found.held,
        next_attempt: found.next_attempt,
    }
}

fn details(found: queue::Details) -> Details {
    let recipients = found
        .envelope
        .recipients()
        .iter()
        .zip(&found.recipients)
        .map(|(recipient, state)| {
            let (kind, next_attempt) = match state.status {
                RecipientStatus::Waiting { next_attempt } => {
                    (RecipientState::Waiting, Some(u64::from(next_attempt)))
                }
                RecipientStatus::Delivered => (RecipientState::Delivered, None),
                RecipientStatus::Failed => (RecipientState::Failed, None),
            };
            RecipientDetails {
                address: recipient.to_string(),
                state: kind,
                attempts: u32::from(state.attempts),
                next_attempt,
                last_reply: state.last_reply.to_string(),
            }
        })
        .collect::<Vec<RecipientDetails>>();
    let forwarded_from = found.provenance.lineage.as_ref().map(|lineage| lineage.origin);
    let waits = |state: &RecipientState| *state == RecipientState::Waiting;
    let to = found.envelope.recipients().iter().zip(&recipients).filter(|(_, details)| waits(&details.state));
    let to = to.take(NAMED_MAX).map(|(recipient, _)| recipient.address().clone()).collect();
    Details { summary: line(found.summary, to), forwarded_from, recipients }
}

fn unreadable(problem: &LoadError) -> Answer {
    Answer::Unavailable(format!("{problem}; the log says more"))
}
