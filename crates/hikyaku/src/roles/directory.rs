//! Role `directory`, user `hikyaku-directory`. Hears `smtp`, `submit`, `pop3`, `web`, `queue` and operators; calls
//! `local` to make the mailbox of a new account, and to hear how full one is. Touches its database, and
//! no network.
//!
//! | file | answers |
//! |---|---|
//! | `routes.rs` | where an address leads, and what its owner wants done with its mail |
//! | `room.rs` | whether there is room in a mailbox |
//! | `auto_reply.rs` | whether a sender is answered while an owner is away |
//! | `logins.rs` | who may in |
//! | `local_users.rs` | as whom programs of this machine send |
//! | `sending.rs` | who may send, and how much |
//! | `rules.rs`, `rules/` | what operators ask and change |
//! | `record.rs` | what became of messages |
//! | `visits.rs`, `visits/` | what members and operators do on the page |

mod auto_reply;
mod local_users;
mod logins;
mod record;
mod room;
mod routes;
mod rules;
mod sending;
mod visits;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context;
use directory::{Actor, Events, SessionLengths, Store, StoreError};
use envelope::{Domain, DomainKind};
use link::grant::GrantKey;
use link::services::directory::{Directory, Event, Request, Response};
use link::services::local::Local;
use link::{Broadcast, Client, Parcel, Responder, serve};
use tracing::warn;

use super::{Caller, Orders, PATIENCE, Told, ended, hear_operators, unix_now};
use crate::control::{Role, Settings, Start};
use local_users::LocalPrograms;
use room::Mailboxes;

/// How often a look is taken whether another process changed the database.
const CHANGE_LOOK: Duration = Duration::from_millis(500);

struct Desk {
    store: Store,
    events: Events,
    /// This host's name.
    host: Domain,
    /// The provider's domain.
    domain: Domain,
    /// Whether programs run at all.
    programs: bool,
    grant_key: GrantKey,
    local: Client<Local>,
    mailboxes: Mailboxes,
    local_programs: LocalPrograms,
    callers: Broadcast<Directory>,
    /// Whether a destination outside gets mail only after its owner agreed.
    confirm_destinations: AtomicBool,
}

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let local = Client::new(PATIENCE);
    let desk = Arc::new(Desk {
        store: open_store(&start.settings).context("cannot open the directory")?,
        events: Events::open(&start.settings.paths.events(), start.settings.log.trace_days),
        local_programs: LocalPrograms::new(&start.settings),
        host: start.settings.hostname,
        domain: start.settings.domain,
        programs: start.settings.delivery.programs,
        grant_key: start.grant_key.context("the directory role was given no key for grants")?,
        mailboxes: Mailboxes::new(local.clone(), start.settings.delivery.full_grace),
        local,
        callers: Broadcast::default(),
        confirm_destinations: AtomicBool::new(start.settings.web.confirm_destinations),
    });
    tokio::spawn(watch_changes(Arc::clone(&desk)));
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Call(called @ Role::Local, stream) => desk.local.attach(stream, orders.mend(called))?,
            Told::Answer(role, stream) => {
                // It hears programs of this machine, and may ask next as whom they send.
                if matches!(role, Role::Smtp | Role::Submit) {
                    tokio::spawn(Arc::clone(&desk).prepare_anonymous());
                }
                tokio::spawn(answer_caller(Arc::clone(&desk), stream, Caller::Role(role), Actor::Server));
            }
            Told::HearOperators(listener) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(hear_operators(listener, move |stream, uid| {
                    let desk = Arc::clone(&desk);
                    tokio::spawn(answer_caller(desk, stream, Caller::Operator, Actor::LocalUser(uid)));
                }));
            }
            Told::Reload(settings) => {
                desk.local_programs.reload(&settings);
                desk.confirm_destinations.store(settings.web.confirm_destinations, Relaxed);
                desk.store.change_session_lengths(session_lengths(&settings));
                desk.confirm_destinations.store(settings.web.confirm_destinations, Relaxed);
                desk.callers.send(&Event::Changed);
                tokio::spawn(Arc::clone(&desk).prepare_anonymous());
            }
            Told::Stop => return Ok(()),
            _ => {}
        }
    }
}

