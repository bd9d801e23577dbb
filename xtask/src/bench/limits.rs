//! What this machine could do at best: the floor under every durable queue, and the generator.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::server::{Server, free_address};

const RECORD: [u8; 4096] = [b'x'; 4096];
/// The log is written from its beginning again when it is this long, in octets.
const LOG_SIZE: u64 = 64 << 20;

/// Where the records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Into a file that grows: every sync writes the file's length, too.
    Growing,
    /// Over a file that has its length: a sync writes data only.
    Recycled,
}

/// Group commit in its simplest form: `writers` each hand in a record of 4 KiB and wait until it
/// is on disk; one committer writes all that wait, and syncs once for all. Gives records per second.
///
/// # Errors
/// If the file cannot be written or synced.
pub fn group_commit(directory: &Path, log: Log, writers: usize, duration: Duration) -> anyhow::Result<f64> {
    let path = directory.join("log");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    if log == Log::Recycled {
        for block in 0..LOG_SIZE / RECORD.len() as u64 {
            file.write_all_at(&RECORD, block * RECORD.len() as u64)?;
        }
    }
    file.sync_all()?;
    File::open(directory)?.sync_all()?;

    let commit = Commit::default();
    let begin = Instant::now();
    let committed = thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| while commit.hand_in() {});
        }
        let committed = commit_all(&commit, &file, begin + duration);
        commit.close();
        committed
    });
    let seconds = begin.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(committed? as f64 / seconds)
}

/// The committer; gives how many records it made durable.
fn commit_all(commit: &Commit, file: &File, end: Instant) -> anyhow::Result<u64> {
    let mut batch = Vec::new();
    let (mut committed, mut position) = (0, 0);
    while Instant::now() < end {
        let waiting = commit.take();
        batch.clear();
        for _ in 0..waiting {
            batch.extend_from_slice(&RECORD);
        }
        if position + batch.len() as u64 > LOG_SIZE {
            position = 0;
        }
        file.write_all_at(&batch, position).context("writing the log")?;
        file.sync_data().context("syncing the log")?;
        position += batch.len() as u64;
        committed += waiting as u64;
        commit.wake();
    }
    Ok(committed)
}

/// Where writers and committer meet.
#[derive(Default)]
struct Commit {
    state: Mutex<State>,
    handed_in: Condvar,
    durable: Condvar,
}

#[derive(Default)]
struct State {
    waiting: usize,
    /// Batches that the committer has taken.
    taken: u64,
    /// Batches that are on disk.
    durable: u64,
    closed: bool,
}

impl Commit {
    /// Hands in a record and waits until it is durable. False when there is no more to do.
    fn hand_in(&self) -> bool {
        let mut state = self.state();
        state.waiting += 1;
        self.handed_in.notify_one();
        // What comes while a sync runs goes with the next one.
        let mine = state.taken + 1;
        let state = self
            .durable
            .wait_while(state, |state| state.durable < mine && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// Takes all that wait, at least one.
    fn take(&self) -> usize {
        let mut state = self
            .handed_in
            .wait_while(self.state(), |state| state.waiting == 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.taken += 1;
        std::mem::take(&mut state.waiting)
    }

    /// Wakes those whose records were taken last.
    fn wake(&self) {
        let mut state = self.state();
        state.durable = state.taken;
        drop(state);
        self.durable.notify_all();
    }

    fn close(&self) {
        self.state().closed = true;
        self.durable.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the generator sends to when it is measured itself: a server that keeps nothing.
///
/// # Errors
/// If no address is free.
pub fn sink(directory: &Path) -> anyhow::Result<Server> {
    fs::create_dir_all(directory)?;
    let address = free_address()?;
    let backlog = "1000";
    let command = ["smtp-sink", "-u", "nobody", &address.to_string(), backlog].map(Into::into).to_vec();
    Ok(Server {
        name: "smtp-sink",
        command,
        address,
        maildirs: HashMap::new(),
        owner: 0,
        log: directory.join("output"),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_record_that_comes_during_a_sync_waits_for_the_next() {
        let commit = Commit::default();
        let (told, tell) = mpsc::channel();
        thread::scope(|scope| {
            let write = |name: &'static str| {
                let (told, commit) = (told.clone(), &commit);
                scope.spawn(move || {
                    commit.hand_in();
                    told.send(name).unwrap();
                });
                while commit.state().waiting == 0 {
                    thread::yield_now();
                }
            };
            write("first");
            assert_eq!(commit.take(), 1);
            write("second");
            commit.wake();
            assert_eq!(tell.recv().unwrap(), "first");
            assert!(tell.recv_timeout(Duration::from_millis(20)).is_err());
            assert_eq!(commit.take(), 1);
            commit.wake();
            assert_eq!(tell.recv().unwrap(), "second");
        });
    }

    #[test]
    fn writers_and_committer_come_to_an_end() {
        let directory = tempfile::tempdir().unwrap();
        for log in [Log::Growing, Log::Recycled] {
            let rate = group_commit(directory.path(), log, 3, Duration::from_millis(20)).unwrap();
            assert!(rate > 0.0, "{log:?}");
        }
    }
}
