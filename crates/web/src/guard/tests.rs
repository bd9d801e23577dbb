//! Who comes, as strangers and attackers come.

use axum::http::Request;
use link::services::directory::visits::{Denied, Own, Visit};
use link::services::directory::{Request as Asked, Response as Answered};
use proptest::prelude::*;

use super::*;
use crate::example;

const SENTENCES: [(&str, &str); 7] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
    ("strict-transport-security", "max-age=31536000"),
];

fn request(method: &str, path: &str, lines: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    request("GET", "/", lines, "").headers().clone()
}

/// A directory that knows one key, and denies everything else.
fn known(request: Asked) -> Answered {
    let Asked::Visit { key: Key::Session(token) | Key::Api(token), ask, .. } = request else {
        return example::visit(Visit::Denied(Denied::LinkInvalid));
    };
    example::visit(match ask {
        _ if token != example::key() => Visit::Denied(Denied::SignIn),
        Ask::Standing => Visit::Standing(Box::new(example::standing())),
        Ask::SignOut | Ask::Own(Own::SetLanguage(_)) => Visit::Done,
        _ => Visit::Denied(Denied::Forbidden),
    })
}

fn house() -> Arc<House> {
    example::served(known, |_| panic!("the queue is not asked"))
}

#[tokio::test]
async fn every_answer_tells_browsers_what_they_may() {
    let house = house();
    for (method, path) in [
        ("GET", "/sign-in"),
        ("GET", "/"),
        ("GET", "/nowhere"),
        ("POST", "/sign-in"),
        ("DELETE", "/sign-in"),
        ("GET", "/assets/none.css"),
        ("GET", "/api/v1/account"),
        ("GET", "/api/v1/nowhere"),
        ("OPTIONS", "/api/v1/account"),
    ] {
        let answer = example::ask(&house, request(method, path, &[], "")).await;
        let csp = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(csp.starts_with("default-src 'none'; ") && !csp.contains("unsafe"), "{csp}");
        for (name, value) in SENTENCES {
            assert_eq!(answer.headers()[name], value, "{method} {path}: {name}");
        }
        assert_eq!(answer.headers().get("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_as_a_page_or_in_json() {
    let house = house();
    let answer = example::ask(&house, request("GET", "/nowhere", &[], "")).await;
    assert_eq!(answer.status(), 404);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let answer = example::ask(&house, request("DELETE", "/sign-in", &[("accept-language", "en")], "")).await;
    assert_eq!(answer.status(), 405);
    assert!(answer.body().contains("not for this kind of request"), "{}", answer.body());
    for (method, path, status, name) in [
        ("GET", "/api/v1/nowhere", 404, "not-found"),
        ("PUT", "/api/v1/account", 405, "other-method"),
        ("GET", "/api/v1/account", 401, "sign-in"),
    ] {
        let answer = example::ask(&house, request(method, path, &[], "")).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(problem["name"], name);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("https://mail.pobox.example/api#{name}"));
        assert_eq!(answer.headers().get("set-cookie"), None, "a program gets no cookie");
        if status == 405 {
            assert_eq!(answer.headers()["allow"], "GET,HEAD");
        }
    }
}

#[tokio::test]
async fn a_token_opens_the_api_and_a_cookie_does_not() {
    let house = house();
    let key = example::key().reveal();
    let (cookie, bearer) = (format!("{SESSION}={key}"), format!("Bearer {key}"));
    let get = |lines: &[(&str, &str)]| request("GET", "/api/v1/account", lines, "");
    let wrong = format!("Bearer {}", Token::new([8; 32]).reveal());
    for (lines, status, challenge) in [
        (&[("cookie", &*cookie)][..], 401, "Bearer"),
        (&[("authorization", &*key)], 401, "Bearer"),
        (&[("authorization", &*wrong)], 401, "Bearer error=\"invalid_token\""),
        // The guard lets it in; this directory then says no.
        (&[("authorization", &*bearer)], 403, "Bearer error=\"insufficient_scope\""),
    ] {
        let answer = example::ask(&house, get(lines)).await;
        assert_eq!(answer.status(), status, "{lines:?}");
        assert_eq!(answer.headers()["www-authenticate"], challenge);
    }
    // And no token opens a page.
    let answer = example::ask(&house, request("GET", "/", &[("authorization", &bearer)], "")).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (303, &HeaderValue::from_static("/sign-in?then=%2F"))
    );
}

#[tokio::test]
async fn a_program_is_told_what_it_sends_and_takes_wrongly() {
    let house = house();
    let bearer = format!("Bearer {}", example::key().reveal());
    let (key, json) = (("authorization", &*bearer), ("content-type", "application/json"));
    let long = " ".repeat(BODY_MAX + 1);
    let just = format!("{{\"language\": \"en\"{}}}", " ".repeat(BODY_MAX - 18));
    for (lines, body, status) in [
        (&[key, json][..], "{\"language\": \"en\"}", 204),
        (&[key, ("content-type", "Application/JSON; charset=utf-8")], "{\"language\": \"en\"}", 204),
        (&[key, json], &just, 204),
        (&[key, json], &long, 413),
        (&[key, json], "{\"language\": \"fr\"}", 400),
        (&[key, json], "{\"language\": \"en\", \"more\": 1}", 400),
        (&[key, json], "", 400),
        (&[key], "{\"language\": \"en\"}", 415),
        (&[key, ("content-type", "text/plain")], "{\"language\": \"en\"}", 415),
        (&[key, json, ("accept", "text/html")], "{\"language\": \"en\"}", 406),
        // Whatever is wrong with it, strangers hear only that they are.
        (&[json], &long, 401),
    ] {
        let answer = example::ask(&house, request("PUT", "/api/v1/language", lines, body)).await;
        assert_eq!(answer.status(), status, "{lines:?} {:.40}: {}", body, answer.body());
    }
}

#[tokio::test]
async fn a_form_goes_only_from_our_own_page_of_the_same_browser() {
    let house = house();
    let key = example::key();
    let cookie = format!("{SESSION}={}", key.reveal());
    let csrf = |token: &Token| {
        base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, token.derived("csrf"))
    };
    let (ours, anothers) = (format!("csrf={}", csrf(&key)), format!("csrf={}", csrf(&Token::new([9; 32]))));
    let session = ("cookie", &*cookie);
    for (lines, body, status) in [
        (&[session][..], &*ours, 303),
        (&[session, ("sec-fetch-site", "same-origin")], &ours, 303),
        (&[session, ("origin", "https://mail.pobox.example"), ("host", "mail.pobox.example")], &ours, 303),
        (&[session], "", 403),
        (&[session], "csrf=", 403),
        (&[session], &anothers, 403),
        (&[session, ("sec-fetch-site", "cross-site")], &ours, 403),
        (&[session, ("sec-fetch-site", "same-site")], &ours, 403),
        (&[session, ("origin", "https://evil.example"), ("host", "mail.pobox.example")], &ours, 403),
        (&[session, ("origin", "null"), ("host", "mail.pobox.example")], &ours, 403),
        (&[session, ("content-type", "application/json")], "{\"csrf\": 1}", 403),
    ] {
        let answer = example::ask(&house, request("POST", "/sign-out", lines, body)).await;
        assert_eq!(answer.status(), status, "{lines:?} {body}");
    }
}

