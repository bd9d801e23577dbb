//! What a report has of the message that it is about.

use crate::encoding::{LINE_MAX, is_seven_bit, lines, quoted_printable};

/// How much is sent back at most, of a header or of a whole message, in octets.
pub const ORIGINAL_MAX: usize = 50_000;

/// What a report has of the message that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Original<'a> {
    /// Its header: text/rfc822-headers (RFC 6522 §4). A whole message will do, as nothing after the first empty
    /// line is sent.
    Header(&'a [u8]),
    /// All of it: message/rfc822. Made by [`Original::whole`].
    Message(&'a [u8]),
}

impl<'a> Original<'a> {
    /// All of a message, if it is not too large and can stand within another as it is; else its header.
    ///
    /// A message/rfc822 cannot be encoded (RFC 2046 §5.2.1), so its header must be ASCII and its lines no
    /// longer than mail may have them.
    pub fn whole(message: &'a [u8]) -> Original<'a> {
        let plain = |line: &[u8]| line.len() <= LINE_MAX && !line.iter().any(|b| matches!(b, 0 | b'\r'));
        let fits =
            message.len() <= ORIGINAL_MAX && header_of(message).is_ascii() && lines(message).all(plain);
        if fits { Original::Message(message) } else { Original::Header(message) }
    }

    /// Whether it has octets of eight bits.
    pub(super) fn is_eight_bit(self) -> bool {
        matches!(self, Original::Message(message) if !message.is_ascii())
    }

    /// Appends it as a part, fields and body.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Original::Message(message) => {
                out.extend_from_slice(b"Content-Type: message/rfc822\r\n");
                if self.is_eight_bit() {
                    out.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n");
                }
                out.extend_from_slice(b"\r\n");
                copy_lines(out, message);
            }
            Original::Header(message) => {
                let header = header_of(message);
                out.extend_from_slice(b"Content-Type: text/rfc822-headers\r\n");
                if is_seven_bit(header) {
                    out.extend_from_slice(b"\r\n");
                    copy_lines(out, header);
                } else {
                    // So that it stays readable: RFC 6522 §4.
                    out.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
                    quoted_printable(out, header);
                }
            }
        }
    }
}

fn copy_lines(out: &mut Vec<u8>, text: &[u8]) {
    for line in lines(text) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
}

/// The header of `message`, cut after its last whole line within [`ORIGINAL_MAX`].
fn header_of(message: &[u8]) -> &[u8] {
    let mut end = 0;
    for line in message.split_inclusive(|b| *b == b'\n') {
        let blank = matches!(line, b"\n" | b"\r\n");
        if blank || end + line.len() > ORIGINAL_MAX {
            break;
        }
        end += line.len();
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_whole(message: &[u8]) -> bool {
        matches!(Original::whole(message), Original::Message(_))
    }

    #[test]
    fn a_whole_message_comes_back_only_if_it_can_stand_within_another() {
        assert!(is_whole(b"Subject: x\r\n\r\nhi\r\n"));
        assert!(is_whole(b"Subject: x\r\n\r\n\x1b$B;n\x1b(B\r\n"), "ISO-2022-JP has seven bits");
        assert!(is_whole("Subject: x\r\n\r\nこんにちは\r\n".as_bytes()));
        assert!(!is_whole("Subject: こんにちは\r\n\r\nhi\r\n".as_bytes()));
        assert!(!is_whole(b"Subject: x\r\n\r\n\0\r\n"));
        assert!(!is_whole(b"Subject: x\r\n\r\na\rb\r\n"));
        assert!(!is_whole(&[b"Subject: x\r\n\r\n", &[b'x'; 999][..]].concat()));
        let mut large = b"Subject: x\r\n\r\n".to_vec();
        large.extend(b"0123456\r\n".repeat(5_554));
        assert!(large.len() == ORIGINAL_MAX && is_whole(&large));
        large.extend(b"0123456\r\n");
        assert!(!is_whole(&large));
    }
}
