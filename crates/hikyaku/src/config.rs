//! `hikyaku.toml`: two lines are a working server, everything else has a default.
//!
//! ```toml
//! hostname = "mail.pobox.example"
//! domain = "pobox.example"
//! ```
//! What belongs to customers (accounts, addresses, passwords) is not here but in the directory.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use directory::WindowLength;
use envelope::{AccountName, Domain, Network, SenderRule};
use remote::{Routes, TlsPolicy};
use serde::{Deserialize, Serialize};

/// Where the configuration is looked for if neither `--config` nor `$HIKYAKU_CONFIG` says.
pub const DEFAULT_PATH: &str = "/etc/hikyaku/hikyaku.toml";

/// All of `hikyaku.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This host's full name, as it greets and signs Received fields.
    pub hostname: Domain,
    /// The provider's domain: accounts live directly under it.
    pub domain: Domain,
    /// Where the queue, the directory, mailboxes and keys lie.
    #[serde(default = "default_data")]
    pub data: PathBuf,
    /// Addresses to listen at.
    #[serde(default)]
    pub listen: Listen,
    /// Limits; each has a reply that explains.
    #[serde(default)]
    pub limits: Limits,
    /// The certificate; without one, one is made at the first start.
    #[serde(default)]
    pub tls: Tls,
    /// The queue.
    #[serde(default)]
    pub queue: Queue,
    /// The log.
    #[serde(default)]
    pub log: Log,
    /// Customers who send.
    #[serde(default)]
    pub sending: Sending,
    /// Delivery to mailboxes, and what their owners want besides.
    #[serde(default)]
    pub delivery: Delivery,
    /// Mail to other hosts.
    #[serde(default)]
    pub remote: Remote,
    /// Programs of this machine that send.
    #[serde(default)]
    pub sendmail: Sendmail,
    /// Members' and operators' pages.
    #[serde(default)]
    pub web: Web,
    /// System users of the roles.
    #[serde(default)]
    pub users: Users,
}

/// Where data lies unless the configuration says.
pub fn default_data() -> PathBuf {
    PathBuf::from("/var/lib/hikyaku")
}

/// Addresses to listen at; an empty list switches a service off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// SMTP from other servers.
    pub smtp: Vec<SocketAddr>,
    /// Submission by customers, TLS by STARTTLS.
    pub submission: Vec<SocketAddr>,
    /// Submission by customers, TLS from the first octet (RFC 8314).
    pub submissions: Vec<SocketAddr>,
    /// POP3, TLS by STLS.
    pub pop3: Vec<SocketAddr>,
    /// POP3, TLS from the first octet.
    pub pop3s: Vec<SocketAddr>,
    /// Members' and operators' pages, and the API.
    pub https: Vec<SocketAddr>,
    /// The same without TLS: for a proxy, and for loopback. Anybody else who comes there is sent to https.
    pub http: Vec<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        // The IPv6 socket takes IPv4 too, unless the kernel is told otherwise.
        let any = |port| vec![SocketAddr::from(([0u16; 8], port))];
        Listen {
            smtp: any(25),
            submission: any(587),
            submissions: any(465),
            pop3: any(110),
            pop3s: any(995),
            https: any(443),
            http: Vec::new(),
        }
    }
}

/// Limits. Sizes are in octets, times in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest message; announced by SIZE.
    pub message_size_max: u64,
    /// Recipients of one message.
    pub recipients_max: usize,
    /// Refused commands in one session before it is ended.
    pub errors_max: usize,
    /// How long a session may be silent.
    pub idle: u64,
    /// How long the transfer of one message may take in all.
    pub message_time_max: u64,
    /// Connections of one service in all.
    pub connections_max: usize,
    /// Connections of one service from one address; loopback and trusted networks are exempt.
    pub connections_per_address_max: usize,
    /// Networks that are exempt from `connections_per_address_max`, such as "192.0.2.0/24".
    pub trusted_networks: Vec<Network>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_size_max: 50 << 20,
            recipients_max: 1000,
            errors_max: 20,
            idle: 300,
            message_time_max: 1800,
            connections_max: 1000,
            connections_per_address_max: 50,
            trusted_networks: Vec::new(),
        }
    }
}

/// The certificate and its key, PEM files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The chain, the server's own certificate first.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Whether POP3 passwords may cross a network in clear text (they always may on loopback).
    pub allow_plaintext_login: bool,
}

