//! The life of a message in plain words: a timeline that members and operators see, from its events.
//!
//! What others said is quoted as it is, and is only text. `templates/life.html` shows a [`Life`] that stands in a page
//! as `life`.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use envelope::event::{Accepted, Delivery, Door, Event, Fate, Peer, Refused, ReportKind, Standing, What};
use envelope::{Address, QueueId, ReversePath};
use fluent_bundle::FluentArgs;
use time::UtcOffset;

use crate::advice::{Advice, Side};
use crate::moment::Moment;
use crate::shown;
use crate::words::Words;

/// How many addresses a sentence names.
const NAMES_MAX: usize = 3;
/// Of a long life, so many steps are shown of its beginning, and so many of its end. What lies between them is mostly
/// the same attempt again and again.
const FIRST: usize = 8;
const LAST: usize = 24;
/// Recipients whose end is shown.
const ENDS_MAX: usize = 24;

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A member: his own mail.
    Member,
    /// An operator, who sees the names of messages, hosts' addresses and who did what too.
    Operator,
}

impl Reader {
    /// Where the life of another message is shown.
    fn path(self, id: QueueId) -> String {
        match self {
            Reader::Member => format!("/mail/{id}"),
            Reader::Operator => format!("/operator/mail/{id}"),
        }
    }
}

/// A message's life.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    /// From whom, to whom, how large: what its first event says.
    pub(crate) facts: Vec<(String, String)>,
    /// How it stands with each whom it was to reach.
    pub(crate) ends: Vec<End>,
    /// What happened, in the order of time.
    pub(crate) steps: Vec<Step>,
    /// Of a long life, what is said between its beginning and its last part: how much is left out.
    pub(crate) left_out: Option<String>,
    /// What the steps are called together.
    pub(crate) caption: String,
}

/// How it stands with one recipient.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) recipient: String,
    pub(crate) tone: Tone,
    pub(crate) words: String,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) tone: Tone,
    pub(crate) at: Moment,
    /// What happened, in a sentence.
    pub(crate) what: String,
    /// More to it, each a sentence or less.
    pub(crate) notes: Vec<String>,
    /// What somebody said, and what it means.
    pub(crate) said: Option<Said>,
    /// Another message that it leads to: where its life is shown, and what the link says.
    pub(crate) other: Option<(String, String)>,
}

/// What somebody said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Who: "mx.peer.example said"; or that it is our own.
    pub(crate) who: String,
    /// As it was said.
    pub(crate) reply: String,
    /// What it means, in a few words.
    pub(crate) cause: String,
    /// What to do, in a sentence or two.
    pub(crate) advice: String,
}

/// Whether something is well, shown by a mark and a colour, and always said in words too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// On its way.
    Plain,
    /// Nothing is done.
    Off,
    /// It arrived.
    Good,
    /// It waits.
    Wait,
    /// It will not arrive.
    Bad,
}

impl Tone {
    /// Its class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Tone::Plain | Tone::Off => "plain",
            Tone::Good => "good",
            Tone::Wait => "wait",
            Tone::Bad => "bad",
        }
    }

    /// Its mark.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Tone::Plain => "→",
            Tone::Off => "–",
            Tone::Good => "✓",
            Tone::Wait => "…",
            Tone::Bad => "✕",
        }
    }

    /// Of what became of one recipient.
    pub(crate) fn of(fate: Fate) -> Tone {
        match fate {
            Fate::Untried | Fate::Waiting { .. } => Tone::Wait,
            Fate::Delivered => Tone::Good,
            Fate::Forwarded => Tone::Plain,
            Fate::Failed | Fate::Removed => Tone::Bad,
        }
    }
}

impl Life {
    /// Whether what is left out belongs before this step.
    pub(crate) fn gap_before(&self, step: &usize) -> Option<&str> {
        self.left_out.as_deref().filter(|_| *step == FIRST)
    }

    /// The life of these events: those of a message and of its family, in the order of time.
    pub(crate) fn of(events: &[Event], reader: Reader, zone: UtcOffset, words: Words) -> Life {
        let teller = Teller { reader, zone, words, sent: was_sent_by_a_customer(events) };
        let told_otherwise = told_by_their_origin(events);
        let told = events.iter().filter(|event| {
            let birth = matches!(event.what, What::Accepted(_));
            !(birth && event.queue_id.is_some_and(|id| told_otherwise.contains(&id)))
        });
        let told: Vec<&Event> = told.collect();
        let left_out = told.len().saturating_sub(FIRST + LAST);
        let (first, rest) = told.split_at(if left_out > 0 { FIRST } else { 0 });
        let shown = first.iter().chain(&rest[left_out..]);
        Life {
            facts: teller.facts(events),
            ends: teller.ends(events),
            steps: shown.map(|event| teller.step(event)).collect(),
            left_out: (left_out > 0).then(|| words.with("life-left-out", "count", left_out).into_owned()),
            caption: words.say("life-steps").into_owned(),
        }
    }
}

