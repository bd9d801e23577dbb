//! Networks: all addresses that begin alike, written `192.0.2.0/24` (RFC 4632 §3.1, RFC 4291 §2.3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A network. Bits of its address beyond the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a network; write it like \"192.0.2.0/24\" or \"2001:db8::/32\"")]
pub struct NotANetwork(String);

impl Network {
    /// The network of the first `prefix` bits of an address: all of them if there are not so many.
    /// An IPv4 address in IPv6 form counts as IPv4.
    pub fn of(address: IpAddr, prefix: u8) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let prefix = prefix.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Network { address: IpAddr::V4((address.to_bits() & mask).into()), prefix }
            }
            IpAddr::V6(address) => {
                let prefix = prefix.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Network { address: IpAddr::V6((address.to_bits() & mask).into()), prefix }
            }
        }
    }

    /// Whether the network holds this address. An IPv4 address in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        Network::of(address, self.prefix) == *self
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = NotANetwork;
    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let wrong = || NotANetwork(text.into());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= whole).ok_or_else(wrong)?,
            None => whole,
        };
        // `::ffff:192.0.2.0/120` would hold nothing: such addresses count as IPv4.
        if address.to_canonical().is_ipv4() != address.is_ipv4() {
            return Err(wrong());
        }
        Ok(Network::of(address, prefix))
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;
    fn try_from(text: String) -> Result<Network, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_as_it_does() {
        for (text, holds, address) in [
            ("192.0.2.0/24", true, "192.0.2.255"),
            ("192.0.2.0/24", true, "::ffff:192.0.2.7"),
            ("192.0.2.0/24", false, "192.0.3.0"),
            ("192.0.2.1", false, "192.0.2.0"),
            ("0.0.0.0/0", true, "203.0.113.9"),
            ("0.0.0.0/0", false, "2001:db8::1"),
            ("2001:db8::/32", true, "2001:db8:ffff::1"),
            ("::/0", false, "::ffff:192.0.2.1"),
            ("::/0", true, "2001:db8::1"),
        ] {
            assert_eq!(network(text).contains(address.parse().unwrap()), holds, "{text} {address}");
        }
    }

    #[test]
    fn a_network_is_the_same_however_its_last_bits_are_written() {
        assert_eq!(network("192.0.2.77/24"), network("192.0.2.0/24"));
        assert_eq!(network("192.0.2.77/24").to_string(), "192.0.2.0/24");
        for wrong in
            ["", "192.0.2.0/33", "192.0.2", "2001:db8::/129", "x/24", "1.2.3.4/", "::ffff:1.2.3.0/120"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_network_that_reads_back_or_an_error(text in "\\PC{0,40}") {
            if let Ok(network) = text.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
            }
        }

        #[test]
        fn an_address_is_in_each_of_its_networks(bits: u128, prefix: u8) {
            let address = IpAddr::V6(bits.into());
            prop_assert!(Network::of(address, prefix).contains(address));
        }
    }
}
