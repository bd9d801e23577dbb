//! A shell for a session that lives in memory: the test speaks as the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use envelope::{Address, ReversePath};
use smtp::client::{Action, Outcome, Reason, Session, Settings, Settled, Step, Transaction};

pub const GREETING: &str = "220 mx.there.example ESMTP\r\n";
pub const EHLO: &str =
    "250-mx.there.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 DSN\r\n";

pub struct Driver {
    pub session: Session,
    pub now: Instant,
    sent: Vec<u8>,
    /// The mail data that the session gets when it asks, and whether they can be read to their end.
    pub message: Vec<Bytes>,
    pub readable: bool,
    pub settled: Vec<Settled>,
    pub failed: Option<Reason>,
    pub reports: Vec<(Step, u16)>,
    pub ready: bool,
    pub starting_tls: bool,
    pub closed: bool,
}

impl Driver {
    pub fn new(settings: Settings) -> Driver {
        let now = Instant::now();
        Driver {
            session: Session::new(Arc::new(settings), now),
            now,
            sent: Vec::new(),
            message: vec![Bytes::from_static(b"a: b\r\n\r\n"), Bytes::from_static(b"hello\r\n")],
            readable: true,
            settled: Vec::new(),
            failed: None,
            reports: Vec::new(),
            ready: false,
            starting_tls: false,
            closed: false,
        }
    }

    /// A session that has greeted a server with this answer to EHLO.
    pub fn greeted(settings: Settings, ehlo: &str) -> Driver {
        let mut driver = Driver::new(settings);
        assert_eq!(driver.says(GREETING), "EHLO client.example\r\n");
        driver.says(ehlo);
        assert!(driver.ready, "{:?}", driver.failed);
        driver
    }

    /// The server says this; gives what the session sends upon it.
    pub fn says(&mut self, reply: &str) -> String {
        self.says_octets(reply.as_bytes())
    }

    pub fn says_octets(&mut self, reply: &[u8]) -> String {
        self.session.receive(reply, self.now);
        self.run();
        self.sent()
    }

    pub fn sent(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.sent)).expect("commands are text")
    }

    pub fn send(&mut self, transaction: Transaction) -> String {
        self.session.send(transaction).expect("the session is ready");
        self.run();
        self.sent()
    }

    pub fn tls_started(&mut self) -> String {
        assert!(std::mem::take(&mut self.starting_tls));
        self.session.tls_started();
        self.run();
        self.sent()
    }

    pub fn hangs_up(&mut self) {
        self.session.end_of_input();
        self.run();
    }

    /// Lets time pass, and calls time if the deadline is reached.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
        if self.session.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.session.timed_out();
            self.run();
        }
    }

    pub fn run(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.session.next_action(self.now) {
            actions += 1;
            assert!(actions < 100_000, "the session goes round in a circle");
            assert!(!self.closed, "{action:?} after Close");
            match action {
                Action::Send(octets) => {
                    assert!(!octets.is_empty());
                    self.sent.extend_from_slice(&octets);
                }
                Action::StartTls => self.starting_tls = true,
                Action::Ready => self.ready = true,
                Action::Data => {
                    for piece in self.message.clone() {
                        self.session.data(piece);
                    }
                    if self.readable { self.session.end_of_data() } else { self.session.data_unreadable() }
                }
                Action::Settled(settled) => self.settled.push(settled),
                Action::Report(step, reply) => self.reports.push((step, reply.code())),
                Action::Failed(reason) => self.failed = Some(reason),
                Action::Close => self.closed = true,
            }
        }
    }

    /// What became of the recipients of the last transaction, in short: `250`, `5.1.1 550`,
    /// `4.4.2 next host`.
    pub fn outcomes(&self) -> Vec<String> {
        let settled = self.settled.last().expect("a transaction ended");
        settled.outcomes.iter().map(in_short).collect()
    }
}

fn in_short(outcome: &Outcome) -> String {
    let code = outcome.reply().map(|reply| format!(" {}", reply.code())).unwrap_or_default();
    match outcome {
        Outcome::Delivered { .. } => code.trim().to_owned(),
        Outcome::Failed(reason) => format!("{}{code}", reason.status),
        Outcome::Deferred { reason, retry } => format!("{}{code} {retry:?}", reason.status),
    }
}

pub fn settings() -> Settings {
    Settings::new("client.example")
}

pub fn to(recipients: &[&str]) -> Transaction {
    let recipients = recipients.iter().map(|to| to.parse::<Address>().unwrap().into()).collect();
    Transaction::new(ReversePath::Address("a@pobox.example".parse().unwrap()), recipients, 15)
}
