//! Programs of this machine that send: today's callers, and scripts in the manner of 1999, against the
//! real binary by the names that they know.

mod away;
mod callers;
mod form_mail;
mod hostile;
mod killing;
mod options;
mod qmail;
mod senders;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::unistd::{User, geteuid};

use crate::house::{House, Ran, field, files_in, run};

/// The names by which the program is called.
const FACES: [&str; 11] = [
    "sendmail",
    "mailq",
    "newaliases",
    "qmail-inject",
    "qmail-queue",
    "qmail-local",
    "forward",
    "maildirmake",
    "qmail-qread",
    "qmail-qstat",
    "qmail-showctl",
];

/// The user as whom the scripts of xyz run.
pub const NEIGHBOUR: u32 = 4002;
/// A user who is nobody's.
pub const STRANGER: u32 = 4003;

/// A web server's machine: a house, the names by which its programs call it, and the directory in which
/// the scripts of the customer abc lie. They run as the web server's user, if there are users to choose from.
pub struct Site {
    pub house: House,
    /// The user as whom the scripts of abc run.
    pub uid: u32,
}

impl Site {
    /// A site with the default configuration, running.
    pub fn new() -> Site {
        Site::with("")
    }

    /// A site whose configuration has these lines too, running.
    pub fn with(lines: &str) -> Site {
        let mut site = Site::at_rest(lines);
        site.house.start();
        site
    }

    /// A site whose server is not yet started.
    pub fn at_rest(lines: &str) -> Site {
        let uid = if geteuid().is_root() { web_server() } else { geteuid().as_raw() };
        Site::of_user(uid, lines)
    }

    /// A site at which the user who runs the tests, and the server, is the customer; not yet started.
    pub fn of_this_user(lines: &str) -> Site {
        Site::of_user(geteuid().as_raw(), lines)
    }

