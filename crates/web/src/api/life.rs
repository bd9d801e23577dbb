//! What happened to a message, step by step.

use envelope::ReversePath;
use envelope::event::{Delivery, Door, Event, Peer, ReportKind, What};
use serde::Serialize;

use super::moment::Moment;

/// The life of a message and of what came of it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Life {
    /// In the order of time.
    events: Vec<Step>,
    /// Whether there are more after them.
    more: bool,
}

/// One step. What does not belong to its kind is left out.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Step {
    /// When.
    at: Moment,
    /// To which message: this one, or one that came of it. None where it was refused before it had a name.
    id: Option<String>,
    /// What happened.
    kind: StepKind,
    /// Where reports on the message go; empty: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    /// Of which recipient it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    /// To whom the message goes (`accepted`, `forwarded`), or who is told (`reported`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recipients: Vec<String>,
    /// By which way it came (`accepted`).
    #[serde(skip_serializing_if = "Option::is_none")]
    door: Option<Entrance>,
    /// The message that it came of (`accepted`), or that came of it (`forwarded`, `reported`,
    /// `auto-replied`).
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<String>,
    /// Who brought it, or was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// The account that sent it, or whose mailbox has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// Octets (`accepted`).
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Its Message-ID (`accepted`).
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// Where the copy went (`delivered`).
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// The other host.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
    /// The reply's code (`refused`).
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    /// The status code of RFC 3463 (`failed`).
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// What was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
    /// When it is tried next (`deferred`).
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    /// How long the last attempt took, in milliseconds (`delivered`).
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u32>,
    /// The operator who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// What is reported (`reported`).
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
}

/// What happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum StepKind {
    /// It was taken in.
    #[default]
    Accepted,
    /// It, its sender or a recipient was refused in SMTP.
    Refused,
    /// An operator keeps it in the queue.
    Held,
    /// An operator lets it go on.
    Released,
    /// An attempt for one recipient failed, and will be made again.
    Deferred,
    /// One recipient has it.
    Delivered,
    /// For one recipient it goes on as another message.
    Forwarded,
    /// It will not reach one recipient.
    Failed,
    /// An operator gave it back to its sender.
    Bounced,
    /// An operator threw it away.
    Removed,
    /// Somebody is told how it stands, by another message.
    Reported,
    /// A recipient is away, and his mailbox answers the sender by another message.
    AutoReplied,
}

/// By which way a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Entrance {
    /// From another host.
    Mx,
    /// From a customer, by SMTP.
    Submission,
    /// From a program of the server.
    Sendmail,
    /// Forwarded by the instructions of an address.
    Forward,
    /// A report.
    Report,
    /// Another notice of the server.
    Notice,
    /// The answer of a mailbox whose owner is away.
    AutoReply,
}

/// Where a copy went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Place {
    /// Into the mailbox of an account.
    Mailbox,
    /// To another host.
    Host,
    /// To a program.
    Program,
    /// Nowhere: the instructions of its address say so.
    Discarded,
    /// Into a file besides the mailbox.
    File,
    /// To an address of this server; where it went from there is its owner's matter.
    Here,
}

/// What a report tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Report {
    /// It did not arrive.
    Failure,
    /// It has not arrived yet.
    Delay,
    /// A report did not arrive.
    DoubleBounce,
    /// It arrived, and its sender had asked to be told.
    Success,
}

/// Another host.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Host {
    /// Its name.
    name: String,
    /// Its address.
    address: String,
    /// Whether the connection was under TLS; none: not known.
    tls: Option<bool>,
}

impl Life {
    pub(crate) fn of(events: Vec<Event>, more: bool) -> Life {
        Life { events: events.into_iter().map(Step::from).collect(), more }
    }
}

/// A reverse-path without its brackets.
pub(crate) fn sender(path: &ReversePath) -> String {
    path.address().map(ToString::to_string).unwrap_or_default()
}

impl From<Event> for Step {
    fn from(event: Event) -> Step {
        let step = Step::of(event.what);
        Step { at: Moment::of_micros(event.at), id: event.queue_id.map(|id| id.to_string()), ..step }
    }
}

