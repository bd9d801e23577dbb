//! How times and sizes are shown to people.

use time::{OffsetDateTime, UtcOffset};

use crate::words::Words;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn local(seconds: u64, zone: UtcOffset) -> OffsetDateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(zone)
}

/// A moment, to the minute; in seconds since 1970.
pub(crate) fn moment(seconds: u64, zone: UtcOffset, words: Words) -> String {
    let at = local(seconds, zone);
    let (hour, minute) = (at.hour(), at.minute());
    let gap = if words.is_ja() { " " } else { ", " };
    format!("{}{gap}{hour}:{minute:02}", day(seconds, zone, words))
}

/// A day; in seconds since 1970.
pub(crate) fn day(seconds: u64, zone: UtcOffset, words: Words) -> String {
    let at = local(seconds, zone);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    if words.is_ja() {
        return format!("{year}年{month}月{day}日");
    }
    let month = MONTHS.get(usize::from(month) - 1).copied().unwrap_or_default();
    format!("{day} {month} {year}")
}

/// A moment as programs read it (RFC 3339), for `datetime`; in seconds since 1970.
pub(crate) fn datetime(seconds: u64, zone: UtcOffset) -> String {
    local(seconds, zone).format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

/// A size, in the unit that suits it: thousands, as disks are sold.
pub(crate) fn octets(octets: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if octets < 1000 {
        return format!("{octets} B");
    }
    let mut tenths = octets / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    let unit = UNITS[unit];
    match tenths {
        0..100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use envelope::Language;

    use super::*;

    #[test]
    fn times_are_those_of_the_zone() {
        let zone = UtcOffset::from_hms(9, 0, 0).unwrap();
        let (ja, en) = (Words(Language::Ja), Words(Language::En));
        assert_eq!(moment(1_795_478_640, zone, ja), "2026年11月24日 9:04");
        assert_eq!(moment(1_795_478_640, zone, en), "24 Nov 2026, 9:04");
        assert_eq!(datetime(1_795_478_640, zone), "2026-11-24T09:04:00+09:00");
        // A nonsensical number is some time, not an end.
        assert_eq!(day(u64::MAX, zone, en), "1 Jan 1970");
    }

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (123_456, "123 kB"),
            (9_960_000, "9.9 MB"),
            (50_000_000_000, "50 GB"),
            (u64::MAX, "18446 PB"),
        ] {
            assert_eq!(octets(size), expected);
        }
    }
}
