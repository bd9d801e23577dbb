//! `cargo xtask bench`: Hikyaku beside Postfix, Dovecot and Exim, on this machine, in one run.
//!
//! One server runs at a time, and they take turns at every point (A B, A B, …), so that the ratio
//! of the two figures of a round says something where the figures alone do not: machines differ,
//! and one machine differs from hour to hour. `bench/README.md` tells how to read the tables.

mod arrivals;
mod dovecot;
mod exim;
mod figures;
mod hikyaku;
mod interrupt;
mod limits;
mod mailboxes;
mod pages;
mod peers;
mod pop3_load;
mod pop3_turn;
mod postfix;
mod process;
mod rcpt;
mod relay;
mod sendmail;
mod server;
mod smtp_load;
mod smtp_turn;
mod workplace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::ValueEnum;

use figures::{Figure, Figures};
use limits::Log;
use mailboxes::Kind;
use server::Server;
use smtp_load::{Connections, Load};

const OURS: &str = "Hikyaku";
const CALLS: &str = "2 KiB, one after the other";
const MEMBERS: &str = "100 members, 200 requests/s";
const HANGING: &str = "relayed beside a destination that hangs, of the rate without it";

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// How often every server has its turn at every point.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// One short round: shows that all works, not more.
    #[arg(long)]
    quick: bool,
    /// Only a part of the tables.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Where to work: on the file system that is to be measured. [default: target/bench]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Append every single figure to a file, a line of JSON each.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure this program, not a release built now.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// A part of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// SMTP, until the last message was answered with 250.
    Accept,
    /// SMTP, until the last message is in its Maildir.
    Deliver,
    /// SMTP, until the last message is at another host.
    Relay,
    /// RCPT, by the size of the directory.
    Rcpt,
    /// `sendmail -t`, one call after the other.
    Sendmail,
    /// SMTP, while members are at their pages.
    Pages,
    /// POP3.
    Pop3,
    /// What the disk and the load generator could do.
    Limits,
}

