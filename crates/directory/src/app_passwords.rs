//! App passwords: one for each mail program, so that a lost telephone takes no other with it.
//!
//! They are made here and are random, 100 bits in 20 letters; so none can be guessed, and a plain digest
//! suffices to keep them: a login by one costs no argon2. They are good for POP3 and SMTP.

use std::fmt;

use envelope::AccountName;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::accounts::{end_grants, id_of};
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::label::Label;
use crate::store::{Store, unix_now};
use crate::{readable, rows};

/// App passwords that one account may have.
const EACH: u64 = 64;
/// Letters of one.
const LETTERS: usize = 20;

/// A new app password: the only time that it is seen. Its memory is cleared when it is dropped.
pub struct NewAppPassword(Zeroizing<String>);

impl NewAppPassword {
    /// The password, `xxxxx-xxxxx-xxxxx-xxxxx`. Hyphens, blanks and case make no difference at a login.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewAppPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewAppPassword")
    }
}

/// An app password as the directory knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppPassword {
    /// What its owner calls it.
    pub label: Label,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The last login by it, in seconds since 1970, to the minute.
    pub last_used: Option<u64>,
}

impl Store {
    /// Makes an app password.
    ///
    /// # Errors
    /// If there is no such account, it has one of this label, or it has 64.
    pub fn add_app_password(
        &self,
        account: &AccountName,
        label: &Label,
        who: &Actor,
    ) -> Result<NewAppPassword, ChangeError> {
        let text = readable::random::<LETTERS>().map_err(|error| ChangeError::Hashing(error.to_string()))?;
        let digest = readable::digest::<LETTERS>(&text).expect("what is made here has the form");
        let new = NewAppPassword(text);
        self.change(who, |change, trail| {
            let id = id_of(change, account)?;
            let (all, same): (i64, bool) = change
                .prepare_cached(
                    "SELECT count(*), coalesce(max(label = ?2), 0) FROM app_passwords WHERE account = ?1",
                )?
                .query_row((id, label.as_str()), |row| Ok((row.get(0)?, row.get(1)?)))?;
            if same {
                let (account, label) = (account.clone(), label.clone());
                return Err(ChangeError::AppPasswordExists { account, label });
            }
            if all.unsigned_abs() >= EACH {
                return Err(ChangeError::TooManyAppPasswords(account.clone()));
            }
            change
                .prepare_cached(
                    "INSERT INTO app_passwords (account, label, digest, created) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute((id, label.as_str(), digest, unix_now()))?;
            trail.note(&Change::AppPasswordAdded(account, label))?;
            Ok(new)
        })
    }

    /// The app passwords of an account, in the order in which they were made.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn app_passwords(&self, account: &AccountName) -> Result<Vec<AppPassword>, ChangeError> {
        let mut passwords = self.ask(|moment| {
            let id = id_of(moment, account)?;
            let mut all = moment.prepare_cached(
                "SELECT id, label, created FROM app_passwords WHERE account = ?1 ORDER BY id",
            )?;
            let passwords = all.query_map([id], |row| {
                let password = AppPassword {
                    label: rows::parsed(row, 1)?,
                    created: rows::seconds(row, 2)?,
                    last_used: None,
                };
                Ok((row.get(0)?, password))
            })?;
            Ok(passwords.collect::<Result<Vec<(i64, AppPassword)>, _>>()?)
        })?;
        let uses = self.usage().uses();
        passwords.iter_mut().for_each(|(id, password)| password.last_used = uses.last(*id));
        Ok(passwords.into_iter().map(|(_, password)| password).collect())
    }

    /// Revokes an app password, from the next login on. Relay windows are closed, for it may have
    /// opened them.
    ///
    /// # Errors
    /// If there is no such account, or it has none of this label.
    pub fn remove_app_password(
        &self,
        account: &AccountName,
        label: &Label,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        let removed: i64 = self.change(who, |change, trail| {
            let id = id_of(change, account)?;
            let removed = change
                .prepare_cached("DELETE FROM app_passwords WHERE account = ?1 AND label = ?2 RETURNING id")?
                .query_row((id, label.as_str()), |row| row.get(0))
                .optional()?;
            let Some(removed) = removed else {
                let (account, label) = (account.clone(), label.clone());
                return Err(ChangeError::NoSuchAppPassword { account, label });
            };
            end_grants(change, id)?;
            trail.note(&Change::AppPasswordRemoved(account, label))?;
            Ok(removed)
        })?;
        self.usage().uses().forget(removed);
        self.usage().changed();
        Ok(())
    }

    /// The label of this app password, if the account has it; it counts as used now.
    pub(crate) fn app_password(&self, account: i64, password: &str) -> Result<Option<Label>, StoreError> {
        let Some(digest) = readable::digest::<LETTERS>(password) else { return Ok(None) };
        let found: Option<(i64, Label)> = self.read(|moment| {
            Ok(moment
                .prepare_cached("SELECT id, label FROM app_passwords WHERE account = ?1 AND digest = ?2")?
                .query_row((account, digest), |row| Ok((row.get(0)?, rows::parsed(row, 1)?)))
                .optional()?)
        })?;
        let Some((id, label)) = found else { return Ok(None) };
        let usage = self.usage();
        if usage.uses().used(id, unix_now().unsigned_abs()) {
            usage.changed();
        }
        Ok(Some(label))
    }
}

