//! The operator's routes: the most exact line counts, SIGHUP takes changes up, a smart host wants a login.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::sink::Sink;
use super::{World, fate, send};
use crate::house::{House, eventually};

#[test]
fn the_most_exact_route_counts_and_sighup_takes_changes_up() {
    let world = World::new();
    let (exact, below, all) =
        (world.host("exact.host", 2), world.host("below.host", 3), world.host("all.host", 4));
    let peers = [Sink::start(exact), Sink::start(below), Sink::start(all)];
    // By MX it would go nowhere.
    world.zone().mx("peer.example", &[(0, ".")]);
    let mut house = House::at_rest("127.0.0.1", "");
    let routes = format!(
        "[remote.routes]\n\"peer.example\" = \"{exact}\"\n\".example\" = \"below.host:{}\"\n\"*\" = \"{all}\"\n",
        below.port()
    );
    house.configure("127.0.0.1", &(world.lines() + &routes));
    house.start();
    for (to, peer) in [
        ("a@peer.example", &peers[0]),
        ("b@sub.peer.example", &peers[1]),
        ("c@other.example", &peers[1]),
        ("d@there.test", &peers[2]),
    ] {
        send(&house, &[to], to);
        assert_eq!(fate(&house, to)["event"], "delivered", "{to}");
        peer.wait_for(to);
    }
    assert_eq!(peers.each_ref().map(Sink::count), [1, 2, 1]);

    let swapped = format!("[remote.routes]\n\"peer.example\" = \"{all}\"\n\"*\" = \"{exact}\"\n");
    house.configure("127.0.0.1", &(world.lines() + &swapped));
    house.signal(Signal::SIGHUP);
    house.wait_for_event("reloaded");
    // The role hears of it a moment later.
    let mut number = 0;
    eventually("the new route is gone by", Duration::from_secs(10), || {
        number += 1;
        let to = format!("e{number}@there.test");
        send(&house, &[&to], &to);
        fate(&house, &to);
        (peers[0].count() == 2).then_some(())
    });
    send(&house, &["f@peer.example"], "after");
    peers[2].wait_for("after");
    // By MX again, which says that there is no mail.
    let before = house.messages("abc").len();
    house.configure("127.0.0.1", &world.lines());
    house.signal(Signal::SIGHUP);
    eventually("the routes are gone", Duration::from_secs(10), || {
        number += 1;
        let to = format!("g{number}@peer.example");
        send(&house, &[&to], &to);
        (fate(&house, &to)["event"] == "failed").then_some(())
    });
    house.wait_for_messages("abc", before + 1);
}

/// What is asked of TLS is taken up as well: `require` where nobody offers it lets nothing out.
#[test]
fn sighup_takes_the_policy_of_tls_up() {
    let world = World::new();
    let sink = Sink::start(world.host("there.example", 2));
    let house = world.house();
    send(&house, &["a@there.example"], "in clear text");
    sink.wait_for("in clear text");
    house.configure("127.0.0.1", &(world.lines() + "tls = \"require\"\n"));
    house.signal(Signal::SIGHUP);
    house.wait_for_event("reloaded");
    let mut number = 0;
    let deferred = eventually("no mail goes in clear text", Duration::from_secs(10), || {
        number += 1;
        let to = format!("b{number}@there.example");
        send(&house, &[&to], "not in clear text");
        Some(fate(&house, &to)).filter(|event| event["event"] == "deferred")
    });
    assert!(deferred["reason"].as_str().unwrap().contains("TLS"), "{deferred}");
}

/// Another Hikyaku is the smart host: the login and TLS are as it asks for them.
#[test]
fn a_smart_host_takes_mail_with_a_login_and_under_tls() {
    let world = World::new();
    let sink = Sink::start(world.host("there.example", 2));
    let smart = world.house();
    let route = |password: &str| {
        format!(
            "[remote.routes]\n\"*\" = {{ host = \"127.0.0.1\", port = {}, login = \"abc\", password = \"{password}\", tls = \"require\" }}\n",
            smart.submission()
        )
    };
    let house = House::with(&(world.lines() + &route("abc-try")));
    send(&house, &["friend@there.example"], "by way of a smart host");
    let event = fate(&house, "friend@there.example");
    assert_eq!((&event["event"], &event["tls"]), (&"delivered".into(), &true.into()), "{event}");
    let text = sink.wait_for("by way of a smart host");
    assert!(text.contains("by mail.pobox.example with ESMTPSA id"), "{text}");
    assert_eq!(smart.wait_for_event("accepted")["account"], "abc");
    for log in [house.log(), smart.log()] {
        assert!(!log.contains("abc-try"), "a password stands in the log");
    }

    // With a wrong one it waits, as the operator is to mend that; nobody is told that it failed.
    house.configure("127.0.0.1", &(world.lines() + &route("wrong")));
    house.signal(Signal::SIGHUP);
    house.wait_for_event("reloaded");
    let mut number = 0;
    let deferred = eventually("the login is refused", Duration::from_secs(20), || {
        number += 1;
        let to = format!("friend{number}@there.example");
        send(&house, &[&to], "with a wrong password");
        Some(fate(&house, &to)).filter(|event| event["event"] != "delivered")
    });
    assert_eq!(deferred["event"], "deferred", "{deferred}");
    assert!(deferred["reason"].as_str().unwrap().contains("login was rejected"), "{deferred}");
}
