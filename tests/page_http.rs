//! The page's HTTP, as attackers and broken clients speak it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::TokenScope;
use link::services::directory::visits::Token;

use crate::house::House;
use crate::http::{Answer, answers, ask, connect, raw};
use crate::keys::Keys;

/// A form's proof for who has this cookie.
fn csrf(token: &Token) -> String {
    URL_SAFE_NO_PAD.encode(token.derived("csrf"))
}

fn cookie(token: &Token) -> String {
    format!("Cookie: __Host-session={}", token.reveal())
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[test]
fn a_request_that_could_be_read_in_two_ways_is_read_in_none() {
    let house = House::new();
    let port = house.http();
    let smuggled = "GET /assets/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = "POST /sign-in HTTP/1.1\r\nHost: x\r\n";
    for shape in [
        // Two lengths, or a length that is none.
        format!("{head}Content-Length: 0\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("{head}Content-Length: +0\r\n\r\n{smuggled}"),
        format!("{head}Content-Length: 0x1\r\n\r\n{smuggled}"),
        format!("{head}Content-Length: -1\r\n\r\n{smuggled}"),
        format!("{head}Content-Length: 0, 5\r\n\r\n{smuggled}"),
        // An encoding that is not understood, in any writing.
        format!("{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
        // Names and lines that some would mend.
        format!("{head}Content-Length : 5\r\n\r\n{smuggled}"),
        format!("{head} Content-Length: 5\r\n\r\n{smuggled}"),
        format!("{head}X: a\r\n folded\r\n\r\n{smuggled}"),
        format!("{head}X: a\rContent-Length: 5\r\n\r\n{smuggled}"),
        format!("{head}X: a\0b\r\n\r\n{smuggled}"),
        format!("GET / HTTP/1.1 x\r\nHost: x\r\n\r\n{smuggled}"),
        format!("GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n{smuggled}"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{smuggled}"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n-1\r\n{smuggled}"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{smuggled}"),
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned(),
    ] {
        let answers = raw(port, shape.as_bytes());
        assert!(answers.len() <= 1, "{shape:?}: {answers:?}");
        assert!(answers.iter().all(|answer| answer.status == 400), "{shape:?}: {:?}", statuses(&answers));
    }
    // Of a length and chunks, the chunks count (RFC 9112 §6.3), and what follows is not served on this connection as if
    // the length had counted.
    let both = format!(
        "{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let answers = raw(port, both.as_bytes());
    assert!(answers.len() == 1 && matches!(answers[0].status, 400 | 403), "{answers:?}");
    assert_eq!(house.roles().len(), crate::house::ROLES.len(), "nobody died of it");
}

#[test]
fn requests_that_come_all_at_once_are_answered_in_their_order() {
    let house = House::new();
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut all: String =
        (0..50).map(|number| one(if number % 2 == 0 { "/sign-in" } else { "/nowhere" })).collect();
    all += "HEAD /sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = raw(house.http(), all.as_bytes());
    let expected: Vec<u16> = (0..51).map(|number| if number % 2 == 0 { 200 } else { 404 }).collect();
    assert_eq!(statuses(&answers), expected);
    let last = &answers[50];
    assert!(last.body.is_empty() && last.field("content-length").parse::<usize>().unwrap() > 100, "{last:?}");
}

#[test]
fn what_is_too_much_is_refused_and_costs_little() {
    let house = House::new();
    let port = house.http();
    let get = |lines: &str| {
        raw(port, format!("GET /sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n").as_bytes())
    };
    assert_eq!(statuses(&get("")), [200]);
    let wide = format!("X-Wide: {}\r\n", "a".repeat(200_000));
    let many: String = (0..1000).map(|number| format!("X-{number}: a\r\n")).collect();
    for lines in [wide, many] {
        let answers = get(&lines);
        assert!(answers.iter().all(|answer| matches!(answer.status, 400 | 431)), "{:?}", statuses(&answers));
    }
    let long = ask(port, "GET", &format!("/{}", "a".repeat(70_000)), &[], "");
    assert!(matches!(long.status, 400 | 414 | 431), "{}", long.status);
    // A form of 1 MB, whether its length is said or not; the rest of it is not waited for.
    let form = format!("name={}", "a".repeat(1 << 20));
    assert_eq!(ask(port, "POST", "/sign-in", &[], &form).status, 413);
    let mut chunked = connect(port);
    let head = "POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    chunked.write_all(head.as_bytes()).unwrap();
    for _ in 0..40 {
        if chunked.write_all(format!("2710\r\n{}\r\n", "a".repeat(10_000)).as_bytes()).is_err() {
            break;
        }
    }
    assert_eq!(statuses(&answers(&mut chunked)), [413]);
}

#[test]
fn who_sends_his_request_by_drops_is_not_waited_for() {
    let house = House::new();
    let began = Instant::now();
    let mut slow = connect(house.http());
    slow.write_all(b"GET /sign-in HTTP/1.1\r\nHost: x\r\n").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut octet = [0];
    let ended = loop {
        match slow.read(&mut octet) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                if began.elapsed() > Duration::from_secs(50) {
                    break false;
                }
                let _ = slow.write_all(b"X: a\r\n");
            }
            Err(_) => break true,
        }
    };
    assert!(ended, "after {:?} he is still waited for", began.elapsed());
    // Others were served all the while.
    assert_eq!(ask(house.http(), "GET", "/sign-in", &[], "").status, 200);
}

#[test]
fn methods_that_no_page_has_do_nothing() {
    let house = House::new();
    let session = Keys::of(&house).session("xyz");
    for method in ["OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "PROPFIND", "get"] {
        for path in ["/sign-in", "/sign-out", "/api/v1/account"] {
            let answer = ask(house.http(), method, path, &[&cookie(&session)], "");
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(!answer.field("allow").is_empty() && !answer.body.contains(&session.reveal()));
        }
    }
    let connect = raw(
        house.http(),
        b"CONNECT evil.example:25 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    );
    assert!(connect.iter().all(|answer| answer.status >= 400), "{connect:?}");
    assert_eq!(ask(house.http(), "GET", "/", &[&cookie(&session)], "").status, 200, "he is still in");
}

#[test]
fn a_foreign_name_of_the_host_leads_nowhere() {
    let house = House::new();
    for request in [
        "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nConnection: close\r\n\r\n",
        "GET /api HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "GET /sign-in HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    ] {
        let answers = raw(house.http(), request.as_bytes());
        assert_eq!(answers.len(), 1, "{request}");
        let told = format!("{:?}", answers[0]);
        assert!(matches!(answers[0].status, 200 | 303 | 400) && !told.contains("evil"), "{request}: {told}");
    }
}

#[test]
fn whoever_says_he_is_a_proxy_is_still_himself() {
    let house = House::new();
    let session = Keys::of(&house).session("xyz");
    let forged = [
        &*cookie(&session),
        "X-Forwarded-For: 203.0.113.77",
        "X-Forwarded-Proto: https",
        "Forwarded: for=203.0.113.77",
    ];
    let answer = ask(house.http(), "GET", "/", &forged, "");
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("203.0.113.77"));
    assert_eq!(answer.field("strict-transport-security"), "", "this was no TLS");
    // Failures count for his own address, whatever he says: after some, his own is refused.
    let guest = Token::new([9; 32]);
    let form = format!("csrf={}&name=xyz&password=wrong", csrf(&guest));
    let guess = |number: usize| {
        let forged = format!("X-Forwarded-For: 203.0.113.{number}");
        ask(
            house.http(),
            "POST",
            "/sign-in",
            &[&format!("Cookie: __Host-guest={}", guest.reveal()), &forged],
            &form,
        )
        .status
    };
    assert!((0..8).map(guess).any(|status| status == 429), "each guess counted for another address");
}

#[test]
fn what_cannot_be_typed_is_stored_nowhere() {
    let house = House::new();
    let keys = Keys::of(&house);
    let session = keys.session("xyz");
    let token = format!("Authorization: Bearer {}", keys.token("xyz", TokenScope::Write, 3600).reveal());
    let json = |body: &str| {
        let path = "/api/v1/addresses/shop@xyz.pobox.example";
        ask(house.http(), "PUT", path, &[&token, "Content-Type: application/json", "If-None-Match: *"], body)
    };
    let before = house.rule("address list --all --json");
    for hostile in [
        "|rm -rf /",
        "&u@peer.example",
        "/etc/passwd",
        "./Maildir/",
        "u@peer.example\\r\\nBcc: v@peer.example",
        "u@peer.example\\n|id",
        "u@peer.example\\u0000",
        "<script>alert(1)</script>@peer.example\\u007f",
        "'; DROP TABLE accounts; --",
        "a@@b",
        "",
    ] {
        let answer =
            json(&format!("{{\"keep\": false, \"destinations\": [{{\"address\": \"{hostile}\"}}]}}"));
        assert_eq!(answer.status, 422, "{hostile}: {}", answer.body);
        let fields =
            [("destination", hostile.replace("\\r", "%0D").replace("\\n", "%0A").replace("\\u0000", "%00"))];
        let form: String =
            fields.iter().map(|(name, value)| format!("&{name}={}", value.replace('&', "%26"))).collect();
        let form = format!("csrf={}&address=shop%40xyz.pobox.example&version=0{form}", csrf(&session));
        let answer = ask(house.http(), "POST", "/addresses/edit", &[&cookie(&session)], &form);
        assert!(answer.status >= 400, "{hostile}: {}", answer.status);
        assert!(!answer.body.contains("<script>alert"));
    }
    for label in ["a\\u0000b", "a\\nb", &"a".repeat(1000)] {
        let answer = json(&format!("{{\"keep\": true, \"destinations\": [], \"label\": \"{label}\"}}"));
        assert_eq!(answer.status, 422, "{label}: {}", answer.body);
    }
    // A form that is not UTF-8.
    let form = format!("csrf={}&address=%ff%fe", csrf(&session));
    assert_eq!(ask(house.http(), "POST", "/addresses/edit", &[&cookie(&session)], &form).status, 400);
    assert_eq!(house.rule("address list --all --json"), before);
}

#[test]
fn nobody_is_led_from_our_page_to_anothers() {
    let house = House::new();
    let guest = Token::new([9; 32]);
    for then in [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/%09/evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "/x\r\nSet-Cookie: a=b",
        "evil.example",
        "///evil.example",
        "/\u{3000}/evil.example",
    ] {
        let encoded: String = then.bytes().map(|octet| format!("%{octet:02X}")).collect();
        let form = format!("csrf={}&name=xyz&password=xyz-try&then={encoded}", csrf(&guest));
        let answer = ask(
            house.http(),
            "POST",
            "/sign-in",
            &[&format!("Cookie: __Host-guest={}", guest.reveal())],
            &form,
        );
        let to = answer.field("location");
        assert_eq!(answer.status, 303, "{then:?}");
        assert!(to == "/" || (to.starts_with("/%") && !to.starts_with("//")), "{then:?} leads to {to}");
        assert!(
            answer.header.iter().all(|(name, value)| name != "set-cookie" || value.starts_with("__Host-")),
            "{then:?}"
        );
        let page = ask(house.http(), "GET", &format!("/sign-in?then={encoded}"), &[], "");
        assert!(!page.body.contains("evil.example") || page.body.contains("value=\"/%"), "{then:?}");
    }
}

#[test]
fn signing_in_begins_a_session_that_nobody_knew_before() {
    let house = House::new();
    let (guest, planted) = (Token::new([9; 32]), Token::new([8; 32]));
    let begun = |session: &str, bound_to: &Token| {
        let cookies = format!("Cookie: __Host-guest={}; __Host-session={session}", guest.reveal());
        let form = format!("csrf={}&name=xyz&password=xyz-try", csrf(bound_to));
        let answer = ask(house.http(), "POST", "/sign-in", &[&cookies], &form);
        assert_eq!(answer.status, 303, "{}", answer.body);
        let set = answer
            .header
            .iter()
            .find(|(name, value)| name == "set-cookie" && value.starts_with("__Host-session="));
        let set = set.expect("a session").1.clone();
        assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{set}");
        set.trim_start_matches("__Host-session=").split(';').next().unwrap().to_owned()
    };
    // An attacker has put a session's cookie into the browser, of his own making or his own session's.
    let first = begun(&planted.reveal(), &planted);
    assert_ne!(first, planted.reveal());
    let own: Token = first.parse().unwrap();
    let second = begun(&first, &own);
    assert_ne!(second, first);
    let page = ask(house.http(), "GET", "/", &[&cookie(&planted)], "");
    assert_eq!((page.status, page.field("location")), (303, "/sign-in?then=%2F"));
    // A session in the URL, or under another cookie's name, is none.
    for line in [
        format!("Cookie: session={second}"),
        format!("Cookie: __Host-session ={second}"),
        format!("X-Session: {second}"),
    ] {
        assert_eq!(
            ask(house.http(), "GET", &format!("/?__Host-session={second}"), &[&line], "").status,
            303,
            "{line}"
        );
    }
}
