//! `hikyaku serve`: binds the ports, starts each role as a child with its sockets, restarts one
//! that dies, reloads on SIGHUP, stops in order on SIGTERM. It hears no stranger and reads no mail.

mod outward;

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use envelope::AccountName;
use link::grant::GrantKey;
use link::{Kind, Parcel, wire};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::control::{Door, Order, Report, Role, Settings, Start};
use crate::local_users::LocalUsers;
use crate::privileges::{self, Identities};
use crate::sendmail_note::{Places, SendmailNote};

/// How long a role may take to finish what is in hand before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// A role that lived this long is no part of a series of crashes.
const SETTLED: Duration = Duration::from_secs(10);
/// How long after a way between two living roles broke it is made anew.
const MEND_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a role is started again.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// The order in which roles stop: first who hears strangers, last who is called by the others.
/// Before those who call them the programs end, as nobody waits for what they have in hand: their mail
/// stays in the queue.
const STOP_ORDER: [&[Role]; 5] = [
    &[Role::Programs, Role::Smtp, Role::Pop3, Role::Web],
    &[Role::Submit],
    &[Role::Queue],
    &[Role::Local, Role::Remote, Role::Maildrop],
    &[Role::Directory, Role::Keys],
];

/// Runs the server until it is told to stop.
///
/// `roles` are those to start: all for a server, few for a command that finds none running.
/// `ready` is sent when every role does its work; `stop` stops the server as SIGTERM does.
///
/// # Errors
/// If a port cannot be bound, a directory not made, or a role not started at all.
pub async fn run(
    config_path: PathBuf,
    config: Config,
    roles: &'static [Role],
    ready: oneshot::Sender<()>,
    stop: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let mut supervisor = Supervisor::new(config_path, config, roles)?;
    supervisor.start_all()?;
    supervisor.watch(ready, stop).await
}

struct Supervisor {
    config_path: PathBuf,
    config: Config,
    /// `[sendmail.users]` by their ids.
    local_users: BTreeMap<u32, AccountName>,
    identities: Identities,
    roles: Vec<Role>,
    doors: Vec<(Role, Door, TcpListener)>,
    operators: HashMap<Role, UnixListener>,
    /// Where this machine's programs call.
    programs: HashMap<Role, UnixListener>,
    children: HashMap<Role, Child>,
    /// When each way between two roles was made last.
    connected: HashMap<(Role, Role), Instant>,
    crashes: HashMap<Role, u32>,
    grant_key: GrantKey,
    source: u16,
    news: mpsc::UnboundedSender<News>,
    heard: mpsc::UnboundedReceiver<News>,
}

struct Child {
    pid: u32,
    source: u16,
    orders: wire::Outbox,
    started: Instant,
    ready: bool,
}

/// What happens to children. The `source` tells a child from its successor.
enum News {
    Ready(Role, u16),
    /// The way from this child to that role ended.
    Broken(Role, u16, Role),
    /// That way is to be made anew, if both run and it was not since then.
    MendDue(Role, Role, Instant),
    Exited(Role, u16, ExitStatus),
    RestartDue(Role),
}

