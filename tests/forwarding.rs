//! What customers want done with their mail: forwards and lists, loops, programs, files, quotas and limits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::house::{House, eventually, field, files_in, message};

/// How long a thing may take that needs some deliveries one after the other.
const PATIENCE: Duration = Duration::from_secs(20);
/// Nobody at our own domain: what goes there comes back at once.
const DEAD: &str = "nobody@pobox.example";

/// Makes accounts whose password does not matter: a hash of the old kind costs no time.
fn add_members(house: &House, names: impl IntoIterator<Item = String>) {
    for name in names {
        let hash = "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/";
        house.ran(&["account", "add", &name, "--language", "en", "--hash", hash], "");
    }
}

/// Writes the instructions of an address as a text.
fn instruct(house: &House, address: &str, text: &str) {
    house.ran(&["address", "set", address, "--text", "-"], text);
}

/// Sends one message from a customer of ours, so that he hears what becomes of it.
fn send_as(house: &House, sender: &str, recipient: &str, subject: &str) {
    let reply = house.smtp_session().transact(sender, &[recipient], &message(subject));
    assert!(reply.starts_with("250 "), "{reply}");
}

/// Waits until all is delivered, and gives the messages of an account.
fn in_the_end(house: &House, account: &str) -> Vec<String> {
    house.wait_for_an_empty_queue();
    house.messages(account)
}

/// The queue ids of an account's messages, which stand in the names of their files.
fn queue_ids(house: &House, account: &str) -> BTreeSet<String> {
    let name = |file: PathBuf| file.file_name().unwrap().to_str().unwrap().to_string();
    let id = |name: String| Some(name.split_once(".Q")?.1.split_once('R')?.0.to_string());
    files_in(&house.maildir(account)).into_iter().map(name).map(|name| id(name).expect("Q…R…")).collect()
}

/// What a report says of the recipients that failed, as programs read it.
fn failed_recipients(report: &str) -> Vec<&str> {
    report.lines().filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; ")).collect()
}

fn is_report(message: &str) -> bool {
    field(message, "Return-Path") == "<>" && message.contains("report-type=delivery-status")
}

#[test]
fn ten_destinations_are_queued_once_with_ten_recipients() {
    let house = House::new();
    let names: Vec<String> = (0..10).map(|number| format!("member{number}")).collect();
    add_members(&house, names.clone());
    let to: Vec<String> = names.iter().map(|name| format!("--to {name}@pobox.example")).collect();
    house.rule(&format!("address set list@abc.pobox.example {}", to.join(" ")));
    send_as(&house, "xyz@pobox.example", "list@abc.pobox.example", "to ten");
    let mut ids = BTreeSet::new();
    for name in &names {
        let copy = house.wait_for_messages(name, 1).remove(0);
        assert!(copy.contains("\nDelivered-To: list@abc.pobox.example\n"), "{copy}");
        assert_eq!(field(&copy, "Return-Path"), "<xyz@pobox.example>");
        ids.extend(queue_ids(&house, name));
    }
    assert_eq!(ids.len(), 1, "one message with ten recipients: {ids:?}");
    assert!(in_the_end(&house, "abc").is_empty() && house.messages("xyz").is_empty());
}

#[test]
fn an_eleventh_destination_is_refused_and_the_old_setting_stays() {
    let house = House::new();
    let destinations =
        |count| -> String { (0..count).map(|number| format!("&a{number}@there.example\n")).collect() };
    let ten = destinations(10);
    instruct(&house, "list@abc.pobox.example", &ten);
    let ran = house.run(&["address", "set", "list@abc.pobox.example", "--text", "-"], &destinations(11));
    assert!(ran.code != Some(0) && ran.errors.contains("10 forward destinations"), "{ran:?}");
    assert_eq!(house.rule("address export list@abc.pobox.example"), ten);
}

