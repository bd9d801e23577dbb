//! Where mail goes by the DNS, and what comes back where it cannot go.

use std::net::{IpAddr, Ipv6Addr};

use super::name_server::{Answer, Record};
use super::sink::Sink;
use super::{World, fate, send};
use crate::house::House;

#[test]
fn mail_finds_its_host_by_every_kind_of_record() {
    let world = World::new();
    let zone = world.zone();
    let sink = Sink::start(world.host("mx.there.example", 2));
    // Nobody is at .9, and nobody at ::1.
    world.host("away.there.example", 9);
    zone.mx("mx.example", &[(10, "away.there.example"), (20, "mx.there.example")]);
    world.host("plain.example", 2);
    let both = [IpAddr::from(Ipv6Addr::LOCALHOST), IpAddr::from([127, 0, 0, 2])];
    zone.set("both.example", Answer::Records(both.map(Record::Address).into()));
    zone.set("alias.example", Answer::Records(vec![Record::Cname("mx.example".into())]));
    let names: Vec<String> = (0..99).map(|number| format!("host-{number}.of-a-large-site.example")).collect();
    let mut hundred: Vec<(u16, &str)> = names.iter().map(|name| (20, name.as_str())).collect();
    hundred.push((10, "mx.there.example"));
    zone.mx("hundred.example", &hundred);
    let house = world.house();
    for domain in
        ["mx.example", "plain.example", "both.example", "alias.example", "hundred.example", "[127.0.0.2]"]
    {
        let to = format!("friend@{domain}");
        send(&house, &[&to], &format!("to {domain}"));
        let event = fate(&house, &to);
        assert_eq!(event["event"], "delivered", "{domain}: {event}");
        assert_eq!(event["address"], "127.0.0.2", "{domain}: {event}");
    }
    let text = sink.wait_for("to mx.example");
    assert!(text.contains("X-Mail-Args: <abc@pobox.example>"), "{text}");
    assert!(text.contains("X-Rcpt-Args: <friend@mx.example>"), "{text}");
    assert!(text.ends_with("Line one.\n.Line two has a dot.\n\n") || text.ends_with("dot.\n"), "{text}");
    assert_eq!(sink.count(), 6);
}

#[test]
fn what_the_dns_denies_comes_back_and_what_it_does_not_say_waits() {
    let world = World::new();
    let zone = world.zone();
    zone.mx("null.example", &[(0, ".")]);
    zone.set("nodata.example", Answer::Records(vec![]));
    zone.mx("gone.example", &[(10, "mx.gone.example")]);
    zone.set("servfail.example", Answer::ServFail);
    world.host("away.example", 9);
    let house = world.house();
    for (domain, status) in [
        ("null.example", "5.1.10"),
        ("nodata.example", "5.4.4"),
        ("gone.example", "5.4.4"),
        ("nowhere.example", "5.1.2"),
    ] {
        let before = house.messages("abc").len();
        let to = format!("friend@{domain}");
        send(&house, &[&to], domain);
        assert_eq!(fate(&house, &to)["event"], "failed", "{domain}");
        let reports = house.wait_for_messages("abc", before + 1);
        let report = reports.iter().find(|text| text.contains(&to)).expect("a report");
        assert!(report.contains(&format!("\nStatus: {status}\n")), "{domain}: {report}");
        assert!(report.contains("Return-Path: <>"), "{report}");
    }
    for domain in ["servfail.example", "away.example"] {
        let to = format!("friend@{domain}");
        send(&house, &[&to], domain);
        assert_eq!(fate(&house, &to)["event"], "deferred", "{domain}");
    }
    assert_eq!(house.queued(), 2);
    assert_eq!(house.messages("abc").len(), 4);
}

/// Its MX leads to us, and nobody said that we host it: mail would go round.
#[test]
fn a_domain_that_leads_to_ourselves_comes_back_and_does_not_loop() {
    let world = World::new();
    let mut house = House::at_rest("127.0.0.1", "");
    // Other hosts are at the port where we listen ourselves.
    let lines = world.lines().replace(&world.port.to_string(), &house.smtp().to_string());
    house.configure("127.0.0.1", &lines);
    house.start();
    world.zone().address("us.there.example", [127, 0, 0, 1].into());
    world.zone().mx("ours.example", &[(10, "us.there.example")]);
    send(&house, &["friend@ours.example"], "round");
    assert_eq!(fate(&house, "friend@ours.example")["event"], "failed");
    let report = house.wait_for_messages("abc", 1).remove(0);
    assert!(report.contains("\nStatus: 5.4.6\n"), "{report}");
    house.wait_for_an_empty_queue();
    assert_eq!(house.events("accepted").len(), 1, "nothing came in again");

    // We are the backup of a domain whose best host cannot be looked up now: it waits.
    house.rule("domain add backup.example --relay");
    world.zone().set("best.there.example", Answer::ServFail);
    world.zone().mx("backup.example", &[(10, "best.there.example"), (20, "us.there.example")]);
    house.send("friend@backup.example", "for later");
    let event = fate(&house, "friend@backup.example");
    assert_eq!(event["event"], "deferred", "{event}");
}

/// We take its mail from anybody, and bring it to its own host; nobody else's.
#[test]
fn a_relay_domain_is_brought_to_its_better_host() {
    let world = World::new();
    let sink = Sink::start(world.host("best.there.example", 2));
    world.zone().mx("relayed.example", &[(10, "best.there.example"), (20, "us.there.example")]);
    world.zone().address("us.there.example", [127, 0, 0, 1].into());
    let house = world.house();
    house.rule("domain add relayed.example --relay");
    assert!(house.send("friend@relayed.example", "relayed").starts_with("250"));
    let text = sink.wait_for("relayed");
    assert!(text.contains("X-Mail-Args: <sender@elsewhere.example>"), "{text}");
    let mut stranger = house.smtp_session();
    stranger.say("MAIL FROM:<sender@elsewhere.example>", "250");
    stranger.say("RCPT TO:<friend@other.example>", "553");
}