    fn of_user(uid: u32, lines: &str) -> Site {
        let users = format!("[sendmail.users]\n\"{uid}\" = \"abc\"\n\"{NEIGHBOUR}\" = \"xyz\"\n");
        let house = House::at_rest("127.0.0.1", &format!("{lines}\n{users}"));
        let site = Site { house, uid };
        // Other users have to get in.
        fs::set_permissions(site.house.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(site.place("bin")).unwrap();
        let program = site.place("bin/hikyaku");
        let built = env!("CARGO_BIN_EXE_hikyaku");
        // A copy only where there is no other way: it is large.
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).unwrap();
        }
        for face in FACES {
            symlink("hikyaku", site.place("bin").join(face)).unwrap();
        }
        fs::create_dir(site.place("www")).unwrap();
        if geteuid().is_root() {
            chown(site.place("www"), Some(uid), Some(uid)).unwrap();
        }
        site
    }

    /// A place beside the server's data.
    pub fn place(&self, name: &str) -> PathBuf {
        self.house.dir.path().join(name)
    }

    /// A program as a script of abc would start it, with the environment that a web server gives it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_of(self.uid, program)
    }

    /// A program of this user of the machine; of another than the one who runs the tests only if that is root.
    pub fn command_of(&self, uid: u32, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("LC_ALL", "C.UTF-8");
        command.env("HIKYAKU_CONFIG", &self.house.config).env("SENDMAIL", self.place("bin/sendmail"));
        command.env("HOME", self.place("www")).current_dir(self.place("www"));
        if geteuid().is_root() {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// A command by the name that programs know.
    pub fn face(&self, face: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = self.command(self.place("bin").join(face));
        command.args(arguments);
        command
    }

    /// Calls sendmail with this standard input.
    pub fn sendmail(&self, arguments: &[impl AsRef<OsStr>], input: impl AsRef<[u8]>) -> Ran {
        run(&mut self.face("sendmail", arguments), input.as_ref())
    }

    /// Runs a script of `tests/sendmail/scripts`, which knows where sendmail is by $SENDMAIL.
    pub fn script(&self, interpreter: &str, script: &str, arguments: &[&str]) -> Ran {
        run(self.script_command(interpreter, script).args(arguments), "")
    }

    /// The command that runs such a script.
    pub fn script_command(&self, interpreter: &str, script: &str) -> Command {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sendmail/scripts").join(script);
        // The customer may not be able to read where the tests lie.
        let copy = self.place("www").join(source.file_name().unwrap());
        fs::copy(&source, &copy).unwrap();
        let mut command = self.command(interpreter);
        command.arg(copy);
        command
    }

    /// Waits until an account has exactly so many messages.
    pub fn arrived(&self, account: &str, count: usize) -> Vec<Arrived> {
        self.house.wait_for_messages(account, count);
        let files = files_in(&self.house.maildir(account));
        files.iter().map(|file| Arrived::read(&fs::read(file).unwrap())).collect()
    }

    /// Waits for the only message of an account.
    pub fn one(&self, account: &str) -> Arrived {
        self.arrived(account, 1).remove(0)
    }

    /// Nothing has come to these two, and nothing is on its way.
    pub fn nothing_was_sent(&self) {
        self.house.wait_for_an_empty_queue();
        for account in ["abc", "xyz"] {
            assert_eq!(self.house.messages(account), [""; 0], "{account} has mail");
        }
    }
}

/// The user of Debian's web servers, or else one who may do nothing as well.
fn web_server() -> u32 {
    User::from_name("www-data").unwrap().map_or(65534, |user| user.uid.as_raw())
}

/// A message as it lies in its mailbox.
#[derive(Debug)]
pub struct Arrived {
    /// The header without the empty line; octets that are no UTF-8 are those of Latin-1.
    pub header: String,
    pub body: Vec<u8>,
}

impl Arrived {
    fn read(octets: &[u8]) -> Arrived {
        let end = octets.windows(2).position(|pair| pair == b"\n\n").expect("an empty line");
        let (header, body) = (&octets[..end], &octets[end + 2..]);
        Arrived { header: readable(header), body: body.to_vec() }
    }

    /// The value of a header field that the message has once, unfolded.
    pub fn field(&self, name: &str) -> String {
        field(&self.header, name)
    }

    /// The text of a notice, which travels in base64.
    pub fn decoded(&self) -> String {
        assert_eq!(self.field("Content-Transfer-Encoding"), "base64", "{}", self.header);
        let text: Vec<u8> = self.body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
    }

    /// How often it has this header field.
    pub fn count(&self, name: &str) -> usize {
        let names = self.header.lines().filter_map(|line| line.split_once(':'));
        names.filter(|(field, _)| field.trim_end().eq_ignore_ascii_case(name)).count()
    }

    /// It is what everybody expects of a message: this reverse-path, one date, one name, one author, and nothing
    /// of those who are not to be seen.
    pub fn is_sound(&self, reverse_path: &str) -> &Arrived {
        assert_eq!(self.field("Return-Path"), format!("<{reverse_path}>"), "{}", self.header);
        for (name, times) in [("Date", 1), ("Message-ID", 1), ("From", 1), ("Bcc", 0)] {
            assert_eq!(self.count(name), times, "{name} in\n{}", self.header);
        }
        assert!(self.field("Received").contains(", user id "), "{}", self.header);
        self
    }
}

/// Octets as text, in which none is lost.
fn readable(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap_or_else(|_| octets.iter().copied().map(char::from).collect())
}

/// The message of this subject.
pub fn of_subject<'a>(messages: &'a [Arrived], subject: &str) -> &'a Arrived {
    let mut found = messages.iter().filter(|message| message.field("Subject") == subject);
    let message = found.next().unwrap_or_else(|| panic!("no message of subject {subject}: {messages:#?}"));
    assert!(found.next().is_none(), "two messages of subject {subject}");
    message
}

/// A letter of the customer abc to himself.
pub fn letter(subject: &str) -> String {
    format!("From: abc@pobox.example\nTo: abc@pobox.example\nSubject: {subject}\n\nLine one.\n.\nThe end.\n")
}
