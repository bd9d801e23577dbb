//! Servers without manners, and how mail gets past them.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use envelope::Host;
use remote::{Body, Pace};
use rustls::RootCertStore;

use crate::peer::{Do, say};
use crate::world::{EHLO, World, deliver, deliver_all, in_short, message};

/// Two hosts: the first behaves so, the second well. Gives what becomes of a message, and whether the
/// second was asked.
async fn with_a_second_host(
    manners: impl Fn(usize, &str) -> Option<Do> + Send + Sync + 'static,
) -> (String, bool) {
    let world = World::new().await;
    world.names.zone.mx("there.example", &[(10, "first.example"), (20, "second.example")]);
    let _first = world.peer("first.example", EHLO, None, manners);
    let second = world.good_peer("second.example");
    let outcomes = deliver(&world.remote(), "there.example", &["b"]).await;
    (outcomes[0].clone(), second.connections() > 0)
}

fn at(place: &'static str, action: Do) -> impl Fn(usize, &str) -> Option<Do> + Send + Sync + 'static {
    move |_, command| {
        let here = if place.is_empty() { command.is_empty() } else { command.starts_with(place) };
        here.then(|| action.clone())
    }
}

fn delivered_elsewhere() -> (String, bool) {
    ("delivered second.example".to_owned(), true)
}

#[tokio::test]
async fn the_next_host_is_tried_when_one_does_not_answer() {
    let world = World::new().await;
    world.names.zone.mx("there.example", &[(10, "nobody.example"), (20, "second.example")]);
    world.nobody("nobody.example");
    let second = world.good_peer("second.example");
    assert_eq!(deliver(&world.remote(), "there.example", &["b"]).await, ["delivered second.example"]);
    assert_eq!(second.messages.lock().unwrap()[0], "Subject: x\r\n\r\n..hello\r\n");
}

#[tokio::test]
async fn the_next_host_is_tried_after_a_refused_greeting_and_an_early_no() {
    for (place, reply) in [
        ("", "421 4.3.2 busy"),
        ("", "554 5.7.1 not you"),
        ("EHLO", "421 4.3.2 busy"),
        ("MAIL", "451 4.3.0 not now"),
        ("DATA", "451 4.3.0 not now"),
        (".", "451 4.3.0 not now"),
    ] {
        assert_eq!(with_a_second_host(at(place, say(reply))).await, delivered_elsewhere(), "{place} {reply}");
    }
}

#[tokio::test]
async fn a_drop_at_any_step_but_the_last_leads_to_the_next_host() {
    for place in ["", "EHLO", "MAIL", "RCPT", "DATA"] {
        assert_eq!(with_a_second_host(at(place, Do::Close)).await, delivered_elsewhere(), "{place}");
    }
    let possibly = ("deferred 4.4.2 possibly delivered".to_owned(), false);
    assert_eq!(with_a_second_host(at(".", Do::Close)).await, possibly);
}

#[tokio::test]
async fn silence_at_any_step_is_not_waited_for_without_end() {
    for place in ["", "MAIL"] {
        assert_eq!(with_a_second_host(at(place, Do::Hang)).await, delivered_elsewhere(), "{place}");
    }
    let possibly = ("deferred 4.4.2 possibly delivered".to_owned(), false);
    assert_eq!(with_a_second_host(at(".", Do::Hang)).await, possibly);
}

#[tokio::test]
async fn replies_that_are_none_lead_to_the_next_host() {
    for (place, action) in [
        ("", Do::Repeat("220-hello\r\n".to_owned())),
        ("EHLO", Do::Repeat("250-".to_owned() + &"x".repeat(100) + "\r\n")),
        ("EHLO", Do::Say("250 ".to_owned() + &"x".repeat(8 << 20))),
        ("MAIL", Do::Repeat("x".to_owned())),
        ("EHLO", say("250-yes\r\n550 no")),
        ("", say("HTTP/1.1 400 Bad Request")),
        // All at once, before anything was asked.
        ("", say("220 hi\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 have it")),
    ] {
        assert_eq!(with_a_second_host(at(place, action)).await, delivered_elsewhere(), "{place}");
    }
}

#[tokio::test]
async fn a_5xx_greeting_of_all_hosts_defers() {
    let world = World::new().await;
    let _only = world.peer("there.example", EHLO, None, at("", say("554 5.7.1 not you")));
    let outcomes = deliver_all(&world.remote(), "there.example", &["b"]).await;
    let remote::Outcome::Deferred(diagnosis) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(diagnosis.reply.as_ref().map(|reply| reply.code()), Some(554));
    assert!(diagnosis.text.contains("greeting failed") && diagnosis.text.contains("not you"));
}

#[tokio::test]
async fn one_of_five_recipients_is_accepted_and_the_others_are_not_asked_elsewhere() {
    let world = World::new().await;
    world.names.zone.mx("there.example", &[(10, "first.example"), (20, "second.example")]);
    let first = world.peer("first.example", EHLO, None, |_, command| match command.split('@').next()? {
        "RCPT TO:<a" => Some(say("550 5.1.1 who?")),
        "RCPT TO:<b" => Some(say("450 4.2.0 greylisted")),
        "RCPT TO:<d" => Some(say("552 5.2.2 full")),
        "RCPT TO:<e" => Some(say("451 later")),
        _ => None,
    });
    let second = world.good_peer("second.example");
    let outcomes = deliver(&world.remote(), "there.example", &["a", "b", "c", "d", "e"]).await;
    let expected =
        ["failed 5.1.1", "deferred 4.2.0", "delivered first.example", "failed 5.2.2", "deferred 4.0.0"];
    assert_eq!(outcomes, expected);
    assert_eq!((first.messages(), second.connections()), (1, 0));
}

#[tokio::test]
async fn who_was_settled_stays_so_when_the_message_goes_elsewhere() {
    let world = World::new().await;
    world.names.zone.mx("there.example", &[(10, "first.example"), (20, "second.example")]);
    let _first = world.peer("first.example", EHLO, None, |_, command| match command {
        "RCPT TO:<a@there.example>" => Some(say("550 5.1.1 who?")),
        "." => Some(say("452 4.3.1 disk full")),
        _ => None,
    });
    let second = world.good_peer("second.example");
    let outcomes = deliver(&world.remote(), "there.example", &["a", "b"]).await;
    assert_eq!(outcomes, ["failed 5.1.1", "delivered second.example"]);
    assert_eq!(second.heard("RCPT"), 1);
}

#[tokio::test]
async fn a_greylisted_message_gets_in_later() {
    let world = World::new().await;
    let tries = AtomicUsize::new(0);
    let _peer = world.peer("there.example", EHLO, None, move |_, command| {
        let first = command.starts_with("RCPT") && tries.fetch_add(1, Ordering::SeqCst) < 1;
        first.then(|| say("450 4.2.0 greylisted, come back"))
    });
    let remote = world.remote();
    assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["deferred 4.2.0"]);
    assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["delivered there.example"]);
}

