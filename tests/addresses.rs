//! Addresses, plans, allowances and what else an operator rules: by the commands, with a running server
//! and without.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::house::{House, Ran};

const LENDING: &str = "Addresses may not be lent to third parties";

/// A refusal: exit code 1, nothing on standard output, and these words.
fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.errors.starts_with("hikyaku: ") && ran.output.is_empty(), "{ran:?}");
    for word in words {
        assert!(ran.errors.contains(word), "no {word:?} in {ran:?}");
    }
}

fn shown(house: &House, address: &str) -> Value {
    house.json(&["address", "show", address, "--json"]).remove(0)
}

#[test]
fn an_address_is_set_shown_suspended_and_removed_with_a_server_and_without() {
    // No account but those that are made here.
    let mut house = House::at_rest("127.0.0.1", "[sendmail]\nunmapped = \"refuse\"");
    for running in [false, true] {
        if running {
            house.start();
        }
        let foo = "foo@abc.pobox.example";
        let none = house.ran(&["address", "show", foo], "");
        assert!(none.contains("no instructions, as it has none of its own"), "{none}");
        assert!(none.contains("goes into the mailbox"), "{none}");

        let set = house.ran(&["address", "set", foo, "--to", "a@x.example", "--to", "b@y.example"], "");
        assert!(set.contains("is forwarded to a@x.example, is forwarded to b@y.example"), "{set}");
        assert!(set.contains(LENDING), "{set}");
        let again =
            house.ran(&["address", "set", foo, "--to", "A@X.example", "--to", "a@x.example", "--keep"], "");
        assert!(!again.contains(LENDING), "{again}");
        let facts = shown(&house, foo);
        assert_eq!(facts["own"]["text"], "./Maildir/\n&A@x.example\n");
        assert_eq!(facts["in_force"]["file"], ".qmail-foo");
        assert_eq!(facts["mail"], json!(["goes into the mailbox", "is forwarded to A@x.example"]));
        // However the address is written.
        for same in ["abc-foo@pobox.example", "abc+FOO@pobox.example", "Foo@ABC.pobox.example"] {
            assert_eq!(shown(&house, same)["own"], facts["own"], "{same}");
        }

        house.ran(&["address", "set", foo, "--label", "the list"], "");
        house.ran(&["address", "set", "default@abc.pobox.example", "--discard"], "");
        house.ran(&["address", "suspend", foo], "");
        let suspended = house.ran(&["address", "show", foo], "");
        for words in [
            ".qmail-default, as its own are suspended",
            "accepted and thrown away",
            "&A@x.example",
            "the list",
        ] {
            assert!(suspended.contains(words), "no {words} in\n{suspended}");
        }
        house.ran(&["address", "resume", foo], "");
        assert_eq!(shown(&house, foo)["in_force"]["file"], ".qmail-foo");
        assert_eq!(shown(&house, "other@abc.pobox.example")["in_force"]["file"], ".qmail-default");
        assert_eq!(shown(&house, "abc@pobox.example")["in_force"], Value::Null);

        house.ran(&["address", "set", "info@shop.example", "--keep"], "");
        let of_abc = house.json(&["address", "list", "abc", "--json"]);
        let addresses: Vec<&str> = of_abc.iter().map(|entry| entry["address"].as_str().unwrap()).collect();
        assert_eq!(addresses, ["default@abc.pobox.example", foo]);
        assert_eq!(house.json(&["address", "list", "abc", "--prefix", "f", "--json"]).len(), 1);
        assert_eq!(house.json(&["address", "list", "--all", "--json"]).len(), 3);
        let all = house.ran(&["address", "list", "--all"], "");
        assert!(all.contains("info@xyz.pobox.example") && all.contains("\"the list\""), "{all}");

        for (address, left) in [(foo, 2), ("default@abc.pobox.example", 1), ("info@shop.example", 0)] {
            house.ran(&["address", "remove", address], "");
            assert_eq!(house.json(&["address", "list", "--all", "--json"]).len(), left);
        }
        refused(
            &house.run(&["address", "remove", foo], ""),
            &["no instructions", "hikyaku address list abc"],
        );
    }
}

