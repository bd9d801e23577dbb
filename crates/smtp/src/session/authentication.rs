//! AUTH (RFC 4954): the client shows who it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envelope::{Client, Sender};
use zeroize::Zeroize;

use super::{Session, State, Step};
use crate::action::{Action, Event};
use crate::credentials::{AuthenticationFailure, ScramSalt, ServerSignature};
use crate::replies;
use crate::sasl::{self, Exchange, ExchangeError, Mechanism, Progress, Response, scram};

impl Session {
    /// AUTH.
    pub(super) fn auth(&mut self, mechanism: &str, initial_response: Option<Response<'_>>) -> Step {
        match self.state {
            State::Idle => {}
            State::BetweenChunks(_) => return self.reply(&replies::amid_chunks()),
            _ => return self.reply(&replies::amid_transaction()),
        }
        if self.settings.mechanisms.is_empty() {
            return self.reply(&replies::unimplemented());
        }
        if let Client::Sender(_) = self.client {
            return self.reply(&replies::authenticated_already());
        }
        let offered = self.settings.offered_mechanisms(self.tls.is_some());
        if offered.is_empty() {
            return self.reply(&replies::encryption_required());
        }
        let Some(mechanism) = Mechanism::named(mechanism).filter(|named| offered.contains(named)) else {
            return self.reply(&replies::mechanism_unknown());
        };
        let (exchange, challenge) = Exchange::begin(mechanism);
        match initial_response {
            Some(response) => self.go_on_with(exchange, response),
            None => self.challenge(exchange, challenge),
        }
    }

    /// Takes the next line of an exchange.
    pub(super) fn response(&mut self, exchange: Exchange) -> Step {
        match self.lines.next(&mut self.input, sasl::LINE_MAX) {
            None => {
                self.state = State::Authenticating(exchange);
                Step::NeedsInput
            }
            Some(Ok(mut line)) => {
                let step = self.go_on_with(exchange, Response(&line));
                line.zeroize();
                step
            }
            Some(Err(_)) => self.reply(&replies::exchange_line_too_long()),
        }
    }

    fn challenge(&mut self, exchange: Exchange, challenge: &str) -> Step {
        self.reply(&replies::challenge(challenge));
        self.state = State::Authenticating(exchange);
        Step::Done
    }

    fn go_on_with(&mut self, exchange: Exchange, response: Response<'_>) -> Step {
        let mechanism = exchange.mechanism();
        let name = exchange.name().map(str::to_owned);
        match exchange.respond(response) {
            Ok(Progress::Challenge(exchange, challenge)) => self.challenge(exchange, &challenge),
            Ok(Progress::Verify(credentials)) => {
                self.state = State::Verifying { name: credentials.name.clone(), mechanism };
                self.actions.push_back(Action::Authenticate(credentials));
                Step::Done
            }
            Ok(Progress::FindSalt(first)) => {
                self.actions.push_back(Action::ScramSalt { name: first.name().to_owned() });
                self.state = State::FindingSalt(first);
                Step::Done
            }
            Ok(Progress::VerifyProof(scram::Proof { name, auth_message, proof })) => {
                self.state = State::Verifying { name: name.clone(), mechanism };
                self.actions.push_back(Action::ScramProof { name, auth_message, proof });
                Step::Done
            }
            Ok(Progress::Acknowledged(end)) => self.conclude(name, mechanism, Ok(end.sender)),
            Err(ExchangeError::Refused) => {
                self.conclude(name, mechanism, Err(AuthenticationFailure::Credentials))
            }
            Err(error) => self.reply(&replies::exchange_failed(error)),
        }
    }

    /// Answers [`Action::Authenticate`].
    pub fn authenticated(&mut self, verdict: Result<Sender, AuthenticationFailure>) {
        match std::mem::take(&mut self.state) {
            State::Verifying { name, mechanism } if mechanism != Mechanism::ScramSha256 => {
                self.conclude(Some(name), mechanism, verdict);
            }
            state => self.state = state,
        }
    }

    /// Answers [`Action::ScramSalt`]. `nonce` is random, and new for each call.
    pub fn scram_salt(&mut self, salt: Result<ScramSalt, AuthenticationFailure>, nonce: [u8; 18]) {
        let first = match std::mem::take(&mut self.state) {
            State::FindingSalt(first) => first,
            state => return self.state = state,
        };
        match salt {
            Ok(salt) => {
                let challenge = Box::new(first.challenge(&salt, &STANDARD.encode(nonce)));
                let server_first = challenge.server_first().to_owned();
                self.challenge(Exchange::ScramProof(challenge), &server_first);
            }
            Err(failure) => {
                self.conclude(Some(first.name().to_owned()), Mechanism::ScramSha256, Err(failure));
            }
        }
    }

    /// Answers [`Action::ScramProof`].
    pub fn scram_proved(&mut self, verdict: Result<(Sender, ServerSignature), AuthenticationFailure>) {
        let name = match std::mem::take(&mut self.state) {
            State::Verifying { name, mechanism: Mechanism::ScramSha256 } => name,
            state => return self.state = state,
        };
        match verdict {
            Ok((sender, signature)) => {
                let end = Box::new(scram::Acknowledgement { sender, name });
                self.challenge(Exchange::ScramEnd(end), &scram::server_final(&signature));
            }
            Err(failure) => {
                self.conclude(Some(name), Mechanism::ScramSha256, Err(failure));
            }
        }
    }

    /// Ends an exchange. Who fails too often is sent away, since passwords are guessed so.
    fn conclude(
        &mut self,
        name: Option<String>,
        mechanism: Mechanism,
        verdict: Result<Sender, AuthenticationFailure>,
    ) -> Step {
        let failure = match verdict {
            Ok(sender) => {
                self.client = Client::Sender(sender.clone());
                self.actions.push_back(Action::Log(Event::LoggedIn { sender, mechanism }));
                return self.reply(&replies::authenticated());
            }
            Err(failure) => failure,
        };
        self.actions.push_back(Action::Log(Event::LoginRefused { name, mechanism, failure }));
        self.reply(&replies::not_authenticated(failure));
        // If we cannot look, the client has not failed.
        self.login_failures += usize::from(failure != AuthenticationFailure::TryLater);
        if self.login_failures < self.settings.login_failures_max {
            return Step::Done;
        }
        self.actions.push_back(Action::Log(Event::TooManyLoginFailures));
        self.reply(&replies::too_many_login_failures());
        self.close()
    }
}
