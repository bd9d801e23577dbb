//! What became of a message, as the operator is told.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::house::{House, eventually, message};

/// How long the record may lag behind the mail.
const LAG: Duration = Duration::from_secs(20);

/// Waits until there are messages of somebody that all stand so, and gives them.
fn mail_of(house: &House, whose: &str, count: usize, fate: &str) -> Vec<Value> {
    eventually(&format!("{count} messages of {whose}, {fate}"), LAG, || {
        let ran = house.run(&["trace", whose, "--json", "--limit", "10000"], "");
        let mail: Vec<Value> =
            ran.output.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        let stands = |message: &Value| message["tally"][fate].as_u64() > Some(0);
        (mail.len() == count && mail.iter().all(stands)).then_some(mail)
    })
}

/// Waits until a message's story says something, and gives the story.
fn story(house: &House, id: &str, says: &str) -> String {
    eventually(&format!("the story of {id} says {says:?}"), LAG, || {
        Some(house.run(&["trace", id], "").output).filter(|story| story.contains(says))
    })
}

/// The kinds of a message's events, in their order.
fn kinds(house: &House, id: &str) -> Vec<String> {
    let kind = |event: Value| event["what"].as_object().unwrap().keys().next().unwrap().clone();
    house.json(&["trace", id, "--json"]).into_iter().map(kind).collect()
}

fn id_of(message: &Value) -> String {
    message["queue_id"].as_str().expect("a queue id").to_owned()
}

#[test]
fn a_delivered_message_is_told_by_id_by_address_by_domain_and_by_account() {
    let mut house = House::new();
    let text = format!("Message-ID: <one@elsewhere.example>\r\n{}", message("one"));
    house.smtp_session().transact("sender@elsewhere.example", &["ABC@pobox.example"], &text);
    house.smtp_session().transact("other@peer.example", &["xyz@pobox.example"], &message("two"));
    let id = id_of(&mail_of(&house, "abc@pobox.example", 1, "delivered")[0]);
    for whose in ["abc", "sender@elsewhere.example", "elsewhere.example"] {
        assert_eq!(id_of(&mail_of(&house, whose, 1, "delivered")[0]), id, "{whose}");
    }
    assert_eq!(mail_of(&house, "pobox.example", 2, "delivered").len(), 2);
    assert_eq!(kinds(&house, &id), ["accepted", "delivered"]);
    let told = story(&house, &id, "delivered");
    let (first, rest) = told.split_once('\n').unwrap();
    assert!(
        first.contains("accepted from 127.0.0.1: <sender@elsewhere.example> to ABC@pobox.example, ")
            && first.ends_with("Message-ID <one@elsewhere.example>"),
        "{told}"
    );
    assert!(rest.contains("ABC@pobox.example: delivered to the mailbox of account abc\n"), "{told}");
    assert!(rest.ends_with("How it stands: delivered to ABC@pobox.example.\n"), "{told}");
    // What is gone from the queue is found here.
    assert!(house.refused(&format!("queue show {id}")).contains(&format!("`hikyaku trace {id}`")));

    // With no server, and with another.
    house.stop();
    assert_eq!(house.ran(&["trace", &id], ""), told);
    house.start();
    assert_eq!(house.ran(&["trace", &id], ""), told);
    assert!(house.refused("trace nobody@pobox.example").contains("trace_days"));
    assert!(house.refused("trace 0123456789abc").contains("nothing is known"));
}

#[test]
fn a_forwarded_message_is_told_with_its_family_from_either_end() {
    let house = House::new();
    house.rule("address set foo@abc.pobox.example --to xyz@pobox.example --keep");
    house.send("foo@abc.pobox.example", "on");
    house.wait_for_messages("xyz", 1);
    let outer = id_of(&mail_of(&house, "foo@abc.pobox.example", 1, "delivered")[0]);
    let inner = id_of(&mail_of(&house, "xyz", 1, "delivered")[0]);
    assert_ne!(outer, inner);
    let told = story(&house, &outer, "delivered to foo@abc.pobox.example, xyz@pobox.example.");
    assert!(told.contains(&format!("forwarded to xyz@pobox.example as message {inner}")), "{told}");
    assert!(told.contains(&format!("forwarded from message {outer}: ")), "{told}");
    assert_eq!(house.ran(&["trace", &inner], ""), told);
    let mut kinds = kinds(&house, &inner);
    kinds.sort();
    assert_eq!(kinds, ["accepted", "accepted", "delivered", "delivered", "forwarded"]);
}

#[test]
fn a_refusal_is_told_with_what_the_client_was_told() {
    let house = House::new();
    let mut session = house.smtp_session();
    session.say("MAIL FROM:<sender@elsewhere.example>", "250");
    session.say("RCPT TO:<nobody@pobox.example>", "550");
    let told = eventually("the refusal is told", LAG, || {
        Some(house.run(&["trace", "nobody@pobox.example"], "").output).filter(|told| !told.is_empty())
    });
    let words = "<sender@elsewhere.example> to nobody@pobox.example: refused, \"550 sorry, no mailbox here by that \
                 name (#5.1.1)\"";
    assert!(told.contains(words), "{told}");
    let mail = house.json(&["trace", "elsewhere.example", "--json"]);
    assert_eq!((mail.len(), &mail[0]["queue_id"]), (1, &Value::Null));
}