#[test]
fn a_dead_destination_does_not_stop_the_others_and_the_sender_hears_of_it() {
    let house = House::new();
    add_members(&house, ["neko".to_string()]);
    house.rule(&format!("address set list@abc.pobox.example --to {DEAD} --to neko@pobox.example --keep"));
    send_as(&house, "xyz@pobox.example", "list@abc.pobox.example", "to some");
    house.wait_for_messages("neko", 1);
    house.wait_for_messages("abc", 1);
    let report = house.wait_for_messages("xyz", 1).remove(0);
    assert!(is_report(&report), "{report}");
    assert_eq!(failed_recipients(&report), [DEAD]);
    house.wait_for_an_empty_queue();
}

#[test]
fn bounces_of_a_list_go_to_its_owner_where_it_has_one() {
    let house = House::new();
    add_members(&house, ["neko".to_string(), "owner".to_string()]);
    house.rule(&format!("address set list@abc.pobox.example --to {DEAD} --to neko@pobox.example"));
    house.rule("address set list-owner@abc.pobox.example --to owner@pobox.example");
    send_as(&house, "xyz@pobox.example", "list@abc.pobox.example", "to the list");
    let copy = house.wait_for_messages("neko", 1).remove(0);
    assert_eq!(field(&copy, "Return-Path"), "<list-owner@abc.pobox.example>");
    let report = house.wait_for_messages("owner", 1).remove(0);
    assert!(is_report(&report), "{report}");
    assert_eq!(failed_recipients(&report), [DEAD]);
    assert!(in_the_end(&house, "xyz").is_empty() && house.messages("abc").is_empty());

    // A bounce to the list is passed on as a bounce, or it would be answered by another.
    send_as(&house, "", "list@abc.pobox.example", "a bounce");
    let copies = house.wait_for_messages("neko", 2);
    assert!(copies.iter().any(|copy| field(copy, "Return-Path") == "<>"), "{copies:?}");
    house.wait_for_messages("owner", 1);
}

#[test]
fn a_list_with_two_owner_addresses_names_each_recipient_in_its_reverse_path() {
    let house = House::new();
    add_members(&house, ["neko".to_string()]);
    house.rule(&format!(
        "address set list@abc.pobox.example --to neko@pobox.example --to xyz@pobox.example --to {DEAD}"
    ));
    house.rule("address set list-owner@abc.pobox.example --keep");
    house.rule("address set list-owner-default@abc.pobox.example --keep");
    send_as(&house, "me@elsewhere.example", "list@abc.pobox.example", "to the list");
    for name in ["neko", "xyz"] {
        let copy = house.wait_for_messages(name, 1).remove(0);
        let expected = format!("<list-owner-{name}=pobox.example@abc.pobox.example>");
        assert_eq!(field(&copy, "Return-Path"), expected);
    }
    let report = house.wait_for_messages("abc", 1).remove(0);
    assert!(is_report(&report), "{report}");
    assert_eq!(field(&report, "Delivered-To"), "list-owner-nobody=pobox.example@abc.pobox.example");
}

#[test]
fn a_copy_is_kept_where_it_is_asked_for_and_thrown_away_where_that_is() {
    let house = House::new();
    house.rule("address set kept@abc.pobox.example --to xyz@pobox.example --keep");
    house.rule("address set gone@abc.pobox.example --discard");
    send_as(&house, "me@elsewhere.example", "gone@abc.pobox.example", "discarded");
    send_as(&house, "me@elsewhere.example", "kept@abc.pobox.example", "kept");
    house.wait_for_messages("xyz", 1);
    house.wait_for_messages("abc", 1);
    let [kept] = &in_the_end(&house, "abc")[..] else { panic!("one message, not more") };
    assert_eq!(
        (field(kept, "Subject"), field(kept, "Delivered-To")),
        ("kept".into(), "kept@abc.pobox.example".into())
    );
}

