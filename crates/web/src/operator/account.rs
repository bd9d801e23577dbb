//! One account: all that is known of it, and what operators do with it.

mod acts;
mod settings;
mod view;

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use envelope::{AccountName, AccountState, Limit};
use link::services::directory::visits::{AddressSheet, Own, Visit};
use link::services::directory::{AccountFacts, Answer, AppPassword, AuditEntry, Rule};

use super::allowances::{self, Told};
use crate::figures::{Clock, Figures};
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::shown;
use crate::trouble::Trouble;
use crate::visitor::Operator;
use crate::words::Words;

/// How many addresses and changes the page shows.
const SHOWN: u32 = 20;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Operator, "/operator/accounts/{name}", show)
        .with(settings::routes)
        .with(acts::routes)
        .with(view::routes)
}

#[derive(Template)]
#[template(path = "operator/account.html")]
struct Show {
    frame: Frame,
    clock: Clock,
    name: String,
    address: String,
    facts: AccountFacts,
    state: String,
    colour: &'static str,
    /// None while the mailbox's size is not known.
    mailbox: Option<Measure>,
    sent: Vec<(String, Measure)>,
    allowances: Vec<Told>,
    addresses: Option<(Vec<AddressSheet>, bool)>,
    app_passwords: Vec<AppPassword>,
    trail: Vec<AuditEntry>,
}

impl Show {
    /// Since when the mailbox takes no mail.
    fn full_since(&self) -> Option<u64> {
        self.facts.mailbox.as_ref()?.full_since
    }
}

/// So much of so much.
pub(super) struct Measure {
    pub(super) has: u64,
    /// None: as much as there is.
    pub(super) most: Option<u64>,
    pub(super) text: String,
}

impl Measure {
    fn of(has: u64, most: Limit, words: Words, shown: fn(u64) -> String) -> Measure {
        let most = match most {
            Limit::AtMost(most) => Some(most),
            Limit::Unlimited => None,
        };
        let text = match most {
            Some(most) => words.with2("accounts-of-at-most", ("has", shown(has)), ("most", shown(most))),
            None => words.with("accounts-of-unlimited", "has", shown(has)),
        };
        Measure { has, most, text: text.into_owned() }
    }

    /// From how much on it is nearly full.
    fn high(&self) -> u64 {
        self.most.map_or(0, |most| most / 10 * 9)
    }

    /// Whether it is as much as it may be.
    pub(super) fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.has >= most)
    }
}

/// What an account may do, in words, and the colour of its badge.
pub(super) fn state_words(words: Words, state: AccountState) -> (String, &'static str) {
    let colour = match state {
        AccountState::Active => "good",
        AccountState::ReceiveOnly => "wait",
        AccountState::Suspended => "bad",
    };
    (words.say(&format!("accounts-state-{state}")).into_owned(), colour)
}

/// What an account has sent, against what it may.
pub(super) fn sent(words: Words, facts: &AccountFacts) -> Vec<(String, Measure)> {
    let (sent, may) = (&facts.sent, &facts.allowances);
    let counts = [
        ("messages_per_hour", sent.messages_this_hour, may.messages_per_hour),
        ("messages_per_day", sent.messages_this_day, may.messages_per_day),
        ("recipients_per_hour", sent.recipients_this_hour, may.recipients_per_hour),
        ("recipients_per_day", sent.recipients_this_day, may.recipients_per_day),
        ("new_recipients_per_day", sent.new_recipients_this_day, may.new_recipients_per_day),
    ];
    let measure = |(name, has, most)| {
        let label = words.say(&format!("allowance-{name}")).into_owned();
        (label, Measure::of(has, most, words, Figures::grouped))
    };
    counts.into_iter().map(measure).collect()
}

/// The account of this name in a path.
fn named(name: &str) -> Result<AccountName, Trouble> {
    name.parse().map_err(|_| Trouble::NotFound)
}

/// All that is known of an account.
pub(super) async fn facts(operator: &Operator, name: &AccountName) -> Result<AccountFacts, Trouble> {
    match operator.rule(Rule::AccountFacts(name.clone())).await? {
        Answer::AccountFacts(facts) => Ok(*facts),
        _ => Err(Trouble::Unavailable),
    }
}

async fn show(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let name = named(&name)?;
    let facts = facts(&operator, &name).await?;
    let addresses = Own::Addresses { search: String::new(), after: None, limit: SHOWN };
    let addresses = match operator.as_member(&name, addresses).await {
        Ok(Visit::Addresses { sheets, more }) => Some((sheets, more)),
        _ => None,
    };
    let Answer::AppPasswords(app_passwords) = operator.rule(Rule::AppPasswords(name.clone())).await? else {
        return Err(Trouble::Unavailable);
    };
    let trail = Rule::AuditTrail { account: Some(name.clone()), limit: SHOWN };
    let Answer::AuditTrail(trail) = operator.rule(trail).await? else { return Err(Trouble::Unavailable) };
    let words = operator.words;
    let (state, colour) = state_words(words, facts.account.state);
    Ok(frame::page(&Show {
        frame: Frame::of(&operator, "accounts-one-title"),
        clock: super::clock(&operator),
        name: name.to_string(),
        address: format!("{name}@{}", operator.house.site().domain),
        state,
        colour,
        mailbox: facts
            .mailbox
            .as_ref()
            .map(|usage| Measure::of(usage.octets, facts.allowances.quota_bytes, words, shown::octets)),
        sent: sent(words, &facts),
        allowances: allowances::told(words, &facts.allowances, &facts.own),
        facts,
        addresses,
        app_passwords,
        trail,
    }))
}
