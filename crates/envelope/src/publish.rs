//! What has to stand in the DNS for a domain's mail to work, and whether it does.
//!
//! A [`Survey`] says what it has to know; whoever can ask the DNS answers; it asks again if an answer leads to
//! another question; in the end it says of each record how it stands.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::address::Domain;
use crate::dns::{DnsAnswer, DnsOutcome, DnsQuestion, RecordData, RecordType};
use crate::hosted::DomainKind;

/// What this server is, and what it serves from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// Its name.
    pub host: Domain,
    /// Its addresses, as far as they are known. None: any will do.
    pub addresses: Vec<IpAddr>,
    /// The port of submission by STARTTLS.
    pub submission: Option<u16>,
    /// The port of submission by TLS from the first octet (RFC 8314 §3.3).
    pub submissions: Option<u16>,
    /// The port of POP3 by STLS.
    pub pop3: Option<u16>,
    /// The port of POP3 by TLS from the first octet.
    pub pop3s: Option<u16>,
    /// Whether mail programs get their settings from it by HTTP.
    pub autoconfig: bool,
}

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The host's address: without it nothing works.
    HostAddress,
    /// The name of the host's address: without it others refuse its mail (RFC 1912 §2.1).
    HostPointer,
    /// Where mail to the domain goes.
    Mail,
    /// Where mail to the members' own domains goes, `foo@abc.pobox.example`.
    SubDomainMail,
    /// Who may send as the domain (RFC 7208).
    Spf,
    /// Who may send as the members' own domains.
    SubDomainSpf,
    /// What others do with mail that only says it is the domain's (RFC 7489).
    Dmarc,
    /// Where mail programs get their settings.
    Autoconfig,
    /// Where mail programs hand mail in, by STARTTLS (RFC 6186 §3.1).
    Submission,
    /// Where mail programs hand mail in, by TLS from the first octet (RFC 8314 §5.1).
    Submissions,
    /// Where mail programs get mail, by STLS (RFC 6186 §3.3).
    Pop3,
    /// Where mail programs get mail, by TLS from the first octet.
    Pop3s,
}

impl Purpose {
    /// Whether mail fails without it. The others are for comfort, and for being believed by others.
    pub fn is_required(self) -> bool {
        matches!(
            self,
            Purpose::HostAddress
                | Purpose::HostPointer
                | Purpose::Mail
                | Purpose::SubDomainMail
                | Purpose::Spf
        )
    }
}

impl fmt::Display for Purpose {
    /// Its name in JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A record that is to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What for.
    pub purpose: Purpose,
    /// Its name, in A-labels without a final dot.
    pub name: String,
    /// Its kind.
    pub record_type: RecordType,
    /// What it is to say, as in a zone file. None: the host's address, which is not known here.
    pub value: Option<String>,
}

impl fmt::Display for Record {
    /// As a line of a zone file: `pobox.example. IN MX 10 mail.pobox.example.`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. IN {} {}", self.name, self.record_type, self.value.as_deref().unwrap_or("..."))
    }
}

/// How a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is there, or another that serves the purpose.
    Published,
    /// There is none.
    Missing,
    /// There is another, which does not serve the purpose.
    Differs,
    /// The DNS does not say.
    Unknown,
}

/// What was found of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The record as it is to be.
    pub record: Record,
    /// How it stands.
    pub state: State,
    /// What is there, as in a zone file; or why the DNS does not say.
    pub found: Vec<String>,
}

/// A look at what is published.
#[derive(Debug, Clone)]
pub struct Survey {
    services: Services,
    host: String,
    about: About,
    answers: HashMap<DnsQuestion, DnsOutcome>,
}

#[derive(Debug, Clone)]
enum About {
    Host,
    Domain {
        name: String,
        /// Whether members have domains of their own under it.
        sub_domains: bool,
        /// It is somebody else's, whose backup we are.
        backup: bool,
    },
}

impl Survey {
    /// What there should be for this server itself.
    pub fn of_host(services: Services) -> Survey {
        Survey::new(services, About::Host)
    }

