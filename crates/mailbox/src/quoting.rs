//! Quoting of mboxrd: a `>` before each line that begins with `From `, however many `>` it has.

use memchr::memchr;

const FROM: &[u8] = b"From ";

/// Lines on their way into an mbox, in pieces of any size, with LF line ends.
#[derive(Debug, Default)]
pub(crate) struct Quoting {
    place: Place,
}

/// Where the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// At the beginning of a line.
    #[default]
    LineBegin,
    /// After the `>` with which a line begins. They are written already: one more looks the same
    /// behind them as before them.
    Marks,
    /// So many octets of `From ` were held back.
    Held(usize),
    /// In a line that needs no quoting.
    Line,
}

impl Quoting {
    pub fn feed(&mut self, mut octets: &[u8], out: &mut Vec<u8>) {
        while let Some((&first, rest)) = octets.split_first() {
            self.place = match self.place {
                Place::Line => {
                    let end = memchr(b'\n', octets).map_or(octets.len(), |feed| feed + 1);
                    out.extend_from_slice(&octets[..end]);
                    octets = &octets[end..];
                    if out.ends_with(b"\n") { Place::LineBegin } else { Place::Line }
                }
                Place::LineBegin | Place::Marks if first == b'>' => {
                    out.push(first);
                    octets = rest;
                    Place::Marks
                }
                Place::LineBegin | Place::Marks if first == FROM[0] => {
                    octets = rest;
                    Place::Held(1)
                }
                Place::LineBegin | Place::Marks => Place::Line,
                Place::Held(held) if first == FROM[held] => {
                    octets = rest;
                    if held + 1 == FROM.len() {
                        out.push(b'>');
                        out.extend_from_slice(FROM);
                        Place::Line
                    } else {
                        Place::Held(held + 1)
                    }
                }
                Place::Held(held) => {
                    out.extend_from_slice(&FROM[..held]);
                    Place::Line
                }
            };
        }
    }

    /// Ends the message: its last line gets its LF, and a blank line follows.
    pub fn finish(self, out: &mut Vec<u8>) {
        if let Place::Held(held) = self.place {
            out.extend_from_slice(&FROM[..held]);
        }
        out.extend_from_slice(if self.place == Place::LineBegin { b"\n" } else { b"\n\n" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(pieces: &[&[u8]]) -> String {
        let (mut quoting, mut out) = (Quoting::default(), Vec::new());
        pieces.iter().for_each(|piece| quoting.feed(piece, &mut out));
        quoting.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The same in the simplest way, of a whole text.
    fn plainly(text: &str) -> String {
        let mut out = String::new();
        for line in text.split_inclusive('\n') {
            if line.trim_start_matches('>').starts_with("From ") {
                out.push('>');
            }
            out.push_str(line);
        }
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out + "\n"
    }

    #[test]
    fn lines_that_look_like_a_beginning_are_quoted() {
        assert_eq!(quoted(&[b"From a\n>From b\nFrom\nFrom: c\n\nx From d"]), {
            ">From a\n>>From b\nFrom\nFrom: c\n\nx From d\n\n"
        });
        assert_eq!(quoted(&[b"x\n>"]), "x\n>\n\n");
    }

    proptest! {
        #[test]
        fn any_pieces_are_quoted_as_the_whole(
            pieces in proptest::collection::vec("(>|From |Fr|om |\n|x){0,6}", 0..6)
        ) {
            let slices: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            prop_assert_eq!(quoted(&slices), plainly(&pieces.concat()));
        }
    }
}
