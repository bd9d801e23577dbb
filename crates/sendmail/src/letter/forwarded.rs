//! The line that a forward has on top, so that it does not go round in circles.

use envelope::Address;
use message::Field;

use super::header::Header;
use super::kind::Kind;
use crate::refusal::Refusal;
use crate::visible::is_unsafe;

/// A Delivered-To line that is put on top.
#[derive(Debug, Clone)]
pub(super) struct Forwarded {
    /// With its CRLF.
    pub(super) line: Vec<u8>,
    /// To whom the message had come.
    pub(super) address: Address,
}

impl Forwarded {
    /// Takes the line that the caller has from the delivery (`DTLINE`); none, if it is no such line.
    pub(super) fn of(line: &[u8]) -> Option<Forwarded> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if std::str::from_utf8(line).ok()?.contains(is_unsafe) {
            return None;
        }
        let field = Field::of(line).filter(|field| field.is("Delivered-To"))?;
        let address = std::str::from_utf8(field.body.trim_ascii()).ok()?.parse().ok()?;
        Some(Forwarded { line: [line, b"\r\n"].concat(), address })
    }

    /// # Errors
    /// [`Refusal::TooManyHops`] if the message has been here before: `header` has the same line already.
    pub(super) fn check(&self, header: &Header) -> Result<(), Refusal> {
        let same = |body: &[u8]| {
            let text = std::str::from_utf8(body.trim_ascii()).ok();
            text.and_then(|text| text.parse().ok()).is_some_and(|been: Address| {
                been.local_part.folded() == self.address.local_part.folded() && been.host == self.address.host
            })
        };
        let been = header.lines().any(|line| line.kind == Kind::DeliveredTo && same(line.field().body));
        if been { Err(Refusal::TooManyHops) } else { Ok(()) }
    }
}
