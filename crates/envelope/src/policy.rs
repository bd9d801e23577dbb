//! Who may send where. Pure rules: facts go in, a [`Recipient`] or a [`Refusal`] comes out.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::address::Address;
use crate::hosted::Destination;

/// Who speaks to us, as far as sending is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    /// Nobody known: may send to our own addresses only.
    Stranger,
}

/// An address that this server agreed to carry mail to.
///
/// [`authorise`] makes it for clients; other honest sources have constructors named for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recipient(Address);

impl Recipient {
    /// The recipient of a bounce that we make ourselves: the reverse-path of a message that we
    /// had accepted.
    pub fn of_bounce(reverse_path: Address) -> Recipient {
        Recipient(reverse_path)
    }

    /// The address.
    pub fn address(&self) -> &Address {
        &self.0
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a recipient is not taken. The words for the wire stand in the `smtp` crate's `replies.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Refusal {
    /// Not our domain, and the client may not relay.
    #[error("relaying denied")]
    RelayDenied,
    /// Our domain, but nobody has this address.
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// The directory does not answer: try again later.
    #[error("the directory does not answer")]
    DirectoryUnavailable,
}

/// Decides on one recipient: our own addresses from anybody, anything else from nobody known.
///
/// # Errors
/// [`Refusal::NoSuchMailbox`] and [`Refusal::RelayDenied`].
pub fn authorise(client: &Client, address: Address, leads_to: &Destination) -> Result<Recipient, Refusal> {
    match (client, leads_to) {
        (_, Destination::Local(_)) => Ok(Recipient(address)),
        (_, Destination::NoSuchMailbox) => Err(Refusal::NoSuchMailbox),
        (Client::Stranger, Destination::Elsewhere) => Err(Refusal::RelayDenied),
    }
}
