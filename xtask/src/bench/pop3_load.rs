//! POP3 load: a client that costs as little as possible beside the server that it measures.
//!
//! Each session is a thread with a blocking socket and one large buffer. No answer is looked
//! through: a command is sent when the last answer is complete, so whatever the socket gave last
//! ends the answer, and its last octets say so.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::mailboxes::PASSWORD;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
const BUFFER: usize = 256 << 10;

/// What a session does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Connect, USER, PASS, STAT, QUIT.
    LogIn,
    /// RETR of every message, with a new login when all were read.
    Retrieve,
}

/// What was done in one second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// Logins, or messages.
    pub operations: f64,
    /// Octets of messages, as they crossed the wire.
    pub octets: f64,
}

/// Works on each mailbox, in a session of its own, for `duration`; at least one operation each.
///
/// # Errors
/// If the server says `-ERR`, breaks a connection or falls silent.
pub fn run(server: SocketAddr, work: Work, mailboxes: &[String], duration: Duration) -> anyhow::Result<Rate> {
    let end = Instant::now() + duration;
    thread::scope(|scope| {
        let sessions: Vec<_> = mailboxes
            .iter()
            .map(|mailbox| scope.spawn(move || session(server, work, mailbox, end).context(mailbox.clone())))
            .collect();
        let mut sum = Rate::default();
        for session in sessions {
            let Ok(outcome) = session.join() else { bail!("a session panicked") };
            let rate = outcome?;
            sum.operations += rate.operations;
            sum.octets += rate.octets;
        }
        Ok(sum)
    })
}

/// One session's share of the rate: its own operations in its own time.
fn session(server: SocketAddr, work: Work, mailbox: &str, end: Instant) -> anyhow::Result<Rate> {
    let mut buffer = vec![0; BUFFER];
    let (mut operations, mut octets) = (0_u64, 0_u64);
    let begin = Instant::now();
    while operations == 0 || Instant::now() < end {
        let (mut client, messages) = Client::log_in(server, mailbox, &mut buffer)?;
        if work == Work::Retrieve {
            if messages == 0 {
                bail!("the mailbox is empty");
            }
            for number in 1..=messages {
                octets += client.retrieve(number)?;
                operations += 1;
                if Instant::now() >= end {
                    break;
                }
            }
        }
        client.say("QUIT\r\n")?;
        if work == Work::LogIn {
            operations += 1;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Rate { operations: operations as f64 / seconds, octets: octets as f64 / seconds })
}

struct Client<'a> {
    stream: TcpStream,
    buffer: &'a mut [u8],
}

impl<'a> Client<'a> {
    /// Logs in, and gives the number of messages that STAT told.
    fn log_in(server: SocketAddr, mailbox: &str, buffer: &'a mut [u8]) -> anyhow::Result<(Client<'a>, u64)> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Client { stream, buffer };
        client.line().context("greeting")?;
        client.say(&format!("USER {mailbox}\r\n"))?;
        client.say(&format!("PASS {PASSWORD}\r\n"))?;
        let stat = client.say("STAT\r\n")?;
        let messages = stat.split(' ').nth(1).and_then(|count| count.parse().ok());
        let messages = messages.with_context(|| format!("STAT has no count: {stat:?}"))?;
        Ok((client, messages))
    }

    /// A command with an answer of one line.
    fn say(&mut self, command: &str) -> anyhow::Result<String> {
        self.stream.write_all(command.as_bytes())?;
        // The password stays out of error messages, though everybody knows it.
        self.line().with_context(|| command.split([' ', '\r']).next().unwrap_or_default().to_string())
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut length = 0;
        while !self.buffer[..length].ends_with(b"\r\n") {
            length += self.read(length)?;
        }
        let line = String::from_utf8_lossy(&self.buffer[..length - 2]).into_owned();
        if !line.starts_with("+OK") {
            bail!("{line}");
        }
        Ok(line)
    }

    /// RETR; how many octets came.
    fn retrieve(&mut self, number: u64) -> anyhow::Result<u64> {
        self.stream.write_all(format!("RETR {number}\r\n").as_bytes())?;
        let mut total = 0;
        let mut start = 0;
        loop {
            let filled = start + self.read(start)?;
            if total == 0 && !self.buffer.starts_with(b"+") {
                bail!("RETR {number}: {}", String::from_utf8_lossy(&self.buffer[..filled.min(80)]));
            }
            total += (filled - start) as u64;
            // A dot alone ends the message, and dots that begin a line of its own are doubled
            // (RFC 1939 section 3): so this is the end, and nothing else is.
            if self.buffer[..filled].ends_with(b"\r\n.\r\n") {
                return Ok(total);
            }
            // The end may lie across two reads: keep what could be its beginning.
            let kept = filled.min(4);
            self.buffer.copy_within(filled - kept..filled, 0);
            start = kept;
        }
    }

    fn read(&mut self, from: usize) -> anyhow::Result<usize> {
        match self.stream.read(&mut self.buffer[from..]) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(length) => Ok(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => bail!("no answer for {PATIENCE:?}"),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// A server with one mailbox that holds `count` messages, each given in the `pieces`.
    fn server(count: u64, pieces: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_nodelay(true).unwrap();
                let mut stream = BufReader::new(stream);
                stream.get_mut().write_all(b"+OK\r\n").unwrap();
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|length| length > 0) {
                    match line.split([' ', '\r']).next().unwrap() {
                        "STAT" => {
                            stream.get_mut().write_all(format!("+OK {count} 7\r\n").as_bytes()).unwrap()
                        }
                        "RETR" => {
                            for piece in pieces {
                                stream.get_mut().write_all(piece.as_bytes()).unwrap();
                                thread::sleep(Duration::from_millis(2));
                            }
                        }
                        _ => stream.get_mut().write_all(b"+OK\r\n").unwrap(),
                    }
                    line.clear();
                }
            }
        });
        address
    }

    fn boxes() -> Vec<String> {
        vec!["a".to_string()]
    }

    #[test]
    fn an_end_across_two_reads_is_an_end_and_a_doubled_dot_is_none() {
        let address = server(2, &["+OK\r\n", "a\r\n..\r\n", "b\r", "\n", ".", "\r", "\n"]);
        let mut buffer = vec![0; BUFFER];
        let (mut client, messages) = Client::log_in(address, "a", &mut buffer).unwrap();
        assert_eq!(messages, 2);
        assert_eq!(client.retrieve(1).unwrap(), 18);
        assert_eq!(client.retrieve(2).unwrap(), 18);
        assert_eq!(client.say("QUIT\r\n").unwrap(), "+OK");
    }

    #[test]
    fn every_session_works_at_least_once() {
        let address = server(3, &["+OK\r\n.\r\n"]);
        for work in [Work::LogIn, Work::Retrieve] {
            let rate = run(address, work, &boxes(), Duration::ZERO).unwrap();
            assert!(rate.operations > 0.0, "{work:?}");
        }
    }

    #[test]
    fn a_refusal_is_an_error_and_not_a_fast_answer() {
        let address = server(1, &["-ERR no\r\n"]);
        let error = run(address, Work::Retrieve, &boxes(), Duration::ZERO).unwrap_err();
        assert!(format!("{error:#}").contains("-ERR no"), "{error:#}");
    }

    #[test]
    fn an_empty_mailbox_gives_no_rate_of_retrieval() {
        assert!(run(server(0, &[]), Work::Retrieve, &boxes(), Duration::ZERO).is_err());
    }
}
