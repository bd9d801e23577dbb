//! One server's turn at one load of SMTP.

use std::time::{Duration, Instant};

use super::arrivals::Arrivals;
use super::mailboxes;
use super::server::Server;
use super::smtp_load::Load;

/// How long a server may take to deliver what it has accepted.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a server does after its last delivery belongs to the work as well.
const REST: Duration = Duration::from_millis(300);

/// What one server did in one turn.
pub struct Turn {
    /// Messages per second, until the last 250.
    pub accepted: f64,
    /// Messages per second, until the last is in `new`.
    pub delivered: f64,
    /// Seconds of CPU time per 1,000 messages, accepted and delivered.
    pub cpu: f64,
}

/// Starts the server, measures, and ends it.
///
/// # Errors
/// If it refuses a message, or does not deliver each exactly once.
pub fn take(server: &Server, load: Load) -> anyhow::Result<Turn> {
    Ok(take_beside(server, load, || Ok(()), Ok)?.0)
}

/// The same, while something else goes on: `begin` begins it before anything is measured, and `end` ends it while
/// the server still runs.
///
/// # Errors
/// As [`take`], or if what goes on fails.
pub fn take_beside<B, E>(
    server: &Server,
    load: Load,
    begin: impl FnOnce() -> anyhow::Result<B>,
    end: impl FnOnce(B) -> anyhow::Result<E>,
) -> anyhow::Result<(Turn, E)> {
    let mut maildirs = Vec::new();
    for mailbox in load.mailboxes() {
        let maildir = server.maildir(&mailbox)?;
        mailboxes::put_mail_aside(maildir, server.owner)?;
        maildirs.push(maildir);
    }
    let running = server.start()?;
    let mut arrivals = Arrivals::watch(maildirs.into_iter())?;
    let deadline = || Instant::now() + PATIENCE;
    // Processes are started and files made once before anything is measured.
    let warm_up = Load { messages: 2 * load.sessions, ..load };
    warm_up.send(server.address, &server.log, deadline())?;
    arrivals.wait_for(warm_up.messages, deadline())?;

    let beside = begin()?;
    let cpu = running.cpu();
    let begin = Instant::now();
    let accepted = load.send(server.address, &server.log, deadline())?;
    arrivals.wait_for(warm_up.messages + load.messages, deadline())?;
    let delivered = begin.elapsed();
    std::thread::sleep(REST);
    let cpu = running.cpu() - cpu;
    let beside = end(beside)?;
    let messages = load.messages as f64;
    let turn = Turn {
        accepted: messages / accepted.as_secs_f64(),
        delivered: messages / delivered.as_secs_f64(),
        cpu: cpu.as_secs_f64() * 1000.0 / messages,
    };
    Ok((turn, beside))
}

/// Messages per second to a `sink` that keeps nothing: what the generator can do by itself.
///
/// # Errors
/// If the sink does not work.
pub fn without_server(sink: &Server, load: Load) -> anyhow::Result<f64> {
    let _running = sink.start()?;
    let time = load.send(sink.address, &sink.log, Instant::now() + PATIENCE)?;
    Ok(load.messages as f64 / time.as_secs_f64())
}
