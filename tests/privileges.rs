//! Roles as the kernel sees them: each a process of its own that holds what its row of the table
//! allows, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::{Pid, geteuid};

use crate::house::{
    House, ROLES, Server, eventually, files_in, free_base, message, roles_of, run, status_field,
};
use crate::wire::Wire;

#[test]
fn every_role_is_a_process_that_gave_up_its_powers() {
    let house = House::new();
    let roles = house.roles();
    assert_eq!(roles.keys().map(String::as_str).collect::<Vec<_>>(), ROLES);
    for (role, pid) in &roles {
        given_up(role, *pid);
    }
}

/// Seen once for all roles: what `/proc` shows of a role without powers.
fn given_up(role: &str, pid: Pid) {
    let shown = |name: &str| status_field(pid, name).unwrap_or_else(|| panic!("{role} has no {name}"));
    assert_eq!(shown("NoNewPrivs"), "1", "{role}");
    // 2: a filter of system calls.
    assert_eq!(shown("Seccomp"), "2", "{role}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(shown(set).trim_start_matches('0'), "", "{set} of {role}");
    }
    // Not one thread is left out.
    for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let status = fs::read_to_string(thread.path().join("status")).unwrap();
        assert!(
            status.contains("\nSeccomp:\t2\n") && status.contains("\nNoNewPrivs:\t1\n"),
            "a thread of {role}"
        );
    }
}

#[test]
fn what_strangers_reach_holds_no_file() {
    let house = House::new();
    // In the middle of their work: a message that is being received, one that is being read.
    let mut sending = house.smtp_session();
    sending.say("MAIL FROM:<a@elsewhere.example>", "250");
    sending.say("RCPT TO:<abc@pobox.example>", "250");
    sending.say("DATA", "354");
    sending.send(&b"a line of a large message\r\n".repeat(50_000));
    let _reading = house.pop3_session("abc");
    if !geteuid().is_root() {
        eprintln!("only root may look at what a process without core dumps has open");
        return;
    }
    for role in ["smtp", "pop3", "remote"] {
        let open = open_files(house.roles()[role]);
        // The log is standard error; the supervisor's own is a file in these tests.
        let own = BTreeSet::from([
            PathBuf::from("/dev/null"),
            house.dir.path().canonicalize().unwrap().join("log"),
        ]);
        assert!(open.is_subset(&own), "{role} has open {open:?}");
    }
    let open = open_files(house.roles()["directory"]);
    assert!(open.iter().any(|file| file.ends_with("directory.sqlite")), "the test sees files: {open:?}");
}

/// Paths that a process has open; sockets and their kin have none.
fn open_files(pid: Pid) -> BTreeSet<PathBuf> {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|target| target.is_absolute())
        .collect()
}

