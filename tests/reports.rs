//! What senders hear of their messages (RFC 3461, RFC 3464), as another program reads it.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{House, eventually, files_in, message, run};
use crate::wire::{Wire, stuffed};

/// Nobody at our own domain: what goes there comes back at once.
const DEAD: &str = "nobody@pobox.example";
const XYZ: &str = "xyz@pobox.example";

/// Every report in an account's mailbox, as Python's `email` reads it.
fn reports(house: &House, account: &str, count: usize) -> Vec<Value> {
    house.wait_for_messages(account, count);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/read_report.py");
    let read = |file: PathBuf| {
        let read = run(Command::new("python3").arg("-B").arg(&script).arg(file), "").good();
        serde_json::from_str(&read).expect("a line of JSON")
    };
    files_in(&house.maildir(account)).into_iter().map(read).collect()
}

/// Sends a message with these parameters of MAIL, to recipients with those of RCPT.
fn transact(wire: &mut Wire, sender: &str, parameters: &str, recipients: &[(&str, &str)], text: &str) {
    wire.say(format!("MAIL FROM:<{sender}> {parameters}").trim_end(), "250");
    for (recipient, parameters) in recipients {
        wire.say(format!("RCPT TO:<{recipient}> {parameters}").trim_end(), "250");
    }
    wire.say("DATA", "354");
    wire.send(stuffed(text).as_bytes());
    wire.expect("250");
}

/// A house with accounts that are written to in English, and an address that leads nowhere.
fn house(lines: &str) -> House {
    let house = House::with(lines);
    house.add_account("neko");
    house.rule(&format!("address set lost@abc.pobox.example --to {DEAD}"));
    house
}

