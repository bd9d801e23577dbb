//! `kill -9`, of any role at any time and of all at once: what got 250 is in its mailbox, once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::house::{House, ROLES, eventually, field, files_in, message, messages_in};
use crate::wire::{Wire, stuffed};

/// How many messages a load has.
const LOAD: usize = 2000;
/// How many clients send it.
pub const CLIENTS: usize = 4;
/// How long the house may take to be whole again.
const WHOLE_WITHIN: Duration = Duration::from_secs(2);

/// The queue's log goes on to a new segment many times during a load.
pub const SMALL_SEGMENTS: &str = "[queue]\nsegment_size = 8388608";

#[test]
fn whichever_role_is_killed_every_message_with_a_250_is_there_once() {
    let house = House::with(SMALL_SEGMENTS);
    let load = Load::new(house.smtp(), "abc@pobox.example", "load", LOAD);
    std::thread::scope(|threads| {
        for client in 0..CLIENTS {
            let load = &load;
            threads.spawn(move || load.send(client));
        }
        // Each role in turn, at even distances of the load.
        for (turn, role) in ROLES.into_iter().enumerate() {
            load.wait_for((turn + 1) * LOAD / (ROLES.len() + 1));
            let before = house.roles()[role];
            kill(before, Signal::SIGKILL).unwrap();
            let killed = Instant::now();
            whole_again(&house, role, before);
            let took = killed.elapsed();
            println!("whole again {took:?} after {role} was killed");
            assert!(took <= WHOLE_WITHIN, "{took:?} after {role} was killed");
        }
    });
    load.check(&house);
    let died: BTreeSet<String> =
        house.events("role_died").iter().map(|event| event["role"].as_str().unwrap().to_string()).collect();
    assert_eq!(died, ROLES.map(String::from).into());
}

#[test]
fn a_crash_of_everything_at_once_loses_nothing() {
    let mut house = House::with(SMALL_SEGMENTS);
    let load = Load::new(house.smtp(), "abc@pobox.example", "load", 600);
    std::thread::scope(|threads| {
        for client in 0..CLIENTS {
            let load = &load;
            threads.spawn(move || load.send(client));
        }
        for goal in [150, 300, 450] {
            load.wait_for(goal);
            house.crash();
            house.start();
        }
    });
    load.check(&house);
}

#[test]
fn a_role_that_dies_again_and_again_is_started_again_each_time() {
    let house = House::new();
    for time in 0..5 {
        let before = house.roles()["queue"];
        kill(before, Signal::SIGKILL).unwrap();
        whole_again(&house, "queue", before);
        house.send("abc@pobox.example", &format!("after death {time}"));
    }
    let deaths = house.events("role_died");
    assert_eq!(deaths.len(), 5);
    // It is said why, and that the pauses grow.
    assert!(deaths.iter().all(|death| death["reason"] == "signal 9"), "{deaths:?}");
    let pauses: Vec<u64> = deaths.iter().map(|death| death["again_in_ms"].as_u64().unwrap()).collect();
    assert!(pauses[0] == 0 && pauses.is_sorted() && pauses[4] > 0, "{pauses:?}");
    house.wait_for_messages("abc", 5);
}

#[test]
fn a_pop3_session_that_is_killed_removes_nothing() {
    let house = House::new();
    house.send("abc@pobox.example", "stays");
    house.wait_for_messages("abc", 1);
    for role in ["pop3", "maildrop"] {
        let mut session = house.pop3_session("abc");
        session.say("DELE 1", "+OK");
        let before = house.roles()[role];
        kill(before, Signal::SIGKILL).unwrap();
        whole_again(&house, role, before);
        match role {
            "pop3" => session.closed(),
            // The session lives on; that its mailbox is no longer open is said at QUIT.
            _ => assert_eq!(session.say("QUIT", "-ERR"), "-ERR [SYS/TEMP] some deleted messages not removed"),
        }
        house.wait_for_messages("abc", 1);
    }
    // No lock is left behind.
    house.pop3_session("abc").say("QUIT", "+OK");
}

