//! For tests: every page of operators, in both languages, with lists as long as they get and texts as hostile as they
//! come; and what their forms do.

use std::sync::Mutex;

use askama::Template;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use envelope::dns::{DnsAnswer, DnsOutcome, RecordData};
use envelope::event::{Event, Party, Summary as Traced, Tally, What};
use envelope::{
    Account, AccountState, Address, Domain, DomainKind, HostedDomain, Language, NamedPlan, Overrides, Plan,
    QueueId, ReversePath, Walk,
};
use link::Parcel;
use link::services::directory::visits::{
    Absence, AddressSheet, Counts, Denied, Destination, DestinationState, Found, Hour, LastLogin, MailLine,
    OpenWindow, Operate, Own, Session, Traffic, Version, Visit, Way,
};
use link::services::directory::{
    AccountFacts, Answer, AppPassword, AuditEntry, DomainFacts, Page, Response, Rule, Sent, Trace, Window,
};
use link::services::local::Usage;
use link::services::queue::operators::{
    self, Answer as Queued, Details, Group, Progress, Question, RecipientDetails, RecipientState, Stats,
    Summary,
};
use link::services::remote;

use crate::certificate::tests::certificate;
use crate::page_check::{HOSTILE, LANGUAGES, checked};
use crate::routes::Who;
use crate::stage::{Play, Shown, Stage, visit};

/// 2026-11-24, in seconds since 1970.
const NOW: u64 = 1_795_523_405;

const PLAY: Play = Play { operate, own, queue };

/// What rules and acts were asked for by tests that ask for changes, one after the other.
static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn id(n: u64) -> QueueId {
    QueueId::from_u64(7_354_102_579_200_000_001 + n)
}

/// An address that is as hostile as an address can be.
fn hostile(n: u64) -> Address {
    format!("\"<script>alert({n})</script>&\"@peer.example").parse().unwrap()
}

fn account(n: u64) -> Account {
    Account {
        name: format!("customer-with-a-long-name-{n}").parse().unwrap(),
        state: [AccountState::Active, AccountState::Suspended, AccountState::ReceiveOnly][(n % 3) as usize],
        language: Language::Ja,
        operator: n.is_multiple_of(7),
        maildir: format!("/var/lib/hikyaku/mail/{n}/Maildir").into(),
        created: NOW - n,
    }
}

fn facts() -> AccountFacts {
    let mut own = Overrides::default();
    own.set("quota_bytes", Some("1000000")).unwrap();
    own.set("messages_per_hour", Some("3")).unwrap();
    AccountFacts {
        account: account(1),
        plan: "default".parse().unwrap(),
        allowances: own.applied_to(&Plan::default()),
        own,
        sent: Sent { messages_this_hour: 3, ..Sent::default() },
        windows: (0..40).map(window).collect(),
        app_passwords: 20,
        domains: (0..30).map(|n| format!("customer{n}.example").parse().unwrap()).collect(),
        uids: vec![1001, 1002],
        mailbox: Some(Usage { octets: 999_999, full_since: Some(NOW) }),
    }
}

fn window(n: u64) -> Window {
    Window {
        client: format!("2001:db8:1234:5678:9abc:def0:1234:{n:x}").parse().unwrap(),
        opened: NOW,
        renewed: NOW,
        expires: NOW + 1800,
    }
}

fn trail(count: u32) -> Vec<AuditEntry> {
    let entry = |n| AuditEntry {
        at: NOW - u64::from(n),
        who: "account root".into(),
        what: format!("the label of foo@abc.pobox.example is now {HOSTILE}"),
    };
    (0..count).map(entry).collect()
}

fn hours(count: u32) -> Vec<Hour> {
    let hour = |n: u32| Hour {
        at: NOW - NOW % 3600 - u64::from(count - n) * 3600,
        received: 123_456,
        submitted: 98_765,
        refused: 43_210,
        delivered: 222_222,
        failed: 1_111,
        deferred: 33_333,
        took: [100_000, 50_000, 20_000, 10_000, 5_000, 2_000, 1_000],
    };
    (0..count).map(hour).collect()
}