/// Some addresses, and how many more there are.
pub(crate) fn names<T: Display>(addresses: &[T], more: usize, words: Words) -> String {
    let more = more + addresses.len().saturating_sub(NAMES_MAX);
    let named: Vec<String> = addresses.iter().take(NAMES_MAX).map(ToString::to_string).collect();
    let named = named.join(&words.say("life-comma"));
    if more == 0 { named } else { words.with2("life-more", ("names", named), ("more", more)).into_owned() }
}

/// A sender, in words if there is none.
pub(crate) fn sender(path: Option<&ReversePath>, words: Words) -> String {
    match path {
        Some(ReversePath::Null) => words.say("life-no-sender").into_owned(),
        Some(path) => path.address().map(ToString::to_string).unwrap_or_default(),
        None => words.say("life-sender-unknown").into_owned(),
    }
}

/// Whether a customer sent the first of these.
fn was_sent_by_a_customer(events: &[Event]) -> bool {
    events.iter().find_map(|event| match &event.what {
        What::Accepted(accepted) => Some(accepted.account.is_some() && accepted.door.of().is_none()),
        _ => None,
    }) == Some(true)
}

/// The messages of whose beginning another event tells: that it was forwarded, that somebody is told.
fn told_by_their_origin(events: &[Event]) -> HashSet<QueueId> {
    let origin = |event: &Event| match &event.what {
        What::Forwarded { id, .. } | What::Reported { id, .. } | What::AutoReplied { id, .. } => Some(*id),
        _ => None,
    };
    events.iter().filter_map(origin).collect()
}

/// Whether it is a message about another one: a report, or the answer of somebody who is away.
fn is_report(events: &[&Event]) -> bool {
    events.iter().any(|event| match &event.what {
        What::Accepted(accepted) => matches!(accepted.door, Door::Report { .. } | Door::AutoReply { .. }),
        _ => false,
    })
}

/// Who tells, to whom.
struct Teller {
    reader: Reader,
    zone: UtcOffset,
    words: Words,
    sent: bool,
}

impl Teller {
    fn say(&self, key: &str) -> String {
        self.words.say(key).into_owned()
    }

    fn with(&self, key: &str, name: &str, value: impl Display) -> String {
        self.words.with(key, name, value.to_string()).into_owned()
    }

    fn moment(&self, micros: u64) -> Moment {
        Moment::of_micros(micros, self.zone, self.words)
    }

    fn is_operator(&self) -> bool {
        self.reader == Reader::Operator
    }

    fn facts(&self, events: &[Event]) -> Vec<(String, String)> {
        let first = events.iter().find_map(|event| match &event.what {
            What::Accepted(accepted) => Some((event.queue_id, accepted)),
            _ => None,
        });
        let Some((id, accepted)) = first else { return Vec::new() };
        let mut facts = vec![
            (self.say("life-from"), sender(Some(&accepted.reverse_path), self.words)),
            (self.say("life-to"), names(&accepted.recipients, 0, self.words)),
            (self.say("life-size"), shown::octets(accepted.size)),
        ];
        if let Some(message_id) = &accepted.message_id {
            facts.push((self.say("life-message-id"), message_id.to_string()));
        }
        if let Some(client) = accepted.client {
            facts.push((self.say("life-client"), client.to_string()));
        }
        if let Some(id) = id {
            facts.push((self.say("life-id"), id.to_string()));
        }
        facts
    }

