//! Customers' programs behind their walls: what `hikyaku run-program` becomes, and the role that
//! starts it.

mod mail;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::house::{House, roles_of, status_field};

/// A place for one program, as the role makes it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home", "tmp", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("other/secret"), "secret").unwrap();
        Place { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a command as a program with this message; `limits` come before it.
    fn run_with(&self, limits: &[&str], command: &str) -> Output {
        let mut input = tempfile::tempfile_in(self.path().join("tmp")).unwrap();
        input.write_all(b"Subject: x\n\nhi\n").unwrap();
        std::io::Seek::rewind(&mut input).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_hikyaku"));
        program.arg("run-program").arg("--home").arg(self.path().join("home"));
        program.arg("--temporary").arg(self.path().join("tmp")).args(limits);
        program.args(["--", command]).env_clear().env("PATH", "/usr/bin:/bin");
        program
            .env("SENDER", "$(touch evil)`touch evil`;\"'|&@x.example")
            .env("OTHER", self.path().join("other"));
        program.env("TMPDIR", self.path().join("tmp"));
        program.stdin(input).output().unwrap()
    }

    fn run(&self, command: &str) -> String {
        let output = self.run_with(&["--memory-max", "268435456", "--time-max", "20"], command);
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }
}

#[test]
fn a_command_reaches_the_shell_as_it_stands_and_a_variable_is_only_a_value() {
    let place = Place::new();
    let every: String = (' '..='~').filter(|c| *c != '\'').collect();
    assert_eq!(place.run(&format!("printf %s '{every}'")), every);
    assert_eq!(
        place.run("echo \"$SENDER\"; echo $SENDER"),
        "$(touch evil)`touch evil`;\"'|&@x.example\n".repeat(2)
    );
    assert_eq!(place.run("-n x 2>/dev/null; echo $?"), "127\n", "no option of the shell");
    assert!(!place.path().join("home/evil").exists());
    assert_eq!(place.run("head -c 7; exit 99"), "Subject");
    // The message can be read again.
    assert_eq!(place.run("cat >/dev/null; cat </dev/stdin"), "Subject: x\n\nhi\n");
}

#[test]
fn a_program_writes_in_its_home_and_nowhere_else() {
    let place = Place::new();
    assert_eq!(place.run("pwd; umask; echo x >file; mkdir d; mv file d/; echo y >$TMPDIR/z"), {
        format!("{}\n0077\n", place.path().join("home").display())
    });
    let file = place.path().join("home/d/file");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(place.path().join("tmp/z")).unwrap(), "y\n");
    for command in [
        "cat $OTHER/secret",
        "ls $OTHER",
        "echo x >$OTHER/secret",
        "ln -s $OTHER/secret link; cat link",
        "cat ../other/secret",
        "ls /proc /root /home /var /tmp",
        "echo x >/etc/hikyaku-was-here",
        "cp /bin/true here && ./here && cat $OTHER/secret",
    ] {
        let said = place.run(&format!("({command}) && echo got in"));
        assert!(said.contains("ermission denied") && !said.contains("got in"), "{command}: {said}");
    }
    assert_eq!(fs::read_to_string(place.path().join("other/secret")).unwrap(), "secret");
    // What every program expects is there.
    assert_eq!(
        place.run("cat /etc/passwd >/dev/null && head -c 3 /dev/zero | wc -c && echo x >/dev/null"),
        "3\n"
    );
}

#[test]
fn a_program_has_no_network_and_no_way_out_of_its_group() {
    let place = Place::new();
    let python = "import socket\n\
        for family in (socket.AF_INET, socket.AF_INET6, 16, 17):\n\
        \x20try: socket.socket(family, socket.SOCK_DGRAM); print('open')\n\
        \x20except PermissionError: print('refused')\n\
        socket.socket(socket.AF_UNIX); print('local')\n\
        import os, ctypes\n\
        for leave in (os.setsid, lambda: os.setpgid(0, 0)):\n\
        \x20try: leave(); print('left')\n\
        \x20except PermissionError: print('stayed')\n\
        print(os.getsid(0) == os.getpgid(0) == int(os.environ['SHELL_PID']))\n";
    fs::write(place.path().join("home/try.py"), python).unwrap();
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("without python3 this cannot be tried");
        return;
    }
    let said = place.run("export SHELL_PID=$$; python3 try.py; true");
    assert_eq!(said, "refused\nrefused\nrefused\nrefused\nlocal\nstayed\nstayed\nTrue\n");
    assert!(place.run("setsid true").contains("not permitted"));
    let status = place.run("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status");
    assert!(status.contains("ermission denied"), "{status}");
}

#[test]
fn a_program_that_wants_too_much_is_stopped() {
    let place = Place::new();
    let limits = ["--memory-max", "67108864", "--time-max", "1"];
    // Memory.
    let output = place.run_with(&limits, "x=y; while :; do x=$x$x$x$x; done");
    assert!(!output.status.success());
    // Time of the processor.
    let begin = Instant::now();
    let output = place.run_with(&limits, "while :; do :; done");
    assert!(!output.status.success() && begin.elapsed() < Duration::from_secs(20));
    // Disk: no file larger than it may be.
    let output = place.run_with(&limits, "head -c 200000000 /dev/zero >large");
    assert!(!output.status.success());
    assert_eq!(fs::metadata(place.path().join("home/large")).unwrap().size(), 128 << 20);
    // Descriptors, and core files.
    assert_eq!(place.run("ulimit -n; ulimit -c"), "256\n0\n");
}

#[test]
fn a_server_has_the_role_only_where_it_is_wanted() {
    let mut house = House::with("[delivery]\nprograms = true");
    let roles = roles_of(house.pid());
    let programs = roles["programs"];
    assert_eq!(status_field(programs, "NoNewPrivs").as_deref(), Some("1"));
    assert_eq!(status_field(programs, "Seccomp").as_deref(), Some("2"));
    let homes = house.dir.path().join("data/programs");
    assert_eq!(fs::metadata(&homes).unwrap().permissions().mode() & 0o777, 0o700);
    // It is in nobody's way.
    house.send("abc@pobox.example", "with programs");
    house.wait_for_messages("abc", 1);
    let begin = Instant::now();
    house.stop();
    assert!(begin.elapsed() < Duration::from_secs(10));
    let without = House::new();
    assert!(!without.roles().contains_key("programs"));
    assert!(!without.dir.path().join("data/programs").exists());
}

#[test]
fn a_qmail_file_that_lies_in_a_home_has_no_effect() {
    let house = House::new();
    let maildir = house.maildir("abc");
    let home = maildir.parent().unwrap();
    for place in [home, maildir.as_path()] {
        for name in [".qmail", ".qmail-default", ".qmail-foo"] {
            let mut file = File::create(place.join(name)).unwrap();
            file.write_all(b"|touch ran\n./stolen\n&xyz@pobox.example\n").unwrap();
        }
    }
    house.send("abc@pobox.example", "to the mailbox");
    house.send("foo@abc.pobox.example", "to it, too");
    house.wait_for_messages("abc", 2);
    house.wait_for_an_empty_queue();
    assert!(house.messages("xyz").is_empty());
    assert!(!home.join("stolen").exists() && !home.join("ran").exists());
}
