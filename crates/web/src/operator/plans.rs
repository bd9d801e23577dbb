//! Plans: what accounts may do, and how much of it.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use envelope::{NamedPlan, Overrides, Plan, PlanName};
use link::services::directory::visits::Denied;
use link::services::directory::{Answer, Rule};

use super::allowances::{self, Field, Told};
use super::confirm::Confirm;
use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Operator, "/operator/plans", list)
        .get(Who::Operator, "/operator/new-plan", new)
        .post(Who::Operator, "/operator/new-plan", add)
        .get(Who::Operator, "/operator/plans/{name}", edit)
        .post(Who::Operator, "/operator/plans/{name}", save)
        .get(Who::Operator, "/operator/plans/{name}/remove", ask_remove)
        .post(Who::Operator, "/operator/plans/{name}/remove", remove)
}

/// All plans, in the order of their names.
pub(super) async fn all(operator: &Operator) -> Result<Vec<NamedPlan>, Trouble> {
    match operator.rule(Rule::Plans).await? {
        Answer::Plans(plans) => Ok(plans),
        _ => Err(Trouble::Unavailable),
    }
}

async fn one(operator: &Operator, name: &str) -> Result<NamedPlan, Trouble> {
    let name: PlanName = name.parse().map_err(|_| Trouble::NotFound)?;
    all(operator).await?.into_iter().find(|plan| plan.name == name).ok_or(Trouble::NotFound)
}

#[derive(Template)]
#[template(path = "operator/plans.html")]
struct List {
    frame: Frame,
    plans: Vec<(String, Vec<Told>)>,
}

async fn list(operator: Operator) -> Result<Response, Trouble> {
    let told = |plan: NamedPlan| {
        let allowances = allowances::told(operator.words, &plan.plan, &Overrides::default());
        (plan.name.to_string(), allowances)
    };
    Ok(frame::page(&List {
        frame: Frame::of(&operator, "plans-title"),
        plans: all(&operator).await?.into_iter().map(told).collect(),
    }))
}

#[derive(Template)]
#[template(path = "operator/plan.html")]
struct Edit {
    frame: Frame,
    /// None: it is a new one.
    stored: Option<String>,
    /// As typed.
    name: String,
    /// The plan that is always there.
    is_default: bool,
    fields: Vec<Field>,
    trouble: Option<String>,
}

async fn new(operator: Operator) -> Result<Response, Trouble> {
    operator.must_be_fresh()?;
    Ok(frame::page(&blank(&operator).await?))
}

/// A new plan begins as the default stands.
async fn blank(operator: &Operator) -> Result<Edit, Trouble> {
    let default = one(operator, PlanName::DEFAULT).await.map(|plan| plan.plan);
    let plan = match default {
        Err(Trouble::NotFound) => Plan::default(),
        default => default?,
    };
    Ok(Edit {
        frame: Frame::of(operator, "plans-new-title"),
        stored: None,
        name: String::new(),
        is_default: false,
        fields: allowances::of_plan(operator.words, &plan),
        trouble: None,
    })
}

async fn edit(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    operator.must_be_fresh()?;
    Ok(frame::page(&as_stored(&operator, &name).await?))
}

async fn as_stored(operator: &Operator, name: &str) -> Result<Edit, Trouble> {
    let NamedPlan { name, plan } = one(operator, name).await?;
    Ok(Edit {
        frame: Frame::of(operator, "plans-one-title"),
        is_default: name.as_str() == PlanName::DEFAULT,
        stored: Some(name.to_string()),
        name: name.to_string(),
        fields: allowances::of_plan(operator.words, &plan),
        trouble: None,
    })
}

async fn add(operator: Operator, form: Form) -> Result<Response, Trouble> {
    let edit = blank(&operator).await?;
    let name = form.text("name").parse::<PlanName>();
    let name = name.map_err(|error| Trouble::Denied(Denied::Refused(error.to_string())));
    let added = match name {
        // It would change the one that is there.
        Ok(name) if all(&operator).await?.iter().any(|plan| plan.name == name) => {
            Err(Trouble::Denied(Denied::LabelTaken))
        }
        Ok(name) => set(&operator, name, &form).await,
        Err(trouble) => Err(trouble),
    };
    sent(added, edit, &operator, &form)
}

async fn save(operator: Operator, Path(name): Path<String>, form: Form) -> Result<Response, Trouble> {
    let edit = as_stored(&operator, &name).await?;
    let name = name.parse().map_err(|_| Trouble::NotFound)?;
    sent(set(&operator, name, &form).await, edit, &operator, &form)
}

async fn set(operator: &Operator, name: PlanName, form: &Form) -> Result<(), Trouble> {
    let given = allowances::sent(form)?.into_iter();
    let given = given.filter_map(|(name, value)| Some((name, value?))).collect();
    operator.ruled(Rule::SetPlan(name, given)).await
}

fn sent(
    saved: Result<(), Trouble>,
    mut edit: Edit,
    operator: &Operator,
    form: &Form,
) -> Result<Response, Trouble> {
    match saved {
        Ok(()) => Ok(frame::see_other("/operator/plans?done=saved")),
        Err(trouble @ Trouble::Denied(_)) => {
            if edit.stored.is_none() {
                edit.name = form.text("name").chars().take(60).collect();
            }
            edit.fields = allowances::again(edit.fields, form);
            edit.trouble = Some(trouble.sentence(operator.words).into_owned());
            let mut response = frame::page(&edit);
            *response.status_mut() = trouble.status();
            Ok(response)
        }
        Err(trouble) => Err(trouble),
    }
}

fn about_removal(operator: &Operator, name: &PlanName) -> Confirm {
    let says = operator.words.with("plans-remove-means", "plan", name.as_str());
    let action = format!("/operator/plans/{name}/remove");
    Confirm::new(operator, "plans-remove", &action, "/operator/plans").says(says).wants_typed(name.as_str())
}

async fn ask_remove(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    operator.must_be_fresh()?;
    let plan = one(&operator, &name).await?;
    Ok(about_removal(&operator, &plan.name).page())
}

async fn remove(operator: Operator, Path(name): Path<String>, form: Form) -> Result<Response, Trouble> {
    let name: PlanName = name.parse().map_err(|_| Trouble::NotFound)?;
    let page = match about_removal(&operator, &name).typed_in(&form) {
        Ok(page) => page,
        Err(once_more) => return Ok(once_more),
    };
    match operator.ruled(Rule::RemovePlan(name)).await {
        Ok(()) => Ok(frame::see_other("/operator/plans?done=removed")),
        Err(trouble) => page.refused(&trouble),
    }
}
