//! The client session against a server that lives in memory.

mod dialogues;
mod driver;
mod properties;
