//! The real disk: a spool directory that one process holds.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::storage::{Folder, Storage};

/// The most pieces that the kernel takes in one vectored write (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// The spool as a directory of files. Holds the lock of the spool as long as it lives.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    log: File,
    blobs: File,
    quarantine: File,
    _lock: File,
}

/// The spool cannot be used.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error("the spool {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The disk says no.
    #[error("opening the spool {}", path.display())]
    Io {
        /// What was being opened.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl Files {
    /// Takes the spool directory `root`, making it and its folders where they are missing.
    ///
    /// # Errors
    /// If another process has it, or the disk says no.
    pub fn open(root: &Path) -> Result<Files, SpoolError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SpoolError::Io { path, source }
        };
        make_directory(root).map_err(failed(root))?;
        let lock_path = root.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse(root.to_owned())),
            Err(TryLockError::Error(source)) => return Err(SpoolError::Io { path: lock_path, source }),
        }
        let folder = |folder: Folder| {
            let path = root.join(folder.as_str());
            make_directory(&path).and_then(|()| File::open(&path)).map_err(failed(&path))
        };
        let files = Files {
            log: folder(Folder::Log)?,
            blobs: folder(Folder::Blobs)?,
            quarantine: folder(Folder::Quarantine)?,
            root: root.to_owned(),
            _lock: lock,
        };
        // The folders themselves have names that a power cut can undo.
        File::open(root).and_then(|directory| directory.sync_all()).map_err(failed(root))?;
        Ok(files)
    }

    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.root.join(folder.as_str()).join(name)
    }

    fn directory(&self, folder: Folder) -> &File {
        match folder {
            Folder::Log => &self.log,
            Folder::Blobs => &self.blobs,
            Folder::Quarantine => &self.quarantine,
        }
    }
}

/// Makes a directory that only we may enter, if it is missing.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

impl Storage for Files {
    type File = File;

    fn create(&self, folder: Folder, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        options.open(self.path(folder, name))
    }

    fn open(&self, folder: Folder, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path(folder, name))
    }

    fn open_to_read(&self, folder: Folder, name: &str) -> io::Result<File> {
        File::open(self.path(folder, name))
    }

    fn rename(&self, folder: Folder, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(folder, from), self.path(folder, to))
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(folder, name))
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.root.join(folder.as_str()))? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn sync_directory(&self, folder: Folder) -> io::Result<()> {
        self.directory(folder).sync_all()
    }

    fn allocate(&self, mut file: &File, length: u64) -> io::Result<()> {
        // First the space, in as few extents as there are, so that a full disk is known at once;
        // then zeros, since an extent that was never written costs fdatasync a metadata write.
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(e) => return Err(e.into()),
        }
        let zeros = vec![0; 1 << 20];
        let mut left = length;
        while left > 0 {
            let piece = left.min(zeros.len() as u64);
            file.write_all(&zeros[..piece as usize])?;
            left -= piece;
        }
        Ok(())
    }

    fn length(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn write_at(&self, file: &File, mut offset: u64, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        // Empty pieces at the front would look like a write of nothing.
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            let some = pieces.len().min(PIECES_MAX);
            match rustix::io::pwritev(file, &pieces[..some], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut pieces, written);
                    offset += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match file.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(some) => read += some,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(read)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn free_space(&self) -> io::Result<u64> {
        let space = rustix::fs::fstatvfs(&self.log)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_has_one_process() {
        let spool = tempfile::tempdir().unwrap();
        let files = Files::open(spool.path()).unwrap();
        assert!(matches!(Files::open(spool.path()), Err(SpoolError::InUse(_))));
        drop(files);
        Files::open(spool.path()).unwrap();
    }

    #[test]
    fn more_pieces_than_the_kernel_takes_are_written_in_order() {
        let spool = tempfile::tempdir().unwrap();
        let files = Files::open(spool.path()).unwrap();
        let file = files.create(Folder::Log, "a").unwrap();
        let octets: Vec<u8> = (0..3000u32).flat_map(u32::to_le_bytes).collect();
        let mut pieces = vec![IoSlice::new(&[])];
        pieces.extend(octets.chunks(4).map(IoSlice::new));
        files.write_at(&file, 10, &mut pieces).unwrap();
        let mut read = vec![0; octets.len() + 10];
        assert_eq!(files.read_at(&file, 10, &mut read).unwrap(), octets.len());
        assert_eq!(read[..octets.len()], octets);
    }

    #[test]
    fn an_allocated_file_is_all_zeros() {
        let spool = tempfile::tempdir().unwrap();
        let files = Files::open(spool.path()).unwrap();
        let file = files.create(Folder::Log, "a").unwrap();
        files.allocate(&file, (1 << 20) + 4096).unwrap();
        let mut read = vec![1; (1 << 20) + 5000];
        assert_eq!(files.read_at(&file, 0, &mut read).unwrap(), (1 << 20) + 4096);
        assert!(read[..(1 << 20) + 4096].iter().all(|b| *b == 0));
    }
}
