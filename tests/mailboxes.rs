//! Mailboxes: what lies in them, who has them open, and what if they are not there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::house::{House, eventually, field, files_in, message, messages_in};

#[test]
fn a_delivered_message_says_where_it_came_from_and_keeps_its_octets() {
    let house = House::new();
    let sent = "From: <a@elsewhere.example>\r\nSubject: octets\r\n\r\n.\r\n..\r\ntab\tand blank \r\n\r\nThe end.\r\n";
    house.smtp_session().transact("Bounces+1@elsewhere.example", &["abc+list@pobox.example"], sent);
    let text = house.wait_for_messages("abc", 1).remove(0);
    assert_eq!(field(&text, "Return-Path"), "<Bounces+1@elsewhere.example>");
    assert_eq!(field(&text, "Delivered-To"), "abc+list@pobox.example");
    let received = field(&text, "Received");
    assert!(
        received.starts_with("from client.example ([127.0.0.1]) by mail.pobox.example with ESMTP id "),
        "{received}"
    );
    assert!(text.starts_with("Return-Path: ") && text.ends_with(&sent.replace("\r\n", "\n")), "{text}");

    // `,S=` is the size on disk and `,W=` that with CR LF, as Dovecot reads them.
    let file = files_in(&house.maildir("abc")).remove(0);
    let name = file.file_name().unwrap().to_str().unwrap();
    let size = |key: &str| -> u64 {
        let after = name.split_once(key).unwrap_or_else(|| panic!("no {key} in {name}")).1;
        after.split([',', ':']).next().unwrap().parse().unwrap()
    };
    let on_disk = fs::metadata(&file).unwrap().len();
    assert_eq!(size(",S="), on_disk);
    assert_eq!(size(",W="), on_disk + text.matches('\n').count() as u64);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o007, 0, "nobody else reads mail");
}

#[test]
fn a_null_reverse_path_is_kept() {
    let house = House::new();
    house.smtp_session().transact("", &["abc@pobox.example"], &message("a notice"));
    assert_eq!(field(&house.wait_for_messages("abc", 1)[0], "Return-Path"), "<>");
}

#[test]
fn a_mailbox_is_open_in_one_session_at_a_time() {
    let house = House::new();
    let mut first = house.pop3_session("abc");
    let mut second = house.connect(house.pop3());
    second.expect("+OK");
    second.say("USER abc", "+OK");
    let refusal = second.say("PASS abc-try", "-ERR");
    assert_eq!(refusal, "-ERR [IN-USE] your mailbox is open in another session: try again in a moment");
    second.say("LANG ja", "+OK");
    second.say("USER abc", "+OK");
    let refusal = second.say("PASS abc-try", "-ERR");
    assert!(refusal.starts_with("-ERR [IN-USE] メールボックスはほかの接続で使用中です"), "{refusal}");
    // Another mailbox is another matter.
    house.pop3_session("xyz").say("QUIT", "+OK");
    first.say("QUIT", "+OK");
    // Free at once, for the client that was refused too.
    second.say("USER abc", "+OK");
    second.say("PASS abc-try", "+OK");
    // A client that vanishes lets go as well.
    drop(second);
    let login = || {
        let mut third = house.connect(house.pop3());
        third.expect("+OK");
        third.say("USER abc", "+OK");
        third.send(b"PASS abc-try\r\n");
        third.reply().starts_with("+OK").then_some(())
    };
    eventually("the mailbox is free", Duration::from_secs(5), login);
}

#[test]
fn uids_are_stable_and_mail_that_arrives_meanwhile_waits_for_the_next_session() {
    let house = House::new();
    for number in 1..=3 {
        house.send("abc@pobox.example", &format!("number {number}"));
        house.wait_for_messages("abc", number);
    }
    let mut session = house.pop3_session("abc");
    session.say("UIDL", "+OK");
    let uids: Vec<String> = uids(session.rest());
    session.say("RETR 2", "+OK");
    session.rest();
    house.send("abc@pobox.example", "number 4");
    house.wait_for_messages("abc", 4);
    assert!(session.say("STAT", "+OK").starts_with("+OK 3 "));
    session.say("DELE 1", "+OK");
    session.say("QUIT", "+OK");

    // One was removed, one has moved from new/ to cur/ or not, one came: nobody's UID changed.
    let mut session = house.pop3_session("abc");
    session.say("UIDL", "+OK");
    let later = self::uids(session.rest());
    assert_eq!(later.len(), 3);
    assert_eq!(later[..2], uids[1..]);
    // A restart changes nothing either.
    session.say("QUIT", "+OK");
    let mut house = house;
    house.stop();
    house.start();
    let mut session = house.pop3_session("abc");
    session.say("UIDL", "+OK");
    assert_eq!(self::uids(session.rest()), later);
}

