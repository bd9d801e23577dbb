//! `submit`: take this message from a program of this machine. The kernel says whose program it is.

use envelope::{Address, QueueId, ReversePath, Walk};
use sendmail::{Job, Refusal};
use serde::{Deserialize, Serialize};

use crate::Service;

/// The service of the role `submit`.
pub struct Submit;

impl Service for Submit {
    const NAME: &'static str = "submit";
    type Request = Request;
    type Response = Response;
    type Event = ();
}

/// The most octets of a message that travel in one request.
pub const PIECE_MAX: usize = 64 << 10;

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Take a message: the raw part is its beginning, with line ends as the caller wrote them.
    Take {
        /// What is to be done with it.
        job: Job,
        /// The raw part is all of it.
        whole: bool,
    },
    /// More of it, in the raw part.
    More {
        /// The raw part is the last of it.
        whole: bool,
    },
    /// Say what would be made of this header, in the raw part, and queue nothing.
    Compose(Job),
    /// The caller's own mail that waits, a page at a time.
    Waiting(Walk),
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Response {
    /// The next piece may come.
    GoOn,
    /// It is on disk: it is ours now.
    Accepted(QueueId),
    /// What would be made of the header; the raw part is the new one, with LF at the line ends, and the
    /// empty line after it.
    Composed(Vec<ComposedEnvelope>),
    /// It is not taken.
    Refused(Refusal),
    /// Messages that wait, and how far the walk has come; done where `more` is none.
    Waiting {
        /// These.
        messages: Vec<Waiting>,
        /// What to ask next.
        more: Option<Walk>,
    },
}

/// From whom a composed message goes to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposedEnvelope {
    /// From whom.
    pub reverse_path: ReversePath,
    /// To whom.
    pub recipients: Vec<Address>,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its name.
    pub id: QueueId,
    /// When it came, in seconds since 1970.
    pub arrived: u64,
    /// Octets.
    pub size: u64,
    /// From whom.
    pub reverse_path: ReversePath,
    /// Whom it still waits for, and what the last attempt said.
    pub recipients: Vec<(Address, Option<String>)>,
    /// How many recipients have it, or were given up.
    pub settled: usize,
}
