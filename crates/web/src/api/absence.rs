//! A member's answer while he is away (RFC 3834).

use axum::response::Response;
use link::services::directory::visits::{self, Own, Visit};
use serde::{Deserialize, Serialize};

use super::exchange::{Body, json};
use super::moment::Moment;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Token, "/api/v1/absence", absence).put(Who::Token, "/api/v1/absence", set)
}

/// An answer while one is away: one to each sender in a week.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Absence {
    /// Whether it is given at all.
    active: bool,
    /// From when on; none: from now.
    from: Option<Moment>,
    /// Until when; none: until it is switched off.
    until: Option<Moment>,
    /// The answer's subject; empty: one is made.
    subject: String,
    /// The answer; its lines end by LF.
    text: String,
}

/// An answer to be set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AbsenceOrder {
    /// Whether it is given at all.
    active: bool,
    /// From when on; null: from now.
    #[serde(default)]
    from: Option<Moment>,
    /// Until when; null: until it is switched off.
    #[serde(default)]
    until: Option<Moment>,
    /// The answer's subject; empty: one is made.
    #[serde(default)]
    subject: String,
    /// The answer; its lines end by LF.
    text: String,
}

async fn absence(member: Member) -> Result<Response, Trouble> {
    answer(member.own(Own::Absence).await?)
}

async fn set(member: Member, Body(absence): Body<AbsenceOrder>) -> Result<Response, Trouble> {
    answer(member.own(Own::SetAbsence(absence.into())).await?)
}

fn answer(visit: Visit) -> Result<Response, Trouble> {
    let Visit::Absence(absence) = visit else { return Err(Trouble::Unavailable) };
    Ok(json(Absence::from(absence)))
}

impl From<visits::Absence> for Absence {
    fn from(absence: visits::Absence) -> Absence {
        Absence {
            active: absence.active,
            from: absence.from.map(Moment::of_seconds),
            until: absence.until.map(Moment::of_seconds),
            subject: absence.subject,
            text: absence.text,
        }
    }
}

impl From<AbsenceOrder> for visits::Absence {
    fn from(absence: AbsenceOrder) -> visits::Absence {
        visits::Absence {
            active: absence.active,
            from: absence.from.map(Moment::seconds),
            until: absence.until.map(Moment::seconds),
            subject: absence.subject,
            text: absence.text,
        }
    }
}