fn traced(n: u64) -> Traced {
    Traced {
        at: (NOW - n) * 1_000_000,
        queue_id: n.is_multiple_of(2).then(|| id(n)),
        reverse_path: Some(ReversePath::Address(hostile(n))),
        recipients: (0..3).map(hostile).collect(),
        tally: Tally { delivered: 2, failed: 1, waiting: 5, ..Tally::default() },
        held: true,
        refused: (!n.is_multiple_of(2)).then(|| format!("550 {HOSTILE}").as_str().into()),
    }
}

fn life() -> Vec<Event> {
    let deferred = |n| Event {
        at: (NOW + n) * 1_000_000,
        queue_id: Some(id(1)),
        what: What::Deferred {
            recipient: hostile(1),
            peer: None,
            reply: HOSTILE.into(),
            until: (NOW + n + 400) * 1_000_000,
        },
    };
    (0..500).map(deferred).collect()
}

fn sheet(n: u64) -> AddressSheet {
    AddressSheet {
        address: format!("foo{n}@abc.pobox.example"),
        file: format!(".qmail-foo{n}"),
        version: Version(n),
        exists: true,
        active: !n.is_multiple_of(3),
        label: Some(HOSTILE.into()),
        keep: true,
        destinations: (0..10)
            .map(|n| Destination { address: hostile(n), state: DestinationState::On })
            .collect(),
        other_lines: vec!["| true".into()],
        text: HOSTILE.into(),
        updated: NOW,
        forward_limit: 10,
    }
}

fn domain(n: u64) -> HostedDomain {
    let kind = match n % 4 {
        0 => DomainKind::Provider,
        1 => DomainKind::Virtual { owner: account(n).name, prefix: Some("shop".parse().unwrap()) },
        2 => DomainKind::Alias { of: Domain::parse("d0.example").unwrap() },
        _ => DomainKind::Relay,
    };
    HostedDomain { name: format!("d{n}.example").parse().unwrap(), kind }
}

fn ruled(rule: Rule) -> Response {
    Response::Answer(match rule {
        Rule::Domains => Answer::Domains((0..1000).map(domain).collect()),
        Rule::Domain(name) => Answer::Domain(DomainFacts {
            domain: HostedDomain { name, kind: DomainKind::Provider },
            catch_all: Some(account(1).name),
            aliases: (0..100).map(|n| domain(n).name).collect(),
        }),
        Rule::Account(name) if name.as_str() == "abc" => Answer::Account(account(1)),
        Rule::Account(_) => return Response::Refused("there is no such account".into()),
        Rule::AccountFacts(_) => Answer::AccountFacts(Box::new(facts())),
        Rule::Accounts { limit, .. } => Answer::Accounts((0..u64::from(limit)).map(account).collect()),
        Rule::AppPasswords(_) => Answer::AppPasswords(
            (0..20)
                .map(|_| AppPassword { label: HOSTILE.into(), created: NOW, last_used: Some(NOW) })
                .collect(),
        ),
        Rule::Plans => Answer::Plans(
            (0..10)
                .map(|n| NamedPlan {
                    name: if n == 0 { "default".parse() } else { format!("plan{n}").parse() }.unwrap(),
                    plan: Plan::default(),
                })
                .collect(),
        ),
        Rule::AuditTrail { limit, .. } => Answer::AuditTrail(trail(limit)),
        change => {
            ASKED.lock().unwrap().push(format!("{change:?}"));
            return Response::Done;
        }
    })
}