impl Supervisor {
    fn new(config_path: PathBuf, config: Config, roles: &'static [Role]) -> anyhow::Result<Supervisor> {
        let identities = Identities::of(&config);
        let roles: Vec<Role> = roles.iter().copied().filter(|role| role.is_wanted(&config)).collect();
        if !config.database().exists() {
            // A disk that is not mounted must not look like a server without customers.
            bail!(
                "there is no directory of accounts at {}: is the disk mounted? `hikyaku init` makes a new one",
                config.database().display()
            );
        }
        privileges::prepare_directories(&config, identities)?;
        let mut doors = Vec::new();
        let listen = &config.listen;
        for (role, door, addresses) in [
            (Role::Smtp, Door::Smtp, &listen.smtp),
            (Role::Smtp, Door::Submission, &listen.submission),
            (Role::Smtp, Door::Submissions, &listen.submissions),
            (Role::Pop3, Door::Pop3, &listen.pop3),
            (Role::Pop3, Door::Pop3s, &listen.pop3s),
            (Role::Web, Door::Https, &listen.https),
            (Role::Web, Door::Http, &listen.http),
        ] {
            for address in addresses.iter().filter(|_| roles.contains(&role)) {
                let listener = bind(*address).with_context(|| {
                    format!("cannot listen at {address}: is another server running, or does this need root?")
                })?;
                doors.push((role, door, listener));
            }
        }
        let mut operators = HashMap::new();
        for role in roles.iter().copied().filter(|role| role.hears_operators()) {
            operators.insert(role, bind_named(&operators_socket(&config, role), 0o600)?);
        }
        let places = Places::of(&config);
        let mut programs = HashMap::new();
        for role in roles.iter().copied().filter(|role| role.hears_programs()) {
            // The kernel says who calls, so everybody may.
            programs.insert(role, bind_named(programs_socket(&places, role), 0o666)?);
        }
        if roles.contains(&Role::Submit) {
            SendmailNote::of(&config.sendmail, &config.limits).leave(&places)?;
        }
        let (news, heard) = mpsc::unbounded_channel();
        Ok(Supervisor {
            config_path,
            local_users: local_users(&config),
            config,
            identities,
            roles,
            doors,
            operators,
            programs,
            children: HashMap::new(),
            connected: HashMap::new(),
            crashes: HashMap::new(),
            grant_key: GrantKey::new(rand::random()),
            // Not the same at each start: should the clock have gone back, ids still differ.
            source: rand::random(),
            news,
            heard,
        })
    }

    fn start_all(&mut self) -> anyhow::Result<()> {
        self.roles.clone().into_iter().try_for_each(|role| self.start(role))
    }

    /// Starts a role and introduces it to those that run already.
    fn start(&mut self, role: Role) -> anyhow::Result<()> {
        self.spawn(role)?;
        self.equip(role).inspect_err(|_| {
            // One without its sockets would only be in the way of the next.
            if let Some(child) = self.children.remove(&role) {
                child.orders.close();
                kill(child.pid);
            }
        })
    }

