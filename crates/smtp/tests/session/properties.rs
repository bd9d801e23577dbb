//! What holds whatever a client sends, and however the network cuts it.

use proptest::prelude::*;
use smtp::Settings;

use crate::driver::{Driver, settings};

/// Small limits, so that they are met often.
fn tight() -> Settings {
    Settings {
        message_size_max: 60,
        header_size_max: 40,
        hops_max: 2,
        recipients_max: 2,
        errors_max: 6,
        // What follows STARTTLS depends on the cut, and must: see `after_starttls`.
        offers_starttls: false,
        ..settings()
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
        b"MAIL FROM:<a@x.example> SIZE=61\r\n",
        b"RCPT TO:<abc@pobox.example>\r\n",
        b"RCPT TO:<nobody@pobox.example>\r\n",
        b"DATA\r\n",
        b"BDAT 5\r\n",
        b"BDAT 3 LAST\r\n",
        b"BDAT 70 LAST\r\n",
        b"BDAT\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"QUIT\r\n",
        b"X\r\n",
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
    prop_oneof![
        6 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => Just(start.to_vec()),
        1 => Just(chunks.to_vec()),
    ]
}

fn dialogue() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(word(), 0..25).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn it_does_not_matter_how_a_pipelined_dialogue_is_cut(
        input in dialogue(), cuts in proptest::collection::vec(1usize..20, 1..10),
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
