//! `qmail-qread`: what waits, and for whom.

use std::ffi::OsString;

use anyhow::bail;
use sendmail::{Face, listing};

use super::{Complaint, configuration, print, waiting};

/// Lists all messages, oldest first, each as soon as it is known.
pub fn run(_arguments: &[OsString]) -> Result<(), Complaint> {
    let (config, _) = configuration(Face::QmailQread)?;
    let mut printed = Ok(true);
    let walked = waiting::each(&config, |message| {
        printed = print(listing::qread(message).as_bytes());
        match printed {
            Ok(true) => Ok(()),
            _ => bail!("nobody reads any more"),
        }
    });
    match walked {
        Err(problem) if printed == Ok(true) => {
            Err(Complaint::fatal(Face::QmailQread, format_args!("{problem:#}")))
        }
        _ => printed.map(drop),
    }
}
