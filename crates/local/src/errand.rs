//! The instructions of one address, obeyed for one message.
//!
//! An [`Errand`] says step by step what is to be done, and is told what came of it; whoever carries it
//! out has the threads, the sockets and the clock. What forwards there are is known at its end: they
//! happen after everything else succeeded, as in qmail.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use envelope::{Address, Host, LocalAddress, ReversePath};

use crate::content::Content;
use crate::delivery::{Failure, Outcome, unreadable};
use crate::dot_qmail::{
    Context, ForwardTo, Instruction, Instructions, NewSender, OwnerFound, ProgramOutcome, Scene, Trap,
    environment, is_invisible, new_sender,
};
use crate::fields::Way;

/// A message with more Received and Delivered-To fields goes in circles.
const HOPS_MAX: u32 = 100;

/// What is to be obeyed, and for whom.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The instructions, in the language of `.qmail`.
    pub text: String,
    /// What `default` stands for in the name under which they were found.
    pub default_part: Option<Box<str>>,
    /// Whether the address has an owner of its own.
    pub owner: OwnerFound,
    /// Whether the account may run programs.
    pub programs: bool,
    /// Whether this server runs any.
    pub programs_here: bool,
    /// Whether the account may name Maildirs and mbox files besides its mailbox.
    pub files: bool,
    /// The message's reverse-path.
    pub reverse_path: ReversePath,
    /// The recipient, for Delivered-To.
    pub recipient: Address,
    /// Whose address it is.
    pub local: LocalAddress,
    /// The mailbox has the message already.
    pub has_it: bool,
    /// Where the account's programs begin: not where its mail lies.
    pub program_home: PathBuf,
    /// The server's name, for addresses without a host.
    pub host: Host,
    /// The time in seconds since 1970.
    pub now: u64,
}

/// Instructions on their way.
#[derive(Debug)]
pub struct Errand {
    assignment: Assignment,
    instructions: std::vec::IntoIter<Order>,
    new_sender: NewSender,
    done: Done,
    /// Where in `done.forwards` each reverse-path stands.
    families: HashMap<ReversePath, usize>,
}

/// What one line asks for, after it was looked at whether it may be.
#[derive(Debug)]
enum Order {
    Mailbox,
    Maildir(PathBuf),
    Mbox(PathBuf),
    Program(OsString),
    Forward(ForwardTo),
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Deliver into the account's own mailbox, then call [`Errand::in_mailbox`].
    Mailbox,
    /// Deliver into this Maildir: relative to the home, and never outside of it.
    Maildir(PathBuf),
    /// Append to this file in mbox form: relative likewise.
    Mbox(PathBuf),
    /// Run this program with the message as its input, then call [`Errand::ran`].
    Program(Program),
    /// Nothing is left but this.
    Done(Done),
}

/// A program to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// For `/bin/sh -c`.
    pub command: OsString,
    /// Its variables. **The values are whatever a stranger wrote.**
    pub environment: Vec<(&'static str, Vec<u8>)>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramEnd {
    /// With this exit code.
    Exited(i32),
    /// By a signal.
    Signalled,
    /// It took longer than allowed, and was ended.
    TimedOut,
    /// It did not begin, and why.
    NotStarted(String),
    /// It succeeded, but mail that it wanted sent was not taken, and why.
    NotSent {
        /// A sentence.
        why: String,
        /// Trying again does not help.
        for_good: bool,
    },
}

/// What was done with a message, and what is left to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// It lies in the account's own mailbox.
    pub in_mailbox: bool,
    /// To be sent on: under each reverse-path to these addresses.
    pub forwards: Vec<(ReversePath, Vec<Address>)>,
    /// It went into a Maildir or an mbox file besides.
    pub in_file: bool,
    /// A program took it.
    pub by_program: bool,
    /// Forwards that are no address, as they stand in the instructions, and why.
    pub undeliverable: Vec<(String, String)>,
    /// So full is the mailbox now that its owner is to be told, in parts of a hundred.
    pub warn: Option<u8>,
}

