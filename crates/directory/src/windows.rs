//! Relay windows: who has just checked mail, may send for some minutes from the same address (POP
//! before SMTP).
//!
//! A window belongs to the account that opened it and to the client's exact address; an IPv4 address
//! in IPv6 form is the IPv4 address. Each login renews it. It ends to the second, and at once when the
//! account is suspended, its password changes, or its plan no longer has windows: whether the account
//! may still send is asked of the directory at each look, so another process's change counts too.
//!
//! Windows are kept as `usage.rs` says.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use envelope::AccountName;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::accounts::{end_grants, id_if_any, id_of};
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::rows;
use crate::store::Store;

/// Windows that one account may have open at a time; the next one closes the one that would expire
/// first. An account is one customer, with a home, an office and a telephone.
const EACH: usize = 32;

/// How long a window stays open after the login: 1 to 60 minutes, 10 unless told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct WindowLength(u8);

/// The number is no length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a relay window stays open for 1 to 60 minutes, not {0}")]
pub struct NotAWindowLength(u64);

impl WindowLength {
    /// So many minutes.
    ///
    /// # Errors
    /// If they are not 1 to 60.
    pub fn minutes(minutes: u64) -> Result<WindowLength, NotAWindowLength> {
        match u8::try_from(minutes) {
            Ok(length @ 1..=60) => Ok(WindowLength(length)),
            _ => Err(NotAWindowLength(minutes)),
        }
    }

    fn seconds(self) -> u64 {
        u64::from(self.0) * 60
    }
}

impl Default for WindowLength {
    fn default() -> WindowLength {
        WindowLength(10)
    }
}

impl fmt::Display for WindowLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} min", self.0)
    }
}

impl TryFrom<u64> for WindowLength {
    type Error = NotAWindowLength;
    fn try_from(minutes: u64) -> Result<WindowLength, NotAWindowLength> {
        WindowLength::minutes(minutes)
    }
}

impl From<WindowLength> for u64 {
    fn from(length: WindowLength) -> u64 {
        length.0.into()
    }
}

/// An open relay window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Whose it is: only this account may send through it.
    pub account: AccountName,
    /// From which address.
    pub client: IpAddr,
    /// The login that opened it, in seconds since 1970.
    pub opened: u64,
    /// The last login, in seconds since 1970.
    pub renewed: u64,
    /// From this second on it is closed.
    pub expires: u64,
}

impl Store {
    /// Opens a window, or renews it, after a login to a mailbox at `now`, in seconds since 1970.
    /// None if the account or the network has no windows.
    ///
    /// # Errors
    /// If the store fails.
    pub fn open_window(
        &self,
        client: IpAddr,
        account: &AccountName,
        now: u64,
    ) -> Result<Option<Window>, StoreError> {
        let client = client.to_canonical();
        if self.is_windowless(client) {
            return Ok(None);
        }
        let entitled = self.read(|moment| {
            Ok(moment
                .prepare_cached(concat!(
                    "SELECT accounts.id, grant_epoch ",
                    entitled!(),
                    " AND accounts.name = ?1"
                ))?
                .query_row([account.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?)
        })?;
        let Some((id, epoch)) = entitled else { return Ok(None) };
        let usage = self.usage();
        let open = usage.windows().open(id, client, epoch, now, self.settings.pop_window.seconds());
        usage.changed();
        Ok(Some(open.window(account.clone())))
    }

    /// The windows that are open at `now` for this address. More than one means that several
    /// customers share it: the sender tells which one is meant.
    ///
    /// # Errors
    /// If the store fails.
    pub fn windows(&self, client: IpAddr, now: u64) -> Result<Vec<Window>, StoreError> {
        let client = client.to_canonical();
        let open = self.usage().windows().at(client, now);
        self.still_entitled(open)
    }

    /// The windows that an account has open at `now`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn windows_of(&self, account: &AccountName, now: u64) -> Result<Vec<Window>, StoreError> {
        let id = self.read(|moment| Ok(id_if_any(moment, account)?))?;
        let open = id.map(|id| self.usage().windows().of(id, now)).unwrap_or_default();
        self.still_entitled(open)
    }

    /// All windows that are open at `now`, that renewed last first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn open_windows(&self, now: u64) -> Result<Vec<Window>, StoreError> {
        let open = self.usage().windows().all(now);
        let mut windows = self.still_entitled(open)?;
        windows.sort_by(|a, b| b.renewed.cmp(&a.renewed).then_with(|| a.account.cmp(&b.account)));
        Ok(windows)
    }

