//! Why a message was not taken, what to do about it, and with which exit code that is said.

use envelope::{Address, LimitReached};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::face::Manner;
use crate::qmail_queue::Fault;

/// Why a message was not taken. [`Display`](std::fmt::Display) is a sentence for the log and for
/// standard error; [`Refusal::remedy`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Refusal {
    /// An option that is not known here; the usage line follows.
    #[error("illegal option -- {0}")]
    IllegalOption(String),
    /// An option without its value; the usage line follows.
    #[error("option requires an argument -- {0}")]
    MissingValue(String),
    /// A mode (`-b`) that does not hand in mail; the usage line follows.
    #[error("mode -b{0} is not done here")]
    NoSuchMode(String),
    /// In strict manner, an option behind an address.
    #[error("option behind an address: {0}")]
    LateOption(String),
    /// A variable that must be in the environment.
    #[error("{0} not set")]
    NotSet(String),
    /// Something that a program in delivery instructions cannot have: it reaches no server.
    #[error("{0} does not work in delivery instructions")]
    InInstructions(String),
    /// More messages than a program in delivery instructions may hand in.
    #[error("a program in delivery instructions hands in no more than {0} messages")]
    TooManyMessages(usize),
    /// Neither an argument nor the header names a recipient.
    #[error("no recipient is named")]
    NoRecipients,
    /// In strict manner, several addresses in one argument.
    #[error("several addresses in one argument: {0}")]
    CommaList(String),
    /// Something that should be an address and is none.
    #[error("not an address: {0}")]
    NotAnAddress(String),
    /// A header field whose addresses cannot be told.
    #[error("the addresses in this field cannot be read: {0}")]
    UnreadableField(String),
    /// A control character or line separator in an argument or an address field, as somebody writes who
    /// would add fields or recipients of his own.
    #[error("a line end or control character in {0}")]
    Injection(String),
    /// A NUL in the message.
    #[error("the message has a NUL in it")]
    Nul,
    /// More than one From field, or a From or Sender field of which nobody can tell whom it names.
    #[error("nobody can tell who wrote the message: its {0} field")]
    Authors(String),
    /// Addresses of ours that nobody has.
    #[error("no mailbox here by that name: {}", list(.0))]
    NoSuchMailbox(Vec<Address>),
    /// A mailbox that has no room for it.
    #[error("the mailbox is full: {0}")]
    MailboxFull(Address),
    /// The caller would send as somebody else.
    #[error("{address} is not an address of {account}, as whom user id {uid} sends")]
    SenderDenied {
        /// As whom.
        address: Address,
        /// The account that the caller's user id stands for.
        account: String,
        /// The caller's user id.
        uid: u32,
    },
    /// The caller's user id stands for no account, and such may not send.
    #[error("user id {0} belongs to no customer")]
    UnknownUser(u32),
    /// The account is suspended, or may receive only.
    #[error("account {account} may not send, as whom user id {uid} sends")]
    Suspended {
        /// The account.
        account: String,
        /// The caller's user id.
        uid: u32,
    },
    /// More octets than one message may have.
    #[error("the message has more than {0} octets")]
    TooLarge(u64),
    /// A header of more octets than one may have.
    #[error("the header has more than {0} octets")]
    HeaderTooLarge(u64),
    /// More recipients than one message may have.
    #[error("the message has more than {0} recipients")]
    TooManyRecipients(usize),
    /// A message that goes round in circles.
    #[error("the message has passed through too many hosts: it is looping")]
    TooManyHops,
    /// The account has sent as much as it may for now.
    #[error("account {account} has sent as much as it may for now: {reached}")]
    LimitReached {
        /// The account.
        account: String,
        /// Which limit.
        reached: LimitReached,
    },
    /// No room in the queue.
    #[error("the disk of the mail queue is full")]
    StorageFull,
    /// The server does not run, or is just starting again.
    #[error("the mail server does not answer: {0}")]
    ServerAway(String),
    /// What is said does not make sense, between two programs that are the same.
    #[error("{0}")]
    Fault(String),
    /// What was asked is not for this user.
    #[error("{0}")]
    NotAllowed(String),
    /// What comes at descriptor 1 of `qmail-queue` is no envelope.
    #[error(transparent)]
    NoEnvelope(#[from] Fault),
    /// What the program that `QMAILQUEUE` names said.
    #[error("{text}")]
    Filter {
        /// Its reason.
        text: String,
        /// Trying again does not help.
        permanent: bool,
    },
    /// A file or a stream of the caller's cannot be read or written.
    #[error("{0}")]
    Unreadable(String),
}

