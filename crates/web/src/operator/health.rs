//! Whether the server is well to the outside: its certificate, what stands in the DNS, its version.

use askama::Template;
use axum::response::Response;
use envelope::publish::{Finding, Services, State, Survey};
use envelope::{Domain, DomainKind};
use link::services::directory::{Answer as Answered, Rule};
use link::services::queue::operators::{Answer, Question};

use crate::certificate;
use crate::figures::Clock;
use crate::frame::{self, Frame};
use crate::house::Site;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;
use crate::words::Words;

/// How often the name servers are asked: an answer may lead to one more question.
const ROUNDS: usize = 3;
/// How many domains there are to choose from; others are reached from their own page.
const CHOICES: usize = 50;
/// Characters that are shown of what was found of a record.
const FOUND_MAX: usize = 400;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Operator, "/operator/health", health)
}

#[derive(Template)]
#[template(path = "operator/health.html")]
struct Health {
    frame: Frame,
    clock: Clock,
    version: &'static str,
    host: String,
    ports: String,
    certificate: Option<Certificate>,
    /// The domains, as links say them, and whether it is this; the first is the server itself.
    choices: Vec<(String, String, bool)>,
    /// None: the name servers are not to be asked just now.
    records: Option<Vec<Record>>,
}

struct Certificate {
    facts: certificate::Facts,
    told: String,
    colour: &'static str,
}

impl Health {
    /// How long a certificate is good yet.
    fn left(&self, certificate: &Certificate) -> String {
        self.clock.span(certificate.facts.until.saturating_sub(self.clock.now))
    }
}

/// A record that should be published.
struct Record {
    purpose: String,
    required: bool,
    line: String,
    state: String,
    colour: &'static str,
    found: String,
}

async fn health(operator: Operator) -> Result<Response, Trouble> {
    let (site, clock) = (operator.house.site(), super::clock(&operator));
    let asked = operator.query().text("domain").to_owned();
    let Answered::Domains(domains) = operator.rule(Rule::Domains).await? else {
        return Err(Trouble::Unavailable);
    };
    let survey = match asked.as_str() {
        "" => Survey::of_host(services(&site)),
        name => {
            let name = Domain::parse(name).map_err(|_| Trouble::NotFound)?;
            let kind =
                |name: &Domain| domains.iter().find(|domain| domain.name == *name).map(|domain| &domain.kind);
            let own = kind(&name).ok_or(Trouble::NotFound)?;
            let target = match own {
                DomainKind::Alias { of } => kind(of),
                _ => None,
            };
            Survey::of_domain(&name, own, target, services(&site))
        }
    };
    let records = match findings(&operator, survey).await {
        Ok(findings) => Some(findings.into_iter().map(|finding| record(operator.words, finding)).collect()),
        Err(Trouble::Unavailable | Trouble::Denied(_)) => None,
        Err(trouble) => return Err(trouble),
    };
    let mut choices =
        vec![(String::new(), operator.words.say("health-of-host").into_owned(), asked.is_empty())];
    for domain in domains.iter().take(CHOICES) {
        let ascii = domain.name.to_ascii();
        let here = ascii == asked;
        choices.push((ascii, domain.name.to_string(), here));
    }
    if !choices.iter().any(|(.., here)| *here) {
        choices.push((asked.clone(), asked, true));
    }
    Ok(frame::page(&Health {
        frame: Frame::of(&operator, "health-title"),
        clock,
        version: env!("CARGO_PKG_VERSION"),
        host: site.hostname.to_string(),
        ports: ports(&site),
        certificate: shown(&site, clock),
        choices,
        records,
    }))
}

fn shown(site: &Site, clock: Clock) -> Option<Certificate> {
    let facts = certificate::Facts::of(site.certificate.as_ref()?)?;
    let state = facts.state(clock.now, &site.hostname.to_ascii());
    let told =
        clock.words.with(&format!("certificate-{}", state.name()), "until", clock.moment(&facts.until));
    Some(Certificate { told: told.into_owned(), colour: state.colour(), facts })
}

/// What the server offers.
fn services(site: &Site) -> Services {
    Services {
        host: site.hostname.clone(),
        addresses: Vec::new(),
        submission: site.submission,
        submissions: site.submissions,
        pop3: site.pop3,
        pop3s: site.pop3s,
        autoconfig: true,
    }
}

fn ports(site: &Site) -> String {
    let ports = [
        ("SMTP", site.smtp),
        ("submission", site.submission),
        ("submissions", site.submissions),
        ("POP3", site.pop3),
        ("POP3S", site.pop3s),
    ];
    let open = ports.into_iter().filter_map(|(name, port)| Some(format!("{name} {}", port?)));
    open.collect::<Vec<_>>().join(", ")
}

/// What name servers say now.
async fn findings(operator: &Operator, mut survey: Survey) -> Result<Vec<Finding>, Trouble> {
    for _ in 0..ROUNDS {
        let questions = survey.questions();
        if questions.is_empty() {
            break;
        }
        let Answer::LookedUp(answers) = operator.queue(Question::LookUp(questions)).await?.0 else {
            return Err(Trouble::Unavailable);
        };
        survey.learn(answers);
    }
    Ok(survey.findings())
}

/// How many records without which mail fails are missing or other than they should be, for the server itself.
pub(super) async fn amiss(operator: &Operator) -> Result<u64, Trouble> {
    let findings = findings(operator, Survey::of_host(services(&operator.house.site()))).await?;
    let amiss = findings.iter().filter(|finding| {
        finding.record.purpose.is_required() && matches!(finding.state, State::Missing | State::Differs)
    });
    Ok(amiss.count() as u64)
}

fn record(words: Words, finding: Finding) -> Record {
    let Finding { record, state, found } = finding;
    let required = record.purpose.is_required();
    let (name, colour) = match state {
        State::Published => ("health-published", "good"),
        State::Missing => ("health-missing", if required { "bad" } else { "wait" }),
        State::Differs => ("health-differs", if required { "bad" } else { "wait" }),
        State::Unknown => ("health-unknown", ""),
    };
    Record {
        purpose: words.say(&format!("health-{}", record.purpose)).into_owned(),
        required,
        line: record.to_string(),
        state: words.say(name).into_owned(),
        colour,
        found: found.join(" / ").chars().take(FOUND_MAX).collect(),
    }
}
