//! What an account's owner is told unasked: a plain message (RFC 5322, RFC 2045) from the provider's
//! postmaster.
//!
//! It travels with the null reverse-path and says that a program wrote it (RFC 3834 §5), so nobody's
//! vacation program answers it.

use envelope::{AccountName, Address, Domain, Language, LimitReached};
use time::OffsetDateTime;

use crate::date::Date;
use crate::encoding::{encoded_words, plain_text};
use crate::outside_text::{ascii_line, with_ascii_host};

mod words;

/// All that a notice is made of.
#[derive(Debug, Clone)]
pub struct Notice<'a> {
    /// What it is about.
    pub subject: Subject<'a>,
    /// Whom it concerns.
    pub account: &'a AccountName,
    /// The language of its reader, or of the account where that is unknown. A Japanese notice says it in English as
    /// well.
    pub language: Language,
    /// The provider's domain, whose postmaster writes.
    pub domain: &'a Domain,
    /// Where it goes: the account's standard address, or whom it asks.
    pub to: &'a Address,
    /// When it is written, in the zone to be written.
    pub date: OffsetDateTime,
    /// Its Message-ID, without angle brackets.
    pub message_id: &'a str,
}

/// What an owner is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// His account has sent as much as it may, for now or in one message.
    SendingLimit(LimitReached),
    /// His mailbox is full to so many per cent of its quota.
    MailboxFilling(u8),
    /// A message that one of his programs left while the server was away was not sent.
    NotSent {
        /// When it was left, in seconds since 1970.
        left: u64,
        /// Why, in a sentence; words of the program may be in it.
        reason: &'a str,
        /// What to do about it.
        remedy: &'a str,
        /// How many others were not sent either, for this or other reasons.
        others: u64,
    },
    /// Whether its reader, who owns no account, wants what the account has forwarded to him.
    Consent {
        /// The address whose mail it is.
        address: &'a Address,
        /// By which he answers. In ASCII, without blanks.
        link: &'a str,
    },
}

impl Subject<'_> {
    /// Whether its reader may be anybody: then all of it is said in both languages.
    fn is_for_strangers(self) -> bool {
        matches!(self, Subject::Consent { .. })
    }
}

