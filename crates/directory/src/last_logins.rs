//! Who was in of late: the last logins of each account, by mail program and by browser. Kept as `usage.rs`
//! says, but in its file only: of 100,000 accounts they would fill the memory.
//!
//! A program that polls all day is one row, which is written at most once a minute.

use std::collections::HashMap;
use std::net::IpAddr;

use envelope::AccountName;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::accounts::{id_if_any, id_of};
use crate::error::{ChangeError, StoreError};
use crate::label::Label;
use crate::rows;
use crate::store::Store;

/// Logins that are kept of one account; the next one pushes out the oldest.
const EACH: usize = 20;
/// How long a login like the last one is none, in seconds.
const SAME: u64 = 60;

/// By what somebody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LoginService {
    /// POP3.
    Pop3,
    /// SMTP AUTH.
    Smtp,
    /// The page.
    Web,
}

impl LoginService {
    const ALL: [LoginService; 3] = [LoginService::Pop3, LoginService::Smtp, LoginService::Web];

    /// `pop3`, `smtp` or `web`.
    pub fn as_str(self) -> &'static str {
        match self {
            LoginService::Pop3 => "pop3",
            LoginService::Smtp => "smtp",
            LoginService::Web => "web",
        }
    }
}

/// One login; of several by the same way from the same place, the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLogin {
    /// When, in seconds since 1970, to the minute.
    pub at: u64,
    /// By which service.
    pub service: LoginService,
    /// From where.
    pub client: IpAddr,
    /// The app password that was used, if one was.
    pub app_password: Option<Label>,
}

/// Logins by the same way from the same place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Way {
    service: LoginService,
    client: IpAddr,
    app_password: Option<Label>,
}

impl Store {
    /// Notes that somebody was let in. Costs next to nothing if the same was noted within a minute.
    ///
    /// # Errors
    /// If the store fails. The person is none the worse.
    pub fn note_login(&self, name: &AccountName, login: LastLogin) -> Result<(), StoreError> {
        let LastLogin { at, service, client, app_password } = login;
        let way = Way { service, client: client.to_canonical(), app_password };
        if !self.usage().logins().is_news(name, &way, at) {
            return Ok(());
        }
        if let Some(account) = self.read(|moment| Ok(id_if_any(moment, name)?))? {
            self.usage().logins().note(account, way, at);
            self.usage().changed();
        }
        Ok(())
    }

    /// The last logins of an account, the newest first, at most 20.
    ///
    /// # Errors
    /// If there is no such account, or the store fails.
    pub fn last_logins(&self, name: &AccountName) -> Result<Vec<LastLogin>, ChangeError> {
        let account = self.ask(|moment| id_of(moment, name))?;
        Ok(self.usage().last_logins(account)?)
    }
}

/// What was noted a short time ago.
#[derive(Default)]
pub(crate) struct LastLogins {
    /// Not yet written, by account and way.
    unwritten: HashMap<(i64, Way), u64>,
    /// Of this minute and of the last: two generations, so that the memory is bounded.
    young: HashMap<(AccountName, Way), u64>,
    old: HashMap<(AccountName, Way), u64>,
    /// Accounts that are gone.
    gone: Vec<i64>,
}

/// What is to be written.
#[derive(Default)]
pub(crate) struct Changed {
    logins: HashMap<(i64, Way), u64>,
    gone: Vec<i64>,
}

impl Changed {
    pub(crate) fn is_empty(&self) -> bool {
        self.logins.is_empty() && self.gone.is_empty()
    }
}

impl LastLogins {
    /// Whether the same was not noted within a minute; from now on it was.
    fn is_news(&mut self, name: &AccountName, way: &Way, now: u64) -> bool {
        let key = (name.clone(), way.clone());
        let last = self.young.get(&key).or_else(|| self.old.get(&key));
        let news = last.is_none_or(|last| now.abs_diff(*last) >= SAME);
        if news {
            self.young.insert(key, now);
        }
        news
    }

    fn note(&mut self, account: i64, way: Way, at: u64) {
        self.unwritten.insert((account, way), at);
    }

    /// An account is gone.
    pub(crate) fn forget(&mut self, account: i64) {
        self.unwritten.retain(|(of, _), _| *of != account);
        self.gone.push(account);
    }

    /// Forgets what was noted longer ago than the last time; once a minute.
    pub(crate) fn sweep(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }

