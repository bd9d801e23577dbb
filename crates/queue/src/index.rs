//! What the queue knows in memory: every living message, and when it is due.
//!
//! A message costs about a hundred octets here whatever its addresses; those, its replies and its
//! body stand in the log. Finding what is due costs the same with ten messages waiting as with ten
//! million. Nothing in here touches a disk or a clock.

mod entries;
mod hot;
mod recent;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::num::NonZeroU32;
use std::ops::Bound;

use envelope::QueueId;

use self::entries::Entries;
pub(crate) use self::entries::{Entry, Recipients};
pub(crate) use self::hot::{Hot, HotMessage};
use self::recent::Recent;
use crate::frame::{Location, SegmentNumber};
use crate::message::{Due, seconds};
use crate::note::{MessageNote, OutcomeNote, Slot, Status};

/// `Entry::scheduled` of a message that waits for no time: all that is left is in flight.
const NEVER: u32 = u32::MAX;

/// The living messages.
#[derive(Debug)]
pub(crate) struct Index {
    entries: Entries,
    places: BTreeMap<QueueId, u32>,
    /// Times and places of messages that were never tried, by time as they came.
    fresh: VecDeque<(u32, u32)>,
    /// Times and places of all others. Some are out of date, here and above: `Entry::scheduled`
    /// tells.
    later: BinaryHeap<Reverse<(u32, u32)>>,
    recent: Recent,
    pub hot: Hot,
    bytes: u64,
    in_flight: u64,
    held: u64,
}

/// A message that has left the index, for the books of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retiring {
    pub id: QueueId,
    pub segment: SegmentNumber,
    pub frame_size: u64,
    pub blob: Option<NonZeroU32>,
}

impl Index {
    pub fn new(hot_bytes_max: usize) -> Index {
        Index {
            entries: Entries::default(),
            places: BTreeMap::new(),
            fresh: VecDeque::new(),
            later: BinaryHeap::new(),
            recent: Recent::default(),
            hot: Hot::new(hot_bytes_max),
            bytes: 0,
            in_flight: 0,
            held: 0,
        }
    }

    /// Living messages.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Octets of mail data of the living messages.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Living messages with a recipient in flight.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Living messages that an operator holds.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// The living message with the highest name.
    pub fn last(&self) -> Option<QueueId> {
        self.places.last_key_value().map(|(id, _)| *id)
    }

    /// Whether the queue holds this message or has retired it of late.
    pub fn knows(&self, id: QueueId) -> bool {
        self.places.contains_key(&id) || self.recent.contains(id)
    }

    pub fn get(&self, id: QueueId) -> Option<&Entry> {
        self.places.get(&id).map(|place| self.entries.get(*place))
    }

