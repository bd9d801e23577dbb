//! Events on their way to the directory, which keeps the record of them.
//!
//! They go in batches, behind the mail's back: whoever notes one appends it to a list and goes on. While
//! the directory is away or slow they lag. What is beyond the room for them is lost, and the log says how
//! many they were.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use envelope::Host;
use envelope::event::{Event, WORDS_MAX, Words};
use link::services::directory::{Directory, Request, Response};
use link::{CallError, Client};
use message::fields;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// The most events of a batch.
const BATCH: usize = 500;
/// Octets of addresses in a batch of more than one event, so that with whatever others said it fits a
/// frame.
const BATCH_OCTETS: usize = 1 << 20;
/// How long the first event of a batch waits for others.
const GATHER: Duration = Duration::from_millis(200);
/// The most events that wait, and octets of their addresses.
const WAITING_MAX: usize = 20_000;
const WAITING_OCTETS_MAX: usize = 16 << 20;
/// The pause after a batch that could not be recorded, which doubles each time, and its longest.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long the end of a role waits for its last events to be recorded.
const FINISH_PATIENCE: Duration = Duration::from_secs(2);

/// The events of one role. Clones share them.
#[derive(Clone)]
pub struct EventNotes(Arc<Shared>);

struct Shared {
    /// None where no record is kept.
    directory: Option<Client<Directory>>,
    waiting: Mutex<Waiting>,
    /// There is a first event, or a whole batch.
    arrived: Notify,
    full: Notify,
    /// Nothing waits any more.
    idle: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// Those in a batch under way.
    in_hand: usize,
    /// Octets of all their addresses.
    octets: usize,
    lost: usize,
    finishing: bool,
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.events.is_empty() && self.in_hand == 0
    }
}

impl EventNotes {
    /// Events for the record of this directory, unless that keeps none. [`EventNotes::run`] sends them.
    pub fn new(directory: Client<Directory>, days: u32) -> EventNotes {
        EventNotes(Arc::new(Shared {
            directory: (days > 0).then_some(directory),
            waiting: Mutex::default(),
            arrived: Notify::new(),
            full: Notify::new(),
            idle: Notify::new(),
        }))
    }

    /// Notes what happened. Never waits.
    pub fn note(&self, event: Event) {
        if self.0.directory.is_none() {
            return;
        }
        let octets = octets(&event);
        let count = {
            let mut waiting = self.lock();
            let room = waiting.events.len() + waiting.in_hand < WAITING_MAX;
            if !room || waiting.octets + octets > WAITING_OCTETS_MAX {
                waiting.lost += 1;
                return;
            }
            waiting.octets += octets;
            waiting.events.push_back(event);
            waiting.events.len()
        };
        match count {
            1 => self.0.arrived.notify_one(),
            BATCH => self.0.full.notify_one(),
            _ => {}
        }
    }

    /// Sends what is noted, as long as the role lives.
    pub async fn run(self) {
        let Some(directory) = &self.0.directory else { return };
        loop {
            let (count, finishing) = {
                let waiting = self.lock();
                (waiting.events.len(), waiting.finishing)
            };
            if count == 0 {
                self.0.idle.notify_waiters();
                self.0.arrived.notified().await;
                continue;
            }
            if count < BATCH && !finishing {
                let _ = timeout(GATHER, self.0.full.notified()).await;
            }
            let (batch, octets) = self.take();
            let lost = record(directory, batch, &self).await;
            let mut waiting = self.lock();
            waiting.octets -= octets;
            waiting.in_hand = 0;
            waiting.lost += lost;
            drop(waiting);
            self.tell_lost();
        }
    }

