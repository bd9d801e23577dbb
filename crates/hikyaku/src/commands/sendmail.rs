//! Called by a name that programs know, such as `sendmail`, the binary is that program and nothing else:
//! it starts no runtime, opens no database, and has no privileges. It reads the message and hands it to the
//! server, which knows from the kernel whose program it is.
//!
//! Nothing here may panic, since whoever calls may have closed anything and set anything.
//!
//! | file | |
//! |---|---|
//! | `descriptor.rs` | reading and writing what is the caller's as well |
//! | `message.rs` | the message, read whole |
//! | `hand.rs` | handing it in |
//! | `server.rs` | the server, as such a program sees it |
//! | `drop_directory.rs` | where mail waits while the server is away, or until a program in delivery instructions has succeeded |
//! | `composed.rs`, `filter.rs` | a message that is completed first, and `QMAILQUEUE`, for which that is done |
//! | `queue_envelope.rs` | the envelope that callers of `qmail-queue` write |
//! | `dialogue.rs` | `-bs` |
//! | `waiting.rs` | `-bp` |

mod composed;
mod descriptor;
mod dialogue;
mod drop_directory;
mod filter;
mod hand;
mod message;
mod queue_envelope;
mod server;
mod waiting;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;

use rustix::stdio::{stderr, stdin, stdout};
use sendmail::{Call, Errand, Face, Manner, Refusal, complaint, qmail_queue, understand};

use self::hand::Handed;
use self::server::Server;
use crate::sendmail_note::{Places, SendmailNote};

/// The face of a call, and the arguments for it: by the program's name, or, of `hikyaku`, by the first
/// argument. None if it is a call of `hikyaku` itself.
pub fn face(mut arguments: impl Iterator<Item = OsString>) -> Option<(Face, Vec<OsString>)> {
    let of_name = |name: &OsStr| name.to_str().and_then(Face::of_name);
    let program = arguments.next()?;
    let by_name = Path::new(&program).file_name().and_then(of_name);
    let face = match by_name {
        Some(face) => face,
        None => of_name(&arguments.next()?)?,
    };
    Some((face, arguments.collect()))
}

/// Is this program, from its arguments to its exit code.
pub fn run(face: Face, arguments: Vec<OsString>) -> ExitCode {
    let arguments: Vec<Vec<u8>> = arguments.into_iter().map(OsString::into_vec).collect();
    let places = Places::find();
    let caller = Caller { face, note: SendmailNote::read(&places), places };
    caller.serve(&arguments).unwrap_or_else(|refusal| caller.complain(&refusal))
}

/// A program of this machine that calls, and what it meets.
struct Caller {
    face: Face,
    note: SendmailNote,
    places: Places,
}

impl Caller {
    fn manner(&self) -> Manner {
        match self.face {
            Face::Sendmail | Face::Mailq | Face::Newaliases if self.note.strict => Manner::Strict,
            Face::Sendmail | Face::Mailq | Face::Newaliases => Manner::Helpful,
            _ => Manner::Qmail,
        }
    }

    fn serve(&self, arguments: &[Vec<u8>]) -> Result<ExitCode, Refusal> {
        let variable = |name: &str| std::env::var_os(name).map(OsString::into_vec);
        let understood = understand(self.face, self.manner(), arguments, &variable);
        let Call { errand, let_pass } = understood.inspect_err(|refusal| {
            descriptor::drain(stdin());
            Server::tell(&self.places, refusal);
        })?;
        if self.places.handover.is_some()
            && let Some(what) = wants_a_server(&errand)
        {
            descriptor::drain(stdin());
            return Err(Refusal::InInstructions(what.into()));
        }
        match errand {
            Errand::Hand(mut job) => {
                job.let_pass.clone_from(&let_pass);
                let handed = hand::hand(self, job)?;
                self.tell(&handed, &let_pass);
            }
            Errand::Show(job) => hand::show(self, job)?,
            Errand::Dialogue => dialogue::run(&self.places)?,
            Errand::List => waiting::run(self)?,
            Errand::Said { text, exit } => {
                say(&text);
                return Ok(ExitCode::from(exit));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Says what became of the message to whoever looks: a person at a terminal where it is not what he
    /// expects, and all to those who ask (`-v`).
    fn tell(&self, handed: &Handed, let_pass: &[String]) {
        let verbose = let_pass.iter().any(|option| option == "-v");
        let face = self.face;
        if verbose && let_pass.len() > 1 {
            warn(&format!("{face}: these change nothing here: {}\n", let_pass.join(" ")));
        }
        match handed {
            Handed::Queued(id) if verbose => warn(&format!("{face}: queued as {id}\n")),
            Handed::Left if verbose => {
                warn(&format!("{face}: left to be sent when this program has succeeded\n"));
            }
            Handed::Filtered if verbose => warn(&format!("{face}: given to {}\n", filter::VARIABLE)),
            Handed::Kept(away) if verbose || rustix::termios::isatty(stderr()) => {
                warn(&format!("{face}: {away}; the message is kept until it does\n"));
            }
            Handed::Queued(_) | Handed::Filtered | Handed::Kept(_) | Handed::Left => {}
        }
    }

    fn complain(&self, refusal: &Refusal) -> ExitCode {
        let uid = rustix::process::getuid().as_raw();
        warn(&complaint(self.face, self.manner(), refusal, uid));
        ExitCode::from(match self.face {
            Face::QmailQueue => qmail_queue::exit_code(refusal),
            _ => refusal.exit_code(self.manner()),
        })
    }
}

/// What of this cannot be done without asking a server.
fn wants_a_server(errand: &Errand) -> Option<&'static str> {
    match errand {
        Errand::Hand(_) | Errand::Said { .. } => None,
        Errand::Show(_) => Some("-n"),
        Errand::Dialogue => Some("-bs"),
        Errand::List => Some("-bp"),
    }
}

/// Writes to standard output. Where nobody reads, what was done is done all the same.
fn say(text: &str) {
    let _ = descriptor::write(stdout(), text.as_bytes());
}

/// Writes to standard error; as [`say`].
fn warn(text: &str) {
    let _ = descriptor::write(stderr(), text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(line: &str) -> Option<(Face, Vec<OsString>)> {
        face(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_programs_name_is_the_face_and_so_is_the_first_argument_of_hikyaku() {
        for line in
            ["sendmail -t a", "/usr/lib/sendmail -t a", "hikyaku sendmail -t a", "./x/hikyaku sendmail -t a"]
        {
            assert_eq!(called(line), Some((Face::Sendmail, vec!["-t".into(), "a".into()])), "{line}");
        }
        assert_eq!(called("mailq"), Some((Face::Mailq, vec![])));
        assert_eq!(called("qmail-inject sendmail"), Some((Face::QmailInject, vec!["sendmail".into()])));
    }

    #[test]
    fn other_calls_are_calls_of_hikyaku() {
        for line in
            ["hikyaku", "hikyaku serve", "hikyaku --config sendmail", "sendmail.old", "", "/", "a/.. b"]
        {
            assert_eq!(called(line), None, "{line}");
        }
        assert_eq!(face(std::iter::empty()), None);
        assert_eq!(face([OsString::from_vec(vec![0xff]), OsString::from_vec(vec![0xff])].into_iter()), None);
    }
}