impl Step {
    fn of(what: What) -> Step {
        let step = |kind| Step { kind, ..Step::default() };
        match what {
            What::Accepted(accepted) => {
                let accepted = *accepted;
                Step {
                    sender: Some(sender(&accepted.reverse_path)),
                    recipients: accepted.recipients.iter().map(ToString::to_string).collect(),
                    other: accepted.door.of().map(|id| id.to_string()),
                    door: Some(accepted.door.into()),
                    client: accepted.client.map(|client| client.to_string()),
                    account: accepted.account.map(String::from),
                    size: Some(accepted.size),
                    message_id: accepted.message_id.map(String::from),
                    ..step(StepKind::Accepted)
                }
            }
            What::Refused(refused) => {
                let refused = *refused;
                Step {
                    sender: refused.reverse_path.as_ref().map(sender),
                    recipient: refused.recipient.map(String::from),
                    client: Some(refused.client.to_string()),
                    account: refused.account.map(String::from),
                    code: Some(refused.code),
                    reply: Some(refused.text.into()),
                    ..step(StepKind::Refused)
                }
            }
            What::Held { by } => Step { by: Some(by.into()), ..step(StepKind::Held) },
            What::Released { by } => Step { by: Some(by.into()), ..step(StepKind::Released) },
            What::Bounced { by } => Step { by: Some(by.into()), ..step(StepKind::Bounced) },
            What::Removed { by } => Step { by: Some(by.into()), ..step(StepKind::Removed) },
            What::Deferred { recipient, peer, reply, until } => Step {
                recipient: Some(recipient.into()),
                host: peer.map(Host::from),
                reply: Some(reply.into()),
                until: Some(Moment::of_micros(until)),
                ..step(StepKind::Deferred)
            },
            What::Delivered { recipient, to, took_ms } => {
                let (place, account, host, reply) = placed(to);
                Step {
                    recipient: Some(recipient.into()),
                    place: Some(place),
                    account,
                    host,
                    reply,
                    took_ms: Some(took_ms),
                    ..step(StepKind::Delivered)
                }
            }
            What::Forwarded { recipient, id, to } => Step {
                recipient: Some(recipient.into()),
                other: Some(id.to_string()),
                recipients: to.into_iter().map(String::from).collect(),
                ..step(StepKind::Forwarded)
            },
            What::Failed { recipient, status, peer, reply } => Step {
                recipient: Some(recipient.into()),
                status: Some(status.into()),
                host: peer.map(Host::from),
                reply: Some(reply.into()),
                ..step(StepKind::Failed)
            },
            What::Reported { id, to, kind } => Step {
                other: Some(id.to_string()),
                recipients: vec![to.into()],
                report: Some(kind.into()),
                ..step(StepKind::Reported)
            },
            What::AutoReplied { recipient, id } => Step {
                recipient: Some(recipient.into()),
                other: Some(id.to_string()),
                ..step(StepKind::AutoReplied)
            },
        }
    }
}

fn placed(to: Delivery) -> (Place, Option<String>, Option<Host>, Option<String>) {
    match to {
        Delivery::Mailbox(account) => (Place::Mailbox, Some(account.into()), None, None),
        Delivery::Host { peer, reply } => (Place::Host, None, Some(peer.into()), Some(reply.into())),
        Delivery::Program => (Place::Program, None, None, None),
        Delivery::Discarded => (Place::Discarded, None, None, None),
        Delivery::File => (Place::File, None, None, None),
        Delivery::Here => (Place::Here, None, None, None),
    }
}

impl From<Door> for Entrance {
    fn from(door: Door) -> Entrance {
        match door {
            Door::Mx => Entrance::Mx,
            Door::Submission => Entrance::Submission,
            Door::Sendmail => Entrance::Sendmail,
            Door::Forward { .. } => Entrance::Forward,
            Door::Report { .. } => Entrance::Report,
            Door::Notice => Entrance::Notice,
            Door::AutoReply { .. } => Entrance::AutoReply,
        }
    }
}

impl From<ReportKind> for Report {
    fn from(kind: ReportKind) -> Report {
        match kind {
            ReportKind::Failure => Report::Failure,
            ReportKind::Delay => Report::Delay,
            ReportKind::DoubleBounce => Report::DoubleBounce,
            ReportKind::Success => Report::Success,
        }
    }
}

impl From<Peer> for Host {
    fn from(peer: Peer) -> Host {
        Host { name: peer.host.into(), address: peer.address.to_string(), tls: peer.tls }
    }
}
