//! The client's octets, cut into lines.
//!
//! A line ends with CRLF; a bare LF is taken too, as qmail did. Every line is wiped once it was
//! read, since any of them may carry a password.

use memchr::memchr;
use zeroize::{Zeroize, Zeroizing};

/// The longest line taken, in octets without its line end.
///
/// RFC 2449 §4 asks for 255. The base64 form of the longest AUTH PLAIN message (three fields of 255
/// octets, RFC 4616 §2) has 1024.
pub const LINE_MAX: usize = 1024;

/// An idle session keeps no larger buffer than this, in octets.
const KEPT_MAX: usize = 4096;

/// One line, without its line end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line, and whether more octets stand behind it already.
    Whole { octets: &'a [u8], more_follows: bool },
    /// A line over [`LINE_MAX`]; its octets are gone.
    TooLong,
}

/// Octets that arrived and were not read yet.
#[derive(Default)]
pub(crate) struct Lines {
    octets: Zeroizing<Vec<u8>>,
    /// Where the line given last begins; it is wiped when the next one is asked for.
    given: usize,
    /// Where the first unread octet stands.
    unread: usize,
    /// Up to here there is no unread line end.
    scanned: usize,
    /// A line that grew too long is being thrown away up to its end.
    skipping: bool,
}

impl Lines {
    /// Adds octets as they arrived.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        let length = self.octets.len() + octets.len();
        if length > self.octets.capacity() {
            // A Vec that grows by itself would leave its old octets in freed memory.
            let mut grown = Zeroizing::new(Vec::with_capacity(length.next_power_of_two()));
            grown.extend_from_slice(&self.octets);
            self.octets = grown;
        }
        self.octets.extend_from_slice(octets);
    }

    /// The next line, if its end has arrived.
    pub(crate) fn next_line(&mut self) -> Option<Line<'_>> {
        self.octets[self.given..self.unread].zeroize();
        let Some(found) = memchr(b'\n', &self.octets[self.scanned..]) else {
            self.keep_beginning();
            return None;
        };
        let line_feed = self.scanned + found;
        self.given = self.unread;
        self.unread = line_feed + 1;
        self.scanned = self.unread;
        let line = &self.octets[self.given..line_feed];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if std::mem::take(&mut self.skipping) || line.len() > LINE_MAX {
            return Some(Line::TooLong);
        }
        Some(Line::Whole { octets: line, more_follows: self.unread < self.octets.len() })
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Lines::default();
    }

    /// Keeps the beginning of a line whose end is still to come, at the front of the buffer.
    fn keep_beginning(&mut self) {
        let beginning = &self.octets[self.unread..];
        // One more than the longest line may be the CR of a line end.
        if self.skipping || beginning.len() > LINE_MAX + 1 {
            self.clear();
            self.skipping = true;
            return;
        }
        if self.octets.capacity() > KEPT_MAX {
            let mut smaller = Zeroizing::new(Vec::with_capacity(beginning.len()));
            smaller.extend_from_slice(beginning);
            self.octets = smaller;
        } else if self.unread > 0 {
            let length = beginning.len();
            self.octets.copy_within(self.unread.., 0);
            self.octets[length..].zeroize();
            self.octets.truncate(length);
        }
        self.given = 0;
        self.unread = 0;
        self.scanned = self.octets.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines; `None` stands for one that was too long.
    fn lines_of(pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some(line) = lines.next_line() {
                all.push(match line {
                    Line::Whole { octets, .. } => Some(octets.to_vec()),
                    Line::TooLong => None,
                });
            }
        }
        all
    }

    fn some(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_end_with_crlf_or_lf() {
        assert_eq!(lines_of(&[b"a\r\nb\n\nc\rd\r", b"\ne"]), [some("a"), some("b"), some(""), some("c\rd")]);
    }

    #[test]
    fn the_longest_line_is_taken_and_one_octet_more_is_not() {
        let longest = "x".repeat(LINE_MAX);
        let whole = format!("{longest}\r\n{longest}y\r\nz\r\n");
        let expected = [some(&longest), None, some("z")];
        assert_eq!(lines_of(&[whole.as_bytes()]), expected);
        for at in 0..whole.len() {
            assert_eq!(lines_of(&[&whole.as_bytes()[..at], &whole.as_bytes()[at..]]), expected, "at {at}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_memory_and_is_told_once() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.push(&[b'x'; 8192]);
            assert_eq!(lines.next_line(), None);
            assert!(lines.octets.capacity() <= KEPT_MAX);
        }
        lines.push(b"\r\nNOOP\r\n");
        assert_eq!(lines.next_line(), Some(Line::TooLong));
        assert_eq!(lines.next_line(), Some(Line::Whole { octets: b"NOOP", more_follows: false }));
    }

    #[test]
    fn a_line_is_wiped_once_the_next_is_asked_for() {
        let mut lines = Lines::default();
        lines.push(b"PASS s3cret\r\nSTAT\r\n");
        assert_eq!(lines.next_line(), Some(Line::Whole { octets: b"PASS s3cret", more_follows: true }));
        assert!(lines.octets.starts_with(b"PASS s3cret"));
        assert_eq!(lines.next_line(), Some(Line::Whole { octets: b"STAT", more_follows: false }));
        assert!(lines.octets.starts_with(&[0; 13]));
        assert_eq!(lines.next_line(), None);
        assert!(lines.octets.is_empty());
    }

    proptest! {
        #[test]
        fn any_octets_cut_anywhere_give_the_same_lines(
            octets in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b'\r')], 0..4000),
            cuts in prop::collection::vec(1..700usize, 1..20),
        ) {
            let mut pieces = Vec::new();
            let mut rest = &octets[..];
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(lines_of(&pieces), lines_of(&[&octets[..]]));
        }
    }
}
