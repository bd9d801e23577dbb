//! Ways below a home whose contents somebody else decides on.
//!
//! The path is walked name by name from an open directory, and no link is followed, so that it leads
//! nowhere but below the home, whoever changes what on the way meanwhile. One such step after the
//! other is as safe as `openat2` with its flags, works where the kernel or a container refuses that,
//! and these paths are short.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, fsync, mkdirat, openat};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a directory below `home`, which itself may be reached over links and must be there; the rest
/// is made durably where it is missing.
///
/// # Errors
/// If a part of it is a link or no directory, or the path leads out of the home.
pub(crate) fn make_directory(home: &Path, relative: &Path) -> io::Result<OwnedFd> {
    let names = names(relative)?;
    let home = openat(CWD, home, DIRECTORY, Mode::empty())?;
    names.into_iter().try_fold(home, step_making)
}

/// Opens the directory in which a file below `home` lies, and tells the file's name in it.
///
/// # Errors
/// If a part of it is missing, a link or no directory, or the path leads out of the home.
pub(crate) fn open_parent(home: &Path, relative: &Path) -> io::Result<(OwnedFd, OsString)> {
    let mut names = names(relative)?;
    let name = names.pop().ok_or(io::ErrorKind::IsADirectory)?;
    Ok((walk(home, names)?, name.to_os_string()))
}

/// Opens a directory in an open one; never over a link.
pub(crate) fn step(directory: impl AsFd, name: impl AsRef<OsStr>) -> io::Result<OwnedFd> {
    Ok(openat(directory, name.as_ref(), DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Opens a directory in an open one, and makes it if it is not there.
pub(crate) fn step_making(directory: impl AsFd, name: impl AsRef<OsStr>) -> io::Result<OwnedFd> {
    match mkdirat(&directory, name.as_ref(), Mode::from_raw_mode(0o770)) {
        Ok(()) => fsync(&directory)?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    step(directory, name)
}

fn walk(home: &Path, names: Vec<&OsStr>) -> io::Result<OwnedFd> {
    let home = openat(CWD, home, DIRECTORY, Mode::empty())?;
    names.into_iter().try_fold(home, step)
}

fn names(relative: &Path) -> io::Result<Vec<&OsStr>> {
    let name = |part| match part {
        Component::Normal(name) => Some(Ok(name)),
        Component::CurDir => None,
        _ => Some(Err(io::Error::new(io::ErrorKind::InvalidInput, "it leads out of the home directory"))),
    };
    relative.components().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_is_followed_and_no_path_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir_all(home.join("a/b")).unwrap();
        std::fs::create_dir(dir.path().join("other")).unwrap();
        symlink(dir.path().join("other"), home.join("out")).unwrap();
        symlink("a", home.join("in")).unwrap();
        symlink(&home, dir.path().join("way")).unwrap();
        for good in ["", ".", "a", "./a/b", "a//b/"] {
            assert!(make_directory(&home, Path::new(good)).is_ok(), "{good}");
            assert!(make_directory(&dir.path().join("way"), Path::new(good)).is_ok(), "{good}");
        }
        for bad in ["out", "in", "in/b", "out/b", "a/..", "../other", "/", "/etc"] {
            assert!(make_directory(&home, Path::new(bad)).is_err(), "{bad}");
        }
        assert!(make_directory(&home, Path::new("a/new/one")).is_ok());
        assert!(home.join("a/new/one").is_dir() && !dir.path().join("other/b").exists());
        assert!(make_directory(&dir.path().join("gone"), Path::new("a")).is_err());
        assert!(open_parent(&home, Path::new("a/c/file")).is_err());
        assert_eq!(open_parent(&home, Path::new("./a/b/file")).unwrap().1, "file");
        assert!(open_parent(&home, Path::new(".")).is_err());
    }
}
