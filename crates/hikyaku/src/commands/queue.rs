//! `hikyaku queue`: what waits, and why; and to rule over it.

mod acts;
mod counts;
mod destinations;
mod list;
mod selection;
mod show;

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use link::blocking::BlockingClient;
use link::services::queue::operators::{Act, Answer, Question};
use link::services::queue::{Queue as QueueService, Request, Response};

use self::acts::Ruling;
use self::counts::Counting;
use self::destinations::Asking;
use self::list::Listing;
use self::show::Showing;
use super::desk;
use crate::config::Config;
use crate::control::Role;

#[derive(Subcommand)]
pub enum Queue {
    /// Waiting messages, oldest first.
    List(Listing),
    /// One message: its recipients, and what was said at the last attempt.
    Show(Showing),
    /// Try messages now, whatever time they wait for.
    Retry(Ruling),
    /// Keep messages back until they are released; they are neither tried nor given up meanwhile.
    Hold(Ruling),
    /// Let held messages go on, at the times they had.
    Release(Ruling),
    /// Return messages to their senders with a report. Where recipients are asked for, only those are given up.
    Bounce(Ruling),
    /// Drop messages. Nobody is told.
    Remove {
        #[command(flatten)]
        ruling: Ruling,
        /// Do not ask whether this is meant.
        #[arg(long)]
        yes: bool,
    },
    /// Counts, of all or by what messages have in common.
    Stats(Counting),
    /// How the destinations of mail for other hosts do.
    Destinations(Asking),
}

/// Does it.
pub fn run(config: &Config, command: Queue) -> anyhow::Result<ExitCode> {
    let mut office = Office::open(config)?;
    match command {
        Queue::List(listing) => list::run(&mut office, &listing),
        Queue::Show(showing) => show::run(&mut office, &showing),
        Queue::Retry(ruling) => acts::run(&mut office, Act::Retry, &ruling, true),
        Queue::Hold(ruling) => acts::run(&mut office, Act::Hold, &ruling, true),
        Queue::Release(ruling) => acts::run(&mut office, Act::Release, &ruling, true),
        Queue::Bounce(ruling) => acts::run(&mut office, Act::Bounce, &ruling, true),
        Queue::Remove { ruling, yes } => acts::run(&mut office, Act::Remove, &ruling, yes),
        Queue::Stats(counting) => counts::run(&mut office, &counting),
        Queue::Destinations(asking) => destinations::run(&mut office, &asking),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Where the queue is asked.
pub struct Office(BlockingClient<QueueService>);

/// An answer, and what came beside it.
pub type Answered = link::Parcel<Answer>;

impl Office {
    /// Where the running server's queue is asked.
    ///
    /// # Errors
    /// If none runs, or not for this user.
    pub fn open(config: &Config) -> anyhow::Result<Office> {
        desk::connect::<QueueService>(config, Role::Queue)?
            .map(Office)
            .context("the server is not running: `hikyaku serve` starts it")
    }

    /// Asks or orders.
    ///
    /// # Errors
    /// If it cannot be done, with a sentence that says why.
    pub fn ask(&mut self, question: Question) -> anyhow::Result<Answered> {
        let answer = self.0.call(Request::Operator(question))?;
        match answer.value {
            Response::Operator(Answer::Unavailable(sentence)) => bail!(sentence),
            Response::Operator(value) => Ok(Answered { value, raw: answer.raw, fds: answer.fds }),
            _ => bail!(OTHER_VERSION),
        }
    }
}

/// The answer is to another question.
pub const OTHER_VERSION: &str = "the server answers something else: it is of another version, so restart it";
