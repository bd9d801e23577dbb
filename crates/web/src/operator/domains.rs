//! The domains that are served here.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use envelope::{AccountName, Domain, DomainKind, HostedDomain};
use link::services::directory::visits::Denied;
use link::services::directory::{Answer, DomainFacts, Rule};

use super::confirm::Confirm;
use super::encoded;
use crate::figures::Figures;
use crate::form::Form;
use crate::frame::{self, Frame};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;
use crate::words::Words;

/// How many domains a page shows.
const PAGE: usize = 100;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::Operator, "/operator/domains", list)
        .get(Who::Operator, "/operator/new-domain", new)
        .post(Who::Operator, "/operator/new-domain", add)
        .get(Who::Operator, "/operator/domains/{name}", show)
        .get(Who::Operator, "/operator/domains/{name}/catch-all", ask_catch_all)
        .post(Who::Operator, "/operator/domains/{name}/catch-all", set_catch_all)
        .get(Who::Operator, "/operator/domains/{name}/remove", ask_remove)
        .post(Who::Operator, "/operator/domains/{name}/remove", remove)
}

/// A domain in a line.
struct Row {
    name: String,
    /// For links.
    ascii: String,
    kind: String,
}

impl Row {
    fn of(domain: &HostedDomain, words: Words) -> Row {
        Row {
            name: domain.name.to_string(),
            ascii: domain.name.to_ascii(),
            kind: kind_words(words, &domain.kind),
        }
    }
}

/// What a domain is to us, in words.
fn kind_words(words: Words, kind: &DomainKind) -> String {
    match kind {
        DomainKind::Provider => words.say("domains-provider"),
        DomainKind::Virtual { owner, prefix: None } => {
            words.with("domains-virtual", "account", owner.to_string())
        }
        DomainKind::Virtual { owner, prefix: Some(prefix) } => words.with2(
            "domains-virtual-prefix",
            ("account", owner.to_string()),
            ("prefix", prefix.to_string()),
        ),
        DomainKind::Alias { of } => words.with("domains-alias", "domain", of.to_string()),
        DomainKind::Relay => words.say("domains-relay"),
    }
    .into_owned()
}

#[derive(Template)]
#[template(path = "operator/domains.html")]
struct List {
    frame: Frame,
    /// What the names have in them.
    search: String,
    rows: Vec<Row>,
    /// How many are meant in all.
    total: usize,
    before: Option<String>,
    after: Option<String>,
}

impl List {
    fn total(&self) -> String {
        (self.total as u64).grouped()
    }
}

async fn list(operator: Operator) -> Result<Response, Trouble> {
    let query = operator.query();
    let search = query.text("q").to_lowercase();
    let Answer::Domains(all) = operator.rule(Rule::Domains).await? else { return Err(Trouble::Unavailable) };
    let meant: Vec<&HostedDomain> =
        all.iter().filter(|domain| domain.name.as_str().contains(&search)).collect();
    let pages = meant.len().div_ceil(PAGE).max(1);
    let page = query.text("page").parse().unwrap_or(1).clamp(1, pages);
    let at = |page: usize| format!("/operator/domains?q={}&page={page}", encoded(&search));
    let rows = meant.iter().skip((page - 1) * PAGE).take(PAGE);
    Ok(frame::page(&List {
        frame: Frame::of(&operator, "domains-title"),
        rows: rows.map(|domain| Row::of(domain, operator.words)).collect(),
        total: meant.len(),
        before: (page > 1).then(|| at(page - 1)),
        after: (page < pages).then(|| at(page + 1)),
        search: search.chars().take(100).collect(),
    }))
}

/// A new domain as the form has it.
#[derive(Template)]
#[template(path = "operator/domain-new.html")]
struct New {
    frame: Frame,
    name: String,
    kind: String,
    owner: String,
    prefix: String,
    of: String,
    trouble: Option<String>,
}

