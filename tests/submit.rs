//! Mail of this machine's programs, at the sockets and in the directory that are theirs, without the commands
//! that programs call.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use envelope::Walk;
use link::Parcel;
use link::blocking::BlockingClient;
use link::services::submit::{Request, Response, Submit, Waiting};
use nix::unistd::geteuid;
use sendmail::{Face, FromHeader, Job, Manner, Names, Refusal, Treatment, drop_file};

use crate::house::{House, eventually};
use crate::wire::Wire;

/// A house in which the programs of whoever runs this test send as abc.
fn house(lines: &str) -> House {
    House::with(&format!("{lines}\n[sendmail.users]\n{} = \"abc\"", geteuid()))
}

fn run(house: &House, name: &str) -> PathBuf {
    house.dir.path().join("data/run").join(name)
}

fn job(to: &[&str]) -> Job {
    Job {
        face: Face::Sendmail,
        manner: Manner::Helpful,
        sender: None,
        full_name: None,
        arguments: to.iter().map(|to| to.as_bytes().to_vec()).collect(),
        from_header: FromHeader::Also,
        treatment: Treatment::Complete,
        names: Names::default(),
        let_pass: Vec::new(),
    }
}

struct Caller(BlockingClient<Submit>);

impl Caller {
    fn new(house: &House) -> Caller {
        let stream = UnixStream::connect(run(house, "submit")).unwrap();
        Caller(BlockingClient::new(stream, Duration::from_secs(15)).unwrap())
    }

    fn ask(&mut self, request: Request, raw: &[u8]) -> Response {
        self.0.call(Parcel::with_raw(request, Bytes::copy_from_slice(raw))).unwrap().value
    }

    fn hand_in(&mut self, job: Job, message: &str) -> Response {
        self.ask(Request::Take { job, whole: true }, message.as_bytes())
    }

