//! What the operator decides, and what kind of connection it is.

use std::time::Duration;

use envelope::Language;

/// What holds for every session of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The server's host name, for the greeting.
    pub host: String,
    /// Whether STLS is offered where TLS is not yet active (RFC 2595 §4).
    pub offers_stls: bool,
    /// The language that `LANG *` chooses (RFC 6856 §3.2). Before LANG, responses are English.
    pub preferred_language: Language,
    /// How long a client may be silent: at least 10 minutes by RFC 1939 §3.
    pub idle: Duration,
    /// How long a client has from its connection to its login, whatever it says meanwhile.
    pub login_within: Duration,
    /// The session closes at this many commands that could not be obeyed.
    pub errors_max: u32,
    /// The session closes at this many failed logins.
    pub login_failures_max: u32,
}

impl Settings {
    /// The defaults: STLS, Japanese preferred, 10 minutes to be silent and to log in, 20 errors,
    /// 3 failed logins.
    pub fn new(host: impl Into<String>) -> Settings {
        Settings {
            host: host.into(),
            offers_stls: true,
            preferred_language: Language::Ja,
            idle: Duration::from_secs(600),
            login_within: Duration::from_secs(600),
            errors_max: 20,
            login_failures_max: 3,
        }
    }
}

/// Who might be listening to what the client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Nobody: TLS is active.
    Tls,
    /// Nobody we fear: a loopback address, or a network where the operator allows it.
    Trusted,
    /// Anybody: no password is taken before STLS.
    Cleartext,
}

impl Channel {
    /// Whether a password may be sent in clear through it.
    pub(crate) fn takes_passwords(self) -> bool {
        match self {
            Channel::Tls | Channel::Trusted => true,
            Channel::Cleartext => false,
        }
    }
}
