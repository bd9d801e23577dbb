//! What the log and the record of events are told of messages.

use std::net::{IpAddr, Ipv4Addr};

use envelope::QueueId;
use envelope::event::{Accepted, Door, Event, Refused, What, Words};
use sendmail::refusal::sysexits;
use sendmail::{Job, Manner, Refusal};
use tracing::info;

use super::caller::Caller;
use crate::roles::draft::Taken;
use crate::roles::unix_micros;

/// As which client a program appears in the record.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The queue took this message.
pub fn accepted(caller: &Caller, job: &Job, taken: Taken) -> Event {
    let Taken { id, reverse_path, recipients, arrived, account, size, message_id } = taken;
    let let_pass = (!job.let_pass.is_empty()).then(|| Words::new(&job.let_pass.join(" ")).to_string());
    info!(
        event = "accepted", queue_id = %id, uid = caller.uid, account = %caller.account(), face = %job.face,
        size, let_pass
    );
    let door = Door::Sendmail;
    let accepted =
        Accepted { door, client: Some(LOOPBACK), account, reverse_path, recipients, size, message_id };
    Event { at: arrived, queue_id: Some(id), what: What::Accepted(Box::new(accepted)) }
}

/// The caller was told this.
pub fn refused(uid: u32, caller: Option<&Caller>, refusal: &Refusal) -> Event {
    let account = caller.map(Caller::account);
    // Options and addresses of the caller's are in it.
    let text = Words::new(&refusal.to_string());
    info!(event = "refused", service = "submit", uid, account = account.map(|name| name.as_str()), status = %text);
    let refused = Refused {
        client: LOOPBACK,
        account: account.cloned(),
        reverse_path: None,
        recipient: match refusal {
            Refusal::NoSuchMailbox(unknown) => unknown.first().cloned(),
            Refusal::MailboxFull(full) => Some(full.clone()),
            _ => None,
        },
        code: code(refusal),
        text,
    };
    Event { at: unix_micros(), queue_id: None, what: What::Refused(Box::new(refused)) }
}

/// What was changed in a header, or passed over.
pub fn changed(caller: &Caller, id: QueueId, notes: &[String]) {
    if !notes.is_empty() {
        let changed = Words::new(&notes.join("; "));
        info!(event = "composed", queue_id = %id, uid = caller.uid, account = %caller.account(), %changed);
    }
}

/// As SMTP would have said it (RFC 5321 §4.2.3).
fn code(refusal: &Refusal) -> u16 {
    match (refusal, refusal.exit_code(Manner::Helpful)) {
        (Refusal::StorageFull | Refusal::MailboxFull(_), _) => 452,
        (_, sysexits::TEMPFAIL | sysexits::SOFTWARE) => 451,
        (Refusal::NoSuchMailbox(_), _) => 550,
        (Refusal::TooLarge(_) | Refusal::HeaderTooLarge(_) | Refusal::SenderDenied { .. }, _) => 552,
        _ => 554,
    }
}
