//! Why somebody does not get his page, and the one place where that becomes an answer: a page in his language, or
//! JSON for a program.

use std::borrow::Cow;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use link::services::directory::LoginRefused;
use link::services::directory::visits::Denied;
use serde::Serialize;
use thiserror::Error;

use crate::frame::{self, Frame};
use crate::visitor::Visitor;
use crate::words::Words;

/// Why somebody does not get his page.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Trouble {
    #[error("he must sign in")]
    SignIn,
    #[error("he may not")]
    Forbidden,
    #[error("he is an operator without a second factor")]
    NotOperating,
    #[error("he must prove anew who he is")]
    Prove,
    #[error("he must set up the second factor first")]
    Enrol,
    #[error("there is no such page or thing")]
    NotFound,
    #[error("the form was sent by another site")]
    ForeignForm,
    #[error("the form is of another session")]
    StaleForm,
    #[error("the page does not take this method")]
    OtherMethod,
    #[error("it is too large")]
    TooLarge,
    #[error("it does not come in time")]
    TooSlow,
    #[error("it is not in the form that is wanted: {0}")]
    OtherMedia(&'static str),
    #[error("only JSON can be had")]
    NotAcceptable,
    #[error("a change must say what it changes: If-Match")]
    Unconditional,
    #[error("what If-Match or If-None-Match says is not so")]
    ConditionFails,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("the directory does not do it: {0:?}")]
    Denied(Denied),
    #[error("a role does not answer")]
    Unavailable,
}

impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Trouble {
        match denied {
            Denied::SignIn => Trouble::SignIn,
            Denied::Forbidden => Trouble::Forbidden,
            Denied::NotOperating => Trouble::NotOperating,
            Denied::Prove => Trouble::Prove,
            Denied::Enrol => Trouble::Enrol,
            Denied::NotFound => Trouble::NotFound,
            Denied::Unavailable => Trouble::Unavailable,
            denied => Trouble::Denied(denied),
        }
    }
}

impl Trouble {
    /// The HTTP status (RFC 9110 §15).
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Trouble::SignIn => StatusCode::UNAUTHORIZED,
            Trouble::Forbidden
            | Trouble::NotOperating
            | Trouble::Prove
            | Trouble::Enrol
            | Trouble::ForeignForm
            | Trouble::StaleForm => StatusCode::FORBIDDEN,
            Trouble::NotFound => StatusCode::NOT_FOUND,
            Trouble::OtherMethod => StatusCode::METHOD_NOT_ALLOWED,
            Trouble::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Trouble::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Trouble::OtherMedia(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Trouble::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Trouble::Unconditional => StatusCode::PRECONDITION_REQUIRED,
            Trouble::ConditionFails => StatusCode::PRECONDITION_FAILED,
            Trouble::Unreadable(_) => StatusCode::BAD_REQUEST,
            Trouble::Denied(Denied::Login(LoginRefused::TooManyFailures)) => StatusCode::TOO_MANY_REQUESTS,
            Trouble::Denied(Denied::Login(LoginRefused::Unavailable)) => StatusCode::SERVICE_UNAVAILABLE,
            Trouble::Denied(Denied::Login(_) | Denied::WrongCode) => StatusCode::FORBIDDEN,
            Trouble::Denied(Denied::Changed(_) | Denied::LabelTaken) => StatusCode::CONFLICT,
            Trouble::Denied(Denied::LinkInvalid) => StatusCode::GONE,
            Trouble::Denied(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Trouble::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A word that names it for programs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Trouble::SignIn => "sign-in",
            Trouble::Forbidden => "forbidden",
            Trouble::NotOperating => "not-operating",
            Trouble::Prove => "prove",
            Trouble::Enrol => "enrol",
            Trouble::NotFound => "not-found",
            Trouble::ForeignForm => "foreign-form",
            Trouble::StaleForm => "stale-form",
            Trouble::OtherMethod => "other-method",
            Trouble::TooLarge => "too-large",
            Trouble::TooSlow => "too-slow",
            Trouble::OtherMedia(_) => "other-media",
            Trouble::NotAcceptable => "not-acceptable",
            Trouble::Unconditional => "unconditional",
            Trouble::ConditionFails => "condition-fails",
            Trouble::Unreadable(_) => "unreadable",
            Trouble::Unavailable => "unavailable",
            Trouble::Denied(denied) => match denied {
                Denied::Login(refused) => match refused {
                    LoginRefused::Credentials => "credentials",
                    LoginRefused::Suspended => "suspended",
                    LoginRefused::ReceiveOnly => "receive-only",
                    LoginRefused::UnknownUser => "unknown-user",
                    LoginRefused::NoPrograms => "no-programs",
                    LoginRefused::TooManyFailures => "too-many-failures",
                    LoginRefused::Unavailable => "unavailable",
                },
                Denied::WrongCode => "wrong-code",
                Denied::LinkInvalid => "link-invalid",
                Denied::Changed(_) => "changed",
                Denied::NotADestination(_) => "not-a-destination",
                Denied::TwiceTheSame(_) => "twice-the-same",
                Denied::TooManyDestinations { .. } => "too-many-destinations",
                Denied::Circle => "circle",
                Denied::Nowhere => "nowhere",
                Denied::NotALabel => "not-a-label",
                Denied::LabelTaken => "label-taken",
                Denied::TooMany { .. } => "too-many",
                Denied::NotAPassword => "not-a-password",
                Denied::NotSensible(_) => "not-sensible",
                Denied::Refused(_) => "refused",
                Denied::SignIn
                | Denied::NotOperating
                | Denied::Forbidden
                | Denied::Prove
                | Denied::Enrol
                | Denied::NotFound
                | Denied::Unavailable => "unavailable",
            },
        }
    }

