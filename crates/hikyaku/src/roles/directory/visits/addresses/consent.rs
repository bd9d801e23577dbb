//! What the owner of a destination answers.

use directory::{ChangeError, LinkedConsent};
use envelope::Language;
use link::services::directory::Event;
use link::services::directory::visits::{Denied, Token, Visit};
use local::dot_qmail::Form;
use tracing::info;

use super::saving::delivers_nowhere;
use super::unavailable;
use crate::roles::directory::Desk;
use crate::roles::unix_now;

/// So many addresses are named to who is asked.
const NAMED_MAX: usize = 5;

impl Desk {
    /// What the owner of a destination is asked by a link. It tells no more than the mail did.
    pub(in crate::roles::directory::visits) fn look_at_destination(
        &self,
        link: &Token,
    ) -> Result<Visit, Denied> {
        let found = self.store.linked_consent(&link.digest(), unix_now());
        let LinkedConsent { account, destination, addresses, .. } =
            found.map_err(|error| unavailable(&error))?.ok_or(Denied::LinkInvalid)?;
        let names = self.names(&account).map_err(|error| unavailable(&error))?;
        let named = addresses
            .iter()
            .take(NAMED_MAX)
            .map(|extension| names.of(extension.file_name().strip_prefix(".qmail").unwrap_or_default()));
        let named: Vec<String> = named.collect();
        let address = if named.is_empty() { names.of("") } else { named.join(", ") };
        let language = match self.store.account(&account) {
            Ok(Some(account)) => account.language,
            _ => Language::Ja,
        };
        Ok(Visit::Destination { destination, address, language })
    }

    /// Takes the answer of the owner of a destination, and has it obeyed from the next message on.
    pub(in crate::roles::directory::visits) fn answer_of_destination(
        &self,
        link: &Token,
        wanted: bool,
    ) -> Result<Visit, Denied> {
        let rewrite = |consent: &LinkedConsent, text: &str, interim: bool| {
            let mut form = Form::read(text.as_bytes());
            if !form.switch(&consent.destination, wanted) {
                return None;
            }
            if wanted && interim {
                form.keep = false;
            } else if !wanted && delivers_nowhere(&form.write()) {
                // It was the only one: the mail must not be lost for that.
                form.keep = true;
            }
            String::from_utf8(form.write()).ok()
        };
        let answered = self.store.answer_consent(&link.digest(), wanted, unix_now(), rewrite);
        let answered = answered.map_err(|error| match error {
            ChangeError::Store(error) => unavailable(&error),
            error => Denied::Refused(error.to_string()),
        })?;
        let LinkedConsent { account, .. } = answered.ok_or(Denied::LinkInvalid)?;
        info!(event = "consent", %account, wanted);
        self.callers.send(&Event::Changed);
        Ok(Visit::Done)
    }
}