impl Errand {
    /// Looks at the message and at all of the text, before anything is done. Reads the message's header,
    /// which blocks if it lies in a file.
    ///
    /// # Errors
    /// If the message loops, it fails; if the text cannot be obeyed, or asks for what the account may
    /// not, it waits until somebody mends that.
    pub fn begin(assignment: Assignment, content: &Content) -> Result<Errand, Outcome> {
        let way = Way::of(content, &assignment.recipient).map_err(|error| unreadable(&error))?;
        if way.looping {
            return Err(Outcome::Failed(Failure::looping()));
        }
        if way.hops > HOPS_MAX {
            let reason = "Too many hops, this message is looping. (#5.4.6)".into();
            return Err(Outcome::Failed(Failure { status: "5.4.6", reason }));
        }
        let instructions = Instructions::parse(assignment.text.as_bytes(), &Context::default())
            .map_err(|error| Outcome::Deferred { reason: error.to_string() })?;
        let orders: Result<Vec<Order>, Outcome> =
            instructions.into_iter().filter_map(|instruction| order(instruction, &assignment)).collect();
        let new_sender = new_sender(&assignment.reverse_path, &assignment.recipient, assignment.owner);
        Ok(Errand {
            instructions: orders?.into_iter(),
            new_sender,
            assignment,
            done: Done::default(),
            families: HashMap::new(),
        })
    }

    /// What is to be done next. Call it again when that has succeeded; if it has not, that is the
    /// outcome, and nothing is forwarded.
    ///
    /// # Errors
    /// If a program cannot be told what it is to be told.
    pub fn next_step(&mut self) -> Result<Step, Outcome> {
        while let Some(order) = self.instructions.next() {
            match order {
                Order::Mailbox if self.assignment.has_it => self.done.in_mailbox = true,
                // Twice would be the same file.
                Order::Mailbox if self.done.in_mailbox => {}
                Order::Mailbox => return Ok(Step::Mailbox),
                // These are told of only if they succeed.
                Order::Maildir(path) => {
                    self.done.in_file = true;
                    return Ok(Step::Maildir(path));
                }
                Order::Mbox(path) => {
                    self.done.in_file = true;
                    return Ok(Step::Mbox(path));
                }
                Order::Program(command) => {
                    self.done.by_program = true;
                    let environment = self.environment()?;
                    return Ok(Step::Program(Program { command, environment }));
                }
                Order::Forward(to) => self.forward(&to),
            }
        }
        Ok(Step::Done(std::mem::take(&mut self.done)))
    }

    /// It was delivered into the account's own mailbox; `warn` says whether its owner is to be told how
    /// full that is.
    pub fn in_mailbox(&mut self, warn: Option<u8>) {
        self.done.in_mailbox = true;
        self.done.warn = warn;
    }

    /// The program has ended, and this is the beginning of what it said.
    ///
    /// A program runs again if the message is delivered again, after a crash or because a later
    /// instruction failed, as in qmail: only its author knows how to do something once.
    ///
    /// # Errors
    /// If that is no success.
    pub fn ran(&mut self, end: ProgramEnd, output: &[u8]) -> Result<(), Outcome> {
        let later = |reason: String| Err(Outcome::Deferred { reason });
        let code = match end {
            ProgramEnd::Exited(code) => code,
            ProgramEnd::Signalled => return later("Aack, child crashed. (#4.3.0)".into()),
            ProgramEnd::TimedOut => {
                return later("The program took too long and was ended. (#4.3.0)".into());
            }
            ProgramEnd::NotStarted(why) => {
                return later(format!("Unable to run the program: {why} (#4.3.0)"));
            }
            ProgramEnd::NotSent { why, for_good } => {
                let reason = format!("The program's mail was not sent: {}", on_one_line(why.as_bytes()));
                return match for_good {
                    true => Err(Outcome::Failed(Failure { status: "5.3.0", reason })),
                    false => later(reason),
                };
            }
        };
        let said = || {
            let said = on_one_line(output);
            if said.is_empty() {
                format!("The program gave no reason; its exit code is {code}.")
            } else {
                said
            }
        };
        match ProgramOutcome::of_exit(code) {
            ProgramOutcome::Delivered => Ok(()),
            ProgramOutcome::DeliveredAndDone => {
                self.instructions = Vec::new().into_iter();
                Ok(())
            }
            ProgramOutcome::Failed => Err(Outcome::Failed(Failure { status: "5.3.0", reason: said() })),
            ProgramOutcome::Deferred | ProgramOutcome::Crashed => later(said()),
        }
    }

