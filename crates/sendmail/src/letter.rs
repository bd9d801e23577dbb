//! A letter: what becomes of a caller's message before it is queued.
//!
//! Its header is read, with what the caller says besides, for whom it is and from whom; then it is asked
//! which of its authors are the caller's own addresses; then it is composed. As qmail-inject does it, but:
//!
//! - what is not added or removed stays octet for octet: no field is folded anew, no name gets quotes,
//!   and raw Japanese text is read as text (to qmail, ISO-2022-JP in a To field is an error);
//! - each recipient counts once, in the order in which it is named, and a field that is not asked for
//!   recipients may be unreadable;
//! - nothing that a caller says of himself is believed before it is found to be his.

mod authors;
mod forwarded;
mod from;
mod header;
mod kind;
mod reverse_path;
mod written;

use std::collections::HashSet;

use envelope::{AccountName, Address, Domain, QueueId, ReversePath, ScriptAuthor};
use message::{address_list, with_ascii_host};
use time::OffsetDateTime;

use crate::hosts::Hosts;
use crate::job::{FromHeader, Job, Letters, Treatment};
use crate::recipients::Recipients;
use crate::refusal::Refusal;
use authors::Authors;
use forwarded::Forwarded;
use from::From;
use header::Header;
use kind::Kind;
use reverse_path::Candidate;
use written::Written;

/// Who the caller is, and what holds for him. It comes from us: the kernel names his user id, and the
/// directory what that stands for.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The user id of the calling program.
    pub uid: u32,
    /// The account that it stands for.
    pub account: AccountName,
    /// The account's standard address.
    pub address: Address,
    /// Our own name, for Message-ID.
    pub hostname: Domain,
    /// The host of addresses without one, and the end of host names without a dot.
    pub domain: Domain,
    /// As whom the account's programs may write.
    pub author: ScriptAuthor,
    /// The most recipients of one message.
    pub recipients_max: usize,
    /// We know by ourselves that what he calls a forward is one: the message that is being delivered, octet
    /// for octet, under the sender and with the line that go with its delivery. So a line of delivery
    /// instructions would send it on, whoever wrote it.
    pub forwards_delivery: bool,
}

/// A message as it is queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The header with CRLF and the empty line, without our Received field. The body follows it.
    pub head: Vec<u8>,
    /// From whom to whom: one envelope; with a reverse-path for each recipient, one for each.
    pub envelopes: Vec<(ReversePath, Vec<Address>)>,
    /// What was changed or passed over, for the log.
    pub notes: Vec<String>,
}

/// A message whose header was read, before it is known to whom its addresses belong.
#[derive(Debug, Clone)]
pub struct Letter {
    standing: Standing,
    hosts: Hosts,
    letters: Letters,
    /// The host of a Message-ID that is made here.
    id_host: Domain,
    /// The header is completed; else it stays as it is.
    completes: bool,
    header: Header,
    recipients: Vec<Address>,
    reverse_path: Candidate,
    /// Who wrote it, each with its place among the lines of the header; or why that cannot be told.
    authors: Result<Vec<(usize, Authors)>, Refusal>,
    from: From,
    forwarded: Option<Forwarded>,
    /// Whom a Mail-Followup-To field names that is made here.
    followup: Vec<Address>,
    notes: Vec<String>,
}

impl Letter {
    /// Reads a header: its fields with CRLF, and the empty line if there is one.
    ///
    /// # Errors
    /// If a recipient or the sender is no address, if there are no recipients or too many, or if nobody
    /// can tell who wrote it.
    pub fn read(job: &Job, standing: &Standing, header: &[u8]) -> Result<Letter, Refusal> {
        let completes = job.treatment == Treatment::Complete;
        let mut notes = Vec::new();
        let hosts = Hosts::new(&job.names, &standing.domain);
        let header = Header::of(header, completes);
        let recipients = recipients(job, &hosts, &header, standing.recipients_max)?;
        let return_path = header.lines().find(|line| line.kind == Kind::ReturnPath);
        let return_path = return_path.map(|line| line.field().body).filter(|_| completes);
        let reverse_path = Candidate::of(job, standing, &hosts, return_path)?;
        let drops_from = completes && job.names.letters.drop_from;
        let authors = authors(&header, &hosts, standing.author, drops_from);
        // What stays as it is may be odd, if anybody's From may stand there.
        let authors = match authors {
            Err(refusal) if completes => return Err(refusal),
            Err(_) if standing.author == ScriptAuthor::Keep => Ok(Vec::new()),
            authors => authors,
        };
        let forwarded = match &job.treatment {
            Treatment::Forward { delivered_to } => Forwarded::of(delivered_to),
            Treatment::Complete | Treatment::AsIs => None,
        };
        if let Some(forwarded) = &forwarded {
            forwarded.check(&header)?;
        }
        let id_host =
            job.names.id_host.as_deref().and_then(|host| std::str::from_utf8(host).ok()?.parse().ok());
        Ok(Letter {
            from: From::of(job, standing, &hosts, &mut notes)?,
            letters: job.names.letters,
            id_host: id_host.unwrap_or_else(|| standing.hostname.clone()),
            followup: followup(&job.names.lists, &hosts, &header, standing.recipients_max),
            standing: standing.clone(),
            hosts,
            completes,
            header,
            recipients,
            reverse_path,
            authors,
            forwarded,
            notes,
        })
    }

