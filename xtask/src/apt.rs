//! Packages from the Debian archive, for programs that are not ours.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Installs by apt what `missing` names, and asks it again afterwards.
///
/// # Errors
/// If something is missing and this user may not install it, or apt fails.
pub fn install(missing: impl Fn() -> Vec<&'static str>) -> anyhow::Result<()> {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if !rustix::process::geteuid().is_root() {
        bail!("programs are missing, and only root can install them: {command}");
    }
    if !is_program("apt-get") {
        bail!(
            "programs are missing, and there is no apt-get here: install what Debian has in {}",
            packages.join(", ")
        );
    }
    println!("installing {}", packages.join(" "));
    // The lists of a fresh machine are empty, those of an old one name what is no longer there.
    if !apt(&packages)? {
        let updated =
            Command::new("apt-get").args(["--quiet", "update"]).status().context("cannot run apt-get")?;
        if !updated.success() || !apt(&packages)? {
            bail!("apt-get could not install {}", packages.join(" "));
        }
    }
    match missing() {
        still if still.is_empty() => Ok(()),
        still => bail!("installed, but still not to be found: {}", still.join(" ")),
    }
}

/// Unpacks a package into a directory, beside whatever it could not be installed with. Its dependencies are
/// the caller's business, and none of its scripts is run.
///
/// # Errors
/// If it cannot be fetched or unpacked.
pub fn unpack(package: &str, directory: &Path) -> anyhow::Result<()> {
    println!("unpacking {package}");
    let fetched = tempfile::tempdir()?;
    let fetch = || {
        let mut command = Command::new("apt-get");
        command.args(["--quiet", "download", package]).current_dir(fetched.path()).stdin(Stdio::null());
        command.status().context("cannot run apt-get").map(|status| status.success())
    };
    if !fetch()? {
        let updated = Command::new("apt-get").args(["--quiet", "update"]).status()?;
        if !updated.success() || !fetch()? {
            bail!("apt-get could not fetch {package}");
        }
    }
    let file = std::fs::read_dir(fetched.path())?.next().context("apt-get fetched no file")??.path();
    std::fs::create_dir_all(directory)?;
    let status = Command::new("dpkg-deb").arg("--extract").arg(file).arg(directory).status()?;
    if !status.success() {
        bail!("dpkg-deb could not unpack {package}");
    }
    // A program of tests is nobody's way to become root.
    let modes = Command::new("chmod").args(["-R", "u-s,g-s"]).arg(directory).status()?;
    if !modes.success() {
        bail!("cannot take set-id bits from {}", directory.display());
    }
    Ok(())
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

/// Whether a program of this name is in `$PATH` or `/usr/sbin`.
pub fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([Path::new("/usr/sbin").to_path_buf()])
        .any(|directory| directory.join(name).is_file())
}
