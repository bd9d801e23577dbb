//! Leaving a message for a server that is away: a file in a directory into which members of a group may
//! write, but not look. The server takes it from there when it runs again, with its owner as the caller.
//! Likewise leaving one for who runs this program, where delivery instructions do: see
//! `roles/programs/left.rs`.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use link::services::submit::LEFT_MAX;
use nix::unistd::{Gid, Group};
use sendmail::{Job, Refusal, drop_file};

use super::message::Message;

/// Octets that are written at once.
const BUFFER: usize = 64 << 10;

/// Leaves the message. It is on disk when this ends well.
///
/// # Errors
/// If it cannot be left, with a sentence that says what is missing.
pub fn leave(directory: &Path, job: &Job, message: &Message) -> Result<(), String> {
    let (new, whole) = names(directory);
    let file = create(&new).map_err(|error| why_not(directory, &error))?;
    fill(&file, job, message)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&new, &whole))
        // Until the directory is on disk, a power cut can undo the rename; but who may not look into a
        // directory cannot sync it by itself.
        .and_then(|()| Ok(rustix::fs::syncfs(&file)?))
        .map_err(|error| {
            // The caller is told that it did not go, so it must not go.
            let _ = std::fs::remove_file(&new).or_else(|_| std::fs::remove_file(&whole));
            why_not(directory, &error)
        })
}

/// Leaves the message for the server that runs this program. Should the power fail, the program runs again,
/// so this waits for no disk.
///
/// # Errors
/// If it cannot be left, or if there are too many already.
pub fn hand_over(directory: &Path, job: &Job, message: &Message) -> Result<(), Refusal> {
    let (new, whole) = names(directory);
    left_in(directory)
        .and_then(|left| {
            if left >= LEFT_MAX {
                return Ok(Err(Refusal::TooManyMessages(LEFT_MAX)));
            }
            fill(&create(&new)?, job, message)?;
            std::fs::rename(&new, &whole).map(Ok)
        })
        .unwrap_or_else(|error| {
            let _ = std::fs::remove_file(&new);
            Err(Refusal::ServerAway(format!("mail cannot be left in {}: {error}", directory.display())))
        })
}

/// How many messages lie there.
fn left_in(directory: &Path) -> io::Result<usize> {
    let mut left = 0;
    for entry in std::fs::read_dir(directory)?.take(1000) {
        left += usize::from(drop_file::is_name(entry?.file_name().as_encoded_bytes()));
    }
    Ok(left)
}

/// Where a file is written, and where it is whole.
fn names(directory: &Path) -> (PathBuf, PathBuf) {
    let name = drop_file::name(rand::random());
    (directory.join(format!(".new-{name}")), directory.join(name))
}

fn create(new: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(new)?;
    // The caller's umask may have taken from the server's group what it needs.
    file.set_permissions(Permissions::from_mode(0o640))?;
    Ok(file)
}

fn fill(file: &File, job: &Job, message: &Message) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, file);
    drop_file::write(job, message.size(), &mut message.reader(), &mut out)?;
    out.flush()
}

/// Why nothing can be left there.
fn why_not(directory: &Path, error: &io::Error) -> String {
    let place = directory.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("it has not made {place} yet, where mail could wait for it"),
        io::ErrorKind::PermissionDenied => match group_of(directory) {
            Some(group) => {
                format!("only members of the group {group} may leave mail in {place}, and this user is none")
            }
            None => format!("this user may not leave mail in {place}"),
        },
        _ => format!("mail cannot be left in {place}: {error}"),
    }
}

fn group_of(directory: &Path) -> Option<String> {
    let gid = std::fs::metadata(directory).ok()?.gid();
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    Some(group.map_or_else(|| gid.to_string(), |group| group.name))
}