impl Notice<'_> {
    /// The notice as a message, with CRLF line ends, in seven bits.
    pub fn to_message(&self) -> Vec<u8> {
        let subject = words::subject(self.subject, self.language);
        let mut out = format!(
            "Date: {date}\r\n\
             From: Postmaster <postmaster@{domain}>\r\n\
             To: <{to}>\r\n\
             Subject: {subject}\r\n\
             Message-ID: <{message_id}>\r\n\
             Auto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\n",
            date = Date(self.date),
            domain = self.domain.to_ascii(),
            to = with_ascii_host(self.to),
            subject = encoded_words(&subject),
            message_id = ascii_line(self.message_id, 200).replace(['<', '>', ' '], ""),
        )
        .into_bytes();
        let languages: &[Language] = match self.language {
            Language::Ja => &[Language::Ja, Language::En],
            Language::En if self.subject.is_for_strangers() => &[Language::En, Language::Ja],
            Language::En => &[Language::En],
        };
        let texts: Vec<String> = languages.iter().map(|language| words::text(self, *language)).collect();
        plain_text(&mut out, &texts.join("\r\n--\r\n\r\n"));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::is_seven_bit;
    use crate::fields::fields;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use envelope::SendingLimit;
    use proptest::prelude::*;
    use time::macros::datetime;

    /// The header and the decoded text.
    fn written(subject: Subject<'_>, language: Language) -> (String, String) {
        let message = Notice {
            subject,
            account: &"abc".parse().unwrap(),
            language,
            domain: &Domain::parse("pobox.example").unwrap(),
            to: &"abc@pobox.example".parse().unwrap(),
            date: datetime!(2026-11-24 07:05:36 +9),
            message_id: "0abc@mx.pobox.example",
        }
        .to_message();
        assert!(is_seven_bit(&message), "{}", String::from_utf8_lossy(&message));
        let message = String::from_utf8(message).unwrap();
        let (header, body) = message.split_once("\r\n\r\n").unwrap();
        let text = match header.contains("base64") {
            true => String::from_utf8(STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap(),
            false => body.to_owned(),
        };
        (format!("{header}\r\n\r\n"), text)
    }

    fn limit(most: u64, until: Option<u64>) -> Subject<'static> {
        Subject::SendingLimit(LimitReached { which: SendingLimit::MessagesPerHour, most, until })
    }

    #[test]
    fn an_owner_learns_which_limit_it_is_until_when_and_what_to_do() {
        // 2026-11-24 07:59:01 in Japan.
        let (header, text) = written(limit(200, Some(1_795_474_741)), Language::En);
        let names: Vec<&[u8]> = fields(header.as_bytes()).map(|field| field.name).collect();
        assert_eq!(names[..4], [&b"Date"[..], b"From", b"To", b"Subject"]);
        assert!(header.contains("\r\nFrom: Postmaster <postmaster@pobox.example>\r\n"));
        assert!(header.contains("\r\nTo: <abc@pobox.example>\r\n"));
        assert!(header.contains("\r\nAuto-Submitted: auto-generated\r\n"));
        for words in ["abc", "200 messages per hour", "2026-11-24 08:00 +0900", "change the password"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_message_that_is_over_the_limit_by_itself_has_no_time_to_wait_for() {
        let (_, text) = written(limit(200, None), Language::En);
        assert!(text.contains("to fewer people at a time") && !text.contains("Until"), "{text}");
    }

    #[test]
    fn a_japanese_owner_gets_japanese_and_english() {
        let (header, text) = written(Subject::MailboxFilling(80), Language::Ja);
        assert!(header.contains("Subject: =?UTF-8?B?"));
        assert!(text.contains("80%") && text.contains("お読みになって"), "{text}");
        assert!(text.contains("80 per cent full"), "{text}");
        let (_, text) = written(limit(1, Some(1_795_474_800)), Language::Ja);
        assert!(text.contains("1時間に送れるメールは 1 通まで") && text.contains("パスワード"), "{text}");
    }

    #[test]
    fn an_owner_learns_when_a_message_was_left_and_why_it_was_not_sent() {
        let not_sent = Subject::NotSent {
            left: 1_795_474_741,
            reason: "no mailbox here by that name: x@pobox.example\r\nBcc: y",
            remedy: "check how these addresses are spelt",
            others: 0,
        };
        let (header, text) = written(not_sent, Language::Ja);
        assert!(header.contains("Subject: =?UTF-8?B?"), "{header}");
        let reason = "  no mailbox here by that name: x@pobox.example";
        assert_eq!(text.matches(reason).count(), 2, "{text}");
        assert!(text.contains("送信できませんでした") && text.contains("was not sent"), "{text}");
        assert_eq!(text.matches("2026-11-24 08:00 +0900").count(), 2, "{text}");
        assert!(!text.contains("299"), "{text}");
        let many = Subject::NotSent { left: 0, reason: "x", remedy: "y", others: 299 };
        let (_, several) = written(many, Language::Ja);
        assert!(several.contains("ほかに299通") && several.contains("299 more"), "{several}");
        assert!(!text.contains("\r\nBcc:") && text.contains("how these addresses are spelt"), "{text}");
    }

    #[test]
    fn whoever_is_asked_reads_in_both_languages_who_asks_what_happens_and_how_to_answer() {
        let address = "foo@abc.pobox.example".parse().unwrap();
        let link = "https://mail.pobox.example/consent?link=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for language in [Language::Ja, Language::En] {
            let (header, text) = written(Subject::Consent { address: &address, link }, language);
            assert!(header.contains("Auto-Submitted: auto-generated\r\n"), "{header}");
            assert_eq!(text.lines().filter(|line| *line == link).count(), 2, "{text}");
            assert_eq!(text.matches("foo@abc.pobox.example").count(), 2, "{text}");
            for words in
                ["転送", "何もする必要はありません", "7 日", "you need not do anything", "within 7 days"]
            {
                assert!(text.contains(words), "{words}: {text}");
            }
            assert_eq!(text.find("転送") < text.find("forward"), language == Language::Ja, "{text}");
        }
    }

    #[test]
    fn every_limit_has_its_words() {
        for which in [
            SendingLimit::MessagesPerHour,
            SendingLimit::MessagesPerDay,
            SendingLimit::RecipientsPerHour,
            SendingLimit::RecipientsPerDay,
            SendingLimit::NewRecipientsPerDay,
        ] {
            let reached = LimitReached { which, most: 77, until: None };
            let (_, text) = written(Subject::SendingLimit(reached), Language::Ja);
            assert_eq!(text.matches("77").count(), 2, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_time_and_number_give_a_notice(most: u64, until in any::<Option<u64>>(), percent: u8, japanese: bool) {
            let language = if japanese { Language::Ja } else { Language::En };
            let reason = &format!("{most}\r\n");
            let not_sent = Subject::NotSent { left: most, reason, remedy: "", others: most };
            for subject in [limit(most, until), Subject::MailboxFilling(percent), not_sent] {
                let (header, text) = written(subject, language);
                prop_assert_eq!(fields(header.as_bytes()).filter(|field| field.is("Subject")).count(), 1);
                prop_assert!(!text.is_empty());
            }
        }
    }
}
