//! Failed logins: who guesses waits longer each time.
//!
//! They are counted for each account *and* network, so a stranger who guesses delays himself and not
//! the owner. The network is what one customer line usually has: a /24 of IPv4, a /56 of IPv6.
//! The count is of this process only and is forgotten with it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use envelope::Network;
use sha2::{Digest, Sha256};

use crate::connection::lock;
use crate::login::identity;
use crate::store::Store;

/// Failures that anybody may have: a password was changed, and three programs do not know yet.
const FREE: u32 = 3;
/// The delay after the first failure that counts; each next one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest delay: 288 guesses a day. A program that polls with an old password does not keep
/// its owner out for longer.
const LONGEST: Duration = Duration::from_secs(300);
/// How long a failure is remembered.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Accounts and networks in one of two generations: some 20 MiB together.
const NUMBER: usize = 100_000;

impl Store {
    /// How long a login of this name from this client must wait until it may be tried. The name is as
    /// [`Store::login`] takes it: all names of one account are one.
    pub fn login_delay(&self, name: &str, client: IpAddr, now: Instant) -> Duration {
        let who = self.guesser(name, client);
        lock(&self.failures).delay(&who, now)
    }

    /// A login failed for its name or password. Whoever checks logins says so, by whichever protocol.
    pub fn login_failed(&self, name: &str, client: IpAddr, now: Instant) {
        let who = self.guesser(name, client);
        lock(&self.failures).failed(who, now);
    }

    /// A login was right: what failed before from this network is forgotten.
    pub fn login_succeeded(&self, name: &str, client: IpAddr) {
        let who = self.guesser(name, client);
        lock(&self.failures).forget(&who);
    }

    fn guesser(&self, name: &str, client: IpAddr) -> Guesser {
        let identity = self.read(|moment| Ok(identity(moment, &self.settings, name)?));
        // If the store fails nobody is let in anyway.
        let identity = identity.unwrap_or_default();
        let network = Network::of(client, if client.to_canonical().is_ipv4() { 24 } else { 56 });
        let digest = Sha256::digest(identity);
        Guesser { name: digest[..16].try_into().expect("a SHA-256 has 32 octets"), network }
    }
}

/// A name and a network. Of the name a digest, so that long ones take no more room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Guesser {
    name: [u8; 16],
    network: Network,
}

/// How often somebody failed, and until when he waits.
#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    last: Instant,
    wait_until: Instant,
}

/// The failures of a while.
///
/// Two generations bound the memory: when the young one is full, it becomes the old one, and what was
/// the old one is forgotten. To push somebody out takes as many other failures, of which each costs
/// an argon2.
#[derive(Default)]
pub(crate) struct Failures {
    young: HashMap<Guesser, Failed>,
    old: HashMap<Guesser, Failed>,
}

impl Failures {
    fn delay(&self, who: &Guesser, now: Instant) -> Duration {
        self.find(who, now).map_or(Duration::ZERO, |failed| failed.wait_until.saturating_duration_since(now))
    }

    fn failed(&mut self, who: Guesser, now: Instant) {
        let times = self.find(&who, now).map_or(1, |failed| failed.times.saturating_add(1));
        let doublings = times.checked_sub(FREE + 1);
        let delay = doublings.map_or(Duration::ZERO, |doublings| {
            FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST)
        });
        if self.young.len() >= NUMBER && !self.young.contains_key(&who) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(who, Failed { times, last: now, wait_until: now + delay });
    }

    fn forget(&mut self, who: &Guesser) {
        self.young.remove(who);
        self.old.remove(who);
    }

    fn find(&self, who: &Guesser, now: Instant) -> Option<Failed> {
        let found = self.young.get(who).or_else(|| self.old.get(who))?;
        (now.saturating_duration_since(found.last) < REMEMBERED).then_some(*found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::Example;

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The delay in seconds after so many failures at once.
    fn delay_after(store: &Store, name: &str, from: &str, failures: u32, now: Instant) -> u64 {
        (0..failures).for_each(|_| store.login_failed(name, client(from), now));
        store.login_delay(name, client(from), now).as_secs()
    }

    #[test]
    fn the_delay_grows_with_each_failure_up_to_five_minutes() {
        let store = &Example::pobox().store;
        let now = Instant::now();
        assert_eq!(delay_after(store, "abc", "192.0.2.1", 3, now), 0);
        let delays: Vec<u64> = (0..11).map(|_| delay_after(store, "abc", "192.0.2.1", 1, now)).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(delay_after(store, "abc", "192.0.2.1", 100, now), 300);
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(store.login_delay("abc", client("192.0.2.1"), later(299)), Duration::from_secs(1));
        assert_eq!(store.login_delay("abc", client("192.0.2.1"), later(300)), Duration::ZERO);
        assert_eq!(delay_after(store, "abc", "192.0.2.1", 1, later(3599)), 300);
        assert_eq!(delay_after(store, "abc", "192.0.2.1", 1, later(2 * 3600)), 0);
    }

    #[test]
    fn an_attacker_in_another_network_does_not_lock_the_owner_out() {
        let store = &Example::pobox().store;
        let now = Instant::now();
        assert_eq!(delay_after(store, "abc", "192.0.2.1", 50, now), 300);
        for (from, delay) in
            [("192.0.2.200", 300), ("::ffff:192.0.2.3", 300), ("192.0.3.1", 0), ("2001:db8:0:100::1", 0)]
        {
            assert_eq!(store.login_delay("abc", client(from), now).as_secs(), delay, "{from}");
        }
        assert_eq!(delay_after(store, "abc", "2001:db8:0:1ff::1", 50, now), 300);
        assert_eq!(store.login_delay("abc", client("2001:db8:0:100::9"), now).as_secs(), 300);
        assert_eq!(store.login_delay("abc", client("2001:db8:0:200::1"), now).as_secs(), 0);
        assert_eq!(store.login_delay("xyz", client("192.0.2.1"), now).as_secs(), 0);
    }

    #[test]
    fn all_names_of_an_account_are_counted_as_one() {
        let store = &Example::pobox().store;
        let now = Instant::now();
        for name in ["xyz", "XYZ@pobox.example", "order@shop.example", "info@SHOP.example"] {
            store.login_failed(name, client("192.0.2.1"), now);
        }
        assert_eq!(store.login_delay("xyz", client("192.0.2.1"), now).as_secs(), 1);
        for name in ["", "no body", "nobody@elsewhere.example", &"x".repeat(1_000_000)] {
            assert_eq!(delay_after(store, name, "192.0.2.1", 4, now), 1, "a name that nobody has");
            assert_eq!(store.login_delay(&name.to_uppercase(), client("192.0.2.1"), now).as_secs(), 1);
        }
    }

    #[test]
    fn a_right_login_takes_the_delay_away() {
        let store = &Example::pobox().store;
        let now = Instant::now();
        assert_eq!(delay_after(store, "abc", "192.0.2.1", 5, now), 2);
        store.login_succeeded("ABC@pobox.example", client("192.0.2.9"));
        assert_eq!(delay_after(store, "abc", "192.0.2.1", 3, now), 0);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut failures = Failures::default();
        let now = Instant::now();
        let who =
            |number: u32| Guesser { name: [0; 16], network: Network::of(IpAddr::V4(number.into()), 32) };
        for number in 0..250_000 {
            failures.failed(who(number), now);
            assert!(failures.young.len() <= NUMBER && failures.old.len() <= NUMBER);
        }
        assert!(failures.find(&who(249_999), now).is_some() && failures.find(&who(120_000), now).is_some());
        assert!(failures.find(&who(0), now).is_none());
    }
}