#[test]
fn up_to_ten_destinations_and_an_eleventh_leaves_the_old_setting() {
    let house = House::at_rest("127.0.0.1", "");
    let set = |count: usize| {
        let to: Vec<String> = (0..count).map(|number| format!("--to=a{number}@x.example")).collect();
        let mut arguments = vec!["address", "set", "foo@abc.pobox.example"];
        arguments.extend(to.iter().map(String::as_str));
        house.run(&arguments, "")
    };
    assert_eq!(set(10).code, Some(0));
    refused(&set(11), &["not changed", "more than 10 forward destinations"]);
    assert_eq!(shown(&house, "foo@abc.pobox.example")["mail"].as_array().unwrap().len(), 10);
    house.ran(&["account", "set", "abc", "forward_limit=11"], "");
    assert_eq!(set(11).code, Some(0));
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_do_and_nothing_is_stored() {
    let house = House::at_rest("127.0.0.1", "");
    let foo = "foo@abc.pobox.example";
    for (arguments, input, words) in [
        (&["set", foo, "--to", foo][..], "", &["forwards to itself", "circle", "--keep"][..]),
        (&["set", foo, "--to", "abc-FOO@pobox.example"], "", &["forwards to itself"]),
        (&["set", "default@abc.pobox.example", "--to", "any@abc.pobox.example"], "", &["forwards to itself"]),
        (&["set", "a@elsewhere.example", "--keep"], "", &["no address of ours", "hikyaku domain list"]),
        (&["set", "nobody@pobox.example", "--keep"], "", &["nobody has the address", "hikyaku account list"]),
        (&["set", "\"|sh\"@abc.pobox.example", "--keep"], "", &["letters, digits"]),
        (&["set", "\"../../x\"@abc.pobox.example", "--keep"], "", &["letters, digits"]),
        (&["set", "\"a b\"@abc.pobox.example", "--keep"], "", &["letters, digits"]),
        (&["set", "\"a\\\"b\"@abc.pobox.example", "--keep"], "", &["letters, digits"]),
        (&["set", foo, "--text", "-"], "&a@x.example\n|cat\n", &["line 2", "may not run programs"]),
        (&["set", foo, "--text", "-"], " a@x.example\n<b@x.example>\n", &["line 1", "line 2", "< >"]),
        (&["set", foo, "--text", "-"], "&a@x.example\0\n", &["not changed", "NUL"]),
        (&["set", foo, "--text", "-"], "/etc/passwd\n", &["line 1", "own mailbox only"]),
        (&["set", foo, "--keep", "--label", "a\nb"], "", &["label"]),
        (&["set", foo, "--text", "/nonexistent/file"], "", &["/nonexistent/file"]),
        (&["check", "-"], "./Maildir\n", &["line 1", "slash at its end"]),
        (&["check", "-", "--account", "nobody"], "", &["no account nobody"]),
        (&["list", "nobody"], "", &["no account nobody"]),
        (&["export", foo], "", &["no instructions of its own"]),
    ] {
        let arguments = [&["address"], arguments].concat();
        refused(&house.run(&arguments, input), words);
    }
    let large = "# x\n".repeat(1 << 18);
    refused(&house.run(&["address", "set", foo, "--text", "-"], &large), &["more than 65536 octets"]);
    let file = house.dir.path().join("latin");
    fs::write(&file, b"&a@x.example\n# J\xf6rg\n").unwrap();
    let file = file.to_str().unwrap();
    refused(&house.run(&["address", "set", foo, "--text", file], ""), &["line 2", "UTF-8"]);
    // What is no address at all is not even asked for.
    let long = format!("{}@abc.pobox.example", "x".repeat(10_000));
    for wrong in [&["set", &long, "--keep"][..], &["set", "|@", "--keep"], &["set", foo], &["list"]] {
        let ran = house.run(&[&["address"], wrong].concat(), "");
        assert_eq!(ran.code, Some(2), "{wrong:?}: {ran:?}");
    }
    assert_eq!(house.json(&["address", "list", "--all", "--json"]), Vec::<Value>::new());
    assert!(house.ran(&["audit"], "").lines().all(|line| !line.contains("instructions")));
    // Strange, and harmless.
    for odd in ["\"..\"@abc.pobox.example", "%s%n'--@abc.pobox.example", "taro..@abc.pobox.example"] {
        house.ran(&["address", "set", odd, "--to", "a..b.@carrier.example"], "");
        assert_eq!(shown(&house, odd)["mail"], json!(["is forwarded to \"a..b.\"@carrier.example"]));
    }
}

#[test]
fn files_of_qmail_go_in_and_come_out_all_or_none() {
    let house = House::at_rest("127.0.0.1", "");
    let dir = house.dir.path().join("qmail");
    fs::create_dir(&dir).unwrap();
    let files = [
        (".qmail", "./Maildir/\n&a@x.example\n"),
        (".qmail-foo:bar", "# 日本語\n&b@x.example\n"),
        (".qmail-default", ""),
    ];
    for (name, text) in files {
        fs::write(dir.join(name), text).unwrap();
    }
    fs::write(dir.join(".qmail-bad"), "&a@x.example\r\n\n a@x.example\n").unwrap();
    fs::write(dir.join(".qmail-bad word"), "").unwrap();
    fs::write(dir.join(".bashrc"), "x").unwrap();
    let import = || house.run(&["address", "import", "abc", dir.to_str().unwrap()], "");
    refused(
        &import(),
        &["nothing is imported", ".qmail-bad, line 1", ".qmail-bad, line 3", ".qmail-bad word"],
    );
    assert_eq!(house.json(&["address", "list", "abc", "--json"]).len(), 0);
    fs::remove_file(dir.join(".qmail-bad")).unwrap();
    fs::remove_file(dir.join(".qmail-bad word")).unwrap();
    std::os::unix::fs::symlink(dir.join(".qmail"), dir.join(".qmail-link")).unwrap();
    refused(&import(), &[".qmail-link: it is a link"]);
    fs::remove_file(dir.join(".qmail-link")).unwrap();
    let said = import().good();
    assert!(said.contains("3 addresses of abc") && said.contains(LENDING), "{said}");

    let out = house.dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let export = |arguments: &[&str]| house.run(&[&["address", "export"], arguments].concat(), "");
    house.ran(&["address", "suspend", "abc@pobox.example"], "");
    let said = export(&["abc", "--dir", out.to_str().unwrap()]).good();
    assert!(said.contains("2 files") && said.contains(".qmail is suspended"), "{said}");
    for (name, text) in &files[1..] {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), *text, "{name}");
    }
    assert!(!out.join(".qmail").exists());
    refused(&export(&["abc", "--dir", out.to_str().unwrap()]), &["cannot write"]);
    assert_eq!(export(&["foo.bar@abc.pobox.example"]).good(), files[1].1);
    let all = export(&["abc"]).good();
    assert!(
        all.contains("==> .qmail-foo:bar <== foo.bar@abc.pobox.example\n# 日本語\n&b@x.example\n"),
        "{all}"
    );
}

