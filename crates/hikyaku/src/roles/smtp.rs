//! Role `smtp`, user `hikyaku-smtp`. Hears strangers at 25, 587 and 465, and this machine's programs at a
//! socket with a name (`sendmail -bs`); calls `queue` (here is a message), `directory` (where does this
//! address lead?) and `keys` (signatures). Touches no file.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use envelope::{AccountName, Address, Destination, Host, LocalPart, QueueIds, Refusal, ReversePath, Sender};
use link::Client;
use link::grant::RelayGrant;
use link::services::directory::{self, LoginRefused};
use link::services::queue::{NotAccepted, Queue};
use smtp::{
    Action, AuthenticationFailure, Credentials, Event, Judged, Mechanism, Mode, Peer, ScramSalt,
    ServerSignature, Session, TlsInfo,
};
use time::{OffsetDateTime, UtcOffset};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::connections::{Full, Reception, Stream, Visitor};
use super::draft::Draft;
use super::event_notes::EventNotes;
use super::judging::Judge;
use super::known_addresses::KnownAddresses;
use super::tls::Tls;
use super::{Orders, PATIENCE, Told, unix_micros};
use crate::control::{Door, Role, Settings, Start};

mod noted;
mod programs;

/// Octets read at a time: enough for a whole small message.
const READ: usize = 16 << 10;
/// How long sessions may take to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What all sessions share.
struct House {
    queue: Client<Queue>,
    addresses: KnownAddresses,
    notes: EventNotes,
    ids: Mutex<QueueIds>,
    zone: UtcOffset,
    acceptor: TlsAcceptor,
}

pub async fn run(mut orders: Orders, start: Start, zone: UtcOffset) -> anyhow::Result<()> {
    let tls = Tls::new();
    let addresses = KnownAddresses::new();
    let notes = EventNotes::new(addresses.client(), start.settings.log.trace_days);
    tokio::spawn(notes.clone().run());
    let house = Arc::new(House {
        queue: Client::new(PATIENCE),
        addresses,
        notes: notes.clone(),
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
            Told::HearPrograms(listener) => {
                let house = Arc::clone(&house);
                let converse = move |program| programs::converse(Arc::clone(&house), program);
                reception.open_to_programs(listener, converse, turned_away);
            }
            Told::Reload(settings) => reception.reload(*settings),
            Told::Stop => break,
            _ => {}
        }
    }
    reception.close(STOP_PATIENCE).await;
    notes.finish().await;
    Ok(())
}

fn turned_away(full: Full) -> Vec<u8> {
    let reply = match full {
        Full::Service => smtp::replies::too_many_connections(),
        Full::Party => smtp::replies::too_many_connections_from_address(),
    };
    let mut octets = BytesMut::new();
    reply.write(false, &mut octets);
    octets.to_vec()
}

/// A stranger's connection, from greeting to close.
async fn converse(house: Arc<House>, door: Door, visitor: Visitor) -> std::io::Result<()> {
    let Visitor { stream, peer, settings, mut stopping } = visitor;
    let patience = Duration::from_secs(settings.limits.idle);
    let client = Peer { address: peer.ip(), name: None, user: None };
    let manners = Arc::new(session_settings(&settings, door, peer));
    let (stream, session) = if door == Door::Submissions {
        let stream = Stream::encrypt(stream, &house.acceptor, patience, &mut stopping).await?;
        let tls = tls_info(&stream);
        (stream, Session::over_tls(manners, client, tls, Instant::now()))
    } else {
        (Stream::Plain(stream), Session::new(manners, client, Instant::now()))
    };
    let visit =
        Visit { house: &house, settings: &settings, client: peer.ip(), program: None, grants: Vec::new() };
    visit.hold(stream, session, stopping).await
}

