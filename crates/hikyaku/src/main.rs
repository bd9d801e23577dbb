//! Hikyaku: the mail system of a hosting provider. `ARCHITECTURE.md` is the map.
#![forbid(unsafe_code)]

mod commands;
mod config;
mod confinement;
mod control;
mod logging;
mod privileges;
mod roles;
mod rules;
mod supervisor;

use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::run() {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("hikyaku: {problem:#}");
            ExitCode::FAILURE
        }
    }
}
