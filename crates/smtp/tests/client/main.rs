//! The client session against a server that lives in memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod dialogues;
mod driver;
mod properties;
