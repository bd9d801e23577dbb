//! What can be wrong with a mailbox, told apart by what is to be done about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A mailbox could not be used.
#[derive(Debug, Error)]
pub enum MailboxError {
    /// The directory, or one of its three, is not there. Somebody has to mend that: it may be a disk
    /// that is not mounted.
    #[error("the mailbox {} is not there", .0.display())]
    Missing(PathBuf),
    /// Its owner or mode does not let us.
    #[error("the mailbox {} is closed to us", .0.display())]
    Denied(PathBuf),
    /// No room, or over a quota of the file system.
    #[error("there is no room on the disk of {}", .0.display())]
    Full(PathBuf),
    /// Anything else.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl MailboxError {
    /// Tells the kinds of an error at `path` apart.
    pub(crate) fn at(path: &Path, source: io::Error) -> MailboxError {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => MailboxError::Missing(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => MailboxError::Denied(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => MailboxError::Full(path),
            _ => MailboxError::Io { path, source },
        }
    }
}
