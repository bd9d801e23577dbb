//! From the line ends of the wire to those of files.

use memchr::memchr_iter;

/// CRLF becomes LF, in pieces of any size. A CR or LF that stands alone stays.
#[derive(Debug, Default)]
pub struct ToLf {
    /// The last octet given was a CR whose line end is not decided yet.
    held_cr: bool,
}

impl ToLf {
    /// Converts a piece to the end of `out`.
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let Some(&first) = octets.first() else { return };
        if std::mem::take(&mut self.held_cr) && first != b'\n' {
            out.push(b'\r');
        }
        let mut begin = 0;
        for feed in memchr_iter(b'\n', octets) {
            let line = &octets[begin..feed];
            out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            out.push(b'\n');
            begin = feed + 1;
        }
        match octets[begin..].split_last() {
            Some((b'\r', rest)) => {
                out.extend_from_slice(rest);
                self.held_cr = true;
            }
            _ => out.extend_from_slice(&octets[begin..]),
        }
    }

    /// The end: a CR that waited for its LF stays.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.held_cr {
            out.push(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_pieces_give_the_same_as_the_whole(
            pieces in proptest::collection::vec(proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x')], 0..8), 0..8)
        ) {
            let (mut lines, mut out) = (ToLf::default(), Vec::new());
            pieces.iter().for_each(|piece| lines.feed(piece, &mut out));
            lines.finish(&mut out);
            let whole = String::from_utf8(pieces.concat()).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), whole.replace("\r\n", "\n"));
        }
    }
}
