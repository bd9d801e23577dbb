//! A member's mail: what came to his addresses, what he sent, and what became of what he forwards.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::slice;

use envelope::event::{Event, Fate, Party, Standing, Summary, What, Words};
use envelope::{Address, QueueId};
use time::Date;

use super::member::Member;
use super::shelf::Shelf;
use super::{EVENTS_MAX, Events, day, whom};

/// How many messages are looked at for one page of a member's mail, or for the results of one address.
pub const LOOKS_MAX: usize = 3_000;
/// How many events they may have in all; some messages have thousands of recipients.
const LOOK_EVENTS_MAX: usize = 200_000;

/// Which of a member's mail is wanted.
#[derive(Debug, Clone)]
pub struct OwnMailSearch {
    /// That of this other party; none: all.
    pub with: Option<Party>,
    /// What came.
    pub got: bool,
    /// What left.
    pub sent: bool,
    /// Of which times, in microseconds since 1970.
    pub times: RangeInclusive<u64>,
    /// How many of the latest are known already.
    pub skip: usize,
    /// How many are wanted.
    pub limit: usize,
}

/// A message of a member's, his part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMail {
    /// In one line.
    pub summary: Summary,
    /// It is for an address of his.
    pub got: bool,
    /// He sent it.
    pub sent: bool,
}

/// What became of late of what an address forwards to one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardResults {
    /// Which.
    pub destination: Address,
    /// Messages that it took.
    pub delivered: u32,
    /// Messages that it refused for good.
    pub failed: u32,
    /// Messages that it put off and that still wait.
    pub waiting: u32,
    /// The last that it took, in microseconds since 1970.
    pub last_delivered: Option<u64>,
    /// The last that it refused or put off.
    pub last_trouble: Option<ForwardTrouble>,
}

/// Something that went wrong with a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardTrouble {
    /// When, in microseconds since 1970.
    pub at: u64,
    /// For good; else it is tried again.
    pub permanent: bool,
    /// Who said so; none: nobody was reached, or it is a matter of our own.
    pub host: Option<String>,
    /// The reply, or our words.
    pub reply: Words,
}

impl Events {
    /// A member's mail, the latest first, and whether there is more. At most [`LOOKS_MAX`] messages are looked at.
    pub fn mail_of(&self, member: &Member<'_>, search: &OwnMailSearch) -> (Vec<OwnMail>, bool) {
        let mut shelf = self.shelf();
        let wanted = search.skip.saturating_add(search.limit).saturating_add(1);
        let times = *search.times.start().max(&member.since)..=*search.times.end();
        let mut found: Vec<OwnMail> = Vec::new();
        each_message(&mut shelf, &member.parties, &times, |events| {
            let (message, refusals): (Vec<Event>, Vec<Event>) =
                events.into_iter().partition(|event| event.queue_id.is_some());
            for events in refusals.iter().map(slice::from_ref).chain([&message[..]]) {
                let Some(view) = member.view(events, &[]) else { continue };
                let is_meant =
                    |event: &Event| search.with.as_ref().is_none_or(|with| with.is_in(&event.what));
                if !(search.got && view.got || search.sent && view.sent) || !view.events.iter().any(is_meant)
                {
                    continue;
                }
                let summary = Summary::of(&view.events).filter(|summary| times.contains(&summary.at));
                found.extend(summary.map(|summary| OwnMail { summary, got: view.got, sent: view.sent }));
            }
            found.len() < wanted
        });
        found.sort_by_key(|mail| std::cmp::Reverse(mail.summary.at));
        let more = found.len() >= wanted;
        let page = found.into_iter().skip(search.skip).take(search.limit).collect();
        (page, more)
    }

    /// A member's part of the life of a message and of its family, in the order of time; none of it, if it is not his.
    pub fn life_of(&self, member: &Member<'_>, id: QueueId) -> Vec<Event> {
        member.life(id, self.of_message(id))
    }

