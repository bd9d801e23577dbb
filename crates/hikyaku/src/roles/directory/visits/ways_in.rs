//! A member's ways in: his password, second factor, sessions and API tokens.

use directory::{Actor, ChangeError, Label, Password, RecoveryCode, TokenScope};
use envelope::AccountName;
use link::services::directory::Secret;
use link::services::directory::visits::{
    ApiToken, Denied, FRESH_FOR, LastLogin, Own, Scope, Session, Token, Visit,
};

use super::sessions::{scope, too_many};
use super::{Visitor, refused};
use crate::roles::directory::Desk;
use crate::roles::directory::logins::{Checked, refused_by};
use crate::roles::unix_now;

/// Characters of a password that somebody chooses himself.
const PASSWORD_MIN: usize = 8;
/// How long an API token may be good, in seconds: a year and a day.
const TOKEN_LIFETIME_MAX: u64 = 366 * 86_400;

impl Desk {
    pub(super) fn own_ways_in(&self, visitor: &Visitor, own: Own) -> Result<Visit, Denied> {
        match own {
            Own::SetPassword { old, new } => self.set_own_password(visitor, &old, new),
            Own::Logins => self.logins(visitor),
            Own::BeginSecondFactor => self.begin_second_factor(visitor),
            Own::SetSecondFactor(code) => self.set_second_factor(visitor, &code),
            Own::NewRecoveryCodes => {
                let codes = self.store.new_recovery_codes(&visitor.standing.account, &visitor.actor());
                Ok(Visit::RecoveryCodes(secrets(&codes.map_err(refused)?)))
            }
            // Without it he could rule no more, and not set it up again.
            Own::RemoveSecondFactor if visitor.standing.operator => Err(Denied::Forbidden),
            Own::RemoveSecondFactor => {
                done(self.store.remove_second_factor(&visitor.standing.account, &visitor.actor()))
            }
            Own::Sessions => {
                let all = self.sessions_of(&visitor.standing.account, visitor.session);
                Ok(Visit::Sessions(all.map_err(refused)?))
            }
            Own::EndSession(number) => self.end_session(visitor, number),
            Own::EndOtherSessions => {
                let but = visitor.session.ok_or(Denied::Forbidden)?;
                done(self.store.end_sessions(&visitor.standing.account, Some(but), &visitor.actor()))
            }
            Own::Tokens => self.tokens(visitor),
            Own::AddToken { label, scope, expires } => self.add_token(visitor, &label, scope, expires),
            Own::RemoveToken(text) => {
                let label = label(&text).map_err(|_| Denied::NotFound)?;
                done(self.store.remove_api_token(&visitor.standing.account, &label, &visitor.actor()))
            }
            _ => Err(Denied::Unavailable),
        }
    }

    fn set_own_password(&self, visitor: &Visitor, old: &Secret, new: Secret) -> Result<Visit, Denied> {
        let session = visitor.session.ok_or(Denied::Forbidden)?;
        let new = new_password(new)?;
        let account = &visitor.standing.account;
        let judged = self.judge(account.as_str(), visitor.from.client, || {
            match self.store.login_to_page(account.as_str(), &old.0) {
                Ok(_) => Checked::In(Ok(())),
                Err(refused) => refused_by(refused, |refused| Err(Denied::Login(refused))),
            }
        });
        judged.unwrap_or_else(too_many)?;
        done(self.store.change_password(account, &new, session))
    }

    fn logins(&self, visitor: &Visitor) -> Result<Visit, Denied> {
        let all = self.store.last_logins(&visitor.standing.account).map_err(refused)?.into_iter();
        Ok(Visit::Logins(
            all.map(|login| LastLogin {
                at: login.at,
                service: login.service.as_str().into(),
                client: login.client,
                app_password: login.app_password.map(Into::into),
            })
            .collect(),
        ))
    }

    fn begin_second_factor(&self, visitor: &Visitor) -> Result<Visit, Denied> {
        let session = may_enrol(visitor)?;
        let account = &visitor.standing.account;
        let secret = self.store.begin_second_factor(account, session).map_err(refused)?;
        let uri = secret.uri(self.domain.as_str(), &visitor.standing.address.to_string());
        Ok(Visit::SecondFactorBegun {
            secret: Secret(secret.base32().to_string()),
            uri: Secret(uri.to_string()),
        })
    }

