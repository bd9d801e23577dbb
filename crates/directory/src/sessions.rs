//! Sessions of browsers: who has signed in to the page.
//!
//! A session is known by the digest of its token; the token itself is its browser's alone. It ends after some
//! time without use, and after a longer time in any case; and at once when its account is suspended or gets
//! another password, by which other browsers than the owner's may have come in. When it was last used is kept
//! as `usage.rs` says: a look at a page costs no write, and waits for none.

use std::net::IpAddr;

use envelope::{Account, AccountName, AccountState};
use rusqlite::{Connection, OptionalExtension};

use crate::accounts::{columns, id_of, read_account};
use crate::audit::{Actor, Change};
use crate::connection::lock;
use crate::error::{ChangeError, StoreError};
use crate::plans::effective_plan;
use crate::store::Store;
use crate::{api_tokens, rows};

/// Sessions that one account may have; the next one ends the oldest.
const EACH: i64 = 50;

/// How long sessions last, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLengths {
    /// Without use.
    pub idle: u64,
    /// In any case.
    pub max: u64,
}

impl Default for SessionLengths {
    /// An hour, and half a day.
    fn default() -> SessionLengths {
        SessionLengths { idle: 3600, max: 43_200 }
    }
}

/// A browser, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// Its address.
    pub client: IpAddr,
    /// What it calls itself.
    pub agent: String,
}

/// A session to be begun. Its owner has just proved who he is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The SHA-256 of its token.
    pub digest: [u8; 32],
    /// Whose it is.
    pub browser: Browser,
    /// Until when the proof counts for dangerous acts, in seconds since 1970.
    pub fresh_until: u64,
}

/// An open session, and what is to be known of who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Its number, which opens nothing.
    pub number: u64,
    /// Whose it is.
    pub account: Account,
    /// Whether the second factor was shown.
    pub second_factor_shown: bool,
    /// Whether the account has a second factor.
    pub has_second_factor: bool,
    /// Whether a second factor must be set up before all else.
    pub must_enrol: bool,
    /// Until when the last proof counts for dangerous acts, in seconds since 1970.
    pub fresh_until: u64,
    /// Whether the account has all addresses of its sub-domain.
    pub sub_domain: bool,
}

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSession {
    /// Its number, which opens nothing.
    pub number: u64,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// When it was last used, in seconds since 1970.
    pub used: u64,
    /// Who used it last.
    pub browser: Browser,
}

impl Store {
    /// Goes by other lengths from now on, for the sessions that are open too.
    pub fn change_session_lengths(&self, lengths: SessionLengths) {
        *lock(&self.session_lengths) = lengths;
        self.usage().forget_sessions_after(lengths.idle);
    }

    pub(crate) fn session_lengths(&self) -> SessionLengths {
        *lock(&self.session_lengths)
    }

    /// Begins a session of somebody who has shown the account's password, and needs no second factor.
    ///
    /// # Errors
    /// If there is no such account, or the store fails.
    pub fn begin_session(
        &self,
        name: &AccountName,
        new: &NewSession,
        now: u64,
    ) -> Result<OpenSession, ChangeError> {
        let number = self.change(&Actor::Account(name.clone()), |change, _| {
            self.add_session(change, id_of(change, name)?, new, Begun::ByPassword, now)
        })?;
        self.open_session(number, new, now)
    }

    /// The session of this token, if it is open.
    ///
    /// # Errors
    /// If the store fails.
    pub fn session(&self, digest: &[u8; 32], now: u64) -> Result<Option<OpenSession>, StoreError> {
        let found = self.read(|moment| {
            let found = moment
                .prepare_cached(concat!(
                    "SELECT ",
                    columns!(),
                    ", sessions.id, began, second_factor, must_enrol, fresh_until,
                       EXISTS (SELECT 1 FROM second_factors WHERE account = accounts.id)
                     FROM sessions JOIN accounts ON accounts.id = account WHERE digest = ?1"
                ))?
                .query_row([digest], |row| {
                    let open = OpenSession {
                        account: read_account(row, &self.settings)?,
                        number: rows::seconds(row, 6)?,
                        second_factor_shown: row.get(8)?,
                        must_enrol: row.get(9)?,
                        fresh_until: rows::seconds(row, 10)?,
                        has_second_factor: row.get(11)?,
                        sub_domain: false,
                    };
                    Ok((open, rows::seconds(row, 7)?))
                })
                .optional()?;
            let Some((mut open, began)) = found else { return Ok(None) };
            let plan = effective_plan(moment, &open.account.name)?;
            open.sub_domain = plan.is_some_and(|plan| plan.sub_domain_addresses);
            Ok(Some((open, began)))
        })?;
        Ok(found
            .filter(|(open, began)| {
                open.account.state != AccountState::Suspended && self.is_open(open.number, *began, now)
            })
            .map(|(open, _)| open))
    }

