//! Connections from strangers, and from this machine's programs: let in or turned away, and their octets
//! with or without TLS.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use crate::config::Limits;
use crate::control::Settings;

/// How long a client may take to hear that the connection ends.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Takes the connections of one service, each into a task of its own.
pub struct Reception {
    /// `smtp`, `pop3` or `submit`, for the log.
    service: &'static str,
    settings: ArcSwap<Settings>,
    gate: Arc<Gate>,
    stop: watch::Sender<bool>,
}

/// A connection that was let in.
pub struct Visitor<S = TcpStream, P = SocketAddr> {
    /// Its octets.
    pub stream: S,
    /// Who is at the other end; an IPv4 address that came in IPv6 form is given as IPv4.
    pub peer: P,
    /// The settings for as long as it lasts.
    pub settings: Arc<Settings>,
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
}

/// A program of this machine that was let in. It is known by the user id under which it connected, as the
/// kernel says (SO_PEERCRED).
pub type Program = Visitor<UnixStream, u32>;

/// Who has connections: they are counted for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Party {
    Address(IpAddr),
    User(u32),
}

impl From<SocketAddr> for Party {
    fn from(peer: SocketAddr) -> Party {
        Party::Address(peer.ip())
    }
}

impl From<u32> for Party {
    fn from(uid: u32) -> Party {
        Party::User(uid)
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Address(address) => address.fmt(f),
            Party::User(uid) => write!(f, "user id {uid}"),
        }
    }
}

/// A socket of either kind.
trait Socket: AsyncWrite + Unpin + Send + 'static {
    /// Writes as much as the other side takes at once.
    fn write_now(&self, octets: &[u8]) -> io::Result<usize>;
}

impl Socket for TcpStream {
    fn write_now(&self, octets: &[u8]) -> io::Result<usize> {
        self.try_write(octets)
    }
}

impl Socket for UnixStream {
    fn write_now(&self, octets: &[u8]) -> io::Result<usize> {
        self.try_write(octets)
    }
}

impl Reception {
    /// A reception for a service of this name.
    pub fn new(service: &'static str, settings: Settings) -> Arc<Reception> {
        let settings = ArcSwap::from_pointee(settings);
        Arc::new(Reception { service, settings, gate: Gate::new(), stop: watch::Sender::new(false) })
    }

    /// Goes by these settings from the next connection on.
    pub fn reload(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Takes connections at this socket until the server stops. `converse` has the conversation;
    /// `turned_away` are the octets for one that finds the house full.
    pub fn open<F>(
        self: &Arc<Self>,
        listener: TcpListener,
        converse: impl Fn(Visitor) -> F + Send + 'static,
        turned_away: fn(Full) -> Vec<u8>,
    ) where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let reception = Arc::clone(self);
        tokio::spawn(async move {
            let mut stopping = reception.stop.subscribe();
            loop {
                let (stream, peer) = tokio::select! {
                    connection = accept(&listener) => connection,
                    _ = stopping.wait_for(|stop| *stop) => return,
                };
                reception.receive(stream, peer, &converse, turned_away);
            }
        });
    }

    /// The same for this machine's programs.
    pub fn open_to_programs<F>(
        self: &Arc<Self>,
        listener: UnixListener,
        converse: impl Fn(Program) -> F + Send + 'static,
        turned_away: fn(Full) -> Vec<u8>,
    ) where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let reception = Arc::clone(self);
        tokio::spawn(async move {
            let mut stopping = reception.stop.subscribe();
            loop {
                let (stream, uid) = tokio::select! {
                    connection = accept_program(&listener) => connection,
                    _ = stopping.wait_for(|stop| *stop) => return,
                };
                reception.receive(stream, uid, &converse, turned_away);
            }
        });
    }

    fn receive<S: Socket, P: Copy + Into<Party> + Send + 'static, F>(
        &self,
        mut stream: S,
        peer: P,
        converse: &impl Fn(Visitor<S, P>) -> F,
        turned_away: fn(Full) -> Vec<u8>,
    ) where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let (service, client): (_, Party) = (self.service, peer.into());
        let settings = self.settings.load_full();
        match self.gate.enter(client, &settings.limits) {
            Ok(place) => {
                let conversation =
                    converse(Visitor { stream, peer, settings, stopping: self.stop.subscribe() });
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = conversation.await {
                        info!(event = "connection_lost", service, %client, %error);
                    }
                });
            }
            Err(full) => {
                warn!(event = "refused", what = "connection", service, %client, ?full);
                tokio::spawn(async move {
                    // Whoever does not take a few octets at once does not get them.
                    let _ = stream.write_now(&turned_away(full));
                    let _ = stream.shutdown().await;
                });
            }
        }
    }

    /// How many connections there are.
    pub fn inside(&self) -> usize {
        self.gate.inside()
    }

    /// Takes no more connections, tells those that are in, and waits up to `patience` for them.
    pub async fn close(&self, patience: Duration) {
        self.stop.send_replace(true);
        let deadline = Instant::now() + patience;
        while self.gate.inside() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Counts the connections of one service.
struct Gate {
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    all: usize,
    by_party: HashMap<Party, usize>,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The service has as many as it may.
    Service,
    /// This address or user has as many as it may.
    Party,
}

/// A place that a connection holds until it ends.
struct Place {
    gate: Arc<Gate>,
    party: Party,
}

impl Gate {
    /// A gate that nobody has passed.
    fn new() -> Arc<Gate> {
        Arc::new(Gate { counted: Mutex::default() })
    }

    /// Lets a connection in, or says why not.
    ///
    /// # Errors
    /// If the service or the party has as many connections as `limits` allow.
    fn enter(self: &Arc<Self>, party: Party, limits: &Limits) -> Result<Place, Full> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.all >= limits.connections_max {
            return Err(Full::Service);
        }
        let exempt = match party {
            Party::Address(address) => {
                address.is_loopback()
                    || limits.trusted_networks.iter().any(|network| network.contains(address))
            }
            Party::User(_) => false,
        };
        let of_party = counted.by_party.entry(party).or_default();
        if !exempt && *of_party >= limits.connections_per_address_max {
            return Err(Full::Party);
        }
        *of_party += 1;
        counted.all += 1;
        Ok(Place { gate: Arc::clone(self), party })
    }

    /// How many are inside.
    fn inside(&self) -> usize {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counted = self.gate.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.all -= 1;
        if let Some(of_party) = counted.by_party.get_mut(&self.party) {
            *of_party -= 1;
            if *of_party == 0 {
                counted.by_party.remove(&self.party);
            }
        }
    }
}

