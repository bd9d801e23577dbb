//! The store: opening it, the one writer, and the count of changes.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use envelope::Network;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::audit::{self, Actor, Change};
use crate::connection::{self, Readers, lock};
use crate::error::{ChangeError, OpenError, StoreError};
use crate::failures::Failures;
use crate::hashing::Hasher;
use crate::migrations;
use crate::sessions::SessionLengths;
use crate::usage::Usage;
use crate::verified::Verified;
use crate::windows::WindowLength;

/// What the store must be told; none of it is kept in the database.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the Maildirs of all accounts lie, an absolute path.
    pub maildir_root: PathBuf,
    /// The addresses of this host: mail to `[192.0.2.1]` is for the first provider domain.
    pub own_addresses: Vec<IpAddr>,
    /// How long a change waits while another process writes. 5 seconds unless told.
    pub busy_timeout: Duration,
    /// How long a relay window stays open after a login. 10 minutes unless told.
    pub pop_window: WindowLength,
    /// From where logins open no relay window, such as a network that many strangers share.
    pub windowless_networks: Vec<Network>,
    /// How long sessions of the page last.
    pub session_lengths: SessionLengths,
}

impl Settings {
    /// Settings with this root for Maildirs, and the defaults.
    pub fn new(maildir_root: impl Into<PathBuf>) -> Settings {
        Settings {
            maildir_root: maildir_root.into(),
            own_addresses: Vec::new(),
            busy_timeout: Duration::from_secs(5),
            pop_window: WindowLength::default(),
            windowless_networks: Vec::new(),
            session_lengths: SessionLengths::default(),
        }
    }
}

/// The directory of domains, accounts and passwords, in one SQLite file.
///
/// It may be shared by threads, and the file by processes.
pub struct Store {
    pub(crate) settings: Settings,
    pub(crate) hasher: Hasher,
    pub(crate) verified: Verified,
    pub(crate) failures: Mutex<Failures>,
    /// Those of `settings`, until they are changed.
    pub(crate) session_lengths: Mutex<SessionLengths>,
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Readers,
    watch: Mutex<Watch>,
    usage: OnceLock<Usage>,
}

/// Sees what others, and our own writer, have committed.
#[derive(Default)]
struct Watch {
    connection: Option<Connection>,
    data_version: i64,
    changes: u64,
}

impl Store {
    /// Opens the store in a file, which is made (with mode 0600) if there is none.
    ///
    /// # Errors
    /// If the file cannot be made, is not ours, is damaged, or is of a later version.
    pub fn open(path: &Path, settings: Settings) -> Result<Store, OpenError> {
        let file = |source| OpenError::File { path: path.into(), source };
        // Absolute, so that no name has a meaning of its own to SQLite, as `:memory:` has.
        let absolute = std::path::absolute(path).map_err(file)?;
        connection::create_private(&absolute).map_err(file)?;

        let store = |source| OpenError::Store { path: path.into(), source };
        let sqlite = |error: rusqlite::Error| store(error.into());
        let mut writer = connection::open_writer(&absolute, settings.busy_timeout).map_err(sqlite)?;
        migrations::check(&writer, path)?;
        connection::keep_private(&absolute).map_err(file)?;
        set_up(&writer, settings.busy_timeout).map_err(sqlite)?;
        migrations::run(&mut writer).map_err(store)?;

        Ok(Store {
            hasher: Hasher::new(),
            verified: Verified::new().map_err(|error| OpenError::Random(error.to_string()))?,
            failures: Mutex::default(),
            session_lengths: Mutex::new(settings.session_lengths),
            readers: Readers::new(absolute.clone(), settings.busy_timeout),
            path: absolute,
            writer: Mutex::new(writer),
            watch: Mutex::default(),
            usage: OnceLock::new(),
            settings,
        })
    }

    /// Rises whenever something may have changed since the last call, by this process or by
    /// another: who keeps answers drops them then. Costs a few microseconds.
    ///
    /// # Errors
    /// If the store fails.
    pub fn change_count(&self) -> Result<u64, StoreError> {
        let watch = &mut *lock(&self.watch);
        let connection = match &mut watch.connection {
            Some(connection) => connection,
            empty => empty.insert(connection::open_reader(&self.path, self.settings.busy_timeout)?),
        };
        // Differs from its last value if another connection has committed since, and our writer
        // is another connection.
        let version =
            connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get::<_, i64>(0))?;
        if version != watch.data_version {
            watch.data_version = version;
            watch.changes += 1;
        }
        Ok(watch.changes)
    }

    /// Writes what is known of use (relay windows, counts, last uses) at once. It is written
    /// within a second anyway, and when the store is dropped; so this is for a stop that drops nothing.
    pub fn flush_usage(&self) {
        if let Some(usage) = self.usage.get() {
            usage.flush();
        }
    }

    /// What is known of use.
    pub(crate) fn usage(&self) -> &Usage {
        self.usage.get_or_init(|| {
            let usage = Usage::open(&self.path);
            usage.forget_sessions_after(self.session_lengths().idle);
            usage
        })
    }

    /// Asks something of the last committed state, all of one moment; waits for no writer.
    pub(crate) fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.readers.read(question)
    }

    /// As [`Store::read`], for a question that may be refused.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        self.readers.read(question)
    }

    /// Makes one change, in one transaction with its entry in the audit trail.
    pub(crate) fn change<T>(
        &self,
        who: &Actor,
        make: impl FnOnce(&Transaction<'_>, &mut Trail<'_>) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        self.change_unless(who, make)
    }

    /// As [`Store::change`], for one that may be refused in the words of another crate.
    pub(crate) fn change_unless<T, E: From<ChangeError>>(
        &self,
        who: &Actor,
        make: impl FnOnce(&Transaction<'_>, &mut Trail<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = lock(&self.writer);
        let begun = writer.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(ChangeError::from)?;
        let made = make(&transaction, &mut Trail { transaction: &transaction, who })?;
        transaction.commit().map_err(ChangeError::from)?;
        Ok(made)
    }
}

