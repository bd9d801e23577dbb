//! Local delivery: what happens to a message for one of our own mailboxes.
//!
//! A [`Job`] is one message for one mailbox. [`deliver`] takes a batch of them: it writes and syncs
//! every file, renames all, syncs each directory once, and only then says what became of them. A
//! [`Pool`] of threads does so with all that waits, so that light load is quick and heavy load
//! shares its syncs.
//!
//! What is to happen to mail for an address may be written in qmail's language, [`dot_qmail`]; an
//! [`Errand`] obeys that, step by step.
#![forbid(unsafe_code)]

mod content;
mod delivery;
pub mod dot_qmail;
mod errand;
mod fields;
mod mbox;
mod pool;

pub use content::{Content, Go, NotCopied};
pub use delivery::{Failure, Job, Outcome, Terms, deliver};
pub use errand::{Assignment, Done, Errand, Program, ProgramEnd, Step};
pub use mbox::append_to_mbox;
pub use pool::Pool;
