//! Accounts: making, listing, changing and removing them.

use std::path::Path;

use envelope::{Account, AccountName, AccountState, Domain, Language, Mailbox};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::audit::{Actor, Change};
use crate::domains;
use crate::error::{ChangeError, StoreError};
use crate::password::Password;
use crate::rows;
use crate::scram;
use crate::store::{Settings, Store, unix_now};
use crate::upgrade::Credentials;

/// An account to be made.
#[derive(Debug)]
pub struct NewAccount {
    /// Its name.
    pub name: AccountName,
    /// Its password; none means that nobody can log in yet.
    pub password: Option<Password>,
    /// The language it is written to in.
    pub language: Language,
    /// Whether it may rule the server, and is sent the postmaster's mail.
    pub operator: bool,
}

impl Store {
    /// Makes an active account. Its Maildir is named, not made.
    ///
    /// # Errors
    /// If the name is taken, or the name's sub-domain is hosted for somebody else.
    pub fn add_account(&self, new: NewAccount, who: &Actor) -> Result<Account, ChangeError> {
        self.add_account_after(new, who, |_| Ok(()))
    }

    /// The same, but the account is there only once `make_mailbox` has made its Maildir: one
    /// without would have its mail wait. What it made for an account that then cannot be stored
    /// stays behind, and nobody else gets it, as each account has a path of its own.
    ///
    /// # Errors
    /// As above, or [`ChangeError::Mailbox`] with the reason that `make_mailbox` gives.
    pub fn add_account_after(
        &self,
        new: NewAccount,
        who: &Actor,
        make_mailbox: impl FnOnce(&Account) -> Result<(), String>,
    ) -> Result<Account, ChangeError> {
        let credentials = new.password.as_ref().map(|new| self.credentials(new.as_str())).transpose()?;
        self.change(who, |change, trail| {
            if account(change, &new.name, &self.settings)?.is_some() {
                return Err(ChangeError::AccountExists(new.name));
            }
            if let Some(domain) = domains::hosted_sub_domain(change, &new.name)? {
                return Err(ChangeError::SubDomainTaken { domain, account: new.name });
            }
            change
                .prepare_cached(
                    "INSERT INTO accounts (name, password, state, language, operator, maildir, created)
                     VALUES (?1, ?2, ?3, ?4, ?5, '', ?6)",
                )?
                .execute((
                    new.name.as_str(),
                    credentials.as_ref().map(|credentials| &credentials.hash),
                    AccountState::Active.as_str(),
                    new.language.as_str(),
                    new.operator,
                    unix_now(),
                ))?;
            let id = change.last_insert_rowid();
            change
                .prepare_cached("UPDATE accounts SET maildir = ?2 WHERE id = ?1")?
                .execute((id, maildir_of(id, &new.name)))?;
            scram::set_keys(change, id, credentials.as_ref().map(|credentials| &credentials.keys))?;
            trail.note(&Change::AccountAdded(&new.name, new.operator))?;
            let made = account(change, &new.name, &self.settings)?;
            let made = made.ok_or_else(|| ChangeError::NoSuchAccount(new.name.clone()))?;
            match make_mailbox(&made) {
                Ok(()) => Ok(made),
                Err(reason) => Err(ChangeError::Mailbox { account: new.name, reason }),
            }
        })
    }

