//! The families as attempts share them. Whatever becomes of an attempt, what it had in hand is settled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use envelope::{AccountName, QueueId, Reached};
use link::services::local::Forward;
use queue::Message;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::{Admitted, Copy, Families, Member};

/// The families. Clones share them.
#[derive(Clone, Default)]
pub struct SharedFamilies(Arc<Shared>);

#[derive(Default)]
struct Shared {
    families: Mutex<Families>,
    settled: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedFamilies {
    /// The message's place in its family.
    pub fn join<F>(&self, message: &Message<F>) -> Member {
        self.0.lock().join(message.id, message.provenance.lineage.as_ref(), Instant::now())
    }

    /// Ends when a reservation was settled, from the moment of this call.
    pub fn settled(&self) -> Notified<'_> {
        self.0.settled.notified()
    }

    /// Reserves the account's mailbox for this member's copy, if it is wanted there.
    pub fn reserve(&self, member: Member, account: &AccountName) -> (Copy, Option<Reservation>) {
        let copy = self.0.lock().reserve(member, account, Instant::now());
        let reserved = || {
            let families = self.clone();
            Reservation { families, member, account: account.clone(), got_in: false }
        };
        (copy, (copy == Copy::Wanted).then(reserved))
    }

    /// A copy got into the account's mailbox for which it was not reserved, as no other was to be
    /// expected.
    pub fn got_in(&self, member: Member, account: &AccountName) {
        self.0.lock().settle(member, account, true, Instant::now());
    }

    /// Decides which of a member's forwards are made: see [`Families::admit`].
    pub fn admit<F>(
        &self,
        member: Member,
        message: &Message<F>,
        forwards: Vec<Forward>,
        copies_max: u32,
    ) -> (Admitted, Admission) {
        let mut admitted =
            self.0.lock().admit(member, &message.envelope, forwards, copies_max, Instant::now());
        let places = std::mem::take(&mut admitted.places);
        let admission = Admission { families: self.clone(), origin: admitted.lineage.origin, places };
        (admitted, admission)
    }

    /// The member's recipients are all served.
    pub fn leave(&self, member: Member) {
        self.0.lock().leave(member);
    }
}

/// A mailbox that waits for one copy. Dropped, it got none.
pub struct Reservation {
    families: SharedFamilies,
    member: Member,
    account: AccountName,
    got_in: bool,
}

impl Reservation {
    /// The copy got in, or did not.
    pub fn settle(mut self, got_in: bool) {
        self.got_in = got_in;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Shared { settled, .. } = &*self.families.0;
        self.families.0.lock().settle(self.member, &self.account, self.got_in, Instant::now());
        settled.notify_waiters();
    }
}

/// Addresses to which messages are about to be made. Dropped, they were not made.
pub struct Admission {
    families: SharedFamilies,
    origin: QueueId,
    places: Vec<Reached>,
}

impl Admission {
    /// The messages are made, durably.
    pub fn made(mut self) {
        let places = std::mem::take(&mut self.places);
        self.families.0.lock().made(self.origin, &places, Instant::now());
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.places.is_empty() {
            self.families.0.lock().take_back(self.origin, &self.places, Instant::now());
        }
    }
}
