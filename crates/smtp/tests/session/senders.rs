//! Customers who send: how they show who they are, as whom they may write, and what is added for them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envelope::{Entitlement, LimitReached, SendingLimit};
use smtp::{Action, AuthenticationFailure, Event, Mechanism, Mode, NotAccepted, Settings};

use crate::driver::{
    Driver, ITERATIONS, PASSWORD, SALT, dialogue, mac, salted, sender, settings, settings_with_auth,
};

/// Plays a dialogue with a fresh server that was greeted with EHLO.
fn play(settings: Settings, script: &str) -> Driver {
    let mut driver = Driver::new(settings);
    driver.say("EHLO client.example\r\n");
    dialogue(&mut driver, script);
    driver
}

/// `\0abc\0pass`
const AUTH_PLAIN: &str = "AUTH PLAIN AGFiYwBwYXNz\r\n";

/// A server that knows that this is abc.
fn abc() -> Driver {
    let mut driver = Driver::new(settings_with_auth());
    driver.say("EHLO client.example\r\n");
    assert_eq!(driver.say(AUTH_PLAIN), "235 2.7.0 ok, go ahead\r\n");
    driver.events.clear();
    driver
}

/// Sends a message as abc, and gives the reply and, if it was taken, what stands under Received.
fn send(driver: &mut Driver, message: &str) -> (String, Option<String>) {
    driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n");
    let reply = driver.say(&format!("{message}.\r\n"));
    (reply, driver.accepted.pop().map(|(_, octets)| without_received(&octets)))
}

fn without_received(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message).into_owned();
    text.split_once("+0900\r\n").unwrap().1.to_owned()
}

const OK: &str = "250 2.0.0 ok 0 qp 0000000000001\r\n";
const DENIED: &str = "552 sorry, your domain isn't in my list of allowed senderhosts (#5.7.1)\r\n";
const DATE: &str = "Date: Tue, 24 Nov 2026 07:05:36 +0900\r\n";
const MESSAGE_ID: &str = "Message-ID: <0000000000001@mx.pobox.example>\r\n";

#[test]
fn a_program_of_this_machine_is_known_before_it_speaks() {
    let settings = Settings { mode: Mode::Submission, offers_starttls: false, ..settings() };
    let mut driver = Driver::of_program(settings, sender("abc", Entitlement::LocalUser));
    assert_eq!(driver.sent(), "220 mx.pobox.example ESMTP\r\n");
    let hello = driver.say("EHLO cgi.example\r\n");
    assert!(!hello.contains("STARTTLS") && !hello.contains("AUTH"), "{hello}");
    assert!(driver.say("AUTH PLAIN AGFiYwBwYXNz\r\n").starts_with("502"));
    driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n");
    assert!(driver.say("Subject: x\r\n\r\nhello\r\n.\r\n").starts_with("250"));
    let (_, message) = driver.accepted.pop().unwrap();
    let message = String::from_utf8(message).unwrap();
    // A user id is no AUTH (RFC 3848).
    let trace = "Received: from cgi.example (localhost [127.0.0.1]) (sendmail-bs, user id 1001)\r\n\
                 \tby mx.pobox.example with ESMTP id ";
    assert!(message.starts_with(trace), "{message}");
    assert!(message.contains("\r\nFrom: <abc@pobox.example>\r\n"), "{message}");
    assert!(driver.senders.contains(&Some(sender("abc", Entitlement::LocalUser))), "{:?}", driver.senders);
}

