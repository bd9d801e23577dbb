//! How SQLite is opened, and the pool of readers.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// Makes the file if there is none, readable by its owner only: it holds password hashes. SQLite
/// gives its `-wal` and `-shm` the same mode and owner.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.sync_all()?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            // Until the directory is synced, a power cut can take the file's name away.
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes the file away from everybody but its owner, if it has been open to others.
pub(crate) fn keep_private(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "the directory's file was open to others; it is no longer");
    fs::set_permissions(path, Permissions::from_mode(mode & 0o700))
}

/// Opens a connection that may write.
pub(crate) fn open_writer(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy_timeout)
}

/// Opens a connection that cannot write, whatever is asked of it.
pub(crate) fn open_reader(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, busy_timeout)?;
    // In KiB, taken as they are needed: 100,000 accounts fit.
    connection.pragma_update(None, "cache_size", -65_536)?;
    Ok(connection)
}

fn open(path: &Path, access: OpenFlags, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    // No SQLITE_OPEN_URI: a path is a path, even if it begins with `file:`.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Else SQLite prepares some statements anew at each run, to suit the plan to the values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A damaged file is to be noticed, not believed.
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Connections for reading, opened as they are needed.
///
/// In WAL mode they see the last committed state and wait for no writer.
pub(crate) struct Readers {
    path: PathBuf,
    busy_timeout: Duration,
    slots: Box<[Mutex<Option<Connection>>]>,
    turn: AtomicUsize,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, busy_timeout: Duration) -> Readers {
        let count = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        let slots = (0..count).map(|_| Mutex::new(None)).collect();
        Readers { path, busy_timeout, slots, turn: AtomicUsize::new(0) }
    }

    /// Reads with a connection that nobody else is using; waits for one if all are in use. All
    /// that one question reads is of one moment.
    pub(crate) fn read<T, E: From<rusqlite::Error>>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut slot = self.free_slot();
        let connection = match &mut *slot {
            Some(connection) => connection,
            empty => empty.insert(open_reader(&self.path, self.busy_timeout)?),
        };
        let moment = Moment::begin(connection)?;
        question(moment.0)
    }

    fn free_slot(&self) -> MutexGuard<'_, Option<Connection>> {
        // From the first on, so that quiet times keep one connection and its page cache warm.
        for slot in &self.slots {
            match slot.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        lock(&self.slots[turn % self.slots.len()])
    }
}

/// A read transaction. By statements that stay prepared, which [`rusqlite::Transaction`] does not
/// keep: they would take longer than the lookup.
struct Moment<'a>(&'a Connection);

impl Moment<'_> {
    fn begin(connection: &Connection) -> rusqlite::Result<Moment<'_>> {
        // Never so, unless the end of the last one failed.
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(Moment(connection))
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        let ended = self.0.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = ended {
            tracing::warn!(%error, "a read transaction did not end; it is rolled back before the next");
        }
    }
}

/// Locks, whether or not a thread has panicked with the lock in hand: what our mutexes guard is
/// whole at every step, and a transaction that was cut off is rolled back.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_private_from_its_first_moment_and_an_old_one_becomes_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.db");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        create_private(&path).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        create_private(&path).unwrap();
        assert_eq!(mode(), 0o664);
        keep_private(&path).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_reader_cannot_write_and_a_transaction_left_open_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.db");
        create_private(&path).unwrap();
        open_writer(&path, Duration::ZERO)
            .unwrap()
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
            .unwrap();
        let readers = Readers::new(path, Duration::ZERO);
        let wrote: Result<usize, rusqlite::Error> =
            readers.read(|reader| reader.execute("DELETE FROM t", []));
        assert_eq!(wrote.unwrap_err().sqlite_error_code(), Some(rusqlite::ErrorCode::ReadOnly));
        let reader = lock(&readers.slots[0]);
        reader.as_ref().unwrap().execute_batch("BEGIN").unwrap();
        drop(reader);
        readers
            .read(|reader| reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)))
            .unwrap();
    }
}
