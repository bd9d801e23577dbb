//! Mail that waits.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::response::Response;
use envelope::{Filter, Host, QueueId, Walk};
use link::services::queue::operators::{Act, Answer, Group, Question, RecipientState, Stats, Summary, Trait};
use serde::{Deserialize, Serialize};

use crate::api::exchange::{Body, Named, Query, at_most, done, json, parsed};
use crate::api::life;
use crate::api::moment::Moment;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// Parts of the queue that are looked through for one answer. Where there are more, the answer says how to go on.
const PARTS_MAX: usize = 100;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::OperatorToken, "/api/v1/operator/queue", stats)
        .get(Who::OperatorToken, "/api/v1/operator/queue/messages", messages)
        .get(Who::OperatorToken, "/api/v1/operator/queue/messages/{id}", message)
        .get(Who::OperatorToken, "/api/v1/operator/queue/counts", counts)
        .post(Who::OperatorToken, "/api/v1/operator/queue/acts", act)
        .get(Who::OperatorToken, "/api/v1/operator/queue/destinations", destinations)
        .post(Who::OperatorToken, "/api/v1/operator/queue/destinations/{name}/resume", resume)
}

/// QueueCounts of the queue.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct QueueStats {
    /// Messages.
    messages: u64,
    /// Of these, being tried now.
    in_flight: u64,
    /// Of these, held by an operator.
    held: u64,
    /// Octets of their data.
    octets: u64,
    /// When the oldest came.
    oldest: Option<Moment>,
    /// Messages that were taken in since the queue started.
    accepted: u64,
    /// Recipients that were delivered to since then.
    delivered: u64,
    /// Recipients that failed for good since then.
    failed: u64,
    /// Attempts that were put off since then.
    deferred: u64,
}

/// Which messages are meant: those of which everything that is said here is true.
///
/// What is said of recipients (`recipient`, `domain`, `reason`) is true of one that still waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Which {
    /// The sender's address, a domain, or `<>` for reports.
    sender: Option<String>,
    /// The account that sent it.
    account: Option<String>,
    /// It came then or earlier.
    arrived_by: Option<Moment>,
    /// Its data has more octets than this.
    larger_than: Option<u64>,
    /// An operator holds it.
    held: bool,
    /// Whom it waits for: an address or a domain.
    recipient: Option<String>,
    /// The domain of whom it waits for.
    domain: Option<String>,
    /// A part of what the last attempt said, in any case.
    reason: Option<String>,
}

/// Which messages are wanted, and how many. Of recipients is meant one that still waits.
// Written out, as what is flattened into a query is read as text only.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Listing {
    /// The sender's address, a domain, or `<>` for reports.
    sender: Option<String>,
    /// The account that sent it.
    account: Option<String>,
    /// It came then or earlier.
    arrived_by: Option<Moment>,
    /// Its data has more octets than this.
    larger_than: Option<u64>,
    /// An operator holds it.
    held: bool,
    /// Whom it waits for: an address or a domain.
    recipient: Option<String>,
    /// The domain of whom it waits for.
    domain: Option<String>,
    /// A part of what the last attempt said, in any case.
    reason: Option<String>,
    /// What `next` said of the part before.
    after: Option<String>,
    /// The most that are wanted.
    #[cfg_attr(test, schemars(range(min = 1, max = 1000)))]
    limit: Option<u32>,
}

/// Some messages.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Messages {
    /// In the order in which they came. There may be none though more are to come.
    messages: Vec<Waiting>,
    /// What `after` is for the next part; none where this is the last.
    next: Option<String>,
}

/// A waiting message in a line.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Waiting {
    /// Its name.
    id: String,
    /// When it came.
    arrived: Moment,
    /// Octets.
    size: u64,
    /// Where reports on it go; empty: nowhere. None: it cannot be read.
    sender: Option<String>,
    /// The account that sent it.
    account: Option<String>,
    /// How many recipients are still to be served.
    waiting: u32,
    /// How many of them are being tried at this moment.
    in_hand: u32,
    /// How many are done.
    done: u32,
    /// Whether an operator holds it.
    held: bool,
    /// When it is tried next if it is not held; none while all that is left is being tried.
    next_attempt: Option<Moment>,
}

/// A waiting message in full.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct WaitingInFull {
    /// The line of the list.
    message: Waiting,
    /// The message that it was forwarded from.
    forwarded_from: Option<String>,
    /// Each recipient.
    recipients: Vec<Recipient>,
}

