//! The name of a message from the moment its data begins.
//!
//! Whoever takes a message in names it, not the queue. So it stands in the Received field before
//! the queue has seen the message, and a message handed over twice because the queue died between
//! commit and answer is known by its name and kept once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Names one queued message: microseconds since 1970, and the source that named it.
///
/// Written as 13 characters, which sort as the times do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(u64);

/// A number between roles and in the log, its 13 characters where people read (`--json`).
impl Serialize for QueueId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for QueueId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<QueueId, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(QueueId)
        }
    }
}

/// Bits for the source that made the name; the rest are microseconds, good until the year 2112.
const SOURCE_BITS: u32 = 12;
/// Digits in rising order of their octets, without letters that look alike.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 13;

impl QueueId {
    /// The id with this number.
    pub fn from_u64(number: u64) -> QueueId {
        QueueId(number)
    }

    /// The number of this id.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// When it was made, in microseconds since 1970.
    pub fn unix_micros(self) -> u64 {
        self.0 >> SOURCE_BITS
    }

    /// When it was made, in seconds since 1970.
    pub fn unix_seconds(self) -> u64 {
        self.unix_micros() / 1_000_000
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(LENGTH);
        for digit in (0..LENGTH).rev() {
            let value = (self.0 >> (5 * digit)) & 31;
            text.push(char::from(DIGITS[value as usize]));
        }
        f.pad(&text)
    }
}

/// The text is no queue id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a queue id is 13 letters and digits, as the log and the queue list show it")]
pub struct NotAQueueId;

impl FromStr for QueueId {
    type Err = NotAQueueId;
    fn from_str(text: &str) -> Result<QueueId, NotAQueueId> {
        if text.len() != LENGTH {
            return Err(NotAQueueId);
        }
        let mut number: u64 = 0;
        for (at, octet) in text.bytes().enumerate() {
            let digit = DIGITS.iter().position(|d| *d == octet.to_ascii_lowercase()).ok_or(NotAQueueId)?;
            // 13 digits of 5 bits are 65: the first has room for 4.
            if at == 0 && digit > 15 {
                return Err(NotAQueueId);
            }
            number = (number << 5) | digit as u64;
        }
        Ok(QueueId(number))
    }
}

/// Makes ids that no other source makes, each greater than the last.
#[derive(Debug)]
pub struct QueueIds {
    source: u64,
    last: u64,
}

impl QueueIds {
    /// A maker of ids. `source` differs among all that make ids at the same time (its lowest 12
    /// bits count); the supervisor gives them out.
    pub fn new(source: u16) -> QueueIds {
        QueueIds { source: u64::from(source) & ((1 << SOURCE_BITS) - 1), last: 0 }
    }

    /// The next id. `micros` is the time now in microseconds since 1970; should the clock stand
    /// still or go back, ids go on rising by themselves.
    pub fn next(&mut self, micros: u64) -> QueueId {
        self.last = micros.max(self.last + 1);
        QueueId((self.last << SOURCE_BITS) | self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_even_if_the_clock_goes_back() {
        let mut ids = QueueIds::new(7);
        let made: Vec<QueueId> = [1_000_000, 1_000_000, 900_000, 1_000_005].map(|t| ids.next(t)).to_vec();
        assert!(made.windows(2).all(|w| w[0] < w[1] && w[0].to_string() < w[1].to_string()));
        assert_eq!(made[0].unix_seconds(), 1);
    }

    #[test]
    fn an_id_reads_back_from_its_text() {
        for number in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let id = QueueId::from_u64(number);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for wrong in ["", "0", "zzzzzzzzzzzzz", "00000000000i0", "00000000000000"] {
            assert!(wrong.parse::<QueueId>().is_err());
        }
    }
}
