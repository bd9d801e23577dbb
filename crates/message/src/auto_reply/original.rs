//! Whether a message may be answered by a program (RFC 3834 §2), and what of it the answer needs.
//!
//! A pure decision over the reverse-path and the header. Where it errs, it errs on the silent side: an
//! answer that is missed costs little, one that meets a list or another such program costs everybody.

use std::borrow::Cow;

use envelope::{Address, LocalPart, ReversePath};

use crate::address_list::address_list;
use crate::fields::{Field, fields};
use crate::header_scan::HeaderScan;

/// Octets of a message of which the header is read. One that is longer is not answered.
pub const HEADER_MAX: usize = 256 << 10;
/// The most addresses, and the most names of messages, that are kept.
const NAMED_MAX: usize = 100;
const REFERENCES_MAX: usize = 20;
/// The longest name of a message, in octets.
const MESSAGE_ID_MAX: usize = 250;

/// What the answer to a message needs to know of it, and who decides whether its recipient is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Original {
    /// Whom To, Cc, Bcc and the same of who sent it again name; at most 100.
    pub named: Vec<Address>,
    /// To which addresses it was delivered before (`Delivered-To`); at most 100.
    pub delivered_to: Vec<Address>,
    /// Its subject, unfolded; empty where there is none or nobody can read it.
    pub(super) subject: String,
    /// Its name, in angle brackets.
    pub(super) message_id: Option<String>,
    /// The names of those before it in its thread, the oldest first.
    pub(super) references: Vec<String>,
}

/// Why a program does not answer a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// There is nobody to answer.
    NullSender,
    /// By its name the sender is a program.
    Program,
    /// It was sent or answered by a program itself.
    Automatic,
    /// It came by a mailing list.
    List,
    /// It went to many.
    Bulk,
    /// It tells what became of another message.
    Report,
    /// Its sender wants no such answer.
    Unwished,
    /// It was found to be spam on its way.
    Spam,
    /// Its header is too long to be read.
    LongHeader,
}

impl Silence {
    /// In a log.
    pub fn name(self) -> &'static str {
        match self {
            Silence::NullSender => "null-sender",
            Silence::Program => "sent-by-program",
            Silence::Automatic => "automatic",
            Silence::List => "list",
            Silence::Bulk => "bulk",
            Silence::Report => "report",
            Silence::Unwished => "unwished",
            Silence::Spam => "spam",
            Silence::LongHeader => "long-header",
        }
    }
}

impl Original {
    /// Reads a message, given to its end or for [`HEADER_MAX`] octets.
    ///
    /// # Errors
    /// Why it must not be answered.
    pub fn of(reverse_path: &ReversePath, message: &[u8]) -> Result<Original, Silence> {
        let ReversePath::Address(sender) = reverse_path else { return Err(Silence::NullSender) };
        if is_program(&sender.local_part) {
            return Err(Silence::Program);
        }
        if message.len() >= HEADER_MAX && !has_end(message) {
            return Err(Silence::LongHeader);
        }
        let mut original = Original::default();
        let mut in_reply_to = Vec::new();
        for field in fields(message) {
            if let Some(silence) = forbids(&field) {
                return Err(silence);
            }
            let is_any = |names: &[&str]| names.iter().any(|name| field.is(name));
            if is_any(&["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"]) {
                add_addresses(&mut original.named, field.body);
            } else if field.is("Delivered-To") {
                add_addresses(&mut original.delivered_to, field.body);
            } else if field.is("Subject") {
                original.subject = readable(field.body);
            } else if field.is("Message-ID") {
                original.message_id = message_ids(field.body).next();
            } else if field.is("References") {
                original.references = message_ids(field.body).collect();
            } else if field.is("In-Reply-To") {
                in_reply_to = message_ids(field.body).take(2).collect();
            }
        }
        // RFC 5322 §3.6.4: who has no References may have its like in In-Reply-To, if that is one.
        if original.references.is_empty() && in_reply_to.len() == 1 {
            original.references = in_reply_to;
        }
        if original.references.len() > REFERENCES_MAX {
            // Threads hold together by their first and their last.
            let beyond = original.references.len() - REFERENCES_MAX;
            original.references.drain(1..=beyond);
        }
        Ok(original)
    }

