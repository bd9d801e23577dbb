//! What the server's certificate says.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::house::Certificate;

/// So long before its end a certificate should have been renewed, in seconds.
const RENEWED_BY: u64 = 14 * 86_400;

/// What a certificate says (RFC 5280).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The names that it is good for.
    pub(crate) names: Vec<String>,
    /// Who vouches for it.
    pub(crate) issuer: String,
    /// Whether that is itself.
    pub(crate) self_signed: bool,
    /// From when on it is good, in seconds since 1970.
    pub(crate) from: u64,
    /// Until when, in seconds since 1970.
    pub(crate) until: u64,
}

impl Facts {
    /// What the server's own certificate of a chain says; none if it cannot be read.
    pub(crate) fn of(certificate: &Certificate) -> Option<Facts> {
        let (_, own) = X509Certificate::from_der(certificate.chain.first()?).ok()?;
        let alternative = own.subject_alternative_name().ok().flatten();
        let names = alternative.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        let issuer = own.issuer();
        let common_name = issuer.iter_common_name().next().and_then(|name| name.as_str().ok());
        let organization = issuer.iter_organization().next().and_then(|name| name.as_str().ok());
        let named: Vec<&str> = [organization, common_name].into_iter().flatten().collect();
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        Some(Facts {
            names: names.collect(),
            issuer: if named.is_empty() { issuer.to_string() } else { named.join(", ") },
            self_signed: issuer == own.subject(),
            from: seconds(own.validity().not_before.timestamp()),
            until: seconds(own.validity().not_after.timestamp()),
        })
    }

    /// Whether it is good for a host: by its name, or by `*` in the place of its first label (RFC 6125 §6.4.3).
    pub(crate) fn is_for(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| {
            name.eq_ignore_ascii_case(host)
                || name
                    .strip_prefix("*.")
                    .zip(parent)
                    .is_some_and(|(name, parent)| name.eq_ignore_ascii_case(parent))
        })
    }

    /// How it stands at this time, for this host.
    pub(crate) fn state(&self, now: u64, host: &str) -> State {
        match () {
            () if self.until <= now => State::Ended,
            () if self.from > now => State::NotYet,
            () if !self.is_for(host) => State::OtherName,
            () if self.self_signed => State::SelfSigned,
            () if self.until - now < RENEWED_BY => State::NearItsEnd,
            () => State::Good,
        }
    }
}

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Good,
    NearItsEnd,
    Ended,
    NotYet,
    OtherName,
    SelfSigned,
}

impl State {
    /// Its name in texts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Good => "good",
            State::NearItsEnd => "near-its-end",
            State::Ended => "ended",
            State::NotYet => "not-yet",
            State::OtherName => "other-name",
            State::SelfSigned => "self-signed",
        }
    }

    /// The colour of its badge.
    pub(crate) fn colour(self) -> &'static str {
        match self {
            State::Good => "good",
            State::NearItsEnd | State::SelfSigned => "wait",
            State::Ended | State::NotYet | State::OtherName => "bad",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use time::OffsetDateTime;

    use super::*;

    /// A certificate for these names, good from `from` until `until`, in seconds since 1970.
    pub(crate) fn certificate(names: &[&str], from: i64, until: i64) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = OffsetDateTime::from_unix_timestamp(from).unwrap();
        params.not_after = OffsetDateTime::from_unix_timestamp(until).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Our own <CA>");
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate { chain: vec![own.der().to_vec()] }
    }

    #[test]
    fn a_certificate_tells_its_names_and_its_end() {
        let facts =
            Facts::of(&certificate(&["mail.pobox.example", "*.pobox.example"], 1_000, 9_000)).unwrap();
        assert_eq!(facts.names, ["mail.pobox.example", "*.pobox.example"]);
        assert_eq!((facts.issuer.as_str(), facts.self_signed), ("Our own <CA>", true));
        assert_eq!((facts.from, facts.until), (1_000, 9_000));
        for (host, good) in [
            ("MAIL.pobox.example", true),
            ("pop.pobox.example", true),
            ("a.b.pobox.example", false),
            ("pobox.example", false),
            ("mail.other.example", false),
        ] {
            assert_eq!(facts.is_for(host), good, "{host}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_before_its_end() {
        let facts = Facts {
            names: vec!["mail.pobox.example".into()],
            issuer: "CA".into(),
            self_signed: false,
            from: 1_000,
            until: 100 * 86_400,
        };
        let state = |day: u64| facts.state(day * 86_400, "mail.pobox.example");
        assert_eq!([0, 1, 87, 100].map(state), [State::NotYet, State::Good, State::NearItsEnd, State::Ended]);
        assert_eq!(facts.state(86_400, "pop.pobox.example"), State::OtherName);
    }

    proptest! {
        #[test]
        fn any_octets_are_a_certificate_or_none(octets: Vec<u8>, at in 0_usize..400, other: u8) {
            prop_assert_eq!(Facts::of(&Certificate { chain: vec![octets] }), None);
            let mut damaged = certificate(&["a.example"], 1, 2).chain;
            if let Some(octet) = damaged[0].get_mut(at) {
                *octet = other;
            }
            let _ = Facts::of(&Certificate { chain: damaged });
        }
    }
}