#[tokio::test]
async fn a_cookie_that_an_attacker_has_set_is_never_taken_up_as_a_session() {
    let house = house();
    let planted = Token::new([5; 32]);
    let cookie = format!("{SESSION}={}; {GUEST}={}", planted.reveal(), planted.reveal());
    let answer = example::ask(&house, request("GET", "/", &[("cookie", &cookie)], "")).await;
    assert_eq!(answer.status(), 303, "an unknown session is none");
    for value in answer.headers().get_all("set-cookie") {
        assert!(!value.to_str().unwrap().contains(&planted.reveal()), "{value:?}");
    }
    // A new guest gets a cookie that scripts and other sites cannot have.
    let answer = example::ask(&house, request("GET", "/sign-in", &[], "")).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-guest=") && cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let house = house();
    let bearer = format!("Bearer {}", example::key().reveal());
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let slow = Request::put("/api/v1/language").header("authorization", bearer).body(never).unwrap();
    let answer = example::ask(&house, slow).await;
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.headers()["connection"], "close");
}

#[tokio::test]
async fn without_tls_strangers_are_sent_to_where_there_is_some() {
    let house = house();
    for (peer, proto, status) in [
        ([192, 0, 2, 9], None, 200),
        ([192, 0, 2, 9], Some("https"), 200),
        ([127, 0, 0, 1], None, 200),
        ([198, 51, 100, 7], None, 308),
        // He is no proxy of ours, whatever he says.
        ([198, 51, 100, 7], Some("https"), 308),
    ] {
        let mut request = request("GET", "/sign-in?a=b", &[], "");
        if let Some(proto) = proto {
            request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static(proto));
        }
        request.extensions_mut().insert(Connection { peer: peer.into(), encrypted: false });
        let answer = tower::ServiceExt::oneshot(crate::app(&house), request).await.unwrap();
        assert_eq!(answer.status(), status, "{peer:?} {proto:?}");
        if status == 308 {
            assert_eq!(answer.headers()["location"], "https://mail.pobox.example/sign-in?a=b");
        }
        let by_tls = answer.headers().contains_key("strict-transport-security");
        assert_eq!(by_tls, status == 200 && proto.is_some());
    }
    let mut request = request("GET", "//evil.example/", &[], "");
    request.extensions_mut().insert(Connection { peer: [198, 51, 100, 7].into(), encrypted: false });
    let answer = tower::ServiceExt::oneshot(crate::app(&house), request).await.unwrap();
    assert!(answer.headers()["location"].to_str().unwrap().starts_with("https://mail.pobox.example/"));
}

