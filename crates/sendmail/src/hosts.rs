//! What short addresses lack (as qmail-inject has it).

use std::borrow::Cow;

use envelope::address::AddressError;
use envelope::{Address, Domain, Host, LocalPart};

use crate::job::Names;
use crate::refusal::Refusal;
use crate::visible::{is_unsafe, visible};

/// The hosts that short addresses get: `abc` gets the default host, `abc@host` the default domain, and in
/// `abc@host+` the `+` stands for a dot and the plus domain. `localhost` is the default host, since to
/// others it would name themselves. In A-labels, since they are written into headers.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    host: String,
    domain: String,
    plus: String,
}

/// What makes a short address whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// So many octets of its end give way.
    pub(crate) cut: usize,
    /// To this.
    pub(crate) text: String,
}

impl Hosts {
    /// As the caller's environment has it, where it is well formed; else `domain`.
    pub(crate) fn new(names: &Names, domain: &Domain) -> Hosts {
        let named = |name: &Option<Vec<u8>>| {
            let text = std::str::from_utf8(name.as_deref()?).ok()?;
            Domain::parse(text.trim_start_matches('.')).ok().map(|domain| domain.to_ascii())
        };
        let given = |name| named(name).unwrap_or_else(|| domain.to_ascii());
        let mut hosts = Hosts {
            host: String::new(),
            domain: given(&names.default_domain),
            plus: given(&names.plus_domain),
        };
        let host = given(&names.default_host);
        hosts.host = hosts.whole_host(&host).into_owned();
        hosts
    }

    /// The address that a caller means.
    ///
    /// # Errors
    /// [`Refusal::Injection`] if it has control characters or line separators, [`Refusal::NotAnAddress`]
    /// if it is none for another reason.
    pub(crate) fn address(&self, octets: &[u8]) -> Result<Address, Refusal> {
        let text = clean(octets)?;
        let whole = match self.ending(text) {
            None => Cow::Borrowed(text),
            Some(Ending { cut, text: ending }) => {
                Cow::Owned(format!("{}{ending}", text.get(..text.len() - cut).unwrap_or_default()))
            }
        };
        Address::parse(&whole).map_err(|_| not_an_address(octets))
    }

    /// The same, where quotes and brackets mean themselves, as on the command line of qmail-inject and
    /// in envelopes for qmail-queue: the last `@` parts the host off.
    ///
    /// # Errors
    /// As [`Hosts::address`].
    pub(crate) fn literal_address(&self, octets: &[u8]) -> Result<Address, Refusal> {
        let text = clean(octets)?;
        // Who writes brackets means no local-part with brackets in it.
        if text.starts_with('<') && text.ends_with('>') {
            return Err(not_an_address(octets));
        }
        let Some((local_part, host)) = text.rsplit_once('@') else {
            return self.literal(text, &self.host).map_err(|_| not_an_address(octets));
        };
        // Programs that know no better quote here as well.
        if let Ok(address) = self.address(octets) {
            return Ok(address);
        }
        self.literal(local_part, &self.whole_host(host)).map_err(|_| not_an_address(octets))
    }

    fn literal(&self, local_part: &str, host: &str) -> Result<Address, AddressError> {
        Ok(Address::new(LocalPart::new(local_part)?, Host::parse(host)?))
    }

    /// What a short address lacks; none, if it is whole.
    pub(crate) fn ending(&self, address: &str) -> Option<Ending> {
        let Some(host) = host_of(address) else {
            return Some(Ending { cut: 0, text: format!("@{}", self.host) });
        };
        let whole = self.whole_host(host);
        match whole.strip_prefix(host) {
            Some("") => None,
            Some(lacking) => Some(Ending { cut: 0, text: lacking.to_owned() }),
            None => Some(Ending { cut: host.len(), text: whole.into_owned() }),
        }
    }

    fn whole_host<'a>(&self, host: &'a str) -> Cow<'a, str> {
        if let Some(host) = host.strip_suffix('+') {
            Cow::Owned(format!("{host}.{}", self.plus))
        } else if host.starts_with('[') || host.contains('.') || host.is_empty() {
            Cow::Borrowed(host)
        } else if host.eq_ignore_ascii_case("localhost") && !self.host.is_empty() {
            Cow::Owned(self.host.clone())
        } else {
            Cow::Owned(format!("{host}.{}", self.domain))
        }
    }
}

/// What follows the `@` that stands in no quotes.
fn host_of(address: &str) -> Option<&str> {
    let mut quoted = false;
    let mut octets = address.bytes().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'\\' if quoted => drop(octets.next()),
            b'"' => quoted = !quoted,
            b'@' if !quoted => return address.get(at + 1..),
            _ => {}
        }
    }
    None
}

