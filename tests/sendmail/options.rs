//! Every option of the table that qmail's wrapper had, and those of other sendmails, in both manners.

use std::collections::BTreeMap;

use super::{Arrived, Site, letter};
use crate::house::run;

const ABC: &str = "abc@pobox.example";
const FOO: &str = "foo@abc.pobox.example";
const USAGE: &str = "sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n";

/// Calls sendmail by these words, and has it fail by this code. Gives what it said.
fn fails(site: &Site, code: i32, words: &[&str]) -> String {
    let ran = site.sendmail(words, letter("is not to be sent"));
    assert_eq!(ran.code, Some(code), "{words:?}: {ran:?}");
    assert!(ran.errors.starts_with("sendmail: ") && ran.errors.ends_with('\n'), "{words:?}: {ran:?}");
    ran.errors
}

/// Calls sendmail by each of these, and gives what came of it, by the words.
fn each_sends(site: &Site, calls: &[&[&str]], recipients: usize) -> BTreeMap<String, Vec<Arrived>> {
    for words in calls {
        let ran = site.sendmail(words, letter(&format!("{words:?}")));
        assert!(ran.code == Some(0) && ran.output.is_empty(), "{words:?}: {ran:?}");
    }
    let mut arrived: BTreeMap<String, Vec<Arrived>> = BTreeMap::new();
    for message in site.arrived("abc", calls.len() * recipients) {
        arrived.entry(message.field("Subject")).or_default().push(message);
    }
    for words in calls {
        let copies = arrived.get(&format!("{words:?}")).map_or(0, Vec::len);
        assert_eq!(copies, recipients, "{words:?}");
    }
    for message in arrived.values().flatten() {
        assert_eq!(message.body, b"Line one.\n.\nThe end.\n", "{}", message.header);
    }
    arrived
}

#[test]
fn harmless_options_of_every_sendmail_are_let_pass() {
    let site = Site::new();
    let calls: &[&[&str]] = &[
        // The table's own.
        &["-t"],
        &["-bm", "-t"],
        &["-i", "-t"],
        &["-m", "-t"],
        &["-v", "-t"],
        &["-x", "-t"],
        &["-e", "m", "-t"],
        &["-em", "-t"],
        &["-o", "em", "-t"],
        &["-oi", "-oem", "-om", "-odb", "-oQ/x", "-oT1d", "-t"],
        &["-B", "8BITMIME", "-t"],
        &["-B8BITMIME", "-t"],
        &["-p", "SMTP:host", "-t"],
        &["-E", "-t"],
        &["-J", "-t"],
        // Those that qmail refused.
        &["-n", "-t"],
        &["-N", "never", "-t"],
        &["-N", "delay,failure", "-R", "hdrs", "-V", "envid-1", "-t"],
        &["-R", "full", "-t"],
        &["-V", "1", "-t"],
        &["-h", "5", "-t"],
        &["-U", "-t"],
        &["-G", "-t"],
        &["-L", "tag", "-t"],
        &["-O", "ErrorMode=m", "-t"],
        &["-ODeliveryMode=b", "-t"],
        &["-X", "/dev/null", "-t"],
        &["-A", "c", "-t"],
        &["-Am", "-t"],
        &["-ba", "-t"],
        &["-odi", "-odq", "-oee", "-t"],
        // Together, and in whatever order.
        &["-ti"],
        &["-it"],
        &["-t", "-oi", "-oem"],
        &["-oi", "-t", "-f", ABC],
        &["-Fname", "-i", "-fabc@pobox.example", "-t"],
        // Behind an address, and after the end of the options.
        &[ABC, "-oi"],
        &["-oi", "--", ABC],
        &["-i", "-f", ABC, ABC],
        // What qmail lost: a value that looks like an option swallows none.
        &["-o", "-t"],
        &["-e", "-t"],
        &["-p", "-t"],
        &["-B", "-t"],
    ];
    each_sends(&site, calls, 1);
}

