//! A session as a whole, with a shell that lives in memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod dialogues;
mod driver;
mod properties;
mod senders;
