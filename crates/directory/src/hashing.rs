//! Argon2id (RFC 9106) and the hashes of older systems, a few at a time.
//!
//! A check takes some 20 ms of one core and 19 MiB, on purpose. So no more run at once than there
//! are cores: a flood of logins waits its turn, and after [`PATIENCE`] is sent away.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::{Error as HashError, phc};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use rand::TryRng;
use rand::rngs::SysRng;
use thiserror::Error;

use crate::connection::lock;
use crate::password_hash::{Scheme, check_crypt};

/// How long a check waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// 19 MiB, two passes, one lane: OWASP's first choice for argon2id.
const COSTS: Params = match Params::new(19_456, 2, 1, None) {
    Ok(costs) => costs,
    Err(_) => panic!("refused at compile time"),
};

/// A PHC string with our costs that is nobody's, so that checking a password of an unknown account
/// takes as long as any other.
pub(crate) const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Makes and checks PHC strings.
pub(crate) struct Hasher {
    free: Mutex<usize>,
    freed: Condvar,
    patience: Duration,
}

/// A password could not be hashed or checked.
#[derive(Debug, Error)]
pub(crate) enum HashingFailed {
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    #[error("the system gives no random octets: {0}")]
    Random(rand::rngs::SysError),
    #[error("argon2 failed: {0}")]
    Argon2(HashError),
    #[error("what is stored is no password hash that can be checked here")]
    Stored,
}

/// The right to run one argon2; given back when dropped.
pub(crate) struct Turn<'a>(&'a Hasher);

impl Hasher {
    /// As many turns as there are cores.
    pub(crate) fn new() -> Hasher {
        Hasher::with(std::thread::available_parallelism().map_or(1, usize::from), PATIENCE)
    }

    /// With so many turns, for each of which one waits so long.
    pub(crate) fn with(turns: usize, patience: Duration) -> Hasher {
        Hasher { free: Mutex::new(turns), freed: Condvar::new(), patience }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`HashingFailed::Busy`] if none comes up in time.
    pub(crate) fn turn(&self) -> Result<Turn<'_>, HashingFailed> {
        let waiting = self.freed.wait_timeout_while(lock(&self.free), self.patience, |free| *free == 0);
        let (mut free, outcome) = waiting.unwrap_or_else(PoisonError::into_inner);
        if outcome.timed_out() {
            return Err(HashingFailed::Busy);
        }
        *free -= 1;
        Ok(Turn(self))
    }
}

impl Turn<'_> {
    /// Makes the PHC string to be stored for a password.
    pub(crate) fn hash(&self, password: &[u8]) -> Result<String, HashingFailed> {
        let mut salt = [0; 16];
        SysRng.try_fill_bytes(&mut salt).map_err(HashingFailed::Random)?;
        let hash: phc::PasswordHash =
            argon2id().hash_password_with_salt(password, &salt).map_err(HashingFailed::Argon2)?;
        Ok(hash.to_string())
    }

    /// Whether this is the password that a stored hash was made from.
    pub(crate) fn check(&self, password: &[u8], stored: &str) -> Result<bool, HashingFailed> {
        match Scheme::of(stored).ok_or(HashingFailed::Stored)? {
            Scheme::Argon2id => self.check_argon2(password, stored),
            older => {
                let right = check_crypt(older, password, stored).ok_or(HashingFailed::Stored)?;
                // Else a quick answer would tell that there is an account of this name. Who is right,
                // waits as long for his new hash.
                Ok(right || self.check_argon2(password, NOBODY)?)
            }
        }
    }

    fn check_argon2(&self, password: &[u8], stored: &str) -> Result<bool, HashingFailed> {
        let stored = phc::PasswordHash::new(stored).map_err(|_| HashingFailed::Stored)?;
        // Without this, a string with no hash in it would pass for a wrong password.
        if stored.algorithm != ARGON2ID_IDENT || stored.salt.is_none() || stored.hash.is_none() {
            return Err(HashingFailed::Stored);
        }
        match argon2id().verify_password(password, &stored) {
            Ok(()) => Ok(true),
            Err(HashError::PasswordInvalid) => Ok(false),
            Err(error) => Err(HashingFailed::Argon2(error)),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

fn argon2id() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, COSTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_stored_as_a_salted_phc_string() {
        let hasher = Hasher::new();
        let turn = hasher.turn().unwrap();
        let stored = turn.hash(b"abc-try").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_ne!(turn.hash(b"abc-try").unwrap(), stored);
        assert!(turn.check(b"abc-try", &stored).unwrap());
        assert!(!turn.check(b"abc-Try", &stored).unwrap());
    }

    #[test]
    fn checking_against_nobody_has_the_costs_of_any_other_check_and_is_never_right() {
        let nobody = phc::PasswordHash::new(NOBODY).unwrap();
        assert_eq!(Params::try_from(&nobody).unwrap().block_count(), COSTS.block_count());
        assert_eq!(Params::try_from(&nobody).unwrap().t_cost(), COSTS.t_cost());
        let hasher = Hasher::new();
        assert!(!hasher.turn().unwrap().check(b"abc-try", NOBODY).unwrap());
    }

    #[test]
    fn a_damaged_hash_is_an_error_and_not_a_wrong_password() {
        let hasher = Hasher::new();
        let turn = hasher.turn().unwrap();
        for damaged in ["", "plain", "$md5$AAAAAAAAAAAAAAAAAAAAAA", NOBODY.rsplit_once('$').unwrap().0] {
            assert!(matches!(turn.check(b"abc-try", damaged), Err(HashingFailed::Stored)), "{damaged}");
        }
    }

    #[test]
    fn who_waits_too_long_for_a_turn_is_sent_away() {
        let hasher = Hasher::with(1, Duration::from_millis(20));
        let turn = hasher.turn().unwrap();
        assert!(matches!(hasher.turn(), Err(HashingFailed::Busy)));
        drop(turn);
        assert!(hasher.turn().is_ok());
    }

    #[test]
    fn a_turn_that_is_given_back_goes_to_one_who_waits() {
        let hasher = Hasher::with(1, PATIENCE);
        let turn = hasher.turn().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| hasher.turn().is_ok());
            drop(turn);
            assert!(waiting.join().unwrap());
        });
    }
}
