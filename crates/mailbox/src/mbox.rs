//! Files in mbox form: many messages in one file, in the variant mboxrd, as qmail writes it.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, fsync, openat};
use thiserror::Error;

use crate::beneath::open_parent;
use crate::lf::ToLf;
use crate::quoting::Quoting;

/// How long somebody else may hold the lock (as in qmail).
const LOCKED_FOR: Duration = Duration::from_secs(30);
/// How often the lock is tried.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// Octets that are gathered before they are written: a small message is one write.
const BUFFER: usize = 128 << 10;

/// A file in mbox form, locked, while a message is appended to it. Dropped before [`Mbox::finish`], it
/// is cut back to what it was.
///
/// A power cut in the middle of it may leave a part of the message: this is a form for those who need
/// it, and a Maildir the better one.
#[derive(Debug)]
pub struct Mbox {
    file: File,
    path: PathBuf,
    /// Its directory, if this is the file's first message.
    new_in: Option<OwnedFd>,
    /// How long it was.
    begin: u64,
    lines: ToLf,
    quoting: Quoting,
    converted: Vec<u8>,
    buffer: Vec<u8>,
    finished: bool,
}

/// A message could not be appended. In qmail's words; all of these may be mended.
#[derive(Debug, Error)]
pub enum MboxError {
    /// It cannot be opened.
    #[error("Unable to open {}: {source}. (#4.2.1)", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is a directory, a pipe, a device, or has a second name.
    #[error("Unable to open {}: it is no regular file with this one name. (#4.2.1)", .0.display())]
    NoPlainFile(PathBuf),
    /// Somebody else holds it.
    #[error("File has been locked for 30 seconds straight. (#4.3.0)")]
    Locked,
    /// The disk says no.
    #[error("Unable to write {}: {source}. (#4.3.0)", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Mbox {
    /// Opens a file below a home, makes it if need be, and locks it (flock). Blocks for up to 30
    /// seconds. Neither the file nor a directory on the way may be a link.
    ///
    /// # Errors
    /// See [`MboxError`].
    pub fn open(home: &Path, relative: &Path) -> Result<Mbox, MboxError> {
        Mbox::open_within(home, relative, LOCKED_FOR)
    }

    fn open_within(home: &Path, relative: &Path, locked_for: Duration) -> Result<Mbox, MboxError> {
        let path = home.join(relative);
        let failed = |source: io::Error| MboxError::Open { path: path.clone(), source };
        let (directory, name) = open_parent(home, relative).map_err(failed)?;
        // Without waiting for whoever might read from a pipe of this name.
        let how = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let file: File = openat(&directory, &name, how, Mode::RUSR | Mode::WUSR)
            .map_err(|error| failed(error.into()))?
            .into();
        let data = file.metadata().map_err(failed)?;
        if !data.is_file() || std::os::unix::fs::MetadataExt::nlink(&data) != 1 {
            return Err(MboxError::NoPlainFile(path));
        }
        lock(&file, locked_for).map_err(|error| error.map_or(MboxError::Locked, failed))?;
        // Its length counts from now on, as whoever held it may have written.
        let begin = file.metadata().map_err(failed)?.len();
        Ok(Mbox {
            file,
            path,
            new_in: (begin == 0).then_some(directory),
            begin,
            lines: ToLf::default(),
            quoting: Quoting::default(),
            converted: Vec::new(),
            buffer: Vec::new(),
            finished: false,
        })
    }

    /// Begins the message: the `From ` line and the fields on top, with LF line ends, written as they
    /// are.
    pub fn begin(&mut self, top: &str) {
        self.buffer.extend_from_slice(top.as_bytes());
    }

    /// Appends octets of the message; CRLF becomes LF, and lines that look like the beginning of
    /// another message are quoted.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn append(&mut self, octets: &[u8]) -> Result<(), MboxError> {
        self.converted.clear();
        self.lines.feed(octets, &mut self.converted);
        self.quoting.feed(&self.converted, &mut self.buffer);
        if self.buffer.len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    /// Ends the message and makes it durable.
    ///
    /// # Errors
    /// If the disk says no; then the file is cut back, and a sync that failed is not tried again.
    pub fn finish(mut self) -> Result<(), MboxError> {
        self.converted.clear();
        std::mem::take(&mut self.lines).finish(&mut self.converted);
        self.quoting.feed(&self.converted, &mut self.buffer);
        std::mem::take(&mut self.quoting).finish(&mut self.buffer);
        self.write_out()?;
        self.file.sync_all().map_err(|source| self.failed(source))?;
        if let Some(directory) = &self.new_in {
            fsync(directory).map_err(|error| self.failed(error.into()))?;
        }
        self.finished = true;
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), MboxError> {
        self.file.write_all(&self.buffer).map_err(|source| self.failed(source))?;
        self.buffer.clear();
        Ok(())
    }

