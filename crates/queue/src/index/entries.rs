//! The entries of the index, in chunks: a place stays the same, nothing is copied to grow, and no
//! room is kept for twice as many.

use std::num::NonZeroU32;

use envelope::QueueId;

use super::NEVER;
use crate::frame::{HEADER, Location};
use crate::note::{MessageNote, RecipientNotes, Slot, Status};

const CHUNK: usize = 4096;

/// One living message.
#[derive(Debug)]
pub(crate) struct Entry {
    pub id: QueueId,
    /// Octets of mail data.
    pub size: u64,
    pub recipients: Recipients,
    pub message: Location,
    /// The last outcome in the log.
    pub outcome: Option<Location>,
    /// Which blob with the message's id is its body, if one is.
    pub blob: Option<NonZeroU32>,
    /// Octets of the message's payload.
    pub length: u32,
    /// Seconds since 1970.
    pub arrival: u32,
    /// The time under which the message stands in the times at which something is due.
    pub scheduled: u32,
    /// Recipients in flight.
    pub in_flight: u32,
    /// How many frames the last outcome builds on, itself included.
    pub chain: u8,
    /// Whether it stands among those that were never tried.
    pub fresh: bool,
    /// Whether an operator holds it: then nothing of it is due.
    pub held: bool,
}

/// The recipients of a message: most have one, which needs no room of its own.
#[derive(Debug, Clone)]
pub(crate) enum Recipients {
    One([Slot; 1]),
    Many(Box<[Slot]>),
}

impl Entry {
    pub fn new(note: &MessageNote, message: Location) -> Entry {
        let slots = match &note.recipients {
            RecipientNotes::Fresh(1) => None,
            RecipientNotes::Fresh(count) => Some(vec![Slot::fresh(note.arrival); *count as usize]),
            RecipientNotes::Tried(slots) => Some(slots.clone()),
        };
        let recipients = match slots {
            None => Recipients::One([Slot::fresh(note.arrival)]),
            Some(slots) => match <[Slot; 1]>::try_from(slots) {
                Ok(one) => Recipients::One(one),
                Err(many) => Recipients::Many(many.into()),
            },
        };
        Entry {
            id: note.id,
            size: note.size,
            recipients,
            message,
            outcome: None,
            blob: note.blob,
            length: note.length,
            arrival: note.arrival,
            scheduled: NEVER,
            in_flight: 0,
            chain: 0,
            fresh: false,
            held: false,
        }
    }

    /// When a recipient that is waiting is due.
    pub fn earliest(&self) -> u32 {
        if self.held {
            return NEVER;
        }
        let waiting = self.recipients.iter().filter(|slot| slot.status == Status::Waiting);
        waiting.map(|slot| slot.next_attempt).min().unwrap_or(NEVER)
    }

    /// Octets of the message's frame in the log.
    pub fn frame_size(&self) -> u64 {
        HEADER as u64 + u64::from(self.length)
    }
}

impl Recipients {
    pub fn iter(&self) -> std::slice::Iter<'_, Slot> {
        self.slots().iter()
    }

    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Slot> {
        match self {
            Recipients::One(one) => one.iter_mut(),
            Recipients::Many(many) => many.iter_mut(),
        }
    }

    pub fn slots(&self) -> &[Slot] {
        match self {
            Recipients::One(one) => one,
            Recipients::Many(many) => many,
        }
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        match self {
            Recipients::One(one) => one.get_mut(number as usize),
            Recipients::Many(many) => many.get_mut(number as usize),
        }
    }
}

/// Entries by place.
#[derive(Debug, Default)]
pub(super) struct Entries {
    chunks: Vec<Vec<Option<Entry>>>,
    free: Vec<u32>,
}

impl Entries {
    pub fn insert(&mut self, entry: Entry) -> u32 {
        if let Some(place) = self.free.pop() {
            *self.slot(place) = Some(entry);
            return place;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let last = self.chunks.last_mut().expect("a chunk was just made sure of");
        last.push(Some(entry));
        (before + last.len() - 1) as u32
    }

    /// # Panics
    /// If nothing is there: places come from the index's own map.
    pub fn get(&self, place: u32) -> &Entry {
        self.find(place).expect("the map of places names living entries only")
    }

    /// # Panics
    /// As [`Entries::get`].
    pub fn get_mut(&mut self, place: u32) -> &mut Entry {
        self.slot(place).as_mut().expect("the map of places names living entries only")
    }

    /// # Panics
    /// As [`Entries::get`].
    pub fn remove(&mut self, place: u32) -> Entry {
        let entry = self.slot(place).take().expect("the map of places names living entries only");
        self.free.push(place);
        entry
    }

    /// Whether a message lives there that stands among those never tried.
    pub fn is_fresh(&self, place: u32) -> bool {
        self.find(place).is_some_and(|entry| entry.fresh)
    }

    /// Whether a message lives there that is due at this time.
    pub fn is_scheduled(&self, place: u32, time: u32) -> bool {
        self.find(place).is_some_and(|entry| entry.scheduled == time)
    }

    fn find(&self, place: u32) -> Option<&Entry> {
        self.chunks.get(place as usize / CHUNK)?.get(place as usize % CHUNK)?.as_ref()
    }

    fn slot(&mut self, place: u32) -> &mut Option<Entry> {
        &mut self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_at_most_72_octets() {
        assert_eq!((size_of::<Slot>(), size_of::<Recipients>()), (8, 16));
        assert!(size_of::<Option<Entry>>() <= 72, "{}", size_of::<Option<Entry>>());
    }
}
