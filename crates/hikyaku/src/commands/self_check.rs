//! One message through the whole house, as a client or a script would send it, and as a client fetches it.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use socket2::{Domain, Socket, Type};

/// How long a message may take into its mailbox.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long each part took.
pub struct Times {
    /// From connecting to the `250` after the message, or from the start of `sendmail` to its end.
    pub accepted: Duration,
    /// From then until POP3 gave the message back whole.
    pub fetched: Duration,
}

/// How a message comes in.
pub enum Way<'a> {
    /// By SMTP to this address.
    Smtp(SocketAddr),
    /// By the command `sendmail` of this configuration.
    Sendmail {
        /// Where it lies.
        command: &'a Path,
        /// The configuration.
        config: &'a Path,
    },
}

/// Sends a message to `recipient` and reads it back from the mailbox of `login`, from another
/// address of this machine, so that the one that is used most stays a stranger to the server.
///
/// # Errors
/// Says which step failed, and what the server said.
pub fn run(way: Way<'_>, pop3: SocketAddr, recipient: &str, login: (&str, &str)) -> anyhow::Result<Times> {
    let (name, process) = (way.name(), std::process::id());
    let subject = format!("The first mail by {name}, {process}");
    let begin = Instant::now();
    way.send(recipient, &subject)
        .with_context(|| format!("the first message could not be sent by {name}"))?;
    let accepted = begin.elapsed();
    let begin = Instant::now();
    loop {
        let found = fetch(pop3, login, &subject).context("the first message could not be read back")?;
        if found {
            return Ok(Times { accepted, fetched: begin.elapsed() });
        }
        if begin.elapsed() > PATIENCE {
            bail!("the first message was accepted, but did not reach its mailbox in {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Way<'_> {
    fn name(&self) -> &'static str {
        match self {
            Way::Smtp(_) => "SMTP",
            Way::Sendmail { .. } => "sendmail",
        }
    }

    fn send(&self, recipient: &str, subject: &str) -> anyhow::Result<()> {
        match self {
            Way::Smtp(server) => send(*server, recipient, subject),
            Way::Sendmail { command, config } => call(command, config, recipient, subject),
        }
    }
}

/// Lines out, lines in.
struct Dialogue(BufReader<TcpStream>);

impl Dialogue {
    fn open(stream: TcpStream) -> anyhow::Result<Dialogue> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Dialogue(BufReader::new(stream)))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line)
    }

    /// Sends `line` and expects an answer that begins with `good`. Multi-line SMTP replies are
    /// read to their end.
    fn say(&mut self, line: &str, good: &str) -> anyhow::Result<String> {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        self.expect(line, good)
    }

    fn expect(&mut self, after: &str, good: &str) -> anyhow::Result<String> {
        loop {
            let answer = self.line()?;
            if !answer.starts_with(good) {
                bail!("after {after:?} the server said {:?}", answer.trim_end());
            }
            if answer.as_bytes().get(3) != Some(&b'-') {
                return Ok(answer);
            }
        }
    }
}

fn send(server: SocketAddr, recipient: &str, subject: &str) -> anyhow::Result<()> {
    let mut smtp = Dialogue::open(TcpStream::connect_timeout(&server, PATIENCE)?)?;
    smtp.expect("connecting", "220")?;
    smtp.say("EHLO try.example", "250")?;
    smtp.say(&format!("MAIL FROM:<{recipient}>"), "250")?;
    smtp.say(&format!("RCPT TO:<{recipient}>"), "250")?;
    smtp.say("DATA", "354")?;
    let message = format!(
        "From: Hikyaku <{recipient}>\r\nTo: <{recipient}>\r\nSubject: {subject}\r\n\r\n\
         This message came in by SMTP, lay in the queue, and went into a Maildir.\r\n."
    );
    smtp.say(&message, "250")?;
    smtp.say("QUIT", "221")?;
    Ok(())
}

/// As a script does it.
fn call(command: &Path, config: &Path, recipient: &str, subject: &str) -> anyhow::Result<()> {
    let mut sendmail = Command::new(command)
        .args(["-t", "-i"])
        .env("HIKYAKU_CONFIG", config)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.display()))?;
    let message =
        format!("To: {recipient}\nSubject: {subject}\n\nThis message came in by the command sendmail.\n");
    let mut input = sendmail.stdin.take().context("sendmail has no standard input")?;
    let written = input.write_all(message.as_bytes());
    drop(input);
    let ended = sendmail.wait_with_output()?;
    if !ended.status.success() {
        bail!("{} {}: {}", command.display(), ended.status, String::from_utf8_lossy(&ended.stderr).trim());
    }
    Ok(written?)
}

fn fetch(server: SocketAddr, (name, password): (&str, &str), subject: &str) -> anyhow::Result<bool> {
    let mut pop3 = Dialogue::open(connect_from([127, 0, 0, 2].into(), server)?)?;
    pop3.expect("connecting", "+OK")?;
    pop3.say(&format!("USER {name}"), "+OK")?;
    pop3.0.get_mut().write_all(format!("PASS {password}\r\n").as_bytes())?;
    pop3.expect("PASS", "+OK")?;
    let stat = pop3.say("STAT", "+OK")?;
    let count: usize =
        stat.split(' ').nth(1).and_then(|count| count.parse().ok()).context("STAT has no count")?;
    let mut found = false;
    // The newest are last: the message that was just sent is near the end.
    for number in (1..=count).rev().take(20) {
        pop3.say(&format!("RETR {number}"), "+OK")?;
        loop {
            let line = pop3.line()?;
            found |= line.trim_end() == format!("Subject: {subject}");
            if line == ".\r\n" {
                break;
            }
        }
        if found {
            break;
        }
    }
    pop3.say("QUIT", "+OK")?;
    Ok(found)
}

/// Connects from a given address of this machine.
fn connect_from(own: IpAddr, server: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(own, 0).into())?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    Ok(socket.into())
}
