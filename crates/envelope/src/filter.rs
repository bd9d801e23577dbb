//! Which messages of the queue somebody asks for, and how far a walk through them has come.

mod pattern;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::account::AccountName;
use crate::address::{Address, Host};
use crate::queue_id::QueueId;

pub use pattern::{AddressPattern, NotAPattern};

/// Which messages of the queue are meant: those of which everything that is said here is true. Says
/// nothing by default, and means all.
///
/// What is said of recipients (`recipient`, `domain`, `reason`) must all be true of one that still waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// One of these; any if none is named.
    pub ids: BTreeSet<QueueId>,
    /// Its reverse-path.
    pub sender: Option<AddressPattern>,
    /// The customer who sent it.
    pub account: Option<AccountName>,
    /// It came then or earlier, in seconds since 1970.
    pub arrived_by: Option<u64>,
    /// Its mail data has more octets than this.
    pub larger_than: Option<u64>,
    /// An operator holds it.
    pub held: bool,
    /// Whom it waits for.
    pub recipient: Option<AddressPattern>,
    /// The host of whom it waits for.
    pub domain: Option<Host>,
    /// A part of what the last attempt said, in any case.
    pub reason: Option<String>,
}

impl Filter {
    /// Whether something is said of recipients, so that not every one of a message need be meant.
    pub fn picks_recipients(&self) -> bool {
        self.recipient.is_some() || self.domain.is_some() || self.reason.is_some()
    }

    /// Whether this recipient is meant, but for what was said to it. Waiting or not is not asked here.
    pub fn picks(&self, recipient: &Address) -> bool {
        self.domain.as_ref().is_none_or(|host| recipient.host == *host)
            && self.recipient.as_ref().is_none_or(|pattern| pattern.is_address(recipient))
    }
}

/// How far a walk through the queue has come, in the order of names.
///
/// It ends at the message that was the last when it began: what arrives meanwhile does not prolong it,
/// and what is made by it is not met on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// The last message that was looked at; none at the beginning.
    pub after: Option<QueueId>,
    /// Where it ends; none until the queue has said so.
    pub until: Option<QueueId>,
}
