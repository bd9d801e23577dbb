//! What the server itself writes: reports to senders of what became of their messages (RFC 3464), or to the
//! postmaster where such a report could not be delivered; notices to owners of accounts; and what mailboxes
//! answer while their owners are away.

use std::fs::File;
use std::net::IpAddr;

use bytes::Bytes;
use envelope::{
    AccountName, Address, BodyType, Destination, Domain, Envelope, Host, Language, LimitReached, LocalPart,
    MessageWishes, Notify, Provenance, QueueId, Recipient, RecipientWishes, Return, ReversePath,
    TypedAddress,
};
use link::services::directory;
use message::auto_reply::{self, AutoReply};
use message::{Action, Notice, Occasion, Original, Report, ReportedRecipient, Status, Subject, language_of};
use queue::{Body, Message, NewMessage, StoredBody};
use time::{OffsetDateTime, UtcOffset};
use tracing::{error, info};

use super::Ids;
use crate::roles::known_addresses::KnownAddresses;
use crate::roles::unix_micros;

/// What is to be reported of one recipient, or of an address that could not be forwarded to.
#[derive(Debug, Clone)]
pub struct RecipientReport {
    /// The address.
    pub address: Address,
    /// The address as the sender knew it, if he said.
    pub original: Option<TypedAddress>,
    /// What became of it.
    pub action: Action,
    /// The status code (RFC 3463).
    pub status: Status,
    /// Why, in a sentence.
    pub reason: String,
    /// Which other host decided, and what it said.
    pub said: Option<Said>,
    /// Whether it was tried just now.
    pub tried_now: bool,
    /// Until when it will be tried, in seconds since 1970.
    pub will_retry_until: Option<u64>,
}

/// What another host said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its name.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// Its reply, if it gave any.
    pub reply: Option<String>,
}

impl RecipientReport {
    /// A report on an address that was just tried.
    pub fn new(address: Address, action: Action, status: Status, reason: String) -> RecipientReport {
        let (original, said, will_retry_until) = (None, None, None);
        RecipientReport { address, original, action, status, reason, said, tried_now: true, will_retry_until }
    }

    /// Octets that it takes in a report, roughly and rather too many.
    pub fn weight(&self) -> usize {
        let said = self.said.as_ref().and_then(|said| said.reply.as_ref()).map_or(0, String::len);
        // What was said stands in it twice over, encoded, and then once more.
        4096 + 4 * self.reason.len().max(said).min(8000)
    }
}

/// Nobody is told what becomes of it.
const NEVER: RecipientWishes = RecipientWishes { notify: Some(Notify::NEVER), original: None };