    fn spawn(&mut self, role: Role) -> anyhow::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        // The program that runs now, even if another lies in its place since.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("hikyaku").arg("role").arg(role.name()).current_dir("/").env_clear();
        // Signals of the terminal are for the supervisor, which stops the roles in order.
        command.process_group(0);
        for kept in ["TZ", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
        if let Some((uid, gid)) = self.identities.of_role(role, &self.config)? {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        let mut process =
            command.spawn().with_context(|| format!("cannot start the {} role", role.name()))?;
        // Twelve bits go into queue ids; by the time they repeat, the clock has moved on.
        self.source = self.source.wrapping_add(1) & 0xfff;
        let source = self.source;
        let (mut inbox, orders) = wire::open(ours)?;

        let news = self.news.clone();
        tokio::spawn(async move {
            while let Ok(Some(frame)) = inbox.next().await {
                let sent = match frame.open::<Report>().map(|parcel| parcel.value) {
                    Ok(Report::Ready) => news.send(News::Ready(role, source)),
                    Ok(Report::Broken(called)) => news.send(News::Broken(role, source, called)),
                    Err(_) => break,
                };
                if sent.is_err() {
                    break;
                }
            }
        });
        let pid = process.id().context("a child that has just started has a pid")?;
        let news = self.news.clone();
        tokio::spawn(async move {
            if let Ok(status) = process.wait().await {
                let _ = news.send(News::Exited(role, source, status));
            }
        });

        self.children.insert(role, Child { pid, source, orders, started: Instant::now(), ready: false });
        Ok(())
    }

    /// What roles are told of the configuration.
    fn settings(&self) -> Settings {
        Settings { local_users: self.local_users.clone(), ..Settings::of(&self.config) }
    }

    /// Gives a role that has just started its orders and its sockets.
    fn equip(&mut self, role: Role) -> anyhow::Result<()> {
        let child = self.children.get(&role).context("the role has ended already")?;
        let grant_key =
            matches!(role, Role::Directory | Role::Maildrop | Role::Queue).then(|| self.grant_key.clone());
        let own_user = self.identities == Identities::Own;
        let outward = (role == Role::Remote).then(|| outward::of(&self.config, &self.doors));
        let settings = self.settings();
        let start = Start { settings, source: child.source, grant_key, own_user, outward };
        tell(&child.orders, Order::Start(Box::new(start)), Vec::new())?;
        if role == Role::Keys
            && let Err(problem) = self.hand_over_key_files(&child.orders)
        {
            // It has the certificate that was made here: better than no TLS at all.
            error!(event = "certificate_refused", problem = format!("{problem:#}"));
        }
        for (_, door, listener) in self.doors.iter().filter(|(of, ..)| *of == role) {
            tell(&child.orders, Order::Listen(*door), vec![listener.try_clone()?.into()])?;
        }
        if let Some(listener) = self.operators.get(&role) {
            tell(&child.orders, Order::HearOperators, vec![listener.try_clone()?.into()])?;
        }
        if let Some(listener) = self.programs.get(&role) {
            tell(&child.orders, Order::HearPrograms, vec![listener.try_clone()?.into()])?;
        }
        self.introduce(role)
    }

    /// Makes a socket for each way between this role and one that runs.
    fn introduce(&mut self, role: Role) -> anyhow::Result<()> {
        ways()
            .filter(|(caller, called)| *caller == role || *called == role)
            .try_for_each(|(caller, called)| self.connect(caller, called))
    }

    /// Makes a socket between two roles, if both run.
    fn connect(&mut self, caller: Role, called: Role) -> anyhow::Result<()> {
        let (Some(calling), Some(answering)) = (self.children.get(&caller), self.children.get(&called))
        else {
            return Ok(());
        };
        let (near, far) = UnixStream::pair()?;
        tell(&answering.orders, Order::Answer(caller), vec![far.into()])?;
        tell(&calling.orders, Order::Call(called), vec![near.into()])?;
        self.connected.insert((caller, called), Instant::now());
        Ok(())
    }

    /// Opens the configured certificate and key, which root alone may be able to, for `keys`.
    fn hand_over_key_files(&self, orders: &wire::Outbox) -> anyhow::Result<()> {
        let (Some(certificate), Some(key)) = (&self.config.tls.certificate, &self.config.tls.key) else {
            return Ok(());
        };
        let open = |path: &Path| {
            std::fs::File::open(path)
                .map(OwnedFd::from)
                .with_context(|| format!("[tls]: cannot read {}", path.display()))
        };
        tell(orders, Order::KeyFiles, vec![open(certificate)?, open(key)?])
    }

    async fn watch(
        &mut self,
        ready: oneshot::Sender<()>,
        mut stop: oneshot::Receiver<()>,
    ) -> anyhow::Result<()> {
        let mut ready = Some(ready);
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                Some(news) = self.heard.recv() => self.take(news),
                _ = hangup.recv() => self.reload(),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = &mut stop => break,
            }
            if ready.is_some()
                && self.children.len() == self.roles.len()
                && self.children.values().all(|c| c.ready)
            {
                info!(event = "ready", hostname = %self.config.hostname, "the server is ready");
                ready.take().map(|ready| ready.send(()));
            }
        }
        info!(event = "stopping", "finishing what is in hand");
        self.stop().await;
        info!(event = "stopped", "the server has stopped");
        Ok(())
    }

    fn take(&mut self, news: News) {
        match news {
            News::Ready(role, source) => {
                if let Some(child) = self.children.get_mut(&role).filter(|child| child.source == source) {
                    child.ready = true;
                }
            }
            News::Broken(caller, source, called) => {
                // Mostly the other one died, and its successor is introduced anyway.
                if self.children.get(&caller).is_some_and(|child| child.source == source)
                    && ways().any(|way| way == (caller, called))
                {
                    self.later(MEND_PAUSE, News::MendDue(caller, called, Instant::now()));
                }
            }
            News::MendDue(caller, called, broken) => {
                if self.connected.get(&(caller, called)).is_some_and(|made| *made > broken) {
                    return;
                }
                if let Err(problem) = self.connect(caller, called) {
                    error!(event = "way_not_mended", role = caller.name(), problem = format!("{problem:#}"));
                    self.later(BACKOFF_MAX, News::MendDue(caller, called, broken));
                }
            }
            News::Exited(role, source, status) => {
                let Some(child) = self.children.get(&role).filter(|child| child.source == source) else {
                    return;
                };
                let crashes = self.crashes.entry(role).or_default();
                *crashes = if child.started.elapsed() > SETTLED { 1 } else { *crashes + 1 };
                let pause = backoff(*crashes);
                self.children.remove(&role);
                warn!(
                    event = "role_died", role = role.name(), reason = %reason(status),
                    again_in_ms = pause.as_millis() as u64, "a role died and is started again"
                );
                self.later(pause, News::RestartDue(role));
            }
            News::RestartDue(role) => {
                if let Err(problem) = self.start(role) {
                    error!(event = "role_not_started", role = role.name(), problem = format!("{problem:#}"));
                    self.later(BACKOFF_MAX, News::RestartDue(role));
                }
            }
        }
    }

    fn later(&self, pause: Duration, news: News) {
        let sender = self.news.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = sender.send(news);
        });
    }

    /// Takes up a changed configuration; a faulty one changes nothing.
    fn reload(&mut self) {
        let config = match Config::read(&self.config_path) {
            Ok(config) => config,
            Err(problem) => {
                error!(
                    event = "reload_refused",
                    problem = format!("{problem:#}"),
                    "the old configuration stays in force"
                );
                return;
            }
        };
        let (config, later) = self.config.reloaded(config);
        if !later.is_empty() {
            warn!(event = "reload_partial", later = later.join(", "), "these change at the next start only");
        }
        self.config = config;
        let note = SendmailNote::of(&self.config.sendmail, &self.config.limits);
        if let Err(problem) = note.leave(&Places::of(&self.config)) {
            error!(event = "reload_failed", what = "sendmail", problem = format!("{problem:#}"));
        }
        self.local_users = local_users(&self.config);
        let settings = self.settings();
        for (role, child) in &self.children {
            let told =
                tell(&child.orders, Order::Reload(Box::new(settings.clone())), Vec::new()).and_then(|()| {
                    match role {
                        Role::Keys => self.hand_over_key_files(&child.orders),
                        Role::Remote => {
                            let outward = outward::of(&self.config, &self.doors);
                            tell(&child.orders, Order::ReloadOutward(Box::new(outward)), Vec::new())
                        }
                        _ => Ok(()),
                    }
                });
            if let Err(problem) = told {
                error!(event = "reload_failed", role = role.name(), problem = format!("{problem:#}"));
            }
        }
        info!(event = "reloaded", "the configuration was read anew");
    }

    async fn stop(&mut self) {
        for stage in STOP_ORDER {
            for child in stage.iter().filter_map(|role| self.children.get(role)) {
                let _ = tell(&child.orders, Order::Stop, Vec::new());
            }
            let deadline = tokio::time::Instant::now() + STOP_PATIENCE;
            while stage.iter().any(|role| self.children.contains_key(role)) {
                match tokio::time::timeout_at(deadline, self.heard.recv()).await {
                    Ok(Some(News::Exited(role, source, status))) => {
                        if self.children.get(&role).is_some_and(|child| child.source == source) {
                            self.children.remove(&role);
                            if !status.success() {
                                warn!(event = "role_died", role = role.name(), reason = %reason(status));
                            }
                        }
                    }
                    Ok(_) => {}
                    Err(_) => {
                        for role in stage {
                            if let Some(child) = self.children.remove(role) {
                                warn!(event = "role_killed", role = role.name(), "it did not finish in time");
                                kill(child.pid);
                            }
                        }
                    }
                }
            }
        }
        for role in self.operators.keys() {
            let _ = std::fs::remove_file(operators_socket(&self.config, *role));
        }
        let places = Places::of(&self.config);
        for role in self.programs.keys() {
            let _ = std::fs::remove_file(programs_socket(&places, *role));
        }
    }
}

