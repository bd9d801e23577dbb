//! The drop directory on disk. Whoever is in its group may put anything there, under any name: each name is
//! looked at without being followed, and a file is believed nothing but its owner; and that only if it is as
//! `sendmail` makes them there, as a file of somebody's that is moved there from elsewhere is not.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use envelope::QueueId;
use envelope::event::Words;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sendmail::drop_file::is_name;
use tracing::warn;

use crate::roles::unix_now;

/// The folder, in the drop directory, of files that were made ours. Nobody else can write there.
const TAKEN: &CStr = c"taken";
/// How long a file may be in the making, in seconds: its name begins with a dot for as long.
const MAKING_MAX: u64 = 86_400;
/// The most lines of the log about odd files in one look.
const COMPLAINTS_MAX: usize = 20;
/// As `sendmail` makes its files: nobody but their owner may have written them.
const MODE: u32 = 0o640;

/// The drop directory.
pub struct DropDirectory {
    folder: OwnedFd,
    taken: OwnedFd,
    /// The group of what is made in it, if it sees to that: a file that was moved there has another.
    group: Option<u32>,
}

/// A file that was made ours.
pub enum Opened {
    /// Somebody left it.
    Left(Left),
    /// It is not as `sendmail` makes them, or cannot be read: somebody else may have put it there than owns
    /// it, or its group is that of former days.
    Unfit {
        /// Whose it is.
        uid: u32,
        /// What is unfit about it.
        why: &'static str,
    },
    /// It is none that could be read.
    Odd {
        /// Whose it is.
        uid: u32,
        /// What is odd about it.
        why: &'static str,
    },
}

/// A file that somebody left.
pub struct Left {
    /// Open for reading.
    pub file: File,
    /// Whose it is: the caller.
    pub uid: u32,
    /// Octets.
    pub size: u64,
    /// When it was written, in seconds since 1970, as far as its owner says.
    pub when: u64,
}

impl DropDirectory {
    /// Opens it, and makes the folder for what is made ours.
    ///
    /// # Errors
    /// If the directory is not there, or one of the two cannot be opened.
    pub fn open(path: &Path) -> io::Result<DropDirectory> {
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = fs::open(path, how, Mode::empty())?;
        let own = rustix::process::geteuid().as_raw();
        let stat = fs::fstat(&folder)?;
        let group = Mode::from_raw_mode(stat.st_mode).contains(Mode::SGID).then_some(stat.st_gid);
        for _ in 0..2 {
            match fs::mkdirat(&folder, TAKEN, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            match fs::openat(&folder, TAKEN, how, Mode::empty()) {
                Ok(taken) if fs::fstat(&taken)?.st_uid == own => {
                    fs::fchmod(&taken, Mode::RWXU)?;
                    return Ok(DropDirectory { folder, taken, group });
                }
                Ok(_) | Err(Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {}
                Err(error) => return Err(error.into()),
            }
            // Somebody was there first, with something of his own.
            let aside = format!(".not-ours-{:032x}", rand::random::<u128>());
            warn!(event = "dropped_file_removed", name = "taken", why = "it is not the server's");
            fs::renameat(&folder, TAKEN, &folder, aside.as_str())?;
        }
        Err(io::Error::other("somebody else makes the folder `taken`"))
    }

    /// Makes up to `most` files ours, and gives their new names. After that they keep them, whatever
    /// happens. What is no file of ours is removed; `complain` says whether what cannot be is logged.
    ///
    /// # Errors
    /// If the directory cannot be read or written.
    pub fn take(
        &self,
        most: usize,
        mut next_id: impl FnMut() -> QueueId,
        complain: bool,
    ) -> io::Result<Vec<QueueId>> {
        let (mut taken, mut odd) = (Vec::new(), 0);
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." || name == TAKEN {
                continue;
            }
            let stat = match fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Its owner took it back, or it got its name just now.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let why = match is_file(&stat) {
                true if is_name(name.to_bytes()) => {
                    let id = next_id();
                    match fs::renameat(&self.folder, name, &self.taken, id.to_string()) {
                        Ok(()) => taken.push(id),
                        Err(Errno::NOENT) => {}
                        Err(error) => return Err(error.into()),
                    }
                    if taken.len() == most {
                        break;
                    }
                    continue;
                }
                true if name.to_bytes().starts_with(b".") && age(&stat) < MAKING_MAX => continue,
                true if name.to_bytes().starts_with(b".") => "it was never finished",
                true => "it has no name of ours",
                false => "it is no file",
            };
            let removed = self.remove_odd(name, &stat);
            odd += 1;
            if odd <= COMPLAINTS_MAX && (removed || complain) {
                let shown = Words::new(&OsStr::from_bytes(name.to_bytes()).to_string_lossy());
                let event = if removed { "dropped_file_removed" } else { "dropped_file_stays" };
                warn!(event, name = %shown, uid = stat.st_uid, why);
            }
        }
        if odd > COMPLAINTS_MAX {
            warn!(event = "dropped_file_removed", others = odd - COMPLAINTS_MAX);
        }
        self.sync()?;
        Ok(taken)
    }

