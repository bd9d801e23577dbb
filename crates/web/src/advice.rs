//! What somebody can do about a reply: the common ones of other servers, and our own words, each with its advice.
//!
//! The status code (RFC 3463) says most. Where a server gives none, or one that says little, its words are looked at:
//! those that Gmail, Outlook, Yahoo, docomo, au, SoftBank, Postfix and qmail use.

use std::borrow::Cow;

use crate::words::Words;

/// Why a message was not taken, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nobody has this address.
    NoSuchUser,
    /// The mailbox is switched off.
    Disabled,
    /// The mailbox is full.
    OverQuota,
    /// The message is too large for it.
    TooLarge,
    /// SPF, DKIM or DMARC do not vouch for the sender.
    Unauthenticated,
    /// It is taken for spam, or the sender is blocked.
    Blocked,
    /// Too much at once, or come again later (greylisting).
    Later,
    /// The domain does not exist.
    NoSuchDomain,
    /// The domain takes no mail (RFC 7505), or has no host for it.
    NoMailHost,
    /// The name servers do not answer.
    Dns,
    /// Nobody is there, or the connection broke.
    Unreachable,
    /// No TLS, or a certificate that is not trusted.
    Tls,
    /// It goes round in a circle.
    Loop,
    /// It was tried until its time was over.
    TooLong,
    /// The other server does not know addresses of other scripts than Latin.
    NotInternational,
    /// Our own mailbox or instructions.
    Ours,
    /// Nothing that is known.
    Other,
}

/// Whose matter the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// An address of the member's forwards it.
    Forwarded,
    /// The member sent it.
    Sent,
}

/// What one can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advice {
    /// Why it was not taken.
    pub(crate) why: Why,
    /// For good; else it is tried again.
    pub(crate) permanent: bool,
}

impl Advice {
    /// On a reply. `host`: whether another host said so, or these are words of ours. `status`: the status code, where it
    /// is known apart from the reply.
    pub(crate) fn on(reply: &str, status: Option<&str>, host: bool, permanent: bool) -> Advice {
        let status = status.and_then(Status::parse);
        // What the other host wrote is nearer to the matter than what was made of it.
        let status = Status::within(reply).or(status);
        Advice { why: why(&reply.to_ascii_lowercase(), status, host), permanent }
    }

    /// What went wrong, in a few words.
    pub(crate) fn cause(self, words: Words) -> Cow<'static, str> {
        words.say(&format!("cause-{}", self.why.name()))
    }

    /// What to do, in a sentence or two.
    pub(crate) fn sentence(self, side: Side, words: Words) -> Cow<'static, str> {
        let side = match side {
            Side::Forwarded => "forwarded",
            Side::Sent => "sent",
        };
        let end = if self.permanent { "permanent" } else { "temporary" };
        words.with2(&format!("advice-{}", self.why.name()), ("side", side), ("end", end))
    }
}

impl Why {
    fn name(self) -> &'static str {
        match self {
            Why::NoSuchUser => "unknown",
            Why::Disabled => "disabled",
            Why::OverQuota => "full",
            Why::TooLarge => "large",
            Why::Unauthenticated => "unauthenticated",
            Why::Blocked => "blocked",
            Why::Later => "later",
            Why::NoSuchDomain => "domain",
            Why::NoMailHost => "nomail",
            Why::Dns => "dns",
            Why::Unreachable => "unreachable",
            Why::Tls => "tls",
            Why::Loop => "loop",
            Why::TooLong => "long",
            Why::NotInternational => "script",
            Why::Ours => "ours",
            Why::Other => "other",
        }
    }
}

/// A status code (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status {
    class: u16,
    subject: u16,
    detail: u16,
}

