//! From text to instructions, line by line, as qmail-local reads it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use thiserror::Error;

use crate::dot_qmail::forward_to::ForwardTo;
use crate::dot_qmail::instructions::{Instruction, Instructions, OWN_MAILBOX};

/// What a text does not say of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// Only forwards are allowed, as if the text began with `+list`. qmail takes this from the
    /// owner's execute bit of the file. An empty text is default delivery all the same.
    pub forward_only: bool,
}

/// Nothing of the text can be obeyed. The message waits until the text is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{fault} (line {line})")]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: u32,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line, in qmail's words where it has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// A file whose owner began to write it and stopped, perhaps.
    #[error("Uh-oh: first line of .qmail file is blank. (#4.2.1)")]
    FirstLineBlank,
    /// A mailbox or file where only forwards are allowed.
    #[error("Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)")]
    FileWhereForwardOnly,
    /// A program where only forwards are allowed.
    #[error("Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)")]
    ProgramWhereForwardOnly,
    /// No path or command can have a NUL. qmail ends the line there, and so would obey another
    /// line than the one that was written.
    #[error("Uh-oh: .qmail file has a NUL character. (#4.3.0)")]
    Nul,
}

impl Instructions {
    /// Reads a text.
    ///
    /// An empty text is default delivery. A text of comments alone is an empty list: the mail is
    /// accepted and thrown away.
    ///
    /// # Errors
    /// If a line cannot be obeyed; then none is.
    pub fn parse(text: &[u8], context: &Context) -> Result<Instructions, ParseError> {
        if text.is_empty() {
            return Ok(Instructions::default_delivery());
        }
        let mut forward_only = context.forward_only;
        let mut instructions = Vec::new();
        for (line, octets) in numbered_lines(text) {
            let error = |fault| Err(ParseError { line, fault });
            let kind = Line::read(octets);
            if kind.is_obeyed() && octets.contains(&0) {
                return error(Fault::Nul);
            }
            instructions.push(match kind {
                Line::Blank if line == 1 => return error(Fault::FirstLineBlank),
                Line::Blank | Line::Comment | Line::UnknownWord => continue,
                Line::Mailbox | Line::Maildir(_) | Line::Mbox(_) if forward_only => {
                    return error(Fault::FileWhereForwardOnly);
                }
                Line::Program(_) if forward_only => return error(Fault::ProgramWhereForwardOnly),
                Line::Mailbox => Instruction::Mailbox,
                Line::Maildir(path) => Instruction::Maildir(path_of(path)),
                Line::Mbox(path) => Instruction::Mbox(path_of(path)),
                Line::Program(command) => Instruction::Program(OsStr::from_bytes(command).into()),
                Line::Forward(to) => Instruction::Forward(ForwardTo::read(to)),
                Line::List => {
                    forward_only = true;
                    Instruction::ForwardOnly
                }
            });
        }
        Ok(Instructions(instructions))
    }
}

