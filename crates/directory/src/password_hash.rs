//! Which password hashes can be checked, and those of other systems.
//!
//! What is made here is argon2id. What was imported from an older system is checked as it is, and made
//! anew in argon2id at the next good login (`upgrade.rs`).

use std::fmt;

use argon2::password_hash::phc;
use sha_crypt::password_hash::{Error as ShaCryptError, PasswordVerifier};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::md5_crypt::{self, md5_crypt};

/// The most rounds of SHA-crypt: about a second.
const SHA_CRYPT_ROUNDS_MAX: u32 = 1_000_000;
/// The most of bcrypt: about a second.
const BCRYPT_COST_MAX: u32 = 14;
/// The most of argon2id, in KiB and passes: a quarter of a GiB, for about a second.
const ARGON2_MEMORY_MAX: u32 = 262_144;
const ARGON2_PASSES_MAX: u32 = 8;

/// A password hash from another system, to be taken over: of crypt(3) `$1$` (MD5), `$5$`, `$6$` (SHA-2),
/// `$2a$`, `$2b$`, `$2y$` (bcrypt), or a PHC string `$argon2id$`. It is never displayed.
pub struct PasswordHash(String);

/// The text is no password hash that can be checked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAPasswordHash {
    /// Another scheme, such as the DES of the oldest crypt(3), or a password in clear text.
    #[error(
        "this is no password hash that can be checked here; those that begin with $1$, $5$, $6$, $2a$, $2b$, $2y$ or \
         $argon2id$ can. Set a new password by `hikyaku account passwd` instead"
    )]
    Scheme,
    /// It begins like a hash, and is none: cut off, perhaps.
    #[error("the password hash is not complete or not well formed; copy it once more from where it stands")]
    Shape,
    /// Each login would take too long.
    #[error(
        "the password hash is too costly: at most a million rounds of $5$ and $6$, cost 14 of bcrypt, 256 MiB and 8 \
         passes of argon2id are checked. Set a new password by `hikyaku account passwd` instead"
    )]
    Costs,
}

