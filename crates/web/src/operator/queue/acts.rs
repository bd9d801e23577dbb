//! What is done with the messages that are meant: asked first, with how many there are and some of them; then done
//! page by page, so that mail flows meanwhile.

use std::time::{Duration, Instant};

use askama::Template;
use axum::response::Response;
use link::services::queue::operators::{Act, Answer, Question};

use super::list::{self, Found};
use super::selection::{self, Selection};
use super::{recipients, sender};
use crate::figures::Figures;
use crate::form::Form;
use crate::frame::{self, Frame};
use crate::operator::confirm::Confirm;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How many messages are counted before something is done with them; with more it is said that there are.
const COUNTED: usize = 10_000;
/// How many parts of the queue are looked through to count them.
const PARTS: usize = 64;
/// How many are shown.
const EXAMPLES: usize = 8;
/// How long messages are ruled over before the page says how far that has come.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Operator, "/operator/queue/act", ask)
        .post(Who::Operator, "/operator/queue/act", obey)
        .get(Who::Operator, "/operator/queue/acted", tell)
}

/// What can be done: as links say it, and its title.
struct Deed {
    name: &'static str,
    act: Act,
    title: &'static str,
}

const DEEDS: [Deed; 5] = [
    Deed { name: "retry", act: Act::Retry, title: "queue-retry" },
    Deed { name: "hold", act: Act::Hold, title: "queue-hold" },
    Deed { name: "release", act: Act::Release, title: "queue-release" },
    Deed { name: "bounce", act: Act::Bounce, title: "queue-bounce" },
    Deed { name: "remove", act: Act::Remove, title: "queue-remove" },
];

impl Deed {
    fn of(form: &Form) -> Result<&'static Deed, Trouble> {
        DEEDS.iter().find(|deed| deed.name == form.text("act")).ok_or(Trouble::NotFound)
    }

    /// Whether it cannot be undone.
    fn is_final(&self) -> bool {
        matches!(self.act, Act::Bounce | Act::Remove)
    }
}

/// The selection of a form or a link, if it makes sense: what would mean more than was said does nothing.
fn sound(operator: &Operator, form: &Form) -> Result<Selection, Trouble> {
    let selection = Selection::of(form, crate::operator::clock(operator).now);
    // Whoever means every message says so.
    let deliberate = !selection.is_all() || form.ticked("all");
    if selection.is_sound() && deliberate { Ok(selection) } else { Err(Trouble::Unreadable("filter".into())) }
}

async fn ask(operator: Operator) -> Result<Response, Trouble> {
    let query = operator.query();
    let (deed, selection) = (Deed::of(&query)?, sound(&operator, &query)?);
    operator.must_be_fresh()?;
    let walk = selection::walk(&query);
    let found = list::find(&operator, &selection.filter, walk, COUNTED, PARTS).await?;
    if found.messages.is_empty() && found.rest.is_none() {
        return Ok(frame::see_other(&format!("/operator/queue/acted?act={}", deed.name)));
    }
    Ok(question(&operator, deed, &selection, &found).page())
}

/// The page that asks whether this is meant.
fn question(operator: &Operator, deed: &Deed, selection: &Selection, found: &Found) -> Confirm {
    let words = operator.words;
    let back = format!("/operator/queue/messages?{}", selection.query());
    let all = if selection.is_all() { "all=on&" } else { "" };
    let mut page = Confirm::new(operator, deed.title, "/operator/queue/act", &back).found_by(&format!(
        "act={}&{all}{}",
        deed.name,
        selection.query()
    ));
    let count = found.messages.len() as u64;
    let meant = if found.rest.is_some() { "queue-act-more" } else { "queue-act-meant" };
    page = page.says(words.with(meant, "count", count.grouped()));
    for (name, typed) in selection.told(words) {
        page = page.says(format!("{name}: {typed}"));
    }
    page = page.says(words.say(&format!("queue-means-{}", deed.name)));
    if deed.act == Act::Bounce && selection.filter.picks_recipients() {
        page = page.says(words.say("queue-act-recipients"));
    }
    let clock = crate::operator::clock(operator);
    let examples = found.messages.iter().take(EXAMPLES);
    page = page.shows(
        examples
            .map(|message| {
                let (from, to) = (sender(message, clock), recipients(message, clock));
                format!("{}  {from} → {to}", clock.moment(&message.arrived))
            })
            .collect(),
    );
    for (name, typed) in selection.typed_fields() {
        page = page.carries(name, typed);
    }
    if selection.is_all() {
        page = page.carries("all", "on");
    }
    if let Some(until) = found.until {
        // What arrives from here on is not touched.
        page = page.carries("until", until.to_string());
    }
    page = page.carries("act", deed.name);
    if !deed.is_final() {
        return page.harmless();
    }
    // Of one he sees what he does; of many he shows that he knows how many they are.
    if count > 1 { page.carries("count", count.to_string()).wants_typed(count.to_string()) } else { page }
}

