//! The room in a mailbox with a quota.
//!
//! Three files beside `tmp/`, `new/` and `cur/` tell of it, which readers pass over: `maildirsize`, and
//! as markers `hikyaku-full`, whose time of change says since when there has been no room, and
//! `hikyaku-warned-80` and `-95`, which say that its owner has been told.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::error::MailboxError;
use crate::maildir::Maildir;
use crate::maildirsize::{Amount, LENGTH_MAX, Maildirsize};

/// A file that says that the mailbox is full is believed for so long (as Maildir++ has it): somebody
/// who removed mail may not have told it.
const FULL_BELIEVED: Duration = Duration::from_secs(15 * 60);
/// How often a mailbox that changes meanwhile is counted.
const COUNTS_MAX: usize = 3;
/// Less room than this, in octets, is none: an ordinary message would not fit.
const ORDINARY: u64 = 64 << 10;
/// With so many parts of a hundred free there is room again. More than none at all, so that a short
/// message that just fits does not hide that the mailbox has been full for days.
const ROOM_AGAIN: u64 = 5;
/// At how many parts of a hundred its owner is told.
const WARNINGS: [u8; 2] = [95, 80];

/// The room in a mailbox that may hold so many octets of mail: of the messages in `new/` and `cur/`, and
/// in no other folder.
#[derive(Debug)]
pub struct Room<'a> {
    maildir: &'a Maildir,
    quota: u64,
    now: SystemTime,
}

/// How full a mailbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Octets of mail.
    pub octets: u64,
    /// Since when there has been no room.
    pub full_since: Option<SystemTime>,
}

/// A message does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// Not now, and since then not.
    Full {
        /// When the first message found no room.
        since: SystemTime,
    },
    /// It is larger than the whole mailbox may be.
    TooLarge,
}

impl<'a> Room<'a> {
    /// The room in this mailbox under this quota, in octets.
    pub fn of(maildir: &'a Maildir, quota: u64, now: SystemTime) -> Room<'a> {
        Room { maildir, quota, now }
    }

    /// How full it is: from `maildirsize`, so that an ask costs two small reads. One that finds too
    /// little room for an ordinary message marks the mailbox as full, as a delivery would: where mail is
    /// refused before it comes, no delivery does.
    ///
    /// # Errors
    /// If the mailbox cannot be read.
    pub fn usage(&self) -> Result<Usage, MailboxError> {
        let octets = self.octets()?;
        let full_since = if self.free(octets) < ORDINARY.min(self.quota / 100).max(1) {
            Some(self.mark_full())
        } else {
            self.full_since().filter(|_| !self.is_there_again(octets))
        };
        Ok(Usage { octets, full_since })
    }

    /// Whether a message of this size fits: then that much is set aside for it. If not, the mailbox is
    /// marked as full.
    ///
    /// Deliveries of this process at the same moment see one another, so that they do not pass the quota
    /// together; those of another do not, which Maildir++ takes for the price of having no lock.
    ///
    /// # Errors
    /// If the mailbox cannot be read.
    pub fn admit(&self, size: u64) -> Result<Result<Admitted<'_>, NoRoom>, MailboxError> {
        if size > self.quota {
            return Ok(Err(NoRoom::TooLarge));
        }
        let path = self.maildir.path();
        let mut underway = underway(path);
        let others = underway.get(path).copied().unwrap_or(0);
        if size <= self.free(self.octets()?).saturating_sub(others) {
            underway.insert(path.to_path_buf(), others + size);
            return Ok(Ok(Admitted { room: self, size }));
        }
        Ok(Err(NoRoom::Full { since: self.mark_full() }))
    }

    /// Notes that a message of this size is not there after all.
    pub fn taken_back(&self, size: u64) {
        append(self.maildir, Amount::of(size, 1).taken_away());
    }

    fn free(&self, octets: u64) -> u64 {
        self.quota.saturating_sub(octets)
    }

    /// Takes the mark off if there is room again, and says whether there is.
    fn is_there_again(&self, octets: u64) -> bool {
        let again = u128::from(self.free(octets)) * 100 >= u128::from(self.quota) * u128::from(ROOM_AGAIN);
        if again {
            remove(&self.marker("full"));
        }
        again
    }

    fn full_since(&self) -> Option<SystemTime> {
        fs::metadata(self.marker("full")).and_then(|data| data.modified()).ok()
    }

    /// Marks the mailbox as full from now on, unless it is; says since when it is.
    fn mark_full(&self) -> SystemTime {
        if let Ok(file) = create(&self.marker("full")) {
            let _ = file.set_modified(self.now);
        }
        // Without a mark, as on a disk that is full, the time begins anew.
        self.full_since().unwrap_or(self.now)
    }

