//! A member's addresses: the list, and what is done with one as a whole. `addresses/edit.rs` is the form of one.

mod destination;
mod edit;
#[cfg(test)]
mod flow;
mod typed;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use envelope::Address;
use link::services::directory::visits::{
    AddressSheet, Denied, DestinationState, Own, Standing, Version, Visit,
};

use crate::form::Form;
use crate::frame::{self, Frame};
use crate::life;
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Member;
use crate::words::Words;

/// Addresses on one page.
const PAGE: u32 = 50;
/// Of so many addresses with destinations the list says whether mail to them is in trouble.
const LOOKED_AT_MAX: usize = 20;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Member, "/addresses", list)
        .post(Who::Member, "/addresses/switch", switch)
        .get(Who::Member, "/addresses/new", new)
        .get(Who::Member, "/addresses/delete", ask_to_delete)
        .post(Who::Member, "/addresses/delete", delete)
        .get(Who::Member, "/addresses/text", text)
        .with(edit::routes)
}

/// The list.
#[derive(Template)]
#[template(path = "member/addresses.html")]
pub(crate) struct AddressesPage {
    pub(crate) frame: Frame,
    pub(crate) trouble: Option<String>,
    pub(crate) search: String,
    /// `*@abc.pobox.example`, if the member has all addresses of a domain.
    pub(crate) sub_domain: Option<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) first: Option<String>,
    pub(crate) after: Option<String>,
}

/// One address of the list.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) address: String,
    /// As it stands in a query.
    pub(crate) encoded: String,
    pub(crate) label: Option<String>,
    pub(crate) is_standard: bool,
    /// It is for all that have no instructions of their own.
    pub(crate) is_rest: bool,
    /// Where its mail goes.
    pub(crate) ways: Vec<String>,
    pub(crate) asked: bool,
    pub(crate) declined: bool,
    pub(crate) active: bool,
    pub(crate) exists: bool,
    /// It has lines that the form cannot express.
    pub(crate) by_hand: bool,
    /// A destination refused mail or put it off, and has taken none since.
    pub(crate) in_trouble: bool,
    /// Which, and what was seen: `17 foo@abc.pobox.example`.
    pub(crate) seen: String,
}

/// The page on which an address is deleted.
#[derive(Template)]
#[template(path = "member/address-delete.html")]
struct DeletePage {
    frame: Frame,
    trouble: Option<String>,
    row: Row,
    version: u64,
    text: String,
}

/// The page on which an address is chosen that gets instructions.
#[derive(Template)]
#[template(path = "member/address-new.html")]
struct NewPage {
    frame: Frame,
    trouble: Option<String>,
    name: String,
    domain: String,
    domains: Vec<String>,
}

async fn list(member: Member) -> Result<Response, Trouble> {
    shown(&member, None).await
}

async fn shown(member: &Member, trouble: Option<&Trouble>) -> Result<Response, Trouble> {
    let query = member.query();
    let search: String = query.text("q").chars().take(320).collect();
    let after = Some(query.text("after")).filter(|after| !after.is_empty()).map(str::to_owned);
    let own = Own::Addresses { search: search.clone(), after: after.clone(), limit: PAGE };
    let Visit::Addresses { sheets, more } = member.own(own).await? else { return Err(Trouble::Unavailable) };
    let mut page =
        AddressesPage::of(Frame::of(member, "addresses-title"), member.standing(), &sheets, search);
    page.first = after.is_some().then(|| page.path(None));
    page.after = sheets.last().filter(|_| more).map(|last| page.path(Some(&last.file)));
    page.trouble = trouble.map(|trouble| trouble.sentence(member.words).into_owned());
    look_for_trouble(member, &sheets, &mut page.rows).await;
    let mut response = frame::page(&page);
    if let Some(trouble) = trouble {
        *response.status_mut() = trouble.status();
    }
    Ok(response)
}

