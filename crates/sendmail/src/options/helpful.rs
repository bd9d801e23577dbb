//! `sendmail` in helpful manner: the options of sendmail, Postfix and Exim that change nothing here are
//! let pass; options may stand behind addresses.

use super::addresses;
use super::getopt::looks_like_option;
use super::{Call, Errand, NO_ALIASES, hand, job, said};
use crate::face::{Face, Manner};
use crate::job::FromHeader;
use crate::refusal::Refusal;
use crate::visible::visible;

const NO_QUEUE_RUNS: &str = "sendmail: there is nothing to do: mail that waits is tried again by itself\n";

pub(super) fn understand(
    arguments: &[Vec<u8>],
    environment: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Call, Refusal> {
    let mut given = Given::default();
    let mut arguments = arguments.iter().map(Vec::as_slice);
    while let Some(argument) = arguments.next() {
        match argument {
            b"--" => given.recipients.extend(arguments.by_ref()),
            [b'-', letters @ ..] if !letters.is_empty() => given.options(letters, &mut arguments)?,
            recipient => given.recipients.push(recipient),
        }
    }
    given.call(environment)
}

/// What the arguments said.
#[derive(Default)]
struct Given<'a> {
    sender: Option<&'a [u8]>,
    full_name: Option<&'a [u8]>,
    from_header: bool,
    recipients: Vec<&'a [u8]>,
    /// Another errand than to hand in a message.
    other: Option<Errand>,
    /// What is said if there is no message: something is asked for that is never needed here.
    idle: Option<&'static str>,
    let_pass: Vec<String>,
}