#[tokio::test]
async fn messages_share_a_connection_and_leave_is_taken() {
    let world = World::new().await;
    let peer = world.good_peer("there.example");
    let mut settings = world.settings();
    settings.idle = Duration::from_millis(200);
    let remote = world.remote_with(settings, RootCertStore::empty());
    for _ in 0..20 {
        assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["delivered there.example"]);
    }
    assert_eq!((peer.connections(), peer.messages()), (1, 20));
    peer.hears("QUIT").await;
    assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["delivered there.example"]);
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn no_more_connections_wait_than_may() {
    let world = World::new().await;
    let (one, other) = (world.good_peer("one.example"), world.good_peer("other.example"));
    let mut settings = world.settings();
    settings.idle_max = 1;
    let remote = world.remote_with(settings, RootCertStore::empty());
    for _ in 0..3 {
        assert_eq!(deliver(&remote, "one.example", &["b"]).await, ["delivered one.example"]);
        assert_eq!(deliver(&remote, "other.example", &["b"]).await, ["delivered other.example"]);
    }
    assert_eq!((one.connections(), other.connections()), (1, 3));
    other.hears("QUIT").await;
}

#[tokio::test]
async fn a_server_that_closes_after_ten_messages_gets_all_of_them() {
    for polite in [true, false] {
        let world = World::new().await;
        let mails = AtomicUsize::new(0);
        let last = AtomicUsize::new(0);
        let peer = world.peer("there.example", EHLO, None, move |connection, command| {
            if last.swap(connection, Ordering::SeqCst) != connection {
                mails.store(0, Ordering::SeqCst);
            }
            if command.starts_with("MAIL") {
                let count = mails.fetch_add(1, Ordering::SeqCst);
                return (count >= 10).then(|| match polite {
                    true => Do::SayAndClose("421 4.7.0 enough for now\r\n".to_owned()),
                    false => Do::Close,
                });
            }
            None
        });
        let remote = world.remote();
        for _ in 0..35 {
            assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["delivered there.example"]);
        }
        assert_eq!((peer.connections(), peer.messages()), (4, 35));
    }
}

