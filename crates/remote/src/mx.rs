//! Which hosts take mail for a domain, and in which order they are tried (RFC 5321 §5.1, RFC 7505).
//!
//! Hosts of one preference are looked up together, and those of the next only if they are needed: a
//! backup with a slow name server costs nothing while the best host answers.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use envelope::Host;
use futures_util::future::join_all;
use message::Status;
use rand::seq::SliceRandom;
use thiserror::Error;

use crate::dns::{DnsError, Mx, Resolver};
use crate::routes::NextHop;

/// So many hosts of one domain are tried at most.
pub const HOSTS_MAX: usize = 20;
/// So many addresses of one domain are tried at most.
pub const ADDRESSES_MAX: usize = 40;

/// One address of a host that takes mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MailHost {
    /// Its name in A-labels, or its address if it has no name.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The addresses and ports at which this system itself takes mail.
#[derive(Debug, Clone, Default)]
pub struct OwnAddresses(Vec<SocketAddr>);

/// Why there is no host to try.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unroutable {
    /// The domain does not exist.
    #[error("Sorry, I couldn't find any host named {0}. Please check the address for a typing mistake.")]
    NoSuchDomain(String),
    /// The domain says that it takes no mail (RFC 7505).
    #[error("The domain {0} does not accept mail. Please ask the recipient for another address.")]
    NullMx(String),
    /// There is a domain, but no host that takes its mail.
    #[error("Sorry, I couldn't find a mail exchanger or IP address for {0}.")]
    NoHost(String),
    /// The best host that is left is this one, and the domain is not hosted here.
    #[error("Sorry. Although I'm listed as a best-preference MX or A for {0}, I don't host that domain.")]
    Ourselves(String),
    /// The DNS does not answer.
    #[error("The name servers for {domain} could not be asked: {reason}.")]
    Temporary {
        /// The domain.
        domain: String,
        /// What went wrong.
        reason: String,
    },
}

impl Unroutable {
    /// The status code for reports: of class 4 if another attempt may find more.
    pub fn status(&self) -> Status {
        match self {
            Unroutable::NoSuchDomain(_) => Status::new(5, 1, 2),
            Unroutable::NullMx(_) => Status::new(5, 1, 10),
            Unroutable::NoHost(_) => Status::new(5, 4, 4),
            Unroutable::Ourselves(_) => Status::new(5, 4, 6),
            Unroutable::Temporary { .. } => Status::new(4, 4, 3),
        }
    }
}

impl OwnAddresses {
    /// These. One without an address (`0.0.0.0`) stands for loopback only: give each address of its own.
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> OwnAddresses {
        OwnAddresses(addresses.into_iter().map(canonical).collect())
    }

