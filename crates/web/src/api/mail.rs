//! Where a member's mail is.

use axum::response::Response;
use envelope::QueueId;
use envelope::event::{Summary, Tally};
use link::services::directory::visits::{self, MailSearch, Own, Visit};
use serde::{Deserialize, Serialize};

use super::exchange::{Named, Query, at_most, json, parsed};
use super::life::Life;
use super::moment::Moment;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Token, "/api/v1/mail", mail).get(Who::Token, "/api/v1/mail/{id}", life)
}

/// Which messages are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Search {
    /// The other party: an address or a domain.
    with: Option<String>,
    /// Which way they went; both if it is not said.
    way: Option<Way>,
    /// The last so many days.
    #[cfg_attr(test, schemars(range(min = 1, max = 366)))]
    days: Option<u32>,
    /// How many of the latest are known already.
    #[cfg_attr(test, schemars(range(max = 100_000)))]
    skip: Option<u32>,
    /// The most that are wanted.
    #[cfg_attr(test, schemars(range(min = 1, max = 200)))]
    limit: Option<u32>,
}

/// Which way mail went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Way {
    /// To the member.
    In,
    /// From the member.
    Out,
    /// Both.
    Both,
}

/// Some messages.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Mail {
    /// The latest first.
    messages: Vec<Message>,
    /// Whether there are more after them.
    more: bool,
}

/// A message, or a refusal in SMTP, in a line.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Message {
    /// Its name; none where it was refused before it had one.
    id: Option<String>,
    /// The first that is known of it.
    at: Moment,
    /// Which way it went, where its owner asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<Way>,
    /// Where reports on it go; empty: nowhere, as of a report itself. None: not known.
    sender: Option<String>,
    /// The first recipients.
    recipients: Vec<String>,
    /// How it stands with all of them.
    counts: Fates,
    /// Whether an operator keeps it in the queue.
    held: bool,
    /// What the client was told, if it was refused.
    refused: Option<String>,
}

/// How many recipients have met which fate.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Fates {
    /// Not tried yet, as far as is known.
    untried: u32,
    /// To be tried again.
    waiting: u32,
    /// Arrived.
    delivered: u32,
    /// Went on as another message.
    forwarded: u32,
    /// Will not arrive.
    failed: u32,
    /// Thrown away by an operator.
    removed: u32,
}

async fn mail(member: Member, Query(search): Query<Search>) -> Result<Response, Trouble> {
    let search = MailSearch {
        with: search.with.as_deref().map(|with| parsed("with", with)).transpose()?,
        way: search.way.unwrap_or(Way::Both).into(),
        days: at_most(search.days, 7, 366)?,
        skip: search.skip.unwrap_or(0).min(100_000),
        limit: at_most(search.limit, 50, 200)?,
    };
    let Visit::Mail(lines, more) = member.own(Own::Mail(search)).await? else {
        return Err(Trouble::Unavailable);
    };
    let messages = lines.into_iter().map(|line| Message::of(line.summary, Some(line.way.into()))).collect();
    Ok(json(Mail { messages, more }))
}

async fn life(member: Member, Named(id): Named<QueueId>) -> Result<Response, Trouble> {
    let Visit::Life(events) = member.own(Own::Life(id)).await? else { return Err(Trouble::Unavailable) };
    if events.is_empty() {
        return Err(Trouble::NotFound);
    }
    Ok(json(Life::of(events, false)))
}

impl Mail {
    /// Messages as operators see them.
    pub(crate) fn of(summaries: Vec<Summary>, more: bool) -> Mail {
        Mail { messages: summaries.into_iter().map(|summary| Message::of(summary, None)).collect(), more }
    }
}

impl Message {
    fn of(summary: Summary, way: Option<Way>) -> Message {
        Message {
            id: summary.queue_id.map(|id| id.to_string()),
            at: Moment::of_micros(summary.at),
            way,
            sender: summary.reverse_path.as_ref().map(super::life::sender),
            recipients: summary.recipients.iter().map(ToString::to_string).collect(),
            counts: summary.tally.into(),
            held: summary.held,
            refused: summary.refused.map(String::from),
        }
    }
}

impl From<Tally> for Fates {
    fn from(tally: Tally) -> Fates {
        Fates {
            untried: tally.untried,
            waiting: tally.waiting,
            delivered: tally.delivered,
            forwarded: tally.forwarded,
            failed: tally.failed,
            removed: tally.removed,
        }
    }
}

impl From<Way> for visits::Way {
    fn from(way: Way) -> visits::Way {
        match way {
            Way::In => visits::Way::In,
            Way::Out => visits::Way::Out,
            Way::Both => visits::Way::Both,
        }
    }
}

impl From<visits::Way> for Way {
    fn from(way: visits::Way) -> Way {
        match way {
            visits::Way::In => Way::In,
            visits::Way::Out => Way::Out,
            visits::Way::Both => Way::Both,
        }
    }
}
