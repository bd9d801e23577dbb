//! An address, or all of a domain.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::address::{Address, Domain};
use crate::path::ReversePath;

/// Addresses that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressPattern {
    /// The null reverse-path, which bounces have.
    Null,
    /// One address, whatever its case.
    Address(Address),
    /// All addresses of a domain.
    Domain(Domain),
}

/// The text is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("write an address (abc@pobox.example), a domain (pobox.example), or <> for the null reverse-path")]
pub struct NotAPattern;

impl AddressPattern {
    /// Whether this address is meant.
    pub fn is_address(&self, address: &Address) -> bool {
        match self {
            AddressPattern::Null => false,
            AddressPattern::Address(asked) => {
                address.host == asked.host && address.local_part.folded() == asked.local_part.folded()
            }
            AddressPattern::Domain(asked) => address.host.domain() == Some(asked),
        }
    }

    /// Whether this reverse-path is meant.
    pub fn is_reverse_path(&self, path: &ReversePath) -> bool {
        match path {
            ReversePath::Null => *self == AddressPattern::Null,
            ReversePath::Address(address) => self.is_address(address),
        }
    }
}

impl FromStr for AddressPattern {
    type Err = NotAPattern;
    fn from_str(text: &str) -> Result<AddressPattern, NotAPattern> {
        if text == "<>" {
            return Ok(AddressPattern::Null);
        }
        // As logs have it: <abc@pobox.example>.
        let bare = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
        if bare.contains('@') {
            return bare.parse().map(AddressPattern::Address).map_err(|_| NotAPattern);
        }
        bare.parse().map(AddressPattern::Domain).map_err(|_| NotAPattern)
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressPattern::Null => f.write_str("<>"),
            AddressPattern::Address(address) => address.fmt(f),
            AddressPattern::Domain(domain) => domain.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> AddressPattern {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_meant_in_any_case_and_a_domain_without_those_below_it() {
        let abc: Address = "abc@pobox.example".parse().unwrap();
        for text in ["ABC@Pobox.example", "<abc@pobox.example>", "pobox.EXAMPLE"] {
            assert!(pattern(text).is_address(&abc), "{text}");
        }
        for text in ["ab@pobox.example", "abc@abc.pobox.example", "abc.pobox.example", "example", "<>"] {
            assert!(!pattern(text).is_address(&abc), "{text}");
        }
        assert!(pattern("<>").is_reverse_path(&ReversePath::Null));
        assert!(!pattern("pobox.example").is_reverse_path(&ReversePath::Null));
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_that_reads_back_or_an_error(text in "\\PC{0,30}") {
            if let Ok(pattern) = text.parse::<AddressPattern>() {
                prop_assert_eq!(pattern.to_string().parse::<AddressPattern>(), Ok(pattern));
            }
        }
    }
}
