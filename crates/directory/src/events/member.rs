//! What a member sees of messages: his own part of each, and nothing of anybody else's.
//!
//! - A message that he sent: everything, but where another member's mail goes from his address. That it came to the
//!   address is all that is said: which mailbox, program or forward it went to is its owner's matter.
//! - A message to an address of his: from whom it is, and what became of it at his addresses. Other recipients, which
//!   may have been hidden from him on purpose, are as if they were not there; so is who else of our customers sent it,
//!   and from where.
//! - What his own addresses forwarded: where to, and what became of it there. Whom another member forwards to, whether
//!   from a message that he sent or from one that he got, is not said, and his copy of it is not shown.
//! - Reports to him, and what answers in his name while he is away.
//!
//! An address is his if it leads to his account now. What went into another account's mailbox was not his then, and
//! what was before his account was made is of somebody else who had its name.
//!
//! Operators who act are not named to him.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use envelope::event::{Accepted, Delivery, Door, Event, Party, Refused, What, Words};
use envelope::{AccountName, Address, QueueId};

/// How a member is told of an operator.
const OPERATOR: &str = "operator";

/// A member, and what is his.
pub struct Member<'a> {
    /// His account.
    pub account: &'a AccountName,
    /// When that was made, in microseconds since 1970.
    pub since: u64,
    /// Under which parties his mail is found: his account, his addresses and domains.
    pub parties: Vec<Party>,
    /// Whether an address leads to him.
    pub owns: &'a dyn Fn(&Address) -> bool,
}

/// His part of one message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Its events, as he sees them.
    pub events: Vec<Event>,
    /// He sent it.
    pub sent: bool,
    /// It is for an address of his.
    pub got: bool,
}

impl Member<'_> {
    /// His part of a message, of which these are all events; of what he forwards it is to `forwarded_to`. None: it is
    /// not his.
    pub(super) fn view(&self, message: &[Event], forwarded_to: &[Address]) -> Option<View> {
        if message.iter().any(|event| event.at < self.since) {
            return None;
        }
        let look = Look { member: self, message, forwarded_to };
        let sent = message.iter().any(|event| look.he_sent(&event.what));
        let got = message.iter().flat_map(|event| recipients(&event.what)).any(|to| look.is_his(to));
        let forwarded = message.iter().flat_map(|event| recipients(&event.what)).any(|to| look.reaches(to));
        if !(sent || got || forwarded) {
            return None;
        }
        let mut events: Vec<Event> = Vec::with_capacity(message.len());
        for Event { at, queue_id, what } in message {
            if let Some(what) = look.at(what, sent) {
                events.push(Event { at: *at, queue_id: *queue_id, what });
            }
        }
        // Who forwards to several tells of each, and of none of them is told more than that it came to his address.
        let mut came: BTreeSet<Address> = BTreeSet::new();
        events.retain(|event| match &event.what {
            What::Delivered { recipient, to: Delivery::Here, .. } => came.insert(recipient.clone()),
            _ => true,
        });
        Some(View { events, sent, got })
    }

    /// His part of the life of a message, of whose family these are all events. None of it: it is not his.
    pub(super) fn life(&self, id: QueueId, family: Vec<Event>) -> Vec<Event> {
        let mut messages: BTreeMap<QueueId, Vec<Event>> = BTreeMap::new();
        for event in family {
            if let Some(id) = event.queue_id {
                messages.entry(id).or_default().push(event);
            }
        }
        let mut seen: BTreeMap<QueueId, View> = BTreeMap::new();
        let mut forwarded_to: HashMap<QueueId, Vec<Address>> = HashMap::new();
        let mut links: HashMap<QueueId, Vec<QueueId>> = HashMap::new();
        let mut link = |a: QueueId, b: QueueId| {
            links.entry(a).or_default().push(b);
            links.entry(b).or_default().push(a);
        };
        // First what is his by itself, then what he made of it.
        let mut next: VecDeque<QueueId> = VecDeque::new();
        for (id, events) in &messages {
            if let Some(view) = self.view(events, &[]) {
                seen.insert(*id, view);
                next.push_back(*id);
            }
        }
        while let Some(id) = next.pop_front() {
            let Some(view) = seen.get(&id) else { continue };
            let forwards: Vec<(QueueId, Vec<Address>)> = view
                .events
                .iter()
                .filter_map(|event| match &event.what {
                    What::Forwarded { id, to, .. } => Some((*id, to.clone())),
                    What::AutoReplied { id, .. } => Some((*id, answered(&messages, *id))),
                    _ => None,
                })
                .collect();
            for (child, to) in forwards {
                link(id, child);
                let known = forwarded_to.entry(child).or_default();
                if to.iter().all(|to| known.contains(to)) {
                    continue;
                }
                known.extend(to);
                if let Some(view) = messages.get(&child).and_then(|events| self.view(events, known)) {
                    seen.insert(child, view);
                    next.push_back(child);
                }
            }
        }
        // What a report tells of, or an answer answers, may be another member's copy of what he sent: then it belongs
        // to that.
        for id in seen.keys() {
            let mut of = door(&messages, *id).and_then(|door| match door {
                Door::Report { of } | Door::AutoReply { of } => Some(of),
                _ => None,
            });
            let mut steps = messages.len();
            while let Some(above) = of.filter(|_| steps > 0) {
                if seen.contains_key(&above) {
                    link(*id, above);
                    break;
                }
                of = door(&messages, above).and_then(Door::of);
                steps -= 1;
            }
        }
        let mut together = BTreeSet::new();
        let mut next = VecDeque::from([id]);
        while let Some(id) = next.pop_front() {
            if seen.contains_key(&id) && together.insert(id) {
                next.extend(links.get(&id).into_iter().flatten());
            }
        }
        let mut events: Vec<Event> =
            together.iter().filter_map(|id| seen.remove(id)).flat_map(|view| view.events).collect();
        events.sort_by_key(|event| (event.at, event.queue_id));
        events
    }
}

