//! Connections from strangers: let in or turned away, and their octets with or without TLS.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
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
    /// `smtp` or `pop3`, for the log.
    service: &'static str,
    settings: ArcSwap<Settings>,
    gate: Arc<Gate>,
    stop: watch::Sender<bool>,
}

/// A connection that was let in.
pub struct Visitor {
    /// Its octets.
    pub stream: TcpStream,
    /// Who is at the other end; an IPv4 address that came in IPv6 form is given as IPv4.
    pub peer: SocketAddr,
    /// The settings for as long as it lasts.
    pub settings: Arc<Settings>,
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
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

    fn receive<F>(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        converse: &impl Fn(Visitor) -> F,
        turned_away: fn(Full) -> Vec<u8>,
    ) where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let (service, client) = (self.service, peer.ip());
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
                    let _ = stream.try_write(&turned_away(full));
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
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The service has as many as it may.
    Service,
    /// This address has as many as it may.
    Address,
}

/// A place that a connection holds until it ends.
struct Place {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    /// A gate that nobody has passed.
    fn new() -> Arc<Gate> {
        Arc::new(Gate { counted: Mutex::default() })
    }

    /// Lets a connection in, or says why not.
    ///
    /// # Errors
    /// If the service or the address has as many connections as `limits` allow.
    fn enter(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Result<Place, Full> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.all >= limits.connections_max {
            return Err(Full::Service);
        }
        let exempt =
            address.is_loopback() || limits.trusted_networks.iter().any(|network| network.contains(address));
        let of_address = counted.by_address.entry(address).or_default();
        if !exempt && *of_address >= limits.connections_per_address_max {
            return Err(Full::Address);
        }
        *of_address += 1;
        counted.all += 1;
        Ok(Place { gate: Arc::clone(self), address })
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
        if let Some(of_address) = counted.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                counted.by_address.remove(&self.address);
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

/// Octets of a session, with or without TLS.
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
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
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
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
        let stranger: IpAddr = "192.0.2.1".parse().unwrap();
        let first = gate.enter(stranger, &limits);
        let _second = gate.enter(stranger, &limits).unwrap();
        assert_eq!(gate.enter(stranger, &limits).err(), Some(Full::Address));
        drop(first);
        let _third = gate.enter(stranger, &limits).unwrap();
        let here: Vec<_> = (0..3).map(|_| gate.enter("127.0.0.1".parse().unwrap(), &limits)).collect();
        assert!(here.iter().all(Result::is_ok));
        assert_eq!(gate.enter("127.0.0.1".parse().unwrap(), &limits).err(), Some(Full::Service));
        drop(here);
        assert_eq!(gate.inside(), 2);
    }
}
