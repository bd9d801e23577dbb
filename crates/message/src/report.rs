//! The notice to a sender whose message could not be delivered: a delivery status notification
//! (RFC 3464) in a multipart/report (RFC 6522).
//!
//! It has three parts: one for the reader, in the reader's language; one for programs; and the
//! header of the message that failed. All of it is seven-bit, so any server takes it, and nothing
//! that strangers wrote (addresses, replies of other servers, the original header) can add a field
//! or a part. It travels with the null reverse-path, so that it is never answered by another
//! (RFC 5321 §4.5.5).

use std::fmt::Write;

use envelope::{Address, Domain, Language, QueueId};
use time::OffsetDateTime;

use crate::date::Date;
use crate::encoding::{encoded_words, is_seven_bit, lines, plain_text, quoted_printable};
use crate::outside_text::{ascii_line, paragraph, with_ascii_host};
use crate::status::Status;

mod words;

/// How much of the original header is sent back, in octets.
pub const ORIGINAL_HEADER_MAX: usize = 50_000;

/// The longest reason and diagnostic that are passed on, in characters.
const REASON_MAX: usize = 2_000;
const DIAGNOSTIC_MAX: usize = 900;

/// All that a notice is made of.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// What it is about.
    pub occasion: Occasion,
    /// The language of the part for the reader. A Japanese notice says it in English as well.
    pub language: Language,
    /// Our own name.
    pub host: &'a Domain,
    /// Who gets it: the reverse-path of the message that failed, or the postmaster.
    pub to: &'a Address,
    /// When it is written, in the zone to be written.
    pub date: OffsetDateTime,
    /// Its Message-ID, without angle brackets.
    pub message_id: &'a str,
    /// A token that nobody can guess, of letters and digits, to part the parts. At most 60 are used.
    pub boundary: &'a str,
    /// The name of the message that failed.
    pub queue_id: QueueId,
    /// When the message that failed came.
    pub arrived: OffsetDateTime,
    /// Its header; a whole message will do, as nothing after the first empty line is sent.
    pub original_header: &'a [u8],
    /// To whom it could not be delivered.
    pub recipients: &'a [ReportedRecipient<'a>],
}

/// Why a notice is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A message could not be delivered.
    Failure,
    /// A notice could not be delivered: the postmaster should know (a double bounce).
    FailedNotice,
}

/// One recipient who did not get the message.
#[derive(Debug, Clone)]
pub struct ReportedRecipient<'a> {
    /// The address.
    pub address: &'a Address,
    /// The status code.
    pub status: Status,
    /// What happened, for the reader.
    pub reason: &'a str,
    /// The host that said so, if it was another one.
    pub remote_host: Option<&'a str>,
    /// What that host said: the SMTP reply.
    pub diagnostic: Option<&'a str>,
}

impl Report<'_> {
    /// The notice as a message, with CRLF line ends, in seven bits.
    pub fn to_message(&self) -> Vec<u8> {
        let boundary: String = self.boundary.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        let mut out = self.header(&boundary).into_bytes();
        begin_part(&mut out, &boundary);
        self.part_for_reader(&mut out);
        begin_part(&mut out, &boundary);
        out.extend_from_slice(self.part_for_programs().as_bytes());
        begin_part(&mut out, &boundary);
        self.part_with_original(&mut out);
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        out
    }

    fn header(&self, boundary: &str) -> String {
        let host = self.host.to_ascii();
        let message_id = ascii_line(self.message_id, 200).replace(['<', '>', ' '], "");
        let subject = words::subject(self.occasion, self.language);
        // Auto-Submitted: RFC 3834 §5.
        format!(
            "Date: {date}\r\n\
             From: Mail Delivery System <MAILER-DAEMON@{host}>\r\n\
             To: {to}\r\n\
             Subject: {subject}\r\n\
             Message-ID: <{message_id}>\r\n\
             Auto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{boundary}\"\r\n",
            date = Date(self.date),
            to = header_address(self.to),
            subject = encoded_words(subject),
        )
    }

    fn part_for_reader(&self, out: &mut Vec<u8>) {
        let host = self.host.to_ascii();
        let mut text = String::new();
        let languages: &[Language] = match self.language {
            Language::Ja => &[Language::Ja, Language::En],
            Language::En => &[Language::En],
        };
        for language in languages {
            text.push_str(&words::opening(self.occasion, *language, &host));
        }
        for recipient in self.recipients {
            text.push_str(&format!("<{}>:\r\n", recipient.address));
            for line in paragraph(recipient.reason, REASON_MAX).lines() {
                text.push_str(line.trim_end());
                text.push_str("\r\n");
            }
            text.push_str("\r\n");
        }
        for language in languages {
            text.push_str(words::closing(*language));
        }
        plain_text(out, &text);
    }

    /// message/delivery-status: RFC 3464 §2.
    fn part_for_programs(&self) -> String {
        let mut text = format!(
            "Content-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; {}\r\n\
             X-Queue-ID: {}\r\n\
             Arrival-Date: {}\r\n",
            self.host.to_ascii(),
            self.queue_id,
            Date(self.arrived),
        );
        for recipient in self.recipients {
            let _ = write!(
                text,
                "\r\nFinal-Recipient: {}\r\nAction: failed\r\nStatus: {}\r\n",
                typed_address(recipient.address),
                recipient.status,
            );
            if let Some(host) = recipient.remote_host {
                let _ = write!(text, "Remote-MTA: dns; {}\r\n", ascii_line(host, 255));
            }
            if let Some(said) = recipient.diagnostic {
                let _ = write!(text, "Diagnostic-Code: smtp; {}\r\n", ascii_line(said, DIAGNOSTIC_MAX));
            }
        }
        text
    }

    fn part_with_original(&self, out: &mut Vec<u8>) {
        let header = header_only(self.original_header);
        out.extend_from_slice(b"Content-Type: text/rfc822-headers\r\n");
        if is_seven_bit(header) {
            out.extend_from_slice(b"\r\n");
            for line in lines(header) {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
        } else {
            // Quoted-printable, so that it stays readable: RFC 6522 §4.
            out.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
            quoted_printable(out, header);
        }
    }
}

