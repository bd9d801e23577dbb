use proptest::prelude::*;

use super::*;

fn call_in(face: Face, manner: Manner, words: &[&str], variables: &[(&str, &str)]) -> Result<Call, Refusal> {
    let arguments: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    understand(face, manner, &arguments, &|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| value.as_bytes().to_vec())
    })
}

fn helpful(words: &[&str]) -> Result<Call, Refusal> {
    call_in(Face::Sendmail, Manner::Helpful, words, &[])
}

fn strict(words: &[&str]) -> Result<Call, Refusal> {
    call_in(Face::Sendmail, Manner::Strict, words, &[])
}

fn inject(words: &[&str]) -> Result<Call, Refusal> {
    call_in(Face::QmailInject, Manner::Qmail, words, &[])
}

#[track_caller]
fn handed(call: Result<Call, Refusal>) -> Job {
    match call.map(|call| call.errand) {
        Ok(Errand::Hand(job)) => job,
        other => panic!("{other:?}"),
    }
}

/// A job in one line: `t` with the header's recipients, `f=`, `F=`, and the recipients.
#[track_caller]
fn told(call: Result<Call, Refusal>) -> String {
    let job = handed(call);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let mut told = match job.from_header {
        FromHeader::Never => String::new(),
        FromHeader::IfNoArguments => "A ".into(),
        FromHeader::Also => "t ".into(),
        FromHeader::Only => "h ".into(),
    };
    told += &job.sender.iter().map(|sender| format!("f={} ", text(sender))).collect::<String>();
    told += &job.full_name.iter().map(|name| format!("F={} ", text(name))).collect::<String>();
    told += &job.arguments.iter().map(|address| text(address)).collect::<Vec<_>>().join(" ");
    told.trim_end().into()
}

fn illegal(letter: &str) -> Refusal {
    Refusal::IllegalOption(letter.into())
}

#[test]
fn the_published_options_do_the_same_in_both_manners() {
    for (words, expected) in [
        (&["-t"][..], "t"),
        (&["a@x.example"], "a@x.example"),
        (&["a@x.example", "b@y.example"], "a@x.example b@y.example"),
        (&["-t", "c@z.example"], "t c@z.example"),
        (&["-fs@x.example", "-t"], "t f=s@x.example"),
        (&["-f", "s@x.example", "-t"], "t f=s@x.example"),
        (&["-f", "", "a"], "f= a"),
        (&["-f", "abc", "a"], "f=abc a"),
        (&["-FTaro Yamada", "-t"], "t F=Taro Yamada"),
        (&["-F", "Taro Yamada", "-t"], "t F=Taro Yamada"),
        (&["-t", "-Ftaro", "-fs@x.example"], "t f=s@x.example F=taro"),
        (&["-fs@x.example", "-Ftaro", "-t"], "t f=s@x.example F=taro"),
        (&["-tfs@x.example"], "t f=s@x.example"),
        (&["-fone@x.example", "-ftwo@x.example", "a"], "f=two@x.example a"),
        (&["--", "-t@x.example"], "-t@x.example"),
        (&["-t", "--", "-n"], "t -n"),
    ] {
        assert_eq!(told(helpful(words)), expected, "{words:?}");
        assert_eq!(told(strict(words)), expected, "{words:?}");
    }
    for call in [helpful, strict] {
        assert_eq!(call(&["-bs"]).unwrap().errand, Errand::Dialogue);
        assert_eq!(call(&["-bp"]).unwrap().errand, Errand::List);
        for mode in ["d", "t", "v", "D", "z"] {
            assert_eq!(call(&[&format!("-b{mode}")]).unwrap_err(), Refusal::NoSuchMode(mode.into()));
        }
    }
}

