//! How values of parameters are written: xtext (RFC 3461 §4), and the form for addresses that are not ASCII
//! (RFC 6533 §3).

use std::fmt::{self, Write};

/// Decodes xtext to printable ASCII, which is all that a report can have (RFC 3461 §4.2, §4.4). `None` if it
/// is neither, or empty.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let octet = match octet {
            b'+' => hex_digit(octets.next()?)? << 4 | hex_digit(octets.next()?)?,
            b'=' => return None,
            _ if octet.is_ascii_graphic() => octet,
            _ => return None,
        };
        if !(b' '..=b'~').contains(&octet) {
            return None;
        }
        plain.push(char::from(octet));
    }
    (!plain.is_empty()).then_some(plain)
}

/// RFC 3461 §4 has capitals alone.
fn hex_digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

/// Writes printable ASCII as xtext.
pub(super) fn encode(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.bytes().try_for_each(|octet| match octet {
        b'+' | b'=' => write!(f, "+{octet:02X}"),
        _ if octet.is_ascii_graphic() => f.write_char(char::from(octet)),
        _ => write!(f, "+{octet:02X}"),
    })
}

/// Decodes what stands behind `utf-8;`: characters as they are, or as `\x{…}`. `None` if it is something else,
/// has control characters, or is empty.
pub(super) fn decode_utf8(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let c = if next == '\\' {
            let (digits, after) = rest.strip_prefix("\\x{")?.split_once('}')?;
            let plausible = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            rest = after;
            char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| plausible)?)?
        } else {
            rest = &rest[next.len_utf8()..];
            // Neither can stand in a parameter.
            if next == ' ' || next == '=' {
                return None;
            }
            next
        };
        if c.is_control() {
            return None;
        }
        plain.push(c);
    }
    (!plain.is_empty()).then_some(plain)
}

/// Written in ASCII, with `\x{…}` for the rest.
pub(super) struct Utf8<'a>(pub &'a str);

impl fmt::Display for Utf8<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' | '+' | '=' => write!(f, "\\x{{{:X}}}", u32::from(c)),
            '!'..='~' => f.write_char(c),
            _ => write!(f, "\\x{{{:X}}}", u32::from(c)),
        })
    }
}