/// Looks `[sendmail.users]` up, once: the system may take its time to answer.
fn local_users(config: &Config) -> BTreeMap<u32, AccountName> {
    let LocalUsers { accounts, problems } = LocalUsers::of(&config.sendmail.users);
    for problem in problems {
        warn!(event = "local_user_unknown", problem, "in [sendmail.users]");
    }
    accounts
}

/// Every way between two roles: who calls, who answers.
fn ways() -> impl Iterator<Item = (Role, Role)> {
    Role::ALL.into_iter().flat_map(|caller| caller.calls().iter().map(move |called| (caller, *called)))
}

/// The socket at which a role hears the command line.
pub fn operators_socket(config: &Config, role: Role) -> PathBuf {
    config.run_dir().join(format!("{}.sock", role.name()))
}

/// The socket at which a role hears this machine's programs.
fn programs_socket(places: &Places, role: Role) -> &Path {
    if role == Role::Smtp { &places.smtp } else { &places.submit }
}

fn tell(orders: &wire::Outbox, order: Order, fds: Vec<OwnedFd>) -> anyhow::Result<()> {
    Ok(orders.push(Kind::Event, 0, Parcel::with_fds(order, fds))?)
}

/// No pause after a first crash, then 50 ms, doubled each time.
fn backoff(crashes: u32) -> Duration {
    match crashes {
        0 | 1 => Duration::ZERO,
        more => Duration::from_millis(50).saturating_mul(1 << (more - 2).min(16)).min(BACKOFF_MAX),
    }
}