#[test]
fn without_a_recipient_nothing_is_handed_in() {
    for words in [&[][..], &["-f", "s@x.example"], &["-Fname"]] {
        assert_eq!(helpful(words), Err(Refusal::NoRecipients), "{words:?}");
        assert_eq!(strict(words), Err(Refusal::NoRecipients), "{words:?}");
    }
    for words in [&[""][..], &[","], &["-i"], &["undisclosed:;"], &["-om", "-v"], &["-f", "a@x.example", ""]]
    {
        assert_eq!(helpful(words), Err(Refusal::NoRecipients), "{words:?}");
    }
    assert_eq!(inject(&["-a"]), Err(Refusal::NoRecipients));
    let set = [("NEWSENDER", "s@x.example"), ("DTLINE", "Delivered-To: a\n")];
    assert_eq!(call_in(Face::Forward, Manner::Qmail, &[], &set), Err(Refusal::NoRecipients));
}

/// Rows of options that qmail's sendmail ignores, and of those that it does not know.
#[test]
fn options_that_change_nothing_are_let_pass_in_helpful_manner_and_refused_in_strict() {
    for (option, shown, letter) in [
        (&["-i"][..], "-i", "i"),
        (&["-m"], "-m", "m"),
        (&["-v"], "-v", "v"),
        (&["-x"], "-x", "x"),
        (&["-E"], "-E", "E"),
        (&["-J"], "-J", "J"),
        (&["-e", "m"], "-em", "e"),
        (&["-em"], "-em", "e"),
        (&["-oi"], "-oi", "o"),
        (&["-o", "i"], "-oi", "o"),
        (&["-om"], "-om", "o"),
        (&["-oem"], "-oem", "o"),
        (&["-oee"], "-oee", "o"),
        (&["-odb"], "-odb", "o"),
        (&["-odi"], "-odi", "o"),
        (&["-odq"], "-odq", "o"),
        (&["-oQ/x"], "-oQ/x", "o"),
        (&["-o", "Q/x"], "-oQ/x", "o"),
        (&["-oT1d"], "-oT1d", "o"),
        (&["-o7"], "-o7", "o"),
        (&["-B", "8BITMIME"], "-B 8BITMIME", "B"),
        (&["-B7BIT"], "-B 7BIT", "B"),
        (&["-p", "SMTP:host"], "-p SMTP:host", "p"),
        (&["-pSMTP"], "-p SMTP", "p"),
        (&["-n"], "-n", "n"),
        (&["-U"], "-U", "U"),
        (&["-G"], "-G", "G"),
        (&["-N", "success,failure"], "-N success,failure", "N"),
        (&["-Nnever"], "-N never", "N"),
        (&["-R", "full"], "-R full", "R"),
        (&["-V", "envelope-id"], "-V envelope-id", "V"),
        (&["-h", "5"], "-h 5", "h"),
        (&["-h5"], "-h 5", "h"),
        (&["-O", "DeliveryMode=b"], "-O DeliveryMode=b", "O"),
        (&["-A", "c"], "-A c", "A"),
        (&["-Am"], "-A m", "A"),
        (&["-L", "label"], "-L label", "L"),
        (&["-X", "/tmp/log"], "-X /tmp/log", "X"),
        (&["-C", "/etc/mail/x.cf"], "-C /etc/mail/x.cf", "C"),
        (&["-d0.1"], "-d0.1", "d"),
        (&["-q30m"], "-q30m", "q"),
        (&["-q"], "-q", "q"),
    ] {
        for behind in [false, true] {
            let mut words = vec!["-t", "a@x.example", "b@y.example"];
            let at = if behind { 3 } else { 0 };
            words.splice(at..at, option.iter().copied());
            let call = helpful(&words).unwrap_or_else(|refusal| panic!("{words:?}: {refusal}"));
            assert_eq!(call.let_pass, [shown]);
            assert_eq!(told(Ok(call)), "t a@x.example b@y.example", "{words:?}");
        }
        let words = [option, &["-t"]].concat();
        assert_eq!(strict(&words), Err(illegal(letter)), "{words:?}");
    }
    for mode in ["-bm", "-ba"] {
        assert_eq!(helpful(&[mode, "-t"]).unwrap().let_pass, [mode]);
        assert_eq!(strict(&[mode, "-t"]), Err(Refusal::NoSuchMode(mode[2..].into())));
    }
}

