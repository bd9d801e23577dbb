//! A browser without JavaScript: cookies, pages, and forms that are filled in and sent as they stand there.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::house::House;

/// How long a page may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// One browser, and the page that it shows.
pub struct Page {
    port: u16,
    own: Ipv4Addr,
    cookies: BTreeMap<String, String>,
    /// What is shown now.
    pub shown: Shown,
}

/// An answer of the server.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Where it was found, after all redirections.
    pub path: String,
    /// 200, 404 and so on.
    pub status: u16,
    /// Header fields in lower case, a line each.
    pub header: String,
    /// The page.
    pub html: String,
}

impl Page {
    /// A browser that was never there before.
    pub fn of(house: &House) -> Page {
        Page::from([127, 0, 0, 1], house)
    }

    /// A browser at this address of this machine.
    pub fn from(own: [u8; 4], house: &House) -> Page {
        Page { port: house.http(), own: own.into(), cookies: BTreeMap::new(), shown: Shown::default() }
    }

    /// Goes to a page, and wherever that leads.
    pub fn get(&mut self, path: &str) -> &Shown {
        self.go("GET", path, None)
    }

    /// Fills in the form of the page shown that is sent to `action`, and sends it; goes wherever that leads. Fields
    /// that are not named are sent as they stand there.
    pub fn post_form(&mut self, action: &str, fields: &[(&str, &str)]) -> &Shown {
        let mut filled = self.shown.form(action);
        for (name, value) in fields {
            filled.retain(|(there, _)| there != name);
            filled.push(((*name).to_owned(), (*value).to_owned()));
        }
        let fields: Vec<_> = filled.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(action, &fields)
    }

    /// Sends these fields and no others.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> &Shown {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        self.go("POST", path, Some(body.join("&")))
    }

    /// Signs in at the sign-in page.
    pub fn sign_in(&mut self, name: &str, password: &str) -> &Shown {
        self.get("/sign-in");
        self.post_form("/sign-in", &[("name", name), ("password", password)])
    }

    /// Whether somebody is signed in: his own page is shown to him.
    pub fn is_in(&mut self) -> bool {
        self.get("/").path == "/" && self.shown.status == 200
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Forgets or changes a cookie.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.into(), value.into());
    }

    fn go(&mut self, method: &str, path: &str, body: Option<String>) -> &Shown {
        let mut answer = self.ask(method, path, body.as_deref());
        for _ in 0..5 {
            let Some(to) = answer.header_field("location").map(str::to_owned) else { break };
            let to = match to.split_once("://") {
                Some((_, rest)) => format!("/{}", rest.split_once('/').map_or("", |(_, path)| path)),
                None => to,
            };
            answer = self.ask("GET", &to, None);
        }
        self.shown = answer;
        &self.shown
    }

    fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> Shown {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\nUser-Agent: page of the tests\r\n",
            self.port
        );
        if !cookies.is_empty() {
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        if let Some(body) = body {
            request.push_str(&format!(
                "Origin: http://localhost:{}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                self.port,
                body.len()
            ));
        }
        request.push_str("\r\n");
        request.push_str(body.unwrap_or_default());
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (header, html) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let (line, header) = header.split_once("\r\n").unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let fields = header.lines().filter_map(|line| line.split_once(": "));
        let fields: Vec<_> = fields.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        for (_, set) in fields.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            match set.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.into(), value.into()),
            };
        }
        let header = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        Shown { path: path.into(), status, header, html: html.into() }
    }

    fn connect(&self) -> TcpStream {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((self.own, 0)).into()).unwrap();
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        socket.connect_timeout(&server.into(), PATIENCE).unwrap();
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Shown {
    /// The first header field of this name.
    pub fn header_field(&self, name: &str) -> Option<&str> {
        self.header
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(there, value)| (there == name).then_some(value))
    }

    /// What is told in `role="alert"`: why a form was not done.
    pub fn alert(&self) -> Option<String> {
        let (_, rest) = self.html.split_once("role=\"alert\"")?;
        let inner = rest.split_once('>')?.1;
        Some(unescaped(inner.split('<').find(|text| !text.trim().is_empty())?.trim()))
    }

    /// The fields of the form that is sent to `action`, as they stand there.
    pub fn form(&self, action: &str) -> Vec<(String, String)> {
        let forms = tags(&self.html, "form");
        let (at, _) = forms
            .into_iter()
            .find(|(_, tag)| attribute(tag, "action").as_deref() == Some(action))
            .unwrap_or_else(|| panic!("no form for {action} at {}:\n{}", self.path, self.html));
        let form = self.html[at..].split("</form>").next().unwrap_or_default();
        let mut fields = Vec::new();
        for (_, tag) in tags(form, "input") {
            let Some(name) = attribute(tag, "name") else { continue };
            let kind = attribute(tag, "type").unwrap_or_default();
            let chosen =
                !matches!(kind.as_str(), "checkbox" | "radio") || attribute(tag, "checked").is_some();
            if chosen && kind != "submit" {
                let value = attribute(tag, "value");
                fields
                    .push((name, value.unwrap_or_else(|| if kind == "checkbox" { "on" } else { "" }.into())));
            }
        }
        for (at, tag) in tags(form, "textarea") {
            let text = form[at..].split_once('>').and_then(|(_, rest)| rest.split("</textarea>").next());
            if let (Some(name), Some(text)) = (attribute(tag, "name"), text) {
                fields.push((name, unescaped(text)));
            }
        }
        for (at, tag) in tags(form, "select") {
            let options = form[at..].split("</select>").next().unwrap_or_default();
            let options = tags(options, "option");
            let selected = options.iter().find(|(_, tag)| attribute(tag, "selected").is_some());
            if let (Some(name), Some((_, option))) = (attribute(tag, "name"), selected.or(options.first())) {
                fields.push((name, attribute(option, "value").unwrap_or_default()));
            }
        }
        fields
    }
}

