//! Bodies that are too large for the log: each in a file of its own, durable before the log names
//! it.
//!
//! A blob that no message names is nobody's: whoever let go of it removes it, and after a crash
//! the next start does.

use std::fmt;
use std::io::{self, IoSlice};
use std::num::NonZeroU32;
use std::sync::Arc;

use envelope::QueueId;

use crate::error::NotAccepted;
use crate::storage::{Folder, Storage};

/// A body while it arrives. Dropped before [`BlobWriter::finish`], it is gone.
pub struct BlobWriter<S: Storage> {
    storage: Arc<S>,
    file: S::File,
    length: u64,
    name: BlobName,
    failed: Option<NotAccepted>,
    sealed: bool,
}

/// A body that is complete and durable. Dropped before it was accepted, it is gone.
#[must_use = "a body without a message is removed"]
pub struct SealedBlob {
    pub(crate) name: BlobName,
    length: u64,
    owner: Option<Arc<dyn Discard>>,
}

/// Names a blob file: the message it is for, and which of those with that name. A message handed
/// in twice has two for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlobName {
    pub id: QueueId,
    /// Counted from 1.
    pub copy: NonZeroU32,
}

/// Removes blobs that nobody names.
pub(crate) trait Discard: Send + Sync {
    fn discard(&self, name: BlobName);
}

struct Blobs<S>(Arc<S>);

impl<S: Storage> Discard for Blobs<S> {
    fn discard(&self, name: BlobName) {
        if let Err(error) = self.0.remove(Folder::Blobs, &name.to_string()) {
            tracing::warn!(blob = %name, %error, "a blob that nobody names could not be removed");
        }
    }
}

impl<S: Storage> BlobWriter<S> {
    pub(crate) fn create(storage: &Arc<S>, id: QueueId) -> Result<BlobWriter<S>, NotAccepted> {
        let mut name = BlobName { id, copy: NonZeroU32::MIN };
        let file = loop {
            match storage.create(Folder::Blobs, &name.to_string()) {
                Ok(file) => break file,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && name.copy < NonZeroU32::MAX => {
                    name.copy = name.copy.saturating_add(1);
                }
                Err(error) => return Err(not_written(name, &error)),
            }
        };
        Ok(BlobWriter { storage: Arc::clone(storage), file, length: 0, name, failed: None, sealed: false })
    }

    /// Writes more of the body.
    ///
    /// # Errors
    /// If the disk is full or fails; then it is useless to go on.
    pub fn append(&mut self, octets: &[u8]) -> Result<(), NotAccepted> {
        if let Some(failure) = self.failed {
            return Err(failure);
        }
        let written = self.storage.write_at(&self.file, self.length, &mut [IoSlice::new(octets)]);
        if let Err(error) = written {
            let failure = not_written(self.name, &error);
            self.failed = Some(failure);
            return Err(failure);
        }
        self.length += octets.len() as u64;
        Ok(())
    }

    /// Octets so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Makes the body durable, and that it has its name. Waits for the disk.
    ///
    /// # Errors
    /// If the disk is full or fails; then the body is gone.
    pub fn finish(mut self) -> Result<SealedBlob, NotAccepted> {
        if let Some(failure) = self.failed {
            return Err(failure);
        }
        self.storage
            .sync_all(&self.file)
            // Until the directory is synced, a power cut can undo the file's name.
            .and_then(|()| self.storage.sync_directory(Folder::Blobs))
            .map_err(|error| not_written(self.name, &error))?;
        self.sealed = true;
        let owner: Arc<dyn Discard> = Arc::new(Blobs(Arc::clone(&self.storage)));
        Ok(SealedBlob { name: self.name, length: self.length, owner: Some(owner) })
    }
}

impl<S: Storage> Drop for BlobWriter<S> {
    fn drop(&mut self) {
        if !self.sealed {
            Blobs(Arc::clone(&self.storage)).discard(self.name);
        }
    }
}

impl<S: Storage> fmt::Debug for BlobWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobWriter").field("name", &self.name).field("length", &self.length).finish()
    }
}

impl SealedBlob {
    /// Octets of the body.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// From now on somebody else removes it: it has a message, or a list of its own.
    pub(crate) fn keep(mut self) -> BlobName {
        self.owner = None;
        self.name
    }
}

impl Drop for SealedBlob {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take() {
            owner.discard(self.name);
        }
    }
}

impl fmt::Debug for SealedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedBlob").field("name", &self.name).field("length", &self.length).finish()
    }
}

impl BlobName {
    /// The blob that a file name names.
    pub fn parse(name: &str) -> Option<BlobName> {
        let (id, copy) = match name.split_once('.') {
            None => (name, NonZeroU32::MIN),
            Some((id, copy)) => (id, copy.parse().ok()?),
        };
        let parsed = BlobName { id: id.parse().ok()?, copy };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.copy {
            NonZeroU32::MIN => write!(f, "{}", self.id),
            copy => write!(f, "{}.{copy}", self.id),
        }
    }
}

fn not_written(name: BlobName, error: &io::Error) -> NotAccepted {
    tracing::error!(blob = %name, %error, "a large body could not be written");
    NotAccepted::from(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Files;

    fn names(spool: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(spool.join("blobs")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_blob_lives_as_long_as_somebody_wants_it() {
        let spool = tempfile::tempdir().unwrap();
        let storage = Arc::new(Files::open(spool.path()).unwrap());
        let id = QueueId::from_u64(5);
        let mut writer = BlobWriter::create(&storage, id).unwrap();
        let second = BlobWriter::create(&storage, id).unwrap();
        writer.append(b"12").unwrap();
        writer.append(b"345").unwrap();
        assert_eq!(names(spool.path()).len(), 2);
        drop(second);
        let sealed = writer.finish().unwrap();
        assert_eq!(sealed.length(), 5);
        assert_eq!(names(spool.path()), [id.to_string()]);
        drop(sealed);
        assert!(names(spool.path()).is_empty());
        let kept = BlobWriter::create(&storage, id).unwrap().finish().unwrap().keep();
        assert_eq!(names(spool.path()), [kept.to_string()]);
    }

    #[test]
    fn a_blob_is_named_by_its_message() {
        let id = QueueId::from_u64(77);
        for copy in [1, 2, 20] {
            let name = BlobName { id, copy: NonZeroU32::new(copy).unwrap() };
            assert_eq!(BlobName::parse(&name.to_string()), Some(name));
        }
        for wrong in ["", "x", &format!("{id}.1"), &format!("{id}.02"), &format!("{id}.x")] {
            assert_eq!(BlobName::parse(wrong), None);
        }
    }
}
