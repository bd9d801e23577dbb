//! Families of forwarded messages: what each has reached, so that it ends.
//!
//! A family is a message that came from outside and all that was forwarded from it, over however many
//! addresses. It reaches no address twice and no mailbox twice, and makes so many copies at most. What it
//! has reached is known here while its members pass through; each member carries what was durable when
//! it was made ([`Lineage`]), from which a family that was forgotten is known again.
//!
//! Nothing in here touches a disk or a clock. [`shared`] is what attempts see of it.

pub mod shared;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use envelope::{AccountName, Address, Envelope, Lineage, QueueId, Reached, ReversePath};
use link::services::local::Forward;

/// How long a family is remembered of which nothing is heard.
const IDLE_MAX: Duration = Duration::from_secs(3600);
/// How many families are remembered, and how many places of all of them.
const FAMILIES_MAX: usize = 10_000;
const PLACES_MAX: usize = 500_000;

/// The families that pass through the queue.
#[derive(Debug, Default)]
pub struct Families {
    families: HashMap<QueueId, Family>,
    /// How many places all families have.
    places: usize,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Family {
    places: HashMap<Reached, Place>,
    /// Copies that forwards made: one for each address.
    copies: u32,
    heard_of: Instant,
}

/// An address or a mailbox of a family.
#[derive(Debug)]
struct Place {
    /// It is reached, durably.
    reached: bool,
    /// Members that are about to reach it.
    underway: u32,
    by: Standing,
}

/// What a message is in its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It came from outside, and its client named the recipients: each gets his copy.
    Origin,
    /// It was forwarded.
    Forwarded,
}

/// A message as a member of its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    origin: QueueId,
    standing: Standing,
}

/// Whether a member's copy is wanted in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// It is: the mailbox is reserved until [`Families::settle`].
    Wanted,
    /// The mailbox has one already.
    Had,
    /// Another member is about to bring one: ask again when it is settled whether it did.
    Underway,
}

/// What of some forwards is to be done.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    /// To be made, without the addresses that the family has reached.
    pub forwards: Vec<Forward>,
    /// Addresses beyond the most copies that a family makes, each with its forward's reverse-path.
    pub beyond: Vec<(ReversePath, Address)>,
    /// What the new messages carry.
    pub lineage: Lineage,
    /// The addresses that are underway until [`Families::made`] or [`Families::take_back`].
    pub places: Vec<Reached>,
}

impl Families {
    /// The message's place in its family; `lineage` is what it carries.
    pub fn join(&mut self, id: QueueId, lineage: Option<&Lineage>, now: Instant) -> Member {
        let origin = lineage.map_or(id, |lineage| lineage.origin);
        self.make_room(origin, now);
        self.change(origin, now, |family| {
            let Some(lineage) = lineage else { return };
            family.copies = family.copies.max(lineage.copies);
            for reached in &lineage.reached {
                family.reach(reached, Standing::Forwarded);
            }
        });
        let standing = if lineage.is_some() { Standing::Forwarded } else { Standing::Origin };
        Member { origin, standing }
    }

    /// Whether this member's copy is wanted in the account's mailbox.
    pub fn reserve(&mut self, member: Member, account: &AccountName, now: Instant) -> Copy {
        let Member { origin, standing } = member;
        self.change(origin, now, |family| {
            let place = family.place(Reached::Mailbox(account.clone()), standing);
            let free = !place.reached && place.underway == 0;
            let own = standing == Standing::Origin && place.by == Standing::Origin;
            if free || own {
                place.by = standing;
                place.underway += 1;
                return Copy::Wanted;
            }
            if place.reached { Copy::Had } else { Copy::Underway }
        })
    }

    /// Whether the copy for which the mailbox was reserved got in.
    pub fn settle(&mut self, member: Member, account: &AccountName, got_in: bool, now: Instant) {
        let Member { origin, standing } = member;
        self.change(origin, now, |family| {
            let mailbox = Reached::Mailbox(account.clone());
            let place = family.place(mailbox.clone(), standing);
            place.underway = place.underway.saturating_sub(1);
            place.reached |= got_in;
            if !place.reached && place.underway == 0 {
                family.places.remove(&mailbox);
            }
        });
    }

    /// Decides which of a member's forwards are made. `envelope` is the member's: whom a client named
    /// counts as reached. A family makes at most `copies_max` copies.
    pub fn admit(
        &mut self,
        member: Member,
        envelope: &Envelope,
        forwards: Vec<Forward>,
        copies_max: u32,
        now: Instant,
    ) -> Admitted {
        let Member { origin, standing } = member;
        self.change(origin, now, |family| {
            if standing == Standing::Origin {
                for recipient in envelope.recipients() {
                    family.reach(&Reached::address(recipient.address()), standing);
                }
            }
            let (mut admitted, mut beyond, mut places) = (Vec::new(), Vec::new(), Vec::new());
            for Forward { reverse_path, to } in forwards {
                let mut new = Vec::with_capacity(to.len());
                for address in to {
                    let Entry::Vacant(vacant) = family.places.entry(Reached::address(&address)) else {
                        continue;
                    };
                    if family.copies >= copies_max {
                        beyond.push((reverse_path.clone(), address));
                        continue;
                    }
                    family.copies += 1;
                    places.push(vacant.key().clone());
                    vacant.insert(Place { reached: false, underway: 1, by: standing });
                    new.push(address);
                }
                if !new.is_empty() {
                    admitted.push(Forward { reverse_path, to: new });
                }
            }
            let lineage = family.lineage(origin, &places);
            Admitted { forwards: admitted, beyond, lineage, places }
        })
    }