/// Waits until every role is there again and a new message passes.
pub fn whole_again(house: &House, role: &str, before: nix::unistd::Pid) {
    static PROBES: AtomicUsize = AtomicUsize::new(0);
    let all = || {
        let roles = house.roles();
        (roles.len() == ROLES.len() && roles.get(role) != Some(&before)).then_some(())
    };
    eventually("all roles are there again", WHOLE_WITHIN, all);
    let subject = format!("probe {}", PROBES.fetch_add(1, Ordering::Relaxed));
    let server = SocketAddr::from(([127, 0, 0, 1], house.smtp()));
    let accepted = || deliver(server, "xyz@pobox.example", &message(&subject)).unwrap_or(false).then_some(());
    eventually("a new message is accepted", WHOLE_WITHIN, accepted);
    let maildir = maildir_of("xyz", house);
    let there = || {
        // A file may be moved while it is looked at.
        let arrived = files_in(&maildir).iter().any(|file| {
            std::fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("Subject: {subject}\n")))
        });
        arrived.then_some(())
    };
    eventually("a new message is delivered", WHOLE_WITHIN, there);
}

/// The Maildir, asked for once: the command line needs the role that is being killed.
fn maildir_of(account: &str, house: &House) -> std::path::PathBuf {
    static KNOWN: Mutex<BTreeMap<u16, std::path::PathBuf>> = Mutex::new(BTreeMap::new());
    KNOWN.lock().unwrap().entry(house.base).or_insert_with(|| house.maildir(account)).clone()
}

/// Sends one message on a connection of its own; whether it was accepted.
fn deliver(server: SocketAddr, recipient: &str, message: &str) -> std::io::Result<bool> {
    Sender::open(server)?.send(recipient, message)
}

/// A load of messages, each with a subject of its own.
pub struct Load {
    server: SocketAddr,
    recipient: &'static str,
    /// With what subjects begin.
    name: &'static str,
    goal: usize,
    /// Subjects of messages that got 250.
    accepted: Mutex<BTreeSet<String>>,
    /// Subjects of messages that may or may not have been accepted.
    uncertain: Mutex<BTreeSet<String>>,
    /// A client gave up.
    failed: AtomicBool,
}

