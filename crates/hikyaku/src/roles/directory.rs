//! Role `directory`, user `hikyaku-directory`. Hears `smtp`, `pop3`, `queue` and operators; calls
//! `local` to make the mailbox of a new account. Touches its database, and no network.

use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use directory::{Actor, Store, StoreError};
use envelope::{
    Account, AccountName, AccountState, Address, Destination, Domain, Entitlement, Host, Mailbox, Sender,
};
use link::grant::{GrantKey, MailboxGrant, RelayGrant};
use link::services::directory::{Directory, Event, Login, LoginRefused, Request, Response, Rule};
use link::services::local::{self, Local};
use link::{Broadcast, Client, Parcel, Responder, serve};
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::{Caller, Orders, PATIENCE, Told, directory_rules, ended, hear_operators, unix_now};
use crate::control::{Role, Start};

/// How often a look is taken whether another process changed the database.
const CHANGE_LOOK: Duration = Duration::from_millis(500);

/// What somebody who fails to log in waits, so that guessing takes long.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

struct Desk {
    store: Store,
    /// This host's name.
    host: Domain,
    /// The provider's domain.
    domain: Domain,
    grant_key: GrantKey,
    local: Client<Local>,
    callers: Broadcast<Directory>,
}

pub async fn run(mut orders: Orders, start: Start) -> anyhow::Result<()> {
    let desk = Arc::new(Desk {
        store: directory_rules::open_store(&start.settings).context("cannot open the directory")?,
        host: start.settings.hostname,
        domain: start.settings.domain,
        grant_key: start.grant_key.context("the directory role was given no key for grants")?,
        local: Client::new(PATIENCE),
        callers: Broadcast::default(),
    });
    tokio::spawn(watch_changes(Arc::clone(&desk)));
    orders.ready()?;
    loop {
        match orders.next().await {
            Told::Call(called @ Role::Local, stream) => desk.local.attach(stream, orders.mend(called))?,
            Told::Answer(role, stream) => {
                tokio::spawn(answer_caller(Arc::clone(&desk), stream, Caller::Role(role), Actor::Server));
            }
            Told::HearOperators(listener) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(hear_operators(listener, move |stream, uid| {
                    let desk = Arc::clone(&desk);
                    tokio::spawn(answer_caller(desk, stream, Caller::Operator, Actor::LocalUser(uid)));
                }));
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
    match (caller, request.value) {
        (Caller::Role(Role::Smtp | Role::Queue), Request::Resolve(address)) => {
            // An indexed look-up in memory: shorter than handing it to another thread.
            responder.send(match desk.resolve(&address) {
                Ok(destination) => Response::Destination(destination),
                Err(error) => {
                    warn!(event = "directory_unreadable", %error);
                    Response::Unavailable
                }
            });
        }
        (Caller::Role(Role::Queue), Request::Language(name)) => {
            responder.send(match desk.store.account(&name) {
                Ok(Some(account)) => Response::Language(account.language),
                _ => Response::Unavailable,
            });
        }
        (Caller::Role(Role::Smtp), Request::Windows(client)) => responder.send(desk.windows(client)),
        (Caller::Role(Role::Smtp), Request::MaySend(account)) => responder.send(desk.may_send(&account)),
        (Caller::Role(Role::Pop3), Request::Login(login)) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move { responder.send(desk.let_in(login, Desk::to_mailbox).await) });
        }
        (Caller::Role(Role::Smtp), Request::Authenticate(login)) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move { responder.send(desk.let_in(login, Desk::to_relay).await) });
        }
        (Caller::Operator, Request::Rule(rule)) => {
            let (desk, who) = (Arc::clone(desk), who.clone());
            tokio::spawn(async move { responder.send(desk.rule(rule, who).await) });
        }
        // Dropping the responder tells the caller that it has no answer.
        (caller, _) => warn!(event = "refused", what = "call", ?caller, "a caller asked what it may not"),
    }
}

impl Desk {
    /// Where an address leads. The postmaster of this host is the provider's: mail to him must be
    /// taken without a domain too (RFC 5321 §4.5.1), which then is the host's name.
    fn resolve(&self, address: &Address) -> Result<Destination, StoreError> {
        let postmaster = address.local_part.as_str().eq_ignore_ascii_case("postmaster");
        if postmaster && address.host.domain() == Some(&self.host) {
            let host = Host::Domain(self.domain.clone());
            return self.store.resolve(&Address::new(address.local_part.clone(), host));
        }
        self.store.resolve(address)
    }

