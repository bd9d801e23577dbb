//! A batch of deliveries into Maildirs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use envelope::{Address, Domain, Limit, QueueId, ReversePath};
use mailbox::{MailboxError, Maildir, NoRoom, Room, Written, unique_name};

use crate::content::{Content, Go, NotCopied};
use crate::fields::{Way, on_top};

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
    pub maildir: Maildir,
    /// How many octets of mail it may hold.
    pub quota: Limit,
    /// The mail data.
    pub content: Content,
    /// Whether an earlier attempt may have left its file behind, perhaps moved by a reader since.
    pub repeat: bool,
}

/// What all deliveries have in common.
#[derive(Debug, Clone)]
pub struct Terms {
    /// For file names, and for addresses without a host.
    pub host: Domain,
    /// How long a mailbox may be full before its mail is refused for good.
    pub full_grace: Duration,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It lies in the mailbox, and does so after a power cut.
    Delivered {
        /// Octets on disk.
        size: u64,
        /// So many parts of a hundred of the mailbox's quota are used now and were not before: its owner
        /// is to be told.
        warn: Option<u8>,
    },
    /// It never will.
    Failed(Failure),
    /// Not now.
    Deferred {
        /// In a sentence.
        reason: String,
    },
}

/// Why something never will be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The status code (RFC 3463), `5.x.y`.
    pub status: &'static str,
    /// In a sentence.
    pub reason: String,
}

/// Delivers a batch. The outcomes stand in the order of the jobs; the failure of one does not
/// touch the others.
pub fn deliver(jobs: &[Job], terms: &Terms) -> Vec<Outcome> {
    let host = terms.host.to_ascii();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
    let mut written: Vec<(usize, Draft)> = Vec::with_capacity(jobs.len());
    for (at, job) in jobs.iter().enumerate() {
        match write(job, terms, &host) {
            Ok(draft) => written.push((at, draft)),
            Err(outcome) => outcomes[at] = Some(outcome),
        }
    }
    // Each directory is synced once for all that was renamed into it.
    let mut published: BTreeMap<PathBuf, Published<'_>> = BTreeMap::new();
    for (at, Draft { file, warn }) in written {
        let size = file.size();
        let maildir = &jobs[at].maildir;
        match file.publish() {
            Ok(()) => {
                let path = maildir.path().to_path_buf();
                let there = published.entry(path).or_insert_with(|| Published { maildir, files: Vec::new() });
                there.files.push((at, Outcome::Delivered { size, warn }));
            }
            Err(error) => {
                if let Limit::AtMost(quota) = jobs[at].quota {
                    Room::of(maildir, quota, SystemTime::now()).taken_back(size);
                }
                outcomes[at] = Some(Outcome::from(&error));
            }
        }
    }
    for Published { maildir, files } in published.into_values() {
        let synced = maildir.sync_new();
        for (at, delivered) in files {
            outcomes[at] = Some(match &synced {
                Ok(()) => delivered,
                Err(error) => Outcome::from(error),
            });
        }
    }
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(left_out)).collect()
}

/// What was renamed into one mailbox, and counts as soon as that is synced.
struct Published<'a> {
    maildir: &'a Maildir,
    files: Vec<(usize, Outcome)>,
}

/// A file that waits in `tmp/`.
struct Draft {
    file: Written,
    warn: Option<u8>,
}

