//! A message, as its caller wrote it: read whole before anybody is asked to take it, so that a caller who
//! is slow holds nothing up, and one that goes to the drop directory after all is still there.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use sendmail::Refusal;

use super::descriptor;

/// The most octets of a message that are kept in memory, if there is a place for files.
const MEMORY_MAX: usize = 1 << 20;

/// A whole message.
pub struct Message {
    held: Held,
    size: u64,
}

enum Held {
    Memory(Bytes),
    /// It has no name: it is gone when we are.
    File(File),
}

impl Message {
    /// Reads to the end.
    ///
    /// # Errors
    /// If there are more octets than `size_max`, or it cannot be read.
    pub fn read(from: BorrowedFd<'_>, size_max: u64) -> Result<Message, Refusal> {
        read(from, size_max, MEMORY_MAX, tempfile::tempfile)
    }

    /// How many octets it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The octets from `at` on, so many or as many as there are.
    ///
    /// # Errors
    /// If its file cannot be read back.
    pub fn piece(&self, at: u64, octets: usize) -> Result<Bytes, Refusal> {
        let octets = self.size.saturating_sub(at).min(octets as u64) as usize;
        match &self.held {
            // What is in memory has a size and places that fit a usize.
            Held::Memory(memory) => Ok(memory.slice(at as usize..at as usize + octets)),
            Held::File(file) => {
                let mut piece = vec![0; octets];
                file.read_exact_at(&mut piece, at).map_err(unreadable)?;
                Ok(piece.into())
            }
        }
    }

    /// All of it, from the beginning.
    pub fn reader(&self) -> Reader<'_> {
        Reader { message: self, at: 0 }
    }
}

/// Reads a message.
pub struct Reader<'a> {
    message: &'a Message,
    at: u64,
}

impl io::Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let piece = self.message.piece(self.at, into.len()).map_err(io::Error::other)?;
        into[..piece.len()].copy_from_slice(&piece);
        self.at += piece.len() as u64;
        Ok(piece.len())
    }
}

fn read(
    from: BorrowedFd<'_>,
    size_max: u64,
    memory_max: usize,
    new_file: impl Fn() -> io::Result<File>,
) -> Result<Message, Refusal> {
    let mut memory = Vec::new();
    let mut file: Option<File> = None;
    let mut size = 0;
    // Whether there is no place for files: then memory must do.
    let mut no_file = false;
    loop {
        let read = descriptor::read(from, &mut memory).map_err(unreadable)?;
        size += read as u64;
        if size > size_max {
            return Err(Refusal::TooLarge(size_max));
        }
        if read == 0 {
            break;
        }
        if memory.len() <= memory_max && file.is_none() || no_file {
            continue;
        }
        let written = match file.as_mut() {
            Some(file) => file.write_all(&memory),
            None => new_file().and_then(|new| file.insert(new).write_all(&memory)),
        };
        match written {
            Ok(()) => memory.clear(),
            Err(_) => {
                no_file = true;
                memory = match file.take() {
                    Some(file) => back_in_memory(&file, size, &memory)?,
                    None => memory,
                };
            }
        }
    }
    let held = file.map_or_else(|| Held::Memory(memory.into()), Held::File);
    Ok(Message { held, size })
}

/// All `size` octets of a message of which the file could not take the last ones.
fn back_in_memory(file: &File, size: u64, last: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut memory = vec![0; (size as usize).saturating_sub(last.len())];
    file.read_exact_at(&mut memory, 0).map_err(unreadable)?;
    memory.extend_from_slice(last);
    Ok(memory)
}

fn unreadable(error: io::Error) -> Refusal {
    Refusal::Unreadable(format!("the message cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    fn file_with(octets: &[u8]) -> File {
        use std::io::Seek;
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(octets).expect("it takes the octets");
        file.rewind().expect("it begins anew");
        file
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    fn whole(message: &Message) -> Vec<u8> {
        let mut whole = Vec::new();
        message.reader().read_to_end(&mut whole).expect("it is read back");
        whole
    }

    #[test]
    fn a_message_comes_back_as_it_was_from_memory_and_from_a_file() {
        for (length, memory_max) in [(0, 0), (1, 0), (100_000, 10), (100_000, 1 << 20), (300_000, 131_072)] {
            let octets = text(length);
            let message = read(file_with(&octets).as_fd(), 1 << 20, memory_max, tempfile::tempfile)
                .expect("it is small enough");
            assert_eq!(message.size(), length as u64);
            assert_eq!(matches!(message.held, Held::File(_)), length > memory_max);
            assert!(whole(&message) == octets, "{length} octets, {memory_max} in memory");
            let last = message.piece(length as u64 / 2, 1 << 20).expect("it is read back");
            assert!(last == octets[length / 2..]);
            assert!(message.piece(length as u64, 10).expect("nothing is behind it").is_empty());
        }
    }

    #[test]
    fn without_a_place_for_files_it_stays_in_memory() {
        let octets = text(200_000);
        let nowhere = || Err(io::ErrorKind::NotFound.into());
        let message = read(file_with(&octets).as_fd(), 1 << 20, 10, nowhere).expect("memory does");
        assert!(whole(&message) == octets);
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_put_together_in_memory() {
        let file = file_with(b"the first octets, and a part of");
        let memory = back_in_memory(&file, 24, b"the last").expect("it is read back");
        assert_eq!(memory, b"the first octetsthe last");
    }

    #[test]
    fn one_octet_too_many_is_too_many() {
        let octets = text(1000);
        assert!(Message::read(file_with(&octets).as_fd(), 1000).is_ok());
        let refused = Message::read(file_with(&octets).as_fd(), 999).err();
        assert_eq!(refused, Some(Refusal::TooLarge(999)));
        let endless = File::open("/dev/zero").expect("this is Linux");
        assert_eq!(Message::read(endless.as_fd(), 4 << 20).err(), Some(Refusal::TooLarge(4 << 20)));
    }

    #[test]
    fn a_directory_is_no_message() {
        let directory = File::open("/").expect("it is there");
        assert!(matches!(Message::read(directory.as_fd(), 10), Err(Refusal::Unreadable(_))));
    }
}
