//! What became of messages: `smtp`, `submit` and `queue` note it, operators ask.

use envelope::event::{Door, Event, What};
use link::services::directory::visits::{Hour, Traffic, Visit};
use link::services::directory::{Page, Response, Trace};
use tracing::warn;

use super::Desk;
use crate::control::Role;

/// The most messages of a party that are looked for.
const MESSAGES_MAX: u32 = 10_000;

impl Desk {
    /// Records what happened. Waits for the disk.
    pub(super) fn note(&self, events: &[Event]) -> Response {
        match self.events.append(events) {
            Ok(()) => Response::Done,
            Err(error) => {
                warn!(event = "events_not_recorded", %error, "it is tried again");
                Response::Unavailable
            }
        }
    }

    /// Tells what happened. Waits for the disk.
    pub(super) fn trace(&self, trace: Trace) -> Response {
        match trace {
            Trace::Message { id, skip } => Response::Life(Page::of(self.events.of_message(id), skip)),
            Trace::Traffic { hours } => {
                Response::Visit(Box::new(Visit::Traffic(Box::new(self.traffic(hours)))))
            }
            Trace::Party { party, times, limit, skip } => {
                let limit = usize::try_from(limit.min(MESSAGES_MAX)).unwrap_or(usize::MAX);
                Response::Mail(Page::of(self.events.of_party(&party, times, limit), skip))
            }
        }
    }
}

impl Desk {
    /// How much there was in the last hours. Waits for the disk.
    pub(super) fn traffic(&self, hours: u32) -> Traffic {
        let directory::Traffic { hours, senders, refusals } = self.events.traffic(hours);
        let hour = |hour: directory::TrafficHour| {
            let directory::TrafficHour {
                at,
                received,
                submitted,
                refused,
                delivered,
                failed,
                deferred,
                took,
            } = hour;
            Hour { at, received, submitted, refused, delivered, failed, deferred, took }
        };
        Traffic { hours: hours.into_iter().map(hour).collect(), senders, refusals }
    }
}

/// Whether a fellow role may note these: each knows of its own doings only, so that nobody has to
/// believe `smtp`, which hears strangers, that something was delivered.
pub(super) fn may_note(role: Role, events: &[Event]) -> bool {
    let by_smtp = |event: &Event| match &event.what {
        What::Refused(_) => true,
        What::Accepted(accepted) => {
            matches!(accepted.door, Door::Mx | Door::Submission | Door::Sendmail)
        }
        _ => false,
    };
    let by_submit = |event: &Event| match &event.what {
        What::Refused(_) => true,
        What::Accepted(accepted) => accepted.door == Door::Sendmail,
        _ => false,
    };
    match role {
        Role::Smtp => events.iter().all(by_smtp),
        Role::Submit => events.iter().all(by_submit),
        Role::Queue => !events.iter().any(by_smtp),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use envelope::event::{Accepted, Party, Refused};
    use envelope::{QueueId, ReversePath};

    use super::super::example;
    use super::*;

    fn accepted(door: Door, number: u64) -> Event {
        let accepted = Accepted {
            door,
            client: None,
            account: None,
            reverse_path: ReversePath::Null,
            recipients: vec!["abc@pobox.example".parse().unwrap()],
            size: 1,
            message_id: None,
        };
        let at = crate::roles::unix_micros() + number;
        let queue_id = Some(QueueId::from_u64(at << 12));
        Event { at, queue_id, what: What::Accepted(Box::new(accepted)) }
    }

    #[test]
    fn each_role_may_note_its_own_doings_only() {
        let refused = Refused {
            client: "192.0.2.9".parse().unwrap(),
            account: None,
            reverse_path: None,
            recipient: None,
            code: 550,
            text: "no".into(),
        };
        let refused = Event { at: 1, queue_id: None, what: What::Refused(Box::new(refused)) };
        let removed = Event { at: 1, queue_id: None, what: What::Removed { by: "root".into() } };
        for (event, by_smtp, by_submit, by_queue) in [
            (refused, true, true, false),
            (accepted(Door::Mx, 0), true, false, false),
            (accepted(Door::Submission, 0), true, false, false),
            (accepted(Door::Sendmail, 0), true, true, false),
            (accepted(Door::Notice, 0), false, false, true),
            (accepted(Door::Forward { of: QueueId::from_u64(1) }, 0), false, false, true),
            (accepted(Door::AutoReply { of: QueueId::from_u64(1) }, 0), false, false, true),
            (removed, false, false, true),
        ] {
            let event = [event];
            assert_eq!(may_note(Role::Smtp, &event), by_smtp, "{event:?}");
            assert_eq!(may_note(Role::Submit, &event), by_submit, "{event:?}");
            assert_eq!(may_note(Role::Queue, &event), by_queue, "{event:?}");
            assert!(!may_note(Role::Pop3, &event));
        }
        assert!(!may_note(Role::Smtp, &[accepted(Door::Mx, 0), accepted(Door::Notice, 0)]));
    }

    #[test]
    fn what_was_noted_is_told_page_by_page() {
        let (_folder, desk) = example::desk(false);
        let events: Vec<Event> = (0..3).map(|number| accepted(Door::Mx, number)).collect();
        assert!(matches!(desk.note(&events), Response::Done));
        let id = events[1].queue_id.unwrap();
        let Response::Life(life) = desk.trace(Trace::Message { id, skip: 0 }) else { panic!() };
        assert_eq!((life.items, life.more), (events[1..2].to_vec(), false));
        let party = Party::Address("abc@pobox.example".parse().unwrap());
        let trace = Trace::Party { party, times: 0..=u64::MAX, limit: 2, skip: 1 };
        let Response::Mail(mail) = desk.trace(trace) else { panic!() };
        assert_eq!(mail.items.len(), 1);
        assert_eq!(mail.items[0].queue_id, events[1].queue_id);
    }
}