fn operate(operate: Operate) -> Response {
    match operate {
        Operate::Rule(rule) => ruled(rule),
        Operate::Find(_) => visit(Visit::Found(
            (0..48)
                .map(|n| Found::Address { account: account(n).name, address: hostile(n).to_string() })
                .chain([
                    Found::Account(account(1).name),
                    Found::Domain(domain(1).name),
                    Found::LeadsTo { address: hostile(1), account: account(1).name },
                ])
                .collect(),
        )),
        Operate::Trace(Trace::Message { .. }) => Response::Life(Page { items: life(), more: true }),
        Operate::Trace(Trace::Party { party, limit, .. }) => {
            assert!(matches!(party, Party::Account(_) | Party::Address(_) | Party::Domain(_)));
            Response::Mail(Page { items: (0..u64::from(limit)).map(traced).collect(), more: false })
        }
        Operate::Traffic { hours: count } => visit(Visit::Traffic(Box::new(Traffic {
            hours: hours(count),
            senders: (0..20).map(|n| (account(n).name, 1_000_000, 2_000_000)).collect(),
            refusals: (0..20).map(|_| (HOSTILE.into(), 1_000_000)).collect(),
        }))),
        Operate::Windows(most) => visit(Visit::Windows(
            (0..u64::from(most))
                .map(|n| OpenWindow { account: account(n).name, window: window(n) })
                .collect(),
        )),
        Operate::Counts => visit(Visit::Counts(Counts {
            accounts: 100_000,
            suspended: 12,
            receive_only: 3,
            domains: 1_000,
            addresses: 250_000,
            windows: 4_321,
            sessions: 77,
        })),
        Operate::Invite(_) => visit(Visit::NewToken(link::services::directory::visits::Token::new([9; 32]))),
        Operate::RemoveSecondFactor(_) => visit(Visit::Done),
        _ => Response::Unavailable,
    }
}

fn own(own: Own) -> Response {
    visit(match own {
        Own::Addresses { limit, .. } => {
            Visit::Addresses { sheets: (0..u64::from(limit)).map(sheet).collect(), more: true }
        }
        Own::Mail(search) => Visit::Mail(
            (0..u64::from(search.limit)).map(|n| MailLine { summary: traced(n), way: Way::In }).collect(),
            true,
        ),
        Own::Absence => Visit::Absence(Absence {
            active: true,
            subject: HOSTILE.into(),
            text: HOSTILE.into(),
            ..Absence::default()
        }),
        Own::Logins => Visit::Logins(
            (0..20)
                .map(|n| LastLogin {
                    at: NOW,
                    service: "pop3".into(),
                    client: window(n).client,
                    app_password: Some(HOSTILE.into()),
                })
                .collect(),
        ),
        Own::Sessions => Visit::Sessions(
            (0..20)
                .map(|number| Session {
                    number,
                    began: NOW,
                    used: NOW,
                    client: window(number).client,
                    agent: HOSTILE.into(),
                    this: false,
                })
                .collect(),
        ),
        _ => return Response::Unavailable,
    })
}

fn summary(n: u64) -> Summary {
    Summary {
        id: id(n),
        arrived: NOW - n,
        size: 123_456_789,
        reverse_path: Some(ReversePath::Address(hostile(n))),
        account: Some(account(n).name),
        to: (0..3).map(hostile).collect(),
        waiting: 3,
        in_hand: 0,
        done: 2,
        held: n.is_multiple_of(2),
        next_attempt: Some(NOW + 1_000_000_000),
    }
}

/// Mail data of which the header or the body is what `HOSTILE` says, and more than a page shows.
fn mail_data() -> Bytes {
    format!("Subject: {HOSTILE}\r\n\r\n{}", HOSTILE.repeat(1000)).into()
}

