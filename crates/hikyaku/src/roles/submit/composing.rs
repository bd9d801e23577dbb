//! What becomes of a header: whether the caller may send so, and what is queued for whom.

use std::collections::{HashMap, HashSet};

use envelope::{Address, BodyType, Client, Envelope, QueueId, Recipient, ReversePath};
use sendmail::{Job, Letter, Refusal};

use super::House;
use super::caller::{Caller, directory_away};
use crate::control::Settings;

/// The most octets of a header, and of what its job names, that are read while other callers wait: less
/// than a millisecond.
const AT_ONCE_MAX: usize = 16 << 10;
/// What a list counts for: about the octets of its address.
const LIST_OCTETS: usize = 32;

/// A header that was judged and completed, and the envelopes for what it heads.
pub struct Composed {
    /// With CRLF at the line ends, and the empty line.
    pub head: Vec<u8>,
    /// One, or with a reverse-path for each recipient as many as these.
    pub envelopes: Vec<Envelope>,
    /// What was changed in the header, for the log.
    pub notes: Vec<String>,
}

/// Refuses a job that names more addresses than a message may have recipients: nobody makes us hold them until
/// the header has come.
///
/// # Errors
/// [`Refusal::TooManyRecipients`].
pub fn check(job: &Job, settings: &Settings) -> Result<(), Refusal> {
    let most = settings.limits.recipients_max;
    let named = job.arguments.len().max(job.names.lists.len());
    if named > most { Err(Refusal::TooManyRecipients(most)) } else { Ok(()) }
}

/// Composes the message that begins with this header. `size` are its octets, as far as they have come.
///
/// # Errors
/// Why it is not taken. Of several recipients that nobody has, all are named.
pub async fn compose(
    house: &House,
    settings: &Settings,
    caller: &Caller,
    (job, header): (&Job, &[u8]),
    size: u64,
    id: QueueId,
) -> Result<Composed, Refusal> {
    let standing = caller.standing(settings);
    let is_large = octets(job) + header.len() > AT_ONCE_MAX;
    let letter = match is_large {
        false => Letter::read(job, &standing, header),
        true => {
            let (job, header) = (job.clone(), header.to_vec());
            aside(move || Letter::read(&job, &standing, &header)).await
        }
    }?;
    // Their questions leave together. Whether the account has sent as much as it may is asked once, where it
    // is counted.
    let (recipients, owned) = tokio::try_join!(
        judge_recipients(house, settings, caller, letter.recipients(), size),
        owned(house, settings, caller, letter.to_judge()),
    )?;
    let at = house.wall_clock();
    let write = move || letter.compose(&|address| owned.contains(address), id, at);
    let composed = if is_large { aside(write).await } else { write() }?;
    let envelopes = composed.envelopes.into_iter().map(|(reverse_path, to)| {
        // Whoever was judged, and nobody else.
        envelope(reverse_path, to.iter().filter_map(|to| recipients.get(to).cloned()).collect())
    });
    let envelopes = envelopes.collect::<Result<Vec<_>, _>>()?;
    if envelopes.is_empty() {
        return Err(Refusal::NoRecipients);
    }
    Ok(Composed { head: composed.head, envelopes, notes: composed.notes })
}

/// The octets of what a job names.
fn octets(job: &Job) -> usize {
    job.arguments.iter().map(Vec::len).sum::<usize>() + job.names.lists.len() * LIST_OCTETS
}

/// Does beside the one thread that all callers share what takes its time.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Refusal::Fault("the header could not be composed".into())))
}

fn envelope(reverse_path: ReversePath, to: Vec<Recipient>) -> Result<Envelope, Refusal> {
    let addresses = to.iter().map(Recipient::address).chain(reverse_path.address());
    // Octets of eight bits in a header do not make a message international: old programs write Shift_JIS
    // there, and it goes as it is.
    let smtputf8 = addresses.into_iter().any(Address::needs_smtputf8);
    Envelope::new(reverse_path, to, BodyType::EightBitMime, smtputf8).map_err(|_| Refusal::NoRecipients)
}

/// The recipients, by their addresses.
async fn judge_recipients(
    house: &House,
    settings: &Settings,
    caller: &Caller,
    addresses: &[Address],
    size: u64,
) -> Result<HashMap<Address, Recipient>, Refusal> {
    let (judge, client) = (house.judge(settings), Client::Sender(caller.sender().clone()));
    let mut recipients = HashMap::with_capacity(addresses.len());
    let (mut unknown, mut full) = (Vec::new(), None);
    for address in addresses {
        let leads_to = house.addresses.resolve(address).await.map_err(|_| directory_away())?;
        match judge.recipient(&client, address.clone(), &leads_to, size).await {
            Ok(recipient) => {
                recipients.insert(address.clone(), recipient);
            }
            Err(envelope::Refusal::NoSuchMailbox) => unknown.push(address.clone()),
            Err(envelope::Refusal::MailboxFull { .. }) => full = full.or_else(|| Some(address.clone())),
            Err(envelope::Refusal::DirectoryUnavailable) => return Err(directory_away()),
            Err(refusal) => return Err(Refusal::NotAllowed(format!("{address}: {refusal}"))),
        }
    }
    match full {
        _ if !unknown.is_empty() => Err(Refusal::NoSuchMailbox(unknown)),
        Some(full) => Err(Refusal::MailboxFull(full)),
        None => Ok(recipients),
    }
}

/// Those of these addresses as which the caller may send.
async fn owned(
    house: &House,
    settings: &Settings,
    caller: &Caller,
    addresses: Vec<Address>,
) -> Result<HashSet<Address>, Refusal> {
    let judge = house.judge(settings);
    let mut owned = HashSet::with_capacity(addresses.len());
    for address in addresses {
        match judge.author(&address, caller.sender()).await {
            Ok(()) => {
                owned.insert(address);
            }
            Err(envelope::Refusal::DirectoryUnavailable) => return Err(directory_away()),
            Err(_) => {}
        }
    }
    Ok(owned)
}
