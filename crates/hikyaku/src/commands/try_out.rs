//! `hikyaku try`: the whole system on loopback, with sample accounts, and with a world outside that keeps
//! all it gets.

mod catcher;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use envelope::{AccountName, Domain, DomainKind, HostedDomain, Language};
use link::services::directory::{Directory, NewAccount, NewPassword, Rule, Secret};
use nix::unistd::Uid;
use sendmail::Face;
use tokio::sync::oneshot;

use self::catcher::Catcher;
use super::account;
use super::desk::{self, Desk, ask};
use super::links::Links;
use super::output::say;
use super::self_check::{self, Way};
use crate::config::Config;
use crate::control::Role;
use crate::page_address::page_address;
use crate::privileges::{self, Identities};
use crate::{logging, supervisor};

#[derive(Args)]
pub struct Try {
    /// Where everything is kept; what is there from last time is used again.
    #[arg(long, default_value = "./hikyaku-try")]
    dir: PathBuf,
    /// Ports are this number plus the standard port: SMTP at 2025, POP3 at 2110 and so on.
    /// A configuration that is there already keeps its ports unless this is given. [default: 2000]
    #[arg(long, value_name = "N")]
    port_base: Option<u16>,
    /// End after the self-check, with exit code 0 or 1.
    #[arg(long)]
    once: bool,
}

/// How long the server may take to get ready.
const START_PATIENCE: Duration = Duration::from_secs(60);
const DOMAIN: &str = "pobox.example";
/// Accounts and their passwords.
const ACCOUNTS: [(&str, &str); 2] = [("abc", "abc-try"), ("xyz", "xyz-try")];
/// The operator's account, which has a password once its one-time link is taken up.
const OPERATOR: &str = "postmaster";
const VIRTUAL: (&str, &str) = ("shop.example", "xyz");
/// Where the program lies by its other names.
const BIN: &str = "bin";
/// What is added to the base for the port of the world outside.
const OUTSIDE: u16 = 825;

/// Does it.
pub fn run(arguments: &Try) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&arguments.dir)
        .with_context(|| format!("cannot make the directory {}", arguments.dir.display()))?;
    let dir = arguments.dir.canonicalize()?;
    let path = dir.join("hikyaku.toml");
    let config = configuration(&dir, &path, arguments.port_base)?;
    privileges::found(&config, Identities::of(&config))?;
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    Links::wanted(&dir.join(BIN), &Face::ALL, &program)?.make()?;
    logging::start(&config.log);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(at) = outside(&config) {
            tokio::spawn(Catcher::open(at, &dir.join("outside")).await?.run());
        }
        let (ready, is_ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(supervisor::run(path.clone(), config.clone(), &Role::ALL, ready, stopped));
        let outcome = match tokio::time::timeout(START_PATIENCE, is_ready).await {
            Ok(Ok(())) => first_messages(&dir, &path, &config).await,
            Ok(Err(_)) => {
                server.await??;
                bail!("the server stopped before it was ready");
            }
            Err(_) => Err(anyhow!("not every part of the server got ready; the log says why")),
        };
        match &outcome {
            Ok(link) => explain(&dir, &path, &config, link)?,
            Err(problem) => say!("the self-check FAILED: {problem:#}"),
        }
        if arguments.once || outcome.is_err() {
            // Whoever took the other end has stopped by itself.
            let _ = stop.send(());
            server.await??;
            return Ok(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        say!("ready");
        server.await??;
        Ok(ExitCode::SUCCESS)
    })
}

