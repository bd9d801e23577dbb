//! Who sends: the kernel says whose program it is, and no more than that is believed.

use std::collections::BTreeMap;

use nix::unistd::geteuid;

use super::{Arrived, NEIGHBOUR, STRANGER, Site, letter};
use crate::house::{Ran, field, run};

const ABC: &str = "abc@pobox.example";
const FOO: &str = "foo@abc.pobox.example";
const ANONYMOUS: &str = "anonymous@mail.pobox.example";

/// Whether there are several users to be; `false` is said.
fn as_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("only root can be somebody else");
    }
    root
}

/// What a program of this user hands in.
fn from(site: &Site, uid: u32, words: &[&str], input: &str) -> Ran {
    run(site.command_of(uid, site.place("bin/sendmail")).args(words), input)
}

fn refused(ran: &Ran, code: i32, texts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for text in texts {
        assert!(ran.errors.contains(text), "{text:?} is not in {ran:?}");
    }
}

fn to_abc(fields: &str) -> String {
    format!("{fields}To: abc@pobox.example\n\nhello\n")
}

#[test]
fn an_account_writes_as_itself_by_any_of_its_addresses() {
    let site = Site::new();
    let mut count = 0;
    for (words, fields, path) in [
        (&["-t"][..], "", ABC),
        (&["-t"], "From: abc@pobox.example\n", ABC),
        (&["-t"], "From: Foo <foo@abc.pobox.example>\n", ABC),
        (&["-t", "-f", FOO], "From: abc@pobox.example\n", FOO),
        (&["-t"], "Return-Path: <foo@abc.pobox.example>\n", FOO),
        (&["-t", "-f", ABC], "Return-Path: <foo@abc.pobox.example>\n", ABC),
        // Somebody else's there is no sender, and no reason to lose mail either.
        (&["-t"], "Return-Path: <me@elsewhere.example>\n", ABC),
        (&["-t", "-f", ""], "", ""),
        (&["-t"], "Sender: foo@abc.pobox.example\nFrom: abc@pobox.example\n", ABC),
        (&["-t"], "Reply-To: visitor@elsewhere.example\n", ABC),
    ] {
        let before = site.house.messages("abc");
        from(&site, site.uid, words, &to_abc(fields)).good();
        count += 1;
        let messages = site.house.wait_for_messages("abc", count);
        let new = messages.iter().find(|message| !before.contains(message)).unwrap();
        assert_eq!(field(new, "Return-Path"), format!("<{path}>"), "{words:?} {fields}");
    }
}

#[test]
fn nobody_writes_as_somebody_else_by_argument_by_field_or_by_environment() {
    let site = Site::new();
    for address in ["xyz@pobox.example", "a@shop.example", "me@elsewhere.example"] {
        for (words, fields) in [
            (&["-t", "-f", address][..], String::new()),
            (&["-t"], format!("From: {address}\n")),
            (&["-t"], format!("From: =?UTF-8?B?5aSq6YOO?= <{address}>\n")),
            (&["-t"], format!("Sender: {address}\nFrom: abc@pobox.example\n")),
        ] {
            let ran = from(&site, site.uid, words, &to_abc(&fields));
            refused(&ran, 77, &[address, &format!("user id {}", site.uid)]);
        }
    }
    // Two authors are none.
    let twice = to_abc("From: abc@pobox.example\nFrom: xyz@pobox.example\n");
    assert_eq!(from(&site, site.uid, &["-t"], &twice).code, Some(65));
    site.nothing_was_sent();

    // What the environment says of the caller counts as far as it is his.
    let mut count = 0;
    for (user, host, path) in
        [("xyz", "pobox.example", ABC), ("me", "elsewhere.example", ABC), ("foo", "abc.pobox.example", FOO)]
    {
        for names in [["QMAILUSER", "QMAILHOST"], ["QMAILSUSER", "QMAILSHOST"], ["MAILUSER", "MAILHOST"]] {
            let mut command = site.face("sendmail", &["-t"]);
            run(command.env(names[0], user).env(names[1], host), &to_abc("")).good();
            count += 1;
            let paths: Vec<String> =
                site.arrived("abc", count).iter().map(|message| message.field("Return-Path")).collect();
            let expected = paths.iter().filter(|there| **there == format!("<{path}>")).count();
            assert!(expected > 0 && paths.iter().all(|path| path.contains("abc")), "{names:?}: {paths:?}");
        }
    }
}

