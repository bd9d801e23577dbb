//! A process killed in the middle of its work loses nothing that it had acknowledged or recorded.
#![allow(clippy::unwrap_used)] // It is all test code, its shared functions too.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{accept, body, id, inline, mail_data};
use queue::{Files, Queue, RecipientOutcome, Settings};

const SPOOL: &str = "QUEUE_TEST_SPOOL";

fn settings() -> Settings {
    Settings { segment_size: 1 << 20, free_space_min: 0, hot_bytes_max: 1 << 20 }
}

fn length_of(number: u64) -> usize {
    (number as usize * 7919) % 20_000
}

/// Takes mail in and delivers half of it for ever, saying what was accepted and recorded.
fn work(spool: &Path, from: u64) -> ! {
    let (queue, _) = Queue::open(Files::open(spool).unwrap(), settings()).unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("the parent listens until it kills us");
    };
    for first in (from..).step_by(8) {
        let answers: Vec<_> =
            (first..first + 8).map(|n| accept(&queue, inline(n, 1, length_of(n)))).collect();
        for answer in answers {
            say(format!("accepted {}", answer.recv().unwrap().unwrap().as_u64()));
        }
        for due in queue.due(u64::MAX, 4) {
            let outcome = RecipientOutcome::Delivered { reply: "ok".into() };
            queue.record(due.id, vec![(0, outcome)], Vec::new(), move |result| {
                result.unwrap();
                say(format!("recorded {}", due.id.as_u64()));
            });
        }
    }
    unreachable!("there are more numbers than anybody waits for")
}

#[test]
fn a_killed_process_loses_nothing() {
    if let Some(spool) = std::env::var_os(SPOOL) {
        let (from, spool) =
            spool.to_str().unwrap().split_once(':').map(|(n, s)| (n.to_owned(), s.to_owned())).unwrap();
        work(Path::new(&spool), from.parse().unwrap());
    }
    let spool = tempfile::tempdir().unwrap();
    // What was said of each message: accepted, or recorded as delivered.
    let mut said: BTreeMap<u64, bool> = BTreeMap::new();
    for life in 0..8u64 {
        let from = 1 + 1_000_000 * life;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_process_loses_nothing", "--nocapture"])
            .env(SPOOL, format!("{from}:{}", spool.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        for line in lines.map_while(Result::ok) {
            // The test harness has words of its own, which may stand before ours.
            for (word, recorded) in [("accepted ", false), ("recorded ", true)] {
                if let Some(number) = line.split_once(word).and_then(|(_, number)| number.parse().ok()) {
                    *said.entry(number).or_default() |= recorded;
                    heard += 1;
                }
            }
            if heard == 300 + 77 * life {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(heard >= 300 + 77 * life, "the child worked until it was killed");
        check(spool.path(), &mut said);
    }
}

/// What was accepted is there, whole, unless it was recorded as delivered.
fn check(spool: &Path, said: &mut BTreeMap<u64, bool>) {
    let (queue, recovery) = Queue::open(Files::open(spool).unwrap(), settings()).unwrap();
    assert_eq!((recovery.damaged.len(), recovery.without_body.len()), (0, 0));
    let other = tempfile::tempdir().unwrap();
    let reader = Files::open(other.path()).unwrap();
    for (number, recorded) in said {
        match queue.load(id(*number)) {
            Ok(message) => {
                assert!(!*recorded, "{number} was recorded as delivered");
                assert_eq!(body(&reader, &message), mail_data(*number, length_of(*number)));
            }
            Err(error) => {
                assert!(*recorded || delivered_unheard(&queue, *number), "{number}: {error}");
                *recorded = true;
            }
        }
    }
}

/// Whether a message was retired though we had not heard so: handed in again, it is known.
fn delivered_unheard(queue: &Queue, number: u64) -> bool {
    let before = queue.stats().accepted;
    let again = accept(queue, inline(number, 1, length_of(number))).recv().unwrap();
    again == Ok(id(number)) && queue.stats().accepted == before
}