    /// The account of this name, if there is one.
    ///
    /// # Errors
    /// If the store fails.
    pub fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.read(|reader| Ok(account(reader, name, &self.settings)?))
    }

    /// A page of the accounts whose names begin with `prefix` (all of them if it is empty), in the
    /// order of their names: at most `limit`, from the first after `after` on.
    ///
    /// # Errors
    /// If the store fails.
    pub fn accounts(
        &self,
        prefix: &str,
        after: Option<&AccountName>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        let first = prefix.to_ascii_lowercase();
        // Sorts after every name with this prefix: names are letters, digits and hyphens.
        let end = format!("{first}~");
        self.read(|reader| {
            let mut page = reader.prepare_cached(concat!(
                "SELECT ",
                columns!(),
                " FROM accounts WHERE name >= ?1 AND name < ?2 AND name > ?3 ORDER BY name LIMIT ?4"
            ))?;
            let after = after.map_or("", AccountName::as_str);
            let accounts =
                page.query_map((first, end, after, limit), |row| read_account(row, &self.settings))?;
            Ok(accounts.collect::<Result<_, _>>()?)
        })
    }

    /// Removes an account, and gives back what it was. What becomes of its Maildir is the
    /// caller's matter; no later account gets the same one.
    ///
    /// # Errors
    /// If there is none of this name, or it owns domains.
    pub fn remove_account(&self, name: &AccountName, who: &Actor) -> Result<Account, ChangeError> {
        self.change(who, |change, trail| {
            let removed = account(change, name, &self.settings)?
                .ok_or_else(|| ChangeError::NoSuchAccount(name.clone()))?;
            let domains = domains_of(change, name)?;
            if !domains.is_empty() {
                return Err(ChangeError::OwnsDomains { account: name.clone(), domains });
            }
            change.prepare_cached("DELETE FROM accounts WHERE name = ?1")?.execute([name.as_str()])?;
            trail.note(&Change::AccountRemoved(name))?;
            Ok(removed)
        })
    }

    /// Gives an account a new password, good from the next login on, and closes its relay windows.
    ///
    /// # Errors
    /// If there is none of this name, or the password cannot be hashed now.
    pub fn set_password(
        &self,
        name: &AccountName,
        password: &Password,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        let Credentials { hash, keys } = self.credentials(password.as_str())?;
        self.change(who, |change, trail| {
            let id = id_of(change, name)?;
            change.prepare_cached("UPDATE accounts SET password = ?2 WHERE id = ?1")?.execute((id, hash))?;
            end_grants(change, id)?;
            scram::set_keys(change, id, Some(&keys))?;
            Ok(trail.note(&Change::PasswordSet(name))?)
        })
    }

    /// Suspends or resumes an account, from the next login and the next message on. Its relay windows
    /// are closed.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn set_state(&self, name: &AccountName, state: AccountState, who: &Actor) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let id = id_of(change, name)?;
            change
                .prepare_cached("UPDATE accounts SET state = ?2 WHERE id = ?1")?
                .execute((id, state.as_str()))?;
            end_grants(change, id)?;
            Ok(trail.note(&Change::StateSet(name, state))?)
        })
    }
}

/// The columns that [`read_account`] reads, in its order.
macro_rules! columns {
    () => {
        "name, state, language, operator, maildir, created"
    };
}
pub(crate) use columns;

/// Reads an account from a row that begins with [`columns!`].
pub(crate) fn read_account(row: &Row<'_>, settings: &Settings) -> rusqlite::Result<Account> {
    use AccountState::{Active, ReceiveOnly, Suspended};
    Ok(Account {
        name: rows::parsed(row, 0)?,
        state: rows::one_of(row, 1, &[Active, Suspended, ReceiveOnly], AccountState::as_str)?,
        language: rows::one_of(row, 2, &[Language::Ja, Language::En], Language::as_str)?,
        operator: row.get(3)?,
        maildir: settings.maildir_root.join(row.get_ref(4)?.as_str()?),
        created: rows::seconds(row, 5)?,
    })
}

/// Reads a mailbox from the columns `name, maildir`, of which the first is column `first`.
pub(crate) fn read_mailbox(row: &Row<'_>, first: usize, maildir_root: &Path) -> rusqlite::Result<Mailbox> {
    let maildir = maildir_root.join(row.get_ref(first + 1)?.as_str()?);
    Ok(Mailbox { account: rows::parsed(row, first)?, maildir })
}

fn account(
    connection: &Connection,
    name: &AccountName,
    settings: &Settings,
) -> rusqlite::Result<Option<Account>> {
    connection
        .prepare_cached(concat!("SELECT ", columns!(), " FROM accounts WHERE name = ?1"))?
        .query_row([name.as_str()], |row| read_account(row, settings))
        .optional()
}

/// The account's row, by which other tables know it.
pub(crate) fn id_of(connection: &Connection, name: &AccountName) -> Result<i64, ChangeError> {
    id_if_any(connection, name)?.ok_or_else(|| ChangeError::NoSuchAccount(name.clone()))
}

/// As [`id_of`]; none if there is no such account.
pub(crate) fn id_if_any(connection: &Connection, name: &AccountName) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM accounts WHERE name = ?1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()
}

