//! What holds whatever a client sends, and however the network cuts it.

use proptest::prelude::*;
use smtp::Settings;

use crate::driver::{Driver, settings, settings_with_auth};

/// Small limits, so that they are met often.
fn tight() -> Settings {
    Settings {
        message_size_max: 80,
        header_size_max: 60,
        hops_max: 2,
        recipients_max: 2,
        errors_max: 6,
        // What follows STARTTLS depends on the cut, and must: see `after_starttls`.
        offers_starttls: false,
        ..settings_with_auth()
    }
}

/// All that can be seen of a session that was given `input` in pieces of these lengths.
fn outcome(input: &[u8], mut cuts: impl FnMut() -> usize) -> (String, Vec<Vec<u8>>, bool, String) {
    let mut driver = Driver::new(tight());
    let mut rest = input;
    while !rest.is_empty() && !driver.closed {
        let (piece, after) = rest.split_at(cuts().clamp(1, rest.len()));
        driver.give(piece);
        rest = after;
    }
    driver.end_of_input();
    assert!(driver.closed);
    let messages = driver.accepted.iter().map(|(_, message)| message.clone()).collect();
    let events = format!("{:?}", driver.events);
    (driver.sent(), messages, driver.closed, events)
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"EHLO c\r\n",
        b"HELO c\n",
        b"MAIL FROM:<>\r\n",
        b"MAIL FROM:<a@x.example> SIZE=81\r\n",
        b"RCPT TO:<abc@pobox.example>\r\n",
        b"RCPT TO:<nobody@pobox.example>\r\n",
        b"RCPT TO:<abc@pobox.example> NOTIFY=NEVER ORCPT=rfc822;a+2Bb\r\n",
        b"MAIL FROM:<> RET=FULL ENVID=+\r\n",
        b"DATA\r\n",
        b"BDAT 5\r\n",
        b"BDAT 3 LAST\r\n",
        b"BDAT 90 LAST\r\n",
        b"BDAT 27\r\nFrom: abc@pobox.example\r\n\r\n",
        b"BDAT\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"QUIT\r\n",
        b"X\r\n",
        b"MAIL FROM:<abc@pobox.example>\r\n",
        b"RCPT TO:<joe@x.example>\r\n",
        b"AUTH PLAIN AGFiYwBwYXNz\r\n",
        b"AUTH PLAIN AHh5egB4eXo=\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH LOGIN\r\n",
        b"AUTH SCRAM-SHA-256 biwsbj1hYmMscj1h\r\n",
        b"YWJj\r\n",
        b"cGFzcw==\r\n",
        b"*\r\n",
        b"From: abc@pobox.example\r\n",
        b"From: xyz@pobox.example\r\n",
        b"From: (\r\n",
        b"Date: a\r\n",
        b"Received: a\r\n",
        b"a: b\r\n",
        b"\r\n",
        b".\r\n",
        b"..\r\n",
        b"abc",
        b"\r",
        b"\n",
        b".",
        b"\0",
        b"\xe3\x81",
        b"0123456789012345678901234567890123456789",
    ];
    let start: &[u8] = b"MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nDATA\r\n";
    let chunks: &[u8] = b"MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nBDAT 5\r\n";
    let submission: &[u8] =
        b"RSET\r\nAUTH PLAIN AGFiYwBwYXNz\r\nMAIL FROM:<>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n";
    prop_oneof![
        8 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => Just(start.to_vec()),
        1 => Just(chunks.to_vec()),
        2 => Just(submission.to_vec()),
    ]
}

/// A customer's message, with as many faults as will fit.
fn submission() -> impl Strategy<Value = Vec<u8>> {
    let lines: Vec<&[u8]> = vec![
        b"From: abc@pobox.example\r\n",
        b"From: abc@pobox.example\r\n",
        b"From: xyz@pobox.example\r\n",
        b"From: (\r\n",
        b"Sender: abc@pobox.example\r\n",
        b"Date: a\r\n",
        b"Received: a\r\n",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"..\r\n",
        b" x\r\n",
        b"x",
        b"\n",
        b"\r",
        b"\0",
    ];
    (proptest::collection::vec(proptest::sample::select(lines), 0..6), any::<bool>()).prop_map(
        |(lines, chunks)| {
            let message = lines.concat();
            let start = b"AUTH PLAIN AGFiYwBwYXNz\r\nMAIL FROM:<>\r\nRCPT TO:<joe@x.example>\r\n";
            let end = b"\r\n.\r\nNOOP\r\n";
            match chunks {
                true => {
                    let (first, last) = message.split_at(message.len() / 2);
                    let chunk = |data: &[u8], last| {
                        [format!("BDAT {}{last}\r\n", data.len()).as_bytes(), data].concat()
                    };
                    [&start[..], &chunk(first, ""), &chunk(last, " LAST"), b"NOOP\r\n"].concat()
                }
                false => [&start[..], b"DATA\r\n", &message, end].concat(),
            }
        },
    )
}

