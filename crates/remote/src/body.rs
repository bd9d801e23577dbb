//! The mail data of a message, wherever they lie.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

/// Octets of a file that are read at once.
const PIECE: usize = 128 << 10;

/// Mail data, line ends as CRLF, dots not doubled. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Body {
    /// In memory, in pieces.
    Memory(Arc<[Bytes]>),
    /// In a file, from its start on. It is read at positions, so others may use the descriptor too.
    File {
        /// The file.
        file: Arc<File>,
        /// Octets of mail data in it.
        size: u64,
    },
}

impl Body {
    /// Octets of mail data.
    pub fn size(&self) -> u64 {
        match self {
            Body::Memory(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Body::File { size, .. } => *size,
        }
    }

    /// Reads from the start.
    pub fn reader(&self) -> BodyReader {
        BodyReader(match self {
            Body::Memory(pieces) => Source::Memory(pieces.iter().cloned().collect()),
            Body::File { file, size } => Source::File { file: Arc::clone(file), at: 0, size: *size },
        })
    }

    /// Whether the header has octets above 127, as far as its first 128 KiB tell: so a message needs
    /// SMTPUTF8 though its addresses do not (RFC 6532 §3.2).
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn header_has_utf8(&self) -> io::Result<bool> {
        let mut reader = self.reader();
        let mut seen = 0;
        // Across pieces the header's end is found by its last octets.
        let mut tail = Vec::new();
        while let Some(piece) = reader.next().await? {
            let start = tail.len();
            tail.extend_from_slice(&piece);
            let end = memchr::memmem::find(&tail, b"\r\n\r\n");
            if !tail[start..end.unwrap_or(tail.len()).max(start)].is_ascii() {
                return Ok(true);
            }
            seen += piece.len();
            if end.is_some() || seen >= PIECE {
                break;
            }
            tail.drain(..tail.len().saturating_sub(3));
        }
        Ok(false)
    }
}

/// Gives a body out piece by piece.
#[derive(Debug)]
pub struct BodyReader(Source);

#[derive(Debug)]
enum Source {
    Memory(VecDeque<Bytes>),
    File { file: Arc<File>, at: u64, size: u64 },
}

impl BodyReader {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// If the file cannot be read, or is shorter than was said.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.0 {
            Source::Memory(pieces) => Ok(pieces.pop_front()),
            Source::File { at, size, .. } if at == size => Ok(None),
            Source::File { file, at, size } => {
                let length = usize::try_from(*size - *at).unwrap_or(PIECE).min(PIECE);
                let (file, from) = (Arc::clone(file), *at);
                // A disk may keep a thread waiting.
                let read = tokio::task::spawn_blocking(move || {
                    let mut piece = vec![0; length];
                    file.read_exact_at(&mut piece, from).map(|()| Bytes::from(piece))
                });
                let piece = read.await.map_err(io::Error::other)??;
                *at += piece.len() as u64;
                Ok(Some(piece))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn memory(pieces: &[&'static [u8]]) -> Body {
        Body::Memory(pieces.iter().map(|piece| Bytes::from_static(piece)).collect())
    }

    #[tokio::test]
    async fn a_file_is_read_to_its_end_and_a_short_one_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        let data: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        file.write_all(&data).unwrap();
        let file = Arc::new(file);
        let mut reader = Body::File { file: Arc::clone(&file), size: 300_000 }.reader();
        let mut read = Vec::new();
        while let Some(piece) = reader.next().await.unwrap() {
            read.extend_from_slice(&piece);
        }
        assert_eq!(read, data);
        let mut reader = Body::File { file, size: 300_001 }.reader();
        let result = loop {
            match reader.next().await {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert!(result.is_err());
    }

    #[tokio::test]
    async fn utf8_is_looked_for_in_the_header_only() {
        for (pieces, has) in [
            (&[&b"a: b\r\n\r\n\xe9\r\n"[..]][..], false),
            (&[b"a: \xe9\r\n\r\nb\r\n"], true),
            (&[b"a: b\r\n\r", b"\n\xe9\r\n"], false),
            (&[b"a: b\r\n", b"\r\n", b"\xe9\r\n"], false),
            (&[b"a: b\r\n", b"c: \xe9\r\n\r\n"], true),
        ] {
            assert_eq!(memory(pieces).header_has_utf8().await.unwrap(), has, "{pieces:?}");
        }
    }
}