    fn environment(&self) -> Result<Vec<(&'static str, Vec<u8>)>, Outcome> {
        let assignment = &self.assignment;
        environment(&Scene {
            sender: &assignment.reverse_path,
            new_sender: &self.new_sender,
            recipient: &assignment.recipient,
            user: assignment.local.mailbox.account.as_str(),
            home: &assignment.program_home,
            extension: assignment.local.extension.as_deref(),
            default_part: assignment.default_part.as_deref(),
            seconds: assignment.now,
        })
        .map_err(|error| {
            let reason = format!("Unable to run the program: {error}. (#5.3.0)");
            Outcome::Failed(Failure { status: "5.3.0", reason })
        })
    }

    fn forward(&mut self, to: &ForwardTo) {
        match to.complete(&self.assignment.host) {
            Ok(address) => {
                let reverse_path = self.new_sender.for_recipient(&address);
                let forwards = &mut self.done.forwards;
                let at = *self.families.entry(reverse_path).or_insert_with_key(|reverse_path| {
                    forwards.push((reverse_path.clone(), Vec::new()));
                    forwards.len() - 1
                });
                forwards[at].1.push(address);
            }
            Err(reason) => {
                let text = String::from_utf8_lossy(&to.written()).into_owned();
                self.done.undeliverable.push((text, reason.to_string()));
            }
        }
    }
}

/// What a line asks for, if it may: all lines are looked at before the first is obeyed, so that one of
/// them does not have the others obeyed again at every attempt.
fn order(instruction: &Instruction, assignment: &Assignment) -> Option<Result<Order, Outcome>> {
    Some(match instruction {
        Instruction::Mailbox => Ok(Order::Mailbox),
        Instruction::Maildir(path) => place(path, assignment).and_then(|place| match place {
            Place::Mailbox => Ok(Order::Mailbox),
            _ if !assignment.files => Err(Trap::FileNotAllowed),
            Place::InMailbox(inside) | Place::Elsewhere(inside) => Ok(Order::Maildir(inside)),
        }),
        Instruction::Mbox(path) => place(path, assignment).and_then(|place| match place {
            _ if !assignment.files => Err(Trap::FileNotAllowed),
            Place::Elsewhere(inside) => Ok(Order::Mbox(inside)),
            // Readers would take it for a message, or its own books for a number.
            Place::Mailbox | Place::InMailbox(_) => Err(Trap::MaildirWithoutSlash),
        }),
        Instruction::Program(_) if !assignment.programs_here => {
            let reason = "Programs are switched off on this server. (#4.7.0)".into();
            return Some(Err(Outcome::Deferred { reason }));
        }
        Instruction::Program(_) if !assignment.programs => Err(Trap::ProgramNotAllowed),
        Instruction::Program(command) => Ok(Order::Program(command.clone())),
        Instruction::Forward(to) => Ok(Order::Forward(to.clone())),
        Instruction::ForwardOnly => return None,
    })
    .map(|order| order.map_err(|trap| Outcome::Deferred { reason: format!("{trap} (#4.7.0)") }))
}

/// Where a path leads, relative to the home.
enum Place {
    /// To the account's own mailbox, by whatever spelling.
    Mailbox,
    /// Into it.
    InMailbox(PathBuf),
    /// Elsewhere in the home.
    Elsewhere(PathBuf),
}

