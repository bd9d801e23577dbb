//! The addresses in a To field as programs write them, and where each stands: a reader for those who
//! send mail there, and for those who complete short addresses in place.
//!
//! It reads as qmail-inject does: blanks part one address from the next as commas do (`a b c` are
//! three), unless angle brackets follow, which make a name of what stands before them; a host may be
//! missing (`abc`). It reads more than that: raw Japanese in names and comments, `;` between addresses,
//! names with commas in quotes. Unlike [`mailboxes`](crate::mailboxes::mailboxes), it takes no word for
//! part of a name if no brackets follow: mail that was meant for somebody must not be passed over.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use crate::mailboxes::MailboxesError;
use crate::raw_japanese::RawText;
use crate::tokens::{Token, Tokens};

/// An address of a list, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Without white space, comments and source route: `abc@host`, `abc`, `"a b"@x.example`. It is empty
    /// for `<>`.
    pub address: Cow<'a, [u8]>,
    /// Where it stands in the field, within its brackets if there are any.
    pub place: Range<usize>,
    /// It stands in angle brackets.
    pub in_brackets: bool,
    /// Nothing but white space parts it from the next one.
    pub runs_on: bool,
}

/// Reads the body of a field, folded as it is. `words_max` is the most words that may stand between two
/// commas.
///
/// The iterator ends after an error. It reads as far as it is asked, so that who stops early is not
/// kept by a long field.
pub fn address_list(body: &[u8], words_max: usize) -> AddressList<'_> {
    AddressList {
        tokens: Tokens::of(body, RawText::of(body)),
        words_max,
        words: Words::default(),
        ready: VecDeque::new(),
        ended: false,
    }
}

/// The iterator of [`address_list`].
pub struct AddressList<'a> {
    tokens: Tokens<'a>,
    words_max: usize,
    /// What stands behind the last comma: a name, or addresses with blanks between them.
    words: Words<'a>,
    ready: VecDeque<Listed<'a>>,
    ended: bool,
}

impl<'a> Iterator for AddressList<'a> {
    type Item = Result<Listed<'a>, MailboxesError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(listed) = self.ready.pop_front() {
                return Some(Ok(listed));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.read_on() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

impl<'a> AddressList<'a> {
    /// Reads one token, and makes addresses ready if it tells what the words before it are.
    fn read_on(&mut self) -> Result<(), MailboxesError> {
        let start = self.tokens.position();
        match self.tokens.next()? {
            Some(Token::Gap) => self.words.gap(),
            Some(Token::Word { octets, has_at }) => self.words.push(octets, start, has_at),
            Some(Token::Quoted(octets)) => self.words.push(octets, start, false),
            // They are a name.
            Some(Token::Mark(b'<')) => {
                self.words.clear();
                let listed = self.in_brackets()?;
                self.ready.push_back(listed);
            }
            // They are a group's name (RFC 6854); with an address in it nobody can tell what it is.
            Some(Token::Mark(b':')) if self.words.list.iter().any(|word| word.has_at) => {
                return Err(MailboxesError::Unreadable);
            }
            Some(Token::Mark(b':')) => self.words.clear(),
            Some(Token::Mark(b',' | b';')) => self.end_words(),
            Some(Token::Mark(_)) => return Err(MailboxesError::Unreadable),
            None => {
                self.end_words();
                self.ended = true;
            }
        }
        if self.words.list.len() > self.words_max { Err(MailboxesError::TooMany) } else { Ok(()) }
    }

    /// They are addresses.
    fn end_words(&mut self) {
        let mut left = self.words.list.len();
        self.ready.extend(self.words.list.drain(..).map(|Word { octets: address, place, .. }| {
            left -= 1;
            Listed { address, place, in_brackets: false, runs_on: left > 0 }
        }));
        self.words.clear();
    }

    /// An address in angle brackets, `<` given.
    fn in_brackets(&mut self) -> Result<Listed<'a>, MailboxesError> {
        let opened = self.tokens.position();
        let mut words = Words::default();
        loop {
            let start = self.tokens.position();
            let in_route = words.list.first().is_some_and(Word::is_route);
            match self.tokens.next()?.ok_or(MailboxesError::Unreadable)? {
                Token::Gap => words.gap(),
                Token::Word { octets, has_at } => words.push(octets, start, has_at),
                Token::Quoted(octets) => words.push(octets, start, false),
                Token::Mark(b'>') => break,
                // A source route must be taken and is ignored (RFC 5321 Appendix C).
                Token::Mark(b',') if in_route => {}
                Token::Mark(b':') if in_route => words.clear(),
                Token::Mark(_) => return Err(MailboxesError::Unreadable),
            }
            if words.list.len() > 1 {
                return Err(MailboxesError::Unreadable);
            }
        }
        let (address, place) = match words.list.pop() {
            None => (Cow::Borrowed(&b""[..]), opened..opened),
            Some(word) if word.is_route() => return Err(MailboxesError::Unreadable),
            Some(word) => (word.octets, word.place),
        };
        Ok(Listed { address, place, in_brackets: true, runs_on: false })
    }
}

/// Words, with the gaps taken out that mean nothing: those beside a dot or an `@` (RFC 5322 §4.4).
#[derive(Default)]
struct Words<'a> {
    list: Vec<Word<'a>>,
    after_gap: bool,
}

struct Word<'a> {
    octets: Cow<'a, [u8]>,
    place: Range<usize>,
    has_at: bool,
}

impl<'a> Words<'a> {
    fn gap(&mut self) {
        self.after_gap = true;
    }

    fn clear(&mut self) {
        self.list.clear();
        self.after_gap = false;
    }