    /// The recipients, each once: those of the arguments, then those of the header in its order.
    pub fn recipients(&self) -> &[Address] {
        &self.recipients
    }

    /// The addresses of which [`Letter::compose`] asks whether they are the account's own, each once. It
    /// does not ask about its standard address.
    pub fn to_judge(&self) -> Vec<Address> {
        let authors = self.authors.iter().flatten().flat_map(|(_, authors)| authors.addresses());
        let asked = self.reverse_path.address.iter().chain(&self.from.address).chain(authors);
        let forwarded = self.forwarded.iter().map(|forwarded| &forwarded.address);
        let mut each: Vec<Address> = Vec::new();
        for address in asked.chain(forwarded.filter(|_| self.standing.forwards_delivery)) {
            if *address != self.standing.address && !each.contains(address) {
                each.push(address.clone());
            }
        }
        each
    }

    /// Composes the message. `owned` tells whether an address is the account's own; `at` is the time in
    /// the zone to be written.
    ///
    /// Who may write as himself only is refused if From, Sender, the envelope's sender or their Resent
    /// kin name another. Who may not, has his address put in their place, or theirs kept in the header,
    /// as his account's rule has it. That holds for what else stays as it is, too, and for what is
    /// forwarded, where the caller alone says so; what we know to be forwarded was written by others.
    ///
    /// # Errors
    /// [`Refusal::SenderDenied`] if the account may not send as who it says it is, and
    /// [`Refusal::Authors`] if nobody can tell.
    pub fn compose(
        mut self,
        owned: &dyn Fn(&Address) -> bool,
        id: QueueId,
        at: OffsetDateTime,
    ) -> Result<Composed, Refusal> {
        let own = self.standing.address.clone();
        let owned: &dyn Fn(&Address) -> bool = &|address| *address == own || owned(address);
        let is_known_forward = self.standing.forwards_delivery
            && self.forwarded.as_ref().is_some_and(|forwarded| owned(&forwarded.address));
        let said = self.reverse_path.said_address().filter(|address| owned(address)).cloned();
        let may_stand = |address: &Address| is_known_forward || owned(address);
        let reverse_path = self.reverse_path.settle(&self.standing, &may_stand, &mut self.notes)?;
        let authors = if is_known_forward { Vec::new() } else { self.authors? };
        let changes = self.standing.judged(&authors, &self.header, owned, &mut self.notes)?;
        let writer = said.or_else(|| self.from.address.clone().filter(|address| owned(address)));
        let written = Written {
            header: &self.header,
            hosts: &self.hosts,
            letters: self.letters,
            authors: &authors,
            changes: &changes,
            from: &self.from,
            writer: writer.as_ref().unwrap_or(&own),
            followup: &self.followup,
            message_id: (id, &self.id_host),
            at,
        };
        let head = match (self.completes, &self.forwarded) {
            (true, _) => written.completed(),
            (false, forwarded) => written.as_it_is(forwarded.as_ref().map(|forwarded| &forwarded.line[..])),
        };
        let envelopes = reverse_path.envelopes(self.recipients, self.letters, id);
        Ok(Composed { head, envelopes, notes: self.notes })
    }
}

/// What an account's rule does to a From or Sender field, and to its Resent kin.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// It is left out.
    Drop,
    /// It has this body.
    Body(Vec<u8>),
    /// It has another body, and what it had becomes a Reply-To field.
    ReplyTo { from: Vec<u8>, reply_to: Vec<u8> },
}

impl Standing {
    fn denied(&self, address: &Address) -> Refusal {
        Refusal::SenderDenied { address: address.clone(), account: self.account.to_string(), uid: self.uid }
    }

