//! An account's plan, language, and what it has otherwise than its plan says.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use envelope::{AccountName, NamedPlan, Plan};
use link::services::directory::visits::Denied;
use link::services::directory::{AccountChanges, Rule};

use super::{facts, named};
use crate::form::Form;
use crate::frame::{self, Frame};
use crate::operator::accounts::language;
use crate::operator::allowances::{self, Field};
use crate::operator::plans;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/accounts/{name}/settings", show).post(
        Who::Operator,
        "/operator/accounts/{name}/settings",
        save,
    )
}

#[derive(Template)]
#[template(path = "operator/account-settings.html")]
struct Settings {
    frame: Frame,
    name: String,
    plans: Vec<NamedPlan>,
    plan: String,
    language: &'static str,
    fields: Vec<Field>,
    trouble: Option<String>,
}

async fn show(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    operator.must_be_fresh()?;
    Ok(frame::page(&as_stored(&operator, &named(&name)?).await?))
}

async fn as_stored(operator: &Operator, name: &AccountName) -> Result<Settings, Trouble> {
    let facts = facts(operator, name).await?;
    let plans = plans::all(operator).await?;
    let plan = plans.iter().find(|plan| plan.name == facts.plan).map(|plan| plan.plan.clone());
    Ok(Settings {
        frame: Frame::of(operator, "accounts-settings-title"),
        name: name.to_string(),
        plan: facts.plan.to_string(),
        language: facts.account.language.as_str(),
        fields: allowances::of_account(operator.words, &plan.unwrap_or_else(Plan::default), &facts.own),
        plans,
        trouble: None,
    })
}

async fn save(operator: Operator, Path(name): Path<String>, form: Form) -> Result<Response, Trouble> {
    let name = named(&name)?;
    match saved(&operator, &name, &form).await {
        Ok(()) => Ok(frame::see_other(&format!("/operator/accounts/{name}?done=saved"))),
        Err(trouble @ Trouble::Denied(_)) => {
            let mut settings = as_stored(&operator, &name).await?;
            settings.plan = form.text("plan").to_owned();
            settings.language = language(&form).as_str();
            settings.fields = allowances::again(settings.fields, &form);
            settings.trouble = Some(trouble.sentence(operator.words).into_owned());
            let mut response = frame::page(&settings);
            *response.status_mut() = trouble.status();
            Ok(response)
        }
        Err(trouble) => Err(trouble),
    }
}

async fn saved(operator: &Operator, name: &AccountName, form: &Form) -> Result<(), Trouble> {
    let plan = form.text("plan").parse().map_err(|_| Trouble::Denied(Denied::NotSensible("plan".into())))?;
    let changes = AccountChanges {
        plan: Some(plan),
        language: Some(language(form)),
        allowances: allowances::sent(form)?,
        ..AccountChanges::default()
    };
    operator.ruled(Rule::ChangeAccount(name.clone(), changes)).await
}
