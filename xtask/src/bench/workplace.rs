//! Where the bench works, and what has to be known of that place to read its figures.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// Sockets have names of at most 107 octets, and Dovecot's have up to 40 after this path.
const PATH_LENGTH_MAX: usize = 64;

/// A fresh directory in `parent`, removed when dropped.
///
/// # Errors
/// If it cannot be made, or the peers could not work in it.
pub fn make(parent: &Path) -> anyhow::Result<TempDir> {
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let parent = parent.canonicalize()?;
    let directory = tempfile::Builder::new().prefix("run-").tempdir_in(parent)?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    if directory.path().as_os_str().len() > PATH_LENGTH_MAX {
        bail!(
            "{} is too long a name for what holds sockets; choose another by --dir",
            directory.path().display()
        );
    }
    for ancestor in directory.path().ancestors() {
        if fs::metadata(ancestor)?.mode() & 0o001 == 0 {
            bail!(
                "{} is closed to the users of Postfix and Dovecot; choose another place by --dir",
                ancestor.display()
            );
        }
    }
    Ok(directory)
}

/// One line on the machine and the file system, to stand above every table.
pub fn describe(directory: &Path) -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let place = mount(directory, &read("/proc/self/mounts"));
    let place = place.map_or_else(
        || "an unknown file system".to_string(),
        |mount| {
            let device = mount.device.strip_prefix("/dev/").unwrap_or(&mount.device);
            // ext4 without a journal is slow at making files after many were removed.
            let journal = Path::new("/proc/fs/jbd2").join(format!("{device}-8")).exists();
            match mount.kind.as_str() {
                "ext4" if journal => "ext4 with a journal".to_string(),
                "ext4" => "ext4 WITHOUT a journal".to_string(),
                kind => kind.to_string(),
            }
        },
    );
    format!("{processors} CPUs, Linux {}, {place}, load before {load}", kernel.trim_end())
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    kind: String,
}

/// The mount that a directory lies in, out of `/proc/self/mounts`.
fn mount(directory: &Path, mounts: &str) -> Option<Mount> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (device, at, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let at = PathBuf::from(at.replace("\\040", " "));
        directory.starts_with(&at).then(|| (at, Mount { device: device.to_string(), kind: kind.to_string() }))
    });
    // The deepest, and of those the one that was mounted last.
    mounts.max_by_key(|(at, _)| at.components().count()).map(|(_, mount)| mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts_and_of_two_the_later() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/loop0 /tmp/j ext4 rw 0 0\n\
                      /dev/loop1 /tmp/j xfs rw 0 0\n";
        let kind = |directory: &str| mount(Path::new(directory), mounts).map(|mount| mount.kind);
        assert_eq!(kind("/tmp/j/x"), Some("xfs".to_string()));
        assert_eq!(kind("/tmp/jx"), Some("tmpfs".to_string()));
        assert_eq!(kind("/home"), Some("ext4".to_string()));
    }
}