fn write(job: &Job, terms: &Terms, host: &str) -> Result<Draft, Outcome> {
    let failed = |error: MailboxError| Outcome::from(&error);
    if Way::of(&job.content, &job.delivered_to).map_err(|error| unreadable(&error))?.looping {
        return Err(Outcome::Failed(Failure::looping()));
    }
    let unique = unique_name(job.arrived, &job.id.to_string(), job.recipient_number, host);
    if job.repeat && job.maildir.has(&unique).map_err(failed)? {
        // Delivered before, by somebody who died before he could say so.
        return Err(Outcome::Delivered { size: job.content.length(), warn: None });
    }
    let room = match job.quota {
        Limit::Unlimited => None,
        Limit::AtMost(quota) => Some(Room::of(&job.maildir, quota, SystemTime::now())),
    };
    let admitted = match &room {
        None => None,
        Some(room) => match room.admit(job.content.length()).map_err(failed)? {
            Ok(admitted) => Some(admitted),
            Err(none) => return Err(full(none, terms.full_grace)),
        },
    };
    let mut draft = job.maildir.draft(&unique).map_err(failed)?;
    draft.append(on_top(&job.reverse_path, &job.delivered_to).as_bytes()).map_err(failed)?;
    job.content.each_piece(|piece| draft.append(piece).map(|()| Go::On)).map_err(|error| match error {
        NotCopied::Read(error) => unreadable(&error),
        NotCopied::Write(error) => failed(error),
    })?;
    let file = draft.finish().map_err(failed)?;
    // Before it is renamed: the next of the batch must know of it.
    let warn = admitted.map_or(Ok(None), |admitted| admitted.added(file.size())).map_err(failed)?;
    Ok(Draft { file, warn })
}

impl Failure {
    pub(crate) fn looping() -> Failure {
        Failure {
            status: "5.4.6",
            reason: "This message is looping: it already has my Delivered-To line. (#5.4.6)".into(),
        }
    }
}

/// The words for a message that does not fit.
fn full(none: NoRoom, grace: Duration) -> Outcome {
    match none {
        NoRoom::TooLarge => Outcome::Failed(Failure {
            status: "5.2.3",
            reason: "Sorry, the message is larger than all the mail that this mailbox may hold; \
                     send a smaller one. (#5.2.3)"
                .into(),
        }),
        NoRoom::Full { since } if SystemTime::now().duration_since(since).is_ok_and(|age| age > grace) => {
            Outcome::Failed(Failure {
                status: "5.2.2",
                reason: "Sorry, the mailbox is full and has been for some time: its owner does not empty \
                         it. (#5.2.2)"
                    .into(),
            })
        }
        NoRoom::Full { .. } => {
            Outcome::Deferred { reason: "The mailbox is full; I will try again later. (#4.2.2)".into() }
        }
    }
}

impl From<&MailboxError> for Outcome {
    /// In qmail's words where it has some. All of these may be mended, so none is for good.
    fn from(error: &MailboxError) -> Outcome {
        let reason = match error {
            MailboxError::Missing(_) => format!("Unable to chdir to maildir. (#4.2.1) {error}"),
            MailboxError::Denied(_) => format!("Unable to open maildir: access denied. (#4.2.1) {error}"),
            MailboxError::Full(_) => format!("Unable to write to maildir: disk full. (#4.3.1) {error}"),
            MailboxError::Io { .. } => format!("Temporary error on maildir delivery. (#4.3.0) {error}"),
        };
        Outcome::Deferred { reason }
    }
}

pub(crate) fn unreadable(error: &std::io::Error) -> Outcome {
    Outcome::Deferred { reason: format!("The message cannot be read from the queue. (#4.3.0) {error}") }
}

