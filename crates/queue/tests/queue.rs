//! The queue on real files, as its callers see it.
#![allow(clippy::unwrap_used)] // It is all test code, its shared functions too.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{accept, accept_now, body, found, id, inline, mail_data, message, provenance};
use envelope::Filter;
use queue::{
    Body, Detail, Files, LoadError, NotAccepted, Queue, RecipientOutcome, RecipientStatus, Recovery,
    Settings, StoredBody,
};
use tempfile::TempDir;

const NOW: u64 = 1_000_000_000;

fn settings() -> Settings {
    Settings { segment_size: 64 << 10, free_space_min: 0, hot_bytes_max: 1 << 20 }
}

fn open(spool: &TempDir, settings: Settings) -> (Queue, Recovery) {
    Queue::open(Files::open(spool.path()).unwrap(), settings).unwrap()
}

fn record(queue: &Queue, number: u64, outcomes: Vec<(u32, RecipientOutcome)>) {
    let (told, answer) = mpsc::channel();
    queue.record(id(number), outcomes, Vec::new(), move |result| told.send(result).unwrap());
    assert_eq!(answer.recv_timeout(Duration::from_secs(5)).unwrap(), Ok(()));
}

fn delivered(reply: &str) -> RecipientOutcome {
    RecipientOutcome::Delivered { reply: reply.into() }
}

fn deferred(until: u64, reply: &str) -> RecipientOutcome {
    RecipientOutcome::Deferred { until, reply: reply.into(), delay_told: false }
}

fn load(queue: &Queue, number: u64) -> (Vec<u8>, Vec<(RecipientStatus, u16, String)>) {
    let message = queue.load(id(number)).unwrap();
    let octets = match &message.body {
        StoredBody::Memory(pieces) => pieces.concat(),
        StoredBody::File { file, .. } => {
            let mut octets = Vec::new();
            std::io::Read::read_to_end(&mut &*file, &mut octets).unwrap();
            octets
        }
    };
    let states = message.recipients.into_iter();
    (octets, states.map(|state| (state.status, state.attempts, state.last_reply.into())).collect())
}

#[test]
fn a_message_is_taken_in_handed_out_and_retired() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, recovery) = open(&spool, settings());
    assert_eq!(recovery, Recovery::default());
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    queue.set_waker(Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    assert_eq!(accept_now(&queue, inline(7, 1, 500)), Ok(id(7)));
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    assert_eq!(queue.next_due(), Some(7));
    let due = queue.due(NOW, 10);
    assert_eq!((due[0].id, &due[0].recipients[..], due.len()), (id(7), &[0][..], 1));
    assert_eq!(load(&queue, 7).0, mail_data(7, 500));
    let stats = queue.stats();
    assert_eq!((stats.messages, stats.in_flight, stats.bytes, stats.oldest), (1, 1, 500, Some(7)));
    record(&queue, 7, vec![(0, delivered("250 ok"))]);
    let stats = queue.stats();
    assert_eq!((stats.messages, stats.in_flight, stats.delivered, stats.hot_bytes), (0, 0, 1, 0));
    assert!(matches!(queue.load(id(7)), Err(LoadError::NotFound(_))));
}

