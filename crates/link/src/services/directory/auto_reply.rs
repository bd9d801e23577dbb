//! Answers to senders while the owner of a mailbox is away (RFC 3834): `queue` sees the message, the
//! directory knows the owner.

use envelope::{AccountName, Address, Language};
use serde::{Deserialize, Serialize};

/// When the owner of an account is away, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// The first second.
    pub from: u64,
    /// The first second after it.
    pub until: u64,
}

impl Away {
    /// Whether he is away at `now`, in seconds since 1970.
    pub fn is_at(self, now: u64) -> bool {
        (self.from..self.until).contains(&now)
    }
}

/// A message that came into the mailbox of somebody who is away, and may be answered as far as its header
/// and its envelope tell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ToAnswer {
    /// Whose mailbox it is.
    pub account: AccountName,
    /// Who sent it: the reverse-path.
    pub sender: Address,
    /// At which address it came.
    pub at: Address,
    /// To or its like name an address elsewhere, under which the sender knows the owner: he has his mail sent
    /// here (ORCPT, RFC 3461 §4.2).
    pub named_elsewhere: bool,
    /// The addresses that To and its like name.
    pub named: Vec<Address>,
    /// By which addresses it was delivered before, and sent on.
    pub sent_on_by: Vec<Address>,
}

/// What a sender is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoReply {
    /// The owner's address, as the sender knows it.
    pub from: Address,
    /// Its subject; empty: that of the message.
    pub subject: String,
    /// Lines by LF.
    pub text: String,
    /// The owner's language.
    pub language: Language,
}

/// Why a sender is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoReply {
    /// The owner is not away, or no longer.
    NotAway,
    /// To and its like do not name the owner: perhaps it is a list, or he got a blind copy (RFC 3834 §2).
    NotNamed,
    /// It came by a forward of the owner's own.
    SentOnByHimself,
    /// The sender is the owner.
    Himself,
    /// He was answered within the last seven days.
    OfLate,
    /// The account may not send, or has sent as much as it may for now.
    Sending,
}

impl NoReply {
    /// In a log.
    pub fn name(self) -> &'static str {
        match self {
            NoReply::NotAway => "not-away",
            NoReply::NotNamed => "not-named",
            NoReply::SentOnByHimself => "sent-on-by-himself",
            NoReply::Himself => "himself",
            NoReply::OfLate => "of-late",
            NoReply::Sending => "sending",
        }
    }
}
