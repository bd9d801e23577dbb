//! Whatever call to the disk the power fails in, or fails itself: nothing acknowledged is lost,
//! nothing appears that was not handed in, and what belongs together stays together.
//!
//! The disk's choices come from a seed; the queue's two threads may take turns differently from
//! run to run, which only makes more cases.
#![allow(clippy::unwrap_used)] // It is all test code, its shared functions too.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc;
use std::time::Duration;

use common::disk::{Disk, Faults, Random};
use common::{accept, accept_now, body, envelope, found, id, inline, mail_data, message};
use envelope::Filter;
use queue::{
    Body, Detail, Found, NewMessage, NotAccepted, Queue, RecipientOutcome, RecipientStatus, Recovery,
    Settings, Storage,
};

const SETTINGS: Settings = Settings { segment_size: 64 << 10, free_space_min: 0, hot_bytes_max: 16 << 10 };
const NEVER: u64 = u32::MAX as u64 - 1;

/// What the world outside knows of the queue.
#[derive(Default)]
struct World {
    /// Everything ever handed in: recipients, and octets of mail data.
    handed_in: BTreeMap<u64, (usize, usize)>,
    /// What was answered with `Accepted`.
    accepted: BTreeSet<u64>,
    /// Recipients whose delivery we reported. It may be forgotten, and is not if it was durable.
    delivered: BTreeSet<(u64, u32)>,
    /// What an operator holds or has let go, where we were told that it is durable.
    held: BTreeMap<u64, bool>,
    /// Failed recipients and the bounces recorded with them, and whether that was acknowledged.
    bounces: Vec<Bounce>,
}

struct Bounce {
    message: u64,
    recipient: u32,
    bounce: u64,
    acknowledged: bool,
}

fn open(disk: &Disk) -> Option<(Queue<Disk>, Recovery)> {
    Queue::open(disk.clone(), SETTINGS).ok()
}

/// Hands mail in and delivers it, in a way that depends on the seed alone.
struct Life<'a> {
    world: &'a mut World,
    random: Random,
    next: u64,
}

impl Life<'_> {
    fn live(&mut self, disk: &Disk, queue: &Queue<Disk>, rounds: usize) {
        for _ in 0..rounds {
            self.hand_in(queue);
            if self.random.below(3) == 0 {
                self.hold(queue);
            }
            self.deliver(disk, queue);
            match self.random.below(12) {
                0..3 => drop(queue.flush()),
                // Longer than outcomes wait for company: they are written, and not yet durable.
                3 => std::thread::sleep(Duration::from_millis(13)),
                _ => {}
            }
        }
    }

    fn new_inline(&mut self) -> (u64, NewMessage) {
        let number = self.next;
        self.next += 1;
        let recipients = 1 + self.random.below(3) as usize;
        let length = self.random.below(9000) as usize;
        self.world.handed_in.insert(number, (recipients, length));
        (number, inline(number, recipients, length))
    }

    fn hand_in(&mut self, queue: &Queue<Disk>) {
        let mut answers = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let (number, message) = self.new_inline();
            answers.push((number, accept(queue, message)));
        }
        if self.random.below(3) == 0 {
            let number = self.next;
            self.next += 1;
            self.world.handed_in.insert(number, (1, 30_000));
            if let Some(message) = blob_message(queue, number, 30_000) {
                answers.push((number, accept(queue, message)));
            }
        }
        for (number, answer) in answers {
            if answer.recv().expect("everybody is answered") == Ok(id(number)) {
                self.world.accepted.insert(number);
            }
        }
    }

    fn deliver(&mut self, disk: &Disk, queue: &Queue<Disk>) {
        for due in queue.due(NEVER, 3) {
            let number = due.id.as_u64();
            if let Ok(message) = queue.load(due.id) {
                let (_, length) = self.world.handed_in[&number];
                assert_eq!(body(disk, &message), mail_data(number, length));
            }
            let mut outcomes = Vec::new();
            for recipient in due.recipients {
                match self.random.below(8) {
                    0 => queue.release(due.id, &[recipient]),
                    1 => outcomes.push((recipient, deferred())),
                    2 => self.bounce(queue, number, recipient),
                    _ => {
                        self.world.delivered.insert((number, recipient));
                        outcomes.push((recipient, delivered()));
                    }
                }
            }
            if !outcomes.is_empty() {
                queue.record(due.id, outcomes, Vec::new(), |_| {});
            }
        }
    }

    fn hold(&mut self, queue: &Queue<Disk>) {
        let place = self.random.below(1 + self.world.accepted.len() as u64) as usize;
        let Some(number) = self.world.accepted.iter().nth(place).copied() else { return };
        let held = self.random.below(2) == 0;
        self.world.held.remove(&number);
        queue.set_held(id(number), held);
        if self.random.below(2) == 0 && queue.flush().is_ok() {
            self.world.held.insert(number, held);
        }
    }

    fn bounce(&mut self, queue: &Queue<Disk>, message: u64, recipient: u32) {
        let (bounce, new) = self.new_inline();
        let (told, answer) = mpsc::channel();
        let failed = RecipientOutcome::Failed { reply: "550 no such user".into() };
        queue.record(id(message), vec![(recipient, failed)], vec![new], move |result| {
            let _ = told.send(result);
        });
        let acknowledged = answer.recv().expect("everybody is answered") == Ok(());
        self.world.bounces.push(Bounce { message, recipient, bounce, acknowledged });
        if acknowledged {
            self.world.accepted.insert(bounce);
        } else {
            queue.release(id(message), &[recipient]);
        }
    }
}

