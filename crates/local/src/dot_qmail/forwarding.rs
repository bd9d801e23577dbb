//! The plain arrangements that a page shows as a form.

use envelope::Address;

use crate::dot_qmail::forward_to::ForwardTo;
use crate::dot_qmail::instructions::{Instruction, Instructions};

/// What most people want of an address: some destinations, and perhaps a copy in the own mailbox.
///
/// Without a destination and without a copy the mail is accepted and thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// Where the mail goes.
    pub to: Vec<Address>,
    /// Whether the account's own mailbox keeps a copy.
    pub keep_a_copy: bool,
}

impl Forwarding {
    /// The form for these instructions. None if they have more than fits it: a program, a file, a
    /// forward that is no full address. Then they are to be shown as text.
    pub fn of(instructions: &Instructions) -> Option<Forwarding> {
        let mut forwarding = Forwarding { to: Vec::new(), keep_a_copy: false };
        for instruction in instructions {
            match instruction {
                Instruction::Mailbox => forwarding.keep_a_copy = true,
                Instruction::Forward(ForwardTo::Address(address)) => forwarding.to.push(address.clone()),
                // Says nothing more where all the rest are forwards and the mailbox.
                Instruction::ForwardOnly => {}
                Instruction::Forward(ForwardTo::LocalPart(_) | ForwardTo::Undeliverable { .. })
                | Instruction::Maildir(_)
                | Instruction::Mbox(_)
                | Instruction::Program(_) => return None,
            }
        }
        Some(forwarding)
    }
}

impl From<Forwarding> for Instructions {
    fn from(forwarding: Forwarding) -> Instructions {
        let own = forwarding.keep_a_copy.then_some(Instruction::Mailbox);
        let forwards =
            forwarding.to.into_iter().map(|address| Instruction::Forward(ForwardTo::Address(address)));
        Instructions(own.into_iter().chain(forwards).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dot_qmail::grammar::Context;
    use envelope::{Host, LocalPart};
    use proptest::prelude::*;

    fn form(text: &str) -> Option<Forwarding> {
        Forwarding::of(&Instructions::parse(text.as_bytes(), &Context::default()).unwrap())
    }

    #[test]
    fn a_form_becomes_text() {
        let forwarding = Forwarding {
            to: vec!["a@x.example".parse().unwrap(), "\"taro..\"@carrier.example".parse().unwrap()],
            keep_a_copy: true,
        };
        let text = Instructions::from(forwarding).to_text();
        assert_eq!(text, b"./Maildir/\n&a@x.example\n&taro..@carrier.example\n");
    }

    #[test]
    fn what_does_not_fit_the_form_is_not_shown_as_one() {
        assert!(form("a@x.example\n./Maildir/\n").is_some_and(|f| f.keep_a_copy && f.to.len() == 1));
        assert!(form("").is_some_and(|f| f.keep_a_copy && f.to.is_empty()));
        assert!(form("#\n").is_some_and(|f| !f.keep_a_copy && f.to.is_empty()));
        for text in ["|x", "./old", "./lists/", "joe", "&<a@x.example>"] {
            assert_eq!(form(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_form_reads_back_from_its_text(
            keep_a_copy: bool,
            to in proptest::collection::vec(("\\PC{1,30}", "[a-z]{1,9}\\.example|\\[192\\.0\\.2\\.1\\]|例え"), 0..12),
        ) {
            let address = |(local, host): &(String, String)| {
                Some(Address::new(LocalPart::new(local).ok()?, Host::parse(host).unwrap()))
            };
            let forwarding = Forwarding { to: to.iter().filter_map(address).collect(), keep_a_copy };
            let text = Instructions::from(forwarding.clone()).to_text();
            let read = Instructions::parse(&text, &Context::default()).unwrap();
            prop_assert_eq!(Forwarding::of(&read), Some(forwarding));
        }
    }
}