impl New {
    fn of(operator: &Operator, form: &Form, trouble: Option<&Trouble>) -> New {
        let typed = |name: &str| form.text(name).chars().take(260).collect();
        New {
            frame: Frame::of(operator, "domains-new-title"),
            name: typed("name"),
            kind: typed("kind"),
            owner: typed("owner"),
            prefix: typed("prefix"),
            of: typed("of"),
            trouble: trouble.map(|trouble| trouble.sentence(operator.words).into_owned()),
        }
    }
}

async fn new(operator: Operator) -> Response {
    frame::page(&New::of(&operator, &Form::read("kind=virtual"), None))
}

async fn add(operator: Operator, form: Form) -> Result<Response, Trouble> {
    let added = match domain_of(&form) {
        Ok(domain) => {
            let to = format!("/operator/domains/{}?done=saved", domain.name.to_ascii());
            operator.ruled(Rule::AddDomain(domain)).await.map(|()| to)
        }
        Err(denied) => Err(Trouble::Denied(denied)),
    };
    match added {
        Ok(to) => Ok(frame::see_other(&to)),
        Err(trouble @ Trouble::Denied(_)) => {
            let mut response = frame::page(&New::of(&operator, &form, Some(&trouble)));
            *response.status_mut() = trouble.status();
            Ok(response)
        }
        Err(trouble) => Err(trouble),
    }
}

/// The domain that a form describes.
fn domain_of(form: &Form) -> Result<HostedDomain, Denied> {
    let domain = |field: &str| {
        Domain::parse(form.text(field)).map_err(|error| Denied::Refused(format!("{field}: {error}")))
    };
    let kind = match form.text("kind") {
        "provider" => DomainKind::Provider,
        "relay" => DomainKind::Relay,
        "alias" => DomainKind::Alias { of: domain("of")? },
        "virtual" => {
            let owner = form.text("owner").parse::<AccountName>();
            let owner = owner.map_err(|error| Denied::Refused(error.to_string()))?;
            let prefix = match form.text("prefix") {
                "" => None,
                prefix => Some(
                    prefix.parse::<envelope::Prefix>().map_err(|error| Denied::Refused(error.to_string()))?,
                ),
            };
            DomainKind::Virtual { owner, prefix }
        }
        _ => return Err(Denied::NotSensible("kind".into())),
    };
    Ok(HostedDomain { name: domain("name")?, kind })
}

fn named(name: &str) -> Result<Domain, Trouble> {
    Domain::parse(name).map_err(|_| Trouble::NotFound)
}

async fn facts(operator: &Operator, name: &str) -> Result<DomainFacts, Trouble> {
    match operator.rule(Rule::Domain(named(name)?)).await {
        Ok(Answer::Domain(facts)) => Ok(facts),
        Ok(_) => Err(Trouble::Unavailable),
        Err(trouble) => Err(trouble),
    }
}

#[derive(Template)]
#[template(path = "operator/domain.html")]
struct Show {
    frame: Frame,
    row: Row,
    /// The account whose it is.
    owner: Option<String>,
    /// Whether accounts live directly under it.
    provider: bool,
    catch_all: Option<String>,
    aliases: Vec<Row>,
}

async fn show(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    let DomainFacts { domain, catch_all, aliases } = facts(&operator, &name).await?;
    let alias = |name: Domain| Row { ascii: name.to_ascii(), name: name.to_string(), kind: String::new() };
    Ok(frame::page(&Show {
        frame: Frame::of(&operator, "domains-one-title"),
        row: Row::of(&domain, operator.words),
        owner: match &domain.kind {
            DomainKind::Virtual { owner, .. } => Some(owner.to_string()),
            _ => None,
        },
        provider: domain.kind == DomainKind::Provider,
        catch_all: catch_all.map(|account| account.to_string()),
        aliases: aliases.into_iter().map(alias).collect(),
    }))
}

/// Who gets what is for nobody.
#[derive(Template)]
#[template(path = "operator/domain-catch-all.html")]
struct CatchAll {
    frame: Frame,
    row: Row,
    account: String,
    trouble: Option<String>,
}

