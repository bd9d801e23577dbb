//! The payloads of frames.
//!
//! A message's payload is `length of the head, CRC-32C of the head, head, body`: the head has a
//! checksum of its own so that a list of the queue need not read bodies. Everything typed is
//! postcard.

use std::num::NonZeroU32;

use envelope::{Envelope, Provenance, QueueId};
use serde::{Deserialize, Serialize};

use crate::frame::{Location, SegmentNumber};
use crate::message::RecipientState;

/// Octets before a message's head.
pub(crate) const HEAD_PREFIX: usize = 8;

/// A message but for an inline body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MessageHead {
    pub id: QueueId,
    pub envelope: Envelope,
    pub provenance: Provenance,
    /// Microseconds since 1970.
    pub arrival: u64,
    pub body: BodyPlace,
    /// What became of the recipients before the message was moved to the head of the log; empty
    /// for a new message.
    pub recipients: Vec<RecipientState>,
}

/// Where a message's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BodyPlace {
    /// Behind the head.
    Inline { length: u64 },
    /// In a blob file: which one of those with the message's id.
    Blob { length: u64, copy: NonZeroU32 },
}

impl MessageHead {
    /// Appends prefix and head to `octets`.
    pub fn write(&self, octets: &mut Vec<u8>) {
        let start = octets.len();
        octets.extend_from_slice(&[0; HEAD_PREFIX]);
        write(self, octets);
        let head = &octets[start + HEAD_PREFIX..];
        let (length, checksum) = (head.len() as u32, crc32c::crc32c(head));
        octets[start..start + 4].copy_from_slice(&length.to_le_bytes());
        octets[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the head off the front of a payload; gives the octets that prefix and head take.
    pub fn read(payload: &[u8]) -> Option<(MessageHead, usize)> {
        let end = HEAD_PREFIX.checked_add(head_length(payload)? as usize)?;
        let head = payload.get(HEAD_PREFIX..end)?;
        let checksum = u32::from_le_bytes(*payload.get(4..)?.first_chunk()?);
        if crc32c::crc32c(head) != checksum {
            return None;
        }
        Some((postcard::from_bytes(head).ok()?, end))
    }
}

/// The length of the head at the front of a message's payload.
pub(crate) fn head_length(payload: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*payload.first_chunk()?))
}

/// What became of some recipients of a message.
///
/// What became of the others stands in the frame at `previous`, or in the message's own frame if
/// there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub id: QueueId,
    pub previous: Option<Location>,
    pub changes: Vec<(u32, RecipientState)>,
}

/// No recipient of the message is left to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retired {
    pub id: QueueId,
}

/// Whether an operator holds a message. Not held is what a message is that no frame says this of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub id: QueueId,
    pub held: bool,
}

/// A segment was given up after a write or sync had failed, or after a crash: what stands in it
/// at `offset` and after was never acknowledged and does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Abandoned {
    pub segment: SegmentNumber,
    pub offset: u32,
}

/// Appends a value in postcard.
pub(crate) fn write(value: &impl Serialize, octets: &mut Vec<u8>) {
    // The only errors of postcard here would be a full buffer and a sequence of unknown length.
    *octets = postcard::to_extend(value, std::mem::take(octets))
        .expect("a vector takes all, and our types know their lengths");
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::{BodyType, Lineage, Reached, Recipient, ReversePath};
    use proptest::prelude::*;

    fn head() -> MessageHead {
        let to = Recipient::of_bounce("a@x.example".parse().unwrap());
        MessageHead {
            id: QueueId::from_u64(5),
            envelope: Envelope::new(ReversePath::Null, vec![to], BodyType::SevenBit, false).unwrap(),
            provenance: Provenance {
                account: Some("abc".parse().unwrap()),
                lineage: Some(Lineage {
                    origin: QueueId::from_u64(4),
                    copies: 1,
                    reached: vec![
                        Reached::address(&"A@x.example".parse().unwrap()),
                        Reached::Mailbox("xyz".parse().unwrap()),
                    ],
                }),
            },
            arrival: 9,
            body: BodyPlace::Inline { length: 4 },
            recipients: vec![RecipientState::fresh(3)],
        }
    }

    #[test]
    fn a_head_reads_back_before_its_body() {
        let mut octets = Vec::new();
        head().write(&mut octets);
        let end = octets.len();
        octets.extend_from_slice(b"body");
        assert_eq!(MessageHead::read(&octets), Some((head(), end)));
        octets[HEAD_PREFIX + 1] ^= 1;
        assert_eq!(MessageHead::read(&octets), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_a_payload_or_none(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = MessageHead::read(&octets);
            let _ = postcard::from_bytes::<Outcome>(&octets);
            let _ = postcard::from_bytes::<Abandoned>(&octets);
            let _ = postcard::from_bytes::<Held>(&octets);
            // With a checksum that is right, the octets of the head are any octets again.
            let mut sealed = (octets.len() as u32).to_le_bytes().to_vec();
            sealed.extend_from_slice(&crc32c::crc32c(&octets).to_le_bytes());
            sealed.extend_from_slice(&octets);
            let _ = MessageHead::read(&sealed);
        }
    }
}
