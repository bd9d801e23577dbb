//! What operators ask and change.

mod accounts;
mod addresses;

use std::sync::Arc;

use directory::Actor;
use link::services::directory::{Answer, AuditEntry, DomainFacts, Event, Response, Rule};
use tokio::runtime::Handle;
use tracing::info;

use super::{Desk, visits};

/// The most accounts or changes that are told at once.
const PAGE_MAX: u32 = 10_000;

impl Desk {
    /// Does what an operator asks.
    pub(super) async fn rule(self: &Arc<Self>, rule: Rule, who: Actor) -> Response {
        let changes = changes(&rule);
        if changes {
            info!(event = "rule", by = %who, ?rule);
        }
        let (desk, runtime) = (Arc::clone(self), Handle::current());
        let ruled = tokio::task::spawn_blocking(move || desk.ruled(rule, &who, &runtime));
        let response = match ruled.await {
            Ok(Ok(response)) => response,
            Ok(Err(Refused(sentence))) => Response::Refused(sentence),
            Err(_) => Response::Unavailable,
        };
        if changes {
            self.callers.send(&Event::Changed);
        }
        response
    }

    fn ruled(self: &Arc<Self>, rule: Rule, who: &Actor, runtime: &Handle) -> Result<Response, Refused> {
        let store = &self.store;
        let answer = match rule {
            Rule::Domains => Answer::Domains(store.domains()?),
            Rule::Domain(name) => {
                let shown = store.domain(&name)?;
                let (catch_all, aliases) = (shown.catch_all, shown.aliases);
                Answer::Domain(DomainFacts { domain: shown.hosted, catch_all, aliases })
            }
            Rule::AddDomain(domain) => return done(store.add_domain(domain.name, domain.kind, who)),
            Rule::RemoveDomain(name) => return done(store.remove_domain(&name, who)),
            Rule::SetCatchAll(name, account) => {
                return done(store.set_catch_all(&name, account.as_ref(), who));
            }

            Rule::Account(name) => Answer::Account(self.account(&name)?),
            Rule::AccountFacts(name) => Answer::AccountFacts(Box::new(self.account_facts(&name, runtime)?)),
            Rule::Accounts { after, limit } => {
                Answer::Accounts(store.accounts("", after.as_ref(), limit.min(PAGE_MAX))?)
            }
            Rule::AddAccount(new) => Answer::Account(self.add_account(new, who, runtime)?),
            Rule::ImportAccounts(all) => Answer::Imported(self.import_accounts(all.0, who, runtime)?),
            Rule::RemoveAccount(name) => return done(store.remove_account(&name, who)),
            Rule::SetState(name, state) => return done(store.set_state(&name, state, who)),
            Rule::SetPassword(name, secret) => {
                return done(store.set_password(&name, &accounts::password(secret)?, who));
            }
            Rule::ChangeAccount(name, changes) => {
                return done(store.change_account(&name, &accounts::changes(changes), who));
            }
            Rule::AppPasswords(name) => Answer::AppPasswords(self.app_passwords(&name)?),
            Rule::AddAppPassword(name, label) => {
                Answer::NewAppPassword(self.add_app_password(&name, &label, who)?)
            }
            Rule::RemoveAppPassword(name, label) => {
                return done(store.remove_app_password(&name, &label.parse()?, who));
            }
            Rule::CloseWindows(name) => return done(store.close_windows(&name, who)),

            Rule::Invite(name) => Answer::Invitation(self.invite(&name, who)?),
            Rule::SecondFactor(name) => {
                Answer::SecondFactor(store.has_second_factor(&self.account(&name)?.name)?)
            }
            Rule::RemoveSecondFactor(name) => return done(store.remove_second_factor(&name, who)),
            Rule::Sessions(name) => Answer::Sessions(self.sessions_of(&name, None)?),
            Rule::EndSessions(name) => return done(store.end_sessions(&name, None, who)),

            Rule::Plans => Answer::Plans(store.plans()?),
            Rule::SetPlan(name, allowances) => Answer::Plan(store.change_plan(
                &name,
                |plan| allowances.iter().try_for_each(|(allowance, value)| Ok(plan.set(allowance, value)?)),
                who,
            )?),
            Rule::RemovePlan(name) => return done(store.remove_plan(&name, who)),

            Rule::Address(address) => Answer::Address(Box::new(self.address_facts(&address)?)),
            Rule::Addresses { account, prefix, after, limit } => {
                Answer::Addresses(self.addresses(account.as_ref(), &prefix, after, limit)?)
            }
            Rule::SetAddress(change) => Answer::AddressSet { new: self.set_address(change, who)? },
            Rule::SetAddressActive(address, active) => {
                let own = self.own_instructions(&address)?;
                return done(store.set_instructions_active(&own.account, &own.extension, active, who));
            }
            Rule::RemoveAddress(address) => {
                let own = self.own_instructions(&address)?;
                return done(store.remove_instructions(&own.account, &own.extension, who));
            }
            Rule::ImportAddresses(account, files) => {
                Answer::Imported(self.import_addresses(&account, files.0, who)?)
            }
            Rule::CheckInstructions(account, text) => {
                return self.check_text(account.as_ref(), &text.0).map(|()| Response::Done);
            }

            Rule::AuditTrail { account, limit } => {
                let trail = match account {
                    Some(account) => store.audit_trail_of(&account, limit.min(PAGE_MAX))?,
                    None => store.audit_trail(limit.min(PAGE_MAX))?,
                };
                let entries = trail.into_iter();
                Answer::AuditTrail(
                    entries
                        .map(|entry| AuditEntry { at: entry.at, who: entry.who, what: entry.what })
                        .collect(),
                )
            }

            Rule::Absence(name) => Answer::Absence(visits::shown(store.absence(&name)?)),
            Rule::SetAbsence(name, absence) => {
                return done(store.set_absence(&name, &visits::stored(absence), who));
            }
        };
        Ok(Response::Answer(answer))
    }
}

