//! The options of qmail's own commands.

use super::addresses;
use super::getopt::Options;
use super::{Call, Errand, hand, job, shown};
use crate::face::{Face, Manner};
use crate::job::{FromHeader, Job, Treatment};
use crate::refusal::Refusal;

type Environment<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// `qmail-inject [ -nNaAhH ] [ -fsender ] [ arg ... ]`.
pub(super) fn inject(arguments: &[Vec<u8>], environment: Environment<'_>) -> Result<Call, Refusal> {
    let mut job = job(Face::QmailInject, Manner::Qmail, environment);
    job.from_header = FromHeader::IfNoArguments;
    let mut show = false;
    let mut options = Options::new(b"aAhHnNf:", arguments);
    while let Some((letter, value)) = options.next()? {
        match letter {
            b'a' => job.from_header = FromHeader::Never,
            b'A' => job.from_header = FromHeader::IfNoArguments,
            b'h' => job.from_header = FromHeader::Only,
            b'H' => job.from_header = FromHeader::Also,
            b'n' => show = true,
            b'N' => show = false,
            _ => job.sender = Some(addresses::bare_sender(value)?),
        }
    }
    if job.from_header == FromHeader::Only {
        let let_pass = shown(options.rest());
        return Ok(Call { errand: if show { Errand::Show(job) } else { Errand::Hand(job) }, let_pass });
    }
    job.arguments = addresses::one_each(options.rest())?;
    let errand = if show { Errand::Show(job) } else { hand(job)? };
    Ok(Call { errand, let_pass: Vec::new() })
}

/// `forward address ...`: sends what is being delivered on, under the sender and with the line that the
/// delivery set.
pub(super) fn forward(arguments: &[Vec<u8>], environment: Environment<'_>) -> Result<Call, Refusal> {
    let set = |name: &str| environment(name).ok_or_else(|| Refusal::NotSet(name.into()));
    let sender = addresses::bare_sender(&set("NEWSENDER")?)?;
    let treatment = Treatment::Forward { delivered_to: set("DTLINE")? };
    let recipients = addresses::one_each(arguments)?;
    let job = job(Face::Forward, Manner::Qmail, environment);
    let job = Job { sender: Some(sender), treatment, arguments: recipients, ..job };
    hand(job).map(|errand| Call { errand, let_pass: Vec::new() })
}

/// `qmail-queue`, which looks at no argument. Its envelope comes through a descriptor.
pub(super) fn queue(arguments: &[Vec<u8>]) -> Call {
    let job = Job { treatment: Treatment::AsIs, ..job(Face::QmailQueue, Manner::Qmail, &|_| None) };
    Call { errand: Errand::Hand(job), let_pass: shown(arguments) }
}
