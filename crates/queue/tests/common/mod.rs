//! What the tests of the queue share.
#![allow(dead_code)] // Each test file uses its own part.

pub mod disk;

use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use envelope::{
    BodyType, Envelope, Filter, Lineage, Provenance, QueueId, Reached, Recipient, ReversePath, Walk,
};
use queue::{Accepted, Body, Detail, Found, Message, NewMessage, NotAccepted, Queue, Storage, StoredBody};

pub fn id(number: u64) -> QueueId {
    QueueId::from_u64(number)
}

pub fn envelope(recipients: usize) -> Envelope {
    let to = |n| Recipient::of_bounce(format!("r{n}@elsewhere.example").parse().unwrap());
    let from = ReversePath::Address("sender@pobox.example".parse().unwrap());
    Envelope::new(from, (0..recipients).map(to).collect(), BodyType::EightBitMime, false).unwrap()
}

/// Where a message comes from: every second one is forwarded, and a customer's.
pub fn provenance(number: u64) -> Provenance {
    if number.is_multiple_of(2) {
        return Provenance::default();
    }
    let reached = vec![Reached::Mailbox("abc".parse().unwrap())];
    let lineage = Some(Lineage { origin: id(number - 1), copies: 1, reached });
    Provenance { account: Some(format!("account-{number}").parse().unwrap()), lineage }
}

/// Mail data that no other message has.
pub fn mail_data(number: u64, length: usize) -> Vec<u8> {
    let line = format!("message {number:06} \r\n");
    line.bytes().cycle().take(length).collect()
}

pub fn message(number: u64, recipients: usize, body: Body) -> NewMessage {
    let (envelope, provenance) = (envelope(recipients), provenance(number));
    NewMessage { id: id(number), envelope, provenance, arrival: 1_000_000 * number, body }
}

/// A message in two pieces.
pub fn inline(number: u64, recipients: usize, length: usize) -> NewMessage {
    let mut first = Bytes::from(mail_data(number, length));
    let second = first.split_off(length / 3);
    message(number, recipients, Body::Inline(vec![first, second]))
}

pub fn accept<S: Storage>(queue: &Queue<S>, message: NewMessage) -> Receiver<Result<QueueId, NotAccepted>> {
    let (told, answer) = mpsc::channel();
    queue.accept(message, move |result: Result<Accepted, NotAccepted>| {
        let _ = told.send(result.map(|accepted| accepted.id()));
    });
    answer
}

pub fn accept_now<S: Storage>(queue: &Queue<S>, message: NewMessage) -> Result<QueueId, NotAccepted> {
    accept(queue, message).recv().expect("the queue answers everybody")
}

/// All messages that a filter means.
pub fn found<S: Storage>(queue: &Queue<S>, filter: &Filter, detail: Detail) -> Vec<Found> {
    let mut page = queue.search(filter, Walk::default(), detail);
    let mut found = page.found;
    while let Some(rest) = page.rest {
        page = queue.search(filter, rest, detail);
        found.extend(page.found);
    }
    found
}

/// All mail data of a message that is not in a file.
pub fn body<S: Storage>(storage: &S, message: &Message<S::File>) -> Vec<u8> {
    match &message.body {
        StoredBody::Memory(pieces) => pieces.concat(),
        StoredBody::File { file, length } => {
            let mut octets = vec![0; *length as usize + 1];
            let read = storage.read_at(file, 0, &mut octets).unwrap();
            octets.truncate(read);
            octets
        }
    }
}
