//! `hikyaku domain`: what is served here.

mod dns;

use std::process::ExitCode;

use clap::{ArgGroup, Subcommand};
use envelope::{AccountName, DomainKind, HostedDomain, Prefix};
use link::services::directory::Rule;
use serde_json::json;

use super::desk::{Desk, ask};
use super::output::{self, say};
use crate::config::Config;

#[derive(Subcommand)]
pub enum Domain {
    /// Serve one more domain. Without --owner, --alias-of and --relay it is a provider's domain: accounts live
    /// directly under it.
    #[command(group = ArgGroup::new("kind").args(["owner", "alias_of", "relay"]))]
    Add {
        /// Its name.
        name: envelope::Domain,
        /// The account that owns it and gets all its mail.
        #[arg(long, value_name = "ACCOUNT")]
        owner: Option<AccountName>,
        /// A word before its addresses' names, so that two domains of one owner can have an info@ each: with
        /// `shop`, the instructions of info@ stand under shop-info.
        #[arg(long, value_name = "WORD", requires = "owner")]
        prefix: Option<Prefix>,
        /// The domain whose addresses it has too: mail to foo@ of the one is mail to foo@ of the other.
        #[arg(long, value_name = "DOMAIN")]
        alias_of: Option<envelope::Domain>,
        /// It is somebody else's: its mail is taken and passed on to its own servers.
        #[arg(long)]
        relay: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// All domains.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// One domain, and what belongs to it.
    Show {
        /// Its name.
        name: envelope::Domain,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// What has to stand in the DNS for it, and whether it does.
    Dns(dns::Dns),
    /// Say who gets what is for nobody directly under a provider domain.
    #[command(group = ArgGroup::new("who").args(["account", "none"]).required(true))]
    CatchAll {
        /// The domain's name.
        name: envelope::Domain,
        /// Who gets it.
        account: Option<AccountName>,
        /// Nobody: it is refused.
        #[arg(long)]
        none: bool,
    },
    /// No longer serve a domain.
    Remove {
        /// Its name.
        name: envelope::Domain,
    },
}

/// Does it.
pub fn run(config: &Config, command: Domain) -> anyhow::Result<ExitCode> {
    let mut desk = Desk::open(config)?;
    match command {
        Domain::Add { name, owner, prefix, alias_of, relay, json } => {
            let kind = match (owner, alias_of) {
                (Some(owner), _) => DomainKind::Virtual { owner, prefix },
                (None, Some(of)) => DomainKind::Alias { of },
                (None, None) if relay => DomainKind::Relay,
                (None, None) => DomainKind::Provider,
            };
            let domain = HostedDomain { name, kind };
            desk.change(Rule::AddDomain(domain.clone()))?;
            if json {
                output::json(&domain)?;
            } else {
                say!("{} is served here now", domain.name);
            }
        }
        Domain::List { json } => {
            let domains = ask!(desk, Rule::Domains => Domains);
            if json {
                output::json(&domains)?;
            } else {
                for domain in domains {
                    say!("{:<40} {}", domain.name.as_str(), words(&domain.kind));
                }
            }
        }
        Domain::Show { name, json } => {
            let shown = ask!(desk, Rule::Domain(name) => Domain);
            if json {
                output::json(&json!({
                    "name": shown.domain.name,
                    "kind": shown.domain.kind,
                    "catch_all": shown.catch_all,
                    "aliases": shown.aliases,
                }))?;
            } else {
                say!("domain     {}", shown.domain.name);
                say!("kind       {}", words(&shown.domain.kind));
                if let Some(account) = shown.catch_all {
                    say!("catch-all  {account}");
                }
                for alias in shown.aliases {
                    say!("alias      {alias}");
                }
            }
        }
        Domain::Dns(dns) => return dns::run(config, &mut desk, dns),
        Domain::CatchAll { name, account, none: _ } => {
            desk.change(Rule::SetCatchAll(name.clone(), account.clone()))?;
            match account {
                Some(account) => say!("what is for nobody at {name} goes to {account}"),
                None => say!("what is for nobody at {name} is refused"),
            }
        }
        Domain::Remove { name } => {
            desk.change(Rule::RemoveDomain(name.clone()))?;
            say!("{name} is no longer served here");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn words(kind: &DomainKind) -> String {
    match kind {
        DomainKind::Provider => "provider".into(),
        DomainKind::Virtual { owner, prefix: None } => format!("virtual, of {owner}"),
        DomainKind::Virtual { owner, prefix: Some(prefix) } => {
            format!("virtual, of {owner}, with the prefix {prefix}")
        }
        DomainKind::Alias { of } => format!("alias of {of}"),
        DomainKind::Relay => "relay".into(),
    }
}
