//! Customers who send: after a mailbox check, or by SMTP AUTH; as themselves, and completed.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::house::{House, eventually, field};
use crate::wire::Wire;

const HOME: [u8; 4] = [127, 0, 0, 3];
const NEIGHBOUR: [u8; 4] = [127, 0, 0, 4];
const RELAY_DENIED: &str = "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)";
const SENDER_DENIED: &str = "552 sorry, your domain isn't in my list of allowed senderhosts (#5.7.1)";

/// An SMTP session from this address, under this reverse-path.
fn mail(house: &House, from: [u8; 4], sender: &str) -> Wire {
    let mut smtp = house.smtp_session_from(from);
    smtp.say(&format!("MAIL FROM:<{sender}>"), "250");
    smtp
}

/// What RCPT to somebody elsewhere is answered.
fn relay(house: &House, from: [u8; 4], sender: &str) -> String {
    mail(house, from, sender).ask("RCPT TO:<friend@there.example>")
}

#[test]
fn after_a_mailbox_check_a_customer_sends_as_himself_from_there_and_nobody_else_does() {
    let house = House::new();
    assert_eq!(relay(&house, HOME, "abc@pobox.example"), RELAY_DENIED);
    assert!(house.check_mail_from(HOME, "abc", "wrong").starts_with("-ERR"));
    assert_eq!(relay(&house, HOME, "abc@pobox.example"), RELAY_DENIED, "a failed login grants nothing");

    assert!(house.check_mail_from(HOME, "abc", "abc-try").starts_with("+OK"));
    for sender in ["abc@pobox.example", "ABC@pobox.example", "foo@abc.pobox.example", ""] {
        assert!(relay(&house, HOME, sender).starts_with("250 "), "{sender}");
    }
    for sender in ["xyz@pobox.example", "a@shop.example", "me@elsewhere.example"] {
        assert_eq!(relay(&house, HOME, sender), SENDER_DENIED, "{sender}");
    }
    assert_eq!(relay(&house, NEIGHBOUR, "abc@pobox.example"), RELAY_DENIED, "the grant is for one address");

    // Two customers at one address: each is himself, by his own window.
    assert!(house.check_mail_from(HOME, "xyz", "xyz-try").starts_with("+OK"));
    for sender in ["abc@pobox.example", "xyz@pobox.example", "a@shop.example"] {
        assert!(relay(&house, HOME, sender).starts_with("250 "), "{sender}");
    }
    // Strangers' mail to us is under no such rule, wherever it comes from.
    let mut smtp = mail(&house, HOME, "me@elsewhere.example");
    smtp.say("RCPT TO:<abc@pobox.example>", "250");
}

#[test]
fn a_window_outlives_every_role_and_ends_with_a_suspension() {
    let house = House::new();
    assert!(house.check_mail_from(HOME, "abc", "abc-try").starts_with("+OK"));
    // Written behind, a second at most.
    std::thread::sleep(Duration::from_millis(1500));
    for role in ["directory", "pop3", "smtp"] {
        let before = house.roles()[role];
        kill(before, Signal::SIGKILL).unwrap();
        eventually("the role is back", Duration::from_secs(10), || {
            house.roles().get(role).is_some_and(|pid| *pid != before).then_some(())
        });
        assert!(relay(&house, HOME, "abc@pobox.example").starts_with("250 "), "after {role} died");
    }
    house.ran(&["account", "suspend", "abc"], "");
    assert_eq!(relay(&house, HOME, "abc@pobox.example"), RELAY_DENIED);
    house.ran(&["account", "resume", "abc"], "");
    assert_eq!(relay(&house, HOME, "abc@pobox.example"), RELAY_DENIED, "he checks his mail once more");
}

