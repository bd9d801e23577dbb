//! The log: one line per acceptance, delivery, refusal and login, on standard error.
//!
//! Lines are events with fields of stable names (`event`, `queue_id`, `account`, `client`, `to`,
//! `status`, `delay_ms`). Mail data and passwords are never fields.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

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
        // A log that nobody reads any more must not end the mail system.
        let _ = io::stderr().write_all(&self.0);
    }
}
