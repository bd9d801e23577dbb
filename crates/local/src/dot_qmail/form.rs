//! A text as a page's form shows it, and back.
//!
//! The form knows two things: whether the mailbox gets a copy, and where else the mail goes. A destination that is
//! switched off is a comment, `#&user@host`: delivery passes over it, and whoever reads the text sees at once what
//! it is. All other lines are kept where they stand, octet for octet; and a text of which nothing was changed is
//! written as it was read.

use envelope::Address;
use envelope::provenance::Reached;
use thiserror::Error;

use crate::dot_qmail::check::{check_forward, is_invisible};
use crate::dot_qmail::forward_to::{ForwardTo, bare};
use crate::dot_qmail::grammar::{Line, without_final_blanks};
use crate::dot_qmail::instructions::{NOTHING, OWN_MAILBOX};

/// A text in the form's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Whether the account's own mailbox keeps a copy: `./Maildir/`, or no text at all.
    pub keep: bool,
    /// Where else the mail goes, and whether it does so now.
    pub destinations: Vec<(Address, bool)>,
    /// What was read.
    parts: Vec<Part>,
}

/// A line with its LF, if it had one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// The own mailbox. Without octets: the text was empty, which means the same.
    Mailbox(Box<[u8]>),
    Destination(Address, bool, Box<[u8]>),
    /// The sentence of [`NOTHING`], which is true only while nothing else is asked for.
    Nothing(Box<[u8]>),
    Other(Box<[u8]>),
}

/// What was typed is no address that mail can be forwarded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is no address that mail can be forwarded to")]
pub struct NotADestination;

impl Form {
    /// Reads a text. Every text is a form: what it cannot express are other lines.
    pub fn read(text: &[u8]) -> Form {
        let parts: Vec<Part> = match text {
            [] => vec![Part::Mailbox(Box::default())],
            text => text.split_inclusive(|octet| *octet == b'\n').map(Part::read).collect(),
        };
        let keep = parts.iter().any(|part| matches!(part, Part::Mailbox(_)));
        let destinations = parts.iter().filter_map(Part::destination).collect();
        Form { keep, destinations, parts }
    }

    /// A form in which nothing is filled in yet. Written so, it says that the mail is thrown away.
    pub fn blank() -> Form {
        Form { keep: false, destinations: Vec::new(), parts: Vec::new() }
    }

    /// The lines that the form cannot express, without their ends; blank ones are left out.
    pub fn other_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().filter_map(|part| match part {
            Part::Other(line) => {
                Some(without_end(line)).filter(|line| !without_final_blanks(line).is_empty())
            }
            _ => None,
        })
    }

    /// The text: what was read, if nothing was changed. Destinations stay where they stood, and new ones follow
    /// the last of them.
    ///
    /// Without copy and destination it says that the mail is thrown away, unless other lines ask for something.
    pub fn write(&self) -> Vec<u8> {
        let read = || self.parts.iter().filter_map(Part::destination);
        let kept = self.parts.iter().any(|part| matches!(part, Part::Mailbox(_)));
        let unchanged = kept == self.keep && read().eq(self.destinations.iter().cloned());
        if unchanged && !self.parts.is_empty() {
            return self.parts.iter().flat_map(Part::octets).copied().collect();
        }
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut ahead: Vec<&(Address, bool)> = self.destinations.iter().collect();
        if self.keep && !kept {
            lines.push(OWN_MAILBOX.into());
        }
        // New ones go behind the last destination line, or else to the end.
        let mut place = None;
        for part in &self.parts {
            match part {
                Part::Mailbox(line) if self.keep => lines.push(match &**line {
                    [] => OWN_MAILBOX.into(),
                    line => without_end(line).into(),
                }),
                Part::Mailbox(_) | Part::Nothing(_) => {}
                Part::Destination(address, on, line) => {
                    let Some(at) = ahead.iter().position(|(still, _)| still == address) else { continue };
                    let (_, now_on) = ahead.remove(at);
                    lines.push(if now_on == on {
                        without_end(line).into()
                    } else {
                        written(address, *now_on)
                    });
                    place = Some(lines.len());
                }
                Part::Other(line) => lines.push(without_end(line).into()),
            }
        }
        let place = place.unwrap_or(lines.len());
        lines.splice(place..place, ahead.into_iter().map(|(address, on)| written(address, *on)));
        // A blank line above all others is an error (`Fault::FirstLineBlank`).
        let first = lines.iter().position(|line| !without_final_blanks(line).is_empty());
        let mut lines = lines.split_off(first.unwrap_or(lines.len()));
        if lines.is_empty() {
            // An empty text would mean the mailbox.
            lines.push(NOTHING.into());
        }
        lines.into_iter().flat_map(|line| [line, b"\n".into()].concat()).collect()
    }

    /// Switches a destination on or off, wherever it stands. Gives whether that changed anything.
    pub fn switch(&mut self, destination: &Address, on: bool) -> bool {
        let mut changed = false;
        let which = Reached::address(destination);
        for (address, is_on) in &mut self.destinations {
            if *is_on != on && Reached::address(address) == which {
                *is_on = on;
                changed = true;
            }
        }
        changed
    }

    /// Whether this destination stands in it, and whether it is on. Case makes no difference, as on the road of the
    /// mail.
    pub fn has(&self, destination: &Address) -> Option<bool> {
        let which = Reached::address(destination);
        let mut found = self.destinations.iter().filter(|(address, _)| Reached::address(address) == which);
        let first = found.next()?.1;
        Some(first || found.any(|(_, on)| *on))
    }
}