/// A recipient of a waiting message.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Recipient {
    /// The address.
    address: String,
    /// What became of it.
    state: RecipientStanding,
    /// How often it was tried.
    attempts: u32,
    /// When it is tried next, if it is not done.
    next_attempt: Option<Moment>,
    /// What was said at the last attempt.
    last_reply: String,
}

/// What became of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum RecipientStanding {
    /// Still to be tried.
    Waiting,
    /// Delivered.
    Delivered,
    /// Failed for good.
    Failed,
}

/// What is to be counted. Of recipients is meant one that still waits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Counting {
    /// What makes a group.
    by: By,
    /// How many groups are wanted, the largest first.
    #[cfg_attr(test, schemars(range(min = 1, max = 1000)))]
    limit: Option<u32>,
}

/// By what messages, and the recipients that they wait for, are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum By {
    /// The recipient's domain.
    Domain,
    /// The sender.
    Sender,
    /// The account that sent it.
    Account,
    /// What the last attempt said.
    Reason,
}

/// QueueCounts of messages by what they have in common.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct QueueCounts {
    /// The largest first.
    groups: Vec<MessageGroup>,
    /// The queue is so long that only its beginning was counted.
    partial: bool,
}

/// Messages that have something in common.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MessageGroup {
    /// What; none where there is nothing, such as an account.
    name: Option<String>,
    /// How many.
    messages: u64,
    /// For how many recipients they wait.
    recipients: u64,
}

/// What is to be done, and with which messages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ActOrder {
    /// What.
    act: Deed,
    /// With these.
    #[serde(default)]
    ids: Vec<String>,
    /// With those of which this is true.
    #[serde(default)]
    which: Which,
    /// With all: must be said where neither `ids` nor `which` says anything.
    #[serde(default)]
    all: bool,
    /// What `next` said of the part before.
    #[serde(default)]
    after: Option<String>,
}

/// What is done with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Deed {
    /// Whatever waits of them is due now.
    Retry,
    /// They are not tried until they are released.
    Hold,
    /// They go on, at the times they had.
    Release,
    /// The recipients that wait and are meant fail now, and the sender is told.
    Bounce,
    /// They are dropped, and nobody is told.
    Remove,
}

/// With how many messages it was done.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ActResult {
    /// With so many.
    touched: u64,
    /// Others that are meant, with which there was nothing to do.
    untouched: u64,
    /// How many of all these are being tried at this moment.
    in_hand: u64,
    /// There are more: order it again with this as `after`.
    next: Option<String>,
}

/// Destinations of mail for other hosts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Destinations {
    /// Those in use or in trouble.
    destinations: Vec<Lane>,
}

/// How a destination does.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Lane {
    /// A domain, or the host of a route.
    name: String,
    /// Messages on their way.
    active: u64,
    /// How many there may be now.
    limit: u64,
    /// How often in a row it could not be reached.
    failures: u32,
    /// For how many seconds it is left alone.
    pause_seconds: Option<u64>,
    /// What was the matter last.
    last_trouble: Option<String>,
}

async fn stats(operator: Operator) -> Result<Response, Trouble> {
    let (Answer::Stats(stats), _) = operator.queue(Question::Stats).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(QueueStats::from(stats)))
}

async fn messages(operator: Operator, Query(listing): Query<Listing>) -> Result<Response, Trouble> {
    let limit = at_most(listing.limit, 100, 1000)? as usize;
    let mut walk = listing.after.as_deref().map_or(Ok(Walk::default()), walk_of)?;
    let filter = Which::from(listing).filter()?;
    let mut all: Vec<Summary> = Vec::new();
    let mut rest = None;
    for _ in 0..PARTS_MAX {
        let question = Question::Find { filter: filter.clone(), walk };
        let (Answer::Found { messages, progress }, _) = operator.queue(question).await? else {
            return Err(Trouble::Unavailable);
        };
        all.extend(messages);
        rest = progress.rest;
        if all.len() > limit {
            all.truncate(limit);
            rest = Some(Walk { after: all.last().map(|last| last.id), until: progress.until });
        }
        match rest {
            Some(more) if all.len() < limit => walk = more,
            _ => break,
        }
    }
    Ok(json(Messages {
        messages: all.into_iter().map(Waiting::from).collect(),
        next: rest.and_then(name_of),
    }))
}

