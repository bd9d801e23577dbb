//! Who is the sender of forwarded mail: the `-owner` rule.
//!
//! Bounces of a mailing list should reach the list's owner, not whoever wrote to it. In qmail an
//! address gets this by the mere existence of instructions for `-owner`.

use std::fmt;

use envelope::{Address, Host, LocalPart, ReversePath};

use crate::dot_qmail::forward_to::bare;
use crate::dot_qmail::lookup::FileName;

/// The two names whose existence decides. Their contents do not matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerFiles {
    /// `.qmail-EXT-owner`.
    pub owner: FileName,
    /// `.qmail-EXT-owner-default`, which counts only if the other exists too.
    pub owner_default: FileName,
}

/// Which of [`OwnerFiles`] exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerFound {
    /// No `-owner`, whatever else.
    None,
    /// `-owner` alone.
    Owner,
    /// `-owner` and `-owner-default`.
    OwnerAndDefault,
}

/// The sender of forwarded mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewSender {
    /// One reverse-path for all recipients.
    Same(ReversePath),
    /// Another one for each recipient, so that a bounce tells which of them it speaks of.
    Each(Verp),
}

/// Variable envelope return paths: `list-owner-` + `box=dom` + `@host` for recipient `box@dom`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verp {
    prefix: LocalPart,
    host: Host,
}

impl OwnerFiles {
    /// The names for an address: always of its own extension, even where the instructions are
    /// those of a `default`. None if no file can have such names.
    pub fn of(extension: Option<&str>) -> Option<OwnerFiles> {
        Some(OwnerFiles {
            owner: FileName::build(extension, "-owner")?,
            owner_default: FileName::build(extension, "-owner-default")?,
        })
    }
}

/// The sender of what `recipient` forwards, `recipient` being the full address as Delivered-To
/// has it.
///
/// The null reverse-path stays as it is: a bounce must not be answered (RFC 5321 §4.5.5). So does
/// the sender if the owner's address would pass 64 octets before the `@`: no bounce could be sent
/// to it.
pub fn new_sender(sender: &ReversePath, recipient: &Address, found: OwnerFound) -> NewSender {
    let unchanged = || NewSender::Same(sender.clone());
    let suffix = match (sender, found) {
        (ReversePath::Null, _) | (_, OwnerFound::None) => return unchanged(),
        (_, OwnerFound::Owner) => "-owner",
        (_, OwnerFound::OwnerAndDefault) => "-owner-",
    };
    let Ok(local_part) = LocalPart::new(&format!("{}{suffix}", recipient.local_part.as_str())) else {
        return unchanged();
    };
    let host = recipient.host.clone();
    match found {
        OwnerFound::OwnerAndDefault => NewSender::Each(Verp { prefix: local_part, host }),
        _ => NewSender::Same(ReversePath::Address(Address::new(local_part, host))),
    }
}

impl NewSender {
    /// The reverse-path of the copy for this recipient.
    pub fn for_recipient(&self, recipient: &Address) -> ReversePath {
        match self {
            NewSender::Same(reverse_path) => reverse_path.clone(),
            NewSender::Each(verp) => ReversePath::Address(verp.for_recipient(recipient)),
        }
    }

    /// Where bounces go that this server makes itself, for all recipients in one.
    pub fn for_own_bounces(&self) -> ReversePath {
        match self {
            NewSender::Same(reverse_path) => reverse_path.clone(),
            NewSender::Each(verp) => ReversePath::Address(verp.for_own_bounces()),
        }
    }
}

impl fmt::Display for NewSender {
    /// As qmail's `NEWSENDER` has it: without brackets and quotes, the null reverse-path empty,
    /// VERP as `list-owner-@host-@[]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NewSender::Same(ReversePath::Null) => Ok(()),
            NewSender::Same(ReversePath::Address(address)) => f.write_str(&bare(address)),
            NewSender::Each(verp) => write!(f, "{}-@[]", bare(&verp.for_own_bounces())),
        }
    }
}

impl Verp {
    /// The return path that names this recipient. Where that would pass 64 octets before the `@`,
    /// the one of [`for_own_bounces`](Self::for_own_bounces): the owner hears of the bounce,
    /// though not by the address.
    pub fn for_recipient(&self, recipient: &Address) -> Address {
        let host = match &recipient.host {
            Host::Domain(domain) => domain.to_ascii(),
            literal => literal.to_string(),
        };
        let named = format!("{}{}={host}", self.prefix.as_str(), recipient.local_part.as_str());
        match LocalPart::new(&named) {
            Ok(local_part) => Address::new(local_part, self.host.clone()),
            Err(_) => self.for_own_bounces(),
        }
    }

