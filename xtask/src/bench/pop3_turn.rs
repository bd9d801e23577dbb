//! One server's turn at one load of POP3.

use std::time::{Duration, Instant};

use super::mailboxes::Kind;
use super::pop3_load::{self, Work};
use super::server::Server;

/// What a server does after its last answer belongs to the work as well.
const REST: Duration = Duration::from_millis(300);

/// A load of POP3.
pub struct Point {
    pub name: &'static str,
    work: Work,
    kind: Kind,
    sessions: usize,
}

/// All loads, in the order in which they are measured.
pub const POINTS: [Point; 7] = [
    Point { name: "logins/s, 1 session", work: Work::LogIn, kind: Kind::Poll, sessions: 1 },
    Point { name: "logins/s, 10 sessions", work: Work::LogIn, kind: Kind::Poll, sessions: 10 },
    Point { name: "logins/s with STAT of 10,000 messages", work: Work::LogIn, kind: Kind::Full, sessions: 1 },
    Point { name: "RETR of 4 KiB/s, 1 session", work: Work::Retrieve, kind: Kind::Small, sessions: 1 },
    Point { name: "RETR of 4 KiB/s, 10 sessions", work: Work::Retrieve, kind: Kind::Small, sessions: 10 },
    Point { name: "RETR of 1 MiB/s, 1 session", work: Work::Retrieve, kind: Kind::Large, sessions: 1 },
    Point { name: "RETR of 1 MiB/s, 10 sessions", work: Work::Retrieve, kind: Kind::Large, sessions: 10 },
];

impl Point {
    pub fn is_login(&self) -> bool {
        self.work == Work::LogIn
    }

    /// The table that the CPU time belongs to.
    pub fn cpu_measure(&self) -> &'static str {
        match self.work {
            Work::LogIn => "CPU s per 1,000 logins",
            Work::Retrieve => "CPU s per 1,000 RETR",
        }
    }
}

/// Logs in to every mailbox, and again some seconds later: a server may move new mail, write an
/// index, and trust neither while the directories have changed just now. Measured is the rest of
/// a mailbox's life.
///
/// # Errors
/// If a login fails.
pub fn settle(server: &Server) -> anyhow::Result<()> {
    let running = server.start()?;
    for pause in [Duration::from_secs(3), Duration::ZERO] {
        for kind in [Kind::Poll, Kind::Full, Kind::Small, Kind::Large] {
            pop3_load::run(server.address, Work::LogIn, &kind.names(usize::MAX), Duration::ZERO)?;
        }
        std::thread::sleep(pause);
    }
    drop(running);
    Ok(())
}

/// What one server did in one turn.
pub struct Turn {
    /// Operations per second.
    pub rate: f64,
    /// Seconds of CPU time per 1,000 operations.
    pub cpu: f64,
}

/// Starts the server, measures for `duration`, and ends it.
///
/// # Errors
/// If it refuses anything.
pub fn take(server: &Server, point: &Point, duration: Duration) -> anyhow::Result<Turn> {
    let mailboxes = point.kind.names(point.sessions);
    let running = server.start()?;
    // A first login costs Hikyaku a slow hash of the password; mailboxes are polled all day.
    pop3_load::run(server.address, point.work, &mailboxes, Duration::from_millis(200))?;
    let cpu = running.cpu();
    let begin = Instant::now();
    let rate = pop3_load::run(server.address, point.work, &mailboxes, duration)?;
    let operations = rate.operations * begin.elapsed().as_secs_f64();
    std::thread::sleep(REST);
    let cpu = running.cpu() - cpu;
    Ok(Turn { rate: rate.operations, cpu: cpu.as_secs_f64() * 1000.0 / operations })
}
