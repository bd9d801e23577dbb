//! What a mailbox answers while its owner is away (RFC 3834).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::house::{House, eventually, files_in, message, run};

const ABC: &str = "abc@pobox.example";
const XYZ: &str = "xyz@pobox.example";
const TEXT: &str = "ただいま不在にしております。\n1月5日 (月) に戻ります。\n";
const PATIENCE: Duration = Duration::from_secs(20);

/// Has an account answer with a text.
fn go_away(house: &House, account: &str, options: &str) {
    let mut arguments = vec!["account", "absence", account, "--text-file", "-"];
    arguments.extend(options.split_whitespace());
    house.ran(&arguments, TEXT);
}

/// Sends a message that has these fields, and Message-ID `<N@there.example>`.
fn send(house: &House, sender: &str, recipient: &str, fields: &str) {
    let text = format!(
        "From: <somebody@there.example>\r\nMessage-ID: <1@there.example>\r\n{fields}\r\n\r\nhello\r\n"
    );
    let reply = house.smtp_session().transact(sender, &[recipient], &text);
    assert!(reply.starts_with("250 "), "{reply}");
}

/// The answers in an account's mailbox, as Python's `email` reads them.
fn answers(house: &House, account: &str, count: usize) -> Vec<Value> {
    house.wait_for_messages(account, count);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/read_auto_reply.py");
    let read = |file: PathBuf| {
        let read = run(Command::new("python3").arg("-B").arg(&script).arg(file), "").good();
        serde_json::from_str(&read).expect("a line of JSON")
    };
    files_in(&house.maildir(account)).into_iter().map(read).collect()
}

/// Why senders were not answered so far, once so many were not.
fn silences(house: &House, count: usize) -> Vec<String> {
    let reasons = eventually(&format!("{count} are not answered"), PATIENCE, || {
        let reasons: Vec<String> = house
            .events("not_answered")
            .into_iter()
            .map(|event| event["reason"].as_str().unwrap_or_default().to_owned())
            .collect();
        (reasons.len() >= count).then_some(reasons)
    });
    house.wait_for_an_empty_queue();
    reasons
}

#[test]
fn a_sender_is_answered_once_and_the_trace_tells_of_it() {
    let mut house = House::new();
    go_away(&house, "abc", "--subject 年末年始の不在について");
    send(&house, XYZ, ABC, "To: <abc@pobox.example>\r\nReferences: <0@there.example>\r\nSubject: hello");
    let answer = answers(&house, "xyz", 1).remove(0);
    // Lines of what is encoded end as on the wire.
    assert_eq!(answer["text"], TEXT.replace('\n', "\r\n"));
    assert_eq!(answer["subject"], "年末年始の不在について");
    assert_eq!((&answer["from"], &answer["to"]), (&ABC.into(), &XYZ.into()));
    assert_eq!((&answer["auto-submitted"], &answer["return-path"]), (&"auto-replied".into(), &"<>".into()));
    assert_eq!(answer["in-reply-to"], "<1@there.example>");
    assert_eq!(answer["references"], "<0@there.example> <1@there.example>");

    send(&house, "XYZ@pobox.example", ABC, "To: <abc@pobox.example>\r\nSubject: again");
    assert_eq!(silences(&house, 1), ["of-late"]);
    assert_eq!(sent(&house), 1);
    // Nor after the power was cut, nor with another text.
    house.crash();
    house.start();
    // What was counted in the last second before a power cut may be forgotten; that somebody was answered is not.
    let before = sent(&house);
    go_away(&house, "abc", "");
    send(&house, XYZ, ABC, "To: <abc@pobox.example>\r\nSubject: once more");
    assert_eq!(silences(&house, 2), ["of-late", "of-late"]);
    assert_eq!(house.messages("xyz").len(), 1);

    // A new absence starts anew, and answers with the subject of the message.
    assert!(house.rule("account absence abc --off").contains("switched off"));
    send(&house, XYZ, ABC, "To: <abc@pobox.example>\r\nSubject: while you are here");
    house.wait_for_messages("abc", 4);
    house.ran(&["account", "absence", "abc", "--on", "--subject", ""], "");
    send(&house, XYZ, ABC, "To: <abc@pobox.example>\r\nSubject: =?utf-8?B?44GT44KT44Gr44Gh44Gv?=");
    let subjects: Vec<Value> =
        answers(&house, "xyz", 2).into_iter().map(|answer| answer["subject"].clone()).collect();
    assert!(subjects.contains(&"Auto: こんにちは".into()), "{subjects:?}");

    let answered = house.wait_for_event("answered");
    let (id, reply) = (answered["queue_id"].as_str().unwrap(), answered["reply"].as_str().unwrap());
    let story = |says: &str| {
        eventually(says, PATIENCE, || {
            Some(house.run(&["trace", id], "").output).filter(|story| story.contains(says))
        })
    };
    let told = story(&format!("answered, as its owner is away, by message {reply}"));
    assert!(told.contains(&format!("made as the automatic reply of account abc to message {id}")), "{told}");
    assert!(told.ends_with("How it stands: delivered to abc@pobox.example.\n"), "{told}");
    assert_eq!(sent(&house), before + 1);
}

/// How many messages abc has sent in this hour.
fn sent(house: &House) -> u64 {
    let account = &house.json(&["account", "show", "abc", "--json"])[0];
    account["sent"]["messages_this_hour"].as_u64().expect("a number")
}

