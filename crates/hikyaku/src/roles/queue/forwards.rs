//! New messages for what is forwarded: the original with a Delivered-To field on top, as qmail does.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use envelope::{
    Address, Envelope, Host, Lineage, Provenance, QueueId, Recipient, RecipientWishes, ReversePath,
};
use link::services::local::Forward;
use queue::{Body, Message, NewMessage, StoredBody};

use super::{Ids, Queue};
use crate::roles::unix_micros;

/// Octets that are copied of a large body at a time.
const PIECE: usize = 256 << 10;

/// An address as it may stand in a header that is not in UTF-8, if it can: the message need not be
/// SMTPUTF8 for its domain alone.
fn in_header(address: &Address) -> String {
    match &address.host {
        Host::Domain(domain) if !address.needs_smtputf8() => {
            format!("{}@{}", address.local_part, domain.to_ascii())
        }
        _ => address.to_string(),
    }
}

/// The messages that carry these forwards of `message`, which `by` forwards: one for each.
///
/// What the sender wishes for reports on `by`, which is `wishes`, goes with those that bear his reverse-path
/// (RFC 3461 §5.2.7.1). Those of a list, which bear its owner's, are another message in that respect (§5.2.7.3).
///
/// # Errors
/// If a large body cannot be copied; nothing is left behind then.
pub async fn messages(
    queue: &Queue,
    ids: &Ids,
    message: &Message<File>,
    by: &Address,
    forwards: Vec<Forward>,
    lineage: &Lineage,
    wishes: &RecipientWishes,
) -> Result<Vec<NewMessage>, String> {
    let on_top = Bytes::from(format!("Delivered-To: {}\r\n", in_header(by)));
    let count = forwards.len();
    let mut messages = Vec::with_capacity(count);
    for Forward { reverse_path, to } in forwards {
        let id = ids.next();
        // Their fields are in UTF-8 then, the one on top among them (RFC 6531 §3.4).
        let international = to.iter().chain(reverse_path.address()).chain([by]).any(Address::needs_smtputf8);
        let same_sender = reverse_path == *message.envelope.reverse_path();
        let count_to = to.len();
        let envelope = Envelope::new(
            reverse_path,
            to.into_iter().map(Recipient::of_forward).collect(),
            message.envelope.body(),
            message.envelope.smtputf8() || international,
        );
        // A forward to nobody is none.
        let Ok(mut envelope) = envelope else { continue };
        if same_sender {
            let wishes_for_each = vec![wishes.clone(); count_to];
            envelope = envelope.with_wishes(message.envelope.wishes().clone(), wishes_for_each);
        }
        let provenance =
            Provenance { account: message.provenance.account.clone(), lineage: Some(lineage.clone()) };
        let body = body(queue, id, &on_top, &message.body, count).await?;
        messages.push(NewMessage { id, envelope, provenance, arrival: unix_micros(), body });
    }
    Ok(messages)
}

/// The body of one of `count` messages. In memory it is shared by all; those that would not fit
/// together into the log get files of their own.
async fn body(
    queue: &Queue,
    id: QueueId,
    on_top: &Bytes,
    body: &StoredBody<File>,
    count: usize,
) -> Result<Body, String> {
    let source = match body {
        StoredBody::Memory(pieces) => {
            let length: usize = pieces.iter().map(Bytes::len).sum();
            let pieces: Vec<Bytes> = std::iter::once(on_top).chain(pieces).cloned().collect();
            if (length + on_top.len()) * count <= queue.together_bytes_max() / 2 {
                return Ok(Body::Inline(pieces));
            }
            Source::Memory(pieces)
        }
        StoredBody::File { file, length } => {
            let file = file.try_clone().map_err(|error| error.to_string())?;
            Source::File { on_top: on_top.clone(), file, length: *length }
        }
    };
    let queue = queue.clone();
    let copied = tokio::task::spawn_blocking(move || copy(&queue, id, source)).await;
    copied.unwrap_or_else(|error| Err(error.to_string()))
}

enum Source {
    Memory(Vec<Bytes>),
    File { on_top: Bytes, file: File, length: u64 },
}

/// Copies a body into a file of its own. Waits for the disk.
fn copy(queue: &Queue, id: QueueId, source: Source) -> Result<Body, String> {
    let mut blob = queue.blob(id).map_err(|error| error.to_string())?;
    let mut append = |octets: &[u8]| blob.append(octets).map_err(|error| error.to_string());
    match source {
        Source::Memory(pieces) => pieces.iter().try_for_each(|piece| append(piece))?,
        Source::File { on_top, file, length } => {
            append(&on_top)?;
            let mut piece = vec![0; PIECE.min(usize::try_from(length).unwrap_or(PIECE))];
            let mut done = 0;
            while done < length {
                let want = PIECE.min(usize::try_from(length - done).unwrap_or(PIECE));
                file.read_exact_at(&mut piece[..want], done).map_err(|error| error.to_string())?;
                append(&piece[..want])?;
                done += want as u64;
            }
        }
    }
    blob.finish().map(Body::Blob).map_err(|error| error.to_string())
}

