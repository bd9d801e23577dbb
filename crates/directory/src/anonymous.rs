//! The account as which programs of this machine send whose user is no account's.
//!
//! The server makes it itself. Nobody can log in to it; it writes as anybody, but with its own address in
//! From; and its mail, which is reports on what such programs sent, goes to the postmaster until he says
//! otherwise. In all else it is an account like any: it has limits, and can be suspended.

use envelope::{Account, AccountName, Address, Language, Overrides, ScriptAuthor};

use crate::accounts::{self, Adding, id_if_any, id_of};
use crate::audit::{Actor, Change};
use crate::error::ChangeError;
use crate::extension::Extension;
use crate::instructions::Writing;
use crate::plans;
use crate::store::Store;

/// Its name, which no other account may have.
pub fn anonymous() -> AccountName {
    AccountName::parse("anonymous").expect("it is nine letters")
}

impl Store {
    /// Makes the anonymous account, if it is not there, with its mail forwarded to `postmaster`. Gives
    /// whether it was made. `make_mailbox` makes its Maildir, as in [`Store::add_account_after`].
    ///
    /// # Errors
    /// [`ChangeError::Mailbox`] with the reason that `make_mailbox` gives, or if the store fails.
    pub fn make_anonymous(
        &self,
        postmaster: &Address,
        make_mailbox: impl FnOnce(&Account) -> Result<(), String>,
    ) -> Result<bool, ChangeError> {
        let name = anonymous();
        // Mostly it is there, and readers wait for no writer.
        if self.account(&name)?.is_some() {
            return Ok(false);
        }
        self.change(&Actor::Server, |change, trail| {
            if id_if_any(change, &name)?.is_some() {
                return Ok(false);
            }
            let new = Adding {
                name: name.clone(),
                hash: None,
                keys: None,
                language: Language::Ja,
                operator: false,
                plan: None,
                uids: Vec::new(),
            };
            let made = accounts::add(change, trail, &new, &self.settings)?;
            let own = Overrides { script_author: Some(ScriptAuthor::ReplyTo), ..Overrides::default() };
            plans::write_overrides(change, id_of(change, &name)?, &own)?;
            trail.note(&Change::OverridesSet(&name, &own))?;
            let (standard, text) = (Extension::standard(), format!("&{postmaster}\n"));
            Writing::begin(change, &name)?.write(&standard, &text, |_, _| Ok(()))?;
            trail.note(&Change::InstructionsSet(&name, &standard, text.len()))?;
            make_mailbox(&made).map_err(|reason| ChangeError::Mailbox { account: name.clone(), reason })?;
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use envelope::Destination;

    use super::*;
    use crate::LoginRefused;
    use crate::example::{Example, WHO, new_account};

    fn made(example: &Example, outcome: Result<(), String>) -> Result<bool, ChangeError> {
        example.store.make_anonymous(&"postmaster@pobox.example".parse().unwrap(), |_| outcome)
    }

    #[test]
    fn the_anonymous_account_is_made_once_and_writes_with_its_own_address() {
        let example = Example::pobox();
        let store = &example.store;
        assert!(matches!(made(&example, Err("no room".into())), Err(ChangeError::Mailbox { .. })));
        assert_eq!(store.account(&anonymous()).unwrap(), None);
        assert!(made(&example, Ok(())).unwrap());
        assert!(!made(&example, Err("not asked".into())).unwrap());
        let plan = store.effective_plan(&anonymous()).unwrap().unwrap();
        assert_eq!(plan.script_author, ScriptAuthor::ReplyTo);
        let mail = store.instructions(&anonymous(), &Extension::standard()).unwrap().unwrap();
        assert_eq!((mail.text.as_str(), mail.active), ("&postmaster@pobox.example\n", true));
        assert_eq!(store.login("anonymous", "anonymous"), Err(LoginRefused::Credentials));
        assert_eq!(store.audit_trail(1).unwrap()[0].who, "server");
    }

    #[test]
    fn nobody_else_gets_its_name_and_it_is_nobodys_postmaster() {
        let example = Example::empty();
        example.add_domain("pobox.example", envelope::DomainKind::Provider);
        let refused = example.store.add_account(new_account("anonymous"), &WHO).unwrap_err();
        assert!(refused.to_string().contains("[sendmail] unmapped"), "{refused}");
        made(&example, Ok(())).unwrap();
        let postmaster = || example.store.resolve(&"postmaster@pobox.example".parse().unwrap()).unwrap();
        assert_eq!(postmaster(), Destination::NoSuchMailbox);
        example.add_account("abc");
        assert!(matches!(postmaster(), Destination::Local(local) if local.mailbox.account.as_str() == "abc"));
    }
}
