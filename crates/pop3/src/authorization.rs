//! The AUTHORIZATION state (RFC 1939 §4): who the client is, and whether it may be overheard.

use envelope::Language;
use zeroize::Zeroizing;

use crate::action::{Action, LoginFailure};
use crate::capabilities::offers_stls;
use crate::command::{Auth, Secret};
use crate::credentials::Credentials;
use crate::dialogue::{Dialogue, Doing, State};
use crate::maildrop::Maildrop;
use crate::plain;
use crate::responses::{Negative, Positive};
use crate::settings::Channel;

impl Dialogue {
    /// Any name is taken, so that nobody can ask which users there are.
    pub(crate) fn user(&mut self, name: &str) -> Result<(), Negative> {
        self.may_log_in()?;
        self.state = State::Authorization { user: Some(name.to_owned()) };
        self.output.ok(Positive::SendPassword);
        Ok(())
    }

    pub(crate) fn pass(&mut self, Secret(password): Secret<&str>) -> Result<(), Negative> {
        self.may_log_in()?;
        let State::Authorization { user: Some(name) } = &mut self.state else {
            return Err(Negative::UserFirst);
        };
        let name = std::mem::take(name);
        self.log_in(Credentials { name, password: Zeroizing::new(password.to_owned()) });
        Ok(())
    }

    /// RFC 5034 §4.
    pub(crate) fn auth(&mut self, auth: Option<Auth<'_>>) -> Result<(), Negative> {
        self.may_log_in()?;
        let Some(auth) = auth else {
            self.output.ok(Positive::Mechanisms);
            self.output.line("PLAIN");
            self.output.end();
            return Ok(());
        };
        if !auth.mechanism.eq_ignore_ascii_case("PLAIN") {
            return Err(Negative::MechanismUnknown);
        }
        if let Some(Secret(response)) = auth.initial_response {
            return self.take_sasl_response(response);
        }
        self.state = State::SaslResponse;
        self.output.challenge();
        Ok(())
    }

    /// Takes the client's part of AUTH PLAIN.
    pub(crate) fn take_sasl_response(&mut self, response: &[u8]) -> Result<(), Negative> {
        self.state = State::Authorization { user: None };
        if response == b"*" {
            return Err(Negative::AuthCancelled);
        }
        match plain::credentials(response) {
            Ok(credentials) => self.log_in(credentials),
            Err(Negative::NotOwnIdentity) => self.fail_login(Negative::NotOwnIdentity),
            Err(negative) => return Err(negative),
        }
        Ok(())
    }

    /// The maildrop is open and locked, or not.
    pub(crate) fn logged_in(&mut self, result: Result<Maildrop, LoginFailure>) {
        if !matches!(self.state, State::LoggingIn) {
            return;
        }
        self.state = State::Authorization { user: None };
        match result {
            Ok(maildrop) => {
                self.output
                    .ok(Positive::Maildrop { messages: maildrop.messages(), octets: maildrop.octets() });
                self.state = State::Transaction { maildrop, doing: Doing::Commands };
            }
            Err(failure @ (LoginFailure::Credentials | LoginFailure::Suspended)) => {
                self.fail_login(failure.into());
            }
            // Not the client's fault: it may try again.
            Err(failure @ (LoginFailure::InUse | LoginFailure::Unavailable | LoginFailure::Maildrop)) => {
                self.output.err(failure.into());
            }
        }
    }

    /// RFC 2595 §4.
    pub(crate) fn stls(&mut self, more_follows: bool) -> Result<(), Negative> {
        self.must_be_unauthorized()?;
        if self.channel == Channel::Tls {
            return Err(Negative::TlsActive);
        }
        if !offers_stls(&self.settings, self.channel) {
            return Err(Negative::TlsNotOffered);
        }
        if more_follows {
            // Obeying it under TLS would let somebody on the wire speak with the client's voice.
            self.output.err(Negative::PlaintextAfterStls);
            self.close();
            return Ok(());
        }
        self.output.ok(Positive::BeginTls);
        self.state = State::StartingTls;
        self.pending = Some(Action::StartTls);
        Ok(())
    }

    /// TLS is active: what the client said before may have been somebody else's words.
    pub(crate) fn tls_started(&mut self) {
        if !matches!(self.state, State::StartingTls) {
            return;
        }
        self.channel = Channel::Tls;
        self.state = State::Authorization { user: None };
        self.utf8 = false;
        self.output.language = Language::En;
    }

    /// RFC 6856 §2.1.
    pub(crate) fn utf8(&mut self) -> Result<(), Negative> {
        self.must_be_unauthorized()?;
        self.utf8 = true;
        self.output.ok(Positive::Utf8);
        Ok(())
    }

    fn must_be_unauthorized(&self) -> Result<(), Negative> {
        match self.state {
            State::Authorization { .. } => Ok(()),
            _ => Err(Negative::AlreadyAuthorized),
        }
    }

    fn may_log_in(&self) -> Result<(), Negative> {
        self.must_be_unauthorized()?;
        if self.channel.takes_passwords() { Ok(()) } else { Err(Negative::TlsFirst) }
    }

    fn log_in(&mut self, credentials: Credentials) {
        self.state = State::LoggingIn;
        self.pending = Some(Action::Login(credentials));
    }

    /// Tells that a login failed; so many of them end the session, since passwords are guessed so.
    fn fail_login(&mut self, negative: Negative) {
        self.login_failures += 1;
        self.output.err(negative);
        if self.login_failures >= self.settings.login_failures_max {
            self.close();
        }
    }
}