#[test]
fn plain_and_login_are_said_at_once_or_step_by_step() {
    for script in [
        "C: AUTH PLAIN AGFiYwBwYXNz
         S: 235 2.7.0 ok, go ahead",
        "C: auth plain
         S: 334\x20
         C: AGFiYwBwYXNz
         S: 235 2.7.0 ok, go ahead",
        "C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: YWJj
         S: 334 UGFzc3dvcmQ6
         C: cGFzcw==
         S: 235 2.7.0 ok, go ahead",
        "C: AUTH LOGIN YWJj
         S: 334 UGFzc3dvcmQ6
         C: cGFzcw==
         S: 235 2.7.0 ok, go ahead",
    ] {
        let mut driver = play(settings_with_auth(), script);
        let mechanism = if script.contains("LOGIN") { Mechanism::Login } else { Mechanism::Plain };
        let abc = sender("abc", Entitlement::Authentication);
        assert_eq!(driver.events, [Event::LoggedIn { sender: abc.clone(), mechanism }]);
        assert_eq!(driver.say(AUTH_PLAIN), "503 you said who you are already (#5.5.1)\r\n");
        assert_eq!(*driver.session.client(), envelope::Client::Sender(abc));
    }
}

/// The client's side of SCRAM-SHA-256: its last message but one, and what the server should answer.
fn scram_proof(name: &str, password: &str, server_first: &str) -> (String, String) {
    let nonce = server_first.strip_prefix("r=").unwrap().split(',').next().unwrap();
    assert!(nonce.starts_with("fyko") && nonce.len() > 20);
    assert!(server_first.ends_with(&format!("s={},i={ITERATIONS}", STANDARD.encode(SALT))));
    let without_proof = format!("c=biws,r={nonce}");
    let signed = format!("n={name},r=fyko,{server_first},{without_proof}");
    let client_key = mac(&salted(password), b"Client Key");
    let stored_key: [u8; 32] =
        sha2::Digest::finalize(sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), client_key))
            .into();
    let mut proof = mac(&stored_key, signed.as_bytes());
    proof.iter_mut().zip(client_key).for_each(|(octet, key)| *octet ^= key);
    let server_key = mac(&salted(password), b"Server Key");
    let signature = format!("v={}", STANDARD.encode(mac(&server_key, signed.as_bytes())));
    (format!("{without_proof},p={}", STANDARD.encode(proof)), signature)
}

/// Runs the exchange up to the client's proof. Gives the server's answer to it, and what it should
/// be if all is well.
fn scram(driver: &mut Driver, name: &str, password: &str) -> (String, String) {
    let first = STANDARD.encode(format!("n,,n={name},r=fyko"));
    let challenge = driver.say(&format!("AUTH SCRAM-SHA-256 {first}\r\n"));
    let challenge = STANDARD.decode(challenge.strip_prefix("334 ").unwrap().trim_end()).unwrap();
    let (last, signature) = scram_proof(name, password, std::str::from_utf8(&challenge).unwrap());
    let answer = driver.say(&format!("{}\r\n", STANDARD.encode(last)));
    (answer, format!("334 {}\r\n", STANDARD.encode(signature)))
}

#[test]
fn scram_proves_both_sides_to_each_other() {
    let mut driver = Driver::new(settings_with_auth());
    driver.say("EHLO client.example\r\n");
    let (answer, expected) = scram(&mut driver, "abc", PASSWORD);
    assert_eq!(answer, expected);
    assert_eq!(driver.say("\r\n"), "235 2.7.0 ok, go ahead\r\n");
    let abc = sender("abc", Entitlement::Authentication);
    assert_eq!(driver.events, [Event::LoggedIn { sender: abc, mechanism: Mechanism::ScramSha256 }]);
}

#[test]
fn scram_does_not_tell_who_there_is() {
    let wrong = "535 5.7.8 sorry, that name or password is wrong\r\n";
    for (name, password) in [("abc", "guess"), ("nobody", PASSWORD), ("suspended", "guess")] {
        let mut driver = Driver::new(settings_with_auth());
        driver.say("EHLO client.example\r\n");
        assert_eq!(scram(&mut driver, name, password).0, wrong);
        let failure = AuthenticationFailure::Credentials;
        let mechanism = Mechanism::ScramSha256;
        assert_eq!(driver.events, [Event::LoginRefused { name: Some(name.into()), mechanism, failure }]);
    }
    let mut driver = Driver::new(settings_with_auth());
    driver.say("EHLO client.example\r\n");
    let suspended = "525 5.7.13 sorry, this account is suspended\r\n";
    assert_eq!(scram(&mut driver, "suspended", PASSWORD).0, suspended, "who knows the password learns it");
}