/// `init` and `serve` as root: each role under a user of its own. This makes system users.
#[test]
fn started_as_root_each_role_has_a_user_of_its_own() {
    if !geteuid().is_root() {
        eprintln!("only root can give roles users of their own");
        return;
    }
    let place = Place::new();
    let made = place.ran(
        &["init", "--hostname", "mail.pobox.example", "--domain", "pobox.example", "--data", &place.data()],
        "",
    );
    let password =
        made.split("password ").nth(1).and_then(|rest| rest.lines().next()).expect("a password").to_string();
    assert!(made.contains("https://mail.pobox.example/welcome?link="), "{made}");
    place.move_to_high_ports();
    // Without a server: what root makes here belongs to the roles.
    place.ran(&["account", "add", "abc"], "abc-try\n");
    let server = place.serve();
    place.ran(&["account", "add", "xyz"], "xyz-try\n");

    let roles = roles_of(server.pid());
    assert_eq!(roles.len(), ROLES.len());
    let mut uids = BTreeSet::new();
    for (role, pid) in &roles {
        given_up(role, *pid);
        let uid = status_field(*pid, "Uid").unwrap();
        let uid: BTreeSet<&str> = uid.split_whitespace().collect();
        assert_eq!(uid.len(), 1, "{role} is one user, and cannot go back: {uid:?}");
        let user =
            nix::unistd::User::from_name(&format!("hikyaku-{role}")).unwrap().expect("init made the user");
        assert!(uid.contains(user.uid.to_string().as_str()), "{role} runs as {uid:?}");
        let groups = status_field(*pid, "Groups").unwrap();
        assert!(!groups.split_whitespace().any(|group| group == "0"), "{role} is in root's group");
        uids.insert(user.uid.as_raw());
    }
    assert_eq!(uids.len(), ROLES.len(), "no two roles share a user");

    // The directories: each is its role's, and closed to the others.
    for (directory, user, mode) in [
        ("queue", "hikyaku-queue", 0o700),
        ("directory", "hikyaku-directory", 0o700),
        ("keys", "hikyaku-keys", 0o700),
        ("mail", "hikyaku-local", 0o2770),
        ("drop", "hikyaku-submit", 0o3730),
    ] {
        let seen = fs::metadata(place.dir.path().join("data").join(directory)).unwrap();
        let owner = nix::unistd::User::from_name(user).unwrap().unwrap();
        assert_eq!((seen.uid(), seen.mode() & 0o7777), (owner.uid.as_raw(), mode), "{directory}");
    }

    // And mail goes through all of it: to accounts of either making, and back out by POP3.
    for account in ["abc", "xyz", "postmaster"] {
        let mut smtp = place.connect(25);
        smtp.expect("220");
        smtp.say("EHLO client.example", "250");
        let reply =
            smtp.transact("a@elsewhere.example", &[&format!("{account}@pobox.example")], &message("hello"));
        assert!(reply.starts_with("250"), "{reply}");
        let password = if account == "postmaster" { password.clone() } else { format!("{account}-try") };
        eventually("the message is there, and can be removed", Duration::from_secs(20), || {
            let mut pop3 = place.connect(110);
            pop3.expect("+OK");
            pop3.say(&format!("USER {account}"), "+OK");
            let there = pop3.say(&format!("PASS {password}"), "+OK");
            if !there.starts_with("+OK 1 ") {
                pop3.say("QUIT", "+OK");
                return None;
            }
            pop3.say("RETR 1", "+OK");
            assert!(pop3.rest().contains(&"Subject: hello".to_string()));
            pop3.say("DELE 1", "+OK");
            pop3.say("QUIT", "+OK");
            Some(())
        });
        let shown: serde_json::Value =
            serde_json::from_str(&place.ran(&["account", "show", account, "--json"], "")).unwrap();
        assert_eq!(files_in(Path::new(shown["maildir"].as_str().unwrap())).len(), 0);
    }
    let _server = left_while_the_server_is_away(&place, server);
    // Root's own commands work on it, and find nothing wrong.
    let checked = place.ran(&["check"], "");
    assert!(checked.contains("each role has its system user"), "{checked}");
}

