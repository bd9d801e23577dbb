//! A mailbox as a place on the disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};

use crate::beneath;
use crate::error::MailboxError;
use crate::name::unique_part;
use crate::write::Draft;

/// What lies in `tmp/` for longer is left over from a delivery that never ended (as in qmail).
const LEFT_OVER: Duration = Duration::from_secs(36 * 3600);

/// A Maildir. That it is there is known when it is used, not before.
#[derive(Debug, Clone)]
pub struct Maildir {
    path: PathBuf,
    /// Its directories, where a name on the way may be somebody else's link: then nothing is reached by
    /// its path.
    held: Option<Arc<Held>>,
}

/// The directories of a Maildir, held open.
#[derive(Debug)]
struct Held {
    tmp: OwnedFd,
    new: OwnedFd,
    cur: OwnedFd,
}

impl Held {
    fn folder(&self, name: &str) -> &OwnedFd {
        match name {
            "tmp" => &self.tmp,
            "new" => &self.new,
            _ => &self.cur,
        }
    }
}

impl Maildir {
    /// The Maildir at this path.
    pub fn at(path: impl Into<PathBuf>) -> Maildir {
        Maildir { path: path.into(), held: None }
    }

    /// A Maildir below a home whose contents somebody else decides on: no link leads there, nor from
    /// there elsewhere. It can be delivered to, and is made if it is not there, as its owner has no other
    /// way to make it; but not the home.
    ///
    /// # Errors
    /// If it cannot be opened so.
    pub fn beneath(home: &Path, relative: &Path) -> Result<Maildir, MailboxError> {
        let path = home.join(relative);
        let open = || {
            let directory = beneath::make_directory(home, relative)?;
            let folder = |name| beneath::step_making(&directory, name);
            Ok(Held { tmp: folder("tmp")?, new: folder("new")?, cur: folder("cur")? })
        };
        let held = open().map_err(|error| MailboxError::at(&path, error))?;
        Ok(Maildir { path, held: Some(Arc::new(held)) })
    }