    /// The ends of all branches of the family: what was forwarded ends where the forward does.
    fn ends(&self, events: &[Event]) -> Vec<End> {
        let mut messages: BTreeMap<QueueId, Vec<&Event>> = BTreeMap::new();
        for event in events {
            if let Some(id) = event.queue_id {
                messages.entry(id).or_default().push(event);
            }
        }
        // What became of a report matters only to whoever asks about a report of which no more is known.
        if messages.values().any(|events| !is_report(events)) {
            messages.retain(|_, events| !is_report(events));
        }
        let mut ends = Vec::new();
        for events in messages.values() {
            let goes_on_here = |recipient: &Address| {
                events.iter().any(|event| {
                    matches!(&event.what, What::Forwarded { recipient: by, id, .. } if by == recipient && messages.contains_key(id))
                })
            };
            let standing = Standing::after(events.iter().copied());
            for (recipient, fate) in &standing.recipients {
                if *fate == Fate::Forwarded && goes_on_here(recipient) {
                    continue;
                }
                ends.push(self.end(recipient, *fate, standing.held));
            }
        }
        // Of many, those that are not well come first.
        if ends.len() > ENDS_MAX {
            ends.sort_by_key(|end| match end.tone {
                Tone::Bad => 0,
                Tone::Wait => 1,
                Tone::Plain | Tone::Off | Tone::Good => 2,
            });
            let more = ends.len() - ENDS_MAX;
            ends.truncate(ENDS_MAX);
            let words = self.with("life-more-ends", "count", more);
            ends.push(End { recipient: String::new(), tone: Tone::Off, words });
        }
        ends
    }

    fn end(&self, recipient: &Address, fate: Fate, held: bool) -> End {
        let words = match fate {
            Fate::Untried | Fate::Waiting { .. } if held => self.say("fate-held"),
            Fate::Untried => self.say("fate-untried"),
            Fate::Waiting { until } => {
                let until = self.moment(until);
                self.with("fate-waiting-until", "until", format!("{} {}", until.day, until.clock))
            }
            Fate::Delivered => self.say("fate-delivered"),
            Fate::Forwarded => self.say("fate-forwarded"),
            Fate::Failed => self.say("fate-failed"),
            Fate::Removed => self.say("fate-removed"),
        };
        End { recipient: recipient.to_string(), tone: Tone::of(fate), words }
    }

    fn step(&self, event: &Event) -> Step {
        let mut step = Step {
            tone: Tone::Plain,
            at: self.moment(event.at),
            what: String::new(),
            notes: Vec::new(),
            said: None,
            other: None,
        };
        match &event.what {
            What::Accepted(accepted) => self.accepted(&mut step, accepted),
            What::Refused(refused) => self.refused(&mut step, refused),
            What::Held { by } => self.ruled(&mut step, Tone::Wait, "life-held", by),
            What::Released { by } => self.ruled(&mut step, Tone::Plain, "life-released", by),
            What::Bounced { by } => self.ruled(&mut step, Tone::Bad, "life-bounced", by),
            What::Removed { by } => self.ruled(&mut step, Tone::Bad, "life-removed", by),
            What::Deferred { recipient, peer, reply, until } => {
                step.tone = Tone::Wait;
                step.what = self.with("life-deferred", "to", recipient);
                let until = self.moment(*until);
                step.notes.push(self.with("life-next", "until", format!("{} {}", until.day, until.clock)));
                step.said = Some(self.said(peer.as_ref(), reply.as_str(), None, false));
            }
            What::Delivered { recipient, to, took_ms } => self.delivered(&mut step, recipient, to, *took_ms),
            What::Forwarded { recipient, id, to } => {
                let to = names(to, 0, self.words);
                step.what = self
                    .words
                    .with2("life-forwarded", ("by", recipient.to_string()), ("to", to))
                    .into_owned();
                if self.is_operator() {
                    step.other = Some((self.reader.path(*id), id.to_string()));
                }
            }
            What::Failed { recipient, status, peer, reply } => {
                step.tone = Tone::Bad;
                step.what = self.with("life-failed", "to", recipient);
                step.said = Some(self.said(peer.as_ref(), reply.as_str(), Some(status.as_str()), true));
            }
            What::AutoReplied { recipient, id } => {
                step.what = self.with("life-auto-replied", "by", recipient);
                if self.is_operator() {
                    step.other = Some((self.reader.path(*id), id.to_string()));
                }
            }
            What::Reported { id, to, kind } => {
                let key = match kind {
                    ReportKind::Failure => "life-report-failure",
                    ReportKind::Delay => "life-report-delay",
                    ReportKind::DoubleBounce => "life-report-double-bounce",
                    ReportKind::Success => "life-report-success",
                };
                step.what = self.with(key, "to", to);
                if self.is_operator() {
                    step.other = Some((self.reader.path(*id), id.to_string()));
                }
            }
        }
        if self.is_operator()
            && let Some(id) = event.queue_id
        {
            step.notes.push(self.with("life-message", "id", id));
        }
        step
    }

