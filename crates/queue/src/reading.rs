//! Reading messages back from the log.

use std::num::NonZeroU32;

use bytes::Bytes;
use envelope::QueueId;

use crate::blob::BlobName;
use crate::frame::{HEADER, Kind, Location};
use crate::index::Entry;
use crate::lock;
use crate::message::{RecipientState, StoredBody, seconds};
use crate::record::{HEAD_PREFIX, MessageHead, Outcome, head_length};
use crate::segment::FrameError;
use crate::shared::Shared;
use crate::storage::{Folder, Storage};

/// Where a message stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub id: QueueId,
    pub message: Location,
    /// Octets of the message's payload.
    pub length: u32,
    pub outcome: Option<Location>,
}

impl From<&Entry> for Place {
    fn from(entry: &Entry) -> Place {
        Place { id: entry.id, message: entry.message, length: entry.length, outcome: entry.outcome }
    }
}

/// How much of a frame is read at first when its length is not known, or only its front is wanted.
const GLANCE: u32 = 4096;

/// The whole message as it was written: its head, and the body that stands behind it.
///
/// # Errors
/// If it cannot be read or does not check.
pub(crate) fn whole<S: Storage>(
    shared: &Shared<S>,
    place: Place,
) -> Result<(MessageHead, Bytes), FrameError> {
    let segment = lock(&shared.books).get(place.message.segment).ok_or(FrameError::Damaged)?;
    let payload = segment.payload(&*shared.storage, place.message, Kind::Message, place.length)?;
    let (head, end) = MessageHead::read(&payload).ok_or(FrameError::Damaged)?;
    if head.id != place.id {
        return Err(FrameError::Damaged);
    }
    Ok((head, Bytes::from(payload).slice(end..)))
}

/// The message's head alone, without reading a long body.
///
/// # Errors
/// If it cannot be read or does not check.
pub(crate) fn head<S: Storage>(shared: &Shared<S>, place: Place) -> Result<MessageHead, FrameError> {
    let segment = lock(&shared.books).get(place.message.segment).ok_or(FrameError::Damaged)?;
    let front = place.length.min(GLANCE) as usize;
    let mut octets = segment.read(&*shared.storage, place.message.offset, HEADER + front)?;
    let payload = octets.get(HEADER..).ok_or(FrameError::Damaged)?;
    let length = HEAD_PREFIX + head_length(payload).ok_or(FrameError::Damaged)? as usize;
    if length > payload.len() {
        let length = length.min(place.length as usize);
        octets = segment.read(&*shared.storage, place.message.offset, HEADER + length)?;
    }
    match MessageHead::read(&octets[HEADER..]) {
        Some((head, _)) if head.id == place.id => Ok(head),
        _ => Err(FrameError::Damaged),
    }
}

/// What the log says of each recipient of a message.
///
/// # Errors
/// If it cannot be read or does not check.
pub(crate) fn states<S: Storage>(
    shared: &Shared<S>,
    place: Place,
    head: &MessageHead,
) -> Result<Vec<RecipientState>, FrameError> {
    let mut states = head.recipients.clone();
    if states.is_empty() {
        let fresh = RecipientState::fresh(seconds(head.arrival / 1_000_000));
        states = vec![fresh; head.envelope.recipients().len()];
    }
    let mut known = vec![false; states.len()];
    let mut next = place.outcome;
    // From the last outcome back: the first word on a recipient is the latest.
    while let Some(location) = next {
        let segment = lock(&shared.books).get(location.segment).ok_or(FrameError::Damaged)?;
        let payload = segment.payload(&*shared.storage, location, Kind::Outcome, GLANCE)?;
        let outcome: Outcome = postcard::from_bytes(&payload).map_err(|_| FrameError::Damaged)?;
        if outcome.id != place.id {
            return Err(FrameError::Damaged);
        }
        for (number, state) in outcome.changes.into_iter().rev() {
            let place = number as usize;
            if known.get(place) == Some(&false) {
                known[place] = true;
                states[place] = state;
            }
        }
        let before =
            |earlier: &Location| (earlier.segment, earlier.offset) < (location.segment, location.offset);
        next = outcome.previous.filter(before);
    }
    Ok(states)
}

/// The message's head, and what the log says of each recipient.
///
/// # Errors
/// If it cannot be read or does not check.
pub(crate) fn head_and_states<S: Storage>(
    shared: &Shared<S>,
    place: Place,
) -> Result<(MessageHead, Vec<RecipientState>), FrameError> {
    let head = head(shared, place)?;
    let states = states(shared, place, &head)?;
    Ok((head, states))
}

/// A body that has a file of its own, opened to read only.
///
/// # Errors
/// If it is not there, or has another length.
pub(crate) fn blob_body<S: Storage>(
    shared: &Shared<S>,
    id: QueueId,
    copy: NonZeroU32,
    length: u64,
) -> Result<StoredBody<S::File>, FrameError> {
    let file = shared.storage.open_to_read(Folder::Blobs, &BlobName { id, copy }.to_string())?;
    if shared.storage.length(&file)? != length {
        return Err(FrameError::Damaged);
    }
    Ok(StoredBody::File { file, length })
}
