//! How much there was, by the hour: counted while events are recorded, and added up when somebody asks.
//!
//! Counts of a batch are gathered in memory and written as a few rows; to record an event costs no more pages for
//! them than for its neighbour.

use std::collections::{HashMap, HashSet};

use envelope::AccountName;
use envelope::event::{Delivery, Door, Event, What};
use rusqlite::{Connection, Transaction};
use time::Date;

use super::senders::{self, InHour, Sent};

/// The most hours that are told of at once.
pub const TRAFFIC_HOURS_MAX: u32 = 24 * 31;
/// How many senders and refusals are told, the most frequent first.
const FIRST: usize = 20;
/// How many different replies of a day are told apart.
const REPLIES_MAX: usize = 200;
/// The end of each span of [`TrafficHour::took`] but the last, in microseconds.
const SPANS: [u64; 6] = [1_000_000, 10_000_000, 60_000_000, 600_000_000, 3_600_000_000, 86_400_000_000];
const HOUR: u64 = 3_600_000_000;

/// What is counted, by its number in the file.
const RECEIVED: u8 = 0;
const SUBMITTED: u8 = 1;
const REFUSED: u8 = 2;
const DELIVERED: u8 = 3;
const FAILED: u8 = 4;
const DEFERRED: u8 = 5;
/// And the six after it: how long it took, by spans.
const TOOK: u8 = 10;
/// One more than the last number.
const KINDS: usize = TOOK as usize + SPANS.len() + 1;

/// One hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficHour {
    /// When it began, in seconds since 1970.
    pub at: u64,
    /// Messages from other hosts.
    pub received: u64,
    /// Messages from customers.
    pub submitted: u64,
    /// Refusals in SMTP.
    pub refused: u64,
    /// Recipients whose copy arrived, here or elsewhere.
    pub delivered: u64,
    /// Recipients that failed for good.
    pub failed: u64,
    /// Attempts that were put off.
    pub deferred: u64,
    /// Recipients by how long it took from acceptance to arrival: within 1 s, 10 s, 1 min, 10 min, 1 h, 1 day, longer.
    pub took: [u64; 7],
}

/// Some hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Each hour, the oldest first, without gaps.
    pub hours: Vec<TrafficHour>,
    /// Who sent most: account, messages, recipients.
    pub senders: Vec<(AccountName, u64, u64)>,
    /// With what words SMTP refused, and how often: the most frequent first.
    pub refusals: Vec<(String, u64)>,
}

/// Counts of a batch on their way into a day's file.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    /// By the hour, and by what is counted.
    counts: [[u32; KINDS]; 24],
    senders: Vec<InHour<'a>>,
    refusals: HashMap<(u8, String), u32>,
}

impl<'a> Gathered<'a> {
    /// Counts an event that is recorded for the first time, in the file of `day`.
    pub(super) fn count(&mut self, day: Date, event: &'a Event) {
        let hour = hour_of(day, event.at);
        let mut one = |kind: u8| self.counts[usize::from(hour)][usize::from(kind)] += 1;
        match &event.what {
            What::Accepted(accepted) => match accepted.door {
                Door::Mx => one(RECEIVED),
                Door::Submission | Door::Sendmail => {
                    one(SUBMITTED);
                    if let Some(account) = &accepted.account {
                        self.senders.push((hour, account.as_str(), (1, accepted.recipients.len() as u64)));
                    }
                }
                // What we make of one that was counted.
                Door::Forward { .. } | Door::Report { .. } | Door::AutoReply { .. } | Door::Notice => {}
            },
            What::Refused(refused) => {
                one(REFUSED);
                *self.refusals.entry((hour, format!("{} {}", refused.code, refused.text))).or_default() += 1;
            }
            What::Delivered { to: Delivery::Discarded, .. } => {}
            What::Delivered { .. } => {
                one(DELIVERED);
                if let Some(id) = event.queue_id {
                    let took = event.at.saturating_sub(id.unix_micros());
                    let span = SPANS.iter().take_while(|end| took > **end).count() as u8;
                    one(TOOK + span);
                }
            }
            What::Failed { .. } => one(FAILED),
            What::Deferred { .. } => one(DEFERRED),
            What::Held { .. }
            | What::Released { .. }
            | What::Forwarded { .. }
            | What::AutoReplied { .. }
            | What::Bounced { .. }
            | What::Removed { .. }
            | What::Reported { .. } => {}
        }
    }

