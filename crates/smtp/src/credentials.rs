//! What a client shows to prove who it is, and what that is compared with.

use std::fmt;

use envelope::Sender;
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

/// What AUTH SCRAM-SHA-256 is verified with (RFC 5802 §3).
///
/// For a name that nobody has, make them up so that nobody can tell: the same salt for the same name
/// each time, the usual iterations, random keys, and [`AuthenticationFailure::Credentials`].
pub struct ScramKeys {
    /// The salt, sent to the client.
    pub salt: Vec<u8>,
    /// How often the client is to hash.
    pub iterations: u32,
    /// `StoredKey`: what the client's proof must lead to.
    pub stored_key: Zeroizing<[u8; 32]>,
    /// `ServerKey`: with it we show that we know the user.
    pub server_key: Zeroizing<[u8; 32]>,
    /// Who it is that has these keys, or why he may not send. The client learns it only after it has
    /// proved that it knows the password.
    pub sender: Result<Sender, AuthenticationFailure>,
}

impl fmt::Debug for ScramKeys {
    /// Without the keys: who has them can act as the server, or try passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("sender", &self.sender).finish_non_exhaustive()
    }
}

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
    fn no_secret_shows() {
        let credentials = Credentials { name: "abc".into(), password: Zeroizing::new("s3cret".into()) };
        assert_eq!(format!("{credentials:?}"), "Credentials { name: \"abc\", .. }");
        let keys = ScramKeys {
            salt: vec![1],
            iterations: 4096,
            stored_key: Zeroizing::new([7; 32]),
            server_key: Zeroizing::new([7; 32]),
            sender: Err(AuthenticationFailure::Suspended),
        };
        assert_eq!(format!("{keys:?}"), "ScramKeys { sender: Err(Suspended), .. }");
    }
}
