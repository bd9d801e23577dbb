//! What can be wrong with a text, in plain words. [`Trap`] is a type, so that a page can say them
//! in another language.

use std::fmt;

use envelope::address::AddressError;
use thiserror::Error;

use crate::dot_qmail::grammar::Fault;

/// One thing that is wrong with a text. `Display` says it in English, with the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; none if it is the text as a whole.
    pub line: Option<u32>,
    /// What is wrong.
    pub trap: Trap,
}

/// What is wrong. `Display` explains it in English, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trap {
    /// Longer than the limit.
    #[error("The text has {octets} octets; at most {max} are allowed.")]
    TooLong {
        /// How long it is.
        octets: usize,
        /// How long it may be.
        max: usize,
    },
    /// qmail would let all mail wait.
    #[error("The first line is blank. Begin with an instruction, or with a comment (# …).")]
    FirstLineBlank,
    /// qmail would forward to an address that begins with a blank.
    #[error("The line begins with a blank. Remove it: every line must begin at its first character.")]
    LeadingBlank,
    /// qmail would take the CR as a part of the path, address or command. Told once, for the first line.
    #[error("The line ends in CR LF, as some editors write it. Save the text with plain LF line ends.")]
    CarriageReturn,
    /// NUL, another control character, or one that shows as nothing or makes text run backwards.
    #[error("The line has a character that cannot be seen ({}). Remove it.", .character.escape_unicode())]
    ControlCharacter {
        /// Which.
        character: char,
    },
    /// The octets are no UTF-8.
    #[error("The line is not UTF-8. Save the text in UTF-8.")]
    NotUtf8,
    /// Not an address.
    #[error("{text:?} is not a mail address: {reason}.")]
    NotAnAddress {
        /// What stands there.
        text: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// `<a@b>`, which is taken literally.
    #[error("Write the address alone, without a name and without < >.")]
    AngleBrackets,
    /// `"a b"@c`, which is taken literally.
    #[error("Write the address without quotation marks.")]
    QuotationMarks,
    /// `a@b, c@d`.
    #[error("There is more than one address in the line. Write each in a line of its own.")]
    SeveralAddresses,
    /// `a@b # home`, `& a@b`.
    #[error(
        "There is a blank in the address. A line has nothing but the address; a comment takes a line of its own."
    )]
    BlankInAddress,
    /// A character of Japanese width, as in `a＠b`: it is not the one that it looks like.
    #[error("The line has the full-width character {character}. Write it in half width.")]
    FullWidth {
        /// Which.
        character: char,
    },
    /// `Maildir/`, `~/Maildir/`: qmail would forward to a user of that name.
    #[error(
        "{text:?} is read as a mail address. For the account's own mailbox write ./Maildir/ with a dot and a slash."
    )]
    PathWithoutDot {
        /// What stands there.
        text: String,
    },
    /// `.taro@carrier.example`, as Japanese carriers gave them out: qmail would write a file of that name.
    #[error("A line that begins with a dot names a file. To forward to this address, write & before it.")]
    AddressReadAsPath,
    /// More forwards than allowed. Told once, for the first that is too many.
    #[error("There are more than {limit} forward destinations, which is all that one address may have.")]
    TooManyForwards {
        /// How many there may be.
        limit: usize,
    },
    /// The account may not.
    #[error("This account may not run programs. Ask the postmaster if you need it.")]
    ProgramNotAllowed,
    /// `|` alone: every message would vanish with success.
    #[error("There is no program after the |. To throw mail away, write a comment (# …) as the only line.")]
    NoProgram,
    /// The account may not.
    #[error("This account may deliver to its own mailbox only. Write ./Maildir/ for it.")]
    FileNotAllowed,
    /// `..` in a path.
    #[error("A path may not have .. in it. Write it from the home directory on: ./folder/name/.")]
    ParentDirectory,
    /// A path that leads elsewhere.
    #[error("The path does not lie in the account's home directory. Write it from there on: ./folder/name/.")]
    OutsideHome,
    /// `.`, `./`, `/`: the home itself.
    #[error("The path names a directory, not a mailbox. For the account's own mailbox write ./Maildir/.")]
    NoMailboxName,
    /// `./Maildir`: qmail would write a file of that name.
    #[error(
        "A Maildir is written with a slash at its end: ./Maildir/. Without it the line names an mbox file."
    )]
    MaildirWithoutSlash,
    /// A file or program after `+list`.
    #[error("After +list only forwards are allowed.")]
    OnlyForwardsAfterList,
    /// `+` and another word: qmail would pass over it.
    #[error(
        "The only line that begins with + is +list. An address that begins with + is written with & before it."
    )]
    UnknownWord,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.trap),
            None => self.trap.fmt(f),
        }
    }
}

impl std::error::Error for Problem {}

impl From<Fault> for Trap {
    fn from(fault: Fault) -> Trap {
        match fault {
            Fault::FirstLineBlank => Trap::FirstLineBlank,
            Fault::FileWhereForwardOnly | Fault::ProgramWhereForwardOnly => Trap::OnlyForwardsAfterList,
            Fault::Nul => Trap::ControlCharacter { character: '\0' },
        }
    }
}
