//! An operator rules over what lies in the queue: some messages at a time, so that mail flows meanwhile.
//! What an answer says is durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::Actor;
use envelope::event::{What, Words};
use envelope::{Filter, QueueId, Walk};
use link::services::queue::operators::{Act, Answer, Progress};
use message::{Action, Status};
use queue::{Detail, Found, RecipientOutcome};
use tracing::{info, warn};

use super::Queue;
use super::look;
use super::noted;
use super::notices::RecipientReport;
use super::operators::blocking;
use super::scheduler::{InFlight, Scheduler};
use super::settled::Settled;
use crate::roles::event_notes::EventNotes;
use crate::roles::unix_now;

/// How long one page of bounces may take, as each may have to ask for its reader's language.
const PAGE_PATIENCE: Duration = Duration::from_secs(5);

/// Does this with the next messages that are meant, because this operator says so.
pub async fn act(scheduler: &Arc<Scheduler>, act: Act, filter: Filter, walk: Walk, by: &Actor) -> Answer {
    let (queue, notes) = (scheduler.queue.clone(), scheduler.notes.clone());
    if act == Act::Bounce {
        return bounce(scheduler, filter, walk, by).await;
    }
    let by = by.clone();
    blocking(move || {
        look::settle_replies(&queue, &filter, walk);
        let page = queue.search(&filter, walk, Detail::Head);
        let mut done = Done::default();
        let now = unix_now();
        let progress = look::progress(&page);
        for found in page.found {
            let id = found.summary.id;
            let touched = match act {
                Act::Retry => queue.hurry(id, now),
                Act::Hold => queue.set_held(id, true),
                Act::Release => queue.set_held(id, false),
                Act::Remove => {
                    queue.remove(id, |_| {});
                    true
                }
                Act::Bounce => false,
            };
            if touched {
                log(&notes, act, id, &by);
            }
            done.count(found, touched);
        }
        done.answer(&queue, progress)
    })
    .await
}

/// Gives messages back to their senders: the recipients that wait and are meant fail.
async fn bounce(scheduler: &Arc<Scheduler>, filter: Filter, walk: Walk, by: &Actor) -> Answer {
    let queue = scheduler.queue.clone();
    let searched = tokio::task::spawn_blocking(move || {
        look::settle_replies(&queue, &filter, walk);
        queue.search(&filter, walk, Detail::Head)
    });
    let Ok(page) = searched.await else {
        return Answer::Unavailable("the queue failed by a fault of ours; the log says more".into());
    };
    let began = Instant::now();
    let mut progress = look::progress(&page);
    let mut done = Done::default();
    for found in page.found {
        let id = found.summary.id;
        let touched = give_back(scheduler, &found).await;
        if touched {
            log(&scheduler.notes, Act::Bounce, id, by);
        }
        done.count(found, touched);
        if began.elapsed() > PAGE_PATIENCE {
            progress.rest = Some(Walk { after: Some(id), until: progress.until });
            break;
        }
    }
    let queue = scheduler.queue.clone();
    blocking(move || done.answer(&queue, progress)).await
}

/// Lets the recipients that are meant fail, with a report, unless all of them are being tried.
async fn give_back(scheduler: &Arc<Scheduler>, found: &Found) -> bool {
    let queue = &scheduler.queue;
    let id = found.summary.id;
    let numbers = queue.take(id, &found.picked);
    let mut what = InFlight::new(queue.clone(), id, numbers);
    if what.recipients().is_empty() {
        return false;
    }
    let message = match scheduler.load(id).await {
        Ok(message) => message,
        // Nobody can be told what it was: it stays where it is.
        Err(problem) => {
            warn!(event = "queue_unreadable", queue_id = %id, problem);
            return false;
        }
    };
    let reverse_path = message.envelope.reverse_path();
    let mut settled = Vec::with_capacity(what.recipients().len());
    let mut events = Vec::with_capacity(what.recipients().len());
    for &number in what.recipients() {
        let place = number as usize;
        let Some(recipient) = message.envelope.recipients().get(place) else { continue };
        let last = message.recipients.get(place).map_or("", |state| &state.last_reply);
        let reason = reason(last);
        events.push(noted::event(
            id,
            What::Failed {
                recipient: recipient.address().clone(),
                status: "5.7.0".into(),
                peer: None,
                reply: Words::new(&reason),
            },
        ));
        let mut one = Settled::plain(number, RecipientOutcome::Failed { reply: reason.clone() });
        let wishes = message.envelope.wishes_for(place);
        if wishes.wants_failure() {
            let address = recipient.address().clone();
            let report = RecipientReport::new(address, Action::Failed, Status::new(5, 7, 0), reason);
            let original = wishes.original.clone();
            let report = RecipientReport { original, tried_now: false, ..report };
            one.reports.push((reverse_path.clone(), report));
        }
        settled.push(one);
    }
    for record in scheduler.records(&message, settled, events).await {
        scheduler.record(id, record);
    }
    what.settled();
    true
}

/// Why the postmaster returns a message.
fn reason(last_reply: &str) -> String {
    match last_reply {
        "" => "Returned by the postmaster. (#5.7.0)".into(),
        last => format!("Returned by the postmaster. (#5.7.0)\nThe last attempt had said: {last}"),
    }
}

fn log(notes: &EventNotes, act: Act, id: QueueId, by: &Actor) {
    let whom = Words::new(&by.to_string());
    let (event, what) = match act {
        // What comes of it is told.
        Act::Retry => ("retried", None),
        Act::Hold => ("held", Some(What::Held { by: whom })),
        Act::Release => ("released", Some(What::Released { by: whom })),
        Act::Bounce => ("bounced", Some(What::Bounced { by: whom })),
        Act::Remove => ("removed", Some(What::Removed { by: whom })),
    };
    info!(event, queue_id = %id, %by, "an operator rules");
    if let Some(what) = what {
        notes.note(noted::event(id, what));
    }
}

/// What was done on one page.
#[derive(Default)]
struct Done {
    touched: Vec<Found>,
    untouched: u64,
    in_hand: u64,
}

impl Done {
    fn count(&mut self, found: Found, touched: bool) {
        self.in_hand += u64::from(found.summary.in_flight > 0);
        if touched {
            self.touched.push(found);
        } else {
            self.untouched += 1;
        }
    }

    /// The answer, once all of it is durable.
    fn answer(self, queue: &Queue, progress: Progress) -> Answer {
        if !self.touched.is_empty()
            && let Err(problem) = queue.flush()
        {
            return Answer::Unavailable(format!("{problem}: what was ordered may not outlive a restart"));
        }
        let touched = self.touched.into_iter().map(look::summary).collect();
        Answer::Acted { touched, untouched: self.untouched, in_hand: self.in_hand, progress }
    }
}