#[tokio::test]
async fn recipients_go_in_as_many_transactions_as_the_server_wants() {
    let world = World::new().await;
    const LIMITED: &str = "250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=3";
    let peer = world.peer("there.example", LIMITED, None, |_, _| None);
    let remote = world.remote();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    assert!(deliver(&remote, "there.example", &names).await.iter().all(|o| o == "delivered there.example"));
    assert_eq!((peer.connections(), peer.messages()), (1, 3));
    // One that says so only when it has enough.
    let count = AtomicUsize::new(0);
    let peer = world.peer("other.example", EHLO, None, move |_, command| {
        if command.starts_with("MAIL") {
            count.store(0, Ordering::SeqCst);
        }
        let over = command.starts_with("RCPT") && count.fetch_add(1, Ordering::SeqCst) >= 3;
        over.then(|| say("452 4.5.3 too many recipients"))
    });
    assert!(deliver(&remote, "other.example", &names).await.iter().all(|o| o == "delivered other.example"));
    assert_eq!((peer.connections(), peer.messages()), (1, 3));
}

#[tokio::test]
async fn a_server_that_offers_chunking_and_does_not_know_it_gets_data() {
    let world = World::new().await;
    const CHUNKING: &str = "250-mx\r\n250-PIPELINING\r\n250 CHUNKING";
    let peer = world.peer("there.example", CHUNKING, None, at("BDAT", say("502 5.5.1 what?")));
    let remote = world.remote();
    for _ in 0..3 {
        assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["delivered there.example"]);
    }
    assert_eq!((peer.heard("BDAT"), peer.messages()), (1, 3));
    let peer = world.peer("other.example", CHUNKING, None, |_, _| None);
    assert_eq!(deliver(&remote, "other.example", &["b"]).await, ["delivered other.example"]);
    assert_eq!(peer.messages.lock().unwrap()[0], "Subject: x\r\n\r\n.hello\r\n");
}

#[tokio::test]
async fn a_large_message_from_a_file_arrives_whole() {
    let world = World::new().await;
    let peer = world.good_peer("there.example");
    let data: String = (0..60_000).map(|n| format!(".line {n}\r\n")).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data.as_bytes()).unwrap();
    let mut large = message();
    large.body = Body::File { file: Arc::new(file), size: data.len() as u64 };
    let to: envelope::Address = "b@there.example".parse().unwrap();
    let host = Host::parse("there.example").unwrap();
    let outcomes = world.remote().deliver(&large, &host, vec![to.clone().into()]).await;
    assert_eq!(in_short(&outcomes[0]), "delivered there.example");
    assert_eq!(peer.messages.lock().unwrap()[0].replace("\r\n..", "\r\n."), format!(".{data}"));
    // A file that is shorter than was said: nobody gets half of it.
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"short\r\n").unwrap();
    large.body = Body::File { file: Arc::new(file), size: 100 };
    let outcomes = world.remote().deliver(&large, &host, vec![to.into()]).await;
    assert_eq!(in_short(&outcomes[0]), "deferred 4.3.0");
    assert_eq!(peer.messages(), 1);
}

