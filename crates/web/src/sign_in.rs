//! Signing in and out: the password, then the code of the second factor if there is one.

mod prove;
mod welcome;

use askama::Template;
use axum::response::Response;
use link::services::directory::Secret;
use link::services::directory::visits::{Ask, Denied, Entry, Token, Visit};

use crate::form::{self, Form};
use crate::frame::{self, Frame};
use crate::guard;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Visitor;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Anybody, "/sign-in", ask)
        .post(Who::Anybody, "/sign-in", sign_in)
        .get(Who::Anybody, "/sign-in/code", begin_anew)
        .post(Who::Anybody, "/sign-in/code", show_code)
        .post(Who::Anybody, "/sign-out", sign_out)
        .with(welcome::routes)
        .with(prove::routes)
}

#[derive(Template)]
#[template(path = "sign-in/password.html")]
struct Password {
    frame: Frame,
    then: String,
    name: String,
    trouble: Option<String>,
}

impl Password {
    fn of(visitor: &Visitor, then: &str, name: &str, trouble: Option<&Trouble>) -> Password {
        Password {
            frame: Frame::of(visitor, "sign-in-title"),
            then: frame::ours(then).to_owned(),
            name: name.chars().take(200).collect(),
            trouble: trouble.map(|trouble| trouble.sentence(visitor.words).into_owned()),
        }
    }
}

/// The code is asked for; what stands for the right password is in the form, and in no address.
#[derive(Template)]
#[template(path = "sign-in/code.html")]
struct Code {
    frame: Frame,
    then: String,
    half: String,
    trouble: Option<String>,
}

impl Code {
    fn of(visitor: &Visitor, then: &str, half: &Token, trouble: Option<&Trouble>) -> Code {
        Code {
            frame: Frame::of(visitor, "sign-in-code-title"),
            then: frame::ours(then).to_owned(),
            half: half.reveal(),
            trouble: trouble.map(|trouble| trouble.sentence(visitor.words).into_owned()),
        }
    }
}

async fn ask(visitor: Visitor) -> Response {
    let query = visitor.path.split_once('?').map_or("", |(_, query)| query);
    let then = form::field(query.as_bytes(), "then").unwrap_or_default();
    if visitor.standing.is_some() {
        return frame::see_other(frame::ours(&then));
    }
    frame::page(&Password::of(&visitor, &then, "", None))
}

async fn sign_in(visitor: Visitor, form: Form) -> Result<Response, Trouble> {
    let (name, then) = (form.text("name"), form.text("then"));
    let password = Secret(form.raw("password").to_owned());
    match visitor.enter(Entry::SignIn { name: name.to_owned(), password }).await {
        Ok(answer) => let_in(&visitor, then, answer),
        Err(trouble @ Trouble::Denied(_)) => {
            Ok(frame::again(&Password::of(&visitor, then, name, Some(&trouble)), trouble.status()))
        }
        Err(trouble) => Err(trouble),
    }
}

/// Goes on after a right password or code.
fn let_in(visitor: &Visitor, then: &str, answer: Visit) -> Result<Response, Trouble> {
    match answer {
        Visit::SignedIn(token, standing) => {
            let then = if standing.must_enrol { "/second-factor" } else { frame::ours(then) };
            let mut response = frame::see_other(then);
            guard::begin_session(&mut response, &token);
            Ok(response)
        }
        Visit::CodeWanted(half) => Ok(frame::page(&Code::of(visitor, then, &half, None))),
        _ => Err(Trouble::Unavailable),
    }
}

/// Somebody loads the page of the code anew: what stood for his password is gone.
async fn begin_anew() -> Response {
    frame::see_other("/sign-in")
}

async fn show_code(visitor: Visitor, form: Form) -> Result<Response, Trouble> {
    let then = form.text("then");
    let half: Token = form.text("half").parse().map_err(|_| Trouble::SignIn)?;
    let code = form.text("code").to_owned();
    match visitor.enter(Entry::Code { half: half.clone(), code }).await {
        Ok(answer) => let_in(&visitor, then, answer),
        Err(trouble @ Trouble::Denied(Denied::WrongCode | Denied::Login(_))) => {
            Ok(frame::again(&Code::of(&visitor, then, &half, Some(&trouble)), trouble.status()))
        }
        // It took too long, or was tried too often.
        Err(trouble @ Trouble::SignIn) => {
            Ok(frame::again(&Password::of(&visitor, then, "", Some(&trouble)), trouble.status()))
        }
        Err(trouble) => Err(trouble),
    }
}

/// Who is out already is out.
async fn sign_out(visitor: Visitor) -> Result<Response, Trouble> {
    if visitor.standing.is_some() {
        visitor.visit(Ask::SignOut).await?;
    }
    let mut response = frame::see_other("/sign-in?done=signed-out");
    guard::end_session(&mut response);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, guest};

    #[test]
    fn the_form_shows_again_what_was_typed_but_the_password() {
        for language in LANGUAGES {
            let frame = guest(language, "sign-in-title", "/sign-in");
            let html = checked(&Password {
                frame,
                then: "/mail".into(),
                name: HOSTILE.into(),
                trouble: Some(HOSTILE.into()),
            });
            assert_eq!(html.matches("alert(1)").count(), 2, "{html}");
            assert!(html.contains("autocomplete=\"current-password\""));
        }
    }

    #[test]
    fn the_form_of_the_code_carries_what_stands_for_the_password() {
        for language in LANGUAGES {
            let frame = guest(language, "sign-in-code-title", "/sign-in");
            let half = Token::new([3; 32]).reveal();
            let html = checked(&Code { frame, then: "/".into(), half: half.clone(), trouble: None });
            assert_eq!(html.matches(&half).count(), 1);
            assert!(html.contains("autocomplete=\"one-time-code\""));
        }
    }
}
