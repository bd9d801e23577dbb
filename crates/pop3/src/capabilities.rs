//! What CAPA lists (RFC 2449 §5).

use crate::settings::{Channel, Settings};

/// The capabilities, in both states alike. Ways to log in are listed only where a password may be
/// sent, and STLS only where TLS is to be had and not active yet.
pub(crate) fn capabilities(settings: &Settings, channel: Channel) -> impl Iterator<Item = &'static str> {
    let login: &[&str] = if channel.takes_passwords() { &["USER", "SASL PLAIN"] } else { &[] };
    let stls: &[&str] = if offers_stls(settings, channel) { &["STLS"] } else { &[] };
    ALWAYS.iter().chain(login).chain(stls).copied()
}

/// Whether STLS would be obeyed.
pub(crate) fn offers_stls(settings: &Settings, channel: Channel) -> bool {
    settings.offers_stls && channel != Channel::Tls
}

const ALWAYS: &[&str] = &[
    "TOP",
    "UIDL",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "PIPELINING",
    // UTF-8 is also taken in USER and PASS (RFC 6856 §2.2).
    "UTF8 USER",
    "LANG",
    "EXPIRE NEVER",
    "IMPLEMENTATION Hikyaku",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(offers_stls: bool, channel: Channel) -> Vec<&'static str> {
        let settings = Settings { offers_stls, ..Settings::new("mail.example") };
        capabilities(&settings, channel).skip(ALWAYS.len()).collect()
    }

    #[test]
    fn no_login_is_offered_where_a_password_would_be_overheard() {
        assert_eq!(differing(true, Channel::Cleartext), ["STLS"]);
        assert_eq!(differing(true, Channel::Trusted), ["USER", "SASL PLAIN", "STLS"]);
        assert_eq!(differing(true, Channel::Tls), ["USER", "SASL PLAIN"]);
        assert_eq!(differing(false, Channel::Trusted), ["USER", "SASL PLAIN"]);
        assert!(differing(false, Channel::Cleartext).is_empty());
    }
}
