//! Where an address leads: the one function for RCPT and for delivery.
//!
//! With a provider domain `pobox.example` and an account `abc`:
//!
//! | address | leads to |
//! |---|---|
//! | `abc@pobox.example` | abc |
//! | `abc-foo@`, `abc+foo@pobox.example` | abc, unless an account has a longer part of it as its name |
//! | `foo@abc.pobox.example`, whatever foo is | abc |
//! | `postmaster@`, `abuse@`, `root@pobox.example` | the account of that name, else the oldest operator, else the oldest account |
//! | any other local-part under `pobox.example` | its catch-all account, if it has one, else no such mailbox |
//! | `foo@shop.example`, a virtual domain | its owner |
//! | `foo@shop2.example`, an alias of `shop.example` | as `foo@shop.example`; so with an alias of a provider domain, and its sub-domains |
//! | `foo@backup.example`, a relay domain | relayed |
//! | `foo@[192.0.2.1]`, our own address | as under the first provider domain |
//! | `foo@nobody.pobox.example` | no such mailbox: the sub-domains of a provider domain are ours |
//! | anything else | elsewhere |
//!
//! What stands beyond the account's name is the extension, by which its instructions are found; at a
//! virtual domain, and for the postmaster, it is the local-part; if the virtual domain has a prefix, this
//! stands before it: `shop-info` for `info@shop.example`. Where the account's plan has no
//! sub-domain addresses, only its standard address leads to it, and nobody else gets the others. A
//! suspended account goes on receiving. Case makes no difference.

use envelope::{AccountName, Address, Destination, Domain, Host, Limit, LocalAddress, Mailbox, Prefix};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::accounts::read_mailbox;
use crate::anonymous::anonymous;
use crate::domains::{Kind, kind};
use crate::error::StoreError;
use crate::rows;
use crate::store::{Settings, Store};

impl Store {
    /// Where an address leads.
    ///
    /// # Errors
    /// If the store fails: then nothing is known, and the sender must try again later.
    pub fn resolve(&self, address: &Address) -> Result<Destination, StoreError> {
        self.snapshot(|snapshot| snapshot.resolve(address))
    }
}

/// One lookup, at one moment.
pub(crate) struct Lookup<'a> {
    pub(crate) moment: &'a Connection,
    pub(crate) settings: &'a Settings,
}

/// A domain of ours, as far as addresses go.
pub(crate) enum Hosted {
    Provider {
        /// Who gets what is for nobody.
        catch_all: Option<Mailbox>,
    },
    Virtual {
        owner: Mailbox,
        prefix: Option<Prefix>,
    },
    Relay,
}

/// The columns of a domain, or of the one that it is an alias of.
macro_rules! hosted {
    () => {
        "target.kind, owner.name, owner.maildir, catch_all.name, catch_all.maildir, target.prefix"
    };
}

/// Who owns it, and who gets what is for nobody.
macro_rules! people {
    () => {
        "LEFT JOIN accounts AS owner ON owner.id = target.owner
         LEFT JOIN accounts AS catch_all ON catch_all.id = target.catch_all"
    };
}

/// An account, as far as addresses go.
struct Owner {
    mailbox: Mailbox,
    /// Whether its plan has addresses beside the standard one.
    sub_domain_addresses: bool,
    quota: Limit,
}

