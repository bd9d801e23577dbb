//! What a member sees first: his addresses, his mailbox, what he has sent, who was in, and what needs his care.
//!
//! Only the facts of his account must be there. What else does not answer is left out: a page that shows most is
//! better than one that shows nothing.

use askama::Template;
use axum::response::Response;
use envelope::Limit;
use futures_util::future::join_all;
use link::services::directory::visits::{
    AddressSheet, DestinationResults, DestinationState, LastLogin, Own, Standing, Visit,
};
use link::services::directory::{AccountFacts, Window};

use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::shown;
use crate::trouble::Trouble;
use crate::visitor::Member;
use crate::words::Words;

/// Addresses that are shown; the rest is on their own page.
const ADDRESSES: u32 = 6;
/// Logins that are shown.
const LOGINS: usize = 6;
/// From so many hundredths of the quota on, the mailbox is nearly full.
const NEARLY_FULL: u64 = 90;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get(Who::Member, "/", overview)
}

#[derive(Template)]
#[template(path = "member/overview.html")]
struct Overview {
    frame: Frame,
    /// His own, whether or not it has instructions.
    standard: AddressLine,
    sub_domain: Option<String>,
    /// The others. None: they are not known just now.
    addresses: Option<Vec<AddressLine>>,
    more_addresses: bool,
    mailbox: Option<Meter>,
    sent: Vec<Counted>,
    windows: Vec<OpenWindow>,
    pop_before_smtp: bool,
    pop_window_minutes: u32,
    absence: Option<AbsenceLine>,
    logins: Option<Vec<Login>>,
    alerts: Vec<Alert>,
}

/// One address in one line.
struct AddressLine {
    address: String,
    path: String,
    label: Option<String>,
    active: bool,
    destinations: usize,
}

/// How much there is of what there may be.
struct Meter {
    used: String,
    most: Option<String>,
    percent: u64,
}

/// Something that was sent, and how much of it may be sent.
struct Counted {
    name: String,
    sent: u64,
    most: Option<u64>,
}

struct OpenWindow {
    client: String,
    expires: u64,
}

struct AbsenceLine {
    active: bool,
    sentence: String,
}

/// One login.
struct Login {
    at: u64,
    service: String,
    client: String,
    app_password: Option<String>,
}

/// Something that needs care, and where it is taken care of.
#[derive(Debug, PartialEq, Eq)]
struct Alert {
    bad: bool,
    sentence: String,
    way: Option<(String, String)>,
}

async fn overview(member: Member) -> Result<Response, Trouble> {
    let addresses = Own::Addresses { search: String::new(), after: None, limit: ADDRESSES };
    let (facts, logins, absence, addresses) = tokio::join!(
        member.own(Own::Facts),
        member.own(Own::Logins),
        member.own(Own::Absence),
        member.own(addresses),
    );
    let Visit::Facts(facts) = facts? else { return Err(Trouble::Unavailable) };
    let logins = match logins {
        Ok(Visit::Logins(logins)) => Some(logins),
        _ => None,
    };
    let absence = match absence {
        Ok(Visit::Absence(absence)) => Some(absence),
        _ => None,
    };
    let (sheets, more) = match addresses {
        Ok(Visit::Addresses { sheets, more }) => (Some(sheets), more),
        _ => (None, false),
    };
    let troubled = troubled(&member, sheets.as_deref().unwrap_or_default()).await;
    let (standard, addresses) = lines(&member.standing().address.to_string(), sheets);
    let site = member.house.site();
    let frame = Frame::of(&member, "overview-title");
    let mut alerts = alerts(member.words, member.standing(), &facts, &troubled);
    alerts.sort_by_key(|alert| !alert.bad);
    Ok(frame::page(&Overview {
        standard,
        sub_domain: member.standing().sub_domain.as_ref().map(ToString::to_string),
        addresses,
        more_addresses: more,
        mailbox: mailbox(&facts),
        sent: sent(member.words, &facts),
        windows: facts.windows.iter().map(open_window).collect(),
        pop_before_smtp: facts.allowances.pop_before_smtp,
        pop_window_minutes: site.pop_window_minutes,
        absence: absence.map(|absence| AbsenceLine {
            active: absence.active,
            sentence: super::absence::in_words(&absence, &frame),
        }),
        logins: logins.map(|logins| {
            logins.into_iter().take(LOGINS).map(|login| in_line(member.words, login)).collect()
        }),
        alerts,
        frame,
    }))
}

/// The destinations of these addresses that refuse or put off mail.
async fn troubled(member: &Member, sheets: &[AddressSheet]) -> Vec<(String, DestinationResults)> {
    let on = |sheet: &&AddressSheet| sheet.destinations.iter().any(|to| to.state == DestinationState::On);
    let forwarding = sheets.iter().filter(|sheet| sheet.active).filter(on);
    let asked = forwarding.filter_map(|sheet| Some((&sheet.address, sheet.address.parse().ok()?)));
    let answers = join_all(asked.map(|(text, address)| async move {
        match member.own(Own::Results(address)).await {
            Ok(Visit::Results(results)) => results.into_iter().map(|one| (text.clone(), one)).collect(),
            _ => Vec::new(),
        }
    }));
    let all = answers.await.into_iter().flatten();
    all.filter(|(_, results)| results.failed > 0 || results.waiting > 0).collect()
}

