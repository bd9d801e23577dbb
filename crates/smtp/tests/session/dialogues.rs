//! Dialogues with a server: each reply, and what becomes of the message.

use std::time::Duration;

use envelope::{
    BodyType, EnvelopeId, MessageWishes, Notify, RecipientWishes, Return, ReversePath, TypedAddress,
};
use smtp::{Event, Mode, NotAccepted, Settings};

use crate::driver::{Driver, dialogue, settings, settings_with_auth};

const GREETING: &str = "S: 220 mx.pobox.example ESMTP\n";

/// Plays a dialogue with a fresh server.
fn play(settings: Settings, script: &str) -> Driver {
    let mut driver = Driver::new(settings);
    dialogue(&mut driver, &format!("{GREETING}{script}"));
    driver
}

/// A server that has been told where a message goes.
fn at_data(settings: Settings) -> Driver {
    let mut driver = Driver::new(settings);
    driver.say("EHLO client.example\r\nMAIL FROM:<joe@x.example>\r\nRCPT TO:<abc@pobox.example>\r\nDATA\r\n");
    driver
}

#[test]
fn a_message_is_taken_with_helo_as_qmail_takes_it() {
    let driver = play(
        settings(),
        "C: HELO client.example
         S: 250 mx.pobox.example
         C: MAIL FROM:<joe@x.example>
         S: 250 ok
         C: RCPT TO:<abc@pobox.example>
         S: 250 ok
         C: DATA
         S: 354 go ahead
         C: Subject: hello
         C:
         C: ..dotted
         C: .
         S: 250 ok 0 qp 0000000000001
         C: QUIT
         S: 221 mx.pobox.example",
    );
    assert!(driver.closed);
    let (envelope, message) = &driver.accepted[0];
    assert_eq!(envelope.reverse_path().to_string(), "<joe@x.example>");
    assert_eq!(envelope.recipients()[0].to_string(), "abc@pobox.example");
    assert_eq!(
        String::from_utf8_lossy(message),
        "Received: from client.example (client.example [192.0.2.1])\r\n\
         \tby mx.pobox.example with SMTP id 0000000000001\r\n\
         \tfor <abc@pobox.example>; Tue, 24 Nov 2026 07:05:36 +0900\r\n\
         Subject: hello\r\n\r\n.dotted\r\n"
    );
    assert!(matches!(driver.events[..], [Event::Accepted { size: 27, .. }]), "{:?}", driver.events);
}

