//! The peers' programs, from the Debian archive.

use std::path::Path;

use anyhow::bail;

use crate::apt::{self, is_program};

/// A package, and a program by which it shows that it is there.
const PEERS: [(&str, &str); 2] = [("postfix", "smtp-source"), ("dovecot-pop3d", "dovecot")];
/// Dovecot's POP3 is not among the programs in `$PATH`.
const DOVECOT_POP3: &str = "/usr/lib/dovecot/pop3";

/// Installs what is missing, by apt.
///
/// # Errors
/// If something is missing and this user may not install it, or apt fails.
pub fn install() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "the bench needs root: Postfix and Dovecot start as root, to give their parts users of their own"
        );
    }
    apt::install(missing)
}

fn missing() -> Vec<&'static str> {
    let there =
        |program: &str| is_program(program) && (program != "dovecot" || Path::new(DOVECOT_POP3).is_file());
    PEERS.into_iter().filter(|(_, program)| !there(program)).map(|(package, _)| package).collect()
}
