//! Operators look through the queue and rule over it.
#![allow(clippy::unwrap_used)] // It is all test code, its shared functions too.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{accept_now, found, id, inline};
use envelope::{Address, BodyType, Envelope, Filter, Provenance, QueueId, Recipient, ReversePath, Walk};
use proptest::prelude::*;
use queue::{Body, Detail, Files, NewMessage, Queue, RecipientOutcome, RecipientStatus, Settings};
use tempfile::TempDir;

const NOW: u64 = 1_000_000_000;
const SPOOL: &str = "QUEUE_TEST_SPOOL";

fn open_with(spool: &Path, hot_bytes_max: usize) -> Queue {
    let settings = Settings { segment_size: 64 << 10, free_space_min: 0, hot_bytes_max };
    Queue::open(Files::open(spool).unwrap(), settings).unwrap().0
}

fn open(spool: &TempDir) -> Queue {
    open_with(spool.path(), 1 << 20)
}

fn record(queue: &Queue, number: u64, recipient: u32, outcome: RecipientOutcome) {
    let (told, answer) = mpsc::channel();
    queue.record(id(number), vec![(recipient, outcome)], Vec::new(), move |result| {
        told.send(result).unwrap();
    });
    assert_eq!(answer.recv_timeout(Duration::from_secs(5)).unwrap(), Ok(()));
}

fn numbers(queue: &Queue, filter: &Filter) -> Vec<u64> {
    found(queue, filter, Detail::Index).iter().map(|found| found.summary.id.as_u64()).collect()
}

fn held(queue: &Queue) -> Vec<u64> {
    numbers(queue, &Filter { held: true, ..Filter::default() })
}

fn due(queue: &Queue) -> Vec<u64> {
    let due = queue.due(NOW, 1000);
    for due in &due {
        queue.release(due.id, &due.recipients);
    }
    due.iter().map(|due| due.id.as_u64()).collect()
}

#[test]
fn a_hold_survives_a_restart_and_ends_when_it_is_let_go() {
    let spool = tempfile::tempdir().unwrap();
    let queue = open(&spool);
    for number in 1..=3 {
        assert_eq!(accept_now(&queue, inline(number, 2, 100)), Ok(id(number)));
    }
    // While it is being tried: what is in flight lands, and is not due again.
    queue.due(NOW, 1);
    assert!(queue.set_held(id(1), true) && queue.set_held(id(2), true));
    assert!(!queue.set_held(id(2), true), "it is held already");
    assert!(!queue.set_held(id(9), true), "there is no such message");
    record(
        &queue,
        1,
        0,
        RecipientOutcome::Deferred { until: 5, reply: "451 later".into(), delay_told: false },
    );
    queue.release(id(1), &[1]);
    assert_eq!(due(&queue), [3]);
    assert!(!queue.may_be_tried(id(1)) && queue.may_be_tried(id(3)));
    assert_eq!(queue.stats().held, 2);
    queue.flush().unwrap();
    drop(queue);

    let queue = open(&spool);
    assert_eq!((held(&queue), due(&queue), queue.stats().held), (vec![1, 2], vec![3], 2));
    assert!(!queue.hurry(id(1), NOW), "a message that is held is not hurried");
    assert!(queue.set_held(id(1), false));
    assert_eq!(due(&queue), [1, 3], "it goes on at the times that it had");
    queue.flush().unwrap();
    drop(queue);

    let queue = open(&spool);
    assert_eq!(held(&queue), [2]);
    let (told, answer) = mpsc::channel();
    queue.remove(id(2), move |result| told.send(result).unwrap());
    assert_eq!((answer.recv().unwrap(), queue.stats().held), (Ok(()), 0));
    drop(queue);
    assert_eq!(held(&open(&spool)), Vec::<u64>::new());
}

