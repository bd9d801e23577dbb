//! What is known of use: it changes with every login and every message, may be lost, and must never
//! be wrong.
//!
//! It lives in memory and is written behind, once a second, without waiting for the disk: a login
//! costs no sync. At the next start it is read back. Its file stands beside the directory's
//! (`directory.db-usage`), because whoever keeps the directory's answers drops them whenever the
//! directory's file changes, and this one changes all day. If it cannot be used, the server goes
//! on without.
//!
//! The file is opened at the first use, so a command line that only makes accounts leaves none.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, io};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::answered::{self, Answer};
use crate::connection::{self, lock};
use crate::correspondents::{Correspondent, Correspondents};
use crate::error::{OpenError, StoreError};
use crate::last_logins::{LastLogin, LastLogins};
use crate::sent::Sent;
use crate::session_uses::SessionUses;
use crate::store::{unix_now, use_wal};
use crate::uses::{self, Uses};
use crate::windows::Windows;

/// Marks the file as ours in its head (`PRAGMA application_id`): "HKYU".
const APPLICATION_ID: i32 = 0x484b_5955;
/// What the tables look like. A file with other ones is begun anew: nothing in it must be kept.
const SCHEMA: i32 = 1;
/// How long a change waits to be written.
const DELAY: Duration = Duration::from_secs(1);
/// How often what is over is swept out.
const SWEEP: Duration = Duration::from_secs(60);
/// How long the file's lock is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// What is known of use, and the thread that writes it behind.
pub(crate) struct Usage {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    windows: Mutex<Windows>,
    uses: Mutex<Uses>,
    token_uses: Mutex<Uses>,
    sessions: Mutex<SessionUses>,
    /// After so many seconds without use a session has ended.
    session_idle: AtomicU64,
    logins: Mutex<LastLogins>,
    sent: Mutex<Sent>,
    correspondents: Mutex<Correspondents>,
    counting: Mutex<()>,
    file: Mutex<Option<Connection>>,
    signal: Mutex<Signal>,
    signalled: Condvar,
}

#[derive(Default)]
struct Signal {
    changed: bool,
    stop: bool,
}

impl Usage {
    /// Reads back what was written beside the directory's file `directory`.
    pub(crate) fn open(directory: &Path) -> Usage {
        let path = beside(directory, "-usage");
        let shared = open_or_begin_anew(&path, directory)
            .and_then(|file| Shared::read(file).map_err(|error| failed(&path, error)))
            .unwrap_or_else(|error| {
                tracing::error!(%error, "relay windows and counts will not survive a restart");
                Shared::default()
            });
        let shared = Arc::new(shared);
        let writing = Arc::clone(&shared);
        let writer = std::thread::Builder::new().name("usage".into()).spawn(move || writing.write_behind());
        if let Err(error) = &writer {
            tracing::error!(%error, "no thread writes down relay windows and counts: only a stop does");
        }
        Usage { shared, writer: writer.ok() }
    }