    /// Closes the windows of an account, in every process.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn close_windows(&self, account: &AccountName, who: &Actor) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let id = id_of(change, account)?;
            end_grants(change, id)?;
            Ok(trail.note(&Change::WindowsClosed(account))?)
        })
    }

    fn still_entitled(&self, mut open: Vec<Open>) -> Result<Vec<Window>, StoreError> {
        open.retain(|open| !self.is_windowless(open.client));
        // Most addresses have none: nothing to ask.
        if open.is_empty() {
            return Ok(Vec::new());
        }
        self.read(|moment| {
            let mut entitled = moment.prepare_cached(concat!(
                "SELECT accounts.name ",
                entitled!(),
                " AND accounts.id = ?1 AND grant_epoch = ?2"
            ))?;
            let mut windows = Vec::with_capacity(open.len());
            for open in open {
                let name =
                    entitled.query_row((open.account, open.epoch), |row| rows::parsed(row, 0)).optional()?;
                windows.extend(name.map(|name| open.window(name)));
            }
            Ok(windows)
        })
    }

    fn is_windowless(&self, client: IpAddr) -> bool {
        self.settings.windowless_networks.iter().any(|network| network.contains(client))
    }
}

/// The accounts that may have windows: those who may send, and whose plan has them.
macro_rules! entitled {
    () => {
        "FROM accounts JOIN plans ON plans.id = coalesce(plan, 1)
         LEFT JOIN overrides ON account = accounts.id
         WHERE state = 'active' AND coalesce(overrides.pop_before_smtp, plans.pop_before_smtp)"
    };
}
use entitled;

/// Windows in memory, and which of them are still to be written.
#[derive(Default)]
pub(crate) struct Windows {
    /// By account, at most [`EACH`].
    open: HashMap<i64, Vec<Open>>,
    /// Which accounts have one at an address.
    at: HashMap<IpAddr, Vec<i64>>,
    unwritten: HashSet<(i64, IpAddr)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Open {
    account: i64,
    client: IpAddr,
    epoch: i64,
    opened: u64,
    renewed: u64,
    expires: u64,
}

/// A row to be written, or to be deleted where there is no window any more.
pub(crate) struct Written(i64, IpAddr, Option<Open>);

impl Open {
    /// Also closed while the clock shows a time before its login: a clock that is set back must not
    /// prolong it.
    fn is_open(&self, now: u64) -> bool {
        self.renewed <= now && now < self.expires
    }

    fn window(self, account: AccountName) -> Window {
        let Open { client, opened, renewed, expires, .. } = self;
        Window { account, client, opened, renewed, expires }
    }
}

impl Windows {
    fn open(&mut self, account: i64, client: IpAddr, epoch: i64, now: u64, seconds: u64) -> Open {
        let present = self.open.get(&account).and_then(|of| of.iter().find(|open| open.client == client));
        let continues = present.filter(|open| open.epoch == epoch && open.is_open(now));
        let opened = continues.map_or(now, |open| open.opened);
        let expires = now.saturating_add(seconds);
        let new = Open { account, client, epoch, opened, renewed: now, expires };
        self.remove(account, client);
        if let Some(of) = self.open.get(&account)
            && of.len() >= EACH
            && let Some(first) = of.iter().min_by_key(|open| open.expires).map(|open| open.client)
        {
            self.remove(account, first);
        }
        self.insert(new);
        self.unwritten.insert((account, client));
        new
    }

    fn at(&self, client: IpAddr, now: u64) -> Vec<Open> {
        let accounts = self.at.get(&client).into_iter().flatten();
        let open = accounts.filter_map(|account| self.find(*account, client));
        open.filter(|open| open.is_open(now)).copied().collect()
    }

    fn of(&self, account: i64, now: u64) -> Vec<Open> {
        self.open.get(&account).into_iter().flatten().filter(|open| open.is_open(now)).copied().collect()
    }

    fn all(&self, now: u64) -> Vec<Open> {
        self.open.values().flatten().filter(|open| open.is_open(now)).copied().collect()
    }