/// The last step only says that the client has seen that it is us. It cannot be skipped, or be more.
#[test]
fn scram_ends_with_an_empty_response_and_nothing_else() {
    for (end, reply) in [
        ("YQ==", "501 5.5.2 sorry, that is not what this mechanism asks for\r\n"),
        ("*", "501 5.7.0 cancelled\r\n"),
    ] {
        let mut driver = Driver::new(settings_with_auth());
        driver.say("EHLO client.example\r\n");
        let (answer, expected) = scram(&mut driver, "abc", PASSWORD);
        assert_eq!(answer, expected);
        assert_eq!(driver.say(&format!("{end}\r\n")), reply);
        assert_eq!(*driver.session.client(), envelope::Client::Stranger);
    }
}

/// A shell that answers as if there had been a password lets nobody in.
#[test]
fn a_proof_is_answered_as_a_proof() {
    let mut driver = Driver::new(settings_with_auth());
    driver.say("EHLO client.example\r\n");
    let first = STANDARD.encode("n,,n=abc,r=fyko");
    let challenge = driver.say(&format!("AUTH SCRAM-SHA-256 {first}\r\n"));
    let challenge = STANDARD.decode(challenge.strip_prefix("334 ").unwrap().trim_end()).unwrap();
    let (last, _) = scram_proof("abc", "guess", std::str::from_utf8(&challenge).unwrap());
    driver.session.receive(format!("{}\r\n", STANDARD.encode(last)).as_str().into(), driver.now);
    let asked = driver.session.next_action(driver.now, crate::driver::WALL);
    let Some(Action::ScramProof { name, .. }) = asked else { panic!("{asked:?}") };
    assert_eq!(name, "abc");
    driver.session.authenticated(Ok(sender("abc", Entitlement::Authentication)));
    driver.session.scram_salt(Err(AuthenticationFailure::TryLater), [0; 18]);
    driver.session.scram_proved(Err(AuthenticationFailure::Credentials));
    driver.run();
    assert_eq!(driver.sent(), "535 5.7.8 sorry, that name or password is wrong\r\n");
}

#[test]
fn what_goes_wrong_in_an_exchange_ends_it() {
    play(
        Settings { errors_max: 100, ..settings_with_auth() },
        "C: AUTH
         S: 501 5.5.4 sorry, the form is: AUTH mechanism [initial-response]
         C: AUTH CRAM-MD5
         S: 504 5.5.4 sorry, that is not among the mechanisms I offer
         C: AUTH PLAIN
         S: 334\x20
         C: *
         S: 501 5.7.0 cancelled
         C: AUTH PLAIN !
         S: 501 5.5.2 sorry, that is not base64
         C: AUTH PLAIN =
         S: 501 5.5.2 sorry, that is not what this mechanism asks for
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: YWJj
         S: 334 UGFzc3dvcmQ6
         C: *
         S: 501 5.7.0 cancelled
         C: AUTH SCRAM-SHA-256 cD10bHMtZXhwb3J0ZXIsLG49YWJjLHI9YQ==
         S: 501 5.5.4 sorry, channel binding is not offered
         C: AUTH SCRAM-SHA-256
         S: 334\x20
         C: biwsbj1zbG93LHI9YQ==
         S: 454 4.7.0 sorry, I cannot look up that name now, try again later
         C: AUTH PLAIN AHNsb3cAcGFzcw==
         S: 454 4.7.0 sorry, I cannot look up that name now, try again later
         C: AUTH PLAIN AHJlYWRlcgBwYXNz
         S: 535 5.7.1 sorry, this account may receive mail and not send
         C: AUTH PLAIN AGd1ZXNzZWQAcGFzcw==
         S: 454 4.7.0 sorry, too many wrong passwords for that name, try again later
         C: NOOP
         S: 250 2.0.0 ok
         C: AUTH PLAIN AGFiYwBwYXNz
         S: 235 2.7.0 ok, go ahead",
    );
}