#[test]
fn arguments_are_recipients_however_they_are_written() {
    let site = Site::new();
    let two: &[&[&str]] = &[
        &[ABC, FOO],
        &["abc@pobox.example,foo@abc.pobox.example"],
        &["abc@pobox.example, foo@abc.pobox.example"],
        &["abc@pobox.example,", FOO],
        &["<abc@pobox.example>", "A B <foo@abc.pobox.example>"],
        &["\"B, A\" <abc@pobox.example>, foo@abc.pobox.example (Foo, of course)"],
        &["abc", FOO],
        // One in the header, one here: -t takes both.
        &["-t", FOO],
        &[FOO, "-t"],
        &["-t", "-i", "--", FOO],
    ];
    let arrived = each_sends(&site, two, 2);
    for (words, copies) in arrived {
        let mut to: Vec<String> = copies.iter().map(|message| message.field("Delivered-To")).collect();
        to.sort_unstable();
        assert_eq!(to, [ABC, FOO], "{words}");
    }
}

#[test]
fn a_sender_is_named_in_every_way() {
    let site = Site::new();
    let calls: &[&[&str]] = &[
        &["-f", FOO, ABC],
        &["-ffoo@abc.pobox.example", ABC],
        &["-f", "<foo@abc.pobox.example>", ABC],
        &["-f", "Foo <foo@abc.pobox.example>", ABC],
        &["-if", FOO, ABC],
        &[ABC, "-f", FOO],
        &["-t", "-f", FOO],
        &["-f", FOO, "-t"],
        &["-r", FOO, ABC],
        // The null reverse-path, in both of its forms.
        &["-f", "", ABC],
        &["-f", "<>", ABC],
        &["-f<>", ABC],
        // The local-part alone.
        &["-f", "abc", ABC],
    ];
    for (words, copies) in each_sends(&site, calls, 1) {
        let path = copies[0].field("Return-Path");
        let expected = match &words {
            words if words.contains("foo@") => "<foo@abc.pobox.example>",
            words if words.contains("\"\"") || words.contains("<>") => "<>",
            _ => "<abc@pobox.example>",
        };
        assert_eq!(path, expected, "{words}");
    }
}

/// netqmail lost -F where there was an -f.
#[test]
fn a_name_and_a_sender_are_both_honoured() {
    let site = Site::new();
    let bare = "To: abc@pobox.example\nSubject: bare\n\nhello\n";
    for (words, from) in [
        (&["-t"][..], "abc@pobox.example"),
        (&["-t", "-F", "Abe Taro"], "\"Abe Taro\" <abc@pobox.example>"),
        (&["-t", "-FAbe Taro", "-f", FOO], "\"Abe Taro\" <foo@abc.pobox.example>"),
        (&["-f", FOO, "-t"], "foo@abc.pobox.example"),
        (&["-t", "-F", "say \"hi\" \\"], "\"say \\\"hi\\\" \\\\\" <abc@pobox.example>"),
    ] {
        let before = site.house.messages("abc");
        site.sendmail(words, bare).good();
        let messages = site.house.wait_for_messages("abc", before.len() + 1);
        let new = messages.iter().find(|message| !before.contains(message)).unwrap();
        assert_eq!(crate::house::field(new, "From"), from, "{words:?}");
    }
}

#[test]
fn what_sendmail_cannot_be_is_refused_with_the_usage_line() {
    let site = Site::new();
    for words in [&["-bd"][..], &["-bt"], &["-bv", ABC], &["-bD"], &["-bz"]] {
        let said = fails(&site, 64, words);
        assert!(said.contains(USAGE), "{words:?}: {said}");
    }
    for (words, option) in [(&["-t", "-f"][..], "f"), (&["-t", "-F"], "F")] {
        let said = fails(&site, 64, words);
        assert!(said.contains(&format!("option requires an argument -- {option}")), "{words:?}: {said}");
    }
    // Nobody to send it to is no success, as it was at qmail's.
    for words in [&[][..], &["-i"], &["-o", "i"], &["-f", ABC], &["--"]] {
        let said = fails(&site, 64, words);
        assert!(said.contains("no recipient is named"), "{words:?}: {said}");
    }
    let ran = site.sendmail(&["-t"], "From: abc@pobox.example\nSubject: to nobody\n\nhello\n");
    assert!(ran.code == Some(64) && ran.errors.contains("no recipient is named"), "{ran:?}");
    site.nothing_was_sent();
}

