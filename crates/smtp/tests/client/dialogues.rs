//! What is said, and what comes of it.

use std::time::Duration;

use bytes::Bytes;
use envelope::{BodyType, ReversePath};
use smtp::client::{Breakage, Cause, Settings, StartTls, Step};
use smtp::credentials::Credentials;

use crate::driver::{Driver, EHLO, GREETING, settings, to};

const OPENING: &str = "MAIL FROM:<a@pobox.example> SIZE=15\r\n";
const MESSAGE: &str = "a: b\r\n\r\nhello\r\n.\r\n";

#[test]
fn an_envelope_goes_out_at_once_where_pipelining_is_offered() {
    let mut driver = Driver::greeted(settings(), EHLO);
    let envelope = driver.send(to(&["b@there.example", "c@there.example"]));
    assert_eq!(
        envelope,
        format!("{OPENING}RCPT TO:<b@there.example>\r\nRCPT TO:<c@there.example>\r\nDATA\r\n")
    );
    assert_eq!(driver.says("250 ok\r\n250 ok\r\n550 5.1.1 who?\r\n354 go\r\n"), MESSAGE);
    assert_eq!(driver.says("250 2.0.0 queued\r\n"), "");
    assert_eq!(driver.outcomes(), ["250", "5.1.1 550"]);
    assert!(driver.settled[0].reusable && driver.session.is_ready());
    let steps =
        [Step::Greeting, Step::Ehlo, Step::Mail, Step::Rcpt(0), Step::Rcpt(1), Step::Data, Step::Message];
    assert_eq!(driver.reports.iter().map(|(step, _)| *step).collect::<Vec<_>>(), steps);
    driver.session.quit();
    driver.run();
    assert_eq!(driver.sent(), "QUIT\r\n");
    driver.says("221 bye\r\n");
    assert!(driver.closed && driver.failed.is_none());
}

#[test]
fn without_pipelining_each_command_waits_for_its_reply() {
    let mut driver = Driver::greeted(settings(), "250 mx.there.example\r\n");
    assert_eq!(driver.send(to(&["b@there.example", "c@there.example"])), "MAIL FROM:<a@pobox.example>\r\n");
    assert_eq!(driver.says("250 ok\r\n"), "RCPT TO:<b@there.example>\r\n");
    assert_eq!(driver.says("250 ok\r\n"), "RCPT TO:<c@there.example>\r\n");
    assert_eq!(driver.says("451 later\r\n"), "DATA\r\n");
    assert_eq!(driver.says("354 go\r\n"), MESSAGE);
    driver.says("250 ok\r\n");
    assert_eq!(driver.outcomes(), ["250", "4.0.0 451 Later"]);
}

#[test]
fn a_server_that_knows_no_ehlo_gets_helo() {
    let mut driver = Driver::new(settings());
    driver.says(GREETING);
    assert_eq!(driver.says("502 what?\r\n"), "HELO client.example\r\n");
    driver.says("250 hi\r\n");
    assert!(driver.ready);
    assert!(!driver.session.extensions().pipelining);
}

#[test]
fn a_chunk_waits_until_somebody_wants_it() {
    let ehlo = "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
    let mut driver = Driver::greeted(settings(), ehlo);
    driver.message = vec![Bytes::from_static(b"a: b\r\n\r\n"), Bytes::from_static(b".dot.\r\n")];
    assert_eq!(
        driver.send(to(&["b@there.example"])),
        "MAIL FROM:<a@pobox.example>\r\nRCPT TO:<b@there.example>\r\n"
    );
    assert_eq!(driver.says("250 ok\r\n250 ok\r\n"), "BDAT 15 LAST\r\na: b\r\n\r\n.dot.\r\n");
    assert_eq!(driver.session.step(), Step::Message);
    driver.says("250 ok\r\n");
    assert_eq!(driver.outcomes(), ["250"]);
    driver.send(to(&["b@there.example"]));
    assert_eq!(driver.says("250 ok\r\n550 no\r\n"), "");
    assert_eq!(driver.outcomes(), ["5.0.0 550"]);
    // What came to nothing is undone before the next one.
    assert!(driver.send(to(&["b@there.example"])).starts_with("RSET\r\nMAIL FROM"));
}

#[test]
fn chunks_that_do_not_add_up_are_never_completed() {
    for message in [vec![], vec![Bytes::from_static(b"0123456789")]] {
        let mut driver = Driver::greeted(settings(), "250-mx\r\n250 CHUNKING\r\n");
        driver.message = message;
        driver.send(to(&["b@there.example"]));
        driver.says("250 ok\r\n");
        driver.says("250 ok\r\n");
        assert_eq!(driver.outcomes(), ["4.3.0 Later"]);
        assert!(driver.closed);
    }
    let mut driver = Driver::greeted(settings(), "250-mx\r\n250 CHUNKING\r\n");
    driver.message = vec![Bytes::from_static(b"0123456789abcdeMAIL FROM:<evil@x.example>\r\n")];
    driver.send(to(&["b@there.example"]));
    driver.says("250 ok\r\n");
    assert_eq!(driver.says("250 ok\r\n"), "BDAT 15 LAST\r\n0123456789abcde");
}

