//! The tokens of a field with addresses: words, quoted strings, comments, and the marks between them
//! (RFC 5322 §3.2), with raw Japanese text read as characters.

use crate::mailboxes::MailboxesError;
use crate::raw_japanese::RawText;

pub(crate) enum Token<'a> {
    /// White space or a comment.
    Gap,
    /// Characters that mean nothing else, dots and `@` included, and a whole address literal.
    Word { octets: &'a [u8], has_at: bool },
    /// A quoted string with its quotes.
    Quoted(&'a [u8]),
    /// One of `<` `>` `,` `:` `;`.
    Mark(u8),
}

/// The tokens of a field, one after the other.
pub(crate) struct Tokens<'a> {
    field: &'a [u8],
    rest: &'a [u8],
    raw: RawText,
}

impl<'a> Tokens<'a> {
    pub(crate) fn of(field: &'a [u8], raw: RawText) -> Tokens<'a> {
        Tokens { field, rest: field, raw }
    }

    /// Where in the field the next token begins.
    pub(crate) fn position(&self) -> usize {
        self.field.len() - self.rest.len()
    }

    pub(crate) fn next(&mut self) -> Result<Option<Token<'a>>, MailboxesError> {
        let Some(&first) = self.rest.first() else { return Ok(None) };
        Ok(Some(match first {
            b' ' | b'\t' | b'\r' | b'\n' => {
                self.take(1);
                Token::Gap
            }
            b'(' => {
                self.take(self.comment()?);
                Token::Gap
            }
            b'"' => Token::Quoted(self.take(self.quoted()?)),
            b'<' | b'>' | b',' | b':' | b';' => {
                self.take(1);
                Token::Mark(first)
            }
            _ => {
                let (length, has_at) = self.word();
                Token::Word { octets: self.take(length), has_at }
            }
        }))
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// The length of the character at `at`; a backslash takes the next octet with it where `quotes`.
    fn step(&self, at: usize, quotes: bool) -> usize {
        match self.raw.opaque(&self.rest[at..]) {
            0 if quotes && self.rest[at] == b'\\' => 2,
            0 => 1,
            length => length,
        }
    }

    /// The length of the quoted string in front.
    fn quoted(&self) -> Result<usize, MailboxesError> {
        let mut at = 1;
        loop {
            match self.rest.get(at) {
                None => return Err(MailboxesError::Unreadable),
                Some(b'"') => return Ok(at + 1),
                Some(_) => at += self.step(at, true),
            }
        }
    }

    /// The length of the comment in front, others in it included.
    fn comment(&self) -> Result<usize, MailboxesError> {
        let (mut at, mut depth) = (1, 1u32);
        while depth > 0 {
            match self.rest.get(at) {
                None => return Err(MailboxesError::Unreadable),
                Some(b'(') => depth += 1,
                Some(b')') => depth -= 1,
                Some(_) => {
                    at += self.step(at, true);
                    continue;
                }
            }
            at += 1;
        }
        Ok(at)
    }

    /// The length of the word in front, and whether it has an `@`.
    fn word(&self) -> (usize, bool) {
        let (mut at, mut has_at) = (0, false);
        while let Some(&octet) = self.rest.get(at) {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' | b'(' | b'"' | b'<' | b'>' | b',' | b':' | b';' => break,
                b'@' => {
                    has_at = true;
                    at += 1 + address_literal(&self.rest[at + 1..]);
                }
                _ => at += self.step(at, false),
            }
        }
        (at, has_at)
    }
}

/// The length of an address literal in front, which may have colons in it.
fn address_literal(text: &[u8]) -> usize {
    let literal = |octet: &u8| octet.is_ascii_hexdigit() || b"IPVipv.:".contains(octet);
    match text.strip_prefix(b"[") {
        Some(inner) => match inner.iter().position(|octet| !literal(octet)) {
            Some(end) if inner[end] == b']' => end + 2,
            _ => 0,
        },
        None => 0,
    }
}