impl Lookup<'_> {
    pub(crate) fn resolve(&self, address: &Address) -> rusqlite::Result<Destination> {
        let local_part = address.local_part.as_str();
        let domain = match &address.host {
            Host::Domain(domain) => domain,
            Host::Literal(ip) => {
                let ip = ip.to_canonical();
                let own = self.settings.own_addresses.iter().any(|own| own.to_canonical() == ip);
                if own && let Some(Hosted::Provider { catch_all }) = self.first_provider()? {
                    return self.under_provider(local_part, catch_all);
                }
                return Ok(Destination::Elsewhere);
            }
        };
        match self.hosted(domain)? {
            Some(Hosted::Provider { catch_all }) => self.under_provider(local_part, catch_all),
            Some(Hosted::Virtual { owner, prefix: None }) => self.at_mailbox(owner, local_part),
            Some(Hosted::Virtual { owner, prefix: Some(prefix) }) => {
                self.at_mailbox(owner, &format!("{prefix}-{local_part}"))
            }
            Some(Hosted::Relay) => Ok(Destination::Relayed),
            None => self.sub_domain(local_part, domain),
        }
    }

    /// Anything at `abc.pobox.example`.
    fn sub_domain(&self, local_part: &str, domain: &Domain) -> rusqlite::Result<Destination> {
        if let Some((label, parent)) = domain.split_first_label()
            && let Some(Hosted::Provider { .. }) = self.hosted(&parent)?
        {
            let owner = self.account(label)?.filter(|owner| owner.sub_domain_addresses);
            return Ok(owner.map_or(Destination::NoSuchMailbox, |owner| local(owner, Some(local_part))));
        }
        Ok(Destination::Elsewhere)
    }

    /// A local-part directly under a provider domain.
    fn under_provider(&self, local_part: &str, catch_all: Option<Mailbox>) -> rusqlite::Result<Destination> {
        if let Some(owner) = self.account(local_part)? {
            return Ok(local(owner, None));
        }
        // The longest name first, as qmail-getpw has it: an account `abc-foo` is no extension of abc.
        for (dash, _) in local_part.rmatch_indices(['-', '+']) {
            if let Some(owner) = self.account(&local_part[..dash])? {
                return Ok(match owner.sub_domain_addresses {
                    true => local(owner, Some(&local_part[dash + 1..])),
                    false => Destination::NoSuchMailbox,
                });
            }
        }
        // RFC 5321 §4.5.1 and RFC 2142 §4: these must reach somebody. The third is whom cron writes to.
        if ["postmaster", "abuse", "root"].iter().any(|role| local_part.eq_ignore_ascii_case(role))
            && let Some(operator) = self.operator()?
        {
            return self.at_mailbox(operator, local_part);
        }
        catch_all.map_or(Ok(Destination::NoSuchMailbox), |account| self.at_mailbox(account, local_part))
    }

    /// Mail that reaches an account though its name stands nowhere in the address.
    fn at_mailbox(&self, mailbox: Mailbox, local_part: &str) -> rusqlite::Result<Destination> {
        let owner = self.account(mailbox.account.as_str())?;
        Ok(owner.map_or(Destination::NoSuchMailbox, |owner| local(owner, Some(local_part))))
    }

    /// What a domain is to us, if it is ours.
    pub(crate) fn hosted(&self, domain: &Domain) -> rusqlite::Result<Option<Hosted>> {
        self.moment
            .prepare_cached(concat!(
                "SELECT ",
                hosted!(),
                " FROM domains JOIN domains AS target ON target.id = coalesce(domains.target, domains.id) ",
                people!(),
                " WHERE domains.name = ?1"
            ))?
            .query_row([domain.as_str()], |row| self.read_hosted(row))
            .optional()
    }

    /// The provider domain that address literals stand for.
    fn first_provider(&self) -> rusqlite::Result<Option<Hosted>> {
        self.moment
            .prepare_cached(concat!(
                "SELECT ",
                hosted!(),
                " FROM domains AS target ",
                people!(),
                " WHERE target.kind = 'provider' ORDER BY target.id LIMIT 1"
            ))?
            .query_row([], |row| self.read_hosted(row))
            .optional()
    }

    /// Reads a domain from the columns of [`hosted!`].
    fn read_hosted(&self, row: &Row<'_>) -> rusqlite::Result<Hosted> {
        let mailbox = |first| read_mailbox(row, first, &self.settings.maildir_root);
        Ok(match kind(row, 0)? {
            Kind::Provider => {
                let has_catch_all = !matches!(row.get_ref(3)?, ValueRef::Null);
                Hosted::Provider { catch_all: has_catch_all.then(|| mailbox(3)).transpose()? }
            }
            Kind::Virtual => Hosted::Virtual { owner: mailbox(1)?, prefix: rows::parsed_if_any(row, 5)? },
            Kind::Relay => Hosted::Relay,
            Kind::Alias => return Err(rows::unreadable(0, "an alias of an alias")),
        })
    }

    fn account(&self, name: &str) -> rusqlite::Result<Option<Owner>> {
        // Most of what is no account's name is no name at all: no need to look.
        let Ok(name) = AccountName::parse(name) else { return Ok(None) };
        self.moment
            .prepare_cached(
                "SELECT accounts.name, maildir,
                     coalesce(overrides.sub_domain_addresses, plans.sub_domain_addresses),
                     coalesce(overrides.quota_bytes, plans.quota_bytes)
                 FROM accounts INDEXED BY accounts_for_mail JOIN plans ON plans.id = coalesce(plan, 1)
                 LEFT JOIN overrides ON account = accounts.id WHERE accounts.name = ?1",
            )?
            .query_row([name.as_str()], |row| {
                let mailbox = read_mailbox(row, 0, &self.settings.maildir_root)?;
                // As the crate `envelope` writes limits: -1 is unlimited.
                let quota = u64::try_from(row.get::<_, i64>(3)?).map_or(Limit::Unlimited, Limit::AtMost);
                Ok(Owner { mailbox, sub_domain_addresses: row.get(2)?, quota })
            })
            .optional()
    }

    /// The oldest operator, else the oldest account.
    fn operator(&self) -> rusqlite::Result<Option<Mailbox>> {
        self.moment
            .prepare_cached(
                "SELECT name, maildir FROM accounts WHERE id = coalesce(
                     (SELECT min(id) FROM accounts WHERE operator),
                     (SELECT id FROM accounts WHERE name <> ?1 ORDER BY id LIMIT 1))",
            )?
            // Nobody reads what is for the anonymous but the operator.
            .query_row([anonymous().as_str()], |row| read_mailbox(row, 0, &self.settings.maildir_root))
            .optional()
    }
}

