//! `hikyaku domain`: what is served here.

use std::process::ExitCode;

use clap::Subcommand;
use envelope::{AccountName, DomainKind, HostedDomain};
use link::services::directory::{Response, Rule};

use super::desk::Desk;
use super::output::{self, say};
use crate::config::Config;

#[derive(Subcommand)]
pub enum Domain {
    /// Serve one more domain.
    Add {
        /// Its name.
        name: envelope::Domain,
        /// The account that owns it and gets all its mail. Without one it is a provider's domain:
        /// accounts live directly under it.
        #[arg(long, value_name = "ACCOUNT")]
        owner: Option<AccountName>,
        /// The domain whose addresses it has too: mail to foo@ of the one is mail to foo@ of the other.
        #[arg(long, value_name = "DOMAIN", conflicts_with = "owner")]
        alias_of: Option<envelope::Domain>,
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
        Domain::Add { name, owner, alias_of, json } => {
            let kind = match (owner, alias_of) {
                (Some(owner), _) => DomainKind::Virtual { owner },
                (None, Some(of)) => DomainKind::Alias { of },
                (None, None) => DomainKind::Provider,
            };
            let domain = HostedDomain { name, kind };
            desk.rule(Rule::AddDomain(domain.clone()))?;
            if json {
                output::json(&domain)?;
            } else {
                say!("{} is served here now", domain.name);
            }
        }
        Domain::List { json } => {
            if let Response::Domains(domains) = desk.rule(Rule::Domains)? {
                if json {
                    output::json(&domains)?;
                } else {
                    for domain in domains {
                        let kind = match domain.kind {
                            DomainKind::Provider => "provider".to_string(),
                            DomainKind::Virtual { owner } => format!("virtual, of {owner}"),
                            DomainKind::Alias { of } => format!("alias of {of}"),
                            DomainKind::Relay => "relay".to_string(),
                        };
                        say!("{:<40} {kind}", domain.name.as_str());
                    }
                }
            }
        }
        Domain::Remove { name } => {
            desk.rule(Rule::RemoveDomain(name.clone()))?;
            say!("{name} is no longer served here");
        }
    }
    Ok(ExitCode::SUCCESS)
}