#[test]
fn a_message_that_cannot_be_read_is_not_ended() {
    let mut driver = Driver::greeted(settings(), EHLO);
    driver.readable = false;
    driver.send(to(&["b@there.example"]));
    let sent = driver.says("250 ok\r\n250 ok\r\n354 go\r\n");
    assert!(!sent.contains("\r\n.\r\n"));
    assert_eq!(driver.outcomes(), ["4.3.0 Later"]);
    assert!(driver.closed);
}

#[test]
fn mail_data_for_nobody_are_ended_at_once() {
    let mut driver = Driver::greeted(settings(), EHLO);
    driver.send(to(&["b@there.example"]));
    assert_eq!(driver.says("250 ok\r\n550 no\r\n354 go\r\n"), ".\r\n");
    assert!(driver.settled.is_empty());
    driver.says("554 nobody\r\n");
    assert_eq!(driver.outcomes(), ["5.0.0 550"]);
    assert_eq!(&driver.send(to(&["b@there.example"]))[..4], "MAIL");
}

#[test]
fn a_refused_sender_is_refused_for_all() {
    let mut driver = Driver::greeted(settings(), EHLO);
    driver.send(to(&["b@there.example", "c@there.example"]));
    assert_eq!(driver.says("550 5.7.1 not you\r\n503 MAIL first\r\n250 odd\r\n503 RCPT first\r\n"), "");
    assert_eq!(driver.outcomes(), ["5.7.1 550", "5.7.1 550"]);
    driver.send(to(&["b@there.example"]));
    driver.says("451 4.7.1 not now\r\n503 MAIL first\r\n503 RCPT first\r\n");
    assert_eq!(driver.outcomes(), ["4.7.1 451 NextHost"]);
    assert!(driver.session.is_ready());
}

#[test]
fn what_is_refused_after_recipients_leaves_those_who_are_settled() {
    for (reply, outcome) in
        [("452 4.3.1 full\r\n", "4.3.1 452 NextHost"), ("554 5.6.0 spam\r\n", "5.6.0 554")]
    {
        let mut driver = Driver::greeted(settings(), EHLO);
        driver.send(to(&["b@there.example", "c@there.example"]));
        driver.says("250 ok\r\n550 5.1.1 who?\r\n250 ok\r\n354 go\r\n");
        driver.says(reply);
        assert_eq!(driver.outcomes(), ["5.1.1 550", outcome]);
        driver.send(to(&["b@there.example", "c@there.example"]));
        driver.says("250 ok\r\n550 5.1.1 who?\r\n250 ok\r\n");
        driver.says(reply);
        assert_eq!(driver.outcomes(), ["5.1.1 550", outcome]);
    }
}

#[test]
fn too_many_recipients_are_for_another_transaction() {
    let mut driver = Driver::greeted(settings(), EHLO);
    driver.send(to(&["b@t.example", "c@t.example", "d@t.example", "e@t.example"]));
    driver.says(
        "250 ok\r\n250 ok\r\n452 too many\r\n552 5.5.3 too many\r\n452 4.2.2 mailbox full\r\n354 go\r\n",
    );
    driver.says("250 ok\r\n");
    assert_eq!(
        driver.outcomes(),
        ["250", "4.0.0 452 NextTransaction", "4.0.0 552 NextTransaction", "4.2.2 452 Later"]
    );
}

