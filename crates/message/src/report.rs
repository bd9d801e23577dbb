//! The report to a sender of what became of his message: a delivery status notification (RFC 3464) in a
//! multipart/report (RFC 6522).
//!
//! It has three parts: one for the reader, in the reader's language; one for programs; and the
//! header of the message that it is about, or all of it. Nothing that strangers wrote (addresses, replies of
//! other servers, the original) can add a field or a part. All of it is seven-bit, so any server takes it, but
//! for a whole message of eight bits. It travels with the null reverse-path, so that it is never answered by
//! another (RFC 5321 §4.5.5).

use std::fmt::Write;

use envelope::{Address, BodyType, Domain, EnvelopeId, Language, QueueId, TypedAddress};
use time::OffsetDateTime;

use crate::date::{Date, Minute};
use crate::encoding::{encoded_words, plain_text};
use crate::outside_text::{ascii_line, paragraph, with_ascii_host};

mod language;
mod original;
mod recipient;
mod trouble;
mod words;

use trouble::Trouble;

pub use language::language_of;
pub use original::{ORIGINAL_MAX, Original};
pub use recipient::{Action, ReportedRecipient};

/// The longest reason and diagnostic that are passed on, in characters.
const REASON_MAX: usize = 2_000;
const DIAGNOSTIC_MAX: usize = 900;

/// All that a report is made of.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// What it is about.
    pub occasion: Occasion,
    /// The language of the part for the reader. A Japanese report says it in English as well.
    pub language: Language,
    /// Our own name.
    pub host: &'a Domain,
    /// Who gets it: the reverse-path of the message, or the postmaster.
    pub to: &'a Address,
    /// When it is written, in the zone to be written.
    pub date: OffsetDateTime,
    /// Its Message-ID, without angle brackets.
    pub message_id: &'a str,
    /// A token that nobody can guess, of letters and digits, to part the parts. At most 60 are used.
    pub boundary: &'a str,
    /// The name of the message.
    pub queue_id: QueueId,
    /// The sender's own name for the message, if he gave one (ENVID).
    pub envelope_id: Option<&'a EnvelopeId>,
    /// When the message came.
    pub arrived: OffsetDateTime,
    /// What of the message is sent back.
    pub original: Original<'a>,
    /// Whom it is about.
    pub recipients: &'a [ReportedRecipient<'a>],
}

/// Why a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// A message could not be delivered.
    Failure,
    /// A message could not be delivered yet.
    Delay,
    /// A message was delivered, and the sender wanted to know.
    Success,
    /// A report could not be delivered: the postmaster should know (a double bounce).
    FailedNotice,
}

impl Report<'_> {
    /// The report as a message, with CRLF line ends.
    pub fn to_message(&self) -> Vec<u8> {
        let boundary: String = self.boundary.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        let mut out = self.header(&boundary).into_bytes();
        begin_part(&mut out, &boundary);
        self.part_for_reader(&mut out);
        begin_part(&mut out, &boundary);
        out.extend_from_slice(self.part_for_programs().as_bytes());
        begin_part(&mut out, &boundary);
        self.original.write(&mut out);
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        out
    }

    /// What its envelope has to say of it (RFC 6152 §2).
    pub fn body_type(&self) -> BodyType {
        if self.original.is_eight_bit() { BodyType::EightBitMime } else { BodyType::SevenBit }
    }

    fn header(&self, boundary: &str) -> String {
        let host = self.host.to_ascii();
        let message_id = ascii_line(self.message_id, 200).replace(['<', '>', ' '], "");
        let subject = words::subject(self.occasion, self.language);
        // What stands within it decides: RFC 2045 §6.4.
        let encoding = match self.body_type() {
            BodyType::SevenBit => "",
            BodyType::EightBitMime => "Content-Transfer-Encoding: 8bit\r\n",
        };
        // Auto-Submitted: RFC 3834 §5.
        format!(
            "Date: {date}\r\n\
             From: Mail Delivery System <MAILER-DAEMON@{host}>\r\n\
             To: {to}\r\n\
             Subject: {subject}\r\n\
             Message-ID: <{message_id}>\r\n\
             Auto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n\
             {encoding}\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{boundary}\"\r\n",
            date = Date(self.date),
            to = header_address(self.to),
            subject = encoded_words(subject),
        )
    }

    fn part_for_reader(&self, out: &mut Vec<u8>) {
        let mut text = String::new();
        if self.language == Language::Ja {
            self.tell(Language::Ja, &mut text);
            text.push_str("\r\n--\r\n\r\n");
        }
        self.tell(Language::En, &mut text);
        plain_text(out, &text);
    }

    /// Tells it all in one language.
    fn tell(&self, language: Language, text: &mut String) {
        let until = self.recipients.iter().find_map(|recipient| recipient.will_retry_until);
        let until = until.map(|until| Minute(until).to_string());
        text.push_str(&words::opening(self.occasion, language, &self.host.to_ascii(), until.as_deref()));
        for recipient in self.recipients {
            recipient.tell(language, text);
            text.push_str("\r\n");
        }
        text.push_str(words::closing(self.original, language));
    }

    /// message/delivery-status: RFC 3464 §2.
    fn part_for_programs(&self) -> String {
        let mut text = String::from("Content-Type: message/delivery-status\r\n\r\n");
        if let Some(id) = self.envelope_id {
            let _ = write!(text, "Original-Envelope-Id: {}\r\n", ascii_line(id.as_str(), 100));
        }
        let _ = write!(
            text,
            "Reporting-MTA: dns; {}\r\nX-Queue-ID: {}\r\nArrival-Date: {}\r\n",
            self.host.to_ascii(),
            self.queue_id,
            Date(self.arrived),
        );
        for recipient in self.recipients {
            recipient.describe(&mut text);
        }
        text
    }
}

