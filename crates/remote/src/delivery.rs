//! Delivery: one message to some recipients of one domain.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use envelope::{BodyType, Host, MessageWishes, ReversePath};
use message::Status;
use smtp::client::{
    Cause, Outcome as Answer, Recipient, Retry, Settings as SessionSettings, StartTls, Step, Timeouts,
    Transaction,
};
use tokio::time::Instant;
use tracing::debug;

use crate::body::Body;
use crate::connection::{Connection, Connector, OpenError};
use crate::destinations::{Destinations, Health, NotNow, Pace, Verdict};
use crate::dns::Resolver;
use crate::mx::{Hosts, MailHost, OwnAddresses};
use crate::outcome::{Diagnosis, Outcome};
use crate::peers::{Care, Peers, Tls as TlsCare};
use crate::pool::{Key, Pool};
use crate::routes::{NextHop, Route, Routes, TlsPolicy};
use crate::tls::{Features, Tls};

/// How mail goes out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our own name for EHLO, in A-labels.
    pub name: String,
    /// The port of hosts found by MX, and of routes that name none.
    pub port: u16,
    /// What is asked of TLS where no route says.
    pub tls: TlsPolicy,
    /// Where this system itself takes mail.
    pub own: OwnAddresses,
    /// How long a connection, and then a TLS handshake, may take.
    pub connect: Duration,
    /// How long a server may take for each answer.
    pub timeouts: Timeouts,
    /// How long a connection waits for another message.
    pub idle: Duration,
    /// How many connections wait so, to all hosts together.
    pub idle_max: usize,
    /// How many messages go over one connection.
    pub messages_per_connection: usize,
    /// How many recipients go in one transaction; a server that announces fewer gets fewer.
    pub recipients_per_transaction: usize,
    /// How many addresses are tried in one attempt.
    pub addresses_per_attempt: usize,
    /// How many messages may be on their way to one destination.
    pub pace: Pace,
}

impl Settings {
    /// The defaults for a client of this name.
    pub fn new(name: impl Into<String>) -> Settings {
        Settings {
            name: name.into(),
            port: 25,
            tls: TlsPolicy::default(),
            own: OwnAddresses::default(),
            connect: Duration::from_secs(30),
            timeouts: Timeouts::default(),
            idle: Duration::from_secs(5),
            idle_max: 256,
            messages_per_connection: 100,
            recipients_per_transaction: 100,
            addresses_per_attempt: 10,
            pace: Pace::default(),
        }
    }
}

/// A message on its way out. Cheap to clone but for its envelope's sender.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where bounces go.
    pub reverse_path: ReversePath,
    /// The mail data.
    pub body: Body,
    /// What its sender said of the mail data.
    pub body_type: BodyType,
    /// Whether its sender asked for SMTPUTF8. Whether the message needs it is found out.
    pub smtputf8: bool,
    /// What its sender wishes for reports on it (RFC 3461); hosts that announce DSN are told.
    pub wishes: MessageWishes,
}

/// Carries mail to other hosts: for a role to have one of, and to share among its tasks.
pub struct Remote<R, C> {
    settings: Settings,
    resolver: R,
    connector: C,
    tls: Tls,
    ways: RwLock<Arc<Ways>>,
    pool: Pool,
    peers: Peers,
    destinations: Destinations,
}

/// What the operator says of all ways out, and may change his mind about.
struct Ways {
    routes: Routes,
    /// What is asked of TLS where no route says.
    tls: TlsPolicy,
}

/// The way to one destination.
struct Way {
    route: Route,
    port: u16,
    policy: TlsPolicy,
    /// Whose concurrency is counted.
    destination: Arc<str>,
}

/// What is known of each recipient so far.
struct Attempt<'a> {
    message: &'a Message,
    needs_smtputf8: bool,
    recipients: Vec<Recipient>,
    outcomes: Vec<Option<Outcome>>,
    /// Those who are to be tried at this host, and those for the next one.
    pending: Vec<usize>,
    elsewhere: Vec<usize>,
    /// Why they are not settled yet.
    last: Option<Diagnosis>,
    delivered: bool,
    answered: bool,
    congested: bool,
}

