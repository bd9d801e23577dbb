//! What would be done, in the form of `qmail-local -n`.

use crate::dot_qmail::grammar::{Context, Line, ParseError, numbered_lines};
use crate::dot_qmail::instructions::{Instructions, OWN_MAILBOX};

/// What a text would do, a line each, and the counts: what `qmail-local -n` prints. Addresses, paths and
/// commands stand in it octet for octet as they stand in the text.
///
/// # Errors
/// As [`Instructions::parse`]; then nothing would be done, so there is nothing to report.
pub fn report(text: &[u8], context: &Context) -> Result<Vec<u8>, ParseError> {
    let counts = Instructions::parse(text, context)?.counts();
    let text = if text.is_empty() { OWN_MAILBOX } else { text };
    let mut report = Vec::with_capacity(2 * text.len());
    for (_, line) in numbered_lines(text) {
        let (what, which) = match Line::read(line) {
            Line::Mailbox => ("maildir ", OWN_MAILBOX),
            Line::Maildir(path) => ("maildir ", path),
            Line::Mbox(path) => ("mbox ", path),
            Line::Program(command) => ("program ", command),
            Line::Forward(to) => ("forward ", to),
            Line::Blank | Line::Comment | Line::List | Line::UnknownWord => continue,
        };
        report.extend_from_slice(what.as_bytes());
        report.extend_from_slice(which);
        report.push(b'\n');
    }
    let did = format!("did {}+{}+{}\n", counts.files, counts.forwards, counts.programs);
    report.extend_from_slice(did.as_bytes());
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dot_qmail::grammar::any_text;
    use proptest::prelude::*;

    #[test]
    fn the_report_is_that_of_qmail_local() {
        let report = |text: &[u8]| report(text, &Context::default()).unwrap();
        assert_eq!(
            report(b"./Maildir/\n./old\n+list\n").escape_ascii().to_string(),
            "maildir ./Maildir/\\nmbox ./old\\ndid 2+0+0\\n"
        );
        assert_eq!(
            report(b"./Maildir/ \n./caf\xe9\n|cat >/dev/null\n& a@b\nJoe@X.Example\n").as_slice(),
            b"maildir ./Maildir/\nmbox ./caf\xe9\nprogram cat >/dev/null\nforward  a@b\nforward Joe@X.Example\n\
              did 2+2+1\n"
        );
        assert_eq!(report(b"# nothing"), b"did 0+0+0\n");
        assert_eq!(report(b""), b"maildir ./Maildir/\ndid 1+0+0\n");
        assert_eq!(report(b"&\n"), b"forward \ndid 0+1+0\n");
    }

    proptest! {
        #[test]
        fn any_text_has_a_line_for_each_instruction_that_counts(text in any_text()) {
            let Ok(report) = report(&text, &Context::default()) else { return Ok(()) };
            let counts = Instructions::parse(&text, &Context::default()).unwrap().counts();
            let lines = report.iter().filter(|octet| **octet == b'\n').count();
            prop_assert_eq!(lines, counts.files + counts.forwards + counts.programs + 1);
        }
    }
}
