//! What happens in the house: counts, traffic, relay windows, search, where a mail is, changes.

use axum::response::Response;
use envelope::QueueId;
use envelope::event::Party;
use link::services::directory::visits::{self, Operate, Visit};
use link::services::directory::{Answer, Response as Answered, Rule, Trace};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::api::account::{Trail, Window};
use crate::api::exchange::{Named, Query, at_most, json, parsed};
use crate::api::life::Life;
use crate::api::mail::Mail;
use crate::api::moment::Moment;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::OperatorToken, "/api/v1/operator/counts", counts)
        .get(Who::OperatorToken, "/api/v1/operator/traffic", traffic)
        .get(Who::OperatorToken, "/api/v1/operator/windows", windows)
        .get(Who::OperatorToken, "/api/v1/operator/search", search)
        .get(Who::OperatorToken, "/api/v1/operator/mail", mail)
        .get(Who::OperatorToken, "/api/v1/operator/mail/{id}", life)
        .get(Who::OperatorToken, "/api/v1/operator/audit", audit)
}

/// How much there is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct HouseCounts {
    /// Accounts.
    accounts: u64,
    /// Of these, suspended.
    suspended: u64,
    /// Of these, that may only receive.
    receive_only: u64,
    /// Domains.
    domains: u64,
    /// Addresses with instructions of their own.
    addresses: u64,
    /// Relay windows that are open.
    windows: u64,
    /// Sessions of the page that are open.
    sessions: u64,
}

/// Of which time traffic is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Hours {
    /// The last so many hours.
    #[cfg_attr(test, schemars(range(min = 1, max = 744)))]
    hours: Option<u32>,
}

/// The traffic of some hours.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Traffic {
    /// Each hour, the oldest first, without gaps.
    hours: Vec<Hour>,
    /// Who sent most in these hours.
    senders: Vec<Sender>,
    /// Why SMTP refused, the most frequent first.
    refusals: Vec<RefusalReason>,
}

/// One hour of traffic.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Hour {
    /// When it began.
    at: Moment,
    /// Messages from other hosts.
    received: u64,
    /// Messages from customers.
    submitted: u64,
    /// Refusals in SMTP.
    refused: u64,
    /// Recipients whose copy arrived.
    delivered: u64,
    /// Recipients that failed for good.
    failed: u64,
    /// Attempts that were put off.
    deferred: u64,
    /// How many recipients' copies arrived after how long.
    took: Took,
}

/// How many recipients' copies arrived after how long.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Took {
    /// Within 1 second.
    second: u64,
    /// Within 10 seconds.
    ten_seconds: u64,
    /// Within 1 minute.
    minute: u64,
    /// Within 10 minutes.
    ten_minutes: u64,
    /// Within 1 hour.
    hour: u64,
    /// Within 1 day.
    day: u64,
    /// Later.
    longer: u64,
}

/// What an account sent.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Sender {
    /// Which.
    account: String,
    /// Messages.
    messages: u64,
    /// Their recipients.
    recipients: u64,
}

/// A reason of refusals.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RefusalReason {
    /// The reply.
    reply: String,
    /// How often.
    times: u64,
}

/// How many windows are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct WindowsWanted {
    /// The most that are wanted, the newest first.
    #[cfg_attr(test, schemars(range(min = 1, max = 1000)))]
    limit: Option<u32>,
}

/// Open relay windows.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Windows {
    /// The newest first.
    windows: Vec<OpenWindow>,
}

/// An open relay window, and whose it is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct OpenWindow {
    /// Whose.
    account: String,
    /// The window.
    window: Window,
}

/// What is searched for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Wanted {
    /// A part of an account's name, of a domain, or of an address, its label or a destination; or a whole address.
    q: String,
}

/// What was found.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Findings {
    /// These.
    found: Vec<Finding>,
}

/// Something that was found.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Finding {
    /// What it is.
    kind: Thing,
    /// The account, or whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// The domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Thing {
    /// An account.
    Account,
    /// A domain.
    Domain,
    /// An address with instructions of its own.
    Address,
    /// The address that was searched for, and the account that it leads to.
    LeadsTo,
}

/// Whose mail is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MailOf {
    /// An address, a domain or an account.
    party: String,
    /// The last so many days.
    #[cfg_attr(test, schemars(range(min = 1, max = 366)))]
    days: Option<u32>,
    /// How many are known already.
    skip: Option<u32>,
    /// The most that are wanted.
    #[cfg_attr(test, schemars(range(min = 1, max = 1000)))]
    limit: Option<u32>,
}

/// Which changes are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TrailOf {
    /// Of one account; of all if it is not said.
    account: Option<String>,
    /// The most that are wanted.
    #[cfg_attr(test, schemars(range(min = 1, max = 1000)))]
    limit: Option<u32>,
}