fn alerts(
    words: Words,
    standing: &Standing,
    facts: &AccountFacts,
    troubled: &[(String, DestinationResults)],
) -> Vec<Alert> {
    let mut alerts = Vec::new();
    if let Some(mailbox) = mailbox(facts)
        && mailbox.percent >= NEARLY_FULL
    {
        let full = facts.mailbox.as_ref().is_some_and(|usage| usage.full_since.is_some());
        let sentence = if full {
            words.say("overview-mailbox-full")
        } else {
            words.with("overview-mailbox-nearly-full", "percent", mailbox.percent)
        };
        alerts.push(Alert { bad: full, sentence: sentence.into_owned(), way: None });
    }
    for (address, results) in troubled {
        let key =
            if results.failed > 0 { "overview-destination-failed" } else { "overview-destination-waits" };
        let count = if results.failed > 0 { results.failed } else { results.waiting };
        let sentence = words.with2(key, ("destination", results.destination.to_string()), ("count", count));
        let way = (words.say("overview-look").into_owned(), address_path(address));
        alerts.push(Alert { bad: results.failed > 0, sentence: sentence.into_owned(), way: Some(way) });
    }
    if standing.operator && !standing.operates {
        let sentence = words.say("trouble-not-operating").into_owned();
        alerts.push(Alert { bad: false, sentence, way: None });
    }
    alerts
}

/// Where an address is edited.
fn address_path(address: &str) -> String {
    let address: String = form_urlencoded::byte_serialize(address.as_bytes()).collect();
    format!("/addresses/edit?address={address}")
}

/// The standard address, and the others if they are known.
fn lines(standard: &str, sheets: Option<Vec<AddressSheet>>) -> (AddressLine, Option<Vec<AddressLine>>) {
    let bare = || AddressLine {
        address: standard.to_owned(),
        path: address_path(standard),
        label: None,
        active: true,
        destinations: 0,
    };
    let Some(sheets) = sheets else { return (bare(), None) };
    let (own, others): (Vec<_>, Vec<_>) =
        sheets.into_iter().map(address_line).partition(|line| line.address == standard);
    (own.into_iter().next().unwrap_or_else(bare), Some(others))
}

fn address_line(sheet: AddressSheet) -> AddressLine {
    let on = sheet.destinations.iter().filter(|to| to.state == DestinationState::On).count();
    AddressLine {
        path: address_path(&sheet.address),
        address: sheet.address,
        label: sheet.label,
        active: sheet.active,
        destinations: on,
    }
}

fn mailbox(facts: &AccountFacts) -> Option<Meter> {
    let used = facts.mailbox.as_ref()?.octets;
    let most = match facts.allowances.quota_bytes {
        Limit::AtMost(most) => Some(most),
        Limit::Unlimited => None,
    };
    let percent = most.map_or(0, |most| u128::from(used) * 100 / u128::from(most.max(1)));
    let percent = u64::try_from(percent).unwrap_or(u64::MAX);
    Some(Meter { used: shown::octets(used), most: most.map(shown::octets), percent })
}

fn sent(words: Words, facts: &AccountFacts) -> Vec<Counted> {
    let (sent, may) = (&facts.sent, &facts.allowances);
    [
        ("overview-sent-hour", sent.messages_this_hour, may.messages_per_hour),
        ("overview-sent-day", sent.messages_this_day, may.messages_per_day),
        ("overview-sent-recipients", sent.recipients_this_day, may.recipients_per_day),
    ]
    .into_iter()
    .map(|(key, sent, limit)| Counted {
        name: words.say(key).into_owned(),
        sent,
        most: match limit {
            Limit::AtMost(most) => Some(most),
            Limit::Unlimited => None,
        },
    })
    .collect()
}

fn open_window(window: &Window) -> OpenWindow {
    OpenWindow { client: window.client.to_canonical().to_string(), expires: window.expires }
}

fn in_line(words: Words, login: LastLogin) -> Login {
    let service = match login.service.as_str() {
        service @ ("pop3" | "smtp" | "web") => words.say(&format!("service-{service}")).into_owned(),
        other => other.to_owned(),
    };
    let client = login.client.to_canonical().to_string();
    Login { at: login.at, service, client, app_password: login.app_password }
}

#[cfg(test)]
mod tests {
    use envelope::{Account, AccountState, Language, Overrides, Plan};
    use link::services::directory::visits::Absence;
    use link::services::local::Usage;

