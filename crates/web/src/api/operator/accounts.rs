//! Accounts.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use envelope::AccountName;
use link::services::directory::visits::{Denied, Operate, Own, Visit};
use link::services::directory::{AccountChanges, Answer, NewAccount, NewPassword, Rule, Secret};
use serde::{Deserialize, Serialize};

use crate::api::account::{Account, Allowance, State, Tongue};
use crate::api::addresses::{Addresses, Search};
use crate::api::exchange::{Body, Named, Query, at_most, done, json, parsed};
use crate::api::moment::Moment;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::OperatorToken, "/api/v1/operator/accounts", accounts)
        .post(Who::OperatorToken, "/api/v1/operator/accounts", make)
        .get(Who::OperatorToken, "/api/v1/operator/accounts/{name}", account)
        .patch(Who::OperatorToken, "/api/v1/operator/accounts/{name}", change)
        .delete(Who::OperatorToken, "/api/v1/operator/accounts/{name}", remove)
        .put(Who::OperatorToken, "/api/v1/operator/accounts/{name}/state", set_state)
        .put(Who::OperatorToken, "/api/v1/operator/accounts/{name}/password", set_password)
        .get(Who::OperatorToken, "/api/v1/operator/accounts/{name}/addresses", addresses)
        .delete(Who::OperatorToken, "/api/v1/operator/accounts/{name}/windows", close_windows)
}

/// Which accounts are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Part {
    /// What `next` said of the part before.
    after: Option<String>,
    /// The most that are wanted.
    #[cfg_attr(test, schemars(range(min = 1, max = 1000)))]
    limit: Option<u32>,
}

/// Some accounts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Accounts {
    /// In the order of their names.
    accounts: Vec<AccountLine>,
    /// What `after` is for the next part; none where this is the last.
    next: Option<String>,
}

/// An account in a line.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AccountLine {
    /// Its name.
    name: String,
    /// What it may do.
    state: State,
    /// The language in which it is written to.
    language: Tongue,
    /// Whether it may rule the server.
    operator: bool,
    /// When it was made.
    created: Moment,
}

/// An account to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AccountOrder {
    /// Its name: 1 to 32 letters, digits and hyphens.
    name: String,
    /// Its password; none: nobody can sign in until its owner has taken up a one-time link.
    #[serde(default)]
    password: Option<String>,
    /// The language in which it is written to; Japanese if it is not said.
    #[serde(default)]
    language: Option<Tongue>,
    /// Whether it may rule the server.
    #[serde(default)]
    operator: bool,
    /// Its plan; the default plan if it is not said.
    #[serde(default)]
    plan: Option<String>,
    /// User ids of the server whose programs send as it.
    #[serde(default)]
    uids: Vec<u32>,
}

/// What is to be changed of an account, all of it or nothing; what is not said stays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AccountChange {
    /// Its plan.
    plan: Option<String>,
    /// The language in which it is written to.
    language: Option<Tongue>,
    /// Allowances that it has otherwise than its plan says; null: the plan's counts again.
    allowances: BTreeMap<String, Option<Allowance>>,
    /// User ids of the server whose programs send as it from now on.
    uids_added: Vec<u32>,
    /// User ids of the server whose programs send as it no longer.
    uids_removed: Vec<u32>,
}

/// What an account may do from now on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct StateOrder {
    /// This.
    state: State,
}

/// A new password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PasswordOrder {
    /// This.
    password: String,
}

async fn accounts(operator: Operator, Query(part): Query<Part>) -> Result<Response, Trouble> {
    let limit = at_most(part.limit, 100, 1000)?;
    let after = part.after.as_deref().map(|after| parsed("after", after)).transpose()?;
    // One more, to know whether there are more.
    let rule = Rule::Accounts { after, limit: limit + 1 };
    let Answer::Accounts(mut accounts) = operator.rule(rule).await? else { return Err(Trouble::Unavailable) };
    let more = accounts.len() > limit as usize;
    accounts.truncate(limit as usize);
    let next = accounts.last().filter(|_| more).map(|last| last.name.to_string());
    Ok(json(Accounts { accounts: accounts.into_iter().map(AccountLine::from).collect(), next }))
}

