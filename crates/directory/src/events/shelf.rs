//! All files, opened as a question needs them. One that cannot be read is said once and done without.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use envelope::QueueId;
use envelope::event::Event;
use time::Date;

use super::day;
use super::file::Reader;
use super::traffic::Sum;

pub(super) struct Shelf {
    files: BTreeMap<Date, File>,
}

enum File {
    Closed(PathBuf),
    Open(PathBuf, Reader),
    Unreadable,
}

impl Shelf {
    /// The files in a folder, from the day `first` on.
    pub(super) fn new(folder: &Path, first: Date) -> Shelf {
        let own_name = |(path, day): &(PathBuf, Date)| {
            *day >= first && path.file_name().is_some_and(|name| *name == *day::file_name(*day))
        };
        let files = day::files_in(folder).into_iter().filter(own_name);
        Shelf { files: files.map(|(path, day)| (day, File::Closed(path))).collect() }
    }

    /// The days of these that there are files of.
    pub(super) fn days(&self, days: RangeInclusive<Date>) -> impl Iterator<Item = Date> {
        self.files.keys().copied().filter(move |day| days.contains(day))
    }

    /// All events of a message, or refusals of one moment, in the order of time, at most `limit`.
    pub(super) fn events_of(&mut self, id: QueueId, limit: usize) -> Vec<Event> {
        // The clock may have been set back a little since it was named.
        let born = day::of(id.unix_seconds().saturating_mul(1_000_000));
        let first = born.previous_day().unwrap_or(born);
        let mut all = Vec::new();
        for (_, file) in self.files.range_mut(first..) {
            let room = limit - all.len();
            all.extend(file.ask(|reader| reader.events_of(id, room)).unwrap_or_default());
        }
        all.sort_by_key(|event| event.at);
        all
    }

    /// The runs of a day.
    pub(super) fn runs(&mut self, day: Date) -> Range<i64> {
        0..self.ask(day, Reader::runs).unwrap_or(0)
    }

    /// The messages in a run that concern these numbers, the latest first.
    pub(super) fn mentioned(&mut self, day: Date, run: i64, whom: &RangeInclusive<i64>) -> Vec<QueueId> {
        self.ask(day, |reader| reader.mentioned(run, whom)).unwrap_or_default()
    }

    /// Adds what was counted on a day.
    pub(super) fn add_to(&mut self, sum: &mut Sum, day: Date) {
        let _ = self.ask(day, |reader| reader.add_to(sum, day));
    }

    fn ask<T>(&mut self, day: Date, question: impl FnOnce(&Reader) -> rusqlite::Result<T>) -> Option<T> {
        self.files.get_mut(&day)?.ask(question)
    }
}

impl File {
    fn ask<T>(&mut self, question: impl FnOnce(&Reader) -> rusqlite::Result<T>) -> Option<T> {
        if let File::Closed(path) = self {
            *self = match Reader::open(path) {
                Ok(Some(reader)) => File::Open(std::mem::take(path), reader),
                // It is being made just now.
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a day's record of events is left out");
                    File::Unreadable
                }
            };
        }
        let File::Open(path, reader) = self else {
            return None;
        };
        match question(reader) {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a day's record of events is left out");
                *self = File::Unreadable;
                None
            }
        }
    }
}
