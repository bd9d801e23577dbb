//! Domains: hosting them, and no longer.

use envelope::{AccountName, Domain, DomainKind, HostedDomain};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::audit::{Actor, Change};
use crate::error::{ChangeError, StoreError};
use crate::rows;
use crate::store::Store;

impl Store {
    /// Hosts a domain.
    ///
    /// # Errors
    /// If it is hosted already, its owner does not exist, or it is (or would make) the sub-domain
    /// of another account.
    pub fn add_domain(
        &self,
        name: Domain,
        kind: DomainKind,
        who: &Actor,
    ) -> Result<HostedDomain, ChangeError> {
        let hosted = HostedDomain { name, kind };
        self.change(who, |change, trail| {
            if kind_of(change, &hosted.name)?.is_some() {
                return Err(ChangeError::DomainExists(hosted.name));
            }
            if let Some((domain, account)) = sub_domain_taken(change, &hosted)? {
                return Err(ChangeError::SubDomainTaken { domain, account });
            }
            match &hosted.kind {
                DomainKind::Provider => {
                    change
                        .prepare_cached("INSERT INTO domains (name, kind) VALUES (?1, 'provider')")?
                        .execute([hosted.name.as_str()])?;
                }
                DomainKind::Virtual { owner } => {
                    let inserted = change
                        .prepare_cached(
                            "INSERT INTO domains (name, kind, owner)
                             SELECT ?1, 'virtual', id FROM accounts WHERE name = ?2",
                        )?
                        .execute([hosted.name.as_str(), owner.as_str()])?;
                    if inserted == 0 {
                        return Err(ChangeError::NoSuchAccount(owner.clone()));
                    }
                }
            }
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
            let mut all = reader.prepare_cached(
                "SELECT domains.name, kind, accounts.name FROM domains
                 LEFT JOIN accounts ON accounts.id = owner ORDER BY domains.id",
            )?;
            let domains = all.query_map([], |row| {
                let kind = match kind(row, 1)? {
                    Kind::Provider => DomainKind::Provider,
                    Kind::Virtual => DomainKind::Virtual { owner: rows::parsed(row, 2)? },
                };
                Ok(HostedDomain { name: rows::parsed(row, 0)?, kind })
            })?;
            Ok(domains.collect::<Result<_, _>>()?)
        })
    }

    /// No longer hosts a domain.
    ///
    /// # Errors
    /// If it is not hosted, or it is the only provider domain and there are accounts.
    pub fn remove_domain(&self, name: &Domain, who: &Actor) -> Result<(), ChangeError> {
        self.change(who, |change, trail| {
            let kind = kind_of(change, name)?.ok_or_else(|| ChangeError::NoSuchDomain(name.clone()))?;
            if matches!(kind, Kind::Provider) {
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
}

/// What the column `kind` says.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Provider,
    Virtual,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Provider => "provider",
            Kind::Virtual => "virtual",
        }
    }
}

/// Reads the column `kind`.
pub(crate) fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<Kind> {
    rows::one_of(row, column, &[Kind::Provider, Kind::Virtual], Kind::as_str)
}

/// A hosted domain that is the sub-domain of an account of this name, were there one.
pub(crate) fn hosted_sub_domain(
    connection: &Connection,
    name: &AccountName,
) -> rusqlite::Result<Option<Domain>> {
    connection
        .prepare_cached(
            "SELECT hosted.name FROM domains AS provider
             JOIN domains AS hosted ON hosted.name = ?1 || '.' || provider.name
             WHERE provider.kind = 'provider' LIMIT 1",
        )?
        .query_row([name.as_str()], |row| rows::parsed(row, 0))
        .optional()
}

/// What kind of domain of ours this is, if it is one.
fn kind_of(connection: &Connection, name: &Domain) -> rusqlite::Result<Option<Kind>> {
    connection
        .prepare_cached("SELECT kind FROM domains WHERE name = ?1")?
        .query_row([name.as_str()], |row| kind(row, 0))
        .optional()
}

/// The sub-domain on which `new` and an account would both have a claim, and the account. Who owns
/// both, has no quarrel.
fn sub_domain_taken(
    connection: &Connection,
    new: &HostedDomain,
) -> rusqlite::Result<Option<(Domain, AccountName)>> {
    if let Some((label, parent)) = new.name.split_first_label()
        && let Ok(account) = AccountName::parse(label)
        && !matches!(&new.kind, DomainKind::Virtual { owner } if *owner == account)
        && matches!(kind_of(connection, &parent)?, Some(Kind::Provider))
        && exists(connection, &account)?
    {
        return Ok(Some((new.name.clone(), account)));
    }
    if new.kind != DomainKind::Provider {
        return Ok(None);
    }
    connection
        .prepare_cached(
            "SELECT domains.name, accounts.name FROM accounts
             JOIN domains ON domains.name = accounts.name || '.' || ?1
             WHERE domains.owner IS NOT accounts.id LIMIT 1",
        )?
        .query_row([new.name.as_str()], |row| Ok((rows::parsed(row, 0)?, rows::parsed(row, 1)?)))
        .optional()
}

fn exists(connection: &Connection, account: &AccountName) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM accounts WHERE name = ?1")?.exists([account.as_str()])
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
}
