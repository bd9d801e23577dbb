//! A mail system for one test: the real binary in a directory of its own, at ports of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::wire::Wire;

/// The roles of a running server.
pub const ROLES: [&str; 10] =
    ["directory", "keys", "local", "maildrop", "pop3", "queue", "remote", "smtp", "submit", "web"];

/// How long a server may take to be ready, on a machine that is busy with other tests.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long a server may take to stop: a role has 15 seconds.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How long mail may take into its mailbox, on such a machine.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(20);

/// A server, its directory and its configuration.
///
/// It hosts what `hikyaku try` hosts: the domain pobox.example with the accounts `abc` (password
/// `abc-try`) and `xyz` (`xyz-try`), and the domain shop.example of xyz.
pub struct House {
    pub dir: TempDir,
    /// Ports are this number plus the standard port.
    pub base: u16,
    /// `hikyaku.toml`.
    pub config: PathBuf,
    server: Option<Server>,
}

impl House {
    /// A server with the default configuration, running.
    pub fn new() -> House {
        House::with("")
    }

    /// A server whose configuration has these lines too, running.
    pub fn with(lines: &str) -> House {
        let mut house = House::at_rest("127.0.0.1", lines);
        house.start();
        house
    }

    /// A server that listens at this address, with its accounts made, not yet started.
    pub fn at_rest(address: &str, lines: &str) -> House {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("hikyaku.toml");
        let house = House { dir, base: free_base(), config, server: None };
        house.configure(address, lines);
        house.ran(&["init", "--operator", "abc"], "");
        house.ran(&["account", "passwd", "abc"], "abc-try\n");
        house.ran(&["account", "add", "xyz"], "xyz-try\n");
        house.ran(&["domain", "add", "shop.example", "--owner", "xyz"], "");
        house
    }

    /// Writes the configuration: the usual one, and these lines. Unless they say otherwise, mail for
    /// other hosts finds nobody and waits.
    pub fn configure(&self, address: &str, lines: &str) {
        let nobody = "[remote]\nname_servers = [\"127.0.0.1:1\"]\n[remote.routes]\n\"*\" = \"127.0.0.1:1\"";
        let remote = if lines.contains("[remote") { "" } else { nobody };
        let at = |standard: u16| format!("[\"{address}:{}\"]", self.base + standard);
        let text = format!(
            "hostname = \"mail.pobox.example\"\n\
             domain = \"pobox.example\"\n\
             data = \"{}\"\n\
             [listen]\nsmtp = {}\nsubmission = {}\nsubmissions = {}\npop3 = {}\npop3s = {}\nhttps = {}\nhttp = {}\n\
             [log]\nformat = \"json\"\n\
             [users]\nshared = true\n\
             {remote}\n{lines}\n",
            self.dir.path().join("data").display(),
            at(25),
            at(587),
            at(465),
            at(110),
            at(995),
            at(443),
            at(80),
        );
        fs::write(&self.config, text).unwrap();
    }

    /// Starts `hikyaku serve` and waits until it is ready.
    pub fn start(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let before = self.log().len();
        self.server = Some(self.spawn(&["serve"], "log"));
        let ready =
            || self.log().get(before..).is_some_and(|new| new.contains("\"event\":\"ready\"")).then_some(());
        eventually("the server is ready", START_PATIENCE, ready);
    }

    /// Starts the server by these arguments; standard output and error go to files.
    pub fn spawn(&self, arguments: &[&str], log: &str) -> Server {
        let open =
            |name: &str| File::options().append(true).create(true).open(self.dir.path().join(name)).unwrap();
        let mut command = self.command(arguments);
        Server::spawn(command.stdin(Stdio::null()).stdout(open("output")).stderr(open(log)))
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let mut server = self.server.take().expect("the server runs");
        let ended = eventually("the server stops", STOP_PATIENCE, || server.0.try_wait().unwrap());
        assert!(ended.success(), "the server ended with {ended}");
        ended
    }

