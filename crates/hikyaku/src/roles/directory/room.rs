//! Whether there is room for a message in a mailbox: asked at RCPT, so that mail which would be refused
//! is refused while its sender is still there.
//!
//! Delivery decides in the end, and here nothing is refused that is not known to be full.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use directory::StoreError;
use envelope::{AccountName, Address, Destination, Limit, LocalAddress};
use link::Client;
use link::services::directory::{Response, Room, Route};
use link::services::local::{Local, Orders, Request, Response as Answer, Usage};
use local::dot_qmail::{Context, Instruction, Instructions};

use super::Desk;
use crate::roles::unix_now;

/// How long an answer is good for: a message with a hundred recipients here asks once for each.
const LIFETIME: Duration = Duration::from_secs(1);
/// How many answers are kept.
const ANSWERS_MAX: usize = 10_000;
/// How long `local` may take: a client waits for its RCPT.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// What `local` says of mailboxes with a quota.
pub(super) struct Mailboxes {
    local: Client<Local>,
    /// For how long a mailbox may be full, in seconds, until its mail is refused for good.
    full_grace: u64,
    known: Mutex<HashMap<AccountName, (Option<Usage>, Instant)>>,
}

impl Mailboxes {
    pub(super) fn new(local: Client<Local>, full_grace: u64) -> Mailboxes {
        Mailboxes { local, full_grace, known: Mutex::default() }
    }

    /// How full a mailbox is; none if that is not known now.
    pub(super) async fn usage(&self, local: &LocalAddress) -> Option<Usage> {
        let account = &local.mailbox.account;
        let young = |asked: &Instant| asked.elapsed() < LIFETIME;
        if let Some((usage, _)) = self.known().get(account).filter(|(_, asked)| young(asked)) {
            return *usage;
        }
        let call = self.local.call_until_answered(Request::Usage(local.clone()), Bytes::new());
        let usage = match tokio::time::timeout(ANSWERS_WITHIN, call).await {
            Ok(Ok(answer)) => match answer.value {
                Answer::Usage(usage) => usage,
                _ => None,
            },
            _ => None,
        };
        let mut known = self.known();
        if known.len() >= ANSWERS_MAX {
            known.clear();
        }
        known.insert(account.clone(), (usage, Instant::now()));
        usage
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<AccountName, (Option<Usage>, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Whether there is room for a message of `size` octets in the mailbox that an address fills.
    pub(super) async fn room(&self, address: &Address, size: u64) -> Result<Response, StoreError> {
        let enough = Ok(Response::Room(Room::Enough));
        let Route { leads_to: Destination::Local(local), orders, .. } = self.route(address)? else {
            return enough;
        };
        let Limit::AtMost(quota) = local.quota else { return enough };
        if !fills_mailbox(orders.as_ref()) {
            return enough;
        }
        let Some(usage) = self.mailboxes.usage(&local).await else { return enough };
        Ok(Response::Room(judge(usage, size, quota, self.mailboxes.full_grace, unix_now())))
    }
}

/// Whether mail goes into the account's own mailbox.
fn fills_mailbox(orders: Option<&Orders>) -> bool {
    let Some(orders) = orders else { return true };
    Instructions::parse(orders.text.as_bytes(), &Context::default())
        .is_ok_and(|instructions| instructions.as_slice().contains(&Instruction::Mailbox))
}

fn judge(usage: Usage, size: u64, quota: u64, full_grace: u64, now: u64) -> Room {
    if usage.octets.saturating_add(size) <= quota {
        return Room::Enough;
    }
    match usage.full_since {
        Some(since) if now.saturating_sub(since) > full_grace => Room::FullForLong,
        _ => Room::Full,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use envelope::{Overrides, Plan};
    use link::{Responder, serve};

    use super::*;
    use crate::roles::directory::example::{WHO, desk, name};

    #[test]
    fn a_mailbox_is_full_from_the_first_octet_over_its_quota_and_for_long_after_the_grace() {
        let usage = |octets, full_since| Usage { octets, full_since };
        for (usage, size, expected) in [
            (usage(0, None), 1000, Room::Enough),
            (usage(999, Some(1)), 1, Room::Enough),
            (usage(1000, None), 1, Room::Full),
            (usage(1000, Some(9_900)), 1, Room::Full),
            (usage(1000, Some(9_899)), 1, Room::FullForLong),
            (usage(0, None), u64::MAX, Room::Full),
            (usage(1000, Some(20_000)), 1, Room::Full),
        ] {
            assert_eq!(judge(usage, size, 1000, 100, 10_000), expected, "{usage:?} {size}");
        }
    }

    /// Lets `local` answer so, and gives what the desk says of these addresses.
    fn rooms(usage: Option<Usage>, addresses: &[&str]) -> (Vec<Room>, u32) {
        let (_folder, desk) = desk(false);
        let quota = Overrides { quota_bytes: Some(Limit::AtMost(1000)), ..Overrides::default() };
        desk.store.set_overrides(&name("abc"), &quota, &WHO).unwrap();
        for (typed, text) in [("away", "&a@x.example\n"), ("copy", "./Maildir/\n&a@x.example\n")] {
            let extension = directory::Extension::parse(Some(typed)).unwrap();
            desk.store.set_instructions(&name("abc"), &extension, text, |_, _: &Plan| Ok(()), &WHO).unwrap();
        }
        let asked = Arc::new(AtomicU32::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let rooms = runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let count = Arc::clone(&asked);
            tokio::spawn(serve::<Local>(
                theirs,
                |_| {},
                move |_, responder: Responder<Local>| {
                    count.fetch_add(1, Ordering::Relaxed);
                    responder.send(Answer::Usage(usage));
                },
            ));
            desk.local.attach(ours, || {}).unwrap();
            let mut rooms = Vec::new();
            for address in addresses {
                match desk.room(&address.parse().unwrap(), 500).await.unwrap() {
                    Response::Room(room) => rooms.push(room),
                    other => panic!("{other:?}"),
                }
            }
            rooms
        });
        (rooms, asked.load(Ordering::Relaxed))
    }

    #[test]
    fn only_a_mailbox_with_a_quota_that_the_mail_goes_into_is_asked_for_and_once_a_second() {
        let full = Some(Usage { octets: 800, full_since: None });
        let (found, asked) = rooms(
            full,
            &[
                "xyz@pobox.example",
                "away@abc.pobox.example",
                "nobody@pobox.example",
                "a@elsewhere.example",
                "abc@pobox.example",
                "foo@abc.pobox.example",
                "copy@abc.pobox.example",
            ],
        );
        assert_eq!(found, [[Room::Enough; 4].as_slice(), &[Room::Full; 3]].concat());
        assert_eq!(asked, 1);
    }

    #[test]
    fn what_local_does_not_know_is_left_to_delivery() {
        assert_eq!(rooms(None, &["abc@pobox.example"]).0, [Room::Enough]);
    }
}