/// Writes reports, notices and answers.
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

    /// The report of these recipients of `message` to its reverse-path or that of a forward. `None` where
    /// nobody is to be told: what cannot be reported to a sender is reported to the postmaster, if
    /// `double_bounces` says so, and a report on that only logged.
    pub async fn report(
        &self,
        message: &Message<File>,
        (reverse_path, occasion): (&ReversePath, Occasion),
        reports: &[RecipientReport],
        double_bounces: bool,
    ) -> Option<NewMessage> {
        let postmaster = self.at_home("postmaster")?;
        let (occasion, to) = match reverse_path {
            ReversePath::Address(sender) => (occasion, sender.clone()),
            ReversePath::Null
                if !double_bounces || reports.iter().any(|report| report.address == postmaster) =>
            {
                error!(event = "double_bounce_dropped", queue_id = %message.id, "a report could not be delivered");
                return None;
            }
            ReversePath::Null => (Occasion::FailedNotice, postmaster),
        };
        let beginning = beginning(message);
        // His wishes are those of the message's own sender, and no other's.
        let wishes = match message.envelope.reverse_path() == reverse_path {
            true => message.envelope.wishes().clone(),
            false => MessageWishes::default(),
        };
        // Of what did not fail only the header comes back (RFC 3461 §4.3).
        let original = match (occasion, wishes.ret) {
            (Occasion::Failure, Some(Return::Full)) if beginning.len() as u64 == length(message) => {
                Original::whole(&beginning)
            }
            _ => Original::Header(&beginning),
        };
        let (id, now) = (self.ids.next(), self.now());
        let recipients: Vec<ReportedRecipient<'_>> =
            reports.iter().map(|report| self.reported(report, now)).collect();
        let report = Report {
            occasion,
            language: self.language_for(&to, &beginning).await,
            host: &self.host,
            to: &to,
            date: now,
            message_id: &self.message_id(id),
            boundary: &format!("{:032x}", rand::random::<u128>()),
            queue_id: message.id,
            envelope_id: wishes.envelope_id.as_ref(),
            arrived: self.moment(message.arrival / 1_000_000).unwrap_or(now),
            original,
            recipients: &recipients,
        };
        let (text, body_type) = (report.to_message(), report.body_type());
        info!(event = "reported", queue_id = %message.id, report = %id, to = %to, about = about(occasion));
        let mut new = new_message(id, Recipient::of_bounce(to), text, body_type)?;
        if occasion == Occasion::FailedNotice {
            // Wherever the postmaster has his mail forwarded to, it is the last word.
            new.envelope = new.envelope.with_wishes(MessageWishes::default(), vec![NEVER]);
        }
        Some(new)
    }

    fn reported<'a>(&self, report: &'a RecipientReport, now: OffsetDateTime) -> ReportedRecipient<'a> {
        ReportedRecipient {
            address: &report.address,
            original: report.original.as_ref(),
            action: report.action,
            status: report.status,
            reason: &report.reason,
            remote_host: report.said.as_ref().map(|said| said.host.as_str()),
            diagnostic: report.said.as_ref().and_then(|said| said.reply.as_deref()),
            last_attempt: report.tried_now.then_some(now),
            will_retry_until: report.will_retry_until.and_then(|until| self.moment(until)),
        }
    }

    /// Tells an owner that his account has reached a limit on what it sends.
    pub async fn limit_reached(&self, account: &AccountName, reached: LimitReached) -> Option<NewMessage> {
        self.notice(account, Subject::SendingLimit(reached)).await
    }

    /// Tells an owner that his mailbox is full to so many per cent.
    pub async fn mailbox_filling(&self, account: &AccountName, percent: u8) -> Option<NewMessage> {
        self.notice(account, Subject::MailboxFilling(percent)).await
    }

    /// Tells an owner that a message which one of his programs left at this time, in seconds since 1970, was
    /// not sent, and so many others: why, and what to do about it.
    pub async fn not_sent(
        &self,
        account: &AccountName,
        left: u64,
        [reason, remedy]: &[String; 2],
        others: u64,
    ) -> Option<NewMessage> {
        self.notice(account, Subject::NotSent { left, reason, remedy, others }).await
    }

    /// Asks the owner of a destination whether he wants what the account has forwarded to him from this address. If
    /// it does not arrive, nobody is told: who typed the address sees it on the page.
    pub fn consent(
        &self,
        account: &AccountName,
        address: &Address,
        (to, link): (Address, &str),
        language: Language,
    ) -> Option<NewMessage> {
        let id = self.ids.next();
        let text = Notice {
            subject: Subject::Consent { address, link },
            account,
            language,
            domain: &self.domain,
            to: &to,
            date: self.now(),
            message_id: &self.message_id(id),
        }
        .to_message();
        info!(event = "consent_asked", queue_id = %id, %account, to = %to);
        let mut new = new_message(id, Recipient::of_consent(to), text, BodyType::SevenBit)?;
        new.provenance.account = Some(account.clone());
        new.envelope = new.envelope.with_wishes(MessageWishes::default(), vec![NEVER]);
        Some(new)
    }

    /// What an account's mailbox answers to the sender of a message, as its owner is away.
    pub fn auto_reply(
        &self,
        account: &AccountName,
        sender: Address,
        original: &auto_reply::Original,
        reply: &directory::AutoReply,
    ) -> Option<NewMessage> {
        let id = self.ids.next();
        let answer = AutoReply {
            from: &reply.from,
            to: &sender,
            original,
            subject: &reply.subject,
            text: &reply.text,
            language: reply.language,
            date: self.now(),
            message_id: &self.message_id(id),
        };
        let (text, smtputf8) = (answer.to_message(), answer.needs_smtputf8());
        let to = vec![Recipient::of_auto_reply(sender)];
        let envelope = Envelope::new(ReversePath::Null, to, BodyType::SevenBit, smtputf8).ok()?;
        // If it does not arrive, that is nobody's trouble (RFC 3834 §4).
        let envelope = envelope.with_wishes(MessageWishes::default(), vec![NEVER]);
        let (provenance, body) =
            (Provenance { account: Some(account.clone()), lineage: None }, Body::Inline(vec![text.into()]));
        Some(NewMessage { id, envelope, provenance, arrival: unix_micros(), body })
    }

    async fn notice(&self, account: &AccountName, subject: Subject<'_>) -> Option<NewMessage> {
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
        new_message(id, Recipient::of_notice(to), text, BodyType::SevenBit)
    }

    /// That of the account which `to` leads to; a stranger's by the header of what he wrote.
    async fn language_for(&self, to: &Address, header: &[u8]) -> Language {
        match self.addresses.route(to).await.as_deref() {
            Ok(route) => match &route.leads_to {
                Destination::Local(local) => self.addresses.language(&local.mailbox.account).await,
                _ => language_of(header),
            },
            Err(_) => language_of(header),
        }
    }

    /// An address at the provider's domain.
    fn at_home(&self, local_part: &str) -> Option<Address> {
        Some(Address::new(LocalPart::new(local_part).ok()?, Host::Domain(self.domain.clone())))
    }

    fn message_id(&self, id: QueueId) -> String {
        format!("{id}@{}", self.host.to_ascii())
    }

    fn moment(&self, unix_seconds: u64) -> Option<OffsetDateTime> {
        let moment = OffsetDateTime::from_unix_timestamp(i64::try_from(unix_seconds).ok()?).ok()?;
        moment.checked_to_offset(self.zone)
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc().to_offset(self.zone)
    }
}

