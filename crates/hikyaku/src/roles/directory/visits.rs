//! Visits by the page and the API: who comes, what he may, and what he is answered.
//!
//! | file | what it does |
//! |---|---|
//! | `permission.rs` | what each request needs, in one table |
//! | `sessions.rs` | signing in, sessions, second factor, one-time links, tokens |
//! | `own.rs` | a member's account |
//! | `ways_in.rs` | a member's password, second factor, sessions and tokens |
//! | `invitations.rs` | one-time links |
//! | `addresses.rs` | a member's addresses, and the consent of whom they lead to |
//! | `mail.rs` | where a member's mail is |
//! | `absence.rs` | a member's answer while he is away |
//! | `operate.rs` | what operators ask and do |

mod absence;
mod addresses;
mod invitations;
mod mail;
mod operate;
mod own;
mod permission;
mod sessions;
mod ways_in;

use std::sync::Arc;

use directory::{ChangeError, StoreError};
use link::services::directory::visits::{Ask, Denied, Entry, Key, Origin, Standing, Visit};
use link::services::directory::{Event, LoginRefused, Response};
use tokio::runtime::Handle;
use tracing::warn;

pub(super) use self::absence::{shown, stored};
use super::Desk;
use super::logins::FAILURE_PAUSE;

/// Whom a request comes from, once his key was looked up.
struct Visitor {
    /// Who he is.
    standing: Standing,
    /// By what.
    key: Key,
    /// From where.
    from: Origin,
    /// The number of his session; none if he has a token.
    session: Option<u64>,
}

impl Desk {
    /// Answers somebody who has no session yet.
    pub(super) async fn enter(self: Arc<Self>, entry: Entry, from: Origin) -> Response {
        let entered = tokio::task::spawn_blocking(move || visit(self.let_in_to_page(entry, &from)));
        unhurried(entered.await.unwrap_or_else(|_| visit(Err(Denied::Unavailable)))).await
    }

    /// Answers somebody who has a key.
    pub(super) async fn visit(self: Arc<Self>, key: Key, from: Origin, ask: Ask) -> Response {
        let runtime = Handle::current();
        let answered = tokio::task::spawn_blocking(move || self.answered(key, from, ask, &runtime));
        unhurried(answered.await.unwrap_or_else(|_| visit(Err(Denied::Unavailable)))).await
    }

    fn answered(self: &Arc<Self>, key: Key, from: Origin, ask: Ask, runtime: &Handle) -> Response {
        let (standing, session) = match self.standing(&key, &from) {
            Ok(known) => known,
            Err(denied) => return visit(Err(denied)),
        };
        if let Err(denied) = permission::check(&standing, &ask, super::unix_now()) {
            return visit(Err(denied));
        }
        let visitor = Visitor { standing, key, from, session };
        match ask {
            Ask::Standing => visit(Ok(Visit::Standing(Box::new(visitor.standing)))),
            Ask::SignOut => visit(self.sign_out(&visitor)),
            Ask::Prove { password, code } => visit(self.prove(&visitor, &password, code.as_deref())),
            Ask::Own(own) => {
                let changes = !permission::only_looks(&own);
                let outcome = self.own(&visitor, own, runtime);
                if changes && outcome.is_ok() {
                    self.callers.send(&Event::Changed);
                }
                visit(outcome)
            }
            Ask::Operate(operate) => self.operate(&visitor, operate, runtime),
        }
    }
}

/// Has somebody wait who guesses.
async fn unhurried(response: Response) -> Response {
    if let Response::Visit(visit) = &response
        && let Visit::Denied(
            Denied::Login(LoginRefused::Credentials | LoginRefused::TooManyFailures) | Denied::WrongCode,
        ) = **visit
    {
        tokio::time::sleep(FAILURE_PAUSE).await;
    }
    response
}

fn visit(outcome: Result<Visit, Denied>) -> Response {
    Response::Visit(Box::new(outcome.unwrap_or_else(Visit::Denied)))
}

/// The answer where the store does not give one, with a line in the log.
fn unavailable(error: &StoreError) -> Denied {
    warn!(event = "directory_unreadable", %error);
    Denied::Unavailable
}

/// The answer where a change is refused.
fn refused(error: ChangeError) -> Denied {
    match error {
        ChangeError::Store(error) => unavailable(&error),
        ChangeError::Hashing(reason) => {
            warn!(event = "directory_unreadable", error = reason);
            Denied::Unavailable
        }
        ChangeError::SessionEnded => Denied::SignIn,
        ChangeError::AppPasswordExists { .. } | ChangeError::ApiTokenExists { .. } => Denied::LabelTaken,
        ChangeError::TooManyAppPasswords(_) | ChangeError::TooManyApiTokens(_) => {
            Denied::TooMany { limit: 64 }
        }
        ChangeError::NoSuchAccount(_)
        | ChangeError::NoSuchAppPassword { .. }
        | ChangeError::NoSuchApiToken { .. }
        | ChangeError::NoSecondFactor(_) => Denied::NotFound,
        other => Denied::Refused(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
