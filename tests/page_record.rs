//! What members and operators see of the record of events: each his own part.

use std::time::Duration;

use serde_json::Value;

use crate::house::{House, eventually, message};
use crate::page::Page;

/// How long the record may lag behind the mail.
const LAG: Duration = Duration::from_secs(20);

fn member(house: &House, name: &str) -> Page {
    let mut page = Page::of(house);
    page.sign_in(name, &format!("{name}-try"));
    assert!(page.is_in(), "{}", page.shown.html);
    page
}

/// Waits until a member's list of his mail says something.
fn list(page: &mut Page, says: &str) -> String {
    eventually(&format!("the list of mail says {says:?}"), LAG, || {
        Some(page.get("/mail").html.clone()).filter(|html| html.contains(says))
    })
}

/// The names of a message and of all that came of it, by the operator's trace.
fn family(house: &House, id: &str) -> Vec<String> {
    let mut ids: Vec<String> = house
        .json(&["trace", id, "--json"])
        .iter()
        .filter_map(|event| event["queue_id"].as_str().map(str::to_owned))
        .collect();
    ids.dedup();
    ids
}

#[test]
fn of_one_message_each_member_sees_his_own_part() {
    let house = House::new();
    house.rule("address set foo@xyz.pobox.example --to secret@there.example --keep");
    let to = ["abc@pobox.example", "foo@xyz.pobox.example", "unseen@xyz.pobox.example"];
    house.smtp_session().transact("sender@elsewhere.example", &to, &message("to several"));
    house.wait_for_messages("xyz", 2);
    let mut abc = member(&house, "abc");
    let of_abc = list(&mut abc, "sender@elsewhere.example");
    assert!(!of_abc.contains("xyz.pobox.example"), "{of_abc}");
    let id = eventually("the message is on record", LAG, || {
        let mail = house.run(&["trace", "secret@there.example", "--json"], "").output;
        let mail: Value = serde_json::from_str(mail.lines().next()?).ok()?;
        let family = family(&house, mail["queue_id"].as_str()?);
        (family.len() > 1).then(|| family[0].clone())
    });
    let html = abc.get(&format!("/mail/{id}")).html.clone();
    assert_eq!(abc.shown.status, 200);
    assert!(html.contains("abc@pobox.example"), "{html}");
    for hidden in ["xyz", "secret", "there.example", "unseen"] {
        assert!(!html.contains(hidden), "{hidden}: {html}");
    }
    let mut xyz = member(&house, "xyz");
    let html = xyz.get(&format!("/mail/{id}")).html.clone();
    assert!(html.contains("secret@there.example") && html.contains("unseen@xyz.pobox.example"), "{html}");
    assert!(!html.contains("abc@pobox.example"), "{html}");
    // Its copies have names, which open nothing to others.
    for copy in family(&house, &id).into_iter().filter(|other| *other != id) {
        assert_eq!(abc.get(&format!("/mail/{copy}")).status, 404, "{copy}");
        assert_eq!(xyz.get(&format!("/mail/{copy}")).status, 200, "{copy}");
    }
    // Nor is there a way to ask whether somebody else got it.
    abc.get("/mail?q=unseen%40xyz.pobox.example");
    assert!(!abc.shown.html.contains(&format!("/mail/{id}")), "{}", abc.shown.html);
}

#[test]
fn who_sends_is_not_told_where_another_member_has_his_mail() {
    let house = House::new();
    house.rule("address set foo@xyz.pobox.example --to secret@there.example");
    let letter = "From: <abc@pobox.example>\r\nSubject: x\r\n\r\nx\r\n";
    house.submission_session("abc").transact("abc@pobox.example", &["foo@xyz.pobox.example"], letter);
    let id = eventually("it was forwarded", LAG, || {
        let mail = house.run(&["trace", "foo@xyz.pobox.example", "--json"], "").output;
        let mail: Value = serde_json::from_str(mail.lines().next()?).ok()?;
        (mail["tally"]["forwarded"] == 1).then(|| mail["queue_id"].as_str().unwrap().to_owned())
    });
    let mut abc = member(&house, "abc");
    assert!(list(&mut abc, &id).contains("foo@xyz.pobox.example"));
    let html = abc.get(&format!("/mail/{id}")).html.clone();
    assert!(html.contains("foo@xyz.pobox.example") && !html.contains("secret"), "{html}");
}

#[test]
fn traffic_is_counted_once_also_after_a_restart() {
    let mut house = House::new();
    house.send("abc@pobox.example", "one");
    let mut session = house.smtp_session();
    session.say("MAIL FROM:<sender@elsewhere.example>", "250");
    session.say("RCPT TO:<nobody@pobox.example>", "550");
    let letter = "From: <abc@pobox.example>\r\nSubject: x\r\n\r\nx\r\n";
    house.submission_session("abc").transact("abc@pobox.example", &["xyz@pobox.example"], letter);
    let counted = |house: &House| house.json(&["traffic", "--json"]).remove(0);
    let sum = |traffic: &Value, of: &str| -> u64 {
        traffic["hours"].as_array().unwrap().iter().map(|hour| hour[of].as_u64().unwrap()).sum()
    };
    let traffic = eventually("all is counted", LAG, || {
        Some(counted(&house)).filter(|traffic| sum(traffic, "delivered") == 2 && sum(traffic, "refused") == 1)
    });
    assert_eq!(traffic["hours"].as_array().unwrap().len(), 24);
    assert_eq!((sum(&traffic, "received"), sum(&traffic, "submitted"), sum(&traffic, "failed")), (1, 1, 0));
    assert_eq!(traffic["senders"], serde_json::json!([["abc", 1, 1]]));
    assert_eq!(
        traffic["refusals"],
        serde_json::json!([["550 sorry, no mailbox here by that name (#5.1.1)", 1]])
    );
    house.stop();
    let told = house.ran(&["traffic", "--hours", "2"], "");
    assert!(told.contains("sent: abc, 1 messages to 1 recipients\n"), "{told}");
    assert!(house.refused("traffic --hours 0").contains("1..=744"));
    house.start();
    assert_eq!(sum(&counted(&house), "delivered"), 2);
}
