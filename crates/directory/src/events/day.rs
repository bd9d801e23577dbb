//! Which day, and how its file is called.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// Followed by SQLite's `-wal` and `-shm`, or by `.damaged`.
const NAME: &[BorrowedFormatItem<'_>] = format_description!("events-[year]-[month]-[day].sqlite");
const NAME_LENGTH: usize = "events-2026-11-24.sqlite".len();

/// Today in UTC.
pub(super) fn today() -> Date {
    OffsetDateTime::now_utc().date()
}

/// The day in UTC of a time in microseconds since 1970; the last there is if it is beyond all calendars.
pub(super) fn of(micros: u64) -> Date {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
        .map_or(Date::MAX, OffsetDateTime::date)
}

/// The name of a day's file.
pub(super) fn file_name(day: Date) -> String {
    // Only a component that a date does not have could fail.
    day.format(NAME).unwrap_or_default()
}

/// Every file in the folder that is a day's, with the day: journals and damaged ones too. None if there
/// is no folder.
pub(super) fn files_in(folder: &Path) -> Vec<(PathBuf, Date)> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .filter_map(Result::ok)
            .filter_map(|entry| Some((entry.path(), of_file(entry.file_name().to_str()?)?)))
            .collect(),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %folder.display(), %error, "the record of events cannot be read");
            }
            Vec::new()
        }
    }
}

fn of_file(name: &str) -> Option<Date> {
    Date::parse(name.get(..NAME_LENGTH)?, NAME).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn a_day_is_known_by_the_name_of_its_file() {
        let day = date!(2026 - 11 - 24);
        assert_eq!(file_name(day), "events-2026-11-24.sqlite");
        assert_eq!(of_file("events-2026-11-24.sqlite"), Some(day));
        assert_eq!(of_file("events-2026-11-24.sqlite-wal"), Some(day));
        for wrong in ["events-2026-13-24.sqlite", "events.sqlite", "notes-2026-11-24.sqlite", ""] {
            assert_eq!(of_file(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(of(0), date!(1970 - 01 - 01));
        assert_eq!(of(86_400_000_000 - 1), date!(1970 - 01 - 01));
        assert_eq!(of(86_400_000_000), date!(1970 - 01 - 02));
        assert_eq!(of(u64::MAX), Date::MAX);
    }
}
