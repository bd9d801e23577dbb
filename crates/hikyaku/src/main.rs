//! Hikyaku: the mail system of a hosting provider. `ARCHITECTURE.md` is the map.
#![forbid(unsafe_code)]

mod commands;
mod config;
mod confinement;
mod control;
mod local_users;
mod logging;
mod page_address;
mod privileges;
mod roles;
mod sendmail_note;
mod supervisor;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = commands::run_as_face() {
        return code;
    }
    match commands::run() {
        Ok(code) => code,
        // Whoever read what we printed has had enough: `hikyaku queue list | head`.
        Err(problem) if is_broken_pipe(&problem) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("hikyaku: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(problem: &anyhow::Error) -> bool {
    problem
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
