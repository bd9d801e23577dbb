//! The answer that a member's mailbox gives while he is away (RFC 3834): whether it may be given, and
//! how it is written.
//!
//! It travels with the null reverse-path and says that a program wrote it, so no other program answers
//! it, and nothing comes back if it does not arrive.

use envelope::{Address, Language};
use time::OffsetDateTime;

use crate::date::Date;
use crate::encoding::{encoded_words, plain_text};
use crate::outside_text::{ascii_line, with_ascii_host};

mod original;

pub use original::{HEADER_MAX, Original, Silence};

/// The most of the original's subject that is told, in characters.
const SUBJECT_MAX: usize = 400;
/// The longest word of it, in octets.
const WORD_MAX: usize = 200;

/// All that an answer is made of.
#[derive(Debug, Clone)]
pub struct AutoReply<'a> {
    /// The member's address, as the sender knows it.
    pub from: &'a Address,
    /// The sender: the reverse-path of his message (RFC 3834 §4).
    pub to: &'a Address,
    /// The message that is answered.
    pub original: &'a Original,
    /// The member's subject; empty: that of the message, marked.
    pub subject: &'a str,
    /// The member's text, lines by LF.
    pub text: &'a str,
    /// The member's language, for words of ours.
    pub language: Language,
    /// When it is written, in the zone to be written.
    pub date: OffsetDateTime,
    /// Its Message-ID, without angle brackets.
    pub message_id: &'a str,
}

impl AutoReply<'_> {
    /// The answer as a message, with CRLF line ends. In seven bits, unless [`Self::needs_smtputf8`].
    pub fn to_message(&self) -> Vec<u8> {
        // Auto-Submitted: RFC 3834 §5. The field after it is what Exchange goes by.
        let mut out = format!(
            "Date: {date}\r\n\
             From: <{from}>\r\n\
             To: <{to}>\r\n\
             Subject: {subject}\r\n\
             Message-ID: <{message_id}>\r\n\
             {thread}\
             Auto-Submitted: auto-replied\r\n\
             X-Auto-Response-Suppress: All\r\n\
             MIME-Version: 1.0\r\n",
            date = Date(self.date),
            from = with_ascii_host(self.from),
            to = with_ascii_host(self.to),
            subject = self.subject(),
            message_id = ascii_line(self.message_id, 200).replace(['<', '>', ' '], ""),
            thread = self.thread(),
        )
        .into_bytes();
        let mut text = self.text.replace('\n', "\r\n");
        if !text.ends_with('\n') {
            text.push_str("\r\n");
        }
        plain_text(&mut out, &text);
        out
    }

    /// Whether it has an address that only SMTPUTF8 can carry (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        self.from.needs_smtputf8() || self.to.needs_smtputf8()
    }

    /// RFC 3834 §3.1.5.
    fn subject(&self) -> String {
        if !self.subject.is_empty() {
            return encoded(self.subject);
        }
        match (within_bounds(&self.original.subject), self.language) {
            ("", Language::Ja) => encoded("自動返信"),
            ("", Language::En) => encoded("Automatic reply"),
            (original, _) => encoded(&format!("Auto: {original}")),
        }
    }

    /// In-Reply-To and References (RFC 5322 §3.6.4).
    fn thread(&self) -> String {
        let Some(id) = &self.original.message_id else { return String::new() };
        let before: String = self.original.references.iter().map(|id| format!("{id}\r\n ")).collect();
        format!("In-Reply-To: {id}\r\nReferences: {before}{id}\r\n")
    }
}

/// As much of a subject as is told: whole words if it is ASCII, as they may be encoded ones.
fn within_bounds(subject: &str) -> &str {
    if !subject.is_ascii() {
        let end = subject.char_indices().nth(SUBJECT_MAX).map_or(subject.len(), |(end, _)| end);
        return subject[..end].trim_end();
    }
    let mut end = 0;
    for word in subject.split_inclusive(' ') {
        if end + word.len() > SUBJECT_MAX || word.len() > WORD_MAX {
            break;
        }
        end += word.len();
    }
    subject[..end].trim_end()
}

