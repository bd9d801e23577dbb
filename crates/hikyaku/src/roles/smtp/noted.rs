//! What the record of events is told of a session.

use std::net::IpAddr;

use envelope::event::{Accepted, Door, Event, Refused, What, Words};

use super::super::draft::Taken;
use super::super::unix_micros;

/// The queue took this message, of a program of this machine or of somebody else.
pub fn accepted(client: IpAddr, of_program: bool, taken: Taken) -> Event {
    let Taken { id, reverse_path, recipients, arrived, account, size, message_id } = taken;
    let accepted = Accepted {
        door: match account {
            _ if of_program => Door::Sendmail,
            Some(_) => Door::Submission,
            None => Door::Mx,
        },
        client: Some(client),
        account,
        reverse_path,
        recipients,
        size,
        message_id,
    };
    // As it began, not as it is answered: by then it may have been delivered.
    Event { at: arrived, queue_id: Some(id), what: What::Accepted(Box::new(accepted)) }
}

/// The client was told this.
pub fn refused(client: IpAddr, refusal: smtp::Refused) -> Event {
    let smtp::Refused { reverse_path, recipient, id, account, reply } = refusal;
    let (code, text) = (reply.code(), Words::new(reply.text()));
    let refused = Refused { client, account, reverse_path, recipient, code, text };
    Event { at: unix_micros(), queue_id: id, what: What::Refused(Box::new(refused)) }
}
