//! Making a batch of what is waiting.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use envelope::{Envelope, Provenance, QueueId};

use super::Committer;
use crate::batch::Frames;
use crate::error::NotAccepted;
use crate::frame::{Kind, Location};
use crate::inbox::{AcceptDone, Arriving, ArrivingBody, Done, Item};
use crate::index::HotMessage;
use crate::index::{Entry, Index, Retiring};
use crate::lock;
use crate::message::{REPLY_MAX, RecipientOutcome, RecipientState};
use crate::note::{MessageNote, Note, OutcomeNote, Slot};
use crate::reading::{Place, head_and_states};
use crate::record::{self, Held, Outcome, Retired};
use crate::shared::Shared;
use crate::storage::Storage;

/// How many outcome frames may build on one another before one says everything again. So showing
/// a message reads this many frames at most, and a message with a thousand recipients does not
/// write a thousand states for each of them.
const CHAIN_MAX: u8 = 32;

/// Frames to be written in one commit, and who waits for them.
#[derive(Default)]
pub(super) struct Batch {
    pub frames: Frames,
    /// Whether somebody waits for the disk.
    pub urgent: bool,
    pub arrived: Vec<Arrived>,
    /// Messages that were accepted before.
    pub known: Vec<(QueueId, AcceptDone)>,
    /// Messages that are refused whatever the disk says.
    pub refused: Vec<(NotAccepted, AcceptDone)>,
    pub outcomes: Vec<Written>,
    pub recorded: Vec<Recorded>,
    pub retired: Vec<Retiring>,
    /// Messages that the batch says are held or not.
    pub held: Vec<QueueId>,
    pub relocated: Vec<Relocated>,
    /// Told when the batch is through.
    pub told: Vec<Done>,
}

/// A message in the batch.
pub(super) struct Arrived {
    pub id: QueueId,
    pub frame: usize,
    pub body: ArrivingBody,
    pub done: Vec<AcceptDone>,
    envelope: Arc<Envelope>,
    provenance: Arc<Provenance>,
    arrival: u64,
}

/// Outcomes of one message in the batch, which memory knows already.
pub(super) struct Written {
    pub id: QueueId,
    pub frame: usize,
    pub changes: Vec<(u32, RecipientState)>,
    /// The outcome in the log that this one comes after, and how many that one builds on.
    pub previous: Option<Location>,
    pub chain: u8,
    /// How many frames this one builds on.
    pub builds_on: u8,
    pub done: Vec<Done>,
}

/// Outcomes of one message that memory takes in when they are durable.
pub(super) struct Recorded {
    pub id: QueueId,
    pub changes: Vec<(u32, RecipientState)>,
    /// The outcome's frame and how many it builds on; none if the message is retired instead.
    pub outcome: Option<(usize, u8)>,
    pub done: Done,
}

/// A message that moves in this batch.
pub(super) struct Relocated {
    pub frame: usize,
    pub message: Location,
    pub frame_size: u64,
}

impl Arrived {
    pub fn hot(&self, note: &MessageNote, body: Vec<Bytes>) -> HotMessage {
        let size = if note.blob.is_some() { 0 } else { note.size as usize };
        let (envelope, provenance) = (Arc::clone(&self.envelope), Arc::clone(&self.provenance));
        HotMessage { envelope, provenance, arrival: self.arrival, body, size }
    }
}

/// What a message does in the batch so far. A second thing that cannot be joined to the first
/// waits for the next batch, so that everything in one batch builds on earlier ones alone.
enum Part {
    Arrives(usize),
    Changes(usize),
    Moves,
    Recorded,
}

