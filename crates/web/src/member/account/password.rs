//! A new password.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use link::services::directory::Secret;
use link::services::directory::visits::Own;

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/account/password", ask).post(Who::Member, "/account/password", set)
}

#[derive(Template)]
#[template(path = "member/account/password.html")]
struct Password {
    frame: Frame,
    account: String,
    trouble: Option<String>,
}

impl Password {
    fn of(member: &Member, trouble: Option<String>) -> Password {
        let account = member.standing().account.to_string();
        Password { frame: Frame::of(member, "password-title"), account, trouble }
    }
}

async fn ask(member: Member) -> Response {
    frame::page(&Password::of(&member, None))
}

async fn set(member: Member, form: Form) -> Result<Response, Trouble> {
    let new = form.raw("password");
    if new != form.raw("again") {
        let sentence = member.words.say("account-password-differs").into_owned();
        return Ok(frame::again(&Password::of(&member, Some(sentence)), StatusCode::UNPROCESSABLE_ENTITY));
    }
    let old = Secret(form.raw("old").to_owned());
    match member.own(Own::SetPassword { old, new: Secret(new.to_owned()) }).await {
        Ok(_) => Ok(frame::see_other("/account?done=password-set")),
        Err(trouble @ Trouble::Denied(_)) => {
            let sentence = trouble.sentence(member.words).into_owned();
            Ok(frame::again(&Password::of(&member, Some(sentence)), trouble.status()))
        }
        Err(trouble) => Err(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};

    #[test]
    fn three_passwords_are_asked_for_and_none_is_shown_again() {
        for language in LANGUAGES {
            let frame = frame(language, "password-title", "/account/password");
            let html = checked(&Password { frame, account: "abc".into(), trouble: Some(HOSTILE.into()) });
            assert_eq!(html.matches("type=\"password\"").count(), 3);
            assert_eq!(html.matches("autocomplete=\"new-password\"").count(), 2);
        }
    }
}
