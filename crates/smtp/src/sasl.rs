//! SASL as SMTP carries it (RFC 4422, RFC 4954): challenges and responses in base64, one a line.

mod login;
mod plain;
pub mod scram;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::credentials::Credentials;

/// The longest line of an exchange in octets, its line end included: what RFC 4954 §4 calls enough
/// for the mechanisms in use.
pub(crate) const LINE_MAX: usize = 12_288;

/// A way for a client to show who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7677, without channel binding: the password never crosses the line.
    ScramSha256,
    /// RFC 4616.
    Plain,
    /// Older than SASL and never a standard, but all that many programs have.
    Login,
}

impl Mechanism {
    /// All of them, the strongest first.
    pub const ALL: [Mechanism; 3] = [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    /// The mechanism of this name, in any case.
    pub fn named(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Base64 that the client sent: most likely a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Response<'a>(pub &'a [u8]);

impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response(..)")
    }
}

/// Why an exchange ended without a verdict, or with a bad one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// The client sent `*`.
    #[error("cancelled by the client")]
    Cancelled,
    /// Not base64.
    #[error("not base64")]
    Base64,
    /// Not what the mechanism has the client say here.
    #[error("not well formed")]
    Malformed,
    /// The client asks for channel binding, which is not offered.
    #[error("channel binding is not offered")]
    ChannelBinding,
    /// The client wants to act as somebody else, or answers another challenge.
    #[error("not who it says it is")]
    Refused,
}

/// An exchange that waits for the client's next response.
#[derive(Debug)]
pub(crate) enum Exchange {
    Plain,
    LoginName,
    LoginPassword { name: String },
    Scram,
    ScramProof(Box<scram::Challenge>),
    ScramEnd(Box<scram::Acknowledgement>),
}

/// What comes of a response.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Send this, and wait for the next response.
    Challenge(Exchange, String),
    /// Have this looked at.
    Verify(Credentials),
    /// Have the salt of this client's password looked up.
    FindSalt(scram::ClientFirst),
    /// Have this looked at.
    VerifyProof(scram::Proof),
    /// The client has proved who it is, and knows us.
    Acknowledged(Box<scram::Acknowledgement>),
}

impl Exchange {
    /// The exchange of a mechanism, and the challenge to send where no initial response was.
    pub(crate) fn begin(mechanism: Mechanism) -> (Exchange, &'static str) {
        match mechanism {
            Mechanism::Plain => (Exchange::Plain, ""),
            Mechanism::Login => (Exchange::LoginName, login::USERNAME),
            Mechanism::ScramSha256 => (Exchange::Scram, ""),
        }
    }

    /// The mechanism.
    pub(crate) fn mechanism(&self) -> Mechanism {
        match self {
            Exchange::Plain => Mechanism::Plain,
            Exchange::LoginName | Exchange::LoginPassword { .. } => Mechanism::Login,
            Exchange::Scram | Exchange::ScramProof(_) | Exchange::ScramEnd(_) => Mechanism::ScramSha256,
        }
    }

    /// Whom the client has said to be, so far.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Exchange::Plain | Exchange::LoginName | Exchange::Scram => None,
            Exchange::LoginPassword { name } => Some(name),
            Exchange::ScramProof(challenge) => Some(challenge.name()),
            Exchange::ScramEnd(end) => Some(&end.name),
        }
    }

    /// Takes the client's response.
    ///
    /// # Errors
    /// Why the exchange is over.
    pub(crate) fn respond(self, Response(base64): Response<'_>) -> Result<Progress, ExchangeError> {
        if base64 == b"*" {
            return Err(ExchangeError::Cancelled);
        }
        // Room for all from the start: growing would leave a password in freed memory.
        let mut octets = Zeroizing::new(Vec::with_capacity(base64.len().div_ceil(4) * 3));
        STANDARD.decode_vec(base64, &mut octets).map_err(|_| ExchangeError::Base64)?;
        let message = std::str::from_utf8(&octets).map_err(|_| ExchangeError::Malformed)?;
        match self {
            Exchange::Plain => plain::credentials(message).map(Progress::Verify),
            Exchange::LoginName => {
                let name = login::name(message)?;
                Ok(Progress::Challenge(Exchange::LoginPassword { name }, login::PASSWORD.to_owned()))
            }
            Exchange::LoginPassword { name } => login::credentials(name, message).map(Progress::Verify),
            Exchange::Scram => scram::ClientFirst::parse(message).map(Progress::FindSalt),
            Exchange::ScramProof(challenge) => challenge.proof(message).map(Progress::VerifyProof),
            Exchange::ScramEnd(end) if message.is_empty() => Ok(Progress::Acknowledged(end)),
            Exchange::ScramEnd(_) => Err(ExchangeError::Malformed),
        }
    }
}

/// A challenge as it goes over the wire.
pub(crate) fn encoded(challenge: &str) -> String {
    STANDARD.encode(challenge)
}

/// Whether a user name may stand in a log, and anywhere.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mechanisms_have_their_registered_names_in_any_case() {
        assert_eq!(Mechanism::named("scram-sha-256"), Some(Mechanism::ScramSha256));
        assert_eq!(Mechanism::named("Plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::named("CRAM-MD5"), None);
        assert_eq!(Mechanism::named("SCRAM-SHA-256-PLUS"), None);
    }

    #[test]
    fn a_response_is_base64_or_a_star() {
        for (response, error) in [
            (&b"*"[..], ExchangeError::Cancelled),
            (b"**", ExchangeError::Base64),
            (b"=", ExchangeError::Base64),
            (b"AGFi YwBwYXNz", ExchangeError::Base64),
            (b"AGFiYwBwYXNz=", ExchangeError::Base64),
            (b"AP8A/w==", ExchangeError::Malformed),
        ] {
            assert_eq!(Exchange::Plain.respond(Response(response)).err(), Some(error));
        }
        assert_eq!(format!("{:?}", Response(b"AGFiYwBwYXNz")), "Response(..)");
    }

    proptest! {
        #[test]
        fn any_response_to_any_challenge_is_answered(
            octets in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(b',')], 0..100),
            raw in any::<bool>(),
        ) {
            let base64 = if raw { octets } else { STANDARD.encode(octets).into_bytes() };
            for mechanism in Mechanism::ALL {
                let _ = Exchange::begin(mechanism).0.respond(Response(&base64));
            }
            let _ = Exchange::LoginPassword { name: "abc".into() }.respond(Response(&base64));
        }
    }
}