/// The configuration in DIR: written at the first time, or anew where other ports are asked for.
fn configuration(dir: &Path, path: &Path, port_base: Option<u16>) -> anyhow::Result<Config> {
    if path.exists() {
        let config = Config::read(path)?;
        if desk::connect::<Directory>(&config, Role::Directory)?.is_some() {
            bail!("a server is running on {} already; end it, or give another --dir", dir.display());
        }
        let asked_for = port_base.map(|base| port(base, 25)).transpose()?;
        if asked_for.is_none() || config.listen.smtp.first().map(SocketAddr::port) == asked_for {
            return Ok(config);
        }
    }
    let base = port_base.unwrap_or(2000);
    let listen = |standard: u16| -> anyhow::Result<String> {
        Ok(format!("[\"{}\"]", SocketAddr::from((Ipv4Addr::LOCALHOST, port(base, standard)?))))
    };
    let data = dir.to_str().context("the directory's name is not UTF-8")?;
    let text = format!(
        "# Made by `hikyaku try`: everything on loopback, nothing for the world.\n\
         hostname = \"mail.{DOMAIN}\"\n\
         domain = \"{DOMAIN}\"\n\
         data = {}\n\
         \n\
         [listen]\n\
         smtp = {}\n\
         submission = {}\n\
         submissions = {}\n\
         pop3 = {}\n\
         pop3s = {}\n\
         https = {}\n\
         http = {}\n\
         \n\
         # Browsers take the page's cookies from this name without TLS.\n\
         [web]\n\
         url = \"http://localhost:{}/\"\n\
         \n\
         # Mail for everybody else is caught, and lies in outside/. A more exact line goes before this one:\n\
         # \"peer.example\" = \"127.0.0.1:2626\"\n\
         [remote.routes]\n\
         \"*\" = \"{}\"\n\
         \n\
         # Programs of this user send as abc.\n\
         [sendmail.users]\n\
         {} = \"{}\"\n\
         \n\
         [users]\n\
         shared = true\n",
        toml::Value::String(data.to_string()),
        listen(25)?,
        listen(587)?,
        listen(465)?,
        listen(110)?,
        listen(995)?,
        listen(443)?,
        listen(80)?,
        port(base, 80)?,
        SocketAddr::from((Ipv4Addr::LOCALHOST, port(base, OUTSIDE)?)),
        Uid::effective(),
        ACCOUNTS[0].0,
    );
    std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    Config::read(path)
}

/// Where mail for the outside is caught, if that is where it goes.
fn outside(config: &Config) -> Option<SocketAddr> {
    let at: SocketAddr = config.remote.routes.get("*")?.as_str()?.parse().ok()?;
    at.ip().is_loopback().then_some(at)
}

fn port(base: u16, standard: u16) -> anyhow::Result<u16> {
    base.checked_add(standard)
        .with_context(|| format!("--port-base {base} leaves no room for port {standard}"))
}

/// Makes the sample accounts and the sample domain, where they are not there from last time; and a one-time link
/// for the operator.
fn sample(config: &Config) -> anyhow::Result<String> {
    let mut desk = Desk::open(config)?;
    let [abc, xyz] = ACCOUNTS.map(|(name, password)| (name, Some(password)));
    let all = [(abc, Language::Ja), (xyz, Language::En), ((OPERATOR, None), Language::Ja)];
    for ((name, password), language) in all {
        let name: AccountName = name.parse()?;
        if desk.answer(Rule::Account(name.clone())).is_ok() {
            continue;
        }
        let password = password.map(|password| NewPassword::Password(Secret(password.into())));
        let (operator, plan, uids) = (name.as_str() == OPERATOR, None, Vec::new());
        let new = NewAccount { name, password, language, operator, plan, uids };
        desk.change(Rule::AddAccount(new))?;
    }
    let name = Domain::parse(VIRTUAL.0)?;
    let domains = ask!(desk, Rule::Domains => Domains);
    if !domains.iter().any(|domain| domain.name == name) {
        let kind = DomainKind::Virtual { owner: VIRTUAL.1.parse()?, prefix: None };
        desk.change(Rule::AddDomain(HostedDomain { name, kind }))?;
    }
    account::link(config, &mut desk, OPERATOR.parse()?)
}