impl<'a> Given<'a> {
    /// The letters of one argument, behind its `-`.
    fn options(
        &mut self,
        mut letters: &'a [u8],
        arguments: &mut (impl Iterator<Item = &'a [u8]> + Clone),
    ) -> Result<(), Refusal> {
        while let Some((&letter, joined)) = letters.split_first() {
            letters = joined;
            let takes = takes(letter).ok_or_else(|| illegal(letter))?;
            let value = match takes {
                Takes::Nothing => None,
                _ if !joined.is_empty() => Some(joined),
                Takes::Joined => None,
                // Another form than that of the value: then it is none, and may be a recipient.
                Takes::Value(form) => {
                    let next = arguments.clone().next();
                    next.filter(|next| !looks_like_option(next) && form(next)).inspect(|_| {
                        arguments.next();
                    })
                }
            };
            if value == Some(joined) {
                // Rather a recipient that begins with a `-` and lacks its `--`.
                if joined.contains(&b'@') && !takes.value_may_be(joined) {
                    return Err(illegal(letter));
                }
                letters = b"";
            }
            self.option(letter, value)?;
        }
        Ok(())
    }

    fn option(&mut self, letter: u8, value: Option<&'a [u8]>) -> Result<(), Refusal> {
        let required = || value.ok_or_else(|| Refusal::MissingValue(visible(&[letter])));
        match letter {
            b't' => self.from_header = true,
            // -r is what -f was called once.
            b'f' | b'r' => self.sender = Some(required()?),
            b'F' => self.full_name = Some(required()?),
            b'b' => match required()? {
                b"s" => self.other = Some(Errand::Dialogue),
                b"p" => self.other = Some(Errand::List),
                b"i" => self.idles(NO_ALIASES, letter, value),
                b"m" | b"a" => self.passes(letter, value),
                mode => return Err(Refusal::NoSuchMode(visible(mode))),
            },
            b'I' => self.idles(NO_ALIASES, letter, value),
            b'q' => self.idles(NO_QUEUE_RUNS, letter, value),
            _ => self.passes(letter, value),
        }
        Ok(())
    }

    fn idles(&mut self, sentence: &'static str, letter: u8, value: Option<&[u8]>) {
        self.idle = Some(sentence);
        self.passes(letter, value);
    }

    fn passes(&mut self, letter: u8, value: Option<&[u8]>) {
        let mut option = format!("-{}", visible(&[letter]));
        match (takes(letter), value) {
            (_, None) => {}
            // As everybody writes these: -oi, -bm.
            (_, Some(value)) if matches!(letter, b'o' | b'b' | b'e' | b'q' | b'd') => {
                option += &visible(value)
            }
            (_, Some(value)) => option = format!("{option} {}", visible(value)),
        }
        self.let_pass.push(option);
    }

    fn call(self, environment: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Call, Refusal> {
        let Given { sender, full_name, from_header, recipients, other, idle, let_pass } = self;
        if let Some(errand) = other {
            return Ok(Call { errand, let_pass });
        }
        if let Some(sentence) = idle.filter(|_| !from_header && recipients.is_empty()) {
            return Ok(Call { errand: said(sentence), let_pass });
        }
        let mut job = job(Face::Sendmail, Manner::Helpful, environment);
        job.sender = sender.map(addresses::sender).transpose()?;
        if let Some(name) = full_name {
            job.full_name = addresses::full_name(name)?;
            // Who names nothing wants no name, whatever the environment says.
            if job.full_name.is_none() {
                job.names.name = None;
            }
        }
        job.arguments = addresses::in_lists(&recipients)?;
        if from_header {
            job.from_header = FromHeader::Also;
        }
        hand(job).map(|errand| Call { errand, let_pass })
    }
}

fn illegal(letter: u8) -> Refusal {
    Refusal::IllegalOption(visible(&[letter]))
}

/// What an option takes.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    /// What is joined to it, if anything.
    Joined,
    /// What is joined to it, else the next argument if it has this form.
    Value(fn(&[u8]) -> bool),
}

impl Takes {
    fn value_may_be(self, value: &[u8]) -> bool {
        matches!(self, Takes::Value(form) if form(value))
    }
}

/// What an option takes; none, if it is not known. The forms are narrow where the value changes nothing,
/// so that no recipient is lost: sendmails disagree on which options take one.
fn takes(letter: u8) -> Option<Takes> {
    Some(match letter {
        b't' | b'i' | b'n' | b'm' | b'v' | b'x' | b'U' | b'G' | b'E' | b'J' | b'I' | b'c' => Takes::Nothing,
        b'f' | b'r' | b'F' => Takes::Value(|_| true),
        b'b' => Takes::Value(|value| value.len() == 1),
        // Debugging, and running the queue: -d0.1, -q30m.
        b'd' | b'q' => Takes::Joined,
        // How errors are told, which .cf file: -e m, -A c.
        b'e' | b'A' => Takes::Value(|value| value.len() == 1 && value[0].is_ascii_alphabetic()),
        b'o' => Takes::Value(is_old_setting),
        b'O' => Takes::Value(|value| value.contains(&b'=')),
        b'h' => Takes::Value(|value| value.iter().all(u8::is_ascii_digit)),
        b'N' => Takes::Value(|value| is_list_of(value, &["never", "success", "failure", "delay"])),
        b'R' => Takes::Value(|value| is_list_of(value, &["full", "hdrs"])),
        b'B' => Takes::Value(|value| is_list_of(value, &["7bit", "8bitmime", "binarymime"])),
        // -p protocol, -p protocol:host.
        b'p' => Takes::Value(|value| value.contains(&b':') || value.iter().all(u8::is_ascii_uppercase)),
        b'V' => Takes::Value(|_| true),
        // A file, or a label for the log.
        b'C' | b'L' | b'X' => Takes::Value(|value| !value.contains(&b'@')),
        _ => return None,
    })
}

/// `i`, `em`, `db`, `Q/var/spool/mqueue`, `T1d`.
fn is_old_setting(value: &[u8]) -> bool {
    match value {
        [letter] => letter.is_ascii_alphanumeric(),
        [b'e', mode] => b"empqw".contains(mode),
        [b'd', mode] => b"bidq".contains(mode),
        [letter, b'/' | b'0'..=b'9', ..] => letter.is_ascii_alphabetic() && !value.contains(&b'@'),
        _ => false,
    }
}

fn is_list_of(value: &[u8], words: &[&str]) -> bool {
    value
        .split(|&octet| octet == b',')
        .all(|item| words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(item)))
}
