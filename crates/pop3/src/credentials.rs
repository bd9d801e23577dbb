//! A name and its password.

use std::fmt;

use zeroize::Zeroizing;

/// What a client logs in with, by USER and PASS or by AUTH PLAIN.
pub struct Credentials {
    /// The user name as the client wrote it: neither folded nor checked, never empty.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows() {
        let credentials = Credentials { name: "abc".into(), password: Zeroizing::new("s3cret".into()) };
        assert_eq!(format!("{credentials:?}"), "Credentials { name: \"abc\", .. }");
    }
}
