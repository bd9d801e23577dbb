//! One connection to one host: what a session asks, done.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use message::Status;
use rustls_pki_types::ServerName;
use smtp::client::{Action, Reason, Session, Settings, Settled, Transaction};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tracing::debug;

use crate::body::{Body, BodyReader};
use crate::mx::MailHost;
use crate::outcome::Diagnosis;

/// So much is written at once.
const WRITE_MAX: usize = 256 << 10;
/// How many slices one write has.
const SLICES_MAX: usize = 64;
/// Room for replies: those of a pipelined envelope fit in.
const READ_MAX: usize = 4096;

/// How long taking leave may last.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);

/// Makes connections. A role brings its own where its sockets come from elsewhere.
pub trait Connector: Send + Sync + 'static {
    /// Connects. A limit of time is set by the caller.
    ///
    /// # Errors
    /// If there is no connection.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send;
}

/// Connects as this process, from whichever address the system chooses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Connector for Direct {
    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(to).await
    }
}

/// Why a connection is of no use.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Nobody answers there.
    Connect(Diagnosis),
    /// The handshake failed; the certificate may be what is wrong.
    Tls { diagnosis: Diagnosis, certificate: bool },
    /// The server does not want us.
    Refused(Diagnosis),
}

impl OpenError {
    pub(crate) fn into_diagnosis(self) -> Diagnosis {
        match self {
            OpenError::Connect(diagnosis)
            | OpenError::Tls { diagnosis, .. }
            | OpenError::Refused(diagnosis) => diagnosis,
        }
    }
}

/// A connection whose session is ready.
pub(crate) struct Connection {
    wire: Wire,
    session: Session,
    host: MailHost,
    /// Messages that went over it.
    pub(crate) messages: usize,
}

/// The octets' side of it.
struct Wire {
    stream: Stream,
    input: BytesMut,
    output: Vec<Bytes>,
    output_size: usize,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// Between the two.
    None,
}

/// What a session came to.
enum Event {
    Ready,
    StartTls,
    Settled(Settled),
    Failed(Reason),
    Closed,
}

