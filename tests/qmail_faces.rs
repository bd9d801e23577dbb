//! qmail's commands for operators: each says what qmail's own says.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::house::{House, Ran, eventually, run};

const USAGE: &str =
    "qmail-local: usage: qmail-local [ -nN ] user homedir local dash ext domain sender aliasempty\n";
const NOBODY: &str = "Sorry, no mailbox here by that name. (#5.1.1)\n";

/// Links to the program, as `hikyaku init --links` makes them.
fn linked(directory: &Path, name: &str) -> PathBuf {
    let link = directory.join(name);
    symlink(env!("CARGO_BIN_EXE_hikyaku"), &link).unwrap();
    link
}

/// A customer's home directory under qmail.
struct Home(TempDir);

impl Home {
    /// With these files, each for its owner to write and the world to read.
    fn with(files: &[(&str, &[u8])]) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        home.mode("", 0o755);
        for (name, text) in files {
            fs::write(home.0.path().join(name), text).unwrap();
            home.mode(name, 0o644);
        }
        home
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.0.path().join(name), Permissions::from_mode(mode)).unwrap();
    }

    /// What `qmail-local -n` says of `joe` with a dash and an extension.
    fn says(&self, dash: &str, extension: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hikyaku"));
        command.args(["qmail-local", "-n", "joe"]).arg(self.0.path()).arg(format!("joe{dash}{extension}"));
        command.args([dash, extension, "pobox.example", "sender@x.example", "./Mailbox"]);
        run(&mut command, "")
    }

    #[track_caller]
    fn does(&self, (dash, extension): (&str, &str), output: &str) {
        let ran = self.says(dash, extension);
        assert_eq!((ran.code, ran.output.as_str(), ran.errors.as_str()), (Some(0), output, ""));
    }

    #[track_caller]
    fn refuses(&self, (dash, extension): (&str, &str), code: i32, errors: &str) {
        let ran = self.says(dash, extension);
        assert_eq!((ran.code, ran.output.as_str(), ran.errors.as_str()), (Some(code), "", errors));
    }
}

const PLAIN: (&str, &str) = ("", "");

