//! Since when.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

/// Since when, as somebody says it at the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long before now.
    Ago(Duration),
    /// Since this day began.
    Day(Date),
}

impl Since {
    /// In microseconds since 1970; 0 for all that was before. A day begins when clocks at `zone` say so.
    pub fn micros(self, now: OffsetDateTime, zone: UtcOffset) -> u64 {
        let moment = match self {
            Since::Ago(span) => {
                now.checked_sub(time::Duration::try_from(span).unwrap_or(time::Duration::MAX))
            }
            Since::Day(day) => Some(day.midnight().assume_offset(zone)),
        };
        moment.map_or(0, |moment| u64::try_from(moment.unix_timestamp_nanos() / 1_000).unwrap_or(0))
    }
}

impl FromStr for Since {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> anyhow::Result<Since> {
        if let Ok(day) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
            return Ok(Since::Day(day));
        }
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let seconds = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(anyhow!("write a span like 30min, 12h or 7d, or a day like 2026-11-24")),
        };
        let seconds = number.parse().ok().and_then(|number: u64| number.checked_mul(seconds));
        seconds.map(|seconds| Since::Ago(Duration::from_secs(seconds))).context("that is no number of them")
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime, offset};

    use super::*;

    #[test]
    fn since_is_a_span_or_a_day_by_local_time() {
        let now = datetime!(2026-11-24 12:00 UTC);
        let at = |text: &str| text.parse::<Since>().unwrap().micros(now, offset!(+9));
        let micros = |moment: OffsetDateTime| moment.unix_timestamp().unsigned_abs() * 1_000_000;
        assert_eq!("2026-11-24".parse::<Since>().unwrap(), Since::Day(date!(2026 - 11 - 24)));
        assert_eq!(at("2026-11-24"), micros(datetime!(2026-11-23 15:00 UTC)));
        assert_eq!(at("90min"), micros(datetime!(2026-11-24 10:30 UTC)));
        assert_eq!(at("7d"), micros(datetime!(2026-11-17 12:00 UTC)));
        assert_eq!(at("99999999999d"), 0);
        assert_eq!(at("18446744073709551615s"), 0);
        for wrong in ["", "7", "d", "7w", "-1d", "99999999999999999999d", "2026-13-01", "昨日"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