#[test]
fn plans_are_made_changed_and_given_to_accounts() {
    let house = House::at_rest("127.0.0.1", "");
    let made = &house.json(&["plan", "set", "small", "quota_bytes=500M", "forward_limit=4", "--json"])[0];
    assert_eq!(made["allowances"]["quota_bytes"], 500 << 20);
    assert_eq!(made["allowances"]["messages_per_hour"], 500);
    let shown = house.ran(&["plan", "show", "small"], "");
    assert!(shown.contains("quota_bytes             500M\n"), "{shown}");
    assert_eq!(house.ran(&["plan", "list"], ""), "default\nsmall\n");
    house.ran(&["account", "set", "abc", "--plan", "small", "--language", "en", "messages_per_day=5"], "");
    let facts = &house.json(&["account", "show", "abc", "--json"])[0];
    assert_eq!((&facts["plan"], &facts["language"]), (&json!("small"), &json!("en")));
    assert_eq!(facts["own_allowances"], json!({"messages_per_day": 5}));
    assert_eq!(facts["allowances"]["forward_limit"], 4);
    assert_eq!(facts["sent"]["messages_this_day"], 0);
    let shown = house.ran(&["account", "show", "abc"], "");
    assert!(shown.contains("messages_per_day        5  (the account's own)"), "{shown}");
    house.ran(&["account", "set", "abc", "messages_per_day=plan"], "");
    assert_eq!(house.json(&["account", "show", "abc", "--json"])[0]["own_allowances"], json!({}));
    for (arguments, words) in [
        (&["plan", "set", "small", "colour=red"][..], &["no allowance \"colour\"", "forward_limit"][..]),
        (&["plan", "set", "small", "forward_limit=many"], &["it wants a number"]),
        (&["plan", "show", "large"], &["no plan large", "hikyaku plan list"]),
        (&["plan", "remove", "default"], &["cannot be removed"]),
        (&["plan", "remove", "small"], &["1 account(s) have the plan", "hikyaku account set"]),
        (&["account", "set", "abc", "--plan", "large"], &["no plan large"]),
        (&["account", "set", "abc"], &["nothing is to be changed"]),
        (&["account", "set", "nobody", "--plan", "small"], &["no account nobody"]),
    ] {
        refused(&house.run(arguments, ""), words);
    }
    let wrong = house.run(&["plan", "set", "small", "quota_bytes=lots"], "");
    assert!(wrong.code == Some(2) && wrong.errors.contains("500M"), "{wrong:?}");
    house.ran(&["account", "set", "abc", "--plan", "default"], "");
    house.ran(&["plan", "remove", "small"], "");

    // A plan without sub-domain addresses refuses them at once, and takes them again.
    let rcpt = |house: &House| {
        let mut smtp = house.smtp_session();
        smtp.say("MAIL FROM:<a@elsewhere.example>", "250");
        smtp.send(b"RCPT TO:<x@abc.pobox.example>\r\n");
        smtp.reply()
    };
    let mut house = house;
    house.start();
    assert!(rcpt(&house).starts_with("250"));
    house.ran(&["plan", "set", "mail-only", "sub_domain_addresses=false"], "");
    house.ran(&["account", "set", "abc", "--plan", "mail-only"], "");
    assert!(rcpt(&house).starts_with("550"));
    refused(&house.run(&["address", "set", "x@abc.pobox.example", "--keep"], ""), &["sub_domain_addresses"]);
    house.ran(&["account", "set", "abc", "sub_domain_addresses=true"], "");
    assert!(rcpt(&house).starts_with("250"));
}