fn delivered() -> RecipientOutcome {
    RecipientOutcome::Delivered { reply: "250 ok".into() }
}

fn deferred() -> RecipientOutcome {
    RecipientOutcome::Deferred { until: 5, reply: "451 later".into(), delay_told: false }
}

fn blob_message(queue: &Queue<Disk>, number: u64, length: usize) -> Option<NewMessage> {
    let mut blob = queue.blob(id(number)).ok()?;
    for piece in mail_data(number, length).chunks(7000) {
        blob.append(piece).ok()?;
    }
    Some(message(number, 1, Body::Blob(blob.finish().ok()?)))
}

/// What must be so after a restart. Returns the living messages.
fn check(disk: &Disk, queue: &Queue<Disk>, recovery: &Recovery, world: &World) -> BTreeSet<u64> {
    assert_eq!(recovery.damaged, [], "nothing was damaged");
    assert_eq!(recovery.without_body, []);
    let all = found(queue, &Filter::default(), Detail::Index);
    let living: BTreeSet<u64> = all.iter().map(|found| found.summary.id.as_u64()).collect();
    let may_be_done = |number: u64, recipient: u32| {
        world.delivered.contains(&(number, recipient))
            || world.bounces.iter().any(|b| (b.message, b.recipient) == (number, recipient))
    };
    for number in &world.accepted {
        let (recipients, _) = world.handed_in[number];
        let may_be_retired = (0..recipients as u32).all(|recipient| may_be_done(*number, recipient));
        assert!(living.contains(number) || may_be_retired, "message {number} is lost");
    }
    for number in &living {
        let (recipients, length) = *world.handed_in.get(number).expect("only what was handed in");
        let message = queue.load(id(*number)).unwrap();
        assert_eq!(*message.envelope, envelope(recipients));
        assert_eq!(body(disk, &message), mail_data(*number, length), "message {number}");
        for (recipient, state) in (0..).zip(&message.recipients) {
            if !matches!(state.status, RecipientStatus::Waiting { .. }) {
                assert!(may_be_done(*number, recipient), "recipient {recipient} of {number} is lost");
            }
        }
    }
    for Found { summary, .. } in all {
        let held = world.held.get(&summary.id.as_u64()).copied();
        assert_eq!(summary.held, held.unwrap_or(summary.held), "message {}", summary.id.as_u64());
    }
    for bounce in &world.bounces {
        let state = queue.load(id(bounce.message)).map(|m| m.recipients[bounce.recipient as usize].status);
        if bounce.acknowledged {
            let waiting = matches!(state, Ok(RecipientStatus::Waiting { .. }));
            assert!(!waiting, "the failure of {} was recorded", bounce.message);
        } else if matches!(state, Ok(RecipientStatus::Failed)) {
            let again = world
                .bounces
                .iter()
                .filter(|b| (b.message, b.recipient) == (bounce.message, bounce.recipient));
            let known = |b: &Bounce| living.contains(&b.bounce) || b.acknowledged;
            assert!(again.into_iter().any(known), "a failure was recorded without its bounce");
        }
    }
    living
}

/// Delivers everything; then the queue is empty, and stays so.
fn drain(disk: &Disk, queue: Queue<Disk>) {
    queue.release_all();
    for held in found(&queue, &Filter { held: true, ..Filter::default() }, Detail::Index) {
        assert!(queue.set_held(held.summary.id, false));
    }
    loop {
        let due = queue.due(NEVER, 100);
        if due.is_empty() {
            break;
        }
        for due in due {
            queue.load(due.id).expect("what is due can be read");
            let outcomes = due.recipients.iter().map(|recipient| (*recipient, delivered())).collect();
            queue.record(due.id, outcomes, Vec::new(), |result| assert_eq!(result, Ok(())));
        }
    }
    queue.flush().unwrap();
    queue.close();
    assert_eq!(queue.stats().messages, 0);
    drop(queue);
    let (queue, recovery) = open(disk).unwrap();
    assert_eq!((recovery.messages, recovery.damaged.len()), (0, 0));
    drop(queue);
    assert!(disk.names(queue::Folder::Blobs).is_empty(), "no body is left behind");
}

