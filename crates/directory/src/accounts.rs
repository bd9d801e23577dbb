//! Accounts: making, listing, changing and removing them.

use std::path::Path;

use envelope::{Account, AccountName, AccountState, Domain, Language, Mailbox, PlanName};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::anonymous::anonymous;
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::password::Password;
use crate::password_hash::PasswordHash;
use crate::scram::{self, ScramKeys};
use crate::sessions::{end_all_ways_in, end_ways_in};
use crate::store::{Settings, Store, Trail, unix_now};
use crate::upgrade::Credentials;
use crate::{api_tokens, app_passwords, domains, local_users, plans, rows};

/// An account to be made.
#[derive(Debug)]
pub struct NewAccount {
    /// Its name.
    pub name: AccountName,
    /// Its password; none means that nobody can log in yet.
    pub password: Option<NewPassword>,
    /// The language it is written to in.
    pub language: Language,
    /// Whether it may rule the server, and is sent the postmaster's mail.
    pub operator: bool,
    /// Its plan; none means the default plan.
    pub plan: Option<PlanName>,
    /// Users of this machine, by their ids, whose programs send as it.
    pub uids: Vec<u32>,
}

/// The password of a new account.
#[derive(Debug)]
pub enum NewPassword {
    /// As its owner types it.
    Password(Password),
    /// Another system's hash of it.
    Hash(PasswordHash),
}

/// What is to be changed of an account; what is not said stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountChanges {
    /// Its plan.
    pub plan: Option<PlanName>,
    /// The language it is written to in.
    pub language: Option<Language>,
    /// Allowances by their names, and what it has otherwise than its plan says; none, that it has what
    /// the plan says again.
    pub allowances: Vec<(String, Option<String>)>,
    /// User ids of this machine whose programs send as it from now on.
    pub uids_added: Vec<u32>,
    /// User ids of this machine whose programs send as it no longer.
    pub uids_removed: Vec<u32>,
}