fn begin_part(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
}

/// The header of `message`, cut after its last whole line within [`ORIGINAL_HEADER_MAX`].
fn header_only(message: &[u8]) -> &[u8] {
    let mut end = 0;
    for line in message.split_inclusive(|b| *b == b'\n') {
        let blank = matches!(line, b"\n" | b"\r\n");
        if blank || end + line.len() > ORIGINAL_HEADER_MAX {
            break;
        }
        end += line.len();
    }
    &message[..end]
}

/// An address for a header field. One with a non-ASCII local-part cannot stand there in seven
/// bits: its text is kept as the name of an empty group (RFC 6857 §3).
fn header_address(address: &Address) -> String {
    match address.needs_smtputf8() {
        false => format!("<{}>", with_ascii_host(address)),
        true => format!("{} :;", encoded_words(&address.to_string())),
    }
}

/// An address with its type (RFC 3464 §2.3.2), or escaped as RFC 6533 §3 has it.
fn typed_address(address: &Address) -> String {
    if !address.needs_smtputf8() {
        return format!("rfc822; {}", with_ascii_host(address));
    }
    let mut text = String::from("utf-8; ");
    for c in address.to_string().chars() {
        match c {
            '\\' | '+' | '=' => {
                let _ = write!(text, "\\x{{{:X}}}", u32::from(c));
            }
            '!'..='~' => text.push(c),
            _ => {
                let _ = write!(text, "\\x{{{:X}}}", u32::from(c));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use time::macros::datetime;

    const HEADER: &[u8] = b"Received: from a\r\nFrom: <joe@pobox.example>\r\nSubject: hello\r\n\r\nbody";

    struct Case<'a> {
        language: Language,
        to: &'a str,
        recipient: &'a str,
        reason: &'a str,
        diagnostic: Option<&'a str>,
        original: &'a [u8],
    }

    impl Default for Case<'_> {
        fn default() -> Self {
            Case {
                language: Language::En,
                to: "joe@pobox.example",
                recipient: "nosuch@sub.example",
                reason: "Sorry, no mailbox here by that name. (#5.1.1)",
                diagnostic: None,
                original: HEADER,
            }
        }
    }

    impl Case<'_> {
        fn message(&self) -> String {
            let address: Address = self.recipient.parse().unwrap();
            let recipients = [ReportedRecipient {
                address: &address,
                status: Status::new(5, 1, 1),
                reason: self.reason,
                remote_host: Some("mx.sub.example"),
                diagnostic: self.diagnostic,
            }];
            let message = Report {
                occasion: Occasion::Failure,
                language: self.language,
                host: &Domain::parse("mx.pobox.example").unwrap(),
                to: &self.to.parse().unwrap(),
                date: datetime!(2026-11-24 07:05:36 +9),
                message_id: "0abc@mx.pobox.example",
                boundary: "b0undary",
                queue_id: QueueId::from_u64(1),
                arrived: datetime!(2026-11-24 07:05:30 +9),
                original_header: self.original,
                recipients: &recipients,
            }
            .to_message();
            assert!(is_seven_bit(&message), "{}", String::from_utf8_lossy(&message));
            String::from_utf8(message).unwrap()
        }
    }

    fn parts(message: &str) -> Vec<&str> {
        message.split("\r\n--b0undary").collect()
    }

    fn decoded(part: &str) -> String {
        let (_, body) = part.split_once("base64\r\n\r\n").unwrap();
        String::from_utf8(STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap()
    }

    #[test]
    fn a_notice_has_a_part_for_the_reader_one_for_programs_and_the_header() {
        let message = Case { diagnostic: Some("550 5.1.1 who?"), ..Case::default() }.message();
        let parts = parts(&message);
        assert_eq!(parts.len(), 5);
        assert!(parts[0].contains("\r\nTo: <joe@pobox.example>\r\n"));
        assert!(parts[0].contains("multipart/report; report-type=delivery-status"));
        assert!(
            parts[1].contains("charset=us-ascii")
                && parts[1].contains(
                    "<nosuch@sub.example>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n"
                )
        );
        assert!(parts[2].contains(
            "\r\n\r\nReporting-MTA: dns; mx.pobox.example\r\nX-Queue-ID: 0000000000001\r\n\
             Arrival-Date: Tue, 24 Nov 2026 07:05:30 +0900\r\n\r\n\
             Final-Recipient: rfc822; nosuch@sub.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Remote-MTA: dns; mx.sub.example\r\nDiagnostic-Code: smtp; 550 5.1.1 who?\r\n"
        ));
        assert!(parts[3].ends_with("Subject: hello\r\n") && !message.contains("body"));
        assert_eq!(parts[4], "--\r\n");
    }

    #[test]
    fn a_japanese_reader_gets_japanese_and_english() {
        let message = Case { language: Language::Ja, ..Case::default() }.message();
        let parts = parts(&message);
        assert!(parts[0].contains("Subject: =?UTF-8?B?"));
        let text = decoded(parts[1]);
        assert!(text.contains("お届けできませんでした") && text.contains("could not be delivered"), "{text}");
    }

    #[test]
    fn what_strangers_wrote_adds_no_field_and_no_part() {
        let message = Case {
            reason: "no\r\n--b1\r\nContent-Type: text/html\r\n\0<b>",
            diagnostic: Some("550 no\r\nStatus: 2.0.0\r\n\r\n--b0undary--\r\nX: \u{e9}\u{1b}[0m"),
            ..Case::default()
        }
        .message();
        let parts = parts(&message);
        assert_eq!(parts.len(), 5);
        assert_eq!(parts[2].matches("\r\nStatus: ").count(), 1);
        assert!(parts[2].ends_with("550 no  Status: 2.0.0    --b0undary--  X: ??[0m\r\n"), "{}", parts[2]);
    }

    #[test]
    fn international_addresses_become_seven_bits() {
        let message =
            Case { to: "太郎@例え.テスト", recipient: "花子@例え.テスト", ..Case::default() }.message();
        let parts = parts(&message);
        assert!(parts[0].contains("\r\nTo: =?UTF-8?B?") && parts[0].contains("?= :;\r\n"));
        assert!(decoded(parts[1]).contains("<花子@例え.テスト>:\r\n"));
        assert!(parts[2].contains("Final-Recipient: utf-8; \\x{82B1}\\x{5B50}@"));
    }

    #[test]
    fn a_raw_or_endless_header_is_encoded_and_cut() {
        let mut original = b"Subject: \x1b$B%F\x83\r\n".to_vec();
        original.extend(b"X: y\r\n".repeat(20_000));
        let message = Case { original: &original, ..Case::default() }.message();
        assert!(message.contains("quoted-printable\r\n\r\nSubject: =1B$B%F=83\r\nX: y\r\n"));
        assert!(message.len() < ORIGINAL_HEADER_MAX + 3_000);
    }

    proptest! {
        #[test]
        fn any_outside_text_gives_a_seven_bit_notice(
            reason in any::<String>(),
            diagnostic in any::<String>(),
            original in proptest::collection::vec(any::<u8>(), 0..500),
            japanese in any::<bool>(),
        ) {
            let language = if japanese { Language::Ja } else { Language::En };
            let case = Case {
                language, reason: &reason, diagnostic: Some(&diagnostic), original: &original, ..Case::default()
            };
            prop_assert_eq!(parts(&case.message()).len(), 5);
        }
    }
}