    /// The account is gone.
    pub(crate) fn forget(&mut self, account: i64) {
        let clients: Vec<IpAddr> = self.open.get(&account).into_iter().flatten().map(|o| o.client).collect();
        for client in clients {
            self.remove(account, client);
        }
    }

    /// Forgets what is closed by now.
    pub(crate) fn sweep(&mut self, now: u64) {
        let closed: Vec<Open> =
            self.open.values().flatten().filter(|open| open.expires <= now).copied().collect();
        for open in closed {
            self.remove(open.account, open.client);
        }
    }

    fn find(&self, account: i64, client: IpAddr) -> Option<&Open> {
        self.open.get(&account)?.iter().find(|open| open.client == client)
    }

    fn insert(&mut self, open: Open) {
        self.open.entry(open.account).or_default().push(open);
        self.at.entry(open.client).or_default().push(open.account);
    }

    fn remove(&mut self, account: i64, client: IpAddr) {
        if let Some(of) = self.open.get_mut(&account) {
            of.retain(|open| open.client != client);
            if of.is_empty() {
                self.open.remove(&account);
            }
        }
        if let Some(accounts) = self.at.get_mut(&client) {
            accounts.retain(|other| *other != account);
            if accounts.is_empty() {
                self.at.remove(&client);
            }
        }
        self.unwritten.insert((account, client));
    }

    /// Reads the windows of the last run.
    pub(crate) fn read(file: &Connection) -> rusqlite::Result<Windows> {
        let mut windows = Windows::default();
        let mut all = file.prepare("SELECT account, client, epoch, opened, renewed, expires FROM windows")?;
        for open in all.query_map([], read_open)? {
            windows.insert(open?);
        }
        Ok(windows)
    }

    /// What is to be written, and is taken for written from now on.
    pub(crate) fn take_changed(&mut self) -> Vec<Written> {
        let unwritten = std::mem::take(&mut self.unwritten);
        let row = |(account, client)| Written(account, client, self.find(account, client).copied());
        unwritten.into_iter().map(row).collect()
    }

    /// Writing failed: it is to be written still.
    pub(crate) fn not_written(&mut self, rows: &[Written]) {
        self.unwritten.extend(rows.iter().map(|Written(account, client, _)| (*account, *client)));
    }

    pub(crate) fn write(file: &Connection, rows: &[Written]) -> rusqlite::Result<()> {
        let mut put =
            file.prepare_cached("INSERT OR REPLACE INTO windows VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        let mut delete = file.prepare_cached("DELETE FROM windows WHERE account = ?1 AND client = ?2")?;
        for Written(account, client, open) in rows {
            let client = client.to_string();
            let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
            match open {
                Some(Open { epoch, opened, renewed, expires, .. }) => put.execute((
                    account,
                    client,
                    epoch,
                    seconds(*opened),
                    seconds(*renewed),
                    seconds(*expires),
                ))?,
                None => delete.execute((account, client))?,
            };
        }
        Ok(())
    }
}

fn read_open(row: &Row<'_>) -> rusqlite::Result<Open> {
    Ok(Open {
        account: row.get(0)?,
        client: rows::parsed(row, 1)?,
        epoch: row.get(2)?,
        opened: rows::seconds(row, 3)?,
        renewed: rows::seconds(row, 4)?,
        expires: rows::seconds(row, 5)?,
    })
}

#[cfg(test)]
mod tests {
    use envelope::{AccountState, Overrides};
    use proptest::prelude::*;

    use super::*;
    use crate::Settings;
    use crate::example::{Example, WHO, name, password, settings};

    const NOW: u64 = 1_800_000_000;
    const HOME: &str = "198.51.100.7";

    fn open(store: &Store, client: &str, account: &str, now: u64) -> bool {
        store.open_window(client.parse().unwrap(), &name(account), now).unwrap().is_some()
    }

    /// The accounts that have a window at this address.
    fn at(store: &Store, client: &str, now: u64) -> Vec<String> {
        let windows = store.windows(client.parse().unwrap(), now).unwrap();
        windows.into_iter().map(|window| window.account.to_string()).collect()
    }

    #[test]
    fn a_window_is_open_from_the_login_for_ten_minutes_to_the_second() {
        let store = &Example::pobox().store;
        assert_eq!(at(store, HOME, NOW), [""; 0]);
        assert!(open(store, HOME, "abc", NOW));
        assert_eq!(at(store, HOME, NOW), ["abc"]);
        assert_eq!(at(store, HOME, NOW + 599), ["abc"]);
        assert_eq!(at(store, HOME, NOW + 600), [""; 0]);
        assert_eq!(at(store, "198.51.100.8", NOW), [""; 0]);
    }