    fn marker(&self, name: &str) -> PathBuf {
        self.maildir.path().join(format!("hikyaku-{name}"))
    }

    fn octets(&self) -> Result<u64, MailboxError> {
        let total = match self.read() {
            Ok(Some(total)) => total,
            Ok(None) => self.count()?,
            Err(error) => return Err(self.maildir.error(error)),
        };
        Ok(u64::try_from(total.octets).unwrap_or(0))
    }

    /// What the file says; `None` if it is to be counted anew.
    fn read(&self) -> io::Result<Option<Amount>> {
        let file = match File::open(path(self.maildir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = Vec::with_capacity(LENGTH_MAX);
        (&file).take(LENGTH_MAX as u64).read_to_end(&mut text)?;
        let Some(size) = Maildirsize::parse(&text).filter(|size| size.quota == self.quota) else {
            return Ok(None);
        };
        let full = size.total.octets < 0 || size.total.octets.unsigned_abs() >= self.quota;
        let old = || {
            let changed = file.metadata()?.modified()?;
            io::Result::Ok(self.now.duration_since(changed).is_ok_and(|age| age > FULL_BELIEVED))
        };
        Ok(if full && old()? { None } else { Some(size.total) })
    }

    /// Counts and writes a new file.
    ///
    /// A message that comes or goes meanwhile may be counted twice or not at all: if the directories
    /// changed, it is tried again, and what is wrong in the end is put right the next time.
    fn count(&self) -> Result<Amount, MailboxError> {
        let failed = |error| self.maildir.error(error);
        let mut total = Amount::default();
        for _ in 0..COUNTS_MAX {
            let before = self.changed().map_err(failed)?;
            total = self.add_up().map_err(failed)?;
            if self.changed().map_err(failed)? == before {
                break;
            }
        }
        let size = Maildirsize { quota: self.quota, total };
        if let Err(error) = replace(self.maildir, &size) {
            // Without it all is counted the next time too.
            return if error.kind() == io::ErrorKind::StorageFull { Ok(total) } else { Err(failed(error)) };
        }
        Ok(total)
    }

    fn changed(&self) -> io::Result<[SystemTime; 2]> {
        let of = |folder| fs::metadata(self.maildir.path().join(folder))?.modified();
        Ok([of("new")?, of("cur")?])
    }

    fn add_up(&self) -> io::Result<Amount> {
        let (mut octets, mut messages) = (0u64, 0);
        for folder in ["new", "cur"] {
            for entry in fs::read_dir(self.maildir.path().join(folder))? {
                let entry = entry?;
                if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                match entry.metadata() {
                    Ok(data) if data.is_file() => {
                        octets = octets.saturating_add(data.len());
                        messages += 1;
                    }
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    // No message, or gone meanwhile.
                    _ => {}
                }
            }
        }
        Ok(Amount::of(octets, messages))
    }
}

/// Room that is set aside for a message, until that is added or this is dropped.
#[derive(Debug)]
pub struct Admitted<'a> {
    room: &'a Room<'a>,
    size: u64,
}

impl Admitted<'_> {
    /// Notes that the message was added, of this size on disk. Gives the parts of a hundred that are
    /// passed now and were not before, the first to note it only: then the owner is to be told.
    ///
    /// # Errors
    /// If the mailbox cannot be read.
    pub fn added(self, size: u64) -> Result<Option<u8>, MailboxError> {
        let room = self.room;
        let mut underway = underway(room.maildir.path());
        append(room.maildir, Amount::of(size, 1));
        self.forget(&mut underway);
        // Set free under the same lock as its line was written; not once more.
        std::mem::forget(self);
        drop(underway);
        let octets = room.octets()?;
        room.is_there_again(octets);
        let mut told = None;
        for parts in WARNINGS {
            let marker = room.marker(&format!("warned-{parts}"));
            let passed = u128::from(octets) * 100 >= u128::from(room.quota) * u128::from(parts);
            if !passed {
                remove(&marker);
            } else if create(&marker).is_ok() && told.is_none() {
                told = Some(parts);
            }
        }
        Ok(told)
    }

