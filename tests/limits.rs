//! Limits and bad input: what a client may do to the server, and what it may not.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::house::{House, eventually, field, files_in, message, status_field};
use crate::wire::Wire;

#[test]
fn a_silent_client_is_let_go() {
    let house = House::with("[limits]\nidle = 1");
    for (said, farewell) in [
        ("", "421 timeout (#4.4.2)"),
        ("EHLO client.example\r\n", "421 timeout (#4.4.2)"),
        ("MAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<abc@pobox.example>\r\n", "421 timeout (#4.4.2)"),
        (
            "MAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<abc@pobox.example>\r\nDATA\r\nSubject: x\r\n",
            "451 timeout (#4.4.2)",
        ),
        (
            "MAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<abc@pobox.example>\r\nBDAT 100 LAST\r\nSubject: x\r\n",
            "451 timeout (#4.4.2)",
        ),
    ] {
        let mut wire = house.connect(house.smtp());
        let begin = Instant::now();
        wire.send(said.as_bytes());
        let last = std::iter::from_fn(|| wire.line()).last().expect("a greeting at least");
        assert_eq!(last, farewell, "after {said:?}");
        let took = begin.elapsed();
        assert!((Duration::from_secs(1)..Duration::from_secs(15)).contains(&took), "{took:?} after {said:?}");
    }
    assert_eq!(house.queued(), 0);
    house.wait_for_messages("abc", 0);
}

#[test]
fn a_message_at_an_octet_a_time_has_an_end() {
    let house = House::with("[limits]\nmessage_time_max = 2");
    let mut wire = house.smtp_session();
    wire.say("MAIL FROM:<a@elsewhere.example>", "250");
    wire.say("RCPT TO:<abc@pobox.example>", "250");
    // The server's clock runs from its 354, which is on its way for a moment.
    let begin = Instant::now();
    wire.say("DATA", "354");
    // Never silent for long, and never done.
    while begin.elapsed() < Duration::from_secs(30) && wire.try_send(b"x").is_ok() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = begin.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(20)).contains(&took), "{took:?}");
    house.wait_for_event("timed_out");
    house.wait_for_messages("abc", 0);
}

#[test]
fn the_service_has_so_many_connections_and_no_more() {
    let house = House::with("[limits]\nconnections_max = 3");
    let mut inside: Vec<Wire> = (0..3).map(|_| house.smtp_session()).collect();
    let mut outside = house.connect(house.smtp());
    outside.expect("421 ");
    outside.closed();
    // POP3 has its own.
    let mut pop3: Vec<Wire> = (0..3).map(|_| house.connect(house.pop3())).collect();
    pop3.iter_mut().for_each(|wire| drop(wire.expect("+OK")));
    let mut outside = house.connect(house.pop3());
    outside.expect("-ERR [SYS/TEMP] too many connections, try again later");
    outside.closed();
    // Those inside are served, and who leaves makes room.
    inside[0].say("NOOP", "250");
    inside[1].say("QUIT", "221");
    inside[1].closed();
    let let_in = || {
        let mut wire = house.connect(house.smtp());
        wire.reply().starts_with("220").then_some(wire)
    };
    eventually("there is room again", Duration::from_secs(5), let_in).say("NOOP", "250");
}

#[test]
fn one_address_has_so_many_connections_unless_it_is_trusted() {
    let Some(own) = own_address() else {
        eprintln!("this machine has no address but loopback: nothing to test with");
        return;
    };
    let limits = "[limits]\nconnections_per_address_max = 2";
    let mut house = House::at_rest("0.0.0.0", limits);
    house.start();
    let at = |port: u16| SocketAddr::new(own, port);
    let inside: Vec<Wire> = (0..2).map(|_| greeted(at(house.smtp()))).collect();
    let mut outside = Wire::connect(at(house.smtp()));
    outside.expect("421 ");
    outside.closed();
    // Loopback is exempt.
    let here: Vec<Wire> = (0..5).map(|_| greeted(SocketAddr::from(([127, 0, 0, 1], house.smtp())))).collect();

    // A stranger's password does not cross the network in clear text: not asked for, not listed.
    let mut pop3 = Wire::connect(at(house.pop3()));
    pop3.expect("+OK");
    pop3.say("CAPA", "+OK");
    let capabilities = pop3.rest();
    assert!(
        capabilities.contains(&"STLS".into()) && !capabilities.contains(&"USER".into()),
        "{capabilities:?}"
    );
    pop3.say("USER abc", "-ERR [AUTH] no password without TLS: use STLS, or port 995");
    pop3.say("PASS abc-try", "-ERR [AUTH] no password without TLS: use STLS, or port 995");
    pop3.say("LANG ja", "+OK");
    pop3.say(
        "USER abc",
        "-ERR [AUTH] TLS なしではパスワードを受け付けません。STLS かポート 995 を使ってください",
    );
    pop3.say("STLS", "+OK");
    let mut pop3 = pop3.start_tls(&house.certificate(), "mail.pobox.example");
    pop3.say("USER abc", "+OK");
    pop3.say("PASS abc-try", "+OK");

    // A network that is trusted from now on.
    house.configure("0.0.0.0", &format!("{limits}\ntrusted_networks = [\"{own}/32\"]"));
    house.signal(Signal::SIGHUP);
    house.wait_for_event("reloaded");
    let trusted = || {
        let mut wire = Wire::connect(at(house.smtp()));
        wire.reply().starts_with("220").then_some(wire)
    };
    eventually("trusted networks are exempt", Duration::from_secs(5), trusted);
    drop((inside, here));
}

