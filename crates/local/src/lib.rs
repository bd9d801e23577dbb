//! Local delivery: what happens to a message for one of our own mailboxes.
#![forbid(unsafe_code)]
