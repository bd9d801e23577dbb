//! To whom a message goes: the recipients that arguments and header fields name.

use std::collections::HashSet;

use envelope::Address;
use message::{MailboxesError, address_list};

use crate::face::Manner;
use crate::hosts::Hosts;
use crate::refusal::Refusal;
use crate::visible::visible;

/// Recipients, each once, in the order in which they were named.
#[derive(Debug)]
pub(crate) struct Recipients<'a> {
    hosts: &'a Hosts,
    list: Vec<Address>,
    seen: HashSet<Address>,
    max: usize,
}

impl<'a> Recipients<'a> {
    /// None yet; at most `max`.
    pub(crate) fn new(hosts: &'a Hosts, max: usize) -> Recipients<'a> {
        Recipients { hosts, list: Vec::new(), seen: HashSet::new(), max }
    }

    /// Takes an argument. In helpful manner it may be a list with names and commas; else it is one
    /// address as it stands, and one with a comma is refused rather than bounced from a host to which it
    /// was not written.
    ///
    /// # Errors
    /// If it is no address, or if there are too many.
    pub(crate) fn argument(&mut self, argument: &[u8], manner: Manner) -> Result<(), Refusal> {
        match manner {
            Manner::Helpful => {
                let stray = |octet: &u8| octet.is_ascii_control() && !matches!(octet, b'\t' | 0x1b);
                if argument.iter().any(stray) {
                    return Err(Refusal::Injection(format!("the recipient {}", visible(argument))));
                }
                self.list(argument).map_err(|error| match error {
                    ListError::Unreadable => Refusal::NotAnAddress(visible(argument)),
                    ListError::Refused(refusal) => refusal,
                })
            }
            Manner::Strict | Manner::Qmail if has_comma(argument) => {
                Err(Refusal::CommaList(visible(argument)))
            }
            Manner::Strict | Manner::Qmail => self.literal(argument),
        }
    }

    /// Takes one address as it stands.
    ///
    /// # Errors
    /// If it is no address, or if there are too many.
    pub(crate) fn literal(&mut self, address: &[u8]) -> Result<(), Refusal> {
        let address = self.hosts.literal_address(address)?;
        self.add(address)
    }

    /// Takes the recipients in a header field.
    ///
    /// # Errors
    /// If they cannot be told, if one is no address, or if there are too many.
    pub(crate) fn field(&mut self, name: &[u8], body: &[u8]) -> Result<(), Refusal> {
        self.list(body).map_err(|error| match error {
            ListError::Unreadable => {
                let mut unfolded = [name, b":", body].concat();
                unfolded.retain(|octet| !matches!(octet, b'\r' | b'\n'));
                Refusal::UnreadableField(visible(&unfolded))
            }
            ListError::Refused(refusal) => refusal,
        })
    }

    /// All of them.
    pub(crate) fn into_list(self) -> Vec<Address> {
        self.list
    }

    fn list(&mut self, body: &[u8]) -> Result<(), ListError> {
        for listed in address_list(body, self.max.saturating_add(NAME_WORDS)) {
            let address = match listed {
                Ok(listed) if listed.address.is_empty() => Err(Refusal::NotAnAddress("<>".into())),
                Ok(listed) => self.hosts.address(&listed.address),
                Err(MailboxesError::TooMany) => Err(Refusal::TooManyRecipients(self.max)),
                Err(MailboxesError::Unreadable) => return Err(ListError::Unreadable),
            };
            address.and_then(|address| self.add(address)).map_err(ListError::Refused)?;
        }
        Ok(())
    }

    fn add(&mut self, address: Address) -> Result<(), Refusal> {
        if self.seen.contains(&address) {
            return Ok(());
        }
        if self.list.len() >= self.max {
            return Err(Refusal::TooManyRecipients(self.max));
        }
        self.seen.insert(address.clone());
        self.list.push(address);
        Ok(())
    }
}

/// The words that the name before an address may have, beyond the number of recipients.
const NAME_WORDS: usize = 100;

enum ListError {
    Unreadable,
    Refused(Refusal),
}

/// Whether there is a comma outside of quotes.
pub(crate) fn has_comma(text: &[u8]) -> bool {
    let mut quoted = false;
    text.iter().any(|octet| {
        quoted ^= *octet == b'"';
        *octet == b',' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Names;
    use envelope::Domain;

    fn taken(take: impl Fn(&mut Recipients<'_>) -> Result<(), Refusal>) -> Result<Vec<String>, Refusal> {
        let hosts = Hosts::new(&Names::default(), &Domain::parse("pobox.example").unwrap());
        let mut recipients = Recipients::new(&hosts, 1000);
        take(&mut recipients)?;
        Ok(recipients.into_list().iter().map(ToString::to_string).collect())
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    /// The rows of the table of arguments: what each becomes in helpful manner, and in strict.
    #[test]
    fn arguments_are_addresses() {
        let comma = |text: &str| Err(Refusal::CommaList(text.into()));
        let none = |text: &str| Err(Refusal::NotAnAddress(text.into()));
        for (argument, helpful, strict) in [
            ("a@x.jp", Ok(vec!["a@x.jp"]), Ok(vec!["a@x.jp"])),
            ("a@x.jp,b@y.jp", Ok(vec!["a@x.jp", "b@y.jp"]), comma("a@x.jp,b@y.jp")),
            ("a@x.jp,", Ok(vec!["a@x.jp"]), comma("a@x.jp,")),
            ("<a@x.jp>", Ok(vec!["a@x.jp"]), none("<a@x.jp>")),
            ("A B <a@x.jp>", Ok(vec!["a@x.jp"]), none("A B <a@x.jp>")),
            ("\"B, A\" <a@x.jp>", Ok(vec!["a@x.jp"]), none("\"B, A\" <a@x.jp>")),
            ("a,b", Ok(vec!["a@pobox.example", "b@pobox.example"]), comma("a,b")),
            ("-t", Ok(vec!["-t@pobox.example"]), Ok(vec!["-t@pobox.example"])),
            ("a b", Ok(vec!["a@pobox.example", "b@pobox.example"]), Ok(vec!["\"a b\"@pobox.example"])),
            ("", Ok(vec![]), none("")),
            ("<>", none("<>"), none("<>")),
            ("(", none("("), Ok(vec!["\"(\"@pobox.example"])),
        ] {
            let take = |manner| taken(|recipients| recipients.argument(argument.as_bytes(), manner));
            assert_eq!(take(Manner::Helpful), helpful.map(|list| strings(&list)), "{argument}");
            let strict = strict.map(|list| strings(&list));
            assert_eq!(take(Manner::Strict), strict, "{argument}");
            assert_eq!(take(Manner::Qmail), strict, "{argument}");
        }
    }

    #[test]
    fn no_line_end_or_control_character_passes_in_an_argument() {
        for argument in
            ["a@x.jp\nBcc: b@x.jp", "a@x.jp\r", "a\0", "a@x.jp \x07", "a\u{2028}b@x.jp", "\x1ba@x.jp"]
        {
            for manner in [Manner::Helpful, Manner::Strict, Manner::Qmail] {
                let result = taken(|recipients| recipients.argument(argument.as_bytes(), manner));
                assert!(matches!(result, Err(Refusal::Injection(_))), "{argument:?} {result:?}");
            }
        }
        let japanese = taken(|recipients| recipients.argument(b"\x1b$B;3ED\x1b(B <a@x.jp>", Manner::Helpful));
        assert_eq!(japanese, Ok(strings(&["a@x.jp"])));
    }

    #[test]
    fn each_recipient_counts_once() {
        let result = taken(|recipients| {
            recipients.field(b"To", b" a@x.jp, b, A <a@X.jp>")?;
            recipients.field(b"Cc", b" friends: b@pobox.example, c;, undisclosed-recipients:;")
        });
        assert_eq!(result, Ok(strings(&["a@x.jp", "b@pobox.example", "c@pobox.example"])));
    }

    #[test]
    fn a_field_that_cannot_be_read_is_shown() {
        let result = taken(|recipients| recipients.field(b"To", b" a@x.jp,\r\n <b"));
        assert_eq!(result, Err(Refusal::UnreadableField("To: a@x.jp, <b".into())));
        let result = taken(|recipients| recipients.field(b"To", b" a@x.jp, \x8e\x52@x.jp"));
        assert!(matches!(result, Err(Refusal::NotAnAddress(_))));
    }

    #[test]
    fn a_hundred_thousand_recipients_are_refused_at_the_first_too_many() {
        for part in [",", " ", "\r\n ", ";"] {
            let body: String = (0..100_000).map(|n| format!("a{n}{part}")).collect();
            let result = taken(|recipients| recipients.field(b"To", body.as_bytes()));
            assert_eq!(result, Err(Refusal::TooManyRecipients(1000)), "{part:?}");
        }
    }
}
