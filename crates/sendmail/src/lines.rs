//! Line ends: whatever a caller writes, the queue has CRLF (RFC 5321 §2.3.8).

use memchr::memchr3;

use crate::refusal::Refusal;

/// Brings the line ends of a message that arrives in pieces of any size to CRLF.
///
/// LF, CRLF and a lone CR end a line, and so does CR CR LF, which scripts send that print CRLF through a
/// layer that makes CRLF of LF. A last line without an end gets one. A line with a single dot is a line
/// like any other.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// CRs of which it is not yet known what follows: two at most.
    returns: u8,
    /// The last line has no end yet.
    open: bool,
    /// Octets that were appended so far.
    appended: u64,
    /// How many of them stood before the first line end that was an LF, with CRs before it or not.
    first_feed: Option<u64>,
    /// The same of the first that was a lone CR.
    first_return: Option<u64>,
}

impl Lines {
    /// At the start of a message.
    pub fn new() -> Lines {
        Lines::default()
    }

    /// Takes the next octets and appends what they become to `out`.
    ///
    /// # Errors
    /// [`Refusal::Nul`]: no message has a NUL (RFC 5322 §4).
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        out.reserve(octets.len() + octets.len() / 32);
        let before = self.appended.wrapping_sub(out.len() as u64);
        let fed = self.convert(octets, out, before);
        self.appended = before.wrapping_add(out.len() as u64);
        fed
    }

    /// Whether some of the lines in the first so many octets ended in a lone CR and others in LF.
    pub fn are_mixed_within(&self, octets: u64) -> bool {
        let within = |place: Option<u64>| place.is_some_and(|place| place < octets);
        within(self.first_feed) && within(self.first_return)
    }

    /// `before` and the length of `out` make what was appended in all.
    fn convert(&mut self, octets: &[u8], out: &mut Vec<u8>, before: u64) -> Result<(), Refusal> {
        let place = |out: &Vec<u8>| before.wrapping_add(out.len() as u64);
        let mut rest = octets;
        while !rest.is_empty() {
            let text = memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
            if text > 0 {
                if self.returns > 0 {
                    self.first_return.get_or_insert(place(out));
                }
                self.end_lines(out);
                self.open = true;
                out.extend_from_slice(&rest[..text]);
            }
            match rest.get(text) {
                None => return Ok(()),
                Some(b'\n') => {
                    self.first_feed.get_or_insert(place(out));
                    self.returns = 0;
                    self.open = false;
                    out.extend_from_slice(b"\r\n");
                }
                // Of three, the first is a line end of its own, whatever follows.
                Some(b'\r') if self.returns == 2 => {
                    self.first_return.get_or_insert(place(out));
                    self.open = false;
                    out.extend_from_slice(b"\r\n");
                }
                Some(b'\r') => self.returns += 1,
                Some(_) => return Err(Refusal::Nul),
            }
            rest = &rest[text + 1..];
        }
        Ok(())
    }

    /// The message has ended: appends what its last line lacks.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.end_lines(out);
        if std::mem::take(&mut self.open) {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The CRs that wait stand alone.
    fn end_lines(&mut self, out: &mut Vec<u8>) {
        for _ in 0..std::mem::take(&mut self.returns) {
            self.open = false;
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn converted(message: &[u8], cut: usize) -> Vec<u8> {
        let (mut lines, mut out) = (Lines::new(), Vec::new());
        for piece in message.chunks(cut) {
            lines.feed(piece, &mut out).unwrap();
        }
        lines.finish(&mut out);
        out
    }

    #[test]
    fn every_line_end_becomes_crlf() {
        for (given, taken) in [
            ("", ""),
            ("a", "a\r\n"),
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\r\r\nb\r\r\n", "a\r\nb\r\n"),
            ("a\rb\r", "a\r\nb\r\n"),
            ("a\n\nb", "a\r\n\r\nb\r\n"),
            ("a\r\n\r\nb", "a\r\n\r\nb\r\n"),
            ("a\r\rb", "a\r\n\r\nb\r\n"),
            ("a\r\r\r\nb", "a\r\n\r\nb\r\n"),
            ("a\n\rb", "a\r\n\r\nb\r\n"),
            ("\n.\n..\n.", "\r\n.\r\n..\r\n.\r\n"),
        ] {
            for cut in 1..4 {
                assert_eq!(converted(given.as_bytes(), cut), taken.as_bytes(), "{given:?} by {cut}");
            }
        }
    }

    #[test]
    fn a_nul_is_refused_wherever_it_stands() {
        for message in [&b"\0"[..], b"a\0b\n", b"a\r\0"] {
            assert_eq!(Lines::new().feed(message, &mut Vec::new()), Err(Refusal::Nul));
        }
    }

    #[test]
    fn lone_crs_beside_lfs_are_noticed_and_where_they_stand() {
        for (message, within, mixed) in [
            ("a\rb\n", 99, true),
            ("a\nb\rc", 99, true),
            ("a\n\rb\n", 99, true),
            ("a\r\r\r\nb", 99, true),
            ("a\rb\rc\r\rd", 99, false),
            ("a\r\nb\nc\r\r\nd", 99, false),
            // What is behind the place does not count: here "a", CRLF, "b", CRLF, "c".
            ("a\nb\rc", 4, false),
            ("a\nb\rc", 5, true),
        ] {
            for cut in 1..4 {
                let (mut lines, mut out) = (Lines::new(), Vec::new());
                for piece in message.as_bytes().chunks(cut) {
                    lines.feed(piece, &mut out).unwrap();
                    // Whoever takes what has come takes nothing of its place.
                    out.clear();
                }
                assert_eq!(lines.are_mixed_within(within), mixed, "{message:?} by {cut}, within {within}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_message_is_cut(message in "[ab.\r\n]{0,60}", cut in 1usize..9) {
            let message = message.as_bytes();
            prop_assert_eq!(converted(message, cut), converted(message, 100));
        }

        #[test]
        fn all_lines_end_in_crlf_and_nothing_else_changes(
            message in proptest::collection::vec(1u8.., 0..200), cut in 1usize..9,
        ) {
            let taken = converted(&message, cut);
            let text = |octets: &[u8]| octets.iter().copied().filter(|b| !b"\r\n".contains(b)).collect::<Vec<_>>();
            prop_assert_eq!(text(&taken), text(&message));
            prop_assert!(taken.is_empty() || taken.ends_with(b"\r\n"));
            let ends = taken.windows(2).filter(|pair| pair == b"\r\n").count();
            prop_assert_eq!(taken.iter().filter(|b| b"\r\n".contains(b)).count(), 2 * ends);
        }
    }
}
