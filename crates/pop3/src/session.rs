//! The session as its shell sees it: octets and time in, actions out.

use std::sync::Arc;
use std::time::Instant;

use crate::action::{Action, LoginFailure, NotRemoved, NotTransmitted, Unavailable};
use crate::dialogue::{Dialogue, State};
use crate::lines::{Line, Lines};
use crate::maildrop::Maildrop;
use crate::settings::{Channel, Settings};
use crate::uids::Uids;

/// The most octets in one [`Action::Send`].
pub const SEND_MAX: usize = 64 * 1024;

/// With so many octets waiting, they are sent before more is said: one more response of ours, or
/// line of a listing, still fits below [`SEND_MAX`].
const SEND_FULL: usize = SEND_MAX - 1024;

/// One client's session, from its greeting to the end.
///
/// The shell's loop: do what [`next_action`](Session::next_action) says until it says `None`; then,
/// if [`wants_input`](Session::wants_input), read until [`deadline`](Session::deadline), tell
/// [`receive`](Session::receive), [`end_of_input`](Session::end_of_input) or
/// [`timed_out`](Session::timed_out), and begin anew. An answer that was not asked for is ignored.
pub struct Session {
    lines: Lines,
    dialogue: Dialogue,
    input_ended: bool,
    stopping: bool,
    /// Something was done since the session last fell silent.
    busy: bool,
    idle_deadline: Instant,
    login_deadline: Instant,
}

impl Session {
    /// A session on a new connection; TLS, if active from the start, is negotiated already.
    pub fn new(settings: Arc<Settings>, channel: Channel, now: Instant) -> Session {
        Session {
            idle_deadline: now + settings.idle,
            login_deadline: now + settings.login_within,
            lines: Lines::default(),
            dialogue: Dialogue::new(settings, channel),
            input_ended: false,
            stopping: false,
            busy: true,
        }
    }

    /// What to do next. `None`: it waits for input, or for the answer to an action given before.
    pub fn next_action(&mut self, now: Instant) -> Option<Action> {
        while self.dialogue.pending.is_none() && self.dialogue.output.len() < SEND_FULL && self.step() {
            self.busy = true;
        }
        let action = if self.dialogue.output.is_empty() {
            self.dialogue.pending.take()
        } else {
            Some(Action::Send(self.dialogue.output.take()))
        };
        // Only whole commands, and the time we took for them, start the timer afresh (RFC 1939 §3):
        // a client that sends an octet a minute is idle.
        if action.is_some() {
            self.busy = true;
        } else if std::mem::take(&mut self.busy) {
            self.idle_deadline = now + self.dialogue.settings.idle;
        }
        action
    }

    /// Whether the shell may read from the client. What it reads while this is false waits in
    /// memory, so it had better wait in the socket.
    pub fn wants_input(&self) -> bool {
        self.dialogue.takes_lines() && !self.input_ended && !self.stopping
    }

    /// Takes octets from the client, in pieces of any size.
    pub fn receive(&mut self, octets: &[u8]) {
        match self.dialogue.state {
            State::Closed => {}
            // Plaintext where TLS should begin: not the client that said STLS.
            State::StartingTls => self.dialogue.close(),
            _ => self.lines.push(octets),
        }
    }

    /// The client sends nothing more. Whole lines it sent are still obeyed, QUIT among them; then
    /// the session closes and removes nothing.
    pub fn end_of_input(&mut self) {
        self.input_ended = true;
    }

    /// The deadline passed: closes at once, says nothing and removes nothing (RFC 1939 §3).
    pub fn timed_out(&mut self) {
        self.dialogue.output.clear();
        self.dialogue.close();
    }

    /// The server stops: closes after the command in hand, and removes nothing but for a QUIT.
    pub fn shutdown(&mut self) {
        self.stopping = true;
    }

    /// Until when the client may be silent. When it passes, call [`timed_out`](Session::timed_out).
    pub fn deadline(&self) -> Instant {
        match self.dialogue.state {
            State::Transaction { .. } | State::Update => self.idle_deadline,
            _ => self.idle_deadline.min(self.login_deadline),
        }
    }

    /// Whether TLS is active.
    pub fn is_tls(&self) -> bool {
        self.dialogue.channel == Channel::Tls
    }

    /// Answers [`Action::Login`]: the maildrop is open and locked, or why not.
    pub fn logged_in(&mut self, result: Result<Maildrop, LoginFailure>) {
        self.busy = true;
        self.dialogue.logged_in(result);
    }

    /// Answers [`Action::Uids`], with one unique-id for every message of the maildrop.
    pub fn uids(&mut self, result: Result<Uids, Unavailable>) {
        self.busy = true;
        self.dialogue.uids(result);
    }

    /// Answers [`Action::Transmit`]: the message was sent with its final dot, or why not.
    pub fn transmitted(&mut self, result: Result<(), NotTransmitted>) {
        self.busy = true;
        self.dialogue.transmitted(result);
    }

    /// Answers [`Action::Remove`].
    pub fn removed(&mut self, result: Result<(), NotRemoved>) {
        self.busy = true;
        self.dialogue.removed(result);
    }

    /// Answers [`Action::StartTls`]: TLS is active from here on.
    pub fn tls_started(&mut self) {
        self.busy = true;
        self.lines.clear();
        self.dialogue.tls_started();
    }

    /// Goes one step on with what is at hand; says whether there was anything.
    fn step(&mut self) -> bool {
        if self.dialogue.list_on(SEND_FULL) {
            return true;
        }
        if !self.dialogue.takes_lines() {
            return false;
        }
        if self.stopping {
            self.dialogue.close();
            return true;
        }
        match self.lines.next_line() {
            Some(Line::Whole { octets, more_follows }) => self.dialogue.take_line(octets, more_follows),
            Some(Line::TooLong) => self.dialogue.take_overlong_line(),
            None if self.input_ended => self.dialogue.close(),
            None => return false,
        }
        true
    }
}
