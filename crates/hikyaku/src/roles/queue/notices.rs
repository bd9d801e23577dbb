//! What the server itself writes: reports to the sender of a message that could not be delivered (RFC
//! 3464), or to the postmaster where a report could not be; and notices to owners of accounts.

use std::fs::File;

use envelope::{
    AccountName, Address, BodyType, Destination, Domain, Envelope, Host, Language, LimitReached, LocalPart,
    Provenance, QueueId, Recipient, ReversePath,
};
use message::{Notice, Occasion, Report, ReportedRecipient, Status, Subject};
use queue::{Body, Message, NewMessage, StoredBody};
use time::{OffsetDateTime, UtcOffset};
use tracing::{error, info};

use super::Ids;
use crate::roles::known_addresses::KnownAddresses;
use crate::roles::unix_micros;

/// A recipient that failed for good, or an address that could not be forwarded to.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The address.
    pub address: Address,
    /// The status code (RFC 3463).
    pub status: Status,
    /// In a sentence.
    pub reason: String,
    /// Which other host refused it, and how.
    pub said: Option<Said>,
}

/// What another host said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its name.
    pub host: String,
    /// Its reply, if it gave any.
    pub reply: Option<String>,
}

/// Writes reports and notices.
#[derive(Clone)]
pub struct Notices {
    addresses: KnownAddresses,
    ids: Ids,
    /// This host's name, and the provider's domain.
    host: Domain,
    domain: Domain,
    zone: UtcOffset,
}

impl Notices {
    /// Notices in the languages of the accounts that get them, with the times of this zone.
    pub fn new(
        addresses: KnownAddresses,
        ids: Ids,
        host: Domain,
        domain: Domain,
        zone: UtcOffset,
    ) -> Notices {
        Notices { addresses, ids, host, domain, zone }
    }

    /// The report on these failures of `message` to its reverse-path or that of a forward; `None` where
    /// nobody is to be told: a report on a report to the postmaster is only logged.
    pub async fn report(
        &self,
        message: &Message<File>,
        reverse_path: &ReversePath,
        failures: &[Failure],
    ) -> Option<NewMessage> {
        let postmaster = self.at_home("postmaster")?;
        let (occasion, to) = match reverse_path {
            ReversePath::Address(sender) => (Occasion::Failure, sender.clone()),
            ReversePath::Null if failures.iter().any(|failure| failure.address == postmaster) => {
                error!(event = "double_bounce_dropped", queue_id = %message.id, "a report to the postmaster failed");
                return None;
            }
            ReversePath::Null => (Occasion::FailedNotice, postmaster),
        };
        let recipients: Vec<ReportedRecipient<'_>> = failures
            .iter()
            .map(|failure| ReportedRecipient {
                address: &failure.address,
                status: failure.status,
                reason: &failure.reason,
                remote_host: failure.said.as_ref().map(|said| said.host.as_str()),
                diagnostic: failure.said.as_ref().and_then(|said| said.reply.as_deref()),
            })
            .collect();
        let header = header(message);
        let (id, now) = (self.ids.next(), self.now());
        let text = Report {
            occasion,
            language: self.language_at(&to).await,
            host: &self.host,
            to: &to,
            date: now,
            message_id: &self.message_id(id),
            boundary: &format!("{:032x}", rand::random::<u128>()),
            queue_id: message.id,
            arrived: OffsetDateTime::from_unix_timestamp_nanos(i128::from(message.arrival) * 1000)
                .ok()
                .and_then(|arrived| arrived.checked_to_offset(self.zone))
                .unwrap_or(now),
            original_header: &header,
            recipients: &recipients,
        }
        .to_message();
        info!(event = "reported", queue_id = %message.id, report = %id, to = %to);
        new_message(id, Recipient::of_bounce(to), text)
    }

    /// Tells an owner that his account has reached a limit on what it sends.
    pub async fn limit_reached(&self, account: &AccountName, reached: LimitReached) -> Option<NewMessage> {
        self.notice(account, Subject::SendingLimit(reached)).await
    }

    /// Tells an owner that his mailbox is full to so many per cent.
    pub async fn mailbox_filling(&self, account: &AccountName, percent: u8) -> Option<NewMessage> {
        self.notice(account, Subject::MailboxFilling(percent)).await
    }

    async fn notice(&self, account: &AccountName, subject: Subject) -> Option<NewMessage> {
        let to = self.at_home(account.as_str())?;
        let id = self.ids.next();
        let text = Notice {
            subject,
            account,
            language: self.addresses.language(account).await,
            domain: &self.domain,
            to: &to,
            date: self.now(),
            message_id: &self.message_id(id),
        }
        .to_message();
        info!(event = "owner_told", queue_id = %id, %account, to = %to);
        new_message(id, Recipient::of_notice(to), text)
    }

    async fn language_at(&self, to: &Address) -> Language {
        match self.addresses.route(to).await.as_deref() {
            Ok(route) => match &route.leads_to {
                Destination::Local(local) => self.addresses.language(&local.mailbox.account).await,
                _ => Language::En,
            },
            Err(_) => Language::En,
        }
    }

    /// An address at the provider's domain.
    fn at_home(&self, local_part: &str) -> Option<Address> {
        Some(Address::new(LocalPart::new(local_part).ok()?, Host::Domain(self.domain.clone())))
    }

    fn message_id(&self, id: QueueId) -> String {
        format!("{id}@{}", self.host.to_ascii())
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc().to_offset(self.zone)
    }
}

/// With the null reverse-path, so that it is never answered by another (RFC 5321 §4.5.5).
fn new_message(id: QueueId, to: Recipient, text: Vec<u8>) -> Option<NewMessage> {
    let envelope = Envelope::new(ReversePath::Null, vec![to], BodyType::SevenBit, false).ok()?;
    let (provenance, body) = (Provenance::default(), Body::Inline(vec![text.into()]));
    Some(NewMessage { id, envelope, provenance, arrival: unix_micros(), body })
}

/// The beginning of a message, which has its header.
fn header(message: &Message<File>) -> Vec<u8> {
    const ENOUGH: usize = message::report::ORIGINAL_HEADER_MAX;
    match &message.body {
        StoredBody::Memory(pieces) => pieces.iter().flatten().copied().take(ENOUGH).collect(),
        StoredBody::File { file, .. } => {
            use std::os::unix::fs::FileExt;
            let mut octets = vec![0; ENOUGH];
            let read = file.read_at(&mut octets, 0).unwrap_or(0);
            octets.truncate(read);
            octets
        }
    }
}