    /// What there should be for a domain that is served here. An alias is as `target`, the kind of the domain that
    /// it is an alias of.
    pub fn of_domain(
        domain: &Domain,
        kind: &DomainKind,
        target: Option<&DomainKind>,
        services: Services,
    ) -> Survey {
        let kind = if let DomainKind::Alias { .. } = kind { target.unwrap_or(kind) } else { kind };
        let about = About::Domain {
            name: domain.to_ascii(),
            sub_domains: matches!(kind, DomainKind::Provider),
            backup: matches!(kind, DomainKind::Relay),
        };
        Survey::new(services, about)
    }

    fn new(services: Services, about: About) -> Survey {
        let host = services.host.to_ascii();
        Survey { services, host, about, answers: HashMap::new() }
    }

    /// What it has to know yet; nothing: [`Survey::findings`] are complete.
    pub fn questions(&self) -> Vec<DnsQuestion> {
        let mut questions: Vec<DnsQuestion> = Vec::new();
        let mut ask = |question: DnsQuestion| {
            if !self.answers.contains_key(&question) && !questions.contains(&question) {
                questions.push(question);
            }
        };
        if let About::Host = self.about {
            ask(DnsQuestion::new(&self.host, RecordType::A));
            ask(DnsQuestion::new(&self.host, RecordType::Aaaa));
        }
        for record in self.records() {
            ask(DnsQuestion::new(record.name.clone(), record.record_type));
            if record.purpose == Purpose::Autoconfig {
                // Addresses of its own will do as well, if they are the host's.
                for name in [&record.name, &self.host] {
                    ask(DnsQuestion::new(name, RecordType::A));
                    ask(DnsQuestion::new(name, RecordType::Aaaa));
                }
            }
        }
        questions
    }

    /// Takes answers in.
    pub fn learn(&mut self, answers: Vec<DnsAnswer>) {
        self.answers.extend(answers.into_iter().map(|answer| (answer.question, answer.outcome)));
    }

    /// How each record stands, by what is known.
    pub fn findings(&self) -> Vec<Finding> {
        self.records().into_iter().map(|record| self.finding(record)).collect()
    }

    fn records(&self) -> Vec<Record> {
        match &self.about {
            About::Host => self.records_of_host(),
            About::Domain { name, sub_domains, backup } => {
                self.records_of_domain(name, *sub_domains, *backup)
            }
        }
    }

    fn records_of_host(&self) -> Vec<Record> {
        let known = &self.services.addresses;
        let type_of = |address: &IpAddr| if address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
        let record = |purpose, name: &str, record_type, value| Record {
            purpose,
            name: name.to_owned(),
            record_type,
            value,
        };
        let mut records = Vec::new();
        for address in known {
            records.push(record(
                Purpose::HostAddress,
                &self.host,
                type_of(address),
                Some(address.to_string()),
            ));
        }
        if known.is_empty() {
            records.push(record(Purpose::HostAddress, &self.host, RecordType::A, None));
            // Nobody needs one, but one that is there has to be right.
            if !self.at(&self.host, RecordType::Aaaa).is_empty() {
                records.push(record(Purpose::HostAddress, &self.host, RecordType::Aaaa, None));
            }
        }
        let published = self.host_addresses();
        let addresses = if known.is_empty() { &published } else { known };
        for address in addresses {
            let pointer = DnsQuestion::pointer(*address);
            let value = Some(format!("{}.", self.host));
            records.push(record(Purpose::HostPointer, &pointer.name, RecordType::Ptr, value));
        }
        records
    }