    /// Whether To or its like name this address.
    pub fn names(&self, address: &str) -> bool {
        self.named.iter().any(|named| named.to_string().eq_ignore_ascii_case(address))
    }
}

/// Whether a header forbids an answer by this field.
fn forbids(field: &Field<'_>) -> Option<Silence> {
    let value = || String::from_utf8_lossy(field.body.trim_ascii()).to_ascii_lowercase();
    let begins = |name: &str| {
        field.name.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
    };
    // By the first letter, as most fields are none of these.
    match field.name.first()?.to_ascii_lowercase() {
        // RFC 3834 §5: a keyword, and perhaps parameters.
        b'a' if field.is("Auto-Submitted") => {
            let value = value();
            let keyword = value.split([';', '(', ' ', '\t', '\r']).next().unwrap_or_default();
            (keyword != "no").then_some(Silence::Automatic)
        }
        // RFC 2369, RFC 2919.
        b'l' if begins("List-") => Some(Silence::List),
        b'm' if field.is("Mailing-List") => Some(Silence::List),
        b'p' if field.is("Precedence") => {
            matches!(value().as_str(), "bulk" | "list" | "junk").then_some(Silence::Bulk)
        }
        // RFC 6522: what became of a message, and whether it was read.
        b'c' if field.is("Content-Type") => {
            let value = value();
            let report = ["multipart/report", "message/delivery-status", "message/disposition-notification"];
            report.iter().any(|report| value.starts_with(report)).then_some(Silence::Report)
        }
        b'x' => match () {
            // fml, and others of its time.
            () if begins("X-ML-") || field.is("X-Mailing-List") => Some(Silence::List),
            () if ["X-Autoreply", "X-Autorespond", "X-Autogenerated", "X-Loop"]
                .iter()
                .any(|name| field.is(name)) =>
            {
                Some(Silence::Automatic)
            }
            // Exchange: a list, of which these mean answers like this.
            () if field.is("X-Auto-Response-Suppress") => value()
                .split([',', ' ', ';'])
                .any(|kind| matches!(kind, "all" | "oof" | "autoreply"))
                .then_some(Silence::Unwished),
            () if field.is("X-Spam-Flag") || field.is("X-Spam-Status") => {
                value().starts_with("yes").then_some(Silence::Spam)
            }
            () => None,
        },
        _ => None,
    }
}

/// Whether a sender is a program by its name: a daemon, a list, or who says that it reads nothing.
fn is_program(name: &LocalPart) -> bool {
    const NAMES: [&str; 12] = [
        "mailer-daemon",
        "listserv",
        "majordomo",
        "bounce",
        "bounces",
        "noreply",
        "no-reply",
        "no_reply",
        "donotreply",
        "do-not-reply",
        "do_not_reply",
        "autoresponder",
    ];
    let name = name.folded();
    let parted = |rest: &str| rest.is_empty() || rest.starts_with(['-', '.', '_', '+', '=']);
    let begins_or_ends = |one: &str| {
        name.strip_prefix(one).is_some_and(parted)
            || name.strip_suffix(one).is_some_and(|before| before.ends_with(['-', '.', '_', '+']))
    };
    // qmail's double bounces come from `#@[]`; ezmlm's mail from `list-return-7-…`.
    name == "#"
        || name.starts_with("owner-")
        || name.ends_with("-owner")
        || name.ends_with("-request")
        || name.contains("-return-")
        || name.contains("-bounces+")
        || NAMES.iter().any(|one| begins_or_ends(one))
}

fn has_end(message: &[u8]) -> bool {
    let mut scan = HeaderScan::new();
    scan.feed(message);
    scan.is_complete()
}

fn add_addresses(to: &mut Vec<Address>, body: &[u8]) {
    for listed in address_list(body, NAMED_MAX) {
        // What stands before an error was read.
        let Ok(listed) = listed else { return };
        if to.len() == NAMED_MAX {
            return;
        }
        to.extend(std::str::from_utf8(&listed.address).ok().and_then(|text| text.parse::<Address>().ok()));
    }
}