/// Octets that a new message takes in the log, roughly and rather too many.
pub fn weight(message: &NewMessage) -> usize {
    /// The most that an address takes, and its length.
    const ADDRESS_MAX: usize = 64 + 1 + 255 + 7;
    let inline = match &message.body {
        Body::Inline(pieces) => pieces.iter().map(Bytes::len).sum(),
        Body::Blob(_) => 0,
    };
    let reached = message.provenance.lineage.as_ref().map_or(0, |lineage| {
        let length = |reached: &envelope::Reached| match reached {
            envelope::Reached::Address(address) => address.len() + 4,
            envelope::Reached::Mailbox(_) => 36,
        };
        lineage.reached.iter().map(length).sum()
    });
    let wishes = |number| message.envelope.wishes_for(number).original.as_ref().map_or(8, |o| o.size() + 16);
    let recipients = message.envelope.recipients().len();
    let wishes: usize = (0..recipients).map(wishes).sum();
    inline + reached + wishes + ADDRESS_MAX * (recipients + 1) + 256
}

/// The reverse-path and the recipients of a forward, for the log.
pub fn described(message: &NewMessage) -> (String, String) {
    let to: Vec<String> = message.envelope.recipients().iter().map(ToString::to_string).collect();
    let reverse_path = match message.envelope.reverse_path() {
        ReversePath::Null => "<>".into(),
        ReversePath::Address(address) => address.to_string(),
    };
    (to.join(", "), reverse_path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::{BodyType, MessageWishes, Notify, QueueIds, Return};
    use std::io::{Seek, SeekFrom, Write};
    use std::sync::{Arc, Mutex, mpsc};

    fn open(spool: &tempfile::TempDir) -> Queue {
        let files = queue::Files::open(spool.path()).unwrap();
        let settings = queue::Settings { segment_size: 8 << 20, free_space_min: 0, hot_bytes_max: 0 };
        Queue::open(files, settings).unwrap().0
    }

    fn original(body: StoredBody<File>) -> Message<File> {
        let to = vec![Recipient::of_forward("abc@pobox.example".parse().unwrap())];
        let from = ReversePath::Address("joe@elsewhere.example".parse().unwrap());
        let envelope = Envelope::new(from, to, BodyType::EightBitMime, false).unwrap();
        let provenance = Provenance { account: Some("xyz".parse().unwrap()), lineage: None };
        let (envelope, provenance) = (Arc::new(envelope), Arc::new(provenance));
        let id = QueueId::from_u64(1);
        Message { id, envelope, provenance, arrival: 0, body, recipients: Vec::new() }
    }

    /// What `abc` forwards of a message to so many, each by itself, as it lies in the queue.
    async fn forwarded(
        spool: &tempfile::TempDir,
        body: StoredBody<File>,
        count: usize,
    ) -> Vec<Message<File>> {
        let queue = open(spool);
        let ids = Ids(Arc::new(Mutex::new(QueueIds::new(1))));
        let forward = |n| Forward {
            reverse_path: ReversePath::Address(format!("owner-{n}@pobox.example").parse().unwrap()),
            to: vec![format!("r{n}@elsewhere.example").parse().unwrap()],
        };
        let lineage = Lineage { origin: QueueId::from_u64(1), copies: 1, reached: Vec::new() };
        let (message, by) = (original(body), "abc@pobox.example".parse().unwrap());
        let forwards = (0..count).map(forward).collect();
        let wishes = RecipientWishes { notify: Some(Notify::NEVER), original: None };
        let new = messages(&queue, &ids, &message, &by, forwards, &lineage, &wishes).await.unwrap();
        assert_eq!(new.len(), count);
        let silent = |new: &NewMessage| *new.envelope.wishes_for(0) == RecipientWishes::NONE;
        assert!(new.iter().all(silent), "an owner is told of every failure");
        assert!(new.iter().map(weight).sum::<usize>() <= queue.together_bytes_max());
        let ids: Vec<QueueId> = new.iter().map(|message| message.id).collect();
        let (told, recorded) = mpsc::channel();
        queue.record(message.id, Vec::new(), new, move |result| told.send(result).unwrap());
        recorded.recv().unwrap().unwrap();
        ids.into_iter().map(|id| queue.load(id).unwrap()).collect()
    }

    fn octets(message: &Message<File>) -> Vec<u8> {
        match &message.body {
            StoredBody::Memory(pieces) => pieces.concat(),
            StoredBody::File { file, length } => {
                let mut octets = vec![0; *length as usize];
                file.read_exact_at(&mut octets, 0).unwrap();
                octets
            }
        }
    }

    #[tokio::test]
    async fn a_forward_is_the_original_under_a_field_that_says_who_forwarded_it() {
        let spool = tempfile::tempdir().unwrap();
        let body = StoredBody::Memory(vec![Bytes::from_static(b"Subject: x\r\n\r\n"), "hi\r\n".into()]);
        let new = forwarded(&spool, body, 1).await.remove(0);
        assert_eq!(octets(&new), b"Delivered-To: abc@pobox.example\r\nSubject: x\r\n\r\nhi\r\n");
        assert_eq!(new.envelope.reverse_path().to_string(), "<owner-0@pobox.example>");
        assert_eq!(new.envelope.recipients()[0].to_string(), "r0@elsewhere.example");
        assert_eq!((new.envelope.body(), new.envelope.smtputf8()), (BodyType::EightBitMime, false));
        assert_eq!(new.provenance.account, Some("xyz".parse().unwrap()));
        assert_eq!(new.provenance.lineage.as_ref().unwrap().origin, QueueId::from_u64(1));
    }

    #[tokio::test]
    async fn a_large_body_is_copied_with_the_field_on_top() {
        let spool = tempfile::tempdir().unwrap();
        let text = "a line of some length\r\n".repeat(40_000);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        let new = forwarded(&spool, StoredBody::File { file, length: text.len() as u64 }, 2).await;
        for new in new {
            assert!(matches!(new.body, StoredBody::File { .. }));
            assert!(octets(&new) == format!("Delivered-To: abc@pobox.example\r\n{text}").into_bytes());
        }
    }

    #[tokio::test]
    async fn many_copies_of_a_body_in_memory_still_fit_the_log() {
        let spool = tempfile::tempdir().unwrap();
        let text = Bytes::from("a line of some length\r\n".repeat(10_000));
        let new = forwarded(&spool, StoredBody::Memory(vec![text.clone()]), 20).await;
        assert!(
            new.iter().all(|new| octets(new).ends_with(&text) && octets(new).starts_with(b"Delivered-To:"))
        );
    }

    #[tokio::test]
    async fn wishes_for_reports_go_with_a_forward_that_bears_the_same_sender() {
        let spool = tempfile::tempdir().unwrap();
        let queue = open(&spool);
        let ids = Ids(Arc::new(Mutex::new(QueueIds::new(1))));
        let lineage = Lineage { origin: QueueId::from_u64(1), copies: 1, reached: Vec::new() };
        let mut message = original(StoredBody::Memory(vec!["Subject: x\r\n\r\n".into()]));
        let full = MessageWishes { ret: Some(Return::Full), envelope_id: None };
        message.envelope = Arc::new(Envelope::clone(&message.envelope).with_wishes(full.clone(), Vec::new()));
        let wishes = RecipientWishes { notify: Some(Notify::NEVER), original: None };
        let by = "abc@pobox.example".parse().unwrap();
        let to = || ["a@there.example", "b@there.example"].map(|to| to.parse().unwrap()).to_vec();
        let owner = ReversePath::Address("owner@pobox.example".parse().unwrap());
        let forwards = [message.envelope.reverse_path().clone(), owner];
        let forwards = forwards.map(|reverse_path| Forward { reverse_path, to: to() }).to_vec();
        let new = messages(&queue, &ids, &message, &by, forwards, &lineage, &wishes).await.unwrap();
        assert_eq!((new[0].envelope.wishes(), new[0].envelope.wishes_for(1)), (&full, &wishes));
        assert_eq!(new[1].envelope.wishes(), &MessageWishes::default());
        assert_eq!(new[1].envelope.wishes_for(0), &RecipientWishes::NONE);
    }

    #[tokio::test]
    async fn an_international_address_makes_the_message_international() {
        let spool = tempfile::tempdir().unwrap();
        let queue = open(&spool);
        let ids = Ids(Arc::new(Mutex::new(QueueIds::new(1))));
        let lineage = Lineage { origin: QueueId::from_u64(1), copies: 1, reached: Vec::new() };
        let message = original(StoredBody::Memory(vec!["Subject: x\r\n\r\n".into()]));
        for (by, to, expected) in [
            ("abc@pobox.example", "太郎@例え.テスト", true),
            ("太郎@pobox.example", "abc@pobox.example", true),
            ("abc@pobox.example", "taro@例え.テスト", false),
        ] {
            let forward = Forward { reverse_path: ReversePath::Null, to: vec![to.parse().unwrap()] };
            let by = by.parse().unwrap();
            let wishes = RecipientWishes::NONE;
            let new = messages(&queue, &ids, &message, &by, vec![forward], &lineage, &wishes).await.unwrap();
            assert_eq!(new[0].envelope.smtputf8(), expected, "{by} {to}");
        }
    }
}
