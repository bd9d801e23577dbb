//! Whether a sender is answered while the owner of a mailbox is away (RFC 3834), and what.

use directory::{NotAnswered, SendingRefused, StoreError};
use envelope::{AccountName, Address, Destination, Language};
use link::services::directory::{AutoReply, NoReply, Response, ToAnswer};

use super::{Desk, unreadable};
use crate::roles::unix_now;

impl Desk {
    /// Answers a sender, unless something speaks against it. He counts as answered from here on. Waits for
    /// the disk.
    pub(super) fn auto_reply(&self, whom: &ToAnswer) -> Response {
        let from = match self.known_as(whom) {
            Ok(Ok(from)) => from,
            Ok(Err(why)) => return Response::NoReply(why),
            Err(error) => return unreadable(&error),
        };
        let language = match self.store.account(&whom.account) {
            Ok(account) => account.map_or(Language::Ja, |account| account.language),
            Err(error) => return unreadable(&error),
        };
        match self.store.answer(&whom.account, &whom.sender, unix_now()) {
            Ok(directory::Absence { subject, text, .. }) => {
                Response::AutoReply(Box::new(AutoReply { from, subject, text, language }))
            }
            Err(NotAnswered::NotAway) => Response::NoReply(NoReply::NotAway),
            Err(NotAnswered::OfLate) => Response::NoReply(NoReply::OfLate),
            Err(NotAnswered::Sending(SendingRefused::Store(error))) => unreadable(&error),
            Err(NotAnswered::Sending(_)) => Response::NoReply(NoReply::Sending),
        }
    }

    /// The owner's address by which the sender knows him: no other is given away. Or why he is not answered.
    fn known_as(&self, whom: &ToAnswer) -> Result<Result<Address, NoReply>, StoreError> {
        let ToAnswer { account, sender, at, named_elsewhere, named, sent_on_by } = whom;
        self.store.snapshot(|moment| {
            let is_his = |address: &Address| -> Result<bool, StoreError> {
                Ok(is_of(account, &self.resolve_at(moment, address)?))
            };
            if is_his(sender)? {
                return Ok(Err(NoReply::Himself));
            }
            for by in sent_on_by {
                if is_his(by)? {
                    return Ok(Err(NoReply::SentOnByHimself));
                }
            }
            if *named_elsewhere || named.contains(at) {
                return Ok(Ok(at.clone()));
            }
            for address in named {
                if is_his(address)? {
                    return Ok(Ok(address.clone()));
                }
            }
            Ok(Err(NoReply::NotNamed))
        })
    }
}

fn is_of(account: &AccountName, destination: &Destination) -> bool {
    matches!(destination, Destination::Local(local) if local.mailbox.account == *account)
}

#[cfg(test)]
mod tests {
    use directory::Absence;

    use super::*;
    use crate::roles::directory::example::{WHO, desk, name};

    fn written(sender: &str, named: &[&str]) -> ToAnswer {
        ToAnswer {
            account: name("abc"),
            sender: sender.parse().unwrap(),
            at: "abc@pobox.example".parse().unwrap(),
            named_elsewhere: false,
            named: named.iter().map(|address| address.parse().unwrap()).collect(),
            sent_on_by: Vec::new(),
        }
    }

    fn away(desk: &Desk) {
        let absence = Absence { active: true, text: "away".into(), ..Absence::default() };
        desk.store.set_absence(&name("abc"), &absence, &WHO).unwrap();
    }

    #[track_caller]
    fn refused(desk: &Desk, whom: &ToAnswer, expected: NoReply) {
        let answer = desk.auto_reply(whom);
        assert!(matches!(answer, Response::NoReply(why) if why == expected), "{answer:?}");
    }

    #[test]
    fn the_answer_comes_from_the_address_that_the_sender_knows() {
        let (_folder, desk) = desk(false);
        refused(&desk, &written("u@peer.example", &["abc@pobox.example"]), NoReply::NotAway);
        away(&desk);
        for (sender, named, from) in [
            ("a", &["x@peer.example", "Foo@abc.pobox.example"][..], "Foo@abc.pobox.example"),
            ("b", &["foo@abc.pobox.example", "ABC@pobox.example", "abc@pobox.example"], "abc@pobox.example"),
            ("c", &["abc-bar@pobox.example"], "abc-bar@pobox.example"),
        ] {
            let Response::AutoReply(reply) =
                desk.auto_reply(&written(&format!("{sender}@peer.example"), named))
            else {
                panic!("{sender}")
            };
            assert_eq!((reply.from.to_string().as_str(), reply.language), (from, Language::Ja));
        }
        let elsewhere =
            ToAnswer { named_elsewhere: true, ..written("d@peer.example", &["old@there.example"]) };
        assert!(matches!(desk.auto_reply(&elsewhere), Response::AutoReply(_)));
    }

    #[test]
    fn who_is_not_named_who_writes_to_himself_and_what_he_sends_on_is_not_answered() {
        let (_folder, desk) = desk(false);
        away(&desk);
        for named in [&[][..], &["xyz@pobox.example", "list@peer.example"]] {
            refused(&desk, &written("u@peer.example", named), NoReply::NotNamed);
        }
        let to = &["abc@pobox.example"];
        refused(&desk, &written("foo@abc.pobox.example", to), NoReply::Himself);
        let sent_on =
            |by: &str| ToAnswer { sent_on_by: vec![by.parse().unwrap()], ..written("u@peer.example", to) };
        refused(&desk, &sent_on("foo@abc.pobox.example"), NoReply::SentOnByHimself);
        assert!(matches!(desk.auto_reply(&sent_on("xyz@pobox.example")), Response::AutoReply(_)));
        refused(&desk, &written("u@peer.example", to), NoReply::OfLate);
    }

    #[test]
    fn a_route_tells_when_the_owner_is_away() {
        let (_folder, desk) = desk(false);
        let route = |address: &str| desk.route(&address.parse().unwrap()).unwrap().away;
        assert_eq!(route("abc@pobox.example"), None);
        away(&desk);
        let always = route("foo@abc.pobox.example").unwrap();
        assert!(always.is_at(unix_now()) && always.is_at(0));
        assert_eq!((route("xyz@pobox.example"), route("u@peer.example")), (None, None));
    }
}
