//! How much each destination can take: a domain, or the host that a route leads to.
//!
//! So many messages may be on their way to one destination at a time; the number grows while all goes
//! well, and is halved when its hosts say "not now" or fall silent (additive increase, multiplicative
//! decrease). A destination of which no host can be reached is left alone for a while that doubles each
//! time; then one message tries for all.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How fast, and when not.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The most messages on their way to one destination at a time.
    pub concurrency_max: usize,
    /// How many a destination that we do not know gets at first.
    pub concurrency_first: usize,
    /// How long a message waits for its turn before it is deferred.
    pub turn: Duration,
    /// How much later than the last one to the same destination a message begins; nothing by default.
    pub interval: Duration,
    /// The first pause after a destination could not be reached.
    pub pause: Duration,
    /// The longest.
    pub pause_max: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            concurrency_max: 20,
            concurrency_first: 5,
            turn: Duration::from_secs(60),
            interval: Duration::ZERO,
            pause: Duration::from_secs(30),
            pause_max: Duration::from_secs(30 * 60),
        }
    }
}

/// How a destination does, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// A domain, or host and port of a route.
    pub destination: String,
    /// Messages on their way now.
    pub active: usize,
    /// Messages that wait for their turn.
    pub waiting: usize,
    /// How many may be on their way.
    pub limit: usize,
    /// Attempts in a row that met trouble.
    pub failures: u32,
    /// How long it is still left alone.
    pub pause: Option<Duration>,
    /// What went wrong last.
    pub last_trouble: Option<String>,
}

/// What an attempt tells of its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It takes mail.
    Good,
    /// Nothing.
    Unknown,
    /// It said "not now" to all, or fell silent.
    Congested(String),
    /// None of its hosts could be reached.
    Unreachable(String),
}

/// Why an attempt may not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotNow {
    /// It is left alone for so long, because of this.
    Paused(Duration, String),
    /// Too many are before it.
    Busy,
}

#[derive(Clone)]
pub(crate) struct Destinations {
    pace: Pace,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    destinations: HashMap<Arc<str>, Destination>,
    /// At so many, those that tell nothing are forgotten.
    forget_at: usize,
}

struct Destination {
    limit: f64,
    active: usize,
    waiting: usize,
    failures: u32,
    paused_until: Option<Instant>,
    halved: Option<Instant>,
    used: Instant,
    /// When the next message may begin.
    next: Instant,
    last_trouble: Option<String>,
    turn: Arc<Notify>,
}

/// The right to one attempt. It is given back when this is dropped.
pub(crate) struct Turn {
    destinations: Destinations,
    name: Arc<str>,
    verdict: Verdict,
}

impl Turn {
    /// Says what the attempt told of the destination.
    pub(crate) fn end(mut self, verdict: Verdict) {
        self.verdict = verdict;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let verdict = std::mem::replace(&mut self.verdict, Verdict::Unknown);
        self.destinations.ended(&self.name, verdict);
    }
}

impl Destinations {
    pub(crate) fn new(pace: Pace) -> Destinations {
        Destinations { pace, known: Arc::default() }
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self, name: &Arc<str>) -> Result<Turn, NotNow> {
        let until = Instant::now() + self.pace.turn;
        loop {
            let (called, begins) = {
                let mut known = self.lock();
                let now = Instant::now();
                let destination = known.destination(name, &self.pace, now);
                if let Some(pause) = destination.pause(now) {
                    return Err(NotNow::Paused(pause, destination.last_trouble.clone().unwrap_or_default()));
                }
                if destination.active < destination.limit() {
                    let begins = destination.next.max(now);
                    if begins > until {
                        return Err(NotNow::Busy);
                    }
                    destination.active += 1;
                    destination.used = now;
                    destination.next = begins + self.pace.interval;
                    (None, begins)
                } else {
                    destination.waiting += 1;
                    (Some(Arc::clone(&destination.turn)), now)
                }
            };
            let Some(called) = called else {
                let turn =
                    Turn { destinations: self.clone(), name: Arc::clone(name), verdict: Verdict::Unknown };
                if begins > Instant::now() {
                    sleep_until(begins).await;
                }
                return Ok(turn);
            };
            let waiting = Waiting { destinations: self, name };
            let mut called = pin!(called.notified());
            called.as_mut().enable();
            // A turn that was given back before this task listened would wake nobody.
            let free = self.lock().destinations.get(name).is_none_or(|d| d.active < d.limit());
            if !free && timeout_at(until, called).await.is_err() {
                return Err(NotNow::Busy);
            }
            drop(waiting);
        }
    }

