//! Reports to the sender of a message that could not be delivered (RFC 3464), and to the
//! postmaster where a report could not be.

use std::fs::File;

use envelope::{
    Address, BodyType, Destination, Envelope, Host, Language, LocalPart, QueueId, Recipient, ReversePath,
};
use message::{Occasion, Report, ReportedRecipient, Status};
use queue::{Body, Message, NewMessage, StoredBody};
use time::OffsetDateTime;
use tracing::{error, info};

use super::known_addresses::KnownAddresses;
use super::unix_micros;
use crate::control::Settings;

/// A recipient that failed for good.
pub struct Failure {
    /// The address.
    pub address: Address,
    /// The status code (RFC 3463).
    pub status: Status,
    /// In a sentence.
    pub reason: String,
}

/// Writes reports.
pub struct Notices {
    addresses: KnownAddresses,
}

impl Notices {
    /// Notices in the languages of the accounts behind these addresses.
    pub fn new(addresses: KnownAddresses) -> Notices {
        Notices { addresses }
    }

    /// The report on these failures of `message`, as a message named `id`; `None` where nobody is
    /// to be told: a report on a report to the postmaster is only logged.
    pub async fn report(
        &self,
        settings: &Settings,
        message: &Message<File>,
        failures: &[Failure],
        id: QueueId,
    ) -> Option<NewMessage> {
        let postmaster =
            Address::new(LocalPart::new("postmaster").ok()?, Host::Domain(settings.domain.clone()));
        let (occasion, to) = match message.envelope.reverse_path() {
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
                remote_host: None,
                diagnostic: None,
            })
            .collect();
        let header = header(message);
        let now = OffsetDateTime::now_utc();
        let text = Report {
            occasion,
            language: self.language(&to).await,
            host: &settings.hostname,
            to: &to,
            date: now,
            message_id: &format!("{id}@{}", settings.hostname.to_ascii()),
            boundary: &format!("{:032x}", rand::random::<u128>()),
            queue_id: message.id,
            arrived: OffsetDateTime::from_unix_timestamp_nanos(i128::from(message.arrival) * 1000)
                .unwrap_or(now),
            original_header: &header,
            recipients: &recipients,
        }
        .to_message();
        info!(event = "reported", queue_id = %message.id, report = %id, to = %to);
        let envelope =
            Envelope::new(ReversePath::Null, vec![Recipient::of_bounce(to)], BodyType::SevenBit, false)
                .ok()?;
        Some(NewMessage { id, envelope, arrival: unix_micros(), body: Body::Inline(vec![text.into()]) })
    }

    async fn language(&self, to: &Address) -> Language {
        match self.addresses.resolve(to).await {
            Ok(Destination::Local(local)) => self.addresses.language(&local.mailbox.account).await,
            _ => Language::En,
        }
    }
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
