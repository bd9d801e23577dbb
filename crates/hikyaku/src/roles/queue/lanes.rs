//! Whose mail to which destination goes out next.
//!
//! Each destination is a lane with so many places; there are so many places in all. A message waits here
//! by its name alone, for a place in its lane: so one destination that hangs holds up nobody else. A lane
//! begins with few places and earns more by being quick, so that many that hang do not take all either.
//! And owners take turns: a customer's 100,000 messages do not delay another's one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How many places a lane has at first.
const FIRST: usize = 5;

/// What waits, and how many places are taken. `O` is an owner, `L` a lane, `T` what goes out.
pub struct Lanes<O, L, T> {
    places: usize,
    places_in_lane: usize,
    taken: usize,
    lanes: HashMap<L, Lane<O>>,
    owners: HashMap<O, Owner<L, T>>,
    /// Owners who have something in a lane that is not known to be full, each once.
    turns: VecDeque<O>,
}

struct Lane<O> {
    taken: usize,
    places: usize,
    waiting: usize,
    /// Who found it full.
    blocked: VecDeque<O>,
}

struct Owner<L, T> {
    waiting: HashMap<L, VecDeque<T>>,
    /// Lanes of what waits that are not known to be full, each once.
    open: VecDeque<L>,
    has_turn: bool,
}

