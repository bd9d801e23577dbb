//! What is to stand in the DNS, and whether it does.

use axum::response::Response;
use envelope::Domain;
use envelope::publish::{self, Services, Survey};
use link::services::queue::operators::{Answer, Question};
use serde::Serialize;

use super::domains;
use crate::api::exchange::{Named, json};
use crate::house::Site;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

/// How often a survey may lead on to further questions: from a name to its addresses, say.
const ROUNDS_MAX: usize = 4;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::OperatorToken, "/api/v1/operator/dns", of_host).get(
        Who::OperatorToken,
        "/api/v1/operator/domains/{name}/dns",
        of_domain,
    )
}

/// Records that are to be published.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Records {
    /// These, and how each stands.
    records: Vec<DnsRecord>,
}

/// A record that is to be published, and how it stands.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DnsRecord {
    /// What for, such as `mail`, `spf`, `autoconfig`.
    purpose: String,
    /// Whether mail fails without it.
    required: bool,
    /// Its name.
    name: String,
    /// Its kind, such as `MX`.
    #[serde(rename = "type")]
    kind: String,
    /// What it is to say, as in a zone file; none: the server's address, which is not known here.
    value: Option<String>,
    /// How it stands.
    state: DnsState,
    /// What is there, as in a zone file; or why that is not known.
    found: Vec<String>,
}

/// How a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum DnsState {
    /// It is there, or another that serves the purpose.
    Published,
    /// There is none.
    Missing,
    /// There is another, which does not serve the purpose.
    Differs,
    /// The DNS does not say.
    Unknown,
}

async fn of_host(operator: Operator) -> Result<Response, Trouble> {
    let survey = Survey::of_host(services(&operator.house.site()));
    surveyed(&operator, survey).await
}

async fn of_domain(operator: Operator, Named(name): Named<Domain>) -> Result<Response, Trouble> {
    let all = domains::all(&operator).await?;
    let kind_of = |name: &Domain| all.iter().find(|domain| domain.name == *name).map(|domain| &domain.kind);
    let kind = kind_of(&name).ok_or(Trouble::NotFound)?;
    let target = match kind {
        envelope::DomainKind::Alias { of } => kind_of(of),
        _ => None,
    };
    let survey = Survey::of_domain(&name, kind, target, services(&operator.house.site()));
    surveyed(&operator, survey).await
}

async fn surveyed(operator: &Operator, mut survey: Survey) -> Result<Response, Trouble> {
    for _ in 0..ROUNDS_MAX {
        let questions = survey.questions();
        if questions.is_empty() {
            break;
        }
        let (Answer::LookedUp(answers), _) = operator.queue(Question::LookUp(questions)).await? else {
            return Err(Trouble::Unavailable);
        };
        survey.learn(answers);
    }
    Ok(json(Records { records: survey.findings().into_iter().map(DnsRecord::from).collect() }))
}

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

impl From<publish::Finding> for DnsRecord {
    fn from(finding: publish::Finding) -> DnsRecord {
        let record = finding.record;
        DnsRecord {
            purpose: record.purpose.to_string(),
            required: record.purpose.is_required(),
            name: record.name,
            kind: record.record_type.to_string(),
            value: record.value,
            state: match finding.state {
                publish::State::Published => DnsState::Published,
                publish::State::Missing => DnsState::Missing,
                publish::State::Differs => DnsState::Differs,
                publish::State::Unknown => DnsState::Unknown,
            },
            found: finding.found,
        }
    }
}
