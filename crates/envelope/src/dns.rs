//! What is asked of the DNS and answered, in words that roles and pages share.
//!
//! Only the role `remote` speaks to name servers; whoever wants to know what is published has it asked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::event::Words;

/// The most questions that are answered at once.
pub const QUESTIONS_MAX: usize = 64;
/// The most records that are told of one answer.
pub const RECORDS_MAX: usize = 100;

/// The kinds of records that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// An IPv4 address (RFC 1035 §3.4.1).
    A,
    /// An IPv6 address (RFC 3596 §2.1).
    Aaaa,
    /// A host that takes mail (RFC 1035 §3.3.9).
    Mx,
    /// Text (RFC 1035 §3.3.14).
    Txt,
    /// Another name (RFC 1035 §3.3.1).
    Cname,
    /// Where a service is (RFC 2782).
    Srv,
    /// The name of an address (RFC 1035 §3.3.12).
    Ptr,
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Mx => "MX",
            RecordType::Txt => "TXT",
            RecordType::Cname => "CNAME",
            RecordType::Srv => "SRV",
            RecordType::Ptr => "PTR",
        })
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DnsQuestion {
    /// The whole name, in A-labels, without a final dot. `*.pobox.example` asks for the wildcard itself (RFC 4592 §2.3).
    pub name: String,
    /// What is wanted of it.
    pub record_type: RecordType,
}

impl DnsQuestion {
    /// A question about a name.
    pub fn new(name: impl Into<String>, record_type: RecordType) -> DnsQuestion {
        DnsQuestion { name: name.into(), record_type }
    }

    /// What is the name of this address? (RFC 1035 §3.5, RFC 3596 §2.5)
    pub fn pointer(address: IpAddr) -> DnsQuestion {
        let name = match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(address) => {
                let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
                let labels: Vec<String> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
                format!("{}.ip6.arpa", labels.join("."))
            }
        };
        DnsQuestion::new(name, RecordType::Ptr)
    }
}

/// What was answered to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// To which.
    pub question: DnsQuestion,
    /// What.
    pub outcome: DnsOutcome,
}

/// What the DNS says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsOutcome {
    /// These records, at most [`RECORDS_MAX`]; one at least.
    Found(Vec<RecordData>),
    /// The name exists, and has no record of this kind.
    NoRecord,
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// Nobody knows now, and why.
    Unanswered(Words),
}

impl DnsOutcome {
    /// The records, if there are any.
    pub fn records(&self) -> &[RecordData] {
        match self {
            DnsOutcome::Found(records) => records,
            _ => &[],
        }
    }
}

/// What a record says. Names are in A-labels and lower case, without a final dot; the root is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A host that takes mail.
    Mx {
        /// The lower, the sooner.
        preference: u16,
        /// The host.
        exchange: String,
    },
    /// Text: its parts joined, as SPF and DMARC read it (RFC 7208 §3.3).
    Txt(Words),
    /// Another name.
    Cname(String),
    /// Where a service is.
    Srv {
        /// The lower, the sooner.
        priority: u16,
        /// Among equals.
        weight: u16,
        /// The port there.
        port: u16,
        /// The host.
        target: String,
    },
    /// The name of an address.
    Ptr(String),
}

impl fmt::Display for RecordData {
    /// As it stands in a zone file (RFC 1035 §5.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordData::A(address) => address.fmt(f),
            RecordData::Aaaa(address) => address.fmt(f),
            RecordData::Mx { preference, exchange } => write!(f, "{preference} {exchange}."),
            RecordData::Txt(text) => {
                f.write_str("\"")?;
                for c in text.as_str().chars() {
                    if matches!(c, '"' | '\\') {
                        f.write_str("\\")?;
                    }
                    write!(f, "{c}")?;
                }
                f.write_str("\"")
            }
            RecordData::Cname(name) | RecordData::Ptr(name) => write!(f, "{name}."),
            RecordData::Srv { priority, weight, port, target } => {
                write!(f, "{priority} {weight} {port} {target}.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_by_its_reversed_name() {
        let name = |address: &str| DnsQuestion::pointer(address.parse().unwrap()).name;
        assert_eq!(name("192.0.2.25"), "25.2.0.192.in-addr.arpa");
        assert_eq!(
            name("2001:db8::567:89ab"),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    #[test]
    fn records_are_written_as_in_a_zone_file() {
        for (record, written) in [
            (RecordData::A([192, 0, 2, 25].into()), "192.0.2.25"),
            (RecordData::Mx { preference: 10, exchange: "mx.example".into() }, "10 mx.example."),
            (RecordData::Mx { preference: 0, exchange: String::new() }, "0 ."),
            (RecordData::Txt("say \"a\\b\"".into()), r#""say \"a\\b\"""#),
            (
                RecordData::Srv { priority: 0, weight: 1, port: 587, target: "mail.example".into() },
                "0 1 587 mail.example.",
            ),
            (RecordData::Ptr("mail.example".into()), "mail.example."),
        ] {
            assert_eq!(record.to_string(), written);
        }
    }
}