fn queue(question: Question) -> Parcel<operators::Answer> {
    let end = Progress { until: Some(id(99)), rest: None };
    let walk = |walk: Walk| Progress {
        until: Some(id(99)),
        rest: walk.after.is_none().then_some(Walk { after: Some(id(60)), until: Some(id(99)) }),
    };
    let mut raw = Bytes::new();
    let answer = match question {
        Question::Find { walk: from, filter } => {
            let count = if filter.ids.is_empty() { 60 } else { 1 };
            let progress = if filter.ids.is_empty() { walk(from) } else { end };
            Queued::Found { messages: (0..count).map(summary).collect(), progress }
        }
        Question::Show(asked) if asked == id(1) => Queued::Shown(Some(Box::new(Details {
            summary: summary(1),
            forwarded_from: Some(id(2)),
            recipients: (0..300)
                .map(|n| RecipientDetails {
                    address: hostile(n).to_string(),
                    state: RecipientState::Waiting,
                    attempts: 7,
                    next_attempt: Some(NOW),
                    last_reply: format!("{HOSTILE}\n{HOSTILE}"),
                })
                .collect(),
        }))),
        Question::Show(_) => Queued::Shown(None),
        Question::Read(asked) if asked == id(1) => {
            raw = mail_data();
            Queued::Text { file_size: None }
        }
        Question::Read(_) => Queued::Shown(None),
        Question::Stats => Queued::Stats(Stats {
            messages: 123_456,
            in_flight: 400,
            held: 50,
            octets: 9_876_543_210,
            oldest: Some(NOW - 900_000),
            segments: 12,
            accepted: 1_234_567,
            delivered: 1_111_111,
            failed: 22_222,
            deferred: 33_333,
        }),
        Question::Count { walk: from, .. } => Queued::Counted {
            groups: (0..50)
                .map(|n| Group {
                    name: (n > 0).then(|| format!("{HOSTILE}{n}")),
                    messages: 1_000_000,
                    recipients: 2_000_000 + n,
                })
                .collect(),
            progress: walk(from),
        },
        Question::Act { act, filter, walk } => {
            ASKED.lock().unwrap().push(format!("{act:?} {:?} {walk:?}", filter.domain));
            Queued::Acted { touched: vec![summary(1)], untouched: 2, in_hand: 1, progress: end }
        }
        Question::Destinations => Queued::Destinations(
            (0..100)
                .map(|n| remote::Destination {
                    name: format!("destination{n}.example"),
                    active: 3,
                    limit: 20,
                    failures: n,
                    pause: Some(300),
                    last_trouble: Some(HOSTILE.repeat(5)),
                })
                .collect(),
        ),
        Question::Resume(name) => {
            ASKED.lock().unwrap().push(format!("Resume {name}"));
            Queued::Done
        }
        Question::LookUp(questions) => Queued::LookedUp(
            questions
                .into_iter()
                .map(|question| DnsAnswer {
                    question,
                    outcome: DnsOutcome::Found(vec![RecordData::Txt(HOSTILE.into())]),
                })
                .collect(),
        ),
    };
    Parcel { value: answer, raw, fds: Vec::new() }
}

fn stage(language: Language, fresh: bool) -> Stage {
    Stage::set(language, fresh, certificate(&["mail.pobox.example"], 0, 2_000_000_000), PLAY)
}

/// What holds for every page holds for this one.
fn check(stage: &Stage, path: &str, shown: &Shown) {
    #[derive(Template)]
    #[template(source = "{{ html|safe }}", ext = "html")]
    struct Raw {
        html: String,
    }
    assert_eq!(shown.status, StatusCode::OK, "{path}: {}", shown.text);
    let html = shown.text.replace(&stage.csrf(), "csrf-token");
    println!("{path}: {} octets", html.len());
    checked(&Raw { html });
}

/// Each page with what its path has to have.
fn pages() -> Vec<String> {
    let stage = std::sync::Arc::new(crate::house::House::new(
        link::Client::new(std::time::Duration::ZERO),
        link::Client::new(std::time::Duration::ZERO),
        crate::stage::site(certificate(&["a.example"], 0, 1)),
    ));
    let routes = crate::routes::Routes::new(&stage).with(super::routes);
    let mut pages = Vec::new();
    for route in routes.table() {
        assert!(route.who == Who::Operator && route.path.starts_with("/operator"), "{route:?}");
        if route.method != Method::GET || route.path.ends_with("/eml") || route.path.ends_with(".json") {
            continue;
        }
        let path = route.path.replace("{id}", &id(1).to_string());
        let name = match path.split('/').nth(2) {
            Some("domains") => "d0.example",
            Some("plans") => "plan1",
            _ => "abc",
        };
        let path = path.replace("{name}", name);
        let hostile = crate::operator::encoded(HOSTILE);
        pages.extend(match path.as_str() {
            "/operator/queue/act" => ["retry", "hold", "release", "bounce", "remove"]
                .map(|act| format!("{path}?act={act}&reason={hostile}&domain=peer.example"))
                .into(),
            "/operator/queue/acted" => ["retry", "hold", "release", "bounce", "remove"]
                .map(|act| format!("{path}?act={act}&touched=1&untouched=2&in_hand=3&rest={hostile}"))
                .into(),
            "/operator/queue/resume" => vec![format!("{path}?name=destination1.example")],
            "/operator/queue" => ["domain", "sender", "account", "reason", &hostile]
                .map(|by| format!("{path}?by={by}"))
                .into(),
            "/operator/queue/messages" => {
                let all = format!("sender={hostile}&recipient={hostile}&account={hostile}&domain={hostile}&age={hostile}&larger={hostile}&reason={hostile}");
                vec![path.clone(), format!("{path}?{all}"), format!("{path}?reason={hostile}&after={}", id(1))]
            }
            "/operator/traffic" => [24, 72, 168, 672].map(|hours| format!("{path}?hours={hours}")).into(),
            "/operator/mail" => {
                vec![path.clone(), format!("{path}?q=abc&days=3"), format!("{path}?q={hostile}")]
            }
            "/operator/health" => vec![path.clone(), format!("{path}?domain=d0.example"), format!("{path}?domain=d2.example")],
            "/operator/audit" => {
                vec![path.clone(), format!("{path}?account={hostile}"), format!("{path}?account=abc&skip=50")]
            }
            "/operator/accounts" => vec![path.clone(), format!("{path}?prefix={hostile}")],
            "/operator/accounts/abc/state" => ["active", "receive-only", "suspended"]
                .map(|state| format!("{path}?state={state}"))
                .into(),
            _ if path.ends_with("/app-password") => vec![format!("{path}?label={hostile}")],
            "/operator/search" | "/operator/domains" => vec![path.clone(), format!("{path}?q={hostile}")],
            _ => vec![path],
        });
    }
    pages
}

