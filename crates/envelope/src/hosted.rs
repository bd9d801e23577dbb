//! The domains that are served here, and where an address leads.

use serde::{Deserialize, Serialize};

use crate::account::{AccountName, Mailbox};
use crate::address::Domain;

/// A domain of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedDomain {
    /// Its name.
    pub name: Domain,
    /// What it is to us.
    pub kind: DomainKind,
}

/// What a domain is to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DomainKind {
    /// Accounts live directly under it, and account `abc` owns its sub-domain `abc.`.
    Provider,
    /// One account owns it, every local-part included.
    Virtual {
        /// The account.
        owner: AccountName,
    },
}

/// Where an address leads: what the directory answers, at RCPT and at delivery alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// A mailbox of ours.
    Local(Mailbox),
    /// The domain is ours, but nobody has this address.
    NoSuchMailbox,
    /// A domain that is not ours.
    Elsewhere,
}
