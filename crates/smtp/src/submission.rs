//! What makes a customer's message more than a stranger's: its header is held until it is whole, its
//! authors are read, and what it lacks is added (RFC 6409 §8).
//!
//! Date and Message-ID fields that are there are left as they are, empty, odd or double: what we put
//! beside them would make two. Bcc is left as well: whether others may see it is for the program that
//! wrote it to say, as with qmail-smtpd, and RFC 6409 does not have us take it out.

use bytes::{Bytes, BytesMut};
use envelope::{Address, Domain, QueueId, Sender};
use message::{Completion, fields, has_header, mailboxes};
use time::OffsetDateTime;

use crate::draft::Fault;

/// The customer, and the header of his message until it is known who its authors are.
#[derive(Debug)]
pub(crate) struct Submission {
    sender: Sender,
    /// When it began, in the zone to be written.
    at: OffsetDateTime,
    smtputf8: bool,
    held: Option<BytesMut>,
}

/// As whom a message is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authors {
    /// As these, in its From and Sender fields and their Resent kin.
    Named(Vec<Address>),
    /// It has no From field; these are in its Sender field and the Resent kin.
    FromLacking(Vec<Address>),
}

impl Submission {
    pub(crate) fn new(sender: Sender, at: OffsetDateTime, smtputf8: bool) -> Submission {
        Submission { sender, at, smtputf8, held: Some(BytesMut::new()) }
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Holds more of the header; the caller sees to it that it does not grow too large.
    pub(crate) fn hold(&mut self, data: &[u8]) {
        if let Some(held) = &mut self.held {
            held.extend_from_slice(data);
        }
    }

    /// Holds nothing any more.
    pub(crate) fn forget(&mut self) {
        self.held = None;
    }

    /// Reads the header for its authors.
    ///
    /// # Errors
    /// If there is more than one From field, or one of these fields cannot be read.
    pub(crate) fn authors(&self) -> Result<Authors, Fault> {
        let header = self.header();
        let (mut from, mut others) = (None, Vec::new());
        for field in fields(header) {
            if field.is("From") {
                let named = mailboxes(field.body).map_err(|_| Fault::FromUnreadable)?;
                if from.replace(named).is_some() {
                    return Err(Fault::FromTwice);
                }
            } else if field.is("Sender") {
                others.extend(mailboxes(field.body).map_err(|_| Fault::SenderUnreadable)?);
            } else if field.is("Resent-From") || field.is("Resent-Sender") {
                // Who sends a message again is shown as its sender as well (RFC 5322 §3.6.6).
                others.extend(mailboxes(field.body).map_err(|_| Fault::ResentUnreadable)?);
            }
        }
        match from {
            None => Ok(Authors::FromLacking(others)),
            Some(named) if named.is_empty() => Err(Fault::FromUnreadable),
            Some(mut named) => {
                named.extend(others);
                Ok(Authors::Named(named))
            }
        }
    }

    /// Gives out the fields that the header lacks, and the header. `from` is the author of a message
    /// without a From field.
    pub(crate) fn release(&mut self, id: QueueId, host: &Domain, from: Option<&Address>) -> (Bytes, Bytes) {
        let header = self.header();
        let has = |name| fields(header).any(|field| field.is(name));
        let completion = Completion {
            date: (!has("Date")).then_some(self.at),
            message_id: (!has("Message-ID")).then_some((id, host)),
            from,
            smtputf8: self.smtputf8,
            ends_header: !self.has_header(),
        };
        let added = Bytes::from(completion.to_string());
        (added, self.held.take().unwrap_or_default().freeze())
    }

    fn has_header(&self) -> bool {
        has_header(self.held.as_deref().unwrap_or_default())
    }

    fn header(&self) -> &[u8] {
        if self.has_header() { self.held.as_deref().unwrap_or_default() } else { b"" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::Entitlement;
    use proptest::prelude::*;
    use time::macros::datetime;

    fn holding(header: &[u8]) -> Submission {
        let sender = Sender { account: "abc".parse().unwrap(), entitlement: Entitlement::Authentication };
        let mut submission = Submission::new(sender, datetime!(2026-11-24 07:05:36 +9), false);
        submission.hold(header);
        submission
    }

    fn authors(header: &str) -> Result<Authors, Fault> {
        holding(header.as_bytes()).authors()
    }

    fn named(addresses: &[&str]) -> Vec<Address> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn authors_are_all_that_from_and_sender_name() {
        let a = || named(&["a@x.example"]);
        assert_eq!(authors("From: a@x.example\r\n\r\n"), Ok(Authors::Named(a())));
        assert_eq!(
            authors("SENDER : c@x.example\r\nfrom:\r\n A <a@x.example>,\r\n\tb@x.example\r\n\r\n"),
            Ok(Authors::Named(named(&["a@x.example", "b@x.example", "c@x.example"])))
        );
        assert_eq!(authors("Sender: a@x.example\r\n\r\n"), Ok(Authors::FromLacking(a())));
        assert_eq!(
            authors("Resent-From: b@x.example\r\nFrom: a@x.example\r\nresent-sender: c@x.example\r\n\r\n"),
            Ok(Authors::Named(named(&["a@x.example", "b@x.example", "c@x.example"])))
        );
        assert_eq!(authors("Resent-From: a@x.example\r\n\r\n"), Ok(Authors::FromLacking(a())));
        assert_eq!(authors("\r\nFrom: a@x.example\r\n"), Ok(Authors::FromLacking(vec![])));
        assert_eq!(authors("hello\r\nFrom: a@x.example\r\n\r\n"), Ok(Authors::FromLacking(vec![])));
        assert_eq!(authors("Sender: me\r\nFrom: a@x.example\r\n\r\n"), Ok(Authors::Named(a())));
    }

    #[test]
    fn a_header_that_does_not_say_who_wrote_it_is_refused() {
        for (header, fault) in [
            ("From: a@x.example\r\nX: y\r\nFROM: a@x.example\r\n", Fault::FromTwice),
            ("From: a@x.example\r\nno field\r\nFrom: b@x.example\r\n", Fault::FromTwice),
            ("From:\r\n\r\n", Fault::FromUnreadable),
            ("From: me\r\n\r\n", Fault::FromUnreadable),
            ("From: <a@x.example\r\n\r\n", Fault::FromUnreadable),
            ("From: a@x.example\r\nSender: (\r\n\r\n", Fault::SenderUnreadable),
            ("From: a@x.example\r\nResent-From: (\r\n\r\n", Fault::ResentUnreadable),
            ("From: a@x.example\r\nResent-Sender: <b@x.example\r\n\r\n", Fault::ResentUnreadable),
        ] {
            assert_eq!(authors(header), Err(fault), "{header:?}");
        }
    }

    fn released(header: &[u8], from: Option<&Address>) -> String {
        let host = Domain::parse("mx.pobox.example").unwrap();
        let (added, kept) = holding(header).release(QueueId::from_u64(1), &host, from);
        assert_eq!(kept, header);
        String::from_utf8(added.to_vec()).unwrap()
    }

    const DATE: &str = "Date: Tue, 24 Nov 2026 07:05:36 +0900\r\n";
    const MESSAGE_ID: &str = "Message-ID: <0000000000001@mx.pobox.example>\r\n";

    #[test]
    fn only_what_is_lacking_is_added() {
        for (header, added) in [
            ("From: a@x.example\r\n\r\n", format!("{DATE}{MESSAGE_ID}")),
            ("date:\r\nFrom: a@x.example\r\n\r\n", MESSAGE_ID.to_owned()),
            ("Message-Id: odd\r\nFrom: a@x.example\r\n\r\n", DATE.to_owned()),
            ("Date: x\r\nDate: y\r\nMessage-ID: <a@b>\r\nBcc: c@x.example\r\n\r\n", String::new()),
            ("X-Date: x\r\n\r\nDate: in the body\r\n", format!("{DATE}{MESSAGE_ID}")),
            ("", format!("{DATE}{MESSAGE_ID}")),
        ] {
            assert_eq!(released(header.as_bytes(), None), added, "{header:?}");
        }
    }

    /// Else its first line would become part of the field that we put before it.
    #[test]
    fn a_message_without_a_header_becomes_a_body() {
        let from: Address = "a@x.example".parse().unwrap();
        for message in ["hello\r\n", " , evil@y.example\r\nDate: now\r\n\r\n"] {
            let expected = format!("{DATE}{MESSAGE_ID}From: <a@x.example>\r\n\r\n");
            assert_eq!(released(message.as_bytes(), Some(&from)), expected, "{message:?}");
        }
    }

    proptest! {
        /// Whatever a header has, what is made of it has one From field at most, and a Date and a
        /// Message-ID: as anybody reads it who reads fields as we do.
        #[test]
        fn a_completed_header_is_complete(header in "(From|Date|Message-ID|X|:|: |a@x.example| |\t|\r\n|é){0,16}") {
            let mut submission = holding(header.as_bytes());
            if let Ok(authors) = submission.authors() {
                let own: Address = "own@x.example".parse().unwrap();
                let from = matches!(authors, Authors::FromLacking(_)).then_some(&own);
                let host = Domain::parse("mx.pobox.example").unwrap();
                let (added, kept) = submission.release(QueueId::from_u64(1), &host, from);
                let whole = [&added[..], &kept[..]].concat();
                let count = |name| fields(&whole).filter(|field| field.is(name)).count();
                prop_assert_eq!(count("From"), 1);
                prop_assert!(count("Date") >= 1 && count("Message-ID") >= 1);
                let complete = holding(&whole).authors();
                match authors {
                    Authors::Named(named) => prop_assert_eq!(complete, Ok(Authors::Named(named))),
                    Authors::FromLacking(_) => prop_assert_eq!(complete, Ok(Authors::Named(vec![own]))),
                }
            }
        }
    }
}
