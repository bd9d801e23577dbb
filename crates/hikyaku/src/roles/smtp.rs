//! Role `smtp`, user `hikyaku-smtp`. Hears strangers at 25, 587 and 465; calls `queue` (here is a
//! message), `directory` (where does this address lead?) and `keys` (signatures). Touches no file.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use envelope::{Address, Client as Sender, QueueIds, Recipient, Refusal, authorise};
use link::Client;
use link::services::queue::{NotAccepted, Queue};
use smtp::{Action, Event, Mode, Peer, Session, TlsInfo};
use time::{OffsetDateTime, UtcOffset};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::connections::{Full, Gate, Stream, accept};
use super::draft::Draft;
use super::known_addresses::KnownAddresses;
use super::tls::Tls;
use super::{Orders, PATIENCE, Told, unix_micros};
use crate::control::{Door, Role, Settings, Start};

/// Octets read at a time: enough for a whole small message.
const READ: usize = 16 << 10;
/// How long sessions may take to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What all sessions share.
struct House {
    settings: ArcSwap<Settings>,
    queue: Client<Queue>,
    addresses: KnownAddresses,
    ids: Mutex<QueueIds>,
    zone: UtcOffset,
    tls: Arc<Tls>,
    acceptor: TlsAcceptor,
    gate: Arc<Gate>,
}

pub async fn run(mut orders: Orders, start: Start, zone: UtcOffset) -> anyhow::Result<()> {
    let tls = Tls::new();
    let house = Arc::new(House {
        settings: ArcSwap::from_pointee(start.settings),
        queue: Client::new(PATIENCE),
        addresses: KnownAddresses::new(),
        ids: Mutex::new(QueueIds::new(start.source)),
        zone,
        acceptor: tls.acceptor()?,
        tls,
        gate: Gate::new(),
    });
    let (stop, stopping) = watch::channel(false);
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Call(Role::Queue, stream) => house.queue.attach(stream)?,
            Told::Call(Role::Directory, stream) => house.addresses.attach(stream)?,
            Told::Call(Role::Keys, stream) => house.tls.attach(stream)?,
            Told::Listen(door, listener) => {
                tokio::spawn(listen(Arc::clone(&house), door, listener, stopping.clone()));
            }
            Told::Reload(settings) => house.settings.store(Arc::new(*settings)),
            Told::Stop => break,
            _ => {}
        }
    }
    stop.send_replace(true);
    let deadline = Instant::now() + STOP_PATIENCE;
    while house.gate.inside() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn listen(house: Arc<House>, door: Door, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
    loop {
        let (stream, peer) = tokio::select! {
            connection = accept(&listener) => connection,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let settings = house.settings.load_full();
        match house.gate.enter(peer.ip(), &settings.limits) {
            Ok(place) => {
                let (house, stopping) = (Arc::clone(&house), stopping.clone());
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = converse(&house, &settings, door, stream, peer, stopping).await {
                        info!(event = "connection_lost", service = "smtp", client = %peer.ip(), %error);
                    }
                });
            }
            Err(full) => {
                warn!(event = "refused", what = "connection", service = "smtp", client = %peer.ip(), ?full);
                let mut stream = stream;
                let reply = match full {
                    Full::Service => smtp::replies::too_many_connections(),
                    Full::Address => smtp::replies::too_many_connections_from_address(),
                };
                let mut octets = BytesMut::new();
                reply.write(false, &mut octets);
                let _ = stream.try_write(&octets);
                let _ = stream.shutdown().await;
            }
        }
    }
}