impl Visit<'_> {
    /// Holds the conversation, to its end.
    async fn hold(
        mut self,
        stream: Stream,
        mut session: Session,
        mut stopping: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let (house, visit) = (self.house, &mut self);
        let patience = Duration::from_secs(visit.settings.limits.idle);
        let mut stream = Some(stream);
        let mut draft: Option<Draft> = None;
        let mut input = BytesMut::new();
        let mut told_to_stop = false;
        while let Some(open) = stream.as_mut() {
            while let Some(action) = session.next_action(Instant::now(), house.wall_clock()) {
                match action {
                    Action::Send(octets) => open.send(&octets, patience).await?,
                    Action::Authenticate(credentials) => {
                        session.authenticated(visit.authenticate(credentials).await)
                    }
                    Action::ScramSalt { name } => {
                        session.scram_salt(visit.scram_salt(name).await, rand::random());
                    }
                    Action::ScramProof { name, auth_message, proof } => {
                        session.scram_proved(visit.verify_proof(name, auth_message, proof).await);
                    }
                    Action::JudgeSender { reverse_path, sender } => {
                        session.sender_judged(visit.judge().sender(&reverse_path, &sender).await);
                    }
                    Action::Judge { recipient, reverse_path, size, sender } => {
                        session.judged(visit.judge_recipient(recipient, &reverse_path, size, sender).await);
                    }
                    Action::Open { envelope, sender } => {
                        let now = unix_micros();
                        let id = house.ids.lock().unwrap_or_else(PoisonError::into_inner).next(now);
                        let relay = sender.and_then(|sender| visit.grant_of(&sender));
                        draft = Some(Draft::new(house.queue.clone(), id, envelope, now, relay));
                        session.opened(Ok(id), Instant::now());
                    }
                    Action::OwnAddress(sender) => session.own_address(visit.own_address(&sender)),
                    Action::JudgeAuthors { authors, sender } => {
                        session.authors_judged(visit.judge().authors(&authors, &sender).await);
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
                        let outcome = outcome.map(|taken| {
                            let id = taken.id;
                            house.notes.note(noted::accepted(visit.client, visit.program.is_some(), taken));
                            id
                        });
                        session.committed(outcome.map_err(|why| match why {
                            NotAccepted::StorageFull => smtp::NotAccepted::StorageFull,
                            NotAccepted::SenderDenied => smtp::NotAccepted::SenderDenied,
                            NotAccepted::TooLarge(_) => smtp::NotAccepted::TooLarge,
                            NotAccepted::LimitReached(reached) => smtp::NotAccepted::LimitReached(reached),
                            // Forbidden is a fault between the roles, and in the log.
                            NotAccepted::TryLater | NotAccepted::Forbidden => smtp::NotAccepted::TryLater,
                        }));
                    }
                    Action::Discard => draft = None,
                    Action::StartTls => {
                        let Some(Stream::Plain(plain)) = stream.take() else { return Ok(()) };
                        let encrypted =
                            Stream::encrypt(plain, &house.acceptor, patience, &mut stopping).await?;
                        session.tls_started(tls_info(&encrypted), Instant::now());
                        stream = Some(encrypted);
                        break;
                    }
                    Action::Log(event) => {
                        visit.log(&event);
                        if let Event::Refused(refusal) = event {
                            house.notes.note(noted::refused(visit.client, refusal));
                        }
                    }
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
}

fn session_settings(settings: &Settings, door: Door, peer: SocketAddr) -> smtp::Settings {
    smtp::Settings {
        mode: if door == Door::Smtp { Mode::Mx } else { Mode::Submission },
        offers_starttls: true,
        mechanisms: match door {
            Door::Submission | Door::Submissions => Mechanism::ALL.to_vec(),
            _ => Vec::new(),
        },
        plaintext_auth: peer.ip().is_loopback(),
        ..limits(settings)
    }
}

/// What every session is bounded by.
fn limits(settings: &Settings) -> smtp::Settings {
    let limits = &settings.limits;
    smtp::Settings {
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
        Stream::Plain(_) | Stream::Local(_) => None,
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
    fn wall_clock(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc().to_offset(self.zone)
    }
}

/// One client, and what entitles him to send.
struct Visit<'a> {
    house: &'a House,
    settings: &'a Settings,
    client: IpAddr,
    /// If he is a program of this machine.
    program: Option<Program>,
    /// What the directory granted in this session.
    grants: Vec<RelayGrant>,
}

/// A program of this machine.
struct Program {
    /// As whom it runs.
    uid: u32,
    /// The address of the account as which it sends.
    address: Address,
}

impl Visit<'_> {
    fn judge(&self) -> Judge<'_> {
        Judge { addresses: &self.house.addresses, rule: self.settings.sending.sender_rule }
    }

    async fn authenticate(&mut self, credentials: Credentials) -> Result<Sender, AuthenticationFailure> {
        let login = directory::Login {
            name: credentials.name,
            password: credentials.password.as_str().to_string(),
            client: self.client,
        };
        match self.house.addresses.ask(directory::Request::Authenticate(login)).await {
            Ok(directory::Response::MayRelay(grant)) => Ok(self.keep(grant)),
            answer => Err(login_failure(answer)),
        }
    }

    /// With which salt the password of this name is hashed; of a name that nobody has, too.
    async fn scram_salt(&self, name: String) -> Result<ScramSalt, AuthenticationFailure> {
        match self.house.addresses.ask(directory::Request::ScramSalt(name)).await {
            Ok(directory::Response::ScramSalt { salt, iterations }) => Ok(ScramSalt { salt, iterations }),
            answer => Err(login_failure(answer)),
        }
    }

    async fn verify_proof(
        &mut self,
        name: String,
        auth_message: String,
        proof: [u8; 32],
    ) -> Result<(Sender, ServerSignature), AuthenticationFailure> {
        let proof = directory::ScramProof { name, client: self.client, auth_message, proof };
        match self.house.addresses.ask(directory::Request::ScramProof(proof)).await {
            Ok(directory::Response::ScramProved(grant, signature)) => {
                Ok((self.keep(grant), ServerSignature(signature)))
            }
            answer => Err(login_failure(answer)),
        }
    }

    fn keep(&mut self, grant: RelayGrant) -> Sender {
        let sender = grant.sender().clone();
        self.grants.retain(|kept| *kept.sender() != sender);
        self.grants.push(grant);
        sender
    }

    fn grant_of(&self, sender: &Sender) -> Option<RelayGrant> {
        self.grants.iter().find(|grant| grant.sender() == sender).cloned()
    }

    /// Whether the client may send to this address, and who he is if a relay window says so.
    async fn judge_recipient(
        &mut self,
        recipient: Address,
        reverse_path: &ReversePath,
        size: u64,
        sender: Option<Sender>,
    ) -> Result<Judged, Refusal> {
        let leads_to = self.house.addresses.resolve(&recipient).await?;
        let elsewhere = leads_to == Destination::Elsewhere;
        let sender = match sender {
            Some(sender) => Some(sender),
            None => self.sender_by_window(reverse_path, elsewhere).await?,
        };
        let client = sender.clone().map_or(envelope::Client::Stranger, envelope::Client::Sender);
        let recipient = self.judge().recipient(&client, recipient, &leads_to, size).await?;
        Ok(Judged { recipient, sender })
    }

    /// Who of those with an open window at this client's address sends under this reverse-path.
    /// Somebody else who sends to the world is refused; who sends to us is a stranger as any.
    async fn sender_by_window(
        &mut self,
        reverse_path: &ReversePath,
        elsewhere: bool,
    ) -> Result<Option<Sender>, Refusal> {
        let windows = self.house.addresses.windows(self.client).await?;
        if windows.is_empty() {
            return Ok(None);
        }
        for grant in &windows {
            let fits = match reverse_path {
                // A receipt: with one customer at this address it is clear whose.
                ReversePath::Null => windows.len() == 1,
                ReversePath::Address(address) => match self.judge().author(address, grant.sender()).await {
                    Ok(()) => true,
                    Err(Refusal::DirectoryUnavailable) => return Err(Refusal::DirectoryUnavailable),
                    Err(_) => false,
                },
            };
            if fits {
                self.judge().may_send(grant.sender()).await?;
                return Ok(Some(self.keep(grant.clone())));
            }
        }
        if elsewhere { Err(Refusal::SenderDenied) } else { Ok(None) }
    }

    /// The address of a customer whose message says neither in its envelope nor in its header
    /// whose it is.
    fn own_address(&self, sender: &Sender) -> Result<Address, Refusal> {
        if let Some(program) = &self.program {
            return Ok(program.address.clone());
        }
        let local_part = LocalPart::new(sender.account.as_str()).map_err(|_| Refusal::SenderDenied)?;
        Ok(Address::new(local_part, Host::Domain(self.settings.domain.clone())))
    }

    /// One line per acceptance and per refusal.
    fn log(&self, event: &Event) {
        let client = self.client;
        let uid = self.program.as_ref().map(|program| program.uid);
        match event {
            Event::Accepted { id, size, account } => {
                info!(event = "accepted", queue_id = %id, %client, uid, account = named(account), size);
            }
            Event::Refused(refused) => info!(
                event = "refused",
                %client,
                uid,
                account = named(&refused.account),
                queue_id = refused.id.map(|id| id.to_string()),
                from = refused.reverse_path.as_ref().map(ToString::to_string),
                to = refused.recipient.as_ref().map(ToString::to_string),
                status = format!("{} {}", refused.reply.code(), refused.reply.text()),
            ),
            Event::TooManyErrors => warn!(event = "refused", what = "too many errors", %client),
            Event::TimedOut { in_message } => {
                info!(event = "timed_out", service = "smtp", %client, in_message)
            }
            Event::Vanished { in_message } => {
                info!(event = "vanished", service = "smtp", %client, in_message)
            }
            Event::LoggedIn { sender, mechanism } => {
                info!(event = "login", service = "smtp", %client, account = %sender.account, %mechanism);
            }
            Event::LoginRefused { name, mechanism, failure } => {
                info!(event = "login_refused", service = "smtp", %client, name, %mechanism, reason = ?failure);
            }
            Event::TooManyLoginFailures => warn!(event = "refused", what = "too many failed logins", %client),
            Event::InputAfterStartTls => warn!(event = "refused", what = "input behind STARTTLS", %client),
        }
    }
}

/// Why the directory lets nobody in.
fn login_failure(answer: Result<directory::Response, Refusal>) -> AuthenticationFailure {
    match answer {
        Ok(directory::Response::LoginRefused(refused)) => match refused {
            LoginRefused::Credentials | LoginRefused::UnknownUser | LoginRefused::NoPrograms => {
                AuthenticationFailure::Credentials
            }
            LoginRefused::Suspended => AuthenticationFailure::Suspended,
            LoginRefused::ReceiveOnly => AuthenticationFailure::ReceiveOnly,
            LoginRefused::TooManyFailures => AuthenticationFailure::TooManyFailures,
            LoginRefused::Unavailable => AuthenticationFailure::TryLater,
        },
        _ => AuthenticationFailure::TryLater,
    }
}

fn named(account: &Option<AccountName>) -> Option<&str> {
    account.as_ref().map(AccountName::as_str)
}
