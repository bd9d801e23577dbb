//! Postfix, the peer of SMTP, as Debian ships it; `bench/postfix/main.cf` tells the deviations.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::mailboxes::{self, DOMAIN};
use super::process;
use super::server::{Server, fill_in, free_address};

/// nobody and nogroup; deliveries into virtual mailboxes need a uid over 100.
const NOBODY: u32 = 65534;

/// Writes its configuration and its mailboxes below `directory`.
///
/// # Errors
/// If Postfix does not like them.
pub fn prepare(directory: &Path) -> anyhow::Result<Server> {
    let address = free_address()?;
    let etc = directory.join("etc");
    for part in ["etc", "queue", "data", "mail"] {
        fs::create_dir_all(directory.join(part))?;
    }
    let dir = directory.to_str().context("the directory's name is not UTF-8")?;
    fs::write(etc.join("main.cf"), fill_in(include_str!("../../../bench/postfix/main.cf"), &[("dir", dir)]))?;
    fs::copy("/usr/share/postfix/master.cf.dist", etc.join("master.cf"))
        .context("where is Postfix's master.cf?")?;

    let mut maildirs = std::collections::HashMap::new();
    let mut table = String::new();
    for name in mailboxes::all_names() {
        let maildir = directory.join("mail").join(&name);
        mailboxes::make(&maildir, NOBODY)?;
        table.push_str(&format!("{name}@{DOMAIN} {name}/\n"));
        maildirs.insert(name, maildir);
    }
    fs::write(directory.join("mailboxes"), table)?;

    let log = directory.join("output");
    let postconf = |arguments: &[&str]| {
        process::run("postconf", Command::new("postconf").arg("-c").arg(&etc).args(arguments), &log)
    };
    // Services as shipped, but smtpd at our address, and no chroot: that needs files beside the queue.
    postconf(&["-MX", "smtp/inet"])?;
    postconf(&["-M", &format!("{address}/inet={address} inet n - n - - smtpd")])?;
    postconf(&["-F", "*/*/chroot=n"])?;
    process::run("chown", Command::new("chown").arg("postfix").arg(directory.join("data")), &log)?;

    let command = vec!["postfix".into(), "-c".into(), etc.into(), "start-fg".into()];
    Ok(Server { name: "Postfix", command, address, maildirs, owner: NOBODY, log })
}
