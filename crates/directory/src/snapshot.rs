//! Several questions about one moment: delivery asks where an address leads, what its owner wants done
//! and what he may, and no change comes between the answers.

use std::ops::Range;

use envelope::{Account, AccountName, Address, Destination, Domain, Plan, Prefix};
use rusqlite::{Connection, OptionalExtension};

use crate::consents::{self, Consent};
use crate::error::StoreError;
use crate::extension::{Extension, key_of_file};
use crate::instructions::{self, Instructions};
use crate::plans::effective_plan;
use crate::resolve::Lookup;
use crate::store::{Settings, Store};
use crate::{absence, accounts, domains, local_users};

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

    /// The instructions that an address of an account has of its own, whether they are obeyed or not.
    ///
    /// # Errors
    /// If the store fails.
    pub fn own_instructions(
        &self,
        account: &AccountName,
        extension: &Extension,
    ) -> Result<Option<Instructions>, StoreError> {
        let Some(id) = accounts::id_if_any(self.moment, account)? else { return Ok(None) };
        Ok(instructions::one(self.moment, id, extension)?)
    }

    /// What the owner of a destination said to an account, if he was ever asked, and whether it is wanted in this
    /// address.
    ///
    /// # Errors
    /// If the store fails.
    pub fn consent(
        &self,
        account: &AccountName,
        destination: &Address,
        of: &Extension,
    ) -> Result<Option<Consent>, StoreError> {
        let Some(id) = accounts::id_if_any(self.moment, account)? else { return Ok(None) };
        Ok(consents::find(self.moment, id, destination, of)?)
    }

    /// The virtual domains of an account, and what stands before the local-part in their extensions.
    ///
    /// # Errors
    /// If the store fails.
    pub fn virtual_domains(
        &self,
        account: &AccountName,
    ) -> Result<Vec<(Domain, Option<Prefix>)>, StoreError> {
        Ok(domains::virtual_of(self.moment, account)?)
    }

    /// When the owner of an account is away, in seconds since 1970: those who write to him meanwhile may be
    /// answered. None if he has said nothing of the kind, or taken it back.
    ///
    /// # Errors
    /// If the store fails.
    pub fn absent(&self, account: &AccountName) -> Result<Option<Range<u64>>, StoreError> {
        Ok(absence::times(self.moment, account)?)
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