#[test]
fn states_and_replies_survive_restarts_with_and_without_a_footer() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    for number in 1..=3 {
        assert_eq!(accept_now(&queue, inline(number, 3, 2000)), Ok(id(number)));
    }
    queue.due(NOW, 10);
    let busy =
        |delay_told| RecipientOutcome::Deferred { until: NOW + 400, reply: "451 busy".into(), delay_told };
    record(&queue, 2, vec![(0, delivered("250 first")), (1, busy(true))]);
    record(&queue, 2, vec![(1, deferred(NOW + 800, "451 still busy"))]);
    record(&queue, 3, vec![(2, RecipientOutcome::Failed { reply: "550 nobody".into() })]);
    let expected = |queue: &Queue| {
        let waiting = |next_attempt| RecipientStatus::Waiting { next_attempt };
        let (octets, states) = load(queue, 2);
        assert_eq!(octets, mail_data(2, 2000));
        assert_eq!(states[0], (RecipientStatus::Delivered, 1, "250 first".into()));
        assert_eq!(states[1], (waiting(NOW as u32 + 800), 2, "451 still busy".into()));
        assert_eq!(states[2], (waiting(2), 0, String::new()));
        assert_eq!(load(queue, 3).1[2], (RecipientStatus::Failed, 1, "550 nobody".into()));
        assert!(queue.delay_told(id(2)) && !queue.delay_told(id(3)) && !queue.delay_told(id(1)));
        let details = queue.show(id(2)).unwrap();
        assert_eq!((details.summary.waiting, details.summary.done), (2, 1));
        assert_eq!(&*details.recipients[1].last_reply, "451 still busy");
    };
    expected(&queue);
    drop(queue);
    let (queue, recovery) = open(&spool, settings());
    assert_eq!((recovery.messages, recovery.segments_sealed, recovery.segments_scanned), (3, 1, 0));
    expected(&queue);
    drop(queue);
    // A footer that is gone costs a scan, no mail.
    let segment = spool.path().join("log/0000000000000001.seg");
    let mut octets = std::fs::read(&segment).unwrap();
    let trailer = octets.len() - 4096;
    octets[trailer] ^= 1;
    std::fs::write(&segment, octets).unwrap();
    let (queue, recovery) = open(&spool, settings());
    assert_eq!((recovery.messages, recovery.segments_scanned), (3, 1));
    expected(&queue);
    // What was in flight is waiting again, by the times it had.
    let due = queue.due(NOW + 500, 10);
    let numbers: Vec<(u64, Vec<u32>)> =
        due.into_iter().map(|due| (due.id.as_u64(), due.recipients)).collect();
    assert_eq!(numbers, [(1, vec![0, 1, 2]), (2, vec![2]), (3, vec![0, 1])]);
    assert_eq!(queue.next_due(), Some(NOW + 800));
}

#[test]
fn a_message_handed_in_twice_is_kept_once() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    // At the same time, later, after a restart, and after it was delivered.
    let answers = [accept(&queue, inline(1, 1, 10)), accept(&queue, inline(1, 1, 10))];
    for answer in answers {
        assert_eq!(answer.recv().unwrap(), Ok(id(1)));
    }
    assert_eq!(accept_now(&queue, inline(1, 1, 10)), Ok(id(1)));
    let blob = || {
        let mut blob = queue.blob(id(2)).unwrap();
        blob.append(&mail_data(2, 300_000)).unwrap();
        message(2, 1, Body::Blob(blob.finish().unwrap()))
    };
    let answers = [accept(&queue, blob()), accept(&queue, blob())];
    for answer in answers {
        assert_eq!(answer.recv().unwrap(), Ok(id(2)));
    }
    assert_eq!(accept_now(&queue, blob()), Ok(id(2)));
    assert_eq!((queue.stats().messages, queue.stats().accepted), (2, 2));
    assert_eq!(std::fs::read_dir(spool.path().join("blobs")).unwrap().count(), 1);
    assert_eq!(load(&queue, 2).0, mail_data(2, 300_000));
    record(&queue, 1, vec![(0, delivered("ok"))]);
    assert_eq!(accept_now(&queue, inline(1, 1, 10)), Ok(id(1)));
    drop(queue);
    let (queue, _) = open(&spool, settings());
    assert_eq!(accept_now(&queue, inline(1, 1, 10)), Ok(id(1)));
    assert_eq!(queue.stats().messages, 1);
}

#[test]
fn outcomes_and_their_bounce_are_recorded_together() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    assert_eq!(accept_now(&queue, inline(1, 1, 10)), Ok(id(1)));
    queue.due(NOW, 1);
    let (told, answer) = mpsc::channel();
    let failed = RecipientOutcome::Failed { reply: "550 no".into() };
    queue.record(id(1), vec![(0, failed)], vec![inline(2, 1, 20)], move |result| {
        told.send(result).unwrap();
    });
    assert_eq!(answer.recv().unwrap(), Ok(()));
    assert!(queue.load(id(1)).is_err());
    assert_eq!(queue.due(NOW, 9)[0].id, id(2));
    // Too large a bounce changes nothing, and the recipient is still in flight.
    let (told, answer) = mpsc::channel();
    let failed = RecipientOutcome::Failed { reply: "550 no".into() };
    queue.record(id(2), vec![(0, failed)], vec![inline(3, 1, 40_000)], move |result| {
        told.send(result).unwrap();
    });
    assert_eq!(answer.recv().unwrap(), Err(NotAccepted::TooLarge));
    assert_eq!((queue.due(NOW, 9), queue.stats().in_flight), (vec![], 1));
    queue.release(id(2), &[0]);
    assert_eq!(queue.due(NOW, 9).len(), 1);
}

