//! What a program leaves to be sent: files in a directory of its own, in the form of the drop directory. The
//! program may have put anything there, under any name; by now all its processes are gone.

use std::ffi::CStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ::local::Content;
use ::sendmail::drop_file::{JOB_MAX, is_name};
use ::sendmail::visible::visible;
use ::sendmail::{DropFile, DropFileError, Job, Refusal, Treatment};
use link::services::programs::Run;
use link::services::submit::{LEFT_MAX, Left};
use rustix::fs::{self, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::Place;

/// Its name in the directory for temporary files: a program that removes all that it sees there leaves it.
const NAME: &str = ".mail";
/// So many of the largest messages may a program's messages be together.
const LARGEST_MAX: u64 = 2;

/// Makes the directory, in that for temporary files.
pub fn make(temporary: &Path) -> io::Result<PathBuf> {
    let directory = temporary.join(NAME);
    DirBuilder::new().mode(0o700).create(&directory)?;
    Ok(directory)
}

/// The files that a program left for this run, those that it left first first. Blocks.
///
/// # Errors
/// If anything is there that is no such file, or too much.
pub fn collect(place: &Place, run: &Run, message_max: u64) -> Result<Vec<(Left, OwnedFd)>, Refusal> {
    let Some(directory) = &place.places.handover else { return Ok(Vec::new()) };
    let (mut files, mut octets) = (Vec::new(), 0u64);
    let most = message_max.saturating_mul(LARGEST_MAX);
    for (file, stat) in open_all(directory)? {
        // Without what is to be done with the message, at the most.
        let size = u64::try_from(stat.st_size).unwrap_or(0).saturating_sub(JOB_MAX as u64);
        octets = octets.saturating_add(size);
        if octets > most {
            let refusal = format!("the program's messages have more than {most} octets together");
            return Err(Refusal::NotAllowed(refusal));
        }
        let mut file = File::from(file);
        // What cannot be read is found out, and said, by who reads it to its end.
        let forwards_delivery = forwards(&file, &place.content, run).unwrap_or(false);
        file.rewind().map_err(|error| disk(&error))?;
        let left = Left { uid: stat.st_uid, forwards_delivery };
        files.push(((stat.st_mtime, stat.st_mtime_nsec), (left, file.into())));
    }
    files.sort_by_key(|(when, _)| *when);
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

fn open_all(directory: &Path) -> Result<Vec<(OwnedFd, Stat)>, Refusal> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match fs::open(directory, how, Mode::empty()) {
        Ok(folder) => folder,
        // It was removed, with all that lay in it.
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Err(odd(NAME.as_bytes(), "no directory")),
        Err(error) => return Err(disk(&error.into())),
    };
    let mut files = Vec::new();
    for entry in Dir::read_from(&folder).map_err(|error| disk(&error.into()))? {
        let entry = entry.map_err(|error| disk(&error.into()))?;
        let name = entry.file_name();
        match name.to_bytes() {
            // What was not finished when the program ended, and what it was told.
            [b'.', ..] => continue,
            _ if files.len() == LEFT_MAX => return Err(Refusal::TooManyMessages(LEFT_MAX)),
            octets if !is_name(octets) => return Err(odd(octets, "no name that sendmail gives")),
            _ => files.push(open(&folder, name)?),
        }
    }
    Ok(files)
}

/// Opens a file, if it is one and nothing else.
fn open(folder: &OwnedFd, name: &CStr) -> Result<(OwnedFd, Stat), Refusal> {
    // Not a FIFO that nobody writes.
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let no_file = || odd(name.to_bytes(), "no file");
    let file = match fs::openat(folder, name, how, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Err(no_file()),
        Err(error) => return Err(disk(&error.into())),
    };
    let stat = fs::fstat(&file).map_err(|error| disk(&error.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        // Its other name may lie where the program may not write.
        FileType::RegularFile if stat.st_nlink == 1 => Ok((file, stat)),
        FileType::RegularFile => Err(odd(name.to_bytes(), "a file with another name besides")),
        _ => Err(no_file()),
    }
}

fn odd(name: &[u8], what: &str) -> Refusal {
    let name = visible(name);
    Refusal::Unreadable(format!("the program left something for the mail server that is {what}: {name}"))
}

fn disk(error: &io::Error) -> Refusal {
    Refusal::ServerAway(format!("what the program left cannot be read: {error}"))
}

/// Whether a file has the very message that is being delivered, under the sender and with the line that the
/// program was told: as a forward line of the instructions would send it on.
fn forwards(file: &File, content: &Content, run: &Run) -> Result<bool, DropFileError> {
    let left = DropFile::open(file, u64::MAX)?;
    let told = |name: &str| run.environment.iter().find(|(told, _)| told == name).map(|(_, value)| value);
    let Job { sender, treatment, .. } = left.job();
    let as_told = match treatment {
        Treatment::Forward { delivered_to } => {
            Some(delivered_to) == told("DTLINE") && sender.as_ref() == told("NEWSENDER")
        }
        Treatment::Complete | Treatment::AsIs => false,
    };
    if !as_told {
        return Ok(false);
    }
    // The program could have changed the file that it was given.
    let mut same = Same(left);
    Ok(content.write_with_lf(&mut same).is_ok() && matches!(same.0.read(&mut [0]), Ok(0)))
}

/// Takes what the message of a file has, octet for octet, and nothing else.
struct Same<'a>(DropFile<&'a File>);

impl Write for Same<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut read = vec![0; octets.len()];
        let length = self.0.read(&mut read).map_err(io::Error::other)?;
        if length == 0 && !octets.is_empty() || read[..length] != octets[..length] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