#[test]
fn qmail_local_says_what_each_line_would_do() {
    for (text, output) in [
        ("./Maildir/\n", "maildir ./Maildir/\ndid 1+0+0\n"),
        ("./Maildir/ \t\n", "maildir ./Maildir/\ndid 1+0+0\n"),
        // Without its last line end, and with others than qmail's.
        ("./Maildir/", "maildir ./Maildir/\ndid 1+0+0\n"),
        ("./Maildir/\r\n", "mbox ./Maildir/\r\ndid 1+0+0\n"),
        ("/var/mail/joe\n", "mbox /var/mail/joe\ndid 1+0+0\n"),
        ("|preline procmail \n", "program preline procmail\ndid 0+0+1\n"),
        (
            "&Joe@X.Example\n& a@b\n&<a@b>\n",
            "forward Joe@X.Example\nforward  a@b\nforward <a@b>\ndid 0+3+0\n",
        ),
        ("joe\n a@b\na@b, c@d\n&\n", "forward joe\nforward  a@b\nforward a@b, c@d\nforward \ndid 0+4+0\n"),
        ("# thrown away\n#\n", "did 0+0+0\n"),
        ("+list\na@b\n+other\n", "forward a@b\ndid 0+1+0\n"),
        ("./a\n\n \t\n|b\n./c/\nd@e\n", "mbox ./a\nprogram b\nmaildir ./c/\nforward d@e\ndid 2+1+1\n"),
    ] {
        Home::with(&[(".qmail", text.as_bytes())]).does(PLAIN, output);
    }
    // Octets that are no UTF-8 pass as they are.
    let home = Home::with(&[(".qmail", b"./\x8e\xe7\x8e\x86/\n")]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hikyaku"));
    command.args(["qmail-local", "-n", "joe"]).arg(home.0.path());
    let ran = command.args(["joe", "", "", "pobox.example", "", "./Mailbox"]).output().unwrap();
    assert_eq!(ran.stdout, b"maildir ./\x8e\xe7\x8e\x86/\ndid 1+0+0\n");
}

#[test]
fn qmail_local_takes_the_file_that_counts() {
    let home = Home::with(&[
        (".qmail-foo", b"foo@x.example\n"),
        (".qmail-foo-default", b"foo-default@x.example\n"),
        (".qmail-foo:bar", b"foo.bar@x.example\n"),
        (".qmail-default", b"default@x.example\n"),
        (".qmail-empty", b""),
    ]);
    fs::create_dir(home.0.path().join(".qmail-directory")).unwrap();
    symlink("nowhere", home.0.path().join(".qmail-dangling")).unwrap();
    symlink(".qmail-foo", home.0.path().join(".qmail-link")).unwrap();
    for (extension, counts) in [
        ("foo", "foo"),
        ("FOO", "foo"),
        ("foo-", "foo-default"),
        ("foo-x", "foo-default"),
        ("Foo.Bar", "foo.bar"),
        ("bar", "default"),
        ("directory", "default"),
        ("dangling", "default"),
        ("link", "foo"),
        ("a/../../b", "default"),
        (&"long".repeat(80), "default"),
        ("", "default"),
    ] {
        home.does(("-", extension), &format!("forward {counts}@x.example\ndid 0+1+0\n"));
    }
    // Nothing said is default delivery: of an empty file, and of the base address.
    home.does(("-", "empty"), "mbox ./Mailbox\ndid 1+0+0\n");
    home.does(PLAIN, "mbox ./Mailbox\ndid 1+0+0\n");
    let bare = Home::with(&[(".qmail-foo", b"a@b\n")]);
    bare.refuses(("-", "bar"), 100, NOBODY);
    bare.refuses(("-", ""), 100, NOBODY);
    Home::with(&[(".qmaildefault", b"a@b\n")]).does(PLAIN, "forward a@b\ndid 0+1+0\n");
    // Dot files in a directory of their own, as users/assign may say.
    let assigned = Home::with(&[]);
    fs::create_dir(assigned.0.path().join(".qmail-")).unwrap();
    fs::write(assigned.0.path().join(".qmail-/foo"), "a@b\n").unwrap();
    assigned.mode(".qmail-/foo", 0o644);
    assigned.does(("-/", "foo"), "forward a@b\ndid 0+1+0\n");
}

#[test]
fn qmail_local_checks_modes_in_qmails_order() {
    let home = Home::with(&[(".qmail", b"./Maildir/\n"), (".qmail-x", b"|x\n"), (".qmail-f", b"a@b\n")]);
    // The execute bit: forwards only; nothing said is default delivery all the same.
    home.mode(".qmail", 0o744);
    home.refuses(PLAIN, 111, "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n");
    home.mode(".qmail-x", 0o744);
    home.refuses(("-", "x"), 111, "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)\n");
    home.mode(".qmail-f", 0o744);
    home.does(("-", "f"), "forward a@b\ndid 0+1+0\n");
    fs::write(home.0.path().join(".qmail"), "").unwrap();
    home.does(PLAIN, "mbox ./Mailbox\ndid 1+0+0\n");
    // A file that others may write; the group may.
    home.mode(".qmail", 0o664);
    home.does(PLAIN, "mbox ./Mailbox\ndid 1+0+0\n");
    home.mode(".qmail", 0o646);
    home.refuses(PLAIN, 111, "Uh-oh: .qmail file is writable. (#4.7.0)\n");
    // A home directory at which its owner works: a warning, and the answer.
    home.mode(".qmail", 0o644);
    home.mode("", 0o1755);
    let ran = home.says("", "");
    assert_eq!((ran.code, ran.output.as_str()), (Some(0), "mbox ./Mailbox\ndid 1+0+0\n"));
    assert_eq!(ran.errors, "Warning: home directory is sticky.\n");
    // One that others may write comes before all else.
    home.mode(".qmail", 0o646);
    home.mode("", 0o1777);
    home.refuses(PLAIN, 111, "Uh-oh: home directory is writable. (#4.7.0)\n");
    home.mode("", 0o775);
    home.mode(".qmail", 0o644);
    home.does(PLAIN, "mbox ./Mailbox\ndid 1+0+0\n");
}

#[test]
fn qmail_local_refuses_what_qmail_refuses() {
    let blank = "Uh-oh: first line of .qmail file is blank. (#4.2.1)\n";
    for text in ["\n./Maildir/\n", " \t\n"] {
        Home::with(&[(".qmail", text.as_bytes())]).refuses(PLAIN, 111, blank);
    }
    let list = Home::with(&[(".qmail", b"a@b\n+list\n./Maildir/\n")]);
    list.refuses(PLAIN, 111, "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n");
    // A file that cannot be read is not one that is not there.
    let home = Home::with(&[(".qmail-default", b"a@b\n")]);
    symlink(".qmail-loop", home.0.path().join(".qmail-loop")).unwrap();
    let ran = home.says("-", "loop");
    assert!(ran.code == Some(111) && ran.errors.starts_with("Unable to open .qmail-loop: "), "{ran:?}");
    if !nix::unistd::geteuid().is_root() {
        home.mode(".qmail-default", 0o000);
        home.refuses(("-", "a"), 111, "Unable to open .qmail-default: access denied. (#4.3.0)\n");
    }

    let said = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hikyaku"));
        run(command.arg("qmail-local").args(arguments), "")
    };
    let all = |home: &'static str| ["joe", home, "joe", "", "", "pobox.example", "", "./Mailbox"];
    for arguments in
        [&[][..], &["-n"], &[&["-n"][..], &all("home")].concat(), &[&all("/")[..], &["more"]].concat()]
    {
        let ran = said(arguments);
        assert_eq!((ran.code, ran.errors.as_str()), (Some(100), USAGE), "{arguments:?}");
    }
    let ran = said(&["-z"]);
    assert_eq!((ran.code, ran.errors), (Some(100), format!("qmail-local: illegal option -- z\n{USAGE}")));
    let ran = said(&[&["-n"][..], &all("/no/such/home")].concat());
    let nowhere = "Unable to switch to /no/such/home: file does not exist. (#4.3.0)\n";
    assert_eq!((ran.code, ran.errors.as_str()), (Some(111), nowhere));
    // It never delivers.
    let ran = said(&all("/"));
    assert!(ran.code == Some(100) && ran.errors.contains("only says what would be done, with -n"), "{ran:?}");
}

