//! `hikyaku run-program`: from a process of the role `programs` to a customer's program.
//!
//! Puts up the walls, one after the other, and becomes `/bin/sh -c COMMAND`. Standard input is the
//! message, the environment what qmail tells a program; of the message nothing is an argument.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::Args;
use rustix::process::{Resource, Rlimit, Signal};

use crate::confinement;

/// The largest file that a program may write, in octets: larger than a message may be by default.
const FILE_MAX: u64 = 128 << 20;
/// Descriptors that it may have open.
const DESCRIPTORS_MAX: u64 = 256;
/// Processes of all programs together.
const PROCESSES_MAX: u64 = 512;

#[derive(Args)]
pub struct RunProgram {
    /// Where it begins, and may write.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Where it may put temporary files.
    #[arg(long, value_name = "DIR")]
    temporary: PathBuf,
    /// Octets of memory for each of its processes.
    #[arg(long, value_name = "N")]
    memory_max: u64,
    /// Seconds of processor time for each of its processes.
    #[arg(long, value_name = "N")]
    time_max: u64,
    /// Nothing else runs under this user: the number of its processes can be limited.
    #[arg(long)]
    own_user: bool,
    /// For /bin/sh -c.
    command: OsString,
}

/// Becomes the program. Returns only if that fails; the message then waits.
pub fn run(arguments: &RunProgram) -> anyhow::Result<ExitCode> {
    // A session of its own: no terminal, and a group by which all that it starts is ended.
    rustix::process::setsid().context("cannot begin a session")?;
    // Not even the role's sudden death leaves it running.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    std::env::set_current_dir(&arguments.home)
        .with_context(|| format!("cannot go to {}", arguments.home.display()))?;
    limit(arguments).context("cannot limit the program")?;
    confinement::confine_program(&arguments.home, &arguments.temporary)
        .context("cannot confine the program")?;
    Err(Command::new("/bin/sh").arg("-c").arg(no_option(&arguments.command)).exec())
        .context("cannot run /bin/sh")
}

/// A command that begins as an option does is given a blank, which says the same to a shell.
fn no_option(command: &OsStr) -> Cow<'_, OsStr> {
    match command.as_encoded_bytes() {
        [b'-' | b'+', ..] => {
            let mut blank = OsString::from(" ");
            blank.push(command);
            Cow::Owned(blank)
        }
        _ => Cow::Borrowed(command),
    }
}

fn limit(arguments: &RunProgram) -> rustix::io::Result<()> {
    let mut limits = vec![
        (Resource::As, arguments.memory_max),
        (Resource::Cpu, arguments.time_max),
        (Resource::Fsize, FILE_MAX),
        (Resource::Core, 0),
        (Resource::Nofile, DESCRIPTORS_MAX),
    ];
    if arguments.own_user {
        limits.push((Resource::Nproc, PROCESSES_MAX));
    }
    for (resource, most) in limits {
        // One that is stricter already stays.
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |now| now.min(most));
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}
