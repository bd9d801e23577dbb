//! The line with which a message begins in an mbox.

use envelope::ReversePath;
use time::OffsetDateTime;

use crate::dot_qmail::forward_to::bare;

/// `From sender date` with a LF: the program's `UFLINE`, and the first line of a message in an
/// mbox (RFC 4155 Appendix A). `seconds` since 1970; written in UTC in the form of asctime(3).
///
/// As in qmail a blank in the sender becomes `-`, and the null reverse-path `MAILER-DAEMON`.
pub fn from_line(sender: &ReversePath, seconds: u64) -> String {
    let sender = match sender {
        ReversePath::Null => String::from("MAILER-DAEMON"),
        ReversePath::Address(address) => bare(address).replace([' ', '\t', '\n'], "-"),
    };
    // A clock past the year 9999 is as wrong as one at the beginning.
    let at = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    format!(
        "From {sender} {:.3} {:.3} {:>2} {hour:02}:{minute:02}:{second:02} {}\n",
        at.weekday().to_string(),
        at.month().to_string(),
        at.day(),
        at.year()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_sender_and_the_time() {
        let from = |text: &str| ReversePath::Address(text.parse().unwrap());
        assert_eq!(from_line(&from("a@x.example"), 0), "From a@x.example Thu Jan  1 00:00:00 1970\n");
        assert_eq!(
            from_line(&from("\"s p\"@x.example"), 951_827_696),
            "From s-p@x.example Tue Feb 29 12:34:56 2000\n"
        );
        assert_eq!(
            from_line(&ReversePath::Null, 1_700_000_000),
            "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\n"
        );
        assert!(from_line(&ReversePath::Null, u64::MAX).ends_with("1970\n"));
    }
}