/// Sends the first messages, and gives the operator's one-time link.
async fn first_messages(dir: &Path, path: &Path, config: &Config) -> anyhow::Result<String> {
    let first = |addresses: &[SocketAddr], service: &str| {
        addresses.first().copied().with_context(|| format!("[listen] {service} is empty"))
    };
    let smtp = first(&config.listen.smtp, "smtp")?;
    let pop3 = first(&config.listen.pop3, "pop3")?;
    let recipient = format!("{}@{DOMAIN}", ACCOUNTS[0].0);
    let (sampled, path, command) =
        (config.clone(), path.to_path_buf(), dir.join(BIN).join(Face::Sendmail.name()));
    let (link, by_smtp, by_sendmail) = tokio::task::spawn_blocking(move || {
        let link = sample(&sampled)?;
        let send = |way| self_check::run(way, pop3, &recipient, ACCOUNTS[0]);
        let by_smtp = send(Way::Smtp(smtp))?;
        anyhow::Ok((link, by_smtp, send(Way::Sendmail { command: &command, config: &path })?))
    })
    .await??;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    say!(
        "First messages went through the whole house:\n\
         \x20 by SMTP into the queue, on disk, in {:.1} ms\n\
         \x20 into the Maildir, and back by POP3, {:.1} ms later\n\
         \x20 by sendmail into the queue in {:.1} ms, and back by POP3 {:.1} ms later\n",
        ms(by_smtp.accepted),
        ms(by_smtp.fetched),
        ms(by_sendmail.accepted),
        ms(by_sendmail.fetched),
    );
    Ok(link)
}

fn explain(dir: &Path, path: &Path, config: &Config, link: &str) -> anyhow::Result<()> {
    let at = |addresses: &[SocketAddr]| addresses.first().map_or("-".into(), ToString::to_string);
    let listen = &config.listen;
    let (smtp, pop3, pop3s) = (at(&listen.smtp), at(&listen.pop3), at(&listen.pop3s));
    let port = |address: &str| address.rsplit_once(':').map_or("-", |(_, port)| port).to_string();
    let outside = match outside(config) {
        Some(_) => format!("mail for anybody else is caught, and lies in {}", dir.join("outside").display()),
        None => format!("mail for anybody else LEAVES this machine, by {}", path.display()),
    };
    say!(
        "\
accounts     abc (password abc-try), xyz (password xyz-try)
page         {}     sign in as abc or xyz
operator     {link}
             sets the password of {OPERATOR}, once; the next start, or `hikyaku account link {OPERATOR}`, gives another
addresses    abc@{DOMAIN}, anything@abc.{DOMAIN}; anything@shop.example is xyz's
SMTP         {smtp}     submission {}, with TLS {}
POP3         {pop3}     with TLS {pop3s}
outside      {outside}
commands     {}: sendmail, mailq, qmail-inject, … for programs of this user, who send as abc
data         {}

Try, in another terminal:
  export HIKYAKU_CONFIG={}
  printf 'Subject: hello\\n\\nhello\\n' | curl -sS smtp://{smtp} --mail-from me@there.example \\
      --mail-rcpt hello@abc.{DOMAIN} --upload-file -
  curl -sS pop3://{pop3}/1 -u abc:abc-try
  curl -sS --insecure pop3s://{pop3s}/ -u abc:abc-try
  swaks --server 127.0.0.1 --port {} --to abc@{DOMAIN} --tls
  printf 'From: abc@{DOMAIN}\\nSubject: hello\\n\\nhello\\n' | curl -sS smtp://{} -u abc:abc-try \\
      --mail-from abc@{DOMAIN} --mail-rcpt friend@there.example --upload-file -
  printf 'To: friend@there.example\\nSubject: hello\\n\\nhello\\n' | {}/sendmail -t
  hikyaku account show abc --json
  hikyaku queue stats
",
        page_address(&config.hostname, listen, &config.web),
        at(&listen.submission),
        at(&listen.submissions),
        dir.join(BIN).display(),
        dir.display(),
        path.display(),
        port(&smtp),
        at(&listen.submission),
        dir.join(BIN).display(),
    );
    Ok(())
}
