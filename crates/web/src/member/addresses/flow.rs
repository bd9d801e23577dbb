//! For tests: a member at his browser, and a directory that says what the test says.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use link::grant::{GrantKey, RelayGrant};
use link::services::directory;
use link::services::directory::visits::{
    Ask, Consent, Denied, DestinationState, Entry, Own, Token, Version, Visit,
};
use link::services::queue;

use super::tests::sheet;
use crate::House;
use crate::example::{ask, key, served, standing, visit};

const FOO: &str = "foo@abc.pobox.example";

/// What the directory and the queue were asked besides who it is.
type Asked = Arc<Mutex<Vec<String>>>;

fn house(answer: impl Fn(&Own) -> Visit + Send + 'static, queue_takes_it: bool) -> (Arc<House>, Asked) {
    let asked: Asked = Arc::default();
    let (heard, heard_too) = (Arc::clone(&asked), Arc::clone(&asked));
    let directory = move |request| match request {
        directory::Request::Visit { ask: Ask::Standing, .. } => visit(Visit::Standing(Box::new(standing()))),
        directory::Request::Visit { ask: Ask::Own(own), .. } => {
            heard.lock().unwrap().push(format!("{own:?}"));
            visit(answer(&own))
        }
        directory::Request::Enter(entry, _) => {
            heard.lock().unwrap().push(format!("{entry:?}"));
            visit(match entry {
                Entry::LookAtDestination(token) if token == key() => Visit::Destination {
                    destination: "u@peer.example".parse().unwrap(),
                    address: FOO.into(),
                    language: envelope::Language::Ja,
                },
                Entry::Destination { link, .. } if link == key() => Visit::Done,
                _ => Visit::Denied(Denied::LinkInvalid),
            })
        }
        _ => visit(Visit::Denied(Denied::Forbidden)),
    };
    let queue = move |request| {
        heard_too.lock().unwrap().push(format!("{request:?}"));
        match queue_takes_it {
            true => queue::Response::Accepted(envelope::QueueId::from_u64(7)),
            false => queue::Response::NotAccepted(queue::NotAccepted::TryLater),
        }
    };
    (served(directory, queue), asked)
}

async fn get(house: &Arc<House>, path: &str) -> Response<String> {
    let cookie = format!("__Host-session={}", key().reveal());
    let request = Request::get(path).header("cookie", cookie).body(Body::empty()).unwrap();
    ask(house, request).await
}

async fn post(house: &Arc<House>, path: &str, fields: &[(&str, &str)]) -> Response<String> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields).append_pair("csrf", &BASE64_URL_SAFE_NO_PAD.encode(key().derived("csrf")));
    let request = Request::post(path)
        .header("cookie", format!("__Host-session={}", key().reveal()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body.finish()))
        .unwrap();
    ask(house, request).await
}

fn location(response: &Response<String>) -> &str {
    response.headers()["location"].to_str().unwrap()
}