/// Tells everybody when another process changed the database behind our back.
async fn watch_changes(desk: Arc<Desk>) {
    let mut seen = desk.store.change_count().unwrap_or_default();
    loop {
        tokio::time::sleep(CHANGE_LOOK).await;
        match desk.store.change_count() {
            Ok(now) if now != seen => {
                seen = now;
                desk.callers.send(&Event::Changed);
            }
            Ok(_) => {}
            Err(error) => warn!(event = "directory_unreadable", %error),
        }
    }
}

async fn answer_caller(desk: Arc<Desk>, stream: UnixStream, caller: Caller, who: Actor) {
    let callers = desk.callers.clone();
    let outcome = serve::<Directory>(
        stream,
        |events| callers.add(events),
        |request, responder| answer(&desk, caller, &who, request, responder),
    )
    .await;
    ended::<Directory>(caller, outcome);
}

fn answer(
    desk: &Arc<Desk>,
    caller: Caller,
    who: &Actor,
    request: Parcel<Request>,
    responder: Responder<Directory>,
) {
    use Role::{Pop3, Queue, Smtp, Submit, Web};
    match (caller, request.value) {
        // Indexed look-ups in memory: shorter than handing them to another thread.
        (Caller::Role(Smtp | Submit | Queue), Request::Resolve(address)) => {
            responder.send(unless_unreadable(desk.resolve(&address).map(Response::Destination)));
        }
        (Caller::Role(Queue), Request::Route(address)) => {
            responder.send(unless_unreadable(desk.route(&address).map(Response::Routed)));
        }
        (Caller::Role(Queue), Request::Language(name)) => {
            responder.send(match desk.store.account(&name) {
                Ok(Some(account)) => Response::Language(account.language),
                _ => Response::Unavailable,
            });
        }
        (Caller::Role(Queue), Request::Count { account, recipients, size }) => {
            // It may have to wait until counts of before are written.
            let desk = Arc::clone(desk);
            tokio::task::spawn_blocking(move || responder.send(desk.count(&account, &recipients, size)));
        }
        (Caller::Role(Queue), Request::AutoReply(whom)) => {
            let desk = Arc::clone(desk);
            tokio::task::spawn_blocking(move || responder.send(desk.auto_reply(&whom)));
        }
        (Caller::Role(Smtp), Request::Windows(client)) => responder.send(desk.windows(client)),
        (Caller::Role(Smtp | Submit), Request::MaySend(account)) => responder.send(desk.may_send(&account)),
        (Caller::Role(Smtp | Submit), Request::LocalUser(uid)) => match desk.local_user(uid) {
            Ok(None) => {
                let desk = Arc::clone(desk);
                tokio::spawn(async move { responder.send(desk.as_anonymous(uid).await) });
            }
            Ok(Some(answer)) => responder.send(answer),
            Err(error) => responder.send(unreadable(&error)),
        },
        (Caller::Role(Submit), Request::ProgramOf(account)) => {
            responder.send(unless_unreadable(desk.program_of(account)));
        }
        (Caller::Role(Smtp), Request::ScramSalt(name)) => responder.send(desk.scram_salt(&name)),
        (Caller::Role(Smtp | Submit), Request::Room { address, size }) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move { responder.send(unless_unreadable(desk.room(&address, size).await)) });
        }
        (Caller::Role(Pop3), Request::Login(login)) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move { responder.send(desk.log_in_to_mailbox(login).await) });
        }
        (Caller::Role(Smtp), Request::Authenticate(login)) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move { responder.send(desk.authenticate(login).await) });
        }
        (Caller::Role(Smtp), Request::ScramProof(proof)) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move { responder.send(desk.authenticate_by_proof(proof).await) });
        }
        (Caller::Role(role), Request::Note(events)) if record::may_note(role, &events) => {
            let desk = Arc::clone(desk);
            tokio::task::spawn_blocking(move || responder.send(desk.note(&events)));
        }
        (Caller::Role(Web), Request::Enter(entry, from)) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move { responder.send(desk.enter(entry, from).await) });
        }
        (Caller::Role(Web), Request::Visit { key, from, ask }) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move { responder.send(desk.visit(key, from, ask).await) });
        }
        (Caller::Operator, Request::Trace(trace)) => {
            let desk = Arc::clone(desk);
            tokio::task::spawn_blocking(move || responder.send(desk.trace(trace)));
        }
        (Caller::Operator, Request::Rule(rule)) => {
            let (desk, who) = (Arc::clone(desk), who.clone());
            tokio::spawn(async move { responder.send(desk.rule(rule, who).await) });
        }
        // Dropping the responder tells the caller that it has no answer.
        (caller, _) => warn!(event = "refused", what = "call", ?caller, "a caller asked what it may not"),
    }
}