/// One line of a subject, its words as they are: encoded ones too (RFC 2047). Empty if it is in no charset
/// that a header may have today.
fn readable(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap_or_default();
    if text.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) {
        return String::new();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The names of messages that a field has, each in its angle brackets.
fn message_ids(body: &[u8]) -> impl Iterator<Item = String> {
    let text = String::from_utf8_lossy(body);
    let ids: Vec<String> = match text {
        Cow::Borrowed(text) => text.split('<').skip(1).filter_map(message_id).collect(),
        Cow::Owned(_) => Vec::new(),
    };
    ids.into_iter()
}

fn message_id(text: &str) -> Option<String> {
    let (id, _) = text.split_once('>')?;
    let right = !id.is_empty() && id.len() <= MESSAGE_ID_MAX && id.bytes().all(|b| b.is_ascii_graphic());
    right.then(|| format!("<{id}>"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(header: &str) -> Result<Original, Silence> {
        let sender = ReversePath::Address("u@peer.example".parse().unwrap());
        Original::of(&sender, format!("{header}\r\n\r\nList-Id: in the body\r\n").as_bytes())
    }

    #[test]
    fn what_programs_and_lists_sent_is_not_answered() {
        use Silence::{Automatic, Bulk, List, Report, Spam, Unwished};
        for (header, expected) in [
            ("Subject: hello", None),
            ("Auto-Submitted: auto-generated", Some(Automatic)),
            ("auto-submitted: auto-replied; owner-email=\"a@x.example\"", Some(Automatic)),
            ("Auto-Submitted: auto-notified", Some(Automatic)),
            ("Auto-Submitted:", Some(Automatic)),
            ("Auto-Submitted: No", None),
            ("Auto-Submitted: no (a person)", None),
            ("Auto-Submitted: no; x=y", None),
            ("Auto-Submitted: none", Some(Automatic)),
            ("List-Id: <x.peer.example>", Some(List)),
            ("LIST-unsubscribe: <mailto:x@peer.example>", Some(List)),
            ("Listing: x", None),
            ("Mailing-List: contact x", Some(List)),
            ("X-Mailing-List: x", Some(List)),
            ("X-ML-Name: x", Some(List)),
            ("Precedence: bulk", Some(Bulk)),
            ("Precedence:  LIST ", Some(Bulk)),
            ("Precedence: junk", Some(Bulk)),
            ("Precedence: first-class", None),
            ("Content-Type: multipart/report; report-type=delivery-status", Some(Report)),
            ("Content-Type:\r\n Multipart/Report", Some(Report)),
            ("Content-Type: multipart/mixed", None),
            ("X-Auto-Response-Suppress: DR, OOF, AutoReply", Some(Unwished)),
            ("X-Auto-Response-Suppress: All", Some(Unwished)),
            ("X-Auto-Response-Suppress: DR, RN, NRN", None),
            ("X-Autoreply: yes", Some(Automatic)),
            ("X-Loop: x@peer.example", Some(Automatic)),
            ("X-Spam-Flag: YES", Some(Spam)),
            ("X-Spam-Status: No, score=1", None),
            ("X-Mailer: PostPet", None),
        ] {
            assert_eq!(read(header).err(), expected, "{header}");
            assert_eq!(read(&format!("To: a@x.example\r\n{header}")).err(), expected, "{header}");
        }
    }

    #[test]
    fn senders_that_are_programs_and_none_at_all_are_not_answered() {
        for (name, program) in [
            ("MAILER-DAEMON", true),
            ("mailer-daemon", true),
            ("owner-list", true),
            ("list-owner", true),
            ("list-request", true),
            ("list-return-7-abc=pobox.example", true),
            ("list-bounces", true),
            ("list-bounces+abc=pobox.example", true),
            ("bounce+7", true),
            ("noreply", true),
            ("No-Reply", true),
            ("shop-noreply", true),
            ("shop.no-reply", true),
            ("#", true),
            ("u", false),
            ("owner", false),
            ("request", false),
            ("piano-reply", false),
            ("bouncer", false),
            ("return", false),
        ] {
            let sender = ReversePath::Address(format!("{name}@peer.example").parse().unwrap());
            let read = Original::of(&sender, b"Subject: x\r\n\r\n").err();
            assert_eq!(read, program.then_some(Silence::Program), "{name}");
        }
        assert_eq!(Original::of(&ReversePath::Null, b""), Err(Silence::NullSender));
    }

    #[test]
    fn whom_it_names_and_its_thread_are_read() {
        let original = read(
            "To: A <a@x.example>, \"b, c\" <b@x.example>\r\nCC: c@x.example\r\nResent-To: d@x.example\r\n\
             Reply-To: no@x.example\r\nDelivered-To: foo@abc.pobox.example\r\n\
             Subject: =?utf-8?B?44GT44KT?=\r\n =?utf-8?B?44Gr?=\r\nMessage-ID: <3@x>\r\n\
             References: <1@x>\r\n\t<2@x>\r\nIn-Reply-To: <0@x>",
        )
        .unwrap();
        let named: Vec<String> = original.named.iter().map(ToString::to_string).collect();
        assert_eq!(named, ["a@x.example", "b@x.example", "c@x.example", "d@x.example"]);
        assert!(original.names("B@X.example") && !original.names("no@x.example"));
        assert_eq!(original.delivered_to[0].to_string(), "foo@abc.pobox.example");
        assert_eq!(original.subject, "=?utf-8?B?44GT44KT?= =?utf-8?B?44Gr?=");
        assert_eq!(original.message_id.as_deref(), Some("<3@x>"));
        assert_eq!(original.references, ["<1@x>", "<2@x>"]);
        assert_eq!(read("In-Reply-To: <0@x>").unwrap().references, ["<0@x>"]);
        assert!(read("In-Reply-To: <0@x> <1@x>").unwrap().references.is_empty());
    }

    #[test]
    fn what_has_no_end_is_kept_within_bounds() {
        let references: String = (0..100).map(|n| format!(" <{n}@x>")).collect();
        let to: String = (0..150).map(|n| format!("a{n}@x.example,")).collect();
        let original = read(&format!("References:{references}\r\nTo: {to}")).unwrap();
        assert_eq!(original.references.len(), 20);
        assert_eq!((&*original.references[0], &*original.references[1]), ("<0@x>", "<81@x>"));
        assert_eq!(original.references[19], "<99@x>");
        assert_eq!(original.named.len(), 100);
        let sender = ReversePath::Address("u@peer.example".parse().unwrap());
        let long = format!("X: {}\r\nList-Id: x\r\n\r\n", "y".repeat(HEADER_MAX));
        assert_eq!(Original::of(&sender, &long.as_bytes()[..HEADER_MAX]), Err(Silence::LongHeader));
        let body = format!("X: y\r\n\r\n{}", "y".repeat(HEADER_MAX));
        assert!(Original::of(&sender, &body.as_bytes()[..HEADER_MAX]).is_ok());
    }

    #[test]
    fn a_subject_in_an_unknown_charset_is_none() {
        let sender = ReversePath::Address("u@peer.example".parse().unwrap());
        for raw in [&b"Subject: \x1b$B;n\x1b(B\r\n\r\n"[..], b"Subject: \x8e\x8e\r\n\r\n"] {
            assert_eq!(Original::of(&sender, raw).unwrap().subject, "");
        }
        assert_eq!(read("Subject: こん\r\n にちは").unwrap().subject, "こん にちは");
    }

    proptest! {
        #[test]
        fn any_octets_are_a_message_or_none_to_answer(
            octets in proptest::collection::vec(any::<u8>(), 0..300),
            header in "((To|Subject|References|Auto-Submitted|X-)(: |:|\r\n |<|>|@|,|\"|a|\\PC|\r\n){0,8}\r\n){0,5}",
        ) {
            let sender = ReversePath::Address("u@peer.example".parse().unwrap());
            let _ = Original::of(&sender, &octets);
            if let Ok(original) = Original::of(&sender, header.as_bytes()) {
                let one_line = |text: &String| !text.contains(['\r', '\n']);
                prop_assert!(one_line(&original.subject) && original.references.iter().all(one_line));
            }
        }
    }
}
