//! What a broken script or a spiteful visitor may bring: it is refused clearly, and nothing is lost or leaks.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use super::{Site, letter};
use crate::house::{Ran, eventually, run};

const ABC: &str = "abc@pobox.example";
/// What nobody may slip in.
const MORE: &str = "Bcc: xyz@pobox.example";

/// A line of shell, which runs as a customer's script does; `$SENDMAIL` is the command.
fn shell(site: &Site, line: &str, input: &str) -> Ran {
    run(site.command("sh").args(["-c", line]), input)
}

/// It was refused, and not by falling over.
fn refused(ran: &Ran, codes: &[i32]) {
    assert!(ran.code.is_some_and(|code| codes.contains(&code)), "{ran:?}");
    assert!(!ran.errors.contains("panicked"), "{ran:?}");
    // What is shown of it is harmless.
    let shown =
        |octet: char| octet == '\n' || (!octet.is_control() && !['\u{2028}', '\u{2029}'].contains(&octet));
    assert!(ran.errors.chars().all(shown), "{ran:?}");
}

#[test]
fn line_ends_and_control_characters_in_arguments_are_refused() {
    let site = Site::new();
    for evil in
        ["\n", "\r", "\r\n", "\n\n", "\u{2028}", "\u{2029}", "\u{85}", "\u{b}", "\u{c}", "\u{7f}", "\u{1}"]
    {
        let address = format!("{ABC}{evil}{MORE}");
        for words in [
            &[address.as_str()][..],
            &[ABC, &address],
            &["-f", &address, ABC],
            &["-t", "-f", &format!("<{address}>")],
            &["-F", &format!("Name{evil}{MORE}"), ABC],
            &[&format!("-FName{evil}{MORE}"), "-t"],
            &["--", &format!("Name{evil} <{ABC}>")],
        ] {
            let ran = site.sendmail(words, "To: abc@pobox.example\nSubject: x\n\nhello\n");
            refused(&ran, &[65]);
        }
    }
    // Octets that are no text at all.
    let latin = OsString::from_vec(b"\xff\xfe@pobox.example".to_vec());
    refused(&site.sendmail(&[latin.as_os_str()], "\nhello\n"), &[65, 67]);
    site.nothing_was_sent();
}

#[test]
fn what_a_visitor_types_into_a_field_adds_no_recipient_and_no_field() {
    let site = Site::new();
    for evil in ["\u{2028}", "\u{2029}", "\u{85}", "\u{b}", "\r", "\u{1}"] {
        let to = format!("To: abc@pobox.example{evil}{MORE}\nSubject: x\n\nhello\n");
        refused(&site.sendmail(&["-t"], &to), &[65]);
    }
    refused(&site.sendmail(&["-t"], "To: abc@pobox.example\0\nSubject: x\n\nhello\n"), &[65]);
    refused(&site.sendmail(&["-t"], "To: abc@pobox.example\nSubject: x\0\n\nhello\n"), &[65]);
    refused(&site.sendmail(&["-t"], "To: abc@pobox.example\nSubject: x\n\nhel\0lo\n"), &[65]);
    // A script that takes LF out of what it gets, and leaves CR: no sendmail ever took that for a line end.
    for field in ["Subject: x", "X-Visitor: x", "From: Hanako"] {
        let ran = site.sendmail(&["-t"], format!("To: abc@pobox.example\n{field}\r{MORE}\n\nhello\n"));
        refused(&ran, &[65, 77]);
    }
    site.nothing_was_sent();
    // In the text it is a line end like the others, and a line separator in a subject is a character of it.
    let text =
        "To: abc@pobox.example\nSubject: a\u{2028}Bcc: xyz@pobox.example\n\none\rtwo\r\nthree\r\r\nfour";
    site.sendmail(&["-t"], text).good();
    let message = site.one("abc");
    assert_eq!(message.body, b"one\ntwo\nthree\nfour\n");
    assert_eq!(message.field("Subject"), "a\u{2028}Bcc: xyz@pobox.example");
    assert!(site.house.messages("xyz").is_empty());
}

