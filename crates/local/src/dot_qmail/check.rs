//! What is refused when a text is written, though qmail would take it.
//!
//! In qmail such a text shows its fault only when mail comes: it waits for a week, goes to a file
//! with an odd name, or is lost. Here its writer is told at once.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use envelope::Address;

use crate::dot_qmail::grammar::{Context, Line, numbered_lines};
use crate::dot_qmail::instructions::Instructions;
use crate::dot_qmail::trap::{Problem, Trap};

/// No text longer than this is looked at, whatever the limits say. In octets.
pub const TEXT_MAX: usize = 1 << 20;

/// After so many problems the rest is not looked for: nobody reads on.
const PROBLEMS_MAX: usize = 50;

/// What the writer of a text may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits<'a> {
    /// Forwards that one address may have.
    pub forward_limit: usize,
    /// The longest text in octets.
    pub size_max: usize,
    /// Whether the account may run programs.
    pub programs: bool,
    /// Whether the account may name Maildirs and mbox files besides its own mailbox.
    pub files: bool,
    /// The account's home, in which all paths must lie. None: no path may begin with `/`.
    pub home: Option<&'a Path>,
}

impl Default for Limits<'_> {
    /// A customer who is allowed nothing in particular: ten forwards, 64 KiB.
    fn default() -> Self {
        Limits { forward_limit: 10, size_max: 64 << 10, programs: false, files: false, home: None }
    }
}

impl Instructions {
    /// Reads a text that is to be stored, and refuses what its writer cannot have meant or may
    /// not do. What passes is read by [`parse`](Self::parse) as the same list.
    ///
    /// A page's text area sends CR LF; whoever takes it from there makes LF of them first.
    ///
    /// Links in the file system are not seen here: whoever opens a path still has to hold it to
    /// the account's home.
    ///
    /// # Errors
    /// All problems (the first 50), in the order of their lines.
    pub fn check_for_writing(text: &[u8], limits: &Limits<'_>) -> Result<Instructions, Vec<Problem>> {
        let max = limits.size_max.min(TEXT_MAX);
        if text.len() > max {
            return Err(vec![Problem { line: None, trap: Trap::TooLong { octets: text.len(), max } }]);
        }
        if text.is_empty() {
            return Ok(Instructions::default_delivery());
        }
        let mut check = Check { limits, problems: Vec::new(), forwards: 0, list: false, crlf: false };
        for (number, line) in numbered_lines(text) {
            check.line(number, line);
            if check.problems.len() >= PROBLEMS_MAX {
                break;
            }
        }
        if !check.problems.is_empty() {
            return Err(check.problems);
        }
        Instructions::parse(text, &Context::default())
            .map_err(|error| vec![Problem { line: Some(error.line), trap: error.fault.into() }])
    }
}

/// A text on its way through the lines.
struct Check<'a> {
    limits: &'a Limits<'a>,
    problems: Vec<Problem>,
    forwards: usize,
    list: bool,
    crlf: bool,
}

impl Check<'_> {
    fn line(&mut self, number: u32, line: &[u8]) {
        let mut problem = |trap| self.problems.push(Problem { line: Some(number), trap });
        // Go on as if the CR were not there, so that it hides no other problem.
        let (line, crlf) = line.strip_suffix(b"\r").map_or((line, false), |line| (line, true));
        if crlf && !self.crlf {
            self.crlf = true;
            problem(Trap::CarriageReturn);
        }
        let Ok(text) = str::from_utf8(line) else { return problem(Trap::NotUtf8) };
        if let Some(character) = text.chars().find(|c| is_invisible(*c)) {
            return problem(Trap::ControlCharacter { character });
        }
        let kind = Line::read(line);
        let found = match kind {
            Line::Blank if number == 1 => Err(Trap::FirstLineBlank),
            Line::Blank | Line::Comment => Ok(()),
            _ if text.starts_with(char::is_whitespace) => Err(Trap::LeadingBlank),
            Line::Mailbox | Line::Maildir(_) | Line::Mbox(_) | Line::Program(_) if self.list => {
                Err(Trap::OnlyForwardsAfterList)
            }
            Line::Mailbox => Ok(()),
            Line::Maildir(path) | Line::Mbox(path) => check_path(path, self.limits),
            Line::Program(_) if !self.limits.programs => Err(Trap::ProgramNotAllowed),
            Line::Program(command) if command.trim_ascii().is_empty() => Err(Trap::NoProgram),
            Line::Program(_) => Ok(()),
            Line::Forward(to) => check_forward(to),
            Line::List => Ok(()),
            Line::UnknownWord => Err(Trap::UnknownWord),
        };
        if let Err(trap) = found {
            problem(trap);
        }
        match kind {
            Line::List => self.list = true,
            Line::Forward(_) => {
                self.forwards += 1;
                if self.forwards == self.limits.forward_limit.saturating_add(1) {
                    problem(Trap::TooManyForwards { limit: self.limits.forward_limit });
                }
            }
            _ => {}
        }
    }
}

