//! The octets of a frame.
//!
//! ```text
//! 0  length   u32  octets that follow this field
//! 4  version  u8
//! 5  kind     u8   request, response, failure, event
//! 6  fds      u8   descriptors that travel with the frame
//! 7  -        u8   zero
//! 8  call     u64  which request a response answers; zero in events
//! 16 typed    u32  length of the typed part
//! 20 the typed part (postcard), then the raw part
//! ```
//! Numbers are little-endian. Version and size limit stand here and nowhere else.

use std::os::fd::OwnedFd;

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Another one whenever what travels changes its form. Roles are the same binary, so theirs differ in a mixed
/// installation only; a program that calls the role `submit` may be newer than a server that still runs.
pub const VERSION: u8 = 2;
/// The largest frame in octets: a small message inline, its thousand recipients, and room.
pub const FRAME_MAX: usize = 4 << 20;
/// The most descriptors in one frame.
pub const FDS_MAX: usize = 64;

/// Octets of a frame before its typed part.
pub const HEADER: usize = 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A caller asks.
    Request,
    /// The service answers.
    Response,
    /// The service could not answer this call.
    Failure,
    /// The service speaks unasked.
    Event,
}

/// One frame, taken apart.
#[derive(Debug)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Which call it belongs to.
    pub call: u64,
    /// The typed part, still as octets.
    pub typed: Bytes,
    /// The raw part: mail data.
    pub raw: Bytes,
    /// Descriptors.
    pub fds: Vec<OwnedFd>,
}

/// What travels beside a typed value: mail data and descriptors.
#[derive(Debug)]
pub struct Parcel<T> {
    /// The typed value.
    pub value: T,
    /// Octets that are not looked into.
    pub raw: Bytes,
    /// Descriptors, at most [`FDS_MAX`].
    pub fds: Vec<OwnedFd>,
}

impl<T> From<T> for Parcel<T> {
    fn from(value: T) -> Parcel<T> {
        Parcel { value, raw: Bytes::new(), fds: Vec::new() }
    }
}

impl<T> Parcel<T> {
    /// A value with octets.
    pub fn with_raw(value: T, raw: Bytes) -> Parcel<T> {
        Parcel { value, raw, fds: Vec::new() }
    }

    /// A value with descriptors.
    pub fn with_fds(value: T, fds: Vec<OwnedFd>) -> Parcel<T> {
        Parcel { value, raw: Bytes::new(), fds }
    }
}

/// Why octets are no frame, or a value does not fit into one.
#[derive(Debug, Error)]
pub enum FrameError {
    /// Larger than a frame may be: [`FRAME_MAX`], or less for a peer that is no role.
    #[error("a frame of {0} octets is over the limit")]
    TooLarge(usize),
    /// More descriptors than [`FDS_MAX`], or fewer came than the frame says.
    #[error("a frame's descriptors are missing or too many")]
    Descriptors,
    /// Another version than [`VERSION`].
    #[error(
        "a peer speaks version {0} of the frames, this is version {VERSION}: restart the server after an upgrade"
    )]
    Version(u8),
    /// An unknown kind, or lengths that contradict each other.
    #[error("a malformed frame")]
    Malformed,
    /// The typed part is not what the service speaks.
    #[error("a frame's value does not decode: {0}")]
    Value(#[from] postcard::Error),
}

/// Appends a frame's octets to `out`.
///
/// # Errors
/// If it is too large, has too many descriptors, or the value does not encode; then `out` is as before.
pub fn encode<T: Serialize>(
    out: &mut BytesMut,
    kind: Kind,
    call: u64,
    value: &T,
    raw: &[u8],
    fds: usize,
) -> Result<(), FrameError> {
    if fds > FDS_MAX {
        return Err(FrameError::Descriptors);
    }
    let start = out.len();
    out.resize(start + HEADER, 0);
    let written = postcard::to_extend(value, Tail(out)).map(|_| ());
    if let Err(error) = written {
        out.truncate(start);
        return Err(error.into());
    }
    let typed = out.len() - start - HEADER;
    let total = HEADER + typed + raw.len();
    if total > FRAME_MAX {
        out.truncate(start);
        return Err(FrameError::TooLarge(total));
    }
    out.extend_from_slice(raw);
    let header = &mut out[start..start + HEADER];
    header[0..4].copy_from_slice(&(total as u32 - 4).to_le_bytes());
    header[4] = VERSION;
    header[5] = match kind {
        Kind::Request => 0,
        Kind::Response => 1,
        Kind::Failure => 2,
        Kind::Event => 3,
    };
    header[6] = fds as u8;
    header[8..16].copy_from_slice(&call.to_le_bytes());
    header[16..20].copy_from_slice(&(typed as u32).to_le_bytes());
    Ok(())
}

