//! What a client shows to prove who it is. What that is compared with is not here: keys and hashes stay
//! where nobody outside can reach.

use std::fmt;

use zeroize::Zeroizing;

/// A name and its password, by AUTH PLAIN or AUTH LOGIN.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name as the client wrote it: neither folded nor checked; never empty, and without
    /// control characters.
    pub name: String,
    /// The password, wiped from memory when dropped; never empty.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for Credentials {
    /// Without the password, so that no log can have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

/// With what a password is hashed, as the client of AUTH SCRAM-SHA-256 is told (RFC 5802 §3).
///
/// A name that nobody has gets a salt too, the same each time, so that nobody can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramSalt {
    /// The salt.
    pub salt: Vec<u8>,
    /// How often the client is to hash.
    pub iterations: u32,
}

/// `ServerSignature` of RFC 5802 §3, by which the client learns that it is us: only who has the keys of its
/// password can make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerSignature(pub [u8; 32]);

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationFailure {
    /// No such name, or a wrong password: nobody is told which.
    Credentials,
    /// The account is suspended.
    Suspended,
    /// The account may receive mail, and not send.
    ReceiveOnly,
    /// Too many failures for this name from this network: later.
    TooManyFailures,
    /// The directory does not answer: later.
    TryLater,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_shows() {
        let credentials = Credentials { name: "abc".into(), password: Zeroizing::new("s3cret".into()) };
        assert_eq!(format!("{credentials:?}"), "Credentials { name: \"abc\", .. }");
    }
}