    fn push(&mut self, octets: &'a [u8], start: usize, has_at: bool) {
        let joins = |octet: Option<&u8>| matches!(octet, None | Some(b'.' | b'@'));
        let end = start + octets.len();
        let after_gap = std::mem::take(&mut self.after_gap);
        match self.list.last_mut() {
            Some(word) if !after_gap || joins(word.octets.last()) || joins(octets.first()) => {
                word.octets.to_mut().extend_from_slice(octets);
                word.place.end = end;
                word.has_at |= has_at;
            }
            _ => self.list.push(Word { octets: Cow::Borrowed(octets), place: start..end, has_at }),
        }
    }
}

impl Word<'_> {
    fn is_route(&self) -> bool {
        self.octets.first() == Some(&b'@')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: impl AsRef<[u8]>) -> Result<Vec<String>, MailboxesError> {
        address_list(body.as_ref(), 100)
            .map(|listed| Ok(String::from_utf8_lossy(&listed?.address).into_owned()))
            .collect()
    }

    #[track_caller]
    fn reads(body: impl AsRef<[u8]>, addresses: &[&str]) {
        let shown = String::from_utf8_lossy(body.as_ref()).into_owned();
        assert_eq!(read(body), Ok(addresses.iter().map(ToString::to_string).collect()), "{shown}");
    }

    #[test]
    fn commas_and_blanks_part_addresses() {
        reads(" a@x.example, b@x.example,\r\n\tc", &["a@x.example", "b@x.example", "c"]);
        reads("a b c", &["a", "b", "c"]);
        reads("a@x.example; b@x.example;,, ", &["a@x.example", "b@x.example"]);
        reads("a@x.example (the first) b (c, d)", &["a@x.example", "b"]);
        reads("a @ x\r\n . example b", &["a@x.example", "b"]);
        reads("\"a, b\"@x.example,\"c d\" @ x", &["\"a, b\"@x.example", "\"c d\"@x"]);
        reads("a@[192.0.2.1] b@[IPv6:2001:db8::1]", &["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"]);
        reads("-f@x.example", &["-f@x.example"]);
        for nobody in ["", " \r\n ", ",;,", "(a@x.example)", "undisclosed-recipients:;"] {
            reads(nobody, &[]);
        }
    }

    #[test]
    fn what_stands_before_brackets_is_a_name() {
        reads("A. Person <k@x.example>", &["k@x.example"]);
        reads("\"Def, Abc\" <abc>, b@y.example <b@x.example>", &["abc", "b@x.example"]);
        reads("A <a@x.example> B <b@x.example> c", &["a@x.example", "b@x.example", "c"]);
        reads("<@r.example,@s.example:a@x.example>", &["a@x.example"]);
        reads("< a @ x . example >", &["a@x.example"]);
        reads("A <>", &[""]);
        reads("=?ISO-2022-JP?B?GyRCSHRXIxsoQg==?= <a@x.example>", &["a@x.example"]);
        reads("friends: a, B <b@x.example>; c", &["a", "b@x.example", "c"]);
        reads(b"\x1b$B;3(E,\x1b(B <a@x.example>, \"\x95\\\" <b@x.example>", &["a@x.example", "b@x.example"]);
        reads(b"\x95\\ <b@x.example>", &["b@x.example"]);
        reads("飛脚 <a@x.example>", &["a@x.example"]);
    }

    #[test]
    fn no_word_is_passed_over_where_no_brackets_follow() {
        reads("Abc abc@x.example", &["Abc", "abc@x.example"]);
        reads("Def, Abc <abc@x.example>", &["Def", "abc@x.example"]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for body in ["(", "\"a", "<a", "a>", "<a b>", "<a <b>>", "<@r.example>", "<a,b>", "a@x.example: b;"] {
            assert_eq!(read(body), Err(MailboxesError::Unreadable), "{body}");
        }
        assert_eq!(read("a ".repeat(101)), Err(MailboxesError::TooMany));
        assert_eq!(read("a,".repeat(101)).map(|all| all.len()), Ok(101));
    }

    #[test]
    fn each_address_has_its_place() {
        let body = b" Abc <@r:abc@x> , a (b) . c@x d, <>";
        let listed: Vec<Listed<'_>> = address_list(body, 100).collect::<Result<_, _>>().unwrap();
        let places: Vec<(&str, bool, bool)> = listed
            .iter()
            .map(|l| (std::str::from_utf8(&body[l.place.clone()]).unwrap(), l.in_brackets, l.runs_on))
            .collect();
        let expected =
            [("abc@x", true, false), ("a (b) . c@x", false, true), ("d", false, false), ("", true, false)];
        assert_eq!(places, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn any_octets_are_a_list_or_refused(body in proptest::collection::vec(
            proptest::sample::select(&b"<>@,;:\"\\() .a[]\x1b$B(\x95\xe3\r\n"[..]), 0..60,
        )) {
            let (mut end, mut count) = (0, 0);
            for listed in address_list(&body, 10).map_while(Result::ok) {
                prop_assert!(listed.place.start >= end && listed.place.end <= body.len());
                end = listed.place.end;
                count += 1;
            }
            prop_assert!(count <= body.len());
        }

        /// A reader for the rule sees all that mail is sent to, if it can read the field at all.
        #[test]
        fn addresses_that_both_readers_see_are_the_same(list in "(a@x\\.example|B <b@x\\.example>|,| |;|\\(c\\)){0,9}") {
            let both = (crate::mailboxes(list.as_bytes()), read(&list));
            if let (Ok(named), Ok(listed)) = both {
                let listed: Vec<_> = listed.iter().filter_map(|text| text.parse().ok()).collect();
                prop_assert!(listed.iter().all(|address| named.contains(address)), "{:?} {:?}", named, listed);
            }
        }
    }
}
