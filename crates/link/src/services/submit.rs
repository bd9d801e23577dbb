//! `submit`: take this message from a program of this machine. The kernel says whose program it is, or the
//! role that ran it.

use envelope::{AccountName, Address, QueueId, ReversePath, Walk};
use sendmail::{Job, Refusal};
use serde::{Deserialize, Serialize};

use crate::Service;

/// The service of the role `submit`.
pub struct Submit;

impl Service for Submit {
    const NAME: &'static str = "submit";
    type Request = Request;
    type Response = Response;
    type Event = ();
}

/// The most octets of a message that travel in one request.
pub const PIECE_MAX: usize = 64 << 10;

/// The most octets of a request: a job, a piece, or a header to compose, and what stands around it.
pub const REQUEST_MAX: usize =
    sendmail::drop_file::JOB_MAX + sendmail::intake::HEADER_MAX as usize + (16 << 10);

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Take a message: the raw part is its beginning, with line ends as the caller wrote them.
    Take {
        /// What is to be done with it.
        job: Job,
        /// The raw part is all of it.
        whole: bool,
    },
    /// More of it, in the raw part.
    More {
        /// The raw part is the last of it.
        whole: bool,
    },
    /// Say what would be made of this header, in the raw part, and queue nothing.
    Compose(Job),
    /// The caller was refused before there was anything to hand in: for the log. [`Response::GoOn`].
    Refused(Refusal),
    /// The caller's own mail that waits, a page at a time.
    Waiting(Walk),
    /// From the role `programs` alone: take what a program of delivery instructions left, all of it or
    /// nothing. The descriptors that come along are its files, in this order, in the form of the drop
    /// directory, open for reading at their beginning.
    TakeLeft {
        /// Whose instructions they are.
        account: AccountName,
        /// The files.
        files: Vec<Left>,
    },
}

/// The most files that a program leaves.
pub const LEFT_MAX: usize = 10;

/// A file that a program of delivery instructions left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// As whom the program ran.
    pub uid: u32,
    /// It forwards the very message that is being delivered, as a forward line would.
    pub forwards_delivery: bool,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Response {
    /// The next piece may come.
    GoOn,
    /// It is on disk: it is ours now. Of several, this is the first.
    Accepted(QueueId),
    /// What would be made of the header; the raw part is the new one, with LF at the line ends, and the
    /// empty line after it.
    Composed(Vec<ComposedEnvelope>),
    /// It is not taken.
    Refused(Refusal),
    /// Messages that wait, and how far the walk has come; done where `more` is none.
    Waiting {
        /// These.
        messages: Vec<Waiting>,
        /// What to ask next.
        more: Option<Walk>,
    },
}

/// From whom a composed message goes to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposedEnvelope {
    /// From whom.
    pub reverse_path: ReversePath,
    /// To whom.
    pub recipients: Vec<Address>,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its name.
    pub id: QueueId,
    /// When it came, in seconds since 1970.
    pub arrived: u64,
    /// Octets.
    pub size: u64,
    /// From whom.
    pub reverse_path: ReversePath,
    /// Whom it still waits for, and what the last attempt said.
    pub recipients: Vec<(Address, Option<String>)>,
    /// How many recipients have it, or were given up.
    pub settled: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendmail::job::Letters;
    use sendmail::{Face, FromHeader, Manner, Names, Treatment};

    use crate::frame;

    fn form(request: &Request) -> String {
        postcard::to_stdvec(request).unwrap().iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// A program may be newer than a server that still runs. Should this fail, count [`frame::VERSION`] up (and
    /// that of the drop directory's files if it is the job that changed), and then change the octets here.
    #[test]
    fn the_form_of_a_request_changes_with_the_version_of_the_frames_only() {
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let job = Job {
            face: Face::Sendmail,
            manner: Manner::Helpful,
            sender: text("abc"),
            full_name: text("N"),
            arguments: vec![b"a@x.example".to_vec()],
            from_header: FromHeader::Also,
            treatment: Treatment::Forward { delivered_to: b"D".to_vec() },
            names: Names {
                user: text("u"),
                letters: Letters { message_verp: true, ..Letters::default() },
                lists: vec!["l@x.example".parse().unwrap()],
                ..Names::default()
            },
            let_pass: vec!["-oi".into()],
        };
        let refusal = Refusal::NoSuchMailbox(vec!["a@x.example".parse().unwrap()]);
        let requests = [
            Request::Take { job: job.clone(), whole: true },
            Request::More { whole: true },
            Request::Compose(job),
            Request::Refused(refusal),
        ];
        let job = "\
            0000010361626301014e010b6140782e6578616d706c65020201440101750000000000000000000000000001010b6c40782e65\
            78616d706c6501032d6f69";
        let forms = [
            format!("00{job}01"),
            "0101".into(),
            format!("02{job}"),
            "030e010b6140782e6578616d706c65".into(),
        ];
        assert_eq!((frame::VERSION, requests.each_ref().map(form)), (2, forms));
    }
}