    /// The files that were made ours before, the oldest first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn taken(&self) -> io::Result<Vec<QueueId>> {
        let mut ids = Vec::new();
        for entry in Dir::read_from(&self.taken)? {
            ids.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<QueueId>().ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Opens a file that was made ours.
    ///
    /// # Errors
    /// If it is gone, or the disk fails.
    pub fn open_taken(&self, id: QueueId) -> io::Result<Opened> {
        let name = id.to_string();
        let stat = fs::statat(&self.taken, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        if !is_file(&stat) {
            return Ok(Opened::Odd { uid: stat.st_uid, why: "it is no file" });
        }
        // Not a FIFO that nobody writes, should it be one by now.
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match fs::openat(&self.taken, name.as_str(), how, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ACCESS | Errno::PERM) => {
                let why = self.unfit(&stat).unwrap_or("the server may not read it");
                return Ok(Opened::Unfit { uid: stat.st_uid, why });
            }
            Err(error) => return Err(error.into()),
        };
        let stat = fs::fstat(&file)?;
        let uid = stat.st_uid;
        Ok(match self.unfit(&stat) {
            _ if !is_file(&stat) => Opened::Odd { uid, why: "it is no file" },
            // It may be another's, for whom nobody shall send it.
            _ if stat.st_nlink != 1 => Opened::Odd { uid, why: "it has another name besides" },
            Some(why) => Opened::Unfit { uid, why },
            None => Opened::Left(Left {
                uid,
                size: u64::try_from(stat.st_size).unwrap_or(0),
                when: u64::try_from(stat.st_mtime).unwrap_or(0).min(unix_now()),
                file: file.into(),
            }),
        })
    }

    /// Whose these files are that were made ours, as far as they are still there.
    pub fn owners(&self, ids: &[QueueId]) -> Vec<(QueueId, u32)> {
        let owner = |id: &QueueId| {
            let stat = fs::statat(&self.taken, id.to_string(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
            Some((*id, stat.st_uid))
        };
        ids.iter().filter_map(owner).collect()
    }

    /// What tells that `sendmail` did not make this file here.
    fn unfit(&self, stat: &Stat) -> Option<&'static str> {
        match self.group {
            _ if stat.st_mode & 0o7777 != MODE => Some("its mode is not 0640, as sendmail leaves files"),
            Some(group) if group != stat.st_gid => Some("its group is not that of the drop directory"),
            _ => None,
        }
    }

    /// Removes a file that was made ours; what cannot be removed is tried again.
    pub fn remove(&self, id: QueueId) {
        let name = id.to_string();
        let removed = match fs::unlinkat(&self.taken, name.as_str(), AtFlags::empty()) {
            Err(Errno::ISDIR) => fs::unlinkat(&self.taken, name.as_str(), AtFlags::REMOVEDIR),
            removed => removed,
        };
        if let Err(error) = removed {
            warn!(event = "dropped_file_stays", queue_id = %id, %error);
        }
    }

    /// Sees to it that the disk knows what has which name.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        fs::fsync(&self.taken)?;
        Ok(fs::fsync(&self.folder)?)
    }

    fn remove_odd(&self, name: &CStr, stat: &Stat) -> bool {
        let flags = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => AtFlags::REMOVEDIR,
            _ => AtFlags::empty(),
        };
        fs::unlinkat(&self.folder, name, flags).is_ok()
    }
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Seconds since anything about it changed: that time its owner cannot set.
fn age(stat: &Stat) -> u64 {
    unix_now().saturating_sub(u64::try_from(stat.st_ctime).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use envelope::QueueIds;

    use super::*;

    fn hex(number: usize) -> String {
        format!("{number:032x}")
    }

    /// As `sendmail` leaves it.
    fn leave(path: impl AsRef<Path>, octets: &str) {
        std::fs::write(&path, octets).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(MODE)).unwrap();
    }

    fn take(directory: &DropDirectory, most: usize) -> Vec<QueueId> {
        let mut ids = QueueIds::new(1);
        directory.take(most, || ids.next(crate::roles::unix_micros()), true).unwrap()
    }

    #[test]
    fn only_files_with_names_of_ours_are_taken_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        leave(at(&hex(1)), "mail");
        std::fs::write(at(".new-1"), "half").unwrap();
        std::fs::write(at("notes.txt"), "mine").unwrap();
        std::fs::create_dir(at(&hex(2))).unwrap();
        std::fs::create_dir_all(at("full/of/it")).unwrap();
        symlink("/etc/passwd", at(&hex(3))).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at(&hex(4)), Mode::RUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at(&hex(5))).unwrap();
        let directory = DropDirectory::open(folder.path()).unwrap();
        let taken = take(&directory, 10);
        assert_eq!(taken.len(), 1);
        assert_eq!(directory.taken().unwrap(), taken);
        let Ok(Opened::Left(left)) = directory.open_taken(taken[0]) else { panic!("it is a file") };
        assert_eq!((left.uid, left.size), (rustix::process::geteuid().as_raw(), 4));
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [".new-1", "full", "taken"]);
        assert!(Path::new("/etc/passwd").exists());
        directory.remove(taken[0]);
        assert!(directory.taken().unwrap().is_empty());
    }

    #[test]
    fn ten_thousand_files_are_taken_in_batches() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..10_000 {
            std::fs::write(folder.path().join(hex(number)), "").unwrap();
        }
        let directory = DropDirectory::open(folder.path()).unwrap();
        let mut ids = QueueIds::new(1);
        let mut batches = Vec::new();
        loop {
            let batch = directory.take(1000, || ids.next(1), false).unwrap();
            if batch.is_empty() {
                break;
            }
            batches.push(batch.len());
        }
        assert_eq!(batches.iter().sum::<usize>(), 10_000);
        assert_eq!((batches[0], directory.taken().unwrap().len()), (1000, 10_000));
    }

    #[test]
    fn a_file_with_another_name_is_left_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DropDirectory::open(folder.path()).unwrap();
        let secret = folder.path().parent().unwrap().join(format!("secret-{}", std::process::id()));
        std::fs::write(&secret, "not for the world").unwrap();
        std::fs::hard_link(&secret, folder.path().join(hex(1))).unwrap();
        let [id] = take(&directory, 10)[..] else { panic!("it looks like a file") };
        let opened = directory.open_taken(id).unwrap();
        assert!(matches!(opened, Opened::Odd { why: "it has another name besides", .. }));
        directory.remove(id);
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "not for the world");
        std::fs::remove_file(&secret).unwrap();
    }

    #[test]
    fn what_sendmail_did_not_make_there_is_sent_for_nobody_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o3730)).unwrap();
        let directory = DropDirectory::open(folder.path()).unwrap();
        let modes = [0o666, 0o644, 0o600, 0o4640, 0o660, 0o000];
        for (number, mode) in modes.into_iter().enumerate() {
            let path = folder.path().join(hex(number));
            leave(&path, "mail");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        leave(folder.path().join(hex(100)), "mail");
        let root = rustix::process::geteuid().is_root();
        if root {
            let moved = folder.path().join(hex(101));
            leave(&moved, "mail");
            let other = rustix::process::getegid().as_raw() + 1;
            std::os::unix::fs::chown(&moved, None, Some(other)).unwrap();
        }
        let taken = take(&directory, 100);
        let opened: Vec<Opened> = taken.iter().map(|id| directory.open_taken(*id).unwrap()).collect();
        let fit = opened.iter().filter(|opened| matches!(opened, Opened::Left(_))).count();
        let unfit = opened.iter().filter(|opened| matches!(opened, Opened::Unfit { .. })).count();
        assert_eq!((fit, unfit), (1, modes.len() + usize::from(root)));
        assert_eq!(directory.owners(&taken).len(), taken.len());
    }

    #[test]
    fn what_turns_into_something_else_once_it_is_ours_is_odd() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DropDirectory::open(folder.path()).unwrap();
        let mut ids = QueueIds::new(1);
        let at = |id: QueueId| folder.path().join("taken").join(id.to_string());
        let [link, fifo, dir] = [1, 2, 3].map(|time| ids.next(time));
        symlink("/etc/passwd", at(link)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at(fifo), Mode::RUSR).unwrap();
        std::fs::create_dir(at(dir)).unwrap();
        for id in [link, fifo, dir] {
            assert!(matches!(directory.open_taken(id), Ok(Opened::Odd { why: "it is no file", .. })), "{id}");
            directory.remove(id);
        }
        assert!(directory.taken().unwrap().is_empty());
    }

    #[test]
    fn the_folder_of_what_is_ours_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/tmp", folder.path().join("taken")).unwrap();
        let directory = DropDirectory::open(folder.path()).unwrap();
        let taken = std::fs::symlink_metadata(folder.path().join("taken")).unwrap();
        assert!(taken.is_dir());
        assert_eq!(taken.permissions().mode() & 0o777, 0o700);
        assert!(directory.taken().unwrap().is_empty());
    }
}
