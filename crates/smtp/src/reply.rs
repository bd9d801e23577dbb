//! A reply: a code of three digits and a text of one or more lines (RFC 5321 §4.2).

use std::borrow::Cow;
use std::fmt::Write;

use bytes::BytesMut;
use message::Status;

/// What the server answers to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<Status>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply that is written as it stands here: one that RFC 2034 §4 excepts from status codes,
    /// or one whose text has its code already, as `(#5.7.1)`. Lines of the text end in LF.
    pub fn verbatim(code: u16, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, status: None, text: text.into() }
    }

    /// A reply that has a status code in front of its text for clients that know of them.
    pub fn with_status(code: u16, status: (u8, u16, u16), text: impl Into<Cow<'static, str>>) -> Reply {
        let (class, subject, detail) = status;
        Reply { code, status: Some(Status::new(class, subject, detail)), text: text.into() }
    }

    /// The code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The text, without any code in front.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the client made an error, or asked for something that it will never get.
    pub fn is_permanent_failure(&self) -> bool {
        self.code >= 500
    }

    /// Writes the reply as it goes over the wire. `enhanced` says whether the client was told that
    /// status codes come in front (RFC 2034 §3).
    pub fn write(&self, enhanced: bool, out: &mut BytesMut) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { '-' } else { ' ' };
            // Writing to a BytesMut does not fail.
            let _ = match self.status {
                Some(status) if enhanced => write!(out, "{}{mark}{status} {line}\r\n", self.code),
                _ => write!(out, "{}{mark}{line}\r\n", self.code),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, enhanced: bool) -> String {
        let mut out = BytesMut::new();
        reply.write(enhanced, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn every_line_bears_the_code_and_the_last_a_space() {
        let reply = Reply::with_status(250, (2, 1, 0), "one\ntwo");
        assert_eq!(written(&reply, true), "250-2.1.0 one\r\n250 2.1.0 two\r\n");
        assert_eq!(written(&reply, false), "250-one\r\n250 two\r\n");
        assert_eq!(written(&Reply::verbatim(354, "go ahead"), true), "354 go ahead\r\n");
    }
}
