//! Header fields and trace: what stands above a message's body, and the reports we write ourselves.
//!
//! | file | what it knows |
//! |---|---|
//! | [`received`] | the Received field that we put on top of every message |
//! | [`header_scan`] | hops and size of a header, counted while it arrives |
//! | [`mod@fields`] | the fields of a whole header |
//! | [`mod@address_list`] | whom a To field names, and where |
//! | [`mod@mailboxes`] | whom a From or Sender field names |
//! | [`display_name`] | a name as it stands beside an address |
//! | [`completion`] | the fields that a submission lacks |
//! | [`report`] | the report to a sender of what became of his message |
//! | [`notice`] | what an account's owner is told unasked |
//! | [`auto_reply`] | what a member's mailbox answers while he is away |
//! | [`date`] | dates as header fields write them |
//! | [`status`] | enhanced status codes |
//!
//! Nothing here touches a socket, a file or a clock: dates, names and tokens are arguments.
#![forbid(unsafe_code)]

pub mod address_list;
pub mod auto_reply;
pub mod completion;
pub mod date;
pub mod display_name;
pub mod fields;
pub mod header_scan;
pub mod mailboxes;
pub mod notice;
pub mod received;
pub mod report;
pub mod status;

mod encoding;
mod outside_text;
mod raw_japanese;
mod tokens;

pub use address_list::{AddressList, Listed, address_list};
pub use auto_reply::AutoReply;
pub use completion::Completion;
pub use date::Date;
pub use display_name::DisplayName;
pub use fields::{Field, fields, has_header, unfolded_lines};
pub use header_scan::HeaderScan;
pub use mailboxes::{MailboxesError, mailboxes};
pub use notice::{Notice, Subject};
pub use outside_text::with_ascii_host;
pub use received::{LocalReceived, Protocol, Received};
pub use report::{Action, Occasion, Original, Report, ReportedRecipient, language_of};
pub use status::Status;
