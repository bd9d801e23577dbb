//! One message to be sent: its envelope, as MAIL and RCPT will write it.

use std::fmt::Write;

use bytes::BytesMut;
use envelope::dsn::ORIGINAL_RECIPIENT_MAX;
use envelope::{Address, BodyType, Host, MessageWishes, RecipientWishes, ReversePath};

use super::extensions::Extensions;

/// The envelope of one message, and what the server is to be told of the message. What the server
/// does not support is left out, if the message can do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Where bounces go.
    pub reverse_path: ReversePath,
    /// The recipients; at least one.
    pub recipients: Vec<Recipient>,
    /// Octets of mail data, line ends as CRLF: exactly so many will be given.
    pub size: u64,
    /// Whether the mail data may have octets above 127. A server without 8BITMIME gets them all the
    /// same, as from qmail: nearly all cope, and rewriting would break signatures.
    pub body: BodyType,
    /// Whether the header has UTF-8 that only SMTPUTF8 allows (RFC 6532). Addresses that need it are
    /// seen without.
    pub smtputf8: bool,
    /// What the sender wishes for reports on it (RFC 3461).
    pub wishes: MessageWishes,
}

/// Somebody whom the message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: Address,
    /// What the sender wishes for reports on him (RFC 3461).
    pub wishes: RecipientWishes,
}

impl From<Address> for Recipient {
    fn from(address: Address) -> Recipient {
        Recipient { address, wishes: RecipientWishes::NONE }
    }
}

impl Transaction {
    /// A message without wishes for its bounces.
    pub fn new(reverse_path: ReversePath, recipients: Vec<Recipient>, size: u64) -> Transaction {
        Transaction {
            reverse_path,
            recipients,
            size,
            body: BodyType::SevenBit,
            smtputf8: false,
            wishes: MessageWishes::default(),
        }
    }

    /// Whether nobody can get it without SMTPUTF8.
    pub(super) fn needs_smtputf8(&self) -> bool {
        self.smtputf8 || self.reverse_path.address().is_some_and(Address::needs_smtputf8)
    }

    /// Whether MAIL is to say SMTPUTF8: the message or somebody needs it.
    fn says_smtputf8(&self, extensions: &Extensions) -> bool {
        let somebody = || self.recipients.iter().any(|recipient| recipient.address.needs_smtputf8());
        extensions.smtputf8 && (self.needs_smtputf8() || somebody())
    }

    /// Writes MAIL (RFC 5321 §4.1.1.2).
    pub(super) fn write_mail(&self, extensions: &Extensions, out: &mut BytesMut) {
        let smtputf8 = self.says_smtputf8(extensions);
        // Writing to a BytesMut does not fail.
        let _ = match &self.reverse_path {
            ReversePath::Null => write!(out, "MAIL FROM:<>"),
            ReversePath::Address(address) => {
                out.extend_from_slice(b"MAIL FROM:<");
                write_address(address, smtputf8, out);
                out.write_str(">")
            }
        };
        if extensions.size {
            let _ = write!(out, " SIZE={}", self.size);
        }
        if extensions.eight_bit_mime && self.body == BodyType::EightBitMime {
            out.extend_from_slice(b" BODY=8BITMIME");
        }
        if smtputf8 {
            out.extend_from_slice(b" SMTPUTF8");
        }
        if extensions.dsn {
            if let Some(ret) = self.wishes.ret {
                let _ = write!(out, " RET={ret}");
            }
            if let Some(id) = &self.wishes.envelope_id {
                let _ = write!(out, " ENVID={id}");
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Writes RCPT for the recipient with this number (RFC 5321 §4.1.1.3).
    pub(super) fn write_rcpt(&self, number: usize, extensions: &Extensions, out: &mut BytesMut) {
        let recipient = &self.recipients[number];
        out.extend_from_slice(b"RCPT TO:<");
        write_address(&recipient.address, self.says_smtputf8(extensions), out);
        out.extend_from_slice(b">");
        if extensions.dsn {
            if let Some(notify) = recipient.wishes.notify {
                let _ = write!(out, " NOTIFY={notify}");
            }
            if let Some(original) = &recipient.wishes.original {
                // What came in characters may be longer in ASCII than it may be.
                let original = original.to_string();
                if original.len() <= ORIGINAL_RECIPIENT_MAX {
                    let _ = write!(out, " ORCPT={original}");
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// In U-labels where the server knows SMTPUTF8 and it was said, else in A-labels, which all servers take.
fn write_address(address: &Address, smtputf8: bool, out: &mut BytesMut) {
    let _ = match &address.host {
        Host::Domain(domain) if !smtputf8 && !domain.as_str().is_ascii() => {
            write!(out, "{}@{}", address.local_part, domain.to_ascii())
        }
        _ => write!(out, "{address}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::{EnvelopeId, Notify, Return, TypedAddress};

    const ALL: Extensions = Extensions {
        pipelining: true,
        size_max: None,
        size: true,
        eight_bit_mime: true,
        smtputf8: true,
        chunking: true,
        starttls: true,
        enhanced_status_codes: true,
        dsn: true,
        auth_plain: false,
        auth_login: false,
        recipients_max: None,
        messages_max: None,
    };

    fn written(transaction: &Transaction, extensions: &Extensions) -> String {
        let mut out = BytesMut::new();
        transaction.write_mail(extensions, &mut out);
        for number in 0..transaction.recipients.len() {
            transaction.write_rcpt(number, extensions, &mut out);
        }
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn transaction(from: &str, to: &str) -> Transaction {
        let to = to.parse::<Address>().unwrap();
        Transaction::new(ReversePath::Address(from.parse().unwrap()), vec![to.into()], 7)
    }

    #[test]
    fn only_what_the_server_supports_is_said() {
        let mut message = transaction("a@x.example", "\"b c\"@y.example");
        message.body = BodyType::EightBitMime;
        message.wishes.ret = Some(Return::Headers);
        message.wishes.envelope_id = EnvelopeId::parse("a+2Bb+20+3Dc");
        message.recipients[0].wishes.notify = Some(Notify { success: true, failure: true, delay: false });
        message.recipients[0].wishes.original = Some(TypedAddress::of_mail("b c@y.example"));
        assert_eq!(
            written(&message, &ALL),
            "MAIL FROM:<a@x.example> SIZE=7 BODY=8BITMIME RET=HDRS ENVID=a+2Bb+20+3Dc\r\n\
             RCPT TO:<\"b c\"@y.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+20c@y.example\r\n"
        );
        assert_eq!(
            written(&message, &Extensions::default()),
            "MAIL FROM:<a@x.example>\r\nRCPT TO:<\"b c\"@y.example>\r\n"
        );
        message.recipients[0].wishes.notify = Some(Notify::NEVER);
        assert!(written(&message, &ALL).contains(" NOTIFY=NEVER "));
    }

    #[test]
    fn a_domain_goes_in_a_labels_unless_smtputf8_is_said() {
        let message = transaction("a@例え.テスト", "b@例え.テスト");
        assert_eq!(
            written(&message, &Extensions { size: false, ..ALL }),
            "MAIL FROM:<a@xn--r8jz45g.xn--zckzah>\r\nRCPT TO:<b@xn--r8jz45g.xn--zckzah>\r\n"
        );
        let message = transaction("a@x.example", "太郎@例え.テスト");
        assert_eq!(
            written(&message, &Extensions { size: false, ..ALL }),
            "MAIL FROM:<a@x.example> SMTPUTF8\r\nRCPT TO:<太郎@例え.テスト>\r\n"
        );
    }
}
