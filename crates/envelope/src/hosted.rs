//! The domains that are served here, and where an address leads.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::account::{AccountName, Mailbox};
use crate::address::Domain;
use crate::plan::Limit;

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
        /// What stands before the local-part in the extension, so that `info@` of two domains of one
        /// owner are two addresses.
        prefix: Option<Prefix>,
    },
    /// Every address of it is the one of another domain of ours.
    Alias {
        /// A provider or virtual domain.
        of: Domain,
    },
    /// Somebody else's: we take its mail and pass it on to its own servers (a secondary MX, RFC 5321
    /// §5.1).
    Relay,
}

/// What tells the addresses of one virtual domain from those of another: with the prefix `shop`, the
/// extension of `info@shop.example` is `shop-info`, as with `shop.example:xyz-shop` in qmail's
/// `virtualdomains`. A label in lower case, as an account's name is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prefix(AccountName);

/// The text is no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a prefix has 1 to 32 letters, digits or hyphens, and begins and ends with a letter or digit")]
pub struct NotAPrefix;

impl Prefix {
    /// The prefix, without a dash after it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Prefix {
    type Err = NotAPrefix;
    fn from_str(text: &str) -> Result<Prefix, NotAPrefix> {
        text.parse().map(Prefix).map_err(|_| NotAPrefix)
    }
}

/// An address of one of our mailboxes: what delivery needs to find its instructions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalAddress {
    /// The mailbox.
    pub mailbox: Mailbox,
    /// What the sender wrote beyond the account's name, in its case: `foo` of `foo@abc.pobox.example`,
    /// `abc-foo@` and `abc+foo@pobox.example`; the local-part at a virtual domain, after the domain's
    /// prefix. None for the
    /// account's standard address, `abc@pobox.example`; an empty one for `abc-@`.
    pub extension: Option<Box<str>>,
    /// How many octets of mail the mailbox may hold.
    pub quota: Limit,
}

/// Where an address leads: what the directory answers, at RCPT and at delivery alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// A mailbox of ours.
    Local(LocalAddress),
    /// The domain is ours, but nobody has this address.
    NoSuchMailbox,
    /// A domain that we relay for: taken from anybody, and delivered to its own servers.
    Relayed,
    /// A domain that is not ours.
    Elsewhere,
}