    #[test]
    fn each_login_renews_the_window_and_does_not_forget_when_it_was_opened() {
        let store = &Example::pobox().store;
        for later in [0, 300, 600] {
            assert!(open(store, HOME, "abc", NOW + later));
        }
        let windows = store.windows(HOME.parse().unwrap(), NOW + 1199).unwrap();
        let window = Window {
            account: name("abc"),
            client: HOME.parse().unwrap(),
            opened: NOW,
            renewed: NOW + 600,
            expires: NOW + 1200,
        };
        assert_eq!(windows, std::slice::from_ref(&window));
        assert_eq!(store.windows_of(&name("abc"), NOW + 1199).unwrap(), [window]);
        assert_eq!(at(store, HOME, NOW + 1200), [""; 0]);
        assert!(open(store, HOME, "abc", NOW + 5000));
        assert_eq!(store.windows_of(&name("abc"), NOW + 5000).unwrap()[0].opened, NOW + 5000);
    }

    #[test]
    fn an_ipv4_address_is_the_same_in_ipv6_form_and_an_ipv6_address_is_exact() {
        let store = &Example::pobox().store;
        open(store, "::ffff:198.51.100.7", "abc", NOW);
        assert_eq!(at(store, HOME, NOW), ["abc"]);
        assert_eq!(at(store, "::ffff:198.51.100.7", NOW), ["abc"]);
        open(store, "2001:db8::1", "xyz", NOW);
        assert_eq!(at(store, "2001:db8:0::1", NOW), ["xyz"]);
        assert_eq!(at(store, "2001:db8::2", NOW), [""; 0]);
    }

