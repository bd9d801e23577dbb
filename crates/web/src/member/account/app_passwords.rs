//! Passwords for one device or program each, which can be revoked one by one.

use askama::Template;
use axum::response::Response;
use link::services::directory::AppPassword;
use link::services::directory::visits::{Own, Visit};

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Member, "/account/app-passwords", list)
        .post(Who::Member, "/account/app-passwords", revoke)
        .get(Who::Member, "/account/app-passwords/new", ask)
        .post(Who::Member, "/account/app-passwords/new", make)
}

#[derive(Template)]
#[template(path = "member/account/app-passwords.html")]
struct AppPasswords {
    frame: Frame,
    all: Vec<AppPassword>,
}

#[derive(Template)]
#[template(path = "member/account/app-password-new.html")]
struct NewAppPassword {
    frame: Frame,
    label: String,
    trouble: Option<String>,
}

/// The only time that it is seen: no browser keeps this page.
#[derive(Template)]
#[template(path = "member/account/app-password-made.html")]
struct MadeAppPassword {
    frame: Frame,
    label: String,
    account: String,
    secret: String,
}

async fn list(member: Member) -> Result<Response, Trouble> {
    let Visit::AppPasswords(all) = member.own(Own::AppPasswords).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(frame::page(&AppPasswords { frame: Frame::of(&member, "app-passwords-title"), all }))
}

async fn revoke(member: Member, form: Form) -> Result<Response, Trouble> {
    member.own(Own::RemoveAppPassword(form.raw("label").to_owned())).await?;
    Ok(frame::see_other("/account/app-passwords?done=revoked"))
}

async fn ask(member: Member) -> Result<Response, Trouble> {
    member.must_be_fresh()?;
    Ok(frame::page(&new(&member, "", None)))
}

fn new(member: &Member, label: &str, trouble: Option<&Trouble>) -> NewAppPassword {
    NewAppPassword {
        frame: Frame::of(member, "app-passwords-new-title"),
        label: label.chars().take(200).collect(),
        trouble: trouble.map(|trouble| trouble.sentence(member.words).into_owned()),
    }
}

async fn make(member: Member, form: Form) -> Result<Response, Trouble> {
    let label = form.text("label");
    match member.own(Own::AddAppPassword(label.to_owned())).await {
        Ok(Visit::NewSecret(secret)) => Ok(frame::page(&MadeAppPassword {
            frame: Frame::of(&member, "app-passwords-made-title"),
            label: label.to_owned(),
            account: member.standing().account.to_string(),
            secret: secret.0,
        })),
        Ok(_) => Err(Trouble::Unavailable),
        Err(trouble @ Trouble::Denied(_)) => {
            Ok(frame::again(&new(&member, label, Some(&trouble)), trouble.status()))
        }
        Err(trouble) => Err(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};

    #[test]
    fn labels_are_only_text_on_every_page() {
        for language in LANGUAGES {
            let frame = || frame(language, "app-passwords-title", "/account/app-passwords");
            let one = AppPassword { label: HOSTILE.into(), created: 1_795_478_640, last_used: None };
            let two = AppPassword { last_used: Some(1_795_478_640), ..one.clone() };
            let html = checked(&AppPasswords { frame: frame(), all: vec![one, two] });
            assert_eq!(html.matches("<time").count(), 3, "{html}");
            checked(&AppPasswords { frame: frame(), all: Vec::new() });
            checked(&NewAppPassword { frame: frame(), label: HOSTILE.into(), trouble: Some("!".into()) });
            let html = checked(&MadeAppPassword {
                frame: frame(),
                label: HOSTILE.into(),
                account: "abc".into(),
                secret: "abcd-efgh".into(),
            });
            assert_eq!(html.matches("abcd-efgh").count(), 1);
        }
    }
}