    /// Whether whoever connects there meets this system: one of its addresses, or any way to say "this
    /// host", at one of its ports.
    pub fn contain(&self, address: SocketAddr) -> bool {
        let address = canonical(address);
        let this_host = address.ip().is_loopback() || address.ip().is_unspecified();
        self.0.iter().any(|own| own.port() == address.port() && (own.ip() == address.ip() || this_host))
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The hosts for one domain, to be taken one after the other.
#[derive(Debug)]
pub struct Hosts {
    domain: String,
    port: u16,
    /// Names that were not looked up yet, those of the best preference first.
    groups: VecDeque<Vec<Box<str>>>,
    ready: VecDeque<MailHost>,
    given: usize,
    /// Why hosts were passed over; what an empty list means.
    met_ourselves: bool,
    failure: Option<DnsError>,
}

impl Hosts {
    /// Finds the hosts for mail to `to` by this way.
    ///
    /// # Errors
    /// If there are none, or the DNS does not say.
    pub async fn find(
        resolver: &impl Resolver,
        to: &Host,
        next_hop: &NextHop,
        port: u16,
    ) -> Result<Hosts, Unroutable> {
        let mut hosts = Hosts {
            domain: to.to_string(),
            port,
            groups: VecDeque::new(),
            ready: VecDeque::new(),
            given: 0,
            met_ourselves: false,
            failure: None,
        };
        match (next_hop, to) {
            (NextHop::Host(name), _) => hosts.groups.push_back(vec![name.to_ascii().into()]),
            (NextHop::Address(address), _) | (NextHop::Mx, Host::Literal(address)) => {
                hosts.groups.push_back(vec![address.to_string().into()]);
            }
            (NextHop::Mx, Host::Domain(domain)) => {
                let name = domain.to_ascii();
                match resolver.mx(&name).await {
                    Ok(records) => hosts.groups = hosts.order(records)?,
                    // The domain itself is the host (RFC 5321 §5.1, implicit MX).
                    Err(DnsError::NoRecord) => hosts.groups.push_back(vec![name.into()]),
                    Err(DnsError::NoSuchName) => return Err(Unroutable::NoSuchDomain(hosts.domain)),
                    Err(DnsError::Temporary(reason)) => {
                        return Err(Unroutable::Temporary { domain: hosts.domain, reason });
                    }
                }
            }
        }
        Ok(hosts)
    }

    /// The next address to try.
    ///
    /// Those at our own preference or a worse one are never given: mail would go round in a circle
    /// (RFC 5321 §5.1).
    pub async fn next(&mut self, resolver: &impl Resolver, own: &OwnAddresses) -> Option<MailHost> {
        loop {
            if self.given >= ADDRESSES_MAX {
                return None;
            }
            if let Some(host) = self.ready.pop_front() {
                self.given += 1;
                return Some(host);
            }
            let names = self.groups.pop_front()?;
            let answers = join_all(names.iter().map(|name| addresses(resolver, name))).await;
            let mut found = Vec::new();
            for (name, answer) in names.iter().zip(answers) {
                match answer {
                    Ok(addresses) => found.push((Arc::<str>::from(&**name), addresses)),
                    Err(error @ DnsError::Temporary(_)) => self.failure = Some(error),
                    Err(error) => self.failure = self.failure.take().or(Some(error)),
                }
            }
            let is_own = |address: &IpAddr| own.contain(SocketAddr::new(*address, self.port));
            if found.iter().any(|(_, addresses)| addresses.iter().any(is_own)) {
                self.met_ourselves = true;
                self.groups.clear();
                return None;
            }
            for (name, addresses) in found {
                for address in interleave(addresses) {
                    let address = SocketAddr::new(address, self.port);
                    self.ready.push_back(MailHost { name: Arc::clone(&name), address });
                }
            }
        }
    }

    /// Why there was nothing to try, if [`Hosts::next`] never gave anything.
    pub fn why_none(&self) -> Unroutable {
        let domain = self.domain.clone();
        match &self.failure {
            // Before all else: we may be the backup of a host that cannot be looked up now.
            Some(DnsError::Temporary(reason)) => Unroutable::Temporary { domain, reason: reason.clone() },
            _ if self.met_ourselves => Unroutable::Ourselves(domain),
            _ => Unroutable::NoHost(domain),
        }
    }

    /// Groups of equal preference, the best first, each in an order of chance (RFC 5321 §5.1).
    fn order(&self, records: Vec<Mx>) -> Result<VecDeque<Vec<Box<str>>>, Unroutable> {
        let mut groups: BTreeMap<u16, Vec<Box<str>>> = BTreeMap::new();
        let only = records.len() == 1;
        for Mx { preference, exchange } in records {
            if exchange.is_empty() {
                // Beside others it means nothing (RFC 7505 §3).
                if only {
                    return Err(Unroutable::NullMx(self.domain.clone()));
                }
                continue;
            }
            let group = groups.entry(preference).or_default();
            if !group.contains(&exchange) {
                group.push(exchange);
            }
        }
        if groups.is_empty() {
            return Err(Unroutable::NoHost(self.domain.clone()));
        }
        let mut left = HOSTS_MAX;
        let mut ordered = VecDeque::new();
        for mut group in groups.into_values() {
            group.shuffle(&mut rand::rng());
            group.truncate(left);
            left -= group.len();
            if !group.is_empty() {
                ordered.push_back(group);
            }
        }
        Ok(ordered)
    }
}

/// An exchange should be a name; some write an address all the same.
async fn addresses(resolver: &impl Resolver, name: &str) -> Result<Vec<IpAddr>, DnsError> {
    let found = match name.parse() {
        Ok(address) => vec![address],
        Err(_) => resolver.addresses(name).await?,
    };
    let usable: Vec<IpAddr> = found.into_iter().filter(|address| !address.is_multicast()).collect();
    if usable.is_empty() { Err(DnsError::NoRecord) } else { Ok(usable) }
}

/// IPv6 and IPv4 in turn, IPv6 first: where one of them does not work, the other is soon tried
/// (RFC 8305 §4).
fn interleave(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.shuffle(&mut rand::rng());
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A zone in memory.
    #[derive(Default)]
    struct Zone {
        mx: HashMap<&'static str, Result<Vec<Mx>, DnsError>>,
        addresses: HashMap<&'static str, Result<Vec<IpAddr>, DnsError>>,
    }

    impl Resolver for Zone {
        async fn mx(&self, name: &str) -> Result<Vec<Mx>, DnsError> {
            self.mx.get(name).cloned().unwrap_or(Err(DnsError::NoRecord))
        }

        async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
            self.addresses.get(name).cloned().unwrap_or(Err(DnsError::NoSuchName))
        }
    }

    impl Zone {
        fn with_mx(mut self, name: &'static str, records: &[(u16, &str)]) -> Zone {
            let record = |&(preference, exchange): &(u16, &str)| Mx { preference, exchange: exchange.into() };
            self.mx.insert(name, Ok(records.iter().map(record).collect()));
            self
        }

        fn with(mut self, name: &'static str, addresses: &[&str]) -> Zone {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            self.addresses.insert(name, Ok(addresses));
            self
        }
    }

    async fn tried(zone: &Zone, to: &str, own: &OwnAddresses) -> Result<Vec<String>, Unroutable> {
        let mut hosts = Hosts::find(zone, &Host::parse(to).unwrap(), &NextHop::Mx, 25).await?;
        let mut tried = Vec::new();
        while let Some(host) = hosts.next(zone, own).await {
            tried.push(host.address.ip().to_string());
        }
        if tried.is_empty() { Err(hosts.why_none()) } else { Ok(tried) }
    }

    fn own() -> OwnAddresses {
        OwnAddresses::new(["192.0.2.9:25".parse().unwrap()])
    }

    #[tokio::test]
    async fn hosts_are_tried_by_preference_and_equals_by_chance() {
        let zone = Zone::default()
            .with_mx("x.example", &[(20, "c"), (10, "a"), (10, "b")])
            .with("a", &["192.0.2.1"])
            .with("b", &["192.0.2.2"])
            .with("c", &["192.0.2.3", "2001:db8::3", "192.0.2.4"]);
        let mut first = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let tried = tried(&zone, "x.example", &own()).await.unwrap();
            assert_eq!((tried.len(), tried[2].as_str()), (5, "2001:db8::3"));
            first.insert(tried[0].clone());
        }
        assert_eq!(first.len(), 2);
    }

