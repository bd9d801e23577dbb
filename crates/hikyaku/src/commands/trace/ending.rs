//! The last line of a story: how it stands.

use std::collections::{BTreeMap, BTreeSet};

use envelope::event::{Door, Event, Fate, ReportKind, Standing, What};
use envelope::{Address, QueueId};
use time::UtcOffset;

use super::story::{moment, names};

/// How a message stands with all whom it was to reach, over however many forwards.
pub fn ending(events: &[Event], zone: UtcOffset) -> String {
    let mut messages = by_message(events);
    // What became of a report matters only to whoever asks about a report of which no more is known; so it is with
    // an automatic reply.
    if messages.values().any(|events| !tells_of_another(events)) {
        messages.retain(|_, events| !tells_of_another(events));
    }
    let mut ending = Ending::default();
    for events in messages.values() {
        ending.add(events, &messages);
    }
    if events.iter().any(|event| matches!(event.what, What::Refused(_))) {
        ending.refused = true;
    }
    format!("How it stands: {}.", ending.words(zone))
}

/// Those messages of the family, and at most three of them, that wait in the queue as far as is known.
pub fn waiting(events: &[Event]) -> Vec<QueueId> {
    let waits = |events: &Vec<&Event>| {
        let standing = Standing::after(events.iter().copied());
        standing.recipients.iter().any(|(_, fate)| fate.is_open())
    };
    by_message(events).into_iter().filter(|(_, events)| waits(events)).map(|(id, _)| id).take(3).collect()
}

fn by_message(events: &[Event]) -> BTreeMap<QueueId, Vec<&Event>> {
    let mut messages: BTreeMap<QueueId, Vec<&Event>> = BTreeMap::new();
    for event in events {
        if let Some(id) = event.queue_id {
            messages.entry(id).or_default().push(event);
        }
    }
    messages
}

fn tells_of_another(events: &[&Event]) -> bool {
    let door = |door| matches!(door, Door::Report { .. } | Door::AutoReply { .. });
    events.iter().any(|event| matches!(&event.what, What::Accepted(accepted) if door(accepted.door)))
}

/// The ends of all branches of a family.
#[derive(Default)]
struct Ending {
    delivered: Vec<Address>,
    forwarded: Vec<Address>,
    waiting: Vec<(u64, Address)>,
    untried: Vec<Address>,
    failed: Vec<Address>,
    removed: Vec<Address>,
    held: bool,
    refused: bool,
    /// Who was told of failures.
    told: BTreeSet<Address>,
}

impl Ending {
    fn add(&mut self, events: &[&Event], family: &BTreeMap<QueueId, Vec<&Event>>) {
        let standing = Standing::after(events.iter().copied());
        self.held |= standing.held;
        let followed: BTreeSet<&Address> = events
            .iter()
            .filter_map(|event| match &event.what {
                What::Forwarded { recipient, id, .. } if family.contains_key(id) => Some(recipient),
                _ => None,
            })
            .collect();
        for (address, fate) in standing.recipients {
            match fate {
                Fate::Delivered => self.delivered.push(address),
                // It ends where the message that it became does.
                Fate::Forwarded if followed.contains(&address) => {}
                Fate::Forwarded => self.forwarded.push(address),
                Fate::Waiting { until } => self.waiting.push((until, address)),
                Fate::Untried => self.untried.push(address),
                Fate::Failed => self.failed.push(address),
                Fate::Removed => self.removed.push(address),
            }
        }
        self.told.extend(events.iter().filter_map(|event| match &event.what {
            What::Reported { to, kind: ReportKind::Failure | ReportKind::DoubleBounce, .. } => {
                Some(to.clone())
            }
            _ => None,
        }));
    }