    /// The sentence for a person.
    pub(crate) fn sentence(&self, words: Words) -> Cow<'static, str> {
        let key = format!("trouble-{}", self.name());
        match self {
            Trouble::Unreadable(what) => words.with(&key, "what", what.clone()),
            Trouble::OtherMedia(wanted) => words.with(&key, "wanted", *wanted),
            Trouble::Denied(denied) => match denied {
                Denied::NotADestination(typed) => words.with(&key, "typed", typed.clone()),
                Denied::TwiceTheSame(address) => words.with(&key, "address", address.to_string()),
                Denied::TooManyDestinations { limit } | Denied::TooMany { limit } => {
                    words.with(&key, "limit", *limit)
                }
                Denied::NotSensible(field) => words.with(&key, "field", field.clone()),
                Denied::Refused(sentence) => words.with(&key, "sentence", sentence.clone()),
                _ => words.say(&key),
            },
            _ => words.say(&key),
        }
    }

    /// The page that tells it; or the way to the page on which it is mended.
    pub(crate) fn as_page(&self, visitor: &Visitor) -> Response {
        let then = |path: &str| {
            let then: String = form_urlencoded::byte_serialize(visitor.path.as_bytes()).collect();
            frame::see_other(&format!("{path}?then={then}"))
        };
        match self {
            // Half a sign-in that is over begins anew.
            Trouble::SignIn if visitor.path.starts_with("/sign-in") => return frame::see_other("/sign-in"),
            Trouble::SignIn => return then("/sign-in"),
            Trouble::Prove => return then("/prove"),
            Trouble::Enrol => return frame::see_other("/second-factor"),
            _ => {}
        }
        let sentence = self.sentence(visitor.words).into_owned();
        let mut response = frame::page(&TroublePage { frame: Frame::of(visitor, "trouble-title"), sentence });
        *response.status_mut() = self.status();
        response
    }

    /// The answer for a program (RFC 9457).
    pub(crate) fn as_json(&self, visitor: &Visitor) -> Response {
        let status = match self {
            // What the request said by If-Match is so no longer (RFC 9110 §13.1.1).
            Trouble::Denied(Denied::Changed(_)) => StatusCode::PRECONDITION_FAILED,
            trouble => trouble.status(),
        };
        let problem = Problem {
            kind: format!("{}api#{}", visitor.house.site().url, self.name()),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            name: self.name(),
            detail: self.sentence(visitor.words).into_owned(),
            field: self.field(),
        };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let challenge = match self {
            Trouble::SignIn if visitor.key.is_some() => Some("Bearer error=\"invalid_token\""),
            Trouble::SignIn => Some("Bearer"),
            Trouble::Forbidden | Trouble::NotOperating => Some("Bearer error=\"insufficient_scope\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if *self == Trouble::TooSlow {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The field of a request in which the trouble lies, where it lies in one.
    fn field(&self) -> Option<String> {
        let name = match self {
            Trouble::Unconditional => "If-Match",
            Trouble::OtherMedia(_) => "Content-Type",
            Trouble::NotAcceptable => "Accept",
            Trouble::Denied(denied) => match denied {
                Denied::NotSensible(field) => field,
                Denied::NotADestination(_)
                | Denied::TwiceTheSame(_)
                | Denied::TooManyDestinations { .. }
                | Denied::Circle
                | Denied::Nowhere => "destinations",
                Denied::NotALabel | Denied::LabelTaken => "label",
                Denied::NotAPassword => "password",
                Denied::Changed(_) => "If-Match",
                _ => return None,
            },
            Trouble::Unreadable(what) => what.split_once(": ").map(|(field, _)| field)?,
            _ => return None,
        };
        Some(name.to_owned())
    }
}

/// What a program is told (RFC 9457 §3), and two members of ours.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Problem {
    /// The page that explains it; it ends in `#` and the name.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// By what a program knows it.
    name: &'static str,
    /// What is the matter and what to do, for a person, in the language of the account.
    detail: String,
    /// The field of the request in which it lies, where it lies in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl IntoResponse for Trouble {
    /// It is told by the guard, which knows the visitor.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    frame: Frame,
    sentence: String,
}