    fn records_of_domain(&self, name: &str, sub_domains: bool, backup: bool) -> Vec<Record> {
        let Services { submission, submissions, pop3, pop3s, autoconfig, .. } = &self.services;
        let host = &self.host;
        let mut records = Vec::new();
        let mut add = |purpose, name: String, record_type, value: String| {
            records.push(Record { purpose, name, record_type, value: Some(value) });
        };
        if backup {
            add(Purpose::Mail, name.to_owned(), RecordType::Mx, format!("20 {host}."));
            return records;
        }
        let spf = "\"v=spf1 mx ~all\"";
        add(Purpose::Mail, name.to_owned(), RecordType::Mx, format!("10 {host}."));
        if sub_domains {
            add(Purpose::SubDomainMail, format!("*.{name}"), RecordType::Mx, format!("10 {host}."));
        }
        add(Purpose::Spf, name.to_owned(), RecordType::Txt, spf.to_owned());
        if sub_domains {
            add(Purpose::SubDomainSpf, format!("*.{name}"), RecordType::Txt, spf.to_owned());
        }
        add(Purpose::Dmarc, format!("_dmarc.{name}"), RecordType::Txt, "\"v=DMARC1; p=none\"".to_owned());
        if *autoconfig {
            add(Purpose::Autoconfig, format!("autoconfig.{name}"), RecordType::Cname, format!("{host}."));
        }
        for (purpose, service, port) in [
            (Purpose::Submissions, "submissions", submissions),
            (Purpose::Submission, "submission", submission),
            (Purpose::Pop3s, "pop3s", pop3s),
            (Purpose::Pop3, "pop3", pop3),
        ] {
            if let Some(port) = port {
                // Of two that would do, mail programs take that with TLS from the first octet (RFC 8314 §5.1).
                let priority = if matches!(purpose, Purpose::Submissions | Purpose::Pop3s) { 0 } else { 10 };
                let value = format!("{priority} 1 {port} {host}.");
                add(purpose, format!("_{service}._tcp.{name}"), RecordType::Srv, value);
            }
        }
        records
    }

    fn finding(&self, record: Record) -> Finding {
        let question = DnsQuestion::new(record.name.clone(), record.record_type);
        let outcome = self.answers.get(&question);
        if let None | Some(DnsOutcome::Unanswered(_)) = outcome {
            let found = match outcome {
                Some(DnsOutcome::Unanswered(why)) => vec![why.to_string()],
                _ => Vec::new(),
            };
            return Finding { record, state: State::Unknown, found };
        }
        let mut there: Vec<&RecordData> =
            outcome.map(DnsOutcome::records).unwrap_or_default().iter().collect();
        // Text of other purposes stands under the same name.
        match record.purpose {
            Purpose::Spf | Purpose::SubDomainSpf => there.retain(|data| text(data).is_some_and(is_spf)),
            Purpose::Dmarc => there.retain(|data| text(data).is_some_and(is_dmarc)),
            Purpose::Autoconfig if there.is_empty() => {
                there.extend(self.at(&record.name, RecordType::A));
                there.extend(self.at(&record.name, RecordType::Aaaa));
            }
            _ => {}
        }
        let state = match there.is_empty() {
            true => State::Missing,
            false if self.serves(&record, &there) => State::Published,
            false => State::Differs,
        };
        let found = there.into_iter().map(ToString::to_string).collect();
        Finding { record, state, found }
    }

    /// Whether what is there serves the purpose, as the record that is proposed would.
    fn serves(&self, record: &Record, there: &[&RecordData]) -> bool {
        let host = self.host.as_str();
        match record.purpose {
            Purpose::HostAddress => {
                record.value.as_ref().is_none_or(|value| there.iter().any(|data| data.to_string() == *value))
            }
            Purpose::HostPointer => {
                there.iter().any(|data| matches!(data, RecordData::Ptr(name) if name == host))
            }
            Purpose::Mail | Purpose::SubDomainMail => {
                there.iter().any(|data| matches!(data, RecordData::Mx { exchange, .. } if exchange == host))
            }
            // Two are none (RFC 7208 §4.5, RFC 7489 §6.6.3).
            Purpose::Spf | Purpose::SubDomainSpf => {
                matches!(there, [only] if text(only).is_some_and(|spf| self.lets_us_send(spf)))
            }
            Purpose::Dmarc => {
                matches!(there, [only] if text(only).is_some_and(|dmarc| {
                    dmarc.split(';').any(|tag| tag.replace(' ', "").to_ascii_lowercase().starts_with("p="))
                }))
            }
            Purpose::Autoconfig => {
                let ours = self.host_addresses();
                there.iter().all(|data| match data {
                    RecordData::Cname(name) => name == host,
                    RecordData::A(address) => ours.contains(&IpAddr::V4(*address)),
                    RecordData::Aaaa(address) => ours.contains(&IpAddr::V6(*address)),
                    _ => false,
                })
            }
            Purpose::Submission => self.leads_to(there, self.services.submission),
            Purpose::Submissions => self.leads_to(there, self.services.submissions),
            Purpose::Pop3 => self.leads_to(there, self.services.pop3),
            Purpose::Pop3s => self.leads_to(there, self.services.pop3s),
        }
    }

