//! A record to test with, and events for it.

use std::fs;
use std::ops::RangeInclusive;

use envelope::event::{Accepted, Delivery, Door, Event, Party, Refused, What};
use envelope::{Address, QueueId, ReversePath};

use super::{Events, day};

pub(super) const SECOND: u64 = 1_000_000;
pub(super) const EVER: RangeInclusive<u64> = 0..=u64::MAX;

pub(super) struct Example {
    pub(super) events: Events,
    pub(super) folder: tempfile::TempDir,
}

/// A record without an event yet.
pub(super) fn example() -> Example {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::open(&folder.path().join("events"), 30);
    Example { events, folder }
}

/// Noon of today, less some days, in microseconds since 1970.
pub(super) fn noon(days_ago: i64) -> u64 {
    let noon = (day::today() - time::Duration::days(days_ago)).midnight().assume_utc().unix_timestamp();
    (noon.unsigned_abs() + 12 * 3600) * SECOND
}

pub(super) fn id(at: u64) -> QueueId {
    QueueId::from_u64(at << 12 | 1)
}

pub(super) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

pub(super) fn event(at: u64, id: QueueId, what: What) -> Event {
    Event { at, queue_id: Some(id), what }
}

pub(super) fn accepted(at: u64, door: Door, from: &str, to: &str) -> Event {
    let accepted = Accepted {
        door,
        client: Some("192.0.2.7".parse().unwrap()),
        account: (door == Door::Submission).then(|| "abc".parse().unwrap()),
        reverse_path: ReversePath::Address(address(from)),
        recipients: vec![address(to)],
        size: 2113,
        message_id: None,
    };
    event(at, id(at), What::Accepted(Box::new(accepted)))
}

pub(super) fn delivered(at: u64, id: QueueId, to: &str, account: &str) -> Event {
    let (recipient, to) = (address(to), Delivery::Mailbox(account.parse().unwrap()));
    event(at, id, What::Delivered { recipient, to, took_ms: 4 })
}

pub(super) fn refused(at: u64, recipient: &str) -> Event {
    let refused = Refused {
        client: "192.0.2.9".parse().unwrap(),
        account: None,
        reverse_path: Some(ReversePath::Null),
        recipient: Some(address(recipient)),
        code: 550,
        text: "sorry, no mailbox here by that name (#5.1.1)".into(),
    };
    Event { at, queue_id: None, what: What::Refused(Box::new(refused)) }
}

pub(super) fn party(text: &str) -> Party {
    text.parse().unwrap()
}

impl Example {
    pub(super) fn append(&self, events: &[Event]) {
        self.events.append_on(day::today() + time::Duration::DAY, events).unwrap();
    }

    pub(super) fn ids(&self, whose: &str) -> Vec<Option<QueueId>> {
        self.events.of_party(&party(whose), EVER, 100).into_iter().map(|found| found.queue_id).collect()
    }

    pub(super) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path().join("events"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".sqlite"))
            .collect();
        names.sort();
        names
    }
}
