//! The commands: with a running server and without, for people and for scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::json;

use crate::house::{House, ROLES, eventually, free_base, roles_of, run};

fn hikyaku(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hikyaku"));
    command.args(arguments).env_remove("HIKYAKU_CONFIG");
    command
}

#[test]
fn version_and_help_are_there_for_every_command() {
    assert_eq!(
        run(&mut hikyaku(&["--version"]), "").good(),
        format!("hikyaku {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = run(&mut hikyaku(&["--help"]), "").good();
    for command in [
        "try",
        "init",
        "serve",
        "check",
        "domain",
        "account",
        "plan",
        "address",
        "audit",
        "queue",
        "--config",
        "HIKYAKU_CONFIG",
    ] {
        assert!(help.contains(command), "no {command} in:\n{help}");
    }
    // Roles are no business of people.
    assert!(!help.contains("role "), "{help}");
    for (command, words) in [
        ("try", &["--dir", "--port-base", "--once"][..]),
        ("init", &["--hostname", "--domain", "--data", "--operator", "--links", "--qmail-links"]),
        ("check", &["--json"]),
        ("domain", &["add", "list", "show", "catch-all", "remove"]),
        (
            "account",
            &[
                "add",
                "list",
                "show",
                "passwd",
                "set",
                "import",
                "app-password",
                "windows",
                "welcome",
                "link",
                "second-factor",
                "sessions",
                "suspend",
                "receive-only",
                "resume",
                "remove",
            ],
        ),
        ("plan", &["set", "list", "show", "remove"]),
        ("address", &["set", "show", "list", "remove", "suspend", "resume", "export", "import", "check"]),
        ("audit", &["--account", "--limit", "--json"]),
        ("queue", &["list", "show", "retry", "hold", "release", "bounce", "remove", "stats", "destinations"]),
    ] {
        let help = run(&mut hikyaku(&[command, "--help"]), "").good();
        for word in words {
            assert!(help.contains(word), "no {word} in:\n{help}");
        }
    }
    for wrong in [&["sreve"][..], &["account"], &["account", "show"], &["domain", "add", "-x-.example"], &[]]
    {
        let ran = run(&mut hikyaku(wrong), "");
        assert_eq!(ran.code, Some(2), "{wrong:?}: {ran:?}");
        assert!(!ran.errors.is_empty() && ran.output.is_empty(), "{ran:?}");
    }
}

#[test]
fn try_once_checks_itself_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("a place with blanks");
    let base = free_base().to_string();
    let arguments = ["try", "--once", "--dir", place.to_str().unwrap(), "--port-base", &base];
    let first = run(&mut hikyaku(&arguments), "").good();
    assert!(first.contains("went through the whole house"), "{first}");
    assert!(!first.lines().any(|line| line == "ready"), "{first}");
    // Once more with what is there from last time, on the ports that are written there.
    let second = run(&mut hikyaku(&arguments[..4]), "").good();
    assert!(second.contains("went through the whole house"), "{second}");
}

#[test]
fn try_stays_and_every_other_command_works_on_it() {
    let house = House::at_rest("127.0.0.1", "");
    let dir = house.dir.path().join("try");
    let base = free_base();
    let mut server =
        house.spawn(&["try", "--dir", dir.to_str().unwrap(), "--port-base", &base.to_string()], "log");
    let said = || fs::read_to_string(house.dir.path().join("output")).unwrap();
    eventually("it is ready", Duration::from_secs(30), || {
        said().lines().any(|line| line == "ready").then_some(())
    });
    for line in [
        "abc-try",
        "xyz-try",
        "shop.example",
        "curl",
        "swaks",
        "bin/sendmail -t",
        "HIKYAKU_CONFIG=",
        "page         http://localhost:",
        "/welcome?link=",
    ] {
        assert!(said().contains(line), "no {line} in:\n{}", said());
    }
    let config = dir.join("hikyaku.toml");
    let here = |arguments: &[&str]| run(hikyaku(arguments).env("HIKYAKU_CONFIG", &config), "").good();
    let shown: serde_json::Value =
        serde_json::from_str(&here(&["account", "show", "abc", "--json"])).unwrap();
    // The self-check's messages lie there, and the commands of programs beside them.
    let maildir = std::path::PathBuf::from(shown["maildir"].as_str().unwrap());
    assert!(maildir.starts_with(dir.canonicalize().unwrap()), "{shown}");
    assert_eq!(crate::house::files_in(&maildir).len(), 2);
    assert!(said().contains("by sendmail into the queue") && dir.join("bin/qmail-inject").exists());
    assert!(here(&["domain", "list"]).contains("shop.example"));
    assert!(here(&["check"]).contains("the server is running"));

    // Ctrl-C ends it, and all of it.
    let pid = server.pid();
    let roles = roles_of(pid);
    assert_eq!(roles.len(), ROLES.len());
    kill(pid, Signal::SIGINT).unwrap();
    let ended = eventually("it ends", Duration::from_secs(20), || server.0.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    assert!(roles_of(pid).is_empty());
}

#[test]
fn domains_and_accounts_are_ruled_without_a_server_and_with_one() {
    // No account but those that are made here.
    let mut house = House::at_rest("127.0.0.1", "[sendmail]\nunmapped = \"refuse\"");
    for running in [false, true] {
        if running {
            house.start();
        }
        let made = &house.json(&["domain", "add", "club.example", "--owner", "abc", "--json"])[0];
        assert_eq!(
            *made,
            json!({"name": "club.example", "kind": {"virtual": {"owner": "abc", "prefix": null}}})
        );
        let mut listed = house.json(&["domain", "list", "--json"])[0].as_array().unwrap().clone();
        listed.sort_by_key(|domain| domain["name"].as_str().unwrap().to_string());
        assert_eq!(
            listed,
            [
                json!({"name": "club.example", "kind": {"virtual": {"owner": "abc", "prefix": null}}}),
                json!({"name": "pobox.example", "kind": "provider"}),
                json!({"name": "shop.example", "kind": {"virtual": {"owner": "xyz", "prefix": null}}}),
            ]
        );
        assert!(house.ran(&["domain", "list"], "").contains("club.example"));
        house.ran(&["domain", "remove", "club.example"], "");
        assert!(!house.ran(&["domain", "list"], "").contains("club.example"));

        let mut added = house.command(&["account", "add", "new", "--language", "en", "--operator", "--json"]);
        let added: serde_json::Value = serde_json::from_str(&run(&mut added, "a password\n").good()).unwrap();
        assert_eq!(added["name"], "new");
        assert_eq!(added["state"], "active");
        assert_eq!(added["language"], "en");
        assert_eq!(added["operator"], true);
        assert!(added["created"].as_u64().unwrap() > 1_700_000_000);
        let maildir = std::path::PathBuf::from(added["maildir"].as_str().unwrap());
        assert!(["new", "cur", "tmp"].iter().all(|folder| maildir.join(folder).is_dir()), "{added}");
        let shown = &house.json(&["account", "show", "new", "--json"])[0];
        assert!(added.as_object().unwrap().iter().all(|(name, value)| shown[name] == *value), "{shown}");
        let names: Vec<String> = house
            .json(&["account", "list", "--json"])
            .iter()
            .map(|account| account["name"].as_str().unwrap().to_string())
            .collect();
        assert_eq!(names, ["abc", "new", "xyz"]);
        house.ran(&["account", "suspend", "new"], "");
        assert_eq!(house.json(&["account", "show", "new", "--json"])[0]["state"], "suspended");
        house.ran(&["account", "resume", "new"], "");
        assert_eq!(house.json(&["account", "show", "new", "--json"])[0]["state"], "active");
        let generated = house.ran(&["account", "passwd", "new", "--generate"], "");
        assert!(
            generated
                .lines()
                .any(|line| line.strip_prefix("password: ").is_some_and(|made| made.len() == 20))
        );
        house.ran(&["account", "remove", "new"], "");
        assert!(maildir.is_dir(), "the mail of an account that was removed stays");

        // What cannot be is refused, in a sentence that says what to do.
        for (arguments, input, words) in [
            (&["account", "add", "abc"][..], "secret\n", "already"),
            (&["account", "add", "other"], "", "no password on standard input"),
            (&["account", "add", "other"], "\n", "no password on standard input"),
            (&["account", "show", "nobody"], "", "nobody"),
            (&["account", "passwd", "nobody"], "secret\n", "nobody"),
            (&["account", "suspend", "nobody"], "", "nobody"),
            (&["account", "remove", "xyz"], "", "shop.example"),
            (&["domain", "add", "shop.example"], "", "shop.example"),
            (&["domain", "add", "club.example", "--owner", "nobody"], "", "nobody"),
            (&["domain", "remove", "club.example"], "", "club.example"),
            (&["domain", "remove", "pobox.example"], "", "pobox.example"),
        ] {
            let ran = house.run(arguments, input);
            assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
            assert!(
                ran.errors.starts_with("hikyaku: ") && ran.errors.contains(words),
                "{arguments:?}: {ran:?}"
            );
        }
        assert_eq!(house.json(&["account", "list", "--json"]).len(), 2);
    }
}

#[test]
fn changes_to_accounts_hold_at_once() {
    let house = House::new();
    let login = |password: &str| -> String {
        let mut pop3 = house.connect(house.pop3());
        pop3.expect("+OK");
        pop3.say("USER abc", "+OK");
        pop3.send(format!("PASS {password}\r\n").as_bytes());
        let answer = pop3.reply();
        if answer.starts_with("+OK") {
            pop3.say("QUIT", "+OK");
        }
        answer
    };
    // Twice each, as the second one is answered from memory.
    for _ in 0..2 {
        assert!(login("abc-try").starts_with("+OK"));
    }
    house.ran(&["account", "passwd", "abc"], "合言葉 with blanks\n");
    for _ in 0..2 {
        assert_eq!(login("abc-try"), "-ERR [AUTH] authorization failed");
        assert!(login("合言葉 with blanks").starts_with("+OK"));
    }
    house.ran(&["account", "suspend", "abc"], "");
    assert_eq!(
        login("合言葉 with blanks"),
        "-ERR [AUTH] this account is suspended: please ask your provider"
    );
    // Only who knows the password learns of the suspension.
    assert_eq!(login("guessed"), "-ERR [AUTH] authorization failed");
    let mut japanese = house.connect(house.pop3());
    japanese.expect("+OK");
    japanese.say("LANG ja", "+OK");
    japanese.say("USER abc", "+OK");
    let refusal = japanese.say("PASS 合言葉 with blanks", "-ERR");
    assert!(refusal.starts_with("-ERR [AUTH] このアカウントは停止中です"), "{refusal}");
    // Its mail goes on arriving.
    house.send("abc@pobox.example", "for later");
    house.wait_for_messages("abc", 1);
    house.ran(&["account", "resume", "abc"], "");
    assert!(login("合言葉 with blanks").starts_with("+OK 1 "));

    // An address is known and unknown from one moment to the next.
    let rcpt = |address: &str| -> String {
        let mut smtp = house.smtp_session();
        smtp.say("MAIL FROM:<a@elsewhere.example>", "250");
        smtp.send(format!("RCPT TO:<{address}>\r\n").as_bytes());
        smtp.reply()
    };
    assert!(rcpt("new@pobox.example").starts_with("550 "));
    house.ran(&["account", "add", "new"], "secret\n");
    assert!(rcpt("new@pobox.example").starts_with("250 "));
    house.ran(&["account", "remove", "new"], "");
    assert!(rcpt("new@pobox.example").starts_with("550 "));
    // Who checked his mail from here a moment ago may send, but not as somebody else.
    assert!(rcpt("a@club.example").starts_with("552 "));
    house.ran(&["domain", "add", "club.example", "--owner", "abc"], "");
    assert!(rcpt("a@club.example").starts_with("250 "));
    house.ran(&["domain", "remove", "club.example"], "");
    assert!(rcpt("a@club.example").starts_with("552 "));
}

#[test]
fn the_queue_is_shown_for_people_and_for_scripts() {
    let house = House::new();
    let empty = &house.json(&["queue", "stats", "--json"])[0];
    assert_eq!(empty["messages"], 0);
    assert_eq!(empty["oldest"], json!(null));
    assert!(house.ran(&["queue", "list"], "").is_empty());
    house.send("abc@pobox.example", "passes");
    house.wait_for_messages("abc", 1);
    house.wait_for_an_empty_queue();
    let stats = &house.json(&["queue", "stats", "--json"])[0];
    for (name, count) in
        [("messages", 0), ("in_flight", 0), ("accepted", 1), ("delivered", 1), ("failed", 0), ("deferred", 0)]
    {
        assert_eq!(stats[name], count, "{name} of {stats}");
    }
    assert!(house.ran(&["queue", "stats"], "").contains("1 accepted, 1 delivered"));

    let maildir = house.maildir("abc");
    fs::rename(&maildir, maildir.with_extension("away")).unwrap();
    house.send("abc@pobox.example", "waits");
    house.wait_for_event("deferred");
    let waiting = &house.json(&["queue", "list", "--json"])[0];
    let id = waiting["id"].as_str().unwrap();
    assert_eq!(id.len(), 13, "{waiting}");
    assert!(house.ran(&["queue", "list"], "").contains(id));
    let shown = house.ran(&["queue", "show", id], "");
    assert!(shown.contains("abc@pobox.example: waiting, tried 1 times"), "{shown}");
    assert!(shown.contains("from      <sender@elsewhere.example>"), "{shown}");
    let unknown = house.run(&["queue", "show", "0000000000000"], "");
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.errors.contains("no message 0000000000000 is in the queue"), "{unknown:?}");
    assert_eq!(house.run(&["queue", "show", "not an id"], "").code, Some(2));
}

#[test]
fn the_queue_cannot_be_asked_without_a_server() {
    let house = House::at_rest("127.0.0.1", "");
    let ran = house.run(&["queue", "list"], "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.errors.contains("hikyaku serve"), "{ran:?}");
}

#[test]
fn check_says_what_is_wrong_and_how_to_mend_it() {
    let mut house = House::at_rest("127.0.0.1", "");
    let findings = house.json(&["check", "--json"]);
    assert!(findings.iter().any(|finding| finding["what"] == "the server is not running"), "{findings:?}");
    assert!(findings.iter().all(|finding| finding["verdict"] != "wrong"), "{findings:?}");
    // Another program has our port.
    let taken = std::net::TcpListener::bind(("127.0.0.1", house.smtp())).unwrap();
    let ran = house.run(&["check"], "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.output.contains("WRONG") && ran.output.contains(&house.smtp().to_string()), "{ran:?}");
    drop(taken);
    house.start();
    let good = house.ran(&["check"], "");
    assert!(good.contains("the server is running") && good.contains("SMTP answers at"), "{good}");
    // A configuration that nobody understands is named with its line.
    fs::write(
        &house.config,
        "hostname = \"mail.pobox.example\"\ndomain = \"pobox.example\"\ncolour = \"red\"\n",
    )
    .unwrap();
    let ran = house.run(&["check"], "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.errors.contains("colour") && ran.errors.contains("line 3"), "{ran:?}");
}

#[test]
fn check_finds_passwords_that_all_can_read_and_users_and_accounts_that_are_not_there() {
    let house = House::at_rest("127.0.0.1", "");
    let wrong = || -> Vec<String> {
        let ran = house.run(&["check", "--json"], "");
        let findings = ran.output.lines().map(|line| serde_json::from_str(line).unwrap());
        let wrong = findings.filter(|finding: &serde_json::Value| finding["verdict"] == "wrong");
        wrong.map(|finding| finding.to_string()).collect()
    };
    let mode = |mode| fs::set_permissions(&house.config, fs::Permissions::from_mode(mode)).unwrap();
    let smart = "[remote.routes]\n\"*\" = { host = \"127.0.0.1\", login = \"me\", password = \"secret\" }";
    house.configure("127.0.0.1", smart);
    mode(0o644);
    let found = wrong();
    assert!(found.len() == 1 && found[0].contains("chmod o-rwx"), "{found:?}");
    mode(0o640);
    assert_eq!(wrong(), [""; 0]);

    let users = "[sendmail.users]\nroot = \"abc\"\n4000000000 = \"gone\"\nno-such-user = \"xyz\"";
    house.configure("127.0.0.1", users);
    mode(0o644);
    let found = wrong();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("no user no-such-user") && found[1].contains("no account gone"), "{found:?}");
    house.configure("127.0.0.1", "[sendmail.users]\n0 = \"abc\"");
    assert!(house.ran(&["check"], "").contains("users and accounts of [sendmail.users] are there"));
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let house = House::new();
    let second = house.run(&["serve"], "");
    assert_eq!(second.code, Some(1), "{second:?}");
    // On other ports it is the data that tell.
    let text = fs::read_to_string(&house.config).unwrap();
    let other = free_base();
    let mut moved = text;
    for standard in [25, 80, 110, 443, 465, 587, 995] {
        moved = moved.replace(&format!(":{}\"", house.base + standard), &format!(":{}\"", other + standard));
    }
    let config = house.dir.path().join("other.toml");
    fs::write(&config, moved).unwrap();
    let second = run(house.command(&["serve"]).env("HIKYAKU_CONFIG", &config), "");
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.errors.contains("running already"), "{second:?}");
    // The first one is none the worse.
    assert!(house.send("abc@pobox.example", "still here").starts_with("250"));
    house.wait_for_messages("abc", 1);
    assert_eq!(house.ran(&["check"], "").matches("answers at").count(), 6);
}

#[test]
fn sighup_takes_up_a_changed_configuration_and_not_a_broken_one() {
    let house = House::new();
    let announced = || {
        let mut wire = house.connect(house.smtp());
        wire.expect("220");
        wire.say("EHLO client.example", "250")
    };
    let mut before = house.smtp_session();
    house.configure("127.0.0.1", "[limits]\nmessage_size_max = 4321");
    house.signal(Signal::SIGHUP);
    let changed = || announced().contains("SIZE 4321").then_some(());
    eventually("new sessions have the new limit", Duration::from_secs(5), changed);

    fs::write(&house.config, "hostname = \"mail.pobox.example\"\nthis is no TOML").unwrap();
    house.signal(Signal::SIGHUP);
    let refused = house.wait_for_event("reload_refused");
    assert!(refused["problem"].as_str().unwrap().contains("hikyaku.toml"), "{refused}");
    assert!(announced().contains("SIZE 4321"));

    house.configure("127.0.0.1", "[limits]\nrecipients_max = 7");
    house.signal(Signal::SIGHUP);
    let changed = || announced().contains("RCPTMAX=7").then_some(());
    eventually("a mended one is taken up", Duration::from_secs(5), changed);
    // Nobody was disturbed, and no role was started anew.
    before.say("NOOP", "250");
    assert!(house.events("role_died").is_empty());
}

#[test]
fn sigterm_lets_a_message_in_hand_be_finished() {
    let mut house = House::new();
    let mut sending = house.smtp_session();
    sending.say("MAIL FROM:<a@elsewhere.example>", "250");
    sending.say("RCPT TO:<abc@pobox.example>", "250");
    sending.say("DATA", "354");
    sending.send(b"Subject: in hand\r\n\r\nhalf of it, ");
    let mut idle = house.smtp_session();
    let mut reading = house.pop3_session("xyz");
    house.signal(Signal::SIGTERM);
    // Who is between commands is told, or simply let go in POP3.
    assert_eq!(idle.reply(), "421 4.3.2 the service is stopping, please come again");
    idle.closed();
    reading.closed();
    sending.send(b"and the other half\r\n.\r\n");
    let reply = sending.reply();
    assert!(reply.starts_with("250 2.0.0 ok "), "{reply}");
    let begin = Instant::now();
    house.stop();
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    assert!(house.events("role_killed").is_empty());
    // It is delivered before the end, or after the next start.
    house.start();
    let arrived = house.wait_for_messages("abc", 1).remove(0);
    assert!(arrived.ends_with("\nhalf of it, and the other half\n"), "{arrived}");
}

#[test]
fn the_log_has_a_line_for_each_thing_and_no_secret() {
    let house = House::new();
    let mut smtp = house.smtp_session();
    smtp.transact(
        "a@elsewhere.example",
        &["abc@pobox.example"],
        "Subject: s3cret-subject\r\n\r\ns3cret-body\r\n",
    );
    smtp.say("MAIL FROM:<a@elsewhere.example>", "250");
    smtp.say("RCPT TO:<victim@elsewhere.example>", "553");
    smtp.say("RCPT TO:<nobody@pobox.example>", "550");
    house.wait_for_messages("abc", 1);
    house.pop3_session("abc").say("QUIT", "+OK");
    let mut guess = house.connect(house.pop3());
    guess.expect("+OK");
    guess.say("USER abc", "+OK");
    guess.say("PASS s3cret-guess", "-ERR");
    house.ran(&["account", "passwd", "abc"], "s3cret-password\n");

    let accepted = house.wait_for_event("accepted");
    let delivered = house.wait_for_event("delivered");
    assert_eq!(accepted["queue_id"], delivered["queue_id"]);
    assert_eq!(accepted["client"], "127.0.0.1");
    assert_eq!(delivered["to"], "abc@pobox.example");
    assert!(delivered["delay_ms"].is_u64(), "{delivered}");
    let refused = house.events("refused");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert_eq!(refused[0]["to"], "victim@elsewhere.example");
    assert!(refused[0]["status"].as_str().unwrap().contains("553 sorry, that domain"), "{refused:?}");
    assert_eq!(house.wait_for_event("login")["account"], "abc");
    assert_eq!(house.wait_for_event("login_refused")["name"], "abc");
    let log = house.log();
    for secret in ["s3cret", "abc-try"] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

const INIT: [&str; 5] = ["init", "--hostname", "mail.pobox.example", "--domain", "pobox.example"];

#[test]
fn init_does_not_overwrite_a_configuration() {
    let house = House::at_rest("127.0.0.1", "");
    let before = fs::read_to_string(&house.config).unwrap();
    let ran = house.run(&INIT, "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.errors.contains("is there already"), "{ran:?}");
    assert_eq!(fs::read_to_string(&house.config).unwrap(), before);
}

#[test]
fn init_makes_all_that_a_server_needs() {
    if nix::unistd::geteuid().is_root() {
        eprintln!("started as root it makes system users, which privileges.rs looks at");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("etc/hikyaku.toml");
    let mut init = hikyaku(&INIT);
    init.arg("--data").arg(dir.path().join("data")).env("HIKYAKU_CONFIG", &config);
    let made = run(&mut init, "").good();
    assert!(
        made.contains("operator account postmaster, password ") && made.contains("/welcome?link="),
        "{made}"
    );
    let shown = run(hikyaku(&["account", "show", "postmaster"]).env("HIKYAKU_CONFIG", &config), "").good();
    assert!(shown.contains("operator  yes"), "{shown}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let house = House::at_rest("127.0.0.1", "");
    let _taken = std::net::TcpListener::bind(("127.0.0.1", house.pop3())).unwrap();
    let ran = house.run(&["serve"], "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.errors.contains(&format!("cannot listen at 127.0.0.1:{}", house.pop3())), "{ran:?}");
}

#[test]
fn a_role_is_not_started_by_hand() {
    let ran = run(&mut hikyaku(&["role", "smtp"]), "nonsense");
    assert_eq!(ran.code, Some(1));
    assert!(ran.errors.contains("roles are started by `hikyaku serve`, not by hand"), "{ran:?}");
}

/// The supervisor is gone, however that came: no role goes on alone.
#[test]
fn roles_end_with_their_supervisor() {
    let house = House::at_rest("127.0.0.1", "");
    let mut server = house.spawn(&["serve"], "log");
    house.wait_for_event("ready");
    let roles = roles_of(server.pid());
    assert_eq!(roles.len(), ROLES.len());
    server.0.kill().unwrap();
    server.0.wait().unwrap();
    let gone =
        || roles.values().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(());
    eventually("all roles are gone", Duration::from_secs(20), gone);
}