fn reason(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".into(),
    }
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    match listen(address) {
        // A host without IPv6: the unspecified address then means IPv4's.
        Err(error)
            if address.ip() == std::net::IpAddr::from([0u16; 8])
                && error.kind() != std::io::ErrorKind::AddrInUse
                && error.kind() != std::io::ErrorKind::PermissionDenied =>
        {
            Ok(listen(SocketAddr::from(([0, 0, 0, 0], address.port())))?)
        }
        other => Ok(other?),
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.ip() == std::net::IpAddr::from([0u16; 8]) {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // Said once here, inherited by every accepted connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn bind_named(path: &Path, mode: u32) -> anyhow::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        bail!("{} answers: the server is running already", path.display());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", path.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot make {}", path.display()))?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_none_to_ten_seconds() {
        let pauses: Vec<u128> = [1, 2, 3, 4, 40].map(|crashes| backoff(crashes).as_millis()).to_vec();
        assert_eq!(pauses, [0, 50, 100, 200, 10_000]);
    }

    #[test]
    fn every_role_stops_and_callers_stop_before_those_they_call() {
        let stage = |role: Role| STOP_ORDER.iter().position(|stage| stage.contains(&role)).unwrap();
        for (caller, called) in ways() {
            let exempt = caller == Role::Directory || called == Role::Programs;
            assert!(stage(caller) < stage(called) || exempt, "{caller:?} {called:?}");
        }
        assert!(Role::ALL.into_iter().all(|role| stage(role) < STOP_ORDER.len()));
    }
}
