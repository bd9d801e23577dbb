//! The faces that programs know: `sendmail` and qmail's commands. What their options mean, what they
//! make of a message, and how they say that it did not go.
//!
//! | file | what it knows |
//! |---|---|
//! | [`face`] | the names by which the program is called |
//! | [`options`], [`environment`] | what a call means, by its arguments and its environment |
//! | [`job`] | what a caller wants done with a message |
//! | [`lines`] | the line ends of whatever callers write |
//! | [`intake`] | header and body of a message that arrives |
//! | [`letter`] | who it is from, whom it is for, and what is done to its header |
//! | [`drop_file`] | the form in which it waits while the server is away |
//! | [`qmail_queue`] | the descriptors and exit codes of `qmail-queue` and its stand-ins |
//! | [`refusal`] | why it was not done, what to do about it, and with which exit code that is said |
//! | [`mod@complaint`] | how it is said on standard error |
//! | [`listing`] | how waiting mail is listed |
//! | [`visible`] | what strangers wrote, made fit to be shown |
//!
//! Nothing here touches a socket, a file or a clock: arguments, environment and message come in as
//! octets.
#![forbid(unsafe_code)]

pub mod complaint;
pub mod drop_file;
pub mod environment;
pub mod face;
pub mod intake;
pub mod job;
pub mod letter;
pub mod lines;
pub mod listing;
pub mod options;
pub mod qmail_queue;
pub mod refusal;
pub mod visible;

mod hosts;
mod recipients;

pub use complaint::complaint;
pub use drop_file::{DropFile, DropFileError};
pub use face::{Face, Manner};
pub use intake::Intake;
pub use job::{FromHeader, Job, Names, Treatment};
pub use letter::{Composed, Letter, Standing};
pub use lines::Lines;
pub use options::{Call, Errand, understand};
pub use refusal::Refusal;
