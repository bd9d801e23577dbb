//! Customers send to the outside: by SMTP AUTH, and after a mailbox check; and hear of what failed.

use super::peer::say;
use super::sink::Sink;
use super::{World, fate, letter, send};
use crate::house::field;

const HOME: [u8; 4] = [127, 0, 0, 33];

#[test]
fn customers_send_out_by_auth_and_after_a_mailbox_check_and_strangers_do_not() {
    let world = World::new();
    let sink = Sink::start(world.host("there.example", 2));
    let house = world.house();
    send(&house, &["friend@there.example"], "by auth");
    let by_auth = sink.wait_for("by auth");
    for name in ["Date", "Message-ID"] {
        assert!(!field(&by_auth, name).is_empty(), "{name} of {by_auth}");
    }

    let mut smtp = house.smtp_session_from(HOME);
    smtp.say("MAIL FROM:<abc@pobox.example>", "250");
    smtp.say("RCPT TO:<friend@there.example>", "553");
    assert!(house.check_mail_from(HOME, "abc", "abc-try").starts_with("+OK"));
    smtp.say("RSET", "250");
    let reply = smtp.transact("abc@pobox.example", &["friend@there.example"], &letter("after a check"));
    assert!(reply.starts_with("250 "), "{reply}");
    sink.wait_for("after a check");
    // To a neighbour at home and to the world at once: each gets one copy.
    let reply = smtp.transact(
        "abc@pobox.example",
        &["xyz@pobox.example", "friend@there.example", "other@there.example"],
        &letter("to all of you"),
    );
    assert!(reply.starts_with("250 "), "{reply}");
    let text = sink.wait_for("to all of you");
    assert_eq!(text.matches("X-Rcpt-Args: ").count(), 2, "one copy for both of them: {text}");
    house.wait_for_messages("xyz", 1);
    house.wait_for_an_empty_queue();
    assert_eq!(sink.count(), 3);
}

#[test]
fn what_a_forward_sends_out_goes_out_in_its_owners_name() {
    let world = World::new();
    let sink = Sink::start(world.host("there.example", 2));
    let house = world.house();
    house.rule("address set work@abc.pobox.example --to friend@there.example");
    house.send("work@abc.pobox.example", "forwarded");
    let text = sink.wait_for("forwarded");
    assert!(text.contains("X-Rcpt-Args: <friend@there.example>"), "{text}");
    house.wait_for_an_empty_queue();
}

/// In the sender's language, with the words of the other side; and no report of a report.
#[test]
fn a_bounce_comes_back_to_the_customers_mailbox() {
    let world = World::new();
    let _peer = world.peer("there.example", 2, |_, command| {
        command.starts_with("RCPT").then(|| say("550 5.7.1 we do not know you"))
    });
    let house = world.house();
    send(&house, &["friend@there.example"], "unwanted");
    let report = house.wait_for_messages("abc", 1).remove(0);
    assert_eq!(field(&report, "Return-Path"), "<>");
    for words in ["friend@there.example", "we do not know you", "Status: 5.7.1", "unwanted", "there.example"]
    {
        assert!(report.contains(words), "no {words} in {report}");
    }
    // A stranger's mail that a forward sends on: the stranger hears of it, elsewhere.
    let back = Sink::start(world.host("elsewhere.example", 3));
    house.rule("address set work@abc.pobox.example --to friend@there.example");
    house.send("work@abc.pobox.example", "unwanted, too");
    assert_eq!(fate(&house, "sender@elsewhere.example")["event"], "delivered");
    let reports = back.messages();
    assert!(reports[0].contains("X-Mail-Args: <>"), "{reports:?}");
    house.wait_for_an_empty_queue();
    // And where that cannot be brought either, nobody gets a report of the report.
    let _refuses =
        world.peer("refuses.example", 4, |_, command| command.starts_with("RCPT").then(|| say("550 no")));
    let bare = "Subject: unwanted, again\r\n\r\nhello\r\n";
    house.smtp_session().transact("a@refuses.example", &["work@abc.pobox.example"], bare);
    assert_eq!(fate(&house, "a@refuses.example")["event"], "failed");
    house.wait_for_an_empty_queue();
    assert_eq!(back.count(), 1);
}