#[test]
fn loops_end() {
    let house = House::new();
    add_members(&house, ["neko".to_string()]);
    house.rule("address set abc@pobox.example --to xyz@pobox.example");
    house.rule("address set xyz@pobox.example --to neko@pobox.example --to ABC@Pobox.Example");
    house.rule("address set neko@pobox.example --to xyz@pobox.example --keep");
    // To itself, by another way to write it; and by a domain that means the same.
    house.rule("address set self@abc.pobox.example --to abc+Self@pobox.example --keep");
    send_as(&house, "me@elsewhere.example", "abc@pobox.example", "round and round");
    house.wait_for_messages("neko", 1);
    send_as(&house, "me@elsewhere.example", "self@abc.pobox.example", "to itself");
    house.wait_for_messages("abc", 1);
    assert_eq!(in_the_end(&house, "neko").len(), 1);
    assert_eq!((house.messages("abc").len(), house.messages("xyz").len()), (1, 0));
}

/// 200 addresses of 20 accounts that forward to one another as chance has it.
#[test]
fn every_message_ends_in_a_random_graph_of_forwards_and_no_mailbox_gets_two_copies() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let house = House::new();
    let accounts: Vec<String> = (0..20).map(|number| format!("a{number}")).collect();
    add_members(&house, accounts.clone());
    let addresses: Vec<String> =
        (0..200).map(|number| format!("e{}@a{}.pobox.example", number / 20, number % 20)).collect();
    let graph: Vec<(bool, Vec<usize>)> = (0..200)
        .map(|number| {
            let forwards = (0..random.random_range(1..=3)).map(|_| random.random_range(0..200));
            let mut forwards: Vec<usize> = forwards.collect();
            // To itself and nowhere else is refused when it is written.
            if forwards.iter().all(|to| *to == number) {
                forwards.push((number + 1) % 200);
            }
            (random.random_range(0..10) == 0, forwards)
        })
        .collect();
    std::thread::scope(|scope| {
        for share in 0..4 {
            let (house, graph, addresses) = (&house, &graph, &addresses);
            scope.spawn(move || {
                for (number, (keep, forwards)) in graph.iter().enumerate().skip(share).step_by(4) {
                    let to: String = forwards.iter().map(|to| format!(" --to {}", addresses[*to])).collect();
                    let keep = if *keep { " --keep" } else { "" };
                    house.rule(&format!("address set {}{to}{keep}", addresses[number]));
                }
            });
        }
    });

    let mut expected: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for number in 0..5 {
        let start = random.random_range(0..200);
        let subject = format!("message {number}");
        // Where it gets, if each address is served once.
        let (mut seen, mut next) = (BTreeSet::from([start]), VecDeque::from([start]));
        while let Some(at) = next.pop_front() {
            let (keep, forwards) = &graph[at];
            if *keep {
                expected.entry(&accounts[at % 20]).or_default().insert(subject.clone());
            }
            next.extend(forwards.iter().filter(|to| seen.insert(**to)));
        }
        // Who would hear of a failure: there is to be none.
        send_as(&house, "xyz@pobox.example", &addresses[start], &subject);
    }
    house.wait_for_an_empty_queue();
    for account in &accounts {
        let messages = house.messages(account);
        let subjects: BTreeSet<String> = messages.iter().map(|message| field(message, "Subject")).collect();
        assert_eq!(subjects.len(), messages.len(), "{account} has a message twice");
        assert_eq!(subjects, expected.remove(account.as_str()).unwrap_or_default(), "{account}");
    }
    assert!(house.messages("xyz").is_empty());
}

