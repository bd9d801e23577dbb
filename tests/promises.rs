//! What the provider promised its customers, promise by promise: each test has the number of its promise, and
//! holds it against the real server with the clients that people have.
//!
//! Not here yet: the page of 23 to 25, whose rules are held by the command line. `sendmail.rs` has much more of
//! 15 to 20.
//! How long a window stays open (10, 29) takes minutes: `crates/directory/src/windows.rs` tests it with a clock
//! of its own. That the roles run as users of their own (1) is in `privileges.rs`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use directory::{Actor, Extension, Settings, Store};
use envelope::LocalPart;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::house::{House, Ran, all_files, eventually, field, message, run};
use crate::sendmail::{self, Site};
use crate::wire::{Wire, stuffed};

const HOME: [u8; 4] = [127, 0, 0, 3];
const NEIGHBOUR: [u8; 4] = [127, 0, 0, 4];
const RELAY_DENIED: &str = "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)";
const SENDER_DENIED: &str = "552 sorry, your domain isn't in my list of allowed senderhosts (#5.7.1)";
const NO_MAILBOX: &str = "550 sorry, no mailbox here by that name (#5.1.1)";
const ABROAD: &str = "friend@there.example";

fn client(program: &str, arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(program);
    // What the person who runs the tests has configured is not meant here.
    run(command.args(arguments).env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8"), input)
}

fn python(script: &str, arguments: &[&str]) -> Ran {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python").join(script);
    run(Command::new("python3").arg("-B").arg(script).args(arguments), "")
}

/// PostPet: checks the mail, and sends on another connection, without Date and Message-ID. Gives the reply that
/// ended it, as `250 ok …` or the refusal.
fn postpet(house: &House, account: &str, from: &str, to: &str) -> String {
    let (pop3, smtp) = (house.pop3().to_string(), house.smtp().to_string());
    python("postpet.py", &[&pop3, &smtp, account, &format!("{account}-try"), from, to])
        .good()
        .trim()
        .to_string()
}

/// What a stranger's RCPT is answered.
fn rcpt(house: &House, recipient: &str) -> String {
    let mut smtp = house.smtp_session();
    smtp.say("MAIL FROM:<sender@elsewhere.example>", "250");
    smtp.ask(&format!("RCPT TO:<{recipient}>"))
}

/// What RCPT to somebody elsewhere is answered to a client at this address.
fn relay(house: &House, from: [u8; 4], sender: &str) -> String {
    let mut smtp = house.smtp_session_from(from);
    smtp.say(&format!("MAIL FROM:<{sender}>"), "250");
    smtp.ask(&format!("RCPT TO:<{ABROAD}>"))
}

/// A message of a customer.
fn letter(from: &str, subject: &str) -> String {
    format!("From: {from}\r\nTo: {ABROAD}\r\nSubject: {subject}\r\n\r\nhello\r\n")
}

fn subjects(messages: &[String]) -> BTreeSet<String> {
    messages.iter().map(|message| field(message, "Subject")).collect()
}

#[test]
fn promise_01_what_a_stranger_writes_reaches_no_shell_and_no_file_name() {
    let house = House::new();
    let mut delivered = 0;
    for hostile in
        ["|touch owned", "`touch owned`", "$(touch owned)", "../../owned", "/tmp/owned", "a\\b'c", "%n%s"]
    {
        let quoted = hostile.replace('\\', "\\\\");
        let mut smtp = house.connect(house.smtp());
        smtp.expect("220 ");
        smtp.say(&format!("HELO {hostile}"), "250");
        smtp.say(&format!("MAIL FROM:<\"{quoted}\"@elsewhere.example>"), "250");
        smtp.say(&format!("RCPT TO:<\"{quoted}\"@abc.pobox.example>"), "250");
        smtp.say("DATA", "354");
        smtp.send(stuffed(&format!("Subject: {hostile}\r\nFrom: {hostile}\r\n\r\n{hostile}\r\n")).as_bytes());
        smtp.expect("250 ");
        delivered += 1;
    }
    let mut smtp = house.smtp_session();
    for no_address in
        ["\"a\0b\"@abc.pobox.example", &format!("{}@abc.pobox.example", "a".repeat(10_000)), "a@b@c", ""]
    {
        let reply = smtp.ask(&format!("MAIL FROM:<{no_address}x>"));
        assert!(reply.starts_with("50"), "{reply}");
    }
    house.wait_for_messages("abc", delivered);
    let maildir = house.maildir("abc");
    for file in all_files(house.dir.path()) {
        let name = file.file_name().unwrap().to_str().expect("a name in ASCII");
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || b".-_,=:".contains(&octet);
        assert!(name.bytes().all(plain) && !name.contains("owned"), "{}", file.display());
        assert!(!file.starts_with(&maildir) || name.contains("mail.pobox.example"), "{}", file.display());
    }
}

#[test]
fn promise_02_every_customer_has_an_address_of_his_name() {
    let house = House::new();
    house.add_account("neko");
    house.send("neko@pobox.example", "to a new customer");
    house.wait_for_messages("neko", 1);
    let server = format!("pop3://127.0.0.1:{}/1", house.pop3());
    let read = client("curl", &["-sS", &server, "-u", "neko:neko-try"], "").good();
    assert!(read.contains("\r\nSubject: to a new customer\r\n"), "{read}");
}

#[test]
fn promise_03_any_address_under_the_account_reaches_it() {
    let house = House::new();
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let letters: Vec<char> = ('!'..='~').filter(|letter| !letter.is_ascii_uppercase()).collect();
    let mut written = BTreeSet::new();
    while written.len() < 100 {
        let plain: String = (0..random.random_range(1..=24))
            .map(|_| letters[random.random_range(0..letters.len())])
            .collect();
        written.insert(format!("{}@abc.pobox.example", LocalPart::new(&plain).unwrap()));
    }
    let mut smtp = house.smtp_session();
    for address in &written {
        let reply = smtp.transact("sender@elsewhere.example", &[address], &message("any address"));
        assert!(reply.starts_with("250 "), "{address}: {reply}");
    }
    let delivered: BTreeSet<String> =
        house.wait_for_messages("abc", 100).iter().map(|message| field(message, "Delivered-To")).collect();
    assert_eq!(delivered, written);
}

#[test]
fn promise_04_their_number_is_unlimited_and_the_left_part_is_free() {
    let house = House::new();
    house.rule("address set foo.bar@abc.pobox.example --to xyz@pobox.example");
    let long = "x".repeat(64);
    let free = ["UPPER", "a.b.c", "0123", "a+b", "a_b", "a=b", "taro..", ".taro", "taro.", "-", &long];
    let mut smtp = house.smtp_session();
    for left in free {
        smtp.transact("sender@elsewhere.example", &[&format!("{left}@abc.pobox.example")], &message(left));
    }
    assert_eq!(subjects(&house.wait_for_messages("abc", free.len())), free.map(str::to_string).into());
    // One address, however it is written.
    for (number, left) in ["foo.bar", "Foo.Bar", "FOO.BAR"].into_iter().enumerate() {
        smtp.transact("sender@elsewhere.example", &[&format!("{left}@abc.pobox.example")], &message(left));
        house.wait_for_messages("xyz", number + 1);
    }

    // 10,000 with instructions of their own, by the door that imports have.
    let store =
        Store::open(&house.dir.path().join("data/directory/directory.sqlite"), Settings::new("/")).unwrap();
    let extensions: Vec<Extension> =
        (0..10_000).map(|number| Extension::parse(Some(&format!("list{number}"))).unwrap()).collect();
    let all = extensions.iter().map(|extension| (extension, "&xyz@pobox.example\n"));
    store.import_instructions(&"abc".parse().unwrap(), all, |_, _| Ok(()), &Actor::Server).unwrap();
    house.rule("address set one-more@abc.pobox.example --to xyz@pobox.example");
    smtp.transact("sender@elsewhere.example", &["list9999@abc.pobox.example"], &message("one of 10,000"));
    smtp.transact("sender@elsewhere.example", &["one-more@abc.pobox.example"], &message("one more"));
    house.wait_for_messages("xyz", 5);
    house.wait_for_messages("abc", free.len());
}

#[test]
fn promise_05_addresses_of_the_sub_domain_come_with_the_plan() {
    let house = House::new();
    house.rule("plan set small sub_domain_addresses=false");
    house.rule("account set abc --plan small");
    let refused = |address: &'static str| {
        eventually("it is refused", Duration::from_secs(5), || {
            (rcpt(&house, address) == NO_MAILBOX).then_some(())
        });
    };
    ["x@abc.pobox.example", "abc-x@pobox.example", "abc+x@pobox.example"].into_iter().for_each(refused);
    assert!(rcpt(&house, "abc@pobox.example").starts_with("250 "));
    house.rule("plan set small sub_domain_addresses=true");
    eventually("it works without a restart", Duration::from_secs(5), || {
        rcpt(&house, "x@abc.pobox.example").starts_with("250 ").then_some(())
    });
}

