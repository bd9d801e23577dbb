//! The head of the log: where the next batch goes.
//!
//! A segment in which a write or a sync has failed is never written again. What stands in it after
//! the last good sync may or may not have reached the disk, so the segment that follows begins by
//! saying that it does not count ([`Abandoned`]), and is made durable with that before anything
//! else goes into it.

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::batch::Frames;
use crate::frame::{BLOCK, HEADER, Kind, SegmentNumber, align};
use crate::record::{self, Abandoned};
use crate::segment::{Segment, footer_payload, trailer_block};
use crate::storage::Storage;

#[derive(Debug)]
pub(crate) struct Log<S: Storage> {
    storage: Arc<S>,
    head: Option<Head<S::File>>,
    next_batch: u64,
    /// Segments given up, which the next one has to say.
    abandoned: Vec<Abandoned>,
}

#[derive(Debug)]
struct Head<F> {
    segment: Arc<Segment<F>>,
    /// Where the next batch begins.
    end: u32,
    /// Up to where everything is durable.
    durable: u32,
    last_batch: u64,
    notes: Vec<u8>,
    note_count: u32,
}

/// Octets that a footer takes besides its notes, at most: a frame's header, and its own numbers.
const FOOTER_MAX: usize = HEADER + 32;

impl<S: Storage> Log<S> {
    /// A log that goes on after `last_batch`, with no segment to write to yet.
    pub fn new(storage: Arc<S>, last_batch: u64, abandoned: Vec<Abandoned>) -> Log<S> {
        Log { storage, head: None, next_batch: last_batch + 1, abandoned }
    }

    /// The segment that is being written.
    pub fn head(&self) -> Option<SegmentNumber> {
        self.head.as_ref().map(|head| head.segment.number)
    }

    /// The segments given up that no segment in the log speaks of yet.
    pub fn abandoned(&self) -> &[Abandoned] {
        &self.abandoned
    }

    /// Whether the head has room for these frames, and for its footer after them.
    pub fn has_room(&self, frames: &Frames) -> bool {
        self.head.as_ref().is_some_and(|head| {
            let footer = FOOTER_MAX + head.notes.len() + frames.notes_max();
            let end = head.end as usize + align(frames.length()) + align(footer);
            end <= (head.segment.size - BLOCK) as usize
        })
    }

    /// Begins a fresh segment, which says what was given up before it.
    ///
    /// # Errors
    /// Those of the disk; then this segment is given up too.
    pub fn begin(&mut self, segment: Arc<Segment<S::File>>) -> io::Result<()> {
        let (end, notes) = (BLOCK, Vec::new());
        self.head = Some(Head { segment, end, durable: end, last_batch: 0, notes, note_count: 0 });
        if self.abandoned.is_empty() {
            return Ok(());
        }
        let mut frames = Frames::default();
        for abandoned in &self.abandoned {
            frames.push(Kind::Abandoned, None, Vec::new(), |octets| record::write(abandoned, octets));
        }
        self.append(&mut frames)?;
        self.sync()?;
        self.abandoned.clear();
        Ok(())
    }

    /// Writes a batch. It is durable after [`Log::sync`].
    ///
    /// # Errors
    /// Those of the disk; then the segment is given up.
    ///
    /// # Panics
    /// If there is no head: [`Log::has_room`] says so.
    pub fn append(&mut self, frames: &mut Frames) -> io::Result<SegmentNumber> {
        let head = self.head.as_mut().expect("the committer asks for room before it appends");
        let number = head.segment.number;
        frames.seal(number, head.end, self.next_batch, head.end == head.durable);
        let written = {
            let mut slices = frames.slices();
            self.storage.write_at(&head.segment.file, u64::from(head.end), &mut slices)
        };
        if let Err(error) = written {
            self.give_up();
            return Err(error);
        }
        head.end += align(frames.length()) as u32;
        head.last_batch = self.next_batch;
        self.next_batch += 1;
        for note in frames.notes() {
            record::write(note, &mut head.notes);
            head.note_count += 1;
        }
        Ok(number)
    }

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// Those of the disk; then the segment is given up.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some(head) = &mut self.head else { return Ok(()) };
        match self.storage.sync_data(&head.segment.file) {
            Ok(()) => {
                head.durable = head.end;
                Ok(())
            }
            Err(error) => {
                self.give_up();
                Err(error)
            }
        }
    }

    /// Ends the head with its footer and makes it durable; there is no head then.
    ///
    /// # Errors
    /// Those of the disk; then the segment is given up.
    pub fn seal(&mut self) -> io::Result<()> {
        if self.head.as_ref().is_some_and(|head| head.end != head.durable) {
            // The footer must not reach the disk before what it speaks of.
            self.sync()?;
        }
        let Some(head) = &self.head else { return Ok(()) };
        if head.end == BLOCK {
            // Nothing was written: the next start takes the segment for a spare one.
            self.head = None;
            return Ok(());
        }
        let offset = head.end;
        let payload = footer_payload(head.last_batch, head.note_count, &head.notes);
        let mut footer = Frames::default();
        footer.push(Kind::Footer, None, Vec::new(), |octets| octets.extend_from_slice(&payload));
        let number = self.append(&mut footer)?;
        let Some(head) = &self.head else { return Ok(()) };
        let trailer = trailer_block(number, offset);
        let at = u64::from(head.segment.size - BLOCK);
        if let Err(error) = self.storage.write_at(&head.segment.file, at, &mut [IoSlice::new(&trailer)]) {
            self.give_up();
            return Err(error);
        }
        self.sync()?;
        self.head = None;
        Ok(())
    }

    fn give_up(&mut self) {
        if let Some(head) = self.head.take() {
            self.abandoned.push(Abandoned { segment: head.segment.number, offset: head.durable });
        }
    }
}