/// Contact forms put the visitor into From: what becomes of him is the account's choice.
#[test]
fn an_account_may_keep_the_visitor_in_from_or_have_him_in_reply_to() {
    let site = Site::new();
    let visitor = "From: Hanako <hanako@elsewhere.example>\nSender: hanako@elsewhere.example\n";
    let after = |setting: &str, words: &[&str], fields: &str| -> Arrived {
        site.house.rule(&format!("account set abc script_author={setting}"));
        let before = site.house.messages("xyz").len();
        let text = format!("{fields}To: xyz@pobox.example\nSubject: {setting} {before}\n\nhello\n");
        from(&site, site.uid, words, &text).good();
        let mut messages = site.arrived("xyz", before + 1);
        let subject = format!("{setting} {before}");
        let new = messages.iter().position(|message| message.field("Subject") == subject).unwrap();
        messages.swap_remove(new)
    };
    let kept = after("keep", &["-t"], visitor);
    kept.is_sound(ABC);
    assert_eq!(kept.field("From"), "Hanako <hanako@elsewhere.example>");
    assert_eq!(kept.field("Sender"), "hanako@elsewhere.example");
    // -f of the visitor: the envelope is the customer's all the same.
    after("keep", &["-t", "-f", "hanako@elsewhere.example"], visitor).is_sound(ABC);
    after("keep", &["-t", "-f", FOO], visitor).is_sound(FOO);

    let moved = after("reply-to", &["-t", "-f", "hanako@elsewhere.example"], visitor);
    moved.is_sound(ABC);
    assert_eq!(moved.field("From"), "Hanako <abc@pobox.example>");
    assert_eq!(moved.field("Reply-To"), "Hanako <hanako@elsewhere.example>");
    assert_eq!(moved.count("Sender"), 0, "{}", moved.header);
    // A Reply-To that is there stays, and what is the customer's own anyway is not touched.
    let there = after("reply-to", &["-t"], &format!("{visitor}Reply-To: shop@elsewhere.example\n"));
    assert_eq!(there.field("Reply-To"), "shop@elsewhere.example");
    let own = after("reply-to", &["-t"], "From: Abe <foo@abc.pobox.example>\n");
    assert_eq!((own.field("From"), own.count("Reply-To")), ("Abe <foo@abc.pobox.example>".into(), 0));

    site.house.rule("account set abc script_author=own");
    let ran = from(&site, site.uid, &["-t"], &to_abc(visitor));
    refused(&ran, 77, &["hanako@elsewhere.example", "Reply-To"]);
}

#[test]
fn each_user_of_the_machine_is_his_own_customer() {
    if !as_root() {
        return;
    }
    let site = Site::new();
    from(&site, site.uid, &["-t"], &letter("by abc").replace("From: abc@pobox.example\n", "")).good();
    from(&site, NEIGHBOUR, &["-t"], &letter("by xyz").replace("From: abc@pobox.example\n", "")).good();
    let paths: BTreeMap<String, String> = site
        .arrived("abc", 2)
        .iter()
        .map(|message| (message.field("Subject"), message.is_sound(&message.field("From")).field("From")))
        .collect();
    assert_eq!(paths["by abc"], ABC);
    assert_eq!(paths["by xyz"], "xyz@pobox.example");
    refused(
        &from(&site, NEIGHBOUR, &["-t"], &letter("as abc")),
        77,
        &["abc@pobox.example", "an address of xyz"],
    );
}

#[test]
fn a_user_who_is_nobodys_sends_as_anonymous_and_hears_of_failures_by_the_postmaster() {
    if !as_root() {
        return;
    }
    let site = Site::new();
    from(&site, STRANGER, &["-t"], &to_abc("From: Hanako <hanako@elsewhere.example>\n")).good();
    let message = site.one("abc");
    message.is_sound(ANONYMOUS);
    assert_eq!(message.field("From"), format!("Hanako <{ANONYMOUS}>"));
    assert_eq!(message.field("Reply-To"), "Hanako <hanako@elsewhere.example>");
    // As a CGI script of old, which had no name at all.
    from(&site, STRANGER, &[ABC], "Subject: nameless\n\nhello\n").good();
    assert!(
        site.arrived("abc", 2).iter().all(|message| message.field("Return-Path") == format!("<{ANONYMOUS}>"))
    );
    // It is as good as any address: what comes back reaches the postmaster, who is abc.
    site.house.send(ANONYMOUS, "a bounce");
    site.house.wait_for_messages("abc", 3);
}

#[test]
fn a_user_who_is_nobodys_is_refused_where_the_operator_says_so() {
    if !as_root() {
        return;
    }
    let site = Site::with("[sendmail]\nunmapped = \"refuse\"");
    let ran = from(&site, STRANGER, &["-t"], &letter("by nobody"));
    refused(&ran, 77, &["4003", "--uid"]);
    let smtp = run(site.command_of(STRANGER, site.place("bin/sendmail")).arg("-bs"), "QUIT\r\n");
    assert!(!smtp.output.starts_with("220"), "{smtp:?}");
    site.nothing_was_sent();
    // A uid becomes an account's without a restart.
    site.house.rule(&format!("account set abc --uid {STRANGER}"));
    from(&site, STRANGER, &["-t"], &letter("by abc")).good();
    site.one("abc").is_sound(ABC);
}

