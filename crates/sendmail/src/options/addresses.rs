//! What of an argument is an address. Whether it is one that may be written to is judged where the
//! message is composed.

use message::address_list;

use crate::recipients::has_comma;
use crate::refusal::Refusal;
use crate::visible::visible;

/// The most octets that the recipients of one call may have together: a job must go into a file of the
/// drop directory, and into one frame.
pub const ARGUMENTS_OCTETS_MAX: usize = 768 << 10;
/// The most octets of a sender; no address has as many.
const SENDER_MAX: usize = 1000;

/// The recipients that these arguments name: lists of addresses, with or without names.
///
/// # Errors
/// For a control character, for what cannot be told apart, and for too many.
pub(super) fn in_lists(arguments: &[&[u8]]) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut recipients = Recipients::default();
    for &argument in arguments {
        list(argument, &mut recipients)?;
    }
    Ok(recipients.addresses)
}

/// The recipients that these arguments name, each an address and nothing else.
///
/// # Errors
/// As [`in_lists`], and for lists and for addresses in brackets.
pub(super) fn one_each<'a>(
    arguments: impl IntoIterator<Item = &'a Vec<u8>>,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut recipients = Recipients::default();
    for argument in arguments {
        recipients.push(one(argument)?)?;
    }
    Ok(recipients.addresses)
}

/// The sender that `-f` names, which may have a name with it; nothing and `<>` are the null reverse-path.
///
/// # Errors
/// If it is not one address, or has a control character.
pub(super) fn sender(value: &[u8]) -> Result<Vec<u8>, Refusal> {
    if matches!(value.trim_ascii(), b"" | b"<>") && !has_line_end(value) {
        return Ok(Vec::new());
    }
    if value.len() > SENDER_MAX {
        return Err(not_an_address(value));
    }
    let mut addresses = Recipients::default();
    list(value, &mut addresses)?;
    <[Vec<u8>; 1]>::try_from(addresses.addresses).map(|[address]| address).map_err(|_| not_an_address(value))
}

/// The sender that `-f` names, as it is; nothing is the null reverse-path.
///
/// # Errors
/// As [`sender`], and for an address in brackets.
pub(super) fn bare_sender(value: &[u8]) -> Result<Vec<u8>, Refusal> {
    match value {
        b"" => Ok(Vec::new()),
        _ if value.len() > SENDER_MAX => Err(not_an_address(value)),
        _ => one(value),
    }
}

/// The full name that `-F` names: none, if it is empty. It may have the escapes of ISO-2022-JP.
///
/// # Errors
/// For other control characters.
pub(super) fn full_name(value: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    if has_line_end(value) {
        return Err(Refusal::Injection(format!("-F {}", visible(value))));
    }
    let name = value.trim_ascii();
    Ok((!name.is_empty()).then(|| name.to_vec()))
}

const ESC: u8 = 0x1b;
/// What some programs take for the end of a line.
const SEPARATORS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// Whether text has a line end or a control character, other than the escapes of ISO-2022-JP (RFC 1468).
fn has_line_end(text: &[u8]) -> bool {
    let mut escapes = text.split(|&octet| octet == ESC).skip(1);
    // Other encodings have the octets of these separators as parts of characters.
    std::str::from_utf8(text).is_ok_and(|text| text.contains(SEPARATORS))
        || escapes.any(|behind| !matches!(behind, [b'$' | b'(', ..]))
        || text.iter().any(|&octet| octet.is_ascii_control() && octet != ESC)
}

/// The addresses in a list. Its names may be in any encoding; they are left out.
fn list(text: &[u8], recipients: &mut Recipients) -> Result<(), Refusal> {
    if has_line_end(text) {
        return Err(Refusal::Injection(visible(text)));
    }
    for listed in address_list(text, ARGUMENTS_OCTETS_MAX / OVERHEAD) {
        let address = listed.map_err(|_| not_an_address(text))?.address;
        if address.is_empty() {
            return Err(not_an_address(text));
        }
        recipients.push(bare(address.into_owned(), text)?)?;
    }
    Ok(())
}

/// An address as it stands.
fn one(argument: &[u8]) -> Result<Vec<u8>, Refusal> {
    let argument = bare(argument.to_vec(), argument)?;
    if has_comma(&argument) {
        return Err(Refusal::CommaList(visible(&argument)));
    }
    let mut list = address_list(&argument, 1);
    let alone =
        matches!(list.next(), Some(Ok(listed)) if *listed.address == *argument) && list.next().is_none();
    drop(list);
    if alone { Ok(argument) } else { Err(not_an_address(&argument)) }
}

/// An address has no control characters, whatever the encoding of what stands about it.
fn bare(address: Vec<u8>, argument: &[u8]) -> Result<Vec<u8>, Refusal> {
    let separator = || {
        address.windows(2).any(|octets| octets == b"\xc2\x85")
            || address.windows(3).any(|octets| matches!(octets, b"\xe2\x80\xa8" | b"\xe2\x80\xa9"))
    };
    match address.iter().any(u8::is_ascii_control) || separator() {
        true => Err(Refusal::Injection(visible(argument))),
        false => Ok(address),
    }
}

fn not_an_address(argument: &[u8]) -> Refusal {
    Refusal::NotAnAddress(visible(argument))
}