    /// What becomes of the fields that name others than the account, each with its place.
    fn judged(
        &self,
        fields: &[(usize, Authors)],
        header: &Header,
        owned: &dyn Fn(&Address) -> bool,
        notes: &mut Vec<String>,
    ) -> Result<Vec<(usize, Change)>, Refusal> {
        let has_reply_to = header
            .lines()
            .any(|line| line.kind == Kind::ReplyTo && !line.field().body.trim_ascii().is_empty());
        let mut changes = Vec::new();
        for (at, authors) in fields {
            if !authors.is_readable() {
                notes.push("a Sender field that nobody can read was left out".to_owned());
                changes.push((*at, Change::Drop));
                continue;
            }
            let Some(other) = authors.addresses().iter().find(|address| !owned(address)) else { continue };
            let change = match (self.author, header.kind(*at)) {
                (ScriptAuthor::Own, _) => return Err(self.denied(other)),
                (ScriptAuthor::Keep, _) => continue,
                (ScriptAuthor::ReplyTo, Kind::From) if !has_reply_to => Change::ReplyTo {
                    from: authors.replaced_by(&self.address),
                    reply_to: authors.body().to_vec(),
                },
                (ScriptAuthor::ReplyTo, Kind::From | Kind::ResentFrom) => {
                    Change::Body(authors.replaced_by(&self.address))
                }
                (ScriptAuthor::ReplyTo, _) => Change::Drop,
            };
            notes.push(match &change {
                Change::Drop => format!("Sender {other} was left out"),
                Change::Body(_) => format!("From {other} gave way to {}", self.address),
                Change::ReplyTo { .. } => {
                    format!("From {other} gave way to {} and became Reply-To", self.address)
                }
            });
            changes.push((*at, change));
        }
        Ok(changes)
    }
}

/// The recipients that the caller names, and those that the header names if he wants them.
fn recipients(job: &Job, hosts: &Hosts, header: &Header, max: usize) -> Result<Vec<Address>, Refusal> {
    let mut recipients = Recipients::new(hosts, max);
    let completes = job.treatment == Treatment::Complete;
    if job.from_header != FromHeader::Only {
        for argument in &job.arguments {
            match completes {
                true => recipients.argument(argument, job.manner)?,
                false => recipients.literal(argument)?,
            }
        }
    }
    let from_header = match job.from_header {
        FromHeader::Never => false,
        FromHeader::IfNoArguments => job.arguments.is_empty(),
        FromHeader::Also | FromHeader::Only => true,
    };
    if from_header && completes {
        let resent = header.is_resent();
        for line in header.lines().filter(|line| line.kind.names_recipients(resent)) {
            let field = line.field();
            recipients.field(field.name, field.body)?;
        }
    }
    let list = recipients.into_list();
    if list.is_empty() { Err(Refusal::NoRecipients) } else { Ok(list) }
}

/// The most fields and addresses in them that say who wrote a message.
const AUTHORS_MAX: usize = 200;

/// Who wrote a message: all that its From and Sender fields and their Resent kin say.
///
/// A Sender field of which nobody can tell whom it names is left out where another's is, and is nobody's
/// business where another's may stand.
fn authors(
    header: &Header,
    hosts: &Hosts,
    rule: ScriptAuthor,
    drops_from: bool,
) -> Result<Vec<(usize, Authors)>, Refusal> {
    let dropped = if header.is_resent() { Kind::ResentFrom } else { Kind::From };
    let (mut all, mut has_from, mut count) = (Vec::new(), false, 0);
    for (at, line) in header.lines().enumerate().filter(|(_, line)| line.kind.names_authors()) {
        let field = line.field();
        let refusal = || Refusal::Authors(String::from_utf8_lossy(field.name).into_owned());
        if drops_from && line.kind == dropped {
            continue;
        }
        if line.kind == Kind::From && std::mem::replace(&mut has_from, true) {
            return Err(refusal());
        }
        let is_sender = matches!(line.kind, Kind::Sender | Kind::ResentSender);
        let authors = match (Authors::read(field.body, hosts), rule) {
            (Ok(authors), _) => authors,
            (Err(_), ScriptAuthor::Keep) if is_sender => continue,
            (Err(_), ScriptAuthor::ReplyTo) if is_sender => Authors::unreadable(field.body),
            (Err(_), _) => return Err(refusal()),
        };
        count += 1 + authors.addresses().len();
        all.push((at, authors));
        if count > AUTHORS_MAX {
            return Err(refusal());
        }
    }
    Ok(all)
}

/// Whom a Mail-Followup-To field is to name: all of To and Cc, if one of them is a list of the caller's
/// and there is no such field yet.
fn followup(lists: &[Address], hosts: &Hosts, header: &Header, max: usize) -> Vec<Address> {
    if lists.is_empty() || header.has(Kind::MailFollowupTo) || header.is_resent() {
        return Vec::new();
    }
    let shown = header.lines().filter(|line| matches!(line.kind, Kind::To | Kind::Cc));
    let mut named: Vec<Address> = Vec::new();
    for line in shown {
        let listed = address_list(line.field().body, max).map_while(Result::ok);
        named.extend(listed.filter_map(|one| hosts.address(&one.address).ok()).take(max));
    }
    let folded = |address: &Address| with_ascii_host(address).to_ascii_lowercase();
    let lists: HashSet<String> = lists.iter().map(folded).collect();
    let is_list = |address: &Address| lists.contains(&folded(address));
    if named.len() <= max && named.iter().any(is_list) { named } else { Vec::new() }
}

#[cfg(test)]
mod tests;
