//! `remote`: carry this message to other hosts.

use std::net::IpAddr;

use envelope::dns::{DnsAnswer, DnsQuestion};
use envelope::{Address, BodyType, Host, MessageWishes, QueueId, RecipientWishes, ReversePath};
use serde::{Deserialize, Serialize};

use crate::Service;

/// The service of the role `remote`.
pub struct Remote;

impl Service for Remote {
    const NAME: &'static str = "remote";
    type Request = Request;
    type Response = Response;
    type Event = ();
}

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Carry a message to its recipients at one domain. The mail data is the raw part, or a descriptor
    /// that came along.
    Deliver(Deliver),
    /// How do the destinations do?
    Health,
    /// Try a destination again that is being left alone.
    Resume(String),
    /// What does the DNS say now? At most [`envelope::dns::QUESTIONS_MAX`] questions; those beyond are not asked.
    LookUp(Vec<DnsQuestion>),
}

/// One message, and its recipients at one domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deliver {
    /// Its name, for the log.
    pub id: QueueId,
    /// For MAIL.
    pub reverse_path: ReversePath,
    /// The domain, or the address literal, that all recipients have.
    pub to: Host,
    /// For RCPT; never empty.
    pub recipients: Vec<Recipient>,
    /// What its sender said of the mail data.
    pub body: BodyType,
    /// Whether its sender asked for SMTPUTF8.
    pub smtputf8: bool,
    /// What its sender wishes for reports, to be passed on where that can be said (RFC 3461).
    pub wishes: MessageWishes,
    /// Octets of mail data, if it comes as a descriptor.
    pub file_size: Option<u64>,
}

/// One of the recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Who.
    pub address: Address,
    /// What the sender wishes for reports on him.
    pub wishes: RecipientWishes,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Response {
    /// What became of each recipient, in their order.
    Tried(Vec<Outcome>),
    /// Destinations that are in use or in trouble.
    Health(Vec<Destination>),
    /// As asked.
    Done,
    /// What the DNS says to each question, in their order.
    LookedUp(Vec<DnsAnswer>),
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// That host has taken the message for him.
    Delivered {
        /// Which.
        peer: Peer,
        /// What it said.
        reply: String,
        /// Whether it went there under TLS.
        under_tls: bool,
        /// Whether it writes the reports that the sender wishes.
        dsn: bool,
    },
    /// He will never get it.
    Failed(Diagnosis),
    /// Not now.
    Deferred(Diagnosis),
}

/// A host that takes mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The status code (RFC 3463).
    pub status: String,
    /// Who said no, or did not answer.
    pub peer: Option<Peer>,
    /// Its words, if it had any.
    pub reply: Option<String>,
    /// In sentences.
    pub text: String,
    /// The host may have the message all the same.
    pub possibly_delivered: bool,
}

/// How a destination does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// A domain, or the host of a route.
    pub name: String,
    /// Messages on their way.
    pub active: u64,
    /// How many there may be now.
    pub limit: u64,
    /// How often in a row it could not be reached.
    pub failures: u32,
    /// For how many seconds it is left alone.
    pub pause: Option<u64>,
    /// What was the matter last.
    pub last_trouble: Option<String>,
}