    /// Makes a Maildir, with the directories above it, durably. What is there already stays.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn create(path: &Path) -> Result<Maildir, MailboxError> {
        for folder in ["tmp", "new", "cur"] {
            create_durably(&path.join(folder)).map_err(|error| MailboxError::at(path, error))?;
        }
        Ok(Maildir::at(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a message with this unique name.
    ///
    /// # Errors
    /// If the mailbox is missing, closed to us, or the disk full.
    pub fn draft(&self, unique: &str) -> Result<Draft, MailboxError> {
        Draft::begin(self, unique)
    }

    /// Makes durable what was renamed into `new/`.
    ///
    /// # Errors
    /// If the disk says no: then nothing that was renamed since the last time counts as delivered.
    pub fn sync_new(&self) -> Result<(), MailboxError> {
        self.sync("new")
    }

    pub(crate) fn sync(&self, folder: &str) -> Result<(), MailboxError> {
        let synced = match &self.held {
            Some(held) => rustix::fs::fsync(held.folder(folder)).map_err(io::Error::from),
            None => File::open(self.path.join(folder)).and_then(|directory| directory.sync_all()),
        };
        synced.map_err(|error| self.error(error))
    }

    /// Makes a new file in `tmp/`.
    pub(crate) fn create_in_tmp(&self, name: &str) -> io::Result<File> {
        match &self.held {
            Some(held) => {
                let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                Ok(openat(&held.tmp, name, how, Mode::from_raw_mode(0o660))?.into())
            }
            None => {
                let path = self.path.join("tmp").join(name);
                OpenOptions::new().write(true).create_new(true).mode(0o660).open(path)
            }
        }
    }

    /// Moves a file from `tmp/` into `new/`, replacing one of that name.
    pub(crate) fn move_to_new(&self, draft: &str, name: &str) -> io::Result<()> {
        match &self.held {
            Some(held) => Ok(renameat(&held.tmp, draft, &held.new, name)?),
            None => fs::rename(self.path.join("tmp").join(draft), self.path.join("new").join(name)),
        }
    }

    pub(crate) fn remove_from_tmp(&self, draft: &str) -> io::Result<()> {
        match &self.held {
            Some(held) => Ok(unlinkat(&held.tmp, draft, AtFlags::empty())?),
            None => fs::remove_file(self.path.join("tmp").join(draft)),
        }
    }

    /// Whether the message of this unique name lies here already, in `new/` or moved on to `cur/` by
    /// a reader; if so, that is made durable. Reads whole directories, so it is for repeated
    /// deliveries only.
    ///
    /// # Errors
    /// If the mailbox cannot be read, or not be synced.
    pub fn has(&self, unique: &str) -> Result<bool, MailboxError> {
        // Files go from `new` to `cur` and never back: in this order none is missed.
        for folder in ["new", "cur"] {
            let there = match &self.held {
                Some(held) => lies_in(held.folder(folder), unique).map_err(|error| self.error(error))?,
                None => self.find_in(folder, unique)?.is_some(),
            };
            if there {
                self.sync(folder)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The path of the message of this unique name, wherever it is now.
    pub(crate) fn find(&self, unique: &str) -> Result<Option<PathBuf>, MailboxError> {
        for folder in ["new", "cur"] {
            if let Some(path) = self.find_in(folder, unique)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn find_in(&self, folder: &str, unique: &str) -> Result<Option<PathBuf>, MailboxError> {
        for entry in fs::read_dir(self.path.join(folder)).map_err(|error| self.error(error))? {
            let entry = entry.map_err(|error| self.error(error))?;
            if entry.file_name().to_str().is_some_and(|name| unique_part(name) == unique) {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }

    /// Removes what deliveries that never ended left in `tmp/`; says how many files.
    ///
    /// # Errors
    /// If `tmp/` cannot be read. A file that cannot be removed is passed over.
    pub fn tidy(&self, now: SystemTime) -> Result<usize, MailboxError> {
        let mut removed = 0;
        for entry in fs::read_dir(self.path.join("tmp")).map_err(|error| self.error(error))?.flatten() {
            let old = entry
                .metadata()
                .and_then(|data| data.modified())
                .is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > LEFT_OVER));
            if old && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    pub(crate) fn error(&self, source: io::Error) -> MailboxError {
        MailboxError::at(&self.path, source)
    }
}

/// Whether an open directory has the message of this unique name.
fn lies_in(folder: &OwnedFd, unique: &str) -> io::Result<bool> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        if entry?.file_name().to_str().is_ok_and(|name| unique_part(name) == unique) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a directory and those above it that are missing, each synced into its parent.
fn create_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    create_durably(parent)?;
    // The process's umask has the last word.
    match DirBuilder::new().mode(0o2770).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_drafts_are_tidied_away() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(&dir.path().join("a/b/Maildir")).unwrap();
        fs::write(maildir.path().join("tmp/left"), "x").unwrap();
        assert_eq!(maildir.tidy(SystemTime::now()).unwrap(), 0);
        assert_eq!(maildir.tidy(SystemTime::now() + LEFT_OVER + Duration::from_secs(60)).unwrap(), 1);
    }
    #[test]
    fn a_maildir_below_a_home_is_not_reached_over_links() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let theirs = Maildir::create(&dir.path().join("theirs")).unwrap();
        Maildir::create(&home.join("lists/ja")).unwrap();
        std::os::unix::fs::symlink(theirs.path(), home.join("link")).unwrap();
        fs::create_dir(home.join("half")).unwrap();
        for folder in ["tmp", "new", "cur"] {
            std::os::unix::fs::symlink(theirs.path().join(folder), home.join("half").join(folder)).unwrap();
        }
        for bad in ["link/", "half/", "../theirs/"] {
            assert!(Maildir::beneath(&home, Path::new(bad)).is_err(), "{bad}");
        }
        let maildir = Maildir::beneath(&home, Path::new("./lists/ja/")).unwrap();
        // What becomes a link after it was opened leads nowhere either.
        fs::rename(home.join("lists/ja/new"), home.join("kept")).unwrap();
        std::os::unix::fs::symlink(theirs.path().join("new"), home.join("lists/ja/new")).unwrap();
        assert!(!maildir.has("1.QxR0.host").unwrap());
        let mut draft = maildir.draft("1.QxR0.host").unwrap();
        draft.append(b"a\r\n").unwrap();
        draft.finish().unwrap().publish().unwrap();
        maildir.sync_new().unwrap();
        assert!(maildir.has("1.QxR0.host").unwrap());
        assert_eq!(fs::read(home.join("kept/1.QxR0.host,S=2,W=3")).unwrap(), b"a\n");
        drop(maildir.draft("1.QxR1.host").unwrap());
        assert_eq!(fs::read_dir(home.join("lists/ja/tmp")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(theirs.path().join("new")).unwrap().count(), 0);
    }
}