    /// What became of what an address of a member's forwards, destination by destination, those of the latest message
    /// first. `member` has the parties under which the address is found, and `is_it` knows its forms. At most
    /// [`LOOKS_MAX`] messages are looked at.
    pub fn forwards_of(&self, member: &Member<'_>, is_it: impl Fn(&Address) -> bool) -> Vec<ForwardResults> {
        let mut shelf = self.shelf();
        let mut results: Vec<ForwardResults> = Vec::new();
        let mut places: HashMap<Address, usize> = HashMap::new();
        let mut forwards: Vec<(QueueId, Vec<Address>)> = Vec::new();
        each_message(&mut shelf, &member.parties, &(member.since..=u64::MAX), |events| {
            let Some(view) = member.view(&events, &[]) else { return true };
            forwards.extend(view.events.into_iter().filter_map(|event| match event.what {
                What::Forwarded { recipient, id, to } if is_it(&recipient) => Some((id, to)),
                _ => None,
            }));
            forwards.len() < LOOKS_MAX
        });
        for (id, to) in forwards {
            let events = shelf.events_of(id, EVENTS_MAX);
            let standing = Standing::after(&events);
            for destination in to {
                let place = *places.entry(destination.clone()).or_insert_with(|| {
                    results.push(ForwardResults::none(destination.clone()));
                    results.len() - 1
                });
                let fate = standing.recipients.iter().find(|(recipient, _)| *recipient == destination);
                results[place].add(fate.map_or(Fate::Untried, |(_, fate)| *fate), &events);
            }
        }
        results
    }
}

impl ForwardResults {
    fn none(destination: Address) -> ForwardResults {
        ForwardResults {
            destination,
            delivered: 0,
            failed: 0,
            waiting: 0,
            last_delivered: None,
            last_trouble: None,
        }
    }

    /// Adds a message whose events these are.
    fn add(&mut self, fate: Fate, events: &[Event]) {
        match fate {
            Fate::Delivered | Fate::Forwarded => self.delivered += 1,
            Fate::Failed => self.failed += 1,
            Fate::Waiting { .. } => self.waiting += 1,
            Fate::Untried | Fate::Removed => {}
        }
        for Event { at, what, .. } in events {
            match what {
                What::Delivered { recipient, .. } | What::Forwarded { recipient, .. }
                    if *recipient == self.destination =>
                {
                    self.last_delivered = self.last_delivered.max(Some(*at));
                }
                What::Deferred { recipient, peer, reply, .. }
                | What::Failed { recipient, peer, reply, .. }
                    if *recipient == self.destination
                        && self.last_trouble.as_ref().is_none_or(|known| known.at <= *at) =>
                {
                    self.last_trouble = Some(ForwardTrouble {
                        at: *at,
                        permanent: matches!(what, What::Failed { .. }),
                        host: peer.as_ref().map(|peer| peer.host.to_string()),
                        reply: reply.clone(),
                    });
                }
                _ => {}
            }
        }
    }
}

