//! The programs that the tests drive our server with, from the Debian archive.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// A test partner.
struct Partner {
    /// The Debian package.
    package: &'static str,
    /// By what it shows that it is there.
    sign: Sign,
}

enum Sign {
    /// A program in `$PATH` or `/usr/sbin`.
    Program(&'static str),
    /// A module that a Perl program loads.
    PerlModule(&'static str),
}

use Sign::{PerlModule, Program};

const PARTNERS: &[Partner] = &[
    Partner { package: "curl", sign: Program("curl") },
    Partner { package: "swaks", sign: Program("swaks") },
    // swaks speaks TLS by it.
    Partner { package: "libnet-ssleay-perl", sign: PerlModule("Net::SSLeay") },
    // smtp-source, the load, comes with Postfix.
    Partner { package: "postfix", sign: Program("smtp-source") },
    Partner { package: "mpop", sign: Program("mpop") },
    Partner { package: "fetchmail", sign: Program("fetchmail") },
    Partner { package: "mblaze", sign: Program("mlist") },
    Partner { package: "openssl", sign: Program("openssl") },
    Partner { package: "python3", sign: Program("python3") },
];

/// Installs what is missing, by apt.
///
/// # Errors
/// If something is missing and this user may not install it, or apt fails.
pub fn install() -> anyhow::Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if !rooted() {
        bail!("test partners are missing, and only root can install them: {command}");
    }
    if !is_program("apt-get") {
        bail!(
            "test partners are missing, and there is no apt-get here: install what Debian has in {}",
            missing.join(", ")
        );
    }
    println!("installing test partners: {}", missing.join(" "));
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
        // Postfix asks what kind of mail server it is to be: none. It is not started.
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()
        .context("cannot run apt-get")?;
    Ok(status.success())
}

fn missing() -> Vec<&'static str> {
    let there = |sign: &Sign| match sign {
        Program(name) => is_program(name),
        PerlModule(name) => has_perl_module(name),
    };
    PARTNERS.iter().filter(|partner| !there(&partner.sign)).map(|partner| partner.package).collect()
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([Path::new("/usr/sbin").to_path_buf()])
        .any(|directory| directory.join(name).is_file())
}

fn has_perl_module(name: &str) -> bool {
    let loaded =
        Command::new("perl").arg(format!("-M{name}")).args(["-e", "1"]).stderr(Stdio::null()).status();
    loaded.is_ok_and(|status| status.success())
}

/// Whether this process may install packages.
fn rooted() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout == b"0\n")
}