#[test]
fn accounts_come_with_hashes_one_by_one_and_from_a_file() {
    const HASH: &str = "$1$saltsalt$hvuf8zlFXCii1v88PlX3N1";
    let mut house = House::at_rest("127.0.0.1", "");
    house.ran(&["account", "add", "old", "--hash", HASH], "");
    refused(&house.run(&["account", "add", "worse", "--hash", "abGvwuLczWt7M"], ""), &["no password hash"]);
    refused(
        &house.run(&["account", "import", "-"], &format!("new1:{HASH}\nnew2:\nold:{HASH}\n")),
        &["line 3", "already an account old"],
    );
    refused(&house.run(&["account", "import", "-"], "new1:\nn w:\n"), &["no account is made", "line 2"]);
    assert_eq!(house.json(&["account", "list", "--json"]).len(), 3);
    let file = house.dir.path().join("vpasswd");
    fs::write(&file, format!("new1:{HASH}:1:0:Taro:/home/vpopmail/x:NOQUOTA\nnew2::en\n")).unwrap();
    assert!(house.ran(&["account", "import", file.to_str().unwrap()], "").contains("2 accounts"));
    assert!(house.maildir("new1").join("new").is_dir() && house.maildir("new2").join("new").is_dir());
    house.start();
    let login = |name: &str, password: &str| {
        let mut pop3 = house.connect(house.pop3());
        pop3.expect("+OK");
        pop3.say(&format!("USER {name}"), "+OK");
        pop3.send(format!("PASS {password}\r\n").as_bytes());
        pop3.reply()
    };
    for name in ["old", "new1"] {
        assert!(login(name, "abc-try").starts_with("+OK"), "{name}");
    }
    assert!(login("new2", "").starts_with("-ERR"));
    // As the customer is told: he needs no other name, and any way to write it.
    let made = house.json(&["account", "app-password", "add", "abc", "phone", "--json"]).remove(0);
    assert!(login("abc@pobox.example", made["password"].as_str().unwrap()).starts_with("+OK"));
    let used = house.json(&["account", "app-password", "list", "abc", "--json"]).remove(0);
    assert!(used["label"] == "phone" && used["last_used"].is_u64(), "{used}");
    // He has a window now.
    assert_eq!(house.json(&["account", "windows", "abc", "--json"])[0]["client"], "127.0.0.1");
    house.ran(&["account", "windows", "abc", "--close"], "");
    assert_eq!(house.ran(&["account", "windows", "abc"], ""), "");
    house.ran(&["account", "app-password", "remove", "abc", "phone"], "");
    assert!(login("abc", made["password"].as_str().unwrap()).starts_with("-ERR"));
    refused(
        &house.run(&["account", "app-password", "remove", "abc", "phone"], ""),
        &["no app password \"phone\"", "app-password list abc"],
    );
}

