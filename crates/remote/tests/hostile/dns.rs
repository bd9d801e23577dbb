//! What the DNS says, and does not.

use std::net::IpAddr;

use remote::{OwnAddresses, Routes, TlsPolicy};
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
