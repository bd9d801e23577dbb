//! Editing: what is read, judged and written is of one moment, so two who edit at once lose nothing.

use envelope::{AccountName, Address, Plan};

use crate::audit::{Actor, Change};
use crate::consents::{self, AskedEnough, Consent};
use crate::error::ChangeError;
use crate::extension::Extension;
use crate::instructions::{Instructions, Writing, one};
use crate::label::Label;
use crate::store::{Store, Trail};

/// One account's instructions, and the consent of whom they lead to, while nobody else changes them.
pub struct Editing<'a, 'b> {
    writing: Writing<'a>,
    trail: &'a mut Trail<'b>,
}

impl Store {
    /// Has an account's instructions edited in one transaction. If `edit` refuses, nothing is changed.
    ///
    /// # Errors
    /// What `edit` says, or if there is no such account or the store fails.
    pub fn edit_instructions<T, E: From<ChangeError>>(
        &self,
        account: &AccountName,
        who: &Actor,
        edit: impl FnOnce(&mut Editing<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.change_unless(who, |change, trail| {
            edit(&mut Editing { writing: Writing::begin(change, account)?, trail })
        })
    }
}

impl Editing<'_, '_> {
    /// What the account may.
    pub fn plan(&self) -> &Plan {
        &self.writing.plan
    }

    /// The instructions of an address, if it has any of its own.
    ///
    /// # Errors
    /// If the store fails.
    pub fn instructions(&self, extension: &Extension) -> Result<Option<Instructions>, ChangeError> {
        Ok(one(self.writing.change, self.writing.id, extension)?)
    }

    /// How many addresses have instructions of their own.
    ///
    /// # Errors
    /// If the store fails.
    pub fn count(&self) -> Result<u32, ChangeError> {
        let mut count =
            self.writing.change.prepare_cached("SELECT count(*) FROM instructions WHERE account = ?1")?;
        Ok(count.query_row([self.writing.id], |row| row.get(0))?)
    }

    /// Writes the instructions of an address; new ones are obeyed if `active`, old ones as before. The caller has
    /// checked the text.
    ///
    /// # Errors
    /// If it is over 64 KiB or has a NUL, or the store fails.
    pub fn write(&mut self, extension: &Extension, text: &str, active: bool) -> Result<(), ChangeError> {
        let new = self.instructions(extension)?.is_none();
        self.writing.write(extension, text, |_, _| Ok(()))?;
        self.trail.note(&Change::InstructionsSet(self.writing.account, extension, text.len()))?;
        if new && !active {
            self.set_active(extension, false)?;
        }
        Ok(())
    }

    /// Has instructions obeyed, or not.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_active(&mut self, extension: &Extension, active: bool) -> Result<(), ChangeError> {
        self.writing
            .change
            .prepare_cached("UPDATE instructions SET active = ?3 WHERE account = ?1 AND name = ?2")?
            .execute((self.writing.id, extension.key(), active))?;
        Ok(self.trail.note(&Change::InstructionsActive(self.writing.account, extension, active))?)
    }

    /// Labels instructions, or takes their label away.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_label(&mut self, extension: &Extension, label: Option<&Label>) -> Result<(), ChangeError> {
        self.writing
            .change
            .prepare_cached("UPDATE instructions SET label = ?3 WHERE account = ?1 AND name = ?2")?
            .execute((self.writing.id, extension.key(), label.map(Label::as_str)))?;
        Ok(self.trail.note(&Change::InstructionsLabelled(self.writing.account, extension))?)
    }

    /// Removes the instructions of an address; nobody's consent is waited for any more.
    ///
    /// # Errors
    /// If the store fails.
    pub fn remove(&mut self, extension: &Extension) -> Result<(), ChangeError> {
        self.want_none(extension)?;
        self.writing
            .change
            .prepare_cached("DELETE FROM instructions WHERE account = ?1 AND name = ?2")?
            .execute((self.writing.id, extension.key()))?;
        Ok(self.trail.note(&Change::InstructionsRemoved(self.writing.account, extension))?)
    }

    /// What the owner of a destination said, if he was ever asked.
    ///
    /// # Errors
    /// If the store fails.
    pub fn consent(&self, destination: &Address, of: &Extension) -> Result<Option<Consent>, ChangeError> {
        Ok(consents::find(self.writing.change, self.writing.id, destination, of)?)
    }

    /// Notes that he is asked now by a mail, whose link is opened by what has this digest; earlier links of the
    /// account to him are void. `now` in seconds since 1970.
    ///
    /// # Errors
    /// If the store fails. Inside: if he cannot be asked now.
    pub fn ask_consent(
        &mut self,
        destination: &Address,
        link: &[u8; 32],
        now: u64,
    ) -> Result<Result<(), AskedEnough>, ChangeError> {
        let asked = consents::ask(self.writing.change, self.writing.id, destination, link, now)?;
        if asked.is_ok() {
            self.trail.note(&Change::ConsentAsked(self.writing.account, destination))?;
        }
        Ok(asked)
    }

    /// Notes that a destination whose owner was asked is wanted in an address: there a yes switches it on. `interim`
    /// says that the mailbox has a copy only until then.
    ///
    /// # Errors
    /// If the store fails.
    pub fn want(&mut self, destination: &Address, of: &Extension, interim: bool) -> Result<(), ChangeError> {
        Ok(consents::want(self.writing.change, self.writing.id, destination, of, interim)?)
    }

    /// Notes that no such destination is wanted in an address.
    ///
    /// # Errors
    /// If the store fails.
    pub fn want_none(&mut self, of: &Extension) -> Result<(), ChangeError> {
        Ok(consents::want_none(self.writing.change, self.writing.id, of)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Example, WHO, name};

    #[test]
    fn what_is_refused_in_the_middle_changes_nothing_and_leaves_no_trail() {
        let example = Example::pobox();
        let foo = Extension::parse(Some("foo")).unwrap();
        let before = example.store.audit_trail(100).unwrap();
        let refused: Result<(), ChangeError> =
            example.store.edit_instructions(&name("abc"), &WHO, |editing| {
                editing.write(&foo, "&a@x.example\n", false)?;
                assert!(editing.instructions(&foo)?.is_some_and(|now| !now.active));
                editing.set_label(&foo, Some(&"x".parse().unwrap()))?;
                Err(ChangeError::NoSuchAccount(name("abc")))
            });
        refused.unwrap_err();
        assert_eq!(example.store.instructions(&name("abc"), &foo).unwrap(), None);
        assert_eq!(example.store.audit_trail(100).unwrap(), before);
    }
}
