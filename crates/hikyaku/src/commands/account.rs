//! `hikyaku account`: customers.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use envelope::{AccountName, AccountState, Language};
use link::services::directory::{NewAccount, Response, Rule};
use serde::Serialize;

use super::desk::Desk;
use super::output::{self, say};
use super::password::PasswordSource;
use crate::config::Config;

/// How many accounts are asked for at a time.
const PAGE: u32 = 500;

#[derive(Subcommand)]
pub enum Account {
    /// Make an account with its mailbox. The password is asked for, or is one line on standard input.
    Add {
        /// Its name: the login, and the address before the @.
        name: AccountName,
        #[command(flatten)]
        password: PasswordSource,
        /// It may rule the server and is sent the postmaster's mail.
        #[arg(long)]
        operator: bool,
        /// The language it is written to in.
        #[arg(long, value_enum, default_value_t = LanguageArgument::Ja)]
        language: LanguageArgument,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// All accounts, in the order of their names.
    List {
        /// Print JSON, one account a line.
        #[arg(long)]
        json: bool,
    },
    /// One account, and where its mail lies.
    Show {
        /// Its name.
        name: AccountName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give an account a new password. It is asked for, or is one line on standard input.
    Passwd {
        /// Its name.
        name: AccountName,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// No login and no sending from now on. Mail is kept and goes on arriving.
    Suspend {
        /// Its name.
        name: AccountName,
    },
    /// End a suspension.
    Resume {
        /// Its name.
        name: AccountName,
    },
    /// Remove an account. Its mail stays on disk.
    Remove {
        /// Its name.
        name: AccountName,
    },
}

/// An account that was made just now.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    account: &'a envelope::Account,
    /// If it was made up here.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

/// A language on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LanguageArgument {
    /// Japanese.
    Ja,
    /// English.
    En,
}

impl From<LanguageArgument> for Language {
    fn from(argument: LanguageArgument) -> Language {
        match argument {
            LanguageArgument::Ja => Language::Ja,
            LanguageArgument::En => Language::En,
        }
    }
}

/// Does it.
pub fn run(config: &Config, command: Account) -> anyhow::Result<ExitCode> {
    let mut desk = Desk::open(config)?;
    match command {
        Account::Add { name, password, operator, language, json } => {
            let (password, made_up) = password.read()?;
            let new = NewAccount { name, password: Some(password), language: language.into(), operator };
            if let Response::Account(account) = desk.rule(Rule::AddAccount(new))? {
                if json {
                    output::json(&Made { account: &account, password: made_up.as_deref() })?;
                } else {
                    if let Some(password) = made_up {
                        say!("password: {password}");
                    }
                    say!(
                        "the account {} is there; its mail lies in {}",
                        account.name,
                        account.maildir.display()
                    );
                }
            }
        }
        Account::List { json } => list(&mut desk, json)?,
        Account::Show { name, json } => {
            if let Response::Account(account) = desk.rule(Rule::Account(name))? {
                if json {
                    output::json(&account)?;
                } else {
                    say!("account   {}", account.name);
                    say!("state     {}", account.state);
                    say!("operator  {}", if account.operator { "yes" } else { "no" });
                    say!("language  {}", account.language.as_str());
                    say!("maildir   {}", account.maildir.display());
                    say!("made      {}", output::moment(account.created));
                }
            }
        }
        Account::Passwd { name, password } => {
            let (password, made_up) = password.read()?;
            desk.rule(Rule::SetPassword(name.clone(), password))?;
            if let Some(password) = made_up {
                say!("password: {password}");
            }
            say!("{name} has a new password");
        }
        Account::Suspend { name } => {
            desk.rule(Rule::SetState(name.clone(), AccountState::Suspended))?;
            say!("{name} is suspended: no login, no sending; its mail is kept");
        }
        Account::Resume { name } => {
            desk.rule(Rule::SetState(name.clone(), AccountState::Active))?;
            say!("{name} is active");
        }
        Account::Remove { name } => {
            let maildir = match desk.rule(Rule::Account(name.clone()))? {
                Response::Account(account) => account.maildir,
                _ => return Ok(ExitCode::FAILURE),
            };
            desk.rule(Rule::RemoveAccount(name.clone()))?;
            say!("{name} is removed; its mail is still in {}", maildir.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(desk: &mut Desk, json: bool) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let Response::Accounts(accounts) = desk.rule(Rule::Accounts { after, limit: PAGE })? else {
            return Ok(());
        };
        for account in &accounts {
            if json {
                output::json(account)?;
            } else {
                let mark = if account.operator { "operator" } else { "" };
                say!("{:<33}{:<14}{mark}", account.name, account.state);
            }
        }
        match accounts.last() {
            Some(last) if accounts.len() == PAGE as usize => after = Some(last.name.clone()),
            _ => return Ok(()),
        }
    }
}
