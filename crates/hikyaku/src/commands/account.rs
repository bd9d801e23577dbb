//! `hikyaku account`: customers.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Subcommand, ValueEnum};
use envelope::{AccountName, AccountState, Language, Limit, PlanName};
use link::services::directory::{AccountChanges, AccountFacts, Many, NewAccount, NewPassword, Rule, Secret};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::absence::Absence;
use super::allowances::{self, Assignment};
use super::desk::{Desk, ask};
use super::output::{self, say};
use super::password::PasswordSource;
use super::text_file::TextFile;
use super::{absence, account_import, welcome};
use crate::config::Config;
use crate::local_users::{LocalUid, LocalUsers};
use crate::page_address::page_address;

/// How many accounts are asked for at a time.
const PAGE: u32 = 500;
/// How long an import may take: each account has a mailbox made.
const IMPORT_PATIENCE: Duration = Duration::from_secs(1800);

#[derive(Subcommand)]
pub enum Account {
    /// Make an account with its mailbox. The password is asked for, or is one line on standard input.
    Add {
        /// Its name: the login, and the address before the @.
        name: AccountName,
        #[command(flatten)]
        password: PasswordSource,
        /// Another system's hash of its password instead: $1$, $5$, $6$, $2a$, $2b$, $2y$ or $argon2id$.
        #[arg(long, value_name = "CRYPT", conflicts_with = "generate")]
        hash: Option<String>,
        /// Its plan. [default: the plan `default`]
        #[arg(long)]
        plan: Option<PlanName>,
        /// It may rule the server and is sent the postmaster's mail.
        #[arg(long)]
        operator: bool,
        /// The language it is written to in.
        #[arg(long, value_enum, default_value_t = LanguageArgument::Ja)]
        language: LanguageArgument,
        /// A user of this machine, by name or number, whose programs send as it by `sendmail`. May be repeated.
        #[arg(long, value_name = "USER")]
        uid: Vec<LocalUid>,
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
    /// One account: its plan and allowances, what it has sent, its relay windows, how full its mailbox is.
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
    /// Give an account another plan, another language, users of this machine, or allowances of its own.
    Set {
        /// Its name.
        name: AccountName,
        /// Its plan.
        #[arg(long)]
        plan: Option<PlanName>,
        /// The language it is written to in.
        #[arg(long, value_enum)]
        language: Option<LanguageArgument>,
        /// A user of this machine, by name or number, whose programs send as it from now on. May be repeated.
        #[arg(long, value_name = "USER")]
        uid: Vec<LocalUid>,
        /// A user whose programs send as it no longer. May be repeated.
        #[arg(long, value_name = "USER")]
        no_uid: Vec<LocalUid>,
        /// What it has otherwise than its plan says, such as quota_bytes=1G; quota_bytes=plan takes that back.
        #[arg(value_name = "ALLOWANCE=VALUE")]
        allowances: Vec<Assignment>,
    },
    /// Make the accounts of a file, all or none: a line for each, `name:hash[:language[:user]]`. Without a hash nobody
    /// can log in yet; programs of the user, by name or number, send as the account. Of lines with more fields, as
    /// passwd, shadow and vpasswd have them, the first two count.
    Import {
        /// The file; `-` is standard input.
        file: TextFile,
        /// Their plan. [default: the plan `default`]
        #[arg(long)]
        plan: Option<PlanName>,
        /// The language of those whose line says none.
        #[arg(long, value_enum, default_value_t = LanguageArgument::Ja)]
        language: LanguageArgument,
    },
    /// Passwords for single mail programs.
    #[command(subcommand)]
    AppPassword(AppPassword),
    /// The relay windows that an account has open: from where it may send after checking its mail.
    Windows {
        /// Its name.
        name: AccountName,
        /// Close them.
        #[arg(long, conflicts_with = "json")]
        close: bool,
        /// Print JSON, one window a line.
        #[arg(long)]
        json: bool,
    },
    /// The notice for a new customer: how to set up a mail program, and what to know.
    Welcome {
        /// Its name.
        name: AccountName,
        /// The language. [default: the account's]
        #[arg(long, value_enum)]
        language: Option<LanguageArgument>,
    },
    /// A one-time link by which its owner sets a password and signs in to the page; good for 24 hours.
    Link {
        /// Its name.
        name: AccountName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Whether an account has a second factor to sign in to the page with.
    SecondFactor {
        /// Its name.
        name: AccountName,
        /// Take it away, for who lost it. An operator sets up another one by `hikyaku account link`.
        #[arg(long)]
        remove: bool,
    },
    /// The browsers that are signed in to the page as this account.
    Sessions {
        /// Its name.
        name: AccountName,
        /// Sign them all out.
        #[arg(long, conflicts_with = "json")]
        end: bool,
        /// Print JSON, one session a line.
        #[arg(long)]
        json: bool,
    },
    /// No login and no sending from now on. Mail is kept and goes on arriving.
    Suspend {
        /// Its name.
        name: AccountName,
    },
    /// Receive and read mail, but not send, from now on.
    ReceiveOnly {
        /// Its name.
        name: AccountName,
    },
    /// End a suspension, or let it send again.
    Resume {
        /// Its name.
        name: AccountName,
    },
    /// What its mailbox answers while its owner is away; without options, what is set.
    Absence(Absence),
    /// Remove an account. Its mail stays on disk.
    Remove {
        /// Its name.
        name: AccountName,
    },
}

#[derive(Subcommand)]
pub enum AppPassword {
    /// Make one. It is shown this once.
    Add {
        /// The account's name.
        name: AccountName,
        /// What its owner calls it, such as the program's name.
        label: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Those that an account has, and when they were last used.
    List {
        /// The account's name.
        name: AccountName,
        /// Print JSON, one a line.
        #[arg(long)]
        json: bool,
    },
    /// Revoke one, from the next login on.
    Remove {
        /// The account's name.
        name: AccountName,
        /// What its owner calls it.
        label: String,
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

/// An account, and all that is known of it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    account: &'a envelope::Account,
    plan: &'a PlanName,
    allowances: Map<String, Value>,
    own_allowances: Map<String, Value>,
    sent: Value,
    windows: Value,
    app_passwords: u64,
    domains: &'a [envelope::Domain],
    /// By the directory.
    uids: &'a [u32],
    /// By `[sendmail.users]`, which counts first.
    uids_by_configuration: Vec<u32>,
    mailbox: Value,
}

/// Does it.
pub fn run(config: &Config, command: Account) -> anyhow::Result<ExitCode> {
    if let Account::Import { file, plan, language } = command {
        return import(config, &file, plan, language.into());
    }
    if let Account::Absence(asked) = command {
        return absence::run(config, asked);
    }
    let mut desk = Desk::open(config)?;
    match command {
        Account::Add { name, password, hash, plan, operator, language, uid, json } => {
            let (password, made_up) = match hash {
                Some(hash) => (NewPassword::Hash(Secret(hash)), None),
                None => {
                    let (password, made_up) = password.read()?;
                    (NewPassword::Password(password), made_up)
                }
            };
            let (language, uids) = (language.into(), numbers(uid));
            let new = NewAccount { name, password: Some(password), language, operator, plan, uids };
            let account = ask!(desk, Rule::AddAccount(new) => Account);
            if json {
                output::json(&Made { account: &account, password: made_up.as_deref() })?;
            } else {
                if let Some(password) = made_up {
                    say!("password: {password}");
                }
                say!("the account {} is there; its mail lies in {}", account.name, account.maildir.display());
            }
        }
        // Done above: the one takes longer, the other asks for the time first.
        Account::Import { .. } | Account::Absence(_) => {}
        Account::List { json } => list(&mut desk, json)?,
        Account::Show { name, json } => {
            let facts = ask!(desk, Rule::AccountFacts(name) => AccountFacts);
            let configured = users_of(config, &facts.account.name);
            if json { show_json(&facts, configured)? } else { show(&facts, &configured)? }
        }
        Account::Passwd { name, password } => {
            let (password, made_up) = password.read()?;
            desk.change(Rule::SetPassword(name.clone(), password))?;
            if let Some(password) = made_up {
                say!("password: {password}");
            }
            say!("{name} has a new password");
        }
        Account::Set { name, plan, language, uid, no_uid, allowances } => {
            let users = uid.len() + no_uid.len();
            if plan.is_none() && language.is_none() && users == 0 && allowances.is_empty() {
                bail!("nothing is to be changed; say --plan, --language, --uid, --no-uid or ALLOWANCE=VALUE");
            }
            let (uids_added, uids_removed) = (numbers(uid), numbers(no_uid));
            let value = |value: String| (value != "plan").then_some(value);
            let allowances = allowances.into_iter().map(|set| (set.name, value(set.value))).collect();
            let language = language.map(Into::into);
            let changes = AccountChanges { plan, language, allowances, uids_added, uids_removed };
            desk.change(Rule::ChangeAccount(name.clone(), changes))?;
            say!("{name} is changed");
        }
        Account::AppPassword(command) => app_password(&mut desk, command)?,
        Account::Windows { name, close: true, .. } => {
            desk.change(Rule::CloseWindows(name.clone()))?;
            say!("the relay windows of {name} are closed; the next mailbox check opens one again");
        }
        Account::Windows { name, json, .. } => {
            for window in ask!(desk, Rule::AccountFacts(name) => AccountFacts).windows {
                if json {
                    output::json(&window)?;
                } else {
                    let until = output::moment(window.expires);
                    say!("{:<40}opened {}, open until {until}", window.client, output::moment(window.opened));
                }
            }
        }
        Account::Welcome { name, language } => {
            let facts = ask!(desk, Rule::AccountFacts(name) => AccountFacts);
            let language = language.map_or(facts.account.language, Into::into);
            say!("{}", welcome::notice(config, &facts, language));
        }
        Account::Link { name, json } => {
            let link = link(config, &mut desk, name.clone())?;
            if json {
                return output::json(&json!({ "account": name, "link": link })).map(|()| ExitCode::SUCCESS);
            }
            say!("{link}");
            say!("it sets the password of {name}, once, and is good for 24 hours; links of before are void");
        }
        Account::SecondFactor { name, remove: true } => {
            desk.change(Rule::RemoveSecondFactor(name.clone()))?;
            say!("{name} has no second factor any more");
        }
        Account::SecondFactor { name, .. } => {
            match ask!(desk, Rule::SecondFactor(name.clone()) => SecondFactor) {
                true => say!("{name} has a second factor"),
                false => say!("{name} has no second factor"),
            }
        }
        Account::Sessions { name, end: true, .. } => {
            desk.change(Rule::EndSessions(name.clone()))?;
            say!("{name} is signed in nowhere any more");
        }
        Account::Sessions { name, json, .. } => {
            for session in ask!(desk, Rule::Sessions(name) => Sessions) {
                if json {
                    output::json(&session)?;
                    continue;
                }
                let (began, used) = (output::moment(session.began), output::moment(session.used));
                say!("{:<40}began {began}, last used {used}, {}", session.client, session.agent);
            }
        }
        Account::Suspend { name } => {
            desk.change(Rule::SetState(name.clone(), AccountState::Suspended))?;
            say!("{name} is suspended: no login, no sending; its mail is kept");
        }
        Account::ReceiveOnly { name } => {
            desk.change(Rule::SetState(name.clone(), AccountState::ReceiveOnly))?;
            say!("{name} receives and reads mail, and cannot send");
        }
        Account::Resume { name } => {
            desk.change(Rule::SetState(name.clone(), AccountState::Active))?;
            say!("{name} is active");
        }
        Account::Remove { name } => {
            let maildir = ask!(desk, Rule::Account(name.clone()) => Account).maildir;
            desk.change(Rule::RemoveAccount(name.clone()))?;
            say!("{name} is removed; its mail is still in {}", maildir.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A new one-time link for an account, as its owner opens it.
///
/// # Errors
/// If there is no such account.
pub fn link(config: &Config, desk: &mut Desk, name: AccountName) -> anyhow::Result<String> {
    let token = ask!(desk, Rule::Invite(name) => Invitation);
    Ok(web::welcome(&page_address(&config.hostname, &config.listen, &config.web), &token))
}

fn import(
    config: &Config,
    file: &TextFile,
    plan: Option<PlanName>,
    language: Language,
) -> anyhow::Result<ExitCode> {
    let new = account_import::parse(&file.read(account_import::FILE_MAX)?, language, plan.as_ref());
    let new = match new {
        Ok(new) => new,
        Err(problems) => bail!("no account is made:\n  {}", problems.join("\n  ")),
    };
    let mut desk = Desk::open_for(config, IMPORT_PATIENCE)?;
    let count = ask!(desk, Rule::ImportAccounts(Many(new)) => Imported);
    say!("{count} accounts are there");
    Ok(ExitCode::SUCCESS)
}

fn app_password(desk: &mut Desk, command: AppPassword) -> anyhow::Result<()> {
    match command {
        AppPassword::Add { name, label, json } => {
            let made = ask!(desk, Rule::AddAppPassword(name.clone(), label.clone()) => NewAppPassword);
            if json {
                return output::json(&json!({ "account": name, "label": label, "password": made.0 }));
            }
            say!("password: {}", made.0);
            say!("it is for \"{label}\" of {name} alone, and is not shown again");
        }
        AppPassword::List { name, json } => {
            for one in ask!(desk, Rule::AppPasswords(name) => AppPasswords) {
                if json {
                    output::json(&one)?;
                    continue;
                }
                let used = one
                    .last_used
                    .map_or("never used".into(), |at| format!("last used {}", output::moment(at)));
                say!("{:<32}made {}, {used}", one.label, output::moment(one.created));
            }
        }
        AppPassword::Remove { name, label } => {
            desk.change(Rule::RemoveAppPassword(name.clone(), label.clone()))?;
            say!("\"{label}\" of {name} is revoked");
        }
    }
    Ok(())
}

fn numbers(users: Vec<LocalUid>) -> Vec<u32> {
    users.into_iter().map(|user| user.0).collect()
}

/// The users of this machine whose programs send as this account by `[sendmail.users]`.
fn users_of(config: &Config, account: &AccountName) -> Vec<u32> {
    let all = LocalUsers::of(&config.sendmail.users).accounts.into_iter();
    all.filter(|(_, owner)| owner == account).map(|(uid, _)| uid).collect()
}

fn show(facts: &AccountFacts, configured: &[u32]) -> anyhow::Result<()> {
    let account = &facts.account;
    say!("account                 {}", account.name);
    say!("state                   {}", account.state);
    say!("operator                {}", if account.operator { "yes" } else { "no" });
    say!("language                {}", account.language.as_str());
    say!("maildir                 {}", account.maildir.display());
    say!("made                    {}", output::moment(account.created));
    for domain in &facts.domains {
        say!("owns                    {domain}");
    }
    for uid in &facts.uids {
        say!("programs of             {}", LocalUid(*uid));
    }
    for uid in configured {
        say!("programs of             {}, by [sendmail.users]", LocalUid(*uid));
    }
    say!("plan                    {}", facts.plan);
    for line in allowances::lines(&facts.allowances, &facts.own) {
        say!("{line}");
    }
    let sent = &facts.sent;
    say!(
        "sent this hour          {} messages to {} recipients",
        sent.messages_this_hour,
        sent.recipients_this_hour
    );
    say!(
        "sent this day           {} messages to {} recipients, {} of them new",
        sent.messages_this_day,
        sent.recipients_this_day,
        sent.new_recipients_this_day
    );
    say!("app passwords           {}", facts.app_passwords);
    for window in &facts.windows {
        say!("relay window            {} until {}", window.client, output::moment(window.expires));
    }
    if let (Some(usage), Limit::AtMost(quota)) = (facts.mailbox, facts.allowances.quota_bytes) {
        let percent = u128::from(usage.octets) * 100 / u128::from(quota.max(1));
        say!("mailbox                 {} of {quota} octets, {percent} %", usage.octets);
        if let Some(since) = usage.full_since {
            say!("full since              {}", output::moment(since));
        }
    }
    Ok(())
}

fn show_json(facts: &AccountFacts, uids_by_configuration: Vec<u32>) -> anyhow::Result<()> {
    output::json(&Shown {
        account: &facts.account,
        plan: &facts.plan,
        allowances: allowances::json(&facts.allowances),
        own_allowances: allowances::json_of_own(&facts.own),
        sent: serde_json::to_value(facts.sent)?,
        windows: serde_json::to_value(&facts.windows)?,
        app_passwords: facts.app_passwords,
        domains: &facts.domains,
        uids: &facts.uids,
        uids_by_configuration,
        mailbox: serde_json::to_value(facts.mailbox)?,
    })
}

fn list(desk: &mut Desk, json: bool) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let accounts = ask!(desk, Rule::Accounts { after, limit: PAGE } => Accounts);
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
