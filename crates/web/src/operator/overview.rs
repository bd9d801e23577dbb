//! The whole house at a glance, and what is amiss in it.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use futures_util::future::{join_all, join5};
use link::services::directory::visits::{Counts, Operate, Traffic, Visit};
use link::services::queue::operators::Stats;
use link::services::remote::Destination;

use super::{account, health, queue, traffic};
use crate::certificate::{Facts, State};
use crate::chart::Chart;
use crate::figures::{Clock, Figures};
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// So old the oldest message may be before it is told, in seconds.
const OLD: u64 = 86_400;
/// How long this page waits for name servers.
const NAME_SERVERS: Duration = Duration::from_secs(1);
/// How many of those who sent most are looked at for their limits.
const SENDERS: usize = 10;
/// How many destinations in trouble are named.
const DESTINATIONS: usize = 5;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator", overview)
}

/// Each part; none where it is not to be had just now, and the page says so.
#[derive(Template)]
#[template(path = "operator/overview.html")]
struct Overview {
    frame: Frame,
    clock: Clock,
    alerts: Vec<Alert>,
    counts: Option<Counts>,
    stats: Option<Stats>,
    day: Option<Chart>,
    /// Sums of the day: what they are, and how many.
    sums: Vec<(String, String)>,
}

impl Overview {
    fn grouped(&self, figure: &u64) -> String {
        figure.grouped()
    }
}

/// Something that is amiss.
struct Alert {
    /// `warning` or `trouble`.
    class: &'static str,
    text: String,
    /// Where more is told.
    href: String,
}

impl Alert {
    fn warning(text: impl Into<String>, href: impl Into<String>) -> Alert {
        Alert { class: "warning", text: text.into(), href: href.into() }
    }

    fn trouble(text: impl Into<String>, href: impl Into<String>) -> Alert {
        Alert { class: "trouble", ..Alert::warning(text, href) }
    }
}

async fn overview(operator: Operator) -> Result<Response, Trouble> {
    let clock = super::clock(&operator);
    let (counts, stats, traffic, destinations, records) = join5(
        operator.operate(Operate::Counts),
        queue::stats(&operator),
        operator.operate(Operate::Traffic { hours: 24 }),
        queue::destinations(&operator),
        tokio::time::timeout(NAME_SERVERS, health::amiss(&operator)),
    )
    .await;
    let counts = part(counts)?.and_then(|visit| match visit {
        Visit::Counts(counts) => Some(counts),
        _ => None,
    });
    let traffic = part(traffic)?.and_then(|visit| match visit {
        Visit::Traffic(traffic) => Some(*traffic),
        _ => None,
    });
    let (stats, destinations) = (part(stats)?, part(destinations)?);
    let mut alerts = Vec::new();
    alerts.extend(certificate(&operator, clock));
    alerts.extend(part(records.unwrap_or(Err(Trouble::Unavailable)))?.and_then(|amiss| dns(amiss, clock)));
    alerts.extend(stats.as_ref().and_then(|stats| oldest(stats, clock)));
    alerts.extend(destinations.as_deref().map(|all| in_trouble(all, clock)).unwrap_or_default());
    if let Some(traffic) = &traffic {
        alerts.extend(at_their_limit(&operator, traffic).await);
    }
    Ok(frame::page(&Overview {
        frame: Frame::of(&operator, "operator-title"),
        clock,
        alerts,
        counts,
        stats,
        day: traffic.as_ref().map(|traffic| traffic::day(clock, &traffic.hours)),
        sums: traffic.as_ref().map(|traffic| sums(clock, traffic)).unwrap_or_default(),
    }))
}

/// One part of the page: a role that is silent takes its part away and no more.
fn part<T>(answer: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Trouble::Unavailable | Trouble::Denied(_)) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

fn certificate(operator: &Operator, clock: Clock) -> Option<Alert> {
    let site = operator.house.site();
    let facts = Facts::of(site.certificate.as_ref()?)?;
    let state = facts.state(clock.now, &site.hostname.to_ascii());
    let text =
        operator.words.with(&format!("certificate-{}", state.name()), "until", clock.moment(&facts.until));
    match state {
        State::Good => None,
        State::NearItsEnd | State::SelfSigned => Some(Alert::warning(text, "/operator/health")),
        State::Ended | State::NotYet | State::OtherName => Some(Alert::trouble(text, "/operator/health")),
    }
}

fn dns(amiss: u64, clock: Clock) -> Option<Alert> {
    let text = clock.words.with("operator-alert-dns", "count", amiss);
    (amiss > 0).then(|| Alert::warning(text, "/operator/health#dns"))
}

fn oldest(stats: &Stats, clock: Clock) -> Option<Alert> {
    let age = clock.now.saturating_sub(stats.oldest?);
    let text = clock.words.with("operator-alert-oldest", "span", clock.span(age));
    (age > OLD).then(|| Alert::warning(text, "/operator/queue/messages"))
}

fn in_trouble(all: &[Destination], clock: Clock) -> Vec<Alert> {
    let troubled: Vec<&Destination> = all.iter().filter(|destination| destination.pause.is_some()).collect();
    let mut names: Vec<&str> =
        troubled.iter().take(DESTINATIONS).map(|destination| destination.name.as_str()).collect();
    if troubled.len() > DESTINATIONS {
        names.push("…");
    }
    let count = troubled.len() as u64;
    let text =
        clock.words.with2("operator-alert-destinations", ("count", count), ("names", names.join(", ")));
    if count == 0 { Vec::new() } else { vec![Alert::warning(text, "/operator/queue/destinations")] }
}

/// Of those who sent most, each that has sent as much as he may.
async fn at_their_limit(operator: &Operator, traffic: &Traffic) -> Vec<Alert> {
    let senders = traffic.senders.iter().take(SENDERS);
    let all = join_all(senders.map(|(name, ..)| account::facts(operator, name))).await;
    let full = all.into_iter().flatten().filter_map(|facts| {
        let (limit, _) =
            account::sent(operator.words, &facts).into_iter().find(|(_, measure)| measure.is_full())?;
        let name = facts.account.name;
        let text =
            operator.words.with2("operator-alert-limit", ("account", name.to_string()), ("limit", limit));
        Some(Alert::warning(text, format!("/operator/accounts/{name}")))
    });
    full.collect()
}

fn sums(clock: Clock, traffic: &Traffic) -> Vec<(String, String)> {
    let sum = |name: &str, figure: fn(&link::services::directory::visits::Hour) -> u64| {
        let total: u64 = traffic.hours.iter().map(figure).sum();
        (clock.words.say(&format!("traffic-{name}")).into_owned(), total.grouped())
    };
    vec![
        sum("received", |hour| hour.received),
        sum("submitted", |hour| hour.submitted),
        sum("delivered", |hour| hour.delivered),
        sum("deferred", |hour| hour.deferred),
        sum("failed", |hour| hour.failed),
        sum("refused", |hour| hour.refused),
    ]
}
