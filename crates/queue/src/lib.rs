//! The queue: an append-only log that never loses an accepted message.
#![forbid(unsafe_code)]
