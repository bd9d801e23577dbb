//! The From field that a message lacks.

use envelope::Address;
use message::{DisplayName, with_ascii_host};

use super::authors::Authors;
use super::{Standing, reverse_path};
use crate::hosts::Hosts;
use crate::job::Job;
use crate::refusal::Refusal;
use crate::visible::visible;

/// What a From field is made of.
#[derive(Debug, Clone)]
pub(super) struct From {
    /// Whom the caller's environment names.
    pub(super) address: Option<Address>,
    /// The full name that he says himself to have (`-F`).
    said: Option<DisplayName>,
    /// The one that his environment has.
    name: Option<DisplayName>,
    /// The name goes behind the address (the letter `c`).
    as_comment: bool,
}

impl From {
    /// # Errors
    /// [`Refusal::Injection`] if the full name that the caller says would leave its line.
    pub(super) fn of(
        job: &Job,
        standing: &Standing,
        hosts: &Hosts,
        notes: &mut Vec<String>,
    ) -> Result<From, Refusal> {
        let names = &job.names;
        let said = job.full_name.as_deref().unwrap_or_default();
        if said.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            return Err(Refusal::Injection(format!("the full name {}", visible(said))));
        }
        let said_name = DisplayName::of(said);
        if said_name.is_none() && !said.trim_ascii().is_empty() {
            notes.push(format!("full name in no known encoding, left out: {}", visible(said)));
        }
        Ok(From {
            address: reverse_path::named(names.user.as_deref(), names.host.as_deref(), standing, hosts),
            said: said_name,
            name: names.name.as_deref().and_then(DisplayName::of),
            as_comment: names.letters.comment_name,
        })
    }

    /// The body of the field. `nameless` is a From field that has a name and no address.
    pub(super) fn body(&self, address: &Address, nameless: Option<&Authors>) -> Vec<u8> {
        if self.said.is_none()
            && let Some(body) = nameless.and_then(|authors| authors.given(address))
        {
            return body;
        }
        let address = with_ascii_host(address);
        match self.said.as_ref().or(self.name.as_ref()) {
            None => format!(" {address}"),
            Some(name) if self.as_comment => format!(" {address} {}", name.comment()),
            Some(name) => format!(" {} <{address}>", name.phrase()),
        }
        .into_bytes()
    }
}
