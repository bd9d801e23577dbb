//! A name as it stands beside an address, made of what an environment or an option says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::encoding::encoded_words;

/// The longest name, in octets.
const NAME_MAX: usize = 500;

/// A name that may stand in a header field: ASCII, or encoded-words (RFC 2047).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName {
    text: String,
    encoded: bool,
}

impl DisplayName {
    /// Takes a name in ASCII, UTF-8, ISO-2022-JP, EUC-JP or Shift_JIS. Text in the Japanese encodings is
    /// not converted: it becomes encoded-words that name its charset, and where it could be in more than
    /// one, in the first of them.
    ///
    /// None, if it is empty, in no such encoding, longer than 500 octets, or has line ends or control
    /// characters.
    pub fn of(name: &[u8]) -> Option<DisplayName> {
        let name = name.trim_ascii();
        if name.is_empty() || name.len() > NAME_MAX {
            return None;
        }
        let plain = |octet: &u8| matches!(octet, b' '..=b'~');
        let (text, encoded) = match std::str::from_utf8(name) {
            Ok(text) if name.iter().all(plain) => (text.to_owned(), false),
            Ok(text) if text.contains(is_control) && !text.contains('\x1b') => return None,
            Ok(text) if !text.is_ascii() && !text.contains('\x1b') => (encoded_words(text), true),
            _ => {
                let (charset, characters) = [
                    ("ISO-2022-JP", iso_2022_jp as fn(&[u8]) -> Option<Vec<Character<'_>>>),
                    ("EUC-JP", |name| characters(name, euc_jp)),
                    ("Shift_JIS", |name| characters(name, shift_jis)),
                ]
                .into_iter()
                .find_map(|(charset, read)| Some((charset, read(name)?)))?;
                (japanese_words(charset, &characters), true)
            }
        };
        Some(DisplayName { text, encoded })
    }

    /// As it stands before an address in angle brackets: quoted, or encoded-words (RFC 5322 §3.2.5).
    pub fn phrase(&self) -> String {
        if self.encoded { self.text.clone() } else { format!("\"{}\"", escaped(&self.text)) }
    }

    /// As it stands behind an address, in parentheses.
    pub fn comment(&self) -> String {
        if self.encoded { format!("({})", self.text) } else { format!("({})", escaped(&self.text)) }
    }
}

/// Control characters, and what some programs take for line ends.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '(' | ')') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A character, and the escape sequence of the set that it is in; none for ASCII, and in encodings
/// without such.
#[derive(Clone, Copy)]
struct Character<'a> {
    set: &'a [u8],
    octets: &'a [u8],
}

/// Reads a name in ISO-2022-JP, which ends in ASCII (RFC 1468).
fn iso_2022_jp(name: &[u8]) -> Option<Vec<Character<'_>>> {
    let (mut characters, mut set, mut rest) = (Vec::new(), &b""[..], name);
    while !rest.is_empty() {
        let (length, is_escape) = match rest {
            [0x1b, b'$', b'@' | b'B', ..] | [0x1b, b'(', b'B' | b'J', ..] => (3, true),
            [0x21..=0x7e, 0x21..=0x7e, ..] if set.starts_with(b"\x1b$") => (2, false),
            [b' '..=b'~', ..] if !set.starts_with(b"\x1b$") => (1, false),
            _ => return None,
        };
        let (octets, after) = rest.split_at(length);
        match octets {
            b"\x1b(B" => set = b"",
            _ if is_escape => set = octets,
            _ => characters.push(Character { set, octets }),
        }
        rest = after;
    }
    set.is_empty().then_some(characters)
}

/// Reads a name in an encoding without escape sequences; `length` tells that of the character in front,
/// or 0 where there is none.
fn characters(name: &[u8], length: fn(&[u8]) -> usize) -> Option<Vec<Character<'_>>> {
    let (mut characters, mut rest) = (Vec::new(), name);
    while !rest.is_empty() {
        let (octets, after) = match (rest[0], length(rest)) {
            (b' '..=b'~', _) => rest.split_at(1),
            (_, 0) => return None,
            (_, length) => rest.split_at(length),
        };
        characters.push(Character { set: b"", octets });
        rest = after;
    }
    Some(characters)
}

fn euc_jp(text: &[u8]) -> usize {
    match text {
        [0xa1..=0xfe, 0xa1..=0xfe, ..] | [0x8e, 0xa1..=0xdf, ..] => 2,
        [0x8f, 0xa1..=0xfe, 0xa1..=0xfe, ..] => 3,
        _ => 0,
    }
}

fn shift_jis(text: &[u8]) -> usize {
    match text {
        [0x81..=0x9f | 0xe0..=0xfc, 0x40..=0x7e | 0x80..=0xfc, ..] => 2,
        [0xa1..=0xdf, ..] => 1,
        _ => 0,
    }
}

