//! Threads that deliver.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use envelope::QueueId;

use crate::delivery::{Job, Outcome, Terms, deliver};

/// Jobs that one thread takes at a time: enough to share the sync of a directory, few enough that
/// the other threads have work.
const BATCH_MAX: usize = 16;

type Done = Box<dyn FnOnce(Outcome) + Send>;

/// What makes two deliveries write the same file.
type Key = (QueueId, u32);

fn key(job: &Job) -> Key {
    (job.id, job.recipient_number)
}

/// Threads that take jobs as they come. Dropped, they finish what waits and end.
pub struct Pool {
    shared: Arc<Shared>,
    threads: usize,
}

struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<(Job, Done)>,
    /// Deliveries in hand, with those of the same file that came meanwhile and wait: a queue that
    /// was killed and started again sends what its predecessor had sent.
    in_hand: HashMap<Key, Vec<(Job, Done)>>,
    idle: usize,
    closed: bool,
}

impl Pool {
    /// Starts so many threads.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(threads: usize, terms: &Terms) -> std::io::Result<Pool> {
        let shared = Arc::new(Shared { waiting: Mutex::default(), arrived: Condvar::new() });
        let pool = Pool { shared: Arc::clone(&shared), threads };
        for number in 0..threads {
            let (shared, terms) = (Arc::clone(&shared), terms.clone());
            thread::Builder::new()
                .name(format!("deliver-{number}"))
                .spawn(move || shared.work(threads, &terms))?;
        }
        Ok(pool)
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Delivers when a thread is free; `done` is called there with the outcome.
    pub fn submit(&self, job: Job, done: impl FnOnce(Outcome) + Send + 'static) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.jobs.push_back((job, Box::new(done)));
        let someone_sleeps = waiting.idle > 0;
        drop(waiting);
        if someone_sleeps {
            self.shared.arrived.notify_one();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.arrived.notify_all();
    }
}

impl Shared {
    fn work(&self, threads: usize, terms: &Terms) {
        while let Some(batch) = self.take(threads) {
            let (jobs, done): (Vec<Job>, Vec<Done>) = batch.into_iter().unzip();
            // A fault of ours must not cost the thread, nor leave somebody without an answer.
            let outcomes = catch_unwind(AssertUnwindSafe(|| deliver(&jobs, terms)));
            let outcomes = outcomes.unwrap_or_else(|_| {
                let reason = "Temporary error on maildir delivery. (#4.3.0)".to_string();
                vec![Outcome::Deferred { reason }; jobs.len()]
            });
            self.let_go(&jobs);
            for (outcome, done) in outcomes.into_iter().zip(done) {
                done(outcome);
            }
        }
    }

    /// These are done: whoever waited for one of them is next.
    fn let_go(&self, jobs: &[Job]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for job in jobs {
            for (mut next, done) in waiting.in_hand.remove(&key(job)).unwrap_or_default() {
                next.repeat = true;
                waiting.jobs.push_front((next, done));
            }
        }
    }

    /// Waits for work and takes a fair share of it: all threads busy is better than one with all.
    fn take(&self, threads: usize) -> Option<Vec<(Job, Done)>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if !waiting.jobs.is_empty() {
                let share = waiting.jobs.len().div_ceil(threads).clamp(1, BATCH_MAX);
                let mut batch = Vec::with_capacity(share);
                while batch.len() < share
                    && let Some((job, done)) = waiting.jobs.pop_front()
                {
                    match waiting.in_hand.entry(key(&job)) {
                        Entry::Occupied(mut in_hand) => in_hand.get_mut().push((job, done)),
                        Entry::Vacant(free) => {
                            free.insert(Vec::new());
                            batch.push((job, done));
                        }
                    }
                }
                if !batch.is_empty() {
                    return Some(batch);
                }
                continue;
            }
            if waiting.closed {
                return None;
            }
            waiting.idle += 1;
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use envelope::{Limit, QueueId, ReversePath};
    use mailbox::Maildir;
    use std::sync::mpsc;
    use std::time::Duration;

    fn terms() -> Terms {
        Terms { host: "mail.pobox.example".parse().unwrap(), full_grace: Duration::ZERO }
    }

    #[test]
    fn a_delivery_that_comes_twice_at_once_is_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = dir.path().join("abc");
        mailbox::Maildir::create(&maildir).unwrap();
        let pool = Pool::start(8, &terms()).unwrap();
        let (sender, outcomes) = mpsc::channel();
        for _ in 0..40 {
            let job = Job {
                id: QueueId::from_u64(7),
                arrived: 1,
                reverse_path: ReversePath::Null,
                recipient_number: 0,
                delivered_to: "abc@pobox.example".parse().unwrap(),
                maildir: Maildir::at(&maildir),
                quota: Limit::Unlimited,
                content: Content::Memory("Subject: x\r\n\r\nhi\r\n".into()),
                repeat: false,
            };
            let sender = sender.clone();
            pool.submit(job, move |outcome| sender.send(outcome).unwrap());
        }
        drop((pool, sender));
        assert_eq!(outcomes.iter().filter(|o| matches!(o, Outcome::Delivered { .. })).count(), 40);
        assert_eq!(std::fs::read_dir(maildir.join("new")).unwrap().count(), 1);
    }

    #[test]
    fn every_job_is_done_once_even_if_the_pool_is_dropped_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..5 {
            mailbox::Maildir::create(&dir.path().join(format!("a{number}"))).unwrap();
        }
        let pool = Pool::start(4, &terms()).unwrap();
        let (sender, outcomes) = mpsc::channel();
        for number in 0..200u64 {
            let account = format!("a{}", number % 5);
            let job = Job {
                id: QueueId::from_u64(number),
                arrived: 1,
                reverse_path: ReversePath::Null,
                recipient_number: 0,
                delivered_to: format!("{account}@pobox.example").parse().unwrap(),
                maildir: Maildir::at(dir.path().join(&account)),
                quota: Limit::Unlimited,
                content: Content::Memory("Subject: x\r\n\r\nhi\r\n".into()),
                repeat: false,
            };
            let sender = sender.clone();
            pool.submit(job, move |outcome| sender.send(outcome).unwrap());
        }
        drop((pool, sender));
        let outcomes: Vec<Outcome> = outcomes.iter().collect();
        assert_eq!(outcomes.len(), 200);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered { .. })));
        let files = std::fs::read_dir(dir.path().join("a0/new")).unwrap().count();
        assert_eq!(files, 40);
    }
}