impl Connection {
    /// Connects, greets, starts TLS and logs in.
    pub(crate) async fn open(
        connector: &impl Connector,
        tls: &TlsConnector,
        host: &MailHost,
        settings: Arc<Settings>,
        patience: Duration,
    ) -> Result<Connection, OpenError> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let text = format!(
                "Sorry, I wasn't able to establish an SMTP connection to {} [{}]: {error}.",
                host.name, host.address
            );
            OpenError::Connect(Diagnosis::of_host(host, Status::new(4, 4, 1), text))
        };
        let stream = match timeout(patience, connector.connect(host.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(&error)),
            Err(_) => return Err(unreachable(&"it did not answer in time")),
        };
        // What is written is complete as it is.
        let _ = stream.set_nodelay(true);
        let mut connection = Connection {
            wire: Wire {
                stream: Stream::Plain(stream),
                input: BytesMut::new(),
                output: Vec::new(),
                output_size: 0,
            },
            session: Session::new(settings, Instant::now().into_std()),
            host: host.clone(),
            messages: 0,
        };
        loop {
            match connection.run(None).await {
                Event::Ready => return Ok(connection),
                Event::StartTls => {
                    connection.start_tls(tls, patience).await?;
                    connection.session.tls_started();
                }
                Event::Failed(reason) => {
                    return Err(OpenError::Refused(Diagnosis::of_session(host, reason)));
                }
                Event::Settled(_) | Event::Closed => return Err(unreachable(&"the conversation ended")),
            }
        }
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, transaction: Transaction, body: &Body) -> Option<Settled> {
        self.session.send(transaction).ok()?;
        self.messages += 1;
        match self.run(Some(body)).await {
            Event::Settled(settled) => Some(settled),
            Event::Ready | Event::StartTls | Event::Failed(_) | Event::Closed => None,
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the server has neither closed the connection nor said anything since the last message.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        let mut octet = [0];
        let stream = &mut self.wire.stream;
        poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut octet);
            Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut buffer).is_pending())
        })
        .await
    }

    /// Takes leave, and waits a short while for the server to do so too.
    pub(crate) async fn quit(mut self) {
        self.session.quit();
        // Whatever it comes to, and whatever the server says to it.
        let _ = timeout(LEAVE_PATIENCE, self.run(None)).await;
        let _ = timeout(LEAVE_PATIENCE, self.wire.stream.shutdown()).await;
    }

    /// Does what the session asks, until it has come to something.
    async fn run(&mut self, body: Option<&Body>) -> Event {
        let mut reader: Option<BodyReader> = None;
        let mut event = None;
        loop {
            match self.session.next_action(Instant::now().into_std()) {
                Some(Action::Send(octets)) => {
                    self.wire.output_size += octets.len();
                    self.wire.output.push(octets);
                    if self.wire.output_size >= WRITE_MAX {
                        self.flush().await;
                    }
                }
                Some(Action::Data) => match body {
                    Some(body) => reader = Some(body.reader()),
                    None => self.session.data_unreadable(),
                },
                Some(Action::Report(step, reply)) => {
                    debug!(host = %self.host.name, address = %self.host.address, %step, %reply, "replied");
                }
                Some(Action::Ready) => event = Some(Event::Ready),
                Some(Action::StartTls) => event = Some(Event::StartTls),
                Some(Action::Settled(settled)) => event = Some(Event::Settled(settled)),
                // What was settled stays so, whatever the server says behind it.
                Some(Action::Failed(reason)) => match &mut event {
                    Some(Event::Settled(settled)) => settled.reusable = false,
                    event => *event = Some(Event::Failed(reason)),
                },
                Some(Action::Close) => {
                    if let Some(Event::Settled(settled)) = &mut event {
                        settled.reusable = false;
                    }
                    return event.unwrap_or(Event::Closed);
                }
                None => {
                    if let Some(from) = &mut reader {
                        match from.next().await {
                            Ok(Some(piece)) => self.session.data(piece),
                            Ok(None) => {
                                reader = None;
                                self.session.end_of_data();
                            }
                            Err(error) => {
                                reader = None;
                                debug!(%error, "the message cannot be read");
                                self.session.data_unreadable();
                            }
                        }
                        continue;
                    }
                    self.flush().await;
                    match event {
                        Some(event) => return event,
                        None => self.read().await,
                    }
                }
            }
        }
    }

    /// Writes what waits. If that fails, what the server said before it went may tell why.
    async fn flush(&mut self) {
        if self.wire.output.is_empty() {
            return;
        }
        let output = std::mem::take(&mut self.wire.output);
        self.wire.output_size = 0;
        let write = self.wire.stream.write_all_of(output);
        let failed = match self.session.deadline() {
            Some(deadline) => timeout_at(deadline.into(), write).await.map_or(true, |done| done.is_err()),
            None => write.await.is_err(),
        };
        if failed {
            let _ = timeout(Duration::from_millis(200), self.read()).await;
            self.session.end_of_input();
        }
    }

    /// Reads what comes, and gives it to the session.
    async fn read(&mut self) {
        self.wire.input.reserve(READ_MAX);
        let read = self.wire.stream.read_buf(&mut self.wire.input);
        let read = match self.session.deadline() {
            Some(deadline) => timeout_at(deadline.into(), read).await,
            None => Ok(read.await),
        };
        match read {
            Ok(Ok(0) | Err(_)) => self.session.end_of_input(),
            Ok(Ok(_)) => {
                self.session.receive(&self.wire.input, Instant::now().into_std());
                self.wire.input.clear();
            }
            Err(_) => self.session.timed_out(),
        }
    }

    async fn start_tls(&mut self, tls: &TlsConnector, patience: Duration) -> Result<(), OpenError> {
        let failed = |error: &dyn std::fmt::Display, certificate| {
            let text =
                format!("Connected to {} but TLS could not be started: {error}.", self.host.address.ip());
            let status = Status::new(4, 7, 5);
            OpenError::Tls { diagnosis: Diagnosis::of_host(&self.host, status, text), certificate }
        };
        let name = ServerName::try_from(self.host.name.to_string())
            .unwrap_or_else(|_| ServerName::from(self.host.address.ip()));
        let Stream::Plain(stream) = std::mem::replace(&mut self.wire.stream, Stream::None) else {
            return Err(failed(&"it is started already", false));
        };
        match timeout(patience, tls.connect(name, stream)).await {
            Ok(Ok(stream)) => {
                self.wire.stream = Stream::Tls(Box::new(stream));
                Ok(())
            }
            Ok(Err(error)) => {
                let tls_error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
                let certificate = matches!(tls_error, Some(rustls::Error::InvalidCertificate(_)));
                Err(failed(&error, certificate))
            }
            Err(_) => Err(failed(&"the server did not answer in time", false)),
        }
    }
}

impl Stream {
    /// Writes all slices, many in one call.
    async fn write_all_of(&mut self, output: Vec<Bytes>) -> io::Result<()> {
        let mut output = std::collections::VecDeque::from(output);
        while !output.is_empty() {
            let slices: Vec<IoSlice<'_>> =
                output.iter().take(SLICES_MAX).map(|octets| IoSlice::new(octets)).collect();
            let mut written = self.write_vectored(&slices).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            while let Some(first) = output.front_mut() {
                if written < first.len() {
                    first.advance(written);
                    break;
                }
                written -= first.len();
                output.pop_front();
            }
        }
        self.flush().await
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
            Stream::None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::None => Poll::Ready(Ok(())),
        }
    }
}
