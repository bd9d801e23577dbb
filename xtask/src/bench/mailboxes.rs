//! The mailboxes of the bench, the same at every server.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::Context;

/// The password of all of them.
pub const PASSWORD: &str = "bench-password";

/// The domain that all servers serve.
pub const DOMAIN: &str = "bench.example";

/// What a mailbox is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Takes what comes in by SMTP.
    Inbox,
    /// Empty, to be polled.
    Poll,
    /// 10,000 messages of 4 KiB.
    Full,
    /// 1,000 messages of 4 KiB.
    Small,
    /// 20 messages of 1 MiB.
    Large,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Inbox, Kind::Poll, Kind::Full, Kind::Small, Kind::Large];

    fn name(self) -> &'static str {
        match self {
            Kind::Inbox => "inbox",
            Kind::Poll => "poll",
            Kind::Full => "full",
            Kind::Small => "small",
            Kind::Large => "large",
        }
    }

    fn mailboxes(self) -> usize {
        match self {
            Kind::Inbox => 69,
            Kind::Full => 1,
            Kind::Poll | Kind::Small | Kind::Large => 10,
        }
    }

    /// How many messages it holds, and of how many octets each is in the mean.
    pub fn messages(self) -> (usize, usize) {
        match self {
            Kind::Inbox | Kind::Poll => (0, 0),
            Kind::Full => (10_000, 4096),
            Kind::Small => (1000, 4096),
            Kind::Large => (20, 1 << 20),
        }
    }

    /// The names of the first `count` of its kind; of all, if there are fewer.
    pub fn names(self, count: usize) -> Vec<String> {
        (1..=count.min(self.mailboxes())).map(|number| format!("{}{number}", self.name())).collect()
    }
}

/// The names of all 100.
pub fn all_names() -> Vec<String> {
    Kind::ALL.iter().flat_map(|kind| kind.names(usize::MAX)).collect()
}

/// Makes an empty Maildir for `owner` (uid and gid).
///
/// # Errors
/// With the directory that could not be made.
pub fn make(maildir: &Path, owner: u32) -> anyhow::Result<()> {
    for directory in [maildir.to_path_buf(), maildir.join("tmp"), maildir.join("new"), maildir.join("cur")] {
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        chown(&directory, Some(owner), Some(owner))?;
    }
    Ok(())
}

/// Lays the messages of this kind into `maildir`, as mail that nobody has seen yet.
///
/// The names carry both sizes, with LF and with CRLF, as the Maildir deliveries of Dovecot write
/// them: a server that reads them need not open the files. Sizes differ, as they do in life: with
/// 10,000 equal ends of names, Dovecot's hash table of names is a list, and ten times slower.
///
/// # Errors
/// With the file that could not be written.
pub fn fill(maildir: &Path, kind: Kind, owner: u32) -> anyhow::Result<()> {
    let (count, size) = kind.messages();
    for number in 1..=count {
        let message = message(spread(number, size));
        let lines = message.iter().filter(|octet| **octet == b'\n').count();
        let size_crlf = message.len() + lines;
        let name = format!("{}.M{number}P1.bench,S={},W={size_crlf}", 1_700_000_000 + number, message.len());
        let path = maildir.join("new").join(name);
        fs::File::create_new(&path)
            .and_then(|mut file| file.write_all(&message))
            .and_then(|()| chown(&path, Some(owner), Some(owner)))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Empties a Maildir, without removing a file: a file system may be slow at making files after many
/// were removed, and the next turn makes many.
///
/// # Errors
/// With the directory that could not be renamed.
pub fn put_mail_aside(maildir: &Path, owner: u32) -> anyhow::Result<()> {
    for number in 1.. {
        let aside = maildir.with_extension(format!("aside{number}"));
        if !aside.exists() {
            fs::rename(maildir.join("new"), &aside)
                .with_context(|| format!("cannot empty {}", maildir.display()))?;
            break;
        }
    }
    make(maildir, owner)
}

/// The size of a message: from half to one and a half of `size`, which is the mean.
fn spread(number: usize, size: usize) -> usize {
    // A step that has no factor in common with sizes of two's powers visits every value.
    size / 2 + number * 40_503 % size
}

/// A message of `size` octets, lines of 72.
fn message(size: usize) -> Vec<u8> {
    let mut message =
        b"From: Bench <bench@bench.example>\nTo: <bench@bench.example>\nSubject: bench\n\n".to_vec();
    while message.len() < size {
        let letters = 71.min(size - message.len() - 1);
        message.resize(message.len() + letters, b'x');
        message.push(b'\n');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_size_that_its_name_will_say() {
        for size in [2048, 4097, 1 << 20] {
            let message = message(size);
            assert_eq!(message.len(), size);
            assert!(message.ends_with(b"x\n") || message.ends_with(b"\n\n"));
        }
    }

    #[test]
    fn sizes_differ_round_their_mean() {
        for (count, size) in [Kind::Full.messages(), Kind::Small.messages(), Kind::Large.messages()] {
            let sizes: Vec<usize> = (1..=count).map(|number| spread(number, size)).collect();
            assert!(sizes.iter().all(|one| (size / 2..size * 3 / 2).contains(one)));
            let mean = sizes.iter().sum::<usize>() as f64 / count as f64;
            assert!((mean / size as f64 - 1.0).abs() < 0.1, "{mean}");
        }
    }

    #[test]
    fn mail_is_put_aside_again_and_again() {
        let parent = tempfile::tempdir().unwrap();
        let maildir = parent.path().join("inbox1");
        let owner = rustix::process::getuid().as_raw();
        make(&maildir, owner).unwrap();
        for _ in 0..3 {
            fs::write(maildir.join("new/a"), "mail").unwrap();
            put_mail_aside(&maildir, owner).unwrap();
            assert_eq!(fs::read_dir(maildir.join("new")).unwrap().count(), 0);
        }
    }

    #[test]
    fn there_are_a_hundred_mailboxes() {
        let mut names = all_names();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 100);
    }
}
