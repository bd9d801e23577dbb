//! Mail data on their way out: dots at the start of a line are doubled (RFC 5321 §4.5.2), without
//! copying what stands between them.

use bytes::Bytes;
use memchr::memmem;

/// Doubles dots in the mail data of one message, in pieces of any size.
#[derive(Debug)]
pub(super) struct Dots {
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    Text,
}

impl Dots {
    pub(super) fn new() -> Dots {
        Dots { place: Place::LineStart }
    }

    /// Gives out a piece in slices of itself: where a dot is to be doubled, one slice ends with it and
    /// the next begins with it. A dot after a LF without CR is doubled too: a server that takes such a
    /// LF for a line end must not see the end of the data there.
    pub(super) fn double(&mut self, piece: Bytes, mut out: impl FnMut(Bytes)) {
        let Some(&last) = piece.last() else { return };
        if self.place == Place::LineStart && piece.starts_with(b".") {
            out(Bytes::from_static(b"."));
        }
        self.place = if last == b'\n' { Place::LineStart } else { Place::Text };
        let mut rest = piece;
        let mut from = 0;
        let finder = memmem::Finder::new(b"\n.");
        while let Some(at) = finder.find(&rest[from..]) {
            let dot = from + at + 1;
            out(rest.slice(..=dot));
            rest = rest.slice(dot..);
            from = 1;
        }
        out(rest);
    }

    /// What ends the data; a last line without an end gets one.
    pub(super) fn end(&self) -> Bytes {
        Bytes::from_static(if self.place == Place::LineStart { b".\r\n" } else { b"\r\n.\r\n" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Decoder;
    use proptest::prelude::*;

    fn written(pieces: &[&[u8]]) -> Vec<u8> {
        let mut dots = Dots::new();
        let mut out = Vec::new();
        for piece in pieces {
            dots.double(Bytes::copy_from_slice(piece), |slice| out.extend_from_slice(&slice));
        }
        out.extend_from_slice(&dots.end());
        out
    }

    #[test]
    fn dots_are_doubled_at_the_start_of_a_line_only() {
        assert_eq!(written(&[b"a.b\r\n.c\r\n..\r\n.\r\n"]), b"a.b\r\n..c\r\n...\r\n..\r\n.\r\n");
        assert_eq!(written(&[b"a\r\n", b".b\r\n"]), b"a\r\n..b\r\n.\r\n");
        assert_eq!(written(&[b"a\r", b"\n", b".", b"\r\n"]), b"a\r\n..\r\n.\r\n");
        assert_eq!(written(&[b".\n.\r\n"]), b"..\n..\r\n.\r\n");
    }

    #[test]
    fn a_last_line_without_an_end_gets_one() {
        assert_eq!(written(&[b"a"]), b"a\r\n.\r\n");
        assert_eq!(written(&[]), b".\r\n");
    }

    proptest! {
        #[test]
        fn the_servers_side_reads_back_what_was_sent(
            lines in proptest::collection::vec("[.a]{0,3}", 0..12),
            cuts in proptest::collection::vec(1usize..6, 1..8),
        ) {
            let message: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
            let mut pieces = Vec::new();
            let mut rest = message.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let mut wire = written(&pieces);
            let decoded = Decoder::dotted().decode(&mut wire);
            prop_assert!(decoded.ended && decoded.consumed == wire.len());
            prop_assert_eq!(&wire[..decoded.kept], message.as_slice());
        }
    }
}