    fn waiting(&mut self) -> Vec<Waiting> {
        match self.ask(Request::Waiting(Walk::default()), b"") {
            Response::Waiting { messages, more: None } => messages,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_program_that_speaks_smtp_is_known_and_sends_as_its_account() {
    let house = house("");
    let mut wire = Wire::connect_to(&run(&house, "smtp"));
    wire.expect("220 mail.pobox.example");
    let hello = wire.say("EHLO cgi.pobox.example", "250");
    assert!(!hello.contains("STARTTLS") && !hello.contains("AUTH"), "{hello}");
    wire.say("AUTH PLAIN AGFiYwBhYmMtdHJ5", "502");
    wire.say("STARTTLS", "502");
    wire.say("MAIL FROM:<xyz@pobox.example>", "552");
    let message = "From: abc@pobox.example\r\nSubject: by smtp\r\n\r\nhello\r\n";
    let reply = wire.transact("abc@pobox.example", &["xyz@pobox.example"], message);
    assert!(reply.starts_with("250"), "{reply}");
    // Its authors are held to the rule as well, whatever the account's scripts may.
    let forged = "From: xyz@pobox.example\r\n\r\nhello\r\n";
    assert!(wire.transact("abc@pobox.example", &["xyz@pobox.example"], forged).starts_with("552"));
    wire.say("QUIT", "221");
    wire.closed();
    let received = &house.wait_for_messages("xyz", 1)[0];
    let trace = format!(
        "Received: from cgi.pobox.example (localhost [127.0.0.1]) (sendmail-bs, user id {})\n\
         \tby mail.pobox.example with ESMTP id ",
        geteuid()
    );
    assert!(received.replace("\r\n", "\n").contains(&trace), "{received}");
    assert!(received.contains("Message-ID: <"), "{received}");
    let accepted = house.wait_for_event("accepted");
    assert_eq!(
        (accepted["account"].as_str(), accepted["uid"].as_u64()),
        (Some("abc"), Some(geteuid().as_raw().into()))
    );
}

#[test]
fn a_program_of_nobodys_is_told_so_instead_of_a_greeting() {
    let lines = format!("[sendmail]\nunmapped = \"refuse\"\n[sendmail.users]\n{} = \"gone\"", geteuid());
    let house = House::with(&lines);
    let mut wire = Wire::connect_to(&run(&house, "smtp"));
    let told = wire.expect("554 ");
    assert!(told.contains(&format!("user id {} belongs to no customer", geteuid())), "{told}");
    wire.closed();
    let refused = Caller::new(&house).hand_in(job(&["xyz@pobox.example"]), "\nhello\n");
    assert!(matches!(refused, Response::Refused(Refusal::UnknownUser(uid)) if uid == geteuid().as_raw()));
}

#[test]
fn programs_of_who_is_suspended_may_not_send() {
    let house = house("");
    house.rule("account suspend abc");
    let mut wire = Wire::connect_to(&run(&house, "smtp"));
    let told = wire.expect("554 ");
    assert!(told.contains(&format!("the account of user id {} may not send", geteuid())), "{told}");
    wire.closed();
    let mut caller = Caller::new(&house);
    let refused = caller.hand_in(job(&["xyz@pobox.example"]), "\nhello\n");
    assert!(matches!(refused, Response::Refused(Refusal::NotAllowed(_))), "{refused:?}");
    house.rule("account resume abc");
    let taken = Caller::new(&house).hand_in(job(&["xyz@pobox.example"]), "\nhello\n");
    assert!(matches!(taken, Response::Accepted(_)), "{taken:?}");
}

#[test]
fn a_message_is_taken_in_pieces_and_completed() {
    let house = house("");
    let mut caller = Caller::new(&house);
    let job = job(&["xyz@pobox.example"]);
    let head = b"To: abc@pobox.example\nSubject: in pieces\n\n";
    let answer = caller.ask(Request::Take { job, whole: false }, head);
    assert!(matches!(answer, Response::GoOn), "{answer:?}");
    for _ in 0..20 {
        let piece = b".\n0123456789abcdefghijklmnopqrstuvwxyz\n".repeat(1000);
        assert!(matches!(caller.ask(Request::More { whole: false }, &piece), Response::GoOn));
    }
    let answer = caller.ask(Request::More { whole: true }, b"the end");
    let Response::Accepted(id) = answer else { panic!("{answer:?}") };
    for account in ["abc", "xyz"] {
        let message = house.wait_for_messages(account, 1)[0].replace("\r\n", "\n");
        let trace = format!("Received: by mail.pobox.example (sendmail, user id {})\n\tid {id}; ", geteuid());
        assert!(message.contains(&trace), "{message:.400}");
        assert!(message.contains("Return-Path: <abc@pobox.example>"), "{message:.400}");
        assert!(message.contains("\nFrom: ") && message.contains("\nDate: "), "{message:.400}");
        assert!(message.ends_with("\nthe end\n"));
        assert_eq!(message.matches("\n.\n0123").count(), 20_000);
    }
    let told: Vec<_> = house.events("accepted").into_iter().map(|event| event["face"].clone()).collect();
    assert_eq!(told, ["sendmail"]);
    let life = eventually("it is recorded", Duration::from_secs(20), || {
        let life = house.run(&["trace", &id.to_string()], "");
        (life.code == Some(0)).then_some(life.output)
    });
    assert!(life.contains("xyz@pobox.example"), "{life}");
}

#[test]
fn of_a_caller_who_dies_half_way_nothing_is_queued() {
    let house = house("");
    let mut caller = Caller::new(&house);
    let job = job(&["xyz@pobox.example"]);
    caller.ask(Request::Take { job, whole: false }, b"Subject: half\n\n");
    caller.ask(Request::More { whole: false }, &b"more\n".repeat(13_000));
    drop(caller);
    house.wait_for_event("vanished");
    assert_eq!(house.queued(), 0);
    assert!(house.messages("xyz").is_empty());
    assert!(house.files_named("xyz").is_empty());
}

#[test]
fn all_recipients_that_nobody_has_are_named_and_the_others_get_nothing() {
    let house = house("");
    let to = ["xyz@pobox.example", "no-1@pobox.example", "b@elsewhere.example", "no-2@pobox.example"];
    let answer = Caller::new(&house).hand_in(job(&to), "Subject: x\n\nhello\n");
    let Response::Refused(Refusal::NoSuchMailbox(unknown)) = answer else { panic!("{answer:?}") };
    let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    assert_eq!(unknown, ["no-1@pobox.example", "no-2@pobox.example"]);
    assert_eq!(house.queued(), 0);
    let refused = house.wait_for_event("refused");
    assert_eq!(refused["account"], "abc");
    assert!(refused["status"].as_str().unwrap().contains("no-2@pobox.example"), "{refused}");
}

#[test]
fn what_is_no_sense_is_refused_and_the_next_message_goes() {
    let house = house("[limits]\nmessage_size_max = 100000");
    let mut caller = Caller::new(&house);
    let lost = caller.ask(Request::More { whole: true }, b"x");
    assert!(matches!(lost, Response::Refused(Refusal::Fault(_))), "{lost:?}");
    let to = || job(&["xyz@pobox.example"]);
    let nul = caller.hand_in(to(), "Subject: x\n\n\0");
    assert!(matches!(nul, Response::Refused(Refusal::Nul)), "{nul:?}");
    let large = caller.ask(Request::Take { job: to(), whole: true }, &vec![b'x'; 70_000]);
    assert!(matches!(large, Response::Refused(Refusal::Fault(_))), "{large:?}");
    caller.ask(Request::Take { job: to(), whole: false }, &vec![b'x'; 60_000]);
    let large = caller.ask(Request::More { whole: false }, &vec![b'x'; 60_000]);
    assert!(matches!(large, Response::Refused(Refusal::TooLarge(100_000))), "{large:?}");
    let looping = format!("{}\nx\n", "Received: x\n".repeat(100));
    let looping = caller.hand_in(to(), &looping);
    assert!(matches!(looping, Response::Refused(Refusal::TooManyHops)), "{looping:?}");
    let nobody = caller.hand_in(job(&[]), "Subject: x\n\n");
    assert!(matches!(nobody, Response::Refused(Refusal::NoRecipients)), "{nobody:?}");
    let many = vec!["xyz@pobox.example"; 50_000];
    let many = caller.ask(Request::Take { job: job(&many), whole: false }, b"Subject: x\n");
    assert!(matches!(many, Response::Refused(Refusal::TooManyRecipients(1000))), "{many:?}");
    assert!(matches!(caller.hand_in(to(), "Subject: x\n\nhello\n"), Response::Accepted(_)));
    house.wait_for_messages("xyz", 1);
}

#[test]
fn a_message_with_a_reverse_path_for_each_recipient_goes_as_one_for_each() {
    let house = house("");
    let mut job = job(&["abc@pobox.example", "xyz@pobox.example"]);
    job.names.letters.verp = true;
    let answer = Caller::new(&house).hand_in(job, "Subject: to each\n\nhello\n");
    assert!(matches!(answer, Response::Accepted(_)), "{answer:?}");
    for account in ["abc", "xyz"] {
        let message = &house.wait_for_messages(account, 1)[0];
        let from = format!("Return-Path: <abc-{account}=pobox.example@pobox.example>");
        assert!(message.contains(&from), "{message}");
    }
    assert_eq!(house.events("accepted").len(), 2);
}

#[test]
fn what_would_become_of_a_header_is_shown_and_nothing_is_queued() {
    let house = house("");
    let mut caller = Caller::new(&house);
    let request = Request::Compose(job(&["u@elsewhere.example"]));
    let header = Bytes::from_static(b"To: xyz@pobox.example\r\nBcc: abc@pobox.example\nSubject: x\n\n");
    let Parcel { value, raw, .. } = caller.0.call(Parcel::with_raw(request, header)).unwrap();
    let Response::Composed(envelopes) = value else { panic!("{value:?}") };
    let to: Vec<String> = envelopes[0].recipients.iter().map(ToString::to_string).collect();
    assert_eq!(to, ["u@elsewhere.example", "xyz@pobox.example", "abc@pobox.example"]);
    assert_eq!((envelopes.len(), envelopes[0].reverse_path.to_string().as_str()), (1, "<abc@pobox.example>"));
    let head = String::from_utf8(raw.to_vec()).unwrap();
    assert!(head.contains("\nFrom: ") && head.ends_with("\nSubject: x\n\n"), "{head}");
    assert!(!head.contains('\r') && !head.contains("Bcc") && !head.contains("Received"), "{head}");
    assert_eq!(house.queued(), 0);
}

#[test]
fn one_user_has_so_many_connections_and_a_silent_one_ends() {
    let house = house("[limits]\nconnections_per_address_max = 2\nidle = 1");
    let mut callers: Vec<Caller> = (0..3).map(|_| Caller::new(&house)).collect();
    let to = || Request::Take { job: job(&["xyz@pobox.example"]), whole: true };
    // Hung up on: `sendmail` takes that for a server that is away.
    assert!(callers.pop().unwrap().0.call(Parcel::with_raw(to(), Bytes::from_static(b"\nx\n"))).is_err());
    assert!(matches!(callers[0].ask(to(), b"\nx\n"), Response::Accepted(_)));
    let half = callers[1].ask(Request::Take { job: job(&["xyz@pobox.example"]), whole: false }, b"\nx\n");
    assert!(matches!(half, Response::GoOn), "{half:?}");
    house.wait_for_event("timed_out");
    eventually("there is room again", Duration::from_secs(20), || {
        let mut caller = Caller::new(&house);
        caller.0.call(Parcel::with_raw(to(), Bytes::from_static(b"\nx\n"))).is_ok().then_some(())
    });
    assert_eq!(house.wait_for_messages("xyz", 2).len(), 2);
}

#[test]
fn a_limit_of_the_account_is_told_and_left_mail_waits_for_it() {
    let mut house = house("");
    house.rule("account set abc messages_per_hour=1");
    let mut caller = Caller::new(&house);
    let to = || job(&["xyz@pobox.example"]);
    assert!(matches!(caller.hand_in(to(), "\nx\n"), Response::Accepted(_)));
    let refused = caller.hand_in(to(), "\nx\n");
    assert!(matches!(refused, Response::Refused(Refusal::LimitReached { .. })), "{refused:?}");
    house.stop();
    let drop = house.dir.path().join("data/drop");
    let mut file = dropped(&drop, 1);
    drop_file::write(&to(), 3, &mut &b"\nx\n"[..], &mut file).unwrap();
    house.start();
    house.wait_for_event("dropped_file_waits");
    house.rule("account set abc messages_per_hour=unlimited");
    house.stop();
    let name = |house: &House| {
        let names = fs::read_dir(house.dir.path().join("data/drop/taken")).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let [id] = &name(&house)[..] else { panic!("it waits") };
    house.start();
    house.wait_for_messages("xyz", 2);
    // It is the message that it was before.
    let taken: Vec<_> = house.events("accepted").into_iter().map(|event| event["queue_id"].clone()).collect();
    assert_eq!(taken.last().unwrap(), id);
    eventually("the file is gone", Duration::from_secs(20), || name(&house).is_empty().then_some(()));
}

#[test]
fn a_caller_sees_what_of_its_account_waits_and_nothing_else() {
    let house = house("");
    let mut caller = Caller::new(&house);
    assert!(caller.waiting().is_empty());
    let to = ["u@elsewhere.example", "xyz@pobox.example"];
    let Response::Accepted(id) = caller.hand_in(job(&to), "Subject: waits\n\nhello\n") else { panic!() };
    let mut wire = house.submission_session("xyz");
    wire.transact("xyz@pobox.example", &["v@elsewhere.example"], "From: xyz@pobox.example\r\n\r\nx\r\n");
    let waiting = eventually("one recipient is settled", Duration::from_secs(20), || {
        let waiting = caller.waiting();
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        waiting.into_iter().find(|message| message.settled == 1 && message.recipients[0].1.is_some())
    });
    assert_eq!((waiting.id, waiting.reverse_path.to_string().as_str()), (id, "<abc@pobox.example>"));
    assert_eq!(waiting.recipients[0].0.to_string(), "u@elsewhere.example");
}

/// A new file in the drop directory, with the mode that `sendmail` gives it.
fn dropped(drop: &Path, number: u32) -> File {
    let file = File::create(drop.join(format!("{number:032x}"))).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o640)).unwrap();
    file
}

#[test]
fn mail_that_was_left_while_the_server_was_away_is_picked_up() {
    let mut house = House::at_rest("127.0.0.1", &format!("[sendmail.users]\n{} = \"xyz\"", geteuid()));
    // Makes the directory.
    house.start();
    house.stop();
    let drop = house.dir.path().join("data/drop");
    let leave = |number: u32, job: &Job, message: &str| {
        let mut file = dropped(&drop, number);
        drop_file::write(job, message.len() as u64, &mut message.as_bytes(), &mut file).unwrap();
    };
    for number in 0..50 {
        leave(number, &job(&["abc@pobox.example"]), &format!("Subject: left {number}\n\nhello\n"));
    }
    leave(100, &job(&["nobody@pobox.example"]), "Subject: astray\n\nhello\n");
    let torn = drop.join(format!("{:032x}", 1));
    let mut octets = fs::read(&torn).unwrap();
    octets.pop();
    fs::write(&torn, octets).unwrap();
    dropped(&drop, 101).set_len(2 << 30).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", drop.join(format!("{:032x}", 102))).unwrap();
    fs::write(drop.join("rubbish"), "x").unwrap();
    fs::write(drop.join(".new-1"), "half").unwrap();
    house.start();
    let mut left = house.wait_for_messages("abc", 49);
    left.retain(|message| message.contains("Return-Path: <xyz@pobox.example>"));
    assert_eq!(left.len(), 49);
    // Its owner is told once of those that were refused: one astray, one torn; the rest is no mail.
    let told = house.wait_for_messages("xyz", 1);
    assert!(told.iter().all(|notice| notice.contains("Auto-Submitted: auto-generated")), "{told:?}");
    let what_is_left = || {
        let mut names: Vec<String> = fs::read_dir(&drop)
            .unwrap()
            .chain(fs::read_dir(drop.join("taken")).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        (names == [".new-1", "taken"]).then_some(())
    };
    eventually("nothing is left", Duration::from_secs(20), what_is_left);
    assert!(house.events("dropped_file_removed").len() >= 5);
    assert_eq!(house.messages("xyz").len(), 1);
}

#[test]
fn what_an_operator_may_still_mend_waits_in_the_drop_directory() {
    let mut house = House::at_rest("127.0.0.1", &format!("[sendmail.users]\n{} = \"xyz\"", geteuid()));
    house.start();
    house.rule("account suspend xyz");
    house.stop();
    let drop = house.dir.path().join("data/drop");
    let mut octets = Vec::new();
    drop_file::write(&job(&["abc@pobox.example"]), 3, &mut &b"\nx\n"[..], &mut octets).unwrap();
    dropped(&drop, 1).write_all(&octets).unwrap();
    // Another version's, and one that somebody else could have written.
    octets[7] += 1;
    dropped(&drop, 2).write_all(&octets).unwrap();
    let foreign = dropped(&drop, 3);
    foreign.set_permissions(fs::Permissions::from_mode(0o666)).unwrap();
    let taken = || fs::read_dir(drop.join("taken")).unwrap().count();
    house.start();
    eventually("they wait", Duration::from_secs(20), || {
        (!house.events("dropped_file_waits").is_empty() && taken() == 3).then_some(())
    });
    // Now his account may send.
    house.rule("account resume xyz");
    house.stop();
    house.start();
    house.wait_for_messages("abc", 1);
    eventually("the others wait", Duration::from_secs(20), || (taken() == 2).then_some(()));
    assert!(house.messages("xyz").is_empty());
}
