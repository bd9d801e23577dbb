//! The messages of a mailbox, without a look into them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memchr::memchr_iter;

use crate::error::MailboxError;
use crate::maildir::Maildir;
use crate::name::{arrival, uid, unique_part, wire_size};
use crate::room;

/// The messages that lay in a mailbox at one moment, in the order of their arrival.
#[derive(Debug)]
pub struct Listing {
    maildir: Maildir,
    /// All names in one piece: ten thousand messages are two allocations.
    names: String,
    entries: Vec<Entry>,
    pub(crate) stamps: Stamps,
    /// Any later change shows in the stamps; see `listing_cache.rs`.
    pub(crate) settled: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    name: Range<usize>,
    arrival: u64,
    wire_size: u64,
    folder: Folder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Folder {
    New,
    Cur,
}

impl Folder {
    fn name(self) -> &'static str {
        match self {
            Folder::New => "new",
            Folder::Cur => "cur",
        }
    }
}

/// When the two directories were changed last, as the file system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamps {
    pub new: SystemTime,
    pub cur: SystemTime,
}

impl Stamps {
    pub(crate) fn read(maildir: &Maildir) -> Result<Stamps, MailboxError> {
        let of = |folder: Folder| {
            fs::metadata(maildir.path().join(folder.name()))
                .and_then(|data| data.modified())
                .map_err(|error| maildir.error(error))
        };
        Ok(Stamps { new: of(Folder::New)?, cur: of(Folder::Cur)? })
    }
}

/// Some messages could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("{count} messages were not removed, the last because: {reason}")]
pub struct NotRemoved {
    /// How many.
    pub count: usize,
    /// Why the last of them was not.
    pub reason: String,
}