impl<S: Storage> Committer<S> {
    pub(super) fn gather(&mut self) -> Batch {
        let shared = Arc::clone(&self.shared);
        let bytes_max = shared.settings.batch_bytes_max();
        let low_space = shared.is_low_on_space();
        let mut batch = Batch::default();
        let mut parts: HashMap<QueueId, Part> = HashMap::new();
        // What the outcomes will take, which are joined first and encoded last.
        let mut outcome_bytes = 0;
        let index = lock(&shared.index);
        while batch.frames.length() + outcome_bytes < bytes_max {
            let Some(item) = self.backlog.pop_front() else { break };
            batch.urgent |= item.is_urgent();
            match item {
                Item::Accept { message, done } => {
                    let id = message.note.id;
                    match parts.get(&id) {
                        Some(Part::Arrives(place)) => batch.arrived[*place].done.push(done),
                        _ if index.knows(id) => batch.known.push((id, done)),
                        _ if low_space => batch.refused.push((NotAccepted::StorageFull, done)),
                        _ => {
                            parts.insert(id, Part::Arrives(batch.arrived.len()));
                            batch.arrive(message, vec![done]);
                        }
                    }
                }
                Item::Record { id, outcomes, new, done } => {
                    if parts.contains_key(&id) {
                        self.backlog.push_front(Item::Record { id, outcomes, new, done });
                        break;
                    }
                    parts.insert(id, Part::Recorded);
                    for message in new {
                        let new_id = message.note.id;
                        if !index.knows(new_id) && !parts.contains_key(&new_id) {
                            parts.insert(new_id, Part::Arrives(batch.arrived.len()));
                            batch.arrive(message, Vec::new());
                        }
                    }
                    batch.record(&index, &shared, id, outcomes, done);
                }
                Item::Outcome { id, changes, done } => match (parts.get(&id), index.get(id)) {
                    (_, None) => batch.told.extend(done), // Its retirement says it all.
                    (Some(Part::Changes(place)), _) => {
                        outcome_bytes += bytes_of(&changes);
                        let written = &mut batch.outcomes[*place];
                        written.changes.extend(changes);
                        written.done.extend(done);
                    }
                    (Some(Part::Recorded | Part::Arrives(_)), _) => {
                        self.backlog.push_front(Item::Outcome { id, changes, done });
                        break;
                    }
                    (moved, Some(entry)) => {
                        // A message that moves takes its earlier outcomes along.
                        let moves = moved.is_some();
                        let previous = entry.outcome.filter(|_| !moves);
                        let chain = if moves { 0 } else { entry.chain };
                        let full = chain >= CHAIN_MAX;
                        outcome_bytes += if full { bytes_of_all(entry) } else { bytes_of(&changes) };
                        parts.insert(id, Part::Changes(batch.outcomes.len()));
                        let (frame, builds_on) = (0, 0);
                        batch.outcomes.push(Written { id, frame, changes, previous, chain, builds_on, done });
                    }
                },
                Item::Retire { retiring, done } => {
                    let retired = Retired { id: retiring.id };
                    let note = Note::Retired(retiring.id);
                    batch.frames.push(Kind::Retired, Some(note), Vec::new(), |octets| {
                        record::write(&retired, octets);
                    });
                    batch.retired.push(retiring);
                    batch.told.extend(done);
                }
                Item::Hold { id } => {
                    if let Some(entry) = index.get(id) {
                        batch.push_held(entry);
                        batch.held.push(id);
                    }
                }
                Item::Relocate(moving) => {
                    let id = moving.note.id;
                    let still = index
                        .get(id)
                        .filter(|entry| entry.message == moving.message && entry.outcome == moving.outcome);
                    if let Some(entry) = still.filter(|_| !parts.contains_key(&id)) {
                        let frame_size = entry.frame_size();
                        parts.insert(id, Part::Moves);
                        let note = Note::Message(moving.note);
                        let frame =
                            batch.frames.push(Kind::Message, Some(note), vec![moving.body], |octets| {
                                octets.extend_from_slice(&moving.head);
                            });
                        batch.relocated.push(Relocated { frame, message: moving.message, frame_size });
                        // What said so stays behind.
                        if entry.held {
                            batch.push_held(entry);
                        }
                    }
                }
                Item::Flush { done } => batch.told.push(done),
            }
        }
        for written in &mut batch.outcomes {
            let Some(entry) = index.get(written.id) else { continue };
            let base = Base { previous: written.previous, chain: written.chain };
            (written.frame, written.builds_on) =
                push_outcome(&mut batch.frames, &shared, entry, base, &written.changes);
        }
        batch
    }
}

