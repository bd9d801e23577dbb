//! The frames of one commit, before it is known where they will stand.

use std::io::IoSlice;
use std::ops::Range;

use bytes::Bytes;

use crate::frame::{BLOCK, Flags, HEADER, Header, Kind, SegmentNumber, align};
use crate::note::Note;

/// Frames in the order in which they will be written. Bodies stay where they lie.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Headers, still blank, and the typed parts of payloads.
    octets: Vec<u8>,
    frames: Vec<Framed>,
    length: usize,
    notes_max: usize,
}

#[derive(Debug)]
struct Framed {
    kind: Kind,
    head: Range<usize>,
    body: Vec<Bytes>,
    body_length: usize,
    note: Option<Note>,
}

/// Zeros up to the next block: a write of whole blocks reads none back first.
const PADDING: [u8; BLOCK as usize] = [0; BLOCK as usize];

impl Frames {
    /// Adds a frame: what `write` appends, then the body. Gives its place in this batch.
    pub fn push(
        &mut self,
        kind: Kind,
        note: Option<Note>,
        body: Vec<Bytes>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let start = self.octets.len();
        self.octets.extend_from_slice(&[0; HEADER]);
        write(&mut self.octets);
        let head = start..self.octets.len();
        let body_length: usize = body.iter().map(Bytes::len).sum();
        self.length += head.len() + body_length;
        self.notes_max += note.as_ref().map_or(0, Note::size_max);
        self.frames.push(Framed { kind, head, body, body_length, note });
        self.frames.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Octets of all frames.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The most octets that their notes will take in the footer.
    pub fn notes_max(&self) -> usize {
        self.notes_max
    }

    /// Writes the headers, for a batch that begins at `start` of `segment`, and places the notes.
    pub fn seal(&mut self, segment: SegmentNumber, start: u32, batch: u64, settled: bool) {
        let count = self.frames.len();
        let mut offset = start;
        for (number, frame) in self.frames.iter_mut().enumerate() {
            if let Some(note) = &mut frame.note {
                note.place(offset);
            }
            let payload = frame.head.len() - HEADER + frame.body_length;
            let header = Header {
                length: payload as u32,
                batch,
                kind: frame.kind,
                flags: Flags { first: number == 0, last: number + 1 == count, settled },
            };
            let (blank, head) = self.octets[frame.head.clone()].split_at_mut(HEADER);
            let pieces = std::iter::once(&*head).chain(frame.body.iter().map(|piece| &piece[..]));
            blank.copy_from_slice(&header.seal(segment, pieces));
            offset += (HEADER + payload) as u32;
        }
    }

    /// All octets in order, up to a whole block.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * self.frames.len() + 1);
        // Frames without a body lie together already.
        let mut run = 0..0;
        for frame in &self.frames {
            run.end = frame.head.end;
            if frame.body_length > 0 {
                slices.push(IoSlice::new(&self.octets[run.clone()]));
                slices.extend(frame.body.iter().filter(|piece| !piece.is_empty()).map(|p| IoSlice::new(p)));
                run.start = run.end;
            }
        }
        if !run.is_empty() {
            slices.push(IoSlice::new(&self.octets[run]));
        }
        slices.push(IoSlice::new(&PADDING[..align(self.length) - self.length]));
        slices
    }

    /// The notes of all frames.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.frames.iter().filter_map(|frame| frame.note.as_ref())
    }

    /// The note of one frame.
    pub fn note(&self, frame: usize) -> Option<&Note> {
        self.frames[frame].note.as_ref()
    }

    /// Takes a frame's body back, once it was written.
    pub fn take_body(&mut self, frame: usize) -> Vec<Bytes> {
        std::mem::take(&mut self.frames[frame].body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_reads_back_frame_by_frame(
            frames in proptest::collection::vec(
                (
                    proptest::collection::vec(any::<u8>(), 0..50),
                    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..4),
                ),
                1..20,
            )
        ) {
            let mut batch = Frames::default();
            for (head, body) in &frames {
                let pieces = body.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
                batch.push(Kind::Message, None, pieces, |octets| octets.extend_from_slice(head));
            }
            batch.seal(SegmentNumber::MIN, 4096, 9, true);
            let octets: Vec<u8> = batch.slices().iter().flat_map(|slice| slice.to_vec()).collect();
            prop_assert_eq!(octets.len(), align(batch.length()));
            let mut rest = &octets[..];
            for (number, (head, body)) in frames.iter().enumerate() {
                let frame = Frame::read(SegmentNumber::MIN, rest).unwrap();
                prop_assert_eq!(frame.payload, [head.clone(), body.concat()].concat());
                let flags = Flags { first: number == 0, last: number + 1 == frames.len(), settled: true };
                prop_assert_eq!(frame.header.flags, flags);
                rest = &rest[frame.size()..];
            }
            prop_assert!(rest.iter().all(|octet| *octet == 0));
        }
    }
}
