//! Command lines, cut from the input as it comes.

use bytes::BytesMut;
use memchr::memchr;
use zeroize::Zeroize;

/// The longest command line in octets, its line end included.
pub(crate) const LINE_MAX: usize = 2048;

/// How much of a line that is too long is kept: a verb and what ends it.
const BEGINNING: usize = 8;

/// Cuts input into lines. It holds no more of a line that is not yet complete than a line may have,
/// and only the beginning of one that is too long. Any of it may be a password: no copy of what it
/// has given out, or moved, stays behind.
#[derive(Debug, Default)]
pub(crate) struct CommandLines {
    held: Held,
}

/// A line has more octets than it may. Here is how it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineTooLong {
    pub beginning: Vec<u8>,
}

#[derive(Debug)]
enum Held {
    Line(BytesMut),
    TooLong(LineTooLong),
}

impl Default for Held {
    fn default() -> Held {
        Held::Line(BytesMut::new())
    }
}

impl CommandLines {
    /// Takes the next line off the input, without its line end: CRLF, or a bare LF as qmail takes
    /// it in commands. It may have `line_max` octets, line end included. `None`: the line is not
    /// complete, and the input is used up.
    pub(crate) fn next(
        &mut self,
        input: &mut BytesMut,
        line_max: usize,
    ) -> Option<Result<BytesMut, LineTooLong>> {
        let end = memchr(b'\n', input);
        let mut part = input.split_to(end.map_or(input.len(), |at| at + 1));
        let held = match std::mem::take(&mut self.held) {
            Held::Line(mut line) if line.len() + part.len() > line_max => {
                let beginning = line.iter().chain(&part).copied().take(BEGINNING).collect();
                line.zeroize();
                part.zeroize();
                Held::TooLong(LineTooLong { beginning })
            }
            Held::Line(line) if line.is_empty() && end.is_some() => Held::Line(part),
            // A copy, so that an idle client does not hold a whole read buffer.
            Held::Line(line) => Held::Line(joined(line, part)),
            too_long => too_long,
        };
        if end.is_none() {
            self.held = held;
            return None;
        }
        Some(match held {
            Held::Line(line) => Ok(without_line_end(line)),
            Held::TooLong(too_long) => Err(too_long),
        })
    }
}

/// `part` behind `line`, and nothing of either where it was.
fn joined(mut line: BytesMut, mut part: BytesMut) -> BytesMut {
    let length = line.len() + part.len();
    if line.capacity() < length {
        // A buffer that grows by itself would leave its old octets in freed memory.
        let mut larger = BytesMut::with_capacity(length.next_power_of_two());
        larger.extend_from_slice(&line);
        line.zeroize();
        line = larger;
    }
    line.extend_from_slice(&part);
    part.zeroize();
    line
}

fn without_line_end(mut line: BytesMut) -> BytesMut {
    let end = line.strip_suffix(b"\n").unwrap_or(&line);
    let length = end.strip_suffix(b"\r").unwrap_or(end).len();
    line.truncate(length);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(input: &[u8], cut: usize) -> Vec<Result<Vec<u8>, Vec<u8>>> {
        let mut lines = CommandLines::default();
        let mut found = Vec::new();
        for chunk in input.chunks(cut) {
            let mut chunk = BytesMut::from(chunk);
            while let Some(line) = lines.next(&mut chunk, LINE_MAX) {
                found.push(line.map(|l| l.to_vec()).map_err(|e| e.beginning));
            }
            assert!(chunk.is_empty());
            assert!(!matches!(&lines.held, Held::Line(line) if line.len() > LINE_MAX));
        }
        found
    }

    #[test]
    fn lines_end_in_crlf_or_lf() {
        assert_eq!(
            lines(b"a\r\nb\n\r\n\nc\rd\r\r\ne", 100),
            [Ok(b"a".to_vec()), Ok(b"b".to_vec()), Ok(vec![]), Ok(vec![]), Ok(b"c\rd\r".to_vec()),]
        );
    }

    #[test]
    fn a_line_may_have_2048_octets_and_no_more() {
        for (length, fits) in [(LINE_MAX - 2, true), (LINE_MAX - 1, false), (100_000, false)] {
            let mut input = b"BDAT ".to_vec();
            input.resize(length, b'x');
            input.extend(b"\r\nnext\r\n");
            for cut in [1, 7, 2048, 1 << 20] {
                let found = lines(&input, cut);
                assert_eq!(found.len(), 2);
                assert_eq!(found[0].is_ok(), fits, "{length} {cut}");
                if !fits {
                    assert_eq!(found[0], Err(b"BDAT xxx".to_vec()));
                }
                assert_eq!(found[1], Ok(b"next".to_vec()));
            }
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_input_is_cut(input in "[a\r\n]{0,60}", cut in 1usize..9) {
            prop_assert_eq!(lines(input.as_bytes(), cut), lines(input.as_bytes(), 1000));
        }
    }
}
