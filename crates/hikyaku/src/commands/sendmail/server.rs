//! The server as a program of this machine sees it: the role `submit`, which knows from the kernel whose
//! program it is.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use envelope::{QueueId, Walk};
use link::Parcel;
use link::blocking::BlockingClient;
use link::frame::{HEADER as FRAME_HEADER, encoded_len};
use link::services::submit::{ComposedEnvelope, PIECE_MAX, REQUEST_MAX, Request, Response, Submit, Waiting};
use sendmail::{Job, Refusal};
use socket2::{Domain, SockAddr, Socket, Type};

use super::message::Message;
use crate::sendmail_note::Places;

/// How long the server may take over one answer: longer than any of its roles over theirs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(90);

/// A connection to the role `submit`.
pub struct Server(BlockingClient<Submit>);

impl Server {
    /// Connects.
    ///
    /// # Errors
    /// [`Refusal::ServerAway`].
    pub fn connect(places: &Places) -> Result<Server, Refusal> {
        let client = connect(&places.submit)
            .and_then(|stream| BlockingClient::new(stream, ANSWERS_WITHIN))
            .map_err(|error| away(&places.submit, &error))?;
        Ok(Server(client))
    }

    /// Hands a message in.
    ///
    /// # Errors
    /// The server's, or [`Refusal::ServerAway`]: then it may still have taken the message, if all of it was
    /// on the way.
    pub fn take(&mut self, job: &Job, message: &Message) -> Result<QueueId, Refusal> {
        let mut piece = message.piece(0, PIECE_MAX)?;
        let mut at = piece.len() as u64;
        let mut request = Request::Take { job: job.clone(), whole: at == message.size() };
        loop {
            match self.ask(request, piece)?.value {
                Response::Accepted(id) => return Ok(id),
                Response::GoOn if at < message.size() => {
                    piece = message.piece(at, PIECE_MAX)?;
                    at += piece.len() as u64;
                    request = Request::More { whole: at == message.size() };
                }
                _ => return Err(other_version()),
            }
        }
    }

    /// Asks what would be made of this header. Gives the new one, with LF at the line ends, and from whom
    /// it would go to whom.
    ///
    /// # Errors
    /// As [`Server::take`].
    pub fn compose(&mut self, job: Job, header: Bytes) -> Result<(Bytes, Vec<ComposedEnvelope>), Refusal> {
        let answer = self.ask(Request::Compose(job), header)?;
        match answer.value {
            Response::Composed(envelopes) => Ok((answer.raw, envelopes)),
            _ => Err(other_version()),
        }
    }

    /// Asks for a page of the caller's own mail that waits, and what to ask next.
    ///
    /// # Errors
    /// As [`Server::take`].
    pub fn waiting(&mut self, walk: Walk) -> Result<(Vec<Waiting>, Option<Walk>), Refusal> {
        match self.ask(Request::Waiting(walk), Bytes::new())?.value {
            Response::Waiting { messages, more } => Ok((messages, more)),
            _ => Err(other_version()),
        }
    }

    /// Has the server's log say that a caller was refused before there was anything to hand in. Where there
    /// is no server, there is no log; a program in delivery instructions has what it printed in the report.
    pub fn tell(places: &Places, refusal: &Refusal) {
        if places.handover.is_some() {
            return;
        }
        if let Ok(mut server) = Server::connect(places) {
            let _ = server.ask(Request::Refused(refusal.clone()), Bytes::new());
        }
    }

    fn ask(&mut self, request: Request, raw: Bytes) -> Result<Parcel<Response>, Refusal> {
        let arguments = match &request {
            Request::Take { job, .. } | Request::Compose(job) => job.arguments.len(),
            Request::More { .. } | Request::Refused(_) | Request::Waiting(_) | Request::TakeLeft { .. } => 0,
        };
        // It is the recipients that have no bound on the way here.
        if encoded_len(&request).saturating_add(raw.len() + FRAME_HEADER) > REQUEST_MAX {
            return Err(Refusal::TooManyRecipients(arguments.saturating_sub(1)));
        }
        let answer = self.0.call(Parcel::with_raw(request, raw));
        let answer = answer.map_err(|error| Refusal::ServerAway(error.to_string()))?;
        match answer.value {
            Response::Refused(refusal) => Err(refusal),
            _ => Ok(answer),
        }
    }
}

/// Connects to a socket of the server's; waits for a server that is too busy to hear, but not for ever.
///
/// # Errors
/// If nobody hears.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(ANSWERS_WITHIN))?;
    let address = SockAddr::unix(path)?;
    loop {
        match socket.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            connected => return connected.map(|()| socket.into()),
        }
    }
}

/// That nobody hears at this socket, and why.
pub fn away(path: &Path, error: &io::Error) -> Refusal {
    Refusal::ServerAway(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("it does not run (nobody hears at {})", path.display())
        }
        _ => format!("{}: {error}", path.display()),
    })
}

/// The answer is to another question.
fn other_version() -> Refusal {
    Refusal::Fault("the mail server answers something else: it is of another version".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_socket_and_one_without_a_server_are_a_server_that_is_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("submit");
        let missing = connect(&path).expect_err("there is none");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("it binds"));
        let dead = connect(&path).expect_err("nobody hears");
        for error in [missing, dead] {
            let Refusal::ServerAway(reason) = away(&path, &error) else { panic!("{error}") };
            assert!(reason.starts_with("it does not run"), "{reason}");
        }
    }
}
