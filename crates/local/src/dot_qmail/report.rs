//! What would be done, in the form of `qmail-local -n`.

use std::fmt;

use crate::dot_qmail::instructions::{Instruction, Instructions};

impl Instructions {
    /// What would be done, a line each, and the counts: what `qmail-local -n` prints. Octets that
    /// are not UTF-8 show as U+FFFD.
    pub fn report(&self) -> impl fmt::Display + '_ {
        Report(self)
    }
}

struct Report<'a>(&'a Instructions);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for instruction in self.0 {
            match instruction {
                Instruction::Mailbox => writeln!(f, "maildir ./Maildir/")?,
                Instruction::Maildir(path) => writeln!(f, "maildir {}", path.display())?,
                Instruction::Mbox(path) => writeln!(f, "mbox {}", path.display())?,
                Instruction::Program(command) => writeln!(f, "program {}", command.display())?,
                Instruction::Forward(to) => {
                    writeln!(f, "forward {}", String::from_utf8_lossy(&to.written()))?;
                }
                Instruction::ForwardOnly => {}
            }
        }
        let counts = self.0.counts();
        writeln!(f, "did {}+{}+{}", counts.files, counts.forwards, counts.programs)
    }
}

#[cfg(test)]
mod tests {
    use crate::dot_qmail::{Context, Instructions};

    #[test]
    fn the_report_is_that_of_qmail_local() {
        let report = |text: &str| {
            Instructions::parse(text.as_bytes(), &Context::default()).unwrap().report().to_string()
        };
        assert_eq!(
            report("./Maildir/\n./old\n|cat >/dev/null\n& a@b\njoe\n"),
            "maildir ./Maildir/\nmbox ./old\nprogram cat >/dev/null\nforward  a@b\nforward joe\ndid 2+2+1\n"
        );
        assert_eq!(report("# nothing"), "did 0+0+0\n");
    }
}
