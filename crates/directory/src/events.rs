//! The record of events: what became of each message, kept for some days.
//!
//! One SQLite file a day of UTC, `events-2026-11-24.sqlite`, so that what is old goes by removing a
//! file. All of it may be lost, none of it holds up mail: whoever appends does so behind the mail's
//! back, a power cut may take the last seconds, and a file that is damaged or gone is said in the log
//! and done without.
//!
//! | file | what it does |
//! |---|---|
//! | `day.rs` | which day, and how its file is called |
//! | `file.rs` | one day's file: making, writing, asking |
//! | `shelf.rs` | all files, opened as a question needs them |
//! | `member.rs` | what a member sees of messages |
//! | `own_mail.rs` | a member's mail, and what became of what he forwards |
//! | `traffic.rs`, `senders.rs` | how much there was, by the hour |
//! | `whom.rs` | the number under which an address, a domain or an account is found |
//!
//! A message's events lie side by side, in the order of queue ids, which is the order of time; so
//! appending only ever writes at the end. Whom they concern is noted once for each message, in runs of
//! some thousands: within a run the order is by number, and only the last run is written to, so a batch
//! touches few pages however large the day is. A question looks into each run of its days, the last
//! first, and may stop early.

mod day;
#[cfg(test)]
mod example;
mod file;
mod member;
mod own_mail;
mod senders;
mod shelf;
mod traffic;
mod whom;

use std::collections::{HashSet, VecDeque};
use std::fs::{self, DirBuilder};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Mutex;

use envelope::QueueId;
use envelope::event::{Event, Party, Summary};
use thiserror::Error;
use time::Date;

use crate::connection::lock;
use file::Writer;
use shelf::Shelf;
use traffic::Sum;

pub use member::Member;
pub use own_mail::{ForwardResults, ForwardTrouble, LOOKS_MAX, OwnMail, OwnMailSearch};
pub use traffic::{TRAFFIC_HOURS_MAX, Traffic, TrafficHour};

/// How many messages of a family [`Events::of_message`] follows.
pub const FAMILY_MAX: usize = 1_000;
/// How many events [`Events::of_message`] gives. Whoever gets so many knows that there may be more.
pub const EVENTS_MAX: usize = 20_000;

/// A day's file cannot be used. Mail is not touched by that.
#[derive(Debug, Error)]
pub enum EventsError {
    /// A file or its folder cannot be made, or put aside.
    #[error("the record of events {} cannot be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite reports an error; a full disk among others.
    #[error("the record of events {} cannot be used: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file of a day is another program's, or a later version's.
    #[error("the record of events {} is not of this version of hikyaku; move it away", .0.display())]
    Foreign(PathBuf),
}

/// The record of events, in a folder of its own. It may be shared by threads.
pub struct Events {
    folder: PathBuf,
    days: u32,
    /// The file that is written to; none before the first event, and after an error.
    writer: Mutex<Option<Writer>>,
    /// The day on which old files were last removed.
    pruned: Mutex<Option<Date>>,
}

impl Events {
    /// The record in a folder, which is made (with mode 0700) for the first event. Files of days that
    /// are more than `days` days ago are removed, now and on each new day. With 0 days nothing is kept.
    pub fn open(folder: &Path, days: u32) -> Events {
        let events =
            Events { folder: folder.into(), days, writer: Mutex::default(), pruned: Mutex::default() };
        events.prune(day::today());
        events
    }

    /// Appends events, in one transaction for each day. Those that are too old to be kept are dropped;
    /// an event that is recorded already is not recorded again, so after an error all may be given once
    /// more.
    ///
    /// # Errors
    /// If the file cannot be written; what it holds stays as it was.
    pub fn append(&self, events: &[Event]) -> Result<(), EventsError> {
        self.append_on(day::today(), events)
    }