    fn forget(&self, underway: &mut Underway) {
        let path = self.room.maildir.path();
        if let Some(octets) = underway.get_mut(path) {
            *octets = octets.saturating_sub(self.size);
            if *octets == 0 {
                underway.remove(path);
            }
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.forget(&mut underway(self.room.maildir.path()));
    }
}

/// Octets that are set aside in each mailbox.
type Underway = BTreeMap<PathBuf, u64>;

/// What is underway in this process, for this mailbox and others: in many parts, so that one mailbox that
/// is being counted keeps few others waiting.
fn underway(path: &Path) -> MutexGuard<'static, Underway> {
    static PARTS: [Mutex<Underway>; 64] = [const { Mutex::new(BTreeMap::new()) }; 64];
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    // The remainder is below 64.
    let part = (hasher.finish() % PARTS.len() as u64) as usize;
    PARTS[part].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that messages were removed: so many octets, so many messages. Where nobody keeps count,
/// nothing is noted.
pub(crate) fn removed(maildir: &Maildir, octets: u64, messages: u64) {
    if messages > 0 {
        append(maildir, Amount::of(octets, messages).taken_away());
    }
}

/// Whether somebody keeps count of this mailbox.
pub(crate) fn is_counted(maildir: &Maildir) -> bool {
    path(maildir).exists()
}

fn path(maildir: &Maildir) -> PathBuf {
    maildir.path().join("maildirsize")
}

fn append(maildir: &Maildir, amount: Amount) {
    let line = amount.to_string();
    // One write, so that lines of two processes do not mix. What is not noted is found at the next count.
    let _ = OpenOptions::new()
        .append(true)
        .open(path(maildir))
        .and_then(|mut file| file.write_all(line.as_bytes()));
}

fn replace(maildir: &Maildir, size: &Maildirsize) -> io::Result<()> {
    // A name for each attempt, as two may count at once; what is left over is tidied away from `tmp/`.
    static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
    let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    let draft = format!("maildirsize,P={}.{attempt}", std::process::id());
    let mut file = maildir.create_in_tmp(&draft)?;
    let placed = file
        .write_all(size.to_string().as_bytes())
        .and_then(|()| fs::rename(maildir.path().join("tmp").join(&draft), path(maildir)));
    if placed.is_err() {
        let _ = maildir.remove_from_tmp(&draft);
    }
    placed
}

/// Makes a marker; fails if it is there.
fn create(marker: &PathBuf) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o660).open(marker)
}

