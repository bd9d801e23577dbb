//! Who wrote a message: what a From or Sender field says, and what takes its place.

use std::borrow::{Borrow, Cow};
use std::ops::Range;

use envelope::Address;
use message::{DisplayName, Listed, MailboxesError, address_list, mailboxes, with_ascii_host};

use crate::hosts::{Ending, Hosts};

/// The most addresses, and the most words of a name, in one field that says who wrote a message.
const WORDS_MAX: usize = 100;

/// The most addresses in a field in which short ones are completed.
const COMPLETED_MAX: usize = 10_000;

/// A From or Sender field, or one of its Resent kin.
#[derive(Debug, Clone)]
pub(super) struct Authors {
    /// Its body, with short addresses completed.
    body: Vec<u8>,
    addresses: Vec<Address>,
    readable: bool,
}

impl Authors {
    /// Reads a field's body.
    ///
    /// Short addresses are completed where nobody can take them for a name: in angle brackets, and alone
    /// between commas in a field without an `@` (`root (Cron Daemon)`).
    ///
    /// # Errors
    /// If it cannot be said who is meant.
    pub(super) fn read(body: &[u8], hosts: &Hosts) -> Result<Authors, MailboxesError> {
        let listed: Vec<Listed<'_>> =
            address_list(body, WORDS_MAX).take(WORDS_MAX).collect::<Result<_, _>>()?;
        if let [one] = &listed[..]
            && let Some(body) = without_empty_brackets(body, one)
        {
            return Authors::read(&body, hosts);
        }
        let are_words = |one: &Listed<'_>| !one.runs_on && !one.in_brackets && !one.address.contains(&b'@');
        let all_short = listed.iter().all(are_words);
        let body =
            edited(
                body,
                &listed,
                |one| {
                    if one.in_brackets || all_short { completion(one, hosts) } else { None }
                },
            );
        Ok(Authors { addresses: mailboxes(&body)?, body: body.into_owned(), readable: true })
    }

    /// A field that cannot be read, for which [`Authors::read`] has an error.
    pub(super) fn unreadable(body: &[u8]) -> Authors {
        Authors { body: body.to_vec(), addresses: Vec::new(), readable: false }
    }

    /// Whether it can be said who is meant.
    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// The addresses that any program might show as the author's.
    pub(super) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The field's body.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body of a From field that names `own` in place of these, with the name that stands there: raw,
    /// if it is no more than a name to everybody.
    pub(super) fn replaced_by(&self, own: &Address) -> Vec<u8> {
        let written = with_ascii_host(own);
        let listed: Result<Vec<Listed<'_>>, _> = address_list(&self.body, WORDS_MAX).take(2).collect();
        if let Ok([one]) = listed.as_deref() {
            let new =
                edited(&self.body, [one], |one| Some((one.place.clone(), written.clone().into_bytes())));
            if names_only(&new, own) {
                return new.into_owned();
            }
            if let Some(name) = DisplayName::of(&one.address) {
                return format!(" {} <{written}>", name.phrase()).into_bytes();
            }
        }
        format!(" {written}").into_bytes()
    }

    /// The body of a From field that gives `own` to a name without an address; none, if it is not just
    /// a name.
    pub(super) fn given(&self, own: &Address) -> Option<Vec<u8>> {
        let name = self.body.trim_ascii();
        if !self.addresses.is_empty() || name.is_empty() || name.iter().any(|octet| b",;:<>".contains(octet))
        {
            return None;
        }
        let body = [b" ", name, b" <", with_ascii_host(own).as_bytes(), b">"].concat();
        names_only(&body, own).then_some(body)
    }
}

fn names_only(body: &[u8], own: &Address) -> bool {
    mailboxes(body).is_ok_and(|named| named == std::slice::from_ref(own))
}

/// `Name <>`, as forms write whose visitor left his address out, is a name.
fn without_empty_brackets(body: &[u8], listed: &Listed<'_>) -> Option<Vec<u8>> {
    let open = listed.place.start.checked_sub(1)?;
    let rest = body[open..].strip_prefix(b"<>")?;
    Some([&body[..open], rest].concat())
}

