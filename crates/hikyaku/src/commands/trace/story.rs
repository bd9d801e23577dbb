//! Events in words: a line for each.

use std::collections::HashMap;
use std::fmt::Display;

use envelope::event::{Accepted, Delivery, Door, Event, Peer, Refused, ReportKind, Summary, What, Words};
use envelope::{Address, QueueId};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// How many addresses a line names.
const NAMES_MAX: usize = 3;
/// As wide as a queue id.
const NO_ID: &str = "            -";

/// A line for each event, which are in the order of time.
pub fn lines(events: &[Event], zone: UtcOffset) -> Vec<String> {
    // When a recipient was tried last, if that failed.
    let mut tried: HashMap<(Option<QueueId>, &Address), u64> = HashMap::new();
    let mut lines = Vec::with_capacity(events.len());
    for event in events {
        let (head, words) = (head(event.at, event.queue_id, zone), words(&event.what, zone));
        let Some(recipient) = attempted(&event.what) else {
            lines.push(format!("{head}  {words}"));
            continue;
        };
        let attempt = (event.queue_id, recipient);
        let before = match event.what {
            What::Deferred { .. } => tried.insert(attempt, event.at),
            _ => tried.remove(&attempt),
        };
        let again = before.map_or(String::new(), |before| {
            format!("tried again {} later: ", span(event.at.saturating_sub(before)))
        });
        lines.push(format!("{head}  {recipient}: {again}{words}"));
    }
    lines
}

/// A message in a line.
pub fn summary(message: &Summary, zone: UtcOffset) -> String {
    let head = head(message.at, message.queue_id, zone);
    let from = message.reverse_path.as_ref().map_or("(its sender is not known)".into(), ToString::to_string);
    let more = (message.tally.total() as usize).saturating_sub(message.recipients.len());
    let to = names(&message.recipients, more);
    let held = if message.held { ", held" } else { "" };
    match &message.refused {
        Some(reply) if to.is_empty() => format!("{head}  {from}: refused, \"{reply}\""),
        Some(reply) => format!("{head}  {from} to {to}: refused, \"{reply}\""),
        None => format!("{head}  {from} to {to}: {}{held}", message.tally),
    }
}

/// A time in microseconds since 1970, as a clock at `zone` shows it.
pub fn moment(micros: u64, zone: UtcOffset) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
        .ok()
        .and_then(|moment| moment.checked_to_offset(zone)?.format(format).ok())
        .unwrap_or_else(|| micros.to_string())
}

/// A span in microseconds, in its two largest units.
pub fn span(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{large} {large_unit}")
        } else {
            format!("{large} {large_unit} {small} {small_unit}")
        }
    };
    match seconds {
        0 => format!("{} ms", micros / 1_000),
        1..60 => format!("{seconds} s"),
        60..3_600 => two(minutes, "min", seconds % 60, "s"),
        3_600..86_400 => two(hours, "h", minutes, "min"),
        _ => two(days, if days == 1 { "day" } else { "days" }, hours, "h"),
    }
}

