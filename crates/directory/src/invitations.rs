//! One-time links: who has one sets the account's password by it, and is in.

use envelope::{Account, AccountName, AccountState};
use rusqlite::{Connection, OptionalExtension};

use crate::accounts::{columns, id_of, read_account};
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::password::Password;
use crate::sessions::{Begun, NewSession, OpenSession};
use crate::store::Store;
use crate::{accounts, half_sessions};

/// How long a link is good, in seconds.
const LIFETIME: u64 = 86_400;

/// What came of taking a link up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenUp {
    /// The password is set, and he is in.
    In(Box<OpenSession>),
    /// The password is set. The second factor is asked for next, by the token of the session that was to be begun.
    CodeWanted,
    /// The link was used, has ended, or was never made.
    Invalid,
}

impl Store {
    /// Makes a one-time link of an account; `digest` is of its token. Links of before are void.
    ///
    /// # Errors
    /// If there is no such account, or the store fails.
    pub fn invite(
        &self,
        name: &AccountName,
        digest: &[u8; 32],
        now: u64,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let account = id_of(change, name)?;
            change
                .prepare_cached("DELETE FROM invitations WHERE expires <= ?1")?
                .execute([now.cast_signed()])?;
            change.prepare_cached("INSERT OR REPLACE INTO invitations VALUES (?1, ?2, ?3)")?.execute((
                account,
                digest,
                now.saturating_add(LIFETIME).cast_signed(),
            ))?;
            Ok(trail.note(&Change::InvitationMade(name))?)
        })
    }

    /// Whose link this is, if it is good.
    ///
    /// # Errors
    /// If the store fails.
    pub fn invitation(&self, digest: &[u8; 32], now: u64) -> Result<Option<Account>, StoreError> {
        self.read(|moment| Ok(self.find_invitation(moment, digest, now)?.map(|(_, account)| account)))
    }

    /// Takes a link up: sets the password, ends all other ways in to the page, and begins a session. An operator
    /// without a second factor sets one up in it before all else; who has one is asked for it.
    ///
    /// Blocks for the time of an argon2.
    ///
    /// # Errors
    /// If the password cannot be hashed now, or the store fails.
    pub fn take_up(
        &self,
        digest: &[u8; 32],
        password: &Password,
        new: &NewSession,
        now: u64,
    ) -> Result<TakenUp, ChangeError> {
        let Some(account) = self.invitation(digest, now)? else { return Ok(TakenUp::Invalid) };
        let credentials = self.credentials(password.as_str())?;
        let (begun, tokens) = self.change(&Actor::Account(account.name.clone()), |change, trail| {
            // It may have been taken up meanwhile.
            let Some((id, account)) = self.find_invitation(change, digest, now)? else {
                return Ok((None, Vec::new()));
            };
            let tokens = accounts::write_password(change, id, &credentials)?;
            trail.note(&Change::InvitationTakenUp(&account.name))?;
            let has_second_factor =
                change.prepare_cached("SELECT 1 FROM second_factors WHERE account = ?1")?.exists([id])?;
            if has_second_factor {
                half_sessions::add(change, id, &new.digest, now)?;
                return Ok((Some(None), tokens));
            }
            let begun = if account.operator { Begun::ToEnrol } else { Begun::ByPassword };
            Ok((Some(Some(self.add_session(change, id, new, begun, now)?)), tokens))
        })?;
        self.forget_tokens(&tokens);
        Ok(match begun {
            None => TakenUp::Invalid,
            Some(None) => TakenUp::CodeWanted,
            Some(Some(number)) => TakenUp::In(Box::new(self.open_session(number, new, now)?)),
        })
    }

    fn find_invitation(
        &self,
        connection: &Connection,
        digest: &[u8; 32],
        now: u64,
    ) -> rusqlite::Result<Option<(i64, Account)>> {
        let found = connection
            .prepare_cached(concat!(
                "SELECT ",
                columns!(),
                ", accounts.id FROM invitations JOIN accounts ON accounts.id = account
                 WHERE digest = ?1 AND expires > ?2"
            ))?
            .query_row((digest, now.cast_signed()), |row| {
                Ok((row.get(6)?, read_account(row, &self.settings)?))
            })
            .optional()?;
        Ok(found.filter(|(_, account)| account.state != AccountState::Suspended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Example, WHO, name, new_account, password};
    use crate::second_factor::tests::set_up;
    use crate::sessions::tests::{NOW, new_session};
    use crate::{NewAccount, SecondStep};

    const LINK: [u8; 32] = [5; 32];

    fn invite(store: &Store, account: &str) {
        store.invite(&name(account), &LINK, NOW, &WHO).unwrap();
    }

    fn take_up(store: &Store, now: u64) -> TakenUp {
        store.take_up(&LINK, &password("a-new-one"), &new_session(6), now).unwrap()
    }

    #[test]
    fn a_link_sets_the_password_once_and_lets_in() {
        let store = &Example::pobox().store;
        store.begin_session(&name("abc"), &new_session(1), NOW).unwrap();
        invite(store, "abc");
        assert_eq!(store.invitation(&LINK, NOW).unwrap().unwrap().name, name("abc"));
        let TakenUp::In(open) = take_up(store, NOW) else { panic!("not let in") };
        assert!(open.account.name == name("abc") && !open.must_enrol && !open.second_factor_shown);
        assert!(store.login_to_page("abc", "a-new-one").is_ok());
        assert!(store.session(&[1; 32], NOW).unwrap().is_none());
        assert!(store.invitation(&LINK, NOW).unwrap().is_none());
        assert_eq!(take_up(store, NOW), TakenUp::Invalid);
        let trail = store.audit_trail(2).unwrap();
        assert_eq!(trail[0].what, "password of abc set by its one-time link");
        assert_eq!(trail[1].what, "one-time link for abc made");
    }

    #[test]
    fn a_link_ends_after_a_day_by_the_next_one_by_suspension_and_by_another_password() {
        let store = &Example::pobox().store;
        let good = |now| store.invitation(&LINK, now).unwrap().is_some();
        invite(store, "abc");
        assert!(good(NOW + 86_399) && !good(NOW + 86_400));
        assert_eq!(take_up(store, NOW + 86_400), TakenUp::Invalid);
        store.invite(&name("abc"), &[7; 32], NOW, &WHO).unwrap();
        assert!(!good(NOW));
        invite(store, "abc");
        store.set_state(&name("abc"), AccountState::Suspended, &WHO).unwrap();
        assert!(!good(NOW));
        invite(store, "abc");
        assert!(!good(NOW));
        store.set_state(&name("abc"), AccountState::Active, &WHO).unwrap();
        assert!(good(NOW));
        store.set_password(&name("abc"), &password("another-one"), &WHO).unwrap();
        assert!(!good(NOW));
    }

    #[test]
    fn an_operator_sets_up_the_second_factor_first() {
        let store = &Example::pobox().store;
        store.add_account(NewAccount { operator: true, ..new_account("root") }, &WHO).unwrap();
        invite(store, "root");
        let TakenUp::In(open) = take_up(store, NOW) else { panic!("not let in") };
        assert!(open.must_enrol && !open.second_factor_shown);
        let secret = store.begin_second_factor(&name("root"), open.number).unwrap();
        store
            .set_second_factor(&name("root"), open.number, &secret.shown_at(NOW), NOW, NOW)
            .unwrap()
            .unwrap();
        let open = store.session(&[6; 32], NOW).unwrap().unwrap();
        assert!(!open.must_enrol && open.second_factor_shown);
    }

    #[test]
    fn a_link_does_not_go_round_the_second_factor() {
        let store = &Example::pobox().store;
        let (_, codes) = set_up(store);
        invite(store, "abc");
        assert_eq!(take_up(store, NOW), TakenUp::CodeWanted);
        assert!(store.session(&[6; 32], NOW).unwrap().is_none());
        let step = store.show_second_factor(&[6; 32], codes[0].as_str(), &new_session(8), NOW).unwrap();
        assert!(matches!(step, SecondStep::In(open) if open.second_factor_shown));
    }
}