/// The rows of an account's app passwords, by which their uses are known.
pub(crate) fn ids(moment: &Connection, account: i64) -> rusqlite::Result<Vec<i64>> {
    moment
        .prepare_cached("SELECT id FROM app_passwords WHERE account = ?1")?
        .query_map([account], |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoginRefused;
    use crate::example::{Example, WHO, name};

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    fn add(example: &Example, text: &str) -> NewAppPassword {
        example.store.add_app_password(&name("abc"), &label(text), &WHO).unwrap()
    }

    #[test]
    fn an_app_password_lets_in_to_mail_and_not_to_the_page() {
        let example = Example::pobox();
        example.set_password("abc", "abc-try");
        let (phone, desk) = (add(&example, "phone"), add(&example, "desk"));
        for right in [phone.as_str(), desk.as_str(), &phone.as_str().to_uppercase().replace('-', " ")] {
            assert!(example.store.login("abc@pobox.example", right).is_ok());
            assert_eq!(example.store.login_to_page("abc", right), Err(LoginRefused::Credentials));
            assert_eq!(example.store.login("xyz", right), Err(LoginRefused::Credentials));
        }
        assert!(example.store.login_to_page("abc", "abc-try").is_ok());
    }

    #[test]
    fn one_is_revoked_and_the_others_stay() {
        let example = Example::pobox();
        let (phone, desk) = (add(&example, "phone"), add(&example, "desk"));
        let (client, now) = ("192.0.2.7".parse().unwrap(), 1_800_000_000);
        example.store.open_window(client, &name("abc"), now).unwrap();
        example.store.remove_app_password(&name("abc"), &label("phone"), &WHO).unwrap();
        assert_eq!(example.store.windows(client, now).unwrap(), []);
        assert_eq!(example.store.login("abc", phone.as_str()), Err(LoginRefused::Credentials));
        assert!(example.store.login("abc", desk.as_str()).is_ok());
        let again = example.store.remove_app_password(&name("abc"), &label("phone"), &WHO).unwrap_err();
        assert!(again.to_string().starts_with("account abc has no app password \"phone\"; "), "{again}");
        let trail = example.store.audit_trail(1).unwrap();
        assert_eq!(trail[0].what, "app password \"phone\" of abc revoked");
    }

    #[test]
    fn they_are_listed_with_their_last_use_also_after_a_restart() {
        let example = Example::pobox();
        let phone = add(&example, "phone");
        add(&example, "desk");
        example.store.login("abc", phone.as_str()).unwrap();
        example.store.flush_usage();
        for store in [&example.store, &example.opened_again()] {
            let all = store.app_passwords(&name("abc")).unwrap();
            let labels: Vec<_> = all.iter().map(|password| password.label.as_str()).collect();
            assert_eq!(labels, ["phone", "desk"]);
            assert!(
                all[0].last_used.is_some_and(|used| used >= all[0].created) && all[1].last_used.is_none()
            );
        }
        assert!(example.store.app_passwords(&name("nobody")).is_err());
    }

    #[test]
    fn a_label_is_given_once_and_there_is_an_end_to_them() {
        let example = Example::pobox();
        add(&example, "phone");
        let twice = example.store.add_app_password(&name("abc"), &label("phone"), &WHO).unwrap_err();
        assert!(matches!(twice, ChangeError::AppPasswordExists { .. }));
        (1..EACH).for_each(|number| drop(add(&example, &number.to_string())));
        let more = example.store.add_app_password(&name("abc"), &label("more"), &WHO).unwrap_err();
        assert!(matches!(more, ChangeError::TooManyAppPasswords(_)));
        assert!(example.store.add_app_password(&name("xyz"), &label("phone"), &WHO).is_ok());
    }

    #[test]
    fn a_suspended_account_is_refused_by_its_app_passwords_too() {
        let example = Example::pobox();
        let phone = add(&example, "phone");
        example.store.set_state(&name("abc"), envelope::AccountState::Suspended, &WHO).unwrap();
        assert_eq!(example.store.login("abc", phone.as_str()), Err(LoginRefused::Suspended));
    }

    #[test]
    fn it_stands_nowhere_in_the_files_nor_in_debug_texts() {
        let example = Example::pobox();
        let phone = add(&example, "phone");
        assert_eq!(format!("{phone:?}"), "NewAppPassword");
        let letters = phone.as_str().replace('-', "");
        for file in std::fs::read_dir(example.folder.path()).unwrap() {
            let octets = std::fs::read(file.unwrap().path()).unwrap();
            for form in [letters.as_bytes(), phone.as_str().as_bytes()] {
                assert!(!octets.windows(form.len()).any(|window| window == form));
            }
        }
    }
}
