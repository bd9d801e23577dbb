//! The audit trail: who changed what.

use askama::Template;
use axum::response::Response;
use envelope::AccountName;
use link::services::directory::visits::Denied;
use link::services::directory::{Answer, AuditEntry, Rule};

use crate::figures::Clock;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How many changes a page shows.
const PAGE: u32 = 50;
/// How far back the pages go: the directory tells no more at once.
const BACK_MAX: u32 = 9_900;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/audit", trail)
}

#[derive(Template)]
#[template(path = "operator/audit.html")]
struct Trail {
    frame: Frame,
    clock: Clock,
    /// Whose changes; empty: everybody's.
    account: String,
    entries: Vec<AuditEntry>,
    /// How many newer ones there are to skip for the next page.
    older: Option<u32>,
    later: bool,
    trouble: Option<String>,
}

async fn trail(operator: Operator) -> Result<Response, Trouble> {
    let query = operator.query();
    let typed = query.text("account").to_owned();
    let skip = query.text("skip").parse().unwrap_or(0_u32).min(BACK_MAX);
    let whose = match typed.as_str() {
        "" => Ok(None),
        name => name.parse::<AccountName>().map(Some),
    };
    let mut page = Trail {
        frame: Frame::of(&operator, "audit-title"),
        clock: super::clock(&operator),
        account: typed.chars().take(60).collect(),
        entries: Vec::new(),
        older: None,
        later: skip > 0,
        trouble: None,
    };
    match whose {
        Ok(account) => {
            let rule = Rule::AuditTrail { account, limit: skip + PAGE + 1 };
            let Answer::AuditTrail(entries) = operator.rule(rule).await? else {
                return Err(Trouble::Unavailable);
            };
            page.entries = entries.into_iter().skip(skip as usize).collect();
            page.older =
                (page.entries.len() > PAGE as usize).then(|| skip + PAGE).filter(|next| *next <= BACK_MAX);
            page.entries.truncate(PAGE as usize);
        }
        Err(error) => {
            let refused = Trouble::Denied(Denied::Refused(error.to_string()));
            page.trouble = Some(refused.sentence(operator.words).into_owned());
        }
    }
    Ok(frame::page(&page))
}