/// Does it.
///
/// # Errors
/// If the servers cannot be set up. A point that fails is told, and the others are measured.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    peers::install()?;
    let parent = arguments.dir.clone().unwrap_or_else(|| workspace.join("target/bench"));
    let place = workplace::make(&parent)?;
    interrupt::clean_up_on_interrupt(place.path().to_path_buf())?;
    let program = match &arguments.program {
        Some(program) => {
            program.canonicalize().with_context(|| format!("no program {}", program.display()))?
        }
        None => hikyaku::build(workspace)?,
    };
    let facts = workplace::describe(place.path());
    println!("{facts}");

    let mut bench = Bench {
        scale: if arguments.quick { Scale::QUICK } else { Scale::FULL },
        only: arguments.only,
        rounds: if arguments.quick { 1 } else { arguments.rounds },
        place: place.path().to_path_buf(),
        figures: Figures::default(),
        failures: 0,
    };
    let outcome = bench.measure(&program, workspace);
    // What was measured before something broke is as good as ever.
    println!("\n{}", bench.figures.tables(OURS));
    if let Some(path) = &arguments.json {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        bench.figures.append(path, &format!("{now} {facts}"))?;
    }
    if outcome.is_err() || bench.failures > 0 {
        println!(
            "{} measurements failed; what the servers said is in {}",
            bench.failures,
            place.keep().display()
        );
        outcome?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// How much is done at each point.
struct Scale {
    /// Messages at 1, 10 and 50 sessions; multiples of ten, which many generators share.
    messages: [usize; 3],
    recipients: u32,
    /// Of `sendmail`.
    calls: usize,
    pop3: Duration,
    commits: Duration,
}

impl Scale {
    const FULL: Scale = Scale {
        messages: [800, 3000, 5000],
        recipients: 60_000,
        calls: 1000,
        pop3: Duration::from_secs(2),
        commits: Duration::from_secs(1),
    };
    const QUICK: Scale = Scale {
        messages: [100, 300, 500],
        recipients: 5_000,
        calls: 100,
        pop3: Duration::from_millis(300),
        commits: Duration::from_millis(200),
    };
}

const SESSIONS: [usize; 3] = [1, 10, 50];

struct Bench {
    scale: Scale,
    only: Option<Part>,
    rounds: u32,
    place: PathBuf,
    figures: Figures,
    failures: usize,
}

impl Bench {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    fn measure(&mut self, program: &Path, workspace: &Path) -> anyhow::Result<()> {
        if self.wants(Part::Limits) {
            self.limits()?;
        }
        if self.wants(Part::Rcpt) {
            self.rcpt(program, workspace)?;
        }
        if self.wants(Part::Relay) {
            self.relay(program)?;
        }
        if self.wants(Part::Sendmail) {
            self.sendmail(program)?;
        }
        if self.wants(Part::Pages) {
            self.pages(program)?;
        }
        let smtp = self.wants(Part::Accept) || self.wants(Part::Deliver);
        if !smtp && !self.wants(Part::Pop3) {
            return Ok(());
        }
        let (our_smtp, our_pop3) = hikyaku::prepare(program, &self.place.join("hikyaku"))?;
        if smtp {
            let peer = postfix::prepare(&self.place.join("postfix"))?;
            self.smtp(&[our_smtp, peer]);
        }
        if self.wants(Part::Pop3) {
            let (shipped, fast) = dovecot::prepare(&self.place.join("dovecot"))?;
            for kind in Kind::ALL {
                our_pop3.fill(kind)?;
                shipped.fill(kind)?;
            }
            for server in [&our_pop3, &shipped] {
                if let Err(problem) = pop3_turn::settle(server) {
                    self.note("POP3", "first logins", server.name, 0, Err(problem));
                }
            }
            // The disk is not to be busy with our preparations while a server is measured.
            rustix::fs::sync();
            self.pop3(&our_pop3, &shipped, &fast);
        }
        Ok(())
    }

    /// The floor under every durable queue, and the generator against a server that does nothing.
    fn limits(&mut self) -> anyhow::Result<()> {
        let sink = limits::sink(&self.place.join("sink"))?;
        for round in 1..=self.rounds {
            for (measure, log) in [
                ("4 KiB records/s, group commit", Log::Growing),
                ("4 KiB records/s, group commit, recycled", Log::Recycled),
            ] {
                for writers in SESSIONS {
                    let rate = limits::group_commit(&self.place, log, writers, self.scale.commits);
                    self.note(measure, &format!("{writers} waiting"), "append + fdatasync", round, rate);
                }
            }
            for load in self.smtp_loads() {
                let rate = smtp_turn::without_server(&sink, load);
                self.note("messages/s, generator", &load.to_string(), sink.name, round, rate);
            }
        }
        Ok(())
    }

    fn smtp(&mut self, servers: &[Server]) {
        for round in 1..=self.rounds {
            for load in self.smtp_loads() {
                let point = load.to_string();
                for server in servers {
                    let name = server.name;
                    match smtp_turn::take(server, load) {
                        Ok(turn) => {
                            if self.wants(Part::Accept) {
                                self.note("accepted, messages/s", &point, name, round, Ok(turn.accepted));
                            }
                            if self.wants(Part::Deliver) {
                                self.note("delivered, messages/s", &point, name, round, Ok(turn.delivered));
                            }
                            self.note("CPU s per 1,000 delivered", &point, name, round, Ok(turn.cpu));
                        }
                        Err(problem) => self.note("SMTP", &point, name, round, Err(problem)),
                    }
                }
            }
        }
    }

    /// In and out again, by itself and beside a destination that hangs.
    fn relay(&mut self, program: &Path) -> anyhow::Result<()> {
        let relay = relay::prepare(program, &self.place.join("relay"))?;
        for round in 1..=self.rounds {
            for load in relay::loads(self.scale.messages[2]) {
                let point = load.to_string();
                for server in &relay.servers {
                    match relay.take(server, load, false) {
                        Ok(turn) => {
                            self.note("relayed, messages/s", &point, server.name, round, Ok(turn.relayed));
                            self.note("CPU s per 1,000 relayed", &point, server.name, round, Ok(turn.cpu));
                        }
                        Err(problem) => self.note("relay", &point, server.name, round, Err(problem)),
                    }
                }
            }
        }
        // Afterwards, as what hangs stays in the queue. The turns of one server follow one another, as it is
        // compared with itself.
        let [load, _] = relay::loads(self.scale.messages[2]);
        for round in 1..=self.rounds {
            for server in &relay.servers {
                let without = relay.take(server, load, false);
                let ratio =
                    without.and_then(|without| Ok(relay.take(server, load, true)?.relayed / without.relayed));
                self.note(HANGING, &load.to_string(), server.name, round, ratio);
            }
        }
        Ok(())
    }

    /// Programs of this machine that send, and how much of that is the start of a process.
    fn sendmail(&mut self, program: &Path) -> anyhow::Result<()> {
        let set_up = sendmail::prepare(program, &self.place.join("sendmail"))?;
        let calls = self.scale.calls;
        for round in 1..=self.rounds {
            for caller in &set_up.callers {
                let name = caller.name();
                match set_up.take(caller, calls) {
                    Ok(turn) => {
                        self.note("sendmail -t, messages/s", CALLS, name, round, Ok(turn.handed_in));
                        self.note("CPU s per 1,000 by sendmail -t", CALLS, name, round, Ok(turn.cpu));
                    }
                    Err(problem) => self.note("sendmail -t", CALLS, name, round, Err(problem)),
                }
            }
            let nothing = sendmail::starts(Path::new("/bin/true"), "true", calls);
            let ours = sendmail::starts(program, "newaliases", calls);
            self.note("process starts/s", "one after the other", OURS, round, ours);
            self.note("process starts/s", "one after the other", "/bin/true", round, nothing);
        }
        Ok(())
    }

    /// Our server against itself: members are at their pages, or not.
    fn pages(&mut self, program: &Path) -> anyhow::Result<()> {
        let pages = pages::prepare(program, &self.place.join("pages"))?;
        // The disk is not to be busy with our preparations while a server is measured.
        rustix::fs::sync();
        let load = Load {
            sessions: SESSIONS[2],
            messages: 2 * self.scale.messages[2],
            connections: Connections::Kept,
            domain: mailboxes::DOMAIN,
        };
        for round in 1..=self.rounds {
            match pages.take(load) {
                Ok(turn) => {
                    let mut note = |measure, value| {
                        self.note(measure, MEMBERS, OURS, round, Ok(value));
                    };
                    note("mail delivered beside members, of the rate without them", turn.mail);
                    note("pages/s", turn.requests);
                    note("ms to a page, half of them", turn.median);
                    note("ms to a page, 99 in 100", turn.most);
                }
                Err(problem) => self.note("mail beside members", MEMBERS, OURS, round, Err(problem)),
            }
        }
        Ok(())
    }

    /// Our server against itself: the directory is large, or small.
    fn rcpt(&mut self, program: &Path, workspace: &Path) -> anyhow::Result<()> {
        let mut servers = Vec::new();
        for size in rcpt::Size::ALL {
            let place = self.place.join(format!("rcpt-{size:?}"));
            servers.push((size, rcpt::prepare(program, workspace, &place, size)?));
        }
        // The disk is not to be busy with our preparations while a server is measured.
        rustix::fs::sync();
        for round in 1..=self.rounds {
            for (size, server) in &servers {
                let rate = rcpt::take(server, *size, self.scale.recipients);
                self.note("RCPT/s", "100,000 accounts, 1,000,000 addresses", server.name, round, rate);
            }
        }
        Ok(())
    }

    /// The loads of SMTP, point by point.
    fn smtp_loads(&self) -> Vec<Load> {
        let messages = self.scale.messages;
        let sizes = move || SESSIONS.into_iter().zip(messages);
        let kinds = [Connections::Kept, Connections::OneEach].into_iter();
        kinds
            .flat_map(|connections| {
                sizes().map(move |(sessions, messages)| Load {
                    sessions,
                    messages,
                    connections,
                    domain: mailboxes::DOMAIN,
                })
            })
            .collect()
    }

    fn pop3(&mut self, ours: &Server, shipped: &Server, fast: &Server) {
        for round in 1..=self.rounds {
            for point in pop3_turn::POINTS {
                // The modes of Dovecot differ in their logins alone.
                let servers = if point.is_login() { vec![ours, shipped, fast] } else { vec![ours, shipped] };
                for server in servers {
                    match pop3_turn::take(server, &point, self.scale.pop3) {
                        Ok(turn) => {
                            self.note("POP3", point.name, server.name, round, Ok(turn.rate));
                            self.note(point.cpu_measure(), point.name, server.name, round, Ok(turn.cpu));
                        }
                        Err(problem) => self.note("POP3", point.name, server.name, round, Err(problem)),
                    }
                }
            }
        }
    }

    /// Keeps a figure, or tells a failure; and shows that something goes on.
    fn note(
        &mut self,
        measure: &'static str,
        point: &str,
        server: &'static str,
        round: u32,
        value: anyhow::Result<f64>,
    ) {
        match value {
            Ok(value) => {
                println!("{round}/{}  {measure}: {point}: {server} {value:.2}", self.rounds);
                self.figures.add(Figure { measure, point: point.to_string(), server, round, value });
            }
            Err(problem) => {
                self.failures += 1;
                eprintln!("{round}/{}  {measure}: {point}: {server} FAILED: {problem:#}", self.rounds);
            }
        }
    }
}
