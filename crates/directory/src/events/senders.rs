//! Which customers sent how much.
//!
//! A row for each of them would be as many pages for a batch as it has senders. So a batch adds one row, at the end,
//! and the rows of an hour become one when it is over.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use envelope::AccountName;
use rusqlite::{Connection, Transaction};

use super::file::unwritable;

/// Messages and recipients.
pub(super) type Sent = (u64, u64);

/// What somebody sent in an hour of the day.
pub(super) type InHour<'a> = (u8, &'a str, Sent);

/// Adds a batch to the file. Somebody may be in it more than once.
pub(super) fn add(change: &Transaction<'_>, mut senders: Vec<InHour<'_>>) -> rusqlite::Result<()> {
    senders.sort_unstable();
    let mut add = change.prepare_cached("INSERT INTO senders (hour, counts) VALUES (?1, ?2)")?;
    for of_hour in senders.chunk_by(|(a, ..), (b, ..)| a == b) {
        let each = of_hour.chunk_by(|(_, a, _), (_, b, _)| a == b);
        let counts: Vec<(&str, Sent)> = each
            .map(|of_one| {
                let sum =
                    of_one.iter().fold((0, 0), |sum: Sent, (.., sent)| (sum.0 + sent.0, sum.1 + sent.1));
                (of_one[0].1, sum)
            })
            .collect();
        add.execute((of_hour[0].0, postcard::to_stdvec(&counts).map_err(unwritable)?))?;
    }
    Ok(())
}

/// Puts the rows of each hour before this one together.
pub(super) fn put_together(change: &Transaction<'_>, before: u8) -> rusqlite::Result<()> {
    let scattered: Vec<u8> = change
        .prepare_cached("SELECT hour FROM senders WHERE hour < ?1 GROUP BY hour HAVING count(*) > 1")?
        .query_map([before], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for hour in scattered {
        let mut sum: HashMap<String, Sent> = HashMap::new();
        add_up(change, hour.into()..=hour.into(), &mut sum)?;
        change.execute("DELETE FROM senders WHERE hour = ?1", [hour])?;
        add(change, sum.iter().map(|(account, sent)| (hour, account.as_str(), *sent)).collect())?;
    }
    Ok(())
}

/// Adds what was sent in these hours of the file's day to a sum.
pub(super) fn add_up(
    file: &Connection,
    hours: RangeInclusive<i64>,
    sum: &mut HashMap<String, Sent>,
) -> rusqlite::Result<()> {
    let mut rows = file.prepare_cached("SELECT counts FROM senders WHERE hour BETWEEN ?1 AND ?2")?;
    let mut rows = rows.query((hours.start(), hours.end()))?;
    while let Some(row) = rows.next()? {
        let Ok(counts) = postcard::from_bytes::<Vec<(&str, Sent)>>(row.get_ref(0)?.as_blob()?) else {
            tracing::warn!("counts of senders cannot be read and are left out");
            continue;
        };
        for (account, (messages, recipients)) in counts {
            let known = match sum.get_mut(account) {
                Some(known) => known,
                None => sum.entry(account.to_owned()).or_default(),
            };
            known.0 = known.0.saturating_add(messages);
            known.1 = known.1.saturating_add(recipients);
        }
    }
    Ok(())
}

/// Who sent most: at most so many.
pub(super) fn first(sum: HashMap<String, Sent>, count: usize) -> Vec<(AccountName, u64, u64)> {
    let mut senders: Vec<(AccountName, u64, u64)> = sum
        .into_iter()
        .filter_map(|(account, (messages, recipients))| Some((account.parse().ok()?, messages, recipients)))
        .collect();
    senders.sort_by(|a, b| (b.1, b.2).cmp(&(a.1, a.2)).then_with(|| a.0.cmp(&b.0)));
    senders.truncate(count);
    senders
}

#[cfg(test)]
mod tests {
    use envelope::event::{Door, Event, What};

    use super::super::example::*;
    use super::super::{Events, day};
    use super::*;

    fn sent(at: u64, account: &str) -> Event {
        let mut sent = accepted(at, Door::Submission, "abc@pobox.example", "u@peer.example");
        if let What::Accepted(accepted) = &mut sent.what {
            accepted.account = Some(account.parse().unwrap());
        }
        sent
    }

    fn senders(events: &Events) -> Vec<(AccountName, u64, u64)> {
        events.traffic_until(noon(0) + 1_800 * SECOND, 3).senders
    }

    #[test]
    fn those_who_sent_most_stand_first_and_are_twenty() {
        let example = example();
        let all: Vec<Event> = (0..30)
            .flat_map(|number| {
                (0..=number).map(move |each| sent(noon(0) + number * 1_000 + each, &format!("u{number}")))
            })
            .collect();
        example.append(&all);
        let senders = senders(&example.events);
        assert_eq!((senders.len(), &senders[0]), (20, &("u29".parse().unwrap(), 30, 30)));
        assert!(senders.is_sorted_by(|a, b| a.1 >= b.1));
    }

    #[test]
    fn the_rows_of_an_hour_become_one_when_it_is_over_and_count_the_same() {
        let example = example();
        let hour = 3_600 * SECOND;
        let first = noon(0) - hour;
        for each in 0..5 {
            example.append(&[sent(first + each, "abc"), sent(first + 100 + each, &format!("u{each}"))]);
        }
        let path = example.folder.path().join("events").join(day::file_name(day::of(noon(0))));
        let rows = || -> i64 {
            let file = Connection::open(&path).unwrap();
            file.query_row("SELECT count(*) FROM senders", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(rows(), 5);
        let before = senders(&example.events);
        assert_eq!(before.iter().find(|it| it.0.as_str() == "abc").unwrap().1, 5);
        // Also one that was late, and after a restart.
        let events = Events::open(&example.folder.path().join("events"), 30);
        let example = Example { events, ..example };
        example.append(&[sent(noon(0), "xyz")]);
        assert_eq!(rows(), 2);
        example.append(&[sent(first + 50, "abc")]);
        example.append(&[sent(noon(0) + hour, "xyz")]);
        assert_eq!(rows(), 3);
        let after = senders(&example.events);
        assert_eq!(after.iter().find(|it| it.0.as_str() == "abc").unwrap().1, 6);
        assert_eq!(after.len(), before.len() + 1);
    }

    #[test]
    fn counts_that_cannot_be_read_are_left_out_alone() {
        let example = example();
        example.append(&[sent(noon(0), "abc")]);
        let path = example.folder.path().join("events").join(day::file_name(day::of(noon(0))));
        let file = Connection::open(&path).unwrap();
        file.execute("INSERT INTO senders (hour, counts) VALUES (12, x'ff01')", []).unwrap();
        assert_eq!(senders(&example.events), [("abc".parse().unwrap(), 1, 1)]);
    }
}