    /// Adds the counts to those of the file.
    pub(super) fn write(self, change: &Transaction<'_>, known: &mut Known) -> rusqlite::Result<()> {
        let mut add = change.prepare_cached(
            "INSERT INTO traffic VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        )?;
        for (hour, counts) in (0_u8..).zip(&self.counts) {
            for (kind, count) in (0_u8..).zip(counts).filter(|(_, count)| **count > 0) {
                add.execute((hour, kind, count))?;
            }
        }
        if let Some(hour) = self.senders.iter().map(|(hour, ..)| *hour).max()
            && hour > known.hour
        {
            senders::put_together(change, hour)?;
            known.hour = hour;
        }
        senders::add(change, self.senders)?;
        let mut add = change.prepare_cached(
            "INSERT INTO refusals VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        )?;
        for ((hour, reply), count) in self.refusals {
            if known.replies.len() < REPLIES_MAX && !known.replies.contains(&reply) {
                known.replies.insert(reply.clone());
            }
            add.execute((hour, if known.replies.contains(&reply) { reply.as_str() } else { "" }, count))?;
        }
        Ok(())
    }
}

/// What is known of a file's counts while it is written to. Of a batch that is not written in the end, nothing here
/// does harm.
pub(super) struct Known {
    /// The replies that it tells apart.
    replies: HashSet<String>,
    /// The last hour of which it has senders.
    hour: u8,
}

impl Known {
    /// Looks.
    pub(super) fn of(file: &Connection) -> rusqlite::Result<Known> {
        let mut replies = file.prepare("SELECT DISTINCT reply FROM refusals WHERE reply <> ''")?;
        let replies = replies.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let hour = file.query_row("SELECT coalesce(max(hour), 0) FROM senders", [], |row| row.get(0))?;
        Ok(Known { replies, hour })
    }
}

/// Hours that are being added up.
pub(super) struct Sum {
    /// The first hour, in hours since 1970.
    first: u64,
    hours: Vec<TrafficHour>,
    senders: HashMap<String, Sent>,
    refusals: HashMap<String, u64>,
}

impl Sum {
    /// The last `count` hours, the last of which `now` is in, in microseconds since 1970.
    pub(super) fn new(count: u32, now: u64) -> Sum {
        let count = u64::from(count.clamp(1, TRAFFIC_HOURS_MAX));
        let first = (now / HOUR + 1).saturating_sub(count);
        let hours =
            (first..first + count).map(|hour| TrafficHour { at: hour * 3600, ..TrafficHour::default() });
        Sum { first, hours: hours.collect(), senders: HashMap::new(), refusals: HashMap::new() }
    }

    /// The hours, in microseconds since 1970: the first moment and the last.
    pub(super) fn times(&self) -> (u64, u64) {
        let end = (self.first + self.hours.len() as u64) * HOUR;
        (self.first * HOUR, end - 1)
    }

    /// Adds what a day's file has of these hours.
    pub(super) fn add(&mut self, day: Date, file: &Connection) -> rusqlite::Result<()> {
        let midnight = midnight(day) / HOUR;
        let of_day =
            |hour: u64| i64::try_from(hour).unwrap_or(i64::MAX) - i64::try_from(midnight).unwrap_or_default();
        let (from, to) = (of_day(self.first), of_day(self.first + self.hours.len() as u64) - 1);
        let mut counts =
            file.prepare_cached("SELECT hour, kind, count FROM traffic WHERE hour BETWEEN ?1 AND ?2")?;
        let mut rows = counts.query((from, to))?;
        while let Some(row) = rows.next()? {
            let (hour, kind, count): (i64, u8, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let place = usize::try_from(hour - from).ok().and_then(|place| self.hours.get_mut(place));
            if let Some(count_of) = place.and_then(|hour| count_of(hour, kind)) {
                *count_of += count.max(0).unsigned_abs();
            }
        }
        senders::add_up(file, from..=to, &mut self.senders)?;
        let mut refusals = file.prepare_cached(
            "SELECT reply, sum(count) FROM refusals WHERE reply <> '' AND hour BETWEEN ?1 AND ?2 GROUP BY reply",
        )?;
        let mut rows = refusals.query((from, to))?;
        while let Some(row) = rows.next()? {
            *self.refusals.entry(row.get(0)?).or_default() += row.get::<_, i64>(1)?.max(0).unsigned_abs();
        }
        Ok(())
    }

    /// All together.
    pub(super) fn into_traffic(self) -> Traffic {
        let mut refusals: Vec<(String, u64)> = self.refusals.into_iter().collect();
        refusals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        refusals.truncate(FIRST);
        Traffic { hours: self.hours, senders: senders::first(self.senders, FIRST), refusals }
    }
}

fn count_of(hour: &mut TrafficHour, kind: u8) -> Option<&mut u64> {
    Some(match kind {
        RECEIVED => &mut hour.received,
        SUBMITTED => &mut hour.submitted,
        REFUSED => &mut hour.refused,
        DELIVERED => &mut hour.delivered,
        FAILED => &mut hour.failed,
        DEFERRED => &mut hour.deferred,
        took => hour.took.get_mut(usize::from(took.checked_sub(TOOK)?))?,
    })
}

/// The hour of a day in which a time is. What a clock that is ahead calls a later day, is its last.
fn hour_of(day: Date, at: u64) -> u8 {
    u8::try_from(at.saturating_sub(midnight(day)) / HOUR).map_or(23, |hour| hour.min(23))
}

/// When a day begins, in microseconds since 1970.
fn midnight(day: Date) -> u64 {
    u64::try_from(day.midnight().assume_utc().unix_timestamp()).unwrap_or_default().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use envelope::event::Delivery;

    use super::super::example::*;
    use super::super::{Events, day};
    use super::*;

    /// The hour of noon today and the one before it, as they were counted.
    fn last_two(events: &Events) -> Traffic {
        events.traffic_until(noon(0) + 1_800 * SECOND, 2)
    }

    fn deferred(at: u64) -> Event {
        let what = What::Deferred {
            recipient: address("u@peer.example"),
            peer: None,
            reply: "busy".into(),
            until: at,
        };
        event(at, id(at), what)
    }

    #[test]
    fn events_are_counted_by_the_hour_and_those_given_again_are_not() {
        let example = example();
        let (before, noon) = (noon(0) - 50 * SECOND, noon(0));
        let events = [
            accepted(before, Door::Mx, "u@peer.example", "abc@pobox.example"),
            delivered(before + SECOND / 2, id(before), "abc@pobox.example", "abc"),
            accepted(noon, Door::Submission, "abc@pobox.example", "u@peer.example"),
            deferred(noon + 1),
            accepted(noon + 2, Door::Forward { of: id(before) }, "u@peer.example", "u@other.example"),
            delivered(noon + 3, id(before), "xyz@pobox.example", "xyz"),
            refused(noon + 4, "nobody@pobox.example"),
            refused(noon + 5, "nothing@pobox.example"),
        ];
        example.append(&events[..6]);
        example.append(&events);
        example.append(&events[3..]);
        let traffic = last_two(&example.events);
        let [first, second] = &traffic.hours[..] else { panic!() };
        assert_eq!((first.at, second.at), (noon / SECOND - 3600, noon / SECOND));
        assert_eq!((first.received, first.submitted, first.delivered), (1, 0, 1));
        assert_eq!(first.took, [1, 0, 0, 0, 0, 0, 0]);
        assert_eq!((second.received, second.submitted, second.refused), (0, 1, 2));
        assert_eq!((second.deferred, second.delivered, second.failed), (1, 1, 0));
        assert_eq!(second.took, [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(traffic.senders, [("abc".parse().unwrap(), 1, 1)]);
        assert_eq!(traffic.refusals, [("550 sorry, no mailbox here by that name (#5.1.1)".into(), 2)]);
    }

    #[test]
    fn days_are_added_up_without_gaps() {
        let example = example();
        for days_ago in [2, 0] {
            example.append(&[accepted(noon(days_ago), Door::Mx, "u@peer.example", "abc@pobox.example")]);
        }
        let traffic = example.events.traffic_until(noon(0), 49);
        assert_eq!(traffic.hours.len(), 49);
        assert!(traffic.hours.windows(2).all(|pair| pair[0].at + 3600 == pair[1].at));
        let received: Vec<usize> = (0..49).filter(|place| traffic.hours[*place].received > 0).collect();
        assert_eq!(received, [0, 48]);
        assert_eq!(
            example.events.traffic_until(noon(0), 48).hours.iter().map(|it| it.received).sum::<u64>(),
            1
        );
        assert_eq!(example.events.traffic(0).hours.len(), 1);
        assert_eq!(example.events.traffic(u32::MAX).hours.len(), TRAFFIC_HOURS_MAX as usize);
    }

    #[test]
    fn arrival_is_counted_by_how_long_it_took() {
        let day = day::of(noon(0));
        let took = |micros: u64| {
            let mut counts = Gathered::default();
            let born = noon(0);
            let event = delivered(born + micros, id(born), "abc@pobox.example", "abc");
            counts.count(day, &event);
            counts.counts[usize::from(hour_of(day, event.at))][usize::from(TOOK)..]
                .iter()
                .position(|count| *count == 1)
                .unwrap()
        };
        for (micros, span) in [
            (0, 0),
            (1_000_000, 0),
            (1_000_001, 1),
            (59_000_000, 2),
            (600_000_000, 3),
            (3_599_000_000, 4),
            (86_400_000_000, 5),
            (86_400_000_001, 6),
        ] {
            assert_eq!(took(micros), span, "{micros}");
        }
    }

    #[test]
    fn what_is_thrown_away_has_not_arrived() {
        let example = example();
        let what =
            What::Delivered { recipient: address("abc@pobox.example"), to: Delivery::Discarded, took_ms: 1 };
        example.append(&[event(noon(0), id(noon(0)), what)]);
        assert_eq!(
            last_two(&example.events).hours[1],
            TrafficHour { at: noon(0) / SECOND, ..TrafficHour::default() }
        );
    }

    #[test]
    fn replies_that_differ_each_time_fill_no_file() {
        let example = example();
        let odd = |number: u64| {
            let mut event = refused(noon(0) + number, "nobody@pobox.example");
            if let What::Refused(refused) = &mut event.what {
                refused.text = format!("no {number}").as_str().into();
            }
            event
        };
        let many: Vec<Event> = (0..REPLIES_MAX as u64 + 50).map(odd).collect();
        example.append(&many[..10]);
        // Also after a restart.
        let events = Events::open(&example.folder.path().join("events"), 30);
        let example = Example { events, ..example };
        example.append(&many[10..]);
        let path = example.folder.path().join("events").join(day::file_name(day::of(noon(0))));
        let file = Connection::open(path).unwrap();
        assert_eq!(Known::of(&file).unwrap().replies.len(), REPLIES_MAX);
        let traffic = last_two(&example.events);
        assert_eq!(traffic.hours[1].refused, REPLIES_MAX as u64 + 50);
        assert_eq!(traffic.refusals.len(), 20);
        assert!(traffic.refusals.iter().all(|(reply, count)| !reply.is_empty() && *count == 1));
    }

    #[test]
    fn a_file_without_counts_is_read_and_gets_them_for_what_follows() {
        let example = example();
        let (old, new) = (noon(0), noon(0) + SECOND);
        example.append(&[accepted(old, Door::Mx, "u@peer.example", "abc@pobox.example")]);
        let path = example.folder.path().join("events").join(day::file_name(day::of(old)));
        Connection::open(&path)
            .unwrap()
            .execute_batch(
                "DROP TABLE traffic; DROP TABLE senders; DROP TABLE refusals; PRAGMA user_version = 1",
            )
            .unwrap();
        let events = Events::open(&example.folder.path().join("events"), 30);
        let example = Example { events, ..example };
        assert_eq!(example.ids("abc@pobox.example"), [Some(id(old))]);
        assert_eq!(last_two(&example.events).hours[1].received, 0);
        example.append(&[accepted(new, Door::Mx, "u@peer.example", "abc@pobox.example")]);
        assert_eq!(example.ids("abc@pobox.example"), [Some(id(new)), Some(id(old))]);
        assert_eq!(last_two(&example.events).hours[1].received, 1);
    }

    #[test]
    fn a_clock_that_is_ahead_counts_in_the_last_hour_of_the_day() {
        let day = day::of(noon(0));
        assert_eq!(hour_of(day, noon(0)), 12);
        assert_eq!(hour_of(day, u64::MAX), 23);
        assert_eq!(hour_of(day, 0), 0);
    }
}
