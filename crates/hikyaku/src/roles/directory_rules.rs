//! Operators' changes to the directory.

use directory::{Actor, ChangeError, Password, Store};
use envelope::{Account, DomainKind};
use link::services::directory::{NewAccount, Response, Rule, Secret};

use crate::control::Settings;

/// Opens the directory, and makes sure that the configured provider domain is in it.
///
/// # Errors
/// If the database cannot be opened or is of a newer version.
pub fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    let own = directory::Settings {
        pop_window: settings.sending.pop_window,
        windowless_networks: settings.sending.windowless_networks.clone(),
        ..directory::Settings::new(settings.paths.mail.clone())
    };
    let store = Store::open(&settings.paths.database, own)?;
    if !store.domains()?.iter().any(|domain| domain.name == settings.domain) {
        store.add_domain(settings.domain.clone(), DomainKind::Provider, &Actor::Server)?;
    }
    Ok(store)
}

/// Does what an operator asks.
///
/// `make_mailbox` makes the Maildir of a new account, and blocks until it is there.
pub fn rule(
    store: &Store,
    rule: Rule,
    who: &Actor,
    make_mailbox: impl FnOnce(&Account) -> Result<(), String>,
) -> Response {
    match rule {
        Rule::AddAccount(new) => add_account(store, new, who, make_mailbox),
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
    }
}

/// Whether a rule changes something, so that kept answers become stale.
pub fn changes(rule: &Rule) -> bool {
    !matches!(rule, Rule::Domains | Rule::Account(_) | Rule::Accounts { .. })
}

fn add_account(
    store: &Store,
    new: NewAccount,
    who: &Actor,
    make_mailbox: impl FnOnce(&Account) -> Result<(), String>,
) -> Response {
    let password = match new.password.map(password).transpose() {
        Ok(password) => password,
        Err(refusal) => return refusal,
    };
    let new =
        directory::NewAccount { name: new.name, password, language: new.language, operator: new.operator };
    match store.add_account_after(new, who, make_mailbox) {
        Ok(account) => Response::Account(account),
        Err(error) => refused(&error),
    }
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
