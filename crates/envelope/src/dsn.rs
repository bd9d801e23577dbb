//! What a sender wishes to hear of a message: the parameters that the DSN extension gives MAIL and RCPT
//! (RFC 3461).

use std::fmt;

use serde::{Deserialize, Serialize};

mod xtext;

/// The longest ENVID as it is written, in octets (RFC 3461 §4.4).
pub const ENVELOPE_ID_MAX: usize = 100;
/// The longest ORCPT as it is written, in octets (RFC 3461 §4.2).
pub const ORIGINAL_RECIPIENT_MAX: usize = 500;

/// What the sender wishes for the message as a whole: the parameters of MAIL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageWishes {
    /// How much of the message a report of its failure is to have; `None` leaves that to us.
    pub ret: Option<Return>,
    /// The sender's own name for it.
    pub envelope_id: Option<EnvelopeId>,
}

/// What the sender wishes for one recipient: the parameters of RCPT.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientWishes {
    /// When to write a report; `None` leaves that to us.
    pub notify: Option<Notify>,
    /// The recipient as the sender knew him, before anybody forwarded anything.
    pub original: Option<TypedAddress>,
}

/// RET: how much of the message a report of its failure is to have (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Return {
    /// All of it.
    Full,
    /// The header.
    Headers,
}

/// NOTIFY: when the sender wants a report (RFC 3461 §4.1). NEVER is none of the three, so it cannot stand
/// beside another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// When the message was delivered.
    pub success: bool,
    /// When it never will be.
    pub failure: bool,
    /// When it takes long.
    pub delay: bool,
}

/// ENVID: the sender's own name for a message (RFC 3461 §4.4), of printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnvelopeId(Box<str>);

/// An address of any kind, as ORCPT has it and the fields of a report (RFC 3461 §4.2, RFC 3464 §2.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedAddress {
    kind: Box<str>,
    address: Box<str>,
}

/// The kind of an address that is not ASCII (RFC 6533 §3).
const UTF_8: &str = "utf-8";

impl RecipientWishes {
    /// Without any wish.
    pub const NONE: RecipientWishes = RecipientWishes { notify: None, original: None };

    /// Whether a report is to be written when the message was delivered: if that was asked for.
    pub fn wants_success(&self) -> bool {
        self.notify.is_some_and(|notify| notify.success)
    }

    /// Whether a report is to be written when the message cannot be delivered: unless that was excluded.
    pub fn wants_failure(&self) -> bool {
        self.notify.is_none_or(|notify| notify.failure)
    }

    /// Whether a report is to be written when the message takes long; `by_default` if the sender did not say.
    pub fn wants_delay(&self, by_default: bool) -> bool {
        self.notify.map_or(by_default, |notify| notify.delay)
    }

    /// The same without the wish for a report of success.
    pub fn without_success(&self) -> RecipientWishes {
        let notify = self.notify.map(|notify| Notify { success: false, ..notify });
        RecipientWishes { notify, original: self.original.clone() }
    }
}

impl Return {
    /// Parses the value of RET.
    pub fn parse(value: &str) -> Option<Return> {
        match value {
            _ if value.eq_ignore_ascii_case("FULL") => Some(Return::Full),
            _ if value.eq_ignore_ascii_case("HDRS") => Some(Return::Headers),
            _ => None,
        }
    }
}

impl fmt::Display for Return {
    /// The value of RET.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Return::Full => "FULL",
            Return::Headers => "HDRS",
        })
    }
}

impl Notify {
    /// No report, whatever happens.
    pub const NEVER: Notify = Notify { success: false, failure: false, delay: false };

    /// Parses the value of NOTIFY.
    pub fn parse(value: &str) -> Option<Notify> {
        let mut notify = Notify::NEVER;
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(notify);
        }
        for word in value.split(',') {
            match word {
                _ if word.eq_ignore_ascii_case("SUCCESS") => notify.success = true,
                _ if word.eq_ignore_ascii_case("FAILURE") => notify.failure = true,
                _ if word.eq_ignore_ascii_case("DELAY") => notify.delay = true,
                _ => return None,
            }
        }
        Some(notify)
    }
}

impl fmt::Display for Notify {
    /// The value of NOTIFY.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut words = words.into_iter().filter_map(|(wanted, word)| wanted.then_some(word));
        f.write_str(words.next().unwrap_or("NEVER"))?;
        words.try_for_each(|word| write!(f, ",{word}"))
    }
}

impl EnvelopeId {
    /// Parses the value of ENVID, which is xtext.
    pub fn parse(value: &str) -> Option<EnvelopeId> {
        let short = value.len() <= ENVELOPE_ID_MAX;
        short.then(|| xtext::decode(value)).flatten().map(|text| EnvelopeId(text.into()))
    }

    /// In plain.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvelopeId {
    /// The value of ENVID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        xtext::encode(&self.0, f)
    }
}

impl TypedAddress {
    /// An address as mail has it, which may be other than ASCII.
    pub fn of_mail(address: &str) -> TypedAddress {
        let kind = if address.is_ascii() { "rfc822" } else { UTF_8 };
        TypedAddress { kind: kind.into(), address: address.into() }
    }