/// Most times it is not there.
fn remove(marker: &PathBuf) {
    let _ = fs::remove_file(marker);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Listing;

    const QUOTA: u64 = 10_000;

    fn mailbox() -> (tempfile::TempDir, Maildir) {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(&dir.path().join("Maildir")).unwrap();
        (dir, maildir)
    }

    fn put(maildir: &Maildir, name: &str, octets: usize) {
        fs::write(maildir.path().join(name), vec![b'x'; octets]).unwrap();
    }

    fn add(room: &Room<'_>, size: u64) -> Option<u8> {
        room.admit(size).unwrap().unwrap().added(size).unwrap()
    }

    fn told(maildir: &Maildir) -> String {
        fs::read_to_string(path(maildir)).unwrap()
    }

    fn octets(maildir: &Maildir, quota: u64, now: SystemTime) -> u64 {
        Room::of(maildir, quota, now).usage().unwrap().octets
    }

    #[test]
    fn it_is_counted_once_and_then_kept() {
        let (_dir, maildir) = mailbox();
        let now = SystemTime::now();
        put(&maildir, "new/1.a.host", 300);
        put(&maildir, "cur/2.b.host:2,S", 200);
        put(&maildir, "cur/.hidden", 7);
        put(&maildir, "tmp/3.c.host", 7);
        assert_eq!(octets(&maildir, QUOTA, now), 500);
        assert_eq!(told(&maildir), format!("10000S\n{:12} {:12}\n", 500, 2));
        assert_eq!(fs::read_dir(maildir.path().join("tmp")).unwrap().count(), 1);
        // What nobody notes is not seen, as it is not looked for.
        put(&maildir, "new/4.d.host", 50);
        add(&Room::of(&maildir, QUOTA, now), 100);
        assert_eq!(octets(&maildir, QUOTA, now), 600);
        Room::of(&maildir, QUOTA, now).taken_back(100);
        let listing = Listing::read(&maildir).unwrap();
        listing.remove([0]).unwrap();
        assert_eq!(octets(&maildir, QUOTA, now), 200);
        assert!(told(&maildir).ends_with(&format!("{:12} {:12}\n", -300, -1)), "{}", told(&maildir));
    }

    #[test]
    fn it_is_counted_anew_when_it_cannot_be_right() {
        let (_dir, maildir) = mailbox();
        let now = SystemTime::now();
        put(&maildir, "new/1.a.host", 300);
        for wrong in [
            "20000S\n 700 1\n".to_string(),
            "10000S\n rubbish\n".to_string(),
            "10000S\n -700 1\n".to_string(),
            format!("10000S\n{}", "1 1\n".repeat(1300)),
        ] {
            fs::write(path(&maildir), &wrong).unwrap();
            let old = now - FULL_BELIEVED * 2;
            File::options().append(true).open(path(&maildir)).unwrap().set_modified(old).unwrap();
            assert_eq!(octets(&maildir, QUOTA, now), 300, "{wrong:.40}");
        }
        // One that says "full" is believed for a while.
        fs::write(path(&maildir), "10000S\n 20000 1\n").unwrap();
        assert_eq!(octets(&maildir, QUOTA, now), 20_000);
        assert_eq!(octets(&maildir, QUOTA, now + FULL_BELIEVED * 2), 300);
    }

    #[test]
    fn a_mailbox_is_full_since_the_first_message_that_found_no_room() {
        let (_dir, maildir) = mailbox();
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let at = |seconds| Room::of(&maildir, QUOTA, begin + Duration::from_secs(seconds));
        put(&maildir, "new/1.a.host", 9_000);
        assert_eq!(at(0).admit(10_001).unwrap().map(drop), Err(NoRoom::TooLarge));
        assert_eq!(at(0).admit(1_000).unwrap().map(drop), Ok(()));
        assert_eq!(at(0).usage().unwrap(), Usage { octets: 9_000, full_since: None });
        assert_eq!(
            at(5).admit(1_001).unwrap().map(drop),
            Err(NoRoom::Full { since: begin + Duration::from_secs(5) })
        );
        assert_eq!(
            at(9).admit(1_001).unwrap().map(drop),
            Err(NoRoom::Full { since: begin + Duration::from_secs(5) })
        );
        // There is a tenth free: enough to say that there is room.
        assert_eq!(at(9).usage().unwrap().full_since, None);
        put(&maildir, "new/2.b.host", 800);
        add(&at(10), 800);
        assert!(at(10).admit(300).unwrap().is_err());
        // One that just fits changes nothing about that.
        add(&at(11), 10);
        assert_eq!(at(12).usage().unwrap().full_since, Some(begin + Duration::from_secs(10)));
        removed(&maildir, 9_000, 1);
        assert_eq!(at(13).usage().unwrap().full_since, None);
        assert!(at(13).admit(300).unwrap().is_ok());
    }

    #[test]
    fn an_ask_that_finds_no_room_counts_as_a_refusal() {
        let (_dir, maildir) = mailbox();
        put(&maildir, "new/1.a.host", 9_950);
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        assert_eq!(Room::of(&maildir, QUOTA, begin).usage().unwrap().full_since, Some(begin));
        let later = begin + Duration::from_secs(99);
        assert_eq!(Room::of(&maildir, QUOTA, later).usage().unwrap().full_since, Some(begin));
    }

    #[test]
    fn the_owner_is_told_once_each_time_that_it_fills() {
        let (_dir, maildir) = mailbox();
        let room = Room::of(&maildir, QUOTA, SystemTime::now());
        room.usage().unwrap();
        let steps = [(7_999, None), (1, Some(80)), (100, None), (1_400, Some(95)), (100, None)];
        for (size, expected) in steps {
            assert_eq!(add(&room, size), expected, "{size}");
        }
        removed(&maildir, 9_000, 4);
        assert_eq!(add(&room, 1), None);
        // Both at once are told as one.
        assert_eq!(add(&room, 9_000), Some(95));
        assert_eq!(add(&room, 10), None);
    }

    #[test]
    fn a_mailbox_that_is_not_there_has_no_usage() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::at(dir.path().join("Maildir"));
        let room = Room::of(&maildir, QUOTA, SystemTime::now());
        assert!(matches!(room.usage(), Err(MailboxError::Missing(_))));
        assert!(!maildir.path().exists());
    }

    #[test]
    fn deliveries_at_the_same_moment_see_one_another() {
        let (_dir, maildir) = mailbox();
        let room = Room::of(&maildir, QUOTA, SystemTime::now());
        let first = room.admit(6_000).unwrap().unwrap();
        assert!(room.admit(6_000).unwrap().is_err());
        drop(first);
        let second = room.admit(6_000).unwrap().unwrap();
        second.added(5_900).unwrap();
        assert!(room.admit(4_101).unwrap().is_err());
        assert!(room.admit(4_100).unwrap().is_ok());
    }
}
