//! Addresses as the form shows them.

use directory::{ConsentState, Extension, Instructions, Snapshot, Sought, StoreError};
use envelope::{AccountName, Domain, Prefix};
use link::services::directory::visits::{AddressSheet, Denied, Destination, DestinationState, Visit};
use local::dot_qmail::{self, Form};

use super::{Place, unavailable, version_of};
use crate::roles::directory::Desk;

/// The most addresses that are told at once, and about how many octets of their texts.
const PAGE_MAX: usize = 500;
const PAGE_OCTETS: usize = 1 << 20;

/// How an account's addresses are called.
pub(in super::super) struct Names {
    account: AccountName,
    /// The provider's domain.
    domain: Domain,
    /// Whether the account has addresses in its own sub-domain.
    sub_domain: bool,
    virtual_domains: Vec<(Domain, Option<Prefix>)>,
}

impl Names {
    /// The name of the address whose file has this name after `.qmail`: one by which it is reached.
    pub(in super::super) fn of(&self, name: &str) -> String {
        let Names { account, domain, .. } = self;
        let Some(extension) = name.strip_prefix('-') else { return format!("{account}@{domain}") };
        if extension.is_empty() {
            // Its part before the @ would be empty in the sub-domain.
            return format!("{account}-@{domain}");
        }
        for (at, prefix) in &self.virtual_domains {
            let Some(prefix) = prefix else { continue };
            let rest = extension.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('-'));
            if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                return format!("{}@{at}", rest.replace(':', "."));
            }
        }
        let local_part = extension.replace(':', ".");
        let mut whole = self.virtual_domains.iter().filter(|(_, prefix)| prefix.is_none());
        match whole.next() {
            Some((at, _)) if !self.sub_domain => format!("{local_part}@{at}"),
            _ => format!("{local_part}@{account}.{domain}"),
        }
    }
}

impl Desk {
    /// A page of an account's addresses, the standard one first though it may have no instructions.
    pub(super) fn own_sheets(
        &self,
        account: &AccountName,
        search: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Visit, Denied> {
        let after = after.map(Extension::of_file).transpose();
        let after = after.map_err(|_| Denied::NotSensible("after".into()))?;
        let limit = usize::try_from(limit).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let sought = search.trim().to_lowercase();
        let names = self.names(account).map_err(|error| unavailable(&error))?;
        let wanted = |one: Sought<'_>| sought.is_empty() || is_found(&sought, &names, one);
        let page = self.store.search_instructions(account, after.as_ref(), limit + 1, wanted);
        let page = page.map_err(|error| match super::Stopped::from(error) {
            super::Stopped::Denied(denied) => denied,
            super::Stopped::Changed => Denied::Unavailable,
        })?;

        let mut places: Vec<(Extension, Option<Instructions>)> =
            page.into_iter().map(|own| (own.extension.clone(), Some(own))).collect();
        let standard = Extension::standard();
        if after.is_none()
            && places.first().is_none_or(|(first, _)| *first != standard)
            && wanted(Sought { name: "", text: "", label: None })
            && let Ok(None) = self.store.instructions(account, &standard)
        {
            places.insert(0, (standard, None));
        }
        let mut octets = 0;
        let fit = places.iter().take(limit).take_while(|(_, own)| {
            octets += own.as_ref().map_or(0, |own| own.text.len());
            octets <= PAGE_OCTETS
        });
        let fit = fit.count().max(1);
        let more = places.len() > fit;
        places.truncate(fit);
        let sheets = self.store.snapshot(|snapshot| {
            let sheet = |(extension, own): (Extension, Option<Instructions>)| {
                let address = names.of(extension.file_name().strip_prefix(".qmail").unwrap_or_default());
                self.sheet_at(snapshot, account, &Place { extension, address }, own)
            };
            places.into_iter().map(sheet).collect()
        });
        Ok(Visit::Addresses { sheets: sheets.map_err(|error| unavailable(&error))?, more })
    }

    /// How an account's addresses are called.
    pub(in super::super) fn names(&self, account: &AccountName) -> Result<Names, StoreError> {
        self.store.snapshot(|snapshot| {
            let plan = snapshot.effective_plan(account)?.unwrap_or_default();
            Ok(Names {
                account: account.clone(),
                domain: self.domain.clone(),
                sub_domain: plan.sub_domain_addresses,
                virtual_domains: snapshot.virtual_domains(account)?,
            })
        })
    }

    /// One address, as it stands.
    pub(super) fn sheet(&self, account: &AccountName, place: &Place) -> Result<AddressSheet, Denied> {
        let sheet = self.store.snapshot(|snapshot| {
            let own = snapshot.own_instructions(account, &place.extension)?;
            self.sheet_at(snapshot, account, place, own)
        });
        sheet.map_err(|error| unavailable(&error))
    }

    fn sheet_at(
        &self,
        snapshot: &Snapshot<'_>,
        account: &AccountName,
        place: &Place,
        own: Option<Instructions>,
    ) -> Result<AddressSheet, StoreError> {
        let version = version_of(own.as_ref());
        let form = match &own {
            Some(own) => Form::read(own.text.as_bytes()),
            None => Form::read(in_force(snapshot, account, &place.extension)?.as_bytes()),
        };
        let mut interim = false;
        let mut destinations = Vec::with_capacity(form.destinations.len());
        for (address, on) in &form.destinations {
            let state = match on {
                true => DestinationState::On,
                false => match snapshot.consent(account, address, &place.extension)? {
                    Some(consent) if consent.state == ConsentState::Asked && consent.wanted => {
                        interim |= consent.interim;
                        DestinationState::Asked
                    }
                    Some(consent) if consent.state == ConsentState::Declined => DestinationState::Declined,
                    _ => DestinationState::Off,
                },
            };
            destinations.push(Destination { address: address.clone(), state });
        }
        let text_of = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
        Ok(AddressSheet {
            address: place.address.clone(),
            file: place.extension.file_name(),
            version,
            exists: own.is_some(),
            active: own.as_ref().is_none_or(|own| own.active),
            label: own.as_ref().and_then(|own| own.label.as_ref()).map(ToString::to_string),
            keep: form.keep && !interim,
            destinations,
            other_lines: form.other_lines().map(text_of).collect(),
            updated: own.as_ref().map_or(0, |own| own.updated),
            text: own.map(|own| own.text).unwrap_or_default(),
            forward_limit: snapshot.effective_plan(account)?.unwrap_or_default().forward_limit,
        })
    }
}

/// The text that counts for an address that has none of its own: that of a default, or an empty one, which is the
/// mailbox.
pub(super) fn in_force(
    snapshot: &Snapshot<'_>,
    account: &AccountName,
    extension: &Extension,
) -> Result<String, StoreError> {
    let file = extension.file_name();
    for candidate in dot_qmail::candidates(file.strip_prefix(".qmail-")) {
        if let Some(text) = snapshot.instructions(account, candidate.name.as_str())? {
            return Ok(text);
        }
    }
    Ok(String::new())
}

/// Whether the address, its label or a destination has this text in it, in lower case.
fn is_found(sought: &str, names: &Names, one: Sought<'_>) -> bool {
    let has = |text: &str| text.to_lowercase().contains(sought);
    names.of(one.name).contains(sought)
        || one.label.is_some_and(has)
        // Other lines may have it too: only then a closer look is worth its while.
        || has(one.text)
            && Form::read(one.text.as_bytes()).destinations.iter().any(|(address, _)| has(&address.to_string()))
}
