//! `programs`: customers' programs, where the operator allows them.

use std::path::PathBuf;

use envelope::AccountName;
use serde::{Deserialize, Serialize};

use crate::Service;

/// The service of the role `programs`.
pub struct Programs;

impl Service for Programs {
    const NAME: &'static str = "programs";
    type Request = Run;
    type Response = Ran;
    type Event = ();
}

/// Run a program with a message as its standard input: the raw part, or a descriptor that came along.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Whose it is.
    pub account: AccountName,
    /// Its home, where it begins: relative to the directory of all homes.
    pub home: PathBuf,
    /// For `/bin/sh -c`, octet by octet as it stands in the instructions.
    pub command: Vec<u8>,
    /// Its environment. **The values are whatever a stranger wrote.**
    pub environment: Vec<(String, Vec<u8>)>,
    /// Octets of mail data, if it comes as a descriptor.
    pub file_size: Option<u64>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// The beginning of what it said on standard output and standard error.
    pub output: Vec<u8>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It took too long, and was ended.
    TimedOut,
    /// It did not begin, and why.
    NotStarted(String),
    /// It succeeded, but mail that it left was not taken: nothing counts as done.
    NotSent {
        /// A sentence.
        why: String,
        /// Trying again does not help.
        for_good: bool,
    },
}
