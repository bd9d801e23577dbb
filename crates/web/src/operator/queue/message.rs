//! One waiting message: its recipients, and what was said at the last attempt.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use link::services::queue::operators::{Answer, Details, Question, RecipientState};

use super::{Row, named};
use crate::figures::Figures;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How many recipients are shown; those that wait come first.
const SHOWN: usize = 100;
/// Characters of a reply that are shown.
const REPLY_MAX: usize = 300;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/queue/messages/{id}", show)
}

#[derive(Template)]
#[template(path = "operator/queue-message.html")]
struct Show {
    frame: Frame,
    row: Row,
    forwarded_from: Option<String>,
    recipients: Vec<Recipient>,
    /// How many there are besides.
    others: usize,
}

struct Recipient {
    address: String,
    state: String,
    colour: &'static str,
    attempts: u32,
    /// When it is tried next.
    next: Option<String>,
    /// The last reply, line by line as it came.
    reply: String,
}

impl Show {
    fn others(&self) -> String {
        (self.others as u64).grouped()
    }
}

/// It is no longer in the queue, or never was.
#[derive(Template)]
#[template(path = "operator/queue-gone.html")]
struct Gone {
    frame: Frame,
    id: String,
}

/// What is told of a message that is not in the queue.
pub(super) fn gone(operator: &Operator, id: envelope::QueueId) -> Response {
    let page = Gone { frame: Frame::of(operator, "queue-gone-title"), id: id.to_string() };
    let mut response = frame::page(&page);
    *response.status_mut() = axum::http::StatusCode::NOT_FOUND;
    response
}

async fn show(operator: Operator, Path(id): Path<String>) -> Result<Response, Trouble> {
    let id = named(&id)?;
    let Answer::Shown(details) = operator.queue(Question::Show(id)).await?.0 else {
        return Err(Trouble::Unavailable);
    };
    match details {
        Some(details) => Ok(frame::page(&shown(&operator, *details))),
        None => Ok(gone(&operator, id)),
    }
}

fn shown(operator: &Operator, mut details: Details) -> Show {
    let (words, clock) = (operator.words, crate::operator::clock(operator));
    details.recipients.sort_by_key(|recipient| recipient.state != RecipientState::Waiting);
    let others = details.recipients.len().saturating_sub(SHOWN);
    let held = details.summary.held;
    let recipients = details.recipients.into_iter().take(SHOWN).map(|recipient| {
        let (state, colour) = match recipient.state {
            RecipientState::Waiting => ("queue-recipient-waiting", "wait"),
            RecipientState::Delivered => ("queue-recipient-delivered", "good"),
            RecipientState::Failed => ("queue-recipient-failed", "bad"),
        };
        Recipient {
            address: recipient.address,
            state: words.say(state).into_owned(),
            colour,
            attempts: recipient.attempts,
            next: recipient.next_attempt.filter(|_| !held).map(|at| clock.moment(&at)),
            // The page is to stay small, whatever hosts said.
            reply: recipient.last_reply.chars().take(REPLY_MAX).collect(),
        }
    });
    Show {
        frame: Frame::of(operator, "queue-message-title"),
        row: Row::of(&details.summary, clock),
        forwarded_from: details.forwarded_from.map(|id| id.to_string()),
        recipients: recipients.collect(),
        others,
    }
}