    #[test]
    fn customers_behind_one_address_have_a_window_each() {
        let store = &Example::pobox().store;
        open(store, HOME, "abc", NOW);
        open(store, HOME, "xyz", NOW + 100);
        assert_eq!(at(store, HOME, NOW + 100), ["abc", "xyz"]);
        assert_eq!(at(store, HOME, NOW + 600), ["xyz"]);
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_no_window() {
        let store = &Example::pobox().store;
        open(store, HOME, "abc", NOW);
        assert_eq!(at(store, HOME, NOW - 1), [""; 0]);
    }

    #[test]
    fn suspension_and_a_new_password_close_the_windows_at_once_and_for_good() {
        let example = Example::pobox();
        let store = &example.store;
        let set = |state| store.set_state(&name("abc"), state, &WHO).unwrap();
        open(store, HOME, "abc", NOW);
        open(store, HOME, "xyz", NOW);
        set(AccountState::Suspended);
        assert_eq!(at(store, HOME, NOW), ["xyz"]);
        assert!(!open(store, HOME, "abc", NOW));
        set(AccountState::ReceiveOnly);
        assert!(!open(store, HOME, "abc", NOW));
        set(AccountState::Active);
        assert_eq!(at(store, HOME, NOW), ["xyz"]);
        assert!(open(store, HOME, "abc", NOW));
        store.set_password(&name("abc"), &password("new"), &WHO).unwrap();
        assert_eq!(at(store, HOME, NOW), ["xyz"]);
    }

    #[test]
    fn another_process_closes_windows_too() {
        let example = Example::pobox();
        let other = example.opened_again();
        open(&example.store, HOME, "abc", NOW);
        other.close_windows(&name("abc"), &WHO).unwrap();
        assert_eq!(at(&example.store, HOME, NOW), [""; 0]);
        assert_eq!(example.store.audit_trail(1).unwrap()[0].what, "relay windows of abc closed");
        assert!(matches!(other.close_windows(&name("nobody"), &WHO), Err(ChangeError::NoSuchAccount(_))));
    }

    #[test]
    fn who_gets_a_name_that_was_free_again_does_not_get_the_windows() {
        let example = Example::pobox();
        open(&example.store, HOME, "abc", NOW);
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        assert_eq!(at(&example.store, HOME, NOW), [""; 0]);
        example.add_account("abc");
        assert_eq!(at(&example.store, HOME, NOW), [""; 0]);
    }

    #[test]
    fn a_plan_or_a_network_without_windows_opens_none_and_closes_those_there_are() {
        let example = Example::pobox();
        let store = &example.store;
        open(store, HOME, "abc", NOW);
        let off = Overrides { pop_before_smtp: Some(false), ..Overrides::default() };
        store.set_overrides(&name("abc"), &off, &WHO).unwrap();
        assert_eq!(at(store, HOME, NOW), [""; 0]);
        assert!(!open(store, HOME, "abc", NOW) && open(store, HOME, "xyz", NOW));
        store.flush_usage();

        let settings =
            Settings { windowless_networks: vec!["198.51.100.0/24".parse().unwrap()], ..settings() };
        let strict = Store::open(&example.folder.path().join("directory.db"), settings).unwrap();
        assert_eq!(at(&strict, HOME, NOW), [""; 0]);
        assert!(!open(&strict, HOME, "xyz", NOW) && open(&strict, "203.0.113.1", "xyz", NOW));
    }

    #[test]
    fn the_length_of_a_window_is_1_to_60_minutes() {
        for wrong in [0, 61, 256, u64::MAX] {
            assert_eq!(WindowLength::minutes(wrong), Err(NotAWindowLength(wrong)));
        }
        let example = Example::empty();
        let settings = Settings { pop_window: WindowLength::minutes(60).unwrap(), ..settings() };
        let store = Store::open(&example.folder.path().join("other.db"), settings).unwrap();
        store.add_account(crate::example::new_account("abc"), &WHO).unwrap();
        open(&store, HOME, "abc", NOW);
        assert_eq!((at(&store, HOME, NOW + 3599).len(), at(&store, HOME, NOW + 3600).len()), (1, 0));
    }

    #[test]
    fn windows_survive_a_restart_and_closed_ones_are_swept_out() {
        let example = Example::pobox();
        open(&example.store, HOME, "abc", NOW);
        open(&example.store, "2001:db8::1", "xyz", NOW + 300);
        example.store.flush_usage();
        let again = example.opened_again();
        assert_eq!(at(&again, HOME, NOW + 599), ["abc"]);
        assert_eq!(at(&again, "2001:db8::1", NOW + 899), ["xyz"]);
        again.usage().windows().sweep(NOW + 600);
        again.flush_usage();
        let third = example.opened_again();
        let kept = third.usage().windows().open.values().map(Vec::len).sum::<usize>();
        assert_eq!((kept, at(&third, "2001:db8::1", NOW + 600)), (1, vec!["xyz".to_owned()]));
    }

    #[test]
    fn a_name_that_nobody_has_opens_no_window() {
        let store = &Example::pobox().store;
        assert!(!open(store, HOME, "nobody", NOW));
        assert_eq!(store.windows_of(&name("nobody"), NOW).unwrap(), []);
    }

    #[test]
    fn an_account_has_32_windows_and_the_next_closes_the_oldest() {
        let example = Example::pobox();
        for (later, host) in (0..100).zip(1..) {
            open(&example.store, &format!("2001:db8::{host:x}"), "abc", NOW + later);
        }
        let windows = example.store.windows_of(&name("abc"), NOW + 100).unwrap();
        assert_eq!((windows.len(), windows[0].opened), (EACH, NOW + 68));
        assert_eq!(example.store.usage().windows().at.len(), EACH);
    }

    proptest! {
        /// Against a plain list of what was opened.
        #[test]
        fn windows_are_as_a_plain_list_would_have_it(
            steps in prop::collection::vec((0i64..3, 1u32..4, 0u64..900), 1..60),
        ) {
            let mut windows = Windows::default();
            let mut list: HashMap<(i64, IpAddr), u64> = HashMap::new();
            let mut now = NOW;
            for (account, client, later) in steps {
                now += later;
                let client = IpAddr::V4(client.into());
                windows.open(account, client, 0, now, 600);
                list.insert((account, client), now + 600);
                windows.sweep(now - 300);
                for client in (1..4).map(|client: u32| IpAddr::V4(client.into())) {
                    let mut found: Vec<i64> = windows.at(client, now).iter().map(|open| open.account).collect();
                    found.sort_unstable();
                    let model = (0..3).filter(|a| list.get(&(*a, client)).is_some_and(|end| now < *end));
                    prop_assert_eq!(found, model.collect::<Vec<_>>());
                }
            }
        }
    }
}
