use std::collections::{BTreeMap, BTreeSet};

use envelope::{BodyType, Recipient};
use proptest::prelude::*;

use super::*;

fn address(number: usize) -> Address {
    format!("a{number}@pobox.example").parse().unwrap()
}

fn account(number: usize) -> AccountName {
    format!("account-{number}").parse().unwrap()
}

fn id(number: usize) -> QueueId {
    QueueId::from_u64(number as u64)
}

fn envelope(to: &[usize]) -> Envelope {
    let recipients = to.iter().map(|to| Recipient::of_forward(address(*to))).collect();
    Envelope::new(ReversePath::Null, recipients, BodyType::SevenBit, false).unwrap()
}

fn forward(to: &[usize]) -> Forward {
    Forward { reverse_path: ReversePath::Null, to: to.iter().map(|to| address(*to)).collect() }
}

fn admit(families: &mut Families, member: Member, named: usize, to: &[usize]) -> Admitted {
    families.admit(member, &envelope(&[named]), vec![forward(to)], 1000, Instant::now())
}

#[test]
fn what_was_not_made_is_admitted_again_and_what_was_made_is_not() {
    let mut families = Families::default();
    let member = families.join(id(1), None, Instant::now());
    let admitted = admit(&mut families, member, 0, &[1, 2, 1, 0]);
    assert_eq!(admitted.forwards, [forward(&[1, 2])]);
    assert!(admit(&mut families, member, 0, &[1, 2]).forwards.is_empty());
    families.take_back(id(1), &admitted.places, Instant::now());
    let admitted = admit(&mut families, member, 0, &[1, 2]);
    assert_eq!((admitted.forwards, admitted.lineage.copies), (vec![forward(&[1, 2])], 2));
    families.made(id(1), &admitted.places, Instant::now());
    families.take_back(id(1), &admitted.places, Instant::now());
    assert!(admit(&mut families, member, 0, &[2]).forwards.is_empty());
}

#[test]
fn a_message_carries_nothing_that_a_crash_may_undo_alone() {
    let mut families = Families::default();
    let member = families.join(id(1), None, Instant::now());
    let pending = admit(&mut families, member, 0, &[1]);
    let lineage = admit(&mut families, member, 0, &[2]).lineage;
    assert!(!lineage.reached.contains(&pending.places[0]));
    assert_eq!((lineage.reached.len(), lineage.copies), (2, 1));
}

#[test]
fn two_that_the_client_named_each_get_their_copy_and_nobody_else_does() {
    let mut families = Families::default();
    let now = Instant::now();
    let client = families.join(id(1), None, now);
    let lineage = Lineage { origin: id(1), copies: 1, reached: Vec::new() };
    let forwarded = families.join(id(2), Some(&lineage), now);
    let reserve = |families: &mut Families, member| families.reserve(member, &account(0), now);
    assert_eq!(reserve(&mut families, client), Copy::Wanted);
    assert_eq!(reserve(&mut families, client), Copy::Wanted);
    assert_eq!(reserve(&mut families, forwarded), Copy::Underway);
    families.settle(client, &account(0), false, now);
    assert_eq!(reserve(&mut families, forwarded), Copy::Underway);
    families.settle(client, &account(0), true, now);
    assert_eq!(reserve(&mut families, forwarded), Copy::Had);
    assert_eq!(reserve(&mut families, client), Copy::Wanted);
}

#[test]
fn who_was_forwarded_to_first_spares_the_client_s_own_recipient_a_second_copy() {
    let mut families = Families::default();
    let now = Instant::now();
    let lineage = Lineage { origin: id(1), copies: 1, reached: Vec::new() };
    let forwarded = families.join(id(2), Some(&lineage), now);
    assert_eq!(families.reserve(forwarded, &account(0), now), Copy::Wanted);
    let client = families.join(id(1), None, now);
    assert_eq!(families.reserve(client, &account(0), now), Copy::Underway);
    families.settle(forwarded, &account(0), true, now);
    assert_eq!(families.reserve(client, &account(0), now), Copy::Had);
}

