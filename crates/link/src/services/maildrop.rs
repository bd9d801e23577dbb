//! `maildrop`: the mailboxes that POP3 reads.

use serde::{Deserialize, Serialize};

use crate::Service;
use crate::grant::MailboxGrant;

/// The service of the role `maildrop`.
pub struct Maildrop;

impl Service for Maildrop {
    const NAME: &'static str = "maildrop";
    type Request = Request;
    type Response = Response;
    type Event = ();
}

/// Names an open mailbox: at random, so that none is ever taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Open a mailbox and lock it.
    Open(MailboxGrant),
    /// The unique ids of its messages from number `first` (from 0) on, as many as fit.
    Uids {
        /// The mailbox.
        session: SessionId,
        /// The first message's number, from 0.
        first: u32,
    },
    /// Open these messages for reading: `count` from number `first` (from 0). The descriptors
    /// come along; fewer than asked if one cannot be opened.
    Fetch {
        /// The mailbox.
        session: SessionId,
        /// The first message's number, from 0.
        first: u32,
        /// How many.
        count: u32,
    },
    /// Remove these messages, mark those as seen, close, and unlock.
    Finish {
        /// The mailbox.
        session: SessionId,
        /// Numbers from 0.
        remove: Vec<u32>,
        /// Numbers from 0.
        seen: Vec<u32>,
    },
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Response {
    /// It is open: the sizes of its messages in octets with CRLF line ends (RFC 1939 §11).
    Opened(SessionId, Vec<u64>),
    /// Somebody else has it open.
    InUse,
    /// It is not there: somebody has to mend it.
    NoMailbox,
    /// It cannot be opened or read now; the log says why.
    Unavailable,
    /// The grant is forged or too old.
    Forbidden,
    /// The unique ids.
    Uids(Vec<String>),
    /// The messages, as descriptors that come along.
    Fetched,
    /// Closed, and how many messages could not be removed.
    Finished {
        /// Messages that are still there though they should not be.
        not_removed: u32,
    },
}
