//! Role `maildrop`, user `hikyaku-maildrop`. Hears `pop3`, which must bring a grant that `directory`
//! signed. Touches mailboxes, and no network. Messages are passed as open descriptors.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use link::frame::FDS_MAX;
use link::grant::{GrantKey, MailboxGrant};
use link::services::maildrop::{Maildrop, Request, Response, SessionId};
use link::{Parcel, Responder, serve};
use mailbox::{Listing, ListingCache, MailboxError, Maildir};
use tracing::{error, warn};

use super::{Caller, Orders, Told, ended, unix_now};
use crate::control::{Role, Start};

/// How many unique ids go into one answer.
const UIDS_MAX: usize = 20_000;

struct House {
    grant_key: GrantKey,
    listings: ListingCache,
    /// Mailboxes that are open: one session each.
    locked: Mutex<HashSet<PathBuf>>,
}

/// An open mailbox. Dropped, it is unlocked.
struct Visit {
    house: Arc<House>,
    account: String,
    maildir: Maildir,
    listing: Arc<Listing>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        lock(&self.house.locked).remove(self.maildir.path());
    }
}

/// The open mailboxes of one peer. When it goes, all are unlocked.
type Visits = Arc<Mutex<HashMap<SessionId, Arc<Visit>>>>;

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let grant_key = start.grant_key.context("the maildrop role was given no key for grants")?;
    let house = Arc::new(House { grant_key, listings: ListingCache::new(), locked: Mutex::default() });
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Answer(role, stream) => {
                tokio::spawn(answer_caller(Arc::clone(&house), role, stream));
            }
            Told::Stop => return Ok(()),
            _ => {}
        }
    }
}

async fn answer_caller(house: Arc<House>, role: Role, stream: UnixStream) {
    let visits = Visits::default();
    let outcome =
        serve::<Maildrop>(stream, |_| {}, |request, responder| answer(&house, &visits, request, responder))
            .await;
    ended::<Maildrop>(Caller::Role(role), outcome);
}

fn answer(house: &Arc<House>, visits: &Visits, request: Parcel<Request>, responder: Responder<Maildrop>) {
    match request.value {
        Request::Open(grant) => {
            let (house, visits) = (Arc::clone(house), Arc::clone(visits));
            // A large mailbox that is read for the first time takes a while.
            tokio::task::spawn_blocking(move || responder.send(open(&house, &visits, grant)));
        }
        Request::Uids { session, first } => responder.send(match visit(visits, session) {
            Some(visit) => Response::Uids(visit.listing.uids(first as usize, UIDS_MAX)),
            None => Response::Unavailable,
        }),
        Request::Fetch { session, first, count } => {
            let Some(visit) = visit(visits, session) else { return responder.send(Response::Unavailable) };
            match visit.fetch_in_place(first as usize, count as usize) {
                Ok(fds) if fds.is_empty() => {
                    // Some reader moved it: to look for it, a whole directory is read.
                    tokio::task::spawn_blocking(move || responder.send(visit.look_for(first as usize)));
                }
                Ok(fds) => responder.send(Parcel::with_fds(Response::Fetched, fds)),
                Err(problem) => responder.send(visit.unavailable(&problem)),
            }
        }
        Request::Finish { session, remove, seen } => {
            let Some(visit) = lock(visits).remove(&session) else {
                return responder.send(Response::Unavailable);
            };
            if remove.is_empty() && seen.is_empty() {
                drop(visit);
                return responder.send(Response::Finished { not_removed: 0 });
            }
            tokio::task::spawn_blocking(move || {
                let not_removed = visit.finish(&remove, &seen);
                // Unlocked before it is said: whoever hears it may come back at once.
                drop(visit);
                responder.send(Response::Finished { not_removed });
            });
        }
    }
}

fn open(house: &Arc<House>, visits: &Visits, grant: MailboxGrant) -> Response {
    let Ok(mailbox) = grant.redeem(&house.grant_key, unix_now()) else {
        warn!(event = "refused", what = "grant", "a grant was forged or too old");
        return Response::Forbidden;
    };
    if !lock(&house.locked).insert(mailbox.maildir.clone()) {
        return Response::InUse;
    }
    let maildir = Maildir::at(&mailbox.maildir);
    let account = mailbox.account.as_str().to_string();
    let listing = match house.listings.list(&maildir) {
        Ok(listing) => listing,
        Err(problem) => {
            lock(&house.locked).remove(maildir.path());
            error!(event = "mailbox_error", account, %problem);
            return match problem {
                MailboxError::Missing(_) => Response::NoMailbox,
                _ => Response::Unavailable,
            };
        }
    };
    if let Err(problem) = maildir.tidy(SystemTime::now()) {
        warn!(event = "mailbox_error", account, %problem);
    }
    let sizes = listing.wire_sizes();
    let visit = Arc::new(Visit { house: Arc::clone(house), account, maildir, listing });
    // At random, so that the name of a mailbox that was open before this role died is never that of
    // somebody else's now.
    let session = SessionId(rand::random());
    lock(visits).insert(session, visit);
    Response::Opened(session, sizes)
}

impl Visit {
    /// Opens messages, from `first` on, until one is not where it was.
    fn fetch_in_place(&self, first: usize, count: usize) -> Result<Vec<OwnedFd>, MailboxError> {
        let mut fds = Vec::new();
        for index in first..first.saturating_add(count.min(FDS_MAX)) {
            match self.listing.open_in_place(index) {
                Ok(Some(file)) => fds.push(file.into()),
                // What was asked for is the first; those after it were only hoped for.
                Err(problem) if index == first => return Err(problem),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(fds)
    }

    /// Opens one message, wherever it is now; without a descriptor if it is gone.
    fn look_for(&self, index: usize) -> Parcel<Response> {
        match self.listing.open(index) {
            Ok(file) => Parcel::with_fds(Response::Fetched, file.into_iter().map(OwnedFd::from).collect()),
            Err(problem) => self.unavailable(&problem).into(),
        }
    }

    fn unavailable(&self, problem: &MailboxError) -> Response {
        error!(event = "mailbox_error", account = self.account, %problem);
        Response::Unavailable
    }

    /// Removes and marks messages; says how many are still there that should not be.
    fn finish(&self, remove: &[u32], seen: &[u32]) -> u32 {
        let indices =
            |numbers: &[u32]| -> Vec<usize> { numbers.iter().map(|number| *number as usize).collect() };
        self.listing.mark_seen(indices(seen));
        match self.listing.remove(indices(remove)) {
            Ok(()) => 0,
            Err(problem) => {
                error!(event = "mailbox_error", account = self.account, %problem);
                u32::try_from(problem.count).unwrap_or(u32::MAX)
            }
        }
    }
}

fn visit(visits: &Visits, session: SessionId) -> Option<Arc<Visit>> {
    lock(visits).get(&session).cloned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