#[test]
fn thousands_of_recipients_do_not_fill_the_line() {
    let names: Vec<String> = (0..1000).map(|n| format!("u{n}@there.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut driver = Driver::greeted(settings(), EHLO);
    let mut sent = driver.send(to(&names));
    let mut answered = 0;
    while !sent.contains("hello") {
        let commands = sent.lines().count();
        assert!(commands > 0 && commands <= 100, "{commands}");
        answered += commands;
        let replies: String =
            sent.lines().map(|line| if line == "DATA" { "354\r\n" } else { "250\r\n" }).collect();
        sent = driver.says(&replies);
    }
    assert_eq!(answered, 1002);
    driver.says("250 ok\r\n");
    assert!(driver.outcomes().iter().all(|outcome| outcome == "250"));
}

#[test]
fn what_a_server_cannot_take_is_not_sent() {
    let mut driver = Driver::greeted(settings(), EHLO);
    let mut large = to(&["b@there.example"]);
    large.size = 1001;
    assert_eq!(driver.send(large), "");
    assert_eq!(driver.outcomes(), ["5.3.4"]);
    let mut header = to(&["b@there.example"]);
    header.smtputf8 = true;
    assert_eq!(driver.send(header), "");
    assert_eq!(driver.outcomes(), ["5.6.7"]);
    assert!(
        driver
            .send(to(&["太郎@there.example", "b@there.example"]))
            .contains("\r\nRCPT TO:<b@there.example>\r\nDATA")
    );
    driver.says("250 ok\r\n250 ok\r\n354 go\r\n");
    driver.says("250 ok\r\n");
    assert_eq!(driver.outcomes(), ["5.6.7", "250"]);
}

#[test]
fn a_server_without_8bitmime_gets_eight_bits_all_the_same() {
    let mut driver = Driver::greeted(settings(), "250 mx\r\n");
    let mut message = to(&["b@there.example"]);
    message.body = BodyType::EightBitMime;
    message.reverse_path = ReversePath::Null;
    assert_eq!(driver.send(message), "MAIL FROM:<>\r\n");
}

#[test]
fn tls_starts_with_nothing_known() {
    let mut driver = Driver::new(settings());
    driver.says(GREETING);
    assert_eq!(driver.says("250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"), "STARTTLS\r\n");
    assert_eq!(driver.says("220 go\r\n"), "");
    assert_eq!(driver.tls_started(), "EHLO client.example\r\n");
    assert!(!driver.session.extensions().pipelining);
    driver.says("250-mx\r\n250 STARTTLS\r\n");
    assert!(driver.ready && driver.session.is_under_tls());
}

#[test]
fn what_is_put_before_the_handshake_ends_the_session() {
    let mut driver = Driver::new(Settings { starttls: StartTls::Required, ..settings() });
    driver.says(GREETING);
    driver.says("250-mx\r\n250 STARTTLS\r\n");
    driver.says("220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n");
    assert!(!driver.starting_tls && driver.closed);
    let cause = Cause::Broken { step: Step::StartTls, breakage: Breakage::Injection };
    assert_eq!(driver.failed.map(|reason| reason.cause), Some(cause));
}

#[test]
fn clear_text_is_used_only_where_it_may_be() {
    for (ehlo, starttls) in [("250 mx\r\n", None), ("250-mx\r\n250 STARTTLS\r\n", Some("454 no\r\n"))] {
        for policy in [StartTls::IfOffered, StartTls::Required] {
            let mut driver = Driver::new(Settings { starttls: policy, ..settings() });
            driver.says(GREETING);
            driver.says(ehlo);
            if let Some(reply) = starttls {
                driver.says(reply);
            }
            assert_eq!(driver.ready, policy == StartTls::IfOffered);
            assert_eq!(driver.failed.is_some(), policy == StartTls::Required);
        }
    }
    let mut driver = Driver::new(Settings { starttls: StartTls::Never, ..settings() });
    driver.says(GREETING);
    assert_eq!(driver.says("250-mx\r\n250 STARTTLS\r\n"), "");
    assert!(driver.ready);
}

#[test]
fn a_login_goes_by_the_best_way_that_is_offered() {
    let login = Credentials { name: "abc".into(), password: "pass".to_owned().into() };
    let settings = Settings { login: Some(login), plaintext_login: true, ..settings() };
    let mut driver = Driver::new(settings.clone());
    driver.says(GREETING);
    assert_eq!(driver.says("250-mx\r\n250 AUTH LOGIN PLAIN\r\n"), "AUTH PLAIN AGFiYwBwYXNz\r\n");
    driver.says("235 in\r\n");
    assert!(driver.ready);

    let mut driver = Driver::new(settings.clone());
    driver.says(GREETING);
    assert_eq!(driver.says("250-mx\r\n250 AUTH LOGIN\r\n"), "AUTH LOGIN\r\n");
    assert_eq!(driver.says("334 VXNlcm5hbWU6\r\n"), "YWJj\r\n");
    assert_eq!(driver.says("334 UGFzc3dvcmQ6\r\n"), "cGFzcw==\r\n");
    driver.says("535 5.7.8 no\r\n");
    // That we are not let in is our own trouble: no message fails for it.
    assert_eq!(driver.failed.map(|reason| reason.status.class()), Some(4));

    for (settings, ehlo) in [
        (settings.clone(), "250 mx\r\n"),
        (Settings { plaintext_login: false, ..settings }, "250-mx\r\n250 AUTH PLAIN\r\n"),
    ] {
        let mut driver = Driver::new(settings);
        driver.says(GREETING);
        assert_eq!(driver.says(ehlo), "");
        assert!(driver.failed.is_some() && driver.closed);
    }
}

#[test]
fn a_refused_greeting_is_the_hosts_trouble() {
    for (greeting, status) in [("554 5.7.1 go away\r\n", "4.5.0"), ("421 4.3.2 busy\r\n", "4.3.2")] {
        let mut driver = Driver::new(settings());
        assert_eq!(driver.says(greeting), "");
        assert_eq!(driver.failed.map(|reason| reason.status.to_string()).as_deref(), Some(status));
        assert!(driver.closed);
    }
}

#[test]
fn a_server_that_shuts_down_is_believed_at_any_step() {
    let replies = ["250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"];
    for cut in 0..replies.len() {
        let mut driver = Driver::greeted(settings(), EHLO);
        driver.send(to(&["b@there.example"]));
        for reply in &replies[..cut] {
            driver.says(reply);
        }
        driver.says("421 4.3.2 closing\r\n");
        assert_eq!(driver.outcomes(), ["4.3.2 421 NextHost"], "after {cut} replies");
        assert!(driver.closed && !driver.settled[0].reusable);
    }
    let mut driver = Driver::greeted(settings(), EHLO);
    driver.says("421 idle too long\r\n");
    assert!(driver.closed && driver.failed.unwrap().reply().is_some());
}

#[test]
fn a_drop_before_the_end_of_the_data_leaves_other_hosts_and_one_after_it_does_not() {
    let replies = ["250 ok\r\n", "250 ok\r\n", "354 go\r\n"];
    for cut in 0..=replies.len() {
        for silent in [false, true] {
            let mut driver = Driver::greeted(settings(), EHLO);
            driver.send(to(&["b@there.example"]));
            for reply in &replies[..cut] {
                driver.says(reply);
            }
            if silent {
                driver.wait(Duration::from_secs(601))
            } else {
                driver.hangs_up()
            }
            let possibly = cut == replies.len();
            let expected = if possibly { "4.4.2 Later" } else { "4.4.2 NextHost" };
            assert_eq!(driver.outcomes(), [expected], "after {cut} replies");
            assert_eq!(driver.settled[0].outcomes[0].is_possibly_delivered(), possibly);
            assert!(driver.closed);
        }
    }
    for (said, step) in [("", Step::Greeting), (GREETING, Step::Ehlo)] {
        let mut driver = Driver::new(settings());
        driver.says(said);
        driver.hangs_up();
        let cause = Cause::Broken { step, breakage: Breakage::Closed };
        assert_eq!(driver.failed.map(|reason| reason.cause), Some(cause));
    }
}

#[test]
fn what_is_said_before_it_was_asked_counts_for_nothing() {
    // All replies at once, as from something that plays back a recording.
    let mut driver = Driver::new(settings());
    driver.says(&format!("{GREETING}{EHLO}"));
    let cause = |step| Some(Cause::Broken { step, breakage: Breakage::Unasked });
    assert_eq!(driver.failed.map(|reason| reason.cause), cause(Step::Idle));
    // A yes to a message before its end.
    let mut driver = Driver::greeted(settings(), EHLO);
    driver.send(to(&["b@there.example"]));
    driver.says("250 ok\r\n250 ok\r\n354 go\r\n250 have it\r\n");
    assert!(driver.closed);
    assert_ne!(driver.outcomes(), ["250"]);
}

#[test]
fn a_no_may_come_before_the_end_of_the_data() {
    let mut driver = Driver::greeted(settings(), EHLO);
    driver.send(to(&["b@there.example"]));
    driver.session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n552 5.3.4 too large\r\n", driver.now);
    driver.run();
    assert_eq!(driver.outcomes(), ["5.3.4 552"]);
    assert!(driver.closed);
}

#[test]
fn each_step_has_its_time() {
    let mut driver = Driver::new(settings());
    assert_eq!(driver.session.deadline(), Some(driver.now + Duration::from_secs(300)));
    driver.says(GREETING);
    driver.says(EHLO);
    assert_eq!(driver.session.deadline(), None);
    driver.send(to(&["b@there.example"]));
    assert_eq!(driver.session.deadline(), Some(driver.now + Duration::from_secs(300)));
    driver.wait(Duration::from_secs(200));
    driver.says("250 ok\r\n");
    assert_eq!(driver.session.deadline(), Some(driver.now + Duration::from_secs(300)));
    driver.says("250 ok\r\n");
    assert_eq!(driver.session.deadline(), Some(driver.now + Duration::from_secs(120)));
    driver.says("354 go\r\n");
    assert_eq!(driver.session.deadline(), Some(driver.now + Duration::from_secs(600)));
    // Part of an answer is no answer.
    driver.wait(Duration::from_secs(599));
    driver.says("25");
    driver.wait(Duration::from_secs(1));
    assert_eq!(driver.outcomes(), ["4.4.2 Later"]);
}
