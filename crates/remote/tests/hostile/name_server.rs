//! A name server for tests, by UDP and TCP. It writes its answers itself, so that what reads them is
//! not tested against itself.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

#[derive(Clone)]
pub enum Record {
    Mx(u16, String),
    Address(IpAddr),
    Cname(String),
    /// Character-strings (RFC 1035 §3.3.14).
    Txt(Vec<String>),
    Srv(u16, u16, u16, String),
    Ptr(String),
}

/// What is answered to all questions about a name.
#[derive(Clone)]
pub enum Answer {
    Records(Vec<Record>),
    NxDomain,
    ServFail,
    /// Nothing at all.
    Silence,
    /// Octets that are no message.
    Noise,
    /// By UDP only that it is too large; the truth by TCP.
    Truncated(Vec<Record>),
}

#[derive(Default)]
pub struct Zone(Mutex<HashMap<String, Answer>>);

pub struct NameServer {
    pub address: SocketAddr,
    pub zone: Arc<Zone>,
}

impl Zone {
    pub fn set(&self, name: &str, answer: Answer) {
        self.0.lock().unwrap().insert(name.to_owned(), answer);
    }

    pub fn mx(&self, name: &str, hosts: &[(u16, &str)]) {
        let records = hosts.iter().map(|(preference, host)| Record::Mx(*preference, (*host).to_owned()));
        self.set(name, Answer::Records(records.collect()));
    }

    pub fn address(&self, name: &str, address: IpAddr) {
        self.set(name, Answer::Records(vec![Record::Address(address)]));
    }

    fn answer(&self, question: &[u8], udp: bool) -> Option<Vec<u8>> {
        let (name, kind, end) = read_question(question)?;
        let answer = self.0.lock().unwrap().get(&name).cloned().unwrap_or(Answer::NxDomain);
        let (records, code, truncated) = match answer {
            Answer::Silence => return None,
            Answer::Noise => return Some(vec![0xff; 40]),
            Answer::NxDomain => (Vec::new(), 3, false),
            Answer::ServFail => (Vec::new(), 2, false),
            Answer::Truncated(_) if udp => (Vec::new(), 0, true),
            Answer::Truncated(records) | Answer::Records(records) => (records, 0, false),
        };
        let mut answers = Vec::new();
        let mut count = 0u16;
        self.write_answers(&name, kind, &records, &mut answers, &mut count, 8);
        if udp && answers.len() > 1100 {
            return Some(message(question, end, code, true, 0, &[]));
        }
        Some(message(question, end, code, truncated, count, &answers))
    }

    /// Follows CNAMEs as a recursive server does, a few times.
    fn write_answers(
        &self,
        name: &str,
        kind: u16,
        records: &[Record],
        out: &mut Vec<u8>,
        count: &mut u16,
        left: u8,
    ) {
        for record in records {
            let (own_kind, data) = match record {
                Record::Mx(preference, host) => {
                    (15, [&preference.to_be_bytes()[..], &encoded(host)].concat())
                }
                Record::Address(IpAddr::V4(address)) => (1, address.octets().to_vec()),
                Record::Address(IpAddr::V6(address)) => (28, address.octets().to_vec()),
                Record::Cname(target) => (5, encoded(target)),
                Record::Txt(strings) => {
                    let one = |string: &String| [&[string.len() as u8], string.as_bytes()].concat();
                    (16, strings.iter().map(one).collect::<Vec<_>>().concat())
                }
                Record::Srv(priority, weight, port, host) => {
                    let numbers = [priority, weight, port].map(|number| number.to_be_bytes()).concat();
                    (33, [numbers, encoded(host)].concat())
                }
                Record::Ptr(name) => (12, encoded(name)),
            };
            if own_kind != kind && own_kind != 5 {
                continue;
            }
            *count += 1;
            out.extend_from_slice(&encoded(name));
            out.extend_from_slice(&u16::to_be_bytes(own_kind));
            out.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            out.extend_from_slice(&(data.len() as u16).to_be_bytes());
            out.extend_from_slice(&data);
            if let (Record::Cname(target), true) = (record, left > 0) {
                let next = self.0.lock().unwrap().get(target).cloned();
                if let Some(Answer::Records(records)) = next {
                    self.write_answers(target, kind, &records, out, count, left - 1);
                }
            }
        }
    }
}

impl NameServer {
    pub async fn start() -> NameServer {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let server = NameServer { address: udp.local_addr().unwrap(), zone: Arc::default() };
        let zone = Arc::clone(&server.zone);
        tokio::spawn(async move {
            let mut question = [0; 1500];
            while let Ok((length, from)) = udp.recv_from(&mut question).await {
                if let Some(answer) = zone.answer(&question[..length], true) {
                    let _ = udp.send_to(&answer, from).await;
                }
            }
        });
        let zone = Arc::clone(&server.zone);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let zone = Arc::clone(&zone);
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut question = vec![0; length.into()];
                        stream.read_exact(&mut question).await.ok()?;
                        let answer = zone.answer(&question, false)?;
                        stream.write_u16(answer.len() as u16).await.ok()?;
                        stream.write_all(&answer).await.ok()?;
                    }
                    Some(())
                });
            }
        });
        server
    }
}

fn message(question: &[u8], end: usize, code: u8, truncated: bool, count: u16, answers: &[u8]) -> Vec<u8> {
    let mut message = question[..2].to_vec();
    message.extend_from_slice(&[0x81 | u8::from(truncated) << 1, 0x80 | code, 0, 1]);
    message.extend_from_slice(&count.to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&question[12..end]);
    message.extend_from_slice(answers);
    message
}

/// The name, its type, and where the question ends.
fn read_question(message: &[u8]) -> Option<(String, u16, usize)> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
    Some((labels.join("."), kind, at + 4))
}

fn encoded(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}
