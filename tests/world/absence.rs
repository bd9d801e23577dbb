//! Answers of those who are away, on their way to the outside.

use super::peer::say;
use super::sink::Sink;
use super::{World, fate};
use crate::house::{field, message};

#[test]
fn an_answer_leaves_for_another_host_under_the_null_reverse_path_in_its_owners_language() {
    let world = World::new();
    let sink = Sink::start(world.host("elsewhere.example", 2));
    let house = world.house();
    house.ran(&["account", "absence", "abc", "--text-file", "-"], "不在です。\n");
    // In no charset that may be told: the words of the subject are ours, and Japanese as abc is.
    house.send("abc@pobox.example", "\u{1b}$B;n\u{1b}(B");
    let answer = sink.wait_for("=?UTF-8?B?6Ieq5YuV6L+U5L+h?=");
    assert!(answer.contains("X-Mail-Args: <>") && answer.contains("X-Rcpt-Args: <sender@elsewhere.example>"));
    assert_eq!(field(&answer, "Auto-Submitted"), "auto-replied");
    house.wait_for_an_empty_queue();
}

#[test]
fn an_answer_that_does_not_arrive_is_nobodys_trouble() {
    let world = World::new();
    let _peer = world.peer("elsewhere.example", 2, |_, command| {
        command.starts_with("RCPT").then(|| say("550 5.1.1 nobody"))
    });
    let house = world.house();
    house.ran(&["account", "absence", "xyz", "--text-file", "-"], "away\n");
    let text = message("x").replace("abc@", "xyz@");
    house.smtp_session().transact("sender@elsewhere.example", &["xyz@pobox.example"], &text);
    assert_eq!(fate(&house, "sender@elsewhere.example")["event"], "failed");
    house.wait_for_an_empty_queue();
    // abc is the postmaster.
    assert!(house.messages("abc").is_empty() && house.messages("xyz").len() == 1);
}
