//! One recipient in a report.

use envelope::{Address, TypedAddress};
use time::OffsetDateTime;

use super::Occasion;
use crate::status::Status;

/// One recipient whom a report is about.
#[derive(Debug, Clone)]
pub struct ReportedRecipient<'a> {
    /// The address.
    pub address: &'a Address,
    /// The address as the sender knew it, if he said (ORCPT).
    pub original: Option<&'a TypedAddress>,
    /// What became of it.
    pub action: Action,
    /// The status code.
    pub status: Status,
    /// Why, in a sentence or two.
    pub reason: &'a str,
    /// The host that decided, if it was another one.
    pub remote_host: Option<&'a str>,
    /// What that host said: the SMTP reply.
    pub diagnostic: Option<&'a str>,
    /// When it was tried last, in the zone to be written.
    pub last_attempt: Option<OffsetDateTime>,
    /// Until when it will be tried, in the zone to be written.
    pub will_retry_until: Option<OffsetDateTime>,
}

/// What became of a message to one recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It cannot be delivered.
    Failed,
    /// It could not be delivered yet.
    Delayed,
    /// It was delivered.
    Delivered,
    /// It was handed to a host that writes no reports of success.
    Relayed,
    /// It was passed on to the addresses that stand behind this one, and nobody will write of its success.
    Expanded,
}

impl Action {
    /// The kind of report in which it is told.
    pub fn occasion(self) -> Occasion {
        match self {
            Action::Failed => Occasion::Failure,
            Action::Delayed => Occasion::Delay,
            Action::Delivered | Action::Relayed | Action::Expanded => Occasion::Success,
        }
    }

    /// The value of the field Action.
    pub(super) fn name(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        }
    }
}
