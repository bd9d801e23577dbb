//! The date of a header field (RFC 5322 §3.3).

use std::fmt;

use time::{Month, OffsetDateTime, UtcOffset, Weekday};

/// A moment, written as RFC 5322 §3.3 wants it: `Tue, 24 Nov 2026 07:05:36 +0900`.
///
/// The names are English whatever the locale, and the zone is that of the given time; a zone with
/// odd seconds is brought to whole minutes, as the field can write no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date(pub OffsetDateTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone_minutes = self.0.offset().whole_minutes();
        let at = UtcOffset::from_whole_seconds(i32::from(zone_minutes) * 60)
            .ok()
            .and_then(|zone| self.0.checked_to_offset(zone))
            .unwrap_or(self.0);
        write!(
            f,
            "{}, {} {} {:04} {:02}:{:02}:{:02} {}{:02}{:02}",
            day_name(at.weekday()),
            at.day(),
            month_name(at.month()),
            at.year(),
            at.hour(),
            at.minute(),
            at.second(),
            if zone_minutes < 0 { '-' } else { '+' },
            zone_minutes.abs() / 60,
            zone_minutes.abs() % 60,
        )
    }
}

/// A moment to the minute, for a reader: `2026-11-24 07:05 +0900`, in the zone of the given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minute(pub OffsetDateTime);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Minute(at) = self;
        let (hours, minutes, _) = at.offset().as_hms();
        let sign = if at.offset().is_negative() { '-' } else { '+' };
        write!(
            f,
            "{:04}-{:02}-{:02} {:02}:{:02} {sign}{:02}{:02}",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            hours.unsigned_abs(),
            minutes.unsigned_abs(),
        )
    }
}

fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

fn month_name(month: Month) -> &'static str {
    match month {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::format_description::well_known::Rfc2822;
    use time::macros::{datetime, offset};

    #[test]
    fn a_date_is_written_in_its_own_zone() {
        for (at, written) in [
            (datetime!(2026-11-24 07:05:36 +9), "Tue, 24 Nov 2026 07:05:36 +0900"),
            (datetime!(2026-02-01 23:59:59 UTC), "Sun, 1 Feb 2026 23:59:59 +0000"),
            (datetime!(2026-07-04 00:00:00 -3:30), "Sat, 4 Jul 2026 00:00:00 -0330"),
            (datetime!(2026-07-04 00:00:00 -0:30), "Sat, 4 Jul 2026 00:00:00 -0030"),
        ] {
            assert_eq!(Date(at).to_string(), written);
        }
    }

    #[test]
    fn a_zone_with_seconds_keeps_the_moment() {
        let at = datetime!(2026-11-24 07:05:36 UTC).to_offset(offset!(+0:19:32));
        assert_eq!(Date(at).to_string(), "Tue, 24 Nov 2026 07:24:36 +0019");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_as_the_same_moment(
            seconds in 0i64..253_402_000_000,
            // The parser we compare with takes -0001 for +0001; the table above has such a zone.
            zone in prop_oneof![-720i32..=-60, 0i32..=720],
        ) {
            let zone = UtcOffset::from_whole_seconds(zone * 60).unwrap();
            let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap().to_offset(zone);
            let read = OffsetDateTime::parse(&Date(at).to_string(), &Rfc2822);
            prop_assert_eq!(read.unwrap(), at);
        }
    }
}
