//! Enhanced mail system status codes (RFC 3463).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A status such as `5.1.1`: class, subject, detail (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status {
    class: u8,
    subject: u16,
    detail: u16,
}

/// The text is no status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a status code has the form 5.1.1 and begins with 2, 4 or 5")]
pub struct NotAStatus;

impl Status {
    /// Success without more to say: `2.0.0`.
    pub const SUCCESS: Status = Status::new(2, 0, 0);
    /// A failure of which nothing more is known: `5.0.0`.
    pub const FAILURE: Status = Status::new(5, 0, 0);

    /// The status with these parts; `class` is 2, 4 or 5, the others have up to three digits.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Status {
        Status { class, subject, detail }
    }

    /// The first part: 2 for success, 4 for a failure that may pass, 5 for one that will not.
    pub const fn class(self) -> u8 {
        self.class
    }

    /// The second part: what it is about, as 1 for addresses (RFC 3463 §3).
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The third part: what precisely.
    pub const fn detail(self) -> u16 {
        self.detail
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl FromStr for Status {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Status, NotAStatus> {
        let mut parts = text.split('.');
        let mut part = || {
            let digits = parts.next().ok_or(NotAStatus)?;
            let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { digits.parse::<u16>().map_err(|_| NotAStatus) } else { Err(NotAStatus) }
        };
        let (class, subject, detail) = (part()?, part()?, part()?);
        match (class, parts.next()) {
            (2, None) => Ok(Status::new(2, subject, detail)),
            (4, None) => Ok(Status::new(4, subject, detail)),
            (5, None) => Ok(Status::new(5, subject, detail)),
            _ => Err(NotAStatus),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_status_reads_back_and_nothing_else_does() {
        assert_eq!("5.1.1".parse(), Ok(Status::new(5, 1, 1)));
        assert_eq!("4.999.0".parse::<Status>().unwrap().to_string(), "4.999.0");
        for wrong in ["", "5", "5.1", "5.1.1.1", "3.1.1", "5.1.x", "5.1.1000", "+5.1.1", "5.1.+1"] {
            assert_eq!(wrong.parse::<Status>(), Err(NotAStatus), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_status_or_an_error(text in "[0-9.x]{0,12}") {
            if let Ok(status) = text.parse::<Status>() {
                prop_assert!(matches!(status.class(), 2 | 4 | 5));
            }
        }
    }
}