#[test]
fn the_log_stays_small_while_one_old_message_waits() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    assert_eq!(accept_now(&queue, inline(1, 3, 5000)), Ok(id(1)));
    queue.due(NOW, 1);
    record(&queue, 1, vec![(0, delivered("250 done")), (1, deferred(NOW + 9, "451 wait"))]);
    record(&queue, 1, vec![(2, deferred(NOW + 9, "451 later"))]);
    for number in 2..300 {
        assert_eq!(accept_now(&queue, inline(number, 1, 3000)), Ok(id(number)));
        queue.due(NOW, 10);
        record(&queue, number, vec![(0, delivered("ok"))]);
    }
    assert_eq!(accept_now(&queue, inline(5000, 1, 10)), Ok(id(5000)));
    let started = Instant::now();
    while queue.stats().segments > 6 {
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", queue.stats());
        queue.flush().unwrap();
    }
    let expected = |queue: &Queue| {
        let (octets, states) = load(queue, 1);
        assert_eq!(octets, mail_data(1, 5000));
        assert_eq!((states[0].0, &*states[0].2), (RecipientStatus::Delivered, "250 done"));
        assert_eq!((states[1].1, &*states[1].2), (1, "451 wait"));
        assert_eq!((states[2].1, &*states[2].2), (1, "451 later"));
    };
    expected(&queue);
    drop(queue);
    let (queue, recovery) = open(&spool, Settings { hot_bytes_max: 0, ..settings() });
    assert_eq!((recovery.messages, &recovery.damaged[..]), (2, &[][..]));
    expected(&queue);
    record(&queue, 1, vec![(1, delivered("ok")), (2, delivered("ok"))]);
    record(&queue, 5000, vec![(0, delivered("ok"))]);
    queue.flush().unwrap();
    drop(queue);
    let files = std::fs::read_dir(spool.path().join("log")).unwrap().count();
    assert!(files <= 10, "{files} files are left in the log");
}

#[test]
fn where_a_message_comes_from_is_kept_with_it() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    for number in 1..=200 {
        assert_eq!(accept_now(&queue, inline(number, 1, 1000)), Ok(id(number)));
    }
    let whose = |queue: &Queue| {
        for number in [1, 2] {
            let expected = provenance(number);
            assert_eq!(*queue.load(id(number)).unwrap().provenance, expected);
            assert_eq!(queue.show(id(number)).unwrap().summary.account, expected.account);
            let named = Filter { ids: [id(number)].into(), ..Filter::default() };
            let listed = found(queue, &named, Detail::Head).remove(0).summary;
            assert_eq!((listed.id, listed.account), (id(number), expected.account));
        }
    };
    whose(&queue);
    drop(queue);
    let (queue, _) = open(&spool, settings());
    whose(&queue);
    // The two that stay are moved to the head when all around them is gone.
    for due in queue.due(NOW, 1000).into_iter().filter(|due| due.id.as_u64() > 2) {
        record(&queue, due.id.as_u64(), vec![(0, delivered("ok"))]);
    }
    queue.flush().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while queue.stats().segments > 4 {
        assert!(Instant::now() < deadline, "{:?}", queue.stats());
        queue.flush().unwrap();
    }
    drop(queue);
    whose(&open(&spool, settings()).0);
}

