//! One segment of the log: a file of fixed size.
//!
//! ```text
//! 0      header block: magic, version, number, checksum
//! 4096   batches of frames, each on a block boundary
//!  …     footer: a batch of one frame, the notes of all others (once the segment is full)
//! -4096  trailer block: where the footer is (once the segment is full)
//! ```

use std::io;

use serde::{Deserialize, Serialize};

use crate::frame::{BLOCK, Frame, HEADER, Kind, Location, SegmentNumber, payload_length};
use crate::message::INLINE_MAX;
use crate::note::Note;
use crate::record;
use crate::storage::{Folder, Storage};

const MAGIC: [u8; 8] = *b"hikyaku\0";
const TRAILER_MAGIC: [u8; 8] = *b"hikyakuF";
const VERSION: u32 = 3;

/// A segment that is open.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub number: SegmentNumber,
    pub file: F,
    /// Octets of the file.
    pub size: u32,
}

/// Why a frame could not be read back.
#[derive(Debug)]
pub(crate) enum FrameError {
    Io(io::Error),
    /// It does not check.
    Damaged,
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> FrameError {
        FrameError::Io(error)
    }
}

/// The name of a segment's file.
pub(crate) fn file_name(number: SegmentNumber) -> String {
    format!("{:016x}.seg", number.get())
}

/// The number in a segment's file name.
pub(crate) fn number_in(name: &str) -> Option<SegmentNumber> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    let number = u64::from_str_radix(digits, 16).ok().and_then(|n| u32::try_from(n).ok())?;
    SegmentNumber::new(number)
}

/// The header block of a segment.
pub(crate) fn header_block(number: SegmentNumber) -> Vec<u8> {
    block(MAGIC, number, 0)
}

/// The trailer block of a segment whose footer begins at `footer`.
pub(crate) fn trailer_block(number: SegmentNumber, footer: u32) -> Vec<u8> {
    block(TRAILER_MAGIC, number, footer)
}

/// The number in a header block.
pub(crate) fn read_header(block: &[u8]) -> Option<SegmentNumber> {
    read_block(MAGIC, block).map(|(number, _)| number)
}

fn block(magic: [u8; 8], number: SegmentNumber, value: u32) -> Vec<u8> {
    let mut octets = Vec::with_capacity(BLOCK as usize);
    octets.extend_from_slice(&magic);
    octets.extend_from_slice(&VERSION.to_le_bytes());
    octets.extend_from_slice(&u64::from(number.get()).to_le_bytes());
    octets.extend_from_slice(&value.to_le_bytes());
    octets.extend_from_slice(&crc32c::crc32c(&octets).to_le_bytes());
    octets.resize(BLOCK as usize, 0);
    octets
}

fn read_block(magic: [u8; 8], block: &[u8]) -> Option<(SegmentNumber, u32)> {
    let (covered, rest) = block.split_at_checked(24)?;
    let checksum = u32::from_le_bytes(*rest.first_chunk()?);
    let version = u32::from_le_bytes(*covered[8..].first_chunk()?);
    if covered[..8] != magic || version != VERSION || crc32c::crc32c(covered) != checksum {
        return None;
    }
    let number = u32::try_from(u64::from_le_bytes(*covered[12..].first_chunk()?)).ok()?;
    Some((SegmentNumber::new(number)?, u32::from_le_bytes(*covered[20..].first_chunk()?)))
}

/// What stands at the front of a footer's payload; the notes follow.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct FooterHead {
    last_batch: u64,
    notes: u32,
}

/// The payload of a footer.
pub(crate) fn footer_payload(last_batch: u64, count: u32, notes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(notes.len() + 16);
    record::write(&FooterHead { last_batch, notes: count }, &mut payload);
    payload.extend_from_slice(notes);
    payload
}

/// What a sealed segment's footer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Where the footer begins.
    pub offset: u32,
    pub last_batch: u64,
    pub notes: Vec<Note>,
}

impl Footer {
    fn read(offset: u32, payload: &[u8]) -> Option<Footer> {
        let (head, mut rest) = postcard::take_from_bytes::<FooterHead>(payload).ok()?;
        let mut notes = Vec::new();
        for _ in 0..head.notes {
            let (note, left) = postcard::take_from_bytes(rest).ok()?;
            notes.push(note);
            rest = left;
        }
        Some(Footer { offset, last_batch: head.last_batch, notes })
    }
}