impl ReportedRecipient<'_> {
    /// What became of it, for the reader.
    fn tell(&self, language: Language, text: &mut String) {
        let mut line = |line: &str| {
            text.push_str(line);
            text.push_str("\r\n");
        };
        line(&format!("<{}>:", self.address));
        let original = self.original.map(TypedAddress::address);
        if let Some(original) = original.filter(|original| *original != self.address.to_string()) {
            line(&words::written_to(&paragraph(original, REASON_MAX).replace('\n', " "), language));
        }
        let trouble = Trouble::of(self.status);
        line(match self.action {
            Action::Failed | Action::Delayed => words::what(trouble, language),
            Action::Delivered => return line(words::delivered(language)),
            Action::Expanded => return line(words::expanded(language)),
            Action::Relayed => words::relayed(language),
        });
        let (intro, quoted) = match (self.remote_host, self.diagnostic) {
            (Some(host), Some(said)) => (words::host_said(&ascii_line(host, 255), language), said),
            _ => (words::details(language).to_owned(), self.reason),
        };
        if !quoted.trim().is_empty() {
            line(&intro);
            // Indented, so that no line can pass for one of ours.
            for quoted in paragraph(quoted, REASON_MAX).lines() {
                line(format!("    {quoted}").trim_end());
            }
        }
        if self.action == Action::Failed {
            line(words::advice(trouble, language));
        }
    }

    /// What became of it, for programs: RFC 3464 §2.3.
    fn describe(&self, text: &mut String) {
        text.push_str("\r\n");
        if let Some(original) = self.original {
            let _ =
                write!(text, "Original-Recipient: {}\r\n", ascii_line(&original.to_field(), DIAGNOSTIC_MAX));
        }
        let _ = write!(
            text,
            "Final-Recipient: {}\r\nAction: {}\r\nStatus: {}\r\n",
            typed(self.address).to_field(),
            self.action.name(),
            self.status,
        );
        if let Some(host) = self.remote_host {
            let _ = write!(text, "Remote-MTA: dns; {}\r\n", ascii_line(host, 255));
        }
        if let Some(said) = self.diagnostic {
            let _ = write!(text, "Diagnostic-Code: smtp; {}\r\n", ascii_line(said, DIAGNOSTIC_MAX));
        }
        if let Some(at) = self.last_attempt {
            let _ = write!(text, "Last-Attempt-Date: {}\r\n", Date(at));
        }
        if let Some(until) = self.will_retry_until {
            let _ = write!(text, "Will-Retry-Until: {}\r\n", Date(until));
        }
    }
}

fn begin_part(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
}

/// An address for a header field. One with a non-ASCII local-part cannot stand there in seven
/// bits: its text is kept as the name of an empty group (RFC 6857 §3).
fn header_address(address: &Address) -> String {
    match address.needs_smtputf8() {
        false => format!("<{}>", with_ascii_host(address)),
        true => format!("{} :;", encoded_words(&address.to_string())),
    }
}