impl Listing {
    /// Reads a mailbox. Files whose names do not tell their size are read once to measure them.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn read(maildir: &Maildir) -> Result<Listing, MailboxError> {
        Listing::read_after(maildir, None)
    }

    /// The same, but what `before` had measured is not measured again.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn read_after(maildir: &Maildir, before: Option<&Listing>) -> Result<Listing, MailboxError> {
        let measured: HashMap<&str, u64> = before
            .into_iter()
            .flat_map(|before| before.entries.iter().map(|entry| (before.name(entry), entry.wire_size)))
            .filter(|(name, _)| wire_size(name).is_none())
            .map(|(name, size)| (unique_part(name), size))
            .collect();
        // Before the scan: a change during it makes the listing look old, never current.
        let stamps = Stamps::read(maildir)?;
        let mut listing = Listing {
            maildir: maildir.clone(),
            names: String::new(),
            entries: Vec::new(),
            stamps,
            settled: false,
        };
        // `new` first: what a reader moves on meanwhile is then seen twice, not missed.
        listing.scan(Folder::New, &measured)?;
        listing.scan(Folder::Cur, &measured)?;
        let Listing { names, entries, .. } = &mut listing;
        entries.sort_by(|a, b| {
            (a.arrival, unique_part(&names[a.name.clone()]))
                .cmp(&(b.arrival, unique_part(&names[b.name.clone()])))
        });
        // The later of two is from `cur`, as the sort is stable.
        entries.dedup_by(|later, earlier| {
            let same = unique_part(&names[later.name.clone()]) == unique_part(&names[earlier.name.clone()]);
            if same {
                *earlier = later.clone();
            }
            same
        });
        Ok(listing)
    }

    fn scan(&mut self, folder: Folder, measured: &HashMap<&str, u64>) -> Result<(), MailboxError> {
        let directory = self.maildir.path().join(folder.name());
        for entry in fs::read_dir(&directory).map_err(|error| self.maildir.error(error))? {
            let entry = entry.map_err(|error| self.maildir.error(error))?;
            let name = entry.file_name();
            // A name that is no text was made by no mail program.
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let size = wire_size(name)
                .or_else(|| measured.get(unique_part(name)).copied())
                .or_else(|| measure(&entry.path()));
            let Some(wire_size) = size else { continue };
            let start = self.names.len();
            self.names.push_str(name);
            self.entries.push(Entry {
                name: start..self.names.len(),
                arrival: arrival(name),
                wire_size,
                folder,
            });
        }
        Ok(())
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The size of each message in octets as POP3 counts them: with CRLF line ends (RFC 1939 §11).
    pub fn wire_sizes(&self) -> Vec<u64> {
        self.entries.iter().map(|entry| entry.wire_size).collect()
    }

    /// The unique ids of `count` messages from `first` on.
    pub fn uids(&self, first: usize, count: usize) -> Vec<String> {
        self.entries.iter().skip(first).take(count).map(|entry| uid(self.name(entry))).collect()
    }

    fn name(&self, entry: &Entry) -> &str {
        &self.names[entry.name.clone()]
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        self.maildir.path().join(entry.folder.name()).join(self.name(entry))
    }

    /// Opens a message for reading where it was when this was listed. `None` if it is not there.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn open_in_place(&self, index: usize) -> Result<Option<File>, MailboxError> {
        let Some(entry) = self.entries.get(index) else { return Ok(None) };
        match File::open(self.path(entry)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.maildir.error(error)),
        }
    }

    /// Opens a message for reading, wherever a reader may have moved it since: that may read whole
    /// directories. `None` if it is gone.
    ///
    /// # Errors
    /// If the mailbox cannot be read.
    pub fn open(&self, index: usize) -> Result<Option<File>, MailboxError> {
        if let Some(file) = self.open_in_place(index)? {
            return Ok(Some(file));
        }
        let Some(entry) = self.entries.get(index) else { return Ok(None) };
        let Some(path) = self.maildir.find(unique_part(self.name(entry)))? else { return Ok(None) };
        File::open(path).map(Some).map_err(|error| self.maildir.error(error))
    }

    /// Removes these messages durably. One that is gone already counts as removed.
    ///
    /// # Errors
    /// How many are still there, and why.
    pub fn remove(&self, indices: impl IntoIterator<Item = usize>) -> Result<(), NotRemoved> {
        let mut failed = NotRemoved { count: 0, reason: String::new() };
        let (mut any_new, mut any_cur) = (false, false);
        // Only a mailbox with a quota is counted, and pays for the sizes.
        let mut count = room::is_counted(&self.maildir).then_some(Removed::default());
        for entry in indices.into_iter().filter_map(|index| self.entries.get(index)) {
            match self.remove_one(entry, &mut count) {
                Ok(Folder::New) => any_new = true,
                Ok(Folder::Cur) => any_cur = true,
                Err(error) => {
                    failed.count += 1;
                    failed.reason = error.to_string();
                }
            }
        }
        if let Some(Removed { octets, messages }) = count {
            room::removed(&self.maildir, octets, messages);
        }
        for (changed, folder) in [(any_new, Folder::New), (any_cur, Folder::Cur)] {
            if changed && let Err(error) = self.maildir.sync(folder.name()) {
                failed.count += 1;
                failed.reason = error.to_string();
            }
        }
        if failed.count == 0 { Ok(()) } else { Err(failed) }
    }

    fn remove_one(&self, entry: &Entry, count: &mut Option<Removed>) -> Result<Folder, MailboxError> {
        match remove_file(&self.path(entry), count) {
            Ok(()) => return Ok(entry.folder),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.maildir.error(error)),
        }
        if let Some(path) = self.maildir.find(unique_part(self.name(entry)))? {
            remove_file(&path, count).map_err(|error| self.maildir.error(error))?;
        }
        // Readers move messages to `cur` only.
        Ok(Folder::Cur)
    }

    /// Marks these messages as seen: those in `new/` move to `cur/`. Not synced and not required
    /// for anything: a mark that is lost is made again at the next reading.
    pub fn mark_seen(&self, indices: impl IntoIterator<Item = usize>) {
        for entry in indices.into_iter().filter_map(|index| self.entries.get(index)) {
            if entry.folder == Folder::New {
                let name = self.name(entry);
                let base = name.split(':').next().unwrap_or(name);
                let seen = self.maildir.path().join("cur").join(format!("{base}:2,S"));
                // Somebody else may have moved or removed it.
                let _ = fs::rename(self.path(entry), seen);
            }
        }
    }
}

/// What was removed, for the count.
#[derive(Debug, Clone, Copy, Default)]
struct Removed {
    octets: u64,
    messages: u64,
}

