//! The arguments of MAIL and RCPT: reverse-path and forward-path (RFC 5321 §4.1.2).
//!
//! This is the one door where the octets of a command become an address.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::{Address, AddressError, LocalPart, is_atext};

/// Where a message says it is from, for bounces: the argument of MAIL (RFC 5321 §4.1.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReversePath {
    /// `<>`: a notice that must not be answered with another (RFC 5321 §4.5.5).
    Null,
    /// An address.
    Address(Address),
}

impl ReversePath {
    /// Takes a reverse-path off the front of `text`: `<a@b>`, `<>`, or a bare address as old
    /// clients send it. Gives what follows, where the parameters stand.
    ///
    /// # Errors
    /// If it is neither.
    pub fn take(text: &str) -> Result<(ReversePath, &str), AddressError> {
        if let Some(rest) = text.strip_prefix("<>") {
            return Ok((ReversePath::Null, rest));
        }
        let (address, rest) = take_path(text)?;
        Ok((ReversePath::Address(address), rest))
    }

    /// The address, unless this is the null reverse-path.
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    /// In angle brackets, as MAIL and Return-Path write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => f.write_str("<>"),
            ReversePath::Address(address) => write!(f, "<{address}>"),
        }
    }
}

/// Where a message is to go: the argument of RCPT (RFC 5321 §4.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, which every server must take (RFC 5321 §4.5.1).
    Postmaster,
    /// An address.
    Address(Address),
}

impl ForwardPath {
    /// Takes a forward-path off the front of `text`: `<a@b>`, `<Postmaster>`, or a bare address.
    /// Gives what follows, where the parameters stand.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn take(text: &str) -> Result<(ForwardPath, &str), AddressError> {
        const NAME: &str = "<postmaster>";
        if text.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME)) {
            return Ok((ForwardPath::Postmaster, &text[NAME.len()..]));
        }
        let (address, rest) = take_path(text)?;
        Ok((ForwardPath::Address(address), rest))
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("<Postmaster>"),
            ForwardPath::Address(address) => write!(f, "<{address}>"),
        }
    }
}

fn take_path(text: &str) -> Result<(Address, &str), AddressError> {
    let Some(inner) = text.strip_prefix('<') else {
        let end = text.find(' ').unwrap_or(text.len());
        let (bare, rest) = text.split_at(end);
        return Ok((Address::parse(bare)?, rest));
    };
    let inner = skip_source_route(inner)?;
    let (local_part, after) = local_part(inner)?;
    let host = after.strip_prefix('@').ok_or(AddressError::Shape)?;
    let (host, rest) = host.split_once('>').ok_or(AddressError::Shape)?;
    if host.is_empty() {
        return Err(AddressError::Shape);
    }
    Ok((Address::new(local_part, crate::Host::parse(host)?), rest))
}

/// Drops `@relay1,@relay2:` from the front: it must be accepted and should be ignored (RFC 5321 Appendix C).
fn skip_source_route(text: &str) -> Result<&str, AddressError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    text.split_once(':').map(|(_, rest)| rest).ok_or(AddressError::Shape)
}

/// Takes a local-part off the front of `text`, with quotes and backslashes undone.
pub(crate) fn local_part(text: &str) -> Result<(LocalPart, &str), AddressError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c| !(is_atext(c) || c == '.')).unwrap_or(text.len());
        return Ok((LocalPart::new(&text[..end])?, &text[end..]));
    };
    let mut plain = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((LocalPart::new(&plain)?, &quoted[at + 1..])),
            '\\' => plain.push(chars.next().ok_or(AddressError::LocalPart)?.1),
            c => plain.push(c),
        }
    }
    Err(AddressError::LocalPart)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn forward(text: &str) -> Option<(String, &str)> {
        ForwardPath::take(text).ok().map(|(path, rest)| (path.to_string(), rest))
    }

    #[test]
    fn paths_are_taken_with_and_without_brackets() {
        assert_eq!(forward("<a@x.example> NOTIFY=NEVER"), Some(("<a@x.example>".into(), " NOTIFY=NEVER")));
        assert_eq!(forward("a@x.example SIZE=1"), Some(("<a@x.example>".into(), " SIZE=1")));
        assert_eq!(forward("<@r1.example,@r2.example:a@x.example>"), Some(("<a@x.example>".into(), "")));
        assert_eq!(forward("<\"a>b\"@x.example>"), Some(("<\"a>b\"@x.example>".into(), "")));
        assert_eq!(forward("<postMaster>"), Some(("<Postmaster>".into(), "")));
        assert_eq!(forward("<a@x.example"), None);
        assert_eq!(forward("<>"), None);
        assert_eq!(ReversePath::take("<> SIZE=1"), Ok((ReversePath::Null, " SIZE=1")));
    }

    proptest! {
        #[test]
        fn any_text_is_a_path_or_an_error(text in "\\PC{0,300}") {
            let _ = ReversePath::take(&text);
            let _ = ForwardPath::take(&text);
        }

        #[test]
        fn what_is_written_reads_back_the_same(local in "[ -~]{1,64}", host in "[a-z]{1,20}\\.example") {
            let address = Address::new(LocalPart::new(&local).unwrap(), crate::Host::parse(&host).unwrap());
            let path = ForwardPath::Address(address);
            let written = path.to_string();
            prop_assert_eq!(ForwardPath::take(&written), Ok((path.clone(), "")));
        }
    }
}