/// The address that somebody typed as a destination, without blanks around it.
///
/// # Errors
/// If it is no address, or one that nobody has: with quotes, blanks, or what begins a program, a path or a comment.
pub fn destination(typed: &str) -> Result<Address, NotADestination> {
    let typed = typed.trim();
    if typed.contains(is_invisible) || typed.starts_with(['|', '/', '#', '&']) {
        return Err(NotADestination);
    }
    check_forward(typed.as_bytes()).map_err(|_| NotADestination)?;
    let address = Address::parse(typed).map_err(|_| NotADestination)?;
    // As it will stand in the text, with the host name in the form that we keep: it must read back as the same.
    match Part::read(&written(&address, true)) {
        Part::Destination(read, true, _) if read == address => Ok(address),
        _ => Err(NotADestination),
    }
}

impl Part {
    fn read(line: &[u8]) -> Part {
        let (octets, line) = (line.into(), without_end(line));
        match Line::read(line) {
            Line::Mailbox => Part::Mailbox(octets),
            Line::Comment if line == NOTHING => Part::Nothing(octets),
            Line::Comment => match off(line) {
                Some(address) => Part::Destination(address, false, octets),
                None => Part::Other(octets),
            },
            Line::Forward(to) if !to.contains(&0) => match ForwardTo::read(to) {
                ForwardTo::Address(address) => Part::Destination(address, true, octets),
                _ => Part::Other(octets),
            },
            _ => Part::Other(octets),
        }
    }

    fn destination(&self) -> Option<(Address, bool)> {
        match self {
            Part::Destination(address, on, _) => Some((address.clone(), *on)),
            _ => None,
        }
    }

    fn octets(&self) -> &[u8] {
        match self {
            Part::Mailbox(line) | Part::Destination(_, _, line) | Part::Nothing(line) | Part::Other(line) => {
                line
            }
        }
    }
}

/// The address that a comment has switched off. What was never one, as `#& see a@x.example`, stays a comment.
fn off(line: &[u8]) -> Option<Address> {
    let to = without_final_blanks(line).strip_prefix(b"#&")?;
    check_forward(to).ok()?;
    match ForwardTo::read(to) {
        ForwardTo::Address(address) => Some(address),
        _ => None,
    }
}

