//! Mail that comes in by SMTP and goes out by SMTP, to Postfix's `smtp-sink`; also while another
//! destination takes messages and then says nothing more.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::process::{self, Running};
use super::server::{Server, free_address};
use super::smtp_load::{Connections, Load};
use super::{hikyaku, postfix};

/// The domain whose mail is relayed.
const DOMAIN: &str = "relay.example";
/// The domain whose host hangs.
const HANGING: &str = "hangs.example";
/// How many messages go there, before the others: more than any server sends at a time.
const HANGING_MESSAGES: usize = 100;
/// How long a server may take to send on what it has accepted.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a server does after its last message belongs to the work as well.
const REST: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(1);

/// The servers, and where their mail goes.
pub struct Relay {
    pub servers: [Server; 2],
    sink: SocketAddr,
    log: std::path::PathBuf,
}

/// What one server did in one turn.
pub struct Turn {
    /// Messages per second, until the sink has the last.
    pub relayed: f64,
    /// Seconds of CPU time per 1,000 messages.
    pub cpu: f64,
}

/// The loads: messages over connections that are kept, and over one connection each.
pub fn loads(messages: usize) -> [Load; 2] {
    [Connections::Kept, Connections::OneEach].map(|connections| Load {
        sessions: 50,
        messages,
        connections,
        domain: DOMAIN,
    })
}

/// Sets both servers up below `directory`.
///
/// # Errors
/// If one does not like its configuration.
pub fn prepare(program: &Path, directory: &Path) -> anyhow::Result<Relay> {
    std::fs::create_dir_all(directory)?;
    let (sink, hanging) = (free_address()?, hang()?);
    let routes = [(DOMAIN, sink), (HANGING, hanging)];
    let servers = [
        hikyaku::prepare_relay(program, &directory.join("hikyaku"), &routes)?,
        postfix_relay(&directory.join("postfix"), &routes)?,
    ];
    Ok(Relay { servers, sink, log: directory.join("sink") })
}

fn postfix_relay(directory: &Path, routes: &[(&str, SocketAddr)]) -> anyhow::Result<Server> {
    let server = postfix::prepare(directory)?;
    let maps = routes.iter().map(|(domain, at)| format!("{{{domain}=smtp:[{}]:{}}}", at.ip(), at.port()));
    let maps = format!("transport_maps=inline:{{ {} }}", maps.collect::<Vec<_>>().join(", "));
    let mut postconf = Command::new("postconf");
    process::run("postconf", postconf.arg("-c").arg(directory.join("etc")).args(["-e", &maps]), &server.log)?;
    Ok(server)
}

impl Relay {
    /// Starts the server, measures, and ends it.
    ///
    /// # Errors
    /// If it refuses a message, or does not bring each to the sink exactly once.
    pub fn take(&self, server: &Server, load: Load, beside_one_that_hangs: bool) -> anyhow::Result<Turn> {
        let sink = Sink::start(self.sink, &self.log)?;
        let running = server.start()?;
        let deadline = || Instant::now() + PATIENCE;
        if beside_one_that_hangs {
            let hanging = Load { messages: HANGING_MESSAGES, domain: HANGING, ..load };
            hanging.send(server.address, &server.log, deadline())?;
        }
        // Processes are started, and files made, before anything is measured.
        let warm_up = Load { messages: 4 * load.sessions, ..load };
        warm_up.send(server.address, &server.log, deadline())?;
        sink.wait_for(warm_up.messages, deadline())?;

        let (cpu, begin) = (running.cpu(), Instant::now());
        load.send(server.address, &server.log, deadline())?;
        sink.wait_for(warm_up.messages + load.messages, deadline())?;
        let relayed = begin.elapsed();
        thread::sleep(REST);
        sink.wait_for(warm_up.messages + load.messages, deadline())?;
        let cpu = running.cpu() - cpu;
        let messages = load.messages as f64;
        Ok(Turn { relayed: messages / relayed.as_secs_f64(), cpu: cpu.as_secs_f64() * 1000.0 / messages })
    }
}

/// `smtp-sink`, which counts.
struct Sink {
    running: Running,
}

impl Sink {
    fn start(at: SocketAddr, log: &Path) -> anyhow::Result<Sink> {
        // Its counts begin anew.
        std::fs::write(log, "")?;
        let mut command = Command::new("smtp-sink");
        command.args(["-c", "-u", "nobody", &at.to_string(), "1000"]);
        let mut running = Running::start("smtp-sink", &mut command, log)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(at).is_err() {
            running.check()?;
            if Instant::now() > deadline {
                bail!("smtp-sink does not answer at {at}");
            }
            thread::sleep(PAUSE);
        }
        Ok(Sink { running })
    }

    fn wait_for(&self, expected: usize, deadline: Instant) -> anyhow::Result<()> {
        loop {
            let count = count(&self.running.end_of_log());
            if count == expected {
                return Ok(());
            }
            if count > expected || Instant::now() > deadline {
                bail!("{count} messages came to the sink, not {expected}");
            }
            thread::sleep(PAUSE);
        }
    }
}

/// The last count in what `smtp-sink` prints: `sess=5 quit=5 mesg=5`, again and again.
fn count(printed: &str) -> usize {
    // The last line may be half of one.
    let whole = printed.rsplit_once('\r').map_or("", |(whole, _)| whole);
    let last = whole.rsplit_once("mesg=").map_or("", |(_, number)| number);
    last.parse().unwrap_or(0)
}

/// A server that takes messages up to the last dot, and then says nothing more.
fn hang() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port for a server that hangs")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever it talks to may go at any time.
            thread::spawn(move || drop(take_and_hang(stream)));
        }
    });
    Ok(address)
}

fn take_and_hang(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"220 hangs.example ESMTP\r\n")?;
    let mut in_data = false;
    while let Some(line) = lines.next().transpose()? {
        if in_data {
            // The end of the data is heard, and not answered.
            continue;
        }
        in_data = line.eq_ignore_ascii_case("DATA");
        let reply: &[u8] = if in_data { b"354 go ahead\r\n" } else { b"250 ok\r\n" };
        stream.write_all(reply)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_count_is_read() {
        assert_eq!(count(""), 0);
        assert_eq!(count("sess=1 quit=0 mesg=1\rsess=12 quit=3 mesg=12\r"), 12);
        assert_eq!(count("sess=1 quit=0 mesg=11\rsess=12 quit=3 mesg=1"), 11);
        assert_eq!(count("the end of a log:\nsess=2 quit=0 mesg=7\r"), 7);
    }

    #[test]
    fn a_server_that_hangs_answers_everything_but_the_end() {
        let mut stream = TcpStream::connect(hang().unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut replies = BufReader::new(stream.try_clone().unwrap()).lines();
        for (line, code) in [
            ("", "220"),
            ("EHLO x", "250"),
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<a@b>", "250"),
            ("DATA", "354"),
        ] {
            if !line.is_empty() {
                stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
            }
            assert!(replies.next().unwrap().unwrap().starts_with(code), "{line}");
        }
        stream.write_all(b"Subject: x\r\n\r\nhello\r\n.\r\n").unwrap();
        assert!(replies.next().unwrap().is_err());
    }
}