    /// SIGKILL to all its processes, as a power cut would.
    pub fn crash(&mut self) {
        let roles = self.roles();
        let mut server = self.server.take().expect("the server runs");
        server.0.kill().unwrap();
        for pid in roles.values() {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        server.0.wait().unwrap();
        eventually("all roles are gone", STOP_PATIENCE, || {
            roles.values().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        });
    }

    /// Sends the supervisor a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// The supervisor's process.
    pub fn pid(&self) -> Pid {
        self.server.as_ref().expect("the server runs").pid()
    }

    /// The roles that run now, each with its process.
    pub fn roles(&self) -> BTreeMap<String, Pid> {
        roles_of(self.pid())
    }

    pub fn smtp(&self) -> u16 {
        self.base + 25
    }
    pub fn submission(&self) -> u16 {
        self.base + 587
    }
    pub fn submissions(&self) -> u16 {
        self.base + 465
    }
    pub fn pop3(&self) -> u16 {
        self.base + 110
    }
    pub fn https(&self) -> u16 {
        self.base + 443
    }

    /// The port of the pages, without TLS.
    pub fn http(&self) -> u16 {
        self.base + 80
    }

    /// The port of POP3, TLS from the first octet.
    pub fn pop3s(&self) -> u16 {
        self.base + 995
    }

    /// Connects to a port of this server.
    pub fn connect(&self, port: u16) -> Wire {
        Wire::connect(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Connects to the SMTP port and says EHLO.
    pub fn smtp_session(&self) -> Wire {
        let mut wire = self.connect(self.smtp());
        wire.expect("220 ");
        wire.say("EHLO client.example", "250");
        wire
    }

    /// Connects to the POP3 port and logs in.
    pub fn pop3_session(&self, account: &str) -> Wire {
        let mut wire = self.connect(self.pop3());
        wire.expect("+OK");
        wire.say(&format!("USER {account}"), "+OK");
        wire.say(&format!("PASS {account}-try"), "+OK");
        wire
    }

    /// Connects to the SMTP port from this address of this machine, and says HELO as an old client does.
    pub fn smtp_session_from(&self, own: [u8; 4]) -> Wire {
        let mut wire = Wire::connect_from(own, SocketAddr::from(([127, 0, 0, 1], self.smtp())));
        wire.expect("220 ");
        wire.say("HELO postpet.example", "250");
        wire
    }

    /// Checks an account's mail from this address, and leaves. Gives what the password was answered.
    pub fn check_mail_from(&self, own: [u8; 4], account: &str, password: &str) -> String {
        let mut wire = Wire::connect_from(own, SocketAddr::from(([127, 0, 0, 1], self.pop3())));
        wire.expect("+OK");
        wire.say(&format!("USER {account}"), "+OK");
        let answer = wire.ask(&format!("PASS {password}"));
        if answer.starts_with("+OK") {
            wire.say("QUIT", "+OK");
        }
        answer
    }

    /// Connects to the submission port and logs in.
    pub fn submission_session(&self, account: &str) -> Wire {
        let mut wire = self.connect(self.submission());
        wire.expect("220 ");
        wire.say("EHLO client.example", "250");
        let login = STANDARD.encode(format!("\0{account}\0{account}-try"));
        wire.say(&format!("AUTH PLAIN {login}"), "235");
        wire
    }

    /// Makes an account; its password is its name and `-try`.
    pub fn add_account(&self, name: &str) {
        self.ran(&["account", "add", name, "--language", "en"], &format!("{name}-try\n"));
    }

    /// Runs a command that has to succeed and has no blanks in its arguments.
    pub fn rule(&self, command: &str) -> String {
        self.ran(&command.split_whitespace().collect::<Vec<_>>(), "")
    }

    /// Runs a command that has to be refused; gives the sentence that says why.
    pub fn refused(&self, command: &str) -> String {
        let ran = self.run(&command.split_whitespace().collect::<Vec<_>>(), "");
        assert!(ran.code.is_some_and(|code| code != 0) && !ran.errors.is_empty(), "{command}: {ran:?}");
        ran.errors
    }

    /// The files of this name that are anywhere in the server's data.
    pub fn files_named(&self, name: &str) -> Vec<PathBuf> {
        let mut found = all_files(&self.dir.path().join("data"));
        found.retain(|file| file.file_name().is_some_and(|there| there == name));
        found
    }

    /// Sends one message by SMTP; returns what was said to its end.
    pub fn send(&self, recipient: &str, subject: &str) -> String {
        self.smtp_session().transact("sender@elsewhere.example", &[recipient], &message(subject))
    }

    /// The certificate that the server made for itself.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("data/keys/mail.pobox.example.crt")
    }

    /// A command of this configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hikyaku"));
        command.args(arguments).env("HIKYAKU_CONFIG", &self.config).env_remove("RUST_LOG");
        command
    }

    /// Runs a command to its end, with this standard input.
    pub fn run(&self, arguments: &[&str], input: &str) -> Ran {
        run(&mut self.command(arguments), input)
    }

    /// Runs a command that has to succeed; returns what it printed.
    pub fn ran(&self, arguments: &[&str], input: &str) -> String {
        let ran = self.run(arguments, input);
        assert!(ran.code == Some(0), "hikyaku {arguments:?}: {ran:?}");
        ran.output
    }

    /// Runs a command that prints JSON; returns its lines.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.ran(arguments, "");
        output.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// How many messages are in the queue.
    pub fn queued(&self) -> u64 {
        self.json(&["queue", "stats", "--json"])[0]["messages"].as_u64().unwrap()
    }

    /// Waits until the queue is empty.
    pub fn wait_for_an_empty_queue(&self) {
        eventually("the queue is empty", DELIVERY_PATIENCE, || (self.queued() == 0).then_some(()));
    }

    /// Where an account's mail lies.
    pub fn maildir(&self, account: &str) -> PathBuf {
        let shown = &self.json(&["account", "show", account, "--json"])[0];
        PathBuf::from(shown["maildir"].as_str().expect("the Maildir's path"))
    }

    /// The messages of an account as they lie on disk, `new/` and `cur/`.
    pub fn messages(&self, account: &str) -> Vec<String> {
        messages_in(&self.maildir(account))
    }

    /// Waits until an account has exactly so many messages.
    pub fn wait_for_messages(&self, account: &str, count: usize) -> Vec<String> {
        let maildir = self.maildir(account);
        let arrived = || Some(files_in(&maildir).len()).filter(|there| *there >= count);
        eventually(&format!("{account} has {count} messages"), DELIVERY_PATIENCE, arrived);
        let messages = messages_in(&maildir);
        assert_eq!(messages.len(), count, "messages of {account}");
        messages
    }

    /// All that the server has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The log's events of this name, each with its fields.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let log = self.log();
        let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines
            .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .filter(|event| event["event"] == name)
            .collect()
    }