#[test]
fn a_response_may_have_12288_octets_and_no_more() {
    let mut driver = Driver::new(Settings { login_failures_max: 100, ..settings_with_auth() });
    driver.say("EHLO client.example\r\n");
    let long = STANDARD.encode(format!("\0abc\0{}", "x".repeat(9208)));
    assert_eq!(long.len(), 12_284);
    driver.say("AUTH PLAIN\r\n");
    let wrong = "535 5.7.8 sorry, that name or password is wrong\r\n";
    assert_eq!(driver.say(&format!("{long}\r\n")), wrong);
    driver.say("AUTH PLAIN\r\n");
    for piece in [&long[..5000], &long[5000..], "\r", "\nNOOP\r\n"] {
        driver.give(piece.as_bytes());
    }
    assert_eq!(driver.sent(), format!("{wrong}250 2.0.0 ok\r\n"));
    driver.say("AUTH PLAIN\r\n");
    let too_long = format!("{}\r\nNOOP\r\n", "A".repeat(12_287));
    assert_eq!(driver.say(&too_long), "500 5.5.6 sorry, that line is too long\r\n250 2.0.0 ok\r\n");
    let initial = format!("AUTH PLAIN {}\r\n", "A".repeat(2040));
    assert_eq!(driver.say(&initial), "500 5.5.2 sorry, that line is too long\r\n", "a command is a command");
}

#[test]
fn who_fails_three_times_is_sent_away() {
    let mut driver = Driver::new(settings_with_auth());
    driver.say("EHLO client.example\r\n");
    let wrong = "535 5.7.8 sorry, that name or password is wrong\r\n";
    assert_eq!(driver.say("AUTH PLAIN AGFiYwBndWVzcw==\r\n"), wrong);
    assert_eq!(driver.say("AUTH PLAIN eHl6AGFiYwBwYXNz\r\n"), wrong, "abc may not act as xyz");
    assert_eq!(
        driver.say("AUTH PLAIN AG5vYm9keQBwYXNz\r\nNOOP\r\n"),
        format!("{wrong}421 4.7.0 too many failures to authenticate, I hang up\r\n")
    );
    assert!(driver.closed);
    assert_eq!(driver.events.last(), Some(&Event::TooManyLoginFailures));
    let names: Vec<Option<&str>> = driver.events.iter().filter_map(login_refused).collect();
    assert_eq!(names, [Some("abc"), None, Some("nobody")]);
}

fn login_refused(event: &Event) -> Option<Option<&str>> {
    match event {
        Event::LoginRefused { name, .. } => Some(name.as_deref()),
        _ => None,
    }
}

