//! A member's addresses, and the consent of whom they lead to.
//!
//! | file | what it does |
//! |---|---|
//! | `sheets.rs` | addresses as the form shows them |
//! | `saving.rs` | what the form says, written |
//! | `consent.rs` | what the owner of a destination answers |

mod consent;
mod saving;
mod sheets;
#[cfg(test)]
mod tests;

pub(super) use sheets::Names;

use std::sync::atomic::Ordering::Relaxed;

use directory::{Actor, ChangeError, Editing, Extension, Instructions, StoreError};
use envelope::{AccountName, Address, Destination};
use link::services::directory::visits::{Denied, Own, Version, Visit};
use tracing::warn;

use super::Visitor;
use crate::roles::directory::Desk;

/// An address of the visitor's own, and under which name its instructions stand or would.
struct Place {
    extension: Extension,
    /// As he knows it.
    address: String,
}

/// Why an edit was given up.
enum Stopped {
    Denied(Denied),
    /// Somebody else was quicker: the visitor is shown how it stands.
    Changed,
}

impl Desk {
    pub(super) fn own_addresses(&self, visitor: &Visitor, own: Own) -> Result<Visit, Denied> {
        let account = &visitor.standing.account;
        match own {
            Own::Addresses { search, after, limit } => {
                self.own_sheets(account, &search, after.as_deref(), limit)
            }
            Own::Address(address) => {
                let place = self.place(account, &address)?;
                Ok(Visit::Address(Box::new(self.sheet(account, &place)?)))
            }
            Own::SaveAddress(order) => self.save_address(account, *order),
            Own::SwitchAddress { address, version, active } => {
                let place = self.place(account, &address)?;
                self.edit(account, &place, |editing| {
                    let own = self.seen(editing, &place, version)?.ok_or(Denied::NotFound)?;
                    if own.active != active {
                        if active {
                            self.check_for_circle_of(account, &place.extension, &own.text)?;
                        }
                        editing.set_active(&place.extension, active)?;
                    }
                    Ok(())
                })?;
                Ok(Visit::Address(Box::new(self.sheet(account, &place)?)))
            }
            Own::RemoveAddress { address, version } => {
                let place = self.place(account, &address)?;
                self.edit(account, &place, |editing| {
                    self.seen(editing, &place, version)?.ok_or(Denied::NotFound)?;
                    Ok(editing.remove(&place.extension)?)
                })?;
                Ok(Visit::Done)
            }
            Own::AskDestination { address, destination } => {
                self.ask_destination(visitor, &address, &destination)
            }
            _ => Err(Denied::Unavailable),
        }
    }

    /// Where an address of this account has its instructions. Nobody's and another's are told alike.
    fn place(&self, account: &AccountName, address: &Address) -> Result<Place, Denied> {
        let local_part = address.local_part.folded();
        let known_as = format!("{local_part}@{}", address.host);
        if let Destination::Local(local) = self.resolve(address).map_err(|error| unavailable(&error))?
            && local.mailbox.account == *account
        {
            // All that reaches the account can be seen, but not all can have instructions of its own.
            let extension = Extension::parse(local.extension.as_deref());
            let extension = extension.map_err(|_| Denied::NotSensible("address".into()))?;
            return Ok(Place { extension, address: known_as });
        }
        // What the plan gives no more, and was written when it did, is still his to see and to remove.
        if address.host.to_string() == format!("{account}.{}", self.domain)
            && let Ok(extension) = Extension::parse(Some(&local_part))
            && let Ok(Some(_)) = self.store.instructions(account, &extension)
        {
            return Ok(Place { extension, address: known_as });
        }
        Err(Denied::NotFound)
    }

    /// Edits one address.
    fn edit<T>(
        &self,
        account: &AccountName,
        place: &Place,
        edit: impl FnOnce(&mut Editing<'_, '_>) -> Result<T, Stopped>,
    ) -> Result<T, Denied> {
        match self.store.edit_instructions(account, &Actor::Account(account.clone()), edit) {
            Ok(done) => Ok(done),
            Err(Stopped::Denied(denied)) => Err(denied),
            Err(Stopped::Changed) => Err(Denied::Changed(Box::new(self.sheet(account, place)?))),
        }
    }

    /// The instructions of an address, if they are what the visitor saw.
    fn seen(
        &self,
        editing: &Editing<'_, '_>,
        place: &Place,
        version: Version,
    ) -> Result<Option<Instructions>, Stopped> {
        let own = editing.instructions(&place.extension)?;
        if version_of(own.as_ref()) != version {
            return Err(Stopped::Changed);
        }
        Ok(own)
    }

    /// Whether mail may go there only if the owner of the mailbox agrees: it is none of ours.
    fn needs_consent(&self, destination: &Address) -> Result<bool, StoreError> {
        Ok(self.confirm_destinations.load(Relaxed)
            && matches!(self.resolve(destination)?, Destination::Elsewhere | Destination::Relayed))
    }
}

/// The version of an address's own instructions, and of none.
fn version_of(own: Option<&Instructions>) -> Version {
    Version(own.map_or(0, Instructions::fingerprint))
}

fn unavailable(error: &StoreError) -> Denied {
    warn!(event = "directory_unreadable", %error);
    Denied::Unavailable
}

impl From<Denied> for Stopped {
    fn from(denied: Denied) -> Stopped {
        Stopped::Denied(denied)
    }
}

impl From<ChangeError> for Stopped {
    fn from(error: ChangeError) -> Stopped {
        Stopped::Denied(match error {
            ChangeError::Store(error) => unavailable(&error),
            // The account was removed just now.
            ChangeError::NoSuchAccount(_) => Denied::SignIn,
            error => Denied::Refused(error.to_string()),
        })
    }
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Stopped {
        Stopped::Denied(unavailable(&error))
    }
}