fn local(owner: Owner, extension: Option<&str>) -> Destination {
    let Owner { mailbox, quota, .. } = owner;
    Destination::Local(LocalAddress { mailbox, extension: extension.map(Into::into), quota })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use envelope::{AccountState, DomainKind, LocalPart};
    use proptest::prelude::*;

    use super::*;
    use crate::example::{Example, WHO, domain, name, new_account, virtual_of};

    /// The account's name, or why there is none.
    fn to(example: &Example, address: &str) -> String {
        match example.store.resolve(&address.parse().unwrap()).unwrap() {
            Destination::Local(local) => local.mailbox.account.to_string(),
            Destination::NoSuchMailbox => "no such mailbox".into(),
            Destination::Relayed => "relayed".into(),
            Destination::Elsewhere => "elsewhere".into(),
        }
    }

    fn check(example: &Example, table: &[(&str, &str)]) {
        for (address, expected) in table {
            assert_eq!(to(example, address), *expected, "{address}");
        }
    }

    #[test]
    fn an_account_has_its_address_its_extensions_and_its_sub_domain() {
        check(
            &Example::pobox(),
            &[
                ("abc@pobox.example", "abc"),
                ("ABC@Pobox.Example", "abc"),
                ("abc-foo@pobox.example", "abc"),
                ("aBc+Foo.Bar=x@pobox.example", "abc"),
                ("abc-@pobox.example", "abc"),
                ("foo@abc.pobox.example", "abc"),
                ("\"any thing\"@ABC.pobox.example", "abc"),
                ("xyz@abc.pobox.example", "abc"),
                ("postmaster@abc.pobox.example", "abc"),
                ("taro..@abc.pobox.example", "abc"),
            ],
        );
    }

    #[test]
    fn nobody_else_has_an_address_under_a_provider_domain() {
        check(
            &Example::pobox(),
            &[
                ("abcd@pobox.example", "no such mailbox"),
                ("-abc@pobox.example", "no such mailbox"),
                ("abc.foo@pobox.example", "no such mailbox"),
                ("foo@nobody.pobox.example", "no such mailbox"),
                ("\u{212a}@pobox.example", "no such mailbox"),
                ("foo@x.abc.pobox.example", "elsewhere"),
                ("abc@elsewhere.example", "elsewhere"),
                ("abc@example", "elsewhere"),
            ],
        );
    }

    #[test]
    fn a_letter_that_only_folds_to_ascii_is_another_letter() {
        let example = Example::pobox();
        example.add_account("k");
        // U+212A KELVIN SIGN, whose lower case is k.
        check(&example, &[("K@pobox.example", "k"), ("\u{212a}@pobox.example", "no such mailbox")]);
    }

    #[test]
    fn a_virtual_domain_is_its_owners_whatever_stands_before_the_at() {
        check(
            &Example::pobox(),
            &[
                ("order@shop.example", "xyz"),
                ("abc@shop.example", "xyz"),
                ("abuse@SHOP.example", "xyz"),
                ("order@www.shop.example", "elsewhere"),
            ],
        );
    }

    #[test]
    fn the_longest_account_name_wins() {
        let example = Example::pobox();
        example.add_account("abc-foo");
        check(
            &example,
            &[
                ("abc-foo@pobox.example", "abc-foo"),
                ("abc-foo-bar@pobox.example", "abc-foo"),
                ("abc-foo+bar-baz@pobox.example", "abc-foo"),
                ("abc+foo@pobox.example", "abc"),
                ("abc-fo@pobox.example", "abc"),
            ],
        );
    }

    #[test]
    fn postmaster_abuse_and_root_of_a_provider_domain_always_reach_somebody() {
        let example = Example::empty();
        example.add_domain("pobox.example", DomainKind::Provider);
        check(&example, &[("postmaster@pobox.example", "no such mailbox")]);
        example.add_account("abc");
        example.add_account("xyz");
        check(&example, &[("PostMaster@pobox.example", "abc"), ("abuse@pobox.example", "abc")]);
        for operator in ["taro", "hanako"] {
            let new = crate::NewAccount { operator: true, ..new_account(operator) };
            example.store.add_account(new, &WHO).unwrap();
        }
        check(&example, &[("postmaster@pobox.example", "taro"), ("abuse@pobox.example", "taro")]);
        check(&example, &[("Root@pobox.example", "taro"), ("root@abc.pobox.example", "abc")]);
        example.add_account("abuse");
        check(&example, &[("postmaster@pobox.example", "taro"), ("abuse@pobox.example", "abuse")]);
    }

    #[test]
    fn our_own_address_stands_for_the_provider_domain() {
        check(
            &Example::pobox(),
            &[
                ("abc@[192.0.2.1]", "abc"),
                ("abc+foo@[192.0.2.1]", "abc"),
                ("abc@[IPv6:2001:DB8:0::1]", "abc"),
                ("abc@[IPv6:::ffff:192.0.2.1]", "abc"),
                ("nobody@[192.0.2.1]", "no such mailbox"),
                ("abc@[192.0.2.2]", "elsewhere"),
            ],
        );
        check(&Example::empty(), &[("abc@[192.0.2.1]", "elsewhere")]);
    }

    #[test]
    fn an_alias_is_the_domain_that_it_is_an_alias_of() {
        let example = Example::pobox();
        let alias = |of: &str| DomainKind::Alias { of: domain(of) };
        example.add_domain("box.example", alias("pobox.example"));
        example.add_domain("shop2.example", alias("shop.example"));
        check(
            &example,
            &[
                ("abc@box.example", "abc"),
                ("abc+foo@box.example", "abc"),
                ("foo@abc.box.example", "abc"),
                ("postmaster@box.example", "abc"),
                ("nobody@box.example", "no such mailbox"),
                ("foo@nobody.box.example", "no such mailbox"),
                ("order@SHOP2.example", "xyz"),
                ("order@www.shop2.example", "elsewhere"),
            ],
        );
        let same = |a: &str, b: &str| {
            let leads = |address: &str| example.store.resolve(&address.parse().unwrap()).unwrap();
            assert_eq!(leads(a), leads(b));
        };
        same("Foo@abc.box.example", "Foo@abc.pobox.example");
        same("Order@shop2.example", "Order@shop.example");
    }

    #[test]
    fn a_relay_domain_is_relayed_and_its_sub_domains_are_not_ours() {
        let example = Example::pobox();
        example.add_domain("backup.example", DomainKind::Relay);
        check(
            &example,
            &[
                ("anybody@Backup.example", "relayed"),
                ("postmaster@backup.example", "relayed"),
                ("taro..@backup.example", "relayed"),
                ("a@www.backup.example", "elsewhere"),
            ],
        );
    }

    #[test]
    fn a_catch_all_gets_what_is_for_nobody_directly_under_its_domain() {
        let example = Example::pobox();
        example.add_domain("box.example", DomainKind::Alias { of: domain("pobox.example") });
        example.store.set_catch_all(&domain("pobox.example"), Some(&name("xyz")), &WHO).unwrap();
        check(
            &example,
            &[
                ("nobody@pobox.example", "xyz"),
                ("No.Body@box.example", "xyz"),
                ("nobody@[192.0.2.1]", "xyz"),
                ("postmaster@pobox.example", "abc"),
                ("abc-foo@pobox.example", "abc"),
                ("foo@nobody.pobox.example", "no such mailbox"),
            ],
        );
        let found = example.store.resolve(&"No.Body@pobox.example".parse().unwrap()).unwrap();
        assert!(matches!(found, Destination::Local(local) if local.extension.as_deref() == Some("No.Body")));
        // What an account's plan refuses is the account's, not nobody's.
        let none = envelope::Overrides { sub_domain_addresses: Some(false), ..Default::default() };
        example.store.set_overrides(&name("abc"), &none, &WHO).unwrap();
        check(&example, &[("abc-foo@pobox.example", "no such mailbox")]);
    }

    #[test]
    fn a_suspended_account_goes_on_receiving() {
        let example = Example::pobox();
        example.store.set_state(&name("abc"), AccountState::Suspended, &WHO).unwrap();
        check(&example, &[("abc@pobox.example", "abc")]);
    }

    #[test]
    fn each_provider_domain_has_every_account() {
        let example = Example::pobox();
        example.add_domain("box.example", DomainKind::Provider);
        check(&example, &[("abc@box.example", "abc"), ("foo@abc.box.example", "abc")]);
    }

    #[test]
    fn a_domain_in_other_letters_is_found_by_both_of_its_forms() {
        let example = Example::pobox();
        example.add_domain("飛脚.example", virtual_of("abc"));
        let ascii = format!("foo@{}", domain("飛脚.example").to_ascii());
        check(&example, &[("foo@飛脚.example", "abc"), (&ascii, "abc")]);
    }

    #[test]
    fn what_was_removed_resolves_no_more() {
        let example = Example::pobox();
        example.store.remove_domain(&domain("shop.example"), &WHO).unwrap();
        example.store.remove_account(&name("xyz"), &WHO).unwrap();
        check(
            &example,
            &[
                ("order@shop.example", "elsewhere"),
                ("xyz@pobox.example", "no such mailbox"),
                ("foo@xyz.pobox.example", "no such mailbox"),
            ],
        );
    }

    #[test]
    fn a_prefix_keeps_the_addresses_of_two_domains_of_one_owner_apart() {
        let example = Example::pobox();
        let shop = DomainKind::Virtual { owner: name("xyz"), prefix: Some("club".parse().unwrap()) };
        example.add_domain("club.example", shop);
        example.add_domain("club2.example", DomainKind::Alias { of: domain("club.example") });
        for (address, extension) in [
            ("info@shop.example", "info"),
            ("Info@club.example", "club-Info"),
            ("info@club2.example", "club-info"),
            ("club-info@xyz.pobox.example", "club-info"),
        ] {
            let found = example.store.resolve(&address.parse().unwrap()).unwrap();
            let Destination::Local(local) = found else { panic!("{address}: {found:?}") };
            assert_eq!(local.extension.as_deref(), Some(extension), "{address}");
        }
        // Any address of the domain logs in as its owner all the same.
        example.set_password("xyz", "xyz-try");
        assert!(example.store.login("info@club.example", "xyz-try").is_ok());
    }

    #[test]
    fn a_mailbox_is_the_maildir_of_its_account() {
        let example = Example::pobox();
        let account = example.store.account(&name("abc")).unwrap().unwrap();
        let found = example.store.resolve(&"foo@abc.pobox.example".parse().unwrap()).unwrap();
        assert!(account.maildir.starts_with(Path::new("/var/mail/hikyaku")));
        let mailbox = Mailbox { account: account.name, maildir: account.maildir };
        let (extension, quota) = (Some("foo".into()), Limit::Unlimited);
        assert_eq!(found, Destination::Local(LocalAddress { mailbox, extension, quota }));
    }

    #[test]
    fn the_extension_is_what_the_sender_wrote_beyond_the_accounts_name() {
        let example = Example::pobox();
        for (address, extension) in [
            ("abc@pobox.example", None),
            ("ABC@[192.0.2.1]", None),
            ("abc-@pobox.example", Some("")),
            ("abc-Foo.Bar@pobox.example", Some("Foo.Bar")),
            ("abc+foo-bar@pobox.example", Some("foo-bar")),
            ("Foo@abc.pobox.example", Some("Foo")),
            ("abc@abc.pobox.example", Some("abc")),
            ("Order@shop.example", Some("Order")),
            ("xyz@shop.example", Some("xyz")),
            ("Abuse@pobox.example", Some("Abuse")),
        ] {
            match example.store.resolve(&address.parse().unwrap()).unwrap() {
                Destination::Local(local) => assert_eq!(local.extension.as_deref(), extension, "{address}"),
                other => panic!("{address}: {other:?}"),
            }
        }
    }

    #[test]
    fn any_local_part_gets_an_answer_and_the_longest_account_wins() {
        let example = Example::empty();
        example.add_domain("pobox.example", DomainKind::Provider);
        let accounts = ["a", "b", "a-a", "a-a-b", "b-a"];
        accounts.iter().for_each(|account| example.add_account(account));
        let model = |local: &str| {
            let fits = |account: &&&str| {
                local.strip_prefix(**account).is_some_and(|ext| ext.is_empty() || ext.starts_with(['-', '+']))
            };
            accounts.iter().filter(fits).max_by_key(|account| account.len()).map_or("no such mailbox", |a| *a)
        };
        proptest!(|(local in "[ab+-]{1,10}")| {
            prop_assert_eq!(to(&example, &format!("{local}@pobox.example")), model(&local));
        });
        proptest!(|(local in "\\PC{1,64}", host in 0..3usize)| {
            let host = ["pobox.example", "a.pobox.example", "elsewhere.example"][host];
            if let Ok(local_part) = LocalPart::new(&local) {
                let address = Address::new(local_part, Host::parse(host).unwrap());
                prop_assert!(example.store.resolve(&address).is_ok());
            }
        });
    }
}
