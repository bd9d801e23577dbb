//! What may be a password.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

/// The longest password in octets.
pub(crate) const PASSWORD_MAX: usize = 512;

/// A password to be set: 1 to 512 octets without control characters. Its memory is cleared when it
/// is dropped, and it is never displayed.
pub struct Password(Zeroizing<String>);

/// The text is no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAPassword {
    /// Nothing at all.
    #[error("the password is empty; a password has 1 to 512 octets")]
    Empty,
    /// Longer than 512 octets.
    #[error("the password is too long; a password has 1 to 512 octets")]
    TooLong,
    /// A line end, NUL, escape or the like, which not every mail program can send.
    #[error("the password has a control character (a line end, perhaps); choose one without")]
    ControlCharacter,
}

impl Password {
    /// Takes a password. The text is cleared whether or not it is one.
    ///
    /// # Errors
    /// If it breaks a rule.
    pub fn new(text: String) -> Result<Password, NotAPassword> {
        let text = Zeroizing::new(text);
        if text.is_empty() {
            return Err(NotAPassword::Empty);
        }
        if text.len() > PASSWORD_MAX {
            return Err(NotAPassword::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(NotAPassword::ControlCharacter);
        }
        Ok(Password(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_password_has_1_to_512_octets_and_no_control_characters() {
        for right in ["a", " ", "秘密の言葉", "'; DROP TABLE accounts; --", "%s%n", &"x".repeat(512)] {
            assert!(Password::new(right.into()).is_ok(), "{right}");
        }
        let refusal = |text: &str| Password::new(text.into()).unwrap_err();
        assert_eq!(refusal(""), NotAPassword::Empty);
        assert_eq!(refusal(&"x".repeat(513)), NotAPassword::TooLong);
        // 172 characters, 516 octets.
        assert_eq!(refusal(&"語".repeat(172)), NotAPassword::TooLong);
        for control in ["secret\n", "sec\0ret", "\u{1b}[31m", "\u{85}"] {
            assert_eq!(refusal(control), NotAPassword::ControlCharacter);
        }
    }

    #[test]
    fn a_password_is_not_in_its_debug_text() {
        assert_eq!(format!("{:?}", Password::new("abc-try".into()).unwrap()), "Password");
    }

    proptest! {
        #[test]
        fn any_text_is_a_password_or_an_error(text in any::<String>()) {
            let octets = text.len();
            if Password::new(text).is_ok() {
                prop_assert!((1..=PASSWORD_MAX).contains(&octets));
            }
        }
    }
}
