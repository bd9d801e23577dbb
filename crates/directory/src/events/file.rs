//! One day's file.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use envelope::QueueId;
use envelope::event::{Event, What};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use serde::{Deserialize, Serialize};
use time::Date;

use super::traffic::{Gathered, Known, Sum};
use super::{EventsError, whom};
use crate::connection;
use crate::store::use_wal;

/// How many mentions make a run. More of them write more pages for a batch; fewer are more places to
/// look for a question.
pub(super) const RUN: u32 = 20_000;

/// Marks the file as ours in its head (`PRAGMA application_id`): "HKEV".
const APPLICATION_ID: i32 = 0x484b_4556;
/// What the tables, and the events in them, look like. A file of schema 1 has no counts; it is read as it is, and
/// gets the tables for them before more is written.
const SCHEMA: i32 = 2;
const SCHEMA_WITHOUT_COUNTS: i32 = 1;
/// How long the file's lock is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// After how many pages the journal is written back; each time waits for the disk.
const CHECKPOINT_PAGES: i32 = 8_192;

/// An event in its row. Which message it is of stands beside it.
#[derive(Serialize)]
struct Row<'a> {
    at: u64,
    named: bool,
    what: &'a What,
}

/// A row that is read back.
#[derive(Deserialize)]
struct OwnedRow {
    at: u64,
    named: bool,
    what: What,
}

/// A file that is written to.
pub(super) struct Writer {
    pub(super) day: Date,
    path: PathBuf,
    connection: Connection,
    run: i64,
    /// How many mentions the run has.
    mentions: u32,
    counts: Known,
}

impl Writer {
    /// Opens the file, which is made if there is none. A damaged one is put aside.
    pub(super) fn open(day: Date, path: &Path) -> Result<Writer, EventsError> {
        match Writer::try_open(day, path) {
            Err(EventsError::Sqlite { path, source }) if is_damage(&source) => {
                tracing::warn!(path = %path.display(), error = %source, "a damaged record of events is put aside");
                put_aside(&path).map_err(|source| EventsError::File { path: path.clone(), source })?;
                Writer::try_open(day, &path)
            }
            outcome => outcome,
        }
    }

    fn try_open(day: Date, path: &Path) -> Result<Writer, EventsError> {
        connection::create_private(path).map_err(|source| EventsError::File { path: path.into(), source })?;
        let failed = failed(path);
        let mut connection = connection::open_writer(path, BUSY).map_err(&failed)?;
        match content(&connection).map_err(&failed)? {
            Content::Events { counts: true } => {}
            Content::Nothing => begin(&mut connection).map_err(&failed)?,
            Content::Events { counts: false } => make_tables(&mut connection).map_err(&failed)?,
            Content::Foreign => return Err(EventsError::Foreign(path.into())),
        }
        set_up(&connection).map_err(&failed)?;
        let (run, mentions) = last_run(&connection).map_err(&failed)?;
        let counts = Known::of(&connection).map_err(&failed)?;
        Ok(Writer { day, path: path.into(), connection, run, mentions, counts })
    }

    /// Writes events of this day, all or none.
    pub(super) fn append(&mut self, events: &[Event]) -> Result<(), EventsError> {
        self.write(events).map_err(failed(&self.path))
    }

    fn write(&mut self, events: &[Event]) -> rusqlite::Result<()> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut run, mut mentions) = (self.run, self.mentions);
        {
            let mut put = change.prepare_cached("INSERT OR IGNORE INTO events VALUES (?1, ?2)")?;
            let mut note = change.prepare_cached("INSERT OR IGNORE INTO mentions VALUES (?1, ?2, ?3)")?;
            let mut octets = Vec::new();
            let mut counts = Gathered::default();
            for event in events {
                let message = number(event);
                let row = Row { at: event.at, named: event.queue_id.is_some(), what: &event.what };
                octets.clear();
                octets = postcard::to_extend(&row, octets).map_err(unwritable)?;
                // What was there already was counted then, and had its mentions.
                if put.execute((message, &octets[..]))? == 0 {
                    continue;
                }
                counts.count(self.day, event);
                let mut outcome = Ok(());
                whom::in_event(event, &mut |whom| {
                    if outcome.is_ok() {
                        outcome = note.execute((run, whom, message)).map(|_| mentions += 1);
                    }
                });
                outcome?;
                if mentions >= RUN {
                    (run, mentions) = (run + 1, 0);
                }
            }
            counts.write(&change, &mut self.counts)?;
        }
        change.commit()?;
        (self.run, self.mentions) = (run, mentions);
        Ok(())
    }
}

/// A file that is asked.
pub(super) struct Reader {
    connection: Connection,
    counts: bool,
}

