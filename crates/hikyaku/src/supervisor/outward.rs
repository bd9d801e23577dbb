//! What `remote` is told at its start, of the configuration and of this machine.

use std::net::{IpAddr, SocketAddr, TcpListener};

use tracing::warn;

use crate::config::Config;
use crate::control::{Door, Outward, Role};

/// All of it. What cannot be read of the machine is left out, and said in the log.
pub fn of(config: &Config, doors: &[(Role, Door, TcpListener)]) -> Outward {
    let remote = &config.remote;
    let resolv_conf = if remote.name_servers.is_empty() {
        std::fs::read_to_string("/etc/resolv.conf").unwrap_or_else(|error| {
            warn!(event = "no_name_servers", %error, "cannot read /etc/resolv.conf");
            String::new()
        })
    } else {
        String::new()
    };
    Outward {
        routes: remote.routes.to_string(),
        tls: remote.tls,
        destination_concurrency: remote.destination_concurrency,
        destination_rate: remote.destination_rate,
        messages_per_connection: remote.messages_per_connection,
        port: remote.port,
        name_servers: remote.name_servers.clone(),
        resolv_conf,
        own: own(config, doors),
    }
}

/// Where this host takes mail from others: each of its addresses, at each port at which it listens.
fn own(config: &Config, doors: &[(Role, Door, TcpListener)]) -> Vec<SocketAddr> {
    let addresses: Vec<IpAddr> = interfaces().chain(config.remote.own_addresses.iter().copied()).collect();
    let listening = doors.iter().filter(|(role, ..)| *role == Role::Smtp);
    let mut own = Vec::new();
    for at in listening.filter_map(|(_, _, listener)| listener.local_addr().ok()) {
        own.push(at);
        if at.ip().is_unspecified() {
            own.extend(addresses.iter().map(|address| SocketAddr::new(*address, at.port())));
        }
    }
    own.extend(
        config.remote.own_addresses.iter().map(|address| SocketAddr::new(*address, config.remote.port)),
    );
    own.sort();
    own.dedup();
    own
}

/// The addresses of this machine.
fn interfaces() -> impl Iterator<Item = IpAddr> {
    let all = nix::ifaddrs::getifaddrs()
        .inspect_err(|error| warn!(event = "no_interfaces", %error, "cannot list this host's addresses"));
    all.into_iter().flatten().filter_map(|interface| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
    })
}
