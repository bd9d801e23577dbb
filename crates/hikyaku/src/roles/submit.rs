//! Role `submit`, user `hikyaku-submit`. Hears this machine's programs, at a socket with a name and by files
//! in the drop directory, and `programs`, which brings what programs in delivery instructions left; calls `queue` (here is a message) and `directory` (who is this user, where does
//! this address lead?). Touches the drop directory, and no network.
//!
//! | file | what it does |
//! |---|---|
//! | `caller.rs` | who calls: the user id, and what it stands for |
//! | `conversation.rs` | one connection |
//! | `arriving.rs` | a message on its way in: read, judged, composed, handed to the queue |
//! | `composing.rs` | what becomes of its header, and whether its sender, authors and recipients will do |
//! | `drop.rs`, `drop/` | mail that was left while the server was away |
//! | `left.rs` | mail that programs in delivery instructions left |
//! | `noted.rs` | what the log and the record of events are told |

mod arriving;
mod caller;
mod composing;
mod conversation;
mod drop;
mod left;
mod noted;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use envelope::{QueueId, QueueIds};
use link::services::queue::Queue;
use link::services::submit::Submit;
use link::{Client, serve};
use time::{OffsetDateTime, UtcOffset};
use tokio::sync::watch;

use super::connections::Reception;
use super::event_notes::EventNotes;
use super::judging::Judge;
use super::known_addresses::KnownAddresses;
use super::{Caller, Orders, PATIENCE, Told, ended, unix_micros};
use crate::control::{Role, Settings, Start};

/// How long callers may take to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What all callers share.
struct House {
    queue: Client<Queue>,
    addresses: KnownAddresses,
    notes: EventNotes,
    ids: Mutex<QueueIds>,
    zone: UtcOffset,
    settings: ArcSwap<Settings>,
}

impl House {
    fn next_id(&self) -> QueueId {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).next(unix_micros())
    }

    fn wall_clock(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc().to_offset(self.zone)
    }

    fn judge(&self, settings: &Settings) -> Judge<'_> {
        Judge { addresses: &self.addresses, rule: settings.sending.sender_rule }
    }
}

pub async fn run(mut orders: Orders, start: Start, zone: UtcOffset) -> anyhow::Result<()> {
    let addresses = KnownAddresses::new();
    let notes = EventNotes::new(addresses.client(), start.settings.log.trace_days);
    tokio::spawn(notes.clone().run());
    let house = Arc::new(House {
        queue: Client::new(PATIENCE),
        addresses,
        notes,
        ids: Mutex::new(QueueIds::new(start.source)),
        zone,
        settings: ArcSwap::from_pointee(start.settings.clone()),
    });
    let (stop, stopping) = watch::channel(false);
    let picking_up = tokio::spawn(drop::pick_up(Arc::clone(&house), stopping));
    let reception = Reception::new("submit", start.settings);
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Call(called @ Role::Queue, stream) => house.queue.attach(stream, orders.mend(called))?,
            Told::Call(called @ Role::Directory, stream) => {
                house.addresses.attach(stream, orders.mend(called))?
            }
            Told::Answer(role @ Role::Programs, stream) => {
                let house = Arc::clone(&house);
                let served = serve::<Submit>(
                    stream,
                    |_| {},
                    move |request, responder| {
                        let house = Arc::clone(&house);
                        tokio::spawn(async move { left::answer(&house, request, responder).await });
                    },
                );
                tokio::spawn(async move { ended::<Submit>(Caller::Role(role), served.await) });
            }
            Told::HearPrograms(listener) => {
                let house = Arc::clone(&house);
                let converse = move |program| conversation::converse(Arc::clone(&house), program);
                // Whoever finds no room is hung up on: `sendmail` leaves its mail in the drop directory then.
                reception.open_to_programs(listener, converse, |_| Vec::new());
            }
            Told::Reload(settings) => {
                house.settings.store(Arc::new((*settings).clone()));
                reception.reload(*settings);
            }
            Told::Stop => break,
            _ => {}
        }
    }
    stop.send_replace(true);
    reception.close(STOP_PATIENCE).await;
    picking_up.await?;
    house.notes.finish().await;
    Ok(())
}