/// One connection, from greeting to close.
async fn converse(
    house: &House,
    settings: &Settings,
    door: Door,
    stream: TcpStream,
    peer: SocketAddr,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let client = Peer { address: peer.ip(), name: None };
    let manners = Arc::new(session_settings(settings, door));
    let (stream, mut session) = if door == Door::Submissions {
        let (stream, tls) = start_tls(house, stream, settings).await?;
        (stream, Session::over_tls(manners, client, tls, Instant::now()))
    } else {
        (Stream::Plain(stream), Session::new(manners, client, Instant::now()))
    };
    let mut stream = Some(stream);
    let mut draft: Option<Draft> = None;
    let mut input = BytesMut::new();
    while let Some(open) = stream.as_mut() {
        while let Some(action) = session.next_action(Instant::now(), house.wall_clock()) {
            match action {
                Action::Send(octets) => send(open, &octets, settings).await?,
                Action::Judge(address) => {
                    let verdict = house.judge(session.client().clone(), address).await;
                    session.judged(verdict);
                }
                Action::Open(envelope) => {
                    let now = unix_micros();
                    let id = house.ids.lock().unwrap_or_else(PoisonError::into_inner).next(now);
                    draft = Some(Draft::new(house.queue.clone(), id, envelope, now));
                    session.opened(Ok(id), Instant::now());
                }
                Action::Append(octets) => {
                    if let Some(draft) = &mut draft {
                        draft.append(&octets).await;
                    }
                }
                Action::Commit => {
                    let outcome = match draft.take() {
                        Some(draft) => draft.commit().await,
                        None => Err(NotAccepted::TryLater),
                    };
                    session.committed(outcome.map_err(|why| match why {
                        NotAccepted::StorageFull => smtp::NotAccepted::StorageFull,
                        NotAccepted::TryLater => smtp::NotAccepted::TryLater,
                    }));
                }
                Action::Discard => draft = None,
                Action::StartTls => {
                    let Some(Stream::Plain(plain)) = stream.take() else { return Ok(()) };
                    let (encrypted, tls) = start_tls(house, plain, settings).await?;
                    stream = Some(encrypted);
                    session.tls_started(tls, Instant::now());
                    break;
                }
                Action::Log(event) => log(&event, peer),
                Action::Close => {
                    let _ = open.shutdown().await;
                    return Ok(());
                }
            }
        }
        let Some(open) = stream.as_mut() else { return Ok(()) };
        input.reserve(READ);
        tokio::select! {
            read = open.read_buf(&mut input) => match read? {
                0 => session.end_of_input(),
                _ => session.receive(input.split(), Instant::now()),
            },
            () = tokio::time::sleep_until(session.deadline().into()) => session.timed_out(),
            _ = stopping.wait_for(|stop| *stop) => session.shutdown(),
        }
    }
    Ok(())
}

fn session_settings(settings: &Settings, door: Door) -> smtp::Settings {
    let limits = &settings.limits;
    smtp::Settings {
        mode: if door == Door::Smtp { Mode::Mx } else { Mode::Submission },
        offers_starttls: true,
        message_size_max: limits.message_size_max,
        recipients_max: limits.recipients_max,
        errors_max: limits.errors_max,
        idle: Duration::from_secs(limits.idle),
        message_time_max: Duration::from_secs(limits.message_time_max),
        ..smtp::Settings::new(settings.hostname.clone())
    }
}

async fn start_tls(
    house: &House,
    stream: TcpStream,
    settings: &Settings,
) -> std::io::Result<(Stream, TlsInfo)> {
    let patience = Duration::from_secs(settings.limits.idle);
    let stream = tokio::time::timeout(patience, house.acceptor.accept(stream))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    let (_, connection) = stream.get_ref();
    let info = TlsInfo {
        version: match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".into(),
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".into(),
            other => format!("{other:?}"),
        },
        cipher: connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default()
            .replace("TLS13_", "TLS_"),
    };
    Ok((Stream::Tls(Box::new(stream)), info))
}

/// Sends all of it, unless the client stops reading.
async fn send(stream: &mut Stream, octets: &[u8], settings: &Settings) -> std::io::Result<()> {
    let sent = async {
        stream.write_all(octets).await?;
        stream.flush().await
    };
    tokio::time::timeout(Duration::from_secs(settings.limits.idle), sent)
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
}

impl House {
    /// Whether a client may send to this address.
    async fn judge(&self, client: Sender, address: Address) -> Result<Recipient, Refusal> {
        let leads_to = self.addresses.resolve(&address).await?;
        authorise(&client, address, &leads_to)
    }

    fn wall_clock(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc().to_offset(self.zone)
    }
}

/// One line per acceptance and per refusal.
fn log(event: &Event, peer: SocketAddr) {
    let client = peer.ip();
    match event {
        Event::Accepted { id, size } => info!(event = "accepted", queue_id = %id, %client, size),
        Event::Refused(refused) => info!(
            event = "refused",
            %client,
            queue_id = refused.id.map(|id| id.to_string()),
            from = refused.reverse_path.as_ref().map(ToString::to_string),
            to = refused.recipient.as_ref().map(ToString::to_string),
            status = format!("{} {}", refused.reply.code(), refused.reply.text()),
        ),
        Event::TooManyErrors => warn!(event = "refused", what = "too many errors", %client),
        Event::TimedOut { in_message } => info!(event = "timed_out", service = "smtp", %client, in_message),
        Event::Vanished { in_message } => info!(event = "vanished", service = "smtp", %client, in_message),
        Event::InputAfterStartTls => warn!(event = "refused", what = "input behind STARTTLS", %client),
    }
}
