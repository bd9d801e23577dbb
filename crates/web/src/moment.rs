//! Times as a clock on the site's wall shows them, in words of the visitor's language.

use fluent_bundle::FluentArgs;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::words::Words;

/// A moment on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// For programs: the attribute `datetime` (RFC 3339).
    pub(crate) iso: String,
    /// Its day: `11月24日（火）`, `Tue 24 Nov`.
    pub(crate) day: String,
    /// The time of day: `21:30`.
    pub(crate) clock: String,
}

impl Moment {
    /// Of a time in microseconds since 1970. One beyond all calendars is shown as its number.
    pub(crate) fn of_micros(micros: u64, zone: UtcOffset, words: Words) -> Moment {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok();
        let Some(moment) = moment.and_then(|moment| moment.checked_to_offset(zone)) else {
            return Moment { iso: micros.to_string(), day: micros.to_string(), clock: String::new() };
        };
        let mut args = FluentArgs::new();
        args.set("month", u8::from(moment.month()));
        args.set("day", moment.day());
        args.set("weekday", moment.weekday().number_from_monday());
        let iso = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory]:[offset_minute]"
        );
        let clock = format_description!("[hour]:[minute]");
        Moment {
            iso: moment.format(iso).unwrap_or_default(),
            day: words.fill("moment-day", &args).into_owned(),
            clock: moment.format(clock).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use envelope::Language;
    use time::macros::offset;

    use super::*;

    #[test]
    fn a_moment_is_told_in_the_sites_zone_and_the_visitors_language() {
        let told = |language| Moment::of_micros(1_795_523_405_000_000, offset!(+9), Words(language));
        let (ja, en) = (told(Language::Ja), told(Language::En));
        assert_eq!((ja.day.as_str(), ja.clock.as_str()), ("11月24日（火）", "21:30"));
        assert_eq!((en.day.as_str(), en.iso.as_str()), ("Tue 24 Nov", "2026-11-24T21:30:05+09:00"));
    }

    #[test]
    fn a_moment_beyond_all_calendars_is_a_number() {
        let moment = Moment::of_micros(u64::MAX, offset!(-3), Words(Language::En));
        assert_eq!(moment.day, u64::MAX.to_string());
    }
}
