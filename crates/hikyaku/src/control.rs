//! What the supervisor says to a role, over the socket that is the role's standard input.
//!
//! A role gets everything this way: its settings, its listening sockets, a socket to each role
//! that it may call, and one from each role that may call it. It can reach nothing else.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, bail};
use bytes::BytesMut;
use envelope::{AccountName, Domain};
use link::grant::GrantKey;
use link::{Frame, Kind, frame};
use remote::TlsPolicy;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Delivery, Limits, Listen, Log, Queue, Sending, Sendmail, Web};

/// The roles, in the order in which they are started: who is called before who calls, but for `programs`,
/// which is called by `local` and calls `submit`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Private keys.
    Keys,
    /// Domains, accounts, passwords.
    Directory,
    /// Runs customers' programs.
    Programs,
    /// Writes mailboxes.
    Local,
    /// Reads mailboxes.
    Maildrop,
    /// Carries mail to other hosts.
    Remote,
    /// Accepted mail.
    Queue,
    /// Takes mail from this machine's programs.
    Submit,
    /// Speaks POP3.
    Pop3,
    /// Speaks SMTP.
    Smtp,
    /// Members' and operators' pages.
    Web,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 11] = [
        Role::Keys,
        Role::Directory,
        Role::Programs,
        Role::Local,
        Role::Maildrop,
        Role::Remote,
        Role::Queue,
        Role::Submit,
        Role::Pop3,
        Role::Smtp,
        Role::Web,
    ];

    /// The role's name, as `hikyaku role NAME` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Keys => "keys",
            Role::Directory => "directory",
            Role::Programs => "programs",
            Role::Local => "local",
            Role::Maildrop => "maildrop",
            Role::Remote => "remote",
            Role::Queue => "queue",
            Role::Submit => "submit",
            Role::Pop3 => "pop3",
            Role::Smtp => "smtp",
            Role::Web => "web",
        }
    }

    /// The roles that it may call. There are no other ways between roles than these.
    pub fn calls(self) -> &'static [Role] {
        match self {
            Role::Smtp => &[Role::Queue, Role::Directory, Role::Keys],
            Role::Web => &[Role::Queue, Role::Directory, Role::Keys],
            Role::Submit => &[Role::Queue, Role::Directory],
            Role::Pop3 => &[Role::Directory, Role::Maildrop, Role::Keys],
            Role::Queue => &[Role::Directory, Role::Local, Role::Remote],
            Role::Directory => &[Role::Local],
            Role::Local => &[Role::Programs],
            Role::Programs => &[Role::Submit],
            Role::Keys | Role::Maildrop | Role::Remote => &[],
        }
    }

    /// Whether a server with this configuration has it.
    pub fn is_wanted(self, config: &Config) -> bool {
        self != Role::Programs || config.delivery.programs
    }

    /// Whether the command line may call it, over a socket with a name.
    pub fn hears_operators(self) -> bool {
        matches!(self, Role::Directory | Role::Queue)
    }

    /// Whether every program of this machine may call it, over a socket with a name.
    pub fn hears_programs(self) -> bool {
        matches!(self, Role::Submit | Role::Smtp)
    }
}

/// What a listening socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Door {
    /// SMTP from other servers.
    Smtp,
    /// Submission, STARTTLS.
    Submission,
    /// Submission, TLS from the first octet.
    Submissions,
    /// POP3, STLS.
    Pop3,
    /// POP3, TLS from the first octet.
    Pop3s,
    /// HTTP over TLS.
    Https,
    /// HTTP, for a proxy on this machine or for loopback.
    Http,
}

/// What the supervisor says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// First of all: who you are.
    Start(Box<Start>),
    /// Listen at the socket that comes along.
    Listen(Door),
    /// The operators' socket comes along.
    HearOperators,
    /// The socket for this machine's programs comes along.
    HearPrograms,
    /// Call this role over the socket that comes along.
    Call(Role),
    /// Answer this role over the socket that comes along.
    Answer(Role),
    /// For `keys`: the configured certificate and key come along, two open files.
    KeyFiles,
    /// The settings have changed.
    Reload(Box<Settings>),
    /// For `remote`: so have its own.
    ReloadOutward(Box<Outward>),
    /// Finish what is in hand and exit.
    Stop,
}

/// What a role says back.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// It does its work now.
    Ready,
    /// The way to this role ended: it died, or one of the two could not make sense of the other.
    Broken(Role),
}

/// A role's first order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// The settings.
    pub settings: Settings,
    /// A number that no other running role has, for [`envelope::QueueIds`].
    pub source: u16,
    /// For those that issue or redeem grants.
    pub grant_key: Option<GrantKey>,
    /// Whether it has a system user of its own.
    pub own_user: bool,
    /// For `remote`.
    pub outward: Option<Outward>,
}

