//! `hikyaku domain dns`: what has to stand in the DNS, and whether it does.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use envelope::publish::{Finding, Purpose, Services, State, Survey};
use envelope::{Domain, DomainKind};
use link::services::directory::Rule;
use link::services::queue::operators::{Answer, Question};

use crate::commands::desk::{Desk, ask};
use crate::commands::output::{self, say};
use crate::commands::queue::{OTHER_VERSION, Office};
use crate::config::{Config, Listen};

/// How often a survey may ask on: what it learns leads to one more round.
const ROUNDS: usize = 3;

#[derive(Args)]
pub struct Dns {
    /// A domain that is served here; the provider's own unless it is named.
    name: Option<Domain>,
    /// Print JSON, one record a line.
    #[arg(long)]
    json: bool,
}

/// Does it. Exits with 1 if mail suffers from what is not published.
pub fn run(config: &Config, desk: &mut Desk, dns: Dns) -> anyhow::Result<ExitCode> {
    let name = dns.name.unwrap_or_else(|| config.domain.clone());
    let kind = ask!(desk, Rule::Domain(name.clone()) => Domain).domain.kind;
    let target = match &kind {
        DomainKind::Alias { of } => Some(ask!(desk, Rule::Domain(of.clone()) => Domain).domain.kind),
        _ => None,
    };
    let services = services(config);
    let mut surveys =
        [Survey::of_host(services.clone()), Survey::of_domain(&name, &kind, target.as_ref(), services)];
    let asked = Office::open(config)
        .and_then(|mut office| surveys.iter_mut().try_for_each(|survey| look(&mut office, survey)));
    let findings: Vec<Finding> = surveys.iter().flat_map(Survey::findings).collect();
    for finding in &findings {
        if dns.json {
            output::json(finding)?;
        } else {
            lines(finding).iter().try_for_each(|line| output::line(format_args!("{line}")))?;
        }
    }
    if let Err(problem) = asked {
        eprintln!("hikyaku: whether they are there is not known: {problem:#}");
        return Ok(ExitCode::FAILURE);
    }
    if !dns.json {
        say!("(what was changed just now may not be seen everywhere yet)");
    }
    let suffers = |it: &Finding| it.record.purpose.is_required() && it.state != State::Published;
    Ok(if findings.iter().any(suffers) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Has the server ask the DNS until the survey knows enough.
fn look(office: &mut Office, survey: &mut Survey) -> anyhow::Result<()> {
    for _ in 0..ROUNDS {
        let questions = survey.questions();
        if questions.is_empty() {
            break;
        }
        let Answer::LookedUp(answers) = office.ask(Question::LookUp(questions))?.value else {
            bail!(OTHER_VERSION);
        };
        survey.learn(answers);
    }
    Ok(())
}

/// What this server is, by its configuration.
fn services(config: &Config) -> Services {
    let Listen { smtp, submission, submissions, pop3, pop3s, https, http } = &config.listen;
    let port = |at: &[SocketAddr]| at.first().map(SocketAddr::port);
    let mut addresses: Vec<IpAddr> = smtp.iter().map(|at| at.ip().to_canonical()).collect();
    addresses.extend(&config.remote.own_addresses);
    addresses.retain(is_public);
    addresses.sort();
    addresses.dedup();
    Services {
        host: config.hostname.clone(),
        addresses,
        submission: port(submission),
        submissions: port(submissions),
        pop3: port(pop3),
        pop3s: port(pop3s),
        // Mail programs ask at the usual ports.
        autoconfig: port(https) == Some(443) || port(http) == Some(80),
    }
}

/// Whether others may reach it: an address behind a NAT does not stand in the DNS.
fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            !(four.is_unspecified() || four.is_loopback() || four.is_private() || four.is_link_local())
        }
        IpAddr::V6(six) => {
            !(six.is_unspecified()
                || six.is_loopback()
                || six.is_unique_local()
                || six.is_unicast_link_local())
        }
    }
}

fn lines(finding: &Finding) -> Vec<String> {
    let Finding { record, state, found } = finding;
    let mark = match (state, record.purpose.is_required()) {
        (State::Published, _) => "good",
        (State::Missing, true) => "MISSING",
        (State::Missing, false) => "missing",
        (State::Differs, true) => "DIFFERS",
        (State::Differs, false) => "differs",
        (State::Unknown, _) => "unknown",
    };
    let mut lines = vec![format!("{mark:<8}  {record}")];
    if *state == State::Published {
        return lines;
    }
    lines.push(format!("{:10}{}", "", purpose(record.purpose)));
    let there = if *state == State::Unknown { "the DNS says" } else { "there is" };
    lines.extend(found.iter().map(|found| format!("{:10}{there}: {found}", "")));
    lines
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::HostAddress => "the address of this server (a line for each it has)",
        Purpose::HostPointer => {
            "the name of its address: without it others refuse mail from here; who gave you the address sets it"
        }
        Purpose::Mail => "where mail to the domain goes",
        Purpose::SubDomainMail => {
            "where mail to members' own addresses goes, such as foo@abc. under the domain"
        }
        Purpose::Spf => "that mail from the domain comes from this server (SPF)",
        Purpose::SubDomainSpf => "the same for members' own addresses",
        Purpose::Dmarc => "what others do with mail that only says it is the domain's (DMARC)",
        Purpose::Autoconfig => "where mail programs get their settings by themselves",
        Purpose::Submission | Purpose::Submissions => "where mail programs hand mail in",
        Purpose::Pop3 | Purpose::Pop3s => "where mail programs get mail",
    }
}

#[cfg(test)]
mod tests {
    use envelope::dns::RecordType;
    use envelope::publish::Record;

    use super::*;

    fn config(lines: &str) -> Config {
        let first = "hostname = \"mail.pobox.example\"\ndomain = \"pobox.example\"\n";
        Config::parse(&format!("{first}{lines}")).unwrap()
    }

    #[test]
    fn the_server_is_told_of_by_what_others_can_reach() {
        let usual = services(&config(""));
        assert_eq!((usual.addresses.len(), usual.submission, usual.autoconfig), (0, Some(587), true));
        let odd = services(&config(
            "[listen]\nsmtp = [\"192.168.1.2:25\", \"198.51.100.1:25\"]\nhttps = [\"[::]:8443\"]\npop3 = []\n\
             [remote]\nown_addresses = [\"198.51.100.1\", \"2001:db8::1\"]\n",
        ));
        assert_eq!(
            odd.addresses,
            ["198.51.100.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]
        );
        assert_eq!((odd.pop3, odd.pop3s, odd.autoconfig), (None, Some(995), false));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_told_with_what_is_there_and_what_it_is_for() {
        let record = Record {
            purpose: Purpose::Mail,
            name: "pobox.example".into(),
            record_type: RecordType::Mx,
            value: Some("10 mail.pobox.example.".into()),
        };
        let mut finding =
            Finding { record, state: State::Published, found: vec!["10 other.example.".into()] };
        assert_eq!(lines(&finding), ["good      pobox.example. IN MX 10 mail.pobox.example."]);
        finding.state = State::Differs;
        assert_eq!(
            lines(&finding),
            [
                "DIFFERS   pobox.example. IN MX 10 mail.pobox.example.",
                "          where mail to the domain goes",
                "          there is: 10 other.example.",
            ]
        );
    }
}