#[test]
fn promise_06_each_address_is_forwarded_to_ten_places_at_most() {
    let house = House::new();
    let ten: Vec<String> = (0..10).map(|number| format!("--to place{number}@there.example")).collect();
    let set = format!("address set foo@abc.pobox.example {}", ten.join(" "));
    house.rule(&set);
    let before = house.rule("address export foo@abc.pobox.example");
    assert_eq!(before.lines().filter(|line| line.contains("@there.example")).count(), 10, "{before}");
    let sentence = house.refused(&format!("{set} --to eleventh@there.example"));
    assert!(sentence.contains("10 forward destinations"), "{sentence}");
    assert_eq!(house.rule("address export foo@abc.pobox.example"), before);
    // Other left parts are as they were.
    house.send("bar@abc.pobox.example", "unaffected");
    house.wait_for_messages("abc", 1);
    // As many as the plan says.
    house.rule("account set abc forward_limit=11");
    house.rule(&format!("{set} --to eleventh@there.example"));
}

/// `forwarding.rs` has the rest: ten mailboxes, and what happens where one is dead.
#[test]
fn promise_07_an_address_serves_as_a_simple_mailing_list() {
    let house = House::new();
    house.add_account("neko");
    house.rule("address set club@abc.pobox.example --to xyz@pobox.example --to neko@pobox.example --keep");
    house.send("club@abc.pobox.example", "to all members");
    for member in ["abc", "xyz", "neko"] {
        let copy = house.wait_for_messages(member, 1).remove(0);
        assert_eq!(field(&copy, "Subject"), "to all members");
        assert_eq!(field(&copy, "Return-Path"), "<sender@elsewhere.example>");
    }
}

