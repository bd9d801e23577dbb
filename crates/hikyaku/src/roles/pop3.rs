//! Role `pop3`, user `hikyaku-pop3`. Hears strangers at 110 and 995; calls `directory` (may this
//! person in?), `maildrop` (the mailbox) and `keys` (signatures). Touches no file: `maildrop`
//! passes open descriptors of messages.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use link::Client;
use link::services::directory::{self, Directory, LoginRefused};
use link::services::maildrop::{self, Maildrop, SessionId};
use pop3::encode::Encoder;
use pop3::{
    Action, Channel, Credentials, LoginFailure, NotRemoved, NotTransmitted, Session, Transmit, Uids,
    Unavailable,
};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::connections::{Reception, Stream, Visitor};
use super::tls::Tls;
use super::{Orders, PATIENCE, Told};
use crate::control::{Door, Role, Start};

/// Octets of a message that are read, encoded and sent at a time.
const PIECE: usize = 256 << 10;
/// The most messages that are opened ahead for a client that reads one after the other, and for
/// all clients together.
const AHEAD_MAX: usize = 32;
const AHEAD_IN_ALL: usize = 1024;
/// How long sessions may take to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How long a client may take to read or to negotiate TLS.
const STALL_MAX: Duration = Duration::from_secs(300);

/// What all sessions share.
struct House {
    directory: Client<Directory>,
    maildrop: Client<Maildrop>,
    acceptor: TlsAcceptor,
    reception: Arc<Reception>,
}

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let tls = Tls::new();
    let house = Arc::new(House {
        directory: Client::new(PATIENCE),
        maildrop: Client::new(PATIENCE),
        acceptor: tls.acceptor()?,
        reception: Reception::new("pop3", start.settings),
    });
    let reception = Arc::clone(&house.reception);
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Call(called @ Role::Directory, stream) => {
                house.directory.attach(stream, orders.mend(called))?
            }
            Told::Call(called @ Role::Maildrop, stream) => {
                house.maildrop.attach(stream, orders.mend(called))?
            }
            Told::Call(called @ Role::Keys, stream) => tls.attach(stream, orders.mend(called))?,
            Told::Listen(door, listener) => {
                let house = Arc::clone(&house);
                let converse = move |visitor| converse(Arc::clone(&house), door, visitor);
                reception.open(listener, converse, |_| {
                    b"-ERR [SYS/TEMP] too many connections, try again later\r\n".to_vec()
                });
            }
            Told::Reload(settings) => reception.reload(*settings),
            Told::Stop => break,
            _ => {}
        }
    }
    reception.close(STOP_PATIENCE).await;
    Ok(())
}

