//! Which servers a mail program speaks to, how, and by which name.

use envelope::{AccountName, Address, Domain};

use crate::house::Site;

/// How a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// TLS from the first octet (RFC 8314 §3).
    Tls,
    /// TLS after STARTTLS or STLS.
    Upgraded,
}

/// A port of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) security: Security,
}

/// The ports that members use, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Servers {
    /// This host's name.
    pub(crate) host: String,
    /// Where mail is fetched (POP3).
    pub(crate) incoming: Vec<Server>,
    /// Where mail is sent, by a password.
    pub(crate) outgoing: Vec<Server>,
}

impl Servers {
    /// Those of this site.
    pub(crate) fn of(site: &Site) -> Servers {
        let both = |tls: Option<u16>, upgraded: Option<u16>| {
            let tls = tls.map(|port| Server { port, security: Security::Tls });
            let upgraded = upgraded.map(|port| Server { port, security: Security::Upgraded });
            tls.into_iter().chain(upgraded).collect()
        };
        Servers {
            host: site.hostname.to_ascii(),
            incoming: both(site.pop3s, site.pop3),
            outgoing: both(site.submissions, site.submission),
        }
    }
}

/// The account that an address would be of, by how it is written: `abc@pobox.example`, `abc+foo@pobox.example`
/// and `foo@abc.pobox.example` are `abc`'s. Whether there is such an account is not asked.
pub(crate) fn account_of(address: &str, domain: &Domain) -> Option<AccountName> {
    let address: Address = address.trim().parse().ok()?;
    let host = address.host.domain()?;
    if host == domain {
        return address.local_part.as_str().split('+').next()?.parse().ok();
    }
    let (label, parent) = host.split_first_label()?;
    (parent == *domain).then(|| label.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_account_is_read_from_how_an_address_is_written() {
        let domain: Domain = "pobox.example".parse().unwrap();
        for (address, account) in [
            ("abc@pobox.example", Some("abc")),
            (" ABC@Pobox.Example ", Some("abc")),
            ("abc+foo@pobox.example", Some("abc")),
            ("foo@abc.pobox.example", Some("abc")),
            ("foo@x.abc.pobox.example", None),
            ("foo@example.net", None),
            ("%EMAILADDRESS%", None),
            ("", None),
        ] {
            let found = account_of(address, &domain);
            assert_eq!(found.as_ref().map(AccountName::as_str), account, "{address}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_of_an_account_or_not(text in "\\PC{0,40}(@([a-z]{0,4}\\.)?pobox\\.example)?") {
            account_of(&text, &"pobox.example".parse().unwrap());
        }
    }
}
