//! What a member sees of his own account, shown to an operator, who can change nothing there.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use envelope::AccountName;
use link::services::directory::visits::{
    Absence, AddressSheet, Denied, LastLogin, MailLine, MailSearch, Own, Session, Visit, Way,
};

use super::named;
use crate::figures::Clock;
use crate::frame::{self, Frame};
use crate::operator::trace;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How much of each list is shown.
const SHOWN: u32 = 20;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/accounts/{name}/view", view)
}

/// Each part; none where it is not to be had just now.
#[derive(Template)]
#[template(path = "operator/account-view.html")]
struct View {
    frame: Frame,
    clock: Clock,
    name: String,
    addresses: Option<Vec<AddressSheet>>,
    mail: Option<Vec<MailLine>>,
    absence: Option<Absence>,
    logins: Option<Vec<LastLogin>>,
    sessions: Option<Vec<Session>>,
}

impl View {
    /// Mail as operators list it.
    fn rows(&self, lines: &[MailLine]) -> Vec<trace::Row> {
        lines.iter().map(|line| trace::Row::of(&line.summary, self.clock)).collect()
    }
}

async fn view(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let name = named(&name)?;
    // It is said that there is no such account, before the parts are looked for.
    super::facts(&operator, &name).await?;
    let ask = |own| part(&operator, &name, own);
    let search = MailSearch { with: None, way: Way::Both, days: 7, skip: 0, limit: SHOWN };
    let addresses = ask(Own::Addresses { search: String::new(), after: None, limit: SHOWN }).await?;
    let mail = ask(Own::Mail(search)).await?;
    let absence = ask(Own::Absence).await?;
    let logins = ask(Own::Logins).await?;
    let sessions = ask(Own::Sessions).await?;
    Ok(frame::page(&View {
        frame: Frame::of(&operator, "accounts-view-title"),
        clock: crate::operator::clock(&operator),
        addresses: addresses.and_then(|visit| match visit {
            Visit::Addresses { sheets, .. } => Some(sheets),
            _ => None,
        }),
        mail: mail.and_then(|visit| match visit {
            Visit::Mail(lines, _) => Some(lines),
            _ => None,
        }),
        absence: absence.and_then(|visit| match visit {
            Visit::Absence(absence) => Some(absence),
            _ => None,
        }),
        logins: logins.and_then(|visit| match visit {
            Visit::Logins(logins) => Some(logins),
            _ => None,
        }),
        sessions: sessions.and_then(|visit| match visit {
            Visit::Sessions(sessions) => Some(sessions),
            _ => None,
        }),
        name: name.to_string(),
    }))
}

/// One part of the view: a store that is silent takes its part away and no more.
async fn part(operator: &Operator, name: &AccountName, own: Own) -> Result<Option<Visit>, Trouble> {
    match operator.as_member(name, own).await {
        Ok(visit) => Ok(Some(visit)),
        Err(Trouble::Unavailable | Trouble::Denied(Denied::Refused(_))) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}
