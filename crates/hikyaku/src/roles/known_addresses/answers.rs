//! Answers that are remembered for a short while, in bounded room.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use envelope::Address;

/// How long an answer is good for, if the directory does not say before that it changed.
const LIFETIME: Duration = Duration::from_secs(60);
/// How many answers are kept.
const ANSWERS_MAX: usize = 65_536;
/// How much text of them, in octets: one can have instructions of 64 KiB.
const OCTETS_MAX: usize = 16 << 20;

/// What was answered of addresses.
pub struct Answers<A> {
    answers: HashMap<Address, (A, Instant)>,
    octets: usize,
    /// Rises when all is forgotten, so that an answer asked for before is not kept after.
    forgotten: u64,
}

impl<A> Default for Answers<A> {
    fn default() -> Self {
        Answers { answers: HashMap::new(), octets: 0, forgotten: 0 }
    }
}

impl<A> Answers<A> {
    /// The answer for this address, if there is one that is young enough.
    pub fn get(&self, address: &Address) -> Option<&A> {
        let (answer, asked) = self.answers.get(address)?;
        (asked.elapsed() < LIFETIME).then_some(answer)
    }

    /// How often all was forgotten: to be noted when something is asked.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Keeps an answer whose text takes so many octets, unless all was forgotten since it was asked
    /// for.
    pub fn keep(&mut self, address: Address, answer: A, octets: usize, forgotten_then: u64) {
        if self.forgotten != forgotten_then {
            return;
        }
        if self.answers.len() >= ANSWERS_MAX || self.octets + octets > OCTETS_MAX {
            self.clear();
        }
        // One that replaces another is counted twice: the room is a bound, not a sum.
        self.octets += octets;
        self.answers.insert(address, (answer, Instant::now()));
    }

    /// Forgets all, as it may be stale.
    pub fn forget(&mut self) {
        self.forgotten += 1;
        self.clear();
    }

    fn clear(&mut self) {
        self.answers.clear();
        self.octets = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> Address {
        format!("{number}@pobox.example").parse().unwrap()
    }

    #[test]
    fn an_answer_from_before_a_change_is_not_kept() {
        let mut answers = Answers::default();
        let then = answers.forgotten();
        answers.keep(address(1), "old", 0, then);
        assert_eq!(answers.get(&address(1)), Some(&"old"));
        answers.forget();
        assert_eq!(answers.get(&address(1)), None);
        answers.keep(address(1), "old", 0, then);
        assert_eq!(answers.get(&address(1)), None);
        answers.keep(address(1), "new", 0, answers.forgotten());
        assert_eq!(answers.get(&address(1)), Some(&"new"));
    }

    #[test]
    fn large_answers_take_bounded_room() {
        let mut answers = Answers::default();
        for number in 0..1000 {
            answers.keep(address(number), (), 64 << 10, 0);
            assert!(answers.get(&address(number)).is_some());
        }
        assert!(answers.answers.len() <= OCTETS_MAX / (64 << 10));
    }
}
