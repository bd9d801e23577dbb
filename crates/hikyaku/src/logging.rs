//! The log: one line per acceptance, delivery, refusal and login, on standard error.
//!
//! Lines are events with fields of stable names (`event`, `queue_id`, `account`, `client`, `to`,
//! `status`, `delay_ms`). Mail data and passwords are never fields.
//!
//! Once [`detach`] was called a thread of its own writes: a reader of the log that stalls (a pager, a
//! full pipe) must not stop the mail. What it cannot take is counted and said when it reads again.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

/// Lines that wait for a slow reader; more are lost.
const WAITING_MAX: usize = 4096;
/// How long the end of a process waits for its last lines.
const FINISH_PATIENCE: Duration = Duration::from_secs(1);

static WRITER: OnceLock<SyncSender<Note>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

enum Note {
    Line(Vec<u8>),
    /// Everything before is written: say so.
    Finish(SyncSender<()>),
}

/// Starts logging in this process.
pub fn start(log: &Log) {
    let level = log.level.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(WholeLines).with_target(false);
    let started = match log.format {
        LogFormat::Human => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // Only a second start in one process can fail; the first goes on then.
    let _ = started;
}

/// Has a thread of its own write from now on. Called when the process is confined, as threads
/// that were there before would not be.
///
/// # Errors
/// If the system gives no thread.
pub fn detach() -> io::Result<()> {
    let (sender, notes) = sync_channel(WAITING_MAX);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        while let Ok(note) = notes.recv() {
            match note {
                Note::Line(line) => write(&line),
                Note::Finish(done) => drop(done.send(())),
            }
            let lost = LOST.swap(0, Ordering::Relaxed);
            if lost > 0 {
                write(format!("{lost} log lines were lost, as nobody read them in time\n").as_bytes());
            }
        }
    })?;
    // Only a second call in one process can fail; the first thread goes on then.
    let _ = WRITER.set(sender);
    Ok(())
}

/// Waits for the last lines to be written, a moment at most.
pub fn finish() {
    if let Some(writer) = WRITER.get() {
        let (done, wait) = sync_channel(1);
        if writer.try_send(Note::Finish(done)).is_ok() {
            let _ = wait.recv_timeout(FINISH_PATIENCE);
        }
    }
}

/// A log that nobody reads any more must not end the mail system, so errors are passed over.
fn write(line: &[u8]) {
    let _ = io::stderr().write_all(line);
}

/// Writes each line with one system call, so that lines of several processes do not mix.
struct WholeLines;

/// One line on its way.
struct Line(Vec<u8>);

impl<'a> MakeWriter<'a> for WholeLines {
    type Writer = Line;
    fn make_writer(&'a self) -> Line {
        Line(Vec::with_capacity(256))
    }
}

impl Write for Line {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.0);
        let Some(writer) = WRITER.get() else { return write(&line) };
        if writer.try_send(Note::Line(line)).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}
