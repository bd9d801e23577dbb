//! Events: what became of each message, for whoever asks where a mail is.
//!
//! Each step of a message's life is one [`Event`], from the client's 250 to the mailbox, the other host
//! or the report. What it says of a message is its envelope and what others answered: never its
//! content, its subject or a password.
//!
//! The record keeps events by postcard for as long as it is told to, across upgrades. So a new variant
//! goes to the end of its enum, and a new field is a new schema of the record.

mod party;
mod standing;
mod summary;
mod words;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::account::AccountName;
use crate::address::Address;
use crate::path::ReversePath;
use crate::queue_id::QueueId;

pub use party::{NotAParty, Party};
pub use standing::{Fate, Standing};
pub use summary::{SUMMARY_RECIPIENTS_MAX, Summary, Tally};
pub use words::{WORDS_MAX, Words};

/// One thing that happened to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in microseconds since 1970.
    pub at: u64,
    /// To which message; `None` where a message was refused before it had a name.
    pub queue_id: Option<QueueId>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is ours: somebody was told 250, or we made it ourselves.
    Accepted(Box<Accepted>),
    /// A sender, a recipient or a whole message was refused in SMTP.
    Refused(Box<Refused>),
    /// An operator keeps it in the queue.
    Held {
        /// Who.
        by: Words,
    },
    /// An operator lets it go on.
    Released {
        /// Who.
        by: Words,
    },
    /// An attempt for one recipient failed, and will be made again.
    Deferred {
        /// For whom.
        recipient: Address,
        /// Who said so; `None` if nobody was reached, or it is a matter of our own.
        peer: Option<Peer>,
        /// Why, in the peer's words or ours.
        reply: Words,
        /// When it is tried next, in microseconds since 1970.
        until: u64,
    },
    /// One recipient has it.
    Delivered {
        /// Who.
        recipient: Address,
        /// Where it went.
        to: Delivery,
        /// How long the last attempt took, in milliseconds.
        took_ms: u32,
    },
    /// For one recipient it goes on as another message.
    Forwarded {
        /// For whom.
        recipient: Address,
        /// The new message.
        id: QueueId,
        /// To whom that goes.
        to: Vec<Address>,
    },
    /// It will not reach one recipient.
    Failed {
        /// Whom.
        recipient: Address,
        /// The status code (RFC 3463).
        status: Words,
        /// Who said so; `None` as in [`What::Deferred`].
        peer: Option<Peer>,
        /// Why, in the peer's words or ours.
        reply: Words,
    },
    /// An operator gave it back to its sender.
    Bounced {
        /// Who.
        by: Words,
    },
    /// An operator threw it away; nobody is told.
    Removed {
        /// Who.
        by: Words,
    },
    /// Somebody is told how it stands, by another message (RFC 3464).
    Reported {
        /// The report.
        id: QueueId,
        /// Who is told.
        to: Address,
        /// Of what.
        kind: ReportKind,
    },
    /// One recipient is away, and his mailbox answers the sender by another message (RFC 3834).
    AutoReplied {
        /// Who.
        recipient: Address,
        /// The answer.
        id: QueueId,
    },
}

/// A message that became ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// By which door it came.
    pub door: Door,
    /// From where; `None` if we made it ourselves.
    pub client: Option<IpAddr>,
    /// The customer who sent it.
    pub account: Option<AccountName>,
    /// Where reports on it go.
    pub reverse_path: ReversePath,
    /// To whom it goes.
    pub recipients: Vec<Address>,
    /// Octets.
    pub size: u64,
    /// Its Message-ID, as its header has it.
    pub message_id: Option<Words>,
}

/// By which door a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// From another host, for addresses of ours.
    Mx,
    /// From a customer, by SMTP.
    Submission,
    /// From a program on this machine.
    Sendmail,
    /// Forwarded by the instructions of an address.
    Forward {
        /// The message that is forwarded.
        of: QueueId,
    },
    /// A report of ours.
    Report {
        /// The message that it tells of.
        of: QueueId,
    },
    /// Another notice of ours, to a customer or the postmaster.
    Notice,
    /// The answer of a mailbox whose owner is away.
    AutoReply {
        /// The message that it answers.
        of: QueueId,
    },
}

/// A refusal in SMTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Who was refused.
    pub client: IpAddr,
    /// The customer, if the client is known for one.
    pub account: Option<AccountName>,
    /// The argument of MAIL, if it came so far.
    pub reverse_path: Option<ReversePath>,
    /// The argument of RCPT, if that was refused.
    pub recipient: Option<Address>,
    /// The reply's code (RFC 5321 §4.2.1): 4xx may be tried again, 5xx not.
    pub code: u16,
    /// The reply's text.
    pub text: Words,
}

/// Where a recipient's copy went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Into the mailbox of an account.
    Mailbox(AccountName),
    /// To another host.
    Host {
        /// Which.
        peer: Peer,
        /// What it said.
        reply: Words,
    },
    /// To a program, by the instructions of an address.
    Program,
    /// Nowhere: the instructions of its address say that it is thrown away.
    Discarded,
    /// Into a Maildir or an mbox file besides the mailbox, by the instructions of an address.
    File,
    /// To an address of this server; where it went from there is its owner's matter. Never recorded: it is what others
    /// are told.
    Here,
}