    /// The relay windows.
    pub(crate) fn windows(&self) -> MutexGuard<'_, Windows> {
        lock(&self.shared.windows)
    }

    /// When app passwords were last used.
    pub(crate) fn uses(&self) -> MutexGuard<'_, Uses> {
        lock(&self.shared.uses)
    }

    /// When API tokens were last used.
    pub(crate) fn token_uses(&self) -> MutexGuard<'_, Uses> {
        lock(&self.shared.token_uses)
    }

    /// When sessions were last used, and from where.
    pub(crate) fn sessions(&self) -> MutexGuard<'_, SessionUses> {
        lock(&self.shared.sessions)
    }

    /// Sessions end after so many seconds without use: what is known of their use then goes.
    pub(crate) fn forget_sessions_after(&self, idle: u64) {
        self.shared.session_idle.store(idle, Ordering::Relaxed);
    }

    /// Logins of this minute.
    pub(crate) fn logins(&self) -> MutexGuard<'_, LastLogins> {
        lock(&self.shared.logins)
    }

    /// The last logins of an account.
    pub(crate) fn last_logins(&self, account: i64) -> Result<Vec<LastLogin>, StoreError> {
        // The file first, as the writer does: what it has taken and not yet written would be missed.
        let file = lock(&self.shared.file);
        Ok(self.logins().last(file.as_ref(), account)?)
    }

    /// What each account has sent.
    pub(crate) fn sent(&self) -> MutexGuard<'_, Sent> {
        lock(&self.shared.sent)
    }

    /// Held by whoever judges a message and then counts it; taken before all others.
    pub(crate) fn counting(&self) -> MutexGuard<'_, ()> {
        lock(&self.shared.counting)
    }

    /// To whom accounts have written a moment ago.
    pub(crate) fn correspondents(&self) -> MutexGuard<'_, Correspondents> {
        lock(&self.shared.correspondents)
    }

    /// How many of these the account has not written to before.
    pub(crate) fn new_correspondents(
        &self,
        account: i64,
        all: &HashSet<Correspondent>,
        now: u64,
    ) -> Result<u64, StoreError> {
        // The file first, as the writer does: what it has taken and not yet written would be missed.
        let file = lock(&self.shared.file);
        Ok(self.correspondents().new_ones(file.as_ref(), account, all, now)?)
    }

    /// Notes that somebody is answered now, unless he was of late: then false. Unlike all else here it is
    /// written at once, and survives a power cut: nobody is to be answered twice. So where there is no file,
    /// nobody is answered.
    pub(crate) fn answer(&self, answer: Answer, now: u64) -> Result<bool, StoreError> {
        let mut file = lock(&self.shared.file);
        let Some(file) = file.as_mut() else { return Ok(false) };
        Ok(answered::note(file, answer, now)?)
    }

    /// Nobody was answered after all.
    pub(crate) fn take_back(&self, answer: Answer) -> Result<(), StoreError> {
        let file = lock(&self.shared.file);
        Ok(file.as_ref().map_or(Ok(()), |file| answered::take_back(file, answer))?)
    }

    /// An account is gone, with these app passwords.
    pub(crate) fn forget(&self, account: i64, app_passwords: &[i64]) {
        self.windows().forget(account);
        app_passwords.iter().for_each(|id| self.uses().forget(*id));
        self.logins().forget(account);
        self.sent().forget(account);
        self.correspondents().forget(account);
        self.changed();
    }

    /// Something has changed and is to be written.
    pub(crate) fn changed(&self) {
        self.shared.signal(|signal| signal.changed = true);
    }

    /// Writes what has changed now.
    pub(crate) fn flush(&self) {
        self.shared.write();
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.shared.signal(|signal| signal.stop = true);
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes down relay windows and counts has panicked");
        }
        self.shared.write();
    }
}

impl Shared {
    fn read(file: Connection) -> rusqlite::Result<Shared> {
        Ok(Shared {
            windows: Mutex::new(Windows::read(&file)?),
            uses: Mutex::new(Uses::read(&file, uses::APP_PASSWORDS)?),
            token_uses: Mutex::new(Uses::read(&file, uses::TOKENS)?),
            sessions: Mutex::new(SessionUses::read(&file)?),
            sent: Mutex::new(Sent::read(&file)?),
            file: Mutex::new(Some(file)),
            ..Shared::default()
        })
    }

    fn signal(&self, set: impl FnOnce(&mut Signal)) {
        set(&mut lock(&self.signal));
        self.signalled.notify_one();
    }