/// What was done so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    touched: u64,
    untouched: u64,
    in_hand: u64,
}

async fn obey(operator: Operator, form: Form) -> Result<Response, Trouble> {
    let (deed, selection) = (Deed::of(&form)?, sound(&operator, &form)?);
    let mut walk = selection::walk(&form);
    if deed.is_final() && form.text("count") != form.text(Confirm::TYPED) {
        // Counted anew, as the queue has moved on.
        let found = list::find(&operator, &selection.filter, walk, COUNTED, PARTS).await?;
        return Ok(question(&operator, deed, &selection, &found).mistyped());
    }
    let begin = Instant::now();
    let mut tally = Tally::default();
    let rest = loop {
        let order = Question::Act { act: deed.act, filter: selection.filter.clone(), walk };
        let answer = match operator.queue(order).await {
            Ok((answer, _)) => answer,
            Err(trouble @ (Trouble::Prove | Trouble::Denied(_))) => {
                let found = list::find(&operator, &selection.filter, walk, COUNTED, PARTS).await?;
                return question(&operator, deed, &selection, &found).refused(&trouble);
            }
            Err(trouble) => return Err(trouble),
        };
        let Answer::Acted { touched, untouched, in_hand, progress } = answer else {
            return Err(Trouble::Unavailable);
        };
        tally.touched += touched.len() as u64;
        tally.untouched += untouched;
        tally.in_hand += in_hand;
        match progress.rest {
            None => break None,
            Some(rest) if begin.elapsed() > PATIENCE => break Some(rest),
            Some(rest) => walk = rest,
        }
    };
    let Tally { touched, untouched, in_hand } = tally;
    let all = if selection.is_all() { "all=on&" } else { "" };
    let rest = rest.map(|rest| format!("{}{all}{}", selection.query(), selection::walk_query(rest)));
    Ok(frame::see_other(&format!(
        "/operator/queue/acted?act={}&touched={touched}&untouched={untouched}&in_hand={in_hand}&{}",
        deed.name,
        rest.map(|rest| format!("rest={}", crate::operator::encoded(&rest))).unwrap_or_default(),
    )))
}

/// What was done.
#[derive(Template)]
#[template(path = "operator/queue-acted.html")]
struct Acted {
    frame: Frame,
    name: &'static str,
    lines: Vec<String>,
    /// What there was no time for, as a query.
    rest: Option<String>,
}

async fn tell(operator: Operator) -> Result<Response, Trouble> {
    let query = operator.query();
    let deed = Deed::of(&query)?;
    let number = |name: &str| query.text(name).parse::<u64>().unwrap_or(0);
    let tally =
        Tally { touched: number("touched"), untouched: number("untouched"), in_hand: number("in_hand") };
    let words = operator.words;
    let told = |key: &str, count: u64| words.with(key, "count", count.grouped()).into_owned();
    let mut lines = vec![told(&format!("queue-did-{}", deed.name), tally.touched)];
    if tally.untouched > 0 {
        lines.push(told(&format!("queue-left-{}", deed.name), tally.untouched));
    }
    if tally.in_hand > 0 {
        lines.push(told(&format!("queue-hand-{}", deed.name), tally.in_hand));
    }
    let rest = query.text("rest");
    Ok(frame::page(&Acted {
        frame: Frame::of(&operator, "queue-acted-title"),
        name: deed.name,
        lines,
        rest: (!rest.is_empty()).then(|| rest.to_owned()),
    }))
}
