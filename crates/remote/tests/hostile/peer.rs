//! A server that does as the test says, and as it should where the test says nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a server does upon a command.
#[derive(Clone)]
pub enum Do {
    Say(String),
    /// Says this, then closes.
    SayAndClose(String),
    Close,
    /// Neither says nor does anything.
    Hang,
    /// Says 220 and shakes hands.
    StartTls,
    /// Says this for ever.
    Repeat(String),
}

pub fn say(reply: &str) -> Do {
    Do::Say(format!("{reply}\r\n"))
}

/// Decides by the number of the connection, from 1, and the command: "" is the greeting, "." the end of
/// mail data. `None`: as it should.
pub type Manners = dyn Fn(usize, &str) -> Option<Do> + Send + Sync;

pub struct Peer {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    /// All commands, with the number of the connection.
    pub heard: Arc<Mutex<Vec<(usize, String)>>>,
    /// Mail data as they came, by DATA with doubled dots.
    pub messages: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    pub fn start(
        listener: TcpListener,
        ehlo: &'static str,
        tls: Option<TlsAcceptor>,
        manners: impl Fn(usize, &str) -> Option<Do> + Send + Sync + 'static,
    ) -> Peer {
        let peer = Peer {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            heard: Arc::default(),
            messages: Arc::default(),
        };
        let manners: Arc<Manners> = Arc::new(manners);
        let (connections, heard, messages) =
            (Arc::clone(&peer.connections), Arc::clone(&peer.heard), Arc::clone(&peer.messages));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let conversation = Conversation {
                    number,
                    ehlo,
                    manners: Arc::clone(&manners),
                    heard: Arc::clone(&heard),
                    messages: Arc::clone(&messages),
                };
                let tls = tls.clone();
                tokio::spawn(async move {
                    let mut clear = BufStream::new(stream);
                    if let Some(true) = conversation.hold(&mut clear, "").await {
                        let stream = tls?.accept(clear.into_inner()).await.ok()?;
                        conversation.hold(&mut BufStream::new(stream), "TLS").await;
                    }
                    Some(())
                });
            }
        });
        peer
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn messages(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    pub fn heard(&self, command: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|(_, line)| line.starts_with(command)).count()
    }

    /// Waits until a command was heard, for ten seconds at most.
    pub async fn hears(&self, command: &str) {
        for _ in 0..1000 {
            if self.heard(command) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{command} was never said");
    }
}

struct Conversation {
    number: usize,
    ehlo: &'static str,
    manners: Arc<Manners>,
    heard: Arc<Mutex<Vec<(usize, String)>>>,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Conversation {
    /// Talks until the end, or until TLS is to be started (`Some(true)`).
    async fn hold<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        wire: &mut BufStream<S>,
        first: &str,
    ) -> Option<bool> {
        if first.is_empty()
            && react(wire, (self.manners)(self.number, ""), "", "220 mx.there.example ESMTP").await?
        {
            return Some(true);
        }
        let mut accepted = 0;
        loop {
            let mut line = String::new();
            if wire.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            self.heard.lock().unwrap().push((self.number, line.clone()));
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            let reply = match verb {
                "EHLO" => self.ehlo,
                "RCPT" => "250 2.1.5 ok",
                "DATA" if accepted == 0 => "503 5.5.1 nobody",
                "DATA" => "354 go",
                "STARTTLS" => "220 go",
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            if verb == "BDAT" {
                let size = line.split(' ').nth(1)?.parse().ok()?;
                let mut data = vec![0; size];
                wire.read_exact(&mut data).await.ok()?;
                self.messages.lock().unwrap().push(String::from_utf8_lossy(&data).into_owned());
            }
            let decided = (self.manners)(self.number, &line);
            let as_usual = decided.is_none();
            if verb == "BDAT" && !as_usual {
                self.messages.lock().unwrap().pop();
            }
            if react(wire, decided, &line, reply).await? {
                return Some(true);
            }
            match verb {
                "RCPT" if as_usual => accepted += 1,
                "DATA" if as_usual && accepted > 0 => {
                    let data = read_data(wire).await?;
                    self.messages.lock().unwrap().push(data);
                    react(wire, (self.manners)(self.number, "."), ".", "250 2.0.0 queued").await?;
                    accepted = 0;
                }
                "MAIL" | "BDAT" => accepted = 0,
                _ => {}
            }
            if verb == "QUIT" {
                return None;
            }
        }
    }
}

async fn react<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut BufStream<S>,
    decided: Option<Do>,
    command: &str,
    reply: &str,
) -> Option<bool> {
    let usual = if command == "STARTTLS" { Do::StartTls } else { say(reply) };
    match decided.unwrap_or(usual) {
        Do::Say(text) => write(wire, &text).await?,
        Do::SayAndClose(text) => {
            write(wire, &text).await?;
            let _ = wire.shutdown().await;
            return None;
        }
        Do::Close => return None,
        Do::Hang => tokio::time::sleep(Duration::from_secs(3600)).await,
        Do::StartTls => {
            write(wire, "220 go\r\n").await?;
            return Some(true);
        }
        Do::Repeat(text) => loop {
            write(wire, &text).await?;
        },
    }
    Some(false)
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut BufStream<S>, text: &str) -> Option<()> {
    wire.write_all(text.as_bytes()).await.ok()?;
    wire.flush().await.ok()
}

async fn read_data<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut BufStream<S>) -> Option<String> {
    let mut data = String::new();
    loop {
        let start = data.len();
        if wire.read_line(&mut data).await.ok()? == 0 {
            return None;
        }
        if &data[start..] == ".\r\n" {
            data.truncate(start);
            return Some(data);
        }
    }
}
