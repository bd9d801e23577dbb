//! A message on its way in: its header is held until it is whole, its body passes.

use memchr::memchr;
use message::HeaderScan;

use crate::lines::Lines;
use crate::refusal::Refusal;

/// The most octets of a header that are held, unless said otherwise.
pub const HEADER_MAX: u64 = 256 << 10;

/// The longest line that mail data may have (RFC 5322 §2.1.1): no field's name is longer.
const NAME_MAX: usize = 998;

/// Parts a message that arrives in pieces of any size into header and body, with CRLF at the line ends.
///
/// The header ends behind its first empty line, or before the first line that is no field, which begins
/// the body (as qmail-inject does). A line that begins with `From ` stands in the header, as mbox files
/// have it.
///
/// A header in which some lines end in LF and some in a lone CR is refused: a form let pass what a visitor
/// typed, and of a line of its own he would have made two. No other sendmail takes that CR for a line end.
#[derive(Debug)]
pub struct Intake {
    lines: Lines,
    header_max: u64,
    message_max: u64,
    header: Vec<u8>,
    /// Where in `header` the first line begins that is not yet known to belong to it.
    seen: usize,
    complete: bool,
    taken: bool,
    size: u64,
    hops: u32,
}

impl Intake {
    /// For a message of at most `message_max` octets, whose header has at most `header_max`; line ends
    /// count as two.
    pub fn new(header_max: u64, message_max: u64) -> Intake {
        Intake {
            lines: Lines::new(),
            header_max,
            message_max,
            header: Vec::new(),
            seen: 0,
            complete: false,
            taken: false,
            size: 0,
            hops: 0,
        }
    }

    /// Takes the caller's next octets. Those of the body are appended to `body`.
    ///
    /// # Errors
    /// [`Refusal::Nul`], [`Refusal::Injection`], [`Refusal::HeaderTooLarge`], [`Refusal::TooLarge`]; there
    /// is no going on then.
    pub fn feed(&mut self, octets: &[u8], body: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut rest = octets;
        while !self.complete && !rest.is_empty() {
            // In steps, so that little of the body goes by way of the header.
            let (piece, after) = rest.split_at(rest.len().min(4096));
            let before = self.header.len();
            self.lines.feed(piece, &mut self.header)?;
            self.count(self.header.len() - before)?;
            self.scan(false, body)?;
            rest = after;
        }
        let before = body.len();
        self.lines.feed(rest, body)?;
        self.count(body.len() - before)
    }

    /// The message has ended.
    ///
    /// # Errors
    /// As [`Intake::feed`].
    pub fn finish(&mut self, body: &mut Vec<u8>) -> Result<(), Refusal> {
        let out = if self.complete { &mut *body } else { &mut self.header };
        let before = out.len();
        self.lines.finish(out);
        let grown = out.len() - before;
        self.count(grown)?;
        self.scan(true, body)
    }

    /// The header, once, as soon as it is complete: its fields, and the empty line behind them if there
    /// was one.
    pub fn header(&mut self) -> Option<Vec<u8>> {
        if !self.complete || self.taken {
            return None;
        }
        self.taken = true;
        Some(std::mem::take(&mut self.header))
    }

    /// Whether the header is complete.
    pub fn is_header_complete(&self) -> bool {
        self.complete
    }

    /// The octets so far, line ends counted as two.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The fields of the header that a message gains on its way (RFC 5321 §6.3); 0 until it is complete.
    pub fn hops(&self) -> u32 {
        self.hops
    }

    fn count(&mut self, octets: usize) -> Result<(), Refusal> {
        self.size += octets as u64;
        if self.size > self.message_max { Err(Refusal::TooLarge(self.message_max)) } else { Ok(()) }
    }

