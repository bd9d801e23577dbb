//! What the index knows of a message at one moment, to read the rest from the disk by.

use std::num::NonZeroU32;

use crate::index::{Entry, Hot, HotMessage, Recipients};
use crate::message::{RecipientState, Summary};
use crate::note::Status;
use crate::reading::Place;

/// What the index knows of a message, to read the rest by.
pub(crate) struct Snapshot {
    pub place: Place,
    pub size: u64,
    pub blob: Option<NonZeroU32>,
    arrival: u32,
    held: bool,
    pub recipients: Recipients,
    pub hot: Option<HotMessage>,
}

impl Snapshot {
    pub fn of(entry: &Entry, hot: &Hot) -> Snapshot {
        Snapshot {
            place: Place::from(entry),
            size: entry.size,
            blob: entry.blob,
            arrival: entry.arrival,
            held: entry.held,
            recipients: entry.recipients.clone(),
            hot: hot.get(entry.id).cloned(),
        }
    }

    /// Where the recipients stand: memory knows that best, and the log has their replies.
    pub fn states(&self, on_disk: Vec<RecipientState>) -> Vec<RecipientState> {
        let replies =
            on_disk.into_iter().map(|state| state.last_reply).chain(std::iter::repeat(Box::default()));
        self.recipients.iter().zip(replies).map(|(slot, reply)| slot.with_reply(reply)).collect()
    }

    /// The line of the list, but for what stands in the message's head.
    pub fn summary(&self) -> Summary {
        let done = self.recipients.iter().filter(|slot| slot.is_done()).count();
        let in_flight = self.recipients.iter().filter(|slot| slot.status == Status::InFlight).count();
        let waiting = self.recipients.iter().filter(|slot| slot.status == Status::Waiting);
        Summary {
            id: self.place.id,
            arrival: u64::from(self.arrival),
            size: self.size,
            reverse_path: None,
            account: None,
            waiting: (self.recipients.slots().len() - done) as u32,
            in_flight: in_flight as u32,
            done: done as u32,
            held: self.held,
            next_attempt: waiting.map(|slot| u64::from(slot.next_attempt)).min(),
        }
    }
}
