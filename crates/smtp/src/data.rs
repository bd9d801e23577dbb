//! Mail data as they come over the wire: the end is found, dots are undone, line ends are checked.
//!
//! Only CRLF `.` CRLF ends the data of DATA (RFC 5321 §4.1.1.4), and a CR or LF that stands alone
//! is a fault (§2.3.8): servers that take one for a line end can be made to see a second message
//! inside the first. After a fault nothing more is given out, but the true end is still looked for,
//! so that the rest of the data is not taken for commands.

use memchr::memchr3;

/// Decodes the mail data of one message, in pieces of any size.
#[derive(Debug, Clone)]
pub struct Decoder {
    place: Place,
    fault: Option<LineFault>,
    framing: Framing,
}

/// Something that mail data must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFault {
    /// A CR that is not followed by LF.
    BareCr,
    /// A LF that does not follow a CR.
    BareLf,
    /// A NUL, which neither 7-bit nor 8-bit data may have (RFC 2045 §2.7, §2.8).
    Nul,
}

/// What became of a piece of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// So many octets at the front of the piece are now mail data.
    pub kept: usize,
    /// So many octets of the piece were used.
    pub consumed: usize,
    /// Whether the data ended there.
    pub ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// DATA: the data end with a line of one dot, and other dots at the start of a line are doubled.
    Dot,
    /// BDAT: the size was said before.
    Counted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    /// After a dot that opened a line, and was taken out.
    Dot,
    /// After that dot and a CR, which was taken out as well.
    DotCr,
    Text,
    /// After a CR.
    Cr,
    End,
}

impl Decoder {
    /// For the data of DATA.
    pub fn dotted() -> Decoder {
        Decoder { place: Place::LineStart, fault: None, framing: Framing::Dot }
    }

    /// For the data of BDAT, where dots mean nothing and the end is known to others (RFC 3030 §2).
    pub fn counted() -> Decoder {
        Decoder { framing: Framing::Counted, ..Decoder::dotted() }
    }

    /// Decodes a piece where it lies: dots are taken out by moving what follows them forward, so
    /// that the mail data of the piece are one slice, and nothing is moved if there are none.
    pub fn decode(&mut self, piece: &mut [u8]) -> Decoded {
        let mut at = 0;
        let mut kept = Kept { length: 0, run: self.fault.is_none().then_some(0) };
        while let Some(&octet) = piece.get(at) {
            match (self.place, octet) {
                (Place::Text, _) => {
                    let Some(found) = memchr3(b'\r', b'\n', 0, &piece[at..]) else {
                        at = piece.len();
                        break;
                    };
                    at += found;
                    match (piece[at], piece.get(at + 1), piece.get(at + 2)) {
                        // The common case, a line end before a line without a dot, in one step.
                        (b'\r', Some(b'\n'), Some(next)) if *next != b'.' => {
                            at += 2;
                            continue;
                        }
                        (b'\r', ..) => self.place = Place::Cr,
                        (b'\n', ..) => self.refuse(LineFault::BareLf, piece, &mut kept, at),
                        _ => self.refuse(LineFault::Nul, piece, &mut kept, at),
                    }
                    at += 1;
                }
                (Place::Cr, b'\n') => {
                    self.place = Place::LineStart;
                    at += 1;
                }
                (Place::DotCr, b'\n') => {
                    self.place = Place::End;
                    kept.skip(piece, at, 1);
                    at += 1;
                }
                (Place::Cr | Place::DotCr, _) => {
                    // The octet itself is looked at again, as text.
                    self.refuse(LineFault::BareCr, piece, &mut kept, at);
                    self.place = Place::Text;
                }
                (Place::LineStart, b'.') if self.framing == Framing::Dot => {
                    self.place = Place::Dot;
                    kept.skip(piece, at, 1);
                    at += 1;
                }
                (Place::Dot, b'\r') => {
                    self.place = Place::DotCr;
                    kept.skip(piece, at, 1);
                    at += 1;
                }
                (Place::LineStart | Place::Dot, _) => self.place = Place::Text,
                (Place::End, _) => break,
            }
        }
        kept.skip(piece, at, 0);
        Decoded { kept: kept.length, consumed: at, ended: self.place == Place::End }
    }

