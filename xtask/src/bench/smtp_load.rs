//! SMTP load, by Postfix's own generator.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::mailboxes::Kind;
use super::process::Running;

/// Octets of a message beyond its header.
const MESSAGE_SIZE: usize = 4096;

/// Whether a session sends all its messages over one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    Kept,
    OneEach,
}

/// How many `smtp-source`s make the load. To start one costs 5 ms of CPU time: fifty would take a
/// quarter of the second in which a fast server takes all their mail.
const GENERATORS_MAX: usize = 10;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub sessions: usize,
    pub messages: usize,
    pub connections: Connections,
    /// Whose mailboxes it goes to.
    pub domain: &'static str,
}

impl Load {
    fn generators(&self) -> usize {
        self.sessions.min(GENERATORS_MAX)
    }

    /// The mailboxes that it goes to: one for each generator.
    pub fn mailboxes(&self) -> Vec<String> {
        Kind::Inbox.names(self.generators())
    }

    /// Sends it. Returns when every message was answered with 250, and how long that took.
    ///
    /// # Errors
    /// If a message is refused, or not all have been taken by `deadline`.
    pub fn send(&self, server: SocketAddr, log: &Path, deadline: Instant) -> anyhow::Result<Duration> {
        let share = |all: usize| (all / self.generators()).to_string();
        let begin = Instant::now();
        let generators = self.mailboxes().into_iter().map(|mailbox| {
            let mut command = Command::new("smtp-source");
            command.args(["-s", &share(self.sessions), "-m", &share(self.messages)]);
            command.args(["-l", &MESSAGE_SIZE.to_string()]);
            command.args(["-f", "bench@load.example", "-t", &format!("{mailbox}@{}", self.domain)]);
            if self.connections == Connections::Kept {
                command.arg("-d");
            }
            Running::start("smtp-source", command.arg(server.to_string()), log)
        });
        // All are to run before the first is waited for.
        let generators = generators.collect::<anyhow::Result<Vec<Running>>>()?;
        for generator in generators {
            generator.finish(deadline)?;
        }
        Ok(begin.elapsed())
    }
}

impl Display for Load {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plural = if self.sessions == 1 { "" } else { "s" };
        let connections = match self.connections {
            Connections::Kept => "kept",
            Connections::OneEach => "one each",
        };
        write!(f, "{} session{plural}, {connections}", self.sessions)
    }
}