impl Status {
    fn parse(text: &str) -> Option<Status> {
        let mut parts = text.split('.').map(|part| {
            let digits =
                !part.is_empty() && part.len() <= 3 && part.bytes().all(|octet| octet.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        });
        let status = Status { class: parts.next()??, subject: parts.next()??, detail: parts.next()?? };
        (matches!(status.class, 4 | 5) && parts.next().is_none()).then_some(status)
    }

    /// The first that stands in a reply.
    fn within(reply: &str) -> Option<Status> {
        let separate = |c: char| !(c.is_ascii_digit() || c == '.');
        reply.split(separate).find_map(|word| Status::parse(word.trim_end_matches('.')))
    }
}

fn why(said: &str, status: Option<Status>, host: bool) -> Why {
    let has = |any: &[&str]| any.iter().any(|words| said.contains(words));
    let Some(status) = status else { return by_words(&has).unwrap_or(Why::Other) };
    match (status.subject, status.detail) {
        // Microsoft's own details begin at 500: 5.7.509 and 5.7.515 are of DMARC, 5.7.511 and 5.7.6xx of blocks.
        (7, 20..=32 | 509 | 515) => Why::Unauthenticated,
        (7, 5 | 10) if has(&["tls", "certificate", "encrypt"]) || !host => Why::Tls,
        (7, _) => by_words(&has).unwrap_or(if status.class == 4 { Why::Later } else { Why::Blocked }),
        // Microsoft says so of a recipient whom it does not know; RFC 7505 of a domain that takes no mail.
        (1, 10) if host => Why::NoSuchUser,
        (1, 10) | (4, 4) => Why::NoMailHost,
        (1, 2) if has(&["host", "domain"]) || !host => Why::NoSuchDomain,
        (1, 0 | 1 | 2 | 3 | 6) => Why::NoSuchUser,
        (2, 1) if status.class == 4 => by_words(&has).unwrap_or(Why::Later),
        (2, 1) => by_words(&has).unwrap_or(Why::Disabled),
        (2, 2) => Why::OverQuota,
        (2, 3) | (3, 4) => Why::TooLarge,
        (4, 1 | 2 | 5) if !host => Why::Unreachable,
        (4, 3) => Why::Dns,
        (4, 6) => Why::Loop,
        (4, 7) => Why::TooLong,
        (6, 7) => Why::NotInternational,
        (3, _) if !host => Why::Ours,
        _ => by_words(&has).unwrap_or(if status.class == 4 && host { Why::Later } else { Why::Other }),
    }
}

/// What words give away. Those that say most come first.
fn by_words(has: &dyn Fn(&[&str]) -> bool) -> Option<Why> {
    const SIGNS: &[(Why, &[&str])] = &[
        (Why::NotInternational, &["smtputf8", "internationalized"]),
        (Why::Unauthenticated, &["unauthenticated", "dmarc", "spf", "dkim", "not authenticated"]),
        (Why::Tls, &["starttls", "must issue a tls", "certificate", "required tls", "tls required"]),
        (
            Why::OverQuota,
            &[
                "quota",
                "mailbox full",
                "mailbox is full",
                "out of storage",
                "exceeded storage",
                "inbox is full",
            ],
        ),
        (
            Why::NoSuchUser,
            &[
                "unknown user",
                "user unknown",
                "no such user",
                "no such recipient",
                "does not exist",
                "doesn't exist",
                "no mailbox here",
                "no such mailbox",
                "recipient unknown",
                "unknown recipient",
                "invalid recipient",
                "recipient not found",
                "user not found",
                "address rejected: user",
            ],
        ),
        (Why::Disabled, &["disabled", "inactive", "suspended", "deactivated"]),
        (
            Why::TooLarge,
            &["too large", "too big", "size limit", "exceeds size", "message size", "takes no more than"],
        ),
        (Why::Loop, &["loop", "too many hops"]),
        (
            Why::Later,
            &[
                "greylist",
                "graylist",
                "greylisted",
                "rate limit",
                "too many",
                "too quickly",
                "try again later",
                "try later",
                "temporarily deferred",
                "throttl",
            ],
        ),
        // Before the next: a connection may be refused, too.
        (
            Why::Unreachable,
            &["wasn't able to establish", "connection died", "did not answer in time", "timed out"],
        ),
        (
            Why::Blocked,
            &[
                "spam",
                "block",
                "blacklist",
                "blocklist",
                "reputation",
                "spamhaus",
                "junk",
                "virus",
                "policy",
                "access denied",
                "rejected",
                "refused",
                "banned",
                "unsolicited",
            ],
        ),
        (Why::NoSuchDomain, &["couldn't find any host", "domain not found"]),
    ];
    SIGNS.iter().find(|(_, words)| has(words)).map(|(why, _)| *why)
}

#[cfg(test)]
pub(crate) mod tests {
    use envelope::Language;
    use proptest::prelude::*;

    use super::*;

    pub(crate) const ALL: [Why; 17] = [
        Why::NoSuchUser,
        Why::Disabled,
        Why::OverQuota,
        Why::TooLarge,
        Why::Unauthenticated,
        Why::Blocked,
        Why::Later,
        Why::NoSuchDomain,
        Why::NoMailHost,
        Why::Dns,
        Why::Unreachable,
        Why::Tls,
        Why::Loop,
        Why::TooLong,
        Why::NotInternational,
        Why::Ours,
        Why::Other,
    ];