/// In the log.
fn about(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Failure => "failure",
        Occasion::Delay => "delay",
        Occasion::Success => "success",
        Occasion::FailedNotice => "failed-notice",
    }
}

/// With the null reverse-path, so that it is never answered by another (RFC 5321 §4.5.5).
fn new_message(id: QueueId, to: Recipient, text: Vec<u8>, body_type: BodyType) -> Option<NewMessage> {
    let envelope = Envelope::new(ReversePath::Null, vec![to], body_type, false).ok()?;
    let (provenance, body) = (Provenance::default(), Body::Inline(vec![text.into()]));
    Some(NewMessage { id, envelope, provenance, arrival: unix_micros(), body })
}

/// Octets of a message.
fn length(message: &Message<File>) -> u64 {
    match &message.body {
        StoredBody::Memory(pieces) => pieces.iter().map(Bytes::len).sum::<usize>() as u64,
        StoredBody::File { length, .. } => *length,
    }
}

/// The beginning of a message: its header, and all of it if it is small enough to be sent back.
fn beginning(message: &Message<File>) -> Vec<u8> {
    const ENOUGH: usize = message::report::ORIGINAL_MAX;
    match &message.body {
        StoredBody::Memory(pieces) => {
            let mut octets = Vec::new();
            for piece in pieces {
                octets.extend_from_slice(&piece[..piece.len().min(ENOUGH - octets.len())]);
            }
            octets
        }
        StoredBody::File { file, .. } => {
            use std::os::unix::fs::FileExt;
            let mut octets = vec![0; ENOUGH];
            let read = file.read_at(&mut octets, 0).unwrap_or(0);
            octets.truncate(read);
            octets
        }
    }
}