/// What `remote` needs of the configuration, and of the system that it cannot read by itself. Passwords
/// of smart hosts may be in it, so nobody else gets it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outward {
    /// `[remote.routes]`, as TOML.
    pub routes: String,
    /// What is asked of TLS where no route says.
    pub tls: TlsPolicy,
    /// Deliveries at the same time, to one destination.
    pub destination_concurrency: usize,
    /// Messages a minute to one destination; 0: as many as it takes.
    pub destination_rate: u32,
    /// Messages that go over one connection.
    pub messages_per_connection: usize,
    /// The port of hosts that the DNS names.
    pub port: u16,
    /// Name servers; if there are none, those that `resolv_conf` names.
    pub name_servers: Vec<SocketAddr>,
    /// The text of /etc/resolv.conf.
    pub resolv_conf: String,
    /// Where this host takes mail.
    pub own: Vec<SocketAddr>,
}

/// What roles need of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// This host's name.
    pub hostname: Domain,
    /// The provider's domain.
    pub domain: Domain,
    /// Limits.
    pub limits: Limits,
    /// The queue.
    pub queue: Queue,
    /// The log.
    pub log: Log,
    /// Customers who send.
    pub sending: Sending,
    /// Programs of this machine that send.
    pub sendmail: Sendmail,
    /// `[sendmail.users]` by their ids, which roles cannot look up.
    pub local_users: BTreeMap<u32, AccountName>,
    /// Delivery to mailboxes.
    pub delivery: Delivery,
    /// Members' and operators' pages.
    pub web: Web,
    /// Where the services listen.
    pub listen: Listen,
    /// Deliveries to other hosts at the same time, and of them to one destination.
    pub remote_concurrency: (usize, usize),
    /// Whether POP3 passwords may cross a network in clear text.
    pub allow_plaintext_login: bool,
    /// Paths, of which each role may touch its own.
    pub paths: Paths,
}

/// Where things lie.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Paths {
    /// The queue.
    pub spool: PathBuf,
    /// The directory's database.
    pub database: PathBuf,
    /// Mailboxes.
    pub mail: PathBuf,
    /// Homes of customers' programs.
    pub programs: PathBuf,
    /// Keys made here.
    pub keys: PathBuf,
    /// Where programs leave mail while the server is down.
    pub drop: PathBuf,
}

impl Paths {
    /// The folder of the record of events, beside the database.
    pub fn events(&self) -> PathBuf {
        self.database.with_file_name("events")
    }
}

impl Settings {
    /// The part of the configuration that travels to roles. Nobody is looked up yet.
    pub fn of(config: &Config) -> Settings {
        Settings {
            hostname: config.hostname.clone(),
            domain: config.domain.clone(),
            limits: config.limits.clone(),
            queue: config.queue.clone(),
            log: config.log.clone(),
            sending: config.sending.clone(),
            sendmail: config.sendmail.clone(),
            local_users: BTreeMap::new(),
            delivery: config.delivery.clone(),
            web: config.web.clone(),
            listen: config.listen.clone(),
            remote_concurrency: (config.remote.concurrency, config.remote.destination_concurrency),
            allow_plaintext_login: config.tls.allow_plaintext_login,
            paths: Paths {
                spool: config.spool_dir(),
                database: config.database(),
                mail: config.mail_dir(),
                programs: config.programs_dir(),
                keys: config.keys_dir(),
                drop: config.drop_dir(),
            },
        }
    }
}

/// Reads the first order off standard input, before there is a runtime or a thread: a role
/// confines itself first, and only what is started after that is confined.
///
/// # Errors
/// If standard input is no socket of the supervisor's, or what comes is no [`Order::Start`].
pub fn first_order() -> anyhow::Result<(UnixStream, Start)> {
    let not_by_hand = "roles are started by `hikyaku serve`, not by hand";
    let socket: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned()?;
    rustix::net::sockopt::socket_type(&socket).context(not_by_hand)?;
    let mut stream = UnixStream::from(socket);
    // Exactly one frame is read, so that nothing of the next is lost.
    let mut octets = BytesMut::zeroed(4);
    stream.read_exact(&mut octets).context(not_by_hand)?;
    let length = u32::from_le_bytes([octets[0], octets[1], octets[2], octets[3]]) as usize;
    if length > frame::FRAME_MAX {
        bail!(not_by_hand);
    }
    octets.resize(4 + length, 0);
    stream.read_exact(&mut octets[4..]).context(not_by_hand)?;
    let Some((frame @ Frame { kind: Kind::Event, .. }, 0)) = frame::decode(&mut octets)? else {
        bail!(not_by_hand);
    };
    match frame.open::<Order>()?.value {
        Order::Start(start) => Ok((stream, *start)),
        _ => bail!(not_by_hand),
    }
}