fn clean(octets: &[u8]) -> Result<&str, Refusal> {
    let text = std::str::from_utf8(octets).map_err(|_| not_an_address(octets))?;
    if text.contains(is_unsafe) {
        return Err(Refusal::Injection(format!("the address {}", visible(octets))));
    }
    Ok(text)
}

fn not_an_address(octets: &[u8]) -> Refusal {
    Refusal::NotAnAddress(visible(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hosts(names: Names) -> Hosts {
        Hosts::new(&names, &Domain::parse("pobox.example").unwrap())
    }

    #[test]
    fn short_addresses_are_completed_as_qmail_does() {
        let plain = hosts(Names::default());
        let names = Names {
            default_host: Some(b"web".to_vec()),
            default_domain: Some(b"dom.example".to_vec()),
            plus_domain: Some(b"plus.example".to_vec()),
            ..Names::default()
        };
        let named = hosts(names);
        for (given, in_plain, in_named) in [
            ("abc", "abc@pobox.example", "abc@web.dom.example"),
            ("abc@host", "abc@host.pobox.example", "abc@host.dom.example"),
            ("abc@host+", "abc@host.pobox.example", "abc@host.plus.example"),
            ("abc@a.b+", "abc@a.b.pobox.example", "abc@a.b.plus.example"),
            ("abc@x.example", "abc@x.example", "abc@x.example"),
            ("abc@[192.0.2.1]", "abc@[192.0.2.1]", "abc@[192.0.2.1]"),
            ("abc@localhost", "abc@pobox.example", "abc@web.dom.example"),
            ("\"a@b c\"", "\"a@b c\"@pobox.example", "\"a@b c\"@web.dom.example"),
            ("\"a\\\"@b\"@h", "\"a\\\"@b\"@h.pobox.example", "\"a\\\"@b\"@h.dom.example"),
            ("-t", "-t@pobox.example", "-t@web.dom.example"),
        ] {
            assert_eq!(plain.address(given.as_bytes()).unwrap().to_string(), in_plain);
            assert_eq!(named.address(given.as_bytes()).unwrap().to_string(), in_named);
        }
    }

    #[test]
    fn names_of_the_environment_count_only_if_they_are_well_formed() {
        for rubbish in [&b"\xff"[..], b"a b", b"a\nb.example", b"", b"<x>"] {
            let name = Some(rubbish.to_vec());
            let names = Names { default_host: name.clone(), default_domain: name, ..Names::default() };
            assert_eq!(hosts(names).address(b"abc@h").unwrap().to_string(), "abc@h.pobox.example");
        }
    }

    #[test]
    fn an_international_host_is_completed_in_ascii() {
        let hosts = Hosts::new(&Names::default(), &Domain::parse("例え.テスト").unwrap());
        assert_eq!(hosts.ending("abc").unwrap().text, "@xn--r8jz45g.xn--zckzah");
        assert_eq!(hosts.address(b"abc").unwrap().to_string(), "abc@例え.テスト");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let hosts = hosts(Names::default());
        for text in
            ["", "@", "a@", "@x.example", "a b", "a@b@c", "a,b", "<a>", "a@+", "a@b c", "\"a", "a@[x]"]
        {
            assert!(matches!(hosts.address(text.as_bytes()), Err(Refusal::NotAnAddress(_))), "{text}");
        }
        assert!(matches!(hosts.address(b"\x8e\x52"), Err(Refusal::NotAnAddress(_))));
        for text in ["a\nb", "a\r", "a\0", "a\x1b", "a\t", "a\u{2028}b@x.example", "a@x\u{2029}.example"] {
            assert!(matches!(hosts.address(text.as_bytes()), Err(Refusal::Injection(_))), "{text:?}");
        }
    }

    #[test]
    fn a_literal_address_has_its_host_behind_the_last_at_sign() {
        let hosts = hosts(Names::default());
        for (given, address) in [
            ("a b@x.example", "\"a b\"@x.example"),
            ("a@b@x.example", "\"a@b\"@x.example"),
            ("a,b", "\"a,b\"@pobox.example"),
            ("abc@h", "abc@h.pobox.example"),
            ("\"a b\"@x.example", "\"a b\"@x.example"),
        ] {
            assert_eq!(hosts.literal_address(given.as_bytes()).unwrap().to_string(), address);
        }
        for text in ["", "<a@x.example>", "<>", "<abc>", "a@x.example,"] {
            assert!(hosts.literal_address(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_an_address_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..80), text in "[a@+.\"\\\\\\[é ]{0,20}") {
            let hosts = hosts(Names::default());
            for octets in [&octets[..], text.as_bytes()] {
                let _ = hosts.literal_address(octets);
                if let Ok(address) = hosts.address(octets) {
                    prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
                }
            }
        }
    }
}
