//! A header as it leaves.

use envelope::{Address, Domain, QueueId};
use message::{Date, with_ascii_host};
use time::OffsetDateTime;

use super::Change;
use super::authors::{Authors, completed};
use super::from::From;
use super::header::{Header, Line};
use super::kind::Kind;
use crate::hosts::Hosts;
use crate::job::Letters;

/// All that a header is written from.
pub(super) struct Written<'a> {
    pub(super) header: &'a Header,
    pub(super) hosts: &'a Hosts,
    pub(super) letters: Letters,
    /// What its From and Sender fields say, each with its place among the lines.
    pub(super) authors: &'a [(usize, Authors)],
    /// What becomes of those that name others than the account.
    pub(super) changes: &'a [(usize, Change)],
    pub(super) from: &'a From,
    /// Who writes, where nobody is named.
    pub(super) writer: &'a Address,
    pub(super) followup: &'a [Address],
    pub(super) message_id: (QueueId, &'a Domain),
    pub(super) at: OffsetDateTime,
}

/// How a line leaves.
enum Becomes<'a> {
    AsItIs,
    Nothing,
    Body(&'a [u8]),
    NewBody(Vec<u8>),
    Changed(&'a Change),
}

impl Written<'_> {
    /// The header with what it lacks, without what nobody else is to see, and the empty line.
    pub(super) fn completed(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(self.header.len() + 512);
        self.add_lacking(&mut head);
        for (at, line) in self.header.lines().enumerate() {
            if line.kind == Kind::Mbox {
                head.extend_from_slice(b"MBOX-Line: ");
            }
            self.write(&mut head, line, self.becomes(at, line));
        }
        self.end(head)
    }

    /// The header as it is, but for what the account's rule has of its authors, and the empty line.
    pub(super) fn as_it_is(&self, on_top: Option<&[u8]>) -> Vec<u8> {
        let mut head = Vec::with_capacity(self.header.len() + 128);
        head.extend_from_slice(on_top.unwrap_or_default());
        for (at, line) in self.header.lines().enumerate() {
            let changed = self.change(at).map_or(Becomes::AsItIs, Becomes::Changed);
            let becomes = if self.gives_way(line) { Becomes::Nothing } else { changed };
            self.write(&mut head, line, becomes);
        }
        self.end(head)
    }

    fn end(&self, mut head: Vec<u8>) -> Vec<u8> {
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(self.header.rest());
        head
    }

    /// The fields that it lacks, in qmail's order.
    fn add_lacking(&self, head: &mut Vec<u8>) {
        let resent = self.header.is_resent();
        let (prefix, date, message_id, from, to, cc) = match resent {
            false => ("", Kind::Date, Kind::MessageId, Kind::From, Kind::To, Kind::Cc),
            true => (
                "Resent-",
                Kind::ResentDate,
                Kind::ResentMessageId,
                Kind::ResentFrom,
                Kind::ResentTo,
                Kind::ResentCc,
            ),
        };
        let mut add = |name: &str, body: &[u8]| {
            for part in [prefix.as_bytes(), name.as_bytes(), b":", body, b"\r\n"] {
                head.extend_from_slice(part);
            }
        };
        if !self.header.has(date) {
            add("Date", format!(" {}", Date(self.at)).as_bytes());
        }
        if !self.header.has(message_id) || self.letters.drop_message_id {
            let (id, host) = self.message_id;
            add("Message-ID", format!(" <{id}@{}>", host.to_ascii()).as_bytes());
        }
        if !self.header.has(from) || self.letters.drop_from || self.nameless().is_some() {
            add("From", &self.from.body(self.writer, self.nameless()));
        }
        if !self.header.has(to) && !self.header.has(cc) {
            add("Cc", b" recipient list not shown: ;");
        }
        if !self.followup.is_empty() {
            let each: Vec<String> = self.followup.iter().map(with_ascii_host).collect();
            add("Mail-Followup-To", format!(" {}", each.join(",\r\n  ")).as_bytes());
        }
    }

    /// The From field that names nobody, and gives way to one that does.
    fn nameless(&self) -> Option<&Authors> {
        let from = self.header.lines().position(|line| line.kind == Kind::From)?;
        self.authors_at(from).filter(|authors| authors.addresses().is_empty() && !self.header.is_resent())
    }

    fn becomes(&self, at: usize, line: Line<'_>) -> Becomes<'_> {
        let resent = self.header.is_resent();
        let dropped = match line.kind {
            Kind::From => !resent && (self.letters.drop_from || self.nameless().is_some()),
            Kind::ResentFrom => self.letters.drop_from,
            Kind::MessageId => !resent && self.letters.drop_message_id,
            Kind::ResentMessageId => self.letters.drop_message_id,
            kind => kind.is_removed() || self.gives_way(line),
        };
        if dropped {
            return Becomes::Nothing;
        }
        if let Some(change) = self.change(at) {
            return Becomes::Changed(change);
        }
        if let Some(authors) = self.authors_at(at) {
            // As it is, if that is all the same: the space before the colon is the writer's.
            let same = authors.body() == line.field().body;
            return if same { Becomes::AsItIs } else { Becomes::Body(authors.body()) };
        }
        match line.kind.has_addresses().then(|| completed(line.field().body, self.hosts)).flatten() {
            Some(body) => Becomes::NewBody(body),
            None => Becomes::AsItIs,
        }
    }

    /// An empty Reply-To field, where there will be another.
    fn gives_way(&self, line: Line<'_>) -> bool {
        let another = || self.changes.iter().any(|(_, change)| matches!(change, Change::ReplyTo { .. }));
        line.kind == Kind::ReplyTo && another()
    }

    fn write(&self, head: &mut Vec<u8>, line: Line<'_>, becomes: Becomes<'_>) {
        let name = line.field().name;
        let mut field = |name: &[u8], body: &[u8]| {
            for part in [name, b":", body, b"\r\n"] {
                head.extend_from_slice(part);
            }
        };
        match becomes {
            Becomes::Nothing | Becomes::Changed(Change::Drop) => {}
            Becomes::Body(body) => field(name, body),
            Becomes::Changed(Change::Body(body)) => field(name, body),
            Becomes::NewBody(body) => field(name, &body),
            Becomes::Changed(Change::ReplyTo { reply_to, from }) => {
                field(b"Reply-To", reply_to);
                field(name, from);
            }
            Becomes::AsItIs => {
                head.extend_from_slice(line.octets);
                if !line.octets.ends_with(b"\n") {
                    head.extend_from_slice(b"\r\n");
                }
            }
        }
    }

    fn change(&self, at: usize) -> Option<&Change> {
        self.changes.iter().find(|(place, _)| *place == at).map(|(_, change)| change)
    }

    fn authors_at(&self, at: usize) -> Option<&Authors> {
        self.authors.iter().find(|(place, _)| *place == at).map(|(_, authors)| authors)
    }
}
