//! Mail that waits: how much and for what, and to rule over it.
//!
//! | file | what it shows |
//! |---|---|
//! | `counts.rs` | how much waits, by what messages have in common, and the figures of the live chart |
//! | `list.rs` | messages, a page at a time |
//! | `message.rs`, `content.rs` | one message: its recipients; its header and text |
//! | `acts.rs` | what is done with the messages that are meant |
//! | `destinations.rs` | how the destinations of mail for other hosts do |
//! | `selection.rs` | which messages are meant, as forms and links say it |

mod acts;
mod content;
mod counts;
mod destinations;
mod list;
mod message;
pub(crate) mod selection;

pub(super) use counts::stats;
pub(super) use destinations::all as destinations;

use envelope::QueueId;
use link::services::queue::operators::Summary;

use crate::figures::Clock;
use crate::routes::Routes;
use crate::shown;
use crate::trouble::Trouble;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .with(counts::routes)
        .with(list::routes)
        .with(message::routes)
        .with(content::routes)
        .with(acts::routes)
        .with(destinations::routes)
}

/// A waiting message in a line.
struct Row {
    id: String,
    arrived: String,
    age: String,
    size: String,
    /// Whom it is from.
    sender: String,
    account: Option<String>,
    /// Whom it waits for, as far as the line has room.
    to: String,
    waiting: u32,
    done: u32,
    held: bool,
    /// When it is tried next.
    next: String,
}

impl Row {
    /// How many recipients it had.
    fn all(&self) -> u32 {
        self.waiting + self.done
    }
}

impl Row {
    fn of(message: &Summary, clock: Clock) -> Row {
        let words = clock.words;
        Row {
            id: message.id.to_string(),
            arrived: clock.moment(&message.arrived),
            age: clock.ago(&message.arrived),
            size: shown::octets(message.size),
            sender: sender(message, clock),
            account: message.account.as_ref().map(ToString::to_string),
            to: recipients(message, clock),
            waiting: message.waiting,
            done: message.done,
            held: message.held,
            next: match message.next_attempt {
                _ if message.held => words.say("queue-state-held").into_owned(),
                Some(at) if at <= clock.now => words.say("queue-next-now").into_owned(),
                Some(at) => words.with("queue-next-in", "span", clock.span(at - clock.now)).into_owned(),
                None => words.say("queue-state-in-hand").into_owned(),
            },
        }
    }
}

/// Whom a message is from, in words.
fn sender(message: &Summary, clock: Clock) -> String {
    match message.reverse_path.as_ref().map(|path| (path.address(), path)) {
        Some((Some(address), _)) => address.to_string(),
        Some((None, _)) => clock.words.say("queue-null-sender").into_owned(),
        None => clock.words.say("queue-unreadable").into_owned(),
    }
}

/// Whom a message waits for: the first of them, and how many others.
fn recipients(message: &Summary, clock: Clock) -> String {
    let mut named: Vec<String> = message.to.iter().take(2).map(ToString::to_string).collect();
    let more = u64::from(message.waiting).saturating_sub(named.len() as u64);
    if more > 0 {
        named.push(clock.words.with("trace-more", "count", more).into_owned());
    }
    named.join(", ")
}

/// The message of this name in a path.
fn named(id: &str) -> Result<QueueId, Trouble> {
    id.parse().map_err(|_| Trouble::NotFound)
}