fn live_and_lose_power(seed: u64, faults: Faults, rounds: usize) -> (Disk, World) {
    let disk = Disk::new(seed, faults);
    let mut world = World::default();
    if let Some((queue, _)) = open(&disk) {
        let mut life = Life { world: &mut world, random: Random::new(seed), next: 1 };
        life.live(&disk, &queue, rounds);
        if seed.is_multiple_of(2) {
            // The power fails while everything is in full swing.
            disk.cut_power();
        }
    }
    (disk, world)
}

#[test]
fn accepted_mail_survives_power_loss_at_every_step() {
    for step in 0.. {
        let faults = Faults { power_at: Some(step), ..Faults::default() };
        let (disk, world) = live_and_lose_power(1 + 2 * (step % 7), faults, 25);
        let complete = !disk.lost_power();
        let disk = disk.after_power_loss(Faults::default());
        let (queue, recovery) = open(&disk).expect("the queue opens after a power cut");
        check(&disk, &queue, &recovery, &world);
        drain(&disk, queue);
        if complete {
            assert!(step > 100, "the test goes through many steps, not {step}");
            break;
        }
    }
}

#[test]
fn power_that_fails_and_processes_that_die_again_and_again_lose_nothing() {
    for seed in 0..60 {
        let mut random = Random::new(seed + 1000);
        let mut disk = Disk::new(seed, Faults::default());
        let mut world = World::default();
        let mut next = 1;
        for _ in 0..6 {
            if let Some((queue, recovery)) = open(&disk) {
                if !disk.lost_power() {
                    check(&disk, &queue, &recovery, &world);
                }
                let mut life = Life { world: &mut world, random: random.clone(), next };
                life.live(&disk, &queue, 8);
                next = life.next;
                disk.cut_power();
            }
            let power_at = (random.below(2) == 0).then(|| random.below(150));
            let faults = Faults { power_at, errors: None };
            let killed = random.below(2) == 0;
            disk = if killed { disk.after_kill(faults) } else { disk.after_power_loss(faults) };
        }
        let disk = disk.after_power_loss(Faults::default());
        let (queue, recovery) = open(&disk).unwrap();
        check(&disk, &queue, &recovery, &world);
        drain(&disk, queue);
    }
}

#[test]
fn a_disk_that_fails_at_any_step_loses_nothing_and_mail_flows_again() {
    fail_at_every_step(io::ErrorKind::Other, NotAccepted::Failed);
}

#[test]
fn a_disk_that_is_full_at_any_step_loses_nothing_and_mail_flows_again() {
    fail_at_every_step(io::ErrorKind::StorageFull, NotAccepted::StorageFull);
}

fn fail_at_every_step(kind: io::ErrorKind, refusal: NotAccepted) {
    for step in 0..70 {
        let disk = Disk::new(step, Faults::default());
        let mut world = World::default();
        let (queue, _) = open(&disk).unwrap();
        let mut life = Life { world: &mut world, random: Random::new(step % 5), next: 1 };
        life.live(&disk, &queue, 2);
        let before = disk.calls();
        let errors = (before + step, before + step + 1 + step % 3, kind);
        disk.set_faults(Faults { errors: Some(errors), ..Faults::default() });
        life.live(&disk, &queue, 10);
        disk.set_faults(Faults::default());
        // Once the disk works again the queue takes mail, at the latest after a second.
        let (number, message) = life.new_inline();
        let answer = accept_now(&queue, message);
        if answer.is_ok() {
            world.accepted.insert(number);
        } else {
            assert_eq!(answer, Err(refusal));
            std::thread::sleep(Duration::from_millis(1100));
            let length = world.handed_in[&number].1;
            let recipients = world.handed_in[&number].0;
            assert_eq!(accept_now(&queue, inline(number, recipients, length)), Ok(id(number)));
            world.accepted.insert(number);
        }
        // And what was refused is not there.
        let refused = world.handed_in.keys().filter(|number| !world.accepted.contains(number));
        for number in refused {
            assert!(queue.load(id(*number)).is_err(), "{number} was refused");
        }
        disk.cut_power();
        drop(queue);
        let disk = disk.after_power_loss(Faults::default());
        let (queue, recovery) = open(&disk).unwrap();
        let living = check(&disk, &queue, &recovery, &world);
        assert!(living.is_subset(&world.accepted), "what was refused does not come back");
        drain(&disk, queue);
    }
}

