//! One message in a line.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Event, Fate, Standing, What, Words};
use crate::address::Address;
use crate::path::ReversePath;
use crate::queue_id::QueueId;

/// How many recipients a summary names.
pub const SUMMARY_RECIPIENTS_MAX: usize = 3;

/// One message, or one refusal, in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The first that is known of it, in microseconds since 1970.
    pub at: u64,
    /// Its name, unless it was refused before it had one.
    pub queue_id: Option<QueueId>,
    /// Where reports on it go, if that is known.
    pub reverse_path: Option<ReversePath>,
    /// The first [`SUMMARY_RECIPIENTS_MAX`] recipients.
    pub recipients: Vec<Address>,
    /// How it stands with all of them.
    pub tally: Tally,
    /// An operator keeps it in the queue.
    pub held: bool,
    /// What the client was told, if it was refused.
    pub refused: Option<Words>,
}

impl Summary {
    /// Sums up the events of one message, in the order of their times; `None` if there are none.
    pub fn of(events: &[Event]) -> Option<Summary> {
        let first = events.first()?;
        let standing = Standing::after(events);
        let tally = Tally::of(&standing);
        let mut recipients: Vec<Address> = standing
            .recipients
            .into_iter()
            .take(SUMMARY_RECIPIENTS_MAX)
            .map(|(address, _)| address)
            .collect();
        let (mut reverse_path, mut refused) = (None, None);
        for event in events {
            match &event.what {
                What::Accepted(accepted) => reverse_path = Some(accepted.reverse_path.clone()),
                What::Refused(refusal) => {
                    reverse_path = reverse_path.or_else(|| refusal.reverse_path.clone());
                    if recipients.is_empty() {
                        recipients.extend(refusal.recipient.clone());
                    }
                    refused = Some(Words::new(&format!("{} {}", refusal.code, refusal.text)));
                }
                _ => {}
            }
        }
        let held = standing.held;
        Some(Summary {
            at: first.at,
            queue_id: first.queue_id,
            reverse_path,
            recipients,
            tally,
            held,
            refused,
        })
    }
}

/// How many recipients have met which fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Not tried yet, as far as is known.
    pub untried: u32,
    /// To be tried again.
    pub waiting: u32,
    /// Arrived.
    pub delivered: u32,
    /// Went on as another message.
    pub forwarded: u32,
    /// Will not arrive.
    pub failed: u32,
    /// Thrown away by an operator.
    pub removed: u32,
}

impl Tally {
    /// Counts.
    pub fn of(standing: &Standing) -> Tally {
        let mut tally = Tally::default();
        for (_, fate) in &standing.recipients {
            *match fate {
                Fate::Untried => &mut tally.untried,
                Fate::Waiting { .. } => &mut tally.waiting,
                Fate::Delivered => &mut tally.delivered,
                Fate::Forwarded => &mut tally.forwarded,
                Fate::Failed => &mut tally.failed,
                Fate::Removed => &mut tally.removed,
            } += 1;
        }
        tally
    }

    /// All recipients.
    pub fn total(&self) -> u32 {
        self.counts().iter().map(|(count, _)| count).sum()
    }

    fn counts(&self) -> [(u32, &'static str); 6] {
        [
            (self.delivered, "delivered"),
            (self.forwarded, "forwarded"),
            (self.waiting, "waiting"),
            (self.untried, "not tried yet"),
            (self.failed, "failed"),
            (self.removed, "removed"),
        ]
    }
}

impl fmt::Display for Tally {
    /// `delivered`, or `2 delivered, 1 waiting` if recipients differ.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present: Vec<_> = self.counts().into_iter().filter(|(count, _)| *count > 0).collect();
        if let [(_, fate)] = present[..] {
            return f.write_str(fate);
        }
        for (at, (count, fate)) in present.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{count} {fate}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Accepted, Door, Refused};

    #[test]
    fn a_message_is_summed_up_by_its_recipients_and_how_they_stand() {
        let recipients: Vec<Address> =
            (0..5).map(|n| format!("u{n}@peer.example").parse().unwrap()).collect();
        let named = |what| Event { at: 7, queue_id: Some(QueueId::from_u64(9)), what };
        let accepted = Accepted {
            door: Door::Submission,
            client: None,
            account: None,
            reverse_path: ReversePath::Null,
            recipients: recipients.clone(),
            size: 1,
            message_id: None,
        };
        let failed = What::Failed {
            recipient: recipients[1].clone(),
            status: "5.1.1".into(),
            peer: None,
            reply: "no such user".into(),
        };
        let events = [named(What::Accepted(Box::new(accepted))), named(failed)];
        let summary = Summary::of(&events).unwrap();
        assert_eq!(summary.recipients, recipients[..3]);
        assert_eq!(summary.tally.total(), 5);
        assert_eq!(summary.tally.to_string(), "4 not tried yet, 1 failed");
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_refusal_is_summed_up_by_what_the_client_was_told() {
        let refused = Refused {
            client: "192.0.2.7".parse().unwrap(),
            account: None,
            reverse_path: Some(ReversePath::Null),
            recipient: Some("nobody@pobox.example".parse().unwrap()),
            code: 550,
            text: "sorry, no mailbox here by that name (#5.1.1)".into(),
        };
        let event = Event { at: 7, queue_id: None, what: What::Refused(Box::new(refused)) };
        let summary = Summary::of(&[event]).unwrap();
        assert_eq!(summary.refused.unwrap().as_str(), "550 sorry, no mailbox here by that name (#5.1.1)");
        assert_eq!(summary.recipients.len(), 1);
        assert_eq!(summary.tally, Tally::default());
    }
}