#[test]
fn auth_is_for_the_time_before_a_message() {
    play(
        settings_with_auth(),
        "C: MAIL FROM:<joe@x.example>
         S: 250 2.1.0 ok
         C: AUTH PLAIN AGFiYwBwYXNz
         S: 503 AUTH comes before MAIL: RSET first (#5.5.1)
         C: RSET
         S: 250 2.0.0 flushed
         C: AUTH PLAIN AGFiYwBwYXNz
         S: 235 2.7.0 ok, go ahead",
    );
}

#[test]
fn passwords_wait_for_tls_and_tls_forgets_them() {
    let over_tls = Settings { plaintext_auth: false, mode: Mode::Submission, ..settings_with_auth() };
    let mut driver = Driver::new(over_tls);
    assert!(!driver.say("EHLO client.example\r\n").contains("AUTH"));
    assert_eq!(driver.say(AUTH_PLAIN), "538 5.7.11 sorry, no passwords in clear text: STARTTLS first\r\n");
    driver.say("STARTTLS\r\n");
    assert!(driver.say("EHLO client.example\r\n").contains("\r\n250-AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n"));
    assert_eq!(driver.say(AUTH_PLAIN), "235 2.7.0 ok, go ahead\r\n");
    driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n.\r\n");
    let text = String::from_utf8_lossy(&driver.accepted[0].1).into_owned();
    assert!(text.contains("with ESMTPSA id"), "{text}");

    let mut driver = abc();
    assert_eq!(driver.say("STARTTLS\r\n"), "220 2.0.0 ready to start TLS\r\n");
    assert_eq!(*driver.session.client(), envelope::Client::Stranger);
    driver.say("EHLO client.example\r\n");
    assert_eq!(driver.say(AUTH_PLAIN), "235 2.7.0 ok, go ahead\r\n");
}

#[test]
fn a_customer_sends_anywhere_and_as_himself_only() {
    let mut driver = abc();
    dialogue(
        &mut driver,
        "C: MAIL FROM:<xyz@pobox.example>
         S: 552 sorry, your domain isn't in my list of allowed senderhosts (#5.7.1)
         C: MAIL FROM:<joe@x.example>
         S: 552 sorry, your domain isn't in my list of allowed senderhosts (#5.7.1)
         C: MAIL FROM:<slow@pobox.example>
         S: 451 sorry, I cannot look up that address now (#4.3.0)
         C: RCPT TO:<joe@x.example>
         S: 503 MAIL first (#5.5.1)
         C: MAIL FROM:<abc@pobox.example> AUTH=<>
         S: 250 2.1.0 ok
         C: RCPT TO:<nobody@pobox.example>
         S: 550 sorry, no mailbox here by that name (#5.1.1)
         C: RCPT TO:<joe@x.example>
         S: 250 2.1.5 ok
         C: DATA
         S: 354 go ahead
         C: From: Abc <abc@pobox.example>
         C:
         C: .
         S: 250 2.0.0 ok 0 qp 0000000000001",
    );
    assert_eq!(driver.senders, [Some(sender("abc", Entitlement::Authentication))]);
    let text = String::from_utf8_lossy(&driver.accepted[0].1).into_owned();
    assert!(text.contains("by mx.pobox.example with ESMTPA id"), "{text}");
    let accounts: Vec<_> = driver.events.iter().map(account).collect();
    assert_eq!(accounts, ["abc"; 5], "every refusal and the acceptance are under his name");
}

fn account(event: &Event) -> String {
    match event {
        Event::Accepted { account, .. } => account.as_ref(),
        Event::Refused(refused) => refused.account.as_ref(),
        _ => None,
    }
    .map(ToString::to_string)
    .unwrap_or_default()
}

/// At MAIL for who showed who he is, at RCPT for who comes by a window, and at the end of the data for whom
/// another session was quicker than.
#[test]
fn who_has_sent_enough_is_told_which_limit_and_whether_to_try_again() {
    let reached = |until| LimitReached { which: SendingLimit::MessagesPerHour, most: 30, until };
    let later = "450 sorry, the limit of 30 messages per hour is reached, try again later (#4.7.1)\r\n";
    let never = "550 sorry, the limit of 30 messages per hour is reached by this one message (#5.7.1)\r\n";
    for (until, reply) in [(Some(1_800_000_000), later), (None, never)] {
        let limit = reached(until);
        let mut driver = abc();
        driver.limit = Some(limit);
        assert_eq!(driver.say("MAIL FROM:<abc@pobox.example>\r\n"), reply);
        assert_eq!(driver.say("MAIL FROM:<>\r\n"), reply);
        assert_eq!(account(driver.events.last().unwrap()), "abc");

        let mut driver = Driver::new(settings());
        driver.windows = vec!["abc"];
        driver.limit = Some(limit);
        driver.say("MAIL FROM:<abc@pobox.example>\r\n");
        assert_eq!(driver.say("RCPT TO:<joe@x.example>\r\n"), reply);
        driver.limit = None;
        assert_eq!(driver.say("RCPT TO:<joe@x.example>\r\n"), "250 ok\r\n");

        let mut driver = abc();
        driver.committing = Err(NotAccepted::LimitReached(limit));
        assert_eq!(send(&mut driver, "From: abc@pobox.example\r\n\r\n"), (reply.to_owned(), None));
        assert_eq!(account(driver.events.last().unwrap()), "abc");
    }
    // Strangers have no limit of this kind.
    let mut driver = Driver::new(settings());
    driver.limit = Some(reached(None));
    assert_eq!(driver.say("MAIL FROM:<joe@x.example>\r\nRCPT TO:<abc@pobox.example>\r\n").lines().count(), 3);
}

#[test]
fn at_the_end_of_the_data_a_plan_may_say_no() {
    for (why, reply) in [
        (NotAccepted::SenderDenied, DENIED),
        (NotAccepted::TooLarge, "552 sorry, that message size exceeds my databytes limit (#5.3.4)\r\n"),
    ] {
        let mut driver = abc();
        driver.committing = Err(why);
        assert_eq!(send(&mut driver, "From: abc@pobox.example\r\n\r\n"), (reply.to_owned(), None));
        assert_eq!(driver.say("NOOP\r\n"), "250 2.0.0 ok\r\n");
    }
}

#[test]
fn every_author_of_a_submission_is_judged() {
    for (header, reply) in [
        ("From: abc@pobox.example", OK),
        ("From: \"Def, Abc\"\r\n\t<ABC@POBOX.example>", OK),
        ("From: us: abc@pobox.example, <postmaster@pobox.example>;\r\nSender: abc@pobox.example", OK),
        ("From: joe@x.example", DENIED),
        ("From: abc@pobox.example, joe@x.example", DENIED),
        ("From: xyz@pobox.example", DENIED),
        ("From: nobody@pobox.example", DENIED),
        ("From: joe@x.example <abc@pobox.example>", DENIED),
        ("From: abc@pobox.example\r\nSender: joe@x.example", DENIED),
        ("Sender: joe@x.example", DENIED),
        ("From: abc@pobox.example\r\nResent-From: joe@x.example", DENIED),
        ("From: abc@pobox.example\r\nResent-Sender: joe@x.example", DENIED),
        ("From: slow@pobox.example", "451 sorry, I cannot look up that address now (#4.3.0)\r\n"),
        (
            "From: abc@pobox.example\r\nFrom: abc@pobox.example",
            "554 sorry, your message has more than one From field, and may have one (#5.6.0)\r\n",
        ),
        (
            "From: Abc",
            "554 sorry, I cannot read an address in your From field; the form is: \
             name <local-part@domain> (#5.6.0)\r\n",
        ),
        (
            "From: abc@pobox.example\r\nSender: <abc",
            "554 sorry, I cannot read the address in your Sender field; the form is: \
             name <local-part@domain> (#5.6.0)\r\n",
        ),
    ] {
        for end in ["\r\n\r\nFrom: joe@x.example\r\n", "\r\n"] {
            let mut driver = abc();
            let (answer, taken) = send(&mut driver, &format!("{header}{end}"));
            assert_eq!(answer, reply, "{header}");
            assert_eq!(taken.is_some(), reply == OK);
            assert!(driver.draft.is_none());
            assert!(driver.events.iter().all(|event| account(event) == "abc"));
            assert_eq!(driver.say("NOOP\r\n"), "250 2.0.0 ok\r\n");
        }
    }
}

#[test]
fn chunks_of_a_submission_are_judged_wherever_they_are_cut() {
    let message = "From: joe@x.example\r\n\r\nbody\r\n";
    for cut in 0..=message.len() {
        let (first, last) = message.split_at(cut);
        let mut driver = abc();
        driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\n");
        let replies =
            driver.say(&format!("BDAT {}\r\n{first}BDAT {} LAST\r\n{last}", first.len(), last.len()));
        assert!(replies.contains(DENIED), "{cut}: {replies}");
        assert!(driver.accepted.is_empty() && driver.draft.is_none());
    }
    let mut driver = abc();
    driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\n");
    assert_eq!(driver.say("BDAT 19 LAST\r\nFrom: joe@x.exampl"), "");
    assert_eq!(driver.say("e"), DENIED);
    driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\n");
    assert_eq!(driver.say("BDAT 23 LAST\r\nFrom: abc@pobox.example"), "250 2.0.0 ok 0 qp 0000000000002\r\n");
    let taken = without_received(&driver.accepted[0].1);
    assert!(taken.ends_with("From: abc@pobox.example\r\n"), "and the missing line end was added: {taken}");
}

#[test]
fn what_is_there_is_not_changed_and_what_is_not_is_added_once() {
    let from = "From: abc@pobox.example\r\n";
    for (message, added) in [
        (format!("{from}\r\nhello\r\n"), format!("{DATE}{MESSAGE_ID}")),
        (format!("{from}Date: Tue, 24 Nov 98 7:05 JST\r\n\r\nhello\r\n"), MESSAGE_ID.to_owned()),
        (format!("Message-Id: <1@pet>\r\n{from}\r\nDate: in the body\r\n"), DATE.to_owned()),
        (
            format!("DATE:\r\nMESSAGE-ID :\r\n x\r\n{from}Date: again\r\nBcc: xyz@pobox.example\r\n\r\n"),
            String::new(),
        ),
        (from.to_owned(), format!("{DATE}{MESSAGE_ID}")),
        ("\r\nhello\r\n".to_owned(), format!("{DATE}{MESSAGE_ID}From: <abc@pobox.example>\r\n")),
        ("hello\r\n".to_owned(), format!("{DATE}{MESSAGE_ID}From: <abc@pobox.example>\r\n\r\n")),
        (String::new(), format!("{DATE}{MESSAGE_ID}From: <abc@pobox.example>\r\n")),
    ] {
        let (reply, taken) = send(&mut abc(), &message);
        assert_eq!((reply.as_str(), taken), (OK, Some(format!("{added}{message}"))));
    }
}

/// Receipts have no reverse-path (RFC 8098 §3), and are held to the rule all the same.
#[test]
fn a_customer_may_send_without_a_reverse_path_and_not_as_another() {
    for (message, reply, under_received) in [
        ("From: abc@pobox.example\r\n\r\n", OK, Some(format!("{DATE}{MESSAGE_ID}"))),
        ("To: joe@x.example\r\n\r\n", OK, Some(format!("{DATE}{MESSAGE_ID}From: <abc@pobox.example>\r\n"))),
        ("From: joe@x.example\r\n\r\n", DENIED, None),
        ("Sender: joe@x.example\r\n\r\n", DENIED, None),
    ] {
        let mut driver = abc();
        driver.say("MAIL FROM:<>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n");
        assert_eq!(driver.say(&format!("{message}.\r\n")), reply);
        let taken = driver.accepted.pop().map(|(_, octets)| without_received(&octets));
        assert_eq!(taken, under_received.map(|added| format!("{added}{message}")));
    }
}

/// PostPet: it checks its mail, and then sends on another connection, without Date and Message-ID.
#[test]
fn a_customer_who_checked_his_mail_sends_as_himself() {
    let mut driver = Driver::new(settings());
    driver.windows = vec!["xyz", "abc"];
    driver.say("HELO pet\r\nMAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n");
    let header = b"From: \x1b$B$b$b$3\"(\x1b(B <abc@pobox.example>\r\nTo: joe@x.example\r\nSubject: \x1b$B<j;f\x1b(B\r\n";
    driver.give(&[&header[..], b"X-Mailer: PostPet\r\n\r\nhello\r\n.\r\n"].concat());
    assert_eq!(driver.sent(), "250 ok 0 qp 0000000000001\r\n");
    assert_eq!(driver.senders, [Some(sender("abc", Entitlement::Window))]);
    let (_, message) = &driver.accepted[0];
    let text = String::from_utf8_lossy(message);
    assert!(text.contains("by mx.pobox.example with SMTP id"), "a window is no authentication: {text}");
    let expected = format!("{DATE}{MESSAGE_ID}{}", String::from_utf8_lossy(header));
    assert!(without_received(message).starts_with(&expected), "{text}");
    assert_eq!(account(driver.events.last().unwrap()), "abc");

    driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n");
    assert_eq!(
        driver.say("From: xyz@pobox.example\r\n\r\n.\r\n"),
        DENIED,
        "the window of another does not help"
    );
    driver.say("MAIL FROM:<joe@x.example>\r\n");
    let relay = "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\r\n";
    assert_eq!(driver.say("RCPT TO:<joe@y.example>\r\n"), relay, "nobody's window has this sender");
}

/// A window may open or close between two RCPTs, and the addresses be those of two customers.
#[test]
fn a_transaction_has_one_sender() {
    use envelope::Recipient;
    use smtp::{Action, Judged};

    let mut driver = Driver::new(settings());
    driver.say("MAIL FROM:<>\r\n");
    let mut rcpt = |name: &str, answer: Option<&str>| {
        driver.session.receive(format!("RCPT TO:<{name}@pobox.example>\r\n").as_str().into(), driver.now);
        let asked = driver.session.next_action(driver.now, crate::driver::WALL);
        let Some(Action::Judge { recipient, sender: known, .. }) = asked else { panic!("{asked:?}") };
        let sender = answer.map(|account| sender(account, Entitlement::Window));
        driver.session.judged(Ok(Judged { recipient: Recipient::of_bounce(recipient), sender }));
        driver.run();
        (known.map(|sender| sender.account.to_string()), driver.sent())
    };
    let ok = "250 ok\r\n".to_owned();
    assert_eq!(rcpt("a", None), (None, ok.clone()));
    assert_eq!(rcpt("b", Some("abc")), (None, ok.clone()));
    assert_eq!(rcpt("c", None), (Some("abc".into()), ok.clone()));
    assert_eq!(rcpt("d", Some("xyz")), (Some("abc".into()), DENIED.to_owned()));
    assert_eq!(rcpt("e", Some("abc")), (Some("abc".into()), ok));
    driver.say("DATA\r\n");
    assert_eq!(driver.senders, [Some(sender("abc", Entitlement::Window))]);
    assert_eq!(driver.draft.as_ref().unwrap().0.recipients().len(), 4);
}

#[test]
fn a_submission_is_given_out_in_few_pieces() {
    let mut driver = abc();
    driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n");
    driver.say("From: abc@pobox.example\r\nSubject: a\r\n\r\n..\r\n...b\r\n");
    assert_eq!(driver.pieces, 4, "Received, what it lacks, the header, the body");
}

#[test]
fn a_held_header_is_forgotten_with_its_message() {
    for end in ["\nQUIT\r\n", "\r\n\r\n\n"] {
        let mut driver = abc();
        driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n");
        driver.say(&format!("From: joe@x.example{end}"));
        assert!(driver.draft.is_none(), "it was discarded at once");
        driver.wait(Duration::from_secs(3600));
        assert!(driver.closed && driver.accepted.is_empty());
    }
    let small = Settings { header_size_max: 100, ..settings_with_auth() };
    let mut driver = Driver::new(small);
    driver.say(AUTH_PLAIN);
    driver.say("MAIL FROM:<abc@pobox.example>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\n");
    let header = "X: y\r\n".repeat(17);
    let too_large =
        "552 sorry, the header of your message is too large, or no empty line ends it (#5.3.4)\r\n";
    assert_eq!(driver.say(&format!("{header}From: joe@x.example\r\n\r\n.\r\n")), too_large);
}

#[test]
fn the_clock_does_not_run_against_a_customer_who_waits_for_us() {
    for input in ["AUTH PLAIN AGFiYwBwYXNz\r\n", "AUTH SCRAM-SHA-256 biwsbj1hYmMscj1h\r\n"] {
        let mut driver = Driver::new(settings_with_auth());
        driver.sent();
        driver.session.receive(input.into(), driver.now);
        assert!(driver.session.next_action(driver.now, crate::driver::WALL).is_some());
        driver.wait(Duration::from_secs(3600));
        assert!(!driver.closed && driver.events.is_empty());
    }
    let mut driver = abc();
    driver.session.receive("MAIL FROM:<abc@pobox.example>\r\n".into(), driver.now);
    assert!(driver.session.next_action(driver.now, crate::driver::WALL).is_some());
    driver.wait(Duration::from_secs(3600));
    assert!(!driver.closed);
}
