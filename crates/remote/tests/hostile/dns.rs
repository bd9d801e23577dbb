//! What the DNS says, and does not.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use envelope::dns::{DnsOutcome, DnsQuestion, RecordType};
use remote::{Dns, Memory, OwnAddresses, Routes, TlsPolicy};
use rustls::RootCertStore;

use crate::name_server::{Answer, Record};
use crate::world::{World, deliver};

#[tokio::test]
async fn what_the_dns_says_for_good_fails_and_what_it_does_not_say_waits() {
    let world = World::new().await;
    let zone = &world.names.zone;
    zone.set("servfail.example", Answer::ServFail);
    zone.set("silent.example", Answer::Silence);
    zone.set("noise.example", Answer::Noise);
    zone.set("nodata.example", Answer::Records(vec![]));
    zone.mx("null.example", &[(0, ".")]);
    zone.mx("gone.example", &[(10, "mx.gone.example"), (20, "mx2.gone.example")]);
    zone.mx("half.example", &[(10, "mx.gone.example"), (20, "servfail.example")]);
    zone.set("loop.example", Answer::Records(vec![Record::Cname("pool.example".into())]));
    zone.set("pool.example", Answer::Records(vec![Record::Cname("loop.example".into())]));
    let remote = world.remote();
    for (domain, expected) in [
        ("nowhere.example", "failed 5.1.2"),
        ("servfail.example", "deferred 4.4.3"),
        ("silent.example", "deferred 4.4.3"),
        ("noise.example", "deferred 4.4.3"),
        ("nodata.example", "failed 5.4.4"),
        ("null.example", "failed 5.1.10"),
        ("gone.example", "failed 5.4.4"),
        ("half.example", "deferred 4.4.3"),
    ] {
        assert_eq!(deliver(&remote, domain, &["b"]).await, [expected], "{domain}");
    }
    let looping = deliver(&remote, "loop.example", &["b"]).await;
    assert!(["deferred 4.4.3", "failed 5.4.4"].contains(&looping[0].as_str()), "{looping:?}");
}

#[tokio::test]
async fn aliases_are_followed() {
    let world = World::new().await;
    let zone = &world.names.zone;
    let _peer = world.good_peer("real.example");
    zone.set("mx.example", Answer::Records(vec![Record::Cname("real.example".into())]));
    // A CNAME at an MX is against RFC 2181 §10.3, and common.
    zone.mx("there.example", &[(10, "mx.example")]);
    zone.set("alias.example", Answer::Records(vec![Record::Cname("there.example".into())]));
    let remote = world.remote();
    assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["delivered mx.example"]);
    assert_eq!(deliver(&remote, "alias.example", &["b"]).await, ["delivered mx.example"]);
    assert_eq!(deliver(&remote, "mx.example", &["b"]).await, ["delivered mx.example"]);
}

#[tokio::test]
async fn a_hundred_mx_come_by_tcp() {
    let world = World::new().await;
    let zone = &world.names.zone;
    let _peer = world.good_peer("good.example");
    let bad: Vec<String> =
        (0..99).map(|n| format!("a-rather-long-name-for-a-host-{n}.bad.example")).collect();
    let mut hosts: Vec<(u16, &str)> = bad.iter().map(|host| (20, host.as_str())).collect();
    hosts.push((10, "good.example"));
    zone.mx("there.example", &hosts);
    let remote = world.remote();
    assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["delivered good.example"]);
    let good = vec![Record::Mx(10, "good.example".into())];
    zone.set("truncated.example", Answer::Truncated(good));
    assert_eq!(deliver(&remote, "truncated.example", &["b"]).await, ["delivered good.example"]);
}

#[tokio::test]
async fn ipv4_is_tried_where_ipv6_does_not_answer() {
    let world = World::new().await;
    let peer = world.good_peer("there.example");
    let six: IpAddr = "::1".parse().unwrap();
    let both = vec![Record::Address(six), Record::Address(peer.address.ip())];
    world.names.zone.set("there.example", Answer::Records(both));
    assert_eq!(deliver(&world.remote(), "there.example", &["b"]).await, ["delivered there.example"]);
}

#[tokio::test]
async fn mail_to_ourselves_fails_rather_than_goes_round() {
    let world = World::new().await;
    let peer = world.good_peer("us.example");
    world.names.zone.mx("there.example", &[(10, "us.example")]);
    let mut settings = world.settings();
    settings.own = OwnAddresses::new([peer.address]);
    let remote = world.remote_with(settings, RootCertStore::empty());
    assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["failed 5.4.6"]);
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_route_goes_before_mx_and_can_be_changed() {
    let world = World::new().await;
    let peer = world.good_peer("smart.example");
    let remote = world.remote();
    let routes: Routes = toml::from_str(&format!("\"*\" = \"{}\"", peer.address)).unwrap();
    remote.set_routes(routes, TlsPolicy::Opportunistic);
    let by_address = format!("delivered {}", peer.address.ip());
    assert_eq!(deliver(&remote, "nowhere.example", &["b"]).await, [by_address]);
    let routes: Routes = toml::from_str("\"*\" = { host = \"smart.example\", tls = \"require\" }").unwrap();
    remote.set_routes(routes, TlsPolicy::Opportunistic);
    assert_eq!(deliver(&remote, "nowhere.example", &["b"]).await, ["deferred 4.7.4"]);
}