    /// The first fault found.
    pub fn fault(&self) -> Option<LineFault> {
        self.fault
    }

    /// Ends data whose end is known to others. Gives the line end that they lack, once.
    ///
    /// # Errors
    /// If the last octet is a bare CR, or there was a fault before.
    pub fn finish(&mut self) -> Result<&'static [u8], LineFault> {
        if self.place == Place::Cr {
            self.fault.get_or_insert(LineFault::BareCr);
        }
        match (self.fault, std::mem::replace(&mut self.place, Place::End)) {
            (Some(fault), _) => Err(fault),
            (None, Place::Text) => Ok(b"\r\n"),
            (None, _) => Ok(b""),
        }
    }

    /// Whether the data have ended.
    pub fn has_ended(&self) -> bool {
        self.place == Place::End
    }

    /// Notes a fault before the octet at `at`; what stood before it is still given out.
    fn refuse(&mut self, fault: LineFault, piece: &mut [u8], kept: &mut Kept, at: usize) {
        if self.fault.is_none() {
            self.fault = Some(fault);
            kept.skip(piece, at, 0);
            kept.run = None;
        }
    }
}

/// What is given out of a piece: `length` octets at its front, and the run that begins at `run` and
/// is not yet moved there. There is no run after a fault.
struct Kept {
    length: usize,
    run: Option<usize>,
}

impl Kept {
    /// Ends the run at `at`, and begins the next after `skipped` octets.
    fn skip(&mut self, piece: &mut [u8], at: usize, skipped: usize) {
        let Some(run) = self.run else { return };
        if run != self.length {
            piece.copy_within(run..at, self.length);
        }
        self.length += at - run;
        self.run = Some(at + skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The mail data, how much input was used, whether it ended, and the fault.
    fn decoded(mut decoder: Decoder, input: &[u8], cut: usize) -> (Vec<u8>, usize, bool, Option<LineFault>) {
        let (mut data, mut used, mut ended) = (Vec::new(), 0, false);
        for piece in input.chunks(cut) {
            let mut piece = piece.to_vec();
            let result = decoder.decode(&mut piece);
            assert!(result.kept <= result.consumed && result.consumed <= piece.len());
            data.extend_from_slice(&piece[..result.kept]);
            used += result.consumed;
            ended = result.ended;
            if ended {
                break;
            }
            assert_eq!(result.consumed, piece.len());
        }
        (data, used, ended, decoder.fault())
    }

    fn dotted(input: &[u8]) -> (Vec<u8>, usize, bool, Option<LineFault>) {
        let whole = decoded(Decoder::dotted(), input, usize::MAX);
        for cut in 1..4 {
            assert_eq!(decoded(Decoder::dotted(), input, cut), whole);
        }
        whole
    }

    #[test]
    fn dots_are_undone_and_the_end_is_found() {
        for (input, data) in [
            (&b".\r\n"[..], &b""[..]),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b".a\r\n...b\r\n\r\n.\r\n", b"a\r\n..b\r\n\r\n"),
            (b"a.\r\n.b.\r\nc..d\r\n.\r\n", b"a.\r\nb.\r\nc..d\r\n"),
        ] {
            assert_eq!(dotted(input), (data.to_vec(), input.len(), true, None));
        }
        assert_eq!(dotted(b"a\r\n.\r\nQUIT\r\n"), (b"a\r\n".to_vec(), 6, true, None));
        assert_eq!(dotted(b"a\r\n."), (b"a\r\n".to_vec(), 4, false, None));
    }

    /// What makes other servers see an end where there is none.
    #[test]
    fn nothing_but_crlf_dot_crlf_ends_the_data() {
        for smuggled in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r\n.\r",
            "\r.\r\n",
            "\r\n.\r\r\n",
            "\r\r\n.\n",
            "\n.\r",
            "\r.\n",
            "\r\n.\0\r\n",
            "\r\n\0.\r\n",
            "\0\r\n.\n",
            "\n\n.\n\n",
            "\r\r.\r\r",
            "\r\n.\n\r\n",
            "\r\n. \r\n",
            "\r\n .\r\n",
            "\r\n..\r\n",
        ] {
            let input = format!("From: a\r\n\r\nb{smuggled}MAIL FROM:<evil@x.example>\r\n");
            let (_, used, ended, fault) = dotted(input.as_bytes());
            assert!(!ended && used == input.len(), "{smuggled:?} ended the data");
            let harmless = ["\r\n. \r\n", "\r\n .\r\n", "\r\n..\r\n"].contains(&smuggled);
            assert_eq!(fault.is_none(), harmless, "{smuggled:?}");
            let (.., ended, _) = dotted(format!("{input}.\r\n").as_bytes());
            assert!(ended, "the true end after {smuggled:?} was missed");
        }
    }