#[test]
fn what_a_customer_sends_gets_the_date_and_message_id_that_it_lacks_and_a_strangers_nothing() {
    let house = House::new();
    let bare = "From: <abc@pobox.example>\r\nSubject: from my pet\r\n\r\nhello\r\n";
    let reply = house.smtp_session().transact("me@elsewhere.example", &["xyz@pobox.example"], bare);
    assert!(reply.starts_with("250 "), "{reply}");
    let strangers = house.wait_for_messages("xyz", 1).remove(0);
    assert!(
        !strangers.contains("\nDate:") && !strangers.to_lowercase().contains("\nmessage-id:"),
        "{strangers}"
    );

    assert!(house.check_mail_from(HOME, "abc", "abc-try").starts_with("+OK"));
    let mut smtp = mail(&house, HOME, "abc@pobox.example");
    smtp.say("RSET", "250");
    smtp.transact("abc@pobox.example", &["abc@pobox.example"], bare);
    let completed = house.wait_for_messages("abc", 1).remove(0);
    assert!(field(&completed, "Date").contains("20"), "{completed}");
    let id = field(&completed, "Message-ID");
    assert!(id.starts_with('<') && id.ends_with("@mail.pobox.example>"), "{id}");
    assert!(completed.ends_with("From: <abc@pobox.example>\nSubject: from my pet\n\nhello\n"), "{completed}");

    // With both, not one octet changes.
    let whole = format!("Date: yesterday\r\nMessage-ID: <1@pet>\r\n{bare}");
    smtp.transact("abc@pobox.example", &["xyz@pobox.example"], &whole);
    let kept = house.wait_for_messages("xyz", 2).into_iter().find(|text| text.contains("yesterday")).unwrap();
    assert!(kept.ends_with(&whole.replace("\r\n", "\n")), "{kept}");
    assert_eq!(field(&kept, "Message-ID"), "<1@pet>");

    // Another's name in the header is refused, and nothing is queued.
    let forged = bare.replace("abc@pobox", "xyz@pobox");
    assert_eq!(smtp.transact("abc@pobox.example", &["xyz@pobox.example"], &forged), SENDER_DENIED);
    house.wait_for_an_empty_queue();
    assert_eq!(house.messages("xyz").len(), 2);
}

#[test]
fn a_suspended_account_does_not_log_in_and_a_session_that_is_open_sends_no_more() {
    let house = House::new();
    let log_in = |password: &str| {
        let mut smtp = house.connect(house.submission());
        smtp.expect("220 ");
        smtp.say("EHLO client.example", "250");
        smtp.say("AUTH LOGIN", "334");
        smtp.say("YWJj", "334"); // abc
        smtp.send(format!("{password}\r\n").as_bytes());
        let reply = smtp.reply();
        (smtp, reply)
    };
    const RIGHT: &str = "YWJjLXRyeQ==";
    let (mut open, reply) = log_in(RIGHT);
    assert_eq!(reply, "235 2.7.0 ok, go ahead");
    open.say("MAIL FROM:<abc@pobox.example>", "250");
    open.say("RCPT TO:<friend@there.example>", "250");
    open.say("RSET", "250");
    house.ran(&["account", "suspend", "abc"], "");
    open.say("MAIL FROM:<abc@pobox.example>", "552");
    assert!(log_in(RIGHT).1.contains("sorry, this account is suspended"));
    house.ran(&["account", "resume", "abc"], "");
    open.say("MAIL FROM:<abc@pobox.example>", "250");
    // Guesses from one network wait longer each time.
    let slowed = "sorry, too many wrong passwords for that name, try again later";
    assert!((0..8).any(|_| log_in("d3Jvbmc=").1.contains(slowed)));
}

/// Each is himself by his own window, and the log says who sent what.
#[test]
fn two_customers_behind_one_address_are_told_apart() {
    let house = House::new();
    for account in ["abc", "xyz"] {
        let others = relay(&house, HOME, "xyz@pobox.example");
        assert!(others == RELAY_DENIED || others == SENDER_DENIED, "without his own window: {others}");
        assert!(house.check_mail_from(HOME, account, &format!("{account}-try")).starts_with("+OK"));
    }
    let letter = |from: &str| format!("From: {from}\r\nSubject: mine\r\n\r\nhello\r\n");
    let mut smtp = house.smtp_session_from(HOME);
    for (sender, from, reply) in [
        ("abc@pobox.example", "abc@pobox.example", "250 "),
        ("sales@shop.example", "xyz@pobox.example", "250 "),
        ("xyz@pobox.example", "abc@pobox.example", SENDER_DENIED),
        ("abc@pobox.example", "sales@shop.example", SENDER_DENIED),
        ("x@abc.pobox.example", "x@abc.pobox.example", "250 "),
    ] {
        let answer = smtp.transact(sender, &["friend@there.example"], &letter(from));
        assert!(answer.starts_with(reply), "{sender} {from}: {answer}");
    }
    // With two windows it is not clear whose a message without a reverse-path is.
    assert_eq!(relay(&house, HOME, ""), SENDER_DENIED);
    let accounts = |event: &str| {
        let events = house.events(event);
        let accounts = events.iter().map(|event| event["account"].as_str().map(str::to_string));
        accounts.collect::<Vec<_>>()
    };
    let named = |names: &[&str]| names.iter().map(|name| Some(name.to_string())).collect::<Vec<_>>();
    assert_eq!(accounts("accepted"), named(&["abc", "xyz", "abc"]));
    let refused: Vec<_> = accounts("refused").into_iter().filter(Option::is_some).collect();
    assert_eq!(refused, named(&["xyz", "abc"]));
}
