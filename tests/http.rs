//! HTTP, octet by octet: a client that sends what no browser would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub header: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The first header field of this name, or nothing.
    pub fn field(&self, name: &str) -> &str {
        self.header.iter().find(|(there, _)| there == name).map_or("", |(_, value)| value)
    }

    /// The body, in JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends a request with these header lines and this body, on a connection of its own.
pub fn ask(port: u16, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n");
    for line in lines {
        request.push_str(line);
        request.push_str("\r\n");
    }
    if !body.is_empty() || !matches!(method, "GET" | "HEAD") {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let mut all = raw(port, request.as_bytes());
    assert_eq!(all.len(), 1, "{method} {path}: {all:?}");
    all.remove(0)
}

/// Sends these octets; gives all that is answered until the server closes, as it does after `Connection: close` and
/// after what is no request.
pub fn raw(port: u16, octets: &[u8]) -> Vec<Answer> {
    let mut stream = connect(port);
    // A server that has refused what came first may not read the rest.
    let _ = stream.write_all(octets);
    answers(&mut stream)
}

/// Connects.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// All answers until the server closes.
pub fn answers(stream: &mut TcpStream) -> Vec<Answer> {
    let mut octets = Vec::new();
    // Whether it closes or resets does not matter here.
    let _ = stream.read_to_end(&mut octets);
    let mut rest = &octets[..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let end = find(rest, b"\r\n\r\n")
            .unwrap_or_else(|| panic!("half an answer: {:?}", String::from_utf8_lossy(rest)));
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        rest = &rest[end + 4..];
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let said = header
            .iter()
            .find(|(name, _)| name == "content-length")
            .map(|(_, length)| length.parse().unwrap());
        // The answer to HEAD says a length and has none; it comes last.
        let length = said.unwrap_or(0_usize).min(rest.len());
        let body = String::from_utf8_lossy(&rest[..length]).into_owned();
        rest = &rest[length..];
        all.push(Answer { status, header, body });
    }
    all
}

fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    octets.windows(wanted.len()).position(|window| window == wanted)
}