#[test]
fn forwards_make_so_many_copies_of_a_message_and_no_more() {
    let house = House::with("[delivery]\nfan_out_max = 25");
    let branches: Vec<String> =
        (0..10).map(|number| format!("--to branch{number}@abc.pobox.example")).collect();
    house.rule(&format!("address set tree@abc.pobox.example {}", branches.join(" ")));
    for branch in 0..10 {
        let leaves: Vec<String> =
            (0..10).map(|leaf| format!("--to leaf{branch}{leaf}@there.example")).collect();
        house.rule(&format!("address set branch{branch}@abc.pobox.example {}", leaves.join(" ")));
    }
    send_as(&house, "xyz@pobox.example", "tree@abc.pobox.example", "to a hundred");
    // The sender is told of those who do not get it.
    let report = eventually("a report comes", PATIENCE, || house.messages("xyz").pop());
    assert!(is_report(&report), "{report}");
    let leaves = eventually("all branches are done", PATIENCE, || {
        let queue = house.json(&["queue", "list", "--json"]);
        let leaves: u64 = queue.iter().map(|message| message["waiting"].as_u64().unwrap()).sum();
        let tried = queue.iter().all(|message| !message["next_attempt"].is_null());
        (tried && leaves > 0 && leaves + 10 <= 25).then_some(leaves)
    });
    assert!(leaves >= 1, "{leaves}");
}

#[test]
fn a_program_runs_only_where_configuration_and_plan_allow_it() {
    let refused = |house: &House| {
        let ran = house.run(&["address", "set", "run@abc.pobox.example", "--text", "-"], "|env > told\n");
        assert!(ran.code != Some(0) && ran.errors.contains("may not run programs"), "{ran:?}");
    };
    // The plan does not.
    let house = House::with("[delivery]\nprograms = true");
    refused(&house);
    // The plan does, and then no more: what was written meanwhile is not run.
    house.rule("account set abc programs=true");
    instruct(&house, "run@abc.pobox.example", "|env > told; cat > read\n");
    house.rule("account set abc programs=plan");
    send_as(&house, "xyz@pobox.example", "run@abc.pobox.example", "not run");
    eventually("it is refused or waits", PATIENCE, || {
        let waits =
            house.json(&["queue", "list", "--json"]).iter().any(|message| !message["next_attempt"].is_null());
        (waits || !house.messages("xyz").is_empty()).then_some(())
    });
    assert!(house.files_named("told").is_empty());
    // The configuration does not.
    let house = House::new();
    house.rule("account set abc programs=true");
    let ran = house.run(&["address", "set", "run@abc.pobox.example", "--text", "-"], "|env > told\n");
    if ran.code == Some(0) {
        send_as(&house, "xyz@pobox.example", "run@abc.pobox.example", "not run");
        eventually("it is refused or waits", PATIENCE, || {
            let queue = house.json(&["queue", "list", "--json"]);
            let waits = queue.iter().any(|message| !message["next_attempt"].is_null());
            (waits || !house.messages("xyz").is_empty()).then_some(())
        });
    }
    assert!(house.files_named("told").is_empty());
}

#[test]
fn a_program_is_told_what_qmail_tells_it_and_its_exit_code_decides() {
    let house = House::with("[delivery]\nprograms = true");
    house.rule("account set abc programs=true");
    instruct(&house, "run-default@abc.pobox.example", "|env > told; cat > read\n");
    send_as(&house, "xyz@pobox.example", "\"Run-One$(touch owned)\"@abc.pobox.example", "for a program");
    let told = eventually("the program has run", PATIENCE, || {
        let read = house.files_named("read").pop().and_then(|file| fs::read_to_string(file).ok())?;
        let told = fs::read_to_string(house.files_named("told").pop()?).ok()?;
        // As it came, without our fields on top.
        assert!(read.is_empty() || read.starts_with("Received: "), "{read}");
        read.ends_with("begins with a dot.\n").then_some(told)
    });
    for variable in [
        "SENDER=xyz@pobox.example",
        "NEWSENDER=xyz@pobox.example",
        "RECIPIENT=Run-One$(touch owned)@abc.pobox.example",
        "USER=abc",
        "LOCAL=Run-One$(touch owned)",
        "HOST=abc.pobox.example",
        "HOST2=abc.pobox",
        "EXT=Run-One$(touch owned)",
        "EXT2=One$(touch owned)",
        "DEFAULT=One$(touch owned)",
        "RPLINE=Return-Path: <xyz@pobox.example>",
    ] {
        assert!(told.lines().any(|line| line == variable), "{variable} is not in\n{told}");
    }
    assert!(told.contains("\nUFLINE=From xyz@pobox.example "), "{told}");
    assert!(house.files_named("owned").is_empty());
    house.wait_for_an_empty_queue();

    // 0: done; 99: done, and what follows is not; 100: never; 111: later.
    for (code, address) in [(0, "zero"), (99, "skip"), (100, "never"), (111, "later")] {
        let text = format!("|exit {code}\n&abc@pobox.example\n");
        instruct(&house, &format!("{address}@abc.pobox.example"), &text);
        send_as(&house, "xyz@pobox.example", &format!("{address}@abc.pobox.example"), address);
    }
    assert_eq!(field(&house.wait_for_messages("abc", 1)[0], "Subject"), "zero");
    let report = house.wait_for_messages("xyz", 1).remove(0);
    assert_eq!(failed_recipients(&report), ["never@abc.pobox.example"]);
    eventually("only `later` waits", PATIENCE, || {
        let queue = house.json(&["queue", "list", "--json"]);
        (queue.len() == 1 && !queue[0]["next_attempt"].is_null()).then_some(())
    });
    house.wait_for_messages("abc", 1);
}

