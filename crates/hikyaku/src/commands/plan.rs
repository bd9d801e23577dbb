//! `hikyaku plan`: what accounts may do, and how much of it.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use envelope::{NamedPlan, Overrides, PlanName};
use link::services::directory::Rule;
use serde_json::json;

use super::allowances::{self, Assignment};
use super::desk::{Desk, ask};
use super::output::{self, say};
use crate::config::Config;

#[derive(Subcommand)]
pub enum Plan {
    /// Make a plan, or change it for every account that has it. A new one begins as the plan `default` stands.
    Set {
        /// Its name.
        name: PlanName,
        /// What it allows, such as messages_per_day=2000, quota_bytes=500M or message_size_max=unlimited.
        #[arg(value_name = "ALLOWANCE=VALUE")]
        allowances: Vec<Assignment>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// All plans.
    List {
        /// Print JSON, one plan a line.
        #[arg(long)]
        json: bool,
    },
    /// One plan and all its allowances.
    Show {
        /// Its name.
        name: PlanName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a plan that no account has.
    Remove {
        /// Its name.
        name: PlanName,
    },
}

/// Does it.
pub fn run(config: &Config, command: Plan) -> anyhow::Result<ExitCode> {
    let mut desk = Desk::open(config)?;
    match command {
        Plan::Set { name, allowances, json } => {
            let allowances = allowances.into_iter().map(|set| (set.name, set.value)).collect();
            let plan = ask!(desk, Rule::SetPlan(name.clone(), allowances) => Plan);
            show(&NamedPlan { name, plan }, json)?;
        }
        Plan::List { json } => {
            for plan in ask!(desk, Rule::Plans => Plans) {
                if json {
                    show(&plan, true)?;
                } else {
                    say!("{}", plan.name);
                }
            }
        }
        Plan::Show { name, json } => {
            let plans = ask!(desk, Rule::Plans => Plans);
            let plan = plans.iter().find(|plan| plan.name == name).with_context(|| {
                format!("there is no plan {name}; `hikyaku plan list` shows those there are")
            })?;
            show(plan, json)?;
        }
        Plan::Remove { name } => {
            desk.change(Rule::RemovePlan(name.clone()))?;
            say!("the plan {name} is removed");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(plan: &NamedPlan, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&json!({ "name": plan.name, "allowances": allowances::json(&plan.plan) }));
    }
    say!("plan                    {}", plan.name);
    for line in allowances::lines(&plan.plan, &Overrides::default()) {
        say!("{line}");
    }
    Ok(())
}
