//! A member's addresses, and what is done with their mail.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use envelope::Address;
use link::services::directory::visits::{
    self, AddressOrder, AddressSheet, DestinationResults, DestinationState, Own, Version, Visit,
};
use serde::{Deserialize, Deserializer, Serialize};

use super::condition::{Condition, tagged};
use super::exchange::{Body, Named, Query, at_most, done, json, parsed};
use super::moment::Moment;
use crate::consent::{self, Asked};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Token, "/api/v1/addresses", addresses)
        .get(Who::Token, "/api/v1/addresses/{address}", address)
        .put(Who::Token, "/api/v1/addresses/{address}", write)
        .patch(Who::Token, "/api/v1/addresses/{address}", change)
        .delete(Who::Token, "/api/v1/addresses/{address}", remove)
        .get(Who::Token, "/api/v1/addresses/{address}/results", results)
        .post(Who::Token, "/api/v1/addresses/{address}/consent", ask_again)
}

/// Which addresses are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Search {
    /// What the address, its label or one of its destinations has in it.
    search: Option<String>,
    /// What `next` said of the part before.
    after: Option<String>,
    /// The most that are wanted.
    #[cfg_attr(test, schemars(range(min = 1, max = 500)))]
    limit: Option<u32>,
}

/// Some addresses.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Addresses {
    /// Those that have instructions of their own, the standard one first.
    addresses: Vec<Sheet>,
    /// What `after` is for the next part; none where this is the last.
    next: Option<String>,
}

/// One address, and what is done with its mail.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Sheet {
    /// The address; with `default` before the `@` for all that have no instructions of their own.
    address: String,
    /// How qmail would name the file of its instructions.
    file: String,
    /// Whether it has instructions of its own; what stands here counts in any case.
    exists: bool,
    /// Whether they are obeyed.
    active: bool,
    /// What its owner calls it.
    label: Option<String>,
    /// Whether a copy goes into the mailbox.
    keep: bool,
    /// Where else its mail goes.
    destinations: Vec<Destination>,
    /// Lines of the instructions that cannot be said here. They stay as they are.
    other_lines: Vec<String>,
    /// All of it, in the language of `.qmail`.
    text: String,
    /// When it was last changed, if it has instructions of its own.
    updated: Option<Moment>,
    /// The most destinations that it may have.
    forward_limit: u32,
}

/// A destination of an address, and how it stands with it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Destination {
    /// Where to.
    address: String,
    /// How it stands with it.
    state: DestinationStanding,
}

/// How it stands with a destination.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum DestinationStanding {
    /// It gets the mail.
    On,
    /// It is switched off.
    Off,
    /// Its owner was asked whether he wants the mail, and has not answered.
    Asked,
    /// Its owner does not want it.
    Declined,
}

/// What is to be done with an address's mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Order {
    /// Whether a copy goes into the mailbox.
    keep: bool,
    /// Where else it goes.
    destinations: Vec<DestinationOrder>,
    /// What its owner calls it.
    #[serde(default)]
    label: Option<String>,
    /// Whether this is obeyed.
    #[serde(default = "yes")]
    active: bool,
}

/// A destination.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DestinationOrder {
    /// Where to.
    address: String,
    /// Whether it gets the mail. What is off stays in the list.
    #[serde(default = "yes")]
    on: bool,
}

/// What is to be changed of an address; what is not said stays (RFC 7396).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct OrderChange {
    /// Whether a copy goes into the mailbox.
    keep: Option<bool>,
    /// Where else it goes: the whole list.
    destinations: Option<Vec<DestinationOrder>>,
    /// What its owner calls it; null: nothing.
    #[serde(deserialize_with = "said")]
    label: Option<Option<String>>,
    /// Whether this is obeyed.
    active: Option<bool>,
}

/// An address as it is saved.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Saved {
    /// How it stands now.
    address: Sheet,
    /// Whose owners were asked by mail just now: a destination elsewhere gets mail when its owner has said yes.
    asked: Vec<AskedOwner>,
}

