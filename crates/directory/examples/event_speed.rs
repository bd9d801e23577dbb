//! How fast events are recorded and found again, with 10,000,000 of a single day, or with as many as the
//! argument says, on this machine.
//!
//! `cargo run --release -p hikyaku-directory --example event_speed [EVENTS]`
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use directory::Events;
use envelope::event::{Accepted, Delivery, Door, Event, Party, Peer, What};
use envelope::{AccountName, Address, QueueId, ReversePath};

const BATCH: usize = 500;
/// Accepted, put off, delivered.
const EVENTS_EACH: u64 = 3;
const CUSTOMERS: u64 = 100_000;
const STRANGERS: u64 = 5_000_000;
const HOSTS: u64 = 50_000;

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(10_000_000), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let events = Events::open(&folder.path().join("events"), 30);
    let messages = count / EVENTS_EACH;
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let midnight = now - now % 86_400_000_000;
    let step = (now - midnight) / messages.max(1);

    let mut waited = Duration::ZERO;
    let mut longest = Duration::ZERO;
    let mut batch = Vec::with_capacity(BATCH + 2);
    let mut keep = |batch: &mut Vec<Event>| -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        events.append(batch)?;
        waited += start.elapsed();
        longest = longest.max(start.elapsed());
        batch.clear();
        Ok(())
    };
    for number in 0..messages {
        life(number, midnight + number * step, &mut batch)?;
        if batch.len() >= BATCH {
            keep(&mut batch)?;
        }
    }
    keep(&mut batch)?;
    let octets: u64 = std::fs::read_dir(folder.path().join("events"))?
        .filter_map(|entry| entry.and_then(|entry| entry.metadata()).ok())
        .map(|about| about.len())
        .sum();
    let recorded = messages * EVENTS_EACH;
    println!("{recorded} events in {waited:.1?}: {:.0}/s", recorded as f64 / waited.as_secs_f64());
    println!("the longest of the batches of {BATCH}: {longest:.1?}");
    println!("{} octets an event, journal included", octets / recorded.max(1));

    let middle = messages / 2;
    let id = id(midnight + middle * step);
    measure("a message", || events.of_message(id).len());
    for (what, party) in [
        ("an address outside", Party::Address(stranger(middle)?)),
        ("an address of ours", Party::Address(customer(middle)?)),
        ("an account", Party::Account(account(middle)?)),
        ("a domain outside", Party::Domain(stranger(middle)?.host.domain().ok_or("no domain")?.clone())),
        ("our own domain", Party::Domain("pobox.example".parse()?)),
        ("an address that nobody has", Party::Address("nobody@nowhere.example".parse()?)),
    ] {
        measure(what, || events.of_party(&party, 0..=u64::MAX, 100).len());
    }
    Ok(())
}

fn measure(what: &str, ask: impl Fn() -> usize) {
    let start = Instant::now();
    let found = ask();
    let first = start.elapsed();
    let start = Instant::now();
    let _ = ask();
    println!("{what}: {found} found in {first:.1?}, in {:.1?} when asked again", start.elapsed());
}

/// A customer's message to a stranger that is put off once.
fn life(number: u64, at: u64, batch: &mut Vec<Event>) -> Result<(), Box<dyn Error>> {
    let recipient = stranger(number)?;
    let peer = Peer {
        host: format!("mx.h{}.example", spread(number, HOSTS)).into(),
        address: "192.0.2.25".parse()?,
        tls: Some(true),
    };
    let accepted = Accepted {
        door: Door::Submission,
        client: Some("198.51.100.7".parse()?),
        account: Some(account(number)?),
        reverse_path: ReversePath::Address(customer(number)?),
        recipients: vec![recipient.clone()],
        size: 20_000,
        message_id: Some(format!("<{at:x}.{number:x}@pobox.example>").into()),
    };
    let deferred = What::Deferred {
        recipient: recipient.clone(),
        peer: Some(peer.clone()),
        reply: "450 4.2.0 greylisted, try again".into(),
        until: at + 400_000_000,
    };
    let reply = "250 2.0.0 Ok: queued as 4A5B6C7D8E".into();
    let delivered = What::Delivered { recipient, to: Delivery::Host { peer, reply }, took_ms: 310 };
    for (after, what) in [(0, What::Accepted(Box::new(accepted))), (9, deferred), (99, delivered)] {
        batch.push(Event { at: at + after, queue_id: Some(id(at)), what });
    }
    Ok(())
}

fn id(at: u64) -> QueueId {
    QueueId::from_u64(at << 12 | 1)
}

fn account(number: u64) -> Result<AccountName, Box<dyn Error>> {
    Ok(format!("user{}", spread(number, CUSTOMERS)).parse()?)
}

fn customer(number: u64) -> Result<Address, Box<dyn Error>> {
    Ok(format!("user{}@pobox.example", spread(number, CUSTOMERS)).parse()?)
}

fn stranger(number: u64) -> Result<Address, Box<dyn Error>> {
    Ok(format!("u{}@h{}.example", spread(number, STRANGERS), spread(number, HOSTS)).parse()?)
}

/// A number below `below`, without order.
fn spread(number: u64, below: u64) -> u64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % below
}
