//! `hikyaku traffic`: how much mail there was, by the hour.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use link::services::directory::visits::{Hour, Traffic as Counted, Visit};
use link::services::directory::{Response, Trace};
use time::UtcOffset;

use super::desk::{self, Desk};
use super::output::{self, say};
use super::trace::moment;
use crate::config::Config;

/// The ends of the spans in which deliveries are counted.
const SPANS: [&str; 7] = ["1 s", "10 s", "1 min", "10 min", "1 h", "1 day", "longer"];

#[derive(Args)]
pub struct Traffic {
    /// Of the last so many hours, this one included.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=744))]
    hours: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(config: &Config, traffic: &Traffic) -> anyhow::Result<ExitCode> {
    // Before there are threads: the system's clock is asked for its zone.
    let zone = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let mut desk = Desk::open(config)?;
    let Response::Visit(visit) = desk.trace(Trace::Traffic { hours: traffic.hours })? else {
        bail!(desk::SOMETHING_ELSE);
    };
    let Visit::Traffic(counted) = *visit else { bail!(desk::SOMETHING_ELSE) };
    if traffic.json {
        output::json(&*counted)?;
    } else {
        for line in lines(&counted, zone) {
            say!("{line}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(counted: &Counted, zone: UtcOffset) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<16} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "hour", "received", "submitted", "refused", "delivered", "failed", "put off"
    )];
    let mut sum = Hour::default();
    for hour in &counted.hours {
        // `2026-11-24 18:00`: the seconds say nothing.
        let began: String = moment(hour.at.saturating_mul(1_000_000), zone).chars().take(16).collect();
        lines.push(row(&began, hour));
        add(&mut sum, hour);
    }
    lines.push(row("in all", &sum));
    if sum.delivered > 0 {
        let spans = SPANS.iter().zip(sum.took).filter(|(_, count)| *count > 0);
        let spans: Vec<String> = spans
            .map(|(span, count)| match *span {
                "longer" => format!("{count} after more than a day"),
                span => format!("{count} within {span}"),
            })
            .collect();
        lines.push(format!("arrived: {}", spans.join(", ")));
    }
    for (account, messages, recipients) in &counted.senders {
        lines.push(format!("sent: {account}, {messages} messages to {recipients} recipients"));
    }
    for (reply, count) in &counted.refusals {
        lines.push(format!("refused {count} times: {reply}"));
    }
    lines
}

fn row(name: &str, hour: &Hour) -> String {
    let Hour { received, submitted, refused, delivered, failed, deferred, .. } = hour;
    format!("{name:<16} {received:>9} {submitted:>9} {refused:>9} {delivered:>9} {failed:>9} {deferred:>9}")
}

fn add(sum: &mut Hour, hour: &Hour) {
    sum.received += hour.received;
    sum.submitted += hour.submitted;
    sum.refused += hour.refused;
    sum.delivered += hour.delivered;
    sum.failed += hour.failed;
    sum.deferred += hour.deferred;
    for (sum, count) in sum.took.iter_mut().zip(hour.took) {
        *sum += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_rows_and_what_is_remarkable_follows() {
        let first = Hour {
            at: 1_795_000_000 / 3600 * 3600,
            received: 2,
            delivered: 3,
            took: [1, 0, 0, 0, 0, 0, 2],
            ..Hour::default()
        };
        let second = Hour { at: first.at + 3600, submitted: 4, deferred: 1, ..Hour::default() };
        let counted = Counted {
            hours: vec![first, second],
            senders: vec![("abc".parse().unwrap(), 4, 9)],
            refusals: vec![("550 no".into(), 7)],
        };
        assert_eq!(
            lines(&counted, UtcOffset::UTC),
            [
                "hour              received submitted   refused delivered    failed   put off",
                "2026-11-18 11:00         2         0         0         3         0         0",
                "2026-11-18 12:00         0         4         0         0         0         1",
                "in all                   2         4         0         3         0         1",
                "arrived: 1 within 1 s, 2 after more than a day",
                "sent: abc, 4 messages to 9 recipients",
                "refused 7 times: 550 no",
            ]
        );
        let none = Counted { hours: vec![Hour::default()], ..Counted::default() };
        assert_eq!(lines(&none, UtcOffset::UTC).len(), 3);
    }
}