/// One connection, from greeting to close.
async fn converse(house: Arc<House>, door: Door, visitor: Visitor) -> std::io::Result<()> {
    let Visitor { stream, peer, settings, mut stopping } = visitor;
    let client = peer.ip();
    let (stream, channel) = match door {
        Door::Pop3s => {
            (Stream::encrypt(stream, &house.acceptor, STALL_MAX, &mut stopping).await?, Channel::Tls)
        }
        _ if client.is_loopback() || settings.allow_plaintext_login => {
            (Stream::Plain(stream), Channel::Trusted)
        }
        _ => (Stream::Plain(stream), Channel::Cleartext),
    };
    let manners = Arc::new(pop3::Settings::new(settings.hostname.to_ascii()));
    let mut session = Session::new(manners, channel, Instant::now());
    let mut visit = Visit { house: &house, client, mailbox: None };
    let mut stream = Some(stream);
    let mut input = vec![0; 4096];
    let mut told_to_stop = false;
    // None only while TLS begins.
    while let Some(open) = stream.as_mut() {
        while let Some(action) = session.next_action(Instant::now()) {
            match action {
                Action::Send(octets) => open.send(&octets, STALL_MAX).await?,
                Action::Login(credentials) => session.logged_in(visit.log_in(credentials).await),
                Action::Uids => session.uids(visit.uids().await),
                Action::Transmit(transmit) => session.transmitted(visit.transmit(&transmit, open).await),
                Action::Remove(messages) => session.removed(visit.remove(&messages).await),
                Action::StartTls => {
                    let Some(Stream::Plain(plain)) = stream.take() else { return Ok(()) };
                    stream = Some(Stream::encrypt(plain, &house.acceptor, STALL_MAX, &mut stopping).await?);
                    session.tls_started();
                    break;
                }
                Action::Close => {
                    open.close().await;
                    return Ok(());
                }
            }
        }
        let Some(open) = stream.as_mut() else { return Ok(()) };
        if !session.wants_input() {
            continue;
        }
        tokio::select! {
            read = open.read(&mut input) => match read? {
                0 => session.end_of_input(),
                count => session.receive(&input[..count]),
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

/// A client and, once it has logged in, its mailbox.
struct Visit<'a> {
    house: &'a House,
    client: IpAddr,
    mailbox: Option<OpenMailbox>,
}

struct OpenMailbox {
    session: SessionId,
    account: String,
    messages: u32,
    /// Messages that were opened ahead, with their indices.
    ahead: VecDeque<(u32, OwnedFd)>,
    /// The message after the last that was read, and how many were read in a row.
    expected: u32,
    in_a_row: u32,
    seen: BTreeSet<u32>,
}

impl Visit<'_> {
    async fn log_in(&mut self, credentials: Credentials) -> Result<pop3::Maildrop, LoginFailure> {
        let name = credentials.name.clone();
        let outcome = self.open(credentials).await;
        match &outcome {
            Ok(_) => {
                let account = self.mailbox.as_ref().map(|mailbox| mailbox.account.as_str());
                info!(event = "login", service = "pop3", client = %self.client, account);
            }
            Err(failure) => {
                info!(event = "login_refused", service = "pop3", client = %self.client, name, reason = %failure);
            }
        }
        outcome
    }

    async fn open(&mut self, credentials: Credentials) -> Result<pop3::Maildrop, LoginFailure> {
        let login = directory::Login {
            name: credentials.name,
            password: credentials.password.as_str().to_string(),
            client: self.client,
        };
        let asked =
            self.house.directory.call_until_answered(directory::Request::Login(login), Bytes::new()).await;
        let (account, grant) = match asked.map(|answer| answer.value) {
            Ok(directory::Response::LoggedIn(account, grant)) => (account, grant),
            Ok(directory::Response::LoginRefused(LoginRefused::Credentials)) => {
                return Err(LoginFailure::Credentials);
            }
            Ok(directory::Response::LoginRefused(LoginRefused::Suspended)) => {
                return Err(LoginFailure::Suspended);
            }
            _ => return Err(LoginFailure::Unavailable),
        };
        let opened = self.house.maildrop.call(maildrop::Request::Open(grant)).await;
        match opened.map(|answer| answer.value) {
            Ok(maildrop::Response::Opened(session, sizes)) => {
                self.mailbox = Some(OpenMailbox {
                    session,
                    account: account.as_str().to_string(),
                    messages: sizes.len() as u32,
                    ahead: VecDeque::new(),
                    expected: 0,
                    in_a_row: 0,
                    seen: BTreeSet::new(),
                });
                Ok(pop3::Maildrop::new(sizes))
            }
            Ok(maildrop::Response::InUse) => Err(LoginFailure::InUse),
            Ok(maildrop::Response::NoMailbox) => Err(LoginFailure::Maildrop),
            _ => Err(LoginFailure::Unavailable),
        }
    }

    async fn uids(&mut self) -> Result<Uids, Unavailable> {
        let mailbox = self.mailbox.as_ref().ok_or(Unavailable)?;
        let mut all = Uids::default();
        while all.len() < mailbox.messages as usize {
            let ask = maildrop::Request::Uids { session: mailbox.session, first: all.len() as u32 };
            match self.house.maildrop.call(ask).await.map(|answer| answer.value) {
                Ok(maildrop::Response::Uids(some)) if !some.is_empty() => {
                    some.iter().try_for_each(|uid| all.push(uid)).map_err(|_| Unavailable)?;
                }
                _ => return Err(Unavailable),
            }
        }
        Ok(all)
    }

    /// Streams one message. While nothing was sent the client can still be told `-ERR`.
    async fn transmit(&mut self, what: &Transmit, stream: &mut Stream) -> Result<(), NotTransmitted> {
        let mailbox = self.mailbox.as_mut().ok_or(NotTransmitted::Gone)?;
        let index = u32::try_from(what.index).map_err(|_| NotTransmitted::Gone)?;
        let ahead_max = (AHEAD_IN_ALL / self.house.reception.inside().max(1)).clamp(1, AHEAD_MAX);
        let mut file = File::from(mailbox.message(index, ahead_max as u32, &self.house.maildrop).await?);
        let mut encoder = Encoder::new(what.body_lines);
        let mut piece = vec![0; PIECE.min(64 << 10)];
        let mut out = Vec::with_capacity(piece.len() + what.opening.len() + 64);
        out.extend_from_slice(&what.opening);
        let mut sent_any = false;
        loop {
            // Mail that was just delivered or listed is in memory; a wait for the disk is short.
            let read = file.read(&mut piece).map_err(|error| {
                warn!(event = "mailbox_error", account = mailbox.account, %error);
                if sent_any { NotTransmitted::BrokenOff } else { NotTransmitted::Unavailable }
            })?;
            encoder.encode(&piece[..read], &mut out);
            // A read that fills less than was asked for is the last, so that a small message is
            // read by one call and sent by one.
            if read < piece.len() || encoder.is_satisfied() {
                encoder.finish(&mut out);
                break stream.send(&out, STALL_MAX).await.map_err(|_| NotTransmitted::BrokenOff)?;
            }
            stream.send(&out, STALL_MAX).await.map_err(|_| NotTransmitted::BrokenOff)?;
            sent_any = true;
            out.clear();
            if piece.len() < PIECE {
                piece.resize(PIECE, 0);
            }
        }
        if what.body_lines.is_none() {
            mailbox.seen.insert(index);
        }
        Ok(())
    }

    async fn remove(&mut self, messages: &[usize]) -> Result<(), NotRemoved> {
        let mailbox = self.mailbox.take().ok_or(NotRemoved)?;
        let remove: Vec<u32> = messages.iter().filter_map(|index| u32::try_from(*index).ok()).collect();
        let removed = remove.len();
        let finish = maildrop::Request::Finish {
            session: mailbox.session,
            seen: mailbox.seen.into_iter().filter(|index| remove.binary_search(index).is_err()).collect(),
            remove,
        };
        match self.house.maildrop.call(finish).await.map(|answer| answer.value) {
            Ok(maildrop::Response::Finished { not_removed: 0 }) => {
                if removed > 0 {
                    info!(event = "removed", account = mailbox.account, messages = removed);
                }
                Ok(())
            }
            answer => {
                warn!(event = "not_removed", account = mailbox.account, ?answer);
                Err(NotRemoved)
            }
        }
    }
}

impl OpenMailbox {
    /// The open file of a message. Who reads one after the other has the next ones opened ahead:
    /// one call to `maildrop` then serves many.
    async fn message(
        &mut self,
        index: u32,
        ahead_max: u32,
        maildrop: &Client<Maildrop>,
    ) -> Result<OwnedFd, NotTransmitted> {
        self.in_a_row = if index == self.expected { self.in_a_row + 1 } else { 0 };
        self.expected = index + 1;
        while let Some((ready, fd)) = self.ahead.pop_front() {
            if ready == index {
                return Ok(fd);
            }
        }
        let count =
            (1 << self.in_a_row.min(8)).min(ahead_max).min(self.messages.saturating_sub(index)).max(1);
        let fetch = maildrop::Request::Fetch { session: self.session, first: index, count };
        let answer = maildrop.call(fetch).await.map_err(|_| NotTransmitted::Unavailable)?;
        match answer.value {
            maildrop::Response::Fetched => self.ahead.extend((index..).zip(answer.fds)),
            _ => return Err(NotTransmitted::Unavailable),
        }
        match self.ahead.pop_front() {
            Some((_, fd)) => Ok(fd),
            None => Err(NotTransmitted::Gone),
        }
    }
}

impl Drop for Visit<'_> {
    /// A client that goes without QUIT lets go of its mailbox, and nothing is removed.
    fn drop(&mut self) {
        if let Some(mailbox) = self.mailbox.take() {
            let maildrop = self.house.maildrop.clone();
            let finish = maildrop::Request::Finish {
                session: mailbox.session,
                remove: Vec::new(),
                seen: mailbox.seen.into_iter().collect(),
            };
            tokio::spawn(async move {
                let _ = maildrop.call(finish).await;
            });
        }
    }
}