/// The most octets that say how long an address is, on its way.
const OVERHEAD: usize = 5;

#[derive(Default)]
struct Recipients {
    addresses: Vec<Vec<u8>>,
    octets: usize,
}

impl Recipients {
    fn push(&mut self, address: Vec<u8>) -> Result<(), Refusal> {
        self.octets += address.len() + OVERHEAD;
        if self.octets > ARGUMENTS_OCTETS_MAX {
            return Err(Refusal::TooManyRecipients(self.addresses.len()));
        }
        self.addresses.push(address);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Option<Vec<String>> {
        let list = in_lists(&[text.as_bytes()]).ok()?;
        Some(list.into_iter().map(|address| String::from_utf8(address).unwrap()).collect())
    }

    #[test]
    fn a_list_is_parted_into_bare_addresses() {
        for (text, addresses) in [
            ("a@x.example", vec!["a@x.example"]),
            ("a", vec!["a"]),
            ("a@x.example,b@y.example", vec!["a@x.example", "b@y.example"]),
            (" a@x.example , b@y.example, ", vec!["a@x.example", "b@y.example"]),
            ("a@x.example b@y.example", vec!["a@x.example", "b@y.example"]),
            ("<a@x.example>", vec!["a@x.example"]),
            ("A B <a@x.example>", vec!["a@x.example"]),
            ("\"B, A\" <a@x.example>, b", vec!["a@x.example", "b"]),
            ("\"a,b\"@x.example", vec!["\"a,b\"@x.example"]),
            ("a@x.example (A, or (B)), b", vec!["a@x.example", "b"]),
            ("friends: a@x.example, B <b>;, c", vec!["a@x.example", "b", "c"]),
            ("mailto:a@x.example", vec!["a@x.example"]),
            ("undisclosed-recipients:;", vec![]),
            ("<@relay.example,@other.example:a@x.example>", vec!["a@x.example"]),
            ("a@[IPv6:2001:db8::1]", vec!["a@[IPv6:2001:db8::1]"]),
            ("Taro a@x.example", vec!["Taro", "a@x.example"]),
            ("<a@x.example> <b@x.example>", vec!["a@x.example", "b@x.example"]),
            ("山田 <a@x.example>", vec!["a@x.example"]),
            ("", vec![]),
            (",", vec![]),
        ] {
            assert_eq!(listed(text), Some(addresses.into_iter().map(String::from).collect()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        for text in [
            "\"a@x.example",
            "a@x.example (A",
            "<a@x.example",
            "a@x.example>",
            "<>",
            "a@x.example: b",
            "a\nb@x.example",
            "a\u{2028}@x.example",
            "a\u{85}@x.example",
            "a\x7f",
        ] {
            assert_eq!(listed(text), None, "{text}");
        }
    }

    #[test]
    fn the_second_octet_of_a_shift_jis_character_means_nothing() {
        // 表 ends in a backslash, ァ in an @.
        assert_eq!(in_lists(&[b"\x95\x5c <a@x.example>"]).unwrap(), [b"a@x.example"]);
        assert_eq!(in_lists(&[b"\x83\x40: a@x.example;"]).unwrap(), [b"a@x.example"]);
        assert_eq!(in_lists(&[b"\x1b$B;3ED\x1b(B <a@x.example>"]).unwrap(), [b"a@x.example"]);
    }

    #[test]
    fn one_address_is_no_list_and_has_no_brackets() {
        let one = |text: &str| one_each([&text.as_bytes().to_vec()]);
        assert_eq!(one("a@x.example").unwrap(), [b"a@x.example"]);
        assert_eq!(one("\"a,b\"@x.example").unwrap(), [b"\"a,b\"@x.example"]);
        for text in ["a@x.example,b@y.example", "a@x.example,", ","] {
            assert_eq!(one(text).unwrap_err(), Refusal::CommaList(text.into()));
        }
        for text in ["", "<a@x.example>", "A <a@x.example>", "a b", "a@x.example ", "\"a"] {
            assert_eq!(one(text).unwrap_err(), Refusal::NotAnAddress(text.into()));
        }
    }

    #[test]
    fn recipients_that_no_frame_can_hold_are_too_many() {
        for (number, part) in [(100_000, ","), (100_000, " "), (100_000, "[")] {
            let list = format!("a@x.example{part}").repeat(number);
            assert!(matches!(in_lists(&[list.as_bytes()]), Err(Refusal::TooManyRecipients(_))), "{part}");
        }
        let many = "a@x.example,".repeat(40_000);
        assert_eq!(in_lists(&[many.as_bytes()]).unwrap().len(), 40_000);
    }

    #[test]
    fn a_full_name_may_have_the_escapes_of_iso_2022_jp_and_no_others() {
        assert_eq!(full_name(b"\x1b$B;3ED\x1b(B").unwrap().unwrap(), b"\x1b$B;3ED\x1b(B");
        assert_eq!(full_name(b"  ").unwrap(), None);
        for name in ["a\nBcc: b", "a\0", "a\u{2028}b", "\x07", "\x1b[2J", "\x1b"] {
            assert!(matches!(full_name(name.as_bytes()), Err(Refusal::Injection(_))), "{name:?}");
        }
    }
}