/// The next connection. Errors of accept (no descriptor left, a client gone already) are waited out.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, SocketAddr::new(peer.ip().to_canonical(), peer.port())),
            Err(error) => {
                warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The next program's connection, and its user id. Errors are waited out, and of whom the kernel cannot
/// say who he is nobody hears.
async fn accept_program(listener: &UnixListener) -> (UnixStream, u32) {
    loop {
        let accepted = listener.accept().await;
        match accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?.uid(), stream))) {
            Ok((uid, stream)) => return (stream, uid),
            Err(error) => {
                warn!(%error, "a program's connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Octets of a session, with or without TLS.
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Of a program of this machine.
    Local(UnixStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Starts TLS as the server.
    ///
    /// # Errors
    /// If the handshake fails, takes longer than `patience`, or the server stops meanwhile.
    pub async fn encrypt(
        stream: TcpStream,
        acceptor: &TlsAcceptor,
        patience: Duration,
        stopping: &mut watch::Receiver<bool>,
    ) -> io::Result<Stream> {
        tokio::select! {
            stream = tokio::time::timeout(patience, acceptor.accept(stream)) => {
                Ok(Stream::Tls(Box::new(stream??)))
            }
            _ = stopping.wait_for(|stop| *stop) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Ends the connection; a client that does not take the end is not waited for.
    pub async fn close(&mut self) {
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.shutdown()).await;
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// If the connection is lost, or the client does not take it within `patience`.
    pub async fn send(&mut self, octets: &[u8], patience: Duration) -> io::Result<()> {
        let sent = async {
            self.write_all(octets).await?;
            self.flush().await
        };
        tokio::time::timeout(patience, sent).await?
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Local(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Local(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Local(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Local(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_the_service_have_their_limits_and_loopback_only_the_latter() {
        let limits = Limits { connections_max: 5, connections_per_address_max: 2, ..Limits::default() };
        let gate = Gate::new();
        let stranger = Party::Address("192.0.2.1".parse().unwrap());
        let first = gate.enter(stranger, &limits);
        let _second = gate.enter(stranger, &limits).unwrap();
        assert_eq!(gate.enter(stranger, &limits).err(), Some(Full::Party));
        drop(first);
        let _third = gate.enter(stranger, &limits).unwrap();
        let loopback = Party::Address("127.0.0.1".parse().unwrap());
        let here: Vec<_> = (0..3).map(|_| gate.enter(loopback, &limits)).collect();
        assert!(here.iter().all(Result::is_ok));
        assert_eq!(gate.enter(loopback, &limits).err(), Some(Full::Service));
        drop(here);
        assert_eq!(gate.inside(), 2);
    }

    #[test]
    fn one_user_of_this_machine_leaves_room_for_others() {
        let limits = Limits { connections_per_address_max: 2, ..Limits::default() };
        let gate = Gate::new();
        let _busy = [(); 2].map(|()| gate.enter(Party::User(1000), &limits).unwrap());
        assert_eq!(gate.enter(Party::User(1000), &limits).err(), Some(Full::Party));
        assert!(gate.enter(Party::User(1001), &limits).is_ok());
    }
}
