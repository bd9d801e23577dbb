//! The roles: each file opens with who it is, whom it hears and what it may touch.
//!
//! A role is a thin shell round a capability: it reads, writes and waits; what to do is decided
//! in the crate that knows.

mod connections;
mod directory;
mod draft;
mod event_notes;
mod judging;
mod keys;
mod known_addresses;
mod local;
mod maildrop;
mod pop3;
mod programs;
mod queue;
mod remote;
mod smtp;
mod submit;
mod tls;
mod web;

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use link::{Kind, Parcel, Service, wire};
use tracing::{info, warn};

use crate::control::{self, Door, Order, Outward, Report, Role, Settings, Start};
use crate::{confinement, logging};

/// How long a role waits for another that is being started again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs one role in this process, until the supervisor says stop or is gone.
///
/// If it cannot do its work at all, the log says why, and the supervisor starts it again.
///
/// # Errors
/// If nobody gave it its orders: it was started by hand.
pub fn run(role: Role) -> anyhow::Result<ExitCode> {
    let (stream, start) = control::first_order()?;
    logging::start(&start.settings.log);
    let outcome = run_started(role, stream, start);
    if let Err(problem) = &outcome {
        tracing::error!(event = "role_failed", role = role.name(), problem = format!("{problem:#}"));
    }
    logging::finish();
    Ok(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_started(role: Role, stream: UnixStream, start: Start) -> anyhow::Result<()> {
    // All that needs a file of the system, or a process without threads, comes before the walls.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let zone = time::UtcOffset::current_local_offset().unwrap_or(time::UtcOffset::UTC);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o007));
    // The name that process lists show, as the program was started through /proc.
    let _ = rustix::thread::set_name(c"hikyaku");
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let gaps = confinement::confine(role, &start.settings.paths)
        .with_context(|| format!("cannot confine the {} role", role.name()))?;
    // One role of each kind says it for all.
    for gap in gaps.0.iter().filter(|_| matches!(role, Role::Smtp | Role::Local | Role::Programs)) {
        warn!(event = "not_confined", role = role.name(), "{gap}");
    }
    logging::detach()?;
    let mut runtime = match role {
        Role::Smtp | Role::Pop3 | Role::Remote | Role::Web => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(cores);
            builder
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    runtime.enable_all().build()?.block_on(async {
        ignore_signals()?;
        let orders = Orders::open(stream, role)?;
        match role {
            Role::Keys => keys::run(orders, start).await,
            Role::Directory => directory::run(orders, start).await,
            Role::Programs => programs::run(orders, start).await,
            Role::Local => local::run(orders, start).await,
            Role::Maildrop => maildrop::run(orders, start).await,
            Role::Remote => remote::run(orders, start).await,
            Role::Queue => queue::run(orders, start, zone).await,
            Role::Pop3 => pop3::run(orders, start).await,
            Role::Submit => submit::run(orders, start, zone).await,
            Role::Smtp => smtp::run(orders, start, zone).await,
            Role::Web => web::run(orders, start, zone).await,
        }
    })
}

/// The supervisor says when to stop: a signal that a whole group or unit is sent must not end a role
/// with mail in hand.
fn ignore_signals() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // A file that may grow no further is an error like any other.
    let too_large = SignalKind::from_raw(nix::libc::SIGXFSZ);
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate(), too_large] {
        // Once registered, the default action never comes back.
        drop(signal(kind)?);
    }
    Ok(())
}

/// The supervisor's orders to this role.
struct Orders {
    inbox: wire::Inbox,
    reports: wire::Outbox,
    role: Role,
}

/// An order with what came along, so that a socket is never taken for another.
enum Told {
    Listen(Door, tokio::net::TcpListener),
    HearOperators(tokio::net::UnixListener),
    HearPrograms(tokio::net::UnixListener),
    Call(Role, UnixStream),
    Answer(Role, UnixStream),
    KeyFiles { certificate: OwnedFd, key: OwnedFd },
    Reload(Box<Settings>),
    ReloadOutward(Box<Outward>),
    Stop,
}

impl Orders {
    fn open(stream: UnixStream, role: Role) -> anyhow::Result<Orders> {
        let (inbox, reports) = wire::open(stream)?;
        Ok(Orders { inbox, reports, role })
    }

    /// Tells the supervisor that the role does its work.
    fn ready(&self) -> anyhow::Result<()> {
        Ok(self.reports.push(Kind::Event, 0, Parcel::from(Report::Ready))?)
    }

    /// What to do when the way to this role ends: ask for another.
    fn mend(&self, called: Role) -> impl FnOnce() + Send + 'static {
        let reports = self.reports.clone();
        move || {
            // A supervisor that is gone mends nothing, and this role will notice.
            let _ = reports.push(Kind::Event, 0, Parcel::from(Report::Broken(called)));
        }
    }

    /// The next order. That the supervisor is gone means stop.
    async fn next(&mut self) -> Told {
        let told = match self.inbox.next().await {
            Ok(Some(frame)) => frame.open::<Order>().map_err(anyhow::Error::from).and_then(understand),
            Ok(None) => return Told::Stop,
            Err(error) => Err(error.into()),
        };
        told.unwrap_or_else(|problem| {
            warn!(role = self.role.name(), problem = format!("{problem:#}"), "stopping: no sensible order");
            Told::Stop
        })
    }
}

