//! `hikyaku audit`: who changed what, and when.

use std::process::ExitCode;

use clap::Args;
use envelope::AccountName;
use link::services::directory::Rule;

use super::desk::{Desk, ask};
use super::output::{self, say};
use crate::config::Config;

#[derive(Args)]
pub struct Audit {
    /// Only changes of this account, which may be gone.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountName>,
    /// How many, the newest first.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print JSON, one change a line.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(config: &Config, arguments: Audit) -> anyhow::Result<ExitCode> {
    let Audit { account, limit, json } = arguments;
    let mut desk = Desk::open(config)?;
    for entry in ask!(desk, Rule::AuditTrail { account, limit } => AuditTrail) {
        if json {
            output::json(&entry)?;
        } else {
            say!("{}  {:<16}{}", output::moment(entry.at), entry.who, entry.what);
        }
    }
    Ok(ExitCode::SUCCESS)
}
