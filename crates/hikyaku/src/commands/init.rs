//! `hikyaku init`: from nothing to a server that can start.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use envelope::{AccountName, Domain, Language};
use link::services::directory::{NewAccount, Rule, Secret};
use nix::unistd::{Group, Uid, User};

use super::desk::Desk;
use super::password;
use crate::config::Config;
use crate::control::Role;
use crate::privileges::{self, Identities};

#[derive(Args)]
pub struct Init {
    /// This host's full name, such as mail.pobox.example.
    #[arg(long, value_name = "NAME")]
    hostname: Domain,
    /// The provider's domain, such as pobox.example: accounts live directly under it.
    #[arg(long, value_name = "NAME")]
    domain: Domain,
    /// Where all data lie.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/hikyaku")]
    data: std::path::PathBuf,
    /// The first account, which is the operator's.
    #[arg(long, value_name = "ACCOUNT", default_value = "postmaster")]
    operator: AccountName,
}

/// Does it.
pub fn run(path: &Path, arguments: &Init) -> anyhow::Result<ExitCode> {
    if path.exists() {
        bail!("{} is there already; edit it, or remove it to begin anew", path.display());
    }
    let Init { hostname, domain, data, operator } = arguments;
    let mut text = format!("hostname = \"{hostname}\"\ndomain = \"{domain}\"\n");
    if data != Path::new("/var/lib/hikyaku") {
        let data = data.to_str().context("the data directory's name is not UTF-8")?;
        text.push_str(&format!("data = {}\n", toml::Value::String(data.to_string())));
    }
    let config = Config::parse(&text)?;
    let identities = Identities::of(&config);
    if identities == Identities::Own {
        make_system_users()?;
    }
    privileges::prepare_directories(&config, identities)?;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    }
    std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;

    let secret = password::generated();
    let account = NewAccount {
        name: operator.clone(),
        password: Some(Secret(secret.clone())),
        language: Language::Ja,
        operator: true,
    };
    Desk::open(&config)?.rule(Rule::AddAccount(account))?;

    println!("wrote {}", path.display());
    println!("made the operator account {operator}, password {secret}");
    println!("next: hikyaku check, then hikyaku serve");
    Ok(ExitCode::SUCCESS)
}

/// Makes a system user and group for each role that lack them.
fn make_system_users() -> anyhow::Result<()> {
    debug_assert!(Uid::effective().is_root());
    for role in Role::ALL {
        let (user, group) = (role.user(), role.group());
        if Group::from_name(&group)?.is_none() {
            system(Command::new("groupadd").args(["--system", &group]))?;
        }
        if User::from_name(&user)?.is_none() {
            system(Command::new("useradd").args([
                "--system",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/usr/sbin/nologin",
                "--gid",
                &group,
                &user,
            ]))?;
        }
    }
    Ok(())
}

fn system(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
