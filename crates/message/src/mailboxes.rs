//! The addresses in a From or Sender field: a tolerant reader of mailbox lists (RFC 5322 §3.4).
//!
//! It serves a rule, that customers send as themselves only, so it must see every address that a
//! mail program might show as the author. It reads what programs in use write: raw Japanese in names
//! and comments, groups (RFC 6854), source routes, white space around dots, names with commas and no
//! quotes. What it cannot read it refuses rather than pass over. Where programs disagree on what is
//! an address, all readings are given:
//!
//! - an address that stands where a name should (`a@x.example <b@y.example>`);
//! - in a field with raw Japanese, anything that looks like an address in angle brackets, as a
//!   program that takes the octets for ASCII sees it there.

use envelope::{Address, ReversePath};
use memchr::memchr2;
use thiserror::Error;

use crate::raw_japanese::RawText;
use crate::tokens::{Token, Tokens};

/// The most mailboxes that are read in one field.
pub const MAILBOXES_MAX: usize = 100;

/// Why a field's mailboxes cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MailboxesError {
    /// Quotes, brackets or parentheses that do not end, or something with an `@` that is no address.
    #[error("an address is not well formed")]
    Unreadable,
    /// More than [`MAILBOXES_MAX`].
    #[error("more than {MAILBOXES_MAX} addresses")]
    TooMany,
}

/// Reads the body of a From or Sender field, folded as it is. Each address is given once; none, if
/// the field names nobody (`undisclosed:;`, or a name without an address).
///
/// # Errors
/// If it cannot be said who is meant.
pub fn mailboxes(body: &[u8]) -> Result<Vec<Address>, MailboxesError> {
    let raw = RawText::of(body);
    let mut found = Found::default();
    let mut tokens = Tokens::of(body, raw);
    let mut element = Element::default();
    while let Some(token) = tokens.next()? {
        match token {
            Token::Gap => element.phrase.gap(),
            Token::Word { octets, has_at } => {
                element.phrase.push(octets);
                element.has_at |= has_at;
            }
            Token::Quoted(octets) => element.phrase.push(octets),
            Token::Mark(b'<') => {
                found.add(angle_address(&mut tokens)?)?;
                element.has_angle = true;
                element.phrase.gap();
            }
            Token::Mark(b'>') => return Err(MailboxesError::Unreadable),
            // The name of a group stands before it; it is looked at as a name before brackets is.
            Token::Mark(b':') => {
                element.has_angle = true;
                std::mem::take(&mut element).end(&mut found)?;
            }
            Token::Mark(_) => std::mem::take(&mut element).end(&mut found)?,
        }
    }
    element.end(&mut found)?;
    if !raw.is_plain() {
        angle_addresses_in_ascii(body, &mut found)?;
    }
    Ok(found.addresses)
}

#[derive(Default)]
struct Found {
    addresses: Vec<Address>,
}

impl Found {
    fn add(&mut self, address: Address) -> Result<(), MailboxesError> {
        if self.addresses.contains(&address) {
            return Ok(());
        }
        if self.addresses.len() >= MAILBOXES_MAX {
            return Err(MailboxesError::TooMany);
        }
        self.addresses.push(address);
        Ok(())
    }
}

/// What stands between two commas.
#[derive(Default)]
struct Element {
    /// All that stands outside of angle brackets and comments.
    phrase: Runs,
    /// There is an `@` in it that is neither quoted nor Japanese.
    has_at: bool,
    /// An address in angle brackets was in it, or it is a group's name.
    has_angle: bool,
}

impl Element {
    fn end(self, found: &mut Found) -> Result<(), MailboxesError> {
        if self.has_angle {
            for address in self.phrase.runs().filter_map(address).filter(has_dotted_domain) {
                found.add(address)?;
            }
        } else if self.has_at {
            let whole = self.phrase.only_run().and_then(address).ok_or(MailboxesError::Unreadable)?;
            found.add(whole)?;
        }
        // Else it is part of a name with a comma and no quotes.
        Ok(())
    }
}

