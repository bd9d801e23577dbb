//! A one-time link: somebody sets his password by it, and is in.
//!
//! The link's token leaves the address bar at once, so that it is in no history and on no picture of the screen;
//! a cookie keeps it for half an hour. Who only looks at the link does not use it up: mail scanners look.

use askama::Template;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use link::services::directory::Secret;
use link::services::directory::visits::{Denied, Entry, Token, Visit};

use super::let_in;
use crate::form::{self, Form};
use crate::frame::{self, Frame};
use crate::guard;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Visitor;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Anybody, "/welcome", look).post(Who::Anybody, "/welcome", take_up)
}

#[derive(Template)]
#[template(path = "sign-in/welcome.html")]
struct Welcome {
    frame: Frame,
    account: String,
    /// He sets up the second factor next.
    operator: bool,
    trouble: Option<String>,
}

async fn look(visitor: Visitor, headers: HeaderMap) -> Result<Response, Trouble> {
    let query = visitor.path.split_once('?').map_or("", |(_, query)| query);
    if let Some(link) = form::field(query.as_bytes(), "link") {
        let link: Token = link.trim().parse().map_err(|_| Trouble::from(Denied::LinkInvalid))?;
        let mut response = frame::see_other("/welcome");
        guard::keep_link(&mut response, &link);
        return Ok(response);
    }
    Ok(frame::page(&welcome(&visitor, &headers, None).await?))
}

async fn welcome(
    visitor: &Visitor,
    headers: &HeaderMap,
    trouble: Option<String>,
) -> Result<Welcome, Trouble> {
    let Visit::Invitation { account, operator } = visitor.enter(Entry::Look(kept(headers)?)).await? else {
        return Err(Trouble::Unavailable);
    };
    // Whoever is signed in here is not whom the page is for.
    let frame = Frame { account: None, ..Frame::of(visitor, "welcome-title") };
    Ok(Welcome { frame, account: account.to_string(), operator, trouble })
}

async fn take_up(visitor: Visitor, headers: HeaderMap, form: Form) -> Result<Response, Trouble> {
    let invitation = kept(&headers)?;
    let password = form.raw("password");
    if password != form.raw("again") {
        let sentence = visitor.words.say("account-password-differs").into_owned();
        let page = welcome(&visitor, &headers, Some(sentence)).await?;
        return Ok(frame::again(&page, StatusCode::UNPROCESSABLE_ENTITY));
    }
    let password = Secret(password.to_owned());
    match visitor.enter(Entry::TakeUp { invitation, password }).await {
        Ok(answer) => {
            let mut response = let_in(&visitor, "/", answer)?;
            guard::forget_link(&mut response);
            Ok(response)
        }
        Err(trouble @ Trouble::Denied(Denied::NotAPassword | Denied::Refused(_))) => {
            let sentence = trouble.sentence(visitor.words).into_owned();
            let page = welcome(&visitor, &headers, Some(sentence)).await?;
            Ok(frame::again(&page, trouble.status()))
        }
        Err(trouble) => Err(trouble),
    }
}

fn kept(headers: &HeaderMap) -> Result<Token, Trouble> {
    guard::kept_link(headers).ok_or(Trouble::Denied(Denied::LinkInvalid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{LANGUAGES, checked, guest};

    #[test]
    fn the_page_says_whose_account_it_is_and_bears_no_token() {
        for language in LANGUAGES {
            for operator in [false, true] {
                let frame = guest(language, "welcome-title", "/welcome");
                let html =
                    checked(&Welcome { frame, account: "abc".into(), operator, trouble: Some("!".into()) });
                assert!(html.contains("abc") && !html.contains("link="));
            }
        }
    }
}