async fn counts(operator: Operator) -> Result<Response, Trouble> {
    let Visit::Counts(counts) = operator.operate(Operate::Counts).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(HouseCounts {
        accounts: counts.accounts,
        suspended: counts.suspended,
        receive_only: counts.receive_only,
        domains: counts.domains,
        addresses: counts.addresses,
        windows: counts.windows,
        sessions: counts.sessions,
    }))
}

async fn traffic(operator: Operator, Query(wanted): Query<Hours>) -> Result<Response, Trouble> {
    let hours = at_most(wanted.hours, 24, 24 * 31)?;
    let Visit::Traffic(traffic) = operator.operate(Operate::Traffic { hours }).await? else {
        return Err(Trouble::Unavailable);
    };
    let senders = traffic.senders.into_iter();
    let refusals = traffic.refusals.into_iter();
    Ok(json(Traffic {
        hours: traffic.hours.into_iter().map(Hour::from).collect(),
        senders: senders
            .map(|(account, messages, recipients)| Sender { account: account.into(), messages, recipients })
            .collect(),
        refusals: refusals.map(|(reply, times)| RefusalReason { reply, times }).collect(),
    }))
}

async fn windows(operator: Operator, Query(wanted): Query<WindowsWanted>) -> Result<Response, Trouble> {
    let limit = at_most(wanted.limit, 100, 1000)?;
    let Visit::Windows(windows) = operator.operate(Operate::Windows(limit)).await? else {
        return Err(Trouble::Unavailable);
    };
    let open =
        |open: visits::OpenWindow| OpenWindow { account: open.account.into(), window: open.window.into() };
    Ok(json(Windows { windows: windows.into_iter().map(open).collect() }))
}

async fn search(operator: Operator, Query(wanted): Query<Wanted>) -> Result<Response, Trouble> {
    let Visit::Found(found) = operator.operate(Operate::Find(wanted.q)).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(Findings { found: found.into_iter().map(Finding::from).collect() }))
}

async fn mail(operator: Operator, Query(of): Query<MailOf>) -> Result<Response, Trouble> {
    let party: Party = parsed("party", &of.party)?;
    let days = u64::from(at_most(of.days, 7, 366)?);
    let limit = at_most(of.limit, 100, 1000)?;
    let skip = of.skip.unwrap_or(0);
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or_default();
    let since = now.saturating_sub(days * 86_400) * 1_000_000;
    // One more, to know whether there are more.
    let trace = Trace::Party {
        party,
        times: since..=u64::MAX,
        limit: skip.saturating_add(limit).saturating_add(1),
        skip: skip.into(),
    };
    let Answered::Mail(page) = operator.trace(trace).await? else { return Err(Trouble::Unavailable) };
    let mut summaries = page.items;
    let more = page.more || summaries.len() > limit as usize;
    summaries.truncate(limit as usize);
    Ok(json(Mail::of(summaries, more)))
}

async fn life(operator: Operator, Named(id): Named<QueueId>) -> Result<Response, Trouble> {
    let Answered::Life(page) = operator.trace(Trace::Message { id, skip: 0 }).await? else {
        return Err(Trouble::Unavailable);
    };
    if page.items.is_empty() {
        return Err(Trouble::NotFound);
    }
    Ok(json(Life::of(page.items, page.more)))
}

async fn audit(operator: Operator, Query(of): Query<TrailOf>) -> Result<Response, Trouble> {
    let account = of.account.as_deref().map(|account| parsed("account", account)).transpose()?;
    let limit = at_most(of.limit, 100, 1000)?;
    let Answer::AuditTrail(entries) = operator.rule(Rule::AuditTrail { account, limit }).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(Trail::from(entries)))
}

impl From<visits::Hour> for Hour {
    fn from(hour: visits::Hour) -> Hour {
        let [second, ten_seconds, minute, ten_minutes, within_hour, day, longer] = hour.took;
        Hour {
            at: Moment::of_seconds(hour.at),
            received: hour.received,
            submitted: hour.submitted,
            refused: hour.refused,
            delivered: hour.delivered,
            failed: hour.failed,
            deferred: hour.deferred,
            took: Took { second, ten_seconds, minute, ten_minutes, hour: within_hour, day, longer },
        }
    }
}

impl From<visits::Found> for Finding {
    fn from(found: visits::Found) -> Finding {
        let (kind, account, domain, address) = match found {
            visits::Found::Account(account) => (Thing::Account, Some(account.into()), None, None),
            visits::Found::Domain(domain) => (Thing::Domain, None, Some(domain.to_string()), None),
            visits::Found::Address { account, address } => {
                (Thing::Address, Some(account.into()), None, Some(address))
            }
            visits::Found::LeadsTo { address, account } => {
                (Thing::LeadsTo, Some(account.into()), None, Some(address.into()))
            }
        };
        Finding { kind, account, domain, address }
    }
}