async fn message(operator: Operator, Named(id): Named<QueueId>) -> Result<Response, Trouble> {
    let (Answer::Shown(shown), _) = operator.queue(Question::Show(id)).await? else {
        return Err(Trouble::Unavailable);
    };
    let shown = shown.ok_or(Trouble::NotFound)?;
    Ok(json(WaitingInFull {
        message: shown.summary.into(),
        forwarded_from: shown.forwarded_from.map(|id| id.to_string()),
        recipients: shown
            .recipients
            .into_iter()
            .map(|recipient| Recipient {
                address: recipient.address,
                state: recipient.state.into(),
                attempts: recipient.attempts,
                next_attempt: recipient.next_attempt.map(Moment::of_seconds),
                last_reply: recipient.last_reply,
            })
            .collect(),
    }))
}

async fn counts(operator: Operator, Query(counting): Query<Counting>) -> Result<Response, Trouble> {
    let limit = at_most(counting.limit, 100, 1000)? as usize;
    let mut all: BTreeMap<Option<String>, (u64, u64)> = BTreeMap::new();
    let mut walk = Some(Walk::default());
    for _ in 0..PARTS_MAX {
        let Some(next) = walk else { break };
        let question = Question::Count { by: counting.by.into(), filter: Filter::default(), walk: next };
        let (Answer::Counted { groups, progress }, _) = operator.queue(question).await? else {
            return Err(Trouble::Unavailable);
        };
        for Group { name, messages, recipients } in groups {
            let count = all.entry(name).or_default();
            count.0 += messages;
            count.1 += recipients;
        }
        walk = progress.rest;
    }
    let mut groups: Vec<MessageGroup> = all
        .into_iter()
        .map(|(name, (messages, recipients))| MessageGroup { name, messages, recipients })
        .collect();
    groups.sort_by_key(|group| (Reverse(group.recipients), Reverse(group.messages)));
    groups.truncate(limit);
    Ok(json(QueueCounts { groups, partial: walk.is_some() }))
}

async fn act(operator: Operator, Body(order): Body<ActOrder>) -> Result<Response, Trouble> {
    let filter = order.filter()?;
    let mut walk = order.after.as_deref().map_or(Ok(Walk::default()), walk_of)?;
    let mut done = ActResult::default();
    for _ in 0..PARTS_MAX {
        let question = Question::Act { act: order.act.into(), filter: filter.clone(), walk };
        let (Answer::Acted { touched, untouched, in_hand, progress }, _) = operator.queue(question).await?
        else {
            return Err(Trouble::Unavailable);
        };
        done.touched += touched.len() as u64;
        done.untouched += untouched;
        done.in_hand += in_hand;
        done.next = progress.rest.and_then(name_of);
        match progress.rest {
            Some(rest) => walk = rest,
            None => break,
        }
    }
    Ok(json(done))
}

async fn destinations(operator: Operator) -> Result<Response, Trouble> {
    let (Answer::Destinations(all), _) = operator.queue(Question::Destinations).await? else {
        return Err(Trouble::Unavailable);
    };
    let destinations = all.into_iter().map(|lane| Lane {
        name: lane.name,
        active: lane.active,
        limit: lane.limit,
        failures: lane.failures,
        pause_seconds: lane.pause,
        last_trouble: lane.last_trouble,
    });
    Ok(json(Destinations { destinations: destinations.collect() }))
}

async fn resume(operator: Operator, Named(name): Named<String>) -> Result<Response, Trouble> {
    operator.queue(Question::Resume(name)).await?;
    Ok(done())
}

impl Which {
    fn filter(&self) -> Result<Filter, Trouble> {
        let pattern =
            |field: &str, text: &Option<String>| text.as_deref().map(|text| parsed(field, text)).transpose();
        let host =
            |text: &str| Host::parse(text).map_err(|error| Trouble::Unreadable(format!("domain: {error}")));
        Ok(Filter {
            ids: Default::default(),
            sender: pattern("sender", &self.sender)?,
            account: self.account.as_deref().map(|account| parsed("account", account)).transpose()?,
            arrived_by: self.arrived_by.map(Moment::seconds),
            larger_than: self.larger_than,
            held: self.held,
            recipient: pattern("recipient", &self.recipient)?,
            domain: self.domain.as_deref().map(host).transpose()?,
            reason: self.reason.clone(),
        })
    }
}

impl From<Listing> for Which {
    fn from(listing: Listing) -> Which {
        Which {
            sender: listing.sender,
            account: listing.account,
            arrived_by: listing.arrived_by,
            larger_than: listing.larger_than,
            held: listing.held,
            recipient: listing.recipient,
            domain: listing.domain,
            reason: listing.reason,
        }
    }
}

