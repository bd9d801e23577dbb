//! The grammar of commands (RFC 5321 §4.1.1), from octets to meaning.

use envelope::address::AddressError;
use envelope::path::{ForwardPath, ReversePath};
use envelope::{BodyType, EnvelopeId, MessageWishes, Notify, RecipientWishes, Return, TypedAddress};
use thiserror::Error;

use crate::sasl::Response;

/// A command that the client may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// Who the client is, without extensions.
    Helo(&'a str),
    /// Who the client is, and which extensions are there?
    Ehlo(&'a str),
    /// A message begins.
    Mail {
        /// From whom.
        reverse_path: ReversePath,
        /// What the client says of it.
        parameters: MailParameters,
    },
    /// It goes to.
    Rcpt {
        /// To whom.
        forward_path: ForwardPath,
        /// What the sender wishes for reports on it (RFC 3461).
        wishes: RecipientWishes,
        /// Whether something of it was written with other than ASCII characters.
        international: bool,
    },
    /// Mail data follow.
    Data,
    /// A chunk of mail data follows (RFC 3030).
    Bdat {
        /// Its size in octets.
        size: u64,
        /// Whether it is the last of its message.
        last: bool,
    },
    /// Forget the message.
    Rset,
    /// Nothing.
    Noop,
    /// Is this address one of yours?
    Vrfy,
    /// What can you do?
    Help,
    /// Start TLS (RFC 3207).
    StartTls,
    /// Who the client is, and how it will show it (RFC 4954).
    Auth {
        /// The name of the SASL mechanism.
        mechanism: &'a str,
        /// The initial response; an empty one was written as `=`.
        initial_response: Option<Response<'a>>,
    },
    /// Goodbye.
    Quit,
}

/// The parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// `SIZE=`: the declared size in octets (RFC 1870).
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152).
    pub body: BodyType,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `RET=` and `ENVID=` (RFC 3461).
    pub wishes: MessageWishes,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandError {
    /// No verb that SMTP knows.
    #[error("unknown verb")]
    Unrecognised,
    /// A verb that SMTP knows and this server does not offer.
    #[error("verb not offered")]
    Unimplemented,
    /// NUL or another control character.
    #[error("control character in a command")]
    ControlCharacter,
    /// Octets above 127 that are not UTF-8.
    #[error("a command that is not UTF-8")]
    NotUtf8,
    /// Characters beyond ASCII in a command that has no place for them.
    #[error("a command that is not ASCII")]
    NotAscii,
    /// The argument is not what it should be; here is the right form.
    #[error("wrong form, it is: {0}")]
    Syntax(&'static str),
    /// The argument of MAIL is no path.
    #[error("bad reverse-path: {0}")]
    ReversePath(AddressError),
    /// The argument of RCPT is no path.
    #[error("bad forward-path: {0}")]
    ForwardPath(AddressError),
    /// A parameter that this server did not announce.
    #[error("unknown parameter")]
    UnknownParameter,
    /// A parameter with a value that it cannot have, or said twice.
    #[error("bad value of a parameter")]
    ParameterValue,
    /// A path that is not ASCII, in a MAIL without SMTPUTF8.
    #[error("an address that needs SMTPUTF8")]
    NeedsSmtpUtf8,
    /// A BDAT of which the size is not known, so that nobody knows where its data end.
    #[error("BDAT without a size")]
    ChunkSize,
}

/// Parses a command line without its line end. Verbs may have any case, and white space may be
/// wider than one space.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(line: &[u8]) -> Result<Command<'_>, CommandError> {
    parse_line(line).map_err(|error| if is_bdat(line) { CommandError::ChunkSize } else { error })
}

/// Whether the verb of a line is BDAT. What is wrong with such a line is no matter: data follow it,
/// and where they end cannot be known.
pub(crate) fn is_bdat(line: &[u8]) -> bool {
    let (verb, rest) = line.split_at(line.len().min(4));
    verb.eq_ignore_ascii_case(b"BDAT") && rest.first().is_none_or(|b| !b.is_ascii_alphanumeric())
}