fn dialogue() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(word(), 0..25).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn it_does_not_matter_how_a_pipelined_dialogue_is_cut(
        input in prop_oneof![dialogue(), submission()], cuts in proptest::collection::vec(1usize..20, 1..10),
    ) {
        let whole = outcome(&input, || usize::MAX);
        prop_assert_eq!(&outcome(&input, || 1), &whole);
        let mut cuts = cuts.into_iter().cycle();
        prop_assert_eq!(&outcome(&input, || cuts.next().unwrap_or(1)), &whole);
    }

    #[test]
    fn any_octets_in_any_pieces_end_in_replies(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20),
    ) {
        let mut driver = Driver::new(settings());
        for piece in pieces {
            if !driver.closed {
                driver.give(&piece);
            }
        }
        driver.end_of_input();
        prop_assert!(driver.closed && driver.accepted.is_empty());
        for line in driver.sent().split_terminator("\r\n") {
            let octets = line.as_bytes();
            prop_assert!(octets[..3].iter().all(u8::is_ascii_digit), "{}", line);
            prop_assert!(matches!(octets[3], b' ' | b'-') && line.len() <= 510, "{}", line);
        }
    }

    /// Strangers' mail is neither judged nor completed nor changed.
    #[test]
    fn a_strangers_message_passes_octet_for_octet(
        header in "((From|Sender|Date|Message-ID|Bcc|X)( |:|,|<a@x[.]example>|\\(|é|\r\n ){0,3}\r\n){0,6}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let body: Vec<u8> = body.into_iter().filter(|octet| !b"\r\n\0".contains(octet)).collect();
        let message = [header.as_bytes(), b"\r\n.", &body, b"\r\n"].concat();
        let mut driver = Driver::new(settings_with_auth());
        driver.say("MAIL FROM:<joe@x.example>\r\nRCPT TO:<abc@pobox.example>\r\n");
        driver.give(format!("BDAT {} LAST\r\n", message.len()).as_bytes());
        driver.give(&message);
        let (_, taken) = &driver.accepted[0];
        let received_end = taken.windows(7).position(|octets| octets == b"+0900\r\n").unwrap() + 7;
        prop_assert_eq!(&taken[received_end..], &message[..]);
        prop_assert_eq!(&driver.senders, &[None]);
    }

    /// What a customer wrote is changed as little: the rest is put before it.
    #[test]
    fn a_submission_passes_octet_for_octet_behind_what_it_lacked(
        header in "((From: abc@pobox[.]example|Sender: abc@pobox[.]example|Date:|message-id: x|Bcc:|x|X: y|\r\n z)\r\n){0,6}",
        body in "(\r\nFrom: evil@y[.]example\r\n)?",
    ) {
        let message = format!("{header}{body}");
        let mut driver = Driver::new(settings_with_auth());
        driver.say("AUTH PLAIN AGFiYwBwYXNz\r\nMAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@y.example>\r\n");
        driver.give(format!("BDAT {} LAST\r\n{message}", message.len()).as_bytes());
        for (_, taken) in &driver.accepted {
            let text = String::from_utf8_lossy(taken);
            let (_, rest) = text.split_once("+0900\r\n").unwrap();
            prop_assert!(rest.ends_with(&message), "{}", rest);
            let count = |name| message::fields(taken).filter(|field| field.is(name)).count();
            prop_assert!(count("From") == 1 && count("Date") >= 1 && count("Message-ID") >= 1, "{}", text);
        }
    }

    /// Whatever stands in the data, an accepted message has only whole lines in it, and what
    /// another server could take for commands is inside it.
    #[test]
    fn no_message_is_smuggled(
        body in "([a-c.]|\\r\\n|\\r|\\n|\\.\\r\\n|\\n\\.\\n|\\r\\.\\r|\\r\\n\\.\\n|\\n\\.\\r\\n){0,12}",
    ) {
        // The true end is left out, also where taking one out makes another.
        let mut body = format!("x{body}");
        while body.contains("\r\n.\r\n") {
            body = body.replace("\r\n.\r\n", "");
        }
        let mut driver = Driver::new(settings());
        driver.say("MAIL FROM:<>\r\nRCPT TO:<abc@pobox.example>\r\nDATA\r\n");
        let inner = "MAIL FROM:<evil@x.example>\r\nRCPT TO:<xyz@pobox.example>\r\nDATA\r\n";
        let reply = driver.say(&format!("{body}{inner}end\r\n.\r\n"));
        prop_assert_eq!(reply.lines().count(), 1, "{}", reply);
        for (envelope, message) in &driver.accepted {
            prop_assert_eq!(envelope.recipients().len(), 1);
            let text = String::from_utf8_lossy(message);
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        }
    }
}