    /// Waits until the log has an event of this name.
    pub fn wait_for_event(&self, name: &str) -> Value {
        eventually(&format!("the log says {name}"), START_PATIENCE, || self.events(name).pop())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(100)..];
            eprintln!("---- the server's log, the last {} lines ----\n{}", last.len(), last.join("\n"));
        }
        // Before its directory goes.
        drop(self.server.take());
    }
}

/// A server's process, ended when the test has done with it: by SIGTERM, and by SIGKILL if that
/// does not help.
pub struct Server(pub Child);

impl Server {
    /// Starts it.
    pub fn spawn(command: &mut Command) -> Server {
        Server(command.spawn().expect("the binary was built with this test"))
    }

    /// The supervisor.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        let roles = roles_of(self.pid());
        let _ = kill(self.pid(), Signal::SIGTERM);
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
        for role in roles.values() {
            let _ = kill(*role, Signal::SIGKILL);
        }
    }
}

/// The children of a supervisor that show as `hikyaku role NAME`.
pub fn roles_of(supervisor: Pid) -> BTreeMap<String, Pid> {
    let mut roles = BTreeMap::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end between two looks at it.
        if status_field(Pid::from_raw(pid), "PPid").is_none_or(|parent| parent != supervisor.to_string()) {
            continue;
        }
        let line = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split_terminator('\0').collect();
        if let [program, "role", name] = words[..]
            && program.ends_with("hikyaku")
        {
            roles.insert(name.to_string(), Pid::from_raw(pid));
        }
    }
    roles
}

/// A line of `/proc/PID/status`.
pub fn status_field(pid: Pid, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_string())
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

impl Ran {
    /// Asserts success; returns what was printed.
    pub fn good(self) -> String {
        assert!(self.code == Some(0), "{self:?}");
        self.output
    }
}

/// Runs a command to its end, with this standard input; at most a minute.
pub fn run(command: &mut Command, input: &(impl AsRef<[u8]> + ?Sized)) -> Ran {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}; `cargo xtask test` installs the test partners"));
    // What does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_ref());
    let pid = Pid::from_raw(child.id().cast_signed());
    let (ended, watched) = std::sync::mpsc::channel();
    let watchdog = std::thread::spawn(move || {
        if watched.recv_timeout(Duration::from_secs(60)).is_err() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    let _ = ended.send(());
    watchdog.join().unwrap();
    Ran {
        code: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asks again and again until there is an answer.
pub fn eventually<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "after {patience:?} still not so: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A small message with CRLF line ends.
pub fn message(subject: &str) -> String {
    format!(
        "From: <sender@elsewhere.example>\r\nTo: <abc@pobox.example>\r\nSubject: {subject}\r\n\r\n\
         Line one.\r\n.Line two begins with a dot.\r\n"
    )
}

/// All files below a directory.
pub fn all_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    // Files come and go while a server works.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(all_files(&entry.path())),
            _ => files.push(entry.path()),
        }
    }
    files
}

/// The files of `new/` and `cur/`.
pub fn files_in(maildir: &Path) -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    for folder in ["new", "cur"] {
        let Ok(entries) = fs::read_dir(maildir.join(folder)) else { continue };
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.into_iter().collect()
}

/// The messages of `new/` and `cur/`.
pub fn messages_in(maildir: &Path) -> Vec<String> {
    files_in(maildir)
        .iter()
        .map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned())
        .collect()
}

/// The value of a header field that a message has once, unfolded.
pub fn field(message: &str, name: &str) -> String {
    let (header, _) = message.split_once("\n\n").unwrap_or((message, ""));
    let unfolded = header.replace("\n\t", " ").replace("\n ", " ");
    let mut values = unfolded.lines().filter_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim().to_string())
    });
    let value = values.next().unwrap_or_else(|| panic!("no {name} in:\n{header}"));
    assert_eq!(values.next(), None, "{name} stands twice in:\n{header}");
    value
}

/// A base at which all ports are free. Bases that differ by less than 85 have no port in common,
/// as no two standard ports are nearer to one another.
pub fn free_base() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another run of the tests at the same time begins elsewhere.
    let of_this_run = 10_000 + u16::try_from(std::process::id() % 200).unwrap() * 100;
    for _ in 0..84 {
        let base = of_this_run + NEXT.fetch_add(1, Ordering::Relaxed) % 84;
        let free = |standard: u16| TcpListener::bind(("127.0.0.1", base + standard)).is_ok();
        if [25, 110, 465, 587, 995].into_iter().all(free) {
            return base;
        }
    }
    panic!("no free ports from {of_this_run} on");
}