#[tokio::test]
async fn every_page_is_small_and_sound_in_both_languages_whatever_is_on_it() {
    for language in LANGUAGES {
        let stage = stage(language, true);
        for path in pages() {
            let shown = stage.get(&path).await;
            check(&stage, &path, &shown);
        }
    }
}

#[tokio::test]
async fn who_has_not_proved_who_he_is_does_not_come_to_the_forms_of_what_is_dangerous() {
    let stage = stage(Language::En, false);
    for path in [
        "/operator/new-account",
        "/operator/accounts/abc/settings",
        "/operator/accounts/abc/state?state=suspended",
        "/operator/accounts/abc/link",
        "/operator/accounts/abc/second-factor",
        "/operator/accounts/abc/app-password?label=x",
        "/operator/accounts/abc/remove",
        "/operator/domains/d0.example/catch-all",
        "/operator/domains/d0.example/remove",
        "/operator/new-plan",
        "/operator/plans/plan1",
        "/operator/plans/plan1/remove",
        "/operator/queue/act?act=remove&domain=peer.example",
        "/operator/queue/resume?name=destination1.example",
    ] {
        let shown = stage.get(path).await;
        let to = shown.location.unwrap_or_default();
        let then: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
        assert_eq!((shown.status, to), (StatusCode::SEE_OTHER, format!("/prove?then={then}")));
    }
}