fn understand(parcel: Parcel<Order>) -> anyhow::Result<Told> {
    let mut fds = parcel.fds.into_iter();
    let mut fd = || fds.next().context("an order came without its descriptor");
    Ok(match parcel.value {
        Order::Listen(door) => {
            Told::Listen(door, tokio::net::TcpListener::from_std(std::net::TcpListener::from(fd()?))?)
        }
        Order::HearOperators => Told::HearOperators(unix_listener(fd()?)?),
        Order::HearPrograms => Told::HearPrograms(unix_listener(fd()?)?),
        Order::Call(role) => Told::Call(role, fd()?.into()),
        Order::Answer(role) => Told::Answer(role, fd()?.into()),
        Order::KeyFiles => Told::KeyFiles { certificate: fd()?, key: fd()? },
        Order::Reload(settings) => Told::Reload(settings),
        Order::ReloadOutward(outward) => Told::ReloadOutward(outward),
        Order::Stop => Told::Stop,
        Order::Start(_) => anyhow::bail!("a role starts once"),
    })
}

fn unix_listener(fd: OwnedFd) -> std::io::Result<tokio::net::UnixListener> {
    tokio::net::UnixListener::from_std(UnixListener::from(fd))
}

/// Who calls a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// A fellow role.
    Role(Role),
    /// An operator's command line, known by its user id.
    Operator,
}

/// Accepts operators at a named socket and hands each to `serve`. Anybody else is let go: the
/// kernel says whose process is at the other end (SO_PEERCRED).
async fn hear_operators(listener: tokio::net::UnixListener, serve: impl Fn(UnixStream, u32)) {
    let own = rustix::process::geteuid();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let peer = rustix::net::sockopt::socket_peercred(&stream).map(|peer| peer.uid);
        let Some(uid) = peer.ok().filter(|uid| uid.is_root() || *uid == own) else {
            warn!(event = "refused", what = "operator", "a user who is no operator called");
            continue;
        };
        match stream.into_std() {
            Ok(stream) => serve(stream, uid.as_raw()),
            Err(error) => warn!(%error, "an operator's connection failed"),
        }
    }
}

/// Notes how a connection between roles ended; a peer that died is the supervisor's to report.
fn ended<S: Service>(caller: Caller, outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        info!(service = S::NAME, ?caller, %error, "a connection ended");
    }
}

/// Seconds since 1970.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Microseconds since 1970.
pub fn unix_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
