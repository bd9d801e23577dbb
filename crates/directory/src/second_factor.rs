//! The second factor: an authenticator's codes (`totp.rs`), and recovery codes for who has lost it.
//!
//! While it is being set up, its secret belongs to the session in which that is done, and goes with it.

use std::fmt;

use envelope::AccountName;
use rusqlite::{Connection, OptionalExtension};
use zeroize::Zeroizing;

use crate::accounts::id_of;
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::readable;
use crate::store::Store;
use crate::totp::TotpSecret;

/// Recovery codes of an account.
const RECOVERY_CODES: usize = 10;
/// Letters of one: 75 bits.
const LETTERS: usize = 15;
/// Wrong codes of one account in an hour, from wherever they come, after which only recovery codes are taken until
/// it is over. Who knows the password and has a thousand addresses guesses six digits no faster.
const GUESSES_MAX: i64 = 20;
const GUESSES_WITHIN: u64 = 3600;

/// A recovery code: the only time that it is seen. Its memory is cleared when it is dropped.
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// The code, `xxxxx-xxxxx-xxxxx`. Hyphens, blanks and case make no difference.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode")
    }
}

impl Store {
    /// Whether an account has a second factor.
    ///
    /// # Errors
    /// If the store fails.
    pub fn has_second_factor(&self, name: &AccountName) -> Result<bool, StoreError> {
        self.read(|moment| {
            Ok(moment
                .prepare_cached(
                    "SELECT 1 FROM second_factors WHERE account = (SELECT id FROM accounts WHERE name = ?1)",
                )?
                .exists([name.as_str()])?)
        })
    }

    /// Begins to set up a second factor in this session, or goes on with it: the secret is the same until it is
    /// set, so that who looks at the page twice is not led astray.
    ///
    /// # Errors
    /// If the session has ended, or the store fails.
    pub fn begin_second_factor(&self, name: &AccountName, session: u64) -> Result<TotpSecret, ChangeError> {
        let find = |connection: &Connection| {
            connection
                .prepare_cached("SELECT enrolling FROM sessions WHERE id = ?1")?
                .query_row([session.cast_signed()], |row| row.get::<_, Option<[u8; 20]>>(0))
                .optional()
        };
        if let Some(Some(secret)) = self.read(|moment| Ok(find(moment)?))? {
            return Ok(TotpSecret::from_octets(secret));
        }
        let new = TotpSecret::random().map_err(|error| ChangeError::Hashing(error.to_string()))?;
        self.change(&Actor::Account(name.clone()), |change, _| {
            if let Some(secret) = find(change)?.ok_or(ChangeError::SessionEnded)? {
                return Ok(TotpSecret::from_octets(secret));
            }
            change
                .prepare_cached("UPDATE sessions SET enrolling = ?2 WHERE id = ?1")?
                .execute((session.cast_signed(), new.octets()))?;
            Ok(new)
        })
    }

    /// Sets up the second factor that was begun in this session, if the code is right, and gives recovery codes.
    /// The session counts as one in which it was shown.
    ///
    /// # Errors
    /// If the session has ended, or the store fails.
    pub fn set_second_factor(
        &self,
        name: &AccountName,
        session: u64,
        code: &str,
        fresh_until: u64,
        now: u64,
    ) -> Result<Option<Vec<RecoveryCode>>, ChangeError> {
        let codes = new_codes()?;
        self.change(&Actor::Account(name.clone()), |change, trail| {
            let account = id_of(change, name)?;
            let secret: Option<[u8; 20]> = change
                .prepare_cached("SELECT enrolling FROM sessions WHERE id = ?1 AND account = ?2")?
                .query_row((session.cast_signed(), account), |row| row.get(0))
                .optional()?
                .ok_or(ChangeError::SessionEnded)?;
            let Some(secret) = secret.map(TotpSecret::from_octets) else { return Ok(None) };
            let Some(step) = secret.step_of(&typed(code), now, 0) else { return Ok(None) };
            change
                .prepare_cached(
                    "INSERT OR REPLACE INTO second_factors (account, secret, last_step) VALUES (?1, ?2, ?3)",
                )?
                .execute((account, secret.octets(), step.cast_signed()))?;
            write_codes(change, account, &codes)?;
            change
                .prepare_cached(
                    "UPDATE sessions SET enrolling = NULL, second_factor = 1, must_enrol = 0, fresh_until = ?2
                     WHERE id = ?1",
                )?
                .execute((session.cast_signed(), fresh_until.cast_signed()))?;
            // The others have not shown it: what is dangerous waits until they have.
            change
                .prepare_cached("UPDATE sessions SET fresh_until = 0 WHERE account = ?1 AND id <> ?2")?
                .execute((account, session.cast_signed()))?;
            trail.note(&Change::SecondFactorSet(name))?;
            Ok(Some(codes))
        })
    }