    fn write_behind(&self) {
        let mut swept = Instant::now();
        loop {
            let changed = self.signalled.wait_while(lock(&self.signal), |s| !s.changed && !s.stop);
            drop(changed);
            // What changes meanwhile is written along.
            let waited = self.signalled.wait_timeout_while(lock(&self.signal), DELAY, |s| !s.stop);
            let (mut signal, _) = waited.unwrap_or_else(PoisonError::into_inner);
            signal.changed = false;
            if signal.stop {
                return;
            }
            drop(signal);
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                let now = unix_now().unsigned_abs();
                lock(&self.windows).sweep(now);
                lock(&self.sent).sweep(now);
                lock(&self.sessions).sweep(now, self.session_idle.load(Ordering::Relaxed));
                lock(&self.logins).sweep();
            }
            self.write();
        }
    }

    /// Writes what has changed, in one transaction.
    fn write(&self) {
        let mut file = lock(&self.file);
        let Some(file) = file.as_mut() else {
            // All stays in memory; of these there would be no end.
            let mut correspondents = lock(&self.correspondents);
            let all = correspondents.take_changed();
            correspondents.not_written(all);
            lock(&self.logins).take_changed();
            return;
        };
        let windows = lock(&self.windows).take_changed();
        let uses = lock(&self.uses).take_changed();
        let token_uses = lock(&self.token_uses).take_changed();
        let sessions = lock(&self.sessions).take_changed();
        let logins = lock(&self.logins).take_changed();
        let sent = lock(&self.sent).take_changed();
        let correspondents = lock(&self.correspondents).take_changed();
        let of_people = uses.is_empty() && token_uses.is_empty() && sessions.is_empty() && logins.is_empty();
        if of_people && windows.is_empty() && sent.is_empty() && correspondents.is_empty() {
            return;
        }
        let written = file.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|change| {
            Windows::write(&change, &windows)?;
            Uses::write(&change, uses::APP_PASSWORDS, &uses)?;
            Uses::write(&change, uses::TOKENS, &token_uses)?;
            SessionUses::write(&change, &sessions)?;
            LastLogins::write(&change, &logins)?;
            Sent::write(&change, &sent)?;
            Correspondents::write(&change, &correspondents)?;
            change.commit()
        });
        if let Err(error) = written {
            tracing::warn!(%error, "relay windows and counts are not written down yet");
            lock(&self.windows).not_written(&windows);
            lock(&self.uses).not_written(&uses);
            lock(&self.token_uses).not_written(&token_uses);
            lock(&self.sessions).not_written(&sessions);
            lock(&self.logins).not_written(logins);
            lock(&self.sent).not_written(&sent);
            lock(&self.correspondents).not_written(correspondents);
        }
    }
}

/// Opens the file. One that is ours but of no use is put aside: nothing in it must be kept.
fn open_or_begin_anew(path: &Path, directory: &Path) -> Result<Connection, OpenError> {
    match open_file(path, directory) {
        Err(
            error @ (OpenError::NotADatabase(_)
            | OpenError::NewerSchema { .. }
            | OpenError::Store { source: StoreError::Damaged(_), .. }),
        ) => {
            tracing::warn!(%error, "the file of relay windows and counts is put aside and begun anew");
            put_aside(path).map_err(|source| OpenError::File { path: path.into(), source })?;
            open_file(path, directory)
        }
        outcome => outcome,
    }
}

fn open_file(path: &Path, directory: &Path) -> Result<Connection, OpenError> {
    let file = |source| OpenError::File { path: path.into(), source };
    connection::create_private(path).map_err(file)?;
    give_to_owner_of(directory, path).map_err(file)?;
    let mut connection = connection::open_writer(path, BUSY).map_err(|error| failed(path, error))?;
    begin(&mut connection, path)?;
    connection::keep_private(path).map_err(file)?;
    Ok(connection)
}

/// Makes the tables in an empty file, and refuses one that is not ours without touching it.
fn begin(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |error| failed(path, error);
    let look = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
    let number = |pragma| look.query_row(pragma, [], |row| row.get::<_, i32>(0)).map_err(failed);
    let (application, schema) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let empty = number("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)")? == 1;
    drop(look);
    match application {
        APPLICATION_ID if schema == SCHEMA => {}
        APPLICATION_ID => {
            let (found, known) = (schema.unsigned_abs(), SCHEMA.unsigned_abs());
            return Err(OpenError::NewerSchema { path: path.into(), found, known });
        }
        0 if empty => {}
        _ => return Err(OpenError::Foreign(path.into())),
    }
    use_wal(connection, BUSY).map_err(failed)?;
    // A power cut may take the last second's changes, and leaves the file whole.
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    let make = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    make.execute_batch(include_str!("usage.sql")).map_err(failed)?;
    make.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    make.pragma_update(None, "user_version", SCHEMA).map_err(failed)?;
    make.commit().map_err(failed)
}

fn failed(path: &Path, error: rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path.into()),
        _ => OpenError::Store { path: path.into(), source: error.into() },
    }
}

