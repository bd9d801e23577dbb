//! Responses on their way to the client: collected, so that pipelined commands are answered in one
//! segment (RFC 2449 §6.6).

use std::fmt::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use envelope::Language;

use crate::responses::{Negative, Positive};

/// Octets to send, and the language they are written in.
pub(crate) struct Output {
    octets: BytesMut,
    pub(crate) language: Language,
}

impl Output {
    pub(crate) fn new(language: Language) -> Output {
        Output { octets: BytesMut::new(), language }
    }

    /// Adds a positive response.
    pub(crate) fn ok(&mut self, positive: Positive<'_>) {
        write_ok(&mut self.octets, positive, self.language);
    }

    /// Adds a negative response.
    pub(crate) fn err(&mut self, negative: Negative) {
        write(&mut self.octets, format_args!("-ERR {}\r\n", negative.text(self.language)));
    }

    /// A positive response by itself, for the shell to send.
    pub(crate) fn opening(&self, positive: Positive<'_>) -> Bytes {
        let mut octets = BytesMut::new();
        write_ok(&mut octets, positive, self.language);
        octets.freeze()
    }

    /// Asks for the client's response in a SASL exchange, with an empty challenge (RFC 5034 §4).
    pub(crate) fn challenge(&mut self) {
        self.octets.put_slice(b"+ \r\n");
    }

    /// Adds a line of a multi-line response. It must not begin with a dot: none of ours does.
    pub(crate) fn line(&mut self, text: &str) {
        self.octets.put_slice(text.as_bytes());
        self.octets.put_slice(b"\r\n");
    }

    /// Adds a line of a listing: a number and what belongs to it.
    pub(crate) fn listing(&mut self, number: u64, value: &str) {
        self.decimal(number);
        self.octets.put_u8(b' ');
        self.line(value);
    }

    /// Adds a line of two numbers.
    pub(crate) fn numbers(&mut self, number: u64, value: u64) {
        self.decimal(number);
        self.octets.put_u8(b' ');
        self.decimal(value);
        self.octets.put_slice(b"\r\n");
    }

    /// Ends a multi-line response.
    pub(crate) fn end(&mut self) {
        self.octets.put_slice(b".\r\n");
    }

    pub(crate) fn len(&self) -> usize {
        self.octets.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.octets = BytesMut::new();
    }

    /// All that was added. An idle session keeps no buffer.
    pub(crate) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.octets).freeze()
    }

    /// A listing of 10,000 messages is 20,000 numbers: too many for the formatting of `std`.
    fn decimal(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        let mut rest = number;
        loop {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.octets.put_slice(&digits[first..]);
    }
}

fn write_ok(octets: &mut BytesMut, positive: Positive<'_>, language: Language) {
    write(octets, format_args!("+OK {}\r\n", positive.text(language)));
}

fn write(octets: &mut BytesMut, line: std::fmt::Arguments<'_>) {
    octets.reserve(64);
    octets.write_fmt(line).expect("a buffer in memory takes every line");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        let mut output = Output::new(Language::En);
        for number in [0, 9, 10, 1234567890, u64::MAX] {
            output.numbers(number, 7);
            assert_eq!(output.take(), format!("{number} 7\r\n"));
        }
    }
}