    /// The messages to these addresses are made, durably.
    pub fn made(&mut self, origin: QueueId, places: &[Reached], now: Instant) {
        self.change(origin, now, |family| {
            for address in places {
                let place = family.place(address.clone(), Standing::Forwarded);
                (place.reached, place.underway) = (true, 0);
            }
        });
    }

    /// The messages to these addresses were not made; they may be later.
    pub fn take_back(&mut self, origin: QueueId, places: &[Reached], now: Instant) {
        self.change(origin, now, |family| {
            for address in places {
                let Entry::Occupied(mut place) = family.places.entry(address.clone()) else { continue };
                place.get_mut().underway = 0;
                if !place.get().reached {
                    place.remove();
                    family.copies = family.copies.saturating_sub(1);
                }
            }
        });
    }

    /// A message whose recipients are all served is forgotten if it has no family.
    pub fn leave(&mut self, member: Member) {
        if let Entry::Occupied(family) = self.families.entry(member.origin)
            && member.standing == Standing::Origin
            && family.get().copies == 0
            && !family.get().is_in_hand()
        {
            self.places -= family.remove().places.len();
        }
    }

    /// Changes a family, which is there from now on.
    fn change<T>(&mut self, origin: QueueId, now: Instant, change: impl FnOnce(&mut Family) -> T) -> T {
        let family = self.families.entry(origin).or_insert_with(|| Family {
            places: HashMap::new(),
            copies: 0,
            heard_of: now,
        });
        let before = family.places.len();
        family.heard_of = now;
        let changed = change(family);
        self.places = self.places + family.places.len() - before;
        changed
    }

    /// Forgets families of which nothing was heard for long, and others if there are too many: those
    /// first of which nothing was heard for longest. None that is in hand is forgotten.
    fn make_room(&mut self, origin: QueueId, now: Instant) {
        let full = |families: &Families, part: usize| {
            families.families.len() >= FAMILIES_MAX / 4 * part || families.places >= PLACES_MAX / 4 * part
        };
        let is_full = full(self, 4) && !self.families.contains_key(&origin);
        let swept = *self.swept.get_or_insert(now);
        if !is_full && now.duration_since(swept) < IDLE_MAX {
            return;
        }
        self.swept = Some(now);
        let idle = |family: &Family| now.duration_since(family.heard_of);
        self.families.retain(|_, family| family.is_in_hand() || idle(family) < IDLE_MAX);
        self.places = self.families.values().map(|family| family.places.len()).sum();
        if !full(self, 4) {
            return;
        }
        let at_rest = self.families.iter().filter(|(_, family)| !family.is_in_hand());
        let mut longest: Vec<(Duration, QueueId)> = at_rest.map(|(id, family)| (idle(family), *id)).collect();
        longest.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in longest {
            if !full(self, 3) {
                break;
            }
            if let Some(family) = self.families.remove(&id) {
                self.places -= family.places.len();
            }
        }
    }
}

impl Family {
    fn place(&mut self, place: Reached, by: Standing) -> &mut Place {
        self.places.entry(place).or_insert(Place { reached: false, underway: 0, by })
    }

    fn reach(&mut self, place: &Reached, by: Standing) {
        match self.places.get_mut(place) {
            Some(known) => known.reached = true,
            None => {
                self.places.insert(place.clone(), Place { reached: true, underway: 0, by });
            }
        }
    }

    /// Whether somebody will come back to settle something.
    fn is_in_hand(&self) -> bool {
        self.places.values().any(|place| place.underway > 0)
    }

    /// What is reached durably, and what will be together with the message that carries this: nothing
    /// that a crash may undo while the message stays, or nobody would reach it any more.
    fn lineage(&self, origin: QueueId, together: &[Reached]) -> Lineage {
        let durable = self.places.iter().filter(|(_, place)| place.reached).map(|(place, _)| place);
        let reached: Vec<Reached> = durable.chain(together).cloned().collect();
        let is_address = |place: &Reached| matches!(place, Reached::Address(_));
        let pending = self.places.iter().filter(|(name, place)| is_address(name) && !place.reached).count();
        let others = u32::try_from(pending - together.len()).unwrap_or(u32::MAX);
        Lineage { origin, copies: self.copies.saturating_sub(others), reached }
    }
}

#[cfg(test)]
mod tests;