#[test]
fn promise_08_an_operator_sees_all_forwards_of_an_account_and_suspends_one() {
    let house = House::new();
    house.rule("address set foo@abc.pobox.example --to xyz@pobox.example");
    house.rule("address set bar@abc.pobox.example --to xyz@pobox.example");
    let listed = house.rule("address list abc --json");
    for address in ["foo", "bar"] {
        assert!(listed.contains(address), "{listed}");
    }
    house.rule("address suspend foo@abc.pobox.example");
    let mut smtp = house.smtp_session();
    // As if it had no instructions: its mail is kept for the customer.
    smtp.transact("sender@elsewhere.example", &["foo@abc.pobox.example"], &message("suspended"));
    smtp.transact("sender@elsewhere.example", &["bar@abc.pobox.example"], &message("goes on"));
    assert_eq!(field(&house.wait_for_messages("abc", 1)[0], "Subject"), "suspended");
    assert_eq!(field(&house.wait_for_messages("xyz", 1)[0], "Subject"), "goes on");
    house.rule("address resume foo@abc.pobox.example");
    smtp.transact("sender@elsewhere.example", &["foo@abc.pobox.example"], &message("resumed"));
    house.wait_for_messages("xyz", 2);
}

#[test]
fn promise_09_strangers_do_not_relay() {
    let house = House::new();
    let port = house.smtp().to_string();
    let swaks = |to: &str| {
        let server = ["--server", "127.0.0.1", "--port", &port, "--from", "me@elsewhere.example", "--to", to];
        client("swaks", &server, "")
    };
    let refused = swaks(ABROAD);
    assert!(refused.output.contains(&format!("<** {RELAY_DENIED}")), "{refused:?}");
    swaks("abc@pobox.example").good();
    house.wait_for_messages("abc", 1);
    // Not by a trick in the left part either.
    for trick in ["friend%there.example", "there.example!friend", "\"friend@there.example\""] {
        assert_eq!(rcpt(&house, &format!("{trick}@pobox.example")), NO_MAILBOX);
    }
    assert_eq!(rcpt(&house, "@pobox.example:friend@there.example"), RELAY_DENIED);
}

#[test]
fn promise_10_after_checking_mail_a_customer_sends_from_there() {
    let house = House::new();
    assert!(house.check_mail_from(HOME, "abc", "wrong").starts_with("-ERR"));
    assert_eq!(relay(&house, HOME, "abc@pobox.example"), RELAY_DENIED, "a failed login grants nothing");
    assert!(house.check_mail_from(HOME, "abc", "abc-try").starts_with("+OK"));
    assert!(relay(&house, HOME, "abc@pobox.example").starts_with("250 "));
    assert_eq!(relay(&house, NEIGHBOUR, "abc@pobox.example"), RELAY_DENIED, "another address stays refused");
    // The plan may have no such windows, and then an open one is closed.
    house.rule("account set abc pop_before_smtp=false");
    eventually("the window is closed", Duration::from_secs(5), || {
        (relay(&house, HOME, "abc@pobox.example") == RELAY_DENIED).then_some(())
    });
    assert!(house.check_mail_from(HOME, "abc", "abc-try").starts_with("+OK"));
    assert_eq!(relay(&house, HOME, "abc@pobox.example"), RELAY_DENIED);
}