/// Octets with the gaps taken out that mean nothing: those beside a dot or an `@` (RFC 5322 §4.4).
/// Other gaps part one run from the next.
#[derive(Default)]
struct Runs {
    octets: Vec<u8>,
    /// Where each run but the first begins.
    starts: Vec<usize>,
    after_gap: bool,
}

impl Runs {
    fn gap(&mut self) {
        self.after_gap = true;
    }

    fn push(&mut self, octets: &[u8]) {
        let joins = |octet: Option<&u8>| matches!(octet, None | Some(b'.' | b'@'));
        if self.after_gap && !joins(self.octets.last()) && !joins(octets.first()) {
            self.starts.push(self.octets.len());
        }
        self.after_gap = false;
        self.octets.extend_from_slice(octets);
    }

    fn runs(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.starts.iter().copied());
        let ends = self.starts.iter().copied().chain(std::iter::once(self.octets.len()));
        starts.zip(ends).map(|(start, end)| &self.octets[start..end])
    }

    fn only_run(&self) -> Option<&[u8]> {
        self.starts.is_empty().then_some(&self.octets)
    }
}

fn address(octets: &[u8]) -> Option<Address> {
    Address::parse(std::str::from_utf8(octets).ok()?).ok()
}

/// Names with an `@` in them are common (`J@ne`), and no program takes them for addresses.
fn has_dotted_domain(address: &Address) -> bool {
    address.host.domain().is_none_or(|domain| domain.as_str().contains('.'))
}

/// An address in angle brackets, `<` given.
fn angle_address(tokens: &mut Tokens<'_>) -> Result<Address, MailboxesError> {
    let mut inner = Runs { octets: vec![b'<'], ..Runs::default() };
    let path = loop {
        match tokens.next()?.ok_or(MailboxesError::Unreadable)? {
            // Beside the brackets it means nothing.
            Token::Gap if inner.octets.len() > 1 => inner.gap(),
            Token::Gap => {}
            Token::Word { octets, .. } | Token::Quoted(octets) => inner.push(octets),
            Token::Mark(b'>') => break inner,
            Token::Mark(b'<') => return Err(MailboxesError::Unreadable),
            // Of a source route.
            Token::Mark(mark) => {
                inner.after_gap = false;
                inner.octets.push(mark);
            }
        }
    };
    let mut path = match path.starts.is_empty() {
        true => path.octets,
        false => return Err(MailboxesError::Unreadable),
    };
    path.push(b'>');
    bracketed(&path).ok_or(MailboxesError::Unreadable)
}

fn bracketed(path: &[u8]) -> Option<Address> {
    match ReversePath::take(std::str::from_utf8(path).ok()?) {
        Ok((ReversePath::Address(address), "")) => Some(address),
        _ => None,
    }
}

