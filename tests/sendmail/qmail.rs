//! Programs written to qmail's own commands, and the field's hook for filters, `QMAILQUEUE`.

use std::fs;

use super::{Arrived, Site};
use crate::house::{Ran, run};

const ABC: &str = "abc@pobox.example";
const FOO: &str = "foo@abc.pobox.example";
const MESSAGE: &str = "To: abc@pobox.example\nSubject: by a qmail name\n\nhello\n";

fn inject(site: &Site, words: &[&str], input: &str) -> Ran {
    run(&mut site.face("qmail-inject", words), input)
}

/// The header that `qmail-inject -n` would send, with these variables set.
fn shown(site: &Site, variables: &[(&str, &str)], words: &[&str], input: &str) -> String {
    let mut command = site.face("qmail-inject", &[&["-n"], words].concat());
    run(command.envs(variables.iter().copied()), input).good()
}

/// Calls qmail-queue with this envelope, in which `\0` is a NUL.
fn qmail_queue(site: &Site, envelope: &str, message: &str) -> Option<i32> {
    let mut command = site.script_command("python3", "qmail_queue.py");
    let program = site.place("bin/qmail-queue");
    run(command.arg(program).arg(envelope), message).code
}

/// Sends a message through a filter of `scripts/filters`.
fn filtered(site: &Site, face: &str, filter: &str) -> Ran {
    let source = site.script_command("sh", &format!("filters/{filter}.sh"));
    let mut command = site.face(face, &[ABC]);
    // What forward needs, and nobody else looks at.
    command.env("SENDER", ABC).env("NEWSENDER", ABC).env("DTLINE", "Delivered-To: list@abc.pobox.example\n");
    run(command.env("QMAILQUEUE", source.get_args().next().unwrap()), MESSAGE)
}

#[test]
fn qmail_inject_takes_recipients_from_where_its_options_say() {
    let site = Site::new();
    for (words, recipients) in [
        (&[][..], &["abc"][..]),
        (&["-A"], &["abc"]),
        (&["-A", "xyz@pobox.example"], &["xyz"]),
        (&["xyz@pobox.example"], &["xyz"]),
        (&["-a", "xyz@pobox.example"], &["xyz"]),
        (&["-h", "xyz@pobox.example"], &["abc"]),
        (&["-H", "xyz@pobox.example"], &["abc", "xyz"]),
        (&["-N", "-f", FOO], &["abc"]),
        (&["-ffoo@abc.pobox.example", "-h"], &["abc"]),
    ] {
        let there = |account: &str| site.house.messages(account).len();
        let before = (there("abc"), there("xyz"));
        inject(&site, words, MESSAGE).good();
        let came = |account: &str| usize::from(recipients.contains(&account));
        let abc = site.arrived("abc", before.0 + came("abc"));
        let xyz = site.arrived("xyz", before.1 + came("xyz"));
        let from_foo = |messages: &[Arrived]| {
            messages.iter().filter(|message| message.field("Return-Path") == format!("<{FOO}>")).count()
        };
        if words.iter().any(|word| word.starts_with("-f")) {
            assert!(from_foo(&abc) > 0, "{words:?}");
        }
        for message in abc.iter().chain(&xyz) {
            message.is_sound(message.field("Return-Path").trim_matches(['<', '>']));
        }
    }
}

#[test]
fn qmail_inject_fails_by_100_and_111_and_says_fatal() {
    let mut site = Site::with("[sendmail]\nspool = false");
    for (words, input) in [
        (&["-z"][..], MESSAGE),
        (&["-a"], MESSAGE),
        (&["-h", ABC], "Subject: to nobody\n\nhello\n"),
        (&["nosuch@pobox.example"], MESSAGE),
        (&["-f", "me@elsewhere.example"], MESSAGE),
        (&["a\nb@pobox.example"], MESSAGE),
    ] {
        let ran = inject(&site, words, input);
        assert_eq!(ran.code, Some(100), "{words:?}: {ran:?}");
        assert!(ran.errors.starts_with("qmail-inject: "), "{words:?}: {ran:?}");
    }
    assert!(inject(&site, &["-z"], "").errors.starts_with("qmail-inject: illegal option -- z\n"));
    site.nothing_was_sent();
    site.house.stop();
    let ran = inject(&site, &[ABC], MESSAGE);
    assert_eq!(ran.code, Some(111), "{ran:?}");
    assert!(ran.errors.starts_with("qmail-inject: fatal: "), "{ran:?}");
}