/// Why nothing was changed, in a sentence for the operator that says what to do.
pub(super) struct Refused(pub(super) String);

impl<E: std::error::Error> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused(error.to_string())
    }
}

fn done<T, E: std::error::Error>(outcome: Result<T, E>) -> Result<Response, Refused> {
    outcome?;
    Ok(Response::Done)
}

/// Whether a rule changes something, so that kept answers become stale.
fn changes(rule: &Rule) -> bool {
    match rule {
        Rule::Domains
        | Rule::Domain(_)
        | Rule::Account(_)
        | Rule::AccountFacts(_)
        | Rule::Accounts { .. }
        | Rule::AppPasswords(_)
        | Rule::Plans
        | Rule::Address(_)
        | Rule::Addresses { .. }
        | Rule::CheckInstructions(..)
        | Rule::AuditTrail { .. }
        | Rule::Absence(_)
        | Rule::SecondFactor(_)
        | Rule::Sessions(_) => false,
        Rule::AddDomain(_)
        | Rule::RemoveDomain(_)
        | Rule::SetCatchAll(..)
        | Rule::AddAccount(_)
        | Rule::ImportAccounts(_)
        | Rule::RemoveAccount(_)
        | Rule::SetPassword(..)
        | Rule::SetState(..)
        | Rule::ChangeAccount(..)
        | Rule::AddAppPassword(..)
        | Rule::RemoveAppPassword(..)
        | Rule::CloseWindows(_)
        | Rule::Invite(_)
        | Rule::RemoveSecondFactor(_)
        | Rule::EndSessions(_)
        | Rule::SetPlan(..)
        | Rule::RemovePlan(_)
        | Rule::SetAddress(_)
        | Rule::RemoveAddress(_)
        | Rule::SetAddressActive(..)
        | Rule::ImportAddresses(..)
        | Rule::SetAbsence(..) => true,
    }
}
