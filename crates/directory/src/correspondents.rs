//! To whom an account has written before. Kept as `usage.rs` says, but most of it in the file only: there
//! are many.
//!
//! Of an address only a digest is kept. Two with the same one would be taken for one another, once in
//! many millions, which costs nobody anything.

use std::collections::{HashMap, HashSet};

use envelope::Address;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::sent::DAY;

/// Who has not been written to for so many days is new again.
const DAYS: u64 = 365;
/// How many are kept in memory where there is no file.
const UNWRITTEN_MAX: usize = 100_000;

/// The digest of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Correspondent(pub(crate) i64);

impl Correspondent {
    /// Case makes no difference.
    pub(crate) fn of(address: &Address) -> Correspondent {
        let mut digest = Sha256::new();
        digest.update(address.local_part.folded());
        digest.update([b'@']);
        digest.update(address.host.to_string());
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = digest.finalize().into();
        Correspondent(i64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Those of a message, each once.
    pub(crate) fn all(recipients: &[Address]) -> HashSet<Correspondent> {
        recipients.iter().map(Correspondent::of).collect()
    }
}

/// Correspondents that are still to be written, with the day in days since 1970.
#[derive(Default)]
pub(crate) struct Correspondents {
    unwritten: HashMap<(i64, Correspondent), u64>,
    /// Accounts that are gone, whose rows are still to be deleted.
    forgotten: Vec<i64>,
}

/// What is to be written.
pub(crate) struct Changed {
    rows: Vec<((i64, Correspondent), u64)>,
    forgotten: Vec<i64>,
}

impl Changed {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.forgotten.is_empty()
    }
}

impl Correspondents {
    /// How many of these the account has not written to before.
    pub(crate) fn new_ones(
        &self,
        file: Option<&Connection>,
        account: i64,
        all: &HashSet<Correspondent>,
        now: u64,
    ) -> rusqlite::Result<u64> {
        let mut unknown = all.iter().filter(|one| !self.unwritten.contains_key(&(account, **one)));
        let Some(file) = file else { return Ok(unknown.count() as u64) };
        let mut find = file.prepare_cached(
            "SELECT 1 FROM correspondents WHERE account = ?1 AND address = ?2 AND day >= ?3",
        )?;
        unknown.try_fold(0, |new, one| {
            let known = find.exists((account, one.0, first_day(now)))?;
            Ok(new + u64::from(!known))
        })
    }

    /// The account has written to these.
    pub(crate) fn add(&mut self, account: i64, all: &HashSet<Correspondent>, now: u64) {
        self.unwritten.extend(all.iter().map(|one| ((account, *one), now / DAY)));
    }

    /// The account is gone.
    pub(crate) fn forget(&mut self, account: i64) {
        self.unwritten.retain(|(of, _), _| *of != account);
        self.forgotten.push(account);
    }

    /// What is to be written, and is taken for written from now on.
    pub(crate) fn take_changed(&mut self) -> Changed {
        let rows = std::mem::take(&mut self.unwritten).into_iter().collect();
        Changed { rows, forgotten: std::mem::take(&mut self.forgotten) }
    }

    /// Writing failed: it is to be written still, but not without end.
    pub(crate) fn not_written(&mut self, changed: Changed) {
        let room = UNWRITTEN_MAX.saturating_sub(self.unwritten.len());
        self.unwritten.extend(changed.rows.into_iter().take(room));
        let room = UNWRITTEN_MAX.saturating_sub(self.forgotten.len());
        self.forgotten.extend(changed.forgotten.into_iter().take(room));
    }

    pub(crate) fn write(file: &Connection, changed: &Changed) -> rusqlite::Result<()> {
        let Changed { rows, forgotten } = changed;
        let mut delete = file.prepare_cached("DELETE FROM correspondents WHERE account = ?1")?;
        for account in forgotten {
            delete.execute([account])?;
        }
        let mut put = file.prepare_cached(
            "INSERT INTO correspondents VALUES (?1, ?2, ?3)
             ON CONFLICT (account, address) DO UPDATE SET day = excluded.day WHERE day < excluded.day",
        )?;
        for ((account, correspondent), day) in rows {
            put.execute((account, correspondent.0, i64::try_from(*day).unwrap_or(i64::MAX)))?;
        }
        // Those who are new again, of the accounts that are written anyway.
        let mut forget = file.prepare_cached("DELETE FROM correspondents WHERE account = ?1 AND day < ?2")?;
        let accounts: HashMap<i64, u64> = rows.iter().map(|((account, _), day)| (*account, *day)).collect();
        for (account, day) in accounts {
            forget.execute((account, first_day(day.saturating_mul(DAY))))?;
        }
        Ok(())
    }
}

/// The first day that still counts, in days since 1970.
fn first_day(now: u64) -> i64 {
    i64::try_from((now / DAY).saturating_sub(DAYS)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_in_other_letters_and_a_message_counts_it_once() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let all = [address("A@x.example"), address("a@X.example"), address("b@x.example")];
        assert_eq!(Correspondent::all(&all).len(), 2);
        assert_ne!(Correspondent::of(&address("a@b.example")), Correspondent::of(&address("b@a.example")));
    }
}
