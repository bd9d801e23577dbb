//! The queue: an append-only log that never loses an accepted message.
//!
//! # Files
//!
//! Everything stands in one spool directory that one process holds:
//!
//! | file | what | written by |
//! |---|---|---|
//! | `lock` | held with flock(2) as long as the queue is open | [`Files`] |
//! | `log/N.seg` | segment N of the log (16 hexadecimal digits): batches of frames, a footer at its end | committer |
//! | `log/N.spare` | a segment file that is free: all its blocks are on disk | housekeeper |
//! | `blobs/ID`, `blobs/ID.n` | the body of message ID, if it is too large for the log | whoever takes the message in |
//! | `quarantine/…` | copies of what was found damaged; nobody reads them but people | recovery |
//!
//! A **frame** is a checksum and one fact: a message (envelope, and body or the name of a blob),
//! the outcome of attempts, a message held or let go, a message retired, a segment abandoned. A **batch** is the frames of
//! one commit. Batches begin on block boundaries, so what was acknowledged is never written over,
//! not even by a torn write. A segment file is written full once before it is used, so that
//! fdatasync has data to move and nothing else; when nothing in it is needed any more it becomes a
//! later segment.
//!
//! # The states of a message
//!
//! | state | on disk | who moves it on |
//! |---|---|---|
//! | arriving | nothing, or a blob that no frame names | [`Queue::accept`] |
//! | waiting | a message frame, durable; outcomes after it | time: [`Queue::due`] |
//! | held | a held frame after the message's, durable | an operator: [`Queue::set_held`] |
//! | in flight | as waiting | whoever delivers: [`Queue::record`], or [`Queue::release`] |
//! | retired | a retired frame, durable within a second | the committer: it frees the blob and the place in the log |
//!
//! Each recipient of a message waits, flies, and is done (delivered or failed) by itself; the
//! message is retired when all are done, or when an operator says so ([`Queue::remove`]).
//!
//! # After a crash
//!
//! [`Queue::open`] cleans up, and [`Recovery`] says what it found:
//!
//! - A batch that is not whole was never acknowledged: it is dropped, and the next segment says
//!   where the log goes on, so that none of it comes back later.
//! - What does not check though it was durable once is damage: it is copied to `quarantine/` and
//!   reported, and reading goes on behind it.
//! - A blob without a message is removed. What was in flight is waiting again.
//! - A message that its bringer hands in once more, because it heard no answer, is known by its
//!   [`QueueId`](envelope::QueueId) and kept once.
//!
//! # Threads
//!
//! The *committer* writes the log, and alone can make an [`Accepted`]. The *housekeeper* prepares
//! and recycles segments, removes blobs, and gathers what still lives in old segments so that they
//! become free. Everything else runs on the callers' threads and waits for no disk, but for what
//! reads from it ([`Queue::load`], [`Queue::search`], [`Queue::show`]), large bodies
//! ([`BlobWriter`]), [`Queue::flush`] and [`Queue::close`].
#![forbid(unsafe_code)]

pub mod schedule;

mod batch;
mod blob;
mod books;
mod chores;
mod committer;
mod error;
mod files;
mod frame;
mod housekeeper;
mod inbox;
mod index;
mod log;
mod message;
mod note;
mod quarantine;
mod queue;
mod reading;
mod record;
mod recovery;
mod scan;
mod search;
mod segment;
mod settings;
mod shared;
mod sieve;
mod snapshot;
mod storage;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use blob::{BlobWriter, SealedBlob};
pub use committer::Accepted;
pub use error::{LoadError, NotAccepted, OpenError};
pub use files::{Files, SpoolError};
pub use message::{
    Body, Details, Due, INLINE_MAX, Message, NewMessage, REPLY_MAX, RecipientOutcome, RecipientState,
    RecipientStatus, Stats, StoredBody, Summary,
};
pub use queue::Queue;
pub use recovery::{Damaged, Recovery};
pub use search::{Detail, Found, Page};
pub use settings::{BadSegmentSize, Settings};
pub use storage::{Folder, Storage};

/// Locks what a panic cannot leave half changed for long: everything behind our locks is put right
/// before anybody's code is called.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