#[test]
fn an_address_that_begins_with_a_dash_is_an_address() {
    let site = Site::new();
    for (address, words) in [
        ("-oQ/tmp@abc.pobox.example", &["--", "-oQ/tmp@abc.pobox.example"][..]),
        ("-froot@abc.pobox.example", &[ABC, "--", "-froot@abc.pobox.example"]),
        ("-t@abc.pobox.example", &["<-t@abc.pobox.example>"]),
    ] {
        let before = site.house.messages("abc").len();
        site.sendmail(words, "Subject: x\n\nhello\n").good();
        let messages = site.arrived("abc", before + words.iter().filter(|word| word.contains('@')).count());
        assert!(messages.iter().any(|message| message.field("Delivered-To") == address), "{words:?}");
    }
    let before = site.house.messages("abc").len();
    site.sendmail(&["-t", "-f-foo@abc.pobox.example"], "To: -bp@abc.pobox.example\n\nhello\n").good();
    let messages = site.arrived("abc", before + 1);
    let new =
        messages.iter().find(|message| message.field("Delivered-To") == "-bp@abc.pobox.example").unwrap();
    assert_eq!(new.field("Return-Path"), "<-foo@abc.pobox.example>");
    // To those who do not exist it goes as to anybody else.
    refused(&site.sendmail(&["--", "-oQ@pobox.example"], "\nhello\n"), &[67]);
    refused(&site.sendmail(&["--", "-t"], "To: abc@pobox.example\n\nhello\n"), &[67]);
}

#[test]
fn a_hundred_thousand_recipients_are_refused_at_once() {
    let site = Site::new();
    let begin = Instant::now();
    let list = |count: usize, separator: &str| -> String {
        (0..count).map(|number| format!("r{number}@shop.example")).collect::<Vec<_>>().join(separator)
    };
    // In the header, on one line, folded, and a field each; as arguments, and in one argument.
    let hundred_thousand = list(100_000, ", ");
    refused(&site.sendmail(&["-t"], format!("To: {hundred_thousand}\n\nhello\n")), &[69]);
    refused(&site.sendmail(&["-t"], format!("Bcc: {}\n\nhello\n", list(100_000, ",\n\t"))), &[69]);
    refused(&site.sendmail(&["-t"], format!("To: {}\n\nhello\n", list(100_000, "\nTo: "))), &[69]);
    refused(&site.sendmail(&["-t"], format!("To: {}\n\nhello\n", list(5_000, ", "))), &[69]);
    let arguments: Vec<String> = (0..50_000).map(|number| format!("r{number}@shop.example")).collect();
    refused(&site.sendmail(&arguments, "\nhello\n"), &[69]);
    refused(&site.sendmail(&[&list(5_000, ",")], "\nhello\n"), &[69]);
    // Deep and unending things in a field that names recipients.
    for piece in ["(", "<", "\"", "a:", "@a,", ",", "a ", "\\", ";", "=?", "\x1b$B"] {
        let ran = site.sendmail(&["-t"], format!("To: {}\n\nhello\n", piece.repeat(200_000 / piece.len())));
        refused(&ran, &[64, 65, 67, 69]);
    }
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert!(site.house.events("role_died").is_empty());
    site.nothing_was_sent();
}

#[test]
fn a_header_without_end_is_refused() {
    let site = Site::new();
    for header in
        ["X-Long: ".to_string() + &"x".repeat(400_000), "X: y\n".repeat(80_000), "x".repeat(400_000)]
    {
        let ran = site.sendmail(&[ABC], format!("{header}\n\nhello\n"));
        // What is no field begins the text, however long it is.
        if header.starts_with('x') {
            ran.good();
        } else {
            refused(&ran, &[69]);
        }
    }
    assert!(site.one("abc").body.starts_with(&[b'x'; 400_000]));
}

#[test]
fn two_gigabytes_and_a_stream_that_never_ends_are_refused_in_time_and_in_little_memory() {
    let site = Site::new();
    let begin = Instant::now();
    for source in [
        "head -c 2147483648 /dev/zero | tr '\\0' x",
        "yes 'a line that never ends'",
        "yes 'X-Header: without end'",
        "cat /dev/zero",
    ] {
        let ran = shell(&site, &format!("ulimit -v 400000; {source} 2>/dev/null | $SENDMAIL {ABC}"), "");
        refused(&ran, if source.contains("cat") { &[65, 69] } else { &[69] });
    }
    // Nor does it matter that there is no place for a file.
    let ran = shell(&site, &format!("TMPDIR=/nonexistent; export TMPDIR; yes | $SENDMAIL {ABC}"), "");
    refused(&ran, &[69]);
    assert!(begin.elapsed() < Duration::from_secs(120), "{:?}", begin.elapsed());
    site.nothing_was_sent();
}