#[test]
fn families_take_bounded_room_and_none_in_hand_is_forgotten() {
    let mut families = Families::default();
    let start = Instant::now();
    let in_hand = families.join(id(0), None, start);
    assert_eq!(families.reserve(in_hand, &account(0), start), Copy::Wanted);
    for number in 1..=2 * FAMILIES_MAX {
        let now = start + Duration::from_millis(number as u64);
        let member = families.join(id(number), None, now);
        families.admit(member, &envelope(&[1, 2]), vec![forward(&[3])], 1000, now);
        families.made(id(number), &[Reached::address(&address(3))], now);
        assert!(families.families.len() <= FAMILIES_MAX);
    }
    assert!(families.families.contains_key(&id(0)) && families.families.contains_key(&id(2 * FAMILIES_MAX)));
    let places: usize = families.families.values().map(|family| family.places.len()).sum();
    assert_eq!(places, families.places);
    families.join(id(1), None, start + 3 * IDLE_MAX);
    assert_eq!(families.families.len(), 2);
}

#[test]
fn a_message_that_forwarded_nothing_leaves_nothing_behind() {
    let mut families = Families::default();
    let now = Instant::now();
    let member = families.join(id(1), None, now);
    families.reserve(member, &account(0), now);
    families.settle(member, &account(0), true, now);
    families.leave(member);
    assert_eq!((families.families.len(), families.places), (0, 0));
    let forwards = families.join(id(2), None, now);
    admit(&mut families, forwards, 0, &[1]);
    families.leave(forwards);
    assert_eq!(families.families.len(), 1);
}

/// An address of ours.
#[derive(Debug, Clone)]
struct Instructed {
    account: usize,
    keeps: bool,
    forwards: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Message {
    to: Vec<usize>,
    done: Vec<bool>,
    lineage: Option<Lineage>,
}

/// What is in hand: a recipient of a message.
#[derive(Debug)]
struct InHand {
    message: usize,
    number: usize,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Delivering { wanted: bool },
    Recording { places: Vec<Reached>, new: Vec<Message> },
}

/// A queue and its mailboxes, which survive a crash, and the families, which do not.
#[derive(Debug)]
struct World {
    addresses: Vec<Instructed>,
    messages: Vec<Message>,
    /// The files in each account's mailbox, which a repeated delivery replaces.
    mailboxes: BTreeMap<usize, BTreeSet<(usize, usize)>>,
    copies: usize,
    copies_max: u32,
    families: Families,
    in_hand: Vec<InHand>,
    random: u64,
    now: Instant,
    crashes: usize,
    faults: usize,
}

impl World {
    fn below(&mut self, most: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % most
    }

    /// A fault, now and then, as long as there are any left.
    fn fault(&mut self) -> bool {
        let happens = self.faults > 0 && self.below(8) == 0;
        self.faults -= usize::from(happens);
        happens
    }

    fn run(&mut self) {
        for _ in 0..200_000 {
            if self.crashes > 0 && self.below(50) == 0 {
                self.crashes -= 1;
                self.families = Families::default();
                self.in_hand.clear();
            }
            let waiting = self.waiting();
            if waiting.is_empty() && self.in_hand.is_empty() {
                return;
            }
            if !waiting.is_empty() && (self.in_hand.is_empty() || self.below(2) == 0) {
                let (message, number) = waiting[self.below(waiting.len())];
                self.begin(message, number);
            } else if !self.in_hand.is_empty() {
                let in_hand = self.below(self.in_hand.len());
                let in_hand = self.in_hand.swap_remove(in_hand);
                self.go_on(in_hand);
            }
        }
        panic!("the family does not end");
    }

    fn waiting(&self) -> Vec<(usize, usize)> {
        let in_hand: BTreeSet<(usize, usize)> =
            self.in_hand.iter().map(|it| (it.message, it.number)).collect();
        let recipients = |(message, of): (usize, &Message)| {
            let waiting: Vec<_> = (0..of.to.len()).filter(|number| !of.done[*number]).collect();
            waiting.into_iter().map(move |number| (message, number))
        };
        let all = self.messages.iter().enumerate().flat_map(recipients);
        all.filter(|recipient| !in_hand.contains(recipient)).collect()
    }

    fn member(&mut self, message: usize) -> Member {
        self.families.join(id(message), self.messages[message].lineage.as_ref(), self.now)
    }

    /// Whether no other copy is to be expected, as the scheduler has it.
    fn is_alone(&self, message: usize) -> bool {
        self.messages[message].lineage.is_none() && self.messages[message].to.len() == 1
    }

    fn begin(&mut self, message: usize, number: usize) {
        let mut wanted = true;
        if !self.is_alone(message) {
            let account = account(self.addresses[self.messages[message].to[number]].account);
            let member = self.member(message);
            match self.families.reserve(member, &account, self.now) {
                Copy::Wanted => {}
                Copy::Had => wanted = false,
                Copy::Underway => {
                    assert!(!self.in_hand.is_empty(), "nobody is there to settle it");
                    return;
                }
            }
        }
        self.in_hand.push(InHand { message, number, step: Step::Delivering { wanted } });
    }

