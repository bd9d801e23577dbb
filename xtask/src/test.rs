//! `cargo xtask test`: every test of the workspace, and one line that says how it went.

use std::io::{BufRead, BufReader, Write};
use std::process::{ExitCode, Stdio};

use anyhow::Context;

use crate::{cargo, partners};

/// Does it. The last line is `N passed, N failed`.
///
/// # Errors
/// If a test partner cannot be installed, or cargo not be run.
pub fn run() -> anyhow::Result<ExitCode> {
    partners::install()?;
    let mut child = cargo()
        // To the end, so that the sums are those of all tests.
        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo test")?;
    let lines = BufReader::new(child.stdout.take().context("cargo has a standard output")?);
    let mut sums = Sums::default();
    for line in lines.split(b'\n') {
        let line = line?;
        let mut out = std::io::stdout().lock();
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        sums.add(&String::from_utf8_lossy(&line));
    }
    let success = child.wait()?.success();
    if !success && sums.failed == 0 {
        // It did not compile, or a test took its whole process down.
        sums.failed = 1;
    }
    println!("{} passed, {} failed", sums.passed, sums.failed);
    Ok(if sums.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tests that ran, over all test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    passed: u64,
    failed: u64,
}

impl Sums {
    /// Counts a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_binaries_are_summed_and_other_lines_are_not() {
        let mut sums = Sums::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s",
            "a test result: ok. 100 passed; 0 failed",
        ] {
            sums.add(line);
        }
        assert_eq!(sums, Sums { passed: 8, failed: 2 });
    }
}