    #[tokio::test]
    async fn a_domain_without_mx_is_its_own_host() {
        let zone = Zone::default().with("xn--r8jz45g.xn--zckzah", &["192.0.2.1"]);
        assert_eq!(tried(&zone, "例え.テスト", &own()).await.unwrap(), ["192.0.2.1"]);
        assert_eq!(tried(&zone, "[192.0.2.7]", &own()).await.unwrap(), ["192.0.2.7"]);
        assert_eq!(tried(&zone, "y.example", &own()).await, Err(Unroutable::NoHost("y.example".into())));
    }

    #[tokio::test]
    async fn nobody_sends_to_itself_or_to_those_behind_it() {
        let zone = Zone::default()
            .with_mx("x.example", &[(10, "a"), (20, "us"), (20, "b"), (30, "c")])
            .with_mx("y.example", &[(10, "us"), (10, "a")])
            .with_mx("z.example", &[(10, "here")])
            .with("a", &["192.0.2.1"])
            .with("b", &["192.0.2.2"])
            .with("c", &["192.0.2.3"])
            .with("here", &["127.0.0.1"])
            .with("us", &["2001:db8::9", "192.0.2.9"]);
        assert_eq!(tried(&zone, "x.example", &own()).await.unwrap(), ["192.0.2.1"]);
        for to in ["y.example", "z.example", "[192.0.2.9]", "[IPv6:::ffff:192.0.2.9]"] {
            let error = tried(&zone, to, &own()).await.unwrap_err();
            assert_eq!(error.status().to_string(), "5.4.6", "{to}");
        }
        // Another program of this host, at another port, is somebody else.
        assert!(!own().contain("127.0.0.1:2525".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_null_mx_takes_no_mail() {
        let zone = Zone::default()
            .with_mx("x.example", &[(0, "")])
            .with_mx("y.example", &[(0, ""), (10, "a")])
            .with("a", &["192.0.2.1"]);
        assert_eq!(tried(&zone, "x.example", &own()).await, Err(Unroutable::NullMx("x.example".into())));
        assert_eq!(tried(&zone, "y.example", &own()).await.unwrap(), ["192.0.2.1"]);
    }

    #[tokio::test]
    async fn what_the_dns_does_not_say_now_is_asked_later() {
        let mut zone = Zone::default()
            .with_mx("x.example", &[(10, "gone"), (20, "broken"), (30, "gone-too")])
            .with_mx("y.example", &[(10, "broken"), (20, "a")])
            .with("a", &["192.0.2.1"]);
        zone.mx.insert("z.example", Err(DnsError::Temporary("SERVFAIL".into())));
        zone.mx.insert("n.example", Err(DnsError::NoSuchName));
        zone.addresses.insert("broken", Err(DnsError::Temporary("SERVFAIL".into())));
        for (to, status) in [("x.example", "4.4.3"), ("z.example", "4.4.3"), ("n.example", "5.1.2")] {
            assert_eq!(tried(&zone, to, &own()).await.unwrap_err().status().to_string(), status);
        }
        assert_eq!(tried(&zone, "y.example", &own()).await.unwrap(), ["192.0.2.1"]);
    }

    #[tokio::test]
    async fn a_backup_waits_while_the_better_host_cannot_be_looked_up() {
        let mut zone = Zone::default()
            .with_mx("x.example", &[(10, "broken"), (20, "us")])
            .with_mx("y.example", &[(10, "gone"), (20, "us")])
            .with("us", &["192.0.2.9"]);
        zone.addresses.insert("broken", Err(DnsError::Temporary("SERVFAIL".into())));
        for (to, status) in [("x.example", "4.4.3"), ("y.example", "5.4.6")] {
            assert_eq!(tried(&zone, to, &own()).await.unwrap_err().status().to_string(), status, "{to}");
        }
    }

    #[tokio::test]
    async fn a_hundred_hosts_are_not_all_tried() {
        let names: Vec<String> = (0..100).map(|n| format!("192.0.2.{n}")).collect();
        let records: Vec<(u16, &str)> = names.iter().map(|name| (10, name.as_str())).collect();
        let zone = Zone::default().with_mx("x.example", &records);
        assert_eq!(tried(&zone, "x.example", &OwnAddresses::default()).await.unwrap().len(), HOSTS_MAX);
    }
}
