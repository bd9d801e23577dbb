//! The fields that a letter looks at.

use message::Field;

/// What a header field means to a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    To,
    Cc,
    Bcc,
    ApparentlyTo,
    From,
    Sender,
    ReplyTo,
    /// Return-Receipt-To and Errors-To, which have addresses as well.
    OtherAddresses,
    Date,
    MessageId,
    ReturnPath,
    ContentLength,
    MailFollowupTo,
    DeliveredTo,
    ResentTo,
    ResentCc,
    ResentBcc,
    ResentFrom,
    ResentSender,
    ResentReplyTo,
    ResentDate,
    ResentMessageId,
    /// A line that an mbox file has before each message.
    Mbox,
    Other,
}

const NAMES: [(&str, Kind); 23] = [
    ("To", Kind::To),
    ("Cc", Kind::Cc),
    ("Bcc", Kind::Bcc),
    ("Apparently-To", Kind::ApparentlyTo),
    ("From", Kind::From),
    ("Sender", Kind::Sender),
    ("Reply-To", Kind::ReplyTo),
    ("Return-Receipt-To", Kind::OtherAddresses),
    ("Errors-To", Kind::OtherAddresses),
    ("Date", Kind::Date),
    ("Message-ID", Kind::MessageId),
    ("Return-Path", Kind::ReturnPath),
    ("Content-Length", Kind::ContentLength),
    ("Mail-Followup-To", Kind::MailFollowupTo),
    ("Delivered-To", Kind::DeliveredTo),
    ("Resent-To", Kind::ResentTo),
    ("Resent-Cc", Kind::ResentCc),
    ("Resent-Bcc", Kind::ResentBcc),
    ("Resent-From", Kind::ResentFrom),
    ("Resent-Sender", Kind::ResentSender),
    ("Resent-Reply-To", Kind::ResentReplyTo),
    ("Resent-Date", Kind::ResentDate),
    ("Resent-Message-ID", Kind::ResentMessageId),
];

impl Kind {
    /// Tells a line with those that continue it; none, if it has no place in a header. Where `From : x` is
    /// not taken for a line of an mbox file, it is a field.
    pub(super) fn of(lines: &[u8], from_is_mbox: bool) -> Option<Kind> {
        let field = Field::of(lines);
        if lines.starts_with(b"From ") && (from_is_mbox || field.is_none()) {
            return Some(Kind::Mbox);
        }
        let known = NAMES.iter().find(|(name, _)| field.is_some_and(|field| field.is(name)));
        field.map(|_| known.map_or(Kind::Other, |(_, kind)| *kind))
    }

    /// Whether it makes a message one that somebody sends again.
    pub(super) fn is_resent(self) -> bool {
        matches!(
            self,
            Kind::ResentTo
                | Kind::ResentCc
                | Kind::ResentBcc
                | Kind::ResentFrom
                | Kind::ResentSender
                | Kind::ResentReplyTo
                | Kind::ResentDate
                | Kind::ResentMessageId
        )
    }

    /// Whether it names recipients of a message, sent again or not.
    pub(super) fn names_recipients(self, resent: bool) -> bool {
        match self {
            Kind::To | Kind::Cc | Kind::Bcc | Kind::ApparentlyTo => !resent,
            Kind::ResentTo | Kind::ResentCc | Kind::ResentBcc => resent,
            _ => false,
        }
    }

    /// Whether it names who wrote or sent a message.
    pub(super) fn names_authors(self) -> bool {
        matches!(self, Kind::From | Kind::Sender | Kind::ResentFrom | Kind::ResentSender)
    }

    /// Whether short addresses in it are completed; those of authors are as well, elsewhere.
    pub(super) fn has_addresses(self) -> bool {
        matches!(
            self,
            Kind::To
                | Kind::Cc
                | Kind::ApparentlyTo
                | Kind::ReplyTo
                | Kind::OtherAddresses
                | Kind::ResentTo
                | Kind::ResentCc
                | Kind::ResentReplyTo
        )
    }

    /// Whether no message leaves with it.
    pub(super) fn is_removed(self) -> bool {
        matches!(self, Kind::Bcc | Kind::ResentBcc | Kind::ReturnPath | Kind::ContentLength)
    }
}
