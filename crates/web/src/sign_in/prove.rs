//! Before something dangerous: the visitor proves anew who he is.

use askama::Template;
use axum::response::Response;
use link::services::directory::Secret;
use link::services::directory::visits::Ask;

use crate::form::{self, Form};
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/prove", ask).post(Who::Member, "/prove", prove)
}

#[derive(Template)]
#[template(path = "sign-in/prove.html")]
struct Prove {
    frame: Frame,
    account: String,
    second_factor: bool,
    then: String,
    trouble: Option<String>,
}

impl Prove {
    fn of(member: &Member, then: &str, trouble: Option<&Trouble>) -> Prove {
        Prove {
            frame: Frame::of(member, "prove-title"),
            account: member.standing().account.to_string(),
            second_factor: member.standing().second_factor,
            then: frame::ours(then).to_owned(),
            trouble: trouble.map(|trouble| trouble.sentence(member.words).into_owned()),
        }
    }
}

async fn ask(member: Member) -> Response {
    let query = member.path.split_once('?').map_or("", |(_, query)| query);
    let then = form::field(query.as_bytes(), "then").unwrap_or_default();
    frame::page(&Prove::of(&member, &then, None))
}

async fn prove(member: Member, form: Form) -> Result<Response, Trouble> {
    let then = form.text("then");
    let password = Secret(form.raw("password").to_owned());
    let code = Some(form.text("code")).filter(|code| !code.is_empty()).map(str::to_owned);
    match member.visit(Ask::Prove { password, code }).await {
        Ok(_) => Ok(frame::see_other(frame::ours(then))),
        Err(trouble @ Trouble::Denied(_)) => {
            Ok(frame::again(&Prove::of(&member, then, Some(&trouble)), trouble.status()))
        }
        Err(trouble) => Err(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{LANGUAGES, checked, frame};

    #[test]
    fn a_code_is_asked_for_of_who_has_a_second_factor() {
        for language in LANGUAGES {
            for second_factor in [false, true] {
                let html = checked(&Prove {
                    frame: frame(language, "prove-title", "/prove"),
                    account: "abc".into(),
                    second_factor,
                    then: "/account/tokens/new".into(),
                    trouble: None,
                });
                assert_eq!(html.contains("one-time-code"), second_factor);
                assert!(html.contains("value=\"/account/tokens/new\""));
            }
        }
    }
}
