//! Bringing what is stored of a password up to date at a good login, the one moment when it is known.
//!
//! That is so for hashes that were taken over from an older system, and for passwords that have no
//! SCRAM keys yet.

use envelope::AccountName;

use crate::accounts::{end_grants, id_of};
use crate::audit::{Actor, Change};
use crate::error::ChangeError;
use crate::login::LoginRow;
use crate::password_hash::{PasswordHash, Scheme};
use crate::scram::{self, ScramKeys};
use crate::sessions::end_all_ways_in;
use crate::store::Store;

impl Store {
    /// Takes over a password as another system's hash of it. It is good from the next login on, which
    /// replaces the hash by one of our own. Relay windows are closed, and sessions, one-time links and API tokens end.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn set_password_hash(
        &self,
        name: &AccountName,
        hash: &PasswordHash,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        let tokens = self.change(who, |change, trail| {
            let id = id_of(change, name)?;
            change
                .prepare_cached("UPDATE accounts SET password = ?2 WHERE id = ?1")?
                .execute((id, hash.as_str()))?;
            end_grants(change, id)?;
            scram::set_keys(change, id, None)?;
            trail.note(&Change::PasswordHashSet(name))?;
            Ok(end_all_ways_in(change, id)?)
        })?;
        self.forget_tokens(&tokens);
        Ok(())
    }

    /// Stores the password of a good login anew if what is stored is out of date. If that fails, the
    /// login is none the worse, and a later one tries again.
    pub(crate) fn upgrade(&self, row: &LoginRow, password: &str) {
        let Some(stored) = &row.password else { return };
        if Scheme::of(stored) == Some(Scheme::Argon2id) && row.keys.is_some() {
            return;
        }
        let name = &row.account.name;
        match self.store_anew(row, stored, password) {
            Ok(()) => tracing::info!(account = %name, "the stored password was brought up to date"),
            Err(error) => {
                tracing::warn!(account = %name, %error, "the stored password was not brought up to date");
            }
        }
    }

    fn store_anew(&self, row: &LoginRow, stored: &str, password: &str) -> Result<(), ChangeError> {
        let Credentials { hash, keys } = self.credentials(password)?;
        self.change(&Actor::Server, |change, trail| {
            // Only if it is still this one: somebody may have set another password just now.
            let changed = change
                .prepare_cached("UPDATE accounts SET password = ?3 WHERE id = ?1 AND password = ?2")?
                .execute((row.id, stored, hash))?;
            if changed > 0 {
                scram::set_keys(change, row.id, Some(&keys))?;
                trail.note(&Change::PasswordStoredAnew(&row.account.name))?;
            }
            Ok(())
        })
    }

    /// What is stored of a password.
    pub(crate) fn credentials(&self, password: &str) -> Result<Credentials, ChangeError> {
        let failed = |error: &dyn std::fmt::Display| ChangeError::Hashing(error.to_string());
        let turn = self.hasher.turn().map_err(|error| failed(&error))?;
        let hash = turn.hash(password.as_bytes()).map_err(|error| failed(&error))?;
        let keys = ScramKeys::of_password(password.as_bytes()).map_err(|error| failed(&error))?;
        Ok(Credentials { hash, keys })
    }
}

/// What is stored of a password: an argon2id PHC string, and its SCRAM keys.
pub(crate) struct Credentials {
    pub(crate) hash: String,
    pub(crate) keys: ScramKeys,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoginRefused;
    use crate::example::{Example, WHO, name};
    use crate::password_hash::tests::CRYPTED;

    fn stored(example: &Example) -> String {
        let read = "SELECT password FROM accounts WHERE name = 'abc'";
        example.store.read(|moment| Ok(moment.query_row(read, [], |row| row.get(0))?)).unwrap()
    }

    fn has_keys(example: &Example) -> bool {
        let row = example.store.read(|moment| Ok(example.store.login_row(moment, &name("abc"))?));
        row.unwrap().expect("abc is there").keys.is_some()
    }

    fn import(example: &Example, hash: &str) {
        example.store.set_password_hash(&name("abc"), &PasswordHash::parse(hash).unwrap(), &WHO).unwrap();
    }

    #[test]
    fn each_older_hash_lets_in_and_becomes_argon2id_and_scram_keys_at_the_first_good_login() {
        let example = Example::pobox();
        for crypted in CRYPTED {
            import(&example, crypted);
            assert!(!has_keys(&example));
            assert_eq!(example.store.login("abc", "abc-Try"), Err(LoginRefused::Credentials), "{crypted}");
            assert_eq!(stored(&example), crypted);
            assert!(example.store.login("abc", "abc-try").is_ok(), "{crypted}");
            assert!(stored(&example).starts_with("$argon2id$") && has_keys(&example), "{crypted}");
            assert!(example.store.login("abc", "abc-try").is_ok(), "{crypted}");
            assert_eq!(example.store.login("abc", "abc-Try"), Err(LoginRefused::Credentials), "{crypted}");
        }
        let trail = example.store.audit_trail(2).unwrap();
        assert_eq!(
            (trail[0].who.as_str(), trail[0].what.as_str()),
            ("server", "password of abc stored anew")
        );
        assert_eq!(trail[1].what, "password of abc set by a hash of it");
    }

    #[test]
    fn an_argon2id_password_without_scram_keys_gets_them_at_the_next_good_login() {
        let example = Example::pobox();
        example.set_password("abc", "abc-try");
        let hash = stored(&example);
        import(&example, &hash);
        assert!(!has_keys(&example));
        example.store.login("abc", "abc-try").unwrap();
        assert!(has_keys(&example));
        let entries = example.store.audit_trail(100).unwrap().len();
        example.store.login("abc", "abc-try").unwrap();
        assert_eq!(example.store.audit_trail(100).unwrap().len(), entries);
    }

    #[test]
    fn a_password_that_was_set_meanwhile_is_not_overwritten() {
        let example = Example::pobox();
        import(&example, CRYPTED[0]);
        let row = |moment: &rusqlite::Connection| {
            Ok(example.store.login_row(moment, &name("abc"))?.expect("abc is there"))
        };
        let row = example.store.read(row).unwrap();
        example.set_password("abc", "new");
        example.store.upgrade(&row, "abc-try");
        assert!(example.store.login("abc", "new").is_ok());
        assert!(example.store.login("abc", "abc-try").is_err());
    }

    #[test]
    fn an_upgrade_closes_no_relay_window_and_a_new_hash_does() {
        let example = Example::pobox();
        import(&example, CRYPTED[0]);
        let client = "192.0.2.7".parse().unwrap();
        example.store.open_window(client, &name("abc"), 1_800_000_000).unwrap();
        example.store.login("abc", "abc-try").unwrap();
        assert_eq!(example.store.windows(client, 1_800_000_000).unwrap().len(), 1);
        import(&example, CRYPTED[1]);
        assert_eq!(example.store.windows(client, 1_800_000_000).unwrap(), []);
    }
}