#[test]
fn letters_may_stand_together_and_options_behind_addresses() {
    for (words, expected) in [
        (&["-ti"][..], "t"),
        (&["-it"], "t"),
        (&["-tioi"], "t"),
        (&["-t", "-i", "-fs@x.example"], "t f=s@x.example"),
        (&["a@x.example", "-t"], "t a@x.example"),
        (&["a@x.example", "-i", "b@y.example", "-f", "s@x.example"], "f=s@x.example a@x.example b@y.example"),
        (&["-itfs@x.example"], "t f=s@x.example"),
        (&["-rs@x.example", "a"], "f=s@x.example a"),
        (&["-r", "s@x.example", "a"], "f=s@x.example a"),
        (&["-b", "m", "a"], "a"),
    ] {
        assert_eq!(told(helpful(words)), expected, "{words:?}");
    }
}

#[test]
fn no_recipient_is_taken_for_the_value_of_an_option_that_changes_nothing() {
    for option in ["-o", "-e", "-p", "-B", "-N", "-R", "-h", "-O", "-A", "-L", "-X", "-C", "-V", "-q", "-d"] {
        assert_eq!(told(helpful(&[option, "-t"])), "t", "{option}");
        assert_eq!(told(helpful(&[option, "--", "-t@x.example"])), "-t@x.example", "{option}");
        if option != "-V" {
            assert_eq!(told(helpful(&[option, "a@x.example", "b"])), "a@x.example b", "{option}");
        }
    }
    // -V wants an id, which may look like an address.
    assert_eq!(told(helpful(&["-V", "1@x.example", "a"])), "a");
    // Recipients that begin with a `-` and have no `--` before them.
    for (word, letter) in [("-test@x.example", "e"), ("-taro@x.example", "a"), ("-Norio@x.example", "N")] {
        assert_eq!(helpful(&["-t", word]), Err(illegal(letter)), "{word}");
    }
}

#[test]
fn an_option_that_counts_and_lacks_its_value_is_refused() {
    for (words, letter) in [
        (&["-t", "-f"][..], "f"),
        (&["-f", "-t"], "f"),
        (&["-F", "-t"], "F"),
        (&["-t", "-F"], "F"),
        (&["-b"], "b"),
        (&["-b", "-t"], "b"),
        (&["-f", "--", "a"], "f"),
    ] {
        assert_eq!(helpful(words), Err(Refusal::MissingValue(letter.into())), "{words:?}");
        assert_eq!(strict(words), Err(Refusal::MissingValue(letter.into())), "{words:?}");
    }
}

#[test]
fn options_that_nobody_knows_or_that_do_something_else_are_refused() {
    for (word, letter) in
        [("-z", "z"), ("-s", "s"), ("-Mid", "M"), ("--help", "-"), ("-t:", ":"), ("-S", "S")]
    {
        assert_eq!(helpful(&["-t", word]), Err(illegal(letter)), "{word}");
        assert_eq!(strict(&["-t", word]), Err(illegal(letter)), "{word}");
    }
    let hostile = understand(Face::Sendmail, Manner::Strict, &[b"-\x1b[2J".to_vec()], &|_| None);
    assert_eq!(hostile, Err(illegal(r"\x1b")));
}

#[test]
fn the_sender_may_be_written_as_people_write_it() {
    for (value, sender) in [
        ("", ""),
        ("<>", ""),
        (" <> ", ""),
        ("<a@x.example>", "a@x.example"),
        ("Taro <a@x.example>", "a@x.example"),
        (" a@x.example ", "a@x.example"),
        ("-a@x.example", "-a@x.example"),
    ] {
        if !value.is_empty() {
            let joined = handed(helpful(&[&format!("-f{value}"), "-t"])).sender;
            assert_eq!(joined.unwrap(), sender.as_bytes(), "{value}");
        }
        if !value.starts_with('-') {
            let separate = handed(helpful(&["-f", value, "-t"])).sender;
            assert_eq!(separate.unwrap(), sender.as_bytes(), "{value}");
        }
    }
    for value in ["a@x.example,b@y.example", "a b", "<a@x.example", "<> <>", ","] {
        assert!(matches!(helpful(&["-f", value, "-t"]), Err(Refusal::NotAnAddress(_))), "{value}");
    }
    for value in ["<>", "<a@x.example>", "Taro <a@x.example>"] {
        assert!(matches!(strict(&["-f", value, "-t"]), Err(Refusal::NotAnAddress(_))), "{value}");
    }
    assert!(matches!(helpful(&["-t", "-f", &"a".repeat(2000)]), Err(Refusal::NotAnAddress(_))));
    // A name that is given and empty is no name.
    let job = handed(call_in(Face::Sendmail, Manner::Helpful, &["-F", "", "-t"], &[("NAME", "Taro")]));
    assert_eq!((job.full_name, job.names.name), (None, None));
}

