//! Labels: what a customer calls one of his passwords or addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest label in octets.
const LABEL_MAX: usize = 128;

/// A name that only people read: 1 to 128 octets, in any script, without characters that are not seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(Box<str>);

/// The text is no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a label has 1 to 128 octets, and no line ends or other characters that are not seen")]
pub struct NotALabel;

impl Label {
    /// Takes a label, without the blanks around it.
    ///
    /// # Errors
    /// If it is empty, too long, or has a character that is not seen.
    pub fn parse(text: &str) -> Result<Label, NotALabel> {
        let text = text.trim();
        if text.is_empty() || text.len() > LABEL_MAX || text.chars().any(is_unseen) {
            return Err(NotALabel);
        }
        Ok(Label(text.into()))
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A control or format character: it would let a text show as another than it is.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Label {
    type Err = NotALabel;
    fn from_str(text: &str) -> Result<Label, NotALabel> {
        Label::parse(text)
    }
}

impl TryFrom<String> for Label {
    type Error = NotALabel;
    fn try_from(text: String) -> Result<Label, NotALabel> {
        Label::parse(&text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> String {
        label.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_label_is_text_that_is_seen_as_it_is() {
        for right in ["iPhone", " 自宅のPC ", "'; DROP TABLE accounts; --", "%s", "<b>", &"x".repeat(128)]
        {
            assert_eq!(Label::parse(right).unwrap().as_str(), right.trim());
        }
        let unseen = ["", "  ", "a\nb", "a\0", "\u{1b}[31m", "abc\u{202e}txt", "\u{feff}a", "a\u{200b}b"];
        for wrong in unseen.into_iter().chain([&*"x".repeat(129), &*"x".repeat(1_000_000)]) {
            assert_eq!(Label::parse(wrong), Err(NotALabel));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_label_or_an_error(text in any::<String>()) {
            if let Ok(label) = Label::parse(&text) {
                prop_assert_eq!(Label::parse(label.as_str()), Ok(label));
            }
        }
    }
}
