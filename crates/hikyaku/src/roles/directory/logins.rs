//! Who may in: to his mailbox, or to send.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envelope::{Account, AccountName, AccountState, Entitlement, Mailbox, Sender};
use link::grant::{MailboxGrant, RelayGrant};
use link::services::directory::{Event, Login, LoginRefused, Response, ScramProof};
use tracing::{info, warn};

use super::{Desk, unless_unreadable};
use crate::roles::unix_now;

/// What somebody who fails to log in waits, so that guessing takes long.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

impl Desk {
    /// Lets a person in to his mailbox.
    pub(super) async fn log_in_to_mailbox(self: Arc<Self>, login: Login) -> Response {
        let Login { name, password, client } = login;
        self.let_in(name, client, move |desk, name| {
            let directory::Login { account } = desk.store.login(name, &password)?;
            Ok(desk.to_mailbox(account, client))
        })
        .await
    }

    /// Lets a person in to send.
    pub(super) async fn authenticate(self: Arc<Self>, login: Login) -> Response {
        let Login { name, password, client } = login;
        self.let_in(name, client, move |desk, name| {
            let directory::Login { account } = desk.store.login(name, &password)?;
            Ok(desk.to_relay(account).map_or_else(Response::LoginRefused, Response::MayRelay))
        })
        .await
    }

    /// Lets a person in to send by a proof that he knows the password (RFC 5802 §3).
    pub(super) async fn authenticate_by_proof(self: Arc<Self>, proof: ScramProof) -> Response {
        let ScramProof { name, client, auth_message, proof } = proof;
        self.let_in(name, client, move |desk, name| {
            let login = desk.store.scram_login(name, &auth_message, &proof)?;
            Ok(match desk.to_relay(login.account) {
                Ok(grant) => Response::ScramProved(grant, login.server_signature),
                Err(refused) => Response::LoginRefused(refused),
            })
        })
        .await
    }

    /// With what a password is hashed. Names that nobody has get an answer that looks like any.
    pub(super) fn scram_salt(&self, name: &str) -> Response {
        unless_unreadable(self.store.scram_challenge(name).map(|challenge| Response::ScramSalt {
            salt: challenge.salt.into(),
            iterations: challenge.iterations,
        }))
    }

    /// Who may send from this client by a relay window.
    pub(super) fn windows(&self, client: IpAddr) -> Response {
        unless_unreadable(self.store.windows(client, unix_now()).map(|mut windows| {
            windows.sort_by_key(|window| std::cmp::Reverse(window.renewed));
            let grants = windows.into_iter().map(|window| self.relay(window.account, Entitlement::Window));
            Response::Windows(grants.collect())
        }))
    }

    /// Checks what somebody brings; `check` says what is granted to who passes. However somebody proves who
    /// he is, failures are counted and delayed alike.
    async fn let_in(
        self: Arc<Self>,
        name: String,
        client: IpAddr,
        check: impl FnOnce(&Desk, &str) -> Result<Response, directory::LoginRefused> + Send + 'static,
    ) -> Response {
        let checked = tokio::task::spawn_blocking(move || {
            if !self.store.login_delay(&name, client, Instant::now()).is_zero() {
                return Response::LoginRefused(LoginRefused::TooManyFailures);
            }
            match check(&self, &name) {
                Ok(granted) => {
                    self.store.login_succeeded(&name, client);
                    granted
                }
                Err(directory::LoginRefused::Credentials) => {
                    self.store.login_failed(&name, client, Instant::now());
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

    fn to_relay(&self, account: Account) -> Result<RelayGrant, LoginRefused> {
        match account.state {
            AccountState::Active => Ok(self.relay(account.name, Entitlement::Authentication)),
            AccountState::ReceiveOnly => Err(LoginRefused::ReceiveOnly),
            AccountState::Suspended => Err(LoginRefused::Suspended),
        }
    }

    fn relay(&self, account: AccountName, entitlement: Entitlement) -> RelayGrant {
        RelayGrant::issue(&self.grant_key, Sender { account, entitlement }, unix_now())
    }
}