/// The owner of a destination, who was to be asked.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AskedOwner {
    /// His address.
    destination: String,
    /// Whether the mail is on its way. If not, ask again later: `POST …/consent`.
    sent: bool,
}

/// Whose owner is to be asked again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AskOrder {
    /// A destination of the address.
    destination: String,
}

/// What became of mail to the destinations of an address.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Results {
    /// Of each.
    results: Vec<DestinationResult>,
}

/// What became of mail to a destination, in the days that are remembered.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DestinationResult {
    /// Which.
    destination: String,
    /// Messages that it took.
    delivered: u32,
    /// Messages that it refused for good.
    failed: u32,
    /// Messages that it put off and that still wait.
    waiting: u32,
    /// The last that it took.
    last_delivered: Option<Moment>,
    /// The last that it refused or put off.
    last_trouble: Option<Refusal>,
}

/// Something that a destination refused or put off.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Refusal {
    /// When.
    at: Moment,
    /// For good; else it is tried again.
    permanent: bool,
    /// The host that said so; none: nobody was reached, or it is a matter of our own.
    host: Option<String>,
    /// What was said.
    reply: String,
}

fn yes() -> bool {
    true
}

/// A value that is said, null too.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

async fn addresses(member: Member, Query(search): Query<Search>) -> Result<Response, Trouble> {
    let Visit::Addresses { sheets, more } = member.own(search.asked()?).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(Addresses::of(sheets, more)))
}

async fn address(member: Member, Named(address): Named<Address>) -> Result<Response, Trouble> {
    Ok(shown(sheet_of(&member, address).await?))
}

async fn write(
    member: Member,
    Named(address): Named<Address>,
    condition: Condition,
    Body(order): Body<Order>,
) -> Result<Response, Trouble> {
    let sheet = sheet_of(&member, address.clone()).await?;
    let version = condition.holds_of(&sheet)?;
    save(&member, sheet.exists, order.of(address, version)).await
}

async fn change(
    member: Member,
    Named(address): Named<Address>,
    condition: Condition,
    Body(change): Body<OrderChange>,
) -> Result<Response, Trouble> {
    let sheet = sheet_of(&member, address.clone()).await?;
    let version = condition.holds_of(&sheet)?;
    save(&member, sheet.exists, change.applied_to(&sheet).of(address, version)).await
}

async fn remove(
    member: Member,
    Named(address): Named<Address>,
    condition: Condition,
) -> Result<Response, Trouble> {
    let sheet = sheet_of(&member, address.clone()).await?;
    let version = condition.holds_of(&sheet)?;
    member.own(Own::RemoveAddress { address, version }).await?;
    Ok(done())
}

async fn results(member: Member, Named(address): Named<Address>) -> Result<Response, Trouble> {
    let Visit::Results(results) = member.own(Own::Results(address)).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(Results { results: results.into_iter().map(DestinationResult::from).collect() }))
}

async fn ask_again(
    member: Member,
    Named(address): Named<Address>,
    Body(order): Body<AskOrder>,
) -> Result<Response, Trouble> {
    let destination = parsed("destination", &order.destination)?;
    saved(&member, true, Own::AskDestination { address, destination }).await
}

async fn sheet_of(member: &Member, address: Address) -> Result<AddressSheet, Trouble> {
    match member.own(Own::Address(address)).await? {
        Visit::Address(sheet) => Ok(*sheet),
        _ => Err(Trouble::Unavailable),
    }
}

async fn save(member: &Member, existed: bool, order: AddressOrder) -> Result<Response, Trouble> {
    saved(member, existed, Own::SaveAddress(Box::new(order))).await
}

