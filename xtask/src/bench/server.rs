//! A mail server that is ready to be started, whichever it is.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::mailboxes::{self, Kind};
use super::process::Running;

/// How long a server may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A server with its configuration and its mailboxes, to be started as often as needed.
#[derive(Clone)]
pub struct Server {
    pub name: &'static str,
    /// The command that runs it in the foreground.
    pub command: Vec<OsString>,
    /// Where it answers.
    pub address: SocketAddr,
    /// Its Maildirs by the mailbox's name.
    pub maildirs: HashMap<String, PathBuf>,
    /// The uid, and gid, that its mailboxes belong to.
    pub owner: u32,
    /// What it prints.
    pub log: PathBuf,
}

impl Server {
    /// Starts it, and waits until it greets.
    ///
    /// # Errors
    /// If it ends, or does not greet in time; with the end of its log.
    pub fn start(&self) -> anyhow::Result<Running> {
        let (program, arguments) = self.command.split_first().context("a server has a command")?;
        let mut running = Running::start(self.name, Command::new(program).args(arguments), &self.log)?;
        let deadline = Instant::now() + START_PATIENCE;
        while !greets(self.address) {
            running.check()?;
            if Instant::now() > deadline {
                bail!("{} does not answer at {}\n{}", self.name, self.address, running.end_of_log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(running)
    }

    /// Where a mailbox lies.
    ///
    /// # Errors
    /// If the server has no such mailbox.
    pub fn maildir(&self, mailbox: &str) -> anyhow::Result<&Path> {
        let maildir = self.maildirs.get(mailbox).map(PathBuf::as_path);
        maildir.with_context(|| format!("{} has no mailbox {mailbox}", self.name))
    }

    /// Lays the messages of this kind into all its mailboxes.
    ///
    /// # Errors
    /// With the file that could not be written.
    pub fn fill(&self, kind: Kind) -> anyhow::Result<()> {
        for mailbox in kind.names(usize::MAX) {
            mailboxes::fill(self.maildir(&mailbox)?, kind, self.owner)?;
        }
        Ok(())
    }
}

/// Whether something listens there and says a first word.
fn greets(address: SocketAddr) -> bool {
    let patience = Duration::from_secs(5);
    let greeting = TcpStream::connect_timeout(&address, patience).and_then(|mut stream| {
        stream.set_read_timeout(Some(patience))?;
        let mut first = [0; 3];
        stream.read_exact(&mut first)?;
        Ok(first)
    });
    greeting.is_ok_and(|first| matches!(&first, b"220" | b"+OK"))
}

/// A loopback address that is free now.
///
/// # Errors
/// If there is none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// Fills in `{{name}}` wherever a configuration has it.
pub fn fill_in(template: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(template.to_string(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_filled_in() {
        let text = fill_in("a = {{dir}}/a\nb = {{dir}}:{{port}}\n", &[("dir", "/x"), ("port", "25")]);
        assert_eq!(text, "a = /x/a\nb = /x:25\n");
    }
}
