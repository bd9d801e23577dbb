//! A delivery into a file in mbox form.

use std::path::Path;

use envelope::{Address, ReversePath};
use mailbox::{Mbox, MboxError};

use crate::content::{Content, Go, NotCopied};
use crate::delivery::{Outcome, unreadable};
use crate::dot_qmail::from_line;
use crate::fields::on_top;

/// Appends a message to a file below an account's home, and makes it durable. Blocks, for up to 30
/// seconds where somebody else holds the file. `now` is in seconds since 1970.
///
/// A message that is delivered again, after a crash or because a later instruction failed, stands there
/// twice, as in qmail: nothing in such a file says what it has. A Maildir is told by the file's name.
///
/// # Errors
/// Why it has to wait.
pub fn append_to_mbox(
    home: &Path,
    file: &Path,
    reverse_path: &ReversePath,
    delivered_to: &Address,
    content: &Content,
    now: u64,
) -> Result<(), Outcome> {
    let failed = |error: MboxError| Outcome::Deferred { reason: error.to_string() };
    let mut mbox = Mbox::open(home, file).map_err(failed)?;
    mbox.begin(&(from_line(reverse_path, now) + &on_top(reverse_path, delivered_to)));
    content.each_piece(|piece| mbox.append(piece).map(|()| Go::On)).map_err(|error| match error {
        NotCopied::Read(error) => unreadable(&error),
        NotCopied::Write(error) => failed(error),
    })?;
    mbox.finish().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::sync::Arc;

    #[test]
    fn a_message_has_its_from_line_and_both_fields_on_top() {
        let dir = tempfile::tempdir().unwrap();
        let append = |content: &Content| {
            let (from, to) = (ReversePath::Null, "abc-old@pobox.example".parse().unwrap());
            append_to_mbox(dir.path(), Path::new("./old"), &from, &to, content, 0)
        };
        append(&Content::Memory("Subject: x\r\n\r\nFrom me\r\n".into())).unwrap();
        let expected = "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nReturn-Path: <>\n\
                        Delivered-To: abc-old@pobox.example\nSubject: x\n\n>From me\n\n";
        assert_eq!(fs::read_to_string(dir.path().join("old")).unwrap(), expected);
        // One that ends too early leaves nothing.
        fs::write(dir.path().join("body"), "y".repeat(400_000)).unwrap();
        let body = Arc::new(File::open(dir.path().join("body")).unwrap());
        assert!(matches!(append(&Content::File(body, 400_001)), Err(Outcome::Deferred { .. })));
        assert_eq!(fs::read_to_string(dir.path().join("old")).unwrap(), expected);
    }
}