/// Marks addresses of which a destination is in trouble. What cannot be found out is not marked.
async fn look_for_trouble(member: &Member, sheets: &[AddressSheet], rows: &mut [Row]) {
    let mut asked = tokio::task::JoinSet::new();
    let sends_on = |sheet: &AddressSheet| {
        sheet.active && sheet.destinations.iter().any(|to| to.state == DestinationState::On)
    };
    for (at, sheet) in sheets.iter().enumerate().filter(|(_, sheet)| sends_on(sheet)).take(LOOKED_AT_MAX) {
        let Ok(address) = sheet.address.parse::<Address>() else { continue };
        let member = member.clone();
        asked.spawn(async move { (at, member.own(Own::Results(address)).await) });
    }
    while let Some(answered) = asked.join_next().await {
        if let Ok((at, Ok(Visit::Results(results)))) = answered
            && let (Some(row), Some(sheet)) = (rows.get_mut(at), sheets.get(at))
        {
            row.in_trouble = destination::any_in_trouble(sheet, &results);
        }
    }
}

async fn switch(member: Member, form: Form) -> Result<Response, Trouble> {
    let (active, seen) = match form.text("on") {
        "" => (false, form.text("off")),
        seen => (true, seen),
    };
    let (address, version) = parse_seen(seen)?;
    match member.own(Own::SwitchAddress { address, version, active }).await {
        Ok(_) if active => Ok(frame::see_other("/addresses?done=address-on")),
        Ok(_) => Ok(frame::see_other("/addresses?done=address-off")),
        Err(trouble @ Trouble::Denied(_)) => shown(&member, Some(&trouble)).await,
        Err(trouble) => Err(trouble),
    }
}

async fn ask_to_delete(member: Member) -> Result<Response, Trouble> {
    let address = asked_for(&member.query())?;
    let sheet = sheet(&member, address).await?;
    if !sheet.exists {
        return Err(Trouble::NotFound);
    }
    Ok(frame::page(&DeletePage::of(&member, &sheet, None)))
}

async fn delete(member: Member, form: Form) -> Result<Response, Trouble> {
    let address = asked_for(&form)?;
    let version = Version(form.text("version").parse().unwrap_or(0));
    match member.own(Own::RemoveAddress { address, version }).await {
        Ok(_) => Ok(frame::see_other("/addresses?done=address-removed")),
        Err(trouble @ Trouble::Denied(Denied::Changed(_))) => {
            let Trouble::Denied(Denied::Changed(sheet)) = &trouble else { return Err(Trouble::Unavailable) };
            let mut response = frame::page(&DeletePage::of(&member, sheet, Some(&trouble)));
            *response.status_mut() = StatusCode::CONFLICT;
            Ok(response)
        }
        Err(trouble) => Err(trouble),
    }
}

