//! `cargo xtask bench`: Hikyaku beside Postfix and Dovecot, on this machine, in one run.
//!
//! One server runs at a time, and they take turns at every point (A B, A B, …), so that the ratio
//! of the two figures of a round says something where the figures alone do not: machines differ,
//! and one machine differs from hour to hour. `bench/README.md` tells how to read the tables.

mod arrivals;
mod dovecot;
mod figures;
mod hikyaku;
mod interrupt;
mod limits;
mod mailboxes;
mod peers;
mod pop3_load;
mod postfix;
mod process;
mod server;
mod smtp_load;
mod workplace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::ValueEnum;

use arrivals::Arrivals;
use figures::{Figure, Figures};
use limits::Log;
use mailboxes::Kind;
use pop3_load::Work;
use server::Server;
use smtp_load::Connections;

const OURS: &str = "Hikyaku";
/// How long a server may take to deliver what it has accepted.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(120);
/// What a server does after its last delivery belongs to the work as well.
const REST: Duration = Duration::from_millis(300);

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
    bench.measure(&program)?;
    println!("\n{}", bench.figures.tables(OURS));
    if let Some(path) = &arguments.json {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        bench.figures.append(path, &format!("{now} {facts}"))?;
    }
    if bench.failures > 0 {
        println!(
            "{} measurements failed; what the servers said is in {}",
            bench.failures,
            place.keep().display()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// How much is done at each point.
struct Scale {
    /// Messages at 1, 10 and 50 sessions.
    messages: [usize; 3],
    pop3: Duration,
    commits: Duration,
}

impl Scale {
    const FULL: Scale =
        Scale { messages: [800, 2000, 3000], pop3: Duration::from_secs(2), commits: Duration::from_secs(1) };
    const QUICK: Scale = Scale {
        messages: [100, 300, 500],
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

    fn measure(&mut self, program: &Path) -> anyhow::Result<()> {
        if self.wants(Part::Limits) {
            self.limits()?;
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
                    self.note(measure, &format!("{writers} writers"), "append + fdatasync", round, rate);
                }
            }
            for (sessions, messages, connections) in self.smtp_points() {
                let rate = accepted(&sink, sessions, messages, connections);
                self.note(
                    "messages/s, generator",
                    &smtp_point(sessions, connections),
                    sink.name,
                    round,
                    rate,
                );
            }
        }
        Ok(())
    }

    fn smtp(&mut self, servers: &[Server]) {
        for round in 1..=self.rounds {
            for (sessions, messages, connections) in self.smtp_points() {
                let point = smtp_point(sessions, connections);
                for server in servers {
                    match smtp_turn(server, sessions, messages, connections) {
                        Ok(turn) => {
                            if self.wants(Part::Accept) {
                                self.note(
                                    "accepted, messages/s",
                                    &point,
                                    server.name,
                                    round,
                                    Ok(turn.accepted),
                                );
                            }
                            if self.wants(Part::Deliver) {
                                self.note(
                                    "delivered, messages/s",
                                    &point,
                                    server.name,
                                    round,
                                    Ok(turn.delivered),
                                );
                            }
                            self.note("CPU s per 1,000 delivered", &point, server.name, round, Ok(turn.cpu));
                        }
                        Err(problem) => self.note("SMTP", &point, server.name, round, Err(problem)),
                    }
                }
            }
        }
    }

    /// Sessions, messages and connections, point by point.
    fn smtp_points(&self) -> Vec<(usize, usize, Connections)> {
        let loads = SESSIONS.into_iter().zip(self.scale.messages);
        let kinds = [Connections::Kept, Connections::OneEach];
        kinds
            .into_iter()
            .flat_map(|kind| loads.clone().map(move |(sessions, messages)| (sessions, messages, kind)))
            .collect()
    }

    fn pop3(&mut self, ours: &Server, shipped: &Server, fast: &Server) {
        for round in 1..=self.rounds {
            for point in POP3_POINTS {
                // The modes of Dovecot differ in their logins alone.
                let servers =
                    if point.work == Work::LogIn { vec![ours, shipped, fast] } else { vec![ours, shipped] };
                for server in servers {
                    let turn = pop3_turn(server, &point, self.scale.pop3);
                    let (rate, cpu) =
                        turn.map_or_else(|problem| (Err(problem), None), |(rate, cpu)| (Ok(rate), Some(cpu)));
                    self.note("POP3", point.name, server.name, round, rate);
                    if let Some(cpu) = cpu {
                        self.note(point.cpu_measure(), point.name, server.name, round, Ok(cpu));
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

fn smtp_point(sessions: usize, connections: Connections) -> String {
    let kept = match connections {
        Connections::Kept => "connections kept",
        Connections::OneEach => "a connection each",
    };
    format!("{sessions:>2} sessions, {kept}")
}

/// What one server did in one turn.
struct SmtpTurn {
    /// Messages per second, until the last 250.
    accepted: f64,
    /// Messages per second, until the last is in `new`.
    delivered: f64,
    /// Seconds of CPU time per 1,000 messages, accepted and delivered.
    cpu: f64,
}

fn smtp_turn(
    server: &Server,
    sessions: usize,
    messages: usize,
    connections: Connections,
) -> anyhow::Result<SmtpTurn> {
    let inboxes = Kind::Inbox.names(sessions);
    let each = messages / inboxes.len();
    let messages = each * inboxes.len();
    let mut maildirs = Vec::new();
    for inbox in &inboxes {
        let maildir = server.maildir(inbox)?;
        mailboxes::put_mail_aside(maildir, server.owner)?;
        maildirs.push(maildir);
    }
    let running = server.start()?;
    let mut arrivals = Arrivals::watch(maildirs.into_iter())?;
    // Processes are started and files made once before anything is measured.
    let warm_up = 2;
    let deadline = || Instant::now() + DELIVERY_PATIENCE;
    smtp_load::send(server.address, &inboxes, warm_up, connections, &server.log, deadline())?;
    arrivals.wait_for(warm_up * inboxes.len(), deadline())?;

    let cpu = running.cpu();
    let begin = Instant::now();
    let accepted = smtp_load::send(server.address, &inboxes, each, connections, &server.log, deadline())?;
    arrivals.wait_for(warm_up * inboxes.len() + messages, deadline())?;
    let delivered = begin.elapsed();
    std::thread::sleep(REST);
    let cpu = running.cpu() - cpu;
    Ok(SmtpTurn {
        accepted: messages as f64 / accepted.as_secs_f64(),
        delivered: messages as f64 / delivered.as_secs_f64(),
        cpu: cpu.as_secs_f64() * 1000.0 / messages as f64,
    })
}

/// Messages per second to a server that delivers nothing.
fn accepted(
    sink: &Server,
    sessions: usize,
    messages: usize,
    connections: Connections,
) -> anyhow::Result<f64> {
    let _running = sink.start()?;
    let inboxes = Kind::Inbox.names(sessions);
    let each = messages / inboxes.len();
    let deadline = Instant::now() + DELIVERY_PATIENCE;
    let time = smtp_load::send(sink.address, &inboxes, each, connections, &sink.log, deadline)?;
    Ok((each * inboxes.len()) as f64 / time.as_secs_f64())
}

/// A load of POP3.
struct Pop3Point {
    name: &'static str,
    work: Work,
    kind: Kind,
    sessions: usize,
}

const POP3_POINTS: [Pop3Point; 7] = [
    Pop3Point { name: "logins/s,  1 session", work: Work::LogIn, kind: Kind::Poll, sessions: 1 },
    Pop3Point { name: "logins/s, 10 sessions", work: Work::LogIn, kind: Kind::Poll, sessions: 10 },
    Pop3Point {
        name: "logins/s with STAT of 10,000 messages",
        work: Work::LogIn,
        kind: Kind::Full,
        sessions: 1,
    },
    Pop3Point { name: "RETR of 4 KiB/s,  1 session", work: Work::Retrieve, kind: Kind::Small, sessions: 1 },
    Pop3Point { name: "RETR of 4 KiB/s, 10 sessions", work: Work::Retrieve, kind: Kind::Small, sessions: 10 },
    Pop3Point { name: "RETR of 1 MiB/s,  1 session", work: Work::Retrieve, kind: Kind::Large, sessions: 1 },
    Pop3Point { name: "RETR of 1 MiB/s, 10 sessions", work: Work::Retrieve, kind: Kind::Large, sessions: 10 },
];

impl Pop3Point {
    fn cpu_measure(&self) -> &'static str {
        match self.work {
            Work::LogIn => "CPU s per 1,000 logins",
            Work::Retrieve => "CPU s per 1,000 RETR",
        }
    }
}

/// Operations per second, and seconds of CPU time per 1,000 of them.
fn pop3_turn(server: &Server, point: &Pop3Point, duration: Duration) -> anyhow::Result<(f64, f64)> {
    let mailboxes = point.kind.names(point.sessions);
    let running = server.start()?;
    // The first login costs Hikyaku a slow hash and Dovecot an index; mailboxes are polled all day.
    pop3_load::run(server.address, point.work, &mailboxes, Duration::from_millis(200))?;
    let cpu = running.cpu();
    let begin = Instant::now();
    let rate = pop3_load::run(server.address, point.work, &mailboxes, duration)?;
    let operations = rate.operations * begin.elapsed().as_secs_f64();
    std::thread::sleep(REST);
    let cpu = running.cpu() - cpu;
    Ok((rate.operations, cpu.as_secs_f64() * 1000.0 / operations))
}
