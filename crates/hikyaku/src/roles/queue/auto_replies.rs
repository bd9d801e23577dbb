//! What mailboxes answer while their owners are away (RFC 3834).
//!
//! A delivery neither waits for its answer nor fails by it: here it is thought about when the message lies
//! in the mailbox, behind the delivery's back. The directory notes that a sender is answered before the
//! answer is written, so a crash may take an answer, and never gives it twice.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use envelope::event::{Door, What};
use envelope::{AccountName, Address, QueueId, ReversePath, TypedAddress};
use link::services::directory::{Request, Response, ToAnswer};
use message::auto_reply::{HEADER_MAX, Original};
use queue::{Message, NewMessage, StoredBody};
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use super::notices::Notices;
use super::{Queue, noted};
use crate::roles::event_notes::EventNotes;
use crate::roles::known_addresses::KnownAddresses;

/// How many answers are thought about at once. Where there are more, the directory is away or slow, and the
/// sender is answered when he writes again.
const AT_ONCE: u32 = 512;

/// Writes the answers. Clones share their bounds.
#[derive(Clone)]
pub struct AutoReplies {
    queue: Queue,
    addresses: KnownAddresses,
    notices: Notices,
    notes: EventNotes,
    places: Arc<Semaphore>,
}

/// A message that was put into the mailbox of somebody who is away.
pub struct Arrived {
    of: QueueId,
    account: AccountName,
    at: Address,
    /// The address as the sender knew it, if he said.
    original: Option<TypedAddress>,
    reverse_path: ReversePath,
    beginning: Beginning,
}

/// Where the beginning of a message is read.
enum Beginning {
    Memory(Vec<Bytes>),
    File(File),
}

impl Arrived {
    /// The message in this account's mailbox, where it came for the address `at`; none if nobody is to be
    /// answered in any case.
    pub fn new(
        message: &Message<File>,
        account: &AccountName,
        at: &Address,
        original: Option<&TypedAddress>,
    ) -> Option<Arrived> {
        let reverse_path = message.envelope.reverse_path();
        let his_own = message.provenance.account.as_ref() == Some(account);
        if his_own || *reverse_path == ReversePath::Null {
            return None;
        }
        let beginning = match &message.body {
            StoredBody::Memory(pieces) => Beginning::Memory(pieces.clone()),
            StoredBody::File { file, .. } => Beginning::File(file.try_clone().ok()?),
        };
        Some(Arrived {
            of: message.id,
            account: account.clone(),
            at: at.clone(),
            original: original.cloned(),
            reverse_path: reverse_path.clone(),
            beginning,
        })
    }
}

impl Beginning {
    async fn read(self) -> io::Result<Bytes> {
        match self {
            Beginning::Memory(pieces) => Ok(match &pieces[..] {
                [one] => one.slice(..one.len().min(HEADER_MAX)),
                pieces => {
                    let mut octets = pieces.concat();
                    octets.truncate(HEADER_MAX);
                    octets.into()
                }
            }),
            Beginning::File(file) => {
                let read = tokio::task::spawn_blocking(move || read_at_most(&file, HEADER_MAX));
                read.await.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
        }
    }
}

fn read_at_most(file: &File, most: usize) -> io::Result<Bytes> {
    let mut octets = vec![0; most];
    let mut read = 0;
    while read < most {
        match file.read_at(&mut octets[read..], read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    octets.truncate(read);
    Ok(octets.into())
}

impl AutoReplies {
    /// Answers that go into this queue.
    pub fn new(queue: Queue, addresses: KnownAddresses, notices: Notices, notes: EventNotes) -> AutoReplies {
        let places = Arc::new(Semaphore::new(AT_ONCE as usize));
        AutoReplies { queue, addresses, notices, notes, places }
    }

    /// Answers the sender of a message, unless something speaks against it. Never waits.
    pub fn consider(&self, arrived: Arrived) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return not_answered(&arrived, "busy");
        };
        let this = self.clone();
        tokio::spawn(async move {
            this.answer(arrived).await;
            drop(place);
        });
    }

    /// Waits until nothing is in hand.
    pub async fn finish(&self) {
        let _ = self.places.acquire_many(AT_ONCE).await;
    }

    async fn answer(&self, mut arrived: Arrived) {
        let beginning = std::mem::replace(&mut arrived.beginning, Beginning::Memory(Vec::new()));
        let original = match beginning.read().await {
            Ok(beginning) => Original::of(&arrived.reverse_path, &beginning),
            Err(problem) => {
                return warn!(event = "not_answered", queue_id = %arrived.of, %problem);
            }
        };
        let original = match original {
            Ok(original) => original,
            Err(silence) => return not_answered(&arrived, silence.name()),
        };
        let ReversePath::Address(sender) = arrived.reverse_path.clone() else { return };
        let elsewhere = arrived.original.as_ref().is_some_and(|to| original.names(to.address()));
        let whom = ToAnswer {
            account: arrived.account.clone(),
            sender: sender.clone(),
            at: arrived.at.clone(),
            named_elsewhere: elsewhere,
            named: original.named.clone(),
            sent_on_by: original.delivered_to.clone(),
        };
        let reply = match self.addresses.ask(Request::AutoReply(Box::new(whom))).await {
            Ok(Response::AutoReply(reply)) => reply,
            Ok(Response::NoReply(why)) => return not_answered(&arrived, why.name()),
            _ => return not_answered(&arrived, "directory-unavailable"),
        };
        if let Some(new) = self.notices.auto_reply(&arrived.account, sender, &original, &reply) {
            self.send(&arrived, new);
        }
    }

    fn send(&self, arrived: &Arrived, new: NewMessage) {
        let (of, id, account) = (arrived.of, new.id, arrived.account.clone());
        let (recipient, door) = (arrived.at.clone(), Door::AutoReply { of });
        let events = [noted::event(of, What::AutoReplied { recipient, id }), noted::made(&new, door)];
        let notes = self.notes.clone();
        self.queue.accept(new, move |outcome| match outcome {
            Ok(_) => {
                info!(event = "answered", queue_id = %of, reply = %id, %account);
                events.into_iter().for_each(|event| notes.note(event));
            }
            Err(problem) => error!(event = "not_answered", queue_id = %of, %account, %problem),
        });
    }
}

fn not_answered(arrived: &Arrived, reason: &str) {
    info!(event = "not_answered", queue_id = %arrived.of, account = %arrived.account, reason);
}