/// Members of the group leave mail in the drop directory, and see nothing of what others left there.
fn left_while_the_server_is_away(place: &Place, server: Server) -> Server {
    drop(server);
    let directory = place.dir.path().join("data/drop");
    let group = nix::unistd::Group::from_name("hikyaku-drop").unwrap().expect("init made the group");
    let as_nobody = |group: u32, script: &str, input: &[u8]| {
        use std::io::Write as _;
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir("/").uid(65534).gid(group);
        let quiet = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait().unwrap().success()
    };
    let job = sendmail::Job {
        face: sendmail::Face::Sendmail,
        manner: sendmail::Manner::Helpful,
        sender: None,
        full_name: None,
        arguments: vec![b"abc@pobox.example".to_vec()],
        from_header: sendmail::FromHeader::Never,
        treatment: sendmail::Treatment::Complete,
        names: sendmail::Names::default(),
        let_pass: Vec::new(),
    };
    let (mut file, message) = (Vec::new(), b"Subject: left\n\nhello\n");
    sendmail::drop_file::write(&job, message.len() as u64, &mut &message[..], &mut file).unwrap();
    let put = |number: u32, mode: &str| {
        format!(
            "umask 027; cat > {0}/.new && chmod {mode} {0}/.new && mv {0}/.new {0}/{number:032x}",
            directory.display()
        )
    };
    assert!(!as_nobody(65534, &put(1, "0640"), &file), "who is not in the group leaves nothing");
    // By the command itself, which says why not. The configuration is closed to users: this one tells them
    // where the data lies.
    let config = place.dir.path().join("sendmail.toml");
    fs::write(&config, format!("data = \"{}\"\n", place.data())).unwrap();
    let command =
        format!("HIKYAKU_CONFIG={} {} sendmail abc@pobox.example", config.display(), place.program.display());
    assert!(!as_nobody(65534, &command, message));
    let named = format!("{command} 2>&1 | grep -q 'only members of the group hikyaku-drop '");
    assert!(as_nobody(65534, &named, message));
    assert!(as_nobody(group.gid.as_raw(), &command, message));
    // Nobody but its owner can read this: it waits, and is named in the log.
    assert!(as_nobody(group.gid.as_raw(), &put(3, "0600"), &file));
    assert!(!as_nobody(group.gid.as_raw(), &format!("ls {}", directory.display()), b""));
    let server = place.serve();
    eventually("the message is there", Duration::from_secs(20), || {
        let mut pop3 = place.connect(110);
        pop3.expect("+OK");
        pop3.say("USER abc", "+OK");
        let there = pop3.say("PASS abc-try", "+OK");
        if !there.starts_with("+OK 1 ") {
            pop3.say("QUIT", "+OK");
            return None;
        }
        pop3.say("RETR 1", "+OK");
        let lines = pop3.rest();
        assert!(lines.contains(&"Return-Path: <anonymous@mail.pobox.example>".to_string()), "{lines:?}");
        assert!(
            lines.contains(&"Received: by mail.pobox.example (sendmail, user id 65534)".to_string()),
            "{lines:?}"
        );
        pop3.say("QUIT", "+OK");
        Some(())
    });
    eventually("that alone is left", Duration::from_secs(20), || {
        (fs::read_dir(directory.join("taken")).unwrap().count() == 1).then_some(())
    });
    let note = fs::read_to_string(place.dir.path().join("data/run/sendmail.toml")).unwrap();
    assert!(note.contains("spool = true"), "{note}");
    for (name, mode) in [("sendmail.toml", 0o644), ("submit", 0o666), ("smtp", 0o666)] {
        let seen = fs::metadata(place.dir.path().join("data/run").join(name)).unwrap();
        assert_eq!(seen.mode() & 0o777, mode, "{name}");
    }
    server
}

/// Where root's server has its program, configuration and data: system users have to get there.
struct Place {
    dir: tempfile::TempDir,
    program: PathBuf,
    base: u16,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("hikyaku");
        fs::copy(env!("CARGO_BIN_EXE_hikyaku"), &program).unwrap();
        Place { dir, program, base: free_base() }
    }

    fn data(&self) -> String {
        self.dir.path().join("data").to_str().unwrap().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("HIKYAKU_CONFIG", self.dir.path().join("hikyaku.toml"));
        command
    }

    fn ran(&self, arguments: &[&str], input: &str) -> String {
        run(&mut self.command(arguments), input).good()
    }

    fn move_to_high_ports(&self) {
        let file = self.dir.path().join("hikyaku.toml");
        let mut text = fs::read_to_string(&file).unwrap();
        text.push_str("\n[log]\nformat = \"json\"\n[listen]\n");
        for (door, standard) in [
            ("smtp", 25),
            ("submission", 587),
            ("submissions", 465),
            ("pop3", 110),
            ("pop3s", 995),
            ("https", 443),
            ("http", 80),
        ] {
            text.push_str(&format!("{door} = [\"127.0.0.1:{}\"]\n", self.base + standard));
        }
        fs::write(file, text).unwrap();
    }

    fn serve(&self) -> Server {
        let log = self.dir.path().join("log");
        let file = fs::File::create(&log).unwrap();
        let mut command = self.command(&["serve"]);
        let mut server = Server::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file));
        eventually("the server is ready", Duration::from_secs(30), || {
            let said = fs::read_to_string(&log).unwrap();
            assert!(server.0.try_wait().unwrap().is_none(), "the server ended:\n{said}");
            said.contains("\"event\":\"ready\"").then_some(())
        });
        server
    }

    fn connect(&self, standard: u16) -> Wire {
        Wire::connect(([127, 0, 0, 1], self.base + standard).into())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.dir.path().join("log")).unwrap_or_default());
        }
    }
}
