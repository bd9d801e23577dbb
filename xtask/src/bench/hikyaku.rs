//! Our own server: built as it is released, with `bench/hikyaku/hikyaku.toml`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::mailboxes::{self, PASSWORD};
use super::process;
use super::server::{Server, fill_in, free_address};

/// The name of its configuration, below its directory.
pub const CONFIG: &str = "hikyaku.toml";

/// What an account may send by default is less than a load; the peers know no such limits.
const LIMITS: [&str; 5] = [
    "messages_per_hour",
    "messages_per_day",
    "recipients_per_hour",
    "recipients_per_day",
    "new_recipients_per_day",
];

/// Builds the release and gives the path of the program.
///
/// # Errors
/// If it does not build.
pub fn build(workspace: &Path) -> anyhow::Result<PathBuf> {
    let output = crate::cargo()
        .current_dir(workspace)
        .args(["build", "--release", "--package", "hikyaku", "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the release does not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut programs =
        messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter_map(|message| {
            let ours = message["target"]["name"] == "hikyaku";
            message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
        });
    programs.next_back().context("cargo built no program named hikyaku")
}

/// The server twice, once by its SMTP and once by its POP3 address: one thing with one directory.
///
/// # Errors
/// If an account cannot be made.
pub fn prepare(program: &Path, directory: &Path) -> anyhow::Result<(Server, Server)> {
    let (mut smtp, pop3) = set_up(program, directory, super::OURS)?;
    for name in mailboxes::all_names() {
        let maildir = add_account(program, &directory.join(CONFIG), &name, &smtp.log)
            .with_context(|| format!("the account {name}"))?;
        smtp.maildirs.insert(name, maildir);
    }
    let pop3 = Server { address: pop3, ..smtp.clone() };
    Ok((smtp, pop3))
}

/// A server by its SMTP address, under this name in the tables, without accounts.
///
/// # Errors
/// If it cannot be set up.
pub fn configure(program: &Path, directory: &Path, name: &'static str) -> anyhow::Result<Server> {
    Ok(set_up(program, directory, name)?.0)
}

/// A server that takes mail for these domains from anybody, and sends it on to these addresses.
///
/// # Errors
/// If it cannot be set up.
pub fn prepare_relay(
    program: &Path,
    directory: &Path,
    routes: &[(&str, SocketAddr)],
) -> anyhow::Result<Server> {
    let server = configure(program, directory, super::OURS)?;
    let config = directory.join(CONFIG);
    let mut text = fs::read_to_string(&config)? + "\n[remote.routes]\n";
    for (domain, at) in routes {
        text.push_str(&format!("\"{domain}\" = \"{at}\"\n"));
    }
    fs::write(&config, text)?;
    for (domain, _) in routes {
        let mut add = Command::new(program);
        add.arg("--config").arg(&config).args(["domain", "add", domain, "--relay"]);
        process::run("hikyaku domain add", &mut add, &server.log)?;
    }
    Ok(server)
}

/// A server with one account, as which the programs of this user send as much as they like.
///
/// # Errors
/// If it cannot be set up.
pub fn prepare_programs(program: &Path, directory: &Path, account: &str) -> anyhow::Result<Server> {
    let mut server = configure(program, directory, super::OURS)?;
    let config = directory.join(CONFIG);
    let text = fs::read_to_string(&config)?;
    fs::write(&config, format!("{text}\n[sendmail.users]\n\"{}\" = \"{account}\"\n", server.owner))?;
    let maildir = add_account(program, &config, account, &server.log)?;
    server.maildirs.insert(account.to_string(), maildir);
    let mut set = Command::new(program);
    set.arg("--config").arg(&config).args(["account", "set", account]);
    set.args(LIMITS.map(|limit| format!("{limit}=unlimited")));
    process::run("hikyaku account set", &mut set, &server.log)?;
    Ok(server)
}

/// A server with the mailboxes of the loads, and members who come to their pages at the second address.
///
/// # Errors
/// If it cannot be set up.
pub fn prepare_pages(
    program: &Path,
    directory: &Path,
    members: &[String],
) -> anyhow::Result<(Server, SocketAddr)> {
    let mut server = configure(program, directory, super::OURS)?;
    let (config, http) = (directory.join(CONFIG), free_address()?);
    let text = fs::read_to_string(&config)?;
    fs::write(&config, text.replacen("[listen]\n", &format!("[listen]\nhttp = [\"{http}\"]\n"), 1))?;
    for name in mailboxes::all_names().into_iter().chain(members.iter().cloned()) {
        let maildir = add_account(program, &config, &name, &server.log)
            .with_context(|| format!("the account {name}"))?;
        server.maildirs.insert(name, maildir);
    }
    Ok((server, http))
}

/// The server by its SMTP address, and its POP3 address.
fn set_up(program: &Path, directory: &Path, name: &'static str) -> anyhow::Result<(Server, SocketAddr)> {
    fs::create_dir_all(directory)?;
    let (smtp, pop3) = (free_address()?, free_address()?);
    let dir = directory.to_str().context("the directory's name is not UTF-8")?;
    let config = directory.join(CONFIG);
    let values = [("dir", dir), ("smtp", &smtp.to_string()), ("pop3", &pop3.to_string())];
    fs::write(&config, fill_in(include_str!("../../../bench/hikyaku/hikyaku.toml"), &values))?;
    let init = Command::new(program).arg("--config").arg(&config).arg("init").output()?;
    if !init.status.success() {
        bail!("hikyaku init: {}", String::from_utf8_lossy(&init.stderr).trim());
    }
    let server = Server {
        name,
        command: vec![program.into(), "--config".into(), config.into(), "serve".into()],
        address: smtp,
        maildirs: HashMap::new(),
        owner: rustix::process::getuid().as_raw(),
        log: directory.join("output"),
    };
    Ok((server, pop3))
}

/// Makes an account and gives its Maildir.
fn add_account(program: &Path, config: &Path, name: &str, log: &Path) -> anyhow::Result<PathBuf> {
    let mut child = Command::new(program)
        .arg("--config")
        .arg(config)
        .args(["account", "add", name, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(log)?)
        .spawn()?;
    child
        .stdin
        .take()
        .context("its standard input is a pipe")?
        .write_all(format!("{PASSWORD}\n").as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("hikyaku account add: {}, see {}", output.status, log.display());
    }
    let account: Value = serde_json::from_slice(&output.stdout).context("what it printed is no account")?;
    account["maildir"].as_str().map(PathBuf::from).context("the account has no maildir")
}
