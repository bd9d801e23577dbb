//! What can go wrong, as callers see it.

use std::io;

use envelope::QueueId;
use thiserror::Error;

use crate::settings::BadSegmentSize;

/// A message was not accepted, or an outcome not recorded: nothing is promised about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAccepted {
    /// The disk is full, or nearly so (452, RFC 5321 §4.2.3).
    #[error("the disk is full")]
    StorageFull,
    /// The disk failed (451).
    #[error("writing to disk failed")]
    Failed,
    /// It would not fit a segment of the log: an inline body far over
    /// [`INLINE_MAX`](crate::INLINE_MAX), or tens of thousands of recipients (552).
    #[error("the message is too large for the queue's log")]
    TooLarge,
    /// The queue is closing.
    #[error("the queue is closing")]
    Closed,
}

impl From<&io::Error> for NotAccepted {
    fn from(error: &io::Error) -> NotAccepted {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NotAccepted::StorageFull,
            _ => NotAccepted::Failed,
        }
    }
}

/// The queue cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A setting is out of range.
    #[error(transparent)]
    Settings(#[from] BadSegmentSize),
    /// The disk failed.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the disk said.
        source: io::Error,
    },
}

/// A message cannot be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The queue does not hold it.
    #[error("there is no message {0} in the queue")]
    NotFound(QueueId),
    /// What was written is not what is read. It stays in the queue, and a copy of what is read in
    /// `quarantine/`, until an operator decides.
    #[error("message {0} is damaged on disk")]
    Damaged(QueueId),
    /// The disk failed.
    #[error("reading message {id}")]
    Io {
        /// The message.
        id: QueueId,
        /// What the disk said.
        source: io::Error,
    },
}

pub(crate) fn opening(doing: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { doing: doing.into(), source }
}