    fn leads_to(&self, there: &[&RecordData], own: Option<u16>) -> bool {
        there.iter().any(|data| {
            matches!(data, RecordData::Srv { port, target, .. } if Some(*port) == own && *target == self.host)
        })
    }

    /// Whether a policy names us plainly: by the MX, our name or an address. What includes others' policies may name
    /// us as well, but that is for whoever wrote it to know.
    fn lets_us_send(&self, spf: &str) -> bool {
        let ours: Vec<String> =
            self.services.addresses.iter().chain(&self.host_addresses()).map(ToString::to_string).collect();
        spf.split_ascii_whitespace().any(|term| {
            let term = term.strip_prefix('+').unwrap_or(term).to_ascii_lowercase();
            match term.split_once(':') {
                None => term == "mx" || (term == "a" && self.is_about(&self.host)),
                Some(("a", name)) => name == self.host,
                Some(("ip4" | "ip6", address)) => ours.iter().any(|own| own == address),
                Some(_) => false,
            }
        })
    }

    fn is_about(&self, asked: &str) -> bool {
        matches!(&self.about, About::Domain { name, .. } if name == asked)
    }

    /// The host's addresses as they are published.
    fn host_addresses(&self) -> Vec<IpAddr> {
        let of = |record_type| {
            self.at(&self.host, record_type).iter().filter_map(|data| match data {
                RecordData::A(address) => Some(IpAddr::V4(*address)),
                RecordData::Aaaa(address) => Some(IpAddr::V6(*address)),
                _ => None,
            })
        };
        of(RecordType::A).chain(of(RecordType::Aaaa)).collect()
    }

    fn at(&self, name: &str, record_type: RecordType) -> &[RecordData] {
        self.answers.get(&DnsQuestion::new(name, record_type)).map(DnsOutcome::records).unwrap_or_default()
    }
}

fn text(data: &RecordData) -> Option<&str> {
    match data {
        RecordData::Txt(text) => Some(text.as_str()),
        _ => None,
    }
}

/// RFC 7208 §4.5.
fn is_spf(text: &str) -> bool {
    text.split(' ').next().is_some_and(|version| version.eq_ignore_ascii_case("v=spf1"))
}

