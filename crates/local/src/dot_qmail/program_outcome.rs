//! What a program's exit means.

/// What became of a delivery to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramOutcome {
    /// Delivered; go on with the next line.
    Delivered,
    /// Delivered, and the following lines do not count. Forwards of the lines before do.
    DeliveredAndDone,
    /// It failed and always will.
    Failed,
    /// It failed for now.
    Deferred,
    /// A signal ended it; so it failed for now.
    Crashed,
}

impl ProgramOutcome {
    /// What the exit code of a program says, as qmail-command(8) and `sysexits.h` have it. A
    /// program that a signal ended has none: that is [`Crashed`](Self::Crashed).
    pub fn of_exit(code: i32) -> ProgramOutcome {
        match code {
            0 => ProgramOutcome::Delivered,
            99 => ProgramOutcome::DeliveredAndDone,
            // EX_USAGE, EX_DATAERR, EX_SOFTWARE, EX_PROTOCOL, EX_NOPERM, EX_CONFIG, and qmail's own.
            64 | 65 | 70 | 76 | 77 | 78 | 100 | 112 => ProgramOutcome::Failed,
            _ => ProgramOutcome::Deferred,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_exit_codes_two_deliver_and_eight_fail() {
        for code in -1..=256 {
            let expected = match code {
                0 => ProgramOutcome::Delivered,
                99 => ProgramOutcome::DeliveredAndDone,
                _ if [100, 64, 65, 70, 76, 77, 78, 112].contains(&code) => ProgramOutcome::Failed,
                _ => ProgramOutcome::Deferred,
            };
            assert_eq!(ProgramOutcome::of_exit(code), expected, "{code}");
        }
    }
}