#[test]
fn a_receive_only_account_reads_and_does_not_send() {
    let house = House::new();
    house.ran(&["account", "receive-only", "abc"], "");
    house.pop3_session("abc").say("QUIT", "+OK");
    assert_eq!(house.ran(&["account", "windows", "abc"], ""), "");
    let mut smtp = house.smtp_session();
    smtp.say("MAIL FROM:<abc@pobox.example>", "250");
    smtp.say("RCPT TO:<a@elsewhere.example>", "553");
    house.ran(&["account", "resume", "abc"], "");
    house.pop3_session("abc").say("QUIT", "+OK");
    assert_eq!(house.json(&["account", "windows", "abc", "--json"]).len(), 1);
}

#[test]
fn the_welcome_notice_has_the_servers_and_ports_as_they_are() {
    let house = House::at_rest("127.0.0.1", "[sending]\npop_window = 7");
    let notice = house.ran(&["account", "welcome", "abc", "--language", "en"], "");
    let port = |port: u16, how: &str| format!("port {port} ({how})");
    for words in [
        "Account name (POP):     abc ",
        "anything@abc.pobox.example",
        "7 minutes",
        LENDING,
        &port(house.pop3s(), "TLS"),
        &port(house.pop3(), "STARTTLS"),
        &port(house.submission(), "STARTTLS"),
    ] {
        assert!(notice.contains(words), "no {words} in\n{notice}");
    }
    let notice = house.ran(&["account", "welcome", "abc"], "");
    assert!(notice.contains("第三者に貸与") && notice.contains("7 分間"), "{notice}");
    refused(&house.run(&["account", "welcome", "nobody"], ""), &["no account nobody"]);
}