/// A connection that was opened before the mailbox check is as good as one after it: the window is looked for
/// at each RCPT.
#[test]
fn promise_11_mail_is_checked_before_it_is_sent() {
    let house = House::new();
    let mut early = house.smtp_session_from(HOME);
    early.say("MAIL FROM:<abc@pobox.example>", "250");
    assert_eq!(early.ask(&format!("RCPT TO:<{ABROAD}>")), RELAY_DENIED);
    assert!(house.check_mail_from(HOME, "abc", "abc-try").starts_with("+OK"));
    early.say(&format!("RCPT TO:<{ABROAD}>"), "250");
}

#[test]
fn promise_12_mail_whose_from_is_elsewhere_is_refused() {
    let house = House::new();
    // To us anybody may write as anybody elsewhere: with another's name he is a stranger.
    assert_eq!(postpet(&house, "abc", "me@elsewhere.example", "xyz@pobox.example"), "250");
    // Under our own reverse-path it is the From line that counts.
    let mut smtp = house.smtp_session_from([127, 0, 0, 1]);
    let reply = smtp.transact("abc@pobox.example", &[ABROAD], &letter("me@elsewhere.example", "forged"));
    assert_eq!(reply, SENDER_DENIED);
    smtp.say("MAIL FROM:<me@elsewhere.example>", "250");
    assert_eq!(smtp.ask(&format!("RCPT TO:<{ABROAD}>")), SENDER_DENIED);
    smtp.say("RSET", "250");
    house.wait_for_messages("xyz", 1);
    house.wait_for_an_empty_queue();
    assert_eq!(house.messages("xyz").len(), 1, "nothing was queued but what the stranger sent");
    for from in ["abc@pobox.example", "foo@abc.pobox.example"] {
        let reply = smtp.transact(from, &[ABROAD], &letter(from, "mine"));
        assert!(reply.starts_with("250 "), "{reply}");
    }
    assert_eq!(house.queued(), 2);
}

#[test]
fn promise_13_a_virtual_domain_is_a_from_of_its_owner() {
    let house = House::new();
    let submit = |account: &str, from: &str| {
        let server = format!("smtp://127.0.0.1:{}", house.submission());
        let user = format!("{account}:{account}-try");
        let arguments =
            ["-sSv", &server, "-u", &user, "--mail-from", from, "--mail-rcpt", ABROAD, "--upload-file", "-"];
        client("curl", &arguments, &letter(from, "from the shop"))
    };
    submit("xyz", "sales@shop.example").good();
    submit("xyz", "xyz@pobox.example").good();
    let refused = submit("abc", "sales@shop.example");
    assert!(refused.code != Some(0) && refused.errors.contains(SENDER_DENIED), "{refused:?}");
    assert_eq!(house.queued(), 2);
}

#[test]
fn promise_14_one_command_stops_an_account_and_keeps_its_mail() {
    let house = House::new();
    let mut smtp = house.submission_session("abc");
    smtp.transact("abc@pobox.example", &[ABROAD, "xyz@pobox.example"], &letter("abc@pobox.example", "spam"));
    // What it has sent is counted.
    let shown = house.rule("account show abc --json");
    for count in ["\"messages_this_hour\":1", "\"recipients_this_hour\":2"] {
        assert!(shown.contains(count), "{shown}");
    }
    house.send("abc@pobox.example", "kept");
    house.wait_for_messages("abc", 1);
    assert!(house.check_mail_from(HOME, "abc", "abc-try").starts_with("+OK"));

    house.rule("account suspend abc");
    assert!(house.check_mail_from(NEIGHBOUR, "abc", "abc-try").starts_with("-ERR"));
    assert_eq!(relay(&house, HOME, "abc@pobox.example"), RELAY_DENIED);
    assert_eq!(smtp.ask("MAIL FROM:<abc@pobox.example>"), SENDER_DENIED);
    // Its mail goes on arriving, and is there when it is back.
    house.send("abc@pobox.example", "arrived meanwhile");
    house.wait_for_messages("abc", 2);
    house.rule("account resume abc");
    let mut pop3 = house.pop3_session("abc");
    assert!(pop3.ask("STAT").starts_with("+OK 2 "));
}

