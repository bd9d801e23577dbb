//! What each command does (RFC 5321 §4.1.1).

use std::time::Instant;

use envelope::{AccountName, Address, Client, ForwardPath, Host, LocalPart, RecipientWishes, ReversePath};
use zeroize::Zeroize;

use super::{Hello, Session, State, Step, Transaction};
use crate::action::{Action, Event, Refused};
use crate::command::{self, Command, CommandError, MailParameters};
use crate::command_lines::LINE_MAX;
use crate::settings::Mode;
use crate::{extensions, replies};

/// The longest name of a client that is kept, in octets (RFC 5321 §4.5.3.1.2).
const NAME_MAX: usize = 255;

impl Session {
    /// Takes the next command line, and obeys it.
    pub(super) fn command(&mut self, now: Instant) -> Step {
        if self.errors >= self.settings.errors_max {
            self.reply(&replies::too_many_errors());
            self.actions.push_back(Action::Log(Event::TooManyErrors));
            return self.close();
        }
        if self.stopping && !matches!(self.state, State::BetweenChunks(_)) {
            self.reply(&replies::shutting_down());
            return self.close();
        }
        match self.lines.next(&mut self.input, LINE_MAX) {
            None => Step::NeedsInput,
            Some(Ok(mut line)) => {
                let step = match command::parse(&line) {
                    Ok(command) => self.obey(command, now),
                    Err(error) => self.misunderstand(error),
                };
                // There may have been a password in it.
                line.zeroize();
                step
            }
            Some(Err(too_long)) if command::is_bdat(&too_long.beginning) => {
                self.misunderstand(CommandError::ChunkSize)
            }
            Some(Err(_)) => self.reply(&replies::line_too_long()),
        }
    }

    fn obey(&mut self, command: Command<'_>, now: Instant) -> Step {
        match command {
            Command::Helo(name) => {
                self.abandon();
                self.hello = Hello::Helo(shortened(name));
                self.reply(&replies::helo(&self.settings))
            }
            Command::Ehlo(name) => {
                self.abandon();
                self.hello = Hello::Ehlo(shortened(name));
                let extensions = extensions::list(&self.settings, self.tls.is_some());
                self.reply(&replies::ehlo(&self.settings, &extensions))
            }
            Command::Mail { reverse_path, parameters } => self.mail(reverse_path, parameters),
            Command::Rcpt { forward_path, wishes, international } => {
                self.rcpt(forward_path, wishes, international)
            }
            Command::Data => self.ask_for_data(),
            Command::Bdat { size, last } => self.bdat(size, last, now),
            Command::Rset => {
                self.abandon();
                self.reply(&replies::flushed())
            }
            Command::Noop => self.reply(&replies::noop()),
            Command::Vrfy => self.reply(&replies::vrfy()),
            Command::Help => self.reply(&replies::help()),
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial_response } => self.auth(mechanism, initial_response),
            Command::Quit => {
                self.abandon();
                self.reply(&replies::bye(&self.settings));
                self.close()
            }
        }
    }

    fn misunderstand(&mut self, error: CommandError) -> Step {
        self.reply(&replies::not_understood(&error));
        match error {
            CommandError::ChunkSize => self.close(),
            _ => Step::Done,
        }
    }

    fn mail(&mut self, reverse_path: ReversePath, parameters: MailParameters) -> Step {
        match self.state {
            State::Idle => {}
            State::BetweenChunks(_) => return self.reply(&replies::amid_chunks()),
            _ => return self.reply(&replies::mail_already()),
        }
        let refusal = if self.needs_authentication() {
            Some(replies::authentication_required())
        } else if parameters.size.is_some_and(|size| size > self.settings.message_size_max) {
            Some(replies::too_large())
        } else {
            None
        };
        if let Some(reply) = refusal {
            return self.refuse(Refused {
                reverse_path: Some(reverse_path),
                recipient: None,
                id: None,
                account: self.account(),
                reply,
            });
        }
        let sender = match &self.client {
            Client::Stranger => None,
            Client::Sender(sender) => Some(sender.clone()),
        };
        let question =
            sender.clone().map(|sender| Action::JudgeSender { reverse_path: reverse_path.clone(), sender });
        let transaction = Transaction {
            sender,
            reverse_path,
            recipients: Vec::new(),
            size: parameters.size.unwrap_or_default(),
            body: parameters.body,
            smtputf8: parameters.smtputf8,
            wishes: parameters.wishes,
            recipient_wishes: Vec::new(),
            originals: 0,
        };
        match question {
            Some(question) => {
                self.actions.push_back(question);
                self.state = State::JudgingSender(transaction);
                Step::Done
            }
            None => {
                self.state = State::Transaction(transaction);
                self.reply(&replies::sender_ok())
            }
        }
    }

    /// The account of a client that showed who it is.
    fn account(&self) -> Option<AccountName> {
        match &self.client {
            Client::Stranger => None,
            Client::Sender(sender) => Some(sender.account.clone()),
        }
    }

    /// Whether the client must say who it is before it may send.
    fn needs_authentication(&self) -> bool {
        match self.client {
            Client::Stranger => {
                self.settings.mode == Mode::Submission && !self.settings.unauthenticated_submission
            }
            Client::Sender(_) => false,
        }
    }

    fn rcpt(&mut self, forward_path: ForwardPath, wishes: RecipientWishes, international: bool) -> Step {
        let transaction = match std::mem::take(&mut self.state) {
            State::Transaction(transaction) => transaction,
            state @ State::BetweenChunks(_) => {
                self.state = state;
                return self.reply(&replies::amid_chunks());
            }
            _ => return self.reply(&replies::mail_first()),
        };
        let refusal = if international && !transaction.smtputf8 {
            Some(replies::needs_smtputf8())
        } else if transaction.recipients.len() >= self.settings.recipients_max {
            Some(replies::too_many_recipients())
        } else {
            None
        };
        if let Some(reply) = refusal {
            self.state = State::Transaction(transaction);
            return self.reply(&reply);
        }
        let address = match forward_path {
            ForwardPath::Address(address) => address,
            ForwardPath::Postmaster => self.own_postmaster(),
        };
        self.actions.push_back(Action::Judge {
            recipient: address.clone(),
            reverse_path: transaction.reverse_path.clone(),
            size: transaction.size,
            sender: transaction.sender.clone(),
        });
        self.state = State::Judging(transaction, address, wishes);
        Step::Done
    }

    /// Whom `<Postmaster>` without a domain means: RFC 5321 §4.5.1.
    fn own_postmaster(&self) -> Address {
        let local_part = LocalPart::new("postmaster").expect("it is a dot-string of letters");
        Address::new(local_part, Host::Domain(self.settings.host.clone()))
    }

    fn start_tls(&mut self) -> Step {
        if self.tls.is_some() {
            return self.reply(&replies::tls_already());
        }
        if !self.settings.offers_starttls {
            return self.reply(&replies::unimplemented());
        }
        self.abandon();
        // Who writes behind STARTTLS before TLS is there is broken, or is not the client at all but
        // somebody on the line who would have the client's later commands obey his (RFC 3207 §6).
        if !self.input.is_empty() {
            self.actions.push_back(Action::Log(Event::InputAfterStartTls));
            self.reply(&replies::input_after_start_tls());
            return self.close();
        }
        self.reply(&replies::start_tls());
        self.flush();
        self.actions.push_back(Action::StartTls);
        self.state = State::Handshake;
        Step::Done
    }
}

fn shortened(name: &str) -> Box<str> {
    name[..name.floor_char_boundary(NAME_MAX)].into()
}