    /// How many more messages may be on their way there at once, and for how long none.
    pub(crate) fn room(&self, name: &str) -> (usize, Option<Duration>) {
        let known = self.lock();
        let Some(destination) = known.destinations.get(name) else {
            return (self.pace.concurrency_first, None);
        };
        match destination.pause(Instant::now()) {
            Some(pause) => (0, Some(pause)),
            None => (destination.limit().saturating_sub(destination.active + destination.waiting), None),
        }
    }

    /// All that are in use or in trouble, by name.
    pub(crate) fn health(&self) -> Vec<Health> {
        let known = self.lock();
        let now = Instant::now();
        let mut all: Vec<Health> = known
            .destinations
            .iter()
            .map(|(name, destination)| Health {
                destination: name.to_string(),
                active: destination.active,
                waiting: destination.waiting,
                limit: destination.limit(),
                failures: destination.failures,
                pause: destination.pause(now),
                last_trouble: destination.last_trouble.clone(),
            })
            .collect();
        all.sort_by(|a, b| a.destination.cmp(&b.destination));
        all
    }

    /// Ends a pause, as an operator may wish who knows better.
    pub(crate) fn resume(&self, name: &str) {
        if let Some(destination) = self.lock().destinations.get_mut(name) {
            destination.paused_until = None;
            destination.failures = 0;
            destination.turn.notify_waiters();
        }
    }

    fn ended(&self, name: &str, verdict: Verdict) {
        let mut known = self.lock();
        if let Some(destination) = known.destinations.get_mut(name) {
            destination.active -= 1;
            destination.judge(verdict, &self.pace, Instant::now());
            if destination.paused_until.is_some() {
                destination.turn.notify_waiters();
            } else {
                destination.turn.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing in here is left half done by a panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for a turn, until this is dropped.
struct Waiting<'a> {
    destinations: &'a Destinations,
    name: &'a str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(destination) = self.destinations.lock().destinations.get_mut(self.name) {
            destination.waiting -= 1;
        }
    }
}

impl Known {
    fn destination(&mut self, name: &Arc<str>, pace: &Pace, now: Instant) -> &mut Destination {
        if self.destinations.len() >= self.forget_at {
            self.destinations.retain(|_, destination| !destination.tells_nothing(now));
            self.forget_at = 2 * self.destinations.len() + 1024;
        }
        self.destinations.entry(Arc::clone(name)).or_insert_with(|| Destination {
            limit: pace.concurrency_first.clamp(1, pace.concurrency_max.max(1)) as f64,
            active: 0,
            waiting: 0,
            failures: 0,
            paused_until: None,
            halved: None,
            used: now,
            next: now,
            last_trouble: None,
            turn: Arc::default(),
        })
    }
}

impl Destination {
    fn limit(&self) -> usize {
        // From 1 to the configured maximum.
        self.limit as usize
    }

    fn pause(&self, now: Instant) -> Option<Duration> {
        self.paused_until.and_then(|until| until.checked_duration_since(now)).filter(|pause| !pause.is_zero())
    }

    fn judge(&mut self, verdict: Verdict, pace: &Pace, now: Instant) {
        self.used = now;
        match verdict {
            Verdict::Unknown => {}
            Verdict::Good => {
                self.failures = 0;
                self.paused_until = None;
                self.last_trouble = None;
                // One more after a round of as many as may be on their way.
                self.limit = (self.limit + 1.0 / self.limit).min(pace.concurrency_max.max(1) as f64);
            }
            Verdict::Congested(trouble) => {
                self.last_trouble = Some(trouble);
                self.failures += 1;
                // Those that were on their way at the same time met the same trouble.
                if self.halved.is_none_or(|halved| now >= halved + Duration::from_secs(1)) {
                    self.limit = (self.limit / 2.0).max(1.0);
                    self.halved = Some(now);
                }
                if self.failures >= 10 && self.limit() == 1 {
                    self.rest(self.failures - 9, pace, now);
                }
            }
            Verdict::Unreachable(trouble) => {
                self.last_trouble = Some(trouble);
                if self.pause(now).is_none() {
                    self.failures += 1;
                    self.limit = 1.0;
                    self.rest(self.failures, pace, now);
                }
            }
        }
    }