/// Ends what the account was granted before, in every process.
pub(crate) fn end_grants(change: &Connection, id: i64) -> rusqlite::Result<()> {
    change
        .prepare_cached("UPDATE accounts SET grant_epoch = grant_epoch + 1 WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

fn domains_of(connection: &Connection, owner: &AccountName) -> rusqlite::Result<Vec<Domain>> {
    connection
        .prepare_cached(
            "SELECT name FROM domains WHERE owner = (SELECT id FROM accounts WHERE name = ?1) ORDER BY name",
        )?
        .query_map([owner.as_str()], |row| rows::parsed(row, 0))?
        .collect()
}

/// Where a new account's mail is to lie, under the root.
///
/// In one of 256 directories, so that with 100,000 accounts each still lists in a moment. The id is
/// in the name, so that who gets a name that was free again does not find the former mail.
fn maildir_of(id: i64, name: &AccountName) -> String {
    format!("{:02x}/{name}.{id}/Maildir", id & 0xff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::example::{Example, WHO, domain, name, new_account, password, virtual_of};

    fn names(accounts: &[Account]) -> Vec<&str> {
        accounts.iter().map(|account| account.name.as_str()).collect()
    }

    #[test]
    fn a_new_account_is_active_and_reads_back_as_it_was_made() {
        let example = Example::empty();
        let new = NewAccount { operator: true, language: Language::En, ..new_account("abc") };
        let made = example.store.add_account(new, &WHO).unwrap();
        assert_eq!(example.store.account(&name("abc")).unwrap(), Some(made.clone()));
        assert_eq!((made.state, made.language, made.operator), (AccountState::Active, Language::En, true));
        assert!(made.created > 1_700_000_000);
        assert_eq!(made.maildir, Path::new("/var/mail/hikyaku/01/abc.1/Maildir"));
    }

    #[test]
    fn a_name_is_given_once() {
        let example = Example::pobox();
        let refused = example.store.add_account(new_account("ABC"), &WHO).unwrap_err();
        assert!(matches!(refused, ChangeError::AccountExists(taken) if taken == name("abc")));
    }

    #[test]
    fn accounts_are_listed_by_pages_and_by_prefix() {
        let example = Example::empty();
        ["b", "ab", "a", "a-b", "b1"].iter().for_each(|account| example.add_account(account));
        let page = |prefix, after: Option<&AccountName>, limit| {
            example.store.accounts(prefix, after, limit).unwrap()
        };
        assert_eq!(names(&page("", None, 3)), ["a", "a-b", "ab"]);
        assert_eq!(names(&page("", Some(&name("ab")), 3)), ["b", "b1"]);
        assert_eq!(names(&page("A", None, 10)), ["a", "a-b", "ab"]);
        assert_eq!(names(&page("a", Some(&name("a")), 1)), ["a-b"]);
        assert_eq!(names(&page("", Some(&name("b1")), 10)), [""; 0]);
    }

    #[test]
    fn any_text_is_a_prefix_that_at_most_finds_nothing() {
        let example = Example::pobox();
        for hostile in ["%", "_", "' OR 1=1 --", "a\0", "*", &"a".repeat(10_000)] {
            assert_eq!(example.store.accounts(hostile, None, 10).unwrap(), []);
        }
        proptest!(|(prefix in any::<String>())| {
            for account in example.store.accounts(&prefix, None, 10).unwrap() {
                prop_assert!(account.name.as_str().starts_with(&prefix.to_ascii_lowercase()));
            }
        });
    }

    #[test]
    fn an_account_that_owns_domains_stays() {
        let example = Example::pobox();
        example.add_domain("b.example", virtual_of("xyz"));
        let refused = example.store.remove_account(&name("xyz"), &WHO).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "account xyz owns the domains b.example, shop.example; remove them first by `hikyaku domain remove`"
        );
        for owned in ["b.example", "shop.example"] {
            example.store.remove_domain(&domain(owned), &WHO).unwrap();
        }
        assert_eq!(example.store.remove_account(&name("xyz"), &WHO).unwrap().name, name("xyz"));
        assert_eq!(example.store.account(&name("xyz")).unwrap(), None);
    }

    #[test]
    fn who_gets_a_name_that_was_free_again_does_not_find_the_former_mail() {
        let example = Example::pobox();
        let former = example.store.remove_account(&name("abc"), &WHO).unwrap();
        let present = example.store.add_account(new_account("abc"), &WHO).unwrap();
        assert_ne!(former.maildir, present.maildir);
    }

    #[test]
    fn what_is_not_there_cannot_be_changed() {
        let store = &Example::pobox().store;
        let nobody = name("nobody");
        let refusals = [
            store.set_password(&nobody, &password("x"), &WHO),
            store.set_state(&nobody, AccountState::Suspended, &WHO),
            store.remove_account(&nobody, &WHO).map(|_| ()),
        ];
        for refused in refusals {
            assert!(matches!(refused, Err(ChangeError::NoSuchAccount(name)) if name == nobody));
        }
    }

    #[test]
    fn maildirs_are_spread_over_256_directories() {
        assert_eq!(maildir_of(1, &name("abc")), "01/abc.1/Maildir");
        assert_eq!(maildir_of(100_000, &name("abc")), "a0/abc.100000/Maildir");
    }
}