impl Batch {
    fn arrive(&mut self, message: Arriving, done: Vec<AcceptDone>) {
        let Arriving { note, envelope, provenance, arrival, head, body } = message;
        let id = note.id;
        let (pieces, body) = match body {
            ArrivingBody::Inline(pieces) => (pieces, ArrivingBody::Inline(Vec::new())),
            blob @ ArrivingBody::Blob(_) => (Vec::new(), blob),
        };
        let frame = self.frames.push(Kind::Message, Some(Note::Message(note)), pieces, |octets| {
            octets.extend_from_slice(&head);
        });
        self.arrived.push(Arrived { id, frame, body, done, envelope, provenance, arrival });
    }

    /// Adds whether a message is held, as memory knows it: so it matters not how often this is written.
    fn push_held(&mut self, entry: &Entry) {
        let (id, held) = (entry.id, entry.held);
        self.frames.push(Kind::Held, Some(Note::Held { id, held }), Vec::new(), |octets| {
            record::write(&Held { id, held }, octets);
        });
    }

    fn record<S: Storage>(
        &mut self,
        index: &Index,
        shared: &Shared<S>,
        id: QueueId,
        outcomes: Vec<(u32, RecipientOutcome)>,
        done: Done,
    ) {
        let Some(entry) = index.get(id) else {
            self.told.push(done);
            return;
        };
        let slots = entry.recipients.slots();
        let changes: Vec<(u32, RecipientState)> = outcomes
            .into_iter()
            .filter_map(|(number, outcome)| Some((number, outcome.into_state(*slots.get(number as usize)?))))
            .collect();
        let done_after = |(number, slot): (usize, &Slot)| {
            let changed = changes.iter().rev().find(|(n, _)| *n as usize == number);
            slot.is_done() || changed.is_some_and(|(_, state)| Slot::from(state).is_done())
        };
        let outcome = if slots.iter().enumerate().all(done_after) {
            self.frames.push(Kind::Retired, Some(Note::Retired(id)), Vec::new(), |octets| {
                record::write(&Retired { id }, octets);
            });
            None
        } else {
            let base = Base { previous: entry.outcome, chain: entry.chain };
            Some(push_outcome(&mut self.frames, shared, entry, base, &changes))
        };
        self.recorded.push(Recorded { id, changes, outcome, done });
    }
}

/// The outcome in the log that another one comes after, and how many frames that one builds on.
struct Base {
    previous: Option<Location>,
    chain: u8,
}

/// Adds an outcome: the changes, or the states of all recipients if the chain is long or this is
/// all of them. Gives its frame, and how many frames it builds on.
fn push_outcome<S: Storage>(
    frames: &mut Frames,
    shared: &Shared<S>,
    entry: &Entry,
    base: Base,
    changes: &[(u32, RecipientState)],
) -> (usize, u8) {
    let id = entry.id;
    let (outcome, builds_on) = if entry.recipients.slots().len() == 1 {
        (Outcome { id, previous: None, changes: changes.to_vec() }, 0)
    } else if base.chain < CHAIN_MAX {
        (Outcome { id, previous: base.previous, changes: changes.to_vec() }, base.chain)
    } else {
        let mut states = all_states(entry);
        // A reply that cannot be read is no reason to stop: the states are right without it.
        if let Ok((_, on_disk)) = head_and_states(shared, Place::from(entry)) {
            for (known, on_disk) in states.iter_mut().zip(on_disk) {
                known.last_reply = on_disk.last_reply;
            }
        }
        for (number, state) in changes {
            if let Some(known) = states.get_mut(*number as usize) {
                known.clone_from(state);
            }
        }
        (Outcome { id, previous: None, changes: (0..).zip(states).collect() }, 0)
    };
    let note = Note::Outcome(OutcomeNote::new(&outcome));
    let frame = frames.push(Kind::Outcome, Some(note), Vec::new(), |octets| record::write(&outcome, octets));
    (frame, builds_on)
}

/// The states of all recipients, without their replies.
fn all_states(entry: &Entry) -> Vec<RecipientState> {
    entry.recipients.iter().map(|slot| slot.with_reply(Box::default())).collect()
}

fn bytes_of(changes: &[(u32, RecipientState)]) -> usize {
    64 + changes.iter().map(|(_, state)| 24 + state.last_reply.len()).sum::<usize>()
}

fn bytes_of_all(entry: &Entry) -> usize {
    64 + entry.recipients.slots().len() * (24 + REPLY_MAX)
}