/// The call forms of its page: `-t`, `-t` with `-i` and `-oi`, `-f`, and a list of addresses.
#[test]
fn promise_15_sendmail_is_there_and_normal_sending_works() {
    let site = Site::new();
    let calls: [&[&str]; 7] = [
        &["-t"],
        &["-t", "-i"],
        &["-oi", "-t"],
        &["-fabc@pobox.example", "-t"],
        &["-f", "abc@pobox.example", "-Fname", "-t"],
        &["abc@pobox.example"],
        &["-t", "xyz@pobox.example"],
    ];
    for words in calls {
        site.sendmail(words, sendmail::letter("by a script")).good();
    }
    for message in site.arrived("abc", calls.len()) {
        assert_eq!(message.is_sound("abc@pobox.example").body, b"Line one.\n.\nThe end.\n");
    }
    site.arrived("xyz", 1);
    // As the program of a link in /usr/lib: one name is as good as another.
    std::os::unix::fs::symlink(site.place("bin/sendmail"), site.place("www/sendmail")).unwrap();
    run(site.command("./sendmail").arg("-t"), &sendmail::letter("by a link")).good();
    site.arrived("abc", calls.len() + 1);
    let said = site.sendmail(&["-bd"], "").errors;
    let usage = "sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n";
    assert!(said.contains(usage), "{said}");
}

#[test]
fn promise_16_options_are_those_published_and_others_are_refused_or_let_pass() {
    let usage = "sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n";
    let strict = Site::with("[sendmail]\nstrict = true");
    let helpful = Site::new();
    let others: [&[&str]; 6] = [&["-n"], &["-N", "never"], &["-R", "full"], &["-V", "id"], &["-U"], &["-q"]];
    for (count, words) in others.into_iter().enumerate() {
        let words = [&["-t"], words].concat();
        let ran = strict.sendmail(&words, sendmail::letter("strict"));
        assert_eq!(ran.code, Some(100), "{words:?}: {ran:?}");
        let letter = words[1].trim_start_matches('-');
        let lines = format!("sendmail: illegal option -- {letter}\n{usage}");
        assert!(ran.errors.starts_with(&lines), "{words:?}: {ran:?}");
        helpful.sendmail(&words, sendmail::letter("helpful")).good();
        helpful.arrived("abc", count + 1);
    }
    strict.nothing_was_sent();
}

#[test]
fn promise_17_several_addresses_are_parted_by_blanks_and_a_comma_loses_nothing() {
    let commas = "abc@pobox.example,xyz@pobox.example";
    let strict = Site::with("[sendmail]\nstrict = true");
    let ran = strict.sendmail(&[commas], sendmail::letter("with a comma"));
    assert!(ran.code == Some(100) && ran.errors.contains("by spaces, not by commas"), "{ran:?}");
    strict.nothing_was_sent();
    let helpful = Site::new();
    for (count, site) in [(1, &strict), (1, &helpful)] {
        site.sendmail(&["abc@pobox.example", "xyz@pobox.example"], sendmail::letter("two")).good();
        site.arrived("abc", count);
        site.arrived("xyz", count);
    }
    helpful.sendmail(&[commas], sendmail::letter("two")).good();
    helpful.arrived("abc", 2);
    helpful.arrived("xyz", 2);
}

#[test]
fn promise_18_a_script_of_old_needs_no_more_than_its_options_dropped() {
    let site = Site::new();
    let calls: [&[&str]; 5] = [
        &["-t"],
        &["-n", "-t"],
        &["-i", "-f", "abc@pobox.example", "abc@pobox.example"],
        &["-t", "-oi", "-oem"],
        &["-oi", "abc@pobox.example,"],
    ];
    for words in calls {
        // Through a pipe that a shell opens, as Perl does.
        let line = format!("$SENDMAIL {}", words.join(" "));
        run(site.command("sh").args(["-c", &line]), &sendmail::letter("by an old script")).good();
    }
    for message in site.arrived("abc", calls.len()) {
        message.is_sound("abc@pobox.example");
    }
}

