//! Frames in and out of a Unix socket.
//!
//! Outgoing frames gather in an [`Outbox`] and leave in as few writes as possible: whoever has
//! something to say appends it and goes on; one task writes. So fifty sessions that hand over a
//! message in the same turn cost one system call.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::frame::{self, FDS_MAX, FRAME_MAX, Frame, FrameError, Kind, Parcel};

/// Frames that wait to be written. Clones share one box.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    pending: Mutex<Pending>,
    /// There is something to write.
    pushed: Notify,
    /// There is room again.
    taken: Notify,
}

#[derive(Default)]
struct Pending {
    pieces: VecDeque<Piece>,
    octets: usize,
    closed: bool,
}

/// With so many octets waiting for a peer that does not read, nothing more is done for it.
const OUTBOX_FULL: usize = 8 << 20;

/// Octets, and the descriptors that leave with the first of them.
#[derive(Default)]
struct Piece {
    octets: BytesMut,
    fds: Vec<OwnedFd>,
}

impl Outbox {
    fn new() -> Outbox {
        Outbox(Arc::new(Shared { pending: Mutex::default(), pushed: Notify::new(), taken: Notify::new() }))
    }

    /// Appends a frame. On a closed connection it is dropped: the peer that would read it is gone.
    ///
    /// # Errors
    /// If the frame cannot be encoded.
    pub fn push<T: Serialize>(&self, kind: Kind, call: u64, parcel: Parcel<T>) -> Result<(), FrameError> {
        let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.closed {
            return Ok(());
        }
        // Descriptors leave with the first octet of their piece, so such a frame begins one.
        if !parcel.fds.is_empty() || pending.pieces.is_empty() {
            pending.pieces.push_back(Piece::default());
        }
        let piece = pending.pieces.back_mut().expect("a piece was pushed if there was none");
        let before = piece.octets.len();
        let encoded =
            frame::encode(&mut piece.octets, kind, call, &parcel.value, &parcel.raw, parcel.fds.len());
        match encoded {
            Ok(()) => {
                piece.fds.extend(parcel.fds);
                let more = piece.octets.len() - before;
                pending.octets += more;
            }
            Err(error) => {
                if piece.octets.is_empty() {
                    pending.pieces.pop_back();
                }
                return Err(error);
            }
        }
        drop(pending);
        self.0.pushed.notify_one();
        Ok(())
    }

    /// Waits while a peer that does not read has too much waiting for it.
    pub async fn room(&self) {
        loop {
            let taken = self.0.taken.notified();
            {
                let pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
                if pending.octets < OUTBOX_FULL || pending.closed {
                    return;
                }
            }
            taken.await;
        }
    }

    /// Ends the connection once what is in the box has been written.
    pub fn close(&self) {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.0.pushed.notify_one();
        self.0.taken.notify_waiters();
    }

    /// Whether nothing put in will be written any more.
    pub fn is_closed(&self) -> bool {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner).closed
    }

    /// Writes what comes until the box is closed or the peer is gone.
    async fn drain(&self, stream: &UnixStream) -> io::Result<()> {
        loop {
            let (pieces, closed) = {
                let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
                pending.octets = 0;
                (std::mem::take(&mut pending.pieces), pending.closed)
            };
            self.0.taken.notify_waiters();
            if pieces.is_empty() {
                if closed {
                    return Ok(());
                }
                self.0.pushed.notified().await;
                continue;
            }
            for piece in pieces {
                send_piece(stream, piece).await?;
            }
        }
    }
}

async fn send_piece(stream: &UnixStream, piece: Piece) -> io::Result<()> {
    let Piece { mut octets, mut fds } = piece;
    while !octets.is_empty() {
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                if !borrowed.is_empty() {
                    ancillary.push(SendAncillaryMessage::ScmRights(&borrowed));
                }
                sendmsg(stream, &[IoSlice::new(&octets)], &mut ancillary, SendFlags::NOSIGNAL)
                    .map_err(io::Error::from)
            })
            .await?;
        fds.clear();
        octets.advance(sent);
    }
    Ok(())
}