    /// `list-owner-@host`, as qmail has it.
    pub fn for_own_bounces(&self) -> Address {
        Address::new(self.prefix.clone(), self.host.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn from(text: &str) -> ReversePath {
        ReversePath::Address(address(text))
    }

    #[test]
    fn the_owner_is_looked_for_under_the_own_extension() {
        let names = |extension| {
            OwnerFiles::of(extension).map(|files| (files.owner.to_string(), files.owner_default.to_string()))
        };
        assert_eq!(names(None), Some((".qmail-owner".into(), ".qmail-owner-default".into())));
        assert_eq!(
            names(Some("My.List")),
            Some((".qmail-my:list-owner".into(), ".qmail-my:list-owner-default".into()))
        );
        assert_eq!(names(Some("a/b")), None);
    }

    #[test]
    fn forwarded_mail_is_from_the_owner_if_there_is_one() {
        let (sender, list) = (from("u@x.example"), address("joe-List@pobox.example"));
        let new = |found| new_sender(&sender, &list, found);
        assert_eq!(new(OwnerFound::None), NewSender::Same(sender.clone()));
        assert_eq!(new(OwnerFound::Owner), NewSender::Same(from("joe-List-owner@pobox.example")));
        assert_eq!(new(OwnerFound::Owner).to_string(), "joe-List-owner@pobox.example");
        assert_eq!(new(OwnerFound::OwnerAndDefault).to_string(), "joe-List-owner-@pobox.example-@[]");
    }

    #[test]
    fn verp_names_each_recipient_in_the_sender() {
        let list = address("joe-list@pobox.example");
        let verp = new_sender(&from("u@x.example"), &list, OwnerFound::OwnerAndDefault);
        for (recipient, sender) in [
            ("u1@rem.example", "<joe-list-owner-u1=rem.example@pobox.example>"),
            ("\"a b\"@rem.example", "<\"joe-list-owner-a b=rem.example\"@pobox.example>"),
            ("u@例え.テスト", "<joe-list-owner-u=xn--r8jz45g.xn--zckzah@pobox.example>"),
            // Over 64 octets: the owner hears of it all the same.
            (
                "somebody-with-a-long-name@and-a-long-domain.with-labels.example",
                "<joe-list-owner-@pobox.example>",
            ),
        ] {
            assert_eq!(verp.for_recipient(&address(recipient)).to_string(), sender);
        }
        assert_eq!(verp.for_own_bounces().to_string(), "<joe-list-owner-@pobox.example>");
    }

    #[test]
    fn a_bounce_stays_a_bounce() {
        let list = address("joe-list@pobox.example");
        let new = new_sender(&ReversePath::Null, &list, OwnerFound::OwnerAndDefault);
        assert_eq!(new, NewSender::Same(ReversePath::Null));
        assert_eq!(new.to_string(), "");
        assert_eq!(new.for_recipient(&list), ReversePath::Null);
    }

    #[test]
    fn an_owner_that_cannot_be_written_to_is_none() {
        let list = address(&format!("{}@x.example", "a".repeat(60)));
        let sender = from("u@x.example");
        assert_eq!(new_sender(&sender, &list, OwnerFound::Owner), NewSender::Same(sender));
    }

    proptest! {
        #[test]
        fn any_recipient_gets_a_return_path_at_the_lists_host(
            local in "[!-~]{1,64}", box_ in "\\PC{1,64}", host in "[a-z]{1,60}\\.example",
        ) {
            let list = Address::new(LocalPart::new(&local).unwrap(), Host::parse("x.example").unwrap());
            let Ok(box_) = LocalPart::new(&box_) else { return Ok(()) };
            let recipient = Address::new(box_, Host::parse(&host).unwrap());
            let sender = from("u@elsewhere.example");
            let new = new_sender(&sender, &list, OwnerFound::OwnerAndDefault);
            let path = new.for_recipient(&recipient);
            let at_list = path.address().is_some_and(|address| address.host == list.host);
            prop_assert!(at_list || (path == sender && local.len() > 57));
        }
    }
}
