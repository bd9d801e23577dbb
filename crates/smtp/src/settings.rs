//! What a session is told once: the server's limits and manners, and who is at the other end.

use std::net::IpAddr;
use std::time::Duration;

use envelope::Domain;

use crate::sasl::Mechanism;

/// The shortest [`Settings::message_time_max`] that serves honest slow clients: the time that
/// RFC 5321 §4.5.3.2.5 gives a client for one block of data. A configuration should refuse less.
pub const MESSAGE_TIME_MIN: Duration = Duration::from_secs(3 * 60);

/// The server's limits and manners.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our own name.
    pub host: Domain,
    /// What the server calls itself in its greeting and farewell, qmail's `control/smtpgreeting`;
    /// it begins with a host name (RFC 5321 §4.2). By default `host`.
    pub greeting: String,
    /// What kind of server this is.
    pub mode: Mode,
    /// Whether a client that has not said who it is may submit mail all the same, as one without
    /// rights. Without it MAIL is answered 530 in [`Mode::Submission`] (RFC 6409 §4.3).
    pub unauthenticated_submission: bool,
    /// Whether to offer STARTTLS to a client that does not use TLS yet.
    pub offers_starttls: bool,
    /// How a client may show who it is; by default not at all.
    pub mechanisms: Vec<Mechanism>,
    /// Whether it may do so without TLS, as on a line that nobody can listen to.
    pub plaintext_auth: bool,
    /// After so many failures to show who it is the connection is closed.
    pub login_failures_max: usize,
    /// The largest message in octets, line ends as CRLF and our Received field not counted.
    pub message_size_max: u64,
    /// The largest header in octets.
    pub header_size_max: u64,
    /// A message with so many Received and Delivered-To fields, or more, is looping.
    pub hops_max: u32,
    /// The most recipients of one message.
    pub recipients_max: usize,
    /// After so many commands answered with 5xx the connection is closed.
    pub errors_max: usize,
    /// How long a client may be silent (RFC 5321 §4.5.3.2.7).
    pub idle: Duration,
    /// How long a message may take from 354, or from its first BDAT, to its end.
    pub message_time_max: Duration,
}

impl Settings {
    /// The defaults for a server of this name.
    pub fn new(host: Domain) -> Settings {
        Settings {
            greeting: host.to_ascii(),
            host,
            mode: Mode::Mx,
            unauthenticated_submission: false,
            offers_starttls: false,
            mechanisms: Vec::new(),
            plaintext_auth: false,
            login_failures_max: 3,
            message_size_max: 50 << 20,
            header_size_max: 256 << 10,
            hops_max: 100,
            recipients_max: 1000,
            errors_max: 20,
            idle: Duration::from_secs(5 * 60),
            message_time_max: Duration::from_secs(30 * 60),
        }
    }

    /// How a client may show who it is at this moment.
    pub fn offered_mechanisms(&self, under_tls: bool) -> &[Mechanism] {
        if under_tls || self.plaintext_auth { &self.mechanisms } else { &[] }
    }
}

/// What kind of server this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It takes mail for its own domains from anybody (RFC 5321).
    Mx,
    /// It takes mail from its own users to anybody (RFC 6409).
    Submission,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Its name according to DNS, if it was looked up and leads back to the address.
    pub name: Option<String>,
    /// The user id of a program of this machine, as the kernel says it.
    pub user: Option<u32>,
}

/// How the session is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The version, as `TLSv1.3`.
    pub version: String,
    /// The cipher suite by its IANA name, as `TLS_AES_128_GCM_SHA256`.
    pub cipher: String,
}