    /// The last logins of an account, of the file and of the memory together.
    pub(crate) fn last(&self, file: Option<&Connection>, account: i64) -> rusqlite::Result<Vec<LastLogin>> {
        let mut all: HashMap<Way, u64> = HashMap::new();
        if let Some(file) = file {
            let mut written = file
                .prepare_cached("SELECT at, service, client, app_password FROM logins WHERE account = ?1")?;
            for login in written.query_map([account], read)? {
                let (way, at) = login?;
                all.insert(way, at);
            }
        }
        let unwritten = self.unwritten.iter().filter(|((of, _), _)| *of == account);
        all.extend(unwritten.map(|((_, way), at)| (way.clone(), *at)));
        let mut all: Vec<LastLogin> = all
            .into_iter()
            .map(|(Way { service, client, app_password }, at)| LastLogin {
                at,
                service,
                client,
                app_password,
            })
            .collect();
        all.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.service.cmp(&b.service)));
        all.truncate(EACH);
        Ok(all)
    }

    /// What is to be written, and is taken for written from now on.
    pub(crate) fn take_changed(&mut self) -> Changed {
        Changed { logins: std::mem::take(&mut self.unwritten), gone: std::mem::take(&mut self.gone) }
    }

    /// Writing failed: it is to be written still.
    pub(crate) fn not_written(&mut self, changed: Changed) {
        for (key, at) in changed.logins {
            self.unwritten.entry(key).or_insert(at);
        }
        self.gone.extend(changed.gone);
    }

    pub(crate) fn write(file: &Connection, changed: &Changed) -> rusqlite::Result<()> {
        const THIS: &str = "account = ?1 AND service = ?2 AND client = ?3 AND app_password = ?4";
        let mut again = file.prepare_cached(&format!("UPDATE logins SET at = ?5 WHERE {THIS}"))?;
        let mut first = file.prepare_cached("INSERT INTO logins VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut oldest = file.prepare_cached(
            "SELECT service, client, app_password FROM logins WHERE account = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2",
        )?;
        let mut push_out = file.prepare_cached(&format!("DELETE FROM logins WHERE {THIS}"))?;
        for ((account, Way { service, client, app_password }), at) in &changed.logins {
            let label = app_password.as_ref().map_or("", Label::as_str);
            let row = (account, service.as_str(), client.to_string(), label, at.cast_signed());
            if again.execute(row.clone())? > 0 {
                continue;
            }
            first.execute(row)?;
            let beyond: Option<(String, String, String)> = oldest
                .query_row((account, EACH.cast_signed()), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            if let Some((service, client, label)) = beyond {
                push_out.execute((account, service, client, label))?;
            }
        }
        let mut forget = file.prepare_cached("DELETE FROM logins WHERE account = ?1")?;
        changed.gone.iter().try_for_each(|account| forget.execute([account]).map(drop))
    }
}

/// Reads `at, service, client, app_password`.
fn read(row: &Row<'_>) -> rusqlite::Result<(Way, u64)> {
    let label: String = row.get(3)?;
    let way = Way {
        service: rows::one_of(row, 1, &LoginService::ALL, LoginService::as_str)?,
        client: rows::parsed(row, 2)?,
        app_password: if label.is_empty() { None } else { Some(rows::parsed(row, 3)?) },
    };
    Ok((way, rows::seconds(row, 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Example, WHO, name};

    const NOW: u64 = 1_800_000_000;

    fn login(at: u64, service: LoginService, client: &str, label: Option<&str>) -> LastLogin {
        let app_password = label.map(|label| label.parse().unwrap());
        LastLogin { at, service, client: client.parse().unwrap(), app_password }
    }

    fn note(store: &Store, login: LastLogin) {
        store.note_login(&name("abc"), login).unwrap();
    }

    #[test]
    fn the_last_logins_are_there_at_once_and_after_a_restart_the_newest_first() {
        let example = Example::pobox();
        let store = &example.store;
        let [own, phone, page] = [
            login(NOW, LoginService::Pop3, "192.0.2.1", None),
            login(NOW + 10, LoginService::Smtp, "192.0.2.1", Some("phone")),
            login(NOW + 20, LoginService::Web, "2001:db8::1", None),
        ];
        [&phone, &own, &page].into_iter().for_each(|login| note(store, login.clone()));
        let expected = [page, phone, own];
        assert_eq!(store.last_logins(&name("abc")).unwrap(), expected);
        store.flush_usage();
        assert_eq!(store.last_logins(&name("abc")).unwrap(), expected);
        assert_eq!(example.opened_again().last_logins(&name("abc")).unwrap(), expected);
        assert_eq!(store.last_logins(&name("xyz")).unwrap(), []);
        assert!(store.last_logins(&name("nobody")).is_err());
    }

    #[test]
    fn polling_is_one_login_and_written_once_a_minute() {
        let store = &Example::pobox().store;
        let poll = |later| note(store, login(NOW + later, LoginService::Pop3, "::ffff:192.0.2.1", None));
        let written = || {
            let changed = store.usage().logins().take_changed();
            changed.logins.len()
        };
        poll(0);
        assert_eq!(written(), 1);
        (1..60).for_each(poll);
        assert_eq!(written(), 0);
        poll(60);
        assert_eq!(written(), 1);
        store.usage().logins().sweep();
        poll(61);
        assert_eq!(written(), 0);
        let login = login(NOW + 60, LoginService::Pop3, "192.0.2.1", None);
        note(store, LastLogin { at: NOW + 500, ..login.clone() });
        assert_eq!(store.last_logins(&name("abc")).unwrap(), [LastLogin { at: NOW + 500, ..login }]);
    }

    #[test]
    fn twenty_are_kept_and_the_oldest_is_pushed_out() {
        let example = Example::pobox();
        for number in 0..30_u64 {
            let client = format!("192.0.2.{number}");
            note(&example.store, login(NOW + number, LoginService::Pop3, &client, None));
            if number % 7 == 0 {
                example.store.flush_usage();
            }
        }
        example.store.flush_usage();
        let all = example.opened_again().last_logins(&name("abc")).unwrap();
        assert_eq!((all.len(), all[0].at, all[19].at), (EACH, NOW + 29, NOW + 10));
        let file = Connection::open(example.folder.path().join("directory.db-usage")).unwrap();
        let rows: i64 = file.query_row("SELECT count(*) FROM logins", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 20);
    }

    #[test]
    fn who_gets_a_name_that_was_free_again_does_not_see_them() {
        let example = Example::pobox();
        note(&example.store, login(NOW, LoginService::Pop3, "192.0.2.1", None));
        example.store.flush_usage();
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        example.add_account("abc");
        example.store.flush_usage();
        assert_eq!(example.store.last_logins(&name("abc")).unwrap(), []);
        let file = Connection::open(example.folder.path().join("directory.db-usage")).unwrap();
        let rows: i64 = file.query_row("SELECT count(*) FROM logins", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0);
    }
}
