//! The instructions of one address, in order.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::dot_qmail::forward_to::ForwardTo;

/// How the account's own mailbox is written, in qmail's default delivery too.
pub(super) const OWN_MAILBOX: &[u8] = b"./Maildir/";

/// How no delivery at all is written: an empty text would mean default delivery.
pub(super) const NOTHING: &[u8] = b"# Mail to this address is accepted and thrown away.";

/// What one line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// `./Maildir/`: the account's own mailbox.
    Mailbox,
    /// Another Maildir: a path that ends in `/`, relative to the account's home unless it begins
    /// with `/`.
    Maildir(PathBuf),
    /// A file in mbox form: any other path, relative likewise.
    Mbox(PathBuf),
    /// `|command`: for `/bin/sh -c`, exactly as it stands in the line.
    Program(OsString),
    /// `&address` or `address`.
    Forward(ForwardTo),
    /// `+list`: nothing but forwards may follow. The parser holds the text to it; for whoever
    /// delivers there is nothing to do.
    ForwardOnly,
}

/// What is to be done with a message, in order: first every file and program, then one message to
/// all forwards at once, as qmail does.
///
/// An empty list is a list too: the mail is accepted and thrown away.
///
/// Made only by [`parse`](Self::parse), [`check_for_writing`](Self::check_for_writing),
/// [`default_delivery`](Self::default_delivery) and from a [`Forwarding`](super::Forwarding), so
/// that it can always be written as text that reads back the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instructions(pub(super) Vec<Instruction>);

/// How many instructions of each sort there are: qmail's `did 1+2+0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Mailboxes, Maildirs and mbox files.
    pub files: usize,
    /// Forwards.
    pub forwards: usize,
    /// Programs.
    pub programs: usize,
}

impl Instructions {
    /// What an empty text means, and no text for a standard address: the account's own mailbox.
    pub fn default_delivery() -> Instructions {
        Instructions(vec![Instruction::Mailbox])
    }

    /// The instructions in order.
    pub fn as_slice(&self) -> &[Instruction] {
        &self.0
    }

    /// Where to forward, in order.
    pub fn forwards(&self) -> impl Iterator<Item = &ForwardTo> {
        self.0.iter().filter_map(|instruction| match instruction {
            Instruction::Forward(to) => Some(to),
            _ => None,
        })
    }

    /// How many there are of each sort.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for instruction in &self.0 {
            match instruction {
                Instruction::Mailbox | Instruction::Maildir(_) | Instruction::Mbox(_) => counts.files += 1,
                Instruction::Forward(_) => counts.forwards += 1,
                Instruction::Program(_) => counts.programs += 1,
                Instruction::ForwardOnly => {}
            }
        }
        counts
    }

    /// The instructions as `.qmail` text, one a line, which reads back as the same list. Octets,
    /// as paths and commands need not be UTF-8.
    pub fn to_text(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return [NOTHING, b"\n"].concat();
        }
        let mut text = Vec::new();
        for instruction in &self.0 {
            match instruction {
                Instruction::Mailbox => text.extend_from_slice(OWN_MAILBOX),
                Instruction::Maildir(path) | Instruction::Mbox(path) => {
                    text.extend_from_slice(path.as_os_str().as_bytes());
                }
                Instruction::Program(command) => {
                    text.push(b'|');
                    text.extend_from_slice(command.as_bytes());
                }
                Instruction::Forward(to) => {
                    text.push(b'&');
                    text.extend_from_slice(&to.written());
                }
                Instruction::ForwardOnly => text.extend_from_slice(b"+list"),
            }
            text.push(b'\n');
        }
        text
    }
}

impl<'a> IntoIterator for &'a Instructions {
    type Item = &'a Instruction;
    type IntoIter = std::slice::Iter<'a, Instruction>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dot_qmail::grammar::{Context, any_text};
    use proptest::prelude::*;

    fn parse(text: &[u8]) -> Instructions {
        Instructions::parse(text, &Context::default()).unwrap()
    }

    #[test]
    fn text_written_back_has_no_comments_and_says_what_was_thrown_away() {
        let text = b"# mine\n./Maildir/\n\na@x.example\n|true\n./old\n/lists/\n+list\n&b\n+more\n";
        let written = parse(text).to_text();
        assert_eq!(written, b"./Maildir/\n&a@x.example\n|true\n./old\n/lists/\n+list\n&b\n");
        assert_eq!(parse(b"# nothing\n").as_slice(), []);
        assert_eq!(parse(b"# nothing\n").to_text()[0], b'#');
        assert_eq!(parse(b"").to_text(), b"./Maildir/\n");
    }

    #[test]
    fn each_sort_is_counted() {
        let counts = parse(b"./Maildir/\n./old\n/lists/\na@x.example\nb\n|true\n+list\n# c\n").counts();
        assert_eq!(counts, Counts { files: 3, forwards: 2, programs: 1 });
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(text in any_text()) {
            if let Ok(instructions) = Instructions::parse(&text, &Context::default()) {
                let written = instructions.to_text();
                let again = Instructions::parse(&written, &Context::default()).unwrap();
                // The octets too: paths compare as equal with and without a final slash.
                prop_assert_eq!(again.to_text(), written);
                prop_assert_eq!(again, instructions);
            }
        }
    }
}