#[test]
fn a_hold_survives_that_its_message_is_moved_to_the_head_of_the_log() {
    let spool = tempfile::tempdir().unwrap();
    let queue = open(&spool);
    for number in 1..=3 {
        assert_eq!(accept_now(&queue, inline(number, 1, 5000)), Ok(id(number)));
        queue.set_held(id(number), true);
    }
    // Let go before it is moved: it must not be held afterwards.
    queue.set_held(id(2), false);
    for number in 10..300 {
        assert_eq!(accept_now(&queue, inline(number, 1, 3000)), Ok(id(number)));
        queue.take(id(number), &[0]);
        record(&queue, number, 0, RecipientOutcome::Delivered { reply: "ok".into() });
    }
    let first = spool.path().join("log/0000000000000001.seg");
    let started = Instant::now();
    while first.exists() {
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", queue.stats());
        queue.flush().unwrap();
    }
    assert_eq!(held(&queue), [1, 3]);
    // And may be let go where it stands now.
    queue.set_held(id(3), false);
    queue.flush().unwrap();
    drop(queue);
    let queue = open(&spool);
    assert_eq!((held(&queue), due(&queue)), (vec![1], vec![2, 3]));
}

#[test]
fn a_hold_survives_that_the_process_is_killed() {
    if let Some(spool) = std::env::var_os(SPOOL) {
        let queue = open_with(Path::new(&spool), 1 << 20);
        for number in 1..=20 {
            assert_eq!(accept_now(&queue, inline(number, 1, 100)), Ok(id(number)));
            queue.set_held(id(number), number % 2 == 0);
        }
        queue.set_held(id(4), false);
        queue.flush().unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "held").and_then(|()| out.flush()).unwrap();
        loop {
            std::thread::park();
        }
    }
    let spool = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_hold_survives_that_the_process_is_killed", "--nocapture"])
        .env(SPOOL, spool.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("held")), "the child works until it is killed");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(held(&open(&spool)), [2, 6, 8, 10, 12, 14, 16, 18, 20]);
}

#[test]
fn hurried_messages_are_due_now_and_those_taken_by_name_are_in_flight() {
    let spool = tempfile::tempdir().unwrap();
    let queue = open(&spool);
    assert_eq!(accept_now(&queue, inline(1, 2, 100)), Ok(id(1)));
    queue.due(NOW, 1);
    for recipient in [0, 1] {
        record(
            &queue,
            1,
            recipient,
            RecipientOutcome::Deferred { until: NOW + 400, reply: "451".into(), delay_told: false },
        );
    }
    assert_eq!(due(&queue), Vec::<u64>::new());
    assert!(queue.hurry(id(1), NOW) && !queue.hurry(id(2), NOW));
    assert_eq!(due(&queue), [1]);
    assert_eq!(queue.take(id(1), &[1, 1, 9]), [1]);
    assert_eq!(queue.due(NOW, 9)[0].recipients, [0]);
    assert!(!queue.hurry(id(1), NOW), "all of it is in flight");
    let summary = found(&queue, &Filter::default(), Detail::Index).remove(0).summary;
    assert_eq!((summary.waiting, summary.in_flight, summary.next_attempt), (2, 2, None));
}

#[test]
fn a_walk_passes_every_message_once_and_none_that_came_after_it_began() {
    let spool = tempfile::tempdir().unwrap();
    let queue = open_with(spool.path(), 0);
    for number in 1..=1200 {
        queue.accept(inline(number * 2, 1, 10), |_| {});
    }
    queue.flush().unwrap();
    let (mut walk, mut passed, mut pages) = (Some(Walk::default()), Vec::new(), 0);
    while let Some(here) = walk {
        let page = queue.search(&Filter::default(), here, Detail::Head);
        assert!(page.found.iter().all(|found| found.summary.reverse_path.is_some()));
        passed.extend(page.found.iter().map(|found| found.summary.id.as_u64()));
        (walk, pages) = (page.rest, pages + 1);
        // One before it and one behind its end; the first of them is not passed again, the second not yet.
        for new in [1 + pages, 5000 + pages] {
            assert_eq!(accept_now(&queue, inline(new, 1, 10)), Ok(id(new)));
        }
    }
    assert_eq!(passed, (1..=1200).map(|number| number * 2).collect::<Vec<_>>());
    assert!(pages > 1, "a page is bounded");
    // Messages by name, in the same way; those that are gone are none.
    let ids = (1..=900).map(|number| QueueId::from_u64(2 * number + 600)).collect();
    assert_eq!(numbers(&queue, &Filter { ids, ..Filter::default() }).len(), 900);
}