#[test]
fn a_message_with_many_recipients_keeps_every_reply() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, Settings { hot_bytes_max: 0, ..settings() });
    let all = 30;
    assert_eq!(accept_now(&queue, inline(1, all, 100)), Ok(id(1)));
    queue.due(NOW, 1);
    // More outcomes than may build on one another, several rounds of them.
    for round in 1..=4u64 {
        for number in 0..all as u32 {
            record(&queue, 1, vec![(number, deferred(NOW + round, &format!("451 {round} {number}")))]);
        }
        queue.due(NOW + round, 1);
    }
    let expected = |queue: &Queue| {
        for (number, (status, attempts, reply)) in load(queue, 1).1.into_iter().enumerate() {
            assert_eq!((attempts, reply), (4, format!("451 4 {number}")));
            assert_eq!(status, RecipientStatus::Waiting { next_attempt: NOW as u32 + 4 });
        }
    };
    expected(&queue);
    drop(queue);
    expected(&open(&spool, settings()).0);
}

#[test]
fn what_does_not_fit_the_log_is_refused() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    assert_eq!(accept_now(&queue, inline(1, 1, 20_000)), Err(NotAccepted::TooLarge));
    assert_eq!(accept_now(&queue, inline(1, 40, 10)), Err(NotAccepted::TooLarge));
    let blob = queue.blob(id(1)).unwrap().finish().unwrap();
    assert_eq!(accept_now(&queue, message(2, 1, Body::Blob(blob))), Err(NotAccepted::Failed));
    assert_eq!(std::fs::read_dir(spool.path().join("blobs")).unwrap().count(), 0);
    assert_eq!(queue.stats().messages, 0);
}

#[test]
fn a_closed_queue_answers_everybody() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    let answers: Vec<_> = (0..50).map(|number| accept(&queue, inline(number, 1, 1000))).collect();
    let other = queue.clone();
    queue.close();
    for answer in answers {
        assert!(answer.recv().unwrap().is_ok(), "what was in before is accepted");
    }
    assert_eq!(accept_now(&other, inline(60, 1, 10)), Err(NotAccepted::Closed));
    assert_eq!(other.flush(), Err(NotAccepted::Closed));
    let (told, answer) = mpsc::channel();
    other.remove(id(1), move |result| told.send(result).unwrap());
    assert_eq!(answer.recv().unwrap(), Err(NotAccepted::Closed));
    drop((queue, other));
    assert_eq!(open(&spool, settings()).1.messages, 50);
}

#[test]
fn the_last_handle_may_be_dropped_in_a_callback() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    let (told, answer) = mpsc::channel();
    let last = queue.clone();
    let (go, wait) = mpsc::channel::<()>();
    queue.accept(inline(1, 1, 10), move |result| {
        wait.recv().unwrap();
        drop(last);
        told.send(result.map(|accepted| accepted.id())).unwrap();
    });
    drop(queue);
    go.send(()).unwrap();
    assert_eq!(answer.recv().unwrap(), Ok(id(1)));
    // The threads end by themselves and let go of the spool.
    let started = Instant::now();
    let files = loop {
        match Files::open(spool.path()) {
            Ok(files) => break files,
            Err(_) => assert!(started.elapsed() < Duration::from_secs(5)),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(Queue::open(files, settings()).unwrap().1.messages, 1);
}

#[test]
fn a_callback_that_panics_stops_nothing() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    queue.accept(inline(1, 1, 10), |_| panic!("a caller's mistake"));
    assert_eq!(accept_now(&queue, inline(2, 1, 10)), Ok(id(2)));
    assert_eq!(queue.stats().messages, 2);
}

#[test]
fn a_larger_segment_size_takes_effect_as_old_segments_leave() {
    let spool = tempfile::tempdir().unwrap();
    let (queue, _) = open(&spool, settings());
    for number in 1..30 {
        assert_eq!(accept_now(&queue, inline(number, 1, 9000)), Ok(id(number)));
    }
    drop(queue);
    let larger = Settings { segment_size: 1 << 20, ..settings() };
    let (queue, recovery) = open(&spool, larger);
    assert_eq!(recovery.messages, 29);
    assert_eq!(accept_now(&queue, inline(30, 1, 200_000)), Ok(id(30)));
    let storage = tempfile::tempdir().unwrap();
    let files = Files::open(storage.path()).unwrap();
    assert_eq!(body(&files, &queue.load(id(30)).unwrap()), mail_data(30, 200_000));
    assert_eq!(body(&files, &queue.load(id(1)).unwrap()), mail_data(1, 9000));
}
