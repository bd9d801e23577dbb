//! Mail that programs in delivery instructions send, by the commands that they know from qmail.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::house::{House, eventually, field, message};

const PATIENCE: Duration = Duration::from_secs(20);
/// The address whose instructions run a program.
const RUN: &str = "run@abc.pobox.example";
/// Names of files as `sendmail` gives them.
const NAMES: &str = "for i in 10 11 12 13 14 15 16 17 18 19 20; do n=000000000000000000000000000000$i;";

/// A house in which abc may have programs run, and this is his program.
fn house(program: &str) -> House {
    let house = House::with("[delivery]\nprograms = true");
    house.rule("account set abc programs=true");
    instruct(&house, program);
    house
}

fn instruct(house: &House, program: &str) {
    house.ran(&["address", "set", RUN, "--text", "-"], &format!("|{program}\n"));
}

/// Has the program run for a message of xyz's.
fn deliver(house: &House, subject: &str) {
    let reply = house.smtp_session().transact("xyz@pobox.example", &[RUN], &message(subject));
    assert!(reply.starts_with("250 "), "{reply}");
}

/// The only message that xyz has when all is done.
fn answer(house: &House) -> String {
    let answer = house.wait_for_messages("xyz", 1).remove(0);
    house.wait_for_an_empty_queue();
    assert_eq!(house.messages("xyz").len(), 1);
    answer.replace("\r\n", "\n")
}

/// Why the delivery failed, of which xyz is told and hears nothing else.
fn failure(house: &House) -> String {
    let report = answer(house);
    assert!(report.contains("report-type=delivery-status"), "{report}");
    house.wait_for_event("failed")["reason"].as_str().expect("a reason").to_owned()
}

/// The message waits: what was said.
fn deferral(house: &House) -> String {
    eventually("it waits", PATIENCE, || {
        let id = house.json(&["queue", "list", "--json"]).pop()?["id"].as_str()?.to_owned();
        let shown = house.ran(&["queue", "show", &id], "");
        shown.contains("exit code").then_some(shown)
    })
}

/// The home of abc's programs.
fn home(house: &House) -> PathBuf {
    let maildir = house.maildir("abc");
    house.dir.path().join("data/programs").join(maildir.parent().unwrap().file_name().unwrap())
}

#[test]
fn forward_sends_the_message_on_as_a_forward_line_would() {
    let house = house("forward neko@pobox.example");
    house.add_account("neko");
    // Who may write as himself only forwards what others wrote.
    assert!(house.rule("account show abc").contains("own"));
    deliver(&house, "to be sent on");
    let sent_on = &house.wait_for_messages("neko", 1)[0].replace("\r\n", "\n");
    assert_eq!(field(sent_on, "From"), "<sender@elsewhere.example>");
    assert_eq!(field(sent_on, "Return-Path"), "<xyz@pobox.example>");
    assert!(sent_on.contains(&format!("\nDelivered-To: {RUN}\n")), "{sent_on}");
    assert!(sent_on.contains("(forward, user id "), "{sent_on}");
    assert!(sent_on.ends_with("\n\nLine one.\n.Line two begins with a dot.\n"), "{sent_on}");
    house.wait_for_an_empty_queue();
    assert!(house.messages("xyz").is_empty());
    // Its bounce goes to who sent the message, as with a forward line.
    instruct(&house, "forward nobody@elsewhere.example neko@pobox.example");
    deliver(&house, "to nobody as well");
    house.wait_for_messages("neko", 2);
    let sent = house.wait_for_event("program_sent");
    assert_eq!((sent["account"].as_str(), sent["messages"].as_u64()), (Some("abc"), Some(1)));
}

#[test]
fn an_autoresponder_of_five_lines_answers() {
    let house = house("sh ./away");
    let home = home(&house);
    fs::create_dir_all(&home).unwrap();
    let script = "[ -n \"$SENDER\" ] || exit 0\n\
        sendmail -t -f '' <<END\n\
        To: $SENDER\n\
        Subject: away\n\n\
        I am away.\n\
        END\n";
    fs::write(home.join("away"), script).unwrap();
    deliver(&house, "are you there?");
    let answer = answer(&house);
    assert_eq!(field(&answer, "Return-Path"), "<>");
    assert_eq!(field(&answer, "From"), "abc@pobox.example");
    assert_eq!(field(&answer, "To"), "xyz@pobox.example");
    assert!(answer.ends_with("\n\nI am away.\n"), "{answer}");
}

#[test]
fn qmail_inject_and_qmail_queue_hand_mail_in_and_several_go() {
    let house = house(
        "echo injected | qmail-inject xyz@pobox.example && printf 'Subject: queued\\n\\nhi\\n' >m && \
         printf 'Fabc@pobox.example\\000Txyz@pobox.example\\000\\000' >e && qmail-queue <m 1<e && exit 99",
    );
    deliver(&house, "two");
    let mut messages = house.wait_for_messages("xyz", 2);
    house.wait_for_an_empty_queue();
    messages.sort_by_key(|message| message.contains("Subject: queued"));
    assert!(messages[0].contains("(qmail-inject, user id") && messages[0].ends_with("\ninjected\n"));
    assert!(messages[1].contains("(qmail-queue, user id") && messages[1].ends_with("\n\nhi\n"));
    assert_eq!(house.wait_for_event("program_sent")["messages"].as_u64(), Some(2));
}