#[test]
fn domains_have_prefixes_aliases_and_catch_alls() {
    let house = House::at_rest("127.0.0.1", "");
    let kind = json!({"virtual": {"owner": "abc", "prefix": "club"}});
    let made = house.json(&["domain", "add", "club.example", "--owner", "abc", "--prefix", "Club", "--json"]);
    assert_eq!(made[0], json!({"name": "club.example", "kind": kind}));
    house.ran(&["domain", "add", "cafe.example", "--owner", "abc"], "");
    house.ran(&["address", "set", "info@club.example", "--to", "a@x.example"], "");
    house.ran(&["address", "set", "info@cafe.example", "--to", "b@x.example"], "");
    assert_eq!(shown(&house, "info@club.example")["file"], ".qmail-club-info");
    assert_eq!(shown(&house, "info@club.example")["mail"], json!(["is forwarded to a@x.example"]));
    assert_eq!(shown(&house, "info@cafe.example")["mail"], json!(["is forwarded to b@x.example"]));

    house.ran(&["domain", "add", "mail.example", "--alias-of", "pobox.example"], "");
    house.ran(&["domain", "add", "backup.example", "--relay"], "");
    house.ran(&["domain", "catch-all", "pobox.example", "xyz"], "");
    let facts = &house.json(&["domain", "show", "pobox.example", "--json"])[0];
    assert_eq!((&facts["catch_all"], &facts["aliases"]), (&json!("xyz"), &json!(["mail.example"])));
    assert_eq!(shown(&house, "nobody@mail.example")["account"], "xyz");
    house.ran(&["domain", "catch-all", "pobox.example", "--none"], "");
    let list = house.ran(&["domain", "list"], "");
    for words in ["virtual, of abc, with the prefix club", "alias of pobox.example", "relay"] {
        assert!(list.contains(words), "no {words} in\n{list}");
    }
    refused(&house.run(&["address", "set", "a@backup.example", "--keep"], ""), &["passed on"]);
    refused(&house.run(&["domain", "catch-all", "club.example", "abc"], ""), &["no provider domain"]);
    refused(&house.run(&["domain", "show", "other.example"], ""), &["not hosted here"]);
    for wrong in [
        &["domain", "add", "a.example", "--owner", "abc", "--relay"][..],
        &["domain", "add", "a.example", "--prefix", "a"],
        &["domain", "add", "a.example", "--owner", "abc", "--prefix", "a/b"],
        &["domain", "catch-all", "pobox.example"],
    ] {
        assert_eq!(house.run(wrong, "").code, Some(2), "{wrong:?}");
    }
}

#[test]
fn the_audit_trail_tells_who_changed_what() {
    let house = House::at_rest("127.0.0.1", "");
    house.ran(&["account", "add", "new", "--generate"], "");
    house.ran(&["address", "set", "foo@new.pobox.example", "--keep"], "");
    house.ran(&["account", "remove", "new"], "");
    let trail = house.json(&["audit", "--account", "new", "--json"]);
    let what: Vec<&str> = trail.iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(
        what,
        ["account new removed", "instructions .qmail-foo of new set (11 octets)", "account new added"]
    );
    assert!(trail.iter().all(|entry| entry["who"].as_str().unwrap().starts_with("uid ")));
    assert_eq!(house.json(&["audit", "--limit", "2", "--json"]).len(), 2);
    assert!(house.ran(&["audit"], "").contains("virtual domain shop.example of xyz added"));
}

