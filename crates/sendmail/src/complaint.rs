//! How it is said on standard error that a message did not go.

use std::fmt::Write;

use crate::face::{Face, Manner};
use crate::refusal::Refusal;
use crate::visible::Line;

/// qmail's usage line of `sendmail`.
const SENDMAIL_USAGE: &str = "sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]";
const INJECT_USAGE: &str = "qmail-inject [ -nNaAhH ] [ -fsender ] [ arg ... ]";

/// The lines for standard error, with their ends: what is wrong, with the caller's user id, and what to do
/// about it. For a wrong option, the usage. In strict manner and by qmail's names the first line is
/// qmail's own where it has one.
///
/// Whatever a caller or a stranger wrote, each is one line without control characters.
pub fn complaint(face: Face, manner: Manner, refusal: &Refusal, uid: u32) -> String {
    let mut lines = Lines { name: face.name(), text: String::new() };
    let sentence = refusal.to_string();
    // Some sentences name him already.
    let user = match refusal {
        Refusal::SenderDenied { .. } | Refusal::Suspended { .. } | Refusal::UnknownUser(_) => String::new(),
        _ => format!(" (user id {uid})"),
    };
    let usage = usage(face).filter(|_| is_wrong_usage(refusal));
    match manner {
        Manner::Helpful => lines.say(&format!("{sentence}{user}")),
        Manner::Strict if usage.is_some() => {
            if !matches!(refusal, Refusal::NoSuchMode(_)) {
                lines.say(&sentence);
            }
        }
        Manner::Qmail if usage.is_some() => lines.say(&sentence),
        Manner::Strict => lines.say(&format!("fatal: {sentence}{user}")),
        Manner::Qmail => match qmail_text(refusal) {
            Some((text, line)) => {
                lines.say(&format!("fatal: {text}"));
                if let Some(line) = line {
                    lines.add(line);
                }
                lines.say(&format!("{sentence}{user}"));
            }
            None => lines.say(&format!("fatal: {sentence}{user}")),
        },
    }
    if let Some(usage) = usage {
        lines.say(&format!("usage: {usage}"));
    }
    // In strict manner the usage says it all.
    if manner != Manner::Strict || usage.is_none() {
        lines.say(refusal.remedy());
    }
    lines.text
}

struct Lines {
    name: &'static str,
    text: String,
}

impl Lines {
    fn say(&mut self, sentence: &str) {
        let _ = writeln!(self.text, "{}: {}", self.name, Line(sentence));
    }

    fn add(&mut self, line: &str) {
        let _ = writeln!(self.text, "{}", Line(line));
    }
}

fn usage(face: Face) -> Option<&'static str> {
    match face {
        Face::Sendmail => Some(SENDMAIL_USAGE),
        Face::QmailInject => Some(INJECT_USAGE),
        _ => None,
    }
}

fn is_wrong_usage(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::IllegalOption(_) | Refusal::MissingValue(_) | Refusal::NoSuchMode(_))
}

/// What qmail says, where it has words for this, and the line of input that it quotes.
fn qmail_text(refusal: &Refusal) -> Option<(String, Option<&str>)> {
    let text = match refusal {
        Refusal::UnreadableField(line) => return Some(("unable to parse this line:".into(), Some(line))),
        Refusal::NotAnAddress(address) => format!("unable to parse address: {address}"),
        Refusal::StorageFull => "qq write error or disk full (#4.3.0)".into(),
        Refusal::ServerAway(_) => "communication with mail server failed (#4.4.2)".into(),
        Refusal::Fault(_) => "qq internal bug (#4.3.0)".into(),
        Refusal::Unreadable(_) => "read error".into(),
        _ => return None,
    };
    Some((text, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::Address;
    use proptest::prelude::*;

    #[test]
    fn in_helpful_manner_it_says_what_is_wrong_for_whom_and_what_to_do() {
        assert_eq!(
            complaint(Face::Sendmail, Manner::Helpful, &Refusal::NotAnAddress("a b".into()), 1001),
            "sendmail: not an address: a b (user id 1001)\nsendmail: write addresses as name@host\n"
        );
        assert_eq!(
            complaint(Face::Sendmail, Manner::Helpful, &Refusal::NoSuchMode("d".into()), 1001),
            "sendmail: mode -bd is not done here (user id 1001)\n\
             sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n\
             sendmail: leave -b out to hand in a message\n"
        );
        let denied = Refusal::SenderDenied {
            address: Address::parse("visitor@elsewhere.example").unwrap(),
            account: "abc".into(),
            uid: 1001,
        };
        let said = complaint(Face::Sendmail, Manner::Helpful, &denied, 1001);
        assert_eq!(said.matches("user id 1001").count(), 1, "{said}");
    }

    #[test]
    fn in_strict_manner_a_wrong_option_brings_the_two_lines_of_qmail() {
        const USAGE: &str =
            "sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n";
        for (refusal, line) in [
            (Refusal::IllegalOption("n".into()), "sendmail: illegal option -- n\n"),
            (Refusal::MissingValue("f".into()), "sendmail: option requires an argument -- f\n"),
            (Refusal::NoSuchMode("d".into()), ""),
        ] {
            let said = complaint(Face::Sendmail, Manner::Strict, &refusal, 1001);
            assert_eq!(said, format!("{line}{USAGE}"));
        }
        assert_eq!(
            complaint(Face::Sendmail, Manner::Strict, &Refusal::CommaList("a,b".into()), 1001),
            "sendmail: fatal: several addresses in one argument: a,b (user id 1001)\n\
             sendmail: separate addresses by spaces, not by commas\n"
        );
    }

    #[test]
    fn by_its_names_it_speaks_as_qmail_does_and_says_what_to_do() {
        let said = |refusal| complaint(Face::QmailInject, Manner::Qmail, &refusal, 7);
        assert!(said(Refusal::IllegalOption("z".into())).starts_with("qmail-inject: illegal option -- z\n"));
        assert!(
            said(Refusal::UnreadableField("To: \"a".into()))
                .starts_with("qmail-inject: fatal: unable to parse this line:\nTo: \"a\nqmail-inject: ")
        );
        assert!(
            said(Refusal::NotAnAddress("a@".into()))
                .starts_with("qmail-inject: fatal: unable to parse address: a@\n")
        );
        assert_eq!(
            said(Refusal::Filter { text: "qq temporary problem (#4.3.0)".into(), permanent: false })
                .lines()
                .next(),
            Some("qmail-inject: fatal: qq temporary problem (#4.3.0) (user id 7)")
        );
        assert_eq!(
            complaint(Face::Forward, Manner::Qmail, &Refusal::NotSet("DTLINE".into()), 7).lines().next(),
            Some("forward: fatal: DTLINE not set (user id 7)")
        );
    }

    proptest! {
        #[test]
        fn nothing_hostile_reaches_a_terminal(text: String, face in 0..Face::ALL.len(), which in 0..6usize) {
            let refusal = match which {
                0 => Refusal::IllegalOption(text),
                1 => Refusal::UnreadableField(text),
                2 => Refusal::NotAnAddress(text),
                3 => Refusal::Filter { text, permanent: true },
                4 => Refusal::Fault(text),
                _ => Refusal::Suspended { account: text, uid: 1 },
            };
            for manner in [Manner::Helpful, Manner::Strict, Manner::Qmail] {
                let said = complaint(Face::ALL[face], manner, &refusal, 1);
                prop_assert!(said.ends_with('\n'));
                prop_assert!(said.lines().count() <= 4);
                prop_assert!(!said.chars().any(|c| c.is_control() && c != '\n'));
            }
        }
    }
}