/// Frames as they come in.
pub struct Inbox {
    stream: Arc<UnixStream>,
    input: BytesMut,
    chunk: Box<[u8]>,
    fds: VecDeque<OwnedFd>,
    fds_max: usize,
    frame_max: usize,
    frame_time_max: Option<Duration>,
}

/// Octets asked for in one read.
const CHUNK: usize = 128 << 10;

impl Inbox {
    /// Hears a stranger: takes no descriptors and no frame of more octets than this, and hangs up on whoever
    /// sends one, or does not end in this time a frame that he has begun.
    pub fn bound(&mut self, frame_max: usize, frame_time_max: Duration) {
        (self.fds_max, self.frame_max) = (0, frame_max);
        self.frame_time_max = Some(frame_time_max);
    }

    /// The next frame; `None` when the peer has closed.
    ///
    /// # Errors
    /// If the socket fails or what comes is no frame. The connection is then of no more use.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        let mut deadline = None;
        loop {
            match frame::decode_within(&mut self.input, self.frame_max) {
                Ok(Some((mut frame, wanted))) => {
                    if self.fds.len() < wanted {
                        return Err(io::Error::other(FrameError::Descriptors));
                    }
                    frame.fds = self.fds.drain(..wanted).collect();
                    return Ok(Some(frame));
                }
                Ok(None) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
            if !self.input.is_empty() && deadline.is_none() {
                deadline = self.frame_time_max.map(|most| Instant::now() + most);
            }
            let read = match deadline {
                Some(deadline) => timeout_at(deadline, self.fill()).await??,
                None => self.fill().await?,
            };
            if read == 0 {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let Inbox { stream, input, chunk, fds, fds_max, .. } = self;
        let read = stream
            .async_io(Interest::READABLE, || {
                receive_chunk(stream.as_ref(), chunk, fds).map_err(io::Error::from)
            })
            .await?;
        // Descriptors come with the frame that needs them: more than one frame's worth is an attack.
        if fds.len() > *fds_max {
            return Err(io::Error::other(FrameError::Descriptors));
        }
        input.extend_from_slice(&chunk[..read]);
        Ok(read)
    }
}

/// Reads once, keeping the descriptors that came along.
pub(crate) fn receive_chunk(
    stream: impl AsFd,
    chunk: &mut [u8],
    fds: &mut VecDeque<OwnedFd>,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(stream, &mut [IoSliceMut::new(chunk)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(got.bytes)
}

/// Splits a socket into its two directions and starts the writing task. When writing ends, by
/// [`Outbox::close`] or a lost peer, the socket is shut down, so that the reader ends too.
///
/// # Errors
/// If the socket cannot be watched.
pub fn open(stream: StdStream) -> io::Result<(Inbox, Outbox)> {
    stream.set_nonblocking(true)?;
    Ok(over(UnixStream::from_std(stream)?))
}

/// The same with a socket that is watched already.
pub fn over(stream: UnixStream) -> (Inbox, Outbox) {
    let stream = Arc::new(stream);
    let outbox = Outbox::new();
    let writer = (Arc::clone(&stream), outbox.clone());
    tokio::spawn(async move {
        let (stream, outbox) = writer;
        if let Err(error) = outbox.drain(&stream).await {
            tracing::debug!(%error, "a peer is gone");
        }
        outbox.close();
        let _ = rustix::net::shutdown(&stream, rustix::net::Shutdown::Both);
    });
    let (input, chunk) = (BytesMut::new(), vec![0; CHUNK].into());
    let (fds_max, frame_max, frame_time_max) = (2 * FDS_MAX, FRAME_MAX, None);
    (Inbox { stream, input, chunk, fds: VecDeque::new(), fds_max, frame_max, frame_time_max }, outbox)
}