/// One message, told plainly.
#[derive(Debug, Clone)]
struct Plain {
    arrival: u64,
    octets: usize,
    sender: &'static str,
    account: Option<&'static str>,
    held: bool,
    /// Address; what the last attempt said; whether it is delivered.
    recipients: Vec<(&'static str, &'static str, bool)>,
}

const ADDRESSES: [&str; 5] =
    ["abc@pobox.example", "ABC@pobox.example", "xyz@pobox.example", "u@peer.example", "v@peer.example"];
const REPLIES: [&str; 4] = ["", "451 4.7.1 Greylisted, come back", "timed out", "Mailbox FULL ですよ"];

fn plain() -> impl Strategy<Value = Plain> {
    let recipient = (0..5usize, 0..4usize, any::<bool>())
        .prop_map(|(to, reply, done)| (ADDRESSES[to], REPLIES[reply], done));
    (1..9u64, 1..9usize, 0..6usize, 0..3usize, any::<bool>(), proptest::collection::vec(recipient, 1..4))
        .prop_map(|(arrival, octets, sender, account, held, mut recipients)| {
            // Somebody has to wait.
            recipients[0].2 = false;
            Plain {
                arrival,
                octets,
                sender: if sender == 5 { "<>" } else { ADDRESSES[sender] },
                account: [None, Some("abc"), Some("xyz")][account],
                held,
                recipients,
            }
        })
}

fn filter() -> impl Strategy<Value = Filter> {
    let asked = prop::sample::select(vec![
        "abc@pobox.example",
        "XYZ@POBOX.example",
        "peer.example",
        "pobox.example",
        "<>",
        "no@where.example",
    ]);
    let asked = prop::option::weighted(0.3, asked.prop_map(|text| text.parse().unwrap()));
    let domain = prop::option::weighted(0.2, prop::sample::select(vec!["peer.example", "pobox.example"]));
    let reason =
        prop::option::weighted(0.3, prop::sample::select(vec!["greylisted", "Full ですよ", "t", ""]));
    let ids = prop::option::weighted(0.2, proptest::collection::btree_set(1..14u64, 1..6));
    let rest = (
        prop::option::weighted(0.2, prop::sample::select(vec!["abc", "xyz"])),
        prop::option::weighted(0.2, 0..9u64),
        prop::option::weighted(0.2, 0..9u64),
        prop::bool::weighted(0.2),
    );
    (asked.clone(), asked, domain, reason, ids, rest).prop_map(
        |(sender, recipient, domain, reason, ids, (account, arrived_by, larger_than, held))| Filter {
            ids: ids.unwrap_or_default().into_iter().map(QueueId::from_u64).collect(),
            sender,
            account: account.map(|name| name.parse().unwrap()),
            arrived_by,
            larger_than,
            held,
            recipient,
            domain: domain.map(|name: &str| envelope::Host::parse(name).unwrap()),
            reason: reason.map(Into::into),
        },
    )
}

/// Whether an address or a domain, as somebody writes them, means this one.
fn means(asked: &str, address: &str) -> bool {
    let address = address.to_lowercase();
    address == asked.to_lowercase() || address.ends_with(&format!("@{}", asked.to_lowercase()))
}

