//! Reading a segment that has no footer, batch by batch, and judging what does not check.
//!
//! Something that does not check is a *torn tail* if it may never have been durable: nobody was
//! told that it was, so it is dropped. It is *damage* if something later proves that it had been
//! durable: then it is kept for people to look at. The proof is a later batch that says so
//! ([`Flags::settled`](crate::frame::Flags)), or a later segment in use.

use crate::frame::{BLOCK, Frame, Kind, SegmentNumber, align};
use crate::note::Note;
use crate::record::Abandoned;

/// What a segment without a footer holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The notes of the frames that count.
    pub notes: Vec<Note>,
    /// Where what counts ends.
    pub end: u32,
    /// The number of the last batch that counts, or 0.
    pub last_batch: u64,
    /// Stretches that were durable once and do not check now: from, to.
    pub damage: Vec<(u32, u32)>,
    /// Octets after `end` that are parts of batches that were never acknowledged.
    pub torn: u32,
}

/// A stretch of a segment.
enum Stretch {
    Batch { notes: Vec<Note>, number: u64, settled: bool, to: usize },
    Hole { from: usize, to: usize },
}

/// Scans the octets of a segment, header block included.
///
/// What stands at `limit` or after does not count. `proven` says that a later segment is in use,
/// which was not begun before all of this one was durable.
pub(crate) fn scan(segment: SegmentNumber, octets: &[u8], limit: usize, proven: bool) -> Scan {
    let octets = &octets[..limit.min(octets.len())];
    let stretches = stretches(segment, octets);
    let durable = if proven {
        stretches.len()
    } else {
        let settled = |stretch: &Stretch| matches!(stretch, Stretch::Batch { settled: true, .. });
        stretches.iter().rposition(settled).unwrap_or(0)
    };
    let mut scan = Scan { end: BLOCK, ..Scan::default() };
    for (place, stretch) in stretches.into_iter().enumerate() {
        match stretch {
            Stretch::Batch { notes, number, to, .. } => {
                scan.notes.extend(notes);
                scan.last_batch = number;
                scan.end = to as u32;
            }
            Stretch::Hole { from, to } if place < durable => scan.damage.push((from as u32, to as u32)),
            Stretch::Hole { from, to } => {
                scan.torn = (to - from) as u32;
                break;
            }
        }
    }
    scan
}

fn stretches(segment: SegmentNumber, octets: &[u8]) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut at = BLOCK as usize;
    let mut last = 0;
    let mut hole = None;
    while at < octets.len() {
        match batch(segment, octets, at).filter(|(_, number, _, _)| *number > last) {
            Some((notes, number, settled, to)) => {
                if let Some(from) = hole.take() {
                    stretches.push(Stretch::Hole { from, to: at });
                }
                stretches.push(Stretch::Batch { notes, number, settled, to });
                last = number;
                at = to;
            }
            None => {
                hole.get_or_insert(at);
                at += BLOCK as usize;
            }
        }
    }
    if let Some(from) = hole {
        // The end of a segment is what a recycled file held before: zeros say nothing.
        // Compared block by block, as this is nearly a whole segment at each start.
        const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
        let mut blocks = octets[from..].chunks(BLOCK as usize);
        let written = blocks.rposition(|block| block != &ZEROS[..block.len()]);
        if let Some(last) = written {
            stretches.push(Stretch::Hole { from, to: (from + (last + 1) * ZEROS.len()).min(octets.len()) });
        }
    }
    stretches
}

/// The batch that begins at `at`, if all of it checks: its notes, its number, whether all before
/// it was durable, and where the next one begins.
fn batch(segment: SegmentNumber, octets: &[u8], at: usize) -> Option<(Vec<Note>, u64, bool, usize)> {
    let first = Frame::read(segment, octets.get(at..)?)?.header;
    let mut notes = Vec::new();
    let mut place = at;
    loop {
        let frame = Frame::read(segment, octets.get(place..)?)?;
        let flags = frame.header.flags;
        if flags.first != (place == at) || frame.header.batch != first.batch {
            return None;
        }
        notes.extend(Note::of(&frame, place as u32).ok()?);
        place += frame.size();
        if flags.last {
            return Some((notes, first.batch, first.flags.settled, align(place)));
        }
    }
}