#[test]
fn an_outcome_written_before_a_failed_sync_is_written_again() {
    let disk = Disk::new(1, Faults::default());
    let (queue, _) = open(&disk).unwrap();
    for number in 1..=2 {
        assert_eq!(accept_now(&queue, inline(number, 2, 100)), Ok(id(number)));
    }
    queue.due(NEVER, 2);
    for (number, outcomes) in [(1, vec![(0, delivered()), (1, delivered())]), (2, vec![(1, delivered())])] {
        let (told, answer) = mpsc::channel();
        queue.record(id(number), outcomes, Vec::new(), move |result| told.send(result).unwrap());
        assert_eq!(answer.recv().unwrap(), Ok(()), "it is written");
    }
    // The write of the next batch succeeds, its sync fails and takes the outcomes along.
    let sync = disk.calls() + 1;
    disk.set_faults(Faults { errors: Some((sync, sync + 1, io::ErrorKind::Other)), ..Faults::default() });
    assert_eq!(accept_now(&queue, inline(3, 1, 100)), Err(NotAccepted::Failed));
    assert_eq!(accept_now(&queue, inline(4, 1, 100)), Ok(id(4)));
    disk.cut_power();
    drop(queue);
    let disk = disk.after_power_loss(Faults::default());
    let (queue, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.messages, recovery.damaged.len()), (2, 0));
    let states = queue.load(id(2)).unwrap().recipients;
    assert_eq!((states[1].status, &*states[1].last_reply), (RecipientStatus::Delivered, "250 ok"));
    assert_eq!(states[0].attempts, 0);
}

#[test]
fn a_lazy_batch_that_is_lost_though_the_next_is_not_is_no_damage() {
    for seed in 0..40 {
        let disk = Disk::new(seed, Faults::default());
        let (queue, _) = open(&disk).unwrap();
        assert_eq!(accept_now(&queue, inline(1, 2, 100)), Ok(id(1)));
        queue.due(NEVER, 1);
        let (told, answer) = mpsc::channel();
        queue.record(id(1), vec![(0, deferred())], Vec::new(), move |result| told.send(result).unwrap());
        assert_eq!(answer.recv().unwrap(), Ok(()));
        let power_at = Some(disk.calls() + 1);
        disk.set_faults(Faults { power_at, ..Faults::default() });
        assert!(accept_now(&queue, inline(2, 1, 100)).is_err());
        drop(queue);
        // Twice, since what was dropped must not look like damage later either.
        let disk = disk.after_power_loss(Faults::default());
        for number in [3, 4] {
            let (queue, recovery) = open(&disk).unwrap();
            assert_eq!(recovery.damaged, []);
            assert!(queue.load(id(1)).is_ok());
            assert_eq!(accept_now(&queue, inline(number, 1, 100)), Ok(id(number)));
        }
    }
}

#[test]
fn no_segment_means_no_mail_but_outcomes_wait_for_one() {
    let disk = Disk::new(1, Faults::default());
    let (queue, _) = open(&disk).unwrap();
    assert_eq!(accept_now(&queue, inline(1, 1, 100)), Ok(id(1)));
    let due = queue.due(NEVER, 1);
    disk.set_faults(Faults { errors: Some((0, u64::MAX, io::ErrorKind::StorageFull)), ..Faults::default() });
    for number in 2..6 {
        assert_eq!(accept_now(&queue, inline(number, 1, 100)), Err(NotAccepted::StorageFull));
    }
    assert_eq!(queue.blob(id(9)).err(), Some(NotAccepted::StorageFull));
    let (told, answer) = mpsc::channel();
    queue.record(due[0].id, vec![(0, delivered())], Vec::new(), move |result| {
        told.send(result).unwrap();
    });
    disk.set_faults(Faults::default());
    assert_eq!(answer.recv().unwrap(), Ok(()), "the outcome is written once there is a segment");
    assert_eq!(accept_now(&queue, inline(2, 1, 100)), Ok(id(2)));
    queue.flush().unwrap();
    disk.cut_power();
    drop(queue);
    let disk = disk.after_power_loss(Faults::default());
    let (queue, _) = open(&disk).unwrap();
    assert!(queue.load(id(1)).is_err() && queue.load(id(2)).is_ok());
}