/// Exit codes of `sysexits.h`.
pub mod sysexits {
    /// Wrong usage of the command.
    pub const USAGE: u8 = 64;
    /// The message is not as it must be.
    pub const DATAERR: u8 = 65;
    /// A recipient does not exist.
    pub const NOUSER: u8 = 67;
    /// It cannot be done.
    pub const UNAVAILABLE: u8 = 69;
    /// A fault of ours.
    pub const SOFTWARE: u8 = 70;
    /// Try again later.
    pub const TEMPFAIL: u8 = 75;
    /// The caller may not.
    pub const NOPERM: u8 = 77;
}

impl Refusal {
    /// The exit code that says so.
    pub fn exit_code(&self, manner: Manner) -> u8 {
        let code = self.sysexit();
        match manner {
            Manner::Helpful => code,
            Manner::Strict | Manner::Qmail => match code {
                sysexits::TEMPFAIL | sysexits::SOFTWARE => 111,
                _ => 100,
            },
        }
    }

    fn sysexit(&self) -> u8 {
        use sysexits::{DATAERR, NOPERM, NOUSER, SOFTWARE, TEMPFAIL, UNAVAILABLE, USAGE};
        match self {
            Refusal::IllegalOption(_)
            | Refusal::MissingValue(_)
            | Refusal::NoSuchMode(_)
            | Refusal::LateOption(_)
            | Refusal::NotSet(_)
            | Refusal::InInstructions(_)
            | Refusal::NoRecipients
            | Refusal::CommaList(_) => USAGE,
            Refusal::NotAnAddress(_)
            | Refusal::UnreadableField(_)
            | Refusal::Injection(_)
            | Refusal::Nul
            | Refusal::Authors(_)
            | Refusal::TooManyHops
            | Refusal::NoEnvelope(_)
            | Refusal::Unreadable(_) => DATAERR,
            Refusal::NoSuchMailbox(_) => NOUSER,
            Refusal::SenderDenied { .. }
            | Refusal::UnknownUser(_)
            | Refusal::Suspended { .. }
            | Refusal::NotAllowed(_) => NOPERM,
            // Over the limit by itself, it never passes.
            Refusal::LimitReached { reached: LimitReached { until: None, .. }, .. }
            | Refusal::TooLarge(_)
            | Refusal::HeaderTooLarge(_)
            | Refusal::TooManyRecipients(_)
            | Refusal::TooManyMessages(_)
            | Refusal::Filter { permanent: true, .. } => UNAVAILABLE,
            Refusal::Filter { permanent: false, .. }
            | Refusal::MailboxFull(_)
            | Refusal::LimitReached { .. }
            | Refusal::StorageFull
            | Refusal::ServerAway(_) => TEMPFAIL,
            Refusal::Fault(_) => SOFTWARE,
        }
    }