    fn append_on(&self, today: Date, events: &[Event]) -> Result<(), EventsError> {
        self.prune(today);
        let first = self.first_kept(today);
        // An event from a clock that is ahead stands under today: nothing is filed in the future.
        let day = |event: &Event| day::of(event.at).min(today);
        let mut writer = lock(&self.writer);
        for events in events.chunk_by(|a, b| day(a) == day(b)) {
            let day = day(&events[0]);
            if day < first {
                continue;
            }
            let mut file = match writer.take().filter(|file| file.day == day) {
                Some(file) => file,
                None => self.open_to_write(day)?,
            };
            file.append(events)?;
            *writer = Some(file);
        }
        Ok(())
    }

    /// The whole life of a message, in the order of time: its own events, and those of all messages
    /// that it was forwarded from or to, or that report on it, of which at most [`FAMILY_MAX`] are
    /// followed. At most [`EVENTS_MAX`] events.
    pub fn of_message(&self, id: QueueId) -> Vec<Event> {
        let mut shelf = self.shelf();
        let mut all: Vec<Event> = Vec::new();
        let (mut known, mut next) = (HashSet::from([id]), VecDeque::from([id]));
        while let Some(id) = next.pop_front() {
            let room = EVENTS_MAX - all.len();
            let events = shelf.events_of(id, room);
            for relative in events.iter().filter_map(|event| event.what.relative()) {
                if known.len() < FAMILY_MAX && known.insert(relative) {
                    next.push_back(relative);
                }
            }
            all.extend(events);
            if all.len() >= EVENTS_MAX {
                break;
            }
        }
        // Of one moment, what led to a message stands before it: it has the earlier name.
        all.sort_by_key(|event| (event.at, event.queue_id));
        all
    }

