//! Servers with manners of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::peer::{Do, say};
use super::sink::Sink;
use super::{PATIENCE, World, fate, letter, send};
use crate::house::eventually;

/// One of five: he gets it once; two are reported, together; two are tried again, alone.
#[test]
fn a_peer_that_takes_one_of_five_recipients_gets_the_message_once() {
    let world = World::new();
    let peer = world.peer("there.example", 2, |_, command| match command {
        "RCPT TO:<two@there.example>" | "RCPT TO:<three@there.example>" => {
            Some(say("550 5.1.1 no such person"))
        }
        "RCPT TO:<four@there.example>" | "RCPT TO:<five@there.example>" => {
            Some(say("452 4.2.2 the mailbox is full today"))
        }
        _ => None,
    });
    let house = world.house();
    let all = ["one", "two", "three", "four", "five"].map(|name| format!("{name}@there.example"));
    let id = send(&house, &all.each_ref().map(String::as_str), "for one of you");
    for (to, what) in all.iter().zip(["delivered", "failed", "failed", "deferred", "deferred"]) {
        assert_eq!(fate(&house, to)["event"], what, "{to}");
    }
    let report = house.wait_for_messages("abc", 1).remove(0);
    for (name, told) in [("two", true), ("three", true), ("four", false), ("one", false)] {
        let named = report.contains(&format!("Final-Recipient: rfc822; {name}@there.example\n"));
        assert_eq!(named, told, "{name}: {report}");
    }
    assert!(report.contains("no such person") && report.contains("\nStatus: 5.1.1\n"), "{report}");
    assert_eq!(peer.messages(), 1);
    let shown = &house.json(&["queue", "show", &id, "--json"])[0];
    assert_eq!(shown.to_string().matches("full today").count(), 2, "{shown}");
}

/// Greylisting: not now, at no matter which host of it, and then by qmail's table.
#[test]
fn a_peer_that_says_not_now_is_asked_again_by_the_schedule() {
    let world = World::new();
    let asked = AtomicUsize::new(0);
    let peer = world.peer("there.example", 2, move |_, command| {
        let greylisted = command.starts_with("RCPT") && asked.fetch_add(1, Ordering::Relaxed) == 0;
        greylisted.then(|| say("451 4.7.1 greylisted, come back in five minutes"))
    });
    let house = world.house();
    let id = send(&house, &["friend@there.example"], "patience");
    let event = fate(&house, "friend@there.example");
    assert_eq!(event["event"], "deferred");
    assert!(event["reason"].as_str().unwrap().contains("come back in five minutes"), "{event}");
    let listed = &house.json(&["queue", "list", "--json"])[0];
    assert_eq!(listed["id"], id.as_str());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let pause = listed["next_attempt"].as_u64().unwrap().saturating_sub(now);
    assert!((360..=460).contains(&pause), "{pause} seconds: {listed}");
    // Others are served at once: it is this recipient who was put off, not the host.
    send(&house, &["other@there.example"], "at once");
    assert_eq!(fate(&house, "other@there.example")["event"], "delivered");
    assert_eq!(peer.messages(), 1);
    assert!(house.messages("abc").is_empty(), "nobody is told that it failed");
    // The next time, which an operator brings forward, it gets in.
    house.ran(&["queue", "retry", "--recipient", "friend@there.example"], "");
    house.wait_for_an_empty_queue();
    assert_eq!(peer.messages(), 2);
}

/// It takes a message, and then says nothing more: what goes elsewhere does not wait for it. Not a clock
/// tells, but the order: all the others are there before one of these has ended.
#[test]
fn a_destination_that_hangs_holds_up_nobody_else() {
    const HANGING: usize = 60;
    const OTHERS: usize = 400;
    let world = World::new();
    let hangs = world.peer("hangs.example", 2, |_, command| (command == ".").then_some(Do::Hang));
    let sink = Sink::start(world.host("works.example", 3));
    let house = world.house();
    let mut session = house.submission_session("abc");
    let mut send = |to: &str, number: usize| {
        let reply = session.transact("abc@pobox.example", &[to], &letter(&format!("number {number}")));
        assert!(reply.starts_with("250 "), "{reply}");
    };
    for number in 0..HANGING {
        send("friend@hangs.example", number);
    }
    eventually("messages hang there", PATIENCE, || (hangs.messages() >= 5).then_some(()));
    for number in 0..OTHERS {
        send("friend@works.example", number);
        if number == OTHERS / 2 {
            // One who comes in the middle waits neither for those that hang nor for those that wait.
            self::send(&house, &["late@works.example"], "in between");
        }
    }
    eventually("all others are there", Duration::from_secs(60), || {
        (house.events("delivered").len() == OTHERS + 1).then_some(())
    });
    assert_eq!(sink.count(), OTHERS + 1);
    let ended = |name: &str| house.events(name).iter().any(|event| event["to"] == "friend@hangs.example");
    assert!(!ended("deferred") && !ended("failed"), "one of those that hang has ended");
    assert_eq!(house.queued(), HANGING as u64);
    // Nor does it keep anybody else waiting who wants to be careful: five connections hang, not sixty.
    assert!(hangs.connections() <= 20, "{} connections", hangs.connections());
}

/// Ten messages over each connection, and then goodbye, as some have it.
#[test]
fn a_peer_that_takes_ten_messages_a_connection_gets_all_of_them() {
    let world = World::new();
    let counts = std::sync::Mutex::new(std::collections::HashMap::new());
    let peer = world.peer("there.example", 2, move |connection, command| {
        let mut counts = counts.lock().unwrap();
        let sent: &mut usize = counts.entry(connection).or_default();
        match command {
            "." => *sent += 1,
            _ if *sent == 10 && command.starts_with("MAIL") => {
                return Some(Do::SayAndClose("421 4.7.0 ten is enough\r\n".into()));
            }
            _ => {}
        }
        None
    });
    let house = world.house();
    let mut session = house.submission_session("abc");
    for number in 0..35 {
        let text = letter(&format!("number {number}"));
        let reply = session.transact("abc@pobox.example", &["friend@there.example"], &text);
        assert!(reply.starts_with("250 "), "{reply}");
    }
    house.wait_for_an_empty_queue();
    assert_eq!(house.events("delivered").len(), 35);
    assert_eq!(peer.messages(), 35);
    assert!(house.events("deferred").is_empty());
}