#[test]
fn programs_of_users_of_this_machine_belong_to_accounts() {
    let mut house = House::at_rest("127.0.0.1", "[sendmail.users]\n4000000003 = \"abc\"");
    for running in [false, true] {
        if running {
            house.start();
        }
        house.ran(&["account", "add", "web", "--generate", "--uid", "4000000001", "--uid", "4000000002"], "");
        house.ran(&["account", "set", "web", "--uid", "4000000004", "--no-uid", "4000000001"], "");
        let shown = house.json(&["account", "show", "web", "--json"]).remove(0);
        assert_eq!(shown["uids"], json!([4_000_000_002_u32, 4_000_000_004_u32]));
        assert_eq!(shown["allowances"]["script_author"], "own");
        let shown = house.ran(&["account", "show", "web"], "");
        assert!(shown.contains("programs of             uid 4000000002\n"), "{shown}");
        let by_configuration = house.ran(&["account", "show", "abc"], "");
        assert!(by_configuration.contains("uid 4000000003, by [sendmail.users]"), "{by_configuration}");
        assert!(
            house.ran(&["account", "welcome", "web", "--language", "en"], "").contains("/usr/lib/sendmail")
        );

        for (arguments, words) in [
            (&["set", "abc", "--uid", "4000000002"][..], &["as account web", "--no-uid 4000000002"][..]),
            (&["set", "abc", "--uid", "root"], &["root (uid 0)", "oldest operator"]),
            (&["set", "abc", "--no-uid", "4000000002"], &["do not send as account abc"]),
            (&["set", "abc", "script_author=nobody"], &["own, keep or reply-to"]),
            (&["add", "anonymous", "--generate"], &["[sendmail] unmapped", "choose another name"]),
        ] {
            refused(&house.run(&[&["account"], arguments].concat(), ""), words);
        }
        let unknown = house.run(&["account", "set", "abc", "--uid", "no-such-user"], "");
        assert!(unknown.code == Some(2) && unknown.errors.contains("no user no-such-user"), "{unknown:?}");
        house.ran(&["account", "set", "abc", "script_author=keep"], "");
        let shown = house.ran(&["account", "show", "abc"], "");
        assert!(shown.contains("script_author           keep  (the account's own)"), "{shown}");

        house.ran(&["account", "remove", "web"], "");
        refused(
            &house.run(&["account", "import", "-"], "new1:::4000000005\nnew2:::4000000005\n"),
            &["line 2", "send as account new1 already"],
        );
        house.ran(&["account", "import", "-"], "new1:::4000000002\n");
        let shown = house.json(&["account", "show", "new1", "--json"]).remove(0);
        assert_eq!(shown["uids"], json!([4_000_000_002_u32]));
        house.ran(&["account", "remove", "new1"], "");
    }
}

#[test]
fn programs_that_are_nobodys_have_an_account_whose_mail_the_postmaster_gets_and_so_has_root() {
    let mut house = House::at_rest("127.0.0.1", "[sendmail]\nunmapped = \"refuse\"");
    house.start();
    refused(&house.run(&["account", "show", "anonymous"], ""), &["no account anonymous"]);
    house.configure("127.0.0.1", "[sendmail.users]\nno-such-user = \"abc\"");
    house.signal(Signal::SIGHUP);
    house.wait_for_event("anonymous_made");
    let problem = house.wait_for_event("local_user_unknown")["problem"].to_string();
    assert!(problem.contains("no-such-user"), "{problem}");
    let shown = house.json(&["account", "show", "anonymous", "--json"]).remove(0);
    assert_eq!(shown["own_allowances"], json!({ "script_author": "reply-to" }));
    assert_eq!(shown["operator"], false);
    house.ran(&["account", "set", "anonymous", "messages_per_day=50"], "");

    // What comes back to them, and what cron has to say.
    for (count, address) in [
        "anonymous@mail.pobox.example",
        "Anonymous@pobox.example",
        "root@mail.pobox.example",
        "root@pobox.example",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(house.send(address, "for the postmaster").starts_with("250"), "{address}");
        house.wait_for_messages("abc", count + 1);
    }
    // He may have it lie there instead.
    house.ran(&["address", "set", "anonymous@pobox.example", "--keep"], "");
    house.send("anonymous@mail.pobox.example", "kept");
    house.wait_for_messages("anonymous", 1);
    assert_eq!(house.events("anonymous_made").len(), 1);
    house.stop();
    house.start();
    assert_eq!(house.messages("anonymous").len(), 1);
}
