//! How much waits, and what the messages that wait have in common.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use envelope::{Filter, Walk};
use link::services::queue::operators::{Answer, Group, Question, Stats, Trait};

use crate::figures::{Clock, Figures};
use crate::frame::{self, Frame};
use crate::operator::encoded;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How many groups are shown, the largest first.
const SHOWN: usize = 20;
/// How long messages are counted: what was not reached by then is not in the count, and the page says so.
const PATIENCE: Duration = Duration::from_millis(1_500);

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/queue", show).get(Who::Operator, "/operator/queue/now.json", now)
}

/// By what messages are counted, as links say it, and the field of the filter that picks a group.
const TRAITS: [(&str, Trait, &str); 4] = [
    ("domain", Trait::Domain, "domain"),
    ("sender", Trait::Sender, "sender"),
    ("account", Trait::Account, "account"),
    ("reason", Trait::Reason, "reason"),
];

#[derive(Template)]
#[template(path = "operator/queue.html")]
struct Show {
    frame: Frame,
    clock: Clock,
    stats: Stats,
    /// Messages that are neither tried now nor held.
    waiting: u64,
    /// By what is counted: its name, its words, whether it is this.
    traits: Vec<(&'static str, String, bool)>,
    rows: Vec<Row>,
    /// How many groups there are besides.
    others: usize,
    /// Whether the time did not suffice to count all.
    partial: bool,
}

/// A group.
struct Row {
    name: String,
    messages: String,
    recipients: String,
    /// Where its messages are listed, if they can be asked for.
    query: Option<String>,
    /// Its share of the largest, in parts of a hundred, for a bar.
    share: u64,
}

impl Show {
    fn grouped(&self, figure: &u64) -> String {
        figure.grouped()
    }

    fn others(&self) -> String {
        (self.others as u64).grouped()
    }

    /// How the messages stand, as parts of a bar: name, colour, where it begins, how wide it is.
    fn bar(&self) -> [(&'static str, &'static str, u64, u64); 3] {
        let all = self.stats.messages.max(1);
        let width = |count: u64| (u128::from(count) * 1000 / u128::from(all)).min(1000) as u64;
        let (in_hand, waiting) = (width(self.stats.in_flight), width(self.waiting));
        [
            ("in-hand", "good", 0, in_hand),
            ("waiting", "one", in_hand, waiting),
            ("held", "wait", in_hand + waiting, width(self.stats.held)),
        ]
    }
}

async fn show(operator: Operator) -> Result<Response, Trouble> {
    let asked = operator.query();
    let (name, by, field) =
        TRAITS.into_iter().find(|(name, ..)| *name == asked.text("by")).unwrap_or(TRAITS[0]);
    let stats = stats(&operator).await?;
    let (mut groups, partial) = count(&operator, by).await?;
    groups.sort_unstable_by(|a, b| {
        let key = |group: &Group| (Reverse(group.recipients), Reverse(group.messages));
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    let most = groups.first().map_or(1, |group| group.recipients.max(1));
    let nothing = operator.words.say(&format!("queue-no-{name}")).into_owned();
    let rows = groups.iter().take(SHOWN).map(|group| Row {
        name: group.name.clone().unwrap_or_else(|| nothing.clone()),
        messages: group.messages.grouped(),
        recipients: group.recipients.grouped(),
        query: group.name.as_ref().map(|value| format!("{field}={}", encoded(pickable(by, value)))),
        share: (group.recipients * 100 / most).max(1),
    });
    Ok(frame::page(&Show {
        clock: crate::operator::clock(&operator),
        waiting: stats.messages.saturating_sub(stats.held).saturating_sub(stats.in_flight),
        stats,
        traits: TRAITS
            .map(|(known, ..)| {
                (known, operator.words.say(&format!("queue-by-{known}")).into_owned(), known == name)
            })
            .into(),
        rows: rows.collect(),
        others: groups.len().saturating_sub(SHOWN),
        partial,
        frame: Frame::of(&operator, "queue-title"),
    }))
}

/// What of a group's name picks its messages. Replies are counted without what differs from one message to the
/// next, in the place of which stands `…`: the longest part between two of these finds them all.
fn pickable(by: Trait, name: &str) -> &str {
    if by != Trait::Reason {
        return name;
    }
    name.split('…').map(str::trim).max_by_key(|part| part.len()).unwrap_or(name)
}

/// The queue's counts.
pub(in crate::operator) async fn stats(operator: &Operator) -> Result<Stats, Trouble> {
    match operator.queue(Question::Stats).await?.0 {
        Answer::Stats(stats) => Ok(stats),
        _ => Err(Trouble::Unavailable),
    }
}

/// Counts in groups, and whether the time did not suffice for all.
async fn count(operator: &Operator, by: Trait) -> Result<(Vec<Group>, bool), Trouble> {
    let begin = Instant::now();
    let mut sums: HashMap<Option<String>, (u64, u64)> = HashMap::new();
    let mut walk = Walk::default();
    let partial = loop {
        let question = Question::Count { by, filter: Filter::default(), walk };
        let Answer::Counted { groups, progress } = operator.queue(question).await?.0 else {
            return Err(Trouble::Unavailable);
        };
        for Group { name, messages, recipients } in groups {
            let sum = sums.entry(name).or_default();
            *sum = (sum.0 + messages, sum.1 + recipients);
        }
        match progress.rest {
            None => break false,
            Some(_) if begin.elapsed() > PATIENCE => break true,
            Some(rest) => walk = rest,
        }
    };
    let group = |(name, (messages, recipients))| Group { name, messages, recipients };
    Ok((sums.into_iter().map(group).collect(), partial))
}

/// The figures of the live chart.
async fn now(operator: Operator) -> Result<Response, Trouble> {
    let stats = stats(&operator).await?;
    let mut response = figures(&stats).to_string().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn figures(stats: &Stats) -> serde_json::Value {
    serde_json::json!({
        "messages": stats.messages,
        "in_hand": stats.in_flight,
        "held": stats.held,
        "oldest": stats.oldest,
        "accepted": stats.accepted,
        "delivered": stats.delivered,
        "failed": stats.failed,
        "deferred": stats.deferred,
    })
}
