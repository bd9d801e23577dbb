//! `directory`: who is this address, may this person in, and the changes an operator makes.

mod auto_reply;
mod record;
mod rules;
pub mod visits;

pub use auto_reply::{AutoReply, Away, NoReply, ToAnswer};
pub use record::{Page, Trace};
pub use rules::{
    AccountChanges, AccountFacts, AddressChange, AddressEntry, AddressFacts, Answer, AppPassword, AuditEntry,
    DomainFacts, InForce, Many, NewAccount, NewPassword, Rule, Secret, Sent, Text, Window,
};

use std::net::IpAddr;

use envelope::event::{self, Summary};
use envelope::{AccountName, Address, Destination, Language, LimitReached, ScriptAuthor};
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::grant::{MailboxGrant, RelayGrant};
use crate::services::local::Orders;
use visits::{Ask, Entry, Key, Origin, Visit};

/// The service of the role `directory`.
pub struct Directory;

impl Service for Directory {
    const NAME: &'static str = "directory";
    type Request = Request;
    type Response = Response;
    type Event = Event;
}

/// What the directory says unasked.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Event {
    /// Something changed: answers that were kept are stale.
    Changed,
    /// A relay window was opened for this client.
    WindowOpened(IpAddr),
}

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Where does this address lead?
    Resolve(Address),
    /// In which language is this account written to?
    Language(AccountName),
    /// May this person in to his mailbox? A right answer opens a relay window for his client.
    Login(Login),
    /// May this person send (SMTP AUTH)?
    Authenticate(Login),
    /// Who may send from this client by a relay window, now?
    Windows(IpAddr),
    /// The salt with which this name's password is hashed (SCRAM-SHA-256).
    ScramSalt(String),
    /// Does this proof show the password, and may the person send?
    ScramProof(ScramProof),
    /// May this account still send? It may have been suspended since it logged in, or have sent as much
    /// as it may for now. Asking counts nothing.
    MaySend(AccountName),
    /// As whom does a program send that runs under this user id?
    LocalUser(u32),
    /// As whom does a program send that an account's delivery instructions run?
    ProgramOf(AccountName),
    /// Is there room for a message in the mailbox that this address fills?
    Room {
        /// An address of ours.
        address: Address,
        /// Octets, as far as they are known yet.
        size: u64,
    },
    /// Where does this address lead, and what does its owner want done with its mail?
    Route(Address),
    /// Count a message that is about to be accepted, unless it is more than the account may send.
    Count {
        /// Who sends it.
        account: AccountName,
        /// To whom.
        recipients: Vec<Address>,
        /// Octets.
        size: u64,
    },
    /// A change or a question of an operator.
    Rule(Rule),
    /// Record what happened to messages. What is recorded already is not recorded twice, so whoever has
    /// had no answer asks again.
    Note(Vec<event::Event>),
    /// What became of messages?
    Trace(Trace),
    /// Somebody comes to the page who has no session yet.
    Enter(Entry, Origin),
    /// Somebody asks who has a key.
    Visit {
        /// By what he is known.
        key: Key,
        /// From where he comes.
        from: Origin,
        /// What he asks.
        ask: Ask,
    },
    /// Is this sender to be answered, as the owner of the mailbox is away? From here on he counts as answered.
    AutoReply(Box<ToAnswer>),
}

/// A name and a password from a client.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// `abc` or `abc@pobox.example`.
    pub name: String,
    /// The password as it was typed.
    pub password: String,
    /// Who asks.
    pub client: IpAddr,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("name", &self.name)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// A proof that somebody knows a password (RFC 5802 §3).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScramProof {
    /// `abc` or `abc@pobox.example`.
    pub name: String,
    /// Who asks.
    pub client: IpAddr,
    /// `AuthMessage`: what both sides said.
    pub auth_message: String,
    /// `ClientProof`.
    pub proof: [u8; 32],
}

/// As whom a program of this machine sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalUser {
    /// What entitles it.
    pub grant: RelayGrant,
    /// The account's own address, by which reports reach it.
    pub address: Address,
    /// As whom it may write.
    pub author: ScriptAuthor,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Response {
    /// Where the address leads.
    Destination(Destination),
    /// The account's language.
    Language(Language),
    /// The person is let in.
    LoggedIn(AccountName, MailboxGrant),
    /// The person is not let in, or may no longer send.
    LoginRefused(LoginRefused),
    /// The person may send.
    MayRelay(RelayGrant),
    /// The salt, and how often to hash (RFC 5802 §3). A name that nobody has gets one too.
    ScramSalt {
        /// Random, and the same each time.
        salt: Vec<u8>,
        /// The iteration count.
        iterations: u32,
    },
    /// The proof is right, and the person may send: `ServerSignature`, by which the server proves
    /// itself too.
    ScramProved(RelayGrant, [u8; 32]),
    /// As whom a program of this machine sends.
    LocalUser(Box<LocalUser>),
    /// Not now: the account has sent as much as it may.
    LimitReached(LimitReached),
    /// Whether there is room.
    Room(Room),
    /// Where the address leads.
    Routed(Route),
    /// Counted: the message may be accepted.
    Counted,
    /// Not counted: the message must not be accepted.
    NotCounted(NotCounted),
    /// Who may send by a relay window: whose window was renewed last stands first.
    Windows(Vec<RelayGrant>),
    /// The life of a message and of its family, in the order of time.
    Life(Page<event::Event>),
    /// Somebody's messages, the latest first.
    Mail(Page<Summary>),
    /// What an operator asked.
    Answer(Answer),
    /// What a visitor of the page asked.
    Visit(Box<Visit>),
    /// What a sender is answered.
    AutoReply(Box<AutoReply>),
    /// He is not answered.
    NoReply(NoReply),
    /// Changed as asked.
    Done,
    /// Not changed, and a sentence that says why and what to do.
    Refused(String),
    /// The store does not answer: try again later.
    Unavailable,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginRefused {
    /// Unknown name or wrong password; which one is not said.
    Credentials,
    /// The password is right, but the account is suspended.
    Suspended,
    /// It may receive and read, not send.
    ReceiveOnly,
    /// The user id is nobody's, and such may not send.
    UnknownUser,
    /// Its delivery instructions run no programs.
    NoPrograms,
    /// Too many attempts failed from there of late: wait.
    TooManyFailures,
    /// Too busy, or the store does not answer.
    Unavailable,
}

/// Whether a mailbox has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Room {
    /// It has, or nothing is put into it.
    Enough,
    /// It is full, and that is new: its owner may yet read his mail.
    Full,
    /// It has been full for long.
    FullForLong,
}

/// Where an address leads, and what is to be done with its mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it leads.
    pub leads_to: Destination,
    /// What its owner wants done. None: it goes into the mailbox.
    pub orders: Option<Orders>,
    /// When he is away, and senders are to be answered. None, as nearly always: never.
    pub away: Option<Away>,
}

/// Why a message is not counted, and must not be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotCounted {
    /// The account is suspended, gone, or may not send.
    MayNotSend,
    /// The message is larger than its plan allows, in octets.
    TooLarge(u64),
    /// Enough for now.
    LimitReached {
        /// Of what.
        reached: LimitReached,
        /// The owner has not been told of it yet: tell him.
        tell_owner: bool,
    },
}
