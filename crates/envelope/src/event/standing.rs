//! How a message stands after what has happened to it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Event, What};
use crate::address::Address;

/// What has become of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Nothing yet, as far as is known.
    Untried,
    /// It is tried again.
    Waiting {
        /// When, in microseconds since 1970.
        until: u64,
    },
    /// It arrived.
    Delivered,
    /// It went on as another message, which has a standing of its own.
    Forwarded,
    /// It did not arrive, and never will.
    Failed,
    /// An operator threw it away.
    Removed,
}

impl Fate {
    /// Whether anything is still to be done.
    pub fn is_open(self) -> bool {
        matches!(self, Fate::Untried | Fate::Waiting { .. })
    }

    /// Of two fates of one recipient, the one of the higher rank counts. Who keeps a copy of what he
    /// forwards has it; and of many whom he forwards to, one that fails is not his own failure.
    fn rank(self) -> u8 {
        match self {
            Fate::Untried => 0,
            Fate::Waiting { .. } => 1,
            Fate::Removed => 2,
            Fate::Failed => 3,
            Fate::Forwarded => 4,
            Fate::Delivered => 5,
        }
    }
}

/// How one message stands, as far as its events tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What has become of each recipient, in the order of the envelope.
    pub recipients: Vec<(Address, Fate)>,
    /// An operator keeps it in the queue.
    pub held: bool,
}

impl Standing {
    /// How a message stands after these events: its own, in the order of their times.
    pub fn after<'a>(events: impl IntoIterator<Item = &'a Event>) -> Standing {
        let mut standing = Standing::default();
        let mut places = HashMap::new();
        for event in events {
            standing.change(&event.what, &mut places);
        }
        // With nobody left to wait for, there is nothing to hold.
        let settled =
            !standing.recipients.is_empty() && !standing.recipients.iter().any(|(_, fate)| fate.is_open());
        standing.held &= !settled;
        standing
    }

    fn change<'a>(&mut self, what: &'a What, places: &mut HashMap<&'a Address, usize>) {
        let mut set = |recipient: &'a Address, fate: Fate| {
            let place = *places.entry(recipient).or_insert_with(|| {
                self.recipients.push((recipient.clone(), Fate::Untried));
                self.recipients.len() - 1
            });
            let present = &mut self.recipients[place].1;
            // Events of one moment may come in any order; what is done stays done.
            if fate.rank() >= present.rank() {
                *present = fate;
            }
        };
        match what {
            What::Accepted(accepted) => {
                for recipient in &accepted.recipients {
                    set(recipient, Fate::Untried);
                }
            }
            What::Deferred { recipient, until, .. } => set(recipient, Fate::Waiting { until: *until }),
            What::Delivered { recipient, .. } => set(recipient, Fate::Delivered),
            What::Forwarded { recipient, .. } => set(recipient, Fate::Forwarded),
            What::Failed { recipient, .. } => set(recipient, Fate::Failed),
            What::Held { .. } => self.held = true,
            What::Released { .. } => self.held = false,
            What::Removed { .. } => self.end_the_rest(Fate::Removed),
            // Of each recipient that was given back it is told that he failed.
            What::Bounced { .. } | What::Refused(_) | What::Reported { .. } | What::AutoReplied { .. } => {}
        }
    }

    fn end_the_rest(&mut self, fate: Fate) {
        for (_, present) in &mut self.recipients {
            if present.is_open() {
                *present = fate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Accepted, Delivery, Door};
    use crate::{QueueId, ReversePath};

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn events(all: Vec<What>) -> Vec<Event> {
        let named = |(at, what)| Event { at, queue_id: Some(QueueId::from_u64(1)), what };
        (1..).zip(all).map(named).collect()
    }

    fn accepted(recipients: &[&str]) -> What {
        What::Accepted(Box::new(Accepted {
            door: Door::Mx,
            client: None,
            account: None,
            reverse_path: ReversePath::Null,
            recipients: recipients.iter().copied().map(address).collect(),
            size: 1,
            message_id: None,
        }))
    }

    fn deferred(recipient: &str, until: u64) -> What {
        What::Deferred { recipient: address(recipient), peer: None, reply: "busy".into(), until }
    }

    fn delivered(recipient: &str) -> What {
        let to = Delivery::Mailbox("abc".parse().unwrap());
        What::Delivered { recipient: address(recipient), to, took_ms: 1 }
    }

    fn fates(all: Vec<What>) -> Vec<Fate> {
        Standing::after(&events(all)).recipients.into_iter().map(|(_, fate)| fate).collect()
    }

    #[test]
    fn a_recipient_waits_until_it_is_delivered_and_stays_so() {
        let first = || vec![accepted(&["a@x.example", "b@x.example"]), deferred("b@x.example", 400)];
        assert_eq!(fates(first()), [Fate::Untried, Fate::Waiting { until: 400 }]);
        let mut all = first();
        all.extend([delivered("b@x.example"), deferred("b@x.example", 900)]);
        assert_eq!(fates(all), [Fate::Untried, Fate::Delivered]);
    }

    #[test]
    fn an_operator_ends_only_what_is_open() {
        let all = vec![
            accepted(&["a@x.example", "b@x.example"]),
            delivered("a@x.example"),
            What::Held { by: "root".into() },
            What::Removed { by: "root".into() },
        ];
        assert!(Standing::after(&events(all.clone())[..3]).held);
        assert_eq!(fates(all), [Fate::Delivered, Fate::Removed]);
    }

    #[test]
    fn who_keeps_a_copy_of_what_he_forwards_has_it_whichever_is_told_first() {
        let forwarded = || What::Forwarded {
            recipient: address("a@x.example"),
            id: QueueId::from_u64(2),
            to: vec![address("b@x.example")],
        };
        assert_eq!(fates(vec![forwarded(), delivered("a@x.example")]), [Fate::Delivered]);
        assert_eq!(fates(vec![delivered("a@x.example"), forwarded()]), [Fate::Delivered]);
    }

    #[test]
    fn what_an_operator_gives_back_in_part_is_held_for_the_others() {
        let failed = |to: &str| What::Failed {
            recipient: address(to),
            status: "5.7.0".into(),
            peer: None,
            reply: "no".into(),
        };
        let mut all = vec![
            accepted(&["a@x.example", "b@x.example"]),
            What::Held { by: "uid 0".into() },
            failed("a@x.example"),
            What::Bounced { by: "uid 0".into() },
        ];
        assert_eq!(fates(all.clone()), [Fate::Failed, Fate::Untried]);
        assert!(Standing::after(&events(all.clone())).held);
        all.push(failed("b@x.example"));
        assert!(!Standing::after(&events(all)).held);
    }

    #[test]
    fn a_recipient_of_whom_only_the_end_is_known_counts_too() {
        assert_eq!(fates(vec![delivered("a@x.example")]), [Fate::Delivered]);
    }
}