/// A subject for its field. Of ASCII the words stay as they are, in lines of 76 octets where they part.
fn encoded(subject: &str) -> String {
    if !subject.is_ascii() {
        return encoded_words(subject);
    }
    let (mut out, mut width) = (String::new(), "Subject:".len());
    for word in subject.split_ascii_whitespace() {
        if !out.is_empty() && width + 1 + word.len() > 76 {
            out.push_str("\r\n");
            width = 0;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        width += 1 + word.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use envelope::ReversePath;
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;
    use crate::encoding::{is_seven_bit, lines};
    use crate::fields::fields;

    fn original(header: &str) -> Original {
        let sender = ReversePath::Address("u@peer.example".parse().unwrap());
        Original::of(&sender, format!("{header}\r\n\r\n").as_bytes()).unwrap()
    }

    fn written(original: &Original, subject: &str, text: &str) -> String {
        let message = AutoReply {
            from: &"foo@abc.pobox.example".parse().unwrap(),
            to: &"u@peer.example".parse().unwrap(),
            original,
            subject,
            text,
            language: Language::Ja,
            date: datetime!(2026-11-24 07:05:36 +9),
            message_id: "0abc@mx.pobox.example",
        }
        .to_message();
        assert!(is_seven_bit(&message), "{}", String::from_utf8_lossy(&message));
        String::from_utf8(message).unwrap()
    }

    fn subject(header: &str, own: &str) -> String {
        let message = written(&original(header), own, "x");
        let field = fields(message.as_bytes()).find(|field| field.is("Subject")).unwrap();
        String::from_utf8(field.body.to_vec()).unwrap()
    }

    #[test]
    fn an_answer_says_that_it_is_one_and_stands_in_the_thread() {
        let original = original("Message-ID: <2@x>\r\nReferences: <0@x>\r\n <1@x>\r\nSubject: hi");
        assert_eq!(
            written(&original, "", "Away.\nBack on Monday."),
            "Date: Tue, 24 Nov 2026 07:05:36 +0900\r\n\
             From: <foo@abc.pobox.example>\r\n\
             To: <u@peer.example>\r\n\
             Subject: Auto: hi\r\n\
             Message-ID: <0abc@mx.pobox.example>\r\n\
             In-Reply-To: <2@x>\r\n\
             References: <0@x>\r\n <1@x>\r\n <2@x>\r\n\
             Auto-Submitted: auto-replied\r\n\
             X-Auto-Response-Suppress: All\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\
             \r\n\
             Away.\r\nBack on Monday.\r\n"
        );
    }

    #[test]
    fn a_japanese_text_travels_in_seven_bits() {
        let message = written(&original("Subject: hi"), "不在", "不在です。\n");
        let (header, body) = message.split_once("\r\n\r\n").unwrap();
        assert!(header.contains("Subject: =?UTF-8?B?") && header.contains("charset=utf-8"), "{header}");
        let text = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "不在です。\r\n");
        assert!(!header.contains("In-Reply-To"), "{header}");
    }

    #[test]
    fn the_subject_is_the_members_or_else_that_of_the_message_marked() {
        assert_eq!(subject("Subject: hi", "I am away"), " I am away");
        assert_eq!(
            subject("Subject: =?iso-2022-jp?B?GyRCO24bKEI=?=", ""),
            " Auto: =?iso-2022-jp?B?GyRCO24bKEI=?="
        );
        assert_eq!(subject("X: y", ""), format!(" {}", encoded_words("自動返信")));
        assert_eq!(subject("Subject: \x1b$B;n\x1b(B", ""), format!(" {}", encoded_words("自動返信")));
        assert_eq!(subject("Subject: こんにちは", ""), format!(" {}", encoded_words("Auto: こんにちは")));
        let long = subject(&format!("Subject: {}", "word ".repeat(200)), "");
        assert!(long.len() < 500 && long.lines().count() > 4, "{long}");
        let one_word = subject(&format!("Subject: {}", "w".repeat(900)), "");
        assert_eq!(one_word, format!(" {}", encoded_words("自動返信")));
    }

    #[test]
    fn an_address_beyond_ascii_needs_smtputf8() {
        let (from, to) = ("太郎@pobox.example".parse().unwrap(), "u@peer.example".parse().unwrap());
        let original = Original::default();
        let reply = AutoReply {
            from: &from,
            to: &to,
            original: &original,
            subject: "",
            text: "x",
            language: Language::En,
            date: datetime!(2026-11-24 07:05:36 +9),
            message_id: "1@x",
        };
        assert!(reply.needs_smtputf8() && !AutoReply { from: &to, ..reply.clone() }.needs_smtputf8());
        assert!(String::from_utf8(reply.to_message()).unwrap().contains("From: <太郎@pobox.example>\r\n"));
    }

    proptest! {
        #[test]
        fn nothing_that_others_wrote_adds_a_field(
            header in "((Subject|Message-ID|References): (<|>|@|a|\\PC|\r\n |=\\?){0,40}\r\n){0,4}",
            own in "\\PC{0,200}",
            text in "(\\PC|\n|\t){0,300}",
        ) {
            let message = written(&original(&header), &own, &text);
            let names: Vec<String> = fields(message.as_bytes())
                .map(|field| String::from_utf8_lossy(field.name).into_owned())
                .filter(|name| !["In-Reply-To", "References", "Content-Transfer-Encoding"].contains(&&**name))
                .collect();
            let expected = [
                "Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress",
                "MIME-Version", "Content-Type",
            ];
            prop_assert_eq!(names, expected);
            prop_assert!(lines(message.as_bytes()).all(|line| line.len() <= 998));
        }
    }
}
