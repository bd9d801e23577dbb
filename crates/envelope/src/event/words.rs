//! What others said, made fit to be kept and shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most characters that are kept of what somebody said.
pub const WORDS_MAX: usize = 500;

/// One line of text from outside: at most [`WORDS_MAX`] characters, none of which moves the cursor of
/// the terminal that it is shown on. Lines of a reply are joined by spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Words(Box<str>);

impl Words {
    /// Takes a text in.
    pub fn new(text: &str) -> Words {
        if text.len() <= WORDS_MAX && text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
            return Words(text.trim().into());
        }
        let text = text.trim().replace("\r\n", " ");
        let line: String =
            text.chars().map(|c| if moves_the_cursor(c) { ' ' } else { c }).take(WORDS_MAX).collect();
        Words(line.trim().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, and those that turn the direction of the text after them (UAX #9).
fn moves_the_cursor(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<String> for Words {
    fn from(text: String) -> Words {
        Words::new(&text)
    }
}

impl From<&str> for Words {
    fn from(text: &str) -> Words {
        Words::new(text)
    }
}

impl From<Words> for String {
    fn from(words: Words) -> String {
        words.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reply_of_many_lines_becomes_one() {
        assert_eq!(Words::new("450-4.2.0 wait\r\n450 please\r\n").as_str(), "450-4.2.0 wait 450 please");
        assert_eq!(Words::new("ご不在です").as_str(), "ご不在です");
        assert_eq!(Words::new("\u{1b}[2Jgone\u{202e}").as_str(), "[2Jgone");
        assert_eq!(Words::new(&"x".repeat(9000)).as_str().len(), WORDS_MAX);
    }

    proptest! {
            #[test]
            fn any_text_becomes_one_short_line_and_stays_as_it_is_then(text in any::<String>()) {
                let words = Words::new(&text);
                prop_assert!(words.as_str().chars().count() <= WORDS_MAX);
                prop_assert!(!words.as_str().chars().any(moves_the_cursor));
    prop_assert_eq!(Words::new(words.as_str()), words);
            }
        }
}