/// The rows of recipients on the command line.
#[test]
fn lists_are_parted_in_helpful_manner_and_refused_in_strict() {
    for (words, expected) in [
        (&["a@x.example,b@y.example"][..], "a@x.example b@y.example"),
        (&["a@x.example,", "b@y.example"], "a@x.example b@y.example"),
        (&["a,b"], "a b"),
    ] {
        assert_eq!(told(helpful(words)), expected, "{words:?}");
        assert_eq!(strict(words), Err(Refusal::CommaList(words[0].into())), "{words:?}");
    }
    for word in ["<a@x.example>", "A B <a@x.example>"] {
        assert_eq!(told(helpful(&[word])), "a@x.example");
        assert_eq!(strict(&[word]), Err(Refusal::NotAnAddress(word.into())));
    }
}

#[test]
fn in_strict_manner_an_option_behind_an_address_is_refused() {
    assert_eq!(strict(&["a@x.example", "-t"]), Err(Refusal::LateOption("-t".into())));
    assert_eq!(strict(&["a@x.example", "--", "-t"]), Err(Refusal::LateOption("--".into())));
    assert_eq!(told(strict(&["a@x.example", "-b@y.example"])), "a@x.example -b@y.example");
}

#[test]
fn a_line_end_or_control_character_is_refused_in_every_argument() {
    for hostile in
        ["a@x.example\nBcc: b@y.example", "a\r", "a\0b", "a\u{2028}b", "a\u{85}b", "a\x1b[2J", "\x7f"]
    {
        for words in
            [&["-t", "-f", hostile][..], &["-t", "-F", hostile], &["-t", hostile], &["-t", "--", hostile]]
        {
            for call in [helpful(words), strict(words)] {
                // ESC may begin ISO-2022-JP in a full name only, as `ESC $ B`.
                assert!(matches!(call, Err(Refusal::Injection(_))), "{words:?}");
            }
        }
        assert!(matches!(inject(&["--", hostile]), Err(Refusal::Injection(_))), "{hostile:?}");
    }
}

#[test]
fn other_names_have_errands_of_their_own() {
    let of = |face| call_in(face, Manner::Helpful, &["-v"], &[]);
    assert_eq!(of(Face::Mailq).unwrap().errand, Errand::List);
    assert!(matches!(of(Face::Newaliases).unwrap().errand, Errand::Said { exit: 0, .. }));
    for option in ["-bi", "-I", "-q", "-q15m"] {
        assert!(matches!(helpful(&[option]).unwrap().errand, Errand::Said { exit: 0, .. }), "{option}");
        assert_eq!(told(helpful(&[option, "a"])), "a", "mail is not passed over");
        assert_eq!(told(helpful(&["-t", option])), "t", "mail is not passed over");
    }
    assert_eq!(of(Face::Maildirmake), Err(Refusal::Fault("maildirmake takes no message".into())));
    let queue = of(Face::QmailQueue).unwrap();
    assert_eq!(queue.let_pass, ["-v"]);
    assert_eq!(handed(Ok(queue)).treatment, Treatment::AsIs);
}