/// The queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// How long a message is tried, in seconds (as qmail's queuelifetime).
    pub lifetime: u64,
    /// How long a bounce is tried, in seconds.
    pub bounce_lifetime: u64,
    /// After so many seconds a customer, and whoever asked for it, is told that a message takes long; 0: nobody is.
    pub delay_warning: u64,
    /// Whether the postmaster is told of reports that could not be delivered.
    pub double_bounces: bool,
    /// Octets of free space below which no new mail is taken.
    pub reserve: u64,
    /// Octets of one segment of the log.
    pub segment_size: u32,
    /// Deliveries to mailboxes at the same time.
    pub local_concurrency: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            lifetime: 604_800,
            bounce_lifetime: 86_400,
            delay_warning: 14_400,
            double_bounces: true,
            reserve: 64 << 20,
            segment_size: 64 << 20,
            local_concurrency: 32,
        }
    }
}

/// Mail to other hosts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Remote {
    /// The way to a domain, where it is not that of the DNS: as qmail's smtproutes.
    pub routes: toml::Table,
    /// What is asked of TLS where no route says.
    pub tls: TlsPolicy,
    /// Deliveries at the same time, to all destinations.
    pub concurrency: usize,
    /// Deliveries at the same time, to one destination.
    pub destination_concurrency: usize,
    /// Messages a minute that begin to go to one destination; 0 means as many as it takes.
    pub destination_rate: u32,
    /// Messages that go over one connection.
    pub messages_per_connection: usize,
    /// The port of hosts that the DNS names.
    pub port: u16,
    /// Name servers to ask, with their ports; none means those of /etc/resolv.conf.
    pub name_servers: Vec<SocketAddr>,
    /// Addresses that are this host's besides those of its interfaces, as behind a NAT: no mail goes there.
    pub own_addresses: Vec<IpAddr>,
}

impl Default for Remote {
    fn default() -> Self {
        Remote {
            routes: toml::Table::new(),
            tls: TlsPolicy::default(),
            concurrency: 500,
            destination_concurrency: 20,
            destination_rate: 0,
            messages_per_connection: 100,
            port: 25,
            name_servers: Vec::new(),
            own_addresses: Vec::new(),
        }
    }
}

/// Delivery to mailboxes, and what their owners want besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// Copies that forwards may make of one message in all, however they lead on to one another.
    pub fan_out_max: u32,
    /// How long a mailbox may be full, in seconds, before its mail is refused for good.
    pub full_grace: u64,
    /// Whether programs run at all that instructions name. Each account needs leave besides.
    pub programs: bool,
    /// How long a program may take, in seconds.
    pub program_time_max: u64,
    /// How much memory a program may have, in octets.
    pub program_memory_max: u64,
}

impl Default for Delivery {
    fn default() -> Self {
        Delivery {
            fan_out_max: 1000,
            full_grace: 259_200,
            programs: false,
            program_time_max: 120,
            program_memory_max: 256 << 20,
        }
    }
}

/// The log, and the record of what became of each message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// What is logged, such as "info" or "info,smtp=debug".
    pub level: Option<String>,
    /// For how many days `hikyaku trace` tells what became of a message; 0 keeps no record.
    pub trace_days: u32,
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::default(), level: None, trace_days: 30 }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Members' and operators' pages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// How members reach the page, such as `https://mail.pobox.example/`: for links in mail. Without it, this host's
    /// name and the port of `listen.https`.
    pub url: Option<String>,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, such as "127.0.0.1/32".
    pub trusted_proxies: Vec<Network>,
    /// Whether a destination outside gets mail only after its owner agreed.
    pub confirm_destinations: bool,
    /// After so many seconds without a request a session ends.
    pub session_idle: u64,
    /// After so many seconds it ends in any case.
    pub session_max: u64,
}

impl Default for Web {
    fn default() -> Self {
        Web {
            url: None,
            trusted_proxies: Vec::new(),
            confirm_destinations: true,
            session_idle: 3600,
            session_max: 43_200,
        }
    }
}

/// System users of the roles.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Users {
    /// Run every role as the user who starts the server, even root: for trying things out.
    pub shared: bool,
}

/// Programs of this machine that send: CGI scripts and all who call `sendmail`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sendmail {
    /// Whether `sendmail` takes just the options that the provider published.
    pub strict: bool,
    /// Whether mail is kept in the drop directory while the server is down.
    pub spool: bool,
    /// The group whose members may leave mail there.
    pub spool_group: String,
    /// Whether `QMAILQUEUE` in a caller's environment is honoured.
    pub qmailqueue: bool,
    /// As whom programs send whose user is nobody's.
    pub unmapped: Unmapped,
    /// Users of this machine, by name or number, and the accounts as which their programs send. Besides
    /// these there are those of `hikyaku account add --uid`.
    pub users: BTreeMap<String, AccountName>,
}