    /// Parses the value of ORCPT: xtext, but for the kind `utf-8`, whose characters may stand as they are or
    /// as `\x{…}` (RFC 6533 §3).
    pub fn parse(value: &str) -> Option<TypedAddress> {
        let (kind, address) = value.split_once(';')?;
        let named = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !named || value.len() > ORIGINAL_RECIPIENT_MAX {
            return None;
        }
        let kind = kind.to_ascii_lowercase();
        let address = if kind == UTF_8 { xtext::decode_utf8(address)? } else { xtext::decode(address)? };
        Some(TypedAddress { kind: kind.into(), address: address.into() })
    }

    /// Its kind in lower case, mostly `rfc822`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The address in plain.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// As a field of a report has it (RFC 3464 §2.3.1), in ASCII.
    pub fn to_field(&self) -> String {
        match &*self.kind {
            UTF_8 => format!("{UTF_8}; {}", xtext::Utf8(&self.address)),
            kind => format!("{kind}; {}", self.address),
        }
    }

    /// Octets that it takes.
    pub fn size(&self) -> usize {
        self.kind.len() + self.address.len()
    }
}

impl fmt::Display for TypedAddress {
    /// The value of ORCPT, in ASCII.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};", self.kind)?;
        match &*self.kind {
            UTF_8 => xtext::Utf8(&self.address).fmt(f),
            _ => xtext::encode(&self.address, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn never_stands_alone() {
        for (value, notify) in [
            ("never", Some(Notify::NEVER)),
            ("SUCCESS,delay", Some(Notify { success: true, failure: false, delay: true })),
            ("FAILURE,FAILURE", Some(Notify { failure: true, ..Notify::NEVER })),
            ("NEVER,FAILURE", None),
            ("FAILURE,NEVER", None),
            ("", None),
            ("SUCCESS,", None),
            ("SUCCESS DELAY", None),
        ] {
            assert_eq!(Notify::parse(value), notify, "{value}");
        }
        assert_eq!(Notify::NEVER.to_string(), "NEVER");
        assert_eq!(Notify::parse("delay,failure,success").unwrap().to_string(), "SUCCESS,FAILURE,DELAY");
    }

    #[test]
    fn who_says_nothing_hears_of_failures_alone() {
        let silent = RecipientWishes::NONE;
        assert!(silent.wants_failure() && !silent.wants_success());
        assert!(silent.wants_delay(true) && !silent.wants_delay(false));
        let never = RecipientWishes { notify: Some(Notify::NEVER), original: None };
        assert!(!never.wants_failure() && !never.wants_success() && !never.wants_delay(true));
        let success = RecipientWishes { notify: Notify::parse("SUCCESS"), original: None };
        assert_eq!(success.without_success(), never);
        assert_eq!(silent.without_success(), silent);
    }

    #[test]
    fn an_envelope_id_is_short_and_printable() {
        assert_eq!(EnvelopeId::parse("a+2Bb+20+3Dc").unwrap().as_str(), "a+b =c");
        let longest = "x".repeat(ENVELOPE_ID_MAX);
        assert_eq!(EnvelopeId::parse(&longest).unwrap().to_string(), longest);
        for wrong in ["", "a=b", "a+2b", "a+2", "+0D+0A", "+7F", "é", &format!("{longest}x")] {
            assert_eq!(EnvelopeId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_original_recipient_has_a_kind_and_an_address() {
        for (value, field) in [
            ("rfc822;abc@x.example", "rfc822; abc@x.example"),
            ("RFC822;b+20c@x.example", "rfc822; b c@x.example"),
            ("x400;/C=jp".replace('=', "+3D").as_str(), "x400; /C=jp"),
            (
                "utf-8;太郎@例え.テスト",
                "utf-8; \\x{592A}\\x{90CE}@\\x{4F8B}\\x{3048}.\\x{30C6}\\x{30B9}\\x{30C8}",
            ),
            ("UTF-8;\\x{592A}@x", "utf-8; \\x{592A}@x"),
        ] {
            assert_eq!(TypedAddress::parse(value).unwrap().to_field(), field);
        }
        let too_long = format!("rfc822;{}", "x".repeat(ORIGINAL_RECIPIENT_MAX));
        for wrong in [
            "abc@x.example",
            ";a",
            "rfc822;",
            "rf c;a",
            "rfc822;a=b",
            "rfc822;+0A",
            "rfc822;é",
            "utf-8;\\x{A}",
            &too_long,
        ] {
            assert_eq!(TypedAddress::parse(wrong), None, "{wrong}");
        }
        assert_eq!(TypedAddress::of_mail("太@x").to_string(), "utf-8;\\x{592A}@x");
    }

    proptest! {
        #[test]
        fn any_value_is_a_wish_or_none_and_reads_back(value in "(NEVER|SUCCESS|DELAY|,|rfc822;|utf-8;|\\PC|[+=\\\\x{}0-9A-F;]){0,40}") {
            if let Some(notify) = Notify::parse(&value) {
                prop_assert_eq!(Notify::parse(&notify.to_string()), Some(notify));
            }
            if let Some(id) = EnvelopeId::parse(&value) {
                prop_assert_eq!(EnvelopeId::parse(&id.to_string()), Some(id));
            }
            if let Some(address) = TypedAddress::parse(&value) {
                prop_assert!(address.to_field().bytes().all(|b| (b' '..=b'~').contains(&b)));
                let written = address.to_string();
                prop_assert!(written.bytes().all(|b| b.is_ascii_graphic()));
                if written.len() <= ORIGINAL_RECIPIENT_MAX {
                    prop_assert_eq!(TypedAddress::parse(&written), Some(address));
                }
            }
            let _ = Return::parse(&value);
        }
    }
}