#[test]
fn mail_goes_into_an_mbox_file_where_the_plan_allows_files() {
    let house = House::new();
    let refused = house.run(&["address", "set", "box@abc.pobox.example", "--text", "-"], "./archive\n");
    assert!(refused.code != Some(0) && refused.errors.contains("its own mailbox only"), "{refused:?}");
    house.rule("account set abc files=true");
    instruct(&house, "box@abc.pobox.example", "./archive\n./Folder/\n");
    for subject in ["first", "second"] {
        let text = format!(
            "From: me@elsewhere.example\r\nSubject: {subject}\r\n\r\nFrom here on\r\n>From there\r\n"
        );
        house.smtp_session().transact("me@elsewhere.example", &["box@abc.pobox.example"], &text);
        house.wait_for_an_empty_queue();
    }
    let mbox = fs::read_to_string(house.files_named("archive").pop().expect("an mbox file")).unwrap();
    assert_eq!(mbox.lines().filter(|line| line.starts_with("From ")).count(), 2, "{mbox}");
    assert!(mbox.starts_with("From me@elsewhere.example "), "{mbox}");
    assert_eq!(mbox.matches("\n>From here on\n>>From there\n").count(), 2, "{mbox}");
    assert_eq!(house.files_named("Folder").len(), 0, "it is a directory");
    house.wait_for_messages("abc", 0);
}

