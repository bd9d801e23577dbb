//! What operators do with an account, each on a page that says what it means.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use envelope::{AccountName, AccountState};
use link::services::directory::Rule;
use link::services::directory::visits::{Operate, Visit};

use super::named;
use crate::form::Form;
use crate::frame::{self, Frame};
use crate::operator::confirm::Confirm;
use crate::operator::encoded;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Operator, "/operator/accounts/{name}/state", ask_state)
        .post(Who::Operator, "/operator/accounts/{name}/state", set_state)
        .get(Who::Operator, "/operator/accounts/{name}/link", ask_link)
        .post(Who::Operator, "/operator/accounts/{name}/link", make_link)
        .get(Who::Operator, "/operator/accounts/{name}/second-factor", ask_second_factor)
        .post(Who::Operator, "/operator/accounts/{name}/second-factor", remove_second_factor)
        .get(Who::Operator, "/operator/accounts/{name}/app-password", ask_app_password)
        .post(Who::Operator, "/operator/accounts/{name}/app-password", remove_app_password)
        .post(Who::Operator, "/operator/accounts/{name}/windows", close_windows)
        .get(Who::Operator, "/operator/accounts/{name}/remove", ask_remove)
        .post(Who::Operator, "/operator/accounts/{name}/remove", remove)
}

/// A confirmation of something that is done to an account.
fn confirm(operator: &Operator, title: &'static str, name: &AccountName, act: &str) -> Confirm {
    let back = format!("/operator/accounts/{name}");
    Confirm::new(operator, title, &format!("{back}/{act}"), &back)
}

fn back(name: &AccountName, done: &str) -> Response {
    frame::see_other(&format!("/operator/accounts/{name}?done={done}"))
}

fn wanted_state(form: &Form) -> Result<AccountState, Trouble> {
    let states = [AccountState::Active, AccountState::ReceiveOnly, AccountState::Suspended];
    states.into_iter().find(|state| state.as_str() == form.text("state")).ok_or(Trouble::NotFound)
}

fn about_state(operator: &Operator, name: &AccountName, state: AccountState) -> Confirm {
    let (title, says) = match state {
        AccountState::Active => ("accounts-resume", "accounts-resume-means"),
        AccountState::ReceiveOnly => ("accounts-receive-only", "accounts-receive-only-means"),
        AccountState::Suspended => ("accounts-suspend", "accounts-suspend-means"),
    };
    let says = operator.words.with(says, "account", name.as_str());
    let page = confirm(operator, title, name, "state");
    let page = page.found_by(&format!("state={state}")).says(says).carries("state", state.as_str());
    if state == AccountState::Active { page.harmless() } else { page }
}

async fn ask_state(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let (name, state) = (named(&name)?, wanted_state(&operator.query())?);
    operator.must_be_fresh()?;
    Ok(about_state(&operator, &name, state).page())
}

async fn set_state(operator: Operator, Path(name): Path<String>, form: Form) -> Result<Response, Trouble> {
    let (name, state) = (named(&name)?, wanted_state(&form)?);
    match operator.ruled(Rule::SetState(name.clone(), state)).await {
        Ok(()) => Ok(back(&name, "saved")),
        Err(trouble) => about_state(&operator, &name, state).refused(&trouble),
    }
}

fn about_link(operator: &Operator, name: &AccountName) -> Confirm {
    let says = operator.words.with("accounts-link-means", "account", name.as_str());
    confirm(operator, "accounts-link", name, "link").says(says).harmless()
}

async fn ask_link(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let name = named(&name)?;
    operator.must_be_fresh()?;
    Ok(about_link(&operator, &name).page())
}

/// A one-time link: the only time that it is seen.
#[derive(Template)]
#[template(path = "operator/account-link.html")]
struct Link {
    frame: Frame,
    name: String,
    link: String,
}

async fn make_link(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let name = named(&name)?;
    match operator.operate(Operate::Invite(name.clone())).await {
        Ok(Visit::NewToken(token)) => Ok(frame::page(&Link {
            frame: Frame::of(&operator, "accounts-link-title"),
            name: name.to_string(),
            link: format!("{}welcome?link={}", operator.house.site().url, token.reveal()),
        })),
        Ok(_) => Err(Trouble::Unavailable),
        Err(trouble) => about_link(&operator, &name).refused(&trouble),
    }
}

fn about_second_factor(operator: &Operator, name: &AccountName) -> Confirm {
    let says = operator.words.with("accounts-second-factor-means", "account", name.as_str());
    confirm(operator, "accounts-second-factor", name, "second-factor").says(says)
}

async fn ask_second_factor(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let name = named(&name)?;
    operator.must_be_fresh()?;
    Ok(about_second_factor(&operator, &name).page())
}

async fn remove_second_factor(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let name = named(&name)?;
    match operator.operate(Operate::RemoveSecondFactor(name.clone())).await {
        Ok(_) => Ok(back(&name, "saved")),
        Err(trouble) => about_second_factor(&operator, &name).refused(&trouble),
    }
}

fn about_app_password(operator: &Operator, name: &AccountName, label: &str) -> Confirm {
    let says = operator.words.with2(
        "accounts-app-password-means",
        ("account", name.to_string()),
        ("label", label.to_owned()),
    );
    confirm(operator, "accounts-app-password", name, "app-password")
        .found_by(&format!("label={}", encoded(label)))
        .says(says)
        .carries("label", label)
}

async fn ask_app_password(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let name = named(&name)?;
    operator.must_be_fresh()?;
    Ok(about_app_password(&operator, &name, operator.query().text("label")).page())
}

async fn remove_app_password(
    operator: Operator,
    Path(name): Path<String>,
    form: Form,
) -> Result<Response, Trouble> {
    let (name, label) = (named(&name)?, form.text("label"));
    match operator.ruled(Rule::RemoveAppPassword(name.clone(), label.to_owned())).await {
        Ok(()) => Ok(back(&name, "saved")),
        Err(trouble) => about_app_password(&operator, &name, label).refused(&trouble),
    }
}

async fn close_windows(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let name = named(&name)?;
    operator.ruled(Rule::CloseWindows(name.clone())).await?;
    Ok(back(&name, "saved"))
}

fn about_removal(operator: &Operator, name: &AccountName) -> Confirm {
    let says = operator.words.with("accounts-remove-means", "account", name.as_str());
    confirm(operator, "accounts-remove", name, "remove").says(says).wants_typed(name.as_str())
}

async fn ask_remove(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let name = named(&name)?;
    operator.must_be_fresh()?;
    Ok(about_removal(&operator, &name).page())
}

async fn remove(operator: Operator, Path(name): Path<String>, form: Form) -> Result<Response, Trouble> {
    let name = named(&name)?;
    let page = match about_removal(&operator, &name).typed_in(&form) {
        Ok(page) => page,
        Err(once_more) => return Ok(once_more),
    };
    match operator.ruled(Rule::RemoveAccount(name)).await {
        Ok(()) => Ok(frame::see_other("/operator/accounts?done=removed")),
        Err(trouble) => page.refused(&trouble),
    }
}