#[test]
fn a_client_is_who_the_nearest_believed_proxy_says() {
    let trusted = ["192.0.2.0/24".parse().unwrap()];
    let said = |peer: [u8; 4], lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        client(&trusted, peer.into(), &headers(&lines)).to_string()
    };
    // A stranger says what he likes.
    assert_eq!(said([198, 51, 100, 7], &["203.0.113.1"]), "198.51.100.7");
    assert_eq!(said([192, 0, 2, 1], &["203.0.113.1"]), "203.0.113.1");
    // What stands before the last that is not a proxy, he may have made up.
    assert_eq!(said([192, 0, 2, 1], &["10.0.0.1, 203.0.113.1, 192.0.2.8"]), "203.0.113.1");
    assert_eq!(said([192, 0, 2, 1], &["10.0.0.1", "203.0.113.1"]), "203.0.113.1");
    assert_eq!(said([192, 0, 2, 1], &["203.0.113.1, nonsense"]), "192.0.2.1");
    assert_eq!(said([192, 0, 2, 1], &[]), "192.0.2.1");
    assert_eq!(said([192, 0, 2, 1], &["::ffff:203.0.113.1"]), "203.0.113.1");
}

#[test]
fn cookies_are_found_by_their_whole_names() {
    let found = |lines: &[&str], name| {
        let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
        cookie(&headers(&lines), name).map(str::to_owned)
    };
    assert_eq!(found(&["a=1; b=2;c=3"], "b").as_deref(), Some("2"));
    assert_eq!(found(&["a=1", "b=2=2"], "b").as_deref(), Some("2=2"));
    assert_eq!(found(&["x-b=1; bb=2; b ; =3"], "b"), None);
}

fn text_of_any_kind() -> impl Strategy<Value = Vec<u8>> {
    // What a header can carry at all (RFC 9110 §5.5).
    prop::collection::vec(prop_oneof![Just(b'\t'), 0x20_u8..0x7f, 0x80_u8..=0xff], 0..80)
}

proptest! {
    #[test]
    fn any_header_is_understood_or_passed_over(value in text_of_any_kind(), address: [u8; 4]) {
        let value = HeaderValue::from_bytes(&value).unwrap();
        let names = ["cookie", "authorization", "x-forwarded-for", "origin", "sec-fetch-site", "accept-language"];
        let mut headers = HeaderMap::new();
        for name in names {
            headers.insert(name, value.clone());
        }
        headers.insert("host", HeaderValue::from_static("mail.pobox.example"));
        let _ = (cookie(&headers, SESSION), bearer(&headers));
        let _ = words::accepted(text(&headers, header::ACCEPT_LANGUAGE));
        // An origin that is not wholly ours is another's.
        if value != "https://mail.pobox.example" && value != "same-origin" {
            prop_assert!(is_from_elsewhere(&headers) || value == "none");
        }
        prop_assert_eq!(client(&[], address.into(), &headers), IpAddr::from(address));
    }

    #[test]
    fn a_cookie_is_found_among_any_others(before in "[!-:<-~]{0,20}(; [a-z]{1,5}=[!-:<-~]{0,20}){0,3}", value in "[A-Za-z0-9_-]{43}") {
        prop_assume!(!before.contains(SESSION));
        let line = format!("{before}; {SESSION}={value}");
        let headers = headers(&[("cookie", &line)]);
        prop_assert_eq!(cookie(&headers, SESSION), Some(&value[..]));
    }
}