#[tokio::test]
async fn forms_ask_for_what_they_say() {
    let stage = stage(Language::En, true);
    let asked = || ASKED.lock().unwrap().drain(..).collect::<Vec<String>>().join("; ");
    for (path, fields, location, expected) in [
        (
            "/operator/new-account",
            "name=new&language=en&plan=plan1",
            "/operator/accounts/new/link?done=account-added",
            "AddAccount(NewAccount { name: AccountName(\"new\"), password: None, language: En, operator: false",
        ),
        (
            "/operator/accounts/abc/state",
            "state=suspended",
            "/operator/accounts/abc?done=saved",
            "SetState(AccountName(\"abc\"), Suspended)",
        ),
        (
            "/operator/accounts/abc/settings",
            "plan=plan1&language=ja&quota_bytes=1G&programs=true",
            "/operator/accounts/abc?done=saved",
            "(\"quota_bytes\", Some(\"1073741824\"))",
        ),
        (
            "/operator/accounts/abc/remove",
            "typed=ABC",
            "/operator/accounts?done=removed",
            "RemoveAccount(AccountName(\"abc\"))",
        ),
        (
            "/operator/accounts/abc/windows",
            "",
            "/operator/accounts/abc?done=saved",
            "CloseWindows(AccountName(\"abc\"))",
        ),
        (
            "/operator/new-domain",
            "name=new.example&kind=relay",
            "/operator/domains/new.example?done=saved",
            "AddDomain(HostedDomain { name: Domain(\"new.example\"), kind: Relay })",
        ),
        (
            "/operator/domains/d0.example/catch-all",
            "account=",
            "/operator/domains/d0.example?done=saved",
            "SetCatchAll(Domain(\"d0.example\"), None)",
        ),
        (
            "/operator/new-plan",
            "name=large&forward_limit=50",
            "/operator/plans?done=saved",
            "SetPlan(PlanName(AccountName(\"large\")), [(\"forward_limit\", \"50\")])",
        ),
        (
            "/operator/queue/act",
            "act=hold&domain=peer.example&until=",
            "/operator/queue/acted?act=hold&touched=1&untouched=2&in_hand=1&",
            "Hold Some(Domain(Domain(\"peer.example\")))",
        ),
        (
            "/operator/queue/act",
            "act=remove&domain=peer.example&count=2&typed=2",
            "/operator/queue/acted?act=remove&touched=1&untouched=2&in_hand=1&",
            "Remove Some",
        ),
        (
            "/operator/queue/resume",
            "name=destination1.example",
            "/operator/queue/destinations?done=resumed",
            "Resume destination1.example",
        ),
    ] {
        let shown = stage.post(path, fields).await;
        assert_eq!(shown.location.as_deref(), Some(location), "{path} {fields}: {}", shown.text);
        let asked = asked();
        assert!(asked.contains(expected), "{path}: {asked}");
    }
    // What is mistyped, makes no sense or says not which is meant does nothing.
    for (path, fields) in [
        ("/operator/accounts/abc/remove", "typed=abd"),
        ("/operator/accounts/abc/settings", "plan=plan1&quota_bytes=much"),
        ("/operator/accounts/abc/state", "state=gone"),
        ("/operator/new-account", "name=-"),
        ("/operator/new-domain", "name=..&kind=relay"),
        ("/operator/new-plan", "name=default&forward_limit=50"),
        ("/operator/domains/d0.example/remove", "typed="),
        ("/operator/queue/act", "act=remove&domain=peer.example&count=2&typed=3"),
        ("/operator/queue/act", "act=hold"),
        ("/operator/queue/act", "act=hold&domain=peer.example&age=long"),
        ("/operator/queue/act", "act=destroy&domain=peer.example"),
        ("/operator/queue/resume", "name=unknown.example"),
    ] {
        let shown = stage.post(path, fields).await;
        assert!(shown.status.is_client_error(), "{path} {fields}: {}", shown.status);
        assert_eq!(asked(), "", "{path} {fields}");
    }
}

#[tokio::test]
async fn who_proves_too_late_who_he_is_comes_back_to_what_he_was_asked() {
    let stage = Stage::set(
        Language::En,
        true,
        certificate(&["mail.pobox.example"], 0, 2_000_000_000),
        Play { operate: |_| visit(Visit::Denied(Denied::Prove)), ..PLAY },
    );
    for (path, fields, then) in [
        (
            "/operator/accounts/abc/state",
            "state=suspended",
            "%2Foperator%2Faccounts%2Fabc%2Fstate%3Fstate%3Dsuspended",
        ),
        (
            "/operator/accounts/abc/app-password",
            "label=a%26b",
            "%2Foperator%2Faccounts%2Fabc%2Fapp-password%3Flabel%3Da%2526b",
        ),
        ("/operator/accounts/abc/remove", "typed=abc", "%2Foperator%2Faccounts%2Fabc%2Fremove"),
    ] {
        let shown = stage.post(path, fields).await;
        assert_eq!(shown.location, Some(format!("/prove?then={then}")), "{path}");
    }
}

#[tokio::test]
async fn a_message_is_read_as_text_and_downloaded_as_it_is() {
    let stage = stage(Language::En, true);
    let path = format!("/operator/queue/messages/{}", id(1));
    let shown = stage.get(&format!("{path}/text")).await;
    assert!(shown.text.contains("Only the first 16 KiB are shown."));
    let shown = stage.get(&format!("{path}/eml")).await;
    assert_eq!((shown.status, shown.text.as_bytes()), (StatusCode::OK, &mail_data()[..]));
    for gone in ["", "/text", "/eml"] {
        let shown = stage.get(&format!("/operator/queue/messages/{}{gone}", id(2))).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND);
        assert!(shown.text.contains("does not wait here"));
    }
}
