//! Domains: hosting them, and no longer.

use envelope::{AccountName, Domain, DomainKind, HostedDomain, Prefix};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::accounts::{id_if_any, id_of};
use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::rows;
use crate::store::Store;

impl Store {
    /// Hosts a domain.
    ///
    /// # Errors
    /// If it is hosted already, its owner or the domain that it is to be an alias of does not exist, or it
    /// is (or would make) the sub-domain of another account.
    pub fn add_domain(
        &self,
        name: Domain,
        kind: DomainKind,
        who: &Actor,
    ) -> Result<HostedDomain, ChangeError> {
        let hosted = HostedDomain { name, kind };
        self.change(who, |change, trail| {
            if effective(change, &hosted.name)?.is_some() {
                return Err(ChangeError::DomainExists(hosted.name));
            }
            let new = New::of(change, &hosted.kind)?;
            if let Some((domain, account)) = sub_domain_taken(change, &hosted.name, &new)? {
                return Err(ChangeError::SubDomainTaken { domain, account });
            }
            change
                .prepare_cached(
                    "INSERT INTO domains (name, kind, owner, prefix, target) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((hosted.name.as_str(), new.kind.as_str(), new.owner, new.prefix, new.target))?;
            trail.note(&Change::DomainAdded(&hosted))?;
            Ok(hosted)
        })
    }

    /// All domains, in the order in which they were added: the first provider domain is the one
    /// that address literals stand for.
    ///
    /// # Errors
    /// If the store fails.
    pub fn domains(&self) -> Result<Vec<HostedDomain>, StoreError> {
        self.read(|reader| {
            let mut all = reader.prepare_cached(concat!("SELECT ", columns!(), " ORDER BY domains.id"))?;
            let domains = all.query_map([], read_domain)?;
            Ok(domains.collect::<Result<_, _>>()?)
        })
    }

    /// One domain, and what belongs to it.
    ///
    /// # Errors
    /// If it is not hosted.
    pub fn domain(&self, name: &Domain) -> Result<DomainDetails, ChangeError> {
        self.ask(|moment| {
            let hosted = moment
                .prepare_cached(concat!("SELECT ", columns!(), " WHERE domains.name = ?1"))?
                .query_row([name.as_str()], read_domain)
                .optional()?
                .ok_or_else(|| ChangeError::NoSuchDomain(name.clone()))?;
            Ok(DomainDetails {
                hosted,
                catch_all: catch_all(moment, name)?,
                aliases: aliases_of(moment, name)?,
            })
        })
    }

    /// No longer hosts a domain.
    ///
    /// # Errors
    /// If it is not hosted, it has aliases, or it is the only provider domain and there are accounts.
    pub fn remove_domain(&self, name: &Domain, who: &Actor) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let domain = effective(change, name)?.ok_or_else(|| ChangeError::NoSuchDomain(name.clone()))?;
            let aliases = aliases_of(change, name)?;
            if !aliases.is_empty() {
                return Err(ChangeError::HasAliases { domain: name.clone(), aliases });
            }
            if domain.kind == Kind::Provider && !domain.is_alias {
                let only: bool = change
                    .prepare_cached("SELECT count(*) = 1 FROM domains WHERE kind = 'provider'")?
                    .query_row([], |row| row.get(0))?;
                let accounts = rows::count(change, "SELECT count(*) FROM accounts")?;
                if only && accounts > 0 {
                    return Err(ChangeError::AccountsUnderDomain { domain: name.clone(), accounts });
                }
            }
            change.prepare_cached("DELETE FROM domains WHERE name = ?1")?.execute([name.as_str()])?;
            Ok(trail.note(&Change::DomainRemoved(name))?)
        })
    }

    /// Has an account receive what is for nobody directly under a provider domain; none, that it is
    /// refused again. Sub-domains are not meant: they are their accounts', or nobody's.
    ///
    /// # Errors
    /// If the domain is no provider domain, or there is no such account.
    pub fn set_catch_all(
        &self,
        name: &Domain,
        account: Option<&AccountName>,
        who: &Actor,
    ) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            provider(change, name)?;
            let id = account.map(|account| id_of(change, account)).transpose()?;
            change
                .prepare_cached("UPDATE domains SET catch_all = ?2 WHERE name = ?1")?
                .execute((name.as_str(), id))?;
            Ok(trail.note(&Change::CatchAllSet(name, account))?)
        })
    }

    /// Who receives what is for nobody directly under a provider domain.
    ///
    /// # Errors
    /// If the domain is no provider domain.
    pub fn catch_all(&self, name: &Domain) -> Result<Option<AccountName>, ChangeError> {
        self.ask(|moment| {
            provider(moment, name)?;
            Ok(catch_all(moment, name)?)
        })
    }
}