/// The answer, or that there is none now, with a line in the log.
fn unless_unreadable(outcome: Result<Response, StoreError>) -> Response {
    outcome.unwrap_or_else(|error| unreadable(&error))
}

fn unreadable(error: &StoreError) -> Response {
    warn!(event = "directory_unreadable", %error);
    Response::Unavailable
}

/// Opens the directory, and makes sure that the configured provider domain is in it.
fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    let own = directory::Settings {
        pop_window: settings.sending.pop_window,
        windowless_networks: settings.sending.windowless_networks.clone(),
        session_lengths: session_lengths(settings),
        ..directory::Settings::new(settings.paths.mail.clone())
    };
    let store = Store::open(&settings.paths.database, own)?;
    if !store.domains()?.iter().any(|domain| domain.name == settings.domain) {
        store.add_domain(settings.domain.clone(), DomainKind::Provider, &Actor::Server)?;
    }
    Ok(store)
}

fn session_lengths(settings: &Settings) -> SessionLengths {
    SessionLengths { idle: settings.web.session_idle, max: settings.web.session_max }
}

/// A desk to test with: `pobox.example`, and its accounts abc and xyz.
#[cfg(test)]
mod example {
    use directory::NewAccount;
    use envelope::{AccountName, Language};
    use tempfile::TempDir;

    use super::*;

    pub(super) const WHO: Actor = Actor::LocalUser(0);

    pub(super) fn desk(programs: bool) -> (TempDir, Desk) {
        let folder = tempfile::tempdir().unwrap();
        let settings = directory::Settings::new(folder.path().join("mail"));
        let store = Store::open(&folder.path().join("directory.db"), settings).unwrap();
        let domain: Domain = "pobox.example".parse().unwrap();
        store.add_domain(domain.clone(), DomainKind::Provider, &WHO).unwrap();
        for account in ["abc", "xyz"] {
            let (password, language, plan) = (None, Language::Ja, None);
            let (name, uids) = (name(account), Vec::new());
            let new = NewAccount { name, password, language, operator: false, plan, uids };
            store.add_account(new, &WHO).unwrap();
        }
        let local = Client::new(PATIENCE);
        let desk = Desk {
            store,
            events: Events::open(&folder.path().join("events"), 30),
            host: "mail.pobox.example".parse().unwrap(),
            domain,
            programs,
            local_programs: LocalPrograms::default(),
            grant_key: GrantKey::new([7; 32]),
            mailboxes: Mailboxes::new(local.clone(), 259_200),
            local,
            callers: Broadcast::default(),
            confirm_destinations: AtomicBool::new(true),
        };
        (folder, desk)
    }

    pub(super) fn name(text: &str) -> AccountName {
        text.parse().unwrap()
    }
}