fn place(path: &Path, assignment: &Assignment) -> Result<Place, Trap> {
    let maildir = &assignment.local.mailbox.maildir;
    let (Some(home), Some(own)) = (maildir.parent(), maildir.file_name()) else {
        return Err(Trap::OutsideHome);
    };
    let inside =
        if path.is_absolute() { path.strip_prefix(home).map_err(|_| Trap::OutsideHome)? } else { path };
    let mut names: Vec<&OsStr> = Vec::new();
    for part in inside.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            _ => return Err(Trap::ParentDirectory),
        }
    }
    let plain: PathBuf = names.iter().collect();
    match names.as_slice() {
        [] => Err(Trap::NoMailboxName),
        [name] if *name == own => Ok(Place::Mailbox),
        [name, ..] if *name == own => Ok(Place::InMailbox(plain)),
        _ => Ok(Place::Elsewhere(plain)),
    }
}

/// What a program said, as it may stand in a report: control characters and those that cannot be seen
/// become blanks.
fn on_one_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let plain: String = text.chars().map(|c| if is_invisible(c) { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use envelope::{Limit, Mailbox};
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn assignment(text: &str) -> Assignment {
        Assignment {
            text: text.into(),
            default_part: None,
            owner: OwnerFound::None,
            programs: true,
            programs_here: true,
            files: true,
            reverse_path: ReversePath::Address(address("u@elsewhere.example")),
            recipient: address("abc-foo@pobox.example"),
            local: LocalAddress {
                mailbox: Mailbox { account: "abc".parse().unwrap(), maildir: "/m/01/abc.1/Maildir".into() },
                extension: Some("foo".into()),
                quota: Limit::Unlimited,
            },
            has_it: false,
            program_home: "/p/abc.1".into(),
            host: Host::parse("mail.pobox.example").unwrap(),
            now: 0,
        }
    }

    fn begin(assignment: Assignment) -> Result<Errand, Outcome> {
        Errand::begin(assignment, &Content::Memory("Subject: x\r\n\r\nhi\r\n".into()))
    }

    /// Steps in short, with every program ending so and all else succeeding.
    fn steps(assignment: Assignment, end: i32) -> (Vec<String>, Result<Done, Outcome>) {
        let mut steps = Vec::new();
        let mut errand = match begin(assignment) {
            Ok(errand) => errand,
            Err(outcome) => return (steps, Err(outcome)),
        };
        loop {
            let step = match errand.next_step() {
                Ok(Step::Done(done)) => return (steps, Ok(done)),
                Ok(step) => step,
                Err(outcome) => return (steps, Err(outcome)),
            };
            steps.push(match step {
                Step::Mailbox => {
                    errand.in_mailbox(None);
                    "mailbox".into()
                }
                Step::Maildir(path) => format!("maildir {}", path.display()),
                Step::Mbox(path) => format!("mbox {}", path.display()),
                Step::Program(program) => {
                    if let Err(outcome) = errand.ran(ProgramEnd::Exited(end), b"no\n\x1b[2Jthanks\xff") {
                        return (steps, Err(outcome));
                    }
                    format!("program {}", program.command.display())
                }
                Step::Done(_) => unreachable!("it is the end"),
            });
        }
    }

    fn reason(text: &str, change: impl FnOnce(&mut Assignment)) -> String {
        let mut assignment = assignment(text);
        change(&mut assignment);
        match steps(assignment, 0) {
            (steps, Err(Outcome::Deferred { reason })) if steps.is_empty() => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_obeyed_in_order_and_forwards_at_the_end() {
        let text = "&a@x.example\n./Maildir/\n./lists/ja/\n|cat > /dev/null\n/m/01/abc.1/old\njoe\n&\n";
        let (steps, done) = steps(assignment(text), 0);
        assert_eq!(steps, ["mailbox", "maildir lists/ja", "program cat > /dev/null", "mbox old"]);
        let done = done.unwrap();
        assert!(done.in_mailbox);
        let sender = ReversePath::Address(address("u@elsewhere.example"));
        let to = vec![address("a@x.example"), address("joe@mail.pobox.example")];
        assert_eq!(done.forwards, [(sender, to)]);
        assert_eq!(done.undeliverable.len(), 1);
    }

    #[test]
    fn exit_code_99_ends_it_with_the_forwards_so_far() {
        let text = "a@x.example\n|x\n./Maildir/\nb@x.example\n";
        let (ran, done) = steps(assignment(text), 99);
        assert_eq!(ran, ["program x"]);
        let done = done.unwrap();
        assert_eq!((done.in_mailbox, done.forwards[0].1.as_slice()), (false, &[address("a@x.example")][..]));
        // Any failure has nothing forwarded at all.
        let failure = Failure { status: "5.3.0", reason: "no [2Jthanks\u{fffd}".into() };
        assert_eq!(steps(assignment(text), 100).1, Err(Outcome::Failed(failure)));
        let later = Outcome::Deferred { reason: "no [2Jthanks\u{fffd}".into() };
        assert_eq!(steps(assignment(text), 1).1, Err(later));
    }

    #[test]
    fn how_a_program_ends_is_told_in_words() {
        let mut errand = begin(assignment("|x")).unwrap();
        for (end, words) in [
            (ProgramEnd::Exited(100), "The program gave no reason; its exit code is 100."),
            (ProgramEnd::Exited(111), "The program gave no reason; its exit code is 111."),
            (ProgramEnd::Signalled, "Aack, child crashed. (#4.3.0)"),
            (ProgramEnd::TimedOut, "The program took too long and was ended. (#4.3.0)"),
            (
                ProgramEnd::NotSent { why: "it\nis full".into(), for_good: false },
                "The program's mail was not sent: it is full",
            ),
            (
                ProgramEnd::NotSent { why: "no such mailbox".into(), for_good: true },
                "The program's mail was not sent: no such mailbox",
            ),
            (ProgramEnd::NotStarted("no room.".into()), "Unable to run the program: no room. (#4.3.0)"),
        ] {
            match errand.ran(end, b" \0\n") {
                Err(Outcome::Deferred { reason } | Outcome::Failed(Failure { reason, .. })) => {
                    assert_eq!(reason, words);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn mail_of_a_program_that_was_not_taken_has_it_run_again_or_fail() {
        let mut errand = begin(assignment("|x")).unwrap();
        let mut not_sent = |for_good| errand.ran(ProgramEnd::NotSent { why: "x".into(), for_good }, b"fine");
        assert!(matches!(not_sent(false), Err(Outcome::Deferred { .. })));
        assert!(matches!(not_sent(true), Err(Outcome::Failed(Failure { status: "5.3.0", .. }))));
    }

    #[test]
    fn a_text_that_cannot_be_obeyed_is_not_obeyed_in_part() {
        let nothing = |_: &mut Assignment| ();
        assert_eq!(
            reason("\n./Maildir/\n", nothing),
            "Uh-oh: first line of .qmail file is blank. (#4.2.1) (line 1)"
        );
        assert!(reason("./Maildir/\n|x", |a| a.programs = false).contains("may not run programs"));
        let off = reason("./Maildir/\n|x", |a| a.programs_here = false);
        assert_eq!(off, "Programs are switched off on this server. (#4.7.0)");
        assert!(reason("./Maildir/\n./old", |a| a.files = false).contains("own mailbox only"));
        assert!(reason("./lists/ja/", |a| a.files = false).contains("own mailbox only"));
        for (text, words) in [
            ("../xyz.2/Maildir/", ".. in it"),
            ("./a/../../b", ".. in it"),
            ("/m/01/abc.1/../xyz.2/b", ".. in it"),
            ("/m/01/xyz.2/Maildir/", "home directory"),
            ("/etc/passwd", "home directory"),
            ("/m/01/abc.1/", "names a directory"),
            (".", "names a directory"),
            ("./Maildir/maildirsize", "./Maildir/"),
            ("./Maildir", "./Maildir/"),
        ] {
            let reason = reason(&format!("./Maildir/\n{text}"), nothing);
            assert!(reason.contains(words) && reason.ends_with("(#4.7.0)"), "{text}: {reason}");
        }
    }

    #[test]
    fn the_own_mailbox_is_known_by_every_spelling_and_written_once() {
        let mut plain = assignment("./Maildir/\n.//Maildir/\n/m/01/abc.1/Maildir/\n");
        plain.files = false;
        assert_eq!(steps(plain.clone(), 0).0, ["mailbox"]);
        plain.has_it = true;
        let (ran, done) = steps(plain, 0);
        assert!(ran.is_empty() && done.unwrap().in_mailbox);
    }

    #[test]
    fn an_empty_text_is_the_mailbox_and_comments_are_nothing() {
        assert_eq!(steps(assignment(""), 0).0, ["mailbox"]);
        let (ran, done) = steps(assignment("# nobody\n"), 0);
        assert!(ran.is_empty());
        assert_eq!(done.unwrap(), Done::default());
    }

    #[test]
    fn a_list_with_an_owner_sends_each_member_a_copy_of_his_own() {
        let mut list = assignment("a@x.example\nb@x.example\na@x.example\n");
        list.owner = OwnerFound::OwnerAndDefault;
        let forwards = steps(list.clone(), 0).1.unwrap().forwards;
        let from = |member| {
            ReversePath::Address(address(&format!("abc-foo-owner-{member}=x.example@pobox.example")))
        };
        assert_eq!(forwards.len(), 2);
        assert_eq!(forwards[1], (from("b"), vec![address("b@x.example")]));
        assert_eq!(forwards[0].0, from("a"));
        list.owner = OwnerFound::Owner;
        let forwards = steps(list, 0).1.unwrap().forwards;
        assert_eq!(forwards[0].0.to_string(), "<abc-foo-owner@pobox.example>");
        assert_eq!((forwards.len(), forwards[0].1.len()), (1, 3));
    }

    #[test]
    fn a_loop_ends_before_anything_is_done() {
        for (header, looping) in [
            ("Delivered-To: ABC-foo@pobox.example\r\n".to_string(), true),
            ("Received: x\r\n".repeat(101), true),
            ("Received: x\r\n".repeat(100), false),
        ] {
            let content = Content::Memory(format!("{header}\r\nhi\r\n").into());
            match Errand::begin(assignment("a@x.example\n"), &content) {
                Err(Outcome::Failed(Failure { status: "5.4.6", .. })) => assert!(looping),
                other => assert!(other.is_ok() && !looping),
            }
        }
    }

    #[test]
    fn a_program_is_told_of_the_message_and_nothing_is_a_piece_of_its_command() {
        let mut hostile = assignment("|echo \"$SENDER\"");
        let nasty = Address::new(
            envelope::LocalPart::new("$(touch x)`y`;\"'|&").unwrap(),
            Host::parse("x.example").unwrap(),
        );
        hostile.reverse_path = ReversePath::Address(nasty);
        let Ok(Step::Program(program)) = begin(hostile).unwrap().next_step() else { panic!("a program") };
        assert_eq!(program.command, "echo \"$SENDER\"");
        let value = |name: &str| {
            let of = |(other, value): &(&str, Vec<u8>)| (*other == name).then(|| value.clone());
            String::from_utf8(program.environment.iter().find_map(of).unwrap()).unwrap()
        };
        assert_eq!(value("SENDER"), "$(touch x)`y`;\"'|&@x.example");
        assert_eq!(
            (value("EXT"), value("HOME"), value("USER")),
            ("foo".into(), "/p/abc.1".into(), "abc".into())
        );
    }

    proptest! {
        #[test]
        fn no_text_names_a_place_outside_the_home(text in "((/|\\.|\\./|\\.\\./|&|\\|)?[a./ ]{0,9}\n){0,6}") {
            let (ran, _) = steps(assignment(&text), 0);
            for step in ran {
                if let Some(path) = step.strip_prefix("mbox ").or(step.strip_prefix("maildir ")) {
                    let path = Path::new(path);
                    prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{:?}", path);
                }
            }
        }

        #[test]
        fn what_a_program_says_is_one_line_of_text(output in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!on_one_line(&output).chars().any(char::is_control));
        }
    }
}
