//! What came of an attempt, recipient by recipient, and how much of it is recorded together.

use std::collections::BTreeMap;

use envelope::event::Event;
use envelope::{Address, QueueId, ReversePath};
use message::Occasion;
use queue::{NewMessage, RecipientOutcome};

use super::delays::Telling;
use super::families::shared::Admission;
use super::forwards::weight;
use super::notices::RecipientReport;

/// A recipient who needs no more of this attempt: what came of it, and what follows from it. All of it
/// is recorded together or not at all.
pub struct Settled {
    pub number: u32,
    pub outcome: RecipientOutcome,
    /// To be reported, each to a reverse-path.
    pub reports: Vec<(ReversePath, RecipientReport)>,
    /// Forwards and notices.
    pub new: Vec<NewMessage>,
    pub forwarded: Option<Forwarded>,
    /// Leave to tell the sender that the message takes long, if he is told here.
    pub telling: Option<Telling>,
}

/// What was forwarded for one recipient.
pub struct Forwarded {
    pub admission: Admission,
    /// The address that forwards.
    pub by: Address,
    pub lines: Vec<ForwardedLine>,
}

/// One new message, for the log.
pub struct ForwardedLine {
    pub id: QueueId,
    pub to: String,
    pub reverse_path: String,
}

/// What is recorded in one commit.
#[derive(Default)]
pub struct Record {
    pub outcomes: Vec<(u32, RecipientOutcome)>,
    pub new: Vec<NewMessage>,
    pub forwarded: Vec<Forwarded>,
    pub telling: Option<Telling>,
    /// What the record of events is told once all of this is durable; of the new messages it is told
    /// besides.
    pub events: Vec<Event>,
}

impl Settled {
    /// A recipient of whom nothing follows but his outcome.
    pub fn plain(number: u32, outcome: RecipientOutcome) -> Settled {
        Settled { number, outcome, reports: Vec::new(), new: Vec::new(), forwarded: None, telling: None }
    }

    /// Octets that all of it takes in the log, roughly and rather too many.
    fn weight(&self) -> usize {
        let reported = self.reports.iter().map(|(_, report)| report.weight());
        self.new.iter().map(weight).sum::<usize>() + reported.sum::<usize>()
    }
}

/// Parts of what came of an attempt that each fit one commit, of which `most` octets may be new
/// messages. That is one part nearly always.
pub fn parts(settled: Vec<Settled>, most: usize) -> Vec<Vec<Settled>> {
    let mut parts: Vec<Vec<Settled>> = Vec::with_capacity(1);
    let mut room = 0;
    for one in settled {
        let weight = one.weight();
        match parts.last_mut() {
            Some(part) if weight <= room => part.push(one),
            _ => {
                room = most;
                parts.push(vec![one]);
            }
        }
        room = room.saturating_sub(weight);
    }
    parts
}

/// What is to be reported of a part, by who is told of it: one report each.
pub fn reports(part: &mut [Settled]) -> BTreeMap<(ReversePath, Occasion), Vec<RecipientReport>> {
    let mut reports: BTreeMap<_, Vec<RecipientReport>> = BTreeMap::new();
    for (reverse_path, report) in part.iter_mut().flat_map(|one| one.reports.drain(..)) {
        reports.entry((reverse_path, report.action.occasion())).or_default().push(report);
    }
    reports
}

impl Record {
    /// All of a part, and the reports on it.
    pub fn of(part: Vec<Settled>, reports: Vec<NewMessage>) -> Record {
        let mut record = Record { new: reports, ..Record::default() };
        for Settled { number, outcome, new, forwarded, telling, .. } in part {
            record.outcomes.push((number, outcome));
            record.new.extend(new);
            record.forwarded.extend(forwarded);
            record.telling = record.telling.or(telling);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::{BodyType, Envelope, Provenance, Recipient};
    use message::{Action, Status};
    use proptest::prelude::*;
    use queue::Body;

    fn settled(number: usize, octets: usize) -> Settled {
        let to = vec![Recipient::of_forward("a@x.example".parse().unwrap())];
        let envelope = Envelope::new(ReversePath::Null, to, BodyType::SevenBit, false).unwrap();
        let (provenance, body) = (Provenance::default(), Body::Inline(vec![vec![0; octets].into()]));
        let id = QueueId::from_u64(number as u64);
        let outcome = RecipientOutcome::Delivered { reply: String::new() };
        let new = vec![NewMessage { id, envelope, provenance, arrival: 0, body }];
        Settled { new, ..Settled::plain(number as u32, outcome) }
    }

    #[test]
    fn each_reverse_path_hears_of_its_own_failures_in_one_report_and_of_successes_in_another() {
        let mut part = vec![settled(0, 0), settled(1, 0)];
        let report = |to: &str, action| {
            RecipientReport::new(to.parse().unwrap(), action, Status::FAILURE, "no".into())
        };
        let sender = ReversePath::Address("joe@x.example".parse().unwrap());
        part[0].reports = vec![
            (sender.clone(), report("a@x.example", Action::Failed)),
            (sender.clone(), report("d@x.example", Action::Delivered)),
        ];
        part[1].reports = vec![
            (sender.clone(), report("b@x.example", Action::Failed)),
            (ReversePath::Null, report("c@x.example", Action::Failed)),
            (sender.clone(), report("e@x.example", Action::Relayed)),
        ];
        let reports = reports(&mut part);
        let counts: Vec<usize> = reports.values().map(Vec::len).collect();
        assert_eq!((counts, reports[&(sender, Occasion::Success)].len()), (vec![1, 2, 2], 2));
    }

    proptest! {
        #[test]
        fn no_recipient_is_lost_and_no_part_is_too_heavy(octets in proptest::collection::vec(0usize..3000, 0..40)) {
            let all = octets.iter().enumerate().map(|(number, octets)| settled(number, *octets)).collect();
            let parts = parts(all, 5000);
            let weights = parts.iter().map(|part| part.iter().map(Settled::weight).sum::<usize>());
            prop_assert!(weights.clone().all(|weight| weight <= 5000));
            // Two neighbours would not have fit into one.
            let weights: Vec<usize> = weights.collect();
            prop_assert!(weights.windows(2).all(|pair| pair[0] + pair[1] > 5000 || pair[0] > 1000));
            let numbers: Vec<u32> = parts.iter().flatten().map(|one| one.number).collect();
            prop_assert_eq!(numbers, (0..octets.len() as u32).collect::<Vec<_>>());
        }
    }
}
