//! Mail comes in: judged, counted against the limits of who sends it, and handed to the committer, who
//! alone says that it is accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use envelope::event::Door;
use envelope::{AccountName, Address, Destination, Envelope, Language, LimitReached, Provenance, QueueId};
use link::grant::{GrantKey, RelayGrant};
use link::services::directory::{self, NotCounted};
use link::services::queue::{Arrival, NotAccepted, Queue as Service, Request, Response};
use link::{Parcel, Responder};
use queue::{Accepted, BlobWriter, Body, Files, NewMessage, SealedBlob};
use tracing::{error, info, warn};

use super::notices::Notices;
use super::{Queue, look, noted};
use crate::config::Limits;
use crate::roles::event_notes::EventNotes;
use crate::roles::known_addresses::KnownAddresses;
use crate::roles::unix_now;

/// Bodies that are arriving from one caller.
/// None while a piece is on its way to the disk.
pub type Arriving = Arc<Mutex<HashMap<QueueId, Option<BlobWriter<Files>>>>>;

/// What stands between callers and the queue.
#[derive(Clone)]
pub struct Intake {
    pub queue: Queue,
    pub addresses: KnownAddresses,
    pub notices: Notices,
    pub notes: EventNotes,
    pub grant_key: GrantKey,
    /// Bounds what one caller can make us hold, whatever it says.
    pub most: Limits,
}

/// Whether a message may be taken, as far as that is known without asking anybody.
enum Verdict {
    /// It may, from this account or from a stranger.
    Taken(Option<AccountName>),
    Refused(NotAccepted),
    /// A stranger's: the directory knows whether its recipients are ours.
    AskWhere,
    /// A customer's: the directory counts it.
    Count(AccountName),
}

impl Intake {
    /// Whether a message may be taken for its recipients: for ours from anybody, for others with a
    /// grant of the directory's. So even a taken-over `smtp` is no open relay.
    fn verdict(&self, arrival: &Arrival) -> Verdict {
        if let Some(grant) = &arrival.relay {
            return match grant.redeem(&self.grant_key, unix_now()) {
                // What was accepted before is neither counted nor refused.
                Ok(sender) if self.queue.knows(arrival.id) => Verdict::Taken(Some(sender.account.clone())),
                Ok(sender) => Verdict::Count(sender.account.clone()),
                Err(problem) => {
                    warn!(event = "refused", what = "grant", queue_id = %arrival.id, %problem);
                    Verdict::Refused(NotAccepted::Forbidden)
                }
            };
        }
        for recipient in arrival.envelope.recipients() {
            match self.addresses.known_route(recipient.address()) {
                None => return Verdict::AskWhere,
                Some(route) if route.leads_to == Destination::Elsewhere => {
                    return Verdict::Refused(without_grant(arrival));
                }
                Some(_) => {}
            }
        }
        Verdict::Taken(None)
    }

    /// The verdict on a message without a grant, by asking the directory.
    async fn verdict_of_directory(&self, arrival: &Arrival) -> Result<(), NotAccepted> {
        for recipient in arrival.envelope.recipients() {
            match self.addresses.route(recipient.address()).await {
                Ok(route) if route.leads_to == Destination::Elsewhere => return Err(without_grant(arrival)),
                Ok(_) => {}
                Err(_) => return Err(NotAccepted::TryLater),
            }
        }
        Ok(())
    }

    /// Has the directory count a message of `size` octets against its sender's limits.
    async fn count(
        &self,
        account: &AccountName,
        (id, envelope): (QueueId, &Envelope),
        size: u64,
    ) -> Result<(), NotAccepted> {
        let recipients = envelope.recipients();
        let counted = self.addresses.ask(directory::Request::Count {
            account: account.clone(),
            recipients: recipients.iter().map(|recipient| recipient.address().clone()).collect(),
            size,
        });
        match counted.await {
            Ok(directory::Response::Counted) => Ok(()),
            Ok(directory::Response::NotCounted(why)) => Err(match why {
                NotCounted::MayNotSend => NotAccepted::SenderDenied,
                NotCounted::TooLarge(most) => NotAccepted::TooLarge(most),
                NotCounted::LimitReached { reached, tell_owner } => {
                    self.limit_reached(account, id, reached, tell_owner);
                    NotAccepted::LimitReached(reached)
                }
            }),
            _ => Err(NotAccepted::TryLater),
        }
    }

