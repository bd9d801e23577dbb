//! What is remembered of passwords that argon2 has judged.
//!
//! Mailboxes are polled all day, by programs with the right password and by forgotten programs with
//! an old one. Neither should cost an argon2 each time. So for some minutes a keyed hash of what was
//! tried is remembered: `HMAC-SHA256(key, stored PHC string, password)` under a random key that never
//! leaves this process. The stored string is part of it and is read anew at each login; so once the
//! password is changed, by whichever process, what was remembered fits nothing any more.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use envelope::AccountName;
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::connection::lock;

/// How long a right password is let in without argon2, from the last full check on.
const RIGHT_FOR: Duration = Duration::from_secs(5 * 60);
/// How long a wrong password is turned away without argon2.
const WRONG_FOR: Duration = Duration::from_secs(60);
/// Different wrong passwords remembered for one name.
const WRONG_EACH: usize = 4;
/// Names in one generation of right passwords: some 12 MiB.
const RIGHT_NAMES: usize = 100_000;
/// Names in one generation of wrong passwords: some 3 MiB.
const WRONG_NAMES: usize = 10_000;

/// The memory of right and of wrong passwords.
pub(crate) struct Verified {
    key: Hmac<Sha256>,
    right: Mutex<Recent<1>>,
    wrong: Mutex<Recent<WRONG_EACH>>,
}

/// A password as it was tried against a stored PHC string.
#[derive(Clone, Copy)]
pub(crate) struct Trial([u8; 32]);

impl Verified {
    /// An empty memory with a new key.
    pub(crate) fn new() -> Result<Verified, SysError> {
        let mut key = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(key.as_mut())?;
        let key = Hmac::new_from_slice(key.as_ref()).expect("HMAC takes a key of any length");
        Ok(Verified {
            key,
            right: Mutex::new(Recent::new(RIGHT_FOR, RIGHT_NAMES)),
            wrong: Mutex::new(Recent::new(WRONG_FOR, WRONG_NAMES)),
        })
    }

    /// A password tried against a stored string.
    pub(crate) fn trial(&self, stored: &str, password: &[u8]) -> Trial {
        let mut mac = self.key.clone();
        mac.update(stored.as_bytes());
        // Keeps the two apart: no PHC string has a NUL.
        mac.update(&[0]);
        mac.update(password);
        Trial(mac.finalize().into_bytes().into())
    }

    /// What argon2 said of this a short while ago, if it is remembered.
    pub(crate) fn recall(&self, name: &AccountName, trial: &Trial, now: Instant) -> Option<bool> {
        if lock(&self.right).has(name, trial, now) {
            return Some(true);
        }
        lock(&self.wrong).has(name, trial, now).then_some(false)
    }

    /// Remembers what argon2 said.
    pub(crate) fn remember(&self, name: &AccountName, trial: Trial, right: bool, now: Instant) {
        match right {
            true => lock(&self.right).add(name, trial, now),
            false => lock(&self.wrong).add(name, trial, now),
        }
    }
}

/// The last `EACH` trials of each name, for a while.
///
/// Two generations bound the memory: when the young one is full or old, it becomes the old one, and
/// what was the old one is forgotten.
struct Recent<const EACH: usize> {
    lifetime: Duration,
    names: usize,
    young: HashMap<AccountName, [Option<Entry>; EACH]>,
    young_since: Option<Instant>,
    old: HashMap<AccountName, [Option<Entry>; EACH]>,
}

#[derive(Clone, Copy)]
struct Entry {
    trial: Trial,
    expires: Instant,
}

impl<const EACH: usize> Recent<EACH> {
    /// Remembers for `lifetime`, at most twice `names` names.
    fn new(lifetime: Duration, names: usize) -> Recent<EACH> {
        Recent { lifetime, names, young: HashMap::new(), young_since: None, old: HashMap::new() }
    }

    fn has(&self, name: &AccountName, trial: &Trial, now: Instant) -> bool {
        let generations = [self.young.get(name), self.old.get(name)];
        let living =
            generations.into_iter().flatten().flatten().flatten().filter(|entry| now < entry.expires);
        // Looks at all of them in constant time: how much of a keyed hash fits must not show.
        living.fold(Choice::from(0), |found, entry| found | entry.trial.0.ct_eq(&trial.0)).into()
    }

