//! When a recipient is tried again: qmail's quadratic back-off. Pure arithmetic on seconds.

/// How long a message is tried before what is left of it fails: 7 days, in seconds, as qmail does.
pub const LIFETIME: u64 = 7 * 86_400;
/// How long a bounce is tried: 1 day, in seconds. Nobody waits for an old bounce.
pub const BOUNCE_LIFETIME: u64 = 86_400;

/// Which way a recipient's mail goes, which sets the pace of its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// To a mailbox of ours: 100 s, 400 s, 900 s after arrival …
    Local,
    /// To another host: 400 s, 1600 s, 3600 s after arrival …
    Remote,
}

impl Channel {
    fn pace(self) -> u64 {
        match self {
            Channel::Local => 10,
            Channel::Remote => 20,
        }
    }
}

/// When a recipient that could not be served at `now` is tried next.
///
/// All times are seconds since 1970. The gaps widen: `arrival + (⌊√(now − arrival)⌋ + c)²` with c
/// = 10 for [`Channel::Local`] and 20 for [`Channel::Remote`], as qmail does. A message from the
/// future counts as new.
pub fn next_attempt(channel: Channel, arrival: u64, now: u64) -> u64 {
    let step = now.saturating_sub(arrival).isqrt() + channel.pace();
    arrival.saturating_add(step.saturating_mul(step))
}

/// Whether an attempt that begins at `now` is the last: what is deferred then has failed.
///
/// `arrival` and `now` are seconds since 1970, `lifetime` is in seconds.
pub fn is_last_attempt(lifetime: u64, arrival: u64, now: u64) -> bool {
    now > arrival.saturating_add(lifetime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attempts(channel: Channel) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0), move |now| Some(next_attempt(channel, 0, *now))).skip(1)
    }

    #[test]
    fn the_gaps_are_those_of_qmail() {
        let local: Vec<u64> = attempts(Channel::Local).take(10).collect();
        assert_eq!(local, [100, 400, 900, 1600, 2500, 3600, 4900, 6400, 8100, 10_000]);
        let remote: Vec<u64> = attempts(Channel::Remote).take(10).collect();
        assert_eq!(remote, [400, 1600, 3600, 6400, 10_000, 14_400, 19_600, 25_600, 32_400, 40_000]);
    }

    #[test]
    fn the_last_attempt_comes_seven_days_and_an_hour_after_arrival() {
        for (channel, count) in [(Channel::Local, 78), (Channel::Remote, 39)] {
            let last = attempts(channel).find(|now| is_last_attempt(LIFETIME, 0, *now)).unwrap();
            assert_eq!(last, 608_400);
            // The first attempt, at arrival, is not among the retries.
            assert_eq!(attempts(channel).take_while(|now| *now <= last).count(), count);
        }
    }

    proptest! {
        #[test]
        fn the_next_attempt_is_never_before_now(arrival: u64, now: u64) {
            for channel in [Channel::Local, Channel::Remote] {
                let next = next_attempt(channel, arrival, now);
                prop_assert!(next > now || now < arrival || next == u64::MAX);
                prop_assert!(next >= arrival);
            }
        }
    }
}
