//! The operator's queue: mail that waits is found, held, retried, returned and removed.

use std::time::Duration;

use serde_json::Value;

use crate::house::{House, eventually};

/// All mail for other hosts waits: nobody listens there.
const NOWHERE: &str = "[remote.routes]\n\"*\" = \"127.0.0.1:1\"\n";
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends as a customer; the message has so many octets and some more.
fn submit(house: &House, account: &str, to: &[&str], octets: usize) {
    let text = format!(
        "From: <{account}@pobox.example>\r\nSubject: {account} waits\r\n\r\n{}\r\n",
        "x".repeat(70).repeat(octets / 70)
    );
    let reply = house.submission_session(account).transact(&format!("{account}@pobox.example"), to, &text);
    assert!(reply.starts_with("250 "), "{reply}");
}

/// A server in which three messages wait that were tried: of abc to peer, of abc to peer and other (the
/// largest), of xyz to other.
fn house_of_waiting() -> House {
    let house = House::with(NOWHERE);
    submit(&house, "abc", &["u@peer.example"], 100);
    submit(&house, "abc", &["v@peer.example", "w@other.example"], 200_000);
    submit(&house, "xyz", &["x@other.example"], 100);
    eventually("all were tried and nothing is in hand", PATIENCE, || {
        let all = house.json(&["queue", "list", "--json"]);
        let tried = house.events("deferred").len() >= 4;
        (tried && all.len() == 3 && all.iter().all(|message| message["in_hand"] == 0)).then_some(())
    });
    house
}

/// The messages that are meant by these arguments.
fn listed(house: &House, filter: &str) -> Vec<Value> {
    let arguments = ["queue", "list", "--json"].into_iter().chain(filter.split_whitespace());
    house.json(&arguments.collect::<Vec<_>>())
}

fn senders(house: &House, filter: &str) -> Vec<String> {
    let sender = |message: &Value| message["account"].as_str().unwrap().to_owned();
    listed(house, filter).iter().map(sender).collect()
}

