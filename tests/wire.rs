//! A client that says exactly what it is told, in the clear or under TLS.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(15);

/// One connection.
pub struct Wire {
    stream: BufReader<Octets>,
}

enum Octets {
    Plain(TcpStream),
    Local(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects.
    pub fn connect(server: SocketAddr) -> Wire {
        Wire::try_connect(server).unwrap_or_else(|error| panic!("{server}: {error}"))
    }

    /// Connects from this address of this machine.
    pub fn connect_from(own: [u8; 4], server: SocketAddr) -> Wire {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((own, 0)).into()).unwrap();
        socket.connect_timeout(&server.into(), PATIENCE).unwrap();
        Wire::over(socket.into()).unwrap()
    }

    /// Connects to a socket with a name.
    pub fn connect_to(socket: &Path) -> Wire {
        let stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{socket:?}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Wire { stream: BufReader::new(Octets::Local(stream)) }
    }

    /// Connects, or says why not.
    pub fn try_connect(server: SocketAddr) -> io::Result<Wire> {
        Wire::over(TcpStream::connect_timeout(&server, PATIENCE)?)
    }

    fn over(stream: TcpStream) -> io::Result<Wire> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream: BufReader::new(Octets::Plain(stream)) })
    }

    /// Negotiates TLS with the server whose certificate this is; it has to be for this host name.
    pub fn start_tls(self, certificate: &Path, name: &str) -> Wire {
        assert!(self.stream.buffer().is_empty(), "the server spoke before TLS: {:?}", self.stream.buffer());
        let Octets::Plain(stream) = self.stream.into_inner() else { panic!("there is no TLS to be had") };
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_string()).unwrap();
        let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).unwrap_or_else(|error| panic!("TLS: {error}"));
        }
        Wire { stream: BufReader::new(Octets::Tls(Box::new(tls))) }
    }

    /// Sends these octets.
    pub fn send(&mut self, octets: &[u8]) {
        self.try_send(octets).unwrap();
    }

    /// Sends these octets, or says that the connection broke.
    pub fn try_send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(octets)?;
        self.stream.get_mut().flush()
    }

    /// The next line, without its line end; `None` if the server has closed the connection.
    pub fn line(&mut self) -> Option<String> {
        match self.try_line() {
            Ok(line) => Some(line),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("the server is silent"),
            Err(_) => None,
        }
    }

    /// The next line, which has to end in CRLF.
    pub fn try_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line
            .strip_suffix(b"\r\n")
            .unwrap_or_else(|| panic!("no CRLF after {:?}", line.escape_ascii().to_string()));
        Ok(String::from_utf8(text.to_vec()).expect("the server says text"))
    }

    /// The next SMTP reply, or line of POP3; lines of a reply are parted by LF.
    pub fn reply(&mut self) -> String {
        self.try_reply().unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// The next reply, or that the connection broke.
    pub fn try_reply(&mut self) -> io::Result<String> {
        let mut reply = self.try_line()?;
        while let Some(line) = last(&reply)
            && line.as_bytes().get(3) == Some(&b'-')
            && line.as_bytes()[..3].iter().all(u8::is_ascii_digit)
        {
            reply = format!("{reply}\n{}", self.try_line()?);
        }
        Ok(reply)
    }

    /// The next reply, which has to begin so.
    pub fn expect(&mut self, beginning: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(beginning), "expected {beginning:?}, the server said {reply:?}");
        reply
    }

    /// Sends a line; the reply has to begin so.
    pub fn say(&mut self, line: &str, beginning: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        let reply = self.reply();
        assert!(
            reply.starts_with(beginning),
            "after {line:?} expected {beginning:?}, the server said {reply:?}"
        );
        reply
    }

    /// Sends a line; gives the reply.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// The rest of a multi-line response of POP3: its lines with dots undone, without the last.
    pub fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().expect("a dot ends a multi-line response");
            if line == "." {
                return lines;
            }
            lines.push(line.strip_prefix('.').map_or(line.clone(), str::to_string));
        }
    }

    /// Sends one message, which ends in CRLF, and returns the reply to its end.
    pub fn transact(&mut self, sender: &str, recipients: &[&str], message: &str) -> String {
        self.say(&format!("MAIL FROM:<{sender}>"), "250");
        for recipient in recipients {
            self.say(&format!("RCPT TO:<{recipient}>"), "250");
        }
        self.say("DATA", "354");
        self.send(stuffed(message).as_bytes());
        self.reply()
    }

    /// Asserts that the server has closed the connection and said nothing more.
    pub fn closed(&mut self) {
        assert_eq!(self.line(), None, "the server was to close the connection");
    }

    /// What was received and not yet looked at.
    pub fn unread(&self) -> &[u8] {
        self.stream.buffer()
    }

    /// Says that no more will be sent.
    pub fn end_of_input(&mut self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Breaks off: the server sees a reset, not an end.
    pub fn reset(self) {
        socket2::SockRef::from(self.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn socket(&self) -> &TcpStream {
        match self.stream.get_ref() {
            Octets::Plain(stream) => stream,
            Octets::Local(_) => panic!("a socket of this machine"),
            Octets::Tls(tls) => &tls.sock,
        }
    }
}

/// Mail data as DATA carries them: with dots before dots, and the dot at the end.
pub fn stuffed(message: &str) -> String {
    let inner = message.replace("\r\n.", "\r\n..");
    let first = if message.starts_with('.') { "." } else { "" };
    format!("{first}{inner}.\r\n")
}

fn last(reply: &str) -> Option<&str> {
    reply.rsplit('\n').next()
}

impl Read for Octets {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Octets::Plain(stream) => stream.read(buffer),
            Octets::Local(stream) => stream.read(buffer),
            Octets::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Octets {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Octets::Plain(stream) => stream.write(octets),
            Octets::Local(stream) => stream.write(octets),
            Octets::Tls(tls) => tls.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Octets::Plain(stream) => stream.flush(),
            Octets::Local(stream) => stream.flush(),
            Octets::Tls(tls) => tls.flush(),
        }
    }
}
