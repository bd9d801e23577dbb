//! The libraries and mail programs of today, each in the way that people use it.

use std::fs;

use nix::unistd::geteuid;

use super::{Arrived, Site, of_subject};
use crate::house::{Ran, run};

const ABC: &str = "abc@pobox.example";
const FOO: &str = "foo@abc.pobox.example";

/// Runs PHP with the line that our book tells for `php.ini`.
fn php(site: &Site, script: &str, to: &str) -> Ran {
    let line = format!("sendmail_path={} -t -i", site.place("bin/sendmail").display());
    let source = site.script_command("php", script);
    // The option comes before the script.
    let mut command = site.command("php");
    run(command.args(["-d", &line]).args(source.get_args()).arg(to), "")
}

#[test]
fn php_mail_sends_by_strings_by_arrays_and_with_additional_parameters() {
    let site = Site::new();
    assert_eq!(php(&site, "mail.php", ABC).good(), "bool(true)\n".repeat(3));
    let (abc, xyz) = (site.arrived("abc", 4), site.arrived("xyz", 2));
    // PHP ends the body with a line end of its own.
    let body = "Line one.\n.\nA line with a dot stood above, 日本語 here.\n\n";
    for message in abc.iter().chain(&xyz) {
        assert_eq!(String::from_utf8_lossy(&message.body), body);
    }
    // To the two that are seen and the one that is not.
    for message in [of_subject(&xyz, "by a string")]
        .into_iter()
        .chain(abc.iter().filter(|message| message.field("Subject") == "by a string"))
    {
        message.is_sound(ABC);
        assert_eq!(message.field("From"), ABC);
        assert_eq!(message.field("Cc"), "xyz@pobox.example");
        assert!(
            !message.header.contains("hidden@")
                || message.field("Delivered-To") == "hidden@abc.pobox.example"
        );
        assert!(message.field("X-Mailer").starts_with("PHP/"));
    }
    let array = of_subject(&abc, "by an array").is_sound(FOO);
    assert_eq!(array.field("From"), "=?UTF-8?B?5aSq6YOO?= <abc@pobox.example>");
    assert_eq!(array.field("Content-Transfer-Encoding"), "8bit");
    let bare = of_subject(&abc, "bare").is_sound(ABC);
    assert_eq!(bare.field("From"), ABC);
    assert_eq!(bare.field("To"), "abc@pobox.example, xyz@pobox.example");
    of_subject(&xyz, "bare").is_sound(ABC);
}

#[test]
fn php_hears_that_its_mail_was_refused() {
    let site = Site::new();
    let said = php(&site, "mail.php", "nobody@shop.example.invalid, nosuch@pobox.example").good();
    assert_eq!(said, "bool(false)\n".repeat(3));
    site.nothing_was_sent();
}

#[test]
fn php_sends_japanese_by_mb_send_mail() {
    let site = Site::new();
    assert_eq!(php(&site, "mb_send_mail.php", ABC).good(), "bool(true)\n");
    let message = site.one("abc");
    message.is_sound(ABC);
    assert_eq!(message.field("From"), "=?ISO-2022-JP?B?GyRCOzNFRD4mRTkbKEI=?= <abc@pobox.example>");
    assert_eq!(message.field("Content-Type"), "text/plain; charset=ISO-2022-JP");
    let folded = "Subject: =?ISO-2022-JP?B?GyRCJCpMZCQkOWckbyQ7JCIbKEI=?=\n =?ISO-2022-JP?B?GyRCJGokLCRIJCYkNCQ2JCQkXiQ5GyhC?=\n";
    assert!(message.header.contains(folded), "{}", message.header);
    assert_eq!(message.body, b"\x1b$B$4CmJ8$r>5$j$^$7$?!#\x1b(B\n\x1b$BI=<(\x1b(B?\n\n");
}

#[test]
fn perl_sends_by_mime_lite_in_both_of_its_ways() {
    let site = Site::new();
    site.script("perl", "mime_lite.pl", &["xyz@pobox.example"]).good();
    // Once each to the one who is on To and Cc, and to the one who is hidden.
    let (abc, xyz) = (site.arrived("abc", 2), site.arrived("xyz", 2));
    for message in abc.iter().chain(&xyz) {
        let by_t = message.field("Subject") == "by -t";
        message.is_sound(if by_t { ABC } else { FOO });
        assert_eq!(message.field("From"), ABC);
        assert!(message.field("X-Mailer").starts_with("MIME::Lite "));
        let body = String::from_utf8_lossy(&message.body);
        assert!(body.contains("\nContent-Length: 21\n"), "a part keeps its fields: {body}");
        assert!(body.contains("\n\nThe catalogue.\n.\nend\n\n--"), "{body}");
        let line = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4\n";
        assert!(body.contains(line) && body.trim_end().ends_with("--"), "{body}");
    }
}

