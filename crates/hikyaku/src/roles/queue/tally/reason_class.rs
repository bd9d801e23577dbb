//! What many replies have in common.

use std::net::IpAddr;

use envelope::Domain;

/// The most characters of a class.
const CLASS_MAX: usize = 100;
/// As `remote` puts another host's words.
const SAID: &str = "Remote host said: ";
/// In the place of what differs from one message to the next.
const ANYTHING: &str = "…";

/// A reply without what differs from one message to the next: addresses, hosts and long numbers. Another
/// host's own words if it had some, else ours; codes and statuses stay.
pub fn reason_class(reply: &str) -> String {
    let told = reply.split_once(SAID).map_or(reply, |(_, said)| said);
    let line = told.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut class = String::new();
    for (place, word) in line.split_whitespace().enumerate() {
        // A number in front is the reply's code; others count seconds, or messages.
        let is_count = place > 0 && word.chars().all(|c| c.is_ascii_digit());
        let word = if is_count || differs(word) { ANYTHING } else { word };
        if word == ANYTHING && class.ends_with(ANYTHING) {
            continue;
        }
        if !class.is_empty() {
            class.push(' ');
        }
        class.push_str(word);
        if class.chars().count() > CLASS_MAX {
            break;
        }
    }
    class.chars().take(CLASS_MAX).collect()
}

/// Whether a word is likely to be another one in the next message.
fn differs(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != ':');
    let is_address = word.contains('@') || bare.trim_end_matches(':').parse::<IpAddr>().is_ok();
    let is_host =
        bare.contains('.') && bare.chars().any(char::is_alphabetic) && bare.parse::<Domain>().is_ok();
    is_address || is_host || bare.chars().filter(char::is_ascii_digit).count() >= 5
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies_that_differ_in_names_and_numbers_alone_are_of_one_class() {
        let of = |host: &str, user: &str, id: &str| {
            reason_class(&format!(
                "{host} does not like recipient.\nRemote host said: 451 4.7.1 <{user}>: greylisted, see {id}"
            ))
        };
        let class = of("192.0.2.1", "a@x.example", "4bX912345Kz");
        assert_eq!(class, "451 4.7.1 … greylisted, see …");
        assert_eq!(of("2001:db8::1", "b@y.example", "http://help.example/98765"), class);
        for (reply, class) in [
            (
                "[192.0.2.1]:25 is left alone for another 29 seconds, because: busy",
                "… is left alone for another … seconds, because: busy",
            ),
            ("452 try again in 5 minutes", "452 try again in … minutes"),
            ("Connected to 192.0.2.1 but greeting failed.", "Connected to … but greeting failed."),
            (
                "I couldn't find any host named gone.example. (#4.4.3)",
                "I couldn't find any host named … (#4.4.3)",
            ),
            (
                "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)",
                "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)",
            ),
            ("", ""),
        ] {
            assert_eq!(reason_class(reply), class);
        }
    }

    proptest! {
        #[test]
        fn any_reply_has_a_short_class_of_one_line(reply in "\\PC{0,40}(\n|@|\\.)?[0-9a-z .:<>]{0,200}") {
            let class = reason_class(&reply);
            prop_assert!(class.chars().count() <= CLASS_MAX && !class.contains('\n'));
            // A class is its own class, but for one that was cut.
            if class.chars().count() < CLASS_MAX {
                prop_assert_eq!(reason_class(&class), class);
            }
        }
    }
}