fn left_out() -> Outcome {
    Outcome::Deferred { reason: "Temporary error on maildir delivery. (#4.3.0)".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::Arc;

    fn job(dir: &Path, account: &str, text: &str) -> Job {
        Job {
            id: QueueId::from_u64(7),
            arrived: 1_763_975_556,
            reverse_path: ReversePath::Null,
            recipient_number: 0,
            delivered_to: format!("{account}@pobox.example").parse().unwrap(),
            maildir: Maildir::at(dir.join(account)),
            quota: Limit::Unlimited,
            content: Content::Memory(Bytes::copy_from_slice(text.as_bytes())),
            repeat: false,
        }
    }

    fn terms() -> Terms {
        Terms { host: "mail.pobox.example".parse().unwrap(), full_grace: Duration::from_secs(100) }
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
        let outcomes = deliver(&jobs, &terms());
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
        deliver(std::slice::from_ref(&job), &terms());
        let name = files(&maildir).remove(0);
        deliver(std::slice::from_ref(&job), &terms());
        assert_eq!(files(&maildir), std::slice::from_ref(&name));
        fs::rename(maildir.join("new").join(&name), maildir.join("cur").join(format!("{name}:2,S"))).unwrap();
        job.repeat = true;
        assert!(matches!(deliver(&[job], &terms())[0], Outcome::Delivered { .. }));
        assert_eq!(files(&maildir), [format!("{name}:2,S")]);
    }

    #[test]
    fn two_recipients_of_one_message_in_one_mailbox_are_two_files() {
        let dir = tempfile::tempdir().unwrap();
        Maildir::create(&dir.path().join("abc")).unwrap();
        let first = job(dir.path(), "abc", "Subject: x\r\n\r\nhi\r\n");
        let second = Job { recipient_number: 1, ..first.clone() };
        deliver(&[first, second], &terms());
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
        deliver(&[by_memory, by_file], &terms());
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
        assert!(matches!(&deliver(&[job], &terms())[0], Outcome::Failed(Failure { status: "5.4.6", .. })));
        assert!(files(&dir.path().join("abc")).is_empty());
    }

    #[test]
    fn a_queue_file_that_is_too_short_defers() {
        let dir = tempfile::tempdir().unwrap();
        Maildir::create(&dir.path().join("abc")).unwrap();
        fs::write(dir.path().join("body"), "short").unwrap();
        let mut job = job(dir.path(), "abc", "");
        job.content = Content::File(Arc::new(File::open(dir.path().join("body")).unwrap()), 100);
        assert!(matches!(&deliver(&[job], &terms())[0], Outcome::Deferred { .. }));
        assert!(files(&dir.path().join("abc")).is_empty());
    }

    #[test]
    fn a_batch_for_one_mailbox_stops_at_its_quota() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(&dir.path().join("abc")).unwrap();
        let text = format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(900));
        let jobs: Vec<Job> = (0..6)
            .map(|number| Job {
                recipient_number: number,
                quota: Limit::AtMost(5_000),
                ..job(dir.path(), "abc", &text)
            })
            .collect();
        let outcomes = deliver(&jobs, &terms());
        let warned: Vec<Option<u8>> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Delivered { warn, .. } => Some(*warn),
                _ => None,
            })
            .collect();
        assert_eq!(warned, [None, None, None, None, Some(95)], "{outcomes:?}");
        assert!(matches!(&outcomes[5], Outcome::Deferred { reason } if reason.contains("#4.2.2")));
        assert_eq!(files(maildir.path()).len(), 5);
        // After the time of grace it is refused for good.
        let since = SystemTime::now() - Duration::from_secs(101);
        File::options()
            .write(true)
            .open(maildir.path().join("hikyaku-full"))
            .unwrap()
            .set_modified(since)
            .unwrap();
        let late = deliver(&jobs[5..], &terms());
        assert!(matches!(&late[0], Outcome::Failed(Failure { status: "5.2.2", .. })), "{late:?}");
        // One without a quota is not counted.
        let free = Job { quota: Limit::Unlimited, ..jobs[5].clone() };
        assert!(matches!(&deliver(&[free], &terms())[0], Outcome::Delivered { .. }));
    }

    #[test]
    fn a_message_larger_than_the_quota_fails_at_once() {
        let dir = tempfile::tempdir().unwrap();
        Maildir::create(&dir.path().join("abc")).unwrap();
        let job = Job { quota: Limit::AtMost(100), ..job(dir.path(), "abc", &"y".repeat(101)) };
        assert!(matches!(&deliver(&[job], &terms())[0], Outcome::Failed(Failure { status: "5.2.3", .. })));
    }
}
