//! A password from the person at the terminal, or from a script.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use link::services::directory::Secret;
use rand::RngExt;

/// Where a new password comes from.
#[derive(clap::Args)]
pub struct PasswordSource {
    /// Make a password up, and tell it.
    #[arg(long)]
    generate: bool,
}

impl PasswordSource {
    /// The password: made up, asked for without echo, or the first line of standard input. The
    /// second part is the one that was made up, to be told once it is in force.
    ///
    /// # Errors
    /// If there is none, or two entries differ.
    pub fn read(&self) -> anyhow::Result<(Secret, Option<String>)> {
        if self.generate {
            let made = generated();
            return Ok((Secret(made.clone()), Some(made)));
        }
        Ok((read()?, None))
    }
}

fn read() -> anyhow::Result<Secret> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        let password = line.strip_suffix('\n').unwrap_or(&line);
        if password.is_empty() {
            bail!("no password on standard input; give one line there, or use --generate");
        }
        return Ok(Secret(password.strip_suffix('\r').unwrap_or(password).to_string()));
    }
    let first = ask("password: ")?;
    if ask("again: ")? != first {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(Secret(first))
}

/// A password of 20 letters and digits that are not mixed up.
pub fn generated() -> String {
    const SIGNS: &[u8; 32] = b"23456789abcdefghjkmnpqrstuvwxyzA";
    let mut random = rand::rng();
    (0..20).map(|_| char::from(SIGNS[random.random_range(0..SIGNS.len())])).collect()
}

fn ask(prompt: &str) -> anyhow::Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let mut out = io::stderr();
    write!(out, "{prompt}")?;
    out.flush()?;
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).context("cannot switch off the terminal's echo")?;
    let mut quiet = before.clone();
    // Without signals too: Ctrl-C would leave the terminal without its echo.
    quiet.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
    tcsetattr(&stdin, OptionalActions::Now, &quiet)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    writeln!(out)?;
    read?;
    if line.contains('\u{3}') {
        bail!("broken off; nothing was changed");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}
