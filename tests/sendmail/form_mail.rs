//! Scripts as customers wrote them in 1999: Shift_JIS in the source, ISO-2022-JP on the wire, and options that
//! some other sendmail took.

use super::{Arrived, Site, of_subject};
use crate::house::{Ran, run};

const ABC: &str = "abc@pobox.example";
/// A form that a visitor filled in: name 山田, subject 表, comment of two lines; in Shift_JIS.
const FORM: &str = "name=%8ER%93c&email=visitor%40elsewhere.example&subject=%95%5C&comment=%8Aw%0D%0A%8DZ";

fn cgi(site: &Site, script: &str, mailto: &str) -> Ran {
    let mut command = site.script_command("perl", &format!("1999/{script}"));
    run(command.env("MAILTO", mailto).env("CONTENT_LENGTH", FORM.len().to_string()), FORM)
}

fn contains(message: &Arrived, text: &str) {
    assert!(message.header.contains(text), "{text:?} is not in\n{}", message.header);
}

/// The visitor stands in From. What comes of that is the account's own choice.
#[test]
fn a_contact_form_with_the_visitor_in_from_is_refused_kept_or_turned_into_reply_to() {
    let site = Site::new();
    let refused = cgi(&site, "form_mail.cgi", ABC);
    assert!(refused.code == Some(1) && refused.output.contains("Content-type: text/html"), "{refused:?}");
    assert!(
        refused.errors.contains("visitor@elsewhere.example") && refused.errors.contains("Reply-To"),
        "{refused:?}"
    );
    site.nothing_was_sent();

    let body = b"\x1b$B$*L>A0!'\x1b(B \x1b$B;3ED\x1b(B\n\x1b$B$4MQ7o!'\x1b(B \x1b$B3X\x1b(B\n\x1b$B9;\x1b(B\n.\n\x1b$B0J>e\x1b(B\n";
    site.house.rule("account set abc script_author=reply-to");
    cgi(&site, "form_mail.cgi", ABC).good();
    let message = site.one("abc");
    message.is_sound(ABC);
    assert_eq!(message.body, body);
    contains(&message, "\nTo: \x1b$B$*Ld$$9g$o$;78\x1b(B <abc@pobox.example>\n");
    contains(&message, "\nSubject: [\x1b$BLd9g$;\x1b(B] \x1b$BI=\x1b(B\n");
    assert!(message.field("From").ends_with("<abc@pobox.example>"), "{}", message.header);
    assert!(message.field("Reply-To").contains("visitor@elsewhere.example"), "{}", message.header);

    site.house.rule("account set abc script_author=keep");
    cgi(&site, "form_mail.cgi", "xyz@pobox.example").good();
    let message = site.one("xyz");
    message.is_sound(ABC);
    assert_eq!(message.body, body);
    contains(&message, "\nFrom: \x1b$B;3ED\x1b(B <visitor@elsewhere.example>\n");
}

#[test]
fn a_poll_goes_to_a_comma_list_without_a_from_and_with_an_option_of_another_sendmail() {
    let site = Site::new();
    cgi(&site, "enquete.cgi", "").good();
    let (abc, xyz) = (site.arrived("abc", 3), site.arrived("xyz", 1));
    for message in abc.iter().chain(&xyz) {
        message.is_sound(ABC);
        contains(message, "\nSubject: \x1b$B%\"%s%1!<%H7k2L\x1b(B\n");
        contains(message, "\nTo: abc@pobox.example,xyz@pobox.example\n");
        assert_eq!(message.field("From"), ABC);
        assert_eq!(
            message.body,
            b"\x1b$B0l0L\x1b(B\t\x1b$B%=%U%H\x1b(B\n\x1b$BFs0L\x1b(B\t\x1b$BI=7W;;\x1b(B\n"
        );
    }
    let mut to: Vec<String> = abc.iter().map(|message| message.field("Delivered-To")).collect();
    to.sort_unstable();
    assert_eq!(to, [ABC, "hidden@abc.pobox.example", "list@abc.pobox.example"]);
}

/// Raw Shift_JIS in From and To, with characters whose second octet is a backslash.
#[test]
fn an_order_goes_to_shop_and_customer_with_its_shift_jis_untouched() {
    let site = Site::new();
    cgi(&site, "order.cgi", "xyz@pobox.example").good();
    let mut body = Vec::new();
    for part in [
        &b"\x8f\xa4\x95i\x81F \x94\\\x97\xa6\x8e\xe8\x92\xa0\n"[..],
        b"\x94z\x92B\x82\xcd\x8c\xdf\x91O\x92\x86\x82\xc9\n.\n\x82\xa8\x8a\xe8\x82\xa2\x82\xb5\x82\xdc\x82\xb7\n\n",
    ] {
        body.extend_from_slice(part);
    }
    for message in [site.one("abc"), site.one("xyz")] {
        message.is_sound(ABC);
        contains(&message, "\nFrom: \u{95}\\\u{8e}\u{a6}\u{8d}H\u{96}[ <abc@pobox.example>\n");
        contains(&message, "\nTo: \u{83}\\\u{83}t\u{83}g\u{8c}W <abc@pobox.example>, xyz@pobox.example\n");
        contains(&message, "\nSubject: \u{82}\u{b2}\u{92}\u{8d}\u{95}\u{b6}\n");
        assert_eq!(message.body, body, "{}", message.body.escape_ascii());
    }
}

/// qmail-inject took the CR for a part of the line, and the whole mail for its header.
#[test]
fn a_guestbook_whose_every_line_ends_in_crlf_is_read() {
    let site = Site::new();
    cgi(&site, "guestbook.cgi", ABC).good();
    let message = site.one("abc");
    message.is_sound(ABC);
    assert_eq!(message.field("Reply-To"), "visitor@elsewhere.example");
    assert_eq!(message.count("Subject"), 1);
    assert!(!message.header.contains('\r'), "{}", message.header);
    assert_eq!(message.body, b"One line.\n.\n\nThe last line.\n");
}

#[test]
fn arguments_with_commas_and_blanks_are_each_an_address() {
    let site = Site::new();
    cgi(&site, "tell_a_friend.cgi", "abc@pobox.example,xyz@pobox.example, list@abc.pobox.example").good();
    let (abc, xyz) = (site.arrived("abc", 2), site.one("xyz"));
    for message in abc.iter().chain([&xyz]) {
        message.is_sound(ABC);
        assert_eq!(message.body, b"http://www.shop.example/~abc/\n");
        // Whom it goes to is nobody's business but the envelope's.
        assert_eq!(message.field("Cc"), "recipient list not shown: ;");
    }
    let subjects = of_subject(std::slice::from_ref(&xyz), "see this page");
    assert_eq!(subjects.field("From"), ABC);
}
