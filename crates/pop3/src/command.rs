//! What a client may ask: a line becomes a [`Command`], or is refused.

use std::fmt;

use crate::responses::Negative;

/// A command with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Capa,
    /// The language range, if there is one.
    Lang(Option<&'a str>),
    Quit,
    User(&'a str),
    Pass(Secret<&'a str>),
    /// Without a mechanism, a question for those there are (RFC 1734; common in the field).
    Auth(Option<Auth<'a>>),
    Stls,
    Utf8,
    Transaction(Transaction),
}

/// A command of the TRANSACTION state (RFC 1939 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transaction {
    Stat,
    List(Option<Number>),
    Uidl(Option<Number>),
    Retr(Number),
    Top { number: Number, body_lines: u64 },
    Dele(Number),
    Rset,
    Noop,
}

/// A message-number as the client wrote it; the maildrop knows whether there is such a message.
pub(crate) type Number = u64;

/// The arguments of AUTH (RFC 5034 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Auth<'a> {
    pub(crate) mechanism: &'a str,
    pub(crate) initial_response: Option<Secret<&'a [u8]>>,
}

/// Something that never shows in a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secret<T>(pub(crate) T);

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Command<'_> {
    /// Parses a line without its line end. Verbs are of any case; arguments are parted by spaces.
    ///
    /// # Errors
    /// The response that says what is wrong.
    pub(crate) fn parse(line: &[u8]) -> Result<Command<'_>, Negative> {
        let (verb, rest) = match memchr::memchr(b' ', line) {
            Some(space) => (&line[..space], &line[space + 1..]),
            None => (line, &[][..]),
        };
        let mut upper = [0; 4];
        let Some(upper) = upper.get_mut(..verb.len()) else { return Err(Negative::Unknown) };
        upper.copy_from_slice(verb);
        upper.make_ascii_uppercase();
        let arguments = Arguments(rest);
        let alone = |command| arguments.none().map(|()| command);
        let transaction = match &*upper {
            b"CAPA" => return alone(Command::Capa),
            b"LANG" => return Ok(Command::Lang(arguments.at_most_one()?.map(text).transpose()?)),
            b"QUIT" => return alone(Command::Quit),
            b"USER" => return Ok(Command::User(name(rest)?)),
            b"PASS" => return Ok(Command::Pass(password(rest)?)),
            b"AUTH" => return Ok(Command::Auth(auth(arguments)?)),
            b"STLS" => return alone(Command::Stls),
            b"UTF8" => return alone(Command::Utf8),
            b"STAT" => return alone(Command::Transaction(Transaction::Stat)),
            b"RSET" => return alone(Command::Transaction(Transaction::Rset)),
            b"NOOP" => return alone(Command::Transaction(Transaction::Noop)),
            b"LIST" => Transaction::List(arguments.at_most_one()?.map(number).transpose()?),
            b"UIDL" => Transaction::Uidl(arguments.at_most_one()?.map(number).transpose()?),
            b"RETR" => Transaction::Retr(number(arguments.one()?)?),
            b"TOP" => {
                let (message, lines) = arguments.two()?;
                Transaction::Top { number: number(message)?, body_lines: number(lines)? }
            }
            b"DELE" => Transaction::Dele(number(arguments.one()?)?),
            _ => return Err(Negative::Unknown),
        };
        Ok(Command::Transaction(transaction))
    }
}

/// What follows the verb, parted by one or more spaces.
#[derive(Clone, Copy)]
struct Arguments<'a>(&'a [u8]);

impl<'a> Arguments<'a> {
    /// The first three; more than that nobody takes.
    fn parted(self) -> [Option<&'a [u8]>; 3] {
        let mut parts = self.0.split(|octet| *octet == b' ').filter(|part| !part.is_empty());
        [parts.next(), parts.next(), parts.next()]
    }

    fn none(self) -> Result<(), Negative> {
        match self.parted() {
            [None, ..] => Ok(()),
            _ => Err(Negative::Syntax),
        }
    }

    fn at_most_one(self) -> Result<Option<&'a [u8]>, Negative> {
        match self.parted() {
            [argument, None, _] => Ok(argument),
            _ => Err(Negative::Syntax),
        }
    }

    fn one(self) -> Result<&'a [u8], Negative> {
        self.at_most_one()?.ok_or(Negative::Syntax)
    }

    fn two(self) -> Result<(&'a [u8], &'a [u8]), Negative> {
        match self.parted() {
            [Some(first), Some(second), None] => Ok((first, second)),
            _ => Err(Negative::Syntax),
        }
    }
}

/// A decimal number. One beyond `u64` is taken as the greatest: no maildrop has so many anyway.
fn number(digits: &[u8]) -> Result<u64, Negative> {
    digits.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => Ok(number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
        _ => Err(Negative::Syntax),
    })
}

/// Printable ASCII.
fn text(octets: &[u8]) -> Result<&str, Negative> {
    match std::str::from_utf8(octets) {
        Ok(text) if text.bytes().all(|octet| octet.is_ascii_graphic()) => Ok(text),
        _ => Err(Negative::Syntax),
    }
}

/// A user name: UTF-8 (RFC 6856 §2.2, even before the UTF8 command) without control characters.
fn name(octets: &[u8]) -> Result<&str, Negative> {
    let name = std::str::from_utf8(octets).map_err(|_| Negative::NotUtf8)?.trim_matches(' ');
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Negative::Syntax);
    }
    Ok(name)
}

