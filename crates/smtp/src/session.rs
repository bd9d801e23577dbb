//! The server's side of one connection.
//!
//! ```text
//!          AUTH                  response                             authenticated
//!   Idle ────────▶ Authenticating ────────▶ Verifying or FindingSalt ───────────────▶ Idle
//!
//!             MAIL of a customer                 sender_judged
//!   Idle ────────────────────────▶ JudgingSender ──────────────▶ Transaction
//!
//!                     MAIL                  RCPT            judged
//!   Idle ───────────────────▶ Transaction ───────▶ Judging ────────▶ Transaction
//!                                  │ DATA, BDAT
//!                                  ▼        opened           the Received field is given out
//!                               Opening ──────────▶ Opened ─────┬─────▶ Data ── CRLF.CRLF ──┐
//!                                                               └─────▶ Chunk ──── LAST ────┤
//!                                                         BDAT ▲  │ end of the chunk        │
//!                                                              │  ▼                         ▼
//!                                                            BetweenChunks     committed  Committing
//!   Idle ◀─────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A submission stays for a moment on its way through `Data` or `Chunk`, once its header is whole:
//!
//! ```text
//!          its authors are read                 authors_judged    header given out
//!   Data ─────┬───────────────────▶ JudgingAuthors ─────────────────────▶ Data
//!             └─▶ AskingAddress ─────────▲
//! ```
//!
//! RSET, HELO and EHLO lead back to `Idle` from everywhere a command may stand. A refused chunk is
//! read to its end in `Skipping`; refused data are read to theirs in `Data`. STARTTLS leads to
//! `Handshake` and from there, under TLS, to a session that knows nothing of before (RFC 3207 §4.2).
//!
//! What the client said in HELO or EHLO lies beside the state: as with qmail, no command needs it.

mod answers;
mod authentication;
mod commands;
mod mail_data;
mod submissions;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use envelope::{
    Address, BodyType, Client, MessageWishes, QueueId, Recipient, RecipientWishes, ReversePath, Sender,
    TypedAddress,
};
use time::OffsetDateTime;

use crate::action::{Action, Event, Refused};
use crate::command_lines::CommandLines;
use crate::draft::Draft;
use crate::replies;
use crate::reply::Reply;
use crate::sasl::{Exchange, Mechanism, scram};
use crate::settings::{Peer, Settings, TlsInfo};

/// Replies are sent when no input is left, so that a pipelined batch is answered in one write
/// (RFC 2920 §3.2), or when so many octets of them are waiting.
const REPLIES_MAX: usize = 4096;

/// The server's side of one connection: what RFC 5321 asks of a server, without the connection.
///
/// Beside the input it was given last, it holds the addresses of one envelope, what its sender wishes
/// for reports, and less than 8 KiB; in
/// an exchange of AUTH 20 KiB, and in a submission its header until it is whole.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    peer: Peer,
    tls: Option<TlsInfo>,
    client: Client,
    hello: Hello,
    state: State,
    input: BytesMut,
    lines: CommandLines,
    replies: BytesMut,
    actions: VecDeque<Action>,
    errors: usize,
    login_failures: usize,
    /// When the client has been silent for too long.
    silence_ends: Instant,
    input_ended: bool,
    stopping: bool,
}

/// What the client called itself.
#[derive(Debug)]
enum Hello {
    None,
    Helo(Box<str>),
    Ehlo(Box<str>),
}

#[derive(Debug, Default)]
enum State {
    /// No message is under way.
    #[default]
    Idle,
    /// AUTH was said; the client's next line is a response.
    Authenticating(Exchange),
    /// The shell is looking at a password, or at the proof of one.
    Verifying { name: String, mechanism: Mechanism },
    /// The shell is looking up the salt of a password.
    FindingSalt(scram::ClientFirst),
    /// MAIL was said by a customer; the shell is being asked about the reverse-path.
    JudgingSender(Transaction),
    /// MAIL was said.
    Transaction(Transaction),
    /// RCPT was said; the shell is being asked about the address.
    Judging(Transaction, Address, RecipientWishes),
    /// DATA or BDAT was said; the shell is being asked for a name.
    Opening(Trace, Carrier),
    /// The shell gave a name; nothing of the message was given out yet.
    Opened(Trace, Carrier, QueueId),
    /// In the mail data of DATA.
    Data(Draft),
    /// In the mail data of a BDAT.
    Chunk(Draft, Chunk),
    /// After a BDAT that was not the last.
    BetweenChunks(Draft),
    /// In the mail data of a submission, after a header without a From field; the shell is being
    /// asked for one. These are in its Sender field.
    AskingAddress(Draft, Carrier, Vec<Address>),
    /// In the mail data of a submission, after its header; the shell is being asked about the
    /// authors. This is for the From field that it lacks.
    JudgingAuthors(Draft, Carrier, Option<Address>),
    /// In the mail data of a BDAT that nobody wants; then this is the reply.
    Skipping { left: u64, then: Reply, deadline: Instant },
    /// The message is complete; the shell is making it durable.
    Committing(Draft),
    /// The shell is starting TLS.
    Handshake,
    /// Over.
    Closed,
}

