//! Mail to other hosts and from them: a name server with real zones, and receivers on loopback, of ours
//! where they have to misbehave, otherwise Postfix and Exim as Debian has them.

mod absence;
mod both_ways;
mod catcher;
mod consent;
mod customers;
mod dns;
mod exim;
mod killing;
mod manners;
mod postfix;
mod record;
mod routes;
mod sink;

#[path = "../crates/remote/tests/hostile/name_server.rs"]
#[allow(dead_code, reason = "not all that it can do is needed here")]
mod name_server;
#[path = "../crates/remote/tests/hostile/peer.rs"]
#[allow(dead_code, reason = "not all that it can do is needed here")]
mod peer;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::house::{House, eventually};
use name_server::{NameServer, Zone};
use peer::{Do, Peer};

/// How long a message may take to somewhere else, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);
const EHLO: &str = "250-mx.there.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000";

/// All that is outside of the house: names, and hosts at 127.0.0.2 to .9, all at one port.
struct World {
    names: NameServer,
    port: u16,
    runtime: Runtime,
}

impl World {
    fn new() -> World {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let names = runtime.block_on(NameServer::start());
        World { names, port: free_port(), runtime }
    }

    fn zone(&self) -> &Zone {
        &self.names.zone
    }

    /// What a house has to know of this world.
    fn lines(&self) -> String {
        format!("[remote]\nname_servers = [\"{}\"]\nport = {}\n", self.names.address, self.port)
    }

    /// A house in this world, running.
    fn house(&self) -> House {
        House::with(&self.lines())
    }

    /// Makes this host that of a name.
    fn host(&self, name: &str, number: u8) -> SocketAddr {
        let address = SocketAddr::from(([127, 0, 0, number], self.port));
        self.zone().address(name, address.ip());
        address
    }

    /// Starts a server that does as it is told, and makes it the host of this name.
    fn peer(
        &self,
        name: &str,
        number: u8,
        manners: impl Fn(usize, &str) -> Option<Do> + Send + Sync + 'static,
    ) -> Peer {
        let address = self.host(name, number);
        self.runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            Peer::start(listener, EHLO, None, manners)
        })
    }
}

/// A port that is free at every address of the world.
fn free_port() -> u16 {
    loop {
        let first = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 1), 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if (2..=9).all(|last| TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).is_ok()) {
            return port;
        }
    }
}

/// A letter of the customer abc.
fn letter(subject: &str) -> String {
    format!("From: <abc@pobox.example>\r\nSubject: {subject}\r\n\r\nLine one.\r\n.Line two has a dot.\r\n")
}

/// Has the customer abc send a letter; its queue id.
fn send(house: &House, to: &[&str], subject: &str) -> String {
    let mut session = house.submission_session("abc");
    let reply = session.transact("abc@pobox.example", to, &letter(subject));
    queue_id(&reply)
}

/// The queue id in the reply to mail data.
fn queue_id(reply: &str) -> String {
    let id = reply.strip_prefix("250 2.0.0 ok ").and_then(|rest| rest.split_whitespace().last());
    id.unwrap_or_else(|| panic!("not accepted: {reply}")).to_string()
}

/// Waits for the event that tells what became of a recipient.
fn fate(house: &House, to: &str) -> Value {
    eventually(&format!("something became of {to}"), PATIENCE, || {
        let told = ["delivered", "failed", "deferred"].into_iter().flat_map(|name| house.events(name));
        told.into_iter().find(|event| event["to"] == to)
    })
}

/// A directory that other users may enter, as servers run as users of their own.
fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Writes a certificate for this name and its key, and gives their paths.
fn write_certificate(directory: &Path, name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_string()]).unwrap();
    let path = |file: &str| directory.join(file).to_str().unwrap().to_string();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}
