//! The states of a session (RFC 1939 §3), and who answers in which.
//!
//! ```text
//!  AUTHORIZATION ──Login, logged_in──▶ TRANSACTION ──QUIT, Remove──▶ UPDATE ──removed──▶ closed
//!    │  ▲  STLS: StartTls, tls_started     │   UIDL: Uids, uids
//!    └──┘  AUTH: the SASL response         │   RETR, TOP: Transmit, transmitted
//!          QUIT, errors: closed            └── lost, idle or faulty clients: closed, nothing removed
//! ```
//!
//! The commands of AUTHORIZATION stand in `authorization.rs`, those of TRANSACTION in
//! `transaction.rs`, and those of both here.

use std::sync::Arc;

use envelope::Language;

use crate::action::{Action, NotRemoved};
use crate::capabilities::capabilities;
use crate::command::Command;
use crate::language::{LANGUAGES, matching};
use crate::maildrop::Maildrop;
use crate::output::Output;
use crate::responses::{Negative, Positive};
use crate::settings::{Channel, Settings};

/// What was said so far and what is to be said next; knows nothing of lines and time.
pub(crate) struct Dialogue {
    pub(crate) settings: Arc<Settings>,
    pub(crate) channel: Channel,
    pub(crate) state: State,
    pub(crate) output: Output,
    /// What the shell is to do once the output is sent.
    pub(crate) pending: Option<Action>,
    /// Whether the client asked for UTF-8 mode.
    pub(crate) utf8: bool,
    pub(crate) login_failures: u32,
    errors: u32,
}

/// Where the dialogue stands. A waiting state waits for the shell's answer.
pub(crate) enum State {
    Authorization {
        user: Option<String>,
    },
    /// AUTH PLAIN came without its response: the next line is that.
    SaslResponse,
    /// Waits for `logged_in`.
    LoggingIn,
    /// Waits for `tls_started`.
    StartingTls,
    Transaction {
        maildrop: Maildrop,
        doing: Doing,
    },
    /// Waits for `removed`.
    Update,
    Closed,
}

/// What a transaction is busy with.
pub(crate) enum Doing {
    /// Taking commands.
    Commands,
    /// Writing a listing, of which the message `next` is next.
    Listing { of: Listing, next: usize },
    /// Waits for `uids`, to list the one asked for or all.
    Naming { only: Option<usize> },
    /// Waits for `transmitted`.
    Transmitting,
}

/// What a listing says of each message.
#[derive(Clone, Copy)]
pub(crate) enum Listing {
    Sizes,
    Uids,
}

impl Dialogue {
    /// Begins with the greeting.
    pub(crate) fn new(settings: Arc<Settings>, channel: Channel) -> Dialogue {
        let mut output = Output::new(Language::En);
        output.ok(Positive::Greeting { host: &settings.host });
        Dialogue {
            settings,
            channel,
            state: State::Authorization { user: None },
            output,
            pending: None,
            utf8: false,
            login_failures: 0,
            errors: 0,
        }
    }

    /// Whether the next line can be taken now.
    pub(crate) fn takes_lines(&self) -> bool {
        let ready = match &self.state {
            State::Authorization { .. } | State::SaslResponse => true,
            State::Transaction { doing, .. } => matches!(doing, Doing::Commands),
            State::LoggingIn | State::StartingTls | State::Update | State::Closed => false,
        };
        ready && self.pending.is_none()
    }

    /// Takes a line. `more_follows`: whether the client sent more, not waiting for the response.
    pub(crate) fn take_line(&mut self, line: &[u8], more_follows: bool) {
        let obeyed = if matches!(self.state, State::SaslResponse) {
            self.take_sasl_response(line)
        } else {
            Command::parse(line).and_then(|command| self.obey(command, more_follows))
        };
        if let Err(negative) = obeyed {
            self.refuse(negative);
        }
    }

    /// A line came that was too long to be kept.
    pub(crate) fn take_overlong_line(&mut self) {
        if matches!(self.state, State::SaslResponse) {
            self.state = State::Authorization { user: None };
        }
        self.refuse(Negative::LineTooLong);
    }

    fn obey(&mut self, command: Command<'_>, more_follows: bool) -> Result<(), Negative> {
        match command {
            Command::Capa => self.capa(),
            Command::Lang(None) => self.list_languages(),
            Command::Lang(Some(range)) => return self.choose_language(range),
            Command::Quit => self.quit(),
            Command::User(name) => return self.user(name),
            Command::Pass(password) => return self.pass(password),
            Command::Auth(auth) => return self.auth(auth),
            Command::Stls => return self.stls(more_follows),
            Command::Utf8 => return self.utf8(),
            Command::Transaction(command) => return self.transact(command),
        }
        Ok(())
    }

    fn capa(&mut self) {
        self.output.ok(Positive::Capabilities);
        for capability in capabilities(&self.settings, self.channel) {
            self.output.line(capability);
        }
        self.output.end();
    }

    fn list_languages(&mut self) {
        self.output.ok(Positive::Languages);
        for (language, name) in LANGUAGES {
            self.output.line(&format!("{} {name}", language.as_str()));
        }
        self.output.end();
    }

    fn choose_language(&mut self, range: &str) -> Result<(), Negative> {
        let language = matching(range, self.settings.preferred_language).ok_or(Negative::LanguageUnknown)?;
        // RFC 6856 §3.2: the response to LANG is in the new language already.
        self.output.language = language;
        self.output.ok(Positive::Language);
        Ok(())
    }

    fn quit(&mut self) {
        match std::mem::replace(&mut self.state, State::Update) {
            // Asked even if there is nothing to remove: the maildrop is unlocked before the client
            // hears +OK, so that it may come back at once.
            State::Transaction { maildrop, .. } => {
                self.pending = Some(Action::Remove(maildrop.into_deleted()));
            }
            _ => self.removed(Ok(())),
        }
    }

    /// The deleted messages are gone, or not all of them.
    pub(crate) fn removed(&mut self, result: Result<(), NotRemoved>) {
        if !matches!(self.state, State::Update) {
            return;
        }
        match result {
            Ok(()) => self.output.ok(Positive::Goodbye),
            Err(NotRemoved) => self.output.err(Negative::NotRemoved),
        }
        self.close();
    }

    /// Refuses a line that the client should not have sent: too many of them end the session.
    fn refuse(&mut self, negative: Negative) {
        self.errors += 1;
        if self.errors < self.settings.errors_max {
            return self.output.err(negative);
        }
        self.output.err(Negative::TooManyErrors);
        self.close();
    }

    /// Ends the session once the output is sent; nothing is removed.
    pub(crate) fn close(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Closed;
            self.pending = Some(Action::Close);
        }
    }
}
