//! Messages in a line each.

use std::fmt::Write;

use anyhow::bail;
use clap::Args;
use envelope::{Filter, Walk};
use link::services::queue::operators::{Answer, Progress, Question, Summary};

use super::selection::Selection;
use super::{OTHER_VERSION, Office};
use crate::commands::output;

#[derive(Args)]
pub struct Listing {
    #[command(flatten)]
    selection: Selection,
    /// Print JSON, one message a line.
    #[arg(long)]
    json: bool,
}

/// Prints each page as it comes.
pub fn run(office: &mut Office, listing: &Listing) -> anyhow::Result<()> {
    walk(office, &listing.selection.filter(), Walk::default(), |messages| print(messages, listing.json))?;
    Ok(())
}

/// Has each page of the messages that are meant looked at. Gives where the walk ended.
pub fn walk(
    office: &mut Office,
    filter: &Filter,
    mut walk: Walk,
    mut look: impl FnMut(&[Summary]) -> anyhow::Result<()>,
) -> anyhow::Result<Walk> {
    loop {
        let question = Question::Find { filter: filter.clone(), walk };
        let Answer::Found { messages, progress: Progress { until, rest } } = office.ask(question)?.value
        else {
            bail!(OTHER_VERSION);
        };
        look(&messages)?;
        match rest {
            Some(rest) => walk = rest,
            None => return Ok(Walk { after: None, until }),
        }
    }
}

/// Prints messages: a page is written at once, as there may be a million lines.
pub fn print(messages: &[Summary], json: bool) -> anyhow::Result<()> {
    let mut page = String::with_capacity(128 * messages.len());
    for message in messages {
        if json {
            page.push_str(&serde_json::to_string(message)?);
            page.push('\n');
        } else {
            writeln!(page, "{}", line(message))?;
        }
    }
    output::text(&page)
}

/// A message in one line.
pub fn line(message: &Summary) -> String {
    format!(
        "{}  {}  {:>9}  {}  to {}, done {}  {}",
        message.id,
        output::moment(message.arrived),
        message.size,
        sender(message),
        message.waiting,
        message.done,
        next(message),
    )
}

/// Whom a message is from.
pub fn sender(message: &Summary) -> String {
    message.reverse_path.as_ref().map_or("(unreadable)".into(), ToString::to_string)
}

/// When a message is tried next.
pub fn next(message: &Summary) -> String {
    match message.next_attempt {
        _ if message.held => "held".into(),
        Some(at) => format!("next {}", output::moment(at)),
        None => "being tried".into(),
    }
}
