//! Processes that we start, and that never outlive us.
//!
//! A mail server is a tree of processes. It is told to stop by its root, and what is left of the
//! tree after that is killed, process by process: on success, on error, and on Ctrl-C.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};

/// How long a server may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(1);

/// The roots of all trees that run; `None` when no more may be started.
static STARTED: Mutex<Option<Vec<u32>>> = Mutex::new(Some(Vec::new()));

fn started() -> MutexGuard<'static, Option<Vec<u32>>> {
    // A list of numbers is whole even where a thread died that held it.
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills all that runs, and lets nothing be started from now on: who tries waits for ever.
pub fn end_all() {
    for root in started().take().unwrap_or_default() {
        for process in tree(root) {
            process.signal(Signal::KILL);
        }
    }
}

/// A process with all its descendants. Dropping it ends them.
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command`; what it prints goes to `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Running> {
        let output = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut started = started();
        let Some(roots) = started.as_mut() else {
            drop(started);
            // Who called `end_all` is about to end this process.
            loop {
                std::thread::park();
            }
        };
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        roots.push(child.id());
        Ok(Running { name: name.to_string(), child, log: log.to_path_buf() })
    }

    /// # Errors
    /// If the process has ended by itself; with the end of its log.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended: {status}\n{}", self.name, self.end_of_log()),
        }
    }

    /// Waits until the process has ended well.
    ///
    /// # Errors
    /// If it ended otherwise, or not by `deadline`.
    pub fn finish(mut self, deadline: Instant) -> anyhow::Result<()> {
        match wait(&mut self.child, deadline)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{}: {status}\n{}", self.name, self.end_of_log()),
            None => bail!("{} did not come to its end\n{}", self.name, self.end_of_log()),
        }
    }

    /// CPU time that the tree has used so far, of processes that ended too.
    pub fn cpu(&self) -> Duration {
        let ticks: u64 = tree(self.child.id()).iter().map(|process| process.cpu_ticks).sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// The last lines of the log.
    pub fn end_of_log(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]);
        format!("the end of {}:\n{tail}", self.log.display())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Before the root goes: then its children have another parent.
        let all = tree(self.child.id());
        if let Some(root) = all.first() {
            root.signal(Signal::TERM);
        }
        // Whether it stopped in time or not, what is left of it is killed next.
        let _ = wait(&mut self.child, Instant::now() + STOP_PATIENCE);
        for process in all.iter().filter(|process| process.still_runs()) {
            process.signal(Signal::KILL);
        }
        let mut started = started();
        let _ = self.child.wait();
        if let Some(roots) = started.as_mut() {
            roots.retain(|root| *root != self.child.id());
        }
    }
}

/// Runs a command to its end, which has to come well and within a minute.
///
/// # Errors
/// If it did not; with what it said.
pub fn run(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<()> {
    Running::start(name, command, log)?.finish(Instant::now() + Duration::from_secs(60))
}

/// From now on processes whose parents ended become our children, so that what they use is counted.
///
/// # Errors
/// If the kernel does not do that.
pub fn adopt_orphans() -> anyhow::Result<()> {
    // Any process will do as the argument: it says yes.
    set_child_subreaper(Some(getpid())).context("cannot adopt processes")
}

/// CPU time of all that was started by this process, and by what it started, whether it still runs or not.
pub fn cpu_of_all() -> Duration {
    let all = tree(getpid().as_raw_pid().cast_unsigned());
    let ticks: u64 = all.iter().map(|process| process.cpu_ticks).sum();
    let own: u64 = all.first().map_or(0, |process| process.own_ticks);
    Duration::from_secs_f64((ticks - own) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Takes note of adopted processes that have ended, as their parent has to.
pub fn bury_orphans() {
    let own = getpid().as_raw_pid().cast_unsigned();
    let mut orphans = tree(own);
    // A child of ours may only be waited for by who started it.
    let started = started();
    let known = |pid: u32| started.as_ref().is_some_and(|roots| roots.contains(&pid));
    orphans.retain(|process| process.parent == own && process.ended && !known(process.pid));
    for orphan in orphans {
        let pid = i32::try_from(orphan.pid).ok().and_then(Pid::from_raw);
        let _ = waitpid(pid, WaitOptions::NOHANG);
    }
}

fn wait(child: &mut Child, deadline: Instant) -> anyhow::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    /// Its own, and that of the children it has waited for.
    cpu_ticks: u64,
    /// Its own alone.
    own_ticks: u64,
    /// With the pid, what tells it from every other process since boot.
    start: u64,
    /// It has ended, and its parent has not noticed yet.
    ended: bool,
}

impl Process {
    fn read(pid: u32) -> Option<Process> {
        Process::parse(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(pid: u32, stat: &str) -> Option<Process> {
        // The second field is the program's name in brackets, which may itself hold some.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let own_ticks = number(11)? + number(12)?;
        let cpu_ticks = own_ticks + number(13)? + number(14)?;
        let parent = u32::try_from(number(1)?).ok()?;
        Some(Process { pid, parent, cpu_ticks, own_ticks, start: number(19)?, ended: fields[0] == "Z" })
    }

    fn still_runs(&self) -> bool {
        Process::read(self.pid).is_some_and(|now| now.start == self.start && !now.ended)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // It may have ended in the meantime.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The process `root`, first, and all its descendants.
fn tree(root: u32) -> Vec<Process> {
    let mut children: HashMap<u32, Vec<Process>> = HashMap::new();
    let mut found: Vec<Process> = Process::read(root).into_iter().collect();
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(process) = Process::read(pid) {
            children.entry(process.parent).or_default().push(process);
        }
    }
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children.remove(&process.pid).unwrap_or_default());
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_brackets_is_stepped_over() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 999 1 1";
        let expected = Process { pid: 7, parent: 3, cpu_ticks: 100, own_ticks: 30, start: 999, ended: false };
        assert_eq!(Process::parse(7, stat), Some(expected));
        assert!(Process::parse(7, &stat.replace(" S ", " Z ")).is_some_and(|process| process.ended));
        assert_eq!(Process::parse(7, "7 (a) S 3"), None);
    }

    #[test]
    fn what_is_dropped_ends_with_its_children() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut shell = Command::new("sh");
        // A shell that does not listen, with a child that does not either.
        shell.args(["-c", "sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.1; done' & wait"]);
        let running = Running::start("a shell", &mut shell, log.path()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !running.end_of_log().ends_with("up\n") {
            assert!(Instant::now() < deadline, "{}", running.end_of_log());
            std::thread::sleep(PAUSE);
        }
        let all = tree(running.child.id());
        assert!(all.len() >= 2, "{all:?}");
        drop(running);
        let inner = all[1];
        while inner.still_runs() {
            assert!(Instant::now() < deadline, "{inner:?} is still there");
            std::thread::sleep(PAUSE);
        }
    }
}
