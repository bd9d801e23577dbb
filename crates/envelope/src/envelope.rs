//! What MAIL and RCPT built (RFC 5321 §2.3.1).

use serde::{Deserialize, Serialize};

use crate::dsn::{MessageWishes, RecipientWishes};
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
    wishes: MessageWishes,
    /// Beside the recipients; empty if there are none, as mostly.
    recipient_wishes: Vec<RecipientWishes>,
}

/// The message has no recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an envelope has at least one recipient")]
pub struct NoRecipient;

impl Envelope {
    /// Puts an envelope together, without wishes for reports.
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
        let (wishes, recipient_wishes) = (MessageWishes::default(), Vec::new());
        Ok(Envelope { reverse_path, recipients, body, smtputf8, wishes, recipient_wishes })
    }

    /// The same envelope with what its sender wishes for reports, for each recipient in their order. Whoever
    /// is beyond the end of `recipient_wishes` has none.
    pub fn with_wishes(self, wishes: MessageWishes, mut recipient_wishes: Vec<RecipientWishes>) -> Envelope {
        recipient_wishes.truncate(self.recipients.len());
        if recipient_wishes.iter().all(|wishes| *wishes == RecipientWishes::NONE) {
            recipient_wishes = Vec::new();
        }
        Envelope { wishes, recipient_wishes, ..self }
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

    /// What the sender wishes for reports on the message (RFC 3461).
    pub fn wishes(&self) -> &MessageWishes {
        &self.wishes
    }

    /// What the sender wishes for reports on the recipient with this number.
    pub fn wishes_for(&self, number: usize) -> &RecipientWishes {
        self.recipient_wishes.get(number).unwrap_or(&RecipientWishes::NONE)
    }
}

#[derive(Serialize, Deserialize)]
struct Parts(ReversePath, Vec<Recipient>, BodyType, bool, MessageWishes, Vec<RecipientWishes>);

impl TryFrom<Parts> for Envelope {
    type Error = NoRecipient;
    fn try_from(parts: Parts) -> Result<Envelope, NoRecipient> {
        let Parts(reverse_path, recipients, body, smtputf8, wishes, recipient_wishes) = parts;
        let envelope = Envelope::new(reverse_path, recipients, body, smtputf8)?;
        Ok(envelope.with_wishes(wishes, recipient_wishes))
    }
}

impl From<Envelope> for Parts {
    fn from(envelope: Envelope) -> Parts {
        let Envelope { reverse_path, recipients, body, smtputf8, wishes, recipient_wishes } = envelope;
        Parts(reverse_path, recipients, body, smtputf8, wishes, recipient_wishes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsn::{EnvelopeId, Notify, Return, TypedAddress};

    fn envelope() -> Envelope {
        let to = ["a@x.example", "b@x.example"].map(|to| Recipient::of_bounce(to.parse().unwrap()));
        Envelope::new(ReversePath::Null, to.into(), BodyType::EightBitMime, true).unwrap()
    }

    #[test]
    fn an_envelope_travels_and_never_arrives_empty() {
        let octets = postcard::to_allocvec(&envelope()).unwrap();
        assert_eq!(postcard::from_bytes::<Envelope>(&octets).unwrap(), envelope());
        let parts =
            Parts(ReversePath::Null, vec![], BodyType::SevenBit, false, MessageWishes::default(), vec![]);
        let empty = postcard::to_allocvec(&parts).unwrap();
        assert!(postcard::from_bytes::<Envelope>(&empty).is_err());
    }

    #[test]
    fn wishes_travel_with_their_recipients_and_none_takes_no_room() {
        let wishes = MessageWishes { ret: Some(Return::Full), envelope_id: EnvelopeId::parse("7") };
        let never = RecipientWishes {
            notify: Some(Notify::NEVER),
            original: TypedAddress::parse("rfc822;list@x.example"),
        };
        let wished = envelope().with_wishes(wishes.clone(), vec![RecipientWishes::NONE, never.clone()]);
        let octets = postcard::to_allocvec(&wished).unwrap();
        let arrived = postcard::from_bytes::<Envelope>(&octets).unwrap();
        assert_eq!(arrived, wished);
        assert_eq!((arrived.wishes(), arrived.wishes_for(1)), (&wishes, &never));
        assert_eq!(
            (arrived.wishes_for(0), arrived.wishes_for(2)),
            (&RecipientWishes::NONE, &RecipientWishes::NONE)
        );
        let unwished = envelope().with_wishes(MessageWishes::default(), vec![RecipientWishes::NONE; 3]);
        assert_eq!(unwished, envelope());
    }
}
