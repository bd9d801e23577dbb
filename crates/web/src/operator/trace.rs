//! What became of messages: from somebody and to somebody, and of one.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use envelope::QueueId;
use envelope::event::{Party, Summary};
use link::services::directory::visits::Denied;
use link::services::directory::{Response as Answered, Trace};

use super::encoded;
use crate::figures::Clock;
use crate::frame::{self, Frame};
use crate::life::{Life, Reader};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How many messages a page shows.
const PAGE: usize = 50;
/// How far back the pages go.
const BACK_MAX: u64 = 10_000;
/// How many events of a message are shown, the first and the last of them: the page is to stay small.
const FIRST: usize = 10;
const LAST: usize = 40;
/// How many recipients are shown.
const RECIPIENTS: usize = 40;
/// In microseconds.
const DAY: u64 = 86_400_000_000;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/mail", list).get(Who::Operator, "/operator/mail/{id}", life)
}

#[derive(Template)]
#[template(path = "operator/trace.html")]
struct List {
    frame: Frame,
    /// Whose mail.
    text: String,
    days: u64,
    days_max: u32,
    rows: Vec<Row>,
    /// Whether anybody was asked about.
    asked: bool,
    later: Option<String>,
    earlier: Option<String>,
    trouble: Option<String>,
}

/// A message, or a refusal, in a line.
pub(super) struct Row {
    pub(super) at: String,
    /// None: it was refused before it had a name.
    pub(super) id: Option<String>,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) fate: String,
    pub(super) colour: &'static str,
}

impl Row {
    pub(super) fn of(summary: &Summary, clock: Clock) -> Row {
        let words = clock.words;
        let mut to: Vec<String> = summary.recipients.iter().map(ToString::to_string).collect();
        let more = (summary.tally.total() as usize).saturating_sub(to.len()) as u64;
        if more > 0 {
            to.push(words.with("trace-more", "count", more).into_owned());
        }
        let (fate, colour) = fate(summary, clock);
        Row {
            at: clock.moment(&(summary.at / 1_000_000)),
            id: summary.queue_id.map(|id| id.to_string()),
            from: match &summary.reverse_path {
                Some(path) => path
                    .address()
                    .map_or_else(|| words.say("queue-null-sender").into_owned(), ToString::to_string),
                None => words.say("trace-unknown").into_owned(),
            },
            to: to.join(", "),
            fate,
            colour,
        }
    }
}

/// What became of it, in words; what went wrong first.
fn fate(summary: &Summary, clock: Clock) -> (String, &'static str) {
    let words = clock.words;
    if let Some(reply) = &summary.refused {
        return (words.with("trace-refused", "reply", reply.to_string()).into_owned(), "bad");
    }
    let tally = &summary.tally;
    let counts = [
        (tally.failed, "failed", "bad"),
        (tally.removed, "removed", "bad"),
        (tally.waiting, "waiting", "wait"),
        (tally.untried, "untried", "wait"),
        (tally.delivered, "delivered", "good"),
        (tally.forwarded, "forwarded", "good"),
    ];
    let some: Vec<_> = counts.into_iter().filter(|(count, ..)| *count > 0).collect();
    let colour = some.first().map_or("", |(.., colour)| colour);
    let mut told: Vec<String> = match &some[..] {
        // The number is worth a word only where there are several.
        [(1, name, _)] => vec![words.say(&format!("trace-{name}")).into_owned()],
        some => some
            .iter()
            .map(|(count, name, _)| format!("{} {count}", words.say(&format!("trace-{name}"))))
            .collect(),
    };
    if summary.held {
        told.push(words.say("queue-state-held").into_owned());
    }
    (told.join(", "), colour)
}

async fn list(operator: Operator) -> Result<Response, Trouble> {
    let query = operator.query();
    let text: String = query.text("q").chars().take(320).collect();
    // Who brings a message's name wants its life.
    if let Ok(id) = text.parse::<QueueId>()
        && !query.ticked("skip")
    {
        return Ok(frame::see_other(&format!("/operator/mail/{id}")));
    }
    let clock = super::clock(&operator);
    let days_max = operator.house.site().trace_days.max(1);
    let days = query.text("days").parse().unwrap_or(3).clamp(1, u64::from(days_max));
    let skip = query.text("skip").parse().unwrap_or(0_u64).min(BACK_MAX);
    let page = |skip: u64| format!("/operator/mail?q={}&days={days}&skip={skip}", encoded(&text));
    let mut list = List {
        frame: Frame::of(&operator, "trace-title"),
        days,
        days_max,
        rows: Vec::new(),
        asked: !text.is_empty(),
        later: (skip > 0).then(|| page(skip.saturating_sub(PAGE as u64))),
        earlier: None,
        trouble: None,
        text: text.clone(),
    };
    if text.is_empty() {
        return Ok(frame::page(&list));
    }
    match text.parse::<Party>() {
        Ok(party) => {
            let since = (clock.now * 1_000_000).saturating_sub(days * DAY);
            let limit = u32::try_from(skip).unwrap_or(u32::MAX).saturating_add(PAGE as u32 + 1);
            let trace = Trace::Party { party, times: since..=u64::MAX, limit, skip };
            let Answered::Mail(found) = operator.trace(trace).await? else {
                return Err(Trouble::Unavailable);
            };
            list.rows = found.items.iter().take(PAGE).map(|summary| Row::of(summary, clock)).collect();
            let more = found.more || found.items.len() > PAGE;
            list.earlier = (more && skip < BACK_MAX).then(|| page(skip + list.rows.len() as u64));
        }
        Err(error) => {
            let refused = Trouble::Denied(Denied::Refused(error.to_string()));
            list.trouble = Some(refused.sentence(operator.words).into_owned());
        }
    }
    Ok(frame::page(&list))
}

#[derive(Template)]
#[template(path = "operator/trace-life.html")]
struct Shown {
    frame: Frame,
    id: String,
    life: Life,
    /// Whether there is more than is shown.
    cut: bool,
}

async fn life(operator: Operator, Path(id): Path<String>) -> Result<Response, Trouble> {
    let id: QueueId = id.parse().map_err(|_| Trouble::NotFound)?;
    let Answered::Life(found) = operator.trace(Trace::Message { id, skip: 0 }).await? else {
        return Err(Trouble::Unavailable);
    };
    if found.items.is_empty() {
        return Err(Trouble::NotFound);
    }
    let mut life = Life::of(&found.items, Reader::Operator, operator.house.site().zone, operator.words);
    let cut = found.more || life.steps.len() > FIRST + LAST || life.ends.len() > RECIPIENTS;
    life.ends.truncate(RECIPIENTS);
    if life.steps.len() > FIRST + LAST {
        life.steps.drain(FIRST..life.steps.len() - LAST);
    }
    Ok(frame::page(&Shown { frame: Frame::of(&operator, "trace-life-title"), id: id.to_string(), life, cut }))
}