    /// A session was used. Written at most once a minute, behind.
    pub fn session_used(&self, number: u64, browser: &Browser, now: u64) {
        let usage = self.usage();
        if usage.sessions().used(number.cast_signed(), now, browser.client, &browser.agent) {
            usage.changed();
        }
    }

    /// Open sessions of an account, that last used first.
    ///
    /// # Errors
    /// If there is no such account, or the store fails.
    pub fn sessions(&self, name: &AccountName, now: u64) -> Result<Vec<ListedSession>, ChangeError> {
        let all = self.ask(|moment| {
            let account = id_of(moment, name)?;
            let mut all =
                moment.prepare_cached("SELECT id, began, client, agent FROM sessions WHERE account = ?1")?;
            let listed = all.query_map([account], |row| {
                let (number, began) = (rows::seconds(row, 0)?, rows::seconds(row, 1)?);
                let browser = Browser { client: rows::parsed(row, 2)?, agent: row.get(3)? };
                Ok(ListedSession { number, began, used: began, browser })
            })?;
            Ok(listed.collect::<Result<Vec<_>, _>>()?)
        })?;
        let mut open: Vec<ListedSession> =
            all.into_iter().filter(|listed| self.is_open(listed.number, listed.began, now)).collect();
        let uses = self.usage().sessions();
        for listed in &mut open {
            if let Some(last) = uses.last(listed.number.cast_signed()) {
                listed.used = last.at;
                listed.browser = Browser { client: last.client, agent: last.agent.clone().into() };
            }
        }
        drop(uses);
        open.sort_by_key(|listed| std::cmp::Reverse((listed.used, listed.number)));
        Ok(open)
    }

    /// How many sessions are open.
    ///
    /// # Errors
    /// If the store fails.
    pub fn sessions_open(&self, now: u64) -> Result<u64, StoreError> {
        let all = self.read(|moment| {
            let mut all = moment.prepare_cached("SELECT id, began FROM sessions")?;
            let all = all.query_map([], |row| Ok((rows::seconds(row, 0)?, rows::seconds(row, 1)?)))?;
            Ok(all.collect::<Result<Vec<_>, _>>()?)
        })?;
        Ok(all.into_iter().filter(|(number, began)| self.is_open(*number, *began, now)).count() as u64)
    }

    /// Ends a session of an account: whether it had one of this number.
    ///
    /// # Errors
    /// If there is no such account, or the store fails.
    pub fn end_session(&self, name: &AccountName, number: u64, who: &Actor) -> Result<bool, ChangeError> {
        self.change(who, |change, trail| {
            let account = id_of(change, name)?;
            let ended = change
                .prepare_cached("DELETE FROM sessions WHERE account = ?1 AND id = ?2")?
                .execute((account, number.cast_signed()))?;
            if ended > 0 {
                trail.note(&Change::SessionsEnded(name, ended))?;
            }
            Ok(ended > 0)
        })
    }

    /// Ends all sessions of an account but this one, and gives how many.
    ///
    /// # Errors
    /// As [`Store::end_session`].
    pub fn end_sessions(
        &self,
        name: &AccountName,
        but: Option<u64>,
        who: &Actor,
    ) -> Result<usize, ChangeError> {
        self.change(who, |change, trail| {
            let account = id_of(change, name)?;
            let ended = delete_sessions(change, account, but)?;
            change.prepare_cached("DELETE FROM half_sessions WHERE account = ?1")?.execute([account])?;
            if ended > 0 {
                trail.note(&Change::SessionsEnded(name, ended))?;
            }
            Ok(ended)
        })
    }

    /// Ends the session of this token, which its owner does who signs out.
    ///
    /// # Errors
    /// If the store fails.
    pub fn sign_out(&self, name: &AccountName, digest: &[u8; 32]) -> Result<(), ChangeError> {
        self.change(&Actor::Account(name.clone()), |change, _| {
            change.prepare_cached("DELETE FROM sessions WHERE digest = ?1")?.execute([digest])?;
            Ok(())
        })
    }

    fn is_open(&self, number: u64, began: u64, now: u64) -> bool {
        let SessionLengths { idle, max } = self.session_lengths();
        let used = self.usage().sessions().last(number.cast_signed()).map_or(began, |last| last.at);
        now.saturating_sub(began) < max && now.saturating_sub(used) < idle
    }

