//! Counts messages as they arrive in Maildirs.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

const PAUSE: Duration = Duration::from_millis(1);

/// Watches the `new` directories of some Maildirs. The kernel tells of each file that comes, which
/// costs the server less than being watched by listing directories again and again.
pub struct Arrivals {
    inotify: OwnedFd,
    count: usize,
}

impl Arrivals {
    /// Counts from now on what comes into these Maildirs.
    ///
    /// # Errors
    /// With the directory that cannot be watched.
    pub fn watch<'a>(maildirs: impl Iterator<Item = &'a Path>) -> anyhow::Result<Arrivals> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        for maildir in maildirs {
            let new = maildir.join("new");
            // A rename into the directory, or a link.
            inotify::add_watch(&inotify, &new, WatchFlags::MOVED_TO | WatchFlags::CREATE)
                .with_context(|| format!("cannot watch {}", new.display()))?;
        }
        Ok(Arrivals { inotify, count: 0 })
    }

    /// Waits until `expected` messages have come in all.
    ///
    /// # Errors
    /// If there are fewer by `deadline`, or more.
    pub fn wait_for(&mut self, expected: usize, deadline: Instant) -> anyhow::Result<()> {
        loop {
            self.drain()?;
            if self.count == expected {
                return Ok(());
            }
            if self.count > expected || Instant::now() > deadline {
                bail!("{} messages came into the mailboxes, not {expected}", self.count);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        let mut buffer = [const { MaybeUninit::uninit() }; 64 << 10];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    bail!("more messages came than the kernel remembers (fs.inotify.max_queued_events)")
                }
                Ok(_) => self.count += 1,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_and_a_link_each_count_once() {
        let maildir = tempfile::tempdir().unwrap();
        for sub in ["tmp", "new"] {
            std::fs::create_dir(maildir.path().join(sub)).unwrap();
        }
        let mut arrivals = Arrivals::watch([maildir.path()].into_iter()).unwrap();
        let (tmp, new) = (maildir.path().join("tmp/a"), maildir.path().join("new/a"));
        std::fs::write(&tmp, "mail").unwrap();
        std::fs::hard_link(&tmp, &new).unwrap();
        std::fs::rename(&tmp, maildir.path().join("new/b")).unwrap();
        let soon = Instant::now() + Duration::from_secs(10);
        arrivals.wait_for(2, soon).unwrap();
        let past = Instant::now();
        assert!(arrivals.wait_for(3, past).is_err(), "one is missing");
        assert!(arrivals.wait_for(1, soon).is_err(), "one is too many");
    }
}