impl<O: Clone + Eq + Hash, L: Clone + Eq + Hash, T> Lanes<O, L, T> {
    /// So many places in all, and so many in each lane.
    pub fn new(places: usize, places_in_lane: usize) -> Lanes<O, L, T> {
        Lanes {
            places,
            places_in_lane,
            taken: 0,
            lanes: HashMap::new(),
            owners: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Has something wait for a place.
    pub fn push(&mut self, owner: O, lane: L, what: T) {
        let waits = self.owners.entry(owner.clone()).or_insert_with(|| Owner {
            waiting: HashMap::new(),
            open: VecDeque::new(),
            has_turn: false,
        });
        let in_lane = waits.waiting.entry(lane.clone()).or_default();
        let first = in_lane.is_empty();
        in_lane.push_back(what);
        let places = FIRST.min(self.places_in_lane);
        let empty = || Lane { taken: 0, places, waiting: 0, blocked: VecDeque::new() };
        self.lanes.entry(lane.clone()).or_insert_with(empty).waiting += 1;
        // Otherwise the lane is known to this owner already, as open or as full.
        if first {
            self.open(&owner, lane);
        }
    }

    /// What goes out next; its place is taken until [`Lanes::done`].
    pub fn next(&mut self) -> Option<(L, T)> {
        if self.taken >= self.places {
            return None;
        }
        while let Some(owner) = self.turns.pop_front() {
            let Some(waits) = self.owners.get_mut(&owner) else { continue };
            waits.has_turn = false;
            let mut found = None;
            while let Some(lane) = waits.open.pop_front() {
                let Some(state) = self.lanes.get_mut(&lane) else { continue };
                if state.taken >= state.places {
                    state.blocked.push_back(owner.clone());
                    continue;
                }
                let Some(in_lane) = waits.waiting.get_mut(&lane) else { continue };
                let what = in_lane.pop_front();
                if in_lane.is_empty() {
                    waits.waiting.remove(&lane);
                } else {
                    waits.open.push_back(lane.clone());
                }
                if let Some(what) = what {
                    state.taken += 1;
                    state.waiting -= 1;
                    found = Some((lane, what));
                    break;
                }
            }
            if waits.waiting.is_empty() {
                self.owners.remove(&owner);
            } else if !waits.open.is_empty() {
                waits.has_turn = true;
                self.turns.push_back(owner);
            }
            if found.is_some() {
                self.taken += 1;
                return found;
            }
        }
        None
    }

    /// Gives a place back; `quick` says whether it was not taken for long.
    pub fn done(&mut self, lane: &L, quick: bool) {
        self.taken = self.taken.saturating_sub(1);
        let Some(state) = self.lanes.get_mut(lane) else { return };
        state.taken = state.taken.saturating_sub(1);
        state.places = match quick {
            true => (state.places + 1).min(self.places_in_lane),
            false => (state.places / 2).max(1),
        };
        // Who has waited longest for a place may have it.
        let free = state.places.saturating_sub(state.taken).min(state.blocked.len());
        let next: Vec<O> = state.blocked.drain(..free).collect();
        // What a lane has earned is remembered as long as anything is for it.
        if state.taken + state.waiting == 0 {
            self.lanes.remove(lane);
        }
        for owner in next {
            self.open(&owner, lane.clone());
        }
    }

    /// Takes out everything that waits.
    pub fn drain(&mut self) -> Vec<T> {
        self.turns.clear();
        for state in self.lanes.values_mut() {
            state.waiting = 0;
            state.blocked.clear();
        }
        self.owners.drain().flat_map(|(_, owner)| owner.waiting.into_values().flatten()).collect()
    }

    fn open(&mut self, owner: &O, lane: L) {
        let Some(waits) = self.owners.get_mut(owner) else { return };
        waits.open.push_back(lane);
        if !waits.has_turn {
            waits.has_turn = true;
            self.turns.push_back(owner.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_message_does_not_wait_behind_a_thousand_of_somebody_else() {
        let mut lanes = Lanes::new(4, 2);
        for number in 0..1000 {
            lanes.push("busy", number % 3, ("busy", number));
        }
        assert!(lanes.next().is_some());
        lanes.push("rare", 1, ("rare", 0));
        let next: Vec<_> = std::iter::from_fn(|| lanes.next()).map(|(_, (owner, _))| owner).collect();
        assert!(next[..2].contains(&"rare"), "{next:?}");
    }

    #[test]
    fn a_lane_that_hangs_holds_up_its_own_mail_only() {
        let mut lanes = Lanes::new(10, 3);
        for number in 0..100 {
            lanes.push((), "hangs", number);
        }
        for number in 0..20 {
            lanes.push((), "works", number);
        }
        let mut worked = 0;
        let mut hung = 0;
        while let Some((lane, _)) = lanes.next() {
            if lane == "works" {
                worked += 1;
                lanes.done(&lane, true);
            } else {
                hung += 1;
            }
        }
        assert_eq!((hung, worked), (3, 20));
        lanes.done(&"hangs", true);
        assert_eq!(lanes.next().map(|(lane, _)| lane), Some("hangs"));
        assert_eq!(lanes.drain().len(), 96);
    }

    #[test]
    fn lanes_that_are_slow_leave_places_to_the_others() {
        let mut lanes = Lanes::new(100, 20);
        for lane in 0..12 {
            for number in 0..50 {
                lanes.push((), lane, number);
            }
        }
        let taken: Vec<_> = std::iter::from_fn(|| lanes.next()).collect();
        assert_eq!(taken.len(), 12 * 5);
        // Eleven come back late, one at once and again and again.
        for (lane, _) in &taken {
            lanes.done(lane, *lane == 0);
        }
        let taken: Vec<_> = std::iter::from_fn(|| lanes.next()).map(|(lane, _)| lane).collect();
        assert_eq!(taken.iter().filter(|lane| **lane == 0).count(), 10);
        assert_eq!(taken.iter().filter(|lane| **lane == 1).count(), 1);
    }

    proptest! {
        #[test]
        fn all_goes_out_once_in_order_and_no_lane_is_overfull(
            what in proptest::collection::vec((0u8..4, 0u8..5), 0..200),
            places in 1usize..8,
            in_lane in 1usize..4,
            steps in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut lanes = Lanes::new(places, in_lane);
            let mut left = what.iter().enumerate();
            let mut out: Vec<u8> = Vec::new();
            let mut seen: BTreeMap<(u8, u8), Vec<usize>> = BTreeMap::new();
            let mut count = 0;
            let mut step = |lanes: &mut Lanes<u8, u8, (usize, u8)>, choice: u8| {
                match choice % 3 {
                    0 => if let Some((number, (owner, lane))) = left.next() {
                        lanes.push(*owner, *lane, (number, *owner));
                    },
                    1 => if let Some((lane, (number, owner))) = lanes.next() {
                        out.push(lane);
                        count += 1;
                        seen.entry((owner, lane)).or_default().push(number);
                        assert!(out.len() <= places);
                        assert!(out.iter().filter(|l| **l == lane).count() <= in_lane);
                    },
                    _ => if !out.is_empty() {
                        let lane = out.remove(usize::from(choice) % out.len());
                        lanes.done(&lane, choice.is_multiple_of(2));
                    },
                }
                count
            };
            for choice in steps {
                step(&mut lanes, choice);
            }
            // Nothing stays behind.
            for choice in (0..what.len() * 3).map(|at| (at % 3) as u8).chain((0..what.len() * 6).map(|at| 1 + (at % 2) as u8)) {
                step(&mut lanes, choice);
            }
            prop_assert_eq!(step(&mut lanes, 1), what.len());
            prop_assert!(seen.values().all(|numbers| numbers.is_sorted()));
        }
    }
}