#[test]
fn qmail_inject_shows_what_it_would_send() {
    let site = Site::new();
    let text = shown(&site, &[], &[], "To: abc\nBcc: xyz@pobox.example\nSubject: shown\n\nbody\n");
    let (header, body) = text.split_once("\n\n").unwrap();
    assert_eq!(body, "body\n");
    assert!(header.starts_with("Return-Path: <abc@pobox.example>\n"), "{header}");
    let names: Vec<&str> = header.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(names, ["Return-Path", "Date", "Message-ID", "From", "To", "Subject"]);
    assert!(header.contains("\nTo: abc@pobox.example\n"), "a short address is completed: {header}");
    // Neither To nor Cc.
    let text = shown(&site, &[], &["-a", ABC], "Subject: shown\n\nbody\n");
    assert!(text.contains("\nCc: recipient list not shown: ;\n"), "{text}");
    // A message that is sent once more.
    let text = shown(
        &site,
        &[],
        &[],
        "Resent-To: xyz@pobox.example\nFrom: abc@pobox.example\nTo: a@b.example\n\nbody\n",
    );
    for name in ["Resent-Date: ", "Resent-Message-ID: ", "Resent-From: "] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    assert!(!text.contains("\nDate: ") && !text.contains("\nMessage-ID: "), "{text}");
    site.nothing_was_sent();
}

#[test]
fn the_environment_says_what_it_said_to_qmail_inject() {
    let site = Site::new();
    let text = "To: xyz@pobox.example\n\nbody\n";
    let field = |variables: &[(&str, &str)], text: &str, name: &str| {
        crate::house::field(&shown(&site, variables, &[], text), name)
    };
    let foo = [("QMAILUSER", "foo"), ("QMAILHOST", "abc.pobox.example")];
    assert_eq!(field(&foo, text, "From"), FOO);
    assert_eq!(field(&foo, text, "Return-Path"), format!("<{FOO}>"));
    assert_eq!(field(&[("QMAILNAME", "Q Name")], text, "From"), "\"Q Name\" <abc@pobox.example>");
    assert_eq!(field(&[("MAILNAME", "M"), ("NAME", "N")], text, "From"), "\"M\" <abc@pobox.example>");
    let comment = [("QMAILINJECT", "c"), ("NAME", "N")];
    assert_eq!(field(&comment, text, "From"), "abc@pobox.example (N)");
    let returned = format!("Return-Path: <{FOO}>\nFrom: {FOO}\nMessage-ID: <1@x>\n{text}");
    assert_eq!(field(&[], &returned, "Return-Path"), format!("<{FOO}>"));
    assert_eq!(field(&[("QMAILINJECT", "s")], &returned, "Return-Path"), format!("<{ABC}>"));
    assert_eq!(field(&[("QMAILINJECT", "f")], &returned, "From"), ABC);
    assert_eq!(field(&[], &returned, "Message-ID"), "<1@x>");
    assert_ne!(field(&[("QMAILINJECT", "i")], &returned, "Message-ID"), "<1@x>");
    let hosts = [("QMAILDEFAULTHOST", "shop.example"), ("QMAILIDHOST", "id.example")];
    let short = "To: somebody\n\nbody\n";
    assert_eq!(field(&hosts, short, "To"), "somebody@shop.example");
    assert!(field(&hosts, short, "Message-ID").ends_with("@id.example>"));
    assert_eq!(field(&[("QMAILDEFAULTDOMAIN", "example")], "To: a@shop\n\nbody\n", "To"), "a@shop.example");
    assert_eq!(field(&[("QMAILPLUSDOMAIN", "example")], "To: a@shop+\n\nbody\n", "To"), "a@shop.example");

    fs::write(site.place("www/lists"), "list@lists.example\n").unwrap();
    let lists = [("QMAILMFTFILE", "lists")];
    let to_list = "To: List@Lists.example\nCc: b@there.example\n\nbody\n";
    let follow_up = field(&lists, to_list, "Mail-Followup-To");
    assert!(follow_up.to_lowercase().contains("list@lists.example") && follow_up.contains("b@there.example"));
    assert!(!shown(&site, &lists, &[], text).contains("Mail-Followup-To"));
}

#[test]
fn a_reverse_path_for_each_recipient_comes_back_to_its_owner() {
    let site = Site::new();
    let mut command = site.face("qmail-inject", &["xyz@pobox.example", FOO]);
    run(command.env("QMAILINJECT", "r"), "Subject: a list\n\nhello\n").good();
    let (abc, xyz) = (site.one("abc"), site.one("xyz"));
    assert_eq!(xyz.field("Return-Path"), "<abc-xyz=pobox.example@pobox.example>");
    assert_eq!(abc.field("Return-Path"), "<abc-foo=abc.pobox.example@pobox.example>");
}

#[test]
fn qmail_queue_takes_what_its_descriptors_say() {
    let site = Site::new();
    let envelope = format!("F{FOO}\\0T{ABC}\\0Txyz@pobox.example\\0\\0");
    assert_eq!(
        qmail_queue(&site, &envelope, "Subject: as it is\nBcc: stays@there.example\n\nhello\n.\n"),
        Some(0)
    );
    for message in [site.one("abc"), site.one("xyz")] {
        assert_eq!(message.field("Return-Path"), format!("<{FOO}>"));
        assert_eq!(message.field("Bcc"), "stays@there.example", "it is handed in as it is");
        assert_eq!((message.count("Date"), message.count("From")), (0, 0), "{}", message.header);
        assert!(message.field("Received").contains(&format!("user id {}", site.uid)), "{}", message.header);
        assert_eq!(message.body, b"hello\n.\n");
    }
    // What follows the end is none of its business, and a null reverse-path is one.
    assert_eq!(qmail_queue(&site, &format!("F\\0T{ABC}\\0\\0 and more"), MESSAGE), Some(0));
    assert!(site.arrived("abc", 2).iter().any(|message| message.field("Return-Path") == "<>"));
}