/// Raw ISO-2022-JP in From and To, on which qmail-inject gave up: `ESC ( B` looked like a comment.
#[test]
fn perl_sends_iso_2022_jp_through_a_pipe() {
    let site = Site::new();
    for (number, options) in
        [&["abc@pobox.example"][..], &["abc@pobox.example", "-oi", "-oem"]].iter().enumerate()
    {
        site.script("perl", "open_encode.pl", options).good();
        let messages = site.arrived("abc", number + 1);
        for message in &messages {
            message.is_sound(ABC);
            for field in [
                "\nFrom: \x1b$B;3ED>&E9\x1b(B <abc@pobox.example>\n",
                "\nTo: \x1b$BNkLZMM\x1b(B <abc@pobox.example>\n",
                "\nSubject: \x1b$B$4CmJ8$N3NG'\x1b(B\n",
            ] {
                assert!(message.header.contains(field), "{field:?} is not in\n{}", message.header);
            }
            assert_eq!(
                message.body,
                b"\x1b$BNkLZMM\x1b(B\n\n\x1b$B$4CmJ8$r>5$j$^$7$?!#\x1b(B\n.\n\x1b$B7I6q\x1b(B\n"
            );
        }
    }
}

/// Which speaks SMTP, and so is no program of this machine but a customer who logs in.
#[test]
fn perl_sends_by_mail_sendmail_to_the_submission_port() {
    let site = Site::new();
    let port = site.house.submission().to_string();
    site.script("perl", "mail_sendmail.pl", &[&port, "xyz@pobox.example"]).good();
    let message = site.one("xyz");
    assert_eq!(message.field("Return-Path"), "<abc@pobox.example>");
    assert!(message.field("Received").contains(" with ESMTPA id "), "{}", message.header);
    assert_eq!(String::from_utf8_lossy(&message.body).trim_end(), "by SMTP\n.\nend");
}

#[test]
fn python_sends_through_subprocess() {
    let site = Site::new();
    for way in ["header", "arguments"] {
        site.script("python3", "subprocess_send.py", &["xyz@pobox.example", way]).good();
    }
    let (abc, xyz) = (site.one("abc"), site.arrived("xyz", 2));
    assert_eq!(abc.field("Delivered-To"), "hidden@abc.pobox.example");
    let paths: Vec<String> = xyz.iter().map(|message| message.field("Return-Path")).collect();
    assert!(paths.contains(&format!("<{ABC}>")) && paths.contains(&format!("<{FOO}>")), "{paths:?}");
    for message in xyz.iter().chain([&abc]) {
        message.is_sound(message.field("Return-Path").trim_matches(['<', '>']));
        assert_eq!(message.field("Subject"), "=?utf-8?b?5pel5pys6Kqe44Gu5Lu25ZCN?=");
        assert_eq!(String::from_utf8_lossy(&message.body), "こんにちは\n.\n終わり\n");
    }
}

#[test]
fn python_speaks_smtp_with_sendmail_bs() {
    let site = Site::new();
    let smtplib = |from: &str, to: &str| site.script("python3", "smtplib_bs.py", &[from, to]).good();
    let said = smtplib(ABC, "xyz@pobox.example");
    let (offered, outcome) = said.trim_end().split_once('\n').unwrap();
    assert_eq!(outcome, "accepted");
    // It is known who calls, and nobody listens in.
    assert!(offered.contains("8bitmime") && offered.contains("size"), "{offered}");
    assert!(!offered.contains("auth") && !offered.contains("starttls"), "{offered}");
    let message = site.one("xyz");
    assert_eq!(message.field("Return-Path"), format!("<{ABC}>"));
    assert_eq!((message.count("Date"), message.count("Message-ID")), (1, 1), "{}", message.header);
    assert_eq!(message.body, b".\nLine two.\n");
    assert!(message.field("Received").contains("sendmail-bs"), "{}", message.header);

    let denied = smtplib("me@elsewhere.example", "xyz@pobox.example");
    assert!(denied.contains("552 ") || denied.contains("553 "), "{denied}");
    let unknown = smtplib(ABC, "nosuch@pobox.example");
    assert!(unknown.contains("550 "), "{unknown}");
    site.arrived("xyz", 1);
}

#[test]
fn ruby_sends_by_the_mail_gem() {
    let site = Site::new();
    site.script("ruby", "mail_gem.rb", &["xyz@pobox.example"]).good();
    let (abc, xyz) = (site.one("abc"), site.one("xyz"));
    assert_eq!(abc.field("Delivered-To"), "hidden@abc.pobox.example");
    for message in [&abc, &xyz] {
        message.is_sound(ABC);
        assert_eq!(message.field("From"), "=?UTF-8?B?5aSq6YOO?= <abc@pobox.example>");
        assert_eq!(message.body, b"TGluZSBvbmUuDQouDQrjgZPjgpPjgavjgaHjga8NCg==\n");
    }
}

