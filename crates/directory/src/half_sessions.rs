//! Sign-ins that wait for their second factor: the password was right, the code comes next.

use envelope::AccountName;
use rusqlite::{Connection, OptionalExtension};

use crate::accounts::id_of;
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::rows;
use crate::second_factor::{Shown, shows};
use crate::sessions::{Begun, NewSession, OpenSession};
use crate::store::Store;

/// How long the code may take, in seconds.
const LIFETIME: u64 = 300;
/// Wrong codes after which it begins with the password again.
const WRONG_MAX: i64 = 5;

/// What came of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecondStep {
    /// He is in.
    In(Box<OpenSession>),
    /// The code is wrong, or was used before.
    WrongCode,
    /// There is no such sign-in, or it took too long: it begins with the password again.
    Over,
}

impl Store {
    /// Begins a sign-in whose second factor is asked for next; `digest` is of the token by which it goes on.
    ///
    /// # Errors
    /// If there is no such account, or the store fails.
    pub fn begin_half_session(
        &self,
        name: &AccountName,
        digest: &[u8; 32],
        now: u64,
    ) -> Result<(), ChangeError> {
        self.change(&Actor::Account(name.clone()), |change, _| {
            Ok(add(change, id_of(change, name)?, digest, now)?)
        })
    }

    /// Whose sign-in goes on by this token.
    ///
    /// # Errors
    /// If the store fails.
    pub fn half_session(&self, digest: &[u8; 32], now: u64) -> Result<Option<AccountName>, StoreError> {
        self.read(|moment| Ok(find(moment, digest, now)?.map(|(_, name)| name)))
    }

    /// Ends a sign-in by its second factor: an authenticator's code or a recovery code.
    ///
    /// # Errors
    /// If the store fails.
    pub fn show_second_factor(
        &self,
        digest: &[u8; 32],
        code: &str,
        new: &NewSession,
        now: u64,
    ) -> Result<SecondStep, ChangeError> {
        let Some(name) = self.half_session(digest, now)? else { return Ok(SecondStep::Over) };
        let number = self.change(&Actor::Account(name.clone()), |change, trail| {
            let Some((account, _)) = find(change, digest, now)? else { return Ok(Err(SecondStep::Over)) };
            match shows(change, account, code, now)? {
                Shown::Nothing => {
                    wrong(change, digest)?;
                    return Ok(Err(SecondStep::WrongCode));
                }
                // It was taken away meanwhile, and this sign-in with it.
                Shown::NotNeeded => return Ok(Err(SecondStep::Over)),
                Shown::Code => {}
                Shown::RecoveryCode => trail.note(&Change::RecoveryCodeUsed(&name))?,
            }
            change.prepare_cached("DELETE FROM half_sessions WHERE digest = ?1")?.execute([digest])?;
            Ok(Ok(self.add_session(change, account, new, Begun::BySecondFactor, now)?))
        })?;
        match number {
            Ok(number) => Ok(SecondStep::In(Box::new(self.open_session(number, new, now)?))),
            Err(step) => Ok(step),
        }
    }
}

/// Writes one, and sweeps out those that took too long.
pub(crate) fn add(change: &Connection, account: i64, digest: &[u8; 32], now: u64) -> rusqlite::Result<()> {
    let over = now.saturating_sub(LIFETIME).cast_signed();
    change.prepare_cached("DELETE FROM half_sessions WHERE began <= ?1")?.execute([over])?;
    change
        .prepare_cached("INSERT INTO half_sessions (digest, account, began) VALUES (?1, ?2, ?3)")?
        .execute((digest, account, now.cast_signed()))?;
    Ok(())
}

fn find(
    connection: &Connection,
    digest: &[u8; 32],
    now: u64,
) -> rusqlite::Result<Option<(i64, AccountName)>> {
    let over = now.saturating_sub(LIFETIME).cast_signed();
    connection
        .prepare_cached(
            "SELECT account, name FROM half_sessions JOIN accounts ON accounts.id = account
             WHERE digest = ?1 AND began > ?2 AND wrong < ?3",
        )?
        .query_row((digest, over, WRONG_MAX), |row| Ok((row.get(0)?, rows::parsed(row, 1)?)))
        .optional()
}

fn wrong(change: &Connection, digest: &[u8; 32]) -> rusqlite::Result<()> {
    change
        .prepare_cached("UPDATE half_sessions SET wrong = wrong + 1 WHERE digest = ?1")?
        .execute([digest])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Example, WHO, name};
    use crate::second_factor::tests::set_up;
    use crate::sessions::tests::{NOW, new_session};

    const HALF: [u8; 32] = [3; 32];

    #[test]
    fn who_shows_password_and_code_is_in_and_the_half_is_used_up() {
        let example = Example::pobox();
        let store = &example.store;
        let (secret, codes) = set_up(store);
        store.begin_half_session(&name("abc"), &HALF, NOW).unwrap();
        assert_eq!(store.half_session(&HALF, NOW).unwrap(), Some(name("abc")));
        let show = |code: &str| store.show_second_factor(&HALF, code, &new_session(4), NOW + 60).unwrap();
        assert_eq!(show("000000"), SecondStep::WrongCode);
        let SecondStep::In(open) = show(&secret.shown_at(NOW + 60)) else { panic!("not let in") };
        assert!(open.second_factor_shown && open.account.name == name("abc"));
        assert_eq!(show(codes[0].as_str()), SecondStep::Over);
        // A recovery code does as well, and the owner sees that it was used.
        store.begin_half_session(&name("abc"), &HALF, NOW).unwrap();
        let by_recovery = store.show_second_factor(&HALF, codes[0].as_str(), &new_session(5), NOW).unwrap();
        assert!(matches!(by_recovery, SecondStep::In(_)));
        assert_eq!(store.audit_trail(1).unwrap()[0].what, "a recovery code of abc used");
    }

    #[test]
    fn it_ends_after_five_minutes_five_wrong_codes_or_when_the_account_changes_hands() {
        let example = Example::pobox();
        let store = &example.store;
        let (_, codes) = set_up(store);
        let begin = || store.begin_half_session(&name("abc"), &HALF, NOW).unwrap();
        let show = |code: &str, now| store.show_second_factor(&HALF, code, &new_session(4), now).unwrap();
        begin();
        assert_eq!(show(codes[0].as_str(), NOW + 300), SecondStep::Over);
        (0..5).for_each(|_| assert_eq!(show("000000", NOW), SecondStep::WrongCode));
        assert_eq!(show(codes[0].as_str(), NOW), SecondStep::Over);
        store.begin_half_session(&name("abc"), &[9; 32], NOW + 300).unwrap();
        begin();
        store.set_password(&name("abc"), &crate::example::password("other-one"), &WHO).unwrap();
        assert_eq!(show(codes[0].as_str(), NOW), SecondStep::Over);
        begin();
        store.remove_second_factor(&name("abc"), &WHO).unwrap();
        assert_eq!(show(codes[0].as_str(), NOW), SecondStep::Over);
    }
}
