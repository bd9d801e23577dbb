//! The mail data that is delivered.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use mailbox::ToLf;

/// Octets that are read from a large message at a time.
const PIECE: usize = 256 << 10;

/// Mail data as it was taken in, with CRLF line ends.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// In an open file, read without regard to its position: so many octets from the start.
    File(Arc<File>, u64),
}

/// The mail data did not get to where it was to go.
#[derive(Debug)]
pub enum NotCopied<E> {
    /// It cannot be read.
    Read(io::Error),
    /// It cannot be written.
    Write(E),
}

impl Content {
    /// Octets of mail data.
    pub fn length(&self) -> u64 {
        match self {
            Content::Memory(octets) => octets.len() as u64,
            Content::File(_, length) => *length,
        }
    }

    /// Gives all of it to `take`, piece by piece, until that says stop.
    ///
    /// # Errors
    /// If it cannot be read, or what `take` says.
    pub fn each_piece<E>(&self, mut take: impl FnMut(&[u8]) -> Result<Go, E>) -> Result<(), NotCopied<E>> {
        match self {
            Content::Memory(octets) => take(octets).map(drop).map_err(NotCopied::Write),
            Content::File(file, length) => {
                let mut piece = vec![0; PIECE.min(usize::try_from(*length).unwrap_or(PIECE))];
                let mut done = 0;
                while done < *length {
                    let want = PIECE.min(usize::try_from(length - done).unwrap_or(PIECE));
                    file.read_exact_at(&mut piece[..want], done).map_err(NotCopied::Read)?;
                    if take(&piece[..want]).map_err(NotCopied::Write)? == Go::Stop {
                        break;
                    }
                    done += want as u64;
                }
                Ok(())
            }
        }
    }

    /// Writes all of it with LF line ends, as it lies in mailboxes, without the fields on top.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn write_with_lf(&self, out: &mut impl Write) -> Result<(), NotCopied<io::Error>> {
        let (mut lines, mut converted) = (ToLf::default(), Vec::new());
        self.each_piece(|piece| {
            converted.clear();
            lines.feed(piece, &mut converted);
            out.write_all(&converted).map(|()| Go::On)
        })?;
        converted.clear();
        lines.finish(&mut converted);
        out.write_all(&converted).map_err(NotCopied::Write)
    }
}

/// Whether another piece is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// It is.
    On,
    /// It is not.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_with_lf_from_memory_and_from_a_file() {
        let text = format!("Subject: x\r\n\r\n{}\r", "a line of some length\r\n".repeat(50_000));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let from_file = Content::File(Arc::new(file), text.len() as u64);
        for content in [Content::Memory(text.clone().into()), from_file] {
            let mut out = Vec::new();
            content.write_with_lf(&mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text.replace("\r\n", "\n"));
        }
    }

    #[test]
    fn a_file_that_is_too_short_cannot_be_read() {
        let content = Content::File(Arc::new(tempfile::tempfile().unwrap()), 10);
        assert!(matches!(content.write_with_lf(&mut Vec::new()), Err(NotCopied::Read(_))));
    }
}
