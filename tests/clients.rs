//! Clients that others wrote, each in the ways that people use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::house::{House, Ran, field, files_in, message, run};

/// A client with arguments that are parted by blanks.
fn client(program: &str, arguments: &str) -> Command {
    let mut command = Command::new(program);
    // What the person who runs the tests has configured is not meant here.
    command.args(arguments.split_whitespace()).env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8");
    command
}

fn python(script: &str, arguments: &[&str]) -> Ran {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python").join(script);
    run(Command::new("python3").arg("-B").arg(script).args(arguments), "")
}

#[test]
fn curl_sends_in_the_clear_and_under_tls() {
    let house = House::new();
    let (port, tls_port) = (house.smtp(), house.submissions());
    let certificate = house.certificate();
    let server = format!("smtp://127.0.0.1:{port}");
    let envelope = "--mail-from sender@elsewhere.example --upload-file -";

    let clear = format!("-sS {server} {envelope} --mail-rcpt abc@pobox.example");
    run(&mut client("curl", &clear), &message("curl in the clear")).good();

    // STARTTLS, or not at all; the certificate has to be the server's, and for its name.
    let encrypted = format!(
        "-sS smtp://mail.pobox.example:{port} --resolve mail.pobox.example:{port}:127.0.0.1 {envelope} \
         --mail-rcpt abc@pobox.example --ssl-reqd --cacert {}",
        certificate.display()
    );
    run(&mut client("curl", &encrypted), &message("curl under TLS")).good();

    let several = format!(
        "-sS {server} {envelope} --mail-rcpt abc@pobox.example --mail-rcpt a@abc.pobox.example --mail-rcpt x@shop.example"
    );
    run(&mut client("curl", &several), &message("curl to three")).good();

    // A foreign recipient is refused, and curl says by which code.
    let foreign = format!("-sS -v {server} {envelope} --mail-rcpt victim@elsewhere.example");
    let refused = run(&mut client("curl", &foreign), &message("foreign"));
    assert_ne!(refused.code, Some(0));
    assert!(refused.errors.contains("553 sorry, that domain isn't in my list"), "{refused:?}");

    // Submission asks who the client is, under TLS from the first octet too.
    let submission =
        format!("-sS -v --insecure smtps://127.0.0.1:{tls_port} {envelope} --mail-rcpt abc@pobox.example");
    let refused = run(&mut client("curl", &submission), &message("submission"));
    assert_ne!(refused.code, Some(0));
    assert!(refused.errors.contains("530 5.7.0 "), "{refused:?}");

    let messages = house.wait_for_messages("abc", 4);
    house.wait_for_messages("xyz", 1);
    let under_tls = messages.iter().find(|message| field(message, "Subject") == "curl under TLS").unwrap();
    assert!(field(under_tls, "Received").contains(" with ESMTPS id "), "{under_tls}");
    assert!(under_tls.ends_with("\nLine one.\n.Line two begins with a dot.\n"), "{under_tls}");
}

#[test]
fn curl_reads_and_removes_mail() {
    let house = House::new();
    house.send("abc@pobox.example", "curl reads this");
    house.wait_for_messages("abc", 1);
    let (clear, encrypted) = (house.pop3(), house.pop3s());

    let listed =
        run(&mut client("curl", &format!("-sS pop3://127.0.0.1:{clear}/ -u abc:abc-try")), "").good();
    let number_and_size: Vec<&str> = listed.split_whitespace().collect();
    let read = run(&mut client("curl", &format!("-sS pop3://127.0.0.1:{clear}/1 -u abc:abc-try")), "").good();
    assert_eq!(number_and_size, ["1", &read.len().to_string()]);
    assert!(read.contains("\r\nSubject: curl reads this\r\n"), "{read}");
    assert!(read.ends_with("\r\nLine one.\r\n.Line two begins with a dot.\r\n"), "{read}");

    let stls = format!("-sS --insecure --ssl-reqd pop3://127.0.0.1:{clear}/1 -u abc:abc-try");
    assert_eq!(run(&mut client("curl", &stls), "").good(), read);
    let tls = format!("-sS --insecure pop3s://127.0.0.1:{encrypted}/1 -u abc:abc-try");
    assert_eq!(run(&mut client("curl", &tls), "").good(), read);

    let wrong = run(&mut client("curl", &format!("-sS -v pop3://127.0.0.1:{clear}/ -u abc:wrong")), "");
    // "Login denied".
    assert_eq!(wrong.code, Some(67), "{wrong:?}");

    let remove = format!("-sS pop3://127.0.0.1:{clear}/1 -u abc:abc-try -X DELE --list-only");
    run(&mut client("curl", &remove), "").good();
    house.wait_for_messages("abc", 0);
}

