//! A shell for a session that lives in memory: it knows some addresses and passwords, and keeps what
//! it is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use envelope::{
    AccountName, Address, Client, Destination, Entitlement, Envelope, Limit, LimitReached, LocalAddress,
    Mailbox, QueueId, Refusal, ReversePath, Sender, SenderRule, authorise, authorise_author,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use smtp::{
    Action, AuthenticationFailure, Event, Judged, Mechanism, NotAccepted, Peer, ScramSalt, ServerSignature,
    Session, Settings, TlsInfo,
};
use time::OffsetDateTime;
use time::macros::datetime;

pub const WALL: OffsetDateTime = datetime!(2026-11-24 07:05:36 +9);

/// The password of abc and of every account that may not send.
pub const PASSWORD: &str = "pass";
pub const SALT: &[u8] = b"salt";
pub const ITERATIONS: u32 = 3;
pub const NONCE: [u8; 18] = [0; 18];

pub struct Driver {
    pub session: Session,
    pub now: Instant,
    /// All that was sent and not yet taken by [`Driver::sent`], and in how many writes.
    pub output: Vec<u8>,
    pub writes: usize,
    /// The messages that were committed.
    pub accepted: Vec<(Envelope, Vec<u8>)>,
    /// Whose they are.
    pub senders: Vec<Option<Sender>>,
    /// The message under way, and the number of its pieces.
    pub draft: Option<(Envelope, Vec<u8>)>,
    pub pieces: usize,
    pub events: Vec<Event>,
    pub closed: bool,
    /// What the queue will say.
    pub opening: Result<(), NotAccepted>,
    pub committing: Result<(), NotAccepted>,
    pub tls: bool,
    /// The accounts with a relay window for the client's address.
    pub windows: Vec<&'static str>,
    /// What every customer has reached.
    pub limit: Option<LimitReached>,
    ids: u64,
}

pub fn settings() -> Settings {
    Settings { offers_starttls: true, ..Settings::new("mx.pobox.example".parse().unwrap()) }
}

/// As [`settings`], with AUTH in clear text.
pub fn settings_with_auth() -> Settings {
    Settings { mechanisms: Mechanism::ALL.to_vec(), plaintext_auth: true, ..settings() }
}

pub fn sender(account: &str, entitlement: Entitlement) -> Sender {
    Sender { account: account.parse().unwrap(), entitlement }
}

impl Driver {
    /// A client who is known before he speaks: a program of this machine.
    pub fn of_program(settings: Settings, sender: Sender) -> Driver {
        let mut driver = Driver::new(settings.clone());
        let peer = Peer {
            address: "127.0.0.1".parse().unwrap(),
            name: Some("localhost".to_owned()),
            user: Some(1001),
        };
        driver.session = Session::with_sender(Arc::new(settings), peer, sender, driver.now);
        driver.output.clear();
        driver.run();
        driver
    }