/// Hands out the events of each message that concerns one of these parties, the latest first, as long as `look` wants
/// more and at most [`LOOKS_MAX`] times. A message whose events lie in several days comes once.
fn each_message(
    shelf: &mut Shelf,
    parties: &[Party],
    times: &RangeInclusive<u64>,
    mut look: impl FnMut(Vec<Event>) -> bool,
) {
    let numbers: Vec<RangeInclusive<i64>> = parties.iter().map(whom::numbers).collect();
    let days: Vec<Date> = shelf.days(day::of(*times.start())..=day::of(*times.end())).collect();
    let mut known: HashSet<QueueId> = HashSet::new();
    let mut read = 0;
    for day in days.into_iter().rev() {
        let mut ids: Vec<QueueId> = Vec::new();
        for run in shelf.runs(day) {
            for whom in &numbers {
                ids.extend(shelf.mentioned(day, run, whom));
            }
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        for id in ids {
            if known.len() >= LOOKS_MAX || read >= LOOK_EVENTS_MAX {
                return;
            }
            if !known.insert(id) {
                continue;
            }
            let events = shelf.events_of(id, EVENTS_MAX);
            read += events.len();
            if !look(events) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use envelope::event::{Accepted, Door, Peer};

    use super::super::example::*;
    use super::*;

    fn with_abc<T>(look: impl FnOnce(&Member<'_>) -> T) -> T {
        let account = "abc".parse().unwrap();
        let owns = |address: &Address| {
            let text = address.to_string();
            text == "abc@pobox.example" || text.ends_with("@abc.pobox.example")
        };
        let parties = ["abc", "abc@pobox.example", "abc.pobox.example"].map(party).to_vec();
        look(&Member { account: &account, since: 0, parties, owns: &owns })
    }

    fn search(with: Option<&str>, got: bool, sent: bool) -> OwnMailSearch {
        OwnMailSearch { with: with.map(party), got, sent, times: EVER, skip: 0, limit: 100 }
    }

    fn mail(example: &Example, search: &OwnMailSearch) -> (Vec<OwnMail>, bool) {
        with_abc(|abc| example.events.mail_of(abc, search))
    }

    fn ids(found: &[OwnMail]) -> Vec<Option<QueueId>> {
        found.iter().map(|mail| mail.summary.queue_id).collect()
    }

    fn to_several(at: u64, door: Door, to: &[&str]) -> Event {
        let mut event = accepted(at, door, "u@peer.example", to[0]);
        if let What::Accepted(accepted) = &mut event.what {
            let Accepted { recipients, .. } = &mut **accepted;
            *recipients = to.iter().copied().map(address).collect();
        }
        event
    }

    fn forwarded(by: &str, of: u64, child: u64, to: &[&str]) -> Event {
        let to = to.iter().copied().map(address).collect();
        event(child, id(of), What::Forwarded { recipient: address(by), id: id(child), to })
    }

    fn peer() -> Option<Peer> {
        Some(Peer { host: "mx.a.example".into(), address: "192.0.2.25".parse().unwrap(), tls: None })
    }

    #[test]
    fn a_member_finds_what_came_and_what_left_the_latest_first() {
        let example = example();
        let at = |n: u64| noon(0) + n * SECOND;
        example.append(&[
            accepted(noon(2), Door::Mx, "u@peer.example", "foo@abc.pobox.example"),
            to_several(at(1), Door::Mx, &["abc@pobox.example", "hidden@pobox.example"]),
            accepted(at(2), Door::Submission, "abc@pobox.example", "u@other.example"),
            accepted(at(3), Door::Mx, "u@peer.example", "xyz@pobox.example"),
            refused(at(4), "foo@abc.pobox.example"),
        ]);
        let (all, more) = mail(&example, &search(None, true, true));
        assert_eq!(ids(&all), [None, Some(id(at(2))), Some(id(at(1))), Some(id(noon(2)))]);
        assert!(!more);
        assert_eq!(all[2].summary.recipients, [address("abc@pobox.example")]);
        assert_eq!(all[2].summary.tally.total(), 1, "others are not counted");
        assert_eq!(ids(&mail(&example, &search(None, false, true)).0), [Some(id(at(2)))]);
        assert_eq!(mail(&example, &search(None, true, false)).0.len(), 3);
        assert_eq!(ids(&mail(&example, &search(Some("u@other.example"), true, true)).0), [Some(id(at(2)))]);
        assert_eq!(mail(&example, &search(Some("peer.example"), true, true)).0.len(), 2);
        assert_eq!(mail(&example, &search(Some("hidden@pobox.example"), true, true)).0, []);
        let today = OwnMailSearch { times: at(0)..=u64::MAX, ..search(None, true, true) };
        assert_eq!(mail(&example, &today).0.len(), 3);
    }

    #[test]
    fn pages_follow_one_another() {
        let example = example();
        let all: Vec<Event> = (0..25)
            .map(|n| {
                accepted(noon(n / 10) + n.unsigned_abs(), Door::Mx, "u@peer.example", "abc@pobox.example")
            })
            .collect();
        for event in &all {
            example.append(std::slice::from_ref(event));
        }
        let mut seen = Vec::new();
        for (skip, more_expected) in [(0, true), (10, true), (20, false)] {
            let search = OwnMailSearch { skip, limit: 10, ..search(None, true, true) };
            let (page, more) = mail(&example, &search);
            assert_eq!(more, more_expected);
            seen.extend(ids(&page));
        }
        assert_eq!(seen.len(), 25);
        assert!(seen.is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn work_is_bounded_however_much_there_is() {
        let example = example();
        let count = LOOKS_MAX as u64 + 100;
        let all: Vec<Event> = (0..count)
            .map(|n| accepted(noon(0) + n, Door::Mx, "u@peer.example", "abc@pobox.example"))
            .collect();
        example.append(&all);
        let search = search(Some("nobody.example"), true, true);
        let mut looked = 0;
        let mut shelf = example.events.shelf();
        each_message(&mut shelf, &[party("abc@pobox.example")], &EVER, |_| {
            looked += 1;
            true
        });
        assert_eq!(looked, LOOKS_MAX);
        assert_eq!(mail(&example, &search), (Vec::new(), false));
    }

    #[test]
    fn another_members_forward_of_his_message_is_no_mail_of_his() {
        let example = example();
        let (sent, copy) = (noon(0), noon(0) + SECOND);
        let mut of_another =
            accepted(copy, Door::Forward { of: id(sent) }, "abc@pobox.example", "me@x.example");
        if let What::Accepted(accepted) = &mut of_another.what {
            accepted.account = Some("abc".parse().unwrap());
        }
        example.append(&[
            accepted(sent, Door::Submission, "abc@pobox.example", "info@shop.example"),
            forwarded("info@shop.example", sent, copy, &["me@x.example"]),
            of_another,
        ]);
        let (found, _) = mail(&example, &search(None, true, true));
        assert_eq!(ids(&found), [Some(id(sent))]);
        assert_eq!(found[0].summary.tally.delivered, 1);
        with_abc(|abc| {
            assert_eq!(example.events.life_of(abc, id(sent)).len(), 2);
            assert_eq!(example.events.life_of(abc, id(copy)), []);
        });
    }

    #[test]
    fn forwards_are_summed_up_for_each_destination_of_one_address() {
        let example = example();
        let (foo, to) = ("foo@abc.pobox.example", ["me@a.example", "me@b.example"]);
        let at = |n: u64| noon(0) + n * SECOND;
        let deferred = |n: u64, child: u64| {
            let (recipient, reply) = (address("me@b.example"), "450 later".into());
            event(at(n), id(at(child)), What::Deferred { recipient, peer: peer(), reply, until: at(n + 400) })
        };
        let delivered = |n: u64, child: u64, to: &str| {
            let host = envelope::event::Delivery::Host { peer: peer().unwrap(), reply: "ok".into() };
            event(at(n), id(at(child)), What::Delivered { recipient: address(to), to: host, took_ms: 1 })
        };
        let failed = |n: u64, child: u64, to: &str| {
            let (recipient, reply) = (address(to), "550 no".into());
            event(
                at(n),
                id(at(child)),
                What::Failed { recipient, status: "5.0.0".into(), peer: peer(), reply },
            )
        };
        let mut all = Vec::new();
        for (first, child) in [(10, 11), (20, 21), (30, 31)] {
            all.push(accepted(at(first), Door::Mx, "u@peer.example", foo));
            all.push(forwarded(foo, at(first), at(child), &to));
            all.push(to_several(at(child), Door::Forward { of: id(at(first)) }, &to));
        }
        all.extend([delivered(12, 11, to[0]), delivered(22, 21, to[0]), failed(32, 31, to[0])]);
        all.extend([deferred(13, 11), delivered(14, 11, to[1]), deferred(23, 21), failed(33, 31, to[1])]);
        // The same destination, by another address and by somebody else.
        all.push(accepted(at(40), Door::Mx, "u@peer.example", "bar@abc.pobox.example"));
        all.push(forwarded("bar@abc.pobox.example", at(40), at(41), &to[..1]));
        all.push(accepted(at(41), Door::Forward { of: id(at(40)) }, "u@peer.example", to[0]));
        all.push(failed(42, 41, to[0]));
        all.push(accepted(at(50), Door::Mx, "u@peer.example", to[0]));
        all.push(failed(51, 50, to[0]));
        example.append(&all);
        let results = with_abc(|abc| example.events.forwards_of(abc, |it| it.to_string() == foo));
        let [a, b] = &results[..] else { panic!("{results:?}") };
        assert_eq!((a.destination.to_string().as_str(), a.delivered, a.failed, a.waiting), (to[0], 2, 1, 0));
        assert_eq!((b.destination.to_string().as_str(), b.delivered, b.failed, b.waiting), (to[1], 1, 1, 1));
        assert_eq!((a.last_delivered, b.last_delivered), (Some(at(22)), Some(at(14))));
        let trouble = a.last_trouble.clone().unwrap();
        assert_eq!((trouble.at, trouble.permanent, trouble.reply.as_str()), (at(32), true, "550 no"));
        assert_eq!(trouble.host.as_deref(), Some("mx.a.example"));
        assert_eq!(b.last_trouble.as_ref().unwrap().at, at(33));
        let none =
            with_abc(|abc| example.events.forwards_of(abc, |it| it.to_string() == "abc@pobox.example"));
        assert_eq!(none, []);
    }
}