/// What came of one transaction.
#[derive(Default)]
struct Sent {
    /// The connection was closed before the server had heard of the message, as one that waited may be.
    stale: bool,
    /// The server does not know BDAT.
    no_chunking: bool,
    /// Recipients are left who can be sent to on this connection.
    more: bool,
    reusable: bool,
}

impl<R: Resolver, C: Connector> Remote<R, C> {
    /// Puts it together. It opens nothing.
    pub fn new(settings: Settings, resolver: R, connector: C, tls: Tls, routes: Routes) -> Remote<R, C> {
        Remote {
            destinations: Destinations::new(settings.pace),
            ways: RwLock::new(Arc::new(Ways { routes, tls: settings.tls })),
            settings,
            resolver,
            connector,
            tls,
            pool: Pool::default(),
            peers: Peers::default(),
        }
    }

    /// Uses these routes from now on, and asks this of TLS where none of them says.
    pub fn set_routes(&self, routes: Routes, tls: TlsPolicy) {
        *self.ways.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Ways { routes, tls });
    }

    /// How many more messages for this domain may be given to [`Remote::deliver`] without waiting for
    /// their turn; and, if there are none because it could not be reached, for how long.
    pub fn room(&self, to: &Host) -> (usize, Option<Duration>) {
        self.destinations.room(&self.way(to).destination)
    }

    /// The name under which a domain's concurrency is counted: messages for domains with the same name
    /// are for the same host of a route.
    pub fn destination(&self, to: &Host) -> Arc<str> {
        self.way(to).destination
    }

    /// How the destinations do that are in use or in trouble.
    pub fn health(&self) -> Vec<Health> {
        self.destinations.health()
    }

    /// Tries a destination again that is being left alone.
    pub fn resume(&self, destination: &str) {
        self.destinations.resume(destination);
    }

    /// Delivers a message to recipients of one domain, and says what became of each, in their order.
    ///
    /// Hosts are tried one after the other until nobody is left for whom another one might do. May be
    /// dropped at any time: then it is not known what became of the message.
    pub async fn deliver(&self, message: &Message, to: &Host, recipients: Vec<Recipient>) -> Vec<Outcome> {
        if recipients.is_empty() {
            return Vec::new();
        }
        let way = self.way(to);
        let mut attempt = match Attempt::new(message, recipients).await {
            Ok(attempt) => attempt,
            Err(outcomes) => return outcomes,
        };
        let turn = match self.destinations.turn(&way.destination).await {
            Ok(turn) => turn,
            Err(why) => {
                attempt.last = Some(why.into_diagnosis(&way.destination));
                return attempt.outcomes();
            }
        };
        let verdict = self.try_hosts(&way, to, &mut attempt).await;
        turn.end(verdict);
        attempt.outcomes()
    }

    async fn try_hosts(&self, way: &Way, to: &Host, attempt: &mut Attempt<'_>) -> Verdict {
        let mut hosts = match Hosts::find(&self.resolver, to, &way.route.next_hop, way.port).await {
            Ok(hosts) => hosts,
            Err(unroutable) => {
                let verdict = match unroutable.status().class() {
                    5 => Verdict::Unknown,
                    _ => Verdict::Unreachable(unroutable.to_string()),
                };
                attempt.settle_all(unroutable.into());
                return verdict;
            }
        };
        let (mut tried, mut passed_over) = (0, 0);
        while tried < self.settings.addresses_per_attempt && !attempt.elsewhere.is_empty() {
            let Some(host) = hosts.next(&self.resolver, &self.settings.own).await else { break };
            if self.peers.is_down(host.address, now()) {
                passed_over += 1;
                let text = format!("{} [{}] could not be reached of late.", host.name, host.address);
                let diagnosis = Diagnosis::of_host(&host, Status::new(4, 4, 1), text);
                attempt.last.get_or_insert(diagnosis);
                continue;
            }
            tried += 1;
            self.try_host(way, &host, attempt).await;
        }
        if tried + passed_over == 0 {
            let unroutable = hosts.why_none();
            let verdict = match unroutable.status().class() {
                5 => Verdict::Unknown,
                _ => Verdict::Unreachable(unroutable.to_string()),
            };
            attempt.settle_all(unroutable.into());
            return verdict;
        }
        attempt.verdict()
    }

    async fn try_host(&self, way: &Way, host: &MailHost, attempt: &mut Attempt<'_>) {
        attempt.pending = std::mem::take(&mut attempt.elsewhere);
        let key = Key {
            address: host.address,
            name: Arc::clone(&host.name),
            policy: way.policy,
            login: way.route.login.as_ref().map(|login| login.name.as_str().into()),
        };
        while !attempt.pending.is_empty() {
            let waiting = self.pool.take(&key).await;
            let reused = waiting.is_some();
            let opened = match waiting {
                Some(connection) => Ok(connection),
                None => self.open(way, host).await,
            };
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(diagnosis) => {
                    attempt.give_up_host(diagnosis);
                    return;
                }
            };
            let mut first = true;
            let sent = loop {
                let sent = self.send(&mut connection, host, attempt, reused && first).await;
                first = false;
                if !sent.more
                    || !sent.reusable
                    || connection.messages >= self.settings.messages_per_connection
                {
                    break sent;
                }
            };
            if sent.no_chunking {
                let care = self.peers.care(host.address, now());
                self.peers.set_care(host.address, Care { no_chunking: true, ..care }, now());
            }
            let messages_max = connection
                .session()
                .extensions()
                .messages_max
                .map_or(self.settings.messages_per_connection, |max| {
                    max.min(self.settings.messages_per_connection)
                });
            if sent.reusable && !sent.no_chunking && connection.messages < messages_max {
                let Settings { idle, idle_max, .. } = self.settings;
                self.pool.put(key.clone(), connection, idle, idle_max);
            } else if sent.reusable {
                tokio::spawn(connection.quit());
            }
        }
    }

    /// Sends one transaction, to as many of those pending as one may have.
    async fn send(
        &self,
        connection: &mut Connection,
        host: &MailHost,
        attempt: &mut Attempt<'_>,
        may_be_stale: bool,
    ) -> Sent {
        let extensions = *connection.session().extensions();
        let under_tls = connection.session().is_under_tls();
        let chunks = connection.session().chunks();
        let most = extensions.recipients_max.map_or(usize::MAX, |max| max);
        let most = most.min(self.settings.recipients_per_transaction).max(1);
        let numbers: Vec<usize> = attempt.pending.drain(..attempt.pending.len().min(most)).collect();
        let transaction = attempt.transaction(&numbers);
        let Some(settled) = connection.send(transaction, &attempt.message.body).await else {
            let text = format!("Connected to {} but it did not go on.", host.address.ip());
            attempt.elsewhere.extend(numbers);
            attempt.give_up_host(Diagnosis::of_host(host, Status::new(4, 4, 2), text));
            return Sent::default();
        };
        let mut sent = Sent { reusable: settled.reusable, ..Sent::default() };
        sent.stale = may_be_stale && !settled.reusable && settled.outcomes.iter().all(is_early_end);
        for (number, outcome) in numbers.into_iter().zip(settled.outcomes) {
            if sent.stale {
                attempt.pending.push(number);
                continue;
            }
            if chunks && is_chunk_unknown(&outcome) {
                sent.no_chunking = true;
                attempt.pending.push(number);
                continue;
            }
            // Something between us may not cope with it: the next attempt goes without.
            sent.no_chunking |= chunks && is_broken_in_data(&outcome);
            attempt.note(number, host, Terms { under_tls, dsn: settled.dsn }, outcome);
        }
        sent.more = !attempt.pending.is_empty() && !sent.no_chunking;
        sent
    }

    /// Opens a connection, with more care each time TLS fails.
    async fn open(&self, way: &Way, host: &MailHost) -> Result<Connection, Diagnosis> {
        loop {
            let care = self.peers.care(host.address, now());
            let features = match care.tls {
                TlsCare::Try(features) => features,
                TlsCare::Not => Features::All,
            };
            let tls = self.tls.connector(way.policy, features);
            let settings = Arc::new(self.session_settings(way, care));
            let patience = self.settings.connect;
            match Connection::open(&self.connector, &tls, host, settings, patience).await {
                Ok(connection) => {
                    self.peers.reachable(host.address, now());
                    return Ok(connection);
                }
                Err(OpenError::Tls { diagnosis, certificate: false }) => {
                    let Some(care) = care.after_tls_failure(way.policy) else { return Err(diagnosis) };
                    debug!(host = %host.name, address = %host.address, ?care, "TLS failed");
                    self.peers.set_care(host.address, care, now());
                }
                Err(error) => {
                    if let OpenError::Connect(_) = error {
                        self.peers.unreachable(host.address, now());
                    }
                    return Err(error.into_diagnosis());
                }
            }
        }
    }

    fn session_settings(&self, way: &Way, care: Care) -> SessionSettings {
        SessionSettings {
            starttls: match (way.policy, care.tls) {
                (TlsPolicy::Require | TlsPolicy::Verify, _) => StartTls::Required,
                (TlsPolicy::Opportunistic, TlsCare::Try(_)) => StartTls::IfOffered,
                (TlsPolicy::Opportunistic, TlsCare::Not) => StartTls::Never,
            },
            login: way.route.login.clone(),
            chunking: !care.no_chunking,
            timeouts: self.settings.timeouts,
            ..SessionSettings::new(self.settings.name.as_str())
        }
    }

    fn way(&self, to: &Host) -> Way {
        let ways = Arc::clone(&self.ways.read().unwrap_or_else(PoisonError::into_inner));
        let by_mx = Route { next_hop: NextHop::Mx, port: None, login: None, tls: None };
        let route = ways.routes.find(to).cloned().unwrap_or(by_mx);
        let port = route.port.unwrap_or(self.settings.port);
        let destination = match &route.next_hop {
            NextHop::Mx => to.to_string(),
            NextHop::Host(host) => format!("{host}:{port}"),
            NextHop::Address(address) => std::net::SocketAddr::new(*address, port).to_string(),
        };
        let policy = route.tls.unwrap_or(ways.tls);
        Way { port, policy, destination: destination.into(), route }
    }
}

