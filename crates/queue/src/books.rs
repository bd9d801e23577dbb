//! The books of the log: which segments there are, and how much of each still lives.
//!
//! Segments become free strictly oldest first. An outcome always comes after its message, so in
//! the oldest segment nothing is needed once no living message's frame is in it; and what retired
//! an older message stands in a segment that leaves later.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::frame::SegmentNumber;
use crate::index::Retiring;
use crate::segment::Segment;

#[derive(Debug)]
pub(crate) struct Books<F> {
    segments: BTreeMap<SegmentNumber, Account<F>>,
    live_bytes: u64,
}

#[derive(Debug)]
struct Account<F> {
    segment: Arc<Segment<F>>,
    live_messages: u64,
    live_bytes: u64,
    /// A write or sync failed in it: it is not used again.
    suspect: bool,
}

/// A segment in which nothing is needed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freed {
    pub number: SegmentNumber,
    pub suspect: bool,
}

/// The fewest segments that are worth compacting.
const SEGMENTS_MIN: usize = 4;

impl<F> Books<F> {
    pub fn new() -> Books<F> {
        Books { segments: BTreeMap::new(), live_bytes: 0 }
    }

    pub fn open(&mut self, segment: Arc<Segment<F>>) {
        let number = segment.number;
        let account = Account { segment, live_messages: 0, live_bytes: 0, suspect: false };
        self.segments.insert(number, account);
    }

    pub fn get(&self, number: SegmentNumber) -> Option<Arc<Segment<F>>> {
        self.segments.get(&number).map(|account| Arc::clone(&account.segment))
    }

    pub fn oldest(&self) -> Option<Arc<Segment<F>>> {
        self.segments.first_key_value().map(|(_, account)| Arc::clone(&account.segment))
    }

    pub fn suspect(&mut self, number: SegmentNumber) {
        if let Some(account) = self.segments.get_mut(&number) {
            account.suspect = true;
        }
    }

    pub fn add(&mut self, segment: SegmentNumber, frame_size: u64) {
        if let Some(account) = self.segments.get_mut(&segment) {
            account.live_messages += 1;
            account.live_bytes += frame_size;
            self.live_bytes += frame_size;
        }
    }

    pub fn subtract(&mut self, segment: SegmentNumber, frame_size: u64) {
        if let Some(account) = self.segments.get_mut(&segment) {
            account.live_messages = account.live_messages.saturating_sub(1);
            account.live_bytes = account.live_bytes.saturating_sub(frame_size);
            self.live_bytes = self.live_bytes.saturating_sub(frame_size);
        }
    }

    pub fn retire(&mut self, retiring: &Retiring) {
        self.subtract(retiring.segment, retiring.frame_size);
    }

    /// Closes the accounts of the oldest segments that are free. `head` is being written.
    pub fn free(&mut self, head: Option<SegmentNumber>) -> Vec<Freed> {
        let mut freed = Vec::new();
        while let Some(first) = self.segments.first_entry() {
            if first.get().live_messages > 0 || Some(*first.key()) == head {
                break;
            }
            let (number, account) = first.remove_entry();
            freed.push(Freed { number, suspect: account.suspect });
        }
        freed
    }

    /// Whether so little of the log lives that the oldest segment is worth moving to the head.
    pub fn is_mostly_dead(&self) -> bool {
        self.segments.len() > SEGMENTS_MIN && self.bytes() > 2 * self.live_bytes
    }

    pub fn segments(&self) -> u64 {
        self.segments.len() as u64
    }

    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    fn bytes(&self) -> u64 {
        self.segments.values().map(|account| u64::from(account.segment.size)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> SegmentNumber {
        SegmentNumber::new(n).unwrap()
    }

    fn books(segments: u32) -> Books<()> {
        let mut books = Books::new();
        for n in 1..=segments {
            books.open(Arc::new(Segment { number: number(n), file: (), size: 1000 }));
        }
        books
    }

    #[test]
    fn a_segment_is_free_only_after_all_older_ones() {
        let mut books = books(3);
        books.add(number(1), 100);
        assert_eq!(books.free(Some(number(3))), []);
        books.subtract(number(1), 100);
        let freed: Vec<u32> = books.free(Some(number(3))).iter().map(|freed| freed.number.get()).collect();
        assert_eq!(freed, [1, 2]);
        assert_eq!((books.segments(), books.live_bytes()), (1, 0));
    }

    #[test]
    fn a_log_is_mostly_dead_when_less_than_half_of_it_lives() {
        let mut books = books(4);
        assert!(!books.is_mostly_dead());
        books.open(Arc::new(Segment { number: number(5), file: (), size: 1000 }));
        assert!(books.is_mostly_dead());
        books.add(number(2), 2500);
        assert!(!books.is_mostly_dead());
    }
}
