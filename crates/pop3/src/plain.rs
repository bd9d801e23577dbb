//! The SASL mechanism PLAIN (RFC 4616), in the base64 of RFC 5034.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::credentials::Credentials;
use crate::responses::Negative;

/// Reads a client's response: `[authzid] NUL authcid NUL passwd`.
///
/// # Errors
/// [`Negative::AuthMalformed`], or [`Negative::NotOwnIdentity`] for a client that wants to act as
/// somebody else.
pub(crate) fn credentials(base64: &[u8]) -> Result<Credentials, Negative> {
    // Room for all from the start: growing would leave a password in freed memory.
    let mut octets = Zeroizing::new(Vec::with_capacity(base64.len().div_ceil(4) * 3));
    STANDARD.decode_vec(base64, &mut octets).map_err(|_| Negative::AuthMalformed)?;
    let message = std::str::from_utf8(&octets).map_err(|_| Negative::AuthMalformed)?;
    let mut fields = message.split('\0');
    let (Some(identity), Some(name), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(Negative::AuthMalformed);
    };
    if name.is_empty() || password.is_empty() || name.chars().any(char::is_control) {
        return Err(Negative::AuthMalformed);
    }
    if !identity.is_empty() && identity != name {
        return Err(Negative::NotOwnIdentity);
    }
    Ok(Credentials { name: name.to_owned(), password: Zeroizing::new(password.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(message: &str) -> Result<(String, String), Negative> {
        let credentials = credentials(STANDARD.encode(message).as_bytes())?;
        Ok((credentials.name, credentials.password.to_string()))
    }

    #[test]
    fn the_identity_is_empty_or_the_users_own() {
        let expected = Ok(("abc".to_owned(), "pass word".to_owned()));
        assert_eq!(read("\0abc\0pass word"), expected);
        assert_eq!(read("abc\0abc\0pass word"), expected);
        assert_eq!(read("root\0abc\0pass word"), Err(Negative::NotOwnIdentity));
        assert_eq!(read("\0飛脚\0合言葉"), Ok(("飛脚".to_owned(), "合言葉".to_owned())));
    }

    #[test]
    fn a_malformed_response_is_refused() {
        for message in ["", "abc", "\0abc", "\0\0pass", "\0abc\0", "\0abc\0pass\0more", "\0a\nb\0pass"] {
            assert_eq!(read(message), Err(Negative::AuthMalformed), "{message:?}");
        }
        for base64 in ["=", "AGFiYwBwYXNz=", "AGFiYwBwYXNz!", "AGFi YwBwYXNz", "AP8A/w=="] {
            assert_eq!(credentials(base64.as_bytes()).err(), Some(Negative::AuthMalformed), "{base64}");
        }
    }

    proptest! {
        #[test]
        fn any_response_is_read_or_refused(base64 in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = credentials(&base64);
        }

        #[test]
        fn any_message_is_read_or_refused(octets in prop::collection::vec(prop_oneof![any::<u8>(), Just(0)], 0..100)) {
            let _ = credentials(STANDARD.encode(&octets).as_bytes());
        }
    }
}
