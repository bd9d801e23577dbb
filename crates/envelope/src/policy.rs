//! Who may send where. Pure rules: facts go in, a [`Recipient`] or a [`Refusal`] comes out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::account::AccountName;
use crate::address::Address;
use crate::hosted::Destination;
use crate::sending_limit::LimitReached;

/// Who speaks to us, as far as sending is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    /// Nobody known: may send to our own addresses only.
    Stranger,
    /// A customer, who may send anywhere, but only as himself.
    Sender(Sender),
}

/// A customer who may relay. Made where a login, a relay window or a user id entitles somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sender {
    /// Whose limits what is sent counts against, and whose name the log bears.
    pub account: AccountName,
    /// What entitles him.
    pub entitlement: Entitlement,
}

/// What entitles somebody to relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entitlement {
    /// SMTP AUTH in this session.
    Authentication,
    /// A mailbox check from the same address some minutes ago (POP before SMTP).
    Window,
    /// The user id of a program on this machine, as the kernel says it.
    LocalUser,
}

/// As whom a customer may send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SenderRule {
    /// As the account's own addresses and domains.
    #[default]
    Account,
    /// As any address that is hosted here: the rule as the provider published it.
    Domain,
}

/// As whom the programs of an account may write on this machine: contact forms put the visitor into
/// From. The envelope's sender is the account's own in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptAuthor {
    /// As who else sends: mail by somebody else is refused.
    #[default]
    Own,
    /// As anybody: the header stays as it is, and a sender in the envelope that is not the account's
    /// gives way to its own address.
    Keep,
    /// As anybody, but the account's address takes his place in From, and his goes to Reply-To.
    ReplyTo,
}

impl fmt::Display for ScriptAuthor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ScriptAuthor::Own => "own",
            ScriptAuthor::Keep => "keep",
            ScriptAuthor::ReplyTo => "reply-to",
        })
    }
}

/// The text is none of `own`, `keep` and `reply-to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is own, keep or reply-to")]
pub struct NotAScriptAuthor;

impl FromStr for ScriptAuthor {
    type Err = NotAScriptAuthor;
    fn from_str(text: &str) -> Result<ScriptAuthor, NotAScriptAuthor> {
        [ScriptAuthor::Own, ScriptAuthor::Keep, ScriptAuthor::ReplyTo]
            .into_iter()
            .find(|author| author.to_string() == text)
            .ok_or(NotAScriptAuthor)
    }
}

/// An address that this server agreed to carry mail to.
///
/// [`authorise`] makes it for clients; other honest sources have constructors named for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recipient(Address);

impl Recipient {
    /// The recipient of a bounce that we make ourselves: the reverse-path of a message that we
    /// had accepted.
    pub fn of_bounce(reverse_path: Address) -> Recipient {
        Recipient(reverse_path)
    }

    /// The recipient of an answer that one of our mailboxes gives while its owner is away: the
    /// reverse-path of a message that it got.
    pub fn of_auto_reply(reverse_path: Address) -> Recipient {
        Recipient(reverse_path)
    }

    /// A recipient to whom the owner of one of our addresses has its mail forwarded.
    pub fn of_forward(address: Address) -> Recipient {
        Recipient(address)
    }

    /// The recipient of a notice to one of our own accounts: its standard address.
    pub fn of_notice(address: Address) -> Recipient {
        Recipient(address)
    }

    /// Somebody outside whom a customer has asked, by us, whether he wants what is forwarded to him.
    pub fn of_consent(address: Address) -> Recipient {
        Recipient(address)
    }

