//! The two fields that a delivery puts on top, and the one that it looks for.

use envelope::{Address, ReversePath};
use memchr::memmem;

/// How much of a message is searched for a Delivered-To of our own: more than a header may have.
const HEADER_MAX: usize = 512 << 10;

/// `Return-Path` and `Delivered-To`, with LF line ends, as they stand in a file.
///
/// Addresses have no control characters, so nothing can be injected here.
pub fn on_top(reverse_path: &ReversePath, delivered_to: &Address) -> String {
    format!("Return-Path: {reverse_path}\nDelivered-To: {delivered_to}\n")
}

/// Whether the header says already that the message was delivered to this address: then it loops.
/// Compared without regard to case, as some host on the way may have changed it.
pub fn was_delivered_to(message: &[u8], address: &Address) -> bool {
    let message = &message[..message.len().min(HEADER_MAX)];
    let end = memmem::find(message, b"\r\n\r\n").unwrap_or(message.len());
    let own = address.to_string();
    message[..end].split(|octet| *octet == b'\n').any(|line| {
        let Some((name, value)) = line.split_at_checked("Delivered-To:".len()) else { return false };
        name.eq_ignore_ascii_case(b"Delivered-To:")
            && value.trim_ascii().to_ascii_lowercase() == own.to_lowercase().as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn the_fields_are_written_as_the_envelope_has_them() {
        let from = ReversePath::Address(address("\"s p\"@x.example"));
        assert_eq!(
            on_top(&from, &address("abc@pobox.example")),
            "Return-Path: <\"s p\"@x.example>\nDelivered-To: abc@pobox.example\n"
        );
        assert!(on_top(&ReversePath::Null, &address("a@b.example")).starts_with("Return-Path: <>\n"));
    }

    #[test]
    fn a_loop_is_seen_in_the_header_whatever_the_case_and_not_in_the_body() {
        let own = address("abc@pobox.example");
        for (message, loops) in [
            ("Subject: x\r\nDelivered-To: abc@pobox.example\r\n\r\nhi\r\n", true),
            ("DELIVERED-TO:ABC@Pobox.example \r\n\r\nhi\r\n", true),
            ("Delivered-To: abcd@pobox.example\r\n\r\nhi\r\n", false),
            ("Subject: x\r\n\r\nDelivered-To: abc@pobox.example\r\n", false),
            ("", false),
        ] {
            assert_eq!(was_delivered_to(message.as_bytes(), &own), loops, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_searched_without_a_panic(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            was_delivered_to(&message, &address("a@b.example"));
        }
    }
}