fn parse_line(line: &[u8]) -> Result<Command<'_>, CommandError> {
    let text = std::str::from_utf8(line).map_err(|_| CommandError::NotUtf8)?;
    if text.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        return Err(CommandError::ControlCharacter);
    }
    let text = text.trim_end_matches(BLANK);
    let (verb, argument) = text.split_once(BLANK).unwrap_or((text, ""));
    let argument = argument.trim_start_matches(BLANK);
    let verb = verb.as_bytes();
    let mut upper = [0; 8];
    let upper = upper.get_mut(..verb.len()).ok_or(CommandError::Unrecognised)?;
    upper.copy_from_slice(verb);
    upper.make_ascii_uppercase();

    if !text.is_ascii() && !matches!(&*upper, b"MAIL" | b"RCPT") {
        return Err(CommandError::NotAscii);
    }
    let alone = |command, usage| match argument {
        "" => Ok(command),
        _ => Err(CommandError::Syntax(usage)),
    };
    match &*upper {
        b"HELO" if argument.is_empty() => Err(CommandError::Syntax("HELO your.host.name")),
        b"EHLO" if argument.is_empty() => Err(CommandError::Syntax("EHLO your.host.name")),
        b"HELO" => Ok(Command::Helo(argument)),
        b"EHLO" => Ok(Command::Ehlo(argument)),
        b"MAIL" => mail(argument),
        b"RCPT" => rcpt(argument),
        b"DATA" => alone(Command::Data, "DATA"),
        b"BDAT" => bdat(argument),
        b"RSET" => alone(Command::Rset, "RSET"),
        b"NOOP" => Ok(Command::Noop),
        b"VRFY" => Ok(Command::Vrfy),
        b"HELP" => Ok(Command::Help),
        b"STARTTLS" => alone(Command::StartTls, "STARTTLS"),
        b"AUTH" => auth(argument),
        b"QUIT" => alone(Command::Quit, "QUIT"),
        b"EXPN" | b"ETRN" | b"TURN" | b"ATRN" | b"SEND" | b"SOML" | b"SAML" => {
            Err(CommandError::Unimplemented)
        }
        _ => Err(CommandError::Unrecognised),
    }
}

const BLANK: [char; 2] = [' ', '\t'];

fn mail(argument: &str) -> Result<Command<'_>, CommandError> {
    let path = after(argument, "FROM:").ok_or(CommandError::Syntax("MAIL FROM:<address>"))?;
    let (reverse_path, rest) = ReversePath::take(path).map_err(CommandError::ReversePath)?;
    let parameters = mail_parameters(words(rest, "MAIL FROM:<address> PARAMETER=value")?)?;
    if !argument.is_ascii() && !parameters.smtputf8 {
        return Err(CommandError::NeedsSmtpUtf8);
    }
    Ok(Command::Mail { reverse_path, parameters })
}

fn rcpt(argument: &str) -> Result<Command<'_>, CommandError> {
    let path = after(argument, "TO:").ok_or(CommandError::Syntax("RCPT TO:<address>"))?;
    let (forward_path, rest) = ForwardPath::take(path).map_err(CommandError::ForwardPath)?;
    let wishes = rcpt_parameters(words(rest, "RCPT TO:<address>")?)?;
    Ok(Command::Rcpt { forward_path, wishes, international: !argument.is_ascii() })
}

/// What follows `keyword`, without leading white space.
fn after<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = argument.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(BLANK))
}

/// The words that follow a path; white space must part them from it.
fn words<'a>(rest: &'a str, usage: &'static str) -> Result<impl Iterator<Item = &'a str>, CommandError> {
    if rest.is_empty() || rest.starts_with(BLANK) {
        return Ok(rest.split(BLANK).filter(|word| !word.is_empty()));
    }
    Err(CommandError::Syntax(usage))
}

fn mail_parameters<'a>(words: impl Iterator<Item = &'a str>) -> Result<MailParameters, CommandError> {
    let (mut size, mut body, mut smtputf8, mut author) = (None, None, None, None);
    let mut wishes = MessageWishes::default();
    for word in words {
        let (keyword, value) = keyword_and_value(word);
        let is = |name: &str| keyword.eq_ignore_ascii_case(name);
        if is("SIZE") {
            set(&mut size, value.and_then(declared_size))?;
        } else if is("BODY") {
            set(&mut body, value.and_then(body_type))?;
        } else if is("SMTPUTF8") {
            set(&mut smtputf8, value.is_none().then_some(()))?;
        } else if is("AUTH") {
            // RFC 4954 §5: to be taken, and to be believed only of those whom we trust, who are none.
            set(&mut author, value.filter(|value| is_xtext(value)).map(drop))?;
        } else if is("RET") {
            set(&mut wishes.ret, value.and_then(Return::parse)).map_err(|_| RET)?;
        } else if is("ENVID") {
            set(&mut wishes.envelope_id, value.and_then(EnvelopeId::parse)).map_err(|_| ENVID)?;
        } else {
            return Err(CommandError::UnknownParameter);
        }
    }
    Ok(MailParameters { size, body: body.unwrap_or_default(), smtputf8: smtputf8.is_some(), wishes })
}