/// Where a change notes what it did.
pub(crate) struct Trail<'a> {
    transaction: &'a Connection,
    who: &'a Actor,
}

impl Trail<'_> {
    pub(crate) fn note(&mut self, change: &Change<'_>) -> rusqlite::Result<()> {
        audit::note(self.transaction, self.who, change)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

fn set_up(writer: &Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    use_wal(writer, busy_timeout)?;
    // A change that was acknowledged survives a power cut.
    writer.pragma_update(None, "synchronous", "FULL")?;
    writer.pragma_update(None, "foreign_keys", true)?;
    // The hash of a password that was changed is overwritten, not left in a free page.
    writer.pragma_update(None, "secure_delete", true)
}

/// Turns on write-ahead logging, which lets readers read while a writer writes.
///
/// The switch needs a new file alone for a moment. Where several processes open it at once, SQLite
/// gives up without waiting when it sees a deadlock coming; so this tries again.
pub(crate) fn use_wal(writer: &Connection, patience: Duration) -> rusqlite::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match writer.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

/// Seconds since 1970, as SQLite keeps them; 0 if the clock stands before that.
pub(crate) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::example::{Example, WHO, name, new_account, settings};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn refused(error: ChangeError) -> StoreError {
        match error {
            ChangeError::Store(error) => error,
            other => panic!("not an error of the store: {other}"),
        }
    }

    #[test]
    fn a_store_is_shared_by_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Store>();
    }

    #[test]
    fn the_files_are_open_to_their_owner_only() {
        let example = Example::pobox();
        let files: Vec<_> = fs::read_dir(example.folder.path()).unwrap().map(|f| f.unwrap().path()).collect();
        assert_eq!(files.len(), 3, "{files:?}");
        assert!(files.iter().all(|file| mode(file) == 0o600));
        drop(example.store);
        let path = example.folder.path().join("directory.db");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Store::open(&path, settings()).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn what_was_written_is_there_after_opening_again() {
        let example = Example::pobox();
        drop(example.store);
        let store = Store::open(&example.folder.path().join("directory.db"), settings()).unwrap();
        assert!(store.account(&name("abc")).unwrap().is_some());
    }

    #[test]
    fn changes_are_durable_and_their_references_are_checked() {
        let example = Example::pobox();
        let writer = lock(&example.store.writer);
        let pragma = |name: &str| writer.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((pragma("synchronous"), pragma("foreign_keys"), pragma("secure_delete")), (2, 1, 1));
        let journal: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(journal, "wal");
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("letter.txt");
        fs::write(&text, "Dear directory,\n".repeat(100)).unwrap();
        assert!(matches!(Store::open(&text, settings()), Err(OpenError::NotADatabase(_))));
        assert_eq!(fs::read_to_string(&text).unwrap(), "Dear directory,\n".repeat(100));

        let foreign = folder.path().join("places.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
        fs::set_permissions(&foreign, Permissions::from_mode(0o644)).unwrap();
        let before = fs::read(&foreign).unwrap();
        let error = Store::open(&foreign, settings()).unwrap_err();
        assert!(matches!(error, OpenError::Foreign(_)));
        assert!(error.to_string().ends_with("but another program's SQLite database"));
        assert_eq!((fs::read(&foreign).unwrap(), mode(&foreign)), (before, 0o644));
    }

    #[test]
    fn a_store_of_a_later_version_is_refused() {
        let example = Example::pobox();
        lock(&example.store.writer).execute("INSERT INTO migrations VALUES (99, 'later', 0)", []).unwrap();
        let error = Store::open(&example.folder.path().join("directory.db"), settings()).unwrap_err();
        assert!(matches!(error, OpenError::NewerSchema { found: 99, .. }));
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let error = Store::open(Path::new("/nonexistent/directory.db"), settings()).unwrap_err();
        assert!(error.to_string().starts_with("cannot open the directory's file /nonexistent/directory.db"));
    }

    #[test]
    fn a_path_means_a_file_whatever_it_looks_like() {
        let folder = tempfile::tempdir().unwrap();
        for odd in [":memory:", "file:x?mode=memory", "a'b", "日本.db"] {
            let path = folder.path().join(odd);
            drop(Store::open(&path, settings()).unwrap());
            assert!(fs::metadata(&path).unwrap().len() > 0, "{odd}");
        }
    }

    #[test]
    fn a_damaged_file_is_a_typed_error() {
        let example = Example::pobox();
        (0..200).for_each(|n| example.add_account(&format!("filler-{n}")));
        let path = example.folder.path().join("directory.db");
        drop(example.store);
        let whole = fs::read(&path).unwrap();

        let mut middle = whole.clone();
        middle[4096..].fill(0x5a);
        fs::write(&path, &middle).unwrap();
        match Store::open(&path, settings()) {
            Err(OpenError::Store { source: StoreError::Damaged(_), .. }) => {}
            Err(other) => panic!("{other:?}"),
            Ok(store) => {
                assert!(matches!(store.accounts("", None, 1000), Err(StoreError::Damaged(_))));
            }
        }

        let mut head = whole.clone();
        head[..16].fill(0);
        fs::write(&path, &head).unwrap();
        assert!(matches!(Store::open(&path, settings()), Err(OpenError::NotADatabase(_))));

        fs::write(&path, &whole[..5000]).unwrap();
        let error = Store::open(&path, settings()).unwrap_err();
        assert!(matches!(error, OpenError::Store { source: StoreError::Damaged(_), .. }), "{error:?}");
    }

    #[test]
    fn a_full_disk_is_a_typed_error_and_nothing_is_changed() {
        let example = Example::pobox();
        lock(&example.store.writer).pragma_update(None, "max_page_count", 1).unwrap();
        let error = (0..1000)
            .find_map(|n| example.store.add_account(new_account(&format!("filler-{n}")), &WHO).err())
            .unwrap();
        assert!(matches!(refused(error), StoreError::DiskFull(_)));
        let stored = example.store.accounts("filler", None, 1000).unwrap().len();
        assert_eq!(example.store.audit_trail(1000).unwrap().len(), 4 + stored);
        assert!(example.store.resolve(&"abc@pobox.example".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_store_that_may_not_be_written_is_a_typed_error() {
        let example = Example::pobox();
        lock(&example.store.writer).pragma_update(None, "query_only", true).unwrap();
        let error = example.store.add_account(new_account("new"), &WHO).unwrap_err();
        assert!(matches!(refused(error), StoreError::ReadOnly(_)));
    }

    #[test]
    fn a_value_of_which_this_version_knows_nothing_is_a_typed_error() {
        let example = Example::pobox();
        lock(&example.store.writer).execute("UPDATE accounts SET state = 'asleep'", []).unwrap();
        let error = example.store.account(&name("abc")).unwrap_err();
        assert!(matches!(&error, StoreError::Unreadable(why) if why.contains("\"asleep\"")), "{error}");
    }

    #[test]
    fn readers_wait_for_no_writer_and_writers_wait_for_each_other() {
        let example = Example::pobox();
        let other = example.opened_again();
        let mut writer = lock(&other.writer);
        let writing = writer.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        writing.execute("DELETE FROM domains", []).unwrap();
        assert_eq!(example.store.domains().unwrap().len(), 2);
        let error = example.store.add_account(new_account("new"), &WHO).unwrap_err();
        assert!(matches!(refused(error), StoreError::Busy(_)));
        std::thread::scope(|scope| {
            let change = scope.spawn(|| example.store.add_account(new_account("new"), &WHO));
            writing.rollback().unwrap();
            assert!(change.join().unwrap().is_ok());
        });
    }

    #[test]
    fn a_file_that_many_open_at_once_for_the_first_time_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.db");
        let patient = Settings { busy_timeout: Duration::from_secs(10), ..settings() };
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..32)
                .map(|n| {
                    let (path, settings) = (&path, patient.clone());
                    scope.spawn(move || {
                        let store = Store::open(path, settings).unwrap();
                        store.add_account(new_account(&format!("a{n}")), &WHO).unwrap();
                    })
                })
                .collect();
            opening.into_iter().for_each(|opened| opened.join().unwrap());
        });
        let store = Store::open(&path, patient).unwrap();
        assert_eq!(store.accounts("", None, 100).unwrap().len(), 32);
    }

    #[test]
    fn the_count_of_changes_rises_with_every_change_here_or_elsewhere() {
        let example = Example::pobox();
        let other = example.opened_again();
        let count = || example.store.change_count().unwrap();
        let first = count();
        assert_eq!(count(), first);
        example.add_account("here");
        let second = count();
        assert!(second > first);
        other.add_account(new_account("there"), &WHO).unwrap();
        let third = count();
        assert!(third > second);
        other.add_account(new_account("there"), &WHO).unwrap_err();
        example.store.domains().unwrap();
        assert_eq!(count(), third);
    }

    #[test]
    fn more_readers_than_connections_all_get_their_answer() {
        let example = Example::pobox();
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        assert_eq!(example.store.domains().unwrap().len(), 2);
                    }
                });
            }
        });
    }
}