    fn accepted(&self, step: &mut Step, accepted: &Accepted) {
        let mut args = FluentArgs::new();
        args.set("from", sender(Some(&accepted.reverse_path), self.words));
        args.set("to", names(&accepted.recipients, 0, self.words));
        let key = match accepted.door {
            Door::Mx => "life-received",
            Door::Submission => "life-sent",
            Door::Sendmail => "life-sent-by-program",
            Door::Forward { .. } => "life-forward",
            Door::Report { .. } => "life-report",
            Door::Notice => "life-notice",
            Door::AutoReply { .. } => "life-auto-reply",
        };
        step.what = self.words.fill(key, &args).into_owned();
        if self.is_operator() {
            if let Some(account) = &accepted.account {
                step.notes.push(self.with("life-account", "account", account));
            }
            if let Some(of) = accepted.door.of() {
                step.other = Some((self.reader.path(of), of.to_string()));
            }
        }
    }

    fn refused(&self, step: &mut Step, refused: &Refused) {
        step.tone = Tone::Bad;
        let from = sender(refused.reverse_path.as_ref(), self.words);
        step.what = match &refused.recipient {
            Some(to) => self.words.with2("life-refused", ("from", from), ("to", to.to_string())).into_owned(),
            None => self.with("life-refused-sender", "from", from),
        };
        if self.is_operator() {
            step.notes.push(format!("{} {}", self.say("life-client"), refused.client));
            if let Some(account) = &refused.account {
                step.notes.push(self.with("life-account", "account", account));
            }
        }
        let again = if refused.code < 500 { "life-refused-again" } else { "life-refused-told" };
        step.notes.push(self.say(again));
        step.said = Some(Said {
            who: self.say("life-we-said"),
            reply: format!("{} {}", refused.code, refused.text),
            cause: String::new(),
            advice: String::new(),
        });
    }

    fn ruled(&self, step: &mut Step, tone: Tone, key: &str, by: &envelope::event::Words) {
        step.tone = tone;
        step.what = self.say(key);
        if self.is_operator() {
            step.notes.push(self.with("life-by", "who", by));
        }
    }

    fn delivered(&self, step: &mut Step, recipient: &Address, to: &Delivery, took_ms: u32) {
        step.tone = Tone::Good;
        match to {
            Delivery::Mailbox(account) => {
                step.what = self.with("life-to-mailbox", "to", recipient);
                if self.is_operator() {
                    step.notes.push(self.with("life-account", "account", account));
                }
            }
            Delivery::Host { peer, reply } => {
                let (to, host) = (recipient.to_string(), peer.host.to_string());
                step.what = self.words.with2("life-to-host", ("to", to), ("host", host)).into_owned();
                match peer.tls {
                    Some(true) => step.notes.push(self.say("life-tls")),
                    Some(false) => step.notes.push(self.say("life-no-tls")),
                    None => {}
                }
                if self.is_operator() {
                    step.notes.push(self.with(
                        "life-took",
                        "seconds",
                        format!("{:.1}", f64::from(took_ms) / 1000.0),
                    ));
                }
                step.said = Some(Said {
                    who: self.with("life-host-said", "host", self.host(peer)),
                    reply: reply.to_string(),
                    cause: String::new(),
                    advice: String::new(),
                });
            }
            Delivery::Program => step.what = self.with("life-to-program", "to", recipient),
            Delivery::File => step.what = self.with("life-to-file", "to", recipient),
            Delivery::Here => step.what = self.with("life-here", "to", recipient),
            Delivery::Discarded => {
                step.tone = Tone::Plain;
                step.what = self.with("life-discarded", "to", recipient);
            }
        }
    }

    fn said(&self, peer: Option<&Peer>, reply: &str, status: Option<&str>, permanent: bool) -> Said {
        let advice = Advice::on(reply, status, peer.is_some(), permanent);
        let side = if self.sent { Side::Sent } else { Side::Forwarded };
        let who = match peer {
            Some(peer) => self.with("life-host-said", "host", self.host(peer)),
            None => self.say("life-we-say"),
        };
        let reply = match status {
            Some(status) if !reply.contains(status) => format!("{reply} ({status})"),
            _ => reply.to_owned(),
        };
        Said {
            who,
            reply,
            cause: advice.cause(self.words).into_owned(),
            advice: advice.sentence(side, self.words).into_owned(),
        }
    }

