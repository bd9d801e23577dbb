//! A member's account: what is known of it, who was in, its app passwords, its language, what was changed.

use std::collections::BTreeMap;
use std::fmt::Display;

use axum::response::Response;
use envelope::{AccountState, Language};
use link::services::directory::visits::{LastLogin, Own, Visit};
use link::services::directory::{self, AccountFacts};
use serde::{Deserialize, Serialize};

use super::exchange::{Body, Named, Query, at_most, done, json};
use super::moment::Moment;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Token, "/api/v1/account", account)
        .put(Who::Token, "/api/v1/language", set_language)
        .get(Who::Token, "/api/v1/logins", logins)
        .delete(Who::Token, "/api/v1/windows", close_windows)
        .get(Who::Token, "/api/v1/app-passwords", app_passwords)
        .delete(Who::Token, "/api/v1/app-passwords/{label}", remove_app_password)
        .get(Who::Token, "/api/v1/trail", trail)
}

/// An account, and what is known of it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Account {
    /// Its name.
    name: String,
    /// Its standard address, where the asker is its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The domain of which it has all addresses, if its plan gives it one; where the asker is its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_domain: Option<String>,
    /// The language in which it is written to.
    language: Tongue,
    /// What it may do.
    state: State,
    /// Whether it may rule the server.
    operator: bool,
    /// When it was made.
    created: Moment,
    /// The name of its plan.
    plan: String,
    /// What it may, by the names of the allowances.
    allowances: BTreeMap<String, Allowance>,
    /// What of it is otherwise than its plan says.
    own_allowances: BTreeMap<String, Allowance>,
    /// What it has sent.
    sent: Sent,
    /// Its open relay windows.
    windows: Vec<Window>,
    /// How many app passwords it has.
    app_passwords: u64,
    /// The domains that it owns.
    domains: Vec<String>,
    /// How full its mailbox is, if it has a quota and that is known.
    mailbox: Option<Mailbox>,
}

/// The language in which an account is written to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Tongue {
    /// Japanese.
    Ja,
    /// English.
    En,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum State {
    /// Everything.
    Active,
    /// Nothing; its mail is kept and goes on arriving.
    Suspended,
    /// Receive and read, not send.
    ReceiveOnly,
}

/// The value of an allowance: a number, whether something is allowed, or a word such as `unlimited`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Allowance {
    /// Whether it is allowed.
    Flag(bool),
    /// How much.
    Number(u64),
    /// A word.
    Word(String),
}

/// What an account has sent in the current hour and day.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Sent {
    /// Messages in this hour.
    messages_this_hour: u64,
    /// Recipients in this hour.
    recipients_this_hour: u64,
    /// Messages on this day.
    messages_this_day: u64,
    /// Recipients on this day.
    recipients_this_day: u64,
    /// Of them, who had not been written to before.
    new_recipients_this_day: u64,
}

/// An open relay window: who checked his mail may send from there for a while.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Window {
    /// From which address.
    client: String,
    /// The login that opened it.
    opened: Moment,
    /// The last login.
    renewed: Moment,
    /// Until when it is open.
    expires: Moment,
}

/// How full a mailbox is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Mailbox {
    /// Octets of mail.
    octets: u64,
    /// Since when mail has been refused for want of room.
    full_since: Option<Moment>,
}

/// Logins.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Logins {
    /// The newest first.
    logins: Vec<Login>,
}

/// One login.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Login {
    /// When.
    at: Moment,
    /// By which service, such as `pop3`, `smtp`, `web`.
    service: String,
    /// From where.
    client: String,
    /// The label of the app password that was used, if one was.
    app_password: Option<String>,
}

/// App passwords.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AppPasswords {
    /// In the order in which they were made.
    app_passwords: Vec<AppPassword>,
}

/// An app password; it itself is seen only once, when it is made on the page.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AppPassword {
    /// What its owner calls it.
    label: String,
    /// When it was made.
    created: Moment,
    /// The last login by it, to the minute.
    last_used: Option<Moment>,
}

/// Changes that were made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Trail {
    /// The newest first.
    changes: Vec<Change>,
}

/// One change that was made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Change {
    /// When.
    at: Moment,
    /// Who made it.
    who: String,
    /// What, as a short sentence in English.
    what: String,
}

/// A language to be set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LanguageOrder {
    /// Which.
    language: Tongue,
}

/// How much of a list is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Extent {
    /// The most that are wanted.
    #[cfg_attr(test, schemars(range(min = 1, max = 1000)))]
    limit: Option<u32>,
}

async fn account(member: Member) -> Result<Response, Trouble> {
    let Visit::Facts(facts) = member.own(Own::Facts).await? else { return Err(Trouble::Unavailable) };
    let standing = member.standing();
    let address = Some(standing.address.to_string());
    let sub_domain = standing.sub_domain.as_ref().map(ToString::to_string);
    Ok(json(Account { address, sub_domain, ..Account::from(*facts) }))
}

async fn set_language(member: Member, Body(order): Body<LanguageOrder>) -> Result<Response, Trouble> {
    member.own(Own::SetLanguage(order.language.into())).await?;
    Ok(done())
}

async fn logins(member: Member) -> Result<Response, Trouble> {
    let Visit::Logins(logins) = member.own(Own::Logins).await? else { return Err(Trouble::Unavailable) };
    Ok(json(Logins { logins: logins.into_iter().map(Login::from).collect() }))
}

async fn close_windows(member: Member) -> Result<Response, Trouble> {
    member.own(Own::CloseWindows).await?;
    Ok(done())
}

async fn app_passwords(member: Member) -> Result<Response, Trouble> {
    let Visit::AppPasswords(all) = member.own(Own::AppPasswords).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(AppPasswords { app_passwords: all.into_iter().map(AppPassword::from).collect() }))
}

