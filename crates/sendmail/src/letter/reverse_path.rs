//! From whom a message is, in its envelope.

use envelope::{Address, Host, LocalPart, QueueId, ReversePath, ScriptAuthor};
use message::mailboxes;

use super::Standing;
use crate::face::Manner;
use crate::hosts::Hosts;
use crate::job::{Job, Letters, Treatment};
use crate::refusal::Refusal;
use crate::visible::visible;

/// What the caller would have as reverse-path, before it is known whether it is his.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// None: the null reverse-path.
    pub(super) address: Option<Address>,
    origin: Origin,
    /// Each recipient's envelope is to have a reverse-path of its own (`list-@host-@[]`, as qmail has it).
    each: bool,
}

/// Where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The caller said so (`-f`).
    Option,
    /// The message's Return-Path field.
    Field,
    /// His environment, or the account.
    Names,
}

impl Candidate {
    /// The first that there is of: what the caller says, the Return-Path field, what his environment
    /// says, and the account's address.
    ///
    /// # Errors
    /// If what he says is no address. What he does not say, and is none, is passed over.
    pub(super) fn of(
        job: &Job,
        standing: &Standing,
        hosts: &Hosts,
        return_path: Option<&[u8]>,
    ) -> Result<Candidate, Refusal> {
        if let Some(sender) = &job.sender {
            return Candidate::said(sender, job, hosts);
        }
        let field = return_path.filter(|_| !job.names.letters.ignore_return_path);
        if let Some(body) = field {
            if body.trim_ascii() == b"<>" {
                return Ok(Candidate { address: None, origin: Origin::Field, each: false });
            }
            if let Ok([address]) = mailboxes(body).as_deref() {
                return Ok(Candidate { address: Some(address.clone()), origin: Origin::Field, each: false });
            }
        }
        let names = &job.names;
        let named = named(
            names.sender_user.as_deref().or(names.user.as_deref()),
            names.sender_host.as_deref().or(names.host.as_deref()),
            standing,
            hosts,
        );
        let address = named.unwrap_or_else(|| standing.address.clone());
        Ok(Candidate { address: Some(address), origin: Origin::Names, each: false })
    }

    fn said(sender: &[u8], job: &Job, hosts: &Hosts) -> Result<Candidate, Refusal> {
        let said = |address, each| Ok(Candidate { address, origin: Origin::Option, each });
        let as_is = !matches!(job.treatment, Treatment::Complete);
        let helpful = job.manner == Manner::Helpful && !as_is;
        let sender = if helpful { trimmed(sender) } else { sender };
        // qmail's sender of what bounced twice.
        if sender.is_empty() || helpful && sender == b"<>" || sender == b"#@[]" {
            return said(None, false);
        }
        if let Some(pattern) = sender.strip_suffix(b"-@[]") {
            return said(Some(hosts.literal_address(pattern)?), true);
        }
        if helpful && sender.contains(&b'<') {
            if sender.iter().any(|octet| octet.is_ascii_control() && !matches!(octet, b'\t' | 0x1b)) {
                return Err(Refusal::Injection(format!("the sender {}", visible(sender))));
            }
            let listed: Result<Vec<_>, _> = message::address_list(sender, 100).take(2).collect();
            return match listed.as_deref() {
                Ok([one]) => said(Some(hosts.address(&one.address)?), false),
                _ => Err(Refusal::NotAnAddress(visible(sender))),
            };
        }
        let address = if helpful { hosts.address(sender) } else { hosts.literal_address(sender) };
        said(Some(address?), false)
    }

    /// The address that the caller said, unless he said nothing or the null reverse-path.
    pub(super) fn said_address(&self) -> Option<&Address> {
        self.address.as_ref().filter(|_| self.origin == Origin::Option)
    }

    /// The reverse-paths, now that it is known what is the account's own.
    ///
    /// # Errors
    /// [`Refusal::SenderDenied`] if the caller said another's address and may write as himself only.
    pub(super) fn settle(
        self,
        standing: &Standing,
        owned: &dyn Fn(&Address) -> bool,
        notes: &mut Vec<String>,
    ) -> Result<Settled, Refusal> {
        let Candidate { address, origin, each } = self;
        match address {
            None => Ok(Settled { address: None, origin, each: false }),
            Some(address) if owned(&address) => Ok(Settled { address: Some(address), origin, each }),
            Some(address) if origin == Origin::Option && standing.author == ScriptAuthor::Own => {
                Err(standing.denied(&address))
            }
            Some(address) => {
                // Names of the environment say nothing worth a note.
                if origin != Origin::Names {
                    notes.push(format!("reverse-path {address} gave way to {}", standing.address));
                }
                Ok(Settled { address: Some(standing.address.clone()), origin: Origin::Names, each: false })
            }
        }
    }
}

/// The reverse-path that a message gets.
pub(super) struct Settled {
    address: Option<Address>,
    origin: Origin,
    each: bool,
}

impl Settled {
    /// From whom to whom: one envelope, or one for each recipient, as the letters `m` and `r` or the
    /// sender itself ask. What would be too long for a local-part is left as it was.
    pub(super) fn envelopes(
        self,
        recipients: Vec<Address>,
        letters: Letters,
        id: QueueId,
    ) -> Vec<(ReversePath, Vec<Address>)> {
        let Some(address) = self.address else { return vec![(ReversePath::Null, recipients)] };
        let letters = if self.origin == Origin::Names { letters } else { Letters::default() };
        let mut base = address.clone();
        if letters.message_verp {
            let local_part = format!("{}-{}.{id}", address.local_part.as_str(), id.unix_seconds());
            base = with_local_part(&address, &local_part);
        }
        let prefix = match (self.each, letters.verp) {
            (true, _) => base.local_part.as_str().to_owned(),
            (false, true) => format!("{}-", base.local_part.as_str()),
            (false, false) => return vec![(ReversePath::Address(base), recipients)],
        };
        let each = |recipient: Address| {
            let host = match &recipient.host {
                Host::Domain(domain) => domain.to_ascii(),
                literal @ Host::Literal(_) => literal.to_string(),
            };
            let local_part = format!("{prefix}{}={host}", recipient.local_part.as_str());
            (ReversePath::Address(with_local_part(&base, &local_part)), vec![recipient])
        };
        recipients.into_iter().map(each).collect()
    }
}

/// Without the blanks around it; line ends are no blanks.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_text = |octet: &u8| !matches!(octet, b' ' | b'\t');
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text.iter().rposition(is_text).map_or(start, |last| last + 1);
    &text[start..end]
}

fn with_local_part(address: &Address, local_part: &str) -> Address {
    match LocalPart::new(local_part) {
        Ok(local_part) => Address::new(local_part, address.host.clone()),
        Err(_) => address.clone(),
    }
}

/// The address that a user and a host name; what is not set is as in the account's address, and what is
/// not well formed counts as nothing.
pub(super) fn named(
    user: Option<&[u8]>,
    host: Option<&[u8]>,
    standing: &Standing,
    hosts: &Hosts,
) -> Option<Address> {
    let local_part = match user {
        Some(user) => LocalPart::new(std::str::from_utf8(user).ok()?).ok()?,
        None => standing.address.local_part.clone(),
    };
    let text = match (host, user) {
        (Some(host), _) => format!("{local_part}@{}", std::str::from_utf8(host).ok()?),
        (None, Some(_)) => local_part.to_string(),
        (None, None) => return None,
    };
    hosts.address(text.as_bytes()).ok()
}
