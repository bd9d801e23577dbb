//! Role `smtp`, user `hikyaku-smtp`. Hears strangers at 25, 587 and 465; calls `queue` (here is a
//! message), `directory` (where does this address lead?) and `keys` (signatures). Touches no file.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use envelope::{Address, Client as Sender, QueueIds, Recipient, Refusal, authorise};
use link::Client;
use link::services::queue::{NotAccepted, Queue};
use smtp::{Action, Event, Mode, Peer, Session, TlsInfo};
use time::{OffsetDateTime, UtcOffset};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::connections::{Full, Reception, Stream, Visitor};
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
    queue: Client<Queue>,
    addresses: KnownAddresses,
    ids: Mutex<QueueIds>,
    zone: UtcOffset,
    acceptor: TlsAcceptor,
}

pub async fn run(mut orders: Orders, start: Start, zone: UtcOffset) -> anyhow::Result<()> {
    let tls = Tls::new();
    let house = Arc::new(House {
        queue: Client::new(PATIENCE),
        addresses: KnownAddresses::new(),
        ids: Mutex::new(QueueIds::new(start.source)),
        zone,
        acceptor: tls.acceptor()?,
    });
    let reception = Reception::new("smtp", start.settings);
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Call(called @ Role::Queue, stream) => house.queue.attach(stream, orders.mend(called))?,
            Told::Call(called @ Role::Directory, stream) => {
                house.addresses.attach(stream, orders.mend(called))?
            }
            Told::Call(called @ Role::Keys, stream) => tls.attach(stream, orders.mend(called))?,
            Told::Listen(door, listener) => {
                let house = Arc::clone(&house);
                let converse = move |visitor| converse(Arc::clone(&house), door, visitor);
                reception.open(listener, converse, turned_away);
            }
            Told::Reload(settings) => reception.reload(*settings),
            Told::Stop => break,
            _ => {}
        }
    }
    reception.close(STOP_PATIENCE).await;
    Ok(())
}

fn turned_away(full: Full) -> Vec<u8> {
    let reply = match full {
        Full::Service => smtp::replies::too_many_connections(),
        Full::Address => smtp::replies::too_many_connections_from_address(),
    };
    let mut octets = BytesMut::new();
    reply.write(false, &mut octets);
    octets.to_vec()
}

/// One connection, from greeting to close.
async fn converse(house: Arc<House>, door: Door, visitor: Visitor) -> std::io::Result<()> {
    let Visitor { stream, peer, settings, mut stopping } = visitor;
    let patience = Duration::from_secs(settings.limits.idle);
    let client = Peer { address: peer.ip(), name: None };
    let manners = Arc::new(session_settings(&settings, door));
    let (stream, mut session) = if door == Door::Submissions {
        let stream = Stream::encrypt(stream, &house.acceptor, patience, &mut stopping).await?;
        let tls = tls_info(&stream);
        (stream, Session::over_tls(manners, client, tls, Instant::now()))
    } else {
        (Stream::Plain(stream), Session::new(manners, client, Instant::now()))
    };
    let mut stream = Some(stream);
    let mut draft: Option<Draft> = None;
    let mut input = BytesMut::new();
    let mut told_to_stop = false;
    while let Some(open) = stream.as_mut() {
        while let Some(action) = session.next_action(Instant::now(), house.wall_clock()) {
            match action {
                Action::Send(octets) => open.send(&octets, patience).await?,
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
                    let encrypted = Stream::encrypt(plain, &house.acceptor, patience, &mut stopping).await?;
                    session.tls_started(tls_info(&encrypted), Instant::now());
                    stream = Some(encrypted);
                    break;
                }
                Action::Log(event) => log(&event, peer),
                Action::Close => {
                    open.close().await;
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
            _ = stopping.wait_for(|stop| *stop), if !told_to_stop => {
                told_to_stop = true;
                session.shutdown();
            }
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

/// How a connection is encrypted, for its Received field.
fn tls_info(stream: &Stream) -> TlsInfo {
    let connection = match stream {
        Stream::Tls(stream) => Some(stream.get_ref().1),
        Stream::Plain(_) => None,
    };
    let version = match connection.and_then(|connection| connection.protocol_version()) {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".into(),
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".into(),
        other => format!("{other:?}"),
    };
    let suite = connection.and_then(|connection| connection.negotiated_cipher_suite());
    let name = suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default();
    // The registered name has no version in it (RFC 8446 §B.4).
    TlsInfo { version, cipher: name.replace("TLS13_", "TLS_") }
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