    /// Looks at the lines that came last; what follows the header's end goes to `body`.
    fn scan(&mut self, at_end: bool, body: &mut Vec<u8>) -> Result<(), Refusal> {
        while !self.complete {
            let line = &self.header[self.seen..];
            let whole = memchr(b'\n', line).map(|at| at + 1);
            match (belongs(&line[..whole.unwrap_or(line.len())], self.seen > 0), whole) {
                (Some(Line::Empty), _) => self.end(self.seen + 2, body)?,
                (Some(Line::Body), _) => self.end(self.seen, body)?,
                (Some(Line::Header), Some(length)) => self.seen += length,
                (Some(Line::Header), None) => return self.check(self.header.len()),
                // Every line has its end by now, so nothing is left.
                (None, _) if at_end => self.end(self.header.len(), body)?,
                (None, _) => break,
            }
        }
        self.check(self.seen)
    }

    fn check(&self, header: usize) -> Result<(), Refusal> {
        if header as u64 > self.header_max { Err(Refusal::HeaderTooLarge(self.header_max)) } else { Ok(()) }
    }

    fn end(&mut self, at: usize, body: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.lines.are_mixed_within(at as u64) {
            return Err(Refusal::Injection("the header: a CR that ends no line".into()));
        }
        body.extend_from_slice(&self.header[at..]);
        self.header.truncate(at);
        self.seen = at;
        self.complete = true;
        let mut scan = HeaderScan::new();
        scan.feed(&self.header);
        self.hops = scan.hops();
        Ok(())
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A field, the continuation of one, or mbox's `From `.
    Header,
    /// The end of the header.
    Empty,
    /// No field.
    Body,
}

/// Tells a line by its beginning, which may be all that has come; none, if it does not tell yet. It
/// depends on no octet behind those that tell, so it does not matter how the message is cut.
fn belongs(line: &[u8], continues: bool) -> Option<Line> {
    match line {
        [] | [b'\r'] => return None,
        [b'\r', ..] => return Some(Line::Empty),
        [b' ' | b'\t', ..] => return Some(if continues { Line::Header } else { Line::Body }),
        _ => {}
    }
    let name = line.iter().position(|octet| !octet.is_ascii_graphic() || *octet == b':');
    match name {
        Some(0) => Some(Line::Body),
        None if line.len() <= NAME_MAX => None,
        None => Some(Line::Body),
        Some(end) if end > NAME_MAX => Some(Line::Body),
        Some(_) if line.starts_with(b"From ") => Some(Line::Header),
        Some(end) => match line[end..].iter().find(|octet| !matches!(octet, b' ' | b'\t')) {
            Some(b':') => Some(Line::Header),
            Some(_) => Some(Line::Body),
            None => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken_in(message: &[u8], cut: usize) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let (mut intake, mut body) = (Intake::new(HEADER_MAX, u64::MAX), Vec::new());
        for piece in message.chunks(cut) {
            intake.feed(piece, &mut body)?;
        }
        intake.finish(&mut body)?;
        Ok((intake.header().expect("the message has ended"), body))
    }

    #[test]
    fn the_header_ends_at_an_empty_line_or_before_what_is_no_field() {
        for (message, header, body) in [
            ("", "", ""),
            ("A: b", "A: b\r\n", ""),
            ("A: b\n c\n\nbody\n", "A: b\r\n c\r\n\r\n", "body\r\n"),
            ("A: b\r\nC:\r\n\r\nbody", "A: b\r\nC:\r\n\r\n", "body\r\n"),
            ("\nA: b\n", "\r\n", "A: b\r\n"),
            ("A : b\nhi there\nC: d\n", "A : b\r\n", "hi there\r\nC: d\r\n"),
            ("Subject hi\nA: b\n", "", "Subject hi\r\nA: b\r\n"),
            (" A: b\n", "", " A: b\r\n"),
            (": b\n", "", ": b\r\n"),
            ("\u{e9}: b\n", "", "\u{e9}: b\r\n"),
            ("From a  Mon\nA: b\n\nx", "From a  Mon\r\nA: b\r\n\r\n", "x\r\n"),
            ("A: b\n \nC: d\n", "A: b\r\n \r\nC: d\r\n", ""),
            ("A: b\n\n.\n", "A: b\r\n\r\n", ".\r\n"),
            ("abc", "", "abc\r\n"),
        ] {
            for cut in [1, 2, 3, 100] {
                let expected = (header.as_bytes().to_vec(), body.as_bytes().to_vec());
                assert_eq!(taken_in(message.as_bytes(), cut), Ok(expected), "{message:?} by {cut}");
            }
        }
    }

    #[test]
    fn a_lone_cr_in_a_header_of_other_lines_makes_no_field() {
        for cut in [1, 2, 100] {
            for message in
                ["To: a\nSubject: b\rBcc: c\n\nd\n", "To: a\r\nB: b\rBcc: c\r\n", "To: a\rBcc: c\nd: e\n\n"]
            {
                let refused = taken_in(message.as_bytes(), cut);
                assert!(matches!(refused, Err(Refusal::Injection(_))), "{message:?} by {cut}: {refused:?}");
            }
            // In the body it is a line end, and where it is the only one it is in the header as well.
            let body = taken_in(b"To: a\n\nd\re\n", cut).unwrap();
            assert_eq!(body, (b"To: a\r\n\r\n".to_vec(), b"d\r\ne\r\n".to_vec()));
            let old = taken_in(b"To: a\rB: b\r\rd\re", cut).unwrap();
            assert_eq!(old, (b"To: a\r\nB: b\r\n\r\n".to_vec(), b"d\r\ne\r\n".to_vec()));
        }
    }

    #[test]
    fn a_long_line_that_begins_a_message_without_a_header_is_its_body() {
        for octet in ["A", "a b"] {
            let message = octet.repeat(300_000);
            let (header, body) = taken_in(message.as_bytes(), 8192).unwrap();
            assert_eq!((header.len(), body.len()), (0, message.len() + 2));
        }
    }

    #[test]
    fn a_header_and_a_message_have_their_most_octets() {
        let feed = |header_max, message_max, message: &[u8]| {
            Intake::new(header_max, message_max).feed(message, &mut Vec::new())
        };
        assert_eq!(feed(8, 99, b"A: bc\n\nx\n"), Err(Refusal::HeaderTooLarge(8)));
        assert_eq!(feed(9, 99, b"A: bc\n\nx\n"), Ok(()));
        assert_eq!(feed(9, 12, b"A: bc\n\nx\n"), Ok(()));
        assert_eq!(feed(9, 11, b"A: bc\n\nx\n"), Err(Refusal::TooLarge(11)));
        let endless = [&b"A: "[..], &vec![b'x'; 300_000]].concat();
        assert_eq!(feed(HEADER_MAX, u64::MAX, &endless), Err(Refusal::HeaderTooLarge(HEADER_MAX)));
    }

    #[test]
    fn the_header_is_given_once_as_soon_as_it_is_complete() {
        let (mut intake, mut body) = (Intake::new(HEADER_MAX, 1000), Vec::new());
        intake.feed(b"Received: x\nDelivered-To: y\n", &mut body).unwrap();
        assert_eq!(intake.header(), None);
        intake.feed(b"\nReceived: z\n", &mut body).unwrap();
        assert_eq!(intake.header().as_deref(), Some(&b"Received: x\r\nDelivered-To: y\r\n\r\n"[..]));
        assert_eq!((intake.header(), intake.hops(), intake.size()), (None, 2, 45));
    }

    proptest! {
        /// Header and body are what came, whatever the pieces; every line of the header belongs there.
        #[test]
        fn nothing_is_lost_however_the_message_is_cut(
            message in "((From |To: a|Ab|:| |\t|x y|\r|\n|\n\n|[.]){0,24})", cut in 1usize..9,
        ) {
            let taken = taken_in(message.as_bytes(), cut);
            prop_assert_eq!(&taken_in(message.as_bytes(), 1000), &taken);
            let Ok((header, body)) = taken else { return Ok(()) };
            let (mut lines, mut whole) = (Lines::new(), Vec::new());
            lines.feed(message.as_bytes(), &mut whole).unwrap();
            lines.finish(&mut whole);
            prop_assert_eq!([&header[..], &body[..]].concat(), whole);
            for line in header.split_inclusive(|octet| *octet == b'\n') {
                let fits = line.starts_with(b"From ") || b" \t".contains(&line[0]) || message::has_header(line);
                prop_assert!(fits, "{:?}", line);
            }
        }

        #[test]
        fn any_octets_are_taken_or_refused(message in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
            let _ = taken_in(&message, cut);
        }
    }
}