    /// Living messages in the order of their ids, from the first after `after`.
    pub fn iter(&self, after: Option<QueueId>) -> impl Iterator<Item = &Entry> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.places.range((from, Bound::Unbounded)).map(|(_, place)| self.entries.get(*place))
    }

    /// Takes in a message, new or moved to another place in the log.
    ///
    /// A message moved keeps what is known of its recipients: memory is ahead of the log.
    pub fn put(&mut self, note: &MessageNote, segment: SegmentNumber) {
        let location = Location { segment, offset: note.offset };
        if let Some(place) = self.places.get(&note.id) {
            let entry = self.entries.get_mut(*place);
            entry.message = location;
            entry.length = note.length;
            entry.outcome = None;
            entry.chain = 0;
            return;
        }
        let mut entry = Entry::new(note, location);
        let time = entry.earliest();
        let tried = entry.recipients.iter().any(|slot| slot.attempts > 0);
        // A message from the future, for a clock that was wrong, must not hold up those after it.
        let in_order = self.fresh.back().is_none_or(|(last, _)| *last <= time);
        let fresh = in_order && !tried;
        if fresh {
            (entry.scheduled, entry.fresh) = (time, true);
        }
        self.bytes += entry.size;
        let place = self.entries.insert(entry);
        self.places.insert(note.id, place);
        if fresh {
            self.fresh.push_back((time, place));
        } else {
            self.schedule(place);
        }
    }

    /// Takes in what the log says of recipients, when it is read at a start.
    pub fn replay(&mut self, note: &OutcomeNote, segment: SegmentNumber) -> Option<Retiring> {
        let changes = note.changes.iter().copied();
        let retiring = self.change(note.id, changes);
        let location = Location { segment, offset: note.offset };
        let chain = self.get(note.id).map_or(0, |entry| if note.chained { entry.chain } else { 0 });
        self.set_outcome(note.id, Some(location), chain.saturating_add(1));
        retiring
    }

    /// Where the message's last outcome stands in the log, and how many frames it builds on.
    pub fn set_outcome(&mut self, id: QueueId, outcome: Option<Location>, chain: u8) {
        if let Some(place) = self.places.get(&id) {
            let entry = self.entries.get_mut(*place);
            entry.outcome = outcome;
            entry.chain = chain;
        }
    }

    /// Changes recipients. The last one done retires the message, which is then gone from here.
    pub fn change(&mut self, id: QueueId, changes: impl Iterator<Item = (u32, Slot)>) -> Option<Retiring> {
        let place = *self.places.get(&id)?;
        let entry = self.entries.get_mut(place);
        let before = entry.in_flight;
        for (number, slot) in changes {
            // What is done stays done, and numbers that the envelope does not have change nothing.
            if let Some(old) = entry.recipients.get_mut(number).filter(|old| !old.is_done()) {
                entry.in_flight -= u32::from(old.status == Status::InFlight);
                *old = slot;
            }
        }
        let landed = before > 0 && entry.in_flight == 0;
        self.in_flight -= u64::from(landed);
        if entry.recipients.iter().all(|slot| slot.is_done()) {
            return self.remove(id);
        }
        self.schedule(place);
        None
    }

    /// Drops a message as retired, whatever its recipients.
    pub fn remove(&mut self, id: QueueId) -> Option<Retiring> {
        let place = self.places.remove(&id)?;
        let entry = self.entries.remove(place);
        self.in_flight -= u64::from(entry.in_flight > 0);
        self.held -= u64::from(entry.held);
        self.bytes -= entry.size;
        self.hot.remove(id);
        self.recent.push(id);
        let frame_size = entry.frame_size();
        Some(Retiring { id, segment: entry.message.segment, frame_size, blob: entry.blob })
    }

    /// Remembers a message as retired that is not here.
    pub fn remember(&mut self, id: QueueId) {
        self.recent.push(id);
    }

    /// Hands out messages whose time has come, the longest due first, and marks their recipients
    /// as in flight.
    pub fn due(&mut self, now: u64, max: usize) -> Vec<Due> {
        let now = seconds(now);
        let mut due = Vec::new();
        while due.len() < max {
            let Some(place) = self.pop(now) else { break };
            let entry = self.entries.get_mut(place);
            let before = entry.in_flight;
            let mut numbers = Vec::new();
            for (number, slot) in entry.recipients.iter_mut().enumerate() {
                if !entry.held && slot.status == Status::Waiting && slot.next_attempt <= now {
                    slot.status = Status::InFlight;
                    entry.in_flight += 1;
                    numbers.push(number as u32);
                }
            }
            let id = entry.id;
            self.in_flight += u64::from(before == 0 && entry.in_flight > 0);
            self.schedule(place);
            if !numbers.is_empty() {
                due.push(Due { id, recipients: numbers });
            }
        }
        due
    }

    /// When the next message is due, in seconds since 1970.
    pub fn next_due(&mut self) -> Option<u64> {
        self.drop_stale();
        self.earliest().map(|(time, _)| u64::from(time))
    }

    /// Marks those of these recipients that wait as in flight, due or not, held or not; gives them.
    pub fn take(&mut self, id: QueueId, numbers: &[u32]) -> Vec<u32> {
        let Some(place) = self.places.get(&id).copied() else { return Vec::new() };
        let entry = self.entries.get_mut(place);
        let before = entry.in_flight;
        let mut taken = Vec::with_capacity(numbers.len());
        for &number in numbers {
            if let Some(slot) = entry.recipients.get_mut(number).filter(|s| s.status == Status::Waiting) {
                slot.status = Status::InFlight;
                entry.in_flight += 1;
                taken.push(number);
            }
        }
        self.in_flight += u64::from(before == 0 && entry.in_flight > 0);
        taken
    }

    /// Makes what waits of a message due at `now`; gives whether anything did. Not of one that is held.
    pub fn hurry(&mut self, id: QueueId, now: u64) -> bool {
        let Some(place) = self.places.get(&id).copied() else { return false };
        let entry = self.entries.get_mut(place);
        if entry.held {
            return false;
        }
        let mut waits = false;
        for slot in entry.recipients.iter_mut().filter(|slot| slot.status == Status::Waiting) {
            slot.next_attempt = slot.next_attempt.min(seconds(now));
            waits = true;
        }
        self.schedule(place);
        waits
    }

    /// Keeps a message back, or lets it go on at the times it had; gives whether that is a change.
    pub fn set_held(&mut self, id: QueueId, held: bool) -> bool {
        let Some(place) = self.places.get(&id).copied() else { return false };
        let entry = self.entries.get_mut(place);
        if entry.held == held {
            return false;
        }
        entry.held = held;
        self.held = if held { self.held + 1 } else { self.held - 1 };
        // One that is held stays in the times where it stands, and is passed over: so holding and
        // letting go by turns leaves no pile there.
        self.schedule(place);
        true
    }

    /// Lets recipients that are in flight wait again, due at the time they had.
    pub fn release(&mut self, id: QueueId, numbers: &[u32]) {
        let Some(place) = self.places.get(&id).copied() else { return };
        let entry = self.entries.get_mut(place);
        let before = entry.in_flight;
        for number in numbers {
            if let Some(slot) = entry.recipients.get_mut(*number).filter(|s| s.status == Status::InFlight) {
                slot.status = Status::Waiting;
                entry.in_flight -= 1;
            }
        }
        let landed = before > 0 && entry.in_flight == 0;
        self.in_flight -= u64::from(landed);
        self.schedule(place);
    }

    /// Lets everything in flight wait again. Looks at every message.
    pub fn release_all(&mut self) {
        let flying = |entry: &&Entry| entry.in_flight > 0;
        let ids: Vec<QueueId> = self.iter(None).filter(flying).map(|entry| entry.id).collect();
        for id in ids {
            let count = self.get(id).map_or(0, |entry| entry.recipients.iter().len());
            let numbers: Vec<u32> = (0..count as u32).collect();
            self.release(id, &numbers);
        }
    }

    /// Enters a message in the times at which something is due, if it is not there early enough.
    fn schedule(&mut self, place: u32) {
        let entry = self.entries.get_mut(place);
        let earliest = entry.earliest();
        if earliest >= entry.scheduled {
            return;
        }
        entry.scheduled = earliest;
        self.later.push(Reverse((earliest, place)));
        if self.later.len() > 2 * self.places.len() + 1024 {
            let entries = &self.entries;
            self.later.retain(|Reverse((time, place))| entries.is_scheduled(*place, *time));
        }
    }

    /// The place of a message that is due at `now`; it has to be scheduled again.
    fn pop(&mut self, now: u32) -> Option<u32> {
        self.drop_stale();
        let (time, place) = self.earliest().filter(|(time, _)| *time <= now)?;
        if self.fresh.front() == Some(&(time, place)) {
            self.fresh.pop_front();
        } else {
            self.later.pop();
        }
        let entry = self.entries.get_mut(place);
        (entry.scheduled, entry.fresh) = (NEVER, false);
        Some(place)
    }

    fn earliest(&self) -> Option<(u32, u32)> {
        let later = self.later.peek().map(|Reverse(item)| item);
        self.fresh.front().into_iter().chain(later).min().copied()
    }

    fn drop_stale(&mut self) {
        while let Some((time, place)) = self.fresh.front() {
            if self.entries.is_fresh(*place) && self.entries.is_scheduled(*place, *time) {
                break;
            }
            self.fresh.pop_front();
        }
        while let Some(Reverse((time, place))) = self.later.peek() {
            if self.entries.is_scheduled(*place, *time) {
                break;
            }
            self.later.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::RecipientNotes;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(number: u64) -> QueueId {
        QueueId::from_u64(number)
    }

    fn note(number: u64, arrival: u32, recipients: u32) -> MessageNote {
        MessageNote {
            id: id(number),
            offset: 4096,
            length: 100,
            arrival,
            size: 50,
            blob: None,
            recipients: RecipientNotes::Fresh(recipients),
        }
    }

    fn index(messages: &[(u64, u32, u32)]) -> Index {
        let mut index = Index::new(0);
        for (number, arrival, recipients) in messages {
            index.put(&note(*number, *arrival, *recipients), SegmentNumber::MIN);
        }
        index
    }

    fn slot(status: Status, next_attempt: u32) -> Slot {
        Slot { next_attempt, attempts: 1, status, delay_told: false }
    }

    fn due(index: &mut Index, now: u64) -> Vec<(u64, Vec<u32>)> {
        index.due(now, 100).into_iter().map(|due| (due.id.as_u64(), due.recipients)).collect()
    }

    #[test]
    fn messages_come_out_by_time_and_once() {
        let mut index = index(&[(1, 20, 1), (2, 20, 2), (3, 30, 1)]);
        assert_eq!(index.next_due(), Some(20));
        assert_eq!(due(&mut index, 19), []);
        assert_eq!(due(&mut index, 29), [(1, vec![0]), (2, vec![0, 1])]);
        assert_eq!(due(&mut index, 29), []);
        assert_eq!((index.next_due(), index.in_flight()), (Some(30), 2));
    }

    #[test]
    fn a_deferred_recipient_comes_back_at_its_time_and_a_done_one_never() {
        let mut index = index(&[(1, 10, 2)]);
        index.due(10, 1);
        let changes = [(0, slot(Status::Waiting, 50)), (1, slot(Status::Delivered, 0))];
        assert_eq!(index.change(id(1), changes.into_iter()), None);
        assert_eq!((index.next_due(), index.in_flight()), (Some(50), 0));
        assert_eq!(due(&mut index, 50), [(1, vec![0])]);
        assert!(index.change(id(1), [(0, slot(Status::Failed, 0))].into_iter()).is_some());
        assert_eq!((index.len(), index.bytes(), index.in_flight()), (0, 0, 0));
        assert_eq!(index.next_due(), None);
        assert!(index.knows(id(1)));
    }

    #[test]
    fn a_later_message_does_not_wait_behind_one_that_was_deferred_unseen() {
        let mut index = index(&[(1, 10, 1), (2, 11, 1)]);
        index.change(id(1), [(0, slot(Status::Waiting, 99))].into_iter());
        assert_eq!(due(&mut index, 11), [(2, vec![0])]);
        assert_eq!(due(&mut index, 99), [(1, vec![0])]);
    }

    #[test]
    fn a_message_from_the_future_holds_up_nobody() {
        let mut index = index(&[(1, 10, 1), (2, 9_000, 1), (3, 11, 1)]);
        assert_eq!(due(&mut index, 11), [(1, vec![0]), (3, vec![0])]);
        assert_eq!(index.next_due(), Some(9_000));
    }

    #[test]
    fn a_place_used_again_does_not_inherit_a_time() {
        let mut index = index(&[(1, 10, 1)]);
        index.remove(id(1));
        index.put(&note(2, 40, 1), SegmentNumber::MIN);
        assert_eq!(due(&mut index, 39), []);
        assert_eq!(due(&mut index, 40), [(2, vec![0])]);
    }

    #[test]
    fn released_recipients_are_due_again() {
        let mut index = index(&[(1, 10, 2), (2, 10, 1)]);
        index.due(10, 9);
        index.release(id(1), &[1, 7]);
        assert_eq!(due(&mut index, 10), [(1, vec![1])]);
        index.release_all();
        assert_eq!(index.in_flight(), 0);
        let mut all = due(&mut index, 10);
        all.sort();
        assert_eq!(all, [(1, vec![0, 1]), (2, vec![0])]);
    }

    #[test]
    fn what_is_held_is_not_due_until_it_is_let_go() {
        let mut index = index(&[(1, 10, 1), (2, 10, 1)]);
        assert!(index.set_held(id(1), true) && !index.set_held(id(1), true));
        assert_eq!(due(&mut index, 99), [(2, vec![0])]);
        assert!(!index.hurry(id(1), 5));
        assert_eq!((index.next_due(), index.held()), (None, 1));
        // For who takes it by name it is there.
        assert_eq!(index.take(id(1), &[0, 7]), [0]);
        index.release(id(1), &[0]);
        assert!(index.set_held(id(1), false));
        assert_eq!(index.next_due(), Some(10));
        assert_eq!(due(&mut index, 10), [(1, vec![0])]);
    }

    #[test]
    fn holding_and_letting_go_leaves_no_pile_of_times() {
        let mut index = index(&[(1, 10, 1)]);
        for now in 0..10_000 {
            index.set_held(id(1), true);
            index.due(now, 1);
            index.set_held(id(1), false);
            index.hurry(id(1), now);
        }
        assert!(index.later.len() < 2000 && index.fresh.len() < 2000);
    }

    #[test]
    fn a_message_moved_keeps_what_memory_knows() {
        let mut index = index(&[(1, 10, 2)]);
        index.due(10, 1);
        index.change(id(1), [(1, slot(Status::Delivered, 0))].into_iter());
        index.put(&note(1, 10, 2), SegmentNumber::new(5).unwrap());
        assert_eq!(index.get(id(1)).unwrap().message.segment.get(), 5);
        assert!(index.change(id(1), [(0, slot(Status::Delivered, 0))].into_iter()).is_some());
    }

    #[test]
    fn a_million_deferrals_leave_no_pile_of_stale_times() {
        let mut index = index(&[(1, 10, 1)]);
        for _ in 0..10_000 {
            index.due(u64::from(NEVER), 1);
            index.change(id(1), [(0, slot(Status::Waiting, 90))].into_iter());
            index.release_all();
        }
        assert!(index.later.len() < 2000 && index.fresh.len() < 2000);
    }

    /// The same, kept the plain way.
    #[derive(Default)]
    struct Plain(BTreeMap<u64, Vec<Slot>>, BTreeSet<u64>);

    #[derive(Debug, Clone)]
    enum Step {
        Put { id: u64, arrival: u32, recipients: u32 },
        Due { now: u32, max: usize },
        Change { id: u64, number: u32, status: Status, next: u32 },
        Release { id: u64, number: u32 },
        Take { id: u64, number: u32 },
        Hurry { id: u64, now: u32 },
        Hold { id: u64, held: bool },
        ReleaseAll,
        Remove { id: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        let status = prop_oneof![Just(Status::Waiting), Just(Status::Delivered), Just(Status::Failed)];
        prop_oneof![
            (0..8u64, 0..50u32, 1..4u32).prop_map(|(id, arrival, recipients)| Step::Put {
                id,
                arrival,
                recipients
            }),
            (0..100u32, 0..5usize).prop_map(|(now, max)| Step::Due { now, max }),
            (0..8u64, 0..4u32, status, 0..100u32).prop_map(|(id, number, status, next)| Step::Change {
                id,
                number,
                status,
                next
            }),
            (0..8u64, 0..4u32).prop_map(|(id, number)| Step::Release { id, number }),
            (0..8u64, 0..4u32).prop_map(|(id, number)| Step::Take { id, number }),
            (0..8u64, 0..100u32).prop_map(|(id, now)| Step::Hurry { id, now }),
            (0..8u64, any::<bool>()).prop_map(|(id, held)| Step::Hold { id, held }),
            Just(Step::ReleaseAll),
            (0..8u64).prop_map(|id| Step::Remove { id }),
        ]
    }

    impl Plain {
        fn next_due(&self) -> Option<u64> {
            let free = self.0.iter().filter(|(id, _)| !self.1.contains(id)).flat_map(|(_, slots)| slots);
            let waiting = free.filter(|slot| slot.status == Status::Waiting);
            waiting.map(|slot| u64::from(slot.next_attempt)).min()
        }

        fn settle(&mut self) {
            self.0.retain(|_, slots| !slots.iter().all(|slot| slot.is_done()));
            self.1.retain(|id| self.0.contains_key(id));
        }
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_a_plain_list(steps in proptest::collection::vec(step(), 1..120)) {
            let mut index = Index::new(0);
            let mut plain = Plain::default();
            for step in steps {
                match step {
                    Step::Put { id: number, arrival, recipients } => {
                        if index.get(id(number)).is_none() {
                            index.put(&note(number, arrival, recipients), SegmentNumber::MIN);
                            plain.0.insert(number, vec![Slot::fresh(arrival); recipients as usize]);
                        }
                    }
                    Step::Due { now, max } => {
                        let all = index.due(u64::from(now), max);
                        let complete = all.len() < max;
                        for due in all {
                            prop_assert!(!plain.1.contains(&due.id.as_u64()), "it is held");
                            let slots = plain.0.get_mut(&due.id.as_u64()).unwrap();
                            let expected: Vec<u32> = (0..slots.len() as u32)
                                .filter(|n| {
                                    let slot = slots[*n as usize];
                                    slot.status == Status::Waiting && slot.next_attempt <= now
                                })
                                .collect();
                            prop_assert_eq!(&due.recipients, &expected);
                            for number in expected {
                                slots[number as usize].status = Status::InFlight;
                            }
                        }
                        prop_assert!(!complete || plain.next_due().is_none_or(|next| next > u64::from(now)));
                    }
                    Step::Change { id: message, number, status, next } => {
                        let slot = slot(status, next);
                        index.change(id(message), [(number, slot)].into_iter());
                        let slots = plain.0.get_mut(&message);
                        if let Some(old) = slots.and_then(|slots| slots.get_mut(number as usize))
                            && !old.is_done()
                        {
                            *old = slot;
                        }
                        plain.settle();
                    }
                    Step::Release { id: message, number } => {
                        index.release(id(message), &[number]);
                        let slots = plain.0.get_mut(&message);
                        if let Some(old) = slots.and_then(|slots| slots.get_mut(number as usize))
                            && old.status == Status::InFlight
                        {
                            old.status = Status::Waiting;
                        }
                    }
                    Step::Take { id: message, number } => {
                        let taken = index.take(id(message), &[number]);
                        let slots = plain.0.get_mut(&message);
                        let slot = slots.and_then(|slots| slots.get_mut(number as usize));
                        let waiting = slot.filter(|slot| slot.status == Status::Waiting);
                        prop_assert_eq!(taken.len(), usize::from(waiting.is_some()));
                        if let Some(slot) = waiting {
                            slot.status = Status::InFlight;
                        }
                    }
                    Step::Hurry { id: message, now } => {
                        let mut waits = false;
                        if let Some(slots) = plain.0.get_mut(&message).filter(|_| !plain.1.contains(&message)) {
                            for slot in slots.iter_mut().filter(|slot| slot.status == Status::Waiting) {
                                slot.next_attempt = slot.next_attempt.min(now);
                                waits = true;
                            }
                        }
                        prop_assert_eq!(index.hurry(id(message), u64::from(now)), waits);
                    }
                    Step::Hold { id: message, held } => {
                        index.set_held(id(message), held);
                        if held && plain.0.contains_key(&message) {
                            plain.1.insert(message);
                        } else {
                            plain.1.remove(&message);
                        }
                    }
                    Step::ReleaseAll => {
                        index.release_all();
                        for slot in plain.0.values_mut().flatten() {
                            if slot.status == Status::InFlight {
                                slot.status = Status::Waiting;
                            }
                        }
                    }
                    Step::Remove { id: message } => {
                        index.remove(id(message));
                        plain.0.remove(&message);
                        plain.1.remove(&message);
                    }
                }
                let flying = |slots: &&Vec<Slot>| slots.iter().any(|slot| slot.status == Status::InFlight);
                prop_assert_eq!(index.in_flight(), plain.0.values().filter(flying).count() as u64);
                prop_assert_eq!(index.len(), plain.0.len());
                prop_assert_eq!(index.held(), plain.1.len() as u64);
                prop_assert_eq!(index.bytes(), 50 * plain.0.len() as u64);
                // A time may come early by a message that was meanwhile put off, never late.
                let (ours, theirs) = (index.next_due(), plain.next_due());
                prop_assert!(ours.unwrap_or(u64::MAX) <= theirs.unwrap_or(u64::MAX));
                let mut all = index.iter(None).map(|entry| entry.id.as_u64());
                prop_assert!(all.by_ref().eq(plain.0.keys().copied()));
            }
        }
    }
}
