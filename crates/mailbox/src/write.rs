//! Writing one message: into `tmp/`, synced, then renamed into `new/`.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memchr_iter;

use crate::error::MailboxError;
use crate::maildir::Maildir;

/// Octets that are gathered before they are written: a small message is one write.
const BUFFER: usize = 128 << 10;

/// A message being written to `tmp/`. Dropped, its file is removed.
#[derive(Debug)]
pub struct Draft {
    unique: String,
    place: Place,
    file: File,
    buffer: Vec<u8>,
    /// The last octet given was a CR whose line end is not decided yet.
    held_cr: bool,
    size: u64,
    bare_feeds: u64,
    last: u8,
}

/// A file in `tmp/`, removed unless it is taken away.
#[derive(Debug)]
struct Place {
    maildir: Maildir,
    name: Option<String>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            // What stays is tidied away later.
            let _ = self.maildir.remove_from_tmp(&name);
        }
    }
}

impl Draft {
    pub(crate) fn begin(maildir: &Maildir, unique: &str) -> Result<Draft, MailboxError> {
        // A name for each attempt: an earlier one of the same message may still be writing.
        static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
        let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{unique},P={}.{attempt}", std::process::id());
        let file = maildir.create_in_tmp(&name).map_err(|error| maildir.error(error))?;
        Ok(Draft {
            unique: unique.to_string(),
            place: Place { maildir: maildir.clone(), name: Some(name) },
            file,
            buffer: Vec::new(),
            held_cr: false,
            size: 0,
            bare_feeds: 0,
            last: b'\n',
        })
    }

    /// Appends octets of the message; CRLF becomes LF, in pieces of any size.
    ///
    /// # Errors
    /// If the disk says no; the draft is then of no more use.
    pub fn append(&mut self, octets: &[u8]) -> Result<(), MailboxError> {
        let Some(&first) = octets.first() else { return Ok(()) };
        if std::mem::take(&mut self.held_cr) && first != b'\n' {
            self.keep(b"\r");
        }
        let mut begin = 0;
        for feed in memchr_iter(b'\n', octets) {
            let line = &octets[begin..feed];
            self.keep(line.strip_suffix(b"\r").unwrap_or(line));
            // Readers send an LF that has a CR before it as it is.
            self.bare_feeds += u64::from(self.last != b'\r');
            self.keep(b"\n");
            begin = feed + 1;
        }
        match octets[begin..].split_last() {
            Some((b'\r', rest)) => {
                self.keep(rest);
                self.held_cr = true;
            }
            _ => self.keep(&octets[begin..]),
        }
        if self.buffer.len() >= BUFFER {
            self.write_out()?;
        }
        Ok(())
    }

    fn keep(&mut self, octets: &[u8]) {
        if let Some(&last) = octets.last() {
            self.last = last;
            self.buffer.extend_from_slice(octets);
        }
    }

    fn write_out(&mut self) -> Result<(), MailboxError> {
        self.file.write_all(&self.buffer).map_err(|error| self.place.maildir.error(error))?;
        self.size += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes the file durable. It is not delivered yet.
    ///
    /// # Errors
    /// If the disk says no. A sync that failed is not tried again: the file is removed.
    pub fn finish(mut self) -> Result<Written, MailboxError> {
        if self.held_cr {
            self.keep(b"\r");
        }
        self.write_out()?;
        self.file.sync_all().map_err(|error| self.place.maildir.error(error))?;
        // Such an LF is sent as CRLF, and a last line without an end gets one.
        let wire = self.size + self.bare_feeds + if self.last == b'\n' { 0 } else { 2 };
        let name = format!("{},S={},W={wire}", self.unique, self.size);
        Ok(Written { place: self.place, name, size: self.size })
    }
}

/// A message that lies whole and durable in `tmp/`.
#[derive(Debug)]
pub struct Written {
    place: Place,
    name: String,
    size: u64,
}

impl Written {
    /// Octets on disk.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Renames it into `new/`, replacing a file of the same name. It is delivered once
    /// [`Maildir::sync_new`] returns.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn publish(mut self) -> Result<(), MailboxError> {
        let Place { maildir, name } = &mut self.place;
        let draft = name.take().ok_or_else(|| maildir.error(io::ErrorKind::NotFound.into()))?;
        maildir.move_to_new(&draft, &self.name).map_err(|error| {
            let error = maildir.error(error);
            *name = Some(draft);
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Listing;
    use proptest::prelude::*;
    use std::fs;

    fn write(maildir: &Maildir, unique: &str, pieces: &[&[u8]]) {
        let mut draft = maildir.draft(unique).unwrap();
        for piece in pieces {
            draft.append(piece).unwrap();
        }
        draft.finish().unwrap().publish().unwrap();
        maildir.sync_new().unwrap();
    }

    fn only_file(maildir: &Maildir) -> (String, Vec<u8>) {
        let mut entries = fs::read_dir(maildir.path().join("new")).unwrap();
        let entry = entries.next().unwrap().unwrap();
        assert!(entries.next().is_none());
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    }

    #[test]
    fn a_repeated_delivery_replaces_its_own_file() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(&dir.path().join("Maildir")).unwrap();
        for _ in 0..3 {
            write(&maildir, "1.QxR0.host", &[b"a\r\nb\r\n"]);
        }
        assert_eq!(only_file(&maildir), ("1.QxR0.host,S=4,W=6".into(), b"a\nb\n".to_vec()));
        assert!(fs::read_dir(maildir.path().join("tmp")).unwrap().next().is_none());
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(&dir.path().join("Maildir")).unwrap();
        drop(maildir.draft("1.QxR0.host").unwrap());
        drop(maildir.draft("1.QxR0.host").unwrap().finish().unwrap());
        assert!(fs::read_dir(maildir.path().join("tmp")).unwrap().next().is_none());
        assert!(fs::read_dir(maildir.path().join("new")).unwrap().next().is_none());
    }

    #[test]
    fn a_mailbox_that_is_not_there_is_told_from_one_that_is_full_of_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Maildir::at(dir.path().join("nowhere"));
        assert!(matches!(missing.draft("1.x"), Err(MailboxError::Missing(_))));
        fs::write(dir.path().join("file"), "").unwrap();
        let file = Maildir::at(dir.path().join("file"));
        assert!(matches!(file.draft("1.x"), Err(MailboxError::Missing(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sizes_are_those_of_the_file_and_of_the_wire(
            pieces in proptest::collection::vec(proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x')], 0..20), 0..6)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let maildir = Maildir::create(&dir.path().join("Maildir")).unwrap();
            let whole = pieces.concat();
            let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            write(&maildir, "1.QxR0.host", &slices);
            let (name, octets) = only_file(&maildir);
            let expected = String::from_utf8(whole).unwrap().replace("\r\n", "\n").into_bytes();
            prop_assert_eq!(&octets, &expected);
            let told = name.contains(&format!(",S={},", octets.len()));
            prop_assert!(told, "{} for {} octets", name, octets.len());
            // What the name says and what reading the file finds are the same.
            let by_name = Listing::read(&maildir).unwrap().wire_sizes();
            fs::rename(maildir.path().join("new").join(&name), maildir.path().join("new/1.QxR0.host")).unwrap();
            let by_reading = Listing::read(&maildir).unwrap().wire_sizes();
            prop_assert_eq!(by_name, by_reading);
        }
    }
}
