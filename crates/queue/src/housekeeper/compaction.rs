//! Moving what still lives in the oldest segment to the head of the log, so that it becomes free.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Housekeeper;
use crate::frame::SegmentNumber;
use crate::inbox::{Item, Relocation};
use crate::lock;
use crate::note::{MessageNote, Note};
use crate::quarantine;
use crate::reading::{self, Place};
use crate::record::MessageHead;
use crate::scan::scan;
use crate::segment::{FrameError, Segment};
use crate::storage::Storage;

/// How much of a segment is handed to the committer at a time, in octets.
const STRIDE: usize = 1 << 20;

/// What is left to move of a segment.
pub(super) struct Moving<F> {
    segment: Arc<Segment<F>>,
    notes: std::vec::IntoIter<MessageNote>,
}

impl<S: Storage> Housekeeper<S> {
    /// Has the next living messages of the oldest segment written anew. Does not wait for it: the
    /// committer may be waiting for the next segment.
    pub(super) fn compact(&mut self) {
        if self.in_hand.load(Ordering::Acquire) {
            return;
        }
        if let Err(number) = self.move_stride() {
            tracing::error!(segment = number, "a segment cannot be compacted: something in it does not read");
            (self.stuck, self.moving) = (Some(number), None);
        }
    }

    /// # Errors
    /// The segment, if something in it does not read.
    fn move_stride(&mut self) -> Result<(), SegmentNumber> {
        let mut moving = match self.moving.take() {
            Some(moving) => moving,
            None => {
                let Some(segment) = self.worth_moving() else { return Ok(()) };
                let notes = self.notes_of(&segment).map_err(|_| segment.number)?.into_iter();
                Moving { segment, notes }
            }
        };
        let mut handed = 0;
        while handed < STRIDE {
            let Some(note) = moving.notes.next() else { break };
            handed += self.move_message(&moving.segment, &note).map_err(|_| moving.segment.number)?;
        }
        if handed > 0 {
            self.moving = Some(moving);
            self.go_on_after_commit();
        }
        Ok(())
    }

    /// The oldest segment, if the log is mostly dead and it can be read.
    fn worth_moving(&self) -> Option<Arc<Segment<S::File>>> {
        let books = lock(&self.shared.books);
        let oldest = books.oldest().filter(|_| books.is_mostly_dead())?;
        (self.stuck != Some(oldest.number)).then_some(oldest)
    }

    fn notes_of(&self, segment: &Segment<S::File>) -> io::Result<Vec<MessageNote>> {
        let storage = &*self.shared.storage;
        let notes = match segment.footer(storage)? {
            Some(footer) => footer.notes,
            None => {
                let octets = segment.read(storage, 0, segment.size as usize)?;
                scan(segment.number, &octets, octets.len(), true).notes
            }
        };
        let message = |note| if let Note::Message(message) = note { Some(message) } else { None };
        Ok(notes.into_iter().filter_map(message).collect())
    }

    /// Hands a message to the committer if it still lives in this segment; gives its octets.
    fn move_message(&self, segment: &Segment<S::File>, note: &MessageNote) -> Result<usize, FrameError> {
        let here =
            |place: &Place| place.message.segment == segment.number && place.message.offset == note.offset;
        let place = lock(&self.shared.index).get(note.id).map(Place::from);
        let Some(place) = place.filter(here) else { return Ok(0) };
        let moved = reading::whole(&self.shared, place).and_then(|(head, body)| {
            let recipients = reading::states(&self.shared, place, &head)?;
            Ok((MessageHead { recipients, ..head }, body))
        });
        let (head, body) = match moved {
            Ok(moved) => moved,
            // It may have been retired while it was read.
            Err(_) if lock(&self.shared.index).get(note.id).map(Place::from) != Some(place) => return Ok(0),
            Err(error) => {
                let end = note.offset.saturating_add(note.frame_size() as u32);
                if let Ok(copy) = quarantine::keep(&*self.shared.storage, segment, note.offset, end) {
                    tracing::error!(queue_id = %note.id, copy, "a message in the queue is damaged");
                }
                return Err(error);
            }
        };
        let mut octets = Vec::new();
        head.write(&mut octets);
        let payload = octets.len() + body.len();
        let note = MessageNote::new(&head, payload as u32);
        let relocation =
            Relocation { note, message: place.message, outcome: place.outcome, head: octets, body };
        // A closed queue moves nothing any more.
        let _ = self.shared.inbox.push(Item::Relocate(relocation));
        Ok(payload)
    }

    fn go_on_after_commit(&self) {
        self.in_hand.store(true, Ordering::Release);
        let (in_hand, shared) = (Arc::clone(&self.in_hand), Arc::downgrade(&self.shared));
        let done = Box::new(move |_| {
            in_hand.store(false, Ordering::Release);
            if let Some(shared) = shared.upgrade() {
                shared.chores.compact();
            }
        });
        if self.shared.inbox.push(Item::Flush { done }).is_err() {
            self.in_hand.store(false, Ordering::Release);
        }
    }
}
