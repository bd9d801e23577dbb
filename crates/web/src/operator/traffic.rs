//! What came and went in the last hours and days.

use askama::Template;
use axum::response::Response;
use link::services::directory::visits::{Hour, OpenWindow, Operate, Traffic, Visit};

use crate::chart::{Chart, Column, Series};
use crate::figures::{Clock, Figures};
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// Spans that can be looked at, in hours; and how many hours make one column of a chart.
const SPANS: [(u32, u32); 4] = [(24, 1), (72, 3), (168, 6), (672, 24)];
/// How many relay windows are shown.
const WINDOWS: u32 = 25;
/// Characters of a reason that are shown.
const REASON_MAX: usize = 120;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/traffic", traffic)
}

#[derive(Template)]
#[template(path = "operator/traffic.html")]
struct Page {
    frame: Frame,
    clock: Clock,
    /// Each span, its words, and whether it is this one.
    spans: Vec<(u32, String, bool)>,
    charts: Vec<Chart>,
    senders: Vec<(String, String, String)>,
    refusals: Vec<(String, String)>,
    windows: Vec<OpenWindow>,
    more_windows: bool,
}

async fn traffic(operator: Operator) -> Result<Response, Trouble> {
    let asked = operator.query().text("hours").parse().unwrap_or(0);
    let (hours, step) = SPANS.into_iter().find(|(hours, _)| *hours == asked).unwrap_or(SPANS[0]);
    let Visit::Traffic(traffic) = operator.operate(Operate::Traffic { hours }).await? else {
        return Err(Trouble::Unavailable);
    };
    let Visit::Windows(mut windows) = operator.operate(Operate::Windows(WINDOWS + 1)).await? else {
        return Err(Trouble::Unavailable);
    };
    let more_windows = windows.len() > WINDOWS as usize;
    windows.truncate(WINDOWS as usize);
    let Traffic { hours: all, senders, refusals } = *traffic;
    let clock = super::clock(&operator);
    Ok(frame::page(&Page {
        frame: Frame::of(&operator, "traffic-title"),
        clock,
        spans: SPANS.map(|(span, _)| (span, clock.span(u64::from(span) * 3_600), span == hours)).into(),
        charts: charts(clock, &all, step),
        senders: senders
            .into_iter()
            .map(|(account, messages, recipients)| {
                (account.to_string(), messages.grouped(), recipients.grouped())
            })
            .collect(),
        refusals: refusals
            .into_iter()
            .map(|(reason, count)| (reason.chars().take(REASON_MAX).collect(), count.grouped()))
            .collect(),
        windows,
        more_windows,
    }))
}

/// What came, what became of it, and how long that took.
fn charts(clock: Clock, hours: &[Hour], step: u32) -> Vec<Chart> {
    let chart =
        |name: &'static str, parts: &[(&'static str, &'static str)], figures: fn(&Hour) -> Vec<u64>| {
            draw(clock, hours, step, name, parts, figures)
        };
    vec![
        chart("came", &[("received", "one"), ("submitted", "two"), ("refused", "bad")], |hour| {
            vec![hour.received, hour.submitted, hour.refused]
        }),
        chart("went", &[("delivered", "good"), ("deferred", "wait"), ("failed", "bad")], |hour| {
            vec![hour.delivered, hour.deferred, hour.failed]
        }),
        chart(
            "took",
            &[
                ("second", "took1"),
                ("ten-seconds", "took2"),
                ("minute", "took3"),
                ("ten-minutes", "took4"),
                ("hour", "took5"),
                ("day-long", "took6"),
                ("longer", "took7"),
            ],
            |hour| hour.took.to_vec(),
        ),
    ]
}

/// The traffic of a day, in one chart.
pub(super) fn day(clock: Clock, hours: &[Hour]) -> Chart {
    draw(clock, hours, 1, "day", &[("received", "one"), ("submitted", "two"), ("refused", "bad")], |hour| {
        vec![hour.received, hour.submitted, hour.refused]
    })
}

fn draw(
    clock: Clock,
    hours: &[Hour],
    step: u32,
    name: &'static str,
    parts: &[(&'static str, &'static str)],
    figures: fn(&Hour) -> Vec<u64>,
) -> Chart {
    let Clock { words, .. } = clock;
    let series = parts
        .iter()
        .map(|(part, colour)| Series { name: words.say(&format!("traffic-{part}")).into_owned(), colour });
    let columns: Vec<Column> = hours
        .chunks(step.max(1) as usize)
        .enumerate()
        .map(|(place, hours)| column(clock, place, hours, step, figures))
        .collect();
    let title = words.say(&format!("traffic-{name}")).into_owned();
    let of = words.say(if step >= 24 { "traffic-of-day" } else { "traffic-of-hour" }).into_owned();
    Chart::new(words, name, (title, of), series.collect(), columns)
}

fn column(clock: Clock, place: usize, hours: &[Hour], step: u32, figures: fn(&Hour) -> Vec<u64>) -> Column {
    let at = hours.first().map_or(0, |hour| hour.at);
    let mut values = figures(&Hour::default());
    for hour in hours {
        for (sum, more) in values.iter_mut().zip(figures(hour)) {
            *sum = sum.saturating_add(more);
        }
    }
    // A word below every so many columns: six hours, a day or a week apart.
    let (every, tick): (usize, fn(&Clock, u64) -> String) = match step {
        1 => (6, Clock::time),
        3 => (8, Clock::day),
        6 => (4, Clock::day),
        _ => (7, Clock::day),
    };
    Column {
        label: if step >= 24 { clock.date(at) } else { clock.hour(at) },
        tick: place.is_multiple_of(every).then(|| tick(&clock, at)),
        values,
    }
}

#[cfg(test)]
mod tests {
    use envelope::Language;
    use time::UtcOffset;

    use super::*;
    use crate::words::Words;

    #[test]
    fn hours_are_summed_up_into_columns() {
        let hour = |n: u64| Hour { at: n * 3_600, received: n, ..Hour::default() };
        let hours: Vec<Hour> = (0..6).map(hour).collect();
        let clock = Clock { zone: UtcOffset::UTC, now: 0, words: Words(Language::En) };
        let column = column(clock, 1, &hours[3..], 3, |hour| vec![hour.received, hour.refused]);
        assert_eq!((column.label.as_str(), &column.values[..]), ("01-01 03:00", &[12, 0][..]));
        assert_eq!(column.tick, None);
    }

    #[test]
    fn every_span_is_drawn_with_few_columns() {
        for (hours, step) in SPANS {
            assert!(hours.is_multiple_of(step) && hours / step <= 28, "{hours}");
        }
    }
}
