//! How many messages a second the queue accepts, beside what the disk can do.
//!
//! ```text
//! cargo run --release -p hikyaku-queue --example accept -- [SPOOL] [SECONDS] [BODY OCTETS] [WAITING]
//! ```
//!
//! Each submitter hands in its next message when it has heard of the last. `keep` leaves all of
//! them in the queue; `deliver` loads and records each as delivered at once, so that segments are
//! recycled. `bare` is the limit: as many submitters' messages appended in one write to a file
//! whose blocks are on disk, and fdatasync after each. At last a queue of WAITING messages is
//! opened again.
//!
//! SPOOL must be on the file system to be measured. It is made, and removed at the end.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use envelope::{BodyType, Envelope, Provenance, QueueId, QueueIds, Recipient, ReversePath};
use queue::{Body, Files, NewMessage, Queue, RecipientOutcome, Settings};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq("--open").is_some() {
        return open_again(Path::new(&arguments.next().ok_or("--open SPOOL")?));
    }
    let spool = PathBuf::from(arguments.next().unwrap_or_else(|| "accept-bench-spool".into()));
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let octets: usize = arguments.next().map_or(Ok(4096), |text| text.parse())?;
    let waiting: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let time = Duration::from_secs(seconds);

    println!("messages of {octets} octets a second, {seconds} s each");
    println!("{:>10} {:>9} {:>9} {:>9} {:>14}", "submitters", "bare", "keep", "deliver", "a sync (keep)");
    for submitters in [1, 10, 50] {
        let bare = bare(&spool, submitters, octets, time)?;
        let (kept, per_sync) = accept(&spool, submitters, octets, time, false)?;
        let (delivered, _) = accept(&spool, submitters, octets, time, true)?;
        println!("{submitters:>10} {bare:>9.0} {kept:>9.0} {delivered:>9.0} {per_sync:>14.1}");
    }
    reopen(&spool, waiting)?;
    Ok(())
}

/// Appends and syncs as a queue would that had nothing to think about. Gives messages a second.
fn bare(spool: &Path, submitters: usize, octets: usize, time: Duration) -> Result<f64, Failure> {
    std::fs::create_dir_all(spool)?;
    let path = spool.join("bare");
    let mut file = File::create(&path)?;
    let size: u64 = 256 << 20;
    for _ in 0..size >> 20 {
        file.write_all(&[0; 1 << 20])?;
    }
    file.sync_all()?;
    let batch = vec![b'x'; (submitters * octets).next_multiple_of(4096)];
    let (started, mut syncs, mut at) = (Instant::now(), 0, 0);
    while started.elapsed() < time {
        file.write_all_at(&batch, at)?;
        file.sync_data()?;
        syncs += 1;
        at = (at + batch.len() as u64) % (size - batch.len() as u64);
        at -= at % 4096;
    }
    let rate = (syncs * submitters) as f64 / started.elapsed().as_secs_f64();
    std::fs::remove_dir_all(spool)?;
    Ok(rate)
}

/// Hands mail in for a while. Gives messages a second, and messages a sync.
fn accept(
    spool: &Path,
    submitters: usize,
    octets: usize,
    time: Duration,
    deliver: bool,
) -> Result<(f64, f64), Failure> {
    let (queue, _) = Queue::open(Files::open(spool)?, Settings::default())?;
    let body = Bytes::from(vec![b'x'; octets]);
    let mut ids = QueueIds::new(1);
    let (told, answers) = mpsc::channel();
    for _ in 0..submitters {
        hand_in(&queue, ids.next(micros()), &body, &told);
    }
    let started = Instant::now();
    let mut accepted = 0u64;
    while started.elapsed() < time {
        answers.recv()??;
        accepted += 1;
        hand_in(&queue, ids.next(micros()), &body, &told);
        if deliver && accepted.is_multiple_of(16) {
            deliver_some(&queue)?;
        }
    }
    let rate = accepted as f64 / started.elapsed().as_secs_f64();
    let per_sync = accepted as f64 / queue.stats().syncs.max(1) as f64;
    queue.close();
    std::fs::remove_dir_all(spool)?;
    Ok((rate, per_sync))
}

fn deliver_some(queue: &Queue) -> Result<(), Failure> {
    for due in queue.due(u64::MAX, 64) {
        let message = queue.load(due.id)?;
        let sent = RecipientOutcome::Delivered { reply: String::new() };
        let outcomes = due.recipients.iter().map(|number| (*number, sent.clone())).collect();
        queue.record(message.id, outcomes, Vec::new(), |_| {});
    }
    Ok(())
}

type Answer = Result<(), queue::NotAccepted>;

fn hand_in(queue: &Queue, id: QueueId, body: &Bytes, told: &Sender<Answer>) {
    let told = told.clone();
    let arrival = id.unix_seconds() * 1_000_000;
    let (envelope, body) = (envelope(), Body::Inline(vec![body.clone()]));
    let message = NewMessage { id, envelope, provenance: Provenance::default(), arrival, body };
    queue.accept(message, move |result| {
        // Nobody listens any more when the time is up.
        let _ = told.send(result.map(|accepted| assert_eq!(accepted.id(), id)));
    });
}

/// Fills a queue, and has another process open it again.
fn reopen(spool: &Path, waiting: u64) -> Result<(), Failure> {
    let settings = Settings { hot_bytes_max: 0, ..Settings::default() };
    let (queue, _) = Queue::open(Files::open(spool)?, settings)?;
    let body = Bytes::from_static(&[b'x'; 300]);
    let mut ids = QueueIds::new(1);
    let (told, answers) = mpsc::channel();
    for number in 0..waiting {
        if number >= 2000 {
            answers.recv()??;
        }
        hand_in(&queue, ids.next(micros()), &body, &told);
    }
    drop(queue);
    Command::new(std::env::current_exe()?).arg("--open").arg(spool).status()?;
    std::fs::remove_dir_all(spool)?;
    Ok(())
}

fn open_again(spool: &Path) -> Result<(), Failure> {
    let before = resident()?;
    let started = Instant::now();
    let (queue, recovery) = Queue::open(Files::open(spool)?, Settings::default())?;
    let opened = started.elapsed().as_secs_f64();
    println!("{} waiting messages opened in {opened:.2} s: {recovery:?}", recovery.messages);
    let octets = resident()?.saturating_sub(before) as f64 / recovery.messages.max(1) as f64;
    println!("resident memory: {octets:.0} octets a message, with what opening left in the allocator");
    let started = Instant::now();
    let due = queue.due(u64::MAX, 1000);
    println!("{} due messages in {:.2} ms", due.len(), started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn envelope() -> Envelope {
    let to = "someone@elsewhere.example".parse().map(Recipient::of_bounce);
    let from = "abc@pobox.example".parse().map(ReversePath::Address);
    let parts = from.and_then(|from| to.map(|to| (from, to)));
    let (from, to) = parts.expect("these are addresses");
    Envelope::new(from, vec![to], BodyType::SevenBit, false).expect("there is one recipient")
}

fn micros() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_micros() as u64)
}

/// Resident memory of this process, in octets (Linux).
fn resident() -> io::Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    Ok(pages.unwrap_or(0usize) * 4096)
}
