//! The number under which an address, a domain or an account is found.
//!
//! Half of an address's number is its domain's, so the addresses of a domain stand side by side, and
//! one mention serves for both questions. Numbers are hashes: two parties may share one, and whoever
//! finds a message looks whether it is the one that was meant.

use std::ops::RangeInclusive;

use envelope::event::{Delivery, Event, Party, What};
use envelope::{AccountName, Address, Host};
use sha2::{Digest, Sha256};

/// Calls `mention` with the number of each party that a question may be about. The other events of a
/// message name nobody that its acceptance does not name too.
pub(super) fn in_event(event: &Event, mention: &mut impl FnMut(i64)) {
    match &event.what {
        What::Accepted(_) | What::Refused(_) => {
            event.what.addresses().for_each(|address| mention(of_address(address)));
        }
        What::Delivered { to: Delivery::Mailbox(_), .. } => {}
        _ => return,
    }
    if let Some(account) = event.what.account() {
        mention(of_account(account));
    }
}

/// The numbers that a party may have.
pub(super) fn numbers(party: &Party) -> RangeInclusive<i64> {
    match party {
        Party::Address(address) => {
            let number = of_address(address);
            number..=number
        }
        Party::Domain(domain) => {
            let first = i64::from(half(domain.as_str().as_bytes())) << 32;
            first..=first | i64::from(u32::MAX)
        }
        Party::Account(account) => {
            let number = of_account(account);
            number..=number
        }
    }
}

fn of_address(address: &Address) -> i64 {
    let host = match &address.host {
        Host::Domain(domain) => half(domain.as_str().as_bytes()),
        literal @ Host::Literal(_) => half(literal.to_string().as_bytes()),
    };
    let local_part = half(address.local_part.folded().as_bytes());
    i64::from(host) << 32 | i64::from(local_part.cast_unsigned())
}

fn of_account(account: &AccountName) -> i64 {
    // No domain has a space.
    let name = format!("account {account}");
    i64::from(half(name.as_bytes())) << 32
}

fn half(octets: &[u8]) -> i32 {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(octets));
    i32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_a_domain_are_within_its_numbers() {
        for text in ["a@pobox.example", "B@pobox.example", "list-1@pobox.example"] {
            let address: Address = text.parse().unwrap();
            let number = of_address(&address);
            assert!(numbers(&"pobox.example".parse().unwrap()).contains(&number));
            assert!(!numbers(&"peer.example".parse().unwrap()).contains(&number));
            assert!(numbers(&text.to_lowercase().parse().unwrap()).contains(&number));
            assert!(!numbers(&"other@pobox.example".parse().unwrap()).contains(&number));
        }
    }
}
