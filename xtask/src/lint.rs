//! `cargo xtask lint`: what reviewers should not have to look at.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use crate::cargo;

/// Does it, all of it even if a part fails. The last line says what failed.
///
/// # Errors
/// If a tool cannot be run or installed.
pub fn run() -> anyhow::Result<ExitCode> {
    let mut failed = Vec::new();
    let mut look = |name: &'static str, command: &mut Command| -> anyhow::Result<()> {
        println!("lint: {name}");
        if !command.status().with_context(|| format!("cannot run {name}"))?.success() {
            failed.push(name);
        }
        Ok(())
    };
    look("cargo fmt", cargo().args(["fmt", "--all", "--check"]))?;
    look(
        "cargo clippy",
        cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    )?;
    look(
        "cargo doc",
        cargo().args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-Dwarnings"),
    )?;
    install_cargo_deny()?;
    look("cargo deny", cargo().args(["deny", "--locked", "check", "licenses", "bans", "sources"]))?;
    // The advisory database lies in the network. That it cannot be fetched is no fault of the code.
    if cargo().args(["deny", "fetch", "db"]).status().context("cannot run cargo deny fetch")?.success() {
        look("advisories", cargo().args(["deny", "--locked", "check", "--disable-fetch", "advisories"]))?;
    } else {
        println!("lint: the advisory database could not be fetched; advisories were NOT looked at");
    }
    if failed.is_empty() {
        println!("lint: clean");
        return Ok(ExitCode::SUCCESS);
    }
    println!("lint: FAILED: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn install_cargo_deny() -> anyhow::Result<()> {
    let there = cargo().args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    println!("lint: installing cargo-deny");
    if !cargo()
        .args(["install", "--locked", "cargo-deny"])
        .status()
        .context("cannot run cargo install")?
        .success()
    {
        bail!("cargo-deny could not be installed");
    }
    Ok(())
}
