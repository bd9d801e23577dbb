//! `kill -9` while mail goes out: nothing is lost, and what goes out twice had gone out when its role
//! was killed, and nobody could know.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::World;
use super::sink::Sink;
use crate::house::{House, eventually, field};
use crate::killing::{CLIENTS, Load, SMALL_SEGMENTS, loaded, whole_again};

/// Who has no part in what is on its way out.
const BYSTANDERS: [&str; 6] = ["directory", "keys", "local", "maildrop", "pop3", "smtp"];
/// Who has, each twice.
const CARRIERS: [&str; 4] = ["remote", "queue", "remote", "queue"];
/// Deliveries at the same time to one destination, as configured; so many more may be about to be recorded.
const UNDER_WAY: usize = 2 * 20;

#[test]
fn whichever_role_is_killed_every_message_goes_out_and_only_what_was_under_way_twice() {
    let world = World::new();
    let sink = Sink::start(world.host("far.example", 2));
    let mut house = House::with(&(world.lines() + SMALL_SEGMENTS));
    house.rule("domain add far.example --relay");

    let first = Load::new(house.smtp(), "friend@far.example", "first", 1000);
    under_load(&first, 1000, &BYSTANDERS, |role| kill_one(&house, role));
    let doubled = check(&house, &sink, &first);
    assert_eq!(doubled, 0, "while roles died that carry nothing out");

    let second = Load::new(house.smtp(), "friend@far.example", "second", 800);
    under_load(&second, 800, &CARRIERS, |role| kill_one(&house, role));
    let doubled = check(&house, &sink, &second);
    println!("{doubled} of 800 messages went out twice after {} deaths of remote and queue", CARRIERS.len());
    assert!(doubled <= CARRIERS.len() * UNDER_WAY, "{doubled} went out twice");

    let third = Load::new(house.smtp(), "friend@far.example", "third", 200);
    under_load(&third, 200, &["all of them"], |_| {
        house.crash();
        house.start();
    });
    let doubled = check(&house, &sink, &third);
    println!("{doubled} of 200 messages went out twice after a crash of everything");
    assert!(doubled <= UNDER_WAY, "{doubled} went out twice");
}

/// Sends the load, and does this to each of these at even distances.
fn under_load(load: &Load, goal: usize, roles: &[&str], mut attack: impl FnMut(&str)) {
    std::thread::scope(|threads| {
        for client in 0..CLIENTS {
            threads.spawn(move || load.send(client));
        }
        for (turn, role) in roles.iter().enumerate() {
            load.wait_for((turn + 1) * goal / (roles.len() + 1));
            attack(role);
        }
    });
}

fn kill_one(house: &House, role: &str) {
    let before = house.roles()[role];
    kill(before, Signal::SIGKILL).unwrap();
    whole_again(house, role, before);
}

/// All that was accepted has arrived, whole; gives how many messages arrived twice.
fn check(house: &House, sink: &Sink, load: &Load) -> usize {
    // After a fault of our own a recipient waits for half a minute.
    eventually("the queue is empty", Duration::from_secs(120), || (house.queued() == 0).then_some(()));
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    for text in sink.messages() {
        let subject = field(&text, "Subject");
        let sent = loaded(&subject).replace("\r\n", "\n");
        let (_, body) = sent.split_once("\n\n").unwrap();
        assert!(text.trim_end().ends_with(body.trim_end()), "{subject} is not whole");
        *arrived.entry(subject).or_default() += 1;
    }
    let accepted = load.accepted();
    let lost: Vec<&String> = accepted.iter().filter(|subject| !arrived.contains_key(*subject)).collect();
    assert!(lost.is_empty(), "{} lost, {lost:?}", lost.len());
    let often: Vec<_> = arrived.iter().filter(|(_, times)| **times > 2).collect();
    assert!(often.is_empty(), "more than twice: {often:?}");
    accepted.iter().filter(|subject| arrived[*subject] > 1).count()
}