    /// Says that a customer has sent as much as he may, in the log and, the first time, to him.
    fn limit_reached(&self, account: &AccountName, id: QueueId, reached: LimitReached, tell_owner: bool) {
        let LimitReached { which, most, until } = reached;
        info!(event = "limit_reached", %account, queue_id = %id, %which, most, until);
        if !tell_owner {
            return;
        }
        let (intake, account) = (self.clone(), account.clone());
        // The client need not wait for it.
        tokio::spawn(async move {
            let Some(notice) = intake.notices.limit_reached(&account, reached).await else { return };
            let (event, notes) = (noted::made(&notice, Door::Notice), intake.notes);
            intake.queue.accept(notice, move |outcome| match outcome {
                Ok(_) => notes.note(event),
                Err(problem) => error!(event = "owner_not_told", %account, %problem),
            });
        });
    }

    /// Whose grant this is.
    fn redeem(&self, grant: &RelayGrant) -> Option<AccountName> {
        let redeemed = grant.redeem(&self.grant_key, unix_now());
        redeemed
            .map(|sender| sender.account.clone())
            .inspect_err(|problem| warn!(event = "refused", what = "grant", %problem))
            .ok()
    }

    /// Writes to an owner that a message of one of his programs was not sent.
    async fn not_sent(
        &self,
        account: AccountName,
        (left, sentences, others): (u64, [String; 2], u64),
        responder: Responder<Service>,
    ) {
        let Some(notice) = self.notices.not_sent(&account, left, &sentences, others).await else {
            return responder.send(Response::NotAccepted(NotAccepted::TryLater));
        };
        self.accept_notice(notice, responder);
    }

    /// Asks the owner of a destination whether he wants what an account forwards to him. `web`, which asks for it,
    /// hears strangers: so the words are ours, the address is one of the account's, and it counts as a message of
    /// the account.
    async fn ask_consent(&self, account: AccountName, asked: Asked, responder: Responder<Service>) {
        let refuse = |why| Response::NotAccepted(why);
        let Asked { address, destination, link, language } = asked;
        let Ok(address) = address.parse::<Address>() else {
            return responder.send(refuse(NotAccepted::Forbidden));
        };
        let owner = match self.addresses.route(&address).await.as_deref() {
            Ok(route) => match &route.leads_to {
                Destination::Local(local) => Some(local.mailbox.account.clone()),
                _ => None,
            },
            Err(_) => return responder.send(refuse(NotAccepted::TryLater)),
        };
        if owner.as_ref() != Some(&account) || !is_link(&link) {
            warn!(event = "refused", what = "consent", %account, "neither address nor link may be made up");
            return responder.send(refuse(NotAccepted::Forbidden));
        }
        let Some(mail) = self.notices.consent(&account, &address, (destination, &link), language) else {
            return responder.send(refuse(NotAccepted::TryLater));
        };
        let size = match &mail.body {
            Body::Inline(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Body::Blob(_) => 0,
        };
        match self.count(&account, (mail.id, &mail.envelope), size).await {
            Ok(()) => self.accept_notice(mail, responder),
            Err(why) => responder.send(refuse(why)),
        }
    }

    fn accept_notice(&self, notice: NewMessage, responder: Responder<Service>) {
        let (event, notes) = (noted::made(&notice, Door::Notice), self.notes.clone());
        self.queue.accept(notice, move |outcome| {
            responder.send(match outcome {
                Ok(accepted) => {
                    notes.note(event);
                    said(accepted)
                }
                Err(problem) => not_accepted(&problem),
            });
        });
    }

    /// Goes on with `then` if a message of `size` octets may be taken, else answers why not.
    fn judge(
        &self,
        arrival: Arrival,
        size: u64,
        responder: Responder<Service>,
        then: impl FnOnce(Arrival, Option<AccountName>, Responder<Service>) + Send + 'static,
    ) {
        let verdict = self.verdict(&arrival);
        let settle = move |verdict, arrival, responder: Responder<Service>| match verdict {
            Ok(account) => then(arrival, account, responder),
            Err(why) => responder.send(Response::NotAccepted(why)),
        };
        match verdict {
            Verdict::Taken(account) => settle(Ok(account), arrival, responder),
            Verdict::Refused(why) => settle(Err(why), arrival, responder),
            Verdict::AskWhere => {
                let intake = self.clone();
                tokio::spawn(async move {
                    let verdict = intake.verdict_of_directory(&arrival).await;
                    settle(verdict.map(|()| None), arrival, responder);
                });
            }
            Verdict::Count(account) => {
                let intake = self.clone();
                tokio::spawn(async move {
                    let verdict = intake.count(&account, (arrival.id, &arrival.envelope), size).await;
                    settle(verdict.map(|()| Some(account)), arrival, responder);
                });
            }
        }
    }
}

/// What the owner of a destination is asked.
struct Asked {
    /// Of which address mail would come.
    address: String,
    destination: Address,
    link: String,
    language: Language,
}

/// Whether it can stand in a mail as a link to the page: see [`Request::AskConsent`].
fn is_link(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '['))
        && text.len() <= 500
        && text.bytes().all(|octet| octet.is_ascii_graphic() && !b"<>\"".contains(&octet))
}

