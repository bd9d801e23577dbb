//! The language switch at the foot of every page, for who has signed in and who has not.

use axum::response::Response;
use envelope::Language;
use link::services::directory::visits::{Ask, Own};

use crate::form::Form;
use crate::frame;
use crate::guard;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Visitor;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.post(Who::Anybody, "/language", switch)
}

async fn switch(visitor: Visitor, form: Form) -> Result<Response, Trouble> {
    let language = match form.text("language") {
        "ja" => Language::Ja,
        "en" => Language::En,
        other => return Err(Trouble::Unreadable(other.chars().take(20).collect())),
    };
    if visitor.standing.is_some() {
        visitor.visit(Ask::Own(Own::SetLanguage(language))).await?;
    }
    let mut response = frame::see_other(frame::ours(form.text("then")));
    // So that it stays when he has signed out.
    guard::remember_language(&mut response, language);
    Ok(response)
}