impl Reader {
    /// Opens the file; none, if nothing is in it yet.
    pub(super) fn open(path: &Path) -> Result<Option<Reader>, EventsError> {
        let connection = connection::open_reader(path, BUSY).map_err(failed(path))?;
        match content(&connection).map_err(failed(path))? {
            Content::Events { counts } => Ok(Some(Reader { connection, counts })),
            Content::Nothing => Ok(None),
            Content::Foreign => Err(EventsError::Foreign(path.into())),
        }
    }

    /// Events of one message, or refusals of one moment, at most `limit`.
    pub(super) fn events_of(&self, id: QueueId, limit: usize) -> rusqlite::Result<Vec<Event>> {
        let mut found =
            self.connection.prepare_cached("SELECT event FROM events WHERE message = ?1 LIMIT ?2")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = found.query_map((id.as_u64().cast_signed(), limit), |row| {
            Ok(postcard::from_bytes::<OwnedRow>(row.get_ref(0)?.as_blob()?))
        })?;
        let mut events = Vec::new();
        for row in rows {
            match row? {
                Ok(row) => {
                    events.push(Event { at: row.at, queue_id: row.named.then_some(id), what: row.what });
                }
                // As a later version may have written it.
                Err(error) => {
                    tracing::warn!(message = %id, %error, "an event cannot be read and is left out")
                }
            }
        }
        Ok(events)
    }

    /// How many runs there are.
    pub(super) fn runs(&self) -> rusqlite::Result<i64> {
        last_run(&self.connection).map(|(run, _)| run + 1)
    }

    /// The messages that concern these numbers, the latest first.
    pub(super) fn mentioned(&self, run: i64, whom: &RangeInclusive<i64>) -> rusqlite::Result<Vec<QueueId>> {
        let mut found = self
            .connection
            .prepare_cached("SELECT message FROM mentions WHERE run = ?1 AND whom BETWEEN ?2 AND ?3")?;
        let rows = found.query_map((run, whom.start(), whom.end()), |row| row.get::<_, i64>(0))?;
        let mut ids = rows
            .map(|number| number.map(|number| QueueId::from_u64(number.cast_unsigned())))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        Ok(ids)
    }

    /// Adds what was counted on this day.
    pub(super) fn add_to(&self, sum: &mut Sum, day: Date) -> rusqlite::Result<()> {
        if self.counts { sum.add(day, &self.connection) } else { Ok(()) }
    }
}

/// Whether SQLite finds the file damaged.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// The number of the message that an event is of. A refusal without one has a number in the order of
/// time as well.
fn number(event: &Event) -> i64 {
    event.queue_id.map_or(event.at << 12, QueueId::as_u64).cast_signed()
}

/// What is in a file.
enum Content {
    Nothing,
    Events { counts: bool },
    Foreign,
}

fn content(connection: &Connection) -> rusqlite::Result<Content> {
    let look = connection.unchecked_transaction()?;
    let number = |pragma| look.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let (application, schema) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let empty = number("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)")? == 1;
    if empty && application == 0 {
        return Ok(Content::Nothing);
    }
    Ok(match (application, schema) {
        (APPLICATION_ID, SCHEMA) => Content::Events { counts: true },
        (APPLICATION_ID, SCHEMA_WITHOUT_COUNTS) => Content::Events { counts: false },
        _ => Content::Foreign,
    })
}

/// Makes the tables in an empty file.
fn begin(connection: &mut Connection) -> rusqlite::Result<()> {
    use_wal(connection, BUSY)?;
    make_tables(connection)
}

/// Makes the tables that are not there.
fn make_tables(connection: &mut Connection) -> rusqlite::Result<()> {
    let make = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    make.execute_batch(include_str!("events.sql"))?;
    make.pragma_update(None, "application_id", APPLICATION_ID)?;
    make.pragma_update(None, "user_version", SCHEMA)?;
    make.commit()
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // A power cut may take the last events, and leaves the file whole.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
}

/// The last run, and how many mentions it has.
fn last_run(connection: &Connection) -> rusqlite::Result<(i64, u32)> {
    connection.query_row(
        "WITH last AS (SELECT coalesce(max(run), 0) AS run FROM mentions)
         SELECT last.run, (SELECT count(*) FROM mentions WHERE run = last.run) FROM last",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

fn failed(path: &Path) -> impl Fn(rusqlite::Error) -> EventsError {
    move |source| EventsError::Sqlite { path: path.into(), source }
}

pub(super) fn unwritable(error: postcard::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

fn put_aside(path: &Path) -> io::Result<()> {
    let beside = |suffix| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    for journal in [beside("-wal"), beside("-shm")] {
        match fs::remove_file(journal) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, beside(".damaged"))
}