#[test]
fn what_a_program_leaves_that_fails_is_not_sent_and_the_next_attempt_sends_it_once() {
    let house =
        house("echo hello | sendmail xyz@pobox.example; test -e been && exit 0; touch been; exit 111");
    deliver(&house, "twice");
    assert!(deferral(&house).contains("exit code is 111"));
    assert!(house.messages("xyz").is_empty());
    house.rule("queue retry --all");
    assert!(answer(&house).ends_with("hello\n"));
    // What fails for good sends nothing but the report.
    instruct(&house, "echo hello | sendmail abc@pobox.example; echo no; exit 100");
    deliver(&house, "never");
    let messages = house.wait_for_messages("xyz", 2);
    house.wait_for_an_empty_queue();
    assert!(messages.iter().any(|message| message.contains("report-type=delivery-status")));
    assert!(house.messages("abc").is_empty());
}

#[test]
fn a_program_sends_as_its_account_and_what_is_not_the_message_is_no_forward() {
    for program in [
        "printf 'From: neko@pobox.example\\n\\nhi\\n' | sendmail xyz@pobox.example",
        "sed s/Line/Lie/ | forward xyz@pobox.example",
        "NEWSENDER=neko@pobox.example forward xyz@pobox.example",
        // The file that it was given is its own to write.
        "printf 'From: neko@pobox.example\\n\\nhi\\n' >/dev/stdin; forward xyz@pobox.example",
    ] {
        let house = house(program);
        deliver(&house, "forged");
        let why = failure(&house);
        assert!(why.contains("The program's mail was not sent: "), "{program}: {why}");
        assert!(why.contains("is not an address of abc"), "{program}: {why}");
    }
}

#[test]
fn an_address_that_nobody_has_fails_the_delivery_and_of_several_messages_none_goes() {
    let house = house("for to in xyz nobody; do echo hi | sendmail $to@pobox.example; done");
    deliver(&house, "one of two");
    let why = failure(&house);
    assert!(why.contains("no mailbox here by that name: nobody@pobox.example"), "{why}");
}

#[test]
fn a_forward_to_itself_ends() {
    let house = house(&format!("forward {RUN}"));
    deliver(&house, "round and round");
    let why = failure(&house);
    assert!(why.contains("looping"), "{why}");
}

#[test]
fn an_eleventh_message_is_refused() {
    let house =
        house("for i in 1 2 3 4 5 6 7 8 9 10 11; do echo $i | sendmail xyz@pobox.example || exit 100; done");
    deliver(&house, "by the command");
    assert!(failure(&house).contains("hands in no more than 10 messages"));
    // Nor does it pass behind the command's back.
    let copies = format!("echo x | sendmail xyz@pobox.example; cd $HIKYAKU_DROP; {NAMES} cp * $n; done 2>&1");
    let house = self::house(&copies.replace("cp * $n", "cat ???????????????????????????????? >.x; mv .x $n"));
    deliver(&house, "by a copy");
    let why = failure(&house);
    assert!(why.contains("hands in no more than 10 messages"), "{why}");
}

#[test]
fn what_is_no_file_of_sendmails_is_not_read() {
    let name = "$HIKYAKU_DROP/00000000000000000000000000000001";
    for (program, what) in [
        (format!("ln -s /etc/passwd {name}"), "no file"),
        (format!("echo x >x; ln x {name}"), "a file with another name"),
        (format!("mkdir {name}"), "no file"),
        (format!("mkfifo {name}"), "no file"),
        ("echo x >$HIKYAKU_DROP/x".into(), "no name that sendmail gives"),
        ("rm -r $HIKYAKU_DROP; ln -s /etc $HIKYAKU_DROP".into(), "no directory"),
        (format!("echo x >{name}"), "it is no file of this form"),
        (format!("echo HKDROPPED >{name}"), "it is no file of this form"),
        (
            "echo y | sendmail abc@pobox.example; cd $HIKYAKU_DROP; n=$(ls); head -c 20 $n >.x; mv .x $n"
                .into(),
            "it is torn",
        ),
    ] {
        let house = house(&program);
        deliver(&house, "odd");
        let why = failure(&house);
        assert!(why.contains(what), "{program}: {why}");
    }
}

#[test]
fn what_needs_a_server_is_refused_with_a_sentence() {
    for (call, what) in [
        ("sendmail -bs", "-bs"),
        ("sendmail -bp", "-bp"),
        ("qmail-inject -n xyz@pobox.example", "-n"),
        ("QMAILQUEUE=/bin/true sendmail xyz@pobox.example", "QMAILQUEUE"),
    ] {
        let house = house(&format!("{call} 2>&1; exit 100"));
        deliver(&house, "asks too much");
        let why = failure(&house);
        assert!(why.contains(&format!("{what} does not work in delivery instructions")), "{why}");
    }
}
