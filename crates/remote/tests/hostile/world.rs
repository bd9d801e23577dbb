//! A small world: a name server, some peers at 127.0.0.1, .2 and so on with one port, and us.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use envelope::{Address, BodyType, Host, MessageWishes, ReversePath};
use remote::{Body, Direct, Dns, Memory, Message, Outcome, Remote, Routes, Settings, Tls};
use rustls::RootCertStore;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::name_server::NameServer;
use crate::peer::{Do, Peer};

pub const EHLO: &str = "250-mx.there.example\r\n250-PIPELINING\r\n250 SIZE 100000000";
pub const EHLO_TLS: &str = "250-mx.there.example\r\n250-PIPELINING\r\n250 STARTTLS";

pub struct World {
    pub names: NameServer,
    pub port: u16,
    listeners: Mutex<Vec<TcpListener>>,
}

impl World {
    pub async fn new() -> World {
        'port: loop {
            let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = first.local_addr().unwrap().port();
            let mut listeners = vec![first];
            for last in 2..=3 {
                match TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).await {
                    Ok(listener) => listeners.push(listener),
                    Err(_) => continue 'port,
                }
            }
            listeners.reverse();
            return World { names: NameServer::start().await, port, listeners: Mutex::new(listeners) };
        }
    }

    /// Starts the next peer, and makes it the host of this name.
    pub fn peer(
        &self,
        name: &str,
        ehlo: &'static str,
        tls: Option<TlsAcceptor>,
        manners: impl Fn(usize, &str) -> Option<Do> + Send + Sync + 'static,
    ) -> Peer {
        let listener = self.listeners.lock().unwrap().pop().expect("there are three peers");
        let peer = Peer::start(listener, ehlo, tls, manners);
        self.names.zone.address(name, peer.address.ip());
        peer
    }

    /// A peer that behaves.
    pub fn good_peer(&self, name: &str) -> Peer {
        self.peer(name, EHLO, None, |_, _| None)
    }

    /// A name with an address where nobody listens.
    pub fn nobody(&self, name: &str) {
        self.names.zone.address(name, IpAddr::V4(Ipv4Addr::new(127, 0, 0, 99)));
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new("client.example");
        settings.port = self.port;
        settings.connect = Duration::from_secs(5);
        let times = &mut settings.timeouts;
        for time in [&mut times.greeting, &mut times.hello, &mut times.mail, &mut times.rcpt, &mut times.data]
        {
            *time = Duration::from_secs(2);
        }
        times.block = Duration::from_secs(2);
        times.message = Duration::from_secs(2);
        settings
    }

    pub fn remote(&self) -> Arc<Remote<Dns, Direct>> {
        self.remote_with(self.settings(), RootCertStore::empty())
    }

    pub fn remote_with(&self, settings: Settings, authorities: RootCertStore) -> Arc<Remote<Dns, Direct>> {
        let dns = Dns::new(&[self.names.address], Duration::from_millis(500), 1, Memory::OneHour).unwrap();
        Arc::new(Remote::new(settings, dns, Direct, Tls::new(authorities).unwrap(), Routes::default()))
    }
}

pub fn message() -> Message {
    let body = [Bytes::from_static(b"Subject: x\r\n\r\n"), Bytes::from_static(b".hello\r\n")];
    Message {
        reverse_path: ReversePath::Address("a@pobox.example".parse().unwrap()),
        body: Body::Memory(Arc::new(body)),
        body_type: BodyType::SevenBit,
        smtputf8: false,
        wishes: MessageWishes::default(),
    }
}

/// Sends to these local-parts of a domain, and gives what became of each, in short.
pub async fn deliver(remote: &Remote<Dns, Direct>, domain: &str, to: &[&str]) -> Vec<String> {
    deliver_all(remote, domain, to).await.iter().map(in_short).collect()
}

pub async fn deliver_all(remote: &Remote<Dns, Direct>, domain: &str, to: &[&str]) -> Vec<Outcome> {
    let host = Host::parse(domain).unwrap();
    let recipients = to.iter().map(|local| format!("{local}@{domain}").parse::<Address>().unwrap().into());
    remote.deliver(&message(), &host, recipients.collect()).await
}

pub fn in_short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { host, .. } => format!("delivered {}", host.name),
        Outcome::Failed(diagnosis) => format!("failed {}", diagnosis.status),
        Outcome::Deferred(diagnosis) if diagnosis.possibly_delivered => {
            format!("deferred {} possibly delivered", diagnosis.status)
        }
        Outcome::Deferred(diagnosis) => format!("deferred {}", diagnosis.status),
    }
}
