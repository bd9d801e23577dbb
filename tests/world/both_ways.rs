//! Real servers, which we send to and which send to us, under TLS.

use nix::unistd::geteuid;

use super::exim::Exim;
use super::postfix::Postfix;
use super::{PATIENCE, World, fate, send};
use crate::house::{House, eventually, message};
use crate::wire::Wire;

#[test]
fn mail_goes_to_postfix_and_comes_back() {
    both_ways(
        "postfix",
        |world, house| {
            let at = world.host("mx.postfix.example", 2);
            Postfix::start(at, "mx.postfix.example", "postfix.example", house.smtp())
        },
        Postfix::messages,
    );
}

#[test]
fn mail_goes_to_exim_and_comes_back() {
    both_ways(
        "exim",
        |world, house| {
            let at = world.host("mx.exim.example", 2);
            Exim::start(at, "mx.exim.example", "exim.example", house.smtp())
        },
        Exim::messages,
    );
}

fn both_ways<S>(name: &str, start: impl Fn(&World, &House) -> S, messages: impl Fn(&S) -> Vec<String>) {
    if !geteuid().is_root() {
        eprintln!("only root can start {name}, as it gives its parts users of their own");
        return;
    }
    let world = World::new();
    let host = format!("mx.{name}.example");
    world.zone().mx(&format!("{name}.example"), &[(10, &host)]);
    let house = world.house();
    let server = start(&world, &house);
    // There: many recipients, a body that BDAT carries, and 8-bit text.
    let (one, two) = (format!("one@{name}.example"), format!("two@{name}.example"));
    send(&house, &[&one, &two], "to you both");
    let large = format!(
        "From: <abc@pobox.example>\r\nSubject: large\r\n\r\n{}",
        "これは日本語の長い手紙です。\r\n.\r\n".repeat(20_000)
    );
    let mut session = house.submission_session("abc");
    session.say("MAIL FROM:<abc@pobox.example> BODY=8BITMIME", "250");
    session.say(&format!("RCPT TO:<{one}>"), "250");
    session.say("DATA", "354");
    session.send(crate::wire::stuffed(&large).as_bytes());
    session.expect("250");
    for to in [&one, &two] {
        let event = fate(&house, to);
        assert_eq!(event["event"], "delivered", "{event}");
        assert_eq!(event["tls"], true, "{event}");
        assert_eq!(event["host"], host, "{event}");
    }
    house.wait_for_an_empty_queue();
    let there = eventually("the mail is there", PATIENCE, || {
        let there = messages(&server);
        (there.iter().any(|text| text.contains("Subject: large")) && there.len() >= 2).then_some(there)
    });
    let text = there.iter().find(|text| text.contains("Subject: large")).unwrap();
    let (_, body) = text.split_once("\n\n").unwrap();
    let sent = large.split_once("\r\n\r\n").unwrap().1.replace("\r\n", "\n");
    assert!(body == sent, "{} octets of {}", body.len(), sent.len());

    // A certificate that nobody signed is good enough as a rule, and not where the operator asks for more.
    let strict = format!("[remote.routes]\n\"{name}.example\" = {{ host = \"\", tls = \"verify\" }}\n");
    house.configure("127.0.0.1", &(world.lines() + &strict));
    house.signal(nix::sys::signal::Signal::SIGHUP);
    house.wait_for_event("reloaded");
    let mut number = 0;
    let deferred = eventually("the certificate is refused", PATIENCE, || {
        number += 1;
        let to = format!("three{number}@{name}.example");
        send(&house, &[&to], "not to just anybody");
        Some(fate(&house, &to)).filter(|event| event["event"] == "deferred")
    });
    assert!(deferred["reason"].as_str().unwrap().contains("certificate"), "{deferred}");

    // And back, under TLS as we offer it.
    let mut wire = Wire::connect(world.host(&host, 2));
    wire.expect("220");
    wire.say(&format!("EHLO client.{name}.example"), "250");
    wire.transact(&format!("friend@{name}.example"), &["abc@pobox.example"], &message("an answer"));
    let answer = house.wait_for_messages("abc", 1).remove(0);
    assert!(answer.contains("Subject: an answer"), "{answer}");
    let first_hop = answer.split("\nReceived: ").nth(1).unwrap_or_default();
    assert!(first_hop.contains(&host) && first_hop.contains("with ESMTPS"), "{answer}");
}
