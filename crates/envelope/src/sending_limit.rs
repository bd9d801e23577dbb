//! Limits on what an account sends.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SendingLimit {
    /// Messages in an hour.
    MessagesPerHour,
    /// Messages in a day.
    MessagesPerDay,
    /// Recipients in an hour.
    RecipientsPerHour,
    /// Recipients in a day.
    RecipientsPerDay,
    /// Recipients to whom the account has not written before, in a day.
    NewRecipientsPerDay,
}

impl fmt::Display for SendingLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendingLimit::MessagesPerHour => "messages per hour",
            SendingLimit::MessagesPerDay => "messages per day",
            SendingLimit::RecipientsPerHour => "recipients per hour",
            SendingLimit::RecipientsPerDay => "recipients per day",
            SendingLimit::NewRecipientsPerDay => "recipients per day who were not written to before",
        })
    }
}

/// A limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("the limit of {most} {which} is reached")]
pub struct LimitReached {
    /// Which.
    pub which: SendingLimit,
    /// How many it allows.
    pub most: u64,
    /// When it is counted anew, in seconds since 1970. None if this one message is over the limit: it
    /// never passes.
    pub until: Option<u64>,
}
