//! One-time links: an operator has one made, and its account's owner sets his password by it.

use directory::{Actor, ChangeError};
use envelope::AccountName;
use link::services::directory::visits::{Denied, Token, Visit};

use super::unavailable;
use crate::roles::directory::Desk;
use crate::roles::unix_now;

impl Desk {
    /// Makes a link for an account; those of before are void.
    pub(in crate::roles::directory) fn invite(
        &self,
        account: &AccountName,
        who: &Actor,
    ) -> Result<Token, ChangeError> {
        let token = Token::new(rand::random());
        self.store.invite(account, &token.digest(), unix_now(), who)?;
        Ok(token)
    }

    /// Whose a link is, for who is about to take it up.
    pub(super) fn look_at_invitation(&self, invitation: &Token) -> Result<Visit, Denied> {
        let found = self.store.invitation(&invitation.digest(), unix_now());
        let account = found.map_err(|error| unavailable(&error))?.ok_or(Denied::LinkInvalid)?;
        Ok(Visit::Invitation { account: account.name, operator: account.operator })
    }
}
