//! A batch of deliveries into Maildirs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use envelope::{Address, Domain, Mailbox, QueueId, ReversePath};
use mailbox::{MailboxError, Maildir, Written, unique_name};

use crate::fields::{on_top, was_delivered_to};

/// Octets that are read from a large message at a time.
const PIECE: usize = 256 << 10;

/// One message for one mailbox.
#[derive(Debug, Clone)]
pub struct Job {
    /// The message's name, from which the file's is derived.
    pub id: QueueId,
    /// When the message came, in seconds since 1970.
    pub arrived: u64,
    /// For Return-Path.
    pub reverse_path: ReversePath,
    /// The recipient's number in the envelope, which tells copies of one message apart.
    pub recipient_number: u32,
    /// For Delivered-To.
    pub delivered_to: Address,
    /// Where.
    pub mailbox: Mailbox,
    /// The mail data.
    pub content: Content,
    /// Whether an earlier attempt may have left its file behind, perhaps moved by a reader since.
    pub repeat: bool,
}

/// Mail data as it was taken in, with CRLF line ends.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// In an open file, read without regard to its position: so many octets from the start.
    File(Arc<File>, u64),
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It lies in the mailbox, and does so after a power cut.
    Delivered {
        /// Octets on disk.
        size: u64,
    },
    /// It never will: the status code (RFC 3463) and the reason.
    Failed {
        /// `5.x.y`.
        status: &'static str,
        /// In a sentence.
        reason: String,
    },
    /// Not now.
    Deferred {
        /// In a sentence.
        reason: String,
    },
}

/// Delivers a batch. The outcomes stand in the order of the jobs; the failure of one does not
/// touch the others. `host` is for file names.
pub fn deliver(jobs: &[Job], host: &Domain) -> Vec<Outcome> {
    let host = host.to_ascii();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
    let mut written: Vec<(usize, Maildir, Written)> = Vec::with_capacity(jobs.len());
    for (at, job) in jobs.iter().enumerate() {
        let maildir = Maildir::at(&job.mailbox.maildir);
        match write(job, &maildir, &host) {
            Ok(file) => written.push((at, maildir, file)),
            Err(outcome) => outcomes[at] = Some(outcome),
        }
    }
    // Each directory is synced once for all that was renamed into it.
    let mut published: BTreeMap<PathBuf, Vec<(usize, u64)>> = BTreeMap::new();
    for (at, maildir, file) in written {
        let size = file.size();
        match file.publish() {
            Ok(()) => published.entry(maildir.path().to_path_buf()).or_default().push((at, size)),
            Err(error) => outcomes[at] = Some(deferred(&error)),
        }
    }
    for (path, files) in published {
        let synced = Maildir::at(path).sync_new();
        for (at, size) in files {
            outcomes[at] = Some(match &synced {
                Ok(()) => Outcome::Delivered { size },
                Err(error) => deferred(error),
            });
        }
    }
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(left_out)).collect()
}

fn write(job: &Job, maildir: &Maildir, host: &str) -> Result<Written, Outcome> {
    let head = job.content.head().map_err(|error| unreadable(&error))?;
    if was_delivered_to(&head, &job.delivered_to) {
        return Err(Outcome::Failed {
            status: "5.4.6",
            reason: "This message is looping: it already has my Delivered-To line. (#5.4.6)".into(),
        });
    }
    let unique = unique_name(job.arrived, &job.id.to_string(), job.recipient_number, host);
    if job.repeat && maildir.has(&unique).map_err(|error| deferred(&error))? {
        // Delivered before, by somebody who died before he could say so.
        return Err(Outcome::Delivered { size: job.content.length() });
    }
    let mut draft = maildir.draft(&unique).map_err(|error| deferred(&error))?;
    draft
        .append(on_top(&job.reverse_path, &job.delivered_to).as_bytes())
        .map_err(|error| deferred(&error))?;
    match &job.content {
        Content::Memory(octets) => draft.append(octets).map_err(|error| deferred(&error))?,
        Content::File(file, length) => {
            let mut piece = vec![0; PIECE];
            let mut done = 0;
            while done < *length {
                let want = PIECE.min(usize::try_from(length - done).unwrap_or(PIECE));
                file.read_exact_at(&mut piece[..want], done).map_err(|error| unreadable(&error))?;
                draft.append(&piece[..want]).map_err(|error| deferred(&error))?;
                done += want as u64;
            }
        }
    }
    draft.finish().map_err(|error| deferred(&error))
}

impl Content {
    fn length(&self) -> u64 {
        match self {
            Content::Memory(octets) => octets.len() as u64,
            Content::File(_, length) => *length,
        }
    }

    /// The beginning, which has the header.
    fn head(&self) -> io::Result<Bytes> {
        match self {
            Content::Memory(octets) => Ok(octets.clone()),
            Content::File(file, length) => {
                let mut head = vec![0; usize::try_from(*length).unwrap_or(usize::MAX).min(2 * PIECE)];
                file.read_exact_at(&mut head, 0)?;
                Ok(head.into())
            }
        }
    }
}

/// In qmail's words where it has some. All of these may be mended, so none is for good.
fn deferred(error: &MailboxError) -> Outcome {
    let reason = match error {
        MailboxError::Missing(_) => format!("Unable to chdir to maildir. (#4.2.1) {error}"),
        MailboxError::Denied(_) => format!("Unable to open maildir: access denied. (#4.2.1) {error}"),
        MailboxError::Full(_) => format!("Unable to write to maildir: disk full. (#4.3.1) {error}"),
        MailboxError::Io { .. } => format!("Temporary error on maildir delivery. (#4.3.0) {error}"),
    };
    Outcome::Deferred { reason }
}