fn uids(listing: Vec<String>) -> Vec<String> {
    listing.iter().map(|line| line.split_once(' ').unwrap().1.to_string()).collect()
}

#[test]
fn a_message_that_another_program_removed_is_missed_and_no_harm_is_done() {
    let house = House::new();
    for number in 1..=2 {
        house.send("abc@pobox.example", &format!("number {number}"));
        house.wait_for_messages("abc", number);
    }
    let mut session = house.pop3_session("abc");
    let victim = files_in(&house.maildir("abc"));
    let first = victim.iter().find(|file| fs::read_to_string(file).unwrap().contains("number 1")).unwrap();
    fs::remove_file(first).unwrap();
    assert_eq!(session.say("RETR 1", "-ERR"), "-ERR unable to open that message");
    assert_eq!(session.say("TOP 1 0", "-ERR"), "-ERR unable to open that message");
    session.say("LANG ja", "+OK");
    assert_eq!(session.say("RETR 1", "-ERR"), "-ERR そのメールを開けません");
    session.say("RETR 2", "+OK");
    assert!(session.rest().contains(&"Subject: number 2".to_string()));
    // What is gone counts as removed.
    session.say("DELE 1", "+OK");
    session.say("QUIT", "+OK");
    house.wait_for_messages("abc", 1);
}

/// Files that another program lays in a Maildir: names without sizes, flags, what is no message.
#[test]
fn a_maildir_that_others_use_too_is_read_right() {
    let house = House::new();
    let maildir = house.maildir("abc");
    fs::write(maildir.join("new/1000000000.1.other"), "Subject: plain\n\ntext\n").unwrap();
    fs::write(maildir.join("cur/1000000001.2.other:2,S"), "Subject: seen\n\n.dot\nno line end").unwrap();
    fs::write(maildir.join("new/.hidden"), "no message").unwrap();
    fs::create_dir(maildir.join("cur/folder")).unwrap();
    let mut session = house.pop3_session("abc");
    session.say("LIST", "+OK 2 messages");
    let sizes: Vec<String> = session.rest();
    for (number, text) in
        [(1, "Subject: plain\r\n\r\ntext\r\n"), (2, "Subject: seen\r\n\r\n.dot\r\nno line end\r\n")]
    {
        assert_eq!(sizes[number - 1], format!("{number} {}", text.len()));
        session.say(&format!("RETR {number}"), "+OK");
        let read: String = session.rest().iter().map(|line| format!("{line}\r\n")).collect();
        assert_eq!(read, text);
    }
    session.say("QUIT", "+OK");
    assert_eq!(messages_in_files(&house), 2);
}

fn messages_in_files(house: &House) -> usize {
    files_in(&house.maildir("abc")).iter().filter(|file| file.is_file() && !file.ends_with(".hidden")).count()
}

#[test]
fn a_mailbox_of_ten_thousand_messages_opens_without_reading_them() {
    let house = House::new();
    let new = house.maildir("abc").join("new");
    // A gigabyte by their names. Whoever read them would find almost nothing.
    for number in 0..10_000 {
        let name = format!("{}.Q{number:013}R0.mail.pobox.example,S=100000,W=102000", 1_700_000_000 + number);
        fs::write(new.join(name), "Subject: sparse\n\ntext\n").unwrap();
    }
    let mut session = house.pop3_session("abc");
    assert_eq!(session.say("STAT", "+OK"), "+OK 10000 1020000000");
    session.say("LIST", "+OK");
    assert_eq!(session.rest().len(), 10_000);
    session.say("UIDL", "+OK");
    let uids: std::collections::BTreeSet<String> = uids(session.rest()).into_iter().collect();
    assert_eq!(uids.len(), 10_000);
    session.say("DELE 1", "+OK");
    session.say("QUIT", "+OK");
    assert_eq!(
        fs::read_dir(new).unwrap().count() + fs::read_dir(house.maildir("abc").join("cur")).unwrap().count(),
        9_999
    );
}

#[test]
fn a_repeated_login_costs_no_argon2() {
    let house = House::new();
    house.pop3_session("abc").say("QUIT", "+OK");
    let before = processor_time(&house, "directory");
    for _ in 0..50 {
        house.pop3_session("abc").say("QUIT", "+OK");
    }
    let took = processor_time(&house, "directory") - before;
    // With argon2id each of them would take 15 ms or more.
    assert!(took < Duration::from_millis(300), "{took:?}");
}