    fn set_second_factor(&self, visitor: &Visitor, code: &str) -> Result<Visit, Denied> {
        let (session, now) = (may_enrol(visitor)?, unix_now());
        let account = &visitor.standing.account;
        let set = self.store.set_second_factor(account, session, code, now + FRESH_FOR, now);
        match set.map_err(refused)? {
            Some(codes) => Ok(Visit::RecoveryCodes(secrets(&codes))),
            None => Err(Denied::WrongCode),
        }
    }

    /// An account's open sessions, of which the one that asks has this number.
    pub(in crate::roles::directory) fn sessions_of(
        &self,
        account: &AccountName,
        this: Option<u64>,
    ) -> Result<Vec<Session>, ChangeError> {
        let all = self.store.sessions(account, unix_now())?.into_iter();
        Ok(all
            .map(|listed| Session {
                number: listed.number,
                began: listed.began,
                used: listed.used,
                client: listed.browser.client,
                agent: listed.browser.agent,
                this: this == Some(listed.number),
            })
            .collect())
    }

    fn end_session(&self, visitor: &Visitor, number: u64) -> Result<Visit, Denied> {
        let ended = self.store.end_session(&visitor.standing.account, number, &visitor.actor());
        if ended.map_err(refused)? { Ok(Visit::Done) } else { Err(Denied::NotFound) }
    }

    fn tokens(&self, visitor: &Visitor) -> Result<Visit, Denied> {
        let all = self.store.api_tokens(&visitor.standing.account).map_err(refused)?.into_iter();
        Ok(Visit::Tokens(
            all.map(|token| ApiToken {
                label: token.label.into(),
                scope: scope(token.scope),
                created: token.made,
                expires: token.expires,
                last_used: token.last_used,
            })
            .collect(),
        ))
    }

    fn add_token(&self, visitor: &Visitor, text: &str, scope: Scope, expires: u64) -> Result<Visit, Denied> {
        let standing = &visitor.standing;
        let scope = match scope {
            Scope::Read => TokenScope::Read,
            Scope::Write => TokenScope::Write,
            Scope::Operate if standing.operates => TokenScope::Operate,
            Scope::Operate if standing.operator => return Err(Denied::NotOperating),
            Scope::Operate => return Err(Denied::Forbidden),
        };
        let (label, now) = (label(text)?, unix_now());
        if expires <= now || expires > now + TOKEN_LIFETIME_MAX {
            return Err(Denied::NotSensible("expires".into()));
        }
        let (token, who) = (Token::new(rand::random()), visitor.actor());
        let added =
            self.store.add_api_token(&standing.account, &label, scope, &token.digest(), expires, &who);
        added.map_err(refused)?;
        Ok(Visit::NewToken(token))
    }
}

impl Visitor {
    /// As whom he stands in the audit trail.
    pub(super) fn actor(&self) -> Actor {
        Actor::Account(self.standing.account.clone())
    }
}

/// The session in which somebody may set up a second factor now. An operator does so only after a one-time link,
/// or in place of one that he has shown: his password alone must not make him rule.
fn may_enrol(visitor: &Visitor) -> Result<u64, Denied> {
    let standing = &visitor.standing;
    let session = visitor.session.ok_or(Denied::Forbidden)?;
    if standing.operator && !standing.operates && !standing.must_enrol {
        return Err(Denied::NotOperating);
    }
    if standing.second_factor && standing.fresh_until <= unix_now() {
        return Err(Denied::Prove);
    }
    Ok(session)
}

/// A password that somebody chose himself.
pub(super) fn new_password(secret: Secret) -> Result<Password, Denied> {
    if secret.0.chars().count() < PASSWORD_MIN {
        return Err(Denied::NotAPassword);
    }
    Password::new(secret.0).map_err(|_| Denied::NotAPassword)
}

pub(super) fn label(text: &str) -> Result<Label, Denied> {
    text.parse().map_err(|_| Denied::NotALabel)
}

pub(super) fn done<T>(outcome: Result<T, directory::ChangeError>) -> Result<Visit, Denied> {
    outcome.map(|_| Visit::Done).map_err(refused)
}

fn secrets(codes: &[RecoveryCode]) -> Vec<Secret> {
    codes.iter().map(|code| Secret(code.as_str().to_owned())).collect()
}
