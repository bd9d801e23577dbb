//! What operators are told of the DNS, and members of where their mail goes on to.

use serde_json::Value;

use super::name_server::{Answer, Record};
use super::peer;
use super::{PATIENCE, World};
use crate::house::{House, eventually};
use crate::page::Page;

/// How the records stand, by what they are for.
fn states(house: &House, arguments: &[&str]) -> Vec<(String, String)> {
    let ran = house.run(&[&["domain", "dns", "--json"], arguments].concat(), "");
    let findings =
        ran.output.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    findings
        .map(|it| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&it["record"]["purpose"]), text(&it["state"]))
        })
        .collect()
}

fn state(states: &[(String, String)], purpose: &str) -> String {
    states.iter().find(|(of, _)| of == purpose).unwrap_or_else(|| panic!("{purpose}: {states:?}")).1.clone()
}

#[test]
fn an_operator_is_told_which_records_are_missing_and_sees_them_once_they_are_there() {
    let world = World::new();
    let mut house = world.house();
    let before = states(&house, &[]);
    for purpose in ["host-address", "mail", "sub-domain-mail", "spf", "dmarc", "submission"] {
        assert_eq!(state(&before, purpose), "missing", "{before:?}");
    }
    let told = house.run(&["domain", "dns"], "");
    assert!(told.code == Some(1), "{}", told.output);
    assert!(
        told.output.contains("MISSING   pobox.example. IN MX 10 mail.pobox.example.\n"),
        "{}",
        told.output
    );

    let zone = world.zone();
    zone.mx("pobox.example", &[(10, "mail.pobox.example")]);
    zone.mx("*.pobox.example", &[(10, "elsewhere.example")]);
    zone.address("mail.pobox.example", [192, 0, 2, 25].into());
    let name = Record::Ptr("mail.pobox.example".into());
    zone.set("25.2.0.192.in-addr.arpa", Answer::Records(vec![name]));
    zone.set("_dmarc.pobox.example", Answer::Records(vec![Record::Txt(vec!["v=DMARC1; p=none".into()])]));
    zone.set("_submissions._tcp.pobox.example", Answer::ServFail);
    let after = states(&house, &["pobox.example"]);
    for (purpose, expected) in [
        ("host-address", "published"),
        ("host-pointer", "published"),
        ("mail", "published"),
        ("sub-domain-mail", "differs"),
        ("spf", "missing"),
        ("dmarc", "published"),
        ("submissions", "unknown"),
    ] {
        assert_eq!(state(&after, purpose), expected, "{purpose}: {after:?}");
    }
    let told = house.run(&["domain", "dns"], "").output;
    assert!(told.contains("there is: 10 elsewhere.example.\n"), "{told}");

    assert!(house.refused("domain dns nowhere.example").contains("nowhere.example"));
    // What should stand there is known without a server too.
    house.stop();
    let offline = house.run(&["domain", "dns"], "");
    assert!(
        offline.code == Some(1) && offline.output.contains("unknown   pobox.example. IN MX "),
        "{}",
        offline.output
    );
}

#[test]
fn a_member_is_told_what_a_destination_said_to_what_he_forwards_there() {
    let world = World::new();
    let _peer = world.peer("there.example", 2, |_, line| {
        line.starts_with("RCPT TO:<full@").then(|| peer::say("550 5.7.26 unauthenticated mail is not taken"))
    });
    let house = world.house();
    house.rule("address set foo@xyz.pobox.example --to good@there.example --to full@there.example");
    for subject in ["one", "two"] {
        house.send("foo@xyz.pobox.example", subject);
    }
    // Somebody else's mail to the same destination is none of his.
    super::send(&house, &["full@there.example"], "of another");
    let mut page = Page::of(&house);
    page.sign_in("xyz", "xyz-try");
    let html = eventually("the page tells the refusals", PATIENCE, || {
        page.get("/addresses/edit?address=foo%40xyz.pobox.example");
        Some(page.shown.html.clone()).filter(|html| html.contains("unauthenticated mail is not taken"))
    });
    assert!(html.contains("good@there.example"), "{html}");
    page.get("/addresses/edit?address=bar%40xyz.pobox.example");
    assert!(!page.shown.html.contains("unauthenticated"), "{}", page.shown.html);
    // The provider's other member sees nothing of it.
    let mut other = Page::of(&house);
    other.sign_in("abc", "abc-try");
    other.get("/addresses/edit?address=foo%40xyz.pobox.example");
    assert!(
        !other.shown.html.contains("unauthenticated") && other.shown.status != 200,
        "{}",
        other.shown.html
    );
}
