//! `hikyaku queue`: what waits, and why.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use envelope::QueueId;
use link::services::queue::{Queue as QueueService, Request, Response};

use super::desk;
use super::output::{self, say};
use crate::config::Config;
use crate::control::Role;

/// How many messages are asked for at a time.
const PAGE: u32 = 500;

#[derive(Subcommand)]
pub enum Queue {
    /// Every waiting message, oldest first.
    List {
        /// Print JSON, one message a line.
        #[arg(long)]
        json: bool,
    },
    /// One message: its recipients, and what was said at the last attempt.
    Show {
        /// Its id, as the log and the list show it.
        id: QueueId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Counts.
    Stats {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
pub fn run(config: &Config, command: Queue) -> anyhow::Result<ExitCode> {
    let mut queue = desk::connect::<QueueService>(config, Role::Queue)?
        .context("the server is not running: `hikyaku serve` starts it")?;
    match command {
        Queue::List { json } => {
            let mut after = None;
            loop {
                let Response::Listed(messages) = queue.call(Request::List { after, limit: PAGE })?.value
                else {
                    bail!("the queue did not answer with a list");
                };
                for message in &messages {
                    if json {
                        output::json(message)?;
                        continue;
                    }
                    let next = match message.next_attempt {
                        Some(at) => format!("next {}", output::moment(at)),
                        None => "being tried".into(),
                    };
                    say!(
                        "{}  {}  {:>9}  {}  to {}, done {}  {next}",
                        message.id,
                        output::moment(message.arrived),
                        message.size,
                        message.reverse_path,
                        message.waiting,
                        message.done,
                    );
                }
                match messages.last() {
                    Some(last) if messages.len() == PAGE as usize => after = Some(last.id),
                    _ => break,
                }
            }
        }
        Queue::Show { id, json } => match queue.call(Request::Show(id))?.value {
            Response::Shown(Some(details)) if json => output::json(&details)?,
            Response::Shown(Some(details)) => {
                let summary = &details.summary;
                say!("message   {}", summary.id);
                say!("arrived   {}", output::moment(summary.arrived));
                say!("size      {} octets", summary.size);
                say!("from      {}", summary.reverse_path);
                if let Some(account) = &summary.account {
                    say!("account   {account}");
                }
                for recipient in &details.recipients {
                    let state = match recipient.state {
                        link::services::queue::RecipientState::Waiting => "waiting",
                        link::services::queue::RecipientState::Delivered => "delivered",
                        link::services::queue::RecipientState::Failed => "failed",
                    };
                    say!("to        {}: {state}, tried {} times", recipient.address, recipient.attempts);
                    if !recipient.last_reply.is_empty() {
                        say!("          {}", recipient.last_reply);
                    }
                }
            }
            _ => bail!("no message {id} is in the queue: it was delivered, bounced, or never here"),
        },
        Queue::Stats { json } => {
            let Response::Stats(stats) = queue.call(Request::Stats)?.value else {
                bail!("the queue did not answer with counts");
            };
            if json {
                output::json(&stats)?;
            } else {
                say!("messages     {} ({} being tried)", stats.messages, stats.in_flight);
                say!("octets       {}", stats.octets);
                say!("oldest       {}", stats.oldest.map_or("-".into(), output::moment));
                say!("segments     {}", stats.segments);
                say!(
                    "since start  {} accepted, {} delivered, {} failed, {} deferred",
                    stats.accepted,
                    stats.delivered,
                    stats.failed,
                    stats.deferred
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
