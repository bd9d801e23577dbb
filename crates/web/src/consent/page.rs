//! What the owner of a destination answers by the link that he was sent: whether he wants what is forwarded to him.
//! He is no member, and perhaps reads the other language than the asker: both are on the page.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use envelope::Language;
use link::services::directory::visits::{Denied, Entry, Token, Visit};

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Visitor;
use crate::words::Words;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Anybody, "/consent", look).post(Who::Anybody, "/consent", answer).get(
        Who::Anybody,
        "/consent/thanks",
        thanks,
    )
}

/// The question.
#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage {
    frame: Frame,
    link: String,
    destination: String,
    address: String,
    /// The asker's language, and the other.
    languages: [Words; 2],
}

impl ConsentPage {
    fn what(&self, words: &Words) -> std::borrow::Cow<'static, str> {
        let (address, destination) = (self.address.as_str(), self.destination.as_str());
        words.with2("consent-what", ("address", address), ("destination", destination))
    }
}

/// What is said after the answer, or to a link that is none any more.
#[derive(Template)]
#[template(path = "consent-end.html")]
struct EndPage {
    frame: Frame,
    key: &'static str,
    languages: [Words; 2],
}

async fn look(visitor: Visitor) -> Result<Response, Trouble> {
    let link = visitor.query().text("link").to_owned();
    let Ok(token) = link.parse::<Token>() else { return Ok(ended(&visitor)) };
    match visitor.enter(Entry::LookAtDestination(token)).await {
        Ok(Visit::Destination { destination, address, language }) => Ok(frame::page(&ConsentPage {
            frame: Frame::of(&visitor, "consent-title"),
            link,
            destination: destination.to_string(),
            address,
            languages: both(language),
        })),
        Ok(_) => Err(Trouble::Unavailable),
        Err(trouble) => not_found(&visitor, trouble),
    }
}

async fn answer(visitor: Visitor, form: Form) -> Result<Response, Trouble> {
    let Ok(link) = form.text("link").parse::<Token>() else { return Ok(ended(&visitor)) };
    let wanted = match form.text("wanted") {
        "yes" => true,
        "no" => false,
        _ => return Err(Trouble::StaleForm),
    };
    match visitor.enter(Entry::Destination { link, wanted }).await {
        // Without the link: what is in the address bar stays in the history.
        Ok(_) if wanted => Ok(frame::see_other("/consent/thanks?answer=yes")),
        Ok(_) => Ok(frame::see_other("/consent/thanks?answer=no")),
        Err(trouble) => not_found(&visitor, trouble),
    }
}

async fn thanks(visitor: Visitor) -> Response {
    let key = match visitor.query().text("answer") {
        "yes" => "consent-agreed",
        _ => "consent-declined",
    };
    let languages = both(visitor.words.0);
    frame::page(&EndPage { frame: Frame::of(&visitor, "consent-thanks"), key, languages })
}

fn not_found(visitor: &Visitor, trouble: Trouble) -> Result<Response, Trouble> {
    match trouble {
        Trouble::Denied(Denied::LinkInvalid) | Trouble::NotFound => Ok(ended(visitor)),
        trouble => Err(trouble),
    }
}

fn ended(visitor: &Visitor) -> Response {
    let languages = both(visitor.words.0);
    let page = EndPage { frame: Frame::of(visitor, "consent-title"), key: "consent-ended", languages };
    let mut response = frame::page(&page);
    *response.status_mut() = StatusCode::GONE;
    response
}

fn both(first: Language) -> [Words; 2] {
    match first {
        Language::Ja => [Words(Language::Ja), Words(Language::En)],
        Language::En => [Words(Language::En), Words(Language::Ja)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, guest};

    #[test]
    fn the_question_stands_there_in_both_languages_the_askers_first() {
        for language in LANGUAGES {
            let page = ConsentPage {
                frame: guest(language, "consent-title", "/consent?link=x"),
                link: HOSTILE.into(),
                destination: HOSTILE.into(),
                address: HOSTILE.into(),
                languages: both(language),
            };
            let html = checked(&page);
            assert_eq!(html.matches("value=\"yes\"").count(), 2);
            let first = format!("<section class=\"card\" lang=\"{}\">", language.as_str());
            let at = html.find("<section").unwrap();
            assert!(html[at..].starts_with(&first));
        }
    }

    #[test]
    fn each_end_is_told_in_both_languages() {
        for key in ["consent-agreed", "consent-declined", "consent-ended"] {
            for language in LANGUAGES {
                let frame = guest(language, "consent-thanks", "/consent/thanks");
                checked(&EndPage { frame, key, languages: both(language) });
            }
        }
    }
}
