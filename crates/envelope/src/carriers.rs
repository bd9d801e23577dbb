//! Whose mailboxes an outside domain has: the Japanese mobile carriers, and the large mailbox providers.
//!
//! Many phones refuse by default what no other phone sent, forwarded mail above all. Who forwards to one must
//! allow it there, and how is told by family. The domains are those that the carriers publish for their filters;
//! former names of a carrier are still in use.

use crate::address::{Address, Domain};

/// A family of domains whose owners set up their filters in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Carrier {
    /// KDDI: au and UQ mobile.
    Au,
    /// NTT docomo.
    Docomo,
    /// SoftBank and Y!mobile.
    SoftBank,
    /// Rakuten Mobile.
    Rakuten,
    /// Google.
    Gmail,
    /// Yahoo! JAPAN.
    YahooJapan,
    /// Apple.
    ICloud,
    /// Microsoft.
    Outlook,
}

/// Domains and the families that they are of; so are all domains below them.
const DOMAINS: &[(&str, Carrier)] = &[
    ("au.com", Carrier::Au),
    ("ezweb.ne.jp", Carrier::Au),
    ("uqmobile.jp", Carrier::Au),
    ("docomo.ne.jp", Carrier::Docomo),
    ("mopera.net", Carrier::Docomo),
    ("softbank.ne.jp", Carrier::SoftBank),
    ("softbank.jp", Carrier::SoftBank),
    ("vodafone.ne.jp", Carrier::SoftBank),
    ("jp-c.ne.jp", Carrier::SoftBank),
    ("jp-d.ne.jp", Carrier::SoftBank),
    ("jp-h.ne.jp", Carrier::SoftBank),
    ("jp-k.ne.jp", Carrier::SoftBank),
    ("jp-n.ne.jp", Carrier::SoftBank),
    ("jp-q.ne.jp", Carrier::SoftBank),
    ("jp-r.ne.jp", Carrier::SoftBank),
    ("jp-s.ne.jp", Carrier::SoftBank),
    ("jp-t.ne.jp", Carrier::SoftBank),
    ("disney.ne.jp", Carrier::SoftBank),
    ("ymobile.ne.jp", Carrier::SoftBank),
    ("ymobile1.ne.jp", Carrier::SoftBank),
    ("y-mobile.ne.jp", Carrier::SoftBank),
    // Y!mobile's own mail, unlike yahoo.co.jp.
    ("yahoo.ne.jp", Carrier::SoftBank),
    ("emobile.ne.jp", Carrier::SoftBank),
    ("emobile-s.ne.jp", Carrier::SoftBank),
    ("willcom.com", Carrier::SoftBank),
    ("wcm.ne.jp", Carrier::SoftBank),
    ("pdx.ne.jp", Carrier::SoftBank),
    ("rakumail.jp", Carrier::Rakuten),
    ("gmail.com", Carrier::Gmail),
    ("googlemail.com", Carrier::Gmail),
    ("yahoo.co.jp", Carrier::YahooJapan),
    ("ybb.ne.jp", Carrier::YahooJapan),
    ("icloud.com", Carrier::ICloud),
    ("me.com", Carrier::ICloud),
    ("mac.com", Carrier::ICloud),
    ("outlook.com", Carrier::Outlook),
    ("outlook.jp", Carrier::Outlook),
    ("hotmail.com", Carrier::Outlook),
    ("hotmail.co.jp", Carrier::Outlook),
    ("live.com", Carrier::Outlook),
    ("live.jp", Carrier::Outlook),
    ("msn.com", Carrier::Outlook),
];

impl Carrier {
    /// All of them.
    pub const ALL: [Carrier; 8] = [
        Carrier::Au,
        Carrier::Docomo,
        Carrier::SoftBank,
        Carrier::Rakuten,
        Carrier::Gmail,
        Carrier::YahooJapan,
        Carrier::ICloud,
        Carrier::Outlook,
    ];

    /// The family that a domain is of; none of most.
    pub fn of(domain: &Domain) -> Option<Carrier> {
        let name = domain.as_str();
        let is_of =
            |of: &str| name.strip_suffix(of).is_some_and(|before| before.is_empty() || before.ends_with('.'));
        DOMAINS.iter().find(|(of, _)| is_of(of)).map(|(_, carrier)| *carrier)
    }

    /// The family that an address is of.
    pub fn of_address(address: &Address) -> Option<Carrier> {
        address.host.domain().and_then(Carrier::of)
    }

    /// Whether mail to it is mail to a phone.
    pub fn is_mobile(self) -> bool {
        matches!(self, Carrier::Au | Carrier::Docomo | Carrier::SoftBank | Carrier::Rakuten)
    }

    /// Its name in texts and data.
    pub fn as_str(self) -> &'static str {
        match self {
            Carrier::Au => "au",
            Carrier::Docomo => "docomo",
            Carrier::SoftBank => "softbank",
            Carrier::Rakuten => "rakuten",
            Carrier::Gmail => "gmail",
            Carrier::YahooJapan => "yahoo-japan",
            Carrier::ICloud => "icloud",
            Carrier::Outlook => "outlook",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(domain: &str) -> Option<Carrier> {
        Carrier::of(&domain.parse().unwrap())
    }

    #[test]
    fn a_domain_and_all_below_it_are_of_a_family() {
        for (domain, carrier) in [
            ("ezweb.ne.jp", Some(Carrier::Au)),
            ("AU.com", Some(Carrier::Au)),
            ("docomo.ne.jp", Some(Carrier::Docomo)),
            ("i.softbank.jp", Some(Carrier::SoftBank)),
            ("t.vodafone.ne.jp", Some(Carrier::SoftBank)),
            ("yahoo.ne.jp", Some(Carrier::SoftBank)),
            ("yahoo.co.jp", Some(Carrier::YahooJapan)),
            ("rakumail.jp", Some(Carrier::Rakuten)),
            ("gmail.com", Some(Carrier::Gmail)),
            ("notgmail.com", None),
            ("gmail.com.example", None),
            ("pobox.example", None),
            ("ne.jp", None),
        ] {
            assert_eq!(of(domain), carrier, "{domain}");
        }
        let literal = "a@[192.0.2.1]".parse().unwrap();
        assert_eq!(Carrier::of_address(&literal), None);
    }

    #[test]
    fn every_family_has_a_domain_and_every_domain_is_one() {
        for (name, carrier) in DOMAINS {
            assert_eq!(of(name), Some(*carrier), "{name}");
            assert_eq!(name.parse::<Domain>().unwrap().as_str(), *name);
        }
        for carrier in Carrier::ALL {
            assert!(DOMAINS.iter().any(|(_, of)| *of == carrier), "{carrier:?}");
        }
    }
}