#[test]
fn promise_19_without_a_sender_errors_come_back_to_the_customer_or_to_anonymous() {
    let site = Site::new();
    let bare = "To: abc@pobox.example\nSubject: without -f\n\nhello\n";
    site.sendmail(&["-t"], bare).good();
    site.sendmail(&["-t", "-f", "foo@abc.pobox.example"], bare).good();
    let paths: BTreeSet<String> =
        site.arrived("abc", 2).iter().map(|message| message.field("Return-Path")).collect();
    assert_eq!(paths, BTreeSet::from(["<abc@pobox.example>".into(), "<foo@abc.pobox.example>".into()]));
    // A script of nobody's, without USER and LOGNAME as CGI is: if root is there to be somebody else.
    if nix::unistd::geteuid().is_root() {
        let mut nobodys = site.command_of(sendmail::STRANGER, site.place("bin/sendmail"));
        run(nobodys.arg("-t"), bare).good();
        let messages = site.arrived("abc", 3);
        let anonymous =
            |message: &sendmail::Arrived| message.field("Return-Path") == "<anonymous@mail.pobox.example>";
        assert!(messages.iter().any(anonymous), "{messages:#?}");
    }
    // And it does come back.
    site.sendmail(&["-t"], "To: friend@there.example\nSubject: in vain\n\nhello\n").good();
    let queued = site.house.json(&["queue", "list", "--json"]);
    site.house.rule(&format!("queue bounce {}", queued[0]["id"].as_str().unwrap()));
    let came_back = || {
        let messages = site.house.messages("abc");
        messages.into_iter().find(|text| text.contains("in vain") && text.contains("friend@there.example"))
    };
    let bounce = eventually("the bounce reaches the customer", Duration::from_secs(20), came_back);
    assert_eq!(field(&bounce, "Return-Path"), "<>");
}

#[test]
fn promise_20_the_provider_helps_by_a_reason_and_a_remedy() {
    let site = Site::new();
    for (words, input, what) in [
        (&["-bd"][..], "", "-bd"),
        (&["nosuch@pobox.example"], "\nhello\n", "nosuch@pobox.example"),
        (&["-f", "me@elsewhere.example", "abc@pobox.example"], "\nhello\n", "me@elsewhere.example"),
        (&["-t"], "From: me@elsewhere.example\nTo: abc@pobox.example\n\nhello\n", "me@elsewhere.example"),
        (&["-t"], "To: (abc@pobox.example\n\nhello\n", "(abc@pobox.example"),
        (&["-t"], "Subject: to nobody\n\nhello\n", "recipient"),
    ] {
        let ran = site.sendmail(words, input);
        assert!(ran.code.is_some_and(|code| code != 0), "{words:?}: {ran:?}");
        assert!(ran.errors.contains(what), "{words:?} {input:?}: {ran:?}");
        // Whose script it was, and on a line of its own what to do.
        assert!(ran.errors.contains(&format!("user id {}", site.uid)), "{words:?}: {ran:?}");
        assert!(ran.errors.lines().count() >= 2, "{words:?}: {ran:?}");
    }
    site.nothing_was_sent();
    let refused = site.house.events("refused");
    for what in ["nosuch@pobox.example", "me@elsewhere.example"] {
        let logged = refused.iter().any(|event| event.to_string().contains(what) && event["uid"] == site.uid);
        assert!(logged, "{what}: {refused:?}");
    }
}

#[test]
fn promise_21_date_and_message_id_are_added_where_they_are_missing() {
    let house = House::new();
    assert_eq!(postpet(&house, "abc", "abc@pobox.example", "xyz@pobox.example"), "250");
    let completed = house.wait_for_messages("xyz", 1).remove(0);
    let id = field(&completed, "Message-ID");
    assert!(id.starts_with('<') && id.ends_with("@mail.pobox.example>"), "{id}");
    assert!(field(&completed, "Date").contains(" 20"), "{completed}");
    assert_eq!(field(&completed, "From"), "abc@pobox.example");
    assert_eq!(field(&completed, "To"), "xyz@pobox.example");

    // What has them is not changed, and strangers' mail neither.
    let whole = format!(
        "Date: Tue, 24 Nov 98 7:05 JST\r\nMessage-Id: <1@pet>\r\n{}",
        letter("abc@pobox.example", "b")
    );
    house.submission_session("abc").transact("abc@pobox.example", &["xyz@pobox.example"], &whole);
    house.smtp_session().transact(
        "me@elsewhere.example",
        &["xyz@pobox.example"],
        &letter("me@elsewhere.example", "c"),
    );
    let messages = house.wait_for_messages("xyz", 3);
    let of = |subject: &str| messages.iter().find(|message| field(message, "Subject") == subject).unwrap();
    assert!(of("b").ends_with(&whole.replace("\r\n", "\n")), "{}", of("b"));
    assert!(!of("c").contains("\nDate:") && !of("c").contains("\nMessage-ID:"), "{}", of("c"));
}

