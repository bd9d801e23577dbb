//! A file of the drop directory, read away from the thread on which callers wait.

use std::fs::File;
use std::io::Seek;

use bytes::Bytes;
use link::services::submit::PIECE_MAX;
use sendmail::{DropFile, DropFileError, Job, drop_file};
use tokio::sync::mpsc;

/// What is read of it, in this order.
pub enum Part {
    /// What is to be done with the message. Once.
    Job(Box<Job>),
    /// Some of the message, as its caller wrote it.
    Octets(Bytes),
    /// All was read, and it is as it was written.
    End,
}

/// The parts as they come. Should they end before [`Part::End`], reading failed by a fault of ours.
pub type Parts = mpsc::Receiver<Result<Part, DropFileError>>;

/// Reads a file, no further ahead than a few pieces, and none of it before its sum was found to be right.
pub fn read(file: File, size: u64, message_max: u64) -> Parts {
    let (parts, receiver) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        // Whoever listened may have gone.
        let send = |part| parts.blocking_send(Ok(part)).is_ok();
        if let Err(problem) = send_parts(file, size, message_max, send) {
            let _ = parts.blocking_send(Err(problem));
        }
    });
    receiver
}

fn send_parts(
    mut file: File,
    size: u64,
    message_max: u64,
    send: impl Fn(Part) -> bool,
) -> Result<(), DropFileError> {
    drop_file::verify(&mut file, size, message_max)?;
    file.rewind()?;
    let mut file: DropFile<File> = DropFile::open(file, message_max)?;
    if !send(Part::Job(Box::new(file.job().clone()))) {
        return Ok(());
    }
    let mut octets = vec![0; PIECE_MAX];
    loop {
        let part = match file.read(&mut octets)? {
            0 => Part::End,
            length => Part::Octets(Bytes::copy_from_slice(&octets[..length])),
        };
        let at_end = matches!(part, Part::End);
        if !send(part) || at_end {
            return Ok(());
        }
    }
}
