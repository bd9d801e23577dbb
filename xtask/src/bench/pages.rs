//! Mail that comes in while members are at their pages: what the pages cost it.
//!
//! The server is compared with itself: its rate beside members who look at their pages, of its rate without
//! them. As many requests are made as members make, no more and no fewer, so what is measured is not how fast
//! the pages could be, but what they take from the mail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use super::hikyaku;
use super::mailboxes::PASSWORD;
use super::server::Server;
use super::smtp_load::Load;
use super::smtp_turn;

/// Members who are at their pages.
const MEMBERS: usize = 100;
/// How often each asks for a page: 200 requests a second in all.
const EACH: Duration = Duration::from_millis(500);
/// What they look at, one after the other.
const PAGES: [&str; 4] = ["/", "/addresses", "/mail", "/sheet"];
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server with members.
pub struct Pages {
    /// By its SMTP address.
    pub server: Server,
    http: SocketAddr,
    members: Vec<String>,
}

/// What one turn showed.
pub struct Turn {
    /// The rate of mail beside the members, of the rate without them.
    pub mail: f64,
    /// Requests a second.
    pub requests: f64,
    /// Milliseconds until the last octet of an answer, of half of the requests.
    pub median: f64,
    /// The same of 99 in 100.
    pub most: f64,
}

/// Sets the server up below `directory`.
///
/// # Errors
/// If it cannot be set up.
pub fn prepare(program: &Path, directory: &Path) -> anyhow::Result<Pages> {
    let members: Vec<String> = (0..MEMBERS).map(|number| format!("member{number}")).collect();
    let (server, http) = hikyaku::prepare_pages(program, directory, &members)?;
    Ok(Pages { server, http, members })
}

impl Pages {
    /// Two turns of the server, without the members and beside them.
    ///
    /// # Errors
    /// If mail or a page is refused, or fewer requests are answered than members make.
    pub fn take(&self, load: Load) -> anyhow::Result<Turn> {
        let without = smtp_turn::take(&self.server, load)?;
        let (beside, tally) = smtp_turn::take_beside(&self.server, load, || self.arrive(), Visitors::finish)?;
        let wished = tally.took.as_secs_f64() / EACH.as_secs_f64() * MEMBERS as f64;
        if (tally.times.len() as f64) < 0.9 * wished {
            bail!("{} requests were answered, and members make {wished:.0}", tally.times.len());
        }
        Ok(Turn {
            mail: beside.delivered / without.delivered,
            requests: tally.times.len() as f64 / tally.took.as_secs_f64(),
            median: tally.at(0.5),
            most: tally.at(0.99),
        })
    }

    /// All members sign in, and look at their pages from then on.
    fn arrive(&self) -> anyhow::Result<Visitors> {
        let sessions = self.members.iter().map(|member| Browser::sign_in(self.http, member));
        let sessions = sessions.collect::<anyhow::Result<Vec<Browser>>>()?;
        let (gone, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let visitors = sessions.into_iter().enumerate().map(|(number, browser)| {
            let gone = Arc::clone(&gone);
            // They do not all ask in the same moment.
            let first = begun + EACH * number as u32 / MEMBERS as u32;
            thread::spawn(move || browser.look(first, number, &gone))
        });
        Ok(Visitors { visitors: visitors.collect(), gone, begun })
    }
}

/// Members at their pages.
struct Visitors {
    visitors: Vec<JoinHandle<anyhow::Result<Vec<Duration>>>>,
    gone: Arc<AtomicBool>,
    begun: Instant,
}

impl Visitors {
    fn finish(self) -> anyhow::Result<Tally> {
        let took = self.begun.elapsed();
        self.gone.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for visitor in self.visitors {
            times.extend(visitor.join().map_err(|_| anyhow!("a member's thread died"))??);
        }
        times.sort_unstable();
        Ok(Tally { times, took })
    }
}

/// How long each answer took, the shortest first, and all of them together.
struct Tally {
    times: Vec<Duration>,
    took: Duration,
}

impl Tally {
    /// Milliseconds within which such a share of the requests was answered.
    fn at(&self, share: f64) -> f64 {
        let at = ((self.times.len() as f64 * share) as usize).min(self.times.len().saturating_sub(1));
        self.times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    }
}

/// A connection that is kept, and the cookies that came over it.
struct Browser {
    stream: BufReader<TcpStream>,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn sign_in(http: SocketAddr, member: &str) -> anyhow::Result<Browser> {
        let stream = TcpStream::connect(http).with_context(|| format!("nobody is at {http}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut browser = Browser { stream: BufReader::new(stream), cookies: Vec::new() };
        let (_, page) = browser.ask("GET", "/sign-in", "")?;
        let csrf = page
            .split_once("name=\"csrf\" value=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .context("the page to sign in at has no csrf field")?
            .0
            .to_owned();
        let form = format!("csrf={csrf}&name={member}&password={PASSWORD}&then=%2F");
        match browser.ask("POST", "/sign-in", &form)? {
            (303, _) => Ok(browser),
            (status, page) => bail!("{member} cannot sign in: {status}\n{page}"),
        }
    }

    /// Looks at a page every [`EACH`], and gives how long each took.
    fn look(mut self, first: Instant, number: usize, gone: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        let mut next = first;
        for page in PAGES.iter().cycle().skip(number % PAGES.len()) {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            if gone.load(Ordering::Relaxed) {
                break;
            }
            let asked = Instant::now();
            let (status, text) = self.ask("GET", page, "")?;
            if status != 200 {
                bail!("{page} was answered with {status}\n{text}");
            }
            times.push(asked.elapsed());
            // Who waited long for a page does not ask twice at once.
            next = (next + EACH).max(Instant::now());
        }
        Ok(times)
    }

    fn ask(&mut self, method: &str, path: &str, form: &str) -> anyhow::Result<(u16, String)> {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nCookie: {cookies}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len(),
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the server closed the connection instead of an answer to {path}");
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest.split(' ').next().unwrap_or_default().parse().context("a status")?;
            }
            let Some((name, value)) = line.split_once(": ") else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().context("a length")?;
            } else if name.eq_ignore_ascii_case("set-cookie") {
                let pair = value.split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').context("a cookie")?;
                self.cookies.retain(|(known, _)| known != name);
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text)?;
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }
}