    fn failed(&self, source: io::Error) -> MboxError {
        MboxError::Write { path: self.path.clone(), source }
    }
}

impl Drop for Mbox {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be cut back stays, as in qmail; the message is delivered again.
            let _ = self.file.set_len(self.begin);
        }
    }
}

/// `Err(None)` if somebody else holds it all the time.
fn lock(file: &File, locked_for: Duration) -> Result<(), Option<io::Error>> {
    let deadline = Instant::now() + locked_for;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(Some(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Err(None),
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_AGAIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const TOP: &str = "From a@x.example Thu Jan  1 00:00:00 1970\nReturn-Path: <a@x.example>\n";

    fn append(home: &Path, name: &str, text: &str) -> Result<(), MboxError> {
        let mut mbox = Mbox::open(home, Path::new(name))?;
        mbox.begin(TOP);
        mbox.append(text.as_bytes())?;
        mbox.finish()
    }

    #[test]
    fn messages_stand_one_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), "old", "Subject: x\r\n\r\nFrom me\r\nno end").unwrap();
        append(dir.path(), "./old", "Subject: y\r\n\r\n>From him\r\n").unwrap();
        assert_eq!(
            fs::read_to_string(dir.path().join("old")).unwrap(),
            format!("{TOP}Subject: x\n\n>From me\nno end\n\n{TOP}Subject: y\n\n>>From him\n\n")
        );
    }

    #[test]
    fn what_is_not_finished_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), "old", "Subject: x\r\n\r\nhi\r\n").unwrap();
        let before = fs::read(dir.path().join("old")).unwrap();
        let mut mbox = Mbox::open(dir.path(), Path::new("old")).unwrap();
        mbox.begin(TOP);
        mbox.append(&b"a line of some length\r\n".repeat(20_000)).unwrap();
        assert!(fs::metadata(dir.path().join("old")).unwrap().len() > 400_000, "a part was written");
        drop(mbox);
        assert_eq!(fs::read(dir.path().join("old")).unwrap(), before);
    }

    #[test]
    fn one_that_somebody_holds_is_given_up_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old");
        fs::write(&path, "").unwrap();
        let held = File::open(&path).unwrap();
        held.lock().unwrap();
        let within = Duration::from_millis(150);
        let error = Mbox::open_within(dir.path(), Path::new("old"), within).unwrap_err();
        assert_eq!(error.to_string(), "File has been locked for 30 seconds straight. (#4.3.0)");
        drop(held);
        assert!(Mbox::open_within(dir.path(), Path::new("old"), within).is_ok());
    }

    #[test]
    fn only_a_plain_file_below_the_home_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir_all(home.join("folder")).unwrap();
        fs::write(dir.path().join("theirs"), "x").unwrap();
        symlink("../theirs", home.join("link")).unwrap();
        symlink("nowhere", home.join("dangling")).unwrap();
        symlink("..", home.join("up")).unwrap();
        fs::hard_link(dir.path().join("theirs"), home.join("twice")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            home.join("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        // With a reader, too, it is no file.
        let how = OFlags::RDONLY | OFlags::NONBLOCK;
        for reader in [false, true] {
            let _reader = reader.then(|| openat(rustix::fs::CWD, home.join("pipe"), how, Mode::empty()));
            for name in
                ["folder", "link", "dangling", "up/theirs", "../theirs", "twice", "pipe", "gone/x", "/etc/x"]
            {
                let error = append(&home, name, "hi\r\n").unwrap_err().to_string();
                assert!(error.starts_with("Unable to open ") && error.ends_with(" (#4.2.1)"), "{error}");
            }
        }
        assert_eq!(fs::read(dir.path().join("theirs")).unwrap(), b"x");
        assert!(!home.join("nowhere").exists());
    }
}