/// Octets that a value takes in a frame; more than fit one if it has no such form.
pub fn encoded_len<T: Serialize>(value: &T) -> usize {
    let size = postcard::ser_flavors::Size::default();
    postcard::serialize_with_flavor(value, size).unwrap_or(usize::MAX)
}

/// Lets postcard append to a buffer that it does not own.
struct Tail<'a>(&'a mut BytesMut);

impl Extend<u8> for Tail<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, octets: I) {
        self.0.extend(octets);
    }
}

/// Takes one whole frame off the front of `input`, if there is one. Says how many descriptors it
/// wants; the caller fills them in.
///
/// # Errors
/// If what stands there can be no frame; the connection is then of no more use.
pub fn decode(input: &mut BytesMut) -> Result<Option<(Frame, usize)>, FrameError> {
    decode_within(input, FRAME_MAX)
}

/// The same where a frame may have no more than `most` octets.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(input: &mut BytesMut, most: usize) -> Result<Option<(Frame, usize)>, FrameError> {
    if input.len() < HEADER {
        return Ok(None);
    }
    let word = |at: usize| [input[at], input[at + 1], input[at + 2], input[at + 3]];
    let length = u32::from_le_bytes(word(0)) as usize + 4;
    if input[4] != VERSION {
        return Err(FrameError::Version(input[4]));
    }
    if length > most {
        return Err(FrameError::TooLarge(length));
    }
    let kind = match input[5] {
        0 => Kind::Request,
        1 => Kind::Response,
        2 => Kind::Failure,
        3 => Kind::Event,
        _ => return Err(FrameError::Malformed),
    };
    let fds = usize::from(input[6]);
    let typed = u32::from_le_bytes(word(16)) as usize;
    if length < HEADER || typed > length - HEADER {
        return Err(FrameError::Malformed);
    }
    if fds > FDS_MAX {
        return Err(FrameError::Descriptors);
    }
    if input.len() < length {
        input.reserve(length - input.len());
        return Ok(None);
    }
    let mut octets = input.split_to(length).freeze();
    octets.advance(8);
    let call = octets.get_u64_le();
    octets.advance(4);
    let typed = octets.split_to(typed);
    Ok(Some((Frame { kind, call, typed, raw: octets, fds: Vec::new() }, fds)))
}

impl Frame {
    /// Decodes the typed part.
    ///
    /// # Errors
    /// If it is not a `T`, or has octets left over.
    pub fn open<T: DeserializeOwned>(self) -> Result<Parcel<T>, FrameError> {
        let (value, rest) = postcard::take_from_bytes(&self.typed)?;
        if !rest.is_empty() {
            return Err(FrameError::Malformed);
        }
        Ok(Parcel { value, raw: self.raw, fds: self.fds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_reads_back_and_a_half_one_waits() {
        let mut out = BytesMut::new();
        encode(&mut out, Kind::Request, 7, &("hello", 5u32), b"mail", 2).unwrap();
        let mut half = BytesMut::from(&out[..out.len() - 1]);
        assert!(decode(&mut half).unwrap().is_none());
        let (frame, fds) = decode(&mut out).unwrap().unwrap();
        assert_eq!((frame.kind, frame.call, fds), (Kind::Request, 7, 2));
        let parcel = frame.open::<(String, u32)>().unwrap();
        assert_eq!((parcel.value, &parcel.raw[..]), (("hello".to_string(), 5), &b"mail"[..]));
        assert!(out.is_empty());
    }

    #[test]
    fn an_oversize_frame_is_refused_before_its_octets_are_awaited() {
        let mut out = BytesMut::new();
        assert!(matches!(
            encode(&mut out, Kind::Event, 0, &(), &vec![0; FRAME_MAX], 0),
            Err(FrameError::TooLarge(_))
        ));
        assert!(out.is_empty());
        let mut header = BytesMut::from(&[0xff, 0xff, 0xff, 0x7f, VERSION][..]);
        header.resize(HEADER, 0);
        assert!(matches!(decode(&mut header), Err(FrameError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn any_octets_are_frames_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut input = BytesMut::from(&octets[..]);
            for _ in 0..20 {
                match decode(&mut input) {
                    Ok(Some((frame, _))) => { let _ = frame.open::<(String, u64, Vec<u32>)>(); }
                    _ => break,
                }
            }
        }
    }
}