/// A sender and the recipients that were agreed to.
#[derive(Debug)]
struct Transaction {
    /// The customer whose it is.
    sender: Option<Sender>,
    reverse_path: ReversePath,
    recipients: Vec<Recipient>,
    /// As MAIL announced it; 0 if it did not.
    size: u64,
    body: BodyType,
    smtputf8: bool,
    wishes: MessageWishes,
    /// Beside the recipients.
    recipient_wishes: Vec<RecipientWishes>,
    /// Octets that their original addresses take.
    originals: usize,
}

/// What the Received field and the log will say of an envelope that the shell has now.
#[derive(Debug)]
struct Trace {
    sender: Option<Sender>,
    reverse_path: ReversePath,
    /// The recipient, if there is only one.
    recipient: Option<Address>,
    smtputf8: bool,
}

/// How mail data come.
#[derive(Debug, Clone, Copy)]
enum Carrier {
    Data,
    Bdat(Chunk),
}

/// What a BDAT announced.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    size: u64,
    left: u64,
    last: bool,
}

/// What came of one step.
enum Step {
    /// Something; there may be more to do.
    Done,
    /// Nothing can be done without more input.
    NeedsInput,
    /// Nothing can be done without the shell's answer.
    NeedsAnswer,
}

/// The most octets that the original addresses of one message's recipients take. Reports do without what is
/// beyond: an envelope has to fit a frame between roles.
const ORIGINALS_MAX: usize = 256 << 10;

impl Transaction {
    /// Adds a recipient that was agreed to.
    fn add(&mut self, recipient: Recipient, mut wishes: RecipientWishes) {
        self.originals += wishes.original.as_ref().map_or(0, TypedAddress::size);
        if self.originals > ORIGINALS_MAX {
            wishes.original = None;
        }
        self.recipients.push(recipient);
        self.recipient_wishes.push(wishes);
    }
}

impl Session {
    /// A session on a connection in clear text. The greeting is its first action.
    pub fn new(settings: Arc<Settings>, peer: Peer, now: Instant) -> Session {
        let mut session = Session {
            peer,
            tls: None,
            client: Client::Stranger,
            hello: Hello::None,
            state: State::Idle,
            input: BytesMut::new(),
            lines: CommandLines::default(),
            replies: BytesMut::new(),
            actions: VecDeque::new(),
            errors: 0,
            login_failures: 0,
            silence_ends: now + settings.idle,
            input_ended: false,
            stopping: false,
            settings,
        };
        let greeting = replies::greeting(&session.settings);
        session.reply(&greeting);
        session
    }

    /// A session on a connection that is under TLS from the start, as on port 465 (RFC 8314 §3.3).
    pub fn over_tls(settings: Arc<Settings>, peer: Peer, tls: TlsInfo, now: Instant) -> Session {
        Session { tls: Some(tls), ..Session::new(settings, peer, now) }
    }

    /// A session with somebody who is known before he says a word, such as a program of this machine by its
    /// user id. He is asked for no AUTH, and cannot become another.
    pub fn with_sender(settings: Arc<Settings>, peer: Peer, sender: Sender, now: Instant) -> Session {
        Session { client: Client::Sender(sender), ..Session::new(settings, peer, now) }
    }

    /// Takes input. Give it more only after [`Session::next_action`] gave `None`: it holds what it
    /// is given until it is used, and changes mail data where they lie rather than copy them.
    pub fn receive(&mut self, input: BytesMut, now: Instant) {
        if let State::Data(_) | State::Chunk(..) | State::Skipping { .. } = self.state {
            // Elsewhere a whole command is awaited, however slowly its octets come.
            self.silence_ends = now + self.settings.idle;
        }
        match self.state {
            // What came in clear text is not heard under TLS, and after the end nothing is.
            State::Handshake | State::Closed => {}
            _ if self.input.is_empty() => self.input = input,
            _ => self.input.extend_from_slice(&input),
        }
    }

    /// The client will send no more. What it has sent is still worked on.
    pub fn end_of_input(&mut self) {
        self.input_ended = true;
    }