fn door(messages: &BTreeMap<QueueId, Vec<Event>>, id: QueueId) -> Option<Door> {
    messages.get(&id)?.iter().find_map(|event| match &event.what {
        What::Accepted(accepted) => Some(accepted.door),
        _ => None,
    })
}

/// To whom an answer of a mailbox goes.
fn answered(messages: &BTreeMap<QueueId, Vec<Event>>, id: QueueId) -> Vec<Address> {
    let events = messages.get(&id).into_iter().flatten();
    events.flat_map(|event| recipients(&event.what)).cloned().collect()
}

/// One look at one message.
struct Look<'a> {
    member: &'a Member<'a>,
    message: &'a [Event],
    forwarded_to: &'a [Address],
}

impl Look<'_> {
    fn he_sent(&self, what: &What) -> bool {
        let account = Some(self.member.account);
        match what {
            What::Accepted(accepted) => {
                matches!(accepted.door, Door::Submission | Door::Sendmail)
                    && accepted.account.as_ref() == account
            }
            What::Refused(refused) => refused.account.as_ref() == account,
            _ => false,
        }
    }

    /// Whether an address is his, and was when this message came.
    fn is_his(&self, address: &Address) -> bool {
        let went_elsewhere = |event: &Event| match &event.what {
            What::Delivered { recipient, to: Delivery::Mailbox(account), .. } => {
                recipient == address && account != self.member.account
            }
            _ => false,
        };
        (self.member.owns)(address) && !self.message.iter().any(went_elsewhere)
    }

    /// Whether it is his matter what becomes of the message there.
    fn reaches(&self, address: &Address) -> bool {
        self.forwarded_to.contains(address) || self.is_his(address)
    }

    /// What he sees of an event.
    fn at(&self, what: &What, sent: bool) -> Option<What> {
        let concerns_him = |recipient: &Address| sent || self.reaches(recipient);
        let by_operator = || Words::from(OPERATOR);
        Some(match what {
            What::Accepted(accepted) if self.he_sent(what) => What::Accepted(accepted.clone()),
            What::Accepted(accepted) => What::Accepted(Box::new(self.accepted(accepted)?)),
            What::Refused(refused) => What::Refused(Box::new(self.refused(refused)?)),
            What::Deferred { recipient, .. } | What::Failed { recipient, .. } => {
                concerns_him(recipient).then(|| what.clone())?
            }
            What::Delivered { recipient, to, took_ms } if concerns_him(recipient) => {
                let to = match to {
                    Delivery::Host { .. } => to.clone(),
                    _ if self.is_his(recipient) => to.clone(),
                    _ => Delivery::Here,
                };
                What::Delivered { recipient: recipient.clone(), to, took_ms: *took_ms }
            }
            What::Forwarded { recipient, .. } if self.is_his(recipient) => what.clone(),
            What::Forwarded { recipient, .. } if concerns_him(recipient) => {
                What::Delivered { recipient: recipient.clone(), to: Delivery::Here, took_ms: 0 }
            }
            What::AutoReplied { recipient, .. } => self.is_his(recipient).then(|| what.clone())?,
            What::Delivered { .. } | What::Forwarded { .. } => return None,
            // Which recipient it is about is not said: it may be one whom he does not know of.
            What::Reported { .. } => (sent || self.is_all_his()).then(|| what.clone())?,
            What::Held { .. } => What::Held { by: by_operator() },
            What::Released { .. } => What::Released { by: by_operator() },
            What::Bounced { .. } => What::Bounced { by: by_operator() },
            What::Removed { .. } => What::Removed { by: by_operator() },
        })
    }

    /// Of a message that he did not send.
    fn accepted(&self, accepted: &Accepted) -> Option<Accepted> {
        let recipients: Vec<Address> =
            accepted.recipients.iter().filter(|recipient| self.reaches(recipient)).cloned().collect();
        if recipients.is_empty() {
            return None;
        }
        Some(Accepted {
            // Where a customer of ours sits, others need not know.
            client: accepted.client.filter(|_| accepted.door == Door::Mx),
            account: accepted.account.clone().filter(|account| account == self.member.account),
            recipients,
            ..accepted.clone()
        })
    }

    fn refused(&self, refused: &Refused) -> Option<Refused> {
        if refused.account.as_ref() == Some(self.member.account) {
            return Some(refused.clone());
        }
        refused.recipient.as_ref().filter(|recipient| self.is_his(recipient))?;
        let client = match refused.account {
            Some(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            None => refused.client,
        };
        Some(Refused { client, account: None, ..refused.clone() })
    }

    fn is_all_his(&self) -> bool {
        self.message.iter().flat_map(|event| recipients(&event.what)).all(|to| self.reaches(to))
    }
}