fn without_grant(arrival: &Arrival) -> NotAccepted {
    warn!(event = "refused", what = "relay", queue_id = %arrival.id, "no grant came along");
    NotAccepted::Forbidden
}

/// Takes in what a role hands over. The answer to an acceptance is given by the committer, after the
/// sync.
pub fn take_in(
    intake: &Intake,
    arriving: &Arriving,
    request: Parcel<Request>,
    responder: Responder<Service>,
) {
    let Intake { queue, most, .. } = intake;
    let Parcel { value, raw, .. } = request;
    match value {
        Request::Accept(arrival) => {
            // The frame's octets share a buffer with those of other frames; a copy of its own lets
            // that buffer go while the message waits.
            let body = Body::Inline(vec![Bytes::copy_from_slice(&raw)]);
            let queue = queue.clone();
            intake.judge(arrival, raw.len() as u64, responder, move |arrival, account, responder| {
                accept(&queue, arrival, account, body, responder);
            });
        }
        Request::Begin(_) if lock(arriving).len() >= most.connections_max => {
            responder.send(Response::NotAccepted(NotAccepted::TryLater));
        }
        Request::Begin(id) => match queue.blob(id) {
            Ok(writer) => {
                lock(arriving).insert(id, Some(writer));
                responder.send(Response::GoOn);
            }
            Err(problem) => responder.send(not_accepted(&problem)),
        },
        Request::Append(id) if !queue.has_room() => {
            // What is there of it goes with its writer.
            drop(lock(arriving).remove(&id));
            responder.send(Response::NotAccepted(NotAccepted::StorageFull));
        }
        Request::Append(id) => {
            let writer = lock(arriving).get_mut(&id).and_then(Option::take);
            // The session counts as well; what it lets through and its trace field are a little more.
            let fits = |writer: &BlobWriter<Files>| writer.length() < most.message_size_max + (1 << 20);
            let Some(mut writer) = writer.filter(fits) else {
                lock(arriving).remove(&id);
                return responder.send(Response::NotAccepted(NotAccepted::TryLater));
            };
            let arriving = Arc::clone(arriving);
            tokio::task::spawn_blocking(move || match writer.append(&raw) {
                Ok(()) => {
                    // It may have been discarded meanwhile: then it goes with its writer.
                    if let Some(place) = lock(&arriving).get_mut(&id) {
                        *place = Some(writer);
                    }
                    responder.send(Response::GoOn);
                }
                Err(problem) => {
                    lock(&arriving).remove(&id);
                    responder.send(not_accepted(&problem));
                }
            });
        }
        Request::AcceptBlob(arrival) => {
            let writer = lock(arriving).remove(&arrival.id).flatten();
            let size = writer.as_ref().map_or(0, BlobWriter::length);
            let queue = queue.clone();
            intake.judge(arrival, size, responder, move |arrival, account, responder| {
                tokio::task::spawn_blocking(move || accept_blob(&queue, writer, arrival, account, responder));
            });
        }
        Request::Discard(id) => {
            drop(lock(arriving).remove(&id));
            responder.send(Response::GoOn);
        }
        Request::Waiting { of, walk } => {
            if let Some(account) = intake.redeem(&of) {
                let queue = queue.clone();
                tokio::task::spawn_blocking(move || responder.send(look::waiting(&queue, account, walk)));
            }
        }
        Request::NotSent { of, left, sentences, others } => {
            if let Some(account) = intake.redeem(&of) {
                let intake = intake.clone();
                tokio::spawn(
                    async move { intake.not_sent(account, (left, sentences, others), responder).await },
                );
            }
        }
        Request::AskConsent { of, address, destination, link, language } => {
            if let Some(account) = intake.redeem(&of) {
                let (intake, asked) = (intake.clone(), Asked { address, destination, link, language });
                tokio::spawn(async move { intake.ask_consent(account, asked, responder).await });
            }
        }
        Request::Operator(_) | Request::AsOperator(..) => {}
    }
}