    fn host(&self, peer: &Peer) -> String {
        if self.is_operator() { peer.to_string() } else { peer.host.to_string() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use askama::Template;
    use envelope::Language;
    use time::macros::offset;

    use super::*;

    /// 2026-11-24 21:30:05 in Japan.
    const AT: u64 = 1_795_523_405_000_000;
    pub(crate) const HOSTILE: &str = "550 5.7.1 <script>alert('x')</script>\" onload=\"y & go";

    fn id(number: u64) -> QueueId {
        QueueId::from_u64(AT << 12 | number)
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn event(minutes: u64, number: u64, what: What) -> Event {
        Event { at: AT + minutes * 60_000_000, queue_id: Some(id(number)), what }
    }

    fn peer() -> Peer {
        Peer { host: "mx.peer.example".into(), address: "192.0.2.25".parse().unwrap(), tls: Some(true) }
    }

    fn accepted(door: Door, from: &str, to: &[&str]) -> What {
        What::Accepted(Box::new(Accepted {
            door,
            client: Some("192.0.2.7".parse().unwrap()),
            account: matches!(door, Door::Submission | Door::Sendmail).then(|| "abc".parse().unwrap()),
            reverse_path: match from {
                "" => ReversePath::Null,
                from => ReversePath::Address(address(from)),
            },
            recipients: to.iter().copied().map(address).collect(),
            size: 2113,
            message_id: Some(HOSTILE.into()),
        }))
    }

    /// One of each, with hostile words in each place where others have their say.
    pub(crate) fn every_kind() -> Vec<Event> {
        let by = || HOSTILE.into();
        let to = || address("u@peer.example");
        let delivered = |to| What::Delivered { recipient: address("abc@pobox.example"), to, took_ms: 310 };
        let report = |number, kind| What::Reported { id: id(number), to: address("s@peer.example"), kind };
        let mut kinds = vec![
            accepted(Door::Mx, "s@peer.example", &["foo@abc.pobox.example"]),
            accepted(
                Door::Submission,
                "abc@pobox.example",
                &["a@x.example", "b@x.example", "c@x.example", "d@x.example"],
            ),
            accepted(Door::Sendmail, "abc@pobox.example", &["u@peer.example"]),
            accepted(Door::Forward { of: id(90) }, "s@peer.example", &["u@peer.example"]),
            accepted(Door::Report { of: id(91) }, "", &["s@peer.example"]),
            accepted(Door::Notice, "", &["abc@pobox.example"]),
            accepted(Door::AutoReply { of: id(92) }, "", &["s@peer.example"]),
            What::AutoReplied { recipient: address("abc@pobox.example"), id: id(74) },
            What::Held { by: by() },
            What::Released { by: by() },
            What::Bounced { by: by() },
            What::Removed { by: by() },
            What::Deferred {
                recipient: to(),
                peer: Some(peer()),
                reply: HOSTILE.into(),
                until: AT + 400_000_000,
            },
            What::Deferred { recipient: to(), peer: None, reply: "Sorry (#4.4.1)".into(), until: AT },
            What::Failed {
                recipient: to(),
                status: "5.7.1".into(),
                peer: Some(peer()),
                reply: HOSTILE.into(),
            },
            What::Forwarded { recipient: address("foo@abc.pobox.example"), id: id(77), to: vec![to()] },
            delivered(Delivery::Mailbox("abc".parse().unwrap())),
            delivered(Delivery::Host {
                peer: Peer { host: HOSTILE.into(), tls: Some(false), ..peer() },
                reply: HOSTILE.into(),
            }),
            delivered(Delivery::Program),
            delivered(Delivery::File),
            delivered(Delivery::Discarded),
            delivered(Delivery::Here),
            report(70, ReportKind::Failure),
            report(71, ReportKind::Delay),
            report(72, ReportKind::DoubleBounce),
            report(73, ReportKind::Success),
        ];
        let refused = |code, recipient| Refused {
            client: "192.0.2.9".parse().unwrap(),
            account: Some("abc".parse().unwrap()),
            reverse_path: None,
            recipient,
            code,
            text: HOSTILE.into(),
        };
        kinds.push(What::Refused(Box::new(refused(550, Some(to())))));
        kinds.push(What::Refused(Box::new(refused(451, None))));
        (0..).zip(kinds).map(|(number, what)| event(number, number, what)).collect()
    }

    /// A message to `foo`, which forwards it; the destination took it at the second attempt.
    pub(crate) fn forwarded() -> Vec<Event> {
        let to = || address("u@peer.example");
        vec![
            event(0, 1, accepted(Door::Mx, "s@far.example", &["foo@abc.pobox.example"])),
            event(
                0,
                1,
                What::Forwarded { recipient: address("foo@abc.pobox.example"), id: id(2), to: vec![to()] },
            ),
            event(0, 2, accepted(Door::Forward { of: id(1) }, "s@far.example", &["u@peer.example"])),
            event(
                1,
                2,
                What::Deferred {
                    recipient: to(),
                    peer: Some(peer()),
                    reply: "450 4.7.1 greylisted".into(),
                    until: AT + 400_000_000,
                },
            ),
            event(
                7,
                2,
                What::Delivered {
                    recipient: to(),
                    to: Delivery::Host { peer: peer(), reply: "250 ok".into() },
                    took_ms: 310,
                },
            ),
        ]
    }

    #[derive(Template)]
    #[template(source = "{% include \"life.html\" %}", ext = "html")]
    struct Page {
        life: Life,
    }

    fn life(events: &[Event], reader: Reader, language: Language) -> Life {
        Life::of(events, reader, offset!(+9), Words(language))
    }

    #[test]
    fn what_was_forwarded_is_one_story_that_ends_where_the_forward_does() {
        let life = life(&forwarded(), Reader::Member, Language::En);
        let told: Vec<&str> = life.steps.iter().map(|step| step.what.as_str()).collect();
        assert_eq!(
            told,
            [
                "Received from s@far.example for foo@abc.pobox.example.",
                "foo@abc.pobox.example forwards it to u@peer.example.",
                "Not delivered to u@peer.example yet.",
                "Handed over for u@peer.example to mx.peer.example.",
            ]
        );
        assert_eq!(life.steps[2].said.as_ref().unwrap().cause, "come again later");
        let [end] = &life.ends[..] else { panic!("{:?}", life.ends) };
        assert_eq!((end.recipient.as_str(), end.tone), ("u@peer.example", Tone::Good));
    }

    #[test]
    fn every_kind_of_event_has_its_words_in_both_languages() {
        for language in [Language::Ja, Language::En] {
            for reader in [Reader::Member, Reader::Operator] {
                let life = life(&every_kind(), reader, language);
                assert_eq!(life.steps.len(), every_kind().len());
                for step in &life.steps {
                    assert!(!step.what.is_empty() && !step.what.contains("life-"), "{}", step.what);
                    assert!(!step.what.contains('{'), "{}", step.what);
                }
            }
        }
    }

    #[test]
    fn a_member_is_not_told_which_operator_did_something() {
        let told = |reader| {
            let life = life(&every_kind()[8..12], reader, Language::En);
            life.steps.iter().any(|step| step.notes.iter().any(|note| note.contains("script")))
        };
        assert!(!told(Reader::Member));
        assert!(told(Reader::Operator));
    }

    #[test]
    fn what_others_said_is_only_text() {
        for reader in [Reader::Member, Reader::Operator] {
            let html = Page { life: life(&every_kind(), reader, Language::Ja) }.render().unwrap();
            assert!(html.contains("&#60;script&#62;"), "{html}");
            assert!(!html.contains("<script") && !html.contains("onload=\"y"), "{html}");
        }
    }

    #[test]
    fn a_long_life_is_a_small_page_that_begins_and_ends_as_it_did() {
        let recipients: Vec<String> = (0..200).map(|at| format!("someone{at}@peer.example")).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let mut events = vec![event(0, 1, accepted(Door::Submission, "abc@pobox.example", &recipients))];
        let reply = "450 4.7.1 try again later, ".repeat(18);
        events.extend((1..=1000).map(|at| {
            let recipient = address(recipients[at % 200]);
            let peer = Some(peer());
            event(at as u64, 1, What::Deferred { recipient, peer, reply: reply.as_str().into(), until: AT })
        }));
        let told = life(&events, Reader::Member, Language::Ja);
        assert_eq!((told.steps.len(), told.ends.len()), (FIRST + LAST, ENDS_MAX + 1));
        assert!(told.left_out.as_ref().unwrap().contains("969"), "{:?}", told.left_out);
        assert!(told.steps[0].what.contains("送信を受け付け"));
        let html = Page { life: told }.render().unwrap();
        assert_eq!(html.matches("969").count(), 1);
        assert!(html.len() < 50 << 10, "{} octets", html.len());
        let whole = life(&events[..FIRST + LAST], Reader::Member, Language::Ja);
        assert_eq!((whole.steps.len(), whole.left_out), (FIRST + LAST, None));
    }
}
