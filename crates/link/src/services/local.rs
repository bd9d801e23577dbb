//! `local`: put this message into these mailboxes.

use envelope::{Address, LocalAddress, Mailbox, QueueId, ReversePath};
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
    /// How full is this mailbox?
    Usage(LocalAddress),
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
    /// How full it is; `None` if it cannot be said.
    Usage(Option<Usage>),
}

/// How full a mailbox with a quota is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Octets of mail.
    pub octets: u64,
    /// Since when mail has been refused for want of room, in seconds since 1970.
    pub full_since: Option<u64>,
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

/// One address of ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalRecipient {
    /// The recipient's number in the envelope.
    pub number: u32,
    /// For Delivered-To.
    pub address: Address,
    /// Whose it is, and what stands beyond his name.
    pub local: LocalAddress,
    /// What he wants done with its mail. None: it goes into his mailbox.
    pub orders: Option<Orders>,
    /// The mailbox has this message already, from another member of its family: a copy is not wanted.
    pub has_it: bool,
}

/// What an address's owner wants done with its mail: his instructions, and what he may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// In the language of `.qmail`.
    pub text: String,
    /// What `default` stands for in the name under which they were found, in its original case; `None`
    /// if it is the name of the whole address.
    pub default_part: Option<Box<str>>,
    /// Whether the address has an owner of its own, as a mailing list has.
    pub owner: OwnerAddress,
    /// Whether he may run programs.
    pub programs: bool,
    /// Whether he may name Maildirs and mbox files besides the mailbox.
    pub files: bool,
}

/// Which instructions there are for an address's `-owner`, as qmail decides by files that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerAddress {
    /// None: bounces of what is forwarded go to the sender.
    None,
    /// `-owner`: they go there.
    Owner,
    /// `-owner-default` too: they go there, each to an address that names the recipient (VERP).
    OwnerAndDefault,
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
    /// All that its owner wanted is done, and stays so through a power cut; but for what is to be sent on.
    Delivered(Done),
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

/// What was done with a message, and what is left to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// It lies in the account's own mailbox.
    pub in_mailbox: bool,
    /// It went into a Maildir or an mbox file besides.
    pub in_file: bool,
    /// A program took it.
    pub by_program: bool,
    /// To be sent on, with a Delivered-To field on top: one message each.
    pub forwards: Vec<Forward>,
    /// Forwards that are no address, as they stand in the instructions, and why.
    pub undeliverable: Vec<(String, String)>,
    /// The mailbox has become so full that its owner is to be told: per cent of its quota.
    pub warn: Option<u8>,
}

/// A message to be sent on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Under this reverse-path.
    pub reverse_path: ReversePath,
    /// To these; never empty.
    pub to: Vec<Address>,
}
