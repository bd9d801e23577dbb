//! A page that says what is about to be done, and does it only if that is meant.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// What is to be confirmed.
#[derive(Template)]
#[template(path = "operator/confirm.html")]
pub(super) struct Confirm {
    frame: Frame,
    /// What is done, and what follows of it.
    lines: Vec<String>,
    /// Some of what it is done to.
    examples: Vec<String>,
    /// The form goes there.
    action: String,
    /// Where the page is found.
    here: String,
    /// What it carries.
    fields: Vec<(&'static str, String)>,
    /// What must be typed to show that it is meant.
    typed: Option<String>,
    /// What the button says.
    button: String,
    /// Whether something is lost by it.
    danger: bool,
    /// Where he goes who does not mean it.
    back: String,
    trouble: Option<String>,
}

impl Confirm {
    /// The field in which is typed what shows that it is meant.
    pub(super) const TYPED: &str = "typed";

    /// A page of this title, whose form is sent to `action`; `back` leads away from it.
    pub(super) fn new(operator: &Operator, title: &'static str, action: &str, back: &str) -> Confirm {
        Confirm {
            frame: Frame::of(operator, title),
            lines: Vec::new(),
            examples: Vec::new(),
            action: action.to_owned(),
            here: action.to_owned(),
            fields: Vec::new(),
            typed: None,
            button: operator.words.say(title).into_owned(),
            danger: true,
            back: back.to_owned(),
            trouble: None,
        }
    }

    /// The page is found with this query where its form is sent.
    pub(super) fn found_by(mut self, query: &str) -> Confirm {
        self.here = format!("{}?{query}", self.action);
        self
    }

    /// And says this.
    pub(super) fn says(mut self, line: impl Into<String>) -> Confirm {
        self.lines.push(line.into());
        self
    }

    /// And shows these.
    pub(super) fn shows(mut self, examples: Vec<String>) -> Confirm {
        self.examples = examples;
        self
    }

    /// And carries this.
    pub(super) fn carries(mut self, field: &'static str, value: impl Into<String>) -> Confirm {
        self.fields.push((field, value.into()));
        self
    }

    /// And wants this typed.
    pub(super) fn wants_typed(mut self, word: impl Into<String>) -> Confirm {
        self.typed = Some(word.into());
        self
    }

    /// Nothing is lost by it.
    pub(super) fn harmless(mut self) -> Confirm {
        self.danger = false;
        self
    }

    /// The page.
    pub(super) fn page(self) -> Response {
        frame::page(&self)
    }

    /// The page once more, after the form was sent and not obeyed.
    pub(super) fn refused(mut self, trouble: &Trouble) -> Result<Response, Trouble> {
        match trouble {
            Trouble::Denied(_) | Trouble::Unreadable(_) => {
                self.trouble = Some(trouble.sentence(self.frame.words).into_owned());
                let mut response = frame::page(&self);
                *response.status_mut() = trouble.status();
                Ok(response)
            }
            // He comes back to this page.
            Trouble::Prove => Ok(frame::see_other(&format!("/prove?then={}", super::encoded(&self.here)))),
            trouble => Err(trouble.clone()),
        }
    }

    /// Whether the form has the word that was wanted; if not, the page once more.
    #[expect(clippy::result_large_err, reason = "the error is the answer")]
    pub(super) fn typed_in(self, form: &Form) -> Result<Confirm, Response> {
        let meant = self.typed.as_ref().is_none_or(|word| form.text(Self::TYPED).eq_ignore_ascii_case(word));
        if meant { Ok(self) } else { Err(self.mistyped()) }
    }

    /// The page once more, as something else was typed than was wanted.
    pub(super) fn mistyped(mut self) -> Response {
        self.trouble = Some(self.frame.words.say("confirm-mistyped").into_owned());
        let mut response = frame::page(&self);
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        response
    }
}