    fn go_on(&mut self, InHand { message, number, step }: InHand) {
        let here = self.addresses[self.messages[message].to[number]].clone();
        match step {
            Step::Delivering { wanted } => {
                let deferred = self.fault();
                let got_in = wanted && here.keeps && !deferred;
                if got_in {
                    self.mailboxes.entry(here.account).or_default().insert((message, number));
                }
                if wanted && (got_in || !self.is_alone(message)) {
                    let member = self.member(message);
                    self.families.settle(member, &account(here.account), got_in, self.now);
                }
                if deferred {
                    return;
                }
                let member = self.member(message);
                let envelope = envelope(&self.messages[message].to);
                let forwards = vec![forward(&here.forwards)];
                let admitted = self.families.admit(member, &envelope, forwards, self.copies_max, self.now);
                let new = admitted.forwards.iter().map(|forward| Message {
                    to: forward.to.iter().map(|to| to.local_part.as_str()[1..].parse().unwrap()).collect(),
                    done: vec![false; forward.to.len()],
                    lineage: Some(admitted.lineage.clone()),
                });
                let step = Step::Recording { new: new.collect(), places: admitted.places };
                self.in_hand.push(InHand { message, number, step });
            }
            Step::Recording { places, new } => {
                let origin = self.messages[message].lineage.as_ref().map_or(id(message), |it| it.origin);
                if self.fault() {
                    return self.families.take_back(origin, &places, self.now);
                }
                self.copies += places.len();
                self.messages[message].done[number] = true;
                self.messages.extend(new);
                self.families.made(origin, &places, self.now);
            }
        }
    }

    /// Every address that is reached if nothing is beyond the limit.
    fn reachable(&self) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut next = self.messages[0].to.clone();
        while let Some(address) = next.pop() {
            if reached.insert(address) {
                next.extend(&self.addresses[address].forwards);
            }
        }
        reached
    }
}

fn world() -> impl Strategy<Value = World> {
    (1usize..=200).prop_flat_map(|count| {
        let instructed = (0..count, any::<bool>(), proptest::collection::vec(0..count, 0..=10));
        (
            proptest::collection::vec(instructed, count),
            proptest::collection::btree_set(0..count, 1..=3),
            prop_oneof![1u32..20, Just(1000)],
            any::<u64>(),
            0usize..20,
        )
            .prop_map(|(addresses, named, copies_max, random, faults)| {
                let instructed = |(account, keeps, forwards)| Instructed { account, keeps, forwards };
                let named: Vec<usize> = named.into_iter().collect();
                let done = vec![false; named.len()];
                World {
                    addresses: addresses.into_iter().map(instructed).collect(),
                    messages: vec![Message { to: named, done, lineage: None }],
                    mailboxes: BTreeMap::new(),
                    copies: 0,
                    copies_max,
                    families: Families::default(),
                    in_hand: Vec::new(),
                    random,
                    now: Instant::now(),
                    crashes: 0,
                    faults,
                }
            })
    })
}

proptest! {
    #[test]
    fn every_family_ends_and_each_mailbox_gets_one_copy(mut world in world()) {
        let named = world.messages[0].to.clone();
        let reachable = world.reachable();
        world.run();
        prop_assert!(world.copies <= world.copies_max as usize);
        let keeping = |address: &&usize| world.addresses[**address].keeps;
        for (account, copies) in &world.mailboxes {
            let of_account = |address: &&usize| world.addresses[**address].account == *account;
            let client_s = named.iter().filter(keeping).filter(of_account).count();
            prop_assert!(copies.len() <= client_s.max(1), "{}: {:?}", account, copies);
        }
        if reachable.len() - named.len() <= world.copies_max as usize {
            prop_assert_eq!(world.copies, reachable.len() - named.len());
            for address in reachable.iter().filter(keeping) {
                prop_assert!(world.mailboxes.contains_key(&world.addresses[*address].account));
            }
        }
    }

    #[test]
    fn a_crash_loses_no_copy_and_starts_no_loop(mut world in world(), crashes in 1usize..5) {
        world.crashes = crashes;
        let reachable = world.reachable();
        let enough = reachable.len() - world.messages[0].to.len() <= world.copies_max as usize;
        world.run();
        for address in reachable.iter().filter(|address| enough && world.addresses[**address].keeps) {
            prop_assert!(world.mailboxes.contains_key(&world.addresses[*address].account));
        }
    }
}
