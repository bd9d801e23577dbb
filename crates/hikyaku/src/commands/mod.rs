//! The command line: what each subcommand is called, and which file does it.

mod absence;
mod account;
mod account_import;
mod address;
mod address_files;
mod address_words;
mod allowances;
mod audit;
mod check;
mod desk;
mod domain;
mod init;
pub mod links;
mod output;
mod password;
mod plan;
mod qmail;
mod queue;
mod run_program;
mod self_check;
mod sendmail;
mod serve;
mod text_file;
mod trace;
mod traffic;
mod try_out;
mod welcome;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config};
use crate::control::Role;
use crate::roles;

/// The mail system of a hosting provider: SMTP in, a queue that loses nothing, Maildirs, POP3 out.
#[derive(Parser)]
#[command(name = "hikyaku", version, about, max_term_width = 100)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, env = "HIKYAKU_CONFIG", default_value = config::DEFAULT_PATH, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on high ports of this machine, with sample accounts, and say how to use it.
    Try(try_out::Try),
    /// Write the configuration, make system users and directories, and the first operator account.
    Init(init::Init),
    /// Run the server.
    Serve,
    /// Look at the configuration, ports, certificate and permissions: what is wrong and how to mend it.
    Check(check::Check),
    /// Domains that are served here.
    #[command(subcommand)]
    Domain(domain::Domain),
    /// Customers, each with a mailbox.
    #[command(subcommand)]
    Account(account::Account),
    /// What accounts may do, and how much of it.
    #[command(subcommand)]
    Plan(plan::Plan),
    /// What becomes of the mail to single addresses.
    #[command(subcommand)]
    Address(address::Address),
    /// Who changed what, and when.
    Audit(audit::Audit),
    /// Mail that waits.
    #[command(subcommand)]
    Queue(queue::Queue),
    /// What became of a message, or of all mail of somebody.
    Trace(trace::Trace),
    /// How much mail there was, by the hour.
    Traffic(traffic::Traffic),
    /// One role of a running server; `serve` starts these.
    #[command(hide = true)]
    Role {
        /// Which.
        #[arg(value_enum)]
        role: Role,
    },
    /// Put up walls and become a customer's program; the role `programs` starts this.
    #[command(hide = true)]
    RunProgram(run_program::RunProgram),
}

/// Is the program that other programs know by the name by which this was called, if it was called so.
pub fn run_as_face() -> Option<ExitCode> {
    let (face, arguments) = sendmail::face(std::env::args_os())?;
    Some(qmail::run(face, &arguments).unwrap_or_else(|| sendmail::run(face, arguments)))
}

/// Does what the arguments say.
///
/// # Errors
/// With a sentence for the person at the terminal.
pub fn run() -> anyhow::Result<ExitCode> {
    let Arguments { config, command } = Arguments::parse();
    match command {
        Command::Role { role } => roles::run(role),
        Command::RunProgram(arguments) => run_program::run(&arguments),
        Command::Try(arguments) => try_out::run(&arguments),
        Command::Init(arguments) => init::run(&config, &arguments),
        Command::Serve => serve::run(config),
        Command::Check(arguments) => check::run(&config, &arguments),
        Command::Domain(command) => domain::run(&Config::read(&config)?, command),
        Command::Account(command) => account::run(&Config::read(&config)?, command),
        Command::Plan(command) => plan::run(&Config::read(&config)?, command),
        Command::Address(command) => address::run(&Config::read(&config)?, command),
        Command::Audit(arguments) => audit::run(&Config::read(&config)?, arguments),
        Command::Queue(command) => queue::run(&Config::read(&config)?, command),
        Command::Trace(arguments) => trace::run(&Config::read(&config)?, &arguments),
        Command::Traffic(arguments) => traffic::run(&Config::read(&config)?, &arguments),
    }
}