/// A domain, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainDetails {
    /// The domain.
    pub hosted: HostedDomain,
    /// Who receives what is for nobody directly under a provider domain.
    pub catch_all: Option<AccountName>,
    /// The domains that are aliases of it.
    pub aliases: Vec<Domain>,
}

/// The columns that [`read_domain`] reads, and where they stand.
macro_rules! columns {
    () => {
        "domains.name, domains.kind, accounts.name, domains.prefix, targets.name FROM domains
         LEFT JOIN accounts ON accounts.id = domains.owner
         LEFT JOIN domains AS targets ON targets.id = domains.target"
    };
}
use columns;

fn read_domain(row: &Row<'_>) -> rusqlite::Result<HostedDomain> {
    let kind = match kind(row, 1)? {
        Kind::Provider => DomainKind::Provider,
        Kind::Virtual => {
            DomainKind::Virtual { owner: rows::parsed(row, 2)?, prefix: rows::parsed_if_any(row, 3)? }
        }
        Kind::Alias => DomainKind::Alias { of: rows::parsed(row, 4)? },
        Kind::Relay => DomainKind::Relay,
    };
    Ok(HostedDomain { name: rows::parsed(row, 0)?, kind })
}

fn catch_all(moment: &Connection, name: &Domain) -> rusqlite::Result<Option<AccountName>> {
    moment
        .prepare_cached(
            "SELECT accounts.name FROM domains JOIN accounts ON accounts.id = catch_all
             WHERE domains.name = ?1",
        )?
        .query_row([name.as_str()], |row| rows::parsed(row, 0))
        .optional()
}

/// What the column `kind` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Provider,
    Virtual,
    Alias,
    Relay,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Provider => "provider",
            Kind::Virtual => "virtual",
            Kind::Alias => "alias",
            Kind::Relay => "relay",
        }
    }
}

/// Reads the column `kind`.
pub(crate) fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<Kind> {
    rows::one_of(row, column, &[Kind::Provider, Kind::Virtual, Kind::Alias, Kind::Relay], Kind::as_str)
}

/// A hosted domain that is the sub-domain of an account of this name, were there one.
pub(crate) fn hosted_sub_domain(
    connection: &Connection,
    name: &AccountName,
) -> rusqlite::Result<Option<Domain>> {
    connection
        .prepare_cached(
            "SELECT hosted.name FROM domains AS parent
             JOIN domains AS target ON target.id = coalesce(parent.target, parent.id)
             JOIN domains AS hosted ON hosted.name = ?1 || '.' || parent.name
             WHERE target.kind = 'provider' LIMIT 1",
        )?
        .query_row([name.as_str()], |row| rows::parsed(row, 0))
        .optional()
}

/// What a domain of ours is in effect: an alias is what it is an alias of.
struct Effective {
    id: i64,
    kind: Kind,
    owner: Option<i64>,
    is_alias: bool,
}

fn effective(connection: &Connection, name: &Domain) -> rusqlite::Result<Option<Effective>> {
    connection
        .prepare_cached(
            "SELECT domains.id, targets.kind, targets.owner, domains.target IS NOT NULL FROM domains
             JOIN domains AS targets ON targets.id = coalesce(domains.target, domains.id)
             WHERE domains.name = ?1",
        )?
        .query_row([name.as_str()], |row| {
            Ok(Effective { id: row.get(0)?, kind: kind(row, 1)?, owner: row.get(2)?, is_alias: row.get(3)? })
        })
        .optional()
}

/// That a domain is a provider domain of ours, and no alias of one.
fn provider(connection: &Connection, name: &Domain) -> Result<(), ChangeError> {
    match effective(connection, name)? {
        None => Err(ChangeError::NoSuchDomain(name.clone())),
        Some(domain) if domain.kind == Kind::Provider && !domain.is_alias => Ok(()),
        Some(_) => Err(ChangeError::NoProviderDomain(name.clone())),
    }
}

