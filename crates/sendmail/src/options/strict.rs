//! `sendmail` in strict manner: the options that the provider published.

use super::addresses;
use super::getopt::{Options, looks_like_option};
use super::{Call, Errand, hand, job};
use crate::face::{Face, Manner};
use crate::job::FromHeader;
use crate::refusal::Refusal;
use crate::visible::visible;

pub(super) fn understand(
    arguments: &[Vec<u8>],
    environment: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Call, Refusal> {
    let mut job = job(Face::Sendmail, Manner::Strict, environment);
    let mut other = None;
    let mut options = Options::new(b"tf:F:b:", arguments);
    while let Some((letter, value)) = options.next()? {
        match (letter, value) {
            (b't', _) => job.from_header = FromHeader::Also,
            (b'f', sender) => job.sender = Some(addresses::bare_sender(sender)?),
            (b'F', name) => {
                job.full_name = addresses::full_name(name)?;
                if job.full_name.is_none() {
                    job.names.name = None;
                }
            }
            (_, b"s") => other = Some(Errand::Dialogue),
            (_, b"p") => other = Some(Errand::List),
            (_, mode) => return Err(Refusal::NoSuchMode(visible(mode))),
        }
    }
    let recipients = options.rest();
    if let Some(late) = late_option(arguments, recipients) {
        return Err(Refusal::LateOption(visible(late)));
    }
    job.arguments = addresses::one_each(recipients)?;
    let errand = match other {
        Some(errand) => errand,
        None => hand(job)?,
    };
    Ok(Call { errand, let_pass: Vec::new() })
}

/// An option behind an address, which qmail takes for an address: nobody means that, unless he wrote `--`
/// before.
fn late_option<'a>(arguments: &[Vec<u8>], recipients: &'a [Vec<u8>]) -> Option<&'a Vec<u8>> {
    let before = &arguments[..arguments.len() - recipients.len()];
    if before.last().is_some_and(|last| last == b"--") {
        return None;
    }
    recipients.iter().find(|argument| looks_like_option(argument) && !argument.contains(&b'@'))
}
