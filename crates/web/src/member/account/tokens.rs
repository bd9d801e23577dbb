//! Keys for programs that use the API.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use link::services::directory::visits::{ApiToken, Own, Scope, Visit};

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

/// For how many days a token can be made.
const DAYS: [u64; 4] = [7, 30, 90, 365];
const DAY: u64 = 86_400;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Member, "/account/tokens", list)
        .post(Who::Member, "/account/tokens", revoke)
        .get(Who::Member, "/account/tokens/new", ask)
        .post(Who::Member, "/account/tokens/new", make)
}

#[derive(Template)]
#[template(path = "member/account/tokens.html")]
struct Tokens {
    frame: Frame,
    all: Vec<Line>,
}

struct Line {
    token: ApiToken,
    scope: String,
    over: bool,
}

#[derive(Template)]
#[template(path = "member/account/token-new.html")]
struct NewToken {
    frame: Frame,
    label: String,
    scope: &'static str,
    days: u64,
    operates: bool,
    trouble: Option<String>,
}

struct Choice {
    days: u64,
    chosen: bool,
    text: String,
}

impl NewToken {
    fn choices(&self) -> impl Iterator<Item = Choice> {
        DAYS.into_iter().map(|days| Choice {
            days,
            chosen: days == self.days,
            text: self.frame.words.with("tokens-days-many", "days", days).into_owned(),
        })
    }
}

/// The only time that it is seen: no browser keeps this page.
#[derive(Template)]
#[template(path = "member/account/token-made.html")]
struct MadeToken {
    frame: Frame,
    label: String,
    secret: String,
    api: String,
}

fn now() -> u64 {
    u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp()).unwrap_or_default()
}

async fn list(member: Member) -> Result<Response, Trouble> {
    let Visit::Tokens(all) = member.own(Own::Tokens).await? else { return Err(Trouble::Unavailable) };
    let now = now();
    let line = |token: ApiToken| Line {
        scope: member.words.say(&format!("tokens-scope-{}", token.scope.as_str())).into_owned(),
        over: token.expires <= now,
        token,
    };
    let all = all.into_iter().map(line).collect();
    Ok(frame::page(&Tokens { frame: Frame::of(&member, "tokens-title"), all }))
}

async fn revoke(member: Member, form: Form) -> Result<Response, Trouble> {
    member.own(Own::RemoveToken(form.raw("label").to_owned())).await?;
    Ok(frame::see_other("/account/tokens?done=revoked"))
}

async fn ask(member: Member) -> Result<Response, Trouble> {
    member.must_be_fresh()?;
    Ok(frame::page(&NewToken {
        frame: Frame::of(&member, "tokens-new-title"),
        label: String::new(),
        scope: Scope::Read.as_str(),
        days: 90,
        operates: member.standing().operates,
        trouble: None,
    }))
}

async fn make(member: Member, form: Form) -> Result<Response, Trouble> {
    let label = form.text("label");
    let scopes = [Scope::Read, Scope::Write, Scope::Operate];
    let scope = scopes.into_iter().find(|scope| scope.as_str() == form.text("scope"));
    let days = form.text("days").parse().ok().filter(|days| DAYS.contains(days));
    let again = |sentence: String, status: StatusCode| {
        let page = NewToken {
            frame: Frame::of(&member, "tokens-new-title"),
            label: label.chars().take(200).collect(),
            scope: scope.unwrap_or(Scope::Read).as_str(),
            days: days.unwrap_or(90),
            operates: member.standing().operates,
            trouble: Some(sentence),
        };
        frame::again(&page, status)
    };
    let (Some(scope), Some(days)) = (scope, days) else {
        let sentence = member.words.say("tokens-incomplete").into_owned();
        return Ok(again(sentence, StatusCode::UNPROCESSABLE_ENTITY));
    };
    let expires = now() + days * DAY;
    match member.own(Own::AddToken { label: label.to_owned(), scope, expires }).await {
        Ok(Visit::NewToken(token)) => Ok(frame::page(&MadeToken {
            frame: Frame::of(&member, "tokens-made-title"),
            label: label.to_owned(),
            secret: token.reveal(),
            api: format!("{}api/v1", member.house.site().url),
        })),
        Ok(_) => Err(Trouble::Unavailable),
        Err(trouble @ Trouble::Denied(_)) => {
            Ok(again(trouble.sentence(member.words).into_owned(), trouble.status()))
        }
        Err(trouble) => Err(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};

    #[test]
    fn labels_are_only_text_and_only_operators_see_their_scope() {
        for language in LANGUAGES {
            let frame = || frame(language, "tokens-title", "/account/tokens");
            let token = ApiToken {
                label: HOSTILE.into(),
                scope: Scope::Write,
                created: 1_795_478_640,
                expires: 1_795_478_640,
                last_used: None,
            };
            let line = Line { token, scope: "x".into(), over: true };
            checked(&Tokens { frame: frame(), all: vec![line] });
            checked(&Tokens { frame: frame(), all: Vec::new() });
            for operates in [false, true] {
                let html = checked(&NewToken {
                    frame: frame(),
                    label: HOSTILE.into(),
                    scope: "write",
                    days: 30,
                    operates,
                    trouble: Some(HOSTILE.into()),
                });
                assert_eq!(html.contains("value=\"operate\""), operates);
                assert!(html.contains("value=\"write\" checked") && html.contains("value=\"30\" selected"));
            }
            let made = MadeToken {
                frame: frame(),
                label: HOSTILE.into(),
                secret: "secret".into(),
                api: "https://mail.pobox.example/api/v1".into(),
            };
            checked(&made);
        }
    }
}