#[test]
fn newaliases_has_nothing_to_do_and_says_so() {
    let site = Site::new();
    for (face, words) in [("newaliases", &[][..]), ("sendmail", &["-bi"])] {
        let ran = run(&mut site.face(face, words), "");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!(ran.output + &ran.errors).is_empty());
    }
}

mod strict {
    use super::*;

    fn site() -> Site {
        Site::with("[sendmail]\nstrict = true")
    }

    #[test]
    fn the_published_options_are_taken() {
        let site = site();
        let calls: &[&[&str]] = &[
            &["-t"],
            &["-f", ABC, "-t"],
            &["-fabc@pobox.example", "-t"],
            &["-t", "-Fname"],
            &["-F", "name", ABC],
            &[ABC],
            &["-f", ABC, ABC],
            &["--", ABC],
        ];
        each_sends(&site, calls, 1);
    }

    #[test]
    fn every_other_option_is_refused_by_the_lines_of_old() {
        let site = site();
        for letter in "nNRVqCdrhsUGLOXMI".chars() {
            let option = format!("-{letter}");
            let said = fails(&site, 100, &["-t", &option]);
            let lines = format!("sendmail: illegal option -- {letter}\n{USAGE}");
            assert!(said.starts_with(&lines), "{option}: {said}");
        }
        for words in [&["-i", "-t"][..], &["-oi", "-t"], &["-v", "-t"], &["-B", "8BITMIME", "-t"]] {
            let said = fails(&site, 100, words);
            assert!(
                said.contains("sendmail: illegal option -- ") && said.contains(USAGE),
                "{words:?}: {said}"
            );
        }
        let said = fails(&site, 100, &["-t", "-f"]);
        assert!(said.starts_with(&format!("sendmail: option requires an argument -- f\n{USAGE}")), "{said}");
        for words in [&["-bd"][..], &["-bi"], &["-bt"], &["-bv"], &["-bD"], &["-bm", "-t"]] {
            assert!(fails(&site, 100, words).contains(USAGE), "{words:?}");
        }
        site.nothing_was_sent();
    }

    #[test]
    fn what_qmail_lost_is_refused_with_a_reason() {
        let site = site();
        for list in [
            "abc@pobox.example,xyz@pobox.example",
            "abc@pobox.example, xyz@pobox.example",
            "abc@pobox.example,",
        ] {
            let said = fails(&site, 100, &[list]);
            assert!(said.contains("separate addresses by spaces, not by commas"), "{said}");
        }
        // An option behind an address was one more recipient.
        fails(&site, 100, &[ABC, "-t"]);
        for words in [&[][..], &["-f", ABC]] {
            assert!(fails(&site, 100, words).contains("no recipient is named"), "{words:?}");
        }
        site.nothing_was_sent();
    }

    #[test]
    fn what_comes_later_says_111() {
        let mut site = Site::at_rest("[sendmail]\nstrict = true\nspool = false");
        site.house.start();
        site.house.stop();
        let said = fails(&site, 111, &["-t"]);
        assert!(said.contains("try again later"), "{said}");
    }
}

/// Whatever is refused names the user, and says what to do.
#[test]
fn a_refusal_names_the_user_and_a_remedy_on_standard_error_and_in_the_log() {
    let site = Site::new();
    let user = format!("user id {}", site.uid);
    let cases: [(&[&str], i32, &str, &str); 4] = [
        (&["nosuch@pobox.example"], 67, "nosuch@pobox.example", "check how these addresses are spelt"),
        (&["-f", "me@elsewhere.example", ABC], 77, "me@elsewhere.example", "Reply-To"),
        (&["a\r\nb@pobox.example"], 65, "", "line ends"),
        (&["not an @ address @@"], 65, "", "name@host"),
    ];
    for (words, code, what, remedy) in cases {
        let said = fails(&site, code, words);
        assert!(said.contains(&user) && said.contains(what) && said.contains(remedy), "{words:?}: {said}");
    }
    site.nothing_was_sent();
    let refused = site.house.events("refused");
    for what in ["nosuch@pobox.example", "me@elsewhere.example"] {
        let logged = refused.iter().find(|event| event.to_string().contains(what));
        let logged = logged.unwrap_or_else(|| panic!("the log does not tell of {what}: {refused:?}"));
        assert_eq!(logged["uid"], site.uid, "{logged}");
    }
}
