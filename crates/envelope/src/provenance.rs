//! Where a message comes from: what its envelope does not say, and the queue keeps with it.

use serde::{Deserialize, Serialize};

use crate::account::AccountName;
use crate::address::Address;
use crate::queue_id::QueueId;

/// Where a message comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The customer who sent it, and whose limits it counted against; `None` for a stranger's message
    /// and for one of our own.
    pub account: Option<AccountName>,
    /// What it was forwarded from; `None` for a message that came from outside.
    pub lineage: Option<Lineage>,
}

/// The family of a forwarded message: every message that was forwarded from the same one, over however
/// many addresses.
///
/// A family reaches no address and no mailbox twice, so it ends, whatever its members' owners forward
/// to one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The message that came from outside.
    pub origin: QueueId,
    /// How many copies forwards had made of it, this message's among them: one for each address.
    pub copies: u32,
    /// What the family had reached when this message was made, this message's recipients included.
    pub reached: Vec<Reached>,
}

/// A place that a family of forwarded messages has reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reached {
    /// An address, folded: see [`Reached::address`].
    Address(Box<str>),
    /// An account's own mailbox.
    Mailbox(AccountName),
}

impl Reached {
    /// An address, in the form in which two that mean the same are equal: without regard to case.
    ///
    /// At hosts that do keep `Foo` and `foo` apart, one of the two gets no copy of what is forwarded to
    /// both; nobody is known to.
    pub fn address(address: &Address) -> Reached {
        Reached::Address(format!("{}@{}", address.local_part.folded(), address.host).into())
    }
}
