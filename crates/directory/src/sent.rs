//! What each account has sent: counts of an hour and of a day. Kept as `usage.rs` says.
//!
//! An hour or a day begins with the first message that is counted in it, so it means the same in each
//! time zone and at midnight nobody may send twice as much.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Row};

use crate::rows;

pub(crate) const HOUR: u64 = 3_600;
pub(crate) const DAY: u64 = 86_400;

/// What was sent in an hour or a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Period {
    /// The first message, in seconds since 1970.
    pub(crate) begun: u64,
    pub(crate) messages: u64,
    pub(crate) recipients: u64,
    /// Recipients to whom the account had not written before; counted by the day only.
    pub(crate) new: u64,
    /// Which limits the owner was told of, a bit each.
    pub(crate) told: u32,
}

impl Period {
    /// The period at `now`: this one, or a new one if it is over, or was begun by a clock that has been
    /// set back since.
    fn at(self, now: u64, length: u64) -> Period {
        let over = now < self.begun || now >= self.begun.saturating_add(length);
        if over { Period { begun: now, ..Period::default() } } else { self }
    }

    fn add(&mut self, recipients: u64, new: u64) {
        self.messages += 1;
        self.recipients += recipients;
        self.new += new;
    }
}

/// The two periods of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Periods {
    pub(crate) hour: Period,
    pub(crate) day: Period,
}

/// Counts in memory, and which of them are still to be written.
#[derive(Default)]
pub(crate) struct Sent {
    accounts: HashMap<i64, Periods>,
    unwritten: HashSet<i64>,
}

impl Sent {
    /// What an account has sent in the hour and day of `now`, in seconds since 1970.
    pub(crate) fn at(&self, account: i64, now: u64) -> Periods {
        let Periods { hour, day } = self.accounts.get(&account).copied().unwrap_or_default();
        Periods { hour: hour.at(now, HOUR), day: day.at(now, DAY) }
    }

    /// Counts one message.
    pub(crate) fn add(&mut self, account: i64, recipients: u64, new: u64, now: u64) {
        let mut periods = self.at(account, now);
        periods.hour.add(recipients, new);
        periods.day.add(recipients, new);
        self.put(account, periods);
    }

    /// Notes what the owner was told.
    pub(crate) fn put(&mut self, account: i64, periods: Periods) {
        self.accounts.insert(account, periods);
        self.unwritten.insert(account);
    }

    /// The account is gone.
    pub(crate) fn forget(&mut self, account: i64) {
        self.accounts.remove(&account);
        self.unwritten.insert(account);
    }

    /// Forgets who has sent nothing for a day.
    pub(crate) fn sweep(&mut self, now: u64) {
        let unwritten = &mut self.unwritten;
        self.accounts.retain(|account, periods| {
            let living =
                periods.day.at(now, DAY) == periods.day || periods.hour.at(now, HOUR) == periods.hour;
            if !living {
                unwritten.insert(*account);
            }
            living
        });
    }

    /// Reads the counts of the last run.
    pub(crate) fn read(file: &Connection) -> rusqlite::Result<Sent> {
        let mut all = file.prepare(
            "SELECT account, hour_begun, hour_messages, hour_recipients, hour_told,
                 day_begun, day_messages, day_recipients, day_told, day_new FROM sent",
        )?;
        let accounts = all.query_map([], read_periods)?;
        Ok(Sent { accounts: accounts.collect::<Result<_, _>>()?, unwritten: HashSet::new() })
    }

    /// What is to be written, or deleted where nothing is left, and is taken for written from now on.
    pub(crate) fn take_changed(&mut self) -> Vec<(i64, Option<Periods>)> {
        let unwritten = std::mem::take(&mut self.unwritten);
        unwritten.into_iter().map(|account| (account, self.accounts.get(&account).copied())).collect()
    }

    /// Writing failed: it is to be written still.
    pub(crate) fn not_written(&mut self, rows: &[(i64, Option<Periods>)]) {
        self.unwritten.extend(rows.iter().map(|(account, _)| account));
    }

    pub(crate) fn write(file: &Connection, rows: &[(i64, Option<Periods>)]) -> rusqlite::Result<()> {
        let mut put = file.prepare_cached(
            "INSERT OR REPLACE INTO sent (account, hour_begun, hour_messages, hour_recipients, hour_told,
                 day_begun, day_messages, day_recipients, day_told, day_new)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let mut delete = file.prepare_cached("DELETE FROM sent WHERE account = ?1")?;
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for (account, periods) in rows {
            match periods {
                Some(Periods { hour, day }) => put.execute((
                    account,
                    number(hour.begun),
                    number(hour.messages),
                    number(hour.recipients),
                    hour.told,
                    number(day.begun),
                    number(day.messages),
                    number(day.recipients),
                    day.told,
                    number(day.new),
                ))?,
                None => delete.execute([account])?,
            };
        }
        Ok(())
    }
}

fn read_periods(row: &Row<'_>) -> rusqlite::Result<(i64, Periods)> {
    let period = |first: usize, new| {
        Ok::<_, rusqlite::Error>(Period {
            begun: rows::seconds(row, first)?,
            messages: rows::seconds(row, first + 1)?,
            recipients: rows::seconds(row, first + 2)?,
            told: row.get(first + 3)?,
            new,
        })
    };
    Ok((row.get(0)?, Periods { hour: period(1, 0)?, day: period(5, rows::seconds(row, 9)?)? }))
}