    /// When [`Session::timed_out`] is to be called, should no input come before.
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Data(draft) | State::Chunk(draft, _) | State::BetweenChunks(draft) => {
                draft.deadline.min(self.silence_ends)
            }
            State::Skipping { deadline, .. } => (*deadline).min(self.silence_ends),
            _ => self.silence_ends,
        }
    }

    /// [`Session::deadline`] has passed: tells the client, and ends the session. Does nothing while
    /// the shell owes an answer, as then it is not the client who is late.
    pub fn timed_out(&mut self) {
        let reply = match self.state {
            State::Verifying { .. }
            | State::FindingSalt(_)
            | State::JudgingSender(..)
            | State::Judging(..)
            | State::Opening(..)
            | State::AskingAddress(..)
            | State::JudgingAuthors(..)
            | State::Committing(_)
            | State::Closed => return,
            // The client's TLS library would not understand.
            State::Handshake => None,
            State::Data(_) | State::Chunk(..) | State::Skipping { .. } => Some(replies::data_timeout()),
            _ => Some(replies::timeout()),
        };
        let in_message = self.abandon();
        self.actions.push_back(Action::Log(Event::TimedOut { in_message }));
        if let Some(reply) = reply {
            self.reply(&reply);
        }
        self.close();
    }

    /// The server stops: the client is told so before its next command. A message whose data have
    /// begun is taken first.
    pub fn shutdown(&mut self) {
        self.stopping = true;
    }

    /// What the shell is to do next. `None`: an answer is owed or, if none is, more input is wanted.
    ///
    /// `wall` is the time for the Received field, in the zone to be written there.
    pub fn next_action(&mut self, now: Instant, wall: OffsetDateTime) -> Option<Action> {
        loop {
            if self.replies.len() >= REPLIES_MAX {
                self.flush();
            }
            if let Some(action) = self.actions.pop_front() {
                if let Action::Send(_) = action {
                    // The client's time to answer begins when it is told something.
                    self.silence_ends = now + self.settings.idle;
                }
                return Some(action);
            }
            match self.step(now, wall) {
                Step::Done => continue,
                Step::NeedsInput if self.input_ended => self.vanish(),
                // What the input was read into is not held while the client is idle.
                Step::NeedsInput => self.input = BytesMut::new(),
                Step::NeedsAnswer => {}
            }
            self.flush();
            if self.actions.is_empty() {
                return None;
            }
        }
    }

    fn step(&mut self, now: Instant, wall: OffsetDateTime) -> Step {
        match std::mem::take(&mut self.state) {
            state @ (State::Idle | State::Transaction(_) | State::BetweenChunks(_)) => {
                self.state = state;
                self.command(now)
            }
            State::Authenticating(exchange) => self.response(exchange),
            State::Opened(trace, carrier, id) => self.begin(trace, carrier, id, now, wall),
            State::Data(draft) => self.data(draft),
            State::Chunk(draft, chunk) => self.chunk(draft, chunk),
            State::Skipping { left, then, deadline } => self.skip(left, then, deadline),
            state => {
                self.state = state;
                Step::NeedsAnswer
            }
        }
    }

    /// Writes a reply, to be sent with others.
    fn reply(&mut self, reply: &Reply) -> Step {
        if reply.is_permanent_failure() {
            self.errors += 1;
        }
        reply.write(matches!(self.hello, Hello::Ehlo(_)), &mut self.replies);
        Step::Done
    }

    /// Refuses something, and has the log know of it.
    fn refuse(&mut self, refused: Refused) -> Step {
        self.reply(&refused.reply);
        self.actions.push_back(Action::Log(Event::Refused(refused)));
        Step::Done
    }

    fn flush(&mut self) {
        if !self.replies.is_empty() {
            let replies: Bytes = self.replies.split().freeze();
            self.actions.push_back(Action::Send(replies));
        }
    }

    /// Sends what is to be sent, and ends the session.
    fn close(&mut self) -> Step {
        self.abandon();
        self.flush();
        self.actions.push_back(Action::Close);
        self.state = State::Closed;
        self.input = BytesMut::new();
        Step::Done
    }

    fn vanish(&mut self) {
        let in_message = self.abandon();
        self.actions.push_back(Action::Log(Event::Vanished { in_message }));
        self.close();
    }

    /// Forgets the transaction, and has the shell forget the message if there is one. Says whether
    /// mail data were under way.
    fn abandon(&mut self) -> bool {
        match std::mem::take(&mut self.state) {
            State::Data(draft)
            | State::Chunk(draft, _)
            | State::BetweenChunks(draft)
            | State::AskingAddress(draft, ..)
            | State::JudgingAuthors(draft, ..) => {
                // One with a fault is forgotten already.
                if draft.fault().is_none() {
                    self.actions.push_back(Action::Discard);
                }
                true
            }
            State::Opened(..) => {
                self.actions.push_back(Action::Discard);
                true
            }
            State::Skipping { .. } => true,
            _ => false,
        }
    }
}