    /// The address.
    pub fn address(&self) -> &Address {
        &self.0
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a sender, a recipient or an author is refused. The words for the wire stand in the `smtp` crate's `replies.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Refusal {
    /// Not our domain, and the client may not relay.
    #[error("relaying denied")]
    RelayDenied,
    /// Our domain, but nobody has this address.
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// A customer would send as somebody else.
    #[error("sender denied")]
    SenderDenied,
    /// The mailbox has no room for it. As long as that is new, the sender should try again.
    #[error("the mailbox is full")]
    MailboxFull {
        /// It has been full for so long that trying again is no use.
        for_good: bool,
    },
    /// The customer has sent as much as his plan allows for now.
    #[error(transparent)]
    LimitReached(#[from] LimitReached),
    /// The directory does not answer: try again later.
    #[error("the directory does not answer")]
    DirectoryUnavailable,
}

/// Decides on one recipient: our own addresses, and those of domains that we relay for, from
/// anybody; anything else from a customer only.
///
/// # Errors
/// [`Refusal::NoSuchMailbox`] and [`Refusal::RelayDenied`].
pub fn authorise(client: &Client, address: Address, leads_to: &Destination) -> Result<Recipient, Refusal> {
    match (client, leads_to) {
        (_, Destination::Local(_) | Destination::Relayed) => Ok(Recipient(address)),
        (_, Destination::NoSuchMailbox) => Err(Refusal::NoSuchMailbox),
        (Client::Stranger, Destination::Elsewhere) => Err(Refusal::RelayDenied),
        (Client::Sender(_), Destination::Elsewhere) => Ok(Recipient(address)),
    }
}

/// Decides whether a customer may send as an address, which `leads_to` where the directory says: that
/// of the reverse-path, and each in the message's From and Sender fields.
///
/// The null reverse-path is no address, and not asked about: a customer may send with it, as receipts
/// must (RFC 8098 §3). Its message is held to the rule by its From field, like any other.
///
/// # Errors
/// [`Refusal::SenderDenied`].
pub fn authorise_author(sender: &Sender, rule: SenderRule, leads_to: &Destination) -> Result<(), Refusal> {
    let may = match (rule, leads_to) {
        (_, Destination::Local(local)) if local.mailbox.account == sender.account => true,
        (SenderRule::Domain, Destination::Local(_)) => true,
        _ => false,
    };
    if may { Ok(()) } else { Err(Refusal::SenderDenied) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limit, LocalAddress, Mailbox};

    fn local(account: &str) -> Destination {
        let account: AccountName = account.parse().unwrap();
        let mailbox = Mailbox { account, maildir: "/m".into() };
        Destination::Local(LocalAddress { mailbox, extension: None, quota: Limit::Unlimited })
    }

    #[test]
    fn only_a_customer_relays_and_only_as_himself() {
        let sender = Sender { account: "abc".parse().unwrap(), entitlement: Entitlement::Window };
        let customer = Client::Sender(sender.clone());
        let to: Address = "a@there.example".parse().unwrap();
        assert_eq!(
            authorise(&Client::Stranger, to.clone(), &Destination::Elsewhere),
            Err(Refusal::RelayDenied)
        );
        assert!(authorise(&customer, to.clone(), &Destination::Elsewhere).is_ok());
        assert!(authorise(&Client::Stranger, to.clone(), &local("xyz")).is_ok());
        assert!(authorise(&Client::Stranger, to.clone(), &Destination::Relayed).is_ok());
        assert_eq!(authorise(&customer, to, &Destination::NoSuchMailbox), Err(Refusal::NoSuchMailbox));
        for (rule, leads_to, verdict) in [
            (SenderRule::Account, local("abc"), Ok(())),
            (SenderRule::Account, local("xyz"), Err(Refusal::SenderDenied)),
            (SenderRule::Domain, local("xyz"), Ok(())),
            (SenderRule::Domain, Destination::NoSuchMailbox, Err(Refusal::SenderDenied)),
            (SenderRule::Domain, Destination::Elsewhere, Err(Refusal::SenderDenied)),
            // We carry its mail, but cannot vouch for anybody there.
            (SenderRule::Domain, Destination::Relayed, Err(Refusal::SenderDenied)),
        ] {
            assert_eq!(authorise_author(&sender, rule, &leads_to), verdict, "{rule:?} {leads_to:?}");
        }
    }
}
