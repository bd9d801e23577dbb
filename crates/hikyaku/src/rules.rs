//! Operators' changes to the directory, the same for the role `directory` and for a command line
//! that finds no server running.

use directory::{Actor, ChangeError, Password, Store};
use envelope::{Account, DomainKind, Mailbox};
use link::services::directory::{NewAccount, Response, Rule, Secret};
use mailbox::Maildir;

use crate::control::Settings;

/// What came of a rule.
pub enum Ruled {
    /// This is the answer.
    Answer(Response),
    /// An account was made, and wants its mailbox.
    Made(Account),
}

/// Opens the directory, and makes sure that the configured provider domain is in it.
///
/// # Errors
/// If the database cannot be opened or is of a newer version.
pub fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    let store = Store::open(&settings.paths.database, directory::Settings::new(settings.paths.mail.clone()))?;
    if !store.domains()?.iter().any(|domain| domain.name == settings.domain) {
        store.add_domain(settings.domain.clone(), DomainKind::Provider, &Actor::Server)?;
    }
    Ok(store)
}

/// Does what an operator asks.
pub fn rule(store: &Store, rule: Rule, who: &Actor) -> Ruled {
    let answer = match rule {
        Rule::AddAccount(new) => match add_account(store, new, who) {
            Ok(account) => return Ruled::Made(account),
            Err(refusal) => refusal,
        },
        Rule::AddDomain(domain) => done(store.add_domain(domain.name, domain.kind, who)),
        Rule::RemoveDomain(name) => done(store.remove_domain(&name, who)),
        Rule::RemoveAccount(name) => done(store.remove_account(&name, who)),
        Rule::SetState(name, state) => done(store.set_state(&name, state, who)),
        Rule::SetPassword(name, secret) => match password(secret) {
            Ok(password) => done(store.set_password(&name, &password, who)),
            Err(refusal) => refusal,
        },
        Rule::Domains => store.domains().map_or(Response::Unavailable, Response::Domains),
        Rule::Account(name) => match store.account(&name) {
            Ok(Some(account)) => Response::Account(account),
            Ok(None) => refused(&ChangeError::NoSuchAccount(name)),
            Err(_) => Response::Unavailable,
        },
        Rule::Accounts { after, limit } => store
            .accounts("", after.as_ref(), limit.min(10_000))
            .map_or(Response::Unavailable, Response::Accounts),
    };
    Ruled::Answer(answer)
}

/// Whether a rule changes something, so that kept answers become stale.
pub fn changes(rule: &Rule) -> bool {
    !matches!(rule, Rule::Domains | Rule::Account(_) | Rule::Accounts { .. })
}

/// Makes a new account's mailbox. One that is there already, from an account of the same name
/// before, is used again.
///
/// # Errors
/// If the disk says no.
pub fn create_mailbox(mailbox: &Mailbox) -> Result<(), mailbox::MailboxError> {
    Maildir::create(&mailbox.maildir).map(|_| ())
}

fn add_account(store: &Store, new: NewAccount, who: &Actor) -> Result<Account, Response> {
    let password = new.password.map(password).transpose()?;
    let new =
        directory::NewAccount { name: new.name, password, language: new.language, operator: new.operator };
    store.add_account(new, who).map_err(|error| refused(&error))
}

fn password(secret: Secret) -> Result<Password, Response> {
    Password::new(secret.0).map_err(|error| Response::Refused(error.to_string()))
}

fn done<T>(outcome: Result<T, ChangeError>) -> Response {
    outcome.map_or_else(|error| refused(&error), |_| Response::Done)
}

fn refused(error: &ChangeError) -> Response {
    Response::Refused(error.to_string())
}
