//! What callers and strangers wrote, made fit for a terminal and for one line of a log.

use std::fmt::{self, Write};

/// The most characters that are shown of one value.
pub const SHOWN_MAX: usize = 200;

/// The text as far as [`SHOWN_MAX`]; octets that would not print are written as `\xNN`.
///
/// ```
/// assert_eq!(sendmail::visible::visible(b"a\x1b[2J\r\nb"), r"a\x1b[2J\x0d\x0ab");
/// ```
pub fn visible(octets: &[u8]) -> String {
    let mut shown = String::new();
    let mut characters = 0;
    for chunk in octets.utf8_chunks() {
        for character in chunk.valid().chars() {
            characters += 1;
            if characters > SHOWN_MAX {
                return shown + "...";
            }
            push(&mut shown, character);
        }
        for octet in chunk.invalid() {
            characters += 1;
            if characters > SHOWN_MAX {
                return shown + "...";
            }
            push_octets(&mut shown, &[*octet]);
        }
    }
    shown
}

/// Control characters, and those that some programs take for line ends: nothing that a field is made of
/// may have them.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// All of a text on one line, its octets that would not print written as `\xNN`.
pub struct Line<'a>(pub &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::with_capacity(self.0.len());
        self.0.chars().for_each(|character| push(&mut line, character));
        f.write_str(&line)
    }
}

fn push(shown: &mut String, character: char) {
    // Control characters, separators of lines, and those that turn the direction of what follows.
    let prints = matches!(character, '"' | '\'' | '\\') || character.escape_debug().len() == 1;
    match prints {
        true => shown.push(character),
        false => push_octets(shown, character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn push_octets(shown: &mut String, octets: &[u8]) {
    for octet in octets {
        let _ = write!(shown, "\\x{octet:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_prints_stays_and_the_rest_is_told_by_octets() {
        for (octets, shown) in [
            ("a@x.example".as_bytes(), "a@x.example"),
            ("山田 \"太郎\"".as_bytes(), "山田 \"太郎\""),
            (b"\0\x07\x7f", r"\x00\x07\x7f"),
            (b"\x8e\x52", r"\x8eR"),
            ("\u{2028}\u{85}\u{202e}".as_bytes(), r"\xe2\x80\xa8\xc2\x85\xe2\x80\xae"),
        ] {
            assert_eq!(visible(octets), shown);
        }
        assert_eq!(visible(&[b'a'; 1000]).len(), SHOWN_MAX + 3);
        assert_eq!(visible(&[0xff; 1000]).len(), 4 * SHOWN_MAX + 3);
    }

    proptest! {
        #[test]
        fn nothing_leaves_its_line(octets: Vec<u8>, text: String) {
            for shown in [visible(&octets), Line(&text).to_string()] {
                let strange = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
                prop_assert!(!shown.chars().any(strange));
                prop_assert_eq!(Line(&shown).to_string(), shown.clone(), "written once as twice");
            }
            prop_assert!(visible(&octets).chars().count() <= 4 * SHOWN_MAX + 19);
        }
    }
}