fn accept_blob(
    queue: &Queue,
    writer: Option<BlobWriter<Files>>,
    arrival: Arrival,
    account: Option<AccountName>,
    responder: Responder<Service>,
) {
    let Some(writer) = writer else {
        // Asked again after this role died in between: either it was accepted then, or its body is gone.
        let known = queue.knows(arrival.id);
        return responder.send(if known {
            Response::Accepted(arrival.id)
        } else {
            Response::NotAccepted(NotAccepted::TryLater)
        });
    };
    let sealed: Result<SealedBlob, _> = writer.finish();
    match sealed {
        Ok(blob) => accept(queue, arrival, account, Body::Blob(blob), responder),
        Err(problem) => responder.send(not_accepted(&problem)),
    }
}

fn accept(
    queue: &Queue,
    arrival: Arrival,
    account: Option<AccountName>,
    body: Body,
    responder: Responder<Service>,
) {
    let Arrival { id, envelope, arrived, .. } = arrival;
    let provenance = Provenance { account, lineage: None };
    queue.accept(NewMessage { id, envelope, provenance, arrival: arrived, body }, move |outcome| {
        responder.send(match outcome {
            Ok(accepted) => said(accepted),
            Err(problem) => not_accepted(&problem),
        });
    });
}

/// The only place where an acceptance becomes an answer.
fn said(accepted: Accepted) -> Response {
    Response::Accepted(accepted.id())
}

fn not_accepted(problem: &queue::NotAccepted) -> Response {
    error!(event = "not_accepted", %problem);
    Response::NotAccepted(match problem {
        queue::NotAccepted::StorageFull => NotAccepted::StorageFull,
        _ => NotAccepted::TryLater,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_an_address_of_the_web_that_no_mail_program_reads_otherwise() {
        for link in ["https://mail.pobox.example/c/AAAA_-", "http://127.0.0.1:8080/?x=1", "https://[::1]/"] {
            assert!(is_link(link), "{link}");
        }
        let long = format!("https://x.example/{}", "a".repeat(500));
        for other in [
            "",
            "javascript:alert(1)",
            "https:// x",
            "https://x\r\nBcc: y",
            "https://<b>",
            "https:///",
            "ftp://x",
            &long,
        ] {
            assert!(!is_link(other), "{other}");
        }
    }
}