    /// New recovery codes; those there were are void.
    ///
    /// # Errors
    /// If there is no such account, it has no second factor, or the store fails.
    pub fn new_recovery_codes(
        &self,
        name: &AccountName,
        who: &Actor,
    ) -> Result<Vec<RecoveryCode>, ChangeError> {
        let codes = new_codes()?;
        self.change(who, |change, trail| {
            let account = id_of(change, name)?;
            if !change.prepare_cached("SELECT 1 FROM second_factors WHERE account = ?1")?.exists([account])? {
                return Err(ChangeError::NoSecondFactor(name.clone()));
            }
            write_codes(change, account, &codes)?;
            trail.note(&Change::RecoveryCodesMade(name))?;
            Ok(codes)
        })
    }

    /// Takes an account's second factor away. Its sessions go on as ones in which none was shown, and tokens by
    /// which an operator rules end.
    ///
    /// # Errors
    /// If there is no such account, it has no second factor, or the store fails.
    pub fn remove_second_factor(&self, name: &AccountName, who: &Actor) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let account = id_of(change, name)?;
            let had =
                change.prepare_cached("DELETE FROM second_factors WHERE account = ?1")?.execute([account])?;
            if had == 0 {
                return Err(ChangeError::NoSecondFactor(name.clone()));
            }
            for end in [
                "DELETE FROM recovery_codes WHERE account = ?1",
                "DELETE FROM half_sessions WHERE account = ?1",
                "DELETE FROM api_tokens WHERE account = ?1 AND scope = 'operate'",
                "UPDATE sessions SET second_factor = 0, enrolling = NULL WHERE account = ?1",
            ] {
                change.prepare_cached(end)?.execute([account])?;
            }
            Ok(trail.note(&Change::SecondFactorRemoved(name))?)
        })
    }

    /// Somebody has proved anew who he is: by the password, which was checked, and by this code if the account
    /// has a second factor. Whether the code is right.
    ///
    /// # Errors
    /// If there is no such account, or the store fails.
    pub fn prove(
        &self,
        name: &AccountName,
        session: u64,
        code: Option<&str>,
        fresh_until: u64,
        now: u64,
    ) -> Result<bool, ChangeError> {
        self.change(&Actor::Account(name.clone()), |change, trail| {
            let account = id_of(change, name)?;
            let shown = match shows(change, account, code.unwrap_or_default(), now)? {
                Shown::Nothing => return Ok(false),
                Shown::NotNeeded => false,
                Shown::Code => true,
                Shown::RecoveryCode => {
                    trail.note(&Change::RecoveryCodeUsed(name))?;
                    true
                }
            };
            change
                .prepare_cached(
                    "UPDATE sessions SET fresh_until = ?3, second_factor = second_factor OR ?4
                     WHERE id = ?1 AND account = ?2",
                )?
                .execute((session.cast_signed(), account, fresh_until.cast_signed(), shown))?;
            Ok(true)
        })
    }
}

/// What a code shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It is wrong, or was used before.
    Nothing,
    /// The account has no second factor.
    NotNeeded,
    /// The authenticator's.
    Code,
    /// One that is void from now on.
    RecoveryCode,
}

