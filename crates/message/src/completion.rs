//! The fields that a submitted message lacks, and that we add (RFC 6409 §8).

use std::fmt;

use envelope::{Address, Domain, QueueId};
use time::OffsetDateTime;

use crate::date::Date;
use crate::outside_text::with_ascii_host;

/// Fields to stand between our Received field and the client's own header. [`Display`](fmt::Display)
/// writes those that there are, each with its CRLF. Nothing that the client wrote is changed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Completion<'a> {
    /// For the Date field (RFC 6409 §8.2): when, in the zone to be written.
    pub date: Option<OffsetDateTime>,
    /// For the Message-ID field (RFC 6409 §8.3): the message's name, and ours.
    pub message_id: Option<(QueueId, &'a Domain)>,
    /// For the From field, which a message must have (RFC 5322 §3.6).
    pub from: Option<&'a Address>,
    /// Whether header fields may be written in UTF-8 (RFC 6532).
    pub smtputf8: bool,
    /// Whether to end the header: the client's message has none, and is all body.
    pub ends_header: bool,
}

impl fmt::Display for Completion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.date {
            write!(f, "Date: {}\r\n", Date(at))?;
        }
        if let Some((id, host)) = self.message_id {
            write!(f, "Message-ID: <{id}@{}>\r\n", host.to_ascii())?;
        }
        match self.from {
            Some(address) if self.smtputf8 => write!(f, "From: <{address}>\r\n")?,
            Some(address) => write!(f, "From: <{}>\r\n", with_ascii_host(address))?,
            None => {}
        }
        if self.ends_header { f.write_str("\r\n") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn only_what_is_lacking_is_written() {
        assert_eq!(Completion::default().to_string(), "");
        let host = Domain::parse("mx.例え.テスト").unwrap();
        let from: Address = "a@例え.テスト".parse().unwrap();
        let whole = Completion {
            date: Some(datetime!(2026-11-24 07:05:36 +9)),
            message_id: Some((QueueId::from_u64(1), &host)),
            from: Some(&from),
            smtputf8: false,
            ends_header: true,
        };
        assert_eq!(
            whole.to_string(),
            "Date: Tue, 24 Nov 2026 07:05:36 +0900\r\n\
             Message-ID: <0000000000001@mx.xn--r8jz45g.xn--zckzah>\r\n\
             From: <a@xn--r8jz45g.xn--zckzah>\r\n\r\n"
        );
        let international = Completion { from: Some(&from), smtputf8: true, ..Completion::default() };
        assert_eq!(international.to_string(), "From: <a@例え.テスト>\r\n");
    }
}