#[test]
fn maildirmake_makes_a_maildir_by_its_link() {
    let dir = tempfile::tempdir().unwrap();
    let maildirmake = linked(dir.path(), "maildirmake");
    let make = || run(Command::new(&maildirmake).arg("M").current_dir(dir.path()), "");
    let ran = make();
    assert_eq!((ran.code, ran.output.as_str(), ran.errors.as_str()), (Some(0), "", ""));
    let mut folders: Vec<_> =
        fs::read_dir(dir.path().join("M")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    folders.sort();
    assert_eq!(folders, ["cur", "new", "tmp"]);
    let ran = make();
    assert_eq!(ran.code, Some(111));
    assert_eq!(ran.errors, "maildirmake: fatal: unable to mkdir M: file already exists\n");
}

#[test]
fn qmail_showctl_tells_the_configuration_and_no_password() {
    let house = House::at_rest(
        "127.0.0.1",
        "[remote.routes]\n\"peer.example\" = { host = \"smart.example\", login = \"me\", password = \"geheim\" }\n",
    );
    let told = house.ran(&["qmail-showctl"], "");
    for line in [
        &format!("configuration: {}", house.config.display()),
        "me: mail.pobox.example  (hostname)",
        "smtproutes: peer.example:smart.example, as me, whose password is not shown  ([remote.routes])",
        "locals: pobox.example  (hikyaku domain)",
        "virtualdomains: shop.example:xyz  (hikyaku domain)",
        "rcpthosts: shop.example  (hikyaku domain)",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    assert!(!told.contains("geheim"), "{told}");
    let ran = run(house.command(&["qmail-showctl"]).env("HIKYAKU_CONFIG", "/no/such/file"), "");
    assert!(
        ran.code == Some(111) && ran.errors.starts_with("qmail-showctl: fatal: cannot read /no/such/file")
    );
}

#[test]
fn qmail_qread_and_qstat_tell_what_waits() {
    let house = House::new();
    let away = run(house.command(&["qmail-qstat"]).env("HIKYAKU_CONFIG", "/no/such/file"), "");
    assert_eq!(away.code, Some(111), "{away:?}");
    let reply = house.submission_session("abc").transact(
        "abc@pobox.example",
        &["u@peer.example", "xyz@pobox.example"],
        "From: <abc@pobox.example>\r\nSubject: waits\r\n\r\nx\r\n",
    );
    assert!(reply.starts_with("250 "), "{reply}");
    house.wait_for_messages("xyz", 1);
    let qstat = "messages in queue: 1\nmessages in queue but not yet preprocessed: 0\n";
    assert_eq!(house.ran(&["qmail-qstat"], ""), qstat);
    let read = eventually("xyz is done and u waits", Duration::from_secs(30), || {
        let read = house.ran(&["qmail-qread"], "");
        read.contains("  done\t").then_some(read)
    });
    let lines: Vec<&str> = read.lines().collect();
    let id = house.json(&["queue", "list", "--json"])[0]["id"].as_str().unwrap().to_owned();
    assert!(
        lines[0].contains(&format!(" GMT  #{id}  ")) && lines[0].contains("  <abc@pobox.example>"),
        "{read}"
    );
    assert_eq!(lines[1..], ["\tremote\tu@peer.example", "  done\tlocal\txyz@pobox.example"], "{read}");
}

#[test]
fn links_are_made_at_any_time_and_take_nobodys_place() {
    let house = House::at_rest("127.0.0.1", "");
    let bin = house.dir.path().join("bin");
    let links = |more: &[&str]| {
        let arguments = [&["init", "--links", bin.to_str().unwrap()], more].concat();
        house.run(&arguments, "")
    };
    let ran = links(&[]);
    assert!(ran.code == Some(0) && ran.output.contains("bin/sendmail is this program"), "{ran:?}");
    let accounts = house.ran(&["account", "list"], "");
    assert!(
        !ran.output.contains("password") && !accounts.contains("postmaster"),
        "there is an operator already: {ran:?}"
    );
    assert!(bin.join("mailq").exists() && !bin.join("qmail-inject").exists());
    assert_eq!(links(&["--qmail-links"]).code, Some(0));
    let ran = run(Command::new(bin.join("qmail-showctl")).env("HIKYAKU_CONFIG", &house.config), "");
    assert!(ran.good().contains("me: mail.pobox.example"));
    fs::remove_file(bin.join("forward")).unwrap();
    fs::write(bin.join("forward"), "another system's").unwrap();
    let ran = links(&["--qmail-links"]);
    assert!(ran.code == Some(1) && ran.errors.contains("bin/forward is there already"), "{ran:?}");
    assert_eq!(fs::read_to_string(bin.join("forward")).unwrap(), "another system's");
}
