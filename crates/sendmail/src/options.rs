//! What the options of a call mean.
//!
//! | file | whose options |
//! |---|---|
//! | `helpful` | `sendmail` in helpful manner: those of all sendmails in use |
//! | `strict` | `sendmail` in strict manner: the published ones |
//! | `qmail` | `qmail-inject`, `forward`, `qmail-queue` |
//! | `getopt` | how strict ones and qmail's are read |
//! | `addresses` | what of an argument is an address |

mod addresses;
mod getopt;
mod helpful;
mod qmail;
mod strict;

use crate::environment;
use crate::face::{Face, Manner};
use crate::job::{FromHeader, Job, Treatment};
use crate::refusal::Refusal;

pub use addresses::ARGUMENTS_OCTETS_MAX;

/// A call, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is to be done.
    pub errand: Errand,
    /// Options and arguments that were let pass and change nothing, each as it would be written alone
    /// (`-i`, `-N success`), fit to be shown.
    pub let_pass: Vec<String>,
}

/// What a call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Hand in the message on standard input.
    Hand(Job),
    /// Print what would be made of it (`qmail-inject -n`).
    Show(Job),
    /// Speak SMTP (`-bs`).
    Dialogue,
    /// List mail that waits (`-bp`, `mailq`).
    List,
    /// Say this, and be done.
    Said {
        /// Lines, with their ends.
        text: String,
        /// The exit code.
        exit: u8,
    },
}

/// Understands the arguments of a call, without the program's name, and its environment.
///
/// What a caller could have meant for recipients is never taken for something else: where a value is
/// wanted, another option is not taken for it; and in helpful manner nor is an address, where the option
/// that wants the value changes nothing.
///
/// The addresses in the file that `QMAILMFTFILE` names are missing still: see
/// [`lists_path`](environment::lists_path). So is the envelope of `qmail-queue`: see
/// [`qmail_queue`](crate::qmail_queue).
///
/// # Errors
/// For an option that is not known, an argument that is no address, a control character in any of them,
/// and where nothing can name a recipient.
pub fn understand(
    face: Face,
    manner: Manner,
    arguments: &[Vec<u8>],
    environment: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Call, Refusal> {
    match face {
        Face::Sendmail if manner == Manner::Helpful => helpful::understand(arguments, environment),
        Face::Sendmail => strict::understand(arguments, environment),
        Face::Mailq => Ok(Call { errand: Errand::List, let_pass: shown(arguments) }),
        Face::Newaliases => Ok(Call { errand: said(NO_ALIASES), let_pass: shown(arguments) }),
        Face::QmailInject => qmail::inject(arguments, environment),
        Face::Forward => qmail::forward(arguments, environment),
        Face::QmailQueue => Ok(qmail::queue(arguments)),
        Face::QmailLocal | Face::Maildirmake | Face::QmailQread | Face::QmailQstat | Face::QmailShowctl => {
            Err(Refusal::Fault(format!("{face} takes no message")))
        }
    }
}

/// A job without options: recipients are those of the arguments.
fn job(face: Face, manner: Manner, environment: &dyn Fn(&str) -> Option<Vec<u8>>) -> Job {
    Job {
        face,
        manner,
        sender: None,
        full_name: None,
        arguments: Vec::new(),
        from_header: FromHeader::Never,
        treatment: Treatment::Complete,
        names: environment::names(environment),
        let_pass: Vec::new(),
    }
}

/// Hands it in, if anything can name a recipient.
fn hand(job: Job) -> Result<Errand, Refusal> {
    match job.arguments.is_empty() && job.from_header == FromHeader::Never {
        true => Err(Refusal::NoRecipients),
        false => Ok(Errand::Hand(job)),
    }
}

const NO_ALIASES: &str =
    "newaliases: there is nothing to do: addresses count from the moment that they are set\n";

fn said(text: &str) -> Errand {
    Errand::Said { text: text.into(), exit: 0 }
}

fn shown(arguments: &[Vec<u8>]) -> Vec<String> {
    arguments.iter().map(|argument| crate::visible::visible(argument)).collect()
}

#[cfg(test)]
mod tests;