#[test]
fn a_mailbox_has_a_quota_with_warnings_and_refusals() {
    let house = House::with("[delivery]\nfull_grace = 1");
    house.rule("account set abc quota_bytes=1000000 --language en");
    let fill = |octets: usize| {
        let text = format!(
            "From: me@elsewhere.example\r\nSubject: large\r\n\r\n{}",
            format!("{}\r\n", "x".repeat(98)).repeat(octets / 100)
        );
        house.smtp_session().transact("me@elsewhere.example", &["abc@pobox.example"], &text)
    };
    let about_quota = |messages: &[String]| {
        messages.iter().filter(|message| field(message, "Subject") != "large").cloned().collect::<Vec<_>>()
    };
    let rcpt = |size: usize| {
        let mut smtp = house.smtp_session();
        smtp.say(&format!("MAIL FROM:<me@elsewhere.example> SIZE={size}"), "250");
        smtp.ask("RCPT TO:<abc@pobox.example>")
    };
    // 70 per cent: nothing is said.
    assert!(fill(700_000).starts_with("250 "));
    house.wait_for_messages("abc", 1);
    // 85: the owner is told, and once.
    assert!(fill(150_000).starts_with("250 "));
    let warned = house.wait_for_messages("abc", 3);
    let [warning] = &about_quota(&warned)[..] else { panic!("one warning: {warned:?}") };
    assert!(field(warning, "To").contains("abc@pobox.example"), "{warning}");
    assert!(fill(10_000).starts_with("250 "));
    house.wait_for_messages("abc", 4);
    // 96: once more.
    assert!(fill(100_000).starts_with("250 "));
    let warned = house.wait_for_messages("abc", 6);
    assert_eq!(about_quota(&warned).len(), 2);

    // Full: first for a while, then for good; what is small enough fits.
    // What is known of a mailbox may be a second old.
    let full = "452 sorry, that mailbox is full, try again later (#4.2.2)";
    eventually("it is full", PATIENCE, || (rcpt(100_000) == full).then_some(()));
    assert!(rcpt(100).starts_with("250 "));
    assert!(fill(40_000).starts_with("250 "));
    house.wait_for_messages("abc", 7);
    eventually("it has been full for long", PATIENCE, || {
        (rcpt(100_000) == "552 sorry, that mailbox has been full for some days (#5.2.2)").then_some(())
    });
    // An address that only sends on needs no room.
    house.rule("address set on@abc.pobox.example --to xyz@pobox.example");
    let mut smtp = house.smtp_session();
    smtp.say("MAIL FROM:<me@elsewhere.example> SIZE=100000", "250");
    smtp.say("RCPT TO:<on@abc.pobox.example>", "250");
    // Who removes mail has room again.
    let mut pop3 = house.pop3_session("abc");
    for number in 1..=6 {
        pop3.say(&format!("DELE {number}"), "+OK");
    }
    pop3.say("QUIT", "+OK");
    eventually("there is room again", PATIENCE, || rcpt(100_000).starts_with("250 ").then_some(()));
}

#[test]
fn who_sends_too_much_waits_and_its_owner_is_told_once() {
    let house = House::new();
    house.rule("account set abc messages_per_hour=2 --language en");
    let mut smtp = house.submission_session("abc");
    let letter = |subject: &str| format!("From: abc@pobox.example\r\nSubject: {subject}\r\n\r\nhello\r\n");
    for subject in ["first", "second"] {
        let reply = smtp.transact("abc@pobox.example", &["xyz@pobox.example"], &letter(subject));
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let refusal = "450 sorry, the limit of 2 messages per hour is reached, try again later (#4.7.1)";
    assert_eq!(smtp.transact("abc@pobox.example", &["xyz@pobox.example"], &letter("third")), refusal);
    // From then on it is said before there is a message.
    for _ in 0..3 {
        assert_eq!(smtp.ask("MAIL FROM:<abc@pobox.example>"), refusal);
    }
    // By a window it is said at RCPT.
    let home = [127, 0, 0, 3];
    assert!(house.check_mail_from(home, "abc", "abc-try").starts_with("+OK"));
    let mut window = house.smtp_session_from(home);
    window.say("MAIL FROM:<abc@pobox.example>", "250");
    assert_eq!(window.ask("RCPT TO:<friend@there.example>"), refusal);
    let notice = house.wait_for_messages("abc", 1).remove(0);
    assert!(notice.contains("messages per hour") || body(&notice).contains("messages per hour"), "{notice}");
    house.wait_for_an_empty_queue();
    house.wait_for_messages("abc", 1);
    house.wait_for_messages("xyz", 2);
    let refused = house.events("refused");
    assert!(refused.iter().all(|event| event["account"] == "abc" || event["to"].is_string()), "{refused:?}");
    // Strangers write to him as before.
    house.send("abc@pobox.example", "from a stranger");
    house.wait_for_messages("abc", 2);
}

/// A body in base64, as text.
fn body(message: &str) -> String {
    let (_, body) = message.split_once("\n\n").unwrap();
    let octets = STANDARD.decode(body.replace('\n', "")).unwrap_or_default();
    String::from_utf8_lossy(&octets).into_owned()
}