impl Default for Sendmail {
    fn default() -> Self {
        Sendmail {
            strict: false,
            spool: true,
            spool_group: "hikyaku-drop".into(),
            qmailqueue: true,
            unmapped: Unmapped::default(),
            users: BTreeMap::new(),
        }
    }
}

/// As whom programs send whose user is nobody's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unmapped {
    /// As the account `anonymous`, whose address is `anonymous@` this host.
    #[default]
    Anonymous,
    /// They may not.
    Refuse,
}

/// Customers who send.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sending {
    /// For how many minutes, 1 to 60, a customer may send after a mailbox check (POP before SMTP).
    pub pop_window: WindowLength,
    /// Networks from where a mailbox check opens nothing, such as one that many strangers share.
    pub windowless_networks: Vec<Network>,
    /// As whom a customer may send: "account", his own addresses, or "domain", any address here.
    pub sender_rule: SenderRule,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Says the file, the line, and what was expected.
    pub fn read(path: &Path) -> anyhow::Result<Config> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read {}; `hikyaku init` writes one, `--config FILE` names another",
                path.display()
            )
        })?;
        Config::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Parses and checks a configuration.
    ///
    /// # Errors
    /// Says the line, and what was expected.
    pub fn parse(text: &str) -> anyhow::Result<Config> {
        let config: Config = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        if !self.data.is_absolute() {
            bail!("data = {:?}: must be an absolute path", self.data);
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            bail!("[tls]: give both certificate and key, or neither");
        }
        let limits = &self.limits;
        for (name, value) in [
            ("message_size_max", limits.message_size_max),
            ("recipients_max", limits.recipients_max as u64),
            ("errors_max", limits.errors_max as u64),
            ("idle", limits.idle),
            ("message_time_max", limits.message_time_max),
            ("connections_max", limits.connections_max as u64),
            ("connections_per_address_max", limits.connections_per_address_max as u64),
        ] {
            if value == 0 {
                bail!("[limits]: {name} = 0 would let nothing through; leave the line out for the default");
            }
        }
        if limits.recipients_max > 10_000 {
            bail!("[limits]: recipients_max is at most 10000");
        }
        let size = self.queue.segment_size;
        if !(8 << 20..=1 << 30).contains(&size) || !size.is_multiple_of(4096) {
            bail!("[queue]: segment_size is from 8 MiB to 1 GiB, in octets, a multiple of 4096");
        }
        self.routes()?;
        let remote = &self.remote;
        if remote.concurrency == 0
            || remote.destination_concurrency == 0
            || remote.messages_per_connection == 0
        {
            bail!(
                "[remote]: concurrency, destination_concurrency and messages_per_connection are at least 1"
            );
        }
        if remote.concurrency > 10_000 {
            bail!("[remote]: concurrency is at most 10000");
        }
        let delivery = &self.delivery;
        if delivery.fan_out_max == 0 || delivery.program_time_max == 0 {
            bail!("[delivery]: fan_out_max and program_time_max are at least 1");
        }
        if delivery.program_memory_max < 16 << 20 {
            bail!("[delivery]: program_memory_max is at least 16 MiB, in octets");
        }
        if self.log.trace_days > 3650 {
            bail!("[log]: trace_days is at most 3650; 0 keeps no record");
        }
        let web = &self.web;
        if web.session_idle < 5 || web.session_max < web.session_idle {
            bail!("[web]: session_idle is at least 5 seconds, and session_max no less than it");
        }
        if let Some(url) = &web.url
            && !((url.starts_with("https://") || url.starts_with("http://"))
                && url.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'"')
                && url.len() <= 200)
        {
            bail!("[web]: url = {url:?}: write https://, a host's name and a slash");
        }
        if self.queue.local_concurrency == 0 || self.queue.local_concurrency > 1000 {
            bail!("[queue]: local_concurrency is from 1 to 1000");
        }
        Ok(())
    }

    /// This configuration with what a running server takes up of a new one. The second part names
    /// the lines that differ and wait for the next start, as they are read only then.
    pub fn reloaded(&self, new: Config) -> (Config, Vec<&'static str>) {
        let old = self.clone();
        let mut later = Vec::new();
        let mut differs = |name, differs: bool| {
            if differs {
                later.push(name);
            }
        };
        differs("hostname", old.hostname != new.hostname);
        differs("domain", old.domain != new.domain);
        differs("data", old.data != new.data);
        differs("[listen]", old.listen != new.listen);
        differs("[log]", old.log != new.log);
        differs("[users]", old.users != new.users);
        differs("[sendmail] spool_group", old.sendmail.spool_group != new.sendmail.spool_group);
        differs("[sending] pop_window", old.sending.pop_window != new.sending.pop_window);
        let windowless = |config: &Config| config.sending.windowless_networks.clone();
        differs("[sending] windowless_networks", windowless(&old) != windowless(&new));
        // Routes and TLS are taken up.
        let rest = |config: &Config| Remote {
            routes: toml::Table::new(),
            tls: TlsPolicy::default(),
            ..config.remote.clone()
        };
        differs("[remote]", rest(&old) != rest(&new));
        differs("[delivery]", old.delivery != new.delivery);
        differs("[queue] reserve", old.queue.reserve != new.queue.reserve);
        differs("[queue] segment_size", old.queue.segment_size != new.queue.segment_size);
        differs("[queue] local_concurrency", old.queue.local_concurrency != new.queue.local_concurrency);
        let queue = Queue {
            reserve: old.queue.reserve,
            segment_size: old.queue.segment_size,
            local_concurrency: old.queue.local_concurrency,
            ..new.queue
        };
        let sending = Sending { sender_rule: new.sending.sender_rule, ..old.sending.clone() };
        let remote = Remote { routes: new.remote.routes, tls: new.remote.tls, ..old.remote.clone() };
        let sendmail = Sendmail { spool_group: old.sendmail.spool_group.clone(), ..new.sendmail };
        (
            Config {
                limits: new.limits,
                tls: new.tls,
                queue,
                sending,
                remote,
                sendmail,
                web: new.web,
                ..old
            },
            later,
        )
    }

    /// The ways to other domains.
    ///
    /// # Errors
    /// Says which line of `[remote.routes]` is none.
    pub fn routes(&self) -> anyhow::Result<Routes> {
        Routes::deserialize(self.remote.routes.clone()).context("in [remote.routes]")
    }

    /// The queue's directory.
    pub fn spool_dir(&self) -> PathBuf {
        self.data.join("queue")
    }

    /// The directory's database file.
    pub fn database(&self) -> PathBuf {
        self.data.join("directory").join("directory.sqlite")
    }

    /// The root of all mailboxes.
    pub fn mail_dir(&self) -> PathBuf {
        self.data.join("mail")
    }

    /// The homes of customers' programs.
    pub fn programs_dir(&self) -> PathBuf {
        self.data.join("programs")
    }

    /// Keys that were made here.
    pub fn keys_dir(&self) -> PathBuf {
        self.data.join("keys")
    }

    /// Where mail of this machine's programs lies that came while the server was down.
    pub fn drop_dir(&self) -> PathBuf {
        self.data.join("drop")
    }

    /// Sockets for the command line.
    pub fn run_dir(&self) -> PathBuf {
        self.data.join("run")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_LINES: &str = "hostname = \"mail.pobox.example\"\ndomain = \"pobox.example\"\n";

    #[test]
    fn two_lines_are_a_whole_configuration() {
        let config = Config::parse(TWO_LINES).unwrap();
        assert_eq!(config.hostname.as_str(), "mail.pobox.example");
        assert_eq!(config.limits.message_size_max, 52_428_800);
        assert_eq!(config.listen.smtp[0].port(), 25);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (line, word) in [
            ("colour = 1", "colour"),
            ("[limits]\nrecipients_max = 0", "recipients_max"),
            ("[tls]\ncertificate = \"/x\"", "certificate and key"),
            ("data = \"here\"", "absolute"),
            ("[log]\ntrace_days = 4000", "trace_days"),
            ("[limits]\ntrusted_networks = [\"10.0.0.0/40\"]", "10.0.0.0/40"),
        ] {
            let error = format!("{:#}", Config::parse(&format!("{TWO_LINES}{line}\n")).unwrap_err());
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn a_reload_takes_limits_up_and_names_what_waits() {
        let old = Config::parse(TWO_LINES).unwrap();
        let new =
            TWO_LINES.replace("mail.", "mx.") + "[limits]\nidle = 7\n[queue]\nlifetime = 9\nreserve = 1\n";
        let (config, later) = old.reloaded(Config::parse(&new).unwrap());
        assert_eq!((config.limits.idle, config.queue.lifetime), (7, 9));
        assert_eq!((config.hostname, config.queue.reserve), (old.hostname, old.queue.reserve));
        assert_eq!(later, ["hostname", "[queue] reserve"]);
    }
}
