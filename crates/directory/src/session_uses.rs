//! When each session was last used, and from where. Kept as `usage.rs` says, so a request costs no write.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use rusqlite::Connection;

use crate::rows;

/// How old what is written may be, in seconds: a session that is used all day is written once a minute.
const WRITTEN_EVERY: u64 = 60;

/// The last use of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionUse {
    /// In seconds since 1970.
    pub(crate) at: u64,
    pub(crate) client: IpAddr,
    /// The browser, in its own words.
    pub(crate) agent: Box<str>,
}

/// The last use of each session, by its row, and which are still to be written.
#[derive(Default)]
pub(crate) struct SessionUses {
    last: HashMap<i64, Kept>,
    unwritten: HashSet<i64>,
}

struct Kept {
    last: SessionUse,
    /// How old what is written is.
    written: u64,
}

impl SessionUses {
    /// It was used at `now`, in seconds since 1970. Whether that is to be written.
    pub(crate) fn used(&mut self, id: i64, now: u64, client: IpAddr, agent: &str) -> bool {
        let Some(kept) = self.last.get_mut(&id) else {
            let last = SessionUse { at: now, client, agent: agent.into() };
            self.last.insert(id, Kept { last, written: now });
            self.unwritten.insert(id);
            return true;
        };
        (kept.last.at, kept.last.client) = (now, client);
        if *kept.last.agent != *agent {
            kept.last.agent = agent.into();
        }
        let due = now.abs_diff(kept.written) >= WRITTEN_EVERY;
        if due {
            kept.written = now;
            self.unwritten.insert(id);
        }
        due
    }

    /// The last use.
    pub(crate) fn last(&self, id: i64) -> Option<&SessionUse> {
        self.last.get(&id).map(|kept| &kept.last)
    }

    /// Forgets those that were not used for so many seconds: their sessions have ended.
    pub(crate) fn sweep(&mut self, now: u64, idle: u64) {
        let unwritten = &mut self.unwritten;
        self.last.retain(|id, kept| {
            let open = now.saturating_sub(kept.last.at) < idle;
            if !open {
                unwritten.insert(*id);
            }
            open
        });
    }

    /// Reads the uses of the last run.
    pub(crate) fn read(file: &Connection) -> rusqlite::Result<SessionUses> {
        let mut all = file.prepare("SELECT session, at, client, agent FROM session_uses")?;
        let last = all.query_map([], |row| {
            let at = rows::seconds(row, 1)?;
            let agent: String = row.get(3)?;
            let last = SessionUse { at, client: rows::parsed(row, 2)?, agent: agent.into() };
            Ok((row.get(0)?, Kept { last, written: at }))
        })?;
        Ok(SessionUses { last: last.collect::<Result<_, _>>()?, unwritten: HashSet::new() })
    }

    /// What is to be written, or deleted where it is over, and is taken for written from now on.
    pub(crate) fn take_changed(&mut self) -> Vec<(i64, Option<SessionUse>)> {
        let unwritten = std::mem::take(&mut self.unwritten);
        unwritten.into_iter().map(|id| (id, self.last(id).cloned())).collect()
    }

    /// Writing failed: it is to be written still.
    pub(crate) fn not_written(&mut self, rows: &[(i64, Option<SessionUse>)]) {
        self.unwritten.extend(rows.iter().map(|(id, _)| id));
    }

    pub(crate) fn write(file: &Connection, rows: &[(i64, Option<SessionUse>)]) -> rusqlite::Result<()> {
        let mut put = file.prepare_cached("INSERT OR REPLACE INTO session_uses VALUES (?1, ?2, ?3, ?4)")?;
        let mut delete = file.prepare_cached("DELETE FROM session_uses WHERE session = ?1")?;
        for (id, last) in rows {
            match last {
                Some(SessionUse { at, client, agent }) => {
                    put.execute((id, at.cast_signed(), client.to_string(), &**agent))?
                }
                None => delete.execute([id])?,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn used(uses: &mut SessionUses, now: u64) -> bool {
        uses.used(1, now, "192.0.2.1".parse().unwrap(), "browser")
    }

    #[test]
    fn a_session_that_is_used_all_the_time_is_written_once_a_minute() {
        let mut uses = SessionUses::default();
        assert!(used(&mut uses, NOW) && !used(&mut uses, NOW + 1) && !used(&mut uses, NOW + 59));
        assert_eq!(uses.last(1).unwrap().at, NOW + 59);
        assert_eq!(uses.take_changed().len(), 1);
        assert!(used(&mut uses, NOW + 60) && !used(&mut uses, NOW + 61));
        assert_eq!((uses.take_changed().len(), uses.take_changed().len()), (1, 0));
    }

    #[test]
    fn what_was_not_used_for_long_is_forgotten_and_deleted() {
        let mut uses = SessionUses::default();
        used(&mut uses, NOW);
        uses.take_changed();
        uses.sweep(NOW + 99, 100);
        assert!(uses.last(1).is_some() && uses.take_changed().is_empty());
        uses.sweep(NOW + 100, 100);
        assert_eq!(uses.take_changed(), [(1, None)]);
    }
}