impl ActOrder {
    /// Which messages are meant.
    ///
    /// # Errors
    /// If nothing is said: that all are meant must be said.
    fn filter(&self) -> Result<Filter, Trouble> {
        let ids = self.ids.iter().map(|id| parsed("ids", id)).collect::<Result<_, _>>()?;
        let filter = Filter { ids, ..self.which.filter()? };
        let says_nothing = filter == Filter::default();
        match (says_nothing, self.all) {
            (true, false) => {
                Err(Trouble::Unreadable("all: say which messages, or that all are meant".into()))
            }
            (false, true) => Err(Trouble::Unreadable("all: ids and which say that not all are meant".into())),
            _ => Ok(filter),
        }
    }
}

/// How far a walk has come, as one word.
fn name_of(walk: Walk) -> Option<String> {
    Some(format!("{}-{}", walk.after?, walk.until?))
}

fn walk_of(name: &str) -> Result<Walk, Trouble> {
    let wrong = || Trouble::Unreadable("after: give what the last answer called next".into());
    let (after, until) = name.split_once('-').ok_or_else(wrong)?;
    let id = |text: &str| text.parse::<QueueId>().map_err(|_| wrong());
    Ok(Walk { after: Some(id(after)?), until: Some(id(until)?) })
}

impl From<Stats> for QueueStats {
    fn from(stats: Stats) -> QueueStats {
        QueueStats {
            messages: stats.messages,
            in_flight: stats.in_flight,
            held: stats.held,
            octets: stats.octets,
            oldest: stats.oldest.map(Moment::of_seconds),
            accepted: stats.accepted,
            delivered: stats.delivered,
            failed: stats.failed,
            deferred: stats.deferred,
        }
    }
}

impl From<Summary> for Waiting {
    fn from(summary: Summary) -> Waiting {
        Waiting {
            id: summary.id.to_string(),
            arrived: Moment::of_seconds(summary.arrived),
            size: summary.size,
            sender: summary.reverse_path.as_ref().map(life::sender),
            account: summary.account.map(String::from),
            waiting: summary.waiting,
            in_hand: summary.in_hand,
            done: summary.done,
            held: summary.held,
            next_attempt: summary.next_attempt.map(Moment::of_seconds),
        }
    }
}

impl From<RecipientState> for RecipientStanding {
    fn from(state: RecipientState) -> RecipientStanding {
        match state {
            RecipientState::Waiting => RecipientStanding::Waiting,
            RecipientState::Delivered => RecipientStanding::Delivered,
            RecipientState::Failed => RecipientStanding::Failed,
        }
    }
}

impl From<By> for Trait {
    fn from(by: By) -> Trait {
        match by {
            By::Domain => Trait::Domain,
            By::Sender => Trait::Sender,
            By::Account => Trait::Account,
            By::Reason => Trait::Reason,
        }
    }
}

impl From<Deed> for Act {
    fn from(deed: Deed) -> Act {
        match deed {
            Deed::Retry => Act::Retry,
            Deed::Hold => Act::Hold,
            Deed::Release => Act::Release,
            Deed::Bounce => Act::Bounce,
            Deed::Remove => Act::Remove,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(json: &str) -> Result<Filter, Trouble> {
        serde_json::from_str::<ActOrder>(json).unwrap().filter()
    }

    #[test]
    fn who_acts_says_which_or_all() {
        assert!(order(r#"{"act": "remove"}"#).is_err());
        assert!(order(r#"{"act": "remove", "all": true, "which": {"held": true}}"#).is_err());
        assert_eq!(order(r#"{"act": "retry", "all": true}"#), Ok(Filter::default()));
        let id = QueueId::from_u64(7);
        let one = format!(r#"{{"act": "hold", "ids": ["{id}"], "which": {{"sender": "<>"}}}}"#);
        let expected = Filter { ids: [id].into(), sender: "<>".parse().ok(), ..Filter::default() };
        assert_eq!(order(&one), Ok(expected));
        assert!(matches!(order(r#"{"act": "hold", "ids": ["x"]}"#), Err(Trouble::Unreadable(_))));
        assert!(serde_json::from_str::<ActOrder>(r#"{"act": "hold", "which": {"helt": true}}"#).is_err());
    }

    proptest! {
        #[test]
        fn a_walk_goes_on_where_it_was(after: u64, until: u64) {
            let walk = Walk { after: Some(QueueId::from_u64(after)), until: Some(QueueId::from_u64(until)) };
            prop_assert_eq!(walk_of(&name_of(walk).unwrap()), Ok(walk));
        }

        #[test]
        fn any_text_is_a_walk_or_an_error(text in "\\PC{0,40}|[0-9a-z-]{20,30}") {
            let _ = walk_of(&text);
        }
    }
}