impl<F: Send + Sync + 'static> Segment<F> {
    /// Opens the segment with this number.
    ///
    /// # Errors
    /// Those of the disk, and [`io::ErrorKind::InvalidData`] if the file has an impossible size.
    pub fn open<S: Storage<File = F>>(storage: &S, number: SegmentNumber) -> io::Result<Segment<F>> {
        let file = storage.open(Folder::Log, &file_name(number))?;
        let size = storage.length(&file)?;
        let size = u32::try_from(size).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Segment { number, file, size })
    }

    /// Where the footer begins, if the segment is sealed.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn trailer<S: Storage<File = F>>(&self, storage: &S) -> io::Result<Option<u32>> {
        let Some(at) = self.size.checked_sub(BLOCK) else { return Ok(None) };
        let trailer = read_block(TRAILER_MAGIC, &self.read(storage, at, BLOCK as usize)?);
        let ours = trailer.filter(|(number, footer)| *number == self.number && *footer < at);
        Ok(ours.map(|(_, footer)| footer))
    }

    /// The footer, if the segment is sealed and its footer checks.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn footer<S: Storage<File = F>>(&self, storage: &S) -> io::Result<Option<Footer>> {
        let Some(offset) = self.trailer(storage)? else { return Ok(None) };
        let location = Location { segment: self.number, offset };
        match self.payload(storage, location, Kind::Footer, BLOCK) {
            Ok(payload) => Ok(Footer::read(offset, &payload)),
            Err(FrameError::Damaged) => Ok(None),
            Err(FrameError::Io(error)) => Err(error),
        }
    }

    /// A frame's payload, checked.
    ///
    /// `expected` is how long the payload is thought to be: if it is right, one read is enough.
    ///
    /// # Errors
    /// If it cannot be read or does not check.
    pub fn payload<S: Storage<File = F>>(
        &self,
        storage: &S,
        location: Location,
        kind: Kind,
        expected: u32,
    ) -> Result<Vec<u8>, FrameError> {
        let mut octets = self.read(storage, location.offset, HEADER + expected as usize)?;
        let length = octets.first_chunk().map(payload_length).ok_or(FrameError::Damaged)?;
        if length > self.size {
            return Err(FrameError::Damaged);
        }
        if length as usize + HEADER > octets.len() {
            octets = self.read(storage, location.offset, HEADER + length as usize)?;
        }
        match Frame::read(self.number, &octets) {
            Some(frame) if frame.header.kind == kind => {
                octets.truncate(HEADER + length as usize);
                octets.drain(..HEADER);
                Ok(octets)
            }
            _ => Err(FrameError::Damaged),
        }
    }

    /// Up to `length` octets at `offset`; less if the file ends before.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read<S: Storage<File = F>>(&self, storage: &S, offset: u32, length: usize) -> io::Result<Vec<u8>> {
        let length = length.min(self.size.saturating_sub(offset) as usize);
        let mut octets = vec![0; length];
        let read = storage.read_at(&self.file, u64::from(offset), &mut octets)?;
        octets.truncate(read);
        Ok(octets)
    }
}

// A body that belongs in the log must fit a frame of the smallest segment that is sensible.
const _: () = assert!(INLINE_MAX <= (64 << 20) / 4);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_segment_is_named_by_its_number() {
        let number = SegmentNumber::new(0x2a).unwrap();
        assert_eq!(file_name(number), "000000000000002a.seg");
        assert_eq!(number_in("000000000000002a.seg"), Some(number));
        for wrong in ["0000000000000000.seg", "2a.seg", "000000000000002a.spare", "00000001000000001.seg"] {
            assert_eq!(number_in(wrong), None);
        }
    }

    #[test]
    fn a_header_is_not_a_trailer() {
        let number = SegmentNumber::new(3).unwrap();
        assert_eq!(read_header(&header_block(number)), Some(number));
        assert_eq!(read_header(&trailer_block(number, 8192)), None);
        assert_eq!(read_block(TRAILER_MAGIC, &trailer_block(number, 8192)), Some((number, 8192)));
    }

    proptest! {
        #[test]
        fn any_octets_are_a_header_a_footer_or_none(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_header(&octets);
            let _ = Footer::read(0, &octets);
        }
    }
}