impl PasswordHash {
    /// Takes a hash as it stands in a password file.
    ///
    /// # Errors
    /// If it cannot be checked here.
    pub fn parse(text: &str) -> Result<PasswordHash, NotAPasswordHash> {
        let scheme = Scheme::of(text).ok_or(NotAPasswordHash::Scheme)?;
        let affordable = match scheme {
            Scheme::Argon2id => argon2_costs(text).map(|(memory, passes, lanes)| {
                memory <= ARGON2_MEMORY_MAX && passes <= ARGON2_PASSES_MAX && lanes <= 16
            }),
            Scheme::Md5Crypt => split_md5_crypt(text).map(|_| true),
            Scheme::Sha256Crypt => sha_crypt_rounds(text, 43).map(|rounds| rounds <= SHA_CRYPT_ROUNDS_MAX),
            Scheme::Sha512Crypt => sha_crypt_rounds(text, 86).map(|rounds| rounds <= SHA_CRYPT_ROUNDS_MAX),
            Scheme::Bcrypt => {
                text.parse::<bcrypt::HashParts>().ok().map(|parts| parts.get_cost() <= BCRYPT_COST_MAX)
            }
        };
        match affordable {
            Some(true) => Ok(PasswordHash(text.into())),
            Some(false) => Err(NotAPasswordHash::Costs),
            None => Err(NotAPasswordHash::Shape),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// How a password hash was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Argon2id,
    Md5Crypt,
    Sha256Crypt,
    Sha512Crypt,
    Bcrypt,
}

impl Scheme {
    /// By the beginning of the text.
    pub(crate) fn of(text: &str) -> Option<Scheme> {
        let scheme = match text.strip_prefix('$')?.split_once('$')?.0 {
            "argon2id" => Scheme::Argon2id,
            "1" => Scheme::Md5Crypt,
            "5" => Scheme::Sha256Crypt,
            "6" => Scheme::Sha512Crypt,
            "2a" | "2b" | "2y" => Scheme::Bcrypt,
            _ => return None,
        };
        Some(scheme)
    }
}

/// Whether a hash of crypt(3) is of this password; none if it is not well formed.
pub(crate) fn check_crypt(scheme: Scheme, password: &[u8], stored: &str) -> Option<bool> {
    match scheme {
        Scheme::Argon2id => None,
        Scheme::Md5Crypt => {
            let (salt, written) = split_md5_crypt(stored)?;
            Some(md5_crypt(password, salt.as_bytes()).ct_eq(written.as_bytes()).into())
        }
        Scheme::Sha256Crypt | Scheme::Sha512Crypt => {
            match sha_crypt::ShaCrypt::default().verify_password(password, stored) {
                Ok(()) => Some(true),
                Err(ShaCryptError::PasswordInvalid) => Some(false),
                Err(_) => None,
            }
        }
        // As crypt(3) has it, only the first 72 octets of the password count.
        Scheme::Bcrypt => bcrypt::verify(password, stored).ok(),
    }
}

/// The salt and the 22 characters after it.
fn split_md5_crypt(text: &str) -> Option<(&str, &str)> {
    let (salt, written) = text.strip_prefix(md5_crypt::MAGIC)?.split_once('$')?;
    (salt.len() <= 8 && is_crypt_text(written, 22)).then_some((salt, written))
}

/// The rounds of a well-formed SHA-crypt hash, whose last field has so many characters.
fn sha_crypt_rounds(text: &str, length: usize) -> Option<u32> {
    // Salts and digests are of crypt(3)'s own base 64.
    let mut fields = text.rsplit('$');
    let (written, salt) = (fields.next()?, fields.next()?);
    let rounds = match fields.next()? {
        "5" | "6" => Some(5_000),
        rounds => rounds.strip_prefix("rounds=")?.parse().ok().filter(|rounds| *rounds >= 1_000),
    };
    (salt.len() <= 16 && is_crypt_text(written, length)).then_some(rounds).flatten()
}

fn is_crypt_text(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/')
}

/// Memory in KiB, passes and lanes of a whole PHC string.
fn argon2_costs(text: &str) -> Option<(u32, u32, u32)> {
    let hash = phc::PasswordHash::new(text).ok()?;
    hash.salt.as_ref()?;
    hash.hash.as_ref()?;
    let costs = argon2::Params::try_from(&hash).ok()?;
    Some((costs.m_cost(), costs.t_cost(), costs.p_cost()))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hashing::NOBODY;

    /// Of the password `abc-try`, made by crypt(3).
    pub(crate) const CRYPTED: [&str; 7] = [
        "$1$saltsalt$hvuf8zlFXCii1v88PlX3N1",
        "$5$saltsalt$ieKi01Evg1615WbrHyYZbz2r4Z93Pn7UFsKR4AI8RuD",
        "$6$saltsalt$hwfQ92VJCkqKqSfvbM0gg/Td.fKXcNnMJZMsIJOMxrWzz8B1dowRkRD1cCStM8qlkBboNL4YE06OeeldfrPLs1",
        "$5$rounds=1234$saltstring$fzGwQZWZDEuA0Ez3tnaU3grJL281LS422xhvBu.eQ0.",
        "$6$rounds=1234$saltstring$69z8sB40LCoziXk2N2sdsFO93Vdl7NacWdbE4v3jBS.ouMrKii8/E7J7ecyjygVsZ3Khx0luBEGrgS9y7G9i51",
        "$2y$04$abcdefghijklmnopqrstuusMEYT6epUjmLirRmUI.y0XK7UJxn0hi",
        "$2b$05$abcdefghijklmnopqrstuu3k5J4n858bVwcZbgdDD5oo1pu2d66Wm",
    ];

    #[test]
    fn hashes_of_crypt_3_are_checked() {
        for stored in CRYPTED {
            let scheme = Scheme::of(stored).unwrap();
            assert!(PasswordHash::parse(stored).is_ok(), "{stored}");
            assert_eq!(check_crypt(scheme, b"abc-try", stored), Some(true), "{stored}");
            for wrong in ["abc-tr", "abc-trz", ""] {
                assert_eq!(check_crypt(scheme, wrong.as_bytes(), stored), Some(false), "{stored}");
            }
        }
        let japanese = "$2y$04$abcdefghijklmnopqrstuubQJt22ccK4bDjCuLfdpsQvOrF8WIO5S";
        assert_eq!(check_crypt(Scheme::Bcrypt, "秘密の言葉".as_bytes(), japanese), Some(true));
    }

    #[test]
    fn a_password_of_more_than_72_octets_is_cut_off_by_bcrypt_as_by_crypt_3() {
        let stored = "$2b$05$abcdefghijklmnopqrstuujf8SX2ahXLwp9w/B.Y5XdysS6yR576q";
        assert_eq!(check_crypt(Scheme::Bcrypt, "x".repeat(80).as_bytes(), stored), Some(true));
        assert_eq!(check_crypt(Scheme::Bcrypt, "x".repeat(71).as_bytes(), stored), Some(false));
    }

    #[test]
    fn what_cannot_be_checked_is_refused_with_what_to_do() {
        let refusal = |text: &str| PasswordHash::parse(text).unwrap_err();
        for other in ["", "abc-try", "abGvwuLczWt7M", "$y$j9T$x$y", "$3$x$y", "{SSHA}x", "$", "!!", "*"] {
            assert_eq!(refusal(other), NotAPasswordHash::Scheme, "{other}");
        }
        assert!(refusal("abGvwuLczWt7M").to_string().contains("hikyaku account passwd"));
        for crypted in CRYPTED {
            for cut in [crypted.len() - 1, 10, 4] {
                assert_eq!(refusal(&crypted[..cut]), NotAPasswordHash::Shape, "{}", &crypted[..cut]);
            }
            assert_eq!(refusal(&format!("{crypted}\n")), NotAPasswordHash::Shape);
        }
        for cut in [NOBODY.len() - 44, 20] {
            assert_eq!(refusal(&NOBODY[..cut]), NotAPasswordHash::Shape);
        }
    }

    #[test]
    fn a_hash_that_would_take_minutes_is_refused() {
        for costly in [
            CRYPTED[3].replace("1234", "999999999"),
            CRYPTED[4].replace("1234", "1000001"),
            CRYPTED[5].replace("$04$", "$15$"),
            NOBODY.replace("m=19456", "m=4000000"),
            NOBODY.replace("t=2", "t=100"),
        ] {
            assert_eq!(PasswordHash::parse(&costly).unwrap_err(), NotAPasswordHash::Costs, "{costly}");
        }
    }

    #[test]
    fn a_hash_is_not_in_its_debug_text() {
        assert_eq!(format!("{:?}", PasswordHash::parse(CRYPTED[0]).unwrap()), "PasswordHash");
    }

    proptest! {
        #[test]
        fn any_text_is_a_hash_that_can_be_checked_or_an_error(
            scheme in "(|\\$(1|5|6|2a|2b|2y|argon2id)\\$(|rounds=1000\\$|04\\$))",
            rest in "[./0-9A-Za-z$é,=]{0,90}",
        ) {
            let text = scheme + &rest;
            if let Ok(hash) = PasswordHash::parse(&text)
                && let Some(scheme) = Scheme::of(hash.as_str())
                && scheme != Scheme::Argon2id
            {
                prop_assert!(check_crypt(scheme, b"x", &text).is_some());
            }
            if let Some(scheme) = Scheme::of(&text) {
                let _ = check_crypt(scheme, b"x", &text);
            }
        }
    }
}