    #[test]
    fn the_first_fault_counts_and_nothing_after_it_is_given_out() {
        assert_eq!(dotted(b"a\nb\rc\0\r\n.\r\n"), (b"a".to_vec(), 11, true, Some(LineFault::BareLf)));
        assert_eq!(dotted(b"a\r\n.b\0c\r\n.\r\n"), (b"a\r\nb".to_vec(), 12, true, Some(LineFault::Nul)));
        assert_eq!(dotted(b"\n"), (vec![], 1, false, Some(LineFault::BareLf)));
    }

    #[test]
    fn counted_data_keep_their_dots_and_get_a_line_end() {
        for (input, given, added) in [
            (&b""[..], &b""[..], Ok(&b""[..])),
            (b".\r\n.\r\n", b".\r\n.\r\n", Ok(b"")),
            (b"a\r\n.", b"a\r\n.", Ok(b"\r\n")),
            (b"a\r", b"a\r", Err(LineFault::BareCr)),
            (b"a\nb", b"a", Err(LineFault::BareLf)),
        ] {
            for cut in [1, 2, 100] {
                let mut decoder = Decoder::counted();
                let mut data = Vec::new();
                for piece in input.chunks(cut) {
                    let mut piece = piece.to_vec();
                    let result = decoder.decode(&mut piece);
                    assert!(!result.ended && result.consumed == piece.len());
                    data.extend_from_slice(&piece[..result.kept]);
                }
                assert_eq!((&data[..], decoder.finish()), (given, added));
            }
        }
    }

    fn stuffed(data: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in data.split_inclusive(|b| *b == b'\n') {
            if line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line);
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }

    proptest! {
        #[test]
        fn what_was_stuffed_comes_back(lines in proptest::collection::vec("[.a é]{0,5}", 0..20), cut in 1usize..40) {
            let data: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let wire = stuffed(data.as_bytes());
            let result = decoded(Decoder::dotted(), &wire, cut);
            prop_assert_eq!(result, (data.into_bytes(), wire.len(), true, None));
        }

        #[test]
        fn the_end_is_where_the_plain_rule_says(
            input in "[.\\r\\n\\x00a]{0,24}|(\\r\\n|\\.|a|\\r|\\n){0,24}", cut in 1usize..9,
        ) {
            let framed = [b"\r\n", input.as_bytes()].concat();
            let end = framed.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 3);
            let (data, used, ended, fault) = decoded(Decoder::dotted(), input.as_bytes(), cut);
            prop_assert_eq!(ended.then_some(used), end);
            prop_assert_eq!(&decoded(Decoder::dotted(), input.as_bytes(), usize::MAX), &(data, used, ended, fault));
        }
    }
}