    /// Checks a name and a password; `entitle` says what is granted to who passes.
    async fn let_in(
        self: Arc<Self>,
        login: Login,
        entitle: fn(&Desk, Account, IpAddr) -> Response,
    ) -> Response {
        let checked = tokio::task::spawn_blocking(move || {
            let (name, client) = (login.name.as_str(), login.client);
            if !self.store.login_delay(name, client, Instant::now()).is_zero() {
                return Response::LoginRefused(LoginRefused::TooManyFailures);
            }
            match self.store.login(name, &login.password) {
                Ok(directory::Login { account }) => {
                    self.store.login_succeeded(name, client);
                    entitle(&self, account, client)
                }
                Err(directory::LoginRefused::Credentials) => {
                    self.store.login_failed(name, client, Instant::now());
                    Response::LoginRefused(LoginRefused::Credentials)
                }
                Err(directory::LoginRefused::Suspended) => Response::LoginRefused(LoginRefused::Suspended),
                Err(directory::LoginRefused::Unavailable) => {
                    Response::LoginRefused(LoginRefused::Unavailable)
                }
            }
        });
        let response = checked.await.unwrap_or(Response::Unavailable);
        if matches!(
            response,
            Response::LoginRefused(LoginRefused::Credentials | LoginRefused::TooManyFailures)
        ) {
            tokio::time::sleep(FAILURE_PAUSE).await;
        }
        response
    }

    /// Who reads his mail may send for some minutes (POP before SMTP). The window is open before
    /// the client hears that he is in.
    fn to_mailbox(&self, account: Account, client: IpAddr) -> Response {
        match self.store.open_window(client, &account.name, unix_now()) {
            // Of a renewal nobody need hear: that this client has no window is known to nobody.
            Ok(Some(window)) if window.opened == window.renewed => {
                self.callers.send(&Event::WindowOpened(client.to_canonical()));
                info!(event = "window_opened", account = %account.name, %client);
            }
            Ok(_) => {}
            // He can read his mail all the same.
            Err(error) => warn!(event = "window_not_opened", account = %account.name, %client, %error),
        }
        let mailbox = Mailbox { account: account.name.clone(), maildir: account.maildir };
        Response::LoggedIn(account.name, MailboxGrant::issue(&self.grant_key, mailbox, unix_now()))
    }

    fn to_relay(&self, account: Account, _client: IpAddr) -> Response {
        match may_send(account.state) {
            Ok(()) => Response::MayRelay(self.relay(account.name, Entitlement::Authentication)),
            Err(refused) => Response::LoginRefused(refused),
        }
    }

    fn relay(&self, account: AccountName, entitlement: Entitlement) -> RelayGrant {
        RelayGrant::issue(&self.grant_key, Sender { account, entitlement }, unix_now())
    }

    fn windows(&self, client: IpAddr) -> Response {
        match self.store.windows(client, unix_now()) {
            Ok(mut windows) => {
                windows.sort_by_key(|window| std::cmp::Reverse(window.renewed));
                let grants =
                    windows.into_iter().map(|window| self.relay(window.account, Entitlement::Window));
                Response::Windows(grants.collect())
            }
            Err(error) => {
                warn!(event = "directory_unreadable", %error);
                Response::Unavailable
            }
        }
    }

    fn may_send(&self, account: &AccountName) -> Response {
        match self.store.account(account) {
            Ok(account) => {
                let state = account.map_or(AccountState::Suspended, |account| account.state);
                may_send(state).map_or_else(Response::LoginRefused, |()| Response::Done)
            }
            Err(_) => Response::Unavailable,
        }
    }

    async fn rule(self: &Arc<Self>, rule: Rule, who: Actor) -> Response {
        let changes = directory_rules::changes(&rule);
        if changes {
            info!(event = "rule", by = %who, ?rule);
        }
        let (desk, runtime) = (Arc::clone(self), Handle::current());
        let ruled = tokio::task::spawn_blocking(move || {
            directory_rules::rule(&desk.store, rule, &who, |account| {
                runtime.block_on(desk.make_mailbox(account))
            })
        });
        let response = ruled.await.unwrap_or(Response::Unavailable);
        if changes {
            self.callers.send(&Event::Changed);
        }
        response
    }

    /// Has `local` make the mailbox of a new account.
    async fn make_mailbox(&self, account: &Account) -> Result<(), String> {
        let mailbox = Mailbox { account: account.name.clone(), maildir: account.maildir.clone() };
        let made = self.local.call_until_answered(local::Request::Create(mailbox), bytes::Bytes::new()).await;
        match made.map(|answer| answer.value) {
            Ok(local::Response::Created) => Ok(()),
            Ok(local::Response::NotCreated(problem)) => Err(problem),
            Ok(_) => Err("the local role answered something else".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn may_send(state: AccountState) -> Result<(), LoginRefused> {
    match state {
        AccountState::Active => Ok(()),
        AccountState::ReceiveOnly => Err(LoginRefused::ReceiveOnly),
        AccountState::Suspended => Err(LoginRefused::Suspended),
    }
}
