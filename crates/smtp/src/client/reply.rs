//! What a server answers, read from the wire (RFC 5321 §4.2, RFC 2034).
//!
//! Liberal where servers in use are: lines may end in LF alone and be longer than the 512 octets of
//! §4.5.3.1.5, codes may differ from line to line within their class (then the last one counts), text
//! may be in any charset. Strict where a guess could lose mail: a line without a code, or a reply that
//! says both yes and no, is no reply.

use std::fmt;
use std::sync::Arc;

use memchr::memchr;
use message::Status;
use thiserror::Error;

/// Octets of one line that are kept; what goes beyond is cut.
pub const LINE_MAX: usize = 4096;
/// Octets of one reply that are read, all lines together.
pub const REPLY_MAX: usize = 64 << 10;
/// Octets of a reply's text that are kept: many times what a list of extensions has.
pub const TEXT_MAX: usize = 8 << 10;

/// A complete reply. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<Status>,
    text: Arc<str>,
}

/// Why octets are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// A line does not begin with a code from 200 to 599 and a space or hyphen.
    #[error("it is not SMTP")]
    Malformed,
    /// Lines with codes of different classes.
    #[error("its lines have codes that contradict each other")]
    MixedCodes,
    /// More than [`REPLY_MAX`] octets.
    #[error("it has no end")]
    TooLong,
}

impl Reply {
    /// The code, from 200 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The first digit of the code: 2 yes, 3 go on, 4 not now, 5 no (RFC 5321 §4.2.1).
    pub fn class(&self) -> u8 {
        // A code has three digits.
        (self.code / 100) as u8
    }

    /// The status code (RFC 3463) that it bears, if it is of the same class as the code.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// The text without codes, its lines parted by LF; in it are no other control characters.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Reply {
    /// In one line, as for a log or a report.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        for line in self.text.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// Reads replies out of pieces of any size.
#[derive(Debug, Default)]
pub struct ReplyReader {
    /// The line that has not ended yet, without what is cut.
    line: Vec<u8>,
    /// Octets of this reply so far.
    length: usize,
    code: Option<u16>,
    status: Option<Status>,
    text: String,
}

impl ReplyReader {
    /// Takes one reply off the front of `input`, or all of it if the reply does not end there.
    ///
    /// # Errors
    /// If it is no reply. The reader is of no use then.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyError> {
        while !input.is_empty() {
            let end = memchr(b'\n', input);
            let (piece, rest) = input.split_at(end.map_or(input.len(), |at| at + 1));
            *input = rest;
            self.length += piece.len();
            if self.length > REPLY_MAX {
                return Err(ReplyError::TooLong);
            }
            let room = LINE_MAX - self.line.len();
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                let last = self.line(&line)?;
                self.line = line;
                self.line.clear();
                if last {
                    return Ok(self.finish());
                }
            }
        }
        Ok(None)
    }

    /// Whether it is in the middle of a reply.
    pub fn is_within_reply(&self) -> bool {
        self.length > 0
    }

    /// Takes a line, and says whether it is the last.
    fn line(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        let line = line.trim_ascii_end();
        let (code, rest) = line.split_at_checked(3).ok_or(ReplyError::Malformed)?;
        let &[class @ b'2'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = code else {
            return Err(ReplyError::Malformed);
        };
        let code = u16::from(class - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(ReplyError::Malformed),
        };
        let first = self.code.is_none();
        if self.code.is_some_and(|before| before / 100 != code / 100) {
            return Err(ReplyError::MixedCodes);
        }
        self.code = Some(code);
        let text = String::from_utf8_lossy(text);
        let (status, text) = split_status(code, &text);
        self.status = self.status.or(status);
        if !first {
            self.text.push('\n');
        }
        for c in text.chars() {
            if self.text.len() >= TEXT_MAX {
                break;
            }
            self.text.push(if c.is_control() { ' ' } else { c });
        }
        Ok(last)
    }

    fn finish(&mut self) -> Option<Reply> {
        let text = std::mem::take(&mut self.text);
        self.length = 0;
        Some(Reply { code: self.code.take()?, status: self.status.take(), text: text.trim().into() })
    }
}

