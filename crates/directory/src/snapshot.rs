//! Several questions about one moment: delivery asks where an address leads, what its owner wants done
//! and what he may, and no change comes between the answers.

use envelope::{Account, AccountName, Address, Destination, Plan};
use rusqlite::{Connection, OptionalExtension};

use crate::error::StoreError;
use crate::extension::key_of_file;
use crate::plans::effective_plan;
use crate::resolve::Lookup;
use crate::store::{Settings, Store};
use crate::{accounts, local_users};

/// The last committed state of the directory, at one moment.
pub struct Snapshot<'a> {
    moment: &'a Connection,
    settings: &'a Settings,
}

impl Store {
    /// Asks several things of one moment; waits for no writer.
    ///
    /// # Errors
    /// That of `ask`, or if the store fails.
    pub fn snapshot<T>(
        &self,
        ask: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.read(|moment| ask(&Snapshot { moment, settings: &self.settings }))
    }
}

impl Snapshot<'_> {
    /// Where an address leads.
    ///
    /// # Errors
    /// If the store fails: then nothing is known, and the sender must try again later.
    pub fn resolve(&self, address: &Address) -> Result<Destination, StoreError> {
        Ok(Lookup { moment: self.moment, settings: self.settings }.resolve(address)?)
    }

    /// The account of this name, if there is one.
    ///
    /// # Errors
    /// If the store fails.
    pub fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        Ok(accounts::account(self.moment, name, self.settings)?)
    }

    /// As which account programs send that run under a user id of this machine. Programs of root are the
    /// oldest operator's.
    ///
    /// # Errors
    /// If the store fails.
    pub fn account_of_local_user(&self, uid: u32) -> Result<Option<AccountName>, StoreError> {
        Ok(local_users::account_of(self.moment, uid)?)
    }

    /// The active instructions of an account under a name, which is that of qmail's file, already folded:
    /// `.qmail-foo`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn instructions(&self, account: &AccountName, name: &str) -> Result<Option<String>, StoreError> {
        let Some(key) = key_of_file(name) else { return Ok(None) };
        Ok(self
            .moment
            .prepare_cached(concat!("SELECT text ", active!()))?
            .query_row((account.as_str(), key), |row| row.get(0))
            .optional()?)
    }

    /// Whether an account has active instructions under a name, as the `-owner` rule asks.
    ///
    /// # Errors
    /// If the store fails.
    pub fn has_instructions(&self, account: &AccountName, name: &str) -> Result<bool, StoreError> {
        let Some(key) = key_of_file(name) else { return Ok(false) };
        Ok(self.moment.prepare_cached(concat!("SELECT 1 ", active!()))?.exists((account.as_str(), key))?)
    }

    /// What an account may after all: its plan, with its overrides. None if there is no such account.
    ///
    /// # Errors
    /// If the store fails.
    pub fn effective_plan(&self, account: &AccountName) -> Result<Option<Plan>, StoreError> {
        Ok(effective_plan(self.moment, account)?)
    }
}

/// The instructions of account ?1 under the key ?2 that count.
macro_rules! active {
    () => {
        "FROM instructions
         WHERE account = (SELECT id FROM accounts WHERE name = ?1) AND name = ?2 AND active"
    };
}
use active;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Example, WHO, name};
    use crate::extension::Extension;

    #[test]
    fn all_answers_are_of_one_moment() {
        let example = Example::pobox();
        let address = "foo@abc.pobox.example".parse().unwrap();
        let foo = Extension::parse(Some("foo")).unwrap();
        let abc = name("abc");
        example.store.set_instructions(&abc, &foo, "&a@x.example\n", |_, _| Ok(()), &WHO).unwrap();
        let seen = example.store.snapshot(|snapshot| {
            let leads_to = snapshot.resolve(&address)?;
            example.store.remove_account(&abc, &WHO).unwrap();
            Ok((leads_to, snapshot.instructions(&abc, ".qmail-foo")?, snapshot.effective_plan(&abc)?))
        });
        let (leads_to, text, plan) = seen.unwrap();
        assert!(matches!(leads_to, Destination::Local(_)));
        assert_eq!((text.as_deref(), plan), (Some("&a@x.example\n"), Some(Plan::default())));
        let later = example.store.snapshot(|snapshot| snapshot.resolve(&address)).unwrap();
        assert_eq!(later, Destination::NoSuchMailbox);
    }

    #[test]
    fn hostile_names_are_no_names_of_instructions() {
        let example = Example::pobox();
        for hostile in ["", "/etc/passwd", "' OR 1=1 --", ".qmail-' OR 1=1 --", ".qmail-%", ".qmail\0"] {
            let found = example.store.snapshot(|snapshot| {
                Ok((
                    snapshot.instructions(&name("abc"), hostile)?,
                    snapshot.has_instructions(&name("abc"), hostile)?,
                ))
            });
            assert_eq!(found.unwrap(), (None, false), "{hostile}");
        }
    }
}
