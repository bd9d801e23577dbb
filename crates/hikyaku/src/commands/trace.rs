//! `hikyaku trace`: what became of a message, in plain words.

mod ending;
pub mod since;
mod story;

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::bail;
use clap::Args;
use directory::EVENTS_MAX;
use envelope::QueueId;
use envelope::event::{Event, NotAParty, Party, Summary};
use link::services::directory::{self as service, Response};
use time::{OffsetDateTime, UtcOffset};

pub use self::story::moment;

use self::since::Since;
use super::desk::{self, Desk};
use super::output::{self, say};
use crate::config::Config;

#[derive(Args)]
pub struct Trace {
    /// A queue id, for a message's whole life; or an address, a domain or the name of an account, for the
    /// messages from there and to there.
    pub what: Subject,
    /// Only messages since then: so long ago (30min, 12h, 7d), or since a day began (2026-11-24).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// How many messages at most, the latest first.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Print JSON, one event or message a line.
    #[arg(long)]
    pub json: bool,
}

/// What is asked about. A text that may be both is a queue id rather than an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One message.
    Message(QueueId),
    /// Somebody's mail.
    Party(Party),
}

impl FromStr for Subject {
    type Err = NotAParty;
    fn from_str(text: &str) -> Result<Subject, NotAParty> {
        match text.parse() {
            Ok(id) => Ok(Subject::Message(id)),
            Err(_) => text.parse().map(Subject::Party),
        }
    }
}

/// Does it.
pub fn run(config: &Config, trace: &Trace) -> anyhow::Result<ExitCode> {
    // Before there are threads: the system's clock is asked for its zone.
    let zone = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let since = trace.since.map_or(0, |since| since.micros(OffsetDateTime::now_utc(), zone));
    let times = since..=u64::MAX;
    let mut desk = Desk::open(config)?;
    match &trace.what {
        Subject::Message(id) => {
            let events = life(&mut desk, *id)?;
            // It may have been meant for an account's name.
            if events.is_empty()
                && let Ok(account) = id.to_string().parse()
            {
                let account = Party::Account(account);
                let messages = mail(&mut desk, &account, &times, trace.limit)?;
                if !messages.is_empty() {
                    return list(&account, &messages, zone, trace.json);
                }
            }
            tell(*id, &events, zone, trace.json)
        }
        Subject::Party(party) => {
            let messages = mail(&mut desk, party, &times, trace.limit)?;
            list(party, &messages, zone, trace.json)
        }
    }
}

fn life(desk: &mut Desk, id: QueueId) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    loop {
        let skip = events.len() as u64;
        let Response::Life(page) = desk.trace(service::Trace::Message { id, skip })? else {
            bail!(desk::SOMETHING_ELSE);
        };
        events.extend(page.items);
        if !page.more {
            return Ok(events);
        }
    }
}

fn mail(
    desk: &mut Desk,
    party: &Party,
    times: &RangeInclusive<u64>,
    limit: u32,
) -> anyhow::Result<Vec<Summary>> {
    let mut messages = Vec::new();
    loop {
        let skip = messages.len() as u64;
        let (party, times) = (party.clone(), times.clone());
        let Response::Mail(page) = desk.trace(service::Trace::Party { party, times, limit, skip })? else {
            bail!(desk::SOMETHING_ELSE);
        };
        messages.extend(page.items);
        if !page.more {
            return Ok(messages);
        }
    }
}

/// Tells a message's life: its events and those of its family, in the order of time. Times are shown as
/// clocks at `zone` show them.
///
/// # Errors
/// If nothing is known of it.
pub fn tell(id: QueueId, events: &[Event], zone: UtcOffset, json: bool) -> anyhow::Result<ExitCode> {
    if events.is_empty() {
        bail!("nothing is known of message {id}: it was never here, or longer ago than `trace_days`");
    }
    if json {
        for event in events {
            output::json(event)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for line in story::lines(events, zone) {
        say!("{line}");
    }
    if events.len() >= EVENTS_MAX {
        say!("(there is more: only the first {EVENTS_MAX} events are shown)");
    }
    say!("{}", ending::ending(events, zone));
    for id in ending::waiting(events) {
        say!("(`hikyaku queue show {id}` shows it in the queue)");
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists somebody's messages, the latest first.
///
/// # Errors
/// If there are none.
pub fn list(whose: &Party, messages: &[Summary], zone: UtcOffset, json: bool) -> anyhow::Result<ExitCode> {
    if messages.is_empty() {
        bail!("no mail from or to {whose} is known of that time, or of as long as `trace_days` keeps");
    }
    for message in messages {
        if json {
            output::json(message)?;
        } else {
            say!("{}", story::summary(message, zone));
        }
    }
    if !json {
        say!("(`hikyaku trace ID` tells the whole life of one)");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        trace: Trace,
    }

    fn parse(arguments: &[&str]) -> Result<Trace, clap::Error> {
        Arguments::try_parse_from([&["trace"], arguments].concat()).map(|arguments| arguments.trace)
    }

    #[test]
    fn a_message_an_address_a_domain_and_an_account_can_be_asked_about() {
        let id = QueueId::from_u64(7_354_102_579_200_000_001);
        assert_eq!(parse(&[&id.to_string()]).unwrap().what, Subject::Message(id));
        for text in ["abc@pobox.example", "pobox.example", "abc"] {
            assert_eq!(parse(&[text]).unwrap().what, Subject::Party(text.parse().unwrap()));
        }
        assert!(parse(&["a b"]).is_err());
        assert!(parse(&["abc", "--limit", "0"]).is_err());
        assert!(parse(&["abc", "--since", "yesterday"]).is_err());
        assert_eq!(parse(&["abc", "--since", "3d", "--limit", "5"]).unwrap().limit, 5);
    }

    #[test]
    fn nothing_known_is_said_so() {
        assert!(tell(QueueId::from_u64(1), &[], UtcOffset::UTC, true).is_err());
        assert!(list(&"abc".parse().unwrap(), &[], UtcOffset::UTC, false).is_err());
    }
}
