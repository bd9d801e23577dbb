//! A mailbox as a place on the disk.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::MailboxError;
use crate::name::unique_part;
use crate::write::Draft;

/// What lies in `tmp/` for longer is left over from a delivery that never ended (as in qmail).
const LEFT_OVER: Duration = Duration::from_secs(36 * 3600);

/// A Maildir. That it is there is known when it is used, not before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildir {
    path: PathBuf,
}

impl Maildir {
    /// The Maildir at this path.
    pub fn at(path: impl Into<PathBuf>) -> Maildir {
        Maildir { path: path.into() }
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
        let path = self.path.join(folder);
        File::open(&path).and_then(|directory| directory.sync_all()).map_err(|error| self.error(error))
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
            if self.find_in(folder, unique)?.is_some() {
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
}
