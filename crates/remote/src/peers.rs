//! What is remembered of the hosts that we met: which of them cannot be reached, as in qmail's `tcpto`,
//! and what is not to be tried with them again for a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::routes::TlsPolicy;
use crate::tls::Features;

/// How long a host is treated with care after it failed at something.
const CARE: Duration = Duration::from_secs(3600);
/// How long a host is left alone after it could not be reached twice; then twice as long, and so on.
const PAUSE: Duration = Duration::from_secs(60);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Beyond so many, those that are forgotten anyway are looked for.
const PEERS: usize = 4096;

/// With what care a host is met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Care {
    pub(crate) tls: Tls,
    /// BDAT did not work there.
    pub(crate) no_chunking: bool,
}

/// What of TLS did not work there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Try(Features),
    Not,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls::Try(Features::All)
    }
}

impl Care {
    /// What to try after the handshake failed; `None` if there is nothing that the policy allows.
    pub(crate) fn after_tls_failure(self, policy: TlsPolicy) -> Option<Care> {
        let tls = match self.tls {
            Tls::Try(Features::All) => Tls::Try(Features::Modest),
            Tls::Try(Features::Modest) if policy == TlsPolicy::Opportunistic => Tls::Not,
            Tls::Try(Features::Modest) | Tls::Not => return None,
        };
        Some(Care { tls, ..self })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<HashMap<SocketAddr, Peer>>);

#[derive(Debug, Clone, Copy)]
struct Peer {
    care: Care,
    care_ends: Instant,
    failures: u32,
    down_until: Instant,
}

impl Peers {
    pub(crate) fn care(&self, address: SocketAddr, now: Instant) -> Care {
        let peers = self.lock();
        peers.get(&address).filter(|peer| now < peer.care_ends).map(|peer| peer.care).unwrap_or_default()
    }

    pub(crate) fn set_care(&self, address: SocketAddr, care: Care, now: Instant) {
        let mut peers = self.lock();
        let peer = entry(&mut peers, address, now);
        peer.care = care;
        peer.care_ends = now + CARE;
    }

    /// Whether it could not be reached of late, more than once.
    pub(crate) fn is_down(&self, address: SocketAddr, now: Instant) -> bool {
        self.lock().get(&address).is_some_and(|peer| now < peer.down_until)
    }

    /// It could not be reached.
    pub(crate) fn unreachable(&self, address: SocketAddr, now: Instant) {
        let mut peers = self.lock();
        let peer = entry(&mut peers, address, now);
        // Many messages may find out at the same time.
        if now < peer.down_until {
            return;
        }
        peer.failures += 1;
        if peer.failures > 1 {
            let doublings = (peer.failures - 2).min(10);
            peer.down_until = now + (PAUSE * 2u32.pow(doublings)).min(PAUSE_MAX);
        }
    }

    /// It could be reached.
    pub(crate) fn reachable(&self, address: SocketAddr, now: Instant) {
        if let Some(peer) = self.lock().get_mut(&address) {
            peer.failures = 0;
            peer.down_until = now;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Peer>> {
        // Nothing in here is left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(peers: &mut HashMap<SocketAddr, Peer>, address: SocketAddr, now: Instant) -> &mut Peer {
    if peers.len() >= PEERS && !peers.contains_key(&address) {
        peers.retain(|_, peer| now < peer.care_ends || now < peer.down_until + PAUSE_MAX);
        if peers.len() >= 2 * PEERS {
            peers.clear();
        }
    }
    peers.entry(address).or_insert(Peer {
        care: Care::default(),
        care_ends: now,
        failures: 0,
        down_until: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_left_alone_for_growing_times_after_the_second_failure() {
        let peers = Peers::default();
        let address = "192.0.2.1:25".parse().unwrap();
        let mut now = Instant::now();
        peers.unreachable(address, now);
        assert!(!peers.is_down(address, now));
        for seconds in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            peers.unreachable(address, now);
            peers.unreachable(address, now);
            assert!(peers.is_down(address, now + Duration::from_secs(seconds - 1)), "{seconds}");
            now += Duration::from_secs(seconds);
            assert!(!peers.is_down(address, now), "{seconds}");
        }
        peers.reachable(address, now);
        peers.unreachable(address, now);
        assert!(!peers.is_down(address, now));
    }

    #[test]
    fn clear_text_is_the_last_resort_and_only_where_it_may_be() {
        let modest = Care::default().after_tls_failure(TlsPolicy::Verify).unwrap();
        assert_eq!(modest.tls, Tls::Try(Features::Modest));
        assert_eq!(modest.after_tls_failure(TlsPolicy::Verify), None);
        assert_eq!(modest.after_tls_failure(TlsPolicy::Require), None);
        let clear = modest.after_tls_failure(TlsPolicy::Opportunistic).unwrap();
        assert_eq!((clear.tls, clear.after_tls_failure(TlsPolicy::Opportunistic)), (Tls::Not, None));
    }

    #[test]
    fn care_ends_and_memory_has_a_limit() {
        let peers = Peers::default();
        let now = Instant::now();
        let care = Care { no_chunking: true, ..Care::default() };
        for n in 0..20_000u32 {
            let address = SocketAddr::new(std::net::Ipv4Addr::from(n).into(), 25);
            peers.set_care(address, care, now);
            assert!(peers.care(address, now).no_chunking);
            assert!(!peers.care(address, now + CARE).no_chunking);
        }
        assert!(peers.lock().len() <= 2 * PEERS);
    }
}