    #[test]
    fn what_the_great_hosts_say_is_known() {
        for (reply, why) in [
            (
                "550-5.7.26 Your email has been blocked because the sender is unauthenticated. 550 5.7.26",
                Why::Unauthenticated,
            ),
            (
                "421-4.7.26 This mail has been rate limited because it is unauthenticated.",
                Why::Unauthenticated,
            ),
            (
                "550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification",
                Why::Unauthenticated,
            ),
            ("550-5.1.1 The email account that you tried to reach does not exist.", Why::NoSuchUser),
            (
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
                Why::NoSuchUser,
            ),
            ("550 Unknown user taro@docomo.ne.jp", Why::NoSuchUser),
            ("550 <taro@ezweb.ne.jp>: User unknown", Why::NoSuchUser),
            (
                "554 delivery error: dd This user doesn't have a yahoo.co.jp account; no such user",
                Why::NoSuchUser,
            ),
            ("550 5.2.1 The email account that you tried to reach is disabled.", Why::Disabled),
            ("452-4.2.2 The recipient's inbox is out of storage space.", Why::OverQuota),
            (
                "552 5.2.2 This message is larger than the current system limit or the recipient's mailbox is full.",
                Why::OverQuota,
            ),
            ("552-5.2.3 Your message exceeded Google's message size limits.", Why::TooLarge),
            ("552 5.3.4 Message size exceeds fixed limit", Why::TooLarge),
            ("550 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using Spamhaus.", Why::Blocked),
            ("554 5.7.1 <u@x.example>: Relay access denied", Why::Blocked),
            ("550-5.7.28 There is an unusual rate of unsolicited mail", Why::Unauthenticated),
            ("450 4.2.0 <u@x.example>: Recipient address rejected: Greylisted", Why::Later),
            ("450 4.7.1 Please try again later", Why::Later),
            ("450-4.2.1 The user you are trying to contact is receiving mail too quickly.", Why::Later),
            ("451 4.3.2 Temporarily unavailable", Why::Later),
            ("530 5.7.0 Must issue a STARTTLS command first", Why::Tls),
            ("554 5.4.14 Hop count exceeded - possible mail loop", Why::Loop),
            ("550 no", Why::Other),
        ] {
            let advice = Advice::on(reply, None, true, reply.starts_with('5'));
            assert_eq!(advice.why, why, "{reply}");
        }
    }

    #[test]
    fn our_own_words_are_known() {
        for (reply, status, why) in [
            (
                "Sorry, I couldn't find any host named gone.example. Please check the address for a typing mistake.",
                "5.1.2",
                Why::NoSuchDomain,
            ),
            (
                "The domain x.example does not accept mail. Please ask the recipient for another address.",
                "5.1.10",
                Why::NoMailHost,
            ),
            (
                "Sorry, I couldn't find a mail exchanger or IP address for x.example. (#5.4.4)",
                "5.4.4",
                Why::NoMailHost,
            ),
            ("The name servers for x.example could not be asked: timeout. (#4.4.3)", "4.4.3", Why::Dns),
            ("Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)", "4.4.1", Why::Unreachable),
            ("Connected to 192.0.2.1 but connection died. (#4.4.2)", "4.4.2", Why::Unreachable),
            ("The certificate of mx.x.example is not trusted. (#4.7.5)", "4.7.5", Why::Tls),
            ("This message is looping: it already has my Delivered-To line. (#5.4.6)", "5.4.6", Why::Loop),
            ("I tried for a week. (#5.4.7)", "5.4.7", Why::TooLong),
            ("The mailbox is full; I will try again later. (#4.2.2)", "4.2.2", Why::OverQuota),
            ("Temporary error on maildir delivery. (#4.3.0)", "4.3.0", Why::Ours),
        ] {
            let permanent = status.starts_with('5');
            assert_eq!(Advice::on(reply, Some(status), false, permanent).why, why, "{reply}");
            // In the results of destinations the status stands in the words alone.
            if reply.contains("(#") {
                assert_eq!(Advice::on(reply, None, false, permanent).why, why, "{reply}");
            }
        }
    }

    #[test]
    fn each_cause_has_its_advice_in_both_languages_for_both_sides() {
        for why in ALL {
            for words in [Words(Language::Ja), Words(Language::En)] {
                for permanent in [true, false] {
                    let advice = Advice { why, permanent };
                    assert!(!advice.cause(words).contains("cause-"), "{why:?}");
                    for side in [Side::Forwarded, Side::Sent] {
                        let sentence = advice.sentence(side, words);
                        assert!(sentence.chars().count() > 8 && !sentence.contains("advice-"), "{sentence}");
                        assert!(!sentence.contains("{"), "{sentence}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_reply_has_an_advice(reply in "\\PC{0,80}|[0-9.# ]{0,40}", host: bool, permanent: bool) {
            let advice = Advice::on(&reply, Some(&reply), host, permanent);
            prop_assert!(!advice.sentence(Side::Sent, Words(Language::En)).is_empty());
        }
    }
}