#[test]
fn qmail_inject_takes_the_options_of_qmail() {
    for (words, expected) in [
        (&[][..], "A"),
        (&["a"], "A a"),
        (&["-A", "a"], "A a"),
        (&["-a", "a"], "a"),
        (&["-H", "a"], "t a"),
        (&["-h", "a"], "h"),
        (&["-fs@x.example"], "A f=s@x.example"),
        (&["-f", "s@x.example", "--", "-n"], "A f=s@x.example -n"),
        (&["-f", ""], "A f="),
        (&["-nN", "a"], "A a"),
        (&["-NaH"], "t"),
        (&["a", "-n"], "A a -n"),
    ] {
        assert_eq!(told(inject(words)), expected, "{words:?}");
    }
    assert!(matches!(inject(&["-n", "a"]).unwrap().errand, Errand::Show(_)));
    assert!(matches!(inject(&["-hn", "a"]).unwrap().errand, Errand::Show(_)));
    assert_eq!(inject(&["-h", "a"]).unwrap().let_pass, ["a"]);
    assert_eq!(inject(&["-z"]), Err(illegal("z")));
    assert_eq!(inject(&["-t"]), Err(illegal("t")));
    assert_eq!(inject(&["-f"]), Err(Refusal::MissingValue("f".into())));
    assert_eq!(inject(&["a,b"]), Err(Refusal::CommaList("a,b".into())));
    let job = handed(call_in(Face::QmailInject, Manner::Helpful, &["a"], &[("QMAILINJECT", "r")]));
    assert!(job.names.letters.verp);
    assert_eq!(job.manner, Manner::Qmail);
}

#[test]
fn forward_goes_under_the_sender_and_line_of_the_delivery() {
    let forward = |words: &[&str], set: &[(&str, &str)]| call_in(Face::Forward, Manner::Qmail, words, set);
    let set = [("NEWSENDER", "s@x.example"), ("DTLINE", "Delivered-To: a@x.example\n")];
    let job = handed(forward(&["b@y.example", "-c"], &set));
    assert_eq!(job.sender.unwrap(), b"s@x.example");
    assert_eq!(job.arguments, [&b"b@y.example"[..], b"-c"]);
    assert_eq!(job.treatment, Treatment::Forward { delivered_to: b"Delivered-To: a@x.example\n".to_vec() });
    assert_eq!(handed(forward(&["b"], &[("NEWSENDER", ""), ("DTLINE", "x")])).sender, Some(vec![]));
    assert_eq!(forward(&["b"], &set[..1]), Err(Refusal::NotSet("DTLINE".into())));
    assert_eq!(forward(&["b"], &set[1..]), Err(Refusal::NotSet("NEWSENDER".into())));
}

/// What people write, and rubbish.
fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        "-[a-zA-Z]{1,4}".prop_map(String::into_bytes),
        "[-a-z@.,<>\"() :;\\\\\\[]{0,12}".prop_map(String::into_bytes),
        Just(b"--".to_vec()),
        Just(b"a@x.example".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_call_is_understood_or_refused(
        face in 0..Face::ALL.len(),
        manner in prop_oneof![Just(Manner::Helpful), Just(Manner::Strict), Just(Manner::Qmail)],
        words in proptest::collection::vec(word(), 0..8),
        value: Option<Vec<u8>>,
    ) {
        let face = Face::ALL[face];
        let Ok(call) = understand(face, manner, &words, &|_| value.clone()) else { return Ok(()) };
        let (Errand::Hand(job) | Errand::Show(job)) = &call.errand else { return Ok(()) };
        for address in job.arguments.iter().chain(&job.sender) {
            prop_assert!(!address.iter().any(u8::is_ascii_control));
        }
        if matches!(call.errand, Errand::Hand(_)) && face != Face::QmailQueue {
            prop_assert!(job.from_header != FromHeader::Never || !job.arguments.is_empty());
        }
    }

    #[test]
    fn among_options_that_change_nothing_every_recipient_is_found(
        options in proptest::collection::vec(
            prop_oneof![
                Just("-i"), Just("-oi"), Just("-o"), Just("-em"), Just("-e"), Just("-n"), Just("-N"),
                Just("-R"), Just("-B"), Just("-p"), Just("-h"), Just("-L"), Just("-A"), Just("-v"), Just("-q"),
            ],
            0..6,
        ),
        at in 0..6usize,
    ) {
        let mut words = options;
        words.insert(at.min(words.len()), "a@x.example");
        let before = at.min(words.len());
        words.insert(before, "-t");
        prop_assert_eq!(told(helpful(&words)), "t a@x.example");
    }
}
