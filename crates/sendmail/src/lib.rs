//! The faces that programs know: `sendmail` and qmail's commands. What their options mean, what they
//! make of a message, and how they say that it did not go.
//!
//! | file | what it knows |
//! |---|---|
//! | [`face`] | the names by which the program is called |
//! | [`job`] | what a caller wants done with a message |
//! | [`refusal`] | why it was not done, what to do about it, and with which exit code that is said |
//!
//! Nothing here touches a socket, a file or a clock: arguments, environment and message come in as
//! octets.
#![forbid(unsafe_code)]

pub mod face;
pub mod job;
pub mod refusal;

pub use face::{Face, Manner};
pub use job::{FromHeader, Job, Names, Treatment};
pub use refusal::Refusal;