/// The segments that the first batch of a segment gives up. They stand at its front, and what
/// they say is true even if the rest of that batch was torn.
pub(crate) fn abandoned(segment: SegmentNumber, first_batch: &[u8]) -> Vec<Abandoned> {
    let mut found = Vec::new();
    let mut rest = first_batch;
    while let Some(frame) = Frame::read(segment, rest).filter(|f| f.header.kind == Kind::Abandoned) {
        found.extend(postcard::from_bytes::<Abandoned>(frame.payload).ok());
        rest = &rest[frame.size()..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Flags, Header};
    use crate::record::{self, Retired};
    use envelope::QueueId;
    use proptest::prelude::*;

    const ONE: SegmentNumber = SegmentNumber::MIN;

    /// A batch of `count` retirements, ids from `10 * number`.
    fn write_batch(octets: &mut Vec<u8>, number: u64, count: u64, settled: bool) {
        octets.resize(align(octets.len()), 0);
        for n in 0..count {
            let mut payload = Vec::new();
            record::write(&Retired { id: QueueId::from_u64(number * 10 + n) }, &mut payload);
            let flags = Flags { first: n == 0, last: n + 1 == count, settled };
            let header = Header { length: payload.len() as u32, batch: number, kind: Kind::Retired, flags };
            octets.extend_from_slice(&header.seal(ONE, [&payload[..]].into_iter()));
            octets.extend_from_slice(&payload);
        }
        octets.resize(align(octets.len()), 0);
    }

    fn segment(batches: &[(u64, bool)]) -> Vec<u8> {
        let mut octets = vec![0; BLOCK as usize];
        for (number, settled) in batches {
            write_batch(&mut octets, *number, 3, *settled);
        }
        octets.resize(octets.len() + BLOCK as usize, 0);
        octets
    }

    fn ids(scan: &Scan) -> Vec<u64> {
        let id = |note: &Note| match note {
            Note::Retired(id) => id.as_u64(),
            other => panic!("{other:?}"),
        };
        scan.notes.iter().map(id).collect()
    }

    fn scanned(octets: &[u8], proven: bool) -> Scan {
        scan(ONE, octets, octets.len(), proven)
    }

    #[test]
    fn whole_batches_are_read_to_the_end() {
        let scan = scanned(&segment(&[(1, true), (2, true)]), false);
        assert_eq!(ids(&scan), [10, 11, 12, 20, 21, 22]);
        assert_eq!((scan.end, scan.last_batch, scan.torn), (3 * BLOCK, 2, 0));
        assert!(scan.damage.is_empty());
    }

    #[test]
    fn a_torn_last_batch_is_dropped_as_a_whole() {
        let mut octets = segment(&[(1, true), (2, true)]);
        octets[2 * BLOCK as usize + 60] ^= 1;
        let scan = scanned(&octets, false);
        assert_eq!(ids(&scan), [10, 11, 12]);
        assert_eq!((scan.end, scan.torn), (2 * BLOCK, BLOCK));
        assert!(scan.damage.is_empty());
    }

    #[test]
    fn a_bad_batch_before_one_that_came_after_its_sync_is_damage() {
        let mut octets = segment(&[(1, true), (2, true), (3, true)]);
        octets[2 * BLOCK as usize + 60] ^= 1;
        let scan = scanned(&octets, false);
        assert_eq!(ids(&scan), [10, 11, 12, 30, 31, 32]);
        assert_eq!(scan.damage, [(2 * BLOCK, 3 * BLOCK)]);
    }

    #[test]
    fn a_lost_batch_that_was_never_synced_takes_the_later_ones_with_it() {
        // The second batch was written lazily, and the third before anything was synced.
        let mut octets = segment(&[(1, true), (2, true), (3, false)]);
        octets[2 * BLOCK as usize..3 * BLOCK as usize].fill(0);
        let scan = scanned(&octets, false);
        assert_eq!(ids(&scan), [10, 11, 12]);
        assert!(scan.damage.is_empty() && scan.torn > 0);
    }

    #[test]
    fn a_later_segment_makes_a_torn_tail_damage() {
        let mut octets = segment(&[(1, true), (2, true)]);
        octets[2 * BLOCK as usize + 60] ^= 1;
        assert_eq!(scanned(&octets, true).damage, [(2 * BLOCK, 3 * BLOCK)]);
    }

    #[test]
    fn what_was_abandoned_does_not_count() {
        let octets = segment(&[(1, true), (2, true)]);
        let scan = scan(ONE, &octets, 2 * BLOCK as usize, true);
        assert_eq!(ids(&scan), [10, 11, 12]);
        assert!(scan.damage.is_empty());
    }

    #[test]
    fn a_frame_within_a_torn_batch_does_not_begin_a_new_one() {
        let mut octets = vec![0; BLOCK as usize];
        write_batch(&mut octets, 1, 1000, true);
        // Let a frame of the batch stand on a block boundary by cutting out octets before it.
        let from = octets.len() - 2 * BLOCK as usize;
        let second = (from..).find(|at| Frame::read(ONE, &octets[*at..]).is_some()).unwrap();
        octets.drain(from..second);
        let scan = scanned(&octets, false);
        assert_eq!((scan.notes.len(), scan.end), (0, BLOCK));
    }

    proptest! {
        #[test]
        fn any_octets_are_scanned(octets in proptest::collection::vec(any::<u8>(), 0..10_000)) {
            for proven in [false, true] {
                let scan = scanned(&octets, proven);
                prop_assert!(scan.notes.is_empty());
            }
            let _ = abandoned(ONE, &octets);
        }

        #[test]
        fn one_bad_octet_costs_no_other_batch(
            at in BLOCK as usize..9 * BLOCK as usize,
            bit in 0..8u8,
        ) {
            let mut octets = segment(&[1, 2, 3, 4, 5, 6, 7, 8].map(|n| (n, true)));
            octets[at] ^= 1 << bit;
            let scan = scanned(&octets, true);
            let lost = at / BLOCK as usize;
            let found = ids(&scan);
            for number in (1..=8).filter(|n| *n as usize != lost) {
                prop_assert!(found.contains(&(number * 10)));
            }
        }
    }
}
