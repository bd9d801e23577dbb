//! The state machine.
//!
//! ```text
//!   Opening: greeting ─▶ EHLO ──────────▶ STARTTLS ──▶ Handshake ─▶ EHLO ─▶ AUTH ─▶ Ready
//!                         └─5xx─▶ HELO ─────────────────────────────────────────────▲
//!
//!   Ready ── send ──▶ Envelope ── 354, or all of RCPT known ──▶ Body ── end ──▶ Message ──▶ Ready
//!                     MAIL, RCPT …, DATA                         BDAT, or DATA's
//! ```
//!
//! With PIPELINING a whole envelope and its DATA go out at once (RFC 2920 §3.1). BDAT waits until it is
//! known that somebody wants the message: a server that refuses a chunk without reading it would take
//! the message for commands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use message::Status;

use super::action::{Action, Step};
use super::dots::Dots;
use super::extensions::Extensions;
use super::login::{self, Exchange};
use super::outcome::{Breakage, Cause, Outcome, Reason, Retry, Settled};
use super::reply::{Reply, ReplyReader};
use super::settings::{Settings, StartTls};
use super::transaction::Transaction;

/// So many commands may be on their way without an answer: few enough that neither side's buffers
/// fill up while both wait to write (RFC 2920 §3.1).
const PIPELINED_MAX: usize = 100;

/// The client's side of one connection: what RFC 5321 asks of a client, without the connection.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    under_tls: bool,
    extensions: Extensions,
    state: State,
    replies: ReplyReader,
    /// Commands that were sent, their replies still to come.
    asked: VecDeque<Step>,
    /// Commands that wait in `output`.
    waiting: VecDeque<Step>,
    output: BytesMut,
    actions: VecDeque<Action>,
    deadline: Option<Instant>,
    /// The server still has an envelope that came to nothing.
    needs_reset: bool,
}

#[derive(Debug)]
enum State {
    /// No message can be sent yet.
    Opening,
    /// Within AUTH.
    LoggingIn(Exchange),
    /// The shell is starting TLS.
    Handshake,
    /// A message can be sent.
    Ready,
    /// MAIL, RCPT and DATA are being said.
    Envelope(Progress),
    /// The shell is giving the mail data.
    Body(Progress, Framing),
    /// The mail data were sent.
    Message(Progress),
    /// QUIT was said.
    Leaving,
    /// Over.
    Closed,
}

/// How mail data go.
#[derive(Debug)]
enum Framing {
    Dots(Dots),
    /// By BDAT; so many octets are still to come.
    Counted {
        left: u64,
    },
}

/// A transaction under way.
#[derive(Debug)]
struct Progress {
    transaction: Transaction,
    /// `None`: not known yet, or agreed to by the server.
    outcomes: Vec<Option<Outcome>>,
    next: Next,
    mail_accepted: bool,
    /// How many recipients the server agreed to.
    accepted: usize,
    /// An end without data was sent, as nobody was to get any.
    ended_in_vain: bool,
}

/// What of the envelope is to be said next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
    Nothing,
}

impl Session {
    /// A session on a connection that was just made, in clear text. The server speaks first.
    pub fn new(settings: Arc<Settings>, now: Instant) -> Session {
        let deadline = settings.timeouts.of(Step::Greeting).map(|time| now + time);
        Session {
            settings,
            under_tls: false,
            extensions: Extensions::default(),
            state: State::Opening,
            replies: ReplyReader::default(),
            asked: VecDeque::from([Step::Greeting]),
            waiting: VecDeque::new(),
            output: BytesMut::new(),
            actions: VecDeque::new(),
            deadline,
            needs_reset: false,
        }
    }

    /// A session on a connection that is under TLS from the start, as at port 465 (RFC 8314 §3.3).
    pub fn over_tls(settings: Arc<Settings>, now: Instant) -> Session {
        Session { under_tls: true, ..Session::new(settings, now) }
    }

    /// What the server can do, by its last answer to EHLO.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Whether the mail data go in chunks (RFC 3030).
    pub fn chunks(&self) -> bool {
        self.settings.chunking && self.extensions.chunking
    }

    /// Whether the conversation is under TLS.
    pub fn is_under_tls(&self) -> bool {
        self.under_tls
    }

    /// Whether [`Session::send`] may be called.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// What the server is being waited for.
    pub fn step(&self) -> Step {
        match (&self.state, self.asked.front()) {
            (State::Body(..), _) => Step::Body,
            (State::Handshake, _) => Step::StartTls,
            (_, Some(step)) => *step,
            // The end of the data has not gone out yet.
            (State::Message(_), None) => Step::Body,
            (_, None) => Step::Idle,
        }
    }