    /// Writes a session, and sweeps out those that are over.
    pub(crate) fn add_session(
        &self,
        change: &Connection,
        account: i64,
        new: &NewSession,
        begun: Begun,
        now: u64,
    ) -> Result<u64, ChangeError> {
        let (shown, must_enrol) = match begun {
            Begun::ByPassword => (false, false),
            Begun::BySecondFactor => (true, false),
            Begun::ToEnrol => (false, true),
        };
        let over = now.saturating_sub(self.session_lengths().max);
        change.prepare_cached("DELETE FROM sessions WHERE began <= ?1")?.execute([over.cast_signed()])?;
        change
            .prepare_cached(
                "DELETE FROM sessions WHERE id IN
                 (SELECT id FROM sessions WHERE account = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute((account, EACH - 1))?;
        let Browser { client, agent } = &new.browser;
        change
            .prepare_cached(
                "INSERT INTO sessions
                 (digest, account, began, client, agent, second_factor, must_enrol, fresh_until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                new.digest,
                account,
                now.cast_signed(),
                client.to_string(),
                agent,
                shown,
                must_enrol,
                new.fresh_until.cast_signed(),
            ))?;
        Ok(change.last_insert_rowid().cast_unsigned())
    }

    /// A session that was begun just now.
    pub(crate) fn open_session(
        &self,
        number: u64,
        new: &NewSession,
        now: u64,
    ) -> Result<OpenSession, ChangeError> {
        self.session_used(number, &new.browser, now);
        // It may have ended at once: the account was suspended meanwhile.
        self.session(&new.digest, now)?.ok_or(ChangeError::SessionEnded)
    }
}

/// By what a session is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// The password alone.
    ByPassword,
    /// The password and the second factor.
    BySecondFactor,
    /// A one-time link: the second factor is set up next.
    ToEnrol,
}

/// Ends what lets somebody in to the page: sessions but this one, sign-ins that wait for their second factor,
/// one-time links. App passwords are none of it.
pub(crate) fn end_ways_in(change: &Connection, account: i64, but: Option<u64>) -> rusqlite::Result<()> {
    delete_sessions(change, account, but)?;
    change.prepare_cached("DELETE FROM half_sessions WHERE account = ?1")?.execute([account])?;
    change.prepare_cached("DELETE FROM invitations WHERE account = ?1")?.execute([account])?;
    Ok(())
}

/// The same, and API tokens: when it is not the owner who says so, they may be another's. The rows of the
/// tokens that were ended.
pub(crate) fn end_all_ways_in(change: &Connection, account: i64) -> rusqlite::Result<Vec<i64>> {
    end_ways_in(change, account, None)?;
    let tokens = api_tokens::ids(change, account)?;
    change.prepare_cached("DELETE FROM api_tokens WHERE account = ?1")?.execute([account])?;
    Ok(tokens)
}

fn delete_sessions(change: &Connection, account: i64, but: Option<u64>) -> rusqlite::Result<usize> {
    change
        .prepare_cached("DELETE FROM sessions WHERE account = ?1 AND id IS NOT ?2")?
        .execute((account, but.map(u64::cast_signed)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::example::{Example, WHO, name, password};

    pub(crate) const NOW: u64 = 1_800_000_000;

    pub(crate) fn browser() -> Browser {
        Browser { client: "192.0.2.1".parse().unwrap(), agent: "browser".into() }
    }

    pub(crate) fn new_session(digest: u8) -> NewSession {
        NewSession { digest: [digest; 32], browser: browser(), fresh_until: NOW + 600 }
    }

    fn begin(store: &Store, account: &str, digest: u8) -> u64 {
        store.begin_session(&name(account), &new_session(digest), NOW).unwrap().number
    }

    fn is_open(store: &Store, digest: u8, now: u64) -> bool {
        store.session(&[digest; 32], now).unwrap().is_some()
    }

    #[test]
    fn a_session_is_its_accounts_and_there_after_a_restart() {
        let example = Example::pobox();
        let number = begin(&example.store, "abc", 1);
        example.store.flush_usage();
        for store in [&example.store, &example.opened_again()] {
            let open = store.session(&[1; 32], NOW + 1).unwrap().unwrap();
            assert_eq!((open.account.name.as_str(), open.number), ("abc", number));
            assert_eq!(
                (open.second_factor_shown, open.has_second_factor, open.must_enrol),
                (false, false, false)
            );
            assert!(open.sub_domain && open.fresh_until == NOW + 600);
            assert!(!is_open(store, 2, NOW));
        }
    }

    #[test]
    fn a_session_ends_an_hour_after_its_last_use_and_after_half_a_day_in_any_case() {
        let store = &Example::pobox().store;
        let number = begin(store, "abc", 1);
        assert!(is_open(store, 1, NOW + 3599) && !is_open(store, 1, NOW + 3600));
        for later in (0..43_200).step_by(3000) {
            store.session_used(number, &browser(), NOW + later);
        }
        assert!(is_open(store, 1, NOW + 43_199) && !is_open(store, 1, NOW + 43_200));
        store.change_session_lengths(SessionLengths { idle: 10, max: 43_200 });
        assert!(!is_open(store, 1, NOW + 43_199));
    }

    #[test]
    fn the_last_use_counts_after_a_restart_too() {
        let example = Example::pobox();
        let number = begin(&example.store, "abc", 1);
        example.store.session_used(number, &browser(), NOW + 3000);
        example.store.flush_usage();
        let again = example.opened_again();
        assert!(is_open(&again, 1, NOW + 6599) && !is_open(&again, 1, NOW + 6600));
    }

    #[test]
    fn use_is_none_of_the_directory() {
        let example = Example::pobox();
        let number = begin(&example.store, "abc", 1);
        let before = example.store.change_count().unwrap();
        for later in 0..200 {
            example.store.session_used(number, &browser(), NOW + later);
            assert!(is_open(&example.store, 1, NOW + later));
        }
        example.store.flush_usage();
        assert_eq!(example.store.change_count().unwrap(), before);
    }

    #[test]
    fn suspension_and_a_new_password_end_sessions_at_once_and_for_good() {
        let example = Example::pobox();
        let store = &example.store;
        let set = |state| store.set_state(&name("abc"), state, &WHO).unwrap();
        for digest in 1..4 {
            begin(store, "abc", digest);
        }
        begin(store, "xyz", 9);
        set(AccountState::ReceiveOnly);
        assert!(is_open(store, 1, NOW));
        set(AccountState::Suspended);
        set(AccountState::Active);
        assert!(!is_open(store, 1, NOW) && is_open(store, 9, NOW));
        begin(store, "abc", 4);
        store.set_password(&name("abc"), &password("other-one"), &WHO).unwrap();
        assert!(!is_open(store, 4, NOW) && is_open(store, 9, NOW));
        begin(store, "abc", 5);
        store.close_windows(&name("abc"), &WHO).unwrap();
        assert!(is_open(store, 5, NOW));
    }

    #[test]
    fn the_session_that_changes_the_password_stays() {
        let example = Example::pobox();
        let store = &example.store;
        let (mine, _) = (begin(store, "abc", 1), begin(store, "abc", 2));
        store.change_password(&name("abc"), &password("other-one"), mine).unwrap();
        assert!(is_open(store, 1, NOW) && !is_open(store, 2, NOW));
        assert!(store.login("abc", "other-one").is_ok());
        let last = &store.audit_trail(1).unwrap()[0];
        assert_eq!((last.who.as_str(), last.what.as_str()), ("account abc", "password of abc set"));
    }

    #[test]
    fn sessions_are_listed_and_ended_one_by_one_or_all_but_this() {
        let example = Example::pobox();
        let store = &example.store;
        let numbers: Vec<u64> = (1..5).map(|digest| begin(store, "abc", digest)).collect();
        let other = Browser { client: "2001:db8::1".parse().unwrap(), agent: "phone".into() };
        store.session_used(numbers[1], &other, NOW + 60);
        let list = || -> Vec<u64> {
            let all = store.sessions(&name("abc"), NOW + 60).unwrap();
            all.into_iter().map(|listed| listed.number).collect()
        };
        assert_eq!(list(), [numbers[1], numbers[3], numbers[2], numbers[0]]);
        let first = &store.sessions(&name("abc"), NOW + 60).unwrap()[0];
        assert_eq!((first.used, first.began, &first.browser), (NOW + 60, NOW, &other));
        assert!(!store.end_session(&name("xyz"), numbers[0], &WHO).unwrap());
        assert!(store.end_session(&name("abc"), numbers[0], &WHO).unwrap());
        assert!(!store.end_session(&name("abc"), numbers[0], &WHO).unwrap());
        assert_eq!(store.end_sessions(&name("abc"), Some(numbers[2]), &WHO).unwrap(), 2);
        assert_eq!((list(), store.sessions_open(NOW + 60).unwrap()), (vec![numbers[2]], 1));
        assert_eq!(store.audit_trail(1).unwrap()[0].what, "2 sessions of abc ended");
        store.sign_out(&name("abc"), &[3; 32]).unwrap();
        assert_eq!(list(), []);
    }

    #[test]
    fn there_is_an_end_to_them_and_what_is_over_is_swept_out() {
        let example = Example::pobox();
        let store = &example.store;
        for digest in 0..60 {
            begin(store, "abc", digest);
        }
        assert_eq!(store.sessions(&name("abc"), NOW).unwrap().len(), 50);
        assert!(!is_open(store, 9, NOW) && is_open(store, 10, NOW));
        store.begin_session(&name("xyz"), &new_session(99), NOW + 43_200).unwrap();
        let rows: i64 = store
            .read(|moment| Ok(moment.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0))?))
            .unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn sessions_go_with_their_account() {
        let example = Example::pobox();
        begin(&example.store, "abc", 1);
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        example.add_account("abc");
        assert!(!is_open(&example.store, 1, NOW));
        assert!(example.store.begin_session(&name("nobody"), &new_session(1), NOW).is_err());
    }
}