/// The tags of this name, without their brackets, and where they stand.
fn tags<'a>(html: &'a str, name: &str) -> Vec<(usize, &'a str)> {
    let open = format!("<{name}");
    let found = html.match_indices(&open).filter_map(|(at, _)| {
        let rest = &html[at + open.len()..];
        let tag = rest.split('>').next()?;
        tag.is_empty().then_some(()).or(tag.starts_with([' ', '\n']).then_some(())).map(|()| (at, tag))
    });
    found.collect()
}

/// An attribute of a tag; empty if it has no value.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        rest = rest.trim_start();
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (found, after) = rest.split_at(end);
        if found.is_empty() {
            return None;
        }
        let (value, next) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"')?,
            None => ("", after.strip_prefix('=').unwrap_or(after)),
        };
        if found == name {
            return Some(unescaped(value));
        }
        rest = next;
    }
}

/// A text of HTML as it is meant.
fn unescaped(text: &str) -> String {
    let mut meant = text.to_owned();
    for (written, means) in
        [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">")]
    {
        meant = meant.replace(written, means);
    }
    meant.replace("&quot;", "\"").replace("&#38;", "&").replace("&amp;", "&")
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(octet).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// What an authenticator shows that was given this secret (RFC 6238, Base32 of RFC 4648 §6), `steps` steps of
/// 30 seconds from now.
pub fn code_of(secret: &str, steps: i64) -> String {
    let bits: String = secret
        .bytes()
        .filter(|octet| !octet.is_ascii_whitespace())
        .map(|octet| match octet {
            b'A'..=b'Z' => format!("{:05b}", octet - b'A'),
            b'2'..=b'7' => format!("{:05b}", octet - b'2' + 26),
            other => panic!("{} is not of Base32", char::from(other)),
        })
        .collect();
    let octets = bits.as_bytes().chunks_exact(8);
    let key: Vec<u8> =
        octets.map(|bits| u8::from_str_radix(str::from_utf8(bits).unwrap(), 2).unwrap()).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let step = (now / 30).checked_add_signed(steps).unwrap();
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).unwrap();
    mac.update(&step.to_be_bytes());
    let mac = mac.finalize().into_bytes();
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

#[test]
fn an_authenticator_shows_the_codes_of_the_rfc() {
    // Of RFC 4226 appendix D's secret, at whatever time this runs: six digits, and another one next.
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let code = code_of(secret, 0);
    assert!(code.len() == 6 && code.bytes().all(|octet| octet.is_ascii_digit()));
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30;
    assert_eq!(code_of(secret, 1 - epoch.cast_signed()), "287082");
}

#[test]
fn a_form_is_read_as_a_browser_reads_it() {
    let html = "<form action=\"/a\"><input name=\"x\" value=\"&quot;&amp;&#60;\"><input type=\"checkbox\" name=\"c\" value=\"1\">\
                <input type=\"checkbox\" name=\"d\" value=\"2\" checked><textarea name=\"t\" rows=\"2\">a\nb</textarea>\
                <select name=\"s\"><option value=\"1\"><option value=\"2\" selected></select></form>\
                <form action=\"/b\"><input name=\"y\" required></form>";
    let shown = Shown { html: html.into(), ..Shown::default() };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(shown.form("/a"), [pair("x", "\"&<"), pair("d", "2"), pair("t", "a\nb"), pair("s", "2")]);
    assert_eq!(shown.form("/b"), [pair("y", "")]);
}
