//! The audit trail: who changed what, and when.
//!
//! Each change writes one entry in its own transaction, so there is no change without its entry.
//! Entries say nothing of a password but that it was set.

use std::fmt;

use envelope::{
    AccountName, AccountState, Address, Domain, DomainKind, HostedDomain, Language, Overrides, Plan, PlanName,
};
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use crate::absence::Absence;
use crate::api_tokens::TokenScope;
use crate::error::StoreError;
use crate::extension::Extension;
use crate::label::Label;
use crate::rows;
use crate::store::{Store, unix_now};

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// Somebody at the command line, by the user id that the kernel vouches for.
    LocalUser(u32),
    /// Somebody who logged in.
    Account(AccountName),
    /// The server itself.
    Server,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::LocalUser(uid) => write!(f, "uid {uid}"),
            Actor::Account(name) => write!(f, "account {name}"),
            Actor::Server => f.write_str("server"),
        }
    }
}

/// One change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Who, as [`Actor`] is displayed.
    pub who: String,
    /// What, as a short sentence.
    pub what: String,
}

impl Store {
    /// The last changes, the newest first, at most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn audit_trail(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(|reader| {
            let mut newest =
                reader.prepare_cached("SELECT at, who, what FROM audit ORDER BY id DESC LIMIT ?1")?;
            let entries = newest.query_map([limit], read_entry)?;
            Ok(entries.collect::<Result<_, _>>()?)
        })
    }

    /// The last changes of one account, the newest first, at most `limit`. There may be some though the
    /// account is gone.
    ///
    /// # Errors
    /// If the store fails.
    pub fn audit_trail_of(&self, account: &AccountName, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(|reader| {
            let mut newest = reader.prepare_cached(
                "SELECT at, who, what FROM audit WHERE account = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let entries = newest.query_map((account.as_str(), limit), read_entry)?;
            Ok(entries.collect::<Result<_, _>>()?)
        })
    }
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry { at: rows::seconds(row, 0)?, who: row.get(1)?, what: row.get(2)? })
}