async fn remove_app_password(member: Member, Named(label): Named<String>) -> Result<Response, Trouble> {
    member.own(Own::RemoveAppPassword(label)).await?;
    Ok(done())
}

async fn trail(member: Member, Query(extent): Query<Extent>) -> Result<Response, Trouble> {
    let limit = extent.at_most(100)?;
    let Visit::Trail(entries) = member.own(Own::Trail { limit }).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(Trail::from(entries)))
}

impl Extent {
    /// How many are wanted, or this many.
    ///
    /// # Errors
    /// If it is none, or too many.
    pub(crate) fn at_most(&self, usual: u32) -> Result<u32, Trouble> {
        at_most(self.limit, usual, 1000)
    }
}

impl From<AccountFacts> for Account {
    fn from(facts: AccountFacts) -> Account {
        Account {
            name: facts.account.name.to_string(),
            address: None,
            sub_domain: None,
            language: facts.account.language.into(),
            state: facts.account.state.into(),
            operator: facts.account.operator,
            created: Moment::of_seconds(facts.account.created),
            plan: facts.plan.to_string(),
            allowances: allowances(&facts.allowances),
            own_allowances: allowances(&facts.own),
            sent: Sent {
                messages_this_hour: facts.sent.messages_this_hour,
                recipients_this_hour: facts.sent.recipients_this_hour,
                messages_this_day: facts.sent.messages_this_day,
                recipients_this_day: facts.sent.recipients_this_day,
                new_recipients_this_day: facts.sent.new_recipients_this_day,
            },
            windows: facts.windows.into_iter().map(Window::from).collect(),
            app_passwords: facts.app_passwords,
            domains: facts.domains.iter().map(ToString::to_string).collect(),
            mailbox: facts.mailbox.map(|usage| Mailbox {
                octets: usage.octets,
                full_since: usage.full_since.map(Moment::of_seconds),
            }),
        }
    }
}

/// The allowances of a plan, or what an account has otherwise: as these are displayed, so that no list of their
/// names is kept here.
pub(crate) fn allowances(plan: &impl Display) -> BTreeMap<String, Allowance> {
    let shown = plan.to_string();
    let pairs = shown.split(' ').filter_map(|text| text.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), Allowance::of(value))).collect()
}

impl Allowance {
    fn of(shown: &str) -> Allowance {
        match (shown.parse(), shown.parse()) {
            (Ok(flag), _) => Allowance::Flag(flag),
            (_, Ok(number)) => Allowance::Number(number),
            _ => Allowance::Word(shown.to_owned()),
        }
    }
}

impl Display for Allowance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Allowance::Flag(flag) => flag.fmt(f),
            Allowance::Number(number) => number.fmt(f),
            Allowance::Word(word) => f.write_str(word),
        }
    }
}

impl From<directory::Window> for Window {
    fn from(window: directory::Window) -> Window {
        Window {
            client: window.client.to_string(),
            opened: Moment::of_seconds(window.opened),
            renewed: Moment::of_seconds(window.renewed),
            expires: Moment::of_seconds(window.expires),
        }
    }
}

impl From<LastLogin> for Login {
    fn from(login: LastLogin) -> Login {
        Login {
            at: Moment::of_seconds(login.at),
            service: login.service,
            client: login.client.to_string(),
            app_password: login.app_password,
        }
    }
}

impl From<directory::AppPassword> for AppPassword {
    fn from(password: directory::AppPassword) -> AppPassword {
        AppPassword {
            label: password.label,
            created: Moment::of_seconds(password.created),
            last_used: password.last_used.map(Moment::of_seconds),
        }
    }
}

impl From<Vec<directory::AuditEntry>> for Trail {
    fn from(entries: Vec<directory::AuditEntry>) -> Trail {
        let change = |entry: directory::AuditEntry| Change {
            at: Moment::of_seconds(entry.at),
            who: entry.who,
            what: entry.what,
        };
        Trail { changes: entries.into_iter().map(change).collect() }
    }
}

impl From<Language> for Tongue {
    fn from(language: Language) -> Tongue {
        match language {
            Language::Ja => Tongue::Ja,
            Language::En => Tongue::En,
        }
    }
}

impl From<Tongue> for Language {
    fn from(tongue: Tongue) -> Language {
        match tongue {
            Tongue::Ja => Language::Ja,
            Tongue::En => Language::En,
        }
    }
}

impl From<AccountState> for State {
    fn from(state: AccountState) -> State {
        match state {
            AccountState::Active => State::Active,
            AccountState::Suspended => State::Suspended,
            AccountState::ReceiveOnly => State::ReceiveOnly,
        }
    }
}

impl From<State> for AccountState {
    fn from(state: State) -> AccountState {
        match state {
            State::Active => AccountState::Active,
            State::Suspended => AccountState::Suspended,
            State::ReceiveOnly => AccountState::ReceiveOnly,
        }
    }
}

#[cfg(test)]
mod tests {
    use envelope::{Overrides, Plan};

    use super::*;

    #[test]
    fn every_allowance_is_told_by_its_name_and_is_set_by_what_is_told() {
        let plan = Plan::default();
        let told = allowances(&plan);
        assert_eq!(told.len(), Plan::NAMES.len());
        assert_eq!(told["forward_limit"], Allowance::Number(10));
        assert_eq!(told["pop_before_smtp"], Allowance::Flag(true));
        assert_eq!(told["quota_bytes"], Allowance::Word("unlimited".into()));
        let mut again = Plan::default();
        for (name, value) in &told {
            again.set(name, &value.to_string()).unwrap();
        }
        assert_eq!(again, plan);
        assert!(allowances(&Overrides::default()).is_empty());
    }
}