impl CatchAll {
    fn of(operator: &Operator, facts: &DomainFacts, account: &str) -> CatchAll {
        CatchAll {
            frame: Frame::of(operator, "domains-catch-all-title"),
            row: Row::of(&facts.domain, operator.words),
            account: account.chars().take(60).collect(),
            trouble: None,
        }
    }
}

async fn ask_catch_all(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    operator.must_be_fresh()?;
    let facts = facts(&operator, &name).await?;
    let account = facts.catch_all.as_ref().map_or("", AccountName::as_str).to_owned();
    Ok(frame::page(&CatchAll::of(&operator, &facts, &account)))
}

async fn set_catch_all(
    operator: Operator,
    Path(name): Path<String>,
    form: Form,
) -> Result<Response, Trouble> {
    let facts = facts(&operator, &name).await?;
    let domain = facts.domain.name.clone();
    let account = match form.text("account") {
        "" => Ok(None),
        name => name.parse().map(Some),
    };
    let set = match account {
        Ok(account) => operator.ruled(Rule::SetCatchAll(domain.clone(), account)).await,
        Err(error) => Err(Trouble::Denied(Denied::Refused(error.to_string()))),
    };
    match set {
        Ok(()) => Ok(frame::see_other(&format!("/operator/domains/{}?done=saved", domain.to_ascii()))),
        Err(trouble @ Trouble::Denied(_)) => {
            let mut page = CatchAll::of(&operator, &facts, form.text("account"));
            page.trouble = Some(trouble.sentence(operator.words).into_owned());
            let mut response = frame::page(&page);
            *response.status_mut() = trouble.status();
            Ok(response)
        }
        Err(trouble) => Err(trouble),
    }
}

fn about_removal(operator: &Operator, domain: &Domain) -> Confirm {
    let back = format!("/operator/domains/{}", domain.to_ascii());
    let says = operator.words.with("domains-remove-means", "domain", domain.as_str());
    Confirm::new(operator, "domains-remove", &format!("{back}/remove"), &back)
        .says(says)
        .wants_typed(domain.as_str())
}

async fn ask_remove(operator: Operator, Path(name): Path<String>) -> Result<Response, Trouble> {
    operator.must_be_fresh()?;
    let facts = facts(&operator, &name).await?;
    Ok(about_removal(&operator, &facts.domain.name).page())
}

async fn remove(operator: Operator, Path(name): Path<String>, form: Form) -> Result<Response, Trouble> {
    let domain = named(&name)?;
    let page = match about_removal(&operator, &domain).typed_in(&form) {
        Ok(page) => page,
        Err(once_more) => return Ok(once_more),
    };
    match operator.ruled(Rule::RemoveDomain(domain)).await {
        Ok(()) => Ok(frame::see_other("/operator/domains?done=removed")),
        Err(trouble) => page.refused(&trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_describes_every_kind_of_domain() {
        let kind = |query: &str| domain_of(&Form::read(query)).map(|domain| domain.kind);
        assert_eq!(kind("name=pobox.example&kind=provider"), Ok(DomainKind::Provider));
        assert_eq!(kind("name=peer.example&kind=relay"), Ok(DomainKind::Relay));
        let of = Domain::parse("pobox.example").unwrap();
        assert_eq!(kind("name=pobox2.example&kind=alias&of=POBOX.example"), Ok(DomainKind::Alias { of }));
        let owner = AccountName::parse("abc").unwrap();
        let prefix = Some("shop".parse().unwrap());
        assert_eq!(
            kind("name=shop.example&kind=virtual&owner=abc&prefix=shop"),
            Ok(DomainKind::Virtual { owner, prefix })
        );
        for wrong in [
            "",
            "name=pobox.example",
            "name=pobox.example&kind=other",
            "name=a..b&kind=relay",
            "name=shop.example&kind=virtual",
            "name=shop.example&kind=virtual&owner=abc&prefix=-",
            "name=shop.example&kind=alias&of=%00",
        ] {
            assert!(kind(wrong).is_err(), "{wrong}");
        }
    }
}
