//! Dovecot, the peer of POP3, as Debian ships it; `bench/dovecot/dovecot.conf` tells the deviations.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::mailboxes::{self, PASSWORD};
use super::server::{Server, fill_in, free_address};

/// nobody and nogroup; Dovecot opens no mailbox of a system user.
const NOBODY: u32 = 65534;

/// How Dovecot runs its login processes.
#[derive(Debug, Clone, Copy)]
pub enum Logins {
    /// As shipped: a process for each connection.
    Shipped,
    /// Its manual's "high-performance mode": processes that serve many.
    Fast,
}

/// Writes its configuration and its mailboxes below `directory`, and gives a server for each mode.
///
/// # Errors
/// If a file cannot be written.
pub fn prepare(directory: &Path) -> anyhow::Result<(Server, Server)> {
    for part in ["run", "state", "mail"] {
        fs::create_dir_all(directory.join(part))?;
    }
    let mut maildirs = std::collections::HashMap::new();
    let mut users = String::new();
    for name in mailboxes::all_names() {
        let maildir = directory.join("mail").join(&name);
        mailboxes::make(&maildir, NOBODY)?;
        users.push_str(&format!("{name}:{PASSWORD}\n"));
        maildirs.insert(name, maildir);
    }
    fs::write(directory.join("users"), users)?;
    let server = |logins: Logins| -> anyhow::Result<Server> {
        let (name, file, login) = match logins {
            Logins::Shipped => ("Dovecot", "dovecot.conf", ""),
            Logins::Fast => ("Dovecot fast", "fast.conf", "service_count = 0\n  process_min_avail = 2"),
        };
        let address = free_address()?;
        let dir = directory.to_str().context("the directory's name is not UTF-8")?;
        let values = [("dir", dir), ("port", &address.port().to_string()), ("login", login)];
        let file = directory.join(file);
        fs::write(&file, fill_in(include_str!("../../../bench/dovecot/dovecot.conf"), &values))?;
        let command = vec!["dovecot".into(), "-F".into(), "-c".into(), file.into()];
        Ok(Server {
            name,
            command,
            address,
            maildirs: maildirs.clone(),
            owner: NOBODY,
            log: directory.join("output"),
        })
    };
    Ok((server(Logins::Shipped)?, server(Logins::Fast)?))
}
