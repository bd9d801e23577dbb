//! The world outside, for `hikyaku try`: an SMTP server on loopback that takes mail for anybody, and lays
//! each message into a directory, where it can be looked at.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::BytesMut;
use envelope::{Address, Client, Destination, Domain, Envelope, QueueId, QueueIds, authorise};
use smtp::{Action, Event, Judged, NotAccepted, Peer, Session, Settings};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

use crate::roles::unix_micros;

/// Octets read at a time.
const READ: usize = 16 << 10;
/// How long a client may take to read what it is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes mail at one address, into one directory.
pub struct Catcher {
    listener: TcpListener,
    outside: PathBuf,
    ids: Mutex<QueueIds>,
    settings: Arc<Settings>,
}

impl Catcher {
    /// Binds the address, which has to be on loopback: nobody else is to be taken for a mail server by
    /// accident.
    ///
    /// # Errors
    /// If it is not, or is taken, or the directory cannot be made.
    pub async fn open(at: SocketAddr, outside: &Path) -> anyhow::Result<Catcher> {
        anyhow::ensure!(at.ip().is_loopback(), "{at} is not on loopback");
        fs::create_dir_all(outside).with_context(|| format!("cannot make {}", outside.display()))?;
        let listener = TcpListener::bind(at).await.with_context(|| {
            format!("cannot listen at {at}, where mail for the outside is caught: is another server there?")
        })?;
        let host = Domain::parse("outside.example").context("it is a domain")?;
        Ok(Catcher {
            listener,
            outside: outside.to_path_buf(),
            ids: Mutex::new(QueueIds::new(rand::random())),
            settings: Arc::new(Settings::new(host)),
        })
    }