    /// What to do about it, in one line.
    pub fn remedy(&self) -> &'static str {
        match self {
            Refusal::IllegalOption(_) => {
                "leave this option out: -t, -f, -F, -bp and -bs are those that count"
            }
            Refusal::MissingValue(_) => "write the value behind the option, as in -fabc@pobox.example",
            Refusal::NoSuchMode(_) => "leave -b out to hand in a message",
            Refusal::LateOption(_) => "write options before addresses",
            Refusal::NotSet(_) => "call it from delivery instructions, which set it",
            Refusal::InInstructions(_) => "hand a message in, which goes when the program has succeeded",
            Refusal::TooManyMessages(_) => "send one message to several recipients",
            Refusal::NoRecipients => "name the recipients as arguments, or call with -t and a To field",
            Refusal::CommaList(_) => "separate addresses by spaces, not by commas",
            Refusal::NotAnAddress(_) => "write addresses as name@host",
            Refusal::UnreadableField(_) => "look for quotes, brackets and parentheses that do not end",
            Refusal::Injection(_) => "take line ends and control characters out of what visitors type",
            Refusal::Nul => "send binary data as an attachment in base64",
            Refusal::Authors(_) => "write one From field with one address",
            Refusal::NoSuchMailbox(_) => "check how these addresses are spelt",
            Refusal::MailboxFull(_) => "try again later, when its owner has read his mail",
            Refusal::SenderDenied { .. } => {
                "use -f and a From field with an address of your own, and put the visitor's into Reply-To"
            }
            Refusal::UnknownUser(_) => {
                "ask the operator to name the account: hikyaku account set NAME --uid UID"
            }
            Refusal::Suspended { .. } => "ask the operator why",
            Refusal::TooLarge(_) => "send less, or a link to it",
            Refusal::HeaderTooLarge(_) => "name recipients as arguments rather than in the header",
            Refusal::TooManyRecipients(_) => "send it in several parts, each to fewer",
            Refusal::TooManyHops => "look for two addresses that are forwarded to each other",
            Refusal::LimitReached { reached: LimitReached { until: None, .. }, .. } => {
                "send it to fewer, or ask the operator for a larger plan"
            }
            Refusal::LimitReached { .. } => "try again later, or ask the operator for a larger plan",
            Refusal::StorageFull | Refusal::ServerAway(_) => "try again later",
            Refusal::Fault(_) => "tell the operator; the server's log says more",
            Refusal::NotAllowed(_) => "ask the operator",
            Refusal::NoEnvelope(_) => {
                "write F, the sender, NUL; T, a recipient, NUL for each; and a last NUL"
            }
            Refusal::Filter { permanent: true, .. } => {
                "ask whoever set QMAILQUEUE, which names the program that refuses it"
            }
            Refusal::Filter { permanent: false, .. } => {
                "try again later, or ask whoever set QMAILQUEUE, which names the program that refuses it"
            }
            Refusal::Unreadable(_) => "check the file or the pipe",
        }
    }
}

/// The most addresses that a sentence has.
const LISTED_MAX: usize = 100;

fn list(addresses: &[Address]) -> String {
    let listed: Vec<_> = addresses.iter().take(LISTED_MAX).map(ToString::to_string).collect();
    let listed = listed.join(", ");
    match addresses.len().saturating_sub(LISTED_MAX) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::SendingLimit;

    fn over_limit(until: Option<u64>) -> Refusal {
        let reached = LimitReached { which: SendingLimit::RecipientsPerHour, most: 1, until };
        Refusal::LimitReached { account: "abc".into(), reached }
    }

    #[test]
    fn a_sentence_names_a_hundred_addresses_and_counts_the_rest() {
        let bad = vec![Address::parse("a@x.example").unwrap(); 102];
        let sentence = Refusal::NoSuchMailbox(bad[..2].to_vec()).to_string();
        assert_eq!(sentence, "no mailbox here by that name: a@x.example, a@x.example");
        assert!(Refusal::NoSuchMailbox(bad).to_string().ends_with(", a@x.example and 2 more"));
    }

    #[test]
    fn a_refusal_has_the_exit_code_that_its_caller_knows() {
        for (refusal, sysexit, qmail) in [
            (Refusal::IllegalOption("n".into()), 64, 100),
            (Refusal::Nul, 65, 100),
            (Refusal::NoSuchMailbox(vec![]), 67, 100),
            (Refusal::TooLarge(1), 69, 100),
            (Refusal::Fault("x".into()), 70, 111),
            (Refusal::StorageFull, 75, 111),
            (Refusal::UnknownUser(1), 77, 100),
            (Refusal::NoSuchMode("d".into()), 64, 100),
            (Refusal::InInstructions("-bs".into()), 64, 100),
            (Refusal::TooManyMessages(10), 69, 100),
            (Refusal::Filter { text: "no".into(), permanent: true }, 69, 100),
            (Refusal::Filter { text: "later".into(), permanent: false }, 75, 111),
            (over_limit(None), 69, 100),
            (over_limit(Some(1)), 75, 111),
        ] {
            assert_eq!(refusal.exit_code(Manner::Helpful), sysexit, "{refusal}");
            assert_eq!(refusal.exit_code(Manner::Strict), qmail, "{refusal}");
            assert_eq!(refusal.exit_code(Manner::Qmail), qmail, "{refusal}");
        }
    }
}
