//! A header taken apart.

use std::ops::Range;

use message::{Field, unfolded_lines};

use super::kind::Kind;

/// A header, and where its fields stand in it.
#[derive(Debug, Clone)]
pub(super) struct Header {
    octets: Vec<u8>,
    fields: Vec<(Kind, Range<usize>)>,
    /// Where begins what follows the empty line, or the first line that is no field.
    rest: usize,
    resent: bool,
}

/// A line of a header, with those that continue it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) kind: Kind,
    /// All of it, with its line ends.
    pub(super) octets: &'a [u8],
}

impl Header {
    /// Takes a header apart; `from_is_mbox` as in [`Kind::of`].
    pub(super) fn of(octets: &[u8], from_is_mbox: bool) -> Header {
        let (mut fields, mut at) = (Vec::new(), 0);
        for lines in unfolded_lines(octets) {
            let Some(kind) = Kind::of(lines, from_is_mbox) else { break };
            fields.push((kind, at..at + lines.len()));
            at += lines.len();
        }
        let rest = &octets[at..];
        let after = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")).unwrap_or(rest);
        let resent = fields.iter().any(|(kind, _)| kind.is_resent());
        Header { rest: octets.len() - after.len(), octets: octets.to_vec(), fields, resent }
    }

    /// Its lines, in their order.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.fields.iter().map(|(kind, place)| Line { kind: *kind, octets: &self.octets[place.clone()] })
    }

    /// What the line at this place is.
    pub(super) fn kind(&self, at: usize) -> Kind {
        self.fields.get(at).map_or(Kind::Other, |(kind, _)| *kind)
    }

    /// What follows it.
    pub(super) fn rest(&self) -> &[u8] {
        &self.octets[self.rest..]
    }

    /// The octets that it has, and what follows it.
    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    /// Whether there is such a line.
    pub(super) fn has(&self, wanted: Kind) -> bool {
        self.fields.iter().any(|(kind, _)| *kind == wanted)
    }

    /// Whether it is that of a message which somebody sends again (RFC 5322 §3.6.6).
    pub(super) fn is_resent(&self) -> bool {
        self.resent
    }
}

impl<'a> Line<'a> {
    /// Its field; a line of an mbox file has an empty one.
    pub(super) fn field(self) -> Field<'a> {
        Field::of(self.octets).unwrap_or(Field { name: b"", body: b"" })
    }
}
