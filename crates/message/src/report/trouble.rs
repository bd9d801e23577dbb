//! What kind of trouble a status code tells of, as far as its reader can do something about it.

use crate::status::Status;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    AddressUnknown,
    AddressMalformed,
    DomainUnknown,
    DomainTakesNoMail,
    MailboxUnavailable,
    MailboxFull,
    TooLarge,
    Unreachable,
    Looping,
    TookTooLong,
    SenderRefused,
    Refused,
    Form,
    International,
    ServerFault,
    AsksToWait,
    Other,
}

impl Trouble {
    /// The kind of a status code (RFC 3463 §3, RFC 7505 §4, RFC 6531 §4.1).
    pub(super) fn of(status: Status) -> Trouble {
        match (status.class(), status.subject(), status.detail()) {
            // Whoever says "not now" of an address may only be busy with it, or be greylisting.
            (4, 1, 0 | 1) => Trouble::AsksToWait,
            (_, 1, 1 | 4 | 6) => Trouble::AddressUnknown,
            (_, 1, 2) | (_, 4, 4) => Trouble::DomainUnknown,
            (_, 1, 3) => Trouble::AddressMalformed,
            (_, 1, 7 | 8) => Trouble::SenderRefused,
            (_, 1, 10) => Trouble::DomainTakesNoMail,
            (_, 2, 1) => Trouble::MailboxUnavailable,
            (_, 2, 2) => Trouble::MailboxFull,
            (_, 2, 3) | (_, 3, 4) => Trouble::TooLarge,
            (_, 4, 6) => Trouble::Looping,
            (_, 4, 7) => Trouble::TookTooLong,
            (_, 4, _) => Trouble::Unreachable,
            (_, 6, 7..=10) => Trouble::International,
            (_, 6, _) => Trouble::Form,
            (4, 7, _) => Trouble::AsksToWait,
            (_, 7, _) => Trouble::Refused,
            (_, 3, _) | (4, 5, _) => Trouble::ServerFault,
            _ => Trouble::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_code_names_its_trouble() {
        for (status, trouble) in [
            ("5.1.1", Trouble::AddressUnknown),
            ("5.1.2", Trouble::DomainUnknown),
            ("5.1.10", Trouble::DomainTakesNoMail),
            ("5.2.2", Trouble::MailboxFull),
            ("4.2.2", Trouble::MailboxFull),
            ("5.3.4", Trouble::TooLarge),
            ("4.4.1", Trouble::Unreachable),
            ("5.4.6", Trouble::Looping),
            ("5.4.7", Trouble::TookTooLong),
            ("5.6.7", Trouble::International),
            ("5.7.1", Trouble::Refused),
            ("4.7.1", Trouble::AsksToWait),
            ("4.1.1", Trouble::AsksToWait),
            ("4.3.2", Trouble::ServerFault),
            ("5.0.0", Trouble::Other),
        ] {
            assert_eq!(Trouble::of(status.parse().unwrap()), trouble, "{status}");
        }
    }
}