/// Parts the status code from the text behind it. One that contradicts the reply's code is text: the
/// code is what servers and clients have always gone by (RFC 2034 §4).
fn split_status(code: u16, text: &str) -> (Option<Status>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word.parse::<Status>() {
        Ok(status) if u16::from(status.class()) == code / 100 => (Some(status), rest),
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(mut input: &[u8]) -> Result<Option<Reply>, ReplyError> {
        ReplyReader::default().read(&mut input)
    }

    fn reply(text: &str) -> (u16, Option<String>, String) {
        let reply = read(text.as_bytes()).unwrap().unwrap();
        (reply.code(), reply.status().map(|s| s.to_string()), reply.text().to_owned())
    }

    #[test]
    fn a_reply_has_a_code_perhaps_a_status_and_lines() {
        assert_eq!(reply("250 OK\r\n"), (250, None, "OK".into()));
        assert_eq!(reply("250\r\n"), (250, None, "".into()));
        assert_eq!(reply("550 5.1.1 no such user\r\n"), (550, Some("5.1.1".into()), "no such user".into()));
        assert_eq!(
            reply("550-5.7.1 go\n550-5.7.1\n550 5.7.1 away\n"),
            (550, Some("5.7.1".into()), "go\n\naway".into())
        );
        assert_eq!(reply("250-a\r\n251 b\r\n"), (251, None, "a\nb".into()));
    }

    #[test]
    fn a_status_of_another_class_is_only_text() {
        assert_eq!(reply("550 4.2.2 full\r\n"), (550, None, "4.2.2 full".into()));
    }

    #[test]
    fn what_contradicts_itself_or_is_not_smtp_is_an_error() {
        assert_eq!(read(b"250-yes\r\n550 no\r\n"), Err(ReplyError::MixedCodes));
        for odd in ["HTTP/1.1 400 Bad Request\r\n", "150 x\r\n", "999 x\r\n", "25\r\n", "250x\r\n", "\r\n"] {
            assert_eq!(read(odd.as_bytes()), Err(ReplyError::Malformed), "{odd:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_a_longer_one_is_an_error() {
        let long = format!("250 {}\r\n", "x".repeat(20_000));
        assert_eq!(reply(&long).2.len(), LINE_MAX - 4);
        let endless = format!("250 {}\r\n", "x".repeat(8 << 20));
        assert_eq!(read(endless.as_bytes()), Err(ReplyError::TooLong));
        let lines = "250-x\r\n".repeat(20_000);
        assert_eq!(read(lines.as_bytes()), Err(ReplyError::TooLong));
    }

    #[test]
    fn text_in_any_charset_becomes_one_clean_line_in_a_log() {
        let (code, _, text) = reply("550-\u{1b}[31mred\r\n550 end\r\n");
        assert_eq!((code, text.as_str()), (550, "[31mred\nend"));
        let reply = read(b"550-caf\xe9\0\r\n550 5.0.0 end\r\n").unwrap().unwrap();
        assert_eq!(reply.to_string(), "550 5.0.0 caf\u{fffd} end");
    }

    proptest! {
        #[test]
        fn any_octets_are_replies_or_an_error_however_they_are_cut(
            input in "([2-5][0-9]{2}[ -][ -~]{0,20}\r?\n|[ -~]{0,3}\n?){0,6}",
            cut in 0usize..200,
        ) {
            let all = |pieces: &[&[u8]]| {
                let mut reader = ReplyReader::default();
                let mut replies = Vec::new();
                for piece in pieces {
                    let mut piece = *piece;
                    loop {
                        match reader.read(&mut piece) {
                            Ok(Some(reply)) => replies.push(reply),
                            Ok(None) => break,
                            Err(error) => return (replies, Some(error)),
                        }
                    }
                }
                (replies, None)
            };
            let (before, after) = input.as_bytes().split_at(cut.min(input.len()));
            prop_assert_eq!(all(&[input.as_bytes()]), all(&[before, after]));
        }

        #[test]
        fn binary_noise_does_no_harm(input in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut reader = ReplyReader::default();
            let mut rest = input.as_slice();
            while let Ok(Some(reply)) = reader.read(&mut rest) {
                prop_assert!((200..600).contains(&reply.code()));
            }
        }
    }
}
