//! Copies of what was found damaged, for people to look at.

use std::io::{self, IoSlice};

use crate::segment::Segment;
use crate::storage::{Folder, Storage};

/// Copies a stretch of a segment to `quarantine/`, once. Gives the copy's name.
///
/// # Errors
/// Those of the disk.
pub(crate) fn keep<S: Storage>(
    storage: &S,
    segment: &Segment<S::File>,
    from: u32,
    to: u32,
) -> io::Result<String> {
    let name = format!("{:016x}-{from:08x}", segment.number.get());
    let file = match storage.create(Folder::Quarantine, &name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(name),
        Err(error) => return Err(error),
    };
    let octets = segment.read(storage, from, to.saturating_sub(from) as usize)?;
    storage.write_at(&file, 0, &mut [IoSlice::new(&octets)])?;
    storage.sync_all(&file)?;
    storage.sync_directory(Folder::Quarantine)?;
    Ok(name)
}