async fn make(operator: Operator, Body(order): Body<AccountOrder>) -> Result<Response, Trouble> {
    let new = NewAccount {
        name: parsed("name", &order.name)?,
        password: order.password.map(|password| NewPassword::Password(Secret(password))),
        language: order.language.unwrap_or(Tongue::Ja).into(),
        operator: order.operator,
        plan: order.plan.as_deref().map(|plan| parsed("plan", plan)).transpose()?,
        uids: order.uids,
    };
    let Answer::Account(account) = operator.rule(Rule::AddAccount(new)).await? else {
        return Err(Trouble::Unavailable);
    };
    let place = format!("/api/v1/operator/accounts/{}", account.name);
    let mut response = (StatusCode::CREATED, axum::Json(AccountLine::from(account))).into_response();
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

async fn account(operator: Operator, Named(name): Named<AccountName>) -> Result<Response, Trouble> {
    let Answer::AccountFacts(facts) = operator.rule(Rule::AccountFacts(name)).await.map_err(absent)? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(Account::from(*facts)))
}

async fn change(
    operator: Operator,
    Named(name): Named<AccountName>,
    Body(change): Body<AccountChange>,
) -> Result<Response, Trouble> {
    let allowances = change.allowances.into_iter();
    let changes = AccountChanges {
        plan: change.plan.as_deref().map(|plan| parsed("plan", plan)).transpose()?,
        language: change.language.map(Into::into),
        allowances: allowances.map(|(name, value)| (name, value.map(|value| value.to_string()))).collect(),
        uids_added: change.uids_added,
        uids_removed: change.uids_removed,
    };
    ruled(&operator, Rule::ChangeAccount(name, changes)).await
}

async fn remove(operator: Operator, Named(name): Named<AccountName>) -> Result<Response, Trouble> {
    ruled(&operator, Rule::RemoveAccount(name)).await
}

async fn set_state(
    operator: Operator,
    Named(name): Named<AccountName>,
    Body(order): Body<StateOrder>,
) -> Result<Response, Trouble> {
    ruled(&operator, Rule::SetState(name, order.state.into())).await
}

async fn set_password(
    operator: Operator,
    Named(name): Named<AccountName>,
    Body(order): Body<PasswordOrder>,
) -> Result<Response, Trouble> {
    ruled(&operator, Rule::SetPassword(name, Secret(order.password))).await
}

async fn addresses(
    operator: Operator,
    Named(name): Named<AccountName>,
    Query(search): Query<Search>,
) -> Result<Response, Trouble> {
    let own: Own = search.asked()?;
    let Visit::Addresses { sheets, more } = operator.operate(Operate::As(name, own)).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(Addresses::of(sheets, more)))
}

async fn close_windows(operator: Operator, Named(name): Named<AccountName>) -> Result<Response, Trouble> {
    ruled(&operator, Rule::CloseWindows(name)).await
}

async fn ruled(operator: &Operator, rule: Rule) -> Result<Response, Trouble> {
    operator.ruled(rule).await.map_err(absent)?;
    Ok(done())
}

/// The directory says in a sentence what there is not.
fn absent(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Denied(Denied::Refused(sentence)) if sentence.starts_with("there is no account ") => {
            Trouble::NotFound
        }
        trouble => trouble,
    }
}

impl From<envelope::Account> for AccountLine {
    fn from(account: envelope::Account) -> AccountLine {
        AccountLine {
            name: account.name.to_string(),
            state: account.state.into(),
            language: account.language.into(),
            operator: account.operator,
            created: Moment::of_seconds(account.created),
        }
    }
}
