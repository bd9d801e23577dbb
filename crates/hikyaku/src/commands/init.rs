//! `hikyaku init`: from nothing to a server that can start.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use envelope::{AccountName, Domain, Language};
use link::services::directory::{NewAccount, NewPassword, Rule, Secret};
use nix::unistd::{Group, Uid, User};
use sendmail::Face;

use super::account;
use super::desk::Desk;
use super::links::{self, Links};
use super::output::say;
use super::password;
use crate::config::Config;
use crate::control::Role;
use crate::privileges::{self, Identities};

#[derive(Args)]
pub struct Init {
    /// This host's full name, such as mail.pobox.example. Without it the configuration must be there.
    #[arg(long, value_name = "NAME", requires = "domain")]
    hostname: Option<Domain>,
    /// The provider's domain, such as pobox.example: accounts live directly under it.
    #[arg(long, value_name = "NAME", requires = "hostname")]
    domain: Option<Domain>,
    /// Where all data lie.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/hikyaku")]
    data: PathBuf,
    /// The first account, which is the operator's.
    #[arg(long, value_name = "ACCOUNT", default_value = "postmaster")]
    operator: AccountName,
    /// Make links for programs that send, in this directory: sendmail, mailq and newaliases. Where a server is set
    /// up already, its accounts stay as they are.
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = links::USUAL)]
    links: Option<PathBuf>,
    /// Links by qmail's names too: qmail-inject, qmail-queue, forward and the others.
    #[arg(long, requires = "links")]
    qmail_links: bool,
}

/// Does it.
pub fn run(path: &Path, arguments: &Init) -> anyhow::Result<ExitCode> {
    let new = new_configuration(path, arguments)?;
    // First, so that a file that is in the way stops all.
    let links = wanted_links(arguments)?;
    let config = match &new {
        Some(text) => Config::parse(text)?,
        None => Config::read(path)?,
    };
    let is_set_up = new.is_none() && std::fs::metadata(config.database()).is_ok_and(|file| file.len() > 0);
    let identities = Identities::of(&config);
    if identities == Identities::Own {
        make_system_users(&config)?;
    }
    privileges::found(&config, identities)?;
    if links.is_some() && is_set_up {
        make(links)?;
        return Ok(ExitCode::SUCCESS);
    }
    let operator = &arguments.operator;
    let secret = password::generated();
    let account = NewAccount {
        name: operator.clone(),
        password: Some(NewPassword::Password(Secret(secret.clone()))),
        language: Language::Ja,
        operator: true,
        plan: None,
        uids: Vec::new(),
    };
    let mut desk = Desk::open(&config)?;
    desk.change(Rule::AddAccount(account))?;
    let link = account::link(&config, &mut desk, operator.clone())?;
    drop(desk);

    if let Some(text) = new {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        }
        // Last, so that after a failure `init` can simply be run again.
        write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        say!("wrote {}", path.display());
    }
    make(links)?;
    say!("made the operator account {operator}, password {secret}");
    say!("next: hikyaku check, then hikyaku serve");
    say!(
        "then open the operator's page by this link, which is good once and for 24 hours, and sets another password:"
    );
    say!("  {link}");
    say!("(another one: hikyaku account link {operator})");
    Ok(ExitCode::SUCCESS)
}

fn wanted_links(arguments: &Init) -> anyhow::Result<Option<Links>> {
    let Some(directory) = &arguments.links else { return Ok(None) };
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let faces: &[Face] = if arguments.qmail_links { &Face::ALL } else { &links::EVERYBODYS };
    Links::wanted(directory, faces, &program).map(Some)
}

fn make(links: Option<Links>) -> anyhow::Result<()> {
    for link in links.map(Links::make).transpose()?.unwrap_or_default() {
        say!("{} is this program", link.display());
    }
    Ok(())
}

/// Writes the configuration for its owner alone: passwords of smart hosts may come to stand in it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// The text of the configuration to be written; `None` if one is there that is to be used.
fn new_configuration(path: &Path, arguments: &Init) -> anyhow::Result<Option<String>> {
    let (hostname, domain) = match (&arguments.hostname, &arguments.domain) {
        (Some(_), Some(_)) if path.exists() => {
            bail!("{} is there already; without --hostname and --domain it is used as it is", path.display())
        }
        (Some(hostname), Some(domain)) => (hostname, domain),
        _ if path.exists() => return Ok(None),
        _ => bail!("{} is not there: give --hostname and --domain, and it is written", path.display()),
    };
    let mut text = format!("hostname = \"{hostname}\"\ndomain = \"{domain}\"\n");
    if arguments.data != Path::new("/var/lib/hikyaku") {
        let data = arguments.data.to_str().context("the data directory's name is not UTF-8")?;
        text.push_str(&format!("data = {}\n", toml::Value::String(data.to_string())));
    }
    Ok(Some(text))
}

/// Makes a system user and group for each role that lack them.
fn make_system_users(config: &Config) -> anyhow::Result<()> {
    debug_assert!(Uid::effective().is_root());
    for role in Role::ALL {
        let (user, group) = (role.user(), role.group(config));
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
