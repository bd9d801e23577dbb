//! File names: how ours are made, and what is read from any.

use sha2::{Digest, Sha256};

/// The longest unique id in octets (RFC 1939 §7).
const UID_MAX: usize = 70;

/// The unique name of a delivery: when the message came (seconds since 1970), its queue id, the
/// number of the recipient in its envelope, and the host.
///
/// Characters of the host that a Maildir name cannot have are written as octal escapes.
pub fn unique_name(arrived: u64, queue_id: &str, recipient: u32, host: &str) -> String {
    let mut name = format!("{arrived}.Q{queue_id}R{recipient}.");
    for c in host.chars() {
        match c {
            '/' | ':' | ',' | '\\' => name.push_str(&format!("\\{:03o}", u32::from(c))),
            c => name.push(c),
        }
    }
    name
}

/// The part of a file name that names the message, whatever readers add to it.
pub(crate) fn unique_part(name: &str) -> &str {
    name.split([',', ':']).next().unwrap_or(name)
}

/// The size with CRLF line ends that a name tells, in octets.
pub(crate) fn wire_size(name: &str) -> Option<u64> {
    field(name, 'W')
}

/// When the message came, as names of all programs begin: seconds since 1970.
pub(crate) fn arrival(name: &str) -> u64 {
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    name[..digits].parse().unwrap_or(0)
}

fn field(name: &str, key: char) -> Option<u64> {
    let base = name.split(':').next()?;
    base.split(',').skip(1).find_map(|field| field.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
}

/// The unique id that POP3 tells (RFC 1939 §7): the unique name, which stays when a reader moves
/// or flags the file. One that is too long or has other characters than `!` to `~` is hashed.
pub(crate) fn uid(name: &str) -> String {
    let unique = unique_part(name);
    let fits = (1..=UID_MAX).contains(&unique.len()) && unique.bytes().all(|octet| octet.is_ascii_graphic());
    if fits {
        return unique.to_string();
    }
    let digest = Sha256::digest(unique.as_bytes());
    digest.iter().take(20).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_tells_its_parts() {
        let unique = unique_name(1_763_975_556, "0c8p3v8xk9z80", 3, "mail.pobox.example");
        assert_eq!(unique, "1763975556.Q0c8p3v8xk9z80R3.mail.pobox.example");
        let whole = format!("{unique},S=1234,W=1260:2,S");
        assert_eq!((unique_part(&whole), wire_size(&whole)), (unique.as_str(), Some(1260)));
        assert_eq!(arrival(&whole), 1_763_975_556);
        assert_eq!(uid(&whole), unique);
        assert_eq!(unique_name(1, "x", 0, "a/b:c,d"), "1.QxR0.a\\057b\\072c\\054d");
    }

    #[test]
    fn foreign_names_are_taken_as_they_are() {
        assert_eq!(wire_size("1.2.host:2,W=5"), None);
        assert_eq!(wire_size("1.2.host,S=x,W=y"), None);
        assert_eq!(arrival("nodigits"), 0);
        assert_eq!(arrival("99999999999999999999999.x"), 0);
        assert_eq!(uid(&"x".repeat(71)).len(), 40);
        assert_ne!(uid(&"x".repeat(71)), uid(&"x".repeat(72)));
    }

    proptest! {
        #[test]
        fn any_name_has_a_uid_that_pop3_can_carry(name in "\\PC{0,120}") {
            let uid = uid(&name);
            prop_assert!((1..=UID_MAX).contains(&uid.len()) && uid.bytes().all(|octet| octet.is_ascii_graphic()));
            let _ = (wire_size(&name), arrival(&name));
        }
    }
}