async fn new(member: Member) -> Result<Response, Trouble> {
    let query = member.query();
    let (name, domain) = (query.text("name"), query.text("domain"));
    let mut page = NewPage {
        frame: Frame::of(&member, "addresses-new-title"),
        trouble: None,
        name: name.chars().take(320).collect(),
        domain: domain.to_owned(),
        domains: domains(&member).await?,
    };
    if name.is_empty() {
        return Ok(frame::page(&page));
    }
    // Some write all of it.
    let whole = if name.contains('@') { name.to_owned() } else { format!("{name}@{domain}") };
    if let Ok(address) = whole.parse::<Address>()
        && page.domains.iter().any(|known| address.host.to_string() == *known)
    {
        return Ok(frame::see_other(&edit_path(&address.to_string())));
    }
    page.trouble = Some(member.words.say("addresses-new-wrong").into_owned());
    let mut response = frame::page(&page);
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

/// The domains in which a member has addresses of his own.
async fn domains(member: &Member) -> Result<Vec<String>, Trouble> {
    let Visit::Facts(facts) = member.own(Own::Facts).await? else { return Err(Trouble::Unavailable) };
    let sub_domain = member.standing().sub_domain.as_ref();
    Ok(sub_domain.into_iter().chain(&facts.domains).map(ToString::to_string).collect())
}

async fn text(member: Member) -> Result<Response, Trouble> {
    let sheet = sheet(&member, asked_for(&member.query())?).await?;
    let mut response = sheet.text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // RFC 6266 §4.3, and RFC 8187: what is no letter or digit is in octets.
    let mut file = String::with_capacity(sheet.file.len() + 16);
    for octet in sheet.file.bytes() {
        match octet {
            b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => file.push(char::from(octet)),
            _ => file.push_str(&format!("%{octet:02X}")),
        }
    }
    let disposition = format!("attachment; filename*=UTF-8''{file}");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

async fn sheet(member: &Member, address: Address) -> Result<AddressSheet, Trouble> {
    match member.own(Own::Address(address)).await? {
        Visit::Address(sheet) => Ok(*sheet),
        _ => Err(Trouble::Unavailable),
    }
}

/// The address that a form or a query is about.
fn asked_for(form: &Form) -> Result<Address, Trouble> {
    form.text("address").parse().map_err(|_| Trouble::NotFound)
}

/// An address, and what was seen of it.
fn parse_seen(seen: &str) -> Result<(Address, Version), Trouble> {
    let (version, address) = seen.split_once(' ').ok_or(Trouble::NotFound)?;
    let version = version.parse().map(Version).map_err(|_| Trouble::NotFound)?;
    Ok((address.parse().map_err(|_| Trouble::NotFound)?, version))
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn edit_path(address: &str) -> String {
    format!("/addresses/edit?address={}", encoded(address))
}

/// Where an address's mail goes, in words.
fn ways(sheet: &AddressSheet, words: Words) -> Vec<String> {
    let mut ways = Vec::new();
    if sheet.keep {
        ways.push(words.say("addresses-mailbox").into_owned());
    }
    let on: Vec<&Address> = sheet
        .destinations
        .iter()
        .filter(|to| to.state == DestinationState::On)
        .map(|to| &to.address)
        .collect();
    if !on.is_empty() {
        ways.push(life::names(&on, 0, words));
    }
    let asked = || sheet.destinations.iter().any(|to| to.state == DestinationState::Asked);
    if ways.is_empty() && asked() {
        ways.push(words.say("addresses-mailbox-until").into_owned());
    }
    if ways.is_empty() && sheet.other_lines.is_empty() {
        ways.push(words.say("addresses-nowhere").into_owned());
    }
    ways
}

impl AddressesPage {
    pub(crate) fn of(
        frame: Frame,
        standing: &Standing,
        sheets: &[AddressSheet],
        search: String,
    ) -> AddressesPage {
        let standard = standing.address.to_string();
        let rows = sheets.iter().map(|sheet| Row::of(sheet, &standard, frame.words)).collect();
        let sub_domain = standing.sub_domain.as_ref().map(ToString::to_string);
        AddressesPage { frame, trouble: None, search, sub_domain, rows, first: None, after: None }
    }

    fn path(&self, after: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &self.search);
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        format!("/addresses?{}", query.finish())
    }
}

impl Row {
    fn of(sheet: &AddressSheet, standard: &str, words: Words) -> Row {
        let has = |state| sheet.destinations.iter().any(|to| to.state == state);
        Row {
            address: sheet.address.clone(),
            encoded: encoded(&sheet.address),
            label: sheet.label.clone(),
            is_standard: sheet.address == standard,
            is_rest: sheet.address.starts_with("default@"),
            ways: ways(sheet, words),
            asked: has(DestinationState::Asked),
            declined: has(DestinationState::Declined),
            active: sheet.active,
            exists: sheet.exists,
            by_hand: !sheet.other_lines.is_empty(),
            in_trouble: false,
            seen: format!("{} {}", sheet.version.0, sheet.address),
        }
    }
}

impl DeletePage {
    fn of(member: &Member, sheet: &AddressSheet, trouble: Option<&Trouble>) -> DeletePage {
        let standard = member.standing().address.to_string();
        DeletePage {
            frame: Frame::of(member, "addresses-delete-title"),
            trouble: trouble.map(|trouble| trouble.sentence(member.words).into_owned()),
            row: Row::of(sheet, &standard, member.words),
            version: sheet.version.0,
            text: sheet.text.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use link::services::directory::visits::Destination;

    use super::*;
    use crate::example::standing;
    use crate::page_check::{HOSTILE, LANGUAGES, checked, frame};

    pub(crate) const LABEL: &str = "買い物 & <b>shops</b> \"";

    pub(crate) fn sheet(address: &str, destinations: &[(&str, DestinationState)]) -> AddressSheet {
        let to = |(address, state): &(&str, DestinationState)| Destination {
            address: address.parse().unwrap(),
            state: *state,
        };
        AddressSheet {
            address: address.into(),
            file: ".qmail-foo".into(),
            version: Version(u64::MAX),
            exists: true,
            active: true,
            label: None,
            keep: true,
            destinations: destinations.iter().map(to).collect(),
            other_lines: Vec::new(),
            text: String::new(),
            updated: 1_795_523_405,
            forward_limit: 10,
        }
    }

    fn fifty() -> Vec<AddressSheet> {
        let many = [
            ("someone.with.a.long.name@mail.gmail.com", DestinationState::On),
            ("u@docomo.ne.jp", DestinationState::On),
            ("v@x.example", DestinationState::Asked),
            ("w@x.example", DestinationState::Declined),
        ];
        let mut sheets: Vec<_> =
            (0..49).map(|at| sheet(&format!("some-shop-{at}@abc.pobox.example"), &many)).collect();
        sheets.insert(0, sheet("abc@pobox.example", &[]));
        for (at, sheet) in sheets.iter_mut().enumerate() {
            sheet.label = Some(LABEL.into());
            sheet.active = at % 3 != 0;
            sheet.other_lines = vec!["|program".into()];
        }
        sheets[7].label = Some(HOSTILE.into());
        sheets[8].address = "default@abc.pobox.example".into();
        sheets
    }

    #[test]
    fn fifty_addresses_are_a_small_page_in_both_languages() {
        for language in LANGUAGES {
            let frame = frame(language, "addresses-title", "/addresses?q=a");
            let mut page = AddressesPage::of(frame, &standing(), &fifty(), HOSTILE.into());
            page.trouble = Some(HOSTILE.into());
            page.after = Some(page.path(Some(".qmail-z&\"")));
            page.rows[3].in_trouble = true;
            let html = checked(&page);
            assert!(html.contains("&#60;b&#62;shops"), "{html}");
            assert!(html.contains("value=\"18446744073709551615 some-shop-3@abc.pobox.example\""));
        }
    }

    #[test]
    fn the_pages_for_new_and_for_deleted_addresses_are_small_and_whole() {
        for language in LANGUAGES {
            let mut page = NewPage {
                frame: frame(language, "addresses-new-title", "/addresses/new"),
                trouble: Some(HOSTILE.into()),
                name: HOSTILE.into(),
                domain: "own.example".into(),
                domains: vec!["abc.pobox.example".into(), "own.example".into()],
            };
            assert!(checked(&page).contains("<option value=\"own.example\" selected>"));
            page.domains.clear();
            assert!(!checked(&page).contains("<select"));
            for address in ["abc@pobox.example", "foo@abc.pobox.example"] {
                let row = Row::of(&sheet(address, &[]), "abc@pobox.example", crate::words::Words(language));
                let frame = frame(language, "addresses-delete-title", "/addresses/delete");
                checked(&DeletePage {
                    frame,
                    trouble: Some(HOSTILE.into()),
                    row,
                    version: 7,
                    text: HOSTILE.into(),
                });
            }
        }
    }

    #[test]
    fn what_was_seen_of_an_address_reads_back() {
        let (address, version) = parse_seen("17 \"a b\"@abc.pobox.example").unwrap();
        assert_eq!((address.local_part.as_str(), version), ("a b", Version(17)));
        for wrong in ["", "17", "x foo@abc.pobox.example", "17 |program"] {
            assert_eq!(parse_seen(wrong), Err(Trouble::NotFound), "{wrong}");
        }
    }
}