impl Store {
    /// Makes an active account. Its Maildir is named, not made.
    ///
    /// # Errors
    /// If the name is taken or reserved, the name's sub-domain is hosted for somebody else, there is no such
    /// plan, or a user id is root's or another account's.
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
        let new = self.with_credentials(new)?;
        self.change(who, |change, trail| {
            let made = add(change, trail, &new, &self.settings)?;
            match make_mailbox(&made) {
                Ok(()) => Ok(made),
                Err(reason) => Err(ChangeError::Mailbox { account: made.name, reason }),
            }
        })
    }

    /// Makes many accounts, all or none, and gives how many. Each comes with its line in the file that it
    /// is from. `make_mailboxes` makes their Maildirs, as in [`Store::add_account_after`].
    ///
    /// # Errors
    /// [`ChangeError::Line`] for the first that is refused, or [`ChangeError::Mailbox`] for the account
    /// that `make_mailboxes` names.
    pub fn import_accounts(
        &self,
        all: Vec<(u32, NewAccount)>,
        who: &Actor,
        make_mailboxes: impl FnOnce(&[Account]) -> Result<(), (AccountName, String)>,
    ) -> Result<usize, ChangeError> {
        let all: Vec<(u32, Adding)> = all
            .into_iter()
            .map(|(line, new)| Ok((line, self.with_credentials(new).map_err(|why| why.in_line(line))?)))
            .collect::<Result<_, ChangeError>>()?;
        self.change(who, |change, trail| {
            let made: Vec<Account> = all
                .iter()
                .map(|(line, new)| add(change, trail, new, &self.settings).map_err(|why| why.in_line(*line)))
                .collect::<Result<_, _>>()?;
            make_mailboxes(&made).map_err(|(account, reason)| ChangeError::Mailbox { account, reason })?;
            Ok(made.len())
        })
    }

    fn with_credentials(&self, new: NewAccount) -> Result<Adding, ChangeError> {
        let NewAccount { name, password, language, operator, plan, uids } = new;
        if name == anonymous() {
            return Err(ChangeError::Reserved(name));
        }
        let (hash, keys) = match password {
            None => (None, None),
            Some(NewPassword::Password(password)) => {
                let Credentials { hash, keys } = self.credentials(password.as_str())?;
                (Some(hash), Some(keys))
            }
            Some(NewPassword::Hash(hash)) => (Some(hash.as_str().to_owned()), None),
        };
        Ok(Adding { name, hash, keys, language, operator, plan, uids })
    }

    /// Changes an account: all of it, or nothing.
    ///
    /// # Errors
    /// If there is no such account or plan, no such allowance, a value does not suit it, a user id is root's
    /// or another account's, or one to be taken away is not its own.
    pub fn change_account(
        &self,
        name: &AccountName,
        changes: &AccountChanges,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let id = id_of(change, name)?;
            if let Some(plan) = &changes.plan {
                plans::assign(change, id, plan)?;
                trail.note(&Change::PlanAssigned(name, plan))?;
            }
            if let Some(language) = changes.language {
                change
                    .prepare_cached("UPDATE accounts SET language = ?2 WHERE id = ?1")?
                    .execute((id, language.as_str()))?;
                trail.note(&Change::LanguageSet(name, language))?;
            }
            if !changes.allowances.is_empty() {
                let mut overrides = plans::overrides(change, id)?;
                for (allowance, value) in &changes.allowances {
                    overrides.set(allowance, value.as_deref())?;
                }
                plans::write_overrides(change, id, &overrides)?;
                trail.note(&Change::OverridesSet(name, &overrides))?;
            }
            changes
                .uids_removed
                .iter()
                .try_for_each(|uid| local_users::unmap(change, trail, id, name, *uid))?;
            changes.uids_added.iter().try_for_each(|uid| local_users::map(change, trail, id, name, *uid))
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

    /// Removes an account, and gives back what it was. What is known of its use goes too. What becomes of
    /// its Maildir is the caller's matter; no later account gets the same one.
    ///
    /// # Errors
    /// If there is none of this name, or it owns domains.
    pub fn remove_account(&self, name: &AccountName, who: &Actor) -> Result<Account, ChangeError> {
        let (id, app_passwords, tokens, removed) = self.change(who, |change, trail| {
            let removed = account(change, name, &self.settings)?
                .ok_or_else(|| ChangeError::NoSuchAccount(name.clone()))?;
            let id = id_of(change, name)?;
            let domains = domains_of(change, name)?;
            if !domains.is_empty() {
                return Err(ChangeError::OwnsDomains { account: name.clone(), domains });
            }
            let (app_passwords, tokens) = (app_passwords::ids(change, id)?, api_tokens::ids(change, id)?);
            change.prepare_cached("DELETE FROM accounts WHERE id = ?1")?.execute([id])?;
            trail.note(&Change::AccountRemoved(name))?;
            Ok((id, app_passwords, tokens, removed))
        })?;
        self.usage().forget(id, &app_passwords);
        self.forget_tokens(&tokens);
        Ok(removed)
    }

    /// Gives an account a new password, good from the next login on. Its relay windows are closed, and its
    /// sessions, one-time links and API tokens end.
    ///
    /// # Errors
    /// If there is none of this name, or the password cannot be hashed now.
    pub fn set_password(
        &self,
        name: &AccountName,
        password: &Password,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        let credentials = self.credentials(password.as_str())?;
        let tokens = self.change(who, |change, trail| {
            let tokens = write_password(change, id_of(change, name)?, &credentials)?;
            trail.note(&Change::PasswordSet(name))?;
            Ok(tokens)
        })?;
        self.forget_tokens(&tokens);
        Ok(())
    }

    /// The owner gives himself a new password, good from the next login on. This session of his stays, and so do
    /// app passwords and API tokens; other sessions end, and his relay windows are closed.
    ///
    /// # Errors
    /// As [`Store::set_password`].
    pub fn change_password(
        &self,
        name: &AccountName,
        password: &Password,
        session: u64,
    ) -> Result<(), ChangeError> {
        let credentials = self.credentials(password.as_str())?;
        self.change(&Actor::Account(name.clone()), |change, trail| {
            let id = id_of(change, name)?;
            write_credentials(change, id, &credentials)?;
            end_ways_in(change, id, Some(session))?;
            Ok(trail.note(&Change::PasswordSet(name))?)
        })
    }

    /// Suspends or resumes an account, from the next login and the next message on. Its relay windows
    /// are closed. A suspension ends sessions, one-time links and API tokens for good.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn set_state(&self, name: &AccountName, state: AccountState, who: &Actor) -> Result<(), ChangeError> {
        let tokens = self.change(who, |change, trail| {
            let id = id_of(change, name)?;
            change
                .prepare_cached("UPDATE accounts SET state = ?2 WHERE id = ?1")?
                .execute((id, state.as_str()))?;
            end_grants(change, id)?;
            trail.note(&Change::StateSet(name, state))?;
            Ok(match state {
                AccountState::Suspended => end_all_ways_in(change, id)?,
                AccountState::Active | AccountState::ReceiveOnly => Vec::new(),
            })
        })?;
        self.forget_tokens(&tokens);
        Ok(())
    }
}

