//! Plans.

use std::collections::BTreeMap;

use axum::response::Response;
use envelope::{NamedPlan, PlanName};
use link::services::directory::{Answer, Rule};
use serde::{Deserialize, Serialize};

use crate::api::account::{Allowance, allowances};
use crate::api::exchange::{Body, Named, done, json};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::OperatorToken, "/api/v1/operator/plans", plans)
        .put(Who::OperatorToken, "/api/v1/operator/plans/{name}", set)
        .delete(Who::OperatorToken, "/api/v1/operator/plans/{name}", remove)
}

/// All plans.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Plans {
    /// In the order of their names.
    plans: Vec<Plan>,
}

/// A plan.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Plan {
    /// Its name.
    name: String,
    /// What it allows.
    allowances: BTreeMap<String, Allowance>,
}

/// A plan to be made or changed; what is not said stays, or is what the default is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PlanOrder {
    /// What it allows, by the names of the allowances.
    allowances: BTreeMap<String, Allowance>,
}

async fn plans(operator: Operator) -> Result<Response, Trouble> {
    Ok(json(Plans { plans: all(&operator).await?.into_iter().map(Plan::from).collect() }))
}

async fn set(
    operator: Operator,
    Named(name): Named<PlanName>,
    Body(order): Body<PlanOrder>,
) -> Result<Response, Trouble> {
    let allowances = order.allowances.into_iter().map(|(name, value)| (name, value.to_string())).collect();
    let Answer::Plan(plan) = operator.rule(Rule::SetPlan(name.clone(), allowances)).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(Plan::from(NamedPlan { name, plan })))
}

async fn remove(operator: Operator, Named(name): Named<PlanName>) -> Result<Response, Trouble> {
    if !all(&operator).await?.iter().any(|plan| plan.name == name) {
        return Err(Trouble::NotFound);
    }
    operator.ruled(Rule::RemovePlan(name)).await?;
    Ok(done())
}

async fn all(operator: &Operator) -> Result<Vec<NamedPlan>, Trouble> {
    match operator.rule(Rule::Plans).await? {
        Answer::Plans(plans) => Ok(plans),
        _ => Err(Trouble::Unavailable),
    }
}

impl From<NamedPlan> for Plan {
    fn from(plan: NamedPlan) -> Plan {
        Plan { name: plan.name.to_string(), allowances: allowances(&plan.plan) }
    }
}
