//! `sendmail -t`, one call after the other: what a CGI script and who waits for it have of a mail system.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::arrivals::Arrivals;
use super::mailboxes::{self, DOMAIN};
use super::process;
use super::server::Server;
use super::{exim, hikyaku, postfix};

/// Whose mailbox it goes to, and whose programs send.
const MAILBOX: &str = "inbox1";
/// Octets of a message.
const MESSAGE_SIZE: usize = 2048;
/// Calls before anything is measured.
const WARM_UP: usize = 50;
/// How long a server may take to deliver what it has accepted.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a server does after its last delivery belongs to the work as well.
const REST: Duration = Duration::from_millis(300);

/// The servers, each with its sendmail, and the message.
pub struct Callers {
    pub callers: Vec<Caller>,
    message: PathBuf,
}

/// A server and its sendmail.
pub struct Caller {
    server: Server,
    /// The command that takes a message at its standard input.
    sendmail: Vec<OsString>,
    environment: Option<(&'static str, OsString)>,
}

/// What one server did in one turn.
pub struct Turn {
    /// Messages per second, until the last call ended.
    pub handed_in: f64,
    /// Seconds of CPU time per 1,000 messages, until they were delivered: of callers, server, and all else.
    pub cpu: f64,
}

/// Sets the servers up below `directory`.
///
/// # Errors
/// If one does not like its configuration.
pub fn prepare(program: &Path, directory: &Path) -> anyhow::Result<Callers> {
    // Exim delivers by processes that nobody else waits for.
    process::adopt_orphans()?;
    fs::create_dir_all(directory)?;
    let message = directory.join("message");
    let header = format!("From: {MAILBOX}@{DOMAIN}\nTo: {MAILBOX}@{DOMAIN}\nSubject: load\n\n");
    let line = "x".repeat(71) + "\n";
    let lines = MESSAGE_SIZE.saturating_sub(header.len()) / line.len();
    File::create(&message)?.write_all((header + &line.repeat(lines)).as_bytes())?;

    let ours = hikyaku::prepare_programs(program, &directory.join("hikyaku"), MAILBOX)?;
    let link = directory.join("hikyaku/sendmail");
    symlink(program, &link)?;
    let config = directory.join("hikyaku").join(hikyaku::CONFIG);
    let theirs = postfix::prepare(&directory.join("postfix"))?;
    let postfix_etc = directory.join("postfix/etc");
    let exim = exim::prepare(&directory.join("exim"), MAILBOX)?;
    let exim_sendmail = exim.command.iter().take(3).cloned().collect();
    let callers = vec![
        Caller {
            server: ours,
            sendmail: vec![link.into()],
            environment: Some(("HIKYAKU_CONFIG", config.into())),
        },
        Caller {
            server: theirs,
            sendmail: vec!["/usr/sbin/sendmail".into(), "-C".into(), postfix_etc.into()],
            environment: None,
        },
        Caller { server: exim, sendmail: exim_sendmail, environment: None },
    ];
    Ok(Callers { callers, message })
}

impl Callers {
    /// Starts the server, measures so many calls, and ends it.
    ///
    /// # Errors
    /// If a call fails, or its message is not delivered exactly once.
    pub fn take(&self, caller: &Caller, calls: usize) -> anyhow::Result<Turn> {
        let server = &caller.server;
        let maildir = server.maildir(MAILBOX)?;
        mailboxes::put_mail_aside(maildir, server.owner)?;
        let _running = server.start()?;
        let mut arrivals = Arrivals::watch([maildir].into_iter())?;
        let deadline = || Instant::now() + PATIENCE;
        self.call(caller, WARM_UP)?;
        arrivals.wait_for(WARM_UP, deadline())?;
        std::thread::sleep(REST);

        let (cpu, begin) = (process::cpu_of_all(), Instant::now());
        self.call(caller, calls)?;
        let handed_in = begin.elapsed();
        arrivals.wait_for(WARM_UP + calls, deadline())?;
        std::thread::sleep(REST);
        let cpu = process::cpu_of_all() - cpu;
        process::bury_orphans();
        let calls = calls as f64;
        Ok(Turn { handed_in: calls / handed_in.as_secs_f64(), cpu: cpu.as_secs_f64() * 1000.0 / calls })
    }

    fn call(&self, caller: &Caller, times: usize) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&caller.server.log)?;
        for _ in 0..times {
            let mut command = caller.command()?;
            command.args(["-t", "-i"]).stdin(File::open(&self.message)?);
            let status = command.stdout(log.try_clone()?).stderr(log.try_clone()?).status()?;
            if !status.success() {
                bail!("{}'s sendmail: {status}, see {}", caller.server.name, caller.server.log.display());
            }
        }
        Ok(())
    }
}

impl Caller {
    pub fn name(&self) -> &'static str {
        self.server.name
    }

    fn command(&self) -> anyhow::Result<Command> {
        let (program, arguments) = self.sendmail.split_first().context("a sendmail is a command")?;
        let mut command = Command::new(program);
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

/// Starts of a process per second: of a program, called so, that has nothing to do.
///
/// # Errors
/// If it fails.
pub fn starts(program: &Path, called: &str, times: usize) -> anyhow::Result<f64> {
    use std::os::unix::process::CommandExt;
    let begin = Instant::now();
    for _ in 0..times {
        let mut command = Command::new(program);
        command.arg0(called).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status()?;
        if !status.success() {
            bail!("{called}: {status}");
        }
    }
    Ok(times as f64 / begin.elapsed().as_secs_f64())
}