    fn rest(&mut self, times: u32, pace: &Pace, now: Instant) {
        let pause = (pace.pause * 2u32.pow((times.max(1) - 1).min(16))).min(pace.pause_max);
        self.paused_until = Some(now + pause);
    }

    fn tells_nothing(&self, now: Instant) -> bool {
        let idle = now.duration_since(self.used);
        // Trouble is remembered for longer than the longest pause.
        let memory = if self.failures == 0 { 600 } else { 4 * 3600 };
        self.active == 0 && self.waiting == 0 && idle >= Duration::from_secs(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace { concurrency_max: 8, concurrency_first: 4, ..Pace::default() }
    }

    fn name() -> Arc<str> {
        "x.example".into()
    }

    async fn attempt(destinations: &Destinations, verdict: Verdict) {
        destinations.turn(&name()).await.unwrap_or_else(|why| panic!("{why:?}")).end(verdict);
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_well_gets_more_and_trouble_halves_it() {
        let destinations = Destinations::new(pace());
        for _ in 0..100 {
            attempt(&destinations, Verdict::Good).await;
        }
        assert_eq!(destinations.room("x.example").0, 8);
        for limit in [4, 2, 1, 1] {
            attempt(&destinations, Verdict::Congested("421".into())).await;
            attempt(&destinations, Verdict::Congested("421".into())).await;
            assert_eq!(destinations.room("x.example").0, limit);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(destinations.health()[0].last_trouble.as_deref(), Some("421"));
        attempt(&destinations, Verdict::Good).await;
        assert_eq!(destinations.health()[0].failures, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_with_a_rate_gets_no_more_than_that() {
        let pace = Pace { interval: Duration::from_secs(2), turn: Duration::from_secs(7), ..pace() };
        let destinations = Destinations::new(pace);
        let begun = Instant::now();
        let mut turns = Vec::new();
        for number in 0..4u32 {
            turns.push(destinations.turn(&name()).await.unwrap_or_else(|why| panic!("{why:?}")));
            assert_eq!(begun.elapsed().as_secs(), u64::from(2 * number));
        }
        drop(turns);
        // Elsewhere nobody waits; and who would wait for too long is told so.
        destinations
            .turn(&"y.example".into())
            .await
            .unwrap_or_else(|why| panic!("{why:?}"))
            .end(Verdict::Good);
        assert_eq!(begun.elapsed().as_secs(), 6);
        let slow = Pace { interval: Duration::from_secs(60), ..pace };
        let destinations = Destinations::new(slow);
        attempt(&destinations, Verdict::Good).await;
        assert!(matches!(destinations.turn(&name()).await, Err(NotNow::Busy)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_reached_is_left_alone_for_growing_times() {
        let destinations = Destinations::new(pace());
        for seconds in [30, 60, 120, 240, 480, 960, 1800, 1800] {
            attempt(&destinations, Verdict::Unreachable("no route".into())).await;
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            match destinations.turn(&name()).await {
                Err(NotNow::Paused(pause, why)) => {
                    assert_eq!((pause, why.as_str()), (Duration::from_secs(1), "no route"))
                }
                _ => panic!("no pause of {seconds} s"),
            }
            assert_eq!(destinations.room("x.example"), (0, Some(Duration::from_secs(1))));
            tokio::time::advance(Duration::from_secs(1)).await;
            // One tries for all.
            assert_eq!(destinations.room("x.example"), (1, None));
        }
        destinations.resume("x.example");
        attempt(&destinations, Verdict::Good).await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_a_turn_or_is_told_that_it_is_busy() {
        let destinations = Destinations::new(Pace { concurrency_first: 1, concurrency_max: 1, ..pace() });
        let first = destinations.turn(&name()).await.unwrap_or_else(|_| panic!("busy"));
        let other = destinations.clone();
        let second = tokio::spawn(async move { other.turn(&name()).await.is_ok() });
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert_eq!((destinations.health()[0].active, destinations.health()[0].waiting), (1, 1));
        drop(first);
        assert!(second.await.unwrap());
        let _first = destinations.turn(&name()).await.unwrap_or_else(|_| panic!("busy"));
        assert_eq!(destinations.turn(&name()).await.err(), Some(NotNow::Busy));
        assert_eq!(destinations.health()[0].waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn destinations_that_tell_nothing_are_forgotten() {
        let destinations = Destinations::new(pace());
        for n in 0..5000 {
            let name: Arc<str> = format!("{n}.example").into();
            drop(destinations.turn(&name).await);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(destinations.health().len() < 2500);
    }
}
