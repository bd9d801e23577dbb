//! The mechanism LOGIN: the name, then the password, each asked for.

use zeroize::Zeroizing;

use super::{ExchangeError, is_name};
use crate::credentials::Credentials;

/// The challenges that programs in use wait for, to the letter.
pub(super) const USERNAME: &str = "Username:";
pub(super) const PASSWORD: &str = "Password:";

/// Reads the first response.
///
/// # Errors
/// If it is no name.
pub(super) fn name(message: &str) -> Result<String, ExchangeError> {
    if is_name(message) { Ok(message.to_owned()) } else { Err(ExchangeError::Malformed) }
}

/// Reads the second response.
///
/// # Errors
/// If it is no password.
pub(super) fn credentials(name: String, message: &str) -> Result<Credentials, ExchangeError> {
    if message.is_empty() || message.contains('\0') {
        return Err(ExchangeError::Malformed);
    }
    Ok(Credentials { name, password: Zeroizing::new(message.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_password_are_not_empty() {
        assert_eq!(name("abc"), Ok("abc".to_owned()));
        assert_eq!(name(""), Err(ExchangeError::Malformed));
        assert_eq!(name("a\nb"), Err(ExchangeError::Malformed));
        let read = credentials("abc".into(), "pass word").unwrap();
        assert_eq!((read.name.as_str(), read.password.as_str()), ("abc", "pass word"));
        assert_eq!(credentials("abc".into(), ""), Err(ExchangeError::Malformed));
        assert_eq!(credentials("abc".into(), "\0"), Err(ExchangeError::Malformed));
    }
}
