//! Mailbox addresses: local-part `@` domain or address literal (RFC 5321 §4.1.2, RFC 6531 §3.3).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest local-part in octets (RFC 5321 §4.5.3.1.1).
pub const LOCAL_PART_MAX: usize = 64;
/// The longest domain in octets (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_MAX: usize = 255;

/// Why a string is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// No `@`, or nothing before or after it.
    #[error("an address has the form local-part@domain")]
    Shape,
    /// The local-part has a character that needs quotes and has none, or bad quotes.
    #[error("the part before the @ is not well formed")]
    LocalPart,
    /// More than [`LOCAL_PART_MAX`] octets.
    #[error("the part before the @ is longer than 64 octets")]
    LocalPartTooLong,
    /// Not a host name, or one that IDNA refuses.
    #[error("the part after the @ is not a host name")]
    Domain,
    /// More than [`DOMAIN_MAX`] octets, or a label over 63.
    #[error("the part after the @ is too long")]
    DomainTooLong,
    /// Between brackets stands no IPv4 or `IPv6:` address.
    #[error("the address literal after the @ is not an IP address")]
    Literal,
    /// Not UTF-8, or a control character.
    #[error("an address is text in UTF-8 without control characters")]
    Octets,
}

/// The part of an address before the `@`, without its quotes and with its case kept.
///
/// Dots may stand anywhere (`taro..@carrier.example` is a real Japanese address): such a
/// local-part is not a dot-string, so it is written in quotes on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// Takes a local-part as its plain octets: quotes removed, backslashes undone.
    ///
    /// # Errors
    /// If it is empty, over 64 octets, or has a control character.
    pub fn new(plain: &str) -> Result<LocalPart, AddressError> {
        if plain.is_empty() {
            return Err(AddressError::LocalPart);
        }
        if plain.len() > LOCAL_PART_MAX {
            return Err(AddressError::LocalPartTooLong);
        }
        if plain.chars().any(char::is_control) {
            return Err(AddressError::Octets);
        }
        Ok(LocalPart(plain.into()))
    }

    /// The local-part without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The local-part in lower case, as our own mailboxes compare it.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }

    /// Whether it can be written without quotes: a dot-string (RFC 5321 §4.1.2).
    pub fn is_dot_string(&self) -> bool {
        self.0.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
    }
}

/// A character that an unquoted local-part may have besides the dot (RFC 5322 §3.2.3, RFC 6531 §3.3).
pub(crate) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
}

impl fmt::Display for LocalPart {
    /// As it is written on the wire: bare if it can be, else in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_dot_string() {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if c == '"' || c == '\\' {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}

impl TryFrom<String> for LocalPart {
    type Error = AddressError;
    fn try_from(plain: String) -> Result<Self, AddressError> {
        LocalPart::new(&plain)
    }
}

impl From<LocalPart> for String {
    fn from(part: LocalPart) -> String {
        part.0.into()
    }
}

/// A host name in lower case, in U-labels where it is international, without a final dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(Box<str>);

impl Domain {
    /// Parses a host name (RFC 5321 §4.1.2, RFC 5890); `_` is let pass, as it is in use.
    ///
    /// # Errors
    /// If a label is empty, too long, has an odd character, or is no valid U-label.
    pub fn parse(name: &str) -> Result<Domain, AddressError> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            return Err(AddressError::Domain);
        }
        if name.len() > DOMAIN_MAX {
            return Err(AddressError::DomainTooLong);
        }
        // Most names are plain ASCII: no IDNA work for them.
        if name.is_ascii() && !name.split('.').any(has_ace_prefix) {
            let lower = name.to_ascii_lowercase();
            check_labels(&lower)?;
            return Ok(Domain(lower.into()));
        }
        let (unicode, verdict) = idna::domain_to_unicode(name);
        verdict.map_err(|_| AddressError::Domain)?;
        let ascii = idna::domain_to_ascii(&unicode).map_err(|_| AddressError::Domain)?;
        check_labels(&ascii)?;
        if ascii.len() > DOMAIN_MAX || unicode.len() > DOMAIN_MAX {
            return Err(AddressError::DomainTooLong);
        }
        Ok(Domain(unicode.into()))
    }

    /// The name in U-labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in A-labels, as DNS knows it.
    pub fn to_ascii(&self) -> String {
        idna::domain_to_ascii(&self.0).unwrap_or_else(|_| self.0.to_string())
    }

    /// The domain above: `abc.pobox.example` → `pobox.example`, with the label that was cut.
    pub fn split_first_label(&self) -> Option<(&str, Domain)> {
        let (label, parent) = self.0.split_once('.')?;
        Some((label, Domain(parent.into())))
    }
}

fn has_ace_prefix(label: &str) -> bool {
    label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
}