/// A password: the whole rest of the line after one space, since spaces may belong to it
/// (RFC 1939 §7, PASS).
fn password(octets: &[u8]) -> Result<Secret<&str>, Negative> {
    let password = std::str::from_utf8(octets).map_err(|_| Negative::NotUtf8)?;
    if password.is_empty() || password.contains('\0') {
        return Err(Negative::Syntax);
    }
    Ok(Secret(password))
}

fn auth(arguments: Arguments<'_>) -> Result<Option<Auth<'_>>, Negative> {
    match arguments.parted() {
        [None, ..] => Ok(None),
        [Some(mechanism), response, None] => {
            Ok(Some(Auth { mechanism: text(mechanism)?, initial_response: response.map(Secret) }))
        }
        [_, _, Some(_)] => Err(Negative::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_command_is_known_in_any_case() {
        let plain = |initial_response| Command::Auth(Some(Auth { mechanism: "plain", initial_response }));
        for (line, command) in [
            ("CAPA", Command::Capa),
            ("capa  ", Command::Capa),
            ("LANG", Command::Lang(None)),
            ("LANG *", Command::Lang(Some("*"))),
            ("Lang ja-JP", Command::Lang(Some("ja-JP"))),
            ("QUIT", Command::Quit),
            ("USER abc", Command::User("abc")),
            ("user  abc@shop.example ", Command::User("abc@shop.example")),
            ("USER 飛脚", Command::User("飛脚")),
            ("PASS secret", Command::Pass(Secret("secret"))),
            ("pass  two  words ", Command::Pass(Secret(" two  words "))),
            ("PASS 合言葉", Command::Pass(Secret("合言葉"))),
            ("AUTH", Command::Auth(None)),
            ("auth plain", plain(None)),
            ("AUTH plain =", plain(Some(Secret(b"=")))),
            ("STLS", Command::Stls),
            ("utf8", Command::Utf8),
            ("sTaT", Command::Transaction(Transaction::Stat)),
            ("LIST", Command::Transaction(Transaction::List(None))),
            ("LIST 1", Command::Transaction(Transaction::List(Some(1)))),
            ("LIST  007 ", Command::Transaction(Transaction::List(Some(7)))),
            ("UIDL", Command::Transaction(Transaction::Uidl(None))),
            ("UIDL 2", Command::Transaction(Transaction::Uidl(Some(2)))),
            ("RETR 3", Command::Transaction(Transaction::Retr(3))),
            ("RETR 99999999999999999999999", Command::Transaction(Transaction::Retr(u64::MAX))),
            ("TOP 1 0", Command::Transaction(Transaction::Top { number: 1, body_lines: 0 })),
            ("top 1  10", Command::Transaction(Transaction::Top { number: 1, body_lines: 10 })),
            ("DELE 4", Command::Transaction(Transaction::Dele(4))),
            ("RSET", Command::Transaction(Transaction::Rset)),
            ("NOOP", Command::Transaction(Transaction::Noop)),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for (line, refusal) in [
            (&b""[..], Negative::Unknown),
            (b" STAT", Negative::Unknown),
            (b"STATS", Negative::Unknown),
            (b"STAT\t", Negative::Unknown),
            (b"APOP abc 0123456789abcdef", Negative::Unknown),
            (b"LAST", Negative::Unknown),
            (b"\xff\xfe", Negative::Unknown),
            (b"STAT 1", Negative::Syntax),
            (b"QUIT now", Negative::Syntax),
            (b"LIST x", Negative::Syntax),
            (b"LIST -1", Negative::Syntax),
            (b"LIST 1 2", Negative::Syntax),
            (b"LIST +1", Negative::Syntax),
            (b"RETR", Negative::Syntax),
            (b"RETR 1 2", Negative::Syntax),
            (b"RETR 1x", Negative::Syntax),
            (b"TOP 1", Negative::Syntax),
            (b"TOP 1 2 3", Negative::Syntax),
            (b"DELE", Negative::Syntax),
            (b"USER", Negative::Syntax),
            (b"USER  ", Negative::Syntax),
            (b"USER a\x07b", Negative::Syntax),
            (b"USER \x83\x65", Negative::NotUtf8),
            (b"PASS", Negative::Syntax),
            (b"PASS ", Negative::Syntax),
            (b"PASS a\0b", Negative::Syntax),
            (b"PASS \x83\x65", Negative::NotUtf8),
            (b"AUTH PLAIN a b", Negative::Syntax),
            (b"LANG ja en", Negative::Syntax),
            (b"LANG \xe6\x97\xa5", Negative::Syntax),
        ] {
            assert_eq!(Command::parse(line), Err(refusal), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_password_never_shows() {
        for line in ["PASS s3cret", "AUTH PLAIN s3cret"] {
            let shown = format!("{:?}", Command::parse(line.as_bytes()));
            assert!(!shown.contains("s3cret") && !shown.contains("115"), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_refused(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn any_arguments_are_taken_or_refused(
            verb in prop::sample::select(vec!["USER", "PASS", "AUTH", "LANG", "LIST", "UIDL", "RETR", "TOP", "DELE"]),
            rest in prop::collection::vec(prop_oneof![any::<u8>(), Just(b' '), b'0'..=b'9'], 0..40),
        ) {
            let mut line = verb.as_bytes().to_vec();
            line.push(b' ');
            line.extend(&rest);
            if let Ok(Command::Pass(Secret(password))) = Command::parse(&line) {
                prop_assert_eq!(password.as_bytes(), &rest[..]);
            }
        }
    }
}