/// A change on its way into the trail.
pub(crate) enum Change<'a> {
    DomainAdded(&'a HostedDomain),
    DomainRemoved(&'a Domain),
    CatchAllSet(&'a Domain, Option<&'a AccountName>),
    AccountAdded(&'a AccountName, bool),
    AccountRemoved(&'a AccountName),
    PasswordSet(&'a AccountName),
    StateSet(&'a AccountName, AccountState),
    LanguageSet(&'a AccountName, Language),
    PlanSet(&'a PlanName, &'a Plan),
    PlanRemoved(&'a PlanName),
    PlanAssigned(&'a AccountName, &'a PlanName),
    OverridesSet(&'a AccountName, &'a Overrides),
    LocalUserMapped(&'a AccountName, u32),
    LocalUserUnmapped(&'a AccountName, u32),
    WindowsClosed(&'a AccountName),
    PasswordHashSet(&'a AccountName),
    PasswordStoredAnew(&'a AccountName),
    AppPasswordAdded(&'a AccountName, &'a Label),
    AppPasswordRemoved(&'a AccountName, &'a Label),
    InstructionsSet(&'a AccountName, &'a Extension, usize),
    InstructionsImported(&'a AccountName, u64),
    InstructionsActive(&'a AccountName, &'a Extension, bool),
    InstructionsLabelled(&'a AccountName, &'a Extension),
    InstructionsRemoved(&'a AccountName, &'a Extension),
    ConsentAsked(&'a AccountName, &'a Address),
    ConsentAnswered(&'a AccountName, &'a Address, bool, u64),
    SessionsEnded(&'a AccountName, usize),
    InvitationMade(&'a AccountName),
    InvitationTakenUp(&'a AccountName),
    SecondFactorSet(&'a AccountName),
    SecondFactorRemoved(&'a AccountName),
    RecoveryCodesMade(&'a AccountName),
    RecoveryCodeUsed(&'a AccountName),
    ApiTokenAdded(&'a AccountName, &'a Label, TokenScope),
    ApiTokenRemoved(&'a AccountName, &'a Label),
    AbsenceSet(&'a AccountName, &'a Absence),
}

impl Change<'_> {
    /// Of which account it is.
    fn account(&self) -> Option<&AccountName> {
        match self {
            Change::DomainAdded(HostedDomain { kind: DomainKind::Virtual { owner, .. }, .. }) => Some(owner),
            Change::CatchAllSet(_, account) => *account,
            Change::DomainAdded(_)
            | Change::DomainRemoved(_)
            | Change::PlanSet(..)
            | Change::PlanRemoved(_) => None,
            Change::AccountAdded(account, _)
            | Change::AccountRemoved(account)
            | Change::PasswordSet(account)
            | Change::StateSet(account, _)
            | Change::LanguageSet(account, _)
            | Change::PlanAssigned(account, _)
            | Change::OverridesSet(account, _)
            | Change::LocalUserMapped(account, _)
            | Change::LocalUserUnmapped(account, _)
            | Change::WindowsClosed(account)
            | Change::PasswordHashSet(account)
            | Change::PasswordStoredAnew(account)
            | Change::AppPasswordAdded(account, _)
            | Change::AppPasswordRemoved(account, _)
            | Change::InstructionsSet(account, ..)
            | Change::InstructionsImported(account, _)
            | Change::InstructionsActive(account, ..)
            | Change::InstructionsLabelled(account, _)
            | Change::InstructionsRemoved(account, _)
            | Change::ConsentAsked(account, _)
            | Change::ConsentAnswered(account, ..)
            | Change::SessionsEnded(account, _)
            | Change::InvitationMade(account)
            | Change::InvitationTakenUp(account)
            | Change::SecondFactorSet(account)
            | Change::SecondFactorRemoved(account)
            | Change::RecoveryCodesMade(account)
            | Change::RecoveryCodeUsed(account)
            | Change::ApiTokenAdded(account, ..)
            | Change::ApiTokenRemoved(account, _)
            | Change::AbsenceSet(account, _) => Some(account),
        }
    }
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::DomainAdded(HostedDomain { name, kind: DomainKind::Provider }) => {
                write!(f, "provider domain {name} added")
            }
            Change::DomainAdded(HostedDomain { name, kind: DomainKind::Virtual { owner, prefix: None } }) => {
                write!(f, "virtual domain {name} of {owner} added")
            }
            Change::DomainAdded(HostedDomain {
                name,
                kind: DomainKind::Virtual { owner, prefix: Some(prefix) },
            }) => write!(f, "virtual domain {name} of {owner} added with the prefix {prefix}"),
            Change::DomainAdded(HostedDomain { name, kind: DomainKind::Alias { of } }) => {
                write!(f, "alias domain {name} of {of} added")
            }
            Change::DomainAdded(HostedDomain { name, kind: DomainKind::Relay }) => {
                write!(f, "relay domain {name} added")
            }
            Change::CatchAllSet(name, Some(account)) => {
                write!(f, "domain {name} has the catch-all {account}")
            }
            Change::CatchAllSet(name, None) => write!(f, "domain {name} has no catch-all any more"),
            Change::DomainRemoved(name) => write!(f, "domain {name} removed"),
            Change::AccountAdded(name, true) => write!(f, "account {name} added as operator"),
            Change::AccountAdded(name, false) => write!(f, "account {name} added"),
            Change::AccountRemoved(name) => write!(f, "account {name} removed"),
            Change::PasswordSet(name) => write!(f, "password of {name} set"),
            Change::StateSet(name, state) => write!(f, "account {name} set to {state}"),
            Change::LanguageSet(name, language) => {
                write!(f, "account {name} is written to in {}", language.as_str())
            }
            Change::PlanSet(name, plan) => write!(f, "plan {name} set to {plan}"),
            Change::PlanRemoved(name) => write!(f, "plan {name} removed"),
            Change::PlanAssigned(account, plan) => write!(f, "account {account} given plan {plan}"),
            Change::OverridesSet(account, overrides) => {
                write!(f, "account {account} has, whatever its plan says, {overrides}")
            }
            Change::LocalUserMapped(account, uid) => write!(f, "programs of uid {uid} send as {account}"),
            Change::LocalUserUnmapped(account, uid) => {
                write!(f, "programs of uid {uid} no longer send as {account}")
            }
            Change::WindowsClosed(account) => write!(f, "relay windows of {account} closed"),
            Change::PasswordHashSet(account) => write!(f, "password of {account} set by a hash of it"),
            Change::PasswordStoredAnew(account) => write!(f, "password of {account} stored anew"),
            Change::AppPasswordAdded(account, label) => {
                write!(f, "app password \"{label}\" of {account} added")
            }
            Change::AppPasswordRemoved(account, label) => {
                write!(f, "app password \"{label}\" of {account} revoked")
            }
            Change::InstructionsSet(account, extension, octets) => {
                write!(f, "instructions {extension} of {account} set ({octets} octets)")
            }
            Change::InstructionsImported(account, count) => {
                write!(f, "{count} instructions of {account} imported")
            }
            Change::InstructionsActive(account, extension, true) => {
                write!(f, "instructions {extension} of {account} made active")
            }
            Change::InstructionsActive(account, extension, false) => {
                write!(f, "instructions {extension} of {account} made inactive")
            }
            Change::InstructionsLabelled(account, extension) => {
                write!(f, "instructions {extension} of {account} labelled")
            }
            Change::InstructionsRemoved(account, extension) => {
                write!(f, "instructions {extension} of {account} removed")
            }
            Change::ConsentAsked(account, to) => {
                write!(f, "{to} asked whether to take what {account} forwards")
            }
            Change::ConsentAnswered(account, to, wanted, rewritten) => {
                let wants = if *wanted { "wants" } else { "does not want" };
                write!(f, "{to} {wants} what {account} forwards ({rewritten} instructions changed)")
            }
            Change::SessionsEnded(account, 1) => write!(f, "a session of {account} ended"),
            Change::SessionsEnded(account, count) => write!(f, "{count} sessions of {account} ended"),
            Change::InvitationMade(account) => write!(f, "one-time link for {account} made"),
            Change::InvitationTakenUp(account) => {
                write!(f, "password of {account} set by its one-time link")
            }
            Change::SecondFactorSet(account) => write!(f, "second factor of {account} set up"),
            Change::SecondFactorRemoved(account) => write!(f, "second factor of {account} removed"),
            Change::RecoveryCodesMade(account) => write!(f, "new recovery codes of {account} made"),
            Change::RecoveryCodeUsed(account) => write!(f, "a recovery code of {account} used"),
            Change::ApiTokenAdded(account, label, scope) => {
                write!(f, "API token \"{label}\" of {account} added, scope {}", scope.as_str())
            }
            Change::ApiTokenRemoved(account, label) => {
                write!(f, "API token \"{label}\" of {account} revoked")
            }
            Change::AbsenceSet(account, absence) => write!(f, "automatic reply of {account} {absence}"),
        }
    }
}

/// Notes a change in the transaction that makes it.
pub(crate) fn note(transaction: &Connection, who: &Actor, change: &Change<'_>) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO audit (at, who, what, account) VALUES (?1, ?2, ?3, ?4)")?
        .execute((
            unix_now(),
            who.to_string(),
            change.to_string(),
            change.account().map(AccountName::as_str),
        ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::example::{Example, WHO, domain, name, new_account, virtual_of};

    #[test]
    fn each_change_has_one_entry_and_a_refused_change_none() {
        let example = Example::pobox();
        let store = &example.store;
        example.set_password("abc", "abc-try");
        store.set_state(&name("abc"), AccountState::Suspended, &Actor::Account(name("xyz"))).unwrap();
        store.remove_account(&name("abc"), &Actor::Server).unwrap();
        store.remove_domain(&domain("shop.example"), &WHO).unwrap();
        store.add_account(new_account("xyz"), &WHO).unwrap_err();
        store.add_domain(domain("b.example"), virtual_of("nobody"), &WHO).unwrap_err();
        store.remove_account(&name("nobody"), &WHO).unwrap_err();
        let trail = store.audit_trail(100).unwrap();
        let entries: Vec<_> = trail.iter().rev().map(|e| (e.who.as_str(), e.what.as_str())).collect();
        assert_eq!(
            entries,
            [
                ("uid 1000", "provider domain pobox.example added"),
                ("uid 1000", "account abc added"),
                ("uid 1000", "account xyz added"),
                ("uid 1000", "virtual domain shop.example of xyz added"),
                ("uid 1000", "password of abc set"),
                ("account xyz", "account abc set to suspended"),
                ("server", "account abc removed"),
                ("uid 1000", "domain shop.example removed"),
            ]
        );
        assert!(trail.iter().all(|entry| entry.at > 1_700_000_000));
        assert_eq!(store.audit_trail(2).unwrap(), trail[..2]);
    }

    #[test]
    fn the_trail_of_one_account_is_there_though_the_account_is_gone() {
        let example = Example::pobox();
        let store = &example.store;
        store.set_state(&name("abc"), AccountState::Suspended, &WHO).unwrap();
        store.remove_account(&name("abc"), &WHO).unwrap();
        let trail = |account: &str, limit| -> Vec<String> {
            let trail = store.audit_trail_of(&name(account), limit).unwrap();
            trail.into_iter().map(|entry| entry.what).collect()
        };
        let all = ["account abc removed", "account abc set to suspended", "account abc added"];
        assert_eq!(trail("abc", 9), all);
        assert_eq!(trail("abc", 1), all[..1]);
        assert_eq!(trail("xyz", 9), ["virtual domain shop.example of xyz added", "account xyz added"]);
        assert_eq!(trail("ab", 9), [""; 0]);
    }

    #[test]
    fn no_password_stands_anywhere_in_the_files() {
        let example = Example::pobox();
        example.set_password("abc", "correct horse battery");
        for file in fs::read_dir(example.folder.path()).unwrap() {
            let octets = fs::read(file.unwrap().path()).unwrap();
            assert!(!octets.windows(13).any(|window| window == b"correct horse"));
        }
    }
}
