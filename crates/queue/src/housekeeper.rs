//! The housekeeper: a thread for what nobody should wait for.
//!
//! It prepares the next segment while the head fills, recycles segments that are free, removes
//! blobs of retired messages, and reads the living messages of the oldest segment for the
//! committer to write anew when most of the log is dead.

mod compaction;

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::compaction::Moving;
use crate::blob::BlobName;
use crate::books::Freed;
use crate::chores::Chore;
use crate::frame::SegmentNumber;
use crate::segment::{Segment, file_name, header_block};
use crate::shared::Shared;
use crate::storage::{Folder, Storage};

/// Free segment files that are kept for later; what is more is removed.
const SPARES_MAX: usize = 2;

pub(crate) struct Housekeeper<S: Storage> {
    shared: Arc<Shared<S>>,
    /// Names of free segment files.
    spares: Vec<String>,
    next: SegmentNumber,
    /// Names of files that a failure has left behind.
    leftovers: Vec<String>,
    /// Whether freeing goes on: it must keep its order, so after a failure it waits.
    recycling: bool,
    /// What is left to move of the oldest segment.
    moving: Option<Moving<S::File>>,
    /// Whether the committer has some of it in hand.
    in_hand: Arc<AtomicBool>,
    /// An oldest segment that cannot be compacted, for something in it does not read.
    stuck: Option<SegmentNumber>,
}

impl<S: Storage> Housekeeper<S> {
    /// `spares` are free segment files, `next` the first segment number never used.
    pub fn new(shared: Arc<Shared<S>>, spares: Vec<String>, next: SegmentNumber) -> Housekeeper<S> {
        let in_hand = Arc::default();
        Housekeeper {
            shared,
            spares,
            next,
            leftovers: Vec::new(),
            recycling: true,
            moving: None,
            in_hand,
            stuck: None,
        }
    }

    /// Works until the queue is closed.
    pub fn run(mut self) {
        let _closing = Closing(Arc::clone(&self.shared));
        loop {
            let chore = self.shared.chores.next(!self.spares.is_empty(), self.recycling);
            self.recycling = true;
            match chore {
                Chore::Prepare => {
                    let prepared = self.prepare();
                    self.shared.chores.prepared(prepared);
                }
                Chore::Recycle(freed) => self.recycle(freed),
                Chore::RemoveBlobs(blobs) => self.remove_blobs(&blobs),
                Chore::Compact => self.compact(),
                Chore::Leave => break,
            }
        }
    }

    /// Makes a segment ready: all of it on disk, its header durable, its name durable.
    fn prepare(&mut self) -> io::Result<Segment<S::File>> {
        self.clear_away()?;
        let number = self.next;
        self.next = number.checked_add(1).ok_or(io::ErrorKind::QuotaExceeded)?;
        let (spare, fresh) = match self.spares.pop() {
            Some(spare) => (spare, false),
            None => (spare_name(number), true),
        };
        let name = file_name(number);
        let prepared = self.make_ready(number, &spare, fresh, &name);
        if prepared.is_err() {
            self.leftovers.extend([spare, name]);
            // At once if it can be: it takes room that a full disk needs.
            let _ = self.clear_away();
        }
        prepared
    }

    fn make_ready(
        &self,
        number: SegmentNumber,
        spare: &str,
        fresh: bool,
        name: &str,
    ) -> io::Result<Segment<S::File>> {
        let storage = &*self.shared.storage;
        let size = self.shared.settings.segment_size;
        let file = if fresh {
            let file = storage.create(Folder::Log, spare)?;
            storage.allocate(&file, u64::from(size))?;
            file
        } else {
            storage.open(Folder::Log, spare)?
        };
        storage.write_at(&file, 0, &mut [IoSlice::new(&header_block(number))])?;
        storage.sync_all(&file)?;
        storage.rename(Folder::Log, spare, name)?;
        storage.sync_directory(Folder::Log)?;
        Ok(Segment { number, file, size })
    }

    /// Removes, durably, what a failure has left behind. No segment is made ready before: one that
    /// was never used, between two that were, would look like damage.
    fn clear_away(&mut self) -> io::Result<()> {
        if self.leftovers.is_empty() {
            return Ok(());
        }
        let storage = &*self.shared.storage;
        for name in &self.leftovers {
            match storage.remove(Folder::Log, name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        storage.sync_directory(Folder::Log)?;
        self.leftovers.clear();
        Ok(())
    }

    /// Keeps the file of a free segment for later, or removes it. That is durable before the next
    /// one: what retired a message stands in a later segment, which must not be gone while the
    /// message is back.
    fn recycle(&mut self, freed: Freed) {
        let storage = &*self.shared.storage;
        let name = file_name(freed.number);
        let keep = !freed.suspect && self.spares.len() < SPARES_MAX && self.fits(freed.number);
        let done = if keep {
            storage.rename(Folder::Log, &name, &spare_name(freed.number))
        } else {
            storage.remove(Folder::Log, &name)
        };
        // A second attempt finds the name gone, and has to make that durable still.
        let done = match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        match done.and_then(|()| storage.sync_directory(Folder::Log)) {
            Ok(()) if keep => self.spares.push(spare_name(freed.number)),
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(segment = freed.number, %error, "a free segment could not be recycled");
                self.recycling = false;
                self.shared.chores.put_back(freed);
            }
        }
    }

    fn fits(&self, number: SegmentNumber) -> bool {
        let segment = Segment::open(&*self.shared.storage, number);
        segment.is_ok_and(|segment| segment.size == self.shared.settings.segment_size)
    }

    fn remove_blobs(&self, blobs: &[BlobName]) {
        for blob in blobs {
            if let Err(error) = self.shared.storage.remove(Folder::Blobs, &blob.to_string()) {
                tracing::warn!(%blob, %error, "a blob could not be removed; the next start will");
            }
        }
    }
}

/// The name of a free segment file that had this number, or will have.
fn spare_name(number: SegmentNumber) -> String {
    format!("{:016x}.spare", number.get())
}

/// Lets nobody wait for a housekeeper that is gone.
struct Closing<S: Storage>(Arc<Shared<S>>);

impl<S: Storage> Drop for Closing<S> {
    fn drop(&mut self) {
        self.0.chores.close();
    }
}
