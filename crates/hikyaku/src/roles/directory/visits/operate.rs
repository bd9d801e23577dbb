//! What operators ask and do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use directory::{Actor, StoreCounts, StoreError};
use envelope::{AccountName, Address, Destination};
use link::grant::OperatorGrant;
use link::services::directory::visits::{Counts, Denied, Found, OpenWindow, Operate, Visit};
use link::services::directory::{Response, Window};
use tokio::runtime::Handle;

use super::addresses::Names;
use super::ways_in::done;
use super::{Visitor, permission, refused, unavailable, visit};
use crate::roles::directory::Desk;
use crate::roles::unix_now;

/// The most that a search finds, and of these, accounts and domains each; and the longest text, in octets.
const FOUND_MAX: u32 = 50;
const FOUND_EACH: u32 = 20;
const SOUGHT_MAX: usize = 320;
/// The most relay windows that are told at once.
const WINDOWS_MAX: u32 = 1_000;

impl Desk {
    pub(super) fn operate(
        self: &Arc<Self>,
        visitor: &Visitor,
        operate: Operate,
        runtime: &Handle,
    ) -> Response {
        let operator = &visitor.standing.account;
        match operate {
            Operate::Rule(rule) => runtime.block_on(self.rule(rule, Actor::Account(operator.clone()))),
            Operate::Trace(trace) => self.trace(trace),
            Operate::As(account, own) => {
                if !permission::only_looks(&own) {
                    return visit(Err(Denied::Forbidden));
                }
                visit(self.as_seen_by(&account, visitor).and_then(|member| self.own(&member, own, runtime)))
            }
            Operate::Invite(account) => {
                visit(self.invite(&account, &visitor.actor()).map(Visit::NewToken).map_err(refused))
            }
            Operate::RemoveSecondFactor(account) => {
                visit(done(self.store.remove_second_factor(&account, &visitor.actor())))
            }
            Operate::QueueGrant { act } => visit(Ok(Visit::QueueGrant(OperatorGrant::issue(
                &self.grant_key,
                operator.clone(),
                act,
                unix_now(),
            )))),
            Operate::Traffic { hours } => visit(Ok(Visit::Traffic(Box::new(self.traffic(hours))))),
            Operate::Find(text) => visit(self.find(&text)),
            Operate::Windows(limit) => visit(self.open_windows(limit)),
            Operate::Counts => visit(self.counts()),
        }
    }

    /// Accounts, domains and addresses that have a text in them, and where a whole address leads.
    fn find(&self, text: &str) -> Result<Visit, Denied> {
        let text = text.trim().to_lowercase();
        if text.is_empty() || text.len() > SOUGHT_MAX {
            return Ok(Visit::Found(Vec::new()));
        }
        let found = self.found(&text).map_err(|error| unavailable(&error))?;
        Ok(Visit::Found(found))
    }

    fn found(&self, text: &str) -> Result<Vec<Found>, StoreError> {
        let mut found: Vec<Found> = Vec::new();
        if let Ok(address) = text.parse::<Address>()
            && let Destination::Local(local) = self.resolve(&address)?
        {
            found.push(Found::LeadsTo { address, account: local.mailbox.account });
        }
        let accounts = self.store.find_accounts(text, FOUND_EACH)?;
        found.extend(accounts.into_iter().map(Found::Account));
        let domains = self.store.domains()?.into_iter().map(|domain| domain.name);
        let domains = domains.filter(|name| name.as_str().contains(text) || name.to_ascii().contains(text));
        found.extend(domains.take(count(FOUND_EACH)).map(Found::Domain));
        let room = FOUND_MAX.saturating_sub(u32::try_from(found.len()).unwrap_or(FOUND_MAX));
        // What stands in the address only as it is written, `foo@abc.pobox.example`, stands nowhere in the store.
        let sought = text.split_once('@').filter(|(_, host)| host.ends_with(self.domain.as_str()));
        let sought = sought.map_or(text, |(local_part, _)| local_part);
        let mut names: HashMap<AccountName, Names> = HashMap::new();
        for (account, extension) in self.store.find_instructions(sought, room)? {
            let names = match names.entry(account.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.names(&account)?),
            };
            let address = names.of(extension.file_name().strip_prefix(".qmail").unwrap_or_default());
            found.push(Found::Address { account, address });
        }
        Ok(found)
    }

    fn open_windows(&self, limit: u32) -> Result<Visit, Denied> {
        let mut windows = self.store.open_windows(unix_now()).map_err(|error| unavailable(&error))?;
        windows.truncate(count(limit.min(WINDOWS_MAX)));
        let told = |window: directory::Window| {
            let directory::Window { account, client, opened, renewed, expires } = window;
            OpenWindow { account, window: Window { client, opened, renewed, expires } }
        };
        Ok(Visit::Windows(windows.into_iter().map(told).collect()))
    }

    fn counts(&self) -> Result<Visit, Denied> {
        let now = unix_now();
        let counted = || -> Result<Counts, StoreError> {
            let StoreCounts { accounts, suspended, receive_only, domains, addresses } =
                self.store.counts()?;
            let windows = self.store.open_windows(now)?.len() as u64;
            let sessions = self.store.sessions_open(now)?;
            Ok(Counts { accounts, suspended, receive_only, domains, addresses, windows, sessions })
        };
        counted().map(Visit::Counts).map_err(|error| unavailable(&error))
    }

    /// A member, as an operator sees his page.
    fn as_seen_by(&self, account: &AccountName, operator: &Visitor) -> Result<Visitor, Denied> {
        let found = self.store.account(account).map_err(|error| unavailable(&error))?;
        let account = found.ok_or(Denied::NotFound)?;
        let plan = self.store.effective_plan(&account.name).map_err(|error| unavailable(&error))?;
        let standing = self.standing_of(&account, plan.is_some_and(|plan| plan.sub_domain_addresses))?;
        let Visitor { key, from, .. } = operator;
        Ok(Visitor { standing, key: key.clone(), from: from.clone(), session: None })
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