/// What a role has used of the processor, to a hundredth of a second.
fn processor_time(house: &House, role: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", house.roles()[role])).unwrap();
    // The name in brackets may have blanks: what is counted stands behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[test]
fn mail_for_a_mailbox_that_is_missing_waits_and_nothing_is_lost() {
    let mut house = House::new();
    let maildir = house.maildir("abc");
    let away = maildir.with_extension("away");
    fs::rename(&maildir, &away).unwrap();
    let reply = house.send("abc@pobox.example", "waits");
    assert!(reply.starts_with("250"), "{reply}");
    // Others are served meanwhile, from the same message too.
    let both = ["abc@pobox.example", "sales@shop.example"];
    house.smtp_session().transact("sender@elsewhere.example", &both, &message("waits in part"));
    house.wait_for_messages("xyz", 1);

    let deferred = eventually("it is said in the log", Duration::from_secs(10), || {
        Some(house.events("deferred")).filter(|events| events.len() >= 2)
    });
    assert!(deferred.iter().all(|event| event["to"] == "abc@pobox.example"), "{deferred:?}");
    // What is being tried has no next attempt yet.
    let waiting = eventually("both wait", Duration::from_secs(10), || {
        let list = house.json(&["queue", "list", "--json"]);
        (list.len() == 2 && list.iter().all(|message| message["next_attempt"].is_u64())).then_some(list)
    });
    for message in &waiting {
        assert_eq!(message["waiting"], 1, "{message}");
        let id = message["id"].as_str().unwrap();
        let shown = &house.json(&["queue", "show", id, "--json"])[0];
        let recipient =
            shown["recipients"].as_array().unwrap().iter().find(|one| one["address"] == "abc@pobox.example");
        let recipient = recipient.unwrap_or_else(|| panic!("{shown}"));
        assert_eq!(recipient["state"], "waiting");
        assert_eq!(recipient["attempts"], 1);
        assert!(!recipient["last_reply"].as_str().unwrap().is_empty(), "{recipient}");
        // qmail's schedule: a local recipient is tried again 100 seconds after the message came.
        let (arrived, next) =
            (message["arrived"].as_u64().unwrap(), message["next_attempt"].as_u64().unwrap());
        assert!((arrived + 100..=arrived + 130).contains(&next), "arrived {arrived}, next {next}");
    }
    // The owner is told that somebody has to look after it, and no mailbox is made up.
    let mut pop3 = house.connect(house.pop3());
    pop3.expect("+OK");
    pop3.say("USER abc", "+OK");
    let refusal = pop3.say("PASS abc-try", "-ERR");
    assert_eq!(refusal, "-ERR [SYS/PERM] your mailbox cannot be opened: please ask your provider");
    pop3.say("LANG ja", "+OK");
    pop3.say("USER abc", "+OK");
    let refusal = pop3.say("PASS abc-try", "-ERR");
    assert!(refusal.starts_with("-ERR [SYS/PERM] メールボックスを開けません"), "{refusal}");
    assert!(!maildir.exists());

    // Still so after a restart; and the messages are due as they were.
    house.stop();
    house.start();
    fs::rename(&away, &maildir).unwrap();
    let again = house.json(&["queue", "list", "--json"]);
    let due = |list: &[serde_json::Value]| -> Vec<(String, Option<u64>)> {
        list.iter()
            .map(|one| (one["id"].as_str().unwrap().to_string(), one["next_attempt"].as_u64()))
            .collect()
    };
    assert!(again.is_empty() || due(&again) == due(&waiting), "{again:?} after {waiting:?}");
    if again.is_empty() {
        house.wait_for_messages("abc", 2);
    } else {
        assert_eq!(messages_in(&maildir).len(), 0);
    }
    house.wait_for_messages("xyz", 1);
}

#[test]
fn a_mailbox_that_cannot_be_written_defers_mail() {
    let house = House::new();
    let maildir = house.maildir("abc");
    // Not even root writes into what is no directory.
    fs::remove_dir(maildir.join("tmp")).unwrap();
    fs::write(maildir.join("tmp"), "in the way").unwrap();
    let reply = house.send("abc@pobox.example", "waits");
    assert!(reply.starts_with("250"), "{reply}");
    let event = house.wait_for_event("deferred");
    assert_eq!(event["to"], "abc@pobox.example");
    assert_eq!(house.queued(), 1);
    house.wait_for_messages("abc", 0);
}

/// What is accepted and then cannot be delivered comes back to its sender.
#[test]
fn mail_to_an_account_that_was_removed_meanwhile_comes_back() {
    let house = House::new();
    let mut wire = house.smtp_session();
    wire.say("MAIL FROM:<xyz@pobox.example>", "250");
    wire.say("RCPT TO:<abc@pobox.example>", "250");
    wire.say("DATA", "354");
    house.ran(&["account", "remove", "abc"], "");
    wire.send(message("too late").as_bytes());
    wire.say(".", "250");
    let notice = house.wait_for_messages("xyz", 1).remove(0);
    assert_eq!(field(&notice, "Return-Path"), "<>");
    assert!(field(&notice, "Content-Type").starts_with("multipart/report"), "{notice}");
    for part in ["abc@pobox.example", "5.1.1", "Subject: too late"] {
        assert!(notice.contains(part), "no {part} in:\n{notice}");
    }
    house.wait_for_an_empty_queue();
}