fn words(outcome: &DnsOutcome) -> String {
    match outcome {
        DnsOutcome::Found(records) => records.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        DnsOutcome::NoRecord => "no record".into(),
        DnsOutcome::NoSuchName => "no such name".into(),
        DnsOutcome::Unanswered(_) => "unanswered".into(),
    }
}

#[tokio::test]
async fn operators_are_told_what_is_published_of_every_kind() {
    let world = World::new().await;
    let zone = &world.names.zone;
    let long = "a".repeat(200);
    zone.mx("*.there.example", &[(10, "MX.There.example")]);
    zone.address("mx.there.example", [192, 0, 2, 25].into());
    zone.set("there.example", Answer::Records(vec![Record::Txt(vec!["v=spf1 ".into(), "mx -all".into()])]));
    zone.set("long.example", Answer::Records(vec![Record::Txt(vec![long.clone(), "\u{1b}[2J".into()])]));
    zone.set("auto.there.example", Answer::Records(vec![Record::Cname("mx.there.example".into())]));
    let srv = Record::Srv(0, 1, 587, "mx.there.example".into());
    zone.set("_submission._tcp.there.example", Answer::Records(vec![srv]));
    zone.set("25.2.0.192.in-addr.arpa", Answer::Records(vec![Record::Ptr("mx.there.example".into())]));
    zone.set("servfail.example", Answer::ServFail);
    zone.set("silent.example", Answer::Silence);
    let dns = Dns::new(&[world.names.address], Duration::from_millis(500), 1, Memory::None).unwrap();
    let asked = [
        ("*.there.example", RecordType::Mx, "10 mx.there.example."),
        ("mx.there.example", RecordType::A, "192.0.2.25"),
        ("mx.there.example", RecordType::Aaaa, "no record"),
        ("there.example", RecordType::Txt, "\"v=spf1 mx -all\""),
        ("long.example", RecordType::Txt, &format!("\"{long} [2J\"")),
        ("auto.there.example", RecordType::Cname, "mx.there.example."),
        ("auto.there.example", RecordType::A, "192.0.2.25"),
        ("_submission._tcp.there.example", RecordType::Srv, "0 1 587 mx.there.example."),
        ("25.2.0.192.in-addr.arpa", RecordType::Ptr, "mx.there.example."),
        ("nowhere.example", RecordType::Mx, "no such name"),
        ("servfail.example", RecordType::Mx, "unanswered"),
        ("silent.example", RecordType::Mx, "unanswered"),
        ("no name at all..", RecordType::Mx, "no such name"),
    ];
    let questions = asked.iter().map(|(name, kind, _)| DnsQuestion::new(*name, *kind)).collect();
    let answers = dns.look_up(questions, Duration::from_secs(20)).await;
    for ((name, kind, expected), answer) in asked.iter().zip(&answers) {
        assert_eq!(answer.question, DnsQuestion::new(*name, *kind));
        assert_eq!(words(&answer.outcome), *expected, "{name} {kind}");
    }
    assert_eq!(answers.len(), asked.len());
}

#[tokio::test]
async fn an_operator_sees_what_was_published_just_now_and_does_not_wait_for_ever() {
    let world = World::new().await;
    let zone = &world.names.zone;
    let dns = Dns::new(&[world.names.address], Duration::from_secs(30), 3, Memory::None).unwrap();
    let look = async |name: &str, patience| {
        let answers = dns.look_up(vec![DnsQuestion::new(name, RecordType::A)], patience).await;
        words(&answers[0].outcome)
    };
    let patience = Duration::from_secs(20);
    assert_eq!(look("new.example", patience).await, "no such name");
    zone.address("new.example", [192, 0, 2, 1].into());
    assert_eq!(look("new.example", patience).await, "192.0.2.1");
    zone.address("new.example", [192, 0, 2, 2].into());
    assert_eq!(look("new.example", patience).await, "192.0.2.2");
    zone.set("silent.example", Answer::Silence);
    let began = Instant::now();
    assert_eq!(look("silent.example", Duration::from_millis(300)).await, "unanswered");
    assert!(began.elapsed() < Duration::from_secs(10));
    let many = vec![DnsQuestion::new("new.example", RecordType::A); 1_000];
    assert_eq!(dns.look_up(many, patience).await.len(), envelope::dns::QUESTIONS_MAX);
}