/// An address with its type (RFC 3464 §2.3.2, RFC 6533 §3).
fn typed(address: &Address) -> TypedAddress {
    TypedAddress::of_mail(&match address.needs_smtputf8() {
        false => with_ascii_host(address),
        true => address.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::encoding::is_seven_bit;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use time::macros::datetime;

    const HEADER: &[u8] = b"Received: from a\r\nFrom: <joe@pobox.example>\r\nSubject: hello\r\n\r\nbody";

    struct Case<'a> {
        occasion: Occasion,
        action: Action,
        status: &'a str,
        language: Language,
        to: &'a str,
        recipient: &'a str,
        wrote_to: Option<&'a str>,
        envelope_id: Option<&'a str>,
        reason: &'a str,
        diagnostic: Option<&'a str>,
        original: Original<'a>,
    }

    impl Default for Case<'_> {
        fn default() -> Self {
            Case {
                occasion: Occasion::Failure,
                action: Action::Failed,
                status: "5.1.1",
                language: Language::En,
                to: "joe@pobox.example",
                recipient: "nosuch@sub.example",
                reason: "Sorry, no mailbox here by that name. (#5.1.1)",
                wrote_to: None,
                envelope_id: None,
                diagnostic: None,
                original: Original::Header(HEADER),
            }
        }
    }

    impl Case<'_> {
        fn message(&self) -> String {
            let address: Address = self.recipient.parse().unwrap();
            let original = self.wrote_to.map(TypedAddress::of_mail);
            let envelope_id = self.envelope_id.and_then(EnvelopeId::parse);
            let delayed = self.action == Action::Delayed;
            let recipients = [ReportedRecipient {
                address: &address,
                original: original.as_ref(),
                action: self.action,
                status: self.status.parse::<Status>().unwrap(),
                reason: self.reason,
                remote_host: Some("mx.sub.example"),
                diagnostic: self.diagnostic,
                last_attempt: Some(datetime!(2026-11-24 07:05:35 +9)),
                will_retry_until: delayed.then_some(datetime!(2026-12-01 07:05:30 +9)),
            }];
            let report = Report {
                occasion: self.occasion,
                language: self.language,
                host: &Domain::parse("mx.pobox.example").unwrap(),
                to: &self.to.parse().unwrap(),
                date: datetime!(2026-11-24 07:05:36 +9),
                message_id: "0abc@mx.pobox.example",
                boundary: "b0undary",
                queue_id: QueueId::from_u64(1),
                envelope_id: envelope_id.as_ref(),
                arrived: datetime!(2026-11-24 07:05:30 +9),
                original: self.original,
                recipients: &recipients,
            };
            let message = report.to_message();
            let seven_bit = report.body_type() == BodyType::SevenBit;
            assert!(!seven_bit || is_seven_bit(&message), "{}", String::from_utf8_lossy(&message));
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
                    "<nosuch@sub.example>:\r\nThere is no such address.\r\n\
                     The server mx.sub.example said:\r\n    550 5.1.1 who?\r\nPlease check the address"
                )
        );
        assert!(parts[2].contains(
            "\r\n\r\nReporting-MTA: dns; mx.pobox.example\r\nX-Queue-ID: 0000000000001\r\n\
             Arrival-Date: Tue, 24 Nov 2026 07:05:30 +0900\r\n\r\n\
             Final-Recipient: rfc822; nosuch@sub.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Remote-MTA: dns; mx.sub.example\r\nDiagnostic-Code: smtp; 550 5.1.1 who?\r\n\
             Last-Attempt-Date: Tue, 24 Nov 2026 07:05:35 +0900\r\n"
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
        for words in [
            "お届けできませんでした",
            "このメールアドレスは見つかりませんでした。\r\n詳しい内容:\r\n    Sorry, no mailbox here",
            "could not be delivered",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_delayed_message_is_tried_again_and_its_sender_need_do_nothing() {
        let case = Case {
            occasion: Occasion::Delay,
            action: Action::Delayed,
            status: "4.4.1",
            reason: "Sorry, I wasn't able to establish an SMTP connection.",
            ..Case::default()
        };
        let message = case.message();
        assert!(message.contains("\r\nSubject: your message is delayed"));
        assert!(message.contains("tried again until 2026-12-01 07:05 +0900."), "{message}");
        assert!(message.contains("\r\nAction: delayed\r\nStatus: 4.4.1\r\n"));
        assert!(message.contains("\r\nWill-Retry-Until: Tue, 1 Dec 2026 07:05:30 +0900\r\n"));
        assert!(!message.contains("Please send it again"), "{message}");
        let text = decoded(parts(&Case { language: Language::Ja, ..case }.message())[1]);
        assert!(text.contains("2026-12-01 07:05 +0900 まで、"), "{text}");
    }

    #[test]
    fn what_the_sender_asked_for_is_told_by_the_names_that_he_gave() {
        let case = Case {
            occasion: Occasion::Success,
            action: Action::Relayed,
            status: "2.0.0",
            wrote_to: Some("list@pobox.example"),
            envelope_id: Some("QQ+2B1"),
            reason: "",
            diagnostic: Some("250 taken"),
            ..Case::default()
        };
        let message = case.message();
        let parts = parts(&message);
        assert!(parts[1].contains("<nosuch@sub.example>:\r\n(You wrote to list@pobox.example.)\r\n"));
        assert!(parts[1].contains("mx.sub.example said:\r\n    250 taken\r\n\r\nThe header"), "{}", parts[1]);
        assert!(parts[2].contains("\r\n\r\nOriginal-Envelope-Id: QQ+1\r\nReporting-MTA: dns;"));
        assert!(parts[2].contains(
            "\r\n\r\nOriginal-Recipient: rfc822; list@pobox.example\r\n\
             Final-Recipient: rfc822; nosuch@sub.example\r\nAction: relayed\r\nStatus: 2.0.0\r\n"
        ));
        let delivered = Case { action: Action::Delivered, diagnostic: None, ..case }.message();
        assert!(
            delivered.contains("It was delivered.\r\n\r\nThe header")
                && delivered.contains("\r\nAction: delivered\r\n")
        );
    }

    #[test]
    fn a_whole_message_comes_back_as_it_was() {
        let message = Case { original: Original::whole(HEADER), ..Case::default() }.message();
        assert!(message.contains(
            "\r\nContent-Type: message/rfc822\r\n\r\nReceived: from a\r\nFrom: <joe@pobox.example>\r\n\
             Subject: hello\r\n\r\nbody\r\n\r\n--b0undary--\r\n"
        ));
        assert!(message.contains("The message follows.") && !message.contains("8bit"));
        let original = "Subject: x\r\n\r\nこんにちは\r\n".as_bytes();
        let message = Case { original: Original::whole(original), ..Case::default() }.message();
        assert_eq!(message.matches("\r\nContent-Transfer-Encoding: 8bit\r\n").count(), 2);
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
        assert!(
            parts[2].contains("550 no  Status: 2.0.0    --b0undary--  X: ??[0m\r\nLast-"),
            "{}",
            parts[2]
        );
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
        let message = Case { original: Original::Header(&original), ..Case::default() }.message();
        assert!(message.contains("quoted-printable\r\n\r\nSubject: =1B$B%F=83\r\nX: y\r\n"));
        assert!(message.len() < ORIGINAL_MAX + 4_000);
    }

    proptest! {
        #[test]
        fn any_outside_text_gives_a_report_of_three_parts(
            reason in any::<String>(),
            diagnostic in proptest::option::of(any::<String>()),
            original in proptest::collection::vec(any::<u8>(), 0..500),
            wrote_to in any::<String>(),
            japanese in any::<bool>(),
        ) {
            let language = if japanese { Language::Ja } else { Language::En };
            let header = Original::Header(&original);
            let (diagnostic, wrote_to) = (diagnostic.as_deref(), Some(wrote_to.as_str()));
            let case =
                Case { language, reason: &reason, diagnostic, original: header, wrote_to, ..Case::default() };
            prop_assert_eq!(parts(&case.message()).len(), 5);
        }

        #[test]
        fn any_whole_message_stands_within_a_report(
            original in "(Subject: x\r\n|\r\n|\n|\r|あ|--b1|a){0,40}",
        ) {
            let case = Case { original: Original::whole(original.as_bytes()), ..Case::default() };
            prop_assert_eq!(parts(&case.message()).len(), 5);
        }
    }
}