    /// When [`Session::timed_out`] is to be called, should the server neither say nor take anything
    /// before. `None` between messages: how long an idle connection is kept is the shell's to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What the shell is to do next; `None`: wait for the server, or say what is next.
    pub fn next_action(&mut self, now: Instant) -> Option<Action> {
        if self.actions.is_empty() {
            self.flush();
            if !self.waiting.is_empty() {
                // The last of what asks goes out now.
                self.asked.append(&mut self.waiting);
                self.set_deadline(now);
            }
        }
        let action = self.actions.pop_front()?;
        if let Action::Send(_) = action {
            self.set_deadline(now);
        }
        Some(action)
    }

    /// Takes what the server said.
    pub fn receive(&mut self, mut input: &[u8], now: Instant) {
        while !input.is_empty() {
            match self.state {
                State::Closed => return,
                State::Handshake => return self.broken(Breakage::Injection),
                _ => {}
            }
            let early = matches!(self.state, State::Body(..)) && self.asked.is_empty();
            let reply = match self.replies.read(&mut input) {
                Ok(Some(reply)) => reply,
                Ok(None) if early || !self.asked.is_empty() => return,
                Ok(None) => return self.broken(Breakage::Unasked),
                Err(error) => return self.broken(Breakage::Reply(error)),
            };
            let step = if early { Some(Step::Body) } else { self.asked.pop_front() };
            self.replied(step, reply);
            self.set_deadline(now);
        }
    }

    /// The server has closed the connection.
    pub fn end_of_input(&mut self) {
        match self.state {
            State::Closed => {}
            State::Leaving => self.close(),
            _ => self.broken(Breakage::Closed),
        }
    }

    /// [`Session::deadline`] has passed.
    pub fn timed_out(&mut self) {
        match self.state {
            State::Closed => {}
            State::Leaving => self.close(),
            _ => self.broken(Breakage::TimedOut),
        }
    }

    /// TLS was started: what was known of the server is forgotten, and it is greeted again
    /// (RFC 3207 §4.2). Only after [`Action::StartTls`].
    pub fn tls_started(&mut self) {
        if let State::Handshake = self.state {
            self.under_tls = true;
            self.extensions = Extensions::default();
            self.state = State::Opening;
            self.hello(Step::Ehlo);
        }
    }

    /// Sends a message, if [`Session::is_ready`]. What its server cannot take is settled at once.
    ///
    /// # Errors
    /// Gives the transaction back if another is under way or the session is not open.
    pub fn send(&mut self, transaction: Transaction) -> Result<(), Transaction> {
        if !self.is_ready() {
            return Err(transaction);
        }
        let outcomes = self.unsuited(&transaction);
        let next = if self.needs_reset { Next::Reset } else { Next::Mail };
        let progress =
            Progress { transaction, outcomes, next, mail_accepted: false, accepted: 0, ended_in_vain: false };
        if progress.outcomes.iter().all(Option::is_some) {
            self.settle(progress, true);
            return Ok(());
        }
        self.needs_reset = false;
        self.state = State::Envelope(progress);
        self.advance();
        Ok(())
    }

    /// Sends a piece of the mail data, after [`Action::Data`]. After the session has come to another
    /// end the piece is dropped; take the actions between pieces to see that.
    pub fn data(&mut self, piece: Bytes) {
        let State::Body(_, framing) = &mut self.state else { return };
        match framing {
            Framing::Dots(dots) => {
                let (output, actions) = (&mut self.output, &mut self.actions);
                flush(output, actions);
                dots.double(piece, |slice| actions.push_back(Action::Send(slice)));
            }
            Framing::Counted { left } => {
                // More than was announced would be taken for commands.
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                *left -= length as u64;
                flush(&mut self.output, &mut self.actions);
                if length > 0 {
                    self.actions.push_back(Action::Send(piece.slice(..length)));
                }
            }
        }
    }

