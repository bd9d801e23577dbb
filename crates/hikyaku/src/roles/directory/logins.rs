//! Who may in: to his mailbox, to send, or to the page.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::{Label, LastLogin, LoginService};
use envelope::{Account, AccountName, AccountState, Entitlement, Mailbox, Sender};
use link::grant::{MailboxGrant, RelayGrant};
use link::services::directory::{Event, Login, LoginRefused, Response, ScramProof};
use tracing::{info, warn};

use super::{Desk, unless_unreadable};
use crate::roles::unix_now;

/// What somebody who fails to log in waits, so that guessing takes long.
pub(super) const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// What came of a check.
pub(super) enum Checked<T> {
    /// He is in: what failed before is forgotten.
    In(T),
    /// Neither right nor wrong, or right and not all of it: nothing is counted.
    Open(T),
    /// Wrong: it is counted.
    Wrong(T),
}

/// Too many attempts failed from there of late.
pub(super) struct TooManyFailures;

impl Desk {
    /// Lets a person in to his mailbox.
    pub(super) async fn log_in_to_mailbox(self: Arc<Self>, login: Login) -> Response {
        let Login { name, password, client } = login;
        self.let_in(name, client, move |desk, name| {
            let directory::Login { account, app_password } = desk.store.login(name, &password)?;
            desk.note_login(&account.name, LoginService::Pop3, client, app_password);
            Ok(desk.to_mailbox(account, client))
        })
        .await
    }

    /// Lets a person in to send.
    pub(super) async fn authenticate(self: Arc<Self>, login: Login) -> Response {
        let Login { name, password, client } = login;
        self.let_in(name, client, move |desk, name| {
            let directory::Login { account, app_password } = desk.store.login(name, &password)?;
            Ok(desk
                .to_relay(account, client, app_password)
                .map_or_else(Response::LoginRefused, Response::MayRelay))
        })
        .await
    }

    /// Lets a person in to send by a proof that he knows the password (RFC 5802 §3).
    pub(super) async fn authenticate_by_proof(self: Arc<Self>, proof: ScramProof) -> Response {
        let ScramProof { name, client, auth_message, proof } = proof;
        self.let_in(name, client, move |desk, name| {
            let login = desk.store.scram_login(name, &auth_message, &proof)?;
            Ok(match desk.to_relay(login.account, client, None) {
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

    /// Checks what somebody brings, unless he has failed too often. However somebody proves who he is, and
    /// by whichever protocol, failures are counted alike; the caller has who failed wait for
    /// [`FAILURE_PAUSE`]. Blocks for the time of an argon2.
    pub(super) fn judge<T>(
        &self,
        name: &str,
        client: IpAddr,
        check: impl FnOnce() -> Checked<T>,
    ) -> Result<T, TooManyFailures> {
        if !self.store.login_delay(name, client, Instant::now()).is_zero() {
            return Err(TooManyFailures);
        }
        Ok(match check() {
            Checked::In(outcome) => {
                self.store.login_succeeded(name, client);
                outcome
            }
            Checked::Open(outcome) => outcome,
            Checked::Wrong(outcome) => {
                self.store.login_failed(name, client, Instant::now());
                outcome
            }
        })
    }

    /// Lets somebody in by a mail program; `check` says what is granted to who passes.
    async fn let_in(
        self: Arc<Self>,
        name: String,
        client: IpAddr,
        check: impl FnOnce(&Desk, &str) -> Result<Response, directory::LoginRefused> + Send + 'static,
    ) -> Response {
        let checked = tokio::task::spawn_blocking(move || {
            let judged = self.judge(&name, client, || match check(&self, &name) {
                Ok(granted) => Checked::In(granted),
                Err(refused) => refused_by(refused, Response::LoginRefused),
            });
            judged.unwrap_or(Response::LoginRefused(LoginRefused::TooManyFailures))
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

    fn to_relay(
        &self,
        account: Account,
        client: IpAddr,
        app_password: Option<Label>,
    ) -> Result<RelayGrant, LoginRefused> {
        match account.state {
            AccountState::Active => {
                self.note_login(&account.name, LoginService::Smtp, client, app_password);
                Ok(self.relay(account.name, Entitlement::Authentication))
            }
            AccountState::ReceiveOnly => Err(LoginRefused::ReceiveOnly),
            AccountState::Suspended => Err(LoginRefused::Suspended),
        }
    }

    /// Remembers that somebody was in, for the account's owner to see.
    pub(super) fn note_login(
        &self,
        account: &AccountName,
        service: LoginService,
        client: IpAddr,
        app_password: Option<Label>,
    ) {
        let login = LastLogin { at: unix_now(), service, client, app_password };
        if let Err(error) = self.store.note_login(account, login) {
            warn!(event = "login_not_noted", %account, %client, %error);
        }
    }

    pub(super) fn relay(&self, account: AccountName, entitlement: Entitlement) -> RelayGrant {
        RelayGrant::issue(&self.grant_key, Sender { account, entitlement }, unix_now())
    }
}

/// What is answered to who is not let in, and whether it counts.
pub(super) fn refused_by<T>(
    refused: directory::LoginRefused,
    answer: impl FnOnce(LoginRefused) -> T,
) -> Checked<T> {
    match refused {
        directory::LoginRefused::Credentials => Checked::Wrong(answer(LoginRefused::Credentials)),
        directory::LoginRefused::Suspended => Checked::Open(answer(LoginRefused::Suspended)),
        directory::LoginRefused::Unavailable => Checked::Open(answer(LoginRefused::Unavailable)),
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