    use super::*;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame, standing};

    fn facts(used: u64, quota: Limit) -> AccountFacts {
        let name: envelope::AccountName = "abc".parse().unwrap();
        AccountFacts {
            account: Account {
                name,
                state: AccountState::Active,
                language: Language::Ja,
                operator: false,
                maildir: "/mail/abc".into(),
                created: 0,
            },
            plan: "default".parse().unwrap(),
            allowances: Plan { quota_bytes: quota, ..Plan::default() },
            own: Overrides::default(),
            sent: link::services::directory::Sent { messages_this_hour: 3, ..Default::default() },
            windows: vec![Window {
                client: "::ffff:192.0.2.1".parse().unwrap(),
                opened: 1_795_478_000,
                renewed: 1_795_478_000,
                expires: 1_795_479_800,
            }],
            app_passwords: 0,
            domains: Vec::new(),
            uids: Vec::new(),
            mailbox: Some(Usage { octets: used, full_since: (used >= 1000).then_some(1) }),
        }
    }

    fn results(failed: u32, waiting: u32) -> DestinationResults {
        DestinationResults {
            destination: "hanako@example.net".parse().unwrap(),
            delivered: 1,
            failed,
            waiting,
            last_delivered: None,
            last_trouble: None,
        }
    }

    fn page(language: Language, facts: &AccountFacts) -> Overview {
        let words = Words(language);
        let frame = frame(language, "overview-title", "/");
        let absence = Absence { active: true, subject: HOSTILE.into(), ..Absence::default() };
        let troubled = [(format!("\"{HOSTILE}\"@abc.pobox.example"), results(3, 0))];
        Overview {
            standard: lines("abc@pobox.example", None).0,
            sub_domain: Some("abc.pobox.example".into()),
            addresses: Some(vec![AddressLine {
                address: HOSTILE.into(),
                path: address_path(HOSTILE),
                label: Some(HOSTILE.into()),
                active: false,
                destinations: 2,
            }]),
            more_addresses: true,
            mailbox: mailbox(facts),
            sent: sent(words, facts),
            windows: facts.windows.iter().map(open_window).collect(),
            pop_before_smtp: true,
            pop_window_minutes: 30,
            absence: Some(AbsenceLine {
                active: true,
                sentence: crate::member::absence::in_words(&absence, &frame),
            }),
            logins: Some(vec![Login {
                at: 1_795_478_640,
                service: "POP3".into(),
                client: "192.0.2.1".into(),
                app_password: Some(HOSTILE.into()),
            }]),
            alerts: alerts(words, &standing(), facts, &troubled),
            frame,
        }
    }

    #[test]
    fn the_page_shows_all_and_runs_nothing_of_it() {
        for language in LANGUAGES {
            let html = checked(&page(language, &facts(950, Limit::AtMost(1000))));
            for told in ["abc@pobox.example", "192.0.2.1", "hanako@example.net", "95", "/sheet", "alert(1)"] {
                assert!(html.contains(told), "{told} in {html}");
            }
            let bare = Overview {
                addresses: None,
                logins: None,
                absence: None,
                mailbox: None,
                ..page(language, &facts(1, Limit::Unlimited))
            };
            checked(&bare);
        }
    }

    #[test]
    fn the_standard_address_stands_apart() {
        let sheet = |address: &str, active| AddressSheet {
            address: address.into(),
            file: ".qmail".into(),
            version: link::services::directory::visits::Version(1),
            exists: true,
            active,
            label: None,
            keep: true,
            destinations: Vec::new(),
            other_lines: Vec::new(),
            text: String::new(),
            updated: 0,
            forward_limit: 10,
        };
        let sheets = vec![sheet("abc@pobox.example", false), sheet("a@abc.pobox.example", true)];
        let (standard, others) = lines("abc@pobox.example", Some(sheets));
        assert!(!standard.active);
        assert_eq!(others.map(|others| others.len()), Some(1));
        assert!(lines("abc@pobox.example", Some(Vec::new())).0.active);
    }

    #[test]
    fn what_needs_care_is_told_and_nothing_else() {
        let words = Words(Language::En);
        let told = |used, quota, results: Option<DestinationResults>| {
            let troubled: Vec<_> =
                results.map(|one| ("a@abc.pobox.example".into(), one)).into_iter().collect();
            let alerts = alerts(words, &standing(), &facts(used, quota), &troubled);
            alerts.into_iter().map(|alert| (alert.bad, alert.way.map(|(_, path)| path))).collect::<Vec<_>>()
        };
        let path = Some("/addresses/edit?address=a%40abc.pobox.example".to_owned());
        assert_eq!(told(899, Limit::AtMost(1000), None), []);
        assert_eq!(told(900, Limit::AtMost(1000), None), [(false, None)]);
        assert_eq!(told(1000, Limit::AtMost(1000), None), [(true, None)]);
        assert_eq!(told(u64::MAX, Limit::Unlimited, None), []);
        assert_eq!(told(0, Limit::AtMost(1), Some(results(1, 9))), [(true, path.clone())]);
        assert_eq!(told(0, Limit::AtMost(1), Some(results(0, 9))), [(false, path)]);
    }
}
