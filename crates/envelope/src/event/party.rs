//! Whose mail is asked for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::What;
use crate::account::AccountName;
use crate::address::{Address, Domain};

/// Whose mail is asked for: what came from there or was to go there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// An address, whatever its case.
    Address(Address),
    /// All addresses of a domain.
    Domain(Domain),
    /// What an account sent, and what its mailbox got.
    Account(AccountName),
}

/// The text names nobody whose mail could be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("write an address (abc@pobox.example), a domain (pobox.example) or the name of an account (abc)")]
pub struct NotAParty;

impl Party {
    /// Whether an event names this party.
    pub fn is_in(&self, what: &What) -> bool {
        match self {
            Party::Address(asked) => {
                let folded = asked.local_part.folded();
                what.addresses()
                    .any(|address| address.host == asked.host && address.local_part.folded() == folded)
            }
            Party::Domain(asked) => what.addresses().any(|address| address.host.domain() == Some(asked)),
            Party::Account(asked) => what.account() == Some(asked),
        }
    }
}

impl FromStr for Party {
    type Err = NotAParty;
    /// With an `@` an address, else with a dot a domain, else an account.
    fn from_str(text: &str) -> Result<Party, NotAParty> {
        if text.contains('@') {
            return text.parse().map(Party::Address).map_err(|_| NotAParty);
        }
        if text.contains('.') {
            return text.parse().map(Party::Domain).map_err(|_| NotAParty);
        }
        text.parse().map(Party::Account).map_err(|_| NotAParty)
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Address(address) => address.fmt(f),
            Party::Domain(domain) => domain.fmt(f),
            Party::Account(account) => account.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::QueueId;

    #[test]
    fn a_party_is_found_whatever_the_case_of_its_local_part() {
        let what = What::Forwarded {
            recipient: "ABC@pobox.example".parse().unwrap(),
            id: QueueId::from_u64(1),
            to: vec!["u@peer.example".parse().unwrap()],
        };
        for (text, found) in [
            ("abc@Pobox.example", true),
            ("u@peer.example", true),
            ("peer.example", true),
            ("abc@peer.example", false),
            ("example.peer", false),
            ("abc", false),
        ] {
            assert_eq!(text.parse::<Party>().unwrap().is_in(&what), found, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_party_that_reads_back_or_an_error(text in "\\PC{0,40}|[a-z@.-]{0,20}") {
            if let Ok(party) = text.parse::<Party>() {
                let reread: Result<Party, NotAParty> = party.to_string().parse();
                // A domain may come out without its final dot.
                prop_assert!(reread == Ok(party) || text.ends_with('.'));
            }
        }
    }
}