/// What a program that takes every octet for ASCII may find in angle brackets.
fn angle_addresses_in_ascii(body: &[u8], found: &mut Found) -> Result<(), MailboxesError> {
    let mut rest = body;
    while let Some(open) = memchr2(b'<', b'>', rest) {
        let from = &rest[open..];
        let close = memchr2(b'<', b'>', &from[1..]).map(|at| at + 1);
        if let (b'<', Some(close)) = (from[0], close)
            && from[close] == b'>'
            && let Some(address) = bracketed(&from[..=close]).filter(has_dotted_domain)
        {
            found.add(address)?;
        }
        rest = &from[1..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: impl AsRef<[u8]>) -> Result<Vec<String>, MailboxesError> {
        Ok(mailboxes(body.as_ref())?.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn reads(body: impl AsRef<[u8]>, addresses: &[&str]) {
        let shown = String::from_utf8_lossy(body.as_ref()).into_owned();
        assert_eq!(read(body), Ok(addresses.iter().map(ToString::to_string).collect()), "{shown}");
    }

    #[test]
    fn addresses_stand_alone_or_behind_a_name() {
        for body in [
            " abc@pobox.example",
            "<abc@pobox.example>",
            " Abc Def <abc@pobox.example>",
            "\"Def, Abc\" <abc@pobox.example>",
            "\"say \\\"<x@y.example>\\\"\"\r\n\t<abc@pobox.example>",
            "abc@pobox.example (Abc (of Def) \\) x@y.example)",
            "Abc D. Ef\r\n <abc@pobox.example> (home)",
            "=?ISO-2022-JP?B?GyRCSHRXIxsoQg==?= <abc@pobox.example>",
            "=?UTF-8?Q?x=40y.example?= <abc@pobox.example>",
            "abc (a comment) @ pobox\r\n . example",
            "< abc @ pobox . example >",
            "<@relay.example,@other.example:abc@pobox.example>",
            "Def, Abc <abc@pobox.example>",
            "J@ne <abc@pobox.example>",
            "abc@pobox.example <abc@pobox.example>",
            "<abc@pobox.example>,,\r\n",
            "飛脚 <abc@pobox.example>",
        ] {
            reads(body, &["abc@pobox.example"]);
        }
        reads("\"a b\"@x.example", &["\"a b\"@x.example"]);
        reads("taro..@carrier.example", &["\"taro..\"@carrier.example"]);
        reads("a@[192.0.2.1], b@[IPv6:2001:db8::1]", &["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"]);
        reads("太郎 <太郎@例え.テスト>", &["太郎@例え.テスト"]);
    }

    #[test]
    fn every_address_of_a_list_and_of_a_group_is_found() {
        reads(
            "a@x.example, B <b@x.example>,\r\n c@x.example (C)",
            &["a@x.example", "b@x.example", "c@x.example"],
        );
        reads(
            "friends: a@x.example, B <b@x.example>; c@x.example",
            &["a@x.example", "b@x.example", "c@x.example"],
        );
        reads("a@x.example; b@x.example", &["a@x.example", "b@x.example"]);
        reads("A <a@x.example> <b@x.example>", &["a@x.example", "b@x.example"]);
        reads("a@x.example, A@X.EXAMPLE, a@x.example", &["a@x.example", "A@x.example"]);
        for nobody in ["", " ", "undisclosed:;", "Abc Def", "(a@x.example)", "\"a@x.example\"", ",;"] {
            reads(nobody, &[]);
        }
    }

    /// Programs differ in which of the two they take for the author.
    #[test]
    fn an_address_in_place_of_a_name_counts_as_well() {
        reads("evil@y.example <abc@x.example>", &["abc@x.example", "evil@y.example"]);
        reads("\"The\" evil@y.example <abc@x.example>", &["abc@x.example", "evil@y.example"]);
        reads("<abc@x.example> evil@y.example", &["abc@x.example", "evil@y.example"]);
        reads("evil@y.example: abc@x.example;", &["evil@y.example", "abc@x.example"]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for body in [
            "a@x.example b@x.example",
            "Abc abc@x.example",
            "a@x.example (",
            "\"a@x.example",
            "<a@x.example",
            "a@x.example>",
            "<>",
            "<a>",
            "<a b@x.example>",
            "<a@x.example b>",
            "<a@x.example <b@x.example>>",
            "a@x@y.example",
            "a@",
            "@x.example",
            "a@[x",
            "a\\@b@x.example",
        ] {
            assert_eq!(read(body), Err(MailboxesError::Unreadable), "{body}");
        }
        assert_eq!(read(b"\xff@x.example"), Err(MailboxesError::Unreadable));
        let many = |count| (0..count).map(|n| format!("a{n}@x.example,")).collect::<String>();
        assert_eq!(read(many(MAILBOXES_MAX)).unwrap().len(), MAILBOXES_MAX);
        assert_eq!(read(many(MAILBOXES_MAX + 1)), Err(MailboxesError::TooMany));
    }

    #[test]
    fn raw_japanese_names_do_not_swallow_the_address() {
        let iso_2022_jp: [&[u8]; 5] = [
            b"\x1b$B;3ED\x1b(B <abc@x.example>",
            b"\"\x1b$B\"(\\<@,>\x1b(B\" <abc@x.example>",
            b"abc@x.example (\x1b$B)(;:\x1b(J)",
            b"\x1b$B;3@\x1b(B, \x1b$BB@O:\x1b(B <abc@x.example>",
            b"\x1b$B;3ED\r\n <abc@x.example>",
        ];
        // Hyo, Hyo-noh, and Kabu in Shift_JIS: the second octet is a backslash or a bracket.
        let shift_jis: [&[u8]; 4] = [
            b"\x95\\ <abc@x.example>",
            b"\"\x95\\\" <abc@x.example>",
            b"abc@x.example (\x83\\\x94\\)",
            b"\x83@\x83[ <abc@x.example>",
        ];
        let euc_jp: [&[u8]; 2] = [b"\xc8\xf4\xb5\xd3 <abc@x.example>", b"\"\xc8\xf4\" <abc@x.example>"];
        for body in iso_2022_jp.into_iter().chain(shift_jis).chain(euc_jp) {
            reads(body, &["abc@x.example"]);
        }
    }

    #[test]
    fn no_address_hides_in_what_is_japanese_to_some_only() {
        let both = ["abc@x.example", "evil@y.example"];
        reads(b"\x1b$B <evil@y.example> \x1b(B <abc@x.example>", &both);
        reads(b"\"\x1b$B\" <evil@y.example> \x1b(B\" <abc@x.example>", &both);
        reads(b"\"\x95\\\\\" <evil@y.example>, \" <abc@x.example>", &both);
        reads(b"\x1b$B;D@n><\x1b(B <abc@x.example>", &["abc@x.example"]);
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            b"<",
            b">",
            b"@",
            b",",
            b";",
            b":",
            b"\"",
            b"\\",
            b"(",
            b")",
            b" ",
            b"\r\n ",
            b".",
            b"a",
            b"x.example",
            b"abc@x.example",
            b"[",
            b"]",
            b"\x1b",
            b"\x1b$B",
            b"\x1b(B",
            b"\x95",
            b"\xe3\x81\x82",
            b"=?a?Q?b?=",
        ];
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            proptest::collection::vec(proptest::sample::select(pieces), 0..24).prop_map(|list| list.concat()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_octets_name_somebody_or_nobody_or_are_refused(body in octets()) {
            if let Ok(found) = mailboxes(&body) {
                prop_assert!(found.len() <= MAILBOXES_MAX);
            }
        }

        /// No list, however odd, hides an address in angle brackets that stands in plain sight.
        #[test]
        fn an_address_in_brackets_after_a_whole_list_is_found_or_the_field_is_refused(body in octets()) {
            if mailboxes(&body).is_ok() {
                let longer = [&body[..], b"\r\n , <seen@y.example>"].concat();
                if let Ok(found) = mailboxes(&longer) {
                    prop_assert!(found.contains(&"seen@y.example".parse().unwrap()), "{:?}", body);
                }
            }
        }

        #[test]
        fn what_we_write_we_read(
            local in "[ -~]{1,20}", name in "[^\\x00-\\x1f\\x7f\"\\\\]{0,20}", host in "[a-z]{1,9}\\.example",
        ) {
            let local_part = envelope::LocalPart::new(&local).unwrap();
            let address = Address::new(local_part, envelope::Host::parse(&host).unwrap());
            let expected = Ok(vec![address.clone()]);
            prop_assert_eq!(mailboxes(address.to_string().as_bytes()), expected.clone());
            prop_assert_eq!(mailboxes(format!("\"{name}\" <{address}>").as_bytes()), expected);
        }
    }
}
