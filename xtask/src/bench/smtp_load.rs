//! SMTP load, by Postfix's own generator.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::mailboxes::DOMAIN;
use super::process::Running;

/// Octets of a message beyond its header.
pub const MESSAGE_SIZE: usize = 4096;

/// Whether a session sends all its messages over one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    Kept,
    OneEach,
}

/// Sends `messages` to each mailbox, all at once: a session, and a process `smtp-source`, for each.
/// Returns when every message was answered with 250, and how long that took.
///
/// # Errors
/// If a message is refused, or not all have been taken by `deadline`.
pub fn send(
    server: SocketAddr,
    mailboxes: &[String],
    messages: usize,
    connections: Connections,
    log: &Path,
    deadline: Instant,
) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let sessions = mailboxes.iter().map(|mailbox| {
        let mut command = Command::new("smtp-source");
        command.args(["-s", "1", "-m", &messages.to_string(), "-l", &MESSAGE_SIZE.to_string()]);
        command.args(["-f", "bench@load.example", "-t", &format!("{mailbox}@{DOMAIN}")]);
        if connections == Connections::Kept {
            command.arg("-d");
        }
        Running::start("smtp-source", command.arg(server.to_string()), log)
    });
    // All are to run before the first is waited for.
    let sessions = sessions.collect::<anyhow::Result<Vec<Running>>>()?;
    for session in sessions {
        session.finish(deadline)?;
    }
    Ok(begin.elapsed())
}
