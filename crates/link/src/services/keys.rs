//! `keys`: signatures with private keys that no role near the network holds.

use serde::{Deserialize, Serialize};

use crate::Service;

/// The service of the role `keys`.
pub struct Keys;

impl Service for Keys {
    const NAME: &'static str = "keys";
    type Request = Request;
    type Response = Response;
    type Event = Renewed;
}

/// The certificate was replaced: ask for it anew.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Renewed;

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// The certificate to show.
    Certificate,
    /// Sign the raw part with this scheme (a TLS `SignatureScheme` number, RFC 8446 §4.2.3).
    Sign {
        /// The scheme.
        scheme: u16,
    },
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Response {
    /// The chain in DER, the server's own first, and the schemes its key can sign with.
    Certificate {
        /// DER.
        chain: Vec<Vec<u8>>,
        /// TLS `SignatureScheme` numbers, best first.
        schemes: Vec<u16>,
    },
    /// The signature.
    Signed(Vec<u8>),
    /// The key cannot sign so.
    Refused,
}
