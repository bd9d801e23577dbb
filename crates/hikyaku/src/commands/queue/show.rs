//! One message in full.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use anyhow::{Context, bail};
use clap::Args;
use envelope::QueueId;
use link::services::queue::operators::{Answer, Details, Question, RecipientDetails, RecipientState};

use super::{OTHER_VERSION, Office, list};
use crate::commands::output::{self, say};

#[derive(Args)]
pub struct Showing {
    /// Its id, as the log and the list show it.
    id: QueueId,
    /// Print its header as it is. The log notes who read it.
    #[arg(long, conflicts_with_all = ["body", "json"])]
    header: bool,
    /// Print all of it as it is, header and body. The log notes who read it.
    #[arg(long, conflicts_with = "json")]
    body: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub fn run(office: &mut Office, showing: &Showing) -> anyhow::Result<()> {
    let Showing { id, header, body, json } = *showing;
    if header || body {
        return print_text(office, id, body);
    }
    match office.ask(Question::Show(id))?.value {
        Answer::Shown(Some(details)) if json => output::json(&details),
        Answer::Shown(Some(details)) => print(&details),
        Answer::Shown(None) => bail!(not_there(id)),
        _ => bail!(OTHER_VERSION),
    }
}

fn not_there(id: QueueId) -> String {
    format!(
        "no message {id} is in the queue: it was delivered, bounced or removed, or never here; `hikyaku trace {id}` tells \
         which"
    )
}

fn print(details: &Details) -> anyhow::Result<()> {
    let message = &details.summary;
    say!("message   {}", message.id);
    say!("arrived   {}", output::moment(message.arrived));
    say!("size      {} octets", message.size);
    say!("from      {}", list::sender(message));
    if let Some(account) = &message.account {
        say!("account   {account}");
    }
    if let Some(origin) = details.forwarded_from {
        say!("forwarded from message {origin}");
    }
    if message.held {
        say!("held      `hikyaku queue release {}` lets it go on", message.id);
    }
    for recipient in &details.recipients {
        say!("to        {}: {}", recipient.address, state(recipient, message.held));
        for line in recipient.last_reply.lines() {
            say!("          {line}");
        }
    }
    say!("(`hikyaku trace {}` tells what has become of it so far)", message.id);
    Ok(())
}

fn state(recipient: &RecipientDetails, held: bool) -> String {
    let state = match recipient.state {
        RecipientState::Waiting => "waiting",
        RecipientState::Delivered => "delivered",
        RecipientState::Failed => "failed",
    };
    let next = recipient.next_attempt.filter(|_| !held && recipient.attempts > 0);
    let next = next.map(|at| format!(", next {}", output::moment(at))).unwrap_or_default();
    format!("{state}, tried {} times{next}", recipient.attempts)
}

/// Prints mail data as they are: all, or the header alone.
fn print_text(office: &mut Office, id: QueueId, all: bool) -> anyhow::Result<()> {
    let answer = office.ask(Question::Read(id))?;
    let text: Box<dyn Read> = match answer.value {
        Answer::Text { file_size: None } => Box::new(io::Cursor::new(answer.raw)),
        Answer::Text { file_size: Some(size) } => {
            let file = answer.fds.into_iter().next().context("the queue sent no file")?;
            Box::new(File::from(file).take(size))
        }
        Answer::Shown(None) => bail!(not_there(id)),
        _ => bail!(OTHER_VERSION),
    };
    copy(BufReader::new(text), &mut io::stdout().lock(), all)?;
    Ok(())
}

/// The header ends at the first empty line (RFC 5322 §2.1).
fn copy(mut text: impl BufRead, out: &mut impl Write, all: bool) -> io::Result<()> {
    if all {
        io::copy(&mut text, out)?;
        return Ok(());
    }
    let mut line = Vec::new();
    while text.read_until(b'\n', &mut line)? > 0 && !matches!(&line[..], b"\r\n" | b"\n") {
        out.write_all(&line)?;
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_at_the_empty_line() {
        let copied = |text: &str, all| {
            let mut out = Vec::new();
            copy(text.as_bytes(), &mut out, all).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(copied("A: 1\r\nB: 2\r\n\r\nbody\r\n", false), "A: 1\r\nB: 2\r\n");
        assert_eq!(copied("A: 1\n\nbody\n", false), "A: 1\n");
        assert_eq!(copied("A: 1", false), "A: 1");
        assert_eq!(copied("A: 1\n\nbody\n", true), "A: 1\n\nbody\n");
    }
}