/// Control characters, and those that show as nothing or turn the direction of the text: with
/// them a line reads as another than it is. A byte order mark is among them.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control() && c != '\t'
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

fn check_path(octets: &[u8], limits: &Limits<'_>) -> Result<(), Trap> {
    if !octets.contains(&b'/') && str::from_utf8(octets).is_ok_and(|text| Address::parse(text).is_ok()) {
        return Err(Trap::AddressReadAsPath);
    }
    let is_maildir = octets.ends_with(b"/");
    let path = Path::new(OsStr::from_bytes(octets));
    let called_maildir = path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("maildir"));
    if called_maildir && !is_maildir {
        return Err(Trap::MaildirWithoutSlash);
    }
    if !limits.files {
        return Err(Trap::FileNotAllowed);
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(Trap::ParentDirectory);
    }
    let inside = match limits.home {
        Some(home) if path.is_absolute() => path.strip_prefix(home).map_err(|_| Trap::OutsideHome)?,
        None if path.is_absolute() => return Err(Trap::OutsideHome),
        _ => path,
    };
    if !inside.components().any(|part| matches!(part, Component::Normal(_))) {
        return Err(Trap::NoMailboxName);
    }
    Ok(())
}

/// The signs of a habit from elsewhere come first, as they are explained better than the address
/// that they spoil.
pub(super) fn check_forward(to: &[u8]) -> Result<(), Trap> {
    let text = String::from_utf8_lossy(to);
    let not_an_address = |reason| Trap::NotAnAddress { text: text.to_string(), reason };
    if let Some(character) = text.chars().find(|c| ('\u{ff01}'..='\u{ff5e}').contains(c)) {
        return Err(Trap::FullWidth { character });
    }
    if text.contains(['<', '>']) {
        return Err(Trap::AngleBrackets);
    }
    if text.contains([',', ';']) || text.matches('@').count() > 1 {
        return Err(Trap::SeveralAddresses);
    }
    if text.contains('"') {
        return Err(Trap::QuotationMarks);
    }
    if text.contains(char::is_whitespace) {
        return Err(Trap::BlankInAddress);
    }
    if !text.contains('@') {
        if text.contains('/') {
            return Err(Trap::PathWithoutDot { text: text.to_string() });
        }
        // A local-part alone must be one that needs no quotes, as in a full address.
        return Address::parse(&format!("{text}@host.example")).map(drop).map_err(not_an_address);
    }
    Address::parse(&text).map(drop).map_err(not_an_address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dot_qmail::forward_to::ForwardTo;
    use crate::dot_qmail::grammar::any_text;
    use crate::dot_qmail::instructions::Instruction;
    use envelope::address::AddressError;
    use proptest::prelude::*;

    /// The limits of an account that may do all that there is.
    fn free() -> Limits<'static> {
        Limits { programs: true, files: true, home: Some(Path::new("/home/abc")), ..Limits::default() }
    }

    fn problems(text: &[u8], limits: &Limits<'_>) -> Vec<(Option<u32>, Trap)> {
        let problems = Instructions::check_for_writing(text, limits).err().unwrap_or_default();
        problems.into_iter().map(|problem| (problem.line, problem.trap)).collect()
    }

    fn trap(text: &str, limits: &Limits<'_>) -> Option<Trap> {
        problems(text.as_bytes(), limits).pop().map(|(_, trap)| trap)
    }

    #[test]
    fn what_people_mean_is_taken() {
        for text in [
            "",
            "# nobody\n",
            "./Maildir/\n",
            "./Maildir/",
            "a@x.example\n&b@x.example\n\n# c\n./Maildir/\n",
            "taro..@carrier.example\n",
            "&.taro.@carrier.example\n",
            "太郎@例え.テスト\n# コメント\n",
            "&+tag@x.example\njoe\n",
            "+list\na@x.example\n",
        ] {
            assert_eq!(trap(text, &Limits::default()), None, "{text:?}");
        }
        for text in ["|cat >/dev/null\n", "./lists/\n.x\n", "/home/abc/old\n/home/abc/lists/ja/\n"] {
            assert_eq!(trap(text, &free()), None, "{text:?}");
        }
    }

    #[test]
    fn every_trap_is_refused_and_explained() {
        let not = |text: &str, reason| Trap::NotAnAddress { text: text.into(), reason };
        let without_dot = |text: &str| Trap::PathWithoutDot { text: text.into() };
        for (text, expected) in [
            ("\n./Maildir/\n", Trap::FirstLineBlank),
            (" \t", Trap::FirstLineBlank),
            (" a@x.example", Trap::LeadingBlank),
            ("\t./Maildir/", Trap::LeadingBlank),
            (" |x", Trap::LeadingBlank),
            ("\u{3000}a@x.example", Trap::LeadingBlank),
            ("./Maildir/\r\n", Trap::CarriageReturn),
            ("a@x\r.example", Trap::ControlCharacter { character: '\r' }),
            ("|x\0", Trap::ControlCharacter { character: '\0' }),
            ("# \u{1b}[2J", Trap::ControlCharacter { character: '\u{1b}' }),
            ("\u{feff}./Maildir/", Trap::ControlCharacter { character: '\u{feff}' }),
            ("|rm \u{202e}x", Trap::ControlCharacter { character: '\u{202e}' }),
            ("<a@x.example>", Trap::AngleBrackets),
            ("Taro <a@x.example>", Trap::AngleBrackets),
            ("\"a\"@x.example", Trap::QuotationMarks),
            ("\"|prog\"", Trap::QuotationMarks),
            ("a@x.example, b@x.example", Trap::SeveralAddresses),
            ("a@x.example b@x.example", Trap::SeveralAddresses),
            ("a,b", Trap::SeveralAddresses),
            ("& a@x.example", Trap::BlankInAddress),
            ("a@x.example # home", Trap::BlankInAddress),
            ("ａ@x.example", Trap::FullWidth { character: 'ａ' }),
            ("a＠x.example", Trap::FullWidth { character: '＠' }),
            ("＃ memo", Trap::FullWidth { character: '＃' }),
            ("&", not("", AddressError::LocalPart)),
            ("@x.example", not("@x.example", AddressError::LocalPart)),
            ("a@", not("a@", AddressError::Shape)),
            ("a@x..example", not("a@x..example", AddressError::Domain)),
            ("(a)@x.example", not("(a)@x.example", AddressError::LocalPart)),
            ("Maildir/", without_dot("Maildir/")),
            ("~/Maildir/", without_dot("~/Maildir/")),
            ("&./Maildir/", without_dot("./Maildir/")),
            ("|", Trap::NoProgram),
            ("| \t", Trap::NoProgram),
            (".taro@carrier.example", Trap::AddressReadAsPath),
            ("./Maildir", Trap::MaildirWithoutSlash),
            ("/home/abc/maildir", Trap::MaildirWithoutSlash),
            ("../xyz/Maildir/", Trap::ParentDirectory),
            ("./a/../../b", Trap::ParentDirectory),
            ("/home/abc/../xyz/x", Trap::ParentDirectory),
            ("/home/abcd/x", Trap::OutsideHome),
            ("/etc/passwd", Trap::OutsideHome),
            ("/", Trap::OutsideHome),
            (".", Trap::NoMailboxName),
            ("./", Trap::NoMailboxName),
            ("/home/abc/", Trap::NoMailboxName),
            ("+list\n./Maildir/", Trap::OnlyForwardsAfterList),
            ("+list\n|x", Trap::OnlyForwardsAfterList),
            ("+tag@x.example", Trap::UnknownWord),
        ] {
            let found = problems(text.as_bytes(), &free());
            assert!(
                matches!(found.as_slice(), [(Some(_), trap)] if *trap == expected),
                "{text:?}: {found:?}"
            );
            assert!(expected.to_string().len() > 20);
        }
        assert_eq!(problems(b"|echo \xe9", &free()), [(Some(1), Trap::NotUtf8)]);
    }

    #[test]
    fn an_account_may_only_what_it_was_given() {
        let plain = Limits::default();
        assert_eq!(trap("|x", &plain), Some(Trap::ProgramNotAllowed));
        assert_eq!(trap("./old", &plain), Some(Trap::FileNotAllowed));
        assert_eq!(trap("./lists/", &plain), Some(Trap::FileNotAllowed));
        assert_eq!(trap("/home/abc/x", &Limits { home: None, ..free() }), Some(Trap::OutsideHome));
        let forwards = |count| "a@x.example\n".repeat(count).into_bytes();
        assert_eq!(problems(&forwards(10), &plain), []);
        assert_eq!(problems(&forwards(15), &plain), [(Some(11), Trap::TooManyForwards { limit: 10 })]);
    }

    #[test]
    fn every_line_is_told_of_and_crlf_once() {
        let text = b"./Maildir/\r\n a@x.example\r\n\r\n|x\r\nb@x.example\r\n";
        assert_eq!(
            problems(text, &Limits::default()),
            [
                (Some(1), Trap::CarriageReturn),
                (Some(2), Trap::LeadingBlank),
                (Some(4), Trap::ProgramNotAllowed)
            ]
        );
        let problem = Problem { line: Some(2), trap: Trap::LeadingBlank };
        assert!(problem.to_string().starts_with("line 2: The line begins with a blank."));
        assert_eq!(problems(&b" x\n".repeat(9_000), &free()).len(), PROBLEMS_MAX);
    }

    #[test]
    fn a_text_that_is_too_long_is_not_looked_at() {
        let too_long = |octets, max| vec![(None, Trap::TooLong { octets, max })];
        let text = b"\0".repeat(TEXT_MAX + 1);
        assert_eq!(problems(&text[..65_537], &free()), too_long(65_537, 65_536));
        let endless = Limits { size_max: usize::MAX, ..free() };
        assert_eq!(problems(&text, &endless), too_long(TEXT_MAX + 1, TEXT_MAX));
    }

    proptest! {
        #[test]
        fn any_octets_pass_as_what_they_are_or_have_problems_in_order(text in any_text(), free_account: bool) {
            let limits = if free_account { free() } else { Limits::default() };
            match Instructions::check_for_writing(&text, &limits) {
                Ok(instructions) => {
                    let parsed = Instructions::parse(&text, &Context::default());
                    prop_assert_eq!(parsed.as_ref(), Ok(&instructions));
                    prop_assert!(instructions.counts().forwards <= limits.forward_limit);
                    for instruction in &instructions {
                        match instruction {
                            Instruction::Mailbox | Instruction::ForwardOnly => {}
                            Instruction::Program(_) => prop_assert!(free_account),
                            Instruction::Maildir(path) | Instruction::Mbox(path) => {
                                prop_assert!(free_account);
                                prop_assert!(!path.components().any(|part| part == Component::ParentDir));
                                prop_assert!(path.is_relative() || path.starts_with("/home/abc/"));
                            }
                            Instruction::Forward(to) => {
                                let no_address = matches!(to, ForwardTo::Undeliverable { .. });
                                prop_assert!(!no_address);
                            }
                        }
                    }
                    // What is stored may be shown and edited again.
                    prop_assert!(Instructions::check_for_writing(&instructions.to_text(), &limits).is_ok());
                }
                Err(problems) => {
                    prop_assert!(!problems.is_empty());
                    prop_assert!(problems.iter().map(|p| p.line).is_sorted());
                }
            }
        }
    }
}
