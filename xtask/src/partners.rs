//! The programs that the tests drive our server with, from the Debian archive.

use std::process::{Command, Stdio};

use crate::apt::{self, is_program};

/// A test partner.
struct Partner {
    /// The Debian package.
    package: &'static str,
    /// By what it shows that it is there.
    sign: Sign,
}

enum Sign {
    /// A program in `$PATH` or `/usr/sbin`.
    Program(&'static str),
    /// A module that a Perl program loads.
    PerlModule(&'static str),
}

use Sign::{PerlModule, Program};

const PARTNERS: &[Partner] = &[
    Partner { package: "curl", sign: Program("curl") },
    Partner { package: "swaks", sign: Program("swaks") },
    // swaks speaks TLS by it.
    Partner { package: "libnet-ssleay-perl", sign: PerlModule("Net::SSLeay") },
    // smtp-source, the load, comes with Postfix.
    Partner { package: "postfix", sign: Program("smtp-source") },
    // The one that logs in by SCRAM.
    Partner { package: "msmtp", sign: Program("msmtp") },
    Partner { package: "mpop", sign: Program("mpop") },
    Partner { package: "fetchmail", sign: Program("fetchmail") },
    Partner { package: "mblaze", sign: Program("mlist") },
    Partner { package: "openssl", sign: Program("openssl") },
    Partner { package: "python3", sign: Program("python3") },
];

/// Installs what is missing, by apt.
///
/// # Errors
/// If something is missing and this user may not install it, or apt fails.
pub fn install() -> anyhow::Result<()> {
    apt::install(missing)
}

fn missing() -> Vec<&'static str> {
    let there = |sign: &Sign| match sign {
        Program(name) => is_program(name),
        PerlModule(name) => has_perl_module(name),
    };
    PARTNERS.iter().filter(|partner| !there(&partner.sign)).map(|partner| partner.package).collect()
}

fn has_perl_module(name: &str) -> bool {
    let loaded =
        Command::new("perl").arg(format!("-M{name}")).args(["-e", "1"]).stderr(Stdio::null()).status();
    loaded.is_ok_and(|status| status.success())
}
