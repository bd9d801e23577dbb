//! How the destinations of mail for other hosts do.

use askama::Template;
use axum::response::Response;
use link::services::queue::operators::{Answer, Question};
use link::services::remote::Destination;

use crate::figures::Figures;
use crate::form::Form;
use crate::frame::{self, Frame};
use crate::operator::confirm::Confirm;
use crate::operator::encoded;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How many destinations are shown, those in trouble first.
const SHOWN: usize = 60;
/// Characters of a destination's last trouble that are shown.
const TROUBLE_MAX: usize = 300;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Operator, "/operator/queue/destinations", show)
        .get(Who::Operator, "/operator/queue/resume", ask_resume)
        .post(Who::Operator, "/operator/queue/resume", resume)
}

#[derive(Template)]
#[template(path = "operator/queue-destinations.html")]
struct Show {
    frame: Frame,
    rows: Vec<Row>,
    others: usize,
}

struct Row {
    name: String,
    /// For links.
    encoded: String,
    active: u64,
    limit: u64,
    failures: u32,
    /// For how long it is left alone.
    pause: Option<String>,
    trouble: String,
}

impl Show {
    fn others(&self) -> String {
        (self.others as u64).grouped()
    }
}

/// Destinations in use or in trouble, the worst first.
pub(in crate::operator) async fn all(operator: &Operator) -> Result<Vec<Destination>, Trouble> {
    match operator.queue(Question::Destinations).await?.0 {
        Answer::Destinations(mut destinations) => {
            destinations.sort_by(|a, b| b.failures.cmp(&a.failures).then_with(|| a.name.cmp(&b.name)));
            Ok(destinations)
        }
        _ => Err(Trouble::Unavailable),
    }
}

async fn show(operator: Operator) -> Result<Response, Trouble> {
    let clock = crate::operator::clock(&operator);
    let destinations = all(&operator).await?;
    let others = destinations.len().saturating_sub(SHOWN);
    let row = |destination: Destination| Row {
        encoded: encoded(&destination.name),
        name: destination.name,
        active: destination.active,
        limit: destination.limit,
        failures: destination.failures,
        pause: destination.pause.map(|seconds| clock.span(seconds)),
        trouble: destination.last_trouble.unwrap_or_default().chars().take(TROUBLE_MAX).collect(),
    };
    Ok(frame::page(&Show {
        frame: Frame::of(&operator, "queue-destinations-title"),
        rows: destinations.into_iter().take(SHOWN).map(row).collect(),
        others,
    }))
}

const BACK: &str = "/operator/queue/destinations";

fn about_resuming(operator: &Operator, name: &str) -> Confirm {
    let says = operator.words.with("queue-resume-means", "destination", name.to_owned());
    Confirm::new(operator, "queue-resume", "/operator/queue/resume", BACK)
        .found_by(&format!("name={}", encoded(name)))
        .says(says)
        .carries("name", name)
        .harmless()
}

/// The destination of a form, if it is one that the queue knows.
async fn known(operator: &Operator, form: &Form) -> Result<String, Trouble> {
    let name = form.text("name");
    let known = all(operator).await?.into_iter().find(|destination| destination.name == name);
    known.map(|destination| destination.name).ok_or(Trouble::NotFound)
}

async fn ask_resume(operator: Operator) -> Result<Response, Trouble> {
    operator.must_be_fresh()?;
    let name = known(&operator, &operator.query()).await?;
    Ok(about_resuming(&operator, &name).page())
}

async fn resume(operator: Operator, form: Form) -> Result<Response, Trouble> {
    let name = known(&operator, &form).await?;
    match operator.queue(Question::Resume(name.clone())).await {
        Ok(_) => Ok(frame::see_other(&format!("{BACK}?done=resumed"))),
        Err(trouble) => about_resuming(&operator, &name).refused(&trouble),
    }
}