/// What root makes at a command line must not stay root's: the server could not write it. SQLite gives
/// `-wal` and `-shm` the owner of their file by itself.
fn give_to_owner_of(directory: &Path, path: &Path) -> io::Result<()> {
    let (owner, present) = (fs::metadata(directory)?, fs::metadata(path)?);
    if (owner.uid(), owner.gid()) == (present.uid(), present.gid()) {
        return Ok(());
    }
    chown(path, Some(owner.uid()), Some(owner.gid()))
}

fn put_aside(path: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm"] {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, beside(path, ".damaged"))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::example::{Example, name, settings};

    const NOW: u64 = 1_800_000_000;

    /// Opens a window in a store whose usage file was prepared so.
    fn with_file(prepare: impl FnOnce(&Path)) -> (Example, PathBuf) {
        let example = Example::pobox();
        let path = example.folder.path().join("directory.db-usage");
        prepare(&path);
        let client = "192.0.2.7".parse().unwrap();
        example.store.open_window(client, &name("abc"), NOW).unwrap();
        assert_eq!(example.store.windows(client, NOW).unwrap().len(), 1);
        (example, path)
    }

    fn windows_after_a_restart(example: Example) -> usize {
        let Example { store, folder } = example;
        drop(store);
        let store = Store::open(&folder.path().join("directory.db"), settings()).unwrap();
        store.windows("192.0.2.7".parse().unwrap(), NOW).unwrap().len()
    }

    #[test]
    fn the_file_is_made_at_the_first_use_and_is_its_owners_only() {
        use std::os::unix::fs::PermissionsExt;
        let (example, path) = with_file(|path| assert!(!path.exists()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(windows_after_a_restart(example), 1);
    }

    #[test]
    fn the_file_belongs_to_who_owns_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, path) = (folder.path().join("directory.db"), folder.path().join("usage"));
        fs::write(&directory, "").unwrap();
        fs::write(&path, "").unwrap();
        // Only root can give a file away; anybody else has only his own.
        let owner = if fs::metadata(&directory).unwrap().uid() == 0 { 1000 } else { return };
        chown(&directory, Some(owner), Some(owner)).unwrap();
        give_to_owner_of(&directory, &path).unwrap();
        let given = fs::metadata(&path).unwrap();
        assert_eq!((given.uid(), given.gid()), (owner, owner));
    }

    #[test]
    fn a_change_is_written_within_a_second_or_so() {
        let (_example, path) = with_file(|_| {});
        let reader = Connection::open(&path).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let written = || reader.query_row("SELECT count(*) FROM windows", [], |row| row.get::<_, i64>(0));
        while written().unwrap() == 0 {
            assert!(Instant::now() < deadline, "nothing was written");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_change_of_use_is_none_of_the_directory() {
        let (example, _) = with_file(|_| {});
        let before = example.store.change_count().unwrap();
        example.store.open_window("192.0.2.8".parse().unwrap(), &name("abc"), NOW).unwrap();
        example.store.flush_usage();
        assert_eq!(example.store.change_count().unwrap(), before);
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let (example, path) = with_file(|path| fs::write(path, "x".repeat(9000)).unwrap());
        assert_eq!(fs::read(beside(&path, ".damaged")).unwrap().len(), 9000);
        assert_eq!(windows_after_a_restart(example), 1);
    }

    #[test]
    fn a_file_of_another_schema_is_begun_anew() {
        let (example, path) = with_file(|_| {});
        let Example { store, folder } = example;
        drop(store);
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let store = Store::open(&folder.path().join("directory.db"), settings()).unwrap();
        assert_eq!(windows_after_a_restart(Example { store, folder }), 0);
    }

    #[test]
    fn another_programs_file_is_left_alone_and_windows_work_without() {
        let (example, path) = with_file(|path| {
            Connection::open(path).unwrap().execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
        });
        let tables = "SELECT group_concat(name) FROM sqlite_schema";
        let tables: String =
            Connection::open(&path).unwrap().query_row(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(tables, "bookmarks");
        assert_eq!(windows_after_a_restart(example), 0);
    }
}