#[test]
fn qmail_queue_fails_by_its_own_codes() {
    let mut site = Site::with("[sendmail]\nspool = false\n[limits]\nmessage_size_max = 100000");
    let long = "a".repeat(1003);
    for (envelope, code) in [
        (format!("Fabc@pobox.example\\0T{ABC}\\0"), 54),
        ("Fabc@pobox.example".into(), 54),
        (String::new(), 54),
        (format!("Xabc@pobox.example\\0T{ABC}\\0\\0"), 91),
        (format!("Fabc@pobox.example\\0X{ABC}\\0\\0"), 91),
        (format!("F{long}\\0T{ABC}\\0\\0"), 11),
        (format!("Fabc@pobox.example\\0T{long}\\0\\0"), 11),
        ("Fabc@pobox.example\\0Tnosuch@pobox.example\\0\\0".into(), 31),
        (format!("Fme@elsewhere.example\\0T{ABC}\\0\\0"), 31),
    ] {
        assert_eq!(qmail_queue(&site, &envelope, MESSAGE), Some(code), "{envelope}");
    }
    // qmail-queue queued a message to nobody, and forgot it.
    assert_ne!(qmail_queue(&site, "Fabc@pobox.example\\0\\0", MESSAGE), Some(0));
    let good = format!("Fabc@pobox.example\\0T{ABC}\\0\\0");
    assert_eq!(qmail_queue(&site, &good, &format!("\n{}", "x\n".repeat(60_000))), Some(31));
    site.nothing_was_sent();
    site.house.stop();
    let away = qmail_queue(&site, &good, MESSAGE).unwrap();
    assert!((51..=81).contains(&away), "exit {away}: callers try again after these");
}

#[test]
fn forward_sends_on_what_is_being_delivered() {
    let site = Site::new();
    let dtline = "Delivered-To: list@abc.pobox.example\n";
    let forward = |input: &str| {
        let mut command = site.face("forward", &["xyz@pobox.example", FOO]);
        run(command.env("SENDER", FOO).env("NEWSENDER", FOO).env("DTLINE", dtline), input)
    };
    forward(MESSAGE).good();
    for message in [site.one("abc"), site.one("xyz")] {
        assert_eq!(message.field("Return-Path"), format!("<{FOO}>"));
        assert!(message.header.contains("\nDelivered-To: list@abc.pobox.example\n"), "{}", message.header);
        assert_eq!(message.body, b"hello\n");
    }
    // Where it has been, it does not go again.
    let again = forward(&format!("{dtline}{MESSAGE}"));
    assert_eq!(again.code, Some(100), "{again:?}");
    let nobody = run(&mut site.face("forward", &[""; 0]), MESSAGE);
    assert_eq!(nobody.code, Some(100), "{nobody:?}");
    site.arrived("xyz", 1);
}

#[test]
fn a_filter_stands_between_a_caller_and_the_queue() {
    let site = Site::new();
    for (face, count) in [("sendmail", 1), ("qmail-inject", 2), ("forward", 3)] {
        filtered(&site, face, "marks").good();
        let messages = site.arrived("abc", count);
        assert!(messages.iter().all(|message| message.field("X-Filter") == "seen"), "{face}: {messages:#?}");
    }
    filtered(&site, "sendmail", "hands_on").good();
    for message in site.arrived("abc", 4).iter().filter(|message| message.count("From") == 1) {
        message.is_sound(ABC);
        assert_eq!(message.body, b"hello\n");
    }
}

#[test]
fn what_a_filter_refuses_is_refused_in_the_callers_manner() {
    let site = Site::new();
    for (filter, sendmail, inject) in
        [("refuses", 69, 100), ("says", 69, 100), ("later", 75, 111), ("dies", 75, 111)]
    {
        for (face, code) in [("sendmail", sendmail), ("qmail-inject", inject), ("forward", inject)] {
            let ran = filtered(&site, face, filter);
            assert_eq!(ran.code, Some(code), "{face}, {filter}: {ran:?}");
            assert!(filter != "says" || ran.errors.contains("this looks like a virus"), "{ran:?}");
        }
    }
    // Neither a program that is not there sends anything.
    let mut command = site.face("sendmail", &[ABC]);
    assert_eq!(run(command.env("QMAILQUEUE", "/nonexistent"), MESSAGE).code, Some(75));
    site.nothing_was_sent();
}

#[test]
fn an_operator_may_switch_filters_off() {
    let site = Site::with("[sendmail]\nqmailqueue = false");
    filtered(&site, "sendmail", "refuses").good();
    site.one("abc");
}