/// A host that we spoke to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name, as MX or a route has it.
    pub host: Words,
    /// Its address.
    pub address: IpAddr,
    /// Whether the connection was under TLS; `None` where that is not known, as of one that failed.
    pub tls: Option<bool>,
}

impl fmt::Display for Peer {
    /// `mx.peer.example [192.0.2.25]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.host, self.address)
    }
}

/// What a report tells (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportKind {
    /// The sender: it did not arrive.
    Failure,
    /// The sender: it has not arrived yet.
    Delay,
    /// The postmaster: a report did not arrive.
    DoubleBounce,
    /// The sender, who asked to be told: it arrived (RFC 3461 §4.1).
    Success,
}

impl What {
    /// Every address that the event names.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        let (reverse_path, recipient, others) = match self {
            What::Accepted(accepted) => (Some(&accepted.reverse_path), None, &accepted.recipients[..]),
            What::Refused(refused) => (refused.reverse_path.as_ref(), refused.recipient.as_ref(), &[][..]),
            What::Forwarded { recipient, to, .. } => (None, Some(recipient), &to[..]),
            What::Deferred { recipient, .. }
            | What::Delivered { recipient, .. }
            | What::Failed { recipient, .. }
            | What::AutoReplied { recipient, .. } => (None, Some(recipient), &[][..]),
            What::Reported { to, .. } => (None, Some(to), &[][..]),
            What::Held { .. } | What::Released { .. } | What::Bounced { .. } | What::Removed { .. } => {
                (None, None, &[][..])
            }
        };
        reverse_path.and_then(ReversePath::address).into_iter().chain(recipient).chain(others)
    }

    /// The account that the event names: who sent the message, or whose mailbox has it.
    pub fn account(&self) -> Option<&AccountName> {
        match self {
            What::Accepted(accepted) => accepted.account.as_ref(),
            What::Refused(refused) => refused.account.as_ref(),
            What::Delivered { to: Delivery::Mailbox(account), .. } => Some(account),
            _ => None,
        }
    }

    /// The other message that the event names: one that came of this one, or of which this one came.
    pub fn relative(&self) -> Option<QueueId> {
        match self {
            What::Accepted(accepted) => accepted.door.of(),
            What::Forwarded { id, .. } | What::Reported { id, .. } | What::AutoReplied { id, .. } => {
                Some(*id)
            }
            _ => None,
        }
    }
}

impl Door {
    /// The message of which this one came.
    pub fn of(self) -> Option<QueueId> {
        match self {
            Door::Forward { of } | Door::Report { of } | Door::AutoReply { of } => Some(of),
            Door::Mx | Door::Submission | Door::Sendmail | Door::Notice => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepted() -> Event {
        Event {
            at: 1_795_000_000_000_000,
            queue_id: Some(QueueId::from_u64(7)),
            what: What::Accepted(Box::new(Accepted {
                door: Door::Forward { of: QueueId::from_u64(6) },
                client: None,
                account: Some("abc".parse().unwrap()),
                reverse_path: ReversePath::Address("abc@pobox.example".parse().unwrap()),
                recipients: vec!["u@peer.example".parse().unwrap()],
                size: 2113,
                message_id: Some(Words::new("<1@pobox.example>")),
            })),
        }
    }

    #[test]
    fn an_event_reads_back_from_the_record() {
        let event = accepted();
        let octets = postcard::to_stdvec(&event).unwrap();
        assert_eq!(postcard::from_bytes::<Event>(&octets).unwrap(), event);
        assert!(octets.len() < 100, "{} octets", octets.len());
    }

    #[test]
    fn an_event_names_its_addresses_its_account_and_its_relative() {
        let what = accepted().what;
        let addresses: Vec<String> = what.addresses().map(ToString::to_string).collect();
        assert_eq!(addresses, ["abc@pobox.example", "u@peer.example"]);
        assert_eq!(what.account().unwrap().as_str(), "abc");
        assert_eq!(what.relative(), Some(QueueId::from_u64(6)));
        let delivered = What::Delivered {
            recipient: "xyz@pobox.example".parse().unwrap(),
            to: Delivery::Mailbox("xyz".parse().unwrap()),
            took_ms: 3,
        };
        assert_eq!(delivered.account().unwrap().as_str(), "xyz");
        assert_eq!(delivered.relative(), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_an_event_or_an_error(octets: Vec<u8>, at in 0_usize..80, other: u8) {
            let _ = postcard::from_bytes::<Event>(&octets);
            let mut damaged = postcard::to_stdvec(&accepted()).unwrap();
            if let Some(octet) = damaged.get_mut(at) {
                *octet = other;
            }
            if let Ok(event) = postcard::from_bytes::<Event>(&damaged) {
                let reread = postcard::to_stdvec(&event).unwrap();
                prop_assert_eq!(postcard::from_bytes::<Event>(&reread).unwrap(), event);
            }
        }
    }
}