#[test]
fn a_suspended_account_sends_nothing_and_neither_does_one_that_only_receives() {
    let site = Site::new();
    for (stop, go) in [("suspend", "resume"), ("receive-only", "resume")] {
        site.house.rule(&format!("account {stop} abc"));
        let ran = from(&site, site.uid, &["-t"], &letter("is not to be sent"));
        refused(&ran, 77, &["may not send", "ask the operator"]);
        let smtp = run(&mut site.face("sendmail", &["-bs"]), "QUIT\r\n");
        assert!(!smtp.output.starts_with("220"), "{smtp:?}");
        site.house.rule(&format!("account {go} abc"));
    }
    site.nothing_was_sent();
    from(&site, site.uid, &["-t"], &letter("again")).good();
    site.one("abc");
}

#[test]
fn programs_count_against_the_limits_of_their_account() {
    let site = Site::new();
    site.house.rule("account set abc messages_per_day=2 recipients_per_day=3");
    let ran = from(
        &site,
        site.uid,
        &["a@shop.example", "b@shop.example", "c@shop.example", "d@shop.example"],
        "\nx\n",
    );
    assert!(ran.code == Some(75) || ran.code == Some(69), "{ran:?}");
    for _ in 0..2 {
        from(&site, site.uid, &["a@shop.example"], "\nx\n").good();
    }
    refused(
        &from(&site, site.uid, &["a@shop.example"], "\nx\n"),
        75,
        &["account abc", "limit", "try again later"],
    );
    // By the other door as well.
    let session = "EHLO x\r\nMAIL FROM:<abc@pobox.example>\r\nQUIT\r\n";
    let smtp = run(&mut site.face("sendmail", &["-bs"]), session);
    assert!(smtp.output.contains("\n450 "), "{smtp:?}");
    site.arrived("xyz", 2);
}

#[test]
fn a_message_too_large_for_the_account_or_the_server_is_refused() {
    let site = Site::with("[limits]\nmessage_size_max = 100000");
    let text = |size: usize| {
        format!("Subject: large\n\n{}", "x".repeat(71) + "\n").repeat(1)
            + &("y".repeat(71) + "\n").repeat(size / 72)
    };
    refused(&from(&site, site.uid, &[ABC], &text(110_000)), 69, &["100000 octets"]);
    from(&site, site.uid, &[ABC], &text(90_000)).good();
    site.house.rule("account set abc message_size_max=2000");
    assert_eq!(from(&site, site.uid, &[ABC], &text(3_000)).code, Some(69));
    from(&site, site.uid, &[ABC], &text(1_000)).good();
    site.arrived("abc", 2);
}

/// Nothing is ever half sent.
#[test]
fn if_one_of_ours_does_not_exist_none_is_written_to_and_all_such_are_named() {
    let site = Site::new();
    let words = ["xyz@pobox.example", "nosuch@pobox.example", ABC, "nobody@pobox.example"];
    refused(
        &from(&site, site.uid, &words, "\nhello\n"),
        67,
        &["nosuch@pobox.example", "nobody@pobox.example"],
    );
    let field = "To: xyz@pobox.example, nosuch@pobox.example\nCc: abc@pobox.example\n\nhello\n";
    refused(&from(&site, site.uid, &["-t"], field), 67, &["nosuch@pobox.example"]);
    site.nothing_was_sent();
    // Somebody elsewhere may exist or not: who knows?
    from(&site, site.uid, &["friend@there.example"], "\nhello\n").good();
}

#[test]
fn a_failure_elsewhere_comes_back_to_the_customer() {
    let site =
        Site::with("[remote]\nname_servers = [\"127.0.0.1:1\"]\n[remote.routes]\n\"*\" = \"127.0.0.1:1\"");
    from(&site, site.uid, &["friend@there.example"], "Subject: goes nowhere\n\nhello\n").good();
    let queued = site.house.json(&["queue", "list", "--json"]);
    let id = queued[0]["id"].as_str().or(queued[0]["queue_id"].as_str()).unwrap().to_string();
    site.house.rule(&format!("queue bounce {id}"));
    let bounce = site.house.wait_for_messages("abc", 1).remove(0);
    assert_eq!(field(&bounce, "Return-Path"), "<>");
    assert!(bounce.contains("friend@there.example") && bounce.contains("goes nowhere"), "{bounce}");
}

#[test]
fn waiting_mail_is_listed_to_its_owner_alone() {
    let site = Site::new();
    let listed = |site: &Site, uid: u32, face: &str| {
        let mut command = site.command_of(uid, site.place("bin").join(face));
        if face == "sendmail" {
            command.arg("-bp");
        }
        run(&mut command, "").good()
    };
    assert!(listed(&site, site.uid, "sendmail").contains("Mail queue is empty"));
    // Nobody is there to take it.
    from(&site, site.uid, &["-t"], "Subject: waits\nTo: friend@there.example\n\nhello\n").good();
    for face in ["sendmail", "mailq"] {
        let list = listed(&site, site.uid, face);
        assert!(list.contains("friend@there.example") && list.contains(ABC), "{list}");
    }
    if as_root() {
        assert!(listed(&site, NEIGHBOUR, "mailq").contains("Mail queue is empty"));
        let all = listed(&site, 0, "mailq");
        assert!(all.contains("friend@there.example"), "{all}");
    }
}