#[test]
fn after_ehlo_replies_have_status_codes_but_for_the_promised_lines() {
    play(
        settings(),
        "C: EHLO client.example
         S: 250-mx.pobox.example
         S: 250-PIPELINING
         S: 250-SIZE 52428800
         S: 250-8BITMIME
         S: 250-SMTPUTF8
         S: 250-ENHANCEDSTATUSCODES
         S: 250-CHUNKING
         S: 250-DSN
         S: 250-STARTTLS
         S: 250-LIMITS RCPTMAX=1000
         S: 250 HELP
         C: RCPT TO:<abc@pobox.example>
         S: 503 MAIL first (#5.5.1)
         C: DATA
         S: 503 MAIL first (#5.5.1)
         C: MAIL FROM:<joe@x.example> BODY=8BITMIME SIZE=1000
         S: 250 2.1.0 ok
         C: MAIL FROM:<joe@x.example>
         S: 503 one message at a time: you said MAIL already (#5.5.1)
         C: DATA
         S: 503 RCPT first (#5.5.1)
         C: RCPT TO:<nobody@pobox.example>
         S: 550 sorry, no mailbox here by that name (#5.1.1)
         C: RCPT TO:<joe@elsewhere.example>
         S: 553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)
         C: RCPT TO:<slow@pobox.example>
         S: 451 sorry, I cannot look up that address now (#4.3.0)
         C: RCPT TO:<abc@pobox.example>
         S: 250 2.1.5 ok
         C: NOOP
         S: 250 2.0.0 ok
         C: VRFY abc
         S: 252 2.5.2 send some mail, i'll try my best
         C: HELP
         S: 214-2.0.0 this is Hikyaku, a mail system; it speaks SMTP as RFC 5321 has it
         S: 214 2.0.0 HELO EHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT
         C: RSET
         S: 250 2.0.0 flushed
         C: RCPT TO:<abc@pobox.example>
         S: 503 MAIL first (#5.5.1)
         C: QUIT
         S: 221 2.0.0 mx.pobox.example",
    );
}

#[test]
fn what_is_no_command_is_told_why() {
    play(
        Settings { errors_max: 100, ..Settings::new("mx.pobox.example".parse().unwrap()) },
        "C: HELLO
         S: 500 sorry, I don't know that command
         C: EXPN list
         S: 502 unimplemented (#5.5.1)
         C: STARTTLS
         S: 502 unimplemented (#5.5.1)
         C: AUTH PLAIN
         S: 502 unimplemented (#5.5.1)
         C: HELO
         S: 501 sorry, the form is: HELO your.host.name
         C: NOOP \0
         S: 501 sorry, a command has no NUL or other control character
         C: NOOP é
         S: 501 sorry, that command must be ASCII
         C: MAIL
         S: 501 sorry, the form is: MAIL FROM:<address>
         C: MAIL FROM:<joe@>
         S: 501 sorry, an address has the form local-part@domain
         C: MAIL FROM:<joe@x.example> SIZE=big
         S: 501 sorry, that parameter has a wrong value or is said twice
         C: MAIL FROM:<joe@x.example> TRANSID=1
         S: 555 sorry, I don't know that parameter
         C: RCPT TO:<joe@-x.example>
         S: 501 sorry, the part after the @ is not a host name
         C: mail\tfrom:\t<joe@x.example>
         S: 250 ok
         C: rcpt to:abc@pobox.example
         S: 250 ok
         C: DATA now
         S: 501 sorry, the form is: DATA",
    );
    let mut driver = Driver::new(settings());
    driver.sent();
    driver.give(b"NOOP \xff\n");
    assert_eq!(driver.sent(), "501 sorry, a command is text in ASCII or UTF-8\r\n");
    assert_eq!(driver.say("NOOP\nNOOP\n"), "250 ok\r\n250 ok\r\n", "a bare LF ends a command");
}

#[test]
fn an_endless_line_is_refused_and_then_forgotten() {
    let mut driver = Driver::new(settings());
    driver.sent();
    for _ in 0..1000 {
        assert_eq!(driver.say(&"x".repeat(1000)), "");
    }
    assert_eq!(driver.say("\r\nNOOP\r\n"), "500 sorry, that line is too long\r\n250 ok\r\n");
}

#[test]
fn postmaster_needs_no_domain_and_bounces_no_sender() {
    let driver = play(
        settings(),
        "C: MAIL FROM:<>
         S: 250 ok
         C: RCPT TO:<PostMaster>
         S: 250 ok
         C: RCPT TO:<abc@pobox.example>
         S: 250 ok
         C: DATA
         S: 354 go ahead
         C: .
         S: 250 ok 0 qp 0000000000001",
    );
    let (envelope, message) = &driver.accepted[0];
    assert_eq!(envelope.reverse_path(), &ReversePath::Null);
    assert_eq!(envelope.recipients()[0].to_string(), "postmaster@mx.pobox.example");
    let text = String::from_utf8_lossy(message);
    assert!(text.starts_with("Received: from [192.0.2.1] (client.example [192.0.2.1])\r\n"), "{text}");
    assert!(!text.contains("for <"), "one of two recipients is told of the other");
}

#[test]
fn international_addresses_need_smtputf8() {
    let driver = play(
        settings(),
        "C: HELO client.example
         S: 250 mx.pobox.example
         C: MAIL FROM:<花子@x.example>
         S: 553 sorry, an address that is not ASCII needs SMTPUTF8 at MAIL
         C: MAIL FROM:<joe@x.example>
         S: 250 ok
         C: RCPT TO:<太郎@pobox.example>
         S: 553 sorry, an address that is not ASCII needs SMTPUTF8 at MAIL
         C: RSET
         S: 250 flushed
         C: MAIL FROM:<花子@x.example> SMTPUTF8 BODY=8BITMIME
         S: 250 ok
         C: RCPT TO:<太郎@pobox.example>
         S: 250 ok
         C: DATA
         S: 354 go ahead
         C: Subject: 件名
         C: .
         S: 250 ok 0 qp 0000000000001",
    );
    let (envelope, message) = &driver.accepted[0];
    assert!(envelope.smtputf8() && envelope.body() == BodyType::EightBitMime);
    assert!(String::from_utf8_lossy(message).contains("with UTF8SMTP id"));
}

#[test]
fn wishes_for_reports_stay_with_their_recipients() {
    let driver = play(
        settings(),
        "C: MAIL FROM:<joe@x.example> RET=FULL ENVID=a+2Bb
         S: 250 ok
         C: RCPT TO:<abc@pobox.example>
         S: 250 ok
         C: RCPT TO:<nobody@pobox.example> NOTIFY=SUCCESS
         S: 550 sorry, no mailbox here by that name (#5.1.1)
         C: RCPT TO:<xyz@pobox.example> NOTIFY=NEVER,DELAY
         S: 501 sorry, the form is: NOTIFY=NEVER, or NOTIFY= and some of SUCCESS,FAILURE,DELAY, once
         C: RCPT TO:<xyz@pobox.example> NOTIFY=NEVER ORCPT=rfc822;list@x.example
         S: 250 ok
         C: DATA
         S: 354 go ahead
         C: .
         S: 250 ok 0 qp 0000000000001
         C: MAIL FROM:<joe@x.example>
         S: 250 ok
         C: RCPT TO:<abc@pobox.example>
         S: 250 ok
         C: BDAT 0 LAST
         S: 250 ok 0 qp 0000000000002",
    );
    let envelope = &driver.accepted[0].0;
    assert_eq!(envelope.wishes().ret, Some(Return::Full));
    assert_eq!(envelope.wishes().envelope_id.as_ref().map(EnvelopeId::as_str), Some("a+b"));
    assert_eq!(envelope.wishes_for(0), &RecipientWishes::NONE);
    assert_eq!(envelope.wishes_for(1).notify, Some(Notify::NEVER));
    assert_eq!(envelope.wishes_for(1).original, Some(TypedAddress::of_mail("list@x.example")));
    let envelope = &driver.accepted[1].0;
    assert_eq!(
        (envelope.wishes(), envelope.wishes_for(0)),
        (&MessageWishes::default(), &RecipientWishes::NONE)
    );
}

/// An envelope has to fit a frame between roles, whatever a client writes into it.
#[test]
fn original_addresses_beyond_a_bound_are_forgotten_and_the_recipients_taken() {
    let mut driver = Driver::new(Settings { recipients_max: 1000, ..settings() });
    driver.say("MAIL FROM:<joe@x.example>\r\n");
    let rcpt = format!("RCPT TO:<abc@pobox.example> NOTIFY=DELAY ORCPT=rfc822;{}\r\n", "x".repeat(493));
    for _ in 0..1000 {
        assert_eq!(driver.say(&rcpt), "250 ok\r\n");
    }
    driver.say("DATA\r\n.\r\n");
    let (envelope, _) = driver.accepted.pop().unwrap();
    let kept = (0..1000).filter(|number| envelope.wishes_for(*number).original.is_some()).count();
    assert!(kept > 500 && kept < 600, "{kept}");
    assert!((0..1000).all(|number| envelope.wishes_for(number).notify.is_some_and(|notify| notify.delay)));
}

#[test]
fn a_pipelined_batch_is_answered_in_one_write() {
    let mut driver = Driver::new(settings());
    driver.sent();
    driver.writes = 0;
    let replies = driver.say(
        "MAIL FROM:<joe@x.example>\r\nRCPT TO:<abc@pobox.example>\r\nRCPT TO:<xyz@pobox.example>\r\n\
         RCPT TO:<nobody@pobox.example>\r\nDATA\r\n",
    );
    assert_eq!(replies.lines().count(), 5);
    assert_eq!(driver.writes, 1);
    driver.give(b"Subject: a\r\n\r\n..\r\n...b\r\n.\r\n");
    assert_eq!(driver.pieces, 2, "the Received field, and the rest in one piece");
    assert_eq!(driver.writes, 2);
}

#[test]
fn a_message_has_so_many_recipients_and_no_more() {
    play(
        Settings { recipients_max: 2, ..settings() },
        "C: MAIL FROM:<>
         S: 250 ok
         C: RCPT TO:<abc@pobox.example>
         S: 250 ok
         C: RCPT TO:<nobody@pobox.example>
         S: 550 sorry, no mailbox here by that name (#5.1.1)
         C: RCPT TO:<xyz@pobox.example>
         S: 250 ok
         C: RCPT TO:<abc@pobox.example>
         S: 452 sorry, too many recipients; send the rest in another message (#4.5.3)
         C: DATA
         S: 354 go ahead",
    );
}

#[test]
fn too_many_errors_end_the_session() {
    let driver = play(
        Settings { errors_max: 3, ..settings() },
        "C: X
         S: 500 sorry, I don't know that command
         C: DATA
         S: 503 MAIL first (#5.5.1)
         C: NOOP
         S: 250 ok
         C: X
         C: NOOP
         S: 500 sorry, I don't know that command
         S: 421 too many errors, I hang up",
    );
    assert!(driver.closed && driver.events == [Event::TooManyErrors]);
}

#[test]
fn a_message_that_is_said_to_be_too_large_is_refused_at_mail() {
    play(
        Settings { message_size_max: 1000, ..settings() },
        "C: MAIL FROM:<joe@x.example> SIZE=1001
         S: 552 sorry, that message size exceeds my databytes limit (#5.3.4)
         C: MAIL FROM:<joe@x.example> SIZE=1000
         S: 250 ok",
    );
}

#[test]
fn a_full_mailbox_is_told_of_at_rcpt_and_the_others_get_theirs() {
    let driver = play(
        settings(),
        "C: MAIL FROM:<joe@x.example> SIZE=1001
         S: 250 ok
         C: RCPT TO:<xyz@pobox.example>
         S: 452 sorry, that mailbox is full, try again later (#4.2.2)
         C: RCPT TO:<brimful@pobox.example>
         S: 552 sorry, that mailbox has been full for some days (#5.2.2)
         C: RCPT TO:<abc@pobox.example>
         S: 250 ok
         C: DATA
         S: 354 go ahead
         C: .
         S: 250 ok 0 qp 0000000000001
         C: MAIL FROM:<joe@x.example> SIZE=1000
         S: 250 ok
         C: RCPT TO:<xyz@pobox.example>
         S: 250 ok
         C: RSET
         S: 250 flushed
         C: MAIL FROM:<joe@x.example>
         S: 250 ok
         C: RCPT TO:<xyz@pobox.example>
         S: 250 ok",
    );
    assert_eq!(driver.accepted[0].0.recipients().len(), 1);
    assert!(matches!(&driver.events[0], Event::Refused(refused) if refused.recipient.is_some()));
}

/// What the carriers let their customers choose: dots at the end, at the beginning, one after another. Such
/// a local-part is taken with and without the quotes that RFC 5321 §4.1.2 asks for, and passed on with them.
#[test]
fn addresses_of_the_carriers_are_taken_as_they_come_and_written_quoted() {
    let long = "a".repeat(64);
    let table = [
        ("taro..", "\"taro..\""),
        (".taro", "\".taro\""),
        ("taro.", "\"taro.\""),
        ("ta..ro", "\"ta..ro\""),
        ("..", "\"..\""),
        ("Taro.Yamada", "Taro.Yamada"),
        ("taro+list", "taro+list"),
        ("_taro_", "_taro_"),
        ("taro=x", "taro=x"),
        ("-taro-", "-taro-"),
        ("0", "0"),
        (long.as_str(), long.as_str()),
    ];
    let mut driver = Driver::new(settings_with_auth());
    driver.say("AUTH PLAIN AGFiYwBwYXNz\r\n");
    for (plain, written) in table {
        for given in [plain.to_owned(), format!("\"{plain}\""), written.to_owned()] {
            let rcpt = format!("RCPT TO:<{given}@carrier.example>\r\n");
            assert_eq!(driver.say(&format!("MAIL FROM:<>\r\n{rcpt}")), "250 ok\r\n250 ok\r\n", "{given}");
            driver.say("DATA\r\nFrom: abc@pobox.example\r\n\r\n.\r\n");
            let (envelope, message) = driver.accepted.pop().unwrap();
            assert_eq!(envelope.recipients()[0].to_string(), format!("{written}@carrier.example"));
            assert_eq!(envelope.recipients()[0].address().local_part.as_str(), plain);
            let message = String::from_utf8(message).unwrap();
            assert!(message.contains(&format!("\r\n\tfor <{written}@carrier.example>; ")), "{message}");

            let mut strangers = Driver::new(settings());
            strangers.say(&format!("MAIL FROM:<{given}@carrier.example>\r\nRCPT TO:<abc@pobox.example>\r\n"));
            strangers.say("DATA\r\n.\r\n");
            let (envelope, _) = strangers.accepted.pop().unwrap();
            assert_eq!(envelope.reverse_path().to_string(), format!("<{written}@carrier.example>"));
        }
    }
    let too_long = "501 sorry, the part before the @ is longer than 64 octets\r\n";
    for given in [format!("{long}a"), format!("\"{long}a\"")] {
        assert_eq!(driver.say(&format!("MAIL FROM:<{given}@carrier.example>\r\n")), too_long);
        driver.say("MAIL FROM:<>\r\n");
        assert_eq!(driver.say(&format!("RCPT TO:<{given}@carrier.example>\r\n")), too_long);
        driver.say("RSET\r\n");
    }
}

#[test]
fn faulty_data_are_read_to_their_end_and_refused() {
    let small = Settings { message_size_max: 100_000, header_size_max: 50_000, ..settings() };
    let hops = |count| format!("{}\r\nbody\r\n.\r\n", "Received: from a\r\n".repeat(count));
    for (data, reply) in [
        (
            "a\nb\r\n.\n\r\n.\r\n".to_owned(),
            "554 sorry, your message has a LF that does not follow a CR; lines of mail end in CR LF (#5.6.0)\r\n",
        ),
        (
            "a\rb\r\n.\r\n".to_owned(),
            "554 sorry, your message has a CR that is not followed by LF; lines of mail end in CR LF (#5.6.0)\r\n",
        ),
        (
            "a\0b\r\n.\r\n".to_owned(),
            "550 sorry, your message has a NUL in it, which mail may not have (#5.6.0)\r\n",
        ),
        (hops(100), "554 too many hops, this message is looping (#5.4.6)\r\n"),
        (
            format!("\r\n{}\r\n.\r\n", "x".repeat(100_000)),
            "552 sorry, that message size exceeds my databytes limit (#5.3.4)\r\n",
        ),
        (
            format!("{}\r\n.\r\n", "X: y\r\n".repeat(9_000)),
            "552 sorry, the header of your message is too large, or no empty line ends it (#5.3.4)\r\n",
        ),
    ] {
        let mut driver = at_data(small.clone());
        assert_eq!(driver.say(&format!("{data}NOOP\r\n")), format!("{reply}250 2.0.0 ok\r\n"));
        assert!(driver.accepted.is_empty() && driver.draft.is_none());
        assert!(matches!(&driver.events[..], [Event::Refused(refused)] if refused.id.is_some()));
    }
    for good in [hops(99), "\r\né\u{80}\r\n.\r\n".to_owned(), format!("\r\n{}\r\n.\r\n", "x".repeat(99_996))]
    {
        let mut driver = at_data(small.clone());
        assert_eq!(driver.say(&good), "250 2.0.0 ok 0 qp 0000000000001\r\n");
    }
}

#[test]
fn the_queue_may_refuse_before_and_after_the_data() {
    for (why, reply) in [
        (NotAccepted::StorageFull, "452 sorry, insufficient system storage, try again later (#4.3.1)\r\n"),
        (NotAccepted::TryLater, "451 sorry, I could not write your message to disk (#4.3.0)\r\n"),
    ] {
        let mut driver = Driver::new(settings());
        driver.say("MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\n");
        driver.opening = Err(why);
        assert_eq!(driver.say("DATA\r\n"), reply);
        assert_eq!(driver.say("DATA\r\n"), "503 MAIL first (#5.5.1)\r\n");
        let mail = "MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\n";
        assert_eq!(
            driver.say(&format!("{mail}BDAT 6 LAST\r\nQUIT\r\n")),
            format!("250 ok\r\n250 ok\r\n{reply}")
        );

        let mut driver = at_data(settings());
        driver.committing = Err(why);
        assert_eq!(driver.say("a\r\n.\r\n"), reply);
        assert!(driver.accepted.is_empty());
        assert!(matches!(&driver.events[..], [Event::Refused(_)]));
    }
}

#[test]
fn chunks_make_a_message() {
    let mut driver = Driver::new(settings());
    driver.say("EHLO client.example\r\n");
    let replies = driver.say(
        "MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nBDAT 9\r\na: b\r\n\r\n.BDAT 4\r\n\r\n.\rNOOP\r\nbdat 2 last\r\n\nx",
    );
    assert_eq!(
        replies,
        "250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.0.0 9 octets received\r\n250 2.0.0 4 octets received\r\n\
         250 2.0.0 ok\r\n250 2.0.0 ok 0 qp 0000000000001\r\n"
    );
    let text = String::from_utf8_lossy(&driver.accepted[0].1).into_owned();
    let (_, data) = text.split_once("+0900\r\n").unwrap();
    assert_eq!(data, "a: b\r\n\r\n.\r\n.\r\nx\r\n", "and the missing line end was added");
    assert_eq!(
        driver.say("MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nBDAT 0 LAST\r\n").lines().count(),
        3
    );
    assert_eq!(driver.accepted.len(), 2);
}

#[test]
fn between_chunks_only_chunks_go_on_with_the_message() {
    let mut driver = Driver::new(settings());
    driver.say("MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nBDAT 1\r\nx");
    let amid = "503 your message is not complete: BDAT LAST or RSET first (#5.5.1)\r\n";
    assert_eq!(driver.say("DATA\r\n"), amid);
    assert_eq!(driver.say("RCPT TO:<xyz@pobox.example>\r\n"), amid);
    assert_eq!(driver.say("MAIL FROM:<>\r\n"), amid);
    assert!(driver.draft.is_some());
    assert_eq!(driver.say("RSET\r\nBDAT 5 LAST\r\nQUIT\r"), "250 flushed\r\n503 MAIL first (#5.5.1)\r\n");
    assert!(driver.draft.is_none() && driver.accepted.is_empty());
}

#[test]
fn a_chunk_that_cannot_be_taken_is_read_to_its_end() {
    let small = Settings { message_size_max: 10, ..settings() };
    let too_large = "552 sorry, that message size exceeds my databytes limit (#5.3.4)\r\n";
    let bare_lf =
        "554 sorry, your message has a LF that does not follow a CR; lines of mail end in CR LF (#5.6.0)\r\n";
    let bare_cr = "554 sorry, your message has a CR that is not followed by LF; lines of mail end in CR LF (#5.6.0)\r\n";
    let first = "503 MAIL first (#5.5.1)\r\n";
    for (chunks, replies) in [
        ("BDAT 11 LAST\r\nQUIT\r\nQUIT\r".to_owned(), too_large.to_owned()),
        (
            "BDAT 5\r\n\r\nabcBDAT 6 LAST\r\nQUIT\r\n".to_owned(),
            format!("250 5 octets received\r\n{too_large}"),
        ),
        ("BDAT 6\r\nQUIT\n\nBDAT 6 LAST\r\nQUIT\r\n".to_owned(), format!("{bare_lf}{first}")),
        ("BDAT 2 LAST\r\na\r".to_owned(), bare_cr.to_owned()),
        ("BDAT 2\r\na\rBDAT 1 LAST\r\nb".to_owned(), format!("250 2 octets received\r\n{bare_cr}")),
    ] {
        let mut driver = Driver::new(small.clone());
        driver.say("MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\n");
        assert_eq!(driver.say(&format!("{chunks}NOOP\r\n")), format!("{replies}250 ok\r\n"));
        assert!(driver.accepted.is_empty() && driver.draft.is_none());
    }
    let mut driver = Driver::new(small);
    driver.sent();
    let pipelined = "MAIL FROM:<>\r\nRCPT TO:<nobody@pobox.example>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n";
    let replies = driver.say(pipelined);
    let expected =
        "250 ok\r\n550 sorry, no mailbox here by that name (#5.1.1)\r\n503 RCPT first (#5.5.1)\r\n250 ok\r\n";
    assert_eq!(replies, expected);
}

#[test]
fn a_chunk_of_unknown_size_ends_the_session() {
    for line in ["BDAT x LAST\r\n".to_owned(), format!("BDAT {}\r\n", "9".repeat(5000))] {
        let mut driver = Driver::new(settings());
        driver.sent();
        let reply = driver.say(&format!("{line}NOOP\r\n"));
        assert!(reply.starts_with("421 BDAT without a size") && reply.lines().count() == 1, "{reply}");
        assert!(driver.closed);
    }
}

#[test]
fn after_starttls_the_session_begins_anew() {
    let mut driver = Driver::new(settings());
    driver.say("EHLO client.example\r\nMAIL FROM:<>\r\n");
    assert_eq!(driver.say("STARTTLS\r\n"), "220 2.0.0 ready to start TLS\r\n");
    assert!(driver.tls);
    assert_eq!(driver.say("RCPT TO:<abc@pobox.example>\r\n"), "503 MAIL first (#5.5.1)\r\n");
    assert_eq!(driver.say("NOOP\r\n"), "250 ok\r\n", "EHLO is forgotten");
    assert!(!driver.say("EHLO client.example\r\n").contains("STARTTLS"));
    assert_eq!(driver.say("STARTTLS\r\n"), "503 TLS is active already (#5.5.1)\r\n");
    driver.say("MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nDATA\r\n.\r\n");
    let text = String::from_utf8_lossy(&driver.accepted[0].1).into_owned();
    assert!(text.contains("with ESMTPS id") && text.contains(" tls TLS_AES_128_GCM_SHA256;"), "{text}");
}

#[test]
fn commands_injected_behind_starttls_are_not_obeyed() {
    let mut driver = Driver::new(settings());
    driver.sent();
    let reply = driver.say("STARTTLS\r\nMAIL FROM:<evil@x.example>\r\n");
    assert_eq!(reply, "421 nothing may follow STARTTLS before TLS is active, I hang up\r\n");
    assert!(driver.closed && !driver.tls && driver.events == [Event::InputAfterStartTls]);
}

#[test]
fn submission_asks_who_the_client_is() {
    let submission = Settings { mode: Mode::Submission, ..settings() };
    let denied = "530 5.7.0 sorry, you must say who you are first: authentication required\r\n";
    let mut driver = Driver::new(submission.clone());
    driver.say("EHLO client.example\r\n");
    assert_eq!(driver.say("MAIL FROM:<abc@pobox.example>\r\n"), denied);
    let mut driver = Driver::new(Settings { unauthenticated_submission: true, ..submission });
    driver.sent();
    assert_eq!(driver.say("MAIL FROM:<abc@pobox.example>\r\n"), "250 ok\r\n");
}

#[test]
fn a_silent_client_is_sent_away() {
    let mut driver = Driver::new(settings());
    driver.sent();
    driver.wait(Duration::from_secs(299));
    driver.give(b"NO");
    driver.wait(Duration::from_secs(1));
    assert_eq!(driver.sent(), "421 timeout (#4.4.2)\r\n", "half a command does not count");
    assert!(driver.closed && driver.events == [Event::TimedOut { in_message: false }]);

    let mut driver = at_data(settings());
    driver.wait(Duration::from_secs(299));
    driver.give(b"x");
    driver.wait(Duration::from_secs(299));
    assert!(!driver.closed);
    driver.wait(Duration::from_secs(1));
    assert_eq!(driver.sent(), "451 timeout (#4.4.2)\r\n");
    assert!(driver.closed && driver.draft.is_none());
}

#[test]
fn a_message_must_be_complete_in_time_however_busy_the_client_is() {
    for begin in ["DATA\r\n", "BDAT 1000\r\n"] {
        let mut driver = Driver::new(settings());
        driver.say("MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\n");
        driver.say(begin);
        for _ in 0..29 {
            driver.wait(Duration::from_secs(60));
            driver.give(b"x");
        }
        assert!(!driver.closed);
        driver.wait(Duration::from_secs(60));
        assert_eq!(driver.sent(), "451 timeout (#4.4.2)\r\n");
        assert!(driver.closed && driver.events == [Event::TimedOut { in_message: true }]);
    }
}

#[test]
fn a_client_may_vanish_anywhere() {
    let whole = "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nDATA\r\nx\r\n.\r\n\
                 MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nBDAT 3\r\nabcBDAT 0 LAST\r\n";
    let data_end = whole.find("\r\n.\r\n").unwrap() + 5;
    for end in 0..=whole.len() {
        let mut driver = Driver::new(settings());
        driver.give(&whole.as_bytes()[..end]);
        driver.end_of_input();
        assert!(driver.closed);
        assert!(matches!(driver.events.last(), Some(Event::Vanished { .. })));
        let complete = [data_end, whole.len()].iter().filter(|&&message_end| message_end <= end).count();
        assert_eq!(driver.accepted.len(), complete, "at {end}");
    }
}

#[test]
fn a_client_that_stops_writing_still_gets_its_answers() {
    let mut driver = Driver::new(settings());
    driver.sent();
    driver.session.end_of_input();
    assert_eq!(driver.say("NOOP\r\nQUIT\r\n"), "250 ok\r\n221 mx.pobox.example\r\n");
    assert!(driver.closed && driver.events.is_empty());
}

#[test]
fn a_server_that_stops_finishes_the_message_in_hand() {
    let mut driver = Driver::new(settings());
    driver.sent();
    driver.session.shutdown();
    driver.run();
    assert_eq!(driver.sent(), "421 the service is stopping, please come again\r\n");
    assert!(driver.closed);

    let mut driver = at_data(settings());
    driver.session.shutdown();
    driver.run();
    let goodbye =
        "250 2.0.0 ok 0 qp 0000000000001\r\n421 4.3.2 the service is stopping, please come again\r\n";
    assert_eq!(driver.say("a\r\n.\r\nNOOP\r\n"), goodbye);
    assert!(driver.closed);
}

#[test]
fn a_server_that_stops_waits_for_the_last_chunk() {
    let mut driver = Driver::new(settings());
    driver.say("MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nBDAT 1\r\nx");
    driver.session.shutdown();
    driver.run();
    let goodbye = "250 ok 0 qp 0000000000001\r\n421 the service is stopping, please come again\r\n";
    assert_eq!(driver.say("BDAT 1 LAST\r\ny"), goodbye);
    assert!(driver.closed && driver.accepted.len() == 1);
}

#[test]
fn the_clock_does_not_run_against_a_client_that_waits_for_us() {
    let mut driver = Driver::new(settings());
    driver.sent();
    driver.session.receive("MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\n".into(), driver.now);
    let judge = driver.session.next_action(driver.now, crate::driver::WALL);
    assert!(matches!(judge, Some(smtp::Action::Judge { .. })));
    driver.wait(Duration::from_secs(3600));
    assert!(!driver.closed && driver.events.is_empty());
    assert_eq!(driver.sent(), "250 ok\r\n", "the answer to MAIL, and no farewell");
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let mut driver = Driver::new(settings());
    driver.sent();
    driver.session.committed(Ok(envelope::QueueId::from_u64(1)));
    driver.session.opened(Ok(envelope::QueueId::from_u64(1)), driver.now);
    driver.session.judged(Err(envelope::Refusal::RelayDenied));
    driver.session.authenticated(Ok(crate::driver::sender("abc", envelope::Entitlement::Authentication)));
    driver.session.scram_salt(Err(smtp::AuthenticationFailure::Credentials), [0; 18]);
    driver.session.scram_proved(Err(smtp::AuthenticationFailure::Credentials));
    driver.session.sender_judged(Err(envelope::Refusal::SenderDenied));
    driver.session.authors_judged(Ok(()));
    driver.session.own_address(Err(envelope::Refusal::DirectoryUnavailable));
    driver.run();
    assert_eq!(driver.say("NOOP\r\n"), "250 ok\r\n");
    assert!(driver.events.is_empty() && *driver.session.client() == envelope::Client::Stranger);
}
