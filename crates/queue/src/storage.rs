//! What the queue asks of a disk. [`Files`](crate::Files) is the real one; tests bring one that
//! fails.

use std::io::{self, IoSlice};

/// The folders under the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Folder {
    /// The segments of the log, and spare ones.
    Log,
    /// Bodies that are too large for the log.
    Blobs,
    /// Copies of what was found damaged.
    Quarantine,
}

impl Folder {
    /// The folder's name under the spool.
    pub fn as_str(self) -> &'static str {
        match self {
            Folder::Log => "log",
            Folder::Blobs => "blobs",
            Folder::Quarantine => "quarantine",
        }
    }
}

/// A disk with three folders.
///
/// What is written may be lost until [`Storage::sync_data`] or [`Storage::sync_all`] of the file
/// returns; that a file has its name, until [`Storage::sync_directory`] of its folder returns.
/// After a sync has failed nobody knows what is on the disk, so it is never tried again.
pub trait Storage: Send + Sync + 'static {
    /// An open file.
    type File: Send + Sync + 'static;

    /// Makes a new, empty file and opens it to read and write.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one of that name.
    fn create(&self, folder: Folder, name: &str) -> io::Result<Self::File>;

    /// Opens a file to read and write.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none.
    fn open(&self, folder: Folder, name: &str) -> io::Result<Self::File>;

    /// Opens a file to read alone, so that it can be handed to somebody who must not change it.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none.
    fn open_to_read(&self, folder: Folder, name: &str) -> io::Result<Self::File> {
        self.open(folder, name)
    }

    /// Gives a file another name in the same folder, replacing what had it.
    ///
    /// # Errors
    /// Those of the disk.
    fn rename(&self, folder: Folder, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the disk.
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()>;

    /// The names in a folder, in any order. Names that are no text are left out.
    ///
    /// # Errors
    /// Those of the disk.
    fn list(&self, folder: Folder) -> io::Result<Vec<String>>;

    /// Makes durable which names stand in a folder.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync_directory(&self, folder: Folder) -> io::Result<()>;

    /// Gives a new file `length` octets of zeros, written out and not only promised, so that a
    /// later [`Storage::sync_data`] moves data alone.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] and others.
    fn allocate(&self, file: &Self::File, length: u64) -> io::Result<()>;

    /// The length of a file in octets.
    ///
    /// # Errors
    /// Those of the disk.
    fn length(&self, file: &Self::File) -> io::Result<u64>;

    /// Writes all the pieces one after the other at `offset`. May advance the slices.
    ///
    /// # Errors
    /// Any: then some of it may have been written.
    fn write_at(&self, file: &Self::File, offset: u64, pieces: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Reads at `offset` until the buffer is full or the file ends; gives the octets read.
    ///
    /// # Errors
    /// Those of the disk.
    fn read_at(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Makes the file's data durable (fdatasync).
    ///
    /// # Errors
    /// Any: then some of the data may be lost.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;

    /// Makes the file's data and length durable (fsync).
    ///
    /// # Errors
    /// Any: then some of the data may be lost.
    fn sync_all(&self, file: &Self::File) -> io::Result<()>;

    /// Octets that the file system has free for us.
    ///
    /// # Errors
    /// Those of the disk.
    fn free_space(&self) -> io::Result<u64>;
}
