//! How long operators wait for a large queue, and how long it waits for them.
//!
//! ```text
//! cargo run --release -p hikyaku-queue --example search -- [SPOOL] [WAITING] [BODY OCTETS]
//! ```
//!
//! WAITING messages, one in ten of them tried, are walked through: for the list, by filters that memory, the
//! heads and the replies decide, and for counts. `longest page` is the longest that one answer takes;
//! `slowest accept` the longest that a message had to wait for its acceptance meanwhile, one after the other.
//!
//! SPOOL must be on the file system to be measured. It is made, and removed at the end.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use envelope::{BodyType, Envelope, Filter, Provenance, QueueId, QueueIds, Recipient, ReversePath, Walk};
use queue::{Body, Detail, Files, NewMessage, Queue, RecipientOutcome, Settings};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let spool = PathBuf::from(arguments.next().unwrap_or_else(|| "search-bench-spool".into()));
    let waiting: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let octets: usize = arguments.next().map_or(Ok(4096), |text| text.parse())?;
    fill(&spool, waiting, octets)?;
    let (queue, _) = Queue::open(Files::open(&spool)?, Settings::default())?;
    println!("{waiting} messages of {octets} octets wait, one in ten was tried");
    println!("{:>34} {:>9} {:>8} {:>13} {:>14}", "", "found", "seconds", "longest page", "slowest accept");
    let everything = Filter::default();
    let older = Filter { arrived_by: Some(1), ..Filter::default() };
    let domain = Filter { domain: Some(envelope::Host::parse("d7.example")?), ..Filter::default() };
    let sender = Filter { sender: Some("nobody@pobox.example".parse()?), ..Filter::default() };
    let reason = Filter { reason: Some("Greylisted".into()), ..Filter::default() };
    walk(&queue, "list", &everything, Detail::Head)?;
    walk(&queue, "ids alone", &everything, Detail::Index)?;
    walk(&queue, "older than the queue", &older, Detail::Head)?;
    walk(&queue, "by domain (one in a hundred)", &domain, Detail::Head)?;
    walk(&queue, "by a sender who is not there", &sender, Detail::Head)?;
    walk(&queue, "by reason (one in ten)", &reason, Detail::Head)?;
    walk(&queue, "counts by reason", &everything, Detail::Replies)?;
    let ids: Vec<QueueId> = queue
        .search(&everything, Walk::default(), Detail::Index)
        .found
        .iter()
        .map(|f| f.summary.id)
        .collect();
    let started = Instant::now();
    let held = ids.iter().filter(|id| queue.set_held(**id, true)).count();
    queue.flush()?;
    println!("{held} held durably in {:.2} ms", started.elapsed().as_secs_f64() * 1e3);
    drop(queue);
    std::fs::remove_dir_all(&spool)?;
    Ok(())
}

/// Walks to the end while somebody hands mail in.
fn walk(queue: &Queue, name: &str, filter: &Filter, detail: Detail) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let (accepting, stopped) = (queue.clone(), Arc::clone(&stop));
    let accepter = std::thread::spawn(move || -> Result<Duration, String> {
        let (mut ids, mut slowest) = (QueueIds::new(2), Duration::ZERO);
        while !stopped.load(Ordering::Relaxed) {
            let (started, (told, answer)) = (Instant::now(), mpsc::channel());
            let new = message(ids.next(micros()), 0, &Bytes::from_static(&[b'x'; 100]));
            let id = new.id;
            accepting.accept(new, move |result| {
                let _ = told.send(result.map(|accepted| accepted.id()));
            });
            answer.recv().map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            slowest = slowest.max(started.elapsed());
            accepting.remove(id, |_| {});
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(slowest)
    });
    let (started, mut longest, mut found) = (Instant::now(), Duration::ZERO, 0);
    let mut rest = Some(Walk::default());
    while let Some(here) = rest {
        let began = Instant::now();
        let page = queue.search(filter, here, detail);
        longest = longest.max(began.elapsed());
        (found, rest) = (found + page.found.len(), page.rest);
    }
    let seconds = started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let slowest = accepter.join().map_err(|_| "the accepter failed")??;
    let milliseconds = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    println!(
        "{name:>34} {found:>9} {seconds:>8.2} {:>13} {:>14}",
        milliseconds(longest),
        milliseconds(slowest)
    );
    Ok(())
}

fn fill(spool: &Path, waiting: u64, octets: usize) -> Result<(), Failure> {
    let settings = Settings { hot_bytes_max: 0, ..Settings::default() };
    let (queue, _) = Queue::open(Files::open(spool)?, settings)?;
    let body = Bytes::from(vec![b'x'; octets]);
    let mut ids = QueueIds::new(1);
    let (told, answers) = mpsc::channel();
    for number in 0..waiting {
        if number >= 2000 {
            let id = answers.recv()??;
            record(&queue, id);
        }
        let told = told.clone();
        queue.accept(message(ids.next(micros()), number, &body), move |result| {
            // Nobody listens any more to the last ones.
            let _ = told.send(result.map(|accepted| accepted.id()));
        });
    }
    queue.flush()?;
    Ok(())
}

/// One in ten is put off.
fn record(queue: &Queue, id: QueueId) {
    if id.as_u64() >> 12 & 1023 < 102 {
        let reply = "192.0.2.7 does not like recipient.\nRemote host said: 451 4.7.1 Greylisted".into();
        let deferred = RecipientOutcome::Deferred { until: u64::MAX, reply, delay_told: false };
        queue.record(id, vec![(0, deferred)], Vec::new(), |_| {});
    }
}

fn message(id: QueueId, number: u64, body: &Bytes) -> NewMessage {
    let to = format!("someone@d{}.example", number % 100).parse().map(Recipient::of_bounce);
    let from = "abc@pobox.example".parse().map(ReversePath::Address);
    let parts = from.and_then(|from| to.map(|to| (from, to)));
    let (from, to) = parts.expect("these are addresses");
    let envelope = Envelope::new(from, vec![to], BodyType::SevenBit, false).expect("there is one recipient");
    let (arrival, body) = (id.unix_seconds() * 1_000_000, Body::Inline(vec![body.clone()]));
    NewMessage { id, envelope, provenance: Provenance::default(), arrival, body }
}

fn micros() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_micros() as u64)
}