    fn add(&mut self, name: &AccountName, trial: Trial, now: Instant) {
        let since = *self.young_since.get_or_insert(now);
        let full = self.young.len() >= self.names && !self.young.contains_key(name);
        if full || now.saturating_duration_since(since) > self.lifetime {
            self.old = std::mem::take(&mut self.young);
            self.young_since = Some(now);
        }
        let entries = self.young.entry(name.clone()).or_insert([None; EACH]);
        entries.rotate_right(1);
        entries[0] = Some(Entry { trial, expires: now + self.lifetime });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = "$argon2id$v=19$m=19456,t=2,p=1$salt$hash";

    fn name(text: &str) -> AccountName {
        text.parse().unwrap()
    }

    #[test]
    fn a_right_password_is_remembered_for_five_minutes_and_not_longer() {
        let (verified, abc, now) = (Verified::new().unwrap(), name("abc"), Instant::now());
        let trial = verified.trial(STORED, b"abc-try");
        assert_eq!(verified.recall(&abc, &trial, now), None);
        verified.remember(&abc, trial, true, now);
        assert_eq!(verified.recall(&abc, &trial, now + Duration::from_secs(299)), Some(true));
        assert_eq!(verified.recall(&abc, &trial, now + Duration::from_secs(300)), None);
        assert_eq!(verified.recall(&name("xyz"), &trial, now), None);
    }

    #[test]
    fn another_password_or_another_stored_string_is_not_recalled() {
        let (verified, abc, now) = (Verified::new().unwrap(), name("abc"), Instant::now());
        verified.remember(&abc, verified.trial(STORED, b"abc-try"), true, now);
        assert_eq!(verified.recall(&abc, &verified.trial(STORED, b"abc-tr"), now), None);
        assert_eq!(verified.recall(&abc, &verified.trial("other", b"abc-try"), now), None);
    }

    #[test]
    fn the_last_four_wrong_passwords_of_a_name_are_remembered_for_a_minute() {
        let (verified, abc, now) = (Verified::new().unwrap(), name("abc"), Instant::now());
        let trials = [b"a", b"b", b"c", b"d", b"e"].map(|wrong| verified.trial(STORED, wrong));
        for trial in trials {
            verified.remember(&abc, trial, false, now);
        }
        let recalled = trials.map(|trial| verified.recall(&abc, &trial, now + Duration::from_secs(59)));
        assert_eq!(recalled, [None, Some(false), Some(false), Some(false), Some(false)]);
        assert_eq!(verified.recall(&abc, &trials[4], now + Duration::from_secs(60)), None);
    }

    #[test]
    fn two_processes_have_different_keys() {
        let [a, b] = [Verified::new().unwrap(), Verified::new().unwrap()];
        assert_ne!(a.trial(STORED, b"abc-try").0, b.trial(STORED, b"abc-try").0);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest_first() {
        let mut recent = Recent::<1>::new(RIGHT_FOR, 10);
        let now = Instant::now();
        let names: Vec<AccountName> = (0..100).map(|n| name(&format!("a{n}"))).collect();
        for name in &names {
            recent.add(name, Trial([7; 32]), now);
            assert!(recent.young.len() + recent.old.len() <= 20);
            assert!(recent.has(name, &Trial([7; 32]), now));
        }
        assert!(recent.has(&names[90], &Trial([7; 32]), now));
        assert!(!recent.has(&names[0], &Trial([7; 32]), now));
    }

    #[test]
    fn what_is_outdated_leaves_the_memory_as_time_goes_on() {
        let mut recent = Recent::<1>::new(RIGHT_FOR, 10);
        let now = Instant::now();
        for (later, who) in ["abc", "xyz", "def"].into_iter().enumerate() {
            recent.add(&name(who), Trial([7; 32]), now + 2 * RIGHT_FOR * later as u32);
        }
        assert!(!recent.young.contains_key(&name("abc")) && !recent.old.contains_key(&name("abc")));
    }
}