#[test]
fn a_caller_that_says_nothing_keeps_nobody_waiting() {
    let site = Site::new();
    let mut silent: Vec<_> =
        (0..20).map(|_| site.face("sendmail", &["-t"]).stdin(Stdio::piped()).spawn().unwrap()).collect();
    site.sendmail(&["-t"], letter("in the meantime")).good();
    site.one("abc");
    for child in &mut silent {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn closed_descriptors_change_nothing_but_what_is_said() {
    let site = Site::new();
    fs::write(site.place("www/good"), letter("closed")).unwrap();
    fs::write(site.place("www/bad"), "To: nosuch@pobox.example\n\nhello\n").unwrap();
    let mut count = 0;
    for closing in [">&-", "2>&-", ">&- 2>&-", ">/dev/full 2>/dev/full"] {
        assert_eq!(shell(&site, &format!("$SENDMAIL -t <good {closing}"), "").code, Some(0), "{closing}");
        assert_eq!(shell(&site, &format!("$SENDMAIL -t <bad {closing}"), "").code, Some(67), "{closing}");
        assert_eq!(shell(&site, &format!("$SENDMAIL -bd <good {closing}"), "").code, Some(64), "{closing}");
        count += 1;
        site.arrived("abc", count);
        // What is to be printed cannot be, and that is all.
        let ran = shell(&site, &format!("$SENDMAIL -bp {closing}"), "");
        assert!(ran.code.is_some_and(|code| code != 101), "{closing}: {ran:?}");
    }
    // Where standard input is not there, no message was given.
    for closing in ["<&-", "<&- >&- 2>&-"] {
        let ran = shell(&site, &format!("$SENDMAIL -t {closing}"), "");
        assert_eq!(ran.code, Some(65), "{closing}: {ran:?}");
        let ran = shell(&site, &format!("$SENDMAIL -bs {closing}"), "");
        assert!(ran.code.is_some_and(|code| code != 101), "{closing}: {ran:?}");
    }
    // The reader of what is said goes first.
    let ran = shell(&site, "$SENDMAIL -t <bad 2>&1 | true; $SENDMAIL -t <good | true", "");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    site.arrived("abc", count + 1);
}

#[test]
fn an_environment_full_of_rubbish_is_no_obstacle() {
    let site = Site::new();
    let rubbish: [Vec<u8>; 4] = [
        vec![b'x'; 120_000],
        b"\xff\xfe\x1b[2J\r\nBcc: xyz@pobox.example\n".repeat(3000),
        "\u{2028}a@b".repeat(10_000).into_bytes(),
        b"\"\\(<,;:@>)".repeat(10_000),
    ];
    let names = [
        "QMAILUSER",
        "QMAILHOST",
        "QMAILNAME",
        "QMAILSUSER",
        "QMAILSHOST",
        "QMAILINJECT",
        "QMAILIDHOST",
        "QMAILDEFAULTHOST",
        "QMAILDEFAULTDOMAIN",
        "QMAILPLUSDOMAIN",
        "MAILUSER",
        "MAILHOST",
        "MAILNAME",
        "USER",
        "LOGNAME",
        "NAME",
    ];
    let mut count = 0;
    for value in &rubbish {
        let value = OsString::from_vec(value.clone());
        // A megabyte at once is what the kernel lets pass.
        for names in names.chunks(8) {
            let mut command = site.face("sendmail", &["-t"]);
            command.envs(names.iter().map(|name| (name, &value)));
            run(&mut command, "To: abc@pobox.example\nSubject: x\n\nhello\n").good();
            count += 1;
        }
    }
    for message in site.arrived("abc", count) {
        let path = message.field("Return-Path");
        // Letters of QMAILINJECT among the rubbish ask for one that names the message.
        assert!(path.starts_with("<abc") && path.ends_with("@pobox.example>"), "{path}");
        message.is_sound(path.trim_matches(['<', '>']));
        assert_eq!(message.body, b"hello\n");
        assert!(message.header.len() < 5000, "{} octets of header", message.header.len());
    }
    assert!(site.house.messages("xyz").is_empty());
    // A file that cannot be read, by a name as long as this.
    let mut command = site.face("sendmail", &["-t"]);
    let ran = run(command.env("QMAILMFTFILE", "x".repeat(120_000)), &letter("no such file"));
    refused(&ran, &[65]);
    assert!(ran.errors.contains("QMAILMFTFILE") && ran.errors.len() < 500, "{} octets", ran.errors.len());
    // Nothing is set at all, or what is set leads nowhere.
    let mut command = site.face("sendmail", &["-t"]);
    command.env_clear().env("HIKYAKU_CONFIG", &site.house.config);
    run(&mut command, &letter("bare")).good();
    site.arrived("abc", count + 1);
    for config in ["/nonexistent", "/dev/null", "/etc", ""] {
        let mut command = site.face("sendmail", &["-t"]);
        refused(&run(command.env("HIKYAKU_CONFIG", config), &letter("nowhere")), &[75]);
    }
    let mut command = site.face("sendmail", &["-t"]);
    refused(&run(command.env("QMAILQUEUE", OsStr::new("/etc/passwd")), &letter("no program")), &[75]);
}

#[test]
fn few_descriptors_and_a_strange_directory_are_enough() {
    let site = Site::new();
    fs::write(site.place("www/good"), letter("with little")).unwrap();
    fs::write(site.place("www/large"), format!("{}{}", letter("with little"), "x".repeat(70) + "\n"))
        .unwrap();
    let mut text = letter("with little");
    text.push_str(&("x".repeat(70) + "\n").repeat(40_000));
    fs::write(site.place("www/large"), text).unwrap();
    shell(&site, "prlimit --nofile=8 $SENDMAIL -t <good", "").good();
    shell(&site, "prlimit --nofile=8 $SENDMAIL -t <large", "").good();
    shell(&site, "good=$PWD/good; mkdir gone; cd gone; rmdir ../gone; $SENDMAIL -t <$good", "").good();
    let messages = site.arrived("abc", 3);
    assert_eq!(messages.iter().filter(|message| message.body.len() > 2_800_000).count(), 1);
    // With less than that it says so.
    let ran = shell(&site, "prlimit --nofile=4 $SENDMAIL -t <good 2>/dev/null; echo $?", "");
    assert!(["0", "70", "75"].contains(&ran.output.trim()), "{ran:?}");
    // A file that may not grow: no success.
    let ran = shell(&site, "ulimit -f 1; $SENDMAIL -t <large 2>/dev/null; echo $?", "");
    let arrived = usize::from(ran.output.trim() == "0");
    site.house.wait_for_an_empty_queue();
    assert!((3..=5).contains(&site.house.messages("abc").len()), "{ran:?}");
    assert!(!ran.errors.contains("panicked") && arrived <= 1, "{ran:?}");
}

#[test]
fn a_full_disk_of_the_queue_is_told_and_no_mail_is_lost() {
    let site = Site::with("[queue]\nreserve = 9000000000000000000");
    let ran = site.sendmail(&["-t"], letter("no room"));
    refused(&ran, &[75]);
    assert!(ran.errors.contains("full") && ran.errors.contains("try again later"), "{ran:?}");
    let large = letter("no room") + &"a line of a large message\n".repeat(20_000);
    refused(&site.sendmail(&["-t"], large), &[75]);
    site.nothing_was_sent();
}

/// The socket is open to all: what comes in there is not always from our own program.
#[test]
fn nonsense_at_the_socket_harms_nobody() {
    let site = Site::new();
    let socket = site.place("data/run/submit");
    for nonsense in [
        &b""[..],
        b"MAIL FROM:<abc@pobox.example>\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        &[0; 100_000],
        &[0xff; 100_000],
        b"\xff\xff\xff\x7f",
        b"\x10\x00\x00\x00\x10\x00\x00\x00",
    ] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        // It may hang up in the middle.
        let _ = stream.write_all(nonsense);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    // Many that only connect.
    let idle: Vec<UnixStream> = (0..300).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    let pid = site.house.roles()["submit"];
    if geteuid().is_root() {
        // Other users' programs are served.
        eventually("another user is served", Duration::from_secs(20), || {
            (site.sendmail(&["-t"], letter("in the crowd")).code == Some(0)).then_some(())
        });
    }
    drop(idle);
    eventually("all are served", Duration::from_secs(20), || {
        (site.sendmail(&["-t"], letter("after the crowd")).code == Some(0)).then_some(())
    });
    assert_eq!(site.house.roles()["submit"], pid, "the role lives");
    assert!(site.house.events("role_died").is_empty());
}
