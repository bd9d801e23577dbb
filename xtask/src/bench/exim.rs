//! Exim, a peer of `sendmail`, as Debian has it; `bench/exim/exim.conf` tells the deviations.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::mailboxes;
use super::server::{Server, fill_in, free_address};
use crate::partners;

/// Writes its configuration and one mailbox below `directory`.
///
/// # Errors
/// If Exim is not to be had, or its files cannot be written.
pub fn prepare(directory: &Path, mailbox: &str) -> anyhow::Result<Server> {
    let program = partners::exim()?.canonicalize()?;
    let address = free_address()?;
    fs::create_dir_all(directory)?;
    let log = directory.join("output");
    let text = |path: &Path| path.to_str().context("a path is not UTF-8").map(str::to_string);
    let (dir, path) = (text(directory)?, text(&program)?);
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let values =
        [("dir", &*dir), ("program", &path), ("address", &ip), ("port", &port), ("mailbox", mailbox)];
    let config = directory.join("exim.conf");
    let maildir = directory.join("mail").join(mailbox);
    let owner = owner()?;
    mailboxes::make(&maildir, owner)?;
    fs::create_dir_all(directory.join("spool"))?;
    for part in [directory, &directory.join("spool")] {
        chown(part, Some(owner), Some(owner))?;
    }
    // Root's: only such a configuration is trusted.
    fs::write(&config, fill_in(include_str!("../../../bench/exim/exim.conf"), &values))?;
    Ok(Server {
        name: "Exim",
        command: [program.into(), "-C".into(), config.into(), "-bdf".into(), "-q30m".into()].into(),
        address,
        maildirs: HashMap::from([(mailbox.to_string(), maildir)]),
        owner,
        log,
    })
}

/// The uid of the user that Exim was built for; its files get the group of the same number.
fn owner() -> anyhow::Result<u32> {
    let told = Command::new("id").args(["-u", partners::EXIM_USER]).output().context("cannot run id")?;
    String::from_utf8_lossy(&told.stdout).trim().parse().context("Exim's user has no number")
}
