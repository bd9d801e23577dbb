//! What MAIL and RCPT built (RFC 5321 §2.3.1).

use serde::{Deserialize, Serialize};

use crate::path::ReversePath;
use crate::policy::Recipient;

/// The BODY parameter of MAIL (RFC 6152 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BodyType {
    /// Seven-bit octets, or a client that did not say.
    #[default]
    SevenBit,
    /// Octets of eight bits, in lines.
    EightBitMime,
}

/// The sender and the recipients of one message. Never without a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Envelope {
    reverse_path: ReversePath,
    recipients: Vec<Recipient>,
    body: BodyType,
    smtputf8: bool,
}

/// The message has no recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an envelope has at least one recipient")]
pub struct NoRecipient;

impl Envelope {
    /// Puts an envelope together.
    ///
    /// # Errors
    /// If there is no recipient.
    pub fn new(
        reverse_path: ReversePath,
        recipients: Vec<Recipient>,
        body: BodyType,
        smtputf8: bool,
    ) -> Result<Envelope, NoRecipient> {
        if recipients.is_empty() {
            return Err(NoRecipient);
        }
        Ok(Envelope { reverse_path, recipients, body, smtputf8 })
    }

    /// Where bounces go.
    pub fn reverse_path(&self) -> &ReversePath {
        &self.reverse_path
    }

    /// The recipients, in the client's order. Their place here is their number elsewhere.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// What the client said of the body.
    pub fn body(&self) -> BodyType {
        self.body
    }

    /// Whether the client asked for SMTPUTF8 (RFC 6531 §3.4).
    pub fn smtputf8(&self) -> bool {
        self.smtputf8
    }
}

#[derive(Serialize, Deserialize)]
struct Parts(ReversePath, Vec<Recipient>, BodyType, bool);

impl TryFrom<Parts> for Envelope {
    type Error = NoRecipient;
    fn try_from(Parts(reverse_path, recipients, body, smtputf8): Parts) -> Result<Envelope, NoRecipient> {
        Envelope::new(reverse_path, recipients, body, smtputf8)
    }
}

impl From<Envelope> for Parts {
    fn from(envelope: Envelope) -> Parts {
        Parts(envelope.reverse_path, envelope.recipients, envelope.body, envelope.smtputf8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_travels_and_never_arrives_empty() {
        let to = Recipient::of_bounce("a@x.example".parse().unwrap());
        let envelope = Envelope::new(ReversePath::Null, vec![to], BodyType::EightBitMime, true).unwrap();
        let octets = postcard::to_allocvec(&envelope).unwrap();
        assert_eq!(postcard::from_bytes::<Envelope>(&octets).unwrap(), envelope);
        let empty =
            postcard::to_allocvec(&Parts(ReversePath::Null, vec![], BodyType::SevenBit, false)).unwrap();
        assert!(postcard::from_bytes::<Envelope>(&empty).is_err());
    }
}
