//! The peers' programs, from the Debian archive.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// A package, and a program by which it shows that it is there.
const PEERS: [(&str, &str); 2] = [("postfix", "smtp-source"), ("dovecot-pop3d", "dovecot")];
/// Dovecot's POP3 is not among the programs in `$PATH`.
const DOVECOT_POP3: &str = "/usr/lib/dovecot/pop3";

/// Installs what is missing, by apt.
///
/// # Errors
/// If something is missing and this user may not install it, or apt fails.
pub fn install() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "the bench needs root: Postfix and Dovecot start as root, to give their parts users of their own"
        );
    }
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    // The lists of a fresh machine are empty, those of an old one name what is no longer there.
    if !apt(&missing)? {
        let updated =
            Command::new("apt-get").args(["--quiet", "update"]).status().context("cannot run apt-get")?;
        if !updated.success() || !apt(&missing)? {
            bail!("apt-get could not install {}", missing.join(" "));
        }
    }
    match self::missing() {
        still if still.is_empty() => Ok(()),
        still => bail!("installed, but still not to be found: {}", still.join(" ")),
    }
}

fn apt(packages: &[&str]) -> anyhow::Result<bool> {
    let status = Command::new("apt-get")
        .args(["--quiet", "--yes", "--no-install-recommends", "install"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()
        .context("cannot run apt-get")?;
    Ok(status.success())
}

fn missing() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path =
        |program: &str| std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    let there =
        |program: &str| in_path(program) && (program != "dovecot" || Path::new(DOVECOT_POP3).is_file());
    PEERS.into_iter().filter(|(_, program)| !there(program)).map(|(package, _)| package).collect()
}