    fn words(&self, zone: UtcOffset) -> String {
        let mut parts = Vec::new();
        let mut say = |whom: &[Address], before: &str, after: &str| {
            if !whom.is_empty() {
                parts.push(format!("{before}{}{after}", names(whom, 0)));
            }
        };
        say(&self.delivered, "delivered to ", "");
        say(&self.forwarded, "forwarded for ", "");
        if let Some((first, _)) = self.waiting.iter().min() {
            let whom: Vec<Address> = self.waiting.iter().map(|(_, address)| address.clone()).collect();
            say(&whom, "waiting for ", &format!(" until {}", moment(*first, zone)));
        }
        say(&self.untried, "not tried yet for ", "");
        let back = match self.told.len() {
            0 => ", and nobody was told".into(),
            _ => format!(", and came back to {}", names(&self.told.iter().collect::<Vec<_>>(), 0)),
        };
        say(&self.failed, "did not arrive at ", &back);
        say(&self.removed, "thrown away for ", "");
        if self.held {
            parts.push("held by an operator: `hikyaku queue release` lets it go on".into());
        }
        if self.refused {
            parts.push("refused, so it is still with whoever sent it".into());
        }
        if parts.is_empty() { "nothing is known of its recipients".into() } else { parts.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::offset;

    use super::super::story::tests::{accepted, address, deferred, delivered, event, failed, id};
    use super::*;

    fn said(events: &[Event]) -> String {
        ending(events, offset!(+9))
    }

    #[test]
    fn each_recipient_stands_where_its_last_event_left_it() {
        let to = ["a@peer.example", "b@peer.example", "c@peer.example"];
        let mut events = vec![
            event(0, 1, accepted(Door::Submission, &to)),
            event(1, 1, delivered("a@peer.example")),
            event(1, 1, deferred(1, "b@peer.example")),
        ];
        assert_eq!(
            said(&events),
            "How it stands: delivered to a@peer.example; waiting for b@peer.example until 2026-11-24 21:36:46; not \
             tried yet for c@peer.example."
        );
        events.push(event(2, 1, What::Held { by: "root".into() }));
        assert_eq!(waiting(&events), [id(1)]);
        assert!(said(&events).ends_with("held by an operator: `hikyaku queue release` lets it go on."));
        events.push(event(3, 1, What::Removed { by: "root".into() }));
        assert_eq!(
            said(&events),
            "How it stands: delivered to a@peer.example; thrown away for b@peer.example, c@peer.example."
        );
        assert_eq!(waiting(&events), []);
    }

    #[test]
    fn a_failure_came_back_to_whom_the_report_went() {
        let mut events = vec![
            event(0, 1, accepted(Door::Submission, &["u@peer.example"])),
            event(1, 1, failed("u@peer.example")),
        ];
        assert_eq!(said(&events), "How it stands: did not arrive at u@peer.example, and nobody was told.");
        let to = address("abc@pobox.example");
        events.extend([
            event(1, 1, What::Reported { id: id(2), to, kind: ReportKind::Failure }),
            event(1, 2, accepted(Door::Report { of: id(1) }, &["abc@pobox.example"])),
            event(2, 2, delivered("abc@pobox.example")),
        ]);
        assert_eq!(
            said(&events),
            "How it stands: did not arrive at u@peer.example, and came back to abc@pobox.example."
        );
        assert_eq!(said(&events[3..]), "How it stands: delivered to abc@pobox.example.");
    }

    #[test]
    fn a_forward_ends_where_the_message_that_it_became_ends() {
        let forwarded = What::Forwarded {
            recipient: address("abc@pobox.example"),
            id: id(2),
            to: vec![address("a@there.example")],
        };
        let events = [
            event(0, 1, accepted(Door::Mx, &["abc@pobox.example"])),
            event(1, 1, forwarded),
            event(1, 2, accepted(Door::Forward { of: id(1) }, &["a@there.example"])),
            event(2, 2, delivered("a@there.example")),
        ];
        assert_eq!(said(&events), "How it stands: delivered to a@there.example.");
        assert_eq!(said(&events[..2]), "How it stands: forwarded for abc@pobox.example.");
    }
}
