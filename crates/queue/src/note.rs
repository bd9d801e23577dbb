//! Notes: what the index needs to know of a frame. A segment's footer is the notes of its frames,
//! so that a start reads footers and not bodies.

use std::num::NonZeroU32;

use envelope::QueueId;
use serde::{Deserialize, Serialize};

use crate::frame::{Frame, HEADER, Kind};
use crate::message::{RecipientState, RecipientStatus, seconds};
use crate::record::{BodyPlace, Held, MessageHead, Outcome, Retired};

/// What the index needs to know of one frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Note {
    Message(MessageNote),
    Outcome(OutcomeNote),
    Retired(QueueId),
    Held { id: QueueId, held: bool },
}

/// What the index needs to know of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MessageNote {
    pub id: QueueId,
    /// Where the frame begins in its segment.
    pub offset: u32,
    /// Octets of the frame's payload.
    pub length: u32,
    /// Seconds since 1970.
    pub arrival: u32,
    /// Octets of mail data.
    pub size: u64,
    /// Which blob with the message's id is its body, if one is.
    pub blob: Option<NonZeroU32>,
    pub recipients: RecipientNotes,
}

/// What the index needs to know of a message's recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RecipientNotes {
    /// So many, none of them tried yet.
    Fresh(u32),
    Tried(Vec<Slot>),
}

/// What the index needs to know of an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutcomeNote {
    pub id: QueueId,
    /// Where the frame begins in its segment.
    pub offset: u32,
    /// Whether it builds on an earlier outcome.
    pub chained: bool,
    pub changes: Vec<(u32, Slot)>,
}

/// One recipient in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// Seconds since 1970; means something while it waits.
    pub next_attempt: u32,
    pub attempts: u16,
    pub status: Status,
    /// Whether the sender was told that the message takes long.
    pub delay_told: bool,
}

/// Where one recipient stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    Waiting,
    /// Being tried now. Known in memory only: in the log it is waiting.
    InFlight,
    Delivered,
    Failed,
}

impl Slot {
    pub fn fresh(arrival: u32) -> Slot {
        Slot { next_attempt: arrival, attempts: 0, status: Status::Waiting, delay_told: false }
    }

    pub fn is_done(self) -> bool {
        matches!(self.status, Status::Delivered | Status::Failed)
    }

    /// The state, with the reply that the index does not keep.
    pub fn with_reply(self, last_reply: Box<str>) -> RecipientState {
        let status = match self.status {
            Status::Waiting | Status::InFlight => {
                RecipientStatus::Waiting { next_attempt: self.next_attempt }
            }
            Status::Delivered => RecipientStatus::Delivered,
            Status::Failed => RecipientStatus::Failed,
        };
        RecipientState { status, attempts: self.attempts, delay_told: self.delay_told, last_reply }
    }
}

impl From<&RecipientState> for Slot {
    fn from(state: &RecipientState) -> Slot {
        let (status, next_attempt) = match state.status {
            RecipientStatus::Waiting { next_attempt } => (Status::Waiting, next_attempt),
            RecipientStatus::Delivered => (Status::Delivered, 0),
            RecipientStatus::Failed => (Status::Failed, 0),
        };
        Slot { next_attempt, attempts: state.attempts, status, delay_told: state.delay_told }
    }
}

impl MessageNote {
    /// The note of a message whose frame has a payload of `length` octets.
    pub fn new(head: &MessageHead, length: u32) -> MessageNote {
        let (size, blob) = match head.body {
            BodyPlace::Inline { length } => (length, None),
            BodyPlace::Blob { length, copy } => (length, Some(copy)),
        };
        let recipients = if head.recipients.is_empty() {
            RecipientNotes::Fresh(head.envelope.recipients().len() as u32)
        } else {
            RecipientNotes::Tried(head.recipients.iter().map(Slot::from).collect())
        };
        let arrival = seconds(head.arrival / 1_000_000);
        MessageNote { id: head.id, offset: 0, length, arrival, size, blob, recipients }
    }

    /// Octets of the frame, header and payload.
    pub fn frame_size(&self) -> u64 {
        HEADER as u64 + u64::from(self.length)
    }
}

impl OutcomeNote {
    pub fn new(outcome: &Outcome) -> OutcomeNote {
        OutcomeNote {
            id: outcome.id,
            offset: 0,
            chained: outcome.previous.is_some(),
            changes: outcome.changes.iter().map(|(number, state)| (*number, Slot::from(state))).collect(),
        }
    }
}

impl Note {
    /// The note of a frame that begins at `offset`. `None` for frames that have none, and an
    /// error for a payload that does not read.
    pub fn of(frame: &Frame<'_>, offset: u32) -> Result<Option<Note>, UnreadablePayload> {
        let mut note = match frame.header.kind {
            Kind::Message => {
                let (head, _) = MessageHead::read(frame.payload).ok_or(UnreadablePayload)?;
                Note::Message(MessageNote::new(&head, frame.header.length))
            }
            Kind::Outcome => {
                let outcome = postcard::from_bytes(frame.payload).map_err(|_| UnreadablePayload)?;
                Note::Outcome(OutcomeNote::new(&outcome))
            }
            Kind::Retired => {
                let retired: Retired = postcard::from_bytes(frame.payload).map_err(|_| UnreadablePayload)?;
                Note::Retired(retired.id)
            }
            Kind::Held => {
                let Held { id, held } = postcard::from_bytes(frame.payload).map_err(|_| UnreadablePayload)?;
                Note::Held { id, held }
            }
            Kind::Abandoned | Kind::Footer => return Ok(None),
        };
        note.place(offset);
        Ok(Some(note))
    }

    /// Says where the frame begins, once that is known.
    pub fn place(&mut self, offset: u32) {
        match self {
            Note::Message(message) => message.offset = offset,
            Note::Outcome(outcome) => outcome.offset = offset,
            Note::Retired(_) | Note::Held { .. } => {}
        }
    }

    /// The most octets that the note takes in a footer.
    pub fn size_max(&self) -> usize {
        match self {
            Note::Message(message) => match &message.recipients {
                RecipientNotes::Fresh(_) => 64,
                RecipientNotes::Tried(slots) => 64 + 10 * slots.len(),
            },
            Note::Outcome(outcome) => 32 + 15 * outcome.changes.len(),
            Note::Retired(_) | Note::Held { .. } => 16,
        }
    }
}

/// A frame that checks holds what this version cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnreadablePayload;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_note_outgrows_its_bound() {
        let slot =
            Slot { next_attempt: u32::MAX, attempts: u16::MAX, status: Status::Failed, delay_told: true };
        let id = QueueId::from_u64(u64::MAX);
        let message = |recipients| {
            let (offset, length, arrival, size) = (u32::MAX, u32::MAX, u32::MAX, u64::MAX);
            Note::Message(MessageNote {
                id,
                offset,
                length,
                arrival,
                size,
                blob: Some(NonZeroU32::MAX),
                recipients,
            })
        };
        let outcome = OutcomeNote { id, offset: u32::MAX, chained: true, changes: vec![(u32::MAX, slot); 9] };
        for note in [
            message(RecipientNotes::Fresh(u32::MAX)),
            message(RecipientNotes::Tried(vec![slot; 9])),
            Note::Outcome(outcome),
            Note::Retired(id),
            Note::Held { id, held: true },
        ] {
            assert!(postcard::to_allocvec(&note).unwrap().len() <= note.size_max(), "{note:?}");
        }
    }
}
