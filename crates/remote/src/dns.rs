//! What is asked of the DNS, and a resolver that asks it.
//!
//! [`Dns`] is the only place that knows the library behind it. `look_up.rs` is for operators, who look what is
//! published.

mod look_up;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use thiserror::Error;

/// Answers questions about names. Names are in A-labels, and whole: no search list is applied.
pub trait Resolver: Send + Sync + 'static {
    /// The MX records of a name, in any order.
    fn mx(&self, name: &str) -> impl Future<Output = Result<Vec<Mx>, DnsError>> + Send;

    /// All addresses of a name, those of IPv6 first.
    fn addresses(&self, name: &str) -> impl Future<Output = Result<Vec<IpAddr>, DnsError>> + Send;
}

/// An MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// The lower, the sooner.
    pub preference: u16,
    /// A host name in A-labels without a final dot; empty in a null MX (RFC 7505).
    pub exchange: Box<str>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DnsError {
    /// The name does not exist (NXDOMAIN).
    #[error("the name does not exist")]
    NoSuchName,
    /// The name exists, and has no record of this kind.
    #[error("the name has no such record")]
    NoRecord,
    /// Nobody knows now: SERVFAIL, no answer in time, or one that makes no sense.
    #[error("the DNS does not answer: {0}")]
    Temporary(String),
}

/// Whether answers are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// As long as they say themselves, an hour at most.
    OneHour,
    /// They are not: each question is asked.
    None,
}

/// A stub resolver that asks recursive name servers, by UDP, and by TCP if an answer is
/// too large for that.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// A resolver that asks these. It opens no file, neither now nor later.
    ///
    /// # Errors
    /// If there is no name server.
    pub fn new(
        name_servers: &[SocketAddr],
        timeout: Duration,
        attempts: usize,
        memory: Memory,
    ) -> Result<Dns, DnsError> {
        let failed = |error: NetError| DnsError::Temporary(error.to_string());
        if name_servers.is_empty() {
            return Err(DnsError::Temporary("there is no name server to ask".to_owned()));
        }
        let servers = name_servers.iter().map(|server| {
            let at_port = |protocol| {
                let mut connection = ConnectionConfig::new(protocol);
                connection.port = server.port();
                connection
            };
            let connections = vec![at_port(ProtocolConfig::Udp), at_port(ProtocolConfig::Tcp)];
            NameServerConfig::new(server.ip(), true, connections)
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options(timeout, attempts, memory);
        Ok(Dns { resolver: builder.build().map_err(failed)? })
    }

    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, DnsError> {
        let mut name = Name::from_ascii(name).map_err(|_| DnsError::NoSuchName)?;
        name.set_fqdn(true);
        let answer = self.resolver.lookup(name, kind).await.map_err(understand)?;
        let records: Vec<T> = answer.answers().iter().filter_map(|record| read(&record.data)).collect();
        if records.is_empty() { Err(DnsError::NoRecord) } else { Ok(records) }
    }
}

impl Resolver for Dns {
    async fn mx(&self, name: &str) -> Result<Vec<Mx>, DnsError> {
        self.records(name, RecordType::MX, |data| match data {
            RData::MX(mx) => {
                let exchange = mx.exchange.to_ascii().to_ascii_lowercase();
                let exchange = exchange.strip_suffix('.').unwrap_or(&exchange).into();
                Some(Mx { preference: mx.preference, exchange })
            }
            _ => None,
        })
        .await
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        let six = self.records(name, RecordType::AAAA, |data| match data {
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        let four = self.records(name, RecordType::A, |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        });
        match tokio::join!(six, four) {
            (Ok(mut six), Ok(four)) => {
                six.extend(four);
                Ok(six)
            }
            // Some name servers answer nothing of use to AAAA (RFC 4074): the other answer will do.
            (Ok(found), _) | (_, Ok(found)) => Ok(found),
            (Err(error @ DnsError::Temporary(_)), _) | (_, Err(error)) => Err(error),
        }
    }
}

/// The name servers of a file as `/etc/resolv.conf`, to be read before a role is confined; that of
/// this host if it names none, as `resolv.conf(5)` says.
pub fn name_servers(resolv_conf: &str) -> Vec<SocketAddr> {
    let words = resolv_conf.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listed: Vec<SocketAddr> = words
        .filter(|words| words.first() == Some(&"nameserver"))
        // A zone (`%eth0`) cannot be handed on as an address.
        .filter_map(|words| words.get(1)?.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .collect();
    if listed.is_empty() { vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)] } else { listed }
}

fn options(timeout: Duration, attempts: usize, memory: Memory) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    options.attempts = attempts;
    options.use_hosts_file = ResolveHosts::Never;
    // Mail is delivered by what the DNS says now, within reason.
    let (positive, negative) = match memory {
        Memory::OneHour => (3600, 300),
        Memory::None => {
            options.cache_size = 0;
            (0, 0)
        }
    };
    options.positive_max_ttl = Some(Duration::from_secs(positive));
    options.negative_max_ttl = Some(Duration::from_secs(negative));
    // Answers with 100 MX come whole, or by TCP.
    options.edns_payload_len = 1232;
    options
}

fn understand(error: NetError) -> DnsError {
    match &error {
        _ if error.is_nx_domain() => DnsError::NoSuchName,
        NetError::Dns(HickoryDnsError::NoRecordsFound(none))
            if none.response_code == hickory_resolver::proto::op::ResponseCode::NoError =>
        {
            DnsError::NoRecord
        }
        _ => DnsError::Temporary(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn name_servers_are_read_as_the_system_reads_them() {
        let file =
            "# comment\nsearch x.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53 # two\nnameserver\n";
        let expected: Vec<SocketAddr> =
            vec!["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()];
        assert_eq!(name_servers(file), expected);
        assert_eq!(name_servers(""), ["127.0.0.1:53".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn any_text_names_at_least_one_server(text in "(nameserver )?\\PC{0,40}\n?") {
            prop_assert!(!name_servers(&text).is_empty());
        }
    }
}
