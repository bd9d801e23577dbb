//! Whose the programs are that run under a user id of this machine: as that account they send.
//!
//! Several user ids may be one account's, and each is one account's at most. Programs of root are the
//! operator's, and are not mapped.

use envelope::AccountName;
use rusqlite::{Connection, OptionalExtension};

use crate::accounts::id_of;
use crate::audit::Change;
use crate::error::ChangeError;
use crate::rows;
use crate::store::{Store, Trail};

const ROOT: u32 = 0;

impl Store {
    /// The user ids whose programs send as this account, in their order.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn local_users_of(&self, account: &AccountName) -> Result<Vec<u32>, ChangeError> {
        self.ask(|moment| {
            let mut all =
                moment.prepare_cached("SELECT uid FROM local_users WHERE account = ?1 ORDER BY uid")?;
            let all = all.query_map([id_of(moment, account)?], |row| row.get(0))?;
            Ok(all.collect::<Result<_, _>>()?)
        })
    }
}

/// As which account programs of this user send.
pub(crate) fn account_of(moment: &Connection, uid: u32) -> rusqlite::Result<Option<AccountName>> {
    if uid == ROOT {
        return moment
            .prepare_cached("SELECT name FROM accounts WHERE operator ORDER BY id LIMIT 1")?
            .query_row([], |row| rows::parsed(row, 0))
            .optional();
    }
    moment
        .prepare_cached(
            "SELECT name FROM local_users JOIN accounts ON accounts.id = local_users.account WHERE uid = ?1",
        )?
        .query_row([uid], |row| rows::parsed(row, 0))
        .optional()
}

/// Has programs of this user send as an account. That they do already is no change.
pub(crate) fn map(
    change: &Connection,
    trail: &mut Trail<'_>,
    id: i64,
    account: &AccountName,
    uid: u32,
) -> Result<(), ChangeError> {
    if uid == ROOT {
        return Err(ChangeError::LocalUserIsRoot);
    }
    match account_of(change, uid)? {
        Some(present) if present == *account => Ok(()),
        Some(present) => Err(ChangeError::LocalUserTaken { uid, account: present }),
        None => {
            change
                .prepare_cached("INSERT INTO local_users (uid, account) VALUES (?1, ?2)")?
                .execute((uid, id))?;
            Ok(trail.note(&Change::LocalUserMapped(account, uid))?)
        }
    }
}

/// Has programs of this user no longer send as an account.
pub(crate) fn unmap(
    change: &Connection,
    trail: &mut Trail<'_>,
    id: i64,
    account: &AccountName,
    uid: u32,
) -> Result<(), ChangeError> {
    let removed = change
        .prepare_cached("DELETE FROM local_users WHERE uid = ?1 AND account = ?2")?
        .execute((uid, id))?;
    if removed == 0 {
        return Err(ChangeError::NoSuchLocalUser { account: account.clone(), uid });
    }
    Ok(trail.note(&Change::LocalUserUnmapped(account, uid))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Example, WHO, name, new_account};
    use crate::{AccountChanges, NewAccount};

    fn set(example: &Example, account: &str, added: &[u32], removed: &[u32]) -> Result<(), ChangeError> {
        let (uids_added, uids_removed) = (added.to_vec(), removed.to_vec());
        let changes = AccountChanges { uids_added, uids_removed, ..AccountChanges::default() };
        example.store.change_account(&name(account), &changes, &WHO)
    }

    fn of(example: &Example, uid: u32) -> Option<String> {
        let found = example.store.snapshot(|snapshot| snapshot.account_of_local_user(uid)).unwrap();
        found.map(|account| account.to_string())
    }

    #[test]
    fn a_user_id_is_one_accounts_and_an_account_has_several() {
        let example = Example::pobox();
        let new = NewAccount { uids: vec![1001, 1002], ..new_account("def") };
        example.store.add_account(new, &WHO).unwrap();
        set(&example, "abc", &[1003, 1003, u32::MAX], &[]).unwrap();
        assert_eq!(example.store.local_users_of(&name("def")).unwrap(), [1001, 1002]);
        assert_eq!(example.store.local_users_of(&name("abc")).unwrap(), [1003, u32::MAX]);
        assert_eq!(example.store.local_users_of(&name("xyz")).unwrap(), [0_u32; 0]);
        assert_eq!(of(&example, 1002).as_deref(), Some("def"));
        assert_eq!((of(&example, 1004), of(&example, 0)), (None, None));

        let taken = set(&example, "abc", &[1004, 1001], &[1003]).unwrap_err();
        assert_eq!(
            taken.to_string(),
            "programs of uid 1001 send as account def already; end that first by \
             `hikyaku account set def --no-uid 1001`"
        );
        // All or nothing.
        assert_eq!((of(&example, 1003).as_deref(), of(&example, 1004)), (Some("abc"), None));
        let new = NewAccount { uids: vec![1001], ..new_account("ghi") };
        assert!(matches!(example.store.add_account(new, &WHO), Err(ChangeError::LocalUserTaken { .. })));
        assert_eq!(example.store.account(&name("ghi")).unwrap(), None);

        set(&example, "abc", &[1004], &[1003]).unwrap();
        assert_eq!((of(&example, 1003), of(&example, 1004).as_deref()), (None, Some("abc")));
        assert!(matches!(set(&example, "abc", &[], &[1001]), Err(ChangeError::NoSuchLocalUser { .. })));
        assert!(matches!(set(&example, "nobody", &[1005], &[]), Err(ChangeError::NoSuchAccount(_))));
    }

    #[test]
    fn programs_of_root_are_the_oldest_operators() {
        let example = Example::pobox();
        for operator in ["taro", "hanako"] {
            let new = NewAccount { operator: true, ..new_account(operator) };
            example.store.add_account(new, &WHO).unwrap();
        }
        assert_eq!(of(&example, 0).as_deref(), Some("taro"));
        assert!(matches!(set(&example, "taro", &[0], &[]), Err(ChangeError::LocalUserIsRoot)));
    }

    #[test]
    fn user_ids_are_free_again_when_their_account_goes_and_the_trail_tells_it_all() {
        let example = Example::pobox();
        set(&example, "abc", &[1001, 1002], &[]).unwrap();
        set(&example, "abc", &[1001], &[1002]).unwrap();
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        assert_eq!(of(&example, 1001), None);
        set(&example, "xyz", &[1001], &[]).unwrap();
        let trail = example.store.audit_trail_of(&name("abc"), 9).unwrap();
        let entries: Vec<_> = trail.iter().rev().map(|entry| entry.what.as_str()).collect();
        assert_eq!(
            entries,
            [
                "account abc added",
                "programs of uid 1001 send as abc",
                "programs of uid 1002 send as abc",
                "programs of uid 1002 no longer send as abc",
                "account abc removed",
            ]
        );
    }
}