/// Some addresses, and how many more there are.
pub fn names<T: Display>(addresses: &[T], more: usize) -> String {
    let more = more + addresses.len().saturating_sub(NAMES_MAX);
    let named: Vec<String> = addresses.iter().take(NAMES_MAX).map(ToString::to_string).collect();
    let named = named.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

fn head(at: u64, id: Option<QueueId>, zone: UtcOffset) -> String {
    let id = id.map_or(NO_ID.into(), |id| id.to_string());
    format!("{}  {id}", moment(at, zone))
}

/// Whom an attempt was made for.
fn attempted(what: &What) -> Option<&Address> {
    match what {
        What::Deferred { recipient, .. }
        | What::Delivered { recipient, .. }
        | What::Forwarded { recipient, .. }
        | What::Failed { recipient, .. }
        | What::AutoReplied { recipient, .. } => Some(recipient),
        _ => None,
    }
}

fn words(what: &What, zone: UtcOffset) -> String {
    match what {
        What::Accepted(accepted) => acceptance(accepted),
        What::Refused(refused) => refusal(refused),
        What::Held { by } => format!("held in the queue by {by}"),
        What::Released { by } => format!("let go on by {by}"),
        What::Deferred { peer, reply, until, .. } => {
            format!(
                "put off{}; the next attempt is at {}",
                reason(peer.as_ref(), reply),
                moment(*until, zone)
            )
        }
        What::Delivered { to, took_ms, .. } => delivery(to, *took_ms),
        What::Forwarded { id, to, .. } => format!("forwarded to {} as message {id}", names(to, 0)),
        What::Failed { status, peer, reply, .. } => {
            format!("failed for good{} ({status})", reason(peer.as_ref(), reply))
        }
        What::Bounced { by } => format!("given back to its sender by {by}"),
        What::Removed { by } => format!("thrown away by {by}"),
        What::AutoReplied { id, .. } => format!("answered, as its owner is away, by message {id}"),
        What::Reported { id, to, kind } => {
            let news = match kind {
                ReportKind::Failure => "did not arrive",
                ReportKind::Delay => "has not arrived yet",
                ReportKind::DoubleBounce => "is a report that did not arrive",
                ReportKind::Success => "arrived",
            };
            format!("{to} is told that it {news}, by message {id}")
        }
    }
}

fn acceptance(accepted: &Accepted) -> String {
    let account = accepted.account.as_ref().map(|account| format!("account {account}"));
    let client = accepted.client.map(|client| client.to_string());
    let somebody = match (account, client) {
        (Some(account), Some(client)) => format!("{account} at {client}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "this machine".into(),
    };
    let origin = match accepted.door {
        Door::Mx | Door::Submission => format!("accepted from {somebody}"),
        Door::Sendmail => format!("accepted from {somebody}, by sendmail"),
        Door::Forward { of } => format!("forwarded from message {of}"),
        Door::Report { of } => format!("made as a report on message {of}"),
        Door::Notice => "made as a notice of this server".into(),
        Door::AutoReply { of } => {
            format!("made as the automatic reply of {somebody} to message {of}")
        }
    };
    let (from, to, size) = (&accepted.reverse_path, names(&accepted.recipients, 0), accepted.size);
    let message_id = accepted.message_id.as_ref().map_or(String::new(), |id| format!(", Message-ID {id}"));
    format!("{origin}: {from} to {to}, {size} octets{message_id}")
}

fn refusal(refused: &Refused) -> String {
    let account = refused.account.as_ref().map_or(String::new(), |account| format!(" (account {account})"));
    let from = refused.reverse_path.as_ref().map_or(String::new(), |from| format!(", from {from}"));
    let to = refused.recipient.as_ref().map_or(String::new(), |to| format!(", to {to}"));
    format!("refused to {}{account}{from}{to}: \"{} {}\"", refused.client, refused.code, refused.text)
}

fn delivery(to: &Delivery, took_ms: u32) -> String {
    match to {
        Delivery::Mailbox(account) => format!("delivered to the mailbox of account {account}"),
        Delivery::Host { peer, reply } => {
            let tls = match peer.tls {
                Some(true) => " under TLS",
                Some(false) => " in clear text",
                None => "",
            };
            let took = span(u64::from(took_ms) * 1_000);
            format!("delivered to {peer}{tls} in {took}, which said \"{reply}\"")
        }
        Delivery::Program => "delivered to a program".into(),
        Delivery::File => "delivered into a file of its owner's".into(),
        Delivery::Here => "delivered at this server".into(),
        Delivery::Discarded => "thrown away, as the instructions of the address say".into(),
    }
}

/// By whom, and in which words: those of a peer in quotes, our own after a colon.
fn reason(peer: Option<&Peer>, reply: &Words) -> String {
    match peer {
        Some(peer) => format!(" by {peer}, which said \"{reply}\""),
        None => format!(": {reply}"),
    }
}

#[cfg(test)]
pub mod tests {
    use time::macros::offset;

    use super::*;
    use envelope::ReversePath;

    /// 2026-11-24 21:30:05 in Japan.
    pub const AT: u64 = 1_795_523_405_000_000;
    pub const SECOND: u64 = 1_000_000;

    pub fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    pub fn id(number: u64) -> QueueId {
        QueueId::from_u64(AT << 12 | number)
    }

    pub fn event(after: u64, number: u64, what: What) -> Event {
        Event { at: AT + after * SECOND, queue_id: Some(id(number)), what }
    }

    pub fn accepted(door: Door, to: &[&str]) -> What {
        let customer = matches!(door, Door::Submission | Door::Sendmail);
        What::Accepted(Box::new(Accepted {
            door,
            client: matches!(door, Door::Mx | Door::Submission).then(|| "192.0.2.7".parse().unwrap()),
            account: customer.then(|| "abc".parse().unwrap()),
            reverse_path: match door {
                Door::Report { .. } => ReversePath::Null,
                _ => ReversePath::Address(address("abc@pobox.example")),
            },
            recipients: to.iter().copied().map(address).collect(),
            size: 2113,
            message_id: Some("<1@pobox.example>".into()),
        }))
    }

    fn peer() -> Peer {
        Peer { host: "mx.peer.example".into(), address: "192.0.2.25".parse().unwrap(), tls: Some(true) }
    }

    pub fn deferred(after: u64, to: &str) -> What {
        let until = AT + (after + 400) * SECOND;
        What::Deferred { recipient: address(to), peer: Some(peer()), reply: "450 wait".into(), until }
    }

    pub fn delivered(to: &str) -> What {
        let to_host = Delivery::Host { peer: peer(), reply: "250 ok".into() };
        What::Delivered { recipient: address(to), to: to_host, took_ms: 310 }
    }

    pub fn failed(to: &str) -> What {
        What::Failed {
            recipient: address(to),
            status: "5.4.4".into(),
            peer: None,
            reply: "no such host".into(),
        }
    }

    fn told(events: &[Event]) -> Vec<String> {
        lines(events, offset!(+9))
    }

    #[test]
    fn a_message_that_was_put_off_once_is_told_in_three_lines() {
        let events = [
            event(0, 1, accepted(Door::Submission, &["u@peer.example"])),
            event(1, 1, deferred(1, "u@peer.example")),
            event(401, 1, delivered("u@peer.example")),
        ];
        let id = id(1);
        assert_eq!(
            told(&events),
            [
                format!(
                    "2026-11-24 21:30:05  {id}  accepted from account abc at 192.0.2.7: <abc@pobox.example> to \
                     u@peer.example, 2113 octets, Message-ID <1@pobox.example>"
                ),
                format!(
                    "2026-11-24 21:30:06  {id}  u@peer.example: put off by mx.peer.example [192.0.2.25], which said \
                     \"450 wait\"; the next attempt is at 2026-11-24 21:36:46"
                ),
                format!(
                    "2026-11-24 21:36:46  {id}  u@peer.example: tried again 6 min 40 s later: delivered to \
                     mx.peer.example [192.0.2.25] under TLS in 310 ms, which said \"250 ok\""
                ),
            ]
        );
    }

    #[test]
    fn attempts_of_other_recipients_are_not_tried_again() {
        let events = [
            event(1, 1, deferred(1, "u@peer.example")),
            event(9, 1, deferred(9, "v@peer.example")),
            event(9, 2, deferred(9, "u@peer.example")),
            event(401, 1, failed("u@peer.example")),
        ];
        let again: Vec<bool> = told(&events).iter().map(|line| line.contains("tried again")).collect();
        assert_eq!(again, [false, false, false, true]);
        assert!(
            told(&events)[3].ends_with("tried again 6 min 40 s later: failed for good: no such host (5.4.4)")
        );
    }

    #[test]
    fn a_refusal_is_told_with_what_the_client_was_told() {
        let refused = Refused {
            client: "192.0.2.9".parse().unwrap(),
            account: None,
            reverse_path: Some(ReversePath::Null),
            recipient: Some(address("nobody@pobox.example")),
            code: 550,
            text: "sorry, no mailbox here by that name (#5.1.1)".into(),
        };
        let event = Event { at: AT, queue_id: None, what: What::Refused(Box::new(refused)) };
        assert_eq!(
            told(std::slice::from_ref(&event)),
            ["2026-11-24 21:30:05              -  refused to 192.0.2.9, from <>, to nobody@pobox.example: \
              \"550 sorry, no mailbox here by that name (#5.1.1)\""]
        );
        assert_eq!(
            summary(&Summary::of(&[event]).unwrap(), offset!(+9)),
            "2026-11-24 21:30:05              -  <> to nobody@pobox.example: refused, \
             \"550 sorry, no mailbox here by that name (#5.1.1)\""
        );
    }

    #[test]
    fn a_summary_says_how_it_stands_with_each_recipient() {
        let to = ["a@peer.example", "b@peer.example", "c@peer.example", "d@peer.example"];
        let events = [
            event(0, 1, accepted(Door::Mx, &to)),
            event(1, 1, delivered("b@peer.example")),
            event(2, 1, deferred(2, "a@peer.example")),
        ];
        assert_eq!(
            summary(&Summary::of(&events).unwrap(), offset!(+9)),
            format!(
                "2026-11-24 21:30:05  {}  <abc@pobox.example> to a@peer.example, b@peer.example, c@peer.example and \
                 1 more: 1 delivered, 1 waiting, 2 not tried yet",
                id(1)
            )
        );
    }

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (seconds, words) in [
            (1, "1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (400, "6 min 40 s"),
            (3_600, "1 h"),
            (5_400, "1 h 30 min"),
            (86_400, "1 day"),
            (200_000, "2 days 7 h"),
        ] {
            assert_eq!(span(seconds * SECOND), words);
        }
        assert_eq!(span(310_000), "310 ms");
        assert!(span(u64::MAX).ends_with('h'));
    }

    #[test]
    fn a_time_beyond_all_calendars_is_shown_as_a_number() {
        assert_eq!(moment(u64::MAX, offset!(+9)), u64::MAX.to_string());
    }
}