/// The virtual domains of an account, in the order in which they were added.
pub(crate) fn virtual_of(
    connection: &Connection,
    owner: &AccountName,
) -> rusqlite::Result<Vec<(Domain, Option<Prefix>)>> {
    connection
        .prepare_cached(
            "SELECT name, prefix FROM domains
             WHERE owner = (SELECT id FROM accounts WHERE name = ?1) ORDER BY id",
        )?
        .query_map([owner.as_str()], |row| Ok((rows::parsed(row, 0)?, rows::parsed_if_any(row, 1)?)))?
        .collect()
}

fn aliases_of(connection: &Connection, name: &Domain) -> rusqlite::Result<Vec<Domain>> {
    connection
        .prepare_cached(
            "SELECT name FROM domains WHERE target = (SELECT id FROM domains WHERE name = ?1) ORDER BY id",
        )?
        .query_map([name.as_str()], |row| rows::parsed(row, 0))?
        .collect()
}

/// A domain to be hosted, as its row has it.
struct New<'a> {
    kind: Kind,
    owner: Option<i64>,
    prefix: Option<&'a str>,
    target: Option<i64>,
    /// Whether accounts will have addresses and sub-domains under it.
    is_provider: bool,
    /// Whose it will be.
    belongs_to: Option<i64>,
}

impl New<'_> {
    fn of<'a>(change: &Connection, kind: &'a DomainKind) -> Result<New<'a>, ChangeError> {
        let plain = |kind| New {
            kind,
            owner: None,
            prefix: None,
            target: None,
            is_provider: false,
            belongs_to: None,
        };
        Ok(match kind {
            DomainKind::Provider => New { is_provider: true, ..plain(Kind::Provider) },
            DomainKind::Virtual { owner, prefix } => {
                let owner = Some(id_of(change, owner)?);
                let prefix = prefix.as_ref().map(Prefix::as_str);
                New { owner, prefix, belongs_to: owner, ..plain(Kind::Virtual) }
            }
            DomainKind::Alias { of } => {
                let target = effective(change, of)?.ok_or_else(|| ChangeError::NoSuchDomain(of.clone()))?;
                // A chain of aliases would have to be followed at each look.
                if target.is_alias || target.kind == Kind::Relay {
                    return Err(ChangeError::NoTargetOfAlias(of.clone()));
                }
                let is_provider = target.kind == Kind::Provider;
                New { target: Some(target.id), belongs_to: target.owner, is_provider, ..plain(Kind::Alias) }
            }
            DomainKind::Relay => plain(Kind::Relay),
        })
    }
}