#[test]
fn promise_22_any_mail_program_may_be_used_and_the_result_conforms() {
    let house = House::new();
    assert!(house.check_mail_from(HOME, "abc", "abc-try").starts_with("+OK"));
    // Commands that end in a bare LF, a blank before the address, lower case: programs of the nineties.
    let mut smtp = Wire::connect_from(HOME, std::net::SocketAddr::from(([127, 0, 0, 1], house.smtp())));
    smtp.expect("220 ");
    for (command, reply) in [
        ("helo pet\n", "250"),
        ("mail from: <abc@pobox.example>\n", "250"),
        ("rcpt to: xyz@pobox.example\n", "250"),
        ("data\n", "354"),
    ] {
        smtp.send(command.as_bytes());
        smtp.expect(reply);
    }
    let header = b"From: abc@pobox.example (Abc)\r\nSubject: \x1b$B<j;f\x1b(B\r\nX-Mailer: PostPet\r\n";
    smtp.send(&[&header[..], b"\r\n\x1b$B$b$b\x1b(B\r\n.\r\n"].concat());
    smtp.expect("250 ");
    // No header at all.
    let mut smtp = house.submission_session("abc");
    smtp.transact("abc@pobox.example", &["xyz@pobox.example"], "\r\nonly a body\r\n");
    house.wait_for_messages("xyz", 2);
    assert_eq!(python("check_header.py", &[house.maildir("xyz").to_str().unwrap()]).good(), "2 good\n");
}

#[test]
fn promise_23_the_main_address_is_forwarded_with_or_without_a_copy() {
    let house = House::new();
    let mut smtp = house.smtp_session();
    let mut send = |subject: &str| {
        smtp.transact("sender@elsewhere.example", &["abc@pobox.example"], &message(subject));
    };
    house.rule("address set abc@pobox.example --to xyz@pobox.example --keep");
    send("both");
    house.wait_for_messages("xyz", 1);
    house.wait_for_messages("abc", 1);
    house.rule("address set abc@pobox.example --to xyz@pobox.example");
    send("xyz alone");
    house.wait_for_messages("xyz", 2);
    house.rule("address remove abc@pobox.example");
    send("abc alone");
    let kept = house.wait_for_messages("abc", 2);
    assert_eq!(subjects(&kept), ["both", "abc alone"].map(str::to_string).into());
    house.wait_for_an_empty_queue();
    house.wait_for_messages("xyz", 2);
}

#[test]
fn promise_24_forwards_of_the_sub_domain_come_and_go() {
    let house = House::new();
    house.add_account("neko");
    let mut smtp = house.smtp_session();
    let mut send = |subject: &str| {
        smtp.transact("sender@elsewhere.example", &["foo@abc.pobox.example"], &message(subject));
    };
    house.rule("address set foo@abc.pobox.example --to xyz@pobox.example");
    send("added");
    house.wait_for_messages("xyz", 1);
    house.rule("address set foo@abc.pobox.example --to neko@pobox.example");
    assert!(house.rule("address show foo@abc.pobox.example").contains("neko@pobox.example"));
    assert_eq!(house.rule("address list abc").matches("foo").count(), 1);
    send("changed");
    house.wait_for_messages("neko", 1);
    house.rule("address remove foo@abc.pobox.example");
    assert!(!house.rule("address list abc").contains("foo"));
    house.refused("address remove foo@abc.pobox.example");
    send("deleted");
    assert_eq!(field(&house.wait_for_messages("abc", 1)[0], "Subject"), "deleted");
}

#[test]
fn promise_25_what_is_written_is_the_language_of_dot_qmail_and_nothing_else_gets_in() {
    let house = House::new();
    house.rule("address set foo@abc.pobox.example --to xyz@pobox.example --to a@there.example --keep");
    let text = house.rule("address export foo@abc.pobox.example");
    assert!(text.ends_with('\n') && !text.starts_with('\n') && !text.contains('\r'), "{text:?}");
    let written = ["&xyz@pobox.example", "&a@there.example", "./Maildir/"];
    assert!(written.iter().all(|line| text.lines().any(|there| there == *line)), "{text}");
    // An account's are all in one.
    assert!(house.rule("address export abc").contains("&xyz@pobox.example"));

    for hostile in [
        "|touch owned",
        "/etc/passwd",
        "./Mailbox",
        "+list",
        "# x",
        "a@b.example\n|x",
        "a@b.example\rc",
        "",
        " a@b.example",
    ] {
        let ran = house.run(&["address", "set", "foo@abc.pobox.example", "--to", hostile], "");
        assert!(ran.code != Some(0) && !ran.errors.is_empty(), "{hostile:?}: {ran:?}");
    }
    let large = "# a comment\n".repeat(100_000);
    for (hostile, line) in [
        ("&a@b.example\n|touch owned\n", "line 2: "),
        ("&a@b.example\n\n/etc/passwd\n", "line 3: "),
        ("&a@b.example\r\n", "line 1: "),
        ("\n&a@b.example\n", "line 1: "),
        ("&a@b.example\0\n", "NUL"),
        ("&a@b.example, c@d.example\n", "line 1: "),
        (large.as_str(), "octets"),
    ] {
        let ran = house.run(&["address", "set", "foo@abc.pobox.example", "--text", "-"], hostile);
        assert!(ran.code != Some(0) && ran.errors.contains(line), "{line}: {ran:?}");
    }
    assert_eq!(house.rule("address export foo@abc.pobox.example"), text, "and nothing of it was stored");
}