/// The recipients of a message that a filter means: the plain way.
fn meant(number: u64, message: &Plain, filter: &Filter) -> Vec<u32> {
    let sender = filter.sender.as_ref().is_none_or(|asked| means(&asked.to_string(), message.sender));
    let account = filter.account.as_ref().is_none_or(|asked| message.account == Some(asked.as_str()));
    if !(filter.ids.is_empty() || filter.ids.contains(&id(number)))
        || !sender
        || !account
        || filter.arrived_by.is_some_and(|then| message.arrival > then)
        || filter.larger_than.is_some_and(|octets| message.octets as u64 <= octets)
        || filter.held && !message.held
    {
        return Vec::new();
    }
    let picked = message.recipients.iter().zip(0..).filter(|((address, reply, done), _)| {
        !done
            && filter.recipient.as_ref().is_none_or(|asked| means(&asked.to_string(), address))
            && filter.domain.as_ref().is_none_or(|asked| means(&asked.to_string(), address))
            && filter.reason.as_ref().is_none_or(|part| reply.to_lowercase().contains(&part.to_lowercase()))
    });
    picked.map(|(_, number)| number).collect()
}

fn fill(queue: &Queue, messages: &[Plain]) {
    for (message, number) in messages.iter().zip(1..) {
        let to = message.recipients.iter();
        let to = to.map(|(to, ..)| Recipient::of_forward(to.parse::<Address>().unwrap())).collect();
        let from = match message.sender {
            "<>" => ReversePath::Null,
            address => ReversePath::Address(address.parse().unwrap()),
        };
        let envelope = Envelope::new(from, to, BodyType::SevenBit, false).unwrap();
        let account = message.account.map(|name| name.parse().unwrap());
        let provenance = Provenance { account, lineage: None };
        let (arrival, body) =
            (message.arrival * 1_000_000, Body::Inline(vec![vec![b'x'; message.octets].into()]));
        let new = NewMessage { id: id(number), envelope, provenance, arrival, body };
        assert_eq!(accept_now(queue, new), Ok(id(number)));
        queue.set_held(id(number), message.held);
        for ((_, reply, done), recipient) in message.recipients.iter().zip(0..) {
            let reply = String::from(*reply);
            let outcome = match done {
                true => RecipientOutcome::Delivered { reply },
                false if reply.is_empty() => continue,
                false => RecipientOutcome::Deferred { until: 9, reply, delay_told: false },
            };
            queue.record(id(number), vec![(recipient, outcome)], Vec::new(), |_| {});
        }
    }
    queue.flush().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_filter_finds_what_a_plain_one_finds(
        messages in proptest::collection::vec(plain(), 1..12),
        filters in proptest::collection::vec(filter(), 20),
        hot in prop::sample::select(vec![0, 1 << 20]),
    ) {
        let spool = tempfile::tempdir().unwrap();
        let queue = open_with(spool.path(), hot);
        fill(&queue, &messages);
        for filter in filters {
            let expected: BTreeMap<u64, Vec<u32>> = (1..)
                .zip(&messages)
                .map(|(number, message)| (number, meant(number, message, &filter)))
                .filter(|(_, picked)| !picked.is_empty())
                .collect();
            for detail in [Detail::Index, Detail::Head, Detail::Replies] {
                let found = found(&queue, &filter, detail);
                let ours = found.iter().map(|found| (found.summary.id.as_u64(), found.picked.clone()));
                prop_assert_eq!(&ours.collect::<BTreeMap<_, _>>(), &expected, "{:?} {:?}", filter, detail);
                for found in found.iter().filter(|_| detail == Detail::Replies) {
                    let message = &messages[found.summary.id.as_u64() as usize - 1];
                    for (state, (_, reply, done)) in found.recipients.iter().zip(&message.recipients) {
                        prop_assert_eq!(&*state.last_reply, *reply);
                        prop_assert_eq!(state.status == RecipientStatus::Delivered, *done);
                    }
                }
            }
        }
    }
}