/// What was agreed with a host.
#[derive(Debug, Clone, Copy)]
struct Terms {
    under_tls: bool,
    dsn: bool,
}

impl<'a> Attempt<'a> {
    /// # Errors
    /// What becomes of all, if the message cannot be read.
    async fn new(message: &'a Message, recipients: Vec<Recipient>) -> Result<Attempt<'a>, Vec<Outcome>> {
        // Some clients ask for SMTPUTF8 whenever it is offered: only what needs it is held to it.
        let needs_smtputf8 = match message.smtputf8 {
            true => match message.body.header_has_utf8().await {
                Ok(needs) => needs,
                Err(error) => {
                    let text = format!("The message could not be read here: {error}.");
                    let diagnosis = Diagnosis::of_us(Status::new(4, 3, 0), text);
                    return Err(vec![Outcome::Deferred(diagnosis); recipients.len()]);
                }
            },
            false => false,
        };
        Ok(Attempt {
            message,
            needs_smtputf8,
            outcomes: vec![None; recipients.len()],
            pending: Vec::new(),
            elsewhere: (0..recipients.len()).collect(),
            recipients,
            last: None,
            delivered: false,
            answered: false,
            congested: false,
        })
    }

    fn transaction(&self, numbers: &[usize]) -> Transaction {
        Transaction {
            reverse_path: self.message.reverse_path.clone(),
            recipients: numbers.iter().map(|&number| self.recipients[number].clone()).collect(),
            size: self.message.body.size(),
            body: self.message.body_type,
            smtputf8: self.needs_smtputf8,
            wishes: self.message.wishes.clone(),
        }
    }

    /// Takes what became of a recipient at a host.
    fn note(&mut self, number: usize, host: &MailHost, terms: Terms, answer: Answer) {
        let outcome = match answer {
            Answer::Delivered { reply } => {
                self.delivered = true;
                let Terms { under_tls, dsn } = terms;
                Outcome::Delivered { host: host.clone(), reply, under_tls, dsn }
            }
            Answer::Failed(reason) => {
                self.answered = true;
                Outcome::Failed(Diagnosis::of_session(host, reason))
            }
            Answer::Deferred { reason, retry } => {
                let diagnosis = Diagnosis::of_session(host, reason);
                match retry {
                    Retry::Later => {
                        self.answered |= diagnosis.reply.is_some();
                        self.congested |= diagnosis.reply.is_none();
                        Outcome::Deferred(diagnosis)
                    }
                    Retry::NextTransaction => {
                        self.last = Some(diagnosis);
                        self.pending.push(number);
                        return;
                    }
                    Retry::NextHost => {
                        self.congested = true;
                        self.last = Some(diagnosis);
                        self.elsewhere.push(number);
                        return;
                    }
                }
            }
        };
        self.outcomes[number] = Some(outcome);
    }

    /// Nobody can be sent to at this host.
    fn give_up_host(&mut self, diagnosis: Diagnosis) {
        self.congested |= diagnosis.status.to_string() != "4.4.1";
        self.last = Some(diagnosis);
        self.elsewhere.append(&mut self.pending);
        self.elsewhere.sort_unstable();
    }

    fn settle_all(&mut self, outcome: Outcome) {
        self.elsewhere.clear();
        self.outcomes.fill(Some(outcome));
    }

    fn verdict(&self) -> Verdict {
        let trouble = || self.last.as_ref().map(Diagnosis::to_string).unwrap_or_default();
        match self {
            Attempt { delivered: true, .. } => Verdict::Good,
            Attempt { congested: true, .. } => Verdict::Congested(trouble()),
            Attempt { answered: true, .. } => Verdict::Good,
            _ => Verdict::Unreachable(trouble()),
        }
    }

    fn outcomes(self) -> Vec<Outcome> {
        let rest = Outcome::Deferred(self.last.unwrap_or_else(|| {
            let text = "Sorry, I wasn't able to establish an SMTP connection.".to_owned();
            Diagnosis::of_us(Status::new(4, 4, 1), text)
        }));
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| rest.clone())).collect()
    }
}