#[test]
fn swaks_sends_in_the_clear_and_under_tls() {
    let house = House::new();
    let port = house.smtp();
    let sender = "--from sender@elsewhere.example --timeout 30";
    for (number, way) in ["", "--protocol SMTP", "--tls", "--pipeline"].into_iter().enumerate() {
        let arguments = format!("--server 127.0.0.1 --port {port} --to abc@pobox.example {sender} {way}");
        let transcript = run(&mut client("swaks", &arguments), "").good();
        assert!(transcript.contains(" ok "), "{transcript}");
        house.wait_for_messages("abc", number + 1);
    }
    let foreign = format!("--server 127.0.0.1 --port {port} --to victim@elsewhere.example {sender}");
    let refused = run(&mut client("swaks", &foreign), "");
    // "Error during RCPT".
    assert_eq!(refused.code, Some(24), "{refused:?}");
    let submission =
        format!("--server 127.0.0.1 --port {} --to abc@pobox.example {sender} --tls", house.submission());
    let refused = run(&mut client("swaks", &submission), "");
    // "Error during MAIL".
    assert_eq!(refused.code, Some(23), "{refused:?}");
    let implicit = format!(
        "--server 127.0.0.1 --port {} --quit-after EHLO {sender} --tls-on-connect",
        house.submissions()
    );
    run(&mut client("swaks", &implicit), "").good();
}

#[test]
fn python_sends_mail() {
    let house = House::new();
    let certificate = house.certificate();
    let arguments = [&house.smtp().to_string(), certificate.to_str().unwrap()];
    assert_eq!(python("submit.py", &arguments).good(), "good\n");
    // One in the clear, one to two addresses of one mailbox, one under TLS.
    house.wait_for_messages("abc", 4);
    let international = house.wait_for_messages("xyz", 1).remove(0);
    assert!(international.contains("\nこんにちは\n") || international.contains("base64"), "{international}");
    assert!(field(&international, "Received").contains(" with UTF8SMTP id "), "{international}");
    assert_eq!(field(&international, "Return-Path"), "<太郎@elsewhere.example>");
}

#[test]
fn python_reads_mail() {
    let house = House::new();
    house.send("abc@pobox.example", "the first");
    house.wait_for_messages("abc", 1);
    let second = "Subject: the second\r\n\r\n.A line with a dot.\r\n..\r\n\r\nThe end.\r\n";
    house.smtp_session().transact("sender@elsewhere.example", &["abc@pobox.example"], second);
    house.wait_for_messages("abc", 2);
    let certificate = house.certificate();
    let arguments = [&house.pop3().to_string(), &house.pop3s().to_string(), certificate.to_str().unwrap()];
    assert_eq!(python("fetch.py", &arguments).good(), "good\n");
    house.wait_for_messages("abc", 1);
}

/// OpenSSL judges the certificate, and which versions of TLS there are: 1.2 and 1.3, nothing older.
#[test]
fn openssl_negotiates_tls_of_today_and_none_of_yesterday() {
    let house = House::new();
    let certificate = house.certificate();
    let doors = [
        (house.smtp(), "-starttls smtp"),
        (house.submission(), "-starttls smtp"),
        (house.submissions(), ""),
        (house.pop3(), "-starttls pop3"),
        (house.pop3s(), ""),
    ];
    for (port, how) in doors {
        let connect = |version: &str| {
            // Old versions are below what this OpenSSL would try by itself.
            let arguments = format!(
                "s_client -connect 127.0.0.1:{port} {how} {version} -cipher ALL:@SECLEVEL=0 -CAfile {} \
                 -verify_return_error -verify_hostname mail.pobox.example",
                certificate.display(),
            );
            run(&mut client("openssl", &arguments), "QUIT\r\n")
        };
        for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let transcript = connect(version).good();
            assert!(transcript.contains("Verify return code: 0 (ok)"), "{transcript}");
            assert!(
                transcript.contains(&format!("New, {name}, Cipher is ")),
                "{name} at {how:?}: {transcript}"
            );
        }
        let refused = connect("-tls1_1");
        assert_ne!(refused.code, Some(0), "{how:?}: {refused:?}");
        assert!(refused.output.contains("Cipher is (NONE)"), "{how:?}: {refused:?}");
    }
}

/// The load of Postfix's own test program: 50 sessions at once.
#[test]
fn smtp_source_sends_with_fifty_sessions() {
    let house = House::new();
    let program = ["/usr/sbin/smtp-source", "smtp-source"].into_iter().find(|name| Path::new(name).exists());
    let load = format!(
        "-s 50 -m 500 -l 2000 -f sender@elsewhere.example -t abc@pobox.example 127.0.0.1:{}",
        house.smtp()
    );
    run(&mut client(program.unwrap_or("smtp-source"), &load), "").good();
    house.wait_for_messages("abc", 500);
    house.wait_for_an_empty_queue();
    // Several messages on one connection, of two recipients each.
    let load = format!(
        "-d -s 5 -m 50 -r 2 -l 70000 -f sender@elsewhere.example -t x@shop.example 127.0.0.1:{}",
        house.smtp()
    );
    run(&mut client(program.unwrap_or("smtp-source"), &load), "").good();
    house.wait_for_messages("xyz", 100);
}

