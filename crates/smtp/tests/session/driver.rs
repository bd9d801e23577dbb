//! A shell for a session that lives in memory: it knows three addresses, and keeps what it is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use envelope::{
    AccountName, Address, Destination, Envelope, Mailbox, QueueId, Recipient, Refusal, authorise,
};
use smtp::{Action, Event, NotAccepted, Peer, Session, Settings, TlsInfo};
use time::OffsetDateTime;
use time::macros::datetime;

pub const WALL: OffsetDateTime = datetime!(2026-11-24 07:05:36 +9);

pub struct Driver {
    pub session: Session,
    pub now: Instant,
    /// All that was sent and not yet taken by [`Driver::sent`], and in how many writes.
    pub output: Vec<u8>,
    pub writes: usize,
    /// The messages that were committed.
    pub accepted: Vec<(Envelope, Vec<u8>)>,
    /// The message under way, and the number of its pieces.
    pub draft: Option<(Envelope, Vec<u8>)>,
    pub pieces: usize,
    pub events: Vec<Event>,
    pub closed: bool,
    /// What the queue will say.
    pub opening: Result<(), NotAccepted>,
    pub committing: Result<(), NotAccepted>,
    pub tls: bool,
    ids: u64,
}

pub fn settings() -> Settings {
    Settings { offers_starttls: true, ..Settings::new("mx.pobox.example".parse().unwrap()) }
}

impl Driver {
    pub fn new(settings: Settings) -> Driver {
        let now = Instant::now();
        let peer = Peer { address: "192.0.2.1".parse().unwrap(), name: Some("client.example".to_owned()) };
        let mut driver = Driver {
            session: Session::new(Arc::new(settings), peer, now),
            now,
            output: Vec::new(),
            writes: 0,
            accepted: Vec::new(),
            draft: None,
            pieces: 0,
            events: Vec::new(),
            closed: false,
            opening: Ok(()),
            committing: Ok(()),
            tls: false,
            ids: 0,
        };
        driver.run();
        driver
    }

    /// Gives the session input, and does what it asks.
    pub fn give(&mut self, input: &[u8]) {
        self.session.receive(BytesMut::from(input), self.now);
        self.run();
    }

    /// Gives input, and takes all that was sent.
    pub fn say(&mut self, input: &str) -> String {
        self.give(input.as_bytes());
        self.sent()
    }

    pub fn sent(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.output)).expect("replies are text")
    }

    pub fn end_of_input(&mut self) {
        self.session.end_of_input();
        self.run();
    }

    /// Lets time pass, and calls time if the deadline is reached.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
        if self.session.deadline() <= self.now {
            self.session.timed_out();
            self.run();
        }
    }

    pub fn run(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.session.next_action(self.now, WALL) {
            actions += 1;
            assert!(actions < 100_000, "the session goes round in a circle");
            assert!(!self.closed, "{action:?} after Close");
            match action {
                Action::Send(octets) => {
                    self.output.extend_from_slice(&octets);
                    self.writes += 1;
                }
                Action::Judge(address) => self.session.judged(verdict(self.session.client(), address)),
                Action::Open(envelope) => {
                    assert!(self.draft.is_none(), "two messages at once");
                    let name = self.opening.map(|()| {
                        self.ids += 1;
                        self.draft = Some((envelope, Vec::new()));
                        self.pieces = 0;
                        QueueId::from_u64(self.ids)
                    });
                    self.session.opened(name, self.now);
                }
                Action::Append(data) => {
                    assert!(!data.is_empty(), "nothing appended");
                    self.draft.as_mut().expect("a message is open").1.extend_from_slice(&data);
                    self.pieces += 1;
                }
                Action::Commit => {
                    let draft = self.draft.take().expect("a message is open");
                    let outcome = self.committing.map(|()| QueueId::from_u64(self.ids));
                    if outcome.is_ok() {
                        self.accepted.push(draft);
                    }
                    self.session.committed(outcome);
                }
                Action::Discard => drop(self.draft.take().expect("a message is open")),
                Action::StartTls => {
                    self.tls = true;
                    // Late clear text: it must not be heard under TLS.
                    self.session.receive(BytesMut::from("MAIL FROM:<evil@x.example>\r\n"), self.now);
                    let tls = TlsInfo {
                        version: "TLSv1.3".to_owned(),
                        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
                    };
                    self.session.tls_started(tls, self.now);
                }
                Action::Log(event) => self.events.push(event),
                Action::Close => {
                    self.closed = true;
                    assert!(self.draft.is_none(), "a message was left open");
                }
            }
        }
    }
}

/// abc, xyz and postmaster are ours; `slow@` is in a directory that does not answer.
fn verdict(client: &envelope::Client, address: Address) -> Result<Recipient, Refusal> {
    let local = address.local_part.folded();
    let ours = address.host.domain().is_some_and(|d| d.as_str().ends_with("pobox.example"));
    let destination = match (ours, local.as_str()) {
        (_, "slow") => return Err(Refusal::DirectoryUnavailable),
        (false, _) => Destination::Elsewhere,
        (true, "abc" | "xyz" | "postmaster" | "太郎") => Destination::Local(Mailbox {
            account: AccountName::parse("abc").unwrap(),
            maildir: "/mail/abc".into(),
        }),
        (true, _) => Destination::NoSuchMailbox,
    };
    authorise(client, address, &destination)
}

/// Plays a dialogue of lines that begin with `C: ` and `S: `, and compares what the server says.
/// `\n` alone ends no line here: each `C: ` line is sent with CRLF.
pub fn dialogue(driver: &mut Driver, script: &str) {
    let mut told = String::new();
    let mut expected = String::new();
    let check = |driver: &mut Driver, told: &mut String, expected: &mut String| {
        driver.give(told.as_bytes());
        assert_eq!(driver.sent(), *expected, "after {told:?}");
        told.clear();
        expected.clear();
    };
    for line in script.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        if let Some(reply) = line.strip_prefix("S: ") {
            expected.push_str(reply);
            expected.push_str("\r\n");
        } else {
            let command = line.strip_prefix("C: ").or(line.strip_prefix("C:")).expect("C: or S:");
            if !expected.is_empty() {
                check(driver, &mut told, &mut expected);
            }
            told.push_str(command);
            told.push_str("\r\n");
        }
    }
    check(driver, &mut told, &mut expected);
}