#[test]
fn a_message_that_waits_says_why_and_when_it_is_tried_next() {
    let house = House::new();
    house.submission_session("abc").transact("abc@pobox.example", &["u@peer.example"], &customers("later"));
    let waiting = mail_of(&house, "abc", 1, "waiting");
    assert_eq!(mail_of(&house, "u@peer.example", 1, "waiting"), waiting);
    let id = id_of(&waiting[0]);
    let told = story(&house, &id, "put off");
    assert!(told.contains("accepted from account abc at 127.0.0.1: <abc@pobox.example>"), "{told}");
    let deferred = &house.json(&["trace", &id, "--json"])[1];
    let (at, until) = (&deferred["at"], &deferred["what"]["deferred"]["until"]);
    assert!(until.as_u64() > at.as_u64(), "{deferred}");
    assert!(told.contains("; the next attempt is at 2"), "{told}");
    assert!(told.contains("How it stands: waiting for u@peer.example until 2"), "{told}");
    assert!(told.ends_with(&format!("(`hikyaku queue show {id}` shows it in the queue)\n")), "{told}");
    assert!(house.rule(&format!("queue show {id}")).contains(&format!("`hikyaku trace {id}`")));
}

#[test]
fn a_message_that_came_back_says_to_whom() {
    let house = House::new();
    house.rule("address set foo@abc.pobox.example --to nobody@pobox.example");
    house.smtp_session().transact("xyz@pobox.example", &["foo@abc.pobox.example"], &message("back"));
    house.wait_for_messages("xyz", 1);
    let outer = id_of(&mail_of(&house, "foo@abc.pobox.example", 1, "forwarded")[0]);
    let end = "did not arrive at nobody@pobox.example, and came back to xyz@pobox.example.";
    let told = story(&house, &outer, end);
    for line in [
        "nobody@pobox.example: failed for good: Sorry, no mailbox here by that name. (#5.1.1) (5.1.1)",
        "xyz@pobox.example is told that it did not arrive, by message ",
        "made as a report on message ",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    // The report is of the family, and has reached its mailbox.
    story(&house, &outer, "xyz@pobox.example: delivered to the mailbox of account xyz");
}

#[test]
fn what_operators_do_with_a_message_is_told_with_who_they_are() {
    let house = House::new();
    for to in ["u@peer.example", "v@peer.example"] {
        house.submission_session("abc").transact("abc@pobox.example", &[to], &customers("ruled"));
    }
    let id = |to: &str| id_of(&mail_of(&house, to, 1, "waiting")[0]);
    let (given_back, dropped) = (id("u@peer.example"), id("v@peer.example"));
    house.rule(&format!("queue hold {given_back}"));
    story(&house, &given_back, "; held by an operator: `hikyaku queue release` lets it go on.");
    house.rule(&format!("queue release {given_back}"));
    house.rule(&format!("queue bounce {given_back}"));
    let end = "did not arrive at u@peer.example, and came back to abc@pobox.example.";
    let told = story(&house, &given_back, end);
    for line in ["held in the queue by uid ", "let go on by uid ", "given back to its sender by uid "] {
        assert!(told.contains(line), "{line}: {told}");
    }
    house.rule(&format!("queue remove {dropped} --yes"));
    let told = story(&house, &dropped, "How it stands: thrown away for v@peer.example.");
    assert!(told.contains("thrown away by uid "), "{told}");
}

#[test]
fn a_directory_that_dies_delays_no_mail_and_the_record_is_whole_in_the_end() {
    const LOAD: usize = 300;
    let house = House::new();
    let mut session = house.smtp_session();
    for number in 0..LOAD {
        if number % 100 == 50 {
            kill(house.roles()["directory"], Signal::SIGKILL).unwrap();
        }
        let reply =
            session.transact("sender@elsewhere.example", &["abc@pobox.example"], &message("in a load"));
        assert!(reply.starts_with("250 "), "{number}: {reply}");
    }
    house.wait_for_messages("abc", LOAD);
    house.wait_for_an_empty_queue();
    assert_eq!(mail_of(&house, "abc@pobox.example", LOAD, "delivered").len(), LOAD);
    assert!(house.events("events_lost").is_empty() && house.events("events_refused").is_empty());
    assert_eq!(house.events("role_died").len(), 3);
}

#[test]
fn no_record_is_kept_where_none_is_wanted() {
    let mut house = House::new();
    house.send("abc@pobox.example", "kept");
    mail_of(&house, "abc", 1, "delivered");
    house.stop();
    let text = fs::read_to_string(&house.config).unwrap();
    fs::write(&house.config, text.replace("[log]\n", "[log]\ntrace_days = 0\n")).unwrap();
    house.start();
    house.send("abc@pobox.example", "not kept");
    house.wait_for_messages("abc", 2);
    sleep(Duration::from_secs(1));
    assert!(house.refused("trace abc").contains("trace_days"));
    let left = fs::read_dir(house.dir.path().join("data/directory/events")).unwrap().count();
    assert_eq!(left, 0);
}

/// A customer's message.
fn customers(subject: &str) -> String {
    format!("From: <abc@pobox.example>\r\nSubject: {subject}\r\n\r\nHello.\r\n")
}
