//! Domains.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use envelope::{Domain, DomainKind, HostedDomain};
use link::services::directory::{Answer, Rule};
use serde::{Deserialize, Serialize};

use crate::api::exchange::{Body, Named, done, json, parsed};
use crate::routes::{Routes, Who};
use crate::trouble::Trouble;
use crate::visitor::Operator;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(Who::OperatorToken, "/api/v1/operator/domains", domains)
        .post(Who::OperatorToken, "/api/v1/operator/domains", add)
        .get(Who::OperatorToken, "/api/v1/operator/domains/{name}", domain)
        .delete(Who::OperatorToken, "/api/v1/operator/domains/{name}", remove)
        .put(Who::OperatorToken, "/api/v1/operator/domains/{name}/catch-all", set_catch_all)
        .delete(Who::OperatorToken, "/api/v1/operator/domains/{name}/catch-all", remove_catch_all)
}

/// All domains.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Domains {
    /// These.
    domains: Vec<Hosted>,
}

/// A domain, and what it is to us.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Hosted {
    /// Its name.
    name: String,
    /// What it is to us.
    kind: HostedKind,
    /// The account that owns it (`virtual`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// What stands before the local-part in the names of its owner's instructions (`virtual`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    /// The domain whose addresses its own are (`alias`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
}

/// What a domain is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum HostedKind {
    /// Accounts live directly under it.
    Provider,
    /// One account owns it.
    Virtual,
    /// Every address of it is one of another domain of ours.
    Alias,
    /// Its mail is passed on to its own servers.
    Relay,
}

/// A domain, and what belongs to it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct DomainSheet {
    /// The domain.
    domain: Hosted,
    /// The account that receives what is for nobody.
    catch_all: Option<String>,
    /// The domains that are aliases of it.
    aliases: Vec<String>,
}

/// Who receives what is for nobody under a domain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct CatchAllOrder {
    /// An account.
    account: String,
}

async fn domains(operator: Operator) -> Result<Response, Trouble> {
    Ok(json(Domains { domains: all(&operator).await?.into_iter().map(Hosted::from).collect() }))
}

async fn add(operator: Operator, Body(order): Body<Hosted>) -> Result<Response, Trouble> {
    operator.ruled(Rule::AddDomain(order.meant()?)).await?;
    Ok((StatusCode::CREATED, axum::Json(order)).into_response())
}

async fn domain(operator: Operator, Named(name): Named<Domain>) -> Result<Response, Trouble> {
    must_be_there(&operator, &name).await?;
    let Answer::Domain(facts) = operator.rule(Rule::Domain(name)).await? else {
        return Err(Trouble::Unavailable);
    };
    Ok(json(DomainSheet {
        domain: facts.domain.into(),
        catch_all: facts.catch_all.map(String::from),
        aliases: facts.aliases.iter().map(ToString::to_string).collect(),
    }))
}

async fn remove(operator: Operator, Named(name): Named<Domain>) -> Result<Response, Trouble> {
    must_be_there(&operator, &name).await?;
    operator.ruled(Rule::RemoveDomain(name)).await?;
    Ok(done())
}

async fn set_catch_all(
    operator: Operator,
    Named(name): Named<Domain>,
    Body(order): Body<CatchAllOrder>,
) -> Result<Response, Trouble> {
    must_be_there(&operator, &name).await?;
    let account = parsed("account", &order.account)?;
    operator.ruled(Rule::SetCatchAll(name, Some(account))).await?;
    Ok(done())
}

async fn remove_catch_all(operator: Operator, Named(name): Named<Domain>) -> Result<Response, Trouble> {
    must_be_there(&operator, &name).await?;
    operator.ruled(Rule::SetCatchAll(name, None)).await?;
    Ok(done())
}

/// All domains.
pub(super) async fn all(operator: &Operator) -> Result<Vec<HostedDomain>, Trouble> {
    match operator.rule(Rule::Domains).await? {
        Answer::Domains(domains) => Ok(domains),
        _ => Err(Trouble::Unavailable),
    }
}

async fn must_be_there(operator: &Operator, name: &Domain) -> Result<(), Trouble> {
    let there = all(operator).await?.iter().any(|domain| domain.name == *name);
    if there { Ok(()) } else { Err(Trouble::NotFound) }
}

impl Hosted {
    /// What is said here, if what belongs to its kind is said and nothing else.
    fn meant(&self) -> Result<HostedDomain, Trouble> {
        let wrong = |field: &str, why: &str| Err(Trouble::Unreadable(format!("{field}: {why}")));
        let kind = match (self.kind, &self.owner, &self.prefix, &self.of) {
            (HostedKind::Provider, None, None, None) => DomainKind::Provider,
            (HostedKind::Relay, None, None, None) => DomainKind::Relay,
            (HostedKind::Virtual, Some(owner), prefix, None) => DomainKind::Virtual {
                owner: parsed("owner", owner)?,
                prefix: prefix.as_deref().map(|prefix| parsed("prefix", prefix)).transpose()?,
            },
            (HostedKind::Alias, None, None, Some(of)) => DomainKind::Alias { of: parsed("of", of)? },
            (HostedKind::Virtual, None, ..) => return wrong("owner", "a virtual domain has an owner"),
            (HostedKind::Alias, _, _, None) => return wrong("of", "an alias is one of another domain"),
            _ => return wrong("kind", "owner and prefix are for virtual domains, of is for aliases"),
        };
        Ok(HostedDomain { name: parsed("name", &self.name)?, kind })
    }
}

impl From<HostedDomain> for Hosted {
    fn from(hosted: HostedDomain) -> Hosted {
        let domain =
            |kind| Hosted { name: hosted.name.to_string(), kind, owner: None, prefix: None, of: None };
        match hosted.kind {
            DomainKind::Provider => domain(HostedKind::Provider),
            DomainKind::Relay => domain(HostedKind::Relay),
            DomainKind::Virtual { owner, prefix } => Hosted {
                owner: Some(owner.into()),
                prefix: prefix.map(|prefix| prefix.to_string()),
                ..domain(HostedKind::Virtual)
            },
            DomainKind::Alias { of } => Hosted { of: Some(of.to_string()), ..domain(HostedKind::Alias) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_told_as_it_is_ordered() {
        for order in [
            r#"{"name":"pobox.example","kind":"provider"}"#,
            r#"{"name":"shop.example","kind":"virtual","owner":"xyz"}"#,
            r#"{"name":"shop.example","kind":"virtual","owner":"xyz","prefix":"shop"}"#,
            r#"{"name":"b.example","kind":"alias","of":"pobox.example"}"#,
            r#"{"name":"other.example","kind":"relay"}"#,
        ] {
            let hosted: Hosted = serde_json::from_str(order).unwrap();
            let told = Hosted::from(hosted.meant().unwrap());
            assert_eq!(serde_json::to_string(&told).unwrap(), order);
        }
        for wrong in [
            r#"{"name":"shop.example","kind":"virtual"}"#,
            r#"{"name":"b.example","kind":"alias"}"#,
            r#"{"name":"b.example","kind":"relay","owner":"xyz"}"#,
            r#"{"name":"-","kind":"provider"}"#,
            r#"{"name":"b.example","kind":"virtual","owner":"x y"}"#,
        ] {
            let hosted: Hosted = serde_json::from_str(wrong).unwrap();
            assert!(matches!(hosted.meant(), Err(Trouble::Unreadable(_))), "{wrong}");
        }
    }
}