#[test]
fn messages_are_found_by_what_they_have() {
    let house = house_of_waiting();
    for (filter, expected) in [
        ("", &["abc", "abc", "xyz"][..]),
        ("--all", &["abc", "abc", "xyz"]),
        ("--sender abc@pobox.example", &["abc", "abc"]),
        ("--sender pobox.example --recipient x@OTHER.example", &["xyz"]),
        ("--account xyz", &["xyz"]),
        ("--domain other.example", &["abc", "xyz"]),
        ("--domain other.example --account abc", &["abc"]),
        ("--larger-than 100K", &["abc"]),
        ("--older-than 1h", &[]),
        ("--older-than 0s", &["abc", "abc", "xyz"]),
        ("--reason CONNECTION --domain peer.example", &["abc", "abc"]),
        ("--reason nobody-said-this", &[]),
        ("--held", &[]),
    ] {
        assert_eq!(senders(&house, filter), expected, "{filter}");
    }
    let large = &listed(&house, "--larger-than 100K")[0];
    let id = large["id"].as_str().unwrap();
    assert_eq!(listed(&house, id).len(), 1);

    let shown = house.ran(&["queue", "show", id], "");
    for part in ["account   abc", "to        v@peer.example: waiting, tried 1 times, next ", "onnection"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json = &house.json(&["queue", "show", id, "--json"])[0];
    assert_eq!(json["recipients"][1]["address"], "w@other.example");
    assert_eq!(json["summary"]["size"], large["size"]);
    let header = house.ran(&["queue", "show", id, "--header"], "");
    assert!(header.contains("Subject: abc waits\r\n") && !header.contains("xxx"), "{header}");
    let body = house.ran(&["queue", "show", id, "--body"], "");
    assert_eq!(body.len() as u64, large["size"].as_u64().unwrap());
    assert!(body.starts_with(&header) && body.ends_with("xxx\r\n"));
    let uid = u64::from(nix::unistd::geteuid().as_raw());
    assert_eq!(
        (house.events("read").len(), &house.events("read")[0]["by"]),
        (2, &Value::from(format!("uid {uid}")))
    );
    // One that lies in the log itself.
    let small = listed(&house, "--account xyz")[0]["id"].as_str().unwrap().to_owned();
    assert!(house.ran(&["queue", "show", &small, "--body"], "").contains("Subject: xyz waits\r\n"));

    let by = |what: &str| house.json(&["queue", "stats", "--by", what, "--json"]);
    let counts = |group: &Value| (group["messages"].as_u64().unwrap(), group["recipients"].as_u64().unwrap());
    let domains = by("domain");
    assert_eq!(domains.iter().map(counts).collect::<Vec<_>>(), [(2, 2), (2, 2)]);
    assert_eq!((&domains[0]["name"], &domains[1]["name"]), (&"other.example".into(), &"peer.example".into()));
    assert_eq!((by("account")[0]["name"].as_str(), counts(&by("account")[0])), (Some("abc"), (2, 3)));
    assert_eq!(by("sender")[1]["name"], "<xyz@pobox.example>");
    let reasons = by("reason");
    assert_eq!(reasons.iter().map(|group| counts(group).1).sum::<u64>(), 4, "{reasons:?}");
    let told = house.ran(&["queue", "stats", "--by", "domain", "--top", "1", "--account", "abc"], "");
    assert!(told.contains("peer.example") && told.contains("the largest 1 of 2"), "{told}");
}

#[test]
fn held_mail_is_not_tried_whatever_happens_to_the_server_until_it_is_released() {
    let mut house = house_of_waiting();
    let held = house.ran(&["queue", "hold", "--domain", "peer.example"], "");
    assert!(held.starts_with("2 messages held;"), "{held}");
    let again = house.ran(&["queue", "hold", "--domain", "peer.example"], "");
    assert!(again.contains("0 messages held") && again.contains("2 messages held already"), "{again}");
    let uid = u64::from(nix::unistd::geteuid().as_raw());
    let events = house.events("held");
    assert!(
        events.len() == 2 && events.iter().all(|event| event["by"] == format!("uid {uid}")),
        "{events:?}"
    );
    assert!(house.ran(&["queue", "list", "--held"], "").lines().all(|line| line.ends_with("  held")));
    assert_eq!(house.json(&["queue", "stats", "--json"])[0]["held"], 2);

    house.crash();
    house.start();
    assert_eq!(senders(&house, "--held"), ["abc", "abc"]);
    let tried = |house: &House, domain: &str| {
        let suffix = format!("@{domain}");
        let events = house.events("deferred");
        events.iter().filter(|event| event["to"].as_str().unwrap().ends_with(&suffix)).count()
    };
    let (peer, other) = (tried(&house, "peer.example"), tried(&house, "other.example"));
    let retried = house.ran(&["queue", "retry", "--all"], "");
    assert!(retried.starts_with("1 message to be tried now\n2 messages had nothing to try"), "{retried}");
    eventually("the one that is not held is tried again", PATIENCE, || {
        (tried(&house, "other.example") > other).then_some(())
    });
    assert_eq!(tried(&house, "peer.example"), peer);

    let released = house.ran(&["queue", "release", "--held"], "");
    assert!(released.starts_with("2 messages released"), "{released}");
    assert!(
        house.ran(&["queue", "retry", "--domain", "peer.example"], "").contains("2 messages to be tried")
    );
    eventually("what was held is tried again", PATIENCE, || {
        (tried(&house, "peer.example") >= peer + 2).then_some(())
    });
    assert_eq!((house.events("released").len(), house.events("retried").len()), (2, 3));
}

#[test]
fn the_recipients_that_are_asked_for_are_returned_with_a_report_and_no_other() {
    let house = house_of_waiting();
    let returned = house.ran(&["queue", "bounce", "--recipient", "w@other.example"], "");
    assert!(returned.starts_with("1 message returned"), "{returned}");
    let report = house.wait_for_messages("abc", 1).remove(0);
    for part in ["Final-Recipient: rfc822; w@other.example", "Status: 5.7.0", "Subject: abc waits"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(!report.contains("v@peer.example"), "{report}");
    let left = &listed(&house, "--larger-than 100K")[0];
    assert_eq!((&left["waiting"], &left["done"]), (&1.into(), &1.into()));
    let shown = house.ran(&["queue", "show", left["id"].as_str().unwrap()], "");
    assert!(
        shown.contains("w@other.example: failed") && shown.contains("Returned by the postmaster"),
        "{shown}"
    );
    assert_eq!(senders(&house, "--domain other.example"), ["xyz"]);

    // All of it; held or not, and the reports that this makes are not returned in turn.
    house.ran(&["queue", "hold", "--all"], "");
    let returned = house.ran(&["queue", "bounce", "--all", "--json"], "");
    assert_eq!(returned.lines().count(), 3, "{returned}");
    house.wait_for_messages("abc", 3);
    house.wait_for_messages("xyz", 1);
    house.wait_for_an_empty_queue();
    assert_eq!(house.events("bounced").len(), 4);
}

#[test]
fn what_is_removed_is_named_and_nobody_is_told() {
    let house = house_of_waiting();
    let refused = house.refused("queue remove --account abc");
    assert!(refused.contains("--yes"), "{refused}");
    assert_eq!(house.queued(), 3);
    let removed = house.ran(&["queue", "remove", "--account", "abc", "--yes"], "");
    let lines: Vec<&str> = removed.lines().collect();
    assert_eq!((lines.len(), lines[2]), (3, "2 messages removed"), "{removed}");
    assert!(lines[0].starts_with("removed  ") && lines[0].contains("<abc@pobox.example>"), "{removed}");
    assert_eq!(senders(&house, ""), ["xyz"]);

    for (command, sentence) in [
        ("queue remove --yes", "say which messages"),
        ("queue hold", "or --all"),
        ("queue remove --account abc --yes", "no message in the queue is meant"),
        ("queue retry 0000000000000", "no message in the queue is meant"),
        ("queue stats --account abc", "--by domain"),
        ("queue show 0000000000000 --body", "no message 0000000000000 is in the queue"),
        ("queue destinations --retry gone.example", "nothing is known of gone.example"),
    ] {
        let refused = house.refused(command);
        assert!(refused.contains(sentence), "{command}: {refused}");
        assert_eq!(house.run(&command.split(' ').collect::<Vec<_>>(), "").code, Some(1), "{command}");
    }
    assert_eq!(house.run(&["queue", "hold", "--all", "--held"], "").code, Some(2));
    house.ran(&["queue", "remove", "--all", "--yes"], "");
    assert_eq!((house.queued(), house.events("removed").len()), (0, 3));
    assert!(house.messages("abc").is_empty() && house.events("reported").is_empty());
}

#[test]
fn destinations_in_trouble_are_shown_and_tried_again() {
    let house = house_of_waiting();
    let known = house.json(&["queue", "destinations", "--json"]);
    let troubled = known.iter().find(|known| known["failures"] != 0).expect("somebody was not reached");
    let name = troubled["name"].as_str().unwrap();
    let told = house.ran(&["queue", "destinations"], "");
    assert!(told.contains(name) && told.contains("in a row"), "{told}");
    assert!(house.ran(&["queue", "destinations", "--retry", name], "").contains("is tried again"));
    assert_eq!(house.wait_for_event("resumed")["destination"], name);
}
