//! Where an address leads, and what its owner wants done with its mail.

use std::ops::Range;

use directory::{Snapshot, StoreError};
use envelope::{AccountName, Address, Destination, Host};
use link::services::directory::{Away, Route};
use link::services::local::{Orders, OwnerAddress};
use local::dot_qmail::{self, Context, Instruction, Instructions, OwnerFiles};

use super::Desk;

impl Desk {
    /// Where an address leads.
    pub(super) fn resolve(&self, address: &Address) -> Result<Destination, StoreError> {
        self.store.snapshot(|snapshot| self.resolve_at(snapshot, address))
    }

    /// Where an address leads, and what its owner wants done with its mail, all of one moment.
    pub(super) fn route(&self, address: &Address) -> Result<Route, StoreError> {
        self.store.snapshot(|snapshot| {
            let leads_to = self.resolve_at(snapshot, address)?;
            let Destination::Local(local) = &leads_to else {
                return Ok(Route { leads_to, orders: None, away: None });
            };
            let account = &local.mailbox.account;
            let orders = self.orders(snapshot, account, local.extension.as_deref())?;
            let away = snapshot.absent(account)?.map(|Range { start, end }| Away { from: start, until: end });
            Ok(Route { leads_to, orders, away })
        })
    }

    /// The postmaster of this host is the provider's: mail to him must be taken without a domain too
    /// (RFC 5321 §4.5.1), which then is the host's name. So is mail for root, and for programs that are
    /// nobody's.
    pub(super) fn resolve_at(
        &self,
        snapshot: &Snapshot<'_>,
        address: &Address,
    ) -> Result<Destination, StoreError> {
        let local_part = address.local_part.as_str();
        if address.host.domain() == Some(&self.host)
            && ["postmaster", "root", "anonymous"].iter().any(|role| local_part.eq_ignore_ascii_case(role))
        {
            let host = Host::Domain(self.domain.clone());
            return snapshot.resolve(&Address::new(address.local_part.clone(), host));
        }
        snapshot.resolve(address)
    }

    fn orders(
        &self,
        snapshot: &Snapshot<'_>,
        account: &AccountName,
        extension: Option<&str>,
    ) -> Result<Option<Orders>, StoreError> {
        for candidate in dot_qmail::candidates(extension) {
            let Some(text) = snapshot.instructions(account, candidate.name.as_str())? else { continue };
            let plan = snapshot.effective_plan(account)?.unwrap_or_default();
            return Ok(Some(Orders {
                owner: owner(snapshot, account, extension, &text)?,
                text,
                default_part: candidate.default_part.map(Into::into),
                programs: self.programs && plan.programs,
                files: plan.files,
            }));
        }
        Ok(None)
    }
}

/// Whether this sends the message on, or tells a program under which sender it might.
fn sends_on(instruction: &Instruction) -> bool {
    matches!(instruction, Instruction::Forward(_) | Instruction::Program(_))
}

/// Whether the address has an owner of its own, which matters only if something is forwarded. A text that
/// cannot be obeyed forwards nothing: delivery finds out.
fn owner(
    snapshot: &Snapshot<'_>,
    account: &AccountName,
    extension: Option<&str>,
    text: &str,
) -> Result<OwnerAddress, StoreError> {
    let forwards = Instructions::parse(text.as_bytes(), &Context::default())
        .is_ok_and(|instructions| instructions.as_slice().iter().any(sends_on));
    let Some(files) = OwnerFiles::of(extension).filter(|_| forwards) else { return Ok(OwnerAddress::None) };
    if !snapshot.has_instructions(account, files.owner.as_str())? {
        return Ok(OwnerAddress::None);
    }
    Ok(match snapshot.has_instructions(account, files.owner_default.as_str())? {
        true => OwnerAddress::OwnerAndDefault,
        false => OwnerAddress::Owner,
    })
}

#[cfg(test)]
mod tests {
    use envelope::{Overrides, Plan};

    use super::*;
    use crate::roles::directory::example::{WHO, desk, name};

    fn set(desk: &Desk, file: &str, text: &str) {
        let extension = directory::Extension::of_file(file).unwrap();
        desk.store.set_instructions(&name("abc"), &extension, text, |_, _: &Plan| Ok(()), &WHO).unwrap();
    }

    fn orders(desk: &Desk, address: &str) -> Option<Orders> {
        desk.route(&address.parse().unwrap()).unwrap().orders
    }

    #[test]
    fn a_route_has_the_instructions_that_count_and_what_default_stands_for() {
        let (_folder, desk) = desk(true);
        set(&desk, ".qmail-foo", "&a@x.example\n");
        set(&desk, ".qmail-foo-default", "&b@x.example\n");
        for (address, text, default_part) in [
            ("foo@abc.pobox.example", Some("&a@x.example\n"), None),
            ("abc-Foo@pobox.example", Some("&a@x.example\n"), None),
            ("foo-Bar@abc.pobox.example", Some("&b@x.example\n"), Some("Bar")),
            ("abc@pobox.example", None, None),
            ("bar@abc.pobox.example", None, None),
            ("foo@elsewhere.example", None, None),
        ] {
            let found = orders(&desk, address);
            assert_eq!(found.as_ref().map(|orders| orders.text.as_str()), text, "{address}");
            assert_eq!(found.and_then(|orders| orders.default_part).as_deref(), default_part, "{address}");
        }
        let postmaster = desk.route(&"postmaster@mail.pobox.example".parse().unwrap()).unwrap();
        assert!(matches!(postmaster.leads_to, Destination::Local(_)));
    }

    #[test]
    fn an_owner_counts_only_where_something_is_forwarded() {
        let (_folder, desk) = desk(true);
        let owner = || orders(&desk, "list@abc.pobox.example").unwrap().owner;
        set(&desk, ".qmail-list", "&a@x.example\n");
        set(&desk, ".qmail-list-owner-default", "./Maildir/\n");
        assert_eq!(owner(), OwnerAddress::None);
        set(&desk, ".qmail-list-owner", "./Maildir/\n");
        assert_eq!(owner(), OwnerAddress::OwnerAndDefault);
        desk.store
            .remove_instructions(
                &name("abc"),
                &directory::Extension::of_file(".qmail-list-owner-default").unwrap(),
                &WHO,
            )
            .unwrap();
        assert_eq!(owner(), OwnerAddress::Owner);
        for text in ["./Maildir/\n", "# nothing\n", "\nnot obeyed\n"] {
            set(&desk, ".qmail-list", text);
            assert_eq!(owner(), OwnerAddress::None, "{text}");
        }
    }

    #[test]
    fn programs_need_leave_of_the_plan_and_of_the_server() {
        for (server, account) in [(true, true), (true, false), (false, true)] {
            let (_folder, desk) = desk(server);
            set(&desk, ".qmail", "|cat\n");
            let overrides = Overrides { programs: Some(account), files: Some(true), ..Overrides::default() };
            desk.store.set_overrides(&name("abc"), &overrides, &WHO).unwrap();
            let orders = orders(&desk, "abc@pobox.example").unwrap();
            assert_eq!((orders.programs, orders.files), (server && account, true));
        }
    }
}
