//! The mechanism PLAIN (RFC 4616).

use zeroize::Zeroizing;

use super::{ExchangeError, is_name};
use crate::credentials::Credentials;

/// Reads a client's response: `[authzid] NUL authcid NUL passwd`.
///
/// # Errors
/// If it is not well formed, or for a client that wants to act as somebody else.
pub(super) fn credentials(message: &str) -> Result<Credentials, ExchangeError> {
    let mut fields = message.split('\0');
    let (Some(identity), Some(name), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(ExchangeError::Malformed);
    };
    if !is_name(name) || password.is_empty() {
        return Err(ExchangeError::Malformed);
    }
    if !identity.is_empty() && identity != name {
        return Err(ExchangeError::Refused);
    }
    Ok(Credentials { name: name.to_owned(), password: Zeroizing::new(password.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_empty_or_the_users_own() {
        let expected = Credentials { name: "abc".into(), password: Zeroizing::new("pass word".into()) };
        assert_eq!(credentials("\0abc\0pass word"), Ok(expected.clone()));
        assert_eq!(credentials("abc\0abc\0pass word"), Ok(expected));
        assert_eq!(credentials("root\0abc\0pass word"), Err(ExchangeError::Refused));
        assert_eq!(credentials("\0飛脚\0合言葉").map(|c| c.name), Ok("飛脚".to_owned()));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for message in ["", "abc", "\0abc", "\0\0pass", "\0abc\0", "\0abc\0pass\0more", "\0a\nb\0pass"] {
            assert_eq!(credentials(message), Err(ExchangeError::Malformed), "{message:?}");
        }
    }
}
