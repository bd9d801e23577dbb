//! A message as RETR and TOP send it: the multi-line encoding of RFC 1939 §3.

use memchr::memchr_iter;

/// Turns the octets of a stored message into what the client gets: CRLF line ends, a dot before
/// each dot that begins a line, and a line with a dot alone at the end.
///
/// A line may end with LF or CRLF in the file; a CR elsewhere stays as it is. Should the last line
/// have no end, it gets one; nothing else is added, no empty line before the final dot either.
#[derive(Debug, Clone)]
pub struct Encoder {
    line: LineSoFar,
    part: Part,
}

/// What the line in hand has so far. More need not be known of it when a piece ends within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineSoFar {
    Nothing,
    /// One CR and nothing else.
    LoneCr,
    Text,
    /// Something, and a CR at the end.
    TextAndCr,
}

/// What is still wanted of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    /// The header, and then so many lines of the body.
    Header {
        body_lines: u64,
    },
    /// So many lines of the body.
    Body {
        lines: u64,
    },
}

impl Encoder {
    /// For a whole message (`None`), or for its header, the empty line and so many lines of its
    /// body (RFC 1939 §7, TOP).
    pub fn new(body_lines: Option<u64>) -> Encoder {
        let part = body_lines.map_or(Part::All, |body_lines| Part::Header { body_lines });
        Encoder { line: LineSoFar::Nothing, part }
    }

    /// Encodes the next octets of the message to the end of `out`.
    pub fn encode(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if self.is_satisfied() {
            return;
        }
        // Enough for lines of 16 octets and more; shorter ones make it grow.
        out.reserve(octets.len() + octets.len() / 16 + 2);
        let mut begin = 0;
        for line_feed in memchr_iter(b'\n', octets) {
            self.add(&octets[begin..line_feed], out);
            self.end_line(out);
            begin = line_feed + 1;
            if self.is_satisfied() {
                return;
            }
        }
        self.add(&octets[begin..], out);
    }

    /// Whether TOP has all it wants: the rest of the message need not be read.
    pub fn is_satisfied(&self) -> bool {
        self.part == Part::Body { lines: 0 }
    }

    /// Ends the message.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.line != LineSoFar::Nothing {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }

    /// Adds a piece of a line, without its LF.
    fn add(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let (Some(first), Some(last)) = (text.first(), text.last()) else { return };
        let begins = self.line == LineSoFar::Nothing;
        if begins && *first == b'.' {
            out.push(b'.');
        }
        out.extend_from_slice(text);
        self.line = match *last {
            b'\r' if begins && text.len() == 1 => LineSoFar::LoneCr,
            b'\r' => LineSoFar::TextAndCr,
            _ => LineSoFar::Text,
        };
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let (end, is_empty): (&[u8], bool) = match self.line {
            LineSoFar::Nothing => (b"\r\n", true),
            LineSoFar::LoneCr => (b"\n", true),
            LineSoFar::Text => (b"\r\n", false),
            LineSoFar::TextAndCr => (b"\n", false),
        };
        out.extend_from_slice(end);
        self.line = LineSoFar::Nothing;
        self.part = match self.part {
            Part::Header { body_lines } if is_empty => Part::Body { lines: body_lines },
            Part::Body { lines } => Part::Body { lines: lines.saturating_sub(1) },
            part => part,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(message: &[u8], body_lines: Option<u64>, piece: usize) -> Vec<u8> {
        let mut encoder = Encoder::new(body_lines);
        let mut out = Vec::new();
        for piece in message.chunks(piece.max(1)) {
            encoder.encode(piece, &mut out);
        }
        encoder.finish(&mut out);
        out
    }

    /// The message with CRLF line ends, by plain words: what a size counts.
    fn with_crlf(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, octet) in message.iter().enumerate() {
            if *octet == b'\n' && (at == 0 || message[at - 1] != b'\r') {
                out.push(b'\r');
            }
            out.push(*octet);
        }
        if !message.is_empty() && !message.ends_with(b"\n") {
            out.extend(b"\r\n");
        }
        out
    }

    /// What a client makes of the octets it gets: up to the final dot, without stuffed dots.
    fn decoded(mut wire: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let end =
                wire.windows(2).position(|pair| pair == b"\r\n").expect("the final dot comes first") + 2;
            let (line, rest) = wire.split_at(end);
            if line == b".\r\n" {
                assert!(rest.is_empty(), "something stands behind the final dot");
                return out;
            }
            out.extend(line.strip_prefix(b".").unwrap_or(line));
            wire = rest;
        }
    }

    #[test]
    fn lines_get_crlf_and_dots_are_stuffed() {
        for (message, wire) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a", b"a\r\n.\r\n"),
            (b"a\n", b"a\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a\n\n", b"a\r\n\r\n.\r\n"),
            (b".\n..\n.a\na.\n", b"..\r\n...\r\n..a\r\na.\r\n.\r\n"),
            (b"a\rb\r\r\nc\r", b"a\rb\r\r\nc\r\r\n.\r\n"),
            (b"\r\n\n\r.\n", b"\r\n\r\n\r.\r\n.\r\n"),
            (b"\xff\0\n", b"\xff\0\r\n.\r\n"),
        ] {
            for piece in 1..=message.len().max(1) {
                let got = encoded(message, None, piece);
                assert_eq!(got, wire, "{} in pieces of {piece}", message.escape_ascii());
            }
        }
    }

    #[test]
    fn top_sends_the_header_the_empty_line_and_lines_of_the_body() {
        for message in [&b"A: 1\nB: 2\n\none\n.two\nthree"[..], b"A: 1\r\nB: 2\r\n\r\none\r\n.two\r\nthree"] {
            for piece in 1..=message.len() {
                let top = |lines| String::from_utf8(encoded(message, Some(lines), piece)).unwrap();
                assert_eq!(top(0), "A: 1\r\nB: 2\r\n\r\n.\r\n");
                assert_eq!(top(1), "A: 1\r\nB: 2\r\n\r\none\r\n.\r\n");
                assert_eq!(top(2), "A: 1\r\nB: 2\r\n\r\none\r\n..two\r\n.\r\n");
                assert_eq!(top(3), "A: 1\r\nB: 2\r\n\r\none\r\n..two\r\nthree\r\n.\r\n");
                assert_eq!(top(u64::MAX), top(3));
            }
        }
    }

    #[test]
    fn top_says_when_it_needs_no_more() {
        let mut encoder = Encoder::new(Some(1));
        let mut out = Vec::new();
        encoder.encode(b"A: 1\n\none", &mut out);
        assert!(!encoder.is_satisfied());
        encoder.encode(b"\ntwo\n", &mut out);
        assert!(encoder.is_satisfied());
        assert_eq!(out, b"A: 1\r\n\r\none\r\n");
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![2 => Just(b'\n'), 2 => Just(b'\r'), 2 => Just(b'.'), 1 => any::<u8>()];
        prop::collection::vec(octet, 0..200)
    }

    proptest! {
        #[test]
        fn what_the_client_reads_is_the_message_with_crlf(message in message(), piece in 1..50usize) {
            prop_assert_eq!(decoded(&encoded(&message, None, piece)), with_crlf(&message));
        }

        #[test]
        fn top_is_the_beginning_of_retr(message in message(), lines in 0..20u64, piece in 1..50usize) {
            let top = decoded(&encoded(&message, Some(lines), piece));
            let all = with_crlf(&message);
            prop_assert!(all.starts_with(&top));
            prop_assert_eq!(top, decoded(&encoded(&message, Some(lines), message.len())));
        }
    }
}
