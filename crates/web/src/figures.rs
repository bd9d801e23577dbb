//! Numbers and times as operators read them: to the second, as logs have them.

use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::words::Words;

/// A number for people.
pub(crate) trait Figures {
    /// In groups of three digits: `1,234,567`.
    fn grouped(self) -> String;
}

impl Figures for u64 {
    fn grouped(self) -> String {
        let digits = self.to_string();
        let mut grouped = String::with_capacity(digits.len() * 4 / 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    }
}

/// By which times are shown: the site's zone, and now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// The zone.
    pub(crate) zone: UtcOffset,
    /// In seconds since 1970.
    pub(crate) now: u64,
    /// For spans in words.
    pub(crate) words: Words,
}

impl Clock {
    /// The clock on the wall of this zone.
    pub(crate) fn at(zone: UtcOffset, words: Words) -> Clock {
        Clock { zone, now: OffsetDateTime::now_utc().unix_timestamp().unsigned_abs(), words }
    }

    /// A time in seconds since 1970: `2026-11-24 21:30:05`.
    pub(crate) fn moment(&self, seconds: &u64) -> String {
        self.shown(*seconds, |local| {
            local.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"))
        })
    }

    /// The day and the hour: `11-24 21:00`.
    pub(crate) fn hour(&self, seconds: u64) -> String {
        self.shown(seconds, |local| local.format(format_description!("[month]-[day] [hour]:[minute]")))
    }

    /// The hour alone: `21:00`.
    pub(crate) fn time(&self, seconds: u64) -> String {
        self.shown(seconds, |local| local.format(format_description!("[hour]:[minute]")))
    }

    /// The day: `11-24`.
    pub(crate) fn day(&self, seconds: u64) -> String {
        self.shown(seconds, |local| local.format(format_description!("[month]-[day]")))
    }

    /// The day with its year: `2026-11-24`.
    pub(crate) fn date(&self, seconds: u64) -> String {
        self.shown(seconds, |local| local.format(format_description!("[year]-[month]-[day]")))
    }

    /// How long ago that was, in words: in its largest unit.
    pub(crate) fn ago(&self, seconds: &u64) -> String {
        self.span(self.now.saturating_sub(*seconds))
    }

    /// A span in seconds, in words: in its largest unit.
    pub(crate) fn span(&self, seconds: u64) -> String {
        let (unit, count) = match seconds {
            0..120 => ("seconds", seconds),
            120..7_200 => ("minutes", seconds / 60),
            7_200..172_800 => ("hours", seconds / 3_600),
            _ => ("days", seconds / 86_400),
        };
        self.words.with(&format!("span-{unit}"), "count", count).into_owned()
    }

    fn shown(
        &self,
        seconds: u64,
        format: impl Fn(OffsetDateTime) -> Result<String, time::error::Format>,
    ) -> String {
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|moment| format(moment.checked_to_offset(self.zone)?).ok())
            .unwrap_or_else(|| seconds.to_string())
    }
}

#[cfg(test)]
mod tests {
    use envelope::Language;
    use time::macros::offset;

    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (u64::MAX, "18,446,744,073,709,551,615")]
        {
            assert_eq!(number.grouped(), text);
        }
    }

    #[test]
    fn times_are_those_of_the_site() {
        let clock = Clock { zone: offset!(+9), now: 1_795_523_405 + 7_300, words: Words(Language::En) };
        assert_eq!(clock.moment(&1_795_523_405), "2026-11-24 21:30:05");
        assert_eq!(clock.hour(1_795_523_405), "11-24 21:30");
        assert_eq!(clock.moment(&u64::MAX), u64::MAX.to_string());
        assert_eq!(clock.ago(&1_795_523_405), "2 hours");
        assert_eq!(Clock { words: Words(Language::Ja), ..clock }.span(90_000), "25 時間");
    }
}
