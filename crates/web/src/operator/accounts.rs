//! The accounts, in the order of their names; and new ones.

use askama::Template;
use axum::response::Response;
use envelope::{Account, AccountName, Language, NamedPlan};
use link::services::directory::visits::Denied;
use link::services::directory::{Answer, NewAccount, Rule};

use super::account::state_words;
use crate::figures::Clock;
use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How many accounts a page shows.
const PAGE: usize = 50;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Operator, "/operator/accounts", list)
        .get(Who::Operator, "/operator/new-account", new)
        .post(Who::Operator, "/operator/new-account", add)
}

#[derive(Template)]
#[template(path = "operator/accounts.html")]
struct List {
    frame: Frame,
    /// How the names begin.
    prefix: String,
    rows: Vec<Row>,
    /// The last name here, if there are more after it.
    more: Option<String>,
    /// Whether this is not the first page.
    later: bool,
}

struct Row {
    name: String,
    state: String,
    colour: &'static str,
    operator: bool,
    language: String,
    created: String,
}

impl Row {
    fn of(account: &Account, clock: Clock) -> Row {
        let (state, colour) = state_words(clock.words, account.state);
        Row {
            name: account.name.to_string(),
            state,
            colour,
            operator: account.operator,
            language: clock.words.say(&format!("language-{}", account.language.as_str())).into_owned(),
            created: clock.date(account.created),
        }
    }
}

async fn list(operator: Operator) -> Result<Response, Trouble> {
    let query = operator.query();
    let prefix = query.text("prefix").to_ascii_lowercase();
    let after = query.text("after").parse::<AccountName>().ok();
    let clock = super::clock(&operator);
    let mut accounts = of_prefix(&operator, &prefix, after.clone()).await?;
    let more = (accounts.len() > PAGE).then(|| accounts[PAGE - 1].name.to_string());
    accounts.truncate(PAGE);
    Ok(frame::page(&List {
        frame: Frame::of(&operator, "accounts-title"),
        prefix: prefix.chars().take(40).collect(),
        rows: accounts.iter().map(|account| Row::of(account, clock)).collect(),
        more,
        later: after.is_some(),
    }))
}

/// Accounts whose names begin so, one more than a page shows.
async fn of_prefix(
    operator: &Operator,
    prefix: &str,
    after: Option<AccountName>,
) -> Result<Vec<Account>, Trouble> {
    let mut found = Vec::new();
    // A hyphen is the first of all characters that a name can have, so names that begin with `abc` follow upon
    // `abc`, and those with `abc-` do so at once.
    let name: Option<AccountName> = prefix.trim_end_matches('-').parse().ok();
    if !prefix.is_empty() && name.is_none() {
        return Ok(found);
    }
    if let (Some(name), None) = (&name, &after)
        && name.as_str() == prefix
    {
        match operator.rule(Rule::Account(name.clone())).await {
            Ok(Answer::Account(account)) => found.push(account),
            Ok(_) => return Err(Trouble::Unavailable),
            // There is none of just this name.
            Err(Trouble::Denied(Denied::Refused(_)) | Trouble::NotFound) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    let rule = Rule::Accounts { after: after.or(name), limit: PAGE as u32 + 1 };
    let Answer::Accounts(accounts) = operator.rule(rule).await? else { return Err(Trouble::Unavailable) };
    found.extend(accounts.into_iter().take_while(|account| account.name.as_str().starts_with(prefix)));
    Ok(found)
}

#[derive(Template)]
#[template(path = "operator/account-new.html")]
struct New {
    frame: Frame,
    name: String,
    plans: Vec<NamedPlan>,
    plan: String,
    language: &'static str,
    operator: bool,
    trouble: Option<String>,
}

async fn new(operator: Operator) -> Result<Response, Trouble> {
    operator.must_be_fresh()?;
    Ok(frame::page(&form(&operator, &Form::read("language=ja"), None).await?))
}

async fn form(operator: &Operator, typed: &Form, trouble: Option<&Trouble>) -> Result<New, Trouble> {
    Ok(New {
        frame: Frame::of(operator, "accounts-new-title"),
        name: typed.text("name").chars().take(60).collect(),
        plans: super::plans::all(operator).await?,
        plan: typed.text("plan").to_owned(),
        language: language(typed).as_str(),
        operator: typed.ticked("operator"),
        trouble: trouble.map(|trouble| trouble.sentence(operator.words).into_owned()),
    })
}

/// The language that a form says.
pub(super) fn language(form: &Form) -> Language {
    if form.text("language") == "en" { Language::En } else { Language::Ja }
}

/// Makes an account without a password: its owner sets one by a one-time link.
async fn add(operator: Operator, typed: Form) -> Result<Response, Trouble> {
    match added(&operator, &typed).await {
        Ok(name) => Ok(frame::see_other(&format!("/operator/accounts/{name}/link?done=account-added"))),
        Err(trouble @ Trouble::Denied(_)) => {
            let mut response = frame::page(&form(&operator, &typed, Some(&trouble)).await?);
            *response.status_mut() = trouble.status();
            Ok(response)
        }
        Err(trouble) => Err(trouble),
    }
}

async fn added(operator: &Operator, typed: &Form) -> Result<AccountName, Trouble> {
    let refused = |why: String| Trouble::Denied(Denied::Refused(why));
    let name = typed.text("name").parse::<AccountName>().map_err(|error| refused(error.to_string()))?;
    let plan = match typed.text("plan") {
        "" => None,
        plan => Some(plan.parse().map_err(|_| Trouble::Denied(Denied::NotSensible("plan".into())))?),
    };
    let new = NewAccount {
        name: name.clone(),
        password: None,
        language: language(typed),
        operator: typed.ticked("operator"),
        plan,
        uids: Vec::new(),
    };
    operator.ruled(Rule::AddAccount(new)).await?;
    Ok(name)
}
