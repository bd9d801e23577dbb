//! When each app password, or each token, was last used. Kept as `usage.rs` says.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use crate::rows;

/// A table of uses, and its column of what was used.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    name: &'static str,
    of: &'static str,
}

/// The uses of app passwords.
pub(crate) const APP_PASSWORDS: Table = Table { name: "uses", of: "app_password" };
/// The uses of API tokens.
pub(crate) const TOKENS: Table = Table { name: "token_uses", of: "token" };

/// The last use of each, by its row, and which are still to be written.
#[derive(Default)]
pub(crate) struct Uses {
    last: HashMap<i64, u64>,
    unwritten: HashSet<i64>,
}

impl Uses {
    /// It was used at `now`, in seconds since 1970. Whether that is to be written.
    pub(crate) fn used(&mut self, id: i64, now: u64) -> bool {
        // To the minute is enough for people to read, and spares most of the writing.
        let news = self.last.get(&id).is_none_or(|last| now.abs_diff(*last) >= 60);
        if news {
            self.last.insert(id, now);
            self.unwritten.insert(id);
        }
        news
    }

    /// It is revoked.
    pub(crate) fn forget(&mut self, id: i64) {
        self.last.remove(&id);
        self.unwritten.insert(id);
    }

    /// The last use, in seconds since 1970.
    pub(crate) fn last(&self, id: i64) -> Option<u64> {
        self.last.get(&id).copied()
    }

    /// Reads the uses of the last run.
    pub(crate) fn read(file: &Connection, Table { name, of }: Table) -> rusqlite::Result<Uses> {
        let mut all = file.prepare(&format!("SELECT {of}, last FROM {name}"))?;
        let last = all.query_map([], |row| Ok((row.get(0)?, rows::seconds(row, 1)?)))?;
        Ok(Uses { last: last.collect::<Result<_, _>>()?, unwritten: HashSet::new() })
    }

    /// What is to be written, or deleted where it is revoked, and is taken for written from now on.
    pub(crate) fn take_changed(&mut self) -> Vec<(i64, Option<u64>)> {
        let unwritten = std::mem::take(&mut self.unwritten);
        unwritten.into_iter().map(|id| (id, self.last(id))).collect()
    }

    /// Writing failed: it is to be written still.
    pub(crate) fn not_written(&mut self, rows: &[(i64, Option<u64>)]) {
        self.unwritten.extend(rows.iter().map(|(id, _)| id));
    }

    pub(crate) fn write(
        file: &Connection,
        Table { name, of }: Table,
        rows: &[(i64, Option<u64>)],
    ) -> rusqlite::Result<()> {
        let mut put = file.prepare_cached(&format!("INSERT OR REPLACE INTO {name} VALUES (?1, ?2)"))?;
        let mut delete = file.prepare_cached(&format!("DELETE FROM {name} WHERE {of} = ?1"))?;
        for (id, last) in rows {
            match last {
                Some(last) => put.execute((id, i64::try_from(*last).unwrap_or(i64::MAX)))?,
                None => delete.execute([id])?,
            };
        }
        Ok(())
    }
}