fn unreadable(error: &io::Error) -> Outcome {
    Outcome::Deferred { reason: format!("The message cannot be read from the queue. (#4.3.0) {error}") }
}

fn left_out() -> Outcome {
    Outcome::Deferred { reason: "Temporary error on maildir delivery. (#4.3.0)".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn job(dir: &Path, account: &str, text: &str) -> Job {
        Job {
            id: QueueId::from_u64(7),
            arrived: 1_763_975_556,
            reverse_path: ReversePath::Null,
            recipient_number: 0,
            delivered_to: format!("{account}@pobox.example").parse().unwrap(),
            mailbox: Mailbox { account: account.parse().unwrap(), maildir: dir.join(account) },
            content: Content::Memory(Bytes::copy_from_slice(text.as_bytes())),
            repeat: false,
        }
    }

    fn host() -> Domain {
        "mail.pobox.example".parse().unwrap()
    }

    fn files(maildir: &Path) -> Vec<String> {
        let mut files: Vec<String> = ["new", "cur"]
            .iter()
            .flat_map(|folder| fs::read_dir(maildir.join(folder)).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    #[test]
    fn one_failure_in_a_batch_does_not_touch_the_others() {
        let dir = tempfile::tempdir().unwrap();
        for account in ["abc", "xyz"] {
            Maildir::create(&dir.path().join(account)).unwrap();
        }
        fs::write(dir.path().join("file"), "no directory").unwrap();
        let jobs = ["abc", "missing", "xyz", "file"]
            .map(|account| job(dir.path(), account, "Subject: x\r\n\r\nhi\r\n"));
        let outcomes = deliver(&jobs, &host());
        assert!(matches!(outcomes[0], Outcome::Delivered { .. }));
        assert!(matches!(&outcomes[1], Outcome::Deferred { reason } if reason.contains("#4.2.1")));
        assert!(matches!(outcomes[2], Outcome::Delivered { .. }));
        assert!(matches!(&outcomes[3], Outcome::Deferred { .. }));
        let name = &files(&dir.path().join("abc"))[0];
        let text = fs::read_to_string(dir.path().join("abc/new").join(name)).unwrap();
        assert_eq!(text, "Return-Path: <>\nDelivered-To: abc@pobox.example\nSubject: x\n\nhi\n");
    }

    #[test]
    fn a_repeat_adds_no_second_copy_even_after_the_reader_moved_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = dir.path().join("abc");
        Maildir::create(&maildir).unwrap();
        let mut job = job(dir.path(), "abc", "Subject: x\r\n\r\nhi\r\n");
        deliver(std::slice::from_ref(&job), &host());
        let name = files(&maildir).remove(0);
        deliver(std::slice::from_ref(&job), &host());
        assert_eq!(files(&maildir), std::slice::from_ref(&name));
        fs::rename(maildir.join("new").join(&name), maildir.join("cur").join(format!("{name}:2,S"))).unwrap();
        job.repeat = true;
        assert!(matches!(deliver(&[job], &host())[0], Outcome::Delivered { .. }));
        assert_eq!(files(&maildir), [format!("{name}:2,S")]);
    }

    #[test]
    fn two_recipients_of_one_message_in_one_mailbox_are_two_files() {
        let dir = tempfile::tempdir().unwrap();
        Maildir::create(&dir.path().join("abc")).unwrap();
        let first = job(dir.path(), "abc", "Subject: x\r\n\r\nhi\r\n");
        let second = Job { recipient_number: 1, ..first.clone() };
        deliver(&[first, second], &host());
        assert_eq!(files(&dir.path().join("abc")).len(), 2);
    }

    #[test]
    fn a_message_in_a_file_arrives_the_same_as_one_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        Maildir::create(&dir.path().join("abc")).unwrap();
        Maildir::create(&dir.path().join("xyz")).unwrap();
        let text = format!("Subject: x\r\n\r\n{}", "a line of some length\r\n".repeat(50_000));
        fs::write(dir.path().join("body"), &text).unwrap();
        let by_memory = job(dir.path(), "abc", &text);
        let mut by_file = job(dir.path(), "xyz", "");
        by_file.delivered_to = by_memory.delivered_to.clone();
        by_file.content =
            Content::File(Arc::new(File::open(dir.path().join("body")).unwrap()), text.len() as u64);
        deliver(&[by_memory, by_file], &host());
        let read = |account: &str| {
            let maildir = dir.path().join(account);
            fs::read(maildir.join("new").join(files(&maildir).remove(0))).unwrap()
        };
        assert_eq!(read("abc"), read("xyz"));
    }

    #[test]
    fn a_message_that_was_here_before_is_looping() {
        let dir = tempfile::tempdir().unwrap();
        Maildir::create(&dir.path().join("abc")).unwrap();
        let job = job(dir.path(), "abc", "Delivered-To: ABC@pobox.example\r\n\r\nhi\r\n");
        assert!(matches!(&deliver(&[job], &host())[0], Outcome::Failed { status: "5.4.6", .. }));
        assert!(files(&dir.path().join("abc")).is_empty());
    }

    #[test]
    fn a_queue_file_that_is_too_short_defers() {
        let dir = tempfile::tempdir().unwrap();
        Maildir::create(&dir.path().join("abc")).unwrap();
        fs::write(dir.path().join("body"), "short").unwrap();
        let mut job = job(dir.path(), "abc", "");
        job.content = Content::File(Arc::new(File::open(dir.path().join("body")).unwrap()), 100);
        assert!(matches!(&deliver(&[job], &host())[0], Outcome::Deferred { .. }));
        assert!(files(&dir.path().join("abc")).is_empty());
    }
}
