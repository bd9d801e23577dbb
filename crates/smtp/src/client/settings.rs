//! What a session is told once.

use std::time::Duration;

use super::action::Step;
use super::login::Login;

/// How a session behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our own name for EHLO: a host name in A-labels, or an address literal (RFC 5321 §4.1.4).
    pub name: String,
    /// Whether to start TLS.
    pub starttls: StartTls,
    /// With what to log in, as at a smart host.
    pub login: Option<Login>,
    /// Whether to log in without TLS, as on a line that nobody can listen to.
    pub plaintext_login: bool,
    /// Whether to use PIPELINING where it is offered.
    pub pipelining: bool,
    /// Whether to use CHUNKING where it is offered.
    pub chunking: bool,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl Settings {
    /// The defaults for a client of this name.
    pub fn new(name: impl Into<String>) -> Settings {
        Settings {
            name: name.into(),
            starttls: StartTls::IfOffered,
            login: None,
            plaintext_login: false,
            pipelining: true,
            chunking: true,
            timeouts: Timeouts::default(),
        }
    }
}

/// Whether to start TLS (RFC 3207).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StartTls {
    /// Not at all.
    Never,
    /// If the server offers it and then does not refuse it.
    IfOffered,
    /// In any case: nothing is sent without.
    Required,
}

/// How long the server may take, from RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For its greeting (§4.5.3.2.1).
    pub greeting: Duration,
    /// For EHLO, STARTTLS, AUTH and RSET; the RFC has no number for them.
    pub hello: Duration,
    /// For MAIL (§4.5.3.2.2).
    pub mail: Duration,
    /// For RCPT (§4.5.3.2.3).
    pub rcpt: Duration,
    /// For DATA (§4.5.3.2.4).
    pub data: Duration,
    /// To take a piece of the mail data (§4.5.3.2.5).
    pub block: Duration,
    /// For the end of the mail data (§4.5.3.2.6).
    pub message: Duration,
    /// For QUIT. Nothing hangs on its answer.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Timeouts {
            greeting: minutes(5),
            hello: minutes(5),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            message: minutes(10),
            quit: Duration::from_secs(5),
        }
    }
}

impl Timeouts {
    /// How long to wait at this step; `None` where it is not the server's turn.
    pub(super) fn of(&self, step: Step) -> Option<Duration> {
        Some(match step {
            Step::Greeting => self.greeting,
            Step::Ehlo | Step::Helo | Step::StartTls | Step::Auth | Step::Rset => self.hello,
            Step::Mail => self.mail,
            Step::Rcpt(_) => self.rcpt,
            Step::Data => self.data,
            Step::Body => self.block,
            Step::Message => self.message,
            Step::Quit => self.quit,
            Step::Idle => return None,
        })
    }
}
