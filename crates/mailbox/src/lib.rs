//! Maildirs: writing, listing, reading and removing messages; and files in mbox form, to append to.
//!
//! A mailbox is a directory with `tmp/`, `new/` and `cur/`. A message is written and synced in
//! `tmp/`, renamed into `new/`, and `new/` is synced: then it is delivered. Its name has two parts:
//!
//! ```text
//! 1763975556.Q0c8p3v8xk9z80R0.mail.pobox.example,S=1234,W=1260:2,S
//! └──────────────── unique name ───────────────┘└── sizes ──┘└ flags of readers
//! ```
//! The unique name is derived from what is delivered, so a repeated delivery replaces its own file.
//! The sizes, on disk (`S`, with LF line ends) and on the wire (`W`, with CRLF), spare every reader
//! a look into the file; Dovecot reads them too.
//!
//! How much mail there may be is kept as Maildir++ has it (`room.rs`, `maildirsize.rs`), for mailboxes with
//! a quota; the others pay nothing for it.
//!
//! All of this blocks; it runs on threads of the roles that own mailboxes. Locking out a second
//! reader is their matter as well.
#![forbid(unsafe_code)]

mod beneath;
mod error;
mod lf;
mod listing;
mod listing_cache;
mod maildir;
mod maildirsize;
mod mbox;
mod name;
mod quoting;
mod room;
mod write;

pub use error::MailboxError;
pub use lf::ToLf;
pub use listing::{Listing, NotRemoved};
pub use listing_cache::ListingCache;
pub use maildir::Maildir;
pub use mbox::{Mbox, MboxError};
pub use name::unique_name;
pub use room::{Admitted, NoRoom, Room, Usage};
pub use write::{Draft, Written};
