//! Raw Japanese text in a header field, as mail programs wrote it before MIME and some still do.
//!
//! Its octets look like what means something there: the `(` in `ESC ( B`, which ends a run of
//! ISO-2022-JP (RFC 1468), and most of what stands in such a run; the second octet of a Shift_JIS
//! character may be a backslash. Read as RFC 5322 has it, such a name swallows the address after it.

const ESC: u8 = 0x1b;

/// How to read the octets of one field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawText {
    utf8: bool,
    escapes: bool,
}

impl RawText {
    /// Looks at the whole field: octets that are no UTF-8 are taken for Shift_JIS.
    pub(crate) fn of(field: &[u8]) -> RawText {
        RawText { utf8: std::str::from_utf8(field).is_ok(), escapes: field.contains(&ESC) }
    }

    /// Whether everybody reads the field the same way.
    pub(crate) fn is_plain(self) -> bool {
        self.utf8 && !self.escapes
    }

    /// How many octets at the front of `text` are characters and nothing else. 0: the first octet
    /// means what it says.
    pub(crate) fn opaque(self, text: &[u8]) -> usize {
        match text {
            [ESC, ..] => iso_2022_jp(text),
            [0x81..=0x9f | 0xe0..=0xfc, 0x40..=0x7e | 0x80..=0xfc, ..] if !self.utf8 => 2,
            [0x80..=0xff, ..] => 1,
            _ => 0,
        }
    }
}

/// The length of a run of ISO-2022-JP at the front of `text`, its escape sequences included. A line
/// end ends it as well (RFC 1468), and a lone ESC is a character.
fn iso_2022_jp(text: &[u8]) -> usize {
    let begins = match text {
        [_, b'$', b'@' | b'B', ..] | [_, b'(', b'I', ..] => 3,
        [_, b'$', b'(', _, ..] => 4,
        [_, b'(', b'B' | b'J' | b'H', ..] => return 3,
        _ => return 1,
    };
    let mut at = begins;
    while let Some(octet) = text.get(at) {
        match octet {
            b'\r' | b'\n' => return at,
            &ESC if matches!(text[at..], [_, b'(', b'B' | b'J' | b'H', ..]) => return at + 3,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opaque(text: &[u8]) -> usize {
        RawText::of(text).opaque(text)
    }

    #[test]
    fn a_run_of_iso_2022_jp_ends_where_ascii_begins_again() {
        assert_eq!(opaque(b"\x1b$B;3(ED\x1b(B <a@x>"), 11);
        assert_eq!(opaque(b"\x1b$@;3\x1b$B;3\x1b(J<"), 13);
        assert_eq!(opaque(b"\x1b(I1,\x1b(B,"), 8);
        assert_eq!(opaque(b"\x1b$(D01\x1b(B"), 9);
        assert_eq!(opaque(b"\x1b$B;3\r\n <a@x>"), 5);
        assert_eq!(opaque(b"\x1b(B("), 3);
        assert_eq!(opaque(b"\x1b("), 1);
        assert_eq!(opaque(b"\x1b$)C<"), 1);
        assert_eq!(opaque(b"a"), 0);
    }

    #[test]
    fn a_backslash_in_shift_jis_belongs_to_its_character_and_one_after_utf8_does_not() {
        assert_eq!(opaque(b"\x95\\\""), 2);
        assert_eq!(opaque("é\\\"".as_bytes()), 1);
        assert_eq!(opaque(b"\xb1\\"), 1, "half-width kana are one octet");
    }

    proptest! {
        #[test]
        fn no_more_is_opaque_than_there_is(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(opaque(&text) <= text.len());
        }
    }
}
