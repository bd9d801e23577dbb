//! Connections from strangers: how many at once, and their octets with or without TLS.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use crate::config::Limits;

/// Counts the connections of one service.
pub struct Gate {
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
pub struct Place {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    /// A gate that nobody has passed.
    pub fn new() -> Arc<Gate> {
        Arc::new(Gate { counted: Mutex::default() })
    }

    /// Lets a connection in, or says why not.
    ///
    /// # Errors
    /// If the service or the address has as many connections as `limits` allow.
    pub fn enter(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Result<Place, Full> {
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
    pub fn inside(&self) -> usize {
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

/// The next connection; an IPv4 address that came in IPv6 form is given as IPv4. Errors of accept
/// (no descriptor left, a client gone already) are waited out.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, SocketAddr::new(peer.ip().to_canonical(), peer.port())),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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