/// A line by its first octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Blank,
    Comment,
    Mailbox,
    Maildir(&'a [u8]),
    Mbox(&'a [u8]),
    Program(&'a [u8]),
    /// What stands after the `&`, or the whole line.
    Forward(&'a [u8]),
    List,
    /// `+` and another word than `list`, which qmail passes over.
    UnknownWord,
}

impl<'a> Line<'a> {
    /// Reads a line without its LF. Blanks at its end do not count; those at its beginning do.
    pub(super) fn read(line: &'a [u8]) -> Line<'a> {
        let line = without_final_blanks(line);
        match line {
            [] => Line::Blank,
            [b'#', ..] => Line::Comment,
            [b'|', command @ ..] => Line::Program(command),
            OWN_MAILBOX => Line::Mailbox,
            [b'/' | b'.', ..] if line.ends_with(b"/") => Line::Maildir(line),
            [b'/' | b'.', ..] => Line::Mbox(line),
            [b'&', to @ ..] => Line::Forward(to),
            b"+list" => Line::List,
            [b'+', ..] => Line::UnknownWord,
            to => Line::Forward(to),
        }
    }

    fn is_obeyed(&self) -> bool {
        !matches!(self, Line::Blank | Line::Comment | Line::UnknownWord)
    }
}

/// The lines without their LF, counted from 1. Behind the last LF comes an empty one, which counts
/// for nothing.
pub(super) fn numbered_lines(text: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1);
    text.split(|octet| *octet == b'\n').enumerate().map(move |(at, line)| (number(at), line))
}

pub(super) fn without_final_blanks(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|octet| !matches!(octet, b' ' | b'\t'));
    &line[..end.map_or(0, |last| last + 1)]
}

fn path_of(octets: &[u8]) -> PathBuf {
    OsStr::from_bytes(octets).into()
}

/// Any octets, and texts that are nearly right.
#[cfg(test)]
pub(super) fn any_text() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let word = prop_oneof![
        Just(b"./Maildir/".to_vec()),
        Just(b"a@x.example".to_vec()),
        Just(b"+list".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"../".to_vec()),
        proptest::sample::select(b"\n\n\n#|/.&+ \t\r\0@<a\"'$`\xff".to_vec()).prop_map(|octet| vec![octet]),
        "[a-zA-Z0-9@./-]{0,12}".prop_map(String::into_bytes),
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(word, 0..30).prop_map(|words| words.concat()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &[u8]) -> Result<Vec<Instruction>, ParseError> {
        Instructions::parse(text, &Context::default()).map(|instructions| instructions.0)
    }

    fn forward(text: &str) -> Instruction {
        Instruction::Forward(ForwardTo::read(text.as_bytes()))
    }

    fn program(command: &str) -> Instruction {
        Instruction::Program(command.into())
    }

    fn maildir(path: &str) -> Instruction {
        Instruction::Maildir(path.into())
    }

    fn mbox(path: &str) -> Instruction {
        Instruction::Mbox(path.into())
    }

    #[test]
    fn every_kind_of_line_is_read_as_qmail_reads_it() {
        use Instruction::{ForwardOnly, Mailbox};
        let cases: &[(&str, &[Instruction])] = &[
            // Nothing at all is default delivery; comments alone throw the mail away.
            ("", &[Mailbox]),
            ("#", &[]),
            ("# one\n#two\n", &[]),
            ("#\n\n \t\n", &[]),
            // Files: what ends in a slash is a Maildir, all else an mbox.
            ("./Maildir/", &[Mailbox]),
            ("./Maildir/\n", &[Mailbox]),
            ("./Maildir/ \t \n", &[Mailbox]),
            ("./Maildir\n", &[mbox("./Maildir")]),
            ("./Maildir/\r\n", &[mbox("./Maildir/\r")]),
            ("./Maildir/ #mine\n", &[mbox("./Maildir/ #mine")]),
            ("./lists/\n", &[maildir("./lists/")]),
            ("/var/mail/abc/\n", &[maildir("/var/mail/abc/")]),
            ("/var/mail/abc\n", &[mbox("/var/mail/abc")]),
            (".hidden\n../up/\n", &[mbox(".hidden"), maildir("../up/")]),
            (".\n/\n", &[mbox("."), maildir("/")]),
            ("Maildir/\n", &[forward("Maildir/")]),
            // Programs: the line as it stands.
            ("|", &[program("")]),
            ("|cat > \"$EXT\" \t\n", &[program("cat > \"$EXT\"")]),
            ("| x | y # z\n", &[program(" x | y # z")]),
            ("|./Maildir/\n", &[program("./Maildir/")]),
            // Forwards: no trimming at the front, no check, no list.
            ("&a@x.example\n", &[forward("a@x.example")]),
            ("a@x.example\n", &[forward("a@x.example")]),
            ("& a@b\n", &[forward(" a@b")]),
            (" a@b\n", &[forward(" a@b")]),
            ("&<a@b>\n", &[forward("<a@b>")]),
            ("&&a@b\n", &[forward("&a@b")]),
            ("&#a@b\n&|a@b\n&./Maildir/\n", &[forward("#a@b"), forward("|a@b"), forward("./Maildir/")]),
            ("a@b, c@d\n", &[forward("a@b, c@d")]),
            ("&\n", &[forward("")]),
            ("joe\n", &[forward("joe")]),
            ("a@b\r\n", &[forward("a@b\r")]),
            ("\ra@b\n", &[forward("\ra@b")]),
            // +list, and + with any other word.
            ("+list\na@b\n", &[ForwardOnly, forward("a@b")]),
            ("+list \na@b\n", &[ForwardOnly, forward("a@b")]),
            ("./Maildir/\n+list\n", &[Mailbox, ForwardOnly]),
            ("+List\n+\n+ list\n+lists\n|x\n", &[program("x")]),
            // Blank lines count for nothing, but for the first.
            ("./Maildir/\n\n \t\na@b", &[Mailbox, forward("a@b")]),
            ("./Maildir/\n./Maildir/\n", &[Mailbox, Mailbox]),
            // A NUL where nothing is obeyed.
            ("#\0\n./Maildir/\n", &[Mailbox]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes()).as_deref(), Ok(*expected), "{text:?}");
        }
        // Octets that are not UTF-8 stay as they are.
        let latin = parse(b"|echo \xe9\n./caf\xe9\n").unwrap();
        assert_eq!(latin[0], Instruction::Program(OsStr::from_bytes(b"echo \xe9").into()));
        assert_eq!(latin[1], Instruction::Mbox(path_of(b"./caf\xe9")));
    }

    #[test]
    fn a_text_that_cannot_be_obeyed_names_the_line() {
        for (text, line, fault) in [
            ("\n", 1, Fault::FirstLineBlank),
            (" ", 1, Fault::FirstLineBlank),
            ("\t \n./Maildir/\n", 1, Fault::FirstLineBlank),
            ("+list\n./Maildir/\n", 2, Fault::FileWhereForwardOnly),
            ("a@b\n+list\n\n./x\n", 4, Fault::FileWhereForwardOnly),
            ("+list\n./x/\n", 2, Fault::FileWhereForwardOnly),
            ("+list\n|x\n", 2, Fault::ProgramWhereForwardOnly),
            ("./Maildir/\n|rm\0 -rf\n", 2, Fault::Nul),
            ("./Mail\0dir/\n", 1, Fault::Nul),
            ("a@b\0\n", 1, Fault::Nul),
            ("\0\n", 1, Fault::Nul),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(ParseError { line, fault }), "{text:?}");
        }
        let error = ParseError { line: 1, fault: Fault::FirstLineBlank };
        assert_eq!(error.to_string(), "Uh-oh: first line of .qmail file is blank. (#4.2.1) (line 1)");
    }

    #[test]
    fn a_forward_only_file_takes_forwards_and_the_empty_text_alone() {
        let context = Context { forward_only: true };
        let parse = |text: &[u8]| Instructions::parse(text, &context).map(|i| i.0).map_err(|e| e.fault);
        assert_eq!(parse(b"a@b\n"), Ok(vec![forward("a@b")]));
        assert_eq!(parse(b""), Ok(vec![Instruction::Mailbox]));
        assert_eq!(parse(b"./Maildir/\n"), Err(Fault::FileWhereForwardOnly));
        assert_eq!(parse(b"|x\n"), Err(Fault::ProgramWhereForwardOnly));
    }

    proptest! {
        #[test]
        fn any_octets_are_a_list_or_an_error_with_a_line_of_the_text(text in any_text()) {
            let lines = text.split(|octet| *octet == b'\n').count();
            if let Err(error) = Instructions::parse(&text, &Context::default()) {
                prop_assert!(error.line >= 1 && error.line as usize <= lines);
            }
        }

        /// Without our own splitting and trimming: each is a line of the text but for blanks
        /// behind it, and they stand in its order.
        #[test]
        fn no_program_or_path_is_named_that_is_not_literally_a_line(text in any_text()) {
            let Ok(instructions) = Instructions::parse(&text, &Context::default()) else { return Ok(()) };
            if text.is_empty() {
                return Ok(());
            }
            let mut lines = text.split(|octet| *octet == b'\n');
            for instruction in &instructions {
                let literal: Vec<u8> = match instruction {
                    Instruction::Mailbox => b"./Maildir/".to_vec(),
                    Instruction::Maildir(path) | Instruction::Mbox(path) => path.as_os_str().as_bytes().to_vec(),
                    Instruction::Program(command) => [b"|", command.as_bytes()].concat(),
                    Instruction::Forward(_) | Instruction::ForwardOnly => continue,
                };
                prop_assert!(!literal.contains(&0));
                prop_assert!(lines.any(|line| line
                    .strip_prefix(literal.as_slice())
                    .is_some_and(|rest| rest.iter().all(|octet| b" \t".contains(octet)))));
            }
        }
    }
}
