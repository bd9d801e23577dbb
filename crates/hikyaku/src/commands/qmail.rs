//! qmail's commands for operators: what instruction files would do, a new Maildir, what waits, and how this
//! server is configured. Those that hand mail in are told of elsewhere.
//!
//! All end as qmail's do: 0, 100 for what will not do, 111 for what may do later.

mod local;
mod maildirmake;
mod qread;
mod qstat;
mod showctl;
pub mod waiting;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use sendmail::Face;
use sendmail::visible::Line;

use crate::config::{self, Config};

/// Does what the command of this name does, if it is one of these.
pub fn run(face: Face, arguments: &[OsString]) -> Option<ExitCode> {
    let outcome = match face {
        Face::QmailLocal => local::run(arguments),
        Face::Maildirmake => maildirmake::run(arguments),
        Face::QmailShowctl => showctl::run(arguments),
        Face::QmailQread => qread::run(arguments),
        Face::QmailQstat => qstat::run(arguments),
        Face::Sendmail
        | Face::Mailq
        | Face::Newaliases
        | Face::QmailInject
        | Face::QmailQueue
        | Face::Forward => return None,
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Complaint { text, exit }) => {
            let text: String = text.lines().map(|line| plain(line.as_bytes()) + "\n").collect();
            // Nobody may be listening; the exit code says it too.
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(exit)
        }
    })
}

/// Why a command did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    text: String,
    exit: u8,
}

impl Complaint {
    /// It will not do, however often it is tried.
    fn permanent(text: impl Into<String>) -> Complaint {
        Complaint { text: text.into(), exit: 100 }
    }

    /// It may do later.
    fn temporary(text: impl Into<String>) -> Complaint {
        Complaint { text: text.into(), exit: 111 }
    }

    fn usage(face: Face, arguments: &str) -> Complaint {
        Complaint::permanent(format!("{face}: usage: {face}{arguments}"))
    }

    /// As qmail's commands say that the system said no.
    fn fatal(face: Face, problem: impl Display) -> Complaint {
        Complaint::temporary(format!("{face}: fatal: {problem}"))
    }
}

/// This server's configuration, and where it stands.
fn configuration(face: Face) -> Result<(Config, PathBuf), Complaint> {
    let path = std::env::var_os("HIKYAKU_CONFIG").map_or(config::DEFAULT_PATH.into(), PathBuf::from);
    match Config::read(&path) {
        Ok(config) => Ok((config, path)),
        Err(problem) => Err(Complaint::fatal(face, format_args!("{problem:#}"))),
    }
}

/// Prints octets as they are, or on a terminal so that they can do nothing to it. Gives whether anybody
/// reads them.
fn print(octets: &[u8]) -> Result<bool, Complaint> {
    let mut out = io::stdout().lock();
    let written = if out.is_terminal() {
        let mut lines = octets.split_inclusive(|octet| *octet == b'\n');
        lines.try_for_each(|line| writeln!(out, "{}", plain(line.strip_suffix(b"\n").unwrap_or(line))))
    } else {
        out.write_all(octets)
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        // Whoever read it has had enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Complaint::temporary(format!("unable to write output: {}", why(&error)))),
    }
}

/// A text on one line, without anything that steers a terminal.
fn plain(octets: &[u8]) -> String {
    Line(&String::from_utf8_lossy(octets)).to_string()
}

/// What the system said, in qmail's words where it has some of its own.
fn why(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "file does not exist".into(),
        ErrorKind::PermissionDenied => "access denied".into(),
        ErrorKind::AlreadyExists => "file already exists".into(),
        ErrorKind::NotADirectory => "not a directory".into(),
        ErrorKind::IsADirectory => "is a directory".into(),
        ErrorKind::ReadOnlyFilesystem => "read-only file system".into(),
        _ => error.to_string(),
    }
}