/// An IPv4 address of this machine that is not loopback. No packet is sent to find it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("203.0.113.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

fn greeted(server: SocketAddr) -> Wire {
    let mut wire = Wire::connect(server);
    wire.expect("220 ");
    wire
}

#[test]
fn a_client_may_vanish_at_any_point() {
    // So few places that a connection which stayed behind would be missed.
    let house = House::with("[limits]\nconnections_max = 2\nidle = 60");
    let envelope =
        "EHLO client.example\r\nMAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<abc@pobox.example>\r\n";
    let points = [
        String::new(),
        "EH".into(),
        "EHLO client.example\r\n".into(),
        "EHLO client.example\r\nMAIL FROM:<a@elsewhere.example>\r\n".into(),
        envelope.into(),
        format!("{envelope}DATA\r\n"),
        format!("{envelope}DATA\r\nSubject: half\r\n\r\nhalf a li"),
        format!("{envelope}DATA\r\nSubject: half\r\n\r\nno end\r\n."),
        format!("{envelope}DATA\r\nSubject: half\r\n\r\n{}", "a line of a large message\r\n".repeat(20_000)),
        format!("{envelope}BDAT 100\r\nSubject: half"),
        format!("{envelope}BDAT 6\r\nhalf\r\n"),
        format!("{envelope}BDAT 100 LAST\r\nSubject: half"),
        "EHLO client.example\r\nSTARTTLS\r\n".into(),
    ];
    for said in &points {
        for by_reset in [false, true] {
            let mut wire = admitted(&house);
            wire.send(said.as_bytes());
            // Now and then the server is ahead of the client's end, now and then behind.
            if by_reset {
                wire.reset();
            }
        }
    }
    // In the middle of a TLS handshake.
    let mut wire = admitted(&house);
    wire.send(b"STARTTLS\r\n");
    wire.expect("220 ");
    wire.send(&[0x16, 0x03, 0x01, 0x02]);
    drop(wire);
    // And one that sent everything but did not wait for the answer: it may find its mail there.
    let mut wire = admitted(&house);
    wire.send(format!("{envelope}DATA\r\nSubject: whole\r\n\r\n.\r\n").as_bytes());
    for _ in 0..4 {
        wire.reply();
    }
    drop(wire);

    let mut pop3 = eventually("POP3 lets us in", Duration::from_secs(10), || {
        let mut wire = house.connect(house.pop3());
        wire.reply().starts_with("+OK").then_some(wire)
    });
    pop3.send(b"USER abc\r\nPASS abc-try\r\nSTAT\r\nRE");
    drop(pop3);

    // Both places are free, half messages came to nothing, the one that was whole may have come.
    let _both = (admitted(&house), admitted(&house));
    house.wait_for_an_empty_queue();
    assert!(
        house.messages("abc").iter().all(|text| field(text, "Subject") == "whole"),
        "{:?}",
        house.messages("abc")
    );
    eventually("the mailbox is free", Duration::from_secs(10), || {
        let mut wire = house.connect(house.pop3());
        wire.expect("+OK");
        wire.say("USER abc", "+OK");
        wire.send(b"PASS abc-try\r\n");
        wire.reply().starts_with("+OK").then_some(())
    });
    assert!(house.events("role_died").is_empty());
}

/// A connection, as soon as there is a place.
fn admitted(house: &House) -> Wire {
    eventually("there is a place", Duration::from_secs(10), || {
        let mut wire = house.connect(house.smtp());
        let greeting = wire.try_reply().unwrap_or_default();
        greeting.starts_with("220").then_some(wire)
    })
}

#[test]
fn endless_lines_use_no_memory() {
    let house = House::new();
    let memory = |role: &str| -> u64 {
        let shown = status_field(house.roles()[role], "VmRSS").unwrap();
        shown.trim_end_matches(" kB").parse().unwrap()
    };
    let junk = vec![b'x'; 1 << 20];
    for (role, port, refusal) in [
        ("smtp", house.smtp(), "500 sorry, that line is too long"),
        ("pop3", house.pop3(), "-ERR line too long"),
    ] {
        let mut wire = house.connect(port);
        wire.reply();
        wire.send(&junk);
        let before = memory(role);
        for _ in 0..64 {
            wire.send(&junk);
        }
        let after = memory(role);
        assert!(after < before + 16 * 1024, "{role} grew from {before} to {after} KiB");
        wire.say("", refusal);
    }
    // A line without end in mail data is no command line: it passes, as mail has to.
    let long = format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(5_000_000));
    let before = memory("smtp");
    let reply = house.smtp_session().transact("a@elsewhere.example", &["abc@pobox.example"], &long);
    assert!(reply.starts_with("250 2.0.0 ok "), "{reply}");
    let after = memory("smtp");
    assert!(after < before + 16 * 1024, "smtp grew from {before} to {after} KiB");
    let arrived = house.wait_for_messages("abc", 1).remove(0);
    assert!(arrived.ends_with(&format!("\n\n{}\n", "x".repeat(5_000_000))), "it arrived whole");
}

