//! What each request needs of who makes it, in one table.

use link::services::directory::Rule;
use link::services::directory::visits::{Ask, Denied, Operate, Own, Scope, Standing};

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Needs {
    /// The least scope of a token; none: a session only.
    scope: Option<Scope>,
    /// Whether he must have proved who he is a short time ago. (Who has a token proved it when he made it.)
    fresh: bool,
}

const READ: Needs = Needs { scope: Some(Scope::Read), fresh: false };
const WRITE: Needs = Needs { scope: Some(Scope::Write), fresh: false };
const OPERATE: Needs = Needs { scope: Some(Scope::Operate), fresh: false };
const DANGEROUS: Needs = Needs { scope: Some(Scope::Operate), fresh: true };
/// What concerns the ways in: no token may do it.
const SESSION: Needs = Needs { scope: None, fresh: false };
const FRESH_SESSION: Needs = Needs { scope: None, fresh: true };

/// Lets a request pass, or says why not.
pub(super) fn check(standing: &Standing, ask: &Ask, now: u64) -> Result<(), Denied> {
    let needs = needs(ask);
    match (standing.scope, needs.scope) {
        (Some(_), None) => return Err(Denied::Forbidden),
        (Some(has), Some(least)) if has < least => return Err(Denied::Forbidden),
        _ => {}
    }
    if standing.must_enrol && !goes_before_enrolment(ask) {
        return Err(Denied::Enrol);
    }
    if matches!(ask, Ask::Operate(_)) && !standing.operates {
        return Err(if standing.operator { Denied::NotOperating } else { Denied::Forbidden });
    }
    if needs.fresh && standing.scope.is_none() && standing.fresh_until <= now {
        return Err(Denied::Prove);
    }
    Ok(())
}

/// What somebody may do who has come by a one-time link and has no second factor yet, but must.
fn goes_before_enrolment(ask: &Ask) -> bool {
    matches!(
        ask,
        Ask::Standing
            | Ask::SignOut
            | Ask::Own(Own::BeginSecondFactor | Own::SetSecondFactor(_) | Own::SetLanguage(_))
    )
}

fn needs(ask: &Ask) -> Needs {
    match ask {
        Ask::Standing => READ,
        Ask::SignOut | Ask::Prove { .. } => SESSION,
        Ask::Own(own) => own_needs(own),
        Ask::Operate(operate) => match operate {
            Operate::Rule(Rule::Invite(_) | Rule::RemoveSecondFactor(_)) => FRESH_SESSION,
            Operate::Rule(rule) if is_dangerous(rule) => DANGEROUS,
            Operate::QueueGrant { act: true } => DANGEROUS,
            Operate::Rule(_)
            | Operate::As(..)
            | Operate::Find(_)
            | Operate::Trace(_)
            | Operate::Traffic { .. }
            | Operate::Windows(_)
            | Operate::Counts
            | Operate::QueueGrant { act: false } => OPERATE,
            // They open an account to whoever has the link.
            Operate::Invite(_) | Operate::RemoveSecondFactor(_) => FRESH_SESSION,
        },
    }
}

fn own_needs(own: &Own) -> Needs {
    match own {
        Own::Facts
        | Own::Logins
        | Own::Addresses { .. }
        | Own::Address(_)
        | Own::Results(_)
        | Own::Mail(_)
        | Own::Life(_)
        | Own::Absence
        | Own::AppPasswords
        | Own::Trail { .. } => READ,
        Own::SaveAddress(_)
        | Own::SwitchAddress { .. }
        | Own::RemoveAddress { .. }
        | Own::AskDestination { .. }
        | Own::SetAbsence(_)
        | Own::SetLanguage(_)
        | Own::RemoveAppPassword(_)
        | Own::CloseWindows => WRITE,
        Own::SetPassword { .. }
        | Own::Sessions
        | Own::EndSession(_)
        | Own::EndOtherSessions
        | Own::Tokens
        | Own::RemoveToken(_)
        | Own::BeginSecondFactor
        | Own::SetSecondFactor(_) => SESSION,
        // An app password opens the mailbox, by whatever way it was got.
        Own::AddAppPassword(_) | Own::AddToken { .. } | Own::NewRecoveryCodes | Own::RemoveSecondFactor => {
            FRESH_SESSION
        }
    }
}

/// Whether a member's own request changes nothing, so that an operator may see what he would.
pub(super) fn only_looks(own: &Own) -> bool {
    matches!(
        own,
        Own::Facts
            | Own::Logins
            | Own::Addresses { .. }
            | Own::Address(_)
            | Own::Results(_)
            | Own::Mail(_)
            | Own::Life(_)
            | Own::Absence
            | Own::AppPasswords
            | Own::Sessions
            | Own::Tokens
            | Own::Trail { .. }
    )
}

/// Whether a rule takes something away, opens an account, or touches many: it needs a fresh proof.
fn is_dangerous(rule: &Rule) -> bool {
    match rule {
        Rule::RemoveDomain(_)
        | Rule::SetCatchAll(..)
        | Rule::AddAccount(_)
        | Rule::ImportAccounts(_)
        | Rule::RemoveAccount(_)
        | Rule::SetPassword(..)
        | Rule::SetState(..)
        | Rule::ChangeAccount(..)
        | Rule::AddAppPassword(..)
        | Rule::RemoveAppPassword(..)
        | Rule::Invite(_)
        | Rule::RemoveSecondFactor(_)
        | Rule::EndSessions(_)
        | Rule::SetPlan(..)
        | Rule::RemovePlan(_)
        | Rule::SetAddress(_)
        | Rule::RemoveAddress(_)
        | Rule::ImportAddresses(..) => true,
        Rule::AddDomain(_)
        | Rule::Domains
        | Rule::Domain(_)
        | Rule::Account(_)
        | Rule::AccountFacts(_)
        | Rule::Accounts { .. }
        | Rule::AppPasswords(_)
        | Rule::CloseWindows(_)
        | Rule::Plans
        | Rule::Address(_)
        | Rule::Addresses { .. }
        | Rule::SetAddressActive(..)
        | Rule::CheckInstructions(..)
        | Rule::SecondFactor(_)
        | Rule::Sessions(_)
        | Rule::AuditTrail { .. }
        | Rule::Absence(_)
        | Rule::SetAbsence(..) => false,
    }
}