const RET: CommandError = CommandError::Syntax("RET=FULL or RET=HDRS, once");
const ENVID: CommandError =
    CommandError::Syntax("ENVID=name, once, in xtext (RFC 3461), at most 100 characters");

fn rcpt_parameters<'a>(words: impl Iterator<Item = &'a str>) -> Result<RecipientWishes, CommandError> {
    let mut wishes = RecipientWishes::NONE;
    for word in words {
        let (keyword, value) = keyword_and_value(word);
        if keyword.eq_ignore_ascii_case("NOTIFY") {
            set(&mut wishes.notify, value.and_then(Notify::parse)).map_err(|_| NOTIFY)?;
        } else if keyword.eq_ignore_ascii_case("ORCPT") {
            set(&mut wishes.original, value.and_then(TypedAddress::parse)).map_err(|_| ORCPT)?;
        } else {
            return Err(CommandError::UnknownParameter);
        }
    }
    Ok(wishes)
}

const NOTIFY: CommandError =
    CommandError::Syntax("NOTIFY=NEVER, or NOTIFY= and some of SUCCESS,FAILURE,DELAY, once");
const ORCPT: CommandError =
    CommandError::Syntax("ORCPT=rfc822;address, once, in xtext (RFC 3461), at most 500 characters");

fn keyword_and_value(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    }
}

/// A parameter has one good value, and is said once.
fn set<T>(parameter: &mut Option<T>, value: Option<T>) -> Result<(), CommandError> {
    match (&parameter, value) {
        (None, Some(value)) => *parameter = Some(value),
        _ => return Err(CommandError::ParameterValue),
    }
    Ok(())
}

/// 1 to 20 digits (RFC 1870 §4); what no number of 64 bits can hold is as large as can be.
fn declared_size(value: &str) -> Option<u64> {
    is_number(value).then(|| value.parse().unwrap_or(u64::MAX))
}

fn body_type(value: &str) -> Option<BodyType> {
    match value {
        _ if value.eq_ignore_ascii_case("7BIT") => Some(BodyType::SevenBit),
        _ if value.eq_ignore_ascii_case("8BITMIME") => Some(BodyType::EightBitMime),
        _ => None,
    }
}

fn bdat(argument: &str) -> Result<Command<'_>, CommandError> {
    let mut words = argument.split(BLANK).filter(|word| !word.is_empty());
    let size = words.next().filter(|word| is_number(word)).and_then(|word| word.parse().ok());
    let size = size.ok_or(CommandError::ChunkSize)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(CommandError::ChunkSize),
    };
    match words.next() {
        None => Ok(Command::Bdat { size, last }),
        Some(_) => Err(CommandError::ChunkSize),
    }
}

fn auth(argument: &str) -> Result<Command<'_>, CommandError> {
    const USAGE: CommandError = CommandError::Syntax("AUTH mechanism [initial-response]");
    let mut words = argument.split(BLANK).filter(|word| !word.is_empty());
    let (mechanism, response) = (words.next().ok_or(USAGE)?, words.next());
    let initial_response = response.map(|base64| match base64 {
        "=" => Response(b""),
        _ => Response(base64.as_bytes()),
    });
    match words.next() {
        None => Ok(Command::Auth { mechanism, initial_response }),
        Some(_) => Err(USAGE),
    }
}

/// RFC 3461 §4.
fn is_xtext(text: &str) -> bool {
    let hex = |octet: &u8| matches!(octet, b'0'..=b'9' | b'A'..=b'F');
    let encoded = |rest: &[u8]| rest.get(..2).is_some_and(|digits| digits.iter().all(hex));
    let octets = text.as_bytes();
    !octets.is_empty()
        && octets.iter().enumerate().all(|(at, octet)| match octet {
            b'+' => encoded(&octets[at + 1..]),
            b'=' => false,
            _ => octet.is_ascii_graphic(),
        })
}

fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mail_of(line: &str) -> Result<(String, MailParameters), CommandError> {
        match parse(line.as_bytes())? {
            Command::Mail { reverse_path, parameters } => Ok((reverse_path.to_string(), parameters)),
            other => panic!("{other:?}"),
        }
    }

    fn rcpt_of(line: &str) -> Result<(String, bool), CommandError> {
        match parse(line.as_bytes())? {
            Command::Rcpt { forward_path, international, .. } => {
                Ok((forward_path.to_string(), international))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn verbs_have_any_case_and_wide_spaces() {
        for (line, command) in [
            ("HELO x", Command::Helo("x")),
            ("ehlo \t x y ", Command::Ehlo("x y")),
            ("dAtA", Command::Data),
            ("QUIT  ", Command::Quit),
            ("RSET", Command::Rset),
            ("NOOP anything", Command::Noop),
            ("VRFY joe", Command::Vrfy),
            ("HELP MAIL", Command::Help),
            ("StartTLS", Command::StartTls),
            ("auth plain", Command::Auth { mechanism: "plain", initial_response: None }),
            (
                "AUTH  LOGIN YWJj ",
                Command::Auth { mechanism: "LOGIN", initial_response: Some(Response(b"YWJj")) },
            ),
            ("AUTH PLAIN =", Command::Auth { mechanism: "PLAIN", initial_response: Some(Response(b"")) }),
            ("bdat 0 last", Command::Bdat { size: 0, last: true }),
            ("BDAT\t1000", Command::Bdat { size: 1000, last: false }),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn mail_has_a_path_and_parameters() {
        let none = MailParameters::default;
        assert_eq!(mail_of("MAIL FROM:<>"), Ok(("<>".into(), none())));
        assert_eq!(mail_of("mail  from: \t<a@x.example>  "), Ok(("<a@x.example>".into(), none())));
        assert_eq!(mail_of("MAIL FROM:<> AUTH=<>"), Ok(("<>".into(), none())));
        assert_eq!(mail_of("MAIL FROM:<> AUTH=e+3Dmc2@x.example"), Ok(("<>".into(), none())));
        assert_eq!(mail_of("MAIL FROM:a@x.example"), Ok(("<a@x.example>".into(), none())));
        let wishes = MessageWishes { ret: Some(Return::Headers), envelope_id: EnvelopeId::parse("a+2Bb") };
        let full = MailParameters { size: Some(12), body: BodyType::EightBitMime, smtputf8: true, wishes };
        assert_eq!(
            mail_of("MAIL FROM:<太郎@x.example> size=12\tBODY=8bitmime SMTPUTF8 ret=hdrs EnvID=a+2Bb"),
            Ok(("<太郎@x.example>".into(), full))
        );
        let huge = mail_of("MAIL FROM:<> SIZE=99999999999999999999").unwrap().1;
        assert_eq!(huge.size, Some(u64::MAX));
    }

    #[test]
    fn rcpt_has_a_path_and_wishes() {
        assert_eq!(rcpt_of("RCPT TO:<a@x.example>"), Ok(("<a@x.example>".into(), false)));
        assert_eq!(rcpt_of("RCPT TO: <Postmaster>"), Ok(("<Postmaster>".into(), false)));
        assert_eq!(rcpt_of("RCPT TO:<a@例え.テスト>"), Ok(("<a@例え.テスト>".into(), true)));
        assert!(rcpt_of("RCPT TO:<a@x.example> ORCPT=utf-8;太@x").unwrap().1);
        let Ok(Command::Rcpt { wishes, .. }) =
            parse(b"RCPT TO:<a@x.example> notify=success,Delay ORCPT=rfc822;a+2Bb@x")
        else {
            panic!("a good RCPT was refused");
        };
        assert_eq!(wishes.notify, Notify::parse("SUCCESS,DELAY"));
        assert_eq!(wishes.original.unwrap().address(), "a+b@x");
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        for (line, error) in [
            (&b"MAIL"[..], CommandError::Syntax("MAIL FROM:<address>")),
            (b"MAIL <a@x.example>", CommandError::Syntax("MAIL FROM:<address>")),
            (b"MAIL FROM:", CommandError::ReversePath(AddressError::LocalPart)),
            (b"MAIL FROM:<a>", CommandError::ReversePath(AddressError::Shape)),
            (b"MAIL FROM:<>SIZE=1", CommandError::Syntax("MAIL FROM:<address> PARAMETER=value")),
            (b"MAIL FROM:<> AUTH=", CommandError::ParameterValue),
            (b"MAIL FROM:<> AUTH=a+2b", CommandError::ParameterValue),
            (b"MAIL FROM:<> AUTH=a=b", CommandError::ParameterValue),
            (b"MAIL FROM:<> AUTH=<> AUTH=<>", CommandError::ParameterValue),
            (b"MAIL FROM:<> RET=BODY", RET),
            (b"MAIL FROM:<> RET", RET),
            (b"MAIL FROM:<> RET=FULL RET=FULL", RET),
            (b"MAIL FROM:<> ENVID=", ENVID),
            (b"MAIL FROM:<> ENVID=a+0Ab", ENVID),
            (b"MAIL FROM:<> NOTIFY=NEVER", CommandError::UnknownParameter),
            (b"MAIL FROM:<> SIZE", CommandError::ParameterValue),
            (b"MAIL FROM:<> SIZE=", CommandError::ParameterValue),
            (b"MAIL FROM:<> SIZE=-1", CommandError::ParameterValue),
            (b"MAIL FROM:<> SIZE=1 SIZE=1", CommandError::ParameterValue),
            (b"MAIL FROM:<> BODY=BINARYMIME", CommandError::ParameterValue),
            (b"MAIL FROM:<> SMTPUTF8=1", CommandError::ParameterValue),
            ("MAIL FROM:<太郎@x.example>".as_bytes(), CommandError::NeedsSmtpUtf8),
            (b"RCPT TO <a@x.example>", CommandError::Syntax("RCPT TO:<address>")),
            (b"RCPT TO:<>", CommandError::ForwardPath(AddressError::LocalPart)),
            (b"RCPT TO:<a@x.example> NOTIFY=NEVER,DELAY", NOTIFY),
            (b"RCPT TO:<a@x.example> NOTIFY=NEVER NOTIFY=NEVER", NOTIFY),
            (b"RCPT TO:<a@x.example> NOTIFY", NOTIFY),
            (b"RCPT TO:<a@x.example> ORCPT=a@x.example", ORCPT),
            (b"RCPT TO:<a@x.example> ORCPT=rfc822;a=b", ORCPT),
            (b"RCPT TO:<a@x.example> RET=FULL", CommandError::UnknownParameter),
            (b"DATA now", CommandError::Syntax("DATA")),
            (b"HELO", CommandError::Syntax("HELO your.host.name")),
            (b"EXPN list", CommandError::Unimplemented),
            (b"AUTH", CommandError::Syntax("AUTH mechanism [initial-response]")),
            (b"AUTH PLAIN a b", CommandError::Syntax("AUTH mechanism [initial-response]")),
            (b"", CommandError::Unrecognised),
            (b" MAIL FROM:<>", CommandError::Unrecognised),
            (b"GET / HTTP/1.1", CommandError::Unrecognised),
            (b"STARTTLSX", CommandError::Unrecognised),
            (b"NOOP \0", CommandError::ControlCharacter),
            (b"NOOP a\rb", CommandError::ControlCharacter),
            (b"NOOP \xff", CommandError::NotUtf8),
            ("EHLO 例え".as_bytes(), CommandError::NotAscii),
            (b"BDAT", CommandError::ChunkSize),
            (b"BDAT x", CommandError::ChunkSize),
            (b"BDAT -1", CommandError::ChunkSize),
            (b"BDAT 1 LATE", CommandError::ChunkSize),
            (b"BDAT 1 LAST 2", CommandError::ChunkSize),
            (b"BDAT 99999999999999999999", CommandError::ChunkSize),
            (b"BDAT 1\0", CommandError::ChunkSize),
            (b"BDAT\xff", CommandError::ChunkSize),
            (b"BDATX 1", CommandError::Unrecognised),
        ] {
            assert_eq!(parse(line), Err(error), "{}", String::from_utf8_lossy(line));
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_a_command_or_an_error(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&line);
        }

        #[test]
        fn any_argument_is_a_command_or_an_error(
            verb in "(MAIL FROM:|RCPT TO:|BDAT |HELO |EHLO |mail |rcpt )", argument in "[ -~\\té太]{0,80}",
        ) {
            let line = format!("{verb}{argument}");
            let _ = parse(line.as_bytes());
        }
    }
}