    /// Waits until all that was noted is recorded, a moment at most. Whatever is left then is lost.
    pub async fn finish(&self) {
        if self.0.directory.is_none() {
            return;
        }
        self.lock().finishing = true;
        self.0.arrived.notify_one();
        self.0.full.notify_one();
        let recorded = async {
            loop {
                let idle = self.0.idle.notified();
                if self.lock().is_idle() {
                    return;
                }
                idle.await;
            }
        };
        if timeout(FINISH_PATIENCE, recorded).await.is_err() {
            let mut waiting = self.lock();
            waiting.lost += waiting.events.len() + waiting.in_hand;
            drop(waiting);
            self.tell_lost();
        }
    }

    /// The next batch, and the octets of its addresses.
    fn take(&self) -> (Vec<Event>, usize) {
        let mut waiting = self.lock();
        let (mut count, mut total) = (0, 0);
        for event in waiting.events.iter().take(BATCH) {
            let octets = octets(event);
            if count > 0 && total + octets > BATCH_OCTETS {
                break;
            }
            count += 1;
            total += octets;
        }
        waiting.in_hand = count;
        (waiting.events.drain(..count).collect(), total)
    }

    fn tell_lost(&self) {
        let lost = std::mem::take(&mut self.lock().lost);
        if lost > 0 {
            warn!(event = "events_lost", lost, "the record of events lacks these: it was away, or too slow");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a batch recorded, however long that takes. Gives how many events cannot be.
async fn record(directory: &Client<Directory>, batch: Vec<Event>, notes: &EventNotes) -> usize {
    let mut pause = PAUSE;
    loop {
        match directory.call(Request::Note(batch.clone())).await.map(|answer| answer.value) {
            Ok(Response::Done) => return 0,
            // The directory's log says why.
            Ok(_) => {}
            Err(CallError::Absent(_) | CallError::Lost(_) | CallError::Late(_)) => {}
            Err(error) => {
                warn!(event = "events_refused", %error);
                return batch.len();
            }
        }
        notes.tell_lost();
        sleep(pause).await;
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

/// Octets of an event's addresses, rather too many. What else there is has its bound.
fn octets(event: &Event) -> usize {
    let of_host = |host: &Host| match host {
        Host::Domain(domain) => domain.as_str().len(),
        Host::Literal(_) => 48,
    };
    event.what.addresses().map(|it| it.local_part.as_str().len() + of_host(&it.host) + 48).sum()
}

/// The Message-ID of a message that begins so.
pub fn message_id(octets: &[u8]) -> Option<Words> {
    let field = fields(octets).find(|field| field.is("Message-ID"))?;
    // As many octets as the characters that are kept may have.
    let body = &field.body[..field.body.len().min(4 * WORDS_MAX)];
    Some(Words::new(&String::from_utf8_lossy(body))).filter(|id| !id.as_str().is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use envelope::event::What;
    use envelope::{Address, QueueId};
    use link::{Parcel, serve};

    use super::*;

    /// What a directory was told, batch by batch.
    type Told = Arc<Mutex<Vec<Vec<Event>>>>;

    fn event(number: u64, to: &str) -> Event {
        let to: Address = to.parse().unwrap();
        let what = What::Forwarded { recipient: to, id: QueueId::from_u64(number), to: Vec::new() };
        Event { at: number, queue_id: Some(QueueId::from_u64(number)), what }
    }

    fn notes() -> EventNotes {
        EventNotes::new(Client::new(Duration::from_secs(5)), 30)
    }

    /// A directory that answers so.
    fn attach(notes: &EventNotes, told: &Told, answer: fn() -> Option<Response>) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        notes.0.directory.as_ref().unwrap().attach(ours, || {}).unwrap();
        let (told, kill) = (Arc::clone(told), theirs.try_clone().unwrap());
        tokio::spawn(serve::<Directory>(
            theirs,
            |_| {},
            move |request: Parcel<Request>, responder| {
                let Request::Note(events) = request.value else { panic!("nobody should ask this") };
                told.lock().unwrap().push(events);
                if let Some(answer) = answer() {
                    responder.send(answer);
                }
            },
        ));
        kill
    }

    fn numbers(told: &Told) -> Vec<u64> {
        told.lock().unwrap().iter().flatten().map(|event| event.at).collect()
    }

    #[tokio::test]
    async fn events_go_in_batches_and_in_their_order() {
        let (notes, told) = (notes(), Told::default());
        let _alive = attach(&notes, &told, || Some(Response::Done));
        for number in 0..1200 {
            notes.note(event(number, "a@x.example"));
        }
        tokio::spawn(notes.clone().run());
        notes.finish().await;
        assert_eq!(numbers(&told), (0..1200).collect::<Vec<_>>());
        let sizes: Vec<usize> = told.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [500, 500, 200]);
    }

    #[tokio::test]
    async fn few_events_wait_for_one_another() {
        let (notes, told) = (notes(), Told::default());
        let _alive = attach(&notes, &told, || Some(Response::Done));
        tokio::spawn(notes.clone().run());
        for number in 0..5 {
            notes.note(event(number, "a@x.example"));
            sleep(Duration::from_millis(10)).await;
        }
        sleep(3 * GATHER).await;
        assert_eq!(told.lock().unwrap().len(), 1);
        assert_eq!(numbers(&told), [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn a_batch_that_was_not_recorded_is_sent_again() {
        let (notes, told) = (notes(), Told::default());
        tokio::spawn(notes.clone().run());
        notes.note(event(7, "a@x.example"));
        // Cannot write, and dies.
        let first = attach(&notes, &told, || Some(Response::Unavailable));
        while told.lock().unwrap().is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
        first.shutdown(std::net::Shutdown::Both).unwrap();
        let again = Told::default();
        let _alive = attach(&notes, &again, || Some(Response::Done));
        notes.finish().await;
        assert_eq!(numbers(&again), [7]);
    }

    #[tokio::test]
    async fn what_the_directory_refuses_is_lost_and_holds_nothing_up() {
        let (notes, told) = (notes(), Told::default());
        let _alive = attach(&notes, &told, || None);
        tokio::spawn(notes.clone().run());
        notes.note(event(1, "a@x.example"));
        notes.finish().await;
        assert_eq!(numbers(&told), [1]);
        let waiting = notes.lock();
        assert_eq!((waiting.octets, waiting.in_hand, waiting.events.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_beyond_the_room_is_counted_as_lost() {
        let notes = notes();
        for number in 0..WAITING_MAX as u64 + 3 {
            notes.note(event(number, "a@x.example"));
        }
        let waiting = notes.lock();
        assert_eq!((waiting.events.len(), waiting.lost), (WAITING_MAX, 3));
        drop(waiting);
        let none = EventNotes::new(Client::new(Duration::ZERO), 0);
        none.note(event(1, "a@x.example"));
        assert!(none.lock().events.is_empty());
    }

    #[test]
    fn long_lists_of_recipients_are_batches_of_their_own() {
        let notes = notes();
        let longest: Address = format!("{}@{}.example", "a".repeat(64), "b".repeat(60)).parse().unwrap();
        for number in 0..3 {
            let mut long = event(number, "a@x.example");
            let to = vec![longest.clone(); 10_000];
            long.what = What::Forwarded { recipient: longest.clone(), id: QueueId::from_u64(1), to };
            notes.note(long);
            notes.note(event(number, "a@x.example"));
        }
        let sizes: Vec<usize> = std::iter::repeat_with(|| notes.take().0.len()).take(6).collect();
        assert_eq!(sizes, [1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_message_id_is_found_in_the_header_alone() {
        let id = |text: &str| message_id(text.as_bytes()).map(|id| id.to_string());
        assert_eq!(id("Received: x\r\nmessage-id:\r\n <1@x>\r\n\r\n").as_deref(), Some("<1@x>"));
        assert_eq!(id("Received: x\r\n\r\nMessage-ID: <1@x>\r\n"), None);
        assert_eq!(id("Message-ID: \r\n\r\n"), None);
    }
}