    /// Takes mail for as long as this is polled.
    pub async fn run(self) {
        let catcher = Arc::new(self);
        loop {
            match catcher.listener.accept().await {
                Ok((stream, peer)) => {
                    let catcher = Arc::clone(&catcher);
                    tokio::spawn(async move {
                        if let Err(error) = catcher.converse(stream, peer).await {
                            info!(event = "connection_lost", service = "outside", client = %peer.ip(), %error);
                        }
                    });
                }
                Err(error) => {
                    // Out of descriptors, say: not for long.
                    warn!(event = "accept_failed", service = "outside", %error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn converse(&self, mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let client = Peer { address: peer.ip(), name: None, user: None };
        let mut session = Session::new(Arc::clone(&self.settings), client, Instant::now());
        let mut draft: Option<Draft> = None;
        let mut input = BytesMut::new();
        loop {
            while let Some(action) = session.next_action(Instant::now(), OffsetDateTime::now_utc()) {
                match action {
                    Action::Send(octets) => {
                        tokio::time::timeout(PATIENCE, stream.write_all(&octets)).await??;
                    }
                    Action::Judge { recipient, .. } => session.judged(anybody(recipient)),
                    Action::Open { envelope, .. } => {
                        let id = self.ids.lock().unwrap_or_else(PoisonError::into_inner).next(unix_micros());
                        let began = Draft::begin(&self.outside, id, &envelope);
                        session.opened(
                            began.map(|begun| draft.insert(begun).id).map_err(failed),
                            Instant::now(),
                        );
                    }
                    Action::Append(octets) => {
                        if let Some(draft) = &mut draft {
                            draft.append(&octets);
                        }
                    }
                    Action::Commit => {
                        let kept = draft
                            .take()
                            .map_or(Err(NotAccepted::TryLater), |draft| draft.keep().map_err(failed));
                        session.committed(kept);
                    }
                    Action::Discard => draft = None,
                    Action::Log(Event::Accepted { id, size, .. }) => {
                        info!(event = "caught", file = %file_name(id), size, "mail for the outside");
                    }
                    Action::Log(_) => {}
                    Action::Close => return stream.shutdown().await,
                    // Customers and TLS are none of its business, and not offered.
                    Action::Authenticate(_)
                    | Action::ScramSalt { .. }
                    | Action::ScramProof { .. }
                    | Action::JudgeSender { .. }
                    | Action::OwnAddress(_)
                    | Action::JudgeAuthors { .. }
                    | Action::StartTls => return Ok(()),
                }
            }
            input.reserve(READ);
            tokio::select! {
                read = stream.read_buf(&mut input) => match read? {
                    0 => session.end_of_input(),
                    _ => session.receive(input.split(), Instant::now()),
                },
                () = tokio::time::sleep_until(session.deadline().into()) => session.timed_out(),
            }
        }
    }
}

/// As for a domain that we are the backup of: mail from anybody.
fn anybody(recipient: Address) -> Result<Judged, envelope::Refusal> {
    let recipient = authorise(&Client::Stranger, recipient, &Destination::Relayed)?;
    Ok(Judged { recipient, sender: None })
}

fn failed(error: io::Error) -> NotAccepted {
    warn!(event = "not_caught", %error);
    NotAccepted::TryLater
}

fn file_name(id: QueueId) -> String {
    format!("{id}.eml")
}

/// A message that is being written. Its file has its own name when it is whole; one that is dropped before
/// leaves nothing. Nothing is synced: it is there to be looked at.
struct Draft {
    id: QueueId,
    file: BufWriter<File>,
    unfinished: PathBuf,
    finished: PathBuf,
    failure: Option<io::Error>,
}

impl Draft {
    /// Makes the file, and writes the envelope into fields above the header.
    fn begin(outside: &Path, id: QueueId, envelope: &Envelope) -> io::Result<Draft> {
        let unfinished = outside.join(format!(".{id}"));
        let file = BufWriter::new(File::create_new(&unfinished)?);
        let mut draft = Draft { id, file, unfinished, finished: outside.join(file_name(id)), failure: None };
        writeln!(draft.file, "X-Envelope-From: {}", envelope.reverse_path())?;
        for recipient in envelope.recipients() {
            writeln!(draft.file, "X-Envelope-To: <{}>", recipient.address())?;
        }
        Ok(draft)
    }

    /// With LF as line ends, as in a Maildir: a CR that stands alone the session refuses.
    fn append(&mut self, octets: &[u8]) {
        for line in octets.split(|octet| *octet == b'\r') {
            if let Err(error) = self.file.write_all(line) {
                self.failure.get_or_insert(error);
            }
        }
    }

    fn keep(mut self) -> io::Result<QueueId> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.file.flush()?;
        fs::rename(&self.unfinished, &self.finished)?;
        Ok(self.id)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // One that was kept is no longer there under this name.
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::{BodyType, Recipient, ReversePath};

    fn envelope() -> Envelope {
        let to = ["friend@there.example", "other@there.example"];
        let to = to.map(|address| Recipient::of_forward(address.parse().unwrap()));
        let from = ReversePath::Address("abc@pobox.example".parse().unwrap());
        Envelope::new(from, to.into(), BodyType::SevenBit, false).unwrap()
    }

    #[test]
    fn a_message_lies_there_when_it_is_whole_and_one_that_broke_off_does_not() {
        let outside = tempfile::tempdir().unwrap();
        let files = || fs::read_dir(outside.path()).unwrap().count();
        let id = QueueIds::new(1).next(1);
        let mut draft = Draft::begin(outside.path(), id, &envelope()).unwrap();
        // A line end may come in two pieces.
        for piece in ["Subject: x\r", "\n\r\nhello\r\n"] {
            draft.append(piece.as_bytes());
        }
        assert!(!outside.path().join(file_name(id)).exists());
        draft.keep().unwrap();
        let text = fs::read_to_string(outside.path().join(file_name(id))).unwrap();
        let envelope_fields = "X-Envelope-From: <abc@pobox.example>\nX-Envelope-To: <friend@there.example>\n\
                               X-Envelope-To: <other@there.example>\n";
        assert_eq!(text, format!("{envelope_fields}Subject: x\n\nhello\n"));
        drop(Draft::begin(outside.path(), QueueIds::new(2).next(2), &envelope()).unwrap());
        assert_eq!(files(), 1);
    }

    #[tokio::test]
    async fn it_is_nowhere_but_on_loopback() {
        let outside = tempfile::tempdir().unwrap();
        let at = SocketAddr::from(([0, 0, 0, 0], 0));
        assert!(Catcher::open(at, outside.path()).await.is_err());
    }
}