    pub fn new(settings: Settings) -> Driver {
        let now = Instant::now();
        let peer = Peer {
            address: "192.0.2.1".parse().unwrap(),
            name: Some("client.example".to_owned()),
            user: None,
        };
        let mut driver = Driver {
            session: Session::new(Arc::new(settings), peer, now),
            now,
            output: Vec::new(),
            writes: 0,
            accepted: Vec::new(),
            senders: Vec::new(),
            draft: None,
            pieces: 0,
            events: Vec::new(),
            closed: false,
            opening: Ok(()),
            committing: Ok(()),
            tls: false,
            windows: Vec::new(),
            limit: None,
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
                Action::Authenticate(credentials) => {
                    let right = credentials.password.as_str() == PASSWORD;
                    let verdict = login(&credentials.name, right);
                    self.session.authenticated(verdict);
                }
                Action::ScramSalt { name } => {
                    let salt = match login(&name, true) {
                        Err(AuthenticationFailure::TryLater) => Err(AuthenticationFailure::TryLater),
                        _ => Ok(ScramSalt { salt: SALT.to_vec(), iterations: ITERATIONS }),
                    };
                    self.session.scram_salt(salt, NONCE);
                }
                Action::ScramProof { name, auth_message, proof } => {
                    self.session.scram_proved(scram(&name, &auth_message, proof));
                }
                Action::JudgeSender { reverse_path, sender } => {
                    let verdict = self.may_send().and_then(|()| match reverse_path {
                        ReversePath::Null => Ok(()),
                        ReversePath::Address(address) => author(&sender, &address),
                    });
                    self.session.sender_judged(verdict);
                }
                Action::Judge { recipient, reverse_path, size, sender } => {
                    let known = match sender {
                        None => match self.window(&reverse_path) {
                            Some(sender) => self.may_send().map(|()| Some(sender)),
                            None => Ok(None),
                        },
                        known => Ok(known),
                    };
                    self.session.judged(known.and_then(|sender| verdict(sender, recipient, size)));
                }
                Action::OwnAddress(sender) => {
                    let own = format!("{}@pobox.example", sender.account);
                    self.session.own_address(Ok(own.parse().unwrap()));
                }
                Action::JudgeAuthors { authors, sender } => {
                    assert!(!authors.is_empty(), "nobody to judge");
                    let verdict = authors.iter().try_for_each(|address| author(&sender, address));
                    self.session.authors_judged(verdict);
                }
                Action::Open { envelope, sender } => {
                    self.senders.push(sender);
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

impl Driver {
    fn may_send(&self) -> Result<(), Refusal> {
        self.limit.map_or(Ok(()), |reached| Err(reached.into()))
    }

    /// The window that a reverse-path is sent through.
    fn window(&self, reverse_path: &ReversePath) -> Option<Sender> {
        let mut windows = self.windows.iter().map(|account| sender(account, Entitlement::Window));
        match reverse_path {
            ReversePath::Null => windows.next(),
            ReversePath::Address(address) => windows.find(|window| author(window, address).is_ok()),
        }
    }
}

/// abc, xyz, postmaster and brimful are ours; `slow@` is in a directory that does not answer.
fn leads_to(address: &Address) -> Result<Destination, Refusal> {
    let local = address.local_part.folded();
    let ours = address.host.domain().is_some_and(|d| d.as_str().ends_with("pobox.example"));
    let account = match local.as_str() {
        "slow" => return Err(Refusal::DirectoryUnavailable),
        _ if !ours => return Ok(Destination::Elsewhere),
        "abc" | "postmaster" | "太郎" => "abc",
        name @ ("xyz" | "brimful") => name,
        _ => return Ok(Destination::NoSuchMailbox),
    };
    let account = AccountName::parse(account).unwrap();
    let mailbox = Mailbox { account, maildir: "/mail".into() };
    Ok(Destination::Local(LocalAddress { mailbox, extension: None, quota: Limit::Unlimited }))
}

/// xyz has room for 1000 octets more, and the mailbox brimful has been full for long.
fn verdict(sender: Option<Sender>, address: Address, size: u64) -> Result<Judged, Refusal> {
    let leads_to = leads_to(&address)?;
    if let Destination::Local(local) = &leads_to {
        match local.mailbox.account.as_str() {
            "xyz" if size > 1000 => return Err(Refusal::MailboxFull { for_good: false }),
            "brimful" => return Err(Refusal::MailboxFull { for_good: true }),
            _ => {}
        }
    }
    let client = sender.clone().map_or(Client::Stranger, Client::Sender);
    Ok(Judged { recipient: authorise(&client, address, &leads_to)?, sender })
}

fn author(sender: &Sender, address: &Address) -> Result<(), Refusal> {
    authorise_author(sender, SenderRule::Account, &leads_to(address)?)
}

fn login(name: &str, right: bool) -> Result<Sender, AuthenticationFailure> {
    match (name, right) {
        ("slow", _) => Err(AuthenticationFailure::TryLater),
        ("guessed", _) => Err(AuthenticationFailure::TooManyFailures),
        ("suspended", true) => Err(AuthenticationFailure::Suspended),
        ("reader", true) => Err(AuthenticationFailure::ReceiveOnly),
        ("abc", true) => Ok(sender("abc", Entitlement::Authentication)),
        _ => Err(AuthenticationFailure::Credentials),
    }
}

/// What a directory says of a proof (RFC 5802 §3).
fn scram(
    name: &str,
    auth_message: &str,
    proof: [u8; 32],
) -> Result<(Sender, ServerSignature), AuthenticationFailure> {
    let salted = salted(PASSWORD);
    let stored_key: [u8; 32] = Sha256::digest(mac(&salted, b"Client Key")).into();
    let mut client_key = proof;
    let signature = mac(&stored_key, auth_message.as_bytes());
    client_key.iter_mut().zip(signature).for_each(|(octet, mask)| *octet ^= mask);
    let right = Sha256::digest(client_key)[..] == stored_key;
    let signature = mac(&mac(&salted, b"Server Key"), auth_message.as_bytes());
    Ok((login(name, right)?, ServerSignature(signature)))
}

pub fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// `Hi` of RFC 5802 §2.2.
pub fn salted(password: &str) -> [u8; 32] {
    let mut last = mac(password.as_bytes(), &[SALT, &[0, 0, 0, 1]].concat());
    let mut sum = last;
    for _ in 1..ITERATIONS {
        last = mac(password.as_bytes(), &last);
        sum.iter_mut().zip(last).for_each(|(octet, other)| *octet ^= other);
    }
    sum
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