fn check_labels(ascii: &str) -> Result<(), AddressError> {
    for label in ascii.split('.') {
        if label.len() > 63 {
            return Err(AddressError::DomainTooLong);
        }
        let odd = |b: u8| !(b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') || label.bytes().any(odd) {
            return Err(AddressError::Domain);
        }
    }
    Ok(())
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Domain {
    type Error = AddressError;
    fn try_from(name: String) -> Result<Self, AddressError> {
        Domain::parse(&name)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> String {
        domain.0.into()
    }
}

impl std::str::FromStr for Domain {
    type Err = AddressError;
    fn from_str(name: &str) -> Result<Self, AddressError> {
        Domain::parse(name)
    }
}

/// What stands after the `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Host {
    /// A host name.
    Domain(Domain),
    /// An address literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3).
    Literal(IpAddr),
}

impl Host {
    /// Parses a host name, or an address literal in brackets.
    ///
    /// # Errors
    /// As [`Domain::parse`], or if the literal is no IP address.
    pub fn parse(text: &str) -> Result<Host, AddressError> {
        let Some(literal) = text.strip_prefix('[') else {
            return Domain::parse(text).map(Host::Domain);
        };
        let literal = literal.strip_suffix(']').ok_or(AddressError::Literal)?;
        let address = match literal.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => {
                literal[5..].parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| AddressError::Literal)?
            }
            _ => IpAddr::V4(literal.parse().map_err(|_| AddressError::Literal)?),
        };
        Ok(Host::Literal(address))
    }

    /// The domain, unless this is an address literal.
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Host::Domain(domain) => Some(domain),
            Host::Literal(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Domain(domain) => domain.fmt(f),
            Host::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Host::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
        }
    }
}

/// A mailbox: local-part and host (RFC 5321 §2.3.11).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The part before the `@`.
    pub local_part: LocalPart,
    /// The part after the `@`.
    pub host: Host,
}

impl Address {
    /// Puts an address together.
    pub fn new(local_part: LocalPart, host: Host) -> Address {
        Address { local_part, host }
    }

    /// Parses `local-part@domain`, quotes and address literals included; the whole text must be
    /// the address. Lenient where senders in use are: dots may stand anywhere in an unquoted
    /// local-part.
    ///
    /// # Errors
    /// Says which part is not well formed.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let (local_part, rest) = path::local_part(text)?;
        let host = rest.strip_prefix('@').ok_or(AddressError::Shape)?;
        if host.is_empty() {
            return Err(AddressError::Shape);
        }
        Ok(Address { local_part, host: Host::parse(host)? })
    }

    /// Whether sending it needs SMTPUTF8 (RFC 6531): the local-part is not ASCII.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local_part.as_str().is_ascii()
    }
}

use crate::path;

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.host)
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Address::parse(text)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        Address::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_it_is_written_on_the_wire() {
        for (given, written) in [
            ("abc@pobox.example", "abc@pobox.example"),
            ("ABC@Pobox.Example.", "ABC@pobox.example"),
            ("taro..@carrier.example", "\"taro..\"@carrier.example"),
            (".a.@x.example", "\".a.\"@x.example"),
            ("\"a b\"@x.example", "\"a b\"@x.example"),
            ("\"abc\"@x.example", "abc@x.example"),
            ("\"a\\\"b\\\\\"@x.example", "\"a\\\"b\\\\\"@x.example"),
            ("a@[192.0.2.1]", "a@[192.0.2.1]"),
            ("a@[IPv6:2001:DB8::1]", "a@[IPv6:2001:db8::1]"),
            ("太郎@例え.テスト", "太郎@例え.テスト"),
            ("a@xn--r8jz45g.xn--zckzah", "a@例え.テスト"),
        ] {
            let address = Address::parse(given).unwrap_or_else(|e| panic!("{given}: {e}"));
            assert_eq!(address.to_string(), written);
            assert_eq!(Address::parse(written), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        let long = format!("{}@x.example", "a".repeat(65));
        for (given, error) in [
            ("abc", AddressError::Shape),
            ("abc@", AddressError::Shape),
            ("@x.example", AddressError::LocalPart),
            ("a b@x.example", AddressError::Shape),
            ("a@b@c", AddressError::Shape),
            ("\"a@x.example", AddressError::LocalPart),
            ("a@-x.example", AddressError::Domain),
            ("a@x..example", AddressError::Domain),
            ("a@x example", AddressError::Domain),
            ("a@[300.1.1.1]", AddressError::Literal),
            ("a\r\nb@x.example", AddressError::Octets),
            (long.as_str(), AddressError::LocalPartTooLong),
        ] {
            let result = Address::parse(given);
            // Where two reasons hold, either serves; it must be refused.
            assert!(result.is_err(), "{given} was taken");
            if error == AddressError::LocalPartTooLong || error == AddressError::Literal {
                assert_eq!(result, Err(error));
            }
        }
    }
}