/// The recipients that an event is about.
fn recipients(what: &What) -> &[Address] {
    match what {
        What::Accepted(accepted) => &accepted.recipients,
        What::Refused(refused) => refused.recipient.as_slice(),
        What::Deferred { recipient, .. }
        | What::Delivered { recipient, .. }
        | What::Forwarded { recipient, .. }
        | What::Failed { recipient, .. }
        | What::AutoReplied { recipient, .. } => std::slice::from_ref(recipient),
        What::Held { .. }
        | What::Released { .. }
        | What::Bounced { .. }
        | What::Removed { .. }
        | What::Reported { .. } => &[],
    }
}

#[cfg(test)]
mod tests {
    use envelope::event::{Fate, Peer, Standing};
    use proptest::prelude::*;

    use super::super::example::{address, event};
    use super::*;

    /// What is whose: abc has his own domain, xyz the shop.
    fn owner(address: &Address) -> Option<&'static str> {
        match address.to_string().to_lowercase().as_str() {
            text if text == "abc@pobox.example" || text.ends_with("@abc.pobox.example") => Some("abc"),
            text if text == "xyz@pobox.example" || text.ends_with("@shop.example") => Some("xyz"),
            _ => None,
        }
    }

    fn member<T>(name: &str, look: impl FnOnce(&Member<'_>) -> T) -> T {
        let account = name.parse().unwrap();
        let owns = |address: &Address| owner(address) == Some(name);
        look(&Member { account: &account, since: 0, parties: Vec::new(), owns: &owns })
    }

    fn life(name: &str, of: u64, family: &[Event]) -> Vec<Event> {
        member(name, |member| member.life(id(of), family.to_vec()))
    }

    fn id(number: u64) -> QueueId {
        QueueId::from_u64(number)
    }

    fn addresses(all: &[&str]) -> Vec<Address> {
        all.iter().copied().map(address).collect()
    }

    /// Message `number`, which came at that time.
    fn came(number: u64, door: Door, account: Option<&str>, from: &str, to: &[&str]) -> Event {
        let accepted = Accepted {
            door,
            client: Some("192.0.2.7".parse().unwrap()),
            account: account.map(|account| account.parse().unwrap()),
            reverse_path: envelope::ReversePath::Address(address(from)),
            recipients: addresses(to),
            size: 1,
            message_id: Some("<1@peer.example>".into()),
        };
        event(number, id(number), What::Accepted(Box::new(accepted)))
    }

    fn in_mailbox(number: u64, to: &str, account: &str) -> Event {
        let to_mailbox = Delivery::Mailbox(account.parse().unwrap());
        event(number + 1, id(number), What::Delivered { recipient: address(to), to: to_mailbox, took_ms: 1 })
    }

    fn at_host(number: u64, to: &str) -> Event {
        let peer =
            Peer { host: "mx.there.example".into(), address: "192.0.2.25".parse().unwrap(), tls: None };
        let to_host = Delivery::Host { peer, reply: "ok".into() };
        event(number + 1, id(number), What::Delivered { recipient: address(to), to: to_host, took_ms: 1 })
    }

    fn forwarded(number: u64, by: &str, child: u64, to: &[&str]) -> Event {
        let what = What::Forwarded { recipient: address(by), id: id(child), to: addresses(to) };
        event(child, id(number), what)
    }

    fn failed(number: u64, to: &str, reply: &str) -> Event {
        let (recipient, reply) = (address(to), reply.into());
        event(number + 1, id(number), What::Failed { recipient, status: "5.1.1".into(), peer: None, reply })
    }

    fn reported(number: u64, report: u64, to: &str) -> Event {
        let kind = envelope::event::ReportKind::Failure;
        event(report, id(number), What::Reported { id: id(report), to: address(to), kind })
    }

    /// All that could be read in these events, in one text.
    fn all_words(events: &[Event]) -> String {
        format!("{events:?}")
    }

    /// A stranger writes to abc, to xyz's shop and, hidden, to a third. Both forward it: abc to a.example, the shop to
    /// x.example. xyz's copy fails there, and the stranger is told.
    fn to_both() -> Vec<Event> {
        let stranger = "u@peer.example";
        vec![
            came(
                100,
                Door::Mx,
                None,
                stranger,
                &["abc@pobox.example", "info@shop.example", "bcc@shop.example"],
            ),
            in_mailbox(100, "abc@pobox.example", "abc"),
            forwarded(100, "abc@pobox.example", 200, &["me@a.example"]),
            forwarded(100, "info@shop.example", 300, &["me@away.example"]),
            in_mailbox(100, "bcc@shop.example", "xyz"),
            came(200, Door::Forward { of: id(100) }, None, stranger, &["me@a.example"]),
            at_host(200, "me@a.example"),
            came(300, Door::Forward { of: id(100) }, None, stranger, &["me@away.example"]),
            failed(300, "me@away.example", "no me here"),
            reported(300, 400, stranger),
            came(400, Door::Report { of: id(300) }, None, stranger, &[stranger]),
        ]
    }

    #[test]
    fn of_a_message_to_several_each_sees_his_own_recipients_and_his_own_forwards() {
        for of in [100, 200] {
            let seen = life("abc", of, &to_both());
            assert_eq!(seen.len(), 5, "{seen:?}");
            let words = all_words(&seen);
            for hidden in ["shop", "xyz", "away.example", "no me here"] {
                assert!(!words.contains(hidden), "{hidden}: {words}");
            }
            assert!(words.contains("me") && words.contains("a.example"));
        }
        let seen = life("xyz", 100, &to_both());
        let words = all_words(&seen);
        assert!(words.contains("bcc") && words.contains("no me here"));
        for hidden in ["abc", "a.example"] {
            assert!(!words.contains(hidden), "{hidden}: {words}");
        }
        // He sees that the sender was told; the report itself is the sender's.
        assert!(seen.iter().any(|event| matches!(event.what, What::Reported { .. })));
        assert!(!seen.iter().any(|event| event.queue_id == Some(id(400))));
    }

    #[test]
    fn of_others_copies_a_member_sees_nothing_even_by_their_names() {
        for (who, of) in [("abc", 300), ("abc", 400), ("xyz", 200), ("nobody", 100), ("abc", 999)] {
            assert_eq!(life(who, of, &to_both()), [], "{who} {of}");
        }
    }

    #[test]
    fn a_hidden_recipient_is_not_counted() {
        let mut family = to_both();
        family.retain(|event| event.queue_id == Some(id(100)));
        let view = member("abc", |member| member.view(&family, &[])).unwrap();
        assert!(view.got && !view.sent);
        let standing = Standing::after(&view.events);
        assert_eq!(standing.recipients, [(address("abc@pobox.example"), Fate::Delivered)]);
    }

    /// abc writes to the shop and to a stranger; the shop forwards it twice, and one of these comes back.
    fn sent() -> Vec<Event> {
        let abc = "abc@pobox.example";
        let forward = Door::Forward { of: id(100) };
        vec![
            came(100, Door::Submission, Some("abc"), abc, &["info@shop.example", "u@peer.example"]),
            forwarded(100, "info@shop.example", 200, &["secret@away.example"]),
            forwarded(100, "info@shop.example", 300, &["other@yonder.example"]),
            at_host(100, "u@peer.example"),
            // The account of who sent the first goes with what is made of it.
            came(200, forward, Some("abc"), abc, &["secret@away.example"]),
            failed(200, "secret@away.example", "unknown"),
            reported(200, 400, abc),
            came(300, forward, Some("abc"), abc, &["other@yonder.example"]),
            at_host(300, "other@yonder.example"),
            came(400, Door::Report { of: id(200) }, None, abc, &[abc]),
            in_mailbox(400, abc, "abc"),
        ]
    }

    #[test]
    fn who_sends_sees_that_it_came_and_not_where_it_went_from_there() {
        let seen = life("abc", 100, &sent());
        let words = all_words(&seen);
        for hidden in ["secret", "away.example", "yonder.example", "xyz"] {
            assert!(!words.contains(hidden), "{hidden}: {words}");
        }
        let of_first: Vec<Event> =
            seen.iter().filter(|event| event.queue_id == Some(id(100))).cloned().collect();
        let standing = Standing::after(&of_first);
        assert_eq!(
            standing.recipients,
            [(address("info@shop.example"), Fate::Delivered), (address("u@peer.example"), Fate::Delivered)]
        );
        let here = |event: &&Event| matches!(event.what, What::Delivered { to: Delivery::Here, .. });
        assert_eq!(seen.iter().filter(here).count(), 1, "how many there are is not said");
        // The report to him is part of it, though it is on a copy that is not his.
        assert!(seen.iter().any(|event| event.queue_id == Some(id(400))));
        assert_eq!(life("abc", 400, &sent()), seen);
        for hidden in [200, 300] {
            assert_eq!(life("abc", hidden, &sent()), []);
        }
    }

    #[test]
    fn who_gets_a_customers_message_does_not_see_who_and_where_he_is() {
        let seen = life("xyz", 100, &sent());
        let What::Accepted(accepted) = &seen[0].what else { panic!() };
        assert_eq!((accepted.account.as_ref(), accepted.client), (None, None));
        assert_eq!(accepted.recipients, [address("info@shop.example")]);
        let words = all_words(&seen);
        assert!(!words.contains("peer.example:") && !words.contains("\"u\""), "{words}");
        // What he forwards, he sees to its end; and that the sender was told.
        assert!(words.contains("secret") && words.contains("other"));
        assert!(!seen.iter().any(|event| event.queue_id == Some(id(400))));
    }

    #[test]
    fn the_mailbox_of_another_is_not_named_to_who_sends() {
        let family = [
            came(1, Door::Submission, Some("abc"), "abc@pobox.example", &["info@shop.example"]),
            in_mailbox(1, "info@shop.example", "xyz"),
        ];
        let seen = life("abc", 1, &family);
        assert!(matches!(&seen[1].what, What::Delivered { to: Delivery::Here, .. }));
        assert!(!all_words(&seen).contains("xyz"));
    }

    #[test]
    fn a_forward_to_another_member_ends_for_both_where_it_changes_hands() {
        // abc forwards to xyz, who forwards to away.example.
        let family = [
            came(1, Door::Mx, None, "u@peer.example", &["foo@abc.pobox.example"]),
            forwarded(1, "foo@abc.pobox.example", 10, &["xyz@pobox.example", "me@a.example"]),
            came(
                10,
                Door::Forward { of: id(1) },
                None,
                "u@peer.example",
                &["xyz@pobox.example", "me@a.example"],
            ),
            at_host(10, "me@a.example"),
            forwarded(10, "xyz@pobox.example", 20, &["me@away.example"]),
            came(20, Door::Forward { of: id(10) }, None, "u@peer.example", &["me@away.example"]),
            at_host(20, "me@away.example"),
        ];
        let seen = life("abc", 1, &family);
        assert!(!all_words(&seen).contains("away.example"), "{seen:?}");
        assert_eq!(seen.len(), 5);
        assert_eq!(life("abc", 20, &family), []);
        let seen = life("xyz", 10, &family);
        let words = all_words(&seen);
        assert!(!words.contains("foo") && !words.contains("a.example"), "{words}");
        assert_eq!(seen.len(), 4, "{seen:?}");
        assert_eq!(life("xyz", 1, &family), []);
    }

    #[test]
    fn what_another_brings_back_to_him_is_not_tied_to_his_own_copy() {
        // To abc and the shop, and the shop forwards it to abc once more.
        let family = [
            came(1, Door::Mx, None, "u@peer.example", &["abc@pobox.example", "info@shop.example"]),
            in_mailbox(1, "abc@pobox.example", "abc"),
            forwarded(1, "info@shop.example", 10, &["abc@pobox.example"]),
            came(10, Door::Forward { of: id(1) }, None, "u@peer.example", &["abc@pobox.example"]),
            in_mailbox(10, "abc@pobox.example", "abc"),
        ];
        assert_eq!(life("abc", 1, &family).len(), 2);
        assert_eq!(life("abc", 10, &family).len(), 2);
        assert!(!all_words(&life("abc", 1, &family)).contains("shop"));
    }

    #[test]
    fn a_circle_of_forwards_ends() {
        let family = [
            came(1, Door::Mx, None, "u@peer.example", &["abc@pobox.example"]),
            forwarded(1, "abc@pobox.example", 10, &["b@abc.pobox.example"]),
            came(10, Door::Forward { of: id(1) }, None, "u@peer.example", &["b@abc.pobox.example"]),
            forwarded(10, "b@abc.pobox.example", 1, &["abc@pobox.example"]),
            reported(1, 1, "u@peer.example"),
        ];
        assert_eq!(life("abc", 1, &family).len(), 5);
        let odd = [came(1, Door::Report { of: id(1) }, None, "u@peer.example", &["abc@pobox.example"])];
        assert_eq!(life("abc", 1, &odd).len(), 1);
        let ring = [
            came(1, Door::Report { of: id(2) }, None, "u@peer.example", &["abc@pobox.example"]),
            came(2, Door::Forward { of: id(3) }, None, "u@peer.example", &["x@away.example"]),
            came(3, Door::Forward { of: id(2) }, None, "u@peer.example", &["x@away.example"]),
        ];
        assert_eq!(life("abc", 1, &ring).len(), 1);
    }

    #[test]
    fn what_was_before_his_account_or_in_anothers_mailbox_is_not_his() {
        let account = "abc".parse().unwrap();
        let owns = |address: &Address| owner(address) == Some("abc");
        let early = Member { account: &account, since: 50, parties: Vec::new(), owns: &owns };
        let before = [came(49, Door::Mx, None, "u@peer.example", &["abc@pobox.example"])];
        assert_eq!(early.life(id(49), before.to_vec()), []);
        let after = [came(50, Door::Mx, None, "u@peer.example", &["abc@pobox.example"])];
        assert_eq!(early.life(id(50), after.to_vec()).len(), 1);
        // The address was xyz's at that time.
        let elsewhere = [
            came(60, Door::Mx, None, "u@peer.example", &["old@abc.pobox.example"]),
            in_mailbox(60, "old@abc.pobox.example", "xyz"),
        ];
        assert_eq!(early.life(id(60), elsewhere.to_vec()), []);
    }

    #[test]
    fn refusals_are_told_to_whom_they_concern() {
        let refused = |account: Option<&str>, recipient: &str| Event {
            at: 1,
            queue_id: None,
            what: What::Refused(Box::new(Refused {
                client: "192.0.2.7".parse().unwrap(),
                account: account.map(|account| account.parse().unwrap()),
                reverse_path: None,
                recipient: Some(address(recipient)),
                code: 550,
                text: "no".into(),
            })),
        };
        let view = |event: Event| member("abc", |member| member.view(&[event], &[]));
        assert!(view(refused(None, "abc@pobox.example")).unwrap().got);
        assert!(view(refused(Some("abc"), "u@peer.example")).unwrap().sent);
        assert_eq!(view(refused(None, "info@shop.example")), None);
        assert_eq!(view(refused(Some("xyz"), "u@peer.example")), None);
        let from_another = view(refused(Some("xyz"), "abc@pobox.example")).unwrap();
        let What::Refused(refused) = &from_another.events[0].what else { panic!() };
        assert_eq!((refused.account.as_ref(), refused.client.is_unspecified()), (None, true));
    }

    #[test]
    fn an_answer_while_one_is_away_is_seen_by_who_gave_it_and_who_got_it() {
        let what = What::AutoReplied { recipient: address("info@shop.example"), id: id(10) };
        let family = [
            came(
                1,
                Door::Submission,
                Some("abc"),
                "abc@pobox.example",
                &["info@shop.example", "u@peer.example"],
            ),
            in_mailbox(1, "info@shop.example", "xyz"),
            event(10, id(1), what),
            came(10, Door::AutoReply { of: id(1) }, Some("xyz"), "info@shop.example", &["abc@pobox.example"]),
            in_mailbox(10, "abc@pobox.example", "abc"),
        ];
        let seen = life("xyz", 1, &family);
        assert_eq!(seen.len(), 5);
        assert_eq!(life("xyz", 10, &family), seen);
        assert!(
            !all_words(&seen).contains("\"u\"")
                && !all_words(&seen).contains("Mailbox(AccountName(\"abc\"))")
        );
        let seen = life("abc", 1, &family);
        assert_eq!(seen.len(), 4);
        assert!(!all_words(&seen).contains("xyz"), "{seen:?}");
        assert_eq!(life("abc", 10, &family), seen);
    }

    #[test]
    fn operators_are_not_named() {
        let mut family = to_both();
        family.push(event(101, id(100), What::Held { by: "uid 1000 (taro)".into() }));
        family.push(event(102, id(100), What::Removed { by: "uid 1000 (taro)".into() }));
        assert!(!all_words(&life("abc", 100, &family)).contains("taro"));
    }

    /// Addresses by who has them; each appears in one place only, so that what is seen tells whose it was.
    fn anywhere() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-d]@abc\\.pobox\\.example",
            "[a-d]@shop\\.example",
            "[a-d]@there\\.example",
            Just("abc@pobox.example".to_owned()),
            Just("xyz@pobox.example".to_owned()),
        ]
    }

    fn anything() -> impl Strategy<Value = Event> {
        let door = prop_oneof![
            Just(Door::Mx),
            Just(Door::Submission),
            (0_u64..6).prop_map(|of| Door::Forward { of: id(of) }),
            (0_u64..6).prop_map(|of| Door::Report { of: id(of) }),
        ];
        let account = prop_oneof![Just(None), Just(Some("abc")), Just(Some("xyz"))];
        let to = prop::collection::vec(anywhere(), 1..4);
        (0_u64..6, 0_u64..6, 0..6, door, account, anywhere(), to).prop_map(
            |(message, other, kind, door, account, by, to)| {
                let to: Vec<&str> = to.iter().map(String::as_str).collect();
                match kind {
                    0 | 1 => came(message, door, account, &by, &to),
                    2 => forwarded(message, &by, other, &to),
                    3 => failed(message, &by, "no"),
                    4 => reported(message, other, &by),
                    _ => match owner(&address(&by)) {
                        Some(account) => in_mailbox(message, &by, account),
                        None => at_host(message, &by),
                    },
                }
            },
        )
    }

    proptest! {
        /// Whatever the family: where another's address forwards to, and what it is, is not told as such.
        #[test]
        fn no_forward_and_no_mailbox_of_another_is_ever_told(
            family in prop::collection::vec(anything(), 1..25),
            of in 0_u64..6,
        ) {
            let seen = life("abc", of, &family);
            for event in &seen {
                match &event.what {
                    What::Forwarded { recipient, .. } => prop_assert_eq!(owner(recipient), Some("abc")),
                    What::Delivered { to: Delivery::Mailbox(account), .. } => {
                        prop_assert_eq!(account.as_str(), "abc");
                    }
                    What::Accepted(accepted) => {
                        let other = accepted.account.as_ref().is_some_and(|account| account.as_str() != "abc");
                        prop_assert!(!other);
                    }
                    _ => {}
                }
            }
            prop_assert!(seen.is_sorted_by_key(|event| event.at));
            prop_assert!(seen.len() <= family.len());
        }

        /// A message that is not his, to addresses that nobody of his forwards to, shows none of its recipients.
        #[test]
        fn recipients_that_are_not_his_are_not_told(
            others in prop::collection::vec("[a-d]@(shop|there)\\.example", 0..4),
            more in prop::collection::vec(anything(), 0..10),
        ) {
            let mut to: Vec<&str> = others.iter().map(String::as_str).collect();
            to.push("abc@pobox.example");
            let mut family = vec![came(7, Door::Mx, None, "u@peer.example", &to)];
            family.extend(more);
            let seen = life("abc", 7, &family);
            let first = seen.iter().find(|event| event.queue_id == Some(id(7))).unwrap();
            let What::Accepted(accepted) = &first.what else { panic!() };
            prop_assert_eq!(&accepted.recipients, &[address("abc@pobox.example")]);
        }
    }
}