#[test]
fn below_the_reserve_new_mail_is_refused_and_bounces_are_not() {
    let disk = Disk::new(1, Faults::default());
    let settings = Settings { free_space_min: 1000, ..SETTINGS };
    let (queue, _) = Queue::open(disk.clone(), settings.clone()).unwrap();
    assert_eq!(accept_now(&queue, inline(1, 2, 100)), Ok(id(1)));
    drop(queue);
    disk.set_free_space(999);
    let (queue, _) = Queue::open(disk.clone(), settings).unwrap();
    assert_eq!(accept_now(&queue, inline(2, 1, 100)), Err(NotAccepted::StorageFull));
    assert_eq!(queue.blob(id(3)).err(), Some(NotAccepted::StorageFull));
    queue.due(NEVER, 1);
    let (told, answer) = mpsc::channel();
    let failed = RecipientOutcome::Failed { reply: "550 no".into() };
    queue.record(id(1), vec![(0, failed)], vec![inline(4, 1, 50)], move |result| {
        told.send(result).unwrap();
    });
    assert_eq!(answer.recv().unwrap(), Ok(()));
    assert!(queue.load(id(4)).is_ok());
    // What it holds already it accepts again.
    assert_eq!(accept_now(&queue, inline(1, 2, 100)), Ok(id(1)));
    drop(queue);
    // Whoever asks first sees what is so: a large body asks before any message comes.
    let settings = Settings { free_space_min: 1000, ..SETTINGS };
    let (queue, _) = Queue::open(disk.clone(), settings).unwrap();
    assert!(!queue.has_room());
    assert_eq!(queue.blob(id(5)).err(), Some(NotAccepted::StorageFull));
    disk.set_free_space(1000);
    let started = std::time::Instant::now();
    while !queue.has_room() {
        assert!(started.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(queue.blob(id(5)).is_ok());
}

#[test]
fn damage_in_the_middle_is_set_aside_and_reported_and_the_rest_is_read() {
    let disk = Disk::new(1, Faults::default());
    let (queue, _) = open(&disk).unwrap();
    for number in 1..=3 {
        assert_eq!(accept_now(&queue, inline(number, 1, 1000)), Ok(id(number)));
    }
    disk.cut_power();
    drop(queue);
    let disk = disk.after_power_loss(Faults::default());
    let segment = &disk.names(queue::Folder::Log)[0];
    // Each was a commit of its own: the second begins at the second block.
    disk.corrupt(queue::Folder::Log, segment, 2 * 4096 + 500);
    for _ in 0..2 {
        let (queue, recovery) = open(&disk).unwrap();
        assert!(queue.load(id(1)).is_ok() && queue.load(id(3)).is_ok());
        assert!(queue.load(id(2)).is_err());
        assert_eq!(recovery.damaged.len(), 1);
        let damaged = &recovery.damaged[0];
        assert_eq!((damaged.from, damaged.to), (2 * 4096, 3 * 4096));
        let copy = disk.contents(queue::Folder::Quarantine, damaged.copy.as_ref().unwrap());
        assert_eq!(copy, disk.contents(queue::Folder::Log, segment)[2 * 4096..3 * 4096]);
    }
}

#[test]
fn a_body_damaged_in_a_sealed_segment_is_found_when_it_is_read() {
    let disk = Disk::new(1, Faults::default());
    let (queue, _) = open(&disk).unwrap();
    assert_eq!(accept_now(&queue, inline(1, 1, 1000)), Ok(id(1)));
    queue.close();
    drop(queue);
    let segment = disk.names(queue::Folder::Log)[0].clone();
    disk.corrupt(queue::Folder::Log, &segment, 4096 + 500);
    let (queue, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.segments_sealed, recovery.messages), (1, 1));
    assert!(matches!(queue.load(id(1)), Err(queue::LoadError::Damaged(_))));
    assert_eq!(disk.names(queue::Folder::Quarantine).len(), 1);
    // An operator decides.
    let (told, answer) = mpsc::channel();
    queue.remove(id(1), move |result| told.send(result).unwrap());
    assert_eq!(answer.recv().unwrap(), Ok(()));
    drop(queue);
    assert_eq!(open(&disk).unwrap().1.messages, 0);
}

#[test]
fn a_large_body_that_is_gone_is_reported() {
    let disk = Disk::new(1, Faults::default());
    let (queue, _) = open(&disk).unwrap();
    let new = blob_message(&queue, 1, 9000).unwrap();
    assert_eq!(accept_now(&queue, new), Ok(id(1)));
    drop(queue);
    disk.remove(queue::Folder::Blobs, &id(1).to_string()).unwrap();
    let (queue, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.without_body, [id(1)]);
    assert!(queue.load(id(1)).is_err());
    assert_eq!(queue.stats().messages, 1);
}