#[test]
fn a_failure_is_reported_by_the_names_that_the_sender_gave_with_the_whole_message() {
    let house = house("");
    let wishes = [("lost@abc.pobox.example", "NOTIFY=FAILURE ORCPT=rfc822;a+2Bb@there.example")];
    let mut smtp = house.smtp_session();
    transact(&mut smtp, "neko@pobox.example", "RET=FULL ENVID=QQ+2B1", &wishes, &message("lost"));
    let report = reports(&house, "neko", 1).remove(0);
    assert_eq!(report["subject"], "failure notice");
    assert_eq!(report["message"]["Original-Envelope-Id"], "QQ+1");
    assert_eq!(report["message"]["Reporting-MTA"], "dns; mail.pobox.example");
    let told = &report["recipients"][0];
    for (name, value) in [
        ("Original-Recipient", "rfc822; a+b@there.example"),
        ("Final-Recipient", "rfc822; nobody@pobox.example"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
    ] {
        assert_eq!(told[name], value, "{report:#}");
    }
    assert!(told["Last-Attempt-Date"].is_string());
    let text = report["text"].as_str().unwrap();
    for words in
        ["There is no such address.", "(You wrote to a+b@there.example.)", "Please check the address"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(report["original"]["subject"], "lost");
    assert!(report["original"]["body"].is_string(), "{report:#}");
}

#[test]
fn a_failure_has_the_header_alone_unless_more_was_asked_for_or_if_that_is_too_much() {
    let house = house("");
    let lost = [("lost@abc.pobox.example", "")];
    let mut smtp = house.smtp_session();
    let large = format!("{}{}", message("large"), "0123456789\r\n".repeat(5_000));
    transact(&mut smtp, "neko@pobox.example", "", &lost, &message("small"));
    transact(&mut smtp, "neko@pobox.example", "RET=FULL", &lost, &large);
    for report in reports(&house, "neko", 2) {
        assert!(["small", "large"].contains(&report["original"]["subject"].as_str().unwrap()));
        assert_eq!(report["original"].as_object().unwrap().len(), 1, "{report:#}");
    }
}

#[test]
fn success_is_reported_where_it_was_asked_for_and_nothing_where_it_was_excluded() {
    let house = house("");
    let wishes = [
        (XYZ, "NOTIFY=SUCCESS,FAILURE"),
        ("abc@pobox.example", ""),
        ("lost@abc.pobox.example", "NOTIFY=NEVER"),
    ];
    transact(&mut house.smtp_session(), "neko@pobox.example", "RET=FULL", &wishes, &message("arrives"));
    house.wait_for_messages("xyz", 1);
    house.wait_for_messages("abc", 1);
    let report = reports(&house, "neko", 1).remove(0);
    assert_eq!(report["subject"], "delivery report");
    assert_eq!(report["recipients"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(report["recipients"][0]["Action"], "delivered");
    assert_eq!(report["recipients"][0]["Final-Recipient"], format!("rfc822; {XYZ}"));
    assert_eq!(report["original"], json!({ "subject": "arrives" }), "what went well comes back as a header");
    house.wait_for_an_empty_queue();
    assert_eq!(house.messages("neko").len(), 1);
}

#[test]
fn a_report_is_in_the_language_of_its_reader() {
    let house = house("");
    let lost = [("lost@abc.pobox.example", "")];
    house.ran(&["account", "add", "inu", "--language", "ja"], "inu-try\n");
    transact(&mut house.smtp_session(), "inu@pobox.example", "", &lost, &message("迷子"));
    let report = reports(&house, "inu", 1).remove(0);
    assert_eq!(report["subject"], "メールをお届けできませんでした");
    let text = report["text"].as_str().unwrap();
    assert!(
        text.contains("このメールアドレスは見つかりませんでした。") && text.contains("no such address"),
        "{text}"
    );
}

#[test]
fn a_report_that_cannot_be_delivered_goes_to_the_postmaster_unless_he_wants_none() {
    for (lines, count) in [("", 1), ("[queue]\ndouble_bounces = false", 0)] {
        let house = house(lines);
        house.add_account("postmaster");
        let lost = [("lost@abc.pobox.example", "")];
        transact(&mut house.smtp_session(), DEAD, "", &lost, &message("from nobody"));
        if count == 0 {
            house.wait_for_event("double_bounce_dropped");
        }
        let reports = reports(&house, "postmaster", count);
        assert!(
            reports
                .iter()
                .all(|report| report["recipients"][0]["Final-Recipient"] == format!("rfc822; {DEAD}"))
        );
        house.wait_for_an_empty_queue();
    }
}

#[test]
fn a_customer_is_told_once_that_his_message_takes_long() {
    let (port, _) = peer("250 peer.example", BUSY);
    let house = house(&format!("[queue]\ndelay_warning = 1\n{}", route(port)));
    let mut smtp = house.submission_session("neko");
    let to = [("a@there.example", ""), ("b@there.example", ""), ("c@there.example", "NOTIFY=FAILURE")];
    transact(&mut smtp, "neko@pobox.example", "", &to, &own("slow"));
    let report = reports(&house, "neko", 1).remove(0);
    let told = report["recipients"].as_array().unwrap();
    assert_eq!(told.len(), 2, "{report:#}");
    for (name, value) in
        [("Action", "delayed"), ("Status", "4.7.1"), ("Diagnostic-Code", "smtp; 450 4.7.1 later")]
    {
        assert_eq!(told[0][name], value, "{report:#}");
    }
    assert!(told[0]["Will-Retry-Until"].is_string());
    assert!(report["text"].as_str().unwrap().contains("please do not send it again"), "{report:#}");
    assert_eq!(report["original"], json!({ "subject": "slow" }));
}

/// Whom a server that is slow and busy takes: nobody, a good second late.
const BUSY: &str = "450 4.7.1 later";

/// A message that neko may send.
fn own(subject: &str) -> String {
    message(subject).replace("sender@elsewhere.example", "neko@pobox.example")
}

/// All mail for others goes to this port.
fn route(port: u16) -> String {
    format!("[remote.routes]\n\"*\" = \"127.0.0.1:{port}\"\n")
}

/// A server that answers this to EHLO, that to RCPT, takes everything else, and notes what it was told.
fn peer(ehlo: &'static str, rcpt: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let notes = Arc::clone(&notes);
            // A client that leaves in the middle is no matter.
            thread::spawn(move || stream.and_then(|stream| converse(stream, (ehlo, rcpt), &notes)));
        }
    });
    (port, told)
}

fn converse(mut stream: TcpStream, (ehlo, rcpt): (&str, &str), told: &Mutex<Vec<String>>) -> io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"220 peer.example ESMTP\r\n")?;
    let mut in_data = false;
    for line in lines {
        let line = line?;
        let reply = match line.as_str() {
            "." => "250 taken",
            _ if in_data => continue,
            "DATA" => "354 go ahead",
            _ if line.starts_with("EHLO") => ehlo,
            _ if line.starts_with("RCPT") => {
                if rcpt == BUSY {
                    thread::sleep(Duration::from_millis(700));
                }
                rcpt
            }
            _ => "250 ok",
        };
        in_data = line == "DATA";
        told.lock().unwrap().push(line);
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
    }
    Ok(())
}

#[test]
fn a_host_that_knows_of_reports_is_told_the_wishes_and_one_that_does_not_has_relayed() {
    for (extension, reported) in [("250-peer.example\r\n250 DSN", 0), ("250 peer.example", 1)] {
        let (port, told) = peer(extension, "250 ok");
        let house = house(&route(port));
        let wishes = [("a@there.example", "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@there.example")];
        let mut smtp = house.submission_session("neko");
        transact(&mut smtp, "neko@pobox.example", "RET=HDRS ENVID=QQ+2B1", &wishes, &own("away"));
        let commands = eventually("the message is carried", Duration::from_secs(20), || {
            Some(told.lock().unwrap().clone()).filter(|told| told.iter().any(|line| line == "."))
        });
        let says = |words: &str| commands.iter().any(|line| line.contains(words));
        let knows = reported == 0;
        assert_eq!(says("MAIL FROM:<neko@pobox.example> RET=HDRS ENVID=QQ+2B1"), knows, "{commands:#?}");
        let rcpt = "RCPT TO:<a@there.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@there.example";
        assert_eq!(says(rcpt), knows, "{commands:#?}");
        house.wait_for_an_empty_queue();
        for report in reports(&house, "neko", reported) {
            let told = &report["recipients"][0];
            assert_eq!((&told["Action"], &told["Remote-MTA"]), (&json!("relayed"), &json!("dns; 127.0.0.1")));
            assert_eq!(told["Diagnostic-Code"], "smtp; 250 taken");
        }
    }
}