/// RFC 7489 §6.3.
fn is_dmarc(text: &str) -> bool {
    text.split(';').next().is_some_and(|version| version.replace(' ', "") == "v=DMARC1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::RecordType::{A, Aaaa, Cname, Mx, Ptr, Srv, Txt};

    fn services() -> Services {
        Services {
            host: "mail.pobox.example".parse().unwrap(),
            addresses: Vec::new(),
            submission: Some(587),
            submissions: Some(465),
            pop3: Some(110),
            pop3s: None,
            autoconfig: true,
        }
    }

    fn mx(preference: u16, exchange: &str) -> RecordData {
        RecordData::Mx { preference, exchange: exchange.into() }
    }

    fn txt(text: &str) -> RecordData {
        RecordData::Txt(text.into())
    }

    fn a(address: [u8; 4]) -> RecordData {
        RecordData::A(address.into())
    }

    /// Answers all that a survey asks from a zone; what is not in it, does not exist.
    fn told(mut survey: Survey, zone: &[(&str, RecordType, Vec<RecordData>)]) -> Survey {
        for _ in 0..3 {
            let answers = survey.questions().into_iter().map(|question| {
                let there = zone
                    .iter()
                    .find(|(name, kind, _)| *name == question.name && *kind == question.record_type);
                let outcome = match there {
                    Some((_, _, records)) => DnsOutcome::Found(records.clone()),
                    None => DnsOutcome::NoSuchName,
                };
                DnsAnswer { question, outcome }
            });
            let answers = answers.collect();
            survey.learn(answers);
        }
        assert_eq!(survey.questions(), []);
        survey
    }

    fn provider() -> Survey {
        Survey::of_domain(&"pobox.example".parse().unwrap(), &DomainKind::Provider, None, services())
    }

    fn state(survey: &Survey, purpose: Purpose) -> State {
        survey.findings().into_iter().find(|finding| finding.record.purpose == purpose).unwrap().state
    }

    #[test]
    fn a_provider_domain_needs_these_records() {
        let lines: Vec<String> = provider().findings().iter().map(|it| it.record.to_string()).collect();
        assert_eq!(
            lines,
            [
                "pobox.example. IN MX 10 mail.pobox.example.",
                "*.pobox.example. IN MX 10 mail.pobox.example.",
                "pobox.example. IN TXT \"v=spf1 mx ~all\"",
                "*.pobox.example. IN TXT \"v=spf1 mx ~all\"",
                "_dmarc.pobox.example. IN TXT \"v=DMARC1; p=none\"",
                "autoconfig.pobox.example. IN CNAME mail.pobox.example.",
                "_submissions._tcp.pobox.example. IN SRV 0 1 465 mail.pobox.example.",
                "_submission._tcp.pobox.example. IN SRV 10 1 587 mail.pobox.example.",
                "_pop3._tcp.pobox.example. IN SRV 10 1 110 mail.pobox.example.",
            ]
        );
        assert!(provider().findings().iter().all(|finding| finding.state == State::Unknown));
    }

    #[test]
    fn other_domains_need_no_wildcards_and_one_that_we_only_relay_needs_its_mx() {
        let owner = "xyz".parse().unwrap();
        let kind = DomainKind::Virtual { owner, prefix: None };
        let shop: Domain = "shop.example".parse().unwrap();
        let names = |survey: Survey| -> Vec<String> {
            survey.findings().into_iter().map(|finding| finding.record.name).collect()
        };
        let of_virtual = names(Survey::of_domain(&shop, &kind, None, services()));
        assert!(
            of_virtual.contains(&"_dmarc.shop.example".into())
                && !of_virtual.contains(&"*.shop.example".into())
        );
        let alias = DomainKind::Alias { of: "pobox.example".parse().unwrap() };
        assert!(
            names(Survey::of_domain(&shop, &alias, Some(&DomainKind::Provider), services()))
                .contains(&"*.shop.example".into())
        );
        assert!(
            !names(Survey::of_domain(&shop, &alias, Some(&kind), services()))
                .contains(&"*.shop.example".into())
        );
        assert_eq!(names(Survey::of_domain(&shop, &DomainKind::Relay, None, services())), ["shop.example"]);
    }

    #[test]
    fn what_serves_the_purpose_counts_however_it_is_written() {
        let survey = told(
            provider(),
            &[
                ("pobox.example", Mx, vec![mx(5, "other.example"), mx(30, "mail.pobox.example")]),
                ("*.pobox.example", Mx, vec![mx(10, "other.example")]),
                ("pobox.example", Txt, vec![txt("other=1"), txt("V=SPF1 +a:mail.pobox.example -all")]),
                ("_dmarc.pobox.example", Txt, vec![txt("v=DMARC1 ; p = reject; rua=mailto:x@y.example")]),
                ("autoconfig.pobox.example", A, vec![a([192, 0, 2, 25])]),
                ("mail.pobox.example", A, vec![a([192, 0, 2, 25])]),
                (
                    "_submission._tcp.pobox.example",
                    Srv,
                    vec![RecordData::Srv {
                        priority: 7,
                        weight: 7,
                        port: 25,
                        target: "mail.pobox.example".into(),
                    }],
                ),
            ],
        );
        for (purpose, expected) in [
            (Purpose::Mail, State::Published),
            (Purpose::SubDomainMail, State::Differs),
            (Purpose::Spf, State::Published),
            (Purpose::SubDomainSpf, State::Missing),
            (Purpose::Dmarc, State::Published),
            (Purpose::Autoconfig, State::Published),
            (Purpose::Submission, State::Differs),
            (Purpose::Submissions, State::Missing),
        ] {
            assert_eq!(state(&survey, purpose), expected, "{purpose}");
        }
        let findings = survey.findings();
        assert_eq!(findings[0].found, ["5 other.example.", "30 mail.pobox.example."]);
        assert_eq!(findings[2].found, ["\"V=SPF1 +a:mail.pobox.example -all\""]);
    }

    #[test]
    fn a_policy_that_does_not_name_us_or_stands_there_twice_is_none() {
        let with = |records: &[&str]| {
            let records = records.iter().copied().map(txt).collect();
            state(&told(provider(), &[("pobox.example", Txt, records)]), Purpose::Spf)
        };
        assert_eq!(with(&["v=spf1 mx -all"]), State::Published);
        assert_eq!(with(&["v=spf10 mx -all"]), State::Missing);
        for bad in [&["v=spf1 -all"][..], &["v=spf1 -mx -all"], &["v=spf1 include:x.example -all"]] {
            assert_eq!(with(bad), State::Differs, "{bad:?}");
        }
        assert_eq!(with(&["v=spf1 mx -all", "v=spf1 mx ~all"]), State::Differs);
        let twice = vec![txt("v=DMARC1; p=none"), txt("v=DMARC1; p=none")];
        let survey = told(provider(), &[("_dmarc.pobox.example", Txt, twice)]);
        assert_eq!(state(&survey, Purpose::Dmarc), State::Differs);
    }

    #[test]
    fn settings_elsewhere_differ() {
        let zone = [
            ("autoconfig.pobox.example", Cname, vec![RecordData::Cname("else.example".into())]),
            ("mail.pobox.example", A, vec![a([192, 0, 2, 25])]),
        ];
        assert_eq!(state(&told(provider(), &zone), Purpose::Autoconfig), State::Differs);
        let zone = [("autoconfig.pobox.example", A, vec![a([192, 0, 2, 26])])];
        assert_eq!(state(&told(provider(), &zone), Purpose::Autoconfig), State::Differs);
    }

    #[test]
    fn each_address_of_the_host_needs_its_name() {
        let six: RecordData = RecordData::Aaaa("2001:db8::25".parse().unwrap());
        let pointer_of_six = DnsQuestion::pointer("2001:db8::25".parse().unwrap()).name;
        let zone = [
            ("mail.pobox.example", A, vec![a([192, 0, 2, 25])]),
            ("mail.pobox.example", Aaaa, vec![six]),
            ("25.2.0.192.in-addr.arpa", Ptr, vec![RecordData::Ptr("mail.pobox.example".into())]),
            (pointer_of_six.as_str(), Ptr, vec![RecordData::Ptr("dynamic.isp.example".into())]),
        ];
        let findings = told(Survey::of_host(services()), &zone).findings();
        let states: Vec<(RecordType, State)> =
            findings.iter().map(|it| (it.record.record_type, it.state)).collect();
        assert_eq!(
            states,
            [(A, State::Published), (Aaaa, State::Published), (Ptr, State::Published), (Ptr, State::Differs)]
        );

        let known = Services { addresses: vec!["192.0.2.99".parse().unwrap()], ..services() };
        let findings = told(Survey::of_host(known), &zone).findings();
        assert_eq!(findings[0].record.to_string(), "mail.pobox.example. IN A 192.0.2.99");
        assert_eq!((findings[0].state, findings[1].state), (State::Differs, State::Missing));
    }

    #[test]
    fn a_dns_that_does_not_answer_says_why() {
        let mut survey = provider();
        let answers = survey
            .questions()
            .into_iter()
            .map(|question| DnsAnswer { question, outcome: DnsOutcome::Unanswered("timed out".into()) });
        let answers = answers.collect();
        survey.learn(answers);
        assert_eq!(survey.questions(), []);
        for finding in survey.findings() {
            assert_eq!((finding.state, &finding.found[..]), (State::Unknown, &["timed out".to_owned()][..]));
        }
    }

    proptest! {
        #[test]
        fn any_text_in_the_dns_is_judged(text in "(v=spf1|v=DMARC1;)?\\PC{0,40}") {
            let records = vec![txt(&text)];
            let zone = [("pobox.example", Txt, records.clone()), ("_dmarc.pobox.example", Txt, records)];
            let survey = told(provider(), &zone);
            prop_assert_eq!(survey.findings().len(), provider().findings().len());
        }
    }
}