#[test]
fn promise_26_a_file_that_a_customer_lays_in_his_home_has_no_effect() {
    let house = House::new();
    let maildir = house.maildir("abc");
    for place in [maildir.as_path(), maildir.parent().unwrap()] {
        for name in [".qmail", ".qmail-foo", ".qmail-default", ".forward"] {
            fs::write(place.join(name), "&xyz@pobox.example\n|touch owned\n").unwrap();
        }
    }
    for address in ["abc@pobox.example", "foo@abc.pobox.example", "bar@abc.pobox.example"] {
        house.send(address, address);
    }
    house.wait_for_messages("abc", 3);
    house.wait_for_an_empty_queue();
    house.wait_for_messages("xyz", 0);
    assert!(house.files_named("owned").is_empty());
    // The real ones are nobody else's to read.
    let database = house.dir.path().join("data/directory/directory.sqlite");
    assert_eq!(fs::metadata(database).unwrap().permissions().mode() & 0o077, 0);
}

#[test]
fn promise_27_the_welcome_notice_names_servers_and_login_and_both_logins_work() {
    let house = House::new();
    for language in ["ja", "en"] {
        let notice = house.rule(&format!("account welcome abc --language {language}"));
        for told in ["mail.pobox.example", "abc@pobox.example"] {
            assert!(notice.contains(told), "{notice}");
        }
    }
    assert!(
        house.rule("account welcome abc --language ja").chars().any(|letter| ('ぁ'..='ん').contains(&letter))
    );
    let server = format!("pop3://127.0.0.1:{}/", house.pop3());
    for login in ["abc", "abc@pobox.example", "ABC@Pobox.Example"] {
        client("curl", &["-sS", &server, "-u", &format!("{login}:abc-try")], "").good();
        let port = house.submission().to_string();
        let swaks = ["--server", "127.0.0.1", "--port", &port, "--auth", "PLAIN", "--auth-user", login];
        let sent = ["--auth-password", "abc-try", "--from", "abc@pobox.example", "--to", "xyz@pobox.example"];
        client("swaks", &[&swaks[..], &sent[..]].concat(), "").good();
    }
    house.wait_for_messages("xyz", 3);
}

#[test]
fn promise_28_the_sender_may_be_any_address_of_the_customer() {
    let house = House::new();
    let mine = ["abc@pobox.example", "ABC@pobox.example", "x@abc.pobox.example", "abc+x@pobox.example"];
    for from in mine {
        assert_eq!(postpet(&house, "abc", from, "xyz@pobox.example"), "250", "{from}");
        assert_eq!(postpet(&house, "abc", from, ABROAD), "250", "{from}");
    }
    for from in ["xyz@pobox.example", "x@xyz.pobox.example", "a@shop.example"] {
        assert_eq!(postpet(&house, "abc", from, ABROAD), SENDER_DENIED, "{from}");
    }
    house.wait_for_messages("xyz", mine.len());
}

/// As promise 10, by a program that makes its connections one after the other.
#[test]
fn promise_29_who_checks_his_mail_right_before_may_send() {
    let house = House::new();
    let port = house.smtp().to_string();
    let unchecked = ["--server", "127.0.0.1", "--port", &port, "--from", "abc@pobox.example", "--to", ABROAD];
    let refused = client("swaks", &unchecked, "");
    assert!(refused.output.contains(RELAY_DENIED), "{refused:?}");
    let mut accepted = String::new();
    for _ in 0..3 {
        let _ = writeln!(accepted, "{}", postpet(&house, "abc", "abc@pobox.example", ABROAD));
    }
    assert_eq!(accepted, "250\n250\n250\n");
    assert_eq!(house.queued(), 3);
    let accounts: BTreeSet<String> = house
        .events("accepted")
        .iter()
        .map(|event| event["account"].as_str().unwrap_or("nobody").into())
        .collect();
    assert_eq!(accounts, ["abc".to_string()].into());
}
