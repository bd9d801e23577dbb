//! Frames: what the log is made of. Length, CRC-32C, batch, kind; then the payload.
//!
//! The checksum covers the number of the segment too, so a frame that an earlier life of a
//! recycled segment left behind never checks. A batch is what one commit wrote: it begins on a
//! block boundary with a frame that says so, and ends with one that says so.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The unit of the log in octets: a batch begins on a multiple of it.
pub(crate) const BLOCK: u32 = 4096;
/// Octets of a frame before its payload.
pub(crate) const HEADER: usize = 20;

/// Numbers a segment; 2³² segments of 64 MiB are 256 EiB.
pub(crate) type SegmentNumber = NonZeroU32;

/// Where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Location {
    pub segment: SegmentNumber,
    pub offset: u32,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Outcome,
    Retired,
    Abandoned,
    Footer,
    Held,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Kind> {
        Some(match octet {
            1 => Kind::Message,
            2 => Kind::Outcome,
            3 => Kind::Retired,
            4 => Kind::Abandoned,
            5 => Kind::Footer,
            6 => Kind::Held,
            _ => return None,
        })
    }

    fn octet(self) -> u8 {
        match self {
            Kind::Message => 1,
            Kind::Outcome => 2,
            Kind::Retired => 3,
            Kind::Abandoned => 4,
            Kind::Footer => 5,
            Kind::Held => 6,
        }
    }
}

/// Where a frame stands in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags {
    /// It begins the batch.
    pub first: bool,
    /// It ends the batch.
    pub last: bool,
    /// Everything before this batch was durable when this batch was written. So if something
    /// before it does not check, that is damage and not a write that never happened.
    pub settled: bool,
}

impl Flags {
    fn from_octet(octet: u8) -> Option<Flags> {
        (octet < 8).then_some(Flags { first: octet & 1 != 0, last: octet & 2 != 0, settled: octet & 4 != 0 })
    }

    fn octet(self) -> u8 {
        u8::from(self.first) | u8::from(self.last) << 1 | u8::from(self.settled) << 2
    }
}

/// A frame's header, but for the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Octets of payload.
    pub length: u32,
    pub batch: u64,
    pub kind: Kind,
    pub flags: Flags,
}

impl Header {
    /// The header's octets, for a payload in these pieces.
    pub fn seal<'a>(&self, segment: SegmentNumber, payload: impl Iterator<Item = &'a [u8]>) -> [u8; HEADER] {
        let mut octets = [0; HEADER];
        octets[..4].copy_from_slice(&self.length.to_le_bytes());
        octets[8..16].copy_from_slice(&self.batch.to_le_bytes());
        octets[16] = self.kind.octet();
        octets[17] = self.flags.octet();
        let checksum = payload.fold(start_checksum(segment, &octets), crc32c::crc32c_append);
        octets[4..8].copy_from_slice(&checksum.to_le_bytes());
        octets
    }
}

/// A frame that checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub header: Header,
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame of `segment` that begins at the front of `octets`, if one checks there.
    pub fn read(segment: SegmentNumber, octets: &'a [u8]) -> Option<Frame<'a>> {
        let (octets_of_header, rest) = octets.split_first_chunk::<HEADER>()?;
        let length = payload_length(octets_of_header);
        let payload = rest.get(..length as usize)?;
        let header = Header {
            length,
            batch: u64::from_le_bytes(*octets_of_header[8..].first_chunk()?),
            kind: Kind::from_octet(octets_of_header[16])?,
            flags: Flags::from_octet(octets_of_header[17])?,
        };
        let checksum = u32::from_le_bytes(*octets_of_header[4..].first_chunk()?);
        let right = crc32c::crc32c_append(start_checksum(segment, octets_of_header), payload);
        (checksum == right).then_some(Frame { header, payload })
    }

    /// Octets of the frame, header and payload.
    pub fn size(&self) -> usize {
        HEADER + self.payload.len()
    }
}

/// The payload's length as a header gives it, unchecked.
pub(crate) fn payload_length(header: &[u8; HEADER]) -> u32 {
    u32::from_le_bytes([header[0], header[1], header[2], header[3]])
}

/// The checksum of the segment's number and the header, the checksum's own place left out.
fn start_checksum(segment: SegmentNumber, header: &[u8; HEADER]) -> u32 {
    let mut octets = [0; 4 + HEADER - 4];
    octets[..4].copy_from_slice(&segment.get().to_le_bytes());
    octets[4..8].copy_from_slice(&header[..4]);
    octets[8..].copy_from_slice(&header[8..]);
    crc32c::crc32c(&octets)
}

/// The next block boundary at or after `offset`.
pub(crate) fn align(offset: usize) -> usize {
    offset.next_multiple_of(BLOCK as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(n: u32) -> SegmentNumber {
        SegmentNumber::new(n).unwrap()
    }

    fn frame(segment: SegmentNumber, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            length: payload.len() as u32,
            batch: 7,
            kind: Kind::Outcome,
            flags: Flags { first: true, last: false, settled: true },
        };
        let mut octets = header.seal(segment, payload.chunks(3)).to_vec();
        octets.extend_from_slice(payload);
        octets
    }

    #[test]
    fn a_frame_of_another_segment_does_not_check() {
        let octets = frame(number(1), b"payload");
        assert_eq!(Frame::read(number(1), &octets).unwrap().payload, b"payload");
        assert_eq!(Frame::read(number(2), &octets), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_a_frame_or_none(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frame::read(number(1), &octets);
        }

        #[test]
        fn a_changed_bit_or_a_missing_octet_never_checks(
            payload in proptest::collection::vec(any::<u8>(), 0..100),
            place: proptest::sample::Index,
            bit in 0..8u8,
        ) {
            let octets = frame(number(1), &payload);
            let read = Frame::read(number(1), &octets).unwrap();
            prop_assert_eq!(read.payload, &payload[..]);
            prop_assert_eq!(read.size(), octets.len());
            prop_assert_eq!(Frame::read(number(1), &octets[..octets.len() - 1]), None);
            let mut changed = octets.clone();
            let at = place.index(changed.len());
            changed[at] ^= 1 << bit;
            // Two octets of the header are kept for later; they are covered all the same.
            prop_assert_eq!(Frame::read(number(1), &changed), None);
        }
    }
}
