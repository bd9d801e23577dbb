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

    pub(super) fn relay(&self, account: AccountName, entitlement: Entitlement) -> RelayGrant {
        RelayGrant::issue(&self.grant_key, Sender { account, entitlement }, unix_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::directory::example::{WHO, desk, name};

    fn proof(name: &str, client: &str) -> ScramProof {
        let (name, client) = (name.into(), client.parse().unwrap());
        ScramProof { name, client, auth_message: "message".into(), proof: [1; 32] }
    }

    fn login(password: &str, client: &str) -> Login {
        let (name, password) = ("abc".into(), password.into());
        Login { name, password, client: client.parse().unwrap() }
    }

    fn refused(response: &Response) -> Option<LoginRefused> {
        match response {
            Response::LoginRefused(refused) => Some(*refused),
            _ => None,
        }
    }

    #[test]
    fn a_wrong_proof_counts_as_a_wrong_password_does() {
        let (_folder, desk) = desk(false);
        let password = directory::Password::new("abc-try".into()).unwrap();
        desk.store.set_password(&name("abc"), &password, &WHO).unwrap();
        let desk = Arc::new(desk);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // One failure more than anybody may have.
            let (client, now) = ("192.0.2.1".parse().unwrap(), Instant::now());
            (0..3).for_each(|_| desk.store.login_failed("abc", client, now));
            let guess = tokio::spawn(Arc::clone(&desk).authenticate_by_proof(proof("ABC", "192.0.2.1")));
            while desk.store.login_delay("abc", client, Instant::now()).is_zero() {
                assert!(!guess.is_finished(), "the guess was not counted");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // From there nobody is let in for a while, by whichever way; from elsewhere the owner is.
            let from = |client| Arc::clone(&desk).authenticate(login("abc-try", client));
            assert_eq!(refused(&from("192.0.2.1").await), Some(LoginRefused::TooManyFailures));
            assert!(matches!(from("198.51.100.1").await, Response::MayRelay(_)));
            assert_eq!(refused(&guess.await.unwrap()), Some(LoginRefused::Credentials));
            assert!(now.elapsed() >= FAILURE_PAUSE);
        });
    }

    #[test]
    fn a_salt_is_told_for_any_name() {
        let (_folder, desk) = desk(false);
        for name in ["abc", "nobody", "", "\0"] {
            let Response::ScramSalt { salt, iterations } = desk.scram_salt(name) else { panic!("{name}") };
            assert_eq!((salt.len(), iterations >= 4096), (16, true));
        }
    }
}
