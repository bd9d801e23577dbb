//! Browsers that are signed in.

use askama::Template;
use axum::response::Response;
use link::services::directory::visits::{Own, Session, Visit};

use super::browser_name::browser_name;
use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/account/sessions", list).post(Who::Member, "/account/sessions", end)
}

#[derive(Template)]
#[template(path = "member/account/sessions.html")]
struct Sessions {
    frame: Frame,
    all: Vec<Line>,
}

struct Line {
    number: u64,
    browser: String,
    client: String,
    began: u64,
    used: u64,
    this: bool,
}

impl Line {
    fn of(session: Session) -> Line {
        Line {
            number: session.number,
            browser: browser_name(&session.agent),
            client: session.client.to_canonical().to_string(),
            began: session.began,
            used: session.used,
            this: session.this,
        }
    }
}

async fn list(member: Member) -> Result<Response, Trouble> {
    let Visit::Sessions(all) = member.own(Own::Sessions).await? else { return Err(Trouble::Unavailable) };
    let all = all.into_iter().map(Line::of).collect();
    Ok(frame::page(&Sessions { frame: Frame::of(&member, "sessions-title"), all }))
}

/// Ends one session, or all others.
async fn end(member: Member, form: Form) -> Result<Response, Trouble> {
    let own = match form.text("session") {
        "others" => Own::EndOtherSessions,
        number => Own::EndSession(number.parse().map_err(|_| Trouble::NotFound)?),
    };
    member.own(own).await?;
    Ok(frame::see_other("/account/sessions?done=session-ended"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};

    #[test]
    fn each_session_but_this_can_be_ended() {
        let session = |number, this| Session {
            number,
            began: 1_795_478_640,
            used: 1_795_478_640,
            client: "2001:db8::1".parse().unwrap(),
            agent: HOSTILE.into(),
            this,
        };
        for language in LANGUAGES {
            let all = [session(1, true), session(2, false), session(3, false)];
            let all = all.into_iter().map(Line::of).collect();
            let html =
                checked(&Sessions { frame: frame(language, "sessions-title", "/account/sessions"), all });
            for (value, expected) in [("1", 0), ("2", 1), ("3", 1), ("others", 1)] {
                let field = format!("name=\"session\" value=\"{value}\"");
                assert_eq!(html.matches(&field).count(), expected, "{value}");
            }
        }
    }
}