    /// The mail data are complete. If they are not as many octets as were announced to the server, it
    /// is as if they were unreadable.
    pub fn end_of_data(&mut self) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Body(progress, Framing::Dots(dots)) => {
                self.output.extend_from_slice(&dots.end());
                self.state = State::Message(progress);
                self.waiting.push_back(Step::Message);
            }
            State::Body(progress, Framing::Counted { left: 0 }) => {
                self.state = State::Message(progress);
                self.waiting.push_back(Step::Message);
            }
            state @ State::Body(..) => {
                self.state = state;
                self.broken(Breakage::Unreadable);
            }
            state => self.state = state,
        }
    }

    /// The mail data cannot be read to their end: the server must not get half of a message, so the
    /// connection is closed.
    pub fn data_unreadable(&mut self) {
        if let State::Body(..) = self.state {
            self.broken(Breakage::Unreadable);
        }
    }

    /// Takes leave between messages; at any other time the connection is closed without.
    pub fn quit(&mut self) {
        match self.state {
            State::Ready => {
                self.state = State::Leaving;
                self.say(Step::Quit, b"QUIT\r\n");
            }
            State::Closed | State::Leaving => {}
            _ => self.broken(Breakage::Closed),
        }
    }

    fn set_deadline(&mut self, now: Instant) {
        self.deadline = self.settings.timeouts.of(self.step()).map(|time| now + time);
    }

    fn flush(&mut self) {
        flush(&mut self.output, &mut self.actions);
    }

    fn say(&mut self, step: Step, command: &[u8]) {
        self.output.extend_from_slice(command);
        self.waiting.push_back(step);
    }

    fn hello(&mut self, step: Step) {
        let verb = if step == Step::Ehlo { "EHLO" } else { "HELO" };
        let command = format!("{verb} {}\r\n", self.settings.name);
        self.say(step, command.as_bytes());
    }

    /// The reply to a step, or one that came unasked.
    fn replied(&mut self, step: Option<Step>, reply: Reply) {
        let asked = step.unwrap_or(Step::Idle);
        self.actions.push_back(Action::Report(asked, reply.clone()));
        let Some(step) = step else {
            // A server that shuts down may say so at any time (RFC 5321 §3.8).
            return if reply.code() == 421 {
                self.refused(Step::Idle, reply)
            } else {
                self.broken(Breakage::Unasked)
            };
        };
        if step == Step::Quit {
            return self.close();
        }
        if reply.code() == 421 {
            return self.refused(step, reply);
        }
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Opening => {
                self.state = State::Opening;
                self.opening(step, reply);
            }
            State::LoggingIn(exchange) => self.logging_in(exchange, reply),
            State::Envelope(mut progress) => {
                let data = progress.replied(step, reply);
                self.state = State::Envelope(progress);
                match data {
                    Some(Data::Wanted) => self.begin_body(Framing::Dots(Dots::new())),
                    Some(Data::InVain) => self.say(Step::Message, b".\r\n"),
                    None => {}
                }
                self.advance();
            }
            State::Body(progress, framing) => {
                self.state = State::Body(progress, framing);
                match reply.class() {
                    // The server need not hear us out to say no, but it can hardly say yes.
                    4 | 5 => self.refused(step, reply),
                    _ => self.broken(Breakage::Unasked),
                }
            }
            State::Message(progress) => self.message_replied(progress, reply),
            state @ (State::Handshake | State::Ready | State::Leaving | State::Closed) => self.state = state,
        }
    }

    fn opening(&mut self, step: Step, reply: Reply) {
        match (step, reply.class()) {
            (Step::Greeting, 2) => self.hello(Step::Ehlo),
            (Step::Ehlo, 2) => {
                self.extensions = Extensions::read(&reply);
                self.greeted();
            }
            (Step::Ehlo, 5) => self.hello(Step::Helo),
            (Step::Helo, 2) => self.greeted(),
            (Step::StartTls, 2) => {
                self.state = State::Handshake;
                self.actions.push_back(Action::StartTls);
            }
            (Step::StartTls, _) if self.settings.starttls == StartTls::IfOffered => self.log_in(),
            _ => self.refused(step, reply),
        }
    }

    /// The server has answered EHLO or HELO.
    fn greeted(&mut self) {
        match self.settings.starttls {
            StartTls::Never => self.log_in(),
            _ if self.under_tls => self.log_in(),
            _ if self.extensions.starttls => self.say(Step::StartTls, b"STARTTLS\r\n"),
            StartTls::IfOffered => self.log_in(),
            StartTls::Required => {
                self.fail(Reason { status: Status::new(4, 7, 4), cause: Cause::TlsNotOffered });
            }
        }
    }

    fn log_in(&mut self) {
        let Some(login) = &self.settings.login else { return self.ready() };
        if !self.under_tls && !self.settings.plaintext_login {
            return self.fail(Reason { status: Status::new(4, 7, 11), cause: Cause::LoginWithoutTls });
        }
        match login::begin(login, &self.extensions) {
            Some((exchange, line)) => {
                self.state = State::LoggingIn(exchange);
                self.say(Step::Auth, line.as_bytes());
            }
            None => self.fail(Reason { status: Status::new(4, 7, 0), cause: Cause::NoWayToLogIn }),
        }
    }

    fn logging_in(&mut self, mut exchange: Exchange, reply: Reply) {
        match (reply.class(), &self.settings.login) {
            (2, _) => self.ready(),
            (3, Some(login)) => match exchange.answer(login) {
                Some(line) => {
                    self.state = State::LoggingIn(exchange);
                    self.say(Step::Auth, line.as_bytes());
                }
                None => self.refused(Step::Auth, reply),
            },
            _ => self.refused(Step::Auth, reply),
        }
    }

    fn ready(&mut self) {
        self.state = State::Ready;
        self.actions.push_back(Action::Ready);
    }

    /// What of this message the server cannot take.
    fn unsuited(&self, transaction: &Transaction) -> Vec<Option<Outcome>> {
        let permanent = |detail: (u16, u16), cause: Cause| {
            Outcome::Failed(Reason { status: Status::new(5, detail.0, detail.1), cause })
        };
        let recipients = &transaction.recipients;
        if let Some(size_max) = self.extensions.size_max.filter(|&max| transaction.size > max) {
            let cause = Cause::TooLarge { size: transaction.size, size_max };
            return vec![Some(permanent((3, 4), cause)); recipients.len()];
        }
        let all_need_smtputf8 = transaction.needs_smtputf8();
        let lacks = |needs: bool| needs && !self.extensions.smtputf8;
        recipients
            .iter()
            .map(|recipient| {
                lacks(all_need_smtputf8 || recipient.address.needs_smtputf8())
                    .then(|| permanent((6, 7), Cause::NeedsSmtpUtf8))
            })
            .collect()
    }

    /// Says as much of the envelope as may be said now, and settles it if it came to nothing.
    fn advance(&mut self) {
        let chunking = self.chunks();
        let State::Envelope(progress) = &mut self.state else { return };
        let pipelining = self.settings.pipelining && self.extensions.pipelining;
        let room = if pipelining { PIPELINED_MAX } else { 1 };
        while self.asked.len() + self.waiting.len() < room {
            let in_flight = !self.asked.is_empty() || !self.waiting.is_empty();
            let step = match progress.next {
                Next::Reset => {
                    self.output.extend_from_slice(b"RSET\r\n");
                    progress.next = Next::Mail;
                    Step::Rset
                }
                Next::Mail => {
                    progress.transaction.write_mail(&self.extensions, &mut self.output);
                    progress.next = progress.first_rcpt(0);
                    Step::Mail
                }
                Next::Rcpt(number) => {
                    progress.transaction.write_rcpt(number, &self.extensions, &mut self.output);
                    progress.next = progress.first_rcpt(number + 1);
                    Step::Rcpt(number)
                }
                // Nobody wants it, or that is not known yet.
                Next::Data if !in_flight && progress.accepted == 0 => {
                    progress.next = Next::Nothing;
                    break;
                }
                Next::Data if chunking && in_flight => break,
                Next::Data if chunking => {
                    let size = progress.transaction.size;
                    self.output.extend_from_slice(format!("BDAT {size} LAST\r\n").as_bytes());
                    return self.begin_body(Framing::Counted { left: size });
                }
                Next::Data => {
                    self.output.extend_from_slice(b"DATA\r\n");
                    progress.next = Next::Nothing;
                    Step::Data
                }
                Next::Nothing => break,
            };
            self.waiting.push_back(step);
        }
        if progress.next == Next::Nothing && self.asked.is_empty() && self.waiting.is_empty() {
            let State::Envelope(progress) = std::mem::replace(&mut self.state, State::Ready) else { return };
            self.needs_reset = progress.mail_accepted && !progress.ended_in_vain;
            self.settle(progress, true);
        }
    }

    fn begin_body(&mut self, framing: Framing) {
        if let State::Envelope(progress) = std::mem::replace(&mut self.state, State::Closed) {
            self.state = State::Body(progress, framing);
            self.flush();
            self.actions.push_back(Action::Data);
        }
    }

    /// The reply to the end of the mail data speaks for all recipients who were agreed to.
    fn message_replied(&mut self, mut progress: Progress, reply: Reply) {
        self.state = State::Ready;
        progress.settle_rest(match reply.class() {
            2 => Outcome::Delivered { reply },
            _ => Outcome::refused(Step::Message, reply, Retry::NextHost),
        });
        self.settle(progress, true);
    }

    /// The server refuses to go on.
    fn refused(&mut self, step: Step, reply: Reply) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Envelope(mut progress) | State::Body(mut progress, _) | State::Message(mut progress) => {
                progress.settle_rest(Outcome::refused(step, reply, Retry::NextHost));
                self.settle(progress, false);
                self.close();
            }
            // That a server refuses us says nothing of a recipient: try again, here or elsewhere.
            _ => self.fail(Reason::refused(4, step, reply)),
        }
    }

    /// The conversation is over, and nothing can be concluded from what the server said last.
    fn broken(&mut self, breakage: Breakage) {
        let step = self.step();
        let reason = Reason::broken(step, breakage);
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Envelope(mut progress) | State::Body(mut progress, _) | State::Message(mut progress) => {
                let retry = match (step, breakage) {
                    // The server may have it.
                    (Step::Message, _) => Retry::Later,
                    (_, Breakage::Unreadable) => Retry::Later,
                    _ => Retry::NextHost,
                };
                progress.settle_rest(Outcome::Deferred { reason, retry });
                self.settle(progress, false);
                self.close();
            }
            _ => self.fail(reason),
        }
    }

    fn settle(&mut self, progress: Progress, reusable: bool) {
        let outcomes: Vec<Outcome> = progress.outcomes.into_iter().flatten().collect();
        debug_assert_eq!(outcomes.len(), progress.transaction.recipients.len());
        self.actions.push_back(Action::Settled(Settled { outcomes, reusable, dsn: self.extensions.dsn }));
    }

    fn fail(&mut self, reason: Reason) {
        self.actions.push_back(Action::Failed(reason));
        self.close();
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.output.clear();
        self.waiting.clear();
        self.asked.clear();
        self.deadline = None;
        // What was to be sent may stand in the way of what was settled.
        self.actions.retain(|action| !matches!(action, Action::Send(_) | Action::Data | Action::StartTls));
        self.actions.push_back(Action::Close);
    }
}