/// A field's body with its short addresses completed, and with commas between addresses that had blanks
/// alone; none, if nothing changes or if it cannot be read.
///
/// Unlike qmail-inject, this leaves all else as it is: no folding, no quotes, no lost comments.
pub(super) fn completed(body: &[u8], hosts: &Hosts) -> Option<Vec<u8>> {
    let (mut readable, mut count) = (true, 0);
    let listed = address_list(body, COMPLETED_MAX).map_while(|one| {
        count += 1;
        readable &= one.is_ok() && count <= COMPLETED_MAX;
        one.ok().filter(|_| readable)
    });
    let edited = edited(body, listed, |one| {
        let (place, mut text) = completion(one, hosts).unwrap_or((one.place.end..one.place.end, Vec::new()));
        if one.runs_on {
            text.push(b',');
        }
        Some((place, text))
    });
    match edited {
        Cow::Owned(edited) if readable => Some(edited),
        _ => None,
    }
}

/// What is put where for another.
type Edit = (Range<usize>, Vec<u8>);

/// What a short address in a field lacks, if it becomes one by it. A word that is not ASCII is a name.
fn completion(listed: &Listed<'_>, hosts: &Hosts) -> Option<Edit> {
    let text = std::str::from_utf8(&listed.address).ok().filter(|text| text.is_ascii())?;
    hosts.address(&listed.address).ok()?;
    let Ending { cut, text: lacking } = hosts.ending(text)?;
    // With white space or comments in it, its end is not just octets of its own.
    if cut > 0 && listed.place.len() != listed.address.len() {
        return None;
    }
    Some((listed.place.end - cut..listed.place.end, lacking.into_bytes()))
}