impl Load {
    pub fn new(port: u16, recipient: &'static str, name: &'static str, goal: usize) -> Load {
        Load {
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            recipient,
            name,
            goal,
            accepted: Mutex::default(),
            uncertain: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }

    fn count(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    /// Subjects of messages that got 250.
    pub fn accepted(&self) -> BTreeSet<String> {
        self.accepted.lock().unwrap().clone()
    }

    /// Waits until so many messages were accepted.
    pub fn wait_for(&self, count: usize) {
        eventually(&format!("{count} messages are accepted"), Duration::from_secs(60), || {
            assert!(!self.failed.load(Ordering::Relaxed), "a client failed");
            (self.count() >= count).then_some(())
        });
    }

    /// One client: sends until all clients together have reached the goal.
    pub fn send(&self, client: usize) {
        let end = Instant::now() + Duration::from_secs(120);
        let mut sender = None;
        for number in 0.. {
            if self.count() >= self.goal || self.failed.load(Ordering::Relaxed) {
                return;
            }
            if Instant::now() > end {
                self.failed.store(true, Ordering::Relaxed);
                panic!("the load took too long");
            }
            let subject = format!("{} {client}-{number}", self.name);
            self.uncertain.lock().unwrap().insert(subject.clone());
            let sent = match sender.take() {
                Some(open) => Ok(open),
                None => Sender::open(self.server),
            }
            .and_then(|mut open: Sender| {
                let accepted = open.send(self.recipient, &loaded(&subject))?;
                Ok((accepted, open))
            });
            match sent {
                Ok((true, open)) => {
                    self.accepted.lock().unwrap().insert(subject);
                    sender = Some(open);
                }
                Ok((false, open)) => {
                    sender = Some(open);
                    std::thread::sleep(Duration::from_millis(10));
                }
                // The connection broke: nobody knows whether this one was taken.
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// What was accepted is there once and whole; what is uncertain is there at most once.
    fn check(&self, house: &House) {
        house.wait_for_an_empty_queue();
        for opened in house.events("queue_opened") {
            let recovery = opened["recovery"].as_str().unwrap();
            assert!(recovery.contains("damaged: []") && recovery.contains("without_body: []"), "{recovery}");
        }
        let mut delivered: BTreeMap<String, usize> = BTreeMap::new();
        for text in messages_in(&house.maildir("abc")) {
            let subject = field(&text, "Subject");
            let (_, sent) = loaded(&subject)
                .replace("\r\n", "\n")
                .split_once("\n\n")
                .map(|(h, b)| (h.to_string(), b.to_string()))
                .unwrap();
            let (_, body) = text.split_once("\n\n").unwrap();
            assert!(body == sent, "{subject} is not whole: {} octets of {}", body.len(), sent.len());
            *delivered.entry(subject).or_default() += 1;
        }
        let accepted = self.accepted.lock().unwrap();
        let lost: Vec<&String> =
            accepted.iter().filter(|subject| !delivered.contains_key(*subject)).collect();
        assert!(lost.is_empty(), "{} lost, {lost:?}", lost.len());
        let doubled: Vec<_> = delivered.iter().filter(|(_, times)| **times > 1).collect();
        assert!(doubled.is_empty(), "{} doubled, {doubled:?}", doubled.len());
        let uncertain = self.uncertain.lock().unwrap();
        assert!(delivered.keys().all(|subject| uncertain.contains(subject)), "a message that nobody sent");
        assert!(accepted.len() >= self.goal);
        assert_no_drafts(&house.maildir("abc"));
    }
}

/// What a crash leaves in `tmp/` is at most a few files, not one for each message.
fn assert_no_drafts(maildir: &Path) {
    let drafts = std::fs::read_dir(maildir.join("tmp")).unwrap().count();
    assert!(drafts < 200, "{drafts} drafts");
}

/// The message of this subject: small, or too large for one frame, or for memory.
pub fn loaded(subject: &str) -> String {
    let number: usize = subject.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let lines = match number {
        n if n % 200 == 199 => 8000,
        n if n % 40 == 39 => 2000,
        _ => 12,
    };
    let body: String = (0..lines)
        .map(|line| format!("{subject}, line {line} of {lines}, {}.\r\n", "x".repeat(30)))
        .collect();
    format!("From: <sender@elsewhere.example>\r\nSubject: {subject}\r\n\r\n{body}")
}

/// A connection that may break at any time.
struct Sender(Wire);

impl Sender {
    fn open(server: SocketAddr) -> std::io::Result<Sender> {
        let mut wire = Wire::try_connect(server)?;
        wire.try_reply()?;
        let mut sender = Sender(wire);
        sender.ask("EHLO client.example\r\n".as_bytes())?;
        Ok(sender)
    }

    /// Whether the message was accepted; `false` if the server asked to try later.
    fn send(&mut self, recipient: &str, message: &str) -> std::io::Result<bool> {
        self.ask(b"MAIL FROM:<sender@elsewhere.example>\r\n")?;
        if !self.ask(format!("RCPT TO:<{recipient}>\r\n").as_bytes())? {
            self.ask(b"RSET\r\n")?;
            return Ok(false);
        }
        self.ask(b"DATA\r\n")?;
        self.ask(stuffed(message).as_bytes())
    }

    /// Whether the reply is a good one; a 421 ends the connection, and a 5xx is a fault.
    fn ask(&mut self, octets: &[u8]) -> std::io::Result<bool> {
        self.0.try_send(octets)?;
        let reply = self.0.try_reply()?;
        match reply.as_bytes().first() {
            Some(b'2' | b'3') => Ok(true),
            Some(b'4') if reply.starts_with("421") => Err(std::io::ErrorKind::ConnectionAborted.into()),
            Some(b'4') => Ok(false),
            _ => panic!("the server said {reply:?}"),
        }
    }
}
