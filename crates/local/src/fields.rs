//! The fields that a delivery puts on top, and those that it looks for.

use std::io;

use envelope::{Address, ReversePath};
use memchr::memchr;

use crate::content::{Content, Go, NotCopied};

/// More of a line is not kept: a Delivered-To of ours is shorter.
const LINE_MAX: usize = 1024;

/// `Return-Path` and `Delivered-To`, with LF line ends, as they stand in a file.
///
/// Addresses have no control characters, so nothing can be injected here.
pub fn on_top(reverse_path: &ReversePath, delivered_to: &Address) -> String {
    format!("Return-Path: {reverse_path}\nDelivered-To: {delivered_to}\n")
}

/// What a header tells of the way that a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Way {
    /// It was delivered to this address before: then it loops. Compared without regard to case, as some
    /// host on the way may have changed it.
    pub looping: bool,
    /// Received and Delivered-To fields.
    pub hops: u32,
}

impl Way {
    /// Reads the whole header, and nothing of the body.
    ///
    /// # Errors
    /// If the message cannot be read.
    pub fn of(content: &Content, own: &Address) -> io::Result<Way> {
        let mut search = Search::of(own);
        let read = content.each_piece(|piece| Ok::<Go, io::Error>(search.feed(piece)));
        match read {
            Ok(()) => Ok(search.finish()),
            Err(NotCopied::Read(error) | NotCopied::Write(error)) => Err(error),
        }
    }
}

/// A header on its way, in pieces of any size.
struct Search {
    own: String,
    /// The beginning of a line whose end is not there yet.
    line: Vec<u8>,
    way: Way,
}

impl Search {
    fn of(own: &Address) -> Search {
        Search { own: own.to_string().to_lowercase(), line: Vec::new(), way: Way::default() }
    }

    fn feed(&mut self, mut octets: &[u8]) -> Go {
        while let Some(feed) = memchr(b'\n', octets) {
            let (line, rest) = (&octets[..feed], &octets[feed + 1..]);
            octets = rest;
            let go = if self.line.is_empty() {
                look(&mut self.way, &self.own, line)
            } else {
                self.keep(line);
                let go = look(&mut self.way, &self.own, &self.line);
                self.line.clear();
                go
            };
            if go == Go::Stop {
                return Go::Stop;
            }
        }
        self.keep(octets);
        Go::On
    }

    fn keep(&mut self, octets: &[u8]) {
        let room = LINE_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&octets[..octets.len().min(room)]);
    }

    /// The end of a message that has no body: its last line may have no end.
    fn finish(mut self) -> Way {
        if !self.line.is_empty() {
            look(&mut self.way, &self.own, &self.line);
        }
        self.way
    }
}

fn look(way: &mut Way, own: &str, line: &[u8]) -> Go {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Most lines of a header begin otherwise.
    match line.first() {
        None => return Go::Stop,
        Some(b'R' | b'r' | b'D' | b'd') => {}
        Some(_) => return Go::On,
    }
    let value_of = |name: &str| {
        let (head, value) = line.split_at_checked(name.len())?;
        head.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    };
    if value_of("Received:").is_some() {
        way.hops += 1;
    } else if let Some(value) = value_of("Delivered-To:") {
        way.hops += 1;
        let value = String::from_utf8_lossy(value).trim().to_lowercase();
        // Its domain may stand there in A-labels.
        let same = |address: Address| address.to_string() == own;
        way.looping |= value == own || value.parse().is_ok_and(same);
    }
    Go::On
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn way(message: &str) -> Way {
        Way::of(&Content::Memory(message.to_string().into()), &address("abc@pobox.example")).unwrap()
    }

    #[test]
    fn the_fields_are_written_as_the_envelope_has_them() {
        let from = ReversePath::Address(address("\"s p\"@x.example"));
        assert_eq!(
            on_top(&from, &address("abc@pobox.example")),
            "Return-Path: <\"s p\"@x.example>\nDelivered-To: abc@pobox.example\n"
        );
        assert!(on_top(&ReversePath::Null, &address("a@b.example")).starts_with("Return-Path: <>\n"));
    }

    #[test]
    fn a_loop_is_seen_in_the_header_whatever_the_case_and_not_in_the_body() {
        for (message, looping) in [
            ("Subject: x\r\nDelivered-To: abc@pobox.example\r\n\r\nhi\r\n", true),
            ("DELIVERED-TO:ABC@Pobox.example \r\n\r\nhi\r\n", true),
            ("Delivered-To: abc@pobox.example", true),
            ("Delivered-To: abcd@pobox.example\r\n\r\nhi\r\n", false),
            ("Subject: x\r\n\r\nDelivered-To: abc@pobox.example\r\n", false),
            ("\r\nDelivered-To: abc@pobox.example\r\n", false),
            ("", false),
        ] {
            assert_eq!(way(message).looping, looping, "{message:?}");
        }
    }

    #[test]
    fn a_loop_is_seen_in_the_other_form_of_an_international_domain() {
        for written in ["abc@例え.テスト", "ABC@XN--R8JZ45G.xn--zckzah"] {
            let message = Content::Memory(format!("Delivered-To: {written}\r\n\r\n").into());
            assert!(Way::of(&message, &address("abc@例え.テスト")).unwrap().looping, "{written}");
        }
    }

    #[test]
    fn a_loop_is_seen_however_long_the_header_is() {
        let text = format!("X: {}\r\nDelivered-To: abc@pobox.example\r\n\r\n", "y".repeat(700 << 10));
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let content = Content::File(std::sync::Arc::new(file), text.len() as u64);
        assert!(Way::of(&content, &address("abc@pobox.example")).unwrap().looping);
    }

    #[test]
    fn hops_are_the_hosts_and_the_deliveries() {
        let message =
            "Received: x\r\n by y\r\nRECEIVED: z\r\nDelivered-To: q@r\r\nReceivedx: no\r\n\r\nReceived: b";
        assert_eq!(way(message).hops, 3);
    }

    proptest! {
        #[test]
        fn any_pieces_of_a_message_tell_the_same_as_the_whole(
            pieces in proptest::collection::vec(
                "(Received: x|Delivered-To: |abc@pobox.example|\r\n|\r|\n|\\PC){0,6}", 0..6)
        ) {
            let mut search = Search::of(&address("abc@pobox.example"));
            for piece in &pieces {
                if search.feed(piece.as_bytes()) == Go::Stop {
                    search.line.clear();
                    break;
                }
            }
            prop_assert_eq!(search.finish(), way(&pieces.concat()));
        }
    }
}
