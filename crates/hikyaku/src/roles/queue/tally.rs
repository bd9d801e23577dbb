//! How many messages wait, by what they have in common.

mod reason_class;

use std::collections::{BTreeMap, BTreeSet};

use envelope::{Filter, Walk};
use link::services::queue::operators::{Answer, Group, Trait};
use queue::{Detail, Found};

use self::reason_class::reason_class;
use super::{Queue, look};

/// Counts of the next messages that are meant.
pub fn count(queue: &Queue, by: Trait, filter: &Filter, walk: Walk) -> Answer {
    let detail = if by == Trait::Reason { Detail::Replies } else { Detail::Head };
    if detail == Detail::Replies && walk.after.is_none() {
        // Replies of a moment ago may not stand in the log yet. Should the disk fail, they go uncounted.
        let _ = queue.flush();
    }
    let page = queue.search(filter, walk, detail);
    let mut counts: BTreeMap<Option<String>, (u64, u64)> = BTreeMap::new();
    for found in &page.found {
        let mut seen = BTreeSet::new();
        for &number in &found.picked {
            let name = name(by, found, number as usize);
            let (messages, recipients) = counts.entry(name.clone()).or_default();
            *recipients += 1;
            *messages += u64::from(seen.insert(name));
        }
    }
    let group = |(name, (messages, recipients))| Group { name, messages, recipients };
    Answer::Counted { groups: counts.into_iter().map(group).collect(), progress: look::progress(&page) }
}

/// The group of a message, for one of its recipients.
fn name(by: Trait, found: &Found, number: usize) -> Option<String> {
    match by {
        Trait::Domain => {
            let recipient = found.envelope.as_ref()?.recipients().get(number)?;
            Some(recipient.address().host.to_string())
        }
        Trait::Sender => found.summary.reverse_path.as_ref().map(ToString::to_string),
        Trait::Account => found.summary.account.as_ref().map(ToString::to_string),
        Trait::Reason => {
            let reply = &found.recipients.get(number)?.last_reply;
            (!reply.is_empty()).then(|| reason_class(reply))
        }
    }
}