fn remove_file(path: &Path, count: &mut Option<Removed>) -> std::io::Result<()> {
    let size = if count.is_some() { fs::metadata(path)?.len() } else { 0 };
    fs::remove_file(path)?;
    if let Some(removed) = count {
        removed.octets += size;
        removed.messages += 1;
    }
    Ok(())
}

/// The size with CRLF line ends, by reading; `None` if the file is gone.
fn measure(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let mut buffer = vec![0; 64 << 10];
    let (mut size, mut last) = (0u64, b'\n');
    loop {
        let read = file.read(&mut buffer).ok()?;
        if read == 0 {
            return Some(size + if last == b'\n' { 0 } else { 2 });
        }
        for feed in memchr_iter(b'\n', &buffer[..read]) {
            let before = if feed == 0 { last } else { buffer[feed - 1] };
            // An LF that has its CR is sent as it is.
            size += u64::from(before != b'\r');
        }
        size += read as u64;
        last = buffer[read - 1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(files: &[(&str, &str)]) -> (tempfile::TempDir, Maildir) {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(&dir.path().join("Maildir")).unwrap();
        for (name, text) in files {
            fs::write(maildir.path().join(name), text).unwrap();
        }
        (dir, maildir)
    }

    #[test]
    fn messages_come_in_the_order_of_their_arrival_whatever_made_their_names() {
        let (_dir, maildir) = mailbox(&[
            ("new/300.x.host,S=2,W=3", "a\n"),
            ("cur/200.y.host:2,S", "a\nb"),
            ("new/1000.z.host", "a\r\nb\r\n"),
            ("new/.hidden", "a\n"),
            ("new/200.a.host", ""),
        ]);
        fs::create_dir(maildir.path().join("new/100.directory")).unwrap();
        let listing = Listing::read(&maildir).unwrap();
        assert_eq!(listing.uids(0, 100), ["200.a.host", "200.y.host", "300.x.host", "1000.z.host"]);
        assert_eq!(listing.wire_sizes(), [0, 6, 3, 6]);
    }

    #[test]
    fn a_message_that_a_reader_moved_is_found_and_one_that_is_gone_is_no_error() {
        let (_dir, maildir) = mailbox(&[("new/1.a.host,S=2,W=3", "a\n"), ("new/2.b.host,S=2,W=3", "b\n")]);
        let listing = Listing::read(&maildir).unwrap();
        let path = |name: &str| maildir.path().join(name);
        fs::rename(path("new/1.a.host,S=2,W=3"), path("cur/1.a.host,S=2,W=3:2,FS")).unwrap();
        fs::remove_file(path("new/2.b.host,S=2,W=3")).unwrap();
        let mut text = String::new();
        listing.open(0).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\n");
        assert!(listing.open(1).unwrap().is_none());
        assert!(listing.open(2).unwrap().is_none());
        listing.remove([0, 1]).unwrap();
        assert!(Listing::read(&maildir).unwrap().is_empty());
    }

    #[test]
    fn seen_messages_move_on_and_keep_their_unique_id() {
        let (_dir, maildir) = mailbox(&[("new/1.a.host,S=2,W=3", "a\n")]);
        let before = Listing::read(&maildir).unwrap();
        before.mark_seen([0]);
        assert!(maildir.path().join("cur/1.a.host,S=2,W=3:2,S").exists());
        let after = Listing::read(&maildir).unwrap();
        assert_eq!(after.uids(0, 100), before.uids(0, 100));
        assert_eq!(after.wire_sizes(), before.wire_sizes());
    }

    #[test]
    fn a_message_seen_in_both_directories_counts_once() {
        let (_dir, maildir) =
            mailbox(&[("new/1.a.host,S=2,W=3", "a\n"), ("cur/1.a.host,S=2,W=3:2,S", "a\n")]);
        assert_eq!(Listing::read(&maildir).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_removed_is_counted() {
        let (_dir, maildir) = mailbox(&[("new/1.a.host,S=2,W=3", "a\n")]);
        let listing = Listing::read(&maildir).unwrap();
        fs::remove_file(maildir.path().join("new/1.a.host,S=2,W=3")).unwrap();
        fs::create_dir(maildir.path().join("new/1.a.host,S=2,W=3")).unwrap();
        assert_eq!(listing.remove([0]).unwrap_err().count, 1);
    }
}
