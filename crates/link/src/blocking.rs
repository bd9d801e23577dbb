//! One call at a time over a blocking socket: for the command line, which starts no runtime.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;

use crate::frame::{self, Frame, Kind, Parcel};
use crate::{CallError, FrameError, Service, wire};

/// A connection for one call after the other.
pub struct BlockingClient<S: Service> {
    stream: UnixStream,
    input: BytesMut,
    chunk: Box<[u8]>,
    fds: VecDeque<std::os::fd::OwnedFd>,
    last_call: u64,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> BlockingClient<S> {
    /// Calls over this socket; each read or write may take up to `timeout`.
    ///
    /// # Errors
    /// If the socket cannot be set up so.
    pub fn new(stream: UnixStream, timeout: Duration) -> io::Result<BlockingClient<S>> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(BlockingClient {
            stream,
            input: BytesMut::new(),
            chunk: vec![0; 64 << 10].into(),
            fds: VecDeque::new(),
            last_call: 0,
            service: PhantomData,
        })
    }

    /// Asks and waits.
    ///
    /// # Errors
    /// See [`CallError`]; after anything but [`CallError::Failed`] the connection is of no more use.
    pub fn call(&mut self, request: impl Into<Parcel<S::Request>>) -> Result<Parcel<S::Response>, CallError> {
        let request = request.into();
        self.last_call += 1;
        let mut out = BytesMut::new();
        frame::encode(&mut out, Kind::Request, self.last_call, &request.value, &request.raw, 0)
            .map_err(|error| CallError::Frame(S::NAME, error))?;
        self.stream.write_all(&out).map_err(|_| CallError::Lost(S::NAME))?;
        loop {
            let frame = self.next_frame()?;
            match frame.kind {
                Kind::Response if frame.call == self.last_call => {
                    return frame.open().map_err(|error| CallError::Frame(S::NAME, error));
                }
                Kind::Failure if frame.call == self.last_call => return Err(CallError::Failed(S::NAME)),
                // Events, and answers to a call that was given up.
                _ => {}
            }
        }
    }

    fn next_frame(&mut self) -> Result<Frame, CallError> {
        loop {
            let decoded = frame::decode(&mut self.input).map_err(|error| CallError::Frame(S::NAME, error))?;
            if let Some((mut frame, wanted)) = decoded {
                if self.fds.len() < wanted {
                    return Err(CallError::Frame(S::NAME, FrameError::Descriptors));
                }
                frame.fds = self.fds.drain(..wanted).collect();
                return Ok(frame);
            }
            match wire::receive_chunk(&self.stream, &mut self.chunk, &mut self.fds) {
                Ok(0) => return Err(CallError::Lost(S::NAME)),
                Ok(read) => self.input.extend_from_slice(&self.chunk[..read]),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Err(CallError::Absent(S::NAME)),
                Err(_) => return Err(CallError::Lost(S::NAME)),
            }
        }
    }
}