#[test]
fn git_sends_a_patch_in_both_of_its_ways() {
    let site = Site::new();
    site.script("sh", "git_send.sh", &["xyz@pobox.example"]).good();
    for message in site.arrived("xyz", 2) {
        message.is_sound(ABC);
        assert_eq!(message.field("From"), "Taro Abe <abc@pobox.example>");
        assert_eq!(message.field("Subject"), "[PATCH] file: say hello");
        let body = String::from_utf8_lossy(&message.body).into_owned();
        assert!(
            body.starts_with("Because nobody did.\n---\n file | 1 +\n") && body.contains("\n+hello\n-- \n"),
            "{body}"
        );
    }
}

#[test]
fn a_queue_in_the_manner_of_msmtp_is_emptied() {
    let site = Site::new();
    site.script("sh", "queue_loop.sh", &["xyz@pobox.example"]).good();
    let messages = site.arrived("xyz", 3);
    for number in 1..=3 {
        assert_eq!(of_subject(&messages, &format!("queued {number}")).is_sound(ABC).body, b"hello\n");
    }
}

#[test]
fn cron_mails_what_a_job_printed_to_its_owner() {
    let site = Site::new();
    site.script("sh", "cron.sh", &["abc", "abc"]).good();
    let message = site.one("abc");
    message.is_sound(ABC);
    assert_eq!(message.field("Subject"), "Cron <abc@www> /usr/local/bin/nightly");
    assert!(message.field("From").contains("(Cron Daemon)"), "{}", message.header);
    assert_eq!(String::from_utf8_lossy(&message.body), "nightly: 3 files, 日本語\n");
}

/// Root is the oldest operator, who is abc.
#[test]
fn cron_mails_root_at_the_operators() {
    if !geteuid().is_root() {
        eprintln!("only root is root");
        return;
    }
    let site = Site::new();
    let script = site.script_command("sh", "cron.sh");
    let ran = run(site.command_of(0, "sh").args(script.get_args()).args(["root", "root"]), "");
    ran.good();
    let message = site.one("abc");
    message.is_sound(ABC);
    assert_eq!(message.field("From"), "root@pobox.example (Cron Daemon)");
    assert_eq!(message.field("Delivered-To"), "root@pobox.example");
    assert_eq!(String::from_utf8_lossy(&message.body), "nightly: 3 files, 日本語\n");
}

/// Three mail readers, to one on To, one on Cc and one whom nobody sees.
#[test]
fn mail_readers_send() {
    let site = Site::new();
    let sendmail = site.place("bin/sendmail");
    let sendmail = sendmail.display();
    let text = "hello\n.\nmore あ\n";
    let to_three = ["-c", "xyz@pobox.example", "-b", "hidden@abc.pobox.example"];

    let mailrc = site.place("www/mailrc");
    fs::write(&mailrc, format!("set sendmail={sendmail}\n")).unwrap();
    let mut mailx = site.command("bsd-mailx");
    mailx.env("MAILRC", &mailrc).env("USER", "abc").args(["-s", "by bsd-mailx"]).args(to_three).arg(ABC);
    run(&mut mailx, text).good();

    let mut s_nail = site.command("s-nail");
    s_nail.args([
        "-:/",
        "-S",
        "v15-compat",
        "-S",
        &format!("mta={sendmail}"),
        "-S",
        "from=abc@pobox.example",
    ]);
    s_nail.env("USER", "www-data").args(["-s", "by s-nail"]).args(to_three).arg(ABC);
    run(&mut s_nail, text).good();

    let mut mutt = site.command("mutt");
    mutt.args(["-n", "-F", "/dev/null", "-e", &format!("set sendmail=\"{sendmail} -oem -oi\"")]);
    mutt.args([
        "-e",
        "set from=foo@abc.pobox.example use_envelope_from=yes realname=Taro copy=no charset=utf-8",
    ]);
    run(mutt.args(["-s", "by mutt"]).args(to_three).args(["--", ABC]), text).good();

    let (abc, xyz) = (site.arrived("abc", 6), site.arrived("xyz", 3));
    let by = |subject: &str| -> Vec<&Arrived> {
        abc.iter().chain(&xyz).filter(|message| message.field("Subject") == subject).collect()
    };
    for (subject, reverse_path) in [("by bsd-mailx", ABC), ("by s-nail", ABC), ("by mutt", FOO)] {
        let three = by(subject);
        assert_eq!(three.len(), 3, "{subject}");
        for message in three {
            message.is_sound(reverse_path);
            let body = String::from_utf8_lossy(&message.body).replace("=2E", ".").replace("=E3=81=82", "あ");
            assert_eq!(body, text, "{subject}");
        }
    }
}
