//! A shell in memory: one account, one maildrop, and what became of both.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use pop3::encode::Encoder;
use pop3::{
    Action, Channel, LoginFailure, Maildrop, NotRemoved, NotTransmitted, SEND_MAX, Session, Settings, Uids,
    Unavailable,
};

pub struct Shell {
    pub session: Session,
    pub now: Instant,
    /// The messages as their files have them, with LF line ends.
    pub messages: Vec<Vec<u8>>,
    /// What the next login meets, whatever the password.
    pub login: Option<LoginFailure>,
    pub uids: Result<usize, Unavailable>,
    pub transmission: Result<(), NotTransmitted>,
    pub removal: Result<(), NotRemoved>,
    /// What became of it.
    pub logins: Vec<(String, String)>,
    pub removed: Vec<usize>,
    pub uids_asked: usize,
    pub sends: Vec<usize>,
    pub closed: bool,
}

/// Wire sizes: 11, 21 and 26 octets.
pub const MESSAGES: [&str; 3] = ["A: 1\n\nx", "Subject: 2\n\nhi\n.\n", "B: 3\n\none\ntwo\r\n.three"];

impl Shell {
    pub fn new() -> Shell {
        Shell::with(Settings::new("mail.example"), Channel::Tls)
    }

    pub fn with(settings: Settings, channel: Channel) -> Shell {
        let now = Instant::now();
        Shell {
            session: Session::new(Arc::new(settings), channel, now),
            now,
            messages: MESSAGES.iter().map(|message| message.as_bytes().to_vec()).collect(),
            login: None,
            uids: Ok(MESSAGES.len()),
            transmission: Ok(()),
            removal: Ok(()),
            logins: Vec::new(),
            removed: Vec::new(),
            uids_asked: 0,
            sends: Vec::new(),
            closed: false,
        }
    }

    /// A session in TRANSACTION, its greeting and login read.
    pub fn logged_in() -> Shell {
        let mut shell = Shell::new();
        shell.log_in();
        shell
    }

    pub fn log_in(&mut self) {
        let said = self.say("USER abc\r\nPASS secret\r\n");
        assert!(said.contains("messages ("), "{said}");
    }

    /// Sends text and gives what the server says to it.
    pub fn say(&mut self, text: &str) -> String {
        String::from_utf8(self.send(text.as_bytes())).expect("the server speaks UTF-8")
    }

    pub fn send(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut said = self.run();
        self.session.receive(octets);
        said.extend(self.run());
        said
    }

    /// Does all that the session wants done, and gives what it sends.
    pub fn run(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        while let Some(action) = self.session.next_action(self.now) {
            assert!(!self.closed, "{action:?} after the end");
            match action {
                Action::Send(octets) => {
                    assert!(!octets.is_empty() && octets.len() <= SEND_MAX);
                    self.sends.push(octets.len());
                    said.extend_from_slice(&octets);
                }
                Action::Login(credentials) => {
                    let known = credentials.name == "abc" && *credentials.password == "secret";
                    self.logins.push((credentials.name, credentials.password.to_string()));
                    let result = match self.login {
                        Some(failure) => Err(failure),
                        None if known => Ok(Maildrop::new(self.messages.iter().map(|m| size(m)).collect())),
                        None => Err(LoginFailure::Credentials),
                    };
                    self.session.logged_in(result);
                }
                Action::Uids => {
                    self.uids_asked += 1;
                    let uids = self
                        .uids
                        .map(|n| Uids::new((0..n).map(|n| format!("u{n}"))).expect("these are unique-ids"));
                    self.session.uids(uids);
                }
                Action::Transmit(transmit) => {
                    if self.transmission.is_ok() {
                        said.extend_from_slice(&transmit.opening);
                        let mut encoder = Encoder::new(transmit.body_lines);
                        encoder.encode(&self.messages[transmit.index], &mut said);
                        encoder.finish(&mut said);
                    }
                    self.session.transmitted(self.transmission);
                }
                Action::Remove(indices) => {
                    self.removed = indices;
                    self.session.removed(self.removal);
                }
                Action::StartTls => self.session.tls_started(),
                Action::Close => self.closed = true,
            }
        }
        said
    }

    pub fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

/// The octets of a message with CRLF line ends.
pub fn size(message: &[u8]) -> u64 {
    let mut wire = Vec::new();
    let mut encoder = Encoder::new(None);
    encoder.encode(message, &mut wire);
    encoder.finish(&mut wire);
    let stuffed = wire.split(|octet| *octet == b'\n').filter(|line| line.starts_with(b"..")).count();
    (wire.len() - ".\r\n".len() - stuffed) as u64
}
