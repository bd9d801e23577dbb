//! `qmail-qstat`: how many messages wait.

use std::ffi::OsString;

use link::services::queue::operators::{Answer, Question};
use sendmail::{Face, listing};

use super::{Complaint, configuration, print};
use crate::commands::queue::{OTHER_VERSION, Office};

/// Counts them. None is ever "not yet preprocessed", as what is accepted is on its way at once.
pub fn run(_arguments: &[OsString]) -> Result<(), Complaint> {
    let fatal = |problem| Complaint::fatal(Face::QmailQstat, format_args!("{problem:#}"));
    let (config, _) = configuration(Face::QmailQstat)?;
    let answer = Office::open(&config).and_then(|mut office| office.ask(Question::Stats)).map_err(fatal)?;
    let Answer::Stats(stats) = answer.value else {
        return Err(Complaint::fatal(Face::QmailQstat, OTHER_VERSION));
    };
    print(listing::qstat(stats.messages, 0).as_bytes()).map(drop)
}
