//! What the record of events is told of the queue's doings.

use std::collections::HashMap;

use envelope::event::{Accepted, Door, Event, Peer, ReportKind, What, Words};
use envelope::{Address, QueueId, ReversePath};
use message::Occasion;
use queue::{Body, NewMessage};

use super::notices::Said;
use super::settled::Forwarded;
use crate::roles::event_notes::message_id;
use crate::roles::unix_micros;

/// The events of one record of message `of`, and those of the messages that came of it.
pub fn with_new(
    of: QueueId,
    mut events: Vec<Event>,
    new: &[NewMessage],
    forwarded: &[Forwarded],
) -> Vec<Event> {
    if new.is_empty() {
        return events;
    }
    let by: HashMap<QueueId, &Address> =
        forwarded.iter().flat_map(|by| by.lines.iter().map(|line| (line.id, &by.by))).collect();
    let reports: Vec<QueueId> = events
        .iter()
        .filter_map(|event| match event.what {
            What::Reported { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    for message in new {
        if let Some(&by) = by.get(&message.id) {
            let to = message.envelope.recipients().iter().map(|to| to.address().clone()).collect();
            let what = What::Forwarded { recipient: by.clone(), id: message.id, to };
            events.push(Event { at: message.arrival, queue_id: Some(of), what });
            events.push(made(message, Door::Forward { of }));
        } else if reports.contains(&message.id) {
            events.push(made(message, Door::Report { of }));
        } else {
            events.push(made(message, Door::Notice));
        }
    }
    events
}

/// A message that the queue made itself.
pub fn made(message: &NewMessage, door: Door) -> Event {
    let (size, message_id) = match &message.body {
        Body::Inline(pieces) => {
            let size: usize = pieces.iter().map(bytes::Bytes::len).sum();
            (size as u64, pieces.iter().find_map(|piece| message_id(piece)))
        }
        Body::Blob(blob) => (blob.length(), None),
    };
    let accepted = Accepted {
        door,
        client: None,
        account: message.provenance.account.clone(),
        reverse_path: message.envelope.reverse_path().clone(),
        recipients: message.envelope.recipients().iter().map(|to| to.address().clone()).collect(),
        size,
        message_id,
    };
    Event { at: message.arrival, queue_id: Some(message.id), what: What::Accepted(Box::new(accepted)) }
}

/// A report on message `of`, which goes to whom the reverse-path names, or else to the postmaster.
pub fn reported(
    of: QueueId,
    report: &NewMessage,
    (reverse_path, occasion): (&ReversePath, Occasion),
) -> Option<Event> {
    let kind = match (reverse_path, occasion) {
        (ReversePath::Null, _) | (_, Occasion::FailedNotice) => ReportKind::DoubleBounce,
        (_, Occasion::Failure) => ReportKind::Failure,
        (_, Occasion::Delay) => ReportKind::Delay,
        (_, Occasion::Success) => ReportKind::Success,
    };
    let to = report.envelope.recipients().first()?.address().clone();
    Some(event(of, What::Reported { id: report.id, to, kind }))
}

/// What happened to a message just now.
pub fn event(id: QueueId, what: What) -> Event {
    Event { at: unix_micros(), queue_id: Some(id), what }
}

/// Who said no and how, if somebody did; else what is the matter.
pub fn in_their_words(said: Option<&Said>, reason: &str) -> (Option<Peer>, Words) {
    match said {
        Some(Said { host, address, reply: Some(reply) }) => {
            (Some(Peer { host: Words::new(host), address: *address, tls: None }), Words::new(reply))
        }
        _ => (None, Words::new(reason)),
    }
}