impl NotNow {
    fn into_diagnosis(self, destination: &str) -> Diagnosis {
        let (status, text) = match self {
            NotNow::Paused(pause, why) => {
                let seconds = pause.as_secs();
                let text =
                    format!("{destination} is left alone for another {seconds} seconds, because: {why}");
                (Status::new(4, 4, 1), text)
            }
            NotNow::Busy => {
                let text = format!("Too many other messages are on their way to {destination}.");
                (Status::new(4, 4, 5), text)
            }
        };
        Diagnosis::of_us(status, text)
    }
}

/// Whether the server ended the conversation before it had been told of the message.
fn is_early_end(outcome: &Answer) -> bool {
    let Answer::Deferred { reason, retry: Retry::NextHost } = outcome else { return false };
    let early =
        |step: &Step| matches!(step, Step::Mail | Step::Rset | Step::Idle | Step::Rcpt(_) | Step::Data);
    match &reason.cause {
        Cause::Refused { step, reply } => reply.code() == 421 && early(step),
        Cause::Broken { step, .. } => early(step),
        _ => false,
    }
}

/// Whether the server offered CHUNKING, and then did not know the command.
fn is_chunk_unknown(outcome: &Answer) -> bool {
    let reason = outcome.reason().map(|reason| &reason.cause);
    matches!(reason, Some(Cause::Refused { step: Step::Message, reply }) if (500..=504).contains(&reply.code()))
}

/// Whether the connection broke while the message was on its way.
fn is_broken_in_data(outcome: &Answer) -> bool {
    let reason = outcome.reason().map(|reason| &reason.cause);
    matches!(reason, Some(Cause::Broken { step: Step::Body | Step::Message, .. }))
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
