//! Customers who send: after a mailbox check, or by SMTP AUTH; as themselves, and completed.

use std::net::SocketAddr;
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
    let mut smtp = Wire::connect_from(from, SocketAddr::from(([127, 0, 0, 1], house.smtp())));
    smtp.expect("220 ");
    smtp.say("HELO postpet.example", "250");
    smtp.say(&format!("MAIL FROM:<{sender}>"), "250");
    smtp
}

/// What RCPT to somebody elsewhere is answered.
fn relay(house: &House, from: [u8; 4], sender: &str) -> String {
    let mut smtp = mail(house, from, sender);
    smtp.send(b"RCPT TO:<friend@there.example>\r\n");
    smtp.reply()
}

fn check_mail(house: &House, from: [u8; 4], account: &str, password: &str) -> String {
    let mut pop3 = Wire::connect_from(from, SocketAddr::from(([127, 0, 0, 1], house.pop3())));
    pop3.expect("+OK");
    pop3.say(&format!("USER {account}"), "+OK");
    pop3.send(format!("PASS {password}\r\n").as_bytes());
    pop3.line().unwrap_or_default()
}

#[test]
fn after_a_mailbox_check_a_customer_sends_as_himself_from_there_and_nobody_else_does() {
    let house = House::new();
    assert_eq!(relay(&house, HOME, "abc@pobox.example"), RELAY_DENIED);
    assert!(check_mail(&house, HOME, "abc", "wrong").starts_with("-ERR"));
    assert_eq!(relay(&house, HOME, "abc@pobox.example"), RELAY_DENIED, "a failed login grants nothing");

    assert!(check_mail(&house, HOME, "abc", "abc-try").starts_with("+OK"));
    for sender in ["abc@pobox.example", "ABC@pobox.example", "foo@abc.pobox.example", ""] {
        assert!(relay(&house, HOME, sender).starts_with("250 "), "{sender}");
    }
    for sender in ["xyz@pobox.example", "a@shop.example", "me@elsewhere.example"] {
        assert_eq!(relay(&house, HOME, sender), SENDER_DENIED, "{sender}");
    }
    assert_eq!(relay(&house, NEIGHBOUR, "abc@pobox.example"), RELAY_DENIED, "the grant is for one address");

    // Two customers at one address: each is himself, by his own window.
    assert!(check_mail(&house, HOME, "xyz", "xyz-try").starts_with("+OK"));
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
    assert!(check_mail(&house, HOME, "abc", "abc-try").starts_with("+OK"));
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

    assert!(check_mail(&house, HOME, "abc", "abc-try").starts_with("+OK"));
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
