//! Times, as programs write and read them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time, in text as RFC 3339 §5.6 has it; ours are in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Microseconds since 1970.
    micros: u64,
}

/// The last that RFC 3339 can write, the end of the year 9999.
const LAST: u64 = 253_402_300_799_999_999;

impl Moment {
    /// Of seconds since 1970.
    pub(crate) fn of_seconds(seconds: u64) -> Moment {
        Moment::of_micros(seconds.saturating_mul(1_000_000))
    }

    /// Of microseconds since 1970.
    pub(crate) fn of_micros(micros: u64) -> Moment {
        Moment { micros: micros.min(LAST) }
    }

    /// Seconds since 1970.
    pub(crate) fn seconds(self) -> u64 {
        self.micros / 1_000_000
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.micros) * 1000);
        let text = time.map_err(serde::ser::Error::custom)?.format(&Rfc3339);
        serializer.serialize_str(&text.map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let wanted = || serde::de::Error::custom("write a time as 2026-11-24T09:00:00+09:00, from 1970 on");
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| wanted())?;
        let micros = u64::try_from(time.unix_timestamp_nanos() / 1000).map_err(|_| wanted())?;
        if time.unix_timestamp() < 0 { Err(wanted()) } else { Ok(Moment::of_micros(micros)) }
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "A time, as RFC 3339 writes it.",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_of_another_zone_is_the_same_time() {
        let moment: Moment = serde_json::from_str("\"2026-11-24T09:00:00+09:00\"").unwrap();
        assert_eq!(moment, Moment::of_seconds(1_795_478_400));
        assert_eq!(serde_json::to_string(&moment).unwrap(), "\"2026-11-24T00:00:00Z\"");
        for wrong in ["2026-11-24", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.9999999Z", "now", ""] {
            assert!(serde_json::from_str::<Moment>(&format!("{wrong:?}")).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_time_is_written_and_reads_back(micros: u64) {
            let moment = Moment::of_micros(micros);
            let text = serde_json::to_string(&moment).unwrap();
            prop_assert_eq!(serde_json::from_str::<Moment>(&text).unwrap(), moment);
        }

        #[test]
        fn any_text_is_a_time_or_an_error(text in "\\PC{0,30}|[0-9TZ:+. -]{0,30}") {
            let _ = serde_json::from_str::<Moment>(&serde_json::to_string(&text).unwrap());
        }
    }
}
