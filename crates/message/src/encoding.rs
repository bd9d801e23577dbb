//! Text made seven-bit: MIME's encodings (RFC 2045 §6, RFC 2047).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The longest line that mail data may have, in octets without its CRLF (RFC 5322 §2.1.1).
pub(crate) const LINE_MAX: usize = 998;

/// Whether `text` may travel as it is: ASCII without control characters but TAB and the line ends
/// that it has, in lines that are not too long (RFC 2045 §2.7).
pub(crate) fn is_seven_bit(text: &[u8]) -> bool {
    lines(text)
        .all(|line| line.len() <= LINE_MAX && line.iter().all(|b| *b == b'\t' || (b' '..=b'~').contains(b)))
}

/// The lines of `text`, whether they end in CRLF or LF. After a final line end stands no line.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|b| *b == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

/// Base64 in lines of 76 octets, each with its CRLF.
pub(crate) fn base64_lines(out: &mut Vec<u8>, text: &[u8]) {
    // 57 octets are 76 digits.
    for line in text.chunks(57) {
        out.extend_from_slice(STANDARD.encode(line).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Quoted-printable: the lines of `text` stay lines, and long ones get soft breaks (RFC 2045 §6.7).
pub(crate) fn quoted_printable(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for line in lines(text) {
        let mut width = 0;
        for (at, &octet) in line.iter().enumerate() {
            let last = at + 1 == line.len();
            let literal = match octet {
                b'=' => false,
                b' ' | b'\t' => !last,
                _ => octet.is_ascii_graphic(),
            };
            let needed = if literal { 1 } else { 3 };
            // A line has 76 octets, of which a soft break's "=" is one.
            if width + needed > 75 {
                out.extend_from_slice(b"=\r\n");
                width = 0;
            }
            width += needed;
            match literal {
                true => out.push(octet),
                false => out.extend([b'=', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]),
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The fields of a part of plain text, the empty line, and the text: as it is if it may travel so, else
/// in base64. Its lines end in CRLF.
pub(crate) fn plain_text(out: &mut Vec<u8>, text: &str) {
    if is_seven_bit(text.as_bytes()) {
        out.extend_from_slice(b"Content-Type: text/plain; charset=us-ascii\r\n\r\n");
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        );
        base64_lines(out, text.as_bytes());
    }
}

/// `text` as encoded-words of a header field, folded (RFC 2047 §2); ASCII stays as it is.
pub(crate) fn encoded_words(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // 45 octets are 60 digits; with its frame the word stays under 75 characters.
        let end = rest.floor_char_boundary(45);
        words.push(format!("=?UTF-8?B?{}?=", STANDARD.encode(&rest[..end])));
        rest = &rest[end..];
    }
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &[u8]) -> String {
        let mut out = Vec::new();
        quoted_printable(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quoted_printable_keeps_lines_and_hides_the_rest() {
        assert_eq!(quoted(b"a=b \r\n\xE9\0\tc\nd\re"), "a=3Db=20\r\n=E9=00\tc\r\nd=0De\r\n");
    }

    #[test]
    fn long_text_is_folded_between_characters() {
        let words = encoded_words(&"飛脚".repeat(20));
        assert!(words.lines().count() > 1 && words.lines().all(|line| line.len() <= 76));
        assert_eq!(encoded_words("plain"), "plain");
    }

    proptest! {
        #[test]
        fn every_encoding_gives_short_lines_of_seven_bits(text in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut out = Vec::new();
            quoted_printable(&mut out, &text);
            base64_lines(&mut out, &text);
            prop_assert!(is_seven_bit(&out));
            prop_assert!(lines(&out).all(|line| line.len() <= 76));
        }

        #[test]
        fn quoted_printable_reads_back(line in proptest::collection::vec(any::<u8>(), 1..300)) {
            let line: Vec<u8> = line.into_iter().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
            let unfolded = quoted(&line).replace("=\r\n", "");
            let mut read = Vec::new();
            let mut octets = unfolded.trim_end_matches("\r\n").bytes();
            while let Some(octet) = octets.next() {
                read.push(match octet {
                    b'=' => {
                        let hex: String = octets.by_ref().take(2).map(char::from).collect();
                        u8::from_str_radix(&hex, 16).unwrap()
                    }
                    plain => plain,
                });
            }
            prop_assert_eq!(read, line);
        }
    }
}