/// Encoded-words, parted between characters; each begins and ends in ASCII (RFC 2047 §2, §5).
fn japanese_words(charset: &str, characters: &[Character<'_>]) -> String {
    // With its frame and the longest name of a charset, a word stays within 75 characters.
    const OCTETS_MAX: usize = 42;
    const TO_ASCII: &[u8] = b"\x1b(B";
    let (mut words, mut octets, mut set) = (Vec::new(), Vec::new(), &b""[..]);
    for character in characters {
        // Into its set, itself, and back.
        if octets.len() + 3 + character.octets.len() + TO_ASCII.len() > OCTETS_MAX {
            if !set.is_empty() {
                octets.extend_from_slice(TO_ASCII);
            }
            words.push(std::mem::take(&mut octets));
            set = b"";
        }
        if set != character.set {
            octets.extend_from_slice(if character.set.is_empty() { TO_ASCII } else { character.set });
            set = character.set;
        }
        octets.extend_from_slice(character.octets);
    }
    if !set.is_empty() {
        octets.extend_from_slice(TO_ASCII);
    }
    words.push(octets);
    let word = |octets: &Vec<u8>| format!("=?{charset}?B?{}?=", STANDARD.encode(octets));
    words.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phrase(name: &[u8]) -> Option<String> {
        DisplayName::of(name).map(|name| name.phrase())
    }

    #[test]
    fn a_plain_name_is_quoted() {
        assert_eq!(phrase(b" Q Name "), Some("\"Q Name\"".into()));
        assert_eq!(phrase(b"a \"b\" \\ (c)"), Some("\"a \\\"b\\\" \\\\ \\(c\\)\"".into()));
        assert_eq!(DisplayName::of(b"Q (N)").unwrap().comment(), "(Q \\(N\\))");
    }

    #[test]
    fn a_japanese_name_becomes_encoded_words_in_its_own_charset() {
        for (name, written) in [
            ("山田".as_bytes(), "=?UTF-8?B?5bGx55Sw?="),
            (b"\x1b$B;3ED\x1b(B", "=?ISO-2022-JP?B?GyRCOzNFRBsoQg==?="),
            (b"\x8eR\x93c", "=?Shift_JIS?B?jlKTYw==?="),
            (b"\xbb\xb3\xc5\xc4", "=?EUC-JP?B?u7PFxA==?="),
        ] {
            assert_eq!(phrase(name).as_deref(), Some(written));
            assert_eq!(DisplayName::of(name).unwrap().comment(), format!("({written})"));
        }
    }

    #[test]
    fn each_of_several_words_begins_and_ends_in_ascii() {
        let name = [&b"\x1b$B"[..], &b";3ED".repeat(20), b"\x1b(B abc"].concat();
        let written = phrase(&name).unwrap();
        let words: Vec<&str> = written.split("\r\n ").collect();
        assert!(words.len() > 2);
        let mut text = Vec::new();
        for word in words {
            assert!(word.len() <= 75);
            let octets = word.strip_prefix("=?ISO-2022-JP?B?").unwrap().strip_suffix("?=").unwrap();
            let octets = STANDARD.decode(octets).unwrap();
            assert!(
                octets.starts_with(b"\x1b$B") && (octets.ends_with(b"\x1b(B") || octets.ends_with(b"abc"))
            );
            text.extend(iso_2022_jp(&octets).unwrap().iter().flat_map(|c| c.octets.to_vec()));
        }
        assert_eq!(text, [&b";3ED".repeat(20)[..], b" abc"].concat());
    }

    #[test]
    fn what_is_no_name_is_none() {
        for name in [
            &b""[..],
            b"  ",
            b"a\r\nBcc: x@y.example",
            b"a\nb",
            b"a\tb",
            b"a\0b",
            b"\xff\xff",
            b"\x1b$B;3",
            b"\x1b$B;\x1b(B",
            b"\x1b",
            b"\x8eR\n\x93c",
            "a\u{2028}b".as_bytes(),
            &[b'a'; 501],
        ] {
            assert_eq!(phrase(name), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_place(name in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            proptest::collection::vec(proptest::sample::select(&b"\x1b$B(J;3\x8e\x93\xbba\" \\)"[..]), 0..80),
            any::<String>().prop_map(String::into_bytes),
        ]) {
            if let Some(name) = DisplayName::of(&name) {
                let field = format!("{} <a@x.example> {}", name.phrase(), name.comment());
                prop_assert!(field.split("\r\n").all(|line| line.bytes().all(|b| (b' '..=b'~').contains(&b))));
                prop_assert!(field.split("\r\n").skip(1).all(|line| line.starts_with(' ')));
                prop_assert_eq!(crate::mailboxes(field.as_bytes()).unwrap().len(), 1);
            }
        }
    }
}