/// Takes a code, once.
pub(crate) fn shows(change: &Connection, account: i64, code: &str, now: u64) -> rusqlite::Result<Shown> {
    let hour_ago = now.saturating_sub(GUESSES_WITHIN).cast_signed();
    let found: Option<([u8; 20], i64, i64)> = change
        .prepare_cached(
            "SELECT secret, last_step, iif(guessed > ?2, guesses, 0) FROM second_factors WHERE account = ?1",
        )?
        .query_row((account, hour_ago), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((secret, last, guesses)) = found else { return Ok(Shown::NotNeeded) };
    let code = typed(code);
    let step = TotpSecret::from_octets(secret).step_of(&code, now, last.cast_unsigned());
    if let Some(step) = step.filter(|_| guesses < GUESSES_MAX) {
        change
            .prepare_cached("UPDATE second_factors SET last_step = ?2, guesses = 0 WHERE account = ?1")?
            .execute((account, step.cast_signed()))?;
        return Ok(Shown::Code);
    }
    if let Some(digest) = readable::digest::<LETTERS>(&code)
        && change
            .prepare_cached("DELETE FROM recovery_codes WHERE account = ?1 AND digest = ?2")?
            .execute((account, digest))?
            > 0
    {
        return Ok(Shown::RecoveryCode);
    }
    if guesses + 1 == GUESSES_MAX {
        tracing::warn!(account, "somebody who knows the password guesses codes: for an hour none is taken");
    }
    change
        .prepare_cached(
            "UPDATE second_factors SET guesses = ?2 + 1, guessed = iif(?2 = 0, ?3, guessed) WHERE account = ?1",
        )?
        .execute((account, guesses, now.cast_signed()))?;
    Ok(Shown::Nothing)
}

/// A code as it is meant: without blanks and hyphens, and in ASCII where a Japanese keyboard wrote wide forms.
fn typed(code: &str) -> Zeroizing<String> {
    let meant = code.chars().filter_map(|c| match c {
        ' ' | '\u{3000}' | '-' | '\u{ff0d}' | '\u{2212}' => None,
        wide @ '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(wide) - 0xfee0),
        other => Some(other),
    });
    Zeroizing::new(meant.take(LETTERS + 1).collect())
}

fn new_codes() -> Result<Vec<RecoveryCode>, ChangeError> {
    let new = || readable::random::<LETTERS>().map(RecoveryCode);
    let all: Result<_, _> = (0..RECOVERY_CODES).map(|_| new()).collect();
    all.map_err(|error| ChangeError::Hashing(error.to_string()))
}

fn write_codes(change: &Connection, account: i64, codes: &[RecoveryCode]) -> rusqlite::Result<()> {
    change.prepare_cached("DELETE FROM recovery_codes WHERE account = ?1")?.execute([account])?;
    let mut add = change.prepare_cached("INSERT INTO recovery_codes VALUES (?1, ?2)")?;
    for code in codes {
        let digest = readable::digest::<LETTERS>(code.as_str()).expect("what is made here has the form");
        add.execute((account, digest))?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::example::{Example, WHO, name};
    use crate::sessions::tests::{NOW, new_session};

    /// Sets up abc's second factor.
    pub(crate) fn set_up(store: &Store) -> (TotpSecret, Vec<RecoveryCode>) {
        let session = store.begin_session(&name("abc"), &new_session(77), NOW).unwrap().number;
        let secret = store.begin_second_factor(&name("abc"), session).unwrap();
        let codes =
            store.set_second_factor(&name("abc"), session, &secret.shown_at(NOW), NOW + 600, NOW).unwrap();
        (secret, codes.unwrap())
    }

    fn prove(store: &Store, code: &str, now: u64) -> bool {
        let session = store.session(&[77; 32], NOW).unwrap().unwrap().number;
        store.prove(&name("abc"), session, Some(code), now + 600, now).unwrap()
    }

    #[test]
    fn it_is_set_up_only_by_a_right_code_and_its_session_has_shown_it() {
        let store = &Example::pobox().store;
        let abc = name("abc");
        store.begin_session(&abc, &new_session(3), NOW).unwrap();
        let session = store.begin_session(&abc, &new_session(1), NOW).unwrap().number;
        let set = |code: &str| store.set_second_factor(&abc, session, code, NOW + 700, NOW).unwrap();
        assert!(set("000000").is_none());
        let secret = store.begin_second_factor(&abc, session).unwrap();
        assert_eq!(store.begin_second_factor(&abc, session).unwrap(), secret);
        assert!(set(&secret.shown_at(NOW + 300)).is_none());
        assert!(!store.has_second_factor(&abc).unwrap());
        assert_eq!(set(&secret.shown_at(NOW)).unwrap().len(), 10);
        assert!(store.has_second_factor(&abc).unwrap() && !store.has_second_factor(&name("xyz")).unwrap());
        let open = store.session(&[1; 32], NOW).unwrap().unwrap();
        assert!(open.second_factor_shown && open.has_second_factor && open.fresh_until == NOW + 700);
        assert_eq!(store.session(&[3; 32], NOW).unwrap().unwrap().fresh_until, 0);
        // Another session is asked for it, and a new one gets another secret.
        let other = store.begin_session(&abc, &new_session(2), NOW).unwrap();
        assert!(!other.second_factor_shown && other.has_second_factor);
        assert_ne!(store.begin_second_factor(&abc, other.number).unwrap(), secret);
        assert!(store.begin_second_factor(&abc, 999).is_err());
        assert_eq!(store.audit_trail(1).unwrap()[0].what, "second factor of abc set up");
    }

    #[test]
    fn a_code_is_taken_once_and_so_is_each_recovery_code() {
        let store = &Example::pobox().store;
        let (secret, codes) = set_up(store);
        // The one by which it was set up is used.
        assert!(!prove(store, &secret.shown_at(NOW), NOW));
        let next = secret.shown_at(NOW + 30);
        assert!(prove(store, &next, NOW + 30) && !prove(store, &next, NOW + 31));
        for recovery in [&codes[0], &codes[9]] {
            assert!(prove(store, &recovery.as_str().to_uppercase(), NOW));
            assert!(!prove(store, recovery.as_str(), NOW));
        }
        let new = store.new_recovery_codes(&name("abc"), &WHO).unwrap();
        assert!(!prove(store, codes[1].as_str(), NOW) && prove(store, new[1].as_str(), NOW));
        assert!(store.new_recovery_codes(&name("xyz"), &WHO).is_err());
    }

    #[test]
    fn codes_are_understood_as_a_japanese_keyboard_writes_them() {
        let store = &Example::pobox().store;
        let (secret, _) = set_up(store);
        let wide: String = secret
            .shown_at(NOW + 60)
            .chars()
            .map(|digit| char::from_u32(u32::from(digit) + 0xfee0).unwrap())
            .collect();
        assert!(prove(store, &format!(" {}\u{3000}{} ", &wide[..9], &wide[9..]), NOW + 60));
    }

    #[test]
    fn twenty_wrong_codes_in_an_hour_are_enough_and_a_recovery_code_is_taken_all_the_same() {
        let store = &Example::pobox().store;
        let (secret, codes) = set_up(store);
        let right = |later| prove(store, &secret.shown_at(NOW + later), NOW + later);
        (0..19).for_each(|_| assert!(!prove(store, "000000", NOW)));
        // One that is right forgives the others.
        assert!(right(30));
        (0..20).for_each(|_| assert!(!prove(store, "000000", NOW + 60)));
        assert!(!right(90) && !right(3630) && prove(store, codes[0].as_str(), NOW + 3630));
        assert!(right(3660));
    }

    #[test]
    fn without_it_sessions_have_shown_none() {
        let store = &Example::pobox().store;
        set_up(store);
        store.remove_second_factor(&name("abc"), &WHO).unwrap();
        let open = store.session(&[77; 32], NOW).unwrap().unwrap();
        assert!(!open.second_factor_shown && !open.has_second_factor);
        assert!(prove(store, "", NOW));
        assert!(!store.session(&[77; 32], NOW).unwrap().unwrap().second_factor_shown);
        let again = store.remove_second_factor(&name("abc"), &WHO).unwrap_err();
        assert!(again.to_string().starts_with("account abc has no second factor"), "{again}");
    }

    #[test]
    fn recovery_codes_stand_nowhere_in_the_files() {
        let example = Example::pobox();
        let (_, codes) = set_up(&example.store);
        assert_eq!(format!("{:?}", codes[0]), "RecoveryCode");
        let letters = codes[0].as_str().replace('-', "");
        for file in std::fs::read_dir(example.folder.path()).unwrap() {
            let octets = std::fs::read(file.unwrap().path()).unwrap();
            for form in [letters.as_bytes(), codes[0].as_str().as_bytes()] {
                assert!(!octets.windows(form.len()).any(|window| window == form));
            }
        }
    }

    #[test]
    fn any_text_as_a_code_is_an_answer() {
        let store = &Example::pobox().store;
        set_up(store);
        proptest!(|(text in any::<String>())| {
            prop_assert!(!prove(store, &text, NOW) && typed(&text).chars().count() <= LETTERS + 1);
        });
        assert!(!prove(store, &"1".repeat(1_000_000), NOW));
    }
}
