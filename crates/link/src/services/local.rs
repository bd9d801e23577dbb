//! `local`: put this message into these mailboxes.

use envelope::{Address, Mailbox, QueueId, ReversePath};
use serde::{Deserialize, Serialize};

use crate::Service;

/// The service of the role `local`.
pub struct Local;

impl Service for Local {
    const NAME: &'static str = "local";
    type Request = Request;
    type Response = Response;
    type Event = ();
}

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Put a message into mailboxes.
    Deliver(Deliver),
    /// Make a mailbox for a new account.
    Create(Mailbox),
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Response {
    /// What became of each mailbox's copy.
    Delivered(Vec<Delivered>),
    /// The mailbox is there.
    Created,
    /// The mailbox could not be made, and why.
    NotCreated(String),
}

/// One message and its mailboxes. Its mail data is the raw part, or a descriptor that came along.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deliver {
    /// Its name, from which file names are derived.
    pub id: QueueId,
    /// When it came, in seconds since 1970.
    pub arrived: u64,
    /// For Return-Path.
    pub reverse_path: ReversePath,
    /// Each mailbox.
    pub recipients: Vec<LocalRecipient>,
    /// Whether an earlier attempt may have left its file behind.
    pub repeat: bool,
    /// Octets of mail data, if it comes as a descriptor.
    pub file_size: Option<u64>,
}

/// One mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalRecipient {
    /// The recipient's number in the envelope.
    pub number: u32,
    /// For Delivered-To.
    pub address: Address,
    /// Where.
    pub mailbox: Mailbox,
}

/// What became of one mailbox's copy, after it was synced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The recipient's number in the envelope.
    pub number: u32,
    /// What happened.
    pub outcome: Outcome,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It lies in the mailbox, and stays there through a power cut.
    Delivered,
    /// It never will: the status code (RFC 3463) and the reason.
    Failed {
        /// `5.x.y`.
        status: String,
        /// In a sentence.
        reason: String,
    },
    /// Not now.
    Deferred {
        /// In a sentence.
        reason: String,
    },
}