    /// Messages that came from a party or were to go there, and were accepted, refused or put into its
    /// mailbox at these times, in microseconds since 1970: at most `limit`, the latest first.
    pub fn of_party(&self, party: &Party, times: RangeInclusive<u64>, limit: usize) -> Vec<Summary> {
        let mut shelf = self.shelf();
        let whom = whom::numbers(party);
        let mut found = Vec::new();
        let mut known = HashSet::new();
        let concerns = |event: &Event| times.contains(&event.at) && party.is_in(&event.what);
        let days: Vec<Date> = shelf.days(day::of(*times.start())..=day::of(*times.end())).collect();
        'days: for day in days.into_iter().rev() {
            for run in shelf.runs(day).rev() {
                for id in shelf.mentioned(day, run, &whom) {
                    if found.len() >= limit {
                        break 'days;
                    }
                    if !known.insert(id) {
                        continue;
                    }
                    let (message, refusals): (Vec<Event>, Vec<Event>) =
                        shelf.events_of(id, EVENTS_MAX).into_iter().partition(|e| e.queue_id.is_some());
                    let each = refusals.iter().map(slice::from_ref).chain([&message[..]]);
                    // The number of a party may be that of another too, so its name is looked for.
                    found.extend(each.filter(|events| events.iter().any(concerns)).filter_map(Summary::of));
                }
            }
        }
        found.sort_by_key(|summary| std::cmp::Reverse(summary.at));
        found.truncate(limit);
        found
    }

    /// How much there was in the last `hours` hours, this one included: 1 to [`TRAFFIC_HOURS_MAX`].
    pub fn traffic(&self, hours: u32) -> Traffic {
        let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000;
        self.traffic_until(u64::try_from(now).unwrap_or_default(), hours)
    }

    fn traffic_until(&self, now: u64, hours: u32) -> Traffic {
        let mut shelf = self.shelf();
        let mut sum = Sum::new(hours, now);
        let (from, until) = sum.times();
        let days: Vec<Date> = shelf.days(day::of(from)..=day::of(until)).collect();
        days.into_iter().for_each(|day| shelf.add_to(&mut sum, day));
        sum.into_traffic()
    }

    fn open_to_write(&self, day: Date) -> Result<Writer, EventsError> {
        let made = DirBuilder::new().mode(0o700).create(&self.folder);
        if let Err(source) = made
            && source.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(EventsError::File { path: self.folder.clone(), source });
        }
        Writer::open(day, &self.folder.join(day::file_name(day)))
    }

    fn shelf(&self) -> Shelf {
        let first = self.first_kept(day::today());
        Shelf::new(&self.folder, first)
    }

    fn first_kept(&self, today: Date) -> Date {
        match self.days {
            0 => today.next_day().unwrap_or(Date::MAX),
            days => today.saturating_sub(time::Duration::days(days.into())),
        }
    }

    fn prune(&self, today: Date) {
        let mut pruned = lock(&self.pruned);
        if *pruned == Some(today) {
            return;
        }
        *pruned = Some(today);
        let first = self.first_kept(today);
        // A file that is still open for a late event would live on without a name.
        lock(&self.writer).take_if(|file| file.day < first);
        for (path, day) in day::files_in(&self.folder) {
            if day < first
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "an old record of events is not removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use envelope::event::{Door, ReportKind, What};
    use time::macros::date;

    use super::example::*;
    use super::*;

    #[test]
    fn a_message_is_told_across_the_days_on_which_something_became_of_it() {
        let example = example();
        let (first, last) = (noon(3), noon(0));
        let life = [
            accepted(first, Door::Mx, "u@peer.example", "abc@pobox.example"),
            delivered(last, id(first), "abc@pobox.example", "abc"),
        ];
        example.append(&life[1..]);
        example.append(&life[..1]);
        example.append(&[accepted(last, Door::Mx, "u@peer.example", "xyz@pobox.example")]);
        assert_eq!(example.files().len(), 2);
        assert_eq!(example.events.of_message(id(first)), life);
        assert_eq!(example.events.of_message(QueueId::from_u64(u64::MAX)), []);
    }

    #[test]
    fn a_family_is_found_from_each_of_its_members() {
        let example = example();
        let (outer, inner, report) = (noon(1), noon(1) + SECOND, noon(0));
        let life = [
            accepted(outer, Door::Mx, "u@peer.example", "abc@pobox.example"),
            event(
                inner,
                id(outer),
                What::Forwarded {
                    recipient: address("abc@pobox.example"),
                    id: id(inner),
                    to: vec![address("a@there.example")],
                },
            ),
            accepted(inner, Door::Forward { of: id(outer) }, "u@peer.example", "a@there.example"),
            event(
                report,
                id(inner),
                What::Reported { id: id(report), to: address("u@peer.example"), kind: ReportKind::Failure },
            ),
            accepted(report, Door::Report { of: id(inner) }, "u@peer.example", "u@peer.example"),
        ];
        example.append(&life);
        example.append(&[accepted(report + 9, Door::Notice, "x@pobox.example", "y@pobox.example")]);
        for member in [outer, inner, report] {
            assert_eq!(example.events.of_message(id(member)), life);
        }
    }

    #[test]
    fn messages_are_found_by_address_domain_and_account() {
        let example = example();
        let (sent, got, other) = (noon(0), noon(0) + SECOND, noon(0) + 2 * SECOND);
        example.append(&[
            accepted(sent, Door::Submission, "abc@pobox.example", "U@Peer.example"),
            accepted(got, Door::Mx, "u@peer.example", "list@pobox.example"),
            delivered(got, id(got), "list@pobox.example", "abc"),
            accepted(other, Door::Mx, "u@elsewhere.example", "xyz@pobox.example"),
            refused(other, "nobody@pobox.example"),
        ]);
        let [sent, got, other] = [sent, got, other].map(|at| Some(id(at)));
        assert_eq!(example.ids("u@peer.example"), [got, sent]);
        assert_eq!(example.ids("peer.example"), [got, sent]);
        assert_eq!(example.ids("abc"), [got, sent]);
        assert_eq!(example.ids("xyz@pobox.example"), [other]);
        assert_eq!(example.ids("nobody@pobox.example"), [None]);
        assert_eq!(example.ids("pobox.example").len(), 4);
        assert_eq!(example.ids("nobody@peer.example"), []);
    }

    #[test]
    fn only_what_was_in_the_time_asked_for_is_found_and_the_latest_before_the_rest() {
        let example = example();
        let at = |n: u64| noon(0) + n * SECOND;
        let all: Vec<Event> =
            (0..50).map(|n| accepted(at(n), Door::Mx, "u@peer.example", "abc@pobox.example")).collect();
        example.append(&all);
        let found = example.events.of_party(&party("abc@pobox.example"), at(10)..=at(19), 3);
        let times: Vec<u64> = found.iter().map(|summary| summary.at).collect();
        assert_eq!(times, [at(19), at(18), at(17)]);
        assert_eq!(example.events.of_party(&party("pobox.example"), at(50)..=u64::MAX, 3), []);
    }

    #[test]
    fn an_event_that_is_given_again_is_kept_once() {
        let example = example();
        let life = [
            accepted(noon(0), Door::Mx, "u@peer.example", "abc@pobox.example"),
            delivered(noon(0) + SECOND, id(noon(0)), "abc@pobox.example", "abc"),
        ];
        example.append(&life);
        example.append(&life);
        assert_eq!(example.events.of_message(id(noon(0))), life);
    }

    #[test]
    fn more_than_a_run_is_found_again_also_after_a_restart() {
        let example = example();
        let count = u64::from(file::RUN) + 10;
        let at = |n: u64| noon(0) + n;
        let all: Vec<Event> = (0..count)
            .map(|n| accepted(at(n), Door::Mx, "u@peer.example", &format!("u{n}@pobox.example")))
            .collect();
        example.append(&all[..100]);
        let events = Events::open(&example.folder.path().join("events"), 30);
        let example = Example { events, ..example };
        example.append(&all[100..]);
        for n in [0, 99, 100, count - 1] {
            assert_eq!(example.ids(&format!("u{n}@pobox.example")), [Some(id(at(n)))]);
        }
        assert_eq!(example.ids("pobox.example")[0], Some(id(at(count - 1))));
    }

    #[test]
    fn what_is_old_goes_and_what_is_not_ours_stays() {
        let example = example();
        let today = date!(2026 - 11 - 24);
        let at = |days: u64| 1_795_000_000_u64.saturating_sub(days * 86_400) * SECOND;
        for days in [0, 30, 31, 400] {
            let event = accepted(at(days), Door::Mx, "u@peer.example", "abc@pobox.example");
            example.events.append_on(today, &[event]).unwrap();
        }
        assert_eq!(day::of(at(0)), date!(2026 - 11 - 18));
        let named = |day: &str| format!("events-{day}.sqlite");
        assert_eq!(example.files(), [named("2026-11-18")]);
        let other = example.folder.path().join("events/notes.sqlite");
        fs::write(&other, "").unwrap();
        example.events.append_on(date!(2026 - 12 - 18), &[]).unwrap();
        assert_eq!(example.files(), [named("2026-11-18"), "notes.sqlite".into()]);
        example.events.append_on(date!(2026 - 12 - 19), &[]).unwrap();
        assert_eq!(example.files(), ["notes.sqlite"]);
        let left = fs::read_dir(example.folder.path().join("events")).unwrap().count();
        assert_eq!(left, 1, "a journal was left behind");
    }

    #[test]
    fn a_record_of_no_days_keeps_nothing_and_clears_what_there_is() {
        let example = example();
        let event = accepted(noon(0), Door::Mx, "u@peer.example", "abc@pobox.example");
        example.append(slice::from_ref(&event));
        assert_eq!(example.files().len(), 1);
        let events = Events::open(&example.folder.path().join("events"), 0);
        let example = Example { events, ..example };
        assert!(example.files().is_empty());
        example.events.append(&[event]).unwrap();
        assert!(example.files().is_empty());
        assert_eq!(example.ids("abc@pobox.example"), []);
    }

    #[test]
    fn a_clock_that_is_ahead_files_nothing_in_the_future() {
        let example = example();
        let ahead = accepted(u64::MAX >> 12, Door::Mx, "u@peer.example", "abc@pobox.example");
        example.events.append(&[ahead]).unwrap();
        assert_eq!(example.files(), [day::file_name(day::today())]);
    }

    #[test]
    fn a_damaged_day_is_done_without_and_is_begun_anew_for_writing() {
        let example = example();
        let whole = accepted(noon(1), Door::Mx, "u@peer.example", "abc@pobox.example");
        example.append(&[whole]);
        let path = example.folder.path().join("events").join(day::file_name(day::of(noon(0))));
        fs::write(&path, "x".repeat(9000)).unwrap();
        assert_eq!(example.ids("abc@pobox.example"), [Some(id(noon(1)))]);
        example.append(&[accepted(noon(0), Door::Mx, "u@peer.example", "abc@pobox.example")]);
        assert_eq!(example.ids("abc@pobox.example"), [Some(id(noon(0))), Some(id(noon(1)))]);
        assert_eq!(fs::read(path.with_extension("sqlite.damaged")).unwrap().len(), 9000);
    }

    #[test]
    fn an_event_that_cannot_be_read_is_left_out_alone() {
        let example = example();
        let event = accepted(noon(0), Door::Mx, "u@peer.example", "abc@pobox.example");
        example.append(slice::from_ref(&event));
        let path = example.folder.path().join("events").join(day::file_name(day::of(noon(0))));
        let number = id(noon(0)).as_u64().cast_signed();
        let put = rusqlite::Connection::open(&path)
            .unwrap()
            .execute("INSERT INTO events VALUES (?1, x'00ff')", [number]);
        assert_eq!(put, Ok(1));
        assert_eq!(example.events.of_message(id(noon(0))), [event]);
        assert_eq!(example.ids("abc@pobox.example").len(), 1);
    }

    #[test]
    fn a_file_that_is_being_made_is_empty_and_no_trouble() {
        let example = example();
        example.append(&[accepted(noon(1), Door::Mx, "u@peer.example", "abc@pobox.example")]);
        let path = example.folder.path().join("events").join(day::file_name(day::of(noon(0))));
        fs::write(&path, "").unwrap();
        assert_eq!(example.ids("abc@pobox.example"), [Some(id(noon(1)))]);
        assert_eq!(example.events.traffic(1).hours.len(), 1);
        example.append(&[accepted(noon(0), Door::Mx, "u@peer.example", "abc@pobox.example")]);
        assert_eq!(example.ids("abc@pobox.example").len(), 2);
    }

    #[test]
    fn a_file_of_another_program_is_left_alone() {
        let example = example();
        example.append(&[accepted(noon(1), Door::Mx, "u@peer.example", "abc@pobox.example")]);
        let path = example.folder.path().join("events").join(day::file_name(day::of(noon(0))));
        rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let before = fs::read(&path).unwrap();
        let event = accepted(noon(0), Door::Mx, "u@peer.example", "abc@pobox.example");
        let refused = example.events.append_on(day::of(noon(0)), &[event]);
        assert!(matches!(refused, Err(EventsError::Foreign(_))));
        assert_eq!(example.ids("abc@pobox.example"), [Some(id(noon(1)))]);
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn nothing_is_made_before_the_first_event_and_then_it_is_its_owners_only() {
        let example = example();
        let folder = example.folder.path().join("events");
        assert_eq!(example.ids("abc"), []);
        example.append(&[]);
        assert!(!folder.exists());
        example.append(&[accepted(noon(0), Door::Mx, "u@peer.example", "abc@pobox.example")]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(&example.files()[0])), 0o600);
    }
}