/// An account to be made, and what is stored of its password.
pub(crate) struct Adding {
    pub(crate) name: AccountName,
    pub(crate) hash: Option<String>,
    pub(crate) keys: Option<ScramKeys>,
    pub(crate) language: Language,
    pub(crate) operator: bool,
    pub(crate) plan: Option<PlanName>,
    pub(crate) uids: Vec<u32>,
}

/// Makes an account, but not its Maildir.
pub(crate) fn add(
    change: &Connection,
    trail: &mut Trail<'_>,
    new: &Adding,
    settings: &Settings,
) -> Result<Account, ChangeError> {
    let name = &new.name;
    if id_if_any(change, name)?.is_some() {
        return Err(ChangeError::AccountExists(name.clone()));
    }
    if let Some(domain) = domains::hosted_sub_domain(change, name)? {
        return Err(ChangeError::SubDomainTaken { domain, account: name.clone() });
    }
    change
        .prepare_cached(
            "INSERT INTO accounts (name, password, state, language, operator, maildir, created)
             VALUES (?1, ?2, ?3, ?4, ?5, '', ?6)",
        )?
        .execute((
            name.as_str(),
            &new.hash,
            AccountState::Active.as_str(),
            new.language.as_str(),
            new.operator,
            unix_now(),
        ))?;
    let id = change.last_insert_rowid();
    change
        .prepare_cached("UPDATE accounts SET maildir = ?2 WHERE id = ?1")?
        .execute((id, maildir_of(id, name)))?;
    scram::set_keys(change, id, new.keys.as_ref())?;
    trail.note(&Change::AccountAdded(name, new.operator))?;
    if let Some(plan) = &new.plan {
        plans::assign(change, id, plan)?;
        trail.note(&Change::PlanAssigned(name, plan))?;
    }
    new.uids.iter().try_for_each(|uid| local_users::map(change, trail, id, name, *uid))?;
    account(change, name, settings)?.ok_or_else(|| ChangeError::NoSuchAccount(name.clone()))
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

/// The account of this name, if there is one.
pub(crate) fn account(
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

/// Writes a password that is not the owner's own doing: all that lets somebody in ends. The rows of the API
/// tokens that were ended.
pub(crate) fn write_password(
    change: &Connection,
    id: i64,
    credentials: &Credentials,
) -> rusqlite::Result<Vec<i64>> {
    write_credentials(change, id, credentials)?;
    end_all_ways_in(change, id)
}

fn write_credentials(change: &Connection, id: i64, credentials: &Credentials) -> rusqlite::Result<()> {
    let Credentials { hash, keys } = credentials;
    change.prepare_cached("UPDATE accounts SET password = ?2 WHERE id = ?1")?.execute((id, hash))?;
    end_grants(change, id)?;
    scram::set_keys(change, id, Some(keys))
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
    fn a_new_account_may_bring_a_hash_and_a_plan() {
        let example = Example::empty();
        let small = "small".parse().unwrap();
        example.store.set_plan(&small, &envelope::Plan::default(), &WHO).unwrap();
        let new = |account, plan: &str| {
            let hash = PasswordHash::parse("$1$saltsalt$hvuf8zlFXCii1v88PlX3N1").unwrap();
            let (password, plan) = (Some(NewPassword::Hash(hash)), Some(plan.parse().unwrap()));
            NewAccount { password, plan, ..new_account(account) }
        };
        example.store.add_account(new("abc", "small"), &WHO).unwrap();
        assert!(example.store.login("abc", "abc-try").is_ok());
        assert_eq!(example.store.plan_of(&name("abc")).unwrap(), small);
        let refused = example.store.add_account(new("def", "large"), &WHO).unwrap_err();
        assert!(matches!(refused, ChangeError::NoSuchPlan(_)));
        assert_eq!(example.store.account(&name("def")).unwrap(), None);
    }

    #[test]
    fn accounts_are_imported_all_or_none() {
        let example = Example::pobox();
        let import = |names: &[&str], outcome: Result<(), (AccountName, String)>| {
            let all = (1..).zip(names.iter().map(|account| new_account(account))).collect();
            example.store.import_accounts(all, &WHO, |_| outcome)
        };
        let count = || example.store.accounts("", None, 1000).unwrap().len();
        let refused = import(&["new1", "abc"], Ok(())).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "line 2: there is already an account abc; choose another name, or change it by \
             `hikyaku account passwd abc`"
        );
        assert!(import(&["new1", "new1"], Ok(())).is_err());
        let no_room = Err((name("new1"), "no room".into()));
        assert!(matches!(import(&["new1"], no_room), Err(ChangeError::Mailbox { .. })));
        assert_eq!(count(), 2);
        assert_eq!(import(&["new1", "new2"], Ok(())).unwrap(), 2);
        assert_eq!(count(), 4);
    }

    #[test]
    fn an_account_is_changed_in_all_or_nothing() {
        let example = Example::pobox();
        let store = &example.store;
        let change = |plan: &str, allowances: &[(&str, Option<&str>)]| {
            let allowances =
                allowances.iter().map(|(name, value)| ((*name).into(), value.map(Into::into))).collect();
            let changes = AccountChanges {
                plan: Some(plan.parse().unwrap()),
                language: Some(Language::En),
                allowances,
                ..AccountChanges::default()
            };
            store.change_account(&name("abc"), &changes, &WHO)
        };
        let language = || store.account(&name("abc")).unwrap().unwrap().language;
        assert!(matches!(change("none", &[]), Err(ChangeError::NoSuchPlan(_))));
        assert!(matches!(change("default", &[("colour", Some("1"))]), Err(ChangeError::Allowance(_))));
        assert_eq!(
            (language(), store.audit_trail(1).unwrap()[0].what.contains("abc")),
            (Language::Ja, false)
        );
        change("default", &[("forward_limit", Some("20")), ("quota_bytes", Some("1000"))]).unwrap();
        change("default", &[("quota_bytes", None)]).unwrap();
        let overrides = store.overrides(&name("abc")).unwrap();
        assert_eq!(overrides, envelope::Overrides { forward_limit: Some(20), ..Default::default() });
        assert_eq!(language(), Language::En);
        assert!(store.change_account(&name("nobody"), &AccountChanges::default(), &WHO).is_err());
    }

    #[test]
    fn what_is_known_of_an_accounts_use_goes_with_it() {
        let example = Example::pobox();
        let store = &example.store;
        let now = 1_800_000_000;
        let label = "phone".parse().unwrap();
        let made = store.add_app_password(&name("abc"), &label, &WHO).unwrap();
        for account in ["abc", "xyz"] {
            store.count(&name(account), &["a@x.example".parse().unwrap()], 1, now).unwrap();
            store.open_window("192.0.2.7".parse().unwrap(), &name(account), now).unwrap();
        }
        store.login("abc", made.as_str()).unwrap();
        store.flush_usage();
        let file = rusqlite::Connection::open(example.folder.path().join("directory.db-usage")).unwrap();
        let rows = |table: &str| -> i64 {
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        let all = || ["correspondents", "sent", "windows", "uses"].map(rows);
        assert_eq!(all(), [2, 2, 2, 1]);
        // One that is still to be written, too.
        store.count(&name("abc"), &["b@x.example".parse().unwrap()], 1, now).unwrap();
        store.remove_account(&name("abc"), &WHO).unwrap();
        store.flush_usage();
        assert_eq!(all(), [1, 1, 1, 0]);
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