/// The body with those edits made that are told for its addresses.
fn edited<'a, 'b, L: Borrow<Listed<'b>>>(
    body: &'a [u8],
    listed: impl IntoIterator<Item = L>,
    edit: impl Fn(&Listed<'b>) -> Option<Edit>,
) -> Cow<'a, [u8]> {
    let mut new: Vec<u8> = Vec::new();
    let mut copied = 0;
    for (place, text) in listed.into_iter().filter_map(|listed| edit(listed.borrow())) {
        if place.is_empty() && text.is_empty() {
            continue;
        }
        new.extend_from_slice(&body[copied..place.start]);
        new.extend_from_slice(&text);
        copied = place.end;
    }
    if new.is_empty() {
        return Cow::Borrowed(body);
    }
    new.extend_from_slice(&body[copied..]);
    Cow::Owned(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Names;
    use envelope::Domain;
    use proptest::prelude::*;

    fn hosts() -> Hosts {
        Hosts::new(&Names::default(), &Domain::parse("pobox.example").unwrap())
    }

    fn own() -> Address {
        "own@pobox.example".parse().unwrap()
    }

    fn read(body: &[u8]) -> Authors {
        Authors::read(body, &hosts()).unwrap()
    }

    #[test]
    fn short_authors_are_completed_where_they_are_no_names() {
        for (body, completed) in [
            (" root (Cron Daemon)", " root@pobox.example (Cron Daemon)"),
            (" Abc <abc>", " Abc <abc@pobox.example>"),
            (" abc@www, def", " abc@www, def"),
            (" abc, def", " abc@pobox.example, def@pobox.example"),
            (" Def, Abc <abc@x.example>", " Def, Abc <abc@x.example>"),
            (" Abc Def", " Abc Def"),
            (" 山田", " 山田"),
        ] {
            assert_eq!(String::from_utf8_lossy(read(body.as_bytes()).body()), completed);
        }
        assert!(read(" 山田 太郎".as_bytes()).addresses().is_empty());
        assert!(Authors::read(b" Abc abc@x.example", &hosts()).is_err());
    }

    #[test]
    fn another_author_takes_the_address_and_leaves_the_name() {
        for (body, replaced) in [
            (&b" v@x.example"[..], &b" own@pobox.example"[..]),
            (b" V is. it\r\n <v@x.example>", b" V is. it\r\n <own@pobox.example>"),
            (b" v@x.example (V)", b" own@pobox.example (V)"),
            (b" \x1b$B;3(E\x1b(B <v@x.example>", b" \x1b$B;3(E\x1b(B <own@pobox.example>"),
            (b" \x8eR\x93c <v@x.example>", b" \x8eR\x93c <own@pobox.example>"),
            (b" v@x.example <v@x.example>", b" \"v@x.example\" <own@pobox.example>"),
            (b" a@x.example, b@x.example", b" own@pobox.example"),
            (b" \x1b$B <w@y.example> \x1b(B <v@x.example>", b" \"v@x.example\" <own@pobox.example>"),
        ] {
            let new = read(body).replaced_by(&own());
            assert_eq!(String::from_utf8_lossy(&new), String::from_utf8_lossy(replaced));
        }
    }

    #[test]
    fn a_name_without_an_address_is_given_one() {
        for (body, given) in [
            (&b" \x8eR\x93c"[..], Some(&b" \x8eR\x93c <own@pobox.example>"[..])),
            (b" Abc Def <>", Some(b" Abc Def <own@pobox.example>")),
            (b" ", None),
            (b" <>", None),
            (b" nobody:;", None),
            (b" v@x.example", None),
        ] {
            assert_eq!(read(body).given(&own()).as_deref(), given);
        }
    }

    #[test]
    fn lists_are_completed_and_nothing_else_in_them_changes() {
        for (body, expected) in [
            (" abc", Some(" abc@pobox.example")),
            (" A. Person <abc> (x), b@x.example", Some(" A. Person <abc@pobox.example> (x), b@x.example")),
            (" a b (c) d@x.example", Some(" a@pobox.example, b@pobox.example, (c) d@x.example")),
            (" abc@www+, def@www", Some(" abc@www.pobox.example, def@www.pobox.example")),
            (" abc@a. (c) b+", None),
            (" a@x.example ,\r\n\tb@x.example", None),
            (" 山田", None),
            (" abc, (", None),
            (" undisclosed-recipients:;", None),
        ] {
            let completed = completed(body.as_bytes(), &hosts());
            assert_eq!(completed.map(|body| String::from_utf8(body).unwrap()).as_deref(), expected, "{body}");
        }
        assert_eq!(
            completed("a,".repeat(COMPLETED_MAX).as_bytes(), &hosts()).unwrap().len(),
            16 * COMPLETED_MAX
        );
        assert_eq!(completed("a,".repeat(COMPLETED_MAX + 1).as_bytes(), &hosts()), None);
        assert_eq!(completed(b" \x8eR\x93c <abc>", &hosts()).unwrap(), b" \x8eR\x93c <abc@pobox.example>");
    }

    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            b"<",
            b">",
            b"@",
            b",",
            b":",
            b";",
            b"\"",
            b"\\",
            b"(",
            b")",
            b" ",
            b"\r\n ",
            b".",
            b"a",
            b"[",
            b"v@x.example",
            b"<v@x.example>",
            b"\x1b$B",
            b"\x1b(B",
            b"\x95",
            b"\xe3\x81\x82",
        ];
        proptest::collection::vec(proptest::sample::select(pieces), 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// What takes an author's place names the account and nobody else, to every reader.
        #[test]
        fn nobody_but_the_account_is_left(body in bodies()) {
            if let Ok(authors) = Authors::read(&body, &hosts()) {
                let new = authors.replaced_by(&own());
                prop_assert_eq!(mailboxes(&new), Ok(vec![own()]));
                if let Some(given) = authors.given(&own()) {
                    prop_assert_eq!(mailboxes(&given), Ok(vec![own()]));
                }
            }
            let _ = completed(&body, &hosts());
        }
    }
}
