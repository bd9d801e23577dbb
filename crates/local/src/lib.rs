//! Local delivery: what happens to a message for one of our own mailboxes.
//!
//! A [`Job`] is one message for one mailbox. [`deliver`] takes a batch of them: it writes and syncs
//! every file, renames all, syncs each directory once, and only then says what became of them. A
//! [`Pool`] of threads does so with all that waits, so that light load is quick and heavy load
//! shares its syncs.
//!
//! What is to happen to mail for an address is written in qmail's language: [`dot_qmail`].
#![forbid(unsafe_code)]

mod delivery;
pub mod dot_qmail;
mod fields;
mod pool;

pub use delivery::{Content, Job, Outcome, deliver};
pub use pool::Pool;