#[test]
fn lists_programs_and_blind_copies_are_not_answered() {
    let house = House::new();
    go_away(&house, "abc", "");
    let to_me = "To: <abc@pobox.example>\r\nSubject: x";
    for (number, (sender, fields, reason)) in [
        (XYZ, "List-Id: <x.there.example>", "list"),
        (XYZ, "Precedence: bulk", "bulk"),
        (XYZ, "Auto-Submitted: auto-replied", "automatic"),
        (XYZ, "Content-Type: multipart/report; report-type=delivery-status; boundary=x", "report"),
        (XYZ, "X-Auto-Response-Suppress: OOF", "unwished"),
        (XYZ, "X-Spam-Flag: YES", "spam"),
        ("list-owner@there.example", "X: y", "sent-by-program"),
        ("foo@abc.pobox.example", "X: y", "himself"),
    ]
    .into_iter()
    .enumerate()
    {
        send(&house, sender, ABC, &format!("{to_me}\r\n{fields}"));
        assert_eq!(silences(&house, number + 1)[number], reason);
    }
    send(&house, XYZ, ABC, "To: undisclosed-recipients:;\r\nSubject: x");
    assert_eq!(silences(&house, 9)[8], "not-named");
    // What he sends on to himself; and, of which nothing is even asked, what has no sender and what he sent.
    house.rule("address set work@abc.pobox.example --to abc@pobox.example");
    send(&house, XYZ, "work@abc.pobox.example", "To: <work@abc.pobox.example>\r\nSubject: x");
    assert_eq!(silences(&house, 10)[9], "sent-on-by-himself");
    send(&house, "", ABC, to_me);
    let reply =
        house.submission_session("abc").transact(ABC, &[ABC], &format!("From: <{ABC}>\r\n{to_me}\r\n\r\n"));
    assert!(reply.starts_with("250 "), "{reply}");
    house.wait_for_messages("abc", 12);
    house.wait_for_an_empty_queue();
    assert!(house.messages("xyz").is_empty() && house.events("answered").is_empty());
    // And after all that, a person.
    send(&house, XYZ, ABC, to_me);
    assert_eq!(answers(&house, "xyz", 1)[0]["subject"], "Auto: x");
}

#[test]
fn the_answer_comes_from_the_address_that_the_sender_knows() {
    let house = House::new();
    go_away(&house, "abc", "");
    send(&house, XYZ, "shop@abc.pobox.example", "Cc: \"The shop\" <shop@ABC.pobox.example>\r\nSubject: x");
    assert_eq!(answers(&house, "xyz", 1)[0]["from"], "shop@abc.pobox.example");
}

#[test]
fn dates_are_respected_and_nonsense_is_refused_in_words() {
    let house = House::new();
    for (options, words) in [
        ("--from 2020-01-01 --until 2020-01-31", "must end after it begins, and not be over"),
        ("--from 2999-01-02 --until 2999-01-01", "must end after it begins"),
        ("--from tomorrow", "write a day like 2026-12-29"),
        ("--on", "--text-file FILE"),
    ] {
        let mut arguments = vec!["account", "absence", "abc"];
        if options != "--on" {
            arguments.extend(["--text-file", "-"]);
        }
        arguments.extend(options.split_whitespace());
        let ran = house.run(&arguments, TEXT);
        assert!(ran.code != Some(0) && ran.errors.contains(words), "{options}: {ran:?}");
    }
    assert!(house.rule("account absence abc").contains("switched off"));

    let to_me = "To: <abc@pobox.example>\r\nSubject: x";
    go_away(&house, "abc", "--from 2999-01-01");
    send(&house, XYZ, ABC, to_me);
    house.wait_for_messages("abc", 1);
    house.wait_for_an_empty_queue();
    go_away(&house, "abc", "--from 2020-01-01 --until 2999-12-31");
    let shown = &house.json(&["account", "absence", "abc", "--json"])[0];
    assert_eq!((&shown["active"], &shown["text"]), (&true.into(), &TEXT.into()));
    send(&house, XYZ, ABC, to_me);
    answers(&house, "xyz", 1);
    let trail = house.rule("audit --account abc");
    assert!(trail.contains("automatic reply of abc set from "), "{trail}");
    assert!(!house.log().contains("ただいま"), "the text is in the log");
}

#[test]
fn two_who_are_both_away_do_not_answer_one_another() {
    let house = House::new();
    go_away(&house, "abc", "");
    go_away(&house, "xyz", "");
    let text = message("hello");
    let reply =
        house.submission_session("xyz").transact(XYZ, &[ABC], &text.replace("sender@elsewhere", "xyz@pobox"));
    assert!(reply.starts_with("250 "), "{reply}");
    answers(&house, "xyz", 1);
    house.wait_for_an_empty_queue();
    assert_eq!((house.messages("abc").len(), house.messages("xyz").len()), (1, 1));
    assert_eq!(house.events("answered").len(), 1);
}

#[test]
fn over_the_limit_of_the_account_nobody_is_answered() {
    let house = House::new();
    house.rule("account set abc messages_per_hour=1");
    go_away(&house, "abc", "");
    for sender in [XYZ, "other@xyz.pobox.example"] {
        send(&house, sender, ABC, "To: <abc@pobox.example>\r\nSubject: x");
        house.wait_for_messages("xyz", 1);
    }
    assert_eq!(silences(&house, 1), ["sending"]);
    assert_eq!(house.messages("xyz").len(), 1);
}