/// The sub-domain on which a new domain and an account would both have a claim, and the account. Who
/// owns both, has no quarrel.
fn sub_domain_taken(
    connection: &Connection,
    name: &Domain,
    new: &New<'_>,
) -> rusqlite::Result<Option<(Domain, AccountName)>> {
    if let Some((label, parent)) = name.split_first_label()
        && let Ok(account) = AccountName::parse(label)
        && let Some(Effective { kind: Kind::Provider, .. }) = effective(connection, &parent)?
        && let Some(id) = id_if_any(connection, &account)?
        && new.belongs_to != Some(id)
    {
        return Ok(Some((name.clone(), account)));
    }
    if !new.is_provider {
        return Ok(None);
    }
    connection
        .prepare_cached(
            "SELECT domains.name, accounts.name FROM accounts
             JOIN domains ON domains.name = accounts.name || '.' || ?1
             JOIN domains AS targets ON targets.id = coalesce(domains.target, domains.id)
             WHERE targets.owner IS NOT accounts.id LIMIT 1",
        )?
        .query_row([name.as_str()], |row| Ok((rows::parsed(row, 0)?, rows::parsed(row, 1)?)))
        .optional()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Example, WHO, domain, name, new_account, virtual_of};

    fn refusal(example: &Example, text: &str, kind: DomainKind) -> ChangeError {
        let before = example.store.domains().unwrap();
        let refused = example.store.add_domain(domain(text), kind, &WHO).unwrap_err();
        assert_eq!(example.store.domains().unwrap(), before);
        refused
    }

    #[test]
    fn domains_are_listed_in_the_order_in_which_they_were_added() {
        let example = Example::pobox();
        example.add_domain("a.example", virtual_of("abc"));
        let hosted = |text: &str, kind| HostedDomain { name: domain(text), kind };
        assert_eq!(
            example.store.domains().unwrap(),
            [
                hosted("pobox.example", DomainKind::Provider),
                hosted("shop.example", virtual_of("xyz")),
                hosted("a.example", virtual_of("abc")),
            ]
        );
    }

    #[test]
    fn a_domain_is_hosted_once() {
        let example = Example::pobox();
        for kind in [DomainKind::Provider, virtual_of("abc")] {
            assert!(matches!(refusal(&example, "Shop.Example", kind), ChangeError::DomainExists(_)));
        }
    }

    #[test]
    fn a_virtual_domain_needs_an_owner_who_exists() {
        let refused = refusal(&Example::pobox(), "b.example", virtual_of("nobody"));
        assert_eq!(
            refused.to_string(),
            "there is no account nobody; `hikyaku account list` shows those there are"
        );
    }

    #[test]
    fn the_sub_domain_of_an_account_is_nobody_elses() {
        let example = Example::pobox();
        for kind in [DomainKind::Provider, virtual_of("xyz")] {
            let refused = refusal(&example, "abc.pobox.example", kind);
            assert!(matches!(refused, ChangeError::SubDomainTaken { account, .. } if account == name("abc")));
        }
        example.add_domain("abc.pobox.example", virtual_of("abc"));
        example.add_domain("www.pobox.example", virtual_of("xyz"));
        let refused = example.store.add_account(new_account("www"), &WHO).unwrap_err();
        assert!(matches!(refused, ChangeError::SubDomainTaken { .. }));
        assert!(example.store.account(&name("www")).unwrap().is_none());
    }

    #[test]
    fn a_new_provider_domain_takes_no_sub_domain_from_its_owner() {
        let example = Example::pobox();
        example.add_domain("abc.box.example", virtual_of("xyz"));
        let refused = refusal(&example, "box.example", DomainKind::Provider);
        assert!(
            matches!(refused, ChangeError::SubDomainTaken { domain: d, .. } if d == domain("abc.box.example"))
        );
    }

    #[test]
    fn the_last_provider_domain_stays_while_there_are_accounts() {
        let example = Example::pobox();
        let remove = |text: &str| example.store.remove_domain(&domain(text), &WHO);
        let refused = remove("pobox.example").unwrap_err();
        assert!(matches!(refused, ChangeError::AccountsUnderDomain { accounts: 2, .. }));
        assert!(refused.to_string().contains("add another by `hikyaku domain add`"));
        example.add_domain("box.example", DomainKind::Provider);
        remove("pobox.example").unwrap();
        assert!(remove("box.example").is_err());
        assert!(matches!(remove("pobox.example"), Err(ChangeError::NoSuchDomain(_))));
    }

    #[test]
    fn a_provider_domain_without_accounts_can_be_removed() {
        let example = Example::empty();
        example.add_domain("pobox.example", DomainKind::Provider);
        example.store.remove_domain(&domain("pobox.example"), &WHO).unwrap();
        assert_eq!(example.store.domains().unwrap(), []);
    }

    fn alias_of(text: &str) -> DomainKind {
        DomainKind::Alias { of: domain(text) }
    }

    #[test]
    fn an_alias_is_of_a_provider_or_virtual_domain_that_then_stays() {
        let example = Example::pobox();
        example.add_domain("shop2.example", alias_of("shop.example"));
        example.add_domain("backup.example", DomainKind::Relay);
        for of in ["shop2.example", "backup.example"] {
            let refused = refusal(&example, "b.example", alias_of(of));
            assert!(matches!(refused, ChangeError::NoTargetOfAlias(_)), "{of}");
        }
        assert!(matches!(
            refusal(&example, "b.example", alias_of("c.example")),
            ChangeError::NoSuchDomain(d) if d == domain("c.example")
        ));
        assert_eq!(
            example.store.remove_domain(&domain("shop.example"), &WHO).unwrap_err().to_string(),
            "the domain shop.example has the domain shop2.example as an alias; remove it first by `hikyaku domain remove`"
        );
        let kinds: Vec<_> = example.store.domains().unwrap().into_iter().map(|d| d.kind).collect();
        assert_eq!(kinds[2..], [alias_of("shop.example"), DomainKind::Relay]);
        example.store.remove_domain(&domain("shop2.example"), &WHO).unwrap();
        example.store.remove_domain(&domain("shop.example"), &WHO).unwrap();
    }

    #[test]
    fn an_alias_of_a_provider_domain_takes_no_sub_domain_from_anybody() {
        let example = Example::pobox();
        example.add_domain("abc.box.example", virtual_of("xyz"));
        let refused = refusal(&example, "box.example", alias_of("pobox.example"));
        assert!(matches!(refused, ChangeError::SubDomainTaken { account, .. } if account == name("abc")));
        example.add_domain("mail.example", alias_of("pobox.example"));
        for kind in
            [virtual_of("xyz"), DomainKind::Relay, alias_of("shop.example"), alias_of("pobox.example")]
        {
            let refused = refusal(&example, "abc.mail.example", kind);
            assert!(matches!(refused, ChangeError::SubDomainTaken { .. }));
        }
        example.add_domain("xyz.mail.example", alias_of("shop.example"));
        example.add_domain("new.mail.example", DomainKind::Relay);
        let refused = example.store.add_account(new_account("new"), &WHO).unwrap_err();
        assert!(matches!(refused, ChangeError::SubDomainTaken { .. }));
        // An alias does not stand in for the last provider domain.
        example.store.remove_domain(&domain("mail.example"), &WHO).unwrap();
        assert!(example.store.remove_domain(&domain("pobox.example"), &WHO).is_err());
    }

    #[test]
    fn a_domain_is_shown_with_what_belongs_to_it() {
        let example = Example::pobox();
        example.add_domain("mail.example", alias_of("pobox.example"));
        example.store.set_catch_all(&domain("pobox.example"), Some(&name("abc")), &WHO).unwrap();
        let kind = DomainKind::Virtual { owner: name("xyz"), prefix: Some("club".parse().unwrap()) };
        example.add_domain("club.example", kind.clone());
        let shown = |text: &str| example.store.domain(&domain(text));
        let pobox = shown("pobox.example").unwrap();
        assert_eq!((pobox.catch_all, pobox.aliases), (Some(name("abc")), vec![domain("mail.example")]));
        assert_eq!(shown("club.example").unwrap().hosted.kind, kind);
        assert_eq!(shown("mail.example").unwrap().hosted.kind, alias_of("pobox.example"));
        assert!(matches!(shown("b.example"), Err(ChangeError::NoSuchDomain(_))));
        let trail = example.store.audit_trail(1).unwrap();
        assert_eq!(trail[0].what, "virtual domain club.example of xyz added with the prefix club");
    }

    #[test]
    fn a_catch_all_is_an_account_of_a_provider_domain_and_goes_with_it() {
        let example = Example::pobox();
        let pobox = domain("pobox.example");
        let set = |name: &str, account: Option<&str>| {
            let account = account.map(crate::example::name);
            example.store.set_catch_all(&domain(name), account.as_ref(), &WHO)
        };
        set("pobox.example", Some("abc")).unwrap();
        assert_eq!(example.store.catch_all(&pobox).unwrap(), Some(name("abc")));
        example.add_domain("mail.example", alias_of("pobox.example"));
        for wrong in ["shop.example", "mail.example"] {
            assert!(matches!(set(wrong, Some("abc")), Err(ChangeError::NoProviderDomain(_))), "{wrong}");
        }
        assert!(matches!(set("b.example", None), Err(ChangeError::NoSuchDomain(_))));
        assert!(matches!(set("pobox.example", Some("nobody")), Err(ChangeError::NoSuchAccount(_))));
        example.store.remove_account(&name("abc"), &WHO).unwrap();
        assert_eq!(example.store.catch_all(&pobox).unwrap(), None);
        set("pobox.example", Some("xyz")).unwrap();
        set("pobox.example", None).unwrap();
        let trail: Vec<_> = example.store.audit_trail(2).unwrap().into_iter().map(|e| e.what).collect();
        assert_eq!(
            trail,
            ["domain pobox.example has no catch-all any more", "domain pobox.example has the catch-all xyz"]
        );
    }
}