#[tokio::test]
async fn smtputf8_is_asked_for_only_if_the_message_needs_it() {
    let world = World::new().await;
    let _peer = world.good_peer("there.example");
    let remote = world.remote();
    let mut declared = message();
    declared.smtputf8 = true;
    let host = Host::parse("there.example").unwrap();
    let to: envelope::Address = "b@there.example".parse().unwrap();
    let outcomes = remote.deliver(&declared, &host, vec![to.clone().into()]).await;
    assert_eq!(in_short(&outcomes[0]), "delivered there.example");
    declared.body = Body::Memory(Arc::new([bytes::Bytes::from("Subject: 飛脚\r\n\r\nx\r\n")]));
    let outcomes = remote.deliver(&declared, &host, vec![to.into()]).await;
    assert_eq!(in_short(&outcomes[0]), "failed 5.6.7");
    assert_eq!(
        deliver(&remote, "there.example", &["太郎", "c"]).await,
        ["failed 5.6.7", "delivered there.example"]
    );
}

#[tokio::test]
async fn a_destination_that_hangs_keeps_nobody_else_waiting() {
    let world = World::new().await;
    let hanging = world.peer("hanging.example", EHLO, None, at(".", Do::Hang));
    let good = world.good_peer("there.example");
    let mut settings = world.settings();
    settings.timeouts.message = Duration::from_secs(30);
    settings.pace = Pace { concurrency_first: 2, turn: Duration::from_millis(300), ..Pace::default() };
    let remote = world.remote_with(settings, RootCertStore::empty());
    let stuck: Vec<_> = (0..10)
        .map(|_| {
            let remote = Arc::clone(&remote);
            tokio::spawn(async move { deliver(&remote, "hanging.example", &["b"]).await })
        })
        .collect();
    hanging.hears("DATA").await;
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["delivered there.example"]);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(good.messages(), 100);
    assert!(hanging.connections() <= 2);
    assert_eq!(remote.room(&Host::parse("hanging.example").unwrap()).0, 0);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(stuck.iter().filter(|task| task.is_finished()).count(), 8);
    stuck.iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn a_destination_that_cannot_be_reached_is_left_alone() {
    let world = World::new().await;
    world.nobody("there.example");
    let remote = world.remote();
    assert_eq!(deliver(&remote, "there.example", &["b"]).await, ["deferred 4.4.1"]);
    let outcomes = deliver_all(&remote, "there.example", &["b"]).await;
    let remote::Outcome::Deferred(diagnosis) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(diagnosis.text.contains("left alone"), "{diagnosis}");
    let health = remote.health();
    assert!(health[0].pause.is_some() && health[0].last_trouble.is_some());
    remote.resume("there.example");
    assert!(health[0].failures == 1 && remote.room(&Host::parse("there.example").unwrap()).0 > 0);
}

#[tokio::test]
async fn what_a_server_says_behind_its_250_does_not_take_it_back() {
    const PLAIN: &str = "250-mx\r\n250 PIPELINING";
    for more in ["421 4.7.0 closing now\r\n", "\r\n", "bye\r\n", "250-one\r\n550 other\r\n"] {
        for (code, outcome) in [("250 2.0.0", "delivered there.example"), ("554 5.6.0", "failed 5.6.0")] {
            let world = World::new().await;
            let peer = world.peer("there.example", PLAIN, None, move |_, command| {
                (command == ".").then(|| Do::SayAndClose(format!("{code} so be it\r\n{more}")))
            });
            let outcomes = deliver(&world.remote(), "there.example", &["b"]).await;
            assert!(outcomes[0].starts_with(outcome), "{more:?}: {outcomes:?}");
            assert_eq!(peer.heard("DATA"), 1, "{more:?}: it is sent once");
        }
    }
}

#[tokio::test]
async fn a_server_that_answers_quit_with_nonsense_keeps_nobody() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.messages_per_connection = 1;
    let remote = world.remote_with(settings, RootCertStore::empty());
    let polite = world.good_peer("polite.example");
    let rude = world.peer("rude.example", EHLO, None, |_, command| (command == "QUIT").then(|| say("bye")));
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    deliver(&remote, "polite.example", &["b"]).await;
    polite.hears("QUIT").await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let before = tasks();
    assert_eq!(deliver(&remote, "rude.example", &["b"]).await, ["delivered rude.example"]);
    rude.hears("QUIT").await;
    for _ in 0..100 {
        if tasks() <= before {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{} tasks are left where {before} were", tasks());
}
