//! Waiting messages, a page at a time.

use askama::Template;
use axum::response::Response;
use envelope::{Filter, QueueId, Walk};
use link::services::queue::operators::{Answer, Question, Summary};

use super::Row;
use super::selection::{self, Selection};
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How many messages a page shows.
const PAGE: usize = 50;
/// How many parts of the queue are looked through for a page: where few are meant of many, the next page goes on.
const PARTS: usize = 16;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/queue/messages", list)
}

#[derive(Template)]
#[template(path = "operator/queue-list.html")]
struct List {
    frame: Frame,
    selection: Selection,
    rows: Vec<Row>,
    /// Where to go on, as a query.
    more: Option<String>,
    later: bool,
}

async fn list(operator: Operator) -> Result<Response, Trouble> {
    let (clock, query) = (crate::operator::clock(&operator), operator.query());
    let (selection, walk) = (Selection::of(&query, clock.now), selection::walk(&query));
    let found = match selection.is_sound() {
        true => find(&operator, &selection.filter, walk, PAGE, PARTS).await?,
        false => Found { messages: Vec::new(), rest: None, until: None },
    };
    Ok(frame::page(&List {
        frame: Frame::of(&operator, "queue-list-title"),
        rows: found.messages.iter().map(|message| Row::of(message, clock)).collect(),
        more: found.rest.map(|rest| selection.query() + &selection::walk_query(rest)),
        later: walk.after.is_some(),
        selection,
    }))
}

impl List {
    /// How a field is filled in.
    fn hint(&self, field: &str) -> Option<String> {
        let hinted = ["sender", "recipient", "age", "larger"].contains(&field);
        hinted.then(|| self.frame.words.say(&format!("queue-hint-{field}")).into_owned())
    }

    /// What all that is meant here is called in links to what is done with it.
    fn act_query(&self) -> String {
        if self.selection.is_all() { "all=on".into() } else { self.selection.query() }
    }
}

/// Messages that were found.
pub(super) struct Found {
    pub(super) messages: Vec<Summary>,
    /// Where to go on, if there may be more.
    pub(super) rest: Option<Walk>,
    /// The last message that the walk will pass, or has passed.
    pub(super) until: Option<QueueId>,
}

/// The next messages that are meant, so many or fewer.
pub(super) async fn find(
    operator: &Operator,
    filter: &Filter,
    mut walk: Walk,
    most: usize,
    parts: usize,
) -> Result<Found, Trouble> {
    let mut found = Vec::new();
    for _ in 0..parts {
        let question = Question::Find { filter: filter.clone(), walk };
        let Answer::Found { messages, progress } = operator.queue(question).await?.0 else {
            return Err(Trouble::Unavailable);
        };
        let until = progress.until;
        found.extend(messages);
        if found.len() > most {
            found.truncate(most);
            let after = found.last().map(|message| message.id);
            return Ok(Found { messages: found, rest: Some(Walk { after, until }), until });
        }
        match progress.rest {
            Some(rest) => walk = rest,
            None => return Ok(Found { messages: found, rest: None, until }),
        }
    }
    Ok(Found { messages: found, rest: Some(walk), until: walk.until })
}
