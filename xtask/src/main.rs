//! Developer commands: `cargo xtask test`, `cargo xtask lint`, `cargo xtask bench`.
#![forbid(unsafe_code)]

mod apt;
mod bench;
mod lint;
mod partners;
mod test;

use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

/// Developer commands.
#[derive(Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the test partners that are missing, then run every test of the workspace.
    Test,
    /// Look at format, clippy, documentation, licences and advisories.
    Lint,
    /// Measure, peers side by side.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Test => test::run(),
        Task::Lint => lint::run(),
        Task::Bench(arguments) => bench::run(&arguments),
    };
    outcome.unwrap_or_else(|problem| {
        eprintln!("xtask: {problem:#}");
        ExitCode::FAILURE
    })
}

/// The cargo that runs us, so that the toolchain stays the same.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