impl Progress {
    /// Takes the reply to a part of the envelope, and says what is to be done about mail data.
    fn replied(&mut self, step: Step, reply: Reply) -> Option<Data> {
        match (step, reply.class()) {
            (Step::Mail, 2) => self.mail_accepted = true,
            (Step::Mail, _) => {
                self.settle_rest(Outcome::refused(step, reply, Retry::NextHost));
                self.next = Next::Nothing;
            }
            // Whatever it says of a recipient after MAIL was refused.
            (Step::Rcpt(number), _) if self.outcomes[number].is_some() => {}
            (Step::Rcpt(_), 2) => self.accepted += 1,
            (Step::Rcpt(number), _) => self.outcomes[number] = Some(self.rcpt_refused(step, reply)),
            (Step::Data, 3) if self.accepted > 0 => return Some(Data::Wanted),
            (Step::Data, 3) => {
                self.ended_in_vain = true;
                return Some(Data::InVain);
            }
            (Step::Data, _) => {
                self.settle_rest(Outcome::refused(step, reply, Retry::NextHost));
                self.accepted = 0;
            }
            // RSET cannot well be refused, and the end without data was for nobody.
            _ => {}
        }
        None
    }

    fn rcpt_refused(&self, step: Step, reply: Reply) -> Outcome {
        // "Too many recipients", in its right form and the older one (RFC 5321 §4.5.3.1.10).
        let too_many = match (reply.code(), reply.status()) {
            (452, None) => true,
            (452 | 552, Some(status)) => status.to_string().ends_with(".5.3"),
            _ => false,
        };
        if too_many && self.accepted > 0 {
            let reason = Reason::refused(4, step, reply);
            return Outcome::Deferred { reason, retry: Retry::NextTransaction };
        }
        Outcome::refused(step, reply, Retry::Later)
    }

    /// The first recipient from this number on who is to be said to the server.
    fn first_rcpt(&self, from: usize) -> Next {
        let unsettled = self.outcomes[from..].iter().position(Option::is_none);
        unsettled.map_or(Next::Data, |at| Next::Rcpt(from + at))
    }

    /// What becomes of those of whom nothing is known yet.
    fn settle_rest(&mut self, outcome: Outcome) {
        for unsettled in self.outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
            *unsettled = Some(outcome.clone());
        }
    }
}

fn flush(output: &mut BytesMut, actions: &mut VecDeque<Action>) {
    if !output.is_empty() {
        actions.push_back(Action::Send(output.split().freeze()));
    }
}

/// What the reply to DATA means.
enum Data {
    /// Somebody waits for the mail data.
    Wanted,
    /// The server takes them, but for nobody (RFC 2920 §3.1).
    InVain,
}