#[test]
fn a_thousand_recipients_are_served_and_no_more() {
    let house = House::new();
    let mut wire = house.smtp_session();
    wire.say("MAIL FROM:<a@elsewhere.example>", "250");
    let recipients: String =
        (0..1001).map(|number| format!("RCPT TO:<r{number}@shop.example>\r\n")).collect();
    wire.send(recipients.as_bytes());
    for number in 0..1000 {
        assert_eq!(wire.reply(), "250 2.1.5 ok", "recipient {number}");
    }
    wire.expect("452 sorry, too many recipients");
    wire.say("DATA", "354");
    wire.send(format!("{}.\r\n", "Subject: to a thousand\r\n\r\n").as_bytes());
    wire.expect("250 2.0.0 ok ");
    let messages = house.wait_for_messages("xyz", 1000);
    // Each has its own Delivered-To, and none learns of the others.
    let delivered: std::collections::BTreeSet<String> =
        messages.iter().map(|text| field(text, "Delivered-To")).collect();
    assert_eq!(delivered.len(), 1000);
    assert!(messages.iter().all(|text| text.matches("@shop.example").count() == 1));
}

#[test]
fn two_recipients_with_one_mailbox_make_two_files() {
    let house = House::new();
    let both = ["abc@pobox.example", "list@abc.pobox.example"];
    let reply = house.smtp_session().transact("a@elsewhere.example", &both, &message("twice"));
    assert!(reply.starts_with("250"), "{reply}");
    let messages = house.wait_for_messages("abc", 2);
    let mut addresses: Vec<String> = messages.iter().map(|text| field(text, "Delivered-To")).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, both);
}

/// Roles that cannot do their work at all: clients are put off, and the house recovers by itself.
#[test]
fn a_role_that_cannot_start_puts_clients_off_and_loses_nothing() {
    let house = House::new();
    let maildir = house.maildir("abc");
    let mut asking = house.smtp_session();
    asking.say("MAIL FROM:<a@elsewhere.example>", "250");
    let mut handing_in = house.smtp_session();
    handing_in.say("MAIL FROM:<a@elsewhere.example>", "250");
    handing_in.say("RCPT TO:<abc@pobox.example>", "250");
    handing_in.say("DATA", "354");
    let mut logging_in = house.connect(house.pop3());
    logging_in.expect("+OK");
    let mut logging_in_japanese = house.connect(house.pop3());
    logging_in_japanese.expect("+OK");
    logging_in_japanese.say("LANG ja", "+OK");

    // A disk that went away takes the directory and the queue along.
    let data = house.dir.path().join("data");
    let both = ["directory", "queue"];
    for role in both {
        std::fs::rename(data.join(role), data.join(format!("{role}.away"))).unwrap();
        kill(house.roles()[role], Signal::SIGKILL).unwrap();
    }
    house.wait_for_event("role_failed");
    asking.send(b"RCPT TO:<unknown@shop.example>\r\n");
    handing_in.send(b"Subject: put off\r\n\r\n.\r\n");
    for wire in [&mut logging_in, &mut logging_in_japanese] {
        wire.send(b"USER abc\r\nPASS abc-try\r\n");
        wire.expect("+OK");
    }
    assert_eq!(asking.reply(), "451 sorry, I cannot look up that address now (#4.3.0)");
    assert_eq!(handing_in.reply(), "451 sorry, I could not write your message to disk (#4.3.0)");
    assert_eq!(logging_in.reply(), "-ERR [SYS/TEMP] temporary trouble on this server: try again later");
    assert!(logging_in_japanese.reply().starts_with("-ERR [SYS/TEMP] サーバーに一時的な問題があります"));

    for role in both {
        std::fs::rename(data.join(format!("{role}.away")), data.join(role)).unwrap();
    }
    // The longest pause before a role is started again is ten seconds.
    eventually("the message is taken at last", Duration::from_secs(30), || {
        let mut wire = house.connect(house.smtp());
        wire.expect("220");
        wire.say("MAIL FROM:<a@elsewhere.example>", "250");
        wire.send(b"RCPT TO:<abc@pobox.example>\r\n");
        if !wire.reply().starts_with("250") {
            return None;
        }
        wire.say("DATA", "354");
        wire.send(b"Subject: put off\r\n\r\n.\r\n");
        wire.reply().starts_with("250").then_some(())
    });
    asking.say("RCPT TO:<unknown@shop.example>", "250");
    eventually("it is there once", Duration::from_secs(20), || (files_in(&maildir).len() == 1).then_some(()));
    house.wait_for_an_empty_queue();
    assert_eq!(files_in(&maildir).len(), 1);
}
