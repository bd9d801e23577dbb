//! What strangers wrote, made fit to stand in a header field of ours.

use envelope::{Address, Host};

/// The client's name for itself: at most 255 octets, and every octet but those that qmail keeps
/// (letters, digits, `. @ % + / = : -`, and of notqmail `[ ]`) written `?`, so that nothing can end
/// the line or a comment. `_` is kept as well: many host names in use have it.
pub(crate) fn host_name(text: &str) -> String {
    let kept = |octet: u8| octet.is_ascii_alphanumeric() || b".@%+/=:-[]_".contains(&octet);
    text.bytes().take(255).map(|octet| if kept(octet) { char::from(octet) } else { '?' }).collect()
}

/// One line of printable ASCII of at most `octets_max` octets; what is none becomes `?`, and line
/// ends become spaces.
pub(crate) fn ascii_line(text: &str, octets_max: usize) -> String {
    let plain = |c: char| match c {
        '\r' | '\n' | '\t' => ' ',
        ' '..='~' => c,
        _ => '?',
    };
    text.chars().map(plain).take(octets_max).collect::<String>().trim().to_owned()
}

/// Lines of text for a reader, at most `chars_max` characters, without control characters.
pub(crate) fn paragraph(text: &str, chars_max: usize) -> String {
    let plain = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().map(plain).take(chars_max).collect::<String>().trim().to_owned()
}

/// An address whose host is written in A-labels, so that it is ASCII if its local-part is.
pub fn with_ascii_host(address: &Address) -> String {
    match &address.host {
        Host::Domain(domain) => format!("{}@{}", address.local_part, domain.to_ascii()),
        Host::Literal(_) => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hostile_name_loses_its_teeth() {
        assert_eq!(host_name("mx.example"), "mx.example");
        assert_eq!(host_name("[IPv6:2001:db8::1]"), "[IPv6:2001:db8::1]");
        assert_eq!(host_name("a) b\r\nX: y;(é"), "a??b??X:?y????");
    }

    proptest! {
        #[test]
        fn no_text_can_leave_its_line(text in any::<String>()) {
            for line in [host_name(&text), ascii_line(&text, 900)] {
                prop_assert!(line.len() <= 900);
                prop_assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)));
            }
            prop_assert!(!paragraph(&text, 1000).contains('\r'));
        }
    }
}