/// Does it, and asks whose consent it needs.
async fn saved(member: &Member, existed: bool, own: Own) -> Result<Response, Trouble> {
    let Visit::AddressSaved { sheet, consents, grant } = member.own(own).await? else {
        return Err(Trouble::Unavailable);
    };
    let asked = consent::ask(member, &sheet.address, consents, grant).await;
    let version = sheet.version;
    let saved =
        Saved { address: Sheet::from(*sheet), asked: asked.into_iter().map(AskedOwner::from).collect() };
    let status = if existed { StatusCode::OK } else { StatusCode::CREATED };
    Ok(tagged((status, axum::Json(saved)).into_response(), version))
}

/// A sheet as `GET` answers it, with its version.
pub(crate) fn shown(sheet: AddressSheet) -> Response {
    let version = sheet.version;
    tagged(json(Sheet::from(sheet)), version)
}

impl Search {
    /// As the directory is asked.
    ///
    /// # Errors
    /// If none are wanted, or too many.
    pub(crate) fn asked(self) -> Result<Own, Trouble> {
        let limit = at_most(self.limit, 100, 500)?;
        Ok(Own::Addresses { search: self.search.unwrap_or_default(), after: self.after, limit })
    }
}

impl Addresses {
    pub(crate) fn of(sheets: Vec<AddressSheet>, more: bool) -> Addresses {
        let next = sheets.last().filter(|_| more).map(|last| last.file.clone());
        Addresses { addresses: sheets.into_iter().map(Sheet::from).collect(), next }
    }
}

impl Order {
    fn of(self, address: Address, version: Version) -> AddressOrder {
        AddressOrder {
            address,
            version,
            keep: self.keep,
            destinations: self.destinations.into_iter().map(|to| (to.address, to.on)).collect(),
            label: self.label,
            active: self.active,
        }
    }
}

impl OrderChange {
    fn applied_to(self, sheet: &AddressSheet) -> Order {
        // What was asked or declined is asked for again, not switched off: the directory knows how it stands with it.
        let present = |to: &visits::Destination| DestinationOrder {
            address: to.address.to_string(),
            on: to.state != DestinationState::Off,
        };
        Order {
            keep: self.keep.unwrap_or(sheet.keep),
            destinations: self
                .destinations
                .unwrap_or_else(|| sheet.destinations.iter().map(present).collect()),
            label: self.label.unwrap_or_else(|| sheet.label.clone()),
            active: self.active.unwrap_or(sheet.active),
        }
    }
}

impl From<AddressSheet> for Sheet {
    fn from(sheet: AddressSheet) -> Sheet {
        Sheet {
            address: sheet.address,
            file: sheet.file,
            exists: sheet.exists,
            active: sheet.active,
            label: sheet.label,
            keep: sheet.keep,
            destinations: sheet.destinations.into_iter().map(Destination::from).collect(),
            other_lines: sheet.other_lines,
            text: sheet.text,
            updated: sheet.exists.then(|| Moment::of_seconds(sheet.updated)),
            forward_limit: sheet.forward_limit,
        }
    }
}

impl From<visits::Destination> for Destination {
    fn from(destination: visits::Destination) -> Destination {
        let state = match destination.state {
            DestinationState::On => DestinationStanding::On,
            DestinationState::Off => DestinationStanding::Off,
            DestinationState::Asked => DestinationStanding::Asked,
            DestinationState::Declined => DestinationStanding::Declined,
        };
        Destination { address: destination.address.to_string(), state }
    }
}

impl From<Asked> for AskedOwner {
    fn from(asked: Asked) -> AskedOwner {
        AskedOwner { destination: asked.destination.to_string(), sent: asked.sent }
    }
}

impl From<DestinationResults> for DestinationResult {
    fn from(results: DestinationResults) -> DestinationResult {
        DestinationResult {
            destination: results.destination.to_string(),
            delivered: results.delivered,
            failed: results.failed,
            waiting: results.waiting,
            last_delivered: results.last_delivered.map(Moment::of_micros),
            last_trouble: results.last_trouble.map(|trouble| Refusal {
                at: Moment::of_micros(trouble.at),
                permanent: trouble.permanent,
                host: trouble.host,
                reply: trouble.reply.as_str().to_owned(),
            }),
        }
    }
}