/// By SCRAM it proves that it knows the password without sending it.
#[test]
fn msmtp_logs_in_by_every_mechanism() {
    let house = House::new();
    let send = |mechanism: &str, port: u16, starttls: &str, password: &str| {
        let arguments = format!(
            "--host=127.0.0.1 --port={port} --tls=on --tls-starttls={starttls} --tls-certcheck=off \
             --auth={mechanism} --user=abc --from=abc@pobox.example xyz@pobox.example"
        );
        let told = format!("--passwordeval=echo {password}");
        run(client("msmtp", &arguments).arg(told), "From: abc@pobox.example\nSubject: by msmtp\n\nhello\n")
    };
    for (number, mechanism) in ["plain", "login", "scram-sha-256"].into_iter().enumerate() {
        send(mechanism, house.submission(), "on", "abc-try").good();
        send(mechanism, house.submissions(), "off", "abc-try").good();
        let refused = send(mechanism, house.submission(), "on", "wrong");
        assert!(refused.errors.contains("that name or password is wrong"), "{mechanism}: {refused:?}");
        house.wait_for_messages("xyz", 2 * (number + 1));
    }
    let logins = house.events("login");
    let by_scram = logins.iter().filter(|event| event["mechanism"] == "SCRAM-SHA-256").count();
    assert_eq!((logins.len(), by_scram), (6, 2));
}

#[test]
fn mpop_fetches_mail_and_leaves_what_it_has() {
    let house = House::new();
    house.send("abc@pobox.example", "mpop fetches this");
    house.wait_for_messages("abc", 1);
    let dir = house.dir.path();
    let here = dir.join("fetched");
    for folder in ["tmp", "new", "cur"] {
        fs::create_dir_all(here.join(folder)).unwrap();
    }
    let fetch = |number: usize, keep: &str, tls: &str, port: u16| {
        let file = dir.join("mpoprc");
        let text = format!(
            "account default\nhost 127.0.0.1\nport {port}\nauth user\nuser abc\npassword abc-try\nkeep {keep}\n{tls}\n\
             uidls_file {}\ndelivery maildir {}\n",
            dir.join("uidls").display(),
            here.display(),
        );
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        run(&mut client("mpop", &format!("--file={}", file.display())), "").good();
        assert_eq!(files_in(&here).len(), number);
    };
    fetch(1, "on", "tls off", house.pop3());
    // The same UID: it is not fetched again, by STLS neither.
    fetch(1, "on", "tls on\ntls_certcheck off", house.pop3());
    house.send("abc@pobox.example", "one more");
    house.wait_for_messages("abc", 2);
    fetch(2, "off", "tls on\ntls_starttls off\ntls_certcheck off", house.pop3s());
    house.wait_for_messages("abc", 0);
}

#[test]
fn fetchmail_fetches_and_removes_mail() {
    let house = House::new();
    for number in 1..=3 {
        house.send("abc@pobox.example", &format!("fetchmail fetches {number}"));
        house.wait_for_messages("abc", number);
    }
    let dir = house.dir.path();
    let text = format!(
        "poll 127.0.0.1 protocol POP3 service {} auth password user \"abc\" password \"abc-try\" sslproto \"\" \
         nokeep fetchall mda \"cat >> {}\"\n",
        house.pop3(),
        dir.join("mbox").display(),
    );
    let file = dir.join("fetchmailrc");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut fetchmail =
        client("fetchmail", &format!("-v -f {} --pidfile {}", file.display(), dir.join("pid").display()));
    run(fetchmail.env("HOME", dir).env("FETCHMAILHOME", dir), "").good();
    let mbox = fs::read_to_string(dir.join("mbox")).unwrap();
    for number in 1..=3 {
        assert!(mbox.contains(&format!("Subject: fetchmail fetches {number}\n")), "{mbox}");
    }
    house.wait_for_messages("abc", 0);
}

/// Mail readers on the same machine take our mailboxes for what they are.
#[test]
fn mail_readers_read_the_maildir() {
    let house = House::new();
    for subject in ["first", "second"] {
        house.send("abc@pobox.example", subject);
    }
    house.wait_for_messages("abc", 2);
    let maildir = house.maildir("abc");
    let maildir = maildir.to_str().unwrap();

    let listed = run(&mut client("mlist", maildir), "").good();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let subjects = run(&mut client("mhdr", "-h Subject"), &listed).good();
    let mut subjects: Vec<&str> = subjects.lines().collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["first", "second"]);

    assert_eq!(python("read_maildir.py", &[maildir]).good(), "first\nsecond\n");
}