/// What is stored of the address, whoever asks; and what is answered to who saves it.
fn answers(saved: impl Fn() -> Visit + Send + 'static) -> impl Fn(&Own) -> Visit + Send + 'static {
    move |own| match own {
        Own::Address(_) => {
            Visit::Address(Box::new(sheet(FOO, &[("u@peer.example", DestinationState::Asked)])))
        }
        Own::Results(_) => Visit::Results(Vec::new()),
        _ => saved(),
    }
}

/// It is saved, and somebody is to be asked.
fn saved() -> Visit {
    let consent = Consent { destination: "u@peer.example".parse().unwrap(), link: Token::new([9; 32]) };
    let entitlement = envelope::Entitlement::Authentication;
    let sender = envelope::Sender { account: "abc".parse().unwrap(), entitlement };
    Visit::AddressSaved {
        sheet: Box::new(sheet(FOO, &[])),
        consents: vec![consent],
        grant: Some(RelayGrant::issue(&GrantKey::new([1; 32]), sender, 0)),
    }
}

const TYPED: [(&str, &str); 8] = [
    ("address", FOO),
    ("version", "3"),
    ("rows", "3"),
    ("destination-0", "u@peer.example"),
    ("on-0", "on"),
    ("destination-1", "|/bin/sh"),
    ("keep", "on"),
    ("do", "save"),
];

#[tokio::test]
async fn what_is_typed_is_saved_and_owners_are_asked_by_a_link() {
    for (queue_takes_it, done) in [(true, "asked"), (false, "not-asked")] {
        let (house, asked) = house(answers(saved), queue_takes_it);
        let response = post(&house, "/addresses/edit", &TYPED).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let edit = "/addresses/edit?address=foo%40abc.pobox.example";
        assert_eq!(location(&response), format!("{edit}&done={done}"));
        let asked = asked.lock().unwrap().join("\n");
        assert!(asked.contains("version: Version(3), keep: true"), "{asked}");
        assert!(
            asked.contains(r#"destinations: [("u@peer.example", true), ("|/bin/sh", false)]"#),
            "{asked}"
        );
        let link = format!("https://mail.pobox.example/consent?link={}", Token::new([9; 32]).reveal());
        assert!(asked.contains(&link), "{asked}");
    }
}

#[tokio::test]
async fn a_form_that_is_refused_comes_back_with_what_was_typed() {
    let refused = || Visit::Denied(Denied::NotADestination("|/bin/sh".into()));
    let (house, _) = house(answers(refused), true);
    let response = post(&house, "/addresses/edit", &TYPED).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let html = response.body();
    assert!(html.contains("name=\"destination-1\" value=\"|/bin/sh\""), "{html}");
    assert!(html.contains("id=\"destination-1-error\""), "{html}");
    assert!(html.contains("href=\"#destination-1\""), "{html}");
}

#[tokio::test]
async fn who_saves_too_late_sees_both_and_may_save_knowingly() {
    let changed = || {
        let mut now = sheet(FOO, &[("theirs@x.example", DestinationState::On)]);
        now.version = Version(4);
        Visit::Denied(Denied::Changed(Box::new(now)))
    };
    let (house, _) = house(answers(changed), true);
    let response = post(&house, "/addresses/edit", &TYPED).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    let html = response.body();
    assert!(html.contains("<li>theirs@x.example</li>"), "{html}");
    assert!(html.contains("value=\"u@peer.example\""), "{html}");
    assert!(html.contains("name=\"version\" value=\"4\""), "{html}");
}

#[tokio::test]
async fn more_fields_keep_what_was_typed_and_save_nothing() {
    let (house, asked) = house(answers(|| panic!("nothing is saved")), true);
    let mut typed = TYPED;
    typed[7] = ("do", "more");
    let response = post(&house, "/addresses/edit", &typed).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.body().contains("name=\"destination-5\""));
    assert!(response.body().contains("value=\"|/bin/sh\""));
    assert!(!asked.lock().unwrap().iter().any(|asked| asked.contains("SaveAddress")));
}

#[tokio::test]
async fn an_owner_can_be_asked_again_though_not_at_once() {
    let fields = [("address", FOO), ("destination", "u@peer.example")];
    let (asking, _) = house(answers(saved), true);
    let response = post(&asking, "/addresses/ask", &fields).await;
    assert!(location(&response).ends_with("&done=asked"));
    let (asked_enough, _) = house(answers(|| Visit::Denied(Denied::TooMany { limit: 1 })), true);
    let response = post(&asked_enough, "/addresses/ask", &fields).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(response.body().contains("asked within the last hour"), "{}", response.body());
}

#[tokio::test]
async fn an_address_is_switched_and_deleted_as_it_was_seen() {
    let (house, asked) = house(answers(|| Visit::Done), true);
    let response = post(&house, "/addresses/switch", &[("off", &format!("17 {FOO}"))]).await;
    assert_eq!(location(&response), "/addresses?done=address-off");
    let page = get(&house, "/addresses/delete?address=foo%40abc.pobox.example").await;
    assert!(page.body().contains("name=\"version\" value=\"18446744073709551615\""));
    let response = post(&house, "/addresses/delete", &[("address", FOO), ("version", "17")]).await;
    assert_eq!(location(&response), "/addresses?done=address-removed");
    let asked = asked.lock().unwrap().join("\n");
    assert!(asked.contains("version: Version(17), active: false"), "{asked}");
    assert!(asked.contains("RemoveAddress"), "{asked}");
}

#[tokio::test]
async fn a_list_that_cannot_be_switched_says_why() {
    let answer = |own: &Own| match own {
        Own::Addresses { .. } => Visit::Addresses { sheets: vec![sheet(FOO, &[])], more: false },
        _ => Visit::Denied(Denied::Changed(Box::new(sheet(FOO, &[])))),
    };
    let (house, _) = house(answer, true);
    let response = post(&house, "/addresses/switch", &[("on", &format!("17 {FOO}"))]).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert!(response.body().contains("role=\"alert\""));
    let nonsense = post(&house, "/addresses/switch", &[("on", "x")]).await;
    assert_eq!(nonsense.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_text_is_a_file_of_qmails_name() {
    let answer = |_: &Own| {
        let mut sheet = sheet(FOO, &[]);
        (sheet.file, sheet.text) = (".qmail-a\"\r\nb".into(), "<script>\n".into());
        Visit::Address(Box::new(sheet))
    };
    let (house, _) = house(answer, true);
    let response = get(&house, "/addresses/text?address=foo%40abc.pobox.example").await;
    assert_eq!(response.body(), "<script>\n");
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    let disposition = "attachment; filename*=UTF-8''.qmail-a%22%0D%0Ab";
    assert_eq!(response.headers()["content-disposition"], disposition);
}

#[tokio::test]
async fn the_owner_of_a_destination_answers_by_his_link_without_an_account() {
    let (house, asked) = house(|_| Visit::Denied(Denied::Forbidden), true);
    let path = format!("/consent?link={}", key().reveal());
    let page = ask(&house, Request::get(&path).body(Body::empty()).unwrap()).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.body().contains("u@peer.example への転送を受け取りますか？"), "{}", page.body());
    for (wanted, thanks) in [("yes", "/consent/thanks?answer=yes"), ("no", "/consent/thanks?answer=no")] {
        let fields = [("link", key().reveal()), ("wanted", wanted.into())];
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(location(&post(&house, "/consent", &fields).await), thanks);
        assert_eq!(get(&house, thanks).await.status(), StatusCode::OK);
    }
    for path in ["/consent", "/consent?link=x", &format!("/consent?link={}", Token::new([3; 32]).reveal())] {
        let response = get(&house, path).await;
        assert_eq!(response.status(), StatusCode::GONE);
        assert!(response.body().contains("This link does not work any more"), "{}", response.body());
    }
    let asked = asked.lock().unwrap().join("\n");
    assert!(asked.contains("wanted: true") && asked.contains("wanted: false"), "{asked}");
}
