//! What a member asks of his own account, and does with it.

use std::sync::Arc;

use directory::AccountChanges;
use link::services::directory::visits::{Denied, Own, Visit};
use link::services::directory::{AppPassword, AuditEntry, Secret};
use tokio::runtime::Handle;
use tracing::warn;

use super::ways_in::{done, label};
use super::{Visitor, refused, unavailable};
use crate::roles::directory::Desk;
use crate::roles::directory::rules::Refused;

/// The most changes that are told at once.
const TRAIL_MAX: u32 = 1000;

impl Desk {
    pub(super) fn own(
        self: &Arc<Self>,
        visitor: &Visitor,
        own: Own,
        runtime: &Handle,
    ) -> Result<Visit, Denied> {
        let account = &visitor.standing.account;
        match own {
            Own::Facts => match self.account_facts(account, runtime) {
                Ok(facts) => Ok(Visit::Facts(Box::new(facts))),
                Err(Refused(reason)) => {
                    warn!(event = "directory_unreadable", error = reason);
                    Err(Denied::Unavailable)
                }
            },
            Own::SetLanguage(language) => {
                let changes = AccountChanges { language: Some(language), ..AccountChanges::default() };
                done(self.store.change_account(account, &changes, &visitor.actor()))
            }
            Own::AppPasswords => {
                let all = self.store.app_passwords(account).map_err(refused)?.into_iter();
                Ok(Visit::AppPasswords(
                    all.map(|one| AppPassword {
                        label: one.label.into(),
                        created: one.created,
                        last_used: one.last_used,
                    })
                    .collect(),
                ))
            }
            Own::AddAppPassword(text) => {
                let made = self.store.add_app_password(account, &label(&text)?, &visitor.actor());
                Ok(Visit::NewSecret(Secret(made.map_err(refused)?.as_str().to_owned())))
            }
            Own::RemoveAppPassword(text) => {
                let label = label(&text).map_err(|_| Denied::NotFound)?;
                done(self.store.remove_app_password(account, &label, &visitor.actor()))
            }
            Own::CloseWindows => done(self.store.close_windows(account, &visitor.actor())),
            Own::Trail { limit } => {
                let trail = self.store.audit_trail_of(account, limit.min(TRAIL_MAX));
                let trail = trail.map_err(|error| unavailable(&error))?.into_iter();
                Ok(Visit::Trail(
                    trail
                        .map(|entry| AuditEntry { at: entry.at, who: entry.who, what: entry.what })
                        .collect(),
                ))
            }
            Own::Logins
            | Own::SetPassword { .. }
            | Own::BeginSecondFactor
            | Own::SetSecondFactor(_)
            | Own::NewRecoveryCodes
            | Own::RemoveSecondFactor
            | Own::Sessions
            | Own::EndSession(_)
            | Own::EndOtherSessions
            | Own::Tokens
            | Own::AddToken { .. }
            | Own::RemoveToken(_) => self.own_ways_in(visitor, own),
            Own::Addresses { .. }
            | Own::Address(_)
            | Own::SaveAddress(_)
            | Own::SwitchAddress { .. }
            | Own::RemoveAddress { .. }
            | Own::AskDestination { .. } => self.own_addresses(visitor, own),
            Own::Results(_) | Own::Mail(_) | Own::Life(_) => self.own_mail(visitor, own),
            Own::Absence | Own::SetAbsence(_) => self.own_absence(visitor, own),
        }
    }
}