fn written(address: &Address, on: bool) -> Vec<u8> {
    let mark = if on { "&" } else { "#&" };
    format!("{mark}{}", bare(address)).into_bytes()
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dot_qmail::grammar::{Context, any_text};
    use crate::dot_qmail::{Forwarding, Instruction, Instructions};

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    /// Keep, and the destinations with a mark before those that are off.
    fn shown(text: &str) -> (bool, Vec<String>) {
        let form = Form::read(text.as_bytes());
        let mark = |(address, on): &(Address, bool)| format!("{}{address}", if *on { "" } else { "#" });
        (form.keep, form.destinations.iter().map(mark).collect())
    }

    fn changed(text: &str, change: impl FnOnce(&mut Form)) -> String {
        let mut form = Form::read(text.as_bytes());
        change(&mut form);
        String::from_utf8(form.write()).unwrap()
    }

    #[test]
    fn a_text_is_shown_as_delivery_obeys_it() {
        for (text, keep, destinations) in [
            ("", true, &[] as &[&str]),
            ("./Maildir/\n", true, &[]),
            ("&a@x.example\nb@x.example", false, &["a@x.example", "b@x.example"]),
            ("./Maildir/\n#&a@x.example\n&b@x.example\n", true, &["#a@x.example", "b@x.example"]),
            ("# a@x.example\n#& a@x.example\n#&a\n", false, &[]),
            ("# Mail to this address is accepted and thrown away.\n", false, &[]),
            ("|true\n./old/\njoe\n+list\n", false, &[]),
        ] {
            let destinations: Vec<String> = destinations.iter().map(ToString::to_string).collect();
            assert_eq!(shown(text), (keep, destinations), "{text:?}");
        }
    }

    #[test]
    fn what_the_command_line_writes_is_the_same_form() {
        let to = vec![address("a@x.example"), address("taro..@carrier.example")];
        let text = Instructions::from(Forwarding { to: to.clone(), keep_a_copy: true }).to_text();
        let mut form = Form::read(b"");
        form.destinations = to.into_iter().map(|to| (to, true)).collect();
        assert_eq!(form.write(), text);
    }

    #[test]
    fn a_destination_is_switched_off_where_it_stands_and_on_again() {
        let text = "# mine\n./Maildir/\na@x.example\n|true\n&B@x.example\n";
        let off = changed(text, |form| assert!(form.switch(&address("b@X.example"), false)));
        assert_eq!(off, "# mine\n./Maildir/\na@x.example\n|true\n#&B@x.example\n");
        assert_eq!(changed(&off, |form| assert!(form.switch(&address("b@x.example"), true))), text);
        assert_eq!(Form::read(off.as_bytes()).has(&address("b@x.example")), Some(false));
        assert_eq!(Form::read(off.as_bytes()).has(&address("c@x.example")), None);
    }

    #[test]
    fn other_lines_stay_where_they_are() {
        let text = "# first\n|prog $EXT\n&a@x.example\n./old/\n\n+list\njoe";
        let form = Form::read(text.as_bytes());
        assert_eq!(form.other_lines().count(), 5);
        let new = changed(text, |form| {
            form.keep = true;
            form.destinations.push((address("b@x.example"), true));
        });
        assert_eq!(
            new,
            "./Maildir/\n# first\n|prog $EXT\n&a@x.example\n&b@x.example\n./old/\n\n+list\njoe\n"
        );
        assert_eq!(changed(&new, |form| form.keep = false), &new["./Maildir/\n".len()..]);
    }

    #[test]
    fn no_text_begins_with_a_blank_line_or_means_the_mailbox_by_being_empty() {
        let none = |form: &mut Form| {
            form.keep = false;
            form.destinations.clear();
        };
        let nothing = "# Mail to this address is accepted and thrown away.\n";
        for text in ["", "./Maildir/\n", "&a@x.example", "./Maildir/\n\n \n&a@x.example\n\n"] {
            assert_eq!(changed(text, none), nothing, "{text:?}");
        }
        assert_eq!(changed("./Maildir/\n\n&a@x.example\n", |form| form.keep = false), "&a@x.example\n");
        assert_eq!(Form::blank().write(), nothing.as_bytes());
        // The sentence goes when it is true no more.
        assert_eq!(changed(nothing, |form| form.keep = true), "./Maildir/\n");
    }

    #[test]
    fn nothing_comes_in_as_a_destination_but_an_address() {
        assert_eq!(destination(" a@X.example "), Ok(address("a@x.example")));
        for typed in [
            "taro..@carrier.example",
            ".taro@carrier.example",
            "a+b@x.example",
            "太郎@例え.テスト",
            "a@[192.0.2.1]",
        ] {
            assert!(destination(typed).is_ok(), "{typed}");
        }
        for typed in [
            "",
            "joe",
            "|rm -rf /",
            "|sh@x.example",
            "/etc/passwd",
            "/a@x.example",
            "./Maildir/",
            "../x/",
            "+list",
            "#a@x.example",
            "&a@x.example",
            "a@x.example\n|sh",
            "a@x.example\r\n",
            "a\0@x.example",
            "a@x.example b@x.example",
            "a@x.example,b@x.example",
            "<a@x.example>",
            "\"a b\"@x.example",
            "\"|sh\"@x.example",
            "ａ@x.example",
            "<script>alert(1)</script>@x.example",
            "' OR 1=1 --",
            "a\u{202e}@x.example",
            &"a".repeat(1 << 20),
        ] {
            // A line end around it is only a slip of the hand.
            let slip = typed.trim() != typed;
            assert_eq!(destination(typed).is_ok(), slip, "{typed:.40}");
        }
    }

    proptest! {
        #[test]
        fn a_text_of_which_nothing_was_changed_is_written_as_it_was(text in any_text()) {
            prop_assert_eq!(Form::read(&text).write(), text);
        }

        #[test]
        fn what_is_written_reads_back_as_the_form_and_delivery_obeys_it(
            text in any_text(),
            keep: bool,
            typed in proptest::collection::vec(("[a-z.+]{1,9}@[a-z]{1,5}\\.example", any::<bool>()), 0..5),
            kept in any::<usize>(),
        ) {
            let before = Form::read(&text);
            let mut form = before.clone();
            form.keep = keep;
            form.destinations.truncate(kept % (form.destinations.len() + 1));
            form.destinations.extend(typed.iter().filter_map(|(typed, on)| Some((destination(typed).ok()?, *on))));
            let written = form.write();
            let again = Form::read(&written);
            prop_assert_eq!(again.keep, form.keep);
            let sorted = |form: &Form| {
                let mut all: Vec<String> = form.destinations.iter().map(|one| format!("{one:?}")).collect();
                all.sort();
                all
            };
            prop_assert_eq!(sorted(&again), sorted(&form));
            prop_assert!(again.other_lines().eq(before.other_lines()));
            if let Ok(obeyed) = Instructions::parse(&written, &Context::default()) {
                let mailbox = obeyed.as_slice().contains(&Instruction::Mailbox);
                prop_assert_eq!(mailbox, form.keep);
                let to: Vec<Address> = obeyed
                    .forwards()
                    .filter_map(|to| match to {
                        ForwardTo::Address(address) => Some(address.clone()),
                        _ => None,
                    })
                    .collect();
                let on: Vec<Address> = again.destinations.iter().filter(|(_, on)| *on).map(|(to, _)| to.clone()).collect();
                prop_assert_eq!(to, on);
            }
        }

        #[test]
        fn any_text_is_a_destination_that_reads_back_or_an_error(typed in "(?s).{0,40}|[|/.+#&a-z]{0,3}[a-z]@[a-z]{1,3}\\.x") {
            if let Ok(address) = destination(&typed) {
                for on in [true, false] {
                    let line = written(&address, on);
                    prop_assert!(!line.iter().any(|octet| b"\r\n\0".contains(octet)));
                    prop_assert_eq!(Form::read(&line).destinations, vec![(address.clone(), on)]);
                }
            }
        }
    }
}
